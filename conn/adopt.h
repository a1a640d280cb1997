/* SPDX-License-Identifier: MIT */
/*
 * adopt.h - listeners whose sockets somebody else has bound.
 */
#ifndef TORC_CONN_ADOPT_H
#define TORC_CONN_ADOPT_H

/* The descriptor of "fd:N"; -ENOENT: it is an address; or -EINVAL. */
int torc_adopt_parse(const char *address);

#endif
