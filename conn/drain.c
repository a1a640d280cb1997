/* SPDX-License-Identifier: MIT */
/*
 * drain.c - connections while their reactor drains. Peers that wait for nothing
 * are served for a while longer, and then get a FIN. After that, the wait for
 * their own FIN is shorter than at other times.
 */
#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "reactor/fiber.h"

#define FIRST_REQUEST_NS 1000000000u	/* to a new peer */

/* The handler waits for a message, and nothing of one is there. */
static bool
is_idle(const struct torc_conn *conn)
{
	return conn->reader != NULL && conn->handler != NULL &&
	    !conn->shut && !conn->unfinished && torc_recv_idle(conn);
}

uint64_t
torc_drain_idle_by(const struct torc_conn *conn)
{
	const uint64_t first_by = conn->since + FIRST_REQUEST_NS;

	return conn->met || conn->net->idle_by > first_by ?
	    conn->net->idle_by : first_by;
}

unsigned
torc_drain_linger_ms(const struct torc_conn *conn)
{
	const struct torc_config *config = &conn->reactor->config;

	torc_debug_assert(!conn->doomed);
	if (conn->reactor->phase < TORC_PHASE_DRAINING)
		return config->linger_ms;
	if (conn->silent)
		return 0;
	return config->linger_ms < config->lame_duck_ms ? config->linger_ms :
	    config->lame_duck_ms;
}

/* Look at a connection again at that time, or before. */
static void
look_by(struct torc_conn *conn, uint64_t by)
{
	struct torc_timers *timers = &conn->reactor->timers;

	torc_debug_assert(conn->reactor->phase >= TORC_PHASE_DRAINING);
	if (by < UINT64_MAX && (!torc_timer_armed(&conn->timer) ||
	    torc_timers_when(timers, &conn->timer) > by))
		torc_timers_arm(timers, &conn->timer, by);
}

static void
begin_end(struct torc_conn *conn)
{
	if (conn->lingers)
		look_by(conn, torc_conn_limit(conn,
		    torc_drain_linger_ms(conn)).at);
	else if (conn->dormant || is_idle(conn))
		look_by(conn, torc_drain_idle_by(conn));
}

/* Half of the time that the drain has is for those that are at work. */
static uint64_t
choose_idle_by(const struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->phase == TORC_PHASE_DRAINING);
	/* K1: relaxed. It is what began the drain, or later. */
	const uint64_t end = torc_load_relaxed_u64(&reactor->drain_at);
	const unsigned ms = reactor->config.lame_duck_ms;
	const uint64_t half = end < reactor->now ? 0 : (end - reactor->now) / 2;
	const uint64_t span = ms * 1000000ull;

	if (ms == TORC_NO_LIMIT || span > half)
		return reactor->now + half;
	return reactor->now + span;
}

bool
torc_drain_is_over(const struct torc_conn *conn)
{
	/* K1: relaxed. It is what ended the drain, or later. */
	return conn->reactor->phase == TORC_PHASE_STOPPING &&
	    torc_load_relaxed_u64(&conn->reactor->drain_at) != 0;
}

void
torc_drain_set_silent(struct torc_conn *conn, bool silent)
{
	conn->silent = silent;
}

void
torc_drain_begin(struct torc_net *net)
{
	struct torc_conn *conn = NULL;

	net->idle_by = choose_idle_by(net->reactor);
	torc_listen_close(net);
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		begin_end(conn);
}

void
torc_drain_look(struct torc_conn *conn)
{
	torc_debug_assert(conn->reactor->phase == TORC_PHASE_DRAINING);
	if (conn->lingers && conn->reader != NULL) {
		torc_fiber_wake(conn->reader, -ETIMEDOUT);
	} else if (is_idle(conn)) {
		conn->silent = true;
		torc_fiber_wake(conn->reader, -ESHUTDOWN);
	}
}
