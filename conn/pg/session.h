/* SPDX-License-Identifier: MIT */
/*
 * session.h - a connection to the server, shared or rented.
 */
#ifndef TORC_PG_SESSION_H
#define TORC_PG_SESSION_H

#include "conn/pg/answer.h"
#include "conn/pg/carry.h"
#include "conn/pg/notify.h"
#include "conn/pg/stream.h"
#include "conn/kit/shared.h"

#define PG_PEER_SIZE 128u	/* of any address */

struct pg_cancel;

struct torc_pg_session {
	struct torc_pg *pg;
	struct torc_conn *conn;
	struct torc_transport *transport;	/* of it; NULL: clear text */
	const char *address;
	const char *name;	/* of the host, for TLS; NULL: it has none */
	char peer[PG_PEER_SIZE];	/* one that the name has, if it is */
	struct torc_error *words;	/* while it is opened */
	bool other_way;		/* it could not, but may with TLS, if it had
				 * none; or without */
	struct pg_carry carry;
	struct pg_cache cache;
	struct pg_setting *settings;
	unsigned setting_count;
	uint32_t process;
	uint32_t secret;
	char state;		/* as the server said last */
	int lost;		/* it cannot be used any more: why */
	bool writable;		/* when it was opened, for all that was said */
	struct pg_fault fault;	/* of the call that failed last */
	bool loss_told;		/* the error says why the connection is lost */

	struct torc_shared shared;	/* in the set of the client, or not */
	bool changed;		/* a parameter, since the login */
	bool mute;		/* half a statement may have been sent */

	/* Rented: what was received is stream.c's, what runs is run.c's. */
	struct pg_earlies early;	/* came while a fiber wrote */
	struct torc_slice view;	/* received and not looked at */
	size_t shown;		/* of that and what was, not consumed */
	struct pg_answer answer;
	struct pg_cancel *cancel;
	struct torc_waiters calm;	/* for the end of it */
	bool tainted;
	bool used;		/* since it was reset */
	bool prepares;		/* by itself, with names of its own */
	bool failed;		/* the statement that runs has */
	bool outdated;		/* as it was prepared: that may be why */
	bool cancelled;		/* the server was asked to end it */
	bool result_over;
	const char *text;	/* the text that runs, while it is the
				 * caller's */
	char quote[PG_QUOTE_SIZE];	/* of a text that runs, or ran */
	unsigned results;	/* results of the text that are complete */
	int missing;		/* why the last message is incomplete, or 0 */
	unsigned value_room;
	struct torc_slice *values;
	uint64_t affected;
	char tag[64];
	struct pg_notes notes;
};

/* Whether a statement runs. */
static inline bool
pg_is_running(const struct torc_pg_session *session)
{
	return session->answer.stage != PG_OVER;
}

/*
 * Parks. As torc_pg_session_begin_simple(), for a COPY. Returns -EOPNOTSUPP if
 * it does not reach this stage.
 */
int torc_pg_begin_copy(struct torc_pg_session *session, const char *sql,
    enum pg_stage stage, torc_deadline deadline);

#endif
