/* SPDX-License-Identifier: MIT */
/*
 * test_stats_page.c - the statistics page: what it says against what is so, who
 * may write it, and what happens where it cannot be had.
 *
 * wrap: torc_sys_memfd torc_sys_resize torc_sys_seal torc_sys_map
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reactor/config.h"
#include "reactor/fiber.h"
#include "reactor/stats_page.h"
#include "sys/sys.h"

#define LINK_TEXT "/memfd:" TORC_STATS_PAGE_NAME " (deleted)"

/* ---- Refusing ---- */

enum crossing { NONE, MEMFD, RESIZE, MAP, SEAL };

static enum crossing refused;
static int refusal;

int
__wrap_torc_sys_memfd(const char *name, unsigned flags)
{
	return refused == MEMFD ? refusal : __real_torc_sys_memfd(name,
	    flags);
}

int
__wrap_torc_sys_resize(int fd, uint64_t size)
{
	return refused == RESIZE ? refusal : __real_torc_sys_resize(fd, size);
}

int
__wrap_torc_sys_seal(int fd, int seals)
{
	return refused == SEAL ? refusal : __real_torc_sys_seal(fd, seals);
}

int
__wrap_torc_sys_map(void **address, size_t size, int prot, int flags, int fd,
    uint64_t offset)
{
	/* Of the file only: rings are mapped, too, and populated. */
	if (refused == MAP && fd >= 0 && !(flags & MAP_POPULATE))
		return refusal;
	return __real_torc_sys_map(address, size, prot, flags, fd, offset);
}

/* ---- As a tool sees it ---- */

/* How many descriptors of this process are pages; the last one's path. */
static unsigned
count_pages(char *path, size_t size)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char link[64] = "";

		if (readlinkat(dirfd(fds), entry->d_name, link,
		    sizeof(link) - 1) <= 0 || strcmp(link, LINK_TEXT) != 0)
			continue;
		snprintf(path, size, "/proc/self/fd/%.16s", entry->d_name);
		count++;
	}
	closedir(fds);
	return count;
}

/* The one page of this process, opened anew for reading. */
static int
open_page(struct torc_stats_page *page)
{
	char path[64];
	int fd;

	assert_int_equal(count_pages(path, sizeof(path)), 1);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, page, sizeof(*page), 0), sizeof(*page));
	return fd;
}

static struct torc_stats_page
read_page(void)
{
	struct torc_stats_page page;

	close(open_page(&page));
	return page;
}

static uint64_t
field(const struct torc_stats_page *page, const uint8_t *row,
    enum torc_conn_field name)
{
	uint64_t value = 0;

	assert_true(page->field[name].offset + page->field[name].width <=
	    page->conns.stride);
	memcpy(&value, row + page->field[name].offset,
	    page->field[name].width);
	return value;
}

/* ---- What it says ---- */

static void
get_thread(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	*(int *)arg = torc_sys_thread();
}

static void
the_page_names_the_ring_the_thread_and_the_limits_of_its_reactor(
    void **state)
{
	const struct torc_config config = { .connections = 321, .ops = 77 };
	struct server server;
	struct torc_stats_page page;
	int thread = 0;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	server_call(&server, get_thread, &thread);
	page = read_page();
	assert_true(page.magic == TORC_STATS_PAGE_MAGIC);
	assert_int_equal(page.version, 1);
	assert_int_equal(page.size, sizeof(page));
	assert_int_equal(page.tid, thread);
	assert_int_equal(page.ring_fd, server.reactor->ring.fd);
	assert_int_equal(page.setup_flags, server.reactor->ring.setup_flags);
	assert_int_equal(page.limit.connections, 321);
	assert_int_equal(page.limit.ops, 77);
	assert_int_equal(page.limit.stall_ms, 100);
	assert_int_equal(page.conns.count, torc_config_rows(&config));
	assert_int_equal(page.gauge.phase, 1);	/* for any tool */
	assert_int_equal(server_stop(&server), 0);
}

static void
parts_lie_where_the_page_says_and_do_not_overlap(void **state)
{
	struct torc_reactor *reactor;
	struct torc_stats_page page;
	struct torc_stats_page_part parts[5];

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	page = read_page();
	parts[0] = page.counters;
	parts[1] = page.gauges;
	parts[2] = page.limits;
	parts[3] = page.ops;
	parts[4] = (struct torc_stats_page_part) { page.size, 0, 0 };
	for (unsigned i = 0; i < 4; i++) {
		assert_true(parts[i].count > 0);
		assert_true(parts[i].offset +
		    (uint64_t)parts[i].count * parts[i].stride <=
		    parts[i + 1].offset);
	}
	assert_int_equal(page.counters.count * 8,
	    sizeof(struct torc_counters));
	/* No listener yet, so no table. */
	assert_int_equal(page.conns.count, 0);
	torc_reactor_destroy(reactor);
}

static void
counters_in_the_page_are_those_of_the_reactor(void **state)
{
	struct server server;
	struct torc_counters truth;
	struct torc_stats_page page;
	int client;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	client = client_open(server.port);
	for (int i = 0; i < 10; i++)
		client_echo(client, "0123456789");
	truth = server_counters(&server);
	page = read_page();
	assert_int_equal(page.counter.accepts, 1);
	assert_int_equal(page.counter.accept_arms, 1);
	assert_int_equal(page.counter.accept_ends, 0);
	assert_int_equal(page.counter.receive_arms, 1);
	assert_int_equal(page.counter.receive_failures, 0);
	assert_int_equal(page.counter.send_failures, 0);
	assert_int_equal(page.counter.received, 100);
	assert_int_equal(page.counter.sent, 100);
	assert_int_equal(page.counter.receives, truth.receives);
	assert_int_equal(page.counter.quiet_sends + page.counter.loud_sends,
	    truth.quiet_sends + truth.loud_sends);
	assert_true(page.counter.turns >= truth.turns);
	close(client);
	assert_int_equal(server_stop(&server), 0);
}

/* Until it fails. */
static int
flood(struct torc_conn *conn, void *arg)
{
	static const uint8_t bytes[1u << 16];

	(void)arg;
	while (torc_conn_write(conn, bytes, sizeof(bytes), TORC_NEVER) >= 0)
		continue;
	return -1;
}

static bool
receives_have_failed(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->counters->receive_failures > 0;
}

static bool
sends_have_failed(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->counters->send_failures > 0;
}

static bool
has_sent(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->counters->sent > 0;
}

static void
a_reset_is_a_failed_receive_and_a_fin_is_none(void **state)
{
	struct server server;
	int client;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	client = client_open(server.port);
	client_echo(client, "0123456789");
	close(client);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).receive_failures, 0);
	client = client_open(server.port);
	client_echo(client, "0123456789");
	client_reset(client);
	assert_true(server_await(&server, receives_have_failed, NULL, 5000));
	assert_int_equal(read_page().counter.receive_failures, 1);
	assert_int_equal(read_page().counter.receive_arms, 2);
	assert_int_equal(read_page().counter.send_failures, 0);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_reset_in_the_middle_of_a_send_is_a_failed_send(void **state)
{
	struct server server;
	int client;

	(void)state;
	server_start(&server, NULL, flood, NULL);
	client = client_open(server.port);
	assert_true(server_await(&server, has_sent, NULL, 5000));
	assert_int_equal(read_page().counter.send_failures, 0);
	client_reset(client);
	assert_true(server_await(&server, sends_have_failed, NULL, 5000));
	assert_true(read_page().counter.send_failures >= 1);
	assert_int_equal(server_stop(&server), 0);
}

static void
do_nothing(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
}

/* Gauges are stored at the end of a turn: of one that has begun by now. */
static void
show_gauges(struct server *server)
{
	server_call(server, do_nothing, NULL);
	server_call(server, do_nothing, NULL);
}

static atomic_uint staged;	/* bytes, of those that hold */

/* The row of a connection. */
static void
find_row(int conn_fd, struct torc_stats_page *page,
    uint8_t row[TORC_STATS_PAGE_ROW])
{
	const int fd = open_page(page);

	for (uint32_t i = 0; i < page->gauge.conns_touched; i++) {
		assert_int_equal(pread(fd, row, page->conns.stride,
		    (off_t)(page->conns.offset + i * page->conns.stride)),
		    page->conns.stride);
		if (field(page, row, TORC_FIELD_SLOT) == TORC_SLOT_TAKEN &&
		    (int)field(page, row, TORC_FIELD_FD) == conn_fd)
			break;
	}
	close(fd);
}

/*
 * What came stays unread until it is told to end. What is staged leaves when
 * it begins to wait.
 */
static int
hold(struct torc_conn *conn, void *arg)
{
	uint8_t row[TORC_STATS_PAGE_ROW];
	struct torc_stats_page page;
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return TORC_CLOSE;
	if (torc_conn_write(conn, "staged", 6, TORC_NEVER) < 0)
		return TORC_CLOSE;
	find_row(torc_conn_fd(conn), &page, row);
	atomic_fetch_add(&staged,
	    (unsigned)field(&page, row, TORC_FIELD_STAGED));
	torc_sleep(TORC_NEVER);
	return -1;
}

static bool
has_received(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->received >= *(uint64_t *)arg;
}

static void
connections_in_the_page_are_those_that_are_open(void **state)
{
	uint64_t sum = 1000 + 2000 + 3000, now = torc_sys_now();
	uint64_t held = 0;
	const uint8_t bytes[3000] = { 0 };
	struct server server;
	struct torc_stats_page page;
	unsigned open = 0;
	uint8_t row[TORC_STATS_PAGE_ROW];
	int clients[4], fd;

	(void)state;
	server_start(&server, NULL, hold, NULL);
	for (int i = 0; i < 4; i++)
		clients[i] = client_open(server.port);
	for (int i = 0; i < 3; i++)
		client_send(clients[i], bytes, 1000u * (unsigned)(i + 1));
	assert_true(server_await(&server, has_received, &sum, 5000));
	assert_true(server_await_connections(&server, 4));
	show_gauges(&server);
	fd = open_page(&page);
	assert_int_equal(page.gauge.conns, 4);
	assert_int_equal(page.gauge.conns_touched, 4);
	for (uint32_t i = 0; i < page.gauge.conns_touched; i++) {
		assert_int_equal(pread(fd, row, page.conns.stride,
		    (off_t)(page.conns.offset + i * page.conns.stride)),
		    page.conns.stride);
		if (field(&page, row, TORC_FIELD_SLOT) != TORC_SLOT_TAKEN)
			continue;
		open++;
		held += field(&page, row, TORC_FIELD_VIEW);
		assert_int_equal(field(&page, row, TORC_FIELD_STAGED), 0);
		assert_true(fcntl((int)field(&page, row, TORC_FIELD_FD),
		    F_GETFD) >= 0);
		assert_true(field(&page, row, TORC_FIELD_SINCE) + 1 > now);
		assert_true(field(&page, row, TORC_FIELD_SINCE) <=
		    torc_sys_now());
		assert_int_equal(field(&page, row, TORC_FIELD_ARMED), 1);
		assert_true(field(&page, row, TORC_FIELD_HANDLER) != 0);
		assert_int_equal(field(&page, row, TORC_FIELD_READER) != 0,
		    field(&page, row, TORC_FIELD_VIEW) == 0);
	}
	assert_int_equal(open, 4);
	assert_int_equal(held, sum);
	assert_int_equal(atomic_load(&staged), 3 * 6);
	close(fd);
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	assert_int_equal(server_stop(&server), 0);
}

static int
read_badly_and_well(void *arg)
{
	int fds[2];
	char byte = 0;

	(void)arg;
	if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], "x", 1) != 1)
		return -1;
	if (torc_fd_read(fds[0], &byte, 1, TORC_STREAM, TORC_NEVER) != 1 ||
	    torc_fd_read(-1, &byte, 1, TORC_STREAM, TORC_NEVER) != -EBADF)
		return -2;
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void
operations_are_counted_by_opcode_with_those_that_failed(void **state)
{
	struct server server;
	struct torc_stats_page page;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, read_badly_and_well, NULL), 0);
	page = read_page();
	assert_int_equal(page.op[IORING_OP_READ].submitted, 2);
	assert_int_equal(page.op[IORING_OP_READ].completed, 2);
	assert_int_equal(page.op[IORING_OP_READ].failed, 1);
	assert_int_equal(page.op[IORING_OP_WRITE].submitted, 0);
	assert_int_equal(server_stop(&server), 0);
}

static int
wait_for_ever(void *arg)
{
	int rc = torc_fd_poll(*(int *)arg, 1, torc_after_ms(100000));

	return rc == -ECANCELED ? 0 : rc;
}

static void
spawn_waiter(struct torc_reactor *reactor, void *arg)
{
	assert_int_equal(torc_fiber_start(reactor, NULL, wait_for_ever, arg),
	    0);
}

static bool
polls(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->ops.count == 1;
}

static void
an_operation_in_flight_is_submitted_and_not_completed(void **state)
{
	struct server server;
	struct torc_stats_page page;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, spawn_waiter, &fds[0]);
	assert_true(server_await(&server, polls, NULL, 5000));
	page = read_page();
	assert_int_equal(page.op[IORING_OP_POLL_ADD].submitted, 1);
	assert_int_equal(page.op[IORING_OP_POLL_ADD].completed, 0);
	assert_int_equal(server_stop(&server), 0);
	close(fds[0]);
	close(fds[1]);
}

static void
be_slow(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	pause_ms(*(unsigned *)arg);
}

/* A client speaks while the reactor is busy: it waits for the turn's end. */
static void *
speak(void *arg)
{
	pause_ms(100);
	client_send(*(int *)arg, "x", 1);
	return NULL;
}

static void
a_turn_that_keeps_a_client_waiting_for_long_is_a_stall(void **state)
{
	const struct torc_config config = { .stall_ms = 200 };
	struct server server;
	struct torc_stats_page before, after;
	unsigned ms = 400;
	pthread_t thread;
	int client;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	client = client_open(server.port);
	client_echo(client, "hello");
	before = read_page();
	assert_int_equal(pthread_create(&thread, NULL, speak, &client), 0);
	server_call(&server, be_slow, &ms);
	pthread_join(thread, NULL);
	server_call(&server, do_nothing, NULL);
	after = read_page();
	assert_true(after.gauge.stalls > before.gauge.stalls);
	assert_true(after.gauge.longest_ns >= 400000000u);
	assert_true(after.gauge.timed_ns >= 400000000u);
	assert_true(after.gauge.stalled_at > before.gauge.turn_began);
	close(client);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_reactor_that_sleeps_for_long_has_not_stalled(void **state)
{
	const struct torc_config config = { .stall_ms = 50 };
	struct server server;
	struct torc_stats_page before, after;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	before = read_page();
	pause_ms(2000);
	show_gauges(&server);
	after = read_page();
	assert_true(after.counter.turns > before.counter.turns);
	assert_true(after.gauge.longest_ns < 1000000000u);
	assert_int_equal(server_stop(&server), 0);
}

/* What the operator was told, on the reactor's thread. */
struct told {
	unsigned count;
	uint64_t last;
	uint64_t least_ns;	/* between two of them */
	char text[256];
};

static void
hear(const char *text, void *arg)
{
	struct told *told = arg;
	const uint64_t now = torc_now();

	if (told->count++ > 0 && now - told->last < told->least_ns)
		told->least_ns = now - told->last;
	told->last = now;
	snprintf(told->text, sizeof(told->text), "%s", text);
}

/* Hold the thread once and again. */
static int
hold_thread(void *arg)
{
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		pause_ms(60);
		torc_yield();
	}
	return 0;
}

static void
a_stall_is_told_with_its_reactor_and_how_long_it_took(void **state)
{
	struct told told = { .least_ns = UINT64_MAX };
	const struct torc_config config = {
		.stall_ms = 50, .notice = hear, .arg = &told,
	};
	struct server server;
	unsigned once = 1, ms = 0;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, hold_thread, &once), 0);
	assert_int_equal(server_stop(&server), 0);
	assert_true(told.count >= 1);
	assert_int_equal(sscanf(told.text, "reactor 0: a turn took %u ms", &ms),
	    1);
	assert_true(ms >= 50);
	assert_non_null(strstr(told.text, "stall_ms = 50"));
	assert_non_null(strstr(told.text, "such turns so far)"));
}

static void
stalls_are_told_once_a_second_at_most(void **state)
{
	struct told told = { .least_ns = UINT64_MAX };
	const struct torc_config config = {
		.stall_ms = 50, .notice = hear, .arg = &told,
	};
	struct server server;
	unsigned times = 40;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, hold_thread, &times), 0);
	assert_true(read_page().gauge.stalls >= times);
	assert_int_equal(server_stop(&server), 0);
	assert_true(told.count >= 2 && told.count < times);
	assert_true(told.least_ns >= 1000000000u);
}

static void
nothing_is_told_of_stalls_that_nobody_asks_for(void **state)
{
	struct told told = { .least_ns = UINT64_MAX };
	const struct torc_config unasked[] = {
		{ .stall_ms = TORC_NO_LIMIT, .notice = hear, .arg = &told },
		{ .stall_ms = 50 },
	};
	struct server server;
	unsigned once = 1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		server_start(&server, &unasked[i], echo_handler, NULL);
		assert_int_equal(server_fiber(&server, hold_thread, &once), 0);
		assert_int_equal(server_stop(&server), 0);
	}
	assert_int_equal(told.count, 0);
}

static int
dig(void *arg)
{
	volatile char deep[24 * 1024];

	(void)arg;
	for (size_t i = 0; i < sizeof(deep); i += 1024)
		deep[i] = 1;
	return deep[1024] - 1;
}

static void
the_depth_of_stacks_is_seen_by_their_pages(void **state)
{
	struct server server;
	struct torc_stats_page page;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, dig, NULL), 0);
	show_gauges(&server);
	page = read_page();
	assert_true(page.gauge.stack_deepest >= 24 * 1024);
	assert_true(page.gauge.stack_deepest <= page.limit.stack_size);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Who may touch it ---- */

static void
nobody_else_can_write_it_or_change_its_size(void **state)
{
	struct torc_reactor *reactor;
	char path[64];
	void *memory;
	int fd;

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(count_pages(path, sizeof(path)), 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	/* Reading is what it is for. */
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_true(*(uint64_t *)memory == TORC_STATS_PAGE_MAGIC);
	munmap(memory, 4096);
	close(fd);
	torc_reactor_destroy(reactor);
}

static void
the_descriptor_is_closed_by_an_exec_and_gone_with_the_reactor(void **state)
{
	struct torc_reactor *reactor;
	const unsigned before = count_fds();
	char path[64];

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(count_pages(path, sizeof(path)), 1);
	assert_int_equal(fcntl(atoi(strrchr(path, '/') + 1), F_GETFD),
	    FD_CLOEXEC);
	torc_reactor_destroy(reactor);
	assert_int_equal(count_pages(path, sizeof(path)), 0);
	assert_int_equal(count_fds(), before);
}

/* Whether the page is mapped in this process. */
static bool
is_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		found |= strstr(line, TORC_STATS_PAGE_NAME) != NULL;
	if (maps != NULL)
		fclose(maps);
	return found;
}

static void
a_child_of_a_fork_has_no_way_to_count_for_its_parent(void **state)
{
	struct torc_reactor *reactor;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_true(is_mapped());
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(is_mapped());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	torc_reactor_destroy(reactor);
}

/* ---- Without it ---- */

static void
assert_serves_unseen(const struct torc_config *config)
{
	const unsigned before = count_fds();
	struct server server;
	struct torc_counters counters;
	char path[64];
	int client;

	server_start(&server, config, echo_handler, NULL);
	assert_int_equal(count_pages(path, sizeof(path)), 0);
	client = client_open(server.port);
	client_echo(client, "as ever");
	counters = server_counters(&server);
	assert_int_equal(counters.received, 7);
	assert_int_equal(server_connections(&server), 1);
	close(client);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(count_fds(), before);
}

static void
without_statistics_there_is_no_page_and_all_else_works(void **state)
{
	const struct torc_config config = { .no_stats = true };

	(void)state;
	assert_serves_unseen(&config);
}

static void
a_page_that_the_kernel_refuses_is_replaced_by_memory(void **state)
{
	static const int errors[] = { -EPERM, -ENOSYS, -EMFILE, -ENOMEM,
		-EINVAL };

	(void)state;
	for (refused = MEMFD; refused <= SEAL; refused++) {
		for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]);
		    i++) {
			refusal = errors[i];
			assert_serves_unseen(NULL);
		}
	}
	refused = NONE;
}

static void
a_limit_on_file_sizes_raises_no_signal(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_serves_unseen(NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

#define CLAIM(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CLAIM(the_page_names_the_ring_the_thread_and_the_limits_of_its_reactor),
		CLAIM(parts_lie_where_the_page_says_and_do_not_overlap),
		CLAIM(counters_in_the_page_are_those_of_the_reactor),
		CLAIM(a_reset_is_a_failed_receive_and_a_fin_is_none),
		CLAIM(a_reset_in_the_middle_of_a_send_is_a_failed_send),
		CLAIM(connections_in_the_page_are_those_that_are_open),
		CLAIM(operations_are_counted_by_opcode_with_those_that_failed),
		CLAIM(an_operation_in_flight_is_submitted_and_not_completed),
		CLAIM(a_turn_that_keeps_a_client_waiting_for_long_is_a_stall),
		CLAIM(a_reactor_that_sleeps_for_long_has_not_stalled),
		CLAIM(a_stall_is_told_with_its_reactor_and_how_long_it_took),
		CLAIM(stalls_are_told_once_a_second_at_most),
		CLAIM(nothing_is_told_of_stalls_that_nobody_asks_for),
		CLAIM(the_depth_of_stacks_is_seen_by_their_pages),
		CLAIM(nobody_else_can_write_it_or_change_its_size),
	    CLAIM(the_descriptor_is_closed_by_an_exec_and_gone_with_the_reactor),
		CLAIM(a_child_of_a_fork_has_no_way_to_count_for_its_parent),
		CLAIM(without_statistics_there_is_no_page_and_all_else_works),
		CLAIM(a_page_that_the_kernel_refuses_is_replaced_by_memory),
		CLAIM(a_limit_on_file_sizes_raises_no_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
