#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lints themselves: each must find what it is for, and leave alone what is right."""

import os
import sys
import tempfile
import unittest

import check_banned
import check_headers
import check_layers
import check_registration
import check_style
import check_symbols
import source

SPDX = "/* SPDX-License-Identifier: BSD-3-Clause */\n"


class Tree:
    """Files in a folder of their own: path -> text."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        for path, text in self.files.items():
            full = os.path.join(self.folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        return self.folder.name

    def __exit__(self, *exception):
        self.folder.cleanup()


class SourceTest(unittest.TestCase):
    def test_code_keeps_lines_and_columns(self):
        text = 'a /* b\nc */ d // e\n"f // g" \'"\' h\n'
        code = source.code_of(text)
        self.assertEqual(len(code), len(text))
        self.assertEqual(code.count("\n"), text.count("\n"))
        for char in "adh":
            self.assertEqual(code.index(char), text.index(char))
        for char in "bcefg":
            self.assertNotIn(char, code)

    def test_functions(self):
        text = """
#define NOT_ME(a, b) { \\
	}
struct s { int (*callback)(void *arg, int a, int b); };
static const struct s rows[] = { {0}, };
enum e { A, B };
MUST_USE int declared(int a, void (*f)(int, int), int c);
__attribute__((noreturn, cold)) void with_attribute(const char *a);
ON_WORKER static inline int *
defined(void)
{
	if (x) {
	}
	call(1, 2);
}
int plain(struct s *a, int b) { return 0; }
_Static_assert(sizeof(int) == 4, "text");
"""
        found = [(f.name, f.params, f.body_lines) for f in source.functions(text)]
        self.assertEqual(found, [("declared", 3, None), ("with_attribute", 1, None),
                                 ("defined", 0, 5), ("plain", 2, 1)])


class LayersTest(unittest.TestCase):
    CASES = [
        ("base/a.c", '"base/b.h"', True),
        ("base/a.c", '"nic/flow.h"', False),
        ("nic/ip/a.c", '"nic/port/port.h"', True),
        ("nic/ip/a.c", '"nic/port/port_internal.h"', False),
        ("nic/tcp/a.c", '"nic/flow.h"', True),
        ("nic/tcp/a.c", '"nic/ip/ip.h"', False),
        ("nic/tcp/a.c", '"nic/port/port.h"', False),
        ("dataplane/table/a.c", '"dataplane/command/command.h"', False),
        ("dataplane/command/a.c", '"dataplane/table/table.h"', True),
        ("dataplane/command/a.c", '"dataplane/proto/session.h"', False),
        ("dataplane/proto/resp/a.c", '"dataplane/proto/session.h"', True),
        ("dataplane/proto/resp/a.c", '"dataplane/proto/memcache/mc.h"', False),
        ("dataplane/worker/a.c", '"nic/tcp/tcp.h"', True),
        ("dataplane/worker/a.c", '"nic/tcp/tcp_internal.h"', False),
        ("dataplane/worker/a.c", '"ctrl/config/config.h"', False),
        ("ctrl/admin/a.c", '"dataplane/worker/worker.h"', True),
        ("ctrl/admin/a.c", '"ctrl/config/config.h"', True),
        ("ctrl/admin/a.c", '"ctrl/config/config_table.h"', False),
        ("ctrl/admin/a.c", '"nic/ip/ip.h"', False),
        ("ctrl/main.c", '"nic/ip/ip.h"', True),
        ("tests/unit/a.c", '"nic/tcp/tcp_internal.h"', True),
        ("nic/port/a.c", "<rte_mbuf.h>", True),
        ("nic/ip/a.c", "<rte_mbuf.h>", False),
        ("base/rcu_urcu.c", "<urcu-qsbr.h>", True),
        ("base/rcu.c", "<urcu-qsbr.h>", False),
        ("dataplane/table/a.c", "<jemalloc/jemalloc.h>", True),
        ("ctrl/main.c", "<jemalloc/jemalloc.h>", False),
        ("base/a.c", '"base/missing.h"', False),
    ]

    def test_include(self):
        for path, included, allowed in self.CASES:
            files = {path: f"#include {included}\n"}
            if included[0] == '"' and "missing" not in included:
                files[included.strip('"')] = ""
            with self.subTest(path=path, included=included), Tree(files) as root:
                findings = check_layers.check_file(root, path)
                self.assertEqual(findings == [], allowed, findings)

    def test_comment_is_no_include(self):
        with Tree({"base/a.c": '/*\n#include "nic/flow.h"\n*/\n'}) as root:
            self.assertEqual(check_layers.check(root), [])

    def test_unknown_folder(self):
        with Tree({"misc/a.c": ""}) as root:
            self.assertEqual(len(check_layers.check(root)), 1)


class SymbolsTest(unittest.TestCase):
    def test_prefix(self):
        for folder, member, symbol, allowed in [
                ("nic/tcp", "tcp_input.c.o", "tcp_input", True),
                ("nic/tcp", "tcp_input.c.o", "input", False),
                ("nic/ip", "arp.c.o", "arp_input", True),
                ("nic/ip", "arp.c.o", "port_tx", False),
                ("base", "spsc.c.o", "spsc_push", True),
                ("base", "spsc.c.o", "ring_push", False),
                ("ctrl/config", "config_file.c.o", "config_load", True),
                ("ctrl/config", "config_file.c.o", "load", False),
                ("ctrl", "loop_loop.c.o", "loop_new", True),
                ("ctrl", "loop_loop.c.o", "config_new", False),
                ("ctrl", "main.c.o", "main", True),
                ("nic/tcp", "tcp_input.c.o", "__odr_asan_gen_x", True),
        ]:
            with self.subTest(symbol=symbol, member=member):
                finding = check_symbols.check_symbol(folder, member, symbol)
                self.assertEqual(finding is None, allowed)

    def test_no_library_is_a_finding(self):
        with Tree({}) as root:
            self.assertEqual(len(check_symbols.check(root)), 1)


class BannedTest(unittest.TestCase):
    def assert_findings(self, path, code, count):
        findings = check_banned.check_text(path, "void f(void)\n{\n\t" + code + "\n}\n")
        self.assertEqual(len(findings), count, findings)

    def test_hot_folders(self):
        for code in ["p = malloc(1);", "clock_gettime(0, 0);", "pthread_mutex_lock(&m);",
                     "log_notice(\"x\");", "printf(\"\");", "t = clock_now_ns();",
                     "write(1, 0, 0);"]:
            with self.subTest(code=code):
                self.assert_findings("nic/tcp/tcp_input.c", code, 1)
                self.assert_findings("dataplane/worker/worker_loop.c", code, 1)
                self.assert_findings("ctrl/admin/admin.c", code, 0)

    def test_no_call_of_that_name(self):
        for code in ["arena_malloc(1);", "s->free(p);", "s.write(p);", "/* malloc(1) */",
                     "\"malloc(1)\";", "int free = 1;"]:
            with self.subTest(code=code):
                self.assert_findings("nic/tcp/tcp_input.c", code, 0)

    def test_everywhere(self):
        self.assert_findings("ctrl/main.c", "strcpy(a, b);", 1)
        self.assert_findings("ctrl/main.c", "sprintf(a, b);", 1)

    def test_allowed_file(self):
        self.assert_findings("nic/ip/ip.c", "p = malloc(1);", 0)
        self.assert_findings("nic/ip/ip.c", "p = realloc(p, 1);", 1)

    def test_allowance_for_a_missing_file(self):
        with Tree({}) as root:
            self.assertEqual(len(check_banned.check(root)), len(check_banned.ALLOWED))


class RegistrationTest(unittest.TestCase):
    BUILD = "subdir('sub')\n"

    def findings(self, text, name="sub/test_a.c"):
        with Tree({"meson.build": self.BUILD, "sub/meson.build": text, name: ""}) as root:
            return check_registration.check(root)

    def test_listed(self):
        self.assertEqual(self.findings("files('test_a.c')"), [])
        self.assertEqual(self.findings("foreach n : ['a']\n'test_' + n + '.c'\nendforeach"), [])
        self.assertEqual(self.findings("files('deep/x.c')", "sub/deep/x.c"), [])

    def test_forgotten(self):
        self.assertEqual(len(self.findings("files('test_b.c')")), 1)
        self.assertEqual(len(self.findings("# files('test_a.c')")), 1)
        self.assertEqual(len(self.findings("foreach n : ['b']\n'test_' + n + '.c'\nendforeach")), 1)

    def test_folder_not_entered(self):
        with Tree({"meson.build": "", "sub/meson.build": ""}) as root:
            self.assertEqual(len(check_registration.check(root)), 1)


class HeadersTest(unittest.TestCase):
    def test_header(self):
        with Tree({"base/good.h": "#pragma once\n#include <stdint.h>\nuint8_t base_good(void);\n",
                   "base/bad.h": "#pragma once\nuint8_t base_bad(void);\n"}) as root:
            findings = check_headers.check(root, ["cc"])
            self.assertEqual(len(findings), 1)
            self.assertTrue(findings[0].startswith("base/bad.h"))


class StyleTest(unittest.TestCase):
    def assert_finding(self, part, findings):
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(part, findings[0])

    def test_lines(self):
        for text, part in [("x" * 101 + "\n", "columns"), ("\t" * 12 + "xxxxx\n", "columns"),
                           ("x \n", "blanks"), ("x\r\n", "blanks"), ("        x\n", "tabs"),
                           ("// FIX" "ME\n", "unfinished"), ("// TO" "DO later\n", "issue"),
                           ("x", "line end")]:
            with self.subTest(text=text):
                self.assert_finding(part, check_style.check_lines("base/a.c", text))
        good = "x" * 100 + "\n" + "\t" * 12 + "xxxx\n // TO" "DO(#12): later\n"
        self.assertEqual(check_style.check_lines("base/a.c", good), [])

    def test_marks(self):
        comment = "\n/* Why. */\n\nint f(void)\n{\n}\n"
        self.assertEqual(check_style.check_marks("base/a.c", SPDX + comment), [])
        self.assert_finding("SPDX", check_style.check_marks("base/a.c", "int a;\n" + comment))
        self.assert_finding("what the file is for",
                            check_style.check_marks("base/a.c", SPDX + "int f(void)\n{\n}\n"))
        for text, part in [("#if 0\n#endif\n", "#if 0"), ("typedef struct a b;\n", "typedef"),
                           ("typedef enum {\n\tA,\n} b;\n", "typedef")]:
            self.assert_finding(part, check_style.check_marks("base/a.c", SPDX + text + comment))
        function_type = "typedef struct a *(*b)(int c);\n"
        self.assertEqual(check_style.check_marks("base/a.c", SPDX + function_type + comment), [])
        self.assert_finding("pragma", check_style.check_marks("base/a.h", SPDX))

    def test_functions(self):
        def text(lines, params):
            return ("int f(" + ", ".join(f"int p{i}" for i in range(params)) + ")\n{\n" +
                    "\ta();\n" * (lines - 2) + "}\n")
        self.assertEqual(check_style.check_functions("base/a.c", text(70, 6)), [])
        self.assert_finding("71 lines", check_style.check_functions("base/a.c", text(71, 6)))
        self.assert_finding("7 parameters", check_style.check_functions("base/a.c", text(70, 7)))
        self.assert_finding("801 lines", check_style.check_functions("base/a.c", "int a;\n" * 801))

    def test_own_header_first(self):
        paths = ["base/a.c", "base/a.h"]
        good = '#include "base/a.h"\n\n#include <stdio.h>\n'
        bad = '#include <stdio.h>\n\n#include "base/a.h"\n'
        self.assertEqual(check_style.check_own_header("", "base/a.c", good, paths), [])
        self.assert_finding("own header", check_style.check_own_header("", "base/a.c", bad, paths))

    def test_rows(self):
        good = 'ROW(A, "a", "x")\nROW(B, "b", "x")\nOTHER(A, "a")\n'
        self.assertEqual(check_style.check_rows("a.def", good), [])
        self.assert_finding("line 1", check_style.check_rows("a.def", 'ROW(A, "a")\nROW(A, "b")\n'))
        self.assert_finding("used", check_style.check_rows("a.def", 'ROW(A, "a")\nROW(B, "a")\n'))


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=0).result.wasSuccessful() else 1)
