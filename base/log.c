/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * One line, one write(): lines of different threads do not mix and nothing is lost in a buffer when
 * the process dies. Called by main and control code.
 */

#define LOG_LINE_MAX 2048

static int log_fd = STDERR_FILENO;
static _Atomic enum log_level log_threshold = LOG_NOTICE;

static const char *const level_words[] = {
	[LOG_DEBUG] = "debug",
	[LOG_VERBOSE] = "verbose",
	[LOG_NOTICE] = "notice",
	[LOG_WARNING] = "warning",
};

int log_open(const char *path, enum log_level level)
{
	int fd = STDERR_FILENO;

	if (path[0] != '\0') {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		if (fd < 0)
			return -errno;
	}
	log_close();
	log_fd = fd;
	log_set_level(level);
	return 0;
}

void log_close(void)
{
	if (log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = STDERR_FILENO;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, level, memory_order_relaxed);
}

bool log_level_parse(const char *word, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_COUNT(level_words); i++) {
		if (strcmp(word, level_words[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	struct timespec ts;
	struct tm tm;
	va_list args;
	int used, text;

	if (level < atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	used = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %d %s: ",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec, ts.tv_nsec / 1000000, (int)getpid(), level_words[level]);
	va_start(args, format);
	text = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	used += text < 0 ? 0 : text;
	if ((size_t)used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	// A log that cannot be written has nowhere to complain.
	if (write(log_fd, line, (size_t)used) < 0)
		return;
}
