/* SPDX-License-Identifier: MIT */
/*
 * reactor.h - the loop of one thread and what it owns.
 */
#ifndef TORC_REACTOR_REACTOR_H
#define TORC_REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/list.h"
#include "reactor/mailbox.h"
#include "reactor/misuse.h"
#include "reactor/stats_page.h"
#include "reactor/torc_runtime.h"
#include "reactor/slots.h"
#include "reactor/stacks.h"
#include "reactor/timers.h"
#include "ring/ring.h"
#include "sys/exceptions.h"
#include "sys/fault.h"
#include "sys/modes.h"

struct torc_fiber;

/*
 * The kind of a completion says whose it is. Those from TORC_KIND_LAYER on
 * belong to the layer above, which the reactor does not know.
 */
enum {
	TORC_KIND_NONE,		/* of cancels: nobody waits for it */
	TORC_KIND_WAKE,		/* the mailbox's descriptor */
	TORC_KIND_OP,
	TORC_KIND_LAYER,
	TORC_KIND_CANCEL = 8,	/* a bit: the cancel of that kind failed */
	TORC_KINDS = 1 << TORC_KIND_BITS,
};

struct torc_kind {
	const struct torc_slots *slots;
	/* A completion of an object that is there. */
	void (*complete)(struct torc_reactor *reactor, void *object,
	    const struct io_uring_cqe *cqe);
	/* One whose object is gone: returns a buffer, closes a descriptor, and
	 * does nothing else. */
	void (*stray)(struct torc_reactor *reactor,
	    const struct io_uring_cqe *cqe);
};

/*
 * Work that could not be done where it arose, mostly since the submission
 * queue was full: done in the next turn, and again until it is done.
 */
struct torc_todo {
	struct torc_node node;
	void (*run)(struct torc_reactor *reactor, struct torc_todo *todo);
};

#define TORC_PREFETCH_STEPS 2u

/* What the layer above does in each turn and at the end. */
struct torc_layer {
	void (*before_enter)(struct torc_reactor *reactor);
	void (*after_batch)(struct torc_reactor *reactor);
	/* A completion is dispatched after `steps` others, 1 to
	 * TORC_PREFETCH_STEPS: fetch what it will touch into the cache. */
	void (*prefetch)(const struct torc_reactor *reactor,
	    const struct io_uring_cqe *cqe, unsigned steps);
	/* The fiber of this home begins to wait for something else. */
	void (*away)(void *home);
	void (*drain)(struct torc_reactor *reactor);
	void (*stop)(struct torc_reactor *reactor);
	bool (*busy)(const struct torc_reactor *reactor);
	/* It may still accept a connection. */
	bool (*serving)(const struct torc_reactor *reactor);
	/* The ring is lost: close what can be closed, free nothing. */
	void (*abandon)(struct torc_reactor *reactor);
	void (*fini)(struct torc_reactor *reactor);
};

/*
 * What belongs to a fiber, though the thread has it: the modes of its floating-
 * point units, and in a program with C++ the exceptions that it handles.
 */
struct torc_belongings {
	union torc_modes now;	/* of the fiber that leaves */
	union torc_modes usual;	/* one that leaves with these has nothing that
				 * must be kept; none can if there is C++ */
	union torc_modes loop;	/* of the scheduler */
	struct torc_exceptions *exceptions;	/* NULL: there is no C++ */
	struct torc_exceptions outside;	/* of the loop's caller */
};

struct torc_reactor {
	struct torc_ring ring;
	struct torc_kind kinds[TORC_KINDS];
	struct torc_fiber *current;	/* the fiber that runs */
	struct torc_fiber *ended;	/* its stack must be given back */
	void *scheduler_sp;		/* while one runs */
	struct torc_belongings belongings;
	struct torc_fault_stack fault_stack;	/* of its thread */
	uint64_t now;			/* when the last enter returned */
	uint64_t due;			/* deadlines up to here have passed: as
					 * `now`, but see catch_up() */
	uint64_t catch_up_by;		/* then that ends at the latest */
	unsigned still_again;		/* unless it stands still again */
	uint32_t catch_up_to;		/* CQEs that were there first, ... */
	bool caught;			/* ... if that is known */

	/*
	 * SQEs are counted from 0. All before `taken` were taken by an enter
	 * that has returned. All before `settled` have also had every
	 * completion that their submission caused seen; one that asked for
	 * no completion on success has succeeded. `in_order`: no completion
	 * of this batch is older than the last enter. `verified`: while a
	 * completion of this batch is looked at, it verifies this to be settled
	 * as far as its own socket goes.
	 */
	uint64_t taken;
	uint64_t settled;
	uint64_t verified;
	bool in_order;
	bool crowded;		/* the layer prefetches completions */

	struct torc_list ready;		/* fibers */
	struct torc_list yielded;	/* that let the ready ones go first */
	struct torc_list backlog;	/* torc_todo */
	struct torc_timers timers;
	struct torc_mailbox mailbox;
	struct torc_stacks stacks;
	struct torc_slots fibers;
	uint32_t daemons;		/* fibers that do not hold a drain */
	struct torc_slots ops;
	struct torc_slots nothing;	/* an empty table */

	const struct torc_layer *layer;
	void *layer_state;
	struct torc_counters *counters;	/* in the page */
	struct torc_stats_page_file stats_page;
	struct torc_config config;	/* every field filled in */
	void *data;			/* of the program */
	struct torc_value *values;	/* of libraries, by key */
	struct torc_keeper *keepers;	/* of descriptors */
	/* Any thread, under the lock of process.h, to asked_to_reclaim. */
	struct torc_node kin;		/* the reactors of the process */
	bool keeping;			/* it has keepers */
	struct torc_post reclaim;	/* ... asks for descriptors */
	bool asked_to_reclaim;		/* ... has been posted */
	uint64_t reclaimed_until;	/* some are being closed */
	unsigned index;
	uint64_t life;			/* torc_life_begin() */
	uint64_t stall_ns;
	uint64_t stall_notice_at;	/* the operator is not told before */
	uint64_t drain_at;		/* any thread: end by then */
	uint32_t spin_credit;
	int ready_fd;			/* for a foreign loop, or -1 */
	bool ready_spent;	/* it must be registered again */
	int error;			/* what ended it */
	enum torc_phase phase;
	bool turning;
	bool watched;		/* by valgrind */
	bool sleeps_beside;	/* the ring: in poll(2), for valgrind */
	bool timed;		/* this turn: see stats_page.h */
	struct torc_waiters drain_waiters;
	bool dismissed;		/* draining, and daemons are to end */
	bool deserted;		/* draining, and seen without fibers */
	bool wake_armed;
	bool mailbox_closed;
	bool abandoned;			/* the kernel may still use memory */
	void *scheduler_sanitizer;
};

#define TORC_SPIN_CREDIT 16u	/* fruitless spins in a row before it stops */

/*
 * The reactor of this thread, or NULL, or &torc_inherited. Every call of a
 * handler reads it: in one instruction in a program, in two in the shared
 * library, and never by a call, as the compiler would for all it knows.
 */
#if defined(__PIC__) && !defined(__PIE__)
#define TORC_TLS_MODEL "initial-exec"
#else
#define TORC_TLS_MODEL "local-exec"
#endif
extern _Thread_local struct torc_reactor *torc_current
    __attribute__((visibility("hidden"), tls_model(TORC_TLS_MODEL)));

/* Submit what is queued, and claim an SQE if there is room then. */
struct io_uring_sqe *torc_reactor_make_room(struct torc_reactor *reactor);

/*
 * Claim an SQE, submitting what is queued if there is no room. NULL if the
 * kernel takes nothing now: put a todo on the backlog.
 */
static inline struct io_uring_sqe *
torc_reactor_claim(struct torc_reactor *reactor)
{
	struct io_uring_sqe *sqe = torc_ring_claim(&reactor->ring);

	torc_debug_assert(reactor->phase != TORC_PHASE_ENDED);
	return torc_likely(sqe != NULL) ? sqe :
	    torc_reactor_make_room(reactor);
}

/* Set the layer above and its state, or NULL: there is none any more. */
void torc_reactor_attach(struct torc_reactor *reactor,
    const struct torc_layer *layer, void *state);

/* Set the owners of a kind's completions, and the call for failed cancels. */
void torc_reactor_name_kind(struct torc_reactor *reactor, unsigned kind,
    const struct torc_kind *named,
    void (*missed)(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe));

/* Say whether the layer prefetches completions from now on. */
static inline void
torc_reactor_set_crowded(struct torc_reactor *reactor, bool crowded)
{
	reactor->crowded = crowded;
}

/* Set the number of a reactor among those of its server. */
static inline void
torc_reactor_set_index(struct torc_reactor *reactor, unsigned index)
{
	reactor->index = index;
}

/* Do `todo` in the next turn. Does nothing if it is queued already. */
void torc_reactor_later(struct torc_reactor *reactor, struct torc_todo *todo);

/*
 * Claim an SQE that cancels the operation with the user_data `tag`. Only a
 * failure has a completion, of kind TORC_KIND_CANCEL | the target's; -ENOENT
 * may mean that the kernel did not look where the operation was.
 */
bool torc_reactor_cancel(struct torc_reactor *reactor, uint64_t tag);

/* End a reactor that never ran: posts to it must still be called. */
void torc_reactor_end_unrun(struct torc_reactor *reactor);

/* The reactor is destroyed: it has no keepers any more. */
void torc_reclaim_forget(struct torc_reactor *reactor);

/* Forget what libraries have set. */
void torc_reactor_free_values(struct torc_reactor *reactor);

/* As torc_reactor_create(), with all fields, as a server's reactors have. */
int torc_reactor_make(struct torc_reactor **reactor,
    const struct torc_config *config, struct torc_error *error);

/* Give the operator a line of text, if the program wants that. */
TORC_BESIDE void torc_reactor_notice(struct torc_reactor *reactor,
    const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Called on the thread of `reactor`, while it runs there. */
static inline void
torc_reactor_check(const struct torc_reactor *reactor)
{
	torc_require(torc_current == reactor, torc_misuse(reactor,
	    "called on another thread than the reactor's"));
}

/* Called on a reactor's thread: the reactor. `text` says what was called. */
static inline struct torc_reactor *
torc_reactor_own(const char *text)
{
	struct torc_reactor *reactor = torc_current;

	torc_require(reactor != NULL && reactor != &torc_inherited,
	    torc_misuse(reactor, text));
	return reactor;
}

/* Called on the thread of `reactor`, or before it runs. */
static inline void
torc_reactor_check_early(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	torc_require(reactor->phase == TORC_PHASE_CREATED ||
	    torc_current == reactor,
	    "called on another thread than the reactor's");
}

/* Called on a fiber: the reactor. */
static inline struct torc_reactor *
torc_reactor_of_fiber(void)
{
	struct torc_reactor *reactor = torc_current;

	torc_require(reactor != NULL && reactor->current != NULL,
	    torc_misuse(reactor, "a call that parks was made outside a fiber"));
	return reactor;
}

#endif
