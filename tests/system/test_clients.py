#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stock clients from Debian against the appliance, over a virtual device and our own TCP."""

import os
import socket
import subprocess
import time

import harness
from harness import SERVER, Appliance, Checks, sh

BENCH_TESTS = "ping_inline,ping_mbulk,set,get,incr,mset"


def redis_cli(*args, port="6379"):
    return sh("redis-cli", "-h", SERVER, "-p", port, *args).strip()


def check_ping():
    out = sh("ping", "-c", "5", "-i", "0.05", "-s", "1000", "-W", "2", SERVER)
    assert "5 received" in out, out


def check_redis_cli(appliance):
    assert redis_cli("SET", "k", "v", "EX", "100") == "OK"
    assert redis_cli("GET", "k") == "v"
    assert redis_cli("TTL", "k") in ("99", "100")
    assert redis_cli("-3", "HELLO", "3").startswith("server redis")
    assert "redis_version:7.0" in redis_cli("INFO", "server")
    assert redis_cli("CONFIG", "GET", "maxmemory").splitlines() == ["maxmemory", str(2 << 30)]
    assert "addr=" in redis_cli("CLIENT", "LIST")
    assert redis_cli("KEYS", "k*") == "k"
    assert redis_cli("COMMAND", "COUNT").isdigit()
    assert redis_cli("NOSUCH", "a").startswith("ERR unknown command 'NOSUCH'")
    text = "".join(f"SET pipe:{i} {i}\r\n" for i in range(5000))
    done = subprocess.run(["redis-cli", "-h", SERVER, "--pipe"], input=text, capture_output=True, text=True, timeout=30)
    assert "errors: 0, replies: 5000" in done.stdout, done.stdout + done.stderr
    assert redis_cli("DBSIZE") == "5001"
    assert redis_cli("FLUSHALL") == "OK"
    assert redis_cli("DBSIZE") == "0"


def check_client_kills_itself():
    """The reply still comes; what was sent behind it is not run."""
    with socket.create_connection((SERVER, 6379), timeout=10) as s:
        s.sendall(b"CLIENT KILL TYPE normal SKIPME no\r\nSET after-kill 1\r\nPING\r\n")
        assert b"".join(iter(lambda: s.recv(64), b"")) == b":1\r\n"
    assert redis_cli("EXISTS", "after-kill") == "0"


def check_admin(appliance):
    def admin(*args):
        return sh("ip", "netns", "exec", appliance.server, "redis-cli", "-p", "6380", *args).strip()

    assert admin("PING") == "PONG"
    assert admin("SET", "by-admin", "1") == "OK"
    assert redis_cli("GET", "by-admin") == "1"
    assert admin("GET", "by-admin") == "1"
    assert admin("CONFIG", "SET", "maxmemory", "1gb") == "OK"
    assert redis_cli("CONFIG", "GET", "maxmemory").splitlines()[1] == str(1 << 30)
    assert admin("CONFIG", "SET", "maxmemory", "2gb") == "OK"
    assert "cmd=" in admin("CLIENT", "LIST")


def benchmark(*args, timeout=60):
    done = subprocess.run(["redis-benchmark", "-h", SERVER, "-q", *args], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout


def check_redis_benchmark(connections, pipeline, requests):
    out = benchmark("-t", BENCH_TESTS, "-c", str(connections), "-P", str(pipeline), "-n", str(requests), "-r", "10000")
    assert out.count("requests per second") >= 6, out


def check_redis_py():
    import redis

    for protocol_kwargs in ({}, {"decode_responses": True}):
        r = redis.Redis(SERVER, 6379, **protocol_kwargs)
        assert r.set("py", "value", px=100000)
        assert r.get("py") in ("value", b"value")
        assert r.mset({f"m{i}": i for i in range(100)})
        assert [int(v) for v in r.mget([f"m{i}" for i in range(100)])] == list(range(100))
        with r.pipeline(transaction=False) as p:
            for i in range(2000):
                p.incr("counter")
            assert p.execute()[-1] % 2000 == 0
        assert sorted(r.scan_iter(match="m*", count=7), key=str) == sorted(r.keys("m*"), key=str)
        assert r.incrbyfloat("float", 0.1) > 0
        assert r.getset("py", "other") in ("value", b"value")
        assert r.getrange("py", 0, 1) in ("ot", b"ot")
        assert r.info()["redis_version"].startswith("7.0")
        r.close()


def check_pymemcache():
    from pymemcache.client.base import Client

    c = Client((SERVER, 11211))
    assert c.set("mc", b"value", expire=100)
    assert c.get("mc") == b"value"
    assert c.set_many({f"mm{i}": str(i) for i in range(100)}) == []
    assert len(c.get_many([f"mm{i}" for i in range(100)])) == 100
    value, unique = c.gets("mc")
    assert value == b"value" and c.cas("mc", b"new", unique) is True and c.cas("mc", b"old", unique) is False
    assert c.incr("mm7", 5) == 12 and c.decr("mm7", 100) == 0
    assert c.append("mc", b"+") and c.prepend("mc", b"-") and c.get("mc") == b"-new+"
    assert c.touch("mc", 100, noreply=False)
    assert c.delete("mc", noreply=False) and c.get("mc") is None
    assert b"curr_items" in c.stats() and c.version().startswith(b"1.6")
    c.close()


def check_one_keyspace():
    import redis
    from pymemcache.client.base import Client

    r, c = redis.Redis(SERVER), Client((SERVER, 11211))
    r.set("shared", "from redis")
    assert c.get("shared") == b"from redis"
    c.set("shared", b"from memcached", noreply=False)
    assert r.get("shared") == b"from memcached"
    r.close()
    c.close()


def check_nc():
    done = subprocess.run(["nc", "-N", "-w", "3", SERVER, "6379"], input=b"PING\r\nECHO hi\r\nQUIT\r\n",
                          capture_output=True, timeout=10)
    assert done.stdout == b"+PONG\r\n$2\r\nhi\r\n+OK\r\n", done.stdout
    done = subprocess.run(["nc", "-N", "-w", "3", SERVER, "11211"], input=b"set a 0 0 1\r\nx\r\nget a\r\nquit\r\n",
                          capture_output=True, timeout=10)
    assert done.stdout == b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n", done.stdout


def check_memccapable():
    done = subprocess.run(["memccapable", "-h", SERVER, "-p", "11211", "-a"], capture_output=True, text=True, timeout=60)
    failed = [line for line in done.stdout.splitlines() if "FAIL" in line or "fail" in line]
    assert not failed and done.returncode == 0, done.stdout + done.stderr


def check_memtier():
    if not harness.have("memtier_benchmark"):
        raise harness.Skip("memtier_benchmark is not on the PATH")
    for protocol, port in (("redis", "6379"), ("memcache_text", "11211")):
        out = sh("memtier_benchmark", "-s", SERVER, "-p", port, "-P", protocol, "-c", "20", "-t", "1", "--pipeline", "8",
                 "--test-time", "2", "--hide-histogram", timeout=60)
        totals = [line for line in out.splitlines() if line.startswith("Totals")]
        assert totals and float(totals[0].split()[1]) > 1000, out


def check_many_connections():
    import socket

    sockets = [socket.create_connection((SERVER, 6379), timeout=10) for _ in range(1000)]
    for round_number in range(3):
        for s in sockets:
            s.sendall(b"INCR rounds\r\n")
        for s in sockets:
            assert s.recv(64).startswith(b":")
    for s in sockets:
        s.close()


def main():
    harness.require_root()
    checks = Checks()
    kind = os.environ.get("WIRECACHE_KIND", "tap")
    slow = 10 if "asan" in harness.BUILD else 1
    with Appliance(kind) as appliance:
        checks.run("ping", check_ping)
        checks.run("redis-cli", check_redis_cli, appliance)
        checks.run("a client that kills itself", check_client_kills_itself)
        checks.run("admin listener", check_admin, appliance)
        checks.run("nc", check_nc)
        checks.run("redis-py", check_redis_py)
        checks.run("pymemcache", check_pymemcache)
        checks.run("one keyspace for both protocols", check_one_keyspace)
        checks.run("memccapable -a", check_memccapable)
        for connections, pipeline, requests in ((1, 1, 2000), (50, 1, 20000), (50, 32, 100000), (1000, 1, 20000),
                                                (1000, 32, 100000)):
            checks.run(f"redis-benchmark -c {connections} -P {pipeline}", check_redis_benchmark, connections, pipeline,
                       requests // slow)
        checks.run("1,000 connections", check_many_connections)
        checks.run("memtier_benchmark", check_memtier)
        checks.run("back at the baseline", appliance.settled)
    checks.finish()


if __name__ == "__main__":
    main()
