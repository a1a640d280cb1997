/* SPDX-License-Identifier: MIT */
/*
 * clients_redis.c - the client of Redis asks what speaks a little of RESP:
 *
 *	GET key size padding	the string "key ", and `size` bytes of the
 *				stream ~key; from OVER_ITEMS on, a reply that
 *				is over another limit
 *	MULTI, EXEC, HELLO, PING
 *	anything else		an error
 *
 * Each key is asked for once, and a ledger has what became of it: nothing is
 * done twice, nothing that was done is called unsent, and what is over a limit
 * is the error of that one command.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "tests/sim/clients.h"

#define ARGS 4u
#define ARG_SIZE 1000u
#define BODY_MAX 1500u
#define QUEUE 4u
#define KEYS 65536u		/* of the ledger */
#define REPLY_MAX 6000u		/* bytes of one, with what is around it */

static const struct torc_resp_limits limits = { .bytes_max = 1600,
	.items_max = 8, .depth_max = 4, .line_max = 64 };

/* Sizes that are none. */
enum { OVER_ITEMS = 10000, OVER_DEPTH, OVER_LINE };

/* ---- The ledger ---- */

enum {
	DONE = 1,		/* the server did it */
	UNSENT = 2,		/* the client was told that it was not sent */
};

static uint8_t ledger[KEYS];

void
reset_redis(void)
{
	memset(ledger, 0, sizeof(ledger));
}

static void
enter(uint32_t key, uint8_t what)
{
	uint8_t *entry = &ledger[key % KEYS];

	if (*entry & DONE && what == DONE)
		broken("GET %u is done twice", key);
	*entry |= what;
	if ((*entry & (DONE | UNSENT)) == (DONE | UNSENT))
		broken("GET %u was done, and is said not to be sent", key);
}

/* ---- A server ---- */

struct get {
	uint32_t key;
	uint32_t size;
};

struct command {
	unsigned argc;
	char name[16];
	struct get get;
};

struct server {
	struct source source;
	bool unruly;
	bool stranger;		/* it is no Redis */
	bool atomic;		/* within MULTI */
	struct get queue[QUEUE];
	unsigned queued;
};

/* Parks. A line such as "*3". 1, or 0 or an error: there is none. */
static int
take_number(struct source *source, char type, uint32_t *number)
{
	char line[16] = "";
	int rc = 1;

	for (size_t i = 0; rc > 0 && i < sizeof(line) - 1; i++) {
		rc = take(source, &line[i], 1);
		if (line[i] == '\n')
			break;
	}
	if (rc <= 0)
		return rc;
	if (line[0] != type || sscanf(line + 1, "%u\r\n", number) != 1)
		broken("a command is not what was sent: %s", line);
	return 1;
}

/* Parks. One argument, with an end that is no part of it. */
static int
take_argument(struct source *source, char *text, uint32_t *size)
{
	int rc = take_number(source, '$', size);

	if (rc <= 0)
		return rc;
	if (*size > ARG_SIZE)
		broken("an argument is longer than what was sent");
	rc = take(source, text, *size + 2);
	if (rc > 0 && memcmp(text + *size, "\r\n", 2) != 0)
		broken("an argument does not end where it should");
	text[*size] = '\0';
	return rc;
}

static void
read_argument(struct command *command, unsigned index, const char *text,
    uint32_t size)
{
	switch (index) {
	case 0:
		snprintf(command->name, sizeof(command->name), "%.15s", text);
		break;
	case 1:
		command->get.key = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 2:
		command->get.size = (uint32_t)strtoul(text, NULL, 10);
		break;
	default:
		for (uint32_t i = 0; i < size; i++) {
			if ((uint8_t)text[i] !=
			    stream_byte(command->get.key, i))
				broken("an argument is not what was sent");
		}
	}
}

static int
take_command(struct source *source, struct command *command)
{
	char text[ARG_SIZE + 3];
	uint32_t size;
	int rc = take_number(source, '*', &command->argc);

	if (rc > 0 && command->argc > ARGS)
		broken("a command has %u arguments", command->argc);
	for (unsigned i = 0; rc > 0 && i < command->argc; i++) {
		rc = take_argument(source, text, &size);
		if (rc > 0)
			read_argument(command, i, text, size);
	}
	return rc;
}

static int
say(struct torc_conn *conn, const char *text)
{
	return torc_conn_write(conn, text, strlen(text), LATER);
}

/* The limit that the reply is over, as an error; or 0. */
static int
over_limit(const struct get *get)
{
	switch (get->size) {
	case OVER_ITEMS:
		return -E2BIG;
	case OVER_DEPTH:
		return -ELOOP;
	case OVER_LINE:
		return -ENAMETOOLONG;
	default:
		return get->size > BODY_MAX ? -EMSGSIZE : 0;
	}
}

/* The same thing again and again. */
static int
put_often(char *bytes, unsigned times, const char *text)
{
	int size = 0;

	for (unsigned i = 0; i < times; i++)
		size += sprintf(bytes + size, "%s", text);
	return size;
}

static int
put_string(char *bytes, const struct get *get)
{
	char key[16];
	int begin = snprintf(key, sizeof(key), "%u ", get->key);
	int size = sprintf(bytes, "$%u\r\n%s", (unsigned)begin + get->size,
	    key);

	for (uint32_t i = 0; i < get->size; i++)
		bytes[size++] = (char)stream_byte(~get->key, i);
	return size + sprintf(bytes + size, "\r\n");
}

static int
put_reply(char *bytes, const struct get *get)
{
	int size;

	switch (get->size) {
	case OVER_ITEMS:
		size = sprintf(bytes, "*9\r\n");
		return size + put_often(bytes + size, 9, "$3\r\na\r\n\r\n");
	case OVER_DEPTH:
		size = put_often(bytes, 7, "*1\r\n");
		return size + sprintf(bytes + size, ":7\r\n");
	case OVER_LINE:
		size = sprintf(bytes, "+");
		size += put_often(bytes + size, 30, "line ");
		return size + sprintf(bytes + size, "\r\n");
	default:
		return put_string(bytes, get);
	}
}

/* Parks. Unruly ones stop in the middle, and some go no further. */
static int
answer_get(struct server *server, const struct get *get)
{
	struct torc_conn *conn = server->source.conn;
	char bytes[REPLY_MAX];
	uint32_t size, cut;
	int rc;

	if (server->stranger)
		broken("GET %u is sent to what is no Redis", get->key);
	if (server->unruly && !server->atomic && over_limit(get) == 0 &&
	    peer_draw(24) == 0)
		return say(conn, "-READONLY not this one\r\n");
	enter(get->key, DONE);
	size = (uint32_t)put_reply(bytes, get);
	if (!server->unruly || peer_draw(4) != 0)
		return torc_conn_write(conn, bytes, size, LATER);
	cut = peer_draw(size);
	rc = torc_conn_write(conn, bytes, cut, LATER);
	if (rc == 0)
		rc = pause_for(conn, peer_draw(20));
	if (rc < 0 || peer_draw(12) == 0)
		return -1;
	return torc_conn_write(conn, bytes + cut, size - cut, LATER);
}

static int
execute(struct server *server)
{
	char line[16];
	int rc;

	snprintf(line, sizeof(line), "*%u\r\n", server->queued);
	rc = say(server->source.conn, line);
	for (unsigned i = 0; rc == 0 && i < server->queued; i++)
		rc = answer_get(server, &server->queue[i]);
	server->queued = 0;
	server->atomic = false;
	return rc;
}

static int
carry_out(struct server *server, const struct command *command)
{
	struct torc_conn *conn = server->source.conn;

	if (strcmp(command->name, "GET") == 0 && server->atomic) {
		if (server->queued == QUEUE)
			broken("more was queued than was sent");
		server->queue[server->queued++] = command->get;
		return say(conn, "+QUEUED\r\n");
	}
	if (strcmp(command->name, "GET") == 0)
		return answer_get(server, &command->get);
	if (strcmp(command->name, "MULTI") == 0) {
		server->atomic = true;
		return say(conn, "+OK\r\n");
	}
	if (strcmp(command->name, "EXEC") == 0)
		return execute(server);
	server->stranger = server->unruly && peer_draw(24) == 0;
	if (strcmp(command->name, "HELLO") == 0 && server->stranger)
		return say(conn, "+OK\r\n");
	if (strcmp(command->name, "HELLO") == 0)
		return say(conn, "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
		    "$5\r\nproto\r\n:3\r\n");
	return say(conn, "-ERR unknown command\r\n");
}

static int
serve(struct torc_conn *conn, bool unruly)
{
	struct server server = {
		.source = { .conn = conn, .deadline = TORC_NEVER },
		.unruly = unruly,
	};
	struct command command;

	while (take_command(&server.source, &command) > 0) {
		const uint32_t manner = unruly ? peer_draw(64) : 64;

		if (mute || manner == 0)
			return fall_silent(conn);
		if (dead || manner == 1)
			return -1;
		if (manner < 6 && pause_for(conn, peer_draw(60)) < 0)
			return -1;
		if (carry_out(&server, &command) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

static int
serve_redis(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, false);
}

static int
serve_redis_badly(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, true);
}

/* ---- The client ---- */

/* A command with its words, where they stay. */
struct words {
	struct get get;
	char key[16];
	char size[16];
	uint8_t padding[ARG_SIZE];
	struct torc_slice argv[ARGS];
};

/* Within another reply, limits on items are others: without `kinds`. */
static uint32_t
draw_size(bool kinds)
{
	switch (peer_draw(16)) {
	case 0:
		return kinds ? OVER_ITEMS + peer_draw(3) : 0;
	case 1:
		return (uint32_t)limits.bytes_max + peer_draw(3000);
	case 2:
	case 3:
		return peer_draw(BODY_MAX);
	default:
		return peer_draw(50);
	}
}

static void
phrase(struct words *words, bool kinds)
{
	const uint32_t padding = peer_draw(8) == 0 ? peer_draw(ARG_SIZE) :
	    peer_draw(10);

	words->get.key = new_key();
	words->get.size = draw_size(kinds);
	snprintf(words->key, sizeof(words->key), "%u", words->get.key);
	snprintf(words->size, sizeof(words->size), "%u", words->get.size);
	for (uint32_t i = 0; i < padding; i++)
		words->padding[i] = stream_byte(words->get.key, i);
	words->argv[0] = (struct torc_slice) { (const uint8_t *)"GET", 3 };
	words->argv[1] = (struct torc_slice) { (uint8_t *)words->key,
		strlen(words->key) };
	words->argv[2] = (struct torc_slice) { (uint8_t *)words->size,
		strlen(words->size) };
	words->argv[3] = (struct torc_slice) { words->padding, padding };
}

static void
compare(const struct torc_redis_reply *reply, const struct get *get)
{
	char key[16];
	const size_t begin = (size_t)snprintf(key, sizeof(key), "%u ",
	    get->key);

	if (reply->type != TORC_REDIS_STRING ||
	    reply->size != begin + get->size ||
	    memcmp(reply->text, key, begin) != 0)
		broken("the reply to GET %u is another's: %.12s", get->key,
		    reply->type == TORC_REDIS_STRING ? reply->text : "-");
	for (uint32_t i = 0; i < get->size; i++) {
		if ((uint8_t)reply->text[begin + i] !=
		    stream_byte(~get->key, i))
			broken("byte %u of the reply to GET %u is wrong", i,
			    get->key);
	}
}

/* An error of Redis in the place of a value: not this one. */
static bool
is_refused(const struct torc_redis_reply *reply)
{
	return reply->type == TORC_REDIS_ERROR &&
	    strncmp(reply->text, "READONLY", 8) == 0;
}

/*
 * What the client says of commands that should have had the error `over`, or
 * be answered; the reply is freed. 0 also for that error: it is an answer.
 */
static int
judge(struct torc_redis_reply *reply, int rc, const struct words *words,
    unsigned count, int over)
{
	const enum torc_redis_fate fate = torc_redis_reply_fate(reply);
	const bool limit = rc == -E2BIG || rc == -ELOOP ||
	    rc == -ENAMETOOLONG || rc == -EMSGSIZE;

	if (reply != NULL && torc_redis_reply_error(reply)->code != rc)
		broken("GET %u has the error %d, and its reply says \"%s\"",
		    words[0].get.key, rc, torc_redis_reply_error(reply)->text);
	if ((rc == 0 || limit) && rc != over)
		broken("GET %u has the error %d, and not %d",
		    words[0].get.key, rc, over);
	if (limit && reply != NULL && fate != TORC_REDIS_ANSWERED)
		broken("GET %u is over a limit, and not answered",
		    words[0].get.key);
	for (unsigned i = 0; i < count; i++) {
		const uint32_t key = words[i].get.key;

		/* Of several, some may be READONLY. */
		if (limit && count == 1 && !(ledger[key % KEYS] & DONE))
			broken("GET %u is over a limit, and was not done", key);
		if (rc < 0 && fate == TORC_REDIS_UNSENT)
			enter(key, UNSENT);
	}
	torc_redis_reply_free(reply);
	return limit ? 0 : rc;
}

/* What several replies, or one of several, are over. */
static int
over_together(const struct words *words, unsigned count, bool atomic)
{
	size_t bytes = 0;
	int over = 0;

	for (unsigned i = 0; i < count; i++) {
		char key[16];

		bytes += words[i].get.size + (size_t)snprintf(key,
		    sizeof(key), "%u ", words[i].get.key);
		if (over == 0)
			over = over_limit(&words[i].get);
	}
	return atomic && bytes > limits.bytes_max ? -EMSGSIZE : over;
}

/* Parks. Several at once, in a transaction or not. */
static int
ask_several(struct torc_redis *redis, torc_deadline deadline, bool atomic)
{
	struct torc_redis_command commands[3];
	struct torc_redis_reply *reply;
	struct words words[3];
	int over, rc;

	for (unsigned i = 0; i < 3; i++) {
		phrase(&words[i], !atomic);
		commands[i].argv = words[i].argv;
		commands[i].argc = ARGS;
	}
	over = over_together(words, 3, atomic);
	rc = atomic ?
	    torc_redis_transact(redis, commands, 3, &reply, deadline) :
	    torc_redis_batch(redis, commands, 3, &reply, deadline);
	if (rc == 0 && (reply->type != TORC_REDIS_ARRAY || reply->size != 3))
		broken("the reply to three commands is none of three");
	for (unsigned i = 0; rc == 0 && i < 3; i++) {
		if (!is_refused(&reply->items[i]))
			compare(&reply->items[i], &words[i].get);
	}
	return judge(reply, rc, words, 3, over);
}

/* Parks. In the middle of something: it must not be another one's then. */
static int
leave_halfway(struct torc_redis_session *session, torc_deadline deadline)
{
	struct torc_redis_reply *reply;
	struct torc_resp_item item;
	struct words words;
	int rc;

	if (peer_draw(2) == 0) {
		rc = torc_redis_session_do(session, &reply, deadline, "MULTI",
		    NULL);
		torc_redis_reply_free(reply);
		return rc;
	}
	phrase(&words, true);
	rc = torc_redis_session_send(session, words.argv, ARGS, deadline);
	if (rc == 0 && peer_draw(2) == 0)
		rc = torc_redis_session_read(session, &item, deadline);
	return rc < 0 && rc != over_limit(&words.get) ? rc : 0;
}

/* Parks. On a connection of its own. */
static int
ask_in_session(struct torc_redis *redis, torc_deadline deadline)
{
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;
	struct words words;
	int rc = torc_redis_session_acquire(redis, NULL, &session, NULL,
	    deadline);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		phrase(&words, true);
		rc = torc_redis_session_call(
		    session, words.argv, ARGS, &reply, deadline);
		if (rc == 0)
			compare(reply, &words.get);
		rc = judge(reply, rc, &words, 1, over_limit(&words.get));
	}
	if (rc == 0 && peer_draw(3) == 0)
		rc = leave_halfway(session, deadline);
	torc_redis_session_release(session);
	return rc;
}

static int
ask_one(struct torc_redis *redis, torc_deadline deadline)
{
	struct torc_redis_reply *reply;
	struct words words;
	int rc;

	phrase(&words, true);
	rc = torc_redis_call(redis, words.argv, ARGS, &reply, deadline);
	if (rc == 0)
		compare(reply, &words.get);
	return judge(reply, rc, &words, 1, over_limit(&words.get));
}

static int
ask_redis(struct client *client, torc_deadline deadline)
{
	const uint32_t way = peer_draw(8);
	int rc;

	if (way < 2)
		rc = ask_several(client->of, deadline, way == 0);
	else if (way == 2)
		rc = ask_in_session(client->of, deadline);
	else
		rc = ask_one(client->of, deadline);
	check_time(deadline, "a command");
	return rc;
}

static int
open_redis(struct client *client)
{
	const struct plan *plan = client->plan;
	const struct torc_redis_config config = {
		.address = plan->address != NULL ? plan->address :
		    program_address(0),
		.sessions = 2,
		.open_ms = plan->pool.open_ms,
		.retry_min_ms = plan->pool.retry_min_ms,
		.retry_max_ms = plan->pool.retry_max_ms,
		.reply_bytes_max = limits.bytes_max,
		.reply_items_max = limits.items_max,
		.reply_depth_max = limits.depth_max,
		.reply_line_max = limits.line_max,
	};
	struct torc_redis *redis;
	int rc = torc_redis_create(&redis, &config, NULL);

	client->of = rc == 0 ? redis : NULL;
	return rc;
}

static void
check_node(const struct node *node)
{
	const struct torc_shared_set *set = &node->set;

	if (torc_shared_set_is_used(set) || set->waiters.first != NULL)
		broken("%u use connections, and %u wait, and nobody is there",
		    set->users, set->waiting);
	for (unsigned i = 0; i < set->count; i++) {
		const struct torc_shared *shared = set->members[i];

		if (shared->users > 0 || shared->pipeline.live > 0 ||
		    shared->pipeline.writing)
			broken("%u use a connection, and nobody is there",
			    shared->users);
	}
}

/* Its lines stay rented: they have no users. */
static void
check_redis(struct client *client)
{
	const struct torc_redis *redis = client->of;

	for (unsigned i = 0; i < redis->node_count; i++)
		check_node(redis->nodes[i]);
}

static void
close_redis(struct client *client)
{
	torc_redis_destroy(client->of, TORC_NEVER);
}

static const struct trade in_redis = {
	open_redis, ask_redis, check_redis, close_redis,
};

/* ---- The table ---- */

PLAN(ask_in_turn, .trade = &in_redis, .workers = 8, .rounds = 6)
PLAN(ask_as_one, .trade = &in_redis, .workers = 1, .rounds = 40)
PLAN(ask_among_the_hasty, .trade = &in_redis, .workers = 10, .rounds = 8,
    .patience = 10, .mixed = true, .cancels = 3)
PLAN(ask_hastily, .trade = &in_redis, .workers = 10, .rounds = 8,
    .patience = 100, .cancels = 6, .unruly = true, .pool = { HASTY(3) })
PLAN(ask_in_a_drain, .trade = &in_redis, .workers = 10, .rounds = 8,
    .patience = 100, .cancels = 3, .unruly = true, .drains = true,
    .pool = { HASTY(4) })
PLAN(ask_in_a_stop, .trade = &in_redis, .workers = 10, .rounds = 8,
    .patience = 100, .cancels = 3, .unruly = true, .stops = true,
    .stays = true, .pool = { HASTY(4) })

static int
outlast_silence(void *arg)
{
	static const struct plan plan = {
		.trade = &in_redis, .workers = 6, .rounds = 40,
		.patience = 400, .pool = { .open_ms = 200 }, .unruly = true,
	};

	(void)arg;
	mute = true;
	return outlast(&plan, answer_again);
}

const struct scenario of_redis[] = {
	{ .name = "redis", .handler = serve_redis, .fiber = ask_in_turn,
	    ENOUGH },
	{ .name = "redis for one", .handler = serve_redis, .fiber = ask_as_one,
	    ENOUGH },
	{ .name = "redis among the hasty", .handler = serve_redis,
	    .fiber = ask_among_the_hasty,
	    .config = { .buffers = 64, .slab_size = 256 } },
	{ .name = "redis in a hurry", .handler = serve_redis_badly,
	    .fiber = ask_hastily },
	{ .name = "redis across reactors", .handler = serve_redis_badly,
	    .fiber = ask_hastily, .reactors = 2 },
	{ .name = "redis in a drain", .handler = serve_redis_badly,
	    .fiber = ask_in_a_drain, .reactors = 2 },
	{ .name = "redis in a stop", .handler = serve_redis_badly,
	    .fiber = ask_in_a_stop, .ended = close_late, .reactors = 2 },
	{ .name = "redis is silent", .handler = serve_redis,
	    .fiber = outlast_silence },
};
const size_t of_redis_count = COUNT(of_redis);
