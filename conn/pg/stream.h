/* SPDX-License-Identifier: MIT */
/*
 * stream.h - the messages that a connection receives, asked for or not, and
 * those that it sends.
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

/*
 * Returns 1 if it was a message that may come at any time; 0 if not; or -errno.
 */
int torc_pg_take_unasked(struct torc_pg_session *session,
    const struct pg_message *message);

/*
 * Parks. Receive the next message. Returns 0 if it was asked for; 1 if it was
 * not, and is handled already; or -errno. An error that ends the stream is kept
 * in `lost`.
 */
int torc_pg_receive_any(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
/* Parks. Receive the next message that was asked for. */
int torc_pg_receive(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline);

/* Messages in memory, complete before a byte of them is sent. */
struct pg_draft {
	struct pg_writer writer;
	uint8_t memory[2048];	/* it needs no heap up to this */
};

/*
 * Make a draft of what put(writer, arg) writes. Returns 0, -ENOMEM or
 * -EMSGSIZE. After 0, call torc_pg_draft_send() or torc_pg_draft_drop().
 */
int torc_pg_draft_make(struct pg_draft *draft,
    void (*put)(struct pg_writer *writer, void *arg), void *arg);
void torc_pg_draft_drop(struct pg_draft *draft);
/* Parks. */
int torc_pg_draft_send(struct pg_draft *draft, struct torc_pg_session *session,
    torc_deadline deadline);

/*
 * Parks. Write, while no other fiber reads. If the server does not read because
 * its own notices or notifications wait, they are read meanwhile.
 */
int torc_pg_send(struct torc_pg_session *session, const void *data, size_t size,
    torc_deadline deadline);

/* Parks. Write what put(writer, arg) writes, in the same way. */
int torc_pg_write(struct torc_pg_session *session,
    void (*put)(struct pg_writer *writer, void *arg), void *arg,
    torc_deadline deadline);

void torc_pg_stream_free(struct torc_pg_session *session);

#endif
