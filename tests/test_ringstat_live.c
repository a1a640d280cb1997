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
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/uapi.h"
#include "tools/ringstat/json.h"
#include "tools/ringstat/model.h"
#include "tools/ringstat/views.h"

#define PATIENCE 600		/* tenths of a second */

/* A ring, as the subject itself has it. */
struct ring_here {
	int fd;
	struct io_uring_params params;
	char *queues;
	char *sqes;
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
	ring->fd = torc_sys_setup(entries, &ring->params);
	return ring->fd;
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

static void *
outlive_main_thread(void *arg)
{
	int fd = *(int *)arg;

	pthread_join(main_thread, NULL);
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

static void
the_rings_of_a_process_whose_main_thread_has_ended_are_seen(void **state)
{
	struct subject subject = start_without_main_thread();
	struct sample sample;
	struct ring *ring = look(&sample, &subject, JSON_WANTS |
	    WANT_ENTRIES);
	const struct process *process = &sample.processes[ring->process];

	(void)state;
	assert_int_equal(process->pid, subject.pid);
	assert_int_equal(ring->sq_entries, 8);
	assert_true(ring->sources & SOURCE_FDINFO);
	assert_true(process->descriptors > 0);
	assert_int_equal(process->uid, getuid());
	assert_true(process->locked_bytes >= 0);
	assert_non_null(process->cgroup);
	sample_free(&sample);
	end(&subject);
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

#define CLAIM(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CLAIM(the_rings_of_a_process_whose_main_thread_has_ended_are_seen),
		CLAIM(sharers_are_known_whichever_process_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
