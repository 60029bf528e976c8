/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

#include "tests/fakes/fake_port.h"

#include <stdlib.h>

/* The bench on which the unit tests of nic/ip put a stack. */

struct ip_addr address_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return ip_addr_from_v4(
		be32_from_host((uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d));
}

static void keep_sent(void *arg, struct frame *frame)
{
	struct fixture *f = arg;

	assert_true(f->sent_count < FIXTURE_SENT_MAX);
	assert_true(frame->len <= PORT_FRAME_ROOM);
	f->sent[f->sent_count++] = *frame;
}

struct ip_config fixture_config(void)
{
	return (struct ip_config){
		.address = address_of(10, 99, 0, 2),
		.prefix_len = 24,
		.gateway = address_of(10, 99, 0, 254),
		.mac = {0x02, 0, 0, 0, 0, 0x02},
		.mtu = FIXTURE_MTU,
		.icmp_rate = FIXTURE_ICMP_RATE,
		.peers_max = 128,
		.arp_reachable_ns = FIXTURE_REACHABLE_NS,
	};
}

void fixture_open_stack(struct fixture *f, struct neigh_table *shared)
{
	struct ip_config config = fixture_config();

	fixture_open_stack_as(f, shared, &config);
}

void fixture_open_stack_as(struct fixture *f, struct neigh_table *shared,
			   const struct ip_config *config)
{
	*f = (struct fixture){.neighbours = shared, .now_ns = FIXTURE_START_NS};
	f->ip = ip_new(config, shared, NULL, &f->drops);
	assert_non_null(f->ip);
	ip_set_tx(f->ip, keep_sent, f);
}

void fixture_close_stack(struct fixture *f)
{
	fixture_clear_sent(f);
	if (f->has_in)
		port_free(&f->in, 1);
	ip_free(f->ip);
}

int fixture_setup(void **state)
{
	struct ip_config config = fixture_config();

	return fixture_setup_as(state, &config);
}

int fixture_setup_as(void **state, const struct ip_config *config)
{
	struct fixture *f = malloc(sizeof(*f));
	struct neigh_table *neighbours = neigh_table_new(64);

	assert_non_null(f);
	assert_non_null(neighbours);
	fake_port_reset();
	fixture_open_stack_as(f, neighbours, config);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close_stack(f);
	neigh_table_free(f->neighbours);
	free(f);
	return fake_port_live() == 0 ? 0 : -1;
}

static uint32_t parse_hex(const char *hex, uint8_t *to)
{
	uint32_t len = 0;

	while (*hex) {
		unsigned byte;

		if (*hex == ' ') {
			hex++;
			continue;
		}
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		assert_true(len < FIXTURE_FRAME_MAX);
		to[len++] = (uint8_t)byte;
		hex += 2;
	}
	return len;
}

uint16_t naive_checksum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 2) {
		sum += (uint32_t)bytes[i] << 8;
		if (i + 1 < len)
			sum += bytes[i + 1];
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* What the pseudo header adds, from a frame with an IPv4 header of any length. */
static uint32_t pseudo_sum(const uint8_t *frame, uint32_t l4_len)
{
	uint32_t sum = frame[AT_IP_PROTO] + l4_len;

	for (uint32_t i = AT_IP_SRC; i < AT_IP_SRC + 8; i += 2)
		sum += (uint32_t)be16_load(frame + i);
	return sum;
}

static void fix_l4(uint8_t *frame)
{
	uint32_t header_len = (frame[AT_IP] & 15U) * 4;
	uint32_t len = be16_load(frame + AT_IP_LEN) - header_len;
	uint8_t *l4 = frame + AT_IP + header_len;
	uint32_t at = frame[AT_IP_PROTO] == IP_PROTOCOL_TCP   ? 16
		      : frame[AT_IP_PROTO] == IP_PROTOCOL_UDP ? 6
							      : 2;
	uint32_t sum = frame[AT_IP_PROTO] == IP_PROTOCOL_ICMP ? 0 : pseudo_sum(frame, len);

	be16_store(l4 + at, 0);
	be16_store(l4 + at, naive_checksum(sum, l4, len));
}

static void fix_ip(uint8_t *frame)
{
	be16_store(frame + AT_IP_SUM, 0);
	be16_store(frame + AT_IP_SUM, naive_checksum(0, frame + AT_IP, (frame[AT_IP] & 15U) * 4));
}

uint32_t fixture_build(const struct fixture_frame *spec, uint8_t *to)
{
	uint32_t len = parse_hex(spec->hex, to);

	if (spec->append)
		len += parse_hex(spec->append, to + len);
	for (uint32_t i = 0; i < ARRAY_COUNT(spec->patches) && spec->patches[i].hex; i++)
		parse_hex(spec->patches[i].hex, to + spec->patches[i].at);
	if (spec->fix & FIX_L4)
		fix_l4(to);
	if (spec->fix & FIX_IP)
		fix_ip(to);
	return spec->cut ? spec->cut : len;
}

enum ip_verdict fixture_input(struct fixture *f, const struct fixture_frame *spec)
{
	uint8_t bytes[FIXTURE_FRAME_MAX];
	uint32_t len = fixture_build(spec, bytes);

	return fixture_input_bytes(f, bytes, len, spec);
}

enum ip_verdict fixture_input_bytes(struct fixture *f, const uint8_t *bytes, uint32_t len,
				    const struct fixture_frame *spec)
{
	if (f->has_in)
		port_free(&f->in, 1);
	fake_port_frame(&f->in, bytes, len);
	f->has_in = true;
	f->in.ip_checksum = spec->ip_checksum;
	f->in.l4_checksum = spec->l4_checksum;
	memset(&f->packet, 0xa5, sizeof(f->packet));
	return ip_input(f->ip, &f->in, f->now_ns, &f->packet);
}

enum ip_verdict fixture_input_hex(struct fixture *f, const char *hex)
{
	return fixture_input(f, &(struct fixture_frame){.hex = hex});
}

const char *fixture_drops(struct fixture *f)
{
	static char text[256];
	size_t len = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < DROP_REASON_COUNT; i++) {
		uint64_t n = counter_read(&f->drops.count[i]);

		for (; n > 0; n--)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? " " : "", drop_reason_label(i));
		counter_set(&f->drops.count[i], 0);
	}
	return text;
}

void fixture_clear_sent(struct fixture *f)
{
	port_free(f->sent, (uint16_t)f->sent_count);
	f->sent_count = 0;
}

struct frame *fixture_one_sent(struct fixture *f)
{
	assert_int_equal(f->sent_count, 1);
	return &f->sent[0];
}

void assert_frame_hex(const struct frame *frame, const char *hex)
{
	uint8_t bytes[FIXTURE_FRAME_MAX];
	uint32_t len = parse_hex(hex, bytes);

	assert_int_equal(frame->len, len);
	assert_memory_equal(frame->data, bytes, len);
	// ARP and ICMP leave complete: nothing may be asked of the port.
	if (be16_load(bytes + AT_ETH_TYPE) == ETH_TYPE_ARP)
		assert_int_equal(frame->tx_flags, 0);
}

/* The port fills in what it was asked for; everything else must be there already. */
static void assert_l4_checksum(const struct frame *frame, const uint8_t *l4, uint32_t len)
{
	uint8_t protocol = frame->data[AT_IP_PROTO];

	if (protocol == IP_PROTOCOL_ICMP) {
		assert_int_equal(frame->tx_flags, 0);
		assert_int_equal(naive_checksum(0, l4, len), 0);
		return;
	}
	assert_int_equal(frame->tx_flags, protocol == IP_PROTOCOL_TCP ? FRAME_TX_TCP_CHECKSUM
								      : FRAME_TX_UDP_CHECKSUM);
	assert_int_equal(frame->l2_len, 14);
	assert_int_equal(frame->l3_len, 20);
	assert_int_equal(be16_load(l4 + (protocol == IP_PROTOCOL_TCP ? 16 : 6)), 0);
}

void assert_frame_wellformed(const struct frame *frame)
{
	static const uint8_t ours[] = {2, 0, 0, 0, 0, 2, 8, 0};
	const uint8_t *ip = frame->data + AT_IP;

	assert_true(frame->len >= AT_L4);
	assert_memory_equal(frame->data + AT_ETH_SRC, ours, sizeof(ours));
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(be16_load(frame->data + AT_IP_LEN), frame->len - AT_IP);
	assert_int_equal(be16_load(frame->data + AT_IP_FRAG), 0x4000);
	assert_int_equal(ip[8], 64);
	assert_int_equal(naive_checksum(0, ip, 20), 0);
	assert_int_equal(be32_load(frame->data + AT_IP_SRC), 0x0a630002);
	assert_l4_checksum(frame, frame->data + AT_L4, frame->len - AT_L4);
}
