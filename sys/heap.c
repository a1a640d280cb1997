/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the heap of libc, under the names that a test puts its own in place
 * of. Apart from sys.c, so that a parser is linked with nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "sys/sys.h"

void *
torc_sys_alloc(size_t size)
{
	return calloc(1, size);
}

void *
torc_sys_alloc_array(size_t count, size_t size)
{
	return calloc(count, size);
}

void *
torc_sys_alloc_raw(size_t size)
{
	return malloc(size);
}

void *
torc_sys_realloc(void *memory, size_t size)
{
	return realloc(memory, size);
}

char *
torc_sys_strdup(const char *text)
{
	return strdup(text);
}

void
torc_sys_free(void *memory)
{
	free(memory);
}
