/* SPDX-License-Identifier: MIT */
/*
 * misuse.h - a call was given what is no reactor: NULL, one that was destroyed,
 * or one that this process has only inherited by a fork.
 */
#ifndef TORC_REACTOR_MISUSE_H
#define TORC_REACTOR_MISUSE_H

#include <stdint.h>

struct torc_reactor;

/*
 * The reactor of a thread that has come out of a fork, until it runs one of its
 * own: no call takes it for its own reactor, nor for none.
 */
extern struct torc_reactor torc_inherited
    __attribute__((visibility("hidden")));

/* What torc_current is on a thread that runs no reactor. */
struct torc_reactor *torc_nobody(void);

/* What `life` of a reactor is while it lives. Also gets ready for forks. */
uint64_t torc_life_begin(void);

/* Stop the process unless `reactor` lives, and this process has made it. */
void torc_reactor_vouch(const struct torc_reactor *reactor);

/*
 * The text for a call that belongs to `reactor` (NULL: its memory was not
 * inherited) but is made elsewhere: `text`, or that it comes after a fork.
 */
const char *torc_misuse(const struct torc_reactor *reactor, const char *text);

#endif
