/* SPDX-License-Identifier: MIT */
/*
 * away.c - the way to a thread and back.
 */
#include "conn/tls/away.h"

#include <string.h>

#include "conn/conn.h"
#include "conn/kit/offload.h"
#include "sys/sys.h"

#define FLIGHT_SIZE 4096u	/* a certificate or two, with the rest */

struct tls_away {
	struct torc_task task;
	struct tls_session *session;
	void (*step)(struct tls_session *session, struct tls_outcome *outcome);
	struct tls_outcome outcome;
	uint8_t *bytes;		/* that were written */
	size_t size;
	size_t room;
};

/* On the thread. */
static void
run(struct torc_task *task)
{
	struct tls_away *away = torc_container(task, struct tls_away, task);

	away->step(away->session, &away->outcome);
}

bool
torc_tls_away_keep(struct tls_away *away, const void *data, size_t size)
{
	size_t room = away->room > 0 ? away->room : FLIGHT_SIZE;
	uint8_t *bytes;

	while (room < away->size + size)
		room *= 2;
	if (room > away->room) {
		bytes = torc_sys_alloc(room);
		if (bytes == NULL)
			return false;
		if (away->size > 0)
			memcpy(bytes, away->bytes, away->size);
		torc_sys_free(away->bytes);
		away->bytes = bytes;
		away->room = room;
	}
	memcpy(away->bytes + away->size, data, size);
	away->size += size;
	return true;
}

static void
finish(struct torc_task *task)
{
	struct tls_away *away = torc_container(task, struct tls_away, task);

	torc_transport_back(&away->session->transport);
}

bool
torc_tls_away_start(struct tls_session *session,
    void (*step)(struct tls_session *session, struct tls_outcome *outcome))
{
	struct tls_away *away = torc_sys_alloc(sizeof(*away));

	torc_assert(session->away == NULL && session->in_size == 0);
	if (away == NULL)
		return false;
	away->task.run = run;
	away->task.computes = true;
	away->session = session;
	away->step = step;
	session->away = away;
	if (torc_task_start(&away->task, session->transport.conn->reactor,
	    finish) < 0) {
		torc_tls_away_free(session);
		return false;
	}
	torc_transport_leave(&session->transport);
	return true;
}

void
torc_tls_away_end(struct tls_session *session, struct tls_outcome *outcome)
{
	const struct tls_away *away = session->away;

	torc_assert(!session->transport.away);
	*outcome = away->outcome;
	if (away->size > 0)
		torc_transport_emit(&session->transport, away->bytes,
		    (uint32_t)away->size);
	torc_tls_away_free(session);
}

void
torc_tls_away_free(struct tls_session *session)
{
	torc_sys_free(session->away->bytes);
	torc_sys_free(session->away);
	session->away = NULL;
}
