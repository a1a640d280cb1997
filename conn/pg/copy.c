/* SPDX-License-Identifier: MIT */
/*
 * copy.c - COPY in both directions.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/run.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"

#define PIECE_MAX 1048576u	/* of one CopyData of ours */

/* ---- COPY ... FROM STDIN ---- */

int
torc_pg_copy_in_begin(struct torc_pg_session *session, const char *sql,
    torc_deadline deadline)
{
	return torc_pg_begin_copy(session, sql, PG_COPYING_IN, deadline);
}

/*
 * Does not wait: an error that has arrived ends the copy. Without this check
 * everything would be sent before the error is seen.
 */
static int
look_for_error(struct torc_pg_session *session, torc_deadline deadline)
{
	struct pg_message message;

	while (session->lost == 0 && (session->early.first != NULL ||
	    torc_conn_unread(session->conn) > session->shown -
	    session->view.size)) {
		int rc = torc_pg_receive_any(session, &message, deadline);

		if (rc == 1)
			continue;
		if (rc == 0)
			rc = torc_pg_take_event(session, &message);
		if (rc == PG_FAILED)
			return torc_pg_session_end(session, deadline);
		if (rc < 0)
			return torc_pg_give_up(session, rc);
	}
	return torc_pg_check_alive(session);
}

static void
put_piece(struct pg_writer *writer, void *size)
{
	torc_pg_put_copy_data(writer, *(const size_t *)size);
}

static int
write_piece(struct torc_pg_session *session, const void *data, size_t size,
    torc_deadline deadline)
{
	int rc = torc_pg_write(session, put_piece, &size, deadline);

	if (rc == 0)
		rc = torc_pg_send(session, data, size, deadline);
	return rc < 0 ? torc_pg_give_up(session, rc) : 0;
}

int
torc_pg_copy_in_write(struct torc_pg_session *session, const void *data,
    size_t size, torc_deadline deadline)
{
	const uint8_t *at = data;
	int rc = 0;

	while (rc == 0 && size > 0) {
		size_t piece = size < PIECE_MAX ? size : PIECE_MAX;

		torc_require(session->lost < 0 ||
		    session->answer.stage == PG_COPYING_IN,
		    "torc_pg_copy_in_write() without torc_pg_copy_in_begin()");
		rc = look_for_error(session, deadline);
		if (rc == 0)
			rc = write_piece(session, at, piece, deadline);
		at += piece;
		size -= piece;
	}
	return rc;
}

static void
put_end(struct pg_writer *writer, void *why)
{
	if (why != NULL)
		torc_pg_put_copy_fail(writer, why);
	else
		torc_pg_put_copy_done(writer);
}

int
torc_pg_copy_in_end(struct torc_pg_session *session, const char *why,
    uint64_t *rows, torc_deadline deadline)
{
	struct pg_message message;
	int rc;

	torc_require(session->lost < 0 ||
	    session->answer.stage == PG_COPYING_IN,
	    "torc_pg_copy_in_end() without torc_pg_copy_in_begin()");
	rc = torc_pg_check_alive(session);
	if (rc == 0)
		rc = torc_pg_write(session, put_end, (void *)(uintptr_t)why,
		    deadline);
	if (rc < 0)
		torc_pg_give_up(session, rc);
	/* Wait until the copy has ended. The end of the statement reads
	 * everything else. */
	while (rc >= 0 && session->answer.stage == PG_COPYING_IN)
		rc = torc_pg_next_event(session, &message, deadline);
	if (rc >= 0)
		rc = torc_pg_session_end(session, deadline);
	if (rows != NULL)
		*rows = session->affected;
	/* The copy failed because the caller asked for it. */
	return rc == -EREMOTEIO && why != NULL &&
	    strcmp(session->fault.error.state, "57014") == 0 ? 0 : rc;
}

/* ---- COPY ... TO STDOUT ---- */

int
torc_pg_copy_out_begin(struct torc_pg_session *session, const char *sql,
    torc_deadline deadline)
{
	return torc_pg_begin_copy(session, sql, PG_COPYING_OUT, deadline);
}

int
torc_pg_copy_out_read(struct torc_pg_session *session, struct torc_slice *data,
    torc_deadline deadline)
{
	struct pg_message message;
	int event = torc_pg_check_alive(session);

	while (event >= 0 && session->answer.stage == PG_COPYING_OUT) {
		event = torc_pg_next_event(session, &message, deadline);
		if (event == PG_COPIED && message.lost < 0) {
			torc_pg_fault_say_missing(&session->fault, message.lost,
			    session->pg->config.message_max);
			return message.lost;
		}
		if (event == PG_COPIED) {
			*data = (struct torc_slice) { message.data,
				message.size };
			return 1;
		}
		if (event == PG_DONE)
			break;
	}
	return event < 0 ? event : torc_pg_session_end(session, deadline);
}

int
torc_pg_copy_out_end(struct torc_pg_session *session, uint64_t *rows,
    torc_deadline deadline)
{
	int rc = torc_pg_session_end(session, deadline);

	if (rows != NULL)
		*rows = session->affected;
	return rc;
}
