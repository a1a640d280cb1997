/* SPDX-License-Identifier: MIT */
/*
 * pages.c - anonymous regions with guards.
 */
#include "sys/pages.h"

#include <sys/mman.h>

#include "sys/sys.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102	/* Linux 6.13 */
#endif

size_t
torc_pages_whole(size_t size)
{
	const size_t page = torc_sys_page_size();

	return (size + page - 1) / page * page;
}

int
torc_pages_reserve(void **region, size_t size)
{
	int rc = torc_sys_map(region, torc_pages_whole(size),
	    PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (rc < 0)
		return rc;
	rc = torc_sys_advise(*region, torc_pages_whole(size), MADV_DONTFORK);
	if (rc < 0) {
		torc_pages_release(*region, size);
		*region = NULL;
		return rc;
	}
	/* Where huge pages are always on, the first touch would take 2 MiB. A
	 * kernel that has none refuses: then there is nothing to prevent. */
	torc_sys_advise(*region, torc_pages_whole(size), MADV_NOHUGEPAGE);
	return 0;
}

void
torc_pages_release(void *region, size_t size)
{
	torc_sys_unmap(region, torc_pages_whole(size));
}

int
torc_pages_guard(void *start, size_t size)
{
	if (torc_sys_advise(start, size, MADV_GUARD_INSTALL) == 0)
		return 0;
	return torc_sys_protect(start, size, PROT_NONE);
}

void
torc_pages_blank(void *start, size_t size)
{
	/* Not torc_sys_map(): that takes no address, and this must not fail. */
	mmap(start, torc_pages_whole(size), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
	    -1, 0);
}

void
torc_pages_forget(void *start, size_t size)
{
	torc_sys_advise(start, size, MADV_DONTNEED);
}
