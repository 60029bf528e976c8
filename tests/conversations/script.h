/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp_options.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Conversations as text, in the way of packetdrill. A file is a list of cases and of definitions:
 *
 *     define established
 *         < S 0 mss 1460; > S. 0 ack 1; < . 1 ack 1
 *
 *     case RFC 5961 3.2: a RST inside the window is challenged
 *         established
 *         < R 2; > . 1 ack 1; state established
 *
 * Steps end at a line's end or at ';', and "# " begins a comment. A definition's name as a step
 * stands for its steps. Numbers are relative: the peer's first byte is 1 and so is ours.
 *
 *   < FLAGS SEQ[:LEN] [ack N] [win N] [OPTION...]   the peer sends; "<<": and more in this burst
 *   > FLAGS SEQ[:LEN[xN]] [ack N] [win N] [OPTION...]  the stack has sent this, N times one after
 *                                                 the other; "?": any FLAGS
 *   +MS              time passes
 *   anything else    a word of converse.c, with numbers
 *
 * FLAGS are letters of SFRPUEW and '.' for ACK, or '-' for none; PSH is not compared. Options:
 * mss N, wscale N, sackok, ts VAL ECR, sack A-B[,A-B...], nosack (expected to be absent), raw HEX.
 * The peer may echo "last", our latest TSval, or "kept", what the word keep has put by.
 * What the stack sends and no step expects fails the case.
 */
#define SCRIPT_STEPS_MAX 256
#define SCRIPT_WORDS_MAX 24

struct script_step {
	uint32_t line;
	uint32_t count;
	char *words[SCRIPT_WORDS_MAX];
};

enum script_echo {
	SCRIPT_ECHO_NUMBER,
	SCRIPT_ECHO_LAST,
	SCRIPT_ECHO_KEPT,
};

struct script_segment {
	bool any_flags, has_ack, has_win, no_sack;
	uint8_t flags;
	uint32_t seq, len, times, ack, win;
	struct tcp_options options;
	enum script_echo echo;
	uint8_t raw[40];
	uint32_t raw_len;
};

struct script_case {
	char *title;
	uint32_t line;
	uint32_t count;
	struct script_step steps[SCRIPT_STEPS_MAX];
};

struct script;

/* Ends the program, with a message, when the file cannot be read or is no script. */
struct script *script_open(const char *path);
void script_close(struct script *script);

/* The next case; false at the end. */
bool script_next(struct script *script, struct script_case *one);

/* NULL, or what is wrong with the step. */
const char *script_segment(const struct script_step *step, struct script_segment *segment);
