#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Malformed protocol bytes and absurd frames: answered or counted, and everybody else is served on."""

import os
import random
import socket
import struct
import time

import harness
from harness import CLIENT, SERVER, Appliance, Checks, sh

SEED = int(os.environ.get("SEED", "1"))

RESP_ERRORS = [
    (b"*-5x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1048577\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*99999999999999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1\r\nx4\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'x'\r\n"),
    (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$abc\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"SET \"unbalanced\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"x" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
    (b"*" + b"1" * 70000, b"-ERR Protocol error: too big mbulk count string\r\n"),
]

MEMCACHED_ERRORS = [
    (b"nonsense\r\n", b"ERROR\r\n"),
    (b"get\r\n", b"ERROR\r\n"),
    (b"get " + b"k" * 251 + b"\r\n", b"CLIENT_ERROR bad command line format\r\n"),
    (b"set k 0 0 x\r\n", b"CLIENT_ERROR bad command line format\r\n"),
    (b"set k 0 0 -1\r\n", b"CLIENT_ERROR bad command line format\r\n"),
    (b"set k 0 0 1\r\nxyz\r\n", b"CLIENT_ERROR bad data chunk\r\n"),
    (b"incr k notanumber\r\n", b"CLIENT_ERROR invalid numeric delta argument\r\n"),
]


def exchange(port, request, expected):
    s = socket.create_connection((SERVER, port), timeout=10)
    try:
        s.sendall(request)
        got = b""
        while len(got) < len(expected):
            part = s.recv(4096)
            if not part:
                break
            got += part
        assert got[:len(expected)] == expected, (request[:60], got[:200])
    finally:
        s.close()


def alive():
    exchange(6379, b"PING\r\n", b"+PONG\r\n")


def check_protocol_errors():
    for request, expected in RESP_ERRORS:
        exchange(6379, request, expected)
    for request, expected in MEMCACHED_ERRORS:
        exchange(11211, request, expected)


def check_random_bytes():
    r = random.Random(SEED)
    for port in (6379, 11211):
        for _ in range(200):
            s = socket.create_connection((SERVER, port), timeout=10)
            try:
                s.sendall(r.choice([b"*", b"$", b"get ", b"set ", b""]) + r.randbytes(r.randrange(1, 3000)))
                if r.random() < 0.5:
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(4096):
                        pass
            except ConnectionResetError:
                pass  # a refusal is an answer
            finally:
                s.close()
    alive()


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Wire:
    """Raw frames from the client's side of the device."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))
        sh("ping", "-c", "1", "-W", "2", SERVER)
        neighbour = sh("ip", "neigh", "show", SERVER).split()
        self.remote = bytes.fromhex(neighbour[neighbour.index("lladdr") + 1].replace(":", ""))
        self.local = self.socket.getsockname()[4]

    def frame(self, payload, ethertype=0x0800):
        return self.remote + self.local + struct.pack(">H", ethertype) + payload

    def ip(self, payload, protocol=6, version_ihl=0x45, total=None, frag=0, source=CLIENT, bad_checksum=False, options=b""):
        header = struct.pack(">BBHHHBBH4s4s", version_ihl, 0, total if total is not None else 20 + len(options) + len(payload),
                             1, frag, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(SERVER)) + options
        value = checksum(header) ^ (0x5555 if bad_checksum else 0)
        return header[:10] + struct.pack(">H", value) + header[12:] + payload

    def tcp(self, flags=2, offset=5, options=b"", data=b"", bad_checksum=False, sport=40000, dport=6379):
        header = struct.pack(">HHIIBBHHH", sport, dport, 1000, 0, offset << 4, flags, 65535, 0, 0) + options
        pseudo = socket.inet_aton(CLIENT) + socket.inet_aton(SERVER) + struct.pack(">BBH", 0, 6, len(header) + len(data))
        value = checksum(pseudo + header + data) ^ (0x5555 if bad_checksum else 0)
        return header[:16] + struct.pack(">H", value) + header[18:] + data

    def send(self, frame):
        self.socket.send(frame)


def absurd_frames(w):
    """(the reason that must be counted, or None when several may be, and the frame)"""
    syn = w.tcp()
    return [
        ("ip4_short", w.frame(w.ip(syn, total=2000))),
        ("ip4_short", w.frame(w.ip(syn)[:19])),
        ("ip4_version", w.frame(w.ip(syn, version_ihl=0x65))),
        ("ip4_version", w.frame(w.ip(syn, version_ihl=0x44))),
        ("ip4_checksum", w.frame(w.ip(syn, bad_checksum=True))),
        ("ip4_fragment", w.frame(w.ip(syn, frag=0x2000))),
        ("ip4_fragment", w.frame(w.ip(syn, frag=0x0010))),
        ("ip4_source", w.frame(w.ip(syn, source="224.0.0.1"))),
        ("ip4_protocol", w.frame(w.ip(b"\0" * 8, protocol=47))),
        ("tcp_checksum", w.frame(w.ip(w.tcp(bad_checksum=True)))),
        ("tcp_short", w.frame(w.ip(w.tcp(offset=4)))),
        ("tcp_short", w.frame(w.ip(w.tcp(offset=15)))),
        ("tcp_option", w.frame(w.ip(w.tcp(offset=6, options=b"\x02\x00\x00\x00")))),
        ("tcp_no_listener", w.frame(w.ip(w.tcp(dport=81)))),
        ("tcp_no_conn", w.frame(w.ip(w.tcp(flags=0x10, sport=41234)))),
        ("udp_port", w.frame(w.ip(struct.pack(">HHHH", 5000, 5001, 8, 0), protocol=17))),
        ("udp_bad", w.frame(w.ip(struct.pack(">HHHH", 5000, 5001, 80, 0), protocol=17))),
        ("arp_bad", w.frame(b"\0\x01\x08\0\x06\x04\0\x01", 0x0806)),
        ("eth_type", w.frame(b"\0" * 60, 0x88B5)),
    ]


def check_absurd_frames(appliance):
    w = Wire("wire0")
    for reason, frame in absurd_frames(w):
        name = f'wirecache_drops_total{{reason="{reason}"}}'
        before = appliance.metrics().get(name, 0)
        w.send(frame)
        for _ in range(40):
            after = appliance.metrics().get(name, 0)
            if after > before:
                break
        assert after > before, f"{reason} was not counted for {frame.hex()}"
    alive()


def check_random_frames():
    w = Wire("wire0")
    r = random.Random(SEED)
    for _ in range(5000):
        frame = bytearray(w.frame(w.ip(w.tcp(flags=r.randrange(64), offset=r.randrange(16), sport=r.randrange(1, 65536),
                                             options=r.randbytes(r.choice([0, 4, 20])), data=r.randbytes(r.randrange(64))))))
        for _ in range(r.randrange(4)):
            frame[r.randrange(14, len(frame))] = r.randrange(256)
        w.send(bytes(frame[:r.randrange(14, len(frame) + 1)]))
    alive()


def wait_for_last_write(admin):
    """Until the others have been read to their end; then their writes are ahead of this connection's next one."""
    for _ in range(600):
        admin.sendall(b"INFO clients\r\n")
        if b"\r\nadmin_clients:1\r\n" in admin.recv(65536):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("clients that have gone are still counted")
    admin.sendall(b"SET last write\r\n")
    assert admin.recv(16) == b"+OK\r\n"


def check_leaving_admin_clients(appliance):
    """Writes of admin clients that have gone are still out; while the worker is busy they must not add up."""
    keys = 400000

    def body():
        with socket.create_connection(("127.0.0.1", 6380), timeout=30) as s:
            pairs = b"".join(b"$8\r\nk%07d\r\n$1\r\nv\r\n" % i for i in range(keys))
            s.sendall(b"*%d\r\n$4\r\nMSET\r\n" % (2 * keys + 1) + pairs)
            for _ in range(3000):
                with socket.create_connection(("127.0.0.1", 6380), timeout=30) as leaving:
                    leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    leaving.sendall(b"SET a b\r\n")
            assert s.recv(16) == b"+OK\r\n"
            s.sendall(b"DBSIZE\r\n")
            assert int(s.recv(32)[1:]) >= keys
            wait_for_last_write(s)

    harness.in_namespace(appliance.server, body)


def main():
    harness.require_root()
    print(f"# SEED={SEED}")
    checks = Checks()
    with Appliance() as appliance:
        checks.run("protocol errors as the originals word them", check_protocol_errors)
        checks.run("random bytes", check_random_bytes)
        checks.run("absurd frames are counted by reason", check_absurd_frames, appliance)
        checks.run("random frames", check_random_frames)
        checks.run("admin clients that leave without their replies", check_leaving_admin_clients, appliance)
        checks.run("back at the baseline", appliance.settled)
    checks.finish()


if __name__ == "__main__":
    main()
