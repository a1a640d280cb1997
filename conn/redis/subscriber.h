/* SPDX-License-Identifier: MIT */
/*
 * subscriber.h - a subscriber: its channels (channels.c), and its messages
 * (subscriber.c).
 */
#ifndef TORC_REDIS_SUBSCRIBER_H
#define TORC_REDIS_SUBSCRIBER_H

#include "conn/redis/redis.h"

struct name {
	struct name *next;
	bool pattern;
	char text[];
};

struct torc_redis_subscriber {
	struct torc_redis *redis;
	struct link *link;	/* or NULL */
	struct name *names;
	unsigned name_count;
	bool writing;
	struct torc_waiters writers;
	struct torc_resp_arena arena;
	struct torc_redis_reply reply;
	struct torc_slice view;	/* received, not read yet */
	torc_deadline silent_until;
	bool pinged;
	bool met;		/* there was a connection before */
	bool reading;		/* a part of a message is there */
	bool passing;		/* ... and was over a limit */
};

/* Give back the link of a subscriber. No fiber may be writing to it. */
void torc_redis_subscriber_release(struct link *link);

/*
 * Set the text for the end of a wait; `late` is the one for a deadline. Returns
 * `rc`.
 */
int torc_redis_subscriber_explain(int rc, const char *late,
    struct torc_error *error);

/*
 * Parks. Subscribe to everything again, on a new link. Returns 0 or an error.
 */
int torc_redis_subscriber_resume(struct torc_redis_subscriber *subscriber,
    torc_deadline deadline, struct torc_error *error);

/* Parks. Send a PING. */
void torc_redis_subscriber_ping(struct torc_redis_subscriber *subscriber,
    torc_deadline deadline);

#endif
