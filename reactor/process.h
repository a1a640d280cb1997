/* SPDX-License-Identifier: MIT */
/*
 * process.h - the reactors of this process: one list, under one lock. Any
 * thread; a child of a fork begins with none.
 */
#ifndef TORC_REACTOR_PROCESS_H
#define TORC_REACTOR_PROCESS_H

#include <stdint.h>

struct torc_reactor;

/*
 * The lock is not held for long, and not by a thread that forks: what it guards
 * is whole in the child. What follows is for those who hold it.
 */
void torc_process_lock(void);
void torc_process_unlock(void);

void torc_process_add(struct torc_reactor *reactor);
void torc_process_remove(struct torc_reactor *reactor);

/* The next reactor after `reactor` (NULL: the first), or NULL. */
struct torc_reactor *torc_process_each(const struct torc_reactor *reactor);

/*
 * How many forks lie between the first process and this one: whoever counts
 * something of the list's reactors begins anew when it has changed.
 */
uint32_t torc_process_forks(void);

#endif
