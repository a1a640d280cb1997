/* SPDX-License-Identifier: MIT */
/*
 * serve_listen.h - the listeners of a server: the same ones on all reactors.
 */
#ifndef TORC_CONN_SERVE_LISTEN_H
#define TORC_CONN_SERVE_LISTEN_H

#include "conn/serve.h"

/* Open the listeners of all reactors. 0, or a negative errno that was said. */
int torc_serve_listen(struct torc_server *server);

#endif
