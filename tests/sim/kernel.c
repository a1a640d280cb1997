/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - the rings: setup, mapping, registration, enter, the wait, the
 * completion queue.
 *
 * Modelled as of Linux 6.1 to 6.18: which setup flags, features and buffer
 * rings there are; the SQ array; submission in order, short where memory
 * lacks; a short submission does not wait; SINGLE_ISSUER; work that is deferred
 * until the owner's enter with GETEVENTS, at most 20 items of it since 6.13,
 * with TASKRUN told; without DEFER_TASKRUN, work that runs at any system call;
 * waits with EXT_ARG, minimum wait and lazy wake-ups; -ETIME and -EINTR only if
 * nothing is there; the overflow list, its flag, and that a multishot which
 * finds no room ends.
 *
 * Slots that the other side must not look at any more are overwritten.
 *
 * Not modelled: SQPOLL, IOPOLL, links, drains, big entries, resizing, io-wq.
 */
#include "tests/sim/kring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sys/barrier.h"
#include "sys/sys.h"

#define WORK_CAP 20u		/* items of deferred work an enter runs */
#define CQES_AT 64u		/* in the mapping */
#define GARBAGE 0xee

struct kring rings[MAX_RINGS];

/* ---- Which kernel it is ---- */

static uint32_t
known_setup_flags(void)
{
	uint32_t flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
	    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
	    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
	    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	if (world.profile >= LINUX_6_6)
		flags |= IORING_SETUP_NO_SQARRAY;
	return flags & ~world.refused_setup;
}

static uint32_t
known_features(void)
{
	uint32_t features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
	    IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |
	    IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

	if (world.profile >= LINUX_6_12)
		features |= IORING_FEAT_MIN_TIMEOUT;
	if (world.profile >= LINUX_6_18)
		features |= IORING_FEAT_NO_IOWAIT;
	return features;
}

/* ---- Setup ---- */

static bool
flags_agree(uint32_t flags)
{
	if ((flags & IORING_SETUP_DEFER_TASKRUN) &&
	    !(flags & IORING_SETUP_SINGLE_ISSUER))
		return false;
	if ((flags & IORING_SETUP_TASKRUN_FLAG) && !(flags &
	    (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN)))
		return false;
	return (flags & ~known_setup_flags()) == 0;
}

static void
tell_offsets(struct kring *ring, struct io_uring_params *params)
{
	params->sq_entries = ring->sq_entries;
	params->cq_entries = ring->cq_entries;
	params->features = ring->features = known_features();
	params->sq_off.head = SQ_HEAD * 4;
	params->sq_off.tail = SQ_TAIL * 4;
	params->sq_off.flags = SQ_FLAGS * 4;
	params->sq_off.dropped = SQ_DROPPED * 4;
	params->sq_off.array = CQES_AT + ring->cq_entries *
	    (uint32_t)sizeof(struct io_uring_cqe);
	params->cq_off.head = CQ_HEAD * 4;
	params->cq_off.tail = CQ_TAIL * 4;
	params->cq_off.overflow = CQ_OVERFLOW * 4;
	params->cq_off.cqes = CQES_AT;
}

int
torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	int rc = sim_crossing(SITE_SETUP);
	struct kring *ring = rings;
	struct file *file;

	if (rc < 0)
		return rc;
	if (!flags_agree(params->flags))
		return -EINVAL;
	while (ring->used)
		ring++;
	if (ring == rings + MAX_RINGS)
		sim_fail("more rings than are known here");
	rc = sim_fd_open(FILE_RING, &file);
	if (rc < 0)
		return rc;
	*ring = (struct kring) { .used = true, .fd = rc };
	file->ring = ring;
	ring->flags = params->flags;
	ring->enabled = !(params->flags & IORING_SETUP_R_DISABLED);
	ring->owner = world.running;
	ring->sq_entries = entries;
	ring->cq_entries = params->flags & IORING_SETUP_CQSIZE ?
	    params->cq_entries : entries * 2;
	tell_offsets(ring, params);
	sim_trace("setup", rc, params->flags, entries);
	return rc;
}

static void
start_words(struct kring *ring)
{
	ring->words = ring->rings;
	ring->words[SQ_HEAD] = ring->words[SQ_TAIL] = 0;
	ring->words[CQ_HEAD] = ring->words[CQ_TAIL] = 0;
	ring->cq_freed = 0;
	ring->cqes = (void *)((char *)ring->rings + CQES_AT);
	if (!(ring->flags & IORING_SETUP_NO_SQARRAY))
		ring->array = (void *)(ring->cqes + ring->cq_entries);
}

/* The mapping of a ring's memory. */
int
sim_kernel_map(struct file *file, void **address, size_t size,
    uint64_t offset)
{
	struct kring *ring = file->ring;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		sim_fail("no memory for the simulation");
	*address = at;
	if (offset == IORING_OFF_SQES) {
		ring->sqes = at;
		ring->sqes_size = size;
	} else {
		ring->rings = at;
		ring->rings_size = size;
		start_words(ring);
	}
	return 0;
}

/* The real one would go on with a mapping of its own; nobody would see it. */
void
sim_kernel_unmap(const void *address)
{
	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (ring->used && ring->rings == address)
			ring->words = NULL;
	}
}

void
sim_kernel_close_ring(struct kring *ring)
{
	/* Nobody can get at these when the ring is lost. */
	for (unsigned i = 0; ring->lost && i < ring->list_count; i++) {
		if (torc_tag_kind(ring->list[i].user_data) ==
		    TORC_KIND_ACCEPT && ring->list[i].res >= 0)
			sim_fd_close(ring->list[i].res);
	}
	sim_req_drop_all(ring);
	sim_group_unregister(ring);
	if (ring->eventfd != NULL)
		sim_file_put(ring->eventfd);
	free(ring->work);
	free(ring->late);
	free(ring->list);
	ring->used = false;
}

struct kring *
sim_kernel_ring(int fd)
{
	struct file *file = sim_fd_file(fd);

	return file != NULL && file->kind == FILE_RING ? file->ring : NULL;
}

struct torc_reactor *
sim_ring_reactor(const struct kring *ring)
{
	for (unsigned i = 0; i < world.reactor_count; i++) {
		struct torc_reactor *reactor = world.reactors[i];

		if (reactor != NULL && reactor->ring.fd == ring->fd &&
		    reactor->phase != TORC_PHASE_ENDED)
			return reactor;
	}
	return NULL;
}

/* ---- Registration ---- */

static int
register_fd(struct kring *ring, struct io_uring_rsrc_update *update)
{
	int rc = sim_crossing(SITE_RING_FDS);

	if (rc < 0)
		return rc;
	ring->registered = true;
	update->offset = (uint32_t)(ring - rings);
	return 1;
}

static int
register_eventfd(struct kring *ring, const int *fd)
{
	int rc = sim_crossing(SITE_REGISTER_EVENTFD);

	if (rc < 0)
		return rc;
	if (ring->eventfd != NULL)
		return -EBUSY;
	ring->eventfd = sim_fd_file(*fd);
	ring->eventfd->refs++;
	ring->told_from_within = false;
	return 0;
}

static int
unregister_eventfd(struct kring *ring)
{
	if (ring->eventfd == NULL)
		return -ENXIO;
	sim_file_put(ring->eventfd);
	ring->eventfd = NULL;
	return 0;
}

/*
 * A reactor's ring is as after a long life: soon all of its words come round,
 * and what torc counts in 64 bits gets an upper half.
 */
static void
age(struct kring *ring)
{
	const uint32_t start = UINT32_MAX - (uint32_t)(world.seed % 100);
	struct torc_reactor *reactor = sim_ring_reactor(ring);

	if (reactor == NULL)
		return;
	ring->words[SQ_HEAD] = ring->words[SQ_TAIL] = start;
	ring->words[CQ_HEAD] = ring->words[CQ_TAIL] = start;
	ring->cq_freed = start;
	reactor->ring.sq_claimed = reactor->ring.sq_taken = start;
	reactor->ring.sq_end += start;
	reactor->ring.cq_read = start;
	reactor->taken = reactor->settled = reactor->verified = start;
}

static int
enable(struct kring *ring)
{
	int rc = sim_crossing(SITE_ENABLE);

	if (rc < 0)
		return rc;
	if (ring->enabled)
		sim_fail("a ring is enabled twice");
	ring->enabled = true;
	ring->owner = world.running;
	age(ring);
	return 0;
}

/* How many there are is not modelled: they are told, and that is all. */
static int
register_workers(uint32_t counts[2])
{
	int rc = sim_crossing(SITE_WORKERS);

	if (rc == 0 && counts[0] == 0)
		counts[0] = 8;
	return rc;
}

int
torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	struct kring *ring = sim_kernel_ring(fd);

	(void)count;
	sim_kernel_any_call();
	if (ring == NULL)
		sim_fail("descriptor %d is not a ring", fd);
	if ((ring->flags & IORING_SETUP_SINGLE_ISSUER) && ring->enabled &&
	    ring->owner != world.running)
		sim_fail("a ring is used by another thread than its owner");
	switch (opcode) {
	case IORING_REGISTER_ENABLE_RINGS:
		return enable(ring);
	case IORING_REGISTER_RING_FDS:
		return register_fd(ring, arg);
	case IORING_UNREGISTER_RING_FDS:
		ring->registered = false;
		return 1;
	case IORING_REGISTER_PBUF_RING:
		return sim_group_register(ring, arg);
	case IORING_UNREGISTER_PBUF_RING:
		sim_group_unregister(ring);
		return 0;
	case IORING_REGISTER_EVENTFD:
		return register_eventfd(ring, arg);
	case IORING_UNREGISTER_EVENTFD:
		return unregister_eventfd(ring);
	case IORING_REGISTER_IOWQ_MAX_WORKERS:
		return register_workers(arg);
	default:
		sim_fail("opcode %u is registered", opcode);
	}
}

/* ---- The completion queue ---- */

uint32_t
sim_cq_ready(const struct kring *ring)
{
	return ring->words[CQ_TAIL] - torc_load_acquire_u32(
	    &ring->words[CQ_HEAD]);
}

/* What the program has read is overwritten: it must not look again. */
static void
see_head(struct kring *ring)
{
	uint32_t head = torc_load_acquire_u32(&ring->words[CQ_HEAD]);

	if (head - ring->cq_freed > ring->words[CQ_TAIL] - ring->cq_freed)
		sim_fail("the CQ's head is beyond its tail");
	for (; ring->cq_freed != head; ring->cq_freed++)
		memset(&ring->cqes[ring->cq_freed & (ring->cq_entries - 1)],
		    GARBAGE, sizeof(*ring->cqes));
}

static void
set_flag(struct kring *ring, uint32_t flag, bool on)
{
	if (on)
		ring->words[SQ_FLAGS] |= flag;
	else
		ring->words[SQ_FLAGS] &= ~flag;
}

static bool
has_room(const struct kring *ring)
{
	return ring->list_count == 0 &&
	    sim_cq_ready(ring) < ring->cq_entries;
}

/*
 * Within a write to another eventfd this is put off, and newer kernels (since
 * 6.11) put it off for ever after the first time.
 */
static void
tell_eventfd(struct kring *ring)
{
	if (ring->eventfd == NULL)
		return;
	if (world.in_eventfd && world.profile >= LINUX_6_12) {
		if (ring->told_from_within)
			return;
		ring->told_from_within = true;
	}
	ring->eventfd->count++;
	sim_kernel_wake(ring->eventfd, 1);
}

static void
write_cqe(struct kring *ring, const struct io_uring_cqe *cqe)
{
	uint32_t tail = ring->words[CQ_TAIL];

	ring->cqes[tail & (ring->cq_entries - 1)].user_data = cqe->user_data;
	ring->cqes[tail & (ring->cq_entries - 1)].res = cqe->res;
	ring->cqes[tail & (ring->cq_entries - 1)].flags = cqe->flags;
	torc_store_release_u32(&ring->words[CQ_TAIL], tail + 1);
	if (!(ring->flags & IORING_SETUP_DEFER_TASKRUN))
		tell_eventfd(ring);
}

static void
append_cqe(struct io_uring_cqe **list, unsigned *count, uint64_t user_data,
    int32_t res, uint32_t flags)
{
	*list = realloc(*list, (*count + 1) * sizeof(**list));
	(*list)[*count].user_data = user_data;
	(*list)[*count].res = res;
	(*list)[*count].flags = flags;
	++*count;
}

/* There is no memory to keep it. The next sleep that submits nothing tells of
 * it, and the overflow word at once. */
static void
lose_cqe(struct kring *ring, const struct io_uring_cqe *cqe)
{
	sim_trace("lost", (int64_t)cqe->user_data, cqe->res, 0);
	/* It would stay open, and nobody could know of it. */
	if (torc_tag_kind(cqe->user_data) == TORC_KIND_ACCEPT &&
	    cqe->res >= 0)
		sim_fd_close(cqe->res);
	torc_store_release_u32(&ring->words[CQ_OVERFLOW],
	    ring->words[CQ_OVERFLOW] + 1);
	ring->dropped = true;
	ring->lost = true;
	world.lost |= sim_ring_reactor(ring) != NULL;
}

static void
post_now(struct kring *ring, const struct io_uring_cqe *cqe)
{
	sim_trace("cqe", (int64_t)cqe->user_data, cqe->res, cqe->flags);
	see_head(ring);
	if (has_room(ring)) {
		write_cqe(ring, cqe);
		return;
	}
	if (sim_crossing(SITE_OVERFLOW) < 0) {
		lose_cqe(ring, cqe);
		return;
	}
	sim_trace("overflow", ring->list_count, 0, 0);
	append_cqe(&ring->list, &ring->list_count, cqe->user_data, cqe->res,
	    cqe->flags);
	set_flag(ring, IORING_SQ_CQ_OVERFLOW, true);
}

void
sim_cq_post(struct kring *ring, uint64_t user_data, int32_t res,
    uint32_t flags)
{
	append_cqe(&ring->late, &ring->late_count, user_data, res, flags);
	if (!ring->in_enter)
		sim_cq_post_late(ring);
}

void
sim_cq_post_late(struct kring *ring)
{
	for (unsigned i = 0; i < ring->late_count; i++)
		post_now(ring, &ring->late[i]);
	ring->late_count = 0;
}

bool
sim_cq_post_more(struct kring *ring, uint64_t user_data, int32_t res,
    uint32_t flags)
{
	union {
		struct io_uring_cqe cqe;
		uint64_t words[2];
	} post = { .cqe = { .user_data = user_data, .res = res,
	    .flags = flags | IORING_CQE_F_MORE } };

	/* Newer kernels post what completed before it first. */
	if (world.profile >= LINUX_6_12)
		sim_cq_post_late(ring);
	see_head(ring);
	if (!has_room(ring) || sim_fault(FAULT_MULTISHOT))
		return false;
	post_now(ring, &post.cqe);
	return true;
}

static void
flush_list(struct kring *ring)
{
	unsigned moved = 0;

	see_head(ring);
	while (moved < ring->list_count &&
	    sim_cq_ready(ring) < ring->cq_entries)
		write_cqe(ring, &ring->list[moved++]);
	if (moved > 0) {
		memmove(ring->list, ring->list + moved,
		    (ring->list_count - moved) * sizeof(*ring->list));
		ring->list_count -= moved;
		sim_trace("flush", moved, ring->list_count, 0);
	}
	set_flag(ring, IORING_SQ_CQ_OVERFLOW, ring->list_count > 0);
}

/* ---- Deferred work ---- */

void
sim_work_add(struct req *req)
{
	struct kring *ring = req->ring;

	if (req->queued || ring->words == NULL)
		return;
	req->queued = true;
	ring->work = realloc(ring->work, (ring->work_count + 1) *
	    sizeof(*ring->work));
	ring->work[ring->work_count++] = req;
	if (ring->flags & IORING_SETUP_TASKRUN_FLAG)
		set_flag(ring, IORING_SQ_TASKRUN, true);
	if (ring->flags & IORING_SETUP_DEFER_TASKRUN)
		tell_eventfd(ring);
}

static void
run_first(struct kring *ring)
{
	struct req *req = ring->work[0];

	ring->work_count--;
	memmove(ring->work, ring->work + 1, ring->work_count *
	    sizeof(*ring->work));
	req->queued = false;
	req->hidden = false;
	sim_req_run(req);
}

/*
 * Run what was deferred. Since 6.8, what is added meanwhile stays if there is
 * enough for a wait for `enough` completions; since 6.13, there is a cap.
 */
static void
run_work(struct kring *ring, uint32_t enough)
{
	const bool deferred = ring->flags & IORING_SETUP_DEFER_TASKRUN;
	uint32_t limit = UINT32_MAX, ran = 0;

	if (deferred && world.profile >= LINUX_6_18)
		limit = enough > WORK_CAP ? enough : WORK_CAP;
	set_flag(ring, IORING_SQ_TASKRUN, false);
	do {
		unsigned count = ring->work_count;

		for (; count > 0 && ring->work_count > 0 && ran < limit;
		    count--, ran++)
			run_first(ring);
	} while (ring->work_count > 0 && ran < limit && (!deferred ||
	    world.profile < LINUX_6_12 || ran < enough));
	sim_cq_post_late(ring);
	if (ring->work_count > 0 && (ring->flags & IORING_SETUP_TASKRUN_FLAG))
		set_flag(ring, IORING_SQ_TASKRUN, true);
}

void
sim_kernel_any_call(void)
{
	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (ring->used && ring->words != NULL && !ring->in_enter &&
		    ring->owner == world.running && ring->work_count > 0 &&
		    !(ring->flags & IORING_SETUP_DEFER_TASKRUN))
			run_work(ring, UINT32_MAX);
	}
}

bool
sim_kernel_busy(const struct torc_reactor *reactor)
{
	const struct kring *ring = sim_kernel_ring(reactor->ring.fd);

	return ring != NULL && ring->words != NULL && (ring->work_count > 0 ||
	    ring->list_count > 0 || sim_cq_ready(ring) > 0);
}

/* ---- Enter ---- */

static int
submit(struct kring *ring, uint32_t to_submit)
{
	uint32_t tail = torc_load_acquire_u32(&ring->words[SQ_TAIL]);
	uint32_t head = ring->words[SQ_HEAD];
	uint32_t taken = 0;

	if (tail - head > ring->sq_entries)
		sim_fail("the SQ's tail ran over its head");
	for (; taken < to_submit && head != tail; taken++, head++) {
		uint32_t slot = head & (ring->sq_entries - 1);
		struct io_uring_sqe sqe;

		if (sim_crossing(SITE_SUBMIT) < 0)
			break;
		if (ring->array != NULL)
			slot = ring->array[slot];
		sqe = ring->sqes[slot];
		memset(&ring->sqes[slot], GARBAGE, sizeof(sqe));
		sim_req_issue(ring, &sqe);
	}
	torc_store_release_u32(&ring->words[SQ_HEAD], head);
	sim_cq_post_late(ring);
	return taken == 0 && to_submit > 0 && head != tail ? -EAGAIN :
	    (int)taken;
}

struct wait {
	uint32_t count;		/* CQEs that are waited for */
	uint64_t until;
	uint64_t settle_at;	/* from here on, one is enough */
};

static void
read_wait(struct wait *wait, uint32_t flags, uint32_t count,
    const struct torc_uapi_getevents *arg, size_t arg_size)
{
	const struct __kernel_timespec *ts;

	*wait = (struct wait) { count, UINT64_MAX, UINT64_MAX };
	if (!(flags & IORING_ENTER_EXT_ARG))
		return;
	if (arg_size != sizeof(*arg) || arg->sigmask != 0)
		sim_fail("the argument of an enter is not as it should be");
	ts = (const struct __kernel_timespec *)(uintptr_t)arg->ts;
	if (ts != NULL)
		wait->until = world.now + (uint64_t)ts->tv_sec * 1000 * MS +
		    (uint64_t)ts->tv_nsec;
	if (arg->min_wait_usec > 0 && world.profile < LINUX_6_12)
		sim_fail("a minimum wait on a kernel that has none");
	if (arg->min_wait_usec > 0)
		wait->settle_at = world.now + arg->min_wait_usec * 1000ull;
}

/* Another reactor's thread can go on: from when. */
static uint64_t
others_due(void)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < world.reactor_count; i++) {
		const struct torc_reactor *reactor = world.reactors[i];
		uint64_t its;

		if (i == world.running || reactor == NULL ||
		    reactor->phase == TORC_PHASE_ENDED ||
		    world.unable & 1u << i)
			continue;
		its = sim_kernel_busy(reactor) ? 0 :
		    torc_reactor_due(reactor);
		if (its < due)
			due = its;
	}
	return due;
}

static uint64_t
earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The program's thread sleeps: others go on, and time passes. */
static int
sleep_until_ready(struct kring *ring, struct wait *wait)
{
	for (;;) {
		uint64_t others = others_due();
		bool lazy = ring->flags & IORING_SETUP_DEFER_TASKRUN &&
		    wait->count > 1;

		if (world.now >= wait->settle_at) {
			wait->count = 1;
			lazy = false;
			wait->settle_at = UINT64_MAX;
		}
		if (ring->work_count >= (lazy ? wait->count : 1)) {
			run_work(ring, wait->count);
			flush_list(ring);
		}
		if (sim_cq_ready(ring) >= wait->count)
			return 0;
		if (world.now >= wait->until || others <= world.now) {
			run_work(ring, wait->count);
			flush_list(ring);
			/* For the others: woken for nothing. */
			return world.now >= wait->until &&
			    sim_cq_ready(ring) == 0 ? -ETIME : 0;
		}
		sim_step(earliest(earliest(others, wait->until),
		    wait->settle_at));
	}
}

static int
get_events(struct kring *ring, struct wait *wait)
{
	run_work(ring, wait->count);
	flush_list(ring);
	if (sim_cq_ready(ring) >= wait->count)
		return 0;
	if (ring->dropped)
		return -EBADR;
	sim_check_sleep(ring);
	return sleep_until_ready(ring, wait);
}

static int
enter_ring(struct kring *ring, uint32_t to_submit, uint32_t flags,
    struct wait *wait)
{
	int rc = sim_crossing(SITE_ENTER);
	int waited;

	if (rc < 0) {
		ring->lost |= rc == -EBADR;
		world.lost |= ring->lost && sim_ring_reactor(ring) != NULL;
		return rc;
	}
	rc = submit(ring, to_submit);
	if (rc < 0 || (uint32_t)rc != to_submit ||
	    !(flags & IORING_ENTER_GETEVENTS))
		return rc;
	waited = get_events(ring, wait);
	/* Errors of the wait are hidden behind what was taken. */
	if (rc > 0)
		return rc;
	if (waited == -EBADR)
		ring->dropped = false;
	return waited;
}

static struct kring *
ring_of(int fd, uint32_t flags)
{
	struct kring *ring = NULL;

	if (!(flags & IORING_ENTER_REGISTERED_RING))
		ring = sim_kernel_ring(fd);
	else if (fd >= 0 && fd < MAX_RINGS && rings[fd].registered)
		ring = &rings[fd];
	if (ring == NULL)
		sim_fail("an enter names no ring");
	return ring;
}

int
torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	const uint32_t known = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
	    IORING_ENTER_REGISTERED_RING |
	    (world.profile >= LINUX_6_18 ? IORING_ENTER_NO_IOWAIT : 0);
	struct kring *ring = ring_of(fd, flags);
	struct wait wait;
	int rc;

	sim_kernel_any_call();
	if ((flags & ~known) != 0)
		sim_fail("an enter has flags that it should not have");
	if (!ring->enabled)
		sim_fail("a ring is entered before it is enabled");
	if ((ring->flags & IORING_SETUP_SINGLE_ISSUER) &&
	    ring->owner != world.running)
		sim_fail("a ring is entered by another than its owner");
	sim_trace("enter", to_submit, min_complete, flags);
	sim_check_enter(ring);
	/* Else only room is made for SQEs, in the middle of something. */
	if (flags & IORING_ENTER_GETEVENTS)
		sim_check_turn(ring);
	see_head(ring);
	sim_group_look(ring);
	sim_meanwhile();
	sim_req_mischief(ring);
	if (min_complete > ring->cq_entries)
		min_complete = ring->cq_entries;
	read_wait(&wait, flags, min_complete, arg, arg_size);
	ring->in_enter = true;
	rc = enter_ring(ring, to_submit, flags, &wait);
	ring->in_enter = false;
	sim_trace("entered", rc, sim_cq_ready(ring), ring->list_count);
	return rc;
}

/* ---- The beginning and the end ---- */

void
sim_kernel_reset(void)
{
	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (!ring->used)
			continue;
		ring->eventfd = NULL;
		sim_kernel_close_ring(ring);
	}
}

void
sim_kernel_check_end(void)
{
	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (ring->used)
			sim_fail("ring %d was left open", ring->fd);
	}
}
