/* SPDX-License-Identifier: MIT */
/*
 * serve_say.c - what a server says when it fails: what, and for which value.
 */
#include <string.h>

#include "conn/serve_say.h"
#include "reactor/error.h"

int
torc_serve_say(struct torc_server *server, int error, const char *what,
    const char *value)
{
	return torc_error_set(server->error, error, "%s%s%s: %s", what,
	    value[0] == '\0' ? "" : " ", value, strerror(-error));
}
