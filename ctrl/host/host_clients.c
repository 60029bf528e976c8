/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/host/host_clients.h"

#include "ctrl/text/text.h"
#include "dataplane/command/cmd_client.h"

#include <arpa/inet.h>
#include <stdlib.h>

/*
 * Clients live on their workers, so a list is gathered by a visitor that each worker runs in its
 * turn (worker_mail.h). It must not allocate or take long there: it copies what matches into rows
 * that were set aside beforehand, and the control thread makes text of them.
 */

#define ROWS_SPARE     256 // clients that connect between counting and gathering
#define LINE_BYTES_MAX 1024

struct row {
	struct client client;
	struct cmd_client_io io;
};

struct gathering {
	const struct cmd_client_filter *filter;
	uint64_t self_id;
	struct row *rows; // NULL: to be ended, not to be listed
	uint64_t room, count;
};

/* Worker threads, one at a time, and the control thread. */
static bool list_one(void *arg, const struct worker_client_view *view)
{
	struct gathering *g = arg;

	if (g->count == g->room || !cmd_client_matches(g->filter, view->client, g->self_id))
		return false;
	g->rows[g->count++] = (struct row){
		.client = *view->client,
		.io =
			{
				.fd = -1,
				.input_bytes = view->query_bytes,
				.output_bytes = view->out_bytes,
				.memory_bytes =
					sizeof(struct client) + view->query_bytes + view->out_bytes,
			},
	};
	return false;
}

/* The same threads. */
static bool kill_one(void *arg, const struct worker_client_view *view)
{
	struct gathering *g = arg;

	if (!cmd_client_matches(g->filter, view->client, g->self_id))
		return false;
	g->count++;
	return true;
}

static void reply_rows(const struct host *host, struct reply *r, const struct gathering *g)
{
	struct text text;

	text_init(&text, g->count * LINE_BYTES_MAX + 1);
	for (uint64_t i = 0; i < g->count; i++)
		cmd_client_format(&g->rows[i].client, &g->rows[i].io, host->cmd->now_ms, &text.out);
	if (text.out.failed)
		REPLY_ERROR(r, "ERR out of memory");
	else
		r->ops->verbatim(r, "txt", text_bytes(&text));
	text_fini(&text);
}

/* All that match, to be freed; NULL: no memory. */
static struct row *gather(const struct host *host, struct gathering *g)
{
	struct stats_snapshot s;

	stats_collect(host->stats, &s);
	g->room = s.connections + s.admin_clients + ROWS_SPARE;
	g->rows = malloc(g->room * sizeof(*g->rows));
	if (g->rows)
		host->visit_clients(host->visit_arg, list_one, g);
	return g->rows;
}

void host_client_list(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self)
{
	const struct host *host = arg;
	struct cmd_client_filter filter;
	struct gathering g = {.filter = &filter};

	if (!cmd_client_list_filter(args, count, &filter, NULL))
		return;
	if (gather(host, &g))
		reply_rows(host, r, &g);
	else
		REPLY_ERROR(r, "ERR out of memory");
	free(g.rows);
}

/* "tcp:10.0.0.1:4711", "tcp6:[fd00::1]:4711" */
static void put_address(struct text *text, const uint8_t address[16], uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + sizeof(mapped) : address, ip, sizeof(ip));
	text_printf(text, v4 ? "tcp:%s:%u\r\n" : "tcp6:[%s]:%u\r\n", ip, port);
}

static void put_conn(struct text *text, const struct client *client, uint64_t now_ms)
{
	unsigned long long id = client->id;
	uint64_t idle_ms = now_ms > client->active_ms ? now_ms - client->active_ms : 0;

	text_printf(text, "STAT %llu:addr ", id);
	put_address(text, client->remote, client->remote_port);
	text_printf(text, "STAT %llu:listen_addr ", id);
	put_address(text, client->local, client->local_port);
	text_printf(text, "STAT %llu:state conn_read\r\n", id);
	text_printf(text, "STAT %llu:secs_since_last_cmd %llu\r\n", id,
		    (unsigned long long)(idle_ms / 1000));
}

void host_mc_conns(const struct host *host, struct out *out)
{
	struct cmd_client_filter filter;
	struct gathering g = {.filter = &filter};
	struct text text;

	if (!cmd_client_list_filter(NULL, 0, &filter, NULL) || !gather(host, &g))
		return;
	text_init(&text, g.count * LINE_BYTES_MAX + 1);
	for (uint64_t i = 0; i < g.count; i++) {
		if (g.rows[i].client.local_port == host->config->now.memcached_port)
			put_conn(&text, &g.rows[i].client, host->cmd->now_ms);
	}
	out_append(out, text_bytes(&text));
	text_fini(&text);
	free(g.rows);
}

void host_client_kill(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self)
{
	const struct host *host = arg;
	struct cmd_client_filter filter;
	struct gathering g = {.filter = &filter, .self_id = self->id};

	if (!cmd_client_kill_filter(args, count, &filter, NULL))
		return;
	host->visit_clients(host->visit_arg, kill_one, &g);
	cmd_client_kill_reply(r, &filter, g.count);
}
