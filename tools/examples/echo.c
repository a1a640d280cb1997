/* SPDX-License-Identifier: MIT */
/*
 * echo.c - send every byte back.
 */
#include <torc.h>

#include "cli.h"

static int
echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, torc_after_ms(60000)) > 0) {
		if (torc_conn_write(conn, in.data, in.size,
		    torc_after_ms(30000)) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	/* Returning sends what is staged, then FIN, and closes. */
	return TORC_CLOSE;
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = echo };

	return cli_serve(argc, argv, "Sends every byte back.", &config, NULL);
}
