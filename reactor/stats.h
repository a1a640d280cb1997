/*
 * stats.h - which reactors there are, for the statistics of the process.
 */
#ifndef TORC_REACTOR_STATS_H
#define TORC_REACTOR_STATS_H

struct torc_reactor;

/* It has a page, from now on; it will soon have none. */
void torc_stats_add(struct torc_reactor *reactor);
void torc_stats_remove(struct torc_reactor *reactor);

#endif
