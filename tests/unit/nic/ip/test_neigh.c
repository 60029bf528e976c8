/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/neigh.h"

#include "base/clock.h"
#include "tests/unit/nic/ip/ip_fixture.h"

#include <pthread.h>

/* The neighbour table by itself: who gets in, who is asked for and when, who is forgotten. */

#define REACHABLE_NS (30 * NS_PER_S)
#define ENTRIES      64

static const uint8_t mac_a[ETH_MAC_BYTES] = {2, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};
static const uint8_t mac_b[ETH_MAC_BYTES] = {2, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb};

static int setup(void **state)
{
	*state = neigh_table_new(ENTRIES);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	neigh_table_free(*state);
	return 0;
}

/* One look at every entry; the number of requests that are due. */
static uint32_t tick_all(struct neigh_table *table, uint64_t now_ns)
{
	struct ip_addr ask[ENTRIES];
	uint32_t cursor = 0;

	return neigh_tick(table, &cursor, ENTRIES, now_ns, REACHABLE_NS, ask);
}

static void test_learn_unknown_host_is_ignored(void **state)
{
	struct neigh_table *table = *state;
	struct neigh_answer answer;

	for (uint32_t i = 1; i < 10000; i++)
		neigh_learn(table, V4(0x0a630000 + i), mac_a, NS_PER_S);
	for (uint32_t i = 1; i < 10000; i++)
		assert_false(neigh_find(table, V4(0x0a630000 + i), &answer));
	assert_int_equal(neigh_generation(table), 0);
}

static void test_want_then_learn_is_found(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	struct neigh_answer answer;

	assert_true(neigh_want(table, &host, NS_PER_S));
	assert_false(neigh_find(table, &host, &answer));
	neigh_learn(table, &host, mac_a, 2 * NS_PER_S);
	assert_true(neigh_find(table, &host, &answer));
	assert_memory_equal(answer.mac, mac_a, ETH_MAC_BYTES);
	assert_int_equal(answer.learnt_ns, 2 * NS_PER_S);
	assert_false(neigh_want(table, &host, 3 * NS_PER_S));
}

static void test_requests_repeat_each_second_and_stop_after_three(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	uint64_t now_ns = NS_PER_S;
	uint32_t requests = 0;

	// Wanted all the time by one worker, ticked by another: still one request a second.
	for (int ms = 0; ms < 2900; ms += 100, now_ns += 100 * NS_PER_MS) {
		requests += neigh_want(table, &host, now_ns);
		requests += tick_all(table, now_ns);
	}
	assert_int_equal(requests, NEIGH_TRIES_MAX);

	// Given up: the place is free again, and a fresh wish starts over.
	assert_int_equal(tick_all(table, now_ns + NS_PER_S), 0);
	assert_true(neigh_want(table, &host, now_ns + NS_PER_S));
}

static void test_answer_stops_requests_until_it_is_old(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	struct neigh_answer answer;
	uint64_t now_ns = NS_PER_S;

	assert_true(neigh_want(table, &host, now_ns));
	neigh_learn(table, &host, mac_a, now_ns);
	for (int s = 1; s < 30; s++)
		assert_int_equal(tick_all(table, now_ns + (uint64_t)s * NS_PER_S), 0);

	// Old and still wanted: asked again, and kept meanwhile.
	now_ns += REACHABLE_NS;
	assert_false(neigh_want(table, &host, now_ns - NS_PER_S));
	assert_int_equal(tick_all(table, now_ns), 1);
	assert_true(neigh_find(table, &host, &answer));
	neigh_learn(table, &host, mac_a, now_ns);
	assert_int_equal(tick_all(table, now_ns + 2 * NS_PER_S), 0);
}

static void test_old_and_unwanted_is_forgotten_unasked(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	struct neigh_answer answer;

	assert_true(neigh_want(table, &host, NS_PER_S));
	neigh_learn(table, &host, mac_a, NS_PER_S);
	assert_int_equal(tick_all(table, 2 * NS_PER_S + REACHABLE_NS), 0);
	assert_false(neigh_find(table, &host, &answer));
}

static void test_old_and_silent_is_forgotten_after_three(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	struct neigh_answer answer;
	uint64_t now_ns = NS_PER_S;
	uint32_t requests = 0;

	assert_true(neigh_want(table, &host, now_ns));
	neigh_learn(table, &host, mac_a, now_ns);
	now_ns += REACHABLE_NS;
	for (int i = 0; i < 40; i++, now_ns += 100 * NS_PER_MS) {
		assert_false(i < 25 && neigh_want(table, &host, now_ns));
		requests += tick_all(table, now_ns);
	}
	assert_int_equal(requests, NEIGH_TRIES_MAX);
	assert_false(neigh_find(table, &host, &answer));
}

static void test_move_raises_generation(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr host = address_of(10, 0, 0, 1);
	struct neigh_answer answer;

	assert_true(neigh_want(table, &host, NS_PER_S));
	neigh_learn(table, &host, mac_a, NS_PER_S);
	neigh_learn(table, &host, mac_a, 2 * NS_PER_S);
	assert_int_equal(neigh_generation(table), 0);
	neigh_learn(table, &host, mac_b, 3 * NS_PER_S);
	assert_int_equal(neigh_generation(table), 1);
	assert_true(neigh_find(table, &host, &answer));
	assert_memory_equal(answer.mac, mac_b, ETH_MAC_BYTES);
}

static void test_full_table_keeps_those_wanted_lately(void **state)
{
	struct neigh_table *table = *state;
	struct ip_addr kept = address_of(10, 0, 0, 1);
	struct neigh_answer answer;
	uint64_t now_ns = NS_PER_S;

	assert_true(neigh_want(table, &kept, now_ns));
	neigh_learn(table, &kept, mac_a, now_ns);
	for (uint32_t i = 0; i < 10 * ENTRIES; i++) {
		now_ns += NS_PER_MS;
		assert_false(neigh_want(table, &kept, now_ns));
		assert_true(neigh_want(table, V4(0x0a640000 + i), now_ns));
	}
	assert_true(neigh_find(table, &kept, &answer));
}

static void test_announcements_are_two_and_apart(void **state)
{
	struct neigh_table *table = *state;

	assert_true(neigh_announcement_due(table, NS_PER_S));
	assert_false(neigh_announcement_due(table, NS_PER_S + 1));
	assert_false(neigh_announcement_due(table, 2 * NS_PER_S));
	assert_true(neigh_announcement_due(table, 3 * NS_PER_S));
	assert_false(neigh_announcement_due(table, 100 * NS_PER_S));
}

static void test_defence_is_rate_limited(void **state)
{
	struct neigh_table *table = *state;

	assert_true(neigh_defence_due(table, NS_PER_S));
	assert_false(neigh_defence_due(table, 10 * NS_PER_S));
	assert_true(neigh_defence_due(table, 11 * NS_PER_S));
}

struct race {
	struct neigh_table *table;
	struct ip_addr host;
	uint32_t rounds;
};

/* Writes pairs that belong together: MAC a at odd times, b at even ones. */
static void *race_writer(void *arg)
{
	struct race *race = arg;

	for (uint32_t i = 1; i <= race->rounds; i++)
		neigh_learn(race->table, &race->host, i % 2 ? mac_a : mac_b, i);
	return NULL;
}

static void test_readers_never_see_half_a_change(void **state)
{
	struct race race = {*state, address_of(10, 0, 0, 1), 200000};
	pthread_t writers[2];
	uint64_t seen = 0;

	assert_true(neigh_want(race.table, &race.host, NS_PER_S));
	neigh_learn(race.table, &race.host, mac_a, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, race_writer, &race), 0);
	for (uint32_t i = 0; i < race.rounds; i++) {
		struct neigh_answer answer;

		if (!neigh_find(race.table, &race.host, &answer))
			continue; // a writer was in the way
		assert_memory_equal(answer.mac, answer.learnt_ns % 2 ? mac_a : mac_b,
				    ETH_MAC_BYTES);
		seen++;
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	assert_true(seen > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_learn_unknown_host_is_ignored),
		TEST(test_want_then_learn_is_found),
		TEST(test_requests_repeat_each_second_and_stop_after_three),
		TEST(test_answer_stops_requests_until_it_is_old),
		TEST(test_old_and_unwanted_is_forgotten_unasked),
		TEST(test_old_and_silent_is_forgotten_after_three),
		TEST(test_move_raises_generation),
		TEST(test_full_table_keeps_those_wanted_lately),
		TEST(test_announcements_are_two_and_apart),
		TEST(test_defence_is_rate_limited),
		TEST(test_readers_never_see_half_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
