/* SPDX-License-Identifier: MIT */
/*
 * channels.c - the subscriptions of a subscriber. Their names are kept, and
 * sent again on a new connection.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/subscriber.h"
#include "sys/sys.h"

#define NAMES_MAX 4096u		/* channels and patterns */

void
torc_redis_subscriber_release(struct link *link)
{
	struct node *node = link->node;

	torc_pool_release(link->opener->pool, link, false);
	torc_redis_node_drop(node);
}

int
torc_redis_subscriber_explain(int rc, const char *late,
    struct torc_error *error)
{
	return torc_error_set(error, rc, "%s", rc == -ETIMEDOUT ? late :
	    rc == -ECANCELED ? "the fiber was cancelled" : strerror(-rc));
}

/* Parks. One fiber at a time changes the names and writes. */
static int
lock(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	int rc = 0;

	while (rc == 0 && subscriber->writing)
		rc = torc_wait(&subscriber->writers, deadline);
	if (rc == 0)
		subscriber->writing = true;
	return rc == 0 ? 0 : torc_redis_subscriber_explain(rc, "another fiber "
	    "was subscribing until the deadline", error);
}

static void
unlock(struct torc_redis_subscriber *subscriber)
{
	subscriber->writing = false;
	torc_wake(&subscriber->writers, 0);
}

/*
 * Parks. Write a command, if there is a connection. The fiber that reads sees
 * failures.
 */
static void
write_command(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    const char *verb, const char *argument)
{
	const struct torc_slice argv[] = {
		{ (const uint8_t *)verb, strlen(verb) },
		{ (const uint8_t *)argument, argument == NULL ? 0 :
		    strlen(argument) },
	};
	const struct torc_redis_command command = { argv,
		argument == NULL ? 1 : 2 };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct link *link = subscriber->link;
	bool begun;

	if (link == NULL || link->mute)
		return;
	link->shared.users++;
	if (torc_redis_link_write(link, deadline, &batch, &begun) == 0)
		torc_conn_push(link->conn);
	link->shared.users--;
	if (link != subscriber->link && link->shared.users == 0)
		torc_redis_subscriber_release(link);
}

static const char *
verb_of(const struct name *name)
{
	return name->pattern ? "PSUBSCRIBE" : "SUBSCRIBE";
}

static struct name **
find_name(struct torc_redis_subscriber *subscriber, const char *text,
    bool pattern)
{
	struct name **at = &subscriber->names;

	while (*at != NULL && ((*at)->pattern != pattern ||
	    strcmp((*at)->text, text) != 0))
		at = &(*at)->next;
	return at;
}

static int
add_name(struct torc_redis_subscriber *subscriber, struct name **at,
    const char *text, bool pattern, struct torc_error *error)
{
	struct name *name;

	if (subscriber->name_count == NAMES_MAX)
		return torc_error_set(error, -ENOBUFS,
		    "more than %u channels and patterns", NAMES_MAX);
	name = torc_sys_alloc_raw(sizeof(*name) + strlen(text) + 1);
	if (name == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for a channel");
	name->next = NULL;
	name->pattern = pattern;
	strcpy(name->text, text);
	*at = name;
	subscriber->name_count++;
	return 0;
}

static int
subscribe(struct torc_redis_subscriber *subscriber, const char *text,
    bool pattern, struct torc_error *error, torc_deadline deadline)
{
	struct name **at;
	int rc;

	torc_error_clear(error);
	rc = lock(subscriber, deadline, error);
	if (rc < 0)
		return rc;
	at = find_name(subscriber, text, pattern);
	if (*at == NULL) {
		rc = add_name(subscriber, at, text, pattern, error);
		if (rc == 0)
			write_command(subscriber, deadline, verb_of(*at),
			    text);
	}
	unlock(subscriber);
	return rc;
}

static int
unsubscribe(struct torc_redis_subscriber *subscriber, const char *text,
    bool pattern, struct torc_error *error, torc_deadline deadline)
{
	struct name **at, *name;
	int rc;

	torc_error_clear(error);
	rc = lock(subscriber, deadline, error);
	if (rc < 0)
		return rc;
	at = find_name(subscriber, text, pattern);
	name = *at;
	if (name != NULL) {
		*at = name->next;
		torc_sys_free(name);
		subscriber->name_count--;
		write_command(subscriber, deadline,
		    pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE", text);
	}
	unlock(subscriber);
	return name != NULL ? 0 : torc_error_set(error, -ENOENT,
	    "there is no subscription to \"%s\"", text);
}

int
torc_redis_subscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline)
{
	return subscribe(subscriber, channel, false, error, deadline);
}

int
torc_redis_psubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline)
{
	return subscribe(subscriber, pattern, true, error, deadline);
}

int
torc_redis_unsubscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline)
{
	return unsubscribe(subscriber, channel, false, error, deadline);
}

int
torc_redis_punsubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline)
{
	return unsubscribe(subscriber, pattern, true, error, deadline);
}

int
torc_redis_subscriber_resume(struct torc_redis_subscriber *subscriber,
    torc_deadline deadline, struct torc_error *error)
{
	int rc = lock(subscriber, deadline, error);

	if (rc < 0)
		return rc;
	for (struct name *name = subscriber->names; name != NULL;
	    name = name->next)
		write_command(subscriber, deadline, verb_of(name),
		    name->text);
	unlock(subscriber);
	return 0;
}

void
torc_redis_subscriber_ping(
    struct torc_redis_subscriber *subscriber, torc_deadline deadline)
{
	if (lock(subscriber, deadline, NULL) < 0)
		return;
	write_command(subscriber, deadline, "PING", NULL);
	unlock(subscriber);
}
