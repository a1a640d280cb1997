/* SPDX-License-Identifier: MIT */
/*
 * quote.c - a client for a protocol of your own, in few lines: the answer to
 * the line "torc" is its price, "torc 4.09".
 *
 *     cc -o quote quote.c cli.c $(pkg-config --cflags --libs torc)
 *     ./quote -l 127.0.0.1:8080 -l 127.0.0.1:8081
 *
 * Try it with: echo torc | nc -N 127.0.0.1 8080
 *
 * On the other addresses the program is a server that knows the prices. On the
 * first one it asks such a server: that of $QUOTE_SERVER, or localhost:8081.
 */
#include <torc_client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define LINE_SIZE 64u
#define QUOTE_MS 500u	/* the longest time for an answer */

/*
 * Parks. Copy the next line, with its newline, to `line`. `in` has the bytes
 * that were received and not yet read; it is empty at first. Returns 0, or a
 * negative errno.
 */
static int
read_line(struct torc_conn *conn, struct torc_slice *in, char *line,
    torc_deadline deadline)
{
	const uint8_t *end;
	size_t size;

	while (in->size == 0 ||
	    (end = memchr(in->data, '\n', in->size)) == NULL) {
		int rc = torc_conn_recv(conn, in, deadline);

		if (rc <= 0)
			return rc < 0 ? rc : -EPIPE;
	}
	size = (size_t)(end - in->data) + 1;
	if (size >= LINE_SIZE)
		return -EMSGSIZE;
	memcpy(line, in->data, size);
	line[size] = '\0';
	torc_conn_consume(conn, size);
	*in = (struct torc_slice) { in->data + size, in->size - size };
	return 0;
}

/* ---- The client: one question ---- */

static const struct torc_key quotes_key = { "quotes" };

/* Parks. Ask for a price, which is then in `line`, after the name. */
static int
get_quote(const char *name, char *line, torc_deadline deadline)
{
	struct torc_pool *pool = torc_reactor_data(torc_reactor_self(),
	    &quotes_key);
	struct torc_slice in = { NULL, 0 };
	size_t size = strlen(name) - 1;
	void *conn;
	int rc = torc_pool_acquire(pool, &conn, deadline);

	if (rc < 0)
		return rc;
	rc = torc_conn_write(conn, name, size + 1, deadline);
	if (rc == 0)
		rc = read_line(conn, &in, line, deadline);
	/* Without the right answer, the connection is not used again. */
	if (rc == 0 && (strncmp(line, name, size) != 0 || line[size] != ' '))
		rc = -EPROTO;
	torc_pool_release(pool, conn, rc == 0 && in.size == 0);
	return rc;
}

/* ---- The program ---- */

static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = { NULL, 0 };
	char name[LINE_SIZE], line[2 * LINE_SIZE];
	int rc = 0;

	(void)arg;
	while (rc == 0 &&
	    read_line(conn, &in, name, torc_after_ms(60000)) == 0) {
		int size = (int)strlen(name) - 1;

		if (torc_conn_listener(conn) > 0)
			snprintf(line, sizeof(line), "%.*s %d.09\n", size,
			    name, size);
		else if (get_quote(name, line, torc_after_ms(QUOTE_MS)) < 0)
			snprintf(line, sizeof(line), "%.*s is not known now\n",
			    size, name);
		rc = torc_conn_write(conn, line, strlen(line),
		    torc_after_ms(60000));
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

/* Each reactor has its own pool of connections. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	struct torc_pool *pool;
	int rc = torc_pool_create(&pool, torc_conn_pool_kind(), arg, NULL,
	    NULL);

	return rc < 0 ? rc : torc_reactor_set_data(reactor, &quotes_key, pool);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	if (torc_reactor_data(reactor, &quotes_key) != NULL)
		torc_pool_destroy(
		    torc_reactor_data(reactor, &quotes_key), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = answer, .start = start,
		.stop = stop,
		.arg = (void *)cli_env("QUOTE_SERVER", "localhost:8081") };

	return cli_serve(argc, argv, "Tells the price of a name, after asking "
	    "a server.", &config, NULL);
}
