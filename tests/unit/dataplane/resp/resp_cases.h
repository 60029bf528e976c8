/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

/*
 * What clients may send, and what the parser makes of it: one line per request with its arguments
 * as length:bytes, one per error, and "closed". Shared by the parser's test and the fuzzer's seeds.
 * The texts and the quirks are those of redis 7.0.15.
 */
struct resp_case {
	const char *name;
	struct slice input;
	const char *expected;
};

#define BYTES(text)                                                                                \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
#define PROTOCOL_ERROR(text) "-ERR Protocol error: " text "\nclosed\n"

static const struct resp_case resp_cases[] = {
	{"one word", BYTES("*1\r\n$4\r\nPING\r\n"), "4:PING\n"},
	{"get", BYTES("*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n"),
	 "3:GET 16:0123456789abcdef\n"},
	{"pipeline", BYTES("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n"),
	 "4:PING\n4:ECHO 2:hi\n4:PING\n"},
	{"empty argument", BYTES("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"), "4:ECHO 0:\n"},
	{"empty command", BYTES("*1\r\n$0\r\n\r\n"), "0:\n"},
	{"line ends inside an argument", BYTES("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n"),
	 "4:ECHO 4:\r\n\r\n\n"},
	{"three digits",
	 BYTES("*2\r\n$4\r\nECHO\r\n$101\r\n"
	       "0123456789012345678901234567890123456789012345678901234567890123456789"
	       "0123456789012345678901234567890\r\n"),
	 "4:ECHO 101:0123456789012345678901234567890123456789012345678901234567890123456789"
	 "0123456789012345678901234567890\n"},
	{"twenty arguments",
	 BYTES("*20\r\n$4\r\nMGET\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$"
	       "1\r\n6\r\n$1\r\n7\r\n"
	       "$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$"
	       "1\r\nf\r\n$1\r\ng\r\n"
	       "$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n"),
	 "4:MGET 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 1:a 1:b 1:c 1:d 1:e 1:f 1:g 1:h 1:i 1:j\n"},
	{"no arguments", BYTES("*0\r\nPING\r\n"), "4:PING\n"},
	{"negative count", BYTES("*-1\r\n*-10\r\nPING\r\n"), "4:PING\n"},
	{"any byte for LF", BYTES("*1\rx$4\ryPINGzz*1\r\n$4\r\nPING\r\n"), "4:PING\n4:PING\n"},
	{"count without a number", BYTES("*\r\n"), PROTOCOL_ERROR("invalid multibulk length")},
	{"count of letters", BYTES("*abc\r\n"), PROTOCOL_ERROR("invalid multibulk length")},
	{"count with a plus", BYTES("*+1\r\n$4\r\nPING\r\n"),
	 PROTOCOL_ERROR("invalid multibulk length")},
	{"count with a leading zero", BYTES("*01\r\n$4\r\nPING\r\n"),
	 PROTOCOL_ERROR("invalid multibulk length")},
	{"count with a blank", BYTES("* 1\r\n$4\r\nPING\r\n"),
	 PROTOCOL_ERROR("invalid multibulk length")},
	{"count over the limit", BYTES("*3000000000\r\n"),
	 PROTOCOL_ERROR("invalid multibulk length")},
	{"count over 64 bits", BYTES("*99999999999999999999\r\n"),
	 PROTOCOL_ERROR("invalid multibulk length")},
	{"negative length", BYTES("*1\r\n$-1\r\n"), PROTOCOL_ERROR("invalid bulk length")},
	{"length of letters", BYTES("*1\r\n$x\r\n"), PROTOCOL_ERROR("invalid bulk length")},
	{"length without a number", BYTES("*1\r\n$\r\n"), PROTOCOL_ERROR("invalid bulk length")},
	{"length with a leading zero", BYTES("*1\r\n$04\r\nPING\r\n"),
	 PROTOCOL_ERROR("invalid bulk length")},
	{"length over the limit", BYTES("*2\r\n$3\r\nGET\r\n$536870913\r\n"),
	 PROTOCOL_ERROR("invalid bulk length")},
	{"another type", BYTES("*1\r\n:4\r\nPING\r\n"), PROTOCOL_ERROR("expected '$', got ':'")},
	{"a letter for a type", BYTES("*2\r\n$3\r\nGET\r\nfoo\r\n"),
	 PROTOCOL_ERROR("expected '$', got 'f'")},
	{"nothing for a type", BYTES("*1\r\n\r\n"), PROTOCOL_ERROR("expected '$', got ' '")},
	{"a line end for a type", BYTES("*1\r\n\n\r\n"), PROTOCOL_ERROR("expected '$', got ' '")},
	{"good ones before a bad one", BYTES("*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n+OK\r\nPING\r\n"),
	 "4:PING\n4:PING\n" PROTOCOL_ERROR("expected '$', got '+'")},
	{"inline", BYTES("PING\r\n"), "4:PING\n"},
	{"inline, bare LF", BYTES("PING\nPING\n"), "4:PING\n4:PING\n"},
	{"inline words", BYTES("  SET \t key   value \r\n"), "3:SET 3:key 5:value\n"},
	{"empty lines", BYTES("\r\n\n   \r\n\t\nPING\r\n"), "4:PING\n"},
	{"double quotes", BYTES("SET k \"a b\"\r\n"), "3:SET 1:k 3:a b\n"},
	{"escapes", BYTES("SET k \"\\n\\r\\t\\b\\a\\\\\\\"\\x41\\x4g\\q\"\r\n"),
	 "3:SET 1:k 12:\n\r\t\b\a\\\"Ax4gq\n"},
	{"single quotes", BYTES("SET k 'a \\'b\\' \\n'\r\n"), "3:SET 1:k 8:a 'b' \\n\n"},
	{"quotes within a word", BYTES("SET k a\"b c\"\r\n"), "3:SET 1:k 4:ab c\n"},
	{"empty quotes", BYTES("SET \"\" ''\r\n"), "3:SET 0: 0:\n"},
	{"quotes alone", BYTES("\"\"\r\n"), "0:\n"},
	{"other blanks", BYTES("SET\v k\f \v v\r\n"), "4:SET\v 2:k\f 1:v\n"},
	{"quote without an end", BYTES("SET k \"v\r\n"),
	 PROTOCOL_ERROR("unbalanced quotes in request")},
	{"single quote without an end", BYTES("SET k 'v\r\n"),
	 PROTOCOL_ERROR("unbalanced quotes in request")},
	{"escape without an end", BYTES("SET k \"v\\\r\n"),
	 PROTOCOL_ERROR("unbalanced quotes in request")},
	{"quote within a quoted word", BYTES("SET k \"a\"b\r\n"),
	 PROTOCOL_ERROR("unbalanced quotes in request")},
	{"several CR", BYTES("PING\r\r\n"), "4:PING\n"},
	{"NUL hides the line end", BYTES("PI\0NG\r\nPING\r\n"), ""},
	{"NUL for a type", BYTES("*1\r\n\0004\r\nPING\r\n"), ""},
	{"NUL in a length", BYTES("*1\r\n$\0004\r\nPING\r\n"), ""},
	{"incomplete", BYTES("*2\r\n$4\r\nECHO\r\n$5\r\nhell"), ""},
	{"incomplete line", BYTES("PING"), ""},
};

#undef PROTOCOL_ERROR
