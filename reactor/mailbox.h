/* SPDX-License-Identifier: MIT */
/*
 * mailbox.h - calls from other threads: a lock-free list that many push to
 * and the reactor takes whole, and a descriptor that wakes it.
 *
 * States of the list's head:  NULL        empty
 *                             CLOSED      the reactor has ended: pushes fail
 *                             otherwise   the post pushed last
 * States of the wake flag:    0  the reactor may sleep: whoever pushes must
 *                                write to the descriptor
 *                             1  a wake is on its way: pushing is enough
 *
 * The flag goes down before the list is taken, so a post that comes too late
 * for this taking finds the flag down and wakes again. One wake is
 * outstanding at a time.
 */
#ifndef TORC_REACTOR_MAILBOX_H
#define TORC_REACTOR_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

struct torc_post;

struct torc_mailbox {
	void *head;		/* struct torc_post, the last one first */
	uint32_t woken;
	int fd;			/* eventfd, in the ring */
	uint32_t beside;	/* 1 + another one, for a loop that polls; or
				 * 0. The owner writes it */
};

int torc_mailbox_init(struct torc_mailbox *mailbox);
/* Nobody pushes any more. */
void torc_mailbox_fini(struct torc_mailbox *mailbox);

/* 0 or -ESHUTDOWN. Any thread; also a signal handler. */
int torc_mailbox_push(struct torc_mailbox *mailbox, struct torc_post *post);

/* Wake the owner without a post. Any thread; also a signal handler. */
void torc_mailbox_wake(struct torc_mailbox *mailbox);

/*
 * From now on a wake also writes to this eventfd. The kernel would tell it of
 * the poll of the other one, but late: one eventfd is not signalled from inside
 * another. The owner.
 */
void torc_mailbox_wake_beside(struct torc_mailbox *mailbox, int fd);

/* Something may be in the list. The owner. */
bool torc_mailbox_pending(const struct torc_mailbox *mailbox);

/* All posts in the order in which they came, or NULL. The owner. */
struct torc_post *torc_mailbox_take(struct torc_mailbox *mailbox);

/* As take, and refuse posts from now on. The owner. */
struct torc_post *torc_mailbox_close(struct torc_mailbox *mailbox);

#endif
