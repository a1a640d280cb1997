/*
 * read.c - one ring: its own memory, and what the kernel prints of it.
 */
#include "tools/ringstat/read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sys/pages.h"
#include "sys/sys.h"
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

	if (ring->socket_count == MAX_SOCKETS)
		return;
	if (ring->sockets == NULL)
		ring->sockets = must_grow(NULL, MAX_SOCKETS, sizeof(ino));
	ring->sockets[ring->socket_count++] = ino;
}

struct collector {
	struct ring *ring;
	unsigned counts[3];	/* by kind */
	bool wanted[3];
};

static void
collect_entry(void *arg, const struct entry *entry)
{
	struct collector *collector = arg;

	if (collector->wanted[entry->kind] &&
	    collector->counts[entry->kind]++ < MAX_ENTRIES)
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

/* What the map took for completions of 16 bytes were halves of others. */
static void
drop_narrow(struct ring *ring)
{
	unsigned kept = 0;

	if (!(ring->sources & SOURCE_MAP))
		return;
	for (unsigned i = 0; i < ring->entry_count; i++) {
		if (ring->entries[i].kind != ENTRY_CQE)
			ring->entries[kept++] = ring->entries[i];
	}
	ring->entry_count = kept;
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
	/* Rings without an index array: their SQEs are not printed. Those
	 * with wide CQEs: about half. */
	if (!(ring->sources & SOURCE_MAP) && info->sqes > 0 &&
	    info->sqes_listed < info->sqes)
		ring->hidden |= HIDDEN_SQES;
	if (info->cqes > 0 && info->cqes_listed < info->cqes &&
	    (info->wide || !(ring->sources & SOURCE_MAP)))
		ring->hidden |= HIDDEN_CQES;
	if (info->wide)
		drop_narrow(ring);
}

/* Once. 0, -EAGAIN when the ring was in use, or another error. */
static int
read_fdinfo(const struct reader *reader, struct ring *ring, unsigned fd,
    bool entries)
{
	const bool mapped = ring->sources & SOURCE_MAP;
	struct collector collector = {
		.ring = ring,
		.wanted = { !mapped, !mapped, true },
	};
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
	ring->entries_known = ring->entries_known || entries;
	return 0;
}

static void
read_fdinfo_patiently(const struct reader *reader, struct ring *ring,
    unsigned fd, bool entries)
{
	uint64_t begun = torc_sys_now();
	uint64_t pause_ns = 100000;
	int rc = read_fdinfo(reader, ring, fd, entries);

	for (int i = 0; rc == -EAGAIN && i < 6; i++, pause_ns *= 2) {
		if (torc_sys_now() + pause_ns > reader->retry_until)
			break;
		torc_sys_sleep(pause_ns);
		begun = torc_sys_now();
		rc = read_fdinfo(reader, ring, fd, entries);
	}
	ring->busy = rc == -EAGAIN;
	ring->cost_ns = torc_sys_now() - begun;
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

void
read_ring(struct reader *reader, struct ring *ring, unsigned fd,
    const struct ring *before)
{
	const bool entries = reader->want & WANT_ENTRIES;

	if (!reader->no_map) {
		if (reader->pidfd < 0)
			reader->pidfd = map_open(reader->pid, reader->tid);
		if (reader->pidfd >= 0)
			map_read(ring, reader->pidfd, fd, entries);
	}
	if (ring->sources & SOURCE_MAP && !(reader->want & WANT_LISTS))
		return;
	if (is_dear(ring, before, torc_sys_now())) {
		ring->skipped = true;
		ring->wait_until = before == NULL ? 0 : before->wait_until;
		return;
	}
	read_fdinfo_patiently(reader, ring, fd, entries);
}

int64_t
ring_memory(const struct ring *ring)
{
	size_t queues, sqes;

	if (ring->sq_entries == UNKNOWN || ring->cq_entries == UNKNOWN)
		return UNKNOWN;
	queues = (size_t)(64 + ring->cq_entries * 16 + ring->sq_entries * 4);
	sqes = (size_t)ring->sq_entries * 64;
	return (int64_t)(torc_pages_whole(queues) + torc_pages_whole(sqes));
}
