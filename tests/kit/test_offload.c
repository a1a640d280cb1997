/* SPDX-License-Identifier: MIT */
/*
 * test_offload.c - blocking work on threads.
 *
 * wrap: pthread_create
 * wrap: torc_sys_now
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LATE torc_after_ms(60000)
#define SOON torc_after_ms(20)

/* gcc and clang each have their own way to say it. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- What is replaced ---- */

static uint32_t refuse_threads;
static uint32_t hasten;	/* what is idle for ten seconds ends after one tenth */

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
    void *(*run)(void *), void *arg)
{
	if (__atomic_load_n(&refuse_threads, __ATOMIC_SEQ_CST))
		return EAGAIN;
	return __real_pthread_create(thread, attributes, run, arg);
}

uint64_t
__wrap_torc_sys_now(void)
{
	uint64_t now = __real_torc_sys_now();

	if (torc_current == NULL && __atomic_load_n(&hasten, __ATOMIC_SEQ_CST))
		now -= 9900000000u;
	return now;
}

/* ---- Work ---- */

/* Work that says that it has begun, and ends when it is told to. */
struct gate {
	sem_t begun;
	sem_t open;
};

static void
gate_init(struct gate *gate)
{
	sem_init(&gate->begun, 0, 0);
	sem_init(&gate->open, 0, 0);
}

static int
pass(void *arg)
{
	struct gate *gate = arg;

	sem_post(&gate->begun);
	while (sem_wait(&gate->open) < 0)
		continue;
	return 42;
}

/* Parks. Wait until work has begun, at most 30 s. */
static bool
has_begun(struct gate *gate)
{
	for (int i = 0; i < 3000; i++) {
		if (sem_trywait(&gate->begun) == 0)
			return true;
		torc_sleep(torc_after_ms(10));
	}
	return false;
}

static int
count_up(void *arg)
{
	return ++*(int *)arg;
}

struct errand {
	struct gate *gate;
	torc_deadline deadline;
	int result;
	bool over;
};

static int
run_errand(void *arg)
{
	struct errand *errand = arg;

	errand->result = torc_offload(pass, errand->gate, errand->deadline);
	errand->over = true;
	return errand->result;
}

static void
on_fiber(torc_fiber_entry *entry)
{
	struct server server;
	int line;

	server_start(&server, NULL, echo_handler, NULL);
	line = server_fiber(&server, entry, NULL);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* ---- Work comes back ---- */

static int
work_aside(void *arg)
{
	struct errand errand = { .deadline = TORC_NEVER };
	struct gate gate;
	uint64_t id;
	int result;

	(void)arg;
	gate_init(&gate);
	errand.gate = &gate;
	EXPECT(torc_fiber_spawn(&id, run_errand, &errand) == 0);
	EXPECT(has_begun(&gate));
	/* The work blocks, and this fiber runs. */
	EXPECT(!errand.over);
	sem_post(&gate.open);
	EXPECT(torc_fiber_join(id, &result, LATE) == 0 && result == 42);
	return 0;
}

static void
work_blocks_a_thread_and_not_the_reactor(void **state)
{
	(void)state;
	on_fiber(work_aside);
}

static int
look_at_signals(void *arg)
{
	sigset_t set;

	*(pthread_t *)arg = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	for (int number = 1; number < 32; number++) {
		if (number != SIGKILL && number != SIGSTOP &&
		    sigismember(&set, number) != 1)
			return -number;
	}
	return 1;
}

static int
take_no_signals(void *arg)
{
	pthread_t thread;

	(void)arg;
	EXPECT(torc_offload(look_at_signals, &thread, LATE) == 1);
	EXPECT(!pthread_equal(thread, pthread_self()));
	return 0;
}

static void
its_threads_block_all_signals(void **state)
{
	(void)state;
	on_fiber(take_no_signals);
}

/* ---- Bounds ---- */

static int
wait_for_thread(void *arg)
{
	struct errand errands[3];
	struct gate gate;
	const torc_deadline deadline = SOON;
	uint64_t ids[2], late;
	int runs = 0, result;

	(void)arg;
	gate_init(&gate);
	torc_offload_threads(2);
	for (int i = 0; i < 3; i++)
		errands[i] = (struct errand) { .gate = &gate,
			.deadline = TORC_NEVER };
	for (int i = 0; i < 2; i++)
		EXPECT(torc_fiber_spawn(&ids[i], run_errand,
		    &errands[i]) == 0);
	EXPECT(has_begun(&gate) && has_begun(&gate));
	/* Both threads are busy. */
	EXPECT(torc_offload(count_up, &runs, deadline) == -ETIMEDOUT);
	EXPECT(torc_passed(deadline));
	EXPECT(torc_fiber_spawn(&late, run_errand, &errands[2]) == 0);
	EXPECT(torc_yield() == 0 && torc_fiber_cancel(late) == 0);
	EXPECT(torc_fiber_join(late, &result, LATE) == 0);
	EXPECT(result == -ECANCELED && sem_trywait(&gate.begun) < 0);
	sem_post(&gate.open);
	sem_post(&gate.open);
	EXPECT(torc_fiber_join(ids[0], &result, LATE) == 0 && result == 42);
	EXPECT(torc_fiber_join(ids[1], &result, LATE) == 0 && result == 42);
	/* What was given up never runs. */
	EXPECT(torc_offload(count_up, &runs, LATE) == 1 && runs == 1);
	EXPECT(sem_trywait(&gate.begun) < 0);
	torc_offload_threads(8);
	return 0;
}

static void
work_that_waits_for_a_thread_ends_by_deadline_or_cancel(void **state)
{
	(void)state;
	on_fiber(wait_for_thread);
}

static int
wait_for_work(void *arg)
{
	struct errand errand = { .deadline = torc_after_ms(300) };
	struct gate gate;
	torc_deadline until;
	uint64_t id;
	int runs = 0;

	(void)arg;
	EXPECT(torc_offload(count_up, &runs, TORC_AT_ONCE) == -ETIMEDOUT &&
	    runs == 0);
	gate_init(&gate);
	errand.gate = &gate;
	EXPECT(torc_fiber_spawn(&id, run_errand, &errand) == 0);
	EXPECT(has_begun(&gate));
	until = torc_at(errand.deadline.at + 20000000u);
	EXPECT(torc_sleep(until) == 0 && !errand.over);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_sleep(SOON) == 0 && !errand.over);
	sem_post(&gate.open);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(errand.result == 42);
	return 0;
}

static void
work_that_has_begun_is_waited_for(void **state)
{
	(void)state;
	on_fiber(wait_for_work);
}

/* ---- The end of a reactor ---- */

static struct gate last_gate;
static struct errand last_errand;

static int
begin_last(void *arg)
{
	(void)arg;
	last_errand = (struct errand) { .gate = &last_gate,
		.deadline = TORC_NEVER };
	EXPECT(torc_fiber_spawn(NULL, run_errand, &last_errand) == 0);
	EXPECT(has_begun(&last_gate));
	return 0;
}

static void *
open_later(void *arg)
{
	pause_ms(200);
	__atomic_store_n((uint32_t *)arg, 1, __ATOMIC_SEQ_CST);
	sem_post(&last_gate.open);
	return NULL;
}

static void
end_during_work(int (*end)(struct server *server))
{
	struct server server;
	pthread_t thread;
	uint32_t opened = 0;

	gate_init(&last_gate);
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, begin_last, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, open_later, &opened),
	    0);
	assert_int_equal(end(&server), 0);
	assert_int_equal(__atomic_load_n(&opened, __ATOMIC_SEQ_CST), 1);
	assert_true(last_errand.over);
	assert_int_equal(last_errand.result, 42);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static int
drain_soon(struct server *server)
{
	return server_drain(server, 20);
}

static void
a_drain_and_a_stop_wait_for_work_that_has_begun(void **state)
{
	(void)state;
	end_during_work(drain_soon);
	end_during_work(server_stop);
}

/* ---- Many ---- */

#define REACTORS 3
#define FIBERS 40
#define ROUNDS 25

static int
add_one(void *arg)
{
	++*(int *)arg;
	return 0;
}

static int
toil(void *arg)
{
	int *sum = arg;

	for (int i = 0; i < ROUNDS; i++)
		EXPECT(torc_offload(add_one, sum, LATE) == 0);
	return 0;
}

static int
toil_together(void *arg)
{
	uint64_t ids[FIBERS];
	int sums[FIBERS] = { 0 };
	int result;

	(void)arg;
	for (int i = 0; i < FIBERS; i++)
		EXPECT(torc_fiber_spawn(&ids[i], toil, &sums[i]) == 0);
	for (int i = 0; i < FIBERS; i++) {
		EXPECT(torc_fiber_join(ids[i], &result, LATE) == 0);
		EXPECT(result == 0 && sums[i] == ROUNDS);
	}
	return 0;
}

static void *
run_toil(void *arg)
{
	struct server server;

	server_start(&server, NULL, echo_handler, NULL);
	*(int *)arg = server_fiber(&server, toil_together, NULL);
	assert_int_equal(server_stop(&server), 0);
	return NULL;
}

static void
reactors_share_the_threads_and_each_gets_its_own_back(void **state)
{
	pthread_t threads[REACTORS];
	int lines[REACTORS];

	(void)state;
	for (int i = 0; i < REACTORS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_toil,
		    &lines[i]), 0);
	for (int i = 0; i < REACTORS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(lines[i], 0);
	}
}

/* ---- Threads come and go ---- */

static unsigned
count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count - 2;	/* less "." and ".." */
}

/* Wait until there are `count` threads, at most 30 s. */
static bool
threads_are(unsigned count)
{
	for (int i = 0; i < 3000 && count_threads() != count; i++)
		pause_ms(10);
	return count_threads() == count;
}

static int
offload_once(void *arg)
{
	int runs = 0;

	(void)arg;
	return torc_offload(count_up, &runs, LATE);
}

/* With those of a sanitizer, which come with the first thread. */
static unsigned threads_at_first;

static void *
say_who(void *arg)
{
	*(int *)arg = (int)gettid();
	return NULL;
}

static void
count_at_first(void)
{
	char path[64];
	pthread_t thread;
	int tid = 0;

	assert_int_equal(pthread_create(&thread, NULL, say_who, &tid), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* Who was joined may be listed for a while. */
	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	for (int i = 0; i < 3000 && access(path, F_OK) == 0; i++)
		pause_ms(10);
	threads_at_first = count_threads();
}

static void
idle_threads_end_and_are_made_again(void **state)
{
	struct server server;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, offload_once, NULL), 1);
	assert_true(count_threads() > threads_at_first + 1);
	/* Those that stand by look at the clock again. */
	__atomic_store_n(&hasten, 1, __ATOMIC_SEQ_CST);
	torc_offload_threads(8);
	assert_true(threads_are(threads_at_first + 1));
	__atomic_store_n(&refuse_threads, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(server_fiber(&server, offload_once, NULL), -EAGAIN);
	__atomic_store_n(&refuse_threads, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(server_fiber(&server, offload_once, NULL), 1);
	__atomic_store_n(&hasten, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(server_stop(&server), 0);
}

/* In the child of a fork: a reactor of its own, on this thread. */
struct beginning {
	struct torc_post post;
	int result;
};

static int
offload_and_stop(void *arg)
{
	struct beginning *beginning = arg;

	beginning->result = offload_once(NULL);
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
spawn_offload(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	torc_fiber_spawn(NULL, offload_and_stop, post);
}

static int
live_as_child(void)
{
	struct beginning first = { .post.call = spawn_offload };
	struct torc_reactor *reactor;

	if (torc_reactor_create(&reactor, NULL, NULL) < 0 ||
	    torc_reactor_post(reactor, &first.post) < 0 ||
	    torc_reactor_run(reactor) < 0)
		return 1;
	torc_reactor_destroy(reactor);
	return first.result == 1 ? 0 : 2;
}

static void
after_a_fork_the_child_makes_its_own_threads(void **state)
{
	struct server server;
	int status;
	pid_t child;

	(void)state;
	if (UNDER_TSAN) {
		puts("SKIP: no thread can be made after a fork under "
		    "ThreadSanitizer");
		return;
	}
	/* The parent has a busy thread. */
	gate_init(&last_gate);
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, begin_last, NULL), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		_exit(live_as_child());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	sem_post(&last_gate.open);
	assert_int_equal(server_drain(&server, 60000), 0);
	assert_int_equal(last_errand.result, 42);
}

static int
count_cpus(void *arg)
{
	cpu_set_t set;

	(void)arg;
	return sched_getaffinity(0, sizeof(set), &set) < 0 ? -1 :
	    CPU_COUNT(&set);
}

static int
offload_from_one_cpu(void *arg)
{
	EXPECT(torc_sys_pin(torc_sys_allowed_cpu(0)) == 0);
	EXPECT(count_cpus(NULL) == 1);
	EXPECT(torc_sys_cpus() == *(unsigned *)arg);
	EXPECT(torc_offload(count_cpus, NULL, LATE) == *(int *)arg);
	return 0;
}

/* The first one: the reactor's thread creates that of the work. */
static void
work_of_a_reactor_with_one_cpu_has_all_of_the_process(void **state)
{
	int cpus = count_cpus(NULL);
	struct server server;

	(void)state;
	if (cpus == 1)
		printf("SKIP: there is but one CPU\n");
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, offload_from_one_cpu, &cpus),
	    0);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    work_of_a_reactor_with_one_cpu_has_all_of_the_process),
		cmocka_unit_test(work_blocks_a_thread_and_not_the_reactor),
		cmocka_unit_test(its_threads_block_all_signals),
		cmocka_unit_test(
		    work_that_waits_for_a_thread_ends_by_deadline_or_cancel),
		cmocka_unit_test(work_that_has_begun_is_waited_for),
		cmocka_unit_test(
		    a_drain_and_a_stop_wait_for_work_that_has_begun),
		cmocka_unit_test(
		    reactors_share_the_threads_and_each_gets_its_own_back),
		cmocka_unit_test(after_a_fork_the_child_makes_its_own_threads),
		cmocka_unit_test(idle_threads_end_and_are_made_again),
	};

	count_at_first();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
