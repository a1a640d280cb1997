/* SPDX-License-Identifier: MIT */
/*
 * torc_file.h - files for fibers: operations on the ring, transfers of files
 * to connections, and a tree of files that is served over HTTP.
 *
 * The conventions of torc.h hold. A file is its descriptor, which is closed
 * when a program is executed. Positions are always given: a file's own one is
 * neither used nor moved.
 *
 * An operation that has to wait for a disk is done by a thread of the kernel's.
 * What such a thread is in the middle of cannot always be given up: then
 * -ETIMEDOUT and -ECANCELED come late, but the operation is over.
 *
 * A ring has four such threads for each CPU, or as many as its SQ has entries
 * if that is less. A disk that stands still, or a server of files that is away,
 * can have all of them, and then other operations wait. The roots below see to
 * it that it cannot: they ask the kernel for `looks_max` + 16 threads, which
 * exist only while they wait, and take turns at them. A program that makes
 * operations of its own on what may hang bounds how many there are at a time.
 */
#ifndef TORC_FILE_H
#define TORC_FILE_H

#include "torc.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Operations ---- */

/*
 * Paths are relative to `directory`, a descriptor, or AT_FDCWD. Unless it says
 * otherwise, a call returns 0, or a negative errno: that of the system call of
 * this name, or -ETIMEDOUT, -ECANCELED, -ENOBUFS (too many operations).
 */

/*
 * Parks. Open a file. Returns the descriptor, which is the caller's, or a
 * negative errno. `flags`: O_ of
 * openat(2); O_CLOEXEC is always one of them. `mode`: of a file that is made.
 * `resolve`: RESOLVE_ of openat2(2), which say where the path may not lead;
 * RESOLVE_CACHED is not for programs.
 */
TORC_API int torc_file_open(int directory, const char *path, int flags,
    unsigned mode, uint64_t resolve, torc_deadline deadline);

/*
 * Close a descriptor, on the ring if that is possible. Does not park: it is
 * gone for the caller at once, whatever happens.
 */
TORC_API void torc_file_close(int fd);

/* A time of a file, since 1970. Frozen. */
struct torc_file_time {
	int64_t tv_sec;
	int64_t tv_nsec;
};

/* What is known of a file. Frozen. */
struct torc_file_info {
	uint64_t size;		/* bytes */
	uint64_t device;	/* its number */
	uint64_t inode;		/* its number on the device */
	struct torc_file_time modified;	/* its bytes */
	struct torc_file_time changed;	/* its bytes or its inode */
	uint32_t mode;		/* S_IFREG, S_IFDIR ... and permissions */
	uint32_t links;		/* how many names it has */
	uint64_t reserved[4];
};

/* Parks. Find out what is known of an open file. */
TORC_API int torc_file_stat(int fd, struct torc_file_info *info,
    torc_deadline deadline);

/*
 * Parks. Find out what is known of the file at a path. `flags`:
 * AT_SYMLINK_NOFOLLOW or 0.
 */
TORC_API int torc_file_stat_at(int directory, const char *path, int flags,
    struct torc_file_info *info, torc_deadline deadline);

/*
 * Parks. Read until `size` bytes are there or the file ends. Returns how many
 * bytes were read, fewer only at the end, or a negative errno: then some may
 * have been read.
 */
TORC_API int64_t torc_file_read(int fd, void *data, size_t size,
    uint64_t offset, torc_deadline deadline);

/*
 * Parks. Write all of `size` bytes. Returns 0, or a negative errno: then a part
 * may have been written.
 */
TORC_API int torc_file_write(int fd, const void *data, size_t size,
    uint64_t offset, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Wait until what was written is on the disk. `data_only`: without what
 * is not needed to read it again, such as times.
 */
TORC_API int torc_file_sync(int fd, bool data_only, torc_deadline deadline)
    TORC_CHECKED;

/* Parks. Rename a file. `flags`: RENAME_ of renameat2(2). */
TORC_API int torc_file_rename(int from_directory, const char *from,
    int to_directory, const char *to, unsigned flags, torc_deadline deadline)
    TORC_CHECKED;

/* Parks. Remove a name. `flags`: AT_REMOVEDIR for a directory, or 0. */
TORC_API int torc_file_unlink(int directory, const char *path, int flags,
    torc_deadline deadline);

/* Parks. Make a directory. */
TORC_API int torc_file_mkdir(int directory, const char *path, unsigned mode,
    torc_deadline deadline);

/* ---- Directories ---- */

/*
 * A walk over the names in a directory, in the order of the file system,
 * without "." and "..". Set `fd` to a descriptor of the directory that is not
 * used otherwise meanwhile, all else to zero. Names that are made or removed
 * during the walk may be in it or not. There is no call for the ring that
 * lists a directory: threads of torc_offload() do. Frozen.
 */
struct torc_file_walk {
	int fd;
	/* torc's. */
	uint32_t at;
	uint32_t end;
	uint8_t entries[4096] __attribute__((aligned(8)));
};

/* A name in a directory. Frozen. */
struct torc_file_entry {
	const char *name;	/* readable until the next call */
	uint64_t inode;
	unsigned type;		/* DT_REG, DT_DIR ... of readdir(3);
				 * DT_UNKNOWN: ask torc_file_stat_at() */
	uint64_t reserved[2];
};

/*
 * Parks. Find the next name in a directory. Returns 1, or 0 after the last one,
 * or a negative errno.
 */
TORC_API int torc_file_next(struct torc_file_walk *walk,
    struct torc_file_entry *entry, torc_deadline deadline);

/* ---- Transfers ---- */

/*
 * Parks. Send `size` bytes of a file, from `offset` on, behind what was written
 * to the connection: what is in the page cache without a copy in user space
 * (sendfile), what is not yet through a buffer that the ring reads into.
 * Returns 0 when all of it is in the kernel's hands; the connection is to be
 * used as before. Or a negative errno: -ENODATA if the file ends before,
 * -ETIMEDOUT, that of reading or of the connection. How much was sent is not
 * known then, and if any of it may have been, the connection cannot be written
 * to any more.
 *
 * The deadline is for all of it. How long the peer may take is better said by
 * the connection's pace (torc_conn_set_pace(), which torc_http_init() sets): a
 * steady peer has as long as it needs. While it is waited for, neither a thread
 * nor a buffer of the file is held.
 */
TORC_API int torc_file_send(struct torc_conn *conn, int fd, uint64_t offset,
    uint64_t size, torc_deadline deadline) TORC_CHECKED;

/* ---- A tree of files over HTTP ---- */

/*
 * A root is a directory whose files are served by one reactor. Nothing outside
 * of it is, nor what is reached by a symbolic link, nor what is no file: paths
 * are resolved by the kernel from the directory's descriptor on. Small files
 * are kept in memory, large ones open, and looked at again when they are asked
 * for and the last look is too long ago.
 *
 * All roots of a process keep at most half of its descriptors open, and let go
 * of them when there are none left for connections (see struct torc_keeper). A
 * file that was deleted is let go at the next look, or when nobody has asked
 * for it in `idle_ms`. With `fresh_ms` at TORC_NO_LIMIT there is no next look.
 *
 * A look opens nothing: FIFOs, sockets and devices are refused as they are. A
 * file that does not tell its size, as those of /proc, is read to its end, if
 * that comes within `body_max`.
 *
 * An entity tag is made of the inode, the size, the time of the last change,
 * the coding, and the bytes of what is in memory. A large file that changed
 * within the last tick of the file system's clock has a weak tag until that is
 * over. Last-Modified is left out where a date has no four digits for its year,
 * and is never later than the answer. A date in If-Range counts only if the
 * file has not changed since the root was opened, since two versions may have
 * the same date. If-Modified-Since compares dates, which are of seconds: a
 * version that this reactor has seen replaced within its second is not taken
 * for the one that replaced it.
 */
struct torc_file_root;

struct torc_file_config;
struct torc_file_stats;
struct torc_file_tree;

struct torc_http;

/*
 * The calls behind those that take or fill in a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_file_root_open_sized(struct torc_file_root **root,
    const char *path, const struct torc_file_config *config,
    size_t config_size, struct torc_error *error, torc_deadline deadline);
TORC_API int torc_file_tree_open_sized(struct torc_reactor *reactor,
    struct torc_file_tree *tree, size_t config_size);
TORC_API void torc_file_root_stats_read_sized(
    const struct torc_file_root *root, struct torc_file_stats *stats,
    size_t stats_size);

/*
 * How a root is served. 0 has the default; a value out of its range is refused
 * with -EINVAL. It grows.
 */
struct torc_file_config {
	unsigned fresh_ms;	/* after which a change is seen at the latest;
				 * 1000; 1 to TORC_NO_LIMIT */
	unsigned look_ms;	/* to look at a path, and to read what is kept
				 * in memory; 30000; 1 to TORC_NO_LIMIT */
	unsigned looks_max;	/* at a time, and reads of what is not in the
				 * page cache; two thirds of them below one
				 * folder of the root; 48; 1 to 1024 */
	unsigned idle_ms;	/* for which what nobody asks for is kept, and
				 * a deleted file with it; 10000; 1 to
				 * TORC_NO_LIMIT */
	unsigned files_max;	/* kept; more only while they are sent; 4096;
				 * 1 to 1048576 */
	uint64_t memory_max;	/* bytes of bodies in memory; 64 MiB */
	uint64_t body_max;	/* bytes of a file to be kept in memory; 2 MiB;
				 * 1 to 2^30 */
	unsigned ranges_max;	/* in a request; more have the whole file sent;
				 * 16; 1 to 64 */
	const char *index;	/* the file that a directory is served as:
				 * "index.html" by default; "": nothing */
	const char *cache_control;	/* a field of that name, or NULL */
	bool precompressed;	/* name.br and name.gz are served as `name`
				 * where they are wanted, if they are not older
				 * than it is */
	bool hidden;		/* serve what has a name that begins with a
				 * dot */
};

/*
 * Parks. Open a root: the directory at `path`, for the reactor of this thread.
 * `config` is copied, with its strings; NULL: all defaults. Takes 11 ms if the
 * deadline allows, for a tick of the file system's clock. Returns 0, or a
 * negative errno, and `error` says why: a field, its value and its bounds
 * (-EINVAL), or the path.
 */
static inline int
torc_file_root_open(struct torc_file_root **root, const char *path,
    const struct torc_file_config *config, struct torc_error *error,
    torc_deadline deadline)
{
	return torc_file_root_open_sized(root, path, config, sizeof(*config),
	    error, deadline);
}

/*
 * Close a root, which nobody uses any more. On its reactor's thread, or after
 * the reactor has ended.
 */
TORC_API void torc_file_root_close(struct torc_file_root *root);

/*
 * Parks. Answer the request in `http`, which torc_http_recv() has read, with
 * the file that its target names: 200, 206 with one range or several, 301 to a
 * directory's slash, 304, 400, 403, 404, 405, 412, 416, 500, or 503 if the
 * file could not be looked at in time or for want of descriptors or memory. The
 * deadline is for all of it, `look_ms` for the look, and the pace of the server
 * (write_ms, write_rate) for the client. The request's head is not
 * readable afterwards. Returns 0, or the error of the answer.
 */
TORC_API int torc_file_serve(struct torc_file_root *root,
    struct torc_http *http, torc_deadline deadline);

struct torc_exchange;
struct torc_key;

/*
 * Serve files: a handler for routes of a service (torc_service.h) that end in
 * "{path...}", such as "/static/{path...}": answers as torc_file_serve() with
 * the file that this rest names, and parks as it does. `key` is that of the
 * reactor's root: a struct torc_key with which torc_reactor_set_data() was
 * called. Returns -ENOENT, and 500 is the answer, if the reactor has no such
 * root. Fields of the exchange are not sent, and filters not passed.
 */
TORC_API int torc_file_exchange(struct torc_exchange *exchange, void *key);

/*
 * Parks. Write `size` bytes of a file, from `offset` on, as a piece of an
 * answer's body: between torc_exchange_begin() and torc_exchange_end(). Where
 * nothing shapes the body on its way, they go out as by torc_file_send(); where
 * chunks or filters do, they are read and written in blocks.
 *
 * Returns 0, or as torc_file_send() or torc_exchange_write(): the answer cannot
 * be ended then.
 */
TORC_API int torc_file_exchange_send(struct torc_exchange *exchange, int fd,
    uint64_t offset, uint64_t size, torc_deadline deadline);

/*
 * A tree of files that all reactors of torc_serve() serve. Each has a root of
 * its own. Set the first two fields, and leave the rest zero. The structure and
 * its text must stay while the reactors run. Frozen.
 *
 *	static struct torc_file_tree tree = { .path = "/srv/www" };
 *
 *	config.start = torc_file_tree_open;
 *	config.stop = torc_file_tree_close;
 *	config.arg = &tree;
 *	torc_routes_add(routes, "*", "/{path...}", torc_file_exchange,
 *	    &tree.key);
 */
struct torc_file_tree {
	const char *path;		/* of its directory */
	const struct torc_file_config *config;	/* NULL: all defaults */
	struct torc_key key;		/* its root's: torc's */
	uint64_t reserved[4];
};

/*
 * Open the root of a tree for this reactor. It is a `start` of struct
 * torc_config, or is called by one. Waits for at most `look_ms`. Returns as
 * torc_file_root_open().
 */
static inline int
torc_file_tree_open(struct torc_reactor *reactor, void *tree)
{
	return torc_file_tree_open_sized(reactor,
	    (struct torc_file_tree *)tree, sizeof(struct torc_file_config));
}

/* Close the root of a tree, if it is open. It is a `stop`, or called by one. */
TORC_API void torc_file_tree_close(struct torc_reactor *reactor, void *tree);

/* What a root has now, and what it has done since it was opened. It grows. */
struct torc_file_stats {
	unsigned files;		/* kept now */
	unsigned descriptors;	/* of them, open now */
	uint64_t memory;	/* bytes of bodies now */
	uint64_t looks;		/* at a path, since it was opened */
	uint64_t loads;		/* of them, those that found news */
};

/* Read the statistics of a root. */
static inline void
torc_file_root_stats_read(const struct torc_file_root *root,
    struct torc_file_stats *stats)
{
	torc_file_root_stats_read_sized(root, stats, sizeof(*stats));
}

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
