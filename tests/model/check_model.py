#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Searches all interleavings of a Spin model and compares the verdict with the one expected.

A model must hold as it is, and a model with one step left out must not: then an assertion has to be
violated, and nothing else may have gone wrong. A search that was cut short is a failure either way.

Exit status: 0 as expected, 1 not, 77 skipped (no spin here, or a long search that was not asked
for).

usage: check_model.py [--long] (--holds | --violated) MODEL.pml [-DSWITCH...]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
LONG_VARIABLE = "MODEL_LONG"
STEPS_MAX = 100000  # depth of the search; reaching it is reported and counts as a failure
MEMORY_MAX_MIB = 8192

# What pan says when it has not seen everything.
CUT_SHORT = ("max search depth too small", "Search not completed", "out of memory",
             "reached memory limit", "hash table is full")


def search(model, switches, optimise, folder):
    """What pan printed about the whole search."""
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run(["spin", *switches, "-a", os.path.abspath(model)], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([*compiler, optimise, "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MAX_MIB}",
                    "-o", "pan", "pan.c"], cwd=folder, check=True)
    # Processes end where they are done: no end state is invalid (-E).
    return subprocess.run(["./pan", f"-m{STEPS_MAX}", "-E"], cwd=folder, check=True,
                          capture_output=True, text=True).stdout


def verdict(text):
    """"holds", "violated", or in words what else happened."""
    errors = re.search(r"errors: (\d+)", text)
    if not errors:
        return "no result"
    if errors.group(1) == "1" and "assertion violated" in text:
        return "violated"
    for words in CUT_SHORT:
        if words in text:
            return words
    return "holds" if errors.group(1) == "0" else "another error"


def main(arguments):
    is_long = "--long" in arguments
    expected = "holds" if "--holds" in arguments else "violated"
    switches = [a for a in arguments if a.startswith("-D")]
    (model,) = [a for a in arguments if a.endswith(".pml")]
    if is_long and not os.environ.get(LONG_VARIABLE):
        print(f"a long search; {LONG_VARIABLE}=1 asks for it")
        return SKIPPED
    if not shutil.which("spin"):
        print("no spin here")
        return SKIPPED
    # A counterexample is found sooner than the compiler is done optimising.
    optimise = "-O2" if is_long or expected == "holds" else "-O0"
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        text = search(model, switches, optimise, folder)
    print(text)
    found = verdict(text)
    print(f"{os.path.basename(model)} {' '.join(switches)}: {found}, {expected} expected")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
