# SPDX-License-Identifier: BSD-3-Clause
"""What the lints know of a C source tree: our files, and where comments, strings and functions are.

No parser: comments and strings are blanked out with lines and columns kept, then braces and
parentheses are counted. That is exact for code that the compiler accepts, but for macros that hold
unbalanced braces.
"""

import os
import re

SKIPPED_FOLDERS = ("results", "__pycache__", "subprojects")


def files(root, *endings):
    """Paths relative to root, sorted, of our files with one of these endings."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(s for s in subfolders if s not in SKIPPED_FOLDERS
                               and not s.startswith(("build", ".")))
        for name in sorted(names):
            if name.endswith(endings):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", newline="") as file:
        return file.read()


_LEXEMES = re.compile(
    r"""//[^\n]*                      # a line comment
      | /\*.*?(?:\*/|\Z)              # a block comment
      | "(?:\\.|[^"\\\n])*"           # a string
      | '(?:\\.|[^'\\\n])*'           # a character
    """, re.VERBOSE | re.DOTALL)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_of(text, keep_strings=False):
    """The text with comments, and the insides of strings and characters, turned into blanks."""
    def replace(match):
        lexeme = match.group()
        if lexeme[0] == "/":
            return _blank(lexeme)
        return lexeme if keep_strings else lexeme[0] + _blank(lexeme[1:-1]) + lexeme[-1]
    return _LEXEMES.sub(replace, text)


def without_directives(code):
    """The same without preprocessor lines and their continuations."""
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: _blank(m.group()), code, flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Function:
    """A function's definition or declaration: name, line, parameters, lines of body or None."""

    def __init__(self, name, line, params, body_lines):
        self.name = name
        self.line = line
        self.params = params
        self.body_lines = body_lines


def _matching(code, at):
    """Offset behind the bracket that closes the one at `at`."""
    pairs = {"(": ")", "{": "}"}
    opening, closing = code[at], pairs[code[at]]
    depth = 0
    for offset in range(at, len(code)):
        if code[offset] == opening:
            depth += 1
        elif code[offset] == closing:
            depth -= 1
            if depth == 0:
                return offset + 1
    return len(code)


def count_params(inside):
    """How many parameters stand between the parentheses."""
    inside = inside.strip()
    if inside in ("", "void"):
        return 0
    depth = 0
    commas = 0
    for char in inside:
        depth += (char in "([{") - (char in ")]}")
        commas += char == "," and depth == 0
    return commas + 1


_NOT_FUNCTIONS = ("_Static_assert", "static_assert", "__attribute__", "_Alignas", "alignas",
                  "typeof")
_NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def _function_of(code, start, end, body_lines):
    """Reads code[start:end], a declaration at file level up to its body or semicolon."""
    head = code[start:end]
    if "=" in head or "{" in head or re.match(r"\s*typedef\b", head):
        return None
    at = 0
    while True:
        match = _NAME.search(head, at)
        if not match:
            return None
        at = _matching(head, match.end() - 1)
        name, inside = match.group(1), head[match.end():at - 1]
        # Attributes may stand before the name; a star behind the parenthesis makes it a pointer's.
        is_macro = name in _NOT_FUNCTIONS or name.isupper()
        if not is_macro and not inside.lstrip().startswith("*") and head[:match.start()].strip():
            line = line_of(code, start + match.start())
            return Function(name, line, count_params(inside), body_lines)


def functions(text):
    """All functions that a file defines or declares at file level."""
    code = without_directives(code_of(text))
    result = []
    at = start = 0
    while at < len(code):
        char = code[at]
        if char == "(":
            at = _matching(code, at)
        elif char == "{":
            end = _matching(code, at)
            lines = code.count("\n", at, end) + 1
            function = _function_of(code, start, at, lines)
            at = end
            if function:
                result.append(function)
                start = at # a struct, an enum or an initialiser goes on to its semicolon
        elif char == ";":
            function = _function_of(code, start, at, None)
            if function:
                result.append(function)
            at += 1
            start = at
        else:
            at += 1
    return result


def report(name, findings):
    """Prints the findings and returns the exit code."""
    for finding in findings:
        print(finding)
    print(f"{name}: {len(findings)} finding(s)")
    return 1 if findings else 0
