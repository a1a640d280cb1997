/* SPDX-License-Identifier: MIT */
/*
 * watch.h - the full screen.
 */
#ifndef RINGSTAT_WATCH_H
#define RINGSTAT_WATCH_H

#include "tools/ringstat/options.h"

/* Until q, a signal, or so many samples: the exit status. */
int watch_run(struct options *options);

#endif
