#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Feeds one trace to a stock redis-server and, by sim_evict, to our table; compares the hit ratios by policy.

    compare_redis.py [--trace zipf|churn|scan|FILE] [--policy NAME]... [--requests N] [--keys N] [--seconds S] [--json FILE]

Both hold as many items: 10 % of the trace's keys. redis-server runs on loopback, with a script that asks for a key and sets it
where it is missing, so that requests are run one after another. Its clock of accesses ticks once a second; the runs of the lru
policies are spread over --seconds, and sim_evict's clock is set to the pace of each run. Exit status: 0 all within --within
points, 1 some are not, 77 no redis-server.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SKIPPED = 77
BURST = 256         # requests in flight
TRIM_BURSTS = 8     # between two looks at the number of items
ITEM_BYTES = 100    # of redis, by which its maxmemory is trimmed for an item too many
VALUE = "v" * 32
NEVER_EACH = 64     # as in sim_table.c
POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]

SCRIPT = """
if redis.call('GET', KEYS[1]) then return 1 end
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return 0
"""


def expire_s(key):
    """As sim_table_expire_s()."""
    return 0 if key % NEVER_EACH == 0 else 100000 + (key * 2654435761 & 0xffffffff) % 1000000


class Redis:
    """A server of our own on a free port of loopback."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="wirecache-evict.")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", self.folder,
             "--daemonize", "no", "--loglevel", "warning", "--logfile", "redis.log"])
        for _ in range(100):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
                break
            except OSError:
                time.sleep(0.05)
        else:
            self.close()
            raise OSError("redis-server does not answer")
        self.input = self.socket.makefile("rb")

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)

    @staticmethod
    def encode(*words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("redis-server has gone")
        return line[:-2]

    def call(self, *words):
        self.socket.sendall(self.encode(*words))
        line = self.line()
        if line[:1] == b"-":
            raise OSError(line.decode())
        if line[:1] == b"$":
            return self.input.read(int(line[1:]) + 2)[:-2]
        return int(line[1:]) if line[:1] == b":" else line[1:]

    def used_memory(self):
        return int(self.call("INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])


class Run:
    """One policy, from an empty server."""

    def __init__(self, redis, policy, items):
        self.redis, self.items = redis, items
        self.expiring = policy.startswith("volatile")
        self.limit = 0
        self.hits = self.refused = 0
        self.counts = []
        redis.call("FLUSHALL")
        redis.call("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", policy)
        self.script = redis.call("SCRIPT", "LOAD", SCRIPT)

    def request(self, key):
        return self.redis.encode("EVALSHA", self.script, 1, "key:%012d" % key, VALUE, expire_s(key) if self.expiring else 0)

    def keep_items(self):
        """Sets maxmemory when the items are in, then keeps it where their number stays."""
        count = self.redis.call("DBSIZE")
        if not self.limit:
            if count < self.items:
                return
            self.limit = self.redis.used_memory()
        else:
            self.counts.append(count)
            self.limit += (self.items - count) * ITEM_BYTES // 2
        self.redis.call("CONFIG", "SET", "maxmemory", self.limit)

    def feed(self, keys, seconds):
        start = time.monotonic()
        for number, i in enumerate(range(0, len(keys), BURST)):
            burst = keys[i:i + BURST]
            self.redis.socket.sendall(b"".join(map(self.request, burst)))
            for _ in burst:
                reply = self.redis.line()
                self.hits += reply == b":1"
                self.refused += reply[:1] == b"-"
            if not self.limit or number % TRIM_BURSTS == 0:
                self.keep_items()
            time.sleep(max(0, start + seconds * i / len(keys) - time.monotonic()))
        return time.monotonic() - start


def simulate(sim, trace, policy, items, rate):
    with tempfile.NamedTemporaryFile(suffix=".json") as found:
        subprocess.run([sim, "--trace", trace, "--policy", policy, "--items", str(items), "--cache", "10", "--rate", str(rate),
                        "--json", found.name] + (["--expiring"] if policy.startswith("volatile") else []),
                       check=True, stdout=subprocess.DEVNULL)
        return json.load(found)["rows"][0]["policies"][policy]


def compare(options, redis, trace):
    with open(trace, encoding="ascii") as file:
        keys = [int(line) for line in file]
    items = (max(keys) + 1) // 10
    rows = []
    print("%-16s %8s %8s %8s %9s %9s" % ("policy", "redis", "ours", "points", "items", "items"))
    for policy in options.policy or POLICIES:
        run = Run(redis, policy, items)
        took = run.feed(keys, options.seconds if policy.endswith("-lru") else 0)
        ours = simulate(options.sim, trace, policy, items, max(1, round(len(keys) / took)))
        theirs = run.hits / len(keys)
        row = {"policy": policy, "redis": theirs, "ours": ours["hit_ratio"], "points": 100 * (ours["hit_ratio"] - theirs),
               "items": items, "redis_items_mean": sum(run.counts) / max(1, len(run.counts)),
               "items_mean": ours["items_mean"], "redis_refused": run.refused, "refused": ours["refused"], "seconds": took}
        rows.append(row)
        print("%-16s %8.4f %8.4f %+8.2f %9.0f %9.0f" % (policy, theirs, row["ours"], row["points"], row["redis_items_mean"],
                                                        row["items_mean"]), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", default="churn")
    parser.add_argument("--policy", action="append", choices=POLICIES)
    parser.add_argument("--requests", type=int, default=400000)
    parser.add_argument("--keys", type=int, default=100000)
    parser.add_argument("--seconds", type=float, default=20, help="of an lru policy's run, at least")
    parser.add_argument("--within", type=float, default=0.5, help="points of hit ratio")
    parser.add_argument("--sim", default=os.path.join(ROOT, "build", "perf", "sim_evict"))
    parser.add_argument("--server", default="redis-server")
    parser.add_argument("--json")
    options = parser.parse_args()
    program = shutil.which(options.server)
    if not program:
        print("no", options.server)
        return SKIPPED
    with tempfile.NamedTemporaryFile(suffix=".trace") as trace:
        subprocess.run([options.sim, "--trace", options.trace, "--requests", str(options.requests), "--keys", str(options.keys),
                        "--write-trace", trace.name], check=True)
        redis = Redis(program)
        try:
            rows = compare(options, redis, trace.name)
        finally:
            redis.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"trace": options.trace, "requests": options.requests, "keys": options.keys, "rows": rows}, file, indent=1)
    return 0 if all(abs(row["points"]) <= options.within for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
