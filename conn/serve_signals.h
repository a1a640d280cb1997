/* SPDX-License-Identifier: MIT */
/*
 * serve_signals.h - a server waits for signals, and ends.
 */
#ifndef TORC_CONN_SERVE_SIGNALS_H
#define TORC_CONN_SERVE_SIGNALS_H

#include <signal.h>

#include "conn/serve.h"

/* The signals that are waited for are blocked, as the threads inherit it. */
void torc_serve_block(struct torc_server *server, sigset_t *before);
void torc_serve_unblock(struct torc_server *server, const sigset_t *before);

/* Wait for a signal, drain, and join all threads. */
void torc_serve_wait(struct torc_server *server);

/* Drain all reactors. */
void torc_serve_drain(struct torc_server *server, torc_deadline deadline);

/* Stop them at once, and join all threads that were started. */
void torc_serve_stop(struct torc_server *server);

#endif
