/* SPDX-License-Identifier: MIT */
/*
 * local.c - the file of a local socket: when it is made, and when removed.
 *
 * A file is removed by the listener that made it, which knows its inode, or
 * when no process listens on it any more. What is seen of a file is true only
 * until another process acts on it. So programs with torc lock the folder
 * meanwhile; other programs are quick to bind and listen.
 */
#include <errno.h>
#include <sys/un.h>

#include "conn/local.h"
#include "sys/sys.h"

#define LOCK_TRIES 50		/* a lock that somebody keeps for long is not */
#define LOCK_PAUSE_NS 20000000u	/* ours: the folder may be locked for another
				 * reason */
#define LATE_NS 8000000u	/* between looks whether a server that was
				 * killed is over: its socket is closed with
				 * its ring, which the kernel does later. */
#define LATE_TIMES 4u		/* Each pause is so much longer, */
#define LATE_MAX_NS 128000000u	/* and this is the last one */

static const char *
path_of(const struct sockaddr_storage *address)
{
	return ((const struct sockaddr_un *)address)->sun_path;
}

/* A descriptor, or a negative errno. Sleeps if it has several tries. */
static int
lock_folder(const char *path, int tries)
{
	int lock = torc_sys_lock_folder(path);

	torc_debug_assert(tries > 0);
	while (lock == -EAGAIN && --tries > 0) {
		torc_sys_sleep(LOCK_PAUSE_NS);
		lock = torc_sys_lock_folder(path);
	}
	return lock;
}

static void
unlock_folder(int lock)
{
	if (lock >= 0)
		torc_sys_close(lock);
}

static bool
is_same(const struct torc_inode *a, const struct torc_inode *b)
{
	return a->number == b->number && a->device == b->device;
}

/* Take our file away. Its number is no other's while our socket is open. */
static void
remove_ours(const char *path, const struct torc_inode *file)
{
	struct torc_inode found;

	torc_debug_assert(file->number != 0);
	if (torc_sys_is_socket(path, &found) == 1 && is_same(&found, file))
		torc_sys_unlink(path);
}

/*
 * A socket file that nobody listens on any more is in the way. A server that
 * listens, and has a full backlog, is not waited for.
 */
static void
remove_stale(const struct sockaddr_storage *address, uint32_t size)
{
	const char *path = path_of(address);
	struct torc_inode file, found;
	int fd = torc_sys_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (torc_sys_is_socket(path, &file) == 1 &&
	    torc_sys_connect(fd, (const struct sockaddr *)address,
	    size) == -ECONNREFUSED &&
	    torc_sys_is_socket(path, &found) == 1 && is_same(&found, &file) &&
	    found.changed_ns == file.changed_ns)
		torc_sys_unlink(path);
	torc_sys_close(fd);
}

/* It is bound: look at the file, and listen. */
static int
listen_at(int fd, const struct sockaddr_storage *address, int backlog,
    struct torc_inode *file)
{
	int rc;

	if (!torc_local_has_file(address))
		return torc_sys_listen(fd, backlog);
	rc = torc_sys_is_socket(path_of(address), file);
	/* It is new: if it cannot be looked at, it is still ours. */
	if (rc < 0 && rc != -ENOENT)
		torc_sys_unlink(path_of(address));
	if (rc <= 0)
		return rc < 0 ? rc : -EADDRINUSE;
	rc = torc_sys_listen(fd, backlog);
	if (rc < 0)
		remove_ours(path_of(address), file);
	return rc;
}

bool
torc_local_has_file(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_UNIX && path_of(address)[0] != '\0';
}

/* A socket has the address, perhaps for not much longer. */
static bool
may_be_late(const struct sockaddr_storage *address)
{
	struct torc_inode file;

	return !torc_local_has_file(address) ||
	    torc_sys_is_socket(path_of(address), &file) == 1;
}

/*
 * Try once: lock (see lock_folder) and bind(2). A caller that cannot wait for
 * the lock removes no file.
 */
static int
try_to_bind(int fd, const struct sockaddr_storage *address, uint32_t size,
    bool may_sleep, int *lock)
{
	*lock = -1;
	if (torc_local_has_file(address)) {
		*lock = lock_folder(path_of(address),
		    may_sleep ? LOCK_TRIES : 1);
		if (*lock != -EAGAIN || may_sleep)
			remove_stale(address, size);
	}
	return torc_sys_bind(fd, (const struct sockaddr *)address, size);
}

int
torc_local_listen(int fd, const struct sockaddr_storage *address,
    uint32_t size, int backlog, bool may_sleep, struct torc_inode *file)
{
	uint64_t pause_ns = LATE_NS;
	int lock;
	int rc = try_to_bind(fd, address, size, may_sleep, &lock);

	while (rc == -EADDRINUSE && may_sleep && pause_ns <= LATE_MAX_NS &&
	    may_be_late(address)) {
		unlock_folder(lock);
		torc_sys_sleep(pause_ns);
		pause_ns *= LATE_TIMES;
		rc = try_to_bind(fd, address, size, true, &lock);
	}
	if (rc == 0)
		rc = listen_at(fd, address, backlog, file);
	unlock_folder(lock);
	return rc;
}

void
torc_local_remove(const struct sockaddr_storage *address,
    const struct torc_inode *file)
{
	int lock = lock_folder(path_of(address), 1);

	remove_ours(path_of(address), file);
	unlock_folder(lock);
}
