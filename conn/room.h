/* SPDX-License-Identifier: MIT */
/*
 * room.h - places for connections, and descriptors, when there are few left.
 */
#ifndef TORC_CONN_ROOM_H
#define TORC_CONN_ROOM_H

#include <stdbool.h>

#include "conn/conn.h"

/*
 * Make a place for one more connection, whose socket is `fd`, and keep some
 * descriptors free. False: there is no place.
 */
bool torc_room_make(struct torc_net *net, int fd);

/*
 * Close connections because no descriptor is left and no keeper has one.
 * Returns whether some will be free soon.
 */
bool torc_room_clear(struct torc_net *net);

/* A connection is gone: note it if it was asked to leave. */
void torc_room_left(struct torc_conn *conn);
/* A connection that was asked to leave stays: its handler has work. */
void torc_room_keep(struct torc_conn *conn);

#endif
