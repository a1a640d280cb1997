/* SPDX-License-Identifier: MIT */
/*
 * cache.c - the cached files of a root.
 *
 * An entry is the result of one look at a path, and does not change. A look
 * that finds something else creates a new entry, which replaces the old one in
 * the table. An entry is pinned while it is used. Its descriptors and bodies
 * are freed when it is neither in the table nor pinned. One fiber at a time
 * looks at a path, and others that ask for it wait.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "conn/file/site.h"
#include "reactor/reactor.h"
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

/*
 * Create a pinned entry that is not in the table. Returns NULL if there is no
 * memory.
 */
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

/* ---- Use ---- */

static uint64_t
idle_at(const struct torc_file_root *root, const kept *entry)
{
	return entry->used_at + root->config.idle_ms * UINT64_C(1000000);
}

/*
 * Set the timer to when the least recently used entry has been idle for too
 * long.
 */
static void
await_idle(struct torc_file_root *root)
{
	const struct torc_node *node = root->used.ends.next;

	if (root->config.idle_ms == TORC_NO_LIMIT ||
	    torc_timer_armed(&root->timer) || torc_list_empty(&root->used))
		return;
	torc_timers_arm(&root->reactor->timers, &root->timer,
	    idle_at(root, torc_container(node, kept, node)));
}

static void
leave_lists(kept *entry)
{
	if (torc_node_linked(&entry->node))
		torc_list_remove(&entry->node);
	if (torc_node_linked(&entry->holder))
		torc_list_remove(&entry->holder);
}

static bool
has_descriptors(const kept *entry)
{
	bool has = false;

	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++)
		has |= entry->forms[i].fd >= 0;
	return has;
}

/* Mark an entry as used now. */
static void
touch(struct torc_file_root *root, kept *entry)
{
	leave_lists(entry);
	entry->used_at = torc_now();
	torc_list_append(&root->used, &entry->node);
	if (has_descriptors(entry))
		torc_list_append(&root->holders, &entry->holder);
	await_idle(root);
}

void
torc_file_let(struct torc_file_root *root, kept *entry)
{
	torc_assert(entry->pins > 0);
	entry->pins--;
	if (entry->pins == 0 && entry->listed &&
	    !torc_node_linked(&entry->node))
		touch(root, entry);
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
	leave_lists(entry);
	entry->listed = false;
	root->count--;
	drop_if_unused(root, entry);
}

/*
 * Forget the first entry of a list that is not in use. Entries in use are moved
 * to the end of the list. `offset` is the offset of the node in an entry.
 */
static bool
forget_first(struct torc_file_root *root, struct torc_list *from,
    size_t offset)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct torc_node *node = torc_list_take(from);
		kept *entry;

		if (node == NULL)
			return false;
		torc_list_append(from, node);
		entry = (kept *)(void *)((char *)node - offset);
		if (entry->pins == 0) {
			torc_file_unlist(root, entry);
			return true;
		}
	}
	return false;
}

bool
torc_file_evict(struct torc_file_root *root)
{
	return forget_first(root, &root->used, offsetof(kept, node));
}

unsigned
torc_file_spare(struct torc_file_root *root, unsigned want)
{
	const unsigned before = root->descriptors;

	while (before - root->descriptors < want &&
	    forget_first(root, &root->holders, offsetof(kept, holder)))
		;
	return before - root->descriptors;
}

/* Entries in use return to the list when they are released. */
void
torc_file_expire(struct torc_timer *timer)
{
	struct torc_file_root *root = torc_container(timer,
	    struct torc_file_root, timer);
	const uint64_t now = root->reactor->now;

	while (!torc_list_empty(&root->used)) {
		kept *entry = torc_container(root->used.ends.next, kept, node);

		if (idle_at(root, entry) > now)
			break;
		if (entry->pins > 0)
			leave_lists(entry);
		else
			torc_file_unlist(root, entry);
	}
	await_idle(root);
}

static void
list(struct torc_file_root *root, kept *entry)
{
	kept **bucket = bucket_of(root, entry->hash);

	while (root->count >= root->config.files_max && torc_file_evict(root))
		;
	entry->next = *bucket;
	*bucket = entry;
	touch(root, entry);
	entry->listed = true;
	root->count++;
}

/* Keep descriptors within the share of this root, except for those in use. */
static void
keep_share(struct torc_file_root *root)
{
	const unsigned share = torc_keeper_share();

	if (root->descriptors > share)
		torc_file_spare(root, root->descriptors - share);
}

/* ---- Looks ---- */

static bool
is_ours(int rc)
{
	return rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EAGAIN ||
	    rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

/* Mark a form that has the same date as the different version before it. */
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
 * Parks. Look at the path of an entry. If its file is not the one that the
 * entry holds, load it into `*news`.
 */
static int
look_again(struct torc_file_root *root, const kept *entry, bool first,
    kept *now, bool *news, torc_deadline deadline)
{
	const unsigned folder = torc_file_folder(entry->path);
	int rc = torc_file_turn_take(&root->turns, folder, deadline);

	if (rc < 0)
		return rc;
	root->looks++;
	rc = -EAGAIN;
	for (int i = 0; i < LOOK_TRIES && rc == -EAGAIN; i++) {
		drop_forms(root, now);
		rc = torc_file_look(root, now, deadline);
		*news = rc < 0 || first || !torc_file_holds(entry, now);
		if (rc == 0 && *news)
			rc = torc_file_load(root, now, deadline);
	}
	torc_file_turn_give(&root->turns, folder);
	if (rc < 0 || !*news)
		return rc;
	root->loads++;
	compare_dates(entry, now);
	return 0;
}

/*
 * Parks. Look at the path of a listed entry; no other fiber may be doing so.
 * Returns 0, and `*result` is pinned: the entry, or its replacement.
 */
static int
renew(struct torc_file_root *root, kept *entry, bool first, kept **result,
    torc_deadline deadline)
{
	kept *now = make(entry->path, entry->hash);
	bool news = true;
	int rc = now == NULL ? -ENOMEM :
	    look_again(root, entry, first, now, &news, deadline);

	entry->looking = false;
	/* Waiting fibers look themselves if only our deadline passed or only we
	 * were cancelled. */
	torc_wake_all(&entry->waiters, rc == -ETIMEDOUT ||
	    rc == -ECANCELED ? 0 : rc);
	if (news && (first || !is_ours(rc)))
		torc_file_unlist(root, entry);
	if (rc == 0 && news)
		list(root, now);
	if (rc == 0 && news && has_descriptors(now))
		keep_share(root);
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

/* Returns the listed entry of a path, pinned; or NULL if there is no memory. */
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
    torc_deadline deadline)
{
	int rc;

	for (;;) {
		bool first;
		kept *found = find_or_list(root, path, &first);

		if (found == NULL)
			return -ENOMEM;
		if (!first && !found->looking && is_fresh(root, found)) {
			touch(root, found);
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
