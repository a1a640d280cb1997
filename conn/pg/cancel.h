/* SPDX-License-Identifier: MIT */
/* cancel.h - cancels a statement from another connection. */
#ifndef TORC_PG_CANCEL_H
#define TORC_PG_CANCEL_H

#include "conn/pg/session.h"

/* Ask the server to end what runs on this connection. */
void torc_pg_cancel_begin(struct torc_pg_session *session);
/* The session ends; a cancel that is under way does not need it. */
void torc_pg_cancel_forget(struct torc_pg_session *session);

#endif
