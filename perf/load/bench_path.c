/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "ctrl/appliance.h"
#include "perf/load/load_link.h"
#include "perf/load/load_report.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/*
 * bench_path: one worker and its load in one process, joined by a pair of rings that hand frames
 * over without a copy. What a request costs on its whole way through our code, by stage, without a
 * NIC and without a kernel. The appliance is the real one with its defaults; the load is that of
 * wirecache-load, and runs on the main thread. Keys are written first if the load reads any.
 */

#define EXIT_USAGE   2
#define PAIR_WORKER  "net_ring_pair0a"
#define PAIR_LOAD    "net_ring_pair0b"
#define OFFLOADED    ",checksum=device"
#define FILL_CLIENTS 8

struct settings {
	struct load_options load;
	int32_t worker_core;
	uint32_t maxmemory_mib;
	bool offload, huge_pages;
};

/* The worker's counters at one moment. */
struct snapshot {
	uint64_t count[WORKER_COUNTERS];
	uint64_t stage_tsc[WORKER_STAGES];
	uint64_t commands;
};

struct bench {
	struct settings settings;
	struct config_store config;
	struct appliance appliance;
	struct port *port; // of the load
	struct load_link *link;
	struct snapshot before, after;
};

static const char *const stage_labels[] = {
#define WORKER_STAGE(symbol, label) label,
#include "dataplane/worker/worker_stage.def"
#undef WORKER_STAGE
};

static void snapshot_take(const struct bench *b, struct snapshot *s)
{
	const struct worker_stats *stats = worker_stats(b->appliance.workers[0]);

	for (uint32_t i = 0; i < WORKER_COUNTERS; i++)
		s->count[i] = counter_read(&stats->count[i]);
	for (uint32_t i = 0; i < WORKER_STAGES; i++)
		s->stage_tsc[i] = counter_read(&stats->stage_tsc[i]);
	s->commands = counter_read(&stats->commands.commands);
}

static void on_phase(void *arg, enum load_phase phase)
{
	struct bench *b = arg;

	if (phase == LOAD_MEASURING)
		snapshot_take(b, &b->before);
	if (phase == LOAD_DRAINING)
		snapshot_take(b, &b->after);
}

/* --- start and stop --- */

static void configure(struct bench *b)
{
	struct config *config = &b->config.now;
	const struct settings *s = &b->settings;

	config_init(&b->config);
	snprintf(config->nic_device, sizeof(config->nic_device), PAIR_WORKER "%s",
		 s->offload ? OFFLOADED : "");
	snprintf(config->nic_address, sizeof(config->nic_address), "%s/24", s->load.server);
	snprintf(config->worker_cores, sizeof(config->worker_cores), "%d", (int)s->worker_core);
	snprintf(config->allow_from, sizeof(config->allow_from), "%s/24", s->load.server);
	config->memcached_udp_port = config->memcached_port;
	config->memcached_udp_rate = 0; // the load is one host
	config->workers = 1;
	config->poll_idle = CONFIG_POLL_BUSY;
	config->maxmemory = (uint64_t)s->maxmemory_mib << 20;
	config->nic_huge_pages = s->load.nic_huge_pages;
	config->nic_memory_mib = s->load.nic_memory_mib;
	config->huge_pages = s->huge_pages;
}

static bool start_load_port(struct bench *b, char *why)
{
	const struct port_config config = {.queues_wanted = 1};

	if (port_system_add(b->settings.offload ? PAIR_LOAD OFFLOADED : PAIR_LOAD, why) != 0 ||
	    port_open(port_count() - 1, &config, &b->port, why) != 0 ||
	    port_start(b->port, why) != 0)
		return false;
	b->link = link_nic_new_on(&b->settings.load, b->port, why);
	return b->link != NULL;
}

static bool start(struct bench *b, const char *program, char *why)
{
	const struct config_command_line line = {0};
	cpu_set_t set;

	configure(b);
	if (appliance_start(&b->appliance, &b->config.now, program, &line, why) != 0 ||
	    !start_load_port(b, why))
		return false;
	CPU_ZERO(&set);
	CPU_SET(b->settings.load.core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return true;
	snprintf(why, APPLIANCE_WHY_MAX, "--core %d: %s", (int)b->settings.load.core,
		 strerror(errno));
	return false;
}

/* The ends of a pair are closed when neither is polled. */
static void stop(struct bench *b)
{
	struct appliance *a = &b->appliance;

	if (b->link)
		b->link->ops->free(b->link);
	for (uint32_t i = 0; i < a->workers_count; i++) {
		worker_ask_stop(a->workers[i]);
		worker_join(a->workers[i]);
		worker_free(a->workers[i]);
	}
	a->workers_count = 0;
	port_close(b->port);
	appliance_stop(a);
}

/* --- the load --- */

/* False: it failed; said on stderr. */
static bool run(struct bench *b, const struct load_options *options, load_phase_fn *phase_fn,
		FILE *json)
{
	struct load *load = load_new(options, b->link, phase_fn, b);
	struct load_progress progress = {0};
	uint64_t now_ns = clock_now_ns();
	bool good;

	if (!load) {
		fprintf(stderr, "bench_path: no memory for so many clients or so long values\n");
		return false;
	}
	while (!load_turn(load, now_ns)) {
		b->link->ops->send(b->link, now_ns);
		now_ns = b->link->ops->receive(b->link, false);
		if (!options->quiet)
			load_progress_tick(&progress, load, now_ns);
	}
	load_close_some(load, UINT32_MAX);
	b->link->ops->send(b->link, now_ns);
	good = !load_failed(load);
	if (!good)
		fprintf(stderr, "bench_path: %s\n", load_results(load)->why);
	if (json) {
		fputs("{\"load\": ", json);
		load_report_json(options, load_results(load), json);
	}
	load_free(load);
	return good;
}

static bool fill(struct bench *b)
{
	struct load_options options = b->settings.load;

	if (options.ratio_get == 0)
		return true;
	options.ratio_set = 1;
	options.ratio_get = 0;
	options.pattern_set = LOAD_PARALLEL;
	options.requests = LOAD_REQUESTS_ALL;
	options.clients = FILL_CLIENTS;
	options.pipeline = 32;
	options.big_clients = 0;
	options.warmup_s = options.rate = 0;
	options.reconnect_interval = 0;
	return run(b, &options, NULL, NULL);
}

/* --- the report --- */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static uint64_t counted(const struct bench *b, enum worker_counter_id id)
{
	return b->after.count[id] - b->before.count[id];
}

static void report_worker(const struct bench *b, FILE *to)
{
	uint64_t commands = b->after.commands - b->before.commands;
	uint64_t polls = counted(b, WORKER_COUNT_POLLS);
	uint64_t empty = counted(b, WORKER_COUNT_EMPTY_POLLS);
	uint64_t sampled = counted(b, WORKER_COUNT_STAGE_REQUESTS);
	uint64_t turns = counted(b, WORKER_COUNT_STAGE_TURNS);
	uint64_t all = 0;

	for (uint32_t i = 0; i < WORKER_STAGES; i++)
		all += b->after.stage_tsc[i] - b->before.stage_tsc[i];
	fprintf(to, "{\"commands\": %" PRIu64 ", \"busy_cycles_per_op\": %.2f", commands,
		share(counted(b, WORKER_COUNT_BUSY_TSC), commands));
	fprintf(to, ", \"upkeep_cycles_per_op\": %.2f",
		share(counted(b, WORKER_COUNT_UPKEEP_TSC), commands));
	fprintf(to, ", \"cycles_per_op_nonempty\": %.2f", share(all, sampled));
	fprintf(to, ", \"polls_per_op\": %.4f, \"empty_polls\": %.4f", share(polls, commands),
		share(empty, polls));
	fprintf(to, ", \"frames_per_turn\": %.2f, \"ops_per_turn\": %.2f",
		share(counted(b, WORKER_COUNT_RX_FRAMES), polls - empty), share(sampled, turns));
	fprintf(to, ", \"sampled_turns\": %" PRIu64 ", \"long_turns\": %" PRIu64, turns,
		counted(b, WORKER_COUNT_LONG_TURNS));
	fprintf(to, ", \"tsc_hz\": %" PRIu64 ", \"checksums\": \"%s\", \"stages\": {",
		clock_tsc_hz(), b->settings.offload ? "device" : "software");
	for (uint32_t i = 0; i < WORKER_STAGES; i++)
		fprintf(to, "%s\"%s\": %.2f", i ? ", " : "", stage_labels[i],
			share(b->after.stage_tsc[i] - b->before.stage_tsc[i], sampled));
	fputs("}}", to);
}

static int measure(struct bench *b)
{
	const char *path = b->settings.load.json;
	bool to_stdout = !path || strcmp(path, "-") == 0;
	FILE *json = to_stdout ? stdout : fopen(path, "w");
	bool good;

	if (!json) {
		fprintf(stderr, "bench_path: %s: %s\n", path, strerror(errno));
		return EXIT_FAILURE;
	}
	good = run(b, &b->settings.load, on_phase, json);
	fputs(", \"worker\": ", json);
	report_worker(b, json);
	fputs("}\n", json);
	if (!to_stdout && fclose(json) != 0)
		good = false;
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static enum load_options_result parse(struct settings *s, int argc, char **argv, char *why)
{
	const struct load_option extra[] = {
		{"worker-core", 0, load_parse_core, &s->worker_core, true, "N",
		 "CPU of the worker (1)"},
		{"maxmemory-mib", 0, load_parse_u32, &s->maxmemory_mib, true, "N",
		 "the appliance's maxmemory (1024)"},
		{"offload", 0, NULL, &s->offload, false, NULL,
		 "checksums as with a NIC that does them (in software)"},
		{"huge-pages", 0, NULL, &s->huge_pages, false, NULL,
		 "the table's memory on huge pages"},
		{0},
	};
	enum load_options_result result = load_options_parse(&s->load, extra, argc, argv, why);

	if (result == LOAD_OPTIONS_OK && s->load.on_demand) {
		snprintf(why, LOAD_OPTIONS_WHY_MAX, "nobody asks for --on-demand here");
		return LOAD_OPTIONS_BAD;
	}
	// What the pair settles.
	s->load.nic_device = PAIR_LOAD;
	s->load.nic_address = "10.99.0.1/24";
	s->load.server = "10.99.0.2";
	if (s->load.core < 0)
		s->load.core = 0;
	return result;
}

int main(int argc, char **argv)
{
	static struct bench bench = {.settings = {.worker_core = 1, .maxmemory_mib = 1024}};
	struct bench *b = &bench;
	char why[APPLIANCE_WHY_MAX] = "";
	int result = EXIT_FAILURE;

	switch (parse(&b->settings, argc, argv, why)) {
	case LOAD_OPTIONS_OK:
		break;
	case LOAD_OPTIONS_HELP:
		return EXIT_SUCCESS;
	case LOAD_OPTIONS_BAD:
		fprintf(stderr, "bench_path: %s\n", why);
		return EXIT_USAGE;
	}
	role_become_ctrl();
	clock_init();
	cmd_init();
	if (!start(b, argv[0], why))
		fprintf(stderr, "bench_path: %s\n", why);
	else if (fill(b))
		result = measure(b);
	stop(b);
	return result;
}
