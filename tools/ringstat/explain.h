/* SPDX-License-Identifier: MIT */
/*
 * explain.h - whether a program of torc can run here, and if not, why.
 */
#ifndef RINGSTAT_EXPLAIN_H
#define RINGSTAT_EXPLAIN_H

/* Print it. The exit status: EXIT_WELL or EXIT_REFUSED. */
int explain_print(void);

#endif
