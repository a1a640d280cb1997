/* SPDX-License-Identifier: MIT */
/*
 * chat.c - a chat over TCP: what one user says, all users hear, also those of
 * other servers that share the same Redis.
 *
 *     cc -o chat chat.c cli.c $(pkg-config --cflags --libs torc-redis)
 *     REDIS=127.0.0.1:6379 ./chat -l 127.0.0.1:7000
 *
 * Try it with two of: nc 127.0.0.1 7000
 *
 * Each reactor has one subscriber. Its fiber puts messages in a ring of lines,
 * and each user has a fiber that sends lines from there. A user that reads too
 * slowly misses lines and delays nobody.
 *
 * With cli_tls.c and torc-tls it is chat-tls, whose Redis may be verified:
 *
 *     REDIS=rediss://localhost:6380 ./chat-tls --ca FILE
 */
#include <torc_redis.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define LINES 256u		/* that are kept for slow users */
#define LINE_SIZE 512u
#define SAY_MS 1000u
#define WRITE_MS 30000u
#define AGAIN_MS 1000u		/* the pause after an error */

/* The room of this reactor. */
static _Thread_local struct room {
	char lines[LINES][LINE_SIZE];
	uint64_t count;		/* lines so far */
	struct torc_waiters users;	/* fibers that wait for a line */
	unsigned user_count;
	uint64_t listener;	/* its fiber, while there are users */
} room;

/* Returns how many bytes fit on a line without cutting a UTF-8 character. */
static int
fit(const char *text)
{
	size_t size = strlen(text);

	if (size > LINE_SIZE - 2) {
		size = LINE_SIZE - 2;
		while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--;
	}
	return (int)size;
}

static void
put(const struct torc_redis_message *message)
{
	const char *text = message->event == TORC_REDIS_MESSAGE ?
	    message->text : "* some lines were lost";

	snprintf(room.lines[room.count++ % LINES], LINE_SIZE, "%.*s\n",
	    fit(text), text);
	torc_wake_all(&room.users, 0);
}

/* The fiber of the subscriber. */
static int
listen_to_redis(void *arg)
{
	struct torc_redis_subscriber *subscriber = NULL;
	struct torc_redis_message message;
	struct torc_error error;
	int rc = torc_redis_subscriber_create(
	    torc_redis_of(torc_reactor_self()), &subscriber);

	(void)arg;
	if (rc == 0)
		rc = torc_redis_subscribe(subscriber, "chat", NULL,
		    TORC_NEVER);
	while (rc >= 0) {
		rc = torc_redis_subscriber_next(subscriber, &message, &error,
		    TORC_NEVER);
		if (rc == 0 && (message.event == TORC_REDIS_MESSAGE ||
		    message.event == TORC_REDIS_CONNECTED))
			put(&message);
		/* The cause may be repaired: try again. */
		if (rc < 0 && rc != -ECANCELED && rc != -ESHUTDOWN) {
			fprintf(stderr, "chat: %s\n", error.text);
			rc = torc_sleep(torc_after_ms(AGAIN_MS));
		}
	}
	torc_redis_subscriber_destroy(subscriber);
	return rc;
}

/* The second fiber of a user: it sends all lines from now on. */
static int
tell(void *arg)
{
	struct torc_conn *conn = arg;
	uint64_t next = room.count;
	int rc = 0;

	while (rc >= 0) {
		if (room.count - next > LINES)
			next = room.count - LINES;
		if (next < room.count) {
			const char *line = room.lines[next++ % LINES];

			rc = torc_conn_write(conn, line, strlen(line),
			    torc_after_ms(WRITE_MS));
		} else {
			torc_conn_push(conn);
			rc = torc_wait(&room.users, TORC_NEVER);
		}
	}
	return rc;
}

/* Parks. Publish all complete lines. Returns how many bytes these are. */
static size_t
say(const struct torc_slice *in)
{
	struct torc_redis *redis = torc_redis_of(torc_reactor_self());
	const uint8_t *at = in->data, *end = in->data + in->size;
	const uint8_t *stop;
	int rc;

	while ((stop = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		const struct torc_slice publish[] = {
			{ (const uint8_t *)"PUBLISH", 7 },
			{ (const uint8_t *)"chat", 4 },
			{ at, (size_t)(stop - at) } };

		rc = torc_redis_call(redis, publish, 3, NULL,
		    torc_after_ms(SAY_MS));
		if (rc < 0)
			cli_fail(0, "a line was lost: %s", strerror(-rc));
		at = stop + 1;
	}
	return (size_t)(at - in->data);
}

static int
chat(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	uint64_t teller;
	int rc = 0;

	(void)arg;
	if (room.user_count == 0)
		rc = torc_fiber_spawn(&room.listener, listen_to_redis, NULL);
	if (rc < 0)
		return rc;
	room.user_count++;
	rc = torc_fiber_spawn(&teller, tell, conn);
	while (rc == 0 && torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		torc_conn_consume(conn, say(&in));
		if (torc_conn_unread(conn) >= LINE_SIZE)
			break;
	}
	/* torc_fiber_reap() waits for them even if this fiber is cancelled. */
	if (rc == 0)
		torc_fiber_reap(teller, NULL, TORC_NEVER);
	if (--room.user_count == 0)
		torc_fiber_reap(room.listener, NULL, TORC_NEVER);
	return rc < 0 ? rc : TORC_CLOSE;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_redis_config config = { .address = arg,
		.transport = cli_dialler(arg) };
	struct torc_error error;
	struct torc_redis *redis;
	int rc = torc_redis_create(&redis, &config, &error);

	(void)reactor;
	if (rc < 0)
		fprintf(stderr, "chat: REDIS: %s\n", error.text);
	return rc;
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = chat, .start = start,
		.stop = stop, .arg = getenv("REDIS") };
	const int status = cli_origin(config.arg);

	if (status != 0)
		return status;
	return cli_serve(argc, argv, "A chat between the users of all servers "
	    "that share $REDIS (127.0.0.1:6379).", &config, NULL);
}
