/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/secret.h"
#include "nic/port/port_flow_hash.h"
#include "nic/port/port_internal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * DPDK's environment abstraction layer (EAL), from our configuration. main() starts it once, before
 * any port, and stops it last; every thread that touches frames attaches to it. It is told to leave
 * nothing in the file system, so that a crash cannot be in the way of the next start.
 */

#define EAL_ARGS_MAX 64

static char *eal_argv[EAL_ARGS_MAX + 1];
static int eal_argc;
static char **devices; // copies: the configuration need not outlive the call
static unsigned devices_count;
static bool running;
static bool started_once;

static int check_config(const struct port_system_config *config, char *why);
static int check_huge_pages(uint32_t wanted_mib, char *why);
static int build_args(const struct port_system_config *config, char *why);
static int copy_devices(const struct port_system_config *config);
static int init_eal(char *why);
static void forget_config(void);

int port_system_start(const struct port_system_config *config, char *why)
{
	uint8_t key[PORT_FLOW_HASH_KEY_BYTES];
	int rc;

	why[0] = '\0';
	port_log_start();
	port_log_forget();
	rc = check_config(config, why);
	if (rc != 0)
		return rc;
	rc = build_args(config, why);
	if (rc != 0)
		goto err_forget;
	rc = copy_devices(config);
	if (rc != 0) {
		port_fail(rc, why, "no memory for the list of devices");
		goto err_forget;
	}
	rc = init_eal(why);
	if (rc != 0)
		goto err_forget;
	do // about one draw in eight will do
		secret_fill(key, sizeof(key));
	while (!port_flow_hash_key_spreads(key));
	port_flow_hash_init(key);
	running = true;
	return 0;

err_forget:
	forget_config();
	return rc;
}

void port_system_stop(void)
{
	if (!running)
		return;
	rte_eal_cleanup();
	running = false;
	forget_config();
	port_log_stop();
}

int port_system_add(const char *device, char *why)
{
	char **more = NULL;

	REQUIRE(running && port_device_is_virtual(device));
	why[0] = '\0';
	more = realloc(devices, (devices_count + 1) * sizeof(*devices));
	if (more)
		devices = more;
	if (!more || !(devices[devices_count] = strdup(device)))
		return port_fail(-ENOMEM, why, "no memory for the list of devices");
	devices_count++;
	return 0;
}

unsigned port_count(void)
{
	return devices_count;
}

const char *port_system_device(unsigned index)
{
	return index < devices_count ? devices[index] : NULL;
}

int port_thread_attach(void)
{
	// The main thread is DPDK's own since rte_eal_init().
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	return rte_thread_register() == 0 ? 0 : -rte_errno;
}

void port_thread_detach(void)
{
	if (rte_lcore_id() != LCORE_ID_ANY && rte_lcore_id() != rte_get_main_lcore())
		rte_thread_unregister();
}

static int check_config(const struct port_system_config *config, char *why)
{
	if (started_once)
		return port_fail(
			-EALREADY, why,
			"the packet system starts once per process: start the program again");
	if (config->devices_count <= 0)
		return port_fail(-EINVAL, why,
				 "no network device: name one with nic-device, for example "
				 "nic-device net_tap0,iface=wc0 or nic-device 0000:3b:00.0");
	if (config->memory_mib < 16)
		return port_fail(-EINVAL, why, "nic-memory-mib %u is too little: 16 is the least",
				 config->memory_mib);
	if (config->huge_pages)
		return check_huge_pages(config->memory_mib, why);
	return 0;
}

/* Free huge pages of all sizes, in MiB; -1 when the kernel does not say. */
static int64_t huge_pages_free_mib(void)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *entry;
	int64_t mib = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		char path[320];
		unsigned long kib, pages;
		FILE *file;

		if (sscanf(entry->d_name, "hugepages-%lukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages",
			 entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%lu", &pages) == 1)
			mib += (int64_t)(pages * kib / 1024);
		fclose(file);
	}
	closedir(dir);
	return mib;
}

static int check_huge_pages(uint32_t wanted_mib, char *why)
{
	int64_t free_mib = huge_pages_free_mib();

	if (free_mib < 0 || free_mib >= wanted_mib)
		return 0;
	return port_fail(
		-ENOMEM, why,
		"%u MiB of huge pages are needed for packets and %lld MiB are free: reserve "
		"some with ./hugepages.sh reserve %uMiB, or set nic-huge-pages no",
		wanted_mib, (long long)free_mib, wanted_mib);
}

static int add_arg(const char *format, ...) PRINTF(1, 2);

static int add_arg(const char *format, ...)
{
	va_list args;
	char *text;
	int rc;

	if (eal_argc >= EAL_ARGS_MAX)
		return -E2BIG;
	va_start(args, format);
	rc = vasprintf(&text, format, args);
	va_end(args);
	if (rc < 0)
		return -ENOMEM;
	eal_argv[eal_argc++] = text;
	eal_argv[eal_argc] = NULL;
	return 0;
}

/*
 * One EAL thread, which is the main thread, on the CPUs of the workers: what DPDK starts on the
 * side (interrupts, alarms) then gets the other CPUs, if there are any.
 */
static int add_cpus(const struct port_system_config *config)
{
	char list[512] = "";
	size_t used = 0;

	for (int i = 0; i < config->workers_count && config->worker_cores; i++) {
		int n = snprintf(list + used, sizeof(list) - used, "%s%d", i ? "," : "",
				 config->worker_cores[i]);

		if (n < 0 || (size_t)n >= sizeof(list) - used)
			return -E2BIG;
		used += (size_t)n;
	}
	if (used == 0) {
		cpu_set_t cpus;
		int first = 0;

		if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
			while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &cpus))
				first++;
		snprintf(list, sizeof(list), "%d", first);
	}
	return add_arg("--lcores=0@(%s)", list);
}

static int add_memory(const struct port_system_config *config)
{
	int rc = add_arg("-m%u", config->memory_mib);

	if (config->huge_pages)
		return rc ? rc : add_arg("--in-memory");
	// DPDK refuses --in-memory together with --no-huge; this leaves as little behind.
	rc = rc ? rc : add_arg("--no-huge");
	return rc ? rc : add_arg("--no-shconf");
}

static bool needs_single_file(const char *device)
{
	return strncmp(device, "net_vhost", 9) == 0 ||
	       strncmp(device, "net_virtio_user", 15) == 0 || strncmp(device, "net_memif", 9) == 0;
}

/*
 * Virtual devices are created when their port is opened, where a failure can be told from another.
 */
static int add_devices(const struct port_system_config *config)
{
	bool pci = false;
	bool single_file = false;
	int rc = 0;

	for (int i = 0; i < config->devices_count && rc == 0; i++) {
		if (port_device_is_virtual(config->devices[i])) {
			single_file |= needs_single_file(config->devices[i]);
			continue;
		}
		pci = true;
		rc = add_arg("-a%s", config->devices[i]);
	}
	if (rc == 0 && !pci)
		rc = add_arg("--no-pci");
	// IOVA as virtual addresses makes a pool one piece, which AF_XDP needs; no device wants
	// physical ones.
	if (rc == 0 && !pci)
		rc = add_arg("--iova-mode=va");
	// Peers that map our memory pass one file descriptor per segment, and few of them.
	if (rc == 0 && single_file && config->huge_pages)
		rc = add_arg("--single-file-segments");
	return rc;
}

static int build_args(const struct port_system_config *config, char *why)
{
	int rc = add_arg("%s", config->program ? config->program : "wirecache");

	rc = rc ? rc : add_arg("--no-telemetry");
	// No file is shared, so that one prefix serves any number of instances.
	rc = rc ? rc : add_arg("--file-prefix=wirecache");
	rc = rc ? rc : add_arg("--log-level=*:error");
	rc = rc ? rc : add_cpus(config);
	rc = rc ? rc : add_memory(config);
	rc = rc ? rc : add_devices(config);
	for (int i = 0; i < config->eal_args_count && rc == 0; i++)
		rc = add_arg("%s", config->eal_args[i]);
	if (rc == -E2BIG)
		return port_fail(rc, why, "too many EAL arguments or worker cores");
	return rc ? port_fail(rc, why, "no memory for EAL arguments") : 0;
}

static int copy_devices(const struct port_system_config *config)
{
	devices = calloc((size_t)config->devices_count, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	for (int i = 0; i < config->devices_count; i++) {
		devices[i] = strdup(config->devices[i]);
		if (!devices[i])
			return -ENOMEM;
		devices_count++;
	}
	return 0;
}

static int init_eal(char *why)
{
	// rte_eal_init() reorders the vector it is given; ours keeps what is to be freed.
	char *argv[EAL_ARGS_MAX + 1];
	cpu_set_t before;
	bool affinity_known = pthread_getaffinity_np(pthread_self(), sizeof(before), &before) == 0;
	int rc;

	memcpy(argv, eal_argv, sizeof(argv));
	started_once = true;
	rc = rte_eal_init(eal_argc, argv);
	// DPDK has pinned the main thread, which is our control thread and belongs anywhere but
	// there.
	if (affinity_known)
		pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	if (rc >= 0)
		return 0;
	if (rte_errno == EACCES || rte_errno == EPERM)
		return port_fail(-rte_errno, why, "DPDK may not start: run as root");
	return port_fail(-rte_errno, why, "DPDK does not start: %s%s", rte_strerror(rte_errno),
			 geteuid() == 0 ? "" : "; most devices need root");
}

static void forget_config(void)
{
	for (int i = 0; i < eal_argc; i++)
		free(eal_argv[i]);
	eal_argc = 0;
	for (unsigned i = 0; i < devices_count; i++)
		free(devices[i]);
	free(devices);
	devices = NULL;
	devices_count = 0;
}
