/*
 * share.c - the connections that many fibers use at once.
 *
 * A shared connection is rented from its pool while anybody uses it. While
 * others are idle or may be opened, nobody queues behind another; then the one
 * with the fewest statements is taken. One that stands still, as a slow
 * statement keeps it, is taken last. One that is retired gets no more of them,
 * and is closed when those that use it are through.
 */
#include <errno.h>

#include "conn/pg/cancel.h"
#include "conn/pg/client.h"
#include "conn/pg/reply.h"
#include "conn/pg/session.h"
#include "conn/pg/share.h"
#include "sys/trap.h"

/* Whether it may get statements: it is in the list, and only once. */
static bool
is_listed(const struct torc_pg_session *session)
{
	const struct torc_pg *pg = session->pg;
	unsigned count = 0;

	for (unsigned i = 0; i < pg->shared_count; i++)
		count += pg->shared[i] == session;
	torc_assert(count <= 1);
	return count == 1;
}

static void
add_shared(struct torc_pg *pg, struct torc_pg_session *session)
{
	torc_pipeline_init(
	    &session->pipeline, session->conn, &torc_pg_pipeline_kind, session);
	torc_assert(pg->shared_count < pg->config.shared);
	torc_assert(!session->retired && !is_listed(session));
	session->users = 0;
	session->answered_at = torc_now();
	pg->shared[pg->shared_count++] = session;
}

/* It gets no more statements. */
static void
remove_shared(struct torc_pg *pg, const struct torc_pg_session *session)
{
	for (unsigned i = 0; i < pg->shared_count; i++)
		if (pg->shared[i] == session)
			pg->shared[i] = pg->shared[--pg->shared_count];
}

void
torc_pg_share_retire(struct torc_pg_session *session)
{
	if (session->retired)
		return;
	torc_assert(is_listed(session));
	session->retired = true;
	session->pg->stats.retired++;
	remove_shared(session->pg, session);
}

/* Nobody uses it any more, and it has answered all, or is of no use. */
static void
give_back(struct torc_pg_session *session)
{
	struct torc_pg *pg = session->pg;
	const bool reusable = !session->retired &&
	    session->pipeline.error == 0;

	torc_assert(session->users == 0);
	torc_assert(is_listed(session) != session->retired);
	torc_assert(!reusable || session->pipeline.count == 0);
	remove_shared(pg, session);
	if (!reusable) {
		/* What it still works on, nobody waits for. */
		if (session->pipeline.error == 0 &&
		    session->pipeline.count > 0)
			torc_pg_cancel_begin(session);
		torc_pipeline_break(&session->pipeline, -ECONNABORTED);
		session->lost = session->pipeline.error;
	}
	torc_pool_release(pg->shared_pool.pool, session, reusable);
}

bool
torc_pg_share_used(const struct torc_pg *pg)
{
	for (unsigned i = 0; i < pg->shared_count; i++)
		if (pg->shared[i]->users > 0)
			return true;
	return false;
}

void
torc_pg_share_end(struct torc_pg *pg)
{
	while (pg->shared_count > 0) {
		struct torc_pg_session *session = pg->shared[0];

		torc_pg_share_retire(session);
		give_back(session);
	}
}

void
torc_pg_share_leave(struct torc_pg_session *session)
{
	torc_assert(session->users > 0);
	session->users--;
	if (session->pipeline.error != 0)
		torc_pg_share_retire(session);
	if (session->users == 0 &&
	    (session->retired || session->pipeline.count == 0))
		give_back(session);
}

static int
open_shared(void *arg)
{
	struct torc_pg *pg = arg;
	const unsigned ms = pg->config.open_ms;
	void *item;
	int rc = torc_pool_acquire(pg->shared_pool.pool, &item,
	    ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_after_ms(2ull * (ms != 0 ? ms : 5000)));

	torc_assert(pg->opening > 0);
	pg->opening--;
	if (rc == 0)
		add_shared(pg, item);
	torc_wake_all(&pg->waiters, rc);
	/* Those who waited begin to use it now; if nobody does: */
	if (rc == 0 && pg->waiting == 0)
		give_back(item);
	torc_pg_fiber_end(pg);
	return 0;
}

#define STILL_NS 50000000u	/* without an answer */

bool
torc_pg_share_stands_still(const struct torc_pg_session *session)
{
	return session->pipeline.count > 0 &&
	    torc_now() - session->answered_at > STILL_NS;
}

/* Statements of those who gave up count last: one that was just opened is
 * used at once. */
static bool
is_less_busy(const struct torc_pg_session *a, const struct torc_pg_session *b)
{
	const bool still = torc_pg_share_stands_still(a);

	if (still != torc_pg_share_stands_still(b))
		return !still;
	return a->users != b->users ? a->users < b->users :
	    a->pipeline.count < b->pipeline.count;
}

static struct torc_pg_session *
least_busy(const struct torc_pg *pg)
{
	struct torc_pg_session *best = NULL;

	for (unsigned i = 0; i < pg->shared_count; i++)
		if (best == NULL || is_less_busy(pg->shared[i], best))
			best = pg->shared[i];
	return best;
}

/* Another connection: an idle one at once, or one that is opened. */
static int
widen(struct torc_pg *pg)
{
	struct torc_pool_stats stats;
	void *item;
	int rc;

	if (pg->shared_count + pg->opening >= pg->config.shared)
		return 0;
	torc_pool_stats_read(pg->shared_pool.pool, &stats);
	if (stats.idle > 0 && torc_pool_acquire(pg->shared_pool.pool, &item,
	    TORC_AT_ONCE) == 0) {
		add_shared(pg, item);
		return 0;
	}
	if (pg->opening > 0)
		return 0;
	rc = torc_pg_fiber(pg, open_shared, pg);
	if (rc == 0)
		pg->opening++;
	return rc;
}

/* Whether it is better than to wait for one that is opened. */
static bool
is_to_be_used(const struct torc_pg *pg, const struct torc_pg_session *best,
    bool waited)
{
	return best != NULL && (waited || pg->opening == 0 ||
	    !torc_pg_share_stands_still(best));
}

/* Parks. For one that is opened. */
static int
await_opening(struct torc_pg *pg, torc_deadline deadline)
{
	int rc;

	if (pg->waiting >= pg->config.waiters)
		return -ENOBUFS;
	pg->waiting++;
	rc = torc_wait(&pg->waiters, deadline);
	pg->waiting--;
	return rc;
}

int
torc_pg_share_join(struct torc_pg *pg, struct torc_pg_session **session,
    torc_deadline deadline)
{
	bool waited = false;
	int rc = 0;

	for (;;) {
		struct torc_pg_session *best = least_busy(pg);

		if (best == NULL || best->users > 0 ||
		    best->pipeline.count > 0) {
			rc = widen(pg);
			best = least_busy(pg);
		}
		if (is_to_be_used(pg, best, waited)) {
			best->users++;
			*session = best;
			return 0;
		}
		if (rc == 0)
			rc = await_opening(pg, deadline);
		/* Behind another statement, rather than not at all. */
		waited = rc < 0 && rc != -ECANCELED && !torc_passed(deadline) &&
		    pg->shared_count > 0;
		if (rc < 0 && !waited)
			return rc;
	}
}
