/* SPDX-License-Identifier: MIT */
/*
 * channel.c - bounded queues between the fibers of a reactor.
 *
 * Whoever comes first waits with a place for its item, and whoever comes
 * second copies it there or from there: so an item is always in exactly one
 * hand. Receivers wait only while nothing is queued, senders only while
 * nothing more can be. Fibers are woken to run later, so that none of them
 * does anything to the channel within a call of another one.
 */
#include <errno.h>
#include <string.h>

#include "reactor/choose.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"
#include "sys/sys.h"

#define ITEM_MAX 65536u
#define CAPACITY_MAX 1048576u

struct torc_channel {
	struct torc_reactor *reactor;
	struct torc_waiters senders;
	struct torc_waiters receivers;
	size_t item_size;
	unsigned capacity;
	unsigned first;		/* of the items that are queued */
	unsigned count;
	bool shut;
	uint8_t items[];
};

/* ---- Items ---- */

static void *
place(struct torc_channel *channel, unsigned index)
{
	unsigned at = channel->first + index;

	torc_debug_assert(index <= channel->count && channel->capacity > 0);
	if (at >= channel->capacity)
		at -= channel->capacity;
	return channel->items + at * channel->item_size;
}

static void
queue(struct torc_channel *channel, const void *item)
{
	torc_debug_assert(channel->first < channel->capacity);
	torc_assert(channel->count < channel->capacity);
	memcpy(place(channel, channel->count), item, channel->item_size);
	channel->count++;
}

static void
unqueue(struct torc_channel *channel, void *item)
{
	torc_debug_assert(channel->first < channel->capacity);
	torc_assert(channel->count > 0);
	memcpy(item, place(channel, 0), channel->item_size);
	channel->count--;
	if (++channel->first == channel->capacity)
		channel->first = 0;
}

static void
wake(struct torc_waiter *waiter, int result)
{
	torc_debug_assert(waiter->fiber != NULL);
	torc_waiter_settle(waiter, result);
	torc_fiber_wake_later(waiter->fiber, 0);
}

/* 0, -EPIPE, or -EAGAIN: it is full. */
static int
send_now(struct torc_channel *channel, const void *item)
{
	struct torc_waiter *receiver = channel->receivers.first;

	torc_debug_assert(channel->count <= channel->capacity);
	if (channel->shut)
		return -EPIPE;
	if (receiver != NULL) {
		torc_assert(channel->count == 0);
		memcpy(receiver->item, item, channel->item_size);
		wake(receiver, 1);
		return 0;
	}
	if (channel->count == channel->capacity)
		return -EAGAIN;
	torc_assert(channel->senders.first == NULL);
	queue(channel, item);
	return 0;
}

/* 1, 0: the end, or -EAGAIN: it is empty. */
static int
recv_now(struct torc_channel *channel, void *item)
{
	struct torc_waiter *sender = channel->senders.first;

	torc_debug_assert(channel->count <= channel->capacity);
	torc_debug_assert(channel->count == 0 ||
	    channel->receivers.first == NULL);
	if (channel->count > 0) {
		unqueue(channel, item);
		/* The one that waits longest has the place. */
		if (sender != NULL) {
			queue(channel, sender->item);
			wake(sender, 0);
		}
		return 1;
	}
	if (sender != NULL) {
		torc_assert(channel->capacity == 0);
		memcpy(item, sender->item, channel->item_size);
		wake(sender, 0);
		return 1;
	}
	return channel->shut ? 0 : -EAGAIN;
}

/* ---- For programs ---- */

int
torc_channel_create(struct torc_channel **channel, size_t item_size,
    unsigned capacity)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_channel_create was called outside a reactor's thread");
	struct torc_channel *made;

	torc_require(channel != NULL,
	    "torc_channel_create needs a place for the channel");
	if (item_size - 1 >= ITEM_MAX || capacity > CAPACITY_MAX)
		return -EINVAL;
	made = torc_sys_alloc(sizeof(*made) + item_size * capacity);
	if (made == NULL)
		return -ENOMEM;
	made->reactor = reactor;
	made->item_size = item_size;
	made->capacity = capacity;
	*channel = made;
	return 0;
}

void
torc_channel_destroy(struct torc_channel *channel)
{
	if (channel == NULL)
		return;
	torc_require(channel->senders.first == NULL &&
	    channel->receivers.first == NULL,
	    "a channel is destroyed while a fiber waits for it");
	torc_sys_free(channel);
}

static void
check(const struct torc_channel *channel, const void *item)
{
	torc_debug_assert(channel == NULL ||
	    channel->first <= channel->capacity);
	torc_require(channel != NULL,
	    "a call needs a channel, but was given NULL");
	torc_require(item != NULL, "a call needs an item, or a place for one");
	torc_reactor_check(channel->reactor);
}

int
torc_channel_try_send(struct torc_channel *channel, const void *item)
{
	check(channel, item);
	return send_now(channel, item);
}

int
torc_channel_try_recv(struct torc_channel *channel, void *item)
{
	check(channel, item);
	return recv_now(channel, item);
}

int
torc_channel_send(struct torc_channel *channel, const void *item,
    torc_deadline deadline)
{
	int rc;

	check(channel, item);
	if (torc_reactor_of_fiber()->current->cancelled)
		return -ECANCELED;
	rc = send_now(channel, item);
	return rc != -EAGAIN ? rc : torc_waiter_park(&channel->senders,
	    (void *)(uintptr_t)item, deadline);
}

int
torc_channel_recv(struct torc_channel *channel, void *item,
    torc_deadline deadline)
{
	int rc;

	check(channel, item);
	if (torc_reactor_of_fiber()->current->cancelled)
		return -ECANCELED;
	rc = recv_now(channel, item);
	return rc != -EAGAIN ? rc : torc_waiter_park(&channel->receivers, item,
	    deadline);
}

void
torc_channel_shutdown(struct torc_channel *channel)
{
	torc_debug_assert(channel == NULL ||
	    channel->count <= channel->capacity);
	check(channel, channel);
	channel->shut = true;
	/* If one waits, nothing is queued: it is the end. */
	while (channel->receivers.first != NULL)
		wake(channel->receivers.first, 0);
	while (channel->senders.first != NULL)
		wake(channel->senders.first, -EPIPE);
}

unsigned
torc_channel_count(const struct torc_channel *channel)
{
	check(channel, channel);
	return channel->count;
}

/* ---- Beside other things ---- */

static bool
look_for_item(struct torc_choice *choice)
{
	torc_debug_assert(choice->object != NULL && choice->item != NULL);
	choice->result = recv_now(choice->object, choice->item);
	return choice->result != -EAGAIN;
}

static bool
begin_recv(struct torc_choice *choice, struct torc_chooser *chooser)
{
	struct torc_channel *channel = choice->object;

	torc_debug_assert(choice->object != NULL);
	return torc_choice_enter(choice, chooser, &channel->receivers);
}

static const struct torc_choice_kind of_recv = {
	.look = look_for_item,
	.begin = begin_recv,
	.end = torc_choice_leave,
};

struct torc_choice
torc_choice_recv(struct torc_channel *channel, void *item)
{
	check(channel, item);
	return (struct torc_choice) {
		.kind = &of_recv,
		.object = channel,
		.item = item,
	};
}

static bool
look_for_place(struct torc_choice *choice)
{
	torc_debug_assert(choice->object != NULL && choice->item != NULL);
	choice->result = send_now(choice->object, choice->item);
	return choice->result != -EAGAIN;
}

static bool
begin_send(struct torc_choice *choice, struct torc_chooser *chooser)
{
	struct torc_channel *channel = choice->object;

	torc_debug_assert(choice->object != NULL);
	return torc_choice_enter(choice, chooser, &channel->senders);
}

static const struct torc_choice_kind of_send = {
	.look = look_for_place,
	.begin = begin_send,
	.end = torc_choice_leave,
};

struct torc_choice
torc_choice_send(struct torc_channel *channel, const void *item)
{
	check(channel, item);
	return (struct torc_choice) {
		.kind = &of_send,
		.object = channel,
		.item = (void *)(uintptr_t)item,
	};
}
