#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux as a peer in all its moods: IPv4 and IPv6, congestion controls, ECN, MTUs, ends, VLANs."""

import errno
import multiprocessing
import os
import resource
import socket
import struct
import time

import harness
from harness import CLIENT, CLIENT6, SERVER, SERVER6, Appliance, Checks, sh, wait_for

VALUE = os.urandom(1 << 20)
ASAN = "asan" in harness.BUILD


def connect(address, control=None, source=None):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.settimeout(15)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if control:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control)
    if source:
        s.bind(source)
    s.connect((address, 6379))
    return s


def receive(s, count):
    data = bytearray()
    while len(data) < count:
        part = s.recv(min(count - len(data), 1 << 18))
        assert part, f"end of the stream {count - len(data)} bytes early"
        data += part
    return bytes(data)


def round_trip(s, value=VALUE):
    s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%d\r\n%b\r\nGET v\r\n" % (len(value), value))
    head = b"+OK\r\n$%d\r\n" % len(value)
    assert receive(s, len(head)) == head
    assert receive(s, len(value) + 2) == value + b"\r\n", "the value came back another"


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def sysctl(name, value):
    with open(f"/proc/sys/net/{name}", "w") as f:
        f.write(str(value))


# -- each of these for both families


def check_controls(address):
    """Every congestion control of this kernel, with ECN on and off."""
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as f:
        controls = f.read().split()
    try:
        for ecn in (0, 1):
            sysctl("ipv4/tcp_ecn", ecn)
            for control in controls:
                s = connect(address, control.encode())
                round_trip(s)
                s.close()
    finally:
        sysctl("ipv4/tcp_ecn", 2)
    print(f"#   {' '.join(controls)}")
    assert "reno" in controls and "cubic" in controls


def check_options(address):
    names = ("timestamps", "sack", "window_scaling")
    try:
        for bits in range(1 << len(names)):
            for i, name in enumerate(names):
                sysctl(f"ipv4/tcp_{name}", bits >> i & 1)
            s = connect(address)
            round_trip(s)
            s.close()
    finally:
        for name in names:
            sysctl(f"ipv4/tcp_{name}", 1)


def check_buffers(address):
    for size in (1, 4096, 65536):
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.settimeout(15)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        s.connect((address, 6379))
        s.sendall(b"SET w x\r\n" * 100)
        assert receive(s, 500) == b"+OK\r\n" * 100
        round_trip(s, VALUE[:1 << 16])
        s.close()


def check_segments(address, interface):
    """From the least segments to those of a jumbo frame, which ours are not."""
    v6 = ":" in address
    route = ("ip", "-6", "route", "replace", "fd00:98::/64", "dev", interface) if v6 else (
        "ip", "route", "replace", "10.98.0.0/24", "dev", interface, "src", CLIENT)
    try:
        for mss in (88, 536, 1460):
            sh(*route, "advmss", str(mss))
            s = connect(address)
            round_trip(s, VALUE[:1 << 17])
            s.close()
        sh(*route)
        sh("ip", "link", "set", interface, "mtu", "9000")
        s = connect(address)
        round_trip(s)
        s.close()
    finally:
        sh("ip", "link", "set", interface, "mtu", "1500")
        sh(*route)


def check_ends(address):
    """Half close, SO_LINGER 0, a close in the middle of replies: the next connection notices nothing."""
    for _ in range(20):
        s = connect(address)
        s.sendall(b"PING\r\n")
        s.shutdown(socket.SHUT_WR)
        assert receive(s, 7) == b"+PONG\r\n" and s.recv(1) == b""
        s.close()
        s = connect(address)
        s.sendall(b"PING\r\n")
        reset(s)
        s = connect(address)
        s.sendall(b"GET v\r\n" * 3)
        receive(s, 1000)
        reset(s)


def check_same_flow(address):
    """A client that reboots, or is quick, comes from the port it had before."""
    source = (CLIENT6 if ":" in address else CLIENT, 45001)
    for abrupt in (False, True):
        for _ in range(30):
            for _ in range(100):
                try:
                    s = connect(address, source=source)
                    break
                except OSError as error:
                    if error.errno != errno.EADDRNOTAVAIL:
                        raise
                    time.sleep(0.001)
            s.sendall(b"PING\r\n")
            assert receive(s, 7) == b"+PONG\r\n"
            if abrupt:
                reset(s)
            else:
                s.close()


def check_clients(address):
    assert sh("redis-cli", "-h", address, "ping") == "PONG\n"
    name = f"[{CLIENT6}]:" if ":" in address else f"{CLIENT}:"
    assert f"addr={name}" in sh("redis-cli", "-h", address, "client", "list")
    out = sh("redis-benchmark", "-h", address, "-q", "-n", "2000" if ASAN else "20000", "-P", "8", "-c", "20",
             "-t", "set,get")
    assert out.count("requests per second") == 2, out
    loss = sh("ping", "-6" if ":" in address else "-4", "-c", "3", "-i", "0.05", "-W", "2", "-s", "1000", address)
    assert " 0% packet loss" in loss, loss


def run_family(checks, address, interface):
    name = "IPv6" if ":" in address else "IPv4"
    checks.run(f"{name}: clients", check_clients, address)
    checks.run(f"{name}: congestion controls and ECN", check_controls, address)
    checks.run(f"{name}: TCP options", check_options, address)
    checks.run(f"{name}: tiny buffers", check_buffers, address)
    checks.run(f"{name}: segments of 88 to 8960 bytes", check_segments, address, interface)
    checks.run(f"{name}: ends of all kinds", check_ends, address)
    checks.run(f"{name}: the same flow again", check_same_flow, address)


# -- IPv6 alone


def check_link_local(appliance, interface):
    """The link-local address, which is made of the MAC address, is served as well."""
    sh("ping", "-6", "-c", "1", "-W", "2", SERVER6)
    line = sh("ip", "-6", "neigh", "show", SERVER6).split()
    mac = bytes.fromhex(line[line.index("lladdr") + 1].replace(":", ""))
    suffix = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    address = "fe80::" + ":".join(suffix[i:i + 2].hex() for i in range(0, 8, 2))
    s = socket.socket(socket.AF_INET6)
    s.settimeout(10)
    s.connect((address, 6379, 0, socket.if_nametoindex(interface)))
    round_trip(s)
    s.close()


def check_neighbour_moves(appliance, interface):
    """A client that comes back with another MAC address is answered there."""
    s = connect(SERVER6)
    s.sendall(b"PING\r\n")
    assert receive(s, 7) == b"+PONG\r\n"
    sh("ip", "link", "set", interface, "down")
    sh("ip", "link", "set", interface, "address", "02:63:6c:69:65:77")
    sh("ip", "link", "set", interface, "up")
    sh("ip", "-6", "addr", "replace", f"{CLIENT6}/64", "dev", interface, "nodad")
    s.sendall(b"PING\r\n")
    assert receive(s, 7) == b"+PONG\r\n"
    s.close()


def check_gone_namespace(appliance):
    """Hosts behind a router, and then not: their connections are found dead, whatever the router says."""
    far = f"{appliance.name}-far"
    sh("ip", "netns", "add", far)
    try:
        sh("ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1", "netns", far)
        sysctl("ipv4/ip_forward", 1)
        sysctl("ipv6/conf/all/forwarding", 1)
        for at, device, address, address6 in ((None, "far0", "10.97.0.1/24", "fd00:97::1/64"),
                                              (far, "far1", "10.97.0.9/24", "fd00:97::9/64")):
            here = ("ip",) if at is None else ("ip", "-n", at)
            sh(*here, "addr", "add", address, "dev", device)
            sh(*here, "addr", "add", address6, "dev", device, "nodad")
            sh(*here, "link", "set", device, "up")
        sh("ip", "-n", far, "route", "add", "default", "via", "10.97.0.1")
        sh("ip", "-n", far, "-6", "route", "add", "default", "via", "fd00:97::1")
        before = appliance.metrics()["wirecache_connections"]
        harness.enter_namespace(far)
        sockets = [connect(address) for address in (SERVER, SERVER6) for _ in range(20)]
        for s in sockets:
            round_trip(s, VALUE[:3000])
        harness.enter_namespace(appliance.client)
        assert appliance.metrics()["wirecache_connections"] == before + 40
        sh("ip", "link", "del", "far0")
        wait_for(lambda: appliance.metrics()["wirecache_connections"] <= before, 30, "end of the dead")
        for s in sockets:
            s.close()
    finally:
        harness.enter_namespace(appliance.client)
        sh("ip", "netns", "del", far)


# -- many


def resident_bytes(appliance):
    with open(f"/proc/{appliance.process.pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Rss:"))


def hold_many(count, source, pipe):
    """A process of its own, as one may have so many descriptors and no more: opens, PINGs on some, waits, closes."""
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.settimeout(10)
        s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        s.bind((source, 0))
        s.connect((SERVER, 6379))
        sockets.append(s)
    for s in sockets[::97]:
        s.sendall(b"PING\r\n")
    for s in sockets[::97]:
        assert receive(s, 7) == b"+PONG\r\n"
    pipe.send("open")
    pipe.recv()
    for i, s in enumerate(sockets):
        s.close()
        if i % 32 == 0:
            time.sleep(0.001)  # the kernel's queue of received frames is 1,000 long


def check_many(appliance, count):
    """As many clients as there may be, most of them idle: what each costs, and that the others do not notice."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, most + 100))
    shares = [min(most, 25000, count - at) for at in range(0, count, min(most, 25000))]
    before = resident_bytes(appliance)
    start = time.monotonic()
    holders = []
    for i, share in enumerate(shares):
        sh("ip", "addr", "add", f"10.98.0.{3 + i}/24", "dev", "client0")
        ours, theirs = multiprocessing.Pipe()
        holder = multiprocessing.Process(target=hold_many, args=(share, f"10.98.0.{3 + i}", theirs))
        holder.start()
        holders.append((holder, ours))
    try:
        for _, pipe in holders:
            assert pipe.poll(90) and pipe.recv() == "open"
        took = time.monotonic() - start
        time.sleep(0.1)
        each = (resident_bytes(appliance) - before) / count
        print(f"#   {count} connections, {count / took:.0f} a second, {each:.0f} bytes each")
        assert appliance.metrics()["wirecache_connections"] == count
        s = connect(SERVER)
        round_trip(s)
        s.close()
        for _, pipe in holders:
            pipe.send("close")
    finally:
        for holder, _ in holders:
            holder.join(30)
            if holder.exitcode is None:
                holder.kill()
    # Those whose last frames were lost again and again wait for time-outs that double.
    wait_for(lambda: appliance.metrics()["wirecache_connections"] == 0, 100, "the last connection's end")
    assert ASAN or each <= 448, "an idle connection costs too much"


# -- VLANs


def check_vlan(appliance):
    """Questions in our VLAN are answered in it; others are counted."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind(("client0", 0))
    raw.settimeout(2)
    mac = raw.getsockname()[4]
    arp = struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, socket.inet_aton(CLIENT), bytes(6),
                      socket.inet_aton(SERVER))
    raw.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes tags off received frames
    for control, answered in ((0xa007, True), (8, False), (None, False)):
        tag = b"" if control is None else struct.pack(">HH", 0x8100, control)
        before = appliance.metrics().get('wirecache_drops_total{reason="eth_vlan"}', 0)
        raw.send(b"\xff" * 6 + mac + tag + struct.pack(">H", 0x0806) + arp)
        if answered:
            frame, tci = receive_arp(raw, mac)
            assert frame[20:22] == b"\x00\x02" and tci == 7, (frame.hex(), tci)
        else:
            wait_for(
                lambda: appliance.metrics().get('wirecache_drops_total{reason="eth_vlan"}', 0) > before, 5, "drop")
    raw.close()


def receive_arp(raw, mac):
    """The next ARP packet to us, with its VLAN."""
    while True:
        frame, ancillary, _, _ = raw.recvmsg(2048, 256)
        if frame[:6] != mac or frame[12:14] != b"\x08\x06":
            continue
        for level, kind, data in ancillary:
            if level == 263 and kind == 8:
                return frame, struct.unpack("IIIHHHH", data[:20])[5] & 0xfff
        return frame, None


def main():
    harness.require_root()
    checks = Checks()
    options = ("--tcp-keepalive", "1", "--nic-gateway", CLIENT, "--nic-gateway6", CLIENT6)
    with Appliance("af_packet", 2, 2, options) as appliance:
        for address in (SERVER, SERVER6):
            run_family(checks, address, "client0")
        checks.run("IPv6: the link-local address", check_link_local, appliance, "client0")
        checks.run("IPv6: a client with a new MAC address", check_neighbour_moves, appliance, "client0")
        checks.run("clients that are taken away", check_gone_namespace, appliance)
    # A kernel that closes so many at once forgets some without a word; a keepalive finds those.
    with Appliance("af_packet", 1, 1, ("--tcp-keepalive", "5")) as appliance:
        checks.run("65,000 connections", check_many, appliance, 10000 if ASAN else 64990)
    with Appliance("af_packet", 1, 1, ("--nic-vlan", "7"), reachable=False) as appliance:
        checks.run("VLAN 7", check_vlan, appliance)
    checks.finish()


if __name__ == "__main__":
    main()
