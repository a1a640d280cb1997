/* SPDX-License-Identifier: MIT */
/*
 * test_choose.c - one of several things that a fiber waits for happens, and
 * all others are as if nobody had asked.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/on_fiber.h"

#include "conn/room.h"
#include "reactor/fiber.h"

/* ---- Channels ---- */

struct pair {
	struct torc_channel *left;
	struct torc_channel *right;
};

static int
make(struct pair *pair, unsigned capacity)
{
	EXPECT(torc_channel_create(&pair->left, sizeof(int), capacity) == 0);
	EXPECT(torc_channel_create(&pair->right, sizeof(int), capacity) == 0);
	return 0;
}

static void
drop(struct pair *pair)
{
	torc_channel_destroy(pair->left);
	torc_channel_destroy(pair->right);
}

static int
choose_at_once(void *arg)
{
	struct pair pair;
	int left = 1, right = 2, from_left = 0, from_right = 0;
	struct torc_choice choices[2];

	(void)arg;
	EXPECT(make(&pair, 1) == 0);
	choices[0] = torc_choice_recv(pair.left, &from_left);
	choices[1] = torc_choice_recv(pair.right, &from_right);
	EXPECT(torc_choose(choices, 2, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(torc_channel_try_send(pair.right, &right) == 0);
	EXPECT(torc_choose(choices, 2, TORC_AT_ONCE) == 1);
	EXPECT(choices[1].result == 1 && from_right == 2);
	/* Both could: the first one does, and the other one stays. */
	EXPECT(torc_channel_try_send(pair.right, &right) == 0);
	EXPECT(torc_channel_try_send(pair.left, &left) == 0);
	EXPECT(torc_choose(choices, 2, LATE) == 0);
	EXPECT(choices[0].result == 1 && from_left == 1);
	EXPECT(torc_channel_count(pair.right) == 1);
	choices[0] = torc_choice_send(pair.right, &left);
	EXPECT(torc_choose(choices, 1, SOON) == -ETIMEDOUT);
	torc_channel_shutdown(pair.right);
	EXPECT(torc_choose(choices, 2, LATE) == 0);
	EXPECT(choices[0].result == -EPIPE);
	EXPECT(torc_choose(choices + 1, 1, LATE) == 0);
	EXPECT(choices[1].result == 1);
	EXPECT(torc_choose(choices + 1, 1, LATE) == 0);
	EXPECT(choices[1].result == 0);
	drop(&pair);
	return 0;
}

static void
of_several_that_could_happen_the_first_does_and_no_other(void **state)
{
	(void)state;
	on_fiber(choose_at_once, NULL);
}

struct chooser {
	struct pair pair;
	int from_left;
	int from_right;
	int chosen;
	int result;
	torc_deadline deadline;
};

static int
choose_one(void *arg)
{
	struct chooser *chooser = arg;
	struct torc_choice choices[] = {
		torc_choice_recv(chooser->pair.left, &chooser->from_left),
		torc_choice_recv(chooser->pair.right, &chooser->from_right),
	};

	chooser->chosen = torc_choose(choices, 2, chooser->deadline);
	if (chooser->chosen >= 0)
		chooser->result = choices[chooser->chosen].result;
	return 0;
}

static int
begin(uint64_t *id, struct chooser *chooser, const struct pair *pair)
{
	*chooser = (struct chooser) { .pair = *pair, .chosen = 1000,
	    .deadline = TORC_NEVER };
	EXPECT(torc_fiber_spawn(id, choose_one, chooser) == 0);
	EXPECT(torc_yield() == 0);
	return 0;
}

/* Two wait at both channels: who has something waits for nothing more. */
static int
serve_two(void *arg)
{
	struct chooser first, second;
	struct pair pair;
	uint64_t ids[2];
	int item = 1;

	(void)arg;
	EXPECT(make(&pair, 0) == 0);
	EXPECT(begin(&ids[0], &first, &pair) == 0);
	EXPECT(begin(&ids[1], &second, &pair) == 0);
	EXPECT(torc_channel_try_send(pair.left, &item) == 0);
	item = 2;
	EXPECT(torc_channel_try_send(pair.right, &item) == 0);
	EXPECT(torc_channel_try_send(pair.right, &item) == -EAGAIN);
	EXPECT(torc_channel_try_send(pair.left, &item) == -EAGAIN);
	drop(&pair);
	for (int i = 0; i < 2; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	EXPECT(first.chosen == 0 && first.result == 1 && first.from_left == 1);
	EXPECT(second.chosen == 1 && second.from_right == 2);
	EXPECT(first.from_right == 0 && second.from_left == 0);
	return 0;
}

static void
who_was_handed_one_thing_is_handed_no_other(void **state)
{
	(void)state;
	on_fiber(serve_two, NULL);
}

static int
choose_late(void *arg)
{
	struct chooser chooser;
	struct pair pair;
	uint64_t id;
	int item = 3;

	(void)arg;
	EXPECT(make(&pair, 0) == 0);
	EXPECT(begin(&id, &chooser, &pair) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_channel_try_send(pair.right, &item) == 0);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(chooser.chosen == 1 && chooser.from_right == 3);
	EXPECT(begin(&id, &chooser, &pair) == 0);
	EXPECT(torc_fiber_reap(id, NULL, TORC_NEVER) == 0);
	EXPECT(chooser.chosen == -ECANCELED);
	EXPECT(torc_channel_try_send(pair.left, &item) == -EAGAIN);
	drop(&pair);
	return 0;
}

static void
what_happens_in_the_moment_of_a_cancel_has_happened(void **state)
{
	(void)state;
	on_fiber(choose_late, NULL);
}

/* Two channels between two that choose: one sends, the other receives. */
static int
exchange(void *arg)
{
	const struct pair *pair = arg;
	int given = 1, taken = 0, sent = 0, received = 0;

	while (sent < 100 || received < 100) {
		struct torc_choice choices[] = {
			torc_choice_send(pair->left, &given),
			torc_choice_recv(pair->right, &taken),
		};
		const unsigned skip = sent == 100;
		const unsigned count = 2 - skip - (received == 100);
		int chosen = torc_choose(choices + skip, count, LATE);

		EXPECT(chosen >= 0);
		if (chosen + (int)skip == 0)
			sent++;
		else
			received++;
	}
	return 0;
}

static int
exchange_items(void *arg)
{
	struct pair pair, back;
	uint64_t ids[2];
	int line;

	(void)arg;
	EXPECT(make(&pair, 0) == 0);
	back = (struct pair) { pair.right, pair.left };
	EXPECT(torc_fiber_spawn(&ids[0], exchange, &pair) == 0);
	EXPECT(torc_fiber_spawn(&ids[1], exchange, &back) == 0);
	for (int i = 0; i < 2; i++) {
		EXPECT(torc_fiber_join(ids[i], &line, LATE) == 0);
		EXPECT(line == 0);
	}
	drop(&pair);
	return 0;
}

static void
two_that_choose_hand_things_to_each_other(void **state)
{
	(void)state;
	on_fiber(exchange_items, NULL);
}

/* ---- Waiters, times, descriptors ---- */

struct waiting {
	struct torc_waiters waiters;
	int fds[2];
	int chosen;
	int result;
};

static int
wait_for_any(void *arg)
{
	struct waiting *waiting = arg;
	struct torc_choice choices[] = {
		torc_choice_wait(&waiting->waiters),
		torc_choice_wait(&waiting->waiters),
		torc_choice_poll(waiting->fds[0], POLLIN),
		torc_choice_drain(),
	};

	waiting->chosen = torc_choose(choices, 4, TORC_NEVER);
	if (waiting->chosen >= 0)
		waiting->result = choices[waiting->chosen].result;
	return 0;
}

static int
begin_waiting(uint64_t *id, struct waiting *waiting)
{
	waiting->chosen = 1000;
	EXPECT(torc_fiber_spawn(id, wait_for_any, waiting) == 0);
	EXPECT(torc_sleep(torc_after_ms(2)) == 0);
	return 0;
}

static int
wake_one_way(void *arg)
{
	struct waiting waiting = { .result = 0 };
	uint64_t id;

	(void)arg;
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, waiting.fds) == 0);
	EXPECT(begin_waiting(&id, &waiting) == 0);
	EXPECT(torc_wake(&waiting.waiters, 8));
	EXPECT(!torc_wake(&waiting.waiters, 9));
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(waiting.chosen == 0 && waiting.result == 8);
	/* One fiber, though it waits twice. */
	EXPECT(begin_waiting(&id, &waiting) == 0);
	EXPECT(torc_wake_all(&waiting.waiters, 7) == 1);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(waiting.chosen == 0 && waiting.result == 7);
	EXPECT(begin_waiting(&id, &waiting) == 0);
	EXPECT(write(waiting.fds[1], "x", 1) == 1);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(waiting.chosen == 2 && waiting.result == POLLIN);
	EXPECT(!torc_wake(&waiting.waiters, 9));
	/* The kernel has nothing of it any more. */
	EXPECT(torc_reactor_self()->ops.count == 0);
	close(waiting.fds[0]);
	close(waiting.fds[1]);
	return 0;
}

static void
a_waker_or_a_descriptor_ends_the_wait_and_leaves_nothing(void **state)
{
	(void)state;
	on_fiber(wake_one_way, NULL);
}

/* An item goes over, and before the fiber runs there is more: both ways. */
struct both {
	struct torc_post post;
	struct torc_channel *channel;
	int fds[2];
	int item;
	int sent;		/* of the item */
	int chosen;
};

static int
choose_either(void *arg)
{
	struct both *both = arg;
	struct torc_choice choices[] = {
		torc_choice_poll(both->fds[0], POLLIN),
		torc_choice_recv(both->channel, &both->item),
	};

	both->chosen = torc_choose(choices, 2, TORC_NEVER);
	return 0;
}

static void
send_late(struct torc_reactor *reactor, struct torc_post *post)
{
	struct both *both = (struct both *)post;
	const int item = 9;

	(void)reactor;
	both->sent = torc_channel_try_send(both->channel, &item);
}

static int
happen_both(void *arg)
{
	struct both both = { .post.call = send_late, .sent = 1000 };
	uint64_t id;

	(void)arg;
	EXPECT(torc_channel_create(&both.channel, sizeof(int), 0) == 0);
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, both.fds) == 0);
	EXPECT(torc_fiber_spawn(&id, choose_either, &both) == 0);
	EXPECT(torc_sleep(torc_after_ms(2)) == 0);
	EXPECT(torc_reactor_post(torc_reactor_self(), &both.post) == 0);
	EXPECT(write(both.fds[1], "x", 1) == 1);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	while (both.sent == 1000)
		EXPECT(torc_yield() == 0);
	EXPECT(both.sent == 0 ? both.chosen == 1 && both.item == 9 :
	    both.chosen == 0 && both.item == 0);
	torc_channel_destroy(both.channel);
	close(both.fds[0]);
	close(both.fds[1]);
	return 0;
}

static void
what_was_handed_over_is_what_was_chosen(void **state)
{
	(void)state;
	on_fiber(happen_both, NULL);
}

static int
choose_times(void *arg)
{
	struct torc_waiters waiters = { NULL, NULL };
	const torc_deadline until = torc_after_ms(5);
	struct torc_choice choices[] = {
		torc_choice_sleep(LATE),
		torc_choice_wait(&waiters),
		torc_choice_sleep(until),
		torc_choice_poll(-1, POLLIN),
	};

	(void)arg;
	EXPECT(torc_choose(choices, 3, LATE) == 2);
	EXPECT(choices[2].result == 0 && torc_passed(until));
	EXPECT(torc_choose(choices, 2, SOON) == -ETIMEDOUT);
	EXPECT(torc_choose(NULL, 0, SOON) == -ETIMEDOUT);
	EXPECT(torc_choose(choices, 3, LATE) == 2);	/* at once */
	EXPECT(waiters.first == NULL);
	EXPECT(torc_choose(choices + 3, 1, LATE) == 0);
	EXPECT(choices[3].result == -EBADF);
	return 0;
}

/* What happens just when the deadline passes has happened. */
static int
choose_at_the_deadline(void *arg)
{
	struct torc_waiters waiters = { NULL, NULL };
	const torc_deadline soon = SOON;
	struct torc_choice choices[] = {
		torc_choice_wait(&waiters),
		torc_choice_sleep(soon),
		torc_choice_sleep(soon),
	};

	(void)arg;
	EXPECT(torc_choose(choices, 3, soon) == 1);
	EXPECT(choices[1].result == 0 && torc_passed(soon));
	EXPECT(torc_choose(choices, 1, soon) == -ETIMEDOUT);
	return 0;
}

static void
a_time_that_is_the_deadline_is_chosen(void **state)
{
	(void)state;
	on_fiber(choose_at_the_deadline, NULL);
}

static void
a_time_of_its_own_is_one_of_the_choices(void **state)
{
	(void)state;
	on_fiber(choose_times, NULL);
}

static struct waiting at_the_end;

static void
begin_at_the_end(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_fiber_spawn(NULL, wait_for_any, arg);
}

static void
a_drain_is_one_of_the_choices(void **state)
{
	struct server server;

	(void)state;
	at_the_end = (struct waiting) { .chosen = 1000 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, at_the_end.fds),
	    0);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, begin_at_the_end, &at_the_end);
	assert_int_equal(server_drain(&server, 10000), 0);
	assert_int_equal(at_the_end.chosen, 3);
	assert_int_equal(at_the_end.result, 0);
	close(at_the_end.fds[0]);
	close(at_the_end.fds[1]);
}

static int
choose_cancelled(void *arg)
{
	struct torc_choice choice = torc_choice_sleep(TORC_AT_ONCE);

	(void)arg;
	EXPECT(torc_fiber_cancel(torc_fiber_self()) == 0);
	EXPECT(torc_choose(&choice, 1, LATE) == -ECANCELED);
	return 0;
}

static int
be_cancelled(void *arg)
{
	uint64_t id;
	int line;

	(void)arg;
	EXPECT(torc_fiber_spawn(&id, choose_cancelled, NULL) == 0);
	EXPECT(torc_fiber_join(id, &line, LATE) == 0 && line == 0);
	return 0;
}

static void
a_cancelled_fiber_chooses_nothing(void **state)
{
	(void)state;
	on_fiber(be_cancelled, NULL);
}

/* ---- Input of connections ---- */

/* Answers each piece of input, and what comes by the channel of all. */
static struct torc_channel *news;
static _Atomic int last_result;

static int
serve_news(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = { NULL, 0 };
	char item;

	(void)arg;
	for (;;) {
		struct torc_choice choices[] = {
			torc_choice_recv(news, &item),
			torc_choice_input(conn),
		};
		int chosen = torc_choose(choices, 2, LATE);

		if (chosen < 0)
			return -1;
		last_result = choices[chosen].result;
		if (chosen == 0) {
			if (torc_conn_write(conn, &item, 1, LATE) < 0)
				return -1;
			continue;
		}
		if (last_result < 0 ||
		    torc_conn_recv(conn, &in, TORC_AT_ONCE) <= 0)
			return TORC_CLOSE;
		if (torc_conn_write(conn, in.data, in.size, LATE) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
}

static int
make_news(void *arg)
{
	(void)arg;
	return torc_channel_create(&news, 1, 4);
}

static int
tell(void *arg)
{
	return torc_channel_send(news, arg, LATE);
}

static void
start_news(struct server *server, const struct torc_config *config)
{
	server_start(server, config, serve_news, NULL);
	assert_int_equal(server_fiber(server, make_news, NULL), 0);
}

static void
input_and_news_come_to_one_handler_as_they_come(void **state)
{
	struct server server;
	char byte, text[] = "abc";
	int fd;

	(void)state;
	start_news(&server, NULL);
	fd = client_open(server.port);
	for (int i = 0; i < 20; i++) {
		client_echo(fd, "some input");
		assert_int_equal(server_fiber(&server, tell,
		    &text[i % 3]), 0);
		assert_true(client_read(fd, &byte, 1));
		assert_int_equal(byte, text[i % 3]);
	}
	/* Half closed: that is input, too. */
	shutdown(fd, SHUT_WR);
	assert_true(client_sees_fin(fd));
	assert_int_equal(last_result, 0);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	torc_channel_destroy(news);
}

static void
a_drain_ends_a_choice_of_input_as_it_ends_a_receive(void **state)
{
	const struct torc_config config = { .lame_duck_ms = 1 };
	struct server server;
	int fd;

	(void)state;
	start_news(&server, &config);
	fd = client_open(server.port);
	client_echo(fd, "one");
	assert_int_equal(server_drain(&server, 10000), 0);
	assert_true(client_sees_fin(fd));
	assert_int_equal(last_result, -ESHUTDOWN);
	close(fd);
	torc_channel_destroy(news);
}

/* In a drain already, when the wait begins. */
static int
drain_first(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();

	(void)arg;
	torc_reactor_drain(reactor, LATE);
	return 0;
}

static int
begin_late(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, LATE) <= 0)
		return -1;
	torc_conn_consume(conn, in.size);
	if (drain_first(NULL) < 0 || torc_reactor_await_drain(LATE) < 0)
		return -1;
	return serve_news(conn, arg);
}

static void
a_choice_of_input_that_begins_in_a_drain_ends_with_it(void **state)
{
	const struct torc_config config = { .lame_duck_ms = 20 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, &config, begin_late, NULL);
	assert_int_equal(server_fiber(&server, make_news, NULL), 0);
	last_result = 0;
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	assert_true(client_sees_fin(fd));
	assert_int_equal(server_drain(&server, 10000), 0);
	assert_int_equal(last_result, -ESHUTDOWN);
	close(fd);
	torc_channel_destroy(news);
}

static void
who_chooses_input_makes_room_as_one_who_receives(void **state)
{
	const struct torc_config config = { .connections = 2 };
	struct server server;
	int first, others[2];

	(void)state;
	start_news(&server, &config);
	first = client_open(server.port);
	client_echo(first, "one");
	for (int i = 0; i < 2; i++) {
		others[i] = client_open(server.port);
		client_echo(others[i], "two");
	}
	assert_true(client_sees_fin(first));
	close(first);
	close(others[0]);
	close(others[1]);
	assert_int_equal(server_stop(&server), 0);
	torc_channel_destroy(news);
}

/* Asked to leave in the moment in which it has something to do: it stays. */
static void
ask_to_leave(struct torc_reactor *reactor, void *arg)
{
	struct torc_net *net = reactor->layer_state;
	const bool *also_news = arg;
	const char item = 'n';

	assert_true(torc_room_make(net, 0));
	if (*also_news)
		assert_int_equal(torc_channel_try_send(news, &item), 0);
}

static void
who_has_something_to_do_is_not_made_to_leave(void **state)
{
	const struct torc_config config = { .connections = 1 };
	struct server server;
	bool also_news = true;
	char byte;
	int fd;

	(void)state;
	start_news(&server, &config);
	fd = client_open(server.port);
	client_echo(fd, "one");
	server_call(&server, ask_to_leave, &also_news);
	assert_true(client_read(fd, &byte, 1) && byte == 'n');
	client_echo(fd, "still here");
	also_news = false;
	server_call(&server, ask_to_leave, &also_news);
	assert_true(client_sees_fin(fd));
	assert_int_equal(last_result, -ESHUTDOWN);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	torc_channel_destroy(news);
}

/* The rest of a message is chosen with its beginning in view. */
static int
gather(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = { NULL, 0 };
	int rc;

	(void)arg;
	do {
		struct torc_choice choices[] = {
			torc_choice_drain(),
			torc_choice_input(conn),
		};

		if (torc_choose(choices, 2, SOON) == -ETIMEDOUT) {
			/* What was there is there. */
			if (torc_conn_recv(conn, &in, TORC_AT_ONCE) !=
			    -ETIMEDOUT)
				return -1;
			continue;
		}
		rc = torc_conn_recv(conn, &in, TORC_AT_ONCE);
		if (rc <= 0)
			return rc == 0 ? TORC_CLOSE : -1;
	} while (in.size < 10);
	if (torc_conn_write(conn, in.data, in.size, LATE) < 0)
		return -1;
	return TORC_CLOSE;
}

static void
what_is_in_view_stays_in_front_of_what_is_chosen(void **state)
{
	struct server server;
	char text[10];
	int fd;

	(void)state;
	server_start(&server, NULL, gather, NULL);
	fd = client_open(server.port);
	for (int i = 0; i < 5; i++) {
		client_send(fd, &"0123456789"[i * 2], 2);
		pause_ms(i == 2 ? 60 : 3);
	}
	assert_true(client_read(fd, text, 10));
	assert_memory_equal(text, "0123456789", 10);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    of_several_that_could_happen_the_first_does_and_no_other),
		cmocka_unit_test(who_was_handed_one_thing_is_handed_no_other),
		cmocka_unit_test(
		    what_happens_in_the_moment_of_a_cancel_has_happened),
		cmocka_unit_test(two_that_choose_hand_things_to_each_other),
		cmocka_unit_test(
		    a_waker_or_a_descriptor_ends_the_wait_and_leaves_nothing),
		cmocka_unit_test(what_was_handed_over_is_what_was_chosen),
		cmocka_unit_test(a_time_of_its_own_is_one_of_the_choices),
		cmocka_unit_test(a_time_that_is_the_deadline_is_chosen),
		cmocka_unit_test(a_drain_is_one_of_the_choices),
		cmocka_unit_test(a_cancelled_fiber_chooses_nothing),
		cmocka_unit_test(
		    input_and_news_come_to_one_handler_as_they_come),
		cmocka_unit_test(
		    a_drain_ends_a_choice_of_input_as_it_ends_a_receive),
		cmocka_unit_test(
		    a_choice_of_input_that_begins_in_a_drain_ends_with_it),
		cmocka_unit_test(
		    who_chooses_input_makes_room_as_one_who_receives),
		cmocka_unit_test(who_has_something_to_do_is_not_made_to_leave),
		cmocka_unit_test(
		    what_is_in_view_stays_in_front_of_what_is_chosen),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
