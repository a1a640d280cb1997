/* SPDX-License-Identifier: MIT */
/*
 * test_channel.c - items from fiber to fiber: in order, within bounds, each in
 * exactly one hand.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/on_fiber.h"

#define ITEMS 1000
#define ACTORS 5

/* ---- Order and bounds ---- */

struct stage {
	struct torc_channel *channel;
	unsigned count;		/* items that were received */
	unsigned sent;
	uint64_t sum;
	bool disordered;
	unsigned most;		/* queued */
};

struct item {
	unsigned sender;
	unsigned number;
};

struct sender {
	struct stage *stage;
	unsigned index;
};

static int
send_many(void *arg)
{
	const struct sender *sender = arg;
	struct stage *stage = sender->stage;

	for (unsigned i = 0; i < ITEMS; i++) {
		const struct item item = { sender->index, i };

		EXPECT(torc_channel_send(stage->channel, &item, LATE) == 0);
		stage->sent++;
		if (torc_channel_count(stage->channel) > stage->most)
			stage->most = torc_channel_count(stage->channel);
		if (i % 7 == sender->index)
			EXPECT(torc_yield() == 0);
	}
	return 0;
}

static int
receive_many(void *arg)
{
	struct stage *stage = arg;
	int last[ACTORS] = { -1, -1, -1, -1, -1 };
	struct item item;
	int rc;

	while ((rc = torc_channel_recv(stage->channel, &item, LATE)) > 0) {
		/* Of each sender, what one receiver has is in order. */
		if ((int)item.number <= last[item.sender])
			stage->disordered = true;
		last[item.sender] = (int)item.number;
		stage->count++;
		stage->sum += item.number;
		if (item.number % 11 == 0)
			EXPECT(torc_yield() == 0);
	}
	return rc;
}

static int
hand_many(unsigned capacity, unsigned receivers)
{
	struct stage stage = { .count = 0 };
	struct sender senders[ACTORS];
	uint64_t sending[ACTORS], receiving[ACTORS];
	int result;

	EXPECT(torc_channel_create(&stage.channel, sizeof(struct item),
	    capacity) == 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		senders[i] = (struct sender) { &stage, i };
		EXPECT(torc_fiber_spawn(&sending[i], send_many,
		    &senders[i]) == 0);
	}
	for (unsigned i = 0; i < receivers; i++)
		EXPECT(torc_fiber_spawn(&receiving[i], receive_many,
		    &stage) == 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		EXPECT(torc_fiber_join(sending[i], &result, LATE) == 0);
		EXPECT(result == 0);
	}
	torc_channel_shutdown(stage.channel);
	for (unsigned i = 0; i < receivers; i++) {
		EXPECT(torc_fiber_join(receiving[i], &result, LATE) == 0);
		EXPECT(result == 0);
	}
	EXPECT(stage.count == ACTORS * ITEMS && stage.most <= capacity);
	EXPECT(stage.sum == (uint64_t)ACTORS * ITEMS * (ITEMS - 1) / 2);
	EXPECT(!stage.disordered);
	torc_channel_destroy(stage.channel);
	return 0;
}

static int
hand_in_many_ways(void *arg)
{
	static const unsigned capacities[] = { 0, 1, 3, 100000 };

	(void)arg;
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(hand_many(capacities[i], 1) == 0);
		EXPECT(hand_many(capacities[i], ACTORS) == 0);
	}
	return 0;
}

static void
each_item_comes_out_once_and_in_order(void **state)
{
	(void)state;
	on_fiber(hand_in_many_ways, NULL);
}

static int
refuse_sizes(void *arg)
{
	struct torc_channel *channel;

	(void)arg;
	EXPECT(torc_channel_create(&channel, 0, 1) == -EINVAL);
	EXPECT(torc_channel_create(&channel, 65537, 1) == -EINVAL);
	EXPECT(torc_channel_create(&channel, 1, 1048577) == -EINVAL);
	EXPECT(torc_channel_create(&channel, 65536, 0) == 0);
	torc_channel_destroy(channel);
	torc_channel_destroy(NULL);
	return 0;
}

static void
sizes_that_cannot_be_are_refused(void **state)
{
	(void)state;
	on_fiber(refuse_sizes, NULL);
}

/* ---- Full and empty ---- */

struct one {
	struct torc_channel *channel;
	torc_deadline deadline;
	int item;
	int rc;
};

static int
send_one(void *arg)
{
	struct one *one = arg;

	one->rc = torc_channel_send(one->channel, &one->item, one->deadline);
	return 0;
}

static int
receive_one(void *arg)
{
	struct one *one = arg;

	one->rc = torc_channel_recv(one->channel, &one->item, one->deadline);
	return 0;
}

/* Let a fiber begin, and wait. */
static int
begin(uint64_t *id, torc_fiber_entry *entry, struct one *one,
    struct torc_channel *channel, int item)
{
	*one = (struct one) { channel, TORC_NEVER, item, 1000 };
	EXPECT(torc_fiber_spawn(id, entry, one) == 0);
	EXPECT(torc_yield() == 0);
	return 0;
}

static int
fill(void *arg)
{
	struct torc_channel *channel;
	struct one first, second;
	uint64_t ids[2];
	int item = 1;

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 2) == 0);
	EXPECT(torc_channel_try_recv(channel, &item) == -EAGAIN);
	EXPECT(torc_channel_recv(channel, &item, SOON) == -ETIMEDOUT);
	for (item = 1; item <= 2; item++)
		EXPECT(torc_channel_try_send(channel, &item) == 0);
	EXPECT(torc_channel_try_send(channel, &item) == -EAGAIN);
	EXPECT(torc_channel_send(channel, &item, SOON) == -ETIMEDOUT);
	EXPECT(begin(&ids[0], send_one, &first, channel, 3) == 0);
	EXPECT(begin(&ids[1], send_one, &second, channel, 4) == 0);
	EXPECT(first.rc == 1000 && second.rc == 1000);
	/* A place that is free belongs to the one that waits longest. */
	EXPECT(torc_channel_recv(channel, &item, LATE) == 1 && item == 1);
	EXPECT(torc_channel_try_send(channel, &item) == -EAGAIN);
	EXPECT(torc_yield() == 0 && first.rc == 0 && second.rc == 1000);
	for (int i = 2; i <= 4; i++)
		EXPECT(torc_channel_recv(channel, &item, TORC_AT_ONCE) == 1 &&
		    item == i);
	EXPECT(torc_channel_recv(channel, &item, TORC_AT_ONCE) == -ETIMEDOUT);
	for (int i = 0; i < 2; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	EXPECT(second.rc == 0);
	torc_channel_destroy(channel);
	return 0;
}

static void
a_full_channel_takes_no_more_and_senders_wait_in_order(void **state)
{
	(void)state;
	on_fiber(fill, NULL);
}

/* ---- Moments ---- */

/* The item goes over, and then the fiber is cancelled before it runs. */
static int
cancel_late(void *arg)
{
	struct torc_channel *channel;
	struct one one;
	uint64_t id;
	int item = 7;

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 0) == 0);
	EXPECT(begin(&id, receive_one, &one, channel, 0) == 0);
	EXPECT(torc_channel_try_send(channel, &item) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(one.rc == 1 && one.item == 7);
	/* First the cancel: who is about to hear of it still has the item. */
	EXPECT(begin(&id, receive_one, &one, channel, 0) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_channel_try_send(channel, &item) == 0);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(one.rc == 1 && one.item == 7);
	EXPECT(begin(&id, send_one, &one, channel, 8) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_channel_try_recv(channel, &item) == 1 && item == 8);
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(one.rc == 0);
	torc_channel_destroy(channel);
	return 0;
}

static void
what_goes_over_in_the_moment_of_a_cancel_has_gone_over(void **state)
{
	(void)state;
	on_fiber(cancel_late, NULL);
}

static int
give_up(void *arg)
{
	struct torc_channel *channel;
	struct one one;
	uint64_t id;
	int item = 5;

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 0) == 0);
	EXPECT(begin(&id, send_one, &one, channel, 1) == 0);
	EXPECT(torc_fiber_reap(id, NULL, TORC_NEVER) == 0 &&
	    one.rc == -ECANCELED);
	EXPECT(torc_channel_try_recv(channel, &item) == -EAGAIN);
	EXPECT(begin(&id, receive_one, &one, channel, 1) == 0);
	EXPECT(torc_fiber_reap(id, NULL, TORC_NEVER) == 0 &&
	    one.rc == -ECANCELED);
	EXPECT(torc_channel_try_send(channel, &item) == -EAGAIN);
	torc_channel_destroy(channel);
	return 0;
}

static void
who_has_given_up_neither_gives_nor_takes(void **state)
{
	(void)state;
	on_fiber(give_up, NULL);
}

/* It cancels itself, and what is queued stays there. */
static int
take_cancelled(void *arg)
{
	struct one *one = arg;
	int item = 2;

	EXPECT(torc_fiber_cancel(torc_fiber_self()) == 0);
	EXPECT(torc_channel_recv(one->channel, &item, LATE) == -ECANCELED);
	EXPECT(torc_channel_send(one->channel, &item, LATE) == -ECANCELED);
	EXPECT(torc_channel_count(one->channel) == 1);
	EXPECT(torc_channel_try_recv(one->channel, &one->item) == 1);
	return 0;
}

static int
take_after_a_cancel(void *arg)
{
	struct one one = { .item = 0 };
	int item = 1, result = 0;
	uint64_t id;

	(void)arg;
	EXPECT(torc_channel_create(&one.channel, sizeof(int), 3) == 0);
	EXPECT(torc_channel_try_send(one.channel, &item) == 0);
	EXPECT(torc_fiber_spawn(&id, take_cancelled, &one) == 0);
	EXPECT(torc_fiber_join(id, &result, LATE) == 0);
	EXPECT(result == 0 && one.item == 1);
	torc_channel_destroy(one.channel);
	return 0;
}

static void
a_cancelled_fiber_takes_what_is_left_only_without_waiting(void **state)
{
	(void)state;
	on_fiber(take_after_a_cancel, NULL);
}

/* ---- The end ---- */

static int
shut_down(void *arg)
{
	struct torc_channel *channel;
	struct one ones[3];
	uint64_t ids[3];
	int item = 1;

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 2) == 0);
	for (; item <= 2; item++)
		EXPECT(torc_channel_try_send(channel, &item) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(begin(&ids[i], send_one, &ones[i], channel, 9) == 0);
	torc_channel_shutdown(channel);
	torc_channel_shutdown(channel);
	for (int i = 0; i < 3; i++) {
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
		EXPECT(ones[i].rc == -EPIPE);
	}
	EXPECT(torc_channel_send(channel, &item, LATE) == -EPIPE);
	EXPECT(torc_channel_try_send(channel, &item) == -EPIPE);
	for (int i = 1; i <= 2; i++)
		EXPECT(torc_channel_recv(channel, &item, LATE) == 1 &&
		    item == i);
	EXPECT(torc_channel_recv(channel, &item, LATE) == 0);
	EXPECT(torc_channel_try_recv(channel, &item) == 0);
	torc_channel_destroy(channel);
	return 0;
}

static void
what_is_queued_comes_before_the_end_and_senders_keep_the_rest(void **state)
{
	(void)state;
	on_fiber(shut_down, NULL);
}

static int
end_receivers(void *arg)
{
	struct torc_channel *channel;
	struct one ones[3];
	uint64_t ids[3];

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 2) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(begin(&ids[i], receive_one, &ones[i], channel, 9) == 0);
	torc_channel_shutdown(channel);
	/* Nobody waits at it any more, though none of them has run. */
	torc_channel_destroy(channel);
	for (int i = 0; i < 3; i++) {
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
		EXPECT(ones[i].rc == 0 && ones[i].item == 9);
	}
	return 0;
}

static void
the_end_is_told_to_all_who_wait(void **state)
{
	(void)state;
	on_fiber(end_receivers, NULL);
}

/* ---- From other threads ---- */

struct letter {
	struct torc_post post;
	struct torc_channel *channel;
	int number;
	int rc;
};

static void
drop_in(struct torc_reactor *reactor, struct torc_post *post)
{
	struct letter *letter = (struct letter *)post;

	(void)reactor;
	letter->rc = torc_channel_try_send(letter->channel, &letter->number);
}

static struct letter letters[8];

static void *
write_letters(void *arg)
{
	for (int i = 0; i < 8; i++) {
		letters[i].post.call = drop_in;
		letters[i].number = i;
		if (torc_reactor_post(arg, &letters[i].post) < 0)
			return &letters[i];
	}
	return NULL;
}

static int
receive_letters(void *arg)
{
	struct torc_channel *channel;
	pthread_t thread;
	void *failed;
	int number;

	(void)arg;
	EXPECT(torc_channel_create(&channel, sizeof(int), 8) == 0);
	for (int i = 0; i < 8; i++)
		letters[i] = (struct letter) { .channel = channel };
	EXPECT(pthread_create(&thread, NULL, write_letters,
	    torc_reactor_self()) == 0);
	for (int i = 0; i < 8; i++)
		EXPECT(torc_channel_recv(channel, &number, LATE) == 1 &&
		    number == i);
	EXPECT(pthread_join(thread, &failed) == 0 && failed == NULL);
	for (int i = 0; i < 8; i++)
		EXPECT(letters[i].rc == 0);
	torc_channel_destroy(channel);
	return 0;
}

static void
other_threads_send_by_posts(void **state)
{
	(void)state;
	on_fiber(receive_letters, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_item_comes_out_once_and_in_order),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
		cmocka_unit_test(
		    a_full_channel_takes_no_more_and_senders_wait_in_order),
		cmocka_unit_test(
		    what_goes_over_in_the_moment_of_a_cancel_has_gone_over),
		cmocka_unit_test(who_has_given_up_neither_gives_nor_takes),
		cmocka_unit_test(
		    a_cancelled_fiber_takes_what_is_left_only_without_waiting),
		cmocka_unit_test(
		    what_is_queued_comes_before_the_end_and_senders_keep_the_rest),
		cmocka_unit_test(the_end_is_told_to_all_who_wait),
		cmocka_unit_test(other_threads_send_by_posts),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
