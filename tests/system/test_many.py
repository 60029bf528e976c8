#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""More connections than a machine has descriptors: hosts that are only frames open them, ask, and go away.

CONNECTIONS=999000 tests/system/test_many.py opens that many; without it there are 100,000.
"""

import os
import random
import select
import socket
import struct
import time

import harness
from harness import SERVER, Appliance, Checks, sh

ASAN = "asan" in harness.BUILD
COUNT = int(os.environ.get("CONNECTIONS", "20000" if ASAN else "100000"))
HOSTS, PORT_FIRST = 16, 1024
WINDOW = 512    # handshakes under way
PATIENCE_S = 1  # before something is said again
ISN = 1000
SYN, RST, PSH, ACK = 0x02, 0x04, 0x08, 0x10
PING, PONG = b"PING\r\n", b"+PONG\r\n"


def add_up(data):
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def fold(total):
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Hosts:
    """The other ends of all connections, by number."""

    def __init__(self):
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.raw.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
        self.raw.bind(("client0", 3))
        sh("ping", "-c", "1", "-W", "2", SERVER)
        line = sh("ip", "neigh", "show", SERVER).split()
        self.server_mac = bytes.fromhex(line[line.index("lladdr") + 1].replace(":", ""))
        self.mac = self.raw.getsockname()[4]
        self.server = socket.inet_aton(SERVER)
        self.addresses = [socket.inet_aton(f"10.98.0.{100 + i}") for i in range(HOSTS)]
        self.number_of = {address: i for i, address in enumerate(self.addresses)}
        self.theirs = {}  # the server's initial number, by connection

    def send(self, connection, seq, ack, flags, payload=b""):
        source, port = self.addresses[connection % HOSTS], PORT_FIRST + connection // HOSTS
        padded = payload + b"\0" * (len(payload) % 2)
        tcp = struct.pack("!HHIIBBHHH", port, 6379, seq, ack & 0xffffffff, 0x50, flags, 65535, 0, 0)
        total = add_up(tcp + padded + source + self.server) + 6 + len(tcp) + len(payload)
        tcp = tcp[:16] + struct.pack("!H", fold(total)) + tcp[18:] + payload
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, self.server)
        ip = ip[:10] + struct.pack("!H", fold(add_up(ip))) + ip[12:]
        self.raw.send(self.server_mac + self.mac + b"\x08\x00" + ip + tcp)

    def answer_arp(self, frame):
        operation, asked = struct.unpack("!H", frame[20:22])[0], frame[38:42]
        if operation == 1 and asked in self.number_of:
            self.raw.send(frame[6:12] + self.mac + frame[12:20] + b"\0\2" + self.mac + asked + frame[22:32])

    def received(self, seconds):
        """Segments of the server: connection, seq, ack, flags, payload."""
        while select.select([self.raw], [], [], seconds)[0]:
            frame, address = self.raw.recvfrom(2048)
            seconds = 0
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if frame[12:14] == b"\x08\x06":
                self.answer_arp(frame)
            elif frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[30:34] in self.number_of:
                port, seq, ack, offset, flags = struct.unpack("!HIIBB", frame[36:48])
                length = struct.unpack("!H", frame[16:18])[0]
                yield ((port - PORT_FIRST) * HOSTS + self.number_of[frame[30:34]], seq, ack, flags,
                       frame[34 + offset // 16 * 4:14 + length])

    def open_all(self, count):
        waiting, following = {}, 0
        while following < count or waiting:
            while following < count and len(waiting) < WINDOW:
                self.send(following, ISN, 0, SYN)
                waiting[following] = time.monotonic()
                following += 1
            for connection, seq, _, flags, _ in self.received(0.01):
                if flags & (SYN | ACK) == SYN | ACK:
                    self.theirs[connection] = seq
                    waiting.pop(connection, None)
                    self.send(connection, ISN + 1, seq + 1, ACK)
            late = time.monotonic() - PATIENCE_S
            for connection in [c for c, since in waiting.items() if since < late]:
                self.send(connection, ISN, 0, SYN)
                waiting[connection] = time.monotonic()

    def settle(self, condition, seconds, what):
        """Answers what is still asked until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, what
            for connection, seq, _, flags, _ in self.received(0.05):
                if flags & SYN:
                    self.theirs[connection] = seq
                    self.send(connection, ISN + 1, seq + 1, ACK)

    def ping(self, connections):
        waiting, asked = set(connections), 0
        end = time.monotonic() + 20
        while waiting:
            assert time.monotonic() < end, f"{len(waiting)} of {len(connections)} connections do not answer"
            if time.monotonic() > asked + PATIENCE_S:
                asked = time.monotonic()
                for connection in waiting:
                    self.send(connection, ISN + 1, self.theirs[connection] + 1, PSH | ACK, PING)
            for connection, seq, ack, _, payload in self.received(0.1):
                if payload:
                    assert payload == PONG and ack == ISN + 1 + len(PING), (connection, payload)
                    assert seq == (self.theirs[connection] + 1) & 0xffffffff, connection
                    self.send(connection, ISN + 1 + len(PING), seq + len(PONG), ACK)
                    waiting.discard(connection)

    def reset(self, connections, sequence):
        for i, connection in enumerate(connections):
            self.send(connection, sequence(connection), 0, RST)
            if i % 64 == 0:
                time.sleep(0.0005)


def resident_bytes(appliance):
    with open(f"/proc/{appliance.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connections(appliance):
    return appliance.metrics()["wirecache_connections"]


def check_many(appliance):
    hosts, rng = Hosts(), random.Random(1)
    before, start = resident_bytes(appliance), time.monotonic()
    hosts.open_all(COUNT)
    hosts.settle(lambda: connections(appliance) == COUNT, 60, "not all connections are there")
    took = time.monotonic() - start
    each = (resident_bytes(appliance) - before) / COUNT
    print(f"#   {COUNT} connections, {COUNT / took:.0f} a second, {each:.0f} bytes each")
    asked = set(rng.sample(range(COUNT), 2000))
    hosts.ping(asked)
    assert connections(appliance) == COUNT
    with socket.create_connection((SERVER, 6379), timeout=10) as s:
        s.sendall(PING)
        assert s.recv(16) == PONG
    end = time.monotonic() + 120
    while connections(appliance) > 0:
        assert time.monotonic() < end, f"{connections(appliance)} connections are left"
        hosts.reset(range(COUNT), lambda c: ISN + 1 + (len(PING) if c in asked else 0))
    assert ASAN or each <= 448, "an idle connection costs too much"


def main():
    harness.require_root()
    checks = Checks()
    with Appliance("af_packet", 1, 1, ("--maxclients", str(COUNT + 1000), "--tcp-keepalive", "0")) as appliance:
        checks.run(f"{COUNT} connections", check_many, appliance)
    checks.finish()


if __name__ == "__main__":
    main()
