/* SPDX-License-Identifier: MIT */
/*
 * turn.c - turns for operations in which a thread of the kernel may wait: looks
 * at paths, and reads of bytes that are not in the page cache.
 *
 * A ring has a limited number of threads for files. A thread that waits for a
 * disk, or for a file server that does not answer, cannot be interrupted. So a
 * root uses a limited number of them. At most two thirds of these work below
 * the same folder of the root, because that may be another file system. Other
 * operations wait for their turn, in order and until their deadline.
 */
#include <errno.h>
#include <string.h>

#include "conn/file/site.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define WORKERS 8u		/* if the kernel does not tell how many */
#define SPARE 16u		/* for other roots, and other operations */

/* Ask the kernel to allow so many threads. Returns how many it allows. */
static unsigned
want_workers(const struct torc_reactor *reactor, unsigned most)
{
	uint32_t counts[2] = { 0, 0 };	/* for files, for all else */
	unsigned before;

	/* Zero asks for the current number. */
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

/* Returns the folder of a path. Files in the root itself share one. */
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
		/* A turn that this folder may not take is for another
		 * folder. */
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
