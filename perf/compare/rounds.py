# SPDX-License-Identifier: BSD-3-Clause
"""Rounds: every server once, in turns A B B A, so that whatever drifts hits all alike.

A server's turn in a round is quiet when at most 2 % of its time went to the hypervisor (steal) or to
other programs on the server's core (the time that the server's threads waited for it), when that
core and the client's were as fast as ever before it and after it, and when the host had not put them
far from each other. Rounds go on until there are enough quiet turns of each server, or the cell's
time is over; the quietest are kept, and how many of them were disturbed is said.
"""
import collections
import statistics
import subprocess
import threading
import time

import clients
import machine
import servers
import workloads

DISTURBED_MAX = 0.02
MEDIAN_OF_MIN = 5        # turns
SLOW_MAX = 0.12          # by hashing, which suffers more from a neighbour than servers do
FAR = 3                  # as disturbing as that, times the limit, are cores that are far apart
OPEN_LOOP_SHARE = 0.7
QUIETEST = 0.1           # of windows, for latencies
GROWTH_RATE = 20000      # new keys per second
FLUSH_S = 1              # ours gives memory back in the background
SCRAPE_INTERVAL_S = 0.1
FAILURES = (clients.LoadError, servers.ServerError, subprocess.SubprocessError, OSError,
            ValueError, KeyError, ZeroDivisionError)


class Clock:
    """Marks the begin and the end of what is measured, on one server."""

    def __init__(self, server, core):
        self.server, self.core, self.marks = server, core, []

    def mark(self):
        self.marks.append({"time": time.monotonic(), "steal": machine.steal_and_total(),
                           "waited": machine.waited_s(self.server.pid, self.core),
                           "sample": self.server.sample()})

    def window(self, outcome):
        a, b = self.marks
        seconds = b["time"] - a["time"]
        waited = min(1, max(0, b["waited"] - a["waited"]) / seconds)
        steal = (b["steal"][0] - a["steal"][0]) / max(1, b["steal"][1] - a["steal"][1])
        return {"seconds": seconds, "waited": waited, "disturbed": max(waited, steal),
                "ops": outcome.ops, "bytes": outcome.bytes, "in_flight": None}


class NoServer:
    """Of view C, where the client brings its own."""
    name, pid = "wirecache", 1

    def speaks(self, _workload):
        return True

    def alive(self):
        return True

    def stop(self):
        pass

    def pause(self):
        pass

    def resume(self):
        pass

    def sample(self):
        return {}

    def figures(self, _before, _after, _window):
        return {}


class Meanwhile:
    """What goes on beside a latency measurement: another load, or a monitoring system."""

    def __init__(self, server, workload, site):
        self.server, self.workload, self.site = server, workload, site
        self.ending = threading.Event()
        self.writer = self.scraper = None

    def __enter__(self):
        if self.workload.name == "latency_growth":
            load = clients.WirecacheLoad(self.site)
            command = load.command(self.server, self.workload, [
                "--ratio", "1:0", "--key-pattern", "S:S", "--key-prefix", "new:", "--key-maximum",
                str(10 * workloads.MILLION), "--clients", "4", "--pipeline", "8", "--rate",
                str(GROWTH_RATE), "--test-time", "60"])
            self.writer = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
        if self.workload.name == "latency_scrape":
            self.scraper = threading.Thread(target=self.scrape)
            self.scraper.start()
        return self

    def scrape(self):
        while not self.ending.wait(SCRAPE_INTERVAL_S):
            self.server.scrape()

    def __exit__(self, *_):
        self.ending.set()
        if self.scraper:
            self.scraper.join()
        if self.writer:
            self.writer.kill()
            self.writer.wait()


class Cell:
    """One workload on all servers that speak it."""

    def __init__(self, workload, candidates, site):
        self.workload, self.site = workload, site
        self.servers = [s for s in candidates if s.speaks(workload)]
        self.client = clients.client_of(workload, site)
        self.rate = None
        self.failed = {}     # server -> why
        self.commands = {}
        self.turns = collections.defaultdict(list)  # figures of each server
        self.rounds = self.kept = 0

    def alive(self):
        return [s for s in self.servers if s.name not in self.failed]

    def prepare(self, server):
        if self.workload.name == "latency_growth":
            target = server.target(self.workload)
            subprocess.run(target.prefix() + ["redis-cli", "-h", target.host, "-p",
                                              str(target.port), "FLUSHALL"],
                           capture_output=True, check=True)
            time.sleep(FLUSH_S)
            clients.WirecacheLoad(self.site).fill(server, self.workload)

    def one(self, server):
        """Figures of one server in one round."""
        clock = Clock(server, self.site.server_core)
        window = self.site.window(self.workload)
        window["rate"] = self.rate
        cores = self.site.cores
        far, slow = cores.far(bring=True), cores.slowness()
        server.resume()
        try:
            self.prepare(server)
            with Meanwhile(server, self.workload, self.site):
                outcome = self.client.run(server, self.workload, window, clock.mark)
        finally:
            server.pause()
        far, slow = cores.far() or far, max(slow, cores.slowness())
        self.commands[server.name] = outcome.command
        if len(clock.marks) != 2 or outcome.ops == 0:
            raise clients.LoadError("nothing was measured")
        measured = clock.window(outcome)
        if self.workload.view == "B":  # nobody else sends, and all is counted
            measured["in_flight"] = self.workload.connections * self.workload.pipeline
        figures = {"ops_per_s": outcome.rate, "far": far, "slow": slow,
                   "disturbed": max(measured["disturbed"], outcome.disturbed)}
        figures.update(server.figures(clock.marks[0]["sample"], clock.marks[1]["sample"],
                                      measured))
        figures.update(outcome.figures)
        return figures

    def one_or_failure(self, server):
        """A server that lives gets a second chance: a machine that is busy elsewhere may have
        kept it from any reply at all."""
        for chance in (1, 2):
            try:
                return self.one(server)
            except FAILURES as error:
                if chance == 2 or not server.alive():
                    self.failed[server.name] = str(error) or type(error).__name__
                    return None
        return None

    def calibrate(self):
        """The rate of an open loop, the same for all: a share of what the first peer can do."""
        if self.workload.name == "latency_idle":
            self.rate = clients.IDLE_RATE
        elif self.workload.open_loop:
            peers = [s for s in self.alive() if s.name != "wirecache"]
            figures = self.one_or_failure((peers or self.alive())[0])
            self.rate = figures and OPEN_LOOP_SHARE * figures["ops_per_s"]

    def round(self):
        order = self.alive() if self.rounds % 2 == 0 else self.alive()[::-1]
        for server in order:
            figures = self.one_or_failure(server)
            if figures:
                figures["round"] = self.rounds
                self.turns[server.name].append(figures)
        self.rounds += 1

    def lacks(self):
        """Whether quiet turns are missing."""
        wanted = self.site.rounds_of(self.workload)
        return any(sum(map(quiet, self.turns[s.name])) < wanted for s in self.alive())

    def measure(self, limit_s):
        """The rounds that are wanted, and within that time as many as it takes."""
        wanted, start_s = self.site.rounds_of(self.workload), time.monotonic()
        try:
            self.calibrate()
            while self.alive() and self.lacks() and (
                    self.rounds < wanted or time.monotonic() < start_s + limit_s):
                self.round()
        finally:
            self.leave()
        self.keep_quietest()

    def keep_quietest(self):
        """Quiet turns alone, if there are enough for a median."""
        wanted = self.site.rounds_of(self.workload)
        for turns in self.turns.values():
            turns.sort(key=disturbance)
            enough = max(min(wanted, MEDIAN_OF_MIN), sum(map(quiet, turns)))
            del turns[min(wanted, enough):]
        self.kept = max(map(len, self.turns.values()), default=0)

    def leave(self):
        for server in self.servers:
            server.resume()
            self.client.leave(server)
            server.pause()

    def pairs(self, name, other, key):
        """Figures of two servers while the cores were equally fast, and near, for both."""
        both = [[f for f in self.turns.get(n, ()) if f.get(key)] for n in (name, other)]
        every = [(a, b) for a in both[0] for b in both[1]]
        alike = [(a, b) for a, b in every
                 if abs(a["slow"] - b["slow"]) <= SLOW_MAX and a["far"] == b["far"]]
        return [(a[key], b[key]) for a, b in alike or every]

    def values(self, name, key):
        """One of each turn."""
        turns = self.turns.get(name, ())
        if key.startswith("us_"):
            return [quietest([w[key] for w in f["windows"]]) for f in turns if "windows" in f]
        return [f[key] for f in turns if key in f]

    def windows(self, name, key):
        return [w[key] for f in self.turns.get(name, ()) for w in f.get("windows", ()) if key in w]

    def middle(self, name, key):
        """The median of the turns; of latencies what the quietest tenth of all windows stays below."""
        values = self.windows(name, key) or self.values(name, key)
        if not values or name in self.failed:
            return None
        return quietest(values) if key.startswith("us_") else statistics.median(values)

    def spread(self, name, key):
        """Half the range of the turns, as a part of that."""
        values, middle = self.values(name, key), self.middle(name, key)
        return (max(values) - min(values)) / 2 / middle if middle else None

    def disturbed(self):
        """Turns that were kept though they were not quiet, of the server that has most of them."""
        return max((sum(not quiet(f) for f in turns) for turns in self.turns.values()), default=0)


def quietest(latencies):
    """A pause of the machine is all of a window's tail, so the tail of a median window is the machine's:
    windows without a pause tell servers apart, and come out alike whenever they are measured."""
    return sorted(latencies)[int(QUIETEST * (len(latencies) - 1))]


def disturbance(figures):
    """How far a turn is from quiet, 1 being the limit."""
    return max(figures["disturbed"] / DISTURBED_MAX, figures["slow"] / SLOW_MAX,
               FAR * figures["far"])


def quiet(figures):
    return disturbance(figures) <= 1
