/* SPDX-License-Identifier: MIT */
/*
 * dispatch.h - hands completions to their owners.
 */
#ifndef TORC_REACTOR_DISPATCH_H
#define TORC_REACTOR_DISPATCH_H

struct torc_reactor;

/* Act on a bounded batch of them. 0, or -EBADR: some were lost. */
int torc_dispatch(struct torc_reactor *reactor);

#endif
