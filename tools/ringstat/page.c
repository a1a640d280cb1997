/*
 * page.c - reading torc's statistics page.
 */
#include "tools/ringstat/page.h"

#include <stdlib.h>

void
torc_view_attach(struct sample *sample, unsigned process, int fds,
    unsigned fd, bool conns)
{
	(void)sample;
	(void)process;
	(void)fds;
	(void)fd;
	(void)conns;
}

void
torc_view_free(struct torc_view *view)
{
	free(view);
}
