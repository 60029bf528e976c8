#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Publish and subscribe across workers, and transactions of an administrator: beside redis-server, byte for byte."""

import contextlib
import os
import socket
import threading
import time

import redis

import harness
from harness import Appliance, Checks, wait_for
from test_replication import Primary, client

PORT = 7001


class Talk:
    """A conversation in bytes, with what comes until nothing more does."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, 10)

    def say(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.hear()

    def hear(self, silence=0.1):
        self.socket.settimeout(silence)
        heard = b""
        with contextlib.suppress(TimeoutError):
            while True:
                some = self.socket.recv(65536)
                if not some:
                    return heard + b"<end>"
                heard += some
        return heard

    def close(self):
        self.socket.close()


def script_of_subscribers(address, resp):
    """What two clients hear; the first one subscribes."""
    heard = []
    one, two = Talk(address), Talk(address)
    if resp == 3:
        one.say("HELLO", 3)
    for words in (("SUBSCRIBE", "a", "b", "a"), ("PSUBSCRIBE", "x*", "a"), ("PING",), ("PING", "hello"), ("GET", "x"),
                  ("SUBSCRIBE",)):
        heard.append((words, one.say(*words)))
    for words in (("PUBLISH", "a", "one"), ("PUBLISH", "xyz", ""), ("PUBLISH", "nobody", "x"),
                  ("PUBLISH", "b", b"\r\n\0" * 5000), ("PUBSUB", "NUMSUB", "a", "b", "c"), ("PUBSUB", "NUMPAT"),
                  ("PUBSUB", "CHANNELS", "b*"), ("PUBSUB", "NUMSUB"), ("PUBSUB", "NOSUCH")):
        heard.append((words, two.say(*words), one.hear()))
    for words in (("UNSUBSCRIBE", "a", "nosuch"), ("PUNSUBSCRIBE", "x*"), ("PUNSUBSCRIBE",), ("PUNSUBSCRIBE",),
                  ("UNSUBSCRIBE",), ("UNSUBSCRIBE",), ("PING",), ("GET", "x")):
        heard.append((words, one.say(*words)))
    heard.append(two.say("PUBSUB", "CHANNELS"))
    one.close()
    two.close()
    return heard


def script_of_transactions(address):
    heard = []
    one = Talk(address)
    for words in (("EXEC",), ("DISCARD",), ("MULTI",), ("MULTI",), ("PING",), ("ECHO", "x"), ("NOSUCH", "x"), ("EXEC",),
                  ("MULTI",), ("EXEC",), ("MULTI",), ("PING", "a", "b"), ("PING", "x"), ("CONFIG", "GET", "tcp-keepaliv"),
                  ("CLIENT", "GETNAME"), ("CONFIG", "SET", "nosuch", "x"), ("EXEC",), ("MULTI",), ("GET",), ("EXEC",),
                  ("MULTI",), ("PING",), ("DISCARD",), ("EXEC",), ("MULTI", "x"), ("PING",)):
        heard.append((words, one.say(*words)))
    one.close()
    return heard


def check_as_redis():
    with Appliance("af_packet"), Primary() as other:
        ours, theirs = (harness.SERVER, 6379), (harness.CLIENT, other.port)
        for name, script in (("RESP2", lambda a: script_of_subscribers(a, 2)), ("RESP3", lambda a: script_of_subscribers(a, 3)),
                             ("MULTI", script_of_transactions)):
            for mine, expected in zip(script(ours), script(theirs)):
                assert mine == expected, (name, mine, expected)


def check_workers():
    """Subscribers of all workers get each message, once and in order."""
    with Appliance("af_packet", 2, 2):
        subscribers = [redis.Redis(harness.SERVER, 6379).pubsub(ignore_subscribe_messages=False) for _ in range(20)]
        for s in subscribers:
            s.subscribe("news")
            assert s.get_message(timeout=5)["type"] == "subscribe"
        with client() as c:
            for i in range(200):
                assert c.publish("news", i) == 20
            for s in subscribers:
                for i in range(200):
                    assert s.get_message(timeout=5)["data"] == b"%d" % i
            for s in subscribers:
                s.close()
            wait_for(lambda: c.pubsub_numsub("news")[0][1] == 0, 10, "end of the subscriptions")


def check_slow():
    """A subscriber that does not read is cut off, and others are not held up."""
    limits = ("--client-output-buffer-limit", "pubsub", "4194304", "0", "0")
    with Appliance("af_packet", options=limits), client() as c:
        slow = Talk((harness.SERVER, 6379))
        slow.say("SUBSCRIBE", "big")
        fast = redis.Redis(harness.SERVER, 6379).pubsub(ignore_subscribe_messages=True)
        fast.subscribe("big")
        fast.get_message(timeout=5)
        got = []

        def read():
            while len(got) < 100:
                message = fast.get_message(timeout=10)
                if message:
                    got.append(message["data"])

        reader = threading.Thread(target=read)
        reader.start()
        for i in range(100):
            c.publish("big", os.urandom(100000))
            time.sleep(0.005)
        reader.join()
        wait_for(lambda: c.pubsub_numsub("big")[0][1] == 1, 10, "end of the slow one")
        fast.close()
        slow.close()


def check_late():
    """What is longer than TCP takes at once comes to its end without another message."""
    with Appliance("af_packet"), client() as c:
        late = Talk((harness.SERVER, 6379))
        late.say("SUBSCRIBE", "big")
        for _ in range(40):
            c.publish("big", b"x" * 100000)
        time.sleep(1)
        heard = late.hear(1)
        assert heard.count(b"x") == 40 * 100000, heard.count(b"x")
        late.close()


def main():
    harness.require_root()
    checks = Checks()
    checks.run("as redis-server", check_as_redis)
    checks.run("subscribers of all workers", check_workers)
    checks.run("a slow subscriber", check_slow)
    checks.run("a late subscriber", check_late)
    checks.finish()


if __name__ == "__main__":
    main()
