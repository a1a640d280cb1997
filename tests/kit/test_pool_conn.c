/* SPDX-License-Identifier: MIT */
/*
 * test_pool_conn.c - pools of plain connections.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/kit/torc_client.h"
#include "tests/on_fiber.h"

/* A reactor of its own listens, too. */
static int
listen_somewhere(char *address, size_t size)
{
	struct torc_reactor *self = torc_reactor_self();
	const int listener = torc_listen(self, "127.0.0.1:0", echo_handler,
	    NULL);

	snprintf(address, size, "localhost:%u", listener < 0 ? 0 :
	    torc_listen_port(self, listener));
	return listener;
}

static int
exchange(struct torc_conn *conn, const char *text)
{
	const size_t size = strlen(text);
	struct torc_slice in;

	EXPECT(torc_conn_write(conn, text, size, LATE) == 0);
	do
		EXPECT(torc_conn_recv(conn, &in, LATE) > 0);
	while (in.size < size);
	EXPECT(in.size == size && memcmp(in.data, text, size) == 0);
	torc_conn_consume(conn, size);
	return 0;
}

static int
rent(void *arg)
{
	char address[32];
	const int listener = listen_somewhere(address, sizeof(address));
	struct torc_pool *pool;
	void *first, *second, *again;
	struct torc_error error;

	(void)arg;
	EXPECT(listener >= 0);
	EXPECT(torc_pool_create(&pool, torc_conn_pool_kind(), address, NULL,
	    &error) == 0);
	EXPECT(torc_pool_acquire(pool, &first, LATE) == 0);
	EXPECT(torc_pool_acquire(pool, &second, LATE) == 0);
	EXPECT(first != second);
	EXPECT(exchange(first, "one") == 0 && exchange(second, "two") == 0);
	torc_pool_release(pool, second, false);
	torc_pool_release(pool, first, true);
	EXPECT(torc_pool_acquire(pool, &again, LATE) == 0);
	EXPECT(again == first && exchange(again, "three") == 0);
	/* Something that nobody asked for: it is not rented again. */
	EXPECT(torc_conn_write(again, "more", 4, LATE) == 0);
	torc_conn_push(again);
	torc_pool_release(pool, again, true);
	EXPECT(torc_sleep(torc_after_ms(100)) == 0);
	EXPECT(torc_pool_acquire(pool, &again, LATE) == 0);
	EXPECT(exchange(again, "four") == 0);
	torc_pool_release(pool, again, true);
	EXPECT(torc_pool_destroy(pool, LATE) == 0);
	return 0;
}

static void
a_connection_is_rented_again_while_it_is_in_order(void **state)
{
	(void)state;
	on_fiber(rent, NULL);
}

static int
find_nobody(void *arg)
{
	char address[32];
	const int listener = listen_somewhere(address, sizeof(address));
	struct torc_pool *pool;
	void *conn;

	(void)arg;
	EXPECT(listener >= 0);
	EXPECT(torc_listener_close(torc_reactor_self(), listener, LATE) == 0);
	EXPECT(torc_pool_create(&pool, torc_conn_pool_kind(), address, NULL,
	    NULL) == 0);
	EXPECT(torc_pool_acquire(pool, &conn, LATE) == -ECONNREFUSED);
	EXPECT(torc_pool_destroy(pool, LATE) == 0);
	return 0;
}

static void
an_address_at_which_nobody_listens_is_refused(void **state)
{
	(void)state;
	on_fiber(find_nobody, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_connection_is_rented_again_while_it_is_in_order),
		cmocka_unit_test(
		    an_address_at_which_nobody_listens_is_refused),
	};

	return cmocka_run_group_tests_name("pool_conn", tests, NULL, NULL);
}
