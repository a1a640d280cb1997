/* SPDX-License-Identifier: MIT */
/*
 * outage.h - a server whose handlers ask a backend, under load, while that
 * backend is killed, stopped, slowed down and restarted.
 *
 * A program that uses it wraps what outage.c puts its own in place of.
 */
#ifndef TORC_TESTS_OUTAGE_H
#define TORC_TESTS_OUTAGE_H

#include "conn/torc.h"

struct outage_backend {
	/* On a fiber of the reactor that serves. */
	int (*open)(void);
	void (*close)(void);
	/* By one handler of many: 0; -EILSEQ: another's answer came. */
	int (*ask)(torc_deadline deadline);
	/* On the test's thread, which they hold up until it is done. */
	void (*kill)(void);
	void (*end)(void);		/* in order */
	void (*start)(void);		/* again, until it answers */
	void (*signal)(int number);	/* to all its processes */
};

/*
 * Fails the test unless, throughout: a route that needs no backend answers
 * with 200; one that does answers by its deadline, with 503 while the backend
 * is away; a backend that is away sees fewer than 50 connects a second; the
 * first 200 comes within a second of its return (in the best of three times);
 * and in the end there are no more descriptors and connections than before,
 * nor blocks of memory, but for a few that the reactor keeps for all.
 */
void outage_is_survived(const struct outage_backend *backend);

#endif
