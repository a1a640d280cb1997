/* SPDX-License-Identifier: MIT */
/*
 * subscriber.c - receives messages over a connection that is opened again when
 * it is lost. One fiber reads (torc_redis_subscriber_next) and opens the
 * connection; others may subscribe meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/redis/subscriber.h"
#include "sys/sys.h"

#define SILENCE_MS 30000u	/* until a PING, and until that failed */
#define AGAIN_MS 50u		/* between attempts to connect */

int
torc_redis_subscriber_create(struct torc_redis *redis,
    struct torc_redis_subscriber **out)
{
	struct torc_redis_subscriber *subscriber =
	    torc_sys_alloc(sizeof(*subscriber));

	if (subscriber == NULL)
		return -ENOMEM;
	subscriber->redis = redis;
	torc_resp_arena_init(&subscriber->arena, NULL, 0);
	*out = subscriber;
	return 0;
}

/* Drop the link. Fibers that still write to it may finish. */
static void
drop_link(struct torc_redis_subscriber *subscriber)
{
	struct link *link = subscriber->link;

	subscriber->link = NULL;
	torc_shared_retire(&link->shared);
	if (link->shared.users == 0)
		torc_redis_subscriber_release(link);
}

void
torc_redis_subscriber_destroy(struct torc_redis_subscriber *subscriber)
{
	if (subscriber == NULL)
		return;
	if (subscriber->link != NULL)
		drop_link(subscriber);
	while (subscriber->names != NULL) {
		struct name *name = subscriber->names;

		subscriber->names = name->next;
		torc_sys_free(name);
	}
	torc_resp_arena_free(&subscriber->arena);
	torc_sys_free(subscriber);
}

/* ---- The connection ---- */

static void
note_life(struct torc_redis_subscriber *subscriber)
{
	subscriber->pinged = false;
	subscriber->silent_until = torc_after_ms(SILENCE_MS);
}

/*
 * Say that the deadline passed before another attempt, and why the last one
 * failed.
 */
static int
explain_lateness(struct torc_error *error)
{
	struct torc_error last;

	if (error == NULL)
		return -ETIMEDOUT;
	last = *error;
	(void)torc_error_set(error, -ETIMEDOUT,
	    "no connection before the deadline of the call: %s", last.text);
	error->cut |= last.cut;
	return -ETIMEDOUT;
}

/* Parks. Wait until the next attempt. */
static int
pause_to_connect(torc_deadline deadline, struct torc_error *error)
{
	const torc_deadline again = torc_after_ms(AGAIN_MS);
	int rc = torc_sleep(torc_sooner(again, deadline));

	if (rc < 0)
		return torc_redis_subscriber_explain(rc, "", error);
	return again.at < deadline.at ? 0 : explain_lateness(error);
}

/* Parks. */
static int
resume(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	int rc = torc_redis_subscriber_resume(subscriber, deadline, error);

	if (rc < 0)
		drop_link(subscriber);
	return rc;
}

/* Parks. Open a connection, by the deadline. */
static int
connect_again(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	struct trouble trouble = { .error = error };

	for (;;) {
		int rc = torc_redis_node_rent(subscriber->redis, -1,
		    &subscriber->link, deadline,
		    error != NULL ? &trouble : NULL);

		if (rc == 0) {
			note_life(subscriber);
			return resume(subscriber, deadline, error);
		}
		if (rc == -ECANCELED || rc == -ESHUTDOWN || rc == -EACCES ||
		    (rc == -ETIMEDOUT && torc_passed(deadline)))
			return rc;
		rc = pause_to_connect(deadline, error);
		if (rc < 0)
			return rc;
	}
}

/* ---- Reading ---- */

static bool
is_text(const struct torc_redis_reply *item)
{
	return item->type == TORC_REDIS_STRING ||
	    item->type == TORC_REDIS_STATUS;
}

/* Read a reply. Returns 1 if it is for the program, 0 if not, or an error. */
static int
understand(struct torc_redis_subscriber *subscriber,
    struct torc_redis_message *message, struct torc_error *error)
{
	static const struct {
		const char *kind;
		size_t size;
		enum torc_redis_event event;
	} kinds[] = {
		{ "message", 3, TORC_REDIS_MESSAGE },
		{ "pmessage", 4, TORC_REDIS_MESSAGE },
		{ "subscribe", 3, TORC_REDIS_SUBSCRIBED },
		{ "psubscribe", 3, TORC_REDIS_SUBSCRIBED },
		{ "unsubscribe", 3, TORC_REDIS_UNSUBSCRIBED },
		{ "punsubscribe", 3, TORC_REDIS_UNSUBSCRIBED },
	};
	const struct torc_redis_reply *reply = &subscriber->reply;
	const struct torc_redis_reply *items = reply->items;

	if (reply->type == TORC_REDIS_ERROR)
		return torc_error_set(error, -EREMOTEIO, "%s", reply->text);
	if ((reply->type != TORC_REDIS_PUSH &&
	    reply->type != TORC_REDIS_ARRAY) || reply->size < 3 ||
	    !is_text(&items[0]) || !is_text(&items[1]))
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const bool both = kinds[i].size == 4;
		const struct torc_redis_reply *last = &items[reply->size - 1];

		if (strcmp(items[0].text, kinds[i].kind) != 0 ||
		    reply->size != kinds[i].size)
			continue;
		message->event = kinds[i].event;
		message->pattern = both ? items[1].text : NULL;
		message->channel = items[both ? 2 : 1].text;
		if (kinds[i].event != TORC_REDIS_MESSAGE)
			return 1;
		if (!is_text(last) || !is_text(&items[reply->size - 2]))
			return 0;
		message->text = last->text;
		message->size = last->size;
		return 1;
	}
	return 0;
}

static void
consume(struct torc_redis_subscriber *subscriber, size_t size)
{
	struct torc_slice *view = &subscriber->view;

	torc_conn_consume(subscriber->link->conn, size);
	view->data += size;
	view->size -= size;
}

/* Skip the rest of a message that exceeded a limit. Returns 0 or an error. */
static int
pass(struct torc_redis_subscriber *subscriber)
{
	struct torc_resp_reader *reader = &subscriber->link->tree.reader;
	long rc = torc_resp_pass(reader, subscriber->view.data,
	    subscriber->view.size);

	if (rc < 0)
		return (int)rc;
	consume(subscriber, (size_t)rc);
	subscriber->passing = !reader->done;
	return 0;
}

/* Feed the view to the tree. Returns how many bytes were taken, or an error. */
static long
build(struct torc_redis_subscriber *subscriber)
{
	struct torc_resp_tree *tree = &subscriber->link->tree;
	long rc;

	if (!subscriber->reading) {
		torc_resp_arena_free(&subscriber->arena);
		torc_resp_arena_init(&subscriber->arena, NULL, 0);
	}
	tree->arena = &subscriber->arena;
	rc = torc_resp_build(tree, &subscriber->reply, subscriber->view.data,
	    subscriber->view.size);
	if (rc >= 0)
		subscriber->reading = rc > 0 && !tree->reader.done;
	return rc;
}

static int
explain(const struct torc_redis_subscriber *subscriber, int rc,
    struct torc_error *error)
{
	const char *limit = torc_redis_over_limit(rc);

	return torc_error_set(error, rc, "%s: a message %s: %s",
	    subscriber->link->address,
	    limit == NULL ? "cannot be read" : "was skipped",
	    limit == NULL ? "it is not the protocol of Redis" : limit);
}

/*
 * Take received bytes. Returns 1 if a reply is complete, 0 if not, or an error.
 * A reply that exceeds a limit is an error once; the rest of it is skipped.
 */
static int
take(struct torc_redis_subscriber *subscriber, struct torc_error *error)
{
	const struct torc_resp_tree *tree = &subscriber->link->tree;
	long rc = subscriber->passing ? pass(subscriber) : 0;

	if (rc == 0 && (subscriber->passing || subscriber->view.size == 0))
		return 0;
	if (rc == 0)
		rc = build(subscriber);
	if (rc >= 0) {
		consume(subscriber, (size_t)rc);
		return rc > 0 && tree->reader.done;
	}
	subscriber->reading = false;
	if (rc != -EBADMSG) {
		consume(subscriber, tree->taken);
		subscriber->passing = !tree->reader.done;
	}
	return explain(subscriber, (int)rc, error);
}

/*
 * Parks. Nothing came for long: send PING, and the second time drop the link.
 */
static void
probe(struct torc_redis_subscriber *subscriber)
{
	const bool pinged = subscriber->pinged;

	note_life(subscriber);
	if (pinged) {
		drop_link(subscriber);
		return;
	}
	subscriber->pinged = true;
	torc_redis_subscriber_ping(subscriber, subscriber->silent_until);
}

/*
 * Parks. Receive more. Returns 0, even if there is nothing; or a negative
 * errno.
 */
static int
receive(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	const torc_deadline until = subscriber->silent_until;
	int rc = torc_conn_recv(subscriber->link->conn, &subscriber->view,
	    torc_sooner(until, deadline));

	if (rc > 0) {
		note_life(subscriber);
		return 0;
	}
	if (rc == -ECANCELED || (rc == -ETIMEDOUT && until.at >= deadline.at))
		return torc_redis_subscriber_explain(rc,
		    "nothing came before the deadline", error);
	if (rc == -ETIMEDOUT)
		probe(subscriber);
	else
		drop_link(subscriber);
	return 0;
}

/*
 * Parks. Returns 1 if a reply is complete, 0 to look again, or a negative
 * errno.
 */
static int
read_reply(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	int rc = 0;

	if (subscriber->view.size > 0)
		rc = take(subscriber, error);
	if (rc == 0)
		rc = receive(subscriber, deadline, error);
	else if (rc == -EBADMSG)
		drop_link(subscriber);
	return rc;
}

/* Drop a link that is of no more use. */
static void
leave_bad_link(struct torc_redis_subscriber *subscriber)
{
	const struct link *link = subscriber->link;

	if (link != NULL && (link->mute || link->node->gone ||
	    torc_redis_is_replaced(link)))
		drop_link(subscriber);
}

/*
 * Parks. Get a link. Returns 1 if it is not the first one, 0 if it is, or an
 * error.
 */
static int
begin_link(struct torc_redis_subscriber *subscriber, torc_deadline deadline,
    struct torc_error *error)
{
	const bool met = subscriber->met;
	int rc;

	subscriber->reading = false;
	subscriber->passing = false;
	subscriber->view.size = 0;
	rc = connect_again(subscriber, deadline, error);
	if (rc < 0)
		return rc;
	subscriber->met = true;
	return met;
}

int
torc_redis_subscriber_next(struct torc_redis_subscriber *subscriber,
    struct torc_redis_message *message, struct torc_error *error,
    torc_deadline deadline)
{
	int rc = 0;

	memset(message, 0, sizeof(*message));
	while (rc == 0) {
		leave_bad_link(subscriber);
		if (subscriber->link == NULL) {
			rc = begin_link(subscriber, deadline, error);
			if (rc > 0)
				message->event = TORC_REDIS_CONNECTED;
			continue;
		}
		rc = read_reply(subscriber, deadline, error);
		if (rc > 0)
			rc = understand(subscriber, message, error);
	}
	if (rc > 0)
		torc_error_clear(error);
	return rc > 0 ? 0 : rc;
}
