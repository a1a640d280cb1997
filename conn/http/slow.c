/* SPDX-License-Identifier: MIT */
/*
 * slow.c - exchanges that hold a connection to an origin while they wait for
 * their clients. Their connections are set aside, so that other requests do not
 * wait for them. If there are too many, the exchanges that have stood still for
 * longest lose their connections to requests that wait for one.
 */
#include <errno.h>

#include "conn/http/exchange.h"

static struct torc_http_exchange *
next_of(struct torc_node *node)
{
	return torc_container(node, struct torc_http_exchange, slow);
}

static void
set_aside(struct torc_http_exchange *exchange)
{
	struct torc_http_client *origin = exchange->origin;

	exchange->aside = torc_pool_set_aside(origin->pool,
	    exchange->call.link, true) == 0;
	if (exchange->aside)
		origin->unplaced--;
}

/* From now on, the exchange stands still. */
static void
mark(struct torc_http_exchange *exchange)
{
	exchange->slow_since = torc_now();
	exchange->slow_mark = torc_conn_progress(exchange->http->conn);
	torc_list_append(&exchange->origin->slow, &exchange->slow);
}

/* ---- Eviction ---- */

/*
 * Whether a slow client takes something: then its exchange goes behind the
 * others.
 */
static bool
goes_on(struct torc_http_exchange *exchange)
{
	if (torc_conn_progress(exchange->http->conn) == exchange->slow_mark)
		return false;
	torc_list_remove(&exchange->slow);
	mark(exchange);
	return true;
}

static void
evict(struct torc_http_exchange *exchange)
{
	exchange->evicted = true;
	torc_list_remove(&exchange->slow);
	torc_wake_all(&exchange->space, -EBUSY);
	torc_wake_all(&exchange->events, -EBUSY);
}

/* Parks. Runs while there are more slow exchanges than may be set aside. */
static int
run_evictor(void *arg)
{
	struct torc_http_client *origin = arg;
	const unsigned ms = origin->config.stall_ms;
	int rc = 0;

	while (rc == 0 && origin->unplaced > 0 &&
	    !torc_list_empty(&origin->slow)) {
		struct torc_http_exchange *first =
		    next_of(origin->slow.ends.next);
		const uint64_t due = first->slow_since + ms * 1000000ull;
		struct torc_pool_stats stats;

		torc_pool_stats_read(origin->pool, &stats);
		if (due > torc_now()) {
			rc = torc_sleep(torc_at(due));
		} else if (stats.waiting == 0) {
			rc = torc_sleep(torc_after_ms(ms));
		} else if (!goes_on(first)) {
			evict(first);
			rc = torc_yield();
		}
	}
	origin->evictor = 0;
	return 0;
}

static void
start_evictor(struct torc_http_client *origin)
{
	if (origin->evictor == 0 && torc_fiber_spawn_daemon(&origin->evictor,
	    run_evictor, origin) < 0)
		origin->evictor = 0;
}

/* ---- Those that wait ---- */

void
torc_http_slow_begin(struct torc_http_exchange *exchange)
{
	struct torc_http_client *origin = exchange->origin;

	if (exchange->slow_count++ > 0)
		return;
	mark(exchange);
	origin->unplaced++;
	set_aside(exchange);
	if (!exchange->aside)
		start_evictor(origin);
}

/* Give the place of an exchange that was set aside to the next one. */
static void
place_next(struct torc_http_client *origin)
{
	struct torc_node *end = &origin->slow.ends;
	struct torc_node *node = end->next;

	while (node != end && next_of(node)->aside)
		node = node->next;
	if (node != end)
		set_aside(next_of(node));
}

void
torc_http_slow_end(struct torc_http_exchange *exchange)
{
	struct torc_http_client *origin = exchange->origin;

	if (--exchange->slow_count > 0)
		return;
	/* From now on, the exchange waits for the origin. */
	exchange->progress = torc_now();
	if (exchange->half_closed)
		torc_wake_all(&exchange->events, 0);
	if (torc_node_linked(&exchange->slow))
		torc_list_remove(&exchange->slow);
	if (!exchange->aside) {
		origin->unplaced--;
		return;
	}
	torc_pool_set_aside(origin->pool, exchange->call.link, false);
	exchange->aside = false;
	if (origin->unplaced > 0)
		place_next(origin);
}
