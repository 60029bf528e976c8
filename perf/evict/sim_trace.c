/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_trace.h"

#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Traces for sim_evict, generated from a seed or read from a file. Called once per trace on the
 * main thread. Keys are renumbered in the order of their first request, so that a number below the
 * footprint is all that the models need.
 */

#define CHURN_NEW_PERCENT 25  // requests for keys that are never asked for again
#define CHURN_SWAPS       0.5 // swaps of two keys' popularity in the course of the trace, by keys
#define SCAN_PERIODS      10
#define SCAN_SHARE        0.1 // of the requests of a period that are its scan

/* Ranks drawn with a probability of 1 / rank^s, by searching the sums. */
struct zipf {
	double *sums;
	uint32_t *key_of; // by rank
	uint32_t count;
	struct rng rng;
};

static bool zipf_init(struct zipf *z, uint32_t count, double s, uint64_t seed)
{
	double sum = 0;

	z->sums = malloc(count * sizeof(*z->sums));
	z->key_of = malloc(count * sizeof(*z->key_of));
	z->count = count;
	z->rng = rng_seeded(seed);
	if (!z->sums || !z->key_of)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		z->sums[i] = sum += pow(i + 1.0, -s);
		z->key_of[i] = i;
	}
	return true;
}

static double uniform(struct rng *rng)
{
	return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

static uint32_t zipf_draw(struct zipf *z)
{
	double wanted = uniform(&z->rng) * z->sums[z->count - 1];
	uint32_t low = 0, high = z->count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (z->sums[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return z->key_of[low];
}

static void make_zipf(struct zipf *z, uint32_t *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		keys[i] = zipf_draw(z);
}

static void swap_popularity(struct zipf *z)
{
	uint32_t *a = &z->key_of[rng_below(&z->rng, z->count)];
	uint32_t *b = &z->key_of[rng_below(&z->rng, z->count)];
	uint32_t key = *a;

	*a = *b;
	*b = key;
}

/* One request in four is for a key never seen again; the others' popularity changes with time. */
static void make_churn(struct zipf *z, uint32_t *keys, size_t count)
{
	double swaps_each = CHURN_SWAPS * z->count / (double)count, due = 0;
	uint32_t fresh = z->count;

	for (size_t i = 0; i < count; i++) {
		for (due += swaps_each; due >= 1; due--)
			swap_popularity(z);
		keys[i] = rng_below(&z->rng, 100) < CHURN_NEW_PERCENT ? fresh++ : zipf_draw(z);
	}
}

/* Every now and then keys are asked for one after another, each time others. */
static void make_scan(struct zipf *z, uint32_t *keys, size_t count)
{
	size_t period = count / SCAN_PERIODS + 1, scan = (size_t)((double)period * SCAN_SHARE);
	uint32_t next = z->count;

	for (size_t i = 0; i < count; i++)
		keys[i] = i % period >= period - scan ? next++ : zipf_draw(z);
}

/* Numbers the keys anew; `of` has room for the highest number and one. */
static uint32_t renumber(uint32_t *keys, size_t count, uint32_t *of)
{
	uint32_t next = 0;

	for (size_t i = 0; i < count; i++) {
		if (of[keys[i]] == 0)
			of[keys[i]] = ++next;
		keys[i] = of[keys[i]] - 1;
	}
	return next;
}

static bool generate(struct sim_trace *trace, const struct sim_trace_size *size, double s,
		     void (*make)(struct zipf *, uint32_t *, size_t))
{
	struct zipf z;
	uint32_t *of = calloc(size->base_keys + size->requests, sizeof(*of));
	bool made = zipf_init(&z, size->base_keys, s, size->seed) && of;

	trace->count = size->requests;
	trace->keys = malloc(trace->count * sizeof(*trace->keys));
	made = made && trace->keys;
	if (made) {
		make(&z, trace->keys, trace->count);
		trace->footprint = renumber(trace->keys, trace->count, of);
	} else {
		fprintf(stderr, "sim_evict: no memory for the trace\n");
	}
	free(z.sums);
	free(z.key_of);
	free(of);
	return made;
}

/* The keys that a file has named so far, in an open hash table that doubles. */
struct names {
	char **names;
	uint32_t *numbers;
	size_t room;
	uint32_t count;
};

static uint64_t hash_of(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ULL;
	return hash ^ hash >> 32;
}

static size_t place_of(const struct names *n, const char *name)
{
	size_t at = hash_of(name) & (n->room - 1);

	while (n->names[at] && strcmp(n->names[at], name) != 0)
		at = (at + 1) & (n->room - 1);
	return at;
}

static bool names_grow(struct names *n)
{
	struct names more = {.room = n->room ? 2 * n->room : 1 << 16, .count = n->count};

	more.names = calloc(more.room, sizeof(*more.names));
	more.numbers = calloc(more.room, sizeof(*more.numbers));
	if (!more.names || !more.numbers) {
		free(more.names);
		free(more.numbers);
		return false;
	}
	for (size_t i = 0; i < n->room; i++) {
		if (n->names[i]) {
			size_t at = place_of(&more, n->names[i]);

			more.names[at] = n->names[i];
			more.numbers[at] = n->numbers[i];
		}
	}
	free(n->names);
	free(n->numbers);
	*n = more;
	return true;
}

static bool number_of(struct names *n, const char *name, uint32_t *number)
{
	if (2 * (size_t)n->count >= n->room && !names_grow(n))
		return false;
	size_t at = place_of(n, name);

	if (!n->names[at]) {
		n->names[at] = strdup(name);
		n->numbers[at] = n->count++;
	}
	*number = n->numbers[at];
	return n->names[at] != NULL;
}

static bool append(struct sim_trace *trace, size_t *room, uint32_t number)
{
	if (trace->count == *room) {
		size_t more = *room ? 2 * *room : 1 << 16;
		uint32_t *keys = realloc(trace->keys, more * sizeof(*keys));

		if (!keys)
			return false;
		trace->keys = keys;
		*room = more;
	}
	trace->keys[trace->count++] = number;
	return true;
}

static bool read_file(struct sim_trace *trace, const char *path)
{
	struct names n = {0};
	size_t room = 0, line_room = 0;
	char *line = NULL;
	FILE *file = fopen(path, "r");
	bool fits = true;
	ssize_t len;

	if (!file) {
		perror(path);
		return false;
	}
	while (fits && (len = getline(&line, &line_room, file)) > 0) {
		uint32_t number;

		if (line[len - 1] == '\n')
			line[--len] = '\0';
		if (len > 0)
			fits = number_of(&n, line, &number) && append(trace, &room, number);
	}
	trace->footprint = n.count;
	for (size_t i = 0; i < n.room; i++)
		free(n.names[i]);
	free(n.names);
	free(n.numbers);
	free(line);
	fclose(file);
	if (!fits || trace->count == 0)
		fprintf(stderr, "sim_evict: %s: %s\n", path, fits ? "no keys" : "no memory");
	return fits && trace->count > 0;
}

bool sim_trace_make(struct sim_trace *trace, const char *name, const struct sim_trace_size *size)
{
	*trace = (struct sim_trace){.name = name};
	if (strcmp(name, "zipf") == 0)
		return generate(trace, size, 0.99, make_zipf);
	if (strcmp(name, "churn") == 0)
		return generate(trace, size, 0.9, make_churn);
	if (strcmp(name, "scan") == 0)
		return generate(trace, size, 0.9, make_scan);
	return read_file(trace, name);
}

void sim_trace_free(struct sim_trace *trace)
{
	free(trace->keys);
	trace->keys = NULL;
}
