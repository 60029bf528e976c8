/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/metrics/metrics.h"

#include "base/clock.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * libmicrohttpd without a thread of its own: its epoll descriptor is one more that the control loop
 * watches, and its time-outs are one timer. The answer is built in one go, so a slow reader holds
 * memory (of which METRICS_CONNECTIONS_MAX bounds the amount) but never the loop.
 */

#define TEXT_BYTES_MAX (4u << 20)
#define IDLE_S         10u // seconds after which a silent connection is closed

struct metrics {
	struct metrics_config config;
	struct MHD_Daemon *daemon;
	struct loop_watch watch; // of the daemon's epoll descriptor, which stays the daemon's
	struct loop_timer timer; // of the daemon's own time-outs
	uint16_t port;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, struct slice body,
			      enum MHD_ResponseMemoryMode mode, const char *content_type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr, mode);
	enum MHD_Result result = MHD_NO;

	if (!response)
		return MHD_NO;
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) ==
	    MHD_YES)
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
				   const char *text)
{
	return answer(connection, status, slice_of_text(text), MHD_RESPMEM_PERSISTENT,
		      "text/plain; charset=utf-8");
}

static enum MHD_Result answer_metrics(const struct metrics *metrics,
				      struct MHD_Connection *connection)
{
	struct text text;
	enum MHD_Result result;

	text_init(&text, TEXT_BYTES_MAX);
	metrics_write(&text, metrics->config.stats);
	if (text.out.failed)
		result = answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	else
		result = answer(connection, MHD_HTTP_OK, text_bytes(&text), MHD_RESPMEM_MUST_COPY,
				"text/plain; version=0.0.4; charset=utf-8");
	text_fini(&text);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **request)
{
	// Called first with the headers only; a reply at that point would end a kept-alive
	// connection.
	static char seen;

	if (!*request) {
		*request = &seen;
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0; // a body is of no interest
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(arg, connection);
	if (strcmp(url, "/") == 0)
		return answer_text(connection, MHD_HTTP_OK, "wirecache: metrics are at /metrics\n");
	return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found: try /metrics\n");
}

static void run(struct metrics *metrics, uint64_t now_ns)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(metrics->daemon);
	if (MHD_get_timeout(metrics->daemon, &timeout_ms) == MHD_YES)
		loop_timer_set(metrics->config.loop, &metrics->timer,
			       now_ns + timeout_ms * NS_PER_MS);
	else
		loop_timer_cancel(metrics->config.loop, &metrics->timer);
}

static void on_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	run(CONTAINER_OF(watch, struct metrics, watch), now_ns);
}

static void on_due(struct loop_timer *timer, uint64_t now_ns)
{
	run(CONTAINER_OF(timer, struct metrics, timer), now_ns);
}

static int start_daemon(struct metrics *metrics)
{
	const struct metrics_config *config = &metrics->config;
	int fd = loop_listen(config->bind, config->port, &metrics->port);

	if (fd < 0)
		return fd;
	metrics->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, metrics,
					   MHD_OPTION_LISTEN_SOCKET, fd,
					   MHD_OPTION_CONNECTION_LIMIT, METRICS_CONNECTIONS_MAX,
					   MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
	if (metrics->daemon)
		return 0; // the descriptor is the daemon's
	close(fd);
	return -ENOMEM;
}

int metrics_start(const struct metrics_config *config, struct metrics **result)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	const union MHD_DaemonInfo *info;
	int err;

	if (!metrics)
		return -ENOMEM;
	metrics->config = *config;
	metrics->watch.on_ready = on_ready;
	metrics->timer.on_due = on_due;
	err = start_daemon(metrics);
	if (err < 0)
		goto err_free;
	info = MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	metrics->watch.fd = info ? info->epoll_fd : -1;
	err = info ? loop_watch(config->loop, &metrics->watch, EPOLLIN) : -ENOTSUP;
	if (err < 0)
		goto err_stop;
	*result = metrics;
	return 0;

err_stop:
	MHD_stop_daemon(metrics->daemon);
err_free:
	free(metrics);
	return err;
}

void metrics_stop(struct metrics *metrics)
{
	if (!metrics)
		return;
	loop_timer_cancel(metrics->config.loop, &metrics->timer);
	loop_unwatch(metrics->config.loop, &metrics->watch);
	MHD_stop_daemon(metrics->daemon);
	free(metrics);
}

uint16_t metrics_port(const struct metrics *metrics)
{
	return metrics->port;
}
