/* SPDX-License-Identifier: MIT */
/*
 * room.h - places for connections, and descriptors, when there are few left.
 */
#ifndef TORC_CONN_ROOM_H
#define TORC_CONN_ROOM_H

#include <stdbool.h>

#include "conn/conn.h"

/*
 * See that there is a place for one more connection, whose socket is `fd`, and
 * that descriptors are left behind it. False: there is no place.
 */
bool torc_room_make(struct torc_net *net, int fd);

/*
 * There are no descriptors at all, and nobody keeps any: connections leave.
 * Whether there will be some soon.
 */
bool torc_room_clear(struct torc_net *net);

/* It has left, if it was asked to. */
void torc_room_left(struct torc_conn *conn);
/* One that was asked to leave does not: its handler has something to do. */
void torc_room_keep(struct torc_conn *conn);

#endif
