/* SPDX-License-Identifier: MIT */
/*
 * connections.c - send each line back: a connection by hand.
 *
 *     connections [ADDRESS]
 *     echo hello | nc -N 127.0.0.1 7000
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <torc.h>

#define LINE_MOST 4096

static int
answer_lines(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	const uint8_t *end;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, torc_after_ms(60000))) > 0) {
		while ((end = memchr(in.data, '\n', in.size)) != NULL) {
			const size_t line = (size_t)(end - in.data) + 1;

			if (torc_conn_write(conn, in.data, line,
			    torc_after_ms(30000)) < 0)
				return -1;	/* reset */
			torc_conn_consume(conn, line);
			in.data += line;
			in.size -= line;
		}
		if (in.size > LINE_MOST)
			return -1;
	}
	/* The peer has sent FIN, or the server drains. */
	return rc == 0 || rc == -ESHUTDOWN ? TORC_CLOSE : -1;
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:7000", NULL
	};
	const struct torc_config config = {
		.listen = addresses,
		.handler = answer_lines,
	};
	struct torc_error error;

	if (torc_serve(&config, NULL, &error) == 0)
		return 0;
	fprintf(stderr, "connections: %s\n", error.text);
	return 1;
}
