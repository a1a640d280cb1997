/* SPDX-License-Identifier: MIT */
/* notify.c - LISTEN, and a queue of notifications. */
#include <errno.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/notify.h"
#include "conn/pg/run.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/sys.h"
#include "sys/trap.h"

/* ---- Those that wait ---- */

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

/*
 * Returns the first notification that waits, or NULL. It is kept until the next
 * one is taken.
 */
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

/* ---- Calls ---- */

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

/* While nothing runs, the server may only say why it closes the connection. */
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

/* Deadlines are usual here, so their texts need no memory. */
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
	    "torc_pg_session_await_notification() while a statement runs");
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
