/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the statistics of the process, when one of its reactors goes.
 */
#ifndef TORC_REACTOR_STATS_H
#define TORC_REACTOR_STATS_H

struct torc_reactor;

/*
 * It leaves the list of the process (process.h), and what it has counted stays.
 */
void torc_stats_remove(struct torc_reactor *reactor);

#endif
