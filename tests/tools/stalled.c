/* SPDX-License-Identifier: MIT */
/*
 * stalled.c - a server with a fiber in each kind of wait, for a debugger to
 * look at. Of its clients, one that says "load" is sent more than it reads, and
 * one that says "block" makes the handler do what no handler may: it blocks
 * its thread.
 *
 * stalled ADDRESS
 */
#include <torc_client.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct torc_channel *full, *empty;
static struct torc_waiters waiters;
static struct torc_pool *pool;
static uint64_t sleeper;
static uint8_t load[8 << 20];

static int
sleeps(void *arg)
{
	(void)arg;
	return torc_sleep(torc_after_ms(3600000));
}

static int
waits_for_an_item(void *arg)
{
	int item;

	(void)arg;
	return torc_channel_recv(empty, &item, TORC_NEVER);
}

static int
waits_for_room(void *arg)
{
	int item = 2;

	(void)arg;
	return torc_channel_send(full, &item, TORC_NEVER);
}

static int
waits_for_any(void *arg)
{
	int item = 3;
	struct torc_choice choices[] = {
		torc_choice_send(full, &item),
		torc_choice_sleep(torc_after_ms(7200000)),
		torc_choice_drain(),
	};

	(void)arg;
	return torc_choose(choices, 3, TORC_NEVER);
}

static int
waits_for_a_descriptor(void *arg)
{
	int ends[2];

	(void)arg;
	if (pipe(ends) < 0)
		return -errno;
	return torc_fd_poll(ends[0], POLLIN, TORC_NEVER);
}

static int
waits_to_be_woken(void *arg)
{
	(void)arg;
	return torc_wait(&waiters, TORC_NEVER);
}

static int
waits_for_a_fiber(void *arg)
{
	int result;

	(void)arg;
	return torc_fiber_join(sleeper, &result, TORC_NEVER);
}

static int
waits_for_its_group(void *arg)
{
	struct torc_group group;

	(void)arg;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	if (torc_group_spawn(&group, sleeps, NULL, TORC_NEVER) < 0)
		return -1;
	return torc_group_end(&group, NULL, TORC_NEVER);
}

static int
block_a_thread(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static int
waits_for_a_thread(void *arg)
{
	return torc_offload(block_a_thread, arg, TORC_NEVER);
}

static int
open_nothing(void **item, torc_deadline deadline, void *arg)
{
	(void)deadline;
	*item = arg;
	return 0;
}

static void
close_nothing(void *item, void *arg)
{
	(void)item;
	(void)arg;
}

static int
waits_for_a_connection(void *arg)
{
	const struct torc_pool_kind kind = {
		.name = "ledger", .open = open_nothing, .close = close_nothing,
	};
	const struct torc_pool_config config = { .size = 1 };
	void *item;

	if (torc_pool_create(&pool, &kind, load, &config, NULL) < 0)
		return -1;
	while (torc_pool_acquire(pool, &item, TORC_NEVER) == 0)
		continue;
	(void)arg;
	return -1;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	torc_fiber_entry *const entries[] = {
		waits_for_an_item, waits_for_room, waits_for_any,
		waits_for_a_descriptor, waits_to_be_woken, waits_for_a_fiber,
		waits_for_its_group, waits_for_a_thread, waits_for_a_connection,
	};
	int item = 1;
	int rc = torc_channel_create(&empty, sizeof(item), 4);

	(void)reactor;
	(void)arg;
	if (rc == 0)
		rc = torc_channel_create(&full, sizeof(item), 1);
	if (rc == 0)
		rc = torc_channel_send(full, &item, TORC_AT_ONCE);
	if (rc == 0)
		rc = torc_fiber_spawn_daemon(&sleeper, sleeps, NULL);
	for (size_t i = 0; rc == 0 && i < sizeof(entries) / sizeof(*entries);
	    i++)
		rc = torc_fiber_spawn_daemon(NULL, entries[i], NULL);
	return rc;
}

static void
ask_the_oracle(void)
{
	for (;;)
		pause();
}

static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, torc_after_ms(3600000)) > 0) {
		if (in.size >= 5 && memcmp(in.data, "block", 5) == 0)
			ask_the_oracle();
		if (in.size >= 4 && memcmp(in.data, "load", 4) == 0 &&
		    torc_conn_write_static(conn, load, sizeof(load),
		    TORC_NEVER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

static void
say_ready(void *arg)
{
	(void)arg;
	fprintf(stderr, "ready\n");
}

static void
say(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "notice: %s\n", text);
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = { argc > 1 ? argv[1] : NULL, NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = answer,
		.start = start,
		.notice = say,
		.reactors = 1,
		.connections = 64,
		.fibers = 64,
		.stack_size = 65536,
		.stack_guard = 65536,
	};
	struct torc_error error;

	if (torc_serve(&config, say_ready, &error) == 0)
		return 0;
	fprintf(stderr, "stalled: %s\n", error.text);
	return 1;
}
