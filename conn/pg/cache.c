/* SPDX-License-Identifier: MIT */
/*
 * cache.c - the statements that are prepared on a connection: the last that
 * were used, found by their text.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/pg/cache.h"
#include "conn/pg/nature.h"
#include "conn/pg/shape.h"
#include "conn/pg/wire.h"
#include "sys/sys.h"
#include "sys/trap.h"

int
torc_pg_cache_init(struct pg_cache *cache, unsigned most, const char *prefix)
{
	unsigned count = 8;

	while (count < most)
		count *= 2;
	memset(cache, 0, sizeof(*cache));
	cache->buckets = torc_sys_alloc_array(count, sizeof(*cache->buckets));
	if (cache->buckets == NULL)
		return -ENOMEM;
	cache->bucket_count = count;
	cache->most = most;
	snprintf(cache->prefix, sizeof(cache->prefix), "%s", prefix);
	return 0;
}

void
torc_pg_cache_clear(struct pg_cache *cache)
{
	while (cache->newest != NULL)
		torc_pg_cache_drop(cache, cache->newest, false);
	torc_pg_cache_closed(cache, cache->closing);
}

void
torc_pg_cache_fini(struct pg_cache *cache)
{
	torc_pg_cache_clear(cache);
	torc_sys_free(cache->buckets);
}

/* ---- One statement ---- */

struct pg_statement *
torc_pg_statement_ref(struct pg_statement *statement)
{
	statement->refs++;
	return statement;
}

void
torc_pg_statement_unref(struct pg_statement *statement)
{
	torc_assert(statement->refs > 0);
	if (--statement->refs > 0)
		return;
	torc_pg_shape_drop(&statement->shape);
	torc_sys_free(statement->types);
	torc_sys_free(statement->sql);
	torc_sys_free(statement);
}

/* ---- Finding it ---- */

static uint64_t
mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

static uint64_t
hash_of(const struct torc_pg_statement *wanted)
{
	size_t size = strlen(wanted->sql);
	uint64_t hash = mix(size, wanted->binary), word;

	for (size_t at = 0; at < size; at += sizeof(word)) {
		size_t left = size - at;

		word = 0;
		memcpy(&word, wanted->sql + at,
		    left < sizeof(word) ? left : sizeof(word));
		hash = mix(hash, word);
	}
	for (unsigned i = 0; i < wanted->param_count; i++)
		hash = mix(hash, wanted->params[i].type);
	return hash;
}

static bool
matches(const struct pg_statement *statement,
    const struct torc_pg_statement *wanted)
{
	if (statement->binary != wanted->binary ||
	    statement->type_count != wanted->param_count ||
	    strcmp(statement->sql, wanted->sql) != 0)
		return false;
	for (unsigned i = 0; i < wanted->param_count; i++)
		if (statement->types[i] != wanted->params[i].type)
			return false;
	return true;
}

static void
unlink_age(struct pg_cache *cache, struct pg_statement *statement)
{
	if (statement->newer != NULL)
		statement->newer->older = statement->older;
	else
		cache->newest = statement->older;
	if (statement->older != NULL)
		statement->older->newer = statement->newer;
	else
		cache->oldest = statement->newer;
}

static void
make_newest(struct pg_cache *cache, struct pg_statement *statement)
{
	statement->newer = NULL;
	statement->older = cache->newest;
	if (cache->newest != NULL)
		cache->newest->newer = statement;
	else
		cache->oldest = statement;
	cache->newest = statement;
}

static struct pg_statement **
bucket_of(const struct pg_cache *cache, uint64_t hash)
{
	return &cache->buckets[hash & (cache->bucket_count - 1)];
}

struct pg_statement *
torc_pg_cache_find(
    struct pg_cache *cache, const struct torc_pg_statement *wanted)
{
	struct pg_statement *found = cache->newest;
	uint64_t hash;

	/* The last statement is often used again. */
	if (found != NULL && matches(found, wanted))
		return found;
	hash = hash_of(wanted);
	found = *bucket_of(cache, hash);
	while (found != NULL &&
	    (found->hash != hash || !matches(found, wanted)))
		found = found->chain;
	if (found != NULL) {
		unlink_age(cache, found);
		make_newest(cache, found);
	}
	return found;
}

/* ---- Coming and going ---- */

/* The server never had the statements to be closed. */
static void
forget_closing(struct pg_cache *cache, struct pg_statement *statement)
{
	struct pg_statement **at = &cache->closing;

	while (*at != NULL && *at != statement)
		at = &(*at)->chain;
	if (*at == NULL)
		return;
	*at = statement->chain;
	torc_pg_statement_unref(statement);
}

void
torc_pg_cache_drop(struct pg_cache *cache, struct pg_statement *statement,
    bool close)
{
	struct pg_statement **at = bucket_of(cache, statement->hash);

	while (*at != NULL && *at != statement)
		at = &(*at)->chain;
	if (*at == NULL) {	/* it was dropped before */
		if (!close)
			forget_closing(cache, statement);
		return;
	}
	*at = statement->chain;
	unlink_age(cache, statement);
	torc_assert(cache->count > 0);
	cache->count--;
	torc_assert((cache->count == 0) == (cache->newest == NULL));
	if (close && statement->name[0] != '\0') {
		statement->chain = cache->closing;
		cache->closing = statement;
	} else {
		torc_pg_statement_unref(statement);
	}
}

static struct pg_statement *
make(const struct torc_pg_statement *wanted)
{
	struct pg_statement *made = torc_sys_alloc(sizeof(*made));

	if (made == NULL)
		return NULL;
	made->refs = 1;
	made->sql = torc_sys_strdup(wanted->sql);
	made->types = torc_sys_alloc_array(wanted->param_count + 1u,
	    sizeof(*made->types));
	if (made->sql == NULL || made->types == NULL) {
		torc_pg_statement_unref(made);
		return NULL;
	}
	for (unsigned i = 0; i < wanted->param_count; i++) {
		made->types[i] = wanted->params[i].type;
		made->inferred |= made->types[i] == TORC_PG_INFERRED;
	}
	made->type_count = wanted->param_count;
	made->binary = wanted->binary;
	made->nature = torc_pg_nature_of(wanted->sql);
	made->hash = hash_of(wanted);
	return made;
}

struct pg_statement *
torc_pg_cache_add(
    struct pg_cache *cache, const struct torc_pg_statement *wanted)
{
	struct pg_statement *made = make(wanted);

	if (made == NULL)
		return NULL;
	if (cache->count == cache->most)
		torc_pg_cache_drop(cache, cache->oldest, true);
	made->id = ++cache->last_id;
	if (cache->prefix[0] != '\0')
		snprintf(made->name, sizeof(made->name), "%s%llx",
		    cache->prefix, (unsigned long long)made->id);
	made->chain = *bucket_of(cache, made->hash);
	*bucket_of(cache, made->hash) = made;
	make_newest(cache, made);
	cache->count++;
	torc_assert(cache->count <= cache->most);
	return made;
}

void
torc_pg_cache_put_closing(const struct pg_statement *first,
    struct pg_writer *writer)
{
	for (const struct pg_statement *gone = first; gone != NULL;
	    gone = gone->chain)
		torc_pg_put_close(writer, gone->name);
}

void
torc_pg_cache_closed(struct pg_cache *cache, const struct pg_statement *first)
{
	struct pg_statement **at = &cache->closing;

	while (*at != NULL && *at != first)
		at = &(*at)->chain;
	while (*at != NULL) {
		struct pg_statement *gone = *at;

		*at = gone->chain;
		torc_pg_statement_unref(gone);
	}
}
