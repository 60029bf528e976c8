/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_internal.h"

#include "base/endian.h"

#include <math.h>

/*
 * What goes out: which client opens, and which sends the next request when. Called by load_turn().
 * A client that may have room stands in the list of ready ones.
 */

#define OPENING_MAX  64   // handshakes under way: a listen backlog holds more
#define FILL_MAX     256  // requests of one client per turn
#define SCHEDULE_MAX 1024 // requests of the open loop per turn
#define DATAGRAM_MAX 1472 // what one frame carries; load_options.c refuses longer requests

void load__make_ready(struct load_client *c)
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
	// request id, sequence number, datagrams, reserved
	const struct be16 header[] = {be16_from_host(request->id), be16_from_host(0),
				      be16_from_host(1), be16_from_host(0)};
	uint8_t bytes[DATAGRAM_MAX];
	struct out out = {
		.pos = bytes + sizeof(header), .end = bytes + sizeof(bytes), .ops = &datagram_ops};
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
void load__fill_pipeline(struct load *load, struct load_client *c)
{
	struct out *out;
	uint32_t begun = 0;

	if (!has_room(c))
		return;
	out = sink_of(load, c);
	while (has_room(c) && begun++ < FILL_MAX)
		begin(load, c, load->now_ns, out);
	if (has_room(c))
		load__make_ready(c);
}

void load__fill_pipelines(struct load *load)
{
	struct load_client *end = NULL;

	// Those that come back to the list have their next turn in the next call.
	for (struct load_client *c; load->ready_head != end && (c = take_ready(load)) != NULL;) {
		load__fill_pipeline(load, c);
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
			load__fill_pipeline(load, c);
		else if (has_room(c))
			return c;
	}
	return NULL;
}

/*
 * Open loop: what is due goes to clients in turn. Without room it stays due, also beyond the end of
 * the measured time if it was due before.
 */
void load__follow_schedule(struct load *load)
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
			load__make_ready(c);
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
void load__open_clients(struct load *load)
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
