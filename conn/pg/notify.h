/* SPDX-License-Identifier: MIT */
/* notify.h - a queue of notifications. */
#ifndef TORC_PG_NOTIFY_H
#define TORC_PG_NOTIFY_H

#include "conn/pg/wire.h"

struct torc_pg_session;

/* A notification that waits, with its texts after it. */
struct pg_note {
	struct pg_note *next;
	size_t size;
	struct torc_pg_notification note;
	char texts[];
};

struct pg_notes {
	struct pg_note *first;
	struct pg_note *last;
	struct pg_note *given;
	size_t size;
	bool lost;
};

void torc_pg_notes_free(struct pg_notes *notes);
int torc_pg_notes_add(struct torc_pg_session *session,
    const struct pg_notification *notification);

#endif
