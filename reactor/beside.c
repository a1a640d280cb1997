/* SPDX-License-Identifier: MIT */
/*
 * beside.c - the descriptor that tells whoever polls it that the ring has
 * something to do.
 */
#include "reactor/beside.h"

#include "sys/sys.h"

int
torc_reactor_fd(struct torc_reactor *reactor)
{
	int fd, rc;

	torc_reactor_vouch(reactor);
	torc_debug_assert(reactor->phase != TORC_PHASE_ENDED);
	if (reactor->ready_fd >= 0)
		return reactor->ready_fd;
	fd = torc_sys_eventfd();
	if (fd < 0)
		return fd;
	rc = torc_sys_register(reactor->ring.fd, IORING_REGISTER_EVENTFD, &fd,
	    1);
	if (rc < 0) {
		torc_sys_close(fd);
		return rc;
	}
	reactor->ready_fd = fd;
	torc_mailbox_wake_beside(&reactor->mailbox, fd);
	return fd;
}

/*
 * An event that comes of a write to an eventfd, such as one that a fiber polls,
 * is told to ours by the kernel later, and since Linux 6.11 for the first time
 * only: a bit that says so is never cleared. A new registration has a new bit.
 */
static void
renew_ready(struct torc_reactor *reactor)
{
	const int ring = reactor->ring.fd;

	torc_debug_assert(reactor->ready_fd >= 0 && reactor->ready_spent);
	torc_sys_register(ring, IORING_UNREGISTER_EVENTFD, NULL, 0);
	reactor->ready_spent = torc_sys_register(ring, IORING_REGISTER_EVENTFD,
	    &reactor->ready_fd, 1) < 0;
}

void
torc_beside_clear(struct torc_reactor *reactor)
{
	uint64_t events;

	torc_debug_assert(reactor->ready_fd >= 0);
	torc_sys_read(reactor->ready_fd, &events, sizeof(events));
	if (reactor->ready_spent)
		renew_ready(reactor);
}

int
torc_beside_sleep(struct torc_reactor *reactor, uint64_t until)
{
	struct torc_ring *ring = &reactor->ring;
	int rc;

	torc_debug_assert(reactor->ready_fd >= 0 && reactor->current == NULL);
	torc_beside_clear(reactor);
	rc = torc_ring_enter(ring, 0, 0, 0);
	if (rc < 0 || torc_ring_ready(ring) > 0)
		return rc;
	reactor->stats_page.page->gauge.sleeping = 1;
	torc_sys_await(reactor->ready_fd, until == UINT64_MAX ? UINT64_MAX :
	    until > reactor->now ? until - reactor->now : 0);
	reactor->stats_page.page->gauge.sleeping = 0;
	return 0;
}
