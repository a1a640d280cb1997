/* SPDX-License-Identifier: MIT */
/*
 * requests.c - the operations that torc uses: issued when their SQE is taken,
 * tried, armed where they have to wait, tried again in deferred work,
 * completed exactly once; and provided buffers.
 *
 * Modelled: the file is taken at issue and held; multishot accept, receive
 * and poll, which go on while there is something, are requeued after 33, and
 * may end at any completion; a buffer is needed before a byte is looked for;
 * incremental buffers; sends with MSG_WAITALL that go on where they stopped,
 * with MSG_DONTWAIT that do not, and with CQE_SKIP_SUCCESS that speak only if
 * they are short or failed; a request that has sent something completes with
 * that; cancels that find an armed request, come too late, or pass by one that
 * is in deferred work without being armed.
 *
 * Memory that a request in flight names is remembered, and compared before
 * the kernel uses it and when the request ends. Memory that will be written to
 * is filled with a pattern, and has to have it still; so have buffers that
 * were provided.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reactor/op.h"
#include "sys/barrier.h"
#include "sys/poison.h"
#include "tests/sim/kring.h"

#define AT_ONCE 33u		/* completions of a multishot before others */
#define PATTERN 0xa5
#define SQE_KINDS 16
#define POLL_ALWAYS (POLLERR | POLLHUP | POLLRDHUP)	/* asked for or not */

/* What a request has to say about its success. */
enum { DONE_OK, DONE_FAILED };

static bool
mine(const struct req *req, unsigned kind)
{
	return torc_tag_kind(req->sqe.user_data) == kind;
}

/* ---- Memory ---- */

static void
each_part(const struct req *req, void (*use)(uint8_t *copy, uint8_t *memory,
    size_t size))
{
	uint8_t *copy = req->copy;

	for (unsigned i = 0; i < req->part_count; i++) {
		use(copy, req->parts[i].iov_base, req->parts[i].iov_len);
		copy += req->parts[i].iov_len;
	}
}

static void
remember(uint8_t *copy, uint8_t *memory, size_t size)
{
	memcpy(copy, memory, size);
}

static void
compare(uint8_t *copy, uint8_t *memory, size_t size)
{
	if (memcmp(copy, memory, size) != 0)
		sim_fail("memory of an operation in flight was changed");
}

/* The request will wait: what it names must stay as it is. */
static void
guard_memory(struct req *req)
{
	if (req->part_count == 0 || req->copy != NULL)
		return;
	req->copy = malloc(req->size + 1);
	if (req->sqe.opcode == IORING_OP_RECV ||
	    req->sqe.opcode == IORING_OP_READ ||
	    req->sqe.opcode == IORING_OP_STATX)
		memset(req->parts[0].iov_base, PATTERN, req->size);
	each_part(req, remember);
}

static void
check_memory(const struct req *req)
{
	if (req->copy != NULL)
		each_part(req, compare);
}

void
sim_kernel_check_free(const void *memory, size_t size)
{
	const uint8_t *start = memory;

	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (!ring->used || ring->lost)
			continue;
		for (struct req *req = ring->reqs; req != NULL;
		    req = req->next) {
			const uint8_t *base = req->parts[0].iov_base;

			if (req->copy != NULL && base >= start &&
			    base < start + size)
				sim_fail("memory of an operation in flight "
				    "was freed");
		}
	}
}

/* ---- The end of a request ---- */

static void
remove_req(struct req *req)
{
	struct kring *ring = req->ring;
	struct req **at = &ring->reqs;

	while (*at != req)
		at = &(*at)->next;
	*at = req->next;
	for (unsigned i = 0; i < ring->work_count; i++) {
		if (ring->work[i] == req) {
			memmove(&ring->work[i], &ring->work[i + 1],
			    (ring->work_count - i - 1) *
			    sizeof(*ring->work));
			ring->work_count--;
			break;
		}
	}
	if (req->file != NULL)
		sim_file_put(req->file);
	if (req->other != NULL)
		sim_file_put(req->other);
	free(req->paths[0]);
	free(req->paths[1]);
	free(req->copy);
	free(req);
}

static void
complete_with(struct req *req, int32_t res, uint32_t flags, int how)
{
	struct kring *ring = req->ring;

	check_memory(req);
	if (how == DONE_FAILED || !(req->sqe.flags & IOSQE_CQE_SKIP_SUCCESS))
		sim_cq_post(ring, req->sqe.user_data, res, flags);
	if (ring->ghost_count < GHOSTS && !mine(req, TORC_KIND_NONE) &&
	    !mine(req, TORC_KIND_WAKE))
		ring->ghosts[ring->ghost_count++] = req->sqe.user_data;
	remove_req(req);
}

static void
complete(struct req *req, int32_t res)
{
	complete_with(req, res, 0, res < 0 ? DONE_FAILED : DONE_OK);
}

/* ---- Provided buffers ---- */

static void
look_at(struct group *group, uint16_t index)
{
	const struct io_uring_buf *entry =
	    &group->ring[index & (group->entries - 1)];
	uint16_t bid = entry->bid;
	uint8_t *memory = (uint8_t *)(uintptr_t)entry->addr;

	if (bid >= MAX_BUFFERS)
		sim_fail("buffer %u is provided", bid);
	if (group->buffers[bid].ours)
		sim_fail("buffer %u is provided twice", bid);
	group->buffers[bid].ours = true;
	group->buffers[bid].memory = memory;
	group->buffers[bid].size = entry->len;
	group->buffers[bid].filled = 0;
	torc_unpoison(memory, entry->len);
	memset(memory, PATTERN, entry->len);
}

/* Look at the buffers that were provided since the last time. */
void
sim_group_look(struct kring *ring)
{
	struct group *group = ring->group;
	uint16_t tail;

	if (group == NULL)
		return;
	tail = __atomic_load_n(&group->ring[0].resv, __ATOMIC_ACQUIRE);
	if ((uint16_t)(tail - group->head) > group->entries)
		sim_fail("more buffers are provided than the ring has");
	for (; group->seen != tail; group->seen++)
		look_at(group, group->seen);
}

static bool
has_buffer(const struct kring *ring)
{
	return ring->group != NULL &&
	    ring->group->head != ring->group->seen &&
	    !sim_fault(FAULT_BUFFERS);
}

/* Room in the buffer that comes next. */
static uint8_t *
next_buffer(struct group *group, uint16_t *bid, uint32_t *room)
{
	const struct io_uring_buf *entry =
	    &group->ring[group->head & (group->entries - 1)];
	uint8_t *at;

	*bid = entry->bid;
	at = group->buffers[*bid].memory + group->buffers[*bid].filled;
	*room = group->buffers[*bid].size - group->buffers[*bid].filled;
	for (uint32_t i = 0; i < *room; i++) {
		if (at[i] != PATTERN)
			sim_fail("a buffer was written to that is the "
			    "kernel's");
	}
	return at;
}

/* `size` bytes are in it: the flags of the completion. */
static uint32_t
commit_buffer(struct group *group, uint32_t size)
{
	struct io_uring_buf *entry =
	    &group->ring[group->head & (group->entries - 1)];
	uint16_t bid = entry->bid;
	uint32_t flags = IORING_CQE_F_BUFFER |
	    (uint32_t)bid << IORING_CQE_BUFFER_SHIFT;

	group->buffers[bid].filled += size;
	if (group->incremental) {
		entry->addr += size;
		entry->len -= size;
		if (group->buffers[bid].filled < group->buffers[bid].size)
			return flags | IORING_CQE_F_BUF_MORE;
	}
	group->buffers[bid].ours = false;
	group->head++;
	return flags;
}

int
sim_group_register(struct kring *ring, const struct torc_uapi_buf_reg *reg)
{
	int rc = sim_crossing(SITE_PBUF);

	if (rc < 0)
		return rc;
	if ((reg->flags & ~IOU_PBUF_RING_INC) != 0 ||
	    (reg->flags != 0 && world.profile < LINUX_6_12))
		return -EINVAL;
	if (ring->group != NULL)
		sim_fail("a buffer group is registered twice");
	ring->group = calloc(1, sizeof(*ring->group));
	ring->group->ring = (struct io_uring_buf *)(uintptr_t)reg->ring_addr;
	ring->group->entries = reg->ring_entries;
	ring->group->incremental = reg->flags != 0;
	return 0;
}

void
sim_group_unregister(struct kring *ring)
{
	free(ring->group);
	ring->group = NULL;
}

/* ---- Receives ---- */

/* What a completion with an error may carry along: a buffer, for nothing. */
static void
fail_receive(struct req *req, int error)
{
	uint32_t flags = 0;

	if (req->ring->group != NULL && error != -ENOBUFS &&
	    sim_fault(FAULT_RESULT) && has_buffer(req->ring))
		flags = commit_buffer(req->ring->group, 0) &
		    ~IORING_CQE_F_BUF_MORE;
	if (flags != 0 && req->ring->group->incremental) {
		/* Not as a whole: it stays where it is. */
		uint32_t bid = flags >> IORING_CQE_BUFFER_SHIFT;

		if (req->ring->group->buffers[bid].ours)
			flags |= IORING_CQE_F_BUF_MORE;
	}
	complete_with(req, error, flags, DONE_FAILED);
}

/* `optlen`: bytes after which a multishot receive ends; 0: none. */
static uint32_t
limit_of(const struct req *req)
{
	return req->sqe.file_index;
}

/* One completion of a multishot receive. False: it has ended, or waits. */
static bool
receive_some(struct req *req)
{
	struct kring *ring = req->ring;
	uint32_t room, flags;
	uint8_t *to;
	uint16_t bid;
	int rc;

	if (!has_buffer(ring)) {
		world.starved = true;
		complete(req, -ENOBUFS);
		return false;
	}
	rc = sim_crossing(SITE_OP_RECV);
	if (rc < 0) {
		fail_receive(req, rc);
		return false;
	}
	to = next_buffer(ring->group, &bid, &room);
	if (room > 1 && sim_fault(FAULT_SHORT))
		room = 1 + sim_draw(room);
	rc = sim_sock_recv(req->file->sock, to, room);
	if (rc == -EAGAIN)
		return false;
	if (rc <= 0) {
		complete_with(req, rc, rc == 0 ? IORING_CQE_F_SOCK_NONEMPTY :
		    0, rc < 0 ? DONE_FAILED : DONE_OK);
		return false;
	}
	flags = commit_buffer(ring->group, (uint32_t)rc);
	if (sim_sock_readable(req->file->sock) > 0)
		flags |= IORING_CQE_F_SOCK_NONEMPTY;
	req->done += (uint32_t)rc;
	if ((limit_of(req) == 0 || req->done < limit_of(req)) &&
	    sim_cq_post_more(ring, req->sqe.user_data, rc, flags))
		return true;
	complete_with(req, rc, flags, DONE_OK);
	return false;
}

static void
receive(struct req *req)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (!receive_some(req))
			return;
	}
	sim_work_add(req);
}

static void
receive_once(struct req *req)
{
	int rc = 0;

	check_memory(req);
	if (req->file->kind == FILE_EVENTFD) {
		if (req->file->count > 0) {
			memcpy(req->parts[0].iov_base, &req->file->count, 8);
			req->file->count = 0;
			rc = 8;
		} else {
			rc = -EAGAIN;
		}
	} else {
		uint32_t size = req->size;

		if (size > 1 && sim_fault(FAULT_SHORT))
			size = 1 + sim_draw(size);
		rc = sim_sock_recv(req->file->sock, req->parts[0].iov_base,
		    size);
	}
	if (rc == -EAGAIN && !(req->sqe.msg_flags & MSG_DONTWAIT)) {
		guard_memory(req);
		return;
	}
	free(req->copy);
	req->copy = NULL;
	complete(req, rc);
}

/* ---- Sends ---- */

/* What was sent counts more than why it was not all. */
static void
end_send(struct req *req, int error)
{
	int32_t res = req->done > 0 ? (int32_t)req->done : error;
	bool failed = req->done < req->size &&
	    (error < 0 || req->sqe.msg_flags & MSG_WAITALL);

	complete_with(req, res, 0, failed ? DONE_FAILED : DONE_OK);
}

/* The part that is to be sent next. */
static const uint8_t *
rest_of(const struct req *req, uint32_t *size)
{
	uint32_t skip = req->done;
	unsigned i = 0;

	while (i + 1 < req->part_count && skip >= req->parts[i].iov_len)
		skip -= (uint32_t)req->parts[i++].iov_len;
	*size = (uint32_t)req->parts[i].iov_len - skip;
	return (const uint8_t *)req->parts[i].iov_base + skip;
}

static void
transmit(struct req *req)
{
	const bool whole = req->sqe.msg_flags & MSG_WAITALL;
	enum site site = mine(req, TORC_KIND_OP) ? SITE_OP_SEND_ONCE :
	    SITE_OP_SEND;
	int rc;

	check_memory(req);
	rc = sim_crossing(site);
	if (rc < 0) {
		end_send(req, rc);
		return;
	}
	for (;;) {
		uint32_t size;
		const uint8_t *data = rest_of(req, &size);

		rc = sim_sock_send(req->file->sock, data, size);
		if (rc < 0)
			break;
		req->done += (uint32_t)rc;
		sim_trace("sent", rc, req->done, req->size);
		if (req->done == req->size || !whole ||
		    sim_fault(FAULT_SHORT)) {
			end_send(req, 0);
			return;
		}
	}
	if (rc == -EAGAIN && !(req->sqe.msg_flags & MSG_DONTWAIT) &&
	    (req->done == 0 || whole)) {
		guard_memory(req);
		/* Room in this very moment: tried again soon, and until then
		 * not where a cancel looks. */
		if (world.faults & 1u << FAULT_CANCEL && !world.calm &&
		    sim_draw(2) == 0) {
			sim_work_add(req);
			req->hidden = true;
		}
		return;
	}
	end_send(req, rc);
}

/* ---- Other operations ---- */

static void
accept_some(struct req *req)
{
	struct sock *sock = req->file->sock;

	while (sim_file_events(req->file) & POLLIN) {
		int rc = sim_crossing(SITE_OP_ACCEPT);

		if (rc == 0)
			rc = sim_sock_accept(sock);
		if (rc < 0) {
			complete(req, rc);
			return;
		}
		sim_trace("accept", rc, 0, 0);
		if (!sim_cq_post_more(req->ring, req->sqe.user_data, rc, 0)) {
			complete(req, rc);
			return;
		}
	}
}

static void
connect_on(struct req *req)
{
	int rc = sim_sock_connect(req->file->sock,
	    (struct sockaddr *)&req->address);
	int fault;

	if (rc == -EINPROGRESS || rc == -EALREADY)
		return;
	fault = sim_crossing(SITE_OP_CONNECT);
	if (fault < 0)
		rc = fault;
	complete(req, rc == -EISCONN ? 0 : rc);
}

static void
poll_file(struct req *req)
{
	enum site site = mine(req, TORC_KIND_WAKE) ? SITE_OP_WAKE :
	    mine(req, TORC_KIND_POLL) ? SITE_OP_WATCH : SITE_OP_POLL;
	uint32_t events = sim_file_events(req->file) &
	    (req->sqe.poll32_events | POLL_ALWAYS);
	int rc;

	if (events == 0)
		return;
	rc = sim_crossing(site);
	if (rc < 0)
		complete(req, rc);
	else if (!req->multishot || !sim_cq_post_more(req->ring,
	    req->sqe.user_data, (int32_t)events, 0))
		complete(req, (int32_t)events);
}

/* ---- Operations on files ---- */

static bool
is_on_files(const struct req *req)
{
	switch (req->sqe.opcode) {
	case IORING_OP_OPENAT2:
	case IORING_OP_STATX:
	case IORING_OP_FSYNC:
	case IORING_OP_CLOSE:
	case IORING_OP_RENAMEAT:
	case IORING_OP_UNLINKAT:
	case IORING_OP_MKDIRAT:
		return true;
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		return req->file->kind == FILE_NODE;
	default:
		return false;
	}
}

/* Mostly soon; now and then a disk takes long. */
static uint64_t
some_time(void)
{
	uint32_t ms = sim_draw(16) == 0 ? 60 : 2;

	return sim_draw(1 + ms * 1000) * 1000ull;
}

/* At once, or by a thread that begins it some time. */
static void
begin(struct req *req)
{
	if (!(req->sqe.flags & IOSQE_ASYNC) && sim_draw(2) == 0) {
		complete(req, sim_file_operate(req));
		return;
	}
	guard_memory(req);
	req->threaded = true;
	/* Of what goes to a disk at once, no thread knows. */
	req->unfound = req->sqe.opcode == IORING_OP_READ &&
	    !(req->sqe.flags & IOSQE_ASYNC) && sim_draw(2) == 0;
	req->begin_at = world.now + some_time();
	req->done_at = req->begin_at + some_time();
}

static struct req *
first_threaded(void)
{
	struct req *first = NULL;

	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		for (struct req *req = ring->used ? ring->reqs : NULL;
		    req != NULL; req = req->next) {
			if (req->threaded && !req->over && (first == NULL ||
			    req->done_at < first->done_at))
				first = req;
		}
	}
	return first;
}

uint64_t
sim_kernel_next(void)
{
	const struct req *req = first_threaded();

	return req != NULL ? req->done_at : UINT64_MAX;
}

/* What it has written stays as it is until the completion. */
bool
sim_kernel_act(void)
{
	struct req *req = first_threaded();

	if (req == NULL || req->done_at > world.now)
		return false;
	check_memory(req);
	req->result = sim_file_operate(req);
	req->over = true;
	if (req->copy != NULL)
		each_part(req, remember);
	sim_work_add(req);
	return true;
}

/*
 * One that was not begun has been cancelled; in the middle, it may end early,
 * or be done all the same.
 */
static void
run_threaded(struct req *req)
{
	if (req->over)
		complete(req, req->result);
	else if (req->cancelled && world.now < req->begin_at)
		complete(req, -ECANCELED);
	else if (req->cancelled && req->sqe.opcode != IORING_OP_CLOSE &&
	    sim_draw(4) == 0)
		complete(req, -EINTR);
}

static void
take_paths(struct req *req)
{
	const struct io_uring_sqe *sqe = &req->sqe;

	switch (sqe->opcode) {
	case IORING_OP_OPENAT2:
		memcpy(&req->how, (const void *)(uintptr_t)sqe->off,
		    sizeof(req->how));
		break;
	case IORING_OP_RENAMEAT:
		req->paths[1] = strdup((const char *)(uintptr_t)sqe->off);
		req->other = sim_fd_file((int)sqe->len);
		if (req->other != NULL)
			req->other->refs++;
		break;
	case IORING_OP_STATX:
	case IORING_OP_UNLINKAT:
	case IORING_OP_MKDIRAT:
		break;
	default:
		return;
	}
	req->paths[0] = strdup((const char *)(uintptr_t)sqe->addr);
}

static void
attempt_on_socket(struct req *req)
{
	switch (req->sqe.opcode) {
	case IORING_OP_POLL_ADD:
		poll_file(req);
		break;
	case IORING_OP_ACCEPT:
		accept_some(req);
		break;
	case IORING_OP_RECV:
	case IORING_OP_READ:
		if (limit_of(req) > 0 && world.profile < LINUX_6_18)
			complete(req, -EINVAL);
		else if (req->multishot)
			receive(req);
		else
			receive_once(req);
		break;
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_WRITE:
		transmit(req);
		break;
	case IORING_OP_CONNECT:
		connect_on(req);
		break;
	default:
		sim_fail("opcode %u is not known", req->sqe.opcode);
	}
}

static void
attempt(struct req *req)
{
	if (is_on_files(req)) {
		begin(req);
		return;
	}
	world.sparing = req->file != NULL && sim_file_is_spared(req->file);
	attempt_on_socket(req);
	world.sparing = false;
}

void
sim_req_run(struct req *req)
{
	sim_trace("work", (int64_t)req->sqe.user_data, req->cancelled, 0);
	if (req->threaded) {
		run_threaded(req);
		return;
	}
	if (!req->cancelled) {
		attempt(req);
		return;
	}
	if (req->sqe.opcode == IORING_OP_SEND ||
	    req->sqe.opcode == IORING_OP_SENDMSG ||
	    req->sqe.opcode == IORING_OP_WRITE)
		end_send(req, -ECANCELED);
	else if (req->sqe.opcode == IORING_OP_RECV && req->multishot)
		fail_receive(req, -ECANCELED);
	else
		complete(req, -ECANCELED);
}

/* ---- Wake-ups ---- */

static bool
cares(const struct req *req, uint32_t events)
{
	switch (req->sqe.opcode) {
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_WRITE:
	case IORING_OP_CONNECT:
		return events & (POLLOUT | POLLERR | POLLHUP);
	case IORING_OP_POLL_ADD:
		return events & (req->sqe.poll32_events | POLL_ALWAYS);
	default:
		return events & (POLLIN | POLLERR | POLLHUP);
	}
}

void
sim_kernel_wake(const struct file *file, uint32_t events)
{
	for (struct kring *ring = rings; ring < rings + MAX_RINGS; ring++) {
		if (!ring->used)
			continue;
		for (struct req *req = ring->reqs; req != NULL;
		    req = req->next) {
			if (req->file == file && cares(req, events))
				sim_work_add(req);
		}
	}
}

static void
let_ghost_speak(struct kring *ring)
{
	struct torc_reactor *reactor = sim_ring_reactor(ring);
	uint64_t tag = ring->ghosts[sim_draw(ring->ghost_count)];
	uint32_t flags = 0;
	int32_t res = -ECANCELED;

	if (reactor == NULL || torc_slots_find(reactor->kinds[
	    torc_tag_kind(tag)].slots, tag) != NULL)
		return;		/* it is not dead, or its name was reused */
	if (torc_tag_kind(tag) == TORC_KIND_RECV && has_buffer(ring) &&
	    sim_draw(2) == 0) {
		uint32_t room;
		uint16_t bid;

		next_buffer(ring->group, &bid, &room);
		res = (int32_t)(1 + sim_draw(room));
		flags = commit_buffer(ring->group, (uint32_t)res);
	}
	sim_trace("ghost", (int64_t)tag, res, flags);
	sim_cq_post(ring, tag, res, flags);
}

void
sim_req_mischief(struct kring *ring)
{
	if (ring->reqs != NULL && sim_fault(FAULT_SPURIOUS)) {
		struct req *req = ring->reqs;

		for (uint32_t skip = sim_draw(8); skip > 0; skip--)
			req = req->next != NULL ? req->next : ring->reqs;
		sim_work_add(req);
	}
	if (ring->ghost_count > 0 && sim_fault(FAULT_GHOST))
		let_ghost_speak(ring);
}

/* ---- Issue ---- */

static void
cancel(struct kring *ring, const struct io_uring_sqe *sqe)
{
	const bool all = sqe->cancel_flags & IORING_ASYNC_CANCEL_ALL;
	int found = 0;

	for (struct req *req = ring->reqs; req != NULL; req = req->next) {
		if (req->sqe.user_data != sqe->addr || req->hidden ||
		    req->cancelled || req->over || req->unfound)
			continue;
		found++;
		req->cancelled = true;
		sim_work_add(req);
	}
	sim_trace("cancel", (int64_t)sqe->addr, found, 0);
	if (!all)
		found = found > 0 ? 0 : -ENOENT;
	if (found < 0 || !(sqe->flags & IOSQE_CQE_SKIP_SUCCESS))
		sim_cq_post(ring, sqe->user_data, found, 0);
}

/* Each name is of one request, and of an object that is there. */
static void
check_tag(const struct kring *ring, const struct io_uring_sqe *sqe)
{
	const struct torc_reactor *reactor = sim_ring_reactor(ring);
	unsigned kind = torc_tag_kind(sqe->user_data);

	if (kind == TORC_KIND_NONE || kind & TORC_KIND_CANCEL ||
	    reactor == NULL)
		return;
	for (struct req *req = ring->reqs; req != NULL; req = req->next) {
		if (req->sqe.user_data == sqe->user_data)
			sim_fail("user_data %llx is used twice",
			    (unsigned long long)sqe->user_data);
	}
	if (kind >= TORC_KIND_OP && torc_slots_find(
	    reactor->kinds[kind].slots, sqe->user_data) == NULL)
		sim_fail("an operation of a slot that is not taken");
}

static void
take_memory(struct req *req)
{
	const struct io_uring_sqe *sqe = &req->sqe;
	const struct msghdr *message;

	switch (sqe->opcode) {
	case IORING_OP_STATX:
		req->part_count = 1;
		req->parts[0].iov_base = (void *)(uintptr_t)sqe->off;
		req->parts[0].iov_len = sizeof(struct statx);
		break;
	case IORING_OP_SENDMSG:
		message = (const struct msghdr *)(uintptr_t)sqe->addr;
		req->part_count = (unsigned)message->msg_iovlen;
		if (req->part_count > COUNT(req->parts))
			sim_fail("a message has %u parts", req->part_count);
		for (unsigned i = 0; i < req->part_count; i++)
			req->parts[i] = message->msg_iov[i];
		break;
	case IORING_OP_SEND:
	case IORING_OP_WRITE:
	case IORING_OP_RECV:
	case IORING_OP_READ:
		if (req->multishot)
			break;
		req->part_count = 1;
		req->parts[0].iov_base = (void *)(uintptr_t)sqe->addr;
		req->parts[0].iov_len = sqe->len;
		break;
	case IORING_OP_CONNECT:
		memcpy(&req->address, (const void *)(uintptr_t)sqe->addr,
		    sqe->off < sizeof(req->address) ? sqe->off :
		    sizeof(req->address));
		break;
	}
	for (unsigned i = 0; i < req->part_count; i++)
		req->size += (uint32_t)req->parts[i].iov_len;
}

/* A close has only the number, and a path may need no directory. */
static void
take_file(struct req *req)
{
	const int fd = req->sqe.fd;

	if (fd == AT_FDCWD)
		return;
	req->file = sim_fd_file(fd);
	if (req->file == NULL)
		sim_fail("an operation on descriptor %d, which is closed", fd);
	if (mine(req, TORC_KIND_OP))
		req->file->programs = true;
	if (req->sqe.opcode == IORING_OP_CLOSE)
		req->file = NULL;
	else
		req->file->refs++;
}

static void
start(struct kring *ring, const struct io_uring_sqe *sqe)
{
	struct req *req = calloc(1, sizeof(*req));
	struct req **end = &ring->reqs;

	while (*end != NULL)
		end = &(*end)->next;
	*end = req;
	req->ring = ring;
	req->sqe = *sqe;
	take_file(req);
	take_paths(req);
	req->multishot =
	    (sqe->opcode == IORING_OP_RECV &&
	    sqe->ioprio & IORING_RECV_MULTISHOT) ||
	    (sqe->opcode == IORING_OP_ACCEPT &&
	    sqe->ioprio & IORING_ACCEPT_MULTISHOT) ||
	    (sqe->opcode == IORING_OP_POLL_ADD &&
	    sqe->len & IORING_POLL_ADD_MULTI);
	if (req->multishot && sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
		sim_fail("a multishot that would end silently");
	take_memory(req);
	attempt(req);
}

void
sim_req_issue(struct kring *ring, const struct io_uring_sqe *sqe)
{
	sim_trace("issue", sqe->opcode, sqe->fd, (int64_t)sqe->user_data);
	check_tag(ring, sqe);
	switch (sqe->opcode) {
	case IORING_OP_ASYNC_CANCEL:
		cancel(ring, sqe);
		break;
	case IORING_OP_CLOSE:
		if (sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
			sim_fd_close(sqe->fd);
		else
			start(ring, sqe);
		break;
	default:
		start(ring, sqe);
	}
}

void
sim_req_drop_all(struct kring *ring)
{
	ring->work_count = 0;
	while (ring->reqs != NULL)
		remove_req(ring->reqs);
}
