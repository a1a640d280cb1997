/* SPDX-License-Identifier: MIT */
/*
 * site.h - what the files of conn/file share: the functions that parse a
 * request, which do no I/O and allocate nothing, and the cached files.
 */
#ifndef TORC_FILE_SITE_H
#define TORC_FILE_SITE_H

#include <time.h>

#include "conn/file/torc_file.h"
#include "conn/http/torc_http.h"
#include "reactor/list.h"
#include "reactor/timers.h"

struct io_uring_sqe;

/* ---- file.c ---- */

/* Parks. Run one operation to its end, as torc_op_await(). */
int torc_file_await(const struct io_uring_sqe *sqe, torc_deadline deadline);

/* ---- target.c ---- */

#define TORC_FILE_PATH_MAX 1024u

struct torc_file_target {
	char path[TORC_FILE_PATH_MAX];	/* relative, ended by NUL: "a/b", or
					 * "." for the root */
	size_t size;
	bool directory;		/* it ended with a slash */
	struct torc_slice query;	/* with its '?', or empty */
};

/*
 * Split the target of a request: percent-decoded once, without "." and ".." and
 * empty segments. Returns 0, or the status that refuses it: 400 if it is
 * malformed or leads above the root; 404 if no file is served by such a name:
 * it has a backslash or an encoded slash, is too long, or is hidden (unless
 * `hidden`).
 */
unsigned torc_file_target(struct torc_file_target *target,
    struct torc_slice text, bool hidden);

/*
 * Percent-encode a path into at most three times its bytes. Returns how many.
 */
size_t torc_file_encode(const void *path, size_t size, char *to);

/* Room for the path of a target when each of its bytes is encoded. */
#define TORC_FILE_LOCATION_MAX (3 * TORC_FILE_PATH_MAX + 3)

/*
 * Write its path as the path of a URL, with a slash at the end. Returns how
 * many bytes.
 */
size_t torc_file_location(const struct torc_file_target *target,
    char location[TORC_FILE_LOCATION_MAX]);

/* Returns the Content-Type of a path, by the text after its last dot. */
const char *torc_file_type(const char *path);

/* ---- range.c ---- */

#define TORC_FILE_RANGES_MAX 64u

struct torc_file_range {
	uint64_t first;
	uint64_t size;		/* at least 1 */
};

/*
 * Read a Range field for a file of `size` bytes. Returns how many ranges there
 * are; 0 if the whole file must be sent (another unit; more than `most` ranges;
 * more bytes in all than the file has; more than two ranges that overlap
 * others; the beginning or the end of an empty file); -ERANGE for 416.
 */
int torc_file_ranges(struct torc_file_range *ranges, unsigned most,
    struct torc_slice value, uint64_t size);

/* ---- date.c ---- */

#define TORC_FILE_DATE 30	/* bytes of a date, with a NUL */

/*
 * Read a date in any of the three forms. Returns false if the text is not a
 * date.
 */
bool torc_file_date(struct torc_slice text, int64_t *seconds);

/*
 * Write a date in the current form. Returns false, and the text is empty, if
 * its year does not have four digits.
 */
bool torc_file_put_date(char text[TORC_FILE_DATE], int64_t seconds);

/* ---- condition.c ---- */

/* What conditions compare with. */
struct torc_file_validator {
	struct torc_slice tag;		/* may be weak */
	int64_t modified;		/* seconds; not in the future */
	bool dated;		/* `modified` means something */
	bool shared;		/* another version is known that had the same
				 * date */
	bool exact;		/* no other version can have had it: the file
				 * has not changed since the root was opened */
};

/*
 * Returns whether a list of entity tags contains this one, or is "*". `weakly`:
 * use the weak comparison, which ignores whether a tag is weak.
 */
bool torc_file_tagged(struct torc_slice list, struct torc_slice tag,
    bool weakly);

/*
 * Returns how many fields have this name, and sets the value of the last one. A
 * field that is not a list, and is there twice, has no meaning.
 */
unsigned torc_file_only(const struct torc_http_head *request,
    const char *name, struct torc_slice *value);

/* Check the conditions of a request. Returns 200 to go on, 304 or 412. */
unsigned torc_file_condition(const struct torc_http_head *request,
    const struct torc_file_validator *file);

/* Returns whether the Range field counts: If-Range does not exclude it. */
bool torc_file_range_counts(const struct torc_http_head *request,
    const struct torc_file_validator *file);

/* ---- coding.c ---- */

/* Forms of a file. If a client likes two equally, the first one is used. */
enum torc_file_coding {
	TORC_FILE_BR,
	TORC_FILE_GZIP,
	TORC_FILE_PLAIN,
	TORC_FILE_CODINGS
};

/*
 * Find out how much a client wants each form: 0 (not at all) to 1000. Without
 * an Accept-Encoding field, it wants only the plain form.
 */
void torc_file_codings(unsigned wanted[TORC_FILE_CODINGS],
    const struct torc_http_head *request);

/*
 * Returns the next element of a list of tokens, without white space around it.
 */
bool torc_file_element(struct torc_slice *list, struct torc_slice *element);

/* ---- turn.c ---- */

#define TORC_FILE_FOLDERS 64u

/* Those in the root itself, by their names: some share one. */
struct torc_file_folder {
	unsigned taken;
	struct torc_waiters waiters;
};

struct torc_file_turns {
	unsigned most;
	unsigned most_together;		/* of one folder */
	unsigned taken;
	struct torc_waiters waiters;
	struct torc_file_folder folders[TORC_FILE_FOLDERS];
};

/* Call this on the root's reactor, which must have run an operation before. */
void torc_file_turns_init(struct torc_file_root *root);
/* Returns the number of the folder in the root that a path leads through. */
unsigned torc_file_folder(const char *path);
/* Parks. Wait for a turn. After a negative errno there is none. */
int torc_file_turn_take(struct torc_file_turns *turns, unsigned folder,
    torc_deadline deadline);
void torc_file_turn_give(struct torc_file_turns *turns, unsigned folder);

/* ---- transfer.c ---- */

/*
 * Parks. As torc_file_send(), for a file below a folder of a root. Reads wait
 * for their turn.
 */
int torc_file_transfer(struct torc_conn *conn, int fd,
    struct torc_file_range range, struct torc_file_turns *turns,
    unsigned folder, torc_deadline deadline);

/* ---- cache.c ---- */

/* One form of a file, as it was when it was looked at. */
struct torc_file_form {
	bool there;
	bool recent;		/* a change may have been too soon to show */
	bool shared;		/* another version had the same date */
	bool untold;		/* the file system does not tell its size */
	int fd;			/* -1 if there is a body */
	uint8_t *body;		/* of info.size bytes, or NULL */
	uint64_t room;		/* bytes of the body's memory */
	uint64_t hash;		/* of its bytes */
	struct torc_file_info info;
	char tag[96];		/* with quotes */
	char modified[TORC_FILE_DATE];	/* or empty */
};

/* What is at a path. Pinned while it is used; see torc_file_get(). */
struct torc_file_kept {
	struct torc_node node;		/* the least recently used first; not
					 * linked while it is in use for long */
	struct torc_node holder;	/* the same for entries with
				 * descriptors */
	uint64_t used_at;
	struct torc_file_kept *next;	/* in its bucket */
	struct torc_waiters waiters;	/* for the fiber that looks */
	uint64_t hash;
	uint64_t looked_at;	/* when the last look at it began ... */
	struct timespec seen;	/* ... and in real time */
	unsigned pins;
	bool listed;		/* in the table */
	bool looking;		/* a fiber looks at it */
	bool directory;
	struct torc_file_form forms[TORC_FILE_CODINGS];
	char path[];
};

struct torc_file_root {
	struct torc_file_config config;
	char *strings;		/* of the configuration */
	int fd;
	struct timespec opened;	/* in real time: nothing was served before */
	uint64_t memory;	/* bytes of all bodies */
	unsigned descriptors;	/* of all forms */
	unsigned count;		/* entries in the table */
	uint64_t looks;
	uint64_t loads;
	unsigned bucket_count;	/* a power of two */
	struct torc_file_kept **buckets;
	struct torc_list used;
	struct torc_list holders;
	struct torc_reactor *reactor;
	struct torc_timer timer;	/* something was not used for long */
	struct torc_file_turns turns;
	struct torc_keeper keeper;
};

/*
 * Parks. Get the entry of a path, no older than `fresh_ms`. Returns 0, and
 * `*entry` is pinned until torc_file_let(); or a negative errno.
 */
int torc_file_get(struct torc_file_root *root, const char *path,
    struct torc_file_kept **entry, torc_deadline deadline);
void torc_file_let(struct torc_file_root *root,
    struct torc_file_kept *entry);

/* Take an entry out of the table. */
void torc_file_unlist(struct torc_file_root *root,
    struct torc_file_kept *entry);

/*
 * Forget the least recently used entry. Returns false if all are in use, or
 * seem to be.
 */
bool torc_file_evict(struct torc_file_root *root);

/* Close up to so many descriptors of unused files. Returns how many. */
unsigned torc_file_spare(struct torc_file_root *root, unsigned want);

/* Forget what was not used for `idle_ms`. A timer's function. */
void torc_file_expire(struct torc_timer *timer);

/* ---- look.c ---- */

/* Parks. Look at all forms of an entry's path. None is opened. */
int torc_file_look(struct torc_file_root *root, struct torc_file_kept *entry,
    torc_deadline deadline);

/*
 * Parks. Load the forms that were looked at: their bodies, and the fields about
 * them. Returns -EAGAIN if a file was replaced meanwhile.
 */
int torc_file_load(struct torc_file_root *root, struct torc_file_kept *entry,
    torc_deadline deadline);

/* Returns whether the loaded file is the one that was seen just now. */
bool torc_file_holds(const struct torc_file_kept *old,
    const struct torc_file_kept *now);

/* The longest tick of the clocks of most file systems. */
#define TORC_FILE_TICK_MS 10

/*
 * Returns whether the last change of a file was certainly before that moment.
 */
bool torc_file_changed_before(const struct torc_file_info *info,
    struct timespec moment);

/* Release what a form holds. */
void torc_file_form_drop(struct torc_file_root *root,
    struct torc_file_form *form);

/* ---- serve.c ---- */

/*
 * Parks. As torc_file_serve(), for a target that the client knows with a prefix
 * before it, percent-encoded.
 */
int torc_file_serve_below(struct torc_file_root *root, struct torc_http *http,
    struct torc_slice prefix, torc_deadline deadline);

#endif
