/* SPDX-License-Identifier: MIT */
/*
 * torc_echo.c - an echo server that ends idle connections: what libuv_echo.c
 * does, on torc.
 *
 *     torc_echo [ADDRESS]
 */
#include <stdio.h>
#include <torc.h>

#define IDLE_MS 60000
#define WRITE_MS 30000

static int
echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, torc_after_ms(IDLE_MS))) > 0) {
		rc = torc_conn_write(conn, in.data, in.size,
		    torc_after_ms(WRITE_MS));
		if (rc < 0)
			break;
		torc_conn_consume(conn, in.size);
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:7000", NULL
	};
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo,
	};
	struct torc_error error;

	if (torc_serve(&config, NULL, &error) == 0)
		return 0;
	fprintf(stderr, "torc_echo: %s\n", error.text);
	return 1;
}
