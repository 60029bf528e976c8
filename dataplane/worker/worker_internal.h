/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/rng.h"
#include "base/role.h"
#include "base/spsc.h"
#include "dataplane/worker/worker.h"

#include <pthread.h>

/*
 * What the files of this folder share. A frame's way through them: worker_loop.c (the map),
 * worker_steer.c (to its owner), worker_conn.c (TCP's callbacks and the sessions), worker_udp.c,
 * worker_mail.c, worker_visit.c, worker_feed.c and worker_primary.c (the control side),
 * worker_stage.c (times the stages), worker_idle.c.
 */

#define WORKER_TX_BATCH     PORT_BURST_MAX
#define WORKER_MAIL_ENTRIES 1024 // each way
#define WORKER_FORWARDS_MAX 512  // requests of one worker that are with the control side at a time

/*
 * Neither ring can fill up: a forwarded request is in one of them or with the control side, the
 * admin listener has at most MAILROOM_RUNS_MAX writes out, each watcher one mail, and there is one
 * visit at a time.
 */
_Static_assert(WORKER_FORWARDS_MAX <= WORKER_MAIL_ENTRIES / 2,
	       "room for admin requests, watchers and a visit");

/* A client's connection: its conversation and the TCP connection that carries it. */
struct worker_conn {
	struct session session;
	struct worker *worker; // [const]
	struct tcp_conn *tcp;  // NULL while the slot is free, or once TCP has let go
	struct worker_conn *free_next;
	struct worker_conn *touched_next;
	struct feed_link *feed; // NULL: an ordinary client
	bool touched;           // on the worker's list of this turn
	bool fin;               // the peer will send no more
	bool closing;           // tcp_close() has been called
	bool forwarded;         // a request of it is with the control side
};

/* A turn whose stages are being timed; the stages that are over, and when the last one was. */
struct worker_sample {
	bool on;
	uint32_t turns_left; // that receive something, until the next sample
	uint64_t begin_tsc, lap_tsc;
	uint64_t device_tsc, run_tsc; // of the worker and of its session host, at lap_tsc
	uint64_t commands;            // at the turn's begin
	uint64_t stage_tsc[WORKER_STAGES];
};

/* All of it belongs to the worker's thread but where a tag says otherwise. */
struct worker {
	struct worker_config config; // [const]
	pthread_t thread;            // [ctrl]
	_Atomic int start_result;    // [worker w, ctrl r] 1: starting, 0: polling, negative errno
	_Atomic bool stop;           // [ctrl w, worker r]
	uint64_t now_ns;             // of this turn, read after rx
	struct ip_stack *ip;
	struct tcp_stack *tcp;
	struct worker_udp *udp; // NULL: off
	struct table_thread *table;
	struct cmd_thread command;
	struct mc_log *log; // [worker w, ctrl r] see mc_log.h
	struct session_host host;
	struct out discard; // sink of connections that are gone
	uint8_t discarded[OUT_RESERVE_MAX];

	uint64_t device_tsc; // of this turn, spent in giving frames to the device
	struct worker_sample sample;

	struct frame tx[WORKER_TX_BATCH];
	uint32_t tx_count;

	struct worker_conn *conns; // conns_max slots, touched when used
	uint32_t conns_used;       // slots ever used
	struct worker_conn *conns_free;
	struct worker_conn *touched; // connections to look after at the end of the turn
	uint32_t sweep_at;           // slot of the idle sweep
	uint64_t sweep_next_ns;
	uint64_t client_serial;

	struct feed_link *feeds, *seldom_feeds; // of connections that send one
	bool feeds_left;                        // of the latter, some may have more
	_Atomic bool nudged;                    // [ctrl w, worker w]
	struct worker_conn *primary; // the one to the primary that we follow, NULL if none
	struct primary_link *dials;  // before there is a connection
	struct worker_visit *visit;  // under way, NULL if none
	uint32_t visit_at;           // slot

	uint32_t forwards_out; // requests that are with the control side

	uint32_t empty_turns; // in a row
	uint64_t idle_since_ns;
	uint64_t stop_deadline_ns; // 0 until asked to stop
	bool left;                 // its connections are gone; it only passes frames on for others
	uint8_t owner_of[128];     // port_hash_owner() by the low bits of the flow hash

	CACHE_ALIGNED struct worker_stats stats; // [worker w, ctrl r]
	struct spsc inbox;                       // [ring] control -> worker
	struct spsc outbox;                      // [ring] worker -> control
};

/* worker_loop.c */
void *worker_main(void *arg);
uint64_t worker_cycles(void);
void worker_tx_flush(struct worker *w);
void worker_tx(void *arg, struct frame *frame); // sink of the IP stack

/* worker_conn.c */
extern const struct tcp_ops worker_tcp_ops;
bool worker_emit(void *env, const struct tcp_segment *segment);
extern const struct session_host_ops worker_session_ops;
void worker_conn_touch(struct worker_conn *conn);
/* A connection with a session, counted; NULL: there are as many as there may be. */
struct worker_conn *worker_conn_take(struct worker *w, const struct flow *flow,
				     enum session_kind kind);
void worker_conns_settle(struct worker *w); // end of the turn: close, abort, adjust windows
bool worker_conns_sweep(struct worker *w);  // idle timeout; true if it did something
void worker_conn_kill(struct worker_conn *conn, enum worker_counter_id why);
void worker_conns_close_all(struct worker *w);
void worker_conns_abort_all(struct worker *w);

/* worker_udp.c */
struct worker_udp *worker_udp_new(struct worker *w); // NULL: no memory
void worker_udp_free(struct worker_udp *u);
void worker_udp_input(struct worker_udp *u, const struct ip_packet *packet);
void worker_udp_run(struct worker_udp *u); // replies to what came in this turn

/* worker_stage.c */
void worker_sample_begin(struct worker *w, uint64_t tsc);
void worker_sample_lap(struct worker *w, enum worker_stage stage, uint64_t tsc); // it is over
uint64_t worker_sample_tsc(const struct worker *w); // cycles of the stages that are over
void worker_sample_end(struct worker *w);           // keeps it, and sets the time of the next

/* worker_steer.c */
void worker_steer_out(struct worker *w, uint32_t owner, struct frame *frame);
uint16_t worker_steer_in(struct worker *w, struct frame *frames, uint16_t max);
void worker_steer_tx(struct worker *w); // frames of this worker, which has no queue
uint32_t worker_steer_tx_for_others(struct worker *w);
void worker_steer_join(struct worker *w);  // main thread
void worker_steer_leave(struct worker *w); // all that it had to send is in its ring
bool worker_steer_all_left(const struct worker *w);

/* worker_mail.c */
bool worker_mail_turn(struct worker *w); // true if there was mail
bool worker_mail_forward(struct worker *w, struct worker_conn *conn, const struct request *request);

/* worker_feed.c */
void worker_feed_attach(struct worker *w, struct worker_conn *conn, struct feed_link *link);
void worker_feed_detach(struct worker *w, struct worker_conn *conn);
bool worker_feeds_turn(struct worker *w); // true if something was sent

/* worker_primary.c */
void worker_primary_dial(struct worker *w, struct primary_link *link);
void worker_primary_opened(struct worker *w, struct worker_conn *conn);
void worker_primary_closed(struct worker *w, struct worker_conn *conn);
bool worker_primary_data(struct worker_conn *conn, struct slice data);
uint32_t worker_primary_held(const struct worker_conn *conn); // bytes that wait in the pipe
bool worker_primary_turn(struct worker *w);

/* worker_visit.c */
void worker_visit_begin(struct worker *w, struct worker_visit *visit);
bool worker_visit_turn(struct worker *w);

/* worker_idle.c */
void worker_idle(struct worker *w, bool worked);
