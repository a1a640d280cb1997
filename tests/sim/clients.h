/* SPDX-License-Identifier: MIT */
/*
 * clients.h - scenarios of clients: fibers ask a backend, in the way of their
 * trade, and are in a hurry, or cancelled, or their reactor ends.
 *
 *   clients.c        pools and pipelines, with a protocol of their own; plans
 *   clients_http.c   the client of HTTP
 *   clients_redis.c  the client of Redis
 *   clients_pg.c     the client of PostgreSQL; it asks backend_pg.c
 *   clients_file.c   files, and a site of them
 *   together.c       no client: groups, channels and choices
 */
#ifndef TORC_TESTS_SIM_CLIENTS_H
#define TORC_TESTS_SIM_CLIENTS_H

#include "conn/kit/torc_client.h"
#include "tests/sim/sim.h"

#define LATER torc_after_ms(100000)	/* more than anything takes here */
#define PATIENCE_MS 5000u	/* more than a reply takes, if nothing fails */
#define AWAY_MS 3000u		/* a backend is, in outlast() */
#define WORKERS 12

struct client;

/* How to ask one kind of backend. */
struct trade {
	int (*open)(struct client *client);
	/* Parks. Something with a key of its own: what comes back has it. */
	int (*ask)(struct client *client, torc_deadline deadline);
	/* Nobody asks any more: nothing is rented. */
	void (*check)(struct client *client);
	void (*close)(struct client *client);
};

/* What a scenario's fibers do. */
struct plan {
	const struct trade *trade;
	const char *address;	/* NULL: the first of ours */
	unsigned workers;
	unsigned rounds;	/* of each */
	unsigned patience;	/* ms of a deadline, at most; 0: PATIENCE_MS */
	bool mixed;		/* two of three have PATIENCE_MS, and succeed */
	unsigned cancels;
	struct torc_pool_config pool;
	bool shared;		/* many fibers on one connection */
	bool stays;		/* it is closed after the reactor */
	bool unruly;		/* the backend is */
	bool reachable;		/* while it is away, all the same */
	bool drains;		/* the second reactor, in the middle of it */
	bool stops;
};

/* Of a reactor. */
struct client {
	const struct plan *plan;
	struct torc_pool *pool;
	struct link *line;	/* that is shared */
	void *of;		/* its trade's */
	uint64_t workers[WORKERS];
	unsigned answers;
	bool open;
	bool ending;		/* its reactor is */
	unsigned attempts[50];	/* to open: when, ms, of the last ones */
	unsigned opened;
};

/* Parks. Follow a plan; in the end, all is as it was. A fiber's entry. */
int follow_plan(const struct plan *plan);
/*
 * Parks. The same while the backend is away: it is asked all the time, by
 * all; `come_back` is called after AWAY_MS, and then it answers soon.
 */
int outlast(const struct plan *plan, void (*come_back)(void));
/* A scenario's `ended`, for plans that stay. */
void close_late(struct torc_reactor *reactor);

#define PLAN(function, ...) \
	static int \
	function(void *arg) \
	{ \
		static const struct plan plan = { __VA_ARGS__ }; \
		\
		(void)arg; \
		return follow_plan(&plan); \
	}

#define HASTY(most) .size = most, .open_ms = 40, .retry_min_ms = 5, \
	.retry_max_ms = 40

/*
 * Both ends are on one reactor in the scenarios that must go well. With few
 * buffers, what a backend has not read yet could keep its client from reading.
 */
#define ENOUGH .config = { .buffers = 64, .slab_size = 1024 }

/* ---- For trades ---- */

uint32_t new_key(void);
bool is_ending(const struct client *client);
/* It had to end by then, whatever happened. */
void check_time(torc_deadline deadline, const char *what);
void check_pool(const struct torc_pool_stats *stats);
/* A backend that fails is not stormed, whatever else goes wrong. */
void note_failed_open(struct client *client);

/* ---- For backends ---- */

extern bool dead;	/* they break off what they have, and what comes */
extern bool mute;	/* or they say nothing */
void answer_again(void);

/* Bytes of a connection, one message after the other. */
struct source {
	struct torc_conn *conn;
	struct torc_slice in;
	torc_deadline deadline;
};

/*
 * Parks. 1 when `data` is full; 0 if there is nothing more; or a negative
 * errno.
 */
int take(struct source *source, void *data, size_t size);
/* Parks. Send what is staged, and wait. */
int pause_for(struct torc_conn *conn, uint32_t ms);
/* Parks. What comes is discarded, until there is an end. Negative. */
int fall_silent(struct torc_conn *conn);

/* ---- Tables ---- */

extern const struct scenario of_http[];
extern const size_t of_http_count;
void reset_http(void);
extern const struct scenario of_redis[];
extern const size_t of_redis_count;
void reset_redis(void);
extern const struct scenario of_pg[];
extern const size_t of_pg_count;
void reset_pg(void);
extern const struct scenario of_files[];
extern const size_t of_files_count;
void reset_files(void);
extern const struct scenario of_together[];
extern const size_t of_together_count;
void reset_together(void);

/* The same fields of a client that has a pool. */
#define POOL_OF(from) \
	.connections = (from).size, .waiters = (from).waiters, \
	.idle_ms = (from).idle_ms, .open_ms = (from).open_ms, \
	.retry_min_ms = (from).retry_min_ms, \
	.retry_max_ms = (from).retry_max_ms, \
	.lifetime_ms = (from).lifetime_ms, .aside_max = (from).aside_max

#endif
