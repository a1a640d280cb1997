/* SPDX-License-Identifier: MIT */
/*
 * seam.c - the rest of sys/sys.h: the heap, mappings, files in memory,
 * eventfds, the clock.
 * Memory is real; what is handed out is counted, freed memory is overwritten,
 * and none may go that an operation in flight names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sys/explain.h"
#include "sys/sys.h"
#include "tests/sim/sim.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#define FREED 0xdd
#define STILL_GAP (300 * MS)	/* between two times that it stands still */

/* In front of each allocation. */
struct block {
	struct block *next;
	struct block *prev;
	size_t size;
	uint64_t number;	/* the crossing that made it */
};

struct mapping {
	void *address;
	size_t size;
};

#define MAPPINGS 512

static struct block blocks = { &blocks, &blocks, 0, 0 };
static struct mapping mappings[MAPPINGS];
static unsigned mapping_count;

#ifndef __has_feature
#define __has_feature(name) 0
#endif

/* What reactor/sanitizer.c keeps for AddressSanitizer must not fail. */
static bool
is_sanitizers(size_t size)
{
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
	return size == 2 * sizeof(void *);
#else
	(void)size;
	return false;
#endif
}

void *
torc_sys_alloc(size_t size)
{
	struct block *block;

	sim_kernel_any_call();
	if (!is_sanitizers(size) && sim_crossing(SITE_ALLOC) < 0)
		return NULL;
	block = calloc(1, sizeof(*block) + size);
	block->size = size;
	block->number = world.crossings;
	block->next = blocks.next;
	block->prev = &blocks;
	block->next->prev = block;
	blocks.next = block;
	return block + 1;
}

void
torc_sys_free(void *memory)
{
	struct block *block;

	if (memory == NULL)
		return;
	block = (struct block *)memory - 1;
	sim_kernel_check_free(memory, block->size);
	block->next->prev = block->prev;
	block->prev->next = block->next;
	memset(memory, FREED, block->size);
	free(block);
}

void *
torc_sys_alloc_raw(size_t size)
{
	void *memory = torc_sys_alloc(size);

	if (memory != NULL)
		memset(memory, FREED, size);
	return memory;
}

void *
torc_sys_alloc_array(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? NULL :
	    torc_sys_alloc(bytes);
}

/* Always at another place. */
void *
torc_sys_realloc(void *memory, size_t size)
{
	const struct block *block = (struct block *)memory - 1;
	void *moved = torc_sys_alloc_raw(size);

	if (moved == NULL || memory == NULL)
		return moved;
	memcpy(moved, memory, block->size < size ? block->size : size);
	torc_sys_free(memory);
	return moved;
}

char *
torc_sys_strdup(const char *text)
{
	char *copy = torc_sys_alloc_raw(strlen(text) + 1);

	return copy == NULL ? NULL : strcpy(copy, text);
}

int
torc_sys_map(void **address, size_t size, int prot, int flags, int fd,
    uint64_t offset)
{
	int rc = sim_crossing(SITE_MAP);

	if (rc < 0)
		return rc;
	if (fd >= 0 && sim_fd_file(fd)->kind == FILE_RING) {
		rc = sim_kernel_map(sim_fd_file(fd), address, size, offset);
	} else {
		*address = mmap(NULL, size, prot, flags | MAP_ANONYMOUS, -1,
		    0);
		if (*address == MAP_FAILED)
			sim_fail("no memory for the simulation");
	}
	if (mapping_count == MAPPINGS)
		sim_fail("more mappings than are known here");
	mappings[mapping_count++] = (struct mapping) { *address, size };
	return rc;
}

int
torc_sys_unmap(void *address, size_t size)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		if (mappings[i].address != address)
			continue;
		if (mappings[i].size != size)
			sim_fail("a mapping of %zu bytes is unmapped as %zu",
			    mappings[i].size, size);
		sim_kernel_check_free(address, size);
		sim_kernel_unmap(address);
		mappings[i] = mappings[--mapping_count];
		munmap(address, size);
		return 0;
	}
	sim_fail("something is unmapped that was not mapped");
}

int
torc_sys_advise(void *address, size_t size, int advice)
{
	int rc;

	switch (advice) {
	case MADV_DONTFORK:
		return sim_crossing(SITE_DONTFORK);
	case MADV_GUARD_INSTALL:
		if (world.profile < LINUX_6_18)
			return -EINVAL;
		return sim_crossing(SITE_GUARD);
	case MADV_DONTNEED:
		rc = sim_crossing(SITE_FORGET);
		if (rc == 0)
			madvise(address, size, advice);
		return rc;
	case MADV_NOHUGEPAGE:
	case MADV_DOFORK:
		return 0;
	default:
		sim_fail("advice %d is given", advice);
	}
}

/* Guards are not put up here: other tests see that they hold. */
int
torc_sys_protect(void *address, size_t size, int prot)
{
	(void)address;
	(void)size;
	(void)prot;
	return sim_crossing(SITE_PROTECT);
}

int
torc_sys_close(int fd)
{
	int rc = sim_crossing(SITE_CLOSE);

	sim_kernel_any_call();
	/* Whatever it says, the descriptor is gone. */
	sim_fd_close(fd);
	return rc;
}

int
torc_sys_eventfd(void)
{
	struct file *file;
	int rc = sim_crossing(SITE_EVENTFD);

	return rc < 0 ? rc : sim_fd_open(FILE_EVENTFD, &file);
}

/* Files in memory: that nobody else can write to them is not modelled. */
int
torc_sys_memfd(const char *name, unsigned flags)
{
	struct file *file;
	int rc = sim_crossing(SITE_MEMFD);

	(void)name;
	(void)flags;
	return rc < 0 ? rc : sim_fd_open(FILE_MEMORY, &file);
}

int
torc_sys_resize(int fd, uint64_t size)
{
	(void)fd;
	(void)size;
	return sim_crossing(SITE_RESIZE);
}

int
torc_sys_seal(int fd, int seals)
{
	(void)fd;
	(void)seals;
	return sim_crossing(SITE_SEAL);
}

/* All of it: what is really there differs from run to run. */
int
torc_sys_resident(void *address, size_t size, uint8_t *pages)
{
	(void)address;
	memset(pages, 1, size / torc_sys_page_size());
	return sim_crossing(SITE_RESIDENT);
}

int
torc_sys_thread(void)
{
	return 1000 + (int)world.running;
}

int
torc_sys_read(int fd, void *data, size_t size)
{
	struct file *file = sim_fd_file(fd);
	int rc = sim_crossing(SITE_READ);

	if (rc < 0)
		return rc;
	if (file == NULL || file->kind != FILE_EVENTFD || size != 8)
		sim_fail("descriptor %d is read", fd);
	if (file->count == 0)
		return -EAGAIN;
	memcpy(data, &file->count, 8);
	file->count = 0;
	return 8;
}

int
torc_sys_write(int fd, const void *data, size_t size)
{
	struct file *file = sim_fd_file(fd);
	uint64_t count;

	if (file == NULL || file->kind != FILE_EVENTFD || size != 8)
		sim_fail("descriptor %d is written to", fd);
	memcpy(&count, data, 8);
	file->count += count;
	sim_trace("wake", fd, (int64_t)count, 0);
	world.in_eventfd = true;
	sim_kernel_wake(file, 1);
	world.in_eventfd = false;
	return 8;
}

/* The thread is stopped, or its machine: the others go on. */
static void
stand_still(void)
{
	const uint64_t until = world.now + (20 + sim_draw(130)) * MS;

	world.still_ns += until - world.now;
	world.still_at = until;
	sim_trace("still", (int64_t)(until - world.now), 0, 0);
	while (world.now < until)
		sim_step(until);
}

/* Who asks again and again, sees time pass and others go on. */
uint64_t
torc_sys_now(void)
{
	sim_meanwhile();
	if (world.now > world.still_at + STILL_GAP && sim_fault(FAULT_STILL))
		stand_still();
	return world.now;
}

void
torc_sys_sleep(uint64_t ns)
{
	uint64_t until = world.now + ns;

	sim_kernel_any_call();
	while (world.now < until)
		sim_step(until);
}

int
torc_sys_rlimit(int resource, uint64_t *soft)
{
	/* The kernel counts the numbers, also of those that are not ours. */
	*soft = resource == RLIMIT_NOFILE ? world.first_fd + world.nofile :
	    UINT64_MAX;
	return 0;
}

int
torc_sys_interface(const char *name)
{
	(void)name;
	return -ENODEV;
}

int
torc_sys_interface_name(unsigned number, char name[TORC_INTERFACE_NAME])
{
	(void)number;
	(void)name;
	return -ENXIO;
}

int
torc_sys_allowed_cpu(unsigned index)
{
	return index == 0 ? 0 : -ENOENT;
}

int
torc_sys_pin(int cpu)
{
	(void)cpu;
	return 0;
}

size_t
torc_sys_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The real one reads /proc. */
void
torc_explain_call(char *text, size_t size, const char *call, int error,
    uint64_t memory)
{
	snprintf(text, size, "%s: error %d, %llu bytes", call, error,
	    (unsigned long long)memory);
}

void
torc_explain(char *text, size_t size, int error, uint64_t memory)
{
	torc_explain_call(text, size, "io_uring_setup", error, memory);
}

void
sim_seam_reset(void)
{
	while (mapping_count > 0) {
		struct mapping *mapping = &mappings[--mapping_count];

		munmap(mapping->address, mapping->size);
	}
	while (blocks.next != &blocks) {
		struct block *block = blocks.next;

		blocks.next = block->next;
		free(block);
	}
	blocks.prev = &blocks;
}

void
sim_seam_check_end(bool memory_too)
{
	if (!memory_too)
		return;
	if (mapping_count > 0)
		sim_fail("%u mappings were left, one of %zu bytes",
		    mapping_count, mappings[0].size);
	if (blocks.next != &blocks)
		sim_fail("%zu bytes were left that crossing %llu allocated",
		    blocks.next->size,
		    (unsigned long long)blocks.next->number);
}
