/* SPDX-License-Identifier: MIT */
/*
 * map.h - the words of a ring, read from its own memory: pidfd_getfd(2) and a
 * read-only mapping. The kernel takes no lock for it, and the owner is not
 * disturbed. The descriptor is held for as long as it takes to map it.
 *
 * Needs the right to trace the process (same user and dumpable, or root); the
 * rings that take memory of the program (NO_MMAP) cannot be mapped.
 */
#ifndef RINGSTAT_MAP_H
#define RINGSTAT_MAP_H

#include "tools/ringstat/model.h"

/*
 * A process to take descriptors from: opened for the first ring of it. `tid`
 * is the thread that has them: its main thread (the same number), or another
 * one if that has ended (Linux 6.9).
 */
int map_open(pid_t pid, pid_t tid);

/* A descriptor of our own of the ring that is `fd` of the process `pidfd`, to
 * be closed soon, or a negative errno. */
int map_take(int pidfd, unsigned fd);

/*
 * Read the words of the ring `fd`, a descriptor of our own: any file that can
 * be mapped. 0, or a negative errno; what the words say makes sense then.
 */
int map_read(struct ring *ring, int fd);

/* Set the sizes of slots as far as the size of the ring's memory tells them,
 * after map_read(). */
void map_measure(struct ring *ring, int fd);

/*
 * Add the first MAX_ENTRIES of the SQEs, or CQEs, that the words have counted.
 * False: they cannot be read, or the size of their slots is not known.
 */
bool map_read_sqes(struct ring *ring, int fd);
bool map_read_cqes(struct ring *ring, int fd);

#define MAP_CQES_AT 64u		/* where the CQEs begin */
/* Where the array of SQEs begins, in a ring that has one. */
size_t map_array_offset(size_t cq_entries, size_t cqe_size);
/* Copy a part of the ring's memory: 0, or a negative errno. */
int map_read_part(int fd, uint64_t region, size_t offset, void *to,
    size_t size);

/* The kernel's name of an opcode, or NULL. */
const char *opcode_name(unsigned opcode);

#endif
