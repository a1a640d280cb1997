/* SPDX-License-Identifier: MIT */
/*
 * world.c - decisions, the trace, the clock, and who goes next.
 *
 * All that could happen at a moment is counted, and one of it is drawn. Time
 * passes only when nothing can happen now.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/trap.h"

#define PATIENCE (600 * 1000 * MS)	/* virtual time of a whole run */
#define EVENTS_MAX 3000000u		/* of a whole run */

struct world world;

/* ---- Decisions ---- */

static uint64_t
next_random(void)
{
	uint64_t x = world.prng += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint32_t
sim_draw(uint32_t n)
{
	uint32_t value;

	if (n <= 1)
		return 0;
	if (world.moves == NULL)
		return (uint32_t)((next_random() >> 32) * n >> 32);
	if (world.moves_left == 0) {
		/* The fuzzer is silent: the kernel behaves from here on. */
		world.moves = NULL;
		world.calm = true;
		return sim_draw(n);
	}
	value = *world.moves++;
	world.moves_left--;
	if (n > 256 && world.moves_left > 0) {
		value = value << 8 | *world.moves++;
		world.moves_left--;
	}
	return value % n;
}

bool
sim_chance(uint32_t mille)
{
	return mille > 0 && sim_draw(1000) < mille;
}

/* ---- The trace ---- */

void
sim_trace(const char *word, int64_t a, int64_t b, int64_t c)
{
	uint64_t hash = world.hash;

	for (const char *letter = word; *letter != '\0'; letter++)
		hash = (hash ^ (uint8_t)*letter) * 0x100000001b3ull;
	hash = (hash ^ (uint64_t)a) * 0x9e3779b97f4a7c15ull;
	hash = (hash ^ (uint64_t)b) * 0xbf58476d1ce4e5b9ull;
	world.hash = (hash ^ (uint64_t)c) * 0x94d049bb133111ebull ^ hash >> 29;
	world.events++;
	if (world.events >= world.calm_at)
		world.calm = true;
	if (world.verbose)
		printf("%10llu us  r%u  %-22s %lld %lld %lld\n",
		    (unsigned long long)((world.now - world.start) / 1000),
		    world.running, word, (long long)a, (long long)b,
		    (long long)c);
	if (world.events > EVENTS_MAX)
		sim_fail("it does not come to an end (events)");
}

_Noreturn void
sim_fail(const char *format, ...)
{
	char text[256];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	fflush(stdout);
	fprintf(stderr, "sim: %s\nsim: BROKEN: %s (event %llu)\n",
	    world.what, text, (unsigned long long)world.events);
	abort();
}

/* In place of those of sys/: they say how to repeat the run. */
_Noreturn void
torc_trap(const char *file, int line, const char *text)
{
	sim_fail("%s:%d: %s", file, line, text);
}

_Noreturn void
torc_broken(const char *file, int line, const char *condition)
{
	sim_fail("%s:%d: broken: %s", file, line, condition);
}

/* ---- Who goes next ---- */

/* One of those who can go on now does. */
static bool
act(void)
{
	unsigned peers = world.open ? peers_ready() : 0;
	unsigned net = sim_net_ready();
	unsigned control = sim_control() ? 1 : 0;
	unsigned chosen;

	if (control > 0)
		return true;
	if (peers + net == 0)
		return false;
	chosen = sim_draw(peers + net);
	if (chosen < peers)
		peers_act(chosen);
	else
		sim_net_act(chosen - peers);
	return true;
}

bool
sim_step(uint64_t until)
{
	uint64_t next;

	if (act())
		return true;
	next = peers_next();
	if (sim_net_next() < next)
		next = sim_net_next();
	if (sim_control_next() < next)
		next = sim_control_next();
	if (until < next)
		next = until;
	if (next == UINT64_MAX)
		sim_fail("everybody waits for ever");
	if (next > world.now) {
		world.now = next;
		sim_trace("time", 0, 0, 0);
		if (world.single == 0 && !world.ending)
			peers_check_good();
	}
	if (world.now - world.start > PATIENCE)
		sim_fail("it does not come to an end (time)");
	return next != until;
}

void
sim_meanwhile(void)
{
	for (uint32_t steps = sim_draw(4); steps > 0; steps--) {
		if (!act())
			break;
	}
	/* Our thread takes time, too. */
	world.now += sim_draw(20) * 1000;
}
