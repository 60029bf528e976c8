/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/rcu.h"
#include "base/rng.h"
#include "perf/load/load_space.h"
#include "perf/micro/bench_map.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What one operation on the table costs on one core, beside liburcu's hash table and DPDK's in the
 * same run and on the same keys. The maps take turns of some milliseconds, so that whatever slows
 * the machine down slows all of them; a figure is the median of the turns, a ratio that of the
 * turns' own ratios. bench_table --help
 */

#define MAPS         3
#define TURN_BATCHES 400
#define TURNS        31
#define FILL_BATCHES 100
#define GROWTH_TRIES 3
#define GROWTH_KEYS  4000000
#define CORES        2
#define SLOW_US      50
#define EXIT_USAGE   2
#define KEY_COUNTS   8

static const struct bench_map_ops *const maps[MAPS] = {&map_wirecache, &map_lfht, &map_rte_hash};

bool bench_sized;

struct bench {
	struct bench_map *map[MAPS];
	uint64_t keys;
	struct rng rng;
	struct load_draw draw;
	bool zipf;
	uint64_t base;               // of key numbers: those that are there begin at 0
	struct bench_batch *batches; // TURN_BATCHES
	FILE *json;
	bool json_begun;
};

/* Which operation a batch is. */
typedef bool is_write_fn(uint32_t batch);

_Noreturn void bench_no_memory(void)
{
	fprintf(stderr, "bench_table: no memory\n");
	exit(EXIT_FAILURE);
}

void *bench_peer_alloc(size_t bytes)
{
	extern void *__libc_malloc(size_t size);
	void *ptr = __libc_malloc(bytes);

	if (!ptr)
		bench_no_memory();
	return ptr;
}

void bench_peer_free(void *ptr)
{
	extern void __libc_free(void *ptr);

	__libc_free(ptr);
}

static void pin(uint32_t core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); // one core, then: figures tell
}

/* The thread that our table maps its index with runs beside us, as on an appliance. */
static struct bench_map *open_beside(const struct bench_map_ops *ops, uint64_t keys)
{
	struct bench_map *map;

	pin(1);
	map = ops->open(keys);
	pin(0);
	return map;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

static double ns_of(double cycles)
{
	return cycles * 1e9 / (double)clock_tsc_hz();
}

/* --- keys --- */

static void text_of(char *text, uint64_t number)
{
	for (int i = BENCH_KEY_BYTES; i-- > 0; number /= 10)
		text[i] = (char)('0' + number % 10);
}

static void batch_of(struct bench_batch *batch, uint64_t first)
{
	for (uint32_t i = 0; i < BENCH_BATCH; i++)
		text_of(batch->text[i], first + i);
}

static void draw_batches(struct bench *b)
{
	for (uint32_t i = 0; i < TURN_BATCHES; i++)
		for (uint32_t k = 0; k < BENCH_BATCH; k++)
			text_of(b->batches[i].text[k], b->base + load_draw_next(&b->draw, &b->rng));
}

static void draw_by(struct bench *b, bool zipf)
{
	const struct load_options options = {
		.clients = 1, .key_max = b->keys - 1, .zipf_exponent = 0.99};

	b->zipf = zipf;
	load_draw_init(&b->draw, &options, zipf ? LOAD_ZIPF : LOAD_UNIFORM, 0);
}

/* --- rows --- */

struct row {
	const char *name;
	double ns[MAPS], ratio[MAPS]; // ratio: how much better ours is
};

static void print_row(struct bench *b, const struct row *row)
{
	printf("%-17s %9" PRIu64 " %-7s %8.1f", row->name, b->keys, b->zipf ? "zipf" : "uniform",
	       row->ns[0]);
	for (uint32_t m = 1; m < MAPS; m++)
		printf("  %s %.1f (%.2fx)", maps[m]->name, row->ns[m], row->ratio[m]);
	putchar('\n');
	fflush(stdout);
	if (!b->json)
		return;
	fprintf(b->json,
		"%s\n {\"workload\": \"table_%s\", \"protocol\": \"none\", \"pipeline\": %d, "
		"\"connections\": 0, \"key_bytes\": %d, \"value_bytes\": %d, \"keys\": %" PRIu64
		", \"key_pattern\": \"%s\", \"view\": \"C\", \"unit\": \"ns_per_op\", "
		"\"ours\": %.2f, \"peers\": {",
		b->json_begun ? "," : "", row->name, BENCH_BATCH, BENCH_KEY_BYTES,
		BENCH_VALUE_BYTES, b->keys, b->zipf ? "Z" : "R", row->ns[0]);
	b->json_begun = true;
	for (uint32_t m = 1; m < MAPS; m++)
		fprintf(b->json, "%s\"%s\": %.2f", m > 1 ? ", " : "", maps[m]->name, row->ns[m]);
	fprintf(b->json, "}, \"ratio\": {");
	for (uint32_t m = 1; m < MAPS; m++)
		fprintf(b->json, "%s\"%s\": %.3f", m > 1 ? ", " : "", maps[m]->name, row->ratio[m]);
	fprintf(b->json, "}}");
}

/* cycles[m][turn] of each map -> a row. */
static void row_of_turns(struct bench *b, const char *name, double cycles[MAPS][TURNS],
			 uint32_t turns)
{
	struct row row = {.name = name};
	double ratios[TURNS];

	for (uint32_t m = 1; m < MAPS; m++) {
		for (uint32_t i = 0; i < turns; i++)
			ratios[i] = cycles[m][i] / cycles[0][i];
		row.ratio[m] = median(ratios, turns);
	}
	for (uint32_t m = 0; m < MAPS; m++)
		row.ns[m] = ns_of(median(cycles[m], turns));
	print_row(b, &row);
}

static double turn(struct bench *b, uint32_t m, is_write_fn *is_write)
{
	uint64_t start = clock_tsc();

	for (uint32_t i = 0; i < TURN_BATCHES; i++) {
		bool writes = is_write(i);

		if (writes)
			maps[m]->set(b->map[m], &b->batches[i]);
		else
			maps[m]->find(b->map[m], &b->batches[i]);
		maps[m]->rest(b->map[m], writes);
	}
	return (double)(clock_tsc() - start) / (TURN_BATCHES * BENCH_BATCH);
}

static void measure(struct bench *b, const char *name, is_write_fn *is_write)
{
	double cycles[MAPS][TURNS];

	for (uint32_t i = 0; i < TURNS; i++) {
		draw_batches(b);
		for (uint32_t k = 0; k < MAPS; k++) {
			uint32_t m = i % 2 ? MAPS - 1 - k : k;

			cycles[m][i] = turn(b, m, is_write);
		}
	}
	row_of_turns(b, name, cycles, TURNS);
}

static bool never(uint32_t batch)
{
	return false;
}

static bool tenth(uint32_t batch)
{
	return batch % 10 == 0;
}

static bool half(uint32_t batch)
{
	return batch % 2 == 0;
}

static bool always(uint32_t batch)
{
	return true;
}

/* --- all keys once --- */

typedef void batch_fn(struct bench_map *map, const struct bench_batch *batch);

static double pass_turn(struct bench *b, uint32_t m, uint64_t first, batch_fn *op)
{
	uint64_t cycles = 0;
	struct bench_batch batch;

	for (uint32_t i = 0; i < FILL_BATCHES; i++) {
		batch_of(&batch, first + (uint64_t)i * BENCH_BATCH);
		uint64_t start = clock_tsc();

		op(b->map[m], &batch);
		maps[m]->rest(b->map[m], true);
		cycles += clock_tsc() - start;
	}
	return (double)cycles / (FILL_BATCHES * BENCH_BATCH);
}

/* Every key, in turns of which TURNS, evenly spread, make the row. */
static void pass(struct bench *b, const char *name, bool deletes)
{
	const uint64_t turn_keys = (uint64_t)FILL_BATCHES * BENCH_BATCH;
	uint64_t turns = b->keys / turn_keys, kept = 0;
	double cycles[MAPS][TURNS];

	for (uint64_t i = 0; i < turns; i++) {
		bool keep = kept < TURNS && (i + 1) * TURNS / turns > kept;

		for (uint32_t k = 0; k < MAPS; k++) {
			uint32_t m = i % 2 ? MAPS - 1 - k : k;
			double c = pass_turn(b, m, i * turn_keys,
					     deletes ? maps[m]->delete : maps[m]->set);

			if (keep)
				cycles[m][kept] = c;
		}
		kept += keep;
	}
	row_of_turns(b, name, cycles, (uint32_t)kept);
}

static void measure_keys(struct bench *b)
{
	b->base = 0;
	draw_by(b, false);
	for (uint32_t m = 0; m < MAPS; m++)
		b->map[m] = open_beside(maps[m], b->keys);
	pass(b, "insert, all new", false);
	printf("%-17s %9" PRIu64 "         %8.1f bytes beyond key and value\n", "overhead", b->keys,
	       map_wirecache_overhead(b->map[0]));
	for (uint32_t zipf = 0; zipf < 2; zipf++) {
		draw_by(b, zipf);
		measure(b, "lookup", never);
	}
	draw_by(b, false);
	pass(b, "replace, first", false);
	// Ours are copied by look-ups from here on, and stored over by whoever sets them.
	for (uint32_t zipf = 0; zipf < 2; zipf++) {
		draw_by(b, zipf);
		measure(b, "lookup, rewritten", never);
		measure(b, "lookup, 10 % set", tenth);
		measure(b, "mixed, 50 % set", half);
		measure(b, "replace", always);
	}
	draw_by(b, false);
	b->base = b->keys;
	measure(b, "lookup, miss", never);
	pass(b, "delete", true);
	pass(b, "insert again", false);
	for (uint32_t m = MAPS; m-- > 0;)
		maps[m]->close(b->map[m]);
}

/* --- the slowest insertion while the table grows --- */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/*
 * The same insertions several times over, and of each the fastest: the machine interrupts others
 * every time, the table's growth takes the same ones.
 */
static void measure_growth(uint64_t keys)
{
	uint32_t *cycles = malloc(keys * sizeof(*cycles));
	uint64_t slow = 0;

	if (!cycles)
		bench_no_memory();
	memset(cycles, 0xff, keys * sizeof(*cycles));
	for (uint32_t try = 0; try < GROWTH_TRIES; try++) {
		struct bench_map *map = open_beside(&map_wirecache, keys);
		struct bench_batch batch;

		for (uint64_t i = 0; i < keys; i++) {
			if (i % BENCH_BATCH == 0)
				batch_of(&batch, i);
			uint64_t start = clock_tsc();

			map_wirecache_set_one(map, &batch, i % BENCH_BATCH);
			uint64_t took = clock_tsc() - start;

			if (took < cycles[i])
				cycles[i] = (uint32_t)took;
			if (i % BENCH_BATCH == BENCH_BATCH - 1)
				map_wirecache.rest(map, true);
		}
		map_wirecache.close(map);
	}
	for (uint64_t i = 0; i < keys; i++)
		slow += ns_of(cycles[i]) > SLOW_US * 1e3;
	qsort(cycles, keys, sizeof(*cycles), compare_u32);
	printf("growth to %" PRIu64
	       " keys: an insertion p50 %.0f ns, p99.9 %.1f us, p99.999 %.1f us, "
	       "slowest %.1f us; %" PRIu64 " above %d us\n",
	       keys, ns_of(cycles[keys / 2]), ns_of(cycles[keys - keys / 1000]) / 1e3,
	       ns_of(cycles[keys - keys / 100000 - 1]) / 1e3, ns_of(cycles[keys - 1]) / 1e3, slow,
	       SLOW_US);
	free(cycles);
}

/* --- two threads --- */

struct pair {
	struct bench *bench;
	is_write_fn *is_write;
	pthread_barrier_t barrier;
	double cycles[TURNS]; // per operation of the second thread
};

static double pair_turn(struct bench_map *map, const struct bench_batch *batches,
			is_write_fn *is_write)
{
	uint64_t start = clock_tsc();

	for (uint32_t i = 0; i < TURN_BATCHES; i++) {
		bool writes = is_write(i);

		if (writes)
			map_wirecache.set(map, &batches[i]);
		else
			map_wirecache.find(map, &batches[i]);
		map_wirecache.rest(map, writes);
	}
	return (double)(clock_tsc() - start) / (TURN_BATCHES * BENCH_BATCH);
}

static void wait_offline(pthread_barrier_t *barrier)
{
	rcu_offline();
	pthread_barrier_wait(barrier);
	rcu_online();
}

static void *second_thread(void *arg)
{
	struct pair *p = arg;
	struct bench own = *p->bench;
	struct bench_map *map = map_wirecache_join(p->bench->map[0]);

	pin(1);
	own.rng = rng_seeded(2);
	own.batches = malloc(TURN_BATCHES * sizeof(*own.batches));
	if (!own.batches)
		bench_no_memory();
	for (uint32_t i = 0; i < TURNS; i++) {
		draw_batches(&own);
		wait_offline(&p->barrier); // while the first is alone
		wait_offline(&p->barrier);
		p->cycles[i] = pair_turn(map, own.batches, p->is_write);
		wait_offline(&p->barrier);
	}
	map_wirecache.close(map);
	free(own.batches);
	return NULL;
}

static void measure_pair(struct bench *b, const char *name, is_write_fn *is_write)
{
	struct pair p = {.bench = b, .is_write = is_write};
	double scaling[TURNS];
	pthread_t thread;

	pthread_barrier_init(&p.barrier, NULL, CORES);
	if (pthread_create(&thread, NULL, second_thread, &p) != 0)
		bench_no_memory();
	for (uint32_t i = 0; i < TURNS; i++) {
		draw_batches(b);
		wait_offline(&p.barrier);
		double alone = pair_turn(b->map[0], b->batches, is_write);

		wait_offline(&p.barrier);
		double together = pair_turn(b->map[0], b->batches, is_write);

		wait_offline(&p.barrier);
		scaling[i] = alone / together + alone / p.cycles[i];
	}
	rcu_offline();
	pthread_join(thread, NULL);
	rcu_online();
	pthread_barrier_destroy(&p.barrier);
	printf("two threads, %s: %.2f times one\n", name, median(scaling, TURNS));
}

static void measure_pairs(struct bench *b)
{
	b->base = 0;
	b->map[0] = open_beside(&map_wirecache, b->keys);
	// Twice, so that what is set is stored over from the first turn on.
	for (uint64_t first = 0; first < 2 * b->keys; first += BENCH_BATCH) {
		struct bench_batch batch;

		batch_of(&batch, first % b->keys);
		map_wirecache.set(b->map[0], &batch);
		map_wirecache.rest(b->map[0], true);
	}
	draw_by(b, false);
	measure_pair(b, "read only", never);
	measure_pair(b, "50 % set", half);
	map_wirecache.close(b->map[0]);
}

/* --- */

static int usage(FILE *to, int status)
{
	fprintf(to,
		"usage: bench_table [--keys N[,N]...] [--sized] [--huge-pages] [--json FILE]\n\n"
		"Nanoseconds per operation of the table (16-byte keys, 32-byte values, bursts\n"
		"of 32), and how much better it is than cds_lfht and rte_hash.\n"
		"  --keys N[,N]...  sizes (100000,4000000,16000000); the largest wants about\n"
		"                   400 bytes of memory a key\n"
		"  --sized          ours and cds_lfht are made for their full size, as rte_hash\n"
		"                   has to be, and need not grow\n"
		"  --huge-pages     of hugepages.sh, for ours\n"
		"  --json FILE      rows as perf/compare.sh writes them\n");
	return status;
}

static uint32_t parse_keys(const char *text, uint64_t *keys)
{
	uint32_t count = 0;

	while (count < KEY_COUNTS) {
		char *end;

		keys[count] = strtoull(text, &end, 10);
		// Enough for the turns of a pass, and no more digits than a text has.
		if (keys[count] < (uint64_t)FILL_BATCHES * BENCH_BATCH * TURNS ||
		    keys[count] > UINT32_MAX / 2 || (*end != ',' && *end != '\0'))
			return 0;
		count++;
		if (*end == '\0')
			return count;
		text = end + 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t keys[KEY_COUNTS] = {100000, 4000000, 16000000}, keys_max = 0;
	uint32_t count = 3;
	struct bench b = {.rng = rng_seeded(1)};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, EXIT_SUCCESS);
		if (strcmp(argv[i], "--huge-pages") == 0)
			map_wirecache_huge_pages = true;
		else if (strcmp(argv[i], "--sized") == 0)
			bench_sized = true;
		else if (strcmp(argv[i], "--keys") == 0 && i + 1 < argc)
			count = parse_keys(argv[++i], keys);
		else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
			b.json = fopen(argv[++i], "w");
		else
			return usage(stderr, EXIT_USAGE);
		if (count == 0 || (strcmp(argv[i - 1], "--json") == 0 && !b.json))
			return usage(stderr, EXIT_USAGE);
	}
	for (uint32_t i = 0; i < count; i++)
		keys_max = keys[i] > keys_max ? keys[i] : keys_max;
	clock_init();
	map_rte_hash_prepare(keys_max, argv[0]);
	b.batches = malloc(TURN_BATCHES * sizeof(*b.batches));
	if (rcu_start() || !b.batches)
		bench_no_memory();
	pin(0);
	if (b.json)
		fprintf(b.json, "{\"rows\": [");
	for (uint32_t i = 0; i < count; i++) {
		b.keys = keys[i];
		measure_keys(&b);
	}
	b.keys = keys_max < GROWTH_KEYS ? keys_max : GROWTH_KEYS;
	measure_pairs(&b);
	measure_growth(b.keys);
	if (b.json) {
		fprintf(b.json, "\n]}\n");
		fclose(b.json);
	}
	free(b.batches);
	rcu_stop();
	return EXIT_SUCCESS;
}
