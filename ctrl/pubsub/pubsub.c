/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/pubsub/pubsub.h"

#include "base/number.h"
#include "ctrl/config/config.h"
#include "dataplane/command/command.h"
#include "dataplane/proto/session.h"
#include "dataplane/worker/worker_feed.h"
#include "dataplane/worker/worker_mail.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/*
 * host.c -> pubsub_subscribe(), pubsub_publish(). Channels are in a tree of the C library's by
 * their names; each has a list of its subscriptions, and so has each subscriber.
 */

struct subscription {
	struct topic *topic;
	struct subscriber *subscriber;
	struct subscription *next_of_topic, *next_of_subscriber;
};

/* A channel or a pattern. */
struct topic {
	struct slice name; // first: what the tree compares
	bool pattern;
	uint64_t count;
	struct subscription *subscriptions;
	struct topic *next; // of all patterns
	uint8_t bytes[];
};

struct subscriber {
	struct subscriber *next;
	uint64_t client_id;
	uint32_t worker;
	uint8_t resp;
	struct feed_link *link;
	struct feed feed;
	struct subscription *subscriptions;
	uint64_t count[2];      // channels, patterns
	uint64_t soft_since_ms; // above the soft limit, 0: it is not
};

struct pubsub {
	struct pubsub_config config;
	void *tree[2]; // of tsearch(): channels, patterns
	struct topic *patterns;
	struct subscriber *subscribers;
	uint64_t topics[2];
	uint64_t now_ms;
	struct pubsub_stats stats;
};

struct pubsub *pubsub_new(const struct pubsub_config *config)
{
	struct pubsub *ps = calloc(1, sizeof(*ps));

	if (ps)
		ps->config = *config;
	return ps;
}

/* --- topics --- */

static int compare(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order = len > 0 ? memcmp(x->ptr, y->ptr, len) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static struct topic *find_topic(const struct pubsub *ps, bool pattern, struct slice name)
{
	void **node = tfind(&name, (void *const *)&ps->tree[pattern], compare);

	return node ? *(struct topic **)node : NULL;
}

static struct topic *make_topic(struct pubsub *ps, bool pattern, struct slice name)
{
	struct topic *topic = find_topic(ps, pattern, name);

	if (topic)
		return topic;
	topic = malloc(sizeof(*topic) + name.len);
	if (!topic)
		return NULL;
	*topic = (struct topic){.name = slice_of(topic->bytes, name.len), .pattern = pattern};
	if (name.len > 0)
		memcpy(topic->bytes, name.ptr, name.len);
	if (!tsearch(topic, &ps->tree[pattern], compare)) {
		free(topic);
		return NULL;
	}
	ps->topics[pattern]++;
	if (pattern) {
		topic->next = ps->patterns;
		ps->patterns = topic;
	}
	return topic;
}

static void drop_topic(struct pubsub *ps, struct topic *topic)
{
	struct topic **at = &ps->patterns;

	if (topic->subscriptions)
		return;
	tdelete(topic, &ps->tree[topic->pattern], compare);
	ps->topics[topic->pattern]--;
	while (topic->pattern && *at != topic)
		at = &(*at)->next;
	if (topic->pattern)
		*at = topic->next;
	free(topic);
}

/* --- what is sent --- */

static void put_head(struct subscriber *s, char kind, uint64_t number)
{
	uint8_t text[NUMBER_TEXT_MAX + 3];
	size_t len = 1 + number_encode_u64(number, text + 1);

	text[0] = (uint8_t)kind;
	memcpy(text + len, "\r\n", 2);
	feed_write(&s->feed, slice_of(text, len + 2));
}

static void put_bulk(struct subscriber *s, struct slice bytes)
{
	put_head(s, '$', bytes.len);
	feed_write(&s->feed, bytes);
	feed_write(&s->feed, SLICE_LITERAL("\r\n"));
}

static void put_begin(struct subscriber *s, uint32_t count, const char *word)
{
	put_head(s, s->resp == 3 ? '>' : '*', count);
	put_bulk(s, slice_of_text(word));
}

static void put_null(struct subscriber *s)
{
	if (s->resp == 3)
		feed_write(&s->feed, SLICE_LITERAL("_\r\n"));
	else
		feed_write(&s->feed, SLICE_LITERAL("$-1\r\n"));
}

static void confirm(struct subscriber *s, const char *word, const struct slice *name)
{
	put_begin(s, 3, word);
	if (name)
		put_bulk(s, *name);
	else
		put_null(s);
	put_head(s, ':', s->count[0] + s->count[1]);
}

/* What it has not read is memory of ours. */
static void check_limits(struct pubsub *ps, struct subscriber *s)
{
	const struct config_output_limits *limits = &ps->config.config->client_output_buffer_limit;
	uint64_t behind = s->feed.end - atomic_load(&s->link->sent);
	uint64_t hard = limits->hard_bytes[CONFIG_CLASS_PUBSUB];
	uint64_t soft = limits->soft_bytes[CONFIG_CLASS_PUBSUB];

	if (!soft || behind < soft)
		s->soft_since_ms = 0;
	else if (s->soft_since_ms == 0)
		s->soft_since_ms = ps->now_ms;
	bool too_long = s->soft_since_ms && ps->now_ms - s->soft_since_ms >
						    limits->soft_s[CONFIG_CLASS_PUBSUB] * 1000ULL;

	if (!((hard && behind > hard) || too_long || s->feed.failed) ||
	    atomic_exchange(&s->link->killed, true))
		return;
	ps->stats.cut++;
}

static void sent(struct pubsub *ps, struct subscriber *s)
{
	check_limits(ps, s);
	ps->config.nudge(ps->config.arg, s->worker);
}

/* --- subscribers --- */

static struct subscriber *find_subscriber(struct pubsub *ps, const struct forward *forward)
{
	for (struct subscriber *s = ps->subscribers; s; s = s->next)
		if (s->client_id == forward->client_id && s->worker == forward->worker)
			return s;
	return NULL;
}

static bool attach(struct pubsub *ps, struct subscriber *s, void *connection)
{
	const struct mail_feed mail = {
		.connection = connection, .client_id = s->client_id, .link = s->link};

	feed_init(&s->feed, 0, 0);
	s->link->seldom = true;
	if (!feed_place_at(&s->feed, 0, &s->link->places[0]))
		return false;
	if (ps->config.mail(ps->config.arg, s->worker, &mail))
		return true;
	feed_place_drop(&s->link->places[0]);
	return false;
}

static struct subscriber *make_subscriber(struct pubsub *ps, const struct forward *forward)
{
	struct subscriber *s = find_subscriber(ps, forward);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s)
		s->link = calloc(1, sizeof(*s->link));
	if (s && s->link) {
		s->client_id = forward->client_id;
		s->worker = forward->worker;
		if (attach(ps, s, forward->connection)) {
			s->next = ps->subscribers;
			ps->subscribers = s;
			return s;
		}
		feed_fini(&s->feed);
	}
	if (s)
		free(s->link);
	free(s);
	return NULL;
}

static struct subscription **find_subscription(struct subscriber *s, const struct topic *topic)
{
	struct subscription **at = &s->subscriptions;

	while (*at && (*at)->topic != topic)
		at = &(*at)->next_of_subscriber;
	return at;
}

static bool add(struct pubsub *ps, struct subscriber *s, bool pattern, struct slice name)
{
	struct topic *topic = make_topic(ps, pattern, name);
	struct subscription *subscription;

	if (!topic)
		return false;
	if (*find_subscription(s, topic))
		return true;
	subscription = malloc(sizeof(*subscription));
	if (!subscription) {
		drop_topic(ps, topic);
		return false;
	}
	*subscription = (struct subscription){topic, s, topic->subscriptions, s->subscriptions};
	topic->subscriptions = s->subscriptions = subscription;
	topic->count++;
	s->count[pattern]++;
	return true;
}

/* `at` is in its subscriber's list. */
static void end_subscription(struct pubsub *ps, struct subscription **at)
{
	struct subscription *subscription = *at, **of_topic = &subscription->topic->subscriptions;

	*at = subscription->next_of_subscriber;
	while (*of_topic != subscription)
		of_topic = &(*of_topic)->next_of_topic;
	*of_topic = subscription->next_of_topic;
	subscription->topic->count--;
	subscription->subscriber->count[subscription->topic->pattern]--;
	drop_topic(ps, subscription->topic);
	free(subscription);
}

static void free_subscriber(struct pubsub *ps, struct subscriber *s)
{
	while (s->subscriptions)
		end_subscription(ps, &s->subscriptions);
	// A worker that has let go has left it nowhere.
	feed_place_drop(&s->link->places[0]);
	feed_fini(&s->feed);
	free(s->link);
	free(s);
}

void pubsub_free(struct pubsub *ps)
{
	while (ps && ps->subscribers) {
		struct subscriber *s = ps->subscribers;

		ps->subscribers = s->next;
		free_subscriber(ps, s);
	}
	free(ps);
}

void pubsub_turn(struct pubsub *ps, uint64_t now_ms)
{
	ps->now_ms = now_ms;
	for (struct subscriber **at = &ps->subscribers; *at;) {
		struct subscriber *s = *at;

		if (!atomic_load_explicit(&s->link->gone, memory_order_acquire)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free_subscriber(ps, s);
	}
}

/* --- commands --- */

/* NULL after an error. */
static struct subscriber *subscriber_of(struct pubsub *ps, const struct forward *forward,
					struct reply *r)
{
	struct subscriber *s = make_subscriber(ps, forward);

	if (s)
		s->resp = forward->client.resp;
	else
		REPLY_ERROR(r, "ERR no memory for a subscription");
	return s;
}

void pubsub_subscribe(struct pubsub *ps, struct forward *forward, bool patterns,
		      const struct slice *names, uint32_t count, struct reply *r)
{
	struct subscriber *s = subscriber_of(ps, forward, r);

	if (!s)
		return;
	for (uint32_t i = 0; i < count; i++) {
		if (!add(ps, s, patterns, names[i])) {
			REPLY_ERROR(r, "ERR no memory for a subscription");
			break;
		}
		confirm(s, patterns ? "psubscribe" : "subscribe", &names[i]);
	}
	forward->client.subscribed = s->count[0] + s->count[1] > 0;
	sent(ps, s);
}

static void unsubscribe_all(struct pubsub *ps, struct subscriber *s, bool patterns)
{
	const char *word = patterns ? "punsubscribe" : "unsubscribe";
	struct subscription **at = &s->subscriptions;

	if (s->count[patterns] == 0)
		confirm(s, word, NULL);
	while (*at) {
		struct topic *topic = (*at)->topic;

		if (topic->pattern != patterns) {
			at = &(*at)->next_of_subscriber;
			continue;
		}
		put_begin(s, 3, word);
		put_bulk(s, topic->name);
		end_subscription(ps, at);
		put_head(s, ':', s->count[0] + s->count[1]);
	}
}

void pubsub_unsubscribe(struct pubsub *ps, struct forward *forward, bool patterns,
			const struct slice *names, uint32_t count, struct reply *r)
{
	struct subscriber *s = subscriber_of(ps, forward, r);

	if (!s)
		return;
	if (count == 0)
		unsubscribe_all(ps, s, patterns);
	for (uint32_t i = 0; i < count; i++) {
		struct topic *topic = find_topic(ps, patterns, names[i]);
		struct subscription **at = topic ? find_subscription(s, topic) : NULL;

		if (at && *at)
			end_subscription(ps, at);
		confirm(s, patterns ? "punsubscribe" : "unsubscribe", &names[i]);
	}
	forward->client.subscribed = s->count[0] + s->count[1] > 0;
	sent(ps, s);
}

static uint64_t deliver(struct pubsub *ps, const struct topic *topic, struct slice channel,
			struct slice message)
{
	for (struct subscription *of = topic->subscriptions; of; of = of->next_of_topic) {
		struct subscriber *s = of->subscriber;

		put_begin(s, topic->pattern ? 4 : 3, topic->pattern ? "pmessage" : "message");
		if (topic->pattern)
			put_bulk(s, topic->name);
		put_bulk(s, channel);
		put_bulk(s, message);
		sent(ps, s);
	}
	return topic->count;
}

uint64_t pubsub_publish(struct pubsub *ps, struct slice channel, struct slice message)
{
	const struct topic *topic = find_topic(ps, false, channel);
	uint64_t count = topic ? deliver(ps, topic, channel, message) : 0;

	for (topic = ps->patterns; topic; topic = topic->next)
		if (cmd_glob_match(topic->name, channel, false))
			count += deliver(ps, topic, channel, message);
	ps->stats.published++;
	ps->stats.delivered += count;
	return count;
}

/* For twalk_r(): two rounds, as the number comes first. */
struct listing {
	struct slice pattern;
	uint32_t count;
	struct reply *r; // NULL: count only
};

static void list_channel(const void *node, VISIT which, void *arg)
{
	const struct topic *topic = *(const struct topic *const *)node;
	struct listing *listing = arg;

	if (which != postorder && which != leaf)
		return;
	if (listing->pattern.ptr && !cmd_glob_match(listing->pattern, topic->name, false))
		return;
	listing->count++;
	if (listing->r)
		reply_bulk(listing->r, topic->name);
}

void pubsub_channels(struct pubsub *ps, struct slice pattern, struct reply *r)
{
	struct listing listing = {.pattern = pattern};

	twalk_r(ps->tree[0], list_channel, &listing);
	reply_array(r, listing.count);
	listing.r = r;
	twalk_r(ps->tree[0], list_channel, &listing);
}

void pubsub_numsub(struct pubsub *ps, const struct slice *names, uint32_t count, struct reply *r)
{
	reply_array(r, 2 * count);
	for (uint32_t i = 0; i < count; i++) {
		const struct topic *topic = find_topic(ps, false, names[i]);

		reply_bulk(r, names[i]);
		reply_integer(r, topic ? (int64_t)topic->count : 0);
	}
}

void pubsub_stats(const struct pubsub *ps, struct pubsub_stats *stats)
{
	*stats = ps->stats;
	stats->channels = ps->topics[0];
	stats->patterns = ps->topics[1];
	for (const struct subscriber *s = ps->subscribers; s; s = s->next)
		stats->subscribers += s->count[0] + s->count[1] > 0;
}
