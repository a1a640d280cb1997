/* SPDX-License-Identifier: MIT */
/*
 * nature.h - what a statement does to its connection and to a transaction,
 * judged by its text. The server's answer decides.
 */
#ifndef TORC_PG_NATURE_H
#define TORC_PG_NATURE_H

#include <stdbool.h>

enum pg_nature {
	PG_UNDOABLE = 1,	/* undone by a failure in its transaction */
	PG_BEGINS = 2,		/* a transaction */
	PG_ENDS = 4,		/* a transaction, in some way */
	PG_STAYS = 8,		/* changes the session for all that follow */
	PG_COPIES = 16,		/* COPY through the connection */
	PG_PASSES = 32,		/* changes it for this transaction alone */
	PG_HIDES = 64,		/* what it does is not in its text */
};

/* Returns the sum of the above for a text of one statement. */
unsigned torc_pg_nature_of(const char *sql);

/* Returns whether a command tag stands for a change that may stay. */
bool torc_pg_tag_stays(const char *tag);

/*
 * Returns whether the statement `index` of a text, from 0, commits, or prepares
 * to commit.
 */
bool torc_pg_commits(const char *sql, unsigned index);

#endif
