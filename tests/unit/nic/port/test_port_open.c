/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/port/port_fixture.h"

#include <string.h>

/* The life of a port on devices that need no privileges, and what is said when one cannot live. */

enum {
	DEV_RING,
	DEV_NULL,
	DEV_NO_IFACE,
	DEV_IFACE_MISSING,
	DEV_UNKNOWN,
	DEV_COUNT,
};

static const char *const devices[DEV_COUNT] = {
	[DEV_RING] = "net_ring0",          [DEV_NULL] = "net_null0,size=64",
	[DEV_NO_IFACE] = "net_af_packet0", [DEV_IFACE_MISSING] = "net_af_xdp0,iface=wc-not-there",
	[DEV_UNKNOWN] = "net_warp0",
};

static void test_port_open_refusals_say_what_to_do(void **state)
{
	static const struct {
		const char *name;
		unsigned index;
		struct port_config config;
		const char *hint;
	} cases[] = {
		{"beyond the list", DEV_COUNT, {.queues_wanted = 1}, "are configured"},
		{"no interface", DEV_NO_IFACE, {.queues_wanted = 1}, "iface="},
		{"interface missing", DEV_IFACE_MISSING, {.queues_wanted = 1}, "wc-not-there"},
		{"no such driver", DEV_UNKNOWN, {.queues_wanted = 1}, "net_warp0"},
		{"buffers too few", DEV_RING, {.queues_wanted = 1, .buffers = 100}, "too few"},
		{"more buffers than memory",
		 DEV_RING,
		 {.queues_wanted = 1, .extra_buffers = 10000000},
		 "nic-memory-mib"},
		{"mtu too large", DEV_RING, {.queues_wanted = 1, .mtu = 9000}, "nic-mtu 9000"},
		{"mtu too small", DEV_RING, {.queues_wanted = 1, .mtu = 67}, "nic-mtu 67"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct port *port = NULL;
		char why[PORT_WHY_MAX] = "";

		print_message("%s\n", cases[i].name);
		assert_true(port_open(cases[i].index, &cases[i].config, &port, why) < 0);
		assert_null(port);
		if (!strstr(why, cases[i].hint))
			fail_msg("\"%s\" does not mention \"%s\"", why, cases[i].hint);
	}
}

static void test_port_opens_and_closes_again_and_again(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct port *port = fixture_port(DEV_RING, (uint16_t)(1 + i % 4));

		assert_int_equal(port_queues(port), 1 + i % 4);
		assert_non_null(port_queue(port, (uint16_t)(i % 4)));
		assert_null(port_queue(port, (uint16_t)(1 + i % 4)));
		port_close(port);
	}
	port_close(NULL);
}

static void test_port_has_no_more_queues_than_device(void **state)
{
	struct port *port = fixture_port(DEV_RING, 40);

	assert_int_equal(port_queues(port), 16);
	port_close(port);
}

static void test_port_info_describes_device(void **state)
{
	struct port *port = fixture_port(DEV_RING, 2);
	struct port_info info;

	port_info(port, &info);
	assert_string_equal(info.name, "net_ring0");
	assert_string_equal(info.driver, "net_ring");
	assert_int_equal(info.queues, 2);
	assert_int_equal(info.mtu, 1500);
	assert_true(info.virtual_device);
	assert_false(info.rx_checksum);
	assert_false(info.tx_checksum);
	assert_false(info.hash_proven);
	assert_true(port_link_up(port));
	port_stop(port);
	assert_false(port_link_up(port));
	port_close(port);
}

/* net_null delivers frames of zeros for ever: enough to see a burst and the counters move. */
static void test_port_null_delivers_bursts(void **state)
{
	struct port *port = fixture_port(DEV_NULL, 1);
	struct drop_counters drops = {0};
	struct frame frames[PORT_BURST_MAX];
	struct port_counters counters;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(port_rx(port_queue(port, 0), frames, PORT_BURST_MAX, 0, &drops),
				 PORT_BURST_MAX);
		assert_int_equal(frames[0].len, 64);
		port_free(frames, PORT_BURST_MAX);
	}
	port_counters(port, &counters);
	assert_int_equal(counters.rx_packets, 3200);
	assert_int_equal(fixture_buffers_out(port), 0);
	port_close(port);
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
		cmocka_unit_test(test_port_open_refusals_say_what_to_do),
		cmocka_unit_test(test_port_opens_and_closes_again_and_again),
		cmocka_unit_test(test_port_has_no_more_queues_than_device),
		cmocka_unit_test(test_port_info_describes_device),
		cmocka_unit_test(test_port_null_delivers_bursts),
	};

	return cmocka_run_group_tests(tests, boot, stop);
}
