/* SPDX-License-Identifier: MIT */
/*
 * shared.c - sessions as shared connections. One is rented from its pool while
 * anybody uses it, or while answers are to come: the pool's idle time and
 * lifetime are those of shared connections, too.
 */
#include "conn/pg/shared.h"

#include <errno.h>

#include "conn/pg/cancel.h"
#include "conn/pg/reply.h"
#include "conn/pg/session.h"

static struct torc_shared *
enter(void *item)
{
	struct torc_pg_session *session = item;

	torc_pipeline_init(&session->shared.pipeline, session->conn,
	    &torc_pg_pipeline_kind, session);
	return &session->shared;
}

/* No fiber waits for what the server still works on. */
static void
abandon(struct torc_shared *shared)
{
	struct torc_pg_session *session = shared->item;

	if (shared->pipeline.error == 0 && shared->pipeline.count > 0)
		torc_pg_cancel_begin(session);
	torc_pipeline_break(&shared->pipeline, -ECONNABORTED);
	session->lost = shared->pipeline.error;
}

const struct torc_shared_kind torc_pg_shared_kind = {
	.enter = enter,
	.abandon = abandon,
};
