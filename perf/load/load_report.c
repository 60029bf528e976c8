/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_report.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Figures of a load as text, JSON and HdrHistogram files. Called by main(), at the end. */

static const struct {
	const char *name;
	double quantile;
} quantiles[] = {
	{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999},
};

#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static double us(uint64_t ns)
{
	return (double)ns / 1e3;
}

static double rate_of(const struct load_results *r)
{
	return r->seconds > 0 ? (double)r->counts.requests / r->seconds : 0;
}

void load_progress_tick(struct load_progress *p, const struct load *load, uint64_t now_ns)
{
	static const char *const phases[] = {
		[LOAD_CONNECTING] = "connecting", [LOAD_WARMUP] = "warming up",
		[LOAD_MEASURING] = "measuring",   [LOAD_DRAINING] = "waiting for the last replies",
		[LOAD_PAUSED] = "paused",         [LOAD_DONE] = "done",
	};
	const struct load_counts *c = &load_results(load)->counts;

	if (p->last_ns == 0)
		p->last_ns = now_ns;
	if (now_ns - p->last_ns < NS_PER_S)
		return;
	fprintf(stderr, "%s: %.0f requests/s\n", phases[load_phase(load)],
		(double)(c->requests_all - p->requests) * 1e9 / (double)(now_ns - p->last_ns));
	p->last_ns = now_ns;
	p->requests = c->requests_all;
}

static void text_of(const char *name, const struct load_hist *h, FILE *to)
{
	if (h->count == 0)
		return;
	fprintf(to, "%-9s mean %.1f us", name, load_hist_mean_ns(h) / 1e3);
	for (size_t i = 0; i < QUANTILES; i++)
		fprintf(to, "  %s %.1f", quantiles[i].name,
			us(load_hist_quantile(h, quantiles[i].quantile)));
	fprintf(to, "  max %.1f\n", us(h->max_ns));
}

void load_report_text(const struct load_options *o, const struct load_results *r, FILE *to)
{
	const struct load_counts *c = &r->counts;

	fprintf(to,
		"%s on %s:%u, %u clients, pipeline %u: "
		"%llu requests in %.2f s, %.0f requests/s\n",
		load_protocol_name(o->protocol), o->server, o->port, o->clients, o->pipeline,
		(unsigned long long)c->requests, r->seconds, rate_of(r));
	fprintf(to, "%llu sets, %llu gets, %llu hits, %llu misses\n", (unsigned long long)c->sets,
		(unsigned long long)c->gets, (unsigned long long)c->hits,
		(unsigned long long)c->misses);
	text_of("latency", &r->latency, to);
	text_of("service", &r->service, to);
	text_of("big", &r->big, to);
	if (o->reconnect_interval)
		text_of("connect", &r->connect, to);
	if (c->lost_datagrams)
		fprintf(to, "%llu datagrams lost\n", (unsigned long long)c->lost_datagrams);
	if (c->unsent)
		fprintf(to, "%llu requests were due and not sent: too fast for this server\n",
			(unsigned long long)c->unsent);
}

static void json_hist(const char *name, const struct load_hist *h, FILE *to)
{
	if (h->count == 0) {
		fprintf(to, ", \"%s\": null", name);
		return;
	}
	fprintf(to, ", \"%s\": {\"mean\": %.3f, \"min\": %.3f", name, load_hist_mean_ns(h) / 1e3,
		us(h->min_ns));
	for (size_t i = 0; i < QUANTILES; i++)
		fprintf(to, ", \"%s\": %.3f", quantiles[i].name,
			us(load_hist_quantile(h, quantiles[i].quantile)));
	fprintf(to, ", \"max\": %.3f}", us(h->max_ns));
}

/* Texts come from the command line and from servers: any byte may be in them. */
static void json_text(const char *text, FILE *to)
{
	if (!text) {
		fputs("null", to);
		return;
	}
	fputc('"', to);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}

static void json_counts(const struct load_counts *c, FILE *to)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{"requests", c->requests},
		{"requests_all", c->requests_all},
		{"sets", c->sets},
		{"gets", c->gets},
		{"hits", c->hits},
		{"misses", c->misses},
		{"connects", c->connects},
		{"wrong", c->wrong},
		{"error_replies", c->refused},
		{"lost_connections", c->lost_connections},
		{"lost_datagrams", c->lost_datagrams},
		{"unsent", c->unsent},
		{"bytes_received", c->bytes_received},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fprintf(to, ", \"%s\": %llu", fields[i].name, (unsigned long long)fields[i].value);
}

void load_report_json(const struct load_options *o, const struct load_results *r, FILE *to)
{
	const struct load_counts *c = &r->counts;

	fputs("{\"tool\": \"wirecache-load\", \"version\": \"" WIRECACHE_VERSION
	      "\", \"target\": {",
	      to);
	fputs("\"server\": ", to);
	json_text(o->server, to);
	fprintf(to, ", \"port\": %u, \"device\": ", o->port);
	json_text(o->nic_device, to);
	fprintf(to, "}, \"protocol\": \"%s\", \"clients\": %u, \"pipeline\": %u",
		load_protocol_name(o->protocol), o->clients, o->pipeline);
	fprintf(to, ", \"ratio\": \"%u:%u\", \"multi_key_get\": %u, \"key_pattern\": \"%c:%c\"",
		o->ratio_set, o->ratio_get, o->multi_get, o->pattern_set, o->pattern_get);
	fprintf(to, ", \"key_bytes\": %u, \"keys\": %llu, \"data_size\": \"%u-%u\"",
		load_options_key_bytes(o), (unsigned long long)(o->key_max - o->key_min + 1),
		o->data_min, o->data_max);
	fprintf(to, ", \"seconds\": %.6f, \"rate\": %.3f, \"target_rate\": ", r->seconds,
		rate_of(r));
	if (o->rate > 0)
		fprintf(to, "%.3f", o->rate);
	else
		fputs("null", to);
	json_counts(c, to);
	json_hist("latency_us", &r->latency, to);
	json_hist("service_us", &r->service, to);
	json_hist("connect_us", &r->connect, to);
	fprintf(to, ", \"turn_us_max\": %.3f, \"big\": ", us(r->turn_ns_max));
	if (o->big_clients) {
		fprintf(to, "{\"requests\": %llu, \"bytes\": %llu",
			(unsigned long long)c->big_requests, (unsigned long long)c->big_bytes);
		json_hist("latency_us", &r->big, to);
		fputs("}", to);
	} else {
		fputs("null", to);
	}
	fprintf(to, ", \"loop\": {\"turns\": %llu, \"empty_turns\": %llu}, \"why\": ",
		(unsigned long long)c->turns, (unsigned long long)c->empty_turns);
	json_text(r->why[0] ? r->why : NULL, to);
	fputs("}", to);
}

static bool print_hist(const char *prefix, const char *name, const struct load_hist *h)
{
	char path[4096];
	FILE *file;

	if (h->count == 0)
		return true;
	snprintf(path, sizeof(path), "%s_%s.txt", prefix, name);
	file = fopen(path, "w");
	if (!file)
		return false;
	load_hist_print(h, file);
	return fclose(file) == 0;
}

bool load_report_hdr(const struct load_options *o, const struct load_results *r)
{
	return print_hist(o->hdr_prefix, "latency", &r->latency) &&
	       print_hist(o->hdr_prefix, "service", &r->service) &&
	       print_hist(o->hdr_prefix, "connect", &r->connect) &&
	       print_hist(o->hdr_prefix, "big", &r->big);
}
