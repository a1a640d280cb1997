/* SPDX-License-Identifier: MIT */
/*
 * check.h - what is wrong with the rings of a sample.
 */
#ifndef RINGSTAT_CHECK_H
#define RINGSTAT_CHECK_H

#include "tools/ringstat/model.h"

enum level { FINDING_WARNING, FINDING_CRITICAL };

struct finding {
	enum level level;
	const char *rule;
	pid_t pid;
	int64_t ino;		/* UNKNOWN: of the process */
	char text[200];		/* may hold other people's bytes */
};

struct findings {
	struct finding *list;
	unsigned count;
};

/* What a sample must hold for it. */
#define CHECK_WANTS \
	(WANT_LISTS | WANT_THREADS | WANT_LIMITS | WANT_TORC)

/*
 * Look for all that is known to be wrong. `before` (NULL: none) is an older
 * sample: what does not move is seen only by two. To be freed.
 */
void check_sample(struct findings *findings, const struct sample *sample,
    const struct sample *before);
void findings_free(struct findings *findings);

/* Print a line for each: the exit status. */
int check_print(const struct findings *findings,
    const struct sample *sample);

#endif
