/*
 * root.c - roots: their configuration, their beginning and their end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn/file/site.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define BUCKETS_MAX 65536u
#define ROOTS_MAX 1024u		/* of a reactor: their timers must fit in */

/* How many roots a reactor has. */
static const struct torc_key roots_key = { "roots of files" };

/* NULL, or what is wrong with a configuration. */
static const char *
complete(struct torc_file_config *config)
{
	config->fresh_ms = config->fresh_ms != 0 ? config->fresh_ms : 1000;
	config->files_max = config->files_max != 0 ? config->files_max : 4096;
	config->look_ms = config->look_ms != 0 ? config->look_ms : 30000;
	config->idle_ms = config->idle_ms != 0 ? config->idle_ms : 10000;
	config->memory_max = config->memory_max != 0 ? config->memory_max :
	    64u << 20;
	config->body_max = config->body_max != 0 ? config->body_max : 2u << 20;
	config->ranges_max = config->ranges_max != 0 ? config->ranges_max : 16;
	if (config->index == NULL)
		config->index = "index.html";
	config->looks_max = config->looks_max != 0 ? config->looks_max : 48;
	if (config->looks_max > 1024)
		return "looks_max is 1 to 1024";
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

/* Its keeper's. */
static unsigned
spare(void *arg, unsigned want)
{
	return torc_file_spare(arg, want);
}

/* The number of roots, kept as the value of a key. 0 or a negative errno. */
static int
count_root(struct torc_reactor *reactor, int by)
{
	uintptr_t count = (uintptr_t)torc_reactor_get(reactor, &roots_key);

	if (by > 0 && count >= ROOTS_MAX)
		return -ENOBUFS;
	count += (uintptr_t)by;
	return torc_reactor_set(reactor, &roots_key, (void *)count);
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

static struct torc_file_root *
allocate(const struct torc_file_config *config)
{
	struct torc_file_root *root;

	torc_require(torc_fiber_self() != 0,
	    "a call that parks was made outside a fiber");
	root = torc_sys_alloc(sizeof(*root));
	if (root == NULL)
		return NULL;
	if (config != NULL)
		root->config = *config;
	torc_list_init(&root->used);
	torc_list_init(&root->holders);
	root->reactor = torc_reactor_self();
	root->timer.fire = torc_file_expire;
	root->keeper.reclaim = spare;
	root->keeper.arg = root;
	root->keeper.shares = true;
	return root;
}

static int
make_table(struct torc_file_root *root)
{
	root->bucket_count = 16;
	while (root->bucket_count < root->config.files_max &&
	    root->bucket_count < BUCKETS_MAX)
		root->bucket_count *= 2;
	root->buckets = torc_sys_alloc(root->bucket_count *
	    sizeof(*root->buckets));
	return root->buckets != NULL ? 0 : -ENOMEM;
}

/* Parks. What a root has besides its memory: all or nothing. */
static int
begin(struct torc_file_root *root, const char *path, uint64_t deadline)
{
	int rc = count_root(root->reactor, 1);

	if (rc < 0)
		return rc;
	rc = torc_file_open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, 0,
	    deadline);
	if (rc < 0)
		goto count;
	root->fd = rc;
	rc = await_tick(root, deadline);
	if (rc < 0)
		goto fd;
	torc_file_turns_init(root);
	torc_keeper_add(&root->keeper);
	return 0;

fd:
	torc_file_close(root->fd);
count:
	count_root(root->reactor, -1);
	return rc;
}

int
torc_file_root_open(struct torc_file_root **result, const char *path,
    const struct torc_file_config *config, char *text, size_t text_size,
    uint64_t deadline)
{
	struct torc_file_root *root = allocate(config);
	const char *wrong;
	int rc;

	if (root == NULL)
		return -ENOMEM;
	wrong = complete(&root->config);
	say(text, text_size, wrong != NULL ? wrong : "");
	rc = wrong != NULL ? -EINVAL : make_table(root);
	if (rc == 0)
		rc = begin(root, path, deadline);
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
	torc_timers_disarm(&root->reactor->timers, &root->timer);
	torc_keeper_remove(&root->keeper);
	count_root(root->reactor, -1);
	torc_file_close(root->fd);
	torc_sys_free(root->buckets);
	torc_sys_free(root);
}

void
torc_file_root_stats(const struct torc_file_root *root,
    struct torc_file_stats *stats)
{
	*stats = (struct torc_file_stats) {
		root->count, root->descriptors, root->memory, root->looks,
		root->loads,
	};
}
