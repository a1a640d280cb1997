/* SPDX-License-Identifier: MIT */
/*
 * pages.h - regions of anonymous memory, and guard pages in them.
 */
#ifndef TORC_SYS_PAGES_H
#define TORC_SYS_PAGES_H

#include <stddef.h>

/* `size` rounded up to pages. */
size_t torc_pages_whole(size_t size);

/*
 * Reserve torc_pages_whole(size) bytes, zeroed, not inherited by a fork.
 * Memory is used only where it is touched. 0 or a negative errno.
 */
int torc_pages_reserve(void **region, size_t size);
void torc_pages_release(void *region, size_t size);

/*
 * Make a page-aligned part of a region fault on any access. Uses
 * MADV_GUARD_INSTALL (Linux 6.13: no mapping of its own), else mprotect(2),
 * which splits the mapping: two per guard, and vm.max_map_count is 65530 by
 * default. 0, or the error of mprotect.
 */
int torc_pages_guard(void *start, size_t size);

/*
 * In the child of a fork: put zeroes where a region was that is not inherited,
 * unless something else is there by now.
 */
void torc_pages_blank(void *start, size_t size);

/* Give the memory back to the kernel; it reads as zeroes afterwards. */
void torc_pages_forget(void *start, size_t size);

#endif
