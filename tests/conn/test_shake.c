/* SPDX-License-Identifier: MIT */
/*
 * test_shake.c - handshakes take turns: a burst of them waits in a line, of
 * which each turn opens a little, behind whatever else there is to do.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/toy.h"

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/torc_protocol.h"

#define LATER torc_after_ms(5000)
#define BURST 40u
#define TURN_MAX 16u	/* steps in a turn */

/* What was seen on the reactor's thread. */
static struct {
	unsigned steps;		/* of handshakes */
	uint64_t turns[4 * BURST];	/* of each of them */
	int order[4 * BURST];	/* their connections' ports */
	unsigned delay_ms;	/* that each takes */
	unsigned before;	/* steps before the request was handled */
} seen;

static unsigned
peer_port(const struct torc_conn *conn)
{
	char text[64], *colon;

	assert_true(torc_conn_peer_address(conn, text, sizeof(text)) >= 0);
	colon = strrchr(text, ':');
	assert_non_null(colon);
	return (unsigned)atoi(colon + 1);
}

static void
note_step(struct torc_transport *transport)
{
	const unsigned at = seen.steps++;

	assert_true(at < 4 * BURST);
	seen.turns[at] = transport->conn->reactor->counters->turns;
	seen.order[at] = (int)peer_port(transport->conn);
	if (seen.delay_ms > 0)
		pause_ms(seen.delay_ms);
}

/* Echoes, and notes how many steps there were before. */
static int
note_and_echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0) {
		seen.before = seen.steps;
		rc = torc_conn_write(conn, in.data, in.size, LATER);
		torc_conn_consume(conn, in.size);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : TORC_CLOSE;
}

/* ---- Clients ---- */

struct client {
	int fd;
	unsigned port;
	struct toy_way in;
	struct toy_way out;
};

static void
start(struct server *server)
{
	memset(&seen, 0, sizeof(seen));
	toy_step = note_step;
	server_start(server, NULL, note_and_echo, NULL);
	server_set_maker(server, &toy_maker);
}

static void
stop(struct server *server)
{
	assert_int_equal(server_stop(server), 0);
	toy_step = NULL;
}

static void
join_in(struct client *client, struct server *server)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	*client = (struct client) { .fd = client_open(server->port) };
	assert_int_equal(getsockname(client->fd, (struct sockaddr *)&address,
	    &size), 0);
	client->port = (unsigned)(((uint8_t *)&address)[2] << 8 |
	    ((uint8_t *)&address)[3]);
}

static uint32_t
put(struct client *client, enum toy_kind kind, const char *text, uint8_t *to)
{
	return toy_put(&client->out, kind, (const uint8_t *)text,
	    text != NULL ? (uint32_t)strlen(text) : 0, to);
}

static void
say(struct client *client, enum toy_kind kind, const char *text)
{
	uint8_t record[TOY_RECORD_MAX];

	client_send(client->fd, record, put(client, kind, text, record));
}

/* The next record is of that kind, and carries that text. */
static void
hear(struct client *client, enum toy_kind kind, const char *text)
{
	uint8_t record[TOY_RECORD_MAX], data[TOY_DATA_MAX];
	const uint8_t *at = record;
	uint32_t size, got = 0;

	assert_true(client_read(client->fd, record, 2));
	size = record[1] + TOY_OVERHEAD;
	assert_true(size <= sizeof(record));
	assert_true(client_read(client->fd, record + 2, size - 2));
	assert_int_equal(toy_get(&client->in, &at, &size, data, &got), kind);
	assert_int_equal(got, text != NULL ? strlen(text) : 0);
	assert_memory_equal(data, text != NULL ? text : "", got);
}

static unsigned
most_in_a_turn(void)
{
	unsigned most = 0, count = 0;

	for (unsigned i = 0; i < seen.steps; i++) {
		count = i > 0 && seen.turns[i] == seen.turns[i - 1] ?
		    count + 1 : 1;
		most = count > most ? count : most;
	}
	return most;
}

/* ---- Tests ---- */

static void
a_burst_of_handshakes_takes_turns_in_order_behind_what_is_established(
    void **state)
{
	struct client clients[BURST], old;
	struct server server;
	struct hold hold;
	bool turned;

	(void)state;
	start(&server);
	join_in(&old, &server);
	say(&old, TOY_HELLO, NULL);
	hear(&old, TOY_HELLO, NULL);
	for (unsigned i = 0; i < BURST; i++)
		join_in(&clients[i], &server);
	assert_true(server_await_connections(&server, BURST + 1));
	server_hold_up(&server, &hold);
	for (unsigned i = 0; i < BURST; i++) {
		say(&clients[i], TOY_HELLO, NULL);
		if (i == 2)
			say(&old, TOY_DATA, "first");
	}
	server_let_go(&hold);
	hear(&old, TOY_DATA, "first");
	for (unsigned i = 0; i < BURST; i++)
		hear(&clients[i], TOY_HELLO, NULL);
	stop(&server);
	assert_int_equal(seen.before, 1);
	assert_int_equal(seen.steps, BURST + 1);
	assert_true(most_in_a_turn() <= TURN_MAX);
	/* Linux 6.1 completes what waited in the other order. */
	turned = seen.order[1] == (int)clients[BURST - 1].port;
	for (unsigned i = 0; i < BURST; i++) {
		assert_int_equal(seen.order[1 + (turned ? BURST - 1 - i : i)],
		    (int)clients[i].port);
		close(clients[i].fd);
	}
	close(old.fd);
}

/* Half of them have said a part of their greeting, and had a turn for it. They
 * are so few that one batch has all. */
static void
those_that_have_begun_and_those_that_come_take_turns(void **state)
{
	struct client clients[TURN_MAX];
	struct server server;
	struct hold hold;
	const unsigned half = TURN_MAX / 2;
	unsigned begun = 0;

	(void)state;
	start(&server);
	for (unsigned i = 0; i < TURN_MAX; i++)
		join_in(&clients[i], &server);
	for (unsigned i = 0; i < half; i++)
		client_send(clients[i].fd, "H", 1);
	for (unsigned i = 0; i < 5000 && begun < half; i++) {
		pause_ms(1);
		server_counters(&server);
		begun = seen.steps;
	}
	assert_int_equal(begun, half);
	server_hold_up(&server, &hold);
	for (unsigned i = TURN_MAX; i-- > 0;) {
		uint8_t record[TOY_RECORD_MAX];
		const uint32_t size = put(&clients[i], TOY_HELLO, NULL,
		    record);
		const unsigned said = i < half ? 1 : 0;

		client_send(clients[i].fd, record + said, size - said);
	}
	server_let_go(&hold);
	for (unsigned i = 0; i < TURN_MAX; i++)
		hear(&clients[i], TOY_HELLO, NULL);
	stop(&server);
	assert_int_equal(seen.steps, half + TURN_MAX);
	/* New ones came first; each second turn is one of the others'. */
	for (unsigned i = 0; i < TURN_MAX; i++) {
		unsigned who = 0;

		while ((int)clients[who].port != seen.order[half + i])
			who++;
		begun -= who < half;
		assert_int_equal(begun, half - (i + 1) / 2);
	}
	for (unsigned i = 0; i < TURN_MAX; i++)
		close(clients[i].fd);
}

static void
a_step_that_takes_long_is_the_only_one_of_its_turn(void **state)
{
	struct client clients[BURST];
	struct server server;
	struct hold hold;

	(void)state;
	start(&server);
	for (unsigned i = 0; i < BURST; i++)
		join_in(&clients[i], &server);
	assert_true(server_await_connections(&server, BURST));
	seen.delay_ms = 1;
	server_hold_up(&server, &hold);
	for (unsigned i = 0; i < BURST; i++)
		say(&clients[i], TOY_HELLO, NULL);
	server_let_go(&hold);
	for (unsigned i = 0; i < BURST; i++) {
		hear(&clients[i], TOY_HELLO, NULL);
		close(clients[i].fd);
	}
	stop(&server);
	assert_int_equal(most_in_a_turn(), 1);
}

/* Many at once, so that some have to wait with what they have said. */
static void
what_comes_behind_a_handshake_that_waits_is_not_lost_nor_is_the_end(
    void **state)
{
	struct client clients[BURST];
	uint8_t flight[4 * TOY_RECORD_MAX];
	struct server server;
	struct hold hold;

	(void)state;
	start(&server);
	for (unsigned i = 0; i < BURST; i++)
		join_in(&clients[i], &server);
	assert_true(server_await_connections(&server, BURST));
	server_hold_up(&server, &hold);
	for (unsigned i = 0; i < BURST; i++) {
		uint32_t size = put(&clients[i], TOY_HELLO, NULL, flight);

		size += put(&clients[i], TOY_DATA, "all", flight + size);
		size += put(&clients[i], TOY_END, NULL, flight + size);
		client_send(clients[i].fd, flight, size);
		shutdown(clients[i].fd, SHUT_WR);
	}
	server_let_go(&hold);
	for (unsigned i = 0; i < BURST; i++) {
		hear(&clients[i], TOY_HELLO, NULL);
		hear(&clients[i], TOY_DATA, "all");
		hear(&clients[i], TOY_END, NULL);
		assert_true(client_sees_fin(clients[i].fd));
		close(clients[i].fd);
	}
	stop(&server);
}

static void
those_that_break_off_while_they_wait_cost_no_step(void **state)
{
	struct client clients[BURST];
	struct server server;
	struct hold hold;

	(void)state;
	start(&server);
	for (unsigned i = 0; i < BURST; i++)
		join_in(&clients[i], &server);
	assert_true(server_await_connections(&server, BURST));
	server_hold_up(&server, &hold);
	for (unsigned i = 0; i < BURST; i++) {
		say(&clients[i], TOY_HELLO, NULL);
		client_reset(clients[i].fd);
	}
	server_let_go(&hold);
	assert_true(server_await_connections(&server, 0));
	stop(&server);
	assert_true(seen.steps < BURST);
}

static void
those_that_wait_end_with_their_server(void **state)
{
	struct client clients[BURST];
	struct server server;
	struct hold hold;

	(void)state;
	start(&server);
	for (unsigned i = 0; i < BURST; i++)
		join_in(&clients[i], &server);
	assert_true(server_await_connections(&server, BURST));
	server_hold_up(&server, &hold);
	for (unsigned i = 0; i < BURST; i++)
		say(&clients[i], TOY_HELLO, NULL);
	torc_reactor_stop(server.reactor);
	server_let_go(&hold);
	stop(&server);
	for (unsigned i = 0; i < BURST; i++)
		close(clients[i].fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_burst_of_handshakes_takes_turns_in_order_behind_what_is_established),
		cmocka_unit_test(
		    those_that_have_begun_and_those_that_come_take_turns),
		cmocka_unit_test(
		    a_step_that_takes_long_is_the_only_one_of_its_turn),
		cmocka_unit_test(
		    what_comes_behind_a_handshake_that_waits_is_not_lost_nor_is_the_end),
		cmocka_unit_test(
		    those_that_break_off_while_they_wait_cost_no_step),
		cmocka_unit_test(those_that_wait_end_with_their_server),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("shake", tests, NULL, NULL);
}
