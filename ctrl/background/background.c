/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/background/background.h"

#include "base/contract.h"
#include "base/rcu.h"
#include "dataplane/proto/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/*
 * One thread and two queues under one mutex: neither side is in a hurry, and neither is a worker.
 * The control thread submits and collects (ctrl/main.c wires both to the mail of the workers and to
 * the admin listener).
 */

/* A job on its way through the queues. */
struct job {
	struct job *next;
	struct forward *forward;
	uint64_t now_ms, now_us, now_ns; // of the submission
};

struct queue {
	struct job *first, **end;
};

struct background {
	struct background_config config; // [const]
	pthread_t thread;                // [ctrl]
	uint32_t jobs_count;             // [ctrl] submitted and not collected
	struct cmd_counters counters;    // [background w, ctrl r]
	struct cmd_stat *stats;          // [background w, ctrl r]

	pthread_mutex_t lock; // of all below
	pthread_cond_t changed;
	struct queue waiting, done;
	bool stop;
	int start_result; // 1 while starting, then 0 or a negative errno
};

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

static void queue_push(struct queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->end = job;
	queue->end = &job->next;
}

static struct job *queue_pop(struct queue *queue)
{
	struct job *job = queue->first;

	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->end = &queue->first;
	}
	return job;
}

/*
 * The next job, or NULL when it is time to end. Sleeps offline: grace periods do not wait for a
 * thread that waits.
 */
static struct job *next_job(struct background *b)
{
	struct job *job;

	rcu_offline();
	pthread_mutex_lock(&b->lock);
	while (!b->stop && !b->waiting.first)
		pthread_cond_wait(&b->changed, &b->lock);
	job = b->stop ? NULL : queue_pop(&b->waiting);
	pthread_mutex_unlock(&b->lock);
	rcu_online();
	return job;
}

static void run_job(struct background *b, struct cmd_thread *thread, struct job *job)
{
	thread->now_ms = job->now_ms;
	thread->now_us = job->now_us;
	table_set_time(thread->tt, job->now_ms, job->now_ns);
	forward_run(job->forward, thread);
	pthread_mutex_lock(&b->lock);
	queue_push(&b->done, job);
	pthread_mutex_unlock(&b->lock);
	b->config.wake(b->config.wake_arg);
}

static void report_start(struct background *b, int result)
{
	pthread_mutex_lock(&b->lock);
	b->start_result = result;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void *background_main(void *arg)
{
	struct background *b = arg;
	struct cmd_thread thread = {
		.table = b->config.table,
		.tt = table_thread_open(b->config.table, false),
		.stats = b->stats,
		.counters = &b->counters,
		.rng = rng_seeded(0),
	};
	struct job *job;

	report_start(b, thread.tt ? 0 : -ENOMEM);
	if (!thread.tt)
		return NULL;
	while ((job = next_job(b)))
		run_job(b, &thread, job);
	table_thread_close(thread.tt);
	return NULL;
}

static int start_thread(struct background *b)
{
	int err = pthread_create(&b->thread, NULL, background_main, b);

	if (err != 0)
		return -err;
	pthread_mutex_lock(&b->lock);
	while (b->start_result > 0)
		pthread_cond_wait(&b->changed, &b->lock);
	err = b->start_result;
	pthread_mutex_unlock(&b->lock);
	if (err < 0)
		pthread_join(b->thread, NULL);
	return err;
}

static void background_free(struct background *b)
{
	struct job *job;

	while ((job = queue_pop(&b->waiting)) || (job = queue_pop(&b->done))) {
		forward_free(job->forward);
		free(job);
	}
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b->stats);
	free(b);
}

int background_start(const struct background_config *config, struct background **result)
{
	struct background *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->config = *config;
	b->start_result = 1;
	queue_init(&b->waiting);
	queue_init(&b->done);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	b->stats = calloc(cmd_count(), sizeof(*b->stats));
	err = b->stats ? start_thread(b) : -ENOMEM;
	if (err < 0) {
		background_free(b);
		return err;
	}
	*result = b;
	return 0;
}

void background_stop(struct background *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	background_free(b);
}

bool background_submit(struct background *b, struct forward *forward)
{
	struct job *job = b->jobs_count < BACKGROUND_JOBS_MAX ? malloc(sizeof(*job)) : NULL;

	if (!job)
		return false;
	*job = (struct job){
		.forward = forward,
		.now_ms = b->config.clock->now_ms,
		.now_us = b->config.clock->now_us,
		.now_ns = b->config.clock->now_ns,
	};
	b->jobs_count++;
	pthread_mutex_lock(&b->lock);
	queue_push(&b->waiting, job);
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return true;
}

uint32_t background_turn(struct background *b)
{
	uint32_t count = 0;

	for (;;) {
		struct job *job;

		pthread_mutex_lock(&b->lock);
		job = queue_pop(&b->done);
		pthread_mutex_unlock(&b->lock);
		if (!job)
			return count;
		b->jobs_count--;
		count++;
		b->config.complete(b->config.complete_arg, job->forward);
		free(job);
	}
}

const struct cmd_counters *background_counters(const struct background *b)
{
	return &b->counters;
}

const struct cmd_stat *background_stats(const struct background *b)
{
	return b->stats;
}
