# SPDX-License-Identifier: BSD-3-Clause
"""The servers that are compared: how each is started, reached, and asked what it has spent.

Ours is there twice, as no device serves both views: in the lab, behind a device that the kernel's
clients reach (view A), and as a vhost whose other end, a virtio-user, is the load generator's, with
nothing but shared memory between them (view B; not memif, for the reason in HARDWARE.md). The peers live in a network
namespace: clients of view A come by a veth pair as they come to us, those of view B by loopback,
the shortest way that the kernel has.
"""
import ctypes
import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import machine
import workloads

RESP_PORT, MEMCACHED_PORT, ECHO_PORT = 6379, 11211, 7000
START_S_MAX = 30
STOP_S_MAX = 10
IDLE_S = 0.2             # to see what an empty poll costs
CONNECTIONS_MAX = 20000
NIC_MEMORY_MIB = 256
# Our own process maps and touches all of it whenever a client connects, which on huge pages took up
# to half a minute where the host has to find them anew.
CLIENT_MEMORY_MIB = 128
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """In the child: a server, stopped or not, does not outlive the run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Target:
    """How a client reaches a server: from which namespace, where, and over what device."""
    namespace: str           # None: the host's
    host: str
    port: int
    device: tuple = ()       # wirecache-load's options for it, when it is not the kernel's

    def prefix(self):
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []


def port_of(workload):
    """Of ours."""
    return RESP_PORT if workload.protocol == workloads.RESP else MEMCACHED_PORT


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A server's process on the server's core, with its log."""

    def __init__(self, site, name, command, namespace=None):
        self.command = command
        self.log_path = os.path.join(site.run_dir, name + ".log")
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(prefix + command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.pid = self.process.pid

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-500:].strip()

    def wait_until(self, ready):
        end_s = time.monotonic() + START_S_MAX
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end_s:
                raise ServerError("%s does not start: %s" % (self.command[0], self.log_tail()))
            time.sleep(0.02)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if not self.alive():
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Appliance:
    """Ours. While it is paused its polling takes nothing from a peer; no connection is open then."""
    name = "wirecache"

    def __init__(self, pid, site, metrics_port):
        self.pid, self.site, self.metrics_port = pid, site, metrics_port
        self.worker = next(t for t in machine.tasks(pid)
                           if t != pid and os.sched_getaffinity(t) == {site.server_core})
        self.empty_poll_cycles = self.cost_of_empty_poll()

    def speaks(self, workload):
        return workload.served

    def pause(self):
        if self.alive():
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def scrape(self):
        """The counters, summed over their labels; those of a stage by "stage:NAME"."""
        sums = {}
        url = "http://127.0.0.1:%d/metrics" % self.metrics_port
        with urllib.request.urlopen(url, timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                match = re.match(r"wirecache_(\w+)(\{[^}]*\})? ([0-9.eE+]+)$", line)
                if not match:
                    continue
                stage = re.search(r'stage="(\w+)"', match.group(2) or "")
                name = "stage:" + stage.group(1) if stage else match.group(1)
                sums[name] = sums.get(name, 0) + float(match.group(3))
        return sums

    def sample(self):
        counters = self.scrape()
        counters["worker_cpu_s"] = machine.schedstat_s(self.pid, self.worker)[0]
        return counters

    def cost_of_empty_poll(self):
        before = self.scrape()
        time.sleep(IDLE_S)
        after = self.scrape()
        return ((after["worker_cycles_total"] - before["worker_cycles_total"]) /
                (after["worker_polls_total"] - before["worker_polls_total"]))

    def figures(self, before, after, window):
        """Of the time between two samples. Cycles go on while the worker waits for its core; as it
        polls without a pause, that time is spread evenly over its work, and taken off."""
        d = {k: after[k] - before.get(k, 0) for k in after}
        commands = d["commands_processed_total"]
        if window["in_flight"] is not None and \
                abs(commands - window["ops"]) > window["ops"] / 10 + window["in_flight"]:
            raise ServerError("the appliance counts %d commands, the client %d requests"
                             % (commands, window["ops"]))
        hz, ran = after["tsc_hertz"], 1 - window["waited"]
        polls, empty = d["worker_polls_total"], d["worker_empty_polls_total"]
        cycles = d["worker_busy_cycles_total"] * ran / commands
        timed = d["worker_stage_requests_total"]
        stages = {k[6:]: v / timed for k, v in d.items() if k.startswith("stage:") and timed}
        return {"stages": stages, "ns_per_op": cycles / hz * 1e9, "cycles_per_op": cycles,
                "bytes_per_cpu_s": window["bytes"] / window["ops"] / cycles * hz,
                "upkeep_cycles_per_op": d["worker_upkeep_cycles_total"] * ran / commands,
                "cpu_less_empty_cycles_per_op":
                    (d["worker_cpu_s"] * hz - empty * self.empty_poll_cycles) / commands,
                "polls_per_op": polls / commands, "empty_polls": empty / polls,
                "busy_share": d["worker_busy_cycles_total"] / d["worker_cycles_total"]}


def memory_mib(data_mib):
    """What ours takes for so much data: its region, its index, and the packets of both ends."""
    return data_mib + max(64, data_mib // 4) + data_mib // 16 + 2 * NIC_MEMORY_MIB + 64


class LabAppliance(Appliance):
    """The one that run.sh has started."""

    def __init__(self, site, pid, metrics_port):
        os.kill(pid, signal.SIGCONT)
        super().__init__(pid, site, metrics_port)

    def target(self, workload):
        return Target(self.site.lab, self.site.lab_address, port_of(workload))

    def alive(self):
        return os.path.exists("/proc/%d" % self.pid)

    def stop(self):
        self.pause()


class WiredAppliance(Appliance):
    """The one at the other end of the load generator's wire."""

    def __init__(self, site, data_mib):
        self.site = site
        self.huge = site.huge_pages.get(memory_mib(data_mib))
        self.wire = os.path.join(site.run_dir, "wire")
        if os.path.exists(self.wire):  # of one that did not end well
            os.unlink(self.wire)
        metrics_port = free_port()
        self.process = Process(site, "wirecached", [
            "build/wirecached", "--nic-device", "net_vhost0,iface=%s,queues=1" % self.wire, "--nic-address",
            "10.99.0.2/24", "--workers", "1", "--worker-cores", str(site.server_core),
            "--control-core", str(site.client_core), "--poll-idle", "busy", "--maxmemory",
            "%dmb" % data_mib, "--huge-pages", self.huge, "--nic-huge-pages", self.huge,
            "--nic-memory-mib", str(NIC_MEMORY_MIB), "--maxclients", str(CONNECTIONS_MAX),
            "--memcached-max-item-size", "2mb", "--memcached-udp-port", str(MEMCACHED_PORT),
            "--memcached-udp-rate", "0", "--allow-from", "10.99.0.0/24", "--admin-port", "0", "--metrics-port",
            str(metrics_port)])
        try:
            self.process.wait_until(lambda: "wirecache serves" in self.process.log_tail())
            super().__init__(self.process.pid, site, metrics_port)
        except BaseException:
            self.process.stop()
            raise

    def alive(self):
        return self.process.alive()

    def target(self, workload):
        return Target(None, "10.99.0.2", port_of(workload), (
            "--nic-device", "net_virtio_user0,path=%s,queues=1" % self.wire,
            "--nic-address", "10.99.0.1/24", "--nic-huge-pages", "no",
            "--nic-memory-mib", str(CLIENT_MEMORY_MIB)))

    def stop(self):
        self.process.stop()


class Peer:
    """A server with the kernel's TCP. Between its rounds it sleeps and takes next to nothing."""

    def __init__(self, name, protocols, port, site):
        self.name, self.protocols, self.port, self.site = name, protocols, port, site
        self.process = self.pid = None

    def start(self, command):
        core = ["taskset", "-c", str(self.site.server_core)]
        self.process = Process(self.site, self.name, core + command, self.site.peers)
        self.pid = self.process.pid
        try:
            self.process.wait_until(lambda: machine.listens(self.pid, self.port))
        except BaseException:
            self.process.stop()
            raise
        return self

    def alive(self):
        return self.process.alive()

    def speaks(self, workload):
        return workload.protocol in self.protocols and workload.name != "echo"

    def pause(self):
        pass

    def resume(self):
        pass

    def target(self, workload):
        if workload.view == "A":
            return Target(self.site.lab, self.site.peers_address, self.port)
        return Target(self.site.peers, "127.0.0.1", self.port)

    def scrape(self):
        """What a monitoring system asks of it."""
        ask = "INFO\r\n" if workloads.RESP in self.protocols else "stats\r\n"
        subprocess.run(["ip", "netns", "exec", self.site.peers, "nc", "-w", "1", "127.0.0.1",
                        str(self.port)], input=ask + "quit\r\n", text=True, capture_output=True,
                       check=False)

    def sample(self):
        return {"cpu_s": machine.process_cpu_s(self.pid)}

    def figures(self, before, after, window):
        cpu_s = after["cpu_s"] - before["cpu_s"]
        return {"ns_per_op": cpu_s / window["ops"] * 1e9,
                "cycles_per_op": cpu_s / window["ops"] * self.site.tsc_hz,
                "bytes_per_cpu_s": window["bytes"] / cpu_s,
                "busy_share": cpu_s / window["seconds"]}

    def stop(self):
        self.process.stop()


class Echo(Peer):
    """No server at all, only what the kernel's TCP costs it at least."""

    def __init__(self, site):
        super().__init__("echo", (workloads.RESP,), ECHO_PORT, site)

    def speaks(self, workload):
        return workload.name == "echo"


def redis_command(program, port):
    return [program, "--port", str(port), "--bind", "0.0.0.0", "--protected-mode", "no", "--save",
            "", "--appendonly", "no", "--maxclients", str(CONNECTIONS_MAX), "--daemonize", "no"]


# Programs that take redis-server's command line, and the port that each gets.
REDIS_FAMILY = {"redis": ("redis-server", 6379), "valkey": ("valkey-server", 6378),
                "keydb": ("keydb-server", 6377)}


def start_peer(name, site, data_mib):
    if name == "echo":
        return Echo(site).start(["build/perf/echo_server", str(ECHO_PORT)])
    if name == "memcached":
        return Peer(name, (workloads.TEXT, workloads.META, workloads.UDP),
                    MEMCACHED_PORT, site).start(
            ["memcached", "-u", "root", "-t", "1", "-m", str(data_mib), "-c",
             str(CONNECTIONS_MAX), "-I", "2m", "-L", "-l", "0.0.0.0", "-p", str(MEMCACHED_PORT),
             "-U", str(MEMCACHED_PORT)])
    program, port = REDIS_FAMILY[name]
    return Peer(name, (workloads.RESP,), port, site).start(redis_command(program, port))


def peers_found():
    return [n for n, (program, _) in REDIS_FAMILY.items() if shutil.which(program)] + ["memcached"]


def versions():
    found = {n: machine.version(REDIS_FAMILY[n][0], "--version") for n in peers_found()
             if n in REDIS_FAMILY}
    found["memcached"] = machine.version("memcached", "--version")
    found["wirecache"] = machine.version("build/wirecached", "--version")
    return found
