/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/endian.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_ip.h>

#include <stdlib.h>
#include <string.h>

/* Bursts through net_ring, which gives back on each queue what was sent on it, in order. */

#define RING_ROOM 1023 // frames a ring of net_ring takes

static const char *const devices[] = {"net_ring0"};
static struct port *port;
static struct drop_counters drops;

static uint16_t receive(uint16_t queue, struct frame *frames, uint16_t max)
{
	return port_rx(port_queue(port, queue), frames, max, 0, &drops);
}

static void send_one(uint16_t queue, struct frame frame)
{
	port_tx(port_queue(port, queue), &frame, 1, 0, &drops);
}

static void test_queue_round_trip_keeps_bytes_and_order(void **state)
{
	struct frame out[PORT_BURST_MAX], in[PORT_BURST_MAX];

	for (uint16_t queue = 0; queue < 2; queue++) {
		for (uint32_t i = 0; i < PORT_BURST_MAX; i++)
			out[i] = fixture_frame(port, 60 + i, 0x88b5, queue * 100 + i);
		port_tx(port_queue(port, queue), out, PORT_BURST_MAX, 0, &drops);
	}
	for (uint16_t queue = 0; queue < 2; queue++) {
		assert_int_equal(receive(queue, in, PORT_BURST_MAX), PORT_BURST_MAX);
		for (uint32_t i = 0; i < PORT_BURST_MAX; i++) {
			assert_int_equal(in[i].len, 60 + i);
			assert_int_equal(fixture_frame_id(&in[i]), queue * 100 + i);
			assert_int_equal(in[i].ip_checksum, FRAME_CHECKSUM_UNKNOWN);
			assert_int_equal(in[i].l4_checksum, FRAME_CHECKSUM_UNKNOWN);
			assert_false(in[i].has_hash);
			assert_true(in[i].room >= in[i].len);
		}
		port_free(in, PORT_BURST_MAX);
	}
}

static void test_queue_received_frame_can_be_sent_back(void **state)
{
	struct frame frame;

	send_one(0, fixture_frame(port, 100, 0x88b5, 42));
	assert_int_equal(receive(0, &frame, 1), 1);
	// As an echo does it: shorter by an encapsulation at the front.
	memmove(frame.data + 4, frame.data, 12);
	frame.data += 4;
	frame.len -= 4;
	send_one(0, frame);
	assert_int_equal(receive(0, &frame, 1), 1);
	assert_int_equal(frame.len, 96);
	port_free(&frame, 1);
}

static void test_queue_fills_in_checksums(void **state)
{
	static const struct {
		uint8_t protocol;
		uint8_t flag;
		uint32_t payload;
	} cases[] = {
		{IPPROTO_TCP, FRAME_TX_TCP_CHECKSUM, 0},
		{IPPROTO_TCP, FRAME_TX_TCP_CHECKSUM, 1},
		{IPPROTO_TCP, FRAME_TX_TCP_CHECKSUM, 1440},
		{IPPROTO_UDP, FRAME_TX_UDP_CHECKSUM, 12},
		{IPPROTO_UDP, FRAME_TX_UDP_CHECKSUM, 1001},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t l4_len = 20 + cases[i].payload;
		struct frame frame = fixture_frame(port, 14 + 20 + l4_len, 0x0800, 0);
		uint8_t *ip = frame.data + 14;

		memset(ip + 20, 0x5a, l4_len);
		ip[0] = 0x45;
		be16_store(ip + 2, (uint16_t)(20 + l4_len));
		ip[9] = cases[i].protocol;
		ip[12] = 10;
		frame.tx_flags = FRAME_TX_IP4_CHECKSUM | cases[i].flag;
		frame.l2_len = 14;
		frame.l3_len = 20;
		send_one(0, frame);
		assert_int_equal(receive(0, &frame, 1), 1);
		assert_int_equal(rte_raw_cksum(frame.data + 14, 20), 0xffff);
		assert_true(fixture_l4_checksum_right(frame.data + 14, 20));
		port_free(&frame, 1);
	}
}

/* A chain of segments as a scattering NIC delivers it, put on the wire behind the port's back. */
static void send_chain(const uint16_t *lens, uint32_t count)
{
	struct rte_mbuf *head = NULL;
	uint8_t byte = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *seg = rte_pktmbuf_alloc(port->rx_pool);
		uint8_t *data;

		assert_non_null(seg);
		data = (uint8_t *)rte_pktmbuf_append(seg, lens[i]);
		assert_non_null(data);
		for (uint32_t n = 0; n < lens[i]; n++)
			data[n] = byte++;
		if (!head)
			head = seg;
		else
			assert_int_equal(rte_pktmbuf_chain(head, seg), 0);
	}
	assert_int_equal(rte_eth_tx_burst(port->id, 0, &head, 1), 1);
}

static void test_queue_chain_arrives_linear(void **state)
{
	static const uint16_t lens[] = {14, 1, 700, 0, 685};
	struct frame frame;
	uint8_t byte = 0;

	send_chain(lens, ARRAY_COUNT(lens));
	assert_int_equal(receive(0, &frame, 1), 1);
	assert_int_equal(frame.len, 1400);
	for (uint32_t i = 0; i < frame.len; i++)
		assert_int_equal(frame.data[i], byte++);
	port_free(&frame, 1);
}

static void test_queue_chain_too_long_is_dropped_and_counted(void **state)
{
	static const uint16_t lens[] = {1500, 549};
	uint64_t before = fixture_drops(&drops, DROP_PORT_RX_OVERSIZE);
	struct frame frame;

	send_chain(lens, ARRAY_COUNT(lens));
	assert_int_equal(receive(0, &frame, 1), 0);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_RX_OVERSIZE), before + 1);
}

static void test_queue_frame_beyond_mtu_is_refused(void **state)
{
	uint64_t before = fixture_drops(&drops, DROP_PORT_TX_REFUSED);
	struct frame frame;

	send_one(0, fixture_frame(port, 1500 + 18, 0x88b5, 1));
	send_one(0, fixture_frame(port, 1500 + 19, 0x88b5, 2));
	assert_int_equal(receive(0, &frame, 1), 1);
	assert_int_equal(fixture_frame_id(&frame), 1);
	port_free(&frame, 1);
	assert_int_equal(receive(0, &frame, 1), 0);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_REFUSED), before + 1);
}

/*
 * Receives everything there is, pushing what waits in software, and checks that ids go up by one.
 */
static uint32_t drain_in_order(void)
{
	struct frame in[PORT_BURST_MAX];
	uint32_t seen = 0;
	uint16_t n;

	while ((n = receive(0, in, PORT_BURST_MAX)) > 0) {
		for (uint16_t i = 0; i < n; i++)
			assert_int_equal(fixture_frame_id(&in[i]), seen++);
		port_free(in, n);
		port_tx(port_queue(port, 0), NULL, 0, 0, &drops);
	}
	return seen;
}

static void test_queue_full_device_waits_in_order_then_drops_counted(void **state)
{
	const uint32_t room = RING_ROOM + PORT_TX_BACKLOG;
	uint64_t before = fixture_drops(&drops, DROP_PORT_TX_FULL);

	for (uint32_t i = 0; i < room; i++)
		send_one(0, fixture_frame(port, 60, 0x88b5, i));
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_FULL), before);
	for (uint32_t i = 0; i < 10; i++)
		send_one(0, fixture_frame(port, 60, 0x88b5, room + i));
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_FULL), before + 10);
	assert_int_equal(drain_in_order(), room);
}

/* What the device never takes does not stand in the way of the rest for ever. */
static void test_queue_frame_that_blocks_is_given_up(void **state)
{
	const uint64_t second_ns = 1000000000;
	uint64_t before = fixture_drops(&drops, DROP_PORT_TX_REFUSED);
	struct frame in[PORT_BURST_MAX];

	for (uint32_t i = 0; i < RING_ROOM + 10; i++)
		send_one(0, fixture_frame(port, 60, 0x88b5, i));
	port_tx(port_queue(port, 0), NULL, 0, second_ns - 1, &drops);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_REFUSED), before);
	port_tx(port_queue(port, 0), NULL, 0, second_ns, &drops);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_REFUSED), before + 1);
	// The next one has its time, too.
	port_tx(port_queue(port, 0), NULL, 0, second_ns + 1, &drops);
	port_tx(port_queue(port, 0), NULL, 0, 2 * second_ns, &drops);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_TX_REFUSED), before + 1);
	for (uint32_t seen = 0; seen < RING_ROOM + 9;) {
		uint16_t n = receive(0, in, PORT_BURST_MAX);

		assert_true(n > 0);
		for (uint16_t i = 0; i < n; i++, seen++)
			assert_int_equal(fixture_frame_id(&in[i]), seen + (seen >= RING_ROOM));
		port_free(in, n);
		port_tx(port_queue(port, 0), NULL, 0, 2 * second_ns, &drops);
	}
}

static void test_queue_no_buffer_is_counted(void **state)
{
	struct frame *frames = calloc(port->tx_pool->size + 1, sizeof(*frames));
	uint64_t before = fixture_drops(&drops, DROP_PORT_NO_BUFFER);
	uint32_t n = 0;

	while (port_frame_alloc(port, &frames[n], &drops))
		assert_in_range(++n, 1, port->tx_pool->size);
	assert_int_equal(fixture_drops(&drops, DROP_PORT_NO_BUFFER), before + 1);
	for (uint32_t i = 0; i < n; i += PORT_BURST_MAX * 3)
		port_free(frames + i,
			  (uint16_t)(n - i < PORT_BURST_MAX * 3 ? n - i : PORT_BURST_MAX * 3));
	free(frames);
}

/* What ACKs leave in when data has taken every buffer; and then all is as before. */
static void test_queue_reserve_is_for_control_frames(void **state)
{
	uint32_t total = port->tx_pool->size + port->control_pool->size;
	struct frame *frames = calloc(total + 1, sizeof(*frames));
	uint32_t data = 0, n;

	while (port_frame_alloc(port, &frames[data], &drops))
		data++;
	n = data;
	while (port_frame_alloc_control(port, &frames[n], &drops)) {
		assert_int_equal(frames[n].room, PORT_CONTROL_ROOM);
		assert_in_range(++n, 1, total);
	}
	assert_true(n - data >= 512);
	assert_false(port_frame_alloc(port, &frames[n], &drops));
	port_free(frames + data, 1);
	assert_false(port_frame_alloc(port, &frames[n], &drops)); // the reserve stays one
	assert_true(port_frame_alloc_control(port, &frames[data], &drops));
	port_free(frames, 1);
	assert_true(port_frame_alloc(port, &frames[0], &drops));
	for (uint32_t i = 0; i < n; i++)
		port_free(frames + i, 1);
	free(frames);
}

/* Headers and 20,000 bytes in odd cuts: the chain holds them in order, and goes back whole. */
static void test_queue_appended_payload_is_chained(void **state)
{
	static uint8_t bytes[20000];
	const struct slice parts[] = {slice_of(bytes, 1), slice_of(bytes + 1, 0),
				      slice_of(bytes + 1, 5000), slice_of(bytes + 5001, 14999)};
	struct frame frame = fixture_frame(port, 54, 0x0800, 0);
	const struct rte_mbuf *mbuf = frame.buffer;
	uint32_t at = 0, skip = 54;

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	frame.tso_mss = 1460;
	assert_true(port_frame_append(port, &frame, parts, ARRAY_COUNT(parts), &drops));
	assert_int_equal(frame.len, 54 + sizeof(bytes));
	assert_int_equal(mbuf->nb_segs, 10);
	for (; mbuf; mbuf = mbuf->next) {
		assert_memory_equal(rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, skip),
				    bytes + at, mbuf->data_len - skip);
		at += mbuf->data_len - skip;
		skip = 0;
	}
	assert_int_equal(at, sizeof(bytes));
	port_free(&frame, 1);
}

static void test_queue_append_without_buffers_is_counted(void **state)
{
	static uint8_t bytes[PORT_TSO_BYTES];
	const struct slice part = slice_of(bytes, sizeof(bytes));
	struct frame *frames = calloc(port->tx_pool->size, sizeof(*frames));
	uint64_t before = fixture_drops(&drops, DROP_PORT_NO_BUFFER);
	uint32_t n = 0;

	for (;; n++) {
		frames[n] = fixture_frame(port, 54, 0x0800, 0);
		frames[n].tso_mss = 1460;
		if (!port_frame_append(port, &frames[n], &part, 1, &drops))
			break;
	}
	assert_int_equal(fixture_drops(&drops, DROP_PORT_NO_BUFFER), before + 1);
	for (uint32_t i = 0; i <= n; i++)
		port_free(frames + i, 1);
	free(frames);
}

static int boot(void **state)
{
	fixture_boot(devices, 1);
	port = fixture_port(0, 2);
	return 0;
}

static int no_buffer_is_missing(void **state)
{
	assert_int_equal(fixture_buffers_out(port), 0);
	return 0;
}

static int stop(void **state)
{
	port_close(port);
	port_system_stop();
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, no_buffer_is_missing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_queue_round_trip_keeps_bytes_and_order),
		TEST(test_queue_received_frame_can_be_sent_back),
		TEST(test_queue_fills_in_checksums),
		TEST(test_queue_chain_arrives_linear),
		TEST(test_queue_chain_too_long_is_dropped_and_counted),
		TEST(test_queue_frame_beyond_mtu_is_refused),
		TEST(test_queue_full_device_waits_in_order_then_drops_counted),
		TEST(test_queue_frame_that_blocks_is_given_up),
		TEST(test_queue_no_buffer_is_counted),
		TEST(test_queue_reserve_is_for_control_frames),
		TEST(test_queue_appended_payload_is_chained),
		TEST(test_queue_append_without_buffers_is_counted),
	};

	return cmocka_run_group_tests(tests, boot, stop);
}
