/* SPDX-License-Identifier: MIT */
/*
 * test_parts.c - the parts of a reactor, each by itself: slots, timers,
 * stacks, the mailbox, lists, the configuration.
 *
 * wrap: torc_sys_write torc_sys_map torc_sys_unmap torc_sys_advise
 * wrap: torc_sys_protect torc_sys_alloc torc_sys_free
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"
#include "tests/tally.h"

#include "reactor/config.h"
#include "reactor/error.h"
#include "reactor/list.h"
#include "reactor/mailbox.h"
#include "reactor/sanitizer.h"
#include "reactor/slots.h"
#include "reactor/stacks.h"
#include "reactor/timers.h"
#include "sys/sys.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define TIMES(n) (SANITIZED ? (n) / 10 : (n))

/* What stands between torc and the kernel; zero: nothing. */
static struct {
	bool no_light_guard;
	bool no_guard;
} fault;

static struct {
	_Atomic unsigned writes;
} seen;

int
__wrap_torc_sys_write(int fd, const void *data, size_t size)
{
	seen.writes++;
	return __real_torc_sys_write(fd, data, size);
}

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	if (advice == MADV_GUARD_INSTALL &&
	    (fault.no_light_guard || fault.no_guard))
		return -EINVAL;
	return __real_torc_sys_advise(address, size, advice);
}

int
__wrap_torc_sys_protect(void *address, size_t size, int prot)
{
	return fault.no_guard ? -ENOMEM :
	    __real_torc_sys_protect(address, size, prot);
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

/* The status of a child that runs `body`, which is to be killed. */
static int
in_child(void (*body)(void *), void *arg)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(null, STDERR_FILENO);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
assert_killed_by(int status, int number)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
}

/* Numbers that look random, and are the same each time. */
static uint32_t
next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- Slots ---- */

struct thing {
	struct torc_slot slot;
	uint64_t value;
};

/* */
static void
a_tag_names_one_tenant_of_a_slot_and_never_the_next(void **state)
{
	struct torc_slots slots;
	struct thing *thing;
	uint64_t old = 0;

	(void)state;
	assert_int_equal(torc_slots_init(&slots, 4, sizeof(*thing)), 0);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t tag;

		thing = torc_slots_take(&slots);
		assert_non_null(thing);
		tag = torc_slots_tag(&slots, thing, 5);
		assert_int_equal(torc_tag_kind(tag), 5);
		assert_ptr_equal(torc_slots_find(&slots, tag), thing);
		if (i > 0) {
			assert_int_not_equal(tag, old);
			assert_null(torc_slots_find(&slots, old));
		}
		torc_slots_give(&slots, thing);
		assert_null(torc_slots_find(&slots, tag));
		old = tag;
	}
	torc_slots_fini(&slots);
}

/* 32 bits, and what comes behind the last of them. */
static void
a_generation_that_wraps_around_stays_inside_its_bits(void **state)
{
	struct torc_slots slots;
	struct thing *thing;
	uint64_t last, first;

	(void)state;
	assert_int_equal(torc_slots_init(&slots, 4, sizeof(*thing)), 0);
	thing = torc_slots_take(&slots);
	thing->slot.generation = UINT32_MAX;
	last = torc_slots_tag(&slots, thing, 15);
	assert_int_equal(last, UINT64_MAX << TORC_SLOT_BITS);
	assert_ptr_equal(torc_slots_find(&slots, last), thing);
	torc_slots_give(&slots, thing);
	assert_ptr_equal(torc_slots_take(&slots), thing);
	first = torc_slots_tag(&slots, thing, 15);
	assert_int_equal(torc_tag_kind(first), 15);
	assert_int_equal(first, 15ull << 60);
	assert_null(torc_slots_find(&slots, last));
	assert_ptr_equal(torc_slots_find(&slots, first), thing);
	torc_slots_give(&slots, thing);
	torc_slots_fini(&slots);
}

static void
a_tag_of_a_slot_that_was_never_used_names_nothing(void **state)
{
	struct torc_slots slots;
	struct thing *thing;

	(void)state;
	assert_int_equal(torc_slots_init(&slots, 4, sizeof(*thing)), 0);
	for (uint64_t index = 0; index < TORC_SLOTS_MAX; index += 9999)
		assert_null(torc_slots_find(&slots, index));
	thing = torc_slots_take(&slots);
	assert_non_null(torc_slots_find(&slots, 0));
	assert_null(torc_slots_find(&slots, 1));
	assert_null(torc_slots_find(&slots, TORC_SLOTS_MAX - 1));
	torc_slots_give(&slots, thing);
	torc_slots_fini(&slots);
}

/* A65, R-008 */
static void
a_table_gives_as_many_as_it_has_and_the_last_one_given_back_first(
    void **state)
{
	const uint32_t count = 10000;
	struct torc_slots slots;
	struct thing **things = calloc(count, sizeof(*things));

	(void)state;
	assert_non_null(things);
	assert_int_equal(torc_slots_init(&slots, count, sizeof(**things)), 0);
	for (uint32_t i = 0; i < count; i++) {
		things[i] = torc_slots_take(&slots);
		assert_non_null(things[i]);
		assert_int_equal(torc_slots_index(&slots, things[i]), i);
		things[i]->value = i;
	}
	assert_null(torc_slots_take(&slots));
	assert_int_equal(slots.count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(things[i]->value, i);
	for (uint32_t i = 0; i < count; i += 2)
		torc_slots_give(&slots, things[i]);
	for (uint32_t i = count; i > 0; i -= 2)
		assert_ptr_equal(torc_slots_take(&slots), things[i - 2]);
	assert_null(torc_slots_take(&slots));
	for (uint32_t i = 0; i < count; i++)
		torc_slots_give(&slots, things[i]);
	assert_int_equal(slots.count, 0);
	assert_int_equal(slots.peak, count);
	torc_slots_fini(&slots);
	free(things);
}

static void
each_visits_those_that_are_taken_also_while_they_are_given_back(void **state)
{
	struct torc_slots slots;
	struct thing *things[100], *thing = NULL;
	unsigned visits = 0;

	(void)state;
	assert_int_equal(torc_slots_init(&slots, 200, sizeof(*thing)), 0);
	assert_null(torc_slots_each(&slots, NULL));
	for (unsigned i = 0; i < 100; i++)
		things[i] = torc_slots_take(&slots);
	for (unsigned i = 0; i < 100; i += 3)
		torc_slots_give(&slots, things[i]);
	while ((thing = torc_slots_each(&slots, thing)) != NULL) {
		assert_true(torc_slots_index(&slots, thing) % 3 != 0);
		torc_slots_give(&slots, thing);
		visits++;
	}
	assert_int_equal(visits, 66);
	assert_int_equal(slots.count, 0);
	torc_slots_fini(&slots);
}

static void
give_twice(void *arg)
{
	struct torc_slots *slots = arg;
	struct thing *first = torc_slots_take(slots);

	torc_slots_take(slots);
	torc_slots_give(slots, first);
	torc_slots_give(slots, first);
}

static void
end_while_taken(void *arg)
{
	torc_slots_take(arg);
	torc_slots_fini(arg);
}

/* */
static void
a_slot_that_is_given_back_twice_stops_the_process(void **state)
{
	struct torc_slots slots;
	struct thing *thing;

	(void)state;
	assert_int_equal(torc_slots_init(&slots, 4, sizeof(*thing)), 0);
	/* The table itself is not inherited: the child makes its own. */
	tally.no_mappings = true;
	assert_int_equal(torc_slots_init(&slots, 4, sizeof(*thing)), -ENOMEM);
	tally.no_mappings = false;
	slots = (struct torc_slots) {
		.base = calloc(4, sizeof(*thing)),
		.stride = sizeof(*thing),
		.capacity = 4,
		.free = TORC_SLOT_NONE,
	};
	assert_killed_by(in_child(give_twice, &slots), SIGABRT);
	assert_killed_by(in_child(end_while_taken, &slots), SIGABRT);
	free(slots.base);
}

/* ---- Timers ---- */

struct alarm {
	struct torc_timer timer;
	uint64_t when;
	unsigned fired;
};

static struct {
	struct torc_timers timers;
	struct alarm *alarms;
	uint64_t last;		/* of those that fired */
	unsigned fired;
} clockwork;

static void
note_firing(struct torc_timer *timer)
{
	struct alarm *alarm = torc_container(timer, struct alarm, timer);

	assert_false(torc_timer_armed(timer));
	assert_true(alarm->when >= clockwork.last);
	clockwork.last = alarm->when;
	clockwork.fired++;
	alarm->fired++;
}

static void
make_alarms(uint32_t count)
{
	memset(&clockwork, 0, sizeof(clockwork));
	assert_int_equal(torc_timers_init(&clockwork.timers, count), 0);
	clockwork.alarms = calloc(count, sizeof(*clockwork.alarms));
	assert_non_null(clockwork.alarms);
	for (uint32_t i = 0; i < count; i++)
		clockwork.alarms[i].timer.fire = note_firing;
}

static void
free_alarms(void)
{
	torc_timers_fini(&clockwork.timers);
	free(clockwork.alarms);
}

static void
set_alarm(uint32_t index, uint64_t when)
{
	struct alarm *alarm = &clockwork.alarms[index];

	alarm->when = when;
	torc_timers_arm(&clockwork.timers, &alarm->timer, when);
	assert_int_equal(torc_timers_when(&clockwork.timers, &alarm->timer),
	    when);
}

/* no parent is later than its child, and each knows its place. */
static void
check_heap(void)
{
	const struct torc_timers *timers = &clockwork.timers;

	for (uint32_t i = 0; i < timers->count; i++) {
		assert_int_equal(timers->heap[i].timer->place, i + 1);
		if (i > 0)
			assert_true(timers->heap[(i - 1) / 4].when <=
			    timers->heap[i].when);
	}
}

/* A63, R-123 */
static void
timers_fire_in_the_order_of_their_times_whatever_was_armed_when(void **state)
{
	const uint32_t count = 1100;
	uint32_t random = 1;

	(void)state;
	make_alarms(count);
	assert_int_equal(torc_timers_next(&clockwork.timers), UINT64_MAX);
	for (uint32_t i = 0; i < count; i++)
		set_alarm(i, 1000 + next_random(&random) % 500);
	/* Some are moved, to and fro, and some disarmed. */
	for (uint32_t i = 0; i < count; i += 3)
		set_alarm(i, 1000 + next_random(&random) % 500);
	for (uint32_t i = 0; i < count; i += 5)
		torc_timers_disarm(&clockwork.timers,
		    &clockwork.alarms[i].timer);
	check_heap();
	torc_timers_run(&clockwork.timers, 999);
	assert_int_equal(clockwork.fired, 0);
	for (uint64_t now = 1000; now < 1500; now += 10) {
		torc_timers_run(&clockwork.timers, now);
		assert_true(clockwork.last <= now);
		assert_true(torc_timers_next(&clockwork.timers) > now);
		check_heap();
	}
	torc_timers_run(&clockwork.timers, 1500);
	assert_int_equal(clockwork.timers.count, 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(clockwork.alarms[i].fired, i % 5 != 0);
	free_alarms();
}

/* A64, R-123: against a plain list. */
static void
arming_moving_and_disarming_at_random_keeps_the_first_first(void **state)
{
	const uint32_t count = 200;
	uint32_t random = 7;

	(void)state;
	make_alarms(count);
	for (unsigned step = 0; step < TIMES(20000); step++) {
		uint32_t index = next_random(&random) % count;
		uint64_t first = UINT64_MAX;

		if (next_random(&random) % 3 == 0)
			torc_timers_disarm(&clockwork.timers,
			    &clockwork.alarms[index].timer);
		else
			set_alarm(index, next_random(&random) % 1000);
		for (uint32_t i = 0; i < count; i++) {
			const struct alarm *alarm = &clockwork.alarms[i];

			if (torc_timer_armed(&alarm->timer) &&
			    alarm->when < first)
				first = alarm->when;
		}
		assert_int_equal(torc_timers_next(&clockwork.timers), first);
	}
	check_heap();
	free_alarms();
}

static void
arm_again(struct torc_timer *timer)
{
	struct alarm *alarm = torc_container(timer, struct alarm, timer);

	if (++alarm->fired < 100)
		torc_timers_arm(&clockwork.timers, timer, alarm->when);
}

/* A62, R-122: and R-125: one that is always due does not hold the others. */
static void
a_timer_that_arms_itself_for_the_past_lets_the_others_fire(void **state)
{
	const uint32_t count = 10;

	(void)state;
	make_alarms(count);
	clockwork.alarms[0].timer.fire = arm_again;
	set_alarm(0, 1);
	for (uint32_t i = 1; i < count; i++)
		set_alarm(i, 100 + i);
	/* What is armed in a pass waits for the next one. */
	torc_timers_run(&clockwork.timers, 200);
	assert_int_equal(clockwork.alarms[0].fired, 1);
	for (uint32_t i = 1; i < count; i++)
		assert_int_equal(clockwork.alarms[i].fired, 1);
	for (unsigned i = 2; i <= 100; i++) {
		torc_timers_run(&clockwork.timers, 200 + i);
		assert_int_equal(clockwork.alarms[0].fired, i);
	}
	assert_int_equal(clockwork.timers.count, 0);
	free_alarms();
}

static void
disarm_the_next(struct torc_timer *timer)
{
	struct alarm *alarm = torc_container(timer, struct alarm, timer);

	note_firing(timer);
	torc_timers_disarm(&clockwork.timers, &alarm[1].timer);
}

/* A64 */
static void
a_timer_that_another_one_disarms_in_the_same_pass_does_not_fire(void **state)
{
	const uint32_t count = 100;

	(void)state;
	make_alarms(count);
	for (uint32_t i = 0; i < count; i++) {
		if (i % 2 == 0)
			clockwork.alarms[i].timer.fire = disarm_the_next;
		set_alarm(i, i / 2);
	}
	/* Of the two of a time the first armed need not be the first. */
	for (uint32_t i = 1; i < count; i += 2)
		set_alarm(i, i / 2 + 1000);
	torc_timers_run(&clockwork.timers, 5000);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(clockwork.alarms[i].fired, i % 2 == 0);
	/* Nothing happens to one that is not armed. */
	torc_timers_disarm(&clockwork.timers, &clockwork.alarms[0].timer);
	assert_int_equal(clockwork.timers.count, 0);
	free_alarms();
}

/* ---- Stacks ---- */

#define STACK 16384u
#define GUARD 65536u
#define MANY_STACKS 32768u

/* */
static void
below_each_stack_there_is_a_guard_and_above_it_there_is_none(void **state)
{
	const size_t page = torc_sys_page_size();
	struct torc_stacks stacks;
	uint8_t *taken[3];

	(void)state;
	for (int light = 1; light >= 0; light--) {
		fault.no_light_guard = !light;
		assert_int_equal(torc_stacks_init(&stacks, 100, STACK, GUARD),
		    0);
		for (int i = 0; i < 3; i++) {
			taken[i] = torc_stacks_take(&stacks);
			assert_non_null(taken[i]);
			memset(taken[i], 0x5a, STACK);
		}
		for (int i = 0; i < 3; i++)
			assert_int_equal(taken[i][STACK - 1], 0x5a);
		/* A child has no stacks to fault in: ask the kernel. */
		for (int i = 0; i < 3; i++) {
			int fds[2];

			assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
			assert_int_equal(write(fds[1], taken[i], 1), 1);
			for (size_t at = 1; at <= GUARD; at += page)
				assert_int_equal(write(fds[1], taken[i] - at,
				    1), -1);
			assert_int_equal(write(fds[1], taken[i] - GUARD, 1),
			    -1);
			close(fds[0]);
			close(fds[1]);
		}
		for (int i = 0; i < 3; i++)
			torc_stacks_give(&stacks, taken[i]);
		torc_stacks_fini(&stacks);
		assert_int_equal(tally.mapped, 0);
	}
}

static void
stacks_end_at_their_number_and_the_last_given_back_is_taken_first(
    void **state)
{
	const uint32_t count = 130;
	struct torc_stacks stacks;
	void *taken[130];

	(void)state;
	assert_int_equal(torc_stacks_init(&stacks, count, STACK, GUARD),
	    0);
	for (uint32_t i = 0; i < count; i++) {
		taken[i] = torc_stacks_take(&stacks);
		assert_non_null(taken[i]);
	}
	assert_null(torc_stacks_take(&stacks));
	assert_int_equal(stacks.in_use, count);
	torc_stacks_give(&stacks, taken[7]);
	torc_stacks_give(&stacks, taken[99]);
	assert_ptr_equal(torc_stacks_take(&stacks), taken[99]);
	assert_ptr_equal(torc_stacks_take(&stacks), taken[7]);
	assert_null(torc_stacks_take(&stacks));
	for (uint32_t i = 0; i < count; i++)
		torc_stacks_give(&stacks, taken[i]);
	assert_int_equal(stacks.in_use, 0);
	assert_int_equal(stacks.peak, count);
	torc_stacks_fini(&stacks);
	assert_int_equal(tally.mapped, 0);
}

static void
a_stack_that_cannot_be_guarded_is_not_handed_out(void **state)
{
	struct torc_stacks stacks;
	void *first, *second;

	(void)state;
	assert_int_equal(torc_stacks_init(&stacks, 100, STACK, GUARD), 0);
	fault.no_guard = true;
	assert_null(torc_stacks_take(&stacks));
	assert_int_equal(tally.mapped, 1);
	fault.no_guard = false;
	tally.no_mappings = true;
	assert_null(torc_stacks_take(&stacks));
	tally.no_mappings = false;
	first = torc_stacks_take(&stacks);
	assert_non_null(first);
	/* Not the first of its region. */
	fault.no_guard = true;
	assert_null(torc_stacks_take(&stacks));
	assert_int_equal(stacks.in_use, 1);
	fault.no_guard = false;
	second = torc_stacks_take(&stacks);
	assert_non_null(second);
	torc_stacks_give(&stacks, first);
	torc_stacks_give(&stacks, second);
	torc_stacks_fini(&stacks);
	assert_int_equal(tally.mapped, 0);
}

/* Their pages would share a few sets of the TLB. */
static void
stacks_lie_an_odd_number_of_pages_apart(void **state)
{
	const size_t page = torc_sys_page_size();
	struct torc_stacks stacks;
	uint8_t *taken[2];

	(void)state;
	for (size_t pages = 4; pages < 40; pages++) {
		assert_int_equal(torc_stacks_init(&stacks, 100, pages * page,
		    page), 0);
		for (int i = 0; i < 2; i++)
			taken[i] = torc_stacks_take(&stacks);
		assert_true(taken[1] - taken[0] > (ptrdiff_t)(pages * page));
		assert_int_equal((size_t)(taken[1] - taken[0]) / page % 2, 1);
		for (int i = 0; i < 2; i++)
			torc_stacks_give(&stacks, taken[i]);
		torc_stacks_fini(&stacks);
	}
}

/* How many there are of those that a reactor has by default. */
static uint32_t
take_all_stacks(struct torc_stacks *stacks, void **taken)
{
	struct torc_config config;
	struct torc_error error;
	uint32_t count = 0;

	assert_int_equal(torc_config_fill(&config, NULL, &error),
	    0);
	assert_int_equal(config.fibers, MANY_STACKS);
	assert_int_equal(torc_stacks_init(stacks, config.fibers,
	    config.stack_size, config.stack_guard), 0);
	while (count < config.fibers &&
	    (taken[count] = torc_stacks_take(stacks)) != NULL)
		((uint8_t *)taken[count++])[config.stack_size - 1] = 1;
	return count;
}

static unsigned
count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned lines = 0;
	int byte;

	assert_non_null(file);
	while ((byte = fgetc(file)) != EOF)
		lines += byte == '\n';
	fclose(file);
	return lines;
}

/*
 * With light guards there is room for as many as a reactor may have. Without
 * them, each takes two of the mappings that a process may have: there are as
 * many as that allows, and then there is no stack, but no harm either.
 */
static void
thirty_two_thousand_stacks_fit_if_guards_need_no_mappings(void **state)
{
	void **taken = calloc(MANY_STACKS, sizeof(*taken));
	const unsigned before = count_mappings();
	struct torc_stacks stacks;

	(void)state;
	assert_non_null(taken);
	for (int light = 1; light >= 0; light--) {
		unsigned mappings;
		uint32_t count;

		fault.no_light_guard = !light;
		count = take_all_stacks(&stacks, taken);
		mappings = count_mappings() - before;
		print_message("%u stacks, %u mappings\n", count, mappings);
		if (mappings < count)
			assert_int_equal(count, MANY_STACKS);
		else
			assert_true(count > 1000 && mappings > count);
		while (count > 0)
			torc_stacks_give(&stacks, taken[--count]);
		torc_stacks_fini(&stacks);
		assert_int_equal(tally.mapped, 0);
		/* A sanitizer has some of its own. */
		assert_true(TIMES(10) < 10 || count_mappings() < before + 10);
	}
	free(taken);
}

/* What lies idle beyond the reserve reads as zeroes: its memory is gone. */
static void
idle_stacks_beyond_the_reserve_give_their_memory_back(void **state)
{
	const uint32_t count = TORC_STACKS_RESERVE + 300;
	struct torc_stacks stacks;
	uint8_t **taken = calloc(count, sizeof(*taken));
	size_t before, after;

	(void)state;
	assert_non_null(taken);
	assert_int_equal(torc_stacks_init(&stacks, count, STACK, GUARD),
	    0);
	for (uint32_t i = 0; i < count; i++) {
		taken[i] = torc_stacks_take(&stacks);
		memset(taken[i], 0x5a, STACK);
	}
	before = resident_bytes();
	for (uint32_t i = 0; i < count; i++)
		torc_stacks_give(&stacks, taken[i]);
	after = resident_bytes();
	assert_true(before > after);
	assert_true(before - after >= 250 * STACK);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t kept = i < TORC_STACKS_RESERVE ? 0x5a : 0;

		assert_int_equal(taken[i][0], kept);
		assert_int_equal(taken[i][STACK - 1], kept);
	}
	torc_stacks_fini(&stacks);
	free(taken);
}

/* ---- The mailbox ---- */

struct letter {
	struct torc_post post;
	uint32_t sender;
	uint32_t number;
};

static void
posts_come_in_the_order_in_which_they_were_pushed(void **state)
{
	struct torc_mailbox mailbox;
	struct letter letters[100];
	struct torc_post *post;

	(void)state;
	assert_int_equal(torc_mailbox_init(&mailbox), 0);
	assert_false(torc_mailbox_pending(&mailbox));
	assert_null(torc_mailbox_take(&mailbox));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(torc_mailbox_push(&mailbox,
			    &letters[i].post), 0);
		assert_true(torc_mailbox_pending(&mailbox));
		post = torc_mailbox_take(&mailbox);
		for (unsigned i = 0; i < 100; i++, post = post->next)
			assert_ptr_equal(post, &letters[i].post);
		assert_null(post);
		assert_false(torc_mailbox_pending(&mailbox));
		assert_null(torc_mailbox_take(&mailbox));
	}
	torc_mailbox_fini(&mailbox);
}

/* Many posts are one wake, and the first one after a taking is the next. */
static void
one_wake_is_outstanding_at_a_time(void **state)
{
	struct torc_mailbox mailbox;
	struct letter letters[10];
	uint64_t count;

	(void)state;
	assert_int_equal(torc_mailbox_init(&mailbox), 0);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < 10; i++)
			torc_mailbox_push(&mailbox, &letters[i].post);
		torc_mailbox_wake(&mailbox);
		assert_int_equal(seen.writes, round);
		assert_non_null(torc_mailbox_take(&mailbox));
	}
	assert_int_equal(read(mailbox.fd, &count, sizeof(count)),
	    sizeof(count));
	assert_int_equal(count, 3);
	/* Without a post. */
	torc_mailbox_wake(&mailbox);
	assert_int_equal(seen.writes, 4);
	assert_true(torc_mailbox_pending(&mailbox));
	assert_null(torc_mailbox_take(&mailbox));
	torc_mailbox_fini(&mailbox);
}

static void
a_closed_mailbox_gives_its_last_posts_and_refuses_more(void **state)
{
	struct torc_mailbox mailbox;
	struct letter first, second, late;
	struct torc_post *post;

	(void)state;
	assert_int_equal(torc_mailbox_init(&mailbox), 0);
	torc_mailbox_push(&mailbox, &first.post);
	torc_mailbox_push(&mailbox, &second.post);
	post = torc_mailbox_close(&mailbox);
	assert_ptr_equal(post, &first.post);
	assert_ptr_equal(post->next, &second.post);
	assert_null(post->next->next);
	assert_int_equal(torc_mailbox_push(&mailbox, &late.post), -ESHUTDOWN);
	assert_int_equal(torc_mailbox_push(&mailbox, &late.post), -ESHUTDOWN);
	/* Whoever still wakes it does no harm. */
	torc_mailbox_wake(&mailbox);
	torc_mailbox_fini(&mailbox);
}

#define SENDERS 3u
#define LETTERS 1000u

static struct {
	struct torc_mailbox mailbox;
	struct letter letters[SENDERS][LETTERS];
	_Atomic uint32_t received[SENDERS];
} post_office;

/* Push letters as fast as the receiver reads them. */
static void *
send_letters(void *arg)
{
	const uint32_t sender = (uint32_t)(uintptr_t)arg;

	for (uint32_t n = 0; n < TIMES(100000); n++) {
		struct letter *letter =
		    &post_office.letters[sender][n % LETTERS];

		while (n - post_office.received[sender] >= LETTERS)
			sched_yield();
		letter->sender = sender;
		letter->number = n;
		torc_mailbox_push(&post_office.mailbox, &letter->post);
	}
	return NULL;
}

/* a reader that sleeps whenever it found nothing. */
static void
no_post_of_many_threads_is_lost_and_no_wake_either(void **state)
{
	struct torc_mailbox *mailbox = &post_office.mailbox;
	struct pollfd wake = { .events = POLLIN };
	pthread_t threads[SENDERS];
	uint32_t left = SENDERS * TIMES(100000);
	unsigned sleeps = 0;

	(void)state;
	memset(&post_office, 0, sizeof(post_office));
	assert_int_equal(torc_mailbox_init(mailbox), 0);
	wake.fd = mailbox->fd;
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    send_letters, (void *)i), 0);
	while (left > 0) {
		struct torc_post *post = torc_mailbox_take(mailbox);
		uint64_t count;

		for (; post != NULL; left--) {
			struct letter *letter =
			    torc_container(post, struct letter, post);

			post = post->next;
			assert_int_equal(letter->number,
			    post_office.received[letter->sender]);
			post_office.received[letter->sender]++;
		}
		if (left == 0 || torc_mailbox_pending(mailbox))
			continue;
		/* A wake that is lost is not made up for by another one:
		 * the senders wait for us soon. */
		sleeps++;
		assert_int_equal(poll(&wake, 1, 60000), 1);
		assert_int_equal(read(mailbox->fd, &count, sizeof(count)),
		    sizeof(count));
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(sleeps > 0);
	torc_mailbox_fini(mailbox);
}

/* ---- Lists ---- */

static void
a_list_keeps_its_order_and_a_node_leaves_it_from_anywhere(void **state)
{
	struct torc_node nodes[6] = { { NULL, NULL } };
	struct torc_list one, two;

	(void)state;
	torc_list_init(&one);
	torc_list_init(&two);
	assert_true(torc_list_empty(&one));
	assert_null(torc_list_take(&one));
	for (int i = 0; i < 6; i++)
		torc_list_append(i < 4 ? &one : &two, &nodes[i]);
	torc_list_remove(&nodes[1]);
	assert_false(torc_node_linked(&nodes[1]));
	assert_true(torc_node_linked(&nodes[2]));
	torc_list_move(&one, &two);
	assert_true(torc_list_empty(&two));
	torc_list_move(&one, &two);
	torc_list_move(&two, &one);
	assert_true(torc_list_empty(&one));
	assert_ptr_equal(torc_list_take(&two), &nodes[0]);
	assert_ptr_equal(torc_list_take(&two), &nodes[2]);
	torc_list_append(&two, &nodes[1]);
	assert_ptr_equal(torc_list_take(&two), &nodes[3]);
	assert_ptr_equal(torc_list_take(&two), &nodes[4]);
	assert_ptr_equal(torc_list_take(&two), &nodes[5]);
	assert_ptr_equal(torc_list_take(&two), &nodes[1]);
	assert_null(torc_list_take(&two));
}

static void
append_twice(void *arg)
{
	struct torc_node node = { NULL, NULL };
	struct torc_list list;

	(void)arg;
	torc_list_init(&list);
	torc_list_append(&list, &node);
	torc_list_append(&list, &node);
}

static void
remove_twice(void *arg)
{
	struct torc_node node = { NULL, NULL };
	struct torc_list list;

	(void)arg;
	torc_list_init(&list);
	torc_list_append(&list, &node);
	torc_list_remove(&node);
	torc_list_remove(&node);
}

static void
a_node_that_is_in_two_places_stops_the_process(void **state)
{
	(void)state;
	assert_killed_by(in_child(append_twice, NULL), SIGABRT);
	assert_killed_by(in_child(remove_twice, NULL), SIGABRT);
}

/* ---- The configuration ---- */

#define FIELD(name) #name, offsetof(struct torc_config, name)

/* As torc_runtime.h has them. */
static const struct {
	const char *name;
	size_t offset;
	unsigned initial;
	unsigned least;		/* of those that are not 0 */
	unsigned most;
	bool power_of_two;
} fields[] = {
	{ FIELD(reactors), 0, 1, 1024, false },
	{ FIELD(sq_entries), 1024, 4, 32768, true },
	{ FIELD(cq_entries), 4096, 8, 65536, true },
	{ FIELD(batch), 256, 1, 65536, false },
	{ FIELD(batch_us), 0, 1, 10000, false },
	{ FIELD(spin_us), 0, 1, 1000, false },
	{ FIELD(connections), 16384, 1, 1048576, false },
	{ FIELD(ops), 65536, 1, 1048576, false },
	{ FIELD(fibers), 32768, 1, 1048576, false },
	{ FIELD(stack_size), 262144, 16384, 8388608, false },
	{ FIELD(stack_guard), 262144, 4096, 1 << 30, false },
	{ FIELD(buffers), 1024, 1, 32768, true },
	{ FIELD(buffers_start), 64, 1, 32768, false },
	{ FIELD(buffer_size), 16384, 64, 1048576, false },
	{ FIELD(held_max), 262144, 1, 1 << 30, false },
	{ FIELD(held_low), 131072, 1, 1 << 30, false },
	{ FIELD(slab_size), 16384, 64, 1048576, false },
	{ FIELD(backlog), 1024, 1, 65535, false },
	{ FIELD(linger_ms), 5000, 1, TORC_NO_LIMIT, false },
	{ FIELD(close_ms), 30000, 1, TORC_NO_LIMIT, false },
	{ FIELD(idle_ms), 60000, 1, TORC_NO_LIMIT, false },
	{ FIELD(drain_ms), 10000, 1, TORC_NO_LIMIT, false },
	{ FIELD(lame_duck_ms), 1000, 1, TORC_NO_LIMIT, false },
	{ FIELD(keepalive_ms), 60000, 1, 32767000, false },
	{ FIELD(probe_ms), 10000, 1, 32767000, false },
	{ FIELD(probes), 6, 1, 127, false },
	{ FIELD(unacked_ms), 120000, 1, 2147483647, false },
	{ FIELD(read_budget), 16, 1, 1048576, false },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static unsigned *
field_of(struct torc_config *config, size_t i)
{
	return (unsigned *)(void *)((char *)config + fields[i].offset);
}

/* Fill one in that has `value` in field `i`, and room for it in others. */
static int
fill_with(size_t i, unsigned value, struct torc_error *error)
{
	struct torc_config config = { .sq_entries = 0 }, filled;
	int rc;

	if (strcmp(fields[i].name, "cq_entries") == 0)
		config.sq_entries = 4;
	if (strcmp(fields[i].name, "buffers_start") == 0)
		config.buffers = 32768;
	if (strcmp(fields[i].name, "held_low") == 0)
		config.held_max = 1 << 30;
	*field_of(&config, i) = value;
	rc = torc_config_fill(&filled, &config, error);
	if (rc == 0)
		assert_int_equal(*field_of(&filled, i), value);
	return rc;
}

static void
a_field_that_is_0_has_the_default_that_is_documented(void **state)
{
	const struct torc_config zero = { .batch = 0 };
	struct torc_config filled;
	struct torc_error error;

	(void)state;
	for (int way = 0; way < 2; way++) {
		assert_int_equal(torc_config_fill(&filled,
		    way == 0 ? NULL : &zero, &error), 0);
		for (size_t i = 0; i < FIELDS; i++)
			assert_int_equal(*field_of(&filled, i),
			    fields[i].initial);
	}
}

static void
a_field_out_of_its_bounds_is_refused_by_name_and_one_at_them_is_not(
    void **state)
{
	struct torc_error error;
	char name[64];

	(void)state;
	for (size_t i = 0; i < FIELDS; i++) {
		const unsigned wrong[] = {
			fields[i].least - 1, fields[i].most + 1,
			fields[i].power_of_two ? fields[i].most - 1 : 0,
		};

		assert_int_equal(fill_with(i, fields[i].least, &error), 0);
		assert_int_equal(fill_with(i, fields[i].most, &error), 0);
		for (int n = 0; n < 3; n++) {
			/* Which is the default. */
			if (wrong[n] == 0)
				continue;
			assert_int_equal(fill_with(i, wrong[n], &error),
			    -EINVAL);
			snprintf(name, sizeof(name), "%s = %u: ",
			    fields[i].name, wrong[n]);
			assert_memory_equal(error.text, name, strlen(name));
		}
	}
}

static void
fields_that_contradict_each_other_are_refused_by_name(void **state)
{
	static const struct {
		struct torc_config config;
		const char *name;
	} cases[] = {
		{ { .sq_entries = 64, .cq_entries = 32 }, "cq_entries = 32" },
		{ { .buffers = 8, .buffers_start = 9 }, "buffers_start = 9" },
		{ { .held_max = 99, .held_low = 100 }, "held_low = 100" },
		{ { .held_max = 1000, .held_total = 31999 },
		    "held_total = 31999: must be at least 32 x held_max = "
		    "32000" },
	};
	struct torc_config filled;
	struct torc_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(torc_config_fill(&filled, &cases[i].config,
		    &error), -EINVAL);
		assert_non_null(strstr(error.text, cases[i].name));
	}
	/* What is left to torc does not contradict. */
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .sq_entries = 32768, .buffers = 8, .held_max = 1,
	    .stack_size = 16385 }, &error), 0);
	assert_int_equal(filled.cq_entries, 65536);
	assert_int_equal(filled.buffers_start, 8);
	assert_true(filled.held_low <= 1);
	assert_int_equal(filled.held_total, 64 << 20);
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .held_max = 1 << 30 }, &error), 0);
	assert_int_equal(filled.held_total, (size_t)32 << 30);
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .held_max = 1000, .held_total = 32000 }, &error), 0);
	assert_int_equal(filled.held_total, 32000);
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .sq_entries = 32768, .buffers = 8, .held_max = 1,
	    .stack_size = 16385 }, &error), 0);
	assert_int_equal(filled.stack_size % torc_sys_page_size(), 0);
	assert_true(filled.stack_size >= 16385);
	/* Peers that are not probed are given up when the system does so. */
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .keepalive_ms = TORC_NO_LIMIT }, &error), 0);
	assert_int_equal(filled.unacked_ms, TORC_NO_LIMIT);
	assert_int_equal(torc_config_fill(&filled, &(struct torc_config) {
	    .keepalive_ms = 1000, .probe_ms = 500, .probes = 3 }, &error), 0);
	assert_int_equal(filled.unacked_ms, 2500);
}

/* ---- Errors in words ---- */

static void
an_error_has_its_whole_text_or_says_that_it_was_cut_behind_a_character(
    void **state)
{
	struct torc_error error = { 0 };
	char text[1100];
	size_t pad, length;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(error.text) - 1] = '\0';
	assert_int_equal(torc_error_set(&error, -EINVAL, "%s", text), -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_false(error.cut);
	assert_string_equal(error.text, text);
	/* Characters of two, three and four bytes, at each place of the end. */
	for (pad = 0; pad < 12; pad++) {
		strcpy(text, "abcdefghijkl" + 12 - pad);
		while (strlen(text) < sizeof(error.text))
			strcat(text, "\u00e4\u20ac\U0001f600");
		(void)torc_error_set(&error, -EIO, "%s", text);
		assert_true(error.cut);
		length = strlen(error.text);
		assert_in_range(length, sizeof(error.text) - 4,
		    sizeof(error.text) - 1);
		assert_string_equal(error.text + length - 3, "...");
		assert_memory_equal(error.text, text, length - 3);
		assert_int_not_equal((uint8_t)text[length - 3] & 0xc0, 0x80);
	}
	/* What is no UTF-8 is cut as well. */
	memset(text, 0x80, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)torc_error_set(&error, -EIO, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	torc_error_clear(&error);
	assert_int_equal(error.code, 0);
	assert_false(error.cut);
	assert_string_equal(error.text, "");
	assert_int_equal(torc_error_set(NULL, -EIO, "nobody reads"), -EIO);
}

/* ---- Structures that grow ---- */

static void
a_structure_of_another_torc_is_taken_if_what_we_do_not_know_is_0(void **state)
{
	struct {
		struct torc_config config;
		uint64_t later[2];
	} future = { .config = { .batch = 7, .no_stats = true } };
	const unsigned most = (unsigned)sizeof(struct torc_config);
	struct torc_config config;
	struct torc_error error;

	(void)state;
	/* Compiled for this one, for an earlier one, and for a later one. */
	for (unsigned size = 0; size <= sizeof(future); size++) {
		memset(&config, 0x55, sizeof(config));
		assert_int_equal(torc_config_take(&config, most, &future,
		    size, "torc_config", &error), 0);
		assert_memory_equal(&config, &future, size < most ? size :
		    most);
		for (unsigned i = size; i < most; i++)
			assert_int_equal(((uint8_t *)&config)[i], 0);
	}
	assert_int_equal(torc_config_take(&config, most, NULL, most,
	    "torc_config", &error), 0);
	assert_int_equal(config.batch, 0);
	future.later[1] = 1;
	assert_int_equal(torc_config_take(&config, most, &future,
	    most + sizeof(uint64_t), "torc_config", &error), 0);
	assert_int_equal(torc_config_take(&config, most, &future,
	    sizeof(future), "torc_config", &error), -EINVAL);
	assert_non_null(strstr(error.text, "struct torc_config: the program "
	    "was compiled for a later torc"));
}

static void
what_the_caller_does_not_know_is_not_given_and_the_rest_is_0(void **state)
{
	const uint8_t ours[4] = { 1, 2, 3, 4 };
	uint8_t theirs[6];

	(void)state;
	for (unsigned size = 0; size <= 5; size++) {
		memset(theirs, 9, sizeof(theirs));
		torc_config_give(theirs, size, ours, sizeof(ours));
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(theirs[i], i >= size ? 9 : i < 4 ?
			    i + 1 : 0);
	}
}

#define CLAIM(test) \
	cmocka_unit_test_setup_teardown(test, refuse_nothing, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_tag_names_one_tenant_of_a_slot_and_never_the_next),
		CLAIM(a_generation_that_wraps_around_stays_inside_its_bits),
		CLAIM(a_tag_of_a_slot_that_was_never_used_names_nothing),
		CLAIM(a_table_gives_as_many_as_it_has_and_the_last_one_given_back_first),
		CLAIM(each_visits_those_that_are_taken_also_while_they_are_given_back),
		CLAIM(a_slot_that_is_given_back_twice_stops_the_process),
		CLAIM(timers_fire_in_the_order_of_their_times_whatever_was_armed_when),
		CLAIM(arming_moving_and_disarming_at_random_keeps_the_first_first),
		CLAIM(a_timer_that_arms_itself_for_the_past_lets_the_others_fire),
		CLAIM(a_timer_that_another_one_disarms_in_the_same_pass_does_not_fire),
		CLAIM(below_each_stack_there_is_a_guard_and_above_it_there_is_none),
		CLAIM(stacks_end_at_their_number_and_the_last_given_back_is_taken_first),
		CLAIM(stacks_lie_an_odd_number_of_pages_apart),
		CLAIM(a_stack_that_cannot_be_guarded_is_not_handed_out),
		CLAIM(thirty_two_thousand_stacks_fit_if_guards_need_no_mappings),
		CLAIM(idle_stacks_beyond_the_reserve_give_their_memory_back),
		CLAIM(posts_come_in_the_order_in_which_they_were_pushed),
		CLAIM(one_wake_is_outstanding_at_a_time),
		CLAIM(a_closed_mailbox_gives_its_last_posts_and_refuses_more),
		CLAIM(no_post_of_many_threads_is_lost_and_no_wake_either),
		CLAIM(a_list_keeps_its_order_and_a_node_leaves_it_from_anywhere),
		CLAIM(a_node_that_is_in_two_places_stops_the_process),
		CLAIM(a_field_that_is_0_has_the_default_that_is_documented),
		CLAIM(a_field_out_of_its_bounds_is_refused_by_name_and_one_at_them_is_not),
		CLAIM(fields_that_contradict_each_other_are_refused_by_name),
		CLAIM(a_structure_of_another_torc_is_taken_if_what_we_do_not_know_is_0),
		CLAIM(what_the_caller_does_not_know_is_not_given_and_the_rest_is_0),
		CLAIM(an_error_has_its_whole_text_or_says_that_it_was_cut_behind_a_character),
	};

	return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
