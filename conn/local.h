/* SPDX-License-Identifier: MIT */
/*
 * local.h - the file of a local socket.
 */
#ifndef TORC_CONN_LOCAL_H
#define TORC_CONN_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sys/sys.h"

/* A local socket has a file, unless its name is abstract. */
bool torc_local_has_file(const struct sockaddr_storage *address);
/*
 * Bind a local socket, and listen. A file on which nobody listens any more
 * gives way, and so does the socket of a server that was killed, a little
 * later, if the thread `may_sleep`. 0, and `*file` is the one that was made, if
 * any; or a negative errno: -EADDRINUSE if somebody listens there, or that is
 * no socket.
 */
int torc_local_listen(int fd, const struct sockaddr_storage *address,
    uint32_t size, int backlog, bool may_sleep, struct torc_inode *file);
/* Take its file away, unless there is another one at its path meanwhile. */
void torc_local_remove(const struct sockaddr_storage *address,
    const struct torc_inode *file);

#endif
