/* SPDX-License-Identifier: MIT */
/*
 * test_ring.c - a ring is set up with the best that the kernel gives, loses
 * nothing when a queue is full, and leaves nothing behind when it fails.
 *
 * wrap: torc_sys_setup torc_sys_enter torc_sys_register torc_sys_map
 * wrap: torc_sys_unmap torc_sys_alloc torc_sys_free torc_sys_advise
 * wrap: torc_sys_sleep
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"
#include "tests/tally.h"

#include "ring/ring.h"
#include "sys/sys.h"

#define MS 1000000u
#define SECOND 1000000000ull
#define MAX_SETUPS 64
#define MAX_SLEEPS 32

#define BEST_FLAGS \
	(IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | \
	    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY | \
	    IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | \
	    IORING_SETUP_TASKRUN_FLAG)

/* What stands between torc and the kernel; zero: nothing. */
static struct {
	uint32_t refused_flags;	/* of setup: -EINVAL */
	uint32_t hidden_features;
	uint32_t most_entries;	/* -ENOMEM for more; 0: no limit */
	unsigned short_setups;	/* so many fail first ... */
	int setup_error;	/* ... with this */
	bool no_registered_fd;
	int error_before;	/* of enter, nothing taken */
	int error_after;	/* of enter, all taken */
} fault;

/* What torc asked for. */
static struct {
	unsigned setups;
	uint32_t flags[MAX_SETUPS];
	uint32_t entries[MAX_SETUPS];
	unsigned sleeps;
	uint64_t pauses[MAX_SLEEPS];
	uint32_t min_complete;	/* of the last enter ... */
	uint32_t min_wait;
	bool timed;
} seen;

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	unsigned n = seen.setups++;
	int rc;

	assert_true(n < MAX_SETUPS);
	seen.flags[n] = params->flags;
	seen.entries[n] = entries;
	if (params->flags & fault.refused_flags)
		return -EINVAL;
	if (n < fault.short_setups)
		return fault.setup_error;
	if (fault.most_entries > 0 && entries > fault.most_entries)
		return -ENOMEM;
	rc = __real_torc_sys_setup(entries, params);
	params->features &= ~fault.hidden_features;
	return rc;
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	const struct torc_uapi_getevents *wait = arg;
	int rc;

	seen.min_complete = min_complete;
	seen.min_wait = wait == NULL ? 0 : wait->min_wait_usec;
	seen.timed = wait != NULL && wait->ts != 0;
	if (fault.error_before != 0)
		return fault.error_before;
	rc = __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
	return fault.error_after != 0 ? fault.error_after : rc;
}

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	if (fault.no_registered_fd && opcode == IORING_REGISTER_RING_FDS)
		return -EINVAL;
	return __real_torc_sys_register(fd, opcode, arg, count);
}

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	return step_fails() ? -EINVAL :
	    __real_torc_sys_advise(address, size, advice);
}

void
__wrap_torc_sys_sleep(uint64_t ns)
{
	assert_true(seen.sleeps < MAX_SLEEPS);
	seen.pauses[seen.sleeps++] = ns;
}

static int
refuse_nothing(void **state)
{
	(void)state;
	memset(&fault, 0, sizeof(fault));
	memset(&seen, 0, sizeof(seen));
	forget_tally();
	return 0;
}

/* ---- Rings ---- */

static void
open_ring(struct torc_ring *ring, uint32_t sq_entries, uint32_t cq_entries)
{
	assert_int_equal(torc_ring_init(ring, sq_entries, cq_entries), 0);
	assert_int_equal(torc_ring_enable(ring), 0);
}

static bool
claim_nop(struct torc_ring *ring, uint64_t user_data)
{
	struct io_uring_sqe *sqe = torc_ring_claim(ring);

	if (sqe == NULL)
		return false;
	sqe->opcode = IORING_OP_NOP;
	sqe->user_data = user_data;
	return true;
}

/* Read all CQEs, which must be of NOPs from `next` on; the one behind. */
static uint64_t
reap_nops(struct torc_ring *ring, uint64_t next)
{
	for (uint32_t ready = torc_ring_ready(ring); ready > 0; ready--) {
		const struct io_uring_cqe *cqe = torc_ring_next(ring);

		assert_int_equal(cqe->user_data, next);
		assert_int_equal(cqe->res, 0);
		next++;
	}
	torc_ring_release(ring);
	return next;
}

/* Run NOPs named `first` and up, as many at a time as there is room for. */
static void
run_nops(struct torc_ring *ring, uint64_t first, unsigned count)
{
	uint64_t claimed = first, reaped = first;

	while (reaped < first + count) {
		while (claimed < first + count && claim_nop(ring, claimed))
			claimed++;
		assert_true(torc_ring_enter(ring, 1, 10 * SECOND, 0) >= 0);
		reaped = reap_nops(ring, reaped);
	}
	assert_int_equal(reaped, first + count);
	assert_int_equal(torc_ring_pending(ring), 0);
}

/* A poll for input on `fd`. */
static void
claim_poll(struct torc_ring *ring, int fd, uint64_t user_data)
{
	struct io_uring_sqe *sqe = torc_ring_claim(ring);

	assert_non_null(sqe);
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->poll32_events = 1;	/* POLLIN */
	sqe->user_data = user_data;
}

/* What this kernel accepts when nothing stands in between. */
static uint32_t
flags_of_this_kernel(void)
{
	struct torc_ring ring;
	uint32_t flags;

	open_ring(&ring, 8, 32);
	flags = ring.setup_flags;
	torc_ring_fini(&ring);
	refuse_nothing(NULL);
	return flags;
}

/* ---- Setup ---- */

/* A08 */
static void
the_best_flags_of_the_kernel_are_taken_at_the_first_try(void **state)
{
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 8, 32);
	assert_int_equal(seen.flags[0], BEST_FLAGS);
	if (seen.setups > 1)
		print_message("SKIP: this kernel refuses some of 0x%x itself\n",
		    BEST_FLAGS);
	else
		assert_int_equal(ring.setup_flags, BEST_FLAGS);
	assert_int_equal(ring.sq_entries, 8);
	assert_int_equal(ring.cq_entries, 32);
	run_nops(&ring, 1, 100);
	torc_ring_fini(&ring);
}

/* A08: and what the kernel would refuse without it. */
static void
a_flag_that_is_refused_alone_is_given_up_alone(void **state)
{
	static const struct {
		uint32_t refused;
		uint32_t given_up;
	} cases[] = {
		{ IORING_SETUP_NO_SQARRAY, IORING_SETUP_NO_SQARRAY },
		{ IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_DEFER_TASKRUN },
		{ IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SINGLE_ISSUER |
		    IORING_SETUP_DEFER_TASKRUN },
		{ IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_TASKRUN_FLAG },
		{ IORING_SETUP_SUBMIT_ALL, IORING_SETUP_SUBMIT_ALL },
		{ IORING_SETUP_R_DISABLED, IORING_SETUP_R_DISABLED |
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
		{ IORING_SETUP_CQSIZE, IORING_SETUP_CQSIZE },
	};
	const uint32_t all = flags_of_this_kernel();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t left = all & ~cases[i].given_up;
		struct torc_ring ring;

		if (!(left & IORING_SETUP_DEFER_TASKRUN) &&
		    left & IORING_SETUP_TASKRUN_FLAG)
			left |= IORING_SETUP_COOP_TASKRUN;
		refuse_nothing(NULL);
		fault.refused_flags = cases[i].refused;
		open_ring(&ring, 8, 32);
		assert_true(seen.flags[0] & cases[i].refused);
		assert_int_equal(ring.setup_flags, left);
		assert_int_equal(ring.sq_entries, 8);
		assert_int_equal(ring.cq_entries,
		    cases[i].refused == IORING_SETUP_CQSIZE ? 16 : 32);
		run_nops(&ring, 1, 100);
		torc_ring_fini(&ring);
	}
}

/* A08: as Linux 6.1, 6.0, 5.19 and 5.18 refuse them, and one that has none. */
static void
flags_that_are_refused_together_are_given_up_newest_first(void **state)
{
	static const uint32_t cases[] = {
		IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_NO_SQARRAY | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_NO_SQARRAY | IORING_SETUP_DEFER_TASKRUN |
		    IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_NO_SQARRAY | IORING_SETUP_DEFER_TASKRUN |
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
		    IORING_SETUP_COOP_TASKRUN,
		~0u,
	};
	const uint32_t all = flags_of_this_kernel();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t left = all & ~cases[i];
		struct torc_ring ring;

		if (!(left & IORING_SETUP_DEFER_TASKRUN) &&
		    left & IORING_SETUP_TASKRUN_FLAG)
			left |= IORING_SETUP_COOP_TASKRUN;
		refuse_nothing(NULL);
		fault.refused_flags = cases[i];
		open_ring(&ring, 8, 32);
		assert_int_equal(ring.setup_flags, left);
		run_nops(&ring, 1, 100);
		torc_ring_fini(&ring);
	}
}

/* A02 */
static void
without_NO_SQARRAY_ten_thousand_nops_keep_their_own_user_data(void **state)
{
	struct torc_ring ring;

	(void)state;
	fault.refused_flags = IORING_SETUP_NO_SQARRAY;
	open_ring(&ring, 64, 256);
	assert_false(ring.setup_flags & IORING_SETUP_NO_SQARRAY);
	run_nops(&ring, 0xabcdef0000000000u, 10000);
	torc_ring_fini(&ring);
}

/* A08 */
static void
a_ring_whose_descriptor_is_not_registered_is_entered_by_it(void **state)
{
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 8, 32);
	assert_true(ring.enter_flags & IORING_ENTER_REGISTERED_RING);
	run_nops(&ring, 1, 100);
	torc_ring_fini(&ring);
	fault.no_registered_fd = true;
	open_ring(&ring, 8, 32);
	assert_false(ring.enter_flags & IORING_ENTER_REGISTERED_RING);
	assert_int_equal(ring.enter_fd, ring.fd);
	run_nops(&ring, 1, 100);
	torc_ring_fini(&ring);
}

/* A08: a wait for many without a time at which one is enough might not end. */
static void
without_the_min_wait_feature_only_one_completion_is_waited_for(void **state)
{
	struct torc_ring ring;

	(void)state;
	fault.hidden_features = IORING_FEAT_MIN_TIMEOUT;
	open_ring(&ring, 8, 32);
	assert_true(claim_nop(&ring, 1));
	assert_int_equal(torc_ring_enter(&ring, 8, UINT64_MAX, 1000), 1);
	assert_int_equal(seen.min_complete, 1);
	assert_int_equal(seen.min_wait, 0);
	assert_int_equal(reap_nops(&ring, 1), 2);
	torc_ring_fini(&ring);
	refuse_nothing(NULL);
	open_ring(&ring, 8, 32);
	if (!(ring.features & IORING_FEAT_MIN_TIMEOUT)) {
		print_message("SKIP: this kernel has no min wait\n");
		torc_ring_fini(&ring);
		return;
	}
	assert_true(claim_nop(&ring, 1));
	assert_int_equal(torc_ring_enter(&ring, 8, UINT64_MAX, 1000), 1);
	assert_int_equal(seen.min_complete, 8);
	assert_int_equal(seen.min_wait, 1000);
	assert_int_equal(reap_nops(&ring, 1), 2);
	torc_ring_fini(&ring);
}

/* A08 */
static void
a_kernel_without_a_needed_feature_is_refused_and_nothing_leaks(void **state)
{
	static const uint32_t needed[] = {
		IORING_FEAT_SINGLE_MMAP, IORING_FEAT_NODROP,
		IORING_FEAT_EXT_ARG, IORING_FEAT_CQE_SKIP,
	};
	const unsigned fds = count_fds();
	struct torc_ring ring;

	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		fault.hidden_features = needed[i];
		assert_int_equal(torc_ring_init(&ring, 8, 32), -EINVAL);
		assert_int_equal(count_fds(), fds);
		assert_int_equal(tally.mapped, 0);
	}
	fault.hidden_features = 0;
	assert_int_equal(torc_ring_init(&ring, 8, 32), 0);
	torc_ring_fini(&ring);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(tally.mapped, 0);
}

/* ---- Memory ---- */

/* */
static void
memory_that_is_short_for_a_moment_is_waited_for(void **state)
{
	struct torc_ring ring;

	(void)state;
	fault.short_setups = 3;
	fault.setup_error = -ENOMEM;
	open_ring(&ring, 1024, 4096);
	assert_int_equal(seen.sleeps, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen.pauses[i], 5 * MS << i);
	/* Nothing was given up for it. */
	assert_int_equal(seen.flags[3], BEST_FLAGS);
	assert_int_equal(ring.sq_entries, 1024);
	assert_int_equal(ring.cq_entries, 4096);
	torc_ring_fini(&ring);
}

/* 155 ms at each of the sizes, and not one try more. */
static void
memory_that_stays_short_halves_the_ring_down_to_256_and_no_further(
    void **state)
{
	static const uint32_t sizes[] = { 1024, 512, 256 };
	const unsigned fds = count_fds();
	struct torc_ring ring;

	(void)state;
	fault.most_entries = 255;
	fault.refused_flags = ~flags_of_this_kernel() & BEST_FLAGS;
	fault.most_entries = 255;
	assert_int_equal(torc_ring_init(&ring, 1024, 4096), -ENOMEM);
	assert_int_equal(seen.sleeps, 15);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(seen.pauses[i], 5 * MS << i % 5);
	if (fault.refused_flags == 0) {
		assert_int_equal(seen.setups, 18);
		for (unsigned i = 0; i < 18; i++)
			assert_int_equal(seen.entries[i], sizes[i / 6]);
	}
	assert_int_equal(count_fds(), fds);
	assert_int_equal(tally.mapped, 0);
	fault.most_entries = 256;
	seen.setups = seen.sleeps = 0;
	open_ring(&ring, 1024, 4096);
	assert_int_equal(seen.sleeps, 10);
	assert_int_equal(ring.sq_entries, 256);
	assert_int_equal(ring.cq_entries, 1024);
	run_nops(&ring, 1, 1000);
	torc_ring_fini(&ring);
}

/* */
static void
a_small_ring_is_not_halved_and_another_error_is_not_waited_out(void **state)
{
	struct torc_ring ring;

	(void)state;
	fault.most_entries = 3;
	assert_int_equal(torc_ring_init(&ring, 4, 8), -ENOMEM);
	assert_int_equal(seen.sleeps, 5);
	assert_int_equal(seen.entries[seen.setups - 1], 4);
	refuse_nothing(NULL);
	fault.short_setups = MAX_SETUPS;
	fault.setup_error = -EPERM;
	assert_int_equal(torc_ring_init(&ring, 1024, 4096), -EPERM);
	assert_int_equal(seen.setups, 1);
	assert_int_equal(seen.sleeps, 0);
	refuse_nothing(NULL);
	assert_int_equal(torc_ring_init(&ring, 4, 8), 0);
	torc_ring_fini(&ring);
}

/* A12 */
static void
a_ring_that_cannot_be_mapped_leaves_no_descriptor_and_no_mapping(void **state)
{
	const unsigned fds = count_fds();
	struct torc_ring ring;
	unsigned failures = 0;

	(void)state;
	for (unsigned n = 1; ; n++) {
		int rc;

		refuse_nothing(NULL);
		tally.failing = n;
		rc = torc_ring_init(&ring, 8, 32);
		if (rc == 0)
			break;
		failures++;
		assert_int_equal(count_fds(), fds);
		assert_int_equal(tally.mapped, 0);
	}
	/* Two mappings, and the advice not to inherit them. */
	assert_int_equal(failures, 4);
	assert_int_equal(tally.mapped, 2);
	torc_ring_fini(&ring);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(tally.mapped, 0);
}

/* what an error tells of is what a ring takes. */
static void
the_memory_that_a_ring_is_said_to_take_is_what_it_maps(void **state)
{
	static const uint32_t sizes[] = { 4, 256, 1024, 4096 };
	const size_t page = torc_sys_page_size();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct torc_ring ring;
		size_t pages;

		open_ring(&ring, sizes[i], sizes[i] * 4);
		pages = (ring.rings_size + page - 1) / page +
		    (ring.sqes_size + page - 1) / page;
		if (ring.setup_flags & IORING_SETUP_NO_SQARRAY)
			assert_int_equal(torc_ring_memory(sizes[i],
			    sizes[i] * 4), pages * page);
		else
			print_message("SKIP: this kernel has an SQ array\n");
		torc_ring_fini(&ring);
	}
}

/* ---- Full queues ---- */

/* A05 */
static void
a_full_submission_queue_gives_no_entry_until_the_kernel_took_some(
    void **state)
{
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 4, 8);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 4; i++)
			assert_true(claim_nop(&ring, round * 4 + i));
		assert_false(claim_nop(&ring, 999));
		assert_int_equal(torc_ring_pending(&ring), 4);
		assert_int_equal(torc_ring_submit(&ring), 4);
		assert_int_equal(torc_ring_pending(&ring), 0);
		assert_true(torc_ring_enter(&ring, 0, 0, 0) >= 0);
		assert_int_equal(reap_nops(&ring, round * 4), round * 4 + 4);
	}
	torc_ring_fini(&ring);
}

/* A05 */
static void
a_thousand_operations_through_four_entries_lose_none(void **state)
{
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 4, 8);
	run_nops(&ring, 1, 1000);
	torc_ring_fini(&ring);
}

/* A06, R-050, R-051: at the ring; NODROP never counts them as lost. */
static void
completions_that_overflow_the_queue_come_in_order_by_flushing(void **state)
{
	struct torc_ring ring;
	uint64_t next = 1;
	unsigned flushes = 0;

	(void)state;
	open_ring(&ring, 4, 8);
	for (uint64_t name = 1; name <= 40; name += 4) {
		for (uint64_t i = 0; i < 4; i++)
			assert_true(claim_nop(&ring, name + i));
		assert_int_equal(torc_ring_enter(&ring, 0, 0, 0), 4);
	}
	assert_int_equal(torc_ring_ready(&ring), 8);
	assert_true(torc_ring_overflowed(&ring));
	assert_true(torc_ring_busy(&ring));
	/* Something new waits until what overflowed is through. */
	assert_true(claim_nop(&ring, 41));
	while (torc_ring_overflowed(&ring)) {
		next = reap_nops(&ring, next);
		assert_true(torc_ring_flush(&ring) >= 0);
		assert_int_equal(torc_ring_pending(&ring), 1);
		assert_true(++flushes < 100);
	}
	assert_true(flushes >= 4);
	next = reap_nops(&ring, next);
	assert_int_equal(next, 41);
	assert_int_equal(torc_load_relaxed_u32(ring.kcq_overflow), 0);
	assert_int_equal(torc_ring_enter(&ring, 1, 10 * SECOND, 0), 1);
	assert_int_equal(reap_nops(&ring, next), 42);
	torc_ring_fini(&ring);
}

/* */
static void
an_enter_that_fails_takes_nothing_and_loses_nothing(void **state)
{
	static const int errors[] = { -EINTR, -EAGAIN, -EBUSY, -ENOMEM };
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 4, 16);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_true(claim_nop(&ring, 1));
		assert_true(claim_nop(&ring, 2));
		fault.error_before = errors[i];
		assert_int_equal(torc_ring_enter(&ring, 1, UINT64_MAX, 0),
		    errors[i]);
		assert_int_equal(torc_ring_submit(&ring), errors[i]);
		assert_int_equal(torc_ring_pending(&ring), 2);
		fault.error_before = 0;
		/* Those that were left behind are counted again. */
		assert_true(claim_nop(&ring, 3));
		assert_int_equal(torc_ring_enter(&ring, 1, UINT64_MAX, 0), 3);
		assert_int_equal(reap_nops(&ring, 1), 4);
		/* What the kernel took is taken, whatever it says. */
		assert_true(claim_nop(&ring, 1));
		fault.error_after = errors[i];
		assert_int_equal(torc_ring_enter(&ring, 1, UINT64_MAX, 0),
		    errors[i]);
		fault.error_after = 0;
		assert_int_equal(torc_ring_pending(&ring), 0);
		assert_int_equal(reap_nops(&ring, 1), 2);
	}
	torc_ring_fini(&ring);
}

/* ---- Waiting ---- */

static void
a_wait_without_completions_ends_at_its_time_with_minus_etime(void **state)
{
	struct torc_ring ring;
	uint64_t before, after;

	(void)state;
	open_ring(&ring, 4, 8);
	before = torc_sys_now();
	assert_int_equal(torc_ring_enter(&ring, 1, 20 * MS, 0), -ETIME);
	after = torc_sys_now();
	assert_true(after - before >= 20 * MS);
	/* For no time, and not at all. */
	assert_int_equal(torc_ring_enter(&ring, 1, 0, 0), -ETIME);
	assert_int_equal(torc_ring_enter(&ring, 0, UINT64_MAX, 0), 0);
	/* No time limit is no argument for the kernel to read. */
	assert_true(claim_nop(&ring, 1));
	assert_int_equal(torc_ring_enter(&ring, 1, UINT64_MAX, 0), 1);
	assert_false(seen.timed);
	assert_int_equal(reap_nops(&ring, 1), 2);
	torc_ring_fini(&ring);
}

/*
 * a minimum wait that has passed with nothing there goes on, until
 * there is something or its timeout has come.
 */
static void
a_minimum_wait_goes_on_while_nothing_is_there(void **state)
{
	struct __kernel_timespec soon = { .tv_nsec = 20 * MS };
	struct io_uring_sqe *sqe;
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 4, 8);
	sqe = torc_ring_claim(&ring);
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->addr = (uint64_t)&soon;
	sqe->len = 1;
	sqe->user_data = 7;
	assert_int_equal(torc_ring_enter(&ring, 0, 0, 0), 1);
	assert_int_equal(torc_ring_enter(&ring, 8, UINT64_MAX, 1000), 0);
	assert_int_equal(torc_ring_ready(&ring), 1);
	assert_int_equal(torc_ring_next(&ring)->user_data, 7);
	torc_ring_release(&ring);
	assert_int_equal(torc_ring_enter(&ring, 8, 20 * MS, 1000), -ETIME);
	torc_ring_fini(&ring);
}

/* an end that does not fit into the kernel's 63 bits. */
static void
a_wait_of_centuries_is_not_over_at_once(void **state)
{
	static const uint64_t times[] = {
		UINT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1,
	};
	struct __kernel_timespec soon = { .tv_nsec = 20 * MS };
	struct torc_ring ring;

	(void)state;
	open_ring(&ring, 4, 8);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct io_uring_sqe *sqe = torc_ring_claim(&ring);

		assert_non_null(sqe);
		sqe->opcode = IORING_OP_TIMEOUT;
		sqe->addr = (uint64_t)&soon;
		sqe->len = 1;
		sqe->user_data = 7;
		assert_int_equal(torc_ring_enter(&ring, 0, 0, 0), 1);
		assert_int_equal(torc_ring_enter(&ring, 1, times[i], 0), 0);
		assert_int_equal(torc_ring_ready(&ring), 1);
		assert_int_equal(torc_ring_next(&ring)->user_data, 7);
		torc_ring_release(&ring);
	}
	torc_ring_fini(&ring);
}

/* What makes room in the middle of a batch must not add to it. */
static void
submitting_runs_nothing_deferred_and_entering_does(void **state)
{
	const uint64_t one = 1;
	struct torc_ring ring;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	open_ring(&ring, 4, 8);
	if (!(ring.setup_flags & IORING_SETUP_DEFER_TASKRUN)) {
		print_message("SKIP: this kernel defers nothing\n");
		goto close;
	}
	claim_poll(&ring, fd, 5);
	assert_int_equal(torc_ring_enter(&ring, 0, 0, 0), 1);
	assert_false(torc_ring_busy(&ring));
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	/* It is to be seen without a system call that there is something. */
	assert_true(torc_ring_busy(&ring));
	claim_poll(&ring, STDIN_FILENO, 6);
	torc_ring_submit(&ring);
	assert_int_equal(torc_ring_pending(&ring), 0);
	for (uint32_t i = torc_ring_ready(&ring); i > 0; i--)
		assert_int_equal(torc_ring_next(&ring)->user_data, 6);
	assert_true(torc_ring_enter(&ring, 0, 0, 0) >= 0);
	assert_true(torc_ring_ready(&ring) >= 1);
close:
	torc_ring_fini(&ring);
	close(fd);
}

/* ---- Forks ---- */

/* R-134, P10: the child could not even move the tail by mistake. */
static void
a_forked_child_cannot_reach_the_ring_and_the_parent_goes_on(void **state)
{
	struct torc_ring ring;
	uint32_t *words[3];

	(void)state;
	open_ring(&ring, 8, 32);
	run_nops(&ring, 1, 100);
	words[0] = ring.ksq_tail;
	words[1] = ring.kcq_head;
	words[2] = (uint32_t *)(void *)ring.sqes;
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			/* A sanitizer would make a report of the signal. */
			signal(SIGSEGV, SIG_DFL);
			(*(volatile uint32_t *)words[i])++;
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSEGV);
	}
	/* The same words are here and writable. */
	for (int i = 0; i < 3; i++) {
		volatile uint32_t *word = words[i];

		*word = *word;
	}
	run_nops(&ring, 101, 1000);
	torc_ring_fini(&ring);
}

#define CLAIM(test) \
	cmocka_unit_test_setup_teardown(test, refuse_nothing, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(the_best_flags_of_the_kernel_are_taken_at_the_first_try),
		CLAIM(a_flag_that_is_refused_alone_is_given_up_alone),
		CLAIM(flags_that_are_refused_together_are_given_up_newest_first),
		CLAIM(without_NO_SQARRAY_ten_thousand_nops_keep_their_own_user_data),
		CLAIM(a_ring_whose_descriptor_is_not_registered_is_entered_by_it),
		CLAIM(without_the_min_wait_feature_only_one_completion_is_waited_for),
		CLAIM(a_kernel_without_a_needed_feature_is_refused_and_nothing_leaks),
		CLAIM(memory_that_is_short_for_a_moment_is_waited_for),
		CLAIM(memory_that_stays_short_halves_the_ring_down_to_256_and_no_further),
		CLAIM(a_small_ring_is_not_halved_and_another_error_is_not_waited_out),
		CLAIM(a_ring_that_cannot_be_mapped_leaves_no_descriptor_and_no_mapping),
		CLAIM(the_memory_that_a_ring_is_said_to_take_is_what_it_maps),
		CLAIM(a_full_submission_queue_gives_no_entry_until_the_kernel_took_some),
		CLAIM(a_thousand_operations_through_four_entries_lose_none),
		CLAIM(completions_that_overflow_the_queue_come_in_order_by_flushing),
		CLAIM(an_enter_that_fails_takes_nothing_and_loses_nothing),
		CLAIM(a_wait_without_completions_ends_at_its_time_with_minus_etime),
		CLAIM(a_wait_of_centuries_is_not_over_at_once),
		CLAIM(a_minimum_wait_goes_on_while_nothing_is_there),
		CLAIM(submitting_runs_nothing_deferred_and_entering_does),
		CLAIM(a_forked_child_cannot_reach_the_ring_and_the_parent_goes_on),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
