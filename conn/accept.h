/* SPDX-License-Identifier: MIT */
/*
 * accept.h - what a listener accepts.
 */
#ifndef TORC_CONN_ACCEPT_H
#define TORC_CONN_ACCEPT_H

#include <stdint.h>

#include "conn/net.h"
#include "reactor/reactor.h"

struct torc_listener;

/* The user_data of its accepts. */
uint64_t torc_accept_tag(const struct torc_listener *listener);

void torc_accept_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
void torc_accept_stray(struct torc_reactor *reactor,
    const struct io_uring_cqe *cqe);
/* The cancel of an accept has failed. */
void torc_accept_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);

/* Arm the accept, unless the listener is not to accept now. */
void torc_accept_arm(struct torc_listener *listener);

/* Deal connections of some listeners out to these reactors, in turn. */
void torc_accept_deal(struct torc_net *net, struct torc_reactor **peers,
    unsigned count);

/* It may accept again. */
void torc_accept_unpause(struct torc_listener *listener);

/* Its pause is over, says its timer. */
void torc_accept_end_pause(struct torc_timer *timer);

/* Accept what is in the backlog, behind the last accept. */
void torc_accept_backlog(struct torc_listener *listener);

/* A descriptor was closed: those that lacked one may go on. */
TORC_BESIDE void torc_accept_resume(struct torc_net *net);

/* The same for what is no connection. */
static inline void
torc_accept_spared(const struct torc_reactor *reactor)
{
	struct torc_net *net = reactor->layer_state;

	if (net != NULL && net->paused > 0)
		torc_accept_resume(net);
}

#endif
