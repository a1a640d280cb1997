/* SPDX-License-Identifier: MIT */
/*
 * below.c - files below a path of a service.
 *
 * The server of files parses a target itself, so it gets one: the rest of the
 * path, encoded again, with the query.
 */
#include <errno.h>
#include <string.h>

#include "conn/file/site.h"
#include "conn/http/service.h"

/* Encode a path, and the query after it, in the exchange's memory. */
static int
encode(struct torc_exchange *exchange, struct torc_slice path, bool rest,
    struct torc_slice *encoded)
{
	const struct torc_slice query = torc_exchange_query(exchange);
	char *text = torc_exchange_alloc(exchange, 3 * path.size +
	    query.size + 2);
	size_t size = 0;

	if (text == NULL)
		return -ENOMEM;
	if (rest)
		text[size++] = '/';
	size += torc_file_encode(path.data, path.size, text + size);
	if (rest && query.data != NULL) {
		text[size++] = '?';
		memcpy(text + size, query.data, query.size);
		size += query.size;
	}
	*encoded = (struct torc_slice) { (const uint8_t *)text, size };
	return 0;
}

int
torc_file_exchange(struct torc_exchange *exchange, void *key)
{
	struct torc_file_root *root = torc_reactor_data(torc_reactor_self(),
	    key);
	struct torc_http *http = torc_exchange_http(exchange);
	const struct torc_slice rest = torc_exchange_param(exchange, "path");
	struct torc_slice path = torc_exchange_path(exchange);
	struct torc_slice prefix, target, asked;
	int rc;

	if (root == NULL || http == NULL || rest.data == NULL)
		return -ENOENT;
	/* Without the slash before the rest. */
	torc_require(path.size > rest.size,
	    "torc_file_exchange() needs a route that ends in {path...}");
	path.size -= rest.size + 1;
	rc = encode(exchange, path, false, &prefix);
	if (rc == 0)
		rc = encode(exchange, rest, true, &target);
	if (rc < 0)
		return rc;
	asked = http->request.target;
	http->request.target = target;
	rc = torc_file_serve_below(root, http, prefix, TORC_NEVER);
	http->request.target = asked;
	return rc;
}
