/* SPDX-License-Identifier: MIT */
/*
 * shown.h - what the statistics page says of connections with a transport.
 */
#ifndef TORC_CONN_SHOWN_H
#define TORC_CONN_SHOWN_H

#include "conn/transport.h"

/* The host that its client asks for; of size 0: none. Before it is ready. */
void torc_shown_name(const struct torc_conn *conn, const char *name,
    size_t size);

/* It is ready: tools may see what was agreed on. */
void torc_shown_ready(const struct torc_conn *conn,
    const struct torc_agreed *agreed);

#endif
