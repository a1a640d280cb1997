/* SPDX-License-Identifier: MIT */
/*
 * stats_page.c - making the page: a sealed file, or ordinary memory.
 */
#include "reactor/stats_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "reactor/slots.h"
#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/trap.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u	/* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16	/* Linux 5.1 */
#endif
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

_Static_assert(sizeof(struct torc_counters) % sizeof(uint64_t) == 0 &&
    sizeof(struct torc_gauges) % sizeof(uint64_t) == 0 &&
    sizeof(struct torc_limits) % sizeof(uint64_t) == 0,
    "they are read as words");

/* A file may have this size: growing it beyond the limit raises SIGXFSZ. */
static bool
is_allowed(size_t size)
{
	uint64_t limit;

	return torc_sys_rlimit(RLIMIT_FSIZE, &limit) == 0 && size <= limit;
}

/* Never executable where the kernel knows that, which it may insist on. */
static int
make_file(void)
{
	int fd = torc_sys_memfd(TORC_STATS_PAGE_NAME,
	    MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	return fd >= 0 ? fd : torc_sys_memfd(TORC_STATS_PAGE_NAME,
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* Mapped, and then sealed: from now on nobody else can write. */
static int
map_file(int fd, size_t size, void **memory)
{
	int rc = torc_sys_resize(fd, size);

	torc_debug_assert(fd >= 0 && size > 0);
	if (rc == 0)
		rc = torc_sys_map(memory, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (rc < 0)
		return rc;
	/* A child of a fork must not count for its parent. */
	rc = torc_sys_advise(*memory, size, MADV_DONTFORK);
	if (rc == 0)
		rc = torc_sys_seal(fd, SEALS);
	if (rc < 0)
		torc_sys_unmap(*memory, size);
	return rc;
}

/* Where what connections have agreed on is: behind all rows. */
static size_t
place_sessions(uint32_t rows)
{
	return torc_pages_whole(sizeof(struct torc_stats_page)) +
	    torc_pages_whole((size_t)rows * TORC_STATS_PAGE_ROW);
}

static int
open_file(struct torc_stats_page_file *file, uint32_t rows)
{
	const size_t head = torc_pages_whole(sizeof(struct torc_stats_page));
	const size_t size = place_sessions(rows) + torc_pages_whole(
	    (size_t)rows * sizeof(struct torc_stats_page_session));
	void *memory;
	int fd, rc;

	torc_debug_assert(rows > 0);
	if (!is_allowed(size))
		return -EFBIG;
	fd = make_file();
	if (fd < 0)
		return fd;
	rc = map_file(fd, size, &memory);
	if (rc < 0) {
		torc_sys_close(fd);
		return rc;
	}
	*file = (struct torc_stats_page_file) {
		.page = memory,
		.table = (char *)memory + head,
		.size = size,
		.fd = fd,
	};
	return 0;
}

static int
open_memory(struct torc_stats_page_file *file)
{
	const size_t size = torc_pages_whole(sizeof(struct torc_stats_page));
	void *memory;
	int rc = torc_pages_reserve(&memory, size);

	if (rc == 0)
		*file = (struct torc_stats_page_file) { memory, NULL, size,
		    -1 };
	return rc;
}

#define PART(member, type) \
	{ offsetof(struct torc_stats_page, member), \
	    sizeof(((struct torc_stats_page *)0)->member) / sizeof(type), \
	    sizeof(type) }

int
torc_stats_page_open(struct torc_stats_page_file *file, uint32_t rows,
    bool hidden)
{
	torc_debug_assert(rows > 0);
	if ((hidden || open_file(file, rows) < 0) && open_memory(file) < 0)
		return -ENOMEM;
	/* The whole file is zero but for this. */
	*file->page = (struct torc_stats_page) {
		.version = TORC_STATS_PAGE_VERSION,
		.size = sizeof(struct torc_stats_page),
		.counters = PART(counter, uint64_t),
		.gauges = PART(gauge, uint64_t),
		.limits = PART(limit, uint64_t),
		.ops = PART(op, struct torc_stats_page_op),
		.slot_bits = TORC_SLOT_BITS,
		.generation_bits = TORC_GENERATION_BITS,
	};
	if (file->table != NULL)
		file->page->sessions = (struct torc_stats_page_part) {
			.offset = place_sessions(rows),
			.count = rows,
			.stride = sizeof(struct torc_stats_page_session),
		};
	return 0;
}

void
torc_stats_page_hide(struct torc_stats_page_file *file)
{
	torc_debug_assert(file->page != NULL);
	if (file->fd >= 0)
		torc_sys_close(file->fd);
	file->fd = -1;
}

void
torc_stats_page_close(struct torc_stats_page_file *file)
{
	torc_debug_assert(file->page != NULL && file->size > 0);
	torc_stats_page_hide(file);
	torc_sys_unmap(file->page, file->size);
}

void
torc_stats_page_describe(struct torc_stats_page_file *file, uint32_t count,
    uint32_t stride, const struct torc_stats_page_field fields[TORC_FIELDS])
{
	struct torc_stats_page *page = file->page;

	/* Again, if the layer failed behind it the last time. */
	torc_debug_assert(page->conns.count == 0 || page->conns.count == count);
	if (file->table == NULL)
		return;
	torc_assert((size_t)count * stride <= page->sessions.offset -
	    torc_pages_whole(sizeof(*page)));
	memcpy(page->field, fields, sizeof(page->field));
	page->fields = (struct torc_stats_page_part) PART(field,
	    struct torc_stats_page_field);
	page->conns = (struct torc_stats_page_part) {
		.offset = (uint64_t)((char *)file->table - (char *)page),
		.count = count,
		.stride = stride,
	};
}
