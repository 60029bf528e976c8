/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_world.h"

#include "nic/tcp/tcp_stack.h"

#include <stdlib.h>

/*
 * The applications of the simulation: they write streams that everybody can predict, in pieces and
 * by reference, read with pauses, and end in order, early or by abort.
 */

#define PIECE_MAX 6000
#define HELD_MAX  60000

struct sim_blob {
	struct sim_world *world;
	struct blob blob;
};

static void release_blob(struct blob *blob)
{
	struct sim_blob *b = CONTAINER_OF(blob, struct sim_blob, blob);

	b->world->blobs_live--;
	free(b);
}

struct sim_app *sim_app_of(struct sim_world *w, int side, const struct flow *flow)
{
	uint16_t port = side == 0 ? flow->local_port : flow->remote_port;

	return &w->apps[port - SIM_PORT_FIRST][side];
}

void sim_app_init(struct sim_world *w, uint32_t id)
{
	// Mostly small talk, sometimes a lot; the sum bounds the run's time.
	static const uint32_t sizes[] = {0, 1, 100, 3000, 20000, 100000, 300000};

	for (int side = 0; side < 2; side++) {
		uint32_t kind = rng_below(&w->rng, 10);

		w->apps[id][side] = (struct sim_app){
			.world = w,
			.id = id,
			.side = side,
			.ending = kind < 7   ? SIM_END_ORDERLY
				  : kind < 9 ? SIM_END_EARLY
					     : SIM_END_ABORT,
			.to_write = sizes[rng_below(&w->rng, ARRAY_COUNT(sizes))],
			.wake_ns = w->now_ns + rng_below(&w->rng, 20000000),
		};
		w->apps[id][side].to_write += rng_below(&w->rng, w->apps[id][side].to_write + 1);
	}
}

static void write_copied(struct sim_app *app, struct out *out, uint32_t len)
{
	uint8_t bytes[PIECE_MAX];

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = sim_stream_byte(app->id, app->side, app->written + i);
	out_append(out, slice_of(bytes, len));
}

static void write_blob(struct sim_app *app, struct out *out, uint32_t len)
{
	struct sim_blob *b = malloc(sizeof(*b) + len + 7);
	uint32_t offset = len % 8;

	if (!b)
		abort();
	b->world = app->world;
	b->world->blobs_live++;
	b->blob = (struct blob){
		.refs = 1, .release = release_blob, .len = len + offset, .capacity = len + 7};
	for (uint32_t i = 0; i < len; i++)
		b->blob.bytes[offset + i] = sim_stream_byte(app->id, app->side, app->written + i);
	out_append_blob(out, &b->blob, offset, len);
	blob_unref(&b->blob);
}

static void write_some(struct sim_app *app)
{
	struct sim_world *w = app->world;
	uint32_t pieces = 1 + rng_below(&w->rng, 6);

	for (uint32_t i = 0; i < pieces && app->written < app->to_write; i++) {
		uint32_t len = 1 + rng_below(&w->rng, rng_below(&w->rng, 2) ? 40 : PIECE_MAX);
		struct out *out;

		if (app->paused || tcp_out_full(app->conn)) {
			app->paused = true;
			return;
		}
		if (len > app->to_write - app->written)
			len = app->to_write - app->written;
		out = tcp_out(app->conn);
		if (rng_below(&w->rng, 4) == 0)
			write_blob(app, out, len);
		else
			write_copied(app, out, len);
		if (out->failed) {
			app->failed_output = true;
			return;
		}
		app->written += len;
	}
}

/* The stream so far is read in full, so the other side has nothing left to be waited for. */
static bool may_end(const struct sim_app *app)
{
	if (app->written < app->to_write)
		return false;
	// Side 0 ends first; side 1 sees its FIN and follows.
	return app->ending != SIM_END_ORDERLY || app->fin ||
	       (app->side == 0 && app->received >= app->world->apps[app->id][1].to_write);
}

void sim_app_step(struct sim_app *app)
{
	struct sim_world *w = app->world;

	app->wake_ns = w->now_ns + 100000 + rng_below(&w->rng, 3000000);
	if (app->closed || app->failed_output)
		return;
	// A reader that falls asleep with its window closed: only probes find out when it wakes.
	if (app->held > 0 && rng_below(&w->rng, 30) == 0) {
		app->wake_ns = w->now_ns + rng_next(&w->rng) % (3 * 1000000000ull);
		return;
	}
	if (app->held > 0 && rng_below(&w->rng, 3) == 0) {
		app->held = 0;
		tcp_set_held(app->conn, 0);
	}
	write_some(app);
	if (app->over || app->failed_output || !may_end(app))
		return;
	app->closed = true;
	if (app->ending == SIM_END_ABORT)
		tcp_abort(app->conn);
	else
		tcp_close(app->conn);
}

void sim_app_data(struct sim_app *app, struct slice data)
{
	struct sim_world *w = app->world;

	for (uint32_t i = 0; i < data.len; i++)
		if (data.ptr[i] != sim_stream_byte(app->id, 1 - app->side, app->received + i))
			sim_fail(w, "wrong byte received", app->id, app->side);
	app->received += (uint32_t)data.len;
	if (app->received > w->apps[app->id][1 - app->side].written)
		sim_fail(w, "received more than was written", app->id, app->side);
	if (rng_below(&w->rng, 4) == 0 && app->held + data.len < HELD_MAX) {
		app->held += (uint32_t)data.len;
		tcp_set_held(app->conn, app->held);
	}
	// Some answers are written at once, and so ride on the burst.
	if (rng_below(&w->rng, 2) == 0 && !app->closed)
		write_some(app);
}

/* Both ends have been told that it is over: was what they were told true? */
void sim_app_check_end(struct sim_world *w, uint32_t id)
{
	bool orderly = true;

	for (int side = 0; side < 2; side++) {
		const struct sim_app *app = &w->apps[id][side];

		orderly = orderly && app->ending == SIM_END_ORDERLY && !app->failed_output;
		if (app->reason == TCP_CLOSED_OVERLOAD && !w->small_pools)
			sim_fail(w, "overload with plenty of room", id, side);
		orderly = orderly && app->reason != TCP_CLOSED_OVERLOAD;
	}
	for (int side = 0; orderly && side < 2; side++) {
		const struct sim_app *app = &w->apps[id][side];

		if (app->received != w->apps[id][1 - side].to_write && !w->may_fail &&
		    !w->small_pools)
			sim_fail(w, "orderly end with bytes missing", id, side);
		// The last ACK may be lost after TIME-WAIT is over; then the other side ends by
		// RST.
		if (app->reason != TCP_CLOSED && app->received != w->apps[id][1 - side].to_write &&
		    !w->may_fail && !w->small_pools)
			sim_fail(w, "orderly end by another way", id, side);
	}
}
