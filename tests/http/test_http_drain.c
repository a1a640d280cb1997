/* SPDX-License-Identifier: MIT */
/*
 * test_http_drain.c - a stop of an HTTP server under its clients: none of them
 * loses a request.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "conn/http/torc_http.h"
#include "tests/harness.h"

#define CLIENTS 16
#define ASKED "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define KEPT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define LAST "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" \
	"Connection: close\r\n\r\nok"

static struct server server;
static atomic_uint answers;

static int
serve(struct torc_conn *conn, void *arg)
{
	const struct torc_http_config config = { .no_date = true };
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, &config);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		if (torc_http_reply(&http, 200, NULL, 0, "ok", 2,
		    TORC_NEVER) < 0)
			break;
		atomic_fetch_add(&answers, 1);
	}
	return torc_http_result(&http);
}

/* Dormant between two requests. */
static int
serve_and_sleep(struct torc_conn *conn, void *arg)
{
	const struct torc_http_config config = { .no_date = true };
	struct torc_http http;
	int rc;

	(void)arg;
	if (torc_conn_unread(conn) == 0)
		return TORC_AGAIN;
	torc_http_init(&http, conn, &config);
	rc = torc_http_recv(&http, TORC_NEVER);
	if (rc > 0)
		rc = torc_http_reply(&http, 200, NULL, 0, "ok", 2, TORC_NEVER);
	atomic_fetch_add(&answers, 1);
	return rc < 0 ? rc : torc_reactor_draining(torc_reactor_self()) ?
	    TORC_CLOSE : TORC_AGAIN;
}

struct client {
	pthread_t thread;
	unsigned think_ms;
	bool well;		/* answered each time, and told of the end */
};

/* Ask again and again, until the server says that it closes. */
static void *
run_client(void *arg)
{
	struct client *client = arg;
	int fd = client_open(server.port);
	char reply[sizeof(LAST)];

	for (;;) {
		if (write(fd, ASKED, sizeof(ASKED) - 1) !=
		    sizeof(ASKED) - 1 ||
		    !client_read(fd, reply, sizeof(KEPT) - 1))
			break;
		if (memcmp(reply, KEPT, sizeof(KEPT) - 1) == 0) {
			if (client->think_ms > 0)
				pause_ms(client->think_ms);
			continue;
		}
		client->well = client_read(fd, reply + sizeof(KEPT) - 1,
		    sizeof(LAST) - sizeof(KEPT)) &&
		    memcmp(reply, LAST, sizeof(LAST) - 1) == 0 &&
		    client_sees_fin(fd);
		break;
	}
	close(fd);
	return NULL;
}

static void
stop_under_load(torc_handler *handler)
{
	static const unsigned thinks[] = { 0, 1, 10, 100 };
	/* On a machine that is busy, clients think longer than they mean to. */
	const struct torc_config config = { .lame_duck_ms = 20000 };
	struct client clients[CLIENTS];

	atomic_store(&answers, 0);
	server_start(&server, &config, handler, NULL);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client) { .think_ms = thinks[i % 4] };
		assert_int_equal(pthread_create(&clients[i].thread, NULL,
		    run_client, &clients[i]), 0);
	}
	while (atomic_load(&answers) < 50 * CLIENTS)
		pause_ms(5);
	torc_reactor_drain(server.reactor, torc_after_ms(60000));
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	assert_int_equal(server_drain(&server, 60000), 0);
	for (int i = 0; i < CLIENTS; i++) {
		if (!clients[i].well)
			fail_msg("a client that thinks for %u ms has lost a "
			    "request", clients[i].think_ms);
	}
}

static void
busy_clients_lose_no_request_by_a_stop(void **state)
{
	(void)state;
	stop_under_load(serve);
}

static void
nor_do_those_of_connections_without_a_fiber(void **state)
{
	(void)state;
	stop_under_load(serve_and_sleep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(busy_clients_lose_no_request_by_a_stop),
		cmocka_unit_test(nor_do_those_of_connections_without_a_fiber),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
