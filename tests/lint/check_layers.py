#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may include whom. The table below is the law; CONTRIBUTING.md tells it in words.

Usage: check_layers.py ROOT
"""

import os
import re
import sys

import source

# Folder -> what its files may include, beside their own folder. An entry that ends in "/" is the
# headers directly in that folder, any other is one file. The longest folder that matches counts.
ALLOWED = {
    "base": [],
    "nic": ["base/"],
    "nic/port": ["base/", "nic/"],
    "nic/ip": ["base/", "nic/", "nic/port/port.h"],
    "nic/tcp": ["base/", "nic/"],
    "dataplane/table": ["base/"],
    "dataplane/command": ["base/", "dataplane/table/"],
    "dataplane/proto": ["base/", "dataplane/table/", "dataplane/command/",
                        "dataplane/proto/resp/resp.h", "dataplane/proto/memcache/mc.h"],
    "dataplane/proto/resp": ["base/", "dataplane/table/", "dataplane/command/", "dataplane/proto/"],
    "dataplane/proto/memcache": ["base/", "dataplane/table/", "dataplane/command/",
                                 "dataplane/proto/"],
    "dataplane/worker": ["base/", "nic/", "nic/port/port.h", "nic/ip/ip.h", "nic/tcp/tcp.h",
                         "nic/tcp/tcp_counter.def", "dataplane/table/", "dataplane/command/",
                         "dataplane/proto/", "dataplane/proto/memcache/mc.h",
                         "dataplane/proto/memcache/mc_log.h",
                         "dataplane/proto/memcache/mc_udp.h"],
    # Control sees ports, the table and commands, the workers' mail and statistics, and runs the
    # same sessions. Its folders see each other through the header that bears the folder's name.
    "ctrl": ["base/", "nic/", "nic/port/port.h", "nic/tcp/tcp.h", "nic/tcp/tcp_counter.def",
             "dataplane/table/", "dataplane/command/", "dataplane/worker/", "dataplane/proto/",
             "dataplane/proto/memcache/mc_auth.h", "dataplane/proto/memcache/mc_log.h",
             "dataplane/proto/memcache/mc_stats.h"],
}

# The composition root wires everything; tests and measurements may look anywhere.
ANYTHING = ("ctrl/main.c", "tests/", "perf/")

# Libraries with one door each.
DOORS = [
    (re.compile(r"<rte_|<rte/"), "nic/port/", "DPDK is included by nic/port only"),
    (re.compile(r"<urcu"), "base/rcu_urcu.c", "liburcu is included by base/rcu_urcu.c only"),
    (re.compile(r"<jemalloc/"), "dataplane/table/", "jemalloc's API is dataplane/table's only"),
]

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"][^>\"]+[>\"])", re.MULTILINE)


def folder_of(path):
    """The row of ALLOWED that a file belongs to."""
    folder = os.path.dirname(path)
    while folder and folder not in ALLOWED:
        folder = os.path.dirname(folder)
    return folder


def may_include(path, included):
    folder = folder_of(path)
    if os.path.dirname(included) == os.path.dirname(path):
        return True
    if folder == "ctrl" and re.fullmatch(r"ctrl/(\w+)/\1\.h", included):
        return True
    return any(entry in (included, os.path.dirname(included) + "/")
               for entry in ALLOWED.get(folder, []))


def check_file(root, path):
    findings = []
    code = source.code_of(source.read(root, path), keep_strings=True)
    for match in INCLUDE.finditer(code):
        where = f"{path}:{source.line_of(code, match.start(1))}"
        included = match.group(1)
        for pattern, door, why in DOORS:
            if pattern.match(included) and not path.startswith((door, *ANYTHING[1:])):
                findings.append(f"{where}: {included}: {why}")
        if included[0] != '"':
            continue
        included = included[1:-1]
        beside = os.path.join(os.path.dirname(path), included)
        if path.startswith(ANYTHING) and os.path.exists(os.path.join(root, beside)):
            continue # a test's own fixture
        if not os.path.exists(os.path.join(root, included)):
            findings.append(f"{where}: \"{included}\" is no path from the root")
        elif not path.startswith(ANYTHING) and not may_include(path, included):
            findings.append(f"{where}: {folder_of(path)} may not include \"{included}\"")
    return findings


def check(root):
    findings = []
    for path in source.files(root, ".c", ".h"):
        if not path.startswith(ANYTHING) and folder_of(path) not in ALLOWED:
            findings.append(f"{path}: its folder has no row in ALLOWED")
        findings += check_file(root, path)
    return findings


if __name__ == "__main__":
    sys.exit(source.report("layers", check(sys.argv[1])))
