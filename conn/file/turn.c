/* SPDX-License-Identifier: MIT */
/*
 * turn.c - turns at what a thread of the kernel's may wait in: looks at paths,
 * and reads of what is not in the page cache.
 *
 * A ring has so many threads for files, and one that waits for a disk, or for
 * a server of files that is away, cannot be had back. So a root uses no more
 * of them than it may have, and what is below one folder of it, which may be
 * another file system, no more than two thirds of these. Others wait for their
 * turn, in order and until their deadline.
 */
#include <errno.h>
#include <string.h>

#include "conn/file/site.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define WORKERS 8u		/* if the kernel does not tell how many */
#define SPARE 16u		/* for other roots, and other operations */

/* Let there be so many threads, if they are needed: how many there may be. */
static unsigned
want_workers(const struct torc_reactor *reactor, unsigned most)
{
	uint32_t counts[2] = { 0, 0 };	/* for files, for all else */
	unsigned before;

	/* Zero: as it is, which is told. */
	if (torc_sys_register(reactor->ring.fd,
	    IORING_REGISTER_IOWQ_MAX_WORKERS, counts, 2) < 0)
		return WORKERS;
	before = counts[0] > 0 ? counts[0] : WORKERS;
	if (before >= most)
		return before;
	counts[0] = most;
	counts[1] = 0;
	return torc_sys_register(reactor->ring.fd,
	    IORING_REGISTER_IOWQ_MAX_WORKERS, counts, 2) < 0 ? before : most;
}

void
torc_file_turns_init(struct torc_file_root *root)
{
	struct torc_file_turns *turns = &root->turns;
	const unsigned wanted = root->config.looks_max;
	const unsigned workers = want_workers(root->reactor, wanted + SPARE);

	turns->most = wanted + SPARE <= workers ? wanted :
	    (workers * 3 + 3) / 4;
	turns->most_together = (turns->most * 2 + 2) / 3;
}

/* The folder of a path that lies in the root itself; that of those, too. */
unsigned
torc_file_folder(const char *path)
{
	const char *end = strchr(path, '/');
	uint32_t hash = 2166136261u;	/* FNV-1a */

	for (; end != NULL && path < end; path++)
		hash = (hash ^ (uint8_t)*path) * 16777619u;
	return hash % TORC_FILE_FOLDERS;
}

int
torc_file_turn_take(struct torc_file_turns *turns, unsigned folder,
    torc_deadline deadline)
{
	struct torc_file_folder *of = &turns->folders[folder];

	for (;;) {
		const bool crowded = of->taken >= turns->most_together;
		int rc;

		if (!crowded && turns->taken < turns->most)
			break;
		/* A turn that this folder may not have is for another. */
		if (crowded && turns->taken < turns->most)
			torc_wake(&turns->waiters, 0);
		rc = torc_wait(crowded ? &of->waiters : &turns->waiters,
		    deadline);
		if (rc < 0)
			return rc;
	}
	of->taken++;
	turns->taken++;
	return 0;
}

void
torc_file_turn_give(struct torc_file_turns *turns, unsigned folder)
{
	struct torc_file_folder *of = &turns->folders[folder];

	torc_assert(of->taken > 0 && turns->taken > 0);
	of->taken--;
	turns->taken--;
	torc_wake(&of->waiters, 0);
	torc_wake(&turns->waiters, 0);
}
