/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdbool.h>

/*
 * What clients may send over an empty keyspace and what is answered, whole conversations that the
 * parser's test cuts everywhere; they seed the fuzzer too. The texts and the quirks are those of
 * memcached 1.6.18.
 */
struct mc_case {
	const char *name;
	struct slice input;
	struct slice reply;
	bool closes;
};

#define BYTES(text)                                                                                \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}

#define KEY_50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50

#define ERROR      "ERROR\r\n"
#define STORED     "STORED\r\n"
#define NOT_STORED "NOT_STORED\r\n"
#define NOT_FOUND  "NOT_FOUND\r\n"
#define DELETED    "DELETED\r\n"
#define TOUCHED    "TOUCHED\r\n"
#define END        "END\r\n"
#define BAD_LINE   "CLIENT_ERROR bad command line format\r\n"
#define BAD_CHUNK  "CLIENT_ERROR bad data chunk\r\n"
#define BAD_TIME   "CLIENT_ERROR invalid exptime argument\r\n"
#define BAD_DELTA  "CLIENT_ERROR invalid numeric delta argument\r\n"
#define BAD_DELETE "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
#define NO_NUMBER  "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"

static const struct mc_case mc_cases[] = {
	// Storage.
	{"set and get", BYTES("set a 5 0 3\r\nxyz\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 5 3\r\nxyz\r\n" END)},
	{"empty value", BYTES("set a 0 0 0\r\n\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 0 0\r\n\r\n" END)},
	{"line ends in the value", BYTES("set a 0 0 4\r\n\r\n\r\n\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 0 4\r\n\r\n\r\n\r\n" END)},
	{"command with a bare LF", BYTES("set a 0 0 1\nx\r\nget a\n"),
	 BYTES(STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"data block with a bare LF", BYTES("set a 0 0 1\r\nx\nget a\r\n"),
	 BYTES(BAD_CHUNK "ERROR\r\n")},
	{"blanks everywhere", BYTES("  set   a  7  0  1  \r\nx\r\n  get   a  \r\n"),
	 BYTES(STORED "VALUE a 7 1\r\nx\r\n" END)},
	{"largest flags", BYTES("set a 4294967295 0 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 4294967295 1\r\nx\r\n" END)},
	{"flags are cut to 32 bits", BYTES("set a 4294967297 0 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 1 1\r\nx\r\n" END)},
	{"flags end at a tab", BYTES("set a 1\tz 0 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 1 1\r\nx\r\n" END)},
	{"a NUL ends the line", BYTES("get a\0b c\r\nset a 0 0 1\0 zzz\r\nx\r\nget a\r\n"),
	 BYTES(END STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"negative flags", BYTES("set a -1 0 1\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"flags no number", BYTES("set a x 0 1\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"exptime no number", BYTES("set a 0 x 1\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"negative length", BYTES("set a 0 0 -1\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"length above 2^31 - 3", BYTES("set a 0 0 2147483646\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"key of 250 bytes", BYTES("set " KEY_250 " 0 0 1\r\nx\r\nget " KEY_250 "\r\n"),
	 BYTES(STORED "VALUE " KEY_250 " 0 1\r\nx\r\n" END)},
	{"key of 251 bytes", BYTES("set " KEY_250 "k 0 0 1\r\nx\r\nversion\r\n"),
	 BYTES(BAD_LINE ERROR "VERSION 1.6.18\r\n")},
	{"too few words", BYTES("set a 0 0\r\nset\r\n"), BYTES(ERROR ERROR)},
	{"too many words", BYTES("set a 0 0 1 2 3\r\nx\r\n"), BYTES(ERROR ERROR)},
	{"sixth word is not looked at", BYTES("set a 0 0 1 z\r\nx\r\n"), BYTES(STORED)},
	{"set noreply", BYTES("set a 0 0 1 noreply\r\nx\r\nget a\r\n"),
	 BYTES("VALUE a 0 1\r\nx\r\n" END)},
	{"noreply silences errors",
	 BYTES("set a 0 0 -1 noreply\r\nset a x 0 1 noreply\r\nversion\r\n"),
	 BYTES("VERSION 1.6.18\r\n")},
	{"data block too long", BYTES("set a 0 0 1\r\nxyz\r\nget a\r\n"),
	 BYTES(BAD_CHUNK "ERROR\r\n" END)},
	{"data block too short", BYTES("set a 0 0 9\r\nx\r\nget a\r\nget a\r\n"),
	 BYTES(BAD_CHUNK ERROR)},
	{"bad data block, noreply", BYTES("set a 0 0 1 noreply\r\nxy\r\nget a\r\n"),
	 BYTES(ERROR END)},
	{"add", BYTES("add a 0 0 1\r\nx\r\nadd a 0 0 1\r\ny\r\nget a\r\n"),
	 BYTES(STORED NOT_STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"replace",
	 BYTES("replace a 0 0 1\r\nx\r\nset a 0 0 1\r\nx\r\nreplace a 9 0 1\r\ny\r\nget a\r\n"),
	 BYTES(NOT_STORED STORED STORED "VALUE a 9 1\r\ny\r\n" END)},
	{"append keeps the flags",
	 BYTES("append a 0 0 1\r\nx\r\nset a 3 0 1\r\nb\r\nappend a 7 -1 1\r\nc\r\n"
	       "prepend a 7 -1 1\r\na\r\nget a\r\n"),
	 BYTES(NOT_STORED STORED STORED STORED "VALUE a 3 3\r\nabc\r\n" END)},
	{"prepend to nothing", BYTES("prepend a 0 0 1\r\nx\r\n"), BYTES(NOT_STORED)},
	{"cas on nothing", BYTES("cas a 0 0 1 5\r\nx\r\n"), BYTES(NOT_FOUND)},
	{"cas that differs", BYTES("set a 0 0 1\r\nx\r\ncas a 0 0 1 0\r\ny\r\nget a\r\n"),
	 BYTES(STORED "EXISTS\r\nVALUE a 0 1\r\nx\r\n" END)},
	{"cas without a unique", BYTES("cas a 0 0 1\r\nx\r\n"), BYTES(ERROR ERROR)},
	{"cas no number", BYTES("cas a 0 0 1 x\r\nx\r\n"), BYTES(BAD_LINE ERROR)},
	{"cas noreply", BYTES("cas a 0 0 1 5 noreply\r\nx\r\nversion\r\n"),
	 BYTES("VERSION 1.6.18\r\n")},
	{"expired at once", BYTES("set a 0 -1 1\r\nx\r\nget a\r\n"), BYTES(STORED END)},
	{"a time in the past", BYTES("set a 0 2592001 1\r\nx\r\nget a\r\n"), BYTES(STORED END)},
	{"thirty days", BYTES("set a 0 2592000 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"a time in the future", BYTES("set a 0 2147483647 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"a time beyond 2^31 is negative", BYTES("set a 0 2147483648 1\r\nx\r\nget a\r\n"),
	 BYTES(STORED END)},

	// Reading.
	{"get without a key", BYTES("get\r\nget \r\ngets\r\n"), BYTES(ERROR ERROR ERROR)},
	{"get keeps the order", BYTES("set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\nget b x a b\r\n"),
	 BYTES(STORED STORED "VALUE b 0 1\r\n2\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\n" END)},
	{"get of more than 24 keys",
	 BYTES("set a 0 0 1\r\nx\r\nget 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 "
	       "20 21 22 23 24 25 26 27 28 29 30 a\r\n"),
	 BYTES(STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"get with a key too long", BYTES("set a 0 0 1\r\nx\r\nget a " KEY_250 "k\r\n"),
	 BYTES(STORED BAD_LINE)},
	{"bget", BYTES("set a 0 0 1\r\nx\r\nbget a\r\n"), BYTES(STORED "VALUE a 0 1\r\nx\r\n" END)},
	{"command words are lower case", BYTES("GET a\r\nSet a 0 0 1\r\nx\r\n"),
	 BYTES(ERROR ERROR ERROR)},
	{"gat", BYTES("set a 2 0 1\r\nx\r\ngat 10 a b\r\ngat -1 a\r\nget a\r\n"),
	 BYTES(STORED "VALUE a 2 1\r\nx\r\n" END "VALUE a 2 1\r\nx\r\n" END END)},
	{"gat without a key", BYTES("gat\r\ngat 10\r\ngats 10\r\n"), BYTES(ERROR END END)},
	{"gat with a bad time", BYTES("gat a b\r\n"), BYTES(BAD_TIME)},
	{"touch", BYTES("touch a 0\r\nset a 0 0 1\r\nx\r\ntouch a 0\r\ntouch a -1\r\nget a\r\n"),
	 BYTES(NOT_FOUND STORED TOUCHED TOUCHED END)},
	{"touch with a bad time", BYTES("touch a\r\ntouch a x\r\ntouch a 1 2 3\r\n"),
	 BYTES(ERROR BAD_TIME ERROR)},
	{"touch noreply", BYTES("touch a 0 noreply\r\ntouch a noreply\r\nversion\r\n"),
	 BYTES("VERSION 1.6.18\r\n")},

	// Deletion and counters.
	{"delete", BYTES("delete a\r\nset a 0 0 1\r\nx\r\ndelete a\r\nget a\r\n"),
	 BYTES(NOT_FOUND STORED DELETED END)},
	{"delete with a zero", BYTES("set a 0 0 1\r\nx\r\ndelete a 0\r\n"), BYTES(STORED DELETED)},
	{"delete with a time", BYTES("delete a 1\r\ndelete a 0 1\r\n"),
	 BYTES(BAD_DELETE BAD_DELETE)},
	{"delete noreply",
	 BYTES("set a 0 0 1\r\nx\r\ndelete a noreply\r\ndelete a 0 noreply\r\n"
	       "delete a 1 noreply\r\nget a\r\n"),
	 BYTES(STORED END)},
	{"delete words", BYTES("delete\r\ndelete a b c d\r\ndelete " KEY_250 "k\r\n"),
	 BYTES(ERROR ERROR BAD_LINE)},
	{"incr and decr",
	 BYTES("incr n 1\r\nset n 5 0 2\r\n10\r\nincr n 5\r\ndecr n 6\r\ndecr n 100\r\nget n\r\n"),
	 BYTES(NOT_FOUND STORED "15\r\n9\r\n0\r\nVALUE n 5 2\r\n0 \r\n" END)},
	{"incr grows the value", BYTES("set n 0 0 2\r\n99\r\nincr n 1\r\nget n\r\n"),
	 BYTES(STORED "100\r\nVALUE n 0 3\r\n100\r\n" END)},
	{"incr wraps", BYTES("set n 0 0 20\r\n18446744073709551615\r\nincr n 2\r\nget n\r\n"),
	 BYTES(STORED "1\r\nVALUE n 0 20\r\n1                   \r\n" END)},
	{"a number behind which something stands",
	 BYTES("set n 0 0 5\r\n5 foo\r\nincr n 1\r\nget n\r\n"),
	 BYTES(STORED "6\r\nVALUE n 0 5\r\n6    \r\n" END)},
	{"no number",
	 BYTES("set n 0 0 1\r\nx\r\nincr n 1\r\nset n 0 0 0\r\n\r\ndecr n 1\r\nset n 0 0 "
	       "2\r\n-1\r\n"
	       "incr n 1\r\nset n 0 0 20\r\n18446744073709551616\r\nincr n 1\r\n"),
	 BYTES(STORED NO_NUMBER STORED NO_NUMBER STORED NO_NUMBER STORED NO_NUMBER)},
	{"bad delta",
	 BYTES("incr n x\r\nincr n -1\r\nincr n 18446744073709551616\r\ndecr n\r\nincr n 1 2 "
	       "3\r\n"),
	 BYTES(BAD_DELTA BAD_DELTA BAD_DELTA ERROR ERROR)},
	{"incr noreply",
	 BYTES("set n 0 0 1\r\n1\r\nincr n 1 noreply\r\nincr n x noreply\r\nget n\r\n"),
	 BYTES(STORED "VALUE n 0 1\r\n2\r\n" END)},

	// Meta commands.
	{"mg hit and miss",
	 BYTES("mg a v\r\nset a 5 0 3\r\nxyz\r\nmg a\r\nmg a v\r\n"
	       "mg a s v t f k Oq1 h\r\n"),
	 BYTES("EN\r\nSTORED\r\nHD\r\nVA 3\r\nxyz\r\nVA 3 s3 t-1 f5 ka Oq1 h1\r\n"
	       "xyz\r\n")},
	{"mg asks for nothing it can tell", BYTES("set a 0 0 1\r\nx\r\nmg a u P1 L2 R0\r\n"),
	 BYTES("STORED\r\nHD\r\n")},
	{"mg answers options in their order",
	 BYTES("set a 7 0 2\r\nxy\r\nmg a k f s Oo t v\r\nmg a v t Oo s f k\r\n"),
	 BYTES("STORED\r\nVA 2 ka f7 s2 Oo t-1\r\nxy\r\nVA 2 t-1 Oo s2 f7 ka\r\nxy\r\n")},
	{"mg q hides a miss only", BYTES("mg a q v\r\nset a 0 0 1\r\nx\r\nmg a q v\r\nmn\r\n"),
	 BYTES("STORED\r\nVA 1\r\nx\r\nMN\r\n")},
	{"mg of a miss tells key and opaque", BYTES("mg a v s t f c Oxyz k\r\n"),
	 BYTES("EN Oxyz ka\r\n")},
	{"mg h: read before",
	 BYTES("set a 0 0 1\r\nx\r\nmg a h u\r\nmg a h\r\nmg a h\r\nset b 0 0 1\r\n"
	       "y\r\nget b\r\nmg b h\r\n"),
	 BYTES("STORED\r\nHD h0\r\nHD h0\r\nHD h1\r\nSTORED\r\nVALUE b 0 1\r\ny\r\n"
	       "END\r\nHD h1\r\n")},
	{"mg N makes one winner",
	 BYTES("mg a N30 v t\r\nmg a N30 v t\r\nmg a N30 v t\r\nms a 2\r\nok\r\n"
	       "mg a N30 v\r\n"),
	 BYTES("VA 0 t30 W\r\n\r\nVA 0 t30 Z\r\n\r\nVA 0 t30 Z\r\n\r\nHD\r\nVA 2\r\n"
	       "ok\r\n")},
	{"mg N and T in their order",
	 BYTES("mg a N30 T90 t\r\nmg a t\r\nmg b T90 N30 t\r\nmg b t\r\n"
	       "mg c t N30 t\r\n"),
	 BYTES("HD t90 W\r\nHD t90 Z\r\nHD t30 W\r\nHD t30 Z\r\n"
	       "CLIENT_ERROR duplicate flag\r\n")},
	{"mg R makes one winner",
	 BYTES("set a 0 20 1\r\nx\r\nmg a R10 v\r\nmg a R30 v\r\nmg a R30 v\r\n"
	       "set b 0 0 1\r\ny\r\nmg b R30\r\n"),
	 BYTES("STORED\r\nVA 1\r\nx\r\nVA 1 W\r\nx\r\nVA 1 Z\r\nx\r\nSTORED\r\nHD\r\n")},
	{"md I: stale, and one winner",
	 BYTES("set a 0 0 1\r\nx\r\nmd a I T30 k\r\nmg a v t\r\nmg a v\r\nms a 1\r\n"
	       "y\r\nmg a v t\r\n"),
	 BYTES("STORED\r\nHD ka\r\nVA 1 t30 X W\r\nx\r\nVA 1 Z X\r\nx\r\nHD\r\n"
	       "VA 1 t-1\r\ny\r\n")},
	{"md",
	 BYTES("md a\r\nset a 0 0 1\r\nx\r\nmd a q\r\nmd a q\r\nset a 0 0 1\r\nx\r\n"
	       "md a Oo k\r\nget a\r\n"),
	 BYTES("NF\r\nSTORED\r\nNF\r\nSTORED\r\nHD Oo ka\r\nEND\r\n")},
	{"md with a unique of nobody",
	 BYTES("set a 0 0 1\r\nx\r\nmd a C1 k\r\nmd a C0\r\nget a\r\nmd b C1\r\n"),
	 BYTES("STORED\r\nEX ka\r\nEX\r\nVALUE a 0 1\r\nx\r\nEND\r\nNF\r\n")},
	{"ms",
	 BYTES("ms a 2\r\nhi\r\nms a 3 T0 F5 k Oo\r\nabc\r\nget a\r\nms a 1 q\r\nz\r\n"
	       "mn\r\nget a\r\n"),
	 BYTES("HD\r\nHD ka Oo\r\nVALUE a 5 3\r\nabc\r\nEND\r\nMN\r\nVALUE a 0 1\r\n"
	       "z\r\nEND\r\n")},
	{"ms modes",
	 BYTES("ms a 1 MR\r\nx\r\nms a 1 MA\r\nx\r\nms a 1 MP\r\nx\r\nms a 1 ME\r\n"
	       "x\r\nms a 1 ME\r\ny\r\nms a 1 MA\r\ny\r\nms a 1 MP\r\nz\r\nget a\r\n"
	       "ms a 1 MS\r\nq\r\nms a 1 MR\r\nw\r\nget a\r\n"),
	 BYTES("NS\r\nNS\r\nNS\r\nHD\r\nNS\r\nHD\r\nHD\r\nVALUE a 0 3\r\nzxy\r\n"
	       "END\r\nHD\r\nHD\r\nVALUE a 0 1\r\nw\r\nEND\r\n")},
	{"ms with a unique of nobody",
	 BYTES("ms a 1 C5 k\r\nx\r\nset a 0 0 1\r\nx\r\nms a 1 C1 c\r\ny\r\n"
	       "ms a 1 MA C1\r\ny\r\nms a 1 C0\r\ny\r\nms a 1 MA C0\r\ny\r\nget a\r\n"),
	 BYTES("NF ka\r\nSTORED\r\nEX c0\r\nEX\r\nEX\r\nHD\r\nVALUE a 0 2\r\nxy\r\n"
	       "END\r\n")},
	{"ms with a negative time is gone", BYTES("ms a 1 T-1\r\nx\r\nmg a\r\n"),
	 BYTES("HD\r\nEN\r\n")},
	{"ms that is refused drops its block",
	 BYTES("ms a 3 F\r\nabc\r\nms a 3 !\r\nabc\r\nms a 3 T T\r\nabc\r\n"
	       "ms a 3 MX\r\nabc\r\nms a 3 MSS\r\nabc\r\nms a 3 Cx\r\nabc\r\n"
	       "ms a 3 Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nabc\r\nmn\r\n"),
	 BYTES("CLIENT_ERROR bad command line format\r\nCLIENT_ERROR invalid flag\r\n"
	       "CLIENT_ERROR duplicate flag\r\n"
	       "CLIENT_ERROR invalid mode for ms M token\r\n"
	       "CLIENT_ERROR incorrect length for M token\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR opaque token too long\r\nMN\r\n")},
	{"ms whose length is none reads commands",
	 BYTES("ms a\r\nms a x\r\nms a -1\r\nms a 2147483647\r\nmn\r\n"),
	 BYTES("CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\nMN\r\n")},
	{"ms with a bad block", BYTES("ms a 1 q\r\nxyz\r\nmn\r\n"),
	 BYTES("CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n")},
	{"ms and md in base64",
	 BYTES("ms QmluYXJ5IGtleQ== 1 b k\r\nx\r\nmg QmluYXJ5IGtleQ== b k v\r\n"
	       "md QmluYXJ5IGtleQ== k b\r\nmg QmluYXJ5IGtleQ== k b\r\n"),
	 BYTES("HD kQmluYXJ5IGtleQ== b\r\nVA 1 kQmluYXJ5IGtleQ== b\r\nx\r\n"
	       "HD kQmluYXJ5IGtleQ== b\r\nEN kQmluYXJ5IGtleQ== b\r\n")},
	{"base64 that is none",
	 BYTES("mg * b\r\nmg QQ b\r\nmg ==== b\r\nms QQ 1 b\r\nx\r\nmd QQ b\r\n"
	       "ma QQ b\r\nme QQ b\r\nmn\r\n"),
	 BYTES("CLIENT_ERROR error decoding key\r\nCLIENT_ERROR error decoding key\r\n"
	       "CLIENT_ERROR error decoding key\r\nCLIENT_ERROR error decoding key\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR bad command line format\r\nMN\r\n")},
	{"base64 with bytes between", BYTES("ms Q.Q== 1 b k\r\nx\r\nmg QQ== b k v\r\n"),
	 BYTES("HD kQQ== b\r\nVA 1 kQQ== b\r\nx\r\n")},
	{"ma",
	 BYTES("ma a\r\nms a 1\r\n5\r\nma a v\r\nma a v MD D10\r\nma a v M+ D99\r\n"
	       "ma a v M- D9 k Oo t\r\nma a q\r\nma a v\r\n"),
	 BYTES("NF\r\nHD\r\nVA 1\r\n6\r\nVA 1\r\n0\r\nVA 2\r\n99\r\nVA 2 ka Oo t-1\r\n"
	       "90\r\nVA 2\r\n92\r\n")},
	{"ma N makes a counter",
	 BYTES("ma a N0 J13 v\r\nma a N0 J13 v\r\nma b N30 v t k\r\nma c q N0\r\n"),
	 BYTES("VA 2\r\n13\r\nVA 2\r\n14\r\nVA 1 t30 kb\r\n0\r\nHD\r\n")},
	{"ma of no number", BYTES("ms a 1\r\nx\r\nma a\r\nma a q\r\nms b 0\r\n\r\nma b\r\n"),
	 BYTES("HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	       "CLIENT_ERROR cannot increment or decrement non-numeric value\r\nHD\r\n"
	       "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")},
	{"ma with bad options",
	 BYTES("ma a MX\r\nma a D\r\nma a Dx\r\nma a Jx\r\nma a ! \r\nma a M\r\n"
	       "ma a C1\r\nset a 0 0 1\r\n1\r\nma a C1 k\r\n"),
	 BYTES("CLIENT_ERROR invalid mode for ma M token\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\nNF\r\nSTORED\r\nEX ka\r\n")},
	{"me of a miss", BYTES("me a\r\nme\r\nme a b\r\nme " KEY_250 "k\r\n"),
	 BYTES("EN\r\nCLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n")},
	{"meta without a key", BYTES("mg\r\nms\r\nmd\r\nma\r\nmg \r\n"),
	 BYTES("ERROR\r\nERROR\r\nERROR\r\nERROR\r\nERROR\r\n")},
	{"meta keys that are too long",
	 BYTES("mg " KEY_250 "k\r\nms " KEY_250 "k 1\r\nmd " KEY_250 "k\r\n"
	       "ma " KEY_250 "k\r\nmn\r\n"),
	 BYTES("CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\nMN\r\n")},
	{"meta options too many, twice, unknown",
	 BYTES("mg a k k\r\nmg a ! k\r\nmd a k k\r\nma a k k\r\n"
	       "mg a s t f v h l u MI k O P L R0 F0 D1 J1 C1\r\n"
	       "mg a s t f v h l u MI k O P L R0 F0 D1 J1 C1 I\r\n"
	       "md a s t f v h l u MI k O P L R0 F0 D1 J1 C1 I\r\n"),
	 BYTES("CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR invalid flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\n"
	       "CLIENT_ERROR invalid or duplicate flag\r\nEN ka O\r\n"
	       "CLIENT_ERROR options flags are too long\r\n"
	       "CLIENT_ERROR options flags too long\r\n")},
	{"meta tokens that are no numbers",
	 BYTES("mg a Tx\r\nmg a N\r\nmg a R1x\r\nmg a T\r\nmg a Fx\r\nmg a Tx Fx\r\n"
	       "mg a Fx Tx\r\n"),
	 BYTES("CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR bad command line format\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n"
	       "CLIENT_ERROR bad token in command line format\r\n")},
	{"meta opaque of 31 bytes and 32",
	 BYTES("mg a Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	       "mg a Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	       "md a Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	       "ma a Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	 BYTES("EN Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	       "CLIENT_ERROR opaque token too long\r\n"
	       "CLIENT_ERROR opaque token too long\r\n"
	       "CLIENT_ERROR opaque token too long\r\n")},
	{"meta blanks", BYTES("  ms   a   1   T0  \r\nx\r\n mg  a  v  k \r\n"),
	 BYTES("HD\r\nVA 1 ka\r\nx\r\n")},

	// What memcached has for its LRUs.
	{"lru_crawler",
	 BYTES("lru_crawler\r\nlru_crawler enable\r\nlru_crawler disable x\r\n"
	       "lru_crawler crawl x\r\n"
	       "lru_crawler tocrawl 7\r\nlru_crawler tocrawl x\r\n"
	       "lru_crawler sleep 100\r\nlru_crawler sleep 1000001\r\n"
	       "lru_crawler nonsense\r\nlru_crawler nonsense 1\r\n"),
	 BYTES("ERROR\r\nOK\r\nERROR\r\nBADCLASS invalid class id\r\n"
	       "OK\r\n"
	       "CLIENT_ERROR bad command line format\r\nOK\r\n"
	       "CLIENT_ERROR sleep must be one second or less\r\nERROR\r\nERROR\r\n")},
	{"slabs",
	 BYTES("slabs\r\nslabs reassign\r\nslabs reassign x 1\r\n"
	       "slabs nonsense 1 2\r\n"),
	 BYTES("ERROR\r\nERROR\r\nCLIENT_ERROR bad command line format\r\nERROR\r\n")},
	{"lru",
	 BYTES("lru\r\nlru tune 10 25 0.1 2.0\r\nlru tune 50 50 0.1 2.0\r\n"
	       "lru tune x 50 0.1 2.0\r\nlru tune 1 2 3\r\nlru nonsense\r\n"),
	 BYTES("ERROR\r\nOK\r\nERROR hot and warm pcts must not exceed 80\r\nERROR\r\n"
	       "ERROR\r\nERROR\r\n")},
	{"dumps",
	 BYTES("lru_crawler metadump x\r\nset a 0 0 1\r\nx\r\nlru_crawler mgdump all\r\n"
	       "delete a\r\nlru_crawler metadump all\r\nlru_crawler mgdump hash\r\nmn\r\n"),
	 BYTES("BADCLASS invalid class id\r\n" STORED "mg a\r\nEN\r\n" DELETED END "EN\r\nMN\r\n")},

	// ElastiCache's Auto Discovery.
	{"no node list", BYTES("config get cluster\r\nget AmazonElastiCache:cluster\r\n"),
	 BYTES(END END)},
	{"node list",
	 BYTES("config set cluster 0 21\r\n2\na|1.2.3.4|11211 b|\n\r\nconfig get cluster\r\n"
	       "get AmazonElastiCache:cluster\r\n"),
	 BYTES(STORED "CONFIG cluster 0 21\r\n2\na|1.2.3.4|11211 b|\n\r\n" END
		      "VALUE AmazonElastiCache:cluster 0 21\r\n2\na|1.2.3.4|11211 b|\n\r\n" END)},
	{"node list without a word",
	 BYTES("config set cluster 5 1 noreply\r\nx\r\nconfig get cluster\r\n"),
	 BYTES("CONFIG cluster 5 1\r\nx\r\n" END)},
	{"node list taken away",
	 BYTES("config delete cluster\r\nconfig set cluster 0 1\r\nx\r\nconfig delete cluster\r\n"
	       "config get cluster\r\nconfig delete x\r\nconfig delete\r\n"),
	 BYTES("NOT_FOUND\r\n" STORED DELETED END "NOT_FOUND\r\n" ERROR)},
	{"config of nothing we know",
	 BYTES("config\r\nconfig get\r\nconfig get x\r\nconfig set x 0 1\r\n"
	       "config set cluster x 1\r\nconfig set cluster 0 -1\r\nconfig get cluster x\r\n"),
	 BYTES(ERROR ERROR END BAD_LINE BAD_LINE BAD_LINE ERROR)},

	// The rest.
	{"flush_all",
	 BYTES("set a 0 0 1\r\nx\r\nflush_all\r\nget a\r\nset a 0 0 1\r\ny\r\nget a\r\n"),
	 BYTES(STORED "OK\r\n" END STORED "VALUE a 0 1\r\ny\r\n" END)},
	{"flush_all arguments",
	 BYTES("flush_all 0\r\nflush_all -5\r\nflush_all x\r\nflush_all 1 2 3\r\n"
	       "flush_all noreply\r\nflush_all noreply noreply\r\nflush_all 0 noreply\r\n"),
	 BYTES("OK\r\nOK\r\n" BAD_TIME ERROR)},
	{"verbosity",
	 BYTES("verbosity\r\nverbosity 1\r\nverbosity x\r\nverbosity noreply\r\nverbosity 1 "
	       "noreply\r\n"
	       "verbosity 1 2\r\nverbosity 1 2 3\r\n"),
	 BYTES(ERROR "OK\r\n" BAD_LINE "OK\r\n" ERROR)},
	{"version takes anything", BYTES("version\r\nversion x y\r\n"),
	 BYTES("VERSION 1.6.18\r\nVERSION 1.6.18\r\n")},
	{"mn", BYTES("mn\r\nmn x\r\nmz\r\n"), BYTES("MN\r\nMN\r\n" ERROR)},
	{"no command", BYTES("\r\n\n \r\na\r\nfoo bar\r\n"), BYTES(ERROR ERROR ERROR ERROR ERROR)},
	{"shutdown", BYTES("shutdown\r\n"), BYTES("ERROR: shutdown not enabled\r\n")},
	{"stats of nothing we know",
	 BYTES("stats x\r\nstats reset\r\nstats detail on\r\nstats detail\r\nstats conns\r\n"),
	 BYTES(ERROR "RESET\r\nOK\r\nCLIENT_ERROR usage: stats detail on|off|dump\r\n" END)},
	{"quit", BYTES("version\r\nquit\r\nversion\r\n"), BYTES("VERSION 1.6.18\r\n"), true},
	{"quit with a word", BYTES("quit now\r\n"), BYTES(""), true},
	{"a browser", BYTES("GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"), BYTES(""), true},
};

#undef ERROR
#undef END
