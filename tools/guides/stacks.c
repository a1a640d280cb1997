/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - a fiber that calls itself so many times, a KiB each: what fits on
 * its stack, and what is said when it does not.
 *
 *     stacks LEVELS [STACK_KIB]
 */
#include <stdio.h>
#include <stdlib.h>
#include <torc.h>

/* Returns how deep it came. Each call has a frame of a KiB at least. */
static unsigned
descend(unsigned levels)
{
	volatile char frame[1024];

	frame[0] = (char)levels;
	frame[1023] = frame[0];
	if (levels == 0)
		return 0;
	return descend(levels - 1) + (frame[1023] == (char)levels);
}

/* A fiber of a program that listens nowhere. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	const unsigned *levels = arg;

	printf("%u levels fit\n", descend(*levels));
	torc_reactor_drain(reactor, TORC_AT_ONCE);
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned levels = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
	const struct torc_config config = {
		.start = start,
		.arg = &levels,
		.reactors = 1,
		.stack_size = argc > 2 ? (unsigned)atoi(argv[2]) << 10 : 0,
	};
	struct torc_error error;

	if (torc_serve(&config, NULL, &error) == 0)
		return 0;
	fprintf(stderr, "stacks: %s\n", error.text);
	return 1;
}
