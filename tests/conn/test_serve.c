/* SPDX-License-Identifier: MIT */
/*
 * test_serve.c - a whole server: several reactors and listeners from the
 * first port to the last connection, and each kernel feature forbidden in
 * turn.
 *
 * wrap: torc_sys_setup torc_sys_register torc_sys_enter torc_sys_socketpair
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define KIB 1024u
#define LISTENERS 3u
#define SETUP (-2)	/* beside the opcodes of io_uring_register() */

/* ---- What the kernel is made to refuse ---- */

static struct {
	uint32_t setup_flags;
	uint32_t features;	/* that it does not say it has */
	int opcode;		/* of io_uring_register(); -1: none */
	bool incremental;
	bool pairs;		/* of sockets: nothing can be tried out */
	int later_opcode;	/* once it succeeded; -1: none */
	int error;		/* with which */
} forbidden = { .opcode = -1, .later_opcode = -1 };

/* What happened. */
static struct {
	atomic_uint refusals;
	atomic_uint registered_enters;
	atomic_uint min_waits;
	bool later;		/* what is forbidden later has succeeded */
} seen;

/* The reactor whose system calls fail, and how; -1: none. */
static atomic_int broken_reactor = -1;

static int
refuse(int error)
{
	atomic_fetch_add(&seen.refusals, 1);
	return error;
}

/* Whether the first one, that of the first reactor, is over. */
static bool
is_too_late(int opcode)
{
	const bool late = seen.later;

	if (opcode != forbidden.later_opcode)
		return false;
	seen.later = true;
	return late;
}

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	int rc;

	if (params->flags & forbidden.setup_flags)
		return refuse(-EINVAL);
	if (is_too_late(SETUP))
		return refuse(forbidden.error);
	rc = __real_torc_sys_setup(entries, params);
	if (rc >= 0 && params->features & forbidden.features) {
		refuse(0);
		params->features &= ~forbidden.features;
	}
	return rc;
}

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	const struct torc_uapi_buf_reg *reg = arg;

	if ((int)opcode == forbidden.opcode)
		return refuse(-EINVAL);
	if (is_too_late((int)opcode))
		return refuse(forbidden.error);
	if (opcode == IORING_REGISTER_PBUF_RING && forbidden.incremental &&
	    reg->flags & IOU_PBUF_RING_INC)
		return refuse(-EINVAL);
	return __real_torc_sys_register(fd, opcode, arg, count);
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	const struct torc_uapi_getevents *events = arg;

	if (torc_current != NULL &&
	    (int)torc_current->index == atomic_load(&broken_reactor))
		return -EIO;
	if (flags & IORING_ENTER_REGISTERED_RING)
		atomic_fetch_add(&seen.registered_enters, 1);
	if (flags & IORING_ENTER_EXT_ARG && events->min_wait_usec > 0)
		atomic_fetch_add(&seen.min_waits, 1);
	return __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
}

int
__wrap_torc_sys_socketpair(int fds[2])
{
	return forbidden.pairs ? refuse(-EMFILE) :
	    __real_torc_sys_socketpair(fds);
}

/* ---- A server on a thread ---- */

struct site {
	struct torc_config config;
	const char *listen[LISTENERS + 1];
	char path[64];			/* of the local socket */
	struct torc_error error;
	pthread_t thread;
	int result;
	bool signalled;			/* a signal was left behind */
	sem_t news;			/* it is ready, or over */
	atomic_bool over;
	atomic_uint readies;
	atomic_uint starts;
	atomic_uint stops;
	int start_result;		/* of the reactor with `start_index` */
	unsigned start_index;
	unsigned ports[2][LISTENERS];	/* by reactor */
	cpu_set_t cpus[2];
	atomic_uint served[2][LISTENERS];	/* connections, by reactor */
	atomic_uint wrong;		/* connections of a wrong listener */
	int gate[2];			/* for handlers that wait */
	atomic_uint waiting;
};

/* Those that ran last; and lost ones, which are never freed, but no leak. */
static struct torc_reactor *kept[2];
static struct torc_reactor *volatile lost[2][2];
void __lsan_ignore_object(const void *object) __attribute__((weak));

static void
note_ready(void *arg)
{
	struct site *site = arg;

	atomic_fetch_add(&site->readies, 1);
	sem_post(&site->news);
}

/* The same, for a parent that reads the port from the gate. */
static void
note_ready_at_gate(void *arg)
{
	struct site *site = arg;
	const unsigned port = site->ports[0][0];

	if (write(site->gate[1], &port, sizeof(port)) < 0)
		_exit(4);
}

static int
note_start(struct torc_reactor *reactor, void *arg)
{
	const unsigned index = torc_reactor_index(reactor);
	struct site *site = arg;

	atomic_fetch_add(&site->starts, 1);
	kept[index] = reactor;
	for (int i = 0; site->listen[i] != NULL; i++) {
		if (strncmp(site->listen[i], "unix:", 5) != 0)
			site->ports[index][i] = torc_listen_port(reactor, i);
	}
	sched_getaffinity(0, sizeof(cpu_set_t), &site->cpus[index]);
	return index == site->start_index ? site->start_result : 0;
}

static void
note_stop(struct torc_reactor *reactor, void *arg)
{
	struct site *site = arg;

	(void)reactor;
	atomic_fetch_add(&site->stops, 1);
}

/* 'w' waits at the gate first; everything else is sent back. */
static int
site_handler(struct torc_conn *conn, void *arg)
{
	struct site *site = arg;
	const int listener = torc_conn_listener(conn);
	struct torc_slice in;

	if (listener < 0 || listener >= (int)LISTENERS) {
		atomic_fetch_add(&site->wrong, 1);
		return -1;
	}
	atomic_fetch_add(&site->served[torc_reactor_index(
	    torc_reactor_self())][listener], 1);
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		if (in.data[0] == 'w') {
			atomic_fetch_add(&site->waiting, 1);
			if (torc_fd_poll(site->gate[0], POLLIN,
			    TORC_NEVER) < 0)
				return -1;
		}
		if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

static void *
run_site(void *arg)
{
	struct site *site = arg;
	sigset_t pending;

	site->result = torc_serve(&site->config, note_ready, &site->error);
	/* Of the process, or of this thread. */
	sigpending(&pending);
	site->signalled = sigismember(&pending, SIGTERM) == 1;
	atomic_store(&site->over, true);
	sem_post(&site->news);
	return NULL;
}

/* A site with two reactors and `addresses`, ended by NULL. */
static struct site *
site_new(const char *const *addresses)
{
	struct site *site = calloc(1, sizeof(*site));

	assert_non_null(site);
	for (unsigned i = 0; addresses[i] != NULL; i++)
		site->listen[i] = addresses[i];
	site->config = (struct torc_config) {
		.listen = site->listen,
		.handler = site_handler,
		.arg = site,
		.start = note_start,
		.stop = note_stop,
		.reactors = 2,
		.unpinned = true,
	};
	assert_int_equal(pipe2(site->gate, O_CLOEXEC), 0);
	sem_init(&site->news, 0, 0);
	return site;
}

/* Run it, and wait until it is ready or over. Whether it is ready. */
static bool
site_run(struct site *site)
{
	assert_int_equal(pthread_create(&site->thread, NULL, run_site, site),
	    0);
	while (sem_wait(&site->news) < 0)
		continue;
	return atomic_load(&site->readies) == 1;
}

static void
signal_process(void)
{
	assert_int_equal(kill(getpid(), SIGTERM), 0);
}

/* Wait for its end: the result. */
static int
site_join(struct site *site)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(pthread_timedjoin_np(site->thread, NULL, &until), 0);
	assert_true(atomic_load(&site->over));
	return site->result;
}

static void
site_free(struct site *site)
{
	close(site->gate[0]);
	close(site->gate[1]);
	sem_destroy(&site->news);
	free(site);
}

static void
site_end(struct site *site)
{
	signal_process();
	assert_int_equal(site_join(site), 0);
	site_free(site);
}

static bool
await(atomic_uint *value, unsigned wanted)
{
	const uint64_t end = now_ms() + 5000;

	while (atomic_load(value) != wanted && now_ms() < end)
		pause_ms(2);
	return atomic_load(value) == wanted;
}

static const char *const one_address[] = { "127.0.0.1:0", NULL };

/* ---- Clients ---- */

static int
open_client(const struct sockaddr *address, socklen_t size)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, address, size), 0);
	return fd;
}

static int
open_v6(unsigned port)
{
	const struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};

	return open_client((const struct sockaddr *)&address,
	    sizeof(address));
}

static int
open_local(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path) + 1);
	return open_client((const struct sockaddr *)&address,
	    sizeof(address));
}

/* Nobody listens on the port. */
static bool
is_refused(unsigned port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused;

	assert_true(fd >= 0);
	refused = connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static bool
await_refusal(unsigned port)
{
	const uint64_t end = now_ms() + 5000;

	while (!is_refused(port) && now_ms() < end)
		pause_ms(5);
	return is_refused(port);
}

/* ---- A life ---- */

static void
name_path(char *path, size_t size)
{
	static unsigned count;

	snprintf(path, size, "unix:/tmp/torc-test-%d-%u", (int)getpid(),
	    count++);
}

/* By what reactors the connections of a listener were served. */
static void
assert_spread(struct site *site, unsigned listener, unsigned count)
{
	const unsigned first = atomic_load(&site->served[0][listener]);
	const unsigned second = atomic_load(&site->served[1][listener]);

	assert_int_equal(first + second, count);
	assert_true(first > 0 && second > 0);
}

#define CLIENTS 40u

/* Each listener, many times; all of them stay open. */
static void
use_all_listeners(struct site *site, int fds[LISTENERS][CLIENTS])
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		fds[0][i] = client_open(site->ports[0][0]);
		fds[1][i] = open_v6(site->ports[0][2]);
		fds[2][i] = open_local(site->path + 5);
		for (unsigned j = 0; j < LISTENERS; j++)
			client_echo(fds[j][i], "hello");
	}
	assert_spread(site, 0, CLIENTS);
	assert_spread(site, 1, CLIENTS);
	assert_spread(site, 2, CLIENTS);
	/* A local socket is dealt out, one after the other. */
	assert_int_equal(atomic_load(&site->served[0][1]), CLIENTS / 2);
	for (unsigned i = 0; i < CLIENTS; i++) {
		for (unsigned j = 0; j < LISTENERS; j++)
			close(fds[j][i]);
	}
}

/*
 * Two reactors and three listeners; with port 0 all reactors have the same
 * port, and the index of a listener is its place in `listen` on each of them
 * (A19, A20). SIGTERM ends it with 0 and leaves nothing (A09).
 */
static void
two_reactors_serve_several_listeners_until_sigterm(void **state)
{
	const char *addresses[] = { "127.0.0.1:0", "unix:", "[::1]:0", NULL };
	const unsigned files = count_fds();
	int fds[LISTENERS][CLIENTS];
	struct site *site;
	unsigned port;

	(void)state;
	site = site_new(addresses);
	name_path(site->path, sizeof(site->path));
	site->listen[1] = site->path;
	assert_true(site_run(site));
	assert_int_equal(atomic_load(&site->starts), 2);
	port = site->ports[0][0];
	assert_true(port > 0 && site->ports[0][2] > 0);
	assert_int_equal(site->ports[1][0], port);
	use_all_listeners(site, fds);
	assert_int_equal(atomic_load(&site->wrong), 0);
	signal_process();
	assert_int_equal(site_join(site), 0);
	assert_string_equal(site->error.text, "");
	assert_int_equal(atomic_load(&site->readies), 1);
	assert_int_equal(atomic_load(&site->stops), 2);
	assert_true(is_refused(port));
	assert_int_equal(access(site->path + 5, F_OK), -1);
	site_free(site);
	assert_int_equal(count_fds(), files);
}

/* A15: what was begun is finished, although the signal has come. */
static void
a_drain_lets_handlers_finish_and_accepts_no_more(void **state)
{
	struct site *site = site_new(one_address);
	unsigned port;
	char back[1];
	int fd, idle;

	(void)state;
	site->config.drain_ms = 60000;
	assert_true(site_run(site));
	port = site->ports[0][0];
	fd = client_open(port);
	idle = client_open(port);
	client_echo(idle, "met");
	client_send(fd, "w", 1);
	assert_true(await(&site->waiting, 1));
	signal_process();
	assert_true(await_refusal(port));
	assert_true(client_sees_fin(idle));
	assert_false(atomic_load(&site->over));
	assert_int_equal(write(site->gate[1], "", 1), 1);
	assert_true(client_read(fd, back, 1));
	assert_true(client_sees_fin(fd));
	close(fd);
	close(idle);
	assert_int_equal(site_join(site), 0);
	site_free(site);
}

/* A handler that is stuck does not outlive the second signal. */
static void
a_second_signal_stops_at_once(void **state)
{
	struct site *site = site_new(one_address);
	unsigned port;
	int fd;

	(void)state;
	site->config.drain_ms = TORC_NO_LIMIT;
	assert_true(site_run(site));
	port = site->ports[0][0];
	fd = client_open(port);
	client_send(fd, "w", 1);
	assert_true(await(&site->waiting, 1));
	signal_process();
	assert_true(await_refusal(port));
	assert_false(atomic_load(&site->over));
	signal_process();
	assert_int_equal(site_join(site), 0);
	assert_int_equal(atomic_load(&site->stops), 2);
	/* No signal is left behind for the program. */
	assert_false(site->signalled);
	close(fd);
	site_free(site);
}

/* The same with a limit: the handler is cancelled when it has passed. */
static void
a_drain_ends_at_its_deadline(void **state)
{
	struct site *site = site_new(one_address);
	uint64_t start;
	int fd;

	(void)state;
	site->config.drain_ms = 200;
	assert_true(site_run(site));
	fd = client_open(site->ports[0][0]);
	client_send(fd, "w", 1);
	assert_true(await(&site->waiting, 1));
	start = now_ms();
	signal_process();
	assert_int_equal(site_join(site), 0);
	assert_true(now_ms() - start >= 199);
	close(fd);
	site_free(site);
}

/* A server can follow another one on the same port at once. */
static void
a_server_starts_on_the_port_of_one_that_has_just_ended(void **state)
{
	char address[32] = "127.0.0.1:0";
	const char *const addresses[] = { address, NULL };
	int fds[10];

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		struct site *site = site_new(addresses);

		site->config.linger_ms = 20;
		if (!site_run(site))
			fail_msg("round %u: %s", round, site->error.text);
		if (round == 0)
			snprintf(address, sizeof(address), "127.0.0.1:%u",
			    site->ports[0][0]);
		/* It stays open: the port is not all free at the end. */
		fds[round] = client_open(site->ports[0][0]);
		client_echo(fds[round], "again");
		site_end(site);
	}
	for (unsigned round = 0; round < 10; round++)
		close(fds[round]);
}

/* A reactor alone leaves the limit as it is. */
static void
a_server_may_open_as_many_descriptors_as_the_hard_limit_allows(void **state)
{
	struct site *site = site_new(one_address);
	struct torc_reactor *reactor;
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	torc_reactor_destroy(reactor);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 100);
	assert_true(site_run(site));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, before.rlim_max);
	site_end(site);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Each reactor has a CPU of its own, unless it is told otherwise. */
static void
reactors_are_bound_to_cpus_unless_unpinned(void **state)
{
	cpu_set_t all;

	(void)state;
	sched_getaffinity(0, sizeof(all), &all);
	for (unsigned unpinned = 0; unpinned < 2; unpinned++) {
		struct site *site = site_new(one_address);

		site->config.unpinned = unpinned;
		assert_true(site_run(site));
		for (unsigned i = 0; i < 2; i++) {
			int cpu = torc_sys_allowed_cpu(i %
			    (unsigned)CPU_COUNT(&all));

			assert_int_equal(CPU_COUNT(&site->cpus[i]),
			    unpinned ? CPU_COUNT(&all) : 1);
			assert_true(CPU_ISSET((size_t)cpu, &site->cpus[i]));
		}
		site_end(site);
	}
}

/* A listener of somebody else. */
static int
take_port(char *address, size_t size)
{
	struct sockaddr_in taken = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(taken);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&taken, length), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&taken, &length),
	    0);
	snprintf(address, size, "127.0.0.1:%u", ntohs(taken.sin_port));
	return fd;
}

/* What failed, for which value, and what would fix it. */
static void
an_address_that_cannot_be_listened_on_is_named_with_a_fix(void **state)
{
	struct torc_error error;
	char taken[64];
	int fd = take_port(taken, sizeof(taken));
	const struct {
		const char *address;
		int error;
		const char *fix;
	} cases[] = {
		{ "nowhere", -EINVAL, ": write 127.0.0.1:8080, " },
		{ taken, -EADDRINUSE, ": another program listens there" },
		{ "[fe80::1%nowhere]:80", -ENODEV, ": there is no interface" },
		{ "unix:/nowhere/x", -ENOENT, ": No such file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const where[] = { cases[i].address, NULL };
		const struct torc_config config = {
			.listen = where,
			.handler = site_handler,
			.reactors = 1,
		};

		assert_int_equal(torc_serve(&config, NULL, &error),
		    cases[i].error);
		assert_int_equal(error.code, cases[i].error);
		assert_non_null(strstr(error.text, cases[i].address));
		assert_non_null(strstr(error.text, cases[i].fix));
	}
	close(fd);
}

/* The mask of the caller is put back, whatever it was. */
static void
the_signal_mask_is_restored(void **state)
{
	struct torc_config config = {
		.listen = (const char *const[]) { "nowhere", NULL },
		.handler = site_handler,
		.reactors = 1,
	};
	sigset_t term, mask;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	for (unsigned blocked = 0; blocked < 2; blocked++) {
		pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &term,
		    NULL);
		assert_true(torc_serve(&config, NULL, NULL) < 0);
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		assert_int_equal(sigismember(&mask, SIGTERM), blocked);
		assert_int_equal(sigismember(&mask, SIGINT), 0);
	}
}

/* After a whole life, too; SIGINT is as good as SIGTERM. */
static int
serve_in_child(int news)
{
	struct site *site = site_new(one_address);
	sigset_t both, mask;
	int rc;

	sigemptyset(&both);
	sigaddset(&both, SIGTERM);
	sigaddset(&both, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &both, NULL);
	/* Its `ready` writes to the gate: the parent's end of it. */
	close(site->gate[1]);
	site->gate[1] = news;
	rc = torc_serve(&site->config, note_ready_at_gate, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (rc != 0)
		return 1;
	if (sigismember(&mask, SIGTERM) || sigismember(&mask, SIGINT))
		return 2;
	return atomic_load(&site->stops) == 2 ? 0 : 3;
}

/* A program that does nothing but serve: two kinds of signals end it. */
static void
either_signal_ends_a_program_in_order(void **state)
{
	const int numbers[] = { SIGTERM, SIGINT };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int news[2], status;
		unsigned port = 0;
		pid_t child;
		int fd;

		assert_int_equal(pipe2(news, O_CLOEXEC), 0);
		fflush(stdout);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			_exit(serve_in_child(news[1]));
		close(news[1]);
		assert_int_equal(read(news[0], &port, sizeof(port)),
		    sizeof(port));
		fd = client_open(port);
		client_echo(fd, "hello");
		assert_int_equal(kill(child, numbers[i]), 0);
		assert_true(client_sees_fin(fd));
		close(fd);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		/* `ready` was called once: nothing else was written. */
		assert_int_equal(read(news[0], &port, sizeof(port)), 0);
		close(news[0]);
	}
}

/* ---- Failures ---- */

/* It does not become ready; the result, and `named` is in the text. */
static void
assert_fails(struct site *site, int result, const char *named)
{
	assert_false(site_run(site));
	assert_int_equal(site_join(site), result);
	assert_int_equal(atomic_load(&site->readies), 0);
	if (strstr(site->error.text, named) == NULL)
		fail_msg("no \"%s\" in \"%s\"", named, site->error.text);
	site_free(site);
}

static void
an_address_that_is_none_is_named(void **state)
{
	static const char *const bad[] = {
		"nowhere", "127.0.0.1", "127.0.0.1:65536", "unix:",
		"[::1:80", "", "unix:@",
	};
	const unsigned files = count_fds();

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const addresses[] = { "127.0.0.1:0", bad[i],
		    NULL };

		assert_fails(site_new(addresses), -EINVAL, bad[i]);
	}
	/* The listener that was open by then is closed again. */
	assert_int_equal(count_fds(), files);
}

static void
an_address_of_another_machine_is_named(void **state)
{
	const char *const addresses[] = { "192.0.2.1:8080", NULL };

	(void)state;
	assert_fails(site_new(addresses), -EADDRNOTAVAIL, addresses[0]);
}

/* Also one of a server that would share it with us (SO_REUSEPORT). */
static void
a_port_that_is_in_use_is_named(void **state)
{
	char address[32];
	const char *const addresses[] = { address, NULL };
	struct site *first = site_new(one_address);
	int fd;

	(void)state;
	assert_true(site_run(first));
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    first->ports[0][0]);
	assert_fails(site_new(addresses), -EADDRINUSE, address);
	fd = client_open(first->ports[0][0]);
	client_echo(fd, "still here");
	close(fd);
	site_end(first);
}

static void
a_field_out_of_its_range_is_named_with_its_value(void **state)
{
	struct site *site = site_new(one_address);

	(void)state;
	site->config.reactors = 1025;
	assert_fails(site, -EINVAL, "reactors = 1025");
	site = site_new(one_address);
	site->config.sq_entries = 1000;
	assert_fails(site, -EINVAL, "sq_entries = 1000");
	site = site_new(one_address);
	site->config.buffers = 64;
	site->config.buffers_start = 128;
	assert_fails(site, -EINVAL, "buffers_start = 128");
	/* The control. */
	site = site_new(one_address);
	site->config.sq_entries = 1024;
	site->config.buffers = 128;
	site->config.buffers_start = 128;
	assert_true(site_run(site));
	site_end(site);
}

static void
run_and_end(struct site *site)
{
	assert_true(site_run(site));
	site_end(site);
}

/* The first reactor has its ring and buffers; the second one not. */
static void
what_is_refused_to_a_later_reactor_is_explained_as_to_the_first(void **state)
{
	static const struct {
		int opcode;
		int error;
		const char *words;
	} cases[] = {
		{ SETUP, -EPERM, "io_uring_setup: EPERM: " },
		{ SETUP, -ENOMEM, "io_uring_setup: ENOMEM: " },
		{ IORING_REGISTER_PBUF_RING, -ENOMEM,
		    "io_uring_register: ENOMEM: " },
	};
	const unsigned files = count_fds();

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct site *site = site_new(one_address);
		const unsigned refusals = atomic_load(&seen.refusals);

		seen.later = false;
		forbidden.error = cases[i].error;
		forbidden.later_opcode = cases[i].opcode;
		assert_false(site_run(site));
		assert_int_equal(site_join(site), cases[i].error);
		forbidden.later_opcode = -1;
		assert_true(atomic_load(&seen.refusals) > refusals);
		/* The cause, the values, and the fix. */
		assert_ptr_equal(strstr(site->error.text, cases[i].words),
		    site->error.text);
		assert_non_null(strstr(site->error.text, " (Linux "));
		assert_non_null(strstr(site->error.text, "): "));
		site_free(site);
		assert_int_equal(count_fds(), files);
	}
	/* The control: the same, and nothing refused. */
	run_and_end(site_new(one_address));
}

/* Whichever reactor it is, nobody is served, and its result is ours. */
static void
a_start_that_fails_ends_all_with_its_result(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const unsigned files = count_fds();
		struct site *site = site_new(one_address);

		site->start_index = i;
		site->start_result = -EUCLEAN;
		assert_false(site_run(site));
		assert_int_equal(site_join(site), -EUCLEAN);
		assert_int_equal(atomic_load(&site->readies), 0);
		assert_true(strlen(site->error.text) > 0);
		assert_int_equal(atomic_load(&site->stops), 2);
		site_free(site);
		assert_int_equal(count_fds(), files);
	}
}

/*
 * Clients whose handlers wait for the gate, until each reactor has one. How
 * many.
 */
static unsigned
occupy_both(struct site *site, int fds[200])
{
	unsigned count = 0;

	do {
		assert_true(count < 200);
		fds[count] = client_open(site->ports[0][0]);
		client_send(fds[count++], "w", 1);
		assert_true(await(&site->waiting, count));
	} while (atomic_load(&site->served[0][0]) == 0 ||
	    atomic_load(&site->served[1][0]) == 0);
	return count;
}

/* LeakSanitizer does not look at the stacks of fibers. */
static void
ignore_fibers(const struct torc_reactor *reactor)
{
	struct torc_fiber_slot *slot = NULL;

	while (__lsan_ignore_object != NULL &&
	    (slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber != NULL)
			__lsan_ignore_object(slot->fiber->sanitizer);
	}
}

/* The system calls of one reactor fail; both have a handler that waits. */
static void
lose_a_reactor(int index, bool while_draining)
{
	struct site *site = site_new(one_address);
	unsigned count;
	int fds[200];

	site->config.drain_ms = TORC_NO_LIMIT;
	assert_true(site_run(site));
	count = occupy_both(site, fds);
	if (while_draining) {
		signal_process();
		assert_true(await_refusal(site->ports[0][0]));
	}
	lost[while_draining][index] = kept[index];
	atomic_store(&broken_reactor, index);
	/* It sleeps in a call that has not failed yet. */
	for (unsigned i = 0; i < count; i++)
		send(fds[i], "x", 1, MSG_NOSIGNAL);
	assert_int_equal(site_join(site), -EIO);
	atomic_store(&broken_reactor, -1);
	ignore_fibers(lost[while_draining][index]);
	assert_false(site->signalled);
	assert_true(site->error.text[0] != '\0');
	assert_int_equal(atomic_load(&site->stops), 2);
	assert_true(is_refused(site->ports[0][0]));
	while (count > 0)
		close(fds[--count]);
	site_free(site);
}

/*
 * A13, I17: a reactor whose system calls fail takes the others down, and never
 * vanishes while the process says that all is well.
 */
static void
a_reactor_that_is_lost_ends_all_with_its_error(void **state)
{
	const unsigned files = count_fds();

	(void)state;
	lose_a_reactor(0, false);
	lose_a_reactor(1, false);
	assert_true(await_fds(files));
}

/* Also if the others wait for handlers, without a limit. */
static void
a_reactor_that_is_lost_in_a_drain_ends_it_with_its_error(void **state)
{
	const unsigned files = count_fds();

	(void)state;
	lose_a_reactor(0, true);
	lose_a_reactor(1, true);
	assert_true(await_fds(files));
}

/* ---- Without one feature of the kernel, or another ---- */

struct fallback {
	const char *name;
	const char *words;	/* of the description, when it is there */
	uint32_t setup_flags;	/* forbidden */
	uint32_t features;
	int opcode;
	bool incremental;
	bool pairs;
};

static const struct fallback fallbacks[] = {
	{ .name = "nothing", .opcode = -1 },
	{ .name = "NO_SQARRAY", .words = "NO_SQARRAY", .opcode = -1,
	    .setup_flags = IORING_SETUP_NO_SQARRAY },
	{ .name = "DEFER_TASKRUN", .words = "DEFER_TASKRUN", .opcode = -1,
	    .setup_flags = IORING_SETUP_DEFER_TASKRUN },
	{ .name = "SINGLE_ISSUER", .words = "SINGLE_ISSUER", .opcode = -1,
	    .setup_flags = IORING_SETUP_SINGLE_ISSUER },
	{ .name = "TASKRUN_FLAG", .opcode = -1,
	    .setup_flags = IORING_SETUP_TASKRUN_FLAG },
	{ .name = "SUBMIT_ALL", .opcode = -1,
	    .setup_flags = IORING_SETUP_SUBMIT_ALL },
	{ .name = "R_DISABLED", .words = "SINGLE_ISSUER", .opcode = -1,
	    .setup_flags = IORING_SETUP_R_DISABLED },
	{ .name = "CQSIZE", .opcode = -1,
	    .setup_flags = IORING_SETUP_CQSIZE },
	{ .name = "any flag", .words = "NO_SQARRAY", .opcode = -1,
	    .setup_flags = UINT32_MAX },
	{ .name = "min wait", .words = "min wait", .opcode = -1,
	    .features = IORING_FEAT_MIN_TIMEOUT },
	{ .name = "no iowait", .words = "no iowait", .opcode = -1,
	    .features = IORING_FEAT_NO_IOWAIT },
	{ .name = "registered fd", .words = "registered fd",
	    .opcode = IORING_REGISTER_RING_FDS },
	{ .name = "incremental buffers", .opcode = -1, .incremental = true },
	{ .name = "quiet sends", .opcode = -1, .pairs = true },
};
#define FALLBACKS (sizeof(fallbacks) / sizeof(fallbacks[0]))

/* What the server made of it. */
struct outcome {
	char text[512];
	uint32_t setup_flags;
	uint32_t cq_entries;
	uint64_t quiet_sends;
	bool incremental;
	bool quiet;
};

static void
note_outcome(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct outcome *outcome = arg;

	outcome->setup_flags = reactor->ring.setup_flags;
	outcome->cq_entries = reactor->ring.cq_entries;
	outcome->quiet_sends = reactor->counters->quiet_sends;
	outcome->incremental = net->buffers.incremental;
	outcome->quiet = net->quiet;
	torc_reactor_describe(reactor, outcome->text, sizeof(outcome->text));
}

/* Messages there and back, of many sizes, on several connections at once. */
static void
echo_load(unsigned port)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 4096, 16384, 40000 };
	uint8_t data[40000], back[40000];
	uint64_t at = 0;
	int fds[8];

	for (unsigned i = 0; i < 8; i++)
		fds[i] = client_open(port);
	for (unsigned round = 0; round < 21; round++) {
		size_t size = sizes[round % 7];

		for (unsigned i = 0; i < 8; i++) {
			stream_fill(i, at, data, size);
			client_send(fds[i], data, size);
		}
		for (unsigned i = 0; i < 8; i++) {
			assert_true(client_read(fds[i], back, size));
			assert_true(stream_matches(i, at, back, size));
		}
		at += size;
	}
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
}

#define STREAM (2048 * (size_t)KIB)

/*
 * A stream that is sent until nothing goes any more before it is read, so that
 * sends find no room and receives are put off.
 */
static void
stream_load(unsigned port)
{
	int fd = client_open(port);
	struct pollfd poller = { .fd = fd };
	size_t sent = 0, got = 0;
	uint8_t data[4096];

	while (got < STREAM) {
		ssize_t rc = -1;

		poller.events = sent < STREAM ? POLLOUT : POLLIN;
		if (poll(&poller, 1, 20) == 0)
			poller.events = POLLIN;
		if (poller.events == POLLOUT) {
			stream_fill(9, sent, data, sizeof(data));
			rc = send(fd, data, sizeof(data), MSG_DONTWAIT |
			    MSG_NOSIGNAL);
			sent += rc > 0 ? (size_t)rc : 0;
		} else {
			rc = recv(fd, data, sizeof(data), 0);
			assert_true(rc > 0 || errno == EINTR);
			assert_true(rc < 0 || stream_matches(9, got, data,
			    (size_t)rc));
			got += rc > 0 ? (size_t)rc : 0;
		}
	}
	shutdown(fd, SHUT_WR);
	assert_true(client_sees_fin(fd));
	close(fd);
}

static void
run_fallback(const struct fallback *fallback, struct outcome *outcome)
{
	const struct torc_config config = {
		.sq_entries = 64,
		.cq_entries = 512,
		.batch_us = 100,
		.incremental = true,
		.held_max = 64 * KIB,
	};
	struct server server;

	atomic_store(&seen.refusals, 0);
	atomic_store(&seen.registered_enters, 0);
	atomic_store(&seen.min_waits, 0);
	forbidden.setup_flags = fallback->setup_flags;
	forbidden.features = fallback->features;
	forbidden.opcode = fallback->opcode;
	forbidden.incremental = fallback->incremental;
	forbidden.pairs = fallback->pairs;
	server_start(&server, &config, echo_handler, NULL);
	echo_load(server.port);
	stream_load(server.port);
	server_call(&server, note_outcome, outcome);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* It was refused, and the server does not use it. */
static void
assert_without(const struct fallback *fallback, const struct outcome *outcome)
{
	if (atomic_load(&seen.refusals) == 0)
		fail_msg("%s was not asked for", fallback->name);
	assert_int_equal(outcome->setup_flags & fallback->setup_flags, 0);
	if (fallback->words != NULL)
		assert_null(strstr(outcome->text, fallback->words));
	if (fallback->setup_flags & IORING_SETUP_DEFER_TASKRUN &&
	    fallback->setup_flags != UINT32_MAX)
		assert_non_null(strstr(outcome->text, "COOP_TASKRUN"));
	if (fallback->setup_flags & IORING_SETUP_CQSIZE)
		assert_int_equal(outcome->cq_entries, 128);
	if (fallback->features & IORING_FEAT_MIN_TIMEOUT)
		assert_int_equal(atomic_load(&seen.min_waits), 0);
	if (fallback->opcode == IORING_REGISTER_RING_FDS)
		assert_int_equal(atomic_load(&seen.registered_enters), 0);
	if (fallback->incremental)
		assert_false(outcome->incremental);
	if (fallback->pairs) {
		assert_false(outcome->quiet);
		assert_int_equal(outcome->quiet_sends, 0);
	}
}

/* Whether this kernel has what the row forbids. */
static bool
has(const struct fallback *fallback, const struct outcome *all)
{
	if (fallback->incremental)
		return all->incremental;
	if (fallback->pairs)
		return all->quiet;
	if (fallback->words != NULL)
		return strstr(all->text, fallback->words) != NULL;
	return true;
}

/*
 * A02, A08: each feature that a newer kernel has is forbidden in turn, and the
 * same load is served without it. (With nothing forbidden, the features that
 * this kernel has are in use.)
 */
static void
each_feature_has_a_fallback_that_serves_the_same(void **state)
{
	struct outcome all = { .text = "" };

	(void)state;
	run_fallback(&fallbacks[0], &all);
	assert_int_equal(atomic_load(&seen.refusals), 0);
	print_message("here: %s%s%s\n", all.text, all.incremental ?
	    ", incremental buffers" : "", all.quiet ? ", quiet sends" : "");
	assert_int_equal(all.cq_entries, 512);
	if (strstr(all.text, "registered fd") != NULL)
		assert_true(atomic_load(&seen.registered_enters) > 0);
	if (strstr(all.text, "min wait") != NULL)
		assert_true(atomic_load(&seen.min_waits) > 0);
	assert_true(!all.quiet || all.quiet_sends > 0);
	for (size_t i = 1; i < FALLBACKS; i++) {
		struct outcome outcome = { .text = "" };

		if (!has(&fallbacks[i], &all)) {
			print_message("SKIP: this kernel has no %s to "
			    "forbid\n", fallbacks[i].name);
			continue;
		}
		run_fallback(&fallbacks[i], &outcome);
		assert_without(&fallbacks[i], &outcome);
	}
	memset(&forbidden, 0, sizeof(forbidden));
	forbidden.opcode = -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* These fork: before there are threads. */
		cmocka_unit_test(either_signal_ends_a_program_in_order),
		cmocka_unit_test(
		    an_address_that_cannot_be_listened_on_is_named_with_a_fix),
		cmocka_unit_test(the_signal_mask_is_restored),
		cmocka_unit_test(
		    two_reactors_serve_several_listeners_until_sigterm),
		cmocka_unit_test(
		    a_drain_lets_handlers_finish_and_accepts_no_more),
		cmocka_unit_test(a_second_signal_stops_at_once),
		cmocka_unit_test(a_drain_ends_at_its_deadline),
		cmocka_unit_test(
		    a_server_starts_on_the_port_of_one_that_has_just_ended),
		cmocka_unit_test(
		    a_server_may_open_as_many_descriptors_as_the_hard_limit_allows),
		cmocka_unit_test(reactors_are_bound_to_cpus_unless_unpinned),
		cmocka_unit_test(an_address_that_is_none_is_named),
		cmocka_unit_test(an_address_of_another_machine_is_named),
		cmocka_unit_test(a_port_that_is_in_use_is_named),
		cmocka_unit_test(
		    a_field_out_of_its_range_is_named_with_its_value),
		cmocka_unit_test(
		    what_is_refused_to_a_later_reactor_is_explained_as_to_the_first),
		cmocka_unit_test(a_start_that_fails_ends_all_with_its_result),
		cmocka_unit_test(
		    each_feature_has_a_fallback_that_serves_the_same),
		/* Last: what a lost ring had in the kernel is never freed. */
		cmocka_unit_test(
		    a_reactor_that_is_lost_ends_all_with_its_error),
		cmocka_unit_test(
		    a_reactor_that_is_lost_in_a_drain_ends_it_with_its_error),
	};
	sigset_t term;

	/* Signals are for the server's thread, which waits for them. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
