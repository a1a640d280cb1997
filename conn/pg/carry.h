/* SPDX-License-Identifier: MIT */
/*
 * carry.h - bytes as they were received, to messages. One that came in pieces
 * is put together here; one that is longer than allowed is read past.
 */
#ifndef TORC_PG_CARRY_H
#define TORC_PG_CARRY_H

#include "conn/pg/wire.h"

/* Of a message that is not whole yet. All zero at first. */
struct pg_carry {
	uint8_t head[PG_HEADER];
	unsigned head_size;	/* of that, so much has come */
	int lost;		/* why it is read past, or 0 */
	size_t size;		/* behind the head */
	size_t used;		/* of that, so much has come, */
	size_t kept;		/* and so much of it is in `data`, */
	size_t most;		/* and no more will be */
	uint8_t *data;
	size_t room;		/* there, without the end of a text */
	bool whole;		/* it was given, and is done with */
};

/*
 * The next message of what was received: 1, 0 if it is not whole (then all of
 * the view was taken), or a negative errno. A message of more than `most`
 * bytes, or for which there is no memory, is read past and given without its
 * data, or with as much of an error or notice as there is room for; unless
 * nothing that is so long makes sense there: -EPROTO.
 */
int torc_pg_carry_next(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most);
void torc_pg_carry_free(struct pg_carry *carry);

/* Whether there is no part of a message. */
static inline bool
pg_carry_is_empty(const struct pg_carry *carry)
{
	return carry->head_size == 0 || carry->whole;
}

#endif
