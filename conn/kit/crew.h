/* SPDX-License-Identifier: MIT */
/*
 * crew.h - which task a thread takes next. Not locked: see offload.c.
 *
 * Work is taken in its order, by so many threads at a time; and so is what
 * computes, by others. Lookups have threads of their own, many, since one that
 * asks a server which is gone hangs for half a minute. They are sorted by zone,
 * the last two labels of a name: names of one zone are asked of the same
 * servers. Zones take turns; a zone has at most half of the threads, and the
 * last eighth is for zones that have none.
 */
#ifndef TORC_KIT_CREW_H
#define TORC_KIT_CREW_H

#include "conn/kit/offload.h"

#define TORC_CREW_ZONES 512u	/* names that meet in one share its threads */

struct torc_zone {
	struct torc_list queued;
	struct torc_list flights;	/* lookups that others may follow */
	unsigned running;
};

struct torc_crew {
	struct torc_list work;		/* queued */
	struct torc_list sums;		/* the same of tasks that compute */
	struct torc_zone zones[TORC_CREW_ZONES];
	unsigned next_zone;
	unsigned queued;		/* tasks of all kinds */
	unsigned working;		/* threads, by what they do */
	unsigned computing;
	unsigned looking;
	unsigned most_work;		/* and how many may be at it */
	unsigned most_sums;
	unsigned most_lookups;
};

/* As new, but for the limits. */
void torc_crew_init(struct torc_crew *crew);

/*
 * Queue a task; or let it follow one of its name: false. One that has been
 * under way for long, and may never come back, is not followed.
 */
bool torc_crew_add(struct torc_crew *crew, struct torc_task *task,
    uint64_t now);

/* A thread could take this queued task now, if there was one. */
bool torc_crew_may_start(const struct torc_crew *crew,
    const struct torc_task *task);

/* The next task for a thread, which is RUNNING from then on; or NULL. */
struct torc_task *torc_crew_take(struct torc_crew *crew, uint64_t now);

/* Its thread has run it: others follow it no more. */
void torc_crew_end(struct torc_crew *crew, struct torc_task *task);

/*
 * A task that is QUEUED or FOLLOWING is taken back. The first that followed it
 * takes its place.
 */
void torc_crew_take_back(struct torc_crew *crew, struct torc_task *task);

#endif
