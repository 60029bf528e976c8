/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/endian.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_ip.h>

#include <string.h>

/* Two ports back to back, driven from one thread. */

#define RING_ROOM 1023 // frames a ring of the pair takes

enum {
	DEV_A,
	DEV_B,
	DEV_A_AGAIN,
	DEV_OFFLOAD_A,
	DEV_OFFLOAD_B,
	DEV_NO_END,
	DEV_NO_OPTION,
	DEV_COUNT,
};

static const char *const devices[DEV_COUNT] = {
	[DEV_A] = "net_ring_pair0a",
	[DEV_B] = "net_ring_pair0b",
	[DEV_A_AGAIN] = "net_ring_pair0a",
	[DEV_OFFLOAD_A] = "net_ring_pair1a,checksum=device",
	[DEV_OFFLOAD_B] = "net_ring_pair1b,checksum=device",
	[DEV_NO_END] = "net_ring_pair2c",
	[DEV_NO_OPTION] = "net_ring_pair2a,checksum=wish",
};

struct fixture {
	struct port *ends[2];
	struct drop_counters drops;
};

static int open_ends(struct fixture *f, unsigned first)
{
	*f = (struct fixture){0};
	for (unsigned i = 0; i < 2; i++)
		f->ends[i] = fixture_port(first + i, 1);
	return 0;
}

static void close_ends(struct fixture *f)
{
	for (unsigned i = 0; i < 2; i++)
		port_stop(f->ends[i]);
	for (unsigned i = 0; i < 2; i++)
		port_close(f->ends[i]);
}

static void send_one(struct fixture *f, unsigned from, struct frame frame)
{
	port_tx(port_queue(f->ends[from], 0), &frame, 1, 0, &f->drops);
}

static uint16_t receive(struct fixture *f, unsigned at, struct frame *frames, uint16_t max)
{
	return port_rx(port_queue(f->ends[at], 0), frames, max, 0, &f->drops);
}

static void test_pair_carries_frames_both_ways(void **state)
{
	struct frame frames[PORT_BURST_MAX];
	struct fixture f;

	open_ends(&f, DEV_A);
	for (uint32_t i = 0; i < 5; i++) {
		send_one(&f, 0, fixture_frame(f.ends[0], 60 + i, 0x88b5, 100 + i));
		send_one(&f, 1, fixture_frame(f.ends[1], 70 + i, 0x88b5, 200 + i));
	}
	for (unsigned at = 0; at < 2; at++) {
		assert_int_equal(receive(&f, at, frames, PORT_BURST_MAX), 5);
		for (uint32_t i = 0; i < 5; i++) {
			assert_int_equal(frames[i].len, (at ? 60 : 70) + i);
			assert_int_equal(fixture_frame_id(&frames[i]), (at ? 100 : 200) + i);
			assert_int_equal(frames[i].l4_checksum, FRAME_CHECKSUM_UNKNOWN);
		}
		port_free(frames, 5);
		assert_int_equal(receive(&f, at, frames, PORT_BURST_MAX), 0);
	}
	assert_int_equal(fixture_buffers_out(f.ends[0]), 0);
	assert_int_equal(fixture_buffers_out(f.ends[1]), 0);
	close_ends(&f);
}

static void test_pair_ends_have_addresses_of_their_own(void **state)
{
	struct port_info infos[2];
	struct fixture f;

	open_ends(&f, DEV_A);
	for (unsigned i = 0; i < 2; i++) {
		port_info(f.ends[i], &infos[i]);
		assert_int_equal(infos[i].mac[0], 0x02);
		assert_true(infos[i].virtual_device);
		assert_false(infos[i].tx_checksum);
		assert_int_equal(infos[i].queues, 1);
	}
	assert_memory_not_equal(infos[0].mac, infos[1].mac, 6);
	close_ends(&f);
}

static void test_pair_full_ring_drop_is_counted(void **state)
{
	struct frame frames[PORT_BURST_MAX];
	uint32_t sent = RING_ROOM + PORT_TX_BACKLOG + 3;
	uint32_t got = 0;
	struct fixture f;

	open_ends(&f, DEV_A);
	for (uint32_t i = 0; i < sent; i++)
		send_one(&f, 0, fixture_frame(f.ends[0], 60, 0x88b5, i));
	assert_int_equal(fixture_drops(&f.drops, DROP_PORT_TX_FULL), 3);
	for (uint16_t n; (n = receive(&f, 1, frames, PORT_BURST_MAX)) > 0;) {
		for (uint16_t i = 0; i < n; i++)
			assert_int_equal(fixture_frame_id(&frames[i]), got++);
		port_free(frames, n);
		port_tx(port_queue(f.ends[0], 0), NULL, 0, 0, &f.drops);
	}
	assert_int_equal(got, sent - 3);
	close_ends(&f);
}

/* What is under way when both ends close goes back to its pool, and the pair works again. */
static void test_pair_closes_with_frames_under_way(void **state)
{
	struct frame frame;
	struct fixture f;

	for (int round = 0; round < 3; round++) {
		open_ends(&f, DEV_A);
		assert_int_equal(receive(&f, 1, &frame, 1), 0);
		for (uint32_t i = 0; i < 10; i++) {
			send_one(&f, 0, fixture_frame(f.ends[0], 60, 0x88b5, i));
			send_one(&f, 1, fixture_frame(f.ends[1], 60, 0x88b5, i));
		}
		close_ends(&f);
	}
}

static struct frame tcp_frame(struct port *port)
{
	struct frame frame = fixture_frame(port, 14 + 20 + 20 + 100, 0x0800, 0);
	uint8_t *ip = frame.data + 14;

	memset(ip + 20, 0x5a, 120);
	ip[0] = 0x45;
	be16_store(ip + 2, 140);
	ip[9] = IPPROTO_TCP;
	frame.tx_flags = FRAME_TX_IP4_CHECKSUM | FRAME_TX_TCP_CHECKSUM;
	frame.l2_len = 14;
	frame.l3_len = 20;
	return frame;
}

static void test_pair_checksums(void **state)
{
	static const struct {
		const char *name;
		unsigned first;
		bool faults;
		enum frame_checksum seen;
		bool filled_in;
	} cases[] = {
		{"in software", DEV_A, false, FRAME_CHECKSUM_UNKNOWN, true},
		{"by the device", DEV_OFFLOAD_A, false, FRAME_CHECKSUM_GOOD, false},
		// A frame that may be damaged on its way must not be called good.
		{"with faults", DEV_OFFLOAD_A, true, FRAME_CHECKSUM_UNKNOWN, true},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct port_fault_config faults = {.seed = 1};
		struct frame frame;
		struct fixture f;

		print_message("%s\n", cases[i].name);
		open_ends(&f, cases[i].first);
		if (cases[i].faults)
			assert_int_equal(port_queue_set_faults(port_queue(f.ends[0], 0), &faults),
					 0);
		send_one(&f, 0, tcp_frame(f.ends[0]));
		assert_int_equal(receive(&f, 1, &frame, 1), 1);
		assert_int_equal(frame.ip_checksum, cases[i].seen);
		assert_int_equal(frame.l4_checksum, cases[i].seen);
		assert_int_equal(fixture_l4_checksum_right(frame.data + 14, 20),
				 cases[i].filled_in);
		port_free(&frame, 1);
		close_ends(&f);
	}
}

static void test_pair_refusals_say_why(void **state)
{
	static const struct {
		unsigned index;
		const char *hint;
	} cases[] = {
		{DEV_A_AGAIN, "in use twice"},
		{DEV_NO_END, "no end of a pair"},
		{DEV_NO_OPTION, "no end of a pair"},
	};
	const struct port_config config = {.queues_wanted = 1};
	struct fixture f;

	open_ends(&f, DEV_A);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct port *port = NULL;
		char why[PORT_WHY_MAX];

		assert_true(port_open(cases[i].index, &config, &port, why) < 0);
		if (!strstr(why, cases[i].hint))
			fail_msg("\"%s\" does not mention \"%s\"", why, cases[i].hint);
	}
	close_ends(&f);
}

static void test_pair_can_be_added_after_the_start(void **state)
{
	char why[PORT_WHY_MAX];
	struct fixture f;
	unsigned first = port_count();

	assert_int_equal(port_system_add("net_ring_pair255a", why), 0);
	assert_int_equal(port_system_add("net_ring_pair255b", why), 0);
	open_ends(&f, first);
	close_ends(&f);
}

static int boot(void **state)
{
	fixture_boot(devices, DEV_COUNT);
	return 0;
}

static int stop(void **state)
{
	port_system_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair_carries_frames_both_ways),
		cmocka_unit_test(test_pair_ends_have_addresses_of_their_own),
		cmocka_unit_test(test_pair_full_ring_drop_is_counted),
		cmocka_unit_test(test_pair_closes_with_frames_under_way),
		cmocka_unit_test(test_pair_checksums),
		cmocka_unit_test(test_pair_refusals_say_why),
		cmocka_unit_test(test_pair_can_be_added_after_the_start),
	};

	return cmocka_run_group_tests(tests, boot, stop);
}
