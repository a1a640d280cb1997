/* SPDX-License-Identifier: MIT */
/*
 * torc_file.h - operations on files, transfers to connections, and directories
 * served over HTTP.
 *
 * The conventions of torc.h apply. A file is a descriptor, which is closed when
 * the process executes another program (O_CLOEXEC). Calls take the position in
 * the file as a parameter; the file's own position is neither used nor changed.
 *
 * An operation that has to wait for a disk runs on a thread of the kernel. The
 * kernel cannot always interrupt such an operation. In that case -ETIMEDOUT and
 * -ECANCELED are returned late, but the operation is over when they are.
 *
 * A ring has four such threads for each CPU, or as many as its SQ has entries
 * if that is less. A disk that hangs, or a file server that does not answer,
 * can occupy all of them, and then other operations wait. The roots below
 * prevent this: they ask the kernel for `looks_max` + 16 threads, which exist
 * only while they wait, and limit how many they use at a time. A program whose
 * own operations may hang should limit how many of them run at a time.
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
 * Paths are relative to `directory`, which is a descriptor or AT_FDCWD. Unless
 * its page says otherwise, a call returns 0 or a negative errno: the error of
 * the system call of the same name, or -ETIMEDOUT, -ECANCELED, or -ENOBUFS if
 * there are too many operations.
 */

/*
 * Parks. Open a file. Returns the descriptor, which the caller must close, or a
 * negative errno.
 *
 * `flags` are the O_ flags of openat(2); O_CLOEXEC is always added. `mode` is
 * used if the file is created. `resolve` are the RESOLVE_ flags of openat2(2),
 * which limit where the path may lead; do not use RESOLVE_CACHED.
 */
TORC_API int torc_file_open(int directory, const char *path, int flags,
    unsigned mode, uint64_t resolve, torc_deadline deadline);

/*
 * Close a descriptor, on the ring if possible. Does not park: the caller must
 * not use the descriptor any more when the call returns, even if closing fails.
 */
TORC_API void torc_file_close(int fd);

/* A time of a file: seconds and nanoseconds since 1970. Frozen. */
struct torc_file_time {
	int64_t tv_sec;
	int64_t tv_nsec;
};

/* The properties of a file. Frozen. */
struct torc_file_info {
	uint64_t size;		/* bytes */
	uint64_t device;	/* the number of its device */
	uint64_t inode;		/* its number on that device */
	struct torc_file_time modified;	/* when its bytes last changed */
	struct torc_file_time changed;	/* when its bytes or its inode last
				 * changed */
	uint32_t mode;		/* S_IFREG, S_IFDIR ... and permissions */
	uint32_t links;		/* how many names it has */
	uint64_t reserved[4];
};

/* Parks. Read the properties of an open file. */
TORC_API int torc_file_stat(int fd, struct torc_file_info *info,
    torc_deadline deadline);

/*
 * Parks. Read the properties of the file at a path. `flags` is
 * AT_SYMLINK_NOFOLLOW or 0.
 */
TORC_API int torc_file_stat_at(int directory, const char *path, int flags,
    struct torc_file_info *info, torc_deadline deadline);

/*
 * Parks. Read `size` bytes, or up to the end of the file. Returns how many
 * bytes were read, or a negative errno. The number is less than `size` only at
 * the end of the file. After an error, part of `data` may have been written to.
 */
TORC_API int64_t torc_file_read(int fd, void *data, size_t size,
    uint64_t offset, torc_deadline deadline);

/*
 * Parks. Write all `size` bytes. Returns 0, or a negative errno. After an
 * error, part of the bytes may have been written.
 */
TORC_API int torc_file_write(int fd, const void *data, size_t size,
    uint64_t offset, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Wait until everything that was written is on the disk. `data_only`
 * leaves out what is not needed to read the data again, such as times.
 */
TORC_API int torc_file_sync(int fd, bool data_only, torc_deadline deadline)
    TORC_CHECKED;

/* Parks. Rename a file. `flags` are the RENAME_ flags of renameat2(2). */
TORC_API int torc_file_rename(int from_directory, const char *from,
    int to_directory, const char *to, unsigned flags, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Parks. Remove a name. `flags` is AT_REMOVEDIR for a directory, and 0
 * otherwise.
 */
TORC_API int torc_file_unlink(int directory, const char *path, int flags,
    torc_deadline deadline);

/* Parks. Create a directory. */
TORC_API int torc_file_mkdir(int directory, const char *path, unsigned mode,
    torc_deadline deadline);

/* ---- Directories ---- */

/*
 * The state of reading the names in a directory. Set `fd` to a descriptor of
 * the directory, and everything else to zero. Do not use the descriptor for
 * anything else meanwhile.
 *
 * Names come in the order of the file system, without "." and "..". A name that
 * is created or removed meanwhile may be returned or not. The ring has no
 * operation that lists a directory, so threads of torc_offload() do this.
 * Frozen.
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
	unsigned type;		/* DT_REG, DT_DIR ... of readdir(3); DT_UNKNOWN:
				 * ask torc_file_stat_at() */
	uint64_t reserved[2];
};

/*
 * Parks. Read the next name in a directory. Returns 1, or 0 after the last
 * name, or: the error of getdents64(2), such as -ENOTDIR; an error of
 * torc_offload(). The deadline limits only the wait for a thread.
 */
TORC_API int torc_file_next(struct torc_file_walk *walk,
    struct torc_file_entry *entry, torc_deadline deadline);

/* ---- Transfers ---- */

/*
 * Parks. Send `size` bytes of a file, from `offset` on. They are sent after
 * everything that was written to the connection. Data in the page cache is sent
 * without a copy in user space (sendfile(2)). Other data is read into a buffer
 * on the ring first, and so is all data if the connection cannot lend its
 * socket (torc_conn_lend()).
 *
 * Returns 0 when all bytes have been passed to the kernel, or: -ENODATA the
 * file ends before `offset` + `size`; -ETIMEDOUT; an error of torc_file_read()
 * or of the connection. After 0 the connection can be used as before. After an
 * error it is not known how many bytes were sent, and in general the connection
 * cannot be written to any more. Write nothing else to it.
 *
 * The deadline covers the whole transfer. To limit how long the peer may take,
 * prefer the connection's pace (torc_conn_set_pace(), which torc_http_init()
 * sets): a peer that keeps reading then gets as long as it needs. While the
 * call waits for the peer, it holds neither a thread nor a buffer.
 */
TORC_API int torc_file_send(struct torc_conn *conn, int fd, uint64_t offset,
    uint64_t size, torc_deadline deadline) TORC_CHECKED;

/* ---- A tree of files over HTTP ---- */

/*
 * A root is a directory whose files one reactor serves. The kernel resolves all
 * paths from the descriptor of the directory. Files outside of it, files behind
 * symbolic links, and anything that is not a regular file are never served.
 * Small files are cached in memory, and large ones are kept open. A cached file
 * is looked at again when it is requested and the last look is older than
 * `fresh_ms`.
 *
 * Descriptors. All roots of a process together keep at most half of its
 * descriptors open, and close files when none are left for connections (see
 * struct torc_keeper). A deleted file is closed at the next look, or when
 * nobody has requested it for `idle_ms`. If `fresh_ms` is TORC_NO_LIMIT, there
 * is no next look.
 *
 * Special files. A look opens nothing: FIFOs, sockets and devices are refused
 * without being opened. A file that does not report its size, such as those in
 * /proc, is read to its end if that is within `body_max`.
 *
 * Validators. An entity tag depends on the inode, the size, the time of the
 * last change, the coding, and for files in memory also on the bytes. A large
 * file has a weak tag if it changed within the last tick of the file system's
 * clock, until that tick is over. Last-Modified is omitted if its year does not
 * have four digits, and is never later than the answer.
 *
 * Conditions. Two versions of a file may have the same date. A date in If-Range
 * therefore counts only if the file has not changed since the root was opened.
 * If-Modified-Since compares seconds: if this reactor has seen a version
 * replaced within its second, that date does not match the new version.
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
 * How a root is served. 0 selects the default. A value out of its range is
 * refused with -EINVAL. It grows.
 */
struct torc_file_config {
	unsigned fresh_ms;	/* a change of a file is seen after this time at
				 * the latest; 1000; 1 to TORC_NO_LIMIT */
	unsigned look_ms;	/* to look at a path, and to read a file into
				 * memory; 30000; 1 to TORC_NO_LIMIT */
	unsigned looks_max;	/* looks, and reads of data that is not in the
				 * page cache, at a time; at most two thirds of
				 * them are below the same folder of the root;
				 * 48; 1 to 1024 */
	unsigned idle_ms;	/* how long a file that nobody requests is kept,
				 * even if it was deleted; 10000; 1 to
				 * TORC_NO_LIMIT */
	unsigned files_max;	/* files that are kept; there are more only
				 * while they are sent; 4096; 1 to 1048576 */
	uint64_t memory_max;	/* bytes of files in memory; 64 MiB */
	uint64_t body_max;	/* the largest file that is kept in memory, in
				 * bytes; 2 MiB; 1 to 2^30 */
	unsigned ranges_max;	/* ranges in a request; with more, the whole
				 * file is sent; 16; 1 to 64 */
	const char *index;	/* the file that answers a request for a
				 * directory: "index.html" by default; "":
				 * none */
	const char *cache_control;	/* the value of the field Cache-Control;
				 * NULL: no such field */
	bool precompressed;	/* serve name.br or name.gz for `name` if the
				 * client accepts that and the compressed file
				 * is not older */
	bool hidden;		/* also serve names that begin with a dot */
};

/*
 * Parks. Open a root for the directory at `path` and the reactor of this
 * thread. `config` and its strings are copied; NULL: all defaults. If the
 * deadline allows, the call takes 11 ms: it waits for a tick of the file
 * system's clock.
 *
 * Returns 0, or: -EINVAL a field is out of range; -ENOBUFS the reactor has 1024
 * roots, or too many operations; -ENOMEM; -ETIMEDOUT; -ECANCELED; the error of
 * openat(2) for `path`. `error` (may be NULL) names the field, its value and
 * its range, or the path.
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
 * Close a root that is no longer in use. Call it on the thread of its reactor,
 * or after the reactor has ended.
 */
TORC_API void torc_file_root_close(struct torc_file_root *root);

/*
 * Parks. Answer a request with the file that its target names. torc_http_recv()
 * must have read the request. The answer is 200, 206 with one or more ranges,
 * 301 to the path of a directory with its slash, 304, 400, 403, 404, 405, 412,
 * 416 or 500. It is 503 if the file could not be looked at in time, or if
 * descriptors or memory ran out.
 *
 * The deadline covers the whole call. `look_ms` limits the look, and the pace
 * of the server (`write_ms`, `write_rate`) limits the client. The request's
 * head is not readable afterwards, unless torc_http_keep() was called before.
 *
 * Returns 0 if the request was answered, with any status; or: -ECANCELED the
 * fiber was cancelled (if that was during the look, nothing was answered); an
 * error as torc_http_reply() or torc_file_send().
 */
TORC_API int torc_file_serve(struct torc_file_root *root,
    struct torc_http *http, torc_deadline deadline);

struct torc_exchange;
struct torc_key;

/*
 * Serve files below a route of a service. Use it as the handler of a route that
 * ends in "{path...}", such as "/static/{path...}" (torc_service.h). It answers
 * as torc_file_serve() with the file that this rest names, and it parks in the
 * same places.
 *
 * `key` is a struct torc_key with which the reactor's root was stored by
 * torc_reactor_set_data(). Returns 0, or: -ENOENT the reactor has no such root
 * (the answer is 500); an error of the answer. Fields that were added to the
 * exchange are not sent, and the answer does not pass filters.
 */
TORC_API int torc_file_exchange(struct torc_exchange *exchange, void *key);

/*
 * Parks. Write `size` bytes of a file, from `offset` on, as a piece of an
 * answer. Call it between torc_exchange_begin() and torc_exchange_end(). The
 * bytes are sent as by torc_file_send(). If chunks or filters change the body
 * on its way, they are read and written in blocks instead.
 *
 * Returns 0, or an error as torc_file_send() or torc_exchange_write(). After an
 * error the answer cannot be continued or ended, and the connection is reset
 * when the handler returns. If no answer was begun, the call fails and nothing
 * is sent.
 */
TORC_API int torc_file_exchange_send(struct torc_exchange *exchange, int fd,
    uint64_t offset, uint64_t size, torc_deadline deadline);

/*
 * A directory that all reactors of torc_serve() serve, each with a root of its
 * own. Set the first two fields, and leave the rest zero. The structure and its
 * text must stay while the reactors run. Frozen.
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
	const char *path;	/* of the directory */
	const struct torc_file_config *config;	/* NULL: all defaults */
	struct torc_key key;	/* for torc_file_exchange(): its value is
				 * torc's */
	uint64_t reserved[4];
};

/*
 * Open the root of a tree for this reactor. Use it as the `start` of struct
 * torc_config, or call it from one. It parks for at most `look_ms`. Returns as
 * torc_file_root_open(). After an error, a notice says what is wrong.
 */
static inline int
torc_file_tree_open(struct torc_reactor *reactor, void *tree)
{
	return torc_file_tree_open_sized(reactor,
	    (struct torc_file_tree *)tree, sizeof(struct torc_file_config));
}

/*
 * Close the root of a tree if it is open. Use it as a `stop`, or call it from
 * one.
 */
TORC_API void torc_file_tree_close(struct torc_reactor *reactor, void *tree);

/* The statistics of a root. It grows. */
struct torc_file_stats {
	unsigned files;		/* kept now */
	unsigned descriptors;	/* files that are open now */
	uint64_t memory;	/* bytes of files in memory now */
	uint64_t looks;		/* looks at a path since the root was opened */
	uint64_t loads;		/* looks that found something new */
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
