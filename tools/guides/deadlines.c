/* SPDX-License-Identifier: MIT */
/*
 * deadlines.c - ask three sources at once, and answer with what came in time.
 *
 *     deadlines [ADDRESS]
 *     nc -N 127.0.0.1 7000 </dev/null
 */
#include <stdio.h>
#include <torc.h>

#define SOURCES 3
#define ANSWER_MS 200u		/* for the whole of an answer */

struct source {
	unsigned takes_ms;	/* what a backend would need */
	int result;
};

/* Stands for a call of a client, which parks and has a deadline. */
static int
ask(void *arg)
{
	struct source *source = arg;

	source->result = torc_sleep(torc_after_ms(source->takes_ms));
	return source->result;
}

static int
answer(struct torc_conn *conn, void *arg)
{
	const torc_deadline deadline = torc_after_ms(ANSWER_MS);
	struct source sources[SOURCES] = {
		{ .takes_ms = 10 }, { .takes_ms = 50 }, { .takes_ms = 60000 },
	};
	struct torc_group group;
	unsigned in_time = 0;
	char text[64];
	int rc = 0;

	(void)arg;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	for (unsigned i = 0; i < SOURCES && rc == 0; i++)
		rc = torc_group_spawn(&group, ask, &sources[i], deadline);
	/* It cancels those that are late, and waits until they have ended. */
	torc_group_end(&group, NULL, deadline);
	for (unsigned i = 0; i < SOURCES && rc == 0; i++)
		in_time += sources[i].result == 0;
	if (rc < 0)
		return rc;
	rc = snprintf(text, sizeof(text), "%u of %d in time\n", in_time,
	    SOURCES);
	return torc_conn_write(conn, text, (size_t)rc, torc_after_ms(5000));
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:7000", NULL
	};
	const struct torc_config config = {
		.listen = addresses,
		.handler = answer,
	};
	struct torc_error error;

	if (torc_serve(&config, NULL, &error) == 0)
		return 0;
	fprintf(stderr, "deadlines: %s\n", error.text);
	return 1;
}
