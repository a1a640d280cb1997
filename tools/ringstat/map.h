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

/*
 * Read the words (and with `entries` the SQEs and CQEs) of the ring that is
 * descriptor `fd` of the process `pidfd`. 0, or a negative errno; what the
 * words say makes sense then.
 */
int map_read(struct ring *ring, int pidfd, unsigned fd, bool entries);
/* As map_read, of a descriptor of our own: any file that can be mapped. */
int map_read_file(struct ring *ring, int fd, bool entries);

/* The kernel's name of an opcode, or NULL. */
const char *opcode_name(unsigned opcode);

#endif
