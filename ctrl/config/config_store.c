/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_table.h"

#include "ctrl/config/config_value.h"
#include "dataplane/command/command.h"

/*
 * The configuration of the running process: CONFIG GET, CONFIG SET, and telling those who use a
 * value that it has changed. Control thread.
 */

void config_init(struct config_store *store)
{
	char why[CONFIG_WHY_MAX];

	memset(store, 0, sizeof(*store));
	for (size_t i = 0; i < config_table_count(); i++) {
		const struct config_directive *directive = config_table_at(i);

		if (directive->name)
			INVARIANT(config_value_parse(directive, directive->initial, &store->now,
						     why));
	}
}

static bool refuse(char *why, const char *text)
{
	snprintf(why, CONFIG_WHY_MAX, "%s", text);
	return false;
}

bool config_validate(const struct config *config, char *why)
{
	int cores[CONFIG_CORES_MAX];
	int core_count = config_parse_cores(config->worker_cores, cores);

	if (config->nic_device[0] == '\0')
		return refuse(why, "nic-device is not set: name a port, for example "
				   "--nic-device net_af_packet0,iface=eth1");
	if (config->nic_address[0] == '\0' && config->nic_address6[0] == '\0')
		return refuse(why,
			      "nic-address is not set: give the appliance an address, for example "
			      "--nic-address 10.99.0.2/24, or --nic-address6 fd00:99::2/64");
	if (config->port == 0 && config->memcached_port == 0)
		return refuse(why, "port and memcached-port are both 0: nobody could connect");
	if (config->port == config->memcached_port)
		return refuse(why, "port and memcached-port must differ");
	if (config->memcached_udp_port != 0 && config->memcached_auth_file[0] != '\0')
		return refuse(why, "memcached-udp-port must be 0 with memcached-auth-file: nobody "
				   "can say by UDP who they are");
	if (config->admin_port != 0 && config->admin_port == config->metrics_port)
		return refuse(why, "admin-port and metrics-port must differ");
	if (core_count > 0 && config->workers != 0 && core_count != config->workers)
		return refuse(why, "worker-cores must list as many cores as there are workers");
	if (config->memory_region != 0 && config->memory_region < config->maxmemory)
		return refuse(why, "memory-region must not be smaller than maxmemory");
	return true;
}

void config_on_set(struct config_store *store, const char *name, config_apply *apply, void *arg)
{
	REQUIRE(!name || config_table_find(slice_of_text(name)));
	REQUIRE(store->watch_count < CONFIG_WATCHES_MAX);
	store->watches[store->watch_count++] =
		(struct config_watch){.name = name, .apply = apply, .arg = arg};
}

static bool watches(const struct config_watch *watch, const struct config_pair *pairs,
		    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!watch->name || slice_equal_nocase(pairs[i].name, watch->name))
			return true;
	}
	return false;
}

/* Parses one pair into the candidate. */
static bool take_pair(const struct config_directive *directive, struct slice value,
		      struct config *candidate, char *why)
{
	char text[CONFIG_VALUE_MAX];

	if (value.len >= sizeof(text) || (value.len && memchr(value.ptr, '\0', value.len)))
		return refuse(why, "argument is too long or holds a zero byte");
	if (value.len)
		memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	if (directive->type != CONFIG_TYPE_FIXED && !directive->live)
		return refuse(why, "can't set immutable config");
	return config_value_parse(directive, text, candidate, why);
}

static bool named_before(const struct config_pair *pairs, uint32_t index)
{
	const struct config_directive *directive = config_table_find(pairs[index].name);

	for (uint32_t i = 0; i < index; i++) {
		if (config_table_find(pairs[i].name) == directive)
			return true;
	}
	return false;
}

/* The pair that a watch that refused was about; the first one for a watch on everything. */
static uint32_t pair_of(const struct config_watch *watch, const struct config_pair *pairs,
			uint32_t count)
{
	for (uint32_t i = 0; watch->name && i < count; i++) {
		if (slice_equal_nocase(pairs[i].name, watch->name))
			return i;
	}
	return 0;
}

/*
 * Hands the candidate to all who care; when one refuses, those before it (and itself) get the old
 * values back.
 */
static bool apply_all(struct config_store *store, const struct config *candidate,
		      const struct config_pair *pairs, uint32_t count, uint32_t *culprit, char *why)
{
	char ignored[CONFIG_WHY_MAX];
	uint32_t i;

	for (i = 0; i < store->watch_count; i++) {
		const struct config_watch *watch = &store->watches[i];

		if (watches(watch, pairs, count) && !watch->apply(watch->arg, candidate, why)) {
			*culprit = pair_of(watch, pairs, count);
			break;
		}
	}
	if (i == store->watch_count)
		return true;
	for (uint32_t back = 0; back <= i; back++) {
		const struct config_watch *watch = &store->watches[back];

		if (watches(watch, pairs, count))
			watch->apply(watch->arg, &store->now, ignored);
	}
	return false;
}

enum config_set_result config_set(struct config_store *store, const struct config_pair *pairs,
				  uint32_t count, uint32_t *culprit, char *why)
{
	struct config candidate = store->now;

	// Names first: redis refuses an unknown one before it looks at any value.
	for (uint32_t i = 0; i < count; i++) {
		*culprit = i;
		if (!config_table_find(pairs[i].name))
			return CONFIG_SET_UNKNOWN;
	}
	for (uint32_t i = 0; i < count; i++) {
		*culprit = i;
		if (named_before(pairs, i)) {
			refuse(why, "duplicate parameter");
			return CONFIG_SET_FAILED;
		}
		if (!take_pair(config_table_find(pairs[i].name), pairs[i].value, &candidate, why))
			return CONFIG_SET_FAILED;
	}
	*culprit = 0;
	if (!config_validate(&candidate, why) ||
	    !apply_all(store, &candidate, pairs, count, culprit, why))
		return CONFIG_SET_FAILED;
	store->now = candidate;
	return CONFIG_SET_OK;
}

void config_get(const struct config_store *store, const struct slice *patterns, uint32_t count,
		void (*visit)(void *arg, const char *name, const char *value), void *arg)
{
	for (size_t row = 0; row < config_table_count(); row++) {
		const struct config_directive *directive = config_table_at(row);
		bool wanted = false;

		for (uint32_t i = 0; directive->name && i < count && !wanted; i++)
			wanted = cmd_glob_match(patterns[i], slice_of_text(directive->name), true);
		if (!wanted)
			continue;
		char value[CONFIG_VALUE_MAX];

		config_value_format(directive, &store->now, value);
		visit(arg, directive->name, value);
	}
}
