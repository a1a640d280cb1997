/* SPDX-License-Identifier: MIT */
/*
 * carry.h - makes messages of received bytes. A message that arrives in pieces
 * is put together here; one that is longer than allowed is skipped.
 */
#ifndef TORC_PG_CARRY_H
#define TORC_PG_CARRY_H

#include "conn/pg/wire.h"

/* The state of an incomplete message. All zero at first. */
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
 * Take the next message from the view. Returns 1; 0 if it is incomplete (the
 * whole view was taken); or a negative errno. A message is skipped if it has
 * more than `most` bytes, or if there is no memory for it. It is then returned
 * without its data; an error or a notice has as much as there is room for. A
 * type that is never so long is -EPROTO.
 */
int torc_pg_carry_next(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most);
void torc_pg_carry_free(struct pg_carry *carry);

/* Whether there is no incomplete message. */
static inline bool
pg_carry_is_empty(const struct pg_carry *carry)
{
	return carry->head_size == 0 || carry->whole;
}

#endif
