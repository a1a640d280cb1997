/* SPDX-License-Identifier: MIT */
/*
 * sides.h - torc's side and the kernel's of every pair of barriers that
 * ring/PROTOCOL.md has, as functions that run on threads of their own.
 *
 * torc's side is torc's own code (ring/, reactor/mailbox.c). The kernel's uses
 * the orders that the kernel uses, and no stronger ones. Both run twice: on
 * real threads, many times, in test_order.c, where ThreadSanitizer watches;
 * and on simulated ones, in every way there is, in interleave.c.
 */
#ifndef TORC_TESTS_ORDER_SIDES_H
#define TORC_TESTS_ORDER_SIDES_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/mailbox.h"
#include "reactor/torc_runtime.h"
#include "ring/bufring.h"
#include "ring/ring.h"

#define SIDES_MAX 3		/* threads in a pairing */
#define SIDES_SLOTS 8		/* entries of a ring, at most */
#define SIDES_POSTS 4096	/* of one poster, at most */
#define SIDES_POSTERS 2

struct sides_post {
	struct torc_post post;
	uint64_t value;		/* plain: what M1 is to carry */
	uint32_t runs;
	bool refused;
};

/* All that two sides share. Who owns what changes hands as the table says. */
struct sides {
	/* torc's. */
	struct torc_ring ring;
	struct torc_bufring bufring;
	struct torc_buf bufs[SIDES_SLOTS];
	struct torc_mailbox mailbox;
	uint64_t drain_at;
	uint32_t events_seen[2];
	uint32_t reaped;
	bool lost_seen;

	/* Shared with "the kernel". */
	uint32_t sq_head, sq_tail, sq_flags;
	uint32_t cq_head, cq_tail, cq_overflow;
	uint32_t deferred;	/* completions that wait for an enter */
	uint32_t events[2];	/* writes to each eventfd */
	struct io_uring_sqe sqes[SIDES_SLOTS];
	uint64_t cqes[SIDES_SLOTS][2];	/* struct io_uring_cqe, which ends
				 * in an array without size */
	struct io_uring_buf kbufs[SIDES_SLOTS];
	uint64_t memory[SIDES_SLOTS];	/* of the buffers */

	/* The kernel's. */
	uint32_t kernel_sq_head;
	uint32_t kernel_cq_tail;
	uint16_t kernel_buf_head;
	uint32_t completed;

	uint32_t count;		/* of requests, completions, posts */
	struct sides_post posts[SIDES_POSTERS][SIDES_POSTS];	/* last */
};

/* Threads that run together, and what must hold when all have ended. */
struct pairing {
	const char *name;
	void (*side[SIDES_MAX])(struct sides *sides);
	void (*check)(const struct sides *sides);
	uint32_t entries;	/* of the rings, when all ways are tried */
	uint32_t count;		/* then */
};

extern const struct pairing pairings[];
extern const unsigned pairing_count;

/* Rings of `entries`, whose indices wrap after `before_wrap` more. */
void sides_init(struct sides *sides, uint32_t entries, uint32_t count,
    uint32_t before_wrap);

/* What torc's calls into the kernel come to. */
int sides_enter(struct sides *sides, uint32_t to_submit, uint32_t flags);
void sides_event(struct sides *sides, int fd);

/* ---- Of the program that runs them ---- */

/* Until *word is no longer what this thread has seen of it last. */
void sides_await(const void *word);
void sides_fail(const char *claim);

#endif
