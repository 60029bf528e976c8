#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every global symbol begins with a prefix of its folder, so that a name tells where it lives.

Usage: check_symbols.py BUILD_ROOT
"""

import os
import subprocess
import sys

import source

# Folder -> prefixes. In base the name of the file is one as well, in ctrl that of the folder.
PREFIXES = {
    "base": ["worker_role", "ctrl_role", "rcu_"],
    "nic": ["drop_reason_"],
    "nic/port": ["port_"],
    "nic/ip": ["eth_", "arp_", "ip_", "ip4_", "ip6_", "nd_", "mld_", "icmp_", "icmp6_", "udp_",
               "neigh_"],
    "nic/tcp": ["tcp_"],
    "dataplane/table": ["table_", "item_", "access_", "effects_", "evict_", "ghost_", "expire_", "reclaim_", "stable_",
                        "version_", "malloc_conf"],  # the last is what jemalloc looks for
    "dataplane/command": ["cmd_", "kv_", "client_", "reply_", "glob_"],
    "dataplane/proto": ["session_", "batch_", "forward_", "landing_", "stash_", "proto_"],
    "dataplane/proto/resp": ["resp_"],
    "dataplane/proto/memcache": ["mc_"],
    "dataplane/worker": ["worker_"],
    "ctrl": ["snap_", "rdb_", "repl_", "main"],
}

GLOBAL_KINDS = set("TDBRVWCu")


def prefixes_of(folder, member):
    """What a global symbol of an object file may begin with, or None where no rule applies."""
    if folder == "base":
        return PREFIXES["base"] + [os.path.basename(member).split(".")[0]]
    if folder.split("/")[0] == "ctrl":
        # Meson calls the object of ctrl/loop/loop.c loop_loop.c.o.
        words = (folder.split("/")[1:] or [os.path.basename(member).split("_")[0]])
        return PREFIXES["ctrl"] + [words[0] + "_"]
    while folder and folder not in PREFIXES:
        folder = os.path.dirname(folder)
    return PREFIXES.get(folder)


def symbols_of(library):
    """Pairs of (member, global symbol) of a static library."""
    output = subprocess.run(["nm", "-g", "-A", "--defined-only", library], check=True,
                            capture_output=True, text=True).stdout
    for line in output.splitlines():
        place, _, rest = line.rpartition(":")
        fields = rest.split()
        if len(fields) == 3 and fields[1] in GLOBAL_KINDS:
            yield place.rpartition(":")[2], fields[2]


def check_symbol(folder, member, symbol):
    prefixes = prefixes_of(folder, member)
    # What compilers add for sanitizers and coverage is not ours.
    if prefixes is None or symbol.startswith("__") or "." in symbol:
        return None
    if symbol.startswith(tuple(prefixes)):
        return None
    return f"{folder}/{member}: {symbol} begins with none of {' '.join(prefixes)}"


def check(build):
    findings = []
    libraries = 0
    for path in archives(build):
        folder = os.path.dirname(path)
        if folder.startswith(("tests", "perf")):
            continue
        libraries += 1
        for member, symbol in symbols_of(os.path.join(build, path)):
            finding = check_symbol(folder, member, symbol)
            if finding:
                findings.append(finding)
    if libraries == 0:
        findings.append(f"{build}: no static library found; build first")
    return findings


def archives(build):
    for folder, _, names in os.walk(build):
        for name in sorted(names):
            if name.endswith(".a"):
                yield os.path.relpath(os.path.join(folder, name), build)


if __name__ == "__main__":
    sys.exit(source.report("symbols", check(sys.argv[1])))
