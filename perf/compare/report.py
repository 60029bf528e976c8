# SPDX-License-Identifier: BSD-3-Clause
"""From rounds to rows, and rows to a table, to JSON, and against those of an earlier run."""
import json
import statistics

import workloads

HIGHER_IS_BETTER = ("ops_per_s", "bytes_per_cpu_s")
TAILS = ("us_p99", "us_p999", "us_p9999")
WORSE_MAX = 0.10         # of a ratio, against an earlier run
WORSE_MAX_OF_TAILS = 0.50
CROSS_CHECKED = {"connections": 64, "value_bytes": 64, "key_pattern": "R"}
UPKEEP_WORTH_SAYING = 0.02  # as a part of what it stands beside
KEY = ("workload", "protocol", "pipeline", "connections", "key_bytes", "value_bytes", "keys",
       "key_pattern", "view", "unit")
EXTRAS = ("upkeep_cycles_per_op", "cpu_less_empty_cycles_per_op", "polls_per_op", "empty_polls",
          "busy_share")
HEADINGS = {
    "A": "A: end to end, real clients: operations/s (more is better), latency in microseconds",
    "B": "B: ns per operation: busy cycles of ours, user and system time of the peers",
    "C": "C: in one process, no device: busy cycles per operation",
}
LINE = "%-24s %3s %6s %6s %6s  %11s  %-34s %s"
HEAD = ("workload", "P", "conns", "bytes", "keys", "wirecache", "peers (how much better ours is)",
        "spread")


def short(number):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size and number % size == 0:
            return "%d%s" % (number // size, unit)
    return str(number)


def significant(value, digits=4):
    return None if value is None else float("%.*g" % (digits, value))


def ratio(cell, unit, peer):
    """The median over pairs that were measured while the core was equally fast."""
    ours, theirs = cell.middle("wirecache", unit), cell.middle(peer, unit)
    if None in (ours, theirs):
        return None
    if cell.workload.open_loop:
        return significant(theirs / ours)
    pairs = cell.pairs("wirecache", peer, unit)
    pairs = pairs if unit in HIGHER_IS_BETTER else [p[::-1] for p in pairs]
    return significant(statistics.median(a / b for a, b in pairs)) if pairs else None


def row_of(cell, unit):
    w = cell.workload
    ours = cell.middle("wirecache", unit)
    peers = {s.name: significant(cell.middle(s.name, unit)) for s in cell.servers
             if s.name != "wirecache"}
    row = {"workload": w.name, "protocol": w.protocol, "pipeline": w.pipeline,
           "connections": w.connections, "key_bytes": workloads.KEY_BYTES,
           "value_bytes": w.value_bytes, "keys": w.keys, "key_pattern": w.pattern, "view": w.view,
           "unit": unit, "ours": significant(ours), "peers": peers,
           "ratio": {n: r for n, r in ((n, ratio(cell, unit, n)) for n in peers) if r},
           "spread": {s.name: significant(cell.spread(s.name, unit), 2) for s in cell.servers},
           "seconds": cell.site.window(w)["seconds"], "rounds": cell.kept,
           "rounds_thrown_away": cell.rounds - cell.kept, "rounds_disturbed": cell.disturbed(), "commands": cell.commands}
    if w.open_loop:  # those with the machine's pauses, too
        row["windows"] = {s.name: {"median": significant(statistics.median(found)), "worst": significant(max(found))}
                          for s in cell.servers for found in [cell.windows(s.name, unit)] if found}
    if not w.served:
        row["note"] = "not served by wirecache"
    if cell.failed:
        row["failed"] = cell.failed
    if cell.rate:
        row["rate"] = round(cell.rate)
    for extra in EXTRAS:
        value = significant(cell.middle("wirecache", extra))
        if value is not None:
            row[extra] = value
    stages = cell.values("wirecache", "stages")
    if stages and unit == "cycles_per_op":
        row["stages"] = {name: significant(statistics.median(s.get(name, 0) for s in stages))
                         for name in stages[0]}
    return row


def rows_of(cell):
    return [row_of(cell, unit) for unit in cell.workload.units]


def number(value):
    if value is None:
        return "-"
    return "%.0f" % value if value >= 100 else "%.1f" % value


def line_of(cell, row):
    """A line of the table. The unit stands there where it is not its view's."""
    w = cell.workload
    label = w.label() + (" " + row["unit"][3:] if w.open_loop else "")
    peers = []
    for name, value in row["peers"].items():
        better = row["ratio"].get(name)
        peers.append("%s %s%s" % (name, number(value), " (%.2fx)" % better if better else ""))
    spread = "/".join("%.0f%%" % (100 * v) for v in row["spread"].values() if v is not None)
    text = LINE % (label, w.pipeline, w.connections, short(w.value_bytes), short(w.keys),
                   number(row["ours"]), ", ".join(peers), spread)
    if "polls_per_op" in row and not w.open_loop:
        text += "  %.3g polls/op, %.0f%% empty" % (row["polls_per_op"], 100 * row["empty_polls"])
    if w.view != "A" and row.get("upkeep_cycles_per_op", 0) > UPKEEP_WORTH_SAYING * (row["ours"] or 0):
        text += ", upkeep %.0f cycles/op" % row["upkeep_cycles_per_op"]
    if row["rounds_disturbed"]:
        text += "  %d of %d rounds disturbed" % (row["rounds_disturbed"], row["rounds"])
    return text.rstrip()


def lines_of(cell, rows):
    lines = [line_of(cell, row) for row in (rows if cell.workload.open_loop else rows[:1])]
    return lines + ["    FAILED for %s: %s" % failure for failure in cell.failed.items()]


def find(rows, **wanted):
    return [r for r in rows if all(r[k] == v for k, v in wanted.items())]


def cross_checks(rows):
    """How far the cycles of view B agree with other ways to see them."""
    lines = []
    for b in find(rows, view="B", unit="cycles_per_op"):
        if not b["ours"] or {k: b[k] for k in CROSS_CHECKED} != CROSS_CHECKED or \
                b["keys"] > workloads.MILLION or b["workload"] not in ("get", "set"):
            continue
        text = "%-13s %-7s P %-2d  busy %.0f + upkeep %.0f; whole turns %.0f, CPU time less empty polls %.0f" % (
            b["protocol"], b["workload"], b["pipeline"], b["ours"], b["upkeep_cycles_per_op"],
            sum(b.get("stages", {}).values()), b["cpu_less_empty_cycles_per_op"])
        same = {k: b[k] for k in KEY if k not in ("view", "unit")}
        c = find(rows, view="C", unit="cycles_per_op", **same)
        if c and c[0]["ours"]:
            text += "; view C busy %.0f (%+.0f%%)" % (c[0]["ours"],
                                                      100 * (c[0]["ours"] / b["ours"] - 1))
        lines.append(text)
    return lines


def noisy(row):
    return row.get("rounds_disturbed", 0) > row.get("rounds", 0) / 2


def against(rows, path):
    """How many ratios were compared with an earlier run's, which have become worse, and how many were
    left out, because most of the turns were disturbed then or now. None: nothing to compare."""
    with open(path, encoding="utf-8") as f:
        earlier = {tuple(r.get(k) for k in KEY): r for r in json.load(f)["rows"]}
    compared, worse, left_out = 0, [], 0
    for row in rows:
        old = earlier.get(tuple(row.get(k) for k in KEY))
        if old and (noisy(row) or noisy(old)):
            left_out += len(row["ratio"])
            continue
        for name, value in (row["ratio"].items() if old else ()):
            before = old["ratio"].get(name)
            if not before:
                continue
            compared += 1
            limit = WORSE_MAX_OF_TAILS if row["unit"] in TAILS else WORSE_MAX
            if value < before * (1 - limit):
                worse.append("%s, P %d, %d connections, %d bytes, view %s, %s: %.3g -> %.3g x %s" % (
                    row["protocol"] + " " + row["workload"], row["pipeline"], row["connections"],
                    row["value_bytes"], row["view"], row["unit"], before, value, name))
    return (compared, worse, left_out) if compared or left_out else None


def write(path, report):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
