# SPDX-License-Identifier: BSD-3-Clause
"""SVG plots of the rows, by gnuplot: what each view says at a glance."""
import os
import shutil
import subprocess

import report

HEAD = """set terminal svg size 900,%d font 'sans,13' background 'white'
set output '%s'
set title '%s'
set grid y
set key outside top right horizontal
"""


def quoted(text):
    return '"%s"' % str(text).replace('"', "'").replace("_", "\\\\_")


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True, capture_output=True)


def data_block(lines):
    return "$data << EOD\n%s\nEOD\n" % "\n".join(lines)


def names_of(rows):
    return ["wirecache"] + sorted({n for r in rows for n in r["peers"]})


def value_of(row, name):
    value = row["ours"] if name == "wirecache" else row["peers"].get(name)
    return "?" if value is None else "%g" % value


def bars(path, title, rows, labels, log=True):
    """A group of bars for each row, a colour for each server."""
    names = names_of(rows)
    lines = [" ".join([quoted(label)] + [value_of(r, n) for n in names])
             for r, label in zip(rows, labels)]
    script = HEAD % (480, path, title) + data_block(lines)
    script += "set datafile missing '?'\nset style data histogram\nset style fill solid 0.8\n"
    script += "set xtics rotate by -60\nset boxwidth 0.9\nset rmargin 6\n"
    if log:
        script += "set logscale y\nset yrange [1:]\n"
    plots = ["$data using %d:xtic(1) title %s" % (i + 2, quoted(n)) for i, n in enumerate(names)]
    gnuplot(script + "plot " + ", ".join(plots) + "\n")


def lines(path, title, rows, by):
    """A line for each server over one of the rows' fields."""
    names = names_of(rows)
    rows = sorted(rows, key=lambda r: r[by])
    data = [" ".join([str(r[by])] + [value_of(r, n) for n in names]) for r in rows]
    script = HEAD % (420, path, title) + data_block(data)
    script += "set datafile missing '?'\nset logscale xy\nset xlabel '%s'\n" % by
    script += "set xtics (%s)\n" % ", ".join(
        str(x) for x in sorted({r[by] for r in rows}))
    plots = ["$data using 1:%d with linespoints lw 2 title %s" % (i + 2, quoted(n))
             for i, n in enumerate(names)]
    gnuplot(script + "plot " + ", ".join(plots) + "\n")


SHORT_NAMES = {"resp": "", "memcache_text": "mc", "memcache_meta": "mc meta", "memcache_udp": "mc"}


def label_of(row):
    return "%s %s P%d%s" % (SHORT_NAMES[row["protocol"]],
                            row["workload"], row["pipeline"],
                            "" if row["value_bytes"] == 64 else
                            " " + report.short(row["value_bytes"]))


def draw_latency(rows, folder):
    for row in report.find(rows, view="A", unit="us_p50"):
        same = [r for r in rows if r["view"] == "A" and r["unit"].startswith("us_")
                and r["workload"] == row["workload"] and r["protocol"] == row["protocol"]]
        name = "%s_%s.svg" % (row["workload"], row["protocol"])
        bars(os.path.join(folder, name), "%s, %s, %d requests/s: microseconds" % (
            row["workload"].replace("_", " "), row["protocol"].replace("_", " "),
            row.get("rate", 0)), same, [r["unit"][3:] for r in same])


def draw(rows, folder):
    """Whether there is a gnuplot to draw with. The plots of an earlier run go."""
    for name in os.listdir(folder):
        if name.endswith(".svg"):
            os.unlink(os.path.join(folder, name))
    if not shutil.which("gnuplot"):
        return False
    rows = [r for r in rows if any([r["ours"]] + list(r["peers"].values()))]
    usual = [r for r in rows if r["connections"] == 64 and r["key_pattern"] == "R"]
    chosen = [r for r in report.find(usual, view="B", unit="ns_per_op") if r["keys"] <= 1000000]
    if chosen:
        bars(os.path.join(folder, "cycles.svg"), "View B: ns per operation, less is better",
             chosen, [label_of(r) for r in chosen])
    chosen = report.find(usual, view="A", unit="ops_per_s")
    if chosen:
        bars(os.path.join(folder, "rate.svg"), "View A: operations per second", chosen,
             [label_of(r) for r in chosen])
    base = {"view": "B", "unit": "ns_per_op", "protocol": "resp", "workload": "get",
            "key_pattern": "R", "value_bytes": 64}
    found = [r for r in report.find(rows, **base) if r["keys"] <= 1000000]
    for by, other in (("pipeline", "connections"), ("connections", "pipeline")):
        chosen = report.find(found, **{other: 64 if other == "connections" else 1})
        if len(chosen) > 1:
            lines(os.path.join(folder, by + ".svg"), "RESP GET, view B: ns per operation", chosen,
                  by)
    draw_latency(rows, folder)
    return True
