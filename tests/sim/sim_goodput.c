/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_channel.h"

#include "nic/tcp/tcp_stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * sim_goodput [SNAPSHOT]: one connection carries BYTES from the listening side over the simulated
 * channel, for each combination of receive window, loss and SACK, in virtual time: what reaches the
 * other side, in MB/s. The same code gives the same figures to the last digit, so a change of them
 * is a change of TCP: with SNAPSHOT the matrix must be that file's. To accept another one, write
 * the output there and say why in the commit.
 */
#define BYTES    (8u << 20)
#define DELAY_NS 50000 // one way
#define RUNS     5     // seeds; their mean
#define LIMIT_NS (600 * TCP_SECOND_NS)
#define TEXT_MAX 8192

struct side {
	struct world *world;
	struct tcp_stack *stack;
	struct tcp_counters counters;
	struct drop_counters drops;
	struct tcp_conn *conn;
	int index;
};

struct world {
	uint64_t now_ns;
	struct sim_channel channel;
	struct side sides[2];
	uint32_t written, received;
};

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	struct side *side = env;

	sim_channel_send(&side->world->channel, side->index, segment, side->world->now_ns);
	return true;
}

static void write_more(struct world *w)
{
	static const uint8_t zeros[8192];

	while (w->written < BYTES && !tcp_out_full(w->sides[1].conn)) {
		out_append(tcp_out(w->sides[1].conn), slice_of(zeros, sizeof(zeros)));
		w->written += sizeof(zeros);
	}
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct side *side = env;

	side->conn = conn;
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct side *side = env;

	if (side->index == 0)
		side->world->received += (uint32_t)data.len;
	else
		write_more(side->world); // the request
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	write_more(((struct side *)env)->world);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	((struct side *)env)->conn = NULL;
}

static void open_side(struct world *w, int index, uint32_t window, bool sack)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	const struct tcp_config config = {
		.conns_max = 1,
		.syn_max = 1,
		.mtu = 1500,
		.rcv_wnd_bytes = window,
		.snd_high_bytes = 1 << 20,
		.snd_max_bytes = 4 << 20,
		.snd_pool_bytes = 8 << 20,
		.ooo_pool_bytes = 4 << 20,
		.ooo_conn_bytes = 2 << 20,
		.timestamps = true,
		.sack = sack,
		.window_scale = true,
		.secret = {1, 2, 3},
	};
	struct side *side = &w->sides[index];

	side->world = w;
	side->index = index;
	side->stack = tcp_new(&config, &ops, side, &side->counters, &side->drops);
	if (!side->stack || !tcp_listen(side->stack, 6379))
		abort();
}

static void receive(struct world *w)
{
	struct sim_frame *frame;
	struct sim_frame *frames[32];
	uint32_t count = 0;

	while (count < ARRAY_COUNT(frames) &&
	       (frame = sim_channel_receive(&w->channel, w->now_ns)) != NULL) {
		struct tcp_packet packet = {
			.flow = frame->flow, .hash = 1, .segment = frame->bytes, .len = frame->len};

		frames[count++] = frame;
		tcp_input(w->sides[frame->to].stack, &packet, w->now_ns);
	}
	for (int i = 0; i < 2; i++) {
		tcp_tick(w->sides[i].stack, w->now_ns, 64);
		tcp_burst_end(w->sides[i].stack, w->now_ns);
	}
	while (count > 0)
		free(frames[--count]);
}

static uint64_t next_event(const struct world *w)
{
	uint64_t next = sim_channel_next_ns(&w->channel);

	for (int i = 0; i < 2; i++) {
		uint64_t deadline = tcp_next_deadline_ns(w->sides[i].stack);

		next = deadline < next ? deadline : next;
	}
	return next;
}

/* Seconds of virtual time that the transfer takes. */
static double run(uint32_t window, uint32_t loss_permille, bool sack, uint64_t seed)
{
	const struct sim_channel_config channel = {.loss_permille = loss_permille,
						   .delay_ns = DELAY_NS};
	struct world *w = calloc(1, sizeof(*w));
	const struct flow flow = {
		.local = ip_addr_from_v4(be32_from_host(0x0a000001)),
		.remote = ip_addr_from_v4(be32_from_host(0x0a000002)),
		.local_port = 40000,
		.remote_port = 6379,
	};
	const uint64_t start_ns = 1000000000;
	double seconds;

	if (!w)
		abort();
	w->now_ns = start_ns;
	sim_channel_init(&w->channel, &channel, seed);
	open_side(w, 0, window, sack);
	open_side(w, 1, window, sack);
	w->sides[0].conn = tcp_connect(w->sides[0].stack, &flow, 1, 0, w->now_ns);
	out_append(tcp_out(w->sides[0].conn), SLICE_LITERAL("GET"));
	tcp_burst_end(w->sides[0].stack, w->now_ns);
	while (w->received < BYTES && w->now_ns < start_ns + LIMIT_NS) {
		uint64_t next = next_event(w);

		w->now_ns = next > w->now_ns ? next : w->now_ns;
		receive(w);
	}
	seconds = (double)(w->now_ns - start_ns) / 1e9;
	sim_channel_fini(&w->channel);
	tcp_free(w->sides[0].stack);
	tcp_free(w->sides[1].stack);
	free(w);
	return seconds;
}

static double goodput(uint32_t window, uint32_t loss_permille, bool sack)
{
	double seconds = 0;

	for (uint64_t seed = 1; seed <= RUNS; seed++)
		seconds += run(window, loss_permille, sack, seed);
	return RUNS * (double)BYTES / seconds / 1e6;
}

static void matrix(char *text)
{
	static const uint32_t windows[] = {16384, 65536, 262144, 1048576};
	static const uint32_t losses[] = {0, 1, 10, 50};
	size_t len = 0;

	len += (size_t)snprintf(text, TEXT_MAX,
				"MB/s of %u MiB, round trip %u us, mean of %u seeds\n"
				"window     SACK   0 %%      0.1 %%    1 %%      5 %%\n",
				BYTES >> 20, 2 * DELAY_NS / 1000, RUNS);
	for (int sack = 1; sack >= 0; sack--)
		for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
			len += (size_t)snprintf(text + len, TEXT_MAX - len, "%-10u %-6s",
						windows[i], sack ? "yes" : "no");
			for (size_t j = 0; j < ARRAY_COUNT(losses); j++)
				len += (size_t)snprintf(text + len, TEXT_MAX - len, " %-8.1f",
							goodput(windows[i], losses[j], sack));
			len += (size_t)snprintf(text + len, TEXT_MAX - len, "\n");
		}
}

int main(int argc, char **argv)
{
	static char text[TEXT_MAX], kept[TEXT_MAX];
	FILE *file;

	matrix(text);
	fputs(text, stdout);
	if (argc < 2)
		return 0;
	file = fopen(argv[1], "r");
	if (!file || fread(kept, 1, sizeof(kept) - 1, file) == 0)
		return fprintf(stderr, "%s cannot be read\n", argv[1]), 1;
	fclose(file);
	if (strcmp(text, kept) == 0)
		return 0;
	printf("the snapshot says:\n%s", kept);
	return 1;
}
