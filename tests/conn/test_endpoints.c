/* SPDX-License-Identifier: MIT */
/*
 * test_endpoints.c - the listeners of torc_serve: the short form and the long
 * one, what is refused, and programs that listen nowhere.
 */
#include "tests/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/torc.h"

#define REACTORS 2u
#define PORTS 4u
#define LATE torc_after_ms(10000)

/* ---- A server on a thread ---- */

static struct {
	struct torc_config config;
	struct torc_error error;
	pthread_t thread;
	int result;
	sem_t news;		/* it is ready, or over */
	atomic_bool ready;
	atomic_uint served;	/* by handlers of the short form */
	atomic_uint rounds;	/* of fibers in the background */
	unsigned ports[PORTS];	/* by listener, of the first reactor */
	size_t endpoint_size;	/* as the program was compiled */
} site = { .endpoint_size = sizeof(struct torc_endpoint) };

static void
note_ready(void *arg)
{
	(void)arg;
	atomic_store(&site.ready, true);
	sem_post(&site.news);
}

static int
note_ports(struct torc_reactor *reactor, void *arg)
{
	unsigned listeners = site.config.endpoint_count;

	(void)arg;
	for (unsigned i = 0; site.config.listen != NULL &&
	    site.config.listen[i] != NULL; i++)
		listeners++;
	for (unsigned i = 0; i < listeners && torc_reactor_index(reactor) == 0;
	    i++)
		site.ports[i] = torc_listen_port(reactor, (int)i);
	return 0;
}

static void *
run(void *arg)
{
	(void)arg;
	site.result = torc_serve_sized(&site.config, sizeof(site.config),
	    site.endpoint_size, note_ready, &site.error);
	sem_post(&site.news);
	return NULL;
}

/* Serve, and wait until it is ready or over. Whether it is ready. */
static bool
site_run(const struct torc_config *config)
{
	site.config = *config;
	site.config.reactors = REACTORS;
	site.config.unpinned = true;
	atomic_store(&site.ready, false);
	atomic_store(&site.served, 0);
	atomic_store(&site.rounds, 0);
	sem_init(&site.news, 0, 0);
	assert_int_equal(pthread_create(&site.thread, NULL, run, NULL), 0);
	while (sem_wait(&site.news) < 0)
		continue;
	return atomic_load(&site.ready);
}

static int
site_join(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(pthread_timedjoin_np(site.thread, NULL, &until), 0);
	sem_destroy(&site.news);
	return site.result;
}

static int
site_end(void)
{
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	return site_join();
}

/* What a server says by itself to who connects. */
static void
assert_greeted(unsigned port, const char *text)
{
	char got[64];
	const int fd = client_open(port);
	const long size = client_read_all(fd, got, sizeof(got) - 1);

	assert_true(size >= 0);
	got[size] = '\0';
	assert_string_equal(got, text);
	close(fd);
}

/* ---- Handlers ---- */

static int
greet(struct torc_conn *conn, void *text)
{
	return torc_conn_write(conn, text, strlen(text), LATE) < 0 ? -1 :
	    TORC_CLOSE;
}

/* Of the short form: its argument is that of the configuration. */
static int
count(struct torc_conn *conn, void *arg)
{
	char text[16];

	if (arg != &site)
		return -1;
	atomic_fetch_add(&site.served, 1);
	snprintf(text, sizeof(text), "short %d", torc_conn_listener(conn));
	return greet(conn, text);
}

/* ---- Claims ---- */

static void
each_endpoint_has_its_own_handler_and_argument(void **state)
{
	const struct torc_endpoint endpoints[] = {
		{ .address = "127.0.0.1:0", .handler = greet, .arg = "one" },
		{ .address = "127.0.0.1:0", .handler = greet, .arg = "two" },
	};
	const struct torc_config config = {
		.listen = (const char *const[]) { "127.0.0.1:0",
		    "127.0.0.1:0", NULL },
		.handler = count,
		.arg = &site,
		.endpoints = endpoints,
		.endpoint_count = 2,
		.start = note_ports,
	};

	(void)state;
	assert_true(site_run(&config));
	/* As often as it takes to meet all reactors, likely. */
	for (unsigned i = 0; i < 8; i++) {
		assert_greeted(site.ports[0], "short 0");
		assert_greeted(site.ports[1], "short 1");
		assert_greeted(site.ports[2], "one");
		assert_greeted(site.ports[3], "two");
	}
	assert_int_equal(atomic_load(&site.served), 16);
	assert_int_equal(site_end(), 0);
}

static void
endpoints_alone_are_enough(void **state)
{
	const struct torc_endpoint endpoint = {
		.address = "127.0.0.1:0", .handler = greet, .arg = "alone",
	};
	const struct torc_config config = {
		.endpoints = &endpoint,
		.endpoint_count = 1,
		.start = note_ports,
	};

	(void)state;
	assert_true(site_run(&config));
	assert_greeted(site.ports[0], "alone");
	assert_int_equal(site_end(), 0);
}

/* As a program would have it that knows more fields: all but one are zero. */
struct later_endpoint {
	struct torc_endpoint known;
	void *later[3];
};

static void
endpoints_of_a_later_version_are_as_far_apart_as_it_says(void **state)
{
	struct later_endpoint endpoints[] = {
		{ .known = { .address = "127.0.0.1:0", .handler = greet,
		    .arg = "first" } },
		{ .known = { .address = "127.0.0.1:0", .handler = greet,
		    .arg = "second" } },
	};
	const struct torc_config config = {
		.endpoints = &endpoints[0].known,
		.endpoint_count = 2,
		.start = note_ports,
	};

	(void)state;
	site.endpoint_size = sizeof(endpoints[0]);
	assert_true(site_run(&config));
	assert_greeted(site.ports[0], "first");
	assert_greeted(site.ports[1], "second");
	assert_int_equal(site_end(), 0);
	endpoints[1].later[2] = &site;
	assert_false(site_run(&config));
	assert_int_equal(site_join(), -EINVAL);
	site.endpoint_size = sizeof(struct torc_endpoint);
	assert_non_null(strstr(site.error.text, "endpoints[1] has a field "
	    "set that version 0."));
}

static void
what_makes_no_sense_is_refused_with_the_names_of_its_fields(void **state)
{
	static const struct torc_endpoint nowhere = { .handler = greet };
	static const struct torc_endpoint nobody = { .address = "[::]:0" };
	static const struct torc_endpoint wrong = {
		.address = "nowhere", .handler = greet,
	};
	static const char *const none[] = { NULL };
	static const char *const one[] = { "127.0.0.1:0", NULL };
	const struct {
		struct torc_config config;
		const char *why;
	} cases[] = {
		{ { .reactors = 1 }, "there is nothing to do: set listen and "
		    "handler, endpoints, or start" },
		{ { .listen = none }, "there is nothing to do: set listen and "
		    "handler, endpoints, or start" },
		{ { .listen = one }, "listen has 127.0.0.1:0, but handler is "
		    "NULL: set handler, or use endpoints" },
		{ { .handler = count, .start = note_ports }, "handler is set, "
		    "but listen has no address: nothing would call it" },
		{ { .handler = count, .listen = none }, "handler is set, "
		    "but listen has no address: nothing would call it" },
		{ { .endpoint_count = 2 },
		    "endpoint_count = 2, but endpoints is NULL" },
		{ { .endpoints = &wrong },
		    "endpoints is set, but endpoint_count = 0: set it to the "
		    "number of endpoints" },
		{ { .endpoints = &nowhere, .endpoint_count = 1 },
		    "endpoints[0].address is NULL" },
		{ { .endpoints = &nobody, .endpoint_count = 1 },
		    "endpoints[0].handler is NULL: nothing would answer at "
		    "[::]:0" },
		{ { .endpoints = &wrong, .endpoint_count = 1 },
		    "cannot listen on nowhere: Invalid argument" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct torc_error error;

		assert_int_equal(torc_serve(&cases[i].config, NULL, &error),
		    -EINVAL);
		assert_memory_equal(error.text, cases[i].why,
		    strlen(cases[i].why));
	}
}

/* ---- Programs that only work ---- */

static int
work(void *arg)
{
	(void)arg;
	while (torc_sleep(torc_after_ms(1)) == 0)
		atomic_fetch_add(&site.rounds, 1);
	return 0;
}

static int
start_work(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return torc_fiber_spawn(NULL, work, NULL);
}

static void
a_program_that_only_works_runs_until_a_signal(void **state)
{
	const struct torc_config config = { .start = start_work };

	(void)state;
	assert_true(site_run(&config));
	while (atomic_load(&site.rounds) < 20)
		usleep(1000);
	assert_int_equal(site_end(), 0);
}

/* The second reactor has had enough, and the first one works on. */
static int
work_and_drain(void *arg)
{
	struct torc_reactor *self = torc_reactor_self();

	(void)arg;
	while (torc_sleep(torc_after_ms(1)) == 0) {
		if (atomic_fetch_add(&site.rounds, 1) > 20 &&
		    torc_reactor_index(self) == 1)
			torc_reactor_drain(self, torc_after_ms(1000));
	}
	return 0;
}

static int
start_some_work(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return torc_fiber_spawn(NULL, work_and_drain, NULL);
}

static void
or_until_it_has_drained_one_of_its_reactors(void **state)
{
	const struct torc_config config = { .start = start_some_work };
	sigset_t pending;

	(void)state;
	assert_true(site_run(&config));
	assert_int_equal(site_join(), 0);
	assert_true(atomic_load(&site.rounds) > 20);
	/* It needed no signal of the process's, and left none. */
	sigpending(&pending);
	assert_int_equal(sigismember(&pending, SIGTERM), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_endpoint_has_its_own_handler_and_argument),
		cmocka_unit_test(endpoints_alone_are_enough),
		cmocka_unit_test(
		    endpoints_of_a_later_version_are_as_far_apart_as_it_says),
		cmocka_unit_test(
		    what_makes_no_sense_is_refused_with_the_names_of_its_fields),
		cmocka_unit_test(a_program_that_only_works_runs_until_a_signal),
		cmocka_unit_test(or_until_it_has_drained_one_of_its_reactors),
	};
	sigset_t signals;

	/* For torc_serve() alone, in whichever thread it runs. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}
