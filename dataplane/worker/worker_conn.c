/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

/*
 * Connections: where TCP's callbacks meet the sessions. TCP hands over ordered bytes (on_data), the
 * session engine parses them into the batch, runs it and writes replies to tcp_out(). What must not
 * happen inside a callback (closing, moving windows) is noted by putting the connection on the
 * worker's touched list and done in worker_conns_settle(), at the end of the turn.
 */

#define SWEEP_SLOTS       64      // connections looked at per sweep
#define SWEEP_INTERVAL_NS 1000000 // 65,000 of them in about a second

static struct worker_conn *conn_alloc(struct worker *w)
{
	struct worker_conn *conn = w->conns_free;

	if (conn) {
		w->conns_free = conn->free_next;
		return conn;
	}
	if (w->conns_used == w->config.tcp.conns_max)
		return NULL;
	return &w->conns[w->conns_used++];
}

static void conn_free(struct worker_conn *conn)
{
	struct worker *w = conn->worker;

	session_fini(&conn->session);
	conn->free_next = w->conns_free;
	w->conns_free = conn;
	counter_sub(&w->stats.connections, 1);
}

void worker_conn_touch(struct worker_conn *conn)
{
	if (conn->touched)
		return;
	conn->touched = true;
	conn->touched_next = conn->worker->touched;
	conn->worker->touched = conn;
}

/* Says why in the client's own protocol, as the original servers do, and closes. */
static void refuse(struct worker *w, struct tcp_conn *tcp)
{
	struct out *out = tcp_out(tcp);

	counter_add(&w->stats.count[WORKER_COUNT_REJECTED], 1);
	if (tcp_flow(tcp)->local_port == w->config.resp_port)
		OUT_LITERAL(out, "-ERR max number of clients reached\r\n");
	else
		OUT_LITERAL(out, "ERROR Too many open connections\r\n");
	tcp_close(tcp);
}

/*
 * Numbers of clients rise on each worker and never meet those of another worker or of the admin
 * listener (which takes the numbers that leave the remainder config.count).
 */
static uint64_t next_client_id(struct worker *w)
{
	return w->client_serial++ * (w->config.count + 1) + w->config.id + 1;
}

struct worker_conn *worker_conn_take(struct worker *w, const struct flow *flow,
				     enum session_kind kind)
{
	struct worker_conn *conn = conn_alloc(w);

	if (!conn)
		return NULL;
	*conn = (struct worker_conn){.worker = w};
	session_init(&conn->session, &w->host, kind);
	conn->session.user = conn;
	struct client *client = &conn->session.client;

	client->id = next_client_id(w);
	client->created_ms = w->command.now_ms;
	client->active_ms = w->command.now_ms;
	memcpy(client->remote, flow->remote.bytes, sizeof(client->remote));
	memcpy(client->local, flow->local.bytes, sizeof(client->local));
	client->remote_port = flow->remote_port;
	client->local_port = flow->local_port;
	counter_add(&w->stats.connections, 1);
	return conn;
}

static bool on_open(void *env, struct tcp_conn *tcp)
{
	struct worker *w = env;
	const struct flow *flow = tcp_flow(tcp);
	uint32_t limit =
		atomic_load_explicit(&w->config.live->clients_max_worker, memory_order_relaxed);
	struct worker_conn *conn = tcp_user(tcp);

	if (unlikely(w->stop_deadline_ns > 0)) // too late for a conversation: RST
		return false;
	if (unlikely(conn != NULL)) { // by ourselves
		worker_primary_opened(w, conn);
		return true;
	}
	if (counter_read(&w->stats.connections) < limit)
		conn = worker_conn_take(w, flow,
					flow->local_port == w->config.resp_port ? SESSION_RESP
										: SESSION_MEMCACHE);
	if (!conn) {
		refuse(w, tcp);
		return true;
	}
	conn->tcp = tcp;
	tcp_set_user(tcp, conn);
	counter_add(&w->stats.count[WORKER_COUNT_ACCEPTED], 1);
	return true;
}

static void on_data(void *env, struct tcp_conn *tcp, struct slice data)
{
	struct worker *w = env;
	struct worker_conn *conn = tcp_user(tcp);

	if (!conn || conn->closing) // refused, or on its way out
		return;
	conn->session.client.active_ms = w->command.now_ms;
	worker_conn_touch(conn);
	if (unlikely(conn->session.client.primary != NULL) && worker_primary_data(conn, data))
		return;
	session_feed(&conn->session, data);
}

static void on_fin(void *env, struct tcp_conn *tcp)
{
	struct worker_conn *conn = tcp_user(tcp);

	if (!conn)
		return;
	conn->fin = true;
	worker_conn_touch(conn);
}

static void on_drained(void *env, struct tcp_conn *tcp)
{
	struct worker_conn *conn = tcp_user(tcp);

	if (!conn || conn->closing || conn->forwarded) // replies keep their order
		return;
	worker_conn_touch(conn);
	session_drained(&conn->session);
}

static void on_close(void *env, struct tcp_conn *tcp, enum tcp_close_reason reason)
{
	struct worker *w = env;
	struct worker_conn *conn = tcp_user(tcp);

	if (!conn)
		return;
	conn->tcp = NULL;
	if (conn->forwarded)
		counter_sub(&w->stats.blocked, 1);
	conn->forwarded = false;
	if (unlikely(conn->feed))
		worker_feed_detach(w, conn);
	if (unlikely(conn->session.client.primary != NULL))
		worker_primary_closed(w, conn);
	// Its requests may still be in the batch. They take effect, their replies have nowhere to
	// go. The slot is given back in worker_conns_settle(), when the batch has run.
	worker_conn_touch(conn);
}

const struct tcp_ops worker_tcp_ops = {
	.emit = worker_emit,
	.on_open = on_open,
	.on_data = on_data,
	.on_fin = on_fin,
	.on_drained = on_drained,
	.on_close = on_close,
};

bool worker_emit(void *env, const struct tcp_segment *segment)
{
	struct worker *w = env;

	return ip_output_flow(w->ip, &(struct ip_segment){
					     .flow = segment->flow,
					     .peer = segment->peer,
					     .protocol = IP_PROTOCOL_TCP,
					     .ecn = segment->ecn,
					     .header = segment->header,
					     .payload = segment->payload,
					     .payload_count = segment->payload_count,
					     .tso_mss = segment->tso_mss,
				     });
}

static struct out *session_out(struct session *session)
{
	struct worker_conn *conn = session->user;

	if (unlikely(conn->session.client.primary !=
		     NULL)) // it is told by its replica's link alone
		return &conn->worker->discard;
	return conn->tcp ? tcp_out(conn->tcp) : &conn->worker->discard;
}

static bool session_out_full(struct session *session)
{
	struct worker_conn *conn = session->user;

	return conn->tcp && tcp_out_full(conn->tcp);
}

static bool session_forward(struct session *session, const struct request *request)
{
	struct worker_conn *conn = session->user;

	if (!conn->tcp || !worker_mail_forward(conn->worker, conn, request))
		return false;
	conn->forwarded = true;
	counter_add(&conn->worker->stats.blocked, 1);
	return true;
}

const struct session_host_ops worker_session_ops = {
	.cycles = worker_cycles,
	.out = session_out,
	.out_full = session_out_full,
	.forward = session_forward,
};

static void close_conn(struct worker_conn *conn)
{
	conn->closing = true;
	tcp_close(conn->tcp);
}

void worker_conn_kill(struct worker_conn *conn, enum worker_counter_id why)
{
	if (!conn->tcp || conn->closing)
		return;
	counter_add(&conn->worker->stats.count[why], 1);
	close_conn(conn);
}

/* All that its requests have asked for has been answered, and nothing more can come. */
static bool finished(const struct worker_conn *conn)
{
	const struct session *session = &conn->session;

	if (session->closing || session->client.killed)
		return !conn->forwarded;
	return conn->fin && !conn->forwarded && !session->blocked;
}

static void settle(struct worker *w, struct worker_conn *conn)
{
	if (!conn->tcp) {
		conn_free(conn);
		return;
	}
	if (tcp_out(conn->tcp)->failed) {
		counter_add(&w->stats.count[WORKER_COUNT_OUTPUT_CLOSED], 1);
		tcp_abort(conn->tcp); // on_close() puts it back on the list
		return;
	}
	if (conn->closing)
		return;
	tcp_set_held(conn->tcp,
		     (uint32_t)session_held(&conn->session) +
			     (conn->session.client.primary ? worker_primary_held(conn) : 0));
	if (finished(conn))
		close_conn(conn);
}

void worker_conns_settle(struct worker *w)
{
	while (w->touched) {
		struct worker_conn *conn = w->touched;

		w->touched = conn->touched_next;
		conn->touched = false;
		settle(w, conn);
	}
}

bool worker_conns_sweep(struct worker *w)
{
	const uint32_t timeout_s[] = {
		[SESSION_RESP] =
			atomic_load_explicit(&w->config.live->idle_timeout_s, memory_order_relaxed),
		[SESSION_MEMCACHE] = atomic_load_explicit(&w->config.live->mc_idle_timeout_s,
							  memory_order_relaxed),
	};

	if ((timeout_s[SESSION_RESP] | timeout_s[SESSION_MEMCACHE]) == 0 ||
	    w->now_ns < w->sweep_next_ns)
		return false;
	w->sweep_next_ns = w->now_ns + SWEEP_INTERVAL_NS;
	for (uint32_t i = 0; i < SWEEP_SLOTS && i < w->conns_used; i++) {
		if (w->sweep_at >= w->conns_used)
			w->sweep_at = 0;
		struct worker_conn *conn = &w->conns[w->sweep_at++];

		uint64_t idle_ms_max = timeout_s[conn->session.kind] * 1000ULL;

		if (idle_ms_max && conn->tcp && !conn->forwarded && !conn->feed &&
		    w->command.now_ms > conn->session.client.active_ms + idle_ms_max)
			worker_conn_kill(conn, WORKER_COUNT_IDLE_CLOSED);
	}
	return false;
}

void worker_conns_close_all(struct worker *w)
{
	for (uint32_t i = 0; i < w->conns_used; i++) {
		if (w->conns[i].tcp && !w->conns[i].closing)
			close_conn(&w->conns[i]);
	}
}

void worker_conns_abort_all(struct worker *w)
{
	for (uint32_t i = 0; i < w->conns_used; i++) {
		if (w->conns[i].tcp)
			tcp_abort(w->conns[i].tcp);
	}
	worker_conns_settle(w);
}
