/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker.h"

#include "base/clock.h"
#include "dataplane/proto/memcache/mc.h"
#include "dataplane/proto/memcache/mc_log.h"
#include "dataplane/worker/worker_internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/*
 * A worker's birth and death, and what the control thread may do with it in between. The worker's
 * own parts (IP, TCP, table thread) are built on its thread, after it is pinned, so that their
 * memory is its node's. The life in between is worker_loop.c.
 */

#define STARTING 1

static const struct {
	const char *label;
	const char *help;
} counter_words[] = {

#define WORKER_COUNTER(symbol, label, help) {label, help},
#include "dataplane/worker/worker_counter.def"
#undef WORKER_COUNTER
};

_Static_assert(ARRAY_COUNT(counter_words) == WORKER_COUNTERS, "one row per counter");

const char *worker_counter_label(enum worker_counter_id id)
{
	REQUIRE(id < WORKER_COUNTERS);
	return counter_words[id].label;
}

const char *worker_counter_help(enum worker_counter_id id)
{
	REQUIRE(id < WORKER_COUNTERS);
	return counter_words[id].help;
}

/* The sink of connections that are gone: the same bytes over and over. */
static bool discard_grow(struct out *out, size_t min)
{
	struct worker *w = CONTAINER_OF(out, struct worker, discard);

	out->pos = w->discarded;
	out->end = w->discarded + sizeof(w->discarded);
	return min <= sizeof(w->discarded);
}

static bool discard_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	return true;
}

static const struct out_ops discard_ops = {.grow = discard_grow, .append_blob = discard_blob};

/* The thread that starts workers may have been confined to a core of its own. */
static void pin(const struct worker_config *config)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (config->core >= 0)
		CPU_SET(config->core, &set);
	else if (config->any_core)
		set = *config->any_core;
	else
		return;
	// A core that has gone meanwhile is no reason not to serve; config checked it at start.
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void free_parts(struct worker *w)
{
	tcp_free(w->tcp);
	for (uint32_t i = 0; i < w->conns_used; i++) {
		if (w->conns[i].tcp)
			session_fini(&w->conns[i].session);
	}
	if (w->host.batch)
		session_host_fini(&w->host);
	worker_udp_free(w->udp);
	ip_free(w->ip);
	if (w->table)
		table_thread_close(w->table);
	counter_set(&w->stats.connections, 0);
	counter_set(&w->stats.blocked, 0);
}

static int build_parts(struct worker *w)
{
	const struct worker_config *config = &w->config;

	w->now_ns = clock_now_ns();
	w->table = table_thread_open(config->table, true);
	w->ip = ip_new(&config->ip, config->neighbours, config->port, &w->stats.drops);
	w->tcp = tcp_new(&config->tcp, &worker_tcp_ops, w, &w->stats.tcp, &w->stats.drops);
	if (!w->table || !w->ip || !w->tcp)
		return -ENOMEM;
	ip_set_tx(w->ip, worker_tx, w);
	table_on_evict(w->table, mc_log_eviction, &w->host);
	w->command = (struct cmd_thread){
		.table = config->table,
		.tt = w->table,
		.stats = w->stats.per_command,
		.counters = &w->stats.commands,
		.log = w->log,
		.gate = config->gate,
		.rng = rng_seeded(config->tcp.rng_seed),
	};
	if (config->mc_udp_port) {
		w->udp = worker_udp_new(w);
		if (!w->udp)
			return -ENOMEM;
	}
	if ((config->resp_port && !tcp_listen(w->tcp, config->resp_port)) ||
	    (config->mc_port && !tcp_listen(w->tcp, config->mc_port)))
		return -EINVAL;
	return session_host_init(&w->host, &w->command, &worker_session_ops, config->limits);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	char name[16];
	int error;

	snprintf(name, sizeof(name), "worker-%u", w->config.id);
	pthread_setname_np(pthread_self(), name);
	pin(&w->config);
	error = port_thread_attach();
	if (error == 0) {
		error = build_parts(w);
		atomic_store(&w->start_result, error);
		if (error == 0)
			worker_main(w);
		free_parts(w);
		port_thread_detach();
	} else {
		atomic_store(&w->start_result, error);
	}
	return NULL;
}

static int start_thread(struct worker *w)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	sigset_t term, before;
	int result;

	// The signals that end the process go to the control thread. Those of devices may come.
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigaddset(&term, SIGINT);
	sigaddset(&term, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &term, &before);
	result = -pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0)
		return result;
	while ((result = atomic_load(&w->start_result)) == STARTING)
		nanosleep(&pause, NULL);
	if (result != 0)
		pthread_join(w->thread, NULL);
	return result;
}

int worker_start(const struct worker_config *config, struct worker **worker)
{
	size_t conns_bytes = config->tcp.conns_max * sizeof(struct worker_conn);
	struct worker *w =
		aligned_alloc(CACHE_LINE_BYTES, (sizeof(*w) + CACHE_LINE_BYTES - 1) /
							CACHE_LINE_BYTES * CACHE_LINE_BYTES);
	int result = -ENOMEM;

	REQUIRE(config->count > 0 && config->count <= WORKERS_MAX && config->id < config->count);
	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->config = *config;
	w->start_result = STARTING;
	w->discard.ops = &discard_ops;
	w->log = mc_log_new();
	w->stats.per_command = calloc(cmd_count(), sizeof(w->stats.per_command[0]));
	for (size_t i = 0; i < sizeof(w->owner_of); i++)
		w->owner_of[i] = (uint8_t)port_hash_owner((uint32_t)i, (uint16_t)config->count);
	// Reserved whole, paid for slot by slot as connections come.
	w->conns = mmap(NULL, conns_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->conns == MAP_FAILED)
		w->conns = NULL;
	if (w->conns && w->log && w->stats.per_command &&
	    spsc_init(&w->inbox, WORKER_MAIL_ENTRIES) && spsc_init(&w->outbox, WORKER_MAIL_ENTRIES))
		result = start_thread(w);
	if (result != 0) {
		worker_free(w);
		return result;
	}
	worker_steer_join(w);
	*worker = w;
	return 0;
}

void worker_ask_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
}

void worker_join(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
}

static void free_mails(struct spsc *ring)
{
	void *mail;

	while (ring->entries && spsc_pop(ring, &mail, 1) == 1)
		worker_mail_free(mail);
	spsc_fini(ring);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	free_mails(&worker->inbox);
	free_mails(&worker->outbox);
	if (worker->conns)
		munmap(worker->conns, worker->config.tcp.conns_max * sizeof(struct worker_conn));
	free(worker->stats.per_command);
	mc_log_free(worker->log);
	free(worker);
}

const struct worker_stats *worker_stats(const struct worker *worker)
{
	return &worker->stats;
}

struct mc_log *worker_log(const struct worker *worker)
{
	return worker->log;
}

uint32_t worker_connections(const struct worker *worker)
{
	return (uint32_t)counter_read(&worker->stats.connections);
}

void worker_post(struct worker *worker, struct mail *mail)
{
	void *entry = mail;

	INVARIANT(spsc_push(&worker->inbox, &entry, 1) == 1);
}

struct mail *worker_collect(struct worker *worker)
{
	void *mail;

	return spsc_pop(&worker->outbox, &mail, 1) == 1 ? mail : NULL;
}
