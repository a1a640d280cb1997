/*
 * copy.c - COPY in both directions, and notifications.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/pg.h"
#include "sys/sys.h"
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
 * Parks, but not here: an error that has come ends the copy. Without looking
 * for it, all would be sent before it is seen.
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
		    "torc_pg_copy_in_write without torc_pg_copy_in_begin");
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
	    "torc_pg_copy_in_end without torc_pg_copy_in_begin");
	rc = torc_pg_check_alive(session);
	if (rc == 0)
		rc = torc_pg_write(session, put_end, (void *)(uintptr_t)why,
		    deadline);
	if (rc < 0)
		torc_pg_give_up(session, rc);
	/* Until it is not copying any more: what else comes, finish reads. */
	while (rc >= 0 && session->answer.stage == PG_COPYING_IN)
		rc = torc_pg_next_event(session, &message, deadline);
	if (rc >= 0)
		rc = torc_pg_session_end(session, deadline);
	if (rows != NULL)
		*rows = session->affected;
	/* It failed because that was asked for. */
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

/* ---- Notifications ---- */

int
torc_pg_notes_add(struct torc_pg_session *session,
    const struct pg_notification *notification)
{
	struct pg_notes *notes = &session->notes;
	const size_t channel = strlen(notification->channel) + 1;
	const size_t payload = strlen(notification->payload) + 1;
	const size_t size = sizeof(struct pg_note) + channel + payload;
	struct pg_note *note;

	if (size > session->pg->config.notices_max - notes->size) {
		notes->lost = true;
		return 1;
	}
	note = torc_sys_alloc_raw(size);
	if (note == NULL) {
		notes->lost = true;
		return 1;
	}
	memcpy(note->texts, notification->channel, channel);
	memcpy(note->texts + channel, notification->payload, payload);
	note->note = (struct torc_pg_notification) { note->texts,
		note->texts + channel, notification->process };
	note->size = size;
	note->next = NULL;
	if (notes->last != NULL)
		notes->last->next = note;
	else
		notes->first = note;
	notes->last = note;
	notes->size += size;
	return 1;
}

/* The first one that waits, or NULL. It is kept until the next is taken. */
static struct pg_note *
take_note(struct pg_notes *notes)
{
	struct pg_note *note = notes->first;

	torc_sys_free(notes->given);
	notes->given = note;
	if (note == NULL)
		return NULL;
	notes->first = note->next;
	if (notes->first == NULL)
		notes->last = NULL;
	torc_assert(notes->size >= note->size);
	notes->size -= note->size;
	torc_assert((notes->first == NULL) == (notes->size == 0));
	return note;
}

void
torc_pg_notes_free(struct pg_notes *notes)
{
	while (take_note(notes) != NULL)
		continue;
	notes->lost = false;
}

/* `"` within the name is doubled. */
static void
put_listen(struct pg_writer *writer, void *arg)
{
	const char *channel = arg;

	torc_pg_put(writer, "LISTEN \"", 8);
	for (; *channel != '\0'; channel++)
		torc_pg_put(writer, *channel == '"' ? "\"\"" : channel,
		    *channel == '"' ? 2 : 1);
	torc_pg_put(writer, "\"", 2);
}

int
torc_pg_session_listen(struct torc_pg_session *session, const char *channel,
    torc_deadline deadline)
{
	char sql[512];
	struct pg_writer writer = { .data = (uint8_t *)sql,
		.size = sizeof(sql) };

	put_listen(&writer, (void *)(uintptr_t)channel);
	if (!torc_pg_written(&writer)) {
		torc_pg_fault_say(&session->fault, "a channel whose name has "
		    "%zu bytes: must have at most %zu in quotes",
		    strlen(channel), sizeof(sql) - sizeof("LISTEN "));
		return -ENAMETOOLONG;
	}
	torc_pg_session_taint(session);
	return torc_pg_session_run(session, sql, deadline);
}

/* While nothing runs, the server may say why it goes, and nothing else. */
static int
take_farewell(struct torc_pg_session *session,
    const struct pg_message *message)
{
	struct pg_report report;

	session->state = 0;
	session->lost = -EPROTO;
	if (message->type == PG_ERROR &&
	    torc_pg_take_report(message, &report) == 0) {
		torc_pg_fault_keep(&session->fault, &report);
		session->loss_told = true;
		session->lost = -ECONNRESET;
	}
	return session->lost;
}

/* A deadline is nothing unusual here: its words need no memory. */
static int
tell_no_news(struct torc_pg_session *session, int error)
{
	if (session->lost < 0)
		return torc_pg_check_alive(session);
	torc_pg_fault_say_constant(&session->fault, error == -ETIMEDOUT ?
	    "the deadline passed before a notification came" :
	    "the fiber was cancelled before a notification came");
	return error;
}

int
torc_pg_session_await_notification(struct torc_pg_session *session,
    struct torc_pg_notification *notification, torc_deadline deadline)
{
	struct pg_notes *notes = &session->notes;
	struct pg_message message;
	struct pg_note *note;

	torc_require(session->lost < 0 || session->answer.stage == PG_OVER,
	    "torc_pg_session_await_notification while a statement runs");
	while ((note = take_note(notes)) == NULL && !notes->lost) {
		int rc = torc_pg_receive_any(session, &message, deadline);

		if (rc == 0)
			rc = take_farewell(session, &message);
		if (rc < 0)
			return tell_no_news(session, rc);
	}
	if (note == NULL) {
		notes->lost = false;
		torc_pg_fault_say_constant(&session->fault, "notifications "
		    "were lost: more than `notices_max` bytes of them waited");
		return -EOVERFLOW;
	}
	*notification = note->note;
	return 0;
}
