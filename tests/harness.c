/* SPDX-License-Identifier: MIT */
/*
 * harness.c - servers on threads, clients, measurements.
 */
#include "tests/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "reactor/fiber.h"

/* ---- Servers ---- */

/* When somebody who waits since now has waited for too long. */
static struct timespec
hang_time(void)
{
	const char *seconds = getenv("TORC_HANG");
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_sec += seconds != NULL ? atoi(seconds) : HANG_SECONDS;
	return time;
}

/* The thread will not come back to what it shares with the test: no test can
 * go on. */
static void
give_up(const char *what)
{
	fprintf(stderr, "harness: %s: it hangs\n", what);
	abort();
}

static void *
run_server(void *arg)
{
	struct server *server = arg;

	server->result = torc_reactor_run(server->reactor);
	return NULL;
}

static void
do_nothing(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
}

void
server_start(struct server *server, const struct torc_config *config,
    torc_handler *handler, void *arg)
{
	struct torc_error error;
	int listener;

	memset(server, 0, sizeof(*server));
	if (torc_reactor_create(&server->reactor, config, &error) < 0)
		fail_msg("torc_reactor_create: %s", error.text);
	listener = torc_listen(server->reactor, "127.0.0.1:0", handler, arg);
	if (listener < 0)
		fail_msg("torc_listen: %s", strerror(-listener));
	server->port = torc_listen_port(server->reactor, listener);
	assert_int_equal(pthread_create(&server->thread, NULL, run_server,
	    server), 0);
	server->running = true;
	/* What it tries out in its first turn is over in its second. */
	server_call(server, do_nothing, NULL);
	server_call(server, do_nothing, NULL);
}

static int
join(struct server *server)
{
	const struct timespec end = hang_time();

	assert_true(server->running);
	if (pthread_timedjoin_np(server->thread, NULL, &end) != 0)
		give_up("a reactor was told to end");
	server->running = false;
	torc_reactor_destroy(server->reactor);
	return server->result;
}

int
server_stop(struct server *server)
{
	torc_reactor_stop(server->reactor);
	return join(server);
}

int
server_drain(struct server *server, unsigned ms)
{
	torc_reactor_drain(server->reactor, torc_after_ms(ms));
	return join(server);
}

struct call {
	struct torc_post post;
	void (*call)(struct torc_reactor *reactor, void *arg);
	int (*entry)(void *arg);
	void *arg;
	int result;
	sem_t over;
};

static void
run_call(struct torc_reactor *reactor, struct torc_post *post)
{
	struct call *call = torc_container(post, struct call, post);

	call->call(reactor, call->arg);
	sem_post(&call->over);
}

static int
run_entry(void *arg)
{
	struct call *call = arg;

	call->result = call->entry(call->arg);
	sem_post(&call->over);
	return 0;
}

static void
spawn_entry(struct torc_reactor *reactor, struct torc_post *post)
{
	struct call *call = torc_container(post, struct call, post);

	call->result = torc_fiber_start(reactor, NULL, run_entry, call);
	if (call->result < 0)
		sem_post(&call->over);
}

static int
call_and_wait(struct server *server, struct call *call)
{
	const struct timespec end = hang_time();

	sem_init(&call->over, 0, 0);
	assert_int_equal(torc_reactor_post(server->reactor, &call->post), 0);
	while (sem_timedwait(&call->over, &end) < 0) {
		if (errno == ETIMEDOUT)
			give_up("a reactor was called");
	}
	sem_destroy(&call->over);
	return call->result;
}

void
server_call(struct server *server,
    void (*call)(struct torc_reactor *reactor, void *arg), void *arg)
{
	struct call request = {
		.post.call = run_call,
		.call = call,
		.arg = arg,
	};

	call_and_wait(server, &request);
}

static void
set_maker(struct torc_reactor *reactor, void *arg)
{
	torc_listen_set_maker(reactor->layer_state, 0, arg);
}

void
server_set_maker(struct server *server, struct torc_transport_maker *maker)
{
	server_call(server, set_maker, maker);
}

static void
stand_still(struct torc_reactor *reactor, void *arg)
{
	struct hold *hold = arg;

	(void)reactor;
	sem_post(&hold->held);
	while (sem_wait(&hold->go) != 0)
		continue;
}

static void *
call_it(void *arg)
{
	struct hold *hold = arg;

	server_call(hold->server, stand_still, hold);
	return NULL;
}

void
server_hold_up(struct server *server, struct hold *hold)
{
	hold->server = server;
	sem_init(&hold->held, 0, 0);
	sem_init(&hold->go, 0, 0);
	assert_int_equal(pthread_create(&hold->thread, NULL, call_it, hold),
	    0);
	while (sem_wait(&hold->held) != 0)
		continue;
}

void
server_let_go(struct hold *hold)
{
	sem_post(&hold->go);
	pthread_join(hold->thread, NULL);
	sem_destroy(&hold->held);
	sem_destroy(&hold->go);
}

int
server_fiber(struct server *server, int (*entry)(void *arg), void *arg)
{
	struct call request = {
		.post.call = spawn_entry,
		.entry = entry,
		.arg = arg,
	};

	return call_and_wait(server, &request);
}

static void
copy_counters(struct torc_reactor *reactor, void *arg)
{
	*(struct torc_counters *)arg = *reactor->counters;
}

struct torc_counters
server_counters(struct server *server)
{
	struct torc_counters counters;

	server_call(server, copy_counters, &counters);
	return counters;
}

struct check {
	bool (*check)(struct torc_reactor *reactor, void *arg);
	void *arg;
	bool holds;
};

static void
run_check(struct torc_reactor *reactor, void *arg)
{
	struct check *check = arg;

	check->holds = check->check(reactor, check->arg);
}

bool
server_await(struct server *server,
    bool (*check)(struct torc_reactor *reactor, void *arg), void *arg,
    unsigned ms)
{
	const uint64_t end = now_ms() + ms;
	struct check request = { .check = check, .arg = arg };

	for (;;) {
		server_call(server, run_check, &request);
		if (request.holds || now_ms() >= end)
			return request.holds;
		pause_ms(2);
	}
}

static void
count_connections(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;

	*(unsigned *)arg = net->conns.count;
}

unsigned
server_connections(struct server *server)
{
	unsigned count;

	server_call(server, count_connections, &count);
	return count;
}

static bool
has_connections(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;

	return net->conns.count == *(unsigned *)arg;
}

bool
server_await_connections(struct server *server, unsigned count)
{
	return server_await(server, has_connections, &count, 5000);
}

/* ---- Clients ---- */

/*
 * The end of a ring interrupts calls of the thread that made it. A connect
 * that was interrupted goes on.
 */
static bool
connected(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = ETIMEDOUT;

	if (poll(&ready, 1, CLIENT_SECONDS * 1000) == 1)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	errno = error;
	return error == 0;
}

static ssize_t
receive(int fd, void *data, size_t size)
{
	ssize_t got;

	do
		got = recv(fd, data, size, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool
port_is_free(unsigned port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_free = bind(fd, (const struct sockaddr *)&address,
	    sizeof(address)) == 0;

	close(fd);
	return is_free;
}

/* Below what Linux gives to those that do not ask for one: 32768 and more. */
unsigned
spare_port(void)
{
	static uint32_t random;
	unsigned port;

	if (random == 0)
		random = (uint32_t)getpid() * 2654435761u ^ (uint32_t)now_ms();
	do {
		random = random * 1664525u + 1013904223u;
		port = 10000 + (random >> 8) % 12000;
	} while (!port_is_free(port) || !port_is_free(port + 10000));
	return port;
}

void
client_limit(int fd)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* `taken`: bytes that the kernel takes before they are read; 0: its choice. */
static int
open_to(unsigned port, int taken)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	client_limit(fd);
	if (taken > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &taken, sizeof(taken));
	/* A server that turns it away may be faster than the way back here:
	 * the next call on the socket finds that. */
	if (connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)) < 0 && (errno != EINTR || !connected(fd)) &&
	    errno != ECONNRESET)
		fail_msg("connect to port %u: %s", port, strerror(errno));
	return fd;
}

int
client_open(unsigned port)
{
	return open_to(port, 0);
}

int
client_open_narrow(unsigned port)
{
	return open_to(port, 16384);
}

void
client_send(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			fail_msg("send: %s", strerror(errno));
		at += sent;
		size -= (size_t)sent;
	}
}

bool
client_read(int fd, void *data, size_t size)
{
	char *at = data;

	while (size > 0) {
		ssize_t got = receive(fd, at, size);

		if (got <= 0)
			return false;
		at += got;
		size -= (size_t)got;
	}
	return true;
}

long
client_read_all(int fd, void *data, size_t size)
{
	char *at = data;
	size_t total = 0;

	for (;;) {
		ssize_t got = receive(fd, at + total, size - total);

		if (got <= 0)
			return got < 0 ? -1 : (long)total;
		total += (size_t)got;
		assert_true(total < size);
	}
}

bool
client_sees_fin(int fd)
{
	char byte;

	return receive(fd, &byte, 1) == 0;
}

void
client_stream(int fd, uint32_t key, uint64_t from, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	assert_true(client_read(fd, bytes, size));
	assert_true(stream_matches(key, from, bytes, size));
	free(bytes);
}

void
client_part(int fd)
{
	shutdown(fd, SHUT_WR);
	assert_true(client_sees_fin(fd));
	close(fd);
}

void
client_reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

void
client_echo(int fd, const char *text)
{
	const size_t size = strlen(text);
	char *back = malloc(size);

	assert_non_null(back);
	client_send(fd, text, size);
	assert_true(client_read(fd, back, size));
	assert_memory_equal(back, text, size);
	free(back);
}

int
echo_handler(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* ---- Streams ---- */

uint8_t
stream_byte(uint32_t key, uint64_t n)
{
	uint64_t x = (n / 8 + 1) * 0x9e3779b97f4a7c15u ^
	    (uint64_t)key * 0xbf58476d1ce4e5b9u;

	x ^= x >> 31;
	x *= 0x94d049bb133111ebu;
	x ^= x >> 29;
	return (uint8_t)(x >> (n % 8 * 8));
}

void
stream_fill(uint32_t key, uint64_t from, uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = stream_byte(key, from + i);
}

bool
stream_matches(uint32_t key, uint64_t from, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] != stream_byte(key, from + i))
			return false;
	}
	return true;
}

/* ---- This process ---- */

uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
pause_ms(unsigned ms)
{
	const struct timespec time = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&time, NULL);
}

unsigned
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 3;	/* . and .. and the folder itself */
}

size_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* What statm says is only roughly right. */
size_t
exact_resident(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];

	if (file == NULL)
		return resident_bytes();
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "Rss: %lu kB", &kib) == 1)
			break;
	}
	fclose(file);
	assert_true(kib > 0);
	return kib * 1024;
}

bool
await_fds(unsigned count)
{
	const uint64_t end = now_ms() + 5000;

	while (count_fds() != count && now_ms() < end)
		pause_ms(2);
	return count_fds() == count;
}

bool
allow_files(unsigned wanted)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur >= wanted)
		return true;
	if (limit.rlim_max < wanted)
		return false;
	limit.rlim_cur = wanted;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

uint32_t
new_seed(void)
{
	const char *given = getenv("TORC_SEED");
	struct timespec now;

	if (given != NULL)
		return (uint32_t)strtoul(given, NULL, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec) | 1;
}

uint32_t
throw_dice(uint32_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 17;
	*dice ^= *dice << 5;
	return *dice;
}
