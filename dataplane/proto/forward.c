/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/session.h"

#include "dataplane/proto/resp/resp.h"

#include <stdlib.h>

/*
 * Requests that another thread runs. The worker makes a copy and mails it (forward_new), control or
 * background runs it into a blob (forward_run), and the worker sends that and frees the rest. The
 * connection waits meanwhile, so there is at most one for each.
 */

#define REPLY_FIRST_BYTES 1024

/* A sink over one blob that grows. */
struct blob_out {
	struct out out;
	struct blob *blob; // NULL before the first byte
};

static void release(struct blob *blob)
{
	free(blob);
}

static size_t used_bytes(const struct blob_out *b)
{
	return b->blob ? (size_t)(b->out.pos - b->blob->bytes) : 0;
}

static bool make_room(struct blob_out *b, size_t len)
{
	size_t used = used_bytes(b);
	size_t capacity = b->blob ? b->blob->capacity : REPLY_FIRST_BYTES;
	struct blob *blob;

	if (len > FORWARD_REPLY_MAX_BYTES - used)
		return false;
	while (capacity < used + len)
		capacity *= 2;
	blob = realloc(b->blob, sizeof(*blob) + capacity);
	if (!blob)
		return false;
	if (!b->blob) {
		atomic_init(&blob->refs, 1);
		blob->reserved = 0;
		blob->release = release;
		blob->len = 0;
	}
	blob->capacity = capacity;
	b->blob = blob;
	b->out.pos = blob->bytes + used;
	b->out.end = blob->bytes + capacity;
	return true;
}

static bool grow(struct out *out, size_t min)
{
	return make_room(CONTAINER_OF(out, struct blob_out, out), min);
}

static bool append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	if ((size_t)(out->end - out->pos) < len &&
	    !make_room(CONTAINER_OF(out, struct blob_out, out), len))
		return false;
	out_append(out, slice_of(blob->bytes + offset, len));
	return true;
}

static const struct out_ops blob_out_ops = {.grow = grow, .append_blob = append_blob};

/* Bytes of the arguments that have to be copied, because no blob holds them. */
static size_t copied_bytes(const struct request *request)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < request->argc; i++)
		if (!request->blobs || !request->blobs[i])
			sum += request->argv[i].len;
	return sum;
}

static void copy_arguments(struct forward *forward, const struct request *request, uint8_t *to)
{
	for (uint32_t i = 0; i < request->argc; i++) {
		struct slice arg = request->argv[i];
		struct blob *blob = request->blobs ? request->blobs[i] : NULL;

		if (forward->blobs)
			forward->blobs[i] = blob ? blob_ref(blob) : NULL;
		forward->argv[i] = blob ? arg : slice_of(to, arg.len);
		if (blob || arg.len == 0)
			continue;
		memcpy(to, arg.ptr, arg.len);
		to += arg.len;
	}
}

/* EXEC takes along what it is about. */
static void take_queue(struct forward *forward, struct session *session)
{
	forward->queue = session->queue;
	session->queue = NULL;
}

struct forward *forward_new(const struct session *session, const struct request *request)
{
	size_t bytes = copied_bytes(request);
	size_t slices = request->argc * sizeof(struct slice);
	size_t blobs = request->blobs ? request->argc * sizeof(struct blob *) : 0;
	struct forward *forward;

	if (bytes > session->host->limits->query_max_bytes)
		return NULL;
	forward = malloc(sizeof(*forward) + slices + blobs + bytes);
	if (!forward)
		return NULL;
	*forward = (struct forward){
		.client = session->client,
		.cmd = request->cmd,
		.argc = request->argc,
		.argv = (struct slice *)(forward + 1),
		.client_id = session->client.id,
	};
	if (blobs > 0)
		forward->blobs = (struct blob **)(forward->argv + request->argc);
	copy_arguments(forward, request, (uint8_t *)(forward + 1) + slices + blobs);
	if (request->cmd->flags & CMD_TRANSACTION)
		take_queue(forward, request->session);
	return forward;
}

/*
 * The arguments at the places that the command's row names, hashed. NULL with *count > 0: no
 * memory.
 */
static struct table_key *hash_keys(const struct forward *forward, const struct table *table,
				   uint32_t *count)
{
	struct table_key *keys;

	*count = session_key_count(forward->cmd, forward->argc);
	keys = *count > 0 ? malloc(*count * sizeof(*keys)) : NULL;
	for (uint32_t i = 0; keys && i < *count; i++)
		keys[i] = table_key(table, forward->argv[session_key_index(forward->cmd, i)]);
	return keys;
}

static void run_one(struct forward *forward, struct cmd_thread *thread, struct out *out)
{

	struct reply reply = resp_reply(out, forward->client.resp);
	struct cmd_call call = {
		.thread = thread,
		.client = &forward->client,
		.cmd = forward->cmd,
		.argc = forward->argc,
		.argv = forward->argv,
		.blobs = forward->blobs,
		.reply = &reply,
	};
	struct table_key *keys;

	// Everything else was admitted where it came in; see resp_run().
	if ((forward->cmd->flags & CMD_WRITE) && !cmd_admit(thread, &forward->client, forward->cmd,
							    forward->argc, forward->argv, &reply))
		return;
	keys = hash_keys(forward, thread->table, &call.key_count);
	if (call.key_count > 0 && !keys) {
		REPLY_ERROR(&reply, "ERR out of memory");
		return;
	}
	call.keys = keys;
	cmd_run(&call);
	free(keys);
}

static void run_queue(struct forward *forward, struct cmd_thread *thread, struct out *out)
{
	struct reply reply = resp_reply(out, forward->client.resp);
	uint32_t count = 0;

	for (const struct forward *q = forward->queue; q; q = q->next)
		count++;
	reply_array(&reply, count);
	for (struct forward *q = forward->queue; q; q = q->next) {
		q->client = forward->client;
		q->connection = forward->connection;
		q->client_id = forward->client_id;
		q->worker = forward->worker;
		run_one(q, thread, out);
		forward->client.close_after |= q->client.close_after;
	}
}

void forward_run(struct forward *forward, struct cmd_thread *thread)
{
	struct blob_out b = {.out.ops = &blob_out_ops};

	REQUIRE(!forward->reply);
	if (forward->queue)
		run_queue(forward, thread, &b.out);
	else
		run_one(forward, thread, &b.out);
	if (b.out.failed) {
		struct reply reply = resp_reply(&b.out, forward->client.resp);

		// Half a reply would put the client out of step: it gets an error in its place.
		b.out.failed = false;
		b.out.pos = b.blob ? b.blob->bytes : NULL;
		REPLY_ERROR(&reply, "ERR the reply is too long");
	}
	forward->failed = b.out.failed;
	if (b.blob)
		b.blob->len = used_bytes(&b);
	forward->reply = b.blob;
}

static void free_one(struct forward *forward)
{
	for (uint32_t i = 0; forward->blobs && i < forward->argc; i++)
		blob_unref(forward->blobs[i]);
	blob_unref(forward->reply);
	free(forward);
}

void forward_free(struct forward *forward)
{
	if (!forward)
		return;
	while (forward->queue) {
		struct forward *q = forward->queue;

		forward->queue = q->next;
		free_one(q);
	}
	free_one(forward);
}
