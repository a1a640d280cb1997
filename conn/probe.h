/* SPDX-License-Identifier: MIT */
/*
 * probe.h - manners of the kernel that no feature flag tells of.
 */
#ifndef TORC_CONN_PROBE_H
#define TORC_CONN_PROBE_H

#include <stdbool.h>

/* The kernel ends a multishot receive after so many bytes (Linux 6.17). */
bool torc_recv_probe(void);

/*
 * A quiet send that is short must say so. That is how Linux does it since 6.0
 * (a short send with MSG_WAITALL fails its request, and what fails has a
 * completion), but it is written nowhere, so it is tried out.
 */
bool torc_send_probe(void);

#endif
