/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/rcu.h"
#include "dataplane/table/table_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * A table, a few threads that hammer it for a while, and a check at the end. A broken guarantee
 * prints what was seen and ends the program. STRESS_MS sets the length of a run, STRESS_SEED its
 * choices.
 */

#define STRESS_THREADS_MAX 16
#define STRESS_MS_DEFAULT  700

struct stress;

struct stress_thread {
	struct stress *stress;
	struct table_thread *t;
	uint32_t id;
	struct rng rng;
	uint64_t turns;
	void (*body)(struct stress_thread *self); // once per turn, between two quiescent states
	pthread_t handle;
};

struct stress {
	struct table *table;
	void *arg; // of the scenario
	_Atomic bool stop;
	struct stress_thread threads[STRESS_THREADS_MAX];
	uint32_t thread_count;
	pthread_barrier_t opened; // a snapshot knows the threads that there are when it begins
	uint32_t ms;
	uint64_t seed;
};

#define STRESS_CHECK(condition, ...)                                                               \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);            \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline uint64_t stress_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static inline uint64_t stress_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void stress_time(struct table_thread *t)
{
	table_set_time(t, stress_clock_ns(CLOCK_REALTIME) / 1000000,
		       stress_clock_ns(CLOCK_MONOTONIC));
}

static inline void stress_init(struct stress *s, const struct table_config *config)
{
	char why[TABLE_WHY_MAX];

	*s = (struct stress){.ms = (uint32_t)stress_env("STRESS_MS", STRESS_MS_DEFAULT),
			     .seed = stress_env("STRESS_SEED", 1)};
	STRESS_CHECK(table_new(config, &s->table, why) == 0, "%s", why);
}

static inline void stress_add(struct stress *s, uint32_t count,
			      void (*body)(struct stress_thread *))
{
	for (uint32_t i = 0; i < count; i++) {
		struct stress_thread *self = &s->threads[s->thread_count];

		self->stress = s;
		self->id = s->thread_count++;
		self->body = body;
		self->rng = rng_seeded(s->seed * 1000 + self->id);
	}
}

static inline void *stress_main(void *arg)
{
	struct stress_thread *self = arg;

	self->t = table_thread_open(self->stress->table, true);
	STRESS_CHECK(self->t, "thread %u", self->id);
	rcu_offline();
	pthread_barrier_wait(&self->stress->opened);
	rcu_online();
	while (!atomic_load_explicit(&self->stress->stop, memory_order_relaxed)) {
		stress_time(self->t);
		self->body(self);
		self->turns++;
		if (self->turns % 8 == 0)
			table_housekeep(self->t, 20000);
		rcu_quiescent();
	}
	table_thread_close(self->t);
	return NULL;
}

static inline void stress_sleep_ms(uint32_t ms)
{
	const struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&length, NULL);
}

static inline void stress_begin(struct stress *s)
{
	atomic_store(&s->stop, false);
	STRESS_CHECK(pthread_barrier_init(&s->opened, NULL, s->thread_count) == 0, "barrier");
	for (uint32_t i = 0; i < s->thread_count; i++)
		STRESS_CHECK(pthread_create(&s->threads[i].handle, NULL, stress_main,
					    &s->threads[i]) == 0,
			     "thread %u", i);
}

/* Afterwards the table is still there, without threads. */
static inline void stress_end(struct stress *s)
{
	uint64_t turns = 0;

	atomic_store(&s->stop, true);
	for (uint32_t i = 0; i < s->thread_count; i++) {
		pthread_join(s->threads[i].handle, NULL);
		turns += s->threads[i].turns;
	}
	pthread_barrier_destroy(&s->opened);
	printf("  %llu turns\n", (unsigned long long)turns);
}

/* Runs all threads for the time set. */
static inline void stress_run(struct stress *s)
{
	stress_begin(s);
	stress_sleep_ms(s->ms);
	stress_end(s);
}

/* Words for what scenarios do. Keys and values are numbers. */
struct stress_key {
	char text[24];
	struct table_key key;
};

static inline void stress_key(const struct table *table, struct stress_key *k, uint64_t number)
{
	int len = snprintf(k->text, sizeof(k->text), "key:%llu", (unsigned long long)number);

	k->key = table_key(table, slice_of(k->text, (size_t)len));
}

static inline struct item *stress_item(struct table_thread *t, const struct table_key *key,
				       uint64_t value, uint64_t expire_ms)
{
	struct item *item = table_item_new(t, &(struct item_spec){
						      .key = key->bytes,
						      .value = slice_of(&value, sizeof(value)),
						      .expire_ms = expire_ms,
					      });

	STRESS_CHECK(item, "no memory");
	return item;
}

static inline uint64_t stress_value(const struct item *item)
{
	uint64_t value;

	STRESS_CHECK(item_value(item).len == sizeof(value), "length %zu", item_value(item).len);
	memcpy(&value, item_value(item).ptr, sizeof(value));
	return value;
}

static inline uint64_t stress_set(struct table_thread *t, uint64_t number, uint64_t value)
{
	struct stress_key k;

	stress_key(t->table, &k, number);
	struct table_change change = {
		.key = k.key, .expected = TABLE_ANY, .item = stress_item(t, &k.key, value, 0)};

	STRESS_CHECK(table_commit_one(t, &change) == TABLE_OK, "set %llu",
		     (unsigned long long)number);
	return change.version;
}

static inline void stress_delete(struct table_thread *t, uint64_t number)
{
	struct stress_key k;

	stress_key(t->table, &k, number);
	struct table_change change = {.key = k.key, .expected = TABLE_ANY};

	STRESS_CHECK(table_commit_one(t, &change) == TABLE_OK, "delete %llu",
		     (unsigned long long)number);
}

static inline struct item *stress_find(struct table_thread *t, uint64_t number)
{
	struct stress_key k;

	stress_key(t->table, &k, number);
	return table_find(t, &k.key);
}
