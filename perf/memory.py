#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What an item takes beyond its key and value, in wirecache, redis-server and memcached.

usage: perf/memory.py [--keys N] [--json FILE]

Process memory growth by number of items: the resident set before and after filling. Keys of 16
bytes; values of 8 to 1,024 bytes, with and without a time to live. Needs a build; the peers run on
loopback, on ports of their own, and end with the script.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "build/perf/bench_memory")
KEY_BYTES = 16
VALUES = (8, 32, 64, 100, 256, 1024)
EXPIRE_S = 86400
CHUNK = 2000             # commands sent at once
REDIS_PORT, MEMCACHED_PORT = 7461, 7462
START_S = 10


def resident_bytes(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ours(keys, value_bytes, expire_s):
    done = subprocess.run([BENCH, str(keys), str(value_bytes), str(expire_s)], capture_output=True,
                          text=True, check=True)
    return [float(x) for x in done.stdout.split()]


def connect(port):
    end = time.monotonic() + START_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def redis_command(key, value, expire_s):
    words = [b"SET", key, value] + ([b"EX", b"%d" % expire_s] if expire_s else [])
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def memcached_command(key, value, expire_s):
    return b"set %s 0 %d %d\r\n%s\r\n" % (key, expire_s, len(value), value)


# Name, command line, port, how to write a key, bytes of the reply to that.
PEERS = (
    ("redis", ["redis-server", "--port", str(REDIS_PORT), "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no"], REDIS_PORT, redis_command, len(b"+OK\r\n")),
    ("memcached", ["memcached", "-u", "root", "-t", "1", "-m", "16384", "-l", "127.0.0.1", "-p",
                   str(MEMCACHED_PORT)], MEMCACHED_PORT, memcached_command, len(b"STORED\r\n")),
)


def peer(entry, keys, value_bytes, expire_s):
    """Bytes of growth per item, of a server that has just been started."""
    _, command, port, write, reply_bytes = entry
    value = b"x" * value_bytes
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with connect(port) as s:
                before = resident_bytes(server.pid)
                for first in range(0, keys, CHUNK):
                    count = min(CHUNK, keys - first)
                    s.sendall(b"".join(write(b"key:%012d" % i, value, expire_s)
                                       for i in range(first, first + count)))
                    left = count * reply_bytes
                    while left > 0:
                        left -= len(s.recv(left))
                return (resident_bytes(server.pid) - before) / keys
        finally:
            server.terminate()


def row(keys, value_bytes, expire_s):
    payload = KEY_BYTES + value_bytes
    grown, counted = ours(keys, value_bytes, expire_s)
    peers = {e[0]: round(peer(e, keys, value_bytes, expire_s) - payload, 1) for e in PEERS}
    mine = round(grown - payload, 1)
    return {"workload": "memory" + ("_ttl" if expire_s else ""), "protocol": "none", "pipeline": 0,
            "connections": 0, "key_bytes": KEY_BYTES, "value_bytes": value_bytes, "keys": keys,
            "key_pattern": "S", "view": "C", "unit": "overhead_bytes", "ours": mine,
            "used_memory_overhead": round(counted - payload, 1), "peers": peers,
            "ratio": {n: round(v / mine, 2) for n, v in peers.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--json")
    args = parser.parse_args()
    if not os.path.exists(BENCH):
        print("memory.py: there is no %s; build it first" % BENCH, file=sys.stderr)
        return 1
    print("Bytes per item beyond its key of 16 bytes and its value, %d items: process growth "
          "(used_memory)" % args.keys)
    rows = []
    for expire_s in (0, EXPIRE_S):
        for value_bytes in VALUES:
            r = row(args.keys, value_bytes, expire_s)
            rows.append(r)
            print("%5d bytes%s  wirecache %6.1f (%.1f)  redis %6.1f  memcached %6.1f" % (
                value_bytes, ", TTL" if expire_s else "     ", r["ours"], r["used_memory_overhead"],
                r["peers"]["redis"], r["peers"]["memcached"]), flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"rows": rows}, f, indent=1)
            f.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
