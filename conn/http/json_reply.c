/* SPDX-License-Identifier: MIT */
/*
 * json_reply.c - answers that are JSON.
 */
#include <errno.h>

#include "conn/http/service.h"

#define BUFFER 4096u	/* bytes of an answer that goes out in one piece */
#define TYPE "application/json"

/* Parks. Send what the buffer has: the answer is larger than that. */
static int
put(const void *data, size_t size, void *arg)
{
	struct torc_exchange *exchange = arg;
	int rc = 0;

	if (exchange->http.output == OUTPUT_DUE)
		rc = torc_exchange_begin(exchange, exchange->status, TYPE,
		    TORC_HTTP_UNKNOWN, exchange->deadline);
	return rc < 0 ? rc : torc_exchange_write(exchange, data, size,
	    exchange->deadline);
}

int
torc_exchange_json_begin(struct torc_exchange *exchange,
    unsigned status, struct torc_json *json, torc_deadline deadline)
{
	void *memory = torc_exchange_alloc(exchange, BUFFER);

	torc_require(json != NULL,
	    "torc_exchange_json_begin() needs a writer");
	*json = (struct torc_json) { .error = -EINVAL };
	if (exchange->http.output != OUTPUT_DUE)
		return -EINVAL;
	if (memory == NULL) {
		json->error = -ENOMEM;
		return -ENOMEM;
	}
	exchange->deadline = deadline;
	exchange->status = status;
	torc_json_begin(json, memory, BUFFER, put, exchange);
	return 0;
}

int
torc_exchange_json_end(struct torc_exchange *exchange,
    struct torc_json *json, torc_deadline deadline)
{
	int rc = torc_json_check(json);

	if (rc < 0)
		return rc;
	if (json->total == 0)
		return torc_exchange_reply(exchange, exchange->status, TYPE,
		    json->data, json->used, deadline);
	rc = torc_exchange_write(exchange, json->data, json->used, deadline);
	return rc < 0 ? rc : torc_exchange_end(exchange, deadline);
}
