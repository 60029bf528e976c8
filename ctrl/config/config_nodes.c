/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config.h"
#include "ctrl/config/config_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The nodes of a memcached cluster, as the directive has them and as ElastiCache's clients read
 * them. Called when configuration is loaded, and by the appliance at start. Main thread.
 */

#define EXAMPLE "cache-1.example.com|10.0.0.1|11211,cache-2|10.0.0.2|11211"

/* HOST|IP|PORT up to the comma or the end; its length, 0: it is none. */
static size_t node_len(const char *text)
{
	size_t host = strcspn(text, "|, "), ip, digits;
	const char *port;

	if (host == 0 || text[host] != '|')
		return 0;
	ip = strcspn(text + host + 1, "|, ");
	port = text + host + 1 + ip;
	if (*port++ != '|')
		return 0;
	digits = strspn(port, "0123456789");
	if (digits == 0 || digits > 5 || (port[digits] != ',' && port[digits] != '\0'))
		return 0;
	return (size_t)(port + digits - text);
}

bool config_check_nodes(const char *value, char *why)
{
	const char *at = value;

	while (*value != '\0') {
		size_t len = node_len(at);

		if (len == 0) {
			snprintf(why, CONFIG_WHY_MAX, "argument must be nodes such as %s", EXAMPLE);
			return false;
		}
		at += len;
		if (*at++ == '\0')
			break;
	}
	return true;
}

static int compare_nodes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *config_nodes_text(const struct config *config)
{
	const char *nodes = config->memcached_cluster_nodes;
	char *sorted[CONFIG_NODES_MAX], *copy = strdup(nodes), *rest = copy, *text = NULL;
	size_t count = 0, size = strlen(nodes) + 32, at;

	if (copy)
		text = malloc(size);
	if (!text) {
		free(copy);
		return NULL;
	}
	while (count < CONFIG_NODES_MAX && (sorted[count] = strsep(&rest, ",")) != NULL)
		count++;
	qsort(sorted, count, sizeof(sorted[0]), compare_nodes);
	at = (size_t)snprintf(text, size, "%" PRId64 "\n",
			      (int64_t)config->memcached_cluster_version);
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? " " : "", sorted[i]);
	snprintf(text + at, size - at, "\n");
	free(copy);
	return text;
}
