/* SPDX-License-Identifier: MIT */
/*
 * test_embedding.c - what torc is to the program that it is a part of: fibers
 * that leave the thread as they found it, and mistakes that end in a sentence.
 *
 * wrap: torc_sys_advise
 */
#include "tests/child.h"
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reactor/fiber.h"
#include "sys/sys.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static struct torc_reactor *
make(const struct torc_config *config)
{
	struct torc_reactor *reactor;
	struct torc_error error;

	if (torc_reactor_create(&reactor, config, &error) < 0)
		fail_msg("%s", error.text);
	return reactor;
}

/* Run until all fibers have ended. */
static void
finish(struct torc_reactor *reactor)
{
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
}

/* ---- Children ---- */

static void
assert_well(void (*body)(void))
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (status != 0 || said[0] != '\0')
		fail_msg("status 0x%x, saying: %s", (unsigned)status, said);
}

/* Dies by SIGSEGV, and says `what`; or nothing, if that is NULL. */
static void
assert_faults(void (*body)(void), const char *what)
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		fail_msg("status 0x%x instead of SIGSEGV, saying: %s",
		    (unsigned)status, said);
	if (what == NULL ? said[0] != '\0' : strstr(said, what) == NULL)
		fail_msg("not \"%s\" but: %s", what, said);
}

/* ---- Joins ---- */

#define CHAIN (SANITIZED ? 2000u : 10000u)

static struct {
	uint64_t ids[10000];
	unsigned ended;
	uintptr_t lowest;	/* of the scheduler's stack */
	uintptr_t highest;
} chain;

static int
join_the_one_before(void *arg)
{
	const uintptr_t number = (uintptr_t)arg;
	uintptr_t depth;
	int result = -1;

	if (number == 0)
		torc_sleep(torc_after_ms(1));
	else if (torc_fiber_join(chain.ids[number - 1], &result,
	    TORC_NEVER) == 0 && result == (int)number - 1)
		chain.ended++;
	depth = (uintptr_t)torc_reactor_self()->scheduler_sp;
	if (chain.lowest == 0 || depth < chain.lowest)
		chain.lowest = depth;
	if (depth > chain.highest)
		chain.highest = depth;
	return (int)number;
}

static int
link_them(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < CHAIN; i++) {
		if (torc_fiber_spawn(&chain.ids[i], join_the_one_before,
		    (void *)i) < 0)
			return -1;
	}
	return torc_fiber_join(chain.ids[CHAIN - 1], NULL, TORC_NEVER);
}

/* Each ends when the one before it has: one call inside the other, once. */
static void
a_chain_of_thousands_of_joins_needs_no_deeper_stack(void **state)
{
	const struct torc_config config = { .stack_size = 16384 };
	struct torc_reactor *reactor = make(&config);

	(void)state;
	assert_int_equal(torc_fiber_start(reactor, NULL, link_them, NULL), 0);
	finish(reactor);
	assert_int_equal(chain.ended, CHAIN - 1);
	assert_true(chain.highest - chain.lowest < 4096);
}

/* ---- Stacks that are too small ---- */

static struct {
	bool no_light_guard;
	size_t frame;		/* of the one that goes deep */
	unsigned stack;		/* of each; 0: the default */
	unsigned spoilt;	/* stacks that were written to by others */
} deep;

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	if (advice == MADV_GUARD_INSTALL && deep.no_light_guard)
		return -EINVAL;
	return __real_torc_sys_advise(address, size, advice);
}

#define NEIGHBOURS 40

/* Has bytes all over its stack, and finds them again. */
static int
stand_by(void *arg)
{
	const size_t size = deep.stack > 0 ? deep.stack / 2 : 150000;
	volatile uint8_t *bytes = __builtin_alloca(size);

	for (size_t i = 0; i < size; i += 64)
		bytes[i] = 0xa5;
	torc_sleep(torc_after_ms(20));
	for (size_t i = 0; i < size; i += 64)
		deep.spoilt += bytes[i] != 0xa5;
	(void)arg;
	return 0;
}

/* Touches the low end of a frame, and nothing above it. */
static int
go_deep(void *arg)
{
	volatile uint8_t *frame;

	(void)arg;
	torc_sleep(torc_after_ms(5));
	frame = __builtin_alloca(deep.frame);
	for (size_t i = 0; i < 20000; i++)
		frame[i] = 0x5a;
	return 0;
}

static int
go_deep_among_others(void *arg)
{
	(void)arg;
	for (int i = 0; i < NEIGHBOURS; i++)
		torc_fiber_spawn(NULL, i == NEIGHBOURS / 2 ? go_deep :
		    stand_by, NULL);
	return 0;
}

static void
run_among_others(void)
{
	const struct torc_config config = { .stack_size = deep.stack };
	struct torc_reactor *reactor = make(&config);

	torc_fiber_start(reactor, NULL, go_deep_among_others, NULL);
	torc_reactor_drain(reactor, TORC_NEVER);
	if (torc_reactor_run(reactor) != 0 || deep.spoilt > 0)
		abort();
	torc_reactor_destroy(reactor);
}

static void
report_among_others(void)
{
	if (torc_fault_report() != 0 || torc_fault_report() != 0)
		abort();
	run_among_others();
}

static unsigned made;

static int
stand_still(void *arg)
{
	return torc_wait(arg, TORC_NEVER);
}

static int
spawn_all(void *arg)
{
	static struct torc_waiters waiters;

	(void)arg;
	while (torc_fiber_spawn(NULL, stand_still, &waiters) == 0)
		made++;
	torc_yield();
	torc_wake_all(&waiters, 0);
	return 0;
}

/* Half a gigabyte more than there is: about a thousand stacks. */
static void
fill_addresses(void)
{
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };
	struct torc_reactor *reactor = make(NULL);
	char line[256] = "";
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
	    sscanf(line, "%lu", &pages) != 1)
		abort();
	fclose(file);
	limit.rlim_cur = limit.rlim_max = pages * torc_sys_page_size() +
	    (512u << 20);
	setrlimit(RLIMIT_AS, &limit);
	torc_fiber_start(reactor, NULL, spawn_all, NULL);
	finish(reactor);
	if (made < 500 || made > 1100)
		abort();
}

static void
without_addresses_for_stacks_a_spawn_fails_and_nothing_else(void **state)
{
	(void)state;
	if (SANITIZED)
		print_message("SKIP: the sanitizer has no room for this\n");
	else
		assert_well(fill_addresses);
}

/* ---- A loop of the program's own ---- */

#define ROUNDS 5u

static struct {
	struct torc_reactor *reactor;
	struct torc_post posts[ROUNDS];
	int events;		/* an eventfd */
	unsigned seen;
} outside;

static void
note_post(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	outside.seen++;
}

static int
note_events(void *arg)
{
	uint64_t count;

	(void)arg;
	while (outside.seen < ROUNDS && torc_fd_read(outside.events, &count,
	    sizeof(count), TORC_STREAM, TORC_NEVER) == sizeof(count))
		outside.seen++;
	return 0;
}

static void *
post_from_a_thread(void *arg)
{
	outside.posts[outside.seen].call = note_post;
	torc_reactor_post(outside.reactor, &outside.posts[outside.seen]);
	return arg;
}

static void *
write_from_a_thread(void *arg)
{
	const uint64_t one = 1;

	assert_int_equal(write(outside.events, &one, sizeof(one)),
	    sizeof(one));
	return arg;
}

static void
take_turns_outside(void)
{
	do
		assert_int_equal(
		    torc_reactor_turn(outside.reactor, TORC_AT_ONCE), 1);
	while (torc_reactor_due(outside.reactor) <= torc_now());
}

/* One event after the other, each when the last one was seen. */
static void
assert_told(void *(*cause)(void *arg))
{
	struct pollfd what = {
		.fd = torc_reactor_fd(outside.reactor),
		.events = POLLIN,
	};
	pthread_t thread;

	assert_true(what.fd >= 0);
	outside.seen = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		take_turns_outside();
		assert_int_equal(pthread_create(&thread, NULL, cause, NULL),
		    0);
		while (outside.seen == round) {
			assert_int_equal(poll(&what, 1,
			    CLIENT_SECONDS * 1000), 1);
			take_turns_outside();
		}
		pthread_join(thread, NULL);
	}
}

static void
a_foreign_loop_is_told_of_every_post_and_every_event(void **state)
{
	(void)state;
	outside.reactor = make(NULL);
	assert_told(post_from_a_thread);
	outside.events = eventfd(0, EFD_CLOEXEC);
	torc_fiber_start(outside.reactor, NULL, note_events, NULL);
	assert_told(write_from_a_thread);
	finish(outside.reactor);
	close(outside.events);
}

/* ---- Modes of the floating-point units ---- */

/* These differ from the usual ones in both units, if there are two. */
static union torc_modes
upwards(void)
{
	union torc_modes modes = { 0 };

	torc_modes_get(&modes);
#if defined(__x86_64__)
	modes.mxcsr = (modes.mxcsr & ~0x6000u) | 0x4000;
	modes.x87 = (uint16_t)((modes.x87 & ~0xc00u) | 0x800);
#else
	modes.word = (modes.word & ~0xc00000u) | 0x400000;
#endif
	return modes;
}

static bool
are(const union torc_modes *expected)
{
	union torc_modes modes = { 0 };

	torc_modes_get(&modes);
	return torc_modes_equal(&modes, expected);
}

static volatile double one = 1, three = 3;
static volatile long double long_one = 1, long_three = 3;

static struct {
	union torc_modes usual;
	double third;
	long double long_third;
	unsigned held;		/* what was as it should be */
} calculation;

/* Calculates as the thread does that runs the loop. */
static bool
is_usual(void)
{
	return are(&calculation.usual) && one / three == calculation.third &&
	    long_one / long_three == calculation.long_third;
}

static int
calculate_as_usual(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		calculation.held += is_usual();
		torc_yield();
	}
	return 0;
}

static int
calculate_upwards(void *arg)
{
	const union torc_modes modes = upwards();

	(void)arg;
	calculation.held += is_usual();
	torc_modes_set(&modes);
	for (int i = 0; i < 5; i++) {
		calculation.held += are(&modes) && !is_usual() &&
		    one / three > calculation.third;
		torc_yield();
	}
	/* Neither to those that it makes, nor to those that come after it. */
	torc_fiber_spawn(NULL, calculate_as_usual, NULL);
	return 0;
}

static void
note_usual(void)
{
	calculation.held = 0;
	torc_modes_get(&calculation.usual);
	calculation.third = one / three;
	calculation.long_third = long_one / long_three;
}

static void
a_fiber_keeps_its_rounding_and_gives_it_to_nobody(void **state)
{
	struct torc_reactor *reactor = make(NULL);
	int (*const entries[])(void *arg) = { calculate_as_usual,
	    calculate_upwards, calculate_as_usual, calculate_upwards };

	(void)state;
	note_usual();
	for (unsigned i = 0; i < 4; i++)
		torc_fiber_start(reactor, NULL, entries[i], NULL);
	finish(reactor);
	assert_int_equal(calculation.held, 5 + 11 + 5 + 11);
	assert_true(is_usual());
}

static void
check_modes(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	calculation.held += is_usual();
}

/* A fiber begins as the loop is run, and a post finds nothing else. */
static void
fibers_and_posts_begin_with_the_modes_of_the_loop(void **state)
{
	struct torc_reactor *reactor = make(NULL);
	struct torc_post post = { .call = check_modes };
	const union torc_modes modes = upwards();
	union torc_modes before = { 0 };

	(void)state;
	torc_modes_get(&before);
	torc_modes_set(&modes);
	note_usual();
	torc_fiber_start(reactor, NULL, calculate_as_usual, NULL);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_true(is_usual());
	torc_modes_set(&before);
	note_usual();
	torc_fiber_start(reactor, NULL, calculate_upwards, NULL);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	torc_reactor_post(reactor, &post);
	finish(reactor);
	assert_true(calculation.held > 6);
	assert_true(is_usual());
}

#if defined(__x86_64__)
static int
trap_division_by_zero(void *arg)
{
	union torc_modes modes = { 0 };

	(void)arg;
	torc_modes_get(&modes);
	modes.mxcsr &= ~0x200u;
	modes.x87 &= (uint16_t)~0x4u;
	torc_modes_set(&modes);
	torc_yield();
	torc_yield();
	calculation.held += long_one / long_three > 0 && one / three > 0;
	return 0;
}

static int
divide_by_zero(void *arg)
{
	static volatile double zero;
	static volatile long double long_zero;

	(void)arg;
	calculation.held += one / zero > 1 && long_one / long_zero > 1;
	torc_yield();
	return 0;
}
#endif

/* The flags of errors are the thread's, but only its own ones may trap. */
static void
an_error_of_one_fiber_does_not_trap_in_another(void **state)
{
#if defined(__x86_64__)
	struct torc_reactor *reactor = make(NULL);

	(void)state;
	calculation.held = 0;
	torc_fiber_start(reactor, NULL, trap_division_by_zero, NULL);
	torc_fiber_start(reactor, NULL, divide_by_zero, NULL);
	finish(reactor);
	assert_int_equal(calculation.held, 2);
#else
	(void)state;
	print_message("SKIP: most processors of this kind do not trap\n");
#endif
}

/* ---- Mistakes ---- */

static unsigned calls;

static void
count_call(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	calls++;
}

static void
stop_here(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	torc_reactor_stop(reactor);
}

static struct torc_post counted = { .call = count_call };
static struct torc_post stopping = { .call = stop_here };

/* Between the two, another one: the list would become a circle of two. */
static void
post_twice(void)
{
	struct torc_post other = { .call = count_call };
	struct torc_reactor *reactor = make(NULL);

	torc_reactor_post(reactor, &counted);
	torc_reactor_post(reactor, &other);
	torc_reactor_post(reactor, &counted);
	torc_reactor_post(reactor, &stopping);
	torc_reactor_run(reactor);
}

static void
post_to_two_reactors(void)
{
	torc_reactor_post(make(NULL), &counted);
	torc_reactor_post(make(NULL), &counted);
}

static void
post_what_has_still_to_run(struct torc_reactor *reactor,
    struct torc_post *post)
{
	(void)post;
	torc_reactor_post(reactor, &counted);
}

/* The reactor has taken the list already, and would lose the rest of it. */
static void
post_again_what_is_about_to_run(void)
{
	struct torc_post first = { .call = post_what_has_still_to_run };
	struct torc_reactor *reactor = make(NULL);

	torc_reactor_post(reactor, &first);
	torc_reactor_post(reactor, &counted);
	torc_reactor_post(reactor, &stopping);
	torc_reactor_run(reactor);
}

static void
post_itself(struct torc_reactor *reactor, struct torc_post *post)
{
	if (++calls < 10)
		torc_reactor_post(reactor, post);
	else
		torc_reactor_stop(reactor);
}

/* Right: from its own call, after it ran, and after it was refused. */
static void
post_again_in_time(void)
{
	struct torc_post again = { .call = post_itself };
	struct torc_reactor *reactor = make(NULL);

	torc_reactor_post(reactor, &again);
	if (torc_reactor_run(reactor) != 0 || calls != 10 ||
	    torc_reactor_post(reactor, &again) != -ESHUTDOWN ||
	    torc_reactor_post(reactor, &again) != -ESHUTDOWN)
		abort();
	torc_reactor_destroy(reactor);
	reactor = make(NULL);
	calls = 9;
	torc_reactor_post(reactor, &again);
	if (torc_reactor_run(reactor) != 0 || calls != 10)
		abort();
	torc_reactor_destroy(reactor);
}

static void
post_without_a_call(void)
{
	struct torc_post post = { NULL };

	torc_reactor_post(make(NULL), &post);
}

static void post_nothing(void) { torc_reactor_post(make(NULL), NULL); }
static void post_to_nobody(void) { torc_reactor_post(NULL, &counted); }

static void
a_post_that_is_posted_before_it_has_run_stops_the_process(void **state)
{
	(void)state;
	assert_traps(post_twice, "posted again before it has run");
	assert_traps(post_to_two_reactors, "posted again before it has run");
	assert_traps(post_again_what_is_about_to_run,
	    "posted again before it has run");
	assert_well(post_again_in_time);
}

static void
a_post_of_nothing_stops_the_process(void **state)
{
	(void)state;
	assert_traps(post_without_a_call, "torc_reactor_post needs a post");
	assert_traps(post_nothing, "torc_reactor_post needs a post");
	assert_traps(post_to_nobody, "a call needs a reactor");
}

/* ---- Faults ---- */

/* From one that is just too large, to one as large as the guard beside it. */
static void
a_large_frame_ends_in_the_guard_and_not_in_another_stack(void **state)
{
	static const size_t frames[] = { 262144, 300000, 400000, 500000 };

	(void)state;
	for (int light = 1; light >= 0; light--) {
		deep.no_light_guard = !light;
		deep.frame = 200000;
		assert_well(run_among_others);
		for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]);
		    i++) {
			deep.frame = frames[i];
			assert_faults(report_among_others,
			    "a fiber ran over its stack of 262144 bytes");
		}
	}
	deep.no_light_guard = false;
}

/* The guard is as large beside a small stack. */
static void
a_frame_larger_than_a_small_stack_reaches_no_other_one(void **state)
{
	(void)state;
	deep.stack = 65536;
	deep.frame = 40000;
	assert_well(run_among_others);
	for (deep.frame = 66000; deep.frame < 262144; deep.frame += 34000)
		assert_faults(report_among_others,
		    "a fiber ran over its stack of 65536 bytes");
	deep.stack = 0;
}

#if defined(__GNUC__) && !defined(__clang__)
#define PROBED __attribute__((noinline, \
    optimize("stack-clash-protection", "no-omit-frame-pointer")))

static int PROBED
go_deep_with_probes(void *arg)
{
	volatile uint8_t *frame = __builtin_alloca(deep.frame);

	(void)arg;
	frame[0] = 1;
	return 0;
}

static void
probe_a_frame(void)
{
	struct torc_reactor *reactor = make(NULL);

	torc_fault_report();
	torc_fiber_start(reactor, NULL, go_deep_with_probes, NULL);
	torc_reactor_drain(reactor, TORC_NEVER);
	torc_reactor_run(reactor);
}
#endif

static void
no_frame_of_probed_code_passes_the_guard(void **state)
{
	(void)state;
#if defined(__GNUC__) && !defined(__clang__)
	deep.frame = 100000;
	assert_well(probe_a_frame);
	for (deep.frame = 300000; deep.frame < 100000000; deep.frame *= 3)
		assert_faults(probe_a_frame, "ran over its stack");
#else
	print_message("SKIP: not a function alone can be compiled with "
	    "probes\n");
#endif
}

static void
an_overrun_is_not_explained_before_the_program_asks(void **state)
{
	(void)state;
	deep.frame = 300000;
	assert_faults(run_among_others, NULL);
}

static void
note_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	if (write(STDERR_FILENO, "my own words\n", 13) == 13)
		_exit(7);
}

static void
handle_faults(void)
{
	const struct sigaction action = {
		.sa_sigaction = note_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigaction(SIGSEGV, &action, NULL);
}

static void
report_besides(void)
{
	handle_faults();
	report_among_others();
}

static void
note_fault_simply(int number)
{
	note_fault(number, NULL, NULL);
}

static void
report_besides_a_simple_one(void)
{
	signal(SIGSEGV, note_fault_simply);
	report_among_others();
}

static void
report_behind(void)
{
	torc_fault_report();
	handle_faults();
	if (torc_fault_report() != -EEXIST)
		abort();
	run_among_others();
}

static void
the_program_s_handler_has_the_last_word(void **state)
{
	char said[512];

	(void)state;
	deep.frame = 300000;
	assert_int_equal(in_child(report_besides, said, sizeof(said)),
	    7 << 8);
	assert_non_null(strstr(said, "ran over its stack"));
	assert_non_null(strstr(said, "\nmy own words\n"));
	assert_int_equal(in_child(report_besides_a_simple_one, said,
	    sizeof(said)), 7 << 8);
	assert_non_null(strstr(said, "\nmy own words\n"));
	assert_int_equal(in_child(report_behind, said, sizeof(said)),
	    7 << 8);
	assert_string_equal(said, "my own words\n");
}

static int
go_deep_on_start(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return go_deep(arg);
}

static void
serve_deeply(void)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.start = go_deep_on_start,
		.reactors = 1,
	};

	torc_serve(&config, NULL, NULL);
}

static void
serve_deeply_with_a_handler(void)
{
	handle_faults();
	serve_deeply();
}

static void
torc_serve_explains_faults_unless_the_program_handles_them(void **state)
{
	char said[512];

	(void)state;
	deep.frame = 300000;
	assert_faults(serve_deeply, "torc: reactor 0: a fiber ran over");
	assert_int_equal(in_child(serve_deeply_with_a_handler, said,
	    sizeof(said)), 7 << 8);
	assert_string_equal(said, "my own words\n");
}

static int
use_no_connection(void *arg)
{
	struct torc_slice in;

	(void)arg;
	return torc_conn_recv(NULL, &in, TORC_NEVER);
}

static void
receive_from_nobody(void)
{
	struct torc_reactor *reactor = make(NULL);

	torc_fault_report();
	torc_fiber_start(reactor, NULL, use_no_connection, NULL);
	torc_reactor_run(reactor);
}

static volatile uintptr_t nowhere = 24;

static void
touch_nothing(void)
{
	torc_fault_report();
	*(volatile char *)nowhere = 1;
}

static void
send_itself_a_fault(void)
{
	torc_fault_report();
	kill(getpid(), SIGSEGV);
}

static void
a_fault_is_explained_only_if_it_is_one_of_a_fiber(void **state)
{
	(void)state;
	if (SANITIZED)
		print_message("SKIP: the sanitizer reports NULL first\n");
	else
		assert_faults(receive_from_nobody,
		    "a NULL pointer was followed");
	assert_faults(touch_nothing, NULL);
	assert_faults(send_itself_a_fault, NULL);
}

/* What its fiber sees of a reactor: of a drain, and of the end of it. */
static int
see_phases(void *arg)
{
	enum torc_phase *phases = arg;
	struct torc_reactor *reactor = torc_reactor_self();

	phases[0] = torc_reactor_phase(reactor);
	torc_reactor_await_drain(TORC_NEVER);
	phases[1] = torc_reactor_phase(reactor);
	torc_sleep(TORC_NEVER);
	phases[2] = torc_reactor_phase(reactor);
	return 0;
}

static enum torc_phase seen[3];

static void
spawn_seeing(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	torc_fiber_spawn(NULL, see_phases, seen);
}

static void
a_reactor_tells_its_phases_in_their_order(void **state)
{
	struct torc_reactor *reactor = make(NULL);
	struct torc_post post = { .call = spawn_seeing };

	(void)state;
	assert_int_equal(torc_reactor_phase(reactor), TORC_PHASE_CREATED);
	assert_int_equal(torc_reactor_post(reactor, &post), 0);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_int_equal(torc_reactor_phase(reactor), TORC_PHASE_RUNNING);
	assert_false(torc_reactor_draining(reactor));
	torc_reactor_drain(reactor, torc_after_ms(20));
	assert_int_equal(torc_reactor_run(reactor), 0);
	assert_int_equal(torc_reactor_phase(reactor), TORC_PHASE_ENDED);
	assert_true(torc_reactor_draining(reactor));
	assert_int_equal(seen[0], TORC_PHASE_RUNNING);
	assert_int_equal(seen[1], TORC_PHASE_DRAINING);
	assert_int_equal(seen[2], TORC_PHASE_STOPPING);
	torc_reactor_destroy(reactor);
}

#define CLAIM(test) cmocka_unit_test_setup(test, limit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_chain_of_thousands_of_joins_needs_no_deeper_stack),
		CLAIM(a_reactor_tells_its_phases_in_their_order),
	CLAIM(without_addresses_for_stacks_a_spawn_fails_and_nothing_else),
		CLAIM(a_foreign_loop_is_told_of_every_post_and_every_event),
		CLAIM(a_fiber_keeps_its_rounding_and_gives_it_to_nobody),
		CLAIM(fibers_and_posts_begin_with_the_modes_of_the_loop),
		CLAIM(an_error_of_one_fiber_does_not_trap_in_another),
		CLAIM(a_post_that_is_posted_before_it_has_run_stops_the_process),
		CLAIM(a_post_of_nothing_stops_the_process),
		CLAIM(a_large_frame_ends_in_the_guard_and_not_in_another_stack),
		CLAIM(a_frame_larger_than_a_small_stack_reaches_no_other_one),
		CLAIM(no_frame_of_probed_code_passes_the_guard),
		CLAIM(an_overrun_is_not_explained_before_the_program_asks),
		CLAIM(the_program_s_handler_has_the_last_word),
	    CLAIM(torc_serve_explains_faults_unless_the_program_handles_them),
		CLAIM(a_fault_is_explained_only_if_it_is_one_of_a_fiber),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
