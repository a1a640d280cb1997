/*
 * look.c - what is at a path now, and what is said of it: the forms of a file,
 * looked at and loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define TRIES 8			/* to open or read what is being replaced */
#define RECENT_S 2		/* a file that changed so late before a look may
				 * change again without showing it */

#define CONFINED (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | \
	RESOLVE_NO_MAGICLINKS)

/* ---- Forms ---- */

void
torc_file_form_drop(struct torc_file_root *root, struct torc_file_form *form)
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
	    (rc == -EMFILE && torc_file_evict(root))); i++)
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
		torc_file_form_drop(root, form);
	return rc;
}

/* Parks. All forms of a path, as they are now. */
int
torc_file_look(struct torc_file_root *root, struct torc_file_kept *entry,
    uint64_t deadline)
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
			torc_file_form_drop(root, form);
	}
	return 0;
}

/* Whether there is room for a body: others make it. */
static bool
make_room(struct torc_file_root *root, uint64_t size)
{
	const uint64_t most = root->config.memory_max;

	while (root->memory + size > most && torc_file_evict(root))
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
int
torc_file_load(struct torc_file_root *root, struct torc_file_kept *entry,
    uint64_t deadline)
{
	int rc = 0;

	root->loads++;
	if (entry->directory) {
		torc_file_form_drop(root, &entry->forms[TORC_FILE_PLAIN]);
		return 0;
	}
	for (unsigned i = 0; rc == 0 && i < TORC_FILE_CODINGS; i++) {
		if (entry->forms[i].there)
			rc = load_form(root, &entry->forms[i], deadline);
	}
	return rc;
}

bool
torc_file_holds(const struct torc_file_kept *old,
    const struct torc_file_kept *now)
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
