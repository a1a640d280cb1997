/* SPDX-License-Identifier: MIT */
/*
 * questions.h - what the programs that measure torc's clients ask: Redis for
 * one key, PostgreSQL for a value by its key. 100 bytes are the right answer.
 */
#ifndef BENCH_QUESTIONS_H
#define BENCH_QUESTIONS_H

#include <torc_pg.h>
#include <torc_redis.h>

#define ASK_MS 5000u
#define KEYS 1000u
#define VALUE_SIZE 100u
#define SELECT "select value from pairs where key = $1"

/* Parks. Whether the answer is right; `*reply` is to be freed, also if not. */
static inline bool
ask_redis(struct torc_redis *redis, struct torc_redis_reply **reply)
{
	return torc_redis_do(redis, reply, torc_after_ms(ASK_MS), "GET",
	    "key", NULL) == 0 && (*reply)->type == TORC_REDIS_STRING &&
	    (*reply)->size == VALUE_SIZE;
}

/* As ask_redis(), for the row of this number. */
static inline bool
ask_pg(struct torc_pg *pg, unsigned long number,
    struct torc_pg_result **result, struct torc_pg_row *row)
{
	const struct torc_pg_param key =
	    torc_pg_int4((int32_t)(number % KEYS));
	const struct torc_pg_statement statement = { SELECT, &key, 1, false };

	return torc_pg_query(pg, &statement, result, torc_after_ms(ASK_MS)) ==
	    0 &&
	    torc_pg_result_next_row(*result, row) &&
	    row->values[0].size == VALUE_SIZE;
}

#endif
