/* SPDX-License-Identifier: MIT */
/*
 * read.c - one ring: its own memory, and what the kernel prints of it.
 */
#include "tools/ringstat/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/uapi.h"
#include "tools/ringstat/map.h"

#define MAX_SOCKETS 4096u	/* registered ones that are kept */
/* What reading one ring's fdinfo may take of the time: the kernel holds its
 * lock meanwhile. */
#define DUTY 100u

int64_t
ring_distance(int64_t to, int64_t from)
{
	return to == UNKNOWN || from == UNKNOWN ? UNKNOWN :
	    (int64_t)((uint32_t)to - (uint32_t)from);
}

static void
note_socket(void *arg, uint64_t ino)
{
	struct ring *ring = arg;

	if (ring->socket_count == MAX_SOCKETS) {
		ring->sockets_unshown++;
		return;
	}
	if (ring->sockets == NULL)
		ring->sockets = must_grow(NULL, MAX_SOCKETS, sizeof(ino));
	ring->sockets[ring->socket_count++] = ino;
}

struct collector {
	struct ring *ring;
	unsigned counts[3];	/* by kind */
};

static void
collect_entry(void *arg, const struct entry *entry)
{
	struct collector *collector = arg;

	if (collector->counts[entry->kind]++ < MAX_ENTRIES)
		ring_add_entry(collector->ring, entry);
}

static void
collect_socket(void *arg, uint64_t ino)
{
	note_socket(((struct collector *)arg)->ring, ino);
}

/* What the map has said is more recent, and stays. */
static void
prefer(int64_t *value, int64_t other)
{
	if (*value == UNKNOWN)
		*value = other;
}

static void
take_fdinfo(struct ring *ring, const struct fdinfo *info)
{
	prefer(&ring->sq_entries, info->sq_entries);
	prefer(&ring->sq_head, info->sq_head);
	prefer(&ring->sq_tail, info->sq_tail);
	prefer(&ring->cq_entries, info->cq_entries);
	prefer(&ring->cq_head, info->cq_head);
	prefer(&ring->cq_tail, info->cq_tail);
	prefer(&ring->sq_pending, ring_distance(info->sq_tail, info->sq_head));
	prefer(&ring->cq_ready, ring_distance(info->cq_tail, info->cq_head));
	ring->cached_sq_head = info->cached_sq_head;
	ring->cached_cq_tail = info->cached_cq_tail;
	ring->overflow_listed = info->overflow;
	ring->polls_known = info->polls_known;
	memcpy(ring->polls, info->polls, sizeof(ring->polls));
	ring->sq_thread = info->sq_thread;
	ring->sq_cpu = info->sq_cpu;
	ring->sq_total_us = info->sq_total_us;
	ring->sq_work_us = info->sq_work_us;
	ring->files = info->files;
	ring->buffers = info->buffers;
	ring->buffer_bytes = info->buffer_bytes;
	ring->napi = info->napi;
	if (ring->sqe_size == 0)
		ring->sqe_size = info->sqe_size;
	if (ring->cqe_size == 0)
		ring->cqe_size = info->cqe_size;
	ring->mixed_sqes = info->mixed_sqes;
	ring->mixed_known = info->sqes_listed > 0;
	ring->cqe_fillers = info->cqe_fillers;
	/* Rings without an index array: their SQEs are not printed. Those
	 * with wide CQEs: about half. */
	if (!(ring->sources & SOURCE_MAP) && info->sqes > 0 &&
	    info->sqes_listed < info->sqes)
		ring->hidden |= HIDDEN_SQES;
	if (!(ring->sources & SOURCE_MAP) && info->cqes > 0 &&
	    info->cqes_listed < info->cqes)
		ring->hidden |= HIDDEN_CQES;
}

/* Once. 0, -EAGAIN when the ring was in use, or another error. */
static int
read_fdinfo(const struct reader *reader, struct ring *ring, unsigned fd,
    bool entries)
{
	struct collector collector = { .ring = ring };
	struct fdinfo info;
	struct lines lines;
	char path[64];
	int file, rc;

	snprintf(path, sizeof(path), "%s/fdinfo/%u", reader->folder, fd);
	file = openat(reader->proc, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	fdinfo_init(&info);
	info.arg = &collector;
	info.socket = collect_socket;
	if (entries)
		info.entry = collect_entry;
	lines_of_fd(&lines, file);
	rc = fdinfo_parse(&info, &lines);
	close(file);
	if (rc < 0)
		return rc;
	if (!info.body)
		return -EAGAIN;
	take_fdinfo(ring, &info);
	ring->sources |= SOURCE_FDINFO;
	return 0;
}

/* Of this thread: time in which others had the CPU is no cost of a ring. */
static uint64_t
cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void
read_fdinfo_patiently(const struct reader *reader, struct ring *ring,
    unsigned fd, bool entries)
{
	uint64_t begun = torc_sys_now(), used = cpu_time();
	uint64_t pause_ns = 100000;
	int rc = read_fdinfo(reader, ring, fd, entries);

	for (int i = 0; rc == -EAGAIN && i < 6; i++, pause_ns *= 2) {
		if (torc_sys_now() + pause_ns > reader->retry_until)
			break;
		torc_sys_sleep(pause_ns);
		begun = torc_sys_now();
		used = cpu_time();
		rc = read_fdinfo(reader, ring, fd, entries);
	}
	ring->busy = rc == -EAGAIN;
	ring->cost_ns = cpu_time() - used;
	ring->wait_until = begun + ring->cost_ns * DUTY;
}

/* Reading a long backlog line by line would stop the ring for that long. */
static bool
is_dear(const struct ring *ring, const struct ring *before, uint64_t now)
{
	return ring->sources & SOURCE_MAP &&
	    ((before != NULL && before->wait_until > now) ||
	    ring->sq_pending + ring->cq_ready > (int64_t)MAX_ENTRIES * 4);
}

/* ---- Entries ---- */

static void
append_listed(struct ring *ring, const struct entry *listed, unsigned count,
    unsigned kind)
{
	for (unsigned i = 0; i < count; i++) {
		struct entry entry = listed[i];

		if (entry.kind != kind)
			continue;
		if (kind == ENTRY_SQE && ring->sqe_size == 128)
			entry.places = 1;	/* as was seen by the others */
		ring_add_entry(ring, &entry);
	}
}

/* Whether the CQEs that were listed have numbers that follow each other. */
static bool
are_successive(const struct ring *ring, const struct entry *listed,
    unsigned count)
{
	const uint32_t mask = (uint32_t)ring->cq_entries - 1;
	const struct entry *first = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (listed[i].kind != ENTRY_CQE)
			continue;
		if (first != NULL)
			return ((listed[i].index - first->index) & mask) == 1;
		first = &listed[i];
	}
	return false;
}

/*
 * Linux 6.18 prints every second CQE of a ring of wide ones, and counts slots
 * of 16 bytes: what it calls number 4 is the third one, if it waits at all,
 * and an odd number is half of one. Kernels before it are right. The number of
 * a single CQE does not tell how it is meant, but for 0. Keep what is certain.
 */
static void
correct_wide(const struct ring *ring, struct entry *listed, unsigned *count)
{
	const uint32_t mask = (uint32_t)ring->cq_entries - 1;
	const bool right = are_successive(ring, listed, *count);
	unsigned cqes = 0, kept = 0;

	for (unsigned i = 0; i < *count; i++)
		cqes += listed[i].kind == ENTRY_CQE;
	for (unsigned i = 0; i < *count; i++) {
		struct entry entry = listed[i];

		if (entry.kind == ENTRY_CQE && !right) {
			if (entry.index % 2 != 0 ||
			    (cqes == 1 && entry.index != 0))
				continue;
			entry.index /= 2;
			if (((entry.index - (uint32_t)ring->cq_head) & mask) >=
			    ring->cq_ready)
				continue;
		}
		listed[kept++] = entry;
	}
	*count = kept;
}

/* What is known to be there and is not in the list. */
static void
count_unshown(struct ring *ring, unsigned kind, int64_t total)
{
	for (unsigned i = 0; i < ring->entry_count; i++) {
		if (ring->entries[i].kind == kind)
			total -= ring->entries[i].places;
	}
	ring->unshown[kind] = total > 0 ? total : 0;
	if (total > 0)
		ring->hidden |= 1u << kind;
}

static void
count_all_unshown(struct ring *ring)
{
	const bool overflowed = ring->sq_flags != UNKNOWN &&
	    ring->sq_flags & IORING_SQ_CQ_OVERFLOW;

	ring->hidden &= ~(unsigned)(HIDDEN_SQES | HIDDEN_CQES);
	count_unshown(ring, ENTRY_SQE, ring->sq_pending);
	count_unshown(ring, ENTRY_CQE, ring->cq_ready - ring->cqe_fillers);
	count_unshown(ring, ENTRY_OVERFLOW, ring->overflow_listed);
	if (ring->overflow_listed == UNKNOWN && overflowed) {
		ring->unshown[ENTRY_OVERFLOW] = UNKNOWN;
		ring->hidden |= HIDDEN_OVERFLOW;
	}
}

/*
 * The map has whole lists, of the same moment as its words. fdinfo has what the
 * map cannot tell, and says how large slots are.
 */
static void
list_entries(const struct reader *reader, struct ring *ring, unsigned fd)
{
	struct entry *listed = ring->entries;
	unsigned count = ring->entry_count;
	int taken = ring->sources & SOURCE_MAP ?
	    map_take(reader->pidfd, fd) : -1;
	const bool mapped = taken >= 0 && map_read(ring, taken) == 0;

	ring->entries = NULL;
	ring->entry_count = 0;
	if (ring->cqe_size == 32)
		correct_wide(ring, listed, &count);
	if (!mapped || !map_read_sqes(ring, taken))
		append_listed(ring, listed, count, ENTRY_SQE);
	if (!mapped || !map_read_cqes(ring, taken))
		append_listed(ring, listed, count, ENTRY_CQE);
	append_listed(ring, listed, count, ENTRY_OVERFLOW);
	ring->entries_known = ring->sources != 0;
	count_all_unshown(ring);
	if (taken >= 0)
		close(taken);
	free(listed);
}

/* ---- The ring ---- */

static void
read_map(struct reader *reader, struct ring *ring, unsigned fd)
{
	int taken;

	if (reader->pidfd < 0)
		reader->pidfd = map_open(reader->pid, reader->tid);
	taken = reader->pidfd < 0 ? -1 : map_take(reader->pidfd, fd);
	if (taken < 0)
		return;
	if (map_read(ring, taken) == 0 &&
	    reader->want & (WANT_LISTS | WANT_ENTRIES))
		map_measure(ring, taken);
	close(taken);
}

void
read_ring(struct reader *reader, struct ring *ring, unsigned fd,
    const struct ring *before)
{
	const bool entries = reader->want & WANT_ENTRIES;

	if (!reader->no_map)
		read_map(reader, ring, fd);
	if (ring->sources & SOURCE_MAP && !(reader->want & WANT_LISTS) &&
	    !entries)
		return;
	if (is_dear(ring, before, torc_sys_now())) {
		ring->skipped = true;
		ring->wait_until = before == NULL ? 0 : before->wait_until;
	} else {
		read_fdinfo_patiently(reader, ring, fd, entries);
	}
	if (entries)
		list_entries(reader, ring, fd);
}

int64_t
ring_memory(const struct ring *ring)
{
	size_t queues, sqes;

	if (ring->sq_entries == UNKNOWN || ring->cq_entries == UNKNOWN)
		return UNKNOWN;
	queues = (size_t)((64 + ring->cq_entries * 16) *
	    (ring->cqe_size == 32 ? 2 : 1) + ring->sq_entries * 4);
	sqes = (size_t)ring->sq_entries * (ring->sqe_size == 128 ? 128 : 64);
	return (int64_t)(torc_pages_whole(queues) + torc_pages_whole(sqes));
}
