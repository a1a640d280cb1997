/* SPDX-License-Identifier: MIT */
/*
 * kring.h - a simulated ring as the kernel sees it: what kernel.c,
 * requests.c and check.c share.
 */
#ifndef TORC_TESTS_SIM_KRING_H
#define TORC_TESTS_SIM_KRING_H

#include <linux/openat2.h>
#include <sys/uio.h>

#include "conn/send.h"
#include "tests/sim/sim.h"

#define MAX_RINGS 8
#define MAX_BUFFERS 1024
#define GHOSTS 16

/* A request that the kernel has taken and not completed. */
struct req {
	struct req *next;
	struct kring *ring;
	struct io_uring_sqe sqe;
	struct file *file;
	bool multishot;
	bool queued;		/* in the ring's deferred work */
	bool hidden;		/* ... where a cancel does not find it */
	bool cancelled;
	struct sockaddr_storage address;
	struct iovec parts[1 + TORC_JOB_SLICES];	/* of a send */
	unsigned part_count;
	uint32_t size;		/* of all */
	uint32_t done;
	uint8_t *copy;		/* of memory that must not change */
	/* Of operations on files. */
	char *paths[2];
	struct open_how how;
	struct file *other;	/* the directory of the second path */
	bool threaded;		/* a thread of the kernel's does it */
	bool unfound;		/* a disk has it: cancels pass it by */
	bool over;		/* it is done: with this result */
	int32_t result;
	uint64_t begin_at;	/* until then, a cancel ends it */
	uint64_t done_at;
};

/* A group of provided buffers. */
struct group {
	struct io_uring_buf *ring;
	uint32_t entries;
	uint16_t head;		/* the next to be picked */
	uint16_t seen;		/* tail up to which they were looked at */
	bool incremental;
	struct {
		uint8_t *memory;
		uint32_t size;
		uint32_t filled;
		bool ours;	/* the kernel's, from provide to the CQE */
	} buffers[MAX_BUFFERS];
};

struct kring {
	bool used;
	int fd;
	uint32_t flags;		/* IORING_SETUP_ */
	uint32_t features;
	bool enabled;
	bool registered;	/* its descriptor */
	bool lost;		/* an enter failed for good, or will */
	bool dropped;		/* a completion, which is to be told */
	bool in_enter;
	unsigned owner;		/* who enabled it */

	void *rings;		/* the program's mapping */
	size_t rings_size;
	struct io_uring_sqe *sqes;
	size_t sqes_size;
	uint32_t *words;	/* sq head, tail, cq head, tail, ... */
	uint32_t *array;
	struct io_uring_cqe *cqes;
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t cq_freed;	/* head up to which CQEs were overwritten */

	struct req *reqs;	/* oldest first */
	struct req **work;	/* deferred, oldest first */
	unsigned work_count;
	struct io_uring_cqe *late;	/* completed while submitting */
	unsigned late_count;
	struct io_uring_cqe *list;	/* overflowed */
	unsigned list_count;
	struct group *group;
	struct file *eventfd;
	bool told_from_within;	/* of a write to another one, once */
	uint64_t ghosts[GHOSTS];	/* user_data of requests that ended */
	unsigned ghost_count;
};

/* The words at the beginning of the mapping. */
enum { SQ_HEAD, SQ_TAIL, CQ_HEAD, CQ_TAIL, SQ_FLAGS, SQ_DROPPED, CQ_OVERFLOW,
	WORDS = 16 };

extern struct kring rings[MAX_RINGS];

/* kernel.c */
struct torc_reactor *sim_ring_reactor(const struct kring *ring);
uint32_t sim_cq_ready(const struct kring *ring);
/* A completion; into the list if there is no room. */
void sim_cq_post(struct kring *ring, uint64_t user_data, int32_t res,
    uint32_t flags);
/* One of a multishot that goes on; false: no room, it must end. */
bool sim_cq_post_more(struct kring *ring, uint64_t user_data, int32_t res,
    uint32_t flags);
void sim_work_add(struct req *req);
/* The submission is over: what completed in it is posted. */
void sim_cq_post_late(struct kring *ring);

/* requests.c */
void sim_req_issue(struct kring *ring, const struct io_uring_sqe *sqe);
/* Deferred work of a request. */
void sim_req_run(struct req *req);
/* Forget all, as closing the ring does. */
void sim_req_drop_all(struct kring *ring);
void sim_group_look(struct kring *ring);
int sim_group_register(struct kring *ring,
    const struct torc_uapi_buf_reg *reg);
void sim_group_unregister(struct kring *ring);
/* Wake one for nothing, or let a dead one speak. */
void sim_req_mischief(struct kring *ring);

/* files.c: what an operation on files comes to. */
int sim_file_operate(const struct req *req);

#endif
