#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Three of Redis' Sentinels look after three appliances: what fails is replaced, and what comes back follows."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time

import redis
import redis.sentinel

import harness
from harness import Appliance, Checks, sh, wait_for
from test_replication import Beside, client, link_up

SENTINELS = (26379, 26380, 26381)
DETECTION_MS = 1000
NAME = "cache"


class Sentinels:
    def __init__(self, primary):
        self.folder = tempfile.TemporaryDirectory()
        self.processes = []
        for port in SENTINELS:
            path = os.path.join(self.folder.name, f"{port}.conf")
            with open(path, "w", encoding="ascii") as f:
                f.write(f"port {port}\nbind {harness.CLIENT}\nprotected-mode no\ndir {self.folder.name}\n"
                        f"sentinel announce-ip {harness.CLIENT}\n"
                        f"sentinel monitor {NAME} {primary} 6379 2\n"
                        f"sentinel down-after-milliseconds {NAME} {DETECTION_MS}\n"
                        f"sentinel failover-timeout {NAME} 10000\nsentinel parallel-syncs {NAME} 2\n")
            log = open(os.path.join(self.folder.name, f"{port}.log"), "w")
            self.processes.append(subprocess.Popen(["redis-sentinel", path], stdout=log, stderr=log))
            log.close()
        self.clients = [redis.Redis(harness.CLIENT, port, decode_responses=True) for port in SENTINELS]
        self.sentinel = redis.sentinel.Sentinel([(harness.CLIENT, port) for port in SENTINELS], socket_timeout=1)

    def ready(self, replicas):
        """All know all."""
        def known():
            with contextlib.suppress(redis.RedisError):
                return all(s["num-slaves"] >= replicas and s["num-other-sentinels"] == 2 and "down" not in s["flags"]
                           for s in (c.sentinel_master(NAME) for c in self.clients))

        try:
            wait_for(known, 40, "sentinels that know all")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log()}") from error

    def primary(self):
        """None while there is none."""
        with contextlib.suppress(redis.RedisError):
            return self.sentinel.discover_master(NAME)[0]

    def log(self):
        with open(os.path.join(self.folder.name, f"{SENTINELS[0]}.log"), errors="replace") as f:
            return f.read()[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        for c in self.clients:
            c.close()
        self.folder.cleanup()


class Writer:
    """Counts up through whoever the Sentinels say is the primary, and remembers what was acknowledged."""

    def __init__(self, sentinels, waits):
        self.sentinels, self.waits = sentinels, waits
        self.acknowledged, self.gaps = [], []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number, last = 0, time.monotonic()
        c = self.sentinels.sentinel.master_for(NAME, socket_timeout=0.2, retry_on_timeout=False)
        while not self.ending.is_set():
            number += 1
            try:
                pipe = c.pipeline(transaction=False)
                pipe.set(f"w:{number}", number)
                if self.waits:
                    pipe.execute_command("WAIT", 1, 150)
                done = pipe.execute()
                if self.waits and done[1] < 1:
                    continue
            except redis.RedisError:
                time.sleep(0.005)
                continue
            now = time.monotonic()
            self.acknowledged.append(number)
            self.gaps.append(now - last)
            last = now
            time.sleep(0.001)
        c.close()

    def stop(self):
        self.ending.set()
        self.thread.join()


def lost(primary, writer):
    """Acknowledged writes that are not there."""
    c = redis.Redis(primary, 6379)
    found = set()
    for i in range(0, len(writer.acknowledged), 1000):
        part = writer.acknowledged[i:i + 1000]
        found |= {n for n, v in zip(part, c.mget([f"w:{n}" for n in part])) if v is not None}
    c.connection_pool.disconnect()
    return [n for n in writer.acknowledged if n not in found]


def report(what, sentinels, writer):
    gap = max(writer.gaps)
    gone = lost(sentinels.primary(), writer)
    print(f"# {what}: {len(writer.acknowledged)} writes acknowledged, {len(gone)} lost; none for {gap:.2f} s, "
          f"of which detection is {DETECTION_MS / 1000:.0f} s", flush=True)
    return gap, gone


def new_primary(sentinels, before, seconds=20):
    try:
        wait_for(lambda: sentinels.primary() not in (before, None), seconds, "new primary")
    except AssertionError as error:
        raise AssertionError(f"{error}: {sentinels.log()}") from error
    return sentinels.primary()


@contextlib.contextmanager
def three(*options):
    with Appliance("af_packet", options=("--nic-gateway", harness.CLIENT)) as lab:
        with Beside(lab, 1, *options) as one, Beside(lab, 2, *options) as two, Beside(lab, 3, *options) as three_:
            all_three = {a.address: a for a in (one, two, three_)}
            for a in (two, three_):
                a.client.replicaof(one.address, 6379)
                link_up(a.client)
            with Sentinels(one.address) as sentinels:
                sentinels.ready(2)
                yield all_three, sentinels


def check_kill(waits):
    """kill -9 of the primary, twice; each time it comes back as a replica."""
    options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "3") if waits else ()
    with three(*options) as (appliances, sentinels):
        writer = Writer(sentinels, waits)
        try:
            time.sleep(2)
            for _ in range(2):
                before = sentinels.primary()
                appliances[before].stop(signal.SIGKILL)
                now = new_primary(sentinels, before)
                time.sleep(2)
                appliances[before].start()
                link_up(appliances[before].client, 40)
                assert appliances[now].client.role()[0] == b"master"
                sentinels.ready(2)
                time.sleep(1)
        finally:
            writer.stop()
        gap, gone = report("kill -9, twice, with WAIT" if waits else "kill -9, twice", sentinels, writer)
        assert not waits or not gone, gone
        assert gap < DETECTION_MS / 1000 + 4, gap


def check_cut():
    """The primary's link is cut: a replica takes over, and what was the primary follows when it is back."""
    with three("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1") as (appliances, sentinels):
        writer = Writer(sentinels, True)
        before = sentinels.primary()
        try:
            time.sleep(2)
            interface = f"client{appliances[before].number}"
            sh("ip", "link", "set", interface, "down")
            new_primary(sentinels, before)
            time.sleep(2)
            sh("ip", "link", "set", interface, "up")
            link_up(appliances[before].client, 40)
        finally:
            writer.stop()
        gap, gone = report("cut link, with WAIT", sentinels, writer)
        assert not gone, gone


def check_planned():
    """SENTINEL FAILOVER, and a stop by SIGTERM."""
    with three() as (appliances, sentinels):
        writer = Writer(sentinels, False)
        try:
            time.sleep(1)
            before = sentinels.primary()
            sentinels.clients[0].execute_command("SENTINEL", "FAILOVER", NAME)
            now = new_primary(sentinels, before)
            link_up(appliances[before].client, 30)
            sentinels.ready(2)
            appliances[now].stop(signal.SIGTERM)
            new_primary(sentinels, now)
            time.sleep(1)
            appliances[now].start()
            link_up(appliances[now].client, 40)
        finally:
            writer.stop()
        report("planned, and a stop", sentinels, writer)


def main():
    harness.require_root()
    checks = Checks()
    checks.run("kill -9", check_kill, False)
    checks.run("kill -9, with WAIT", check_kill, True)
    checks.run("a cut link", check_cut)
    checks.run("planned", check_planned)
    checks.finish()


if __name__ == "__main__":
    main()
