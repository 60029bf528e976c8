#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The appliance's TCP against that of Linux: ends of every kind, small windows and segments, lost links, floods.

After each appliance the harness finds connections, buffers and item memory where they were at the start.
"""

import errno
import os
import random
import socket
import struct
import threading
import time

import harness
from harness import CLIENT, SERVER, Appliance, Checks, sh, wait_for

RESP = (SERVER, 6379)
BIG = 4 << 20
OPTIONS = ("timestamps", "sack", "window_scaling")
OPTIONS_OF_APPLIANCE = ("--tcp-stalled-reader-ms", "3000", "--tcp-keepalive", "1", "--tcp-syn-max", "1024")


def connect(timeout=10, receive_buffer=None, source=None):
    s = socket.socket()
    s.settimeout(timeout)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        s.bind(source)
    s.connect(RESP)
    return s


def connect_from(source):
    """Waits while the kernel of the client has the flow in LAST-ACK itself."""
    for _ in range(100):
        try:
            return connect(source=source)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            time.sleep(0.001)
    raise AssertionError("the client's side of the flow does not end: its FIN is not acknowledged")


def receive(s, count):
    parts, left = [], count
    while left > 0:
        part = s.recv(min(left, 1 << 18))
        assert part, f"end of the stream {left} bytes early"
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def receive_all(s):
    parts = []
    while True:
        part = s.recv(1 << 18)
        if not part:
            return b"".join(parts)
        parts.append(part)


def ping(s):
    s.sendall(b"PING\r\n")
    assert receive(s, 7) == b"+PONG\r\n"


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def pattern(size):
    return random.Random(size).randbytes(size)


def store(key, value):
    with connect() as s:
        s.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value))
        assert receive(s, 5) == b"+OK\r\n"


def expect_value(s, value):
    header = b"$%d\r\n" % len(value)
    assert receive(s, len(header)) == header
    assert receive(s, len(value) + 2) == value + b"\r\n", "the value came back different"


def store_big(size=BIG):
    value = pattern(size)
    store(b"big", value)
    return value


def client_device(appliance):
    return "wire0" if appliance.kind == "tap" else "client0"


# -- how connections end


def check_half_close():
    """All requests, then FIN: every reply still comes, then the other FIN."""
    count = 20000
    s = connect()
    sender = threading.Thread(target=lambda: (s.sendall(b"PING\r\n" * count), s.shutdown(socket.SHUT_WR)))
    sender.start()
    assert receive_all(s) == b"+PONG\r\n" * count
    sender.join()
    s.close()


def check_half_close_big(value):
    s = connect(receive_buffer=8192)
    s.sendall(b"GET big\r\n")
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.3)  # its window is closed by now
    expect_value(s, value)
    assert receive_all(s) == b""
    s.close()


def check_abort_mid_reply(count):
    for i in range(count):
        s = connect(receive_buffer=8192)
        s.sendall(b"GET big\r\n" * 4)
        receive(s, 1 + 1000 * i)
        reset(s)


def check_reset_from_the_side(appliance):
    """A RST or SYN near the window is challenged and ends nothing, the exact number ends it (RFC 5961)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as wire:
        wire.settimeout(5)
        s = connect()
        port = s.getsockname()[1]
        ping(s)
        s.sendall(b"PING\r\n")
        last = b"PING\r\n"
        seen = 0
        while seen < 2:
            packet = wire.recv(2048)
            source = struct.unpack("!H", packet[20:22])[0]
            seen += packet[9:10] == b"\x06" and source == port and packet.endswith(last)
    assert receive(s, 7) == b"+PONG\r\n"
    following = struct.unpack("!I", packet[24:28])[0] + len(last)
    before = appliance.metrics()["wirecache_tcp_challenge_ack_total"]
    for seq, flags in ((following + 1000, RST), (following - 100000, RST), (following + (1 << 30), RST),
                       (following + 1000, SYN)):
        send_segment(CLIENT, port, seq, flags)
    ping(s)
    following += len(last)
    m = appliance.metrics()
    assert m["wirecache_tcp_challenge_ack_total"] > before
    send_segment(CLIENT, port, following, RST)
    wait_for(lambda: appliance.metrics()["wirecache_connections"] < m["wirecache_connections"], 5, "end by RST")
    s.close()


def check_same_flow_again(rounds):
    """Whoever ends it and however, the same four numbers serve again at once."""
    slowest = 0
    for i in range(rounds):
        start = time.monotonic()
        s = connect_from((CLIENT, 45000))
        ping(s)
        if i % 3 == 0:  # the appliance closes first: TIME-WAIT is its own
            s.sendall(b"QUIT\r\n")
            assert receive_all(s) == b"+OK\r\n"
        if i % 3 == 1:
            reset(s)
        elif i % 3 == 2:  # both at once
            s.sendall(b"QUIT\r\n")
            reset(s)
        s.close()
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < 0.9, f"a round took {slowest:.2f} s: something was lost, or refused"


# -- raw segments

FIN, SYN, RST, ACK = 1, 2, 4, 16


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def segment(source, source_port, seq, flags):
    pseudo = socket.inet_aton(source) + socket.inet_aton(SERVER) + struct.pack("!HH", 6, 20)
    header = struct.pack("!HHIIBBHHH", source_port, 6379, seq & 0xFFFFFFFF, 0, 5 << 4, flags, 65535, 0, 0)
    header = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, socket.inet_aton(source), socket.inet_aton(SERVER))
    return ip + header


def raw_socket():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def send_segment(source, source_port, seq, flags):
    with raw_socket() as raw:
        raw.sendto(segment(source, source_port, seq, flags), (SERVER, 0))


def flood(per_ms, end, sent):
    """SYNs in the names of others, never more at once than that: a burst would test the socket's buffers."""
    with raw_socket() as raw:
        while time.monotonic() < end:
            for _ in range(per_ms):
                n = len(sent)
                forged = segment(f"10.98.0.{100 + n % 100}", 1024 + n % 60000, n * 7919, SYN)
                sent.append(raw.sendto(forged, (SERVER, 0)))
            time.sleep(0.001)


def check_flood(appliance, seconds, per_ms):
    """The half-open table is full of SYNs that nobody will answer for: clients old and new are served all the same."""
    good = connect()
    names = ("wirecache_tcp_syn_cookies_sent_total", "wirecache_tcp_syn_cookies_accepted_total")
    before = [appliance.metrics()[name] for name in names]
    sent, times = [], []
    end = time.monotonic() + seconds
    flooder = threading.Thread(target=flood, args=(per_ms, end, sent))
    flooder.start()
    time.sleep(seconds / 2)  # it is full now
    while time.monotonic() < end:
        start = time.monotonic()
        with connect() as s:
            ping(s)
        ping(good)
        times.append(time.monotonic() - start)
        time.sleep(0.005)
    flooder.join()
    good.close()
    cookies, opened = (appliance.metrics()[name] - then for name, then in zip(names, before))
    print(f"#   {len(sent)} SYNs, {cookies:.0f} cookies, {opened:.0f} came back, {len(times)} new clients, the slowest took "
          f"{max(times) * 1e3:.1f} ms")
    assert cookies > 0 and opened >= len(times) / 2, "the flood was too small"
    assert len(times) > 20 and max(times) < 0.9, "SYNs of clients were dropped"  # a lost one costs a second


# -- windows and segments


def check_slow_reader(value, appliance):
    """A window that closes and stays closed is probed; when it opens, everything comes at once and intact."""
    probes = appliance.metrics()["wirecache_tcp_zero_window_probes_total"]
    s = connect(receive_buffer=4096)
    s.sendall(b"GET big\r\n")
    wait_for(lambda: appliance.metrics()["wirecache_tcp_zero_window_probes_total"] > probes, 5, "probe")
    for _ in range(20):
        receive(s, 1)
        time.sleep(0.01)
    reset(s)
    s = connect(receive_buffer=4096)
    s.sendall(b"GET big\r\n")
    time.sleep(0.5)
    start = time.monotonic()
    expect_value(s, value)
    s.close()
    print(f"#   {BIG / (time.monotonic() - start) / 1e6:.0f} MB/s through a receive buffer of 4 KiB")


def check_stalled_reader(appliance):
    """Who never reads is cut off, for it holds memory."""
    before = appliance.metrics()["wirecache_tcp_stalled_readers_total"]
    s = connect(receive_buffer=4096)
    s.sendall(b"GET big\r\n" * 4)
    wait_for(lambda: appliance.metrics()["wirecache_tcp_stalled_readers_total"] > before, 10, "cut")
    with harness.expect_error(ConnectionResetError):
        while s.recv(1 << 16):
            pass
    s.close()


def check_slow_writer():
    s = connect()
    request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n" * 10
    start = time.monotonic()
    for i in range(len(request)):
        s.sendall(request[i:i + 1])
    assert receive(s, 50) == b"+OK\r\n" * 10
    assert time.monotonic() - start < 2
    s.close()


def check_pipeline(size):
    """Everything is written before the first reply is read: the appliance stops reading, and goes on."""
    count = size // 6
    s = connect(timeout=30)
    start = time.monotonic()
    writer = threading.Thread(target=s.sendall, args=(b"PING\r\n" * count,))
    writer.start()
    writer.join(timeout=0.5)
    assert receive(s, 7 * count) == b"+PONG\r\n" * count
    writer.join()
    s.close()
    print(f"#   {count / (time.monotonic() - start) / 1e6:.2f} million requests/s, one connection")


def check_mget(value, copies):
    s = connect(timeout=30)
    s.sendall(b"MGET" + b" big" * copies + b"\r\n")
    header = b"*%d\r\n" % copies
    assert receive(s, len(header)) == header
    for _ in range(copies):
        expect_value(s, value)
    s.close()


def check_round_trip(value, limit_s=3):
    start = time.monotonic()
    s = connect()
    ping(s)
    s.sendall(b"GET big\r\n")
    expect_value(s, value)
    s.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nback\r\n$%d\r\n%s\r\n" % (len(value), value))
    assert receive(s, 5) == b"+OK\r\n"
    s.close()
    took = time.monotonic() - start
    assert took < limit_s, f"{took:.1f} s for {2 * len(value)} bytes"


def check_options(value, bits):
    """Each of timestamps, SACK and window scaling on or off at the client."""
    paths = [f"/proc/sys/net/ipv4/tcp_{name}" for name in OPTIONS]
    try:
        for i, path in enumerate(paths):
            with open(path, "w") as f:
                f.write(str(bits >> i & 1))
        check_round_trip(value)
    finally:
        for path in paths:
            with open(path, "w") as f:
                f.write("1")


def check_small_segments(appliance, value, mss):
    device = client_device(appliance)
    route = ("10.98.0.0/24", "dev", device, "src", CLIENT)
    sh("ip", "route", "replace", *route, "advmss", str(mss))
    try:
        check_round_trip(value, 10)
    finally:
        sh("ip", "route", "replace", *route)


def check_small_mtu(appliance, value):
    device = client_device(appliance)
    sh("ip", "link", "set", device, "mtu", "600")
    try:
        check_round_trip(value, 10)
    finally:
        sh("ip", "link", "set", device, "mtu", "1500")


# -- links and peers that go away


def check_link_flap(appliance, value, seconds):
    device = client_device(appliance)
    sockets = [connect(timeout=20) for _ in range(8)]
    for s in sockets:
        s.sendall(b"GET big\r\n")
    sh("ip", "link", "set", device, "down")
    time.sleep(seconds)
    sh("ip", "link", "set", device, "up")
    start = time.monotonic()
    for s in sockets:
        expect_value(s, value)
        s.close()
    print(f"#   over {time.monotonic() - start:.2f} s after the link came back")


def check_vanished(appliance, idle_s):
    """A client that is no more is found by keepalives: it answers nothing, as after a power cut."""
    sockets = [connect() for _ in range(100)]
    for s in sockets:
        ping(s)
    before = appliance.metrics()["wirecache_connections"]
    device = client_device(appliance)
    sh("ip", "link", "set", device, "down")
    wait_for(lambda: appliance.metrics()["wirecache_connections"] <= before - 100, idle_s * 4 + 5, "end of the dead")
    sh("ip", "link", "set", device, "up")
    for s in sockets:
        s.close()


def check_churn(count):
    start = time.monotonic()
    slowest = 0
    for _ in range(count):
        begin = time.monotonic()
        s = connect()
        ping(s)
        s.close()
        slowest = max(slowest, time.monotonic() - begin)
    print(f"#   {count / (time.monotonic() - start):.0f} connections/s, slowest {slowest * 1e3:.1f} ms")
    assert slowest < 0.9, "a SYN or its answer was lost"


def check_idle(count):
    sockets = [connect(source=(CLIENT, 0)) for _ in range(count)]
    start = time.monotonic()
    for s in sockets:
        s.sendall(b"PING\r\n")
    for s in sockets:
        assert receive(s, 7) == b"+PONG\r\n"
    took = time.monotonic() - start
    print(f"#   a PING on each of {count} in {took:.2f} s")
    assert took < 5
    for s in sockets:
        s.close()


def check_lossy(appliance, value, repaired):
    """Lost segments are sent again at once where SACK tells of them: time-outs stay the exception."""
    start, slowest, rounds = time.monotonic(), 0, 4
    before = appliance.metrics()
    for _ in range(rounds):
        begin = time.monotonic()
        check_round_trip(value, 15)
        slowest = max(slowest, time.monotonic() - begin)
    took = time.monotonic() - start
    after = appliance.metrics()
    again, fast, late = (after[name] - before[name] for name in (
        "wirecache_tcp_retransmits_total", "wirecache_tcp_fast_retransmits_total", "wirecache_tcp_rto_total"))
    print(f"#   {2 * len(value) * rounds / took / 1e6:.1f} MB/s, slowest round {slowest:.2f} s, "
          f"{again:.0f} retransmissions, {fast:.0f} recoveries, {late:.0f} time-outs")
    if repaired:
        assert again > 0 and late * 4 <= again, "losses wait for the timer"


ASAN = "asan" in harness.BUILD


def run_ends(checks, appliance, value):
    checks.run("half close", check_half_close)
    checks.run("half close before a large reply", check_half_close_big, value)
    checks.run("reset in the middle of replies", check_abort_mid_reply, 50)
    checks.run("RST and SYN from the side", check_reset_from_the_side, appliance)
    checks.run("the same flow again at once", check_same_flow_again, 60)
    checks.run("connect, PING, close", check_churn, 200 if ASAN else 2000)


def run_windows(checks, appliance, value):
    checks.run("slow reader", check_slow_reader, value, appliance)
    checks.run("reader that stops", check_stalled_reader, appliance)
    checks.run("slow writer", check_slow_writer)
    checks.run("large pipeline", check_pipeline, (1 if ASAN else 10) << 20)
    checks.run("MGET of 50 MB", check_mget, value, 12)
    for bits in range(1 << len(OPTIONS)):
        on = [name for i, name in enumerate(OPTIONS) if bits >> i & 1]
        checks.run(f"TCP options: {' '.join(on) or 'none'}", check_options, value, bits)
    for mss in (88, 500):
        checks.run(f"segments of {mss} bytes", check_small_segments, appliance, value, mss)
    checks.run("a small MTU at the client", check_small_mtu, appliance, value)


def run_losses(checks, appliance, value):
    checks.run("link down for a second", check_link_flap, appliance, value, 1)
    checks.run("900 idle connections", check_idle, 900)
    checks.run("clients that vanish", check_vanished, appliance, 1)
    checks.run("SYN flood", check_flood, appliance, 3, 20)


def main():
    harness.require_root()
    checks = Checks()
    # Two queues and workers at one device, so that segments of a flow change hands.
    for kind, count in (("tap", 1), ("af_packet", 2), ("af_xdp", 1)):
        print(f"# {kind}, {count} worker(s)")
        with Appliance(kind, count, count, OPTIONS_OF_APPLIANCE) as appliance:
            value = store_big()
            run_ends(checks, appliance, value)
            run_windows(checks, appliance, value)
            if kind == "tap":
                run_losses(checks, appliance, value)
    for per_10000 in (0, 10, 100, 500):
        with Appliance(options=["--nic-fault-seed", "1", "--nic-fault-drop", str(per_10000)]) as appliance:
            value = store_big(BIG >> 3 if per_10000 > 100 else BIG)
            checks.run(f"{per_10000 / 100} % of frames lost", check_lossy, appliance, value, per_10000 == 100)
    checks.finish()


if __name__ == "__main__":
    main()
