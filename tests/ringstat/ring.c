/* SPDX-License-Identifier: MIT */
/*
 * ring.c - programs that ringstat is shown, and that tell the truth.
 *
 * ring KIND [NUMBER]: bring a ring (or many) into a known state, print that
 * state in one line, in the words of ringstat's JSON, and keep it until the
 * standard input ends. A line "go NUMBER" there: so many NOPs are submitted
 * and reaped, then "done" is printed. With RING_NAME the process calls itself
 * so. It is written on liburing, so that what it does with a ring has nothing
 * in common with torc.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reactor/stats_page.h"

#define NO_SQARRAY (1U << 16)	/* newer than Debian 12's header */
#define FIRST_DATA 0x1122334455660000ull

static void
must(int result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "ring: %s: %s\n", what, strerror(-result));
	exit(1);
}

static void
open_ring(struct io_uring *ring, unsigned sqes, unsigned cqes, unsigned flags)
{
	struct io_uring_params params = {
		.flags = flags | (cqes != 0 ? IORING_SETUP_CQSIZE : 0),
		.cq_entries = cqes,
		.sq_thread_idle = 1,
	};

	must(io_uring_queue_init_params(sqes, ring, &params),
	    "io_uring_queue_init_params");
}

static unsigned long
inode(const struct io_uring *ring)
{
	struct stat status;

	must(fstat(ring->ring_fd, &status) < 0 ? -errno : 0, "fstat");
	return (unsigned long)status.st_ino;
}

static void
tell_ring(const struct io_uring *ring)
{
	printf("{\"pid\":%d,\"ino\":%lu,\"fds\":[%d]", (int)getpid(),
	    inode(ring), ring->ring_fd);
}

/* The head and tail of both queues, and what follows from them. */
static void
tell_queues(const struct io_uring *ring, unsigned overflow)
{
	const unsigned sq_head = *ring->sq.khead, sq_tail = *ring->sq.ktail;
	const unsigned cq_head = *ring->cq.khead, cq_tail = *ring->cq.ktail;

	printf(",\"sq\":{\"entries\":%u,\"head\":%u,\"tail\":%u,"
	    "\"pending\":%u,\"dropped\":0},\"cq\":{\"entries\":%u,"
	    "\"head\":%u,\"tail\":%u,\"ready\":%u,\"overflow\":0,"
	    "\"overflow_listed\":%u}", *ring->sq.kring_entries, sq_head,
	    sq_tail, sq_tail - sq_head, *ring->cq.kring_entries, cq_head,
	    cq_tail, cq_tail - cq_head, overflow);
}

/* Alternately one that succeeds, and one that fails with EBADF. */
static void
submit(struct io_uring *ring, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (i % 2 == 0)
			io_uring_prep_nop(sqe);
		else
			io_uring_prep_close(sqe, -1);
		sqe->user_data = FIRST_DATA + i;
		if (io_uring_sq_space_left(ring) == 0 || i + 1 == count)
			must(io_uring_submit(ring), "io_uring_submit");
	}
}

static void
tell_completions(const char *name, unsigned first, unsigned count)
{
	printf(",\"%s\":[", name);
	for (unsigned i = first; i < first + count; i++)
		printf("%s{\"res\":%d,\"user_data\":\"0x%llx\"}",
		    i == first ? "" : ",", i % 2 == 0 ? 0 : -EBADF,
		    FIRST_DATA + i);
	printf("]");
}

/* ---- Kinds ---- */

static void
be_unreaped(struct io_uring *ring, unsigned count)
{
	open_ring(ring, 64, 8192, 0);
	submit(ring, count);
	tell_ring(ring);
	tell_queues(ring, 0);
	printf(",\"entries\":{\"sqes\":[]");
	tell_completions("cqes", 0, count < 1024 ? count : 1024);
	puts(",\"overflow\":[]}}");
}

static void
be_overflowed(struct io_uring *ring, unsigned count)
{
	open_ring(ring, 4, 8, 0);
	submit(ring, 8 + count);
	tell_ring(ring);
	tell_queues(ring, count);
	printf(",\"entries\":{\"sqes\":[]");
	tell_completions("cqes", 0, 8);
	tell_completions("overflow", 8, count);
	puts("}}");
}

/* liburing knows of the index array only: it must not fill this ring's. */
static void
open_unlisted(struct io_uring *ring, unsigned sqes)
{
	struct io_uring_params params = { .flags = NO_SQARRAY };
	int fd = (int)syscall(SYS_io_uring_setup, sqes, &params);

	must(fd < 0 ? -errno : 0, "io_uring_setup");
	memset(ring, 0, sizeof(*ring));
	must(io_uring_queue_mmap(fd, &params, ring), "io_uring_queue_mmap");
}

/* SQEs that the kernel may take, and is not told of, behind 100 of others. */
static void
be_pending(struct io_uring *ring, unsigned count, bool unlisted)
{
	const unsigned first = unlisted ? 0 : 100;

	if (unlisted)
		open_unlisted(ring, 128);
	else
		open_ring(ring, 128, 0, 0);
	if (!unlisted)
		submit(ring, first);
	io_uring_cq_advance(ring, first);
	for (unsigned i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_read(sqe, (int)i, NULL, 10 + i, 4096ull * i);
		sqe->user_data = FIRST_DATA + i;
		if (!unlisted)
			ring->sq.array[(first + i) & 127] = (first + i) & 127;
	}
	io_uring_smp_store_release(ring->sq.ktail, first + count);
	tell_ring(ring);
	tell_queues(ring, 0);
	printf(",\"entries\":{\"cqes\":[],\"overflow\":[],\"sqes\":[");
	for (unsigned i = 0; i < count; i++)
		printf("%s{\"index\":%u,\"opcode\":\"READ\",\"fd\":%u,"
		    "\"off\":\"0x%x\",\"user_data\":\"0x%llx\"}",
		    i == 0 ? "" : ",", (first + i) & 127, i, 4096 * i,
		    FIRST_DATA + i);
	puts("]}}");
}

static void
be_sqpoll(struct io_uring *ring)
{
	open_ring(ring, 16, 0, IORING_SETUP_SQPOLL);
	submit(ring, 7);
	for (int i = 0; i < 7; i++) {
		struct io_uring_cqe *cqe;

		must(io_uring_wait_cqe(ring, &cqe), "io_uring_wait_cqe");
		io_uring_cqe_seen(ring, cqe);
	}
	while (!(io_uring_smp_load_acquire(ring->sq.kflags) &
	    IORING_SQ_NEED_WAKEUP))
		poll(NULL, 0, 1);
	tell_ring(ring);
	tell_queues(ring, 0);
	puts("}");
}

/* Armed polls, a file, a socket and buffers that are registered. */
static void
be_polling(struct io_uring *ring, unsigned count)
{
	static char memory[4096];
	const struct iovec buffers[3] = {
		{ memory, 100 }, { memory + 100, 100 }, { memory + 200, 100 },
	};
	int ends[2], files[2];

	open_ring(ring, 64, 0, 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
	files[0] = ends[0];
	files[1] = STDERR_FILENO;
	must(io_uring_register_files(ring, files, 2), "files");
	must(io_uring_register_buffers(ring, buffers, 3), "buffers");
	for (unsigned i = 0; i < count + 2; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (i < count)
			io_uring_prep_poll_add(sqe, ends[0], POLLIN);
		else
			io_uring_prep_recv(sqe, ends[1], memory, 10, 0);
	}
	must(io_uring_submit(ring), "io_uring_submit");
	tell_ring(ring);
	tell_queues(ring, 0);
	printf(",\"polls\":{\"POLL_ADD\":%u,\"RECV\":2},\"files\":2,"
	    "\"buffers\":3}\n", count);
}

/* So many requests that block, each in a thread of the kernel: nobody writes
 * to the FIFO. */
static void
be_working(struct io_uring *ring, unsigned count)
{
	open_ring(ring, 64, 0, 0);
	must(mkfifo("fifo", 0600) < 0 ? -errno : 0, "mkfifo");
	for (unsigned i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_openat(sqe, AT_FDCWD, "fifo", O_RDONLY, 0);
		sqe->flags |= IOSQE_ASYNC;
	}
	must(io_uring_submit(ring), "io_uring_submit");
	tell_ring(ring);
	tell_queues(ring, 0);
	puts("}");
}

/* One ring under three descriptors, two of them another process's. */
static void
be_shared(struct io_uring *ring)
{
	pid_t child;
	int again;

	open_ring(ring, 8, 0, 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	must(child, "fork");
	again = dup(ring->ring_fd);
	must(again, "dup");
	printf("{\"pid\":%d,\"ino\":%lu,\"fds\":[%d,%d],\"shared_by\":[%d]}\n",
	    (int)getpid(), inode(ring), ring->ring_fd, again, (int)child);
}

static void
be_many(struct io_uring *ring, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		open_ring(ring, 1, 2, 0);
	printf("{\"pid\":%d,\"count\":%u}\n", (int)getpid(), count);
}

/* So many processes that sleep, and have nothing but a descriptor or three. */
static void
be_a_crowd(unsigned count)
{
	const pid_t parent = getpid();

	for (unsigned i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (getppid() == parent)
				pause();
			_exit(0);
		}
		must(child, "fork");
	}
	printf("{\"pid\":%d}\n", (int)parent);
}

/* Rings that come and go, and processes with them. */
static void
be_changing(struct io_uring *ring)
{
	const pid_t parent = getpid();
	pid_t child = fork();

	must(child, "fork");
	while (child == 0) {
		pid_t grandchild = fork();

		if (getppid() != parent && grandchild != 0)
			_exit(0);
		if (grandchild != 0) {
			waitpid(grandchild, NULL, 0);
			continue;
		}
		for (unsigned i = 0; i < 20; i++) {
			open_ring(ring, 8, 0, 0);
			submit(ring, 5);
			if (i % 2 == 0)
				io_uring_queue_exit(ring);
		}
		_exit(0);
	}
	open_ring(ring, 8, 0, 0);
	printf("{\"pid\":%d,\"child\":%d}\n", (int)getpid(), (int)child);
}

/* Pages of torc's name: one is nonsense behind its first words, one empty. */
static void
be_lying(struct io_uring *ring)
{
	static uint64_t words[1 << 13];
	int page = memfd_create(TORC_STATS_PAGE_NAME, 0);

	must(page, "memfd_create");
	must(memfd_create(TORC_STATS_PAGE_NAME, 0), "memfd_create");
	open_ring(ring, 8, 0, 0);
	memset(words, 0xfe, sizeof(words));
	((struct torc_stats_page *)(void *)words)->magic =
	    TORC_STATS_PAGE_MAGIC;
	((struct torc_stats_page *)(void *)words)->version =
	    TORC_STATS_PAGE_VERSION;
	must((int)write(page, words, sizeof(words)), "write");
	tell_ring(ring);
	tell_queues(ring, 0);
	puts("}");
}

/* A ring, and so many descriptors. */
static void
be_nearly_full(struct io_uring *ring, unsigned count)
{
	int last = -1;

	open_ring(ring, 8, 0, 0);
	while (last + 1 < (int)count) {
		last = dup(STDERR_FILENO);
		must(last, "dup");
	}
	tell_ring(ring);
	puts("}");
}

static void
become(struct io_uring *ring, const char *kind, unsigned number)
{
	if (strcmp(kind, "unreaped") == 0)
		be_unreaped(ring, number);
	else if (strcmp(kind, "overflowed") == 0)
		be_overflowed(ring, number);
	else if (strcmp(kind, "pending") == 0)
		be_pending(ring, number, false);
	else if (strcmp(kind, "unlisted") == 0)
		be_pending(ring, number, true);
	else if (strcmp(kind, "sqpoll") == 0)
		be_sqpoll(ring);
	else if (strcmp(kind, "polling") == 0)
		be_polling(ring, number);
	else if (strcmp(kind, "working") == 0)
		be_working(ring, number);
	else if (strcmp(kind, "shared") == 0)
		be_shared(ring);
	else if (strcmp(kind, "many") == 0)
		be_many(ring, number);
	else if (strcmp(kind, "crowd") == 0)
		be_a_crowd(number);
	else if (strcmp(kind, "changing") == 0)
		be_changing(ring);
	else if (strcmp(kind, "lying") == 0)
		be_lying(ring);
	else if (strcmp(kind, "descriptors") == 0)
		be_nearly_full(ring, number);
	else
		must(-EINVAL, kind);
}

static void
work(struct io_uring *ring, unsigned count)
{
	for (unsigned done = 0; done < count; done++) {
		struct io_uring_cqe *cqe;

		submit(ring, 1);
		must(io_uring_wait_cqe(ring, &cqe), "io_uring_wait_cqe");
		io_uring_cqe_seen(ring, cqe);
	}
	puts("done");
}

int
main(int argc, char **argv)
{
	const char *name = getenv("RING_NAME");
	struct io_uring ring;
	char line[64];
	unsigned count;

	if (argc < 2) {
		fprintf(stderr, "usage: ring KIND [NUMBER]\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (name != NULL)
		prctl(PR_SET_NAME, name);
	become(&ring, argv[1], argc > 2 ? (unsigned)atoi(argv[2]) : 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "go %u", &count) == 1)
			work(&ring, count);
	}
	return 0;
}
