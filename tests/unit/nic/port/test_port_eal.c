/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_flow_hash.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_lcore.h>

#include <pthread.h>
#include <string.h>

/*
 * Starting and stopping the packet system. The refusals come first, because it starts once per
 * process.
 */

static const char *const ring[] = {"net_ring0"};

static void assert_refused(const struct port_system_config *config, const char *hint)
{
	char why[PORT_WHY_MAX];

	assert_true(port_system_start(config, why) < 0);
	if (!strstr(why, hint))
		fail_msg("\"%s\" does not mention \"%s\"", why, hint);
	assert_int_equal(port_count(), 0);
}

static void test_system_bad_config_says_what_to_do(void **state)
{
	struct port_system_config none = {.program = "t", .memory_mib = 64};
	struct port_system_config little = {
		.program = "t", .memory_mib = 1, .devices = ring, .devices_count = 1};
	struct port_system_config huge = {.program = "t",
					  .memory_mib = 4000000,
					  .devices = ring,
					  .devices_count = 1,
					  .huge_pages = true};

	assert_refused(&none, "nic-device");
	assert_refused(&little, "nic-memory-mib");
	assert_refused(&huge, "hugepages.sh");
}

static void test_system_many_eal_arguments_are_refused(void **state)
{
	char *args[100];
	struct port_system_config config = {.program = "t",
					    .memory_mib = 64,
					    .devices = ring,
					    .devices_count = 1,
					    .eal_args = args,
					    .eal_args_count = 100};

	for (size_t i = 0; i < ARRAY_COUNT(args); i++)
		args[i] = (char *)(uintptr_t) "--no-telemetry";
	assert_refused(&config, "too many");
}

static void test_system_start_keeps_affinity_and_sets_key(void **state)
{
	static const uint8_t no_key[PORT_FLOW_HASH_KEY_BYTES];
	cpu_set_t before, after;

	assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(before), &before), 0);
	fixture_boot(ring, 1);
	assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	assert_int_equal(port_count(), 1);
	assert_memory_not_equal(port_flow_hash_key(), no_key, sizeof(no_key));
}

static void test_system_second_start_is_refused(void **state)
{
	struct port_system_config config = {
		.program = "t", .memory_mib = 64, .devices = ring, .devices_count = 1};
	char why[PORT_WHY_MAX];

	assert_int_equal(port_system_start(&config, why), -EALREADY);
}

static void *attach_and_detach(void *result)
{
	int *rc = result;

	*rc = port_thread_attach();
	if (*rc == 0 && rte_lcore_id() == LCORE_ID_ANY)
		*rc = -EINVAL;
	// Once more is no mistake: a thread may be handed from one owner to another.
	if (*rc == 0)
		*rc = port_thread_attach();
	port_thread_detach();
	if (rte_lcore_id() != LCORE_ID_ANY)
		*rc = -EBUSY;
	return NULL;
}

static void test_thread_attached_has_a_cache_of_its_own(void **state)
{
	assert_int_equal(port_thread_attach(), 0); // the main thread already is
	for (int i = 0; i < 3 * RTE_MAX_LCORE; i++) {
		pthread_t thread;
		int rc = -1;

		assert_int_equal(pthread_create(&thread, NULL, attach_and_detach, &rc), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(rc, 0);
	}
}

static int stop(void **state)
{
	port_system_stop();
	port_system_stop(); // harmless
	return port_count() == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_system_bad_config_says_what_to_do),
		cmocka_unit_test(test_system_many_eal_arguments_are_refused),
		cmocka_unit_test(test_system_start_keeps_affinity_and_sets_key),
		cmocka_unit_test(test_system_second_start_is_refused),
		cmocka_unit_test(test_thread_attached_has_a_cache_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, stop);
}
