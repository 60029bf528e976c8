/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "dataplane/command/reply.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Publish and subscribe: who has subscribed to which channels and patterns, across all workers.
 * Messages go into the feed of each subscriber, which its worker sends (worker_feed.h), and so does
 * what (un)subscribing answers; a subscriber that does not read is cut off at the limits of class
 * pubsub. Control thread. Answers as redis 7.0 pubsub.c.
 */
struct config;
struct forward;
struct mail_feed;
struct pubsub;

struct pubsub_config {
	const struct config *config; // of the control thread
	// Gives a connection its feed. False: no memory.
	bool (*mail)(void *arg, uint32_t worker, const struct mail_feed *mail);
	void (*nudge)(void *arg, uint32_t worker); // there is something in its feeds
	void *arg;
};

struct pubsub *pubsub_new(const struct pubsub_config *config); // NULL: no memory
void pubsub_free(struct pubsub *pubsub);                       // after the workers

/* Forgets subscribers that have gone; about once a millisecond. */
void pubsub_turn(struct pubsub *pubsub, uint64_t now_ms);

/* The client of a forwarded request. Writes an error into `r`, or nothing: see above. */
void pubsub_subscribe(struct pubsub *pubsub, struct forward *forward, bool patterns,
		      const struct slice *names, uint32_t count, struct reply *r);

/* count 0: from all. */
void pubsub_unsubscribe(struct pubsub *pubsub, struct forward *forward, bool patterns,
			const struct slice *names, uint32_t count, struct reply *r);

/* How many have been sent it. */
uint64_t pubsub_publish(struct pubsub *pubsub, struct slice channel, struct slice message);

/* PUBSUB CHANNELS (ptr NULL: all), NUMSUB, NUMPAT. */
void pubsub_channels(struct pubsub *pubsub, struct slice pattern, struct reply *r);
void pubsub_numsub(struct pubsub *pubsub, const struct slice *names, uint32_t count,
		   struct reply *r);

struct pubsub_stats {
	uint64_t subscribers, channels, patterns;
	uint64_t published, delivered, cut; // messages, copies of them, subscribers too slow
};

void pubsub_stats(const struct pubsub *pubsub, struct pubsub_stats *stats);
