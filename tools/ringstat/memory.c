/* SPDX-License-Identifier: MIT */
/*
 * memory.c - adding up what a user is charged with.
 */
#include "tools/ringstat/memory.h"

#include <linux/capability.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "sys/pages.h"
#include "tools/ringstat/page.h"

bool
memory_charges_rings(void)
{
	struct utsname system;
	char *minor;
	long release;

	uname(&system);
	release = strtol(system.release, &minor, 10) * 1000;
	if (*minor == '.')
		release += strtol(minor + 1, NULL, 10);
	return release >= 6014;
}

bool
memory_is_limited(const struct process *process)
{
	const bool exempt = process->first_namespace &&
	    process->capabilities >> CAP_IPC_LOCK & 1;

	return process->locked_limit != UNKNOWN && !exempt;
}

/* The entries of the buffer ring of a torc program; what it says is checked,
 * since it may say anything. */
static int64_t
buffer_ring(const struct ring *ring)
{
	const uint64_t count = ring->torc == NULL ? 0 :
	    ring->torc->page.limit.buffers;

	return count > 32768 ? 0 : (int64_t)torc_pages_whole(
	    (size_t)count * sizeof(struct io_uring_buf));
}

/* What of a user's locked memory can be seen, in bytes. */
struct charge {
	int64_t rings;		/* queues and buffer rings */
	int64_t pinned;
};

static struct charge
charge_of(const struct sample *sample, int64_t uid)
{
	struct charge charge = { 0, 0 };

	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];
		const struct process *process =
		    &sample->processes[ring->process];

		if (process->uid == uid && memory_is_limited(process) &&
		    ring->memory != UNKNOWN && sample->charges_rings)
			charge.rings += ring->memory + buffer_ring(ring);
	}
	for (unsigned i = 0; i < sample->process_count; i++) {
		const struct process *process = &sample->processes[i];

		if (process->uid == uid && memory_is_limited(process) &&
		    process->pinned_bytes > 0)
			charge.pinned += process->pinned_bytes;
	}
	return charge;
}

void
memory_account(struct sample *sample, const struct sample *whole, int64_t user)
{
	for (unsigned i = 0; i < sample->process_count; i++) {
		struct process *process = &sample->processes[i];
		struct charge charge;

		if (process->uid == UNKNOWN || !memory_is_limited(process) ||
		    (user != UNKNOWN && user != process->uid))
			continue;
		charge = charge_of(whole, process->uid);
		process->user_rings = charge.rings;
		process->user_pinned = charge.pinned;
		process->locked_left = process->locked_limit - charge.rings -
		    charge.pinned;
		if (process->locked_left < 0)
			process->locked_left = 0;
	}
}
