/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c - pushing, waking, taking.
 */
#include "reactor/mailbox.h"

#include <errno.h>
#include <stddef.h>

#include "reactor/torc_runtime.h"
#include "sys/barrier.h"
#include "sys/sys.h"
#include "sys/trap.h"

static char closed_mark;
#define CLOSED ((void *)&closed_mark)

int
torc_mailbox_init(struct torc_mailbox *mailbox)
{
	int rc = torc_sys_eventfd();

	if (rc < 0)
		return rc;
	*mailbox = (struct torc_mailbox) { .fd = rc };
	return 0;
}

void
torc_mailbox_fini(struct torc_mailbox *mailbox)
{
	torc_debug_assert(mailbox->fd >= 0);
	torc_sys_close(mailbox->fd);
}

void
torc_mailbox_wake(struct torc_mailbox *mailbox)
{
	const uint64_t one = 1;
	uint32_t beside;

	torc_debug_assert(mailbox->fd >= 0);
	/* M2: full; the release half is needed. The post is in the list
	 * before the flag is up. If it was up, the reactor has yet to put it
	 * down (M3), and takes the list after that. If it was down, the
	 * reactor may sleep. */
	if (torc_exchange_full_u32(&mailbox->woken, 1) != 0)
		return;
	torc_sys_write(mailbox->fd, &one, sizeof(one));
	/* M5: relaxed. It is there before an exchange of the owner's (M3): if
	 * we do not see it, that one is yet to come, and finds our flag. */
	beside = torc_load_relaxed_u32(&mailbox->beside);
	if (beside != 0)
		torc_sys_write((int)beside - 1, &one, sizeof(one));
}

void
torc_mailbox_wake_beside(struct torc_mailbox *mailbox, int fd)
{
	torc_debug_assert(fd >= 0 && fd != mailbox->fd);
	/* M5: relaxed. The owner wakes itself, to come to M3 after it. */
	torc_store_relaxed_u32(&mailbox->beside, (uint32_t)fd + 1);
	torc_mailbox_wake(mailbox);
}

int
torc_mailbox_push(struct torc_mailbox *mailbox, struct torc_post *post)
{
	torc_debug_assert(mailbox->fd >= 0);
	/* M1: relaxed. A first guess, which the exchange checks. */
	void *head = torc_load_relaxed_ptr(&mailbox->head);

	do {
		if (head == CLOSED)
			return -ESHUTDOWN;
		post->next = head;
		/* M1: release. The post is written before it is in the
		 * list. */
	} while (!torc_replace_release_ptr(&mailbox->head, &head, post));
	torc_mailbox_wake(mailbox);
	return 0;
}

bool
torc_mailbox_pending(const struct torc_mailbox *mailbox)
{
	/* M4: relaxed. A hint; a later push finds the flag down. */
	return torc_load_relaxed_u32(&mailbox->woken) != 0;
}

static struct torc_post *
reverse(struct torc_post *post)
{
	struct torc_post *first = NULL;

	while (post != NULL) {
		struct torc_post *next = post->next;

		post->next = first;
		first = post;
		post = next;
	}
	return first;
}

static struct torc_post *
take(struct torc_mailbox *mailbox, void *leave)
{
	void *head;

	torc_debug_assert(leave == NULL || leave == CLOSED);
	/* M3: full; the acquire half is needed. The flag is down before
	 * the list is taken: a post that we do not see here raises it
	 * again. */
	torc_exchange_full_u32(&mailbox->woken, 0);
	/* M1: acquire. A post that we take is written. */
	head = torc_exchange_acquire_ptr(&mailbox->head, leave);
	torc_assert(head != CLOSED);
	return reverse(head);
}

struct torc_post *
torc_mailbox_take(struct torc_mailbox *mailbox)
{
	return take(mailbox, NULL);
}

struct torc_post *
torc_mailbox_close(struct torc_mailbox *mailbox)
{
	return take(mailbox, CLOSED);
}
