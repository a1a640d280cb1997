/* SPDX-License-Identifier: MIT */
/*
 * place.h - where an origin is, as a configuration says it: an address, or the
 * beginning of a URL.
 */
#ifndef TORC_HTTP_PLACE_H
#define TORC_HTTP_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "conn/http/torc_http.h"

/* Slices of the text that was read. */
struct torc_http_place {
	struct torc_slice address;	/* without a scheme */
	const char *port;	/* to be put behind it: ":443", ":80" or "" */
	bool url;
	bool secure;		/* it said https */
};

/* 0, or -EINVAL, and `error` (may be NULL) says why. */
int torc_http_place_read(struct torc_http_place *place, const char *text,
    struct torc_error *error);

/* The name in a Host field: without a port, and the brackets of an address. */
struct torc_slice torc_http_place_name(const char *host);

#endif
