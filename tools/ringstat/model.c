/* SPDX-License-Identifier: MIT */
/*
 * model.c - the memory of a sample.
 */
#include "tools/ringstat/model.h"

#include <stdlib.h>
#include <string.h>

#include "tools/ringstat/page.h"
#include "tools/ringstat/sockets.h"

/* Room for one more in an array that doubles. */
static void *
room(void *array, unsigned count, size_t size)
{
	/* At 0, 1, 2, 4, 8 ... it is full. */
	if ((count & (count - 1)) != 0)
		return array;
	return must_grow(array, count == 0 ? 1 : (size_t)count * 2, size);
}

struct process *
sample_add_process(struct sample *sample, pid_t pid, const char *folder)
{
	struct process *process;

	sample->processes = room(sample->processes, sample->process_count,
	    sizeof(*process));
	process = &sample->processes[sample->process_count++];
	*process = (struct process) {
		.pid = pid,
		.uid = UNKNOWN,
		.workers = UNKNOWN,
		.worker_cpu_us = UNKNOWN,
		.sqthreads = UNKNOWN,
		.sqthread_cpu_us = UNKNOWN,
		.locked_bytes = UNKNOWN,
		.pinned_bytes = UNKNOWN,
		.locked_left = UNKNOWN,
		.locked_limit = UNKNOWN,
		.descriptors = UNKNOWN,
		.descriptor_limit = UNKNOWN,
	};
	snprintf(process->folder, sizeof(process->folder), "%s", folder);
	return process;
}

struct ring *
sample_add_ring(struct sample *sample)
{
	struct ring *ring;

	sample->rings = room(sample->rings, sample->ring_count,
	    sizeof(*ring));
	ring = &sample->rings[sample->ring_count++];
	*ring = (struct ring) {
		.ino = UNKNOWN,
		.sq_entries = UNKNOWN,
		.sq_head = UNKNOWN,
		.sq_tail = UNKNOWN,
		.cached_sq_head = UNKNOWN,
		.sq_pending = UNKNOWN,
		.sq_dropped = UNKNOWN,
		.sq_flags = UNKNOWN,
		.cq_entries = UNKNOWN,
		.cq_head = UNKNOWN,
		.cq_tail = UNKNOWN,
		.cached_cq_tail = UNKNOWN,
		.cq_ready = UNKNOWN,
		.cq_overflow = UNKNOWN,
		.overflow_listed = UNKNOWN,
		.memory = UNKNOWN,
		.submissions = UNKNOWN,
		.completions = UNKNOWN,
		.sq_thread = UNKNOWN,
		.sq_cpu = UNKNOWN,
		.sq_total_us = UNKNOWN,
		.sq_work_us = UNKNOWN,
		.files = UNKNOWN,
		.buffers = UNKNOWN,
		.buffer_bytes = UNKNOWN,
		.napi = UNKNOWN,
	};
	return ring;
}

struct net *
sample_add_net(struct sample *sample, uint64_t ino)
{
	struct net *net;

	sample->nets = room(sample->nets, sample->net_count, sizeof(*net));
	net = &sample->nets[sample->net_count++];
	*net = (struct net) { .ino = ino };
	return net;
}

struct ring *
sample_find(const struct sample *sample, int64_t ino, pid_t pid, unsigned fd)
{
	for (unsigned i = 0; i < sample->ring_count; i++) {
		struct ring *ring = &sample->rings[i];

		if (ino != UNKNOWN ? ring->ino == ino :
		    ring->ino == UNKNOWN && ring->fds[0] == fd &&
		    sample->processes[ring->process].pid == pid)
			return ring;
	}
	return NULL;
}

void
ring_add_entry(struct ring *ring, const struct entry *entry)
{
	ring->entries = room(ring->entries, ring->entry_count,
	    sizeof(*entry));
	ring->entries[ring->entry_count++] = *entry;
}

void
sample_free(struct sample *sample)
{
	for (unsigned i = 0; i < sample->ring_count; i++) {
		free(sample->rings[i].entries);
		free(sample->rings[i].sockets);
		torc_view_free(sample->rings[i].torc);
	}
	for (unsigned i = 0; i < sample->process_count; i++)
		free(sample->processes[i].cgroup);
	for (unsigned i = 0; i < sample->net_count; i++)
		sockets_free(sample->nets[i].sockets);
	free(sample->nets);
	free(sample->rings);
	free(sample->processes);
	memset(sample, 0, sizeof(*sample));
}
