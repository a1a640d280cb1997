/* SPDX-License-Identifier: MIT */
/*
 * granted.h - see torc_cpus_granted().
 */
#ifndef TORC_CONN_GRANTED_H
#define TORC_CONN_GRANTED_H

/* CPUs that this thread may run on, at least 1. */
unsigned torc_cpus_allowed(void);

#endif
