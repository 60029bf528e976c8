/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/command.h"

/*
 * Glob patterns of KEYS, SCAN, CONFIG GET and COMMAND LIST with the semantics of redis'
 * stringmatchlen(), its corners included: ranges compare signed bytes, a class that never closes
 * ends with the pattern, and nothing but the empty pattern matches the empty text. Every element
 * but * takes exactly one byte, so going back to the last * alone finds a match if there is one:
 * pattern times text steps at worst, where recursion would be exponential.
 */

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
};

static int fold(uint8_t c, bool nocase)
{
	if (nocase && c >= 'A' && c <= 'Z')
		c |= 0x20;
	return (signed char)c;
}

/*
 * Matches one byte against a class; p stands behind the bracket and is moved to behind the
 * closing one.
 */
static bool match_class(struct cursor *p, uint8_t byte, bool nocase)
{
	const int c = fold(byte, nocase);
	bool negated = p->at < p->end && *p->at == '^';
	bool match = false;

	if (negated)
		p->at++;
	for (;; p->at++) {
		size_t left = (size_t)(p->end - p->at);

		if (left >= 2 && p->at[0] == '\\') {
			p->at++;
			// Redis compares an escaped byte exactly, whatever the case rule.
			match |= p->at[0] == byte;
		} else if (left == 0) {
			break;
		} else if (p->at[0] == ']') {
			p->at++;
			break;
		} else if (left >= 3 && p->at[1] == '-') {
			int a = fold(p->at[0], nocase);
			int b = fold(p->at[2], nocase);

			p->at += 2;
			match |= a <= b ? (c >= a && c <= b) : (c >= b && c <= a);
		} else {
			match |= fold(p->at[0], nocase) == c;
		}
	}
	return match != negated;
}

/* Matches one byte against the element at p and moves p behind it. */
static bool match_one(struct cursor *p, uint8_t byte, bool nocase)
{
	uint8_t element = *p->at++;

	if (element == '?')
		return true;
	if (element == '[')
		return match_class(p, byte, nocase);
	if (element == '\\' && p->at < p->end)
		element = *p->at++;
	return fold(element, nocase) == fold(byte, nocase);
}

bool cmd_glob_match(struct slice pattern, struct slice text, bool nocase)
{
	struct cursor p = {pattern.ptr, pattern.ptr + pattern.len};
	const uint8_t *s = text.ptr;
	const uint8_t *s_end = text.ptr + text.len;
	const uint8_t *star = NULL;   // behind the last *
	const uint8_t *star_s = NULL; // where what is behind it is tried

	if (text.len == 0)
		return pattern.len == 0;
	while (s < s_end) {
		if (p.at < p.end && *p.at == '*') {
			star = ++p.at;
			star_s = s;
		} else if (p.at < p.end && match_one(&p, *s, nocase)) {
			s++;
		} else if (star && star < p.end) {
			p.at = star;
			s = ++star_s;
		} else {
			// A * at the very end takes the rest.
			return star != NULL;
		}
	}
	while (p.at < p.end && *p.at == '*')
		p.at++;
	return p.at == p.end;
}
