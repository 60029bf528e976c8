/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <string.h>

/*
 * The fault layer, over net_ring: rates, seeds, order, and that nothing is lost but what is
 * counted.
 */

#define FRAMES 2000

static const char *const devices[] = {"net_ring0"};
static struct port *port;

/* What came back of FRAMES frames sent one after the other, 10 us apart. */
struct history {
	uint32_t ids[2 * FRAMES];
	uint32_t count;
	uint32_t damaged;
	uint64_t dropped;
};

static void note(struct history *h, struct frame *frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t damage = 0;

		assert_true(h->count < ARRAY_COUNT(h->ids));
		h->ids[h->count++] = fixture_frame_id(&frames[i]);
		for (uint32_t at = 18; at < frames[i].len; at++)
			damage |= frames[i].data[at];
		h->damaged += damage != 0;
	}
	port_free(frames, n);
}

static void run(const struct port_fault_config *config, struct history *h)
{
	struct port_queue *queue = port_queue(port, 0);
	struct drop_counters drops = {0};
	struct frame in[PORT_BURST_MAX];
	uint64_t now_ns = NS_PER_S;

	memset(h, 0, sizeof(*h));
	assert_int_equal(port_queue_set_faults(queue, config), 0);
	for (uint32_t i = 0; i < FRAMES; i++, now_ns += 10 * NS_PER_US) {
		struct frame frame = fixture_frame(port, 400, 0x0800, i);

		port_tx(queue, &frame, 1, now_ns, &drops);
		note(h, in, port_rx(queue, in, PORT_BURST_MAX, now_ns, &drops));
	}
	for (int i = 0; i < 100; i++, now_ns += NS_PER_MS) {
		port_tx(queue, NULL, 0, now_ns, &drops);
		note(h, in, port_rx(queue, in, PORT_BURST_MAX, now_ns, &drops));
	}
	h->dropped = fixture_drops(&drops, DROP_FAULT_INJECTED);
	assert_int_equal(port_queue_set_faults(queue, NULL), 0);
	assert_int_equal(fixture_buffers_out(port), 0);
}

static uint32_t inversions(const struct history *h)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < h->count; i++)
		n += h->ids[i] < h->ids[i - 1];
	return n;
}

static void test_fault_rates_hit_as_often_as_asked(void **state)
{
	// Both directions see each frame, so a rate of 5 % hits close to 10 % of 2000.
	static const struct {
		const char *name;
		struct port_fault_config config;
		bool drops, duplicates, reorders, corrupts;
	} cases[] = {
		{"none", {.seed = 1}, false, false, false, false},
		{"drop", {.seed = 1, .drop = 500}, true, false, false, false},
		{"duplicate", {.seed = 2, .duplicate = 500}, false, true, false, false},
		{"reorder", {.seed = 3, .reorder = 500}, false, false, true, false},
		{"corrupt", {.seed = 4, .corrupt = 500}, false, false, false, true},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		static struct history h;

		print_message("%s\n", cases[i].name);
		run(&cases[i].config, &h);
		assert_in_range(h.dropped, cases[i].drops ? 150 : 0, cases[i].drops ? 250 : 0);
		assert_int_equal(h.count + h.dropped >= FRAMES, 1);
		assert_in_range(h.count + h.dropped - FRAMES, cases[i].duplicates ? 150 : 0,
				cases[i].duplicates ? 260 : 0);
		// A damaged id looks like a swap; 4 of 386 bytes carry it.
		assert_in_range(inversions(&h), cases[i].reorders ? 100 : 0,
				cases[i].reorders   ? 250
				: cases[i].corrupts ? 10
						    : 0);
		assert_in_range(h.damaged, cases[i].corrupts ? 130 : 0,
				cases[i].corrupts ? 250 : 0);
	}
}

static void test_fault_same_seed_same_history(void **state)
{
	struct port_fault_config config = {.seed = 99,
					   .drop = 300,
					   .duplicate = 300,
					   .reorder = 300,
					   .corrupt = 300,
					   .delay = 300,
					   .delay_us = 500};
	static struct history first, second, other;

	run(&config, &first);
	run(&config, &second);
	assert_memory_equal(&first, &second, sizeof(first));
	config.seed = 100;
	run(&config, &other);
	assert_memory_not_equal(&first, &other, sizeof(first));
}

static void test_fault_delay_holds_until_time_has_come(void **state)
{
	struct port_fault_config config = {.seed = 1, .delay = 10000, .delay_us = 1000};
	struct port_queue *queue = port_queue(port, 0);
	struct drop_counters drops = {0};
	struct frame frame = fixture_frame(port, 60, 0x0800, 7);
	struct frame in[PORT_BURST_MAX];

	assert_int_equal(port_queue_set_faults(queue, &config), 0);
	port_tx(queue, &frame, 1, 0, &drops);
	assert_int_equal(port_rx(queue, in, PORT_BURST_MAX, 0, &drops), 0);
	port_tx(queue, NULL, 0, NS_PER_MS, &drops); // sent; the way in delays it once more
	assert_int_equal(port_rx(queue, in, PORT_BURST_MAX, NS_PER_MS, &drops), 0);
	assert_int_equal(port_rx(queue, in, PORT_BURST_MAX, 2 * NS_PER_MS - 1, &drops), 0);
	assert_int_equal(port_rx(queue, in, PORT_BURST_MAX, 2 * NS_PER_MS, &drops), 1);
	assert_int_equal(fixture_frame_id(&in[0]), 7);
	port_free(in, 1);
	assert_int_equal(port_queue_set_faults(queue, NULL), 0);
}

/* More frames under way than can be held: they come early rather than never, and none leaks. */
static void test_fault_everything_at_once_loses_nothing_uncounted(void **state)
{
	struct port_fault_config config = {
		.seed = 5, .duplicate = 10000, .delay = 5000, .delay_us = 100000, .reorder = 10000};
	struct port_queue *queue = port_queue(port, 0);
	struct drop_counters drops = {0};
	struct frame out[PORT_BURST_MAX], in[PORT_BURST_MAX];
	uint32_t received = 0;

	assert_int_equal(port_queue_set_faults(queue, &config), 0);
	for (int burst = 0; burst < 20; burst++) {
		for (uint32_t i = 0; i < PORT_BURST_MAX; i++)
			out[i] = fixture_frame(port, 60, 0x0800, i);
		port_tx(queue, out, PORT_BURST_MAX, 0, &drops);
	}
	for (uint64_t ms = 0; ms < 2000; ms++) {
		uint16_t max = (uint16_t)(1 + ms % PORT_BURST_MAX);
		uint16_t n;

		port_tx(queue, NULL, 0, ms * NS_PER_MS, &drops);
		n = port_rx(queue, in, max, ms * NS_PER_MS, &drops);
		assert_in_range(n, 0, max);
		received += n;
		port_free(in, n);
	}
	assert_int_equal(received + fixture_drops(&drops, DROP_FAULT_INJECTED),
			 20 * PORT_BURST_MAX * 4);
	assert_int_equal(port_queue_set_faults(queue, NULL), 0);
	assert_int_equal(fixture_buffers_out(port), 0);
}

static int boot(void **state)
{
	fixture_boot(devices, 1);
	port = fixture_port(0, 1);
	return 0;
}

static int stop(void **state)
{
	port_close(port);
	port_system_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_rates_hit_as_often_as_asked),
		cmocka_unit_test(test_fault_same_seed_same_history),
		cmocka_unit_test(test_fault_delay_holds_until_time_has_come),
		cmocka_unit_test(test_fault_everything_at_once_loses_nothing_uncounted),
	};

	return cmocka_run_group_tests(tests, boot, stop);
}
