/* SPDX-License-Identifier: MIT */
/*
 * test_fallbacks.c - what the kernel refuses is done without: each feature
 * that torc can live without is refused in turn, and then all of them at
 * once, and the same work has the same results.
 *
 * wrap: torc_sys_setup torc_sys_enter torc_sys_register torc_sys_advise
 * wrap: torc_sys_protect torc_sys_socketpair
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/conn.h"
#include "conn/net.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* What can be there or not. The first seven are flags of setup. */
enum {
	NO_SQARRAY = 1 << 0,
	DEFER_TASKRUN = 1 << 1,
	SINGLE_ISSUER = 1 << 2,
	TASKRUN_FLAG = 1 << 3,
	SUBMIT_ALL = 1 << 4,
	R_DISABLED = 1 << 5,
	CQSIZE = 1 << 6,
	COOP_TASKRUN = 1 << 7,	/* itself a fallback */
	REGISTERED_FD = 1 << 8,
	MIN_WAIT = 1 << 9,
	NO_IOWAIT = 1 << 10,
	INCREMENTAL = 1 << 11,
	QUIET_SENDS = 1 << 12,
	LIGHT_GUARDS = 1 << 13,
	FEATURES = 14,
};

static const struct {
	unsigned feature;
	uint32_t flag;
} setup_flags[] = {
	{ NO_SQARRAY, IORING_SETUP_NO_SQARRAY },
	{ DEFER_TASKRUN, IORING_SETUP_DEFER_TASKRUN },
	{ SINGLE_ISSUER, IORING_SETUP_SINGLE_ISSUER },
	{ TASKRUN_FLAG, IORING_SETUP_TASKRUN_FLAG },
	{ SUBMIT_ALL, IORING_SETUP_SUBMIT_ALL },
	{ R_DISABLED, IORING_SETUP_R_DISABLED },
	{ CQSIZE, IORING_SETUP_CQSIZE },
	{ COOP_TASKRUN, IORING_SETUP_COOP_TASKRUN },
};
#define SETUP_FLAGS (sizeof(setup_flags) / sizeof(setup_flags[0]))

static const struct row {
	const char *name;
	unsigned refused;	/* by the kernel */
	unsigned gone;		/* and what torc does not use without it */
	unsigned instead;	/* what it uses then */
} rows[] = {
	{ "nothing", 0, 0, 0 },
	{ "NO_SQARRAY", NO_SQARRAY, 0, 0 },
	{ "DEFER_TASKRUN", DEFER_TASKRUN, QUIET_SENDS, COOP_TASKRUN },
	{ "SINGLE_ISSUER", SINGLE_ISSUER, DEFER_TASKRUN | QUIET_SENDS,
	    COOP_TASKRUN },
	{ "R_DISABLED", R_DISABLED,
	    SINGLE_ISSUER | DEFER_TASKRUN | QUIET_SENDS, COOP_TASKRUN },
	{ "TASKRUN_FLAG", TASKRUN_FLAG, 0, 0 },
	{ "SUBMIT_ALL", SUBMIT_ALL, 0, 0 },
	{ "CQSIZE", CQSIZE, 0, 0 },
	{ "EXT_ARG's minimum wait", MIN_WAIT, 0, 0 },
	{ "NO_IOWAIT", NO_IOWAIT, 0, 0 },
	{ "registered ring descriptor", REGISTERED_FD, 0, 0 },
	{ "incremental buffers", INCREMENTAL, 0, 0 },
	{ "quiet sends", QUIET_SENDS, 0, 0 },
	{ "light guards", LIGHT_GUARDS, 0, 0 },
	{ "everything", (1 << FEATURES) - 1, 0, 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- The kernel that refuses ---- */

static unsigned refused;	/* set while no reactor runs */

/* What torc was seen to use, and was refused. */
static atomic_uint used;
static atomic_uint denied;

/* Between the socket pair of the trial of quiet sends and its submission. */
static _Thread_local bool on_trial;

/* Whether the kernel refuses `feature`, for which it was asked now. */
static bool
deny(unsigned feature)
{
	if (refused & feature)
		atomic_fetch_or(&denied, feature);
	return refused & feature;
}

/* The real kernel has had the call of a feature: the result of it. */
static int
note_use(unsigned feature, int rc)
{
	if (rc >= 0 || rc == -ETIME || rc == -EINTR)
		atomic_fetch_or(&used, feature);
	return rc;
}

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	int rc;

	for (size_t i = 0; i < SETUP_FLAGS; i++) {
		if (params->flags & setup_flags[i].flag &&
		    deny(setup_flags[i].feature))
			return -EINVAL;
	}
	rc = __real_torc_sys_setup(entries, params);
	if (rc >= 0 && refused & MIN_WAIT)
		params->features &= ~(uint32_t)IORING_FEAT_MIN_TIMEOUT;
	if (rc >= 0 && refused & NO_IOWAIT)
		params->features &= ~(uint32_t)IORING_FEAT_NO_IOWAIT;
	return rc;
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	const struct torc_uapi_getevents *extended = arg;
	unsigned asked = 0;

	/* A kernel whose short quiet sends say nothing. */
	if (on_trial) {
		on_trial = false;
		if (deny(QUIET_SENDS))
			return (int)to_submit;
	}
	if (flags & IORING_ENTER_REGISTERED_RING)
		asked |= REGISTERED_FD;
	if (flags & IORING_ENTER_NO_IOWAIT)
		asked |= NO_IOWAIT;
	if (flags & IORING_ENTER_EXT_ARG && extended->min_wait_usec != 0)
		asked |= MIN_WAIT;
	if (deny(asked))
		return -EINVAL;
	return note_use(asked, __real_torc_sys_enter(fd, to_submit,
	    min_complete, flags, arg, arg_size));
}

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	const struct torc_uapi_buf_reg *reg = arg;
	unsigned asked = 0;

	if (opcode == IORING_REGISTER_RING_FDS && deny(REGISTERED_FD))
		return -EINVAL;
	if (opcode == IORING_REGISTER_PBUF_RING &&
	    reg->flags & IOU_PBUF_RING_INC)
		asked = INCREMENTAL;
	if (deny(asked))
		return -EINVAL;
	return note_use(asked, __real_torc_sys_register(fd, opcode, arg,
	    count));
}

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	const unsigned asked = advice == MADV_GUARD_INSTALL ? LIGHT_GUARDS :
	    0;

	if (deny(asked))
		return -EINVAL;
	return note_use(asked, __real_torc_sys_advise(address, size,
	    advice));
}

/* Only stacks are protected, and only if a light guard was refused. */
static atomic_uint heavy_guards;

int
__wrap_torc_sys_protect(void *address, size_t size, int prot)
{
	atomic_fetch_add(&heavy_guards, prot == PROT_NONE);
	return __real_torc_sys_protect(address, size, prot);
}

int
__wrap_torc_sys_socketpair(int fds[2])
{
	on_trial = true;
	return __real_torc_sys_socketpair(fds);
}

/* ---- The work ---- */

/* What was seen of one reactor. */
struct sight {
	unsigned features;
	uint32_t sq_entries;
	uint32_t cq_entries;
	struct torc_counters counters;
	char words[256];
};

static void
look(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct sight *sight = arg;

	sight->features = 0;
	for (size_t i = 0; i < SETUP_FLAGS; i++) {
		if (reactor->ring.setup_flags & setup_flags[i].flag)
			sight->features |= setup_flags[i].feature;
	}
	if (reactor->ring.enter_flags & IORING_ENTER_REGISTERED_RING)
		sight->features |= REGISTERED_FD;
	if (reactor->ring.features & IORING_FEAT_MIN_TIMEOUT)
		sight->features |= MIN_WAIT;
	if (reactor->ring.enter_flags & IORING_ENTER_NO_IOWAIT)
		sight->features |= NO_IOWAIT;
	if (net->buffers.incremental)
		sight->features |= INCREMENTAL;
	if (net->quiet)
		sight->features |= QUIET_SENDS;
	if (atomic_load(&heavy_guards) == 0)
		sight->features |= LIGHT_GUARDS;
	sight->sq_entries = reactor->ring.sq_entries;
	sight->cq_entries = reactor->ring.cq_entries;
	sight->counters = *reactor->counters;
	torc_reactor_describe(reactor, sight->words, sizeof(sight->words));
}

#define CONNECTIONS 6u
#define ROUNDS 8u

/* Small and large messages there and back, on all connections at once. */
static void
echo_on_many_connections(unsigned port)
{
	static const size_t sizes[] = { 1, 100, 16384, 3 };
	static uint8_t data[16384], back[16384];
	uint64_t at = 0;
	int fds[CONNECTIONS];

	for (unsigned i = 0; i < CONNECTIONS; i++)
		fds[i] = client_open(port);
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t size = sizes[round % 4];

		for (unsigned i = 0; i < CONNECTIONS; i++) {
			stream_fill(i, at, data, size);
			client_send(fds[i], data, size);
		}
		for (unsigned i = 0; i < CONNECTIONS; i++) {
			assert_true(client_read(fds[i], back, size));
			assert_true(stream_matches(i, at, back, size));
		}
		at += size;
	}
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		shutdown(fds[i], SHUT_WR);
		assert_true(client_sees_fin(fds[i]));
		close(fds[i]);
	}
}

/* A fiber: nothing comes out of this pipe before the deadline. */
static int
wait_in_vain(void *arg)
{
	const int *ends = arg;
	uint64_t from = torc_now();
	char byte = 0;
	int rc;

	rc = torc_fd_read(ends[0], &byte, 1, (uint64_t)-1, torc_after_ms(20));
	if (rc != -ETIMEDOUT)
		return rc == 0 ? -EIO : rc;
	if (torc_now() < from + 20000000)
		return -ETIME;
	/* The read is over: the byte is for the next one. */
	if (write(ends[1], "x", 1) != 1)
		return -EPIPE;
	rc = torc_fd_read(ends[0], &byte, 1, (uint64_t)-1,
	    torc_after_ms(10000));
	return rc == 1 && byte == 'x' ? 0 : -EBADMSG;
}

static void
let_a_deadline_pass(struct server *server)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(server_fiber(server, wait_in_vain, ends), 0);
	close(ends[0]);
	close(ends[1]);
}

/* A fiber: an echo by way of a connection that torc has dialled. */
static int
talk_to(void *arg)
{
	const torc_deadline deadline = torc_after_ms(10000);
	static uint8_t data[40000];
	struct torc_conn *conn;
	struct torc_slice in = { NULL, 0 };
	size_t got = 0;
	int rc = torc_dial(&conn, arg, deadline);

	if (rc < 0)
		return rc;
	stream_fill(77, 0, data, sizeof(data));
	rc = torc_conn_write(conn, data, sizeof(data), deadline);
	while (rc >= 0 && got < sizeof(data)) {
		rc = torc_conn_recv(conn, &in, deadline);
		if (rc <= 0 || !stream_matches(77, got, in.data, in.size))
			break;
		got += in.size;
		torc_conn_consume(conn, in.size);
	}
	rc = torc_conn_close(conn, deadline);
	return got == sizeof(data) ? rc : -EBADMSG;
}

static void
dial(struct server *from, const struct server *to)
{
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", to->port);
	assert_int_equal(server_fiber(from, talk_to, address), 0);
}

#define BOUNCES 100u

/* A post that goes from one reactor to the other and back. */
struct ball {
	struct torc_post post;
	struct torc_reactor *players[2];
	atomic_uint bounces;
};

static void
play(struct torc_reactor *reactor, struct torc_post *post)
{
	struct ball *ball = torc_container(post, struct ball, post);
	unsigned bounces = atomic_fetch_add(&ball->bounces, 1) + 1;

	if (reactor == ball->players[bounces % 2] && bounces < BOUNCES)
		torc_reactor_post(ball->players[(bounces + 1) % 2],
		    &ball->post);
}

static bool
is_out(struct torc_reactor *reactor, void *arg)
{
	const struct ball *ball = arg;

	(void)reactor;
	return atomic_load(&ball->bounces) == BOUNCES;
}

/* The first bounce is on servers[1], the second on servers[0]. */
static void
post_back_and_forth(struct server *servers)
{
	struct ball ball = {
		.post.call = play,
		.players = { servers[0].reactor, servers[1].reactor },
	};

	assert_int_equal(torc_reactor_post(ball.players[1], &ball.post), 0);
	assert_true(server_await(&servers[0], is_out, &ball, 10000));
	/* The last who posted has come back from it, too. */
	server_counters(&servers[1]);
}

static atomic_bool begun;

/* A handler that takes its time for a request. */
static int
answer_slowly(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, torc_after_ms(10000)) <= 0)
		return -1;
	atomic_store(&begun, true);
	torc_sleep(torc_after_ms(30));
	if (torc_conn_write(conn, "slow", 4, torc_after_ms(10000)) < 0)
		return -1;
	return TORC_CLOSE;
}

static void
listen_slowly(struct torc_reactor *reactor, void *arg)
{
	int index = torc_listen(reactor, "127.0.0.1:0", answer_slowly, NULL);

	*(unsigned *)arg = index < 0 ? 0 : torc_listen_port(reactor, index);
}

static bool
has_begun(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load((atomic_bool *)arg);
}

/* What was begun is finished, and nothing new is accepted. */
static void
drain_in_the_middle_of_a_request(struct server *server)
{
	unsigned port = 0;
	char answer[8];
	int fd;

	atomic_store(&begun, false);
	server_call(server, listen_slowly, &port);
	assert_int_not_equal(port, 0);
	fd = client_open(port);
	client_send(fd, "go", 2);
	shutdown(fd, SHUT_WR);
	assert_true(server_await(server, has_begun, &begun, 10000));
	assert_int_equal(server_drain(server, 10000), 0);
	assert_int_equal(client_read_all(fd, answer, sizeof(answer)), 4);
	assert_memory_equal(answer, "slow", 4);
	close(fd);
}

/* All of it on two reactors; what was seen of the first one. */
static void
work(struct sight *sight)
{
	const struct torc_config config = {
		.sq_entries = 64,
		.cq_entries = 512,
		.batch_us = 100,
		.spin_us = 100,
		.incremental = true,
	};
	const unsigned files = count_fds();
	struct server servers[2];

	server_start(&servers[0], &config, echo_handler, NULL);
	server_start(&servers[1], &config, echo_handler, NULL);
	echo_on_many_connections(servers[0].port);
	let_a_deadline_pass(&servers[0]);
	dial(&servers[1], &servers[0]);
	post_back_and_forth(servers);
	assert_true(server_await_connections(&servers[0], 0));
	server_call(&servers[0], look, sight);
	drain_in_the_middle_of_a_request(&servers[0]);
	assert_int_equal(server_stop(&servers[1]), 0);
	/* Closed rings give their sockets back late, but they do. */
	for (unsigned i = 0; count_fds() != files && i < 5000; i++)
		pause_ms(1);
	assert_int_equal(count_fds(), files);
}

/* ---- The claims ---- */

static void
refuse(unsigned features)
{
	refused = features;
	atomic_store(&used, 0);
	atomic_store(&denied, 0);
	atomic_store(&heavy_guards, 0);
}

static int
refuse_nothing(void **state)
{
	(void)state;
	refuse(0);
	return 0;
}

/* Those that leave a trace at the seam when they are in use. */
#define SEEN (REGISTERED_FD | MIN_WAIT | NO_IOWAIT | INCREMENTAL | \
	LIGHT_GUARDS)

/* The work was done, and each kind of it was really done. */
static void
assert_worked(const struct row *row, const struct sight *sight)
{
	const struct torc_counters *counters = &sight->counters;

	assert_true(counters->accepts > CONNECTIONS);
	assert_true(counters->received >= CONNECTIONS * 2 * 16384);
	assert_true(counters->timeouts > 0 && counters->op_cancels > 0);
	assert_true(counters->posts >= BOUNCES / 2);
	assert_true(counters->spins > 0);
	assert_int_equal(counters->quiet_sends > 0,
	    !!(sight->features & QUIET_SENDS));
	assert_true(counters->quiet_sends + counters->loud_sends > 0);
	assert_int_equal(sight->cq_entries, sight->features & CQSIZE ?
	    512 : 2 * sight->sq_entries);
	if (atomic_load(&used) & row->refused)
		fail_msg("%s: used although it was refused", row->name);
	/* What was seen in use is what the reactor says it has. */
	assert_int_equal(sight->features & SEEN, atomic_load(&used));
}

/* `all`: what there is if nothing is refused. */
static void
assert_without(const struct row *row, const struct sight *all,
    const struct sight *without)
{
	/* A feature that is only used where it is offered is not refused. */
	const unsigned asked = row->refused & all->features &
	    ~(unsigned)(MIN_WAIT | NO_IOWAIT);
	const unsigned gone = row->refused | row->gone;

	/* Of many at once, the first one refused hides the others. */
	if ((row->refused & (row->refused - 1)) == 0 &&
	    (atomic_load(&denied) & asked) != asked)
		fail_msg("%s: not asked for", row->name);
	if (without->features != ((all->features & ~gone) | row->instead))
		fail_msg("%s: features are %#x (%s), not %#x", row->name,
		    without->features, without->words,
		    (all->features & ~gone) | row->instead);
}

/* A02, A08: and each is dropped alone, with what depends on it. */
static void
the_same_work_is_done_whatever_the_kernel_refuses(void **state)
{
	struct sight all, without;

	(void)state;
	work(&all);
	assert_worked(&rows[0], &all);
	assert_int_equal(atomic_load(&denied), 0);
	print_message("here: %s (%#x)\n", all.words, all.features);
	for (size_t i = 1; i < ROWS; i++) {
		if (!(rows[i].refused & all.features)) {
			print_message("SKIP: this kernel has no %s to "
			    "refuse\n", rows[i].name);
			continue;
		}
		refuse(rows[i].refused);
		work(&without);
		assert_worked(&rows[i], &without);
		assert_without(&rows[i], &all, &without);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    the_same_work_is_done_whatever_the_kernel_refuses,
		    refuse_nothing),
	};

	return cmocka_run_group_tests_name("fallbacks", tests, NULL, NULL);
}
