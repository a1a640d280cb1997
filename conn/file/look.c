/* SPDX-License-Identifier: MIT */
/*
 * look.c - looks at a path, and loads the forms of its file.
 *
 * Opening has effects: it wakes the writer of a FIFO, starts devices, and may
 * wait. So a look opens nothing (O_PATH), and only regular files are opened
 * after it. If something else has replaced the file meanwhile, the open does
 * not wait; the descriptor is looked at, and closed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define TRIES 8			/* to open what is being replaced */
#define SPARED 8u		/* descriptors, to open one */
#define MOMENT_MS 2		/* in which other reactors let go of some */
#define RECENT_S 2		/* a file that changed so late before a look may
				 * change again without showing it */
#define STEP (256u << 10)	/* of a body, read at once */
#define UNTOLD (64u << 10)	/* bytes that are read at first of a file that
				 * does not tell its size */
#define COARSE_S 2		/* of those without fractions of seconds */

#define CONFINED (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | \
	RESOLVE_NO_MAGICLINKS)

/* ---- Comparing ---- */

static bool
is_later(struct torc_file_time a, struct torc_file_time b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec :
	    a.tv_nsec > b.tv_nsec;
}

static bool
is_same(const struct torc_file_info *a, const struct torc_file_info *b)
{
	return a->inode == b->inode && a->device == b->device &&
	    a->size == b->size && a->mode == b->mode &&
	    !is_later(a->changed, b->changed) &&
	    !is_later(b->changed, a->changed) &&
	    !is_later(a->modified, b->modified) &&
	    !is_later(b->modified, a->modified);
}

bool
torc_file_changed_before(const struct torc_file_info *info,
    struct timespec moment)
{
	const struct torc_file_time at = { moment.tv_sec, moment.tv_nsec };
	struct torc_file_time latest = info->changed;

	if (latest.tv_nsec == 0)
		latest.tv_sec += COARSE_S;
	latest.tv_nsec += TORC_FILE_TICK_MS * 1000000;
	if (latest.tv_nsec >= 1000000000) {
		latest.tv_nsec -= 1000000000;
		latest.tv_sec++;
	}
	return is_later(at, latest);
}

bool
torc_file_holds(const struct torc_file_kept *old,
    const struct torc_file_kept *now)
{
	if (old->directory || now->directory)
		return old->directory == now->directory;
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++) {
		const struct torc_file_form *before = &old->forms[i];
		const struct torc_file_form *after = &now->forms[i];

		if (before->there != after->there || before->recent ||
		    before->untold ||
		    (after->there && !is_same(&before->info, &after->info)))
			return false;
	}
	return true;
}

/* ---- Looks ---- */

static void
close_form(struct torc_file_root *root, struct torc_file_form *form)
{
	if (form->fd < 0)
		return;
	torc_file_close(form->fd);
	form->fd = -1;
	root->descriptors--;
}

void
torc_file_form_drop(struct torc_file_root *root, struct torc_file_form *form)
{
	root->memory -= form->room;
	torc_sys_free(form->body);
	close_form(root, form);
	*form = (struct torc_file_form) { .fd = -1 };
}

/*
 * Parks. Returns 0 if an open that failed may succeed now, or else its error.
 */
static int
may_try_again(int error, torc_deadline deadline)
{
	int rc;

	switch (error) {
	case -EAGAIN:	/* something was renamed meanwhile */
	case -ESTALE:
		return 0;
	case -EMFILE:
	case -ENFILE:
		rc = torc_reclaim(SPARED);
		if (rc == -EAGAIN)
			rc = torc_sleep(torc_sooner(deadline,
			    torc_after_ms(MOMENT_MS)));
		else if (rc == 0)
			rc = error;
		return rc < 0 ? rc : 0;
	default:
		return error;
	}
}

/* Parks. */
static int
open_path(struct torc_file_root *root, const char *path, int flags,
    torc_deadline deadline)
{
	int rc = 0, fd = -EAGAIN;

	for (int i = 0; i < TRIES && fd < 0 && rc == 0; i++) {
		fd = torc_file_open(root->fd, path, flags, 0, CONFINED,
		    deadline);
		if (fd < 0)
			rc = may_try_again(fd, deadline);
	}
	return rc == -ECANCELED ? rc : fd;
}

/* Parks. Look at a path. */
static int
look_at_form(struct torc_file_root *root, struct torc_file_form *form,
    const char *path, torc_deadline deadline)
{
	int fd = open_path(root, path, O_PATH, deadline);
	int rc;

	if (fd < 0)
		return fd;
	rc = torc_file_stat(fd, &form->info, deadline);
	torc_file_close(fd);
	if (rc == 0 && !S_ISREG(form->info.mode) && !S_ISDIR(form->info.mode))
		rc = -EACCES;
	form->there = rc == 0;
	return rc;
}

/* Write the path of a form. */
static const char *
path_of(const struct torc_file_kept *entry, unsigned coding,
    char path[TORC_FILE_PATH_MAX + 64])
{
	static const char *const suffixes[] = { ".br", ".gz", "" };

	snprintf(path, TORC_FILE_PATH_MAX + 64, "%s%s", entry->path,
	    suffixes[coding]);
	return path;
}

/* A compressed form of an older file is not used. */
static bool
is_of_use(const struct torc_file_kept *entry, unsigned coding)
{
	const struct torc_file_form *form = &entry->forms[coding];

	return S_ISREG(form->info.mode) && !is_later(
	    entry->forms[TORC_FILE_PLAIN].info.modified, form->info.modified);
}

int
torc_file_look(struct torc_file_root *root, struct torc_file_kept *entry,
    torc_deadline deadline)
{
	struct torc_file_form *plain = &entry->forms[TORC_FILE_PLAIN];
	char path[TORC_FILE_PATH_MAX + 64];
	int rc;

	entry->looked_at = torc_now();
	torc_sys_file_time(&entry->seen);
	rc = look_at_form(root, plain, entry->path, deadline);
	if (rc < 0)
		return rc;
	entry->directory = S_ISDIR(plain->info.mode);
	for (unsigned i = 0; i < TORC_FILE_PLAIN && !entry->directory &&
	    root->config.precompressed; i++) {
		rc = look_at_form(root, &entry->forms[i],
		    path_of(entry, i, path), deadline);
		if (rc == -ETIMEDOUT || rc == -ECANCELED)
			return rc;
		entry->forms[i].there = rc == 0 && is_of_use(entry, i);
	}
	return 0;
}

/* ---- Loads ---- */

/*
 * Parks. Open what was a regular file at the look. Returns -EAGAIN if it is not
 * one now.
 */
static int
open_form(struct torc_file_root *root, struct torc_file_form *form,
    const char *path, torc_deadline deadline)
{
	int rc = open_path(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY,
	    deadline);

	if (rc < 0)
		return rc;
	form->fd = rc;
	root->descriptors++;
	rc = torc_file_stat(form->fd, &form->info, deadline);
	if (rc == 0 && !S_ISREG(form->info.mode))
		rc = -EAGAIN;
	/* Reads must wait for the disk, however. */
	return rc < 0 ? rc : torc_sys_set_blocking(form->fd);
}

/* Make room for a body by forgetting others. Returns false if there is none. */
static bool
take_room(struct torc_file_root *root, struct torc_file_form *form,
    uint64_t size)
{
	const uint64_t most = root->config.memory_max;

	if (size > root->config.body_max)
		return false;
	while (root->memory + size > most && torc_file_evict(root))
		;
	if (root->memory + size > most)
		return false;
	form->body = torc_sys_alloc(size > 0 ? (size_t)size : 1);
	if (form->body == NULL)
		return false;
	form->room = size;
	root->memory += size;
	return true;
}

static void
give_room(struct torc_file_root *root, struct torc_file_form *form)
{
	root->memory -= form->room;
	form->room = 0;
	torc_sys_free(form->body);
	form->body = NULL;
}

/*
 * Hash `size` more bytes. Only the last call may have a size that is not a
 * multiple of a word.
 */
static uint64_t
hash_on(uint64_t hash, const uint8_t *data, size_t size)
{
	uint64_t word;

	while (size > 0) {
		const size_t part = size < sizeof(word) ? size : sizeof(word);

		word = 0;
		memcpy(&word, data, part);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
		data += part;
		size -= part;
	}
	return hash;
}

/*
 * Parks. Read in steps, so that other fibers can run. Returns how many bytes
 * were read.
 */
static int64_t
read_body(struct torc_file_form *form, uint64_t size, torc_deadline deadline)
{
	uint64_t done = 0;

	form->hash = 0;
	while (done < size) {
		const uint64_t left = size - done;
		const size_t part = left < STEP ? (size_t)left : STEP;
		int64_t got = torc_file_read(form->fd, form->body + done,
		    part, done, deadline);

		if (got < 0)
			return got;
		form->hash = hash_on(form->hash, form->body + done,
		    (size_t)got);
		done += (uint64_t)got;
		if ((size_t)got < part)
			break;
	}
	return (int64_t)done;
}

/*
 * Parks. Read a whole file whose reported size is wrong, as in /proc and /sys.
 * Returns -EACCES if it is too large.
 */
static int
load_untold(struct torc_file_root *root, struct torc_file_form *form,
    torc_deadline deadline)
{
	int64_t got;

	form->untold = true;
	for (uint64_t room = UNTOLD; ; room *= 4) {
		if (!take_room(root, form, room))
			return -EACCES;
		got = read_body(form, room, deadline);
		if (got < 0)
			return (int)got;
		if ((uint64_t)got < room)
			break;
		give_room(root, form);
	}
	form->info.size = (uint64_t)got;
	return 0;
}

/* Parks. Find out whether an empty file really is empty. */
static int
is_empty(const struct torc_file_form *form, torc_deadline deadline)
{
	uint8_t byte;
	int64_t got = torc_file_read(form->fd, &byte, 1, 0, deadline);

	return got < 0 ? (int)got : got == 0;
}

/*
 * Parks. Handle a file whose size is not the reported one. Returns -EAGAIN if
 * it has changed.
 */
static int
load_again(struct torc_file_root *root, struct torc_file_form *form,
    torc_deadline deadline)
{
	struct torc_file_info info;
	int rc = torc_file_stat(form->fd, &info, deadline);

	if (rc < 0)
		return rc;
	if (!is_same(&info, &form->info))
		return -EAGAIN;
	give_room(root, form);
	return load_untold(root, form, deadline);
}

/*
 * Parks. Read a small file. Returns 0, or -EAGAIN if it was replaced meanwhile.
 */
static int
load_body(struct torc_file_root *root, struct torc_file_form *form,
    torc_deadline deadline)
{
	const uint64_t size = form->info.size;
	int64_t got;
	int rc = 0;

	if (!take_room(root, form, size))
		return 0;
	got = read_body(form, size, deadline);
	if (got < 0)
		return (int)got;
	if (size == 0)
		rc = is_empty(form, deadline);
	if ((uint64_t)got < size || (size == 0 && rc == 0))
		rc = load_again(root, form, deadline);
	if (rc < 0)
		return rc;
	close_form(root, form);
	return 0;
}

/* ---- What is said ---- */

/*
 * The inode, its size and the time of its last change distinguish two versions,
 * unless both are of the same tick of the file system's clock. A hash of the
 * bytes distinguishes them, too. If the bytes are not in memory, the tag is
 * weak until that tick is over.
 */
static void
make_tag(const struct torc_file_kept *entry, struct torc_file_form *form,
    unsigned coding)
{
	static const char *const suffixes[] = { "-br", "-gz", "" };
	const struct torc_file_info *info = &form->info;
	const bool weak = form->body == NULL &&
	    !torc_file_changed_before(info, entry->seen);
	char content[20] = "";

	if (form->body != NULL)
		snprintf(content, sizeof(content), "-%llx",
		    (unsigned long long)form->hash);
	snprintf(form->tag, sizeof(form->tag), "%s\"%llx-%llx-%llx.%lx%s%s\"",
	    weak ? "W/" : "", (unsigned long long)info->inode,
	    (unsigned long long)info->size,
	    (unsigned long long)info->changed.tv_sec,
	    (unsigned long)info->changed.tv_nsec, weak ? "-new" : content,
	    suffixes[coding]);
}

/* Parks. Load a form that was looked at: its body, and the fields about it. */
static int
load_form(struct torc_file_root *root, struct torc_file_kept *entry,
    unsigned coding, torc_deadline deadline)
{
	struct torc_file_form *form = &entry->forms[coding];
	const struct torc_file_info *info = &form->info;
	char path[TORC_FILE_PATH_MAX + 64];
	int rc = open_form(root, form, path_of(entry, coding, path), deadline);

	if (rc == 0)
		rc = load_body(root, form, deadline);
	if (rc < 0)
		return rc;
	form->recent = entry->seen.tv_sec - info->changed.tv_sec < RECENT_S;
	make_tag(entry, form, coding);
	if (!form->untold)
		torc_file_put_date(form->modified, info->modified.tv_sec);
	return 0;
}

int
torc_file_load(struct torc_file_root *root, struct torc_file_kept *entry,
    torc_deadline deadline)
{
	int rc = 0;

	if (entry->directory)
		return 0;
	/* The plain form first: its state decides about the others. */
	for (unsigned i = TORC_FILE_CODINGS; rc == 0 && i-- > 0; ) {
		struct torc_file_form *form = &entry->forms[i];

		if (!form->there)
			continue;
		rc = load_form(root, entry, i, deadline);
		if (i == TORC_FILE_PLAIN || rc == -ETIMEDOUT ||
		    rc == -ECANCELED)
			continue;
		if (rc < 0 || !is_of_use(entry, i))
			torc_file_form_drop(root, form);
		rc = 0;
	}
	return rc;
}
