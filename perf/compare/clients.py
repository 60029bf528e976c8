# SPDX-License-Identifier: BSD-3-Clause
"""Those who load a server: the command line of each, and what it says afterwards.

Every one of them returns an Outcome: how much was done in the window between two calls of `mark`,
and figures of its own. Views B and C, and all latencies, are wirecache-load's; the rates of view A
those of clients that others have written.
"""
import contextlib
import csv
import dataclasses
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import machine
import servers
import workloads

LOAD = "build/perf/wirecache-load"
IN_PROCESS = "build/perf/bench_path"
GRACE_S = 60             # beyond the time that a load is to take
CALIBRATION_REQUESTS = 20000
LATENCY_WINDOW_S = 0.2   # holds two of redis-server's background turns, and seldom a pause of the machine
IDLE_RATE = 1000         # requests/s that leave a server nearly idle
IDLE_WINDOW_S = 1        # of so few requests
POLL_S = 0.02
SETTLE_S = 0.004         # the load acknowledges what came last before its server is stopped
FILL_CLIENTS, FILL_PIPELINE = 8, 32
MEMTIER_FIRST_KEY = 10 ** 11  # it does not pad with zeroes, and keys have 12 digits
MEMASLAP_WINDOW = "1k"   # keys of each connection
SLOW_SERVER_MAX_S = 120  # to be filled


class LoadError(Exception):
    pass


def memtier():
    return shutil.which("memtier_benchmark")


@dataclasses.dataclass
class Outcome:
    ops: int
    rate: float
    bytes: int = 0           # of values
    command: str = ""
    disturbed: float = 0     # where the server is the client's own
    figures: dict = dataclasses.field(default_factory=dict)


class Child:
    """A load as a child process, which must not outlive an interrupted run."""

    def __init__(self, command, timeout_s):
        self.command, self.timeout_s = command, timeout_s
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, stdin=subprocess.DEVNULL)
        # Reading its output blocks; a load that hangs must not hang the run.
        signal.signal(signal.SIGALRM, lambda *_: self.process.kill())
        signal.alarm(int(timeout_s) + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        signal.alarm(0)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def finish(self):
        rest = self.process.stdout.read()
        if self.process.wait() != 0:
            self.errors.seek(0)
            said = (self.errors.read() or rest).strip().splitlines()
            raise LoadError("%s: %s" % (os.path.basename(self.program()),
                                        said[-1] if said else "exit status %d"
                                        % self.process.returncode))
        return rest

    def program(self):
        command = self.command[4:] if self.command[0] == "ip" else self.command
        return command[3] if command[0] == "taskset" else command[0]


def key_options(workload, first=0):
    return ["--protocol", workload.protocol, "--key-bytes", str(workloads.KEY_BYTES),
            "--key-minimum", str(first), "--key-maximum", str(first + workload.keys - 1),
            "--data-size", str(workload.value_bytes)]


def load_options(workload):
    options = key_options(workload) + ["--clients", str(workload.connections), "--pipeline",
                                       str(workload.pipeline), "--verify",
                                       "none" if workload.name == "echo" else "hits",
                                       "--key-pattern", "%s:%s" % (2 * (workload.pattern,))]
    return options + list(workloads.LOAD_OPTIONS[workload.name])


def latencies(loads):
    """Of each window with a reply."""
    found = [{"us_" + k: load["latency_us"][k] for k in ("p50", "p99", "p999", "p9999")}
             for load in loads if load["latency_us"]]
    if not found:
        raise LoadError("no reply came in the measured time")
    return found


def parts(workload, seconds):
    """Of a time to measure: latencies are those of many short windows, one after the other."""
    window_s = IDLE_WINDOW_S if workload.name == "latency_idle" else LATENCY_WINDOW_S
    count = max(1, round(seconds / window_s)) if workload.open_loop else 1
    return count * [seconds / count]


def outcome_of(workload, loads, command):
    bigs = [load.get("big") or {"requests": 0, "bytes": 0} for load in loads]

    def total(key):
        return sum(load[key] for load in loads)

    values = (total("hits") + total("sets")) * workload.value_bytes + sum(b["bytes"] for b in bigs)
    timed = total("requests") + sum(b["requests"] for b in bigs)
    figures = {"windows": latencies(loads)} if workload.open_loop else {}
    return Outcome(total("requests_all"), total("rate") / len(loads),
                   values * total("requests_all") // max(1, timed), command, figures=figures)


class Session:
    """A load generator that stays connected to a server, and sleeps unless it is asked to load."""

    def __init__(self, command):
        self.command = command
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)

    def answer(self, seconds):
        """A line, within that time and some grace."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds + GRACE_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.errors.seek(0)
            raise LoadError("wirecache-load: " + (self.errors.read().strip() or "no answer"))
        return line

    def measure(self, seconds):
        self.process.stdin.write("%g\n" % seconds)
        self.process.stdin.flush()
        return json.loads(self.answer(seconds))

    def close(self):
        """Ends it within a time in which a server that lives sees all of its connections end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class WirecacheLoad:
    """Our own load generator, over the wire or kernel sockets. It keeps a session per server."""

    def __init__(self, site):
        self.site = site
        self.sessions = {}   # by the server's name, with what it was opened for

    def command(self, server, workload, more):
        target = server.target(workload)
        return target.prefix() + [LOAD, "--server", target.host, "--port", str(target.port)] + \
            list(target.device) + ["--core", str(self.site.client_core), "--quiet"] + more

    def fill(self, server, workload, first=0):
        """Every key of the data set, once."""
        fill = dataclasses.replace(workload, protocol=server_protocol(workload))
        command = self.command(server, workload, key_options(fill, first) + [
            "--ratio", "1:0", "--key-pattern", "P:P", "--requests", "allkeys", "--pipeline",
            str(FILL_PIPELINE), "--clients", str(FILL_CLIENTS), "--json", "-"])
        with Child(command, SLOW_SERVER_MAX_S) as child:
            return json.loads(child.finish())

    def session(self, server, workload, rate):
        wanted = (workload, rate)
        if self.sessions.get(server.name, (None,))[0] != wanted:
            self.leave(server)
            more = load_options(workload) + (["--rate", "%d" % rate] if rate else [])
            session = Session(self.command(server, workload, more + ["--on-demand"]))
            self.sessions[server.name] = (wanted, session)
            session.answer(0)
        return self.sessions[server.name][1]

    def leave(self, server):
        """The server must run."""
        _, session = self.sessions.pop(server.name, (None, None))
        if session:
            session.close()

    def run(self, server, workload, window, mark):
        """Nothing is under way when the marks are set, so that server and load count the same."""
        try:
            session = self.session(server, workload, window.get("rate"))
            session.measure(window["warmup"])
            mark()
            loads = [session.measure(seconds) for seconds in parts(workload, window["seconds"])]
            mark()
        except BaseException:
            self.leave(server)
            raise
        time.sleep(SETTLE_S)
        return outcome_of(workload, loads, " ".join(session.command))


def server_protocol(workload):
    """A data set is written by text, whatever protocol reads it then."""
    return workloads.RESP if workload.protocol == workloads.RESP else workloads.TEXT


class InProcess:
    """View C: our worker and its load in one process."""

    def __init__(self, site):
        self.site = site

    def run(self, _server, workload, window, mark):
        mib = data_mib(workload)
        huge = self.site.huge_pages.get(servers.memory_mib(mib))
        command = [IN_PROCESS, "--core", str(self.site.client_core), "--worker-core",
                   str(self.site.server_core), "--maxmemory-mib", str(mib), "--nic-huge-pages",
                   huge, "--nic-memory-mib", str(servers.NIC_MEMORY_MIB), "--quiet"]
        command += ["--huge-pages"] if huge == "yes" else []
        command += load_options(workload) + ["--test-time", "%g" % window["seconds"], "--warmup",
                                             "%g" % window["warmup"], "--json", "-"]
        waited, start_s = 0, time.monotonic()
        mark()
        with Child(command, SLOW_SERVER_MAX_S) as child:
            while child.process.poll() is None:
                waited = max(waited, self.waited_s(child.process.pid))
                time.sleep(POLL_S)
            done = json.loads(child.finish())
        mark()
        disturbed = waited / (time.monotonic() - start_s)
        load, worker = done["load"], done["worker"]
        figures = {"cycles_per_op": worker["busy_cycles_per_op"],
                   "ns_per_op": worker["busy_cycles_per_op"] / worker["tsc_hz"] * 1e9,
                   "upkeep_cycles_per_op": worker["upkeep_cycles_per_op"],
                   "cpu_less_empty_cycles_per_op": worker["cycles_per_op_nonempty"],
                   "polls_per_op": worker["polls_per_op"], "empty_polls": worker["empty_polls"],
                   "stages": worker["stages"]}
        return Outcome(load["requests"], load["rate"], command=" ".join(command),
                       disturbed=disturbed, figures=figures)

    def leave(self, _server):
        pass

    def waited_s(self, pid):
        try:
            return machine.waited_s(pid, self.site.server_core)
        except OSError:  # it has just ended
            return 0


class RealClient:
    """redis-benchmark, memcaslap, or memtier_benchmark in place of both where it is installed."""

    def __init__(self, site):
        self.site = site
        self.rates = {}      # by server and workload: redis-benchmark counts requests, not seconds
        self.memtier = memtier()

    def leave(self, _server):
        pass

    def run(self, server, workload, window, mark):
        target = server.target(workload)
        prefix = target.prefix() + ["taskset", "-c", str(self.site.client_core)]
        if self.memtier and workload.name != "connect":
            use = self.use_memtier
        elif workload.protocol == workloads.RESP:
            use = self.use_redis_benchmark
        else:
            use = self.use_memaslap
        return use(prefix, (target.host, str(target.port)), workload, dict(window, mark=mark, server=server.name))

    def use_redis_benchmark(self, prefix, address, workload, window):
        key = (window["server"], workload)
        if key not in self.rates:
            self.rates[key] = self.redis_benchmark(prefix, address, workload,
                                                   CALIBRATION_REQUESTS)[0]
        requests = max(1000, int(self.rates[key] * window["seconds"]))
        window["mark"]()
        rate, command = self.redis_benchmark(prefix, address, workload, requests)
        window["mark"]()
        self.rates[key] = rate
        return Outcome(requests, rate, command=" ".join(command))

    @staticmethod
    def redis_benchmark(prefix, address, workload, requests):
        command = prefix + ["redis-benchmark", "-h", address[0], "-p", address[1], "-n",
                            str(requests), "-c", str(workload.connections), "-P",
                            str(workload.pipeline), "-d", str(workload.value_bytes), "-r",
                            str(workload.keys), "--csv"]
        if workload.name == "mget":
            command += ["MGET"] + 10 * ["key:__rand_int__"]
        else:
            command += ["-t", "set" if workload.name == "set" else "get"]
        if workload.name == "connect":
            command[len(prefix) + 1:len(prefix) + 1] = ["-k", "0"]
        with Child(command, GRACE_S) as child:
            rows = list(csv.reader(child.finish().splitlines()))
        if len(rows) < 2 or len(rows[-1]) < 2:
            raise LoadError("redis-benchmark says %r" % rows)
        return float(rows[-1][1]), command

    def use_memaslap(self, prefix, address, workload, window):
        gets = 0 if workload.name == "set" else 1
        path = os.path.join(self.site.run_dir, "memaslap.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("key\n%d %d 1\nvalue\n%d %d 1\ncmd\n0 %.1f\n1 %.1f\n" % (
                2 * (workloads.KEY_BYTES,) + 2 * (workload.value_bytes,) + (1 - gets, gets)))
        command = prefix + ["memcaslap", "-s", ":".join(address), "-T", "1", "-c",
                            str(workload.connections), "-w", MEMASLAP_WINDOW, "-F", path,
                            "-t", "%ds" % max(1, round(window["seconds"]))]
        window["mark"]()
        with Child(command, GRACE_S) as child:
            said = child.finish()
        window["mark"]()
        found = dict(re.findall(r"(cmd_get|cmd_set|get_misses|Run time): ([0-9.]+)", said))
        if "Run time" not in found or float(found["Run time"]) == 0 or int(found["get_misses"]) > 0:
            raise LoadError("memcaslap says %r" % said[-200:])
        # Before a load of GETs it sets its keys, outside of its run time.
        ops = int(found["cmd_get" if gets else "cmd_set"])
        return Outcome(ops, ops / float(found["Run time"]), command=" ".join(command))

    def use_memtier(self, prefix, address, workload, window):
        path = os.path.join(self.site.run_dir, "memtier.json")
        options = workloads.LOAD_OPTIONS[workload.name]
        protocol = "redis" if workload.protocol == workloads.RESP else workload.protocol
        command = prefix + [self.memtier, "-s", address[0], "-p", address[1], "--protocol",
                            protocol, "-t", "1", "-c", str(workload.connections), "--pipeline",
                            str(workload.pipeline), "-d", str(workload.value_bytes),
                            "--key-prefix", "key:", "--key-minimum", str(MEMTIER_FIRST_KEY),
                            "--key-maximum", str(MEMTIER_FIRST_KEY + workload.keys - 1),
                            "--hide-histogram", "--test-time",
                            str(max(1, round(window["seconds"]))), "--json-out-file", path]
        if workload.name == "mget":
            command += ["--command", "MGET" + 10 * " __key__", "--command-key-pattern", "R"]
        else:
            command += ["--key-pattern", "R:R"] + list(options)
        window["mark"]()
        with Child(command, GRACE_S) as child:
            child.finish()
        window["mark"]()
        with open(path, encoding="utf-8") as f:
            totals = json.load(f)["ALL STATS"]["Totals"]
        return Outcome(int(totals["Count"]), totals["Ops/sec"], command=" ".join(command))


def client_of(workload, site):
    if workload.view == "C":
        return InProcess(site)
    if workload.view == "B" or workload.open_loop:
        return WirecacheLoad(site)
    return RealClient(site)


def data_mib(workload):
    """Memory for a data set, its index, and as much again to grow in."""
    item_bytes = workload.value_bytes + workloads.KEY_BYTES + 96
    return max(512, 2 * workload.keys * item_bytes >> 20)
