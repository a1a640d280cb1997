/*
 * client.c - the client of a reactor: its configuration and its pools.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conn/pg/pg.h"
#include "conn/pg/text.h"
#include "sys/trap.h"

static const struct torc_key client_key = { "postgres" };

/* ---- Configuration ---- */

struct bound {
	const char *name;
	size_t offset;
	unsigned otherwise;
	unsigned least;
	unsigned most;
};

#define BOUND(name, otherwise, least, most) \
	{ #name, offsetof(struct torc_pg_config, name), otherwise, least, \
	    most }

static const struct bound bounds[] = {
	BOUND(iterations_max, 1000000, 4096, 1u << 24),
	BOUND(shared, 2, 1, 256),
	BOUND(sessions, 8, 1, 4096),
	BOUND(waiters, 1024, 1, 1048576),
	BOUND(statements, 256, 1, 65536),
	BOUND(message_max, 16777216, 1024, 1u << 30),
	BOUND(result_max, 4194304, 1024, 1u << 30),
	BOUND(notices_max, 262144, 1024, 1u << 30),
	BOUND(cancel_ms, 1000, 1, 60000),
};

static int
refuse(char *text, size_t size, const char *format, ...)
{
	va_list arguments;

	if (text != NULL && size > 0) {
		va_start(arguments, format);
		pg_print_text(text, size, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

static int
check_bounds(struct torc_pg_config *config, char *text, size_t size)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *bound = &bounds[i];
		unsigned *field = (unsigned *)(void *)((char *)config +
		    bound->offset);

		if (*field == 0)
			*field = bound->otherwise;
		if (*field < bound->least || *field > bound->most)
			return refuse(text, size, "%s is %u, and must be %u "
			    "to %u", bound->name, *field, bound->least,
			    bound->most);
	}
	if (config->address == NULL || config->user == NULL)
		return refuse(text, size, "%s is missing",
		    config->address == NULL ? "address" : "user");
	return 0;
}

/* A copy of a text in the client's memory; *at moves behind it. */
static const char *
keep(char **at, const char *text)
{
	char *kept = *at;

	if (text == NULL)
		return NULL;
	*at = stpcpy(kept, text) + 1;
	return kept;
}

static size_t
length(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

static int
keep_texts(struct torc_pg *pg)
{
	struct torc_pg_config *config = &pg->config;
	const char *const *from = config->parameters;
	size_t count = 0, size = length(config->address) +
	    length(config->user) + length(config->database) +
	    length(config->password) + length(config->reset);
	char *at;

	for (; from != NULL && from[count] != NULL; count++)
		size += length(from[count]);
	pg->texts = at = malloc(size);
	pg->parameters = calloc(count + 1, sizeof(*pg->parameters));
	if (at == NULL || pg->parameters == NULL)
		return -ENOMEM;
	config->address = keep(&at, config->address);
	config->user = keep(&at, config->user);
	config->database = keep(&at, config->database);
	config->password = keep(&at, config->password);
	config->reset = keep(&at, config->reset);
	for (size_t i = 0; i < count; i++)
		pg->parameters[i] = keep(&at, from[i]);
	config->parameters = pg->parameters;
	return 0;
}

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
	int rc = torc_pool_create(&pg->shared_pool, &pg_pool_kind, pg, &pool,
	    text, size);

	if (rc < 0)
		return rc;
	pool.size = config->sessions;
	return torc_pool_create(&pg->session_pool, &pg_pool_kind, pg, &pool,
	    text, size);
}

static void
free_client(struct torc_pg *pg)
{
	if (pg->session_pool != NULL)
		torc_pool_destroy(pg->session_pool);
	if (pg->shared_pool != NULL)
		torc_pool_destroy(pg->shared_pool);
	if (pg->texts != NULL && pg->config.password != NULL)
		explicit_bzero((char *)(uintptr_t)pg->config.password,
		    strlen(pg->config.password));
	free(pg->texts);
	free(pg->parameters);
	free(pg->shared);
	free(pg);
}

int
torc_pg_create(struct torc_pg **made, const struct torc_pg_config *config,
    char *text, size_t text_size)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_pg *pg = calloc(1, sizeof(*pg));
	int rc;

	torc_require(reactor != NULL,
	    "torc_pg_create is called on a reactor's thread");
	if (pg == NULL)
		return -ENOMEM;
	pg->reactor = reactor;
	pg->config = *config;
	if (getrandom(&pg->random, sizeof(pg->random), 0) !=
	    sizeof(pg->random)) {
		free(pg);
		return refuse(text, text_size, "no random number: %s",
		    strerror(errno));
	}
	rc = check_bounds(&pg->config, text, text_size);
	if (rc == 0)
		rc = keep_texts(pg);
	if (rc < 0) {
		free(pg->texts);
		free(pg->parameters);
		free(pg);
		return rc;
	}
	pg->shared = calloc(pg->config.shared, sizeof(*pg->shared));
	rc = pg->shared == NULL ? -ENOMEM :
	    create_pools(pg, text, text_size);
	if (rc == 0 && torc_pg_of(reactor) == NULL)
		rc = torc_reactor_set(reactor, &client_key, pg);
	if (rc < 0)
		free_client(pg);
	else
		*made = pg;
	return rc;
}

struct torc_pg *
torc_pg_of(const struct torc_reactor *reactor)
{
	return torc_reactor_get(reactor, &client_key);
}

void
torc_pg_destroy(struct torc_pg *pg)
{
	const bool asked = pg->waiting > 0 || pg_share_used(pg);

	torc_require(!asked || torc_reactor_self() != pg->reactor,
	    "torc_pg_destroy while somebody asks");
	if (torc_pg_of(pg->reactor) == pg)
		torc_reactor_set(pg->reactor, &client_key, NULL);
	/* Fibers that went with the ring of their reactor: nothing is freed. */
	if (asked)
		return;
	pg_share_end(pg);
	while (pg->fibers > 0 && torc_fiber_self() != 0 &&
	    torc_wait(&pg->quiet, TORC_NEVER) == 0)
		continue;
	if (pg->fibers == 0)
		free_client(pg);
	else
		pg->doomed = true;	/* this fiber was cancelled */
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

void
pg_say(struct torc_pg *pg, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	pg_print_text(pg->trouble, sizeof(pg->trouble), format, arguments);
	va_end(arguments);
}

/* ---- Fibers of its own ---- */

int
pg_fiber(struct torc_pg *pg, torc_fiber_entry *entry, void *arg)
{
	/* The reactor may have ended, and its thread does other things. */
	int rc = torc_reactor_self() == pg->reactor ?
	    torc_fiber_spawn(NULL, entry, arg) : -ESHUTDOWN;

	if (rc == 0)
		pg->fibers++;
	return rc;
}

void
pg_fiber_end(struct torc_pg *pg)
{
	if (--pg->fibers > 0)
		return;
	if (pg->doomed)
		free_client(pg);
	else
		torc_wake_all(&pg->quiet, 0);
}
