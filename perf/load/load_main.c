/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "perf/load/load_link.h"
#include "perf/load/load_report.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * wirecache-load: a load generator for RESP and memcached servers, over a DPDK port with our own
 * TCP, or over kernel sockets. This file wires it: options, a link, the engine, the loop, the
 * report.
 */

#define EXIT_USAGE     2
#define CLOSE_BATCH    32 // connections: a few of them fit the smallest ring, of 256 frames
#define CLOSE_PAUSE_NS (500 * NS_PER_US)

#define ON_DEMAND_S_MAX 1e6
#define SETTLE_NS       (3 * NS_PER_MS) // longer than an ACK is delayed

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fprintf(stderr, "wirecache-load: cannot run on CPU %d: %s\n", core,
			strerror(errno));
}

static void close_all(struct load_link *link, struct load *load)
{
	uint64_t now_ns = clock_now_ns();

	while (load_close_some(load, CLOSE_BATCH)) {
		uint64_t until_ns = now_ns + CLOSE_PAUSE_NS;

		do {
			link->ops->send(link, now_ns);
			now_ns = link->ops->receive(link, false);
		} while (now_ns < until_ns);
	}
	link->ops->send(link, now_ns);
}

/* Until the load is over or paused. */
static void run(const struct load_options *o, struct load_link *link, struct load *load)
{
	struct load_progress progress = {0};
	uint64_t now_ns = clock_now_ns();

	while (!load_turn(load, now_ns) && !interrupted) {
		link->ops->send(link, now_ns);
		now_ns = link->ops->receive(link, load_may_wait(load));
		if (!o->quiet)
			load_progress_tick(&progress, load, now_ns);
	}
}

/* What came last is acknowledged before a pause: nobody polls in it. */
static void settle(struct load_link *link)
{
	uint64_t now_ns = clock_now_ns(), until_ns = now_ns + SETTLE_NS;

	for (; now_ns < until_ns; now_ns = link->ops->receive(link, false))
		link->ops->send(link, now_ns);
}

/* A line with a bare newline comes first: all are connected. */
static bool run_on_demand(const struct load_options *o, struct load_link *link, struct load *load)
{
	char line[32];

	run(o, link, load);
	settle(link);
	puts("");
	fflush(stdout);
	while (!interrupted && !load_failed(load) && fgets(line, sizeof(line), stdin)) {
		char *end;
		double seconds = strtod(line, &end);

		if (end == line || *end != '\n' || !(seconds >= 0 && seconds < ON_DEMAND_S_MAX)) {
			fprintf(stderr, "wirecache-load: seconds cannot be '%s'\n", line);
			return false;
		}
		load_measure(load, seconds, clock_now_ns());
		run(o, link, load);
		settle(link);
		load_report_json(o, load_results(load), stdout);
		puts("");
		fflush(stdout);
	}
	if (load_failed(load))
		fprintf(stderr, "wirecache-load: %s\n", load_results(load)->why);
	return !load_failed(load);
}

static int report(const struct load_options *o, const struct load *load)
{
	const struct load_results *results = load_results(load);
	bool to_stdout = o->json && strcmp(o->json, "-") == 0;
	FILE *json = to_stdout ? stdout : o->json ? fopen(o->json, "w") : NULL;

	if (o->json && !json) {
		fprintf(stderr, "wirecache-load: %s: %s\n", o->json, strerror(errno));
		return EXIT_FAILURE;
	}
	if (!to_stdout)
		load_report_text(o, results, stdout);
	if (json) {
		load_report_json(o, results, json);
		fputc('\n', json);
	}
	if (json && !to_stdout && fclose(json) != 0)
		return EXIT_FAILURE;
	if (o->hdr_prefix && !load_report_hdr(o, results)) {
		fprintf(stderr, "wirecache-load: %s_*.txt: %s\n", o->hdr_prefix, strerror(errno));
		return EXIT_FAILURE;
	}
	if (load_failed(load))
		fprintf(stderr, "wirecache-load: %s\n", results->why);
	return load_failed(load) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct sigaction stop = {.sa_handler = on_signal};
	struct load_options options;
	char why[LOAD_OPTIONS_WHY_MAX + LOAD_LINK_WHY_MAX];
	struct load_link *link;
	struct load *load;
	int result = EXIT_FAILURE;

	switch (load_options_parse(&options, NULL, argc, argv, why)) {
	case LOAD_OPTIONS_OK:
		break;
	case LOAD_OPTIONS_HELP:
		return EXIT_SUCCESS;
	case LOAD_OPTIONS_BAD:
		fprintf(stderr, "wirecache-load: %s\n", why);
		return EXIT_USAGE;
	}
	clock_init();
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	link = options.nic_device ? link_nic_new(&options, argv[0], why)
				  : link_socket_new(&options, why);
	if (!link) {
		fprintf(stderr, "wirecache-load: %s\n", why);
		return EXIT_FAILURE;
	}
	if (options.core >= 0)
		pin(options.core);
	load = load_new(&options, link, NULL, NULL);
	if (load && options.on_demand) {
		if (run_on_demand(&options, link, load))
			result = EXIT_SUCCESS;
		close_all(link, load);
	} else if (load) {
		run(&options, link, load);
		close_all(link, load);
		result = report(&options, load);
	} else {
		fprintf(stderr,
			"wirecache-load: no memory for so many clients or so long values\n");
	}
	link->ops->free(link);
	load_free(load);
	return result;
}
