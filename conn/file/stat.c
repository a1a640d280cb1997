/* SPDX-License-Identifier: MIT */
/*
 * stat.c - the properties of a file. A file of its own, because the kernel's
 * header with statx(2) and headers of libc define the same names.
 */
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>

#include "conn/file/site.h"
#include "sys/uapi.h"

static struct torc_file_time
time_of(struct statx_timestamp from)
{
	return (struct torc_file_time) {
		.tv_sec = from.tv_sec, .tv_nsec = from.tv_nsec,
	};
}

int
torc_file_stat_at(int directory, const char *path, int flags,
    struct torc_file_info *info, torc_deadline deadline)
{
	struct statx status;
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_STATX,
		.fd = directory,
		.addr = (uint64_t)path,
		.off = (uint64_t)&status,
		.len = STATX_BASIC_STATS,
		.statx_flags = (uint32_t)flags,
	};
	int rc = torc_file_await(&sqe, deadline);

	if (rc < 0)
		return rc;
	*info = (struct torc_file_info) {
		.size = status.stx_size,
		.device = makedev(status.stx_dev_major, status.stx_dev_minor),
		.inode = status.stx_ino,
		.modified = time_of(status.stx_mtime),
		.changed = time_of(status.stx_ctime),
		.mode = status.stx_mode,
		.links = status.stx_nlink,
	};
	return 0;
}

int
torc_file_stat(int fd, struct torc_file_info *info, torc_deadline deadline)
{
	return torc_file_stat_at(fd, "", AT_EMPTY_PATH, info, deadline);
}
