/* SPDX-License-Identifier: MIT */
/*
 * scenarios.c - what programs do, and what their peers do. One is a handler
 * or a fiber, the steps of its peers, and a row in the table at the end.
 *
 * Handlers go by what calls return and nothing else, as programs should:
 * any of them can fail at any time. What is claimed with expect() holds unless
 * the run disturbed something.
 */
#include "tests/sim/script.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "conn/kit/torc_client.h"
#include "sys/sys.h"

#define LATER torc_after_ms(100000)	/* more than anything takes here */
#define SOON 1000000000u		/* ns; nothing here takes so long */
#define TOLERANCE 20000000u	/* ns: in which a loop looks, whatever fails */
#define LARGE 20000u
#define MESSAGE 10u

/* The program's stream, from its beginning. */
static const uint8_t *
program_stream(void)
{
	static uint8_t bytes[LARGE];

	static bool filled;

	for (uint32_t i = 0; i < LARGE && !filled; i++)
		bytes[i] = stream_byte(PROGRAM_KEY, i);
	filled = true;
	return bytes;
}

/* ---- Handlers that answer ---- */

static int
echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* One part for each start of the handler. */
static int
echo_again(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, LATER) <= 0)
		return TORC_CLOSE;
	if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
		return -1;
	torc_conn_consume(conn, in.size);
	return TORC_AGAIN;
}

/* Whole messages only: their rest is waited for with them in view. */
static int
echo_messages(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		while (in.size >= MESSAGE) {
			if (torc_conn_write(conn, in.data, MESSAGE,
			    LATER) < 0)
				return -1;
			torc_conn_consume(conn, MESSAGE);
			in.data += MESSAGE;
			in.size -= MESSAGE;
		}
	}
	return TORC_CLOSE;
}

/* A part of each view at a time, and a pause: bytes heap up. */
static int
echo_slowly(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		while (in.size > 0) {
			size_t size = in.size > 90 ? 90 : in.size;

			if (torc_sleep(torc_after_ms(1)) < 0 ||
			    torc_conn_write(conn, in.data, size, LATER) < 0)
				return -1;
			torc_conn_consume(conn, size);
			in.data += size;
			in.size -= size;
		}
	}
	return TORC_CLOSE;
}

static int
echo_flushed(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		for (size_t i = 0; i < in.size; i += 7) {
			size_t size = in.size - i < 7 ? in.size - i : 7;

			if (torc_conn_write(conn, in.data + i, size,
			    LATER) < 0 || torc_conn_flush(conn, LATER) < 0)
				return -1;
		}
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* How many bytes came until the FIN, in bytes of the program's stream. */
static int
tally(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	size_t size = 0;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		size += in.size;
		torc_conn_consume(conn, in.size);
	}
	return torc_conn_write(conn, program_stream(), size, LATER) < 0 ? -1 :
	    TORC_CLOSE;
}

/* ---- Handlers that send ---- */

static int
send_little(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return torc_conn_write(conn, program_stream(), 100, LATER);
}

/* What is staged, then more than fits, from memory of its own. */
static int
send_large(struct torc_conn *conn, void *arg)
{
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_conn_write(conn, bytes, 33, LATER);
	if (rc == 0)
		rc = torc_conn_write(conn, bytes + 33, LARGE - 33, LATER);
	/* The call has returned: the memory is ours. */
	memset(bytes, 0xee, sizeof(bytes));
	return rc;
}

/* In slices: some that are copied, and some that are not. */
static int
send_slices(struct torc_conn *conn, void *arg)
{
	static const uint32_t sizes[] = { 0, 3, 700, 1, 0, 9000, 20, 30, 4, 5,
		60, 6000 };
	const unsigned count = sizeof(sizes) / sizeof(sizes[0]);
	struct torc_slice slices[13];
	uint8_t bytes[LARGE];
	size_t at = 33;
	int rc;

	(void)arg;
	memcpy(bytes, program_stream(), sizeof(bytes));
	for (unsigned i = 0; i < count; i++) {
		slices[i] = (struct torc_slice) { bytes + at, sizes[i] };
		at += sizes[i];
	}
	slices[count] = (struct torc_slice) { bytes + at, LARGE - at };
	rc = torc_conn_write(conn, bytes, 33, LATER);
	if (rc == 0)
		rc = torc_conn_writev(conn, slices, count + 1, LATER);
	memset(bytes, 0xee, sizeof(bytes));
	return rc;
}

static int
send_static(struct torc_conn *conn, void *arg)
{
	const uint8_t *bytes = program_stream();
	static const uint32_t sizes[] = { 20, 300, 5, 1000, 4000, 1, 674 };
	size_t sent = 0;

	(void)arg;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (torc_conn_write_static(conn, bytes + sent, sizes[i],
		    LATER) < 0)
			return -1;
		sent += sizes[i];
		if (i % 3 == 2 && torc_conn_flush(conn, LATER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

/* Many small ones, with the deadline of all. */
static int
send_bits(struct torc_conn *conn, void *arg)
{
	const uint8_t *bytes = program_stream();

	(void)arg;
	for (size_t sent = 0; sent < 3000; sent += 30) {
		if (torc_conn_write(conn, bytes + sent, 30, LATER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

/* The peer does not read all: the call gives up, and its memory is free. */
static int
send_in_vain(struct torc_conn *conn, void *arg)
{
	torc_deadline deadline = torc_after_ms(30);
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_conn_write(conn, bytes, sizeof(bytes), deadline);
	memset(bytes, 0xee, sizeof(bytes));
	expect(rc == -ETIMEDOUT, "a write to who does not read times out");
	expect(torc_now() < deadline.at + SOON, "and soon");
	rc = torc_conn_write(conn, "x", 1, LATER);
	expect(rc == -ETIMEDOUT, "nothing follows half a write");
	note("%d", rc);
	return rc;
}

/* Far longer than the patience with a peer that takes nothing. */
static int
send_at_a_pace(struct torc_conn *conn, void *arg)
{
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	torc_conn_set_pace(conn, 60, TORC_NO_LIMIT);
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_conn_write(conn, bytes, sizeof(bytes), LATER);
	memset(bytes, 0xee, sizeof(bytes));
	expect(rc == 0, "a steady peer is waited for");
	if (rc == 0)
		rc = torc_conn_flush(conn, LATER);
	return rc < 0 ? rc : TORC_CLOSE;
}

static int
send_at_a_pace_in_vain(struct torc_conn *conn, void *arg)
{
	torc_deadline deadline = torc_after_ms(60);
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	torc_conn_set_pace(conn, 30, TORC_NO_LIMIT);
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_conn_write(conn, bytes, sizeof(bytes), LATER);
	memset(bytes, 0xee, sizeof(bytes));
	expect(rc == -ETIMEDOUT, "a peer that stands still is given up");
	expect(torc_now() < deadline.at + SOON, "when the patience is over");
	rc = torc_conn_write(conn, "x", 1, LATER);
	expect(rc == -ETIMEDOUT, "nothing follows half a write");
	return rc;
}

static int
shut_then_read(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	size_t size = 0;

	(void)arg;
	if (torc_conn_write(conn, program_stream(), 100, LATER) < 0 ||
	    torc_conn_shutdown(conn, LATER) < 0)
		return -1;
	expect(torc_conn_write(conn, "x", 1, LATER) == -EPIPE,
	    "no write after a shutdown");
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		size += in.size;
		torc_conn_consume(conn, in.size);
	}
	note("%zu", size);
	expect(size == 500, "all is read after a shutdown");
	return TORC_CLOSE;
}

static int
write_to_nobody(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0)
		torc_conn_consume(conn, in.size);
	do
		rc = torc_conn_write(conn, program_stream(), 200, LATER);
	while (rc == 0 && torc_sleep(torc_after_ms(1)) == 0 &&
	    torc_conn_flush(conn, LATER) == 0);
	return TORC_CLOSE;
}

/* ---- Handlers that end, wait, hold ---- */

/* Echoes what is short, and waits for the end of what is not. */
static int
hoard_the_long(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		if (in.size > 100)
			continue;
		if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* Waits for something that does not come, until its peer has gone. */
static int
wait_watching(struct torc_conn *conn, void *arg)
{
	struct torc_waiters nobody = { 0 };
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, LATER) > 0) {
		torc_conn_watch_begin(conn, TORC_WATCH_FIN);
		torc_wait(&nobody, LATER);
	}
	return -1;
}

/* The same, and sees what it is told, whether all that came was read or not. */
static int
wait_for_the_end(struct torc_conn *conn, void *arg)
{
	struct torc_waiters nobody = { 0 };
	struct torc_slice in;
	int rc;

	(void)arg;
	if (torc_conn_recv(conn, &in, LATER) <= 0)
		return -1;
	torc_conn_watch_begin(conn, TORC_WATCH_FIN);
	rc = torc_wait(&nobody, LATER);
	expect(rc == -ECANCELED, "a watch ends a wait");
	expect(torc_conn_peer_state(conn) != TORC_PEER_OPEN,
	    "the peer is known to have gone");
	torc_conn_watch_end(conn);
	rc = torc_sleep(torc_after_ms(1));
	expect(rc == 0, "a watch that has ended ends no wait");
	return -1;
}

static int
reset_at_once(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return -1;
}

static int
reset_after_input(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, LATER);
	return -1;
}

static int
close_unread(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, LATER);
	torc_conn_write(conn, program_stream(), 50, LATER);
	return TORC_CLOSE;
}

static int
wait_in_vain(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, torc_after_ms(20));

	(void)arg;
	note("%d", rc);
	expect(rc == -ETIMEDOUT || rc > 0, "a receive has a deadline");
	torc_conn_write(conn, program_stream(), 10, LATER);
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0)
		continue;
	expect(rc == 0 && in.size == 5,
	    "after its deadline, a receive can be repeated");
	return TORC_CLOSE;
}

/* What came well before a deadline is not told that it came too late. */
static int
read_in_time(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = 1;

	(void)arg;
	while (rc > 0 || rc == -ETIMEDOUT) {
		torc_deadline deadline = torc_after_ms(60);

		rc = torc_conn_recv(conn, &in, deadline);
		if (rc == -ETIMEDOUT)
			expect(unread_since(torc_conn_fd(conn)) >
			    deadline.at - TOLERANCE, "what is there is taken "
			    "before its deadline is looked at");
		else if (rc > 0)
			torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* More than it may hold, and nothing consumed. */
static int
hold_too_much(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	do
		rc = torc_conn_recv(conn, &in, LATER);
	while (rc > 0);
	note("%d", rc);
	expect(rc == -ENOBUFS, "who holds too much is told");
	return -1;
}

/* ---- Fibers ---- */

static int
write_elsewhere(void *arg)
{
	struct torc_conn *conn = arg;
	const uint8_t *bytes = program_stream();
	int rc = 0;

	for (size_t sent = 0; rc == 0 && sent < 1000; sent += 100) {
		rc = torc_conn_write(conn, bytes + sent, 100, LATER);
		if (rc == 0)
			rc = torc_conn_flush(conn, LATER);
		if (rc == 0)
			rc = torc_yield();
	}
	return rc;
}

/* One fiber reads, another writes. */
static int
two_ways(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	uint64_t writer;
	int rc;

	(void)arg;
	if (torc_fiber_spawn(&writer, write_elsewhere, conn) < 0)
		return -1;
	while (torc_conn_recv(conn, &in, LATER) > 0)
		torc_conn_consume(conn, in.size);
	do
		rc = torc_fiber_join(writer, NULL, TORC_NEVER);
	while (rc == -ECANCELED && torc_fiber_cancel(writer) == 0 &&
	    torc_yield() == 0);
	/* Canceled: the other one ends soon, and must have before us. */
	return rc < 0 ? -1 : TORC_CLOSE;
}

static uint32_t
pick(uint32_t *mood, uint32_t n)
{
	*mood = *mood * 1103515245 + 12345;
	return (*mood >> 16) % n;
}

#define GENERATIONS 3u
#define CHILDREN 3u

static struct torc_waiters lot;
static unsigned family;		/* fibers that are alive */

/* A fiber that changes its mind, and those it has made. */
struct parent {
	uint64_t children[CHILDREN];
	unsigned count;
	uint32_t mood;
	unsigned generation;
};

static int
bear(struct parent *parent, torc_fiber_entry *entry)
{
	uintptr_t child = (parent->mood << 2 & ~3u) | (parent->generation + 1);

	if (parent->generation < GENERATIONS && parent->count < CHILDREN &&
	    torc_fiber_spawn(&parent->children[parent->count], entry,
	    (void *)child) == 0)
		parent->count++;
	return 0;
}

static void
see_result(int result)
{
	expect(result == 0 || result == -ECANCELED,
	    "a fiber's result is what it returned");
}

static int
join_for_a_while(struct parent *parent)
{
	int result, rc;

	if (parent->count == 0)
		return 0;
	rc = torc_fiber_join(parent->children[parent->count - 1], &result,
	    torc_after_ms(pick(&parent->mood, 3)));
	if (rc == 0) {
		see_result(result);
		parent->count--;
	}
	return rc == -ETIMEDOUT ? 0 : rc;
}

static int
wait_for_a_while(struct parent *parent)
{
	int rc = torc_wait(&lot, torc_after_ms(pick(&parent->mood, 4)));

	expect(rc == 7 || rc == -ETIMEDOUT || rc == -ECANCELED,
	    "who waits is told what the waker says");
	return rc == -ECANCELED ? rc : 0;
}

static int
live(struct parent *parent, torc_fiber_entry *entry)
{
	switch (pick(&parent->mood, 10)) {
	case 0:
		return torc_yield();
	case 1:
		return torc_sleep(torc_after_ms(pick(&parent->mood, 4)));
	case 2:
		if (parent->count > 0)
			torc_fiber_cancel(parent->children[
			    pick(&parent->mood, parent->count)]);
		return 0;
	case 3:
		return join_for_a_while(parent);
	case 4:
		return wait_for_a_while(parent);
	case 5:
		torc_wake(&lot, 7);
		return 0;
	default:
		return bear(parent, entry);
	}
}

/* All that fibers can do to each other; none outlives who made it. */
static int
restless(void *arg)
{
	struct parent parent = {
		.mood = (uint32_t)(uintptr_t)arg,
		.generation = (uintptr_t)arg & 3,
	};
	int result, rc = 0;

	family++;
	for (unsigned i = 0; rc == 0 && i < 14; i++)
		rc = live(&parent, restless);
	while (parent.count > 0) {
		int gone = torc_fiber_reap(parent.children[--parent.count],
		    &result, TORC_NEVER);

		expect(gone == 0, "a fiber is there until it was joined");
		see_result(result);
	}
	family--;
	return rc;
}

static int
raise_families(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 5; i++) {
		uintptr_t seed = (torc_now() & 0xffffff) << 2;
		uint64_t id;
		int rc = torc_fiber_spawn(&id, restless, (void *)seed);

		if (rc == 0)
			rc = torc_fiber_join(id, NULL, LATER);
		if (rc == -ECANCELED)
			torc_fiber_reap(id, NULL, TORC_NEVER);
		expect(family == 0, "who was made has ended");
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint64_t left_at;	/* by the last other fiber; 0: not yet */

static void
see_dismissal(void)
{
	expect(left_at != 0, "a daemon lives while another fiber does");
	expect(torc_now() < left_at + 1000000000u,
	    "a drain ends the daemons when nothing else is left");
}

static int
tick_for_ever(void *arg)
{
	(void)arg;
	while (torc_sleep(torc_after_ms(3)) == 0)
		continue;
	see_dismissal();
	return 0;
}

static int
wait_for_ever(void *arg)
{
	struct torc_waiters nobody = { NULL, NULL };

	(void)arg;
	torc_wait(&nobody, TORC_NEVER);
	see_dismissal();
	return 0;
}

/* Of what a daemon makes, each is one. */
static int
make_daemons(void *arg)
{
	(void)arg;
	expect(torc_fiber_spawn(NULL, tick_for_ever, NULL) == 0,
	    "a daemon is spawned");
	return wait_for_ever(NULL);
}

static int
leave_daemons(void *arg)
{
	int rc;

	(void)arg;
	left_at = 0;
	rc = torc_fiber_spawn_daemon(NULL, make_daemons, NULL);
	expect(rc == 0, "a daemon is spawned");
	torc_reactor_drain(torc_reactor_self(), LATER);
	rc = torc_sleep(torc_after_ms(20));
	left_at = torc_now();
	return rc;
}

static int
sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(torc_after_ms(50000));
}

static int
sleep_short(void *arg)
{
	(void)arg;
	return torc_sleep(torc_after_ms(5)) < 0 ? -1 : 42;
}

static int
spawn_and_join(void *arg)
{
	uint64_t shorter, longer;
	int result = 0, rc;

	(void)arg;
	rc = torc_fiber_spawn(&shorter, sleep_short, NULL);
	expect(rc == 0, "a fiber is spawned");
	if (rc == 0) {
		rc = torc_fiber_join(shorter, &result, LATER);
		expect(rc == 0 && result == 42, "its result is taken");
	}
	rc = torc_fiber_spawn(&longer, sleep_long, NULL);
	expect(rc == 0, "another one is spawned");
	if (rc < 0)
		return rc;
	rc = torc_fiber_join(longer, NULL, torc_after_ms(5));
	expect(rc == -ETIMEDOUT, "a join has a deadline");
	torc_fiber_cancel(longer);
	rc = torc_fiber_join(longer, &result, LATER);
	expect(rc == 0 && result == -ECANCELED, "a canceled one ends");
	note("%d %d", rc, result);
	return 0;
}

static int
sleep_in_order(void *arg)
{
	uint64_t before = torc_now();

	(void)arg;
	for (unsigned ms = 1; ms < 40; ms *= 3) {
		torc_deadline until = torc_after_ms(ms);

		if (torc_sleep(until) < 0)
			return -1;
		expect(torc_passed(until), "no sleep is too short");
	}
	expect(torc_now() - before < 1000000000u, "none is much too long");
	return 0;
}

/* ---- A handler that changes its mind ---- */

struct attempt {
	struct torc_conn *conn;
	struct torc_slice in;
	uint32_t mood;
	int rc;
};

static int
receive_for_another(void *arg)
{
	struct attempt *attempt = arg;

	attempt->rc = torc_conn_recv(attempt->conn, &attempt->in, LATER);
	return 0;
}

/* By a fiber that is cancelled soon: before it begins, or when bytes come. */
static int
receive_until_cancelled(struct attempt *attempt)
{
	uint64_t fiber;
	int rc;

	if (torc_fiber_spawn(&fiber, receive_for_another, attempt) < 0)
		return -ETIMEDOUT;
	rc = torc_sleep(torc_after_ms(pick(&attempt->mood, 4)));
	torc_fiber_reap(fiber, NULL, TORC_NEVER);
	if (rc < 0)
		return rc;
	return attempt->rc == -ECANCELED ? -ETIMEDOUT : attempt->rc;
}

/* -ETIMEDOUT: nothing came for now. */
static int
receive_somehow(struct attempt *attempt)
{
	switch (pick(&attempt->mood, 4)) {
	case 0:
		return receive_until_cancelled(attempt);
	case 1:
		return torc_conn_recv(
		    attempt->conn, &attempt->in, TORC_AT_ONCE);
	default:
		return torc_conn_recv(attempt->conn, &attempt->in,
		    torc_after_ms(pick(&attempt->mood, 4)));
	}
}

/* -ETIMEDOUT: not all was sent, or nobody waited for it. */
static int
send_somehow(struct attempt *attempt)
{
	switch (pick(&attempt->mood, 4)) {
	case 0:
		return torc_conn_flush(attempt->conn,
		    torc_after_ms(pick(&attempt->mood, 3)));
	case 1:
		torc_conn_push(attempt->conn);
		return -ETIMEDOUT;
	default:
		return -ETIMEDOUT;
	}
}

/*
 * All ways in which a receive can end early, in turns with some of what it
 * showed: nothing is shown twice, nothing is lost, no end is seen too early.
 */
static int
echo_fickly(struct torc_conn *conn, void *arg)
{
	struct attempt attempt = { .conn = conn, .mood = (uint32_t)torc_now() };
	struct torc_slice *in = &attempt.in;
	bool first = true;

	(void)arg;
	for (;;) {
		size_t seen = in->size;
		size_t size;
		int rc = receive_somehow(&attempt);

		if (rc < 0 && rc != -ETIMEDOUT)
			return rc == -ESHUTDOWN ? TORC_CLOSE : -1;
		expect(rc <= 0 || in->size == (size_t)rc,
		    "a receive returns what is in view");
		expect(rc <= 0 || in->size > seen, "it shows something new");
		expect(first || rc > 0 || in->size == seen,
		    "or what was seen before");
		first = false;
		size = rc == 0 || pick(&attempt.mood, 3) == 0 ? in->size :
		    pick(&attempt.mood, (uint32_t)in->size + 1);
		if (torc_conn_write(conn, in->data, size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, size);
		in->data += size;
		in->size -= size;
		if (rc == 0)
			return TORC_CLOSE;
		rc = send_somehow(&attempt);
		if (rc < 0 && rc != -ETIMEDOUT)
			return -1;
		if (in->size == 0 && pick(&attempt.mood, 8) == 0)
			return TORC_AGAIN;
	}
}

/* ---- Posts ---- */

static struct torc_reactor *post_target;
static struct torc_post posts[4];
static unsigned posts_run;

static void
count_post(struct torc_reactor *reactor, struct torc_post *post)
{
	expect(post == &posts[posts_run], "posts run in order");
	expect(reactor == torc_reactor_self(), "on their reactor");
	posts_run++;
}

static void
post_one(void *arg)
{
	struct torc_post *post = arg;

	post->call = count_post;
	expect(torc_reactor_post(post_target, post) == 0, "a post is taken");
}

static int
await_posts(void *arg)
{
	(void)arg;
	post_target = torc_reactor_self();
	posts_run = 0;
	for (unsigned i = 0; i < 4; i++) {
		from_elsewhere(post_one, &posts[i]);
		if (i % 2 == 1 && torc_sleep(torc_after_ms(3)) < 0)
			return -1;
	}
	for (unsigned i = 0; i < 1000 && posts_run < 4; i++) {
		if (torc_sleep(torc_after_ms(10)) < 0)
			return -1;
	}
	expect(posts_run == 4, "all posts run");
	return 0;
}

static struct torc_waiters news;

static void
tell_news(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	torc_wake(&news, 7);
}

static void
post_news(void *arg)
{
	struct torc_post *post = arg;

	post->call = tell_news;
	expect(torc_reactor_post(post_target, post) == 0, "a post is taken");
}

/* A post, and nothing else, ends each wait. */
static int
await_news(void *arg)
{
	int rc = 7;

	(void)arg;
	post_target = torc_reactor_self();
	for (unsigned i = 0; rc == 7 && i < 4; i++) {
		from_elsewhere(post_news, &posts[0]);
		rc = torc_wait(&news, LATER);
		expect(rc == 7, "a post runs soon");
	}
	return rc == 7 ? 0 : rc;
}

static int event_fd;

static void
write_event(void *arg)
{
	(void)arg;
	program_write_event(event_fd);
}

/* Something else in the program writes to an eventfd now and then. */
static int
await_events(void *arg)
{
	uint64_t count;
	int rc = 8;

	(void)arg;
	event_fd = program_eventfd();
	if (event_fd < 0)
		return event_fd;
	for (unsigned i = 0; rc == 8 && i < 4; i++) {
		from_elsewhere(write_event, NULL);
		rc = torc_fd_read(event_fd, &count, sizeof(count), TORC_STREAM,
		    LATER);
		expect(rc == 8, "an event is seen soon");
	}
	program_close(event_fd);
	return rc == 8 ? 0 : rc;
}

/* ---- Dialling ---- */

/* Send a stream, read one as long, close in order. */
static int
talk_to(const char *address)
{
	const uint8_t *bytes = program_stream();
	struct torc_conn *conn;
	struct torc_slice in;
	size_t size = 0;
	int rc = torc_dial(&conn, address, LATER);

	expect(rc == 0, "a peer that is there is reached");
	if (rc < 0)
		return rc;
	for (size_t sent = 0; rc >= 0 && sent < 700; sent += 50) {
		rc = torc_conn_write(conn, bytes + sent, 50, LATER);
		while (rc >= 0 && size < sent + 50 &&
		    (rc = torc_conn_recv(conn, &in, LATER)) > 0) {
			size += in.size;
			torc_conn_consume(conn, in.size);
		}
		if (rc == 0 && size < sent + 50)
			break;
	}
	expect(size == 700, "it answers");
	rc = torc_conn_close(conn, torc_after_ms(1000));
	expect(rc == 0, "the connection is closed in order");
	note("%zu %d", size, rc);
	return rc;
}

static int
dial_peer(void *arg)
{
	(void)arg;
	return talk_to(peer_address());
}

static int
dial_ourselves(void *arg)
{
	(void)arg;
	return talk_to(program_address(0));
}

static int
dial_nobody(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_dial(&conn, "127.0.0.1:1", LATER);

	(void)arg;
	note("%d", rc);
	expect(rc == -ECONNREFUSED, "where nobody listens, it is refused");
	if (rc == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

static int
dial_and_reset(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_dial(&conn, peer_address(), LATER);

	(void)arg;
	expect(rc == 0, "a peer that is there is reached");
	if (rc == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

/* Nobody flushes what it wrote, nor closes it: the reactor's end does. */
static int
dial_and_leave(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_dial(&conn, peer_address(), LATER);

	(void)arg;
	expect(rc == 0, "a peer that is there is reached");
	if (rc == 0)
		rc = torc_conn_write(conn, program_stream(), 100, LATER);
	torc_reactor_drain(torc_reactor_self(), LATER);
	return rc;
}

/* Close while a large write of another fiber is under way. */
static int
dial_and_give_up(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_dial(&conn, peer_address(), LATER);

	(void)arg;
	if (rc < 0)
		return rc;
	rc = torc_conn_write(conn, program_stream(), LARGE,
	    torc_after_ms(10));
	expect(rc == -ETIMEDOUT, "a peer that does not read is given up");
	torc_conn_close(conn, torc_after_ms(10));
	return 0;
}

/* What a peer sends goes to another one, and back. */
static int
relay(struct torc_conn *conn, void *arg)
{
	struct torc_conn *other;
	struct torc_slice in;
	int rc = torc_dial(&other, peer_address(), LATER);

	(void)arg;
	if (rc < 0)
		return -1;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0) {
		rc = torc_conn_write(other, in.data, in.size, LATER);
		torc_conn_consume(conn, in.size);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = torc_conn_shutdown(other, LATER);
	while (rc >= 0 && (rc = torc_conn_recv(other, &in, LATER)) > 0) {
		rc = torc_conn_write(conn, in.data, in.size, LATER);
		torc_conn_consume(other, in.size);
	}
	torc_conn_close(other, rc < 0 ? TORC_AT_ONCE : torc_after_ms(1000));
	return rc < 0 ? -1 : TORC_CLOSE;
}

/* ---- Operations on descriptors ---- */

/*
 * Descriptors that several fibers use: the last one closes them. A fiber that
 * is cancelled cannot wait for another one, so nobody waits.
 */
struct pair {
	int fds[2];
	unsigned users;
};
static struct pair pairs[4];

static struct pair *
pair_open(void)
{
	struct pair *pair = pairs;

	while (pair->users > 0)
		pair++;
	if (program_pair(pair->fds) < 0)
		return NULL;
	pair->users = 1;
	return pair;
}

static int
pair_leave(struct pair *pair, int result)
{
	if (--pair->users == 0) {
		program_close(pair->fds[0]);
		program_close(pair->fds[1]);
	}
	return result;
}

static int
pair_spawn(struct pair *pair, uint64_t *id, torc_fiber_entry *entry)
{
	int rc = torc_fiber_spawn(id, entry, pair);

	if (rc == 0)
		pair->users++;
	return rc;
}

static int
send_on(void *arg)
{
	struct pair *pair = arg;
	int rc = torc_sleep(torc_after_ms(3));

	if (rc == 0)
		rc = torc_fd_send(pair->fds[1], "hello", 5, MSG_WAITALL,
		    LATER);
	return pair_leave(pair, rc);
}

static int
use_descriptors(void *arg)
{
	struct pair *pair = pair_open();
	uint64_t sender;
	char text[8];
	int rc;

	(void)arg;
	if (pair == NULL)
		return -1;
	rc = torc_fd_recv(pair->fds[0], text, sizeof(text), 0,
	    torc_after_ms(5));
	expect(rc == -ETIMEDOUT, "a receive has a deadline");
	rc = torc_fd_recv(pair->fds[0], text, sizeof(text), MSG_DONTWAIT,
	    LATER);
	expect(rc == -EAGAIN, "or none is wanted");
	if (pair_spawn(pair, &sender, send_on) == 0) {
		rc = torc_fd_poll(pair->fds[0], POLLIN, LATER);
		expect(rc > 0 && (rc & POLLIN), "it becomes readable");
		rc = torc_fd_recv(pair->fds[0], text, sizeof(text), 0, LATER);
		expect(rc > 0 && memcmp(text, "hello", (size_t)rc) == 0,
		    "what was sent arrives");
		torc_fiber_join(sender, NULL, LATER);
	}
	rc = torc_fd_write(pair->fds[0], "ab", 2, TORC_STREAM, LATER);
	expect(rc == 2 || rc == 1, "a write");
	if (rc > 0) {
		rc = torc_fd_read(pair->fds[1], text, 8, TORC_STREAM, LATER);
		expect(rc > 0 && text[0] == 'a', "a read");
	}
	return pair_leave(pair, 0);
}

static int
receive_for_ever(void *arg)
{
	struct pair *pair = arg;
	char text[64];
	int rc = torc_fd_recv(pair->fds[0], text, sizeof(text), 0,
	    TORC_NEVER);

	memset(text, 0xee, sizeof(text));
	return pair_leave(pair, rc);
}

/* Memory of an operation is on the stack of a fiber that is cancelled. */
static int
cancel_operations(void *arg)
{
	struct pair *pair = pair_open();
	unsigned count = 0;
	uint64_t ids[6];
	int result = 0;

	(void)arg;
	if (pair == NULL)
		return -1;
	while (count < 6 && pair_spawn(pair, &ids[count],
	    receive_for_ever) == 0)
		count++;
	torc_sleep(torc_after_ms(1));
	for (unsigned i = 0; i < count; i++)
		torc_fiber_cancel(ids[i]);
	for (unsigned i = 0; i < count; i++) {
		if (torc_fiber_join(ids[i], &result, TORC_NEVER) == 0)
			expect(result == -ECANCELED || result == -ENOBUFS,
			    "a canceled receive ends");
	}
	return pair_leave(pair, 0);
}

/* A send that nobody reads ends by its deadline, with what was sent. */
static int
send_with_deadline(void *arg)
{
	torc_deadline deadline = torc_after_ms(5);
	struct pair *pair = pair_open();
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	if (pair == NULL)
		return -1;
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_fd_send(pair->fds[0], bytes, sizeof(bytes), MSG_WAITALL,
	    deadline);
	memset(bytes, 0xee, sizeof(bytes));
	expect(rc > 0 && rc < (int)LARGE, "it says how much was sent");
	expect(torc_now() < deadline.at + SOON, "and soon");
	return pair_leave(pair, rc);
}

static int
read_slowly(void *arg)
{
	struct pair *pair = arg;
	char text[10];
	int rc = 0;

	for (unsigned i = 0; rc >= 0 && i < 60; i++) {
		rc = torc_fd_recv(pair->fds[1], text, sizeof(text), 0,
		    torc_after_ms(50));
		if (rc > 0)
			rc = torc_sleep(torc_after_ms(1));
	}
	return pair_leave(pair, rc);
}

/* The deadline comes while the other end makes room again and again. */
static int
send_slowly_read(void *arg)
{
	torc_deadline deadline = torc_after_ms(30);
	uint64_t reader;
	struct pair *pair = pair_open();
	uint8_t bytes[LARGE];
	int rc;

	(void)arg;
	if (pair == NULL)
		return -1;
	if (pair_spawn(pair, &reader, read_slowly) < 0)
		return pair_leave(pair, -1);
	memcpy(bytes, program_stream(), sizeof(bytes));
	rc = torc_fd_send(pair->fds[0], bytes, sizeof(bytes), MSG_WAITALL,
	    deadline);
	memset(bytes, 0xee, sizeof(bytes));
	expect(rc > 0 && rc < (int)LARGE, "it says how much was sent");
	expect(torc_now() < deadline.at + SOON, "and soon");
	torc_fiber_join(reader, NULL, LATER);
	return pair_leave(pair, 0);
}

static int
connect_by_hand(void *arg)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = program_socket();
	int rc;

	(void)arg;
	if (fd < 0)
		return fd;
	rc = torc_fd_connect(fd, (const struct sockaddr *)&address,
	    sizeof(address), LATER);
	expect(rc == -ECONNREFUSED, "nobody listens there");
	program_close(fd);
	return 0;
}

/* Another program takes the path of our first listener over. */
static int
be_succeeded(void *arg)
{
	(void)arg;
	torc_sleep(torc_after_ms(2));
	program_replace_file(0);
	return 0;
}

static int
listen_late(void *arg)
{
	int rc = torc_listen(torc_reactor_self(), "127.0.0.1:0", echo, arg);

	expect(rc == 1, "one can listen at any time");
	return 0;
}

/* Dial a listener of ours, and see that it answers, or that it does not. */
static int
try_listener(int listener, bool listens)
{
	char address[40];
	struct torc_conn *conn;
	int rc;

	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(torc_reactor_self(), listener));
	if (listens)
		return talk_to(address);
	rc = torc_dial(&conn, address, LATER);
	expect(rc == -ECONNREFUSED, "a listener that was closed is refused");
	if (rc == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return rc == 0 ? -EISCONN : 0;
}

/* One connection that was accepted before lives on. */
static int
listen_for_a_while(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_conn *conn;
	struct torc_slice in;
	char address[40];
	int listener, rc;

	(void)arg;
	listener = torc_listen(reactor, "127.0.0.1:0", echo, NULL);
	if (listener < 0)
		return listener;
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(reactor, listener));
	rc = try_listener(listener, true);
	if (rc < 0 || torc_dial(&conn, address, LATER) < 0)
		return rc;
	rc = torc_listener_close(reactor, listener, LATER);
	expect(rc == 0, "a listener is closed soon");
	if (rc == 0) {
		expect(torc_listener_close(reactor, listener, LATER) ==
		    -ENOENT, "and once");
		rc = try_listener(listener, false);
	}
	if (rc == 0)
		rc = torc_conn_write(conn, "x", 1, LATER);
	if (rc == 0)
		rc = torc_conn_recv(conn, &in, LATER);
	expect(rc == 1, "what it had accepted goes on");
	torc_conn_close(conn, LATER);
	return rc < 0 ? rc : 0;
}

/* In a hurry: it closes all the same. */
static int
listen_and_leave(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	int rc = 0;

	(void)arg;
	for (unsigned i = 0; i < 5 && rc != -ECANCELED; i++) {
		int listener = torc_listen(reactor, "127.0.0.1:0", echo, NULL);

		if (listener < 0)
			return listener;
		if (i % 2 == 1)
			torc_yield();
		rc = torc_listener_close(reactor, listener, i < 3 ?
		    TORC_AT_ONCE : LATER);
		expect(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED,
		    "it closes, or will");
	}
	return rc;
}

/* A socket that is bound, and listens, before torc has it. */
static int
open_listening(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = torc_sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? fd : torc_sys_bind(fd,
	    (const struct sockaddr *)&address, sizeof(address));

	if (rc == 0)
		rc = torc_sys_listen(fd, 5);
	if (rc < 0 && fd >= 0)
		torc_sys_close(fd);
	return rc < 0 ? rc : fd;
}

static int
listen_on_given(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	int fd = open_listening();
	int listener, rc;

	(void)arg;
	if (fd < 0)
		return fd;
	listener = torc_listen_fd(reactor, fd, echo, NULL);
	expect(listener >= 0, "a socket that listens is listened on");
	if (listener < 0) {
		torc_sys_close(fd);
		return listener;
	}
	rc = try_listener(listener, true);
	if (rc == 0)
		rc = torc_listener_close(reactor, listener, LATER);
	return rc;
}

void
scenarios_reset(void)
{
	memset(pairs, 0, sizeof(pairs));
	memset(&lot, 0, sizeof(lot));
	memset(&news, 0, sizeof(news));
	memset(posts, 0, sizeof(posts));
	family = 0;
	posts_run = 0;
}

/* ---- Scripts of peers ---- */

static const struct step one_echo[] = {
	CONNECT(0), ECHO(100), FIN, AWAIT_FIN, END,
};
static const struct step long_echo[] = {
	CONNECT(0), ECHO(3000), ECHO(1), FIN, AWAIT_FIN, END,
};
static const struct step bursts[] = {
	CONNECT(0), ECHO(400), SLEEP(3), ECHO(10), ECHO(70), SLEEP(1),
	ECHO(500), FIN, AWAIT_FIN, END,
};
static const struct step paused_echo[] = {
	CONNECT(0), ECHO(20), SLEEP(20), ECHO(300), SLEEP(100), ECHO(1), FIN,
	AWAIT_FIN, END,
};
static const struct step to_second[] = {
	CONNECT(1), ECHO(100), FIN, AWAIT_FIN, END,
};
static const struct step to_third[] = {
	CONNECT(2), ECHO(200), FIN, AWAIT_FIN, END,
};
static const struct step churn[] = {
	CONNECT(0), ECHO(10), CLOSE, CONNECT(0), SEND(5), RESET, CONNECT(0),
	CLOSE, AGAIN_FROM(0, 4), END,
};
static const struct step polite_churn[] = {
	CONNECT(0), ECHO(30), FIN, AWAIT_FIN, CLOSE, AGAIN_FROM(0, 5), END,
};
static const struct step upload[] = {
	CONNECT(0), SEND(2500), FIN, RECV(2500), AWAIT_FIN, END,
};
static const struct step download_little[] = {
	CONNECT(0), RECV(100), AWAIT_FIN, END,
};
static const struct step download_large[] = {
	CONNECT(0), RECV(7000), SLEEP(5), RECV(13000), AWAIT_FIN, END,
};
static const struct step download_static[] = {
	CONNECT(0), SLEEP(2), RECV(6000), AWAIT_FIN, END,
};
static const struct step download_bits[] = {
	CONNECT(0), RECV(3000), AWAIT_FIN, END,
};
static const struct step download_not[] = {
	CONNECT(0), RECV(10), SLEEP(200), AWAIT_END, END,
};
/* For longer than the program may be stopped. */
static const struct step download_no_more[] = {
	CONNECT(0), RECV(10), SLEEP(3000), AWAIT_END, END,
};
static const struct step download_steadily[] = {
	CONNECT(0), RECV(500), SLEEP(5), AGAIN_FROM(1, 39), AWAIT_FIN, END,
};
static const struct step download_slowly[] = {
	CONNECT(0), RECV(10), SLEEP(1), AGAIN_FROM(1, 60), SLEEP(3000),
	AWAIT_END, END,
};
static const struct step read_then_send[] = {
	CONNECT(0), RECV(100), AWAIT_FIN, SEND(500), FIN, END,
};
static const struct step reset_midway[] = {
	CONNECT(0), SEND(100), RECV(10), RESET, END,
};
static const struct step vanish[] = {
	CONNECT(0), SEND(300), CLOSE, END,
};
/* What is not received fits into the window, with what a transport adds: the
 * end behind it comes all the same. */
static const struct step leave_in_order[] = {
	CONNECT(0), SEND(10), SLEEP(5), SEND(60), SLEEP(5), FIN, AWAIT_END,
	END,
};

static const struct step stay_behind_bytes[] = {
	CONNECT(0), SEND(10), SLEEP(5), SEND(100), SLEEP(50), CLOSE, END,
};

/* Bad manners, each as bad as it can be. */
static const struct step flood_unread[] = {
	CONNECT(0), SEND(60000), AWAIT_END, END,
};
static const struct step flood_and_stay[] = {
	CONNECT(0), SEND(6000), SLEEP(9000), AWAIT_END, END,
};
static const struct step send_half[] = {
	CONNECT(0), SEND(5), SLEEP(9000), CLOSE, END,
};
static const struct step send_more_half[] = {
	CONNECT(0), SEND(3000), SLEEP(9000), CLOSE, END,
};
static const struct step drip[] = {
	CONNECT(0), SEND(1), SLEEP(150), AGAIN_FROM(1, 60), RESET, END,
};
static const struct step come_and_reset[] = {
	CONNECT(0), SEND(100), RESET, SLEEP(3), AGAIN_FROM(0, 40), END,
};
static const struct step stay_silent[] = {
	CONNECT(0), SLEEP(9000), AWAIT_END, END,
};
static const struct step echo_and_idle[] = {
	CONNECT(0), SEND(10), RECV(10), SLEEP(9000), AWAIT_END, END,
};
static const struct step read_a_trickle[] = {
	CONNECT(0), SEND(100), RECV(1), SLEEP(100), AGAIN_FROM(2, 60), RESET,
	END,
};

/* What they are to leave alone: an old connection, and new ones. */
static const struct step be_good[] = {
	CONNECT(0), SEND(30), RECV(30), SLEEP(20), AGAIN_FROM(1, 80), FIN,
	AWAIT_FIN, CLOSE, END,
};
static const struct step be_good_anew[] = {
	SLEEP(50), CONNECT(0), SEND(60), RECV(60), FIN, AWAIT_FIN, CLOSE,
	AGAIN_FROM(0, 20), END,
};
/* When all places are taken: by peers that were silent for long enough. */
static const struct step be_good_late[] = {
	SLEEP(3000), CONNECT(0), SEND(60), RECV(60), FIN, AWAIT_FIN, CLOSE,
	AGAIN_FROM(1, 20), END,
};

static const struct step leave_with_reset[] = {
	CONNECT(0), SEND(10), SLEEP(5), SEND(100), SLEEP(5), RESET, END,
};

static const struct step be_reset[] = {
	CONNECT(0), SEND(10), AWAIT_END, END,
};
static const struct step send_and_see[] = {
	CONNECT(0), SEND(1500), RECV(50), AWAIT_END, END,
};
static const struct step send_unread[] = {
	CONNECT(0), SEND(60000), AWAIT_END, END,
};
static const struct step stay[] = {
	CONNECT(0), SLEEP(1000), AWAIT_END, END,
};
static const struct step stay_after_echo[] = {
	CONNECT(0), ECHO(50), SLEEP(600), AWAIT_END, END,
};
static const struct step stay_open[] = {
	CONNECT(0), RECV(100), AWAIT_FIN, SLEEP(300), CLOSE, END,
};
static const struct step late[] = {
	CONNECT(0), SLEEP(100), SEND(5), RECV(10), FIN, AWAIT_END, END,
};
static const struct step now_and_then[] = {
	CONNECT(0), SEND(10), SLEEP(11), SEND(200), SLEEP(50),
	AGAIN_FROM(1, 10), FIN, AWAIT_END, END,
};
static const struct step both_ways[] = {
	CONNECT(0), SEND(700), RECV(1000), FIN, AWAIT_FIN, END,
};
static const struct step serve_stream[] = {
	SERVE, RECV(50), SEND(50), AGAIN_FROM(1, 13), FIN, AWAIT_FIN, END,
};
static const struct step serve_echo[] = {
	SERVE, SEND(1200), FIN, AWAIT_END, END,
};
static const struct step be_relayed[] = {
	CONNECT(0), SEND(600), FIN, SLEEP(1), AWAIT_END, END,
};
static const struct step serve_a_message[] = {
	SERVE, RECV(100), AWAIT_END, END,
};
static const struct step serve_and_see[] = {
	SERVE, AWAIT_END, END,
};
static const struct step serve_unread[] = {
	SERVE, SLEEP(300), AWAIT_END, END,
};

/* ---- The table ---- */

#define OWN(steps, copies) { steps, STREAM_OWN, copies, false }
#define GIVEN(steps, copies) { steps, STREAM_PROGRAM, copies, false }
#define GOOD(steps, copies) { steps, STREAM_OWN, copies, true }
#define ANY(steps, copies) { steps, STREAM_ANY, copies, false }

const struct scenario scenarios[] = {
	/* Echoes, by size and manner. */
	{ .name = "echo", .handler = echo, .real = true,
	    .scripts = { OWN(one_echo, 1) } },
	{ .name = "echo to several", .handler = echo, .real = true,
	    .scripts = { OWN(one_echo, 2), OWN(long_echo, 2) } },
	{ .name = "echo of bursts", .handler = echo, .real = true,
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "echo of messages", .handler = echo_messages, .real = true,
	    .scripts = { OWN(bursts, 2), OWN(one_echo, 1) } },
	{ .name = "slow echo", .handler = echo_slowly,
	    .scripts = { OWN(long_echo, 2) } },
	{ .name = "slow echo, little held", .handler = echo_slowly,
	    .config = { .held_max = 300, .held_low = 100 },
	    .scripts = { OWN(long_echo, 2) } },
	{ .name = "flushed echo", .handler = echo_flushed, .real = true,
	    .scripts = { OWN(one_echo, 2) } },
	{ .name = "echo again", .handler = echo_again, .real = true,
	    .scripts = { OWN(paused_echo, 2), OWN(long_echo, 1) } },
	{ .name = "idle after echo", .handler = echo_again,
	    .scripts = { OWN(stay_after_echo, 2) } },
	{ .name = "fickle echo", .handler = echo_fickly, .real = true,
	    .scripts = { OWN(bursts, 3), OWN(one_echo, 1) } },
	{ .name = "fickle echo with two buffers", .handler = echo_fickly,
	    .config = { .buffers = 2, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "gathered echo", .handler = echo, .real = true,
	    .config = { .batch_us = 300 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "spinning echo", .handler = echo, .real = true,
	    .config = { .spin_us = 50 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "echo in a small ring", .handler = echo,
	    .config = { .sq_entries = 4, .cq_entries = 8, .batch = 2 },
	    .scripts = { OWN(bursts, 4) } },
	{ .name = "echo in a tiny ring", .handler = echo,
	    .config = { .sq_entries = 4, .cq_entries = 8, .batch = 8,
	    .buffers = 64, .buffers_start = 64, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 6), OWN(churn, 2) }, .frayed = true },
	{ .name = "echo with one buffer", .handler = echo,
	    .config = { .buffers = 1, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 4) } },
	{ .name = "slow echo with two buffers", .handler = echo_slowly,
	    .config = { .buffers = 2, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "echo with incremental buffers", .handler = echo,
	    .real = true, .config = { .incremental = true, .buffers = 4 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "slow echo with incremental buffers",
	    .handler = echo_slowly,
	    .config = { .incremental = true, .buffers = 2 },
	    .scripts = { OWN(bursts, 3) } },
	{ .name = "echo from a foreign loop", .handler = echo,
	    .embedded = true, .scripts = { OWN(bursts, 2) } },
	{ .name = "starved in a foreign loop", .handler = echo_slowly,
	    .embedded = true, .config = { .buffers = 2, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 3) } },

	/* Ends. */
	{ .name = "answer after FIN", .handler = tally, .real = true,
	    .scripts = { GIVEN(upload, 2) } },
	{ .name = "close first", .handler = send_little, .real = true,
	    .scripts = { GIVEN(download_little, 2) } },
	{ .name = "close first, peer stays", .handler = send_little,
	    .scripts = { GIVEN(stay_open, 2) } },
	{ .name = "shut down, then read", .handler = shut_then_read,
	    .real = true, .scripts = { GIVEN(read_then_send, 2) } },
	{ .name = "close with unread bytes", .handler = close_unread,
	    .frayed = true,
	    .scripts = { GIVEN(send_and_see, 2) } },
	{ .name = "reset at once", .handler = reset_at_once, .frayed = true,
	    .scripts = { OWN(be_reset, 2) } },
	{ .name = "reset after input", .handler = reset_after_input,
	    .frayed = true, .scripts = { OWN(be_reset, 2) } },
	{ .name = "peer resets", .handler = echo, .frayed = true,
	    .scripts = { OWN(reset_midway, 3) } },
	{ .name = "peer vanishes", .handler = echo, .frayed = true,
	    .scripts = { OWN(vanish, 3) } },
	{ .name = "write to nobody", .handler = write_to_nobody,
	    .frayed = true, .scripts = { OWN(vanish, 2) } },
	{ .name = "silent peer", .handler = wait_in_vain, .real = true,
	    .scripts = { GIVEN(late, 2) } },
	{ .name = "read in time", .handler = read_in_time,
	    .scripts = { OWN(now_and_then, 3) } },
	{ .name = "too much held", .handler = hold_too_much, .frayed = true,
	    .config = { .held_max = 1000 },
	    .scripts = { OWN(send_unread, 2) } },
	{ .name = "watched peers go", .handler = wait_for_the_end,
	    .frayed = true, .scripts = { ANY(leave_in_order, 2),
	    OWN(leave_with_reset, 2) } },
	{ .name = "watched peers go behind bytes",
	    .handler = wait_for_the_end, .frayed = true,
	    .config = { .held_max = 60, .buffers = 4, .buffer_size = 64 },
	    .scripts = { ANY(leave_in_order, 2), OWN(leave_with_reset, 2) } },
	{ .name = "stop of watchers", .handler = wait_watching,
	    .early = true, .stop = true, .frayed = true,
	    .config = { .held_max = 100, .buffers = 4, .buffer_size = 64 },
	    .scripts = { ANY(stay_behind_bytes, 3) } },
	{ .name = "drain with idle peers", .handler = echo_again,
	    .early = true, .frayed = true, .scripts = { OWN(stay, 2),
	    OWN(stay_after_echo, 1) } },
	{ .name = "drain at work", .handler = echo, .early = true,
	    .frayed = true, .scripts = { OWN(bursts, 3) } },
	{ .name = "drain with busy peers", .handler = echo, .early = true,
	    .lasting = true, .config = { .lame_duck_ms = TORC_NO_LIMIT },
	    .scripts = { OWN(bursts, 2), OWN(paused_echo, 2) } },
	{ .name = "drain with busy peers, dormant", .handler = echo_again,
	    .early = true, .lasting = true,
	    .config = { .lame_duck_ms = TORC_NO_LIMIT },
	    .scripts = { OWN(bursts, 2), OWN(paused_echo, 2) } },
	{ .name = "stop at work", .handler = echo_slowly, .early = true,
	    .stop = true, .frayed = true, .scripts = { OWN(bursts, 3) } },
	{ .name = "stop a large write", .handler = send_large, .early = true,
	    .stop = true, .frayed = true,
	    .scripts = { GIVEN(download_large, 2) } },
	{ .name = "stop operations", .fiber = cancel_operations,
	    .early = true, .stop = true, .frayed = true },

	/* Writes. */
	{ .name = "large write", .handler = send_large, .real = true,
	    .scripts = { GIVEN(download_large, 2) } },
	{ .name = "write of slices", .handler = send_slices, .real = true,
	    .scripts = { GIVEN(download_large, 2) } },
	{ .name = "stop a write of slices", .handler = send_slices,
	    .early = true, .stop = true, .frayed = true,
	    .scripts = { GIVEN(download_large, 2) } },
	{ .name = "static writes", .handler = send_static, .real = true,
	    .scripts = { GIVEN(download_static, 2) } },
	{ .name = "many writes", .handler = send_bits, .real = true,
	    .config = { .close_ms = 2000 },	/* for the slowest peer */
	    .scripts = { GIVEN(download_bits, 2) } },
	{ .name = "write at a pace", .handler = send_at_a_pace,
	    .frayed = true, .scripts = { GIVEN(download_steadily, 2) } },
	{ .name = "write at a pace in vain", .handler = send_at_a_pace_in_vain,
	    .frayed = true, .scripts = { GIVEN(download_no_more, 2) } },
	{ .name = "write in vain", .handler = send_in_vain, .frayed = true,
	    .scripts = { GIVEN(download_not, 2) } },
	{ .name = "write too slowly read", .handler = send_in_vain,
	    .frayed = true, .scripts = { GIVEN(download_slowly, 4) } },
	{ .name = "write too slowly read in a small ring",
	    .handler = send_in_vain, .frayed = true,
	    .config = { .sq_entries = 4, .cq_entries = 8 },
	    .scripts = { GIVEN(download_slowly, 8) } },
	{ .name = "reader and writer", .handler = two_ways, .real = true,
	    .scripts = { GIVEN(both_ways, 2) } },

	/* Limits. */
	{ .name = "few descriptors", .handler = echo, .nofile = 9,
	    .frayed = true, .scripts = { OWN(polite_churn, 6) } },
	{ .name = "idle peers with all descriptors", .handler = echo_again,
	    .nofile = 10, .frayed = true, .config = { .idle_ms = 60000 },
	    .scripts = { ANY(echo_and_idle, 4), ANY(stay_silent, 4),
	    GOOD(be_good_anew, 1) } },
	{ .name = "few connections", .handler = echo, .frayed = true,
	    .config = { .connections = 2 },
	    .scripts = { OWN(bursts, 4) } },
	{ .name = "idle peers in all places", .handler = echo_again,
	    .frayed = true, .config = { .connections = 3, .idle_ms = 60000 },
	    .scripts = { ANY(echo_and_idle, 4), ANY(stay_silent, 4),
	    GOOD(be_good_anew, 1) } },
	{ .name = "silent peers in all places", .handler = echo_messages,
	    .frayed = true, .config = { .connections = 3 },
	    .scripts = { ANY(send_half, 8), GOOD(be_good_late, 1) } },

	/* One is good, and all others behave as badly as they can. */
	{ .name = "good beside floods", .handler = echo, .frayed = true,
	    .config = { .buffers = 4, .buffer_size = 64, .held_max = 300 },
	    .scripts = { ANY(flood_unread, 8), GOOD(be_good, 1),
	    GOOD(be_good_anew, 1) } },
	{ .name = "good beside the unread", .handler = echo_flushed,
	    .frayed = true,
	    .config = { .buffers = 8, .buffer_size = 64, .held_max = 1000 },
	    .scripts = { ANY(flood_and_stay, 12), ANY(read_a_trickle, 4),
	    GOOD(be_good, 1), GOOD(be_good_anew, 1) } },
	{ .name = "good beside halves", .handler = echo_messages,
	    .frayed = true, .config = { .buffers = 2, .buffer_size = 64 },
	    .scripts = { ANY(send_half, 10), ANY(drip, 8),
	    GOOD(be_good, 1), GOOD(be_good_anew, 1) } },
	{ .name = "good beside churn", .handler = echo_again,
	    .frayed = true, .config = { .sq_entries = 8, .cq_entries = 16,
	    .connections = 200, .fibers = 256 },
	    .scripts = { ANY(come_and_reset, 4), ANY(stay_silent, 4),
	    GOOD(be_good, 1), GOOD(be_good_anew, 1) } },
	{ .name = "good beside all of them", .handler = echo,
	    .frayed = true, .config = { .buffers = 8, .buffer_size = 64,
	    .held_max = 500, .connections = 200, .fibers = 256 },
	    .scripts = { ANY(flood_unread, 4), ANY(flood_and_stay, 4),
	    ANY(send_half, 3), ANY(drip, 3), ANY(come_and_reset, 3),
	    ANY(read_a_trickle, 3), GOOD(be_good, 1),
	    GOOD(be_good_anew, 1) } },
	{ .name = "good beside hoarders", .handler = hoard_the_long,
	    .frayed = true, .config = { .buffers = 4, .buffer_size = 4096,
	    .held_max = 4096, .connections = 64 },
	    .scripts = { ANY(send_more_half, 40), GOOD(be_good, 1),
	    GOOD(be_good_anew, 1) } },
	{ .name = "good beside bad with incremental buffers",
	    .handler = echo_slowly, .frayed = true,
	    .config = { .incremental = true, .buffers = 4, .held_max = 500 },
	    .scripts = { ANY(flood_unread, 4), ANY(flood_and_stay, 6),
	    GOOD(be_good, 1) } },
	{ .name = "few fibers", .handler = echo, .frayed = true,
	    .config = { .fibers = 2 }, .scripts = { OWN(bursts, 4) } },
	{ .name = "few ops", .fiber = cancel_operations, .frayed = true,
	    .config = { .ops = 3 } },
	{ .name = "churn", .handler = echo, .frayed = true,
	    .scripts = { OWN(churn, 3), OWN(one_echo, 1) } },
	{ .name = "polite churn", .handler = echo_again, .real = true,
	    .scripts = { OWN(polite_churn, 3) } },

	/* Addresses. */
	{ .name = "unix socket", .handler = echo,
	    .addresses = { "unix:/tmp/torc-sim" },
	    .scripts = { OWN(one_echo, 2) } },
	{ .name = "successor at a path", .handler = echo,
	    .addresses = { "unix:/tmp/torc-sim" }, .fiber = be_succeeded,
	    .scripts = { OWN(one_echo, 2) } },
	{ .name = "several addresses", .handler = echo,
	    .addresses = { "127.0.0.1:0", "unix:/tmp/torc-sim",
	    "[::]:0" },
	    .scripts = { OWN(one_echo, 1), OWN(to_second, 1),
	    OWN(to_third, 1) } },
	{ .name = "listen late", .handler = echo, .fiber = listen_late,
	    .scripts = { OWN(one_echo, 1) } },

	{ .name = "listen for a while", .handler = echo,
	    .fiber = listen_for_a_while,
	    .scripts = { OWN(one_echo, 1) } },
	{ .name = "listen and leave", .handler = echo,
	    .fiber = listen_and_leave, .scripts = { OWN(one_echo, 1) } },
	{ .name = "stop while one listens and leaves", .handler = echo,
	    .fiber = listen_and_leave, .early = true, .stop = true,
	    .frayed = true, .scripts = { OWN(one_echo, 2) } },
	{ .name = "listen on what is given", .handler = echo,
	    .fiber = listen_on_given, .real = true,
	    .scripts = { OWN(one_echo, 1) } },

	/* Connections out. */
	{ .name = "dial", .fiber = dial_peer, .real = true,
	    .scripts = { GIVEN(serve_stream, 1) } },
	{ .name = "dial ourselves", .handler = echo, .fiber = dial_ourselves,
	    .real = true },
	{ .name = "dial nobody", .fiber = dial_nobody, .real = true },
	{ .name = "dial and reset", .fiber = dial_and_reset,
	    .scripts = { GIVEN(serve_and_see, 1) } },
	{ .name = "dial and leave", .fiber = dial_and_leave,
	    .frayed = true, .scripts = { GIVEN(serve_a_message, 1) } },
	{ .name = "dial and give up", .fiber = dial_and_give_up,
	    .scripts = { GIVEN(serve_unread, 1) } },
	{ .name = "relay", .handler = relay, .frayed = true,
	    .scripts = { ANY(be_relayed, 2), ANY(serve_echo, 2) } },
	{ .name = "relay with one buffer", .handler = relay, .frayed = true,
	    .config = { .buffers = 1, .buffer_size = 64 },
	    .scripts = { ANY(be_relayed, 2), ANY(serve_echo, 2) } },

	/* Fibers, posts, descriptors. */
	{ .name = "spawn and join", .fiber = spawn_and_join, .real = true },
	{ .name = "sleep", .fiber = sleep_in_order, .real = true },
	{ .name = "daemons", .fiber = leave_daemons, .real = true },
	{ .name = "families", .fiber = raise_families, .real = true },
	{ .name = "families of few", .fiber = raise_families,
	    .config = { .fibers = 5 } },
	{ .name = "stop families", .fiber = raise_families, .early = true,
	    .stop = true, .frayed = true },
	{ .name = "posts", .fiber = await_posts },
	{ .name = "news", .fiber = await_news },
	{ .name = "news to a foreign loop", .fiber = await_news,
	    .embedded = true },
	{ .name = "events", .fiber = await_events },
	{ .name = "events of a foreign loop", .fiber = await_events,
	    .embedded = true },
	{ .name = "descriptors", .fiber = use_descriptors },
	{ .name = "cancelled operations", .fiber = cancel_operations },
	{ .name = "send with a deadline", .fiber = send_with_deadline },
	{ .name = "send slowly read with a deadline",
	    .fiber = send_slowly_read },
	{ .name = "connect by hand", .fiber = connect_by_hand },

	/* Several reactors. */
	{ .name = "two reactors", .handler = echo, .reactors = 2,
	    .scripts = { OWN(bursts, 4) } },
	{ .name = "connections are dealt", .handler = echo, .reactors = 3,
	    .addresses = { "unix:/tmp/torc-sim" },
	    .scripts = { OWN(one_echo, 5) } },
	{ .name = "dealt in a drain", .handler = echo_again, .reactors = 2,
	    .addresses = { "unix:/tmp/torc-sim" }, .early = true,
	    .frayed = true, .scripts = { OWN(one_echo, 5) } },
	{ .name = "dial across reactors", .handler = echo, .reactors = 2,
	    .fiber = dial_ourselves },
};

const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
