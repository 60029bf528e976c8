/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/appliance.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/secret.h"
#include "dataplane/proto/memcache/mc_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Builds the data side in the order in which its parts need each other: packet system, port, table,
 * grace periods, workers. Called by main.c, once, on the main thread.
 */

#define CONNS_MIN        65536         // per appliance, whatever maxclients says at start
#define SEND_LIMIT_BYTES (64ULL << 20) // copied reply bytes of a connection, if none is set
#define IP6_MTU_MIN      1280          // bytes; RFC 8200 5
#define REGION_SLACK_MIN (64ULL << 20)
#define REGION_DEFAULT   (1ULL << 30)
#define STEER_BUFFERS    1024 // frames that one ring between workers can hold
#define NEIGHBOURS       4096
#define PEERS_PER_WORKER 65536
#define ICMP_RATE        1000 // replies per second and worker
#define ARP_REACHABLE_NS (60 * NS_PER_S)

/* Cores the process may use, in rising order. Returns how many. */
static int usable_cores(const cpu_set_t *set, int cores[CPU_SETSIZE])
{
	int count = 0;

	for (int core = 0; core < CPU_SETSIZE; core++) {
		if (CPU_ISSET(core, set))
			cores[count++] = core;
	}
	return count;
}

/*
 * How many workers, and where: worker-cores as given, else the highest cores, leaving the lowest to
 * control.
 */
static void place_workers(struct appliance *a)
{
	const struct config *config = a->config;
	int cores[CPU_SETSIZE], listed[CONFIG_CORES_MAX];
	int count = usable_cores(&a->any_core, cores);
	int listed_count = config_parse_cores(config->worker_cores, listed);
	uint32_t wanted = (uint32_t)config->workers;

	if (wanted == 0)
		wanted = (uint32_t)(listed_count > 0 ? listed_count : (count > 1 ? count - 1 : 1));
	if (wanted > WORKERS_MAX)
		wanted = WORKERS_MAX;
	a->workers_wanted = wanted;
	for (uint32_t i = 0; i < wanted; i++) {
		if ((int)i < listed_count)
			a->worker_cores[i] = listed[i];
		else if (listed_count == 0 && (uint32_t)count >= wanted)
			a->worker_cores[i] = cores[(uint32_t)count - wanted + i];
		else
			a->worker_cores[i] = -1;
	}
}

/*
 * The calling thread, and so those that it will start and that are no workers, on control-core, or
 * on whatever core has no worker pinned to it. Where there is none, the kernel decides.
 */
static void place_control(const struct appliance *a)
{
	cpu_set_t set = a->any_core;

	if (a->config->control_core >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)a->config->control_core, &set);
	}
	for (uint32_t i = 0; i < a->workers_wanted && a->config->control_core < 0; i++) {
		if (a->worker_cores[i] >= 0)
			CPU_CLR((size_t)a->worker_cores[i], &set);
	}
	if (CPU_COUNT(&set) > 0 && sched_setaffinity(0, sizeof(set), &set) != 0)
		log_warning("control-core %d: %s", (int)a->config->control_core, strerror(errno));
}

static int start_system(struct appliance *a, const char *program,
			const struct config_command_line *line, char *why)
{
	const char *devices[] = {a->config->nic_device};
	const struct port_system_config system = {
		.program = program,
		.eal_args = line->eal_args,
		.eal_args_count = line->eal_args_count,
		.devices = devices,
		.devices_count = 1,
		.huge_pages = a->config->nic_huge_pages,
		.memory_mib = (uint32_t)a->config->nic_memory_mib,
		.worker_cores = a->worker_cores,
		.workers_count = (int)a->workers_wanted,
	};
	int result = port_system_start(&system, why);

	a->system_started = result == 0;
	return result;
}

static int set_faults(struct appliance *a, char *why)
{
	const struct config *config = a->config;
	const struct port_fault_config faults = {
		.seed = (uint64_t)config->nic_fault_seed,
		.drop = (uint16_t)config->nic_fault_drop,
		.duplicate = (uint16_t)config->nic_fault_duplicate,
		.reorder = (uint16_t)config->nic_fault_reorder,
		.corrupt = (uint16_t)config->nic_fault_corrupt,
		.delay = (uint16_t)config->nic_fault_delay,
		.delay_us = (uint32_t)config->nic_fault_delay_us,
	};
	int result = 0;

	if (!faults.drop && !faults.duplicate && !faults.reorder && !faults.corrupt &&
	    !faults.delay)
		return 0;
	log_warning("the fault layer is on: frames are being spoilt on purpose");
	for (uint16_t i = 0; i < port_queues(a->port) && result == 0; i++)
		result = port_queue_set_faults(port_queue(a->port, i), &faults);
	if (result != 0)
		snprintf(why, APPLIANCE_WHY_MAX, "the fault layer cannot be switched on: %s",
			 strerror(-result));
	return result;
}

static int start_port(struct appliance *a, char *why)
{
	const struct config *config = a->config;
	uint32_t pairs = a->workers_wanted * (a->workers_wanted - 1);
	const struct port_config port = {
		.queues_wanted =
			(uint16_t)(config->nic_queues ? config->nic_queues : a->workers_wanted),
		.rx_descs = (uint16_t)config->nic_rx_descriptors,
		.tx_descs = (uint16_t)config->nic_tx_descriptors,
		.mtu = (uint16_t)config->nic_mtu,
		.extra_buffers = pairs * STEER_BUFFERS,
		.no_tso = !config->nic_tso,
		.multicast = config->nic_address6[0] != '\0',
	};
	int result = port_open(0, &port, &a->port, why);

	if (result == 0)
		result = set_faults(a, why);
	if (result == 0)
		result = port_start(a->port, why);
	if (result != 0)
		return result;
	a->port_started = true;
	port_info(a->port, &a->info);
	if (port.multicast && a->info.mtu < IP6_MTU_MIN) {
		snprintf(why, APPLIANCE_WHY_MAX,
			 "nic-address6 needs an MTU of %d bytes (RFC 8200 5), and %s has %u",
			 IP6_MTU_MIN, a->info.name, a->info.mtu);
		return -EINVAL;
	}
	return 0;
}

/* As memory-region's help says. */
static uint64_t region_bytes(const struct config *config)
{
	uint64_t slack = config->maxmemory / 4;

	if (config->memory_region)
		return config->memory_region;
	if (config->maxmemory == 0)
		return REGION_DEFAULT;
	return config->maxmemory + (slack > REGION_SLACK_MIN ? slack : REGION_SLACK_MIN);
}

static int start_table(struct appliance *a, char *why)
{
	const struct config *config = a->config;
	struct table_config table = {
		.buckets_initial = 1 << 10, // a SCAN of few keys is one call
		.region_bytes = region_bytes(config),
		.huge_pages = config->huge_pages,
		.grows_ahead = true,
	};
	int result;

	secret_fill(&table.hash_key, sizeof(table.hash_key));
	secret_fill(&table.rng_seed, sizeof(table.rng_seed));
	result = table_new(&table, &a->table, why);
	if (result != 0)
		return result;
	result = rcu_start();
	a->rcu_started = result == 0;
	a->neighbours = neigh_table_new(NEIGHBOURS);
	a->fabric = worker_fabric_new(a->workers_wanted, port_queues(a->port) < a->workers_wanted
								 ? port_queues(a->port)
								 : a->workers_wanted);
	if (result == 0 && (!a->neighbours || !a->fabric))
		result = -ENOMEM;
	if (result != 0)
		snprintf(why, APPLIANCE_WHY_MAX, "cannot start: %s", strerror(-result));
	return result;
}

static struct ip_addr address_of(const struct config_address *address)
{
	struct ip_addr a;

	memcpy(a.bytes, address->bytes, sizeof(a.bytes));
	return a;
}

static void allow_networks(const struct config *config, struct ip_config *ip)
{
	struct config_network networks[CONFIG_NETWORKS_MAX];
	int count = config_parse_networks(config->allow_from, networks);

	INVARIANT(count >= 0); // config_load() has checked
	for (int i = 0; i < count; i++) {
		bool v4 = networks[i].address.v4;

		ip->allowed[i] = (struct ip_network){
			.address = address_of(&networks[i].address),
			.prefix_len =
				(uint8_t)(networks[i].prefix_bits + (v4 ? IP_V4_PREFIX_LEN : 0)),
		};
	}
	ip->allowed_count = (uint32_t)count;
}

_Static_assert(CONFIG_NETWORKS_MAX <= IP_NETWORKS_MAX, "all of them fit");

/* Texts that config_load() has checked; empty ones leave the address all zero. */
static void parse_own(const char *text, struct ip_addr *address, uint8_t *prefix_len)
{
	struct config_network network;

	if (*text == '\0')
		return;
	INVARIANT(config_parse_network(text, &network));
	*address = address_of(&network.address);
	*prefix_len = (uint8_t)network.prefix_bits;
}

static void parse_gateway(const char *text, struct ip_addr *address)
{
	struct config_address gateway;

	if (*text == '\0')
		return;
	INVARIANT(config_parse_address(text, &gateway));
	*address = address_of(&gateway);
}

static struct ip_config ip_settings(const struct appliance *a)
{
	const struct config *config = a->config;
	struct ip_config ip = {
		.mtu = a->info.mtu,
		.vlan = (uint16_t)config->nic_vlan,
		.icmp_rate = ICMP_RATE,
		.peers_max = PEERS_PER_WORKER,
		.arp_reachable_ns = ARP_REACHABLE_NS,
	};

	parse_own(config->nic_address, &ip.address, &ip.prefix_len);
	parse_own(config->nic_address6, &ip.address6, &ip.prefix6_len);
	parse_gateway(config->nic_gateway, &ip.gateway);
	parse_gateway(config->nic_gateway6, &ip.gateway6);
	memcpy(ip.mac, a->info.mac, sizeof(ip.mac));
	allow_networks(config, &ip);
	return ip;
}

static struct tcp_config tcp_settings(const struct appliance *a)
{
	const struct config *config = a->config;
	uint32_t workers = a->workers_wanted;
	uint64_t conns = config->maxclients > CONNS_MIN ? (uint64_t)config->maxclients : CONNS_MIN;
	uint64_t output = config->client_output_buffer_limit.hard_bytes[CONFIG_CLASS_NORMAL];
	struct tcp_config tcp = {
		// Flows fall on workers by chance: a quarter more than the mean for each.
		.conns_max = (uint32_t)(workers == 1 ? conns : conns / workers * 5 / 4),
		.syn_max = (uint32_t)config->tcp_syn_max,
		.time_wait_max = (uint32_t)config->tcp_time_wait_max,
		.mtu = a->info.mtu,
		.tso_bytes = a->info.tso_bytes,
		.tso6_bytes = a->info.tso6_bytes,
		.rcv_wnd_bytes = (uint32_t)config->tcp_receive_window,
		.snd_high_bytes = (uint32_t)config->tcp_send_high,
		.snd_max_bytes =
			(uint32_t)(output && output < SEND_LIMIT_BYTES ? output : SEND_LIMIT_BYTES),
		.snd_pool_bytes = (uint32_t)(config->tcp_send_pool / workers),
		.ooo_pool_bytes = (uint32_t)(config->tcp_reorder_pool / workers),
		.ooo_conn_bytes = (uint32_t)config->tcp_reorder_connection,
		.keepalive_idle_ns = (uint64_t)config->tcp_keepalive * NS_PER_S,
		.stalled_reader_ns = (uint64_t)config->tcp_stalled_reader_ms * NS_PER_MS,
		.time_wait_ns = (uint64_t)config->tcp_time_wait_ms * NS_PER_MS,
		.timestamps = config->tcp_timestamps,
		.sack = config->tcp_sack,
		.window_scale = config->tcp_window_scaling,
	};

	secret_fill(tcp.secret, sizeof(tcp.secret));
	secret_fill(&tcp.rng_seed, sizeof(tcp.rng_seed));
	return tcp;
}

static enum worker_idle_policy idle_policy(const struct appliance *a)
{
	switch ((enum config_poll_idle)a->config->poll_idle) {
	case CONFIG_POLL_BUSY:
		return WORKER_IDLE_BUSY;
	case CONFIG_POLL_ADAPTIVE:
		return WORKER_IDLE_ADAPTIVE;
	case CONFIG_POLL_AUTO:
		break;
	}
	return a->info.virtual_device ? WORKER_IDLE_ADAPTIVE : WORKER_IDLE_BUSY;
}

static int start_workers(struct appliance *a, char *why)
{
	struct worker_config worker = {
		.count = a->workers_wanted,
		.any_core = &a->any_core,
		.idle = idle_policy(a),
		.resp_port = (uint16_t)a->config->port,
		.mc_port = (uint16_t)a->config->memcached_port,
		.mc_udp_port = (uint16_t)a->config->memcached_udp_port,
		.udp_rate = (uint32_t)a->config->memcached_udp_rate,
		.table = a->table,
		.port = a->port,
		.neighbours = a->neighbours,
		.fabric = a->fabric,
		.limits = &a->limits,
		.gate = &a->gate,
		.live = &a->live,
		.ip = ip_settings(a),
		.tcp = tcp_settings(a),
	};
	int result = 0;

	if (a->config->memcached_cluster_nodes[0] != '\0') {
		a->cluster_nodes = config_nodes_text(a->config);
		if (!a->cluster_nodes)
			result = -ENOMEM;
		else
			a->limits.mc_cluster = slice_of_text(a->cluster_nodes);
	}
	for (uint32_t i = 0; i < a->workers_wanted && result == 0; i++) {
		worker.id = i;
		worker.core = a->worker_cores[i];
		worker.queue = port_queue(a->port, (uint16_t)i);
		result = worker_start(&worker, &a->workers[i]);
		if (result == 0)
			a->workers_count++;
	}
	if (result != 0)
		snprintf(why, APPLIANCE_WHY_MAX, "worker %u cannot start: %s", worker.id,
			 strerror(-result));
	return result;
}

/* What may not be as safe as it looks. */
static void warn(const struct config *config)
{
	if (config->memcached_auth_file[0] != '\0' && config->port != 0)
		log_warning("memcached-auth-file is for memcached's protocols alone: RESP on port "
			    "%d, which reads the same keys, asks for no password",
			    (int)config->port);
	if (config->memcached_udp_port != 0 && config->allow_from[0] == '\0')
		log_warning("memcached-udp-port without allow-from: replies that are longer than "
			    "their request are not sent");
}

bool appliance_apply(void *arg, const struct config *config, char *why)
{
	struct appliance *a = arg;
	struct table_limits *limits = table_limits(a->table);
	uint32_t clients =
		(uint32_t)((config->maxclients + a->workers_wanted - 1) / a->workers_wanted);

	atomic_store_explicit(&limits->maxmemory_bytes, config->maxmemory, memory_order_relaxed);
	atomic_store_explicit(&limits->policy, (uint32_t)config->maxmemory_policy,
			      memory_order_relaxed);
	atomic_store_explicit(&limits->lfu_log_factor, (uint32_t)config->lfu_log_factor,
			      memory_order_relaxed);
	atomic_store_explicit(&limits->lfu_decay_min, (uint32_t)config->lfu_decay_time,
			      memory_order_relaxed);
	atomic_store_explicit(&a->live.idle_timeout_s, (uint32_t)config->timeout,
			      memory_order_relaxed);
	atomic_store_explicit(&a->live.mc_idle_timeout_s,
			      (uint32_t)(config->memcached_idle_timeout
						 ? config->memcached_idle_timeout
						 : config->timeout),
			      memory_order_relaxed);
	atomic_store_explicit(&a->live.clients_max_worker, clients, memory_order_relaxed);
	atomic_store_explicit(&a->limits.bulk_max_bytes, config->proto_max_bulk_len,
			      memory_order_relaxed);
	atomic_store_explicit(&a->limits.query_max_bytes, config->client_query_buffer_limit,
			      memory_order_relaxed);
	atomic_store_explicit(&a->limits.mc_item_max_bytes, config->memcached_max_item_size,
			      memory_order_relaxed);
	atomic_store_explicit(&a->limits.mc_flush_enabled, config->memcached_flush_enabled,
			      memory_order_relaxed);
	atomic_store_explicit(&a->limits.mc_text_only, config->memcached_text_only,
			      memory_order_relaxed);
	atomic_store_explicit(&a->limits.mc_shutdown_enabled, config->memcached_shutdown_enabled,
			      memory_order_relaxed);
	log_set_level((enum log_level)config->loglevel);
	return true;
}

#define USERS_FILE_MAX (64u << 10) // bytes

/* The users of memcached's protocols; NULL with a reason, or without one when there is no file. */
static struct mc_users *read_users(const char *path, char *why)
{
	char *text = malloc(USERS_FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // of a pipe nobody may write
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	struct mc_users *users = NULL;
	struct stat stat;
	uint32_t line = 0;
	size_t len = 0;

	if (!text || !file) {
		snprintf(why, CONFIG_WHY_MAX, "memcached-auth-file %s: %s", path, strerror(errno));
	} else {
		len = fread(text, 1, USERS_FILE_MAX, file);
		if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || ferror(file) ||
		    len == USERS_FILE_MAX)
			snprintf(why, CONFIG_WHY_MAX,
				 "%s: is no file that can be read, or is too long", path);
		else if ((users = mc_users_parse(slice_of(text, len), &line)) == NULL)
			snprintf(why, CONFIG_WHY_MAX, "%s:%u: not USER:PASSWORD, or too many", path,
				 line);
	}
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	if (text)
		explicit_bzero(text, len);
	free(text);
	return users;
}

/* Freed when the next list is retired, or at the end: no worker looks at it any more by then. */
static void retire_users(struct appliance *a, struct mc_users *users)
{
	if (a->users_retired && !rcu_done(a->users_retired_tag))
		rcu_wait();
	mc_users_free(a->users_retired);
	a->users_retired = users;
	if (users)
		a->users_retired_tag = rcu_tag();
}

bool appliance_apply_users(void *arg, const struct config *config, char *why)
{
	struct appliance *a = arg;
	struct mc_users *users = NULL, *before = a->users;

	if (config->memcached_auth_file[0] != '\0') {
		users = read_users(config->memcached_auth_file, why);
		if (!users)
			return false;
	}
	a->users = users;
	atomic_store_explicit(&a->limits.mc_users, users, memory_order_release);
	retire_users(a, before);
	return true;
}

/* The last snapshot, or for want of one the seed. */
static int load_keys(struct appliance *a, char *why)
{
	const char *path = a->config->dbfilename;
	char reason[SNAP_WHY_MAX];
	int result;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		path = a->config->seed;
	else if (a->config->seed[0] != '\0')
		log_notice("%s is there: the seed is not loaded", path);
	if (*path == '\0')
		return 0;
	result = snap_load_file(path, a->config->snapshot_key_file, a->table, &a->loaded, reason);
	if (result != 0)
		snprintf(why, APPLIANCE_WHY_MAX, "%.64s: %s", path, reason);
	return result;
}

int appliance_start(struct appliance *a, const struct config *config, const char *program,
		    const struct config_command_line *line, char why[APPLIANCE_WHY_MAX])
{
	int result;

	*a = (struct appliance){.config = config};
	if (sched_getaffinity(0, sizeof(a->any_core), &a->any_core) != 0)
		CPU_ZERO(&a->any_core);
	place_workers(a);
	result = start_system(a, program, line, why);
	if (result == 0)
		result = start_port(a, why);
	place_control(a);
	if (result == 0)
		result = start_table(a, why);
	if (result == 0) {
		appliance_apply(a, config, why);
		result = appliance_apply_users(a, config, why) ? 0 : -EINVAL;
	}
	if (result == 0)
		result = load_keys(a, why);
	if (result == 0) {
		warn(config);
		result = start_workers(a, why);
	}
	if (result != 0)
		appliance_stop(a);
	return result;
}

void appliance_stop(struct appliance *a)
{
	for (uint32_t i = 0; i < a->workers_count; i++)
		worker_ask_stop(a->workers[i]);
	for (uint32_t i = 0; i < a->workers_count; i++)
		worker_join(a->workers[i]);
	for (uint32_t i = 0; i < a->workers_count; i++)
		worker_free(a->workers[i]);
	worker_fabric_free(a->fabric);
	neigh_table_free(a->neighbours);
	if (a->rcu_started)
		rcu_stop();
	table_free(a->table);
	free(a->cluster_nodes);
	mc_users_free(a->users);
	mc_users_free(a->users_retired);
	if (a->port_started)
		port_stop(a->port);
	if (a->port)
		port_close(a->port);
	if (a->system_started)
		port_system_stop();
	*a = (struct appliance){0};
}
