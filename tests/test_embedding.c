/*
 * test_embedding.c - what torc is to the program that it is a part of: fibers
 * that leave the thread as they found it, and mistakes that end in a sentence.
 */
#include "tests/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reactor/fiber.h"

static int
limit(void **state)
{
	(void)state;
	alarm(HANG_SECONDS);
	return 0;
}

static struct torc_reactor *
make(const struct torc_config *config)
{
	struct torc_reactor *reactor;
	char text[256] = "";

	if (torc_reactor_create(&reactor, config, text, sizeof(text)) < 0)
		fail_msg("%s", text);
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

/* ---- Joins ---- */

#define CHAIN 10000u

static struct {
	uint64_t ids[CHAIN];
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

/* ---- Mistakes ---- */

/* The status of a child that runs `body`, and what it wrote to stderr. */
static int
in_child(void (*body)(void), char *said, size_t size)
{
	int ends[2], status;
	ssize_t count;
	size_t used = 0;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		alarm(HANG_SECONDS);
		body();
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
assert_traps(void (*body)(void), const char *why)
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("status 0x%x instead of a trap \"%s\", saying: %s",
		    (unsigned)status, why, said);
	if (strstr(said, why) == NULL)
		fail_msg("not \"%s\" but: %s", why, said);
}

static void
assert_well(void (*body)(void))
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (status != 0 || said[0] != '\0')
		fail_msg("status 0x%x, saying: %s", (unsigned)status, said);
}

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

	torc_post(reactor, &counted);
	torc_post(reactor, &other);
	torc_post(reactor, &counted);
	torc_post(reactor, &stopping);
	torc_reactor_run(reactor);
}

static void
post_to_two_reactors(void)
{
	torc_post(make(NULL), &counted);
	torc_post(make(NULL), &counted);
}

static void
post_what_has_still_to_run(struct torc_reactor *reactor,
    struct torc_post *post)
{
	(void)post;
	torc_post(reactor, &counted);
}

/* The reactor has taken the list already, and would lose the rest of it. */
static void
post_again_what_is_about_to_run(void)
{
	struct torc_post first = { .call = post_what_has_still_to_run };
	struct torc_reactor *reactor = make(NULL);

	torc_post(reactor, &first);
	torc_post(reactor, &counted);
	torc_post(reactor, &stopping);
	torc_reactor_run(reactor);
}

static void
post_itself(struct torc_reactor *reactor, struct torc_post *post)
{
	if (++calls < 10)
		torc_post(reactor, post);
	else
		torc_reactor_stop(reactor);
}

/* Right: from its own call, after it ran, and after it was refused. */
static void
post_again_in_time(void)
{
	struct torc_post again = { .call = post_itself };
	struct torc_reactor *reactor = make(NULL);

	torc_post(reactor, &again);
	if (torc_reactor_run(reactor) != 0 || calls != 10 ||
	    torc_post(reactor, &again) != -ESHUTDOWN ||
	    torc_post(reactor, &again) != -ESHUTDOWN)
		abort();
	torc_reactor_destroy(reactor);
	reactor = make(NULL);
	calls = 9;
	torc_post(reactor, &again);
	if (torc_reactor_run(reactor) != 0 || calls != 10)
		abort();
	torc_reactor_destroy(reactor);
}

static void
post_without_a_call(void)
{
	struct torc_post post = { NULL };

	torc_post(make(NULL), &post);
}

static void post_nothing(void) { torc_post(make(NULL), NULL); }
static void post_to_nobody(void) { torc_post(NULL, &counted); }

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
	assert_traps(post_without_a_call, "torc_post needs a reactor");
	assert_traps(post_nothing, "torc_post needs a reactor");
	assert_traps(post_to_nobody, "torc_post needs a reactor");
}

#define CLAIM(test) cmocka_unit_test_setup(test, limit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_chain_of_thousands_of_joins_needs_no_deeper_stack),
		CLAIM(a_post_that_is_posted_before_it_has_run_stops_the_process),
		CLAIM(a_post_of_nothing_stops_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
