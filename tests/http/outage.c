/* SPDX-License-Identifier: MIT */
/*
 * outage.c - HTTP before a backend that fails in four ways.
 */
#include "tests/http/outage.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/http/torc_http.h"
#include "sys/sys.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define ASK_MS 300u		/* the deadline of each question */
#define SLACK_MS 8000u		/* of a loaded machine */
#define AWAY_MS 1000u		/* measured, of each outage */
#define SETTLE_MS 300u		/* before: answers that were on their way */
#define BACK_MS 1000u		/* in which it has to be found again */
#define ROUNDS 3u		/* of which one has to be in time */
#define CONNECTS_A_SECOND 50u
#define ASKERS 8u
#define KEPT 4			/* blocks: slabs that are for all, of which a
				 * busier moment needs more */
#define PLAIN 1u		/* clients of the route without a backend */
#define PLAIN_MORE 20u		/* of its answers, in each outage */

/* ---- What is counted ---- */

static atomic_uint connects;	/* attempts, of the server alone */
static atomic_long blocks;	/* of memory that are not free */

int
__wrap_torc_sys_socket(int family, int type, int protocol)
{
	atomic_fetch_add(&connects, 1);
	return __real_torc_sys_socket(family, type, protocol);
}

static void *
count_block(void *memory)
{
	if (memory != NULL)
		atomic_fetch_add(&blocks, 1);
	return memory;
}

void *
__wrap_malloc(size_t size)
{
	return count_block(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return count_block(__real_calloc(count, size));
}

void *
__wrap_realloc(void *memory, size_t size)
{
	return memory == NULL ? count_block(__real_realloc(NULL, size)) :
	    __real_realloc(memory, size);
}

char *
__wrap_strdup(const char *text)
{
	return count_block(__real_strdup(text));
}

void
__wrap_free(void *memory)
{
	if (memory != NULL)
		atomic_fetch_sub(&blocks, 1);
	__real_free(memory);
}

/* ---- The server ---- */

static const struct outage_backend *backend;

static unsigned
status_of(const struct torc_http *http)
{
	const struct torc_slice target = http->request.target;
	int rc;

	if (target.size == 6 && memcmp(target.data, "/plain", 6) == 0)
		return 200;
	rc = backend->ask(torc_after_ms(ASK_MS));
	return rc == 0 ? 200 : rc == -EILSEQ ? 500 : 503;
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0)
		torc_http_reply(&http, status_of(&http), NULL, 0, NULL, 0,
		    TORC_NEVER);
	return torc_http_result(&http);
}

static int
open_backend(void *arg)
{
	(void)arg;
	return backend->open();
}

static int
close_backend(void *arg)
{
	(void)arg;
	backend->close();
	return 0;
}

/* ---- Its clients ---- */

struct load {
	struct server server;
	pthread_t threads[ASKERS + PLAIN];
	atomic_bool over;
	atomic_uint plain;	/* answers of the route without a backend */
	atomic_uint good;	/* answers of the other one: 200 ... */
	atomic_uint refused;	/* ... and 503 */
	atomic_uint wrong;	/* anything else, on either */
	atomic_uint latest_ms;	/* the longest that one took */
};

/* The status of the answer, which has no body; 0: there is none. */
static unsigned
get(int fd, const char *target)
{
	char text[512] = "";
	size_t size = 0;
	int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n"
	    "Host: x\r\n\r\n", target);

	if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
		return 0;
	memset(text, 0, sizeof(text));
	while (strstr(text, "\r\n\r\n") == NULL && size < sizeof(text) - 1) {
		ssize_t got = read(fd, text + size, sizeof(text) - 1 - size);

		if (got <= 0)
			return 0;
		size += (size_t)got;
	}
	return strncmp(text, "HTTP/1.1 ", 9) == 0 ?
	    (unsigned)strtoul(text + 9, NULL, 10) : 0;
}

static unsigned
get_in_time(struct load *load, int fd, const char *target)
{
	const uint64_t begin = now_ms();
	const unsigned status = get(fd, target);
	const unsigned ms = (unsigned)(now_ms() - begin);
	unsigned latest = atomic_load(&load->latest_ms);

	while (ms > latest && !atomic_compare_exchange_weak(&load->latest_ms,
	    &latest, ms))
		continue;
	return status;
}

static void *
ask_on(void *arg)
{
	struct load *load = arg;
	int fd = client_open(load->server.port);

	while (!atomic_load(&load->over)) {
		unsigned status = get_in_time(load, fd, "/ask");

		atomic_fetch_add(status == 200 ? &load->good :
		    status == 503 ? &load->refused : &load->wrong, 1);
		pause_ms(status == 200 ? 2 : 5);
	}
	close(fd);
	return NULL;
}

static void *
ask_plainly(void *arg)
{
	struct load *load = arg;
	int fd = client_open(load->server.port);

	while (!atomic_load(&load->over)) {
		atomic_fetch_add(get_in_time(load, fd, "/plain") == 200 ?
		    &load->plain : &load->wrong, 1);
		pause_ms(5);
	}
	close(fd);
	return NULL;
}

static void
load_begin(struct load *load)
{
	atomic_store(&load->over, false);
	for (unsigned i = 0; i < ASKERS + PLAIN; i++)
		assert_int_equal(pthread_create(&load->threads[i], NULL,
		    i < ASKERS ? ask_on : ask_plainly, load), 0);
}

static void
load_end(struct load *load)
{
	atomic_store(&load->over, true);
	for (unsigned i = 0; i < ASKERS + PLAIN; i++)
		pthread_join(load->threads[i], NULL);
}

static void
await_more(const atomic_uint *count, unsigned more)
{
	const unsigned before = atomic_load(count);
	const uint64_t end = now_ms() + 30000;

	while (atomic_load(count) - before < more) {
		assert_true(now_ms() < end);
		pause_ms(2);
	}
}

/* ---- What is left behind ---- */

struct rest {
	unsigned fds;
	unsigned connections;
	long blocks;
};

static struct rest
look(struct load *load)
{
	/* In this order: a look takes memory, and gives it back. */
	const unsigned connections = server_connections(&load->server);
	const unsigned fds = count_fds();

	return (struct rest) { fds, connections, atomic_load(&blocks) };
}

static bool
is_no_more(struct rest now, struct rest before)
{
	return now.fds <= before.fds &&
	    now.connections <= before.connections &&
	    now.blocks <= before.blocks + KEPT;
}

/* What is closed on other fibers and threads takes a moment. */
static void
expect_no_more(struct load *load, struct rest before)
{
	const uint64_t end = now_ms() + 20000;
	struct rest now = look(load);

	while (!is_no_more(now, before) && now_ms() < end) {
		pause_ms(50);
		now = look(load);
	}
	print_message("%u descriptors, %u connections, %ld blocks; before: "
	    "%u, %u, %ld\n", now.fds, now.connections, now.blocks, before.fds,
	    before.connections, before.blocks);
	assert_true(is_no_more(now, before));
}

/* ---- Outages ---- */

/* The route without a backend goes on, and connects are few. */
static void
see_it_through(struct load *load, const char *outage,
    void (*meanwhile)(uint64_t end))
{
	const unsigned plain = atomic_load(&load->plain);
	const unsigned before = atomic_load(&connects);
	const uint64_t begin = now_ms();
	uint64_t took;
	unsigned made;

	meanwhile(begin + AWAY_MS);
	await_more(&load->plain, PLAIN_MORE);
	made = atomic_load(&connects) - before;
	took = now_ms() - begin;
	print_message("%s: %u connects in %u ms, %u plain answers\n", outage,
	    made, (unsigned)took, atomic_load(&load->plain) - plain);
	assert_true(made * 1000ull < CONNECTS_A_SECOND * took);
}

static void
wait_until(uint64_t end)
{
	while (now_ms() < end)
		pause_ms(10);
}

/* Nothing but 503. */
static void
see_it_away(struct load *load, const char *outage)
{
	unsigned good;

	pause_ms(SETTLE_MS);
	good = atomic_load(&load->good);
	see_it_through(load, outage, wait_until);
	await_more(&load->refused, ASKERS);
	assert_int_equal(atomic_load(&load->good), good);
}

/* Most of its answers are late. */
static void
crawl(uint64_t end)
{
	while (now_ms() < end) {
		backend->signal(SIGSTOP);
		pause_ms(ASK_MS + 50);
		backend->signal(SIGCONT);
		pause_ms(20);
	}
}

static void
kill_it(struct load *load)
{
	backend->kill();
	see_it_away(load, "killed");
	backend->start();
}

static void
stop_it(struct load *load)
{
	backend->signal(SIGSTOP);
	see_it_away(load, "stopped");
	backend->signal(SIGCONT);
}

static void
slow_it_down(struct load *load)
{
	see_it_through(load, "slow", crawl);
}

static void
restart_it(struct load *load)
{
	(void)load;
	backend->end();
	backend->start();
}

/* By a client that asks each 20 ms: how long until the first 200. */
static unsigned
time_return(struct load *load)
{
	const uint64_t begin = now_ms();
	int fd = client_open(load->server.port);

	while (get(fd, "/ask") != 200) {
		assert_true(now_ms() - begin < 30000);
		pause_ms(20);
	}
	close(fd);
	return (unsigned)(now_ms() - begin);
}

static void
expect_return(struct load *load, const char *outage,
    void (*cause)(struct load *load))
{
	unsigned best = UINT32_MAX;

	for (unsigned i = 0; i < ROUNDS && best >= BACK_MS; i++) {
		unsigned ms;

		cause(load);
		ms = time_return(load);
		print_message("%s: back after %u ms\n", outage, ms);
		best = ms < best ? ms : best;
		await_more(&load->good, 100);
	}
	assert_true(best < BACK_MS);
}

static void
suffer(struct load *load)
{
	load_begin(load);
	await_more(&load->good, 100);
	expect_return(load, "killed", kill_it);
	expect_return(load, "stopped", stop_it);
	expect_return(load, "slow", slow_it_down);
	expect_return(load, "restarted", restart_it);
	load_end(load);
	assert_int_equal(atomic_load(&load->wrong), 0);
	print_message("%u good, %u refused, %u plain, none took more than "
	    "%u ms\n", atomic_load(&load->good), atomic_load(&load->refused),
	    atomic_load(&load->plain), atomic_load(&load->latest_ms));
	assert_true(atomic_load(&load->latest_ms) < ASK_MS + SLACK_MS);
}

/* Nothing has happened to it yet. */
static void
use(struct load *load)
{
	assert_int_equal(server_fiber(&load->server, open_backend, NULL), 0);
	load_begin(load);
	await_more(&load->good, 100);
	load_end(load);
	assert_true(server_await_connections(&load->server, 1));
}

static void
leave(struct load *load)
{
	assert_int_equal(server_fiber(&load->server, close_backend, NULL), 0);
	assert_true(server_await_connections(&load->server, 0));
}

void
outage_is_survived(const struct outage_backend *with)
{
	static struct load load;
	struct rest unused, used;

	backend = with;
	memset(&load, 0, sizeof(load));
	server_start(&load.server, NULL, serve, NULL);
	/* What a reactor keeps once it was needed is no leak. */
	use(&load);
	leave(&load);
	unused = look(&load);
	use(&load);
	used = look(&load);
	suffer(&load);
	expect_no_more(&load, used);
	leave(&load);
	expect_no_more(&load, unused);
	assert_int_equal(server_stop(&load.server), 0);
}
