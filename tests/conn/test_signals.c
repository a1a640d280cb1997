/* SPDX-License-Identifier: MIT */
/*
 * test_signals.c - what signals make of a server: each runs in a process of its
 * own, which says on a pipe what it comes to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#include "conn/kit/torc_client.h"

/* What the child says. */
#define READY 'r'
#define BEGUN 'b'		/* a handler, or a start, has */
#define RELOADED 'h'
#define OWN_HANDLER 'o'

static struct {
	int said[2];		/* by the child */
	int gate[2];		/* closed: handlers go on */
	pid_t child;
	unsigned port;
} site;

static void
say(char what)
{
	if (write(site.said[1], &what, 1) != 1)
		_exit(90);
}

/* ---- The child ---- */

static int
work(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		torc_conn_consume(conn, in.size);
		say(BEGUN);
		if (torc_fd_poll(site.gate[0], POLLIN, TORC_NEVER) < 0)
			return -1;
		torc_conn_write(conn, "done", 4, TORC_NEVER);
	}
	return TORC_CLOSE;
}

static void
say_ready(void *arg)
{
	(void)arg;
	say(READY);
}

static void
say_reload(void *arg)
{
	(void)arg;
	say(RELOADED);
}

static void
catch(int number)
{
	(void)number;
	say(OWN_HANDLER);
}

/* Waits, as for a database that is not there, until it is cancelled. */
static int
start_for_ever(struct torc_reactor *reactor, void *arg)
{
	const int *result = arg;

	if (torc_reactor_index(reactor) == 0)
		return 0;
	say(BEGUN);
	torc_sleep(TORC_NEVER);
	return *result;
}

/* How the child meets SIGHUP. */
enum manner { BY_DEFAULT, IGNORED, HANDLED };

static _Noreturn void
serve(struct torc_config config, enum manner manner)
{
	static char address[32];
	static const char *const at[] = { address, NULL };
	struct torc_error error;
	int rc;

	snprintf(address, sizeof(address), "127.0.0.1:%u", site.port);
	config.listen = at;
	config.handler = work;
	config.reactors = 2;
	config.lame_duck_ms = 1;
	close(site.said[0]);
	close(site.gate[1]);
	/* Whatever happens, it does not stay. */
	alarm(60);
	signal(SIGHUP, manner == IGNORED ? SIG_IGN : SIG_DFL);
	if (manner == HANDLED)
		signal(SIGHUP, catch);
	rc = torc_serve(&config, say_ready, &error);
	_exit(rc < 0 ? 1 : 0);
}

/* ---- This process ---- */

static void
begin(struct torc_config config, enum manner manner)
{
	assert_int_equal(pipe(site.said), 0);
	assert_int_equal(pipe(site.gate), 0);
	site.port = spare_port();
	fflush(NULL);
	site.child = fork();
	assert_true(site.child >= 0);
	if (site.child == 0)
		serve(config, manner);
	close(site.said[1]);
	close(site.gate[0]);
}

static char
hear(void)
{
	struct pollfd event = { .fd = site.said[0], .events = POLLIN };
	char what = '\0';

	while (poll(&event, 1, 30000) < 0)
		assert_int_equal(errno, EINTR);
	if (read(site.said[0], &what, 1) != 1)
		return '\0';
	return what;
}

static void
tell(int number)
{
	assert_int_equal(kill(site.child, number), 0);
}

/* Its exit status, or minus the signal that killed it. */
static int
end(void)
{
	int status;

	close(site.gate[1]);
	while (waitpid(site.child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	close(site.said[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A client whose request a handler works on. */
static int
ask(void)
{
	int fd;

	assert_int_equal(hear(), READY);
	fd = client_open(site.port);
	client_send(fd, "x", 1);
	assert_int_equal(hear(), BEGUN);
	return fd;
}

/* It is let go, and answers. */
static void
expect_answer(int fd)
{
	char bytes[4];

	assert_int_equal(write(site.gate[1], "", 1), 1);
	assert_true(client_read(fd, bytes, 4));
	assert_memory_equal(bytes, "done", 4);
}

static bool
is_refused(void)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)site.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (const struct sockaddr *)&at, sizeof(at));

	close(fd);
	return rc < 0;
}

/* Until the drain has begun, or for long. */
static void
await_drain(void)
{
	const uint64_t until = now_ms() + 20000;

	while (!is_refused() && now_ms() < until)
		pause_ms(5);
	assert_true(is_refused());
}

/* ---- SIGHUP ---- */

static void
a_hangup_drains_by_default(void **state)
{
	int fd;

	(void)state;
	begin((struct torc_config) { .idle_ms = 0 }, BY_DEFAULT);
	fd = ask();
	tell(SIGHUP);
	await_drain();
	expect_answer(fd);
	close(fd);
	assert_int_equal(end(), 0);
}

static void
a_hangup_calls_reload_each_time_and_nothing_else(void **state)
{
	const enum manner manners[] = { BY_DEFAULT, IGNORED };

	(void)state;
	for (int i = 0; i < 2; i++) {
		int fd;

		begin((struct torc_config) { .reload = say_reload },
		    manners[i]);
		fd = ask();
		for (int times = 0; times < 3; times++) {
			tell(SIGHUP);
			assert_int_equal(hear(), RELOADED);
		}
		assert_false(is_refused());
		expect_answer(fd);
		close(fd);
		tell(SIGTERM);
		assert_int_equal(end(), 0);
	}
}

static void
a_program_that_ignores_or_handles_hangups_keeps_them(void **state)
{
	int fd;

	(void)state;
	begin((struct torc_config) { .idle_ms = 0 }, IGNORED);
	fd = ask();
	tell(SIGHUP);
	pause_ms(100);
	assert_false(is_refused());
	expect_answer(fd);
	close(fd);
	tell(SIGTERM);
	assert_int_equal(end(), 0);
	begin((struct torc_config) { .idle_ms = 0 }, HANDLED);
	fd = ask();
	tell(SIGHUP);
	assert_int_equal(hear(), OWN_HANDLER);
	assert_false(is_refused());
	expect_answer(fd);
	close(fd);
	tell(SIGTERM);
	assert_int_equal(end(), 0);
}

/* Service managers send both. */
static void
a_hangup_and_a_term_are_one_drain(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		int fd;

		begin((struct torc_config) { .idle_ms = 0 }, BY_DEFAULT);
		fd = ask();
		tell(first == 0 ? SIGHUP : SIGTERM);
		await_drain();
		tell(first == 0 ? SIGTERM : SIGHUP);
		pause_ms(100);
		expect_answer(fd);
		close(fd);
		assert_int_equal(end(), 0);
	}
}

static void
a_term_after_them_stops_at_once(void **state)
{
	char byte;
	int fd;

	(void)state;
	begin((struct torc_config) { .idle_ms = 0 }, BY_DEFAULT);
	fd = ask();
	tell(SIGHUP);
	await_drain();
	tell(SIGTERM);
	pause_ms(100);
	tell(SIGTERM);
	/* No handler is let go. */
	assert_false(client_read(fd, &byte, 1));
	close(fd);
	assert_int_equal(end(), 0);
}

/* ---- In `start` ---- */

static void
a_term_while_start_runs_ends_it_at_once(void **state)
{
	/* What it makes of that its wait was cancelled, and the status. */
	static int results[] = { -ECANCELED, 0, -EIO };
	const int status[] = { 0, 0, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		begin((struct torc_config) { .start = start_for_ever,
		    .arg = &results[i], .drain_ms = 120000 }, BY_DEFAULT);
		assert_int_equal(hear(), BEGUN);
		tell(SIGTERM);
		assert_int_equal(end(), status[i]);
	}
}

static void
a_server_that_was_told_to_end_is_not_said_to_be_ready(void **state)
{
	static int success;

	(void)state;
	begin((struct torc_config) { .start = start_for_ever,
	    .arg = &success }, BY_DEFAULT);
	assert_int_equal(hear(), BEGUN);
	tell(SIGTERM);
	assert_int_equal(hear(), '\0');
	assert_int_equal(end(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hangup_drains_by_default),
		cmocka_unit_test(
		    a_hangup_calls_reload_each_time_and_nothing_else),
		cmocka_unit_test(
		    a_program_that_ignores_or_handles_hangups_keeps_them),
		cmocka_unit_test(a_hangup_and_a_term_are_one_drain),
		cmocka_unit_test(a_term_after_them_stops_at_once),
		cmocka_unit_test(a_term_while_start_runs_ends_it_at_once),
		cmocka_unit_test(
		    a_server_that_was_told_to_end_is_not_said_to_be_ready),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
