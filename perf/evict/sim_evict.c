/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/compiler.h"
#include "base/rcu.h"
#include "perf/evict/sim_model.h"
#include "perf/evict/sim_table.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * How many requests the eviction policies make hits: traces through the server's own table, beside
 * exact LRU and Belady's choice with as many items. perf/README.md says how to read the figures.
 */

#define TRACES_MAX         8
#define CACHES_MAX         4
#define POLICY(name, word) word,

static const char *const policy_words[] = {TABLE_POLICIES(POLICY)};

enum {
	POLICIES = ARRAY_COUNT(policy_words)
};

struct options {
	struct sim_trace_size size;
	const char *traces[TRACES_MAX];
	uint32_t trace_count;
	double cache_percent[CACHES_MAX];
	uint32_t cache_count;
	uint32_t items; // instead of a share of the footprint
	bool policies[POLICIES];
	uint64_t rate;
	bool expiring;
	const char *json, *write_trace;
};

struct row {
	const char *trace;
	double cache_percent;
	size_t requests;
	uint32_t footprint, items;
	double lru, belady;
	struct sim_table_result of[POLICIES];
};

static const char usage[] =
	"usage: sim_evict [--trace zipf|churn|scan|FILE]... [--policy NAME]...\n"
	"                 [--cache PERCENT]... [--requests N] [--keys N] [--full] [--seed N]\n"
	"                 [--items N] [--rate N] [--expiring] [--json FILE] [--write-trace FILE]\n"
	"  --trace     all three generated ones, or those named; of a file, one key per line\n"
	"  --policy    allkeys-s3 and allkeys-lru, or those named\n"
	"  --cache     percent of the trace's keys that fit: 1 and 10\n"
	"  --full      4,000,000 requests over 1,000,000 keys instead of a quarter of that\n"
	"  --items     so many items fit, whatever the trace\n"
	"  --rate      requests per second of the table's clock: 100,000\n"
	"  --expiring  keys have an expiry, but for one in 64\n";

static bool parse_policy(struct options *o, const char *word)
{
	for (uint32_t i = 0; i < POLICIES; i++)
		if (strcmp(policy_words[i], word) == 0)
			return o->policies[i] = true;
	return false;
}

static bool parse_option(struct options *o, int option, const char *value)
{
	switch (option) {
	case 't':
		if (o->trace_count < TRACES_MAX)
			o->traces[o->trace_count++] = value;
		return true;
	case 'p':
		return parse_policy(o, value);
	case 'c':
		if (o->cache_count < CACHES_MAX)
			o->cache_percent[o->cache_count++] = strtod(value, NULL);
		return true;
	case 'n':
		o->size.requests = strtoull(value, NULL, 10);
		return o->size.requests > 0 && o->size.requests < UINT32_MAX / 2;
	case 'k':
		o->size.base_keys = (uint32_t)strtoul(value, NULL, 10);
		return o->size.base_keys > 0 && o->size.base_keys < UINT32_MAX / 2;
	case 'f':
		o->size.requests = 4000000;
		o->size.base_keys = 1000000;
		return true;
	case 's':
		o->size.seed = strtoull(value, NULL, 10);
		return true;
	case 'i':
		o->items = (uint32_t)strtoul(value, NULL, 10);
		return o->items > 0;
	case 'r':
		o->rate = strtoull(value, NULL, 10);
		return o->rate > 0;
	case 'e':
		return o->expiring = true;
	case 'j':
		return (o->json = value);
	case 'w':
		return (o->write_trace = value);
	default:
		return false;
	}
}

static void fill_in(struct options *o)
{
	static const char *const traces[] = {"zipf", "churn", "scan"};
	bool any = false;

	if (o->trace_count == 0)
		for (uint32_t i = 0; i < ARRAY_COUNT(traces); i++)
			o->traces[o->trace_count++] = traces[i];
	if (o->cache_count == 0) {
		o->cache_percent[o->cache_count++] = 1;
		o->cache_percent[o->cache_count++] = 10;
	}
	for (uint32_t i = 0; i < POLICIES; i++)
		any = any || o->policies[i];
	if (!any)
		o->policies[TABLE_ALLKEYS_S3] = o->policies[TABLE_ALLKEYS_LRU] = true;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{"trace", required_argument, NULL, 't'},
		{"policy", required_argument, NULL, 'p'},
		{"cache", required_argument, NULL, 'c'},
		{"requests", required_argument, NULL, 'n'},
		{"keys", required_argument, NULL, 'k'},
		{"full", no_argument, NULL, 'f'},
		{"seed", required_argument, NULL, 's'},
		{"items", required_argument, NULL, 'i'},
		{"rate", required_argument, NULL, 'r'},
		{"expiring", no_argument, NULL, 'e'},
		{"json", required_argument, NULL, 'j'},
		{"write-trace", required_argument, NULL, 'w'},
		{0},
	};
	int option;

	*o = (struct options){.size = {.requests = 1000000, .base_keys = 250000, .seed = 1},
			      .rate = 100000};
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (!parse_option(o, option, optarg))
			return false;
	fill_in(o);
	return optind == argc;
}

static double gap_closed(const struct row *row, double hit_ratio)
{
	double gap = row->belady - row->lru;

	return gap > 0 ? (hit_ratio - row->lru) / gap : 0;
}

static bool run_row(const struct options *o, const struct sim_trace *trace, struct row *row)
{
	row->trace = trace->name;
	row->requests = trace->count;
	row->footprint = trace->footprint;
	row->items =
		o->items ? o->items : (uint32_t)(row->cache_percent / 100 * trace->footprint + 0.5);
	row->lru = sim_model_lru(trace, row->items);
	row->belady = sim_model_belady(trace, row->items);
	if (row->lru < 0 || row->belady < 0)
		return false;
	printf("%-8s %5.1f%% %9u %7.4f %7.4f", row->trace, row->cache_percent, row->items, row->lru,
	       row->belady);
	for (uint32_t i = 0; i < POLICIES; i++) {
		const struct sim_table_options options = {
			.policy = (enum table_policy)i,
			.items = row->items,
			.requests_rate = o->rate,
			.expiring = o->expiring,
		};

		if (!o->policies[i])
			continue;
		if (!sim_table_run(trace, &options, &row->of[i]))
			return false;
		printf("  %7.4f %5.1f%%", row->of[i].hit_ratio,
		       100 * gap_closed(row, row->of[i].hit_ratio));
		fflush(stdout);
	}
	printf("\n");
	return true;
}

static void print_head(const struct options *o)
{
	printf("%-8s %6s %9s %7s %7s", "trace", "cache", "items", "LRU", "Belady");
	for (uint32_t i = 0; i < POLICIES; i++)
		if (o->policies[i])
			printf("  %14s", policy_words[i]);
	printf("\n");
}

static double mean_gap_closed(const struct row *rows, uint32_t count, uint32_t policy)
{
	double sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += gap_closed(&rows[i], rows[i].of[policy].hit_ratio);
	return sum / count;
}

static void print_foot(const struct options *o, const struct row *rows, uint32_t count)
{
	printf("%-41s", "of the gap from LRU to Belady, mean");
	for (uint32_t i = 0; i < POLICIES; i++)
		if (o->policies[i])
			printf("  %13.1f%%", 100 * mean_gap_closed(rows, count, i));
	printf("\n");
}

static void json_row(FILE *file, const struct options *o, const struct row *row)
{
	fprintf(file,
		"{\"trace\": \"%s\", \"cache_percent\": %g, \"requests\": %zu, \"footprint\": %u, "
		"\"items\": %u, \"lru\": %.6f, \"belady\": %.6f, \"policies\": {",
		row->trace, row->cache_percent, row->requests, row->footprint, row->items, row->lru,
		row->belady);
	const char *comma = "";

	for (uint32_t i = 0; i < POLICIES; i++) {
		const struct sim_table_result *r = &row->of[i];

		if (!o->policies[i])
			continue;
		fprintf(file, "%s\"%s\": {\"hit_ratio\": %.6f, \"gap_closed\": %.4f, ", comma,
			policy_words[i], r->hit_ratio, gap_closed(row, r->hit_ratio));
		fprintf(file,
			"\"items_mean\": %.1f, \"refused\": %lu, \"maxmemory_bytes\": %lu, "
			"\"ghost_bytes\": %lu}",
			r->items_mean, r->refused, r->maxmemory_bytes, r->ghost_bytes);
		comma = ", ";
	}
	fprintf(file, "}}");
}

static bool write_json(const struct options *o, const struct row *rows, uint32_t count)
{
	FILE *file = fopen(o->json, "w");
	const char *comma = "";

	if (!file) {
		perror(o->json);
		return false;
	}
	fprintf(file, "{\"seed\": %lu, \"rows\": [", o->size.seed);
	for (uint32_t i = 0; i < count; i++) {
		fprintf(file, "%s\n", comma);
		json_row(file, o, &rows[i]);
		comma = ",";
	}
	fprintf(file, "\n], \"gap_closed_mean\": {");
	comma = "";
	for (uint32_t i = 0; i < POLICIES; i++) {
		if (!o->policies[i])
			continue;
		fprintf(file, "%s\"%s\": %.4f", comma, policy_words[i],
			mean_gap_closed(rows, count, i));
		comma = ", ";
	}
	fprintf(file, "}}\n");
	return fclose(file) == 0;
}

static bool write_trace(const struct sim_trace *trace, const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		return false;
	}
	for (size_t i = 0; i < trace->count; i++)
		fprintf(file, "%u\n", trace->keys[i]);
	return fclose(file) == 0;
}

static bool run(const struct options *o)
{
	struct row rows[TRACES_MAX * CACHES_MAX] = {0};
	uint32_t count = 0;
	bool done = true;

	print_head(o);
	for (uint32_t i = 0; i < o->trace_count && done; i++) {
		struct sim_trace trace;

		done = sim_trace_make(&trace, o->traces[i], &o->size);
		for (uint32_t j = 0; j < o->cache_count && done; j++) {
			rows[count].cache_percent = o->cache_percent[j];
			done = run_row(o, &trace, &rows[count++]);
		}
		sim_trace_free(&trace);
	}
	if (!done)
		return false;
	print_foot(o, rows, count);
	return !o->json || write_json(o, rows, count);
}

int main(int argc, char **argv)
{
	struct options o;

	if (!parse_options(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	if (o.write_trace) {
		struct sim_trace trace;
		bool written = sim_trace_make(&trace, o.traces[0], &o.size) &&
			       write_trace(&trace, o.write_trace);

		sim_trace_free(&trace);
		return written ? 0 : 1;
	}
	if (rcu_start())
		return 1;
	bool done = run(&o);

	rcu_stop();
	return done ? 0 : 1;
}
