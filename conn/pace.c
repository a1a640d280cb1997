/*
 * pace.c - how long one waits for a peer that moves bytes.
 */
#include "conn/client.h"
#include "conn/net.h"

#define SECOND_NS 1000000000u

void
torc_pace_begin(struct torc_pace *pace, unsigned ms, unsigned rate)
{
	pace->most_ns = ms == TORC_NO_LIMIT ? TORC_NEVER : ms * 1000000ull;
	pace->left_ns = pace->most_ns;
	pace->rate = rate == TORC_NO_LIMIT ? 0 : rate;
}

uint64_t
torc_pace_until(const struct torc_pace *pace, uint64_t deadline)
{
	const uint64_t now = torc_now();

	if (pace->left_ns >= TORC_NEVER - now)
		return deadline;
	return now + pace->left_ns < deadline ? now + pace->left_ns :
	    deadline;
}

void
torc_pace_note(struct torc_pace *pace, uint64_t since, uint64_t bytes)
{
	const uint64_t waited = torc_now() - since;
	uint64_t back = pace->most_ns;

	if (pace->most_ns == TORC_NEVER)
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
	torc_reactor_check(conn->reactor);
	torc_pace_begin(&conn->pace, ms, rate);
}
