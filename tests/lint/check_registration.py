#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Nothing lies about unbuilt: every .c file stands in a meson.build, every folder is entered.

Usage: check_registration.py ROOT
"""

import os
import re
import sys

import source


def build_files_above(root, path):
    """meson.build texts from the file's folder upward, and the path as each would write it."""
    folder = os.path.dirname(path)
    while True:
        name = os.path.join(folder, "meson.build")
        if os.path.exists(os.path.join(root, name)):
            yield source.read(root, name), os.path.relpath(path, folder or ".")
        if not folder:
            return
        folder = os.path.dirname(folder)


def without_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def is_listed(text, name):
    """Whether meson's text names the file, in whole or as 'test_' + name + '.c' over a list."""
    text = without_comments(text)
    if f"'{name}'" in text:
        return True
    folder, base = os.path.split(name)
    stem = os.path.splitext(base)[0]
    for pattern in re.finditer(r"'([\w/]*)'\s*\+\s*\w+\s*\+\s*'([\w.]*)\.c'", text):
        head, tail = pattern.groups()
        head_folder, head_stem = os.path.split(head)
        if head_folder == folder and stem.startswith(head_stem) and stem.endswith(tail):
            short = stem[len(head_stem):len(stem) - len(tail)]
            if short and f"'{short}'" in text:
                return True
    return False


def check(root):
    findings = []
    for path in source.files(root, ".c"):
        if not any(is_listed(text, name) for text, name in build_files_above(root, path)):
            findings.append(f"{path}: in no meson.build")
    for path in source.files(root, "meson.build"):
        folder = os.path.dirname(path)
        if not folder:
            continue
        parent = os.path.join(os.path.dirname(folder), "meson.build")
        above = os.path.join(root, parent)
        entered = f"subdir('{os.path.basename(folder)}')"
        if not os.path.exists(above) or entered not in without_comments(source.read(root, parent)):
            findings.append(f"{path}: its folder is not entered by {parent}")
    return findings


if __name__ == "__main__":
    sys.exit(source.report("registration", check(sys.argv[1])))
