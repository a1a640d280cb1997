/* SPDX-License-Identifier: MIT */
/*
 * clients_http.c - the client of HTTP asks servers of HTTP, all of torc: the
 * key is in the target and in a field of the answer, bodies both ways are its
 * streams.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/http/torc_service.h"
#include "tests/sim/clients.h"

#define BODY_MAX 3000u
#define KEYS 4096u

static uint8_t done[KEYS];	/* how often a request was carried out */

/* Of each reactor: what its proxy asks the origin with. */
static struct forwarder {
	struct torc_http_client *client;
	unsigned calls;
} forwarders[MAX_REACTORS];

void
reset_http(void)
{
	memset(done, 0, sizeof(done));
	memset(forwarders, 0, sizeof(forwarders));
}

/* ---- Servers ---- */

struct question {
	uint32_t key;
	uint32_t size;		/* of the answer's body */
	uint32_t received;	/* of the request's */
	char manner;		/* of the origin, or '-' */
};

static void
fill(uint8_t *data, uint32_t size, uint32_t key, uint32_t from)
{
	for (uint32_t i = 0; i < size; i++)
		data[i] = stream_byte(key, from + i);
}

/* Part of a body that came: bytes of the stream `key`. */
static void
compare(struct torc_slice part, uint32_t key, uint32_t from)
{
	for (uint32_t i = 0; i < part.size; i++) {
		if (part.data[i] != stream_byte(key, from + i))
			broken("byte %u of body %u is wrong", from + i, key);
	}
}

static bool
parse_target(const char *target, struct question *question)
{
	if (sscanf(target, "/%u/%u", &question->key, &question->size) != 2 &&
	    sscanf(target, "/%c/%u/%u", &question->manner, &question->key,
	    &question->size) != 3)
		return false;
	return question->key < KEYS && question->size <= BODY_MAX;
}

/* Parks. The next request with its body: 1, or there is none. */
static int
take_request(struct torc_http *http, struct question *question)
{
	char target[32] = "";
	struct torc_slice body;
	int rc = torc_http_recv(http, TORC_NEVER);

	if (rc <= 0)
		return rc;
	if (http->request.target.size >= sizeof(target))
		broken("a target is not what was sent");
	memcpy(target, http->request.target.data, http->request.target.size);
	*question = (struct question) { 0, 0, 0, '-' };
	if (!parse_target(target, question))
		broken("a target is not what was sent: %s", target);
	while ((rc = torc_http_read(http, &body, LATER)) > 0) {
		compare(body, question->key, question->received);
		question->received += (uint32_t)body.size;
	}
	if (rc < 0)
		return rc;
	if (http->request.method == TORC_HTTP_POST &&
	    ++done[question->key] > 1)
		broken("request %u is carried out again", question->key);
	return 1;
}

static int
answer(struct torc_http *http, const struct question *question, bool chunked)
{
	uint8_t body[BODY_MAX];
	char key[12];
	const struct torc_http_field field = {
		torc_http_text("X-Key"), {
			(const uint8_t *)key, (size_t)snprintf(key,
			    sizeof(key), "%u", question->key) },
	};
	const uint32_t cut = peer_draw(question->size + 1);
	int rc;

	fill(body, question->size, ~question->key, 0);
	if (!chunked)
		return torc_http_reply(http, 200, &field, 1, body,
		    question->size, LATER);
	rc = torc_http_begin(http, 200, &field, 1, peer_draw(2) == 0 ?
	    TORC_HTTP_UNKNOWN : question->size, LATER);
	if (rc == 0)
		rc = torc_http_write(http, body, cut, LATER);
	if (rc == 0)
		rc = torc_http_flush(http, LATER);
	if (rc == 0)
		rc = torc_sleep(torc_after_ms(peer_draw(20)));
	/* It is broken off, now and then. */
	if (rc < 0 || (chunked && peer_draw(10) == 0))
		return -1;
	rc = torc_http_write(http, body + cut, question->size - cut, LATER);
	return rc < 0 ? rc : torc_http_end(http, LATER);
}

/* Idle connections are ended soon: the next request may come too late. */
static const struct torc_http_config impatient = { .idle_ms = 15 };

/*
 * Parks. End a connection between two requests, as servers may that had none
 * for a while: the next one may be on its way, and is to be asked again.
 */
static int
end_idle(struct torc_http *http)
{
	int rc = torc_http_flush(http, LATER);

	return rc < 0 || torc_sleep(torc_after_ms(peer_draw(10))) < 0 ? -1 :
	    TORC_CLOSE;
}

/* Parks. Begin an answer, and end the connection in the middle of its head. */
static int
break_off(struct torc_conn *conn)
{
	static const char part[] = "HTTP/1.1 200 OK\r\nX-Key: ";
	const bool resets = peer_draw(2) == 0;
	int rc = torc_conn_write(conn, part, 1 + peer_draw(sizeof(part) - 1),
	    LATER);

	if (rc == 0)
		rc = torc_conn_flush(conn, LATER);
	return rc < 0 || resets ? -1 : TORC_CLOSE;
}

/* The same, but for who goes by what is answered: not if bytes are late. */
static int
serve_http(struct torc_conn *conn, void *arg)
{
	const struct torc_http_config config = {
		.idle_ms = world.varied ? 1000 : impatient.idle_ms,
	};
	struct question question;
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, &config);
	while (take_request(&http, &question) > 0) {
		if (mute)
			return fall_silent(conn);
		if (dead)
			return break_off(conn);
		if (peer_draw(4) == 0 &&
		    torc_sleep(torc_after_ms(peer_draw(5))) < 0)
			return -1;
		if (answer(&http, &question, false) < 0)
			break;
		if (peer_draw(8) == 0)
			return end_idle(&http);
	}
	return torc_http_result(&http);
}

static int
serve_http_badly(struct torc_conn *conn, void *arg)
{
	struct question question;
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, &impatient);
	while (take_request(&http, &question) > 0) {
		const uint32_t manner = peer_draw(32);

		if (manner == 0)
			return fall_silent(conn);
		if (manner == 1)
			return -1;
		if (manner < 8 &&
		    torc_sleep(torc_after_ms(peer_draw(60))) < 0)
			return -1;
		if (answer(&http, &question, manner < 14) < 0)
			break;
	}
	return torc_http_result(&http);
}

/* ---- A service ---- */

/* The same in an exchange, whose memory has the answer. */
static int
answer_exchange(struct torc_exchange *exchange, void *arg)
{
	const struct torc_slice size = torc_exchange_param(exchange, "size");
	const struct torc_slice key = torc_exchange_param(exchange, "key");
	struct question question = {
		.key = (uint32_t)atoi((const char *)key.data),
		.size = (uint32_t)atoi((const char *)size.data),
	};
	struct torc_slice part;
	uint8_t *body;
	int rc;

	(void)arg;
	while ((rc = torc_exchange_read(exchange, &part, LATER)) > 0) {
		compare(part, question.key, question.received);
		question.received += (uint32_t)part.size;
	}
	if (rc == 0 && peer_draw(4) == 0)
		rc = torc_sleep(torc_after_ms(peer_draw(5)));
	if (rc < 0)
		return rc;
	body = torc_exchange_alloc(exchange, question.size + 1);
	if (body == NULL)
		return -ENOMEM;
	fill(body, question.size, ~question.key, 0);
	rc = torc_exchange_add_field(exchange, "X-Key",
	    (const char *)key.data);
	return rc < 0 ? rc : torc_exchange_reply(exchange, 200, NULL, body,
	    question.size, LATER);
}

/* A service of its own each time: nothing of it is left in the end. */
static int
serve_exchanges(struct torc_conn *conn, void *arg)
{
	const struct torc_service_config config = {
		.stack_ms = peer_draw(2) == 0 ? 3 : TORC_NO_LIMIT,
	};
	struct torc_service *service = NULL;
	struct torc_routes *routes;
	int rc = torc_routes_create(&routes);

	(void)arg;
	if (rc == 0) {
		torc_routes_add(routes, "*", "/{key}/{size}",
		    answer_exchange, NULL);
		rc = torc_service_create(&service, routes, &config, NULL);
		torc_routes_destroy(routes);
	}
	if (rc == 0)
		rc = torc_service_handle(conn, service);
	torc_service_destroy(service);
	return rc;
}

/* ---- The client ---- */

static int
open_http(struct client *client)
{
	const struct torc_http_client_config config = {
		.address = client->plan->address != NULL ?
		    client->plan->address : program_address(0),
		.host = "backend",
		POOL_OF(client->plan->pool),
		.answer_ms = client->plan->unruly ? 100 : 0,
	};
	struct torc_http_client *http;
	int rc = torc_http_client_create(&http, &config, NULL);

	client->of = rc == 0 ? http : NULL;
	return rc;
}

/* Parks. Read the answer: 0 if it is whole, and ours. */
static int
read_answer(struct torc_http_call *call, const struct question *question,
    torc_deadline deadline)
{
	const struct torc_slice *key = torc_http_find(&call->response,
	    "X-Key");
	struct torc_slice body;
	uint32_t size = 0;
	char text[12];
	int rc;

	snprintf(text, sizeof(text), "%u", question->key);
	if (call->response.status != 200)
		return -EPROTO;
	if (key == NULL || !torc_http_equals(*key, text))
		broken("request %s has the answer to another one", text);
	/* Who has lost interest leaves the rest. */
	if (peer_draw(16) == 0)
		return 0;
	while ((rc = torc_http_call_read(call, &body, deadline)) > 0) {
		compare(body, ~question->key, size);
		size += (uint32_t)body.size;
	}
	check_time(deadline, "a read of a body");
	if (rc == 0 && size != question->size)
		broken("request %s has half an answer", text);
	return rc;
}

/* Parks. With a body in pieces. */
static int
send_in_pieces(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request, torc_deadline deadline)
{
	const uint8_t *body = request->body;
	const uint32_t cut = peer_draw((uint32_t)request->size + 1);
	int rc = torc_http_call_begin(client, call, request,
	    peer_draw(2) == 0 ? TORC_HTTP_UNKNOWN : request->size, deadline);

	if (rc < 0)
		return rc;
	rc = torc_http_call_write(call, body, cut, deadline);
	if (rc == 0)
		rc = torc_http_call_flush(call, deadline);
	if (rc == 0)
		rc = torc_http_call_write(call, body + cut,
		    request->size - cut, deadline);
	if (rc == 0)
		rc = torc_http_call_finish(call, deadline);
	if (rc == 0)
		rc = torc_http_call_answer(call, deadline);
	if (rc < 0)
		torc_http_call_end(call);
	return rc;
}

/* GETs; POSTs, too, where they may fail. */
static int
ask_http(struct client *client, torc_deadline deadline)
{
	const struct question question = {
		.key = new_key() % KEYS,
		.size = peer_draw(4) == 0 ? peer_draw(BODY_MAX) :
		    peer_draw(100),
	};
	const bool posts = client->plan->unruly && peer_draw(2) == 0;
	struct torc_http_call call;
	uint8_t body[1000];
	char target[32];
	struct torc_http_request request = {
		.method = torc_http_text(posts ? "POST" : "GET"),
		.body = body,
		.size = posts ? peer_draw(sizeof(body)) : 0,
		.key = peer_draw(3),
	};
	int rc;

	snprintf(target, sizeof(target), "/%u/%u", question.key,
	    question.size);
	request.target = torc_http_text(target);
	fill(body, (uint32_t)request.size, question.key, 0);
	rc = posts && peer_draw(2) == 0 ?
	    send_in_pieces(client->of, &call, &request, deadline) :
	    torc_http_client_call(client->of, &call, &request, deadline);
	check_time(deadline, "a call");
	if (rc < 0)
		return rc;
	rc = read_answer(&call, &question, deadline);
	torc_http_call_end(&call);
	return rc;
}

static void
check_http(struct client *client)
{
	struct torc_pool_stats stats;

	torc_http_client_stats_read(client->of, &stats);
	check_pool(&stats);
}

/* As ask_http(), and see how often it has connected in vain. */
static int
ask_and_count(struct client *client, torc_deadline deadline)
{
	int rc = ask_http(client, deadline);
	struct torc_pool_stats stats;

	torc_http_client_stats_read(client->of, &stats);
	while (client->opened < stats.failures)
		note_failed_open(client);
	return rc;
}

static void
close_http(struct client *client)
{
	torc_http_client_destroy(client->of, TORC_NEVER);
}

static const struct trade in_http = {
	open_http, ask_and_count, check_http, close_http,
};

/* ---- Through a proxy ---- */

#define ORIGIN "127.0.0.1:7100"
#define STALL_MS 300u	/* and others may have the connection to it */

/* A request may come late: from one who has left, and so has the client. */
static int
serve_proxy(struct torc_conn *conn, void *arg)
{
	const struct torc_http_forwarding how = {
		.via = "sim", .key = 1 + peer_draw(3),
	};
	struct forwarder *forwarder =
	    &forwarders[torc_reactor_index(torc_reactor_self())];
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		if (forwarder->client == NULL)
			return -1;
		forwarder->calls++;
		torc_http_forward(&http, forwarder->client, &how, TORC_NEVER);
		forwarder->calls--;
	}
	return torc_http_result(&http);
}

/*
 * An origin with paths of its own: /p/ kills the connection, in some way, and
 * /s/ takes long.
 */
static int
serve_origin(struct torc_conn *conn, void *arg)
{
	struct question question;
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, NULL);
	while (take_request(&http, &question) > 0) {
		if (question.manner == 'p')
			return peer_draw(3) == 0 ? -1 : break_off(conn);
		if (question.manner == 's' &&
		    torc_sleep(torc_after_ms(50 + peer_draw(200))) < 0)
			return -1;
		if (answer(&http, &question, false) < 0)
			break;
	}
	return torc_http_result(&http);
}

static int
open_proxy(struct client *client)
{
	const struct torc_http_client_config config = {
		.address = ORIGIN,
		.connections = 3, .aside_max = 2,
		.gather_ms = 20, .half_close_ms = 50,
		.stall_ms = STALL_MS, .memory_max = 4 * 16384,
	};
	struct torc_http_client **forwarder =
	    &forwarders[torc_reactor_index(torc_reactor_self())].client;
	int rc = torc_listen(torc_reactor_self(), ORIGIN, serve_origin, NULL);

	if (rc >= 0)
		rc = torc_http_client_create(forwarder, &config, NULL);
	if (rc < 0)
		return rc;
	rc = open_http(client);
	if (rc < 0) {
		torc_http_client_destroy(*forwarder, TORC_NEVER);
		*forwarder = NULL;
	}
	return rc;
}

/* Parks. A request that is left in the middle of its answer, or before it. */
static void
leave_early(struct torc_http_client *http,
    const struct torc_http_request *request, torc_deadline deadline)
{
	const torc_deadline soon = torc_after_ms(peer_draw(100));
	struct torc_http_call call;
	struct torc_slice body;

	if (torc_http_client_call(http, &call, request, torc_sooner(soon,
	    deadline)) < 0)
		return;
	torc_http_call_read(&call, &body, deadline);
	torc_sleep(torc_after_ms(peer_draw(2 * STALL_MS)));
	torc_http_call_end(&call);
}

/* Parks. A body of which a part comes, and the rest late or never. */
static void
stall_in_body(struct torc_http_client *http,
    const struct torc_http_request *request, torc_deadline deadline)
{
	struct torc_http_call call;
	int rc = torc_http_call_begin(http, &call, request, 10, deadline);

	if (rc < 0)
		return;
	rc = torc_http_call_write(&call, request->body, 5, deadline);
	if (rc == 0)
		rc = torc_http_call_flush(&call, deadline);
	torc_sleep(torc_after_ms(peer_draw(2 * STALL_MS)));
	if (rc == 0 && peer_draw(2) == 0)
		torc_http_call_answer(&call, torc_after_ms(50));
	torc_http_call_end(&call);
}

/* Parks. What harms nobody else: whatever comes of it is fine. */
static void
misbehave(struct torc_http_client *http, torc_deadline deadline)
{
	static const char *const manners = "pss";
	const uint32_t manner = peer_draw(4), key = new_key() % KEYS;
	struct torc_http_request request;
	uint8_t body[10];
	char target[32];

	fill(body, sizeof(body), key, 0);
	snprintf(target, sizeof(target), "/%c/%u/%u",
	    manner == 3 ? 's' : manners[manner], key, peer_draw(BODY_MAX));
	request = (struct torc_http_request) {
		.method = torc_http_text(manner == 3 ? "PUT" : "GET"),
		.target = torc_http_text(target), .body = body,
	};
	if (manner == 3)
		stall_in_body(http, &request, deadline);
	else
		leave_early(http, &request, deadline);
}

/* Of three fibers, one misbehaves; the others are answered. */
static int
ask_proxy(struct client *client, torc_deadline deadline)
{
	if (peer_draw(3) != 0)
		return ask_http(client, deadline);
	misbehave(client->of, deadline);
	return 0;
}

static void
close_proxy(struct client *client)
{
	struct forwarder *forwarder =
	    &forwarders[torc_reactor_index(torc_reactor_self())];
	struct torc_http_client *left = forwarder->client;
	struct torc_pool_stats stats;
	int rc = 0;

	close_http(client);
	forwarder->client = NULL;
	/* All have left: so does what was asked for them. */
	for (unsigned i = 0; rc == 0 && i < 1000 && forwarder->calls > 0; i++)
		rc = torc_sleep(torc_after_ms(100));
	torc_http_client_stats_read(left, &stats);
	check_pool(&stats);
	torc_http_client_destroy(left, TORC_NEVER);
}

static const struct trade in_proxy = {
	open_proxy, ask_proxy, check_http, close_proxy,
};

PLAN(ask_through_a_proxy, .trade = &in_proxy, .workers = 9, .rounds = 6,
    .pool = { .size = 9 })

/* ---- The table ---- */

PLAN(ask_in_turn, .trade = &in_http, .workers = 8, .rounds = 6, .cancels = 2,
    .pool = { .size = 3 })
PLAN(ask_hastily, .trade = &in_http, .workers = 10, .rounds = 6,
    .patience = 60, .cancels = 6, .unruly = true, .pool = { HASTY(3) })
PLAN(ask_in_a_drain, .trade = &in_http, .workers = 10, .rounds = 6,
    .patience = 60, .cancels = 3, .unruly = true, .drains = true,
    .pool = { HASTY(4) })
PLAN(ask_in_a_stop, .trade = &in_http, .workers = 10, .rounds = 6,
    .patience = 60, .cancels = 3, .unruly = true, .stops = true,
    .stays = true, .pool = { HASTY(4) })

static void
listen_again(void)
{
	expect(torc_listen(torc_reactor_self(), "127.0.0.1:7000", serve_http,
	    NULL) >= 0, "it is there again");
}

static int
outlast_refusals(void *arg)
{
	static const struct plan plan = {
		.trade = &in_http, .address = "127.0.0.1:7000", .workers = 6,
		.rounds = 200, .patience = 40, .pool = { .size = 8 },
		.unruly = true,
	};

	(void)arg;
	return outlast(&plan, listen_again);
}

static int
outlast_halves(void *arg)
{
	static const struct plan plan = {
		.trade = &in_http, .workers = 6, .rounds = 200,
		.patience = 40, .pool = { .size = 8 }, .unruly = true,
		.reachable = true,
	};

	(void)arg;
	dead = true;
	return outlast(&plan, answer_again);
}

static int
outlast_silence(void *arg)
{
	static const struct plan plan = {
		.trade = &in_http, .workers = 6, .rounds = 40,
		.patience = 400, .pool = { .size = 8 }, .unruly = true,
	};

	(void)arg;
	mute = true;
	return outlast(&plan, answer_again);
}

const struct scenario of_http[] = {
	{ .name = "http", .handler = serve_http, .fiber = ask_in_turn,
	    ENOUGH },
	{ .name = "http of a service", .handler = serve_exchanges,
	    .fiber = ask_in_turn, ENOUGH },
	{ .name = "http of a service in a hurry", .handler = serve_exchanges,
	    .fiber = ask_hastily, .reactors = 2 },
	{ .name = "http of a service in a drain", .handler = serve_exchanges,
	    .fiber = ask_in_a_drain, .reactors = 2 },
	{ .name = "http in a hurry", .handler = serve_http_badly,
	    .fiber = ask_hastily },
	{ .name = "http across reactors", .handler = serve_http_badly,
	    .fiber = ask_hastily, .reactors = 2 },
	{ .name = "http in a drain", .handler = serve_http_badly,
	    .fiber = ask_in_a_drain, .reactors = 2 },
	{ .name = "http in a stop", .handler = serve_http_badly,
	    .fiber = ask_in_a_stop, .ended = close_late, .reactors = 2 },
	{ .name = "http through a proxy", .handler = serve_proxy,
	    .fiber = ask_through_a_proxy, ENOUGH },
	{ .name = "http origin refuses", .handler = serve_http,
	    .fiber = outlast_refusals },
	{ .name = "http origin breaks off", .handler = serve_http,
	    .fiber = outlast_halves },
	{ .name = "http origin is silent", .handler = serve_http,
	    .fiber = outlast_silence },
};
const size_t of_http_count = COUNT(of_http);
