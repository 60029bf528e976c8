#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stock redis-servers as replicas: they have what we have, come back where they were, and are waited for."""

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import redis

import harness
from harness import Appliance, Checks, sh, wait_for

FAR_MS = 4102444800000  # 2100
PORT = 7001


class Replica:
    """A redis-server that follows the appliance, beside the clients."""

    def __init__(self, port=PORT, *options, primary=(harness.SERVER, 6379)):
        self.folder = tempfile.TemporaryDirectory()
        self.port = port
        self.options = ["--port", str(port), "--bind", harness.CLIENT, "--dir", self.folder.name, "--save", "",
                        "--protected-mode", "no", "--replicaof", primary[0], str(primary[1]), "--loglevel", "verbose",
                        "--repl-backlog-size", "1mb", "--enable-debug-command", "yes", *options]
        self.log_path = os.path.join(self.folder.name, "log")
        self.client = redis.Redis(harness.CLIENT, port)
        self.process = None
        self.start()

    def start(self):
        log = open(self.log_path, "a")
        self.process = subprocess.Popen(["redis-server", *self.options], stdout=log, stderr=log)
        log.close()
        wait_for(self.up, 10, "redis-server")

    def up(self):
        with contextlib.suppress(redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return self.client.ping()

    def info(self):
        return self.client.info("replication")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def follows(self, seconds=10):
        try:
            wait_for(lambda: self.info()["master_link_status"] == "up", seconds, "link of the replica")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log()[-3000:]}") from error

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.stop()
        self.folder.cleanup()


@contextlib.contextmanager
def client(port=6379):
    c = redis.Redis(harness.SERVER, port)
    yield c
    c.connection_pool.disconnect()


def memcached(line, end=b"\r\n"):
    with socket.create_connection((harness.SERVER, 11211), 10) as s:
        s.sendall(line)
        reply = b""
        while not reply.endswith(end):
            reply += s.recv(65536)
    return reply


def contents(c):
    keys = list(c.scan_iter(count=1000))
    pipe = c.pipeline(transaction=False)
    for key in keys:
        pipe.get(key)
        pipe.pexpiretime(key)
    found = pipe.execute()
    return {key: (found[2 * i], found[2 * i + 1]) for i, key in enumerate(keys) if found[2 * i] is not None}


def caught_up(c, replica):
    """All that has been written by now is there."""
    assert c.wait(1, 10000) >= 1, (c.info("replication"), replica.info(), replica.log()[-2000:])


def assert_same(c, replica):
    caught_up(c, replica)
    ours, theirs = contents(c), contents(replica.client)
    differ = {k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}
    assert not differ, [(k, ours.get(k), theirs.get(k)) for k in list(differ)[:5]]


def fill(c):
    choice = random.Random(5)
    pipe = c.pipeline(transaction=False)
    for i in range(5000):
        pipe.set(b"key:%d" % i, choice.randbytes(choice.randrange(200)), pxat=FAR_MS + i if i % 3 == 0 else None)
    for length in (0, 20, 21, 4096, 4097, 70000, 5 << 20):
        pipe.set(b"random:%d" % length, choice.randbytes(length))
    pipe.execute()


def check_follows():
    """A full synchronisation, then each kind of change."""
    with Appliance("af_packet") as appliance, client() as c:
        fill(c)
        with Replica() as replica:
            replica.follows()
            assert_same(c, replica)
            c.set("a", 1, ex=1000)
            c.persist("a")
            c.incrby("a", 41)
            c.append("a", "x" * 5000)
            c.mset({"b": 1, "c": 2, "b{x}": 3})
            c.delete("key:1", "key:2", "nosuch")
            c.setrange("b", 3, "z")
            c.getdel("key:3")
            c.expire("key:4", 10000)
            c.set("short", 1, px=30)
            assert memcached(b"set mc 99 0 5\r\nhello\r\n") == b"STORED\r\n"
            assert memcached(b"set mc2 0 100 5\r\nhello\r\n") == b"STORED\r\n"
            assert memcached(b"append mc 0 0 1\r\n!\r\n") == b"STORED\r\n"
            assert memcached(b"incr a 1\r\n") != b""
            time.sleep(0.1)
            assert_same(c, replica)
            assert replica.client.get("mc") == b"hello!" and replica.client.exists("short") == 0
            assert c.role()[0] == b"master" and len(c.role()[2]) == 1
            info = c.info("replication")
            assert info["connected_slaves"] == 1 and info["slave0"]["state"] == "online", info
            assert info["slave0"]["port"] == PORT and info["slave0"]["ip"] == harness.CLIENT, info
            c.flushall()
            c.set("after", 1)
            assert_same(c, replica)
            assert c.info("stats")["sync_full"] == 1
            metrics = appliance.metrics()
            assert metrics["wirecache_replicas"] == 1, metrics


def write_until(stop, seed):
    choice = random.Random(seed)
    with client() as c:
        while not stop.is_set():
            pipe = c.pipeline(transaction=False)
            for _ in range(50):
                key = "hot:%d" % choice.randrange(40)
                kind = choice.randrange(8)
                if kind == 0:
                    pipe.delete(key)
                elif kind == 1:
                    pipe.mset({key: seed, "hot:%d" % choice.randrange(40): choice.randrange(1000)})
                elif kind == 2:
                    pipe.incr("n:%d" % choice.randrange(10))
                elif kind == 3:
                    pipe.append(key, "y")
                elif kind == 4:
                    pipe.set(key, "z" * choice.randrange(100), px=choice.randrange(1, 50))
                else:
                    pipe.set(key, choice.randbytes(choice.randrange(100)))
            with contextlib.suppress(redis.ResponseError):
                pipe.execute(raise_on_error=False)


@contextlib.contextmanager
def writers(count=3):
    stop = threading.Event()
    threads = [threading.Thread(target=write_until, args=(stop, seed)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def quiet(c):
    """What was to expire has done so."""
    time.sleep(0.2)


def check_same_under_load():
    """Two workers write the same hot keys, with expiry, while replicas are synchronised and follow."""
    with Appliance("af_packet", 2, 2), client() as c:
        fill(c)
        with Replica() as one, Replica(PORT + 1) as two:
            with writers():
                one.follows()
                two.follows()
                time.sleep(3)
                with Replica(PORT + 2) as late:
                    late.follows()
                    time.sleep(1)
            quiet(c)
            assert_same(c, one)
            assert c.wait(2, 5000) == 2
            assert_same(c, two)


def check_eviction():
    with Appliance("af_packet", options=("--maxmemory-policy", "allkeys-lru")), client() as c, Replica() as replica:
        replica.follows()
        base = c.info("memory")["used_memory"]
        c.config_set("maxmemory", base + (8 << 20))
        pipe = c.pipeline(transaction=False)
        for i in range(20000):
            pipe.set("big:%d" % i, os.urandom(1000))
        pipe.execute()
        assert c.info("stats")["evicted_keys"] > 5000
        quiet(c)
        assert_same(c, replica)


def check_comes_back():
    """After a gap within the backlog it goes on, after a longer one it is sent everything."""
    with Appliance("af_packet", options=("--repl-backlog-size", "1mb", "--repl-backlog-time", "0")), \
            client() as c, Replica() as replica:
        fill(c)
        replica.follows()
        assert_same(c, replica)
        replica.client.execute_command("CLIENT", "KILL", "TYPE", "master")
        c.mset({"gap:%d" % i: "x" * 100 for i in range(1000)})
        replica.follows()
        assert_same(c, replica)
        stats = c.info("stats")
        assert (stats["sync_full"], stats["sync_partial_ok"]) == (1, 1), stats
        replica.client.replicaof("no", "one")
        for i in range(40):
            c.set("long:%d" % i, os.urandom(100000))
        replica.client.replicaof(harness.SERVER, 6379)
        replica.follows()
        assert_same(c, replica)
        assert c.info("stats")["sync_full"] == 2


def check_backlog_in_time():
    """It grows with the rate of writes, so that a gap of some seconds is made good."""
    with Appliance("af_packet", options=("--repl-backlog-size", "1mb", "--repl-backlog-time", "30")), \
            client() as c, Replica() as replica:
        replica.follows()
        for i in range(30):
            c.set("big:%d" % (i % 5), os.urandom(200000))
            time.sleep(0.1)
        assert c.info("replication")["repl_backlog_size"] > 10 << 20
        replica.client.execute_command("CLIENT", "KILL", "TYPE", "master")
        for i in range(20):
            c.set("big:%d" % (i % 5), os.urandom(200000))
        replica.follows()
        assert_same(c, replica)
        assert c.info("stats")["sync_full"] == 1


def check_wait():
    """WAIT answers how many have it, in time."""
    with Appliance("af_packet"), client() as c:
        begin = time.monotonic()
        assert c.wait(0, 1000) == 0
        assert time.monotonic() - begin < 0.5
        assert c.wait(1, 300) == 0 and time.monotonic() - begin > 0.25
        with Replica() as replica:
            replica.follows()
            for i in range(100):
                c.set("k", i)
                assert c.wait(1, 5000) == 1
                assert replica.client.get("k") == b"%d" % i
            assert c.wait(2, 200) == 1
            replica.process.send_signal(signal.SIGSTOP)
            c.set("k", "unseen")
            assert c.wait(1, 300) == 0
            replica.process.send_signal(signal.SIGCONT)
            assert c.wait(1, 5000) == 1


def check_min_replicas():
    with Appliance("af_packet"), client() as c:
        c.config_set("min-replicas-max-lag", 2)
        c.config_set("min-replicas-to-write", 1)

        def refused():
            try:
                c.set("k", 1)
                return False
            except redis.ResponseError as error:
                assert str(error) == "NOREPLICAS Not enough good replicas to write.", error
                return True

        wait_for(refused, 10, "refusal")
        assert memcached(b"set k 0 0 1\r\n1\r\n").startswith(b"SERVER_ERROR not enough good replicas")
        assert c.get("nosuch") is None
        with Replica() as replica:
            replica.follows()
            wait_for(lambda: not refused(), 10, "writes")
            assert_same(c, replica)
        wait_for(refused, 20, "refusal")
        c.config_set("min-replicas-to-write", 0)
        wait_for(lambda: not refused(), 10, "writes")


def check_slow():
    """A replica that does not read slows nobody down, and is cut off when it is too far behind."""
    with Appliance("af_packet", options=("--client-output-buffer-limit", "slave", "8388608", "4194304", "2",
                                         "--repl-backlog-size", "1mb", "--repl-backlog-time", "0")) as appliance, \
            client() as c, Replica() as replica:
        replica.follows()
        replica.process.send_signal(signal.SIGSTOP)
        before = appliance.metrics()
        for i in range(300):
            begin = time.monotonic()
            c.set("big:%d" % (i % 30), os.urandom(100000))
            assert time.monotonic() - begin < 1
        wait_for(lambda: c.info("replication")["connected_slaves"] == 0, 20, "end of the slow replica")
        assert appliance.metrics()["wirecache_worker_feed_closed_total"] > \
            before["wirecache_worker_feed_closed_total"]
        replica.process.send_signal(signal.SIGCONT)
        replica.follows(60)
        assert_same(c, replica)


def check_beside_a_save():
    """A snapshot to a file and one to a replica wait for each other."""
    with tempfile.TemporaryDirectory() as folder, Appliance("af_packet", options=("--dir", folder)), client() as c:
        for i in range(40):
            c.set("large:%d" % i, os.urandom(5 << 20))
        c.bgsave()
        with Replica() as replica:
            replica.follows(60)
            c.bgsave()
            assert_same(c, replica)
        wait_for(lambda: not c.info("persistence")["rdb_bgsave_in_progress"], 60, "end of BGSAVE")
        assert c.info("persistence")["rdb_last_bgsave_status"] == "ok"
        assert c.info("stats")["sync_full"] == 1


def check_silent():
    """One that never says that it has its snapshot keeps no more of the stream than others may."""
    with Appliance("af_packet", options=("--client-output-buffer-limit", "slave", "8388608", "0", "0",
                                         "--repl-backlog-size", "1mb", "--repl-backlog-time", "0")), client() as c:
        with raw(b"REPLCONF capa eof\r\nPSYNC ? -1\r\n") as s:
            s.recv(1000)
            for i in range(150):
                c.set("big:%d" % (i % 5), os.urandom(100000))
            wait_for(lambda: c.info("replication")["connected_slaves"] == 0, 20, "end of the silent replica")


def check_full_ring():
    """More at once than a ring holds: the stream begins anew, and nothing is missing."""
    with Appliance("af_packet", options=("--repl-log-size", "65536")) as appliance, client() as c, \
            Replica() as replica:
        replica.follows()
        c.mset({"k:%d" % i: "v" * 100 for i in range(2000)})
        wait_for(lambda: appliance.metrics()["wirecache_replication_broken_total"] >= 1, 10, "hole")
        wait_for(lambda: c.info("replication")["connected_slaves"] == 1, 30, "replica")
        replica.follows()
        wait_for(lambda: replica.client.dbsize() == 2000, 20, "all keys")
        assert_same(c, replica)


def check_kill():
    """Replicas and primaries that are killed at any moment: whoever is there agrees in the end."""
    choice = random.Random(2)
    with Appliance("af_packet", 2, 2), client() as c, Replica() as replica:
        with writers():
            for _ in range(5):
                replica.stop()
                time.sleep(choice.random() * 0.3)
                replica.start()
                time.sleep(choice.random())
        replica.follows()
        quiet(c)
        assert_same(c, replica)


class Primary:
    """A redis-server to be followed, beside the clients."""

    def __init__(self, *options, port=PORT):
        self.folder = tempfile.TemporaryDirectory()
        self.options, self.port = options, port
        self.client = redis.Redis(harness.CLIENT, port)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", harness.CLIENT, "--dir", self.folder.name, "--save", "",
             "--protected-mode", "no", "--repl-diskless-sync-delay", "0", *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def up():
            with contextlib.suppress(redis.ConnectionError):
                return self.client.ping()

        wait_for(up, 10, "redis-server")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def link_up(c, seconds=20):
    def up():
        with contextlib.suppress(redis.ConnectionError):  # Sentinel has clients disconnected
            return c.info("replication").get("master_link_status") == "up"

    try:
        wait_for(up, seconds, "link to the primary")
    except AssertionError as error:
        raise AssertionError(f"{error}: {c.info('replication')}") from error


def assert_followed(primary, c):
    """All that the primary has is here, once the offsets are the same."""
    def same():
        theirs = primary.info("replication")["master_repl_offset"]
        return c.info("replication")["slave_repl_offset"] >= theirs

    wait_for(same, 20, "same offset")
    theirs, ours = contents(primary), contents(c)
    differ = {k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}
    assert not differ, [(k, theirs.get(k), ours.get(k)) for k in list(differ)[:5]]


def check_follows_redis():
    """A redis-server's keys, from memory or from a file, then each change; by whoever asks for it."""
    for diskless in ("yes", "no"):
        with Appliance("af_packet", workers=2, queues=2) as appliance, client() as c, \
                Primary("--repl-diskless-sync", diskless) as primary:
            fill(primary.client)
            c.set("mine", 1)
            assert c.replicaof(harness.CLIENT, PORT) in (True, b"OK")
            link_up(c)
            assert_followed(primary.client, c)
            p = primary.client
            assert c.exists("mine") == 0 and c.role()[0] == b"slave" and c.role()[3] == b"connected"
            p.set("a", 1, ex=1000)
            p.incrby("a", 41)
            p.append("a", "x" * 50000)
            p.mset({"b": 1, "c": 2})
            p.delete("key:1", "key:2")
            p.setrange("b", 3, "z")
            p.getdel("key:3")
            p.expire("key:4", 10000)
            p.set("short", 1, px=30)
            pipe = p.pipeline(transaction=True)
            pipe.set("t1", 1).incr("t1").delete("c")
            pipe.execute()
            p.set("large", os.urandom(3 << 20))
            time.sleep(0.2)
            assert p.wait(1, 5000) == 1
            assert_followed(p, c)
            for refused, words in ((c.set, ("x", 1)), (c.flushall, ())):
                try:
                    refused(*words)
                    raise AssertionError("a replica was written")
                except redis.ResponseError as error:
                    assert "You can't write against a read only replica." in str(error), error
            assert memcached(b"set k 0 0 1\r\n1\r\n").startswith(b"SERVER_ERROR read only")
            assert memcached(b"get b\r\n", b"END\r\n").startswith(b"VALUE b 0 4")
            p.flushall()
            p.set("after", 1)
            assert_followed(p, c)
            assert c.replicaof("NO", "ONE") in (True, b"OK")
            assert c.set("mine", 2) and c.get("after") == b"1" and c.role()[0] == b"master"


def check_follower_comes_back():
    """A cut connection, a primary that is killed, one with what we cannot keep, one that is not there."""
    with Appliance("af_packet"), client() as c, Primary("--repl-backlog-size", "1mb") as primary:
        p = primary.client
        fill(p)
        c.replicaof(harness.CLIENT, PORT)
        link_up(c)
        assert_followed(p, c)
        p.execute_command("CLIENT", "KILL", "TYPE", "replica")
        p.mset({"gap:%d" % i: "x" * 100 for i in range(1000)})
        wait_for(lambda: p.info("stats")["sync_partial_ok"] == 1, 20, "partial synchronisation")
        link_up(c)
        assert_followed(p, c)
        p.lpush("list", 1)
        wait_for(lambda: c.info("replication")["master_link_status"] == "down", 20, "end of the link")
        time.sleep(3)
        assert c.info("replication")["master_link_status"] == "down" and c.dbsize() == 0
        p.delete("list")
        link_up(c)
        assert_followed(p, c)
        primary.process.kill()
        primary.process.wait()
        wait_for(lambda: c.info("replication")["master_link_status"] == "down", 20, "end of the link")
        assert c.get("gap:1") == b"x" * 100
        primary.start()
        p.set("new", 1)
        link_up(c)
        assert_followed(p, c)
        c.replicaof("10.98.0.77", PORT)  # nobody is there
        time.sleep(1)
        assert c.info("replication")["master_link_status"] == "down" and c.get("new") == b"1"
        c.replicaof(harness.CLIENT, PORT)
        link_up(c)
        assert_followed(p, c)
        c.replicaof("NO", "ONE")


class Beside:
    """One more appliance, on a network of its own behind the lab's client, which forwards."""

    def __init__(self, lab, number, *options):
        self.lab, self.number, self.options = lab, number, options
        self.namespace = f"{lab.name}-beside{number}"
        self.address, gateway = f"10.97.{number}.2", f"10.97.{number}.1"
        self.log_path = f"/tmp/{self.namespace}.log"
        self.process = None
        wire, end = f"wire{number}", f"client{number}"
        sh("ip", "netns", "add", self.namespace)
        sh("ip", "-n", self.namespace, "link", "set", "lo", "up")
        sh("ip", "-n", self.namespace, "link", "add", wire, "type", "veth", "peer", "name", end, "netns", lab.client)
        sh("ip", "-n", self.namespace, "link", "set", wire, "addrgenmode", "none")
        sh("ip", "-n", self.namespace, "link", "set", wire, "up")
        sh("ip", "netns", "exec", lab.client, "ethtool", "-K", end, "tx", "off")
        sh("ip", "-n", lab.client, "addr", "add", f"{gateway}/24", "dev", end)
        sh("ip", "-n", lab.client, "link", "set", end, "up")
        sh("ip", "netns", "exec", lab.client, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.command = [
            "ip", "netns", "exec", self.namespace, harness.BINARY, "--nic-device", f"net_af_packet0,iface={wire}",
            "--nic-address", f"{self.address}/24", "--nic-gateway", gateway, "--nic-huge-pages", "no",
            "--nic-memory-mib", "128", "--workers", "1", "--maxmemory", "1gb", *options]
        self.client = redis.Redis(self.address, 6379)

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        def up():
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(redis.ConnectionError):
                return self.client.ping()

        wait_for(up, 30, "answer of the one beside")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()[-4000:]

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(30)
        self.client.connection_pool.disconnect()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def __exit__(self, *error):
        if error[0]:
            print(self.log())
        if self.process.poll() is None:
            self.stop(signal.SIGKILL if error[0] else signal.SIGTERM)
        sh("ip", "netns", "del", self.namespace, check=False)
        os.unlink(self.log_path)


def check_appliances():
    """One follows another, with memcached's flags; and one follows that one. Then the parts are changed."""
    with Appliance("af_packet", 2, 2, options=("--nic-gateway", harness.CLIENT)) as lab, client() as c:
        fill(c)
        with Beside(lab, 1) as two, Beside(lab, 2) as three:
            two.client.replicaof(harness.SERVER, 6379)
            link_up(two.client)
            three.client.replicaof(two.address, 6379)
            link_up(three.client)
            with writers(2):
                time.sleep(2)
            assert memcached(b"set mc 99 0 5\r\nhello\r\n") == b"STORED\r\n"
            quiet(c)
            assert_followed(c, two.client)
            assert_followed(two.client, three.client)
            with socket.create_connection((three.address, 11211), 10) as s:
                s.sendall(b"get mc\r\n")
                assert s.recv(1000) == b"VALUE mc 99 5\r\nhello\r\nEND\r\n"
            # A replica becomes the primary of those beside it, and of the one that it has followed.
            three.client.replicaof(harness.SERVER, 6379)
            link_up(three.client)
            wait_for(lambda: two.client.info("replication")["connected_slaves"] == 0, 10, "end of the replica's replica")
            assert_followed(c, two.client)
            assert_followed(c, three.client)
            two.client.replicaof("NO", "ONE")
            three.client.replicaof(two.address, 6379)
            link_up(three.client)
            c.replicaof(two.address, 6379)
            link_up(c)
            stats = two.client.info("stats")
            assert stats["sync_partial_ok"] == 2 and stats["sync_full"] == 1, stats
            two.client.mset({"changed": 1, "parts": 2})
            assert_followed(two.client, c)
            assert_followed(two.client, three.client)
            c.replicaof("NO", "ONE")


def raw(*requests):
    s = socket.create_connection((harness.SERVER, 6379), 10)
    s.sendall(b"".join(requests))
    return s


def check_hostile():
    """What no replica says is answered with an error, and no connection that goes away leaves anything."""
    with Appliance("af_packet") as appliance, client() as c:
        for line, answer in ((b"PSYNC ? -1\r\n", b"-ERR only replicas with REPLCONF capa eof can follow\r\n"),
                             (b"PSYNC ? x\r\n", b"-ERR value is not an integer or out of range\r\n"),
                             (b"REPLCONF x\r\n", b"-ERR syntax error\r\n"),
                             (b"REPLCONF x y\r\n", b"-ERR Unrecognized REPLCONF option: x\r\n"),
                             (b"REPLCONF listening-port 70000\r\n", b"-ERR value is not an integer or out of range\r\n"),
                             (b"REPLCONF ip-address x}y\r\n", b"-ERR REPLCONF ip-address is no address or host name\r\n"),
                             (b"REPLCONF ip-address cache-1.example\r\n", b"+OK\r\n"),
                             (b"REPLCONF listening-port 7\r\n", b"+OK\r\n")):
            with raw(line) as s:
                assert s.recv(1000) == answer, line
        choice = random.Random(1)
        for i in range(60):
            with raw(b"REPLCONF capa eof\r\nPSYNC %s %d\r\n" % (b"?" if i % 2 else b"0" * 40, choice.randrange(-9, 9))) as s:
                time.sleep(choice.random() * 0.02)
                if i % 3 == 0:
                    s.sendall(b"REPLCONF ACK 99999999999999999999\r\nREPLCONF ACK 5\r\nGET x\r\n")
                if i % 4 == 0:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.set("k", i)
        known = [raw(b"REPLCONF listening-port 7\r\n") for _ in range(40)]
        with Replica() as replica:  # who only says so takes nobody's place
            replica.follows()
        for s in known:
            s.close()
        many = [raw(b"REPLCONF capa eof\r\nPSYNC ? -1\r\n") for _ in range(20)]
        with Replica() as replica:
            for s in many:
                s.close()
            replica.follows(60)
            assert_same(c, replica)
        wait_for(lambda: c.info("replication")["connected_slaves"] == 0, 20, "end of all replicas")


def main():
    harness.require_root()
    checks = Checks()
    checks.run("a replica follows", check_follows)
    checks.run("the same under load", check_same_under_load)
    checks.run("evictions", check_eviction)
    checks.run("a replica comes back", check_comes_back)
    checks.run("a backlog in time", check_backlog_in_time)
    checks.run("WAIT", check_wait)
    checks.run("min-replicas-to-write", check_min_replicas)
    checks.run("a slow replica", check_slow)
    checks.run("a save beside it", check_beside_a_save)
    checks.run("a silent replica", check_silent)
    checks.run("a full ring", check_full_ring)
    checks.run("kill -9", check_kill)
    checks.run("hostile replicas", check_hostile)
    checks.run("a redis-server is followed", check_follows_redis)
    checks.run("a follower comes back", check_follower_comes_back)
    checks.run("appliances among themselves", check_appliances)
    checks.finish()


if __name__ == "__main__":
    main()
