/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what a connection received, as messages, what came unasked, and
 * what it sends.
 */
#ifndef TORC_PG_STREAM_H
#define TORC_PG_STREAM_H

#include "conn/pg/wire.h"

struct torc_pg_session;

struct pg_setting {
	struct pg_setting *next;
	char *value;
	char name[];
};

/* A message that came before it was waited for. */
struct pg_early {
	struct pg_early *next;
	struct pg_message message;
	uint8_t data[];
};

struct pg_earlies {
	struct pg_early *first;
	struct pg_early *last;
	struct pg_early *given;	/* the last that was; kept until the next */
	size_t size;		/* bytes of those that wait */
};

/* 1 if it was a message that may come at any time; 0 if not, or -errno. */
int torc_pg_take_unasked(struct torc_pg_session *session,
    const struct pg_message *message);

/* Parks. The next message: 0 if it was asked for, 1 if it came unasked and is
 * done with, or -errno. What ends the stream is kept in `lost`. */
int torc_pg_receive_any(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
/* Parks. The next one that was asked for. */
int torc_pg_receive(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline);

/* What is to be sent: in memory, before a byte of it is. */
struct pg_draft {
	struct pg_writer writer;
	uint8_t memory[2048];	/* it needs no heap up to this */
};

/* What put(writer, arg) writes: 0, -ENOMEM or -EMSGSIZE. The end of it is
 * torc_pg_draft_send(), or torc_pg_draft_drop(). */
int torc_pg_draft_make(struct pg_draft *draft,
    void (*put)(struct pg_writer *writer, void *arg), void *arg);
void torc_pg_draft_drop(struct pg_draft *draft);
/* Parks. */
int torc_pg_draft_send(struct pg_draft *draft, struct torc_pg_session *session,
    torc_deadline deadline);

/*
 * Parks. Write while nobody else reads: a server that has to be read from, as
 * notices or notifications keep it from reading itself, is.
 */
int torc_pg_send(struct torc_pg_session *session, const void *data, size_t size,
    torc_deadline deadline);

/* Parks. Write what put(writer, arg) writes, in the same way. */
int torc_pg_write(struct torc_pg_session *session,
    void (*put)(struct pg_writer *writer, void *arg), void *arg,
    torc_deadline deadline);

void torc_pg_stream_free(struct torc_pg_session *session);

#endif
