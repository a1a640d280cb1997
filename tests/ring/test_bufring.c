/* SPDX-License-Identifier: MIT */
/*
 * test_bufring.c - the kernel receives into buffers that nobody else has, and
 * each of them goes back to it once, when all who read in it are done.
 *
 * wrap: torc_sys_register torc_sys_map torc_sys_unmap torc_sys_advise
 * wrap: torc_sys_alloc torc_sys_free torc_sys_sleep
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"
#include "tests/tally.h"

#include "ring/bufring.h"
#include "ring/ring.h"
#include "sys/poison.h"
#include "sys/sys.h"

#define GROUP 7
#define SIZE 64u		/* bytes in a buffer */
#define SECOND 1000000000ull

/* What stands between torc and the kernel; zero: nothing. */
static struct {
	int register_error;	/* of a plain buffer ring */
	int incremental_error;	/* of one that is filled slice by slice */
	unsigned short_registers;	/* so many fail first with -ENOMEM */
} fault;

static struct {
	unsigned registers;
	unsigned sleeps;
	uint64_t pauses[8];
} seen;

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	const struct torc_uapi_buf_reg *reg = arg;

	if (opcode == IORING_REGISTER_PBUF_RING) {
		int error = reg->flags & IOU_PBUF_RING_INC ?
		    fault.incremental_error : fault.register_error;

		if (seen.registers++ < fault.short_registers)
			return -ENOMEM;
		if (error != 0)
			return error;
		if (step_fails())
			return -EPERM;
	}
	return __real_torc_sys_register(fd, opcode, arg, count);
}

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	/* Nothing fails without the advice against huge pages. */
	return advice != MADV_NOHUGEPAGE && step_fails() ? -EINVAL :
	    __real_torc_sys_advise(address, size, advice);
}

void
__wrap_torc_sys_sleep(uint64_t ns)
{
	assert_true(seen.sleeps < 8);
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

/* ---- A socket that is received from ---- */

struct line {
	struct torc_ring ring;
	struct torc_bufring buffers;
	int fds[2];		/* ours, the peer's */
};

/* A completion of the receive, as it was when it was read. */
struct got {
	int32_t result;
	uint32_t flags;
	uint16_t bid;
	bool buffer;
	bool more;
};

static void
open_line(struct line *line, uint32_t capacity, uint32_t start,
    bool incremental)
{
	assert_int_equal(torc_ring_init(&line->ring, 8, 64), 0);
	assert_int_equal(torc_ring_enable(&line->ring), 0);
	assert_int_equal(torc_bufring_init(&line->buffers, &line->ring, GROUP,
	    capacity, start, SIZE, incremental), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    line->fds), 0);
}

static void
close_line(struct line *line)
{
	torc_bufring_fini(&line->buffers);
	torc_ring_fini(&line->ring);
	close(line->fds[0]);
	close(line->fds[1]);
}

static void
arm(struct line *line)
{
	struct io_uring_sqe *sqe = torc_ring_claim(&line->ring);

	assert_non_null(sqe);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = line->fds[0];
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	assert_int_equal(torc_ring_enter(&line->ring, 0, 0, 0), 1);
}

static void
say(struct line *line, const void *data, size_t size)
{
	assert_int_equal(send(line->fds[1], data, size, MSG_NOSIGNAL), size);
}

/* Wait for one completion. */
static struct got
await(struct line *line)
{
	const struct io_uring_cqe *cqe;
	struct got got;

	if (torc_ring_ready(&line->ring) == 0)
		assert_true(torc_ring_enter(&line->ring, 1, 10 * SECOND,
		    0) >= 0);
	assert_true(torc_ring_ready(&line->ring) > 0);
	cqe = torc_ring_next(&line->ring);
	got = (struct got) {
		.result = cqe->res,
		.flags = cqe->flags,
		.bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT),
		.buffer = cqe->flags & IORING_CQE_F_BUFFER,
		.more = cqe->flags & IORING_CQE_F_MORE,
	};
	torc_ring_release(&line->ring);
	return got;
}

/*
 * Arm again where the receive ended because it had no buffer left: up to
 * Linux 6.12 it looks for one as soon as the last one was filled, later when
 * there is more to receive.
 */
static void
rearm_if_starved(struct line *line)
{
	struct got got;

	if (torc_ring_ready(&line->ring) == 0)
		return;
	got = await(line);
	assert_int_equal(got.result, -ENOBUFS);
	assert_false(got.more);
	arm(line);
}

/* Wait for `size` bytes of the stream `key` from `from` on, in one buffer. */
static uint16_t
await_bytes(struct line *line, uint32_t key, uint64_t from, uint32_t size)
{
	struct got got = await(line);
	uint8_t *data;

	assert_int_equal(got.result, size);
	assert_true(got.buffer);
	data = torc_bufring_take(&line->buffers, got.bid, size, got.flags);
	assert_true(stream_matches(key, from, data, size));
	return got.bid;
}

static void
say_bytes(struct line *line, uint32_t key, uint64_t from, uint32_t size)
{
	uint8_t bytes[SIZE];

	assert_true(size <= SIZE);
	stream_fill(key, from, bytes, size);
	say(line, bytes, size);
}

/* The status of a child that runs `body`, and what it wrote to stderr. */
static int
in_child(void (*body)(void *), void *arg, char *said, size_t size)
{
	int ends[2], status;
	ssize_t count;
	size_t used = 0;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		body(arg);
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
assert_traps(void (*body)(void *), void *arg)
{
	char said[512];
	int status = in_child(body, arg, said, sizeof(said));

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "torc: "));
	assert_non_null(strstr(said, "broken: "));
}

/* ---- Whole buffers ---- */

static void
bytes_come_in_buffers_and_a_buffer_put_back_is_filled_again(void **state)
{
	struct line line;
	bool used[4] = { false };

	(void)state;
	open_line(&line, 4, 4, false);
	assert_int_equal(line.buffers.in_kernel, 4);
	arm(&line);
	for (uint32_t n = 0; n < 100; n++) {
		uint16_t bid;

		say_bytes(&line, 1, n * SIZE, SIZE);
		bid = await_bytes(&line, 1, n * SIZE, SIZE);
		assert_int_equal(line.buffers.in_kernel, 3);
		used[bid] = true;
		torc_bufring_put(&line.buffers, bid);
		assert_int_equal(line.buffers.in_kernel, 4);
		torc_bufring_publish(&line.buffers);
	}
	for (int i = 0; i < 4; i++)
		assert_true(used[i]);
	close_line(&line);
}

/* No two of them overlap, and what one holds is not written over. */
static void
buffers_that_are_held_keep_their_bytes_while_others_are_filled(void **state)
{
	struct line line;
	const uint8_t *data[16];
	struct got got;

	(void)state;
	open_line(&line, 16, 16, false);
	arm(&line);
	for (uint32_t n = 0; n < 16; n++) {
		say_bytes(&line, 2, n * SIZE, SIZE);
		got = await(&line);
		assert_int_equal(got.result, SIZE);
		data[n] = torc_bufring_take(&line.buffers, got.bid, SIZE,
		    got.flags);
	}
	assert_int_equal(line.buffers.in_kernel, 0);
	for (uint32_t n = 0; n < 16; n++)
		assert_true(stream_matches(2, n * SIZE, data[n], SIZE));
	close_line(&line);
}

/* P36, R-061, A46: and 2000 round trips over 8 buffers. */
static void
an_empty_ring_ends_the_receive_and_loses_nothing(void **state)
{
	struct line line;
	uint16_t held[8];
	struct got got;
	uint64_t at = 0;

	(void)state;
	open_line(&line, 8, 8, false);
	for (unsigned round = 0; round < 250; round++) {
		arm(&line);
		for (uint32_t n = 0; n < 9; n++)
			say_bytes(&line, 3, at + n * SIZE, SIZE);
		for (uint32_t n = 0; n < 8; n++, at += SIZE)
			held[n] = await_bytes(&line, 3, at, SIZE);
		got = await(&line);
		assert_int_equal(got.result, -ENOBUFS);
		assert_false(got.buffer || got.more);
		assert_int_equal(line.buffers.in_kernel, 0);
		for (uint32_t n = 0; n < 8; n++)
			torc_bufring_put(&line.buffers, held[n]);
		torc_bufring_publish(&line.buffers);
		arm(&line);
		/* The byte that found no buffer waited in the socket. */
		held[0] = await_bytes(&line, 3, at, SIZE);
		at += SIZE;
		torc_bufring_put(&line.buffers, held[0]);
		torc_bufring_publish(&line.buffers);
		/* End the receive: the next round arms its own. */
		shutdown(line.fds[1], SHUT_WR);
		got = await(&line);
		assert_int_equal(got.result, 0);
		close(line.fds[0]);
		close(line.fds[1]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_CLOEXEC, 0, line.fds), 0);
	}
	close_line(&line);
}

/* The tail has 16 bits, also in a ring that has fewer buffers. */
static void
the_tail_wraps_around_and_no_buffer_is_lost(void **state)
{
	const uint32_t rounds = 70000;
	struct line line;

	(void)state;
	open_line(&line, 4, 4, false);
	arm(&line);
	for (uint32_t n = 0; n < rounds; n++) {
		uint16_t bid;

		say(&line, &n, sizeof(n));
		bid = await(&line).bid;
		torc_bufring_take(&line.buffers, bid, sizeof(n), 0);
		torc_bufring_put(&line.buffers, bid);
		torc_bufring_publish(&line.buffers);
	}
	assert_int_equal(line.buffers.tail, rounds + 4);
	assert_int_equal(line.buffers.in_kernel, 4);
	close_line(&line);
}

static void
buffers_of_the_reserve_are_seen_by_the_kernel_once_published(void **state)
{
	struct line line;
	uint16_t first;

	(void)state;
	open_line(&line, 8, 1, false);
	assert_int_equal(line.buffers.live, 1);
	arm(&line);
	say_bytes(&line, 4, 0, SIZE);
	first = await_bytes(&line, 4, 0, SIZE);
	assert_int_equal(torc_bufring_grow(&line.buffers, 2), 2);
	assert_int_equal(line.buffers.live, 3);
	/* Grown, but not published. */
	say_bytes(&line, 4, SIZE, SIZE);
	assert_int_equal(await(&line).result, -ENOBUFS);
	torc_bufring_publish(&line.buffers);
	arm(&line);
	assert_int_not_equal(await_bytes(&line, 4, SIZE, SIZE), first);
	/* There are no more than `capacity`. */
	assert_int_equal(torc_bufring_grow(&line.buffers, 100), 5);
	assert_int_equal(torc_bufring_grow(&line.buffers, 1), 0);
	assert_int_equal(line.buffers.live, 8);
	torc_bufring_publish(&line.buffers);
	for (uint32_t n = 2; n < 8; n++) {
		say_bytes(&line, 4, n * SIZE, SIZE);
		await_bytes(&line, 4, n * SIZE, SIZE);
	}
	assert_int_equal(line.buffers.in_kernel, 0);
	torc_bufring_publish(&line.buffers);
	assert_int_equal(line.buffers.in_kernel_min, 0);
	close_line(&line);
}

/* a receive that was given a buffer and no bytes. */
static void
a_buffer_that_was_taken_without_bytes_goes_back_whole(void **state)
{
	struct line line;
	struct got got;

	(void)state;
	open_line(&line, 1, 1, false);
	arm(&line);
	say_bytes(&line, 5, 0, 10);
	got = await(&line);
	torc_bufring_take(&line.buffers, got.bid, 0, got.flags);
	assert_int_equal(line.buffers.in_kernel, 0);
	torc_bufring_put(&line.buffers, got.bid);
	assert_int_equal(line.buffers.in_kernel, 1);
	torc_bufring_publish(&line.buffers);
	rearm_if_starved(&line);
	say_bytes(&line, 5, 10, SIZE);
	await_bytes(&line, 5, 10, SIZE);
	close_line(&line);
}

/* ---- Slice by slice ---- */

static bool
has_incremental(struct line *line)
{
	if (line->buffers.incremental)
		return true;
	print_message("SKIP: this kernel does not fill buffers in slices\n");
	close_line(line);
	return false;
}

/* R-010, P59, P60 */
static void
a_buffer_of_slices_goes_back_when_it_is_full_and_all_are_put(void **state)
{
	struct line line;
	uint16_t bid;

	(void)state;
	open_line(&line, 2, 2, true);
	if (!has_incremental(&line))
		return;
	arm(&line);
	for (uint64_t round = 0; round < 200; round++) {
		const uint64_t at = round * SIZE;

		say_bytes(&line, 6, at, 20);
		bid = await_bytes(&line, 6, at, 20);
		say_bytes(&line, 6, at + 20, 20);
		assert_int_equal(await_bytes(&line, 6, at + 20, 20), bid);
		/* All are put, but the kernel has not finished it. */
		torc_bufring_put(&line.buffers, bid);
		torc_bufring_put(&line.buffers, bid);
		assert_int_equal(line.buffers.in_kernel, 2);
		say_bytes(&line, 6, at + 40, 14);
		assert_int_equal(await_bytes(&line, 6, at + 40, 14), bid);
		say_bytes(&line, 6, at + 54, SIZE - 54);
		assert_int_equal(await_bytes(&line, 6, at + 54, SIZE - 54),
		    bid);
		/* Full, but two slices are still read. */
		assert_int_equal(line.buffers.in_kernel, 1);
		torc_bufring_put(&line.buffers, bid);
		assert_int_equal(line.buffers.in_kernel, 1);
		torc_bufring_put(&line.buffers, bid);
		assert_int_equal(line.buffers.in_kernel, 2);
		torc_bufring_publish(&line.buffers);
	}
	close_line(&line);
}

/* A message that is longer than the rest of a buffer goes on in the next. */
static void
a_stream_in_slices_of_any_size_is_whole_and_in_order(void **state)
{
	struct line line;
	uint64_t said = 0, heard = 0;
	uint32_t random = 1;

	(void)state;
	open_line(&line, 4, 4, true);
	if (!has_incremental(&line))
		return;
	arm(&line);
	while (heard < 100000) {
		uint32_t size = 1 + (random >> 16) % SIZE;

		random = random * 1103515245u + 12345u;
		say_bytes(&line, 7, said, size);
		for (said += size; heard < said; ) {
			struct got got = await(&line);
			uint8_t *data;

			assert_true(got.result > 0 && got.buffer && got.more);
			data = torc_bufring_take(&line.buffers, got.bid,
			    (uint32_t)got.result, got.flags);
			assert_true(stream_matches(7, heard, data,
			    (size_t)got.result));
			heard += (uint32_t)got.result;
			torc_bufring_put(&line.buffers, got.bid);
		}
		torc_bufring_publish(&line.buffers);
	}
	close_line(&line);
}

/* A08 */
static void
slices_that_are_refused_become_whole_buffers(void **state)
{
	struct line line;
	uint16_t bid;

	(void)state;
	fault.incremental_error = -EINVAL;
	open_line(&line, 2, 2, true);
	assert_int_equal(seen.registers, 2);
	assert_false(line.buffers.incremental);
	arm(&line);
	say_bytes(&line, 8, 0, 10);
	bid = await_bytes(&line, 8, 0, 10);
	assert_int_equal(line.buffers.in_kernel, 1);
	say_bytes(&line, 8, 10, 10);
	assert_int_not_equal(await_bytes(&line, 8, 10, 10), bid);
	close_line(&line);
}

/* A08: another error is no reason to try it in another way. */
static void
an_error_other_than_einval_is_returned_and_not_worked_around(void **state)
{
	struct torc_ring ring;
	struct torc_bufring buffers;

	(void)state;
	assert_int_equal(torc_ring_init(&ring, 8, 32), 0);
	fault.incremental_error = -EPERM;
	assert_int_equal(torc_bufring_init(&buffers, &ring, GROUP, 2, 2, SIZE,
	    true), -EPERM);
	assert_int_equal(seen.registers, 1);
	fault.incremental_error = -EINVAL;
	fault.register_error = -EINVAL;
	assert_int_equal(torc_bufring_init(&buffers, &ring, GROUP, 2, 2, SIZE,
	    true), -EINVAL);
	assert_int_equal(seen.registers, 3);
	assert_int_equal(seen.sleeps, 0);
	fault.register_error = 0;
	assert_int_equal(torc_bufring_init(&buffers, &ring, GROUP, 2, 2, SIZE,
	    true), 0);
	torc_bufring_fini(&buffers);
	torc_ring_fini(&ring);
}

/* A04, R-093: it is charged like a ring, and comes back as late. */
static void
memory_that_is_short_for_a_moment_is_waited_for(void **state)
{
	struct torc_ring ring;
	struct torc_bufring buffers;

	(void)state;
	assert_int_equal(torc_ring_init(&ring, 8, 32), 0);
	fault.short_registers = 3;
	assert_int_equal(torc_bufring_init(&buffers, &ring, GROUP, 2, 2, SIZE,
	    false), 0);
	assert_int_equal(seen.sleeps, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen.pauses[i], 5000000u << i);
	torc_bufring_fini(&buffers);
	/* And not for ever. */
	memset(&seen, 0, sizeof(seen));
	forget_tally();
	fault.short_registers = 100;
	assert_int_equal(torc_bufring_init(&buffers, &ring, GROUP, 2, 2, SIZE,
	    false), -ENOMEM);
	assert_int_equal(seen.sleeps, 5);
	assert_int_equal(tally.allocated, 0);
	assert_int_equal(tally.mapped, 0);
	torc_ring_fini(&ring);
}

/* ---- Making and ending ---- */

/* A12 */
static void
a_buffer_ring_that_cannot_be_made_leaves_no_memory(void **state)
{
	struct torc_ring ring;
	struct torc_bufring buffers;
	unsigned failures = 0;
	int mapped;

	(void)state;
	assert_int_equal(torc_ring_init(&ring, 8, 32), 0);
	mapped = tally.mapped;
	for (unsigned n = 1; ; n++) {
		int rc;

		tally.steps = 0;
		tally.failing = n;
		rc = torc_bufring_init(&buffers, &ring, GROUP, 1024, 64, SIZE,
		    false);
		if (rc == 0)
			break;
		failures++;
		assert_int_equal(tally.mapped, mapped);
		assert_int_equal(tally.allocated, 0);
	}
	/* The table, a region of two steps, the registration. */
	assert_int_equal(failures, 4);
	assert_int_equal(seen.sleeps, 0);
	assert_int_equal(tally.mapped, mapped + 1);
	torc_bufring_fini(&buffers);
	assert_int_equal(tally.mapped, mapped);
	assert_int_equal(tally.allocated, 0);
	torc_ring_fini(&ring);
}

/* Closing a ring takes effect late; the memory goes at once. */
static void
a_group_that_was_given_up_can_be_made_again_on_the_same_ring(void **state)
{
	struct line line;

	(void)state;
	open_line(&line, 8, 8, false);
	for (unsigned i = 0; i < 50; i++) {
		torc_bufring_fini(&line.buffers);
		assert_int_equal(torc_bufring_init(&line.buffers, &line.ring,
		    GROUP, 8, 8, SIZE, false), 0);
	}
	arm(&line);
	say_bytes(&line, 9, 0, SIZE);
	await_bytes(&line, 9, 0, SIZE);
	close_line(&line);
}

static void
touch(void *word)
{
	/* It is the kernel that refuses, and not a sanitizer. */
	torc_unpoison(word, 1);
	(*(volatile uint8_t *)word)++;
}

/* a child of a fork must not write where the parent receives. */
static void
a_forked_child_cannot_reach_the_buffers(void **state)
{
	struct line line;
	char said[512];
	uint8_t *words[2];

	(void)state;
	open_line(&line, 4, 4, false);
	words[0] = line.buffers.bufs[0].memory;
	words[1] = (uint8_t *)line.buffers.kbufs;
	for (int i = 0; i < 2; i++) {
		int status = in_child(touch, words[i], said, sizeof(said));

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSEGV);
	}
	touch(words[0]);
	arm(&line);
	say_bytes(&line, 10, 0, SIZE);
	await_bytes(&line, 10, 0, SIZE);
	close_line(&line);
}

/* ---- Misuse, R-012 and A45: none of it goes on ---- */

/*
 * The state that these start from: buffers 0 and 1 of 4 live, 2 and 3 in
 * reserve. The children inherit it; they do not touch what they do not.
 */
static struct torc_bufring misused;

static void
make_misused(void)
{
	static struct io_uring_buf kbufs[4];
	static struct torc_buf bufs[4];

	memset(kbufs, 0, sizeof(kbufs));
	memset(bufs, 0, sizeof(bufs));
	misused = (struct torc_bufring) {
		.kbufs = kbufs,
		.ktail = &kbufs[0].resv,
		.bufs = bufs,
		.size = SIZE,
		.capacity = 4,
	};
	assert_int_equal(torc_bufring_grow(&misused, 2), 2);
	torc_bufring_publish(&misused);
}

static void
put_twice(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 0, 10, 0);
	torc_bufring_put(&misused, 0);
	torc_bufring_put(&misused, 0);
}

static void
put_what_the_kernel_has(void *arg)
{
	(void)arg;
	torc_bufring_put(&misused, 1);
}

static void
put_what_is_in_reserve(void *arg)
{
	(void)arg;
	torc_bufring_put(&misused, 2);
}

static void
take_what_is_held(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 0, 10, 0);
	torc_bufring_take(&misused, 0, 10, 0);
}

static void
take_what_is_in_reserve(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 3, 10, 0);
}

static void
take_more_than_there_is(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 0, SIZE + 1, 0);
}

static void
take_more_than_is_left(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 0, SIZE - 10, IORING_CQE_F_BUF_MORE);
	torc_bufring_take(&misused, 0, 11, 0);
}

/* The control: every step of those above, in a legal order. */
static void
use_it_properly(void *arg)
{
	(void)arg;
	torc_bufring_take(&misused, 0, SIZE - 10, IORING_CQE_F_BUF_MORE);
	torc_bufring_take(&misused, 0, 10, 0);
	torc_bufring_take(&misused, 1, SIZE, 0);
	torc_bufring_put(&misused, 0);
	torc_bufring_put(&misused, 0);
	torc_bufring_put(&misused, 1);
	torc_bufring_take(&misused, 0, SIZE, 0);
	torc_bufring_put(&misused, 0);
	torc_bufring_publish(&misused);
}

/* A45, R-012 */
static void
no_buffer_is_taken_or_put_by_one_who_does_not_have_it(void **state)
{
	char said[512];

	(void)state;
	make_misused();
	assert_int_equal(in_child(use_it_properly, NULL, said, sizeof(said)),
	    0);
	assert_traps(put_twice, NULL);
	assert_traps(put_what_the_kernel_has, NULL);
	assert_traps(put_what_is_in_reserve, NULL);
	assert_traps(take_what_is_held, NULL);
	assert_traps(take_what_is_in_reserve, NULL);
	assert_traps(take_more_than_there_is, NULL);
	assert_traps(take_more_than_is_left, NULL);
}

#define CLAIM(test) \
	cmocka_unit_test_setup_teardown(test, refuse_nothing, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(bytes_come_in_buffers_and_a_buffer_put_back_is_filled_again),
		CLAIM(buffers_that_are_held_keep_their_bytes_while_others_are_filled),
		CLAIM(an_empty_ring_ends_the_receive_and_loses_nothing),
		CLAIM(the_tail_wraps_around_and_no_buffer_is_lost),
		CLAIM(buffers_of_the_reserve_are_seen_by_the_kernel_once_published),
		CLAIM(a_buffer_that_was_taken_without_bytes_goes_back_whole),
		CLAIM(a_buffer_of_slices_goes_back_when_it_is_full_and_all_are_put),
		CLAIM(a_stream_in_slices_of_any_size_is_whole_and_in_order),
		CLAIM(slices_that_are_refused_become_whole_buffers),
		CLAIM(an_error_other_than_einval_is_returned_and_not_worked_around),
		CLAIM(memory_that_is_short_for_a_moment_is_waited_for),
		CLAIM(a_buffer_ring_that_cannot_be_made_leaves_no_memory),
		CLAIM(a_group_that_was_given_up_can_be_made_again_on_the_same_ring),
		CLAIM(a_forked_child_cannot_reach_the_buffers),
		CLAIM(no_buffer_is_taken_or_put_by_one_who_does_not_have_it),
	};

	return cmocka_run_group_tests_name("bufring", tests, NULL, NULL);
}
