/* SPDX-License-Identifier: MIT */
/* piece.c - bytes of a file as a piece of an answer of a service. */
#include <errno.h>

#include "conn/file/site.h"
#include "conn/http/service.h"

#define BLOCK 8192u		/* read at once */

/* Parks. Copy through memory, for chunks and filters. */
static int
copy(struct torc_exchange *exchange, int fd, uint64_t offset, uint64_t size,
    torc_deadline deadline)
{
	uint8_t block[BLOCK];

	while (size > 0) {
		const size_t part = size < BLOCK ? (size_t)size : BLOCK;
		const int64_t got = torc_file_read(fd, block, part, offset,
		    deadline);
		int rc;

		if (got < 0)
			return (int)got;
		if ((size_t)got < part)
			return -ENODATA;
		rc = torc_exchange_write(exchange, block, part, deadline);
		if (rc < 0)
			return rc;
		offset += part;
		size -= part;
	}
	return 0;
}

/* Parks. The piece itself. */
static int
send_piece(struct torc_exchange *exchange, int fd, uint64_t offset,
    uint64_t size, torc_deadline deadline)
{
	struct torc_http *http = torc_exchange_plain(exchange);
	int rc;

	if (http == NULL)
		return copy(exchange, fd, offset, size, deadline);
	/* More than the announced length is not sent. */
	rc = torc_http_sent(http, size);
	return rc < 0 || http->silent ? rc :
	    torc_file_send(http->conn, fd, offset, size, deadline);
}

int
torc_file_exchange_send(struct torc_exchange *exchange, int fd,
    uint64_t offset, uint64_t size, torc_deadline deadline)
{
	struct torc_http *http = torc_exchange_http(exchange);
	int rc = send_piece(exchange, fd, offset, size, deadline);

	/* An answer that lacks a part must not look complete. */
	if (rc < 0 && http->output == OUTPUT_BEGUN)
		http->output = OUTPUT_BROKEN;
	return rc;
}
