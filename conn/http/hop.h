/* SPDX-License-Identifier: MIT */
/*
 * hop.h - the fields of a message that go on to the next hop.
 */
#ifndef TORC_HTTP_HOP_H
#define TORC_HTTP_HOP_H

#include "conn/http/http.h"

#define HOP_FIELDS (TORC_HTTP_FIELDS + TORC_HTTP_ADDED + 4)

/* Room for the fields of a message, on a stack if there are few. */
struct torc_http_hop {
	struct torc_http_field *fields;
	unsigned count;
	char via[TORC_HTTP_VIA + 5];	/* "1.1 ", a name, NUL */
	struct torc_http_field few[HOP_FIELDS];
};

/*
 * Collect the fields of `head` to forward, and Via with the version of the
 * message (RFC 9110, 7.6.3). There is room for TORC_HTTP_ADDED and two more
 * fields after them. Returns 0, or -ENOMEM.
 */
int torc_http_hop_begin(struct torc_http_hop *hop,
    const struct torc_http_head *head, const char *name);
void torc_http_hop_end(struct torc_http_hop *hop);

/* Add a field. */
static inline void
torc_http_hop_add(struct torc_http_hop *hop, const char *name,
    struct torc_slice value)
{
	hop->fields[hop->count++] = (struct torc_http_field) {
		torc_http_text(name), value,
	};
}

/* Replace the value of the field of this name, which is there once. */
void torc_http_hop_replace(struct torc_http_hop *hop, const char *name,
    const char *value);

/*
 * Returns the Max-Forwards of a request, if its method has one (RFC 9110,
 * 7.6.2). -ENOENT: there is none; or -EBADMSG.
 */
int64_t torc_http_hop_forwards(const struct torc_http_head *head);

/*
 * Returns the target without the scheme and the host that it may begin with. If
 * nothing follows these, it is "/", or "*" for OPTIONS, which then asks about
 * the whole server (RFC 9112, 3.2.4).
 */
struct torc_slice torc_http_hop_path(const struct torc_http_head *request);

/*
 * Parks. Answer a request that goes no further: its Max-Forwards is 0, or
 * -EBADMSG. 0 or an error.
 */
int torc_http_hop_last(struct torc_http *http, int64_t forwards,
    torc_deadline deadline);

#endif
