/* SPDX-License-Identifier: MIT */
/*
 * features.c - each feature of the kernel that torc uses is on from the Linux
 * that brought it, and what it falls back to is in use before.
 *
 * A line for each: "ok", or "FAILED" where the kernel's version and what the
 * reactor says of itself do not agree. It knows Linux's own versions only: a
 * distribution that brings features back to an older one is another matter.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/torc.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define TURNS 8		/* what is tried out at the start is over by then */

struct feature {
	const char *name;
	unsigned major, minor;		/* since when */
	bool on;
	const char *instead;
};

static bool
has_flag(const struct torc_reactor *reactor, uint32_t flag)
{
	return reactor->ring.setup_flags & flag;
}

/* Guards take mappings of their own where they are not light. */
static unsigned
count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	int c;

	if (maps == NULL)
		return 0;
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

static int
sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(TORC_NEVER);
}

#define FIBERS 64u

/* Whether the stacks of some fibers are guarded without a mapping for each. */
static bool
guards_are_light(struct torc_reactor *reactor)
{
	const unsigned before = count_mappings();

	for (unsigned i = 0; i < FIBERS; i++) {
		if (torc_fiber_start(reactor, NULL, sleep_long, NULL) < 0)
			return false;
	}
	for (unsigned i = 0; i < TURNS; i++)
		torc_reactor_turn(reactor, TORC_AT_ONCE);
	return count_mappings() < before + FIBERS;
}

static int
say(const struct feature *feature, unsigned major, unsigned minor)
{
	const bool expected = major > feature->major ||
	    (major == feature->major && minor >= feature->minor);

	printf("%s %s (%u.%u): %s%s\n",
	    feature->on == expected ? "ok" : "FAILED", feature->name,
	    feature->major, feature->minor, feature->on ? "on" : "off: ",
	    feature->on ? "" : feature->instead);
	return feature->on != expected;
}

static int
compare(struct torc_reactor *reactor, unsigned major, unsigned minor)
{
	const struct torc_ring *ring = &reactor->ring;
	const struct torc_net *net = reactor->layer_state;
	const struct feature features[] = {
		{ "SINGLE_ISSUER", 6, 0,
		    has_flag(reactor, IORING_SETUP_SINGLE_ISSUER), "nothing" },
		{ "DEFER_TASKRUN", 6, 1,
		    has_flag(reactor, IORING_SETUP_DEFER_TASKRUN),
		    "COOP_TASKRUN" },
		{ "NO_SQARRAY", 6, 6,
		    has_flag(reactor, IORING_SETUP_NO_SQARRAY),
		    "an index array, filled once" },
		{ "registered ring descriptor", 5, 18,
		    ring->enter_flags & IORING_ENTER_REGISTERED_RING,
		    "the descriptor" },
		{ "quiet sends", 6, 0, net->quiet,
		    "a completion for each send" },
		{ "minimum wait", 6, 12,
		    ring->features & IORING_FEAT_MIN_TIMEOUT,
		    "waits for one completion" },
		{ "incremental buffers", 6, 12, net->buffers.incremental,
		    "whole buffers" },
		{ "light guard pages", 6, 13, guards_are_light(reactor),
		    "mprotect" },
		{ "IORING_ENTER_NO_IOWAIT", 6, 15,
		    ring->enter_flags & IORING_ENTER_NO_IOWAIT,
		    "an idle server counts as waiting for a disk" },
	};
	int failed = 0;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		failed += say(&features[i], major, minor);
	return failed;
}

static int
close_at_once(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return TORC_CLOSE;
}

int
main(void)
{
	const struct torc_config config = {
		.batch_us = 100,
		.incremental = true,
	};
	struct torc_reactor *reactor;
	struct utsname system;
	unsigned major, minor;
	struct torc_error error;
	int failed;

	if (uname(&system) < 0 ||
	    sscanf(system.release, "%u.%u", &major, &minor) != 2)
		return 2;
	if (torc_reactor_create(&reactor, &config, &error) < 0 ||
	    torc_listen(reactor, "127.0.0.1:0", close_at_once, NULL) < 0) {
		printf("FAILED a reactor on Linux %s: %s\n", system.release,
		    error.text);
		return 1;
	}
	for (unsigned i = 0; i < TURNS; i++)
		torc_reactor_turn(reactor, TORC_AT_ONCE);
	printf("Linux %s on %s\n", system.release, system.machine);
	failed = compare(reactor, major, minor);
	torc_reactor_stop(reactor);
	while (torc_reactor_turn(reactor, TORC_AT_ONCE) > 0)
		continue;
	torc_reactor_destroy(reactor);
	return failed != 0;
}
