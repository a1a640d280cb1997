/* SPDX-License-Identifier: MIT */
/*
 * scan.c - taking a sample: one walk over /proc, and of each process no more
 * than is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"
#include "tools/ringstat/memory.h"
#include "tools/ringstat/model.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/proc.h"
#include "tools/ringstat/read.h"
#include "tools/ringstat/sockets.h"

#define RING_LINK "anon_inode:[io_uring]"
#define MAX_PAGES 1024u		/* statistics pages of a process */
#define RETRY_BUDGET_NS 200000000u	/* for all rings of a sample */

struct scan {
	struct sample *sample;
	const struct options *options;
	const struct sample *before;
	unsigned want;
	int proc;
	int64_t common_ino;	/* of anonymous inodes before Linux 5.14 */

	/* Of the process that is looked at. */
	pid_t pid;
	struct reader reader;
	int fds;		/* its directory of descriptors */
	int process;		/* index, or -1: it has no ring so far */
	unsigned pages[MAX_PAGES];
	unsigned page_count;
	int64_t descriptors;
	bool others;		/* only rings that are known are of interest */
};

/* ---- Rates ---- */

static double
rate(int64_t now, int64_t before, double interval)
{
	int64_t count = ring_distance(now, before);

	return count == UNKNOWN ? UNKNOWN : (double)count / interval;
}

/* Heads and tails count for ever, modulo 2^32. */
static void
rate_ring(struct ring *ring, const struct ring *before, double interval)
{
	ring->submissions = rate(ring->sq_head, before->sq_head, interval);
	ring->completions = rate(ring->cq_tail, before->cq_tail, interval);
}

/* ---- Descriptors ---- */

static struct process *
process_of(struct scan *scan)
{
	if (scan->process < 0) {
		scan->process = (int)scan->sample->process_count;
		sample_add_process(scan->sample, scan->pid,
		    scan->reader.folder);
	}
	return &scan->sample->processes[scan->process];
}

/* Another descriptor of a ring that was read already. */
static void
share(struct scan *scan, struct ring *ring, unsigned fd)
{
	const struct process *owner =
	    &scan->sample->processes[ring->process];

	if (owner->pid == scan->pid) {
		if (ring->fd_count < MAX_LISTED)
			ring->fds[ring->fd_count] = fd;
		ring->fd_count++;
		return;
	}
	if (ring->shared_count > 0 && ring->shared_count <= MAX_LISTED &&
	    ring->shared_by[ring->shared_count - 1] == scan->pid)
		return;
	if (ring->shared_count < MAX_LISTED)
		ring->shared_by[ring->shared_count] = scan->pid;
	ring->shared_count++;
}

static int64_t
inode_of(const struct scan *scan, const char *name)
{
	struct stat status;

	return fstatat(scan->fds, name, &status, 0) == 0 &&
	    (int64_t)status.st_ino != scan->common_ino ?
	    (int64_t)status.st_ino : UNKNOWN;
}

static void
meet_sharer(struct scan *scan, const char *name, unsigned fd)
{
	const int64_t ino = inode_of(scan, name);
	struct ring *ring = ino == UNKNOWN ? NULL :
	    sample_find(scan->sample, ino, scan->pid, fd);

	if (ring != NULL)
		share(scan, ring, fd);
}

static void
meet_ring(struct scan *scan, const char *name, unsigned fd)
{
	const int64_t ino = inode_of(scan, name);
	struct ring *ring;

	process_of(scan);
	ring = sample_find(scan->sample, ino, scan->pid, fd);
	if (ring != NULL) {
		share(scan, ring, fd);
		return;
	}
	ring = sample_add_ring(scan->sample);
	ring->ino = ino;
	ring->process = (unsigned)scan->process;
	ring->fds[0] = fd;
	ring->fd_count = 1;
	read_ring(&scan->reader, ring, fd, scan->before == NULL ? NULL :
	    sample_find(scan->before, ino, scan->pid, fd));
	ring->memory = ring_memory(ring);
}

/* Whether it could be read. */
static bool
meet_descriptor(struct scan *scan, const char *name)
{
	static const char ring_link[] = RING_LINK;
	static const char page_link[] = "/memfd:" TORC_STATS_PAGE_NAME;
	struct text digits = { name, strlen(name) };
	char link[64];
	uint64_t fd;
	ssize_t size;

	if (!text_decimal(&digits, &fd) || fd > INT32_MAX)
		return true;
	scan->descriptors++;
	size = readlinkat(scan->fds, name, link, sizeof(link));
	if (size < 0)
		return errno != EACCES && errno != EPERM;
	if (size == sizeof(ring_link) - 1 &&
	    memcmp(link, ring_link, (size_t)size) == 0)
		(scan->others ? meet_sharer : meet_ring)(scan, name,
		    (unsigned)fd);
	else if (size >= (ssize_t)sizeof(page_link) - 1 &&
	    memcmp(link, page_link, sizeof(page_link) - 1) == 0 &&
	    scan->page_count < MAX_PAGES)
		scan->pages[scan->page_count++] = (unsigned)fd;
	return true;
}

/* ---- Processes ---- */

static bool
is_filtered(const struct options *options)
{
	return options->pid_count > 0 || options->by_user ||
	    options->comm != NULL || options->cgroup != NULL;
}

static bool
is_listed(const struct options *options, pid_t pid)
{
	unsigned at = 0;

	while (at < options->pid_count && options->pids[at] != pid)
		at++;
	return options->pid_count == 0 || at < options->pid_count;
}

static bool
is_wanted(struct scan *scan)
{
	const struct options *options = scan->options;
	struct stat status;
	char name[64], *cgroup;
	bool wanted;

	if (!is_listed(options, scan->pid))
		return false;
	if (options->by_user) {
		snprintf(name, sizeof(name), "%d", (int)scan->pid);
		if (fstatat(scan->proc, name, &status, 0) < 0 ||
		    status.st_uid != options->uid)
			return false;
	}
	if (options->comm != NULL) {
		proc_read_comm(scan->proc, scan->pid, name, sizeof(name));
		if (strstr(name, options->comm) == NULL)
			return false;
	}
	if (options->cgroup == NULL)
		return true;
	cgroup = proc_read_cgroup(scan->proc, scan->reader.folder);
	wanted = cgroup != NULL && strstr(cgroup, options->cgroup) != NULL;
	free(cgroup);
	return wanted;
}

static void
refused(struct scan *scan, int error)
{
	struct sample *sample = scan->sample;
	const bool asked = scan->options->pid_count > 0;

	if (scan->others)
		return;
	if (error == ENOENT || error == ESRCH) {
		sample->vanished++;
		sample->asked_missing |= asked;
	} else if (asked || !proc_is_kernel_thread(scan->proc, scan->pid)) {
		sample->denied++;
		sample->asked_denied |= asked;
	}
}

/* Its rings have no descriptor, but there may be threads of them. */
static void
look_for_threads(struct scan *scan)
{
	struct process found = { .pid = scan->pid };

	proc_read_threads(scan->proc, &found);
	if (found.workers + found.sqthreads > 0)
		process_of(scan);
}

/* Which sockets the connections of a torc program are. */
static void
find_sockets(struct scan *scan, const struct torc_view *view)
{
	for (unsigned i = 0; view->conns != NULL && i < view->conn_count;
	    i++) {
		struct conn_view *conn = &view->conns[i];
		char name[16], link[48];
		struct text text = { link, 0 };
		ssize_t size;

		snprintf(name, sizeof(name), "%d", conn->fd);
		size = readlinkat(scan->fds, name, link, sizeof(link));
		if (size <= 0)
			continue;
		text.size = (size_t)size;
		if (!text_skip(&text, "socket:[") ||
		    !text_decimal(&text, &conn->ino))
			conn->ino = 0;
	}
}

/* The tables are long, and the same for all processes of a namespace. */
static const struct sockets *
sockets_of(struct scan *scan)
{
	struct sample *sample = scan->sample;
	struct stat status;
	uint64_t ino = 0;
	char path[48];
	struct net *net;

	snprintf(path, sizeof(path), "%s/ns/net", scan->reader.folder);
	if (fstatat(scan->proc, path, &status, 0) == 0)
		ino = status.st_ino;
	for (unsigned i = 0; ino != 0 && i < sample->net_count; i++) {
		if (sample->nets[i].ino == ino)
			return sample->nets[i].sockets;
	}
	net = sample_add_net(sample, ino);
	net->sockets = sockets_load(scan->proc, scan->reader.folder);
	return net->sockets;
}

/* Nothing is read for a process that has no socket to name. */
static void
name_sockets(struct scan *scan, struct process *process)
{
	bool wanted = false;

	for (unsigned i = 0; i < scan->sample->ring_count; i++) {
		const struct ring *ring = &scan->sample->rings[i];

		if ((int)ring->process != scan->process)
			continue;
		wanted |= ring->socket_count > 0;
		if (ring->torc == NULL)
			continue;
		wanted |= ring->torc->conn_count > 0;
		find_sockets(scan, ring->torc);
	}
	if (wanted)
		process->sockets = sockets_of(scan);
}

/* What the threads of reactors do that are in a turn. */
static void
name_states(struct scan *scan)
{
	for (unsigned i = 0; i < scan->sample->ring_count; i++) {
		const struct ring *ring = &scan->sample->rings[i];

		if ((int)ring->process == scan->process &&
		    ring->torc != NULL && ring->torc->turn_age_us != UNKNOWN)
			ring->torc->thread_state = proc_inner_thread_state(
			    scan->proc, scan->pid, ring->torc->page.tid);
	}
}

static void
finish_process(struct scan *scan)
{
	struct process *process;

	if (scan->process < 0 && scan->want & WANT_LONERS)
		look_for_threads(scan);
	if (scan->process < 0)
		return;
	process = process_of(scan);
	process->descriptors = scan->descriptors;
	proc_read(scan->proc, process, scan->want);
	for (unsigned i = 0; i < scan->page_count &&
	    scan->want & WANT_TORC; i++)
		torc_view_attach(scan->sample, (unsigned)scan->process,
		    scan->fds, scan->pages[i], scan->want & WANT_CONNS);
	name_states(scan);
	if (scan->want & WANT_SOCKETS)
		name_sockets(scan, process);
}

/* Those of scan->reader.folder. Whether they could be listed and read. */
static bool
look_at_descriptors(struct scan *scan)
{
	struct names fds;
	const char *name;
	bool readable = true;

	names_of(&fds, scan->fds);
	while ((name = names_next(&fds)) != NULL)
		readable = meet_descriptor(scan, name) && readable;
	return readable && fds.error != -EACCES && fds.error != -EPERM;
}

static int
open_descriptors(struct scan *scan)
{
	char path[48];

	snprintf(path, sizeof(path), "%s/fd", scan->reader.folder);
	return openat(scan->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The descriptors of this thread, if it has some. */
static void
look_at_thread(struct scan *scan, pid_t tid)
{
	const int fds = scan->fds;
	char before[sizeof(scan->reader.folder)];

	memcpy(before, scan->reader.folder, sizeof(before));
	snprintf(scan->reader.folder, sizeof(before), "%d/task/%d",
	    (int)scan->pid, (int)tid);
	scan->reader.tid = tid;
	scan->fds = open_descriptors(scan);
	if (scan->fds >= 0)
		look_at_descriptors(scan);
	if (scan->descriptors > 0) {
		if (fds >= 0)
			close(fds);
		return;
	}
	if (scan->fds >= 0)
		close(scan->fds);
	scan->fds = fds;
	scan->reader.tid = scan->pid;
	memcpy(scan->reader.folder, before, sizeof(before));
}

/*
 * A process whose main thread has ended lists no descriptors, and to nobody
 * but root (its folder is root's then); those of its other threads are theirs.
 */
static void
look_at_threads(struct scan *scan)
{
	struct names tasks;
	const char *name;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "%d/task", (int)scan->pid);
	fd = openat(scan->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	names_of(&tasks, fd);
	while (scan->descriptors == 0 &&
	    (name = names_next(&tasks)) != NULL) {
		struct text digits = { name, strlen(name) };
		uint64_t tid;

		if (text_decimal(&digits, &tid) && tid <= INT32_MAX &&
		    (pid_t)tid != scan->pid)
			look_at_thread(scan, (pid_t)tid);
	}
	close(fd);
}

/* The descriptors, wherever they are listed: whether they could be opened. */
static bool
look_at_tables(struct scan *scan)
{
	int error;

	scan->fds = open_descriptors(scan);
	error = scan->fds < 0 ? errno : 0;
	if (scan->fds >= 0 && !look_at_descriptors(scan)) {
		refused(scan, EACCES);
		return true;
	}
	if (error == 0 ? scan->descriptors == 0 : proc_thread_state(
	    scan->proc, scan->pid, (uint64_t)scan->pid) == 'Z')
		look_at_threads(scan);
	if (scan->fds < 0)
		refused(scan, error);
	return scan->fds >= 0;
}

static void
look_at(struct scan *scan, pid_t pid)
{
	scan->pid = pid;
	scan->process = -1;
	scan->reader.pid = scan->reader.tid = pid;
	scan->reader.pidfd = -1;
	snprintf(scan->reader.folder, sizeof(scan->reader.folder), "%d",
	    (int)pid);
	scan->page_count = 0;
	scan->descriptors = 0;
	if (is_wanted(scan) == scan->others)
		return;
	if (!look_at_tables(scan))
		return;
	if (!scan->others)
		finish_process(scan);
	if (scan->reader.pidfd >= 0)
		close(scan->reader.pidfd);
	close(scan->fds);
}

static int
look_at_all(struct scan *scan)
{
	struct names all;
	const char *name;
	int fd = openat(scan->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	names_of(&all, fd);
	while ((name = names_next(&all)) != NULL) {
		struct text digits = { name, strlen(name) };
		uint64_t pid;

		if (text_decimal(&digits, &pid) && digits.size == 0 &&
		    pid > 0 && pid <= INT32_MAX)
			look_at(scan, (pid_t)pid);
	}
	close(fd);
	return all.error;
}

/* Rings that were found may be had by processes that were not asked for. */
static int
look_at_others(struct scan *scan)
{
	scan->others = true;
	return look_at_all(scan);
}

/* ---- The sample ---- */

/* Before Linux 5.14 a ring has the inode that eventfds still share. */
static int64_t
common_inode(void)
{
	int fd = torc_sys_eventfd();
	struct stat status;
	int64_t ino = UNKNOWN;

	if (fd < 0)
		return UNKNOWN;
	if (fstat(fd, &status) == 0)
		ino = (int64_t)status.st_ino;
	close(fd);
	return ino;
}

static void
work_out_rates(struct sample *sample, const struct sample *before)
{
	if (before == NULL)
		return;
	sample->interval = (double)(sample->time_ns - before->time_ns) / 1e9;
	for (unsigned i = 0; i < sample->ring_count; i++) {
		struct ring *ring = &sample->rings[i];
		const struct ring *old = sample_find(before, ring->ino,
		    sample->processes[ring->process].pid, ring->fds[0]);

		if (old != NULL && sample->interval > 0)
			rate_ring(ring, old, sample->interval);
	}
}

static void
note_hidden(struct sample *sample)
{
	for (unsigned i = 0; i < sample->ring_count; i++) {
		struct ring *ring = &sample->rings[i];

		if (ring->fd_count > MAX_LISTED)
			ring->hidden |= HIDDEN_FDS;
		if (ring->shared_count > MAX_LISTED)
			ring->hidden |= HIDDEN_SHARERS;
	}
}

static int
take(struct sample *sample, const struct options *options, unsigned want,
    const struct sample *before)
{
	struct scan *scan = must_grow(NULL, 1, sizeof(*scan));
	int rc = 0;

	memset(sample, 0, sizeof(*sample));
	*scan = (struct scan) {
		.sample = sample,
		.options = options,
		.before = before,
		.want = want,
		.proc = proc_open(),
		.common_ino = common_inode(),
	};
	scan->reader = (struct reader) {
		.proc = scan->proc,
		.want = want,
		.no_map = options->no_map,
		.retry_until = torc_sys_now() + RETRY_BUDGET_NS,
	};
	sample->time_ns = torc_sys_now();
	sample->charges_rings = memory_charges_rings();
	if (scan->proc < 0)
		rc = scan->proc;
	for (unsigned i = 0; rc == 0 && i < options->pid_count; i++)
		look_at(scan, options->pids[i]);
	if (rc == 0 && options->pid_count == 0)
		rc = look_at_all(scan);
	if (rc == 0 && want & WANT_SHARERS && sample->ring_count > 0 &&
	    is_filtered(options))
		rc = look_at_others(scan);
	if (scan->proc >= 0)
		close(scan->proc);
	free(scan);
	note_hidden(sample);
	work_out_rates(sample, before);
	return rc;
}

/* The memory that a user may lock is shared with processes that were not asked
 * for. */
static void
look_at_user(struct sample *sample, const struct options *options,
    int64_t user)
{
	const struct options all = {
		.by_user = true,
		.uid = (uid_t)user,
		.no_map = options->no_map,
	};
	struct sample whole;

	if (take(&whole, &all, WANT_LIMITS | WANT_TORC, NULL) == 0)
		memory_account(sample, &whole, user);
	sample_free(&whole);
}

static void
work_out_memory(struct sample *sample, const struct options *options)
{
	if (!is_filtered(options)) {
		memory_account(sample, sample, UNKNOWN);
		return;
	}
	for (unsigned i = 0; i < sample->process_count; i++) {
		const struct process *process = &sample->processes[i];

		if (process->locked_left == UNKNOWN &&
		    process->uid != UNKNOWN && memory_is_limited(process))
			look_at_user(sample, options, process->uid);
	}
}

int
sample_take(struct sample *sample, const struct options *options,
    unsigned want, const struct sample *before)
{
	int rc = take(sample, options, want, before);

	if (rc == 0 && want & WANT_LIMITS)
		work_out_memory(sample, options);
	return rc;
}
