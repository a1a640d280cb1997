/* SPDX-License-Identifier: MIT */
/*
 * dial.h - connections out.
 */
#ifndef TORC_CONN_DIAL_H
#define TORC_CONN_DIAL_H

#include <stddef.h>
#include <sys/socket.h>

#include "conn/torc.h"

/* Parks. A socket that is connected to an address, or a negative errno. */
int torc_dial_socket(const struct sockaddr_storage *address, size_t size,
    torc_deadline deadline);
/* Make a connection of it, or close it. 0 or a negative errno. */
int torc_dial_open(struct torc_conn **conn, int fd);

#endif
