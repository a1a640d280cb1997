/* SPDX-License-Identifier: MIT */
/*
 * stall.c - a torc server whose handler does what no handler may: it blocks
 * its thread, for as long as the program runs, once it has had a word.
 *
 * stall ADDRESS
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "conn/torc.h"

static int
block(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		for (;;)
			pause();
	}
	return TORC_CLOSE;
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = { argc > 1 ? argv[1] : NULL, NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = block,
		.reactors = 1,
	};
	struct torc_error error;

	prctl(PR_SET_NAME, "shop");
	if (torc_serve(&config, NULL, &error) == 0)
		return 0;
	fprintf(stderr, "stall: %s\n", error.text);
	return 1;
}
