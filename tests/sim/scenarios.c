/*
 * scenarios.c - what programs do, and what their peers do. One is a handler
 * or a fiber, the steps of its peers, and a row in the table at the end.
 */
#include "tests/sim/script.h"

#include <errno.h>
#include <string.h>

#define LATER torc_after_ms(100000)	/* more than anything takes here */

/* ---- Handlers ---- */

static int
echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* ---- Scripts of peers ---- */

static const struct step one_echo[] = {
	CONNECT(0), ECHO(100), FIN, AWAIT_FIN, END,
};

static const struct step long_echo[] = {
	CONNECT(0), ECHO(3000), ECHO(1), FIN, AWAIT_FIN, END,
};

const struct scenario scenarios[] = {
	{
		.name = "echo",
		.handler = echo,
		.scripts = { { one_echo, STREAM_OWN, 1 } },
	},
	{
		.name = "echo to several",
		.handler = echo,
		.scripts = { { one_echo, STREAM_OWN, 2 },
		    { long_echo, STREAM_OWN, 2 } },
	},
};

const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
