/* SPDX-License-Identifier: MIT */
/*
 * said.h - what a call that failed has said: kept, so that a test can look at
 * it after the reply is freed.
 */
#ifndef TORC_TESTS_REDIS_SAID_H
#define TORC_TESTS_REDIS_SAID_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/redis/torc_redis.h"

static char said[1024];
static enum torc_redis_fate said_fate;

/*
 * Keep what a reply says of its call, and free it. Returns the call's result,
 * or -EILSEQ if the reply tells another one.
 */
static inline int
heard(int rc, struct torc_redis_reply **reply)
{
	const struct torc_error *error = torc_redis_reply_error(*reply);
	const bool agrees = error->code == rc && *reply != NULL &&
	    (rc == 0 || strcmp(error->text, (*reply)->text) == 0);

	snprintf(said, sizeof(said), "%s", error->text);
	said_fate = torc_redis_reply_fate(*reply);
	torc_redis_reply_free(*reply);
	*reply = NULL;
	return agrees ? rc : -EILSEQ;
}

#endif
