/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ctrl/stats_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/*
 * The figures behind the tests of stats, info, metrics and host: plain structs in place of threads.
 */

static void table(void *arg, struct table_stats *stats)
{
	const struct stats_fixture *f = arg;

	*stats = f->table;
}

static void port(void *arg, struct port_info *info, struct port_counters *counters, bool *link_up)
{
	const struct stats_fixture *f = arg;

	*info = (struct port_info){.name = "net_fake0", .driver = "net_fake"};
	*counters = f->port;
	*link_up = f->link_up;
}

void stats_fixture_init(struct stats_fixture *f)
{
	struct stats_source source = {
		.worker_count = FIXTURE_WORKERS,
		.admin = &f->admin,
		.config = &f->config.now,
		.table = table,
		.port = port,
		.arg = f,
		.tsc_hz = FIXTURE_TSC_HZ,
		.start_ms = FIXTURE_START_MS,
	};

	memset(f, 0, sizeof(*f));
	config_init(&f->config);
	snprintf(source.config_file, sizeof(source.config_file), "/etc/wire.conf");
	for (int i = 0; i < FIXTURE_WORKERS; i++) {
		f->workers[i].per_command = calloc(cmd_count(), sizeof(struct cmd_stat));
		assert_non_null(f->workers[i].per_command);
		source.workers[i] = &f->workers[i];
	}
	f->control_stats = calloc(cmd_count(), sizeof(struct cmd_stat));
	assert_non_null(f->control_stats);
	source.others[0] = (struct stats_thread){"control", &f->control_counters, f->control_stats};
	source.other_count = 1;
	f->stats = stats_new(&source);
	assert_non_null(f->stats);
}

void stats_fixture_fini(struct stats_fixture *f)
{
	stats_free(f->stats);
	for (int i = 0; i < FIXTURE_WORKERS; i++)
		free(f->workers[i].per_command);
	free(f->control_stats);
}

struct cmd_stat *stats_fixture_command(struct stats_fixture *f, uint32_t worker, const char *name)
{
	const struct slice words[] = {slice_of_text(name)};
	const struct cmd *cmd = cmd_lookup(words, 1);

	assert_non_null(cmd);
	return worker == FIXTURE_WORKERS ? &f->control_stats[cmd->id]
					 : &f->workers[worker].per_command[cmd->id];
}
