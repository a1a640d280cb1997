/* SPDX-License-Identifier: MIT */
/*
 * tally.c - mappings and memory, counted.
 */
#include "tests/tally.h"
#include "tests/seam.h"

#include <errno.h>
#include <string.h>

struct tally tally;

bool
step_fails(void)
{
	return ++tally.steps == tally.failing;
}

void
forget_tally(void)
{
	memset(&tally, 0, sizeof(tally));
}

int
__wrap_torc_sys_map(void **address, size_t size, int protection, int flags,
    int fd, uint64_t offset)
{
	int rc = step_fails() || tally.no_mappings ? -ENOMEM :
	    __real_torc_sys_map(address, size, protection, flags, fd, offset);

	tally.mapped += rc == 0;
	return rc;
}

int
__wrap_torc_sys_unmap(void *address, size_t size)
{
	tally.mapped--;
	return __real_torc_sys_unmap(address, size);
}

void *
__wrap_torc_sys_alloc(size_t size)
{
	void *memory = step_fails() ? NULL : __real_torc_sys_alloc(size);

	tally.allocated += memory != NULL;
	return memory;
}

void
__wrap_torc_sys_free(void *memory)
{
	tally.allocated -= memory != NULL;
	__real_torc_sys_free(memory);
}
