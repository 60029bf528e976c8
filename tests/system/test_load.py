#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The load generator: does it load, find lies, and time pauses? Against redis-server and memcached over kernel sockets,
a proxy that lies or pauses in between, and wirecached over net_vhost and AF_XDP. Needs root and a build."""
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import harness
from harness import Appliance, Checks, Skip, have, sh

LOAD = os.path.join(harness.BUILD, "perf", "wirecache-load")
REDIS, MEMCACHED, PROXY, METRICS = 7391, 7392, 7393, 7394
KEYS = 20000
PAUSE_S, RATE, TIME_S = 0.5, 1000, 4


def load(*options, check=True):
    """Runs the generator; its JSON and its exit status."""
    command = [LOAD, "--quiet", "--json", "-", "--key-maximum", str(KEYS - 1), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")
    if not done.stdout:
        raise AssertionError(f"{' '.join(command)}: nothing, {done.returncode}: {done.stderr}")
    return json.loads(done.stdout), done.returncode


def fill(*options):
    found, _ = load("--ratio", "1:0", "--key-pattern", "P:P", "--requests", "allkeys", "--pipeline", "16", "--clients", "4", *options)
    assert found["sets"] == KEYS, found


class Proxy:
    """Between the load and a server. `tamper` sees the bytes of the server and may change them or wait."""

    def __init__(self, tamper=None):
        self.tamper = tamper or (lambda data: data)
        self.listener = socket.create_server(("127.0.0.1", PROXY))
        self.pairs = {}
        self.stop_r, self.stop_w = os.pipe()
        self.thread = threading.Thread(target=self.body)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.write(self.stop_w, b"x")
        self.thread.join()
        for s in (self.listener, *self.pairs):
            s.close()
        os.close(self.stop_r)
        os.close(self.stop_w)

    def body(self):
        poll = select.poll()
        by_fd = {}
        for source in (self.listener, self.stop_r):
            poll.register(source, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.stop_r:
                    return
                if fd == self.listener.fileno():
                    client = self.listener.accept()[0]
                    server = socket.create_connection(("127.0.0.1", REDIS))
                    for a, b in ((client, server), (server, client)):
                        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self.pairs[a] = (b, a is server)
                        by_fd[a.fileno()] = a
                        poll.register(a, select.POLLIN)
                    continue
                self.forward(by_fd[fd], poll)

    def forward(self, source, poll):
        target, from_server = self.pairs[source]
        try:
            data = source.recv(65536)
            if data:
                target.sendall(self.tamper(data) if from_server else data)
                return
        except OSError:
            pass
        poll.unregister(source)
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Lie:
    """Changes one of many replies."""

    def __init__(self, what, at=500):
        self.what, self.seen, self.at = what, 0, at

    def __call__(self, data):
        self.seen += 1
        return self.what(data) if self.seen == self.at else data


class Pause:
    """Lets nothing through for PAUSE_S, once, a second after the first byte."""

    def __init__(self):
        self.at = None

    def __call__(self, data):
        now = time.monotonic()
        self.at = self.at or now + 1
        if now >= self.at:
            time.sleep(PAUSE_S)
            self.at = float("inf")
        return data


def flip(data):
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def check_protocol(port, protocol, *options):
    # Datagrams may be lost, and nobody says them again.
    fill("-p", str(port), "-P", protocol.replace("udp", "text"), "--data-size-range", "1-1200", *options)
    found, _ = load("-p", str(port), "-P", protocol, "--data-size-range", "1-1200", "--ratio", "1:4", "--verify", "hits",
                    "--test-time", "0.5", "--pipeline", "8", "--clients", "4", *options)
    assert found["requests"] > 500 and found["hits"] == found["gets"] > found["sets"] > 0, found
    # What was set with other sizes is not what is expected: the check sees it.
    found, status = load("-p", str(port), "-P", protocol, "--data-size-range", "1-1199", "--ratio", "0:1",
                         "--test-time", "0.2", "--clients", "4", *options, check=False)
    assert status == 1 and found["wrong"] > 0, found


def check_mget():
    fill("-p", str(REDIS))
    found, _ = load("-p", str(REDIS), "--ratio", "0:1", "--multi-key-get", "10", "--verify", "hits", "--test-time", "0.3")
    assert found["hits"] == 10 * found["requests"] > 0, found


def check_big():
    fill("-p", str(REDIS))
    found, _ = load("-p", str(REDIS), "--ratio", "0:1", "--big-clients", "2", "--verify", "hits", "--test-time", "0.5")
    assert found["big"]["requests"] > 0 and found["big"]["bytes"] == found["big"]["requests"] << 20, found


def check_reconnect():
    fill("-p", str(REDIS))
    found, _ = load("-p", str(REDIS), "--ratio", "0:1", "--reconnect-interval", "1", "--test-time", "0.5", "--clients", "8")
    assert found["connects"] > 100 and abs(found["connects"] - found["requests"]) <= 2 * 8, found


def check_lie(what, expected):
    fill("-p", str(REDIS))
    with Proxy(Lie(what)):
        found, status = load("-p", str(PROXY), "--ratio", "0:1", "--clients", "4", "--test-time", "1", "--verify", "hits", check=False)
    assert status == 1 and expected in found["why"], found
    assert found["wrong"] + found["error_replies"] + found["lost_connections"] >= 1, found


def check_honest_proxy():
    fill("-p", str(REDIS))
    with Proxy():
        load("-p", str(PROXY), "--ratio", "0:1", "--clients", "4", "--test-time", "0.5", "--verify", "hits")


def check_pause():
    """The requests that fell due in the pause, RATE * PAUSE_S of RATE * TIME_S, waited evenly from 0 to PAUSE_S."""
    fill("-p", str(REDIS))
    share = PAUSE_S / TIME_S
    with tempfile.TemporaryDirectory() as folder, Proxy(Pause()):
        found, _ = load("-p", str(PROXY), "--ratio", "0:1", "--clients", "16", "--test-time", str(TIME_S), "--rate", str(RATE),
                        "--hdr-file-prefix", f"{folder}/p")
        with open(f"{folder}/p_latency.txt") as f:
            points = [[float(x) for x in line.split()[:2]] for line in f if line[0] not in "#\n" and "Value" not in line]
    latency = found["latency_us"]
    assert abs(found["requests"] - RATE * TIME_S) < RATE * TIME_S * 0.05 and found["unsent"] == 0, found
    assert PAUSE_S * 1e6 * 0.98 <= latency["max"] <= PAUSE_S * 1e6 * 1.3, found
    waited_half = 1 - next(q for value, q in points if value >= PAUSE_S * 1e6 / 2)
    # Those of the first half of the pause; a few more, as the backlog has to be worked off.
    assert share / 2 * 0.8 <= waited_half <= share / 2 * 1.8, (waited_half, share / 2, found)
    # Each client had at most one request under way: by their own count only those were slow.
    assert found["service_us"]["p90"] < PAUSE_S * 1e6 / 10, found


def check_stopped_server(process):
    """The same with a server that is really stopped."""
    fill("-p", str(REDIS))
    stop = threading.Timer(1.0, process.send_signal, [signal.SIGSTOP])
    go_on = threading.Timer(1.0 + PAUSE_S, process.send_signal, [signal.SIGCONT])
    stop.start()
    go_on.start()
    found, _ = load("-p", str(REDIS), "--ratio", "0:1", "--clients", "16", "--test-time", "3", "--rate", str(RATE))
    go_on.join()
    assert PAUSE_S * 1e6 * 0.9 <= found["latency_us"]["max"] <= PAUSE_S * 1e6 * 1.4, found


def check_on_demand():
    command = [LOAD, "-p", str(REDIS), "--ratio", "0:1", "--clients", "4", "--quiet", "--on-demand"]
    done = subprocess.run(command, input="0.1\n0.3\n", capture_output=True, text=True, timeout=20)
    ready, *lines = done.stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert done.returncode == 0 and ready == "" and len(found) == 2, done
    for one, seconds in zip(found, (0.1, 0.3)):
        assert abs(one["seconds"] - seconds) < 0.05 and one["requests"] > 100 and one["connects"] == 0, one
    done = subprocess.run(command, input="0.1\nsoon\n", capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "seconds cannot be 'soon" in done.stderr, done


def check_refused():
    done = subprocess.run([LOAD, "-p", "7399", "--quiet"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "cannot connect: Connection refused" in done.stderr, done


def check_nobody_on_the_wire():
    sh("ip", "link", "add", "wcload0", "type", "veth", "peer", "name", "wcload1")
    try:
        for end in ("wcload0", "wcload1"):
            sh("ip", "link", "set", end, "up")
        done = subprocess.run([LOAD, "-s", "10.91.0.2", "--nic-device", "net_af_packet0,iface=wcload0", "--nic-address", "10.91.0.1/24",
                               "--quiet"], capture_output=True, text=True, timeout=40)
        assert done.returncode == 1 and "nobody on net_af_packet0" in done.stderr, done
    finally:
        sh("ip", "link", "del", "wcload0")


def wire_options(device):
    return ["-s", harness.SERVER, "--nic-device", device, "--nic-address", f"{harness.CLIENT[:-1]}9/24", "--core", "0"]


def check_wire(options):
    """All that carries RESP and memcached's text, over our own TCP on both sides."""
    for protocol in ("resp", "memcache_text"):
        fill("-P", protocol, *options)
        found, _ = load("-P", protocol, "--ratio", "1:4", "--verify", "hits", "--pipeline", "16", "--test-time", "1", *options)
        assert found["requests"] > 1000 and found["hits"] == found["gets"], found
    fill(*options)
    found, _ = load("--ratio", "0:1", "--reconnect-interval", "1", "--clients", "8", "--test-time", "0.5", *options)
    assert found["connects"] > 100, found
    found, _ = load("--ratio", "0:1", "--big-clients", "2", "--verify", "hits", "--test-time", "1", *options)
    assert found["big"]["requests"] > 0, found
    found, _ = load("--ratio", "0:1", "--rate", "2000", "--test-time", "1", *options)
    assert abs(found["rate"] - 2000) < 200, found


def metric(name):
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=5) as reply:
        line = next(line for line in reply.read().decode().splitlines() if line.startswith(name + " "))
    return float(line.split()[-1])


def check_stalled_device(options):
    """A device that takes no frames: its ring and the queue before it run full, more is counted; then all goes on."""
    refused = 'wirecache_drops_total{reason="port_tx_full"}'
    before = metric(refused)
    fill("--data-size", "1000", *options)
    command = [LOAD, "--quiet", "--json", "-", "--key-maximum", str(KEYS - 1), "--data-size", "1000", "--ratio", "0:1", "--verify",
               "hits", "--clients", "2000", "--pipeline", "32", "--test-time", "4", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2.5)
        process.send_signal(signal.SIGSTOP)
        harness.wait_for(lambda: metric(refused) > before + 100, 20, "frames that do not fit")
        process.send_signal(signal.SIGCONT)
        found = json.loads(process.communicate(timeout=60)[0])
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and found["hits"] == found["gets"] > 2000, found
    harness.wait_for(lambda: metric("wirecache_port_buffers") == metric("wirecache_port_buffers_free"), 10, "buffers back")


def check_goodbye(options):
    """Connections that the server believed to be open would be in the way of the next load's."""
    load("--ratio", "0:1", "--clients", "8000", "--test-time", "0.3", *options)
    end = time.monotonic() + 10
    while True:
        left = metric("wirecache_connections")
        if left < 80:
            return
        assert time.monotonic() < end, left
        time.sleep(0.1)


def over_af_xdp():
    with Appliance(kind="af_xdp"):
        sh("ip", "addr", "flush", "dev", "client0")
        try:
            check_wire(wire_options("net_af_xdp0,iface=client0"))
        finally:
            sh("ip", "addr", "add", f"{harness.CLIENT}/24", "dev", "client0")


def over_vhost():
    with tempfile.TemporaryDirectory() as folder:
        command = [harness.BINARY, "--nic-device", f"net_vhost0,iface={folder}/wire,queues=1", "--nic-address", f"{harness.SERVER}/24",
                   "--nic-huge-pages", "no", "--nic-memory-mib", "256", "--workers", "1", "--worker-cores", "1", "--control-core", "0",
                   "--admin-port", "0", "--metrics-port", str(METRICS), "--maxmemory", "256mb"]
        log = open(f"{folder}/log", "w+")
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for _ in range(600):
                log.seek(0)
                if "wirecache serves" in log.read() or process.poll() is not None:
                    break
                time.sleep(0.1)
            options = wire_options(f"net_virtio_user0,path={folder}/wire,queues=1")
            check_wire(options)
            check_goodbye(options)
            check_stalled_device(options)
            process.send_signal(signal.SIGTERM)
            log.seek(0)
            assert process.wait(timeout=20) == 0, log.read()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()


def main():
    harness.require_root()
    checks = Checks()
    if not have("redis-server") or not have("memcached"):
        raise SystemExit("redis-server and memcached are needed: see tests/system/packages.sh")
    servers = [
        subprocess.Popen(["redis-server", "--port", str(REDIS), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
                         stdout=subprocess.DEVNULL),
        subprocess.Popen(["memcached", "-u", "nobody", "-p", str(MEMCACHED), "-U", str(MEMCACHED), "-l", "127.0.0.1", "-t", "1"]),
    ]
    try:
        time.sleep(0.5)
        checks.run("redis-server", check_protocol, REDIS, "resp")
        for protocol in ("memcache_text", "memcache_meta", "memcache_udp"):
            checks.run(f"memcached, {protocol}", check_protocol, MEMCACHED, protocol)
        checks.run("several keys of one GET", check_mget)
        checks.run("big values beside small ones", check_big)
        checks.run("a connection per request", check_reconnect)
        checks.run("an honest proxy passes", check_honest_proxy)
        checks.run("a flipped bit", check_lie, flip, "wrong reply: key:")
        checks.run("a missing value", check_lie, lambda data: b"$-1\r\n", "there is no such key")
        checks.run("an error reply", check_lie, lambda data: b"-ERR no\r\n", "error reply: -ERR no")
        checks.run("a reply too many", check_lie, lambda data: data + data, "unasked")
        checks.run("no reply of the protocol", check_lie, lambda data: b"HTTP/1.1 200 OK\r\n", "no reply of the protocol")
        checks.run("a pause of a known length", check_pause)
        checks.run("a stopped server", check_stopped_server, servers[0])
        checks.run("measured on demand", check_on_demand)
        checks.run("nobody listens", check_refused)
        checks.run("nobody on the wire", check_nobody_on_the_wire)
        checks.run("wirecached over AF_XDP", over_af_xdp)
        checks.run("wirecached over vhost", over_vhost)
    finally:
        for server in servers:
            server.kill()
            server.wait()
    checks.finish()


if __name__ == "__main__":
    main()
