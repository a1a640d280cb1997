/*
 * files.c - serves the files below the folder FILES_ROOT (or the current one)
 * over HTTP/1.1: index.html for a directory, ranges, conditions, and name.br
 * or name.gz for `name` where they are wanted. Try
 *
 *     FILES_ROOT=/usr/share/doc files -l 127.0.0.1:8080
 *     curl -i http://127.0.0.1:8080/bash/copyright
 */
#include <torc_file.h>
#include <torc_http.h>

#include <stdlib.h>

#include "cli.h"

static const struct torc_key root_key = { "files" };

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_file_root *root = torc_reactor_data(torc_reactor_self(),
	    &root_key);
	struct torc_http http;

	(void)arg;
	torc_http_open(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0 &&
	    torc_file_serve(root, &http, TORC_NEVER) == 0)
		;
	return torc_http_result(&http);
}

/* Each reactor keeps files of its own. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_file_config config = { .precompressed = true };
	struct torc_file_root *root;
	int rc = torc_file_root_open(&root, arg, &config, NULL,
	    torc_after_ms(5000));

	return rc < 0 ? rc : torc_reactor_set_data(reactor, &root_key, root);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	struct torc_file_root *root = torc_reactor_data(reactor, &root_key);

	(void)arg;
	if (root != NULL)
		torc_file_root_close(root);
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = serve, .start = start,
		.stop = stop, .arg = getenv("FILES_ROOT") };

	if (config.arg == NULL)
		config.arg = ".";
	return cli_serve(argc, argv, "Serves the files below a folder.",
	    &config, NULL);
}
