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

struct torc_listener {
	struct torc_slot slot;
	struct torc_net *net;
	int fd;
	int index;
	unsigned port;
	bool armed;
	bool paused;		/* no descriptors or memory */
	bool closing;
	bool adopted;		/* the socket is not ours alone */
	bool dealt;		/* connections go to all reactors in turn */
	unsigned moments;	/* pauses for other reactors to let go of
				 * descriptors, since the last connection */
	torc_handler *handler;
	void *arg;
	struct torc_todo todo;
	struct torc_timer timer;	/* ends the pause */
	struct sockaddr_storage address;
	struct torc_inode file;	/* of a local one: ours */
	struct torc_waiters closers;	/* wait for it to be closed */
};

/* Accept on a socket that listens. The index of the listener, or -ENOSPC. */
int torc_listen_add(struct torc_net *net, const struct torc_listener *like);
/* Accept what net->holding has held back. */
void torc_listen_begin(struct torc_net *net);
/* Accept no more; what is in the backlog still counts as accepted. */
void torc_listen_close(struct torc_net *net);
/* The ring is lost: close them, free nothing. */
void torc_listen_abandon(struct torc_net *net);

#endif
