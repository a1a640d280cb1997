/* SPDX-License-Identifier: MIT */
/*
 * files.c - a server of static files: ranges, conditional requests, index.html
 * for directories, and name.br or name.gz for clients that accept them.
 *
 *     cc -o files files.c cli.c $(pkg-config --cflags --libs torc-file)
 *     FILES_ROOT=/usr/share/doc ./files -l 127.0.0.1:8080
 *
 * Try it with: curl -i http://127.0.0.1:8080/bash/copyright
 */
#include <torc_file.h>
#include <torc_service.h>

#include <string.h>

#include "cli_service.h"

static int
start(struct torc_reactor *reactor, void *arg)
{
	struct torc_file_tree *tree = arg;
	int rc = torc_file_tree_open(reactor, tree);

	return rc < 0 ? cli_fail(rc, "FILES_ROOT: cannot open %s: %s",
	    tree->path, strerror(-rc)) : 0;
}

static void
stop(struct torc_reactor *reactor, void *tree)
{
	torc_file_tree_close(reactor, tree);
}

int
main(int argc, char **argv)
{
	const struct torc_file_config files = { .precompressed = true };
	struct torc_file_tree tree = {
		.path = cli_env("FILES_ROOT", "."), .config = &files,
	};
	const struct torc_config config = {
		.start = start, .stop = stop, .arg = &tree,
	};
	struct torc_routes *routes;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "*", "/{path...}", torc_file_exchange,
	    &tree.key);
	return cli_serve_routes(argc, argv, "Serves the files below "
	    "$FILES_ROOT (the current directory).", routes, NULL, &config);
}
