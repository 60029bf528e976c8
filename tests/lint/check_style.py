#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sizes, and marks that a file must or must not bear.

Usage: check_style.py ROOT
"""

import os
import re
import sys

import source

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
PARAMS_MAX = 6
COLUMNS_MAX = 100
# A row of a table is a line, and so is a message of a script.
COLUMNS_MAX_OF = {".def": 200, ".py": 140, ".sh": 140}
TAB_COLUMNS = 8

# Functions whose signature is somebody else's, or was fixed before the rule; each with its reason.
PARAMS_ALLOWED = {
    "hook_alloc": "jemalloc's signature",
    "hook_merge": "jemalloc's signature",
    "hook_split": "jemalloc's signature",
    "on_request": "libmicrohttpd's signature",
    "ip_output": "the contract with the worker; ip_output_flow() takes a struct",
}

C_FILES = (".c", ".h")
MARKED_FILES = (".c", ".h", ".py", ".sh")
CODE_FILES = MARKED_FILES + (".def",)


def lines_of(text):
    lines = text.split("\n")
    return lines[:-1] if lines and lines[-1] == "" else lines


def check_lines(path, text):
    """Every text file: columns, blanks at the end, line ends, open ends."""
    findings = []
    for number, line in enumerate(lines_of(text), 1):
        columns = len(line.expandtabs(TAB_COLUMNS))
        columns_max = COLUMNS_MAX_OF.get(os.path.splitext(path)[1], COLUMNS_MAX)
        if columns > columns_max:
            findings.append(f"{path}:{number}: {columns} columns, {columns_max} at most")
        if line != line.rstrip():
            findings.append(f"{path}:{number}: blanks at the end of the line")
        if path.endswith(C_FILES) and re.match(r"\t* {8}", line):
            findings.append(f"{path}:{number}: indent with tabs")
        if re.search(r"\b(FIX" r"ME|XX" r"X)\b", line):
            findings.append(f"{path}:{number}: unfinished; finish it or open an issue")
        if re.search(r"\bTO" r"DO\b(?!\(#\d+\))", line):
            findings.append(f"{path}:{number}: names no issue, as in TO" "DO(#123)")
    if text and not text.endswith("\n"):
        findings.append(f"{path}: no line end at the end of the file")
    return findings


def check_marks(path, text):
    """The first lines of a file, and preprocessor habits."""
    findings = []
    head = "\n".join(text.split("\n")[:3])
    if path.endswith(MARKED_FILES) and "SPDX-License-Identifier: BSD-3-Clause" not in head:
        findings.append(f"{path}:1: no SPDX line")
    if path.endswith(".h") and "#pragma once" not in head:
        findings.append(f"{path}:2: no #pragma once")
    if path.endswith(C_FILES) and re.search(r"^[ \t]*#[ \t]*if[ \t]+0\b", text, re.MULTILINE):
        findings.append(f"{path}: code in #if 0")
    if path.endswith(C_FILES):
        code = source.code_of(text)
        for match in re.finditer(r"\btypedef\s+(struct|union|enum)\b[^;(]*[;{]", code):
            line = source.line_of(code, match.start())
            findings.append(f"{path}:{line}: typedef of a {match.group(1)}")
    if path.endswith(".c") and not head_comment(text):
        findings.append(f"{path}: no comment before its first function says what the file is for")
    return findings


def head_comment(text):
    """Whether a block comment of its own stands before the first function body."""
    body = re.search(r"^\{", source.code_of(text), re.MULTILINE)
    before = text[:body.start()] if body else text
    before = before.split("\n", 1)[1] if "\n" in before else ""
    return re.search(r"^/\*", before, re.MULTILINE) is not None


def check_own_header(root, path, text, paths):
    header = path[:-2] + ".h"
    if not path.endswith(".c") or header not in paths:
        return []
    first = re.search(r"^[ \t]*#[ \t]*include[ \t]*([<\"][^>\"]+[>\"])", text, re.MULTILINE)
    if first and first.group(1) != f'"{header}"':
        return [f"{path}: includes {first.group(1)} before its own header"]
    return []


def check_functions(path, text):
    findings = []
    if len(lines_of(text)) > FILE_LINES_MAX:
        findings.append(f"{path}: {len(lines_of(text))} lines, {FILE_LINES_MAX} at most")
    for function in source.functions(text):
        where = f"{path}:{function.line}: {function.name}()"
        if function.body_lines is not None and function.body_lines > FUNCTION_LINES_MAX:
            findings.append(f"{where} has {function.body_lines} lines, "
                            f"{FUNCTION_LINES_MAX} at most")
        if function.params > PARAMS_MAX and function.name not in PARAMS_ALLOWED:
            findings.append(f"{where} has {function.params} parameters, {PARAMS_MAX} at most")
    return findings


ROW = re.compile(r"^([A-Z][A-Z0-9_]*)\(([^,()\n]+)", re.MULTILINE)


def check_rows(path, text):
    """A .def table has each first argument once per macro, and each first string (label, name)."""
    findings = []
    seen = {}
    code = source.code_of(text, keep_strings=True)
    for match in ROW.finditer(code):
        line = source.line_of(code, match.start())
        key = (match.group(1), match.group(2).strip())
        if key in seen:
            findings.append(f"{path}:{line}: {key[1]} stands in line {seen[key]} already")
        seen.setdefault(key, line)
        label = re.match(r"[^\n]*?\"([^\"\n]*)\"", code[match.start():])
        if label and (match.group(1), label.group(1), "label") in seen:
            findings.append(f"{path}:{line}: \"{label.group(1)}\" has been used already")
        if label:
            seen.setdefault((match.group(1), label.group(1), "label"), line)
    return findings


def check(root):
    findings = []
    paths = source.files(root, *CODE_FILES)
    for path in paths:
        text = source.read(root, path)
        findings += check_lines(path, text)
        findings += check_marks(path, text)
        if path.endswith(C_FILES):
            findings += check_functions(path, text)
            findings += check_own_header(root, path, text, paths)
        if path.endswith(".def"):
            findings += check_rows(path, text)
    for path in source.files(root, "meson.build", "meson_options.txt", ".md"):
        text = source.read(root, path)
        findings += [f for f in check_lines(path, text) if "columns" not in f]
    return findings


if __name__ == "__main__":
    sys.exit(source.report("style", check(sys.argv[1])))
