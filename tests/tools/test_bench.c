/* SPDX-License-Identifier: MIT */
/*
 * test_bench.c - the benchmark does not pass a bad measurement off as a good
 * one: what it refuses, and what it marks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define REPORT "tools/bench/report.awk"
#define GOOD "srv_busy=1.00 cli_busy=0.50 other=0.01 errs=0 stalled=0"

/* What a shell command prints, and its exit status. */
static int
run(const char *command, char *output, size_t size)
{
	FILE *pipe = popen(command, "r");
	size_t used;
	int status;

	assert_non_null(pipe);
	used = fread(output, 1, size - 1, pipe);
	output[used] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The report on one repetition of 64/1 in which `server` was measured. */
static void
report(const char *server, const char *line, char *output, size_t size)
{
	char command[1024];

	if (access(REPORT, R_OK) != 0) {
		print_message("SKIP: not run in the source tree\n");
		skip();
	}
	snprintf(command, sizeof(command), "printf '%%s\\n' "
	    "'1 64/1 limit cpu_us=5.00 rps=100000 " GOOD "' "
	    "'1 64/1 %s %s' | timeout 10 awk -f " REPORT, server, line);
	assert_int_equal(run(command, output, size), 0);
}

static void
assert_refused(const char *line, const char *why)
{
	char output[4096];

	report("raw", line, output, sizeof(output));
	if (strstr(output, why) == NULL || strstr(output, "1.10") != NULL)
		fail_msg("not \"%s\" but: %s", why, output);
}

/* A81 */
static void
a_measurement_with_errors_silence_or_two_listeners_is_refused(void **state)
{
	char output[4096];

	(void)state;
	report("raw", "cpu_us=5.50 rps=90000 " GOOD, output, sizeof(output));
	assert_non_null(strstr(output, "1.10 "));
	assert_null(strstr(output, "refused"));
	assert_refused("cpu_us=5.50 rps=90000 srv_busy=1.00 cli_busy=0.50 "
	    "other=0.01 errs=3 stalled=0", "raw at 64/1: refused: 3 errors");
	assert_refused("cpu_us=5.50 rps=90000 srv_busy=1.00 cli_busy=0.50 "
	    "other=0.01 errs=0 stalled=2",
	    "raw at 64/1: refused: 2 connections stalled");
	assert_refused("refused=2 listeners on a port",
	    "raw at 64/1: refused: 2 listeners on a port");
}

/* A81 */
static void
a_measurement_of_a_server_that_was_not_busy_is_marked(void **state)
{
	char output[4096];

	(void)state;
	report("raw", "cpu_us=5.50 rps=90000 srv_busy=0.60 cli_busy=0.50 "
	    "other=0.01 errs=0 stalled=0", output, sizeof(output));
	assert_non_null(strstr(output, "1.10*"));
	report("raw", "cpu_us=5.50 rps=90000 srv_busy=0.60 cli_busy=0.95 "
	    "other=0.01 errs=0 stalled=0", output, sizeof(output));
	assert_non_null(strstr(output, "1.10g"));
	report("raw", "cpu_us=5.50 rps=90000 srv_busy=1.00 cli_busy=0.50 "
	    "other=0.40 errs=0 stalled=0", output, sizeof(output));
	assert_non_null(strstr(output, "1.10o"));
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

/* Answers each read, from the so-manieth on with a byte more. */
struct service {
	unsigned answers;
	unsigned longer_from;
};

static int
answer(struct torc_conn *conn, void *arg)
{
	static const char good[] = HEAD "2\r\n\r\nok";
	static const char more[] = HEAD "3\r\n\r\nok!";
	struct service *service = arg;
	struct torc_slice in;

	while (torc_conn_recv(conn, &in, torc_after_ms(10000)) > 0) {
		bool longer = service->answers++ >= service->longer_from;

		torc_conn_consume(conn, in.size);
		torc_conn_write(conn, longer ? more : good, longer ?
		    sizeof(more) - 1 : sizeof(good) - 1,
		    torc_after_ms(10000));
	}
	return TORC_CLOSE;
}

static const char *
build_folder(void)
{
	return getenv("B") != NULL ? getenv("B") : "build";
}

static void
find_generator(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/bench/load", build_folder());
	if (access(path, X_OK) == 0)
		return;
	print_message("SKIP: there is no %s here\n", path);
	skip();
}

static int
generate(unsigned port, char *output, size_t size)
{
	char command[512];

	snprintf(command, sizeof(command), "timeout 20 %s/bench/load -p %u "
	    "-c 2 -n 20 2>&1", build_folder(), port);
	return run(command, output, size);
}

/* The exit status of the generator at a server of this kind. */
static int
measure(unsigned longer_from, char *output, size_t size)
{
	struct service service = { .longer_from = longer_from };
	struct server server;
	int status;

	server_start(&server, NULL, answer, &service);
	status = generate(server.port, output, size);
	assert_int_equal(server_stop(&server), 0);
	return status;
}

/* A81 */
static void
an_answer_of_another_size_fails_a_measurement(void **state)
{
	char output[1024];

	(void)state;
	find_generator();
	if (measure(UINT32_MAX, output, sizeof(output)) != 0)
		fail_msg("%s", output);
	assert_non_null(strstr(output, "errs=0"));
	assert_int_equal(measure(10, output, sizeof(output)), 1);
	assert_null(strstr(output, "errs=0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_measurement_with_errors_silence_or_two_listeners_is_refused),
		cmocka_unit_test(
		    a_measurement_of_a_server_that_was_not_busy_is_marked),
		cmocka_unit_test(
		    an_answer_of_another_size_fails_a_measurement),
	};

	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
