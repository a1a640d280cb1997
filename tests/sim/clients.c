/* SPDX-License-Identifier: MIT */
/*
 * clients.c - scenarios of clients: fibers with random deadlines, some of
 * them cancelled, ask backends that are slow, break off, fall silent.
 *
 * Requests have keys, and so have replies: what comes back is compared with
 * what was asked for, byte by byte, also in runs that were disturbed. So is
 * each deadline. What answers is torc's own server in the same world.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/kit/torc_pipeline.h"
#include "sys/sys.h"
#include "tests/sim/clients.h"

#define LATE (500 * MS)	/* nobody is later than this after a deadline */
#define SECOND (1000 * MS)

/* ---- The protocol ---- */

/*
 * A request: its head, and `padding` bytes of the stream `key`. A reply: the
 * key, the size, and `size` bytes of the stream ~key.
 */
struct head {
	uint32_t key;
	uint16_t size;
	uint16_t padding;
};

struct reply_head {
	uint32_t key;
	uint32_t size;
};

static uint32_t last_key;

uint32_t
new_key(void)
{
	return ++last_key;
}

static struct head
new_question(void)
{
	struct head head = { .key = new_key() };

	head.size = (uint16_t)(peer_draw(8) == 0 ? peer_draw(3000) :
	    peer_draw(60));
	head.padding = (uint16_t)(peer_draw(8) == 0 ? peer_draw(3000) :
	    peer_draw(20));
	return head;
}

/* ---- Backends ---- */

int
take(struct source *source, void *data, size_t size)
{
	struct torc_slice *in = &source->in;
	size_t used = 0;

	while (used < size) {
		size_t part = size - used < in->size ? size - used : in->size;
		int rc;

		memcpy((uint8_t *)data + used, in->data, part);
		torc_conn_consume(source->conn, part);
		used += part;
		in->data += part;
		in->size -= part;
		if (used == size)
			break;
		rc = torc_conn_recv(source->conn, in, source->deadline);
		if (rc <= 0)
			return rc < 0 || used == 0 ? rc : -ECONNRESET;
	}
	return 1;
}

int
fall_silent(struct torc_conn *conn)
{
	struct torc_slice in;

	while (torc_conn_recv(conn, &in, LATER) > 0)
		torc_conn_consume(conn, in.size);
	return -1;
}

static int
reply_part(struct torc_conn *conn, uint32_t key, uint32_t from, uint32_t to)
{
	uint8_t part[200];
	int rc = 0;

	while (rc == 0 && from < to) {
		uint32_t size = to - from < sizeof(part) ? to - from :
		    sizeof(part);

		for (uint32_t i = 0; i < size; i++)
			part[i] = stream_byte(~key, from + i);
		rc = torc_conn_write(conn, part, size, LATER);
		from += size;
	}
	return rc;
}

static int
reply(struct torc_conn *conn, const struct head *head)
{
	const struct reply_head answer = { head->key, head->size };
	int rc = torc_conn_write(conn, &answer, sizeof(answer), LATER);

	return rc < 0 ? rc : reply_part(conn, head->key, 0, head->size);
}

int
pause_for(struct torc_conn *conn, uint32_t ms)
{
	int rc = torc_conn_flush(conn, LATER);

	return rc < 0 ? rc : torc_sleep(torc_after_ms(ms));
}

/* In two pieces, and whatever `between` does between them. */
static int
reply_in_pieces(struct torc_conn *conn, const struct head *head, bool whole)
{
	const struct reply_head answer = { head->key, head->size };
	const uint32_t cut = peer_draw(head->size + 8u);
	int rc = torc_conn_write(conn, &answer, cut < 8 ? cut : 8, LATER);

	if (rc == 0 && cut > 8)
		rc = reply_part(conn, head->key, 0, cut - 8);
	if (rc == 0)
		rc = pause_for(conn, peer_draw(20));
	if (rc < 0 || !whole)
		return rc;
	if (cut < 8)
		rc = torc_conn_write(conn, (const uint8_t *)&answer + cut,
		    8 - cut, LATER);
	return rc < 0 ? rc : reply_part(conn, head->key,
	    cut < 8 ? 0 : cut - 8, head->size);
}

/* The next request: 1, 0, or a negative errno. It is as it was sent. */
static int
take_question(struct source *source, struct head *head)
{
	uint8_t padding[3000];
	int rc = take(source, head, sizeof(*head));

	if (rc <= 0)
		return rc;
	if (head->padding > sizeof(padding))
		broken("a request is not what was sent");
	rc = head->padding == 0 ? 1 : take(source, padding, head->padding);
	for (uint32_t i = 0; rc > 0 && i < head->padding; i++) {
		if (padding[i] != stream_byte(head->key, i))
			broken("a request is not what was sent");
	}
	return rc == 0 ? -ECONNRESET : rc;
}

bool dead;
bool mute;

static int
serve_well(struct torc_conn *conn, void *arg)
{
	struct source source = { .conn = conn, .deadline = TORC_NEVER };
	struct head head;
	int rc;

	(void)arg;
	while ((rc = take_question(&source, &head)) > 0) {
		if (mute)
			return fall_silent(conn);
		if (dead)
			return -1;
		if (peer_draw(4) == 0 && pause_for(conn, peer_draw(5)) < 0)
			return -1;
		if (reply(conn, &head) < 0)
			return -1;
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

/* Each of a backend's manners, now and then. */
static int
reply_badly(struct torc_conn *conn, const struct head *head)
{
	const uint32_t manner = peer_draw(64);

	switch (manner) {
	case 0:
		return fall_silent(conn);
	case 1:
		return -1;
	case 2:
		reply_in_pieces(conn, head, false);
		return -1;
	case 3:
		return reply_in_pieces(conn, head, false) < 0 ? -1 :
		    fall_silent(conn);
	default:
		if (manner < 10 && pause_for(conn, peer_draw(60)) < 0)
			return -1;
		return manner < 20 ? reply_in_pieces(conn, head, true) :
		    reply(conn, head);
	}
}

static int
serve_badly(struct torc_conn *conn, void *arg)
{
	struct source source = { .conn = conn, .deadline = TORC_NEVER };
	struct head head;

	(void)arg;
	while (take_question(&source, &head) > 0) {
		if (reply_badly(conn, &head) < 0)
			return -1;
		/* In order, in the middle of what was asked. */
		if (peer_draw(60) == 0)
			return TORC_CLOSE;
	}
	return TORC_CLOSE;
}

/* ---- Links: what is pooled ---- */

struct link {
	struct torc_conn *conn;
	struct torc_pipeline pipeline;
	unsigned users;		/* fibers */
	bool retired;		/* takes no new requests */
};

/* One request and what has come of its reply. */
struct ask {
	struct torc_request base;
	struct head head;
	uint32_t got;		/* bytes of the body */
	bool begun;		/* its head was seen */
};

static void
compare_head(const struct head *head, const struct reply_head *reply)
{
	if (reply->key != head->key || reply->size != head->size)
		broken("the reply to request %u is that of %u", head->key,
		    reply->key);
}

static void
compare_body(const struct head *head, uint32_t at, const uint8_t *data,
    uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		if (data[i] != stream_byte(~head->key, at + i))
			broken("byte %u of the reply to request %u is wrong",
			    at + i, head->key);
	}
}

static int64_t
feed(struct torc_request *base, const uint8_t *data, size_t size, bool *done,
    void *arg)
{
	struct ask *ask = (struct ask *)base;
	struct reply_head answer;
	uint32_t part;

	(void)arg;
	if (!ask->begun) {
		if (size < sizeof(answer))
			return 0;
		memcpy(&answer, data, sizeof(answer));
		compare_head(&ask->head, &answer);
		ask->begun = true;
		*done = ask->head.size == 0;
		return sizeof(answer);
	}
	part = ask->head.size - ask->got;
	if (part > size)
		part = (uint32_t)size;
	compare_body(&ask->head, ask->got, data, part);
	ask->got += part;
	*done = ask->got == ask->head.size;
	return part;
}

static void
drop(struct torc_request *base, void *arg)
{
	(void)arg;
	torc_sys_free(base);
}

static const struct torc_pipeline_kind replies = { .feed = feed, .drop = drop };

/* ---- Clients ---- */

static struct client clients[MAX_REACTORS];

bool
is_ending(const struct client *client)
{
	return client->ending || world.ending;
}

void
check_time(torc_deadline deadline, const char *what)
{
	if (!world.lost && deadline.at != UINT64_MAX &&
	    torc_now() > deadline.at + LATE + world.still_ns)
		broken("%s ends %llu ms after its deadline", what,
		    (unsigned long long)((torc_now() - deadline.at) / MS));
}

/* Bytes of a request. */
static int
put_question(struct torc_conn *conn, const struct head *head,
    torc_deadline deadline)
{
	uint8_t padding[3000];
	int rc = torc_conn_write(conn, head, sizeof(*head), deadline);

	for (uint32_t i = 0; i < head->padding; i++)
		padding[i] = stream_byte(head->key, i);
	return rc < 0 || head->padding == 0 ? rc :
	    torc_conn_write(conn, padding, head->padding, deadline);
}

/* Parks. Ask, with nobody else on the connection. */
static int
ask_on(struct link *link, const struct head *head, torc_deadline deadline)
{
	struct source source = { .conn = link->conn, .deadline = deadline };
	struct reply_head answer;
	uint8_t body[3000];
	int rc = put_question(link->conn, head, deadline);

	if (rc == 0)
		rc = take(&source, &answer, sizeof(answer));
	if (rc <= 0)
		return rc < 0 ? rc : -ECONNRESET;
	compare_head(head, &answer);
	rc = take(&source, body, head->size);
	if (rc <= 0)
		return rc < 0 ? rc : -ECONNRESET;
	compare_body(head, 0, body, head->size);
	return 0;
}

/* ---- What the pool does with links ---- */

static void
free_link(void *item, void *arg)
{
	struct link *link = item;

	(void)arg;
	torc_pipeline_break(&link->pipeline, -ESHUTDOWN);
	torc_sys_free(link);
}

static void
close_link(void *item, void *arg)
{
	struct link *link = item;
	struct torc_conn *conn = link->conn;

	free_link(link, arg);
	torc_conn_close(
	    conn, peer_draw(2) == 0 ? TORC_AT_ONCE : torc_after_ms(20));
}

static bool
is_usable(void *item, void *arg)
{
	struct link *link = item;

	(void)arg;
	return torc_conn_usable(link->conn);
}

void
note_failed_open(struct client *client)
{
	const unsigned slot = client->opened++ % COUNT(client->attempts);
	const unsigned ms = (unsigned)(torc_now() / MS);

	if (client->opened > COUNT(client->attempts) &&
	    ms - client->attempts[slot] < 1000)
		broken("50 connects in %u ms to a dead backend",
		    ms - client->attempts[slot]);
	client->attempts[slot] = ms;
}

static int
open_link(void **item, torc_deadline deadline, void *arg)
{
	struct client *client = arg;
	const char *address = client->plan->address;
	const struct head hello = { .key = 0, .size = 5 };
	struct link *link = torc_sys_alloc(sizeof(*link));
	int rc;

	if (link == NULL)
		return -ENOMEM;
	rc = torc_dial_name(&link->conn, address != NULL ? address :
	    program_address(0), deadline);
	check_time(deadline, "a dial");
	if (rc < 0) {
		torc_sys_free(link);
		note_failed_open(client);
		return rc;
	}
	torc_pipeline_init(&link->pipeline, link->conn, &replies, client);
	rc = ask_on(link, &hello, deadline);
	check_time(deadline, "a greeting");
	if (rc == 0) {
		*item = link;
		return 0;
	}
	close_link(link, client);
	note_failed_open(client);
	return rc;
}

static const struct torc_pool_kind links = {
	.name = "links",
	.open = open_link,
	.close = close_link,
	.free = free_link,
	.usable = is_usable,
};

/* ---- Asking ---- */

static int
rent(struct client *client, struct link **link, torc_deadline deadline)
{
	const uint64_t *resumes = &torc_reactor_self()->counters->resumes;
	const uint64_t before = *resumes;
	const struct torc_pool_wish wish = {
		.key = peer_draw(4),
		.fresh = client->plan->unruly && peer_draw(8) == 0,
	};
	void *item = NULL;
	int rc = torc_pool_acquire_for(client->pool, &wish, &item, deadline);

	check_time(deadline, "an acquire");
	*link = item;
	/* Who did not wait has one that was idle; one that was handed over may
	 * have ended before the fiber ran. */
	if (rc == 0 && *resumes == before &&
	    !torc_conn_usable((*link)->conn))
		broken("a connection is rented that has ended");
	return rc;
}

/* Parks. As if somebody else were waited for, for a while or to the end. */
static void
set_aside(struct client *client, struct link *link)
{
	struct torc_pool_stats stats;
	int rc = torc_pool_set_aside(client->pool, link, true);

	torc_pool_stats_read(client->pool, &stats);
	if (stats.aside > client->plan->pool.aside_max)
		broken("%u are set aside", stats.aside);
	if (rc < 0 && stats.aside < client->plan->pool.aside_max)
		broken("one is not set aside that may be: %d", rc);
	if (peer_draw(2) == 0)
		return;
	torc_sleep(torc_after_ms(peer_draw(10)));
	torc_pool_set_aside(client->pool, link, false);
}

static int
ask_alone(
    struct client *client, const struct head *head, torc_deadline deadline)
{
	struct link *link;
	int rc = rent(client, &link, deadline);

	if (rc < 0)
		return rc;
	if (peer_draw(4) == 0)
		set_aside(client, link);
	rc = ask_on(link, head, deadline);
	torc_pool_release(client->pool, link, rc == 0 &&
	    torc_conn_usable(link->conn));
	return rc;
}

/* Parks. The link that all share, with us among its users. */
static int
join_line(struct client *client, struct link **out, torc_deadline deadline)
{
	struct link *line = client->line, *link;
	int rc;

	if (line == NULL || line->retired || line->pipeline.error != 0) {
		rc = rent(client, &link, deadline);
		if (rc < 0)
			return rc;
		line = client->line;
		if (line != NULL && !line->retired &&
		    line->pipeline.error == 0) {
			/* Somebody was faster. */
			torc_pool_release(client->pool, link, true);
		} else {
			line = client->line = link;
		}
	}
	line->users++;
	*out = line;
	return 0;
}

/* The last one gives it back, clean or not. */
static void
leave_line(struct client *client, struct link *line)
{
	if (--line->users > 0)
		return;
	if (client->line == line)
		client->line = NULL;
	torc_pool_release(client->pool, line, !line->retired &&
	    line->pipeline.error == 0 && line->pipeline.count == 0 &&
	    torc_conn_usable(line->conn));
}

/* After a wait for its reply: it is ours again, unless that was given up. */
static void
settle(struct ask *ask, int rc)
{
	if (rc != -ETIMEDOUT && rc != -ECANCELED)
		torc_sys_free(ask);
}

#define UNWRITTEN 1

/*
 * Parks. Behind those of others: a write that has to wait may fail, and not
 * with their requests in it.
 */
static int
put_behind_others(struct torc_conn *conn, const struct head *head,
    torc_deadline deadline)
{
	const uint64_t *resumes = &torc_reactor_self()->counters->resumes;
	const uint64_t before = *resumes;
	const size_t room = torc_conn_room(conn);
	const bool fits = sizeof(*head) + head->padding <= room;
	int rc = fits ? 0 : torc_conn_flush(conn, deadline);

	if (rc == 0)
		rc = put_question(conn, head, deadline);
	if (fits && *resumes != before)
		broken("a write of %zu bytes parks, with room for %zu",
		    sizeof(*head) + head->padding, room);
	return rc;
}

/* Parks. Write it, behind the others'. 0, or it is gone. */
static int
submit(struct link *line, struct ask *ask, torc_deadline deadline)
{
	struct torc_pipeline *pipeline = &line->pipeline;
	int rc = torc_pipeline_begin(pipeline, &ask->base, deadline);

	check_time(deadline, "the wait to write");
	if (rc < 0) {
		torc_sys_free(ask);
		return rc;
	}
	if (line->retired) {
		torc_pipeline_end(pipeline);
		settle(ask,
		    torc_pipeline_await(pipeline, &ask->base, TORC_AT_ONCE));
		return UNWRITTEN;
	}
	if (ask->head.padding > 100)
		torc_pipeline_attend(pipeline, &ask->base);
	rc = put_behind_others(line->conn, &ask->head, deadline);
	check_time(deadline, "a write");
	if (rc == 0) {
		torc_pipeline_end(pipeline);
		return 0;
	}
	/* Half a request may be out: none may follow. */
	line->retired = true;
	if (rc != -ETIMEDOUT && rc != -ECANCELED)
		torc_pipeline_break(pipeline, rc);
	torc_pipeline_end(pipeline);
	settle(ask, torc_pipeline_await(pipeline, &ask->base, TORC_AT_ONCE));
	return rc;
}

/* Parks. UNWRITTEN: not a byte of it was. */
static int
ask_once_among_others(struct client *client, const struct head *head,
    torc_deadline deadline)
{
	struct ask *ask = torc_sys_alloc(sizeof(*ask));
	struct link *line;
	int rc;

	if (ask == NULL)
		return -ENOMEM;
	ask->head = *head;
	rc = join_line(client, &line, deadline);
	if (rc < 0) {
		torc_sys_free(ask);
		return rc;
	}
	rc = submit(line, ask, deadline);
	if (rc == 0) {
		rc = torc_pipeline_await(&line->pipeline, &ask->base,
		    deadline);
		check_time(deadline, "the wait for a reply");
		if (rc == 0 && (!ask->begun || ask->got != head->size))
			broken("request %u has half a reply", head->key);
		settle(ask, rc);
	}
	leave_line(client, line);
	return rc;
}

static int
ask_among_others(struct client *client, const struct head *head,
    torc_deadline deadline)
{
	int rc;

	do
		rc = ask_once_among_others(client, head, deadline);
	while (rc == UNWRITTEN);
	return rc;
}

static int
ask_links(struct client *client, torc_deadline deadline)
{
	const struct head head = new_question();

	return client->plan->shared ?
	    ask_among_others(client, &head, deadline) :
	    ask_alone(client, &head, deadline);
}

static int
open_links(struct client *client)
{
	return torc_pool_create(&client->pool, &links, client,
	    &client->plan->pool, NULL);
}

void
check_pool(const struct torc_pool_stats *stats)
{
	if (stats->rented > 0 || stats->waiting > 0 || stats->aside > 0)
		broken("%u are rented, %u aside and %u wait, and nobody is "
		    "there", stats->rented, stats->aside, stats->waiting);
}

static void
check_links(struct client *client)
{
	struct torc_pool_stats stats;

	torc_pool_stats_read(client->pool, &stats);
	check_pool(&stats);
}

static void
close_links(struct client *client)
{
	torc_pool_destroy(client->pool, TORC_NEVER);
}

static const struct trade in_links = {
	open_links, ask_links, check_links, close_links,
};

/* ---- Fibers of a plan ---- */

static int
ask_something(struct client *client, torc_deadline deadline)
{
	int rc = client->plan->trade->ask(client, deadline);

	client->answers += rc == 0;
	return rc;
}

static int
work(void *arg)
{
	struct client *client = arg;
	const struct plan *plan = client->plan;
	int rc = 0;

	for (unsigned i = 0; rc != -ECANCELED && i < plan->rounds; i++) {
		const bool hasty = plan->patience > 0 &&
		    (!plan->mixed || peer_draw(3) == 0);

		rc = ask_something(client, torc_after_ms(!hasty ? PATIENCE_MS :
		    1 + peer_draw(plan->patience)));
		if (!hasty && !is_ending(client))
			expect(rc == 0 || rc == -ECANCELED,
			    "a backend that is well answers");
		/* Within a pause of the pool's, all fail at once. */
		if (rc != -ECANCELED && (rc < 0 || peer_draw(2) == 0))
			rc = torc_sleep(torc_after_ms(1 + peer_draw(20)));
	}
	return 0;
}

static void
start_workers(struct client *client)
{
	for (unsigned i = 0; i < client->plan->workers; i++) {
		if (torc_fiber_spawn(&client->workers[i], work, client) < 0)
			client->workers[i] = 0;
	}
}

/* As a program's own fiber may do it. */
static void
end_reactor(struct client *client)
{
	struct torc_reactor *reactor = torc_reactor_self();

	client->ending = true;
	if (client->plan->stops)
		torc_reactor_stop(reactor);
	else
		torc_reactor_drain(reactor, torc_after_ms(peer_draw(100)));
}

/* Parks. Cancel some, and wait for all. */
static void
end_workers(struct client *client)
{
	const struct plan *plan = client->plan;

	for (unsigned i = 0; i < plan->cancels; i++) {
		if (torc_sleep(torc_after_ms(1 + peer_draw(30))) < 0)
			break;
		torc_fiber_cancel(client->workers[peer_draw(plan->workers)]);
	}
	if ((plan->drains || plan->stops) &&
	    torc_reactor_index(torc_reactor_self()) == 1)
		end_reactor(client);
	for (unsigned i = 0; i < plan->workers; i++) {
		if (client->workers[i] == 0)
			continue;
		if (torc_fiber_join(client->workers[i], NULL, torc_after_ms(
		    PATIENCE_MS * (plan->rounds + 1))) == -ETIMEDOUT)
			broken("a worker waits for ever");
		torc_fiber_reap(client->workers[i], NULL, TORC_NEVER);
	}
}

static int
open_client(struct client **out, const struct plan *plan)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct client *client = &clients[torc_reactor_index(reactor)];
	int rc;

	client->plan = plan;
	rc = plan->trade->open(client);
	expect(rc == 0, "a client is opened");
	client->open = rc == 0;
	*out = client;
	return rc;
}

static void
close_client(struct client *client)
{
	client->plan->trade->check(client);
	if (client->plan->stays)
		return;
	client->open = false;
	client->plan->trade->close(client);
}

void
close_late(struct torc_reactor *reactor)
{
	struct client *client = &clients[torc_reactor_index(reactor)];

	if (client->open)
		client->plan->trade->close(client);
	client->open = false;
}

int
follow_plan(const struct plan *plan)
{
	struct client *client;
	int rc = open_client(&client, plan);

	if (rc < 0)
		return rc;
	start_workers(client);
	end_workers(client);
	if (!plan->unruly && !is_ending(client))
		expect(ask_something(client,
		    torc_after_ms(PATIENCE_MS)) == 0 || is_ending(client),
		    "after all of that, a request is answered");
	if (!is_ending(client) && (!plan->unruly ||
	    (!world.varied && world.single == 0)))
		expect(client->answers > 0, "some requests are answered");
	note("%u answers", client->answers);
	close_client(client);
	return 0;
}

/* ---- Plans ---- */

PLAN(rent_in_turn, .trade = &in_links, .workers = 8, .rounds = 6,
    .pool = { .size = 3, .aside_max = 1 })
PLAN(rent_hastily, .trade = &in_links, .workers = 10, .rounds = 8,
    .patience = 60, .cancels = 6, .unruly = true, .pool = { HASTY(3),
    .waiters = 5, .idle_ms = 30, .lifetime_ms = 80, .aside_max = 2 })
PLAN(rent_in_a_drain, .trade = &in_links, .workers = 10, .rounds = 8,
    .patience = 60, .cancels = 3, .unruly = true, .drains = true,
    .pool = { HASTY(4) })
PLAN(rent_in_a_stop, .trade = &in_links, .workers = 10, .rounds = 8,
    .patience = 60, .cancels = 3, .unruly = true, .stops = true,
    .pool = { HASTY(4) })
PLAN(rent_until_the_end, .trade = &in_links, .workers = 8, .rounds = 8,
    .patience = 100, .cancels = 3, .unruly = true, .drains = true,
    .stays = true, .pool = { HASTY(4) })
PLAN(share, .trade = &in_links, .workers = 10, .rounds = 6,
    .cancels = 3, .shared = true, .pool = { .size = 2 })
PLAN(share_with_few, .trade = &in_links, .workers = 2, .rounds = 40,
    .patience = 20, .mixed = true, .shared = true, .pool = { .size = 8 })
PLAN(share_with_the_hasty, .trade = &in_links, .workers = 10, .rounds = 8,
    .patience = 10, .mixed = true, .cancels = 3, .shared = true,
    .pool = { .size = 8 })
PLAN(share_hastily, .trade = &in_links, .workers = 12, .rounds = 8,
    .patience = 100, .cancels = 6, .shared = true, .unruly = true,
    .pool = { HASTY(4) })
PLAN(share_in_a_drain, .trade = &in_links, .workers = 12, .rounds = 8,
    .patience = 100, .cancels = 3, .shared = true, .unruly = true,
    .drains = true, .pool = { HASTY(4) })
PLAN(share_in_a_stop, .trade = &in_links, .workers = 12, .rounds = 8,
    .patience = 100, .cancels = 3, .shared = true, .unruly = true,
    .stops = true, .pool = { HASTY(4) })
PLAN(share_until_the_end, .trade = &in_links, .workers = 12, .rounds = 8,
    .patience = 100, .cancels = 3, .shared = true, .unruly = true,
    .stops = true, .stays = true, .pool = { HASTY(4) })

/* ---- A backend that is away ---- */

int
outlast(const struct plan *plan, void (*come_back)(void))
{
	struct client *client;
	int rc = open_client(&client, plan);
	uint64_t back_at;

	if (rc < 0)
		return rc;
	start_workers(client);
	rc = torc_sleep(torc_after_ms(AWAY_MS));
	expect(client->answers == 0, "who is away gives no answers");
	if (rc == 0 && !is_ending(client))
		expect(plan->reachable ? client->opened == 0 :
		    client->opened >= 5 || mute,
		    "a dead backend is tried, and one that accepts is none");
	come_back();
	back_at = torc_now();
	do
		rc = ask_something(client, torc_after_ms(100));
	while (rc < 0 && rc != -ECANCELED &&
	    torc_sleep(torc_after_ms(5)) == 0 &&
	    torc_now() < back_at + 20 * SECOND);
	if (!is_ending(client))
		expect(rc == 0 && torc_now() < back_at + SECOND +
		    world.still_ns,
		    "a backend that is back is used within a second");
	note("%d", rc);
	end_workers(client);
	close_client(client);
	return 0;
}

static void
listen_again(void)
{
	expect(torc_listen(torc_reactor_self(), "127.0.0.1:7000", serve_well,
	    NULL) >= 0, "it is there again");
}

void
answer_again(void)
{
	dead = false;
	mute = false;
}

static int
outlast_refusals(void *arg)
{
	static const struct plan plan = {
		.trade = &in_links, .address = "127.0.0.1:7000", .workers = 6,
		.rounds = 300, .patience = 40, .pool = { .size = 8 },
		.unruly = true,
	};

	(void)arg;
	return outlast(&plan, listen_again);
}

static int
outlast_resets(void *arg)
{
	static const struct plan plan = {
		.trade = &in_links, .workers = 6, .rounds = 300,
		.patience = 40, .pool = { .size = 8 }, .shared = true,
		.unruly = true,
	};

	(void)arg;
	dead = true;
	return outlast(&plan, answer_again);
}

static int
outlast_silence(void *arg)
{
	static const struct plan plan = {
		.trade = &in_links, .workers = 6, .rounds = 60,
		.patience = 400, .pool = { .size = 8, .open_ms = 200 },
		.shared = true, .unruly = true,
	};

	(void)arg;
	mute = true;
	return outlast(&plan, answer_again);
}

/* ---- Names, and blocking work ---- */

static int
dial_by_name(void *arg)
{
	static const struct plan plan = {
		.trade = &in_links, .address = "backend:7000", .workers = 6,
		.rounds = 4, .cancels = 2, .pool = { .size = 4 },
	};
	int rc = torc_listen(torc_reactor_self(), "[::]:7000", serve_well,
	    arg);

	expect(rc >= 0, "a backend listens");
	return rc < 0 ? rc : follow_plan(&plan);
}

static int
dial_no_name(void *arg)
{
	torc_deadline deadline = torc_after_ms(100);
	struct torc_conn *conn;
	int rc = torc_dial_name(&conn, "nobody:7000", deadline);

	(void)arg;
	check_time(deadline, "a dial");
	expect(rc == -ENOENT || rc == -ETIMEDOUT, "there is no such name");
	if (rc == 0)
		broken("nobody is there, and answers");
	return 0;
}

#define HANGING 20u

/* Some names have a zone in common, which hangs with all that is in it. */
static int
dial_what_hangs(void *arg)
{
	const unsigned number = (unsigned)(uintptr_t)arg;
	torc_deadline deadline = torc_after_ms(500);
	struct torc_conn *conn;
	char name[40];
	int rc;

	snprintf(name, sizeof(name), number % 2 == 0 ? "hang%u:7000" :
	    "hang%u.dead.zone:7000", number / 4);
	rc = torc_dial_name(&conn, name, deadline);
	check_time(deadline, "a dial");
	if (rc == 0)
		broken("a name that hangs is found");
	return rc;
}

static int
dial_beside_what_hangs(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_listen(torc_reactor_self(), "[::]:7000", serve_well,
	    arg);

	for (uintptr_t i = 0; rc >= 0 && i < HANGING; i++)
		rc = torc_fiber_spawn(NULL, dial_what_hangs, (void *)i);
	torc_sleep(torc_after_ms(20));
	if (rc == 0)
		rc = torc_dial_name(&conn, "backend:7000",
		    torc_after_ms(2000));
	expect(rc == 0, "a name is found beside others that hang");
	if (rc == 0)
		torc_conn_close(conn, torc_after_ms(100));
	return 0;
}

static int
double_it(void *arg)
{
	int *number = arg;

	*number *= 2;
	return *number;
}

static int
offload_some(void *arg)
{
	(void)arg;
	for (int i = 1; i <= 5; i++) {
		int number = i;
		int rc = torc_offload(double_it, &number,
		    torc_after_ms(1 + peer_draw(200)));

		if (rc != -ETIMEDOUT)
			expect(rc == 2 * i, "blocking work has its result");
		if (rc < 0 && number != i)
			broken("work was done that had been given up");
	}
	return 0;
}

/* ---- The table ---- */

void
sim_clients_reset(void)
{
	memset(clients, 0, sizeof(clients));
	last_key = 0;
	dead = false;
	mute = false;
	reset_http();
	reset_redis();
	reset_pg();
	reset_files();
	reset_together();
}

static const struct scenario of_clients[] = {
	{ .name = "pool", .handler = serve_well, .fiber = rent_in_turn,
	    ENOUGH },
	{ .name = "pool in a hurry", .handler = serve_badly,
	    .fiber = rent_hastily },
	{ .name = "pool across reactors", .handler = serve_badly,
	    .fiber = rent_hastily, .reactors = 2 },
	{ .name = "pool in a drain", .handler = serve_badly,
	    .fiber = rent_in_a_drain, .reactors = 2 },
	{ .name = "pool in a stop", .handler = serve_badly,
	    .fiber = rent_in_a_stop, .reactors = 2 },
	{ .name = "pool after its reactor", .handler = serve_badly,
	    .fiber = rent_until_the_end, .ended = close_late,
	    .reactors = 2 },
	{ .name = "pipeline", .handler = serve_well, .fiber = share,
	    ENOUGH },
	{ .name = "pipeline of two", .handler = serve_well,
	    .fiber = share_with_few, ENOUGH },
	{ .name = "pipeline among the hasty", .handler = serve_well,
	    .fiber = share_with_the_hasty, ENOUGH },
	{ .name = "pipeline in a hurry", .handler = serve_badly,
	    .fiber = share_hastily },
	{ .name = "pipeline across reactors", .handler = serve_badly,
	    .fiber = share_hastily, .reactors = 2 },
	{ .name = "pipeline in a drain", .handler = serve_badly,
	    .fiber = share_in_a_drain, .reactors = 2 },
	{ .name = "pipeline in a stop", .handler = serve_badly,
	    .fiber = share_in_a_stop, .reactors = 2 },
	{ .name = "pipeline after its reactor", .handler = serve_badly,
	    .fiber = share_until_the_end, .ended = close_late,
	    .reactors = 2 },
	{ .name = "backend refuses", .handler = serve_well,
	    .fiber = outlast_refusals },
	{ .name = "backend resets", .handler = serve_well,
	    .fiber = outlast_resets },
	{ .name = "backend is silent", .handler = serve_well,
	    .fiber = outlast_silence },
	{ .name = "backend by name", .handler = serve_well,
	    .fiber = dial_by_name },
	{ .name = "no such backend", .handler = serve_well,
	    .fiber = dial_no_name },
	{ .name = "backend beside hanging names", .handler = serve_well,
	    .fiber = dial_beside_what_hangs },
	{ .name = "blocking work", .handler = serve_well,
	    .fiber = offload_some },
};

size_t
sim_scenario_count(void)
{
	return scenario_count + COUNT(of_clients) + of_http_count +
	    of_redis_count + of_pg_count + of_files_count +
	    of_together_count;
}

const struct scenario *
sim_scenario(size_t index)
{
	if (index < scenario_count)
		return &scenarios[index];
	index -= scenario_count;
	if (index < COUNT(of_clients))
		return &of_clients[index];
	index -= COUNT(of_clients);
	if (index < of_http_count)
		return &of_http[index];
	index -= of_http_count;
	if (index < of_redis_count)
		return &of_redis[index];
	index -= of_redis_count;
	if (index < of_pg_count)
		return &of_pg[index];
	index -= of_pg_count;
	return index < of_files_count ? &of_files[index] :
	    &of_together[index - of_files_count];
}
