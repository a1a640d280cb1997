/*
 * http.h - what the server and the client share.
 */
#ifndef TORC_HTTP_HTTP_H
#define TORC_HTTP_HTTP_H

#include <string.h>

#include "conn/http/torc_http.h"

static inline unsigned
or_default(unsigned value, unsigned otherwise)
{
	return value != 0 ? value : otherwise;
}

/* The earlier of a deadline, and `ms` from now. */
static inline uint64_t
sooner(uint64_t deadline, unsigned ms)
{
	uint64_t limit = ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_after_ms(ms);

	return deadline < limit ? deadline : limit;
}

/*
 * Whether to read a head again, of which `tried` bytes were not enough: a line
 * of it has ended, or it has doubled. One that comes byte by byte would be
 * read as often as it has bytes otherwise.
 */
static inline bool
worth_reading(struct torc_slice view, size_t tried, size_t head_max)
{
	return view.size >= 2 * tried || view.size >= head_max ||
	    memchr(view.data + tried, '\n', view.size - tried) != NULL;
}

/* Fields that frame a message are written by torc alone. */
bool torc_http_frames(const struct torc_http_field *field);

#endif
