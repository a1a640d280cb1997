/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a server that sends every byte back.
 *
 *     cc -o echo echo.c cli.c $(pkg-config --cflags --libs torc)
 *     ./echo -l 127.0.0.1:7000
 *
 * Try it with: nc 127.0.0.1 7000
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
	/* Send what is left, then FIN, and close. */
	return TORC_CLOSE;
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = echo };

	return cli_serve(argc, argv, "Sends every byte back.", &config, NULL);
}
