/* SPDX-License-Identifier: MIT */
/*
 * poison.h - memory that nobody may look at for a while: what a program has
 * done with, or the kernel has. A build with AddressSanitizer stops a program
 * that does; in others this is nothing.
 */
#ifndef TORC_SYS_POISON_H
#define TORC_SYS_POISON_H

#include <stddef.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define TORC_POISONS 1
#else
#define TORC_POISONS 0
#endif

/* Of eight bytes in a row, the last ones are spared if the rest is not due. */
static inline void
torc_poison(const void *memory, size_t size)
{
#if TORC_POISONS
	__asan_poison_memory_region(memory, size);
#else
	(void)memory;
	(void)size;
#endif
}

static inline void
torc_unpoison(const void *memory, size_t size)
{
#if TORC_POISONS
	__asan_unpoison_memory_region(memory, size);
#else
	(void)memory;
	(void)size;
#endif
}

#endif
