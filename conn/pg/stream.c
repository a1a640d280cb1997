/* SPDX-License-Identifier: MIT */
/* stream.c - received messages, including those that nobody asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/carry.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/notify.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define SETTINGS_MAX 64u

/* ---- What comes unasked ---- */

static int
take_notice(struct torc_pg *pg, const struct pg_message *message)
{
	struct torc_pg_error notice;
	struct pg_report report;
	int rc = torc_pg_take_report(message, &report);

	if (rc < 0)
		return rc;
	if (pg->config.notice != NULL) {
		torc_pg_error_view(&notice, &report);
		pg->config.notice(pg, &notice, pg->config.arg);
	}
	return 1;
}

static struct pg_setting *
find_setting(const struct torc_pg_session *session, const char *name)
{
	struct pg_setting *setting = session->settings;

	while (setting != NULL && strcmp(setting->name, name) != 0)
		setting = setting->next;
	return setting;
}

static struct pg_setting *
add_setting(struct torc_pg_session *session, const char *name)
{
	struct pg_setting *setting;

	if (session->setting_count == SETTINGS_MAX)
		return NULL;
	setting = torc_sys_alloc(sizeof(*setting) + strlen(name) + 1);
	if (setting == NULL)
		return NULL;
	strcpy(setting->name, name);
	setting->next = session->settings;
	session->settings = setting;
	session->setting_count++;
	return setting;
}

/* A parameter is forgotten if there is no memory for its new value. */
static int
take_setting(struct torc_pg_session *session,
    const struct pg_message *message)
{
	const char *name, *value;
	struct pg_setting *setting;
	int rc = torc_pg_read_parameter(message, &name, &value);

	if (rc < 0)
		return rc;
	setting = find_setting(session, name);
	if (setting == NULL)
		setting = add_setting(session, name);
	if (setting == NULL)
		return 1;
	if (setting->value != NULL && strcmp(setting->value, value) != 0)
		session->changed = true;
	torc_sys_free(setting->value);
	setting->value = torc_sys_strdup(value);
	return 1;
}

const char *
torc_pg_session_parameter(
    const struct torc_pg_session *session, const char *name)
{
	const struct pg_setting *setting = find_setting(session, name);

	return setting != NULL ? setting->value : NULL;
}

int
torc_pg_take_unasked(struct torc_pg_session *session,
    const struct pg_message *message)
{
	struct pg_notification notification;
	int rc;

	switch (message->type) {
	case PG_NOTICE:
		return take_notice(session->pg, message);
	case PG_PARAMETER_STATUS:
		return message->lost < 0 ? 1 : take_setting(session, message);
	case PG_NOTIFICATION:
		if (message->lost < 0) {
			session->notes.lost = true;
			return 1;
		}
		rc = torc_pg_read_notification(message, &notification);
		return rc < 0 ? rc : torc_pg_notes_add(session, &notification);
	default:
		return 0;
	}
}

/* ---- What comes early ---- */

#define EARLY_MAX 65536u	/* bytes, and one that may be longer */

/*
 * Copy a message, so that it stays while more is received. Returns 1, or
 * -ENOMEM.
 */
static int
keep_early(struct pg_earlies *early, const struct pg_message *message)
{
	struct pg_early *kept = torc_sys_alloc_raw(sizeof(*kept) +
	    message->size);

	if (kept == NULL)
		return -ENOMEM;
	kept->next = NULL;
	kept->message = *message;
	kept->message.data = kept->data;
	if (message->size > 0)
		memcpy(kept->data, message->data, message->size);
	if (early->last != NULL)
		early->last->next = kept;
	else
		early->first = kept;
	early->last = kept;
	early->size += sizeof(*kept) + message->size;
	return 1;
}

/* Returns the first early message, or NULL. */
static const struct pg_early *
take_early(struct pg_earlies *early)
{
	struct pg_early *taken = early->first;

	torc_sys_free(early->given);
	early->given = taken;
	if (taken == NULL)
		return NULL;
	early->first = taken->next;
	if (early->first == NULL)
		early->last = NULL;
	torc_assert(early->size >= sizeof(*taken) + taken->message.size);
	early->size -= sizeof(*taken) + taken->message.size;
	torc_assert((early->first == NULL) == (early->size == 0));
	return taken;
}

/* ---- Rented connections: receive and write ---- */

static int
lose(struct torc_pg_session *session, int error)
{
	torc_assert(error < 0);
	session->lost = error;
	session->state = 0;
	return error;
}

/* Parks. Returns 1 if there are more bytes to look at. */
static int
receive_more(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc;

	/* All received bytes in view were looked at. */
	torc_assert(session->view.size == 0);
	torc_conn_consume(session->conn, session->shown);
	session->shown = 0;
	rc = torc_conn_recv(session->conn, &session->view, deadline);
	if (rc > 0)
		session->shown = session->view.size;
	else
		session->view.size = 0;
	if (rc > 0 || rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;
	/* An end that TLS did not announce is no other one: messages tell by
	 * themselves whether they are whole. */
	return lose(session, rc < 0 && rc != -ENOLINK ? rc : -ECONNRESET);
}

/*
 * Parks. Returns the next message after those that came early. As
 * torc_pg_receive_any().
 */
static int
receive_next(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline)
{
	int rc = session->lost;

	while (rc >= 0) {
		rc = torc_pg_carry_next(&session->carry, message,
		    &session->view, session->pg->config.message_max);
		if (rc < 0)
			return lose(session, rc);
		if (rc > 0) {
			rc = torc_pg_take_unasked(session, message);
			return rc < 0 ? lose(session, rc) : rc;
		}
		rc = receive_more(session, deadline);
	}
	return rc;
}

int
torc_pg_receive_any(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline)
{
	const struct pg_early *early = session->lost == 0 ?
	    take_early(&session->early) : NULL;

	if (early == NULL)
		return receive_next(session, message, deadline);
	*message = early->message;
	return 0;
}

int
torc_pg_receive(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline)
{
	int rc;

	do
		rc = torc_pg_receive_any(session, message, deadline);
	while (rc == 1);
	return rc;
}

int
torc_pg_draft_make(struct pg_draft *draft,
    void (*put)(struct pg_writer *writer, void *arg), void *arg)
{
	struct pg_writer *writer = &draft->writer;

	*writer = (struct pg_writer) { .data = draft->memory,
		.size = sizeof(draft->memory) };
	put(writer, arg);
	if (!torc_pg_written(writer)) {
		const size_t size = writer->used;

		if (size > PG_WRITE_MAX)
			return -EMSGSIZE;
		*writer = (struct pg_writer) {
			.data = torc_sys_alloc_raw(size), .size = size,
		};
		if (writer->data == NULL)
			return -ENOMEM;
		put(writer, arg);
	}
	return 0;
}

void
torc_pg_draft_drop(struct pg_draft *draft)
{
	if (draft->writer.data != draft->memory)
		torc_sys_free(draft->writer.data);
}

int
torc_pg_draft_send(struct pg_draft *draft, struct torc_pg_session *session,
    torc_deadline deadline)
{
	int rc = torc_conn_write(session->conn, draft->writer.data,
	    draft->writer.used, deadline);

	torc_pg_draft_drop(draft);
	return rc < 0 ? lose(session, rc) : 0;
}

int
torc_pg_write(struct torc_pg_session *session,
    void (*put)(struct pg_writer *writer, void *arg), void *arg,
    torc_deadline deadline)
{
	struct pg_draft draft;
	int rc = torc_pg_draft_make(&draft, put, arg);

	if (rc < 0)
		return rc;
	rc = torc_pg_send(
	    session, draft.writer.data, draft.writer.used, deadline);
	torc_pg_draft_drop(&draft);
	return rc;
}

/*
 * Answers are kept until they are waited for. Then reading goes on: after the
 * answer to the beginning of what is written, such as to a Close, or after an
 * error, a server may send more before it reads on.
 */
static int
read_meanwhile(void *arg)
{
	struct torc_pg_session *session = arg;
	struct pg_message message;
	int rc = 1;

	while (rc == 1 && session->early.size < EARLY_MAX) {
		rc = receive_next(session, &message, TORC_NEVER);
		if (rc == 0)
			rc = keep_early(&session->early, &message);
	}
	return rc == -ENOMEM ? lose(session, rc) : 0;
}

int
torc_pg_send(struct torc_pg_session *session, const void *data, size_t size,
    torc_deadline deadline)
{
	uint64_t reader = 0;
	int rc;

	if (size > torc_conn_room(session->conn) &&
	    torc_fiber_spawn(&reader, read_meanwhile, session) < 0)
		reader = 0;
	rc = torc_conn_write(session->conn, data, size, deadline);
	if (reader != 0)
		torc_fiber_reap(reader, NULL, TORC_NEVER);
	return rc < 0 ? lose(session, rc) : session->lost;
}

void
torc_pg_stream_free(struct torc_pg_session *session)
{
	while (session->settings != NULL) {
		struct pg_setting *setting = session->settings;

		session->settings = setting->next;
		torc_sys_free(setting->value);
		torc_sys_free(setting);
	}
	while (take_early(&session->early) != NULL)
		continue;
	torc_pg_carry_free(&session->carry);
	torc_pg_notes_free(&session->notes);
}
