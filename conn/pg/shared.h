/* SPDX-License-Identifier: MIT */
/*
 * shared.h - what the set of shared connections (conn/kit/shared.h) has to know
 * of a session.
 */
#ifndef TORC_PG_SHARED_H
#define TORC_PG_SHARED_H

#include "conn/kit/shared.h"

/* Of the set of a client. */
extern const struct torc_shared_kind torc_pg_shared_kind;

#endif
