/* SPDX-License-Identifier: MIT */
/*
 * test_fibers.c - fibers, their waits, the operations they wait for, and the
 * posts of other threads: each ends once, with its own result, and in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/noted.h"

#include "reactor/fiber.h"
#include "reactor/op.h"
#include "reactor/sanitizer.h"
#include "sys/sys.h"

#define TIMES(n) (SANITIZED ? (n) / 20 : (n))
#define MS 1000000u
#define HANG_S 60		/* longer than anything takes */
#define LONG_MS (HANG_S * 1000u)

static struct server server;

static void
start(const struct torc_config *config)
{
	server_start(&server, config, echo_handler, NULL);
}

/* Run `entry` on a fiber; it returns 0, and all that it expects holds. */
static void
on_fiber(int (*entry)(void *), void *arg)
{
	assert_int_equal(server_fiber(&server, entry, arg), 0);
	assert_all_held();
}

static uint32_t
ops_in_flight(struct torc_reactor *reactor)
{
	return reactor->ops.count;
}

static uint32_t
fibers_alive(struct torc_reactor *reactor)
{
	return reactor->stacks.in_use;
}

static bool
is_quiet(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return ops_in_flight(reactor) == 0 && fibers_alive(reactor) == 0;
}

/* Nothing is left running, and the reactor ends in time. */
static void
stop(void)
{
	struct timespec limit;

	assert_true(server_await(&server, is_quiet, NULL, LONG_MS));
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_S;
	torc_reactor_stop(server.reactor);
	assert_int_equal(pthread_timedjoin_np(server.thread, NULL, &limit),
	    0);
	server.running = false;
	assert_int_equal(server.result, 0);
	torc_reactor_destroy(server.reactor);
	assert_all_held();
}

/* End the server of a test that failed. */
static int
clear_away(void **state)
{
	(void)state;
	if (server.running)
		server_stop(&server);
	broken_line = 0;
	return 0;
}

/* Give the fiber that was just spawned, and others, time to park. */
static void
let_others_park(void)
{
	for (int i = 0; i < 3; i++)
		EXPECT(torc_yield() == 0);
}

/* The status of a child that runs `body`, and what it wrote to stderr. */
static int
in_child(void (*body)(void), char *said, size_t size)
{
	int ends[2], status;
	ssize_t count;
	size_t used = 0;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		torc_current = NULL;	/* as if there had been none */
		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		alarm(HANG_S);
		body();
		_exit(0);
	}
	close(ends[1]);
	while ((count = read(ends[0], said + used, size - 1 - used)) > 0)
		used += (size_t)count;
	said[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
assert_traps(void (*body)(void), const char *why)
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("status 0x%x instead of a trap \"%s\", saying: %s",
		    status, why, said);
	if (strstr(said, why) == NULL)
		fail_msg("not \"%s\" but: %s", why, said);
}

/* In a child: a fiber on a reactor of this thread's own, until it ends. */
static void
run_alone(torc_fiber_entry *entry, void *arg)
{
	struct torc_reactor *reactor;

	if (torc_reactor_create(&reactor, NULL, NULL) < 0 ||
	    torc_fiber_start(reactor, NULL, entry, arg) < 0)
		_exit(2);
	torc_reactor_drain(reactor, TORC_NEVER);
	if (torc_reactor_run(reactor) < 0 || broken_line != 0)
		_exit(3);
	torc_reactor_destroy(reactor);
}

/* ---- Spawn and join ---- */

static int
set_flag(void *arg)
{
	*(bool *)arg = true;
	return 77;
}

static int
fork_and_wait(void *arg)
{
	int status;
	pid_t child = fork();

	(void)arg;
	if (child == 0)
		_exit(42);
	EXPECT(child > 0 && waitpid(child, &status, 0) == child);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	return 0;
}

/* To exec, for the most part: its stack is there in the child. */
static void
a_fiber_can_fork(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(fork_and_wait, NULL);
	stop();
}

/* Ends some time after it was cancelled. */
static int
end_slowly(void *arg)
{
	bool *ended = arg;

	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	/* Nothing parks any more: turns pass. */
	for (int i = 0; i < 3; i++)
		torc_fiber_step_aside(torc_reactor_self());
	*ended = true;
	return 78;
}

static int
reap_one(void *arg)
{
	bool ended = false;
	uint64_t id = 0;
	int result = 0;

	(void)arg;
	EXPECT(torc_fiber_spawn(&id, end_slowly, &ended) == 0);
	EXPECT(torc_sleep(torc_after_ms(10)) == (arg == NULL ? 0 :
	    -ECANCELED));
	EXPECT(torc_fiber_reap(id, &result, TORC_NEVER) == 0);
	EXPECT(ended && result == 78);
	EXPECT(torc_fiber_reap(id, &result, TORC_NEVER) == -ESRCH);
	/* One that has ended already. */
	ended = false;
	if (arg != NULL)
		return 0;
	EXPECT(torc_fiber_spawn(&id, set_flag, &ended) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(ended && torc_fiber_reap(id, &result, TORC_NEVER) == 0 &&
	    result == 77);
	return 0;
}

/* It has not ended yet, and can be reaped later. */
static int
reap_hastily(void *arg)
{
	bool ended = false;
	uint64_t id = 0;
	int result = 0;

	(void)arg;
	EXPECT(torc_fiber_spawn(&id, end_slowly, &ended) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_fiber_reap(id, &result, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(!ended);
	EXPECT(torc_fiber_reap(id, &result, torc_after_ms(LONG_MS)) == 0);
	EXPECT(ended && result == 78);
	return 0;
}

static void
a_fiber_that_is_reaped_in_vain_can_be_reaped_again(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(reap_hastily, NULL);
	stop();
}

/* The one that reaps is cancelled first. */
static int
reap_while_cancelled(void *arg)
{
	uint64_t id = 0;

	EXPECT(torc_fiber_spawn(&id, reap_one, &id) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, NULL, torc_after_ms(LONG_MS)) == 0);
	(void)arg;
	return 0;
}

static void
a_fiber_that_is_reaped_has_ended_even_if_the_reaper_is_cancelled(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(reap_one, NULL);
	on_fiber(reap_while_cancelled, NULL);
	stop();
}

static int
spawn_and_join(void *arg)
{
	bool ran = false;
	int result = 0;
	uint64_t id = 0;

	(void)arg;
	EXPECT(torc_fiber_spawn(&id, set_flag, &ran) == 0);
	EXPECT(id != 0 && id != torc_fiber_self());
	EXPECT(!ran);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == 0);
	EXPECT(ran && result == 77);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == -ESRCH);
	/* One that ended before anybody asked. */
	ran = false;
	EXPECT(torc_fiber_spawn(&id, set_flag, &ran) == 0);
	EXPECT(torc_yield() == 0 && ran);
	EXPECT(torc_fiber_join(id, NULL, TORC_AT_ONCE) == 0);
	EXPECT(torc_fiber_join(id, NULL, TORC_AT_ONCE) == -ESRCH);
	/* One that nobody is to join. */
	ran = false;
	EXPECT(torc_fiber_spawn(NULL, set_flag, &ran) == 0);
	EXPECT(!ran);
	EXPECT(torc_yield() == 0 && ran);
	return 0;
}

static void
a_child_never_runs_inside_spawn_and_gives_its_result_once(void **state)
{
	(void)state;
	start(NULL);
	assert_int_equal(torc_fiber_self(), 0);
	for (int i = 0; i < 100; i++)
		on_fiber(spawn_and_join, NULL);
	stop();
}

static int
sleep_until(void *arg)
{
	return torc_sleep(*(torc_deadline *)arg);
}

static int
wait_for_cancel(void *arg)
{
	(void)arg;
	return torc_sleep(TORC_NEVER);
}

static int
join_late(void *arg)
{
	torc_deadline when = torc_after_ms(60), before;
	uint64_t id;
	int result = 1;

	(void)arg;
	EXPECT(torc_fiber_spawn(&id, sleep_until, &when) == 0);
	before = torc_after_ms(10);
	EXPECT(torc_fiber_join(id, &result, before) == -ETIMEDOUT);
	EXPECT(torc_sys_now() >= before.at && result == 1);
	EXPECT(torc_fiber_join(id, &result, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == 0);
	EXPECT(torc_sys_now() >= when.at && result == 0);
	return 0;
}

static void
a_join_that_timed_out_can_be_made_again(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(join_late, NULL);
	stop();
}

static int
tell_self(void *arg)
{
	*(uint64_t *)arg = torc_fiber_self();
	return torc_sleep(TORC_NEVER);
}

static int
use_wrong_ids(void *arg)
{
	uint64_t detached = 0, id;
	int result;

	(void)arg;
	EXPECT(torc_fiber_join(12345, &result, TORC_AT_ONCE) == -ESRCH);
	EXPECT(torc_fiber_cancel(12345) == -ESRCH);
	EXPECT(torc_fiber_spawn(NULL, tell_self, &detached) == 0);
	let_others_park();
	EXPECT(detached != 0);
	EXPECT(torc_fiber_join(detached, &result, TORC_AT_ONCE) == -ESRCH);
	EXPECT(torc_fiber_cancel(detached) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_fiber_cancel(detached) == -ESRCH);
	EXPECT(torc_fiber_spawn(&id, wait_for_cancel, NULL) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == 0);
	EXPECT(result == -ECANCELED);
	EXPECT(torc_fiber_cancel(id) == -ESRCH);
	return 0;
}

/* */
static void
an_id_that_names_no_fiber_is_minus_esrch(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(use_wrong_ids, NULL);
	stop();
}

/* The first fiber of a reactor: its slot and generation are both 0. */
static int
cancel_nobody(void *arg)
{
	(void)arg;
	EXPECT(torc_fiber_self() != 0);
	EXPECT(torc_fiber_cancel(0) == -ESRCH);
	EXPECT(torc_fiber_join(0, NULL, TORC_AT_ONCE) == -ESRCH);
	EXPECT(torc_yield() == 0);
	return 0;
}

/* as torc_fiber_self() says outside of fibers. */
static void
the_id_0_is_nobody_s(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(cancel_nobody, NULL);
	stop();
}

/* ---- Yield ---- */

#define YIELDERS 5
#define ROUNDS 20

static struct {
	int log[YIELDERS * ROUNDS];
	int length;
} turns;

static int
take_turns(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		turns.log[turns.length++] = (int)(intptr_t)arg;
		EXPECT(torc_yield() == 0);
	}
	return 0;
}

static int
watch_turns(void *arg)
{
	uint64_t ids[YIELDERS];

	(void)arg;
	for (intptr_t i = 0; i < YIELDERS; i++)
		EXPECT(torc_fiber_spawn(&ids[i], take_turns, (void *)i) == 0);
	for (int i = 0; i < YIELDERS; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, TORC_NEVER) == 0);
	for (int i = 0; i < YIELDERS * ROUNDS; i++)
		EXPECT(turns.log[i] == i % YIELDERS);
	return 0;
}

/* */
static void
who_yields_lets_every_other_ready_fiber_run_first(void **state)
{
	(void)state;
	memset(&turns, 0, sizeof(turns));
	start(NULL);
	on_fiber(watch_turns, NULL);
	assert_int_equal(turns.length, YIELDERS * ROUNDS);
	stop();
}

/* ---- Time ---- */

static int
sleep_again_and_again(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		torc_deadline end = torc_after_ms(50);

		EXPECT(torc_sleep(end) == 0);
		EXPECT(torc_sys_now() >= end.at && torc_now() >= end.at);
	}
	/* A time that has passed, and one that saturates. */
	EXPECT(torc_sleep(TORC_AT_ONCE) == 0);
	EXPECT(torc_sleep(TORC_AT_ONCE) == 0);
	EXPECT(torc_after_ms(UINT64_MAX).at == UINT64_MAX);
	EXPECT(torc_after_us(UINT64_MAX - 1).at == UINT64_MAX);
	EXPECT(torc_after_us(5).at == torc_now() + 5000);
	return 0;
}

/* A62 */
static void
a_sleep_is_never_too_short_and_can_be_repeated(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(sleep_again_and_again, NULL);
	stop();
}

struct nap {
	torc_deadline until;
	int place;		/* in which it ended */
};

static int naps_over;

static int
take_nap(void *arg)
{
	struct nap *nap = arg;
	int rc = torc_sleep(nap->until);

	EXPECT(torc_sys_now() >= nap->until.at);
	nap->place = naps_over++;
	return rc;
}

static int
overlap_naps(void *arg)
{
	const uint64_t now = torc_now();
	struct nap naps[3] = {
		{ torc_at(now + 60 * MS), -1 },
		{ torc_at(now + 20 * MS), -1 },
		{ torc_at(now + 40 * MS), -1 },
	};
	uint64_t ids[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		EXPECT(torc_fiber_spawn(&ids[i], take_nap, &naps[i]) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, TORC_NEVER) == 0);
	EXPECT(naps[1].place == 0 && naps[2].place == 1 &&
	    naps[0].place == 2);
	return 0;
}

/* A62 */
static void
overlapping_sleeps_end_in_the_order_of_their_deadlines(void **state)
{
	(void)state;
	naps_over = 0;
	start(NULL);
	on_fiber(overlap_naps, NULL);
	stop();
}

#define SLEEPERS 1100

static int
sleep_in_crowd(void *arg)
{
	static struct nap naps[SLEEPERS];
	static uint64_t ids[SLEEPERS];
	const uint64_t now = torc_now();

	(void)arg;
	for (int i = 0; i < SLEEPERS; i++) {
		/* The first has the first deadline, and many share one. */
		naps[i] = (struct nap) {
			torc_at(now + 30 * MS +
			(uint64_t)(i + 9) / 10 * MS), -1 };
		EXPECT(torc_fiber_spawn(&ids[i], take_nap, &naps[i]) == 0);
	}
	for (int i = 0; i < SLEEPERS; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, TORC_NEVER) == 0);
	EXPECT(naps[0].place == 0);
	for (int i = 1; i < SLEEPERS; i++)
		EXPECT((naps[i].place + 9) / 10 == (i + 9) / 10);
	return 0;
}

/* A63 */
static void
eleven_hundred_sleeps_begun_in_one_turn_keep_the_first_deadline(void **state)
{
	(void)state;
	naps_over = 0;
	start(NULL);
	on_fiber(sleep_in_crowd, NULL);
	assert_int_equal(naps_over, SLEEPERS);
	stop();
}

/* ---- Single operations ---- */

struct ends {
	int fds[2];
	char *address;		/* a buffer of whoever needs one */
};

static int
change_deadlines(void *arg)
{
	const struct ends *ends = arg;
	const uint64_t one = 1;
	uint64_t count;

	for (int i = 0; i < 50; i++) {
		torc_deadline end = torc_after_ms(i % 2 == 0 ? LONG_MS : 20);

		/* It does not wait, and leaves its timer to the next. */
		EXPECT(write(ends->fds[0], &one, sizeof(one)) ==
		    sizeof(one));
		EXPECT(torc_fd_poll(ends->fds[0], POLLIN, end) == POLLIN);
		EXPECT(read(ends->fds[0], &count, sizeof(count)) ==
		    sizeof(count));
		/* One that ends later than the one before, or earlier. */
		end = torc_after_us(500u + (unsigned)i % 5 * 700u);
		EXPECT(torc_fd_poll(ends->fds[0], POLLIN, end) ==
		    -ETIMEDOUT);
		EXPECT(torc_sys_now() >= end.at);
	}
	return 0;
}

static unsigned naps;

static int
take_a_nap(void *arg)
{
	(void)arg;
	EXPECT(torc_sleep(torc_after_ms(15)) == 0);
	naps++;
	return 0;
}

static int
nap_together(void *arg)
{
	const struct torc_counters *counters =
	    torc_reactor_self()->counters;
	const unsigned count = *(unsigned *)arg;
	uint64_t sqes = counters->sqes;

	naps = 0;
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_spawn(NULL, take_a_nap, NULL) == 0);
	while (naps < count)
		EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	/* But for the wake of a post, perhaps. */
	EXPECT(counters->sqes - sqes <= 2);
	EXPECT(counters->ops == 0);
	return 0;
}

/* A64: what a timeout of the kernel's costs for each of them, none does. */
static void
tens_of_thousands_of_sleeps_at_once_ask_the_kernel_for_nothing(void **state)
{
	struct torc_config config = {
		.fibers = 32768,
		.stack_size = SANITIZED ? 65536 : 16384,
	};
	unsigned count = TIMES(32000);

	(void)state;
	start(&config);
	on_fiber(nap_together, &count);
	stop();
}

/* A64: cancel and re-arm. */
static void
a_deadline_of_an_older_wait_does_not_end_a_later_one(void **state)
{
	struct ends ends = { .fds = { eventfd(0, EFD_CLOEXEC), -1 } };

	(void)state;
	start(NULL);
	on_fiber(change_deadlines, &ends);
	stop();
	close(ends.fds[0]);
}

#define HUGE_SIZE ((size_t)1 << 32)

static int
try_all_operations(void *arg)
{
	const struct ends *pipe_ends = arg;
	char *huge = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char bytes[64] = "";
	int pair[2];
	FILE *file = tmpfile();

	EXPECT(torc_fd_write(pipe_ends->fds[1], "hello", 5, TORC_STREAM,
	    TORC_NEVER) == 5);
	EXPECT(torc_fd_read(pipe_ends->fds[0], bytes, sizeof(bytes),
	    TORC_STREAM, TORC_NEVER) == 5 && memcmp(bytes, "hello", 5) == 0);
	EXPECT(file != NULL);
	EXPECT(torc_fd_write(fileno(file), "0123456789", 10, 0,
	    TORC_NEVER) == 10);
	EXPECT(torc_fd_write(fileno(file), "ab", 2, 4, TORC_NEVER) == 2);
	EXPECT(torc_fd_read(fileno(file), bytes, 4, 3, TORC_NEVER) == 4);
	EXPECT(memcmp(bytes, "3ab6", 4) == 0);
	EXPECT(torc_fd_read(fileno(file), bytes, 4, 10, TORC_NEVER) == 0);
	fclose(file);
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	EXPECT(torc_fd_poll(pair[0], POLLOUT, TORC_NEVER) == POLLOUT);
	EXPECT(torc_fd_send(pair[0], "ping", 4, 0, TORC_NEVER) == 4);
	EXPECT(torc_fd_poll(pair[1], POLLIN, TORC_NEVER) == POLLIN);
	EXPECT(torc_fd_recv(pair[1], bytes, 64, MSG_PEEK, TORC_NEVER) == 4);
	/* a size that 32 bits do not hold, of memory that is there:
	 * the kernel refuses what reaches out of the address space. */
	EXPECT(huge != MAP_FAILED);
	EXPECT(torc_fd_recv(pair[1], huge, HUGE_SIZE, 0, TORC_NEVER) == 4 &&
	    memcmp(huge, "ping", 4) == 0);
	munmap(huge, HUGE_SIZE);
	close(pair[1]);
	/* without SIGPIPE, also where the program did not ask. */
	EXPECT(torc_fd_send(pair[0], "ping", 4, 0, TORC_NEVER) == -EPIPE);
	close(pair[0]);
	EXPECT(torc_fd_recv(pair[0], bytes, 1, 0, TORC_NEVER) == -EBADF);
	return 0;
}

static void
each_operation_has_the_result_of_the_call_of_its_name(void **state)
{
	struct sigaction before;
	struct ends ends;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe2(ends.fds, O_CLOEXEC), 0);
	start(NULL);
	on_fiber(try_all_operations, &ends);
	stop();
	close(ends.fds[0]);
	close(ends.fds[1]);
	sigaction(SIGPIPE, &before, NULL);
}

static int
connect_and_echo(void *arg)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int unused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);
	char bytes[8];

	(void)arg;
	EXPECT(torc_fd_connect(fd, (struct sockaddr *)&address,
	    sizeof(address), torc_after_ms(LONG_MS)) == 0);
	EXPECT(torc_fd_send(fd, "12345678", 8, 0, TORC_NEVER) == 8);
	EXPECT(torc_fd_recv(fd, bytes, 8, MSG_WAITALL, TORC_NEVER) == 8);
	EXPECT(memcmp(bytes, "12345678", 8) == 0);
	close(fd);
	/* A port that is bound, and that nobody listens on. */
	address.sin_port = 0;
	EXPECT(bind(unused, (struct sockaddr *)&address,
	    sizeof(address)) == 0);
	EXPECT(getsockname(unused, (struct sockaddr *)&address, &size) == 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT(torc_fd_connect(fd, (struct sockaddr *)&address,
	    sizeof(address), torc_after_ms(LONG_MS)) == -ECONNREFUSED);
	close(fd);
	close(unused);
	return 0;
}

static void
a_connect_reaches_a_listener_or_is_refused(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(connect_and_echo, NULL);
	stop();
}

static int
time_out_everywhere(void *arg)
{
	const struct ends *ends = arg;
	char bytes[64];
	torc_deadline end;

	for (int i = 0; i < 20; i++) {
		memset(bytes, 0x33, sizeof(bytes));
		end = i % 4 == 0 ? TORC_AT_ONCE : torc_after_us(300);
		EXPECT(torc_fd_recv(ends->fds[0], bytes, sizeof(bytes), 0,
		    end) == -ETIMEDOUT);
		EXPECT(torc_sys_now() >= end.at);
		EXPECT(ops_in_flight(server.reactor) == 0);
		/* What comes now is not written to them, but kept. */
		EXPECT(send(ends->fds[1], "late", 4, MSG_NOSIGNAL) == 4);
		EXPECT(torc_sleep(torc_after_us(300)) == 0);
		for (size_t n = 0; n < sizeof(bytes); n++)
			EXPECT(bytes[n] == 0x33);
		/* Done in the very moment of the deadline is done. */
		EXPECT(torc_fd_recv(ends->fds[0], bytes, sizeof(bytes), 0,
		    TORC_AT_ONCE) == 4);
		EXPECT(memcmp(bytes, "late", 4) == 0);
	}
	return 0;
}

/* */
static void
after_a_timeout_the_operation_is_over_and_its_memory_is_free(void **state)
{
	struct ends ends;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    ends.fds), 0);
	start(NULL);
	on_fiber(time_out_everywhere, &ends);
	assert_true(server_counters(&server).op_cancels >= 20);
	stop();
	close(ends.fds[0]);
	close(ends.fds[1]);
}

/* A peer that sends about when the receiver gives up. */
static struct {
	int fds[2];
	_Atomic uint32_t heard;
	_Atomic bool over;
	unsigned arrivals;
	unsigned timeouts;
} race;

static void *
send_about_then(void *arg)
{
	uint32_t random = 1;

	(void)arg;
	for (uint32_t n = 0; !race.over; n++) {
		const uint8_t byte = (uint8_t)n;

		random = random * 1103515245u + 12345u;
		torc_sys_sleep(random >> 16 & 0xffff);
		if (send(race.fds[1], &byte, 1, MSG_NOSIGNAL) != 1)
			break;
		while (race.heard == n && !race.over)
			sched_yield();
	}
	return NULL;
}

static int
give_up_about_then(void *arg)
{
	(void)arg;
	while (race.arrivals + race.timeouts < TIMES(8000) ||
	    race.arrivals < 20 || race.timeouts < 20) {
		uint8_t byte = 0x55;
		torc_deadline end = torc_after_us(60 +
		    (race.arrivals * 7 + race.timeouts * 13) % 100);
		int rc = torc_fd_recv(race.fds[0], &byte, 1, 0, end);

		if (rc == 1) {
			EXPECT(byte == (uint8_t)race.heard);
			race.heard++;
			race.arrivals++;
		} else {
			EXPECT(rc == -ETIMEDOUT);
			EXPECT(torc_sys_now() >= end.at);
			race.timeouts++;
		}
		/* nothing of it ends the next wait. */
		if ((race.arrivals + race.timeouts) % 16 == 0) {
			end = torc_after_us(50);
			EXPECT(torc_sleep(end) == 0);
			EXPECT(torc_sys_now() >= end.at);
		}
	}
	race.over = true;
	return 0;
}

/* */
static void
a_deadline_that_races_with_the_data_loses_none_and_repeats_none(void **state)
{
	pthread_t peer;

	(void)state;
	memset(&race, 0, sizeof(race));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    race.fds), 0);
	start(NULL);
	assert_int_equal(pthread_create(&peer, NULL, send_about_then, NULL),
	    0);
	on_fiber(give_up_about_then, NULL);
	pthread_join(peer, NULL);
	stop();
	close(race.fds[0]);
	close(race.fds[1]);
}

/* ---- Cancel ---- */

/* A connection attempt that stays unanswered: the backlog is full. */
static struct {
	struct sockaddr_in address;
	int listener;
	int fillers[4];
} deaf;

static void
open_deaf(void)
{
	socklen_t size = sizeof(deaf.address);

	deaf.address = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	deaf.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(deaf.listener,
	    (struct sockaddr *)&deaf.address, size), 0);
	assert_int_equal(getsockname(deaf.listener,
	    (struct sockaddr *)&deaf.address, &size), 0);
	assert_int_equal(listen(deaf.listener, 0), 0);
	for (int i = 0; i < 4; i++) {
		deaf.fillers[i] = socket(AF_INET, SOCK_STREAM |
		    SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(deaf.fillers[i], (struct sockaddr *)&deaf.address,
		    size);
	}
}

static void
close_deaf(void)
{
	for (int i = 0; i < 4; i++)
		close(deaf.fillers[i]);
	close(deaf.listener);
}

enum waiting {
	SLEEPING, YIELDING, JOINING, READING, WRITING, RECEIVING, SENDING,
	CONNECTING, POLLING, DIALLING, WAYS_TO_WAIT,
};

struct waiter {
	enum waiting way;
	bool firstly;		/* cancelled before it waits */
	int empty[2];		/* a pipe that nothing is in */
	int full[2];		/* a pipe with no room */
	int pair[2];		/* sockets, full from 0 to 1 */
	uint64_t other;		/* a fiber that does not end */
	int first;		/* what the wait returned */
	bool waited;
};

static int
wait_some_way(struct waiter *waiter)
{
	static char bytes[65536];
	struct torc_conn *conn;
	int fd, rc;

	switch (waiter->way) {
	case SLEEPING:
		return torc_sleep(TORC_NEVER);
	case YIELDING:
		return torc_yield();
	case JOINING:
		return torc_fiber_join(waiter->other, NULL, TORC_NEVER);
	case READING:
		return torc_fd_read(waiter->empty[0], bytes, 1, TORC_STREAM,
		    TORC_NEVER);
	case WRITING:
		return torc_fd_write(waiter->full[1], bytes, sizeof(bytes),
		    TORC_STREAM, TORC_NEVER);
	case RECEIVING:
		return torc_fd_recv(waiter->pair[0], bytes, 1, 0, TORC_NEVER);
	case SENDING:
		return torc_fd_send(waiter->pair[0], bytes, sizeof(bytes), 0,
		    TORC_NEVER);
	case CONNECTING:
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		rc = torc_fd_connect(fd, (struct sockaddr *)&deaf.address,
		    sizeof(deaf.address), TORC_NEVER);
		close(fd);
		return rc;
	case POLLING:
		return torc_fd_poll(waiter->empty[0], POLLIN, TORC_NEVER);
	case DIALLING:
		snprintf(bytes, sizeof(bytes), "127.0.0.1:%u",
		    ntohs(deaf.address.sin_port));
		return torc_dial(&conn, bytes, TORC_NEVER);
	default:
		return 0;
	}
}

static int
wait_and_tell(void *arg)
{
	struct waiter *waiter = arg;

	waiter->first = wait_some_way(waiter);
	waiter->waited = true;
	/* And from now on, whatever it is. */
	for (unsigned way = 0; way < WAYS_TO_WAIT; way++) {
		waiter->way = (enum waiting)way;
		EXPECT(wait_some_way(waiter) == -ECANCELED);
	}
	EXPECT(torc_sleep(TORC_AT_ONCE) == -ECANCELED);
	EXPECT(torc_sleep(torc_after_ms(1)) == -ECANCELED);
	return 5;
}

static int
cancel_a_wait(void *arg)
{
	struct waiter *waiter = arg;
	uint64_t id;
	int result;

	EXPECT(torc_fiber_spawn(&waiter->other, wait_for_cancel, NULL) == 0);
	EXPECT(torc_fiber_spawn(&id, wait_and_tell, waiter) == 0);
	if (!waiter->firstly) {
		let_others_park();
		EXPECT(torc_sleep(torc_after_ms(2)) == 0);
		EXPECT(!waiter->waited || waiter->way == YIELDING);
	}
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, &result, torc_after_ms(LONG_MS)) == 0);
	EXPECT(result == 5);
	EXPECT(waiter->first == -ECANCELED);
	EXPECT(ops_in_flight(server.reactor) == 0);
	EXPECT(torc_fiber_cancel(waiter->other) == 0);
	EXPECT(torc_fiber_join(waiter->other, &result, TORC_NEVER) == 0);
	EXPECT(result == -ECANCELED);
	return 0;
}

static void
open_waiter(struct waiter *waiter)
{
	static const char bytes[65536];

	assert_int_equal(pipe2(waiter->empty, O_CLOEXEC), 0);
	assert_int_equal(pipe2(waiter->full, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    waiter->pair), 0);
	fcntl(waiter->full[1], F_SETFL, O_NONBLOCK);
	while (write(waiter->full[1], bytes, sizeof(bytes)) > 0)
		continue;
	fcntl(waiter->full[1], F_SETFL, 0);
	while (send(waiter->pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
}

static void
close_waiter(const struct waiter *waiter)
{
	for (int i = 0; i < 2; i++) {
		close(waiter->empty[i]);
		close(waiter->full[i]);
		close(waiter->pair[i]);
	}
}

/* One who is not parked when it is cancelled learns of it at its next wait. */
static void
a_cancel_ends_every_way_to_wait_and_every_later_wait(void **state)
{
	(void)state;
	open_deaf();
	start(NULL);
	for (unsigned way = 0; way < WAYS_TO_WAIT; way++) {
		for (int firstly = 0; firstly < 2; firstly++) {
			struct waiter waiter = {
				.way = (enum waiting)way,
				.firstly = firstly,
			};

			/* A yield does not wait: it cannot be met there. */
			if (way == YIELDING && !firstly)
				continue;
			open_waiter(&waiter);
			on_fiber(cancel_a_wait, &waiter);
			close_waiter(&waiter);
		}
	}
	stop();
	close_deaf();
}

static int
cancel_oneself(void *arg)
{
	(void)arg;
	EXPECT(torc_fiber_cancel(torc_fiber_self()) == 0);
	EXPECT(torc_yield() == -ECANCELED);
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	return 0;
}

static void
a_fiber_can_cancel_itself(void **state)
{
	(void)state;
	start(NULL);
	on_fiber(cancel_oneself, NULL);
	stop();
}

/* ---- Stacks ---- */

static int
fill_up(void *arg)
{
	const unsigned limit = *(unsigned *)arg;
	uint64_t *ids = calloc(limit, sizeof(*ids));
	uint64_t id;
	bool ran = false;

	EXPECT(ids != NULL);
	for (unsigned round = 0; round < 3; round++) {
		/* This one counts, too. */
		for (unsigned i = 1; i < limit; i++)
			EXPECT(torc_fiber_spawn(&ids[i], wait_for_cancel,
			    NULL) == 0);
		EXPECT(torc_fiber_spawn(&id, set_flag, &ran) == -ENOMEM);
		EXPECT(torc_fiber_spawn(NULL, set_flag, &ran) == -ENOMEM);
		EXPECT(torc_fiber_cancel(ids[1]) == 0);
		EXPECT(torc_fiber_join(ids[1], NULL, TORC_NEVER) == 0);
		EXPECT(torc_fiber_spawn(&ids[1], wait_for_cancel, NULL) == 0);
		EXPECT(torc_fiber_spawn(&id, set_flag, &ran) == -ENOMEM);
		for (unsigned i = 1; i < limit; i++) {
			EXPECT(torc_fiber_cancel(ids[i]) == 0);
			EXPECT(torc_fiber_join(ids[i], NULL,
			    TORC_NEVER) == 0);
		}
	}
	EXPECT(!ran);
	free(ids);
	return 0;
}

static void
at_the_limit_spawn_is_minus_enomem_until_one_has_ended(void **state)
{
	struct torc_config config = { .fibers = 100, .stack_size = 16384 };

	(void)state;
	start(&config);
	on_fiber(fill_up, &config.fibers);
	stop();
}

/* Goes down by a page or so at a time, and says how far. */
static __attribute__((noinline)) unsigned
go_down(unsigned levels, volatile const char *above)
{
	volatile char page[4000];

	page[0] = page[3999] = *above;
	if (levels == 0)
		return 0;
	return go_down(levels - 1, page) + (unsigned)(page[0] == *above);
}

static int
go_deep(void *arg)
{
	const unsigned levels = *(unsigned *)arg;

	EXPECT(go_down(levels, "top") == levels);
	return 0;
}

/* On the second stack: below it lies the first, which is in use. */
static int
have_one_go_deep(void *arg)
{
	uint64_t id;

	EXPECT(torc_fiber_spawn(&id, go_deep, arg) == 0);
	EXPECT(torc_fiber_join(id, NULL, TORC_NEVER) == 0);
	return 0;
}

static void
stay_on_the_stack(void)
{
	unsigned levels = SANITIZED ? 16 : 55;

	run_alone(have_one_go_deep, &levels);
}

static void
leave_the_stack(void)
{
	unsigned levels = 70;

	run_alone(have_one_go_deep, &levels);
}

/* 256 KiB, by default. */
static void
a_fiber_that_runs_over_its_stack_dies_by_sigsegv(void **state)
{
	char said[4096];
	int status;

	(void)state;
	assert_int_equal(in_child(stay_on_the_stack, said, sizeof(said)), 0);
	status = in_child(leave_the_stack, said, sizeof(said));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* ---- Ops ---- */

struct probe {
	struct torc_op op;
	unsigned left;		/* times to start it anew */
	unsigned runs;
	int32_t result;
	sem_t *over;
};

static void
count_run(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct probe *probe = torc_container(op, struct probe, op);

	EXPECT(!(flags & IORING_CQE_F_MORE));
	EXPECT(op->state == TORC_OP_FREE);
	probe->runs++;
	probe->result = result;
}

/* Another function of the same kind, so that a mix-up shows. */
static void
count_run_twofold(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct probe *probe = torc_container(op, struct probe, op);

	count_run(op, result, flags);
	probe->runs++;
}

#define GROUPS 8

static struct {
	struct probe *probes;
	unsigned count;
	int fds[GROUPS];
	unsigned group;		/* whose probes are looked at */
} crowd;

static void
start_crowd(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < crowd.count; i++) {
		struct probe *probe = &crowd.probes[i];

		*probe = (struct probe) {
			.op.sqe.opcode = IORING_OP_POLL_ADD,
			.op.sqe.fd = crowd.fds[i % GROUPS],
			.op.sqe.poll32_events = POLLIN,
			.op.done = i % 2 == 0 ? count_run : count_run_twofold,
		};
		EXPECT(torc_op_start(reactor, &probe->op) == 0);
	}
	EXPECT(ops_in_flight(reactor) == crowd.count);
}

/* All of the groups up to this one have run, and none of the others. */
static bool
groups_have_run(struct torc_reactor *reactor, void *arg)
{
	unsigned left = 0;

	(void)arg;
	for (unsigned i = 0; i < crowd.count; i++) {
		const struct probe *probe = &crowd.probes[i];
		unsigned runs = i % 2 == 0 ? 1 : 2;

		if (i % GROUPS > crowd.group) {
			EXPECT(probe->runs == 0);
			left++;
		} else if (probe->runs != runs) {
			return false;
		} else {
			EXPECT(probe->result == POLLIN);
		}
	}
	return ops_in_flight(reactor) == left;
}

/* A65 */
static void
ten_thousand_operations_at_once_each_end_in_their_own_function(void **state)
{
	const uint64_t one = 1;

	(void)state;
	crowd.count = TIMES(10000);
	crowd.probes = calloc(crowd.count, sizeof(*crowd.probes));
	assert_non_null(crowd.probes);
	for (int i = 0; i < GROUPS; i++)
		crowd.fds[i] = eventfd(0, EFD_CLOEXEC);
	start(NULL);
	server_call(&server, start_crowd, NULL);
	assert_all_held();
	for (crowd.group = 0; crowd.group < GROUPS; crowd.group++) {
		assert_int_equal(write(crowd.fds[crowd.group], &one,
		    sizeof(one)), sizeof(one));
		assert_true(server_await(&server, groups_have_run, NULL,
		    LONG_MS));
		assert_all_held();
	}
	assert_int_equal(server_counters(&server).ops, crowd.count);
	stop();
	for (int i = 0; i < GROUPS; i++)
		close(crowd.fds[i]);
	free(crowd.probes);
}

/* The slot of an op is free before its function runs: R-162, and A65. */
static void
start_anew(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct probe *probe = torc_container(op, struct probe, op);
	static uintptr_t lowest, highest;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct torc_op_slot *slot = op->slot;

	count_run(op, result, flags);
	if (probe->runs == 1)
		lowest = highest = here;
	lowest = here < lowest ? here : lowest;
	highest = here > highest ? here : highest;
	if (probe->left-- > 0) {
		EXPECT(torc_op_start(op->reactor, op) == 0);
		EXPECT(op->slot == slot);
		EXPECT(op->state == TORC_OP_SUBMITTED);
		return;
	}
	/* It did not begin inside itself. */
	EXPECT(highest - lowest < 4096);
	sem_post(probe->over);
}

static void
start_probe(struct torc_reactor *reactor, void *arg)
{
	struct probe *probe = arg;

	EXPECT(torc_op_start(reactor, &probe->op) == 0);
}

/* A65 */
static void
a_completion_starts_its_op_anew_in_its_own_slot_without_recursion(
    void **state)
{
	sem_t over;
	struct probe probe = {
		.op.sqe.opcode = IORING_OP_NOP,
		.op.done = start_anew,
		.left = TIMES(100000),
		.over = &over,
	};
	const unsigned runs = probe.left + 1;

	(void)state;
	sem_init(&over, 0, 0);
	start(NULL);
	server_call(&server, start_probe, &probe);
	while (sem_wait(&over) < 0)
		continue;
	assert_all_held();
	assert_int_equal(probe.runs, runs);
	stop();
	sem_destroy(&over);
}

static void
reach_the_limit(struct torc_reactor *reactor, void *arg)
{
	struct probe *probes = arg;

	for (int i = 0; i < 9; i++) {
		probes[i].op.sqe.opcode = IORING_OP_NOP;
		probes[i].op.done = count_run;
		EXPECT(torc_op_start(reactor, &probes[i].op) ==
		    (i < 8 ? 0 : -ENOBUFS));
	}
	EXPECT(probes[8].op.state == TORC_OP_FREE);
}

static void
more_operations_than_allowed_are_minus_enobufs_until_one_ended(void **state)
{
	struct torc_config config = { .ops = 8 };
	struct probe probes[9];

	(void)state;
	start(&config);
	for (int round = 0; round < 3; round++) {
		memset(probes, 0, sizeof(probes));
		server_call(&server, reach_the_limit, probes);
		assert_true(server_await(&server, is_quiet, NULL, LONG_MS));
		assert_all_held();
		for (int i = 0; i < 9; i++)
			assert_int_equal(probes[i].runs, i < 8);
	}
	stop();
}

static void
start_and_cancel(struct torc_reactor *reactor, void *arg)
{
	struct probe *probes = arg;

	for (int i = 0; i < 100; i++) {
		probes[i].op.sqe.opcode = IORING_OP_POLL_ADD;
		probes[i].op.sqe.fd = crowd.fds[0];
		probes[i].op.sqe.poll32_events = POLLIN;
		probes[i].op.done = count_run;
		EXPECT(torc_op_start(reactor, &probes[i].op) == 0);
	}
	for (int i = 0; i < 100; i++) {
		torc_op_cancel(&probes[i].op);
		torc_op_cancel(&probes[i].op);
	}
}

/* also one whose submission is still queued. */
static void
a_cancelled_op_ends_once_by_its_own_completion(void **state)
{
	struct torc_config config = { .sq_entries = 4, .cq_entries = 8 };
	struct probe probes[100];

	(void)state;
	crowd.fds[0] = eventfd(0, EFD_CLOEXEC);
	memset(probes, 0, sizeof(probes));
	start(&config);
	server_call(&server, start_and_cancel, probes);
	assert_true(server_await(&server, is_quiet, NULL, LONG_MS));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(probes[i].runs, 1);
		assert_int_equal(probes[i].result, -ECANCELED);
	}
	assert_int_equal(server_counters(&server).op_cancels, 100);
	stop();
	close(crowd.fds[0]);
}

static void
start_fifty_nops(struct torc_reactor *reactor, void *arg)
{
	struct probe *probes = arg;

	for (int i = 0; i < 50; i++) {
		probes[i].op.sqe.opcode = IORING_OP_NOP;
		probes[i].op.done = count_run;
		EXPECT(torc_op_start(reactor, &probes[i].op) == 0);
	}
}

/* what came in one system call, too. */
static void
a_turn_acts_on_no_more_completions_than_a_batch(void **state)
{
	const struct torc_config config = { .batch = 4 };
	struct torc_counters counters;
	struct probe probes[50];

	(void)state;
	memset(probes, 0, sizeof(probes));
	start(&config);
	server_call(&server, start_fifty_nops, probes);
	assert_true(server_await(&server, is_quiet, NULL, LONG_MS));
	for (int i = 0; i < 50; i++)
		assert_int_equal(probes[i].runs, 1);
	counters = server_counters(&server);
	/* Class 3 has four to seven. */
	assert_true(counters.batches[3] >= 12);
	for (int i = 4; i < TORC_BATCH_CLASSES; i++)
		assert_int_equal(counters.batches[i], 0);
	stop();
}

static _Atomic bool is_awake;

/* Ends only when the sleeper has, or after very long. */
static void
start_until_awake(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct probe *probe = torc_container(op, struct probe, op);

	count_run(op, result, flags);
	if (!is_awake && probe->runs < 20000000)
		EXPECT(torc_op_start(op->reactor, op) == 0);
}

static void
start_storm(struct torc_reactor *reactor, void *arg)
{
	struct probe *probes = arg;

	for (int i = 0; i < 4; i++) {
		probes[i].op.sqe.opcode = IORING_OP_NOP;
		probes[i].op.done = start_until_awake;
		EXPECT(torc_op_start(reactor, &probes[i].op) == 0);
	}
}

static int
sleep_in_a_storm(void *arg)
{
	const struct probe *probes = arg;

	for (int i = 0; i < 20; i++)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	/* It was one all the time. */
	EXPECT(probes[0].op.state != TORC_OP_FREE);
	is_awake = true;
	return 0;
}

/* each turn leaves a completion for the next one. */
static void
a_sleep_ends_although_completions_never_cease(void **state)
{
	const struct torc_config config = { .batch = 1 };
	struct probe probes[4];

	(void)state;
	is_awake = false;
	memset(probes, 0, sizeof(probes));
	start(&config);
	server_call(&server, start_storm, probes);
	on_fiber(sleep_in_a_storm, probes);
	stop();
}

/* ---- Full queues ---- */

struct deserter {
	torc_deadline until;
	int fd;
	int result;
};

static int
give_up_at(void *arg)
{
	struct deserter *deserter = arg;

	deserter->result = torc_fd_poll(deserter->fd, POLLIN,
	    deserter->until);
	EXPECT(torc_sys_now() >= deserter->until.at);
	return 0;
}

static int
give_up_together(void *arg)
{
	const unsigned count = *(unsigned *)arg;
	struct deserter *deserters = calloc(count, sizeof(*deserters));
	uint64_t *ids = calloc(count, sizeof(*ids));
	const torc_deadline until = torc_after_ms(100);
	int fd = eventfd(0, EFD_CLOEXEC);

	EXPECT(deserters != NULL && ids != NULL && fd >= 0);
	for (unsigned i = 0; i < count; i++) {
		deserters[i] = (struct deserter) { until, fd, 0 };
		EXPECT(torc_fiber_spawn(&ids[i], give_up_at,
		    &deserters[i]) == 0);
	}
	for (unsigned i = 0; i < count; i++) {
		EXPECT(torc_fiber_join(ids[i], NULL,
		    torc_after_ms(LONG_MS)) == 0);
		EXPECT(deserters[i].result == -ETIMEDOUT);
	}
	close(fd);
	free(deserters);
	free(ids);
	return 0;
}

/* */
static void
thousands_of_timeouts_at_once_lose_no_cancel_in_a_ring_of_eight(void **state)
{
	struct torc_config config = {
		.sq_entries = 8,
		.cq_entries = 16,
		.stack_size = SANITIZED ? 65536 : 16384,
	};
	unsigned count = TIMES(6000);
	struct torc_counters counters;

	(void)state;
	start(&config);
	on_fiber(give_up_together, &count);
	counters = server_counters(&server);
	assert_int_equal(counters.op_cancels, count);
	assert_true(counters.sq_full > 0);
	assert_true(counters.overflows > 0);
	stop();
}

static void
start_many_nops(struct torc_reactor *reactor, void *arg)
{
	struct probe *probes = arg;

	for (unsigned i = 0; i < 1000; i++) {
		probes[i].op.sqe.opcode = IORING_OP_NOP;
		probes[i].op.done = count_run;
		EXPECT(torc_op_start(reactor, &probes[i].op) == 0);
	}
}

/* A05, A06, R-050, R-053 */
static void
a_thousand_operations_through_four_entries_lose_none(void **state)
{
	static struct probe probes[1000];
	struct torc_config config = { .sq_entries = 4, .cq_entries = 8 };
	struct torc_counters counters;

	(void)state;
	memset(probes, 0, sizeof(probes));
	start(&config);
	server_call(&server, start_many_nops, probes);
	assert_true(server_await(&server, is_quiet, NULL, LONG_MS));
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(probes[i].runs, 1);
		assert_int_equal(probes[i].result, 0);
	}
	counters = server_counters(&server);
	assert_true(counters.sq_full >= 200);
	assert_true(counters.overflows > 0);
	stop();
}

/* ---- Posts ---- */

struct bell {
	struct torc_post post;
	sem_t rung;
	unsigned times;
};

static void
ring_bell(struct torc_reactor *reactor, struct torc_post *post)
{
	struct bell *bell = torc_container(post, struct bell, post);

	EXPECT(torc_reactor_self() == reactor && reactor->current == NULL);
	EXPECT(reactor == server.reactor);
	bell->times++;
	sem_post(&bell->rung);
}

static bool
has_rung(struct bell *bell)
{
	struct timespec limit;
	int rc;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_S;
	do
		rc = sem_timedwait(&bell->rung, &limit);
	while (rc < 0 && errno == EINTR);
	return rc == 0;
}

/* A54, R-035: the poster waits each time, so nothing else wakes it. */
static void
a_post_takes_effect_on_a_reactor_that_has_nothing_else_to_do(void **state)
{
	struct bell bell = { .post.call = ring_bell };
	const unsigned rounds = TIMES(20000);

	(void)state;
	sem_init(&bell.rung, 0, 0);
	start(NULL);
	for (unsigned i = 0; i < rounds; i++) {
		/* Now and then it is really asleep. */
		if (i % 200 == 0)
			pause_ms(1);
		assert_int_equal(torc_reactor_post(server.reactor, &bell.post),
		    0);
		assert_true(has_rung(&bell));
	}
	assert_int_equal(bell.times, rounds);
	assert_int_equal(server_counters(&server).posts,
	    SERVER_POSTS + rounds + 1);
	stop();
	sem_destroy(&bell.rung);
}

static struct bell signal_bell;

/*
 * To the reactor's thread. ThreadSanitizer keeps a signal until the thread
 * calls something that it knows, which the wake brings about.
 */
static void
send_signal(int number)
{
	pthread_kill(server.thread, number);
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
	torc_mailbox_wake(&server.reactor->mailbox);
#endif
}

static void
post_from_handler(int number)
{
	(void)number;
	torc_reactor_post(server.reactor, &signal_bell.post);
}

/* A54 */
static void
a_signal_handler_can_post(void **state)
{
	struct sigaction action = { .sa_handler = post_from_handler };
	struct sigaction before;

	(void)state;
	signal_bell = (struct bell) { .post.call = ring_bell };
	sem_init(&signal_bell.rung, 0, 0);
	start(NULL);
	sigaction(SIGUSR1, &action, &before);
	for (int i = 0; i < 100; i++) {
		/* On this thread, and in the middle of the reactor's own. */
		if (i % 2 == 0)
			raise(SIGUSR1);
		else
			send_signal(SIGUSR1);
		assert_true(has_rung(&signal_bell));
	}
	assert_int_equal(signal_bell.times, 100);
	sigaction(SIGUSR1, &before, NULL);
	stop();
	sem_destroy(&signal_bell.rung);
}

#define PRODUCERS 3u
#define ITEMS 1024u

struct item {
	struct torc_post post;
	struct producer *producer;
	uint64_t number;
	_Atomic bool taken;
};

struct producer {
	pthread_t thread;
	struct torc_reactor *reactor;
	uint64_t accepted;
	_Atomic uint64_t received;	/* the reactor's thread */
	struct item items[ITEMS];
};

static void
receive_item(struct torc_reactor *reactor, struct torc_post *post)
{
	struct item *item = torc_container(post, struct item, post);
	struct producer *producer = item->producer;

	EXPECT(reactor == producer->reactor);
	EXPECT(item->number == producer->received);
	producer->received++;
	item->taken = false;
}

static void *
produce(void *arg)
{
	struct producer *producer = arg;
	const uint64_t limit = now_ms() + LONG_MS;

	for (uint64_t n = 0; ; n++) {
		struct item *item = &producer->items[n % ITEMS];

		while (item->taken) {
			sched_yield();
			if (now_ms() > limit) {
				EXPECT(!item->taken);
				return NULL;
			}
		}
		item->post.call = receive_item;
		item->producer = producer;
		item->number = n;
		item->taken = true;
		if (torc_reactor_post(producer->reactor, &item->post) < 0)
			return NULL;
		producer->accepted++;
	}
}

/* Let the producers post until `count` have come; then end it. */
static uint64_t
race_with_the_end(struct producer *producers, uint64_t count, bool drain)
{
	uint64_t total = 0;

	memset(producers, 0, PRODUCERS * sizeof(*producers));
	start(NULL);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i].reactor = server.reactor;
		assert_int_equal(pthread_create(&producers[i].thread, NULL,
		    produce, &producers[i]), 0);
	}
	while (total < count && broken_line == 0) {
		total = 0;
		sched_yield();
		for (unsigned i = 0; i < PRODUCERS; i++)
			total += producers[i].received;
	}
	torc_reactor_drain(server.reactor, drain ? torc_after_ms(5) :
		    TORC_AT_ONCE);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	server.running = false;
	assert_int_equal(server.result, 0);
	total = 0;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
		assert_int_equal(producers[i].received,
		    producers[i].accepted);
		total += producers[i].received;
	}
	assert_int_equal(server.reactor->counters->posts,
	    SERVER_POSTS + total);
	torc_reactor_destroy(server.reactor);
	assert_all_held();
	return total;
}

/* A55, R-048: what was accepted has run, in order; what was not, has not. */
static void
ten_million_posts_that_race_with_the_end_lose_none(void **state)
{
	struct producer *producers = malloc(PRODUCERS * sizeof(*producers));
	uint64_t total = 0;

	(void)state;
	assert_non_null(producers);
	for (int round = 0; round < 20; round++)
		total += race_with_the_end(producers, TIMES(500000),
		    round % 2 == 0);
	assert_true(total >= TIMES(10000000));
	free(producers);
}

/* An operation that another thread asks for. */
struct errand {
	struct torc_post post;
	struct torc_op op;
	int32_t result;
	struct bell bell;
};

static void
end_errand(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct errand *errand = torc_container(op, struct errand, op);

	EXPECT(!(flags & IORING_CQE_F_MORE));
	errand->result = result;
	sem_post(&errand->bell.rung);
}

static void
begin_errand(struct torc_reactor *reactor, struct torc_post *post)
{
	struct errand *errand = torc_container(post, struct errand, post);

	EXPECT(torc_op_start(reactor, &errand->op) == 0);
}

static int32_t
send_on_errand(unsigned opcode, int fd, const void *data, size_t size,
    uint64_t offset)
{
	struct errand errand = {
		.post.call = begin_errand,
		.op.sqe.opcode = (uint8_t)opcode,
		.op.sqe.fd = fd,
		.op.sqe.addr = (uint64_t)data,
		.op.sqe.len = (uint32_t)size,
		.op.sqe.off = offset,
		.op.done = end_errand,
	};

	sem_init(&errand.bell.rung, 0, 0);
	assert_int_equal(torc_reactor_post(server.reactor, &errand.post), 0);
	assert_true(has_rung(&errand.bell));
	sem_destroy(&errand.bell.rung);
	return errand.result;
}

/* A66 */
static void
another_thread_gets_every_operation_done_by_way_of_a_post(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct __kernel_timespec time = { .tv_nsec = 20 * MS };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bytes[16] = "";
	int ends[2];
	uint64_t end;

	(void)state;
	start(NULL);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	address.sin_port = htons((uint16_t)server.port);
	assert_int_equal(send_on_errand(IORING_OP_CONNECT, fd, &address, 0,
	    sizeof(address)), 0);
	assert_int_equal(send_on_errand(IORING_OP_SEND, fd, "over there", 10,
	    0), 10);
	assert_int_equal(send_on_errand(IORING_OP_RECV, fd, bytes, 10, 0),
	    10);
	assert_memory_equal(bytes, "over there", 10);
	assert_int_equal(send_on_errand(IORING_OP_WRITE, ends[1], "back", 4,
	    TORC_STREAM), 4);
	assert_int_equal(send_on_errand(IORING_OP_READ, ends[0], bytes, 16,
	    TORC_STREAM), 4);
	assert_memory_equal(bytes, "back", 4);
	end = torc_sys_now() + 20 * MS;
	assert_int_equal(send_on_errand(IORING_OP_TIMEOUT, -1, &time, 1, 0),
	    -ETIME);
	assert_true(torc_sys_now() >= end);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	stop();
}

/* ---- The end ---- */

static struct {
	int fd;
	unsigned cleaned;
	unsigned done;
	int spawned;
} ending;

static int
clean_up_at_the_end(void *arg)
{
	EXPECT(torc_fd_poll(ending.fd, POLLIN, TORC_NEVER) == -ECANCELED);
	EXPECT(torc_sleep(torc_after_ms(1)) == -ECANCELED);
	ending.spawned = torc_fiber_spawn(NULL, clean_up_at_the_end, arg);
	ending.cleaned++;
	return 0;
}

static int
spawn_many(void *arg)
{
	for (int i = 0; i < 50; i++)
		EXPECT(torc_fiber_spawn(NULL, clean_up_at_the_end, arg) == 0);
	let_others_park();
	return 0;
}

/* */
static void
a_stop_cancels_every_fiber_and_each_ends_in_its_own_way(void **state)
{
	(void)state;
	memset(&ending, 0, sizeof(ending));
	ending.fd = eventfd(0, EFD_CLOEXEC);
	start(NULL);
	on_fiber(spawn_many, NULL);
	assert_int_equal(ending.cleaned, 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(ending.cleaned, 50);
	assert_int_equal(ending.spawned, -ESHUTDOWN);
	assert_all_held();
	close(ending.fd);
}

/* What a client does that tries again and again. */
static void
try_again(struct torc_op *op, int32_t result, uint32_t flags)
{
	(void)result;
	(void)flags;
	ending.done++;
	torc_op_start(op->reactor, op);
}

static void
start_for_ever(struct torc_reactor *reactor, void *arg)
{
	struct probe *probe = arg;

	probe->op.sqe.opcode = IORING_OP_POLL_ADD;
	probe->op.sqe.fd = ending.fd;
	probe->op.sqe.poll32_events = POLLIN;
	probe->op.done = try_again;
	EXPECT(torc_op_start(reactor, &probe->op) == 0);
}

static void
start_at_the_end(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	start_for_ever(reactor, torc_reactor_data(reactor, NULL));
}

static int
post_last(void *arg)
{
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	EXPECT(torc_reactor_post(server.reactor, arg) == 0);
	return 0;
}

/* In children, since one that does not end cannot be ended otherwise. */
static void
stop_with_an_op_that_is_started_anew(void)
{
	struct probe probe = { .left = 0 };

	ending.fd = eventfd(0, EFD_CLOEXEC);
	start(NULL);
	server_call(&server, start_for_ever, &probe);
	alarm(20);
	if (server_stop(&server) != 0 || ending.done == 0)
		_exit(4);
}

static void
stop_with_an_op_that_is_started_last(void)
{
	struct torc_post post = { .call = start_at_the_end };
	struct probe probe = { .left = 0 };
	struct torc_reactor *reactor;

	ending.fd = eventfd(0, EFD_CLOEXEC);
	if (torc_reactor_create(&reactor, NULL, NULL) < 0)
		_exit(2);
	server.reactor = reactor;
	torc_reactor_set_data(reactor, NULL, &probe);
	torc_fiber_start(reactor, NULL, post_last, &post);
	if (torc_reactor_turn(reactor, TORC_AT_ONCE) != 1)
		_exit(3);
	torc_reactor_stop(reactor);
	alarm(20);
	if (torc_reactor_run(reactor) != 0)
		_exit(4);
	torc_reactor_destroy(reactor);
}

/* whether the start is refused or its op cancelled. */
static void
ops_that_are_started_while_it_stops_do_not_keep_a_reactor(void **state)
{
	char said[512];

	(void)state;
	memset(&ending, 0, sizeof(ending));
	assert_int_equal(in_child(stop_with_an_op_that_is_started_anew, said,
	    sizeof(said)), 0);
	assert_int_equal(in_child(stop_with_an_op_that_is_started_last, said,
	    sizeof(said)), 0);
}

/* ---- Misuse ---- */

static int
start_op_twice(void *arg)
{
	struct torc_op op = { .sqe.opcode = IORING_OP_NOP, .done = count_run };

	(void)arg;
	torc_op_start(torc_current, &op);
	torc_op_start(torc_current, &op);
	return 0;
}

static int
start_op_without_function(void *arg)
{
	struct torc_op op = { .sqe.opcode = IORING_OP_NOP };

	(void)arg;
	torc_op_start(torc_current, &op);
	return 0;
}

static int
join_it(void *arg)
{
	return torc_fiber_join(*(uint64_t *)arg, NULL, TORC_NEVER);
}

static int
join_twice(void *arg)
{
	uint64_t id;

	(void)arg;
	torc_fiber_spawn(&id, wait_for_cancel, NULL);
	torc_fiber_spawn(NULL, join_it, &id);
	torc_fiber_spawn(NULL, join_it, &id);
	return torc_sleep(TORC_NEVER);
}

static int
join_oneself(void *arg)
{
	static uint64_t id;

	(void)arg;
	torc_fiber_spawn(&id, join_it, &id);
	return torc_sleep(TORC_NEVER);
}

static int
turn_inside(void *arg)
{
	(void)arg;
	return torc_reactor_turn(torc_current, TORC_AT_ONCE);
}

/* The control: all of it, as it is meant. */
static int
do_it_properly(void *arg)
{
	struct probe probe = {
		.op.sqe.opcode = IORING_OP_NOP,
		.op.done = count_run,
	};
	uint64_t id;

	(void)arg;
	for (unsigned i = 1; i <= 2; i++) {
		EXPECT(torc_op_start(torc_current, &probe.op) == 0);
		while (probe.runs < i)
			EXPECT(torc_yield() == 0);
	}
	EXPECT(torc_fiber_spawn(&id, wait_for_cancel, NULL) == 0);
	EXPECT(torc_fiber_join(id, NULL, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, NULL, TORC_NEVER) == 0);
	return 0;
}

static void child_starts_twice(void) { run_alone(start_op_twice, NULL); }
static void child_has_no_function(void)
{
	run_alone(start_op_without_function, NULL);
}
static void child_joins_twice(void) { run_alone(join_twice, NULL); }
static void child_joins_itself(void) { run_alone(join_oneself, NULL); }
static void child_turns_inside(void) { run_alone(turn_inside, NULL); }
static void child_is_proper(void) { run_alone(do_it_properly, NULL); }

static void
sleep_in_post(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	torc_sleep(TORC_NEVER);
}

static void
turn_in_post(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	torc_reactor_turn(reactor, TORC_AT_ONCE);
}

static void
run_post(void (*call)(struct torc_reactor *, struct torc_post *))
{
	struct torc_post post = { .call = call };
	struct torc_reactor *reactor;

	if (torc_reactor_create(&reactor, NULL, NULL) < 0 ||
	    torc_reactor_post(reactor, &post) < 0)
		_exit(2);
	torc_reactor_drain(reactor, TORC_NEVER);
	torc_reactor_run(reactor);
}

static void child_sleeps_in_post(void) { run_post(sleep_in_post); }
static void child_turns_in_post(void) { run_post(turn_in_post); }

/* */
static void
misuse_of_fibers_and_ops_stops_the_process_and_says_why(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(in_child(child_is_proper, said, sizeof(said)), 0);
	assert_traps(child_starts_twice, "an op is started twice");
	assert_traps(child_has_no_function, "without a function");
	assert_traps(child_joins_twice, "a fiber is joined twice");
	assert_traps(child_joins_itself, "a fiber joins itself");
	assert_traps(child_sleeps_in_post,
	    "a call that parks was made outside a fiber");
	assert_traps(child_turns_inside, "a turn is taken inside a turn");
	assert_traps(child_turns_in_post, "a turn is taken inside a turn");
}

/* Calls that belong to the reactor's thread, from another one: A57. */
static void
run_beside(void (*body)(void))
{
	start(NULL);
	server_counters(&server);
	body();
	server_stop(&server);
}

static void
start_op_elsewhere(void)
{
	static struct torc_op op = { .done = count_run };

	torc_op_start(server.reactor, &op);
}

static void
cancel_op_elsewhere(void)
{
	static struct probe probe;

	ending.fd = eventfd(0, EFD_CLOEXEC);
	server_call(&server, start_for_ever, &probe);
	torc_op_cancel(&probe.op);
}

static void
spawn_elsewhere(void)
{
	torc_fiber_spawn(NULL, set_flag, NULL);
}

static void
cancel_elsewhere(void)
{
	torc_fiber_cancel(1);
}

static void
sleep_elsewhere(void)
{
	torc_sleep(TORC_AT_ONCE);
}

static void
turn_elsewhere(void)
{
	torc_reactor_turn(server.reactor, TORC_AT_ONCE);
}

static void
listen_elsewhere(void)
{
	torc_listen(server.reactor, "127.0.0.1:0", echo_handler, NULL);
}

static void
destroy_elsewhere(void)
{
	torc_reactor_destroy(server.reactor);
}

static void
set_local_elsewhere(void)
{
	torc_reactor_set_data(server.reactor, NULL, NULL);
}

static void
look_on(void)
{
	char text[256];

	/* What any thread may do. */
	torc_now();
	torc_after_ms(1);
	torc_reactor_self();
	torc_reactor_index(server.reactor);
	torc_reactor_describe(server.reactor, text, sizeof(text));
}

static void child_starts_op(void) { run_beside(start_op_elsewhere); }
static void child_cancels_op(void) { run_beside(cancel_op_elsewhere); }
static void child_spawns(void) { run_beside(spawn_elsewhere); }
static void child_cancels(void) { run_beside(cancel_elsewhere); }
static void child_sleeps(void) { run_beside(sleep_elsewhere); }
static void child_turns(void) { run_beside(turn_elsewhere); }
static void child_listens(void) { run_beside(listen_elsewhere); }
static void child_destroys(void) { run_beside(destroy_elsewhere); }
static void child_sets_local(void) { run_beside(set_local_elsewhere); }
static void child_looks_on(void) { run_beside(look_on); }

/* A57, R-139 */
static void
a_call_on_another_thread_stops_the_process_and_says_so(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(in_child(child_looks_on, said, sizeof(said)), 0);
	assert_traps(child_starts_op, "another thread than the reactor's");
	assert_traps(child_cancels_op, "another thread than the reactor's");
	assert_traps(child_spawns, "outside a reactor's thread");
	assert_traps(child_cancels, "outside a reactor's thread");
	assert_traps(child_sleeps, "outside a fiber");
	assert_traps(child_turns, "another thread than the reactor's");
	assert_traps(child_listens, "another thread than the reactor's");
	assert_traps(child_destroys, "before it has ended");
	assert_traps(child_sets_local, "another thread than the reactor's");
}

#define CLAIM(test) cmocka_unit_test_teardown(test, clear_away)

static int
take_all(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0)
		torc_conn_consume(conn, in.size);
	return TORC_CLOSE;
}

static int
send_without_a_copy(void *arg)
{
	static const char bytes[3000];
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SEND_ZC,
		.fd = *(const int *)arg,
		.addr = (uint64_t)bytes,
		.len = sizeof(bytes),
		.msg_flags = MSG_WAITALL | MSG_NOSIGNAL,
	};

	return torc_op_await(torc_reactor_self(), &sqe,
	    torc_after_ms(20000));
}

/* Its last completion, the notification, has none. */
static void
a_send_without_a_copy_has_the_result_of_the_send(void **state)
{
	int fd, sent;

	(void)state;
	server_start(&server, NULL, take_all, NULL);
	fd = client_open(server.port);
	sent = server_fiber(&server, send_without_a_copy, &fd);
	if (sent == -EINVAL || sent == -EOPNOTSUPP)
		print_message("SKIP: this kernel does not send without a "
		    "copy\n");
	else
		assert_int_equal(sent, 3000);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_send_without_a_copy_has_the_result_of_the_send),
		CLAIM(a_child_never_runs_inside_spawn_and_gives_its_result_once),
		CLAIM(a_join_that_timed_out_can_be_made_again),
		CLAIM(a_fiber_can_fork),
		CLAIM(a_fiber_that_is_reaped_has_ended_even_if_the_reaper_is_cancelled),
		CLAIM(a_fiber_that_is_reaped_in_vain_can_be_reaped_again),
		CLAIM(an_id_that_names_no_fiber_is_minus_esrch),
		CLAIM(the_id_0_is_nobody_s),
		CLAIM(who_yields_lets_every_other_ready_fiber_run_first),
		CLAIM(a_sleep_is_never_too_short_and_can_be_repeated),
		CLAIM(overlapping_sleeps_end_in_the_order_of_their_deadlines),
		CLAIM(eleven_hundred_sleeps_begun_in_one_turn_keep_the_first_deadline),
		CLAIM(tens_of_thousands_of_sleeps_at_once_ask_the_kernel_for_nothing),
		CLAIM(a_deadline_of_an_older_wait_does_not_end_a_later_one),
		CLAIM(each_operation_has_the_result_of_the_call_of_its_name),
		CLAIM(a_connect_reaches_a_listener_or_is_refused),
		CLAIM(after_a_timeout_the_operation_is_over_and_its_memory_is_free),
		CLAIM(a_deadline_that_races_with_the_data_loses_none_and_repeats_none),
		CLAIM(a_cancel_ends_every_way_to_wait_and_every_later_wait),
		CLAIM(a_fiber_can_cancel_itself),
		CLAIM(at_the_limit_spawn_is_minus_enomem_until_one_has_ended),
		CLAIM(a_fiber_that_runs_over_its_stack_dies_by_sigsegv),
		CLAIM(ten_thousand_operations_at_once_each_end_in_their_own_function),
		CLAIM(a_completion_starts_its_op_anew_in_its_own_slot_without_recursion),
		CLAIM(more_operations_than_allowed_are_minus_enobufs_until_one_ended),
		CLAIM(a_cancelled_op_ends_once_by_its_own_completion),
		CLAIM(a_turn_acts_on_no_more_completions_than_a_batch),
		CLAIM(a_sleep_ends_although_completions_never_cease),
		CLAIM(thousands_of_timeouts_at_once_lose_no_cancel_in_a_ring_of_eight),
		CLAIM(a_thousand_operations_through_four_entries_lose_none),
		CLAIM(a_post_takes_effect_on_a_reactor_that_has_nothing_else_to_do),
		CLAIM(a_signal_handler_can_post),
		CLAIM(ten_million_posts_that_race_with_the_end_lose_none),
		CLAIM(another_thread_gets_every_operation_done_by_way_of_a_post),
		CLAIM(a_stop_cancels_every_fiber_and_each_ends_in_its_own_way),
		CLAIM(ops_that_are_started_while_it_stops_do_not_keep_a_reactor),
		CLAIM(misuse_of_fibers_and_ops_stops_the_process_and_says_why),
		CLAIM(a_call_on_another_thread_stops_the_process_and_says_so),
	};

	return cmocka_run_group_tests_name("fibers", tests, NULL, NULL);
}
