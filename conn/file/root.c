/*
 * root.c - roots: their configuration, their beginning and their end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define BUCKETS_MAX 65536u

/* NULL, or what is wrong with a configuration. */
static const char *
complete(struct torc_file_config *config)
{
	config->fresh_ms = config->fresh_ms != 0 ? config->fresh_ms : 1000;
	config->files_max = config->files_max != 0 ? config->files_max : 4096;
	config->memory_max = config->memory_max != 0 ? config->memory_max :
	    64u << 20;
	config->body_max = config->body_max != 0 ? config->body_max : 2u << 20;
	config->ranges_max = config->ranges_max != 0 ? config->ranges_max : 16;
	if (config->index == NULL)
		config->index = "index.html";
	if (config->files_max > 1u << 20)
		return "files_max is 1 to 1048576";
	if (config->body_max > 1u << 30)
		return "body_max is 1 to 2^30";
	if (config->ranges_max > TORC_FILE_RANGES_MAX)
		return "ranges_max is 1 to 64";
	if (strlen(config->index) > 255 || strchr(config->index, '/') != NULL)
		return "index is a name of at most 255 bytes";
	return NULL;
}

static void
say(char *text, size_t size, const char *what)
{
	if (text != NULL)
		snprintf(text, size, "%s", what);
}

/*
 * Parks. Let the clock of the file system go on, so that what changes from now
 * on is told from what has changed before.
 */
static int
await_tick(struct torc_file_root *root, uint64_t deadline)
{
	const uint64_t until = torc_after_ms(TORC_FILE_TICK_MS + 1);
	int rc = torc_sleep(until < deadline ? until : deadline);

	clock_gettime(CLOCK_REALTIME, &root->opened);
	return rc;
}

int
torc_file_root_open(struct torc_file_root **result, const char *path,
    const struct torc_file_config *config, char *text, size_t text_size,
    uint64_t deadline)
{
	struct torc_file_root *root = torc_sys_alloc(sizeof(*root));
	const char *wrong;
	int rc = -ENOMEM;

	if (root == NULL)
		return rc;
	if (config != NULL)
		root->config = *config;
	wrong = complete(&root->config);
	say(text, text_size, wrong != NULL ? wrong : "");
	torc_list_init(&root->used);
	root->bucket_count = 16;
	while (root->bucket_count < root->config.files_max &&
	    root->bucket_count < BUCKETS_MAX)
		root->bucket_count *= 2;
	if (wrong == NULL)
		root->buckets = torc_sys_alloc(root->bucket_count *
		    sizeof(*root->buckets));
	else
		rc = -EINVAL;
	if (root->buckets != NULL)
		rc = torc_file_open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, 0,
		    deadline);
	if (rc >= 0) {
		root->fd = rc;
		rc = await_tick(root, deadline);
		if (rc < 0)
			torc_file_close(root->fd);
	}
	if (rc < 0) {
		torc_sys_free(root->buckets);
		torc_sys_free(root);
		return rc;
	}
	*result = root;
	return 0;
}

void
torc_file_root_close(struct torc_file_root *root)
{
	struct torc_node *node;

	while ((node = root->used.ends.next) != &root->used.ends) {
		struct torc_file_kept *entry = torc_container(node,
		    struct torc_file_kept, node);

		torc_require(entry->pins == 0,
		    "a root of files is closed while one of them is used");
		torc_file_unlist(root, entry);
	}
	torc_file_close(root->fd);
	torc_sys_free(root->buckets);
	torc_sys_free(root);
}

void
torc_file_root_stats(const struct torc_file_root *root,
    struct torc_file_stats *stats)
{
	*stats = (struct torc_file_stats) {
		root->count, root->memory, root->looks, root->loads,
	};
}
