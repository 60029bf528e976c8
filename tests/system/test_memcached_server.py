#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What whoever runs a memcached expects of it: users, statistics, watchers, limits, parameters, an end."""

import os
import socket
import subprocess
import tempfile
import time

import harness
from harness import SERVER, Appliance, Checks, wait_for
from test_memcached import ask, connect
from test_memcached_udp import PEER_PORT, Memcached, binary

PORT = 11211
SASL_AUTH, SASL_STEP, SASL_LIST, VERSION = 0x21, 0x22, 0x20, 0x0b


def admin(appliance, *command):
    """By the admin listener, which is where the appliance is."""
    return harness.sh("ip", "netns", "exec", appliance.server, "redis-cli", "-p", "6380", *command).strip()


def receive(s, seconds=0.3):
    """What comes within a while, and whether the connection has ended."""
    s.settimeout(seconds)
    got = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return got, True
            got += part
    except socket.timeout:
        return got, False
    except ConnectionResetError:
        return got, True


def lines_of(s, command):
    return ask(s, command + b"\r\n", b"END\r\n").decode().splitlines()[:-1]


def stats_of(s, command=b"stats"):
    return dict(line.split(" ", 2)[1:] for line in lines_of(s, command))


def write_file(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


# --- who may come in

TEXT_SCHEME = (
    b"get a\r\n", b"version\r\n", b"set a 0 0\r\n", b"\r\n", b"set a 0 0 3\r\njoe\r\n", b"set a 0 0 0\r\n\r\n",
    b"set a 0 0 10\r\njoe secretXX", b"set a 0 0 5\r\njoe x\r\n", b"set a 0 0 9\r\njoe secre\r\n",
    b"set a 0 0 11\r\njoe  secret\r\n",
    b"get a\r\n", b"set a 0 0 10\r\njoe secret\r\n", b"get a\r\n",
)


def check_text_scheme(folder):
    """The same answers as memcached -Y, one request after another, on the same users."""
    users = write_file(folder, "theirs", "joe:secret\nann:pass:word\n")
    peer = subprocess.Popen(["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(PEER_PORT), "-U", "0", "-Y", users])
    try:
        wait_for(Memcached.reachable, 10, "memcached -Y")
        with connect() as ours, socket.create_connection(("127.0.0.1", PEER_PORT)) as theirs:
            for request in TEXT_SCHEME:
                ours.sendall(request)
                theirs.sendall(request)
                a, b = receive(ours), receive(theirs)
                assert a == b, f"{request!r}: {a} and not {b}"
    finally:
        peer.terminate()
        peer.wait()


def check_text_pipelined():
    with connect() as s:
        assert ask(s, b"set x 0 0 13\r\nann pass:word\r\nset k 5 0 2\r\nhi\r\nget k\r\n", b"END\r\n") == \
            b"STORED\r\nSTORED\r\nVALUE k 5 2\r\nhi\r\nEND\r\n"
    with connect() as s:
        assert ask(s, b"get k\r\nget k\r\n", b"\r\n").count(b"CLIENT_ERROR unauthenticated\r\n") >= 1
    with connect() as s:
        s.sendall(b"x" * 3000)
        assert receive(s) == (b"", True)
    with connect() as s:  # a block that no name and password need
        assert ask(s, b"set x 0 0 2000\r\n", b"\r\n") == b"CLIENT_ERROR unauthenticated\r\n"


def binary_status(s, request):
    s.sendall(request)
    got, closed = receive(s)
    return int.from_bytes(got[6:8], "big"), got[24:], closed


def check_sasl():
    """Statuses, bodies and ends as of memcached -S."""
    with connect() as s:
        assert binary_status(s, binary(0x00, b"k")) == (0x20, b"Auth failure.", True)
    with connect() as s:
        assert binary_status(s, binary(VERSION)) == (0, b"1.6.18", False)
        assert binary_status(s, binary(SASL_LIST)) == (0, b"PLAIN", False)
        assert binary_status(s, binary(SASL_AUTH, b"PLAIN", value=b"\0joe\0wrong")) == (0x20, b"Auth failure.", False)
        assert binary_status(s, binary(SASL_AUTH, b"CRAM-MD5", value=b"x")) == (0x20, b"Auth failure.", False)
        assert binary_status(s, binary(SASL_STEP, b"PLAIN", value=b"\0joe\0secret")) == (0x20, b"Auth failure.", False)
        assert binary_status(s, binary(SASL_AUTH, b"PLAIN", value=b"ann\0joe\0secret")) == (0x20, b"Auth failure.", False)
        assert binary_status(s, binary(SASL_AUTH, b"PLAIN")) == (0x21, b"", False)
        assert binary_status(s, binary(SASL_STEP, b"PLAIN", value=b"\0joe\0secret")) == (0, b"Authenticated", False)
        assert binary_status(s, binary(0x00, b"k")) == (0, b"\0\0\0\5hi", False)
    with connect() as s:
        s.sendall(binary(SASL_AUTH, b"PLAIN", value=b"\0ann\0pass:word") + binary(0x00, b"k"))
        got, _ = receive(s)
        assert b"Authenticated" in got and got.endswith(b"\0\0\0\5hi"), got
    with connect() as s:
        assert binary_status(s, binary(0x20, b"x")) == (0x04, b"Invalid arguments", True)


def check_bmemcached_sasl():
    import bmemcached

    c = bmemcached.Client([f"{SERVER}:{PORT}"], "joe", "secret")
    assert c.set("sasl", "yes") and c.get("sasl") == "yes"
    c.disconnect_all()
    c = bmemcached.Client([f"{SERVER}:{PORT}"], "joe", "nothing")
    try:
        assert not c.set("sasl", "no")
    except Exception as error:  # of whatever kind the client makes of it
        assert "uth" in str(error) or "redential" in str(error), error
    c.disconnect_all()


def check_users_change(appliance, path):
    """CONFIG SET reads the file again; a bad one changes nothing, and an empty name lets everybody in."""
    write_file(os.path.dirname(path), os.path.basename(path), "new:user\n")
    assert admin(appliance, "CONFIG", "SET", "memcached-auth-file", path) == "OK"
    with connect() as s:
        assert ask(s, b"set x 0 0 10\r\njoe secret\r\n", b"\r\n") == b"CLIENT_ERROR authentication failure\r\n"
        assert ask(s, b"set x 0 0 8\r\nnew user\r\n", b"\r\n") == b"STORED\r\n"
        settings = stats_of(s, b"stats settings")
        assert settings["auth_enabled_ascii"] == settings["auth_enabled_sasl"] == "yes"
        counts = stats_of(s)
        assert int(counts["auth_cmds"]) >= 8 and int(counts["auth_errors"]) >= 4, counts
    write_file(os.path.dirname(path), os.path.basename(path), "no colon here\n")
    assert ":1: not USER:PASSWORD" in admin(appliance, "CONFIG", "SET", "memcached-auth-file", path)
    with connect() as s:
        assert ask(s, b"set x 0 0 8\r\nnew user\r\n", b"\r\n") == b"STORED\r\n"
    assert admin(appliance, "CONFIG", "SET", "memcached-auth-file", "") == "OK"
    with connect() as s:
        assert ask(s, b"get sasl\r\n", b"END\r\n").startswith(b"VALUE")
    with connect() as s:
        assert binary_status(s, binary(SASL_LIST))[0] == 0x81


# --- statistics

def check_stats_names():
    """All names of memcached's own, in its order, and its settings but for those of parts that we lack."""
    with Memcached(), connect() as ours, socket.create_connection(("127.0.0.1", PEER_PORT)) as theirs:
        a, b = ([line.split(" ")[1] for line in lines_of(s, b"stats")] for s in (ours, theirs))
        assert a == [name for name in b if name != "libevent"], (set(a) ^ set(b))
        a, b = (stats_of(s, b"stats settings") for s in (ours, theirs))
        lacking = set(b) - set(a)
        assert set(a) <= set(b) and not [n for n in lacking if not n.startswith((
            "ext_", "ssl_", "slab_automove_", "hot_", "warm_", "temp", "lru_", "umask", "worker_logbuf", "read_buf",
            "track_sizes", "tail_repair", "num_napi", "memory_file"))], lacking


def check_stats_figures():
    with connect() as s:
        ask(s, b"flush_all\r\n", b"\r\n")
        assert ask(s, b"stats reset\r\n", b"\r\n") == b"RESET\r\n"
        ask(s, b"set read 0 0 1\r\nx\r\n", b"\r\n")
        ask(s, b"set unread 0 1 1\r\nx\r\n", b"\r\n")
        ask(s, b"get read nobody\r\n", b"END\r\n")
        ask(s, b"set large 0 0 2000000\r\n", b"\r\n")
        s.sendall(b"x" * 2000000 + b"\r\n")
        time.sleep(0.1)
    with connect() as s:
        wait_for(lambda: stats_of(s)["expired_unfetched"] == "1", 5, "count of what expired unread")
        found = stats_of(s)
        for name, value in (("get_hits", "1"), ("get_misses", "1"), ("cmd_set", "2"), ("store_too_large", "1"),
                            ("curr_items", "1"), ("reclaimed", "1"), ("evictions", "0")):
            assert found[name] == value, (name, found[name])
        conns = stats_of(s, b"stats conns")
        address = next(k for k, v in conns.items() if k.endswith(":addr") and v == "tcp:%s:%d" % s.getsockname())
        number = address.split(":")[0]
        assert conns[number + ":listen_addr"] == f"tcp:{SERVER}:{PORT}" and conns[number + ":state"] == "conn_read"
        assert conns[number + ":secs_since_last_cmd"] == "0"
        assert stats_of(s, b"stats items")["items:1:number"] == "1"
        assert stats_of(s, b"stats slabs")["1:used_chunks"] == "1"
        assert stats_of(s, b"stats sizes") == {"sizes_status": "disabled"}
        assert ask(s, b"stats detail on\r\n", b"\r\n") == b"OK\r\n"


def check_elasticache_metrics(appliance):
    with connect() as s:
        ask(s, b"set m 0 0 1\r\nx\r\n", b"\r\n")
        ask(s, b"get m\r\n", b"END\r\n")
        ask(s, b"config get cluster\r\n", b"END\r\n")
    m = appliance.metrics()
    for name in ("BytesUsedForCacheItems", "CurrItems", "CurrConnections", "NewConnections", "GetHits", "CmdGet", "CmdSet",
                 "CmdConfigGet", "BytesUsedForHash", "UnusedMemory"):
        assert m[f'wirecache_elasticache{{metric="{name}"}}'] > 0 or name == "CurrConnections", name


# --- watchers

def watched(s, seconds=1.0):
    return [dict(word.split("=", 1) for word in line.split(" "))
            for line in receive(s, seconds)[0].decode().splitlines()]


def check_watch(appliance):
    with connect() as w, connect() as s:
        assert ask(w, b"watch fetchers mutations\r\n", b"\r\n") == b"OK\r\n"
        ask(s, b"set w%1 0 100 5\r\nhello\r\n", b"\r\n")
        ask(s, b"add w%1 0 0 1\r\nx\r\n", b"\r\n")
        ask(s, b"get w%1 nobody\r\n", b"END\r\n")
        ask(s, b"mg w%1 v\r\n", b"hello\r\n")
        found = watched(w)
        assert [(f["type"], f["key"], f["status"]) for f in found] == [
            ("item_store", "w%251", "stored"), ("item_store", "w%251", "not_stored"), ("item_get", "w%251", "found"),
            ("item_get", "nobody", "not_found"), ("item_get", "w%251", "found")], found
        assert found[0]["cmd"] == "set" and found[1]["cmd"] == "add" and found[0]["ttl"] == "100"
        assert found[0]["size"] == found[2]["size"] == "5" and found[3]["size"] == "0"
        assert abs(float(found[0]["ts"]) - time.time()) < 5 and len({f["cfd"] for f in found}) == 1
        assert ask(w, b"get w%1\r\n", b"END\r\n").startswith(b"VALUE")  # goes on as a client
        numbers = stats_of(s)
        assert numbers["log_watchers"] == "1" and int(numbers["log_worker_written"]) >= 5
    with connect() as s:
        def gone():
            ask(s, b"get nobody\r\n", b"END\r\n")
            return stats_of(s)["log_watchers"] == "0"

        wait_for(gone, 5, "end of the watcher")
        assert ask(s, b"watch sysevents\r\n", b"\r\n") == b"ERROR\r\n"
    watchers = [connect() for _ in range(21)]
    replies = [ask(w, b"watch\r\n", b"\r\n") for w in watchers]
    assert replies == 20 * [b"OK\r\n"] + [b"WATCHER_TOO_MANY log watcher limit reached\r\n"], replies
    for w in watchers:
        w.close()
    with connect() as s:  # without anything to tell them
        wait_for(lambda: stats_of(s)["log_watchers"] == "0", 5, "end of the watchers")


def check_slow_watcher():
    """One that does not read loses lines; everybody else is served meanwhile, and it still is a client."""
    with connect() as w, connect() as s:
        w.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert ask(w, b"watch fetchers\r\n", b"\r\n") == b"OK\r\n"
        batch = b"get " + b" ".join(b"k%d" % i for i in range(100)) + b"\r\n"
        end = time.monotonic() + 15
        while time.monotonic() < end:
            for _ in range(50):
                ask(s, batch, b"END\r\n")
            numbers = stats_of(s)
            if int(numbers["log_watcher_skipped"]) + int(numbers["log_worker_dropped"]) > 1000:
                break
        else:
            raise AssertionError(f"nothing was skipped: {numbers}")


def check_watch_evictions():
    with connect() as w, connect() as s:
        assert ask(w, b"watch evictions\r\n", b"\r\n") == b"OK\r\n"
        s.sendall(b"".join(b"set e%d 0 0 100000 noreply\r\n%s\r\n" % (i, b"x" * 100000) for i in range(800)))
        ask(s, b"mn\r\n", b"MN\r\n")
        found = watched(w)
        assert len(found) > 100 and all(f["type"] == "eviction" and f["size"] == "100000" for f in found), found[:3]
        assert all(f["fetch"] == "no" and f["ttl"] == "-1" for f in found)
        numbers = stats_of(s)
        assert int(numbers["evicted_unfetched"]) == int(numbers["evictions"]) >= len(found)


# --- what memcached's documentation shows

# After its wiki's pages on commands and on meta commands, one conversation.
EXAMPLES = (
    b"set mykey 0 60 5\r\nhello\r\n", b"get mykey\r\n", b"add newkey 0 60 5\r\nfirst\r\n",
    b"add newkey 0 60 5\r\nagain\r\n", b"replace newkey 0 60 6\r\nsecond\r\n",
    b"append newkey 0 60 4\r\n end\r\n", b"prepend newkey 0 60 6\r\nbegin \r\n",
    b"get mykey newkey nokey\r\n", b"set number 0 60 2\r\n99\r\n", b"incr number 5\r\n",
    b"decr number 200\r\n", b"incr nokey 1\r\n", b"incr mykey 1\r\n", b"touch mykey 100\r\n",
    b"gat 100 mykey\r\n", b"delete newkey\r\n", b"delete newkey\r\n", b"ms foo 2 T0 F1\r\nhi\r\n",
    b"mg foo\r\n", b"mg foo s v f t\r\n", b"mg foo k Oopaque v\r\n", b"mg nokey v\r\n",
    b"mg nokey v q\r\nmn\r\n", b"mg foo v q\r\nmg nokey v q\r\nmg foo s q\r\nmn\r\n",
    b"ms YmFy 2 b\r\nhi\r\n", b"mg YmFy b k v\r\n", b"ms foo 3 ME\r\nnew\r\n", b"ms foo 3 MR\r\nnew\r\n",
    b"ms foo 1 MA\r\n!\r\n", b"ms foo 1 MP\r\n?\r\n", b"mg foo v\r\n", b"mg foo T30 t\r\n",
    b"mg herd N30 v t\r\n", b"mg herd N30 v t\r\n", b"ms herd 4 T300\r\ndone\r\n", b"mg herd N30 R30 v\r\n",
    b"md herd I T30\r\n", b"mg herd v\r\n", b"mg herd v\r\n", b"md herd\r\n", b"md herd q\r\nmn\r\n",
    b"ma count N0 J13 v\r\n", b"ma count D2 v\r\n", b"ma count MD D100 v\r\n", b"ma nokey\r\n", b"ma foo\r\n",
    b"me nokey\r\n", b"flush_all\r\n", b"get mykey\r\n", b"version\r\n", b"verbosity 1\r\n",
)


def check_examples():
    with Memcached(), connect() as ours, socket.create_connection(("127.0.0.1", PEER_PORT)) as theirs:
        for example in EXAMPLES:
            for s in (ours, theirs):
                s.sendall(example)
            a, b = receive(ours, 0.05)[0], receive(theirs, 0.05)[0]
            assert a == b, f"{example!r}: {a!r} and not {b!r}"


# --- limits

def check_memlimit(appliance):
    with connect() as s:
        for request, answer in ((b"7", b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"), (b"x", b"ERROR"),
                                (b"2000000000", b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes"),
                                (b"64", b"OK")):
            assert ask(s, b"cache_memlimit " + request + b"\r\n", b"\r\n") == answer + b"\r\n", request
        assert stats_of(s)["limit_maxbytes"] == str(64 << 20)
        assert ask(s, b"cache_memlimit 64 noreply\r\ncache_memlimit 7 noreply\r\nmn\r\n", b"\r\n") == b"MN\r\n"
    assert admin(appliance, "CONFIG", "GET", "maxmemory").split()[1] == str(64 << 20)


def check_idle_timeout(appliance):
    assert admin(appliance, "CONFIG", "SET", "memcached-idle-timeout", "2") == "OK"
    with connect() as idle, connect() as watcher, socket.create_connection((SERVER, 6379)) as resp:
        assert ask(watcher, b"watch evictions\r\n", b"\r\n") == b"OK\r\n"
        assert receive(idle, 10) == (b"", True)
        assert receive(watcher, 2) == (b"", False)  # which waits for something, and is no idle client
        resp.sendall(b"PING\r\n")
        assert resp.recv(100) == b"+PONG\r\n"
    assert admin(appliance, "CONFIG", "SET", "memcached-idle-timeout", "0") == "OK"


def check_shutdown(appliance):
    with connect() as s:
        assert ask(s, b"shutdown\r\n", b"\r\n") == b"ERROR: shutdown not enabled\r\n"
    assert admin(appliance, "CONFIG", "SET", "memcached-shutdown-enabled", "yes") == "OK"
    with connect() as s:
        assert ask(s, b"shutdown now\r\n", b"\r\n") == b"CLIENT_ERROR invalid shutdown mode\r\n"
        s.sendall(b"shutdown graceful\r\n")
        assert receive(s, 10) == (b"", True)
    wait_for(lambda: appliance.process.poll() is not None, 20, "end of the process")
    assert appliance.process.returncode == 0


def check_huge_items():
    """A value of nearly 1 GB, and one byte too many; RESP reads it, too."""
    size = (1 << 30) - 64 - len("huge")
    block = b"0123456789abcdef" * 65536
    with connect() as s:
        s.settimeout(120)
        s.sendall(b"set huge 0 0 %d\r\n" % size)
        left = size
        while left > 0:
            left -= len(block[:left])
            s.sendall(block if left > 0 else block[:size % len(block) or len(block)])
        assert ask(s, b"\r\n", b"\r\n") == b"STORED\r\n"
        s.sendall(b"get huge\r\n")
        head = b"VALUE huge 0 %d\r\n" % size
        got, wrong = 0, 0
        reader = s.makefile("rb", 1 << 20)
        assert reader.readline() == head
        while got < size:
            part = reader.read(min(len(block), size - got))
            assert part, "closed"
            wrong += part != block[:len(part)]
            got += len(part)
        assert wrong == 0 and reader.readline() == b"\r\n" and reader.readline() == b"END\r\n"
        assert ask(s, b"delete huge\r\n", b"\r\n") == b"DELETED\r\n"
        assert ask(s, b"set huge 0 0 %d\r\n" % (1 << 30), b"\r\n") == b"SERVER_ERROR object too large for cache\r\n"


PARAMETERS = """# of a parameter group
max_item_size 4194304
chunk_size 96
chunk_size_growth_factor 1.5
disable_flush_all 1
error_on_memory_exhausted 0
idle_timeout 300
cas_disabled 0
binding_protocol ascii
hash_algorithm jenkins
lru_crawler 0
slab_automove 2
maxconns_fast 1
max_simultaneous_connections 5000
memcached_connections_overhead 100
inline_ascii_resp 1
no_modern 0
"""


def check_parameters():
    with connect() as s:
        found = stats_of(s, b"stats settings")
        for name, value in (("item_size_max", "4194304"), ("chunk_size", "96"), ("growth_factor", "1.5"),
                            ("flush_enabled", "no"), ("evictions", "on"), ("idle_timeout", "300"), ("cas_enabled", "yes"),
                            ("binding_protocol", "ascii"), ("hash_algorithm", "jenkins"), ("lru_crawler", "no"),
                            ("slab_automove", "2"), ("maxconns_fast", "yes"), ("maxconns", "5000"),
                            ("inline_ascii_response", "yes"), ("reqs_per_event", "20")):
            assert found[name] == value, (name, found[name])
        assert ask(s, b"flush_all\r\n", b"\r\n") == b"CLIENT_ERROR flush_all not allowed\r\n"
    with connect() as s:
        s.sendall(binary(VERSION) + b"\r\n")
        assert receive(s)[0] == b"ERROR\r\n"


def check_bad_parameters(folder):
    """Each is named with its line and what it takes, and nothing is started."""
    path = write_file(folder, "bad", "max_item_size 12\nno_such 1\nlru_crawler maybe\nhash_algorithm md5\nchunk_size\n")
    done = subprocess.run([harness.BINARY, "--memcached-parameter-file", path, "--check-config"], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1
    for line, words in ((1, "from 1024 to"), (2, "no_such"), (3, "0 or 1"), (4, "jenkins|murmur3|xxh3"), (5, "from 1")):
        assert any(text.startswith(f"{path}:{line}:") and words in text for text in done.stderr.splitlines()), done.stderr


def main():
    harness.require_root()
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        users = write_file(folder, "users", "# who may\njoe:secret\n\nann:pass:word\n")
        with Appliance("af_packet", 2, 2, ("--memcached-auth-file", users)) as appliance:
            checks.run("users, text", check_text_scheme, folder)
            checks.run("users, text, in one go", check_text_pipelined)
            checks.run("users, SASL", check_sasl)
            checks.run("python-binary-memcached with a password", check_bmemcached_sasl)
            checks.run("users change", check_users_change, appliance, users)
            checks.run("names of statistics", check_stats_names)
            checks.run("figures of statistics", check_stats_figures)
            checks.run("ElastiCache's metrics", check_elasticache_metrics, appliance)
            checks.run("watch", check_watch, appliance)
            checks.run("a watcher that does not read", check_slow_watcher)
            checks.run("idle timeout", check_idle_timeout, appliance)
        options = ("--maxmemory", "128mb", "--maxmemory-policy", "allkeys-lru")
        with Appliance("af_packet", 2, 2, options) as appliance:
            checks.run("documented examples", check_examples)
            checks.run("cache_memlimit", check_memlimit, appliance)
            checks.run("watch evictions", check_watch_evictions)
            checks.run("shutdown", check_shutdown, appliance)
        parameters = write_file(folder, "parameters", PARAMETERS)
        with Appliance("af_packet", options=("--memcached-parameter-file", parameters)):
            checks.run("parameter group", check_parameters)
        checks.run("a bad parameter group", check_bad_parameters, folder)
        with Appliance("af_packet", options=("--memcached-max-item-size", "1gb", "--maxmemory", "3gb")):
            checks.run("items of 1 GB", check_huge_items)
    checks.finish()


if __name__ == "__main__":
    main()
