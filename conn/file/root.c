/* SPDX-License-Identifier: MIT */
/*
 * root.c - roots: their configuration, their beginning and their end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "conn/file/site.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define BUCKETS_MAX 65536u
#define ROOTS_MAX 1024u		/* of a reactor: their timers must fit in */
#define INDEX_MAX 255u		/* bytes of a name */

/* The key of how many roots a reactor has. */
static const struct torc_key roots_key = { "roots of files" };

#define FIELD(name) TORC_BOUND_FIELD(struct torc_file_config, name)

static const struct torc_bound bounds[] = {
	{ FIELD(fresh_ms), 1000, 1, TORC_NO_LIMIT, false },
	{ FIELD(look_ms), 30000, 1, TORC_NO_LIMIT, false },
	{ FIELD(looks_max), 48, 1, 1024, false },
	{ FIELD(idle_ms), 10000, 1, TORC_NO_LIMIT, false },
	{ FIELD(files_max), 4096, 1, 1048576, false },
	{ FIELD(ranges_max), 16, 1, TORC_FILE_RANGES_MAX, false },
};

/* ---- Configuration ---- */

static bool
is_field_value(const char *text)
{
	for (; *text != '\0'; text++) {
		if (((unsigned char)*text < 0x20 && *text != '\t') ||
		    *text == 0x7f)
			return false;
	}
	return true;
}

/*
 * Check the fields that are not unsigned. Returns 0; or -EINVAL, and `error`
 * says why.
 */
static int
check_others(struct torc_file_config *config, struct torc_error *error)
{
	if (config->memory_max == 0)
		config->memory_max = 64u << 20;
	if (config->body_max == 0)
		config->body_max = 2u << 20;
	if (config->index == NULL)
		config->index = "index.html";
	if (config->body_max > 1u << 30)
		return torc_error_set(error, -EINVAL, "body_max = %llu: must "
		    "be from 1 to 1073741824",
		    (unsigned long long)config->body_max);
	if (strlen(config->index) > INDEX_MAX ||
	    strchr(config->index, '/') != NULL)
		return torc_error_set(error, -EINVAL, "index = \"%s\": must "
		    "be a name of at most %u bytes", config->index, INDEX_MAX);
	if (config->cache_control != NULL &&
	    !is_field_value(config->cache_control))
		return torc_error_set(error, -EINVAL, "cache_control: must be "
		    "the value of a field, without control characters");
	return 0;
}

/* The strings of a configuration are the root's own. */
static int
copy_strings(struct torc_file_config *config, char **strings)
{
	const char *control = config->cache_control;
	const size_t index_size = strlen(config->index) + 1;
	const size_t control_size = control != NULL ? strlen(control) + 1 : 0;

	*strings = torc_sys_alloc(index_size + control_size);
	if (*strings == NULL)
		return -ENOMEM;
	memcpy(*strings, config->index, index_size);
	config->index = *strings;
	if (control != NULL) {
		memcpy(*strings + index_size, control, control_size);
		config->cache_control = *strings + index_size;
	}
	return 0;
}

static int
complete(struct torc_file_root *root, struct torc_error *error)
{
	int rc = torc_config_check(&root->config, bounds,
	    sizeof(bounds) / sizeof(bounds[0]), error);

	if (rc == 0)
		rc = check_others(&root->config, error);
	return rc < 0 ? rc : copy_strings(&root->config, &root->strings);
}

/* ---- Life ---- */

/* For the root's keeper. */
static unsigned
spare(unsigned want, void *arg)
{
	return torc_file_spare(arg, want);
}

/* Count roots in the value of a key. Returns 0 or a negative errno. */
static int
count_root(struct torc_reactor *reactor, int by)
{
	uintptr_t count = (uintptr_t)torc_reactor_data(reactor, &roots_key);

	if (by > 0 && count >= ROOTS_MAX)
		return -ENOBUFS;
	count += (uintptr_t)by;
	return torc_reactor_set_data(reactor, &roots_key, (void *)count);
}

/*
 * Parks. Wait for the clock of the file system, so that changes from now on
 * differ from earlier ones.
 */
static int
await_tick(struct torc_file_root *root, torc_deadline deadline)
{
	int rc = torc_sleep(torc_sooner(deadline,
	    torc_after_ms(TORC_FILE_TICK_MS + 1)));

	torc_sys_wall_time(&root->opened);
	return rc;
}

static struct torc_file_root *
allocate(void)
{
	struct torc_file_root *root;

	torc_require(torc_fiber_self() != 0,
	    "a call that parks was made outside a fiber");
	root = torc_sys_alloc(sizeof(*root));
	if (root == NULL)
		return NULL;
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

/*
 * Parks. Open what a root has besides its memory. After an error nothing is
 * open.
 */
static int
begin(struct torc_file_root *root, const char *path, torc_deadline deadline)
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

static void
release(struct torc_file_root *root)
{
	torc_sys_free(root->strings);
	torc_sys_free(root->buckets);
	torc_sys_free(root);
}

static int
say_root(struct torc_error *error, int rc, const char *path)
{
	if (rc == -ENOBUFS)
		return torc_error_set(error, rc, "root %s: the reactor has %u "
		    "roots already, or too many operations", path, ROOTS_MAX);
	return torc_error_set(error, rc, "root %s: %s", path, strerror(-rc));
}

int
torc_file_root_open_sized(struct torc_file_root **result, const char *path,
    const struct torc_file_config *config, size_t config_size,
    struct torc_error *error, torc_deadline deadline)
{
	struct torc_file_root *root = allocate();
	int rc;

	torc_error_clear(error);
	if (root == NULL)
		return say_root(error, -ENOMEM, path);
	rc = torc_config_take(&root->config, sizeof(root->config), config,
	    config_size, "torc_file_config", error);
	if (rc == 0)
		rc = complete(root, error);
	if (rc == -EINVAL) {
		release(root);
		return rc;
	}
	if (rc == 0)
		rc = make_table(root);
	if (rc == 0)
		rc = begin(root, path, deadline);
	if (rc < 0) {
		release(root);
		return say_root(error, rc, path);
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
		    "a root of files is closed while one of its files is used");
		torc_file_unlist(root, entry);
	}
	torc_timers_disarm(&root->reactor->timers, &root->timer);
	torc_keeper_remove(&root->keeper);
	count_root(root->reactor, -1);
	torc_file_close(root->fd);
	release(root);
}

void
torc_file_root_stats_read_sized(const struct torc_file_root *root,
    struct torc_file_stats *stats, size_t stats_size)
{
	const struct torc_file_stats now = {
		root->count, root->descriptors, root->memory, root->looks,
		root->loads,
	};

	torc_config_give(stats, stats_size, &now, sizeof(now));
}
