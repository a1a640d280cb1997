/* SPDX-License-Identifier: MIT */
/* place.c - where an origin is, and what it is called. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "conn/http/place.h"
#include "reactor/error.h"

static struct torc_slice
slice(const char *text, size_t size)
{
	return (struct torc_slice) { (const uint8_t *)text, size };
}

/* Behind the host: the port with its colon, or the end. */
static const char *
find_port(const char *host, const char *end)
{
	const char *bracket = *host == '[' ?
	    memchr(host, ']', (size_t)(end - host)) : NULL;
	const char *from = bracket != NULL ? bracket + 1 : host;
	const char *colon = memchr(from, ':', (size_t)(end - from));

	return colon != NULL ? colon : end;
}

static int
refuse(const char *text, struct torc_error *error)
{
	return torc_error_set(error, -EINVAL, "address = \"%s\": must be "
	    "https://HOST or https://HOST:PORT, without a user, a path or a "
	    "query", text);
}

int
torc_http_place_read(struct torc_http_place *place, const char *text,
    struct torc_error *error)
{
	const char *host = text, *end, *port;

	*place = (struct torc_http_place) { .port = "" };
	if (strncasecmp(text, "https://", 8) == 0) {
		place->secure = true;
		host = text + 8;
	} else if (strncasecmp(text, "http://", 7) == 0) {
		host = text + 7;
	}
	end = host + strlen(host);
	if (host == text) {
		place->address = slice(text, strlen(text));
		return 0;
	}
	if (end > host && end[-1] == '/')
		end--;
	port = find_port(host, end);
	if (port == host || port + 1 == end ||
	    host + strcspn(host, "/?#@ ") < end)
		return refuse(text, error);
	place->url = true;
	place->address = slice(host, (size_t)(end - host));
	if (port == end)
		place->port = place->secure ? ":443" : ":80";
	return 0;
}

struct torc_slice
torc_http_place_name(const char *host)
{
	const char *end = find_port(host, host + strlen(host));

	if (*host == '[' && end > host + 2 && end[-1] == ']')
		return slice(host + 1, (size_t)(end - host) - 2);
	return slice(host, (size_t)(end - host));
}
