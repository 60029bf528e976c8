/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/role.h"
#include "base/secret.h"
#include "ctrl/admin/admin.h"
#include "ctrl/appliance.h"
#include "ctrl/background/background.h"
#include "ctrl/config/config.h"
#include "ctrl/host/host.h"
#include "ctrl/loop/loop.h"
#include "ctrl/mailroom.h"
#include "ctrl/metrics/metrics.h"
#include "ctrl/pubsub/pubsub.h"
#include "ctrl/replication/replication.h"
#include "ctrl/snapshot/snapshot.h"
#include "ctrl/stats/stats.h"
#include "ctrl/watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The composition root: reads the configuration, starts the data side (appliance.c), puts the
 * control side together, and becomes the control thread. Whoever wants to know what is connected to
 * what reads this file.
 */

#define MAIL_TICK_NS  (1 * NS_PER_MS) // workers make no system call, so their mail is fetched
#define WALL_TICK_NS  NS_PER_S
#define ADMIN_IDLE_NS (600 * NS_PER_S)

struct daemon {
	struct config_store config;
	struct config_command_line line;
	struct appliance appliance;
	struct loop *loop;
	struct cmd_thread cmd; // of the control thread
	struct cmd_counters counters;
	struct host host;
	struct stats *stats;
	struct background *background;
	struct admin *admin;
	struct metrics *metrics;
	struct mailroom mailroom;
	struct watch *watch;
	struct snap_saver *saver;
	struct repl *repl;
	struct pubsub *pubsub;
	struct loop_timer mail_tick, wall_tick, sample_tick;
};

static struct daemon the_daemon;

/* Says what failed in words for a user; every start function below ends in it when it fails. */
static int failed(const char *what, int error, const char *advice)
{
	fprintf(stderr, "wirecached: %s: %s%s%s\n", what, strerror(-error), advice[0] ? "; " : "",
		advice);
	log_warning("%s: %s", what, strerror(-error));
	return error;
}

static void set_time(struct daemon *d, uint64_t now_ns)
{
	d->cmd.now_ns = now_ns;
	d->cmd.now_us = clock_wall_us(now_ns);
	d->cmd.now_ms = d->cmd.now_us / 1000;
	table_set_time(d->cmd.tt, d->cmd.now_ms, now_ns);
}

static void on_mail_tick(struct loop_timer *timer, uint64_t now_ns)
{
	struct daemon *d = CONTAINER_OF(timer, struct daemon, mail_tick);
	bool more = mailroom_turn(&d->mailroom);

	more |= watch_turn(d->watch);
	repl_turn(d->repl, d->cmd.now_ms);
	pubsub_turn(d->pubsub, d->cmd.now_ms);

	// In the next turn of the loop, whose time is a later one.
	loop_timer_set(d->loop, timer, now_ns + (more ? 1 : MAIL_TICK_NS));
}

static void on_wall_tick(struct loop_timer *timer, uint64_t now_ns)
{
	struct daemon *d = CONTAINER_OF(timer, struct daemon, wall_tick);

	clock_sync_wall();
	snap_saver_tick(d->saver, d->cmd.now_ms);
	loop_timer_set(d->loop, timer, now_ns + WALL_TICK_NS);
}

static void on_sample_tick(struct loop_timer *timer, uint64_t now_ns)
{
	struct daemon *d = CONTAINER_OF(timer, struct daemon, sample_tick);

	stats_sample(d->stats, now_ns);
	loop_timer_set(d->loop, timer, now_ns + STATS_SAMPLE_NS);
}

static void on_signal(void *arg, int number)
{
	struct daemon *d = arg;

	log_notice("%s", strsignal(number));
	host_stop(&d->host, &(struct cmd_shutdown){0});
}

static void wake_loop(void *arg)
{
	loop_wake(arg);
}

static void on_wake(void *arg, uint64_t now_ns)
{
	struct daemon *d = arg;

	background_turn(d->background);
	snap_saver_turn(d->saver, d->cmd.now_ms);
}

static void table_figures(void *arg, struct table_stats *stats)
{
	struct daemon *d = arg;

	table_stats(d->appliance.table, stats);
}

static void port_figures(void *arg, struct port_info *info, struct port_counters *counters,
			 bool *link_up)
{
	struct daemon *d = arg;

	port_info(d->appliance.port, info);
	port_counters(d->appliance.port, counters);
	*link_up = port_link_up(d->appliance.port);
}

static void visit_clients(void *arg,
			  bool (*visit)(void *visit_arg, const struct worker_client_view *view),
			  void *visit_arg)
{
	struct daemon *d = arg;

	mailroom_visit(&d->mailroom, visit, visit_arg);
}

static int start_cmd_thread(struct daemon *d)
{
	uint64_t seed;

	secret_fill(&seed, sizeof(seed));
	d->host = (struct host){
		.config = &d->config,
		.loop = d->loop,
		.cmd = &d->cmd,
		.visit_clients = visit_clients,
		.visit_arg = d,
		.gate = &d->appliance.gate,
	};
	d->cmd = (struct cmd_thread){
		.table = d->appliance.table,
		.tt = table_thread_open(d->appliance.table, false),
		.stats = calloc(cmd_count(), sizeof(d->cmd.stats[0])),
		.counters = &d->counters,
		.host_ops = &host_ops,
		.host = &d->host,
		.rng = rng_seeded(seed),
	};
	if (!d->cmd.tt || !d->cmd.stats)
		return failed("the control thread", -ENOMEM, "");
	set_time(d, clock_now_ns());
	return 0;
}

static int start_background(struct daemon *d)
{
	const struct background_config config = {
		.table = d->appliance.table,
		.clock = &d->cmd,
		.wake = wake_loop,
		.wake_arg = d->loop,
		.complete = mailroom_complete,
		.complete_arg = &d->mailroom,
	};
	int result = background_start(&config, &d->background);

	return result == 0 ? 0 : failed("the background thread", result, "");
}

static int start_admin(struct daemon *d)
{
	const struct config *now = &d->config.now;
	const struct admin_config config = {
		.bind = now->admin_bind,
		.port = (uint16_t)now->admin_port,
		.clients_max = ADMIN_CLIENTS_MAX,
		.idle_ns = ADMIN_IDLE_NS,
		.client_id_step = d->appliance.workers_count + 1, // what worker_conn.c leaves out
		.loop = d->loop,
		.cmd = &d->cmd,
		.limits = &d->appliance.limits,
		.hooks = {mailroom_run_on_worker, mailroom_run_in_background, &d->mailroom},
	};
	char what[CONFIG_TEXT_MAX + 64];
	int result;

	if (now->admin_port == 0)
		return 0;
	result = admin_start(&config, &d->admin);
	snprintf(what, sizeof(what), "the admin listener on %s:%u", now->admin_bind, config.port);
	return result == 0 ? 0
			   : failed(what, result,
				    "another program may have the port: see --admin-port");
}

static int start_saver(struct daemon *d)
{
	const struct snap_saver_config config = {
		.config = &d->config.now,
		.table = d->appliance.table,
		.start_ms = d->cmd.now_ms,
		.wake = wake_loop,
		.wake_arg = d->loop,
	};

	d->saver = snap_saver_new(&config);
	d->host.saver = d->saver;
	return d->saver ? 0 : failed("the snapshots", -ENOMEM, "");
}

static int start_pubsub(struct daemon *d)
{
	const struct pubsub_config config = {
		.config = &d->config.now,
		.mail = mailroom_send_feed,
		.nudge = mailroom_nudge,
		.arg = &d->mailroom,
	};

	d->pubsub = pubsub_new(&config);
	d->host.pubsub = d->pubsub;
	return d->pubsub ? 0 : failed("publish and subscribe", -ENOMEM, "");
}

static int start_replication(struct daemon *d)
{
	const struct repl_config config = {
		.config = &d->config.now,
		.table = d->appliance.table,
		.gate = &d->appliance.gate,
		.mail = mailroom_send_feed,
		.dial = mailroom_dial,
		.resume = mailroom_resume,
		.arg = &d->mailroom,
		.wake = wake_loop,
		.wake_arg = d->loop,
	};

	d->repl = repl_new(&config);
	d->host.repl = d->repl;
	if (!d->repl)
		return failed("replication", -ENOMEM, "");
	int result = repl_start(d->repl, d->cmd.now_ms);

	return result == 0 ? 0
			   : failed(d->config.now.replicaof, result,
				    "it must be of the family of nic-address; see --replicaof");
}

static int start_stats(struct daemon *d)
{
	struct stats_source source = {
		.worker_count = d->appliance.workers_count,
		.others = {{"control", &d->counters, d->cmd.stats},
			   {"background", background_counters(d->background),
			    background_stats(d->background)}},
		.other_count = 2,
		.admin = d->admin ? admin_stats(d->admin) : NULL,
		.config = &d->config.now,
		.table = table_figures,
		.port = port_figures,
		.arg = d,
		.tsc_hz = clock_tsc_hz(),
		.start_ms = d->cmd.now_ms,
		.keys_loaded = d->appliance.loaded.loaded,
		.keys_loaded_expired = d->appliance.loaded.expired,
		.saver = d->saver,
		.repl = d->repl,
		.pubsub = d->pubsub,
	};

	for (uint32_t i = 0; i < source.worker_count; i++)
		source.workers[i] = worker_stats(d->appliance.workers[i]);
	snprintf(source.config_file, sizeof(source.config_file), "%s", d->config.path);
	d->stats = stats_new(&source);
	d->host.stats = d->stats;
	return d->stats ? 0 : failed("the statistics", -ENOMEM, "");
}

static int start_metrics(struct daemon *d)
{
	const struct config *now = &d->config.now;
	const struct metrics_config config = {
		.bind = now->metrics_bind,
		.port = (uint16_t)now->metrics_port,
		.loop = d->loop,
		.stats = d->stats,
	};
	char what[CONFIG_TEXT_MAX + 64];
	int result;

	if (now->metrics_port == 0)
		return 0;
	result = metrics_start(&config, &d->metrics);
	snprintf(what, sizeof(what), "the metrics listener on %s:%u", now->metrics_bind,
		 config.port);
	return result == 0 ? 0
			   : failed(what, result,
				    "another program may have the port: see --metrics-port");
}

static int start_watch(struct daemon *d)
{
	struct watch_config config = {
		.log_count = d->appliance.workers_count,
		.limits = &d->appliance.limits,
		.mail = mailroom_send_lines,
		.arg = &d->mailroom,
	};

	for (uint32_t i = 0; i < config.log_count; i++)
		config.logs[i] = worker_log(d->appliance.workers[i]);
	d->watch = watch_new(&config);
	d->host.watch = d->mailroom.watch = d->watch;
	return d->watch ? 0 : failed("the watchers", -ENOMEM, "");
}

static void start_ticks(struct daemon *d)
{
	uint64_t now_ns = clock_now_ns();

	d->mail_tick.on_due = on_mail_tick;
	d->wall_tick.on_due = on_wall_tick;
	d->sample_tick.on_due = on_sample_tick;
	loop_timer_set(d->loop, &d->mail_tick, now_ns + MAIL_TICK_NS);
	loop_timer_set(d->loop, &d->wall_tick, now_ns + WALL_TICK_NS);
	loop_timer_set(d->loop, &d->sample_tick, now_ns + STATS_SAMPLE_NS);
}

/* Everything beside the data side, which runs already. */
static int start_control(struct daemon *d)
{
	int result = start_cmd_thread(d);

	d->mailroom = (struct mailroom){
		.workers = d->appliance.workers,
		.workers_count = d->appliance.workers_count,
		.cmd = &d->cmd,
	};
	if (result == 0)
		result = start_background(d);
	d->mailroom.background = d->background;
	if (result == 0)
		result = start_admin(d);
	d->mailroom.admin = d->admin;
	if (result == 0)
		result = start_saver(d);
	if (result == 0)
		result = start_pubsub(d);
	if (result == 0)
		result = start_replication(d);
	if (result == 0)
		result = start_stats(d);
	if (result == 0)
		result = start_metrics(d);
	if (result == 0)
		result = start_watch(d);
	if (result != 0)
		return result;
	loop_on_wake(d->loop, on_wake, d);
	config_on_set(&d->config, NULL, appliance_apply, &d->appliance);
	config_on_set(&d->config, "memcached-auth-file", appliance_apply_users, &d->appliance);
	start_ticks(d);
	return 0;
}

/* Offline, as what is being saved waits for grace periods while we wait for it. */
static void stop_saver(struct daemon *d)
{
	if (!d->saver)
		return;
	rcu_offline();
	snap_saver_free(d->saver);
	rcu_online();
}

static void stop_all(struct daemon *d)
{
	if (d->metrics)
		metrics_stop(d->metrics);
	if (d->background)
		background_stop(d->background);
	stop_saver(d);
	repl_stop(d->repl);
	if (d->admin)
		admin_stop(d->admin);
	stats_free(d->stats);
	watch_free(d->watch);
	if (d->cmd.tt)
		table_thread_close(d->cmd.tt);
	free(d->cmd.stats);
	appliance_stop(&d->appliance);
	repl_free(d->repl);
	pubsub_free(d->pubsub);
	if (d->loop)
		loop_free(d->loop);
}

static int write_pidfile(const struct config *config)
{
	FILE *file;

	if (config->pidfile[0] == '\0')
		return 0;
	file = fopen(config->pidfile, "w");
	if (!file || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file) != 0)
		return failed(config->pidfile, -errno, "see --pidfile");
	return 0;
}

static void announce(const struct daemon *d)
{
	const struct config *now = &d->config.now;
	const struct port_info *info = &d->appliance.info;

	log_notice("wirecache serves %s%s%s on %s (%s, %u queue(s), mtu %u) with %u worker(s): "
		   "RESP on %d, memcached on %d%s",
		   now->nic_address, *now->nic_address && *now->nic_address6 ? " and " : "",
		   now->nic_address6, info->name, info->driver, info->queues, info->mtu,
		   d->appliance.workers_count, (int)now->port, (int)now->memcached_port,
		   now->memcached_udp_port ? " and by UDP" : "");
}

static void run(struct daemon *d)
{
	while (!loop_stopped(d->loop)) {
		rcu_offline();
		loop_wait(d->loop, clock_now_ns());
		rcu_online();
		uint64_t now_ns = clock_now_ns();

		set_time(d, now_ns);
		loop_dispatch(d->loop, now_ns);
		rcu_quiescent();
	}
}

/* Relative names of files begin there. */
static int enter_folder(const char *folder)
{
	return chdir(folder) == 0 ? 0 : failed(folder, -errno, "see --dir");
}

static int start_data_side(struct daemon *d, const char *program)
{
	char why[APPLIANCE_WHY_MAX] = "";
	int result = appliance_start(&d->appliance, &d->config.now, program, &d->line, why);

	if (result != 0) {
		fprintf(stderr, "wirecached: %s\n", why[0] ? why : strerror(-result));
		log_warning("cannot start: %s", why);
	}
	return result;
}

int main(int argc, char **argv)
{
	struct daemon *d = &the_daemon;
	int result;

	switch (config_load(&d->config, argc, argv, &d->line, stdout, stderr)) {
	case CONFIG_EXIT_OK:
		return 0;
	case CONFIG_EXIT_BAD:
		return 1;
	case CONFIG_RUN:
		break;
	}
	if (enter_folder(d->config.now.dir) != 0)
		return 1;
	result = log_open(d->config.now.logfile, (enum log_level)d->config.now.loglevel);
	if (result != 0) {
		failed(d->config.now.logfile, result, "see --logfile");
		return 1;
	}
	role_become_ctrl();
	clock_init();
	cmd_init();
	result = loop_new(&d->loop);
	if (result == 0)
		result = loop_catch_signals(d->loop, on_signal, d);
	if (result == 0)
		result = start_data_side(d, argv[0]);
	if (result == 0)
		result = start_control(d);
	if (result == 0)
		result = write_pidfile(&d->config.now);
	if (result == 0) {
		announce(d);
		run(d);
	}
	stop_all(d);
	if (d->config.now.pidfile[0] != '\0' && result == 0)
		unlink(d->config.now.pidfile);
	log_notice(result == 0 ? "stopped" : "not started");
	log_close();
	return result == 0 ? 0 : 1;
}
