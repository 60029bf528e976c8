#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""memcached's text protocol and its meta commands, byte for byte against memcached 1.6.18.

Sends the same seeded random requests, valid and broken, cut anywhere, to a memcached that it starts
itself and to ours, and compares the replies. Prints the seed; --seed replays. Exit 0, 1, or 77 when
there is no memcached or no server of ours to start.

Known and intended differences, which the generator steers around or the comparison levels out:
  - cas uniques are compared by order of appearance, not by value;
  - touch and gat renew the cas unique here (an expiry is part of the versioned item): the keys that
    they are tried on, t0..t7, have their uniques blanked out;
  - an overlong key in get makes memcached drop replies that it still owes from the same burst; here
    they are sent. Such a line is sent alone;
  - memcached looks for a minus sign beyond the end of a counter of 2^63 or more, in whatever its
    memory held before: such counters appear only at the start, in fresh memory;
  - it looks for a number behind a value of blanks, likewise: counters are no such values;
  - memcached pads a counter that got shorter only while nobody holds it, so a pipelined get before
    a decr, or one of its maintenance threads, changes the value's length there. Counters are
    changed and read in turn, and those threads are turned off; the same decides whether ma leaves
    a value stale: it is not tried;
  - a changed expiry renews the cas unique with the meta commands, too: keys M0.. have theirs blanked
    out, and what a stale unique may do is tried on keys of its own;
  - an answer of a meta command says `b` when the request did; there, when the key was stored with it,
    which mg N, append and prepend do not do;
  - mg R judges the expiry that the item had, also behind a T; the order of the two is not tried;
  - the seconds left of what has just expired are 0 here, and 2^32 less a few there;
  - an opaque that is too long is found before anything is done, and there when mg has set its expiry;
  - ma T is forgotten there when the number gets longer, and not here: it is not tried;
  - me tells the size of an item and its class as they are here;
  - slabs, lru and lru_crawler change nothing here; watch and cache_memlimit: not ours yet;
  - the figures of stats, but not their names.
"""
import argparse
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

END = b"mn\r\n"          # answered MN, which no value contains
END_REPLY = b"MN\r\n"
TIMEOUT_S = 10.0
BLOCK_ERROR_MAX = 40     # bytes by which a data block may be too long or too short

PLAIN = [b"k%d" % i for i in range(12)]
TOUCHED = [b"t%d" % i for i in range(8)]
COUNTERS = [b"n%d" % i for i in range(6)]
LARGE = [b"L%d" % i for i in range(2)]
METAS = [b"M%d" % i for i in range(6)]
META_COUNTERS = [b"MA%d" % i for i in range(4)]
UNIQUES = [b"u%d" % i for i in range(4)]
LONG = b"y" * 250
OVERLONG = b"z" * 251
ODD_KEYS = [LONG, b"a\tb", b"\xff\xfe", b"caf\xc3\xa9", b"get", b"noreply", b"0"]
EXPTIMES = [b"0", b"0", b"0", b"1000", b"2592000", b"-1", b"2592001", b"4000000000", b"2147483647"]
BAD_NUMBERS = [b"abc", b"-1", b"1x", b"4294967296", b"4294967297", b"99999999999999999999", b"+1",
               b"-0", b"1\tx", b"0x10", b"\t1", b"--1", b"18446744073709551616", b"", b"2147483648"]
ODD_EXPTIMES = [b"abc", b"1x", b"99999999999999999999", b"-0", b"--1", b"0x10", b"", b"4294967296",
                b"4294968296", b"+1000", b"1000\tx", b"\t1000", b"2147483648", b"-99999999999"]
BAD_DELTAS = [b"abc", b"-1", b"1x", b"99999999999999999999", b"+1", b"1\tx", b"--1", b"4294967296"]
DELTAS = [b"0", b"1", b"1", b"7", b"99", b"1000000", b"99999999999"]
NUMBERS = [b"0", b"9", b"10", b"100", b"99999", b"5 foo", b" 5", b"+7", b"", b"x", b"007",
           b"1\r\n2", b"18446744073709551616", b"3\0y", b"1.5", b"999999999999999999"]
WRAPS = [b"set w1 5 0 20\r\n18446744073709551615\r\nincr w1 1\r\n", b"get w1\r\n",
         b"incr w1 18446744073709551615\r\nincr w1 18446744073709551615\r\n", b"get w1\r\n",
         b"decr w1 9223372036854775808\r\ndecr w1 9223372036854775808\r\n", b"get w1\r\n",
         b"set w2 0 0 2\r\n-1\r\nincr w2 1\r\ndecr w2 1\r\n",
         b"set w3 0 0 4\r\n1000\r\ndecr w3 999\r\n", b"get w3\r\nincr w3 10000\r\n", b"get w3\r\n"]
STALE = b"18446744073709551000"  # nobody's unique
MODES = [b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend"]
NOISE = [b"\r\n", b"\n", b"a\r\n", b"get\r\n", b"gets\r\n", b"gat\r\n", b"gat 5\r\n",
         b"gat x k1\r\n", b"set\r\n", b"set k1 0 0\r\n", b"set k1 0 0 1 2 3\r\n", b"GET k1\r\n",
         b"foo bar\r\n", b"delete\r\n", b"delete k1 1\r\n", b"delete k1 0 1\r\n",
         b"delete k1 1 noreply\r\n", b"delete k1 a b c\r\n", b"incr n1\r\n", b"incr n1 1 2 3\r\n",
         b"touch t1\r\n", b"touch t1 x\r\n", b"touch t1 noreply\r\n", b"verbosity\r\n",
         b"verbosity 1\r\n", b"verbosity x\r\n", b"verbosity noreply\r\n",
         b"verbosity 1 noreply\r\n", b"verbosity 1 2 3\r\n", b"version\r\n", b"version x\r\n",
         b"flush_all x\r\n", b"flush_all 1 2 3\r\n", b"flush_all noreply noreply\r\n",
         b"shutdown\r\n", b"mz\r\n", b"gxx\r\n", b"bget k1\r\n", b"bget\r\n", b"cas k1 0 0 1\r\n",
         b"cas k1 0 0 1 x\r\n", b"extstore\r\n", b"stats nonsense\r\n", b"stats reset\r\n",
         b"stats detail\r\n", b"stats detail x\r\n", b"stats detail off\r\n", b"stats sizes\r\n",
         b"stats noreply\r\n", b"  get   k1  k2 \r\n", b"get k1\0k2 k3\r\n", b"get k1\n",
         b"\0get k1\r\n", b"misbehave\r\n", b"get k1\rk2\r\n", b"get" + b" k1" * 40 + b"\r\n",
         b"gets" + b" k3 k4" * 25 + b"\r\n", b"x" * 1500 + b"\r\n"]
CLOSING = [b"quit\r\n", b"quit now\r\n", b"GET / HTTP/1.1\r\n", b"foo HTTP/1.0\r\n", b"x" * 2100]


class Closed(Exception):
    pass


class Server:
    """One side of the comparison: an address, the connection, and the uniques seen."""

    def __init__(self, name, host, port):
        self.name, self.address = name, (host, port)
        self.order = {}   # unique -> how many were seen before it
        self.unique = {}  # key -> last seen unique
        self.connect()

    def connect(self):
        self.sock = socket.create_connection(self.address, TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, data, cuts, closes=False):
        """Sends data cut at these fractions; returns replies up to the end mark or the close."""
        places = sorted({int(len(data) * c) for c in cuts} | {len(data)})
        at = 0
        reply = b""
        try:
            for place in places:
                if place > at:
                    self.sock.sendall(data[at:place])
                    at = place
                    if len(places) > 1 and len(data) < 4096:
                        time.sleep(0.0002)  # or the kernel joins what was cut
        except OSError:
            if not closes:
                raise Closed("%s closed while it was sent to" % self.name)
        while closes or not (reply.endswith(END_REPLY)
                             and (len(reply) == len(END_REPLY) or reply[-5:-4] == b"\n")):
            try:
                part = self.sock.recv(1 << 20)
            except ConnectionResetError:
                part = b""
            except socket.timeout:
                raise Closed("%s: no end of the replies after %r" % (self.name, reply[-300:]))
            if not part:
                if closes:
                    return reply
                raise Closed("%s closed after %r" % (self.name, reply[-300:]))
            reply += part
        return reply[:-len(END_REPLY)]

    def level(self, reply):
        """Replaces uniques by their order of appearance, and remembers them by key."""
        def one(match):
            key, unique = match.group(2), match.group(4)
            if key[:1] in b"tM":
                return match.group(1) + b" *\r\n"
            self.unique[key] = unique
            return match.group(1) + b" #%d\r\n" % self.order.setdefault(unique, len(self.order))
        # A block announced too long swallows the start of a cas request, unique and all, as value.
        reply = re.sub(rb"(cas \S+ 3 0 \d+ )\d{20}", rb"\1*", reply)
        reply = re.sub(rb" t42949\d{5}\b", b" t0", reply)
        reply = re.sub(rb"(?m)^ME (\S+ exp=\S+ la=\d+) cas=\d+ (fetch=\w+) cls=\d+ size=\d+\r$", rb"ME \1 \2\r", reply)
        reply = re.sub(rb"(?m)^((?:HD|VA|EX|NS|NF)(?: [^ \r\n]+)*?) c(\d+)", self.meta_unique, reply)
        return re.sub(rb"(VALUE (\S+) (\d+ \d+)) (\d+)\r\n", one, reply)

    def meta_unique(self, match):
        """Of a meta command's answer: with its key, for use in later requests; 0 stays 0."""
        key = re.search(rb" k(\S+)", match.string[match.start():match.string.index(b"\r", match.start())])
        if key and int(match.group(2)):
            self.unique[key.group(1)] = match.group(2)
        return match.group(1) + (b" c*" if int(match.group(2)) else b" c0")


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def noreply(self):
        return b" noreply" if self.rng.random() < 0.15 else b""

    def value(self):
        r = self.rng
        size = r.choice([0, 1, 2, 3, 10, 10, 50, 100, 450, 600, 4095, 4096, 4097, 40000])
        return bytes(r.choice(b"abcdefgh 0123\r\n\0\xff") for _ in range(min(size, 200))) * \
            (1 if size <= 200 else size // 200)

    def key(self):
        r = self.rng
        return r.choice(ODD_KEYS) if r.random() < 0.04 else r.choice(PLAIN)

    def store(self, key=None, value=None):
        r = self.rng
        value = self.value() if value is None else value
        flags = r.choice([b"0", b"0", b"1", b"4294967295", b"77"])
        exptime = r.choice(EXPTIMES)
        size = b"%d" % len(value)
        if r.random() < 0.05:  # a line that is refused: its data block is read as commands
            bad = r.choice(BAD_NUMBERS)
            flags, exptime, size = r.choice([
                (bad, exptime, size), (flags, r.choice(ODD_EXPTIMES), size),
                (flags, exptime, r.choice([b"abc", b"-1", b"-5", b""]))])
        elif r.random() < 0.04:  # a length that is wrong
            off = r.randint(-BLOCK_ERROR_MAX, BLOCK_ERROR_MAX)
            size = b"%d" % max(0, len(value) + off)
        key = key or (OVERLONG if r.random() < 0.01 else self.key())
        return b"%s %s %s %s %s%s\r\n%s\r\n" % (r.choice(MODES), key, flags, exptime, size,
                                               self.noreply(), value)

    def cas(self):
        """A request with a hole for the unique, which differs from server to server."""
        value = self.value()
        key = self.key()
        stale = self.rng.random() < 0.2

        def build(server):
            unique = STALE if stale else server.unique.get(key, STALE)
            # The same length for both, should a short block before it eat into it.
            unique = unique.rjust(20, b"0")
            return b"cas %s 3 0 %d %s%s\r\n%s\r\n" % (key, len(value), unique, noreply, value)
        noreply = self.noreply()
        return build

    def read(self):
        r = self.rng
        keys = [r.choice(PLAIN + COUNTERS + TOUCHED) for _ in range(r.choice([1, 1, 1, 2, 5, 30]))]
        return b"%s %s\r\n" % (r.choice([b"get", b"get", b"gets"]), b" ".join(keys))

    def touch(self):
        r = self.rng
        keys = [r.choice(TOUCHED) for _ in range(r.choice([1, 1, 3]))]
        if r.random() < 0.5:
            return b"touch %s %s%s\r\n" % (keys[0], r.choice(EXPTIMES + ODD_EXPTIMES),
                                           self.noreply())
        return b"%s %s %s\r\n" % (r.choice([b"gat", b"gats"]), r.choice(EXPTIMES), b" ".join(keys))

    def delete(self):
        r = self.rng
        return b"delete %s%s%s\r\n" % (r.choice(PLAIN + COUNTERS + TOUCHED),
                                      r.choice([b"", b"", b" 0"]), self.noreply())

    def arith(self):
        r = self.rng
        if r.random() < 0.3:
            value = r.choice(NUMBERS)
            return b"set %s %d 0 %d\r\n%s\r\n" % (r.choice(COUNTERS), r.choice([0, 5]),
                                                 len(value), value)
        delta = r.choice(BAD_DELTAS) if r.random() < 0.1 else r.choice(DELTAS)
        return b"%s %s %s%s\r\n" % (r.choice([b"incr", b"decr"]), r.choice(COUNTERS), delta,
                                    self.noreply())

    def meta_options(self, letters, most):
        """Options of a meta command; now and then a bad one."""
        r = self.rng
        tokens = {"T": EXPTIMES, "N": EXPTIMES[:8], "R": [b"0", b"1", b"30", b"-1", b"5000"], "O": [b"", b"abc", b"k1 ", b"x" * 31],
                  "F": [b"0", b"77", b"4294967295"], "J": NUMBERS[:5], "D": DELTAS, "q": [b""]}
        options = []
        for letter in r.sample(letters, min(len(letters), r.randrange(most + 1))):
            options.append(letter.encode() + r.choice(tokens.get(letter, [b""])).strip())
        if "T" in [o[:1].decode() for o in options]:
            options = [o for o in options if o[:1] != b"R"]
        if r.random() < 0.05:
            options.insert(r.randrange(len(options) + 1), r.choice([b"O" + b"y" * 32] * ("N" not in letters) +
                [b"!", b"x", b"Tx", b"T", b"N", b"Cx", b"M", b"MSS", b"Fx", b"Dx", b"Jx", b"\xff", b"k", b"v", b"q",
                 b"b", b"R", b"S5", b"P1", b"L2"]))
        if r.random() < 0.01:
            options = [b"%c" % c for c in r.sample(b"kstcfhluvPL", 11)] * 2
        return b"".join(b" " + o for o in options)

    def meta_key(self):
        """With the option that it wants."""
        r = self.rng
        pick = r.random()
        if pick < 0.1:
            return r.choice([b"QmluYXJ5IGtleQ==", b"AAECAwQF", b"QQ==", b"/+8="]), b" b"
        if pick < 0.12:
            return r.choice([b"*", b"QQ", b"====", b"Q=Q=", OVERLONG, b"QQ==QQ=="]), r.choice([b" b", b""])
        if pick < 0.13:
            return b"", b""
        return r.choice(METAS + TOUCHED[:3]), b""

    def meta(self):
        r = self.rng
        key, b = self.meta_key()
        verb = r.choice("gggsssdae")
        if verb == "g":
            return b"mg %s%s%s\r\n" % (key, b, self.meta_options("kvstcfhlquTRO" if b else "kvstcfhlquTNRO", 8))
        if verb == "d":
            return b"md %s%s%s\r\n" % (key, b, self.meta_options("kqTIO", 4))
        if verb == "a":
            return self.meta_counter(r.choice(META_COUNTERS))
        if verb == "e":
            return b"me %s%s\r\n" % (key, b)
        value = self.value()
        size = b"%d" % len(value)
        if r.random() < 0.03:
            size = r.choice([b"", b"x", b"-1", b"2147483647", b"%d" % (len(value) + 2)])
        mode = r.choice([b"", b"", b"", b" MS", b" ME", b" MR", b" MX"] + ([] if b else [b" MA", b" MP"]))
        return b"ms %s %s%s%s%s\r\n%s\r\n" % (key, size, b, mode, self.meta_options("kcqTFIO", 5), value)

    def meta_counter(self, key):
        r = self.rng
        pick = r.random()
        if pick < 0.25:
            value = r.choice(NUMBERS)
            return b"ms %s %d%s\r\n%s\r\n" % (key, len(value), self.meta_options("kcTFO", 3), value)
        if pick < 0.35:
            return r.choice([b"md %s k\r\n", b"mg %s k t f c\r\n"]) % key
        return b"ma %s%s%s\r\n" % (key, r.choice([b"", b" MI", b" MD", b" M+", b" M-", b" MX"]), self.meta_options("kvtcqNJDO", 6))

    def meta_cas(self):
        """ms, md and ma with a unique that was right once; each key is stored anew before it is compared."""
        r = self.rng
        key = r.choice(UNIQUES)
        stale = r.random() < 0.3
        request = r.choice([b"ms %s 2 C%s k c\r\nxy\r\n", b"ms %s 2 C%s I k c\r\nxy\r\n", b"md %s C%s k\r\n", b"md %s I C%s k\r\n",
                            b"ms %s 1 MA C%s k c\r\n7\r\n", b"ms %s 1 MR C%s k c\r\n7\r\n", b"ms %s 1 ME C%s k\r\n7\r\n",
                            b"ma %s C%s k c v\r\n"])

        def build(server):
            # The same length for both, should a short block before it eat into it.
            return request % (key, (b"1" if stale else server.unique.get(key, b"1")).rjust(20, b"0"))
        return build

    def mixed(self):
        r = self.rng
        if r.random() < 0.4:
            return self.meta()
        if r.random() < 0.1:
            return r.choice([self.meta_cas(), b"mg %s k c v X\r\n" % r.choice(UNIQUES), b"mg %s k c v\r\n" % r.choice(UNIQUES),
                             b"mg %s k c v\r\n" % r.choice(UNIQUES), b"ms %s 1 k c\r\n5\r\n" % r.choice(UNIQUES)])
        pick = r.random()
        if pick < 0.40:
            return self.store()
        if pick < 0.48:
            return self.store(key=r.choice(TOUCHED))
        if pick < 0.66:
            return self.read()
        if pick < 0.74:
            return self.cas()
        if pick < 0.82:
            return self.touch()
        if pick < 0.89:
            return self.delete()
        if pick < 0.90:
            return r.choice([b"flush_all\r\n", b"flush_all 0\r\n", b"flush_all noreply\r\n",
                             b"flush_all -5\r\n"])
        return r.choice(NOISE)

    def large(self):
        """Around memcached's item limit, where header, key and flags count too."""
        r = self.rng
        size = 1048576 - r.choice([1, 50, 58, 59, 60, 61, 62, 63, 64, 65, 70, 600000])
        line = b"%s %s %d 0 %d%s\r\n" % (r.choice([b"set", b"set", b"append"]), r.choice(LARGE),
                                        r.choice([0, 0, 1]), size, self.noreply())
        return [line + b"v" * size + r.choice([b"\r\n", b"\r\n", b"\r\n", b"xx"]),
                b"get %s\r\n" % r.choice(LARGE)]

    def burst(self):
        """A list of requests that are sent together."""
        r = self.rng
        pick = r.random()
        count = r.choice([1, 1, 2, 5, 20])
        if pick < 0.14:
            return [self.arith() for _ in range(count)]
        if pick < 0.16:
            return self.large()
        if pick < 0.17:
            return [b"get %s%s\r\n" % (b"k1 " * r.randint(0, 30), OVERLONG)]
        return [self.mixed() for _ in range(count)]


def free_port():
    for port in range(17310, 17400):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no free port in 17310..17399")


def wait_for(port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise SystemExit("%s does not answer on port %d" % (process.args[0], port))


def show(requests, theirs, ours):
    at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b),
              min(len(theirs), len(ours)))
    print("requests: %r" % b"".join(requests)[:1500])
    print("memcached: ...%r" % theirs[max(0, at - 120):at + 200])
    print("ours:      ...%r" % ours[max(0, at - 120):at + 200])


SECONDS = re.compile(rb"( t| l|exp=-|la=)(\d+)")


def same_but_for_ticks(theirs, ours):
    """Seconds left and seconds idle: memcached's clock has steps of one, late ones on a busy machine."""
    if SECONDS.sub(rb"\1", theirs) != SECONDS.sub(rb"\1", ours):
        return False
    return all(abs(int(a) - int(b)) <= 3 for (_, a), (_, b) in zip(SECONDS.findall(theirs), SECONDS.findall(ours)))


def compare(pair, requests, cuts, closes=False):
    """Sends one burst to both; True when the replies agree."""
    replies, sent = [], []
    for server in pair:
        # What a short data block has eaten, the empty lines make up for; each is an ERROR.
        data = b"".join(q(server) if callable(q) else q for q in requests)
        filler = b"" if closes else b"\r\n" * (BLOCK_ERROR_MAX // 2 + 2) + END
        sent.append(data)
        replies.append(server.exchange(data + filler, cuts, closes))
    levelled = [server.level(reply) for server, reply in zip(pair, replies)]
    if levelled[0] == levelled[1] or same_but_for_ticks(*levelled):
        return True
    show([sent[1]], levelled[0], levelled[1])
    return False


def run_random(pair, rng, seconds, bursts_max):
    gen = Generator(rng)
    deadline = time.monotonic() + seconds
    bursts = requests = 0
    while time.monotonic() < deadline and bursts < bursts_max:
        burst = gen.burst()
        cuts = [rng.random() for _ in range(rng.choice([0, 0, 1, 2, 8]))]
        bursts += 1
        requests += len(burst)
        if not compare(pair, burst, cuts):
            print("difference in burst %d" % bursts)
            return None
        if rng.random() < 0.01:
            if not compare(pair, [rng.choice(CLOSING)], [], closes=True):
                print("difference in how a connection is closed")
                return None
            for server in pair:
                server.sock.close()
                server.connect()
    return bursts, requests


def run_timed(pair):
    """Expiry and the delayed flush, in real time; memcached's clock has steps of a second."""
    steps = [
        ([b"set e1 0 1 1\r\nx\r\nset e2 0 60 1\r\ny\r\ntouch e2 1\r\nset e3 0 0 1\r\nz\r\n",
          b"gat 1 e3\r\n"], 2.2),
        ([b"get e1 e2 e3\r\nset f1 0 0 1\r\nx\r\nflush_all 2\r\nget f1\r\n"], 1.0),
        ([b"set f2 0 0 1\r\ny\r\n"], 2.4),
        ([b"get f1 f2\r\nset f1 0 0 1\r\nx\r\nget f1\r\n",
          b"flush_all 100\r\nflush_all 0\r\nget f1\r\n"], 0),
    ]
    for requests, pause_s in steps:
        if not compare(pair, requests, []):
            return False
        time.sleep(pause_s)
    return True


# Shown by memcached only with the defaults that this test turns off.
MODERN_STATS = re.compile(rb"evicted_active|rejected_connections|slabs_moved|direct_reclaims|lru_\w+|moves_\w+|"
                          rb"slab_reassign_\w+")


def run_stats(pair):
    """Every name that we report must be one of memcached's, so that exporters understand it."""
    good = True
    for sub in [b"", b" settings", b" items", b" slabs"]:
        names = []
        for server in pair:
            reply = server.exchange(b"set s1 0 0 1\r\nx\r\nstats%s\r\n" % sub + END, [])
            if not reply.startswith(b"STORED\r\nSTAT ") or not reply.endswith(b"\r\nEND\r\n"):
                print("%s: bad answer to stats%s: %r" % (server.name, sub.decode(), reply[:200]))
                return False
            names.append({line.split()[1] for line in reply.split(b"\r\n")
                          if line.startswith(b"STAT ")})
        if sub in (b" items", b" slabs"):  # we have one class of items, memcached many
            names = [{re.sub(rb"\b\d+:", b"N:", n) for n in s} for s in names]
        strange = {n for n in names[1] - names[0] if not MODERN_STATS.fullmatch(n)}
        if strange:
            print("stats%s: not memcached's: %s" % (sub.decode(), sorted(strange)))
            good = False
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--bursts", type=int, default=1 << 60)
    parser.add_argument("--no-timed", action="store_true", help="no real-time steps (6 s)")
    parser.add_argument("--ours", help="HOST:PORT of a running server of ours")
    parser.add_argument("--server", default=os.path.join(os.path.dirname(__file__),
                        "../../build/tests/fakes/engine-server"), help="program to start otherwise")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    print("seed %d" % seed)
    started = []
    log = tempfile.TemporaryFile()
    try:
        port = free_port()
        try:
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            started.append(subprocess.Popen(
                ["memcached", *user, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "1",
                 "-m", "256", "-o", "no_modern,no_lru_crawler"], stdout=log, stderr=log))
        except FileNotFoundError:
            print("skipped: no memcached")
            return 77
        wait_for(port, started[-1])
        theirs = Server("memcached", "127.0.0.1", port)
        if args.ours:
            host, ours_port = args.ours.rsplit(":", 1)
        elif os.path.exists(args.server):
            host, ours_port = "127.0.0.1", free_port()
            started.append(subprocess.Popen([args.server, "--memcache-port", str(ours_port)],
                                            stdout=log, stderr=log))
            wait_for(ours_port, started[-1])
        else:
            print("skipped: no server to compare with")
            return 77
        pair = [theirs, Server("ours", host, int(ours_port))]
        try:
            for server in pair:
                server.exchange(b"flush_all\r\n" + END, [])
            wraps = all(compare(pair, [w], []) for w in WRAPS)
            done = wraps and run_random(pair, random.Random(seed), args.seconds, args.bursts)
            good = done and run_stats(pair) and (args.no_timed or run_timed(pair))
        except Closed as closed:
            print(closed)
            good = False
        if good:
            print("%d bursts, %d requests: the same replies" % done)
        else:
            print("FAILED, replay with --seed %d" % seed)
        return 0 if good else 1
    finally:
        for process in started:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
