/* SPDX-License-Identifier: MIT */
/*
 * files.c - a small file system in memory: directories, files, descriptors of
 * them, the operations of the ring on them, and system calls beside it.
 *
 * Modelled: names and what they name, apart from each other: a file lives on
 * without its name, and a name may be another file's soon; sizes and times,
 * which go in ticks, or in seconds; reads and writes of fewer bytes; what is
 * not in the page cache; entries of a directory in several parts; and FIFOs,
 * sockets and devices, which nobody opens who could have seen what they are.
 * Operations are carried out at once, or by a
 * thread of the kernel's that requests.c gives its time.
 *
 * Files are made of the stream of their number: a byte of another one, or of
 * what had this name before, is recognised.
 *
 * Not modelled: symbolic links, "..", permissions, and holes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/sys.h"
#include "tests/sim/files.h"
#include "tests/sim/kring.h"

#define NODES 4096		/* ever made, in a run */
#define EPOCH 1700000000	/* seconds of the real time when it begins */
#define SMALL 64u		/* bytes of entries, in a short listing */
#define SECOND 1000000000
#define TICK 4000000		/* ns between two times of a file */

void (*sim_files_others)(void);

static struct node *nodes[NODES];
static unsigned node_count;

/* ---- Time ---- */

void
torc_sys_wall_time(struct timespec *now)
{
	now->tv_sec = EPOCH + (time_t)(world.now / SECOND);
	now->tv_nsec = (long)(world.now % SECOND);
}

void
torc_sys_file_time(struct timespec *now)
{
	torc_sys_wall_time(now);
}

/* Some file systems have no fractions of seconds. */
static int64_t
file_time(void)
{
	const int64_t now = EPOCH * (int64_t)SECOND + (int64_t)world.now;

	return now - now % (world.seed % 2 == 0 ? SECOND : TICK);
}

static void
touch(struct node *node)
{
	node->modified = node->changed = file_time();
}

void
sim_node_age(struct node *node, unsigned seconds)
{
	node->modified -= (int64_t)seconds * SECOND;
	node->changed = node->modified;
}

/* ---- Names ---- */

static struct node *
child(const struct node *parent, const char *name, size_t size)
{
	for (unsigned i = 0; i < node_count; i++) {
		struct node *node = nodes[i];

		if (node->parent == parent && strlen(node->name) == size &&
		    memcmp(node->name, name, size) == 0)
			return node;
	}
	return NULL;
}

struct node *
sim_node_make(struct node *parent, const char *name, bool directory,
    uint64_t size)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node_count == NODES || strlen(name) >= sizeof(node->name))
		sim_fail("more files than are known here");
	nodes[node_count] = node;
	node->number = ++node_count;
	node->stream = node->number;
	node->parent = parent;
	strcpy(node->name, name);
	node->directory = directory;
	node->gone_at = UINT64_MAX;
	touch(node);
	sim_node_resize(node, size);
	return node;
}

struct node *
sim_node_root(void)
{
	return node_count > 0 ? nodes[0] :
	    sim_node_make(NULL, "", true, 0);
}

const struct node *
sim_node_numbered(uint64_t number)
{
	return number == 0 || number > node_count ? NULL : nodes[number - 1];
}

void
sim_node_resize(struct node *node, uint64_t size)
{
	if (size > node->room) {
		node->bytes = realloc(node->bytes, size);
		for (uint64_t i = node->room; i < size; i++)
			node->bytes[i] = stream_byte(node->stream, i);
		node->room = size;
	}
	node->size = size;
	touch(node);
}

void
sim_node_rewrite(struct node *node, uint32_t key)
{
	node->stream = key;
	for (uint64_t i = 0; i < node->room; i++)
		node->bytes[i] = stream_byte(key, i);
	touch(node);
}

void
sim_node_remove(struct node *node)
{
	node->parent = NULL;
	node->gone_at = world.now;
}

/*
 * What a path leads to, or NULL, with the errno why; `*parent`, unless that is
 * NULL, is where its last name, `*name`, is or would be.
 */
static struct node *
resolve(struct node *from, const char *path, struct node **parent,
    const char **name, int *error)
{
	struct node *at = *path == '/' ? sim_node_root() : from;

	*parent = NULL;
	*error = -ENOENT;
	while (at != NULL && *path != '\0') {
		size_t size = strcspn(path, "/");

		if (size > 0 && !(size == 1 && *path == '.')) {
			if (!at->directory) {
				*error = -ENOTDIR;
				return NULL;
			}
			*parent = path[size] == '\0' ? at : NULL;
			*name = path;
			at = child(at, path, size);
		}
		path += size;
		path += *path == '/';
	}
	return at;
}

static struct node *
directory_of(const struct req *req)
{
	return req->file != NULL ? req->file->node : sim_node_root();
}

/* ---- Operations ---- */

static uint32_t
reactor_of(const struct req *req)
{
	const struct torc_reactor *reactor = sim_ring_reactor(req->ring);

	return reactor == NULL ? 0 : 1u << reactor->index;
}

/* What a special file does when it is opened, if that is an act at all. */
static int
act(const struct req *req, const struct node *node)
{
	const uint64_t flags = req->how.flags;

	if (node->special == 0 || flags & O_PATH)
		return 0;
	if (node->looked_at & reactor_of(req))
		sim_fail("a special file is opened that was looked at");
	if (!(flags & O_NONBLOCK) || !(flags & O_NOCTTY))
		sim_fail("an open that may wait, or take a terminal");
	if (node->special == S_IFSOCK)
		return -ENXIO;
	return node->special == S_IFCHR && sim_draw(2) == 0 ? -ENODEV : 0;
}

static int
open_node(const struct req *req)
{
	const uint64_t flags = req->how.flags;
	struct node *parent, *node;
	struct file *file;
	const char *name;
	int error, fd;

	node = resolve(directory_of(req), req->paths[0], &parent, &name,
	    &error);
	if (node != NULL && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (node != NULL && (flags & O_DIRECTORY) && !node->directory)
		return -ENOTDIR;
	if (node == NULL && (!(flags & O_CREAT) || parent == NULL))
		return error;
	error = node != NULL ? act(req, node) : 0;
	if (error < 0)
		return error;
	fd = sim_fd_open(FILE_NODE, &file);
	if (fd < 0)
		return fd;
	if (node == NULL)
		node = sim_node_make(parent, name, false, 0);
	if (flags & O_TRUNC)
		sim_node_resize(node, 0);
	file->node = node;
	file->hasty = flags & O_NONBLOCK;
	file->shut = flags & O_PATH;
	file->programs = true;
	return fd;
}

static int
stat_node(const struct req *req)
{
	struct statx *status = req->parts[0].iov_base;
	struct node *parent, *node;
	const char *name;
	int error;

	node = resolve(directory_of(req), req->paths[0], &parent, &name,
	    &error);
	if (node == NULL)
		return error;
	memset(status, 0, sizeof(*status));
	status->stx_size = node->size;
	status->stx_ino = node->number;
	status->stx_mode = (uint16_t)(node->directory ? S_IFDIR | 0755 :
	    node->special != 0 ? node->special | 0644 : S_IFREG | 0644);
	status->stx_nlink = node->gone_at == UINT64_MAX;
	status->stx_mtime.tv_sec = node->modified / SECOND;
	status->stx_mtime.tv_nsec = (uint32_t)(node->modified % SECOND);
	status->stx_ctime.tv_sec = node->changed / SECOND;
	status->stx_ctime.tv_nsec = (uint32_t)(node->changed % SECOND);
	node->looked_at |= reactor_of(req);
	return 0;
}

/* How many bytes of a transfer come about. */
static uint32_t
some_of(uint64_t size)
{
	if (size > INT32_MAX)
		size = INT32_MAX;
	return size > 1 && sim_fault(FAULT_SHORT) ?
	    1 + sim_draw((uint32_t)size) : (uint32_t)size;
}

static int
read_node(const struct req *req)
{
	const struct node *node = req->file->node;
	const uint64_t from = req->sqe.off;
	uint64_t size = from < node->size ? node->size - from : 0;

	if (node->directory)
		return -EISDIR;
	if (req->file->shut || node->special != 0)
		sim_fail("what is no file is read");
	if (req->file->hasty && sim_draw(2) == 0)
		return -EAGAIN;
	size = some_of(size < req->sqe.len ? size : req->sqe.len);
	memcpy(req->parts[0].iov_base, node->bytes + from, size);
	return (int)size;
}

static int
write_node(const struct req *req)
{
	struct node *node = req->file->node;
	const uint64_t from = req->sqe.off, size = some_of(req->sqe.len);

	if (from + size > node->size)
		sim_node_resize(node, from + size);
	memcpy(node->bytes + from, req->parts[0].iov_base, size);
	touch(node);
	return (int)size;
}

static int
rename_node(const struct req *req)
{
	struct node *parent, *node, *to, *to_parent;
	const char *name;
	int error;

	node = resolve(directory_of(req), req->paths[0], &parent, &name,
	    &error);
	if (node == NULL)
		return error;
	to = resolve(req->other != NULL ? req->other->node : sim_node_root(),
	    req->paths[1], &to_parent, &name, &error);
	if (to_parent == NULL)
		return error;
	if (to != NULL)
		sim_node_remove(to);
	node->parent = to_parent;
	snprintf(node->name, sizeof(node->name), "%s", name);
	return 0;
}

static int
change_name(const struct req *req)
{
	struct node *parent, *node;
	const char *name;
	int error;

	if (req->sqe.opcode == IORING_OP_RENAMEAT)
		return rename_node(req);
	node = resolve(directory_of(req), req->paths[0], &parent, &name,
	    &error);
	if (req->sqe.opcode == IORING_OP_MKDIRAT) {
		if (node == NULL && parent != NULL)
			sim_node_make(parent, name, true, 0);
		return node != NULL ? -EEXIST : parent != NULL ? 0 : error;
	}
	if (node == NULL)
		return error;
	if (node->directory != !!(req->sqe.unlink_flags & AT_REMOVEDIR))
		return node->directory ? -EISDIR : -ENOTDIR;
	for (unsigned i = 0; i < node_count; i++) {
		if (nodes[i]->parent == node)
			return -ENOTEMPTY;
	}
	sim_node_remove(node);
	return 0;
}

static enum site
site_of(const struct req *req)
{
	const bool async = req->sqe.flags & IOSQE_ASYNC;

	switch (req->sqe.opcode) {
	case IORING_OP_OPENAT2:
		return SITE_OP_OPEN;
	case IORING_OP_STATX:
		return SITE_OP_STATX;
	case IORING_OP_READ:
		return async ? SITE_OP_READ_WAITING : SITE_OP_READ;
	case IORING_OP_WRITE:
		return async ? SITE_OP_WRITE_WAITING : SITE_OP_WRITE;
	case IORING_OP_FSYNC:
		return SITE_OP_FSYNC;
	case IORING_OP_CLOSE:
		return SITE_OP_CLOSE;
	default:
		return SITE_OP_NAME;
	}
}

static int
carry_out(const struct req *req)
{
	int rc = sim_crossing(site_of(req));

	/* Whatever it says, the descriptor is gone. */
	if (req->sqe.opcode == IORING_OP_CLOSE)
		sim_fd_close(req->sqe.fd);
	if (rc < 0)
		return rc;
	switch (req->sqe.opcode) {
	case IORING_OP_OPENAT2:
		return open_node(req);
	case IORING_OP_STATX:
		return stat_node(req);
	case IORING_OP_READ:
		return read_node(req);
	case IORING_OP_WRITE:
		return write_node(req);
	case IORING_OP_FSYNC:
	case IORING_OP_CLOSE:
		return 0;
	default:
		return change_name(req);
	}
}

int
sim_file_operate(const struct req *req)
{
	int rc;

	if (sim_files_others != NULL)
		sim_files_others();
	rc = carry_out(req);
	sim_trace("file", req->sqe.opcode, req->sqe.fd, rc);
	return rc;
}

/* ---- The program's system calls on files ---- */

static struct node *
node_of(int fd)
{
	const struct file *file = sim_fd_file(fd);

	if (file == NULL || file->kind != FILE_NODE)
		sim_fail("descriptor %d is not that of a file", fd);
	return file->node;
}

/* Some file systems have no sendfile, and cannot tell what is at hand. */
static bool
is_simple(void)
{
	return world.varied && world.seed % 8 == 0;
}

int
torc_sys_send_file(int socket, int file, uint64_t offset, size_t size)
{
	const struct node *node = node_of(file);
	int rc = sim_crossing(SITE_SEND_FILE);

	sim_kernel_any_call();
	if (sim_files_others != NULL)
		sim_files_others();
	if (rc < 0 || offset >= node->size)
		return rc;
	if (is_simple())
		return -EINVAL;
	if (size > node->size - offset)
		size = (size_t)(node->size - offset);
	rc = sim_sock_send(sim_fd_file(socket)->sock, node->bytes + offset,
	    (uint32_t)size);
	sim_trace("sendfile", socket, file, rc);
	return rc;
}

int
torc_sys_at_hand(int file, uint64_t offset)
{
	const struct node *node = node_of(file);
	int rc = sim_crossing(SITE_AT_HAND);

	if (rc < 0)
		return rc;
	if (sim_draw(6) == 0)
		return is_simple() ? -EOPNOTSUPP : -EAGAIN;
	return offset < node->size;
}

int
torc_sys_set_blocking(int fd)
{
	int rc = sim_crossing(SITE_SET_BLOCKING);

	node_of(fd);
	if (rc == 0)
		sim_fd_file(fd)->hasty = false;
	return rc;
}

/* One entry, as getdents64(2) writes it: its size, or 0: there is no room. */
static size_t
put_entry(uint8_t *to, size_t room, const char *name, uint64_t number,
    bool directory)
{
	const size_t size = (19 + strlen(name) + 1 + 7) / 8 * 8;
	const uint16_t size16 = (uint16_t)size;

	if (size > room)
		return 0;
	memset(to, 0, size);
	memcpy(to, &number, sizeof(number));
	memcpy(to + 16, &size16, sizeof(size16));
	to[18] = directory ? DT_DIR : DT_REG;
	strcpy((char *)to + 19, name);
	return size;
}

/* The position in a directory: how many nodes were looked at. */
int
torc_sys_list(int fd, void *entries, size_t size)
{
	const struct node *directory = node_of(fd);
	struct file *file = sim_fd_file(fd);
	size_t used = 0, part = 0;
	int rc = sim_crossing(SITE_LIST);

	if (rc < 0)
		return rc;
	if (sim_fault(FAULT_SHORT))
		size = SMALL;
	if (file->count == 0)
		used = put_entry(entries, size, ".", directory->number, true);
	for (; file->count < node_count; file->count++) {
		const struct node *node = nodes[file->count];

		if (node->parent != directory)
			continue;
		part = put_entry((uint8_t *)entries + used, size - used,
		    node->name, node->number, node->directory);
		if (part == 0)
			break;
		used += part;
	}
	return (int)used;
}

/* ---- The beginning ---- */

void
sim_files_reset(void)
{
	while (node_count > 0) {
		struct node *node = nodes[--node_count];

		free(node->bytes);
		free(node);
	}
	sim_files_others = NULL;
}
