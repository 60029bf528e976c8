/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_udp.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/memcache/mc_binary_cases.h"
#include "tests/unit/dataplane/memcache/mc_cases.h"

#include <stdlib.h>

/*
 * Datagrams of memcached's clients through frames, sessions, the engine and the table, a few to a
 * burst. The input chooses frame headers and requests: conversations of the parsers' tests, bytes
 * of them changed, and bytes of its own.
 *
 * Oracles: the sanitizers (each datagram is an allocation of its own, freed after the run); every
 * reply is numbered without a gap and goes to who asked; where it may not amplify, a reply is no
 * longer than its request; a datagram that comes afterwards is answered as ever.
 */

#define REQUEST_MAX 2048
#define BURST_MAX   100 // more than there are exchanges
#define PATCHES_MAX 4

struct input {
	const uint8_t *at;
	size_t left;
};

/* What is known of an exchange: by its number, and its reply so far. */
struct asked {
	uint8_t id[2];
	size_t request_bytes, reply_bytes;
	bool may_amplify;
	uint32_t replies, total;
};

static struct fake_session f;
static struct mc_udp *udp;
static struct asked asked[MC_UDP_EXCHANGES];

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static void send(void *env, uint32_t exchange, struct slice header, struct slice payload)
{
	const uint8_t *h = header.ptr;
	struct asked *a = &asked[exchange];

	REQUIRE(exchange < MC_UDP_EXCHANGES && header.len == MC_UDP_HEADER_BYTES);
	REQUIRE(header.len + payload.len <= MC_UDP_DATAGRAM_MAX && payload.len > 0);
	REQUIRE(h[0] == a->id[0] && h[1] == a->id[1] && h[6] == 0 && h[7] == 0);
	REQUIRE((uint32_t)(h[2] << 8 | h[3]) == a->replies);
	if (a->replies++ == 0)
		a->total = (uint32_t)(h[4] << 8 | h[5]);
	REQUIRE(a->total == (uint32_t)(h[4] << 8 | h[5]) && a->replies <= a->total);
	a->reply_bytes += header.len + payload.len;
	REQUIRE(a->may_amplify || a->reply_bytes <= a->request_bytes);
}

/* A conversation, or bytes; returns its length. */
static size_t next_requests(struct input *input, uint8_t *to)
{
	size_t texts = ARRAY_COUNT(mc_cases), binaries = ARRAY_COUNT(mc_binary_cases);
	size_t kind = next_byte(input) % (texts + binaries + 8), len;
	struct slice from;

	if (kind >= texts + binaries) {
		len = next_byte(input);
		for (size_t i = 0; i < len; i++)
			to[i] = next_byte(input);
		return len;
	}
	from = kind < texts ? mc_cases[kind].input : mc_binary_cases[kind - texts].input;
	len = from.len < REQUEST_MAX ? from.len : REQUEST_MAX;
	memcpy(to, from.ptr, len);
	for (int patches = next_byte(input) % PATCHES_MAX; patches > 0 && len > 0; patches--) {
		size_t at = next_byte(input);

		to[(at | (size_t)next_byte(input) << 8) % len] = next_byte(input);
	}
	return len;
}

/* The frame header is good but for what the input spoils. */
static size_t next_datagram(struct input *input, uint8_t *to)
{
	uint8_t spoilt = next_byte(input);
	uint8_t header[MC_UDP_HEADER_BYTES] = {next_byte(input), next_byte(input), [5] = 1};

	if (spoilt > 240)
		header[spoilt % 8] = next_byte(input);
	memcpy(to, header, sizeof(header));
	if (spoilt == 240)
		return next_byte(input) % sizeof(header);
	return sizeof(header) + next_requests(input, to + sizeof(header));
}

static uint8_t *ask(struct slice datagram, bool may_amplify)
{
	uint8_t *bytes = malloc(datagram.len + 1);
	uint32_t exchange = mc_udp_next(udp);

	if (!bytes)
		abort();
	memcpy(bytes, datagram.ptr, datagram.len);
	asked[exchange] = (struct asked){
		.id = {bytes[0], datagram.len > 1 ? bytes[1] : 0},
		.request_bytes = datagram.len,
		.may_amplify = may_amplify,
	};
	mc_udp_input(udp, slice_of(bytes, datagram.len), may_amplify);
	return bytes;
}

static void check_alive(void)
{
	uint8_t *bytes = ask(SLICE_LITERAL("\0\1\0\0\0\1\0\0mn\r\n"), true);

	mc_udp_run(udp);
	free(bytes);
	REQUIRE(asked[0].replies == 1 && asked[0].reply_bytes == MC_UDP_HEADER_BYTES + 4);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void finish(void)
{
	mc_udp_free(udp);
	fake_session_fini(&f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	udp = mc_udp_new(&(struct mc_udp_config){.cmd = &f.cmd, .limits = &f.limits, .send = send});
	REQUIRE(udp);
	return atexit(finish);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t datagram[MC_UDP_HEADER_BYTES + REQUEST_MAX];
	static uint8_t *held[BURST_MAX];
	struct input input = {data, size};
	uint32_t count = 0;

	kv_flush_schedule(0);
	table_flush(f.tt);
	while (input.left > 0 && count < BURST_MAX) {
		bool may_amplify = next_byte(&input) & 1;

		held[count++] =
			ask(slice_of(datagram, next_datagram(&input, datagram)), may_amplify);
	}
	mc_udp_run(udp);
	while (count > 0)
		free(held[--count]);
	for (uint32_t i = 0; i < MC_UDP_EXCHANGES; i++)
		REQUIRE(asked[i].replies == asked[i].total);
	check_alive();
	memset(asked, 0, sizeof(asked));
	return 0;
}
