/* SPDX-License-Identifier: MIT */
/*
 * events.c - streams of events, as browsers read them (HTML, 9.2).
 */
#include <errno.h>
#include <stdio.h>

#include "conn/http/service.h"
#include "reactor/config.h"

#define BUFFER 1024u	/* most events go out in one piece */

int
torc_exchange_events_begin(struct torc_exchange *exchange,
    torc_deadline deadline)
{
	int rc = torc_exchange_add_field(exchange, "Cache-Control",
	    "no-store");

	if (rc == 0)
		rc = torc_exchange_begin(exchange, 200, "text/event-stream",
		    TORC_HTTP_UNKNOWN, deadline);
	/* An answer to HEAD ends here: its client reads no events. */
	if (rc == 0 && exchange->http.silent)
		rc = torc_exchange_end(exchange, deadline);
	return rc;
}

/* An event that is being written. */
struct out {
	struct torc_exchange *exchange;
	torc_deadline deadline;
	int rc;
	size_t used;
	char buffer[BUFFER];
};

/* Parks. */
static void
flush(struct out *out)
{
	if (out->rc == 0 && out->used > 0)
		out->rc = torc_exchange_write(out->exchange, out->buffer,
		    out->used, out->deadline);
	out->used = 0;
}

/* Parks. */
static void
put(struct out *out, const void *data, size_t size)
{
	if (size > BUFFER - out->used)
		flush(out);
	if (size > BUFFER && out->rc == 0) {
		out->rc = torc_exchange_write(out->exchange, data, size,
		    out->deadline);
	} else if (size > 0 && out->rc == 0) {
		memcpy(out->buffer + out->used, data, size);
		out->used += size;
	}
}

static void
put_line(struct out *out, const char *name, const void *data, size_t size)
{
	put(out, name, strlen(name));
	put(out, data, size);
	put(out, "\n", 1);
}

/* Lines end with CR LF, LF, or CR alone; the last one need not. */
static void
put_data(struct out *out, struct torc_slice data)
{
	const uint8_t *at = data.data, *end = at + data.size;

	for (;;) {
		const uint8_t *from = at;

		while (at < end && *at != '\n' && *at != '\r')
			at++;
		put_line(out, "data: ", from, (size_t)(at - from));
		if (at == end)
			return;
		at += at + 1 < end && at[0] == '\r' && at[1] == '\n' ? 2 : 1;
	}
}

static bool
is_line(const char *text)
{
	return text == NULL || text[strcspn(text, "\r\n")] == '\0';
}

int
torc_exchange_event_sized(struct torc_exchange *exchange,
    const struct torc_event *given, size_t event_size, torc_deadline deadline)
{
	struct torc_event known;
	const struct torc_event *event = &known;
	struct out out = {
		.exchange = exchange, .deadline = deadline,
	};
	char retry[16];
	int size;

	torc_require(given != NULL, "an event is NULL");
	if (exchange->http.silent)
		return -EPIPE;
	if (torc_config_take(&known, sizeof(known), given, event_size,
	    "torc_event", NULL) < 0)
		return -EINVAL;
	if (!is_line(event->name) || !is_line(event->id))
		return -EINVAL;
	if (event->name != NULL)
		put_line(&out, "event: ", event->name, strlen(event->name));
	if (event->id != NULL)
		put_line(&out, "id: ", event->id, strlen(event->id));
	if (event->retry_ms != 0) {
		size = snprintf(retry, sizeof(retry), "%u", event->retry_ms);
		put_line(&out, "retry: ", retry, (size_t)size);
	}
	if (event->data.data != NULL || event->name != NULL)
		put_data(&out, event->data);
	else if (out.used == 0)
		put(&out, ":\n", 2);
	put(&out, "\n", 1);
	flush(&out);
	return out.rc;
}
