/* SPDX-License-Identifier: MIT */
/*
 * read.h - one ring of a process, as it is now.
 */
#ifndef RINGSTAT_READ_H
#define RINGSTAT_READ_H

#include "tools/ringstat/model.h"

/* How rings are read; the process is the one that has them. */
struct reader {
	int proc;		/* /proc */
	unsigned want;
	bool no_map;
	uint64_t retry_until;	/* for all rings of a sample */
	pid_t pid;
	pid_t tid;		/* the thread whose descriptors are listed */
	char folder[32];	/* of that thread, below /proc */
	int pidfd;		/* or -1; opened when it is needed */
};

/* Read descriptor `fd`. `before` (NULL: none) is the ring in the last
 * sample. */
void read_ring(struct reader *reader, struct ring *ring, unsigned fd,
    const struct ring *before);

/* What an index has moved by, modulo 2^32; UNKNOWN if either is. */
int64_t ring_distance(int64_t to, int64_t from);
/* The bytes of both queues, or UNKNOWN. */
int64_t ring_memory(const struct ring *ring);

#endif
