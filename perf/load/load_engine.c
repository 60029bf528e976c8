/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_engine.h"

#include "base/clock.h"
#include "base/contract.h"
#include "base/endian.h"
#include "perf/load/load_link.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Clients and their pipelines, the schedule, the phases. Called by main()'s loop (load_turn) and by
 * the link (load_opened, load_received, load_closed). What a callback finds to do is noted by
 * putting the client on the list of ready ones; load_turn() does it.
 */

#define OPENING_MAX      64 // handshakes under way: a listen backlog holds more
#define SILENCE_NS_MAX   (10 * NS_PER_S)
#define DRAIN_NS_MAX     (5 * NS_PER_S)
#define EXPIRE_PER_TURN  16 // clients looked at for lost datagrams
#define UDP_HEADER_BYTES 8  // memcached's: request id, sequence number, datagrams, reserved
#define UDP_REPLY_MAX    65535
#define FILL_MAX         256  // requests of one client per turn
#define SCHEDULE_MAX     1024 // requests of the open loop per turn

enum client_state {
	CLIENT_CLOSED,
	CLIENT_OPENING,
	CLIENT_OPEN,
};

struct load_client {
	struct load *load;
	void *handle;             // of the link
	uint8_t state;            // enum client_state
	bool big, ready, big_set; // big_set: its value is there
	struct load_client *ready_next;
	struct load_request *ring; // outstanding: [tail, head), by & mask
	uint32_t head, tail, mask;
	uint64_t left;      // requests still to begin
	uint32_t conn_left; // of this connection
	uint64_t opened_at_ns;
	struct load_draw draw[2]; // by enum load_op
	struct load_reader reader;
	uint16_t udp_id, udp_next; // reply in progress and its next datagram
	bool udp_partial;
};

struct load {
	const struct load_options *options;
	const struct load_proto *proto;
	struct load_link *link;
	load_phase_fn *on_phase;
	void *phase_arg;
	struct load_space space;
	struct rng rng;
	struct load_client *clients;
	uint32_t clients_count;  // big ones behind the others
	uint32_t clients_wanted; // those that have requests to send at all
	struct load_client *ready_head, *ready_tail;
	uint32_t opening, open, opened_once, next_to_open;
	uint64_t outstanding; // requests
	uint32_t expire_at;
	uint32_t op_at; // in the cycle of ratio_set + ratio_get
	double next_due_ns;
	uint64_t now_ns, last_reply_ns, phase_ns, measured_from_ns, measured_to_ns;
	uint64_t requests_left; // over all clients, when counted
	enum load_phase phase;
	bool failed, progress; // progress: something came in since the last turn
	uint64_t *keys;        // of all rings
	struct load_results results;
};

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
	load_hist_init(&load->results.latency);
	load_hist_init(&load->results.service);
	load_hist_init(&load->results.connect);
	load_hist_init(&load->results.big);
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

static COLD void fail(struct load *load, const char *what, const char *detail)
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
static COLD void give_up(struct load *load, const char *what, const char *detail)
{
	fail(load, what, detail);
	measured_until_now(load);
	load->phase = LOAD_DONE;
}

static void make_ready(struct load_client *c)
{
	struct load *load = c->load;

	if (c->ready)
		return;
	c->ready = true;
	c->ready_next = NULL;
	if (load->ready_tail)
		load->ready_tail->ready_next = c;
	else
		load->ready_head = c;
	load->ready_tail = c;
}

static struct load_client *take_ready(struct load *load)
{
	struct load_client *c = load->ready_head;

	if (!c)
		return NULL;
	load->ready_head = c->ready_next;
	if (!load->ready_head)
		load->ready_tail = NULL;
	c->ready = false;
	return c;
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

/*
 * What a request belongs to: the closed loop counts what is answered in the measured time, the open
 * loop what became due in it, whenever it is answered.
 */
static bool measured(const struct load *load, const struct load_request *request)
{
	if (load->options->rate > 0)
		return request->due_ns >= load->measured_from_ns &&
		       (load->phase == LOAD_MEASURING ||
			(load->phase == LOAD_DRAINING && request->due_ns < load->measured_to_ns));
	return load->phase == LOAD_MEASURING;
}

static uint32_t pipeline_of(const struct load_client *c)
{
	return c->big ? 1 : c->load->options->pipeline;
}

static bool has_room(const struct load_client *c)
{
	const struct load *load = c->load;

	if (c->big && load->options->requests && load->requests_left == 0)
		return false;
	return c->state == CLIENT_OPEN && c->left > 0 && c->head - c->tail < pipeline_of(c) &&
	       (c->conn_left > 0 || load->options->reconnect_interval == 0);
}

static enum load_op next_op(struct load *load)
{
	const struct load_options *o = load->options;
	uint32_t at = load->op_at;

	load->op_at = at + 1 == o->ratio_set + o->ratio_get ? 0 : at + 1;
	return at < o->ratio_set ? LOAD_SET : LOAD_GET;
}

static bool datagram_full(struct out *out, size_t min)
{
	return false;
}

static bool datagram_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	return false;
}

static const struct out_ops datagram_ops = {datagram_full, datagram_blob};

static void send_datagram(struct load *load, struct load_client *c, struct load_request *request)
{
	uint8_t bytes[UDP_REPLY_MAX];
	struct out out = {.pos = bytes + UDP_HEADER_BYTES,
			  .end = bytes + sizeof(bytes),
			  .ops = &datagram_ops};
	const struct be16 header[4] = {be16_from_host(request->id), be16_from_host(0),
				       be16_from_host(1), be16_from_host(0)};
	size_t len;

	memcpy(bytes, header, sizeof(header));
	load->proto->encode(&load->space, request, &out);
	len = (size_t)(out.pos - bytes);
	// What the link cannot send is lost like any other datagram.
	(void)load->link->ops->datagram(load->link, c, slice_of(bytes, len));
}

/* Begins one request of a client that has room. */
static void begin(struct load *load, struct load_client *c, uint64_t due_ns, struct out *out)
{
	struct load_request *request = &c->ring[c->head & c->mask];

	request->due_ns = due_ns;
	request->sent_ns = load->now_ns;
	request->done = false;
	request->id = (uint16_t)c->head;
	if (c->big) {
		request->op = c->big_set ? LOAD_GET : LOAD_SET;
		request->keys[0] = LOAD_KEY_BIG;
		request->keys_count = 1;
	} else {
		request->op = (uint8_t)next_op(load);
		request->keys_count =
			request->op == LOAD_GET ? (uint16_t)load->options->multi_get : 1;
		for (uint32_t i = 0; i < request->keys_count; i++)
			request->keys[i] = load_draw_next(&c->draw[request->op], &load->rng);
		if (load->options->requests)
			load->requests_left--;
	}
	if (c->left != UINT64_MAX)
		c->left--;
	if (load->options->reconnect_interval)
		c->conn_left--;
	c->head++;
	load->outstanding++;
	if (out)
		load->proto->encode(&load->space, request, out);
	else
		send_datagram(load, c, request);
}

static struct out *sink_of(struct load *load, struct load_client *c)
{
	if (load->options->protocol == LOAD_MC_UDP)
		return NULL;
	return load->link->ops->out(load->link, c);
}

/* Closed loop. */
static void fill_pipeline(struct load *load, struct load_client *c)
{
	struct out *out;
	uint32_t begun = 0;

	if (!has_room(c))
		return;
	out = sink_of(load, c);
	while (has_room(c) && begun++ < FILL_MAX)
		begin(load, c, load->now_ns, out);
	if (has_room(c))
		make_ready(c);
}

static void fill_pipelines(struct load *load)
{
	struct load_client *end = NULL;

	// Those that come back to the list have their next turn in the next call.
	for (struct load_client *c; load->ready_head != end && (c = take_ready(load)) != NULL;) {
		fill_pipeline(load, c);
		if (c->ready && !end)
			end = c;
	}
}

/* Time from one request to the next of the open loop. */
static double gap_ns(struct load *load)
{
	double mean = 1e9 / load->options->rate;
	double u = (double)(rng_next(&load->rng) >> 11) / 9007199254740992.0;

	return load->options->arrivals_uniform ? mean : -mean * log(1 - u);
}

/* The next client with room that is not one of the big ones, which have a loop of their own. */
static struct load_client *client_with_room(struct load *load)
{
	struct load_client *c;

	while ((c = take_ready(load)) != NULL) {
		if (c->big)
			fill_pipeline(load, c);
		else if (has_room(c))
			return c;
	}
	return NULL;
}

/*
 * Open loop: what is due goes to clients in turn. Without room it stays due, also beyond the end of
 * the measured time if it was due before.
 */
static void follow_schedule(struct load *load)
{
	double until_ns =
		(double)(load->phase == LOAD_DRAINING ? load->measured_to_ns : load->now_ns);

	for (uint32_t i = 0; i < SCHEDULE_MAX && load->next_due_ns <= until_ns; i++) {
		struct load_client *c = client_with_room(load);

		if (!c)
			return;
		begin(load, c, (uint64_t)load->next_due_ns, sink_of(load, c));
		load->next_due_ns += gap_ns(load);
		if (has_room(c))
			make_ready(c);
	}
}

static void client_open(struct load *load, struct load_client *c)
{
	if (!load->link->ops->open(load->link, c))
		return;
	c->state = CLIENT_OPENING;
	c->opened_at_ns = load->now_ns;
	load->opening++;
}

/* Opens what is not open, a few at a time. */
static void open_clients(struct load *load)
{
	uint32_t looked = 0;

	while (load->open + load->opening < load->clients_wanted && load->opening < OPENING_MAX &&
	       looked++ < load->clients_count) {
		struct load_client *c = &load->clients[load->next_to_open];

		if (c->state == CLIENT_CLOSED && c->left > 0) {
			client_open(load, c);
			if (c->state == CLIENT_CLOSED)
				return; // the link has no room
		}
		load->next_to_open =
			load->next_to_open + 1 == load->clients_count ? 0 : load->next_to_open + 1;
	}
}

void load_opened(struct load_client *c, uint64_t now_ns)
{
	struct load *load = c->load;

	load->progress = true;
	load->last_reply_ns = now_ns;
	load->opening--;
	load->open++;
	load->opened_once++;
	c->state = CLIENT_OPEN;
	c->conn_left = load->options->reconnect_interval;
	load_reader_next(&c->reader);
	if (load->phase == LOAD_MEASURING || load->phase == LOAD_CONNECTING) {
		load_hist_add(&load->results.connect, now_ns - c->opened_at_ns);
		load->results.counts.connects += load->phase == LOAD_MEASURING;
	}
	make_ready(c);
}

/* The connection is gone; its requests are as well. */
static void client_gone(struct load *load, struct load_client *c)
{
	load->outstanding -= c->head - c->tail;
	c->tail = c->head;
	load->open -= c->state == CLIENT_OPEN;
	load->opening -= c->state == CLIENT_OPENING;
	c->state = CLIENT_CLOSED;
	c->handle = NULL;
}

void load_closed(struct load_client *c, const char *why, uint64_t now_ns)
{
	struct load *load = c->load;

	load->now_ns = now_ns;
	load->results.counts.lost_connections++;
	client_gone(load, c);
	if (load->opened_once == 0)
		give_up(load, "cannot connect", why);
	else
		fail(load, "a connection was lost", why);
}

static void count_reply(struct load *load, struct load_client *c,
			const struct load_request *request, uint64_t now_ns)
{
	struct load_results *r = &load->results;

	r->counts.requests_all++;
	if (c->reader.wrong || c->reader.refused) {
		r->counts.wrong += c->reader.wrong;
		r->counts.refused += c->reader.refused && !c->reader.wrong;
		fail(load, c->reader.wrong ? "wrong reply" : "error reply", c->reader.why);
	}
	if (!measured(load, request))
		return;
	if (c->big) {
		r->counts.big_requests++;
		r->counts.big_bytes += load->options->big_bytes;
		load_hist_add(&r->big, now_ns - request->sent_ns);
		return;
	}
	r->counts.requests++;
	r->counts.gets += request->op == LOAD_GET;
	r->counts.sets += request->op == LOAD_SET;
	r->counts.hits += c->reader.hits;
	r->counts.misses += c->reader.misses;
	load_hist_add(&r->latency, now_ns - request->due_ns);
	if (load->options->rate > 0)
		load_hist_add(&r->service, now_ns - request->sent_ns);
}

/* The reply to *request is complete. Returns false when the connection has been closed for it. */
static bool finish_request(struct load_client *c, struct load_request *request, uint64_t now_ns)
{
	struct load *load = c->load;

	count_reply(load, c, request, now_ns);
	if (c->big)
		c->big_set = true;
	load_reader_next(&c->reader);
	request->done = true;
	while (c->tail != c->head && c->ring[c->tail & c->mask].done) {
		c->tail++;
		load->outstanding--;
	}
	if (load->options->reconnect_interval && c->conn_left == 0 && c->tail == c->head &&
	    !c->big) {
		load->link->ops->close(load->link, c);
		client_gone(load, c);
		return false;
	}
	make_ready(c);
	return true;
}

void load_received(struct load_client *c, struct slice data, uint64_t now_ns)
{
	struct load *load = c->load;

	load->progress = true;
	load->last_reply_ns = now_ns;
	if (load->phase == LOAD_MEASURING)
		load->results.counts.bytes_received += data.len;
	while (data.len > 0 && load->phase != LOAD_DONE) {
		struct load_request *request = &c->ring[c->tail & c->mask];

		if (unlikely(c->tail == c->head)) {
			load->results.counts.wrong++;
			load->now_ns = now_ns;
			give_up(load, "the server speaks unasked", "");
			return;
		}
		switch (load_reader_feed(&c->reader, request, &data)) {
		case LOAD_REPLY_MORE:
			return;
		case LOAD_REPLY_DONE:
			if (!finish_request(c, request, now_ns))
				return;
			break;
		case LOAD_REPLY_BAD:
			load->results.counts.wrong++;
			load->now_ns = now_ns;
			give_up(load, "this is no reply of the protocol", c->reader.why);
			return;
		}
	}
}

/* The outstanding request of a datagram's id, or NULL: late, or nobody's. */
static struct load_request *request_of_id(struct load_client *c, uint16_t id)
{
	uint16_t age = (uint16_t)((uint16_t)c->head - id);
	struct load_request *request = &c->ring[id & c->mask];

	if (age == 0 || age > c->head - c->tail || request->done || request->id != id)
		return NULL;
	return request;
}

void load_datagram(struct load_client *c, struct slice data, uint64_t now_ns)
{
	struct load *load = c->load;
	struct load_request *request;
	struct be16 header[4];
	uint16_t id, at;

	load->progress = true;
	load->last_reply_ns = now_ns;
	if (data.len < sizeof(header))
		return;
	memcpy(header, data.ptr, sizeof(header));
	id = be16_to_host(header[0]);
	at = be16_to_host(header[1]);
	request = request_of_id(c, id);
	if (!request)
		return;
	if (load->phase == LOAD_MEASURING)
		load->results.counts.bytes_received += data.len;
	if (at == 0)
		load_reader_next(&c->reader);
	else if (!c->udp_partial || id != c->udp_id || at != c->udp_next)
		return; // its beginning is lost, so it will time out
	c->udp_id = id;
	c->udp_next = (uint16_t)(at + 1);
	c->udp_partial = true;
	data = slice_of(data.ptr + sizeof(header), data.len - sizeof(header));
	switch (load_reader_feed(&c->reader, request, &data)) {
	case LOAD_REPLY_MORE:
		break;
	case LOAD_REPLY_DONE:
		c->udp_partial = false;
		finish_request(c, request, now_ns);
		break;
	case LOAD_REPLY_BAD:
		load->results.counts.wrong++;
		load->now_ns = now_ns;
		give_up(load, "this is no reply of the protocol", c->reader.why);
		break;
	}
}

/* Datagrams that will not come: a few clients per turn, the oldest request of each. */
static void expire_datagrams(struct load *load)
{
	uint64_t timeout_ns = load->options->udp_timeout_ms * NS_PER_MS;

	for (uint32_t i = 0; i < EXPIRE_PER_TURN; i++) {
		struct load_client *c = &load->clients[load->expire_at];

		load->expire_at = (load->expire_at + 1) % load->clients_count;
		while (c->tail != c->head) {
			struct load_request *request = &c->ring[c->tail & c->mask];

			if (!request->done && load->now_ns - request->sent_ns < timeout_ns)
				break;
			if (!request->done && measured(load, request))
				load->results.counts.lost_datagrams++;
			c->tail++;
			load->outstanding--;
			make_ready(c);
		}
	}
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
		phase_begin(load, o->warmup_s > 0 ? LOAD_WARMUP : LOAD_MEASURING);
		break;
	case LOAD_WARMUP:
		if ((double)in_phase_ns >= o->warmup_s * 1e9)
			phase_begin(load, LOAD_MEASURING);
		break;
	case LOAD_MEASURING:
		if (o->requests ? load->requests_left == 0 && load->outstanding == 0
				: (double)in_phase_ns >= o->test_s * 1e9)
			measure_end(load);
		break;
	case LOAD_DRAINING:
		if ((load->outstanding > 0 || still_due(load) > 0) && in_phase_ns < DRAIN_NS_MAX)
			break;
		load->results.counts.unsent = still_due(load);
		phase_begin(load, LOAD_DONE);
		break;
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
	give_up(load, load->opened_once ? "no reply for 10 s" : "cannot connect",
		load->opened_once ? "" : "no answer for 10 s");
}

bool load_turn(struct load *load, uint64_t now_ns)
{
	const struct load_options *o = load->options;

	if (load->phase == LOAD_MEASURING && now_ns - load->now_ns > load->results.turn_ns_max)
		load->results.turn_ns_max = now_ns - load->now_ns;
	load->now_ns = now_ns;
	if (load->phase == LOAD_DONE)
		return true;
	load->results.counts.turns++;
	if (!load->progress)
		load->results.counts.empty_turns++;
	load->progress = false;
	watch_silence(load);
	if (load->phase == LOAD_DONE)
		return true;
	if (load->phase != LOAD_DRAINING)
		open_clients(load);
	if (o->protocol == LOAD_MC_UDP)
		expire_datagrams(load);
	next_phase(load);
	if (load->phase == LOAD_DONE)
		return true;
	if (load->phase == LOAD_CONNECTING) {
		for (uint32_t i = o->clients; i < load->clients_count; i++) {
			if (!load->clients[i].big_set)
				fill_pipeline(load, &load->clients[i]);
		}
	} else if (o->rate > 0) {
		follow_schedule(load);
	} else if (load->phase != LOAD_DRAINING) {
		fill_pipelines(load);
	}
	return false;
}

void load_close_all(struct load *load)
{
	for (uint32_t i = 0; i < load->clients_count; i++) {
		struct load_client *c = &load->clients[i];

		if (c->state == CLIENT_CLOSED)
			continue;
		load->link->ops->close(load->link, c);
		client_gone(load, c);
	}
}

bool load_may_wait(const struct load *load)
{
	return load->options->rate <= 0 && !load->ready_head;
}
