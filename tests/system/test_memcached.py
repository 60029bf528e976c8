#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""memcached's clients and tools from Debian against the appliance, in all protocols that it speaks."""

import selectors
import socket
import struct
import subprocess
import time

import harness
from harness import SERVER, Appliance, Checks, sh

PORT = 11211
STAMPEDE = 1000


def ask(s, data, end):
    s.sendall(data)
    reply = b""
    while not reply.endswith(end):
        part = s.recv(65536)
        assert part, f"closed after {reply!r}"
        reply += part
    return reply


def connect():
    return socket.create_connection((SERVER, PORT), timeout=10)


def check_memccapable():
    done = subprocess.run(["memccapable", "-h", SERVER, "-p", str(PORT)], capture_output=True, text=True, timeout=100)
    passed = done.stdout.count("[pass]")
    assert done.returncode == 0 and passed == 54, f"{passed} of 54: {done.stdout}{done.stderr}"


def check_pylibmc(binary):
    import pylibmc

    c = pylibmc.Client([f"{SERVER}:{PORT}"], binary=binary, behaviors={"cas": True, "tcp_nodelay": True})
    assert c.set("p", {"a": [1, 2.5, "x"]}, time=100) and c.get("p") == {"a": [1, 2.5, "x"]}
    assert c.set_multi({f"m{i}": "v" * i for i in range(200)}) == []
    assert c.get_multi([f"m{i}" for i in range(200)]) == {f"m{i}": "v" * i for i in range(200)}
    assert c.add("p", 1) is False
    try:
        assert c.replace("nobody", 1) is False
    except pylibmc.NotFound:
        assert binary  # whose answer tells more
    c.set("n", 41)
    assert c.incr("n") == 42 and c.decr("n", 50) == 0
    value, unique = c.gets("p")
    assert value == {"a": [1, 2.5, "x"]} and c.cas("p", "new", unique) and not c.cas("p", "old", unique)
    c.set("t", "x")
    assert c.append("t", "y") and c.prepend("t", "w") and c.get("t") == "wxy"
    assert c.touch("t", 100) and c.delete("t") and c.get("t") is None
    big = "z" * 1000000
    assert c.set("big", big) and c.get("big") == big
    assert b"curr_items" in [k.encode() for k in c.get_stats()[0][1]]
    assert c.flush_all() and c.get("p") is None
    c.disconnect_all()


def check_bmemcached():
    import bmemcached

    c = bmemcached.Client([f"{SERVER}:{PORT}"])
    assert c.set("b", {"x": 1}, time=100) and c.get("b") == {"x": 1}
    value, unique = c.gets("b")
    assert unique and c.cas("b", "new", unique) and not c.cas("b", "old", unique) and c.get("b") == "new"
    assert all(c.set(f"s{i}", i) for i in range(50))
    assert c.get_multi([f"s{i}" for i in range(50)]) == {f"s{i}": i for i in range(50)}
    assert c.incr("count", 1, default=10) == 10 and c.incr("count", 5) == 15 and c.decr("count", 100) == 0
    assert c.add("b", 1) is False and c.replace("b", 2) and c.delete("b") and c.get("b") is None
    assert c.stats()[f"{SERVER}:{PORT}"]["version"].startswith(b"1.6")
    assert c.flush_all()
    c.disconnect_all()


def check_tools():
    """libmemcached's own: what one writes another reads, in text and binary."""
    with open("/tmp/memccp-me", "wb") as file:
        file.write(b"of a file")
    for options in ((), ("--binary",)):
        sh("memccp", f"--servers={SERVER}", *options, "/tmp/memccp-me")
        assert sh("memccat", f"--servers={SERVER}", *options, "memccp-me").strip() == "of a file"
        sh("memcexist", f"--servers={SERVER}", *options, "memccp-me")
        sh("memctouch", f"--servers={SERVER}", "--expire=100", *options, "memccp-me")
        sh("memcrm", f"--servers={SERVER}", *options, "memccp-me")
        assert "curr_items" in sh("memcstat", f"--servers={SERVER}", *options)
    assert sh("memcping", f"--servers={SERVER}") == ""
    sh("memcflush", f"--servers={SERVER}")


def check_memcaslap(*options):
    out = sh("memcaslap", "-s", f"{SERVER}:{PORT}", "-T", "1", "-c", "16", "-t", "2s", "-v", "0.1", *options, timeout=60)
    figures = {line.split(":")[0].strip(): line.split(":")[1].split()[0] for line in out.splitlines() if ":" in line}
    assert int(figures["cmd_get"]) > 1000 and int(figures["cmd_set"]) > 100, out
    for wrong in ("verify_misses", "verify_failed", "packet_disorder", "packet_drop", "udp_timeout"):
        assert figures.get(wrong, "0") == "0", out


def check_dumps():
    """Every key that is there, in both forms, and none that RESP alone can have."""
    import redis

    r = redis.Redis(SERVER)
    r.flushall()
    keys = {f"dump:{i}" for i in range(5000)}
    pipe = r.pipeline(transaction=False)
    for key in (*keys, "with blank", "k" * 251):
        pipe.set(key, "v")
    pipe.execute()
    with connect() as s:
        assert ask(s, b"ms YSBi 1 b T100\r\nx\r\n", b"\r\n") == b"HD\r\n"  # "a b"
        lines = ask(s, b"lru_crawler metadump all\r\n", b"END\r\n").decode().splitlines()[:-1]
        fields = [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]
        assert {f["key"] for f in fields} == {key.replace(":", "%3A") for key in keys} | {"a%20b", "with%20blank"}
        expiring = next(f for f in fields if f["key"] == "a%20b")
        assert 90 <= int(expiring["exp"]) - time.time() <= 101 and int(expiring["size"]) > 0, expiring
        lines = ask(s, b"lru_crawler mgdump all\r\n", b"EN\r\n").decode().splitlines()[:-1]
        assert set(lines) == {f"mg {key}" for key in keys}
    r.flushall()
    r.close()


def check_discovery(appliance):
    """The node list of configuration until somebody sets one; text, by its old name, and binary, on all workers."""
    def lists(payload, flags=0):
        for _ in range(8):
            with connect() as s:
                config = b"CONFIG cluster %d %d\r\n%s\r\nEND\r\n" % (flags, len(payload), payload)
                assert ask(s, b"config get cluster\r\n", b"END\r\n") == config
                value = b"VALUE AmazonElastiCache:cluster %d %d\r\n%s\r\nEND\r\n" % (flags, len(payload), payload)
                assert ask(s, b"get AmazonElastiCache:cluster\r\n", b"END\r\n") == value
            with connect() as s:
                s.sendall(struct.pack("!BBHBBHIIQ", 0x80, 0x60, 7, 0, 0, 0, 7, 9, 0) + b"cluster")
                answer = b""
                while len(answer) < 28 + len(payload):
                    answer += s.recv(1000)
                assert answer[:24] == struct.pack("!BBHBBHIIQ", 0x81, 0x60, 0, 4, 0, 0, 4 + len(payload), 9, 0)
                assert answer[24:] == struct.pack("!I", flags) + payload

    lists(b"12\nalpha|10.0.0.2|11211 beta||11211\n")
    newer = b"13\nalpha|10.0.0.2|11211\n"
    with connect() as s:
        assert ask(s, b"config set cluster 0 %d\r\n%s\r\n" % (len(newer), newer), b"\r\n") == b"STORED\r\n"
    lists(newer)
    # As ElastiCache's client for Java does it: the extras are flags, and nothing else.
    newest = b"14\nbeta||11211\n"
    with connect() as s:
        def binary(opcode, extras=b"", value=b""):
            body = extras + b"cluster" + value
            s.sendall(struct.pack("!BBHBBHIIQ", 0x80, opcode, 7, len(extras), 0, 0, len(body), 9, 0) + body)
            answer = s.recv(1000)
            return struct.unpack("!H", answer[6:8])[0]

        assert binary(0x64, b"\0\0\0\7", newest) == 0
        lists(newest, 7)
        assert binary(0x66) == 0 and binary(0x66) == 1
    lists(b"12\nalpha|10.0.0.2|11211 beta||11211\n")
    with connect() as s:
        assert ask(s, b"config set cluster 0 %d\r\n%s\r\n" % (len(newer), newer), b"\r\n") == b"STORED\r\n"
        assert ask(s, b"flush_all\r\n", b"\r\n") == b"OK\r\n"
    lists(b"12\nalpha|10.0.0.2|11211 beta||11211\n")


class Client:
    """One of many, that notices when it is told to renew the value."""

    def __init__(self):
        self.socket = connect()
        self.won = False

    def ask(self):
        self.socket.sendall(b"mg hot v t N60 R5 k\r\n")


def stampede(what):
    """All ask at once; how many are to renew it, and how many were told that somebody else is."""
    clients = [Client() for _ in range(STAMPEDE)]
    select = selectors.DefaultSelector()
    for c in clients:
        select.register(c.socket, selectors.EVENT_READ, c)
    for c in clients:
        c.ask()
    flags, left, end = [], set(clients), time.monotonic() + 20
    while left:
        assert time.monotonic() < end, f"{what}: {len(left)} clients are not answered"
        for key, _ in select.select(1):
            reply = key.fileobj.recv(65536)
            assert reply.startswith(b"VA ") and reply.endswith(b"\r\n"), (what, reply)
            flags.append(reply.split(b"\r\n")[0].split(b" ")[4:])
            left.discard(key.data)
    for c in clients:
        c.socket.close()
    return sum(b"W" in f for f in flags), sum(b"Z" in f for f in flags)


def check_stampede():
    """A key that is missing, about to expire, or stale: of a thousand clients one makes it anew, each time."""
    with connect() as s:
        assert ask(s, b"delete hot\r\n", b"\r\n") in (b"DELETED\r\n", b"NOT_FOUND\r\n")
        assert stampede("missing") == (1, STAMPEDE - 1)
        assert ask(s, b"ms hot 5 T3\r\nvalue\r\n", b"\r\n") == b"HD\r\n"
        assert stampede("about to expire") == (1, STAMPEDE - 1)
        assert ask(s, b"ms hot 5 T60\r\nvalue\r\n", b"\r\n") == b"HD\r\n"
        assert stampede("fresh") == (0, 0)
        assert ask(s, b"md hot I T30\r\n", b"\r\n") == b"HD\r\n"
        assert stampede("stale") == (1, STAMPEDE - 1)
        # The winner's value, with the unique that it was told, is the fresh one.
        reply = ask(s, b"md hot I T30\r\nmg hot c\r\n", b"W\r\n")
        unique = int(reply.split(b" c")[1].split(b" ")[0])
        assert ask(s, b"ms hot 3 C%d\r\nnew\r\n" % unique, b"\r\n") == b"HD\r\n"
        assert ask(s, b"mg hot v\r\n", b"new\r\n") == b"VA 3\r\nnew\r\n"


def check_one_keyspace():
    """RESP and memcached see one another's keys, flags survive an EXPIRE, and go with a SET."""
    import redis

    r = redis.Redis(SERVER)
    with connect() as s:
        assert ask(s, b"ms shared 3 F77\r\nabc\r\n", b"\r\n") == b"HD\r\n"
        assert r.get("shared") == b"abc" and r.expire("shared", 100)
        assert ask(s, b"mg shared f t v\r\n", b"abc\r\n") == b"VA 3 f77 t100\r\nabc\r\n"
        r.set("shared", "by redis")
        assert ask(s, b"mg shared f t v\r\n", b"redis\r\n") == b"VA 8 f0 t-1\r\nby redis\r\n"
        s.sendall(b"quit\r\n")
    with connect() as s:
        s.sendall(struct.pack("!BBHBBHIIQ", 0x80, 0x00, 6, 0, 0, 0, 6, 7, 0) + b"shared")
        answer = b""
        while len(answer) < 24 + 4 + 8:
            answer += s.recv(100)
        assert answer[24:] == b"\0\0\0\0by redis"
    r.close()


def main():
    harness.require_root()
    checks = Checks()
    nodes = ("--memcached-cluster-nodes", "beta||11211,alpha|10.0.0.2|11211", "--memcached-cluster-version", "12")
    with Appliance("af_packet", 2, 2, nodes) as appliance:
        checks.run("memccapable, text and binary", check_memccapable)
        checks.run("pylibmc, text", check_pylibmc, False)
        checks.run("pylibmc, binary", check_pylibmc, True)
        checks.run("python-binary-memcached", check_bmemcached)
        checks.run("libmemcached's tools", check_tools)
        checks.run("memcaslap, text", check_memcaslap)
        checks.run("memcaslap, binary", check_memcaslap, "-B")
        checks.run("dumps", check_dumps)
        checks.run("Auto Discovery", check_discovery, appliance)
        checks.run("stampedes", check_stampede)
        checks.run("one keyspace", check_one_keyspace)
        checks.run("back at the baseline", appliance.settled)
    checks.finish()


if __name__ == "__main__":
    main()
