/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_oracle.h"

#include "base/compiler.h"
#include "base/endian.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * oracle_pcap FILE ADDRESS...: the wire oracle of the simulation over a capture (pcap, Ethernet).
 * ADDRESS is the appliance's, IPv4 or IPv6: what it sent must break no rule that a trace can show.
 * The capture is taken at the client's end, so the oracle knows a little more of the client than
 * the appliance did when it sent, and never less. 0: all rules held, 1: one was broken, 2: the file
 * is none.
 */
#define FLOWS_MAX   65536
#define FRAME_MAX   65536
#define PCAP_MAGIC  0xa1b2c3d4u
#define ADDRESS_MAX 4

struct trace {
	struct flow flow; // local: the appliance
	struct oracle oracle;
	uint8_t *sent; // its stream, as far as it has been seen
	uint8_t *seen; // which bytes of it
	uint32_t size;
	tcp_seq first;
	bool has_first;
};

static struct trace *traces[FLOWS_MAX];
static struct ip_addr ours[ADDRESS_MAX];
static int ours_count;

static uint32_t bucket_of(const struct flow *flow)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < 16; i++)
		hash = (hash ^ flow->remote.bytes[i] ^ flow->local.bytes[i]) * 16777619u;
	return (hash ^ (flow->local_port * 31u + flow->remote_port) * 2654435761u) % FLOWS_MAX;
}

static struct trace *trace_of(const struct flow *flow)
{
	uint32_t at = bucket_of(flow);

	for (uint32_t i = 0; i < FLOWS_MAX; i++, at = (at + 1) % FLOWS_MAX) {
		if (!traces[at]) {
			traces[at] = calloc(1, sizeof(*traces[at]));
			if (!traces[at])
				exit(2);
			traces[at]->flow = *flow;
			return traces[at];
		}
		if (flow_equal(&traces[at]->flow, flow))
			return traces[at];
	}
	exit(2);
}

static bool is_ours(const struct ip_addr *address)
{
	for (int i = 0; i < ours_count; i++)
		if (ip_addr_equal(address, &ours[i]))
			return true;
	return false;
}

/* The same number, the same byte: whatever was sent again is what it was. */
static const char *check_bytes(struct trace *t, tcp_seq seq, struct slice payload)
{
	uint32_t at;

	if (!t->has_first || payload.len == 0)
		return NULL;
	at = seq - t->first;
	if (at + payload.len > 64u << 20)
		return NULL; // a probe's byte before the stream, or more than is kept
	if (at + payload.len > t->size) {
		uint32_t size = (at + (uint32_t)payload.len + 65535) & ~65535u;

		t->sent = realloc(t->sent, size);
		t->seen = realloc(t->seen, size);
		if (!t->sent || !t->seen)
			exit(2);
		memset(t->seen + t->size, 0, size - t->size);
		t->size = size;
	}
	for (uint32_t i = 0; i < payload.len; i++) {
		// A probe repeats a byte that is acknowledged, and its value is of no importance.
		if (t->seen[at + i] && t->sent[at + i] != payload.ptr[i] && payload.len > 1)
			return "another byte under the same number";
		t->sent[at + i] = payload.ptr[i];
		t->seen[at + i] = 1;
	}
	return NULL;
}

static void restart(struct trace *t)
{
	free(t->sent);
	free(t->seen);
	*t = (struct trace){.flow = t->flow};
}

static const char *judge(const struct ip_addr *src, const struct ip_addr *dst, const uint8_t *tcp,
			 uint32_t len)
{
	bool sent = is_ours(src);
	uint32_t header_len = len >= 20 ? (uint32_t)(tcp[12] >> 4) * 4 : 0;
	struct flow flow;
	struct tcp_segment segment = {.payload_count = 1};
	struct trace *t;
	const char *wrong;

	if (header_len < 20 || header_len > len || (!sent && !is_ours(dst)))
		return NULL;
	flow = (struct flow){.local = sent ? *src : *dst,
			     .remote = sent ? *dst : *src,
			     .local_port = be16_load(tcp + (sent ? 0 : 2)),
			     .remote_port = be16_load(tcp + (sent ? 2 : 0))};
	t = trace_of(&flow);
	segment.header = slice_of(tcp, header_len);
	segment.payload[0] = slice_of(tcp + header_len, len - header_len);
	segment.payload_len = len - header_len;
	t->oracle.any_bytes = true;
	if (!sent) {
		// The client begins anew.
		if ((tcp[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
		    t->oracle.side[1].peer_isn != be32_load(tcp + 4))
			restart(t);
		t->oracle.any_bytes = true;
		// What Linux does wrong is not for us to judge.
		(void)oracle_sent(&t->oracle, 0, &segment, NULL);
		oracle_received(&t->oracle, 1, tcp, len);
		return NULL;
	}
	// Of a connection from before the capture.
	if (!t->oracle.side[1].syn_received)
		return NULL;
	if (tcp[13] & TCP_SYN && !t->has_first) {
		t->first = be32_load(tcp + 4) + 1;
		t->has_first = true;
	}
	wrong = oracle_sent(&t->oracle, 1, &segment, NULL);
	oracle_received(&t->oracle, 0, tcp, len);
	return wrong ? wrong : check_bytes(t, be32_load(tcp + 4), segment.payload[0]);
}

static const char *frame(const uint8_t *bytes, uint32_t len)
{
	struct ip_addr src, dst;
	const uint8_t *ip = bytes + 14;
	uint32_t total;

	if (len < 14 + 20)
		return NULL;
	if (be16_load(bytes + 12) == 0x0800 && ip[9] == 6) {
		struct be32 v4;

		memcpy(&v4, ip + 12, 4);
		src = ip_addr_from_v4(v4);
		memcpy(&v4, ip + 16, 4);
		dst = ip_addr_from_v4(v4);
		total = be16_load(ip + 2);
		if (14 + total > len || total < (ip[0] & 15u) * 4)
			return NULL;
		return judge(&src, &dst, ip + (ip[0] & 15) * 4, total - (ip[0] & 15u) * 4);
	}
	if (be16_load(bytes + 12) == 0x86dd && len >= 14 + 40 && ip[6] == 6) {
		memcpy(&src, ip + 8, 16);
		memcpy(&dst, ip + 24, 16);
		total = be16_load(ip + 4);
		return 14 + 40 + total > len ? NULL : judge(&src, &dst, ip + 40, total);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[FRAME_MAX];
	uint32_t file_header[6], record[4];
	uint64_t frames = 0;
	FILE *file = argc > 2 ? fopen(argv[1], "rb") : NULL;

	for (int i = 2; i < argc && ours_count < ADDRESS_MAX; i++) {
		struct be32 v4;

		if (inet_pton(AF_INET, argv[i], &v4) == 1)
			ours[ours_count++] = ip_addr_from_v4(v4);
		else if (inet_pton(AF_INET6, argv[i], ours[ours_count].bytes) == 1)
			ours_count++;
	}
	if (!file || ours_count == 0 || fread(file_header, sizeof(file_header), 1, file) != 1 ||
	    file_header[0] != PCAP_MAGIC) {
		fprintf(stderr, "usage: oracle_pcap FILE ADDRESS...\n");
		return 2;
	}
	while (fread(record, sizeof(record), 1, file) == 1) {
		const char *wrong;

		if (record[2] > FRAME_MAX || fread(bytes, 1, record[2], file) != record[2])
			return 2;
		frames++;
		wrong = frame(bytes, record[2]);
		if (!wrong)
			continue;
		printf("frame %lu: %s\n", (unsigned long)frames, wrong);
		return 1;
	}
	fclose(file);
	printf("%lu frames held\n", (unsigned long)frames);
	return 0;
}
