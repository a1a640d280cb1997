/* SPDX-License-Identifier: MIT */
/*
 * pace.c - how long one waits for a peer that moves bytes.
 */
#include <poll.h>

#include "conn/conn.h"
#include "conn/torc_protocol.h"
#include "sys/sys.h"

#define SECOND_NS 1000000000u

void
torc_pace_init(struct torc_pace *pace, unsigned ms, unsigned rate)
{
	pace->most_ns = ms == TORC_NO_LIMIT ? UINT64_MAX : ms * 1000000ull;
	pace->left_ns = pace->most_ns;
	pace->rate = rate == TORC_NO_LIMIT ? 0 : rate;
}

torc_deadline
torc_pace_until(const struct torc_pace *pace, torc_deadline deadline)
{
	const uint64_t now = torc_now();

	torc_debug_assert(pace->left_ns <= pace->most_ns);
	if (pace->left_ns >= UINT64_MAX - now)
		return deadline;
	return torc_sooner(torc_at(now + pace->left_ns), deadline);
}

void
torc_pace_note(struct torc_pace *pace, uint64_t since, uint64_t bytes)
{
	const uint64_t waited = torc_now() - since;
	uint64_t back = pace->most_ns;

	torc_debug_assert(pace->left_ns <= pace->most_ns);
	if (pace->most_ns == UINT64_MAX)
		return;
	pace->left_ns -= waited < pace->left_ns ? waited : pace->left_ns;
	if (bytes == 0)
		return;
	/* More than that would not fit, and is all of it for any rate. */
	if (pace->rate > 0 && bytes < UINT64_MAX / SECOND_NS)
		back = bytes * SECOND_NS / pace->rate;
	if (back > pace->most_ns - pace->left_ns)
		back = pace->most_ns - pace->left_ns;
	pace->left_ns += back;
}

void
torc_conn_set_pace(struct torc_conn *conn, unsigned ms, unsigned rate)
{
	torc_conn_require(conn);
	torc_pace_init(&conn->pace, ms, rate);
}

/*
 * Over TCP, what the peer has acknowledged. Elsewhere, what the kernel took of
 * a send, or has not yet given away, mostly differs then: while it takes as
 * much as it gives away, that looks the same.
 */
uint64_t
torc_conn_progress(const struct torc_conn *conn)
{
	int64_t acked;

	torc_conn_require(conn);
	acked = torc_sys_acked(conn->fd);
	return acked >= 0 ? (uint64_t)acked : (conn->taken << 32) +
	    (uint32_t)torc_sys_unsent(conn->fd);
}

/* Note what the peer has acknowledged since the last time. */
static void
note_progress(struct torc_conn *conn, struct torc_progress *progress,
    uint64_t since)
{
	const int unsent = torc_sys_unsent(conn->fd);
	const uint64_t behind = unsent > 0 ? (uint64_t)unsent : 0;
	const uint64_t taken = progress->sent > behind ?
	    progress->sent - behind : 0;

	torc_pace_note(&conn->pace, since, taken > progress->taken ?
	    taken - progress->taken : 0);
	if (taken > progress->taken)
		progress->taken = taken;
}

/*
 * The kernel says that there is room when a third of its buffer is free, which
 * may take a steady peer very long: what it has taken is seen before.
 */
int
torc_conn_await_room(struct torc_conn *conn, struct torc_progress *progress,
    torc_deadline deadline)
{
	const struct torc_pace *pace = &conn->pace;
	const uint64_t since = torc_now();
	int rc;

	rc = torc_fd_poll(conn->fd, POLLOUT, pace->most_ns == 0 ? deadline :
	    torc_pace_until(pace, deadline));
	if (pace->most_ns == 0)
		return rc < 0 ? rc : 0;
	note_progress(conn, progress, since);
	if (rc == -ETIMEDOUT && !torc_passed(deadline) && pace->left_ns > 0)
		rc = 0;
	return rc < 0 ? rc : 0;
}
