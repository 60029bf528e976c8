# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests share: an appliance in a lab of its own, and a list of checks.

A lab is two network namespaces. The appliance runs in NAME-server, where the virtual device is; the test
itself enters NAME-client, so that every socket and every child process of it is a client at 10.98.0.1.
Everything is taken down again, also when a check fails.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WIRECACHE_BUILD", os.path.join(ROOT, "build"))
BINARY = os.path.join(BUILD, "wirecached")
CLIENT, SERVER = "10.98.0.1", "10.98.0.2"
CLIENT6, SERVER6 = "fd00:98::1", "fd00:98::2"
KINDS = ("tap", "af_packet", "af_xdp")
START_TIMEOUT_S = 60 if "asan" in BUILD else 20

SKIP = 77
_libc = ctypes.CDLL(None, use_errno=True)


def sh(*command, check=True, timeout=30):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def enter_namespace(name):
    """Moves the calling thread; children started from it follow."""
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(fd, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
    finally:
        os.close(fd)


def in_namespace(name, function):
    """Runs a function on a thread of its own in another namespace."""
    result = {}

    def body():
        try:
            enter_namespace(name)
            result["value"] = function()
        except BaseException as error:  # handed to the caller
            result["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.05)


class Appliance:
    """One wirecached and its client. kind: tap, af_packet or af_xdp. Not reachable: by no ordinary socket."""

    def __init__(self, kind="tap", queues=1, workers=1, options=(), name=None, reachable=True):
        self.kind, self.queues, self.workers, self.reachable = kind, queues, workers, reachable
        self.options = list(options)
        self.name = name or f"wct{os.getpid()}"
        self.server, self.client = f"{self.name}-server", f"{self.name}-client"
        self.process = None
        self.log_path = f"/tmp/{self.name}.log"
        self.baseline = None

    # -- the lab

    def device(self):
        if self.kind == "tap":
            return "net_tap0,iface=wire0"
        if self.kind == "af_packet":
            return f"net_af_packet0,iface=wire0,qpairs={self.queues},qdisc_bypass=1"
        return "net_af_xdp0,iface=wire0"

    def lab_up(self):
        self.lab_down()
        for namespace in (self.server, self.client):
            sh("ip", "netns", "add", namespace)
            sh("ip", "-n", namespace, "link", "set", "lo", "up")
        if self.kind == "tap":
            return
        # An AF_XDP socket serves one queue: what arrived on others would pass it by.
        count = str(self.queues if self.kind == "af_packet" else 1)
        queues = ("numtxqueues", count, "numrxqueues", count)
        sh("ip", "-n", self.server, "link", "add", "wire0", *queues, "type", "veth", "peer", "name", "client0",
           "netns", self.client, *queues)
        # The kernel under the appliance would have the same link-local address.
        sh("ip", "-n", self.server, "link", "set", "wire0", "addrgenmode", "none")
        sh("ip", "-n", self.server, "link", "set", "wire0", "up")
        # Checksums and segments as on a wire: a veth otherwise leaves both to a receiver that trusts it.
        sh("ip", "netns", "exec", self.client, "ethtool", "-K", "client0", "tx", "off")
        self.client_up("client0")

    def client_up(self, interface):
        sh("ip", "-n", self.client, "addr", "add", f"{CLIENT}/24", "dev", interface)
        sh("ip", "-n", self.client, "addr", "add", f"{CLIENT6}/64", "dev", interface, "nodad")
        sh("ip", "-n", self.client, "link", "set", interface, "up")

    def lab_down(self):
        for namespace in (self.server, self.client):
            sh("ip", "netns", "del", namespace, check=False)

    # -- the process

    def command(self):
        return ["ip", "netns", "exec", self.server, BINARY, "--nic-device", self.device(),
                "--nic-address", f"{SERVER}/24", "--nic-address6", f"{SERVER6}/64",
                "--nic-queues", str(self.queues), "--nic-huge-pages", "no",
                "--nic-memory-mib", "256", "--workers", str(self.workers), "--maxmemory", "2gb",
                "--worker-cores", ",".join(str(i % os.cpu_count()) for i in range(self.workers)),
                *self.options]

    def start(self):
        log = open(self.log_path, "w")
        suppressions = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lsan.supp")
        environment = dict(os.environ, LSAN_OPTIONS=f"suppressions={suppressions}")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                        env=environment)
        log.close()
        self.wait(lambda: "wirecache serves" in self.log(), "end of the start")
        if self.kind == "tap":  # not before: the driver goes on setting it up by its name
            sh("ip", "-n", self.server, "link", "set", "wire0", "netns", self.client)
            # The driver gives both ends of the wire one MAC address; the client gets its own.
            sh("ip", "-n", self.client, "link", "set", "wire0", "address", "02:63:6c:69:65:01")
            self.client_up("wire0")
        if self.reachable:
            self.wait(self.answers, "an answer to PING")

    def answers(self):
        import socket

        try:
            with socket.create_connection((SERVER, 6379), timeout=0.5) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def wait(self, condition, what, timeout_s=START_TIMEOUT_S):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"wirecached ended with {self.process.returncode}:\n{self.log()}")
            if condition():
                return
            time.sleep(0.05)
        raise RuntimeError(f"no {what} within {timeout_s} s:\n{self.log()}")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()[-8000:]

    def metrics(self):
        """Sums of each metric over its labels, and each line by its full name."""
        def fetch():
            with urllib.request.urlopen("http://127.0.0.1:9121/metrics", timeout=5) as reply:
                return reply.read().decode()

        values = {}
        for line in in_namespace(self.server, fetch).splitlines():
            match = re.match(r"^([a-zA-Z_:][\w:]*)(\{.*\})? ([-+.\deE]+|NaN|\+Inf)$", line)
            if match:
                name, labels, value = match.group(1), match.group(2) or "", float(match.group(3))
                values[name] = values.get(name, 0) + value
                if labels:
                    values[name + labels] = value
        return values

    def warm_up(self):
        """Has each worker make what it makes once in its life, at its first key and first expiry."""
        import socket

        for _ in range(16 if self.workers > 1 else 1):
            with socket.create_connection((SERVER, 6379), timeout=10) as s:
                s.sendall(b"SET warm up EX 100\r\nDEL warm\r\n")
                assert s.recv(16).startswith(b"+OK\r\n")

    def settled(self):
        """Deletes all keys and waits until every pool is where it was at the start; fails if that never comes."""
        import socket

        with socket.create_connection((SERVER, 6379), timeout=10) as s:
            s.sendall(b"FLUSHALL\r\n")
            assert s.recv(16) == b"+OK\r\n"
        end = time.monotonic() + 30
        while True:
            m = self.metrics()
            now = {name: m[f"wirecache_{name}"] for name in ("connections", "keys", "table_limbo_items")}
            # The index keeps the size it has grown to; all other memory belongs to items.
            # A worker keeps one spare chunk of its list of retired items (reclaim.c), once it had one.
            kept = 4096 * self.workers if self.baseline else 0
            now["item bytes"] = m["wirecache_memory_used_bytes"] - m["wirecache_table_index_bytes"] - kept
            now["buffers in use"] = m["wirecache_port_buffers"] - m["wirecache_port_buffers_free"]
            if self.baseline is None or all(now[name] <= self.baseline[name] for name in now):
                return now
            if time.monotonic() > end:
                raise AssertionError(f"not back at the baseline {self.baseline}: {now}")
            time.sleep(0.1)

    def stop(self, expected=0):
        if self.process and self.process.poll() is None:
            # The child of "ip netns exec" is the program itself: it has been exec'ed in place.
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"SIGTERM did not end it within 20 s:\n{self.log()}")
        if self.process and self.process.returncode != expected:
            raise AssertionError(f"exit status {self.process.returncode}:\n{self.log()}")

    def __enter__(self):
        self.lab_up()
        try:
            enter_namespace(self.client)
            self.start()
            if self.reachable:
                self.warm_up()
                self.baseline = self.settled()
        except BaseException:
            self.abandon()
            raise
        return self

    def abandon(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        enter_namespace_of_init()
        self.lab_down()

    def __exit__(self, kind, error, trace):
        try:
            if error is None and self.process.poll() is None:
                if self.reachable:
                    self.settled()
                self.stop()
            elif error is None:
                assert self.process.returncode in (0, -signal.SIGKILL), self.log()
            else:
                sys.stderr.write(self.log())
        finally:
            self.abandon()
        if error is None:
            os.unlink(self.log_path)


_home = os.open("/proc/self/ns/net", os.O_RDONLY)


def enter_namespace_of_init():
    if _libc.setns(_home, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Checks:
    """Runs named checks one after another; prints one line for each; exit status 0, 1 or 77."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, function, *args, **kwargs):
        start = time.monotonic()
        try:
            function(*args, **kwargs)
        except Skip as reason:
            self.skipped += 1
            print(f"ok - {name} # SKIP {reason}", flush=True)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.failed += 1
            print(f"not ok - {name}", flush=True)
            traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok - {name} ({time.monotonic() - start:.1f} s)", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        sys.exit(1 if self.failed else (SKIP if self.passed == 0 else 0))


class Skip(Exception):
    """Raised by a check that cannot run here; its text says why."""


def require_root():
    if os.geteuid() != 0:
        print("ok - all # SKIP network namespaces need root")
        sys.exit(SKIP)
    if not os.path.exists(BINARY):
        sys.exit(f"{BINARY} is not built: run meson setup build && ninja -C build")


def have(program):
    return any(os.access(os.path.join(path, program), os.X_OK) for path in os.environ["PATH"].split(":"))


@contextlib.contextmanager
def expect_error(kind):
    try:
        yield
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")
