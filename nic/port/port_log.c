/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"
#include "nic/port/port_internal.h"

#include <rte_log.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * DPDK writes its complaints to a stream. This one takes each line to our own log, at a level that
 * is normally not shown, and keeps the last one: when a call fails, it is usually the reason. Any
 * thread may write.
 */

#define LINE_MAX_BYTES 160

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *stream;
static char last[LINE_MAX_BYTES]; // under lock

static ssize_t take_lines(void *cookie, const char *text, size_t len)
{
	size_t end = len;
	size_t begin;

	while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\0'))
		end--;
	begin = end;
	while (begin > 0 && text[begin - 1] != '\n')
		begin--;
	if (end > begin) {
		pthread_mutex_lock(&lock);
		snprintf(last, sizeof(last), "%.*s", (int)(end - begin), text + begin);
		pthread_mutex_unlock(&lock);
		// DPDK says something critical just before it aborts.
		bool critical = rte_log_cur_msg_loglevel() <= (int)RTE_LOG_CRIT;

		log_write(critical ? LOG_WARNING : LOG_VERBOSE, "dpdk: %.*s", (int)(end - begin),
			  text + begin);
	}
	return (ssize_t)len;
}

void port_log_start(void)
{
	static const cookie_io_functions_t functions = {.write = take_lines};

	if (stream)
		return;
	stream = fopencookie(NULL, "w", functions);
	if (!stream)
		return; // DPDK then writes to stderr, which serves as well
	setvbuf(stream, NULL, _IOLBF, LINE_MAX_BYTES);
	rte_openlog_stream(stream);
}

void port_log_stop(void)
{
	if (!stream)
		return;
	rte_openlog_stream(NULL);
	fclose(stream);
	stream = NULL;
}

void port_log_forget(void)
{
	pthread_mutex_lock(&lock);
	last[0] = '\0';
	pthread_mutex_unlock(&lock);
}

const char *port_log_last(void)
{
	static _Thread_local char copy[LINE_MAX_BYTES];

	pthread_mutex_lock(&lock);
	memcpy(copy, last, sizeof(copy));
	pthread_mutex_unlock(&lock);
	return copy;
}

int port_fail(int error, char *why, const char *format, ...)
{
	const char *complaint = port_log_last();
	va_list args;
	int used;

	va_start(args, format);
	used = vsnprintf(why, PORT_WHY_MAX, format, args);
	va_end(args);
	if (used > 0 && used < PORT_WHY_MAX && complaint[0] != '\0')
		snprintf(why + used, PORT_WHY_MAX - (size_t)used, " (DPDK: %s)", complaint);
	return error < 0 ? error : -EINVAL;
}
