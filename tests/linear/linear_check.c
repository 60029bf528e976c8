/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/linear/linear_check.h"

#include <stdlib.h>
#include <string.h>

/*
 * The search. A state is the map and the set of operations that have taken effect; from it, each
 * operation may be next that was called before any of the remaining ones returned. A state that
 * was reached once is not entered again, in whatever order its operations came. Called by the
 * recorder (linear_record.c) and by the checker's own tests, on one thread at a time.
 */

#define STATES_MAX (1U << 20) // beyond it the history is given up

struct map {
	uint32_t value[LINEAR_KEYS_MAX];
	uint32_t expires[LINEAR_KEYS_MAX];
	uint32_t evictions;
	uint32_t padding; // zero: states are compared as bytes
};

struct state {
	uint64_t taken; // a bit for each operation that has taken effect
	struct map map;
};

/* A state of the path under way, and which of its successors comes next. */
struct step {
	struct state state;
	uint32_t next_op;
	uint32_t next_lost; // of next_op's keys, those said to be gone before; counts down
	bool op_begun;
};

struct search {
	const struct linear_history *history;
	uint32_t evictions_max;
	struct step path[LINEAR_OPS_MAX + 1];
	uint32_t depth;
	struct state *known; // open addressing; an empty place has nothing taken
	uint32_t known_capacity, known_count;
};

static bool is_live(const struct linear_op *op, const struct map *map, uint32_t key)
{
	return map->value[key] && !(map->expires[key] && map->expires[key] < op->clock);
}

static bool expired_for_some(const struct linear_op *op, const struct map *map, uint32_t key)
{
	return map->expires[key] && map->expires[key] < op->clock_after;
}

/* The op's keys, by position, that may be gone although they are there for its thread. */
static uint32_t may_be_lost(const struct search *s, const struct linear_op *op,
			    const struct map *map)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < op->key_count; i++)
		if (is_live(op, map, op->keys[i]) &&
		    (expired_for_some(op, map, op->keys[i]) || map->evictions < s->evictions_max))
			lost |= 1U << i;
	return lost;
}

static void lose(const struct linear_op *op, struct map *map, uint32_t lost)
{
	for (uint32_t i = 0; i < op->key_count; i++) {
		uint32_t key = op->keys[i];

		if (!(lost & 1U << i))
			continue;
		if (!expired_for_some(op, map, key))
			map->evictions++;
		map->value[key] = map->expires[key] = 0;
	}
}

static void put(struct map *map, uint32_t key, uint32_t value, uint32_t expires)
{
	map->value[key] = value;
	map->expires[key] = value ? expires : 0;
}

/* What the operation must have seen of its i-th key, if `before` was there; changes the map. */
static uint32_t apply_key(const struct linear_op *op, uint32_t i, uint32_t before, struct map *map)
{
	uint32_t key = op->keys[i];

	switch (op->kind) {
	case LINEAR_SET:
		put(map, key, op->stored[i], op->expires);
		return before;
	case LINEAR_DELETE:
		put(map, key, 0, 0);
		return before;
	case LINEAR_CAS:
		if (op->done)
			put(map, key, op->stored[i], op->expires);
		return op->seen[i];
	case LINEAR_INCR:
		if (before)
			map->value[key]++;
		return before ? before + 1 : 0;
	case LINEAR_FLUSH:
		put(map, key, 0, 0);
		return op->seen[i];
	case LINEAR_GET:
		break;
	}
	return before;
}

/* Lets the operation take effect. False: it would have reported something else. */
static bool apply(const struct search *s, const struct linear_op *op, struct map *map,
		  uint32_t lost)
{
	uint32_t before[LINEAR_KEYS_MAX] = {0};
	bool all_as_wanted = true;

	lose(op, map, lost);
	if (map->evictions > s->evictions_max)
		return false;
	for (uint32_t i = 0; i < op->key_count; i++) {
		if (is_live(op, map, op->keys[i]))
			before[i] = map->value[op->keys[i]];
		all_as_wanted = all_as_wanted && before[i] == op->wanted[i];
	}
	if (op->kind == LINEAR_CAS && op->done != all_as_wanted)
		return false;
	for (uint32_t i = 0; i < op->key_count; i++)
		if (apply_key(op, i, before[i], map) != op->seen[i])
			return false;
	return true;
}

static uint64_t hash_of(const struct state *state)
{
	const uint8_t *bytes = (const uint8_t *)state;
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t at = 0; at < sizeof(*state); at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes + at, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

static struct state *place_of(struct search *s, const struct state *state)
{
	uint32_t at = (uint32_t)hash_of(state) & (s->known_capacity - 1);

	while (s->known[at].taken && memcmp(&s->known[at], state, sizeof(*state)) != 0)
		at = (at + 1) & (s->known_capacity - 1);
	return &s->known[at];
}

static void enlarge(struct search *s)
{
	struct state *before = s->known;
	uint32_t capacity = s->known_capacity;

	s->known_capacity = capacity ? 2 * capacity : 1024;
	s->known = calloc(s->known_capacity, sizeof(*s->known));
	if (!s->known)
		abort();
	for (uint32_t i = 0; i < capacity; i++)
		if (before[i].taken)
			*place_of(s, &before[i]) = before[i];
	free(before);
}

/* True when the state is met for the first time. */
static bool remember(struct search *s, const struct state *state)
{
	if (2 * s->known_count >= s->known_capacity)
		enlarge(s);
	struct state *place = place_of(s, state);

	if (place->taken)
		return false;
	*place = *state;
	s->known_count++;
	return true;
}

static void enter(struct search *s, const struct state *state)
{
	s->path[s->depth] = (struct step){.state = *state};
	s->depth++;
}

/* Of the operations that have not taken effect, none can come after the first return. */
static uint64_t first_return(const struct search *s, uint64_t taken)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < s->history->count; i++)
		if (!(taken & 1ULL << i) && s->history->ops[i].returned < first)
			first = s->history->ops[i].returned;
	return first;
}

/* The next subset of the keys that may be lost, the empty one last. False: there is no more. */
static bool next_choice(const struct search *s, struct step *step, uint32_t *lost)
{
	const struct linear_op *op = &s->history->ops[step->next_op];
	uint32_t all = may_be_lost(s, op, &step->state.map);

	if (!step->op_begun) {
		step->op_begun = true;
		step->next_lost = all;
	} else if (step->next_lost == 0) {
		return false;
	} else {
		step->next_lost = (step->next_lost - 1) & all;
	}
	*lost = step->next_lost;
	return true;
}

/* Enters the next successor of the path's end. False: it has none left. */
static bool advance(struct search *s)
{
	struct step *step = &s->path[s->depth - 1];
	uint64_t bound = first_return(s, step->state.taken);
	uint32_t lost;

	for (; step->next_op < s->history->count; step->next_op++, step->op_begun = false) {
		const struct linear_op *op = &s->history->ops[step->next_op];

		if (step->state.taken & 1ULL << step->next_op || op->called > bound)
			continue;
		while (next_choice(s, step, &lost)) {
			struct state next = step->state;

			next.taken |= 1ULL << step->next_op;
			if (apply(s, op, &next.map, lost) && remember(s, &next)) {
				enter(s, &next);
				return true;
			}
		}
	}
	return false;
}

enum linear_verdict linear_check(const struct linear_history *h, uint32_t evictions_max)
{
	struct search s = {.history = h, .evictions_max = evictions_max};
	uint64_t all = h->count == 64 ? UINT64_MAX : (1ULL << h->count) - 1;
	enum linear_verdict verdict = LINEAR_VIOLATED;

	enter(&s, &(struct state){0});
	while (s.depth > 0) {
		if (s.path[s.depth - 1].state.taken == all) {
			verdict = LINEAR_HOLDS;
			break;
		}
		if (s.known_count > STATES_MAX) {
			verdict = LINEAR_UNDECIDED;
			break;
		}
		if (!advance(&s))
			s.depth--;
	}
	free(s.known);
	return verdict;
}

static void history_of_key(const struct linear_history *h, uint32_t key, struct linear_history *one)
{
	one->count = 0;
	for (uint32_t i = 0; i < h->count; i++)
		if (h->ops[i].keys[0] == key)
			one->ops[one->count++] = h->ops[i];
}

enum linear_verdict linear_check_keys(const struct linear_history *h, uint32_t evictions_max)
{
	uint32_t left = evictions_max;

	for (uint32_t key = 0; key < LINEAR_KEYS_MAX; key++) {
		struct linear_history one;
		enum linear_verdict verdict;
		uint32_t needed = 0;

		history_of_key(h, key, &one);
		while ((verdict = linear_check(&one, needed)) == LINEAR_VIOLATED && needed < left)
			needed++;
		if (verdict != LINEAR_HOLDS)
			return verdict;
		left -= needed;
	}
	return LINEAR_HOLDS;
}

static void print_values(FILE *file, const char *name, const struct linear_op *op,
			 const uint32_t *values)
{
	fprintf(file, " %s", name);
	for (uint32_t i = 0; i < op->key_count; i++)
		fprintf(file, " %u:%u", op->keys[i], values[i]);
}

void linear_print(FILE *file, const struct linear_history *h)
{
	static const char *const names[] = {"get", "set", "delete", "cas", "incr", "flush"};

	for (uint32_t i = 0; i < h->count; i++) {
		const struct linear_op *op = &h->ops[i];

		fprintf(file, "%6llu - %6llu  thread %u clock %u to %u: %s",
			(unsigned long long)op->called, (unsigned long long)op->returned,
			op->thread, op->clock, op->clock_after, names[op->kind]);
		if (op->kind == LINEAR_CAS)
			print_values(file, "wanted", op, op->wanted);
		if (op->kind == LINEAR_SET || op->kind == LINEAR_CAS)
			print_values(file, "stored", op, op->stored);
		if (op->expires)
			fprintf(file, " until %u", op->expires);
		if (op->kind == LINEAR_CAS)
			fprintf(file, " %s", op->done ? "done" : "refused");
		else if (op->kind != LINEAR_FLUSH)
			print_values(file, "saw", op, op->seen);
		fputc('\n', file);
	}
}
