/* SPDX-License-Identifier: MIT */
/*
 * tree.c - a tree of files, with a root on each reactor.
 */
#include "conn/file/site.h"
#include "reactor/reactor.h"

#define OPEN_MS 30000u		/* as the default of `look_ms` */

int
torc_file_tree_open_sized(struct torc_reactor *reactor,
    struct torc_file_tree *tree, size_t config_size)
{
	const struct torc_file_config *config = tree->config;
	const unsigned look_ms = config != NULL && config->look_ms != 0 ?
	    config->look_ms : OPEN_MS;
	struct torc_file_root *root;
	struct torc_error error;
	int rc = torc_file_root_open_sized(&root, tree->path, config,
	    config_size, &error, look_ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_after_ms(look_ms));

	if (rc < 0) {
		torc_reactor_notice(reactor, "%s", error.text);
		return rc;
	}
	rc = torc_reactor_set_data(reactor, &tree->key, root);
	if (rc < 0)
		torc_file_root_close(root);
	return rc;
}

void
torc_file_tree_close(struct torc_reactor *reactor, void *arg)
{
	struct torc_file_tree *tree = arg;
	struct torc_file_root *root = torc_reactor_data(reactor, &tree->key);

	if (root == NULL)
		return;
	torc_file_root_close(root);
	(void)torc_reactor_set_data(reactor, &tree->key, NULL);
}
