/* SPDX-License-Identifier: MIT */
/*
 * listen.h - listeners.
 */
#ifndef TORC_CONN_LISTEN_H
#define TORC_CONN_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conn/net.h"
#include "reactor/reactor.h"
#include "reactor/slots.h"
#include "reactor/timers.h"
#include "sys/sys.h"

/*
 * A listener. Each member is written by one file alone; listen.c makes them
 * all. tests/lint.sh reads this table:
 *
 *     listen.c: slot net fd index port closing adopted dealt handler arg maker
 *         protocols todo timer address file closers
 *     accept.c: armed paused gone moments
 *
 *   state      is                  until
 *   armed      armed               the last completion of its accept
 *   paused     paused              a time, or until a descriptor is closed
 *   gone       gone                it is closed, in this turn or the next
 *   closing    closing             its accept has ended; then the slot is free
 *   none       of these            it is armed in the next turn, unless the
 *                                  reactor's listeners are held back
 */
struct torc_listener {
	struct torc_slot slot;
	struct torc_net *net;
	int fd;
	int index;
	unsigned port;
	bool armed;
	bool paused;		/* no descriptors or memory */
	bool closing;
	bool gone;		/* the socket accepts no more */
	bool adopted;		/* the socket is not ours alone */
	bool dealt;		/* connections go to all reactors in turn */
	unsigned moments;	/* pauses for other reactors to let go of
				 * descriptors, since the last connection */
	torc_handler *handler;
	void *arg;
	struct torc_transport_maker *maker;	/* NULL: clear text */
	const struct torc_protocol *protocols;	/* NULL: none */
	struct torc_todo todo;
	struct torc_timer timer;	/* ends the pause */
	struct sockaddr_storage address;
	struct torc_inode file;	/* of a local one: ours */
	struct torc_waiters closers;	/* wait for it to be closed */
};

/* Accept on a socket that listens. The index of the listener, or -ENOSPC. */
int torc_listen_add(struct torc_net *net, const struct torc_listener *like);
/* What it accepts from now on has a transport of the maker's. */
void torc_listen_set_maker(struct torc_net *net, int index,
    struct torc_transport_maker *maker);
/* What has agreed on one of these goes to its handler. They outlive it. */
void torc_listen_set_protocols(struct torc_net *net, int index,
    const struct torc_protocol *protocols);
/* Accept nothing before torc_listen_begin(). */
void torc_listen_hold(struct torc_net *net);
/* Leave an index free, for a listener that only another reactor has. */
void torc_listen_skip(struct torc_net *net);
/* Accept what was held back. */
void torc_listen_begin(struct torc_net *net);
/* Accept no more; what is in the backlog still counts as accepted. */
void torc_listen_close(struct torc_net *net);
/* The ring is lost: close them, free nothing. */
void torc_listen_abandon(struct torc_net *net);

#endif
