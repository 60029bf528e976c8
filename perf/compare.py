#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures what compare.sh has started: interleaved rounds, medians, a table and JSON.

Not to be called by hand. Each round loads one server for a fixed time; the servers take turns as
A B B A, so that whatever drifts hits both. While a peer is measured the appliance is stopped
(SIGSTOP), because a core that it polls would not be the peer's. A round is repeated when more than
2 % of its time went to the hypervisor (steal) or to other programs on the server's core (the time
that the server's threads waited for it).
"""
import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

DISTURBED_MAX = 0.02
REPEATS_MAX = 3          # of one round
REPEATS_ALL_MAX = {True: 4, False: 40}  # of all rounds; by --quick
CONNECTIONS = 50
KEY_BYTES = 16
VALUE_BYTES = 64
CALIBRATION_REQUESTS = 20000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def metrics(port):
    """The appliance's counters, summed over workers."""
    sums = {}
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            match = re.match(r"wirecache_(\w+)(?:\{[^}]*\})? ([0-9.eE+]+)$", line)
            if match:
                sums[match.group(1)] = sums.get(match.group(1), 0) + float(match.group(2))
    return sums


def steal_and_total():
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return fields[7], sum(fields)


def process_cpu_s(pid):
    """User and system time of a process and its threads."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def waited_s(pid, core):
    """Time that a process' threads on that core were ready to run and did not."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        if os.sched_getaffinity(int(task)) == {core}:
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                total += int(f.read().split()[1])
    return total / 1e9


class Appliance:
    name = "wirecache"

    def __init__(self, host, pid, metrics_port):
        self.host, self.pid, self.metrics_port = host, pid, metrics_port
        self.before = None

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def start(self):
        self.before = metrics(self.metrics_port)

    def finish(self, requests, waited):
        """Cycles go on while the worker waits for its core; as it polls without a pause, that time
        is spread evenly over its work, and taken off by its share."""
        after = metrics(self.metrics_port)
        delta = {k: after[k] - self.before.get(k, 0) for k in after}
        if delta["commands_processed_total"] < requests:
            raise SystemExit("compare: the appliance counts %d commands, the client sent %d"
                             % (delta["commands_processed_total"], requests))
        ns_per_op = 1e9 * (1 - waited) / after["tsc_hertz"] / requests
        polls = delta["worker_polls_total"]
        return {"ns_per_op": delta["worker_busy_cycles_total"] * ns_per_op,
                "upkeep_ns_per_op": delta["worker_upkeep_cycles_total"] * ns_per_op,
                "polls_per_op": polls / requests,
                "empty_polls": delta["worker_empty_polls_total"] / polls if polls else 0}


class Peer:
    def __init__(self, name, host, pid):
        self.name, self.host, self.pid = name, host, pid
        self.before = 0

    def resume(self):
        pass

    def pause(self):
        pass

    def start(self):
        self.before = process_cpu_s(self.pid)

    def finish(self, requests, _waited):
        return {"ns_per_op": (process_cpu_s(self.pid) - self.before) / requests * 1e9}


class Client:
    """Runs the load generators in the client's namespace, on the client's core."""

    def __init__(self, lab, core, loopload, keys):
        self.prefix = ["ip", "netns", "exec", lab, "taskset", "-c", str(core)]
        self.loopload, self.keys = loopload, keys

    def run(self, command):
        done = subprocess.run(self.prefix + command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit("compare: %s: %s" % (" ".join(command), done.stderr.strip()))
        return done.stdout

    def resp(self, host, op, pipeline, seconds, rate):
        requests = max(1000, int(seconds * rate))
        out = self.run(["redis-benchmark", "-h", host, "-t", op.lower(), "-n", str(requests),
                        "-c", str(CONNECTIONS), "-P", str(pipeline), "-d", str(VALUE_BYTES),
                        "-r", str(self.keys), "--csv"])
        row = out.splitlines()[-1].split(",")
        if row[0].strip('"') != op:
            raise SystemExit("compare: redis-benchmark says %r" % out)
        return requests, float(row[1].strip('"'))

    def memcached(self, host, op, pipeline, seconds, _rate=None):
        done = json.loads(self.run([
            self.loopload, "--host", host, "--port", "11211", "--op", op.lower(),
            "--connections", str(CONNECTIONS), "--pipeline", str(pipeline),
            "--keys", str(self.keys), "--value-bytes", str(VALUE_BYTES),
            "--seconds", str(seconds)]))
        return done["requests"], done["rate"]

    def fill_resp(self, host):
        value = "x" * VALUE_BYTES
        tail = "\r\n$%d\r\n%s\r\n" % (VALUE_BYTES, value)
        text = "".join("*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d%s" % (i, tail)
                       for i in range(self.keys))
        done = subprocess.run(self.prefix + ["redis-cli", "-h", host, "--pipe"], input=text,
                              capture_output=True, text=True)
        if "errors: 0, replies: %d" % self.keys not in done.stdout:
            raise SystemExit("compare: filling %s: %s%s" % (host, done.stdout, done.stderr))


class Workload:
    def __init__(self, protocol, op, pipeline):
        self.protocol, self.op, self.pipeline = protocol, op, pipeline

    def load(self, client, server, seconds, rate=None):
        send = client.resp if self.protocol == "resp" else client.memcached
        return send(server.host, self.op, self.pipeline, seconds, rate)


def one_round(client, workload, server, seconds, rate, budget):
    """Figures of one round, repeated while it was disturbed and there is time left for that."""
    for attempt in range(REPEATS_MAX + 1):
        server.start()
        steal, total = steal_and_total()
        waited, start_s = waited_s(server.pid, budget["core"]), time.monotonic()
        requests, per_s = workload.load(client, server, seconds, rate)
        waited = waited_s(server.pid, budget["core"]) - waited
        waited = min(1, waited / (time.monotonic() - start_s))
        steal_after, total_after = steal_and_total()
        figures = server.finish(requests, waited)
        figures["rate"] = per_s
        figures["disturbed"] = max((steal_after - steal) / max(1, total_after - total), waited)
        if (figures["disturbed"] <= DISTURBED_MAX or budget["repeats"] == 0
                or attempt == REPEATS_MAX):
            return figures
        budget["repeats"] -= 1
    raise AssertionError


def measure(client, workload, servers, rounds, seconds, budget):
    """The rounds of each server, in the order A B B A A B ..."""
    results = {s.name: [] for s in servers}
    rates = {}
    for server in servers:  # redis-benchmark counts requests, not seconds
        server.resume()
        if workload.protocol == "resp":
            rates[server.name] = workload.load(client, server, 1, CALIBRATION_REQUESTS)[1]
        server.pause()
    for i in range(rounds):
        for server in servers if i % 2 == 0 else servers[::-1]:
            server.resume()
            results[server.name].append(one_round(client, workload, server, seconds,
                                                  rates.get(server.name), budget))
            server.pause()
    return results


def median(rounds, key):
    return statistics.median(r[key] for r in rounds)


def spread(rounds, key):
    """Half the range, as a part of the median."""
    values = [r[key] for r in rounds]
    return (max(values) - min(values)) / 2 / median(rounds, key)


def rows_of(workload, results, peer):
    rows = []
    for view, key, unit in (("A", "rate", "operations/s"), ("B", "ns_per_op", "ns/operation")):
        ours, theirs = median(results["wirecache"], key), median(results[peer], key)
        better = ours / theirs if view == "A" else theirs / ours
        row = {"workload": workload.op, "protocol": workload.protocol,
               "pipeline": workload.pipeline, "connections": CONNECTIONS,
               "key_bytes": KEY_BYTES, "value_bytes": VALUE_BYTES, "view": view, "unit": unit,
               "ours": round(ours, 1), "peers": {peer: round(theirs, 1)},
               "ratio": {peer: round(better, 2)},
               "spread": {n: round(spread(r, key), 3) for n, r in results.items()},
               "rounds": {n: len(r) for n, r in results.items()},
               "rounds_disturbed": {n: sum(x["disturbed"] > DISTURBED_MAX for x in r)
                                    for n, r in results.items()}}
        if view == "B":
            for extra in ("upkeep_ns_per_op", "polls_per_op", "empty_polls"):
                row[extra] = round(median(results["wirecache"], extra), 3)
        rows.append(row)
    return rows


HEAD = ("workload", "P", "peer", "ours /s", "peer /s", "A", "ours ns", "peer ns", "B",
        "spread A", "spread B")
LINE = "%-14s %3s %-9s %10s %10s %6s %8s %8s %6s  %-11s %s"


def print_rows(a, b, peer):
    def both(row):
        return "%.0f%%/%.0f%%" % (100 * row["spread"]["wirecache"], 100 * row["spread"][peer])
    print(LINE % ("%s %s" % (a["protocol"], a["workload"]), a["pipeline"], peer,
                  "%.0f" % a["ours"], "%.0f" % a["peers"][peer], "%.2fx" % a["ratio"][peer],
                  "%.0f" % b["ours"], "%.0f" % b["peers"][peer], "%.1fx" % b["ratio"][peer],
                  both(a), both(b)), flush=True)


def version(command):
    out = subprocess.run(command, capture_output=True, text=True).stdout
    return re.search(r"\d+\.\d+\.\d+", out).group(0)


def environment(args, keys):
    with open("/proc/cpuinfo") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "?")
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": model,
            "cores": os.cpu_count(), "kernel": platform.release(), "keys": keys,
            "redis": version(["redis-server", "--version"]),
            "memcached": version(["memcached", "--version"]),
            "wirecache": version(["build/wirecached", "--version"]), "quick": args.quick}


def parse_arguments():
    parser = argparse.ArgumentParser()
    for name in ("lab", "appliance", "peers", "loopload"):
        parser.add_argument("--" + name, required=True)
    for name in ("client-core", "server-core", "appliance-pid", "metrics-port", "redis-pid",
                 "memcached-pid"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    return parser.parse_args()


def main():
    args = parse_arguments()
    rounds, seconds, keys = (3, 0.6, 100000) if args.quick else (5, 3.0, 1000000)
    client = Client(args.lab, args.client_core, args.loopload, keys)
    appliance = Appliance(args.appliance, args.appliance_pid, args.metrics_port)
    peers = {"resp": Peer("redis", args.peers, args.redis_pid),
             "memcached": Peer("memcached", args.peers, args.memcached_pid)}
    budget = {"repeats": REPEATS_ALL_MAX[args.quick], "core": args.server_core}
    report = {"environment": environment(args, keys), "rows": []}

    client.fill_resp(appliance.host)
    client.memcached(appliance.host, "fill", 32, 0)
    appliance.pause()
    client.fill_resp(peers["resp"].host)
    client.memcached(peers["memcached"].host, "fill", 32, 0)
    print("ours: %s; view A: rate end to end, view B: CPU per operation (perf/README.md)"
          % report["environment"]["wirecache"])
    print(LINE % HEAD)
    for protocol, peer in peers.items():
        for op in ("GET", "SET"):
            for pipeline in (1, 32):
                workload = Workload(protocol, op, pipeline)
                results = measure(client, workload, [appliance, peer], rounds, seconds, budget)
                rows = rows_of(workload, results, peer.name)
                print_rows(rows[0], rows[1], peer.name)
                report["rows"] += rows
    appliance.resume()
    rows = [row for row in report["rows"] if row["view"] == "A"]
    disturbed = sum(sum(row["rounds_disturbed"].values()) for row in rows)
    if disturbed:
        print("%d of %d rounds were disturbed by more than %d %% even when repeated: "
              "is the machine idle?" % (disturbed, sum(sum(row["rounds"].values()) for row in rows),
                                       100 * DISTURBED_MAX))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)
            f.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
