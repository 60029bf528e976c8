/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "dataplane/command/kv.h"

/*
 * THE MAP: a worker's whole life, and with it the way from a packet to its reply. Read
 * worker_turn() from top to bottom. Everything below it runs on the worker's thread, never blocks,
 * takes no lock that another core holds for long and makes no system call of its own.
 */

#define WORKER_TIMER_BUDGET    64    // TCP timers per turn
#define WORKER_TABLE_BUDGET_NS 20000 // of table upkeep per turn: what a full burst retires
#define WORKER_STOP_GRACE_NS   (500 * NS_PER_MS)

/* The frames of one turn. They are held until all requests in them have run. */
struct burst {
	struct frame frames[2 * PORT_BURST_MAX];
	uint16_t count;
};

ON_WORKER static void sample_begin(struct worker *w);
ON_WORKER static void stage_end(struct worker *w, enum worker_stage stage);
ON_WORKER static void sample_end(struct worker *w, bool received);
ON_WORKER static void receive(struct worker *w, struct burst *burst);
ON_WORKER static void pass_steer(struct worker *w, struct burst *burst);
ON_WORKER static void pass_input(struct worker *w, struct burst *burst);
ON_WORKER static bool upkeep(struct worker *w);
ON_WORKER static void set_time(struct worker *w);
ON_WORKER static bool stopping(struct worker *w);

/* One turn of the loop. Returns whether there was anything to do. */
ON_WORKER static bool worker_turn(struct worker *w)
{
	struct burst burst; // frames beyond count are never looked at, so they are not cleared

	burst.count = 0;
	w->device_tsc = 0;
	sample_begin(w);

	// 1. Frames from the wire and from other workers; then the time, once.
	receive(w, &burst);
	stage_end(w, WORKER_STAGE_RECEIVE);
	uint64_t start_tsc = clock_tsc();

	w->now_ns = clock_ns_of_tsc(start_tsc);
	set_time(w);

	// 2. Whose are they? Prefetch the connections of ours.
	pass_steer(w, &burst);
	stage_end(w, WORKER_STAGE_STEER);

	// 3. Ethernet, IP, TCP. In-order payload goes to on_data() of worker_conn.c: requests are
	//    parsed in place and collected (dataplane/proto/session.c).
	pass_input(w, &burst);
	stage_end(w, WORKER_STAGE_INPUT);

	// 4. Run the requests in order, while the buckets and items of the next ones arrive.
	//    Replies go to the connections' send queues (dataplane/proto, dataplane/command).
	session_run(&w->host);
	if (w->udp)
		worker_udp_run(w->udp);
	stage_end(w, WORKER_STAGE_RUN);

	// 5. What the requests meant for their connections: windows, closes.
	worker_conns_settle(w);
	stage_end(w, WORKER_STAGE_SETTLE);

	// 6. Segments with the replies and the ACKs that are still owed; then the wire.
	tcp_burst_end(w->tcp, w->now_ns);
	stage_end(w, WORKER_STAGE_OUTPUT);
	bool worked = burst.count > 0;

	// A burst of many segments has gone to the device in part already.
	if (worked)
		counter_add(&w->stats.count[WORKER_COUNT_BUSY_TSC],
			    clock_tsc() - start_tsc - w->device_tsc);
	worker_tx_flush(w);
	stage_end(w, WORKER_STAGE_TRANSMIT);
	port_free(burst.frames, burst.count);
	stage_end(w, WORKER_STAGE_RELEASE);

	// 7. Timers, mail and the table's upkeep, each a bounded slice.
	worked |= upkeep(w);

	// 8. No pointer into the table survives this line: values that are being sent are held by a
	//    reference (base/blob.h), all others have been copied.
	rcu_quiescent();
	stage_end(w, WORKER_STAGE_UPKEEP);
	sample_end(w, burst.count > 0);

	uint64_t end_tsc = clock_tsc();

	counter_add(&w->stats.count[WORKER_COUNT_POLLS], 1);
	if (!worked)
		counter_add(&w->stats.count[WORKER_COUNT_EMPTY_POLLS], 1);
	else if (clock_ns_of_tsc(end_tsc) - w->now_ns > NS_PER_MS)
		counter_add(&w->stats.count[WORKER_COUNT_LONG_TURNS], 1);
	return worked;
}

ON_WORKER static void sample_begin(struct worker *w)
{
	if (unlikely(w->sample.turns_left == 0))
		worker_sample_begin(w, clock_tsc());
}

ON_WORKER static void stage_end(struct worker *w, enum worker_stage stage)
{
	if (unlikely(w->sample.on))
		worker_sample_lap(w, stage, clock_tsc());
}

/* A sample of over 1 ms is none: something else had the core, and would outweigh all others. */
ON_WORKER static void sample_end(struct worker *w, bool received)
{
	if (!received)
		return;
	if (likely(!w->sample.on))
		w->sample.turns_left--;
	else if (worker_sample_tsc(w) < clock_tsc_hz() / 1000)
		worker_sample_end(w);
}

uint64_t worker_cycles(void)
{
	return clock_tsc();
}

void *worker_main(void *arg)
{
	struct worker *w = arg;

	role_become_worker();
	uint64_t before_tsc = clock_tsc();

	while (!stopping(w)) {
		bool worked = worker_turn(w);
		uint64_t tsc = clock_tsc();

		counter_add(&w->stats.count[WORKER_COUNT_TOTAL_TSC], tsc - before_tsc);
		before_tsc = tsc;
		worker_idle(w, worked);
	}
	return NULL;
}

ON_WORKER static void receive(struct worker *w, struct burst *burst)
{
	struct worker_stats *stats = &w->stats;
	uint64_t bytes = 0;

	if (w->config.queue)
		burst->count = port_rx(w->config.queue, burst->frames, PORT_BURST_MAX, w->now_ns,
				       &stats->drops);
	for (uint16_t i = 0; i < burst->count; i++)
		bytes += burst->frames[i].len;
	if (burst->count > 0) {
		counter_add(&stats->count[WORKER_COUNT_RX_FRAMES], burst->count);
		counter_add(&stats->count[WORKER_COUNT_RX_BYTES], bytes);
	}
}

ON_WORKER static void set_time(struct worker *w)
{
	uint64_t wall_us = clock_wall_us(w->now_ns);

	w->command.now_ns = w->now_ns;
	w->command.now_us = wall_us;
	w->command.now_ms = wall_us / 1000;
	table_set_time(w->table, w->command.now_ms, w->now_ns);
}

/*
 * Frames of flows that another worker owns leave here; frames that others have received for us
 * join. A frame without a flow (ARP, ICMP) stays with whoever received it.
 */
ON_WORKER static void pass_steer(struct worker *w, struct burst *burst)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < burst->count; i++) {
		struct frame *frame = &burst->frames[i];

		if (!frame->has_hash) // by a NIC that is proven to hash as we do
			frame->has_hash = ip_flow_hash(frame, &frame->hash);
		if (frame->has_hash) {
			uint32_t owner = w->owner_of[frame->hash % sizeof(w->owner_of)];

			if (owner != w->config.id) {
				worker_steer_out(w, owner, frame);
				continue;
			}
			tcp_prefetch(w->tcp, frame->hash);
		}
		if (kept != i)
			burst->frames[kept] = *frame;
		kept++;
	}
	burst->count = kept;
	if (w->config.count > 1)
		burst->count += worker_steer_in(w, &burst->frames[kept], PORT_BURST_MAX);
	for (uint16_t i = 0; i < burst->count; i++) {
		if (burst->frames[i].has_hash)
			tcp_prefetch_conn(w->tcp, burst->frames[i].hash);
	}
}

ON_WORKER static void input_tcp(struct worker *w, const struct ip_packet *packet)
{
	const struct tcp_packet segment = {
		.flow = packet->flow,
		.hash = packet->hash,
		.peer = packet->peer,
		.ecn = packet->ecn,
		.segment = packet->l4,
		.len = packet->l4_len,
	};

	tcp_input(w->tcp, &segment, w->now_ns);
}

ON_WORKER static void pass_input(struct worker *w, struct burst *burst)
{
	for (uint16_t i = 0; i < burst->count; i++) {
		struct frame *frame = &burst->frames[i];
		struct ip_packet packet;

		switch (ip_input(w->ip, frame, w->now_ns, &packet)) {
		case IP_TCP:
			input_tcp(w, &packet);
			break;
		case IP_UDP:
			if (w->udp && packet.flow.local_port == w->config.mc_udp_port)
				worker_udp_input(w->udp, &packet);
			else
				ip_port_unreachable(w->ip, frame, w->now_ns);
			break;
		case IP_ERROR:
			tcp_icmp_error(w->tcp, &packet.flow, packet.hash,
				       slice_of(packet.l4, packet.l4_len), w->now_ns);
			break;
		case IP_DONE:
			break;
		}
	}
}

void worker_tx(void *arg, struct frame *frame)
{
	struct worker *w = arg;

	if (w->tx_count == WORKER_TX_BATCH)
		worker_tx_flush(w);
	w->tx[w->tx_count++] = *frame;
}

void worker_tx_flush(struct worker *w)
{
	uint64_t start_tsc = clock_tsc();
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < w->tx_count; i++)
		bytes += w->tx[i].len;
	if (w->tx_count > 0) {
		counter_add(&w->stats.count[WORKER_COUNT_TX_FRAMES], w->tx_count);
		counter_add(&w->stats.count[WORKER_COUNT_TX_BYTES], bytes);
	}
	// Without frames too: what the device refused last time waits in the port's queue.
	if (w->config.queue)
		port_tx(w->config.queue, w->tx, (uint16_t)w->tx_count, w->now_ns, &w->stats.drops);
	else
		worker_steer_tx(w);
	w->tx_count = 0;
	w->device_tsc += clock_tsc() - start_tsc;
}

/* Everything that is not an answer to a frame. What it sends leaves before it returns. */
ON_WORKER static bool upkeep(struct worker *w)
{
	uint64_t start_tsc = clock_tsc(), device_tsc = w->device_tsc;
	bool worked = false;

	worked |= tcp_tick(w->tcp, w->now_ns, WORKER_TIMER_BUDGET) > 0;
	worked |= worker_mail_turn(w);
	worked |= worker_visit_turn(w);
	worked |= worker_feeds_turn(w);
	worked |= worker_primary_turn(w);
	worked |= worker_conns_sweep(w);
	kv_flush_tick(w->table, w->command.now_ms);
	worked |= table_housekeep(w->table, WORKER_TABLE_BUDGET_NS);
	worked |= worker_steer_tx_for_others(w) > 0;
	ip_tick(w->ip, w->now_ns);
	if (w->touched) {
		session_run(&w->host);
		worker_conns_settle(w);
		tcp_burst_end(w->tcp, w->now_ns);
	}
	if (w->tx_count > 0)
		worker_tx_flush(w);
	if (worked)
		counter_add(&w->stats.count[WORKER_COUNT_UPKEEP_TSC],
			    clock_tsc() - start_tsc - (w->device_tsc - device_tsc));
	return worked;
}

/*
 * True when the worker may leave: it was asked to, and its connections are gone or have had their
 * time.
 */
ON_WORKER static bool stopping(struct worker *w)
{
	if (likely(!atomic_load_explicit(&w->stop, memory_order_relaxed)))
		return false;
	if (w->stop_deadline_ns == 0) {
		w->stop_deadline_ns = w->now_ns + WORKER_STOP_GRACE_NS;
		worker_conns_close_all(w);
	}
	if (!w->left) {
		if (counter_read(&w->stats.connections) > 0) {
			if (w->now_ns <= w->stop_deadline_ns)
				return false;
			worker_conns_abort_all(w);
		}
		worker_tx_flush(w);
		w->left = true;
		worker_steer_leave(w);
	}
	// The FINs of others may leave through this worker's queue, and their ACKs arrive there.
	if (!worker_steer_all_left(w))
		return false;
	while (worker_steer_tx_for_others(w) > 0)
		;
	return true;
}
