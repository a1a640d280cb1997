/* SPDX-License-Identifier: MIT */
/*
 * fdinfo.h - what the kernel prints of a ring in /proc/PID/fdinfo/FD.
 *
 * Every line is optional, unknown lines are left out, and lines may come in
 * any order: kernels differ. `body` says whether there was anything of the
 * ring at all: kernels since about 6.16 print nothing when it is in use.
 */
#ifndef RINGSTAT_FDINFO_H
#define RINGSTAT_FDINFO_H

#include "tools/ringstat/text.h"

#define OPCODES 128u	/* more than any kernel has */

/* An SQE that was not taken yet, or a completion that nobody reaped. */
struct entry {
	enum { ENTRY_SQE, ENTRY_CQE, ENTRY_OVERFLOW } kind;
	uint32_t index;		/* of its slot */
	uint32_t size;		/* in bytes; 0: not known */
	uint8_t places;		/* of the queue that it takes: 1 or 2 */
	char opcode[24];	/* the kernel's name of it */
	int32_t fd;
	uint32_t sqe_flags;
	uint64_t off;
	uint64_t addr;
	uint32_t op_flags;
	uint32_t buf_index;
	uint64_t user_data;
	int32_t res;
	uint32_t cqe_flags;
	uint64_t extra[2];	/* of a CQE of 32 bytes */
};

struct fdinfo {
	int64_t ino;
	int64_t sq_entries;
	int64_t sq_head;
	int64_t sq_tail;
	int64_t cached_sq_head;
	int64_t cq_entries;
	int64_t cq_head;
	int64_t cq_tail;
	int64_t cached_cq_tail;
	int64_t sqes;		/* pending, as the kernel counts them */
	int64_t cqes;
	int64_t sq_thread;	/* pid; UNKNOWN: none, or not said */
	int64_t sq_cpu;
	int64_t sq_total_us;
	int64_t sq_work_us;
	int64_t files;
	int64_t buffers;
	int64_t buffer_bytes;
	int64_t napi;		/* 0 or 1 */
	int64_t overflow;	/* completions listed as overflowed */
	uint32_t sqes_listed;	/* places of the queue */
	uint32_t cqes_listed;	/* ... with those of fillers */
	uint32_t cqe_fillers;	/* that mean nothing (CQE_MIXED) */
	uint32_t files_listed;
	uint32_t sqe_size;	/* of the ring's slots; 0: not known */
	uint32_t cqe_size;
	bool mixed_sqes;	/* some take two slots (SQE_MIXED) */
	bool body;
	bool polls_known;
	uint32_t polls[OPCODES];

	/* Of the SQE before. */
	uint32_t last_index;
	bool last_double;

	/* Both may be NULL: called for each of them, in order. */
	void (*entry)(void *arg, const struct entry *entry);
	/* The inode of a socket among the registered files. */
	void (*socket)(void *arg, uint64_t ino);
	void *arg;
};

/* Set `entry`, `socket` and `arg` after it, and then parse. */
void fdinfo_init(struct fdinfo *info);
/* Read all lines. 0, or the error of reading. */
int fdinfo_parse(struct fdinfo *info, struct lines *lines);

#endif
