/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conversations/script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads conversations; converse.c holds them. */

#define DEFINITIONS_MAX 64
#define NAME_MAX_BYTES  64

struct definition {
	char name[NAME_MAX_BYTES];
	struct script_case body;
};

struct script {
	char *text;
	char *at;
	const char *path;
	uint32_t line;
	uint32_t definitions_count;
	struct definition definitions[DEFINITIONS_MAX];
};

static void fail(const struct script *s, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", s->path, s->line, what);
	exit(2);
}

struct script *script_open(const char *path)
{
	struct script *s = calloc(1, sizeof(*s));
	FILE *file = fopen(path, "r");
	long size;

	if (!s || !file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(2);
	}
	rewind(file);
	s->path = path;
	s->text = s->at = calloc(1, (size_t)size + 1);
	if (!s->text || fread(s->text, 1, (size_t)size, file) != (size_t)size)
		fail(s, "cannot be read");
	fclose(file);
	return s;
}

void script_close(struct script *s)
{
	free(s->text);
	free(s);
}

/* The next line, ended; NULL at the end. */
static char *next_line(struct script *s)
{
	char *line = s->at;
	char *comment;

	if (*line == '\0')
		return NULL;
	s->at = line + strcspn(line, "\n");
	if (*s->at == '\n')
		*s->at++ = '\0';
	s->line++;
	// Titles name bugs by their numbers, so only a '#' that stands alone begins a comment.
	comment = strstr(line, "# ");
	if (comment && (comment == line || isspace((unsigned char)comment[-1])))
		*comment = '\0';
	return line;
}

static bool is_blank(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

static const struct definition *defined(const struct script *s, const char *name)
{
	for (uint32_t i = 0; i < s->definitions_count; i++)
		if (strcmp(s->definitions[i].name, name) == 0)
			return &s->definitions[i];
	return NULL;
}

static void add_step(struct script *s, struct script_case *one, char *text)
{
	struct script_step step = {.line = s->line};
	const struct definition *d;

	for (char *save, *word = strtok_r(text, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		if (step.count == SCRIPT_WORDS_MAX)
			fail(s, "too many words");
		step.words[step.count++] = word;
	}
	if (step.count == 0)
		return;
	d = step.count == 1 ? defined(s, step.words[0]) : NULL;
	for (uint32_t i = 0; i < (d ? d->body.count : 1); i++) {
		if (one->count == SCRIPT_STEPS_MAX)
			fail(s, "too many steps");
		one->steps[one->count++] = d ? d->body.steps[i] : step;
	}
}

/* The indented lines that follow. */
static void read_body(struct script *s, struct script_case *one)
{
	while (*s->at == '\t' || *s->at == ' ' || *s->at == '#' || *s->at == '\n') {
		char *line = next_line(s);

		for (char *save, *text = strtok_r(line, ";", &save); text;
		     text = strtok_r(NULL, ";", &save))
			add_step(s, one, text);
	}
}

bool script_next(struct script *s, struct script_case *one)
{
	char *line;

	while ((line = next_line(s))) {
		if (is_blank(line))
			continue;
		if (strncmp(line, "define ", 7) == 0) {
			struct definition *d = &s->definitions[s->definitions_count];

			if (s->definitions_count + 1 == DEFINITIONS_MAX ||
			    strlen(line + 7) >= NAME_MAX_BYTES)
				fail(s, "too many definitions, or a long name");
			strcpy(d->name, line + 7);
			read_body(s, &d->body);
			s->definitions_count++;
			continue;
		}
		if (strncmp(line, "case ", 5) != 0)
			fail(s, "neither \"case\" nor \"define\"");
		one->title = line + 5;
		one->line = s->line;
		one->count = 0;
		read_body(s, one);
		return true;
	}
	return false;
}

static bool flags_of(const char *letters, struct script_segment *segment)
{
	static const char names[] = "FSRP.UEW"; // in the order of the bits

	if (strcmp(letters, "?") == 0) {
		segment->any_flags = true;
		return true;
	}
	for (; *letters; letters++) {
		const char *name = strchr(names, *letters);

		if (name)
			segment->flags |= (uint8_t)(1 << (name - names));
		else if (*letters != '-')
			return false;
	}
	return true;
}

static bool sack_of(const char *text, struct tcp_options *options)
{
	char *end;

	for (;; text = end + 1) {
		struct tcp_sack_block *block = &options->sack[options->sack_count];

		if (options->sack_count++ == TCP_SACK_BLOCKS_MAX)
			return false;
		block->start = (uint32_t)strtoul(text, &end, 10);
		if (*end != '-')
			return false;
		block->end = (uint32_t)strtoul(end + 1, &end, 10);
		if (*end != ',')
			return *end == '\0';
	}
}

static bool raw_of(const char *hex, struct script_segment *segment)
{
	size_t digits = strlen(hex);

	if (digits % 8 != 0 || digits > 2 * sizeof(segment->raw))
		return false;
	for (; *hex; hex += 2) {
		char pair[3] = {hex[0], hex[1], '\0'};
		char *end;

		segment->raw[segment->raw_len++] = (uint8_t)strtoul(pair, &end, 16);
		if (*end)
			return false;
	}
	return true;
}

/* A word with its arguments; returns how many words it took, 0: unknown. */
static uint32_t attribute(const struct script_step *step, uint32_t at,
			  struct script_segment *segment)
{
	const char *name = step->words[at];
	const char *value = at + 1 < step->count ? step->words[at + 1] : "";
	const char *second = at + 2 < step->count ? step->words[at + 2] : "";
	uint32_t number = (uint32_t)strtoul(value, NULL, 0);
	struct tcp_options *o = &segment->options;

	if (strcmp(name, "sackok") == 0)
		return o->sack_permitted = true, 1;
	if (strcmp(name, "nosack") == 0)
		return segment->no_sack = true, 1;
	if (*value == '\0')
		return 0;
	if (strcmp(name, "ack") == 0)
		return segment->has_ack = true, segment->ack = number, 2;
	if (strcmp(name, "win") == 0)
		return segment->has_win = true, segment->win = number, 2;
	if (strcmp(name, "mss") == 0)
		return o->has_mss = true, o->mss = (uint16_t)number, 2;
	if (strcmp(name, "wscale") == 0)
		return o->has_wscale = true, o->wscale = (uint8_t)number, 2;
	if (strcmp(name, "sack") == 0)
		return sack_of(value, o) ? 2 : 0;
	if (strcmp(name, "raw") == 0)
		return raw_of(value, segment) ? 2 : 0;
	if (strcmp(name, "ts") == 0 && *second) {
		o->has_timestamp = true;
		o->tsval = number;
		o->tsecr = (uint32_t)strtoul(second, NULL, 0);
		segment->echo = strcmp(second, "last") == 0   ? SCRIPT_ECHO_LAST
				: strcmp(second, "kept") == 0 ? SCRIPT_ECHO_KEPT
							      : SCRIPT_ECHO_NUMBER;
		return 3;
	}
	return 0;
}

const char *script_segment(const struct script_step *step, struct script_segment *segment)
{
	char *end;

	*segment = (struct script_segment){.times = 1};
	if (step->count < 3)
		return "a segment needs flags and a number";
	if (!flags_of(step->words[1], segment))
		return "bad flags";
	segment->seq = (uint32_t)strtol(step->words[2], &end, 10);
	if (*end == ':')
		segment->len = (uint32_t)strtoul(end + 1, &end, 10);
	if (*end == 'x')
		segment->times = (uint32_t)strtoul(end + 1, &end, 10);
	if (*end)
		return "bad number";
	for (uint32_t at = 3; at < step->count;) {
		uint32_t taken = attribute(step, at, segment);

		if (taken == 0)
			return "unknown attribute";
		at += taken;
	}
	if (!segment->any_flags && !!(segment->flags & TCP_ACK) != segment->has_ack)
		return "'.' and \"ack\" go together";
	return NULL;
}
