# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: one Workload for each row of the comparison, and which of them a run takes."""
import dataclasses

KEY_BYTES = 16
MILLION = 1000000
QUICK_KEYS = MILLION    # at most. Fewer would fit into a cache that neighbours share, or would not
GROWTH_KEYS = 100000    # that are there, and read, while others join them
BIG_BYTES = 1 << 20     # of the value among small ones; memcached's limit is raised for it
RESP, TEXT, META, UDP = "resp", "memcache_text", "memcache_meta", "memcache_udp"

# Of each kind, what wirecache-load wants beside pipeline, clients, keys and sizes.
LOAD_OPTIONS = {
    "get": ("--ratio", "0:1"),
    "set": ("--ratio", "1:0"),
    "mix": ("--ratio", "1:10"),
    "mget": ("--ratio", "0:1", "--multi-key-get", "10"),
    "connect": ("--ratio", "0:1", "--reconnect-interval", "1"),
    "big": ("--ratio", "0:1", "--big-clients", "1", "--big-size", str(BIG_BYTES)),
    "udp_get": ("--ratio", "0:1"),
    "echo": ("--ratio", "0:1"),
    "latency_idle": ("--ratio", "0:1"),
    "latency_load70": ("--ratio", "0:1"),
    "latency_growth": ("--ratio", "0:1"),
    "latency_scrape": ("--ratio", "0:1"),
}


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    view: str
    protocol: str = RESP
    pipeline: int = 1
    connections: int = 64
    value_bytes: int = 64
    keys: int = MILLION
    pattern: str = "R"          # of keys: R uniform, Z Zipf 0.99
    quick: bool = False         # part of --quick, too
    served: bool = True         # by wirecache; otherwise the row shows the peers alone

    @property
    def dataset(self):
        return self.view, self.keys, self.value_bytes

    @property
    def open_loop(self):
        return self.name.startswith("latency_")

    @property
    def units(self):
        """What the rows of it are measured in, the first one for the table."""
        if self.open_loop:
            return ("us_p50", "us_p99", "us_p999", "us_p9999")
        if self.view == "A":
            return ("ops_per_s",)
        if self.view == "C":
            return ("cycles_per_op",)
        long_values = self.value_bytes >= 1024 or self.name == "big"
        return ("ns_per_op", "cycles_per_op") + (("bytes_per_cpu_s",) if long_values else ())

    def label(self):
        pattern = " zipf" if self.pattern == "Z" else ""
        return "%s %s%s" % (self.protocol, self.name, pattern)


def view_b():
    """Cycles per operation; wirecache-load drives all servers alike."""
    def cell(name, protocol=RESP, **more):
        return Workload(name, "B", protocol, **more)

    rows = [cell("echo", quick=True, served=False)]
    rows += [cell("get", pipeline=p, quick=p in (1, 32)) for p in (1, 16, 32, 50)]
    rows += [cell("set", pipeline=p, quick=p == 32) for p in (1, 16, 32, 50)]
    rows += [cell("mix", pipeline=p) for p in (1, 32)]
    rows += [cell("mget", pipeline=p) for p in (1, 16)]
    rows += [cell("get", pipeline=p, pattern="Z") for p in (1, 32)]
    rows += [cell("get", connections=c) for c in (1, 1000, 10000)]
    rows += [cell("connect", quick=True), cell("big", pipeline=16)]
    rows += [cell("get", TEXT, pipeline=p, quick=p in (1, 32)) for p in (1, 16, 32, 50)]
    rows += [cell("set", TEXT, pipeline=p) for p in (1, 32)]
    rows += [cell("mix", TEXT, pipeline=1), cell("mget", TEXT), cell("connect", TEXT)]
    rows += [cell("get", META, pipeline=p) for p in (1, 32)]
    rows += [cell("udp_get", UDP)]
    # The longest with fewer in flight: 64 connections with 16 of them would be 64 MB.
    for value_bytes, keys, p in ((32, MILLION, 16), (1024, MILLION, 16), (65536, 10000, 1)):
        rows += [cell(name, pipeline=p, value_bytes=value_bytes, keys=keys)
                 for name in ("get", "set")]
        rows += [cell("get", TEXT, pipeline=p, value_bytes=value_bytes, keys=keys)]
    rows += [cell("get", pipeline=p, keys=10 * MILLION) for p in (1, 32)]
    rows += [cell("get", pipeline=32, keys=10 * MILLION, pattern="Z")]
    return rows


def view_c():
    """The same code in one process, without a device: ours alone."""
    return [Workload("get", "C", pipeline=p, quick=p == 32) for p in (1, 32)] + \
        [Workload("set", "C", pipeline=p) for p in (1, 32)] + \
        [Workload("connect", "C"), Workload("get", "C", TEXT, pipeline=32)]


def view_a():
    """End to end. Latencies come first: redis-benchmark's SETs write other values."""
    def cell(name, protocol=RESP, **more):
        return Workload(name, "A", protocol, **more)

    rows = [cell("latency_load70"), cell("latency_idle"), cell("latency_scrape"),
            cell("latency_growth", keys=GROWTH_KEYS), cell("latency_load70", TEXT)]
    rows += [cell("get", pipeline=p, quick=p in (1, 32)) for p in (1, 16, 32, 50)]
    rows += [cell("get", connections=c) for c in (1, 1000)]
    rows += [cell("mget"), cell("connect")]
    rows += [cell("set", pipeline=p) for p in (1, 32)]
    rows += [cell("get", TEXT), cell("set", TEXT)]
    return rows


def select(views, names, quick):
    """The workloads of a run in its order: those of one data set together. A name that --quick
    leaves out is taken whole when it is asked for."""
    every = view_b() + view_c() + view_a()
    if names:
        every = [w for w in every if w.name in names]
    chosen = [w for w in every if w.view in views]
    if quick:
        short = {(w.view, w.name) for w in chosen if w.quick}
        chosen = [dataclasses.replace(w, keys=min(w.keys, QUICK_KEYS)) for w in chosen
                  if w.quick or names and (w.view, w.name) not in short]
    groups = {}
    for workload in chosen:
        groups.setdefault(workload.dataset, []).append(workload)
    return list(groups.values())


def names():
    return sorted({w.name for w in view_b() + view_c() + view_a()})
