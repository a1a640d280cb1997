/*
 * stream.c - what was received, as messages; and those that nobody asked for.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/pg.h"
#include "conn/pg/text.h"
#include "sys/trap.h"

#define CARRY_KEEP 16384u	/* more is not kept for the next message */
#define SETTINGS_MAX 64u
#define STACK_SIZE 2048u	/* what is written needs no heap up to this */

/* ---- Messages that came in pieces ---- */

void
pg_carry_free(struct pg_carry *carry)
{
	free(carry->data);
	memset(carry, 0, sizeof(*carry));
}

/* Take bytes until there are `size`: 1, or 0 if the view was used up. Memory
 * grows with what came, not with what a length promises. */
static int
carry_up_to(struct pg_carry *carry, struct torc_slice *view, size_t size)
{
	size_t more = size - carry->used;

	if (more > view->size)
		more = view->size;
	if (carry->used + more > carry->room) {
		size_t room = 2 * (carry->used + more);
		uint8_t *data = realloc(carry->data, room);

		if (data == NULL)
			return -ENOMEM;
		carry->data = data;
		carry->room = room;
	}
	if (more > 0)
		memcpy(carry->data + carry->used, view->data, more);
	carry->used += more;
	view->data += more;
	view->size -= more;
	return carry->used == size;
}

static int
carry_on(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most)
{
	int rc = carry->used < PG_HEADER ?
	    carry_up_to(carry, view, PG_HEADER) : 1;
	long size;

	if (rc <= 0)
		return rc;
	size = pg_frame_size(carry->data, carry->used, most);
	if (size < 0)
		return (int)size;
	rc = carry_up_to(carry, view, (size_t)size);
	if (rc <= 0)
		return rc;
	carry->whole = true;
	return pg_read_message(message, carry->data, carry->used, most) > 0;
}

int
pg_carry_next(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most)
{
	long taken;

	if (carry->whole) {
		if (carry->room > CARRY_KEEP)
			pg_carry_free(carry);
		carry->used = 0;
		carry->whole = false;
	}
	if (carry->used > 0)
		return carry_on(carry, message, view, most);
	taken = pg_read_message(message, view->data, view->size, most);
	if (taken == 0 && view->size > 0)
		return carry_on(carry, message, view, most);
	if (taken <= 0)
		return (int)taken;
	view->data += taken;
	view->size -= (size_t)taken;
	return 1;
}

/* ---- Errors in words ---- */

#define KEEP(to, from) pg_copy_text(to, sizeof(to), from)

void
pg_keep_error(struct torc_pg_error *error, const struct pg_report *report)
{
	KEEP(error->state, report->state);
	KEEP(error->severity, report->severity);
	KEEP(error->text, report->text[0] != '\0' ? report->text :
	    "no words given");
	KEEP(error->detail, report->detail);
	KEEP(error->hint, report->hint);
	KEEP(error->constraint, report->constraint);
	error->position = (unsigned)strtoul(report->position, NULL, 10);
}

void
pg_own_error(struct torc_pg_error *error, const char *format, ...)
{
	va_list arguments;

	memset(error, 0, sizeof(*error));
	va_start(arguments, format);
	pg_print_text(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
}

/* ---- What comes unasked ---- */

static int
take_notice(struct torc_pg *pg, const struct pg_message *message)
{
	struct torc_pg_error notice;
	struct pg_report report;
	int rc = pg_read_report(message, &report);

	if (rc < 0)
		return rc;
	if (pg->config.notice != NULL) {
		pg_keep_error(&notice, &report);
		pg->config.notice(pg->config.arg, &notice);
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

static int
take_setting(struct torc_pg_session *session,
    const struct pg_message *message)
{
	const char *name, *value;
	struct pg_setting *setting;
	char *copy;
	int rc = pg_read_parameter(message, &name, &value);

	if (rc < 0)
		return rc;
	setting = find_setting(session, name);
	if (setting == NULL && session->setting_count == SETTINGS_MAX)
		return 1;
	copy = strdup(value);
	if (copy != NULL && setting == NULL) {
		setting = calloc(1, sizeof(*setting) + strlen(name) + 1);
		if (setting != NULL) {
			strcpy(setting->name, name);
			setting->next = session->settings;
			session->settings = setting;
			session->setting_count++;
		}
	}
	if (copy == NULL || setting == NULL) {
		free(copy);
		return -ENOMEM;
	}
	free(setting->value);
	setting->value = copy;
	return 1;
}

const char *
torc_pg_parameter(const struct torc_pg_session *session, const char *name)
{
	const struct pg_setting *setting = find_setting(session, name);

	return setting != NULL ? setting->value : NULL;
}

int
pg_take_unasked(struct torc_pg_session *session,
    const struct pg_message *message)
{
	struct pg_notification notification;
	int rc;

	switch (message->type) {
	case PG_NOTICE:
		return take_notice(session->pg, message);
	case PG_PARAMETER_STATUS:
		return take_setting(session, message);
	case PG_NOTIFICATION:
		rc = pg_read_notification(message, &notification);
		return rc < 0 ? rc : pg_notes_add(session, &notification);
	default:
		return 0;
	}
}

/* ---- Rented connections: receive and write ---- */

static int
lose(struct torc_pg_session *session, int error)
{
	session->lost = error;
	session->state = 0;
	return error;
}

/* Parks. 1: there is more to look at. */
static int
receive_more(struct torc_pg_session *session, uint64_t deadline)
{
	int rc;

	torc_conn_consume(session->conn, session->shown);
	session->shown = 0;
	rc = torc_conn_recv(session->conn, &session->view, deadline);
	if (rc > 0)
		session->shown = session->view.size;
	else
		session->view.size = 0;
	if (rc > 0 || rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;
	return lose(session, rc < 0 ? rc : -ECONNRESET);
}

int
pg_receive_any(struct torc_pg_session *session, struct pg_message *message,
    uint64_t deadline)
{
	int rc = session->lost;

	while (rc >= 0) {
		rc = pg_carry_next(&session->carry, message, &session->view,
		    session->pg->config.message_max);
		if (rc < 0)
			return lose(session, rc);
		if (rc > 0) {
			rc = pg_take_unasked(session, message);
			return rc < 0 ? lose(session, rc) : rc;
		}
		rc = receive_more(session, deadline);
	}
	return rc;
}

int
pg_receive(struct torc_pg_session *session, struct pg_message *message,
    uint64_t deadline)
{
	int rc;

	do
		rc = pg_receive_any(session, message, deadline);
	while (rc == 1);
	return rc;
}

int
pg_write(struct torc_pg_session *session,
    void (*put)(struct pg_writer *writer, void *arg), void *arg,
    uint64_t deadline)
{
	uint8_t memory[STACK_SIZE];
	struct pg_writer writer = { .data = memory, .size = sizeof(memory) };
	int rc;

	put(&writer, arg);
	if (!pg_written(&writer)) {
		size_t size = writer.used;

		if (size > PG_WRITE_MAX)
			return -EMSGSIZE;
		writer = (struct pg_writer) { malloc(size), size, 0, 0 };
		if (writer.data == NULL)
			return -ENOMEM;
		put(&writer, arg);
	}
	rc = torc_conn_write(session->conn, writer.data, writer.used,
	    deadline);
	if (writer.data != memory)
		free(writer.data);
	return rc < 0 ? lose(session, rc) : 0;
}

void
pg_stream_free(struct torc_pg_session *session)
{
	while (session->settings != NULL) {
		struct pg_setting *setting = session->settings;

		session->settings = setting->next;
		free(setting->value);
		free(setting);
	}
	pg_carry_free(&session->carry);
	pg_notes_free(&session->notes);
}
