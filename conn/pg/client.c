/* SPDX-License-Identifier: MIT */
/*
 * client.c - the client of a reactor, and its pools.
 */
#include <errno.h>

#include "conn/pg/client.h"
#include "conn/pg/config.h"
#include "conn/pg/error.h"
#include "conn/pg/open.h"
#include "conn/pg/shared.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

static const struct torc_key client_key = { "postgres" };

/* ---- Making and ending it ---- */

static int
create_pool(struct torc_pg *pg, struct pg_pool *pool, unsigned size,
    struct torc_error *error)
{
	const struct torc_pg_config *config = &pg->config;
	const struct torc_pool_config wanted = {
		.size = size, .waiters = config->waiters,
		.idle_ms = config->idle_ms, .open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
		.lifetime_ms = config->lifetime_ms,
	};

	pool->pg = pg;
	return torc_pool_create(&pool->pool, &torc_pg_pool_kind, pool, &wanted,
	    error);
}

static int
create_pools(struct torc_pg *pg, struct torc_error *error)
{
	/* Retired connections do not count. */
	int rc = create_pool(pg, &pg->shared_pool, 2 * pg->config.shared,
	    error);

	return rc < 0 ? rc :
	    create_pool(pg, &pg->session_pool, pg->config.sessions, error);
}

static int
begin_sharing(struct torc_pg *pg)
{
	const struct torc_pg_config *config = &pg->config;
	const struct torc_shared_config wanted = {
		.places = config->shared, .waiters = config->waiters,
		.open_ms = config->open_ms != 0 ? config->open_ms : 5000,
	};

	return torc_shared_set_init(&pg->shared, &torc_pg_shared_kind,
	    pg->shared_pool.pool, &wanted);
}

/* Parks. Returns 0 or -ETIMEDOUT. */
static int
free_client(struct torc_pg *pg, torc_deadline deadline)
{
	int rc;

	torc_shared_set_end(&pg->shared);
	/* NULL: it was not created. */
	rc = torc_pool_destroy(pg->session_pool.pool, deadline);
	rc |= torc_pool_destroy(pg->shared_pool.pool, deadline);
	torc_pg_setup_free(&pg->setup);
	torc_sys_free(pg);
	return rc < 0 ? -ETIMEDOUT : 0;
}

/* All but what is opened. */
static int
make_client(struct torc_pg *pg, const struct torc_pg_config *config,
    struct torc_error *error)
{
	const struct pg_words words = { error, false };
	int rc = torc_sys_random(&pg->random, sizeof(pg->random));

	if (rc < 0)
		return torc_error_set(error, rc, "no random number: %s",
		    torc_pg_cause(rc));
	rc = torc_pg_setup_make(&pg->setup, config, &words);
	if (rc < 0)
		return rc;
	pg->config = pg->setup.config;
	rc = create_pools(pg, error);
	if (rc == 0)
		rc = begin_sharing(pg);
	if (rc == 0 && torc_pg_of(pg->reactor) == NULL)
		rc = torc_reactor_set_data(pg->reactor, &client_key, pg);
	return rc;
}

int
torc_pg_create_sized(struct torc_pg **made,
    const struct torc_pg_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_pg *pg = torc_sys_alloc(sizeof(*pg));
	struct torc_pg_config taken;
	int rc = -ENOMEM;

	torc_require(reactor != NULL,
	    "torc_pg_create() must be called on a reactor's thread");
	torc_error_clear(error);
	if (pg != NULL) {
		pg->reactor = reactor;
		rc = torc_config_take(&taken, sizeof(taken), config,
		    config_size, "torc_pg_config", error);
	}
	if (rc == 0)
		rc = make_client(pg, &taken, error);
	if (rc == -ENOMEM)
		torc_error_set(error, rc, "no memory for a client");
	if (rc == 0)
		*made = pg;
	else if (pg != NULL)
		free_client(pg, TORC_AT_ONCE);
	return rc;
}

struct torc_pg *
torc_pg_of(const struct torc_reactor *reactor)
{
	return torc_reactor_data(reactor, &client_key);
}

int
torc_pg_destroy(struct torc_pg *pg, torc_deadline deadline)
{
	bool asked;
	int rc = 0;

	if (pg == NULL)
		return 0;
	asked = torc_shared_set_is_used(&pg->shared);
	torc_require(!asked || torc_reactor_self() != pg->reactor,
	    "torc_pg_destroy() while a call is in progress");
	if (torc_pg_of(pg->reactor) == pg)
		torc_reactor_set_data(pg->reactor, &client_key, NULL);
	/* Fibers were lost with the ring of their reactor: nothing is freed. */
	if (asked)
		return 0;
	torc_shared_set_end(&pg->shared);
	while (pg->fibers > 0 && torc_fiber_self() != 0 &&
	    rc == 0)
		rc = torc_wait(&pg->quiet, deadline);
	if (pg->fibers == 0)
		return free_client(pg, deadline);
	/* This fiber was cancelled, or its time is up. */
	pg->doomed = true;
	return rc;
}

void
torc_pg_stats_read_sized(const struct torc_pg *pg,
    struct torc_pg_stats *stats, size_t stats_size)
{
	struct torc_pg_stats now = pg->stats;

	now.retired = pg->shared.retired;
	torc_config_give(stats, stats_size, &now, sizeof(now));
}

const struct torc_pool *
torc_pg_shared_pool(const struct torc_pg *pg)
{
	return pg->shared_pool.pool;
}

const struct torc_pool *
torc_pg_session_pool(const struct torc_pg *pg)
{
	return pg->session_pool.pool;
}

int
torc_pg_explain(const struct pg_pool *pool, int rc, torc_deadline deadline,
    struct torc_error *error)
{
	const struct torc_error *failure = &pool->failure;

	torc_assert(rc < 0);
	if (rc == -ENOBUFS)
		return torc_error_set(error, rc, "%u fibers (`waiters`) "
		    "already wait for a connection", pool->pg->config.waiters);
	if (rc == -ETIMEDOUT && torc_passed(deadline))
		return torc_error_set(error, rc, "the deadline passed before a "
		    "connection was free or open%s%s", failure->code < 0 ?
		    "; the last attempt to open one: " : "", failure->text);
	if (rc != failure->code)
		return torc_error_set(error, rc, "%s before a connection was "
		    "free or open", torc_pg_cause(rc));
	if (error != NULL)
		*error = *failure;
	return rc;
}

/* ---- Fibers of its own ---- */

int
torc_pg_fiber(struct torc_pg *pg, torc_fiber_entry *entry, void *arg)
{
	/* The reactor may have ended, and its thread may do other things. */
	int rc = torc_reactor_self() == pg->reactor ?
	    torc_fiber_spawn(NULL, entry, arg) : -ESHUTDOWN;

	if (rc == 0)
		pg->fibers++;
	return rc;
}

void
torc_pg_fiber_end(struct torc_pg *pg)
{
	torc_assert(pg->fibers > 0);
	if (--pg->fibers > 0)
		return;
	if (pg->doomed)
		free_client(pg, TORC_AT_ONCE);
	else
		torc_wake_all(&pg->quiet, 0);
}
