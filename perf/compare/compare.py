#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures in the lab that compare.sh has set up: data set by data set, cell by cell.

Not to be called by hand. Exit status 0: all measured; 1: something failed, or --against found a
ratio that has become worse; 2: nothing chosen.
"""
import argparse
import contextlib
import os
import signal
import sys
import time

import clients
import machine
import plots
import report
import rounds
import servers
import workloads

# By --quick. Many short turns rather than few long ones: the machine's speed changes from one tenth of
# a second to the next, and of many turns some see it quiet.
CELL_S = {True: 4.5, False: 20}          # for the rounds of one workload, if quiet turns are rare
CELL_OPEN_LOOP_S = 80
ROUNDS = {"A": 5, "B": 11, "C": 5}
SECONDS = {True: {"A": 0.4, "B": 0.03, "C": 0.25}, False: {"A": 0.3, "B": 0.25, "C": 0.6}}
WARMUP = {True: 0.01, False: 0.03}
WARMUP_IN_PROCESS = 0.1                  # of a server that has just begun
LONGER = {"big": 3, "connect": 3,        # whose turns hold few of what makes the figure
          "latency_idle": 2}
SECONDS_OPEN_LOOP = 4                    # of twenty windows, see clients.py
RESULTS = "perf/results"


class Site:
    """Where and how long everything happens."""

    def __init__(self, args):
        self.lab, self.lab_address = args.lab, args.appliance
        self.peers, self.peers_address = args.peers_namespace, args.peers
        self.server_core, self.client_core = args.server_core, args.client_core
        self.run_dir = args.run_dir
        self.args = args
        self.cores = machine.Cores((args.server_core, args.client_core))
        self.huge_pages = None
        self.tsc_hz = None

    def rounds_of(self, workload):
        return self.args.rounds or ROUNDS[workload.view]

    def window(self, workload):
        """Seconds to measure, and before."""
        seconds = SECONDS_OPEN_LOOP if workload.open_loop else SECONDS[self.args.quick][workload.view]
        if not self.args.quick:
            seconds *= LONGER.get(workload.name, 1)
        return {"seconds": self.args.seconds or seconds,
                "warmup": WARMUP_IN_PROCESS if workload.view == "C" else WARMUP[self.args.quick]}


class Bench:
    """The servers of one data set, filled."""

    def __init__(self, site, args, group):
        self.site, self.args, self.group = site, args, group
        self.view = group[0].view
        self.data_mib = max(clients.data_mib(w) for w in group)
        self.servers, self.absent = [], {}

    def names(self):
        """Of the peers that some workload here is for."""
        resp = any(w.protocol == workloads.RESP and w.name != "echo" for w in self.group)
        other = any(w.protocol != workloads.RESP for w in self.group)
        echo = ["echo"] if any(w.name == "echo" for w in self.group) else []
        return echo + [n for n in servers.peers_found() if (other if n == "memcached" else resp)]

    def start_ours(self):
        if self.view == "A":
            ours = servers.LabAppliance(self.site, self.args.appliance_pid, self.args.metrics_port)
        else:
            ours = servers.WiredAppliance(self.site, self.data_mib)
        self.site.tsc_hz = ours.scrape()["tsc_hertz"]
        return ours

    def start(self, name):
        """A server that cannot be filled is started once more before it counts as absent."""
        for _ in range(2):
            try:
                server = self.start_ours() if name == "wirecache" else \
                    servers.start_peer(name, self.site, self.data_mib)
                try:
                    self.fill(server)
                    server.pause()
                except rounds.FAILURES:
                    server.stop()
                    raise
            except rounds.FAILURES as error:
                self.absent[name] = str(error)
            else:
                self.absent.pop(name, None)
                self.servers.append(server)
                return

    def fill(self, server):
        loader = clients.WirecacheLoad(self.site)
        filled = set()
        for workload in self.group:
            protocol = clients.server_protocol(workload)
            if server.speaks(workload) and workload.name != "echo" and protocol not in filled:
                loader.fill(server, workload)
                if self.view == "A" and clients.memtier():
                    loader.fill(server, workload, clients.MEMTIER_FIRST_KEY)
                filled.add(protocol)

    def __enter__(self):
        if self.view == "C":
            self.servers = [rounds.NoServer()]
        else:
            for name in ["wirecache"] + self.names():
                self.start(name)
        return self

    def wants(self, name, workload):
        """Whether an absent server would have been measured."""
        if name == "wirecache":
            return workload.served
        if name == "memcached":
            return workload.protocol != workloads.RESP
        return workload.protocol == workloads.RESP and (name == "echo") == (workload.name == "echo")

    def revive(self):
        """What has died in one workload is there again for the next."""
        for server in [s for s in self.servers if not s.alive()]:
            self.servers.remove(server)
            self.start(server.name)

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()


class Run:
    """All of it: says each row as soon as it is there."""

    def __init__(self, site, args):
        self.site, self.args = site, args
        self.rows, self.text, self.heading = [], [], None

    def say(self, line=""):
        print(line, flush=True)
        self.text.append(line)

    def measure(self, group):
        view = group[0].view
        if view != self.heading:
            self.say("\nView " + report.HEADINGS[view])
            self.say(report.LINE % report.HEAD)
            self.heading = view
        with Bench(self.site, self.args, group) as bench:
            for workload in group:
                cell = rounds.Cell(workload, bench.servers, self.site)
                cell.failed.update({n: why for n, why in bench.absent.items()
                                    if bench.wants(n, workload)})
                cell.measure(CELL_OPEN_LOOP_S if workload.open_loop else CELL_S[self.args.quick])
                rows = report.rows_of(cell)
                self.rows += rows
                for line in report.lines_of(cell, rows):
                    self.say(line)
                bench.revive()

    def close(self):
        """Checks, files, plots. Returns the exit status."""
        checks = report.cross_checks(self.rows)
        if checks:
            self.say("\nCycles per operation of ours, seen in other ways (perf/README.md):")
            for line in checks:
                self.say("  " + line)
        self.say_floor()
        failed = [r for r in self.rows if "failed" in r]
        if failed:
            self.say("\n%d rows have a server that failed." % len(failed))
        worse = self.compare()
        self.write()
        return 1 if failed or worse else 0

    def say_floor(self):
        for row in report.find(self.rows, workload="echo", unit="ns_per_op"):
            if row["peers"].get("echo"):
                self.say("\nKernel TCP echo floor: %.2f us of CPU per exchange at %d connections: no server "
                         "over kernel sockets spends less." % (row["peers"]["echo"] / 1000,
                                                                 row["connections"]))

    def compare(self):
        if not self.args.against:
            return False
        found = report.against(self.rows, self.args.against)
        if not found:
            self.say("\nNo row of %s is one of this run: nothing was compared." % self.args.against)
            return True
        self.say("\nAgainst %s: %d ratios, %d worse; %d left out, as most of their turns were disturbed."
                 % (self.args.against, found[0], len(found[1]), found[2]))
        for line in found[1]:
            self.say("  WORSE " + line)
        return bool(found[1])

    def write(self):
        environment = machine.describe()
        environment.update(versions=servers.versions(), command=self.args.command,
                           quick=self.args.quick, tsc_hertz=self.site.tsc_hz,
                           huge_pages=self.site.huge_pages.used,
                           cores_round_trip_ns=self.site.cores.near_ns)
        whole = {"environment": environment, "rows": self.rows}
        os.makedirs(RESULTS, exist_ok=True)
        report.write(os.path.join(RESULTS, "compare.json"), whole)
        if self.args.json:
            report.write(self.args.json, whole)
        with open(os.path.join(RESULTS, "compare.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(self.text) + "\n")
        if not plots.draw(self.rows, RESULTS):
            print("No plots: there is no gnuplot.")
        owner = os.stat(".")
        for path in [RESULTS] + [os.path.join(RESULTS, n) for n in os.listdir(RESULTS)]:
            os.chown(path, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def lab_paused(pid):
    """The appliance in the lab polls the server's core whenever it is not stopped."""
    if pid:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGCONT)


def parse_arguments():
    parser = argparse.ArgumentParser()
    for name in ("lab", "appliance", "peers-namespace", "peers", "run-dir", "command"):
        parser.add_argument("--" + name, required=True)
    for name in ("client-core", "server-core", "appliance-pid", "metrics-port"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--against")
    parser.add_argument("--view", default="A,B,C")
    parser.add_argument("--workload", default="")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    return parser.parse_args()


def main():
    args = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    wanted = [n for n in args.workload.split(",") if n]
    unknown = [n for n in wanted if n not in workloads.names()]
    groups = workloads.select(args.view.split(","), wanted, args.quick)
    if unknown or not groups:
        print("compare: no such workload; there are: %s" % ", ".join(workloads.names()),
              file=sys.stderr)
        return 2
    site = Site(args)
    start_s = time.monotonic()
    with machine.HugePages() as site.huge_pages, lab_paused(args.appliance_pid):
        run = Run(site, args)
        for group in groups:
            run.measure(group)
        status = run.close()
    print("%.0f s; all of it is in %s/" % (time.monotonic() - start_s, RESULTS))
    return status


if __name__ == "__main__":
    sys.exit(main())
