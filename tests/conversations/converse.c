/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"
#include "tests/conversations/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * converse FILE...: holds every conversation of the files with a stack of its own. Time stands
 * still but for '+'. After each case the connection is cut, what lingers runs out, and all pools
 * must be as they were. Prints what failed and where; 1 if anything did.
 *
 * Words:
 *   set KEY N        configuration, before the first segment: mtu, rcv_wnd, snd_max, syn_max,
 *                    time_wait_max, conns_max, ooo_conn, keepalive (ms), stalled (ms), time_wait
 *                    (ms), timestamps, sack, wscale (0 or 1), isn (the peer's first number),
 *                    local_port (6379 is listened to)
 *   write N, close, abort, hold N, refuse, reply N, fail N (emits), connect, keep (our last TSval)
 *   icmp MTU SEQ     an ICMP "too big" that quotes our segment
 *   state NAME       as RFC 9293 writes it, with '_'; CLOSED: the flow is unknown
 *   received N, opened N, fins N, drained N (calls so far), closed REASON (reset, timeout, ...)
 *   drop LABEL N, count LABEL N, cwnd N, ssthresh N, pipe N, mss N, awake N (connections)
 */
#define CONVERSE_HASH 0x5eed
#define LISTEN_PORT   6379
#define SENT_MAX      512

struct sent {
	uint8_t flags;
	uint32_t seq, len, ack, wnd;
	struct tcp_options options;
};

struct world {
	struct tcp_stack *stack; // NULL until the first step that needs it
	struct tcp_config config;
	struct tcp_counters counters;
	struct drop_counters drops;
	uint64_t now_ns;
	struct flow flow;
	tcp_seq irs, iss;
	uint32_t wnd;
	uint32_t fails;
	uint32_t tsval, tsval_kept; // of ours
	struct sent sent[SENT_MAX];
	uint32_t head, count;
	struct tcp_conn *conn;
	uint32_t received, opened, fins, drained, closed;
	enum tcp_close_reason reason;
	bool refuse;
	uint32_t reply;
	char error[256];
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct world *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->error, sizeof(w->error), format, args);
	va_end(args);
	return false;
}

/* The byte that both sides send at a relative number. */
static uint8_t stream_byte(uint32_t seq)
{
	return (uint8_t)(seq * 31 + 7);
}

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	struct world *w = env;
	const uint8_t *h = segment->header.ptr;
	struct sent *s = &w->sent[(w->head + w->count) % SENT_MAX];
	uint32_t at = 0;
	bool probe;

	if (w->fails > 0) {
		w->fails--;
		return false;
	}
	if (w->count == SENT_MAX ||
	    !tcp_options_parse(h + TCP_HEADER_MIN, (uint32_t)segment->header.len - TCP_HEADER_MIN,
			       &s->options))
		return wrong(w, "too many segments, or malformed options");
	w->count++;
	s->flags = h[13];
	if (s->flags & TCP_SYN)
		w->iss = be32_load(h + 4);
	s->seq = be32_load(h + 4) - w->iss;
	s->ack = s->flags & TCP_ACK ? be32_load(h + 8) - w->irs : 0;
	s->wnd = be16_load(h + 14);
	if (s->options.has_timestamp)
		w->tsval = s->options.tsval;
	s->len = segment->payload_len;
	// One byte that the peer has already, of no importance.
	probe = w->conn && s->len == 1 && s->seq + w->iss + 1 == w->conn->snd_una;
	for (uint32_t i = 0; i < segment->payload_count; i++)
		for (uint32_t j = 0; j < segment->payload[i].len; j++, at++)
			if (!probe && segment->payload[i].ptr[j] != stream_byte(s->seq + at))
				wrong(w, "another byte at %u than the owner wrote", s->seq + at);
	return true;
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct world *w = env;

	w->opened++;
	w->conn = w->refuse ? NULL : conn;
	return !w->refuse;
}

static void write_bytes(struct world *w, uint32_t len)
{
	struct out *out = tcp_out(w->conn);
	uint32_t seq = w->conn->snd_una - w->iss + tcp_queued_bytes(w->conn);

	for (uint32_t i = 0; i < len; i++) {
		uint8_t byte = stream_byte(seq + i);

		out_append(out, slice_of(&byte, 1));
	}
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct world *w = env;

	for (uint32_t i = 0; i < data.len; i++)
		if (data.ptr[i] != stream_byte(w->received + 1 + i))
			wrong(w, "received another byte at %u than the peer sent",
			      w->received + 1 + i);
	w->received += (uint32_t)data.len;
	if (w->reply)
		write_bytes(w, w->reply);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	((struct world *)env)->fins++;
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	((struct world *)env)->drained++;
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct world *w = env;

	w->closed++;
	w->reason = reason;
	w->conn = NULL;
}

static void start(struct world *w)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};

	if (w->stack)
		return;
	w->stack = tcp_new(&w->config, &ops, w, &w->counters, &w->drops);
	if (!w->stack || !tcp_listen(w->stack, LISTEN_PORT))
		abort();
}

static void begin(struct world *w)
{
	*w = (struct world){
		.config =
			{
				.conns_max = 16,
				.syn_max = 8,
				.time_wait_max = 8,
				.mtu = 1500,
				.rcv_wnd_bytes = 65535,
				.snd_high_bytes = 64 << 10,
				.snd_max_bytes = 256 << 10,
				.snd_pool_bytes = 1 << 20,
				.ooo_pool_bytes = 256 << 10,
				.ooo_conn_bytes = 64 << 10,
				.stalled_reader_ns = 10 * TCP_SECOND_NS,
				.time_wait_ns = 10 * TCP_SECOND_NS,
				.secret = {1, 2, 3},
				.rng_seed = 1,
			},
		.now_ns = 1000000000,
		.irs = 0xfffffff0, // so that every conversation crosses the wrap
		.wnd = 65535,
		.flow =
			{
				.local = ip_addr_from_v4(be32_from_host(0x0a630002)),
				.remote = ip_addr_from_v4(be32_from_host(0x0a630001)),
				.local_port = LISTEN_PORT,
				.remote_port = 40000,
			},
	};
}

static uint32_t encode_options(bool syn, const struct tcp_options *options, uint8_t *to)
{
	uint8_t bytes[TCP_OPTIONS_MAX];
	uint32_t skip = options->has_mss ? 0 : 4; // a SYN of ours always says it
	uint32_t len;

	if (!syn)
		return tcp_options_encode(options, to);
	len = tcp_options_encode_syn(options, bytes) - skip;
	memcpy(to, bytes + skip, len);
	return len;
}

/* The peer sends. The bytes lie alone on the heap: a read past their end is caught. */
static void input(struct world *w, const struct script_segment *s)
{
	uint8_t header[TCP_HEADER_MAX] = {0};
	uint32_t len = TCP_HEADER_MIN;
	struct tcp_options options = s->options;
	struct tcp_packet packet = {.flow = w->flow, .hash = CONVERSE_HASH, .peer = 7};
	uint8_t *bytes;

	for (uint32_t i = 0; i < options.sack_count; i++) {
		options.sack[i].start += w->iss;
		options.sack[i].end += w->iss;
	}
	if (s->echo != SCRIPT_ECHO_NUMBER)
		options.tsecr = s->echo == SCRIPT_ECHO_LAST ? w->tsval : w->tsval_kept;
	if (s->has_win)
		w->wnd = s->win;
	be16_store(header, w->flow.remote_port);
	be16_store(header + 2, w->flow.local_port);
	be32_store(header + 4, w->irs + s->seq);
	be32_store(header + 8, s->has_ack ? w->iss + s->ack : 0);
	header[13] = s->flags;
	be16_store(header + 14, (uint16_t)w->wnd);
	len += encode_options(s->flags & TCP_SYN, &options, header + len);
	memcpy(header + len, s->raw, s->raw_len);
	len += s->raw_len;
	header[12] = (uint8_t)(len / 4 << 4);
	packet.len = len + s->len;
	bytes = malloc(packet.len);
	if (!bytes)
		abort();
	memcpy(bytes, header, len);
	for (uint32_t i = 0; i < s->len; i++)
		bytes[len + i] = stream_byte(s->seq + !!(s->flags & TCP_SYN) + i);
	packet.segment = bytes;
	tcp_prefetch(w->stack, packet.hash);
	tcp_prefetch_conn(w->stack, packet.hash);
	tcp_input(w->stack, &packet, w->now_ns);
	free(bytes);
}

static bool nothing_left(struct world *w)
{
	const struct sent *s = &w->sent[w->head];

	if (w->count == 0)
		return true;
	return wrong(w, "nobody expected flags %02x seq %d:%u ack %u win %u", s->flags, (int)s->seq,
		     s->len, s->ack, s->wnd);
}

static bool options_match(struct world *w, const struct sent *s, const struct script_segment *e)
{
	const struct tcp_options *got = &s->options, *want = &e->options;

	if (want->has_mss && (!got->has_mss || got->mss != want->mss))
		return wrong(w, "mss %u%s", got->mss, got->has_mss ? "" : " (absent)");
	if (want->has_wscale && (!got->has_wscale || got->wscale != want->wscale))
		return wrong(w, "wscale %u%s", got->wscale, got->has_wscale ? "" : " (absent)");
	if (want->sack_permitted && !got->sack_permitted)
		return wrong(w, "sackok is absent");
	if (want->has_timestamp && (!got->has_timestamp || got->tsecr != want->tsecr))
		return wrong(w, "ts echoes %u%s", got->tsecr,
			     got->has_timestamp ? "" : " (absent)");
	if (e->no_sack && got->sack_count > 0)
		return wrong(w, "an unexpected SACK option");
	if (want->sack_count > 0 && got->sack_count != want->sack_count)
		return wrong(w, "%u SACK blocks", got->sack_count);
	for (uint32_t i = 0; i < want->sack_count; i++)
		if (got->sack[i].start - w->irs != want->sack[i].start ||
		    got->sack[i].end - w->irs != want->sack[i].end)
			return wrong(w, "SACK block %u is %u-%u", i, got->sack[i].start - w->irs,
				     got->sack[i].end - w->irs);
	return true;
}

static bool expect(struct world *w, const struct script_segment *e)
{
	const struct sent *s = &w->sent[w->head];

	if (w->count == 0)
		return wrong(w, "nothing was sent");
	w->head = (w->head + 1) % SENT_MAX;
	w->count--;
	if ((!e->any_flags && ((s->flags ^ e->flags) & ~TCP_PSH)) || s->seq != e->seq ||
	    s->len != e->len || (e->has_ack && s->ack != e->ack) ||
	    (e->has_win && s->wnd != e->win))
		return wrong(w, "got flags %02x seq %d:%u ack %u win %u", s->flags, (int)s->seq,
			     s->len, s->ack, s->wnd);
	return options_match(w, s, e);
}

static bool expect_all(struct world *w, struct script_segment *e)
{
	for (uint32_t i = 0; i < e->times; i++, e->seq += e->len)
		if (!expect(w, e))
			return false;
	return true;
}

static void advance(struct world *w, uint64_t ms)
{
	for (uint64_t i = 0; i < ms && !w->error[0]; i++) {
		w->now_ns += TCP_MS_NS;
		// A timer that is due must have been announced: an idle loop sleeps until then.
		bool announced = tcp_next_deadline_ns(w->stack) <= w->now_ns;
		uint32_t ran = tcp_tick(w->stack, w->now_ns, 1000);

		if (!announced && ran > 0)
			wrong(w, "a timer ran that tcp_next_deadline_ns() did not announce");
		tcp_burst_end(w->stack, w->now_ns);
	}
}

static bool set(struct world *w, const char *key, uint32_t n)
{
	const struct {
		const char *key;
		void *to;
		size_t bytes;
		uint64_t unit;
	} keys[] = {
		{"mtu", &w->config.mtu, 2, 1},
		{"rcv_wnd", &w->config.rcv_wnd_bytes, 4, 1},
		{"snd_high", &w->config.snd_high_bytes, 4, 1},
		{"snd_max", &w->config.snd_max_bytes, 4, 1},
		{"syn_max", &w->config.syn_max, 4, 1},
		{"time_wait_max", &w->config.time_wait_max, 4, 1},
		{"conns_max", &w->config.conns_max, 4, 1},
		{"ooo_conn", &w->config.ooo_conn_bytes, 4, 1},
		{"keepalive", &w->config.keepalive_idle_ns, 8, TCP_MS_NS},
		{"stalled", &w->config.stalled_reader_ns, 8, TCP_MS_NS},
		{"time_wait", &w->config.time_wait_ns, 8, TCP_MS_NS},
		{"timestamps", &w->config.timestamps, 1, 1},
		{"sack", &w->config.sack, 1, 1},
		{"wscale", &w->config.window_scale, 1, 1},
		{"isn", &w->irs, 4, 1},
		{"local_port", &w->flow.local_port, 2, 1},
	};

	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		if (strcmp(keys[i].key, key) == 0) {
			uint64_t value = n * keys[i].unit;

			memcpy(keys[i].to, &value,
			       keys[i].bytes); // little endian, as all we run on
			return true;
		}
	return wrong(w, "set knows no %s", key);
}

static const char *state_name(const struct world *w)
{
	static const char *const names[] = {
		"CLOSED",     "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED", "CLOSE_WAIT",
		"FIN_WAIT_1", "FIN_WAIT_2", "CLOSING",      "LAST_ACK",
	};
	uint32_t ref = tcp__lookup(w->stack, &w->flow, CONVERSE_HASH);

	if (ref == TCP_REF_NONE)
		return "CLOSED";
	switch (tcp_ref_kind(ref)) {
	case TCP_REF_SYN:
		return "SYN_RECEIVED";
	case TCP_REF_TIME_WAIT:
		return "TIME_WAIT";
	case TCP_REF_CONN:
	default:
		return names[((struct tcp_conn *)tcp_slab_at(&w->stack->conns, tcp_ref_index(ref)))
				     ->state];
	}
}

static void icmp_too_big(struct world *w, uint16_t mtu, uint32_t seq)
{
	uint8_t message[8 + 20 + 8] = {3, 4};

	be16_store(message + 6, mtu);
	message[8] = 0x45;
	be16_store(message + 28, w->flow.local_port);
	be16_store(message + 30, w->flow.remote_port);
	be32_store(message + 32, w->iss + seq);
	tcp_icmp_error(w->stack, &w->flow, CONVERSE_HASH, slice_of(message, sizeof(message)),
		       w->now_ns);
}

/* What the owner does; false: not such a word. */
static bool act(struct world *w, const char *word, uint32_t n, uint32_t m)
{
	bool idle = strcmp(word, "refuse") == 0 || strcmp(word, "reply") == 0 ||
		    strcmp(word, "fail") == 0 || strcmp(word, "connect") == 0 ||
		    strcmp(word, "icmp") == 0 || strcmp(word, "keep") == 0;

	if (strcmp(word, "refuse") == 0)
		w->refuse = true;
	else if (strcmp(word, "reply") == 0)
		w->reply = n;
	else if (strcmp(word, "keep") == 0)
		w->tsval_kept = w->tsval;
	else if (strcmp(word, "fail") == 0)
		w->fails = n;
	else if (strcmp(word, "icmp") == 0)
		icmp_too_big(w, (uint16_t)n, m);
	else if (strcmp(word, "connect") == 0)
		w->conn = tcp_connect(w->stack, &w->flow, CONVERSE_HASH, 7, w->now_ns);
	else if (strcmp(word, "write") != 0 && strcmp(word, "close") != 0 &&
		 strcmp(word, "abort") != 0 && strcmp(word, "hold") != 0)
		return false;
	else if (!w->conn)
		return wrong(w, "there is no connection"), true;
	if (idle)
		return true;
	if (*word == 'w')
		write_bytes(w, n);
	else if (*word == 'c')
		tcp_close(w->conn);
	else if (*word == 'a')
		tcp_abort(w->conn);
	else
		tcp_set_held(w->conn, n);
	return true;
}

static bool equal(struct world *w, uint64_t got, uint64_t want)
{
	return got == want || wrong(w, "it is %lu", (unsigned long)got);
}

/* By its label as in metrics; true when found, *n is then the count. */
static bool counted(const struct world *w, const char *word, const char *label, uint64_t *n)
{
	if (strcmp(word, "drop") == 0)
		for (uint32_t i = 0; i < DROP_REASON_COUNT; i++)
			if (strcmp(drop_reason_label((enum drop_reason)i), label) == 0)
				return *n = counter_read(&w->drops.count[i]), true;
	if (strcmp(word, "count") == 0)
		for (uint32_t i = 0; i < TCP_COUNTERS; i++)
			if (strcmp(tcp_counter_label((enum tcp_counter_id)i), label) == 0)
				return *n = counter_read(&w->counters.count[i]), true;
	return false;
}

static bool check_closed(struct world *w, const char *reason)
{
	static const char *const names[] = {
		[TCP_CLOSED] = "orderly",         [TCP_CLOSED_RESET] = "reset",
		[TCP_CLOSED_TIMEOUT] = "timeout", [TCP_CLOSED_ABORTED] = "aborted",
		[TCP_CLOSED_REFUSED] = "refused", [TCP_CLOSED_OVERLOAD] = "overload",
	};

	if (w->closed != 1)
		return wrong(w, "closed %u times", w->closed);
	return strcmp(names[w->reason], reason) == 0 || wrong(w, "closed by %s", names[w->reason]);
}

static bool check(struct world *w, const struct script_step *step)
{
	const char *word = step->words[0];
	const char *name = step->count > 1 ? step->words[1] : "";
	uint32_t n = (uint32_t)strtoul(step->count > 2 ? step->words[2] : name, NULL, 0);

	const struct {
		const char *word;
		uint64_t value;
	} values[] = {
		{"received", w->received},
		{"opened", w->opened},
		{"awake", w->stack->works.used},
		{"fins", w->fins},
		{"drained", w->drained},
		{"cwnd", w->conn ? w->conn->cwnd : 0},
		{"ssthresh", w->conn ? w->conn->ssthresh : 0},
		{"pipe", w->conn && w->conn->work ? tcp__pipe(w->conn) : 0},
		{"mss", w->conn ? w->conn->segment_max : 0},
	};

	uint64_t got;

	if (strcmp(word, "state") == 0)
		return strcmp(state_name(w), name) == 0 || wrong(w, "it is %s", state_name(w));
	if (strcmp(word, "closed") == 0)
		return check_closed(w, name);
	if (counted(w, word, name, &got))
		return equal(w, got, n);
	for (size_t i = 0; i < ARRAY_COUNT(values); i++)
		if (strcmp(values[i].word, word) == 0)
			return equal(w, values[i].value, n);
	return wrong(w, "unknown word");
}

static bool run_step(struct world *w, const struct script_step *step)
{
	const char *word = step->words[0];
	uint32_t n = (uint32_t)strtoul(step->count > 1 ? step->words[1] : "0", NULL, 0);
	uint32_t m = (uint32_t)strtoul(step->count > 2 ? step->words[2] : "0", NULL, 0);
	struct script_segment segment;
	const char *bad;

	if (strcmp(word, "set") == 0 && step->count == 3)
		return w->stack ? wrong(w, "too late to set") : set(w, step->words[1], m);
	start(w);
	if (*word == '<' || *word == '>') {
		bad = script_segment(step, &segment);
		if (bad)
			return wrong(w, "%s", bad);
	}
	if (*word == '>')
		return expect_all(w, &segment) && !w->error[0];
	if (!nothing_left(w))
		return false;
	if (*word == '<') {
		input(w, &segment);
		if (word[1] == '\0')
			tcp_burst_end(w->stack, w->now_ns);
	} else if (*word == '+') {
		advance(w, strtoul(word + 1, NULL, 10));
	} else if (act(w, word, n, m)) {
		tcp_burst_end(w->stack, w->now_ns);
	} else {
		return check(w, step);
	}
	return !w->error[0];
}

/* Everything ends, and nothing stays. */
static bool finish(struct world *w)
{
	struct tcp_stack *s = w->stack;

	if (!s)
		return wrong(w, "an empty case");
	if (!nothing_left(w))
		return false;
	w->fails = 0;
	if (w->conn)
		tcp_abort(w->conn);
	for (uint32_t i = 0; i < 200; i++) {
		w->now_ns += TCP_SECOND_NS;
		tcp_tick(s, w->now_ns, 1000);
		tcp_burst_end(s, w->now_ns);
		w->count = 0;
	}
	if (s->conns.used || s->works.used || s->syns.entries.used || s->time_waits.entries.used ||
	    s->sendq_pool.chunks.used || s->sendq_pool.extents.used || s->ooo_pool.nodes.used ||
	    s->boards.used || s->touched_head || s->dead)
		return wrong(w, "pools are not back at their baseline");
	for (uint32_t i = 0; i < 1u << s->table.bits; i++)
		for (uint32_t j = 0; j < TCP_BUCKET_SLOTS; j++)
			if (s->table.buckets[i].slots[j].ref != TCP_REF_NONE)
				return wrong(w, "the flow table is not empty");
	return !w->error[0];
}

static bool hold(const char *path, const struct script_case *one)
{
	struct world *w = malloc(sizeof(*w));
	uint32_t line = one->line;
	bool good = true;

	if (!w)
		abort();
	begin(w);
	for (uint32_t i = 0; i < one->count && good; i++) {
		line = one->steps[i].line;
		good = run_step(w, &one->steps[i]);
		if (!good) {
			printf("%s:%u: %s:", path, line, one->title);
			for (uint32_t j = 0; j < one->steps[i].count; j++)
				printf(" %s", one->steps[i].words[j]);
			printf(": %s\n", w->error);
		}
	}
	if (good && !finish(w)) {
		printf("%s:%u: %s: at the end: %s\n", path, line, one->title, w->error);
		good = false;
	}
	tcp_free(w->stack);
	free(w);
	return good;
}

int main(int argc, char **argv)
{
	struct script_case *one = malloc(sizeof(*one));
	uint32_t held = 0, failed = 0;

	if (!one)
		abort();
	for (int i = 1; i < argc; i++) {
		struct script *script = script_open(argv[i]);

		while (script_next(script, one)) {
			bool good = hold(argv[i], one);

			held += good;
			failed += !good;
		}
		script_close(script);
	}
	printf("%u conversations held, %u failed\n", held, failed);
	free(one);
	return failed > 0 || held == 0;
}
