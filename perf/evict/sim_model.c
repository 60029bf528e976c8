/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_model.h"

#include <stdlib.h>

/*
 * The two bounds that sim_evict measures a policy by: LRU to the letter, and Belady's choice, which
 * knows the future and evicts what is asked for last, be it the key that has just come. Hit ratios
 * over the whole trace, from an empty cache. Main thread.
 */

struct lru {
	uint32_t *next, *before; // by key; the last place is the list's head
	bool *present;
	uint32_t head;
};

static void lru_unlink(struct lru *l, uint32_t key)
{
	l->before[l->next[key]] = l->before[key];
	l->next[l->before[key]] = l->next[key];
}

static void lru_push(struct lru *l, uint32_t key)
{
	l->next[key] = l->next[l->head];
	l->before[key] = l->head;
	l->before[l->next[key]] = key;
	l->next[l->head] = key;
}

static uint64_t lru_run(struct lru *l, const struct sim_trace *trace, uint32_t items)
{
	uint64_t hits = 0, held = 0;

	l->next[l->head] = l->before[l->head] = l->head;
	for (size_t i = 0; i < trace->count; i++) {
		uint32_t key = trace->keys[i];

		if (l->present[key]) {
			hits++;
			lru_unlink(l, key);
		} else if (held++ >= items) {
			uint32_t last = l->before[l->head];

			l->present[last] = false;
			lru_unlink(l, last);
		}
		l->present[key] = true;
		lru_push(l, key);
	}
	return hits;
}

double sim_model_lru(const struct sim_trace *trace, uint32_t items)
{
	struct lru l = {
		.next = malloc((trace->footprint + 1ULL) * sizeof(*l.next)),
		.before = malloc((trace->footprint + 1ULL) * sizeof(*l.before)),
		.present = calloc(trace->footprint + 1ULL, sizeof(*l.present)),
		.head = trace->footprint,
	};
	double ratio = -1;

	if (l.next && l.before && l.present)
		ratio = (double)lru_run(&l, trace, items) / (double)trace->count;
	free(l.next);
	free(l.before);
	free(l.present);
	return ratio;
}

/* A heap of uses to come, the last one on top. What has been used since is below all others. */
struct use {
	uint32_t when, key;
};

static void heap_push(struct use *heap, size_t *count, struct use use)
{
	size_t at = (*count)++;

	while (at > 0 && heap[(at - 1) / 2].when < use.when) {
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = use;
}

static struct use heap_pop(struct use *heap, size_t *count)
{
	struct use top = heap[0], last = heap[--*count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < *count && heap[child + 1].when > heap[child].when)
			child++;
		if (child >= *count || heap[child].when <= last.when)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return top;
}

/* For each request, the place of the key's next one; after the last one, the end. */
static void find_next_uses(const struct sim_trace *trace, uint32_t *next, uint32_t *last)
{
	for (uint32_t key = 0; key < trace->footprint; key++)
		last[key] = UINT32_MAX;
	for (size_t i = trace->count; i-- > 0;) {
		next[i] = last[trace->keys[i]];
		last[trace->keys[i]] = (uint32_t)i;
	}
}

static uint64_t belady_run(const struct sim_trace *trace, uint32_t items, const uint32_t *next,
			   struct use *heap, bool *present)
{
	uint64_t hits = 0, held = 0;
	size_t count = 0;

	for (size_t i = 0; i < trace->count; i++) {
		uint32_t key = trace->keys[i];

		if (present[key])
			hits++;
		else
			held++;
		present[key] = true;
		heap_push(heap, &count, (struct use){next[i], key});
		if (held > items) {
			present[heap_pop(heap, &count).key] = false;
			held--;
		}
	}
	return hits;
}

double sim_model_belady(const struct sim_trace *trace, uint32_t items)
{
	uint32_t *next = malloc(trace->count * sizeof(*next));
	uint32_t *last = malloc(trace->footprint * sizeof(*last));
	struct use *heap = malloc(trace->count * sizeof(*heap));
	bool *present = calloc(trace->footprint, sizeof(*present));
	double ratio = -1;

	if (next && last && heap && present) {
		find_next_uses(trace, next, last);
		ratio = (double)belady_run(trace, items, next, heap, present) /
			(double)trace->count;
	}
	free(next);
	free(last);
	free(heap);
	free(present);
	return ratio;
}
