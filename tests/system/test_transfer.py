#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Values of every size go in and come out intact: large ones beside small ones, and all of them through a bad link."""

import hashlib
import multiprocessing
import os
import random
import socket
import threading
import time

import harness
from harness import SERVER, Appliance, Checks

SEED = int(os.environ.get("SEED", "1"))


class Resp:
    """A client that knows just enough to send and to read bulk strings, and reads as fast as it can."""

    def __init__(self, timeout=120):
        self.socket = socket.create_connection((SERVER, 6379), timeout=timeout)
        self.file = self.socket.makefile("rb", buffering=1 << 20)

    def send(self, *args):
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            parts += [b"$%d\r\n" % len(arg), arg, b"\r\n"]
        self.socket.sendall(b"".join(parts))

    def read(self):
        line = self.file.readline()
        if line[:1] == b"$":
            length = int(line[1:])
            if length < 0:
                return None
            value = self.file.read(length)
            assert self.file.read(2) == b"\r\n"
            return value
        return line.rstrip(b"\r\n")

    def call(self, *args):
        self.send(*args)
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


def bystander(done, slowest):
    """A process of its own: this one's interpreter is busy with the large value."""
    times = []
    c = Resp()
    while not done.is_set():
        start = time.monotonic()
        assert c.call(b"PING") == b"+PONG"
        times.append(time.monotonic() - start)
        time.sleep(0.001)
    c.close()
    slowest.put(times)


def check_large_value(size):
    """A value goes in and out while another connection is served; that one must never wait for long."""
    value = random.Random(SEED).randbytes(size)
    done, slowest = multiprocessing.Event(), multiprocessing.Queue()
    other = multiprocessing.Process(target=bystander, args=(done, slowest))
    other.start()
    c = Resp()
    try:
        assert c.call(b"SET", b"large", value, b"EX", b"1000") == b"+OK"
        assert c.call(b"STRLEN", b"large") == b":%d" % size
        for _ in range(2):
            assert hashlib.sha256(c.call(b"GET", b"large")).digest() == hashlib.sha256(value).digest()
        assert c.call(b"GETRANGE", b"large", b"-5", b"-1") == value[-5:]
        assert c.call(b"DEL", b"large") == b":1"
    finally:
        c.close()
        done.set()
        times = sorted(slowest.get(timeout=60))
        other.join()
    print(f"#   PINGs beside it: {len(times)}, p50 {times[len(times) // 2] * 1e3:.2f} ms, "
          f"p99 {times[len(times) * 99 // 100] * 1e3:.2f} ms, slowest {times[-1] * 1e3:.2f} ms")
    assert times[-1] < 2, times[-1]


def check_too_large():
    c = Resp()
    c.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n")
    assert c.read() == b"-ERR Protocol error: invalid bulk length"
    assert c.file.read(1) == b""
    c.close()
    s = socket.create_connection((SERVER, 11211), timeout=60)
    body = b"x" * (2 << 20)
    s.sendall(b"set k 0 0 %d\r\n%s\r\nget k\r\n" % (len(body), body))
    expected, got = b"SERVER_ERROR object too large for cache\r\nEND\r\n", b""
    while len(got) < len(expected):
        part = s.recv(100)
        assert part, got
        got += part
    assert got == expected, got
    s.close()


def sizes(count, largest):
    """From 1 B to the largest, most of them small, each order of magnitude as often as the others."""
    r = random.Random(SEED)
    return [max(1, int(2 ** r.uniform(0, largest.bit_length() - 1))) for _ in range(count - 2)] + [1, largest]


def transfer(number, part, problems):
    try:
        r = random.Random(SEED * 1000 + number)
        c = Resp()
        for i in range(0, len(part), 16):
            batch = [(b"t%d:%d" % (number, i + j), r.randbytes(size)) for j, size in enumerate(part[i:i + 16])]
            for key, value in batch:
                c.send(b"SET", key, value)
            for key, value in batch:
                reply = c.read()
                assert reply == b"+OK", reply
            for key, value in batch:
                c.send(b"GET", key)
            for key, value in batch:
                assert c.read() == value, f"{key} of {len(value)} bytes came back different"
            assert c.call(b"DEL", *(key for key, _ in batch)) == b":%d" % len(batch)
        c.close()
    except BaseException as error:
        problems.append(error)


def check_transfer(count, largest, connections):
    everything = sizes(count, largest)
    problems = []
    threads = [threading.Thread(target=transfer, args=(n, everything[n::connections], problems))
               for n in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if problems:
        raise problems[0]


def check_faults_happened(appliance):
    m = appliance.metrics()
    print(f"#   {m['wirecache_tcp_retransmits_total']:.0f} retransmissions, {m['wirecache_tcp_out_of_order_total']:.0f} out of order")
    assert m['wirecache_drops_total{reason="fault_injected"}'] > 0
    assert m["wirecache_tcp_retransmits_total"] > 0 and m["wirecache_tcp_out_of_order_total"] > 0


FAULTS = ["--nic-fault-seed", str(SEED), "--nic-fault-drop", "100", "--nic-fault-reorder", "100",
          "--nic-fault-duplicate", "100"]


def main():
    harness.require_root()
    print(f"# SEED={SEED}")
    checks = Checks()
    asan = "asan" in harness.BUILD
    with Appliance() as appliance:
        checks.run("a value of 100 MB beside a small client", check_large_value, (10 if asan else 100) * 1000 * 1000)
        checks.run("values above the limits are refused", check_too_large)
    with Appliance(options=FAULTS) as appliance:
        checks.run("10,000 values of 1 B to 1 MB at 1 % loss, reorder and duplication", check_transfer,
                   1000 if asan else 10000, 1 << 20, 16)
        checks.run("the faults have happened", check_faults_happened, appliance)
    with Appliance(options=FAULTS[:2] + ["--nic-fault-corrupt", "100", "--nic-fault-delay", "100", "--nic-fault-delay-us", "2000"]):
        checks.run("1,000 values with 1 % corrupted and delayed", check_transfer, 200 if asan else 1000, 1 << 16, 8)
    checks.finish()


if __name__ == "__main__":
    main()
