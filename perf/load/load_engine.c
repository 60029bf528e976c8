/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_engine.h"

#include "base/clock.h"
#include "perf/load/load_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A load's life: clients and their pipelines are made, then phases follow each other. Called by
 * main()'s loop (load_turn).
 */

#define SILENCE_NS_MAX (10 * NS_PER_S)
#define DRAIN_NS_MAX   (5 * NS_PER_S)

static const struct load_proto *proto_of(enum load_protocol protocol)
{
	switch (protocol) {
	case LOAD_RESP:
		return &load_resp;
	case LOAD_MC_META:
		return &load_mc_meta;
	case LOAD_MC_TEXT:
	case LOAD_MC_UDP:
		break;
	}
	return &load_mc_text;
}

static uint64_t requests_of_client(const struct load *load, const struct load_client *client)
{
	const struct load_options *o = load->options;
	enum load_op op = o->ratio_set ? LOAD_SET : LOAD_GET;
	uint64_t keys = client->draw[op].count;

	if (client->big || o->requests == 0)
		return UINT64_MAX;
	if (o->requests != LOAD_REQUESTS_ALL)
		return o->requests;
	return op == LOAD_GET ? (keys + o->multi_get - 1) / o->multi_get : keys;
}

static void results_init(struct load_results *results)
{
	memset(results, 0, sizeof(*results));
	load_hist_init(&results->latency);
	load_hist_init(&results->service);
	load_hist_init(&results->connect);
	load_hist_init(&results->big);
}

static bool clients_init(struct load *load)
{
	const struct load_options *o = load->options;
	uint32_t slots = 1;
	uint64_t *keys;

	while (slots < o->pipeline)
		slots *= 2;
	load->clients_count = o->clients + o->big_clients;
	load->clients = calloc(load->clients_count, sizeof(*load->clients));
	load->keys = calloc((size_t)load->clients_count * slots * o->multi_get, sizeof(*keys));
	if (!load->clients || !load->keys)
		return false;
	keys = load->keys;
	for (uint32_t i = 0; i < load->clients_count; i++) {
		struct load_client *c = &load->clients[i];

		c->load = load;
		c->big = i >= o->clients;
		c->mask = slots - 1;
		c->ring = calloc(slots, sizeof(*c->ring));
		if (!c->ring)
			return false;
		for (uint32_t k = 0; k < slots; k++, keys += o->multi_get)
			c->ring[k].keys = keys;
		load_draw_init(&c->draw[LOAD_SET], o, o->pattern_set, c->big ? 0 : i);
		load_draw_init(&c->draw[LOAD_GET], o, o->pattern_get, c->big ? 0 : i);
		c->left = requests_of_client(load, c);
		if (o->requests && !c->big)
			load->requests_left += c->left;
		load->clients_wanted += c->left > 0;
		load_reader_init(&c->reader, &load->space, load->proto);
	}
	return true;
}

struct load *load_new(const struct load_options *options, struct load_link *link,
		      load_phase_fn *on_phase, void *arg)
{
	struct load *load = calloc(1, sizeof(*load));

	if (!load)
		return NULL;
	load->options = options;
	load->proto = proto_of(options->protocol);
	load->link = link;
	load->on_phase = on_phase;
	load->phase_arg = arg;
	load->rng = rng_seeded(options->seed);
	load->test_s = options->test_s;
	results_init(&load->results);
	link->load = load;
	if (load_space_init(&load->space, options) && clients_init(load))
		return load;
	load_free(load);
	return NULL;
}

void load_free(struct load *load)
{
	if (!load)
		return;
	for (uint32_t i = 0; load->clients && i < load->clients_count; i++)
		free(load->clients[i].ring);
	free(load->clients);
	free(load->keys);
	load_space_fini(&load->space);
	free(load);
}

const struct load_results *load_results(const struct load *load)
{
	return &load->results;
}

enum load_phase load_phase(const struct load *load)
{
	return load->phase;
}

bool load_failed(const struct load *load)
{
	return load->failed;
}

void load_client_set_handle(struct load_client *client, void *handle)
{
	client->handle = handle;
}

void *load_client_handle(const struct load_client *client)
{
	return client->handle;
}

uint32_t load_client_index(const struct load_client *client)
{
	return (uint32_t)(client - client->load->clients);
}

COLD void load__fail(struct load *load, const char *what, const char *detail)
{
	load->failed = true;
	if (load->results.why[0] == '\0')
		snprintf(load->results.why, sizeof(load->results.why), "%s%s%s", what,
			 detail[0] ? ": " : "", detail);
}

static void measured_until_now(struct load *load)
{
	load->measured_to_ns = load->now_ns;
	if (load->phase == LOAD_MEASURING)
		load->results.seconds =
			(double)(load->measured_to_ns - load->measured_from_ns) / 1e9;
}

/* There is no way on. */
COLD void load__give_up(struct load *load, const char *what, const char *detail)
{
	load__fail(load, what, detail);
	measured_until_now(load);
	load->phase = LOAD_DONE;
}

static void phase_begin(struct load *load, enum load_phase phase)
{
	load->phase = phase;
	load->phase_ns = load->now_ns;
	if (phase == LOAD_MEASURING)
		load->measured_from_ns = load->now_ns;
	if (load->on_phase)
		load->on_phase(load->phase_arg, phase);
}

static void measure_end(struct load *load)
{
	measured_until_now(load);
	phase_begin(load, LOAD_DRAINING);
}

/* Open loop: how many requests of the measured time have not been begun, about. */
static uint64_t still_due(const struct load *load)
{
	double late_ns = (double)load->measured_to_ns - load->next_due_ns;

	if (load->options->rate <= 0 || late_ns <= 0)
		return 0;
	return (uint64_t)ceil(late_ns * load->options->rate / 1e9);
}

/* Big values are set before anything is measured. */
static bool all_set_up(const struct load *load)
{
	if (load->open < load->clients_wanted)
		return false;
	for (uint32_t i = load->options->clients; i < load->clients_count; i++) {
		if (!load->clients[i].big_set)
			return false;
	}
	return true;
}

static void next_phase(struct load *load)
{
	const struct load_options *o = load->options;
	uint64_t in_phase_ns = load->now_ns - load->phase_ns;

	switch (load->phase) {
	case LOAD_CONNECTING:
		if (!all_set_up(load))
			break;
		load->next_due_ns = (double)load->now_ns;
		phase_begin(load, o->on_demand      ? LOAD_PAUSED
				  : o->warmup_s > 0 ? LOAD_WARMUP
						    : LOAD_MEASURING);
		break;
	case LOAD_WARMUP:
		if ((double)in_phase_ns >= o->warmup_s * 1e9)
			phase_begin(load, LOAD_MEASURING);
		break;
	case LOAD_MEASURING:
		if (o->requests ? load->requests_left == 0 && load->outstanding == 0
				: (double)in_phase_ns >= load->test_s * 1e9)
			measure_end(load);
		break;
	case LOAD_DRAINING:
		if ((load->outstanding > 0 || still_due(load) > 0) && in_phase_ns < DRAIN_NS_MAX)
			break;
		load->results.counts.unsent = still_due(load);
		phase_begin(load, o->on_demand ? LOAD_PAUSED : LOAD_DONE);
		break;
	case LOAD_PAUSED:
	case LOAD_DONE:
		break;
	}
}

static void watch_silence(struct load *load)
{
	bool waiting = load->outstanding > 0 || load->opening > 0;

	if (load->last_reply_ns == 0 || !waiting)
		load->last_reply_ns = load->now_ns;
	if (load->now_ns - load->last_reply_ns <= SILENCE_NS_MAX)
		return;
	load__give_up(load, load->opened_once ? "no reply for 10 s" : "cannot connect",
		      load->opened_once ? "" : "no answer for 10 s");
}

static bool at_rest(const struct load *load)
{
	return load->phase == LOAD_DONE || load->phase == LOAD_PAUSED;
}

void load_measure(struct load *load, double seconds, uint64_t now_ns)
{
	results_init(&load->results);
	load->test_s = seconds;
	load->now_ns = now_ns;
	load->last_reply_ns = now_ns;
	load->next_due_ns = (double)now_ns;
	phase_begin(load, LOAD_MEASURING);
}

bool load_turn(struct load *load, uint64_t now_ns)
{
	const struct load_options *o = load->options;

	if (load->phase == LOAD_MEASURING && now_ns - load->now_ns > load->results.turn_ns_max)
		load->results.turn_ns_max = now_ns - load->now_ns;
	load->now_ns = now_ns;
	if (at_rest(load))
		return true;
	load->results.counts.turns++;
	if (!load->progress)
		load->results.counts.empty_turns++;
	load->progress = false;
	watch_silence(load);
	if (load->phase == LOAD_DONE)
		return true;
	if (load->phase != LOAD_DRAINING)
		load__open_clients(load);
	if (o->protocol == LOAD_MC_UDP)
		load__expire_datagrams(load);
	next_phase(load);
	if (at_rest(load))
		return true;
	if (load->phase == LOAD_CONNECTING) {
		for (uint32_t i = o->clients; i < load->clients_count; i++) {
			if (!load->clients[i].big_set)
				load__fill_pipeline(load, &load->clients[i]);
		}
	} else if (o->rate > 0) {
		load__follow_schedule(load);
	} else if (load->phase != LOAD_DRAINING) {
		load__fill_pipelines(load);
	}
	return false;
}

bool load_close_some(struct load *load, uint32_t max)
{
	for (uint32_t i = 0; i < load->clients_count; i++) {
		struct load_client *c = &load->clients[i];

		if (c->state == CLIENT_CLOSED)
			continue;
		if (max-- == 0)
			return true;
		load->link->ops->close(load->link, c);
		load__client_gone(load, c);
	}
	return false;
}

bool load_may_wait(const struct load *load)
{
	return load->options->rate <= 0 && !load->ready_head;
}
