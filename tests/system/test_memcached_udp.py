#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""memcached by UDP: frames as memcached's own, limits, and nothing for those who forge senders."""

import os
import socket
import struct
import subprocess
import time

import harness
from harness import SERVER, Appliance, Checks, wait_for
from test_memcached import ask, check_memcaslap

PORT = 11211
PEER_PORT = 22122
HEADER = struct.Struct("!HHHH")
SO_RCVBUFFORCE = 33
ALLOW = ("--allow-from", "10.98.0.0/24,fd00:98::/64", "--memcached-udp-port", str(PORT))


def datagram_socket(address=(SERVER, PORT)):
    s = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # a long reply comes all at once
    s.connect(address)
    return s


def exchange(s, requests, request_id=7, sequence=0, total=1, quiet_s=0.3):
    """All datagrams that come within a while, as (header, payload)."""
    s.send(HEADER.pack(request_id, sequence, total, 0) + requests)
    s.settimeout(quiet_s)
    found = []
    while True:
        try:
            datagram = s.recv(65536)
        except (socket.timeout, ConnectionRefusedError):
            return found
        found.append((HEADER.unpack(datagram[:8]), datagram[8:]))
        if found[-1][0][1] + 1 == found[-1][0][2]:
            s.settimeout(0.05)


def whole(found, request_id=7):
    """The reply, of datagrams that are numbered without a gap."""
    found = sorted(found)
    assert found and [h[1] for h, _ in found] == list(range(len(found))), found
    assert all(h == (request_id, i, len(found), 0) for i, (h, _) in enumerate(found)), found
    return b"".join(payload for _, payload in found)


class Memcached:
    """The real one, in the client's namespace."""

    def __enter__(self):
        # One thread: with several, what ends a request that was cut may come to another one.
        self.process = subprocess.Popen(["memcached", "-u", "root", "-t", "1", "-l", "127.0.0.1", "-p", str(PEER_PORT),
                                         "-U", str(PEER_PORT)])
        wait_for(lambda: self.reachable(), 10, "memcached")
        return self

    @staticmethod
    def reachable():
        try:
            socket.create_connection(("127.0.0.1", PEER_PORT), timeout=1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def binary(opcode, key=b"", extras=b"", value=b""):
    return struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(key) + len(extras) + len(value),
                       9, 0) + extras + key + value


SAME = (
    b"set u 5 0 3\r\nabc\r\n", b"get u\r\n", b"get nobody\r\n", b"delete u\r\n", b"delete u\r\n", b"bogus\r\n",
    b"add long 0 0 1000\r\n" + b"x" * 1000 + b"\r\n", b"append long 0 0 400\r\n" + b"y" * 400 + b"\r\n", b"get long\r\n",
    b"set q 0 0 1 noreply\r\nx\r\n", b"get q\r\n", b"mg q v\r\n", b"ms m 2 F3\r\nhi\r\n", b"mg m v f s\r\n", b"mn\r\n",
    b"set n 0 0 2\r\n41\r\n", b"incr n 1\r\n", b"decr n 50\r\n", b"touch n 100\r\n", b"version\r\n",
    binary(0x01, b"bin", b"\0\0\0\5\0\0\0\0", b"value"), binary(0x09, b"nobody"), binary(0x0a), binary(0x0b),
    b"get", b"set cut 0 0 10\r\nxx", b"flush_all\r\n",
)


def without_unique(reply):
    return reply[:16] + reply[24:] if reply[:1] == b"\x81" else reply


def check_same_as_memcached():
    """Requests with one reply each, byte for byte; a datagram that is cut is answered by neither."""
    with Memcached(), datagram_socket() as ours, datagram_socket(("127.0.0.1", PEER_PORT)) as theirs:
        for request in SAME:
            # What is not answered memcached answers by a frame with nothing in it, of no datagrams.
            a, b = ([(h, without_unique(p)) for h, p in exchange(s, request) if p] for s in (ours, theirs))
            assert a == b, f"{request[:60]!r}: {a} and not {b}"
            if request in (b"get", b"set cut 0 0 10\r\nxx"):  # which memcached waits for
                exchange(theirs, b"\r\n")


def check_long_replies():
    with socket.create_connection((SERVER, PORT), timeout=10) as t, datagram_socket() as u:
        for size in (1391 - 20, 1392, 5000, 100000, 1000000):
            value = os.urandom(size // 2).hex().encode()
            assert ask(t, b"set big 0 0 %d\r\n%s\r\n" % (len(value), value), b"\r\n") == b"STORED\r\n"
            expected = b"VALUE big 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
            for attempt in range(3):  # a burst of 700 datagrams may lose one
                found = exchange(u, b"get big\r\n", 100 + attempt)
                if sum(len(p) for _, p in found) == len(expected):
                    break
            assert whole(found, 100 + attempt) == expected
            assert all(len(payload) == 1392 for _, payload in sorted(found)[:-1])
        ask(t, b"set one 0 0 1\r\n1\r\n", b"\r\n")
        assert whole(exchange(u, b"get one nobody one\r\nget one\r\n")) == \
            b"VALUE one 0 1\r\n1\r\nVALUE one 0 1\r\n1\r\nEND\r\nVALUE one 0 1\r\n1\r\nEND\r\n"


def check_bad_frames(appliance):
    before = appliance.metrics()
    with datagram_socket() as u:
        for frame in (b"", b"\0", b"\0\1\0\0\0\1\0"):
            u.send(frame)
        assert exchange(u, b"get a\r\n", sequence=1) == []
        assert exchange(u, b"get a\r\n", total=2) == []
        assert exchange(u, b"get a") == []
        assert whole(exchange(u, b"stats\r\n")) == b"SERVER_ERROR not by UDP\r\n"
        assert exchange(u, b"quit\r\n") == []
        assert whole(exchange(u, b"get nobody\r\n")) == b"END\r\n"
    after = appliance.metrics()
    # An empty UDP datagram is one without a frame, as the others are.
    assert after["wirecache_memcache_udp_bad_total"] - before["wirecache_memcache_udp_bad_total"] == 6


def check_ipv6():
    with datagram_socket((harness.SERVER6, PORT)) as u:
        assert whole(exchange(u, b"set six 0 0 1\r\n6\r\n")) == b"STORED\r\n"
        assert whole(exchange(u, b"get six\r\n")) == b"VALUE six 0 1\r\n6\r\nEND\r\n"


def check_rate(appliance):
    """A host that asks more than it may is answered so much, and no more; others are not its business."""
    with datagram_socket() as u:
        u.settimeout(0.5)
        start, sent = time.monotonic(), 0
        answered = 0
        u.setblocking(False)
        while time.monotonic() < start + 1:
            u.send(HEADER.pack(sent % 65536, 0, 1, 0) + b"mn\r\n")
            sent += 1
            try:
                while u.recv(100):
                    answered += 1
            except BlockingIOError:
                pass
        time.sleep(0.2)
        try:
            while u.recv(100):
                answered += 1
        except BlockingIOError:
            pass
    assert sent > 3000, f"only {sent} were sent"
    assert 800 <= answered <= 1400, f"{answered} of {sent} were answered"
    assert appliance.metrics()['wirecache_drops_total{reason="udp_rate"}'] > 0


def check_no_amplification(appliance):
    """Without allow-from nobody gets more back than it has sent, since the sender may be forged."""
    with socket.create_connection((SERVER, PORT), timeout=10) as t, datagram_socket() as u:
        assert ask(t, b"set a 0 0 100\r\n" + b"x" * 100 + b"\r\n", b"\r\n") == b"STORED\r\n"
        assert exchange(u, b"get a\r\n") == []
        assert exchange(u, b"get nobody\r\n") != []
        assert whole(exchange(u, b"set b 0 0 30\r\n" + b"y" * 30 + b"\r\n")) == b"STORED\r\n"
    assert appliance.metrics()["wirecache_memcache_udp_amplifying_total"] == 1


def check_servers_ports(appliance):
    """What comes from a server's port may be a server's answer, which would be answered for ever."""
    before = appliance.metrics()['wirecache_drops_total{reason="udp_server"}']
    for port in (PORT, 53):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            u.bind((harness.CLIENT, port))
            u.connect((SERVER, PORT))
            assert exchange(u, b"ERROR\r\n") == []
    assert appliance.metrics()['wirecache_drops_total{reason="udp_server"}'] == before + 2


def check_off(appliance):
    with datagram_socket() as u:
        assert exchange(u, b"get a\r\n") == []
    assert appliance.metrics()['wirecache_drops_total{reason="udp_port"}'] > 0


def main():
    harness.require_root()
    checks = Checks()
    with Appliance("af_packet", 2, 2, ALLOW) as appliance:
        checks.run("the same as memcached", check_same_as_memcached)
        checks.run("long replies", check_long_replies)
        checks.run("frames that are none", check_bad_frames, appliance)
        checks.run("IPv6", check_ipv6)
        checks.run("ports of servers", check_servers_ports, appliance)
        checks.run("memcaslap by UDP", check_memcaslap, "--udp")
        checks.run("back at the baseline", appliance.settled)
    with Appliance("af_packet", 1, 1, (*ALLOW, "--memcached-udp-rate", "1000")) as appliance:
        checks.run("a rate for each host", check_rate, appliance)
    with Appliance("af_packet", 1, 1, ("--memcached-udp-port", str(PORT))) as appliance:
        checks.run("no amplification", check_no_amplification, appliance)
    with Appliance("af_packet") as appliance:
        checks.run("off unless it is asked for", check_off, appliance)
    checks.finish()


if __name__ == "__main__":
    main()
