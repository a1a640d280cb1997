/*
 * cache.c - the files of a root that are kept.
 *
 * An entry is what one look at a path found, and does not change afterwards:
 * a look that finds something else makes a new entry, which takes its place in
 * the table. Who uses an entry has it pinned; its descriptors and bodies go
 * when it is neither in the table nor pinned. One fiber at a time looks at a
 * path, and the others that ask for it wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define BUCKETS_MAX 65536u
#define TRIES 8			/* to open or read what is being replaced */
#define EVICT_TRIES 64		/* entries looked at to forget one */
#define RECENT_S 2		/* a file that changed so late before a look may
				 * change again without showing it */

#define CONFINED (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | \
	RESOLVE_NO_MAGICLINKS)

typedef struct torc_file_kept kept;

/* ---- Forms ---- */

static void
drop_form(struct torc_file_root *root, struct torc_file_form *form)
{
	if (form->body != NULL) {
		root->memory -= form->info.size;
		torc_sys_free(form->body);
		form->body = NULL;
	}
	if (form->fd >= 0)
		torc_file_close(form->fd);
	form->fd = -1;
	form->there = false;
}

static bool
is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec :
	    a.tv_nsec > b.tv_nsec;
}

static bool
is_same(const struct torc_file_form *a, const struct torc_file_form *b)
{
	return a->there == b->there && (!a->there ||
	    (a->info.inode == b->info.inode &&
	    a->info.device == b->info.device &&
	    a->info.size == b->info.size && a->info.mode == b->info.mode &&
	    !is_later(a->info.changed, b->info.changed) &&
	    !is_later(b->info.changed, a->info.changed) &&
	    !is_later(a->info.modified, b->info.modified) &&
	    !is_later(b->info.modified, a->info.modified)));
}

/* ---- Entries ---- */

static uint64_t
hash_of(const char *path)
{
	uint64_t hash = 14695981039346656037u;	/* FNV-1a */

	while (*path != '\0')
		hash = (hash ^ (uint8_t)*path++) * 1099511628211u;
	return hash ^ hash >> 32;
}

static kept **
bucket_of(struct torc_file_root *root, uint64_t hash)
{
	return &root->buckets[hash & (root->bucket_count - 1)];
}

static kept *
find(struct torc_file_root *root, const char *path, uint64_t hash)
{
	kept *entry = *bucket_of(root, hash);

	while (entry != NULL && (entry->hash != hash ||
	    strcmp(entry->path, path) != 0))
		entry = entry->next;
	return entry;
}

/* A new entry, pinned, not in the table. NULL: no memory. */
static kept *
make(const char *path, uint64_t hash)
{
	const size_t size = strlen(path) + 1;
	kept *entry = torc_sys_alloc(sizeof(*entry) + size);

	if (entry == NULL)
		return NULL;
	entry->hash = hash;
	entry->pins = 1;
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++)
		entry->forms[i].fd = -1;
	memcpy(entry->path, path, size);
	return entry;
}

static void
drop_if_unused(struct torc_file_root *root, kept *entry)
{
	if (entry->listed || entry->pins > 0)
		return;
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++)
		drop_form(root, &entry->forms[i]);
	torc_sys_free(entry);
}

void
torc_file_let(struct torc_file_root *root, kept *entry)
{
	torc_assert(entry->pins > 0);
	entry->pins--;
	drop_if_unused(root, entry);
}

static void
unlist(struct torc_file_root *root, kept *entry)
{
	kept **at = bucket_of(root, entry->hash);

	if (!entry->listed)
		return;
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	torc_list_remove(&entry->node);
	entry->listed = false;
	root->count--;
	drop_if_unused(root, entry);
}

/*
 * Forget the entry that was used least recently; those in use are used again.
 * False: they are all in use, or seem to be.
 */
static bool
evict(struct torc_file_root *root)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct torc_node *node = torc_list_take(&root->used);
		kept *entry;

		if (node == NULL)
			return false;
		torc_list_append(&root->used, node);
		entry = torc_container(node, kept, node);
		if (entry->pins == 0) {
			unlist(root, entry);
			return true;
		}
	}
	return false;
}

static void
list(struct torc_file_root *root, kept *entry)
{
	kept **bucket = bucket_of(root, entry->hash);

	while (root->count >= root->config.files_max && evict(root))
		;
	entry->next = *bucket;
	*bucket = entry;
	torc_list_append(&root->used, &entry->node);
	entry->listed = true;
	root->count++;
}

/* ---- Looks ---- */

/* Parks. A file as it is now: open, and not read yet. */
static int
look_at_form(struct torc_file_root *root, struct torc_file_form *form,
    const char *path, uint64_t deadline)
{
	int rc = -EAGAIN;

	/* -EAGAIN: something was renamed meanwhile. A FIFO is not waited for,
	 * since it is not served anyway. */
	for (int i = 0; i < TRIES && (rc == -EAGAIN ||
	    (rc == -EMFILE && evict(root))); i++)
		rc = torc_file_open(root->fd, path,
		    O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, CONFINED, deadline);
	if (rc < 0)
		return rc;
	form->fd = rc;
	form->there = true;
	rc = torc_file_stat(form->fd, &form->info, deadline);
	/* Reads are to wait for the disk, though. */
	if (rc == 0 && S_ISREG(form->info.mode))
		rc = torc_sys_set_blocking(form->fd);
	else if (rc == 0 && !S_ISDIR(form->info.mode))
		rc = -EACCES;
	if (rc < 0)
		drop_form(root, form);
	return rc;
}

/* Parks. All forms of a path, as they are now. */
static int
look(struct torc_file_root *root, kept *entry, uint64_t deadline)
{
	static const char *const suffixes[] = { ".br", ".gz" };
	struct torc_file_form *plain = &entry->forms[TORC_FILE_PLAIN];
	char path[TORC_FILE_PATH_MAX + 64];
	int rc;

	root->looks++;
	entry->looked_at = torc_now();
	rc = look_at_form(root, plain, entry->path, deadline);
	if (rc < 0)
		return rc;
	entry->directory = S_ISDIR(plain->info.mode);
	for (unsigned i = 0; i < TORC_FILE_PLAIN && !entry->directory &&
	    root->config.precompressed; i++) {
		struct torc_file_form *form = &entry->forms[i];

		snprintf(path, sizeof(path), "%s%s", entry->path, suffixes[i]);
		rc = look_at_form(root, form, path, deadline);
		if (rc == -ETIMEDOUT || rc == -ECANCELED)
			return rc;
		/* One that was made of an older file is not that file. */
		if (rc == 0 && (!S_ISREG(form->info.mode) ||
		    is_later(plain->info.modified, form->info.modified)))
			drop_form(root, form);
	}
	return 0;
}

/* Whether there is room for a body: others make it. */
static bool
make_room(struct torc_file_root *root, uint64_t size)
{
	const uint64_t most = root->config.memory_max;

	while (root->memory + size > most && evict(root))
		;
	return root->memory + size <= most;
}

/* Parks. Read a small file. 0, or -EAGAIN if it is another one by now. */
static int
load_body(struct torc_file_root *root, struct torc_file_form *form,
    uint64_t deadline)
{
	const uint64_t size = form->info.size;
	uint8_t *body;
	int64_t got;

	if (size > root->config.body_max || !make_room(root, size))
		return 0;
	body = torc_sys_alloc(size > 0 ? (size_t)size : 1);
	if (body == NULL)
		return 0;
	root->memory += size;
	form->body = body;
	got = torc_file_read(form->fd, body, (size_t)size, 0, deadline);
	if (got < 0)
		return (int)got;
	if ((uint64_t)got < size)
		return -EAGAIN;
	torc_file_close(form->fd);
	form->fd = -1;
	return 0;
}

/* Parks. What is to be said of a form, and its body. */
static int
load_form(struct torc_file_root *root, struct torc_file_form *form,
    uint64_t deadline)
{
	const struct torc_file_info *info = &form->info;
	struct timespec now;
	struct tm when;

	clock_gettime(CLOCK_REALTIME, &now);
	form->recent = now.tv_sec - info->changed.tv_sec < RECENT_S;
	snprintf(form->tag, sizeof(form->tag), "\"%llx.%lx-%llx\"",
	    (unsigned long long)info->modified.tv_sec,
	    (unsigned long)info->modified.tv_nsec,
	    (unsigned long long)info->size);
	form->modified[0] = '\0';
	if (gmtime_r(&info->modified.tv_sec, &when) != NULL)
		strftime(form->modified, sizeof(form->modified),
		    "%a, %d %b %Y %H:%M:%S GMT", &when);
	return load_body(root, form, deadline);
}

/* Parks. */
static int
load(struct torc_file_root *root, kept *entry, uint64_t deadline)
{
	int rc = 0;

	root->loads++;
	if (entry->directory) {
		drop_form(root, &entry->forms[TORC_FILE_PLAIN]);
		return 0;
	}
	for (unsigned i = 0; rc == 0 && i < TORC_FILE_CODINGS; i++) {
		if (entry->forms[i].there)
			rc = load_form(root, &entry->forms[i], deadline);
	}
	return rc;
}

static bool
still_holds(const kept *old, const kept *now)
{
	if (old->directory || now->directory)
		return old->directory == now->directory;
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++) {
		if (old->forms[i].recent ||
		    !is_same(&old->forms[i], &now->forms[i]))
			return false;
	}
	return true;
}

/* Errors that tell nothing about the file. */
static bool
is_ours(int rc)
{
	return rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EAGAIN ||
	    rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

/*
 * Parks. Look at the path of a listed entry that nobody else looks at. 0, and
 * `*result` is pinned: the entry, or the one that has its place now.
 */
static int
renew(struct torc_file_root *root, kept *entry, bool first, kept **result,
    uint64_t deadline)
{
	kept *now = make(entry->path, entry->hash);
	int rc = now != NULL ? look(root, now, deadline) : -ENOMEM;
	bool news = true;

	if (rc == 0 && !first && still_holds(entry, now))
		news = false;
	else if (rc == 0)
		rc = load(root, now, deadline);
	entry->looking = false;
	/* Who waits looks again if the deadline or the cancel was ours. */
	torc_wake_all(&entry->waiters, rc == -ETIMEDOUT ||
	    rc == -ECANCELED ? 0 : rc);
	if (news && (first || !is_ours(rc)))
		unlist(root, entry);
	if (rc == 0 && news)
		list(root, now);
	if (rc == 0 && !news) {
		entry->looked_at = now->looked_at;
		entry->pins++;
	}
	*result = news ? now : entry;
	if (now != NULL && (rc < 0 || !news))
		torc_file_let(root, now);
	return rc;
}

static bool
is_fresh(const struct torc_file_root *root, const kept *entry)
{
	return torc_now() - entry->looked_at <
	    root->config.fresh_ms * UINT64_C(1000000);
}

/* The listed entry of a path, pinned. NULL: no memory. */
static kept *
find_or_list(struct torc_file_root *root, const char *path, bool *first)
{
	const uint64_t hash = hash_of(path);
	kept *entry = find(root, path, hash);

	*first = entry == NULL;
	if (entry != NULL) {
		entry->pins++;
		return entry;
	}
	entry = make(path, hash);
	if (entry != NULL)
		list(root, entry);
	return entry;
}

int
torc_file_get(struct torc_file_root *root, const char *path, kept **entry,
    uint64_t deadline)
{
	int rc;

	for (;;) {
		bool first;
		kept *found = find_or_list(root, path, &first);

		if (found == NULL)
			return -ENOMEM;
		if (!first && !found->looking && is_fresh(root, found)) {
			torc_list_remove(&found->node);
			torc_list_append(&root->used, &found->node);
			*entry = found;
			return 0;
		}
		if (!found->looking) {
			found->looking = true;
			rc = renew(root, found, first, entry, deadline);
			torc_file_let(root, found);
			return rc;
		}
		rc = torc_wait(&found->waiters, deadline);
		torc_file_let(root, found);
		if (rc < 0)
			return rc;
	}
}

/* ---- Roots ---- */

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
	if (rc < 0) {
		torc_sys_free(root->buckets);
		torc_sys_free(root);
		return rc;
	}
	root->fd = rc;
	*result = root;
	return 0;
}

void
torc_file_root_close(struct torc_file_root *root)
{
	struct torc_node *node;

	while ((node = root->used.ends.next) != &root->used.ends) {
		kept *entry = torc_container(node, kept, node);

		torc_require(entry->pins == 0,
		    "a root of files is closed while one of them is used");
		unlist(root, entry);
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
