#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every header compiles alone, so that nobody has to know what else to include before it.

Usage: check_headers.py ROOT COMPILER [FLAG ...]
"""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

import source

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Wstrict-prototypes",
         "-Wno-unused-parameter", "-Wno-unused-function", "-Wno-missing-field-initializers",
         "-Werror"]


def compile_alone(root, compiler, header, folder):
    unit = os.path.join(folder, header.replace("/", "__") + ".c")
    with open(unit, "w", encoding="utf-8") as file:
        # Twice: a second inclusion must do no harm.
        file.write(f'#include "{header}"\n#include "{header}"\n')
    run = subprocess.run(compiler + FLAGS + ["-I", root, unit], capture_output=True, text=True)
    return f"{header}: does not compile alone\n{run.stderr.rstrip()}" if run.returncode else None


def dpdk_flags():
    """Where DPDK's headers are, as system headers that we do not judge; None without DPDK."""
    try:
        run = subprocess.run(["pkg-config", "--cflags", "libdpdk"], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    if run.returncode:
        return None
    flags = run.stdout.split()
    return [part for flag in flags
            for part in (["-isystem", flag[2:]] if flag.startswith("-I") else [flag])]


def needs_dpdk(root, header):
    """The port's own headers, and whatever includes them."""
    text = source.read(root, header)
    return "<rte_" in text or "nic/port/port_internal.h" in text


def check(root, compiler):
    headers = source.files(root, ".h")
    flags = dpdk_flags()
    if flags is None:
        headers = [header for header in headers if not needs_dpdk(root, header)]
    compiler = compiler + (flags or [])
    with tempfile.TemporaryDirectory() as folder:
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            results = pool.map(lambda h: compile_alone(root, compiler, h, folder), headers)
            return [result for result in results if result]


if __name__ == "__main__":
    sys.exit(source.report("headers", check(os.path.abspath(sys.argv[1]), sys.argv[2:])))
