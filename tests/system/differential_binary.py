#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""memcached's binary protocol, packet for packet against memcached 1.6.18.

Sends the same seeded random packets, good and bad, cut anywhere, to a memcached that it starts
itself and to ours, and compares the answers. Prints the seed; --seed replays. Exit 0, 1, or 77 when
there is no memcached or no server of ours to start.

Known and intended differences, which the generator steers around or the comparison levels out:
  - cas uniques are compared by whether there is one; requests use those that each server told;
  - touch and gat renew the cas unique here: the keys that they are tried on are not compared by it;
  - memcached drops the body of an unknown command twice over its key and extras, and does not drop
    a value behind touch and gat: unknown commands come with a value only, touch and gat without;
  - counters are given values that are numbers, or clearly none (see differential_memcached.py), and
    no other commands read the ones that got shorter;
  - after a wrong magic memcached drops the answers that it still owes: such a packet is sent alone;
  - stat is compared by its end, sasl not at all.
"""
import argparse
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

from differential_memcached import free_port, wait_for

HEADER = struct.Struct("!BBHBBHIIQ")
LAST = 0xfeedbeef
STALE = 1 << 60  # nobody's unique
GET, SET, ADD, REPLACE, DELETE, INCR, DECR, QUIT, FLUSH = range(9)
GETQ, NOOP, VERSION, GETK, GETKQ, APPEND, PREPEND, STAT = range(9, 17)
SETQ, ADDQ, REPLACEQ, DELETEQ, INCRQ, DECRQ, QUITQ, FLUSHQ, APPENDQ, PREPENDQ = range(17, 27)
TOUCH, GAT, GATQ, GATK, GATKQ = 0x1c, 0x1d, 0x1e, 0x23, 0x24
KEYS = [b"k%d" % i for i in range(8)] + [b"a b\0c\xff", b"y" * 250]
TOUCHED = [b"t%d" % i for i in range(4)]
COUNTERS = [b"n%d" % i for i in range(4)]
EXPTIMES = [0, 0, 0, 1000, 2592000, 2592001, 4000000000, 0xfffffffe]


def packet(opcode, key=b"", extras=b"", value=b"", cas=0, opaque=0, **wrong):
    fields = {"magic": 0x80, "key_len": len(key), "extras_len": len(extras), "body_len": len(key) + len(extras) + len(value), **wrong}
    return HEADER.pack(fields["magic"], opcode, fields["key_len"], fields["extras_len"], 0, 0, fields["body_len"], opaque, cas) \
        + extras + key + value


class Closed(Exception):
    pass


class Server:
    def __init__(self, host, port):
        self.address, self.unique = (host, port), {}
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(self.address, 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data, cuts):
        at = 0
        for place in sorted({int(len(data) * c) for c in cuts} | {len(data)}):
            try:
                self.socket.sendall(data[at:place])
            except OSError:
                return  # it has closed, and said so
            at = place
            if cuts and len(data) < 4096:
                time.sleep(0.0002)

    def answer(self):
        head = self.file.read(24)
        if len(head) < 24:
            raise Closed
        magic, opcode, key_len, extras_len, kind, status, body_len, opaque, cas = HEADER.unpack(head)
        body = self.file.read(body_len)
        return (magic, opcode, key_len, extras_len, kind, status, opaque, body), cas

    def answers(self, keys, until_closed):
        """Up to the last packet's; uniques are remembered by key and levelled."""
        found = []
        try:
            while not found or found[-1][6] != LAST:
                one, cas = self.answer()
                key = keys.get(one[6])
                if cas and key is not None:
                    self.unique[key] = cas
                found.append(one + (bool(cas) if key not in TOUCHED else None,))
        except (Closed, ConnectionResetError):
            if not until_closed:
                raise
            found.append("closed")
            self.file.close()
            self.socket.close()
            self.connect()
        return found


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def value(self):
        r = self.rng
        return bytes(r.choice(b"ab\r\n\0\xff") for _ in range(r.choice([0, 1, 3, 10, 100]))) * r.choice([1, 1, 1, 40, 400])

    def one(self):
        """Opcode, key, extras, value, what kind of unique."""
        r = self.rng
        pick, key = r.random(), r.choice(KEYS)
        unique = r.choice([None] * 6 + ["right", "stale"])
        if pick < 0.25:
            return r.choice([GET, GETQ, GETK, GETKQ]), r.choice(KEYS + TOUCHED), b"", b"", None
        if pick < 0.5:
            opcode = r.choice([SET, SET, SETQ, ADD, ADDQ, REPLACE, REPLACEQ])
            return opcode, key, struct.pack("!II", r.choice([0, 1, 0xffffffff]), r.choice(EXPTIMES)), self.value(), unique
        if pick < 0.55:
            return SET, r.choice(TOUCHED), struct.pack("!II", 7, 0), self.value(), None
        if pick < 0.62:
            return r.choice([APPEND, APPENDQ, PREPEND, PREPENDQ]), key, b"", self.value(), unique
        if pick < 0.70:
            return r.choice([TOUCH, GAT, GATQ, GATK, GATKQ]), r.choice(TOUCHED), struct.pack("!I", r.choice(EXPTIMES)), b"", None
        if pick < 0.78:
            return r.choice([DELETE, DELETEQ]), r.choice(KEYS + COUNTERS), b"", b"", unique
        if pick < 0.83:
            return SET, r.choice(COUNTERS), bytes(8), r.choice([b"0", b"5", b"99", b"123456", b"x", b""]), None
        if pick < 0.93:
            extras = struct.pack("!QQI", r.choice([0, 1, 7, 1 << 40]), r.choice([0, 5, 1 << 50]),
                                 r.choice([0, 1000, 0xffffffff, 0xffffffff]))
            return r.choice([INCR, INCRQ, DECR, DECRQ]), r.choice(COUNTERS), extras, b"", unique
        if pick < 0.94:
            return r.choice([FLUSH, FLUSHQ]), b"", r.choice([b"", bytes(4)]), b"", None
        return r.choice([(NOOP, b"", b"", b"", None), (VERSION, b"", b"", b"", None),
                         (r.choice([0x1b, 0x30, 0x77, 0xff]), b"", b"", self.value(), None)])

    def bad(self):
        """What ends the connection."""
        r = self.rng
        return r.choice([
            packet(GET), packet(GET, b"k", b"1234"), packet(GET, b"k", b"", b"v"), packet(SET, b"k"), packet(SET, b"", bytes(8)),
            packet(SET, b"k", bytes(4)), packet(DELETE, b"k", bytes(4)), packet(INCR, b"k"), packet(INCR, b"k", bytes(20), b"v"),
            packet(VERSION, b"k"), packet(NOOP, b"", b"", b"v"), packet(FLUSH, b"k"), packet(FLUSH, b"", bytes(8)), packet(QUIT),
            packet(QUITQ), packet(QUIT, b"k"), packet(GET, b"y" * 251), packet(GET, b"k", key_len=2, body_len=1) + b"zz",
            packet(TOUCH, b"k"), packet(STAT, b"k", b"1"), packet(GET, b"k", magic=0x81), packet(GET, b"k", magic=0),
            packet(APPEND, b"k", bytes(4)), packet(GET, b"kk", body_len=1)])


def run(pair, rng, seconds):
    gen = Generator(rng)
    for server in pair:
        server.send(packet(FLUSH) + packet(NOOP, opaque=LAST), [])
        server.answers({}, False)
    deadline, bursts, requests = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        burst = [gen.one() for _ in range(rng.choice([1, 3, 10, 40]))]
        cuts = [rng.random() for _ in range(rng.choice([0, 0, 1, 4]))]
        bad = gen.bad() if rng.random() < 0.03 else None
        if bad and bad[0] != 0x80:
            burst = []
        keys = {i + 1: one[1] for i, one in enumerate(burst)}
        results = []
        for server in pair:
            if bad:  # the first packet of a connection chooses the protocol
                server.send(packet(NOOP, opaque=LAST), [])
                server.answers({}, False)
            data = b""
            for i, (opcode, key, extras, value, unique) in enumerate(burst):
                cas = {None: 0, "stale": STALE, "right": server.unique.get(key, STALE)}[unique]
                data += packet(opcode, key, extras, value, cas, i + 1)
            server.send(data + (bad or packet(NOOP, opaque=LAST)), cuts)
            results.append(server.answers(keys, bad is not None))
        bursts += 1
        requests += len(burst)
        if results[0] != results[1]:
            at = next((i for i, (a, b) in enumerate(zip(*results)) if a != b), min(map(len, results)))
            print("burst %d, bad: %r" % (bursts, bad))
            for name, result in zip(("memcached", "ours"), results):
                print("%-9s %r" % (name, [str(x)[:200] for x in result[at:at + 2]]))
            if at < len(results[0]) and results[0][at] != "closed" and results[0][at][6] <= len(burst):
                print("request   %r" % (burst[results[0][at][6] - 1],))
            return False
    print("%d bursts, %d requests: the same answers" % (bursts, requests))
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--ours", help="HOST:PORT of a running server of ours")
    parser.add_argument("--server", default=os.path.join(os.path.dirname(__file__), "../../build/tests/fakes/engine-server"),
                        help="program to start otherwise")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    print("seed %d" % seed)
    started = []
    log = tempfile.TemporaryFile()
    try:
        port = free_port()
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        try:
            started.append(subprocess.Popen(["memcached", *user, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "1", "-m", "256",
                                             "-o", "no_modern,no_lru_crawler"], stdout=log, stderr=log))
        except FileNotFoundError:
            print("skipped: no memcached")
            return 77
        wait_for(port, started[-1])
        theirs = Server("127.0.0.1", port)
        if args.ours:
            host, port = args.ours.rsplit(":", 1)
        elif os.path.exists(args.server):
            host, port = "127.0.0.1", free_port()
            started.append(subprocess.Popen([args.server, "--memcache-port", str(port)], stdout=log, stderr=log))
            wait_for(port, started[-1])
        else:
            print("skipped: no server to compare with")
            return 77
        good = run([theirs, Server(host, int(port))], random.Random(seed), args.seconds)
        if not good:
            print("FAILED, replay with --seed %d" % seed)
        return 0 if good else 1
    finally:
        for process in started:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
