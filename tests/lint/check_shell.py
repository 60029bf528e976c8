#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Shell scripts through shellcheck, where it is installed.

Usage: check_shell.py ROOT
"""

import os
import shutil
import subprocess
import sys

import source

SKIPPED = 77  # as meson understands it


def check(root):
    findings = []
    for path in source.files(root, ".sh"):
        run = subprocess.run(["shellcheck", "--external-sources", "--format=gcc",
                              "--severity=style", path],
                             cwd=root, capture_output=True, text=True)
        findings += run.stdout.splitlines()
        executable = os.access(os.path.join(root, path), os.X_OK)
        if source.read(root, path).startswith("#!") and not executable:
            findings.append(f"{path}: begins with #! but cannot be executed")
    return findings


if __name__ == "__main__":
    if not shutil.which("shellcheck"):
        print("shell: shellcheck is not installed")
        sys.exit(SKIPPED)
    sys.exit(source.report("shell", check(sys.argv[1])))
