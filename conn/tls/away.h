/* SPDX-License-Identifier: MIT */
/*
 * away.h - steps of handshakes that a thread does: a signature of RSA costs as
 * much as a hundred requests, and those that have shaken hands need not wait
 * for it. Only servers have such steps, and only answers to a hello are.
 *
 * While a thread has a session, nobody else touches it. What it writes is kept,
 * and sent when it is back.
 */
#ifndef TORC_TLS_AWAY_H
#define TORC_TLS_AWAY_H

#include <stdbool.h>
#include <stddef.h>

#include "conn/tls/session.h"

/* Let a thread do the next step. False: no memory, or no thread. */
bool torc_tls_away_start(struct tls_session *session,
    void (*step)(struct tls_session *session, struct tls_outcome *outcome));
/* It has. What was written goes to the connection. */
void torc_tls_away_end(struct tls_session *session,
    struct tls_outcome *outcome);
/* It has, and nobody asks any more. */
void torc_tls_away_free(struct tls_session *session);

/* On the thread: something is written. False: no memory. */
bool torc_tls_away_keep(struct tls_away *away, const void *data, size_t size);

#endif
