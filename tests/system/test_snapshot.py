#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots: what redis-server makes of them, what is in them under load, and what a kill leaves."""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import redis

import harness
from harness import Appliance, Checks, sh, wait_for
from test_seed import FAR_MS, Redis

PAIRS = 300


class Saving(Appliance):
    """Saves into a folder of its own; `found` is what it had loaded before the harness emptied it."""

    def __init__(self, folder, *options, workers=1):
        super().__init__("af_packet", workers, workers, ("--dir", folder, *options))
        self.path = os.path.join(folder, "dump.rdb")
        self.found = None

    def warm_up(self):
        with client() as c:
            self.found = contents(c)
        super().warm_up()


@contextlib.contextmanager
def client():
    c = redis.Redis(harness.SERVER, 6379)
    yield c
    c.connection_pool.disconnect()


def contents(c):
    keys = list(c.scan_iter(count=1000))
    pipe = c.pipeline(transaction=False)
    for key in keys:
        pipe.get(key)
        pipe.pexpiretime(key)
    found = pipe.execute()
    return {key: (found[2 * i], found[2 * i + 1]) for i, key in enumerate(keys)}


def fill(c):
    choice = random.Random(5)
    pipe = c.pipeline(transaction=False)
    for i in range(5000):
        pipe.set(b"key:%d" % i, choice.randbytes(choice.randrange(200)), pxat=FAR_MS + i if i % 3 == 0 else None)
        pipe.set(b"number:%d" % i, choice.randrange(-1 << 33, 1 << 33))
    for length in (0, 20, 21, 4096, 4097, 70000, 5 << 20):
        pipe.set(b"words:%d" % length, (b"cache appliance " * (length // 16 + 1))[:length])
        pipe.set(b"random:%d" % length, choice.randbytes(length))
    pipe.execute()


def save(c):
    """A BGSAVE from its begin to its end."""
    before = c.info("persistence")["rdb_saves"]
    assert c.execute_command("BGSAVE") in (b"Background saving started", True)
    wait_for(lambda: not c.info("persistence")["rdb_bgsave_in_progress"], 60, "end of BGSAVE")
    info = c.info("persistence")
    assert info["rdb_last_bgsave_status"] == "ok" and info["rdb_saves"] == before + 1, info


def check_file(path):
    done = subprocess.run(["redis-check-rdb", path], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0 and "RDB looks OK" in done.stdout, done.stdout + done.stderr


def loaded_by_redis(path):
    """What redis-server finds in a copy of it."""
    with Redis() as server:
        shutil.copy(path, server.path)
        server.client.execute_command("DEBUG", "RELOAD", "NOSAVE")
        return contents(server.client)


def check_redis_loads_it():
    with tempfile.TemporaryDirectory() as folder, Saving(folder) as appliance, client() as c:
        fill(c)
        last = c.lastsave()
        time.sleep(1.1)
        save(c)
        assert c.lastsave() > last
        check_file(appliance.path)
        assert loaded_by_redis(appliance.path) == contents(c)
        assert c.save()
        check_file(appliance.path)
        assert os.listdir(folder) == ["dump.rdb"]


def write_pairs(stop, at):
    """Pairs of equal numbers, in one step each; and one number after another."""
    choice = random.Random(at)
    count = 0
    with client() as c:
        while not stop.is_set():
            count += 1
            pair = choice.randrange(PAIRS)
            c.mset({f"a:{at}:{pair}": count, f"b:{at}:{pair}": count})
            c.set(f"first:{at}", "%012d" % count)
            c.set(f"second:{at}", "%012d" % count)
            c.delete(f"gone:{at}:{choice.randrange(PAIRS)}")
            c.set(f"gone:{at}:{choice.randrange(PAIRS)}", "x" * choice.randrange(9000))


def check_one_moment():
    """Two workers, four writers: whole pairs, and no number without the one before."""
    stop = threading.Event()
    writers = [threading.Thread(target=write_pairs, args=(stop, at)) for at in range(4)]
    with tempfile.TemporaryDirectory() as folder, Saving(folder, workers=2) as appliance, client() as c:
        fill(c)
        for writer in writers:
            writer.start()
        try:
            for _ in range(8):
                save(c)
                found = loaded_by_redis(appliance.path)
                for at in range(4):
                    for pair in range(PAIRS):
                        assert found.get(b"a:%d:%d" % (at, pair)) == found.get(b"b:%d:%d" % (at, pair))
                    first, second = (int(found.get(name % at, ("0",))[0]) for name in (b"first:%d", b"second:%d"))
                    assert second <= first <= second + 1, (first, second)
        finally:
            stop.set()
            for writer in writers:
                writer.join()


def check_restart():
    """What was saved is there again; what was not, is not. A later seed makes no difference."""
    with tempfile.TemporaryDirectory() as folder:
        with Saving(folder) as appliance, client() as c:
            assert appliance.found == {}
            fill(c)
            saved = contents(c)
            save(c)
            c.set("late", "x")
        with Saving(folder, "--seed", "/nowhere.rdb") as appliance, client() as c:
            assert appliance.found == saved
        with open(appliance.path, "r+b") as f:
            f.truncate(os.path.getsize(appliance.path) - 1)
        try:
            with Saving(folder):
                raise AssertionError("a damaged file was taken")
        except RuntimeError as error:
            assert "ends too early" in str(error) and "ended with 1" in str(error), error


def ask(line, end=b"END\r\n"):
    with socket.create_connection((harness.SERVER, 11211), 10) as s:
        s.sendall(line)
        reply = b""
        while not reply.endswith(end):
            reply += s.recv(65536)
    return reply


class Memcached(Saving):
    def warm_up(self):
        self.reply = ask(b"gets one two three\r\n")
        if b"one" in self.reply:
            unique = re.search(rb"VALUE one \d+ 1 (\d+)", self.reply)[1]
            self.stored = ask(b"cas one 7 0 1 %s\r\nb\r\n" % unique, b"\r\n")
            self.late = ask(b"cas one 7 0 1 %s\r\nc\r\n" % unique, b"\r\n")
        super().warm_up()


def check_memcached():
    """Flags and uniques are what they were, and a cas with one from before the restart works, once."""
    with tempfile.TemporaryDirectory() as folder:
        with Memcached(folder), client() as c:
            assert ask(b"set one 5 0 1\r\na\r\n", b"\r\n") == b"STORED\r\n"
            assert ask(b"set two 0 1000 1\r\na\r\n", b"\r\n") == b"STORED\r\n"
            c.set("three", "z")
            before = ask(b"gets one two three\r\n")
            save(c)
        with Memcached(folder) as appliance:
            assert appliance.reply == before, (appliance.reply, before)
            assert appliance.stored == b"STORED\r\n" and appliance.late == b"EXISTS\r\n"
        with Saving(folder, "--snapshot-memcached", "no") as appliance, client() as c:
            c.set("plain", "x")
            save(c)
            with open(appliance.path, "rb") as f:
                assert b"mc" not in f.read()


def check_kill():
    """At whatever moment: the file before or the new one, whole, and a start that loads it."""
    choice = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(6):
            with Saving(folder) as appliance, client() as c:
                assert round_number == 0 or b"round" in appliance.found
                fill(c)
                c.set("round", round_number)
                if round_number == 0:
                    save(c)
                c.execute_command("BGSAVE")
                time.sleep(choice.random() * 0.2)
                appliance.process.kill()
                appliance.process.wait()
            check_file(appliance.path)
        with Saving(folder), client() as c:
            save(c)
        assert os.listdir(folder) == ["dump.rdb"]


def check_stop():
    """SIGTERM ends a save, and leaves the file before."""
    with tempfile.TemporaryDirectory() as folder, Saving(folder) as appliance:
        with client() as c:
            save(c)
            before = os.stat(appliance.path).st_ino
            for i in range(20):
                c.set(f"random:{i}", os.urandom(10 << 20))
            c.execute_command("BGSAVE")
        appliance.stop()
        assert os.stat(appliance.path).st_ino == before and os.listdir(folder) == ["dump.rdb"]


def check_full_disk():
    """Fails, says so, and leaves what was there."""
    with tempfile.TemporaryDirectory() as folder:
        sh("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        try:
            with Saving(folder) as appliance, client() as c:
                c.set("small", "x")
                save(c)
                c.set("large", os.urandom(2 << 20))
                c.execute_command("BGSAVE")
                wait_for(lambda: c.info("persistence")["rdb_last_bgsave_status"] == "err", 30, "failure")
                try:
                    c.save()
                    raise AssertionError("saved on a full disk")
                except redis.ResponseError as error:
                    assert "No space left" in str(error), error
                assert os.listdir(folder) == ["dump.rdb"]
                c.delete("large")
                save(c)
                check_file(appliance.path)
        finally:
            sh("umount", folder)


def check_flush():
    """FLUSHALL ends a snapshot, as in redis; the next one is good."""
    with tempfile.TemporaryDirectory() as folder, Saving(folder) as appliance, client() as c:
        for _ in range(5):
            fill(c)
            c.execute_command("BGSAVE")
            c.flushall()
            wait_for(lambda: not c.info("persistence")["rdb_bgsave_in_progress"], 60, "end of BGSAVE")
        c.set("after", "x")
        save(c)
        assert set(loaded_by_redis(appliance.path)) == {b"after"}


def files_in(folder):
    return sorted(os.listdir(folder))


def check_rules():
    """`save`: as soon as there are changes enough and the time has come, and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        with Saving(folder, "--save", "1 3") as appliance, client() as c:
            c.bgsave()
            wait_for(lambda: c.info("persistence")["rdb_changes_since_last_save"] == 0, 10, "first save")
            c.mset({"a": 1, "b": 2})
            time.sleep(2.5)
            info = c.info("persistence")
            assert info["rdb_changes_since_last_save"] == 2 and info["rdb_saves"] == 1, info
            c.incr("a")
            wait_for(lambda: c.info("persistence")["rdb_saves"] == 2, 10, "save by the rule")
            assert set(loaded_by_redis(appliance.path)) == {b"a", b"b"}
            assert c.config_set("save", "") and c.config_get("save") == {"save": ""}
            assert c.config_set("save", "3600 1000000")
            c.set("last", "x")
            appliance.stop()
        with Saving(folder) as appliance:
            assert {k: v[0] for k, v in appliance.found.items()} == {b"a": b"2", b"b": b"2", b"last": b"x"}


def write_until_the_end(written):
    with contextlib.suppress(redis.ConnectionError), client() as c:
        while True:
            try:
                c.set("number", written[0] + 1)
                written[0] += 1
            except redis.ResponseError as error:
                assert str(error) == "the server is shutting down", error
                return


def check_last_snapshot():
    """What a client was told to be written is there after SIGTERM, whatever it wrote meanwhile."""
    written = [0]
    with tempfile.TemporaryDirectory() as folder:
        with Saving(folder, "--save", "3600 1000000", workers=2) as appliance, client() as c:
            fill(c)
            writer = threading.Thread(target=write_until_the_end, args=(written,))
            writer.start()
            time.sleep(0.5)
            appliance.stop()
            writer.join()
        assert written[0] > 0
        with Saving(folder) as appliance:
            assert int(appliance.found[b"number"][0]) >= written[0], (appliance.found[b"number"], written)


def shutdown(appliance, *words):
    """By the admin listener. What it says, None if the process has ended."""
    def ask_admin():
        with redis.Redis("127.0.0.1", 6380, retry=None) as admin:
            try:
                admin.execute_command("SHUTDOWN", *words)
            except redis.ConnectionError:
                return None
            except redis.ResponseError as error:
                return str(error)
        raise AssertionError("SHUTDOWN was answered")

    return harness.in_namespace(appliance.server, ask_admin)


def check_shutdown():
    """With and without a snapshot; one that cannot be written keeps the appliance going."""
    with tempfile.TemporaryDirectory() as folder:
        sh("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        try:
            with Saving(folder, "--save", "3600 1") as appliance, client() as c:
                c.set("large", os.urandom(2 << 20))
                assert shutdown(appliance).startswith("Errors trying to SHUTDOWN")
                assert c.set("after", "x")
                assert shutdown(appliance, "NOSAVE") is None
                appliance.process.wait(10)
            assert files_in(folder) == []
            with Saving(folder) as appliance, client() as c:
                c.set("small", "x")
                assert shutdown(appliance, "SAVE") is None
                appliance.process.wait(10)
            assert files_in(folder) == ["dump.rdb"]
        finally:
            sh("umount", folder)


def check_dated():
    """One in the window of a day, under its time; the oldest go."""
    with tempfile.TemporaryDirectory() as folder:
        dated = os.path.join(folder, "daily")
        os.mkdir(dated)
        old = ["wirecache-2024010%dT030000Z.rdb" % day for day in range(1, 5)]
        for name in old + ["wirecache-20240105T030000Z.rdb.temp", "mine"]:
            with open(os.path.join(dated, name), "w", encoding="ascii"):
                pass
        with Saving(folder, "--snapshot-dir", "daily", "--snapshot-retention", "3") as appliance, client() as c:
            c.set("key", "value")
            now = time.gmtime()
            c.config_set("snapshot-window", "%02d:00-%02d:00" % (now.tm_hour, (now.tm_hour + 2) % 24))
            wait_for(lambda: c.info("persistence")["dated_snapshots"] == 1, 20, "dated snapshot")
            names = files_in(dated)
            assert names[0] == "mine" and names[1:3] == old[2:] and len(names) == 4, names
            assert set(loaded_by_redis(os.path.join(dated, names[3]))) == {b"key"}
            time.sleep(2.5)
            assert files_in(dated) == names
            metrics = appliance.metrics()
            assert metrics['wirecache_snapshots_total{kind="dated"}'] == 1
            assert metrics['wirecache_snapshots_total{kind="main"}'] == 0
        assert files_in(folder) == ["daily"]
        with Saving(folder, "--snapshot-dir", "daily", "--snapshot-window",
                    "%02d:00-%02d:00" % (now.tm_hour, (now.tm_hour + 2) % 24)):
            time.sleep(2.5)
            assert files_in(dated) == names


def refused(folder, *options):
    try:
        with Saving(folder, *options):
            raise AssertionError("it has started")
    except RuntimeError as error:
        return str(error)


def check_sealed():
    """With a key nothing can be read in the file, and only that key opens it."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as keys:
        one, other = os.path.join(keys, "one"), os.path.join(keys, "other")
        for path in (one, other):
            with open(path, "w", encoding="ascii") as f:
                f.write(os.urandom(32).hex() + "\n")
            os.chmod(path, 0o600)
        with Saving(folder, "--snapshot-key-file", one) as appliance, client() as c:
            fill(c)
            saved = contents(c)
            save(c)
        with open(appliance.path, "rb") as f:
            sealed = f.read()
        assert sealed.startswith(b"WCSEAL01") and b"REDIS" not in sealed and b"cache appliance" not in sealed
        with Saving(folder, "--snapshot-key-file", one) as appliance:
            assert appliance.found == saved
        assert "see --snapshot-key-file" in refused(folder)
        assert "another key, or damaged" in refused(folder, "--snapshot-key-file", other)
        assert "No such file" in refused(folder, "--snapshot-key-file", "/nowhere")
        with open(appliance.path, "r+b") as f:
            f.seek(len(sealed) // 2)
            f.write(b"damage")
        assert "another key, or damaged" in refused(folder, "--snapshot-key-file", one)


def main():
    harness.require_root()
    checks = Checks()
    checks.run("redis-server loads it", check_redis_loads_it)
    checks.run("one moment of two workers", check_one_moment)
    checks.run("a restart", check_restart)
    checks.run("flags and uniques of memcached's clients", check_memcached)
    checks.run("kill -9", check_kill)
    checks.run("SIGTERM while it saves", check_stop)
    checks.run("a full disk", check_full_disk)
    checks.run("FLUSHALL", check_flush)
    checks.run("save rules", check_rules)
    checks.run("the last snapshot", check_last_snapshot)
    checks.run("SHUTDOWN", check_shutdown)
    checks.run("dated snapshots", check_dated)
    checks.run("sealed snapshots", check_sealed)
    checks.finish()


if __name__ == "__main__":
    main()
