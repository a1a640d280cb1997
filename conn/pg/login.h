/* SPDX-License-Identifier: MIT */
/* login.h - logs in on a connection. */
#ifndef TORC_PG_LOGIN_H
#define TORC_PG_LOGIN_H

#include "conn/pg/session.h"

/* Parks. From the startup until the server is ready. */
int torc_pg_log_in(struct torc_pg_session *session, torc_deadline deadline);

#endif
