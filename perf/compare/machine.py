# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says: of the machine, of processes' time, and of who else took the cores."""
import hashlib
import os
import platform
import re
import subprocess
import time

SPEED_BYTES = bytes(200000)
SPEED_TRIES = 3
DISTANCE = "build/perf/core_distance"


def steal_and_total():
    """Ticks that went to the hypervisor's other guests, and all ticks."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return fields[7], sum(fields)


def tasks(pid):
    return [int(x) for x in os.listdir("/proc/%d/task" % pid)]


def schedstat_s(pid, task):
    """Seconds that a thread ran, and that it was ready to run and did not."""
    with open("/proc/%d/task/%d/schedstat" % (pid, task), encoding="ascii") as f:
        ran, waited = f.read().split()[:2]
    return int(ran) / 1e9, int(waited) / 1e9


def process_cpu_s(pid):
    """User and system time of all threads; the same sum as in /proc/PID/stat, not in ticks."""
    return sum(schedstat_s(pid, task)[0] for task in tasks(pid))


def waited_s(pid, core):
    """Time that the threads pinned to that core waited for it."""
    return sum(schedstat_s(pid, task)[1] for task in tasks(pid)
               if os.sched_getaffinity(task) == {core})


def listens(pid, port):
    """Whether a TCP socket of the process' network namespace listens there."""
    for table in ("tcp", "tcp6"):
        with open("/proc/%d/net/%s" % (pid, table), encoding="ascii") as f:
            for line in f.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def version(*command):
    found = re.search(r"\d+\.\d+(\.\d+)?", output(*command))
    return found.group(0) if found else "?"


def field_of(path, name):
    with open(path, encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith(name)), "?")


def describe():
    dirty = "-dirty" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": (output("git", "rev-parse", "HEAD") or "?") + dirty,
            "machine": {"cpu": field_of("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
                        "memory": field_of("/proc/meminfo", "MemTotal"),
                        "kernel": platform.release(), "system": output("uname", "-srm")}}


def speed_of(core):
    """Of that core just now, in hashes a second."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        times = []
        for _ in range(SPEED_TRIES):
            start_s = time.perf_counter()
            hashlib.sha256(SPEED_BYTES)
            times.append(time.perf_counter() - start_s)
    finally:
        os.sched_setaffinity(0, allowed)
    return 1 / min(times)


class Cores:
    """How fast cores are, each compared with the best that was seen of it. A neighbour on the host,
    which steal does not show, makes one half as fast from one tenth of a second to the next, and not
    all code suffers from that alike. The client's core counts as the server's does: a slow client
    sends less at a time, and a server that wakes up for less pays more for each request."""

    LOOK_S = 1      # long enough for some quiet moments, if there are any
    NEAR = 2        # times the shortest way that was seen between them
    NAPS_MAX = 300  # of a millisecond on each core, to bring them together again

    def __init__(self, cores):
        self.best = {core: 0 for core in cores}
        self.near_ns = self.distance_ns()
        self.near_ns = min(self.near_ns, self.distance_ns(self.near_ns // self.NEAR))
        end_s = time.monotonic() + self.LOOK_S
        while time.monotonic() < end_s:
            self.slowness()
            time.sleep(0.01)

    def distance_ns(self, wanted_ns=None):
        """What a cache line takes from one core to the other and back, after naps if it takes longer
        than that."""
        naps = [str(wanted_ns), str(self.NAPS_MAX)] if wanted_ns else []
        return int(output(DISTANCE, *map(str, self.best), *naps))

    def far(self, bring=False):
        """Whether the host has them far from each other. The kernel's TCP costs a quarter more then, and
        ours nothing."""
        limit_ns = self.NEAR * self.near_ns
        return self.distance_ns(limit_ns if bring else None) > limit_ns

    def slowness(self):
        """Of the slowest: 0 is as fast as ever, 0.5 is half as fast."""
        return max(map(self.slowness_of, self.best))

    def slowness_of(self, core):
        speed = speed_of(core)
        self.best[core] = max(speed, self.best[core])
        return 1 - speed / self.best[core]


class HugePages:
    """Pages of 2 MiB that hugepages.sh reserves for a run and that are given back after it."""
    FOLDER = "/sys/kernel/mm/hugepages/hugepages-2048kB/"

    def __init__(self):
        self.added = 0
        self.used = None         # the last answer

    def counter(self, name):
        with open(self.FOLDER + name, encoding="ascii") as f:
            return int(f.read())

    def get(self, mib):
        """Whether that much is free for us: "yes" or "no"."""
        try:
            before, free = self.counter("nr_hugepages"), self.counter("free_hugepages")
        except OSError:
            return "no"
        wanted = before - free + (mib + 1) // 2
        done = subprocess.run(["./hugepages.sh", "reserve", str(wanted)], capture_output=True,
                              check=False)
        self.added += self.counter("nr_hugepages") - before
        self.used = "yes" if done.returncode == 0 else "no"
        return self.used

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.added > 0:
            left = max(0, self.counter("nr_hugepages") - self.added)
            with open(self.FOLDER + "nr_hugepages", "w", encoding="ascii") as f:
                f.write("%d\n" % left)
