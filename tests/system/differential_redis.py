#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends one seeded stream of commands to a stock redis-server 7.0 and to us; compares the replies.

    differential_redis.py [HOST:PORT] [--seed N] [--count N] [--rounds N] [--server PROGRAM]

Without HOST:PORT it starts the engine server of the build directory. Exit status: 0 no difference,
1 a difference (the seed, the command and both replies are printed), 77 a program is missing.

Replies are compared byte for byte, in RESP2 and in RESP3, but for what follows.

  time        TTL and its relatives may differ by the time between the two servers' executions;
              TIME is only looked at for its form.
  order       KEYS is compared as a set. SCAN is compared by its errors; a whole iteration as a
              set. RANDOMKEY must give a key that exists.
  identity    CLIENT ID, the id in HELLO, CLIENT LIST and INFO, IDLETIME and MEMORY USAGE: only
              the form.
  registry    COMMAND COUNT, LIST and bare COMMAND: we have fewer commands. COMMAND INFO is
              compared for each that we have, its subcommands aside; COMMAND DOCS by since and
              group. HELP texts are our own.
  directives  CONFIG GET and SET: only whether they fail, each server having its own directives.
  host        CLIENT LIST and KILL with good arguments, MEMORY STATS: the engine server has none.
              Of MEMORY STATS only the form is compared.
  cluster     CLUSTER: redis refuses unknown subcommands as such, we refuse all as disabled.
  quoting     An error repeats at most 128 bytes of an argument (HELLO and EXPIRE: 8 KiB).
  names       Client names are at most 63 bytes long here.
  waiting     WAIT, ROLE, publish and subscribe: the engine server has no host; see test_replication.py and
              test_pubsub.py.
"""

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
ENGINE_SERVER = os.path.join(BUILD, "tests", "fakes", "engine-server")
SKIPPED = 77
BATCH = 40  # commands in flight; both servers run a batch within milliseconds
NOW_MS = int(time.time() * 1000)
TOLERANCE_MS = 3000
QUOTED_BYTES = 128
SHOWN_BYTES = 300
SHOWN_COMMANDS = 15


class Broken(Exception):
    """A connection ended or a reply made no sense."""


class Connection:
    """Speaks RESP and gives replies as they came, byte for byte."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, commands):
        parts = []
        for args in commands:
            parts.append(b"*%d\r\n" % len(args))
            parts += [b"$%d\r\n%s\r\n" % (len(a), a) for a in args]
        self.socket.sendall(b"".join(parts))

    def read(self):
        """One reply: its raw bytes and its value."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Broken("the connection ended within %r" % line)
        kind, body = line[:1], line[1:-2]
        if kind == b"_":
            return line, None
        if kind in b"+-:,#(":
            return line, (kind, body)
        if kind in b"$=":
            if body == b"-1":
                return line, None
            rest = self.file.read(int(body) + 2)
            if len(rest) != int(body) + 2:
                raise Broken("the connection ended within a bulk")
            return line + rest, rest[:-2]
        if kind in b"*~>%":
            if body == b"-1":
                return line, None
            count = int(body) * (2 if kind == b"%" else 1)
            raw, values = [line], []
            for _ in range(count):
                element_raw, value = self.read()
                raw.append(element_raw)
                values.append(value)
            return b"".join(raw), values
        raise Broken("not a reply: %r" % line[:80])

    def call(self, *args):
        self.send([[a if isinstance(a, bytes) else str(a).encode() for a in args]])
        return self.read()


class Process:
    """A server of ours on a free port, ended with us."""

    def __init__(self, argv, port):
        self.port = port
        self.directory = tempfile.mkdtemp(prefix="differential-")
        self.child = subprocess.Popen(argv, cwd=self.directory, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                Connection("127.0.0.1", port).call("PING")
                return
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Broken("%s does not answer" % argv[0]) from None
                time.sleep(0.05)

    def stop(self):
        self.child.terminate()
        self.child.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# What is sent. A generator returns one command, or a list of them.

KEYS = [b"a", b"b", b"c", b"counter", b"key:1", b"key:2", b"key:10", b"with blank", b"",
        b"\x00\xff\r\n",
        b"k" * 300, b"[x]", b"*"]
INTEGERS = [b"0", b"1", b"-1", b"2", b"10", b"-7", b"100", b"9223372036854775807",
            b"-9223372036854775808", b"9223372036854775806", b"-9223372036854775807"]
ODD_NUMBERS = [b"", b" 1", b"1 ", b"+1", b"01", b"-0", b"00", b"1.0", b"1e3", b"0x10", b"abc", b"-",
               b"9223372036854775808", b"-9223372036854775809", b"99999999999999999999",
               b"1\x00", b"\xff", b"3.0e3", b"1_0", b"4294967296", b"-2147483649"]
DECIMALS = [b"0", b"1", b"-1", b"0.1", b"-0.1", b"3.14159265358979323846", b"1e10", b"1e-10",
            b"5.0e3",
            b"10.50", b"-0", b"-0.0", b"1e17", b"123456789012345678901234567890",
            b"0.000000000000000001",
            b".5", b"5.", b"1e300", b"-1e300", b"0x1p3", b"inf", b"-inf", b"+inf", b"infinity",
            b"nan",
            b"1e5000", b"1e-5000", b" 1", b"1 ", b"", b"+1", b"1e", b"--1", b"1.2.3", b"1e4932",
            b"1\x00"]
PATTERNS = [b"*", b"**", b"?", b"a", b"key:*", b"key:?", b"*1*", b"[a-c]", b"[^a]", b"[c-a]",
            b"\\*", b"[]", b"[", b"[^", b"[a", b"*[x]*", b"*\\[x\\]", b"", b"*\xff*",
            b"[\x00-\x7f]*", b"k*k*k*k*k*k*k*k*k*x", b"\\", b"w*k", b"?*?*", b"*?", b"counte[qr]",
            b"[\\a-c]", b"[a-", b"[a-]", b"*:*0"]


class Generator:
    """Draws commands. All randomness comes from the seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        r = self.random
        self.table = [
            (12, self.set), (8, lambda: [b"GET", self.key()]), (4, self.getex),
            (2, lambda: [b"SETNX", self.key(), self.value()]),
            (3, lambda: [r.choice([b"SETEX", b"PSETEX"]), self.key(), self.lifetime(),
                         self.value()]),
            (2, lambda: [b"GETSET", self.key(), self.value()]),
            (2, lambda: [b"GETDEL", self.key()]),
            (4, lambda: [b"APPEND", self.key(), self.value()]),
            (2, lambda: [b"STRLEN", self.key()]),
            (4, lambda: [r.choice([b"GETRANGE", b"SUBSTR"]), self.key(), self.index(),
                         self.index()]),
            (4, lambda: [b"SETRANGE", self.key(), self.offset(), self.value()]),
            (3, lambda: [b"MGET"] + self.keys()),
            (3, lambda: [r.choice([b"MSET", b"MSETNX"])] + self.pairs()),
            (6, lambda: [r.choice([b"INCR", b"DECR"]), self.counter()]),
            (5, lambda: [r.choice([b"INCRBY", b"DECRBY"]), self.counter(), self.integer()]),
            (6, lambda: [b"INCRBYFLOAT", self.counter(), self.decimal()]),
            (4, lambda: [r.choice([b"DEL", b"UNLINK"])] + self.keys()),
            (3, lambda: [r.choice([b"EXISTS", b"TOUCH"])] + self.keys()),
            (1, lambda: [b"TYPE", self.key()]),
            (8, self.expire),
            (4, lambda: [r.choice([b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"]), self.key()]),
            (2, lambda: [b"PERSIST", self.key()]),
            (2, lambda: [b"KEYS", r.choice(PATTERNS)]),
            (2, self.scan), (1, lambda: [b"DBSIZE"]), (1, lambda: [b"RANDOMKEY"]),
            (1, self.flush), (2, self.connection), (2, self.client), (1, self.object),
            (2, self.command), (2, self.unknown), (1, self.server),
        ]
        self.weights = [w for w, _ in self.table]

    def key(self):
        return self.random.choice(KEYS)

    def counter(self):
        return self.random.choice([b"counter", b"counter", b"a", b"b", self.key()])

    def keys(self):
        count = self.random.choice([1, 1, 2, 3, 5, 100])
        return [self.key() for _ in range(count)]

    def pairs(self):
        words = []
        for key in self.keys():
            words += [key, self.value()]
        return words[:-1] if self.random.random() < 0.1 else words

    def value(self):
        r = self.random
        kind = r.random()
        if kind < 0.35:
            return r.choice(INTEGERS + DECIMALS)
        if kind < 0.5:
            return b"%d" % r.randint(-10**6, 10**6)
        if kind < 0.9:
            return r.randbytes(r.choice([0, 1, 3, 20, 44, 45, 64, 200]))
        if kind < 0.98:
            return r.randbytes(r.choice([1000, 4095, 4096, 4097, 5000, 9000]))
        return r.randbytes(r.choice([32767, 32768, 40000, 70000, 300000]))

    def integer(self):
        r = self.random
        kind = r.random()
        if kind < 0.5:
            return b"%d" % r.randint(-1000, 1000)
        return r.choice(INTEGERS) if kind < 0.85 else r.choice(ODD_NUMBERS)

    def index(self):
        r = self.random
        if r.random() < 0.8:
            return b"%d" % r.choice([0, 1, -1, 2, -2, 5, -5, 43, 4096, -4097, 100000,
                                     r.randint(-50, 50)])
        return self.integer()

    def offset(self):
        r = self.random
        if r.random() < 0.85:
            return b"%d" % r.choice([0, 1, 2, 5, 10, 44, 4090, 4096, 6000, r.randint(0, 100)])
        # The longest that may be, one beyond it, and what is no offset; not 512 MB for each try.
        return r.choice([b"-1", b"536870912", b"9223372036854775807", b"abc", b"", b"4294967295"])

    def decimal(self):
        r = self.random
        if r.random() < 0.4:
            return b"%.*f" % (r.randint(0, 20), r.uniform(-1000, 1000))
        return r.choice(DECIMALS)

    def lifetime(self):
        """Of relative commands: far away and never twice the same, so that no reply is luck."""
        r = self.random
        if r.random() < 0.8:
            return b"%d" % r.randint(10**6, 10**9)
        return r.choice([b"0", b"-1", b"-100000000000", b"9223372036854775807",
                         b"-9223372036854775808", b"9223372036854776", b"9223372036854775", b"abc",
                         b"", b"1.5", b"+5"])

    def moment(self, unit_ms):
        """Of absolute commands, far in the past or the future."""
        r = self.random
        if r.random() < 0.8:
            offset = r.choice([-10**8, 10**8, 2 * 10**8, r.randint(10**9, 10**12)])
            return b"%d" % ((NOW_MS + offset) // unit_ms)
        return r.choice([b"0", b"-1", b"1", b"9223372036854775807", b"-9223372036854775808", b"abc",
                         b"9223372036854775", b"9223372036854776", b""])

    def deadline_option(self):
        r = self.random
        word = r.choice([b"EX", b"PX", b"EXAT", b"PXAT"])
        if word in (b"EX", b"PX"):
            return [word, self.lifetime()]
        return [word, self.moment(1000 if word == b"EXAT" else 1)]

    def set(self):
        r = self.random
        key = self.key()
        command = [b"SET", key, self.value()]
        for _ in range(r.choice([0, 0, 0, 1, 1, 2, 2, 3, 4])):
            kind = r.random()
            if kind < 0.4:
                command += self.deadline_option()
            elif kind < 0.95:
                command.append(r.choice([b"NX", b"XX", b"GET", b"KEEPTTL"]))
            else:
                command.append(r.choice([b"PERSIST", b"EX", b"foo", b"", b"NXX"]))
        # Redis drops what expired in the past only when somebody looks.
        return [command, [b"EXISTS", key]]

    def getex(self):
        r = self.random
        key = self.key()
        command = [b"GETEX", key]
        for _ in range(r.choice([0, 1, 1, 1, 2])):
            command += r.choice([self.deadline_option(), self.deadline_option(), [b"PERSIST"],
                                 [r.choice([b"NX", b"KEEPTTL", b"GET", b"EX", b"x"])]])
        return [command, [b"EXISTS", key]]

    def expire(self):
        r = self.random
        word = r.choice([b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"])
        if word.endswith(b"AT"):
            when = self.moment(1000 if word == b"EXPIREAT" else 1)
        else:
            when = self.lifetime()
        options = [r.choice([b"NX", b"XX", b"GT", b"LT", b"NX", b"bad\r\noption"])
                   for _ in range(r.choice([0, 0, 0, 1, 1, 2]))]
        key = self.key()
        return [[word, key, when] + options, [b"PEXPIRETIME", key]]

    def scan(self):
        r = self.random
        command = [b"SCAN", r.choice([b"0", b"0", b"abc", b"-1", b"", b" 0",
                                      b"18446744073709551616", b"0x"])]
        for _ in range(r.choice([0, 1, 1, 2])):
            command += r.choice([[b"MATCH", r.choice(PATTERNS)], [b"COUNT", self.integer()],
                                 [b"TYPE", r.choice([b"string", b"STRING", b"hash", b"none"])],
                                 [b"COUNT"], [b"bad", b"1"]])
        return command

    def flush(self):
        r = self.random
        if r.random() < 0.5:
            return [b"PING"]
        return [r.choice([b"FLUSHALL", b"FLUSHDB"])] + r.choice([[], [b"ASYNC"], [b"sync"],
                                                                 [b"bad"], [b"SYNC", b"x"]])

    def connection(self):
        r = self.random
        return r.choice([
            [b"PING"], [b"PING", self.value()], [b"ECHO", self.value()],
            [b"SELECT", r.choice([b"0", b"1", b"-1", b"15", b"abc", b"", b"99999999999", b"00"])],
            [b"HELLO"], [b"HELLO", r.choice([b"2", b"3", b"1", b"4", b"abc", b"03", b""])],
            [b"HELLO", b"3", b"SETNAME", r.choice([b"name", b"bad name", b"", b"\xff"])],
            [b"HELLO", b"2", b"AUTH", r.choice([b"default", b"nobody"]), b"pw"],
            [b"HELLO", b"3", b"AUTH", b"default", b"pw", b"SETNAME", b"me"],
            [b"HELLO", b"2", r.choice([b"AUTH", b"SETNAME", b"foo\r\n", b""])],
            [b"HELLO", b"3", b"AUTH", b"default"],
            [b"AUTH", b"pw"], [b"AUTH", b"default", b"pw"], [b"AUTH", b"x", b"y"],
            [b"AUTH", b"x", b"y", b"z"], [b"CLUSTER", b"INFO"], [b"CLUSTER", b"SLOTS"],
            [b"RESET"], [b"READONLY"], [b"READWRITE"], [b"ASKING"],
            [b"WAIT", b"0", r.choice([b"-1", b"x"])], [b"WAIT", b"x", b"1"],
        ])

    def client(self):
        r = self.random
        return r.choice([
            [b"CLIENT", b"SETNAME", r.choice([b"n", b"", b"a b", b"a\n", b"x" * 60, b"\x80"])],
            [b"CLIENT", b"GETNAME"], [b"CLIENT", b"ID"], [b"CLIENT", b"INFO"],
            [b"CLIENT", b"NO-EVICT", r.choice([b"on", b"OFF", b"maybe"])],
            [b"CLIENT", b"KILL"], [b"CLIENT", b"KILL", b"TYPE", b"nobody"],
            [b"CLIENT", b"KILL", b"ID", b"0"],
            [b"CLIENT", b"KILL", b"ID", b"x"], [b"CLIENT", b"KILL", b"SKIPME", b"perhaps"],
            [b"CLIENT", b"KILL", b"a", b"b", b"c"], [b"CLIENT", b"KILL", b"USER", b"nobody"],
            [b"CLIENT", b"LIST", b"TYPE", b"what"], [b"CLIENT", b"LIST", b"ID"],
            [b"CLIENT", b"LIST", b"ID", b"x"], [b"CLIENT", b"LIST", b"foo", b"bar"],
            [b"CLIENT", b"LIST", b"foo"],
            [b"CLIENT"], [b"CLIENT", r.choice([b"FOO", b"", b"a\r\nb", b"x" * 200]), b"1"],
            [b"client", b"setname", b"a", b"b"],
        ])

    def object(self):
        r = self.random
        return r.choice([
            [b"OBJECT", r.choice([b"ENCODING", b"REFCOUNT", b"IDLETIME", b"FREQ"]), self.key()],
            [b"OBJECT"], [b"OBJECT", b"ENCODING"], [b"OBJECT", b"nothing", b"a"],
            [b"MEMORY", b"USAGE", self.key()],
            [b"MEMORY", b"USAGE", self.key(), b"SAMPLES", self.integer()],
            [b"MEMORY", b"USAGE", self.key(), b"SAMPLES"], [b"MEMORY", b"USAGE"],
            [b"MEMORY", b"STATS"], [b"MEMORY", b"STATS", b"x"], [b"MEMORY", b"nothing"],
        ])

    def command(self):
        r = self.random
        request = self.draw()
        request = request if isinstance(request[0], bytes) else request[0]
        return r.choice([
            [b"COMMAND", b"GETKEYS"] + request, [b"COMMAND", b"GETKEYSANDFLAGS"] + request,
            [b"COMMAND", b"GETKEYS", b"OBJECT", b"ENCODING", b"k"], [b"COMMAND", b"GETKEYS"],
            [b"COMMAND", b"INFO", r.choice([b"get", b"SET", b"client|ID", b"nothing", b"",
                                            b"get|x"])],
            [b"COMMAND", b"LIST", b"FILTERBY", b"what", b"x"], [b"COMMAND", b"LIST", b"x"],
            [b"COMMAND", b"LIST", b"FILTERBY", b"MODULE", b"x"],
            [b"COMMAND", b"LIST", b"FILTERBY", b"ACLCAT", b"nothing"],
            [b"COMMAND", b"nothing"], [b"COMMAND", b"COUNT", b"x"],
            [b"COMMAND", b"DOCS", b"nothing"],
        ])

    def unknown(self):
        r = self.random
        words = [b"FOO", b"", b"get\x00", b"foo bar", b"x" * 300, b"a\r\nb", b"GETT", b"client|id",
                 b"\xff\xfe"]
        return [r.choice(words)] + [r.choice([b"a", b"", b"y" * 100, b"z" * 200, b"\r\n",
                                              self.value()])
                                    for _ in range(r.choice([0, 1, 2, 5, 20]))]

    def server(self):
        return self.random.choice([
            [b"TIME"], [b"CONFIG"], [b"CONFIG", b"GET"], [b"CONFIG", b"SET", b"a"],
            [b"CONFIG", b"SET", b"a", b"b", b"c"],
            [b"CONFIG", b"what"], [b"CONFIG", b"RESETSTAT", b"x"], [b"DBSIZE", b"x"], [b"TIME",
                                                                                       b"x"],
        ])

    def draw(self):
        return self.random.choices(self.table, self.weights)[0][1]()

    def spoil(self, command):
        """A small mistake, as a client might make it."""
        r = self.random
        kind = r.random()
        if kind < 0.05 and len(command) > 1:
            return command[:-1]
        if kind < 0.08:
            return command + [r.choice([b"x", b"", b"1", self.value()])]
        if kind < 0.11 and len(command) > 1:
            at = r.randrange(1, len(command))
            return command[:at] + [r.choice(ODD_NUMBERS)] + command[at + 1:]
        if kind < 0.3:
            return [r.choice([command[0].lower(), command[0].capitalize()])] + command[1:]
        return command

    def next(self):
        """The next commands: the first may be spoilt, what follows it looks at its effect."""
        drawn = self.draw()
        if isinstance(drawn[0], bytes):
            return [self.spoil(drawn)]
        return [self.spoil(drawn[0])] + drawn[1:]


# How replies are compared: a comparison is given both raw replies and both values.

def is_error(raw):
    return raw.startswith(b"-")


def same_form(theirs, ours, *_):
    """Same type; the same bytes if it is an error."""
    if is_error(theirs) or is_error(ours):
        return theirs == ours
    return theirs[:1] == ours[:1]


def same_outcome(theirs, ours, *_):
    return is_error(theirs) == is_error(ours)


def near(tolerance):
    def compare(theirs, ours, their_value, our_value):
        if theirs == ours:
            return True
        if theirs[:1] != b":" or ours[:1] != b":":
            return False
        a, b = int(their_value[1]), int(our_value[1])
        return a > 0 and b > 0 and abs(a - b) <= tolerance
    return compare


def same_set(theirs, ours, their_value, our_value):
    if not isinstance(their_value, list) or not isinstance(our_value, list):
        return theirs == ours
    return sorted(their_value) == sorted(our_value)


def without_id(raw):
    """HELLO's map without the line behind "id"."""
    lines = raw.split(b"\r\n")
    if b"id" in lines:
        lines[lines.index(b"id") + 1] = b":0"
    return lines


def same_hello(theirs, ours, *_):
    return without_id(theirs) == without_id(ours)


def name_of(command):
    words = [w.upper() for w in command[:2]]
    return words[0], b" ".join(words)


def info_equal(theirs, ours, their_value, our_value):
    if is_error(theirs) or is_error(ours):
        return theirs == ours
    return [strip_children(v) for v in their_value] == [strip_children(v) for v in our_value]


def strip_children(info):
    return info[:9] if isinstance(info, list) else info


COMPARISONS = {
    b"TTL": near(TOLERANCE_MS // 1000), b"PTTL": near(TOLERANCE_MS),
    b"EXPIRETIME": near(TOLERANCE_MS // 1000), b"PEXPIRETIME": near(TOLERANCE_MS),
    b"KEYS": same_set, b"SCAN": same_form, b"RANDOMKEY": same_form, b"TIME": same_form,
    b"HELLO": same_hello,
    b"CLIENT ID": same_form, b"CLIENT INFO": same_form, b"CLIENT LIST": same_form,
    b"OBJECT IDLETIME": same_form, b"MEMORY USAGE": same_form, b"MEMORY STATS": same_form,
    b"COMMAND INFO": info_equal, b"COMMAND DOCS": same_form, b"COMMAND LIST": same_form,
    b"COMMAND COUNT": same_form, b"CONFIG GET": same_outcome, b"CONFIG SET": same_outcome,
    b"CLUSTER": same_outcome,
}


def equal(command, theirs, ours):
    word, two_words = name_of(command)
    if ours[0].endswith(b"' is not available here\r\n"):
        return two_words in (b"CLIENT LIST", b"CLIENT KILL", b"MEMORY STATS")
    if two_words in (b"COMMAND", b"COMMAND INFO") and len(command) < 3:
        return same_form(theirs[0], ours[0])
    compare = COMPARISONS.get(two_words) or COMPARISONS.get(word)
    if compare:
        return compare(theirs[0], ours[0], theirs[1], ours[1])
    if is_error(theirs[0]) and is_error(ours[0]) and max(map(len, command)) > QUOTED_BYTES:
        return theirs[0][:QUOTED_BYTES] == ours[0][:QUOTED_BYTES]
    return theirs[0] == ours[0]


def shown(raw):
    if len(raw) > SHOWN_BYTES:
        raw = raw[:SHOWN_BYTES] + b"... (%d bytes)" % len(raw)
    return repr(raw)


class Run:
    """The two servers and what has been sent to them."""

    def __init__(self, redis, ours, seed):
        self.redis, self.ours = redis, ours
        self.seed = seed
        self.history = []
        self.sent = 0

    def differ(self, command, theirs, ours):
        print("DIFFERENCE at command %d, seed %d" % (self.sent, self.seed))
        related = [c for c in self.history if set(command[1:]) & set(c[1:])]
        for earlier in related[-SHOWN_COMMANDS:]:
            print("  before: ", shown(b" ".join(earlier)))
        print("  command:", [shown(word) for word in command][:12])
        print("  redis:  ", shown(theirs))
        print("  ours:   ", shown(ours))
        return False

    def batch(self, commands):
        self.redis.send(commands)
        self.ours.send(commands)
        for command in commands:
            theirs, ours = self.redis.read(), self.ours.read()
            if not equal(command, theirs, ours):
                return self.differ(command, theirs[0], ours[0])
            self.history.append(command)
            self.sent += 1
        return True

    def whole_scan(self, connection, *options):
        """All keys that a complete iteration gives."""
        found, cursor = set(), b"0"
        while True:
            _, (cursor, keys) = connection.call("SCAN", cursor, *options)
            found.update(keys)
            if cursor == b"0":
                return found

    def keyspace(self):
        """Both hold the same keys and values, and iterate over all of them."""
        for pattern in PATTERNS:
            theirs = self.whole_scan(self.redis, "MATCH", pattern, "COUNT", "7")
            ours = self.whole_scan(self.ours, "MATCH", pattern, "COUNT", "7")
            if theirs != ours:
                return self.differ([b"SCAN", b"MATCH", pattern], repr(sorted(theirs)).encode(),
                                   repr(sorted(ours)).encode())
        for key in sorted(self.whole_scan(self.redis)):
            if not self.batch([[b"GET", key], [b"PEXPIRETIME", key], [b"TYPE", key]]):
                return False
        _, key = self.ours.call("RANDOMKEY")
        if key is not None and self.redis.call("EXISTS", key)[0] != b":1\r\n":
            return self.differ([b"RANDOMKEY"], b"", repr(key).encode())
        return True

    def registry(self):
        """Every command that we list is described as redis describes it."""
        later = {b"client|setinfo", b"client|no-touch", b"debug|help", b"debug|sleep"}
        _, names = self.ours.call("COMMAND", "LIST")
        for name in sorted(set(names) - later):
            if not self.batch([[b"COMMAND", b"INFO", name]]):
                return False
            theirs, ours = (c.call("COMMAND", "DOCS", name)[1] for c in (self.redis, self.ours))
            theirs, ours = (dict(zip(v[1][::2], v[1][1::2])) for v in (theirs, ours))
            for field in (b"since", b"group"):
                if theirs[field] != ours[field]:
                    return self.differ([b"COMMAND", b"DOCS", name], repr(theirs[field]).encode(),
                                       repr(ours[field]).encode())
        return len(names) > 50


def one_round(args, seed, redis_address, our_address):
    run = Run(Connection(*redis_address), Connection(*our_address), seed)
    generator = Generator(seed)
    protocol = b"3" if seed % 2 else b"2"
    if not run.batch([[b"FLUSHALL"], [b"HELLO", protocol]]) or not run.registry():
        return False
    while run.sent < args.count:
        commands = []
        while len(commands) < BATCH:
            commands += generator.next()
        if not run.batch(commands):
            return False
        if generator.random.random() < 0.05 and not run.keyspace():
            return False
    print("seed %d: %d commands in RESP%s first, no difference" % (seed, run.sent,
                                                                   protocol.decode()))
    return run.keyspace()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?",
                        help="HOST:PORT of ours; default: start the engine server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000, help="commands of a round")
    parser.add_argument("--rounds", type=int, default=6,
                        help="each with the next seed; even: RESP2, odd: RESP3")
    parser.add_argument("--server", default=ENGINE_SERVER, help="the engine server's program")
    args = parser.parse_args()
    redis_program = shutil.which("redis-server")
    if not redis_program or (not args.address and not os.access(args.server, os.X_OK)):
        print("skipped: redis-server or the engine server is missing")
        return SKIPPED

    processes = []
    try:
        port = free_port()
        processes.append(Process([redis_program, "--port", str(port), "--bind", "127.0.0.1",
                                  "--save", "",
                                  "--databases", "1"], port))
        redis_address = ("127.0.0.1", port)
        if args.address:
            host, our_port = args.address.rsplit(":", 1)
            our_address = (host, int(our_port))
        else:
            port = free_port()
            processes.append(Process([args.server, "--resp-port", str(port), "--memcache-port",
                                      str(free_port())], port))
            our_address = ("127.0.0.1", port)
        for seed in range(args.seed, args.seed + args.rounds):
            if not one_round(args, seed, redis_address, our_address):
                return 1
    except Broken as e:
        print("broken: %s (seeds from %d)" % (e, args.seed))
        return 1
    finally:
        for process in processes:
            process.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
