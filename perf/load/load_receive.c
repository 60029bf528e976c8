/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_internal.h"

#include "base/clock.h"
#include "base/contract.h"
#include "base/endian.h"

/*
 * What comes back: connections that open and end, replies, datagrams that do not come. Called by
 * the link from its receive(). What a callback finds to do next is noted by putting the client on
 * the list of ready ones.
 */

#define EXPIRE_PER_TURN 16 // clients looked at for lost datagrams

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
	load__make_ready(c);
}

/* The connection is gone; its requests are as well. */
void load__client_gone(struct load *load, struct load_client *c)
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
	load__client_gone(load, c);
	if (load->opened_once == 0)
		load__give_up(load, "cannot connect", why);
	else
		load__fail(load, "a connection was lost", why);
}

static void count_reply(struct load *load, struct load_client *c,
			const struct load_request *request, uint64_t now_ns)
{
	struct load_results *r = &load->results;

	r->counts.requests_all++;
	if (c->reader.wrong || c->reader.refused) {
		r->counts.wrong += c->reader.wrong;
		r->counts.refused += c->reader.refused && !c->reader.wrong;
		load__fail(load, c->reader.wrong ? "wrong reply" : "error reply", c->reader.why);
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
		load__client_gone(load, c);
		return false;
	}
	load__make_ready(c);
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
			load__give_up(load, "the server speaks unasked", "");
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
			load__give_up(load, "this is no reply of the protocol", c->reader.why);
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
		load__give_up(load, "this is no reply of the protocol", c->reader.why);
		break;
	}
}

/* Datagrams that will not come: a few clients per turn, the oldest request of each. */
void load__expire_datagrams(struct load *load)
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
			load__make_ready(c);
		}
	}
}
