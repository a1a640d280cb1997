/* SPDX-License-Identifier: MIT */
/*
 * sides.c - who writes what, and which order carries it across.
 */
#include "tests/order/sides.h"

#include <stddef.h>
#include <string.h>

#include "sys/barrier.h"
#include "sys/poison.h"

#define CLAIM(condition) \
	((condition) ? (void)0 : sides_fail(#condition))

/* Different in every byte that matters from that of its neighbours. */
static uint64_t
key(uint32_t n)
{
	return (n + 1) * 0x9e3779b97f4a7c15u;
}

static struct io_uring_cqe *
cqe_at(struct sides *sides, uint32_t index)
{
	return (struct io_uring_cqe *)(void *)sides->cqes[index];
}

void
sides_init(struct sides *sides, uint32_t entries, uint32_t count,
    uint32_t before_wrap)
{
	const uint32_t start = 0 - before_wrap;

	torc_unpoison(sides, offsetof(struct sides, posts));
	memset(sides, 0, offsetof(struct sides, posts));
	for (uint32_t i = 0; i < SIDES_POSTERS; i++)
		memset(sides->posts[i], 0, count * sizeof(sides->posts[i][0]));
	sides->count = count;
	sides->drain_at = UINT64_MAX;
	sides->ring = (struct torc_ring) {
		.ksq_head = &sides->sq_head,
		.ksq_tail = &sides->sq_tail,
		.ksq_flags = &sides->sq_flags,
		.sqes = sides->sqes,
		.sq_mask = entries - 1,
		.sq_entries = entries,
		.sq_claimed = start,
		.sq_taken = start,
		.sq_end = (uint64_t)start + entries,
		.kcq_head = &sides->cq_head,
		.kcq_tail = &sides->cq_tail,
		.kcq_overflow = &sides->cq_overflow,
		.cqes = cqe_at(sides, 0),
		.cq_mask = entries - 1,
		.cq_entries = entries,
		.cq_read = start,
	};
	sides->sq_head = sides->sq_tail = sides->kernel_sq_head = start;
	sides->cq_head = sides->cq_tail = sides->kernel_cq_tail = start;
	sides->bufring = (struct torc_bufring) {
		.kbufs = sides->kbufs,
		.ktail = &sides->kbufs[0].resv,
		.bufs = sides->bufs,
		.size = sizeof(sides->memory[0]),
		.capacity = entries,
		.mask = entries - 1,
		.tail = (uint16_t)start,
	};
	sides->kbufs[0].resv = sides->kernel_buf_head = (uint16_t)start;
	for (uint32_t i = 0; i < entries; i++)
		sides->bufs[i].memory = (uint8_t *)&sides->memory[i];
}

/* ---- S1, S2: requests ---- */

static void
torc_submits(struct sides *sides)
{
	struct torc_ring *ring = &sides->ring;

	for (uint32_t n = 0; n < sides->count; n++) {
		struct io_uring_sqe *sqe;

		while ((sqe = torc_ring_claim(ring)) == NULL) {
			torc_ring_submit(ring);
			if (torc_ring_pending(ring) == ring->sq_entries)
				sides_await(ring->ksq_head);
		}
		sqe->opcode = (uint8_t)n;
		sqe->addr = key(n);
		sqe->user_data = n;
		if (n % 3 == 0)
			torc_ring_submit(ring);
	}
	torc_ring_submit(ring);
}

/* As the thread of SQPOLL would: all that are there, then the head. */
static void
kernel_takes(struct sides *sides)
{
	const uint32_t mask = sides->ring.sq_mask;
	uint32_t head = sides->kernel_sq_head, n = 0;

	while (n < sides->count) {
		uint32_t tail = __atomic_load_n(&sides->sq_tail,
		    __ATOMIC_ACQUIRE);

		if (tail == head) {
			sides_await(&sides->sq_tail);
			continue;
		}
		CLAIM(tail - head <= mask + 1);
		for (; head != tail; head++, n++) {
			const struct io_uring_sqe *sqe =
			    &sides->sqes[head & mask];

			CLAIM(sqe->user_data == n);
			CLAIM(sqe->addr == key(n));
			CLAIM(sqe->opcode == (uint8_t)n);
		}
		__atomic_store_n(&sides->sq_head, head, __ATOMIC_RELEASE);
	}
}

static void
all_taken(const struct sides *sides)
{
	CLAIM(sides->sq_head == sides->sq_tail);
	CLAIM(sides->sq_tail == (uint32_t)sides->ring.sq_claimed);
}

/* ---- C1, C2: completions ---- */

static bool
kernel_has_room(const struct sides *sides)
{
	return sides->kernel_cq_tail -
	    __atomic_load_n(&sides->cq_head, __ATOMIC_ACQUIRE) <
	    sides->ring.cq_entries;
}

static void
kernel_posts(struct sides *sides, uint64_t user_data, uint32_t flags)
{
	struct io_uring_cqe *cqe = cqe_at(sides,
	    sides->kernel_cq_tail++ & sides->ring.cq_mask);

	cqe->user_data = user_data;
	cqe->res = (int)user_data;
	cqe->flags = flags;
	__atomic_store_n(&sides->cq_tail, sides->kernel_cq_tail,
	    __ATOMIC_RELEASE);
}

static void
kernel_completes(struct sides *sides)
{
	for (uint32_t n = 0; n < sides->count; n++) {
		while (!kernel_has_room(sides))
			sides_await(&sides->cq_head);
		kernel_posts(sides, n, 0);
	}
}

/* What is there now, at least one unless the rings are idle. */
static void
reap(struct sides *sides)
{
	struct torc_ring *ring = &sides->ring;

	for (uint32_t ready = torc_ring_ready(ring); ready > 0; ready--) {
		const struct io_uring_cqe *cqe = torc_ring_next(ring);

		CLAIM(cqe->user_data == sides->reaped);
		CLAIM(cqe->res == (int)sides->reaped);
		sides->reaped++;
	}
	torc_ring_release(ring);
}

static void
torc_reaps(struct sides *sides)
{
	while (sides->reaped < sides->count) {
		if (!torc_ring_busy(&sides->ring))
			sides_await(&sides->cq_tail);
		reap(sides);
	}
}

static void
all_reaped(const struct sides *sides)
{
	CLAIM(sides->reaped == sides->count);
	CLAIM(sides->cq_head == sides->cq_tail);
	CLAIM(sides->deferred == 0);
}

/* ---- F1: what waits for an enter; F2: what is lost ---- */

static void
kernel_defers(struct sides *sides)
{
	/* One more is lost; those that are counted here come. */
	__atomic_store_n(&sides->cq_overflow, 1, __ATOMIC_RELAXED);
	for (uint32_t n = 0; n < sides->count; n++) {
		__atomic_fetch_add(&sides->deferred, 1, __ATOMIC_ACQ_REL);
		__atomic_fetch_or(&sides->sq_flags, n % 2 == 0 ?
		    IORING_SQ_TASKRUN : IORING_SQ_CQ_OVERFLOW,
		    __ATOMIC_RELAXED);
	}
}

/* Run what was deferred, as far as there is room; on torc's own thread. */
static void
kernel_runs_deferred(struct sides *sides)
{
	uint32_t waiting;

	__atomic_fetch_and(&sides->sq_flags,
	    ~(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW), __ATOMIC_ACQ_REL);
	waiting = __atomic_exchange_n(&sides->deferred, 0, __ATOMIC_ACQ_REL);
	for (; waiting > 0 && kernel_has_room(sides); waiting--)
		kernel_posts(sides, sides->completed++, 0);
	if (waiting > 0) {
		__atomic_fetch_add(&sides->deferred, waiting,
		    __ATOMIC_ACQ_REL);
		__atomic_fetch_or(&sides->sq_flags, IORING_SQ_CQ_OVERFLOW,
		    __ATOMIC_RELAXED);
	}
}

int
sides_enter(struct sides *sides, uint32_t to_submit, uint32_t flags)
{
	if (flags & IORING_ENTER_GETEVENTS)
		kernel_runs_deferred(sides);
	return (int)to_submit;
}

static void
torc_flushes(struct sides *sides)
{
	while (sides->reaped < sides->count) {
		if (torc_ring_overflowed(&sides->ring) ||
		    torc_ring_busy(&sides->ring)) {
			sides->lost_seen |= torc_ring_lost(&sides->ring);
			torc_ring_flush(&sides->ring);
			reap(sides);
		} else {
			sides_await(&sides->sq_flags);
		}
	}
}

/* ---- B1: buffers ---- */

static void
torc_receives(struct sides *sides)
{
	struct torc_ring *ring = &sides->ring;

	torc_bufring_grow(&sides->bufring, sides->bufring.capacity);
	torc_bufring_publish(&sides->bufring);
	while (sides->reaped < sides->count) {
		uint32_t ready = torc_ring_ready(ring);

		if (ready == 0)
			sides_await(&sides->cq_tail);
		for (; ready > 0; ready--) {
			const struct io_uring_cqe *cqe = torc_ring_next(ring);
			uint16_t bid = (uint16_t)(cqe->flags >>
			    IORING_CQE_BUFFER_SHIFT);
			uint64_t *data = (uint64_t *)(void *)
			    torc_bufring_take(&sides->bufring, bid,
			    sizeof(*data), cqe->flags);

			CLAIM(cqe->user_data == sides->reaped);
			CLAIM(*data == key(sides->reaped));
			torc_bufring_put(&sides->bufring, bid);
			sides->reaped++;
		}
		torc_ring_release(ring);
		torc_bufring_publish(&sides->bufring);
	}
}

static void
kernel_fills(struct sides *sides)
{
	const uint32_t mask = sides->bufring.capacity - 1;
	uint16_t *ktail = &sides->kbufs[0].resv;

	for (uint32_t n = 0; n < sides->count; n++) {
		struct io_uring_buf *kbuf =
		    &sides->kbufs[sides->kernel_buf_head++ & mask];
		uint16_t picked = sides->kernel_buf_head;

		while ((uint16_t)(__atomic_load_n(ktail, __ATOMIC_ACQUIRE) -
		    picked) > mask)
			sides_await(ktail);
		CLAIM(kbuf->len == sizeof(sides->memory[0]));
		CLAIM(kbuf->addr == (uint64_t)&sides->memory[kbuf->bid]);
		/* The kernel may; a program may not. */
		torc_unpoison(&sides->memory[kbuf->bid],
		    sizeof(sides->memory[0]));
		sides->memory[kbuf->bid] = key(n);
		while (!kernel_has_room(sides))
			sides_await(&sides->cq_head);
		kernel_posts(sides, n, IORING_CQE_F_BUFFER |
		    (uint32_t)kbuf->bid << IORING_CQE_BUFFER_SHIFT);
	}
}

static void
all_received(const struct sides *sides)
{
	all_reaped(sides);
	CLAIM(sides->bufring.in_kernel == sides->bufring.capacity);
	CLAIM((uint16_t)(sides->kbufs[0].resv - sides->kernel_buf_head) ==
	    sides->bufring.capacity);
}

/* ---- M1 to M4, K1: posts ---- */

static void
post(struct sides *sides, uint32_t poster)
{
	for (uint32_t n = 0; n < sides->count; n++) {
		struct sides_post *one = &sides->posts[poster][n];

		one->value = key(n);
		one->refused = torc_mailbox_push(&sides->mailbox,
		    &one->post) < 0;
	}
}

static void
first_poster(struct sides *sides)
{
	post(sides, 0);
}

static void
second_poster(struct sides *sides)
{
	post(sides, 1);
}

/* As torc_reactor_drain() does. */
static void
drainer(struct sides *sides)
{
	torc_store_relaxed_u64(&sides->drain_at, 0);
	torc_mailbox_wake(&sides->mailbox);
}

/* The eventfd in the ring, and the one of a loop that polls. */
enum { WITHIN, BESIDE };

void
sides_event(struct sides *sides, int fd)
{
	__atomic_fetch_add(&sides->events[fd == BESIDE], 1, __ATOMIC_ACQ_REL);
}

/* The poll on the eventfd has completed since we looked last. */
static void
sleep_until_event(struct sides *sides, int fd)
{
	uint32_t events;

	while ((events = __atomic_load_n(&sides->events[fd],
	    __ATOMIC_ACQUIRE)) == sides->events_seen[fd])
		sides_await(&sides->events[fd]);
	sides->events_seen[fd] = events;
}

/* Posts of one poster come in its order. */
static void
run(struct sides *sides, struct torc_post *list)
{
	while (list != NULL) {
		struct torc_post *next = list->next;
		struct sides_post *one = (struct sides_post *)(void *)list;
		uint32_t poster = one >= sides->posts[1];
		uint32_t n = (uint32_t)(one - sides->posts[poster]);

		CLAIM(one->value == key(n));
		CLAIM(n == 0 || one[-1].runs == 1);
		one->runs++;
		sides->reaped++;
		list = next;
	}
}

/* As a reactor's turn: run_mailbox(), change_phase(), torc_enter_has_work(). */
static bool
turn(struct sides *sides)
{
	if (torc_mailbox_pending(&sides->mailbox))
		run(sides, torc_mailbox_take(&sides->mailbox));
	return torc_load_relaxed_u64(&sides->drain_at) == UINT64_MAX;
}

static void
sleep_if_idle(struct sides *sides)
{
	if (!torc_mailbox_pending(&sides->mailbox))
		sleep_until_event(sides, WITHIN);
}

/* Sleeps in a poll of its own, from some time on. */
static void
loop_polls_beside(struct sides *sides)
{
	torc_mailbox_wake_beside(&sides->mailbox, BESIDE);
	while (turn(sides) && sides->reaped < sides->count) {
		if (!torc_mailbox_pending(&sides->mailbox))
			sleep_until_event(sides, BESIDE);
	}
}

static void
all_run_of_one(const struct sides *sides)
{
	for (uint32_t n = 0; n < sides->count; n++)
		CLAIM(sides->posts[0][n].runs == 1);
}

static void
reactor_runs_posts(struct sides *sides)
{
	while (turn(sides) && sides->reaped < 2 * sides->count)
		sleep_if_idle(sides);
}

static void
all_run(const struct sides *sides)
{
	for (uint32_t poster = 0; poster < SIDES_POSTERS; poster++) {
		for (uint32_t n = 0; n < sides->count; n++) {
			CLAIM(sides->posts[poster][n].runs == 1);
			CLAIM(!sides->posts[poster][n].refused);
		}
	}
}

static void
reactor_drains(struct sides *sides)
{
	while (turn(sides))
		sleep_if_idle(sides);
	run(sides, torc_mailbox_close(&sides->mailbox));
}

static void
run_or_refused(const struct sides *sides)
{
	for (uint32_t n = 0; n < sides->count; n++) {
		const struct sides_post *one = &sides->posts[0][n];

		CLAIM(one->runs + one->refused == 1);
	}
}

const struct pairing pairings[] = {
	{ "requests are taken whole, once and in order",
	    { torc_submits, kernel_takes }, all_taken, 2, 4 },
	{ "completions are read whole, once and in order",
	    { torc_reaps, kernel_completes }, all_reaped, 2, 5 },
	{ "what waits for an enter is seen, and entered for",
	    { torc_flushes, kernel_defers }, all_reaped, 2, 3 },
	{ "buffers are picked whole, and read before they are filled again",
	    { torc_receives, kernel_fills }, all_received, 2, 4 },
	{ "every post is run, once and in order",
	    { reactor_runs_posts, first_poster, second_poster }, all_run,
	    2, 1 },
	{ "a loop that polls beside the ring is told of each post",
	    { loop_polls_beside, first_poster }, all_run_of_one, 2, 2 },
	{ "a drain is seen, and a post is run or refused",
	    { reactor_drains, first_poster, drainer }, run_or_refused, 2, 2 },
};
const unsigned pairing_count = sizeof(pairings) / sizeof(pairings[0]);
