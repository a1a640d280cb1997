/* SPDX-License-Identifier: MIT */
/*
 * interleave.c - torc's side and the kernel's of every barrier, in every order
 * that C11 lets another processor see.
 *
 * The code that runs here is torc's own: ring/ and reactor/mailbox.c, and the
 * other sides of sides.c, compiled with -fsanitize=thread, so that every
 * access to memory is a call, with its address and memory order; and linked
 * with this file instead of the sanitizer's library. So the model cannot drift
 * from the code, and a barrier that is weakened in the source is weakened
 * here. That is why it is not a model in a language of its own, as Spin's.
 *
 * The machine that is simulated has no processor's kindness:
 *
 * - A word is the list of all its values. A load may give any that is not
 *   older than what its thread knows of; so stores are seen late, loads are
 *   done early, and different words in any order (as with store buffers that
 *   are not queues, and more).
 * - What a thread knows is its view. A release attaches it to the value, an
 *   acquire that reads the value takes it over. Nothing else does: not a
 *   branch, not an address, not a "full" order beyond its acquire and release.
 * - An exchange reads the newest value. Without acquire it may be put off
 *   behind what follows it on its thread, up to the next release or the next
 *   use of its word; what it will have read is guessed, and wrong guesses are
 *   no executions.
 * - Not simulated: a load that is done after a later store of its thread. In
 *   torc that store is plain, and then a race, or one to the same word.
 * - A plain access that does not know of the last conflicting one is a race,
 *   and so is one to a word that others access atomically. Either is an error,
 *   as are a claim that does not hold and a side that waits for ever.
 *
 * The search runs the sides over and over, each time with another choice at
 * the last point where there was one, and turns back where it has been: when
 * each thread has done the same, reading and writing the same values of each
 * word, as at a point of an earlier run.
 *
 * A write to the eventfd and the wake that it causes are a release and an
 * acquire: the kernel takes a lock in both.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/switch.h"
#include "sys/sys.h"
#include "tests/order/sides.h"

#define THREADS SIDES_MAX
#define WORDS 10		/* shared words of a pairing */
#define MESSAGES 48		/* values of a word, in one run */
#define CHOICES 1024		/* in one run */
#define TRAIL 256
#define STACK_SIZE 65536
#define CELL 2u			/* bytes: no field of two owners is smaller */
#define CELLS (sizeof(struct sides) / CELL + 1)
#define BEFORE_WRAP 2

/* What a thread knows: values of words, and how far each thread had come. */
struct view {
	uint16_t seen[WORDS];
	uint16_t clock[THREADS];
};

struct message {
	uint64_t value;
	struct view view;
};

struct word {
	char *address;
	uint32_t size;
	uint32_t count;		/* of messages */
	struct message messages[MESSAGES];
};

enum kind { LOAD, STORE, EXCHANGE, ADD, OR, AND, REPLACE, AWAIT };

struct access {
	enum kind kind;
	uint32_t word;
	int order;
	uint64_t operand;
	uint64_t expected;	/* of REPLACE; of one put off: the guess */
};

struct thread {
	void *stack_pointer;
	struct view view;
	uint64_t history;	/* a hash of all that it has done */
	bool ended;
	bool waits;
	uint32_t awaited;	/* word */
	bool late;		/* `put_off` is to be done */
	struct access put_off;
	struct view put_off_view;
};

/* Who accessed a cell of plain memory last, in which run. */
struct cell {
	uint32_t run;
	uint8_t word;		/* 1 + its index: not plain */
	uint8_t writer;
	uint16_t written;
	uint16_t read[THREADS];
};

struct step {
	uint8_t thread;
	bool put_off;
	struct access access;
	uint64_t value;		/* read, or stored by a store */
	uint32_t message;
	uint32_t newest;
};

/* The machine. */
static struct sides sides;
static struct word words[WORDS];
static uint32_t word_count;
static struct thread threads[THREADS];
static uint32_t thread_count;
static int current = -1;
static void *scheduler;
static struct cell cells[CELLS];
static _Alignas(16) char stacks[THREADS][STACK_SIZE];

/* The search. */
static const struct pairing *pairing;
static uint32_t run;
static struct { uint16_t chosen, count; } choices[CHOICES];
static uint32_t choice_count, choice_next;
static uint64_t *known;		/* states; a hash table */
static size_t known_size, known_count;
static bool impossible;		/* a guess was wrong */
static const char *failure;
static struct step trail[TRAIL];
static uint32_t steps;

/* ---- Failing, choosing ---- */

/* What lies `offset` bytes into struct sides. */
static const char *
name_of(size_t offset)
{
#define MEMBER(name) { #name, offsetof(struct sides, name) }
	static const struct { const char *name; size_t offset; } members[] = {
		MEMBER(ring), MEMBER(bufring), MEMBER(bufs), MEMBER(mailbox),
		MEMBER(drain_at), MEMBER(events_seen), MEMBER(reaped),
		MEMBER(sq_head), MEMBER(sq_tail), MEMBER(sq_flags),
		MEMBER(cq_head), MEMBER(cq_tail), MEMBER(deferred),
		MEMBER(events), MEMBER(sqes), MEMBER(cqes), MEMBER(kbufs),
		MEMBER(memory), MEMBER(kernel_sq_head), MEMBER(count),
		MEMBER(posts),
	};
	static char text[64];
	size_t i = sizeof(members) / sizeof(members[0]) - 1;

	while (members[i].offset > offset)
		i--;
	snprintf(text, sizeof(text), "%s + %zu", members[i].name,
	    offset - members[i].offset);
	return text;
}

void
sides_fail(const char *claim)
{
	if (failure == NULL)
		failure = claim;
	if (current >= 0) {
		void *nowhere;

		torc_switch(&nowhere, scheduler);
	}
}

_Noreturn void
torc_trap(const char *file, int line, const char *text)
{
	static char claim[256];

	snprintf(claim, sizeof(claim), "%s:%d: %s", file, line, text);
	sides_fail(claim);
	abort();
}

_Noreturn void
torc_broken(const char *file, int line, const char *condition)
{
	torc_trap(file, line, condition);
}

static uint32_t
choose(uint32_t count)
{
	if (count == 1)
		return 0;
	if (choice_next == choice_count) {
		if (choice_count == CHOICES) {
			fputs("interleave: CHOICES is too small\n", stderr);
			exit(2);
		}
		choices[choice_count].chosen = 0;
		choices[choice_count++].count = (uint16_t)count;
	}
	return choices[choice_next++].chosen;
}

/* ---- Views and words ---- */

static void
join(struct view *view, const struct view *other)
{
	for (uint32_t i = 0; i < WORDS; i++) {
		if (view->seen[i] < other->seen[i])
			view->seen[i] = other->seen[i];
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		if (view->clock[i] < other->clock[i])
			view->clock[i] = other->clock[i];
	}
}

static bool
acquires(int order)
{
	return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL ||
	    order == __ATOMIC_SEQ_CST || order == __ATOMIC_CONSUME;
}

static bool
releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL ||
	    order == __ATOMIC_SEQ_CST;
}

static uint64_t
memory_of(const struct word *word)
{
	uint64_t value = 0;

	memcpy(&value, word->address, word->size);
	return value;
}

/* The word at `address`, from its first use on; its value then is its first. */
static uint32_t
word_at(const volatile void *address, uint32_t size)
{
	char *at = (char *)(uintptr_t)address;
	size_t offset = (size_t)(at - (char *)&sides);
	struct cell *cell = &cells[offset / CELL];

	if (offset >= sizeof(sides) || word_count == WORDS) {
		fputs("interleave: a word too many\n", stderr);
		exit(2);
	}
	if (cell->word == 0) {
		struct word *word = &words[word_count++];

		*word = (struct word) { .address = at, .size = size };
		word->messages[0] = (struct message) { .value =
		    memory_of(word) };
		word->count = 1;
		for (uint32_t i = 0; i < size / CELL; i++)
			cell[i].word = (uint8_t)word_count;
	}
	return cell->word - 1u;
}

static void
note(const struct access *access, uint64_t value, uint32_t message, bool late)
{
	const uint64_t what[] = { access->kind, access->word, message, late };
	struct thread *thread = &threads[current];

	for (uint32_t i = 0; i < 4; i++)
		thread->history = (thread->history ^ what[i]) *
		    0x9e3779b97f4a7c15u + (thread->history >> 29);
	if (steps < TRAIL)
		trail[steps] = (struct step) {
			.thread = (uint8_t)current,
			.put_off = late,
			.access = *access,
			.value = value,
			.message = message,
			.newest = words[access->word].count - 1,
		};
	steps++;
}

/* Give the word a new value, which comes with `view`. */
static void
append(uint32_t index, uint64_t value, const struct view *view)
{
	struct word *word = &words[index];
	struct message *message = &word->messages[word->count];

	if (word->count == MESSAGES) {
		fputs("interleave: MESSAGES is too small\n", stderr);
		exit(2);
	}
	message->value = value;
	message->view = *view;
	message->view.seen[index] = (uint16_t)word->count++;
	memcpy(word->address, &value, word->size);
}

/* ---- Accesses to words ---- */

static uint64_t
sum(const struct access *access, uint64_t old)
{
	switch (access->kind) {
	case ADD:
		return old + access->operand;
	case OR:
		return old | access->operand;
	case AND:
		return old & access->operand;
	default:
		return access->operand;
	}
}

/* Read the newest value and write one, knowing (if it releases) `view`. */
static uint64_t
read_and_write(const struct access *access, const struct view *view, bool late)
{
	struct thread *thread = &threads[current];
	struct word *word = &words[access->word];
	const struct message *newest = &word->messages[word->count - 1];
	struct view carried = newest->view;
	uint64_t old = newest->value;

	if (acquires(access->order))
		join(&thread->view, &newest->view);
	if (releases(access->order))
		join(&carried, view);
	note(access, old, word->count - 1, late);
	append(access->word, sum(access, old), &carried);
	thread->view.seen[access->word] = (uint16_t)(word->count - 1);
	return old;
}

static void
do_late(void)
{
	struct thread *thread = &threads[current];
	const struct access *access = &thread->put_off;
	const struct word *word = &words[access->word];

	thread->late = false;
	if (word->messages[word->count - 1].value != access->expected)
		impossible = true;
	else
		read_and_write(access, &thread->put_off_view, true);
}

static void
leave_if_impossible(void)
{
	void *nowhere;

	if (impossible)
		torc_switch(&nowhere, scheduler);
}

/* Let others go first, and be here when it is our turn. */
static void
point(void)
{
	torc_switch(&threads[current].stack_pointer, scheduler);
}

/* Before an access: our turn, and nothing late that must be done before. */
static void
begin(const struct access *access)
{
	struct thread *thread = &threads[current];

	point();
	if (thread->late && (releases(access->order) ||
	    access->word == thread->put_off.word)) {
		do_late();
		leave_if_impossible();
	}
}

static void
end(void)
{
	threads[current].view.clock[current]++;
}

static uint64_t
load(const struct access *access)
{
	struct thread *thread = &threads[current];
	const struct word *word = &words[access->word];
	uint32_t seen = thread->view.seen[access->word];
	uint32_t chosen = word->count - 1 - choose(word->count - seen);
	const struct message *message = &word->messages[chosen];

	note(access, message->value, chosen, false);
	thread->view.seen[access->word] = (uint16_t)chosen;
	if (acquires(access->order))
		join(&thread->view, &message->view);
	return message->value;
}

static void
store(const struct access *access)
{
	struct thread *thread = &threads[current];
	const struct word *word = &words[access->word];
	struct view none = { .seen = { 0 } };

	if (thread->view.seen[access->word] != word->count - 1)
		sides_fail("a word that is stored to has one writer");
	thread->view.seen[access->word] = (uint16_t)word->count;
	note(access, access->operand, word->count, false);
	append(access->word, access->operand, releases(access->order) ?
	    &thread->view : &none);
}

/* An exchange of any kind, now or later. The old value, or the guess of it. */
static uint64_t
exchange(struct access *access)
{
	struct thread *thread = &threads[current];
	const struct word *word = &words[access->word];

	if (thread->late || acquires(access->order) || choose(2) == 0)
		return read_and_write(access, &thread->view, false);
	access->expected = word->messages[word->count - 1].value;
	thread->put_off = *access;
	thread->put_off_view = thread->view;
	thread->late = true;
	note(access, access->expected, word->count - 1, true);
	return access->expected;
}

/* Compare and exchange; a failure may be due to an old value. */
static uint64_t
replace(struct access *access)
{
	struct thread *thread = &threads[current];
	const struct word *word = &words[access->word];
	uint32_t newest = word->count - 1, count = 0;
	uint32_t found[MESSAGES];
	uint32_t chosen;

	if (word->messages[newest].value == access->expected)
		found[count++] = newest;
	for (uint32_t i = newest + 1; i-- > thread->view.seen[access->word];) {
		if (word->messages[i].value != access->expected)
			found[count++] = i;
	}
	chosen = found[choose(count)];
	if (word->messages[chosen].value == access->expected)
		return exchange(access);
	note(access, word->messages[chosen].value, chosen, false);
	/* Not for ever: the next try knows more. */
	thread->view.seen[access->word] = (uint16_t)newest;
	return word->messages[chosen].value;
}

static uint64_t
access_word(enum kind kind, const volatile void *address, uint32_t size,
    int order, uint64_t operand, uint64_t expected)
{
	struct access access = {
		.kind = kind,
		.word = word_at(address, size),
		.order = order,
		.operand = operand,
		.expected = expected,
	};
	uint64_t value = 0;

	begin(&access);
	if (kind == LOAD)
		value = load(&access);
	else if (kind == STORE)
		store(&access);
	else if (kind == REPLACE)
		value = replace(&access);
	else
		value = exchange(&access);
	end();
	return value;
}

void
sides_await(const void *address)
{
	struct thread *thread = &threads[current];
	const size_t offset = (size_t)((const char *)address -
	    (const char *)&sides);
	const struct access access = {
		.kind = AWAIT,
		.word = cells[offset / CELL].word - 1u,
	};

	if (cells[offset / CELL].word == 0)
		sides_fail("what is waited for was read as a shared word");
	thread->awaited = access.word;
	thread->waits = true;
	begin(&access);
	thread->waits = false;
	/* Not the same value again: what is stored is seen in the end. */
	note(&access, 0, ++thread->view.seen[access.word], false);
}

/* ---- Accesses to plain memory ---- */

static bool
is_race(struct cell *cell, bool write)
{
	const struct view *view = &threads[current].view;

	if (cell->word != 0)
		return true;
	if (cell->run != run)
		*cell = (struct cell) { .run = run };
	if (cell->written > view->clock[cell->writer])
		return true;
	if (!write) {
		cell->read[current] = view->clock[current];
		return false;
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		if (cell->read[i] > view->clock[i])
			return true;
	}
	cell->writer = (uint8_t)current;
	cell->written = view->clock[current];
	return false;
}

static void
access_plain(const void *address, size_t size, bool write)
{
	const size_t offset = (size_t)((const char *)address -
	    (const char *)&sides);

	if (current < 0 || offset >= sizeof(sides))
		return;
	for (size_t i = offset / CELL; i <= (offset + size - 1) / CELL; i++) {
		static char claim[128];
		bool word = cells[i].word != 0;

		if (!is_race(&cells[i], write))
			continue;
		snprintf(claim, sizeof(claim), "%s %s %s", word ?
		    "a plain" : "a race:", write ? "write to" : "read of",
		    name_of(offset));
		sides_fail(claim);
	}
}

/* ---- What the compiler calls ---- */

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size);

void
__tsan_init(void)
{
}

void
__tsan_func_entry(void *caller)
{
	(void)caller;
}

void
__tsan_func_exit(void)
{
}

void
__tsan_read_range(void *address, unsigned long size)
{
	access_plain(address, size, false);
}

void
__tsan_write_range(void *address, unsigned long size)
{
	access_plain(address, size, true);
}

#define PLAIN(name, size, write) \
	void name(void *address); \
	void name(void *address) { access_plain(address, size, write); }

PLAIN(__tsan_read1, 1, false)
PLAIN(__tsan_read2, 2, false)
PLAIN(__tsan_read4, 4, false)
PLAIN(__tsan_read8, 8, false)
PLAIN(__tsan_read16, 16, false)
PLAIN(__tsan_write1, 1, true)
PLAIN(__tsan_write2, 2, true)
PLAIN(__tsan_write4, 4, true)
PLAIN(__tsan_write8, 8, true)
PLAIN(__tsan_write16, 16, true)
PLAIN(__tsan_unaligned_read2, 2, false)
PLAIN(__tsan_unaligned_read4, 4, false)
PLAIN(__tsan_unaligned_read8, 8, false)
PLAIN(__tsan_unaligned_read16, 16, false)
PLAIN(__tsan_unaligned_write2, 2, true)
PLAIN(__tsan_unaligned_write4, 4, true)
PLAIN(__tsan_unaligned_write8, 8, true)
PLAIN(__tsan_unaligned_write16, 16, true)

#define EXCHANGE_OF(type, bits, name, kind) \
	type __tsan_atomic##bits##_##name(volatile type *address, type value, \
	    int order); \
	type __tsan_atomic##bits##_##name(volatile type *address, type value, \
	    int order) \
	{ \
		return (type)access_word(kind, address, sizeof(type), order, \
		    value, 0); \
	}

#define REPLACE_OF(type, bits, name) \
	int __tsan_atomic##bits##_compare_exchange_##name( \
	    volatile type *address, type *expected, type value, int order, \
	    int on_failure); \
	int __tsan_atomic##bits##_compare_exchange_##name( \
	    volatile type *address, type *expected, type value, int order, \
	    int on_failure) \
	{ \
		type old = __tsan_atomic##bits##_compare_exchange_val( \
		    address, *expected, value, order, on_failure); \
		int done = old == *expected; \
\
		*expected = old; \
		return done; \
	}

#define WORD(type, bits) \
	type __tsan_atomic##bits##_load(const volatile type *address, \
	    int order); \
	void __tsan_atomic##bits##_store(volatile type *address, type value, \
	    int order); \
	type __tsan_atomic##bits##_compare_exchange_val( \
	    volatile type *address, type expected, type value, int order, \
	    int on_failure); \
	type __tsan_atomic##bits##_load(const volatile type *address, \
	    int order) \
	{ \
		return (type)access_word(LOAD, address, sizeof(type), order, \
		    0, 0); \
	} \
	void __tsan_atomic##bits##_store(volatile type *address, type value, \
	    int order) \
	{ \
		access_word(STORE, address, sizeof(type), order, value, 0); \
	} \
	type __tsan_atomic##bits##_compare_exchange_val( \
	    volatile type *address, type expected, type value, int order, \
	    int on_failure) \
	{ \
		(void)on_failure; \
		return (type)access_word(REPLACE, address, sizeof(type), \
		    order, value, expected); \
	} \
	REPLACE_OF(type, bits, weak) \
	REPLACE_OF(type, bits, strong) \
	EXCHANGE_OF(type, bits, exchange, EXCHANGE) \
	EXCHANGE_OF(type, bits, fetch_add, ADD) \
	EXCHANGE_OF(type, bits, fetch_or, OR) \
	EXCHANGE_OF(type, bits, fetch_and, AND)

WORD(uint16_t, 16)
WORD(uint32_t, 32)
WORD(uint64_t, 64)

/* ---- What torc calls ---- */

int
torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	(void)fd;
	(void)min_complete;
	(void)arg;
	(void)arg_size;
	return sides_enter(&sides, to_submit, flags);
}

int
torc_sys_write(int fd, const void *data, size_t size)
{
	(void)data;
	sides_event(&sides, fd);
	return (int)size;
}

/* ---- One run ---- */

static void
thread_main(void *arg)
{
	struct thread *thread = arg;

	pairing->side[thread - threads](&sides);
	thread->ended = true;
	point();
	abort();
}

static void
prepare(void)
{
	run++;
	sides_init(&sides, pairing->entries, pairing->count, BEFORE_WRAP);
	for (uint32_t i = 0; i < word_count; i++) {
		words[i].messages[0] = (struct message) { .value =
		    memory_of(&words[i]) };
		words[i].count = 1;
	}
	for (uint32_t i = 0; i < thread_count; i++) {
		threads[i] = (struct thread) { .history = i + 1 };
		threads[i].view.clock[i] = 1;
		threads[i].stack_pointer = torc_switch_prepare(
		    stacks[i] + STACK_SIZE, thread_main, &threads[i]);
	}
	choice_next = 0;
	steps = 0;
	impossible = false;
}

static void
go_on(uint32_t thread)
{
	current = (int)thread;
	torc_switch(&scheduler, threads[thread].stack_pointer);
	current = -1;
}

/* Whether this state is new; now it is known. */
static bool
is_new(uint64_t state)
{
	size_t at = state & (known_size - 1);

	for (; known[at] != 0; at = (at + 1) & (known_size - 1)) {
		if (known[at] == state)
			return false;
	}
	known[at] = state;
	known_count++;
	return true;
}

static void
make_room(void)
{
	uint64_t *old = known;
	size_t old_size = known_size;

	if (known_count < known_size / 2)
		return;
	known_size = old_size == 0 ? 1 << 16 : old_size * 2;
	known = calloc(known_size, sizeof(*known));
	if (known == NULL)
		exit(2);
	known_count = 0;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i] != 0)
			is_new(old[i]);
	}
	free(old);
}

/* Where no choice is left from earlier runs: have we been here? */
static bool
been_here(void)
{
	uint64_t state = 1;

	if (choice_next < choice_count)
		return false;
	for (uint32_t i = 0; i < thread_count; i++)
		state = (state ^ threads[i].history) * 0xff51afd7ed558ccdu +
		    (state >> 31);
	make_room();
	return !is_new(state == 0 ? 1 : state);	/* 0: an empty slot */
}

/* What can be done next: 2 * thread, or 2 * thread + 1 for what it put off. */
static uint32_t
list_moves(uint32_t *moves)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < thread_count; i++) {
		const struct thread *thread = &threads[i];
		uint32_t word = thread->awaited;

		if (!thread->ended && (!thread->waits ||
		    words[word].count - 1 > thread->view.seen[word]))
			moves[count++] = 2 * i;
		if (thread->late)
			moves[count++] = 2 * i + 1;
	}
	return count;
}

static bool
all_ended(void)
{
	for (uint32_t i = 0; i < thread_count; i++) {
		if (!threads[i].ended)
			return false;
	}
	return true;
}

static void
run_once(void)
{
	uint32_t moves[2 * THREADS];
	uint32_t count;

	prepare();
	/* Up to the first shared word. */
	for (uint32_t i = 0; i < thread_count && failure == NULL; i++)
		go_on(i);
	while (failure == NULL && (count = list_moves(moves)) > 0) {
		uint32_t move;

		if (been_here())
			return;
		move = moves[choose(count)];
		current = (int)(move / 2);
		if (move % 2 == 0)
			go_on(move / 2);
		else
			do_late();
		current = -1;
		if (impossible)
			return;
	}
	if (failure != NULL)
		return;
	if (all_ended())
		pairing->check(&sides);
	else
		sides_fail("a side waits for ever");
}

/* ---- All runs ---- */

static bool
next_choices(void)
{
	while (choice_count > 0) {
		uint32_t last = choice_count - 1;

		if (++choices[last].chosen < choices[last].count)
			return true;
		choice_count = last;
	}
	return false;
}

static void
print_trail(void)
{
	static const char *const names[] = { "load", "store", "exchange",
	    "add", "or", "and", "replace", "await" };

	for (uint32_t i = 0; i < steps && i < TRAIL; i++) {
		const struct step *step = &trail[i];

		printf("    side %u  %-8s  %-12s  %s%" PRIx64
		    "  (value %u of %u)\n", step->thread,
		    names[step->access.kind],
		    name_of((size_t)(words[step->access.word].address -
		    (char *)&sides)), step->put_off ? "late " : "",
		    step->value, step->message, step->newest);
	}
}

static void
explore(void)
{
	memset(cells, 0, sizeof(cells));
	word_count = 0;
	thread_count = 0;
	while (thread_count < THREADS && pairing->side[thread_count] != NULL)
		thread_count++;
	choice_count = 0;
	run = 0;
	failure = NULL;
	free(known);
	known = NULL;
	known_size = known_count = 0;
	do
		run_once();
	while (failure == NULL && next_choices());
	if (failure == NULL) {
		printf("ok %s: %zu states in %" PRIu32 " runs\n",
		    pairing->name, known_count, run);
		return;
	}
	printf("FAILED %s: %s\n", pairing->name, failure);
	print_trail();
}

/* interleave [first]: with `first`, not beyond the first failure. */
int
main(int argc, char **argv)
{
	const bool first = argc > 1 && strcmp(argv[1], "first") == 0;
	bool failed = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < pairing_count && !(first && failed); i++) {
		pairing = &pairings[i];
		explore();
		failed |= failure != NULL;
	}
	return failed;
}
