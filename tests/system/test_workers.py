#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each virtual device, with one worker and with two, on one queue and on two: every connection works."""

import socket

import harness
from harness import SERVER, Appliance, Checks

CONNECTIONS = 64


def check_every_connection(appliance):
    sockets = [socket.create_connection((SERVER, 6379 if i % 2 else 11211), timeout=10) for i in range(CONNECTIONS)]
    for i, s in enumerate(sockets):
        s.sendall(b"SET k%d v%d\r\n" % (i, i) if i % 2 else b"set k%d 0 0 2\r\nv%d\r\n" % (i, i % 10))
    for i, s in enumerate(sockets):
        assert s.recv(64) == (b"+OK\r\n" if i % 2 else b"STORED\r\n")
    for i, s in enumerate(sockets):
        s.sendall(b"GET k%d\r\n" % (i ^ 2) if i % 2 else b"get k%d\r\n" % (i ^ 2))
    for i, s in enumerate(sockets):
        assert b"v" in s.recv(64)
    m = appliance.metrics()
    for s in sockets:
        s.close()
    if appliance.workers > 1:
        each = [m[f'wirecache_worker_accepted_connections_total{{worker="{i}"}}'] for i in range(appliance.workers)]
        print(f"#   connections per worker: {each}; steered frames: {m['wirecache_worker_steered_in_total']:.0f}")
        assert all(n > 0 for n in each), each


def check_kind(kind, queues, workers):
    if kind == "af_xdp" and queues > 1:
        raise harness.Skip("a veth has one channel, and the driver takes no more queues than that")
    with Appliance(kind, queues, workers) as appliance:
        check_every_connection(appliance)


def main():
    harness.require_root()
    checks = Checks()
    for kind in harness.KINDS:
        for queues, workers in ((1, 1), (1, 2), (2, 2)):
            checks.run(f"{kind}, {queues} queue(s), {workers} worker(s)", check_kind, kind, queues, workers)
    checks.finish()


if __name__ == "__main__":
    main()
