#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An appliance that begins with the keys of an RDB file: redis-server's own files, and damaged ones."""

import os
import random
import subprocess
import tempfile

import redis

import harness
from harness import Appliance, Checks, wait_for

KEYS = 20000
FAR_MS = 4102444800000  # 2100


class Seeded(Appliance):
    """Notes what is there before the harness empties it."""

    def __init__(self, path, *options):
        super().__init__("af_packet", options=("--seed", path, *options))
        self.path = path
        self.found = {}

    def warm_up(self):
        with redis.Redis(harness.SERVER, 6379) as client:
            for key in client.scan_iter(count=1000):
                self.found[key] = (client.get(key), client.pexpiretime(key))
            self.info = client.info("persistence")
        super().warm_up()


class Redis:
    """A redis-server of our own, on a socket in a folder that goes with it."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory()
        self.socket = os.path.join(self.folder.name, "redis.sock")
        self.path = os.path.join(self.folder.name, "dump.rdb")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder.name, "--save", "",
             "--enable-debug-command", "local", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.socket), 10, "socket of redis-server")
        self.client = redis.Redis(unix_socket_path=self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def fill(client):
    """Every way in which redis writes a string. Returns what a good copy has."""
    choice = random.Random(7)
    values = {b"empty": b"", b"": b"empty key", b"\0\xff\r\n": b"binary key", b"4711": b"number as key"}
    for bits in (7, 8, 15, 16, 31, 32, 63):
        for value in (1 << bits, (1 << bits) - 1, -(1 << bits), -(1 << bits) - 1):
            values[b"int:%d" % value] = b"%d" % value
    for length in (1, 20, 21, 63, 64, 16383, 16384, 100000, 3 << 20):
        values[b"same:%d" % length] = b"x" * length
        values[b"words:%d" % length] = (b"cache appliance " * (length // 16 + 1))[:length]
        values[b"random:%d" % length] = choice.randbytes(length)
    for i in range(KEYS):
        values[b"key:%d" % i] = choice.randbytes(choice.randrange(100))
    expected = {}
    pipe = client.pipeline(transaction=False)
    for i, (key, value) in enumerate(values.items()):
        expire = FAR_MS + i if i % 3 == 0 else -1
        pipe.set(key, value)
        if expire > 0:
            pipe.pexpireat(key, expire)
        expected[key] = (value, expire)
    pipe.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    pipe.set("over", "x", px=1)
    pipe.execute()
    return expected


def check_copy(*options):
    """Byte for byte and millisecond for millisecond what redis-server had."""
    with Redis(*options) as server:
        expected = fill(server.client)
        server.client.save()
        with Seeded(server.path) as appliance:
            assert appliance.found.keys() == expected.keys()
            for key, value in expected.items():
                assert appliance.found[key] == value, key
            assert appliance.info["rdb_last_load_keys_loaded"] == len(expected)
            assert appliance.info["rdb_last_load_keys_expired"] == 1


def check_refused(path, text, *options):
    """The start ends with an error that says this, and nobody was served."""
    try:
        with Seeded(path, *options):
            pass
    except RuntimeError as error:
        assert text in str(error) and "wirecache serves" not in str(error), error
        assert "ended with 1" in str(error), error
    else:
        raise AssertionError(f"{path} was taken")


def check_other_types():
    with Redis() as server:
        for key, command in (("queue", ("RPUSH", "queue", "a")), ("people", ("HSET", "people", "a", "b")),
                             ("tags", ("SADD", "tags", "a")), ("scores", ("ZADD", "scores", "1", "a")),
                             ("log", ("XADD", "log", "*", "a", "b"))):
            server.client.flushall()
            server.client.execute_command(*command)
            server.client.save()
            check_refused(server.path, f'key "{key}" is a')


def check_damage():
    with Redis() as server:
        fill(server.client)
        server.client.save()
        with open(server.path, "rb") as f:
            good = f.read()
        damaged = os.path.join(server.folder.name, "damaged.rdb")
        choice = random.Random(11)

        def refuse(data, text):
            with open(damaged, "wb") as f:
                f.write(data)
            check_refused(damaged, text)

        refuse(good[:len(good) // 2], "ends too early")
        refuse(good[:-1], "ends too early")
        refuse(good[:-1] + bytes([good[-1] ^ 1]), "the checksum is")
        at = good.index(b"cache appliance ")
        refuse(good[:at] + b"C" + good[at + 1:], "the checksum is")
        refuse(choice.randbytes(1000), "this is no RDB file")
        check_refused(server.path, "no room under maxmemory", "--maxmemory", "4mb")
        check_refused(os.path.join(server.folder.name, "none.rdb"), "No such file")


def main():
    harness.require_root()
    checks = Checks()
    checks.run("a copy of redis-server's keys", check_copy)
    checks.run("without compression, without a checksum", check_copy, "--rdbcompression", "no", "--rdbchecksum", "no")
    checks.run("types that cannot be kept", check_other_types)
    checks.run("damaged files", check_damage)
    checks.finish()


if __name__ == "__main__":
    main()
