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
#include <string.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define EVICT_TRIES 64		/* entries looked at to forget one */
#define LOOK_TRIES 8		/* at what changes while it is loaded */

typedef struct torc_file_kept kept;

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
drop_forms(struct torc_file_root *root, kept *entry)
{
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++)
		torc_file_form_drop(root, &entry->forms[i]);
}

static void
drop_if_unused(struct torc_file_root *root, kept *entry)
{
	if (entry->listed || entry->pins > 0)
		return;
	drop_forms(root, entry);
	torc_sys_free(entry);
}

void
torc_file_let(struct torc_file_root *root, kept *entry)
{
	torc_assert(entry->pins > 0);
	entry->pins--;
	drop_if_unused(root, entry);
}

void
torc_file_unlist(struct torc_file_root *root, kept *entry)
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

/* Those in use are used again. */
bool
torc_file_evict(struct torc_file_root *root)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct torc_node *node = torc_list_take(&root->used);
		kept *entry;

		if (node == NULL)
			return false;
		torc_list_append(&root->used, node);
		entry = torc_container(node, kept, node);
		if (entry->pins == 0) {
			torc_file_unlist(root, entry);
			return true;
		}
	}
	return false;
}

static void
list(struct torc_file_root *root, kept *entry)
{
	kept **bucket = bucket_of(root, entry->hash);

	while (root->count >= root->config.files_max && torc_file_evict(root))
		;
	entry->next = *bucket;
	*bucket = entry;
	torc_list_append(&root->used, &entry->node);
	entry->listed = true;
	root->count++;
}

/* ---- Looks ---- */

static bool
is_ours(int rc)
{
	return rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EAGAIN ||
	    rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

/* What was seen has the date of what was there before, and is not that. */
static void
compare_dates(const kept *old, kept *now)
{
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++) {
		const struct torc_file_form *before = &old->forms[i];
		struct torc_file_form *after = &now->forms[i];

		if (before->there && after->there &&
		    before->info.modified.tv_sec ==
		    after->info.modified.tv_sec)
			after->shared = before->shared ||
			    strcmp(before->tag, after->tag) != 0;
	}
}

/*
 * Parks. What is at the path of an entry now, loaded if it is another than the
 * entry holds: `*news`.
 */
static int
look_again(struct torc_file_root *root, const kept *entry, bool first,
    kept *now, bool *news, uint64_t deadline)
{
	int rc = -EAGAIN;

	root->looks++;
	for (int i = 0; i < LOOK_TRIES && rc == -EAGAIN; i++) {
		drop_forms(root, now);
		rc = torc_file_look(root, now, deadline);
		*news = rc < 0 || first || !torc_file_holds(entry, now);
		if (rc == 0 && *news)
			rc = torc_file_load(root, now, deadline);
	}
	if (rc < 0 || !*news)
		return rc;
	root->loads++;
	compare_dates(entry, now);
	return 0;
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
	bool news = true;
	int rc = now == NULL ? -ENOMEM :
	    look_again(root, entry, first, now, &news, deadline);

	entry->looking = false;
	/* Those that wait look again if the deadline or the cancel was ours. */
	torc_wake_all(&entry->waiters, rc == -ETIMEDOUT ||
	    rc == -ECANCELED ? 0 : rc);
	if (news && (first || !is_ours(rc)))
		torc_file_unlist(root, entry);
	if (rc == 0 && news)
		list(root, now);
	if (rc == 0 && !news) {
		entry->looked_at = now->looked_at;
		entry->seen = now->seen;
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
