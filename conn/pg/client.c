/*
 * client.c - the client of a reactor, and its pools.
 */
#include <errno.h>

#include "conn/pg/pg.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

static const struct torc_key client_key = { "postgres" };

/* ---- Making and ending it ---- */

static int
create_pools(struct torc_pg *pg, char *text, size_t size)
{
	const struct torc_pg_config *config = &pg->config;
	struct torc_pool_config pool = {
		/* Retired ones keep nobody waiting. */
		.size = 2 * config->shared,
		.waiters = config->waiters, .idle_ms = config->idle_ms,
		.open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
		.lifetime_ms = config->lifetime_ms,
	};
	struct torc_error error;
	int rc = torc_pool_create(
	    &pg->shared_pool, &torc_pg_pool_kind, pg, &pool, &error);

	pool.size = config->sessions;
	if (rc == 0)
		rc = torc_pool_create(&pg->session_pool, &torc_pg_pool_kind,
		    pg, &pool, &error);
	if (rc < 0 && text != NULL)
		torc_text_print(text, size, "%s", error.text);
	return rc;
}

/* Parks. 0, or -ETIMEDOUT. */
static int
free_client(struct torc_pg *pg, torc_deadline deadline)
{
	int rc = 0;

	if (pg->session_pool != NULL)
		rc = torc_pool_destroy(pg->session_pool, deadline);
	if (pg->shared_pool != NULL)
		rc |= torc_pool_destroy(pg->shared_pool, deadline);
	torc_pg_setup_free(&pg->setup);
	torc_sys_free(pg->shared);
	torc_sys_free(pg);
	return rc < 0 ? -ETIMEDOUT : 0;
}

int
torc_pg_create(struct torc_pg **made, const struct torc_pg_config *config,
    char *text, size_t text_size)
{
	const struct pg_words words = { text, text_size, false };
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_pg *pg = torc_sys_alloc(sizeof(*pg));
	int rc;

	torc_require(reactor != NULL,
	    "torc_pg_create is called on a reactor's thread");
	if (pg == NULL)
		return -ENOMEM;
	pg->reactor = reactor;
	rc = torc_sys_random(&pg->random, sizeof(pg->random));
	if (rc < 0)
		rc = torc_pg_refuse(&words, "no random number");
	if (rc == 0)
		rc = torc_pg_setup_make(&pg->setup, config, &words);
	if (rc < 0) {
		torc_sys_free(pg);
		return rc;
	}
	pg->config = pg->setup.config;
	pg->shared = torc_sys_alloc_array(pg->config.shared,
	    sizeof(*pg->shared));
	rc = pg->shared == NULL ? -ENOMEM :
	    create_pools(pg, text, text_size);
	if (rc == 0 && torc_pg_of(reactor) == NULL)
		rc = torc_reactor_set_data(reactor, &client_key, pg);
	if (rc < 0)
		free_client(pg, TORC_AT_ONCE);
	else
		*made = pg;
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
	const bool asked = pg->waiting > 0 || torc_pg_share_used(pg);
	int rc = 0;

	torc_require(!asked || torc_reactor_self() != pg->reactor,
	    "torc_pg_destroy while somebody asks");
	if (torc_pg_of(pg->reactor) == pg)
		torc_reactor_set_data(pg->reactor, &client_key, NULL);
	/* Fibers that went with the ring of their reactor: nothing is freed. */
	if (asked)
		return 0;
	torc_pg_share_end(pg);
	while (pg->fibers > 0 && torc_fiber_self() != 0 &&
	    rc == 0)
		rc = torc_wait(&pg->quiet, deadline);
	if (pg->fibers == 0)
		return free_client(pg, deadline);
	/* This fiber was cancelled, or its time is up. */
	pg->doomed = true;
	return rc;
}

const char *
torc_pg_trouble(const struct torc_pg *pg)
{
	return pg->trouble;
}

void
torc_pg_stats(const struct torc_pg *pg, struct torc_pg_stats *stats)
{
	*stats = pg->stats;
	torc_pool_stats(pg->shared_pool, &stats->shared);
	torc_pool_stats(pg->session_pool, &stats->sessions);
}

/* ---- Fibers of its own ---- */

int
torc_pg_fiber(struct torc_pg *pg, torc_fiber_entry *entry, void *arg)
{
	/* The reactor may have ended, and its thread does other things. */
	int rc = torc_reactor_self() == pg->reactor ?
	    torc_fiber_spawn(NULL, entry, arg) : -ESHUTDOWN;

	if (rc == 0)
		pg->fibers++;
	return rc;
}

void
torc_pg_fiber_end(struct torc_pg *pg)
{
	if (--pg->fibers > 0)
		return;
	if (pg->doomed)
		free_client(pg, TORC_AT_ONCE);
	else
		torc_wake_all(&pg->quiet, 0);
}
