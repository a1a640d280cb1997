/* SPDX-License-Identifier: MIT */
/*
 * model.h - a sample: the rings that may be seen, and their processes.
 *
 * A figure that is not known is UNKNOWN; no figure is 0 for want of a better
 * one. Everything of a sample is freed with it.
 */
#ifndef RINGSTAT_MODEL_H
#define RINGSTAT_MODEL_H

#include <sys/types.h>

#include "tools/ringstat/fdinfo.h"
#include "tools/ringstat/options.h"

#define MAX_ENTRIES 1024u	/* kept of each list */
#define MAX_LISTED 16u		/* descriptors and sharers that are named */

enum source { SOURCE_MAP = 1, SOURCE_FDINFO = 2, SOURCE_PAGE = 4 };
/* Lists of a ring that are not whole. */
enum hidden {
	HIDDEN_SQES = 1, HIDDEN_CQES = 2, HIDDEN_OVERFLOW = 4, HIDDEN_FDS = 8,
	HIDDEN_SHARERS = 16,
};

struct sockets;			/* sockets.h */
struct torc_view;		/* page.h */

struct process {
	pid_t pid;
	char folder[32];	/* below /proc: its own, or of a thread that
				 * lives where the main thread has ended */
	char comm[64];
	int64_t uid;
	uint64_t capabilities;	/* effective: bits by CAP_; 0: not known */
	bool first_namespace;	/* of users: they count for the machine */
	char *cgroup;		/* or NULL */
	int64_t workers;	/* threads iou-wrk-* */
	int64_t worker_cpu_us;
	int64_t sqthreads;	/* threads iou-sqp-* */
	int64_t sqthread_cpu_us;
	int64_t locked_bytes;	/* by mlock(2) */
	int64_t pinned_bytes;	/* by registered buffers and the like */
	int64_t locked_limit;	/* bytes; UNKNOWN: also without a limit */
	int64_t locked_left;	/* to its user, at most; UNKNOWN: no limit */
	int64_t user_rings;	/* what its user is charged with: rings ... */
	int64_t user_pinned;	/* ... and pinned memory */
	int64_t descriptors;
	int64_t descriptor_limit;
	const struct sockets *sockets;	/* the sample's, or NULL */
};

struct ring {
	int64_t ino;		/* or UNKNOWN: before Linux 5.14 */
	unsigned process;	/* index in the sample */
	unsigned fds[MAX_LISTED];
	unsigned fd_count;	/* all of them */
	pid_t shared_by[MAX_LISTED];
	unsigned shared_count;	/* without an inode: not known */
	unsigned sources;
	unsigned hidden;
	bool busy;		/* fdinfo had no body */
	bool skipped;		/* fdinfo was too dear to be read again */

	int64_t sq_entries;
	int64_t sq_head;
	int64_t sq_tail;
	int64_t cached_sq_head;	/* SQEs that the kernel has taken, mod 2^32 */
	int64_t sq_pending;
	int64_t sq_dropped;
	int64_t sq_flags;
	int64_t cq_entries;
	int64_t cq_head;
	int64_t cq_tail;
	int64_t cached_cq_tail;	/* CQEs that were posted, mod 2^32 */
	int64_t cq_ready;
	int64_t cq_overflow;	/* CQEs that were lost */
	int64_t overflow_listed;
	int64_t memory;		/* bytes of both queues */
	double submissions;	/* a second, or UNKNOWN */
	double completions;

	bool polls_known;
	uint32_t polls[OPCODES];
	int64_t sq_thread;
	int64_t sq_cpu;
	int64_t sq_total_us;
	int64_t sq_work_us;
	int64_t files;
	int64_t buffers;
	int64_t buffer_bytes;
	int64_t napi;

	uint32_t sqe_size;	/* of a slot: 64 or 128; 0: not known */
	uint32_t cqe_size;	/* 16 or 32 */
	bool mixed_sqes;	/* some take two slots */
	bool mixed_known;	/* ... or not */
	uint32_t cqe_fillers;	/* of those that wait: they mean nothing */
	struct entry *entries;	/* SQEs, CQEs, overflowed, in this order */
	unsigned entry_count;
	int64_t unshown[3];	/* by kind: places that are not in `entries`;
				 * UNKNOWN: how many is not known */
	bool entries_known;
	uint64_t *sockets;	/* inodes of registered ones */
	unsigned socket_count;
	unsigned sockets_unshown;	/* that are in no list */
	struct torc_view *torc;	/* or NULL */

	uint64_t cost_ns;	/* of reading its fdinfo */
	uint64_t wait_until;	/* before which that is not done again */
};

/* The sockets of a network namespace, which many processes have. */
struct net {
	uint64_t ino;		/* of the namespace; 0: not known */
	struct sockets *sockets;
};

struct sample {
	uint64_t time_ns;	/* CLOCK_MONOTONIC */
	double interval;	/* seconds since the last one; 0: none */
	struct process *processes;
	unsigned process_count;
	struct ring *rings;
	unsigned ring_count;
	struct net *nets;
	unsigned net_count;
	unsigned denied;	/* processes */
	unsigned vanished;
	bool asked_missing;	/* a process that was asked for */
	bool asked_denied;
	bool charges_rings;	/* the kernel does, to RLIMIT_MEMLOCK */
};

/* What of a ring is wanted besides the words of its queues. */
enum want {
	WANT_LISTS = 1,		/* fdinfo, whatever the map tells */
	WANT_ENTRIES = 2,
	WANT_THREADS = 4,
	WANT_LIMITS = 8,
	WANT_CGROUP = 16,
	WANT_TORC = 32,
	WANT_CONNS = 64,
	WANT_SOCKETS = 128,
	WANT_LONERS = 256,	/* processes with threads of a ring that has
				 * no descriptor */
	WANT_SHARERS = 512,	/* also of processes that were not asked for */
};

/*
 * Look at the machine. `before` (NULL: none) is the last sample, for rates.
 * 0, or a negative errno when /proc cannot be read.
 */
int sample_take(struct sample *sample, const struct options *options,
    unsigned want, const struct sample *before);
void sample_free(struct sample *sample);

/* A new ring or process, everything in it unknown. */
struct ring *sample_add_ring(struct sample *sample);
struct process *sample_add_process(struct sample *sample, pid_t pid,
    const char *folder);
/* As sample_add_ring: the namespace of a process, its tables not yet read. */
struct net *sample_add_net(struct sample *sample, uint64_t ino);
/* The ring with this inode, or of this process and descriptor. */
struct ring *sample_find(const struct sample *sample, int64_t ino, pid_t pid,
    unsigned fd);
void ring_add_entry(struct ring *ring, const struct entry *entry);

#endif
