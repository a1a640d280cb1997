/*
 * page.h - torc's statistics page, as seen from outside.
 */
#ifndef RINGSTAT_PAGE_H
#define RINGSTAT_PAGE_H

#include "tools/ringstat/model.h"

#define TORC_PAGE_NAME "torc:stats:1"

struct torc_view;

/*
 * Read the page behind `fd` of a process, whose descriptors are in the
 * directory `fds`, and give it to the ring that it names. What is no page, or
 * names no ring, is left out.
 */
void torc_view_attach(struct sample *sample, unsigned process, int fds,
    unsigned fd, bool conns);
void torc_view_free(struct torc_view *view);

#endif
