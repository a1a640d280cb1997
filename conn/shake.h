/* SPDX-License-Identifier: MIT */
/*
 * shake.h - handshakes take turns. One step of a handshake may cost as much as
 * hundreds of requests: what comes of one waits in a line, and after each batch
 * of completions a little of the line is opened. So those that have shaken
 * hands are never kept waiting for more than a step or two.
 */
#ifndef TORC_CONN_SHAKE_H
#define TORC_CONN_SHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/net.h"
#include "conn/transport.h"

/*
 * Bytes have come for a transport that is not ready: they wait in line, and are
 * counted. False: no memory, they are lost.
 */
TORC_ASKED bool torc_shake_wait(struct torc_conn *conn, uint8_t *data,
    uint32_t size, uint32_t bid);

/* Whether some wait. */
static inline bool
torc_shake_any(const struct torc_net *net)
{
	return !torc_list_empty(&net->shaking) ||
	    !torc_list_empty(&net->begun);
}

/* Open some of those that wait. There are some. */
TORC_ASKED void torc_shake_some(struct torc_net *net);

/* The transport is about to be freed. */
void torc_shake_forget(struct torc_transport *transport);

#endif
