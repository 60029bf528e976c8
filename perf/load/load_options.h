/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a load is to be, as the command line says it. The names follow memtier_benchmark where it
 * has the same thing. Parsed once, constant afterwards.
 */

enum load_protocol {
	LOAD_RESP,
	LOAD_MC_TEXT,
	LOAD_MC_META,
	LOAD_MC_UDP, // the text protocol in datagrams
};

/* How the keys of one kind of request are chosen. */
enum load_pattern {
	LOAD_UNIFORM = 'R',
	LOAD_ZIPF = 'Z',
	LOAD_GAUSS = 'G',
	LOAD_SEQUENTIAL = 'S', // each client goes through all
	LOAD_PARALLEL = 'P',   // each client goes through its share
};

enum load_verify {
	LOAD_VERIFY_NONE,   // only the form of replies
	LOAD_VERIFY_VALUES, // every byte
	LOAD_VERIFY_HITS,   // and a miss is wrong, too
};

#define LOAD_CLIENTS_MAX   60000 // each takes a port of ours
#define LOAD_PIPELINE_MAX  4096
#define LOAD_MULTI_MAX     1024 // keys of one GET
#define LOAD_KEY_BYTES_MAX 250  // memcached's limit
#define LOAD_VALUE_MAX     (512u << 20)
#define LOAD_UDP_VALUE_MAX 1300       // what fits into one datagram with its request
#define LOAD_REQUESTS_ALL  UINT64_MAX // of `requests`: the whole range of keys

struct load_options {
	const char *server; // IPv4 address
	uint32_t port;      // 0: the protocol's own
	enum load_protocol protocol;
	const char *nic_device; // NULL: kernel sockets
	const char *nic_address;
	const char *nic_gateway;
	bool nic_huge_pages;
	uint32_t nic_memory_mib;
	int32_t core; // -1: not pinned
	uint32_t clients, pipeline;
	uint32_t ratio_set, ratio_get;
	uint32_t multi_get; // keys of a GET; 1: a plain one
	enum load_pattern pattern_set, pattern_get;
	double zipf_exponent;
	const char *key_prefix;
	uint32_t key_bytes; // 0: as long as prefix and number are
	uint64_t key_min, key_max;
	uint32_t data_min, data_max; // bytes of value
	uint32_t big_clients, big_bytes;
	uint64_t requests; // of each client; 0: until the time is over
	double test_s, warmup_s;
	double rate; // requests per second of all clients; 0: closed loop
	bool arrivals_uniform;
	uint32_t reconnect_interval; // requests; 0: never
	enum load_verify verify;
	uint32_t udp_timeout_ms;
	uint64_t seed;
	const char *json; // path, "-" is stdout, NULL: no JSON
	const char *hdr_prefix;
	bool on_demand, quiet;
};

/* One option: its name, what it takes, and where that goes. */
struct load_option {
	const char *name;
	char letter; // 0: long form only
	bool (*parse)(const char *text, void *target);
	void *target;     // NULL with takes_value false: print the help
	bool takes_value; // false: *(bool *)target becomes true
	const char *value, *help;
};

enum load_options_result {
	LOAD_OPTIONS_OK,
	LOAD_OPTIONS_HELP, // it has been printed
	LOAD_OPTIONS_BAD,  // why says what
};

#define LOAD_OPTIONS_WHY_MAX 256

bool load_parse_u32(const char *text, void *target);
bool load_parse_core(const char *text, void *target);

/*
 * Fills *o from the command line; texts are not copied. `extra` are further options of the program,
 * ended by an entry without a name, or NULL.
 */
enum load_options_result load_options_parse(struct load_options *o, const struct load_option *extra,
					    int argc, char **argv, char *why);

/* Bytes of the longest key. */
uint32_t load_options_key_bytes(const struct load_options *o);

const char *load_protocol_name(enum load_protocol protocol);
