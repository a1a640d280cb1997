/* SPDX-License-Identifier: MIT */
/*
 * serve_say.h - what a server says when it fails.
 */
#ifndef TORC_CONN_SERVE_SAY_H
#define TORC_CONN_SERVE_SAY_H

#include "conn/serve.h"

/* Say what has failed, and for which value ("": none). Returns `error`. */
int torc_serve_say(struct torc_server *server, int error, const char *what,
    const char *value);

#endif
