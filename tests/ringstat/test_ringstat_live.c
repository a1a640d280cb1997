/* SPDX-License-Identifier: MIT */
/*
 * test_ringstat_live.c - what ringstat sees of rings that are there.
 *
 * Each subject is a child that brings a ring into a state by system calls
 * alone, tells what it is, and waits to be killed. It may not assert.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/uapi.h"
#include "tools/ringstat/check.h"
#include "tools/ringstat/json.h"
#include "tools/ringstat/memory.h"
#include "tools/ringstat/model.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/views.h"

#define OUTSIDER 61233		/* a user of nobody else */
#define MIXED_CQES (1u << 18)	/* IORING_SETUP_CQE_MIXED, Linux 6.18 */
#define WIDE_RESULT (1u << 5)	/* IORING_NOP_CQE32 */

/* A ring, as the subject itself has it. */
struct ring_here {
	int fd;
	struct io_uring_params params;
	uint8_t *queues;
	uint8_t *sqes;
	size_t sqe_size;
	uint32_t *ksq_tail;
	uint32_t *kcq_head;
};

/* What a subject tells of itself. */
struct told {
	int error;		/* of making the ring; negative */
	int64_t ino;
	pid_t other;		/* a process or thread that it made */
};

struct subject {
	pid_t pid;
	struct told told;
};

/* ---- In the child ---- */

static int
make_ring(struct ring_here *ring, uint32_t entries, uint32_t flags)
{
	memset(ring, 0, sizeof(*ring));
	ring->params.flags = flags;
	if (flags & IORING_SETUP_SQPOLL)
		ring->params.sq_thread_idle = 600000;	/* ms */
	ring->fd = torc_sys_setup(entries, &ring->params);
	return ring->fd;
}

/* As make_ring, with its memory. */
static int
map_ring(struct ring_here *ring, uint32_t entries, uint32_t flags)
{
	const struct io_uring_params *params = &ring->params;
	size_t size;

	if (make_ring(ring, entries, flags) < 0)
		return ring->fd;
	size = params->cq_off.cqes + params->cq_entries *
	    (flags & IORING_SETUP_CQE32 ? 32u : 16u);
	if (!(flags & IORING_SETUP_NO_SQARRAY))
		size = params->sq_off.array + params->sq_entries * 4u;
	ring->sqe_size = flags & IORING_SETUP_SQE128 ? 128 : 64;
	ring->queues = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, params->sq_entries * ring->sqe_size,
	    PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (ring->queues == MAP_FAILED || ring->sqes == MAP_FAILED)
		_exit(1);
	ring->ksq_tail = (void *)(ring->queues + params->sq_off.tail);
	ring->kcq_head = (void *)(ring->queues + params->cq_off.head);
	return ring->fd;
}

/* The next SQE, zeroed, which the kernel may take. */
static struct io_uring_sqe *
put_sqe(struct ring_here *ring, uint8_t opcode, uint64_t user_data)
{
	const uint32_t at = *ring->ksq_tail & (ring->params.sq_entries - 1);
	struct io_uring_sqe *sqe = (void *)(ring->sqes + at * ring->sqe_size);

	memset(sqe, 0, ring->sqe_size);
	sqe->opcode = opcode;
	sqe->fd = -1;
	sqe->user_data = user_data;
	if (!(ring->params.flags & IORING_SETUP_NO_SQARRAY))
		((uint32_t *)(void *)(ring->queues +
		    ring->params.sq_off.array))[at] = at;
	++*ring->ksq_tail;
	return sqe;
}

static void
submit(struct ring_here *ring, uint32_t count)
{
	if (torc_sys_enter(ring->fd, count, 0, 0, NULL, 0) != (int)count)
		_exit(1);
}

static int64_t
inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? UNKNOWN : (int64_t)status.st_ino;
}

static void
make_plain_ring(struct told *told)
{
	struct ring_here ring;
	int fd = make_ring(&ring, 8, 0);

	told->error = fd < 0 ? fd : 0;
	told->ino = inode(fd);
}

typedef void be(struct told *told);

/* The child of a test: it goes when the test does. */
static void
await_the_end(void)
{
	for (;;)
		pause();
}

static struct subject
start(be *become)
{
	struct subject subject = { 0 };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	subject.pid = fork();
	assert_true(subject.pid >= 0);
	if (subject.pid == 0) {
		struct told told = { 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(&told);
		if (write(ends[1], &told, sizeof(told)) != sizeof(told))
			_exit(1);
		await_the_end();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &subject.told, sizeof(subject.told)),
	    sizeof(subject.told));
	close(ends[0]);
	if (subject.told.error == -EINVAL) {
		kill(subject.pid, SIGKILL);
		waitpid(subject.pid, NULL, 0);
		print_message("SKIP: this kernel has no such ring\n");
		skip();
	}
	assert_int_equal(subject.told.error, 0);
	return subject;
}

static void
end(const struct subject *subject)
{
	kill(subject->pid, SIGKILL);
	assert_int_equal(waitpid(subject->pid, NULL, 0), subject->pid);
}

/* ---- In the test ---- */

static struct options
only(pid_t pid)
{
	return (struct options) { .pids = { pid }, .pid_count = 1 };
}

/* The ring of the subject, which must be there. */
static struct ring *
ring_of(struct sample *sample, const struct subject *subject)
{
	struct ring *ring = sample_find(sample, subject->told.ino,
	    subject->pid, 0);

	assert_non_null(ring);
	return ring;
}

static struct ring *
look(struct sample *sample, const struct subject *subject, unsigned want)
{
	const struct options options = only(subject->pid);

	assert_int_equal(sample_take(sample, &options, want, NULL), 0);
	return ring_of(sample, subject);
}

/* ---- Processes ---- */

static struct told thread_told;
static pthread_t main_thread;

/* A join is over before the kernel has let go of the thread's descriptors. */
static bool
main_thread_is_gone(void)
{
	char text[512] = "";
	const char *end;
	FILE *file = fopen("/proc/self/stat", "re");

	if (file == NULL)
		return false;
	end = fgets(text, sizeof(text), file) == NULL ? NULL :
	    strrchr(text, ')');
	fclose(file);
	return end != NULL && end[1] == ' ' && end[2] == 'Z';
}

static void *
outlive_main_thread(void *arg)
{
	int fd = *(int *)arg;

	pthread_join(main_thread, NULL);
	while (!main_thread_is_gone())
		torc_sys_sleep(1000000);
	make_plain_ring(&thread_told);
	if (write(fd, &thread_told, sizeof(thread_told)) < 0)
		_exit(1);
	await_the_end();
	return NULL;
}

static struct subject
start_without_main_thread(void)
{
	struct subject subject = { 0 };
	static int ends[2];

	assert_int_equal(pipe(ends), 0);
	subject.pid = fork();
	assert_true(subject.pid >= 0);
	if (subject.pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		main_thread = pthread_self();
		if (pthread_create(&thread, NULL, outlive_main_thread,
		    &ends[1]) != 0)
			_exit(1);
		pthread_exit(NULL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &subject.told, sizeof(subject.told)),
	    sizeof(subject.told));
	close(ends[0]);
	return subject;
}

/* A machine without any shows none. */
static bool
is_in_a_cgroup(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	bool some = file != NULL && fgetc(file) != EOF;

	if (file != NULL)
		fclose(file);
	return some;
}

static void
need_no_main_thread(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("SKIP: the sanitizer ends a process whose main thread "
	    "has ended\n");
	skip();
#endif
}

static void
the_rings_of_a_process_whose_main_thread_has_ended_are_seen(void **state)
{
	const struct process *process;
	struct subject subject;
	struct sample sample;
	struct ring *ring;

	(void)state;
	need_no_main_thread();
	subject = start_without_main_thread();
	ring = look(&sample, &subject, JSON_WANTS | WANT_ENTRIES);
	process = &sample.processes[ring->process];
	assert_int_equal(process->pid, subject.pid);
	assert_int_equal(ring->sq_entries, 8);
	assert_true(ring->sources & SOURCE_FDINFO);
	assert_true(process->descriptors > 0);
	assert_int_equal(process->uid, getuid());
	assert_true(process->locked_bytes >= 0);
	assert_true((process->cgroup != NULL) == is_in_a_cgroup());
	sample_free(&sample);
	end(&subject);
}

/* In a process of a user who may look at what is his own alone. */
static int
look_as_outsider(void)
{
	struct subject subject;
	struct sample sample;
	struct options options;
	bool found;

	if (setgroups(0, NULL) < 0 || setgid(OUTSIDER) < 0 ||
	    setuid(OUTSIDER) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return 1;
	subject = start_without_main_thread();
	options = only(subject.pid);
	if (sample_take(&sample, &options, WANT_LISTS, NULL) < 0)
		return 2;
	found = sample.denied == 0 && sample_find(&sample, subject.told.ino,
	    subject.pid, 0) != NULL;
	sample_free(&sample);
	end(&subject);
	return found ? 0 : 3;
}

static void
a_user_sees_such_rings_of_his_own(void **state)
{
	pid_t child;
	int status;

	(void)state;
	need_no_main_thread();
	if (geteuid() != 0) {
		print_message("SKIP: another user needs root\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(look_as_outsider());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
make_shared_ring(struct told *told)
{
	make_plain_ring(told);
	told->other = fork();
	if (told->other == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "a sharer");
		await_the_end();
	}
}

static void
sharers_are_known_whichever_process_was_asked_for(void **state)
{
	struct subject subject = start(make_shared_ring);
	const struct options asked[] = {
		{ .pid_count = 0 }, only(subject.pid), { .comm = "sharer" },
		only(subject.told.other),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		const pid_t pid = subject.pid, other = subject.told.other;
		/* /proc lists them by number. */
		const pid_t first = i == 1 || (i == 0 && pid < other) ? pid :
		    other;
		struct sample sample;
		const struct ring *ring;

		assert_int_equal(sample_take(&sample, &asked[i],
		    WANT_SHARERS, NULL), 0);
		ring = ring_of(&sample, &subject);
		assert_int_equal(ring->shared_count, 1);
		assert_int_equal(sample.processes[ring->process].pid, first);
		assert_int_equal(ring->shared_by[0],
		    first == pid ? other : pid);
		assert_int_equal(ring->fd_count, 1);
		if (asked[i].pid_count > 0)
			assert_int_equal(sample.process_count, 1);
		assert_true(asked[i].pid_count == 0 || sample.denied == 0);
		sample_free(&sample);
	}
	kill(subject.told.other, SIGKILL);
	end(&subject);
}

/* ---- Entries ---- */

/* How the rings of a test are made: a child finds it here. */
static struct {
	uint32_t entries;
	uint32_t flags;
	bool commands;		/* with bytes in their second halves */
	uint32_t results;
	uint32_t reaped;	/* slots of the CQ */
} kind;

static struct ring *
list(struct sample *sample, const struct subject *subject, bool no_map)
{
	struct options options = only(subject->pid);

	options.no_map = no_map;
	assert_int_equal(sample_take(sample, &options, WANT_LISTS |
	    WANT_ENTRIES, NULL), 0);
	return ring_of(sample, subject);
}

/* Two that were taken, and three that wait. */
static void
make_pending_ring(struct told *told)
{
	const uint8_t read = kind.commands ? IORING_OP_URING_CMD :
	    IORING_OP_READ;
	struct ring_here ring;

	told->error = map_ring(&ring, kind.entries, kind.flags);
	if (told->error < 0)
		return;
	told->error = 0;
	told->ino = inode(ring.fd);
	put_sqe(&ring, IORING_OP_NOP, 0xa0);
	put_sqe(&ring, IORING_OP_NOP, 0xa1);
	submit(&ring, 2);
	for (unsigned i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = put_sqe(&ring, i == 1 ? read :
		    IORING_OP_NOP, 0xa2 + i);

		if (kind.commands)
			memset((uint8_t *)sqe + 64, 0x11 * (int)(i + 1), 64);
	}
}

static unsigned
assert_pending(const struct ring *ring, uint32_t size)
{
	static const char *const opcodes[] = { "NOP", "READ", "NOP" };
	unsigned shown = 0;

	for (unsigned i = 0; i < ring->entry_count; i++) {
		const struct entry *entry = &ring->entries[i];

		if (entry->kind != ENTRY_SQE)
			continue;
		assert_true(shown < 3);
		assert_int_equal(entry->user_data, 0xa2 + shown);
		assert_int_equal(entry->index, 2 + shown);
		assert_int_equal(entry->size, size);
		assert_int_equal(entry->fd, -1);
		assert_string_equal(entry->opcode, shown == 1 &&
		    kind.commands ? "URING_CMD" : opcodes[shown]);
		shown++;
	}
	assert_int_equal(ring->sq_pending, 3);
	assert_int_equal(ring->unshown[ENTRY_SQE], 3 - shown);
	assert_int_equal(!!(ring->hidden & HIDDEN_SQES), shown < 3);
	return shown;
}

static void
sqes_of_either_size_are_read_with_their_stride(void **state)
{
	const struct { uint32_t entries, flags; } kinds[] = {
		{ 8, 0 }, { 8, IORING_SETUP_SQE128 },
		{ 8, IORING_SETUP_NO_SQARRAY },
		{ 8, IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128 },
		{ 64, 0 }, { 64, IORING_SETUP_SQE128 },
		{ 64, IORING_SETUP_NO_SQARRAY },
		{ 64, IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128 },
		{ 8, IORING_SETUP_CQE32 | IORING_SETUP_SQE128 },
		{ 64, IORING_SETUP_CQE32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const uint32_t size = kinds[i].flags & IORING_SETUP_SQE128 ?
		    128 : 64;
		struct subject subject;
		struct sample sample;
		unsigned shown;

		memset(&kind, 0, sizeof(kind));
		kind.entries = kinds[i].entries;
		kind.flags = kinds[i].flags;
		subject = start(make_pending_ring);
		assert_int_equal(assert_pending(list(&sample, &subject,
		    false), size), 3);
		sample_free(&sample);
		/* All or none, as the kernel prints them. */
		shown = assert_pending(list(&sample, &subject, true), size);
		assert_true(shown == 3 || (shown == 0 &&
		    kind.flags & IORING_SETUP_NO_SQARRAY));
		sample_free(&sample);
		end(&subject);
	}
}

static void
sqes_whose_size_cannot_be_told_are_hidden(void **state)
{
	struct subject subject;
	struct sample sample;

	(void)state;
	memset(&kind, 0, sizeof(kind));
	kind.entries = 8;
	kind.flags = IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128;
	kind.commands = true;
	subject = start(make_pending_ring);
	assert_pending(list(&sample, &subject, false), 128);
	sample_free(&sample);
	/* More of them are more than a page. */
	end(&subject);
	kind.entries = 64;
	subject = start(make_pending_ring);
	assert_int_equal(assert_pending(list(&sample, &subject, false), 128),
	    3);
	sample_free(&sample);
	end(&subject);
}

/* Every second of the results is wide, where the ring has both. */
static void
make_finished_ring(struct told *told)
{
	struct ring_here ring;

	told->error = map_ring(&ring, kind.entries, kind.flags);
	if (told->error < 0)
		return;
	told->error = 0;
	told->ino = inode(ring.fd);
	for (uint32_t i = 0; i < kind.results; i++) {
		struct io_uring_sqe *sqe = put_sqe(&ring, IORING_OP_NOP, i);

		if (kind.flags & IORING_SETUP_CQE32 ||
		    (kind.flags & MIXED_CQES && i % 2 == 0)) {
			sqe->rw_flags = WIDE_RESULT;
			sqe->off = 0xe000 + i;
			sqe->addr = 0xf000 + i;
		}
		submit(&ring, 1);
		*ring.kcq_head = i + 1 == kind.results ? kind.reaped : 0;
	}
}

/* What is shown is right, and in its order; the rest is counted. */
static unsigned
assert_finished(const struct ring *ring, uint32_t first)
{
	const bool every = kind.flags & IORING_SETUP_CQE32;
	unsigned shown = 0;
	uint64_t last = first;

	for (unsigned i = 0; i < ring->entry_count; i++) {
		const struct entry *entry = &ring->entries[i];
		const bool wide = every || entry->user_data % 2 == 0;

		if (entry->kind != ENTRY_CQE)
			continue;
		assert_true(entry->user_data >= last);
		assert_true(entry->user_data < kind.results);
		last = entry->user_data + 1;
		assert_int_equal(entry->size, wide ? 32 : 16);
		assert_int_equal(entry->places, wide && !every ? 2 : 1);
		assert_int_equal(entry->index, every ? entry->user_data :
		    entry->user_data + (entry->user_data + 1) / 2);
		/* A kernel before 6.18 refuses the flag. */
		if (wide && entry->res == 0) {
			assert_int_equal(entry->extra[0], 0xe000 +
			    entry->user_data);
			assert_int_equal(entry->extra[1], 0xf000 +
			    entry->user_data);
		}
		shown += entry->places;
	}
	assert_int_equal(shown + ring->unshown[ENTRY_CQE] +
	    ring->cqe_fillers, ring->cq_ready);
	assert_int_equal(!!(ring->hidden & HIDDEN_CQES),
	    ring->unshown[ENTRY_CQE] > 0);
	return shown;
}

static void
cqes_of_32_bytes_are_shown_right_or_counted(void **state)
{
	const uint32_t sizes[] = { 8, 256 };

	(void)state;
	for (unsigned i = 0; i < 2 * 4; i++) {
		struct subject subject;
		struct sample sample;
		struct ring *ring;

		memset(&kind, 0, sizeof(kind));
		kind.entries = sizes[i / 4];
		kind.flags = IORING_SETUP_CQE32;
		kind.results = 6;
		kind.reaped = i % 4;
		subject = start(make_finished_ring);
		ring = list(&sample, &subject, false);
		assert_int_equal(ring->cqe_size, 32);
		assert_int_equal(assert_finished(ring, kind.reaped),
		    6 - kind.reaped);
		sample_free(&sample);
		assert_finished(list(&sample, &subject, true), kind.reaped);
		sample_free(&sample);
		end(&subject);
	}
}

static void
cqes_of_both_sizes_are_shown_each_with_its_own(void **state)
{
	/* From the beginning, behind a wide one, and behind two. */
	const uint32_t reaped[] = { 0, 2, 3 };

	(void)state;
	for (unsigned i = 0; i < 3 * 2; i++) {
		struct subject subject;
		struct sample sample;
		struct ring *ring;

		memset(&kind, 0, sizeof(kind));
		kind.entries = 8;
		kind.flags = MIXED_CQES;
		/* 16 slots: the sixth wide one does not fit at the end, where
		 * a filler takes its place. */
		kind.results = i < 3 ? 5 : 11;
		kind.reaped = reaped[i % 3];
		subject = start(make_finished_ring);
		ring = list(&sample, &subject, false);
		assert_int_equal(ring->cqe_size, 16);
		assert_int_equal(assert_finished(ring, i % 3),
		    (i < 3 ? 8 : 15) - kind.reaped);
		assert_int_equal(ring->cqe_fillers, i < 3 ? 0 : 1);
		sample_free(&sample);
		ring = list(&sample, &subject, true);
		assert_int_equal(assert_finished(ring, i % 3),
		    (i < 3 ? 8 : 15) - kind.reaped);
		sample_free(&sample);
		end(&subject);
	}
}

static void
make_long_queue(struct told *told)
{
	struct ring_here ring;

	told->error = map_ring(&ring, 4096, 0);
	if (told->error < 0)
		return;
	told->error = 0;
	told->ino = inode(ring.fd);
	for (unsigned i = 0; i < 3000; i++)
		put_sqe(&ring, IORING_OP_NOP, i);
}

static void
print_entries(char **text, const struct sample *sample, bool json)
{
	const struct options options = { .view = VIEW_ENTRIES };
	size_t size = 0;
	FILE *file = open_memstream(text, &size);
	const struct screen screen = { .file = file, .header = true };

	assert_non_null(file);
	if (json)
		json_print(file, sample, NULL);
	else
		view_print(sample, &options, &screen);
	fclose(file);
}

static void
a_list_that_is_cut_says_so(void **state)
{
	struct subject subject = start(make_long_queue);
	struct sample sample;
	struct ring *ring = list(&sample, &subject, false);
	char *text = NULL;

	(void)state;
	assert_int_equal(ring->entry_count, MAX_ENTRIES);
	assert_int_equal(ring->unshown[ENTRY_SQE], 3000 - MAX_ENTRIES);
	assert_int_equal(ring->hidden, HIDDEN_SQES);
	print_entries(&text, &sample, false);
	assert_non_null(strstr(text, "(1976 more)"));
	free(text);
	print_entries(&text, &sample, true);
	assert_non_null(strstr(text, "\"hidden\":[\"sqes\"]"));
	assert_non_null(strstr(text, "\"unshown\":{\"sqes\":1976,"));
	free(text);
	sample_free(&sample);
	end(&subject);
}

/* ---- Locked memory ---- */

#define KIB 1024

static struct process *
add_user(struct sample *sample, int64_t uid, int64_t pinned, int64_t limit)
{
	struct process *process = sample_add_process(sample, 1, "1");

	process->uid = uid;
	process->pinned_bytes = pinned;
	process->locked_limit = limit;
	process->first_namespace = true;
	return process;
}

static void
add_ring(struct sample *sample, unsigned process, int64_t memory)
{
	struct ring *ring = sample_add_ring(sample);

	ring->process = process;
	ring->memory = memory;
	ring->fd_count = 1;
}

static void
account(struct sample *sample, bool charges_rings)
{
	sample->charges_rings = charges_rings;
	memory_account(sample, sample, UNKNOWN);
}

static void
rings_and_pinned_memory_of_a_user_are_taken_off_the_limit(void **state)
{
	struct sample sample = { 0 };

	(void)state;
	add_user(&sample, 7, 100 * KIB, 1000 * KIB);
	add_user(&sample, 7, 200 * KIB, 310 * KIB);
	add_user(&sample, 8, 400 * KIB, 1000 * KIB);
	add_ring(&sample, 0, 30 * KIB);
	add_ring(&sample, 1, 8 * KIB);
	account(&sample, true);
	assert_int_equal(sample.processes[0].locked_left, 662 * KIB);
	assert_int_equal(sample.processes[1].locked_left, 0);
	assert_int_equal(sample.processes[2].locked_left, 600 * KIB);
	/* Before Linux 6.14 rings are free. */
	account(&sample, false);
	assert_int_equal(sample.processes[0].locked_left, 700 * KIB);
	sample_free(&sample);
}

static void
what_no_limit_binds_has_nothing_left_and_takes_nothing(void **state)
{
	struct sample sample = { 0 };

	(void)state;
	add_user(&sample, 7, 100 * KIB, 1000 * KIB);
	add_user(&sample, 7, 800 * KIB, 1000 * KIB)->capabilities =
	    1ull << CAP_IPC_LOCK;
	add_user(&sample, 7, UNKNOWN, UNKNOWN);
	add_user(&sample, 0, 0, 0);
	add_ring(&sample, 1, 30 * KIB);
	account(&sample, true);
	assert_int_equal(sample.processes[0].locked_left, 900 * KIB);
	assert_int_equal(sample.processes[1].locked_left, UNKNOWN);
	assert_int_equal(sample.processes[2].locked_left, UNKNOWN);
	/* A limit of nothing is one. */
	assert_int_equal(sample.processes[3].locked_left, 0);
	/* Root of another user namespace is bound like anybody. */
	sample.processes[1].first_namespace = false;
	account(&sample, true);
	assert_int_equal(sample.processes[1].locked_left, 70 * KIB);
	sample_free(&sample);
}

static unsigned
count_rule(const struct sample *sample, const struct sample *before,
    const char *rule)
{
	struct findings findings;
	unsigned count = 0;

	check_sample(&findings, sample, before);
	for (unsigned i = 0; i < findings.count; i++)
		count += strcmp(findings.list[i].rule, rule) == 0;
	findings_free(&findings);
	return count;
}

static void
a_limit_of_which_less_than_a_tenth_is_left_is_warned_of(void **state)
{
	struct sample sample = { 0 };

	(void)state;
	add_user(&sample, 7, 890 * KIB, 1000 * KIB);
	add_ring(&sample, 0, 8 * KIB);
	account(&sample, true);
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 0);
	sample.processes[0].pinned_bytes += 4 * KIB;
	account(&sample, true);
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 1);
	sample.processes[0].capabilities = 1ull << CAP_IPC_LOCK;
	sample.processes[0].locked_left = UNKNOWN;
	account(&sample, true);
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 0);
	sample_free(&sample);
}

static size_t pinned = 1000 * KIB;

static void
make_pinned_ring(struct told *told)
{
	const struct rlimit limit = { 1024 * KIB, 1024 * KIB };
	static char buffers[1000 * KIB];
	struct iovec vector = { buffers, pinned };
	struct ring_here ring;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    setgroups(0, NULL) < 0 || setgid(OUTSIDER) < 0 ||
	    setuid(OUTSIDER) < 0)
		_exit(1);
	/* A change of user takes this back. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	told->error = make_ring(&ring, 8, 0);
	if (told->error < 0)
		return;
	told->ino = inode(ring.fd);
	/* What another one had is given back late. */
	for (int i = 0; i < 1000; i++) {
		told->error = torc_sys_register(ring.fd,
		    IORING_REGISTER_BUFFERS, &vector, 1);
		if (told->error != -ENOMEM)
			break;
		torc_sys_sleep(10000000);
	}
}

static void
registered_buffers_are_seen_as_pinned_and_counted_against_the_limit(
    void **state)
{
	struct subject subject;
	struct sample sample;
	const struct process *process;
	const struct ring *ring;

	(void)state;
	if (geteuid() != 0) {
		print_message("SKIP: another user needs root\n");
		skip();
	}
	subject = start(make_pinned_ring);
	ring = look(&sample, &subject, WANT_LISTS | WANT_LIMITS);
	process = &sample.processes[ring->process];
	assert_int_equal(ring->buffers, 1);
	assert_int_equal(ring->buffer_bytes, 1000 * KIB);
	assert_true(process->pinned_bytes >= 1000 * KIB);
	assert_int_equal(process->locked_bytes, 0);
	assert_int_equal(process->locked_left, 1024 * KIB -
	    process->pinned_bytes -
	    (sample.charges_rings ? ring->memory : 0));
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 1);
	sample_free(&sample);
	end(&subject);
}

static void
a_list_of_sockets_that_is_cut_says_so(void **state)
{
	const struct options options = { .view = VIEW_POLLS };
	struct sample sample = { 0 };
	struct screen screen = { .header = true };
	char *text = NULL;
	size_t size = 0;

	(void)state;
	add_user(&sample, 7, 0, UNKNOWN);
	add_ring(&sample, 0, UNKNOWN);
	sample.rings[0].polls_known = true;
	sample.rings[0].sockets_unshown = 5;
	screen.file = open_memstream(&text, &size);
	assert_non_null(screen.file);
	view_print(&sample, &options, &screen);
	fclose(screen.file);
	assert_non_null(strstr(text, "(5 more)"));
	free(text);
	sample_free(&sample);
}

static void
what_is_left_to_a_user_is_told_whichever_process_was_asked_for(void **state)
{
	struct subject subjects[2];
	const struct process *process;
	struct sample sample;

	(void)state;
	if (geteuid() != 0) {
		print_message("SKIP: another user needs root\n");
		skip();
	}
	pinned = 480 * KIB;
	for (int i = 0; i < 2; i++)
		subjects[i] = start(make_pinned_ring);
	look(&sample, &subjects[0], WANT_LIMITS);
	process = &sample.processes[0];
	assert_int_equal(sample.process_count, 1);
	assert_true(process->user_pinned >= 960 * (int64_t)KIB);
	assert_true(process->locked_left <= 64 * KIB);
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 1);
	sample_free(&sample);
	end(&subjects[1]);
	/* Half of it comes back when the other one has ended. */
	look(&sample, &subjects[0], WANT_LIMITS);
	process = &sample.processes[0];
	assert_true(process->locked_left > 500 * KIB);
	assert_int_equal(count_rule(&sample, NULL, "memlock"), 0);
	sample_free(&sample);
	end(&subjects[0]);
	pinned = 1000 * KIB;
}

/* ---- SQPOLL threads ---- */

static void
make_spinning_ring(struct told *told)
{
	struct ring_here ring;

	told->error = map_ring(&ring, 8, IORING_SETUP_SQPOLL);
	if (told->error < 0)
		return;
	told->ino = inode(ring.fd);
	/* It sleeps until there is something for it, and then no more. */
	put_sqe(&ring, IORING_OP_NOP, 1);
	told->error = torc_sys_enter(ring.fd, 1, 0, IORING_ENTER_SQ_WAKEUP,
	    NULL, 0);
	if (told->error > 0)
		told->error = 0;
}

static void
an_sqpoll_thread_that_spins_for_nothing_is_found(void **state)
{
	struct subject subject = start(make_spinning_ring);
	const struct options options = only(subject.pid);
	struct sample samples[2] = { { 0 }, { 0 } };
	bool told = false;
	unsigned found = 0;

	(void)state;
	/* It may take a while until it gets a CPU. */
	for (unsigned i = 0; found == 0 && i < 200; i++) {
		struct sample *now = &samples[i % 2];
		struct sample *before = &samples[(i + 1) % 2];

		sample_free(now);
		assert_int_equal(sample_take(now, &options, CHECK_WANTS,
		    before->time_ns == 0 ? NULL : before), 0);
		told |= ring_of(now, &subject)->sq_thread != UNKNOWN;
		if (before->time_ns != 0)
			found = count_rule(now, before, "sqpoll");
		torc_sys_sleep(100000000);
	}
	sample_free(&samples[0]);
	sample_free(&samples[1]);
	end(&subject);
	/* Linux 6.1 says -1 in fdinfo while the thread is busy. */
	if (!told) {
		print_message("SKIP: this kernel does not tell which thread "
		    "it is while it spins\n");
		skip();
	}
	assert_int_equal(found, 1);
}

/* Two rings of one SQPOLL thread, which has used so much time by now. */
static void
add_thread(struct sample *sample, int64_t total_us, int64_t work_us,
    int64_t cpu_us)
{
	*sample = (struct sample) { .interval = 0.5 };
	add_user(sample, 7, 0, UNKNOWN);
	sample->processes[0].sqthreads = 1;
	sample->processes[0].sqthread_cpu_us = cpu_us;
	for (int i = 0; i < 2; i++) {
		struct ring *ring;

		add_ring(sample, 0, UNKNOWN);
		ring = &sample->rings[i];
		ring->ino = 100 + i;
		ring->sq_thread = 4711;
		ring->sq_flags = 0;
		ring->sq_head = 5;
		ring->sq_total_us = total_us;
		ring->sq_work_us = work_us;
	}
}

static void
an_sqpoll_thread_that_works_or_sleeps_is_none(void **state)
{
	struct sample before, now;

	(void)state;
	add_thread(&before, 1000000, 100000, UNKNOWN);
	/* It has spun for nearly all of half a second: found, once. */
	add_thread(&now, 1490000, 110000, UNKNOWN);
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 1);
	assert_int_equal(count_rule(&now, NULL, "sqpoll"), 0);
	/* As much of it was work; or it hardly ran. */
	now.rings[0].sq_work_us = now.rings[1].sq_work_us = 500000;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 0);
	now.rings[0].sq_total_us = now.rings[1].sq_total_us = 1040000;
	now.rings[0].sq_work_us = now.rings[1].sq_work_us = 100000;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 0);
	/* It sleeps, at one end or the other. */
	now.rings[0].sq_total_us = now.rings[1].sq_total_us = 1490000;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 1);
	now.rings[0].sq_flags = IORING_SQ_NEED_WAKEUP;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 0);
	now.rings[0].sq_flags = 0;
	before.rings[0].sq_flags = IORING_SQ_NEED_WAKEUP;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 0);
	sample_free(&before);
	sample_free(&now);
	/* Where the ring tells no times, by those of the thread. */
	add_thread(&before, UNKNOWN, UNKNOWN, 1000000);
	add_thread(&now, UNKNOWN, UNKNOWN, 1490000);
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 1);
	now.rings[0].sq_head = 6;
	assert_int_equal(count_rule(&now, &before, "sqpoll"), 0);
	sample_free(&before);
	sample_free(&now);
}

/* ---- Stalls ---- */

static const char *
stalled_for(char state, char text[200])
{
	struct sample sample = { 0 };
	struct findings findings;
	struct torc_view *view = must_grow(NULL, 1, sizeof(*view));

	memset(view, 0, sizeof(*view));
	view->page.limit.stall_ms = 100;
	view->turn_age_us = 3000000;
	view->thread_state = state;
	add_user(&sample, 7, 0, UNKNOWN);
	add_ring(&sample, 0, UNKNOWN);
	sample.rings[0].torc = view;
	check_sample(&findings, &sample, NULL);
	assert_int_equal(findings.count, 1);
	memcpy(text, findings.list[0].text, 200);
	findings_free(&findings);
	sample_free(&sample);
	return text;
}

static void
a_stall_is_blamed_on_a_handler_only_if_its_thread_could_run(void **state)
{
	char text[200];

	(void)state;
	assert_string_equal(stalled_for('S', text), "reactor 0 has been in "
	    "one turn for 3.0 s: a handler does not return to the loop");
	assert_string_equal(stalled_for('R', text), "reactor 0 has been in "
	    "one turn for 3.0 s: a handler does not return to the loop, or "
	    "gets no CPU");
	assert_string_equal(stalled_for('T', text), "reactor 0 has been in "
	    "one turn for 3.0 s: its thread is stopped");
	assert_string_equal(stalled_for('\0', text), "reactor 0 has been in "
	    "one turn for 3.0 s");
}

#define CLAIM(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CLAIM(the_rings_of_a_process_whose_main_thread_has_ended_are_seen),
		CLAIM(a_user_sees_such_rings_of_his_own),
		CLAIM(sharers_are_known_whichever_process_was_asked_for),
		CLAIM(sqes_of_either_size_are_read_with_their_stride),
		CLAIM(sqes_whose_size_cannot_be_told_are_hidden),
		CLAIM(cqes_of_32_bytes_are_shown_right_or_counted),
		CLAIM(cqes_of_both_sizes_are_shown_each_with_its_own),
		CLAIM(a_list_that_is_cut_says_so),
	      CLAIM(rings_and_pinned_memory_of_a_user_are_taken_off_the_limit),
		CLAIM(what_no_limit_binds_has_nothing_left_and_takes_nothing),
		CLAIM(a_limit_of_which_less_than_a_tenth_is_left_is_warned_of),
    CLAIM(registered_buffers_are_seen_as_pinned_and_counted_against_the_limit),
	CLAIM(what_is_left_to_a_user_is_told_whichever_process_was_asked_for),
		CLAIM(a_list_of_sockets_that_is_cut_says_so),
		CLAIM(an_sqpoll_thread_that_spins_for_nothing_is_found),
		CLAIM(an_sqpoll_thread_that_works_or_sleeps_is_none),
		CLAIM(a_stall_is_blamed_on_a_handler_only_if_its_thread_could_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
