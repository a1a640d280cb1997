/*
 * room.h - places for connections.
 */
#ifndef TORC_CONN_ROOM_H
#define TORC_CONN_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct torc_conn;
struct torc_net;

/* See that there is a place for one more. False: there is none. */
bool torc_room_make(struct torc_net *net);

/* Its place is free. */
void torc_room_leave(struct torc_conn *conn);

/* Places beyond `places`, for those that come while others leave. */
uint32_t torc_room_spare(uint32_t places);

#endif
