/* SPDX-License-Identifier: MIT */
/*
 * events.c - a stream of server-sent events: every client receives a clock and
 * everything that is published. A client that reads too slowly is dropped, and
 * delays nobody.
 *
 *     cc -o events events.c cli.c $(pkg-config --cflags --libs torc-http)
 *     ./events -l 127.0.0.1:8080
 *
 * Try it with:
 *
 *     curl -N http://127.0.0.1:8080/events
 *     curl -d 'good morning' http://127.0.0.1:8080/publish
 *
 * Each reactor has a room for its own clients: a ring of the last texts. Each
 * client has a fiber that sends texts from there. Posts bring a text to all
 * rooms.
 */
#include <torc_service.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_service.h"

#define REACTORS 1024u
#define BACKLOG 1024u		/* texts that are kept for slow clients */
#define TEXT_SIZE 1000u
#define SLOW_MS 2000u		/* for a client to take an event */
#define BEAT_MS 15000u		/* of silence, before a sign of life */

/* A text, first on its way to a room, then in it. */
struct news {
	struct torc_post post;
	char text[TEXT_SIZE + 1];
};

/* The room of this reactor. */
static _Thread_local struct room {
	struct news *ring[BACKLOG];
	uint64_t count;		/* texts so far */
	struct torc_waiters clients;	/* fibers that wait for a text */
} room;

/* All reactors, so that each can post to the others. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct torc_reactor *reactors[REACTORS];
static unsigned reactor_count;

/* A post: put the text in the room of this reactor. */
static void
arrive(struct torc_reactor *reactor, struct torc_post *post)
{
	struct news **place = &room.ring[room.count++ % BACKLOG];

	(void)reactor;
	free(*place);
	*place = (struct news *)post;
	torc_wake_all(&room.clients, 0);
}

/* Send a text to all rooms. Returns 0 or -ENOMEM. */
static int
publish(const char *text)
{
	struct news *news;
	int rc = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; rc == 0 && i < reactor_count; i++) {
		news = calloc(1, sizeof(*news));
		if (news == NULL) {
			rc = -ENOMEM;
			break;
		}
		news->post.call = arrive;
		snprintf(news->text, sizeof(news->text), "%s", text);
		if (torc_reactor_post(reactors[i], &news->post) < 0)
			free(news);	/* that reactor has ended */
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Parks. Wait for a text or a drain. Fails if the client goes meanwhile. */
static int
await_news(struct torc_exchange *exchange)
{
	const struct torc_event comment = { .name = NULL };
	struct torc_choice choices[] = { torc_choice_wait(&room.clients),
		torc_choice_drain() };
	int rc;

	torc_exchange_watch_begin(exchange, TORC_WATCH_FIN);
	rc = torc_choose(choices, 2, torc_after_ms(BEAT_MS));
	torc_exchange_watch_end(exchange);
	if (rc == -ETIMEDOUT)
		rc = torc_exchange_event(exchange, &comment,
		    torc_after_ms(SLOW_MS));
	return rc < 0 ? rc : 0;
}

static int
stream(struct torc_exchange *exchange, void *arg)
{
	char text[TEXT_SIZE + 1];	/* a copy: the ring may change */
	struct torc_event event = { .data = { (uint8_t *)text, 0 } };
	uint64_t next = room.count;
	int rc = torc_exchange_events_begin(exchange, torc_after_ms(SLOW_MS));

	(void)arg;
	while (rc == 0 && !torc_reactor_draining(torc_reactor_self())) {
		if (next == room.count) {
			rc = await_news(exchange);
			continue;
		}
		if (room.count - next > BACKLOG)
			return -ENOBUFS;	/* it has missed some */
		strcpy(text, room.ring[next++ % BACKLOG]->text);
		event.data.size = strlen(text);
		rc = torc_exchange_event(exchange, &event,
		    torc_after_ms(SLOW_MS));
	}
	/* After an error the connection is reset. */
	return rc < 0 ? rc : torc_exchange_end(exchange,
	    torc_after_ms(SLOW_MS));
}

static int
receive(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice body;
	int rc = torc_exchange_body(exchange, &body, TORC_NEVER);

	(void)arg;
	if (rc < 0)
		return rc;
	if (body.size > TEXT_SIZE)
		return torc_exchange_refuse(exchange, 413, NULL, TORC_NEVER);
	rc = publish((const char *)body.data);
	return torc_exchange_reply(exchange, rc < 0 ? 503 : 204, NULL, NULL, 0,
	    TORC_NEVER);
}

/* A daemon of the first reactor: it does not delay a drain. */
static int
tick(void *arg)
{
	char text[64];
	int rc = 0;

	(void)arg;
	for (unsigned long seconds = 1; rc == 0; seconds++) {
		rc = torc_sleep(torc_after_ms(1000));
		snprintf(text, sizeof(text), "%lu s", seconds);
		if (rc == 0 && publish(text) < 0)
			cli_fail(0, "a tick was lost: out of memory");
	}
	return rc;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	reactors[reactor_count++] = reactor;
	pthread_mutex_unlock(&lock);
	return torc_reactor_index(reactor) > 0 ? 0 :
	    torc_fiber_spawn_daemon(NULL, tick, NULL);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	for (unsigned i = 0; i < BACKLOG; i++)
		free(room.ring[i]);
}

int
main(int argc, char **argv)
{
	const struct torc_config config = { .start = start, .stop = stop };
	struct torc_routes *routes;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/events", stream, NULL);
	torc_routes_add(routes, "POST", "/publish", receive, NULL);
	return cli_serve_routes(argc, argv, "Streams a clock, and what is "
	    "published, to all clients.", routes, NULL, &config);
}
