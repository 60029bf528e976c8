/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* Files, command lines, CONFIG GET, SET and REWRITE as a user meets them. */

static char directory[] = "/tmp/test_config_XXXXXX";
static char file_path[128];

static int group_setup(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(file_path, sizeof(file_path), "%s/wire.conf", directory);
	return 0;
}

static int group_teardown(void **state)
{
	unlink(file_path);
	return rmdir(directory);
}

static void write_file(const char *text)
{
	FILE *file = fopen(file_path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static char *read_file(char text[8192])
{
	FILE *file = fopen(file_path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, 8191, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

/* The outcome of one command line. */
struct run {
	struct config_store store;
	struct config_command_line line;
	enum config_verdict verdict;
	char *out, *err;
	size_t out_len, err_len;
};

static void run_line(struct run *run, int argc, char *const *argv)
{
	FILE *out, *err;

	memset(run, 0, sizeof(*run));
	out = open_memstream(&run->out, &run->out_len);
	err = open_memstream(&run->err, &run->err_len);
	run->verdict = config_load(&run->store, argc, argv, &run->line, out, err);
	fclose(out);
	fclose(err);
	if (run->err_len)
		print_message("%s", run->err);
}

static void run_end(struct run *run)
{
	free(run->out);
	free(run->err);
}

// The arguments live to the end of the caller's block, because a run keeps pointers to them.
#define RUN(run, ...)         RUN_ARGV(run, ((char *[]){ARG("wirecached"), __VA_ARGS__}))
#define RUN_ARGV(run, words_) run_line(run, ARRAY_COUNT(words_), words_)
#define ARG(text) ((char[]){text})
#define NEEDED    ARG("--nic-device"), ARG("net_null0"), ARG("--nic-address"), ARG("10.0.0.1/8")

static void test_load_file_then_command_line_wins(void **state)
{
	struct run run;

	write_file("# ours\nport 7000\nmaxmemory 2mb\nnic-device net_null0\nlogfile \"a b.log\"\n"
		   "client-output-buffer-limit normal 1mb 0 0\n"
		   "client-output-buffer-limit pubsub 1 2 3\n"
		   "save \"\"\n");
	RUN(&run, file_path, ARG("--nic-address"), ARG("10.0.0.1/8"), ARG("--port"), ARG("7001"),
	    ARG("--"), ARG("--log-level=8"), ARG("--port"));
	assert_int_equal(run.verdict, CONFIG_RUN);
	assert_int_equal(run.store.now.port, 7001);
	assert_int_equal(run.store.now.maxmemory, 2 << 20);
	assert_string_equal(run.store.now.logfile, "a b.log");
	assert_int_equal(run.store.now.client_output_buffer_limit.hard_bytes[CONFIG_CLASS_NORMAL],
			 1 << 20);
	assert_int_equal(run.store.now.client_output_buffer_limit.soft_s[CONFIG_CLASS_PUBSUB], 3);
	assert_string_equal(run.store.path, file_path);
	assert_int_equal(run.line.eal_args_count, 2);
	assert_string_equal(run.line.eal_args[0], "--log-level=8");
	run_end(&run);
}

static void test_load_bad_file_names_every_line(void **state)
{
	struct run run;

	write_file(
		"port 70000\n\nmaxmemroy 1gb\nnonsense\nappendonly yes\ndir \"x\nport 1 2\nport\n");
	RUN(&run, file_path);
	assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
	assert_non_null(strstr(
		run.err, "wire.conf:1: port \"70000\": argument must be between 0 and 65535"));
	assert_non_null(strstr(
		run.err, "wire.conf:3: unknown directive 'maxmemroy': did you mean 'maxmemory'?"));
	assert_non_null(strstr(run.err, "wire.conf:4: unknown directive 'nonsense'"));
	assert_non_null(
		strstr(run.err, "wire.conf:5: appendonly \"yes\": argument must be \"no\""));
	assert_non_null(strstr(run.err, "wire.conf:6: a quotation mark is not closed"));
	assert_non_null(strstr(run.err, "wire.conf:7: port takes one value"));
	assert_non_null(strstr(run.err, "wire.conf:8: port takes one value"));
	run_end(&run);
}

static void test_load_missing_file_is_refused(void **state)
{
	struct run run;

	RUN(&run, ARG("/nowhere/at/all.conf"));
	assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
	assert_non_null(strstr(run.err, "/nowhere/at/all.conf: cannot be read"));
	run_end(&run);
}

static void test_load_bad_command_lines(void **state)
{
	static const struct {
		const char *args[4];
		const char *said;
	} cases[] = {
		{{"--porty", "1"}, "did you mean '--port'?"},
		{{"--no-such-thing-at-all", "1"}, "unknown option"},
		{{"--port"}, "--port needs a value"},
		{{"--port", "x"}, "--port \"x\": argument couldn't be parsed"},
		{{"-x"}, "--nic-address \"10.0.0.1/8 -x\""},
		{{"--port", "0", "--memcached-port", "0"}, "nobody could connect"},
		{{"--admin-port", "9121"}, "must differ"},
		{{"--memcached-port", "6379"}, "must differ"},
		{{"--workers", "2", "--worker-cores", "1"}, "as many cores"},
		{{"--memory-region", "1mb"}, "not be smaller than maxmemory"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char *argv[9] = {ARG("wirecached"), NEEDED};
		int argc = 5;
		struct run run;

		for (int a = 0; a < 4 && cases[i].args[a]; a++)
			argv[argc++] = strdup(cases[i].args[a]);
		run_line(&run, argc, argv);
		assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
		assert_non_null(strstr(run.err, cases[i].said));
		for (int a = 5; a < argc; a++)
			free(argv[a]);
		run_end(&run);
	}
}

static void test_load_stray_argument_is_refused(void **state)
{
	struct run run;

	RUN(&run, ARG("-x"));
	assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
	assert_non_null(strstr(run.err, "unexpected argument '-x'"));
	run_end(&run);
	RUN(&run, file_path, ARG("other.conf"));
	assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
	assert_non_null(strstr(run.err, "unexpected argument 'other.conf'"));
	run_end(&run);
}

static void test_load_without_nic_says_what_to_set(void **state)
{
	struct run run;

	RUN(&run, ARG("--check-config"));
	assert_int_equal(run.verdict, CONFIG_EXIT_BAD);
	assert_non_null(strstr(run.err, "nic-device is not set"));
	run_end(&run);
}

static void test_load_questions_are_answered(void **state)
{
	struct run run;

	RUN(&run, ARG("--help"));
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	assert_non_null(strstr(run.out, "--maxmemory-policy (default \"noeviction\", CONFIG SET)"));
	run_end(&run);
	RUN(&run, ARG("--version"));
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	assert_non_null(strstr(run.out, "wirecache "));
	run_end(&run);
	RUN(&run, ARG("--check-config"), NEEDED);
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	assert_non_null(strstr(run.out, "good"));
	run_end(&run);
}

/* wirecache.conf of the source tree is what --print-config prints, and it can be read. */
static void test_print_defaults_is_the_shipped_file(void **state)
{
	struct config_store store, defaults;
	char *printed = NULL, *shipped;
	size_t len = 0, shipped_len;
	FILE *out = open_memstream(&printed, &len);
	FILE *file = fopen(SOURCE_ROOT "/wirecache.conf", "r");

	config_print_defaults(out);
	fclose(out);
	assert_non_null(file);
	shipped = calloc(1, len + 2);
	shipped_len = fread(shipped, 1, len + 1, file);
	fclose(file);
	assert_int_equal(shipped_len, len);
	assert_string_equal(shipped, printed);
	config_init(&store);
	config_init(&defaults);
	assert_true(config_read_file(&store.now, SOURCE_ROOT "/wirecache.conf", stderr));
	assert_memory_equal(&store, &defaults, sizeof(store));
	free(shipped);
	free(printed);
}

/* Each directive that --help names has a line in the shipped file: set, or commented out. */
static void test_shipped_file_has_what_help_names(void **state)
{
	struct run run;
	char *printed = NULL, wanted[2][80];
	size_t len = 0;
	int count = 0;
	FILE *out = open_memstream(&printed, &len);

	config_print_defaults(out);
	fclose(out);
	RUN(&run, ARG("--help"));
	for (const char *at = run.out; (at = strstr(at, "\n  --")); at++) {
		int name_len = (int)strcspn(at + 5, " ");

		if (strncmp(at + 5 + name_len, " (default", 9) != 0)
			continue; // an option, not a directive
		snprintf(wanted[0], sizeof(wanted[0]), "\n%.*s ", name_len, at + 5);
		snprintf(wanted[1], sizeof(wanted[1]), "\n# %.*s ", name_len, at + 5);
		if (!strstr(printed, wanted[0]) && !strstr(printed, wanted[1]))
			fail_msg("%.*s is missing", name_len, at + 5);
		count++;
	}
	assert_true(count > 40);
	run_end(&run);
	free(printed);
}

static struct config_pair pair(const char *name, const char *value)
{
	return (struct config_pair){slice_of_text(name), slice_of_text(value)};
}

static void init_valid(struct config_store *store)
{
	config_init(store);
	strcpy(store->now.nic_device, "net_null0");
	strcpy(store->now.nic_address, "10.0.0.1/8");
}

struct listener {
	uint64_t seen;
	int calls;
	bool refuse;
};

static bool apply(void *arg, const struct config *config, char *why)
{
	struct listener *l = arg;

	l->calls++;
	l->seen = config->maxmemory;
	if (l->refuse)
		strcpy(why, "no");
	return !l->refuse;
}

static void test_set_changes_all_and_tells_listeners(void **state)
{
	struct listener memory = {0}, other = {0}, any = {0};
	const struct config_pair pairs[] = {pair("MaxMemory", "5mb"), pair("timeout", "7")};
	struct config_store store;
	char why[CONFIG_WHY_MAX];
	uint32_t culprit;

	init_valid(&store);
	config_on_set(&store, "maxmemory", apply, &memory);
	config_on_set(&store, "maxclients", apply, &other);
	config_on_set(&store, NULL, apply, &any);
	assert_int_equal(config_set(&store, pairs, 2, &culprit, why), CONFIG_SET_OK);
	assert_int_equal(store.now.maxmemory, 5 << 20);
	assert_int_equal(store.now.timeout, 7);
	assert_int_equal(memory.calls, 1);
	assert_int_equal(memory.seen, 5 << 20);
	assert_int_equal(other.calls, 0);
	assert_int_equal(any.calls, 1);
}

static void test_set_refused_by_listener_is_taken_back(void **state)
{
	struct listener first = {0}, second = {.refuse = true};
	const struct config_pair pairs[] = {pair("timeout", "7"), pair("maxmemory", "5mb")};
	struct config_store store;
	char why[CONFIG_WHY_MAX];
	uint32_t culprit;

	init_valid(&store);
	config_on_set(&store, "timeout", apply, &first);
	config_on_set(&store, "maxmemory", apply, &second);
	assert_int_equal(config_set(&store, pairs, 2, &culprit, why), CONFIG_SET_FAILED);
	assert_int_equal(culprit, 1);
	assert_string_equal(why, "no");
	assert_int_equal(store.now.timeout, 0);
	assert_int_equal(first.calls, 2);
	assert_int_equal(first.seen, store.now.maxmemory);
}

static void test_set_bad_pairs_change_nothing(void **state)
{
	static const struct {
		const char *pairs[4];
		uint32_t culprit;
		enum config_set_result result;
		const char *why;
	} cases[] = {
		{{"timeout", "5", "nosuch", "1"}, 1, CONFIG_SET_UNKNOWN, NULL},
		{{"timeout", "5", "maxmemory", "x"},
		 1,
		 CONFIG_SET_FAILED,
		 "argument must be a memory value"},
		{{"timeout", "5", "timeout", "6"}, 1, CONFIG_SET_FAILED, "duplicate parameter"},
		{{"timeout", "5", "port", "1"}, 1, CONFIG_SET_FAILED, "can't set immutable config"},
		{{"timeout", "5", "appendonly", "yes"}, 1, CONFIG_SET_FAILED, "no append-only"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct config_pair pairs[] = {pair(cases[i].pairs[0], cases[i].pairs[1]),
						    pair(cases[i].pairs[2], cases[i].pairs[3])};
		struct config_store store;
		char why[CONFIG_WHY_MAX] = "";
		uint32_t culprit;

		init_valid(&store);
		assert_int_equal(config_set(&store, pairs, 2, &culprit, why), cases[i].result);
		assert_int_equal(culprit, cases[i].culprit);
		if (cases[i].why)
			assert_non_null(strstr(why, cases[i].why));
		assert_int_equal(store.now.timeout, 0);
	}
}

static void test_set_value_with_zero_byte_is_refused(void **state)
{
	const struct config_pair bad = {SLICE_LITERAL("timeout"), slice_of("1\0002", 3)};
	struct config_store store;
	char why[CONFIG_WHY_MAX];
	uint32_t culprit;

	init_valid(&store);
	assert_int_equal(config_set(&store, &bad, 1, &culprit, why), CONFIG_SET_FAILED);
}

static void collect(void *arg, const char *name, const char *value)
{
	strcat(strcat(strcat(strcat(arg, name), "="), value), " ");
}

static void test_get_matches_patterns_once_each(void **state)
{
	static const struct {
		const char *patterns[2];
		const char *got;
	} cases[] = {
		{{"port"}, "port=6379 "},
		{{"PORT", "po?t"}, "port=6379 "},
		{{"maxmem*", "maxmemory"},
		 "maxmemory=1073741824 maxmemory-policy=noeviction maxmemory-samples=5 "},
		{{"append?nly", "timeout"}, "timeout=0 appendonly=no "},
		{{"nosuch"}, ""},
		{{"maxclients*", "xport"}, "maxclients=65000 "},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct slice patterns[2];
		uint32_t count = 0;
		char got[1024] = "";
		struct config_store store;

		for (; count < 2 && cases[i].patterns[count]; count++)
			patterns[count] = slice_of_text(cases[i].patterns[count]);
		config_init(&store);
		config_get(&store, patterns, count, collect, got);
		assert_string_equal(got, cases[i].got);
	}
}

static void test_rewrite_keeps_comments_and_reads_back(void **state)
{
	static const char good[] = "# mine\nport 6379\n\nmaxmemory   1gb\nmaxmemory 2gb\n"
				   "nic-device \"net_null0\"\nnic-address 10.0.0.1/8";
	struct config_store store, again;
	char text[8192], text_again[8192];

	write_file(good);
	assert_int_equal(chmod(file_path, 0604), 0);
	init_valid(&store);
	strcpy(store.path, file_path);
	store.now.maxmemory = 3u << 20;
	store.now.timeout = 9;
	strcpy(store.now.logfile, "with blank.log");
	assert_int_equal(config_rewrite(&store), 0);
	read_file(text);
	assert_string_equal(text, "# mine\nport 6379\n\nmaxmemory 3145728\n"
				  "nic-device \"net_null0\"\nnic-address 10.0.0.1/8\n"
				  "# Written by CONFIG REWRITE\ntimeout 9\n"
				  "logfile \"with blank.log\"\n");
	config_init(&again);
	assert_true(config_read_file(&again.now, file_path, stderr));
	assert_memory_equal(&again.now, &store.now, sizeof(again.now));

	// Again without a change: the same bytes, the same permissions.
	assert_int_equal(config_rewrite(&store), 0);
	assert_string_equal(read_file(text_again), text);
	struct stat st;

	assert_int_equal(stat(file_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
}

static void test_rewrite_without_file_is_enoent(void **state)
{
	struct config_store store;

	config_init(&store);
	assert_int_equal(config_rewrite(&store), -2);
	strcpy(store.path, "/nowhere/at/all.conf");
	assert_int_equal(config_rewrite(&store), -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_file_then_command_line_wins),
		cmocka_unit_test(test_load_bad_file_names_every_line),
		cmocka_unit_test(test_load_missing_file_is_refused),
		cmocka_unit_test(test_load_bad_command_lines),
		cmocka_unit_test(test_load_stray_argument_is_refused),
		cmocka_unit_test(test_load_without_nic_says_what_to_set),
		cmocka_unit_test(test_load_questions_are_answered),
		cmocka_unit_test(test_print_defaults_is_the_shipped_file),
		cmocka_unit_test(test_shipped_file_has_what_help_names),
		cmocka_unit_test(test_set_changes_all_and_tells_listeners),
		cmocka_unit_test(test_set_refused_by_listener_is_taken_back),
		cmocka_unit_test(test_set_bad_pairs_change_nothing),
		cmocka_unit_test(test_set_value_with_zero_byte_is_refused),
		cmocka_unit_test(test_get_matches_patterns_once_each),
		cmocka_unit_test(test_rewrite_keeps_comments_and_reads_back),
		cmocka_unit_test(test_rewrite_without_file_is_enoent),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
