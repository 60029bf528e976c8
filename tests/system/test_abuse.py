#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The worst neighbours: floods, forged segments and announcements, port scans. Good clients notice nothing."""

import json
import multiprocessing
import os
import random
import shutil
import socket
import struct
import subprocess
import time

import harness
from harness import CLIENT, SERVER, Appliance, Checks, sh, wait_for

LOAD = os.path.join(harness.BUILD, "perf", "wirecache-load")
ASAN = "asan" in harness.BUILD
SYN, RST, ACK, FIN = 0x02, 0x04, 0x10, 0x01


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def wire():
    """The client's end of it."""
    return "client0" if os.path.exists("/proc/sys/net/ipv4/conf/client0") else "wire0"


class Forger:
    """Frames of others, straight onto the wire."""

    def __init__(self):
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.raw.bind((wire(), 0))
        sh("ping", "-c", "1", "-W", "2", SERVER)
        line = sh("ip", "neigh", "show", SERVER).split()
        self.server_mac = bytes.fromhex(line[line.index("lladdr") + 1].replace(":", ""))
        self.client_mac = self.raw.getsockname()[4]

    def tcp(self, source, source_port, seq, flags, ack=0, options=b"", port=6379, payload=b"", source_mac=None):
        header = struct.pack("!HHIIBBHHH", source_port, port, seq & 0xffffffff, ack & 0xffffffff,
                             (5 + len(options) // 4) << 4, flags, 65535, 0, 0) + options + payload
        pseudo = socket.inet_aton(source) + socket.inet_aton(SERVER) + struct.pack("!HH", 6, len(header))
        header = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(header), 0, 0x4000, 64, 6, 0, socket.inet_aton(source),
                         socket.inet_aton(SERVER))
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return self.server_mac + (source_mac or self.client_mac) + b"\x08\x00" + ip + header

    def announce(self, mac, address):
        """Gratuitous ARP: that address is at that MAC address now."""
        return b"\xff" * 6 + mac + b"\x08\x06" + struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, mac, socket.inet_aton(address), b"\xff" * 6,
            socket.inet_aton(address))

    def send(self, frame):
        try:
            self.raw.send(frame)
        except BlockingIOError:
            pass


def flood(frames, seconds, per_second, count):
    """A process of its own: sends the frames round and round at that rate, as well as it can."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((wire(), 0))
    start = time.monotonic()
    sent = 0
    while time.monotonic() < start + seconds:
        due = int((time.monotonic() - start) * per_second)
        for _ in range(min(due - sent, 64)):
            raw.send(frames[sent % len(frames)])
            sent += 1
        if due - sent < 16:
            time.sleep(0.0005)
    count.value = sent


class Flood:
    def __init__(self, frames, seconds, per_second):
        self.count = multiprocessing.Value("q", 0)
        self.process = multiprocessing.Process(target=flood, args=(frames, seconds, per_second, self.count))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.join(60)


def connect():
    s = socket.create_connection((SERVER, 6379), timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def ping(s):
    s.sendall(b"PING\r\n")
    data = b""
    while len(data) < 7:
        part = s.recv(7 - len(data))
        assert part, "the connection has ended"
        data += part
    assert data == b"+PONG\r\n"


def load(seconds, rate):
    """Requests a second that good clients get through when they want that many."""
    done = subprocess.run([LOAD, "-s", SERVER, "-c", "50", "--rate", str(rate), "--test-time", str(seconds), "--ratio",
                           "1:1", "--key-maximum", "9999", "--json", "-", "-q"], capture_output=True, text=True,
                          timeout=seconds + 30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index("{"):])["rate"]


def check_syn_flood(appliance, seconds, rate):
    """At ten times the good clients' packets a second, they keep nine tenths of their rate."""
    forger = Forger()
    rng = random.Random(1)
    frames = [forger.tcp(f"10.98.0.{100 + i % 100}", 1024 + i, rng.getrandbits(32), SYN) for i in range(8192)]
    before = appliance.metrics()
    alone = load(seconds, rate)
    middle = appliance.metrics()
    with Flood(frames, seconds + 1, 40 * rate) as f:
        flooded = load(seconds, rate)
    after = appliance.metrics()
    packets = middle["wirecache_tcp_segments_in_total"] - before["wirecache_tcp_segments_in_total"]
    cookies = after["wirecache_tcp_syn_cookies_sent_total"] - middle["wirecache_tcp_syn_cookies_sent_total"]
    ratio = f.count.value / (seconds + 1) / (packets / seconds)
    print(f"#   {alone:.0f} requests/s in {packets / seconds:.0f} packets/s; with {f.count.value / (seconds + 1):.0f} "
          f"SYNs/s ({ratio:.1f} times as many, {cookies:.0f} cookies): {flooded:.0f} requests/s, {flooded / alone:.1%}")
    assert ASAN or (ratio >= 9 and flooded >= 0.9 * alone), "good clients suffer"


def pinged_under_flood(appliance, name, count, forge, seconds=2):
    """One client PINGs while forged frames of its own flow pour in: how many, and by how much a counter has grown."""
    s = connect()
    ping(s)
    forger = Forger()
    port = s.getsockname()[1]
    frames = [forge(forger, port, i) for i in range(count)]
    before = appliance.metrics()[name]
    with Flood(frames, seconds, 20000) as f:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ping(s)
            time.sleep(0.01)
    grown = appliance.metrics()[name] - before
    ping(s)
    s.close()
    return f.count.value, grown


def check_rst_flood(appliance):
    """RSTs through all numbers, half a window apart, twice and more: some are in the window, none is the one (RFC 5961 3.2)."""
    step = 1 << 17  # the receive window is twice that
    sent, challenges = pinged_under_flood(
        appliance, "wirecache_tcp_challenge_ack_total", (1 << 32) // step,
        lambda forger, port, i: forger.tcp(CLIENT, port, i * step + 12345, RST), 4)
    print(f"#   {sent} RSTs, {challenges:.0f} challenge ACKs")
    assert 0 < challenges < 10


def check_ack_storm(appliance):
    """ACKs of what was never sent, and ACKs that say nothing: no storm comes back."""
    rng = random.Random(3)
    sent, out = pinged_under_flood(
        appliance, "wirecache_tcp_segments_out_total", 4096,
        lambda forger, port, _: forger.tcp(CLIENT, port, rng.getrandbits(32), ACK, rng.getrandbits(32)))
    print(f"#   {sent} ACKs, {out:.0f} segments sent meanwhile, PINGs included")
    assert out < 1500


def check_strangers(appliance):
    """ACKs and RSTs for no connection, from everywhere: answers are limited, and RSTs have none."""
    forger = Forger()
    rng = random.Random(4)
    frames = [forger.tcp(f"10.98.0.{100 + i % 100}", 1024 + i, rng.getrandbits(32), rng.choice((ACK, RST, FIN | ACK)),
                         rng.getrandbits(32)) for i in range(4096)]
    before = appliance.metrics()
    with Flood(frames, 2, 20000) as f:
        with connect() as s:
            for _ in range(100):
                ping(s)
                time.sleep(0.01)
    after = appliance.metrics()
    resets = after["wirecache_tcp_rst_out_total"] - before["wirecache_tcp_rst_out_total"]
    print(f"#   {f.count.value} segments, {resets:.0f} RSTs")
    assert resets <= appliance.workers * (3 * 2000 + 256), "the limit of answers does not hold"


def check_options(appliance):
    """Options of every length and content in SYNs: each is answered or counted."""
    forger = Forger()
    rng = random.Random(5)
    for i in range(3000):
        options = bytes(rng.choice((0, 1, 2, 3, 4, 5, 8, 255, rng.randrange(256))) for _ in range(4 * rng.randrange(11)))
        forger.send(forger.tcp("10.98.0.200", 2000 + i, rng.getrandbits(32), SYN, options=options))
        if i % 100 == 0:
            time.sleep(0.002)
    with connect() as s:
        ping(s)
    assert appliance.metrics()['wirecache_drops_total{reason="tcp_option"}'] > 0


def check_spoofed_arp(appliance):
    """Somebody says that the clients are elsewhere: frames of theirs say otherwise, and count more."""
    forger = Forger()
    liar = b"\x02\x66\x61\x6b\x65\x01"
    s = connect()
    slowest = 0
    for _ in range(200):
        forger.send(forger.announce(liar, CLIENT))
        begin = time.monotonic()
        ping(s)
        slowest = max(slowest, time.monotonic() - begin)
    s.close()
    print(f"#   200 lies, the slowest PING took {slowest * 1e3:.1f} ms")
    assert slowest < 1


def check_our_address_is_claimed(appliance):
    """Somebody claims the appliance's own address: counted, and defended at most every 10 s (RFC 5227 2.4)."""
    forger = Forger()
    reason = 'wirecache_drops_total{reason="arp_conflict"}'
    before = appliance.metrics().get(reason, 0)
    for _ in range(50):
        forger.send(forger.announce(b"\x02\x66\x61\x6b\x65\x02", SERVER))
    wait_for(lambda: appliance.metrics().get(reason, 0) >= before + 50, 5, "count of the claims")
    sh("ip", "neigh", "del", SERVER, "dev", wire(), check=False)
    with connect() as s:
        ping(s)


def check_fragments(appliance):
    """Fragments are no TCP of ours, and hold no memory."""
    forger = Forger()
    reason = 'wirecache_drops_total{reason="ip4_fragment"}'
    frames = []
    for i in range(512):
        frame = bytearray(forger.tcp(CLIENT, 1024 + i, i, SYN, payload=b"x" * 64))
        frame[20:22] = struct.pack("!H", 0x2000 | i)
        frame[24:26] = b"\0\0"
        frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
        frames.append(bytes(frame))
    before = appliance.metrics().get(reason, 0)
    with Flood(frames, 1, 20000) as f:
        with connect() as s:
            for _ in range(50):
                ping(s)
    wait_for(lambda: appliance.metrics().get(reason, 0) >= before + f.count.value * 0.5, 5, "count of fragments")


def check_nmap(appliance):
    """What a port scanner sees: our two ports and nothing else, by whatever it sends."""
    if not shutil.which("nmap"):
        raise harness.Skip("nmap is not installed")
    ports = "6370-6390,11200-11220"

    def scan(kind):
        return sh("nmap", "-n", "-Pn", "-T5", "--max-retries", "1", kind, "-p", ports, SERVER, timeout=60)

    out = scan("-sS")
    found = sorted(line.split()[0] for line in out.splitlines() if "/tcp" in line and " open " in line)
    assert found == ["11211/tcp", "6379/tcp"], out
    out = scan("-sT")
    assert out.count(" open ") == 2, out
    for kind in ("-sN", "-sF", "-sX"):  # RFC 9293 3.10.7.2: LISTEN is silent, CLOSED resets
        out = scan(kind)
        assert out.count("open|filtered") == 2, out
    out = scan("-sA")
    assert "unfiltered" in out, out
    scan("-sM")
    scan("-sW")
    sh("nmap", "-n", "-Pn", "-T5", "--max-retries", "0", "-sU", "-p", "1-20", SERVER, timeout=60)
    sh("nmap", "-n", "-Pn", "-T5", "--max-retries", "0", "-sO", "-p", "1-60", SERVER, timeout=60)
    sh("nmap", "-n", "-Pn", "-T5", "-O", "--max-os-tries", "1", "-p", "6379,6380", SERVER, timeout=90)
    with connect() as s:
        ping(s)


def main():
    harness.require_root()
    checks = Checks()
    with Appliance("af_packet", 2, 2, ("--tcp-syn-max", "1024")) as appliance:
        checks.run("port scans", check_nmap, appliance)
        checks.run("RST flood", check_rst_flood, appliance)
        checks.run("ACK storm", check_ack_storm, appliance)
        checks.run("segments of no connection", check_strangers, appliance)
        checks.run("option bombs", check_options, appliance)
        checks.run("spoofed ARP", check_spoofed_arp, appliance)
        checks.run("our address is claimed", check_our_address_is_claimed, appliance)
        checks.run("SYN flood", check_syn_flood, appliance, 2 if ASAN else 5, 500)
    # Under AF_PACKET the kernel puts fragments together before we see them.
    with Appliance("tap") as appliance:
        checks.run("fragments", check_fragments, appliance)
    checks.finish()


if __name__ == "__main__":
    main()
