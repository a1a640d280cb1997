/* SPDX-License-Identifier: MIT */
/* carry.c - puts received bytes together to messages. */
#include "conn/pg/carry.h"

#include <errno.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/trap.h"

#define CARRY_KEEP 16384u	/* more is not kept for the next message */
#define END 2u			/* of a text that was cut, and of its fields */

/* What must agree between any two calls. */
static void
check(const struct pg_carry *carry)
{
	torc_assert(carry->head_size <= PG_HEADER);
	torc_assert(carry->kept <= carry->used && carry->used <= carry->size);
	torc_assert(carry->kept <= carry->room || carry->kept == 0);
	torc_assert(carry->lost != 0 || carry->kept == carry->used);
}

void
torc_pg_carry_free(struct pg_carry *carry)
{
	torc_sys_free(carry->data);
	memset(carry, 0, sizeof(*carry));
}

/*
 * Types of messages that data can make long. Other messages have a small limit.
 */
static bool
may_be_long(uint8_t type)
{
	switch (type) {
	case PG_DATA_ROW:
	case PG_ROW_DESCRIPTION:
	case PG_COPY_DATA:
	case PG_ERROR:
	case PG_NOTICE:
	case PG_NOTIFICATION:
	case PG_PARAMETER_STATUS:
		return true;
	default:
		return false;
	}
}

/*
 * Types whose beginning is useful: the first fields of a report are its state
 * and its text.
 */
static bool
is_report(uint8_t type)
{
	return type == PG_ERROR || type == PG_NOTICE;
}

/* A message begins. At most `most` of its bytes are kept. */
static int
read_past(struct pg_carry *carry, size_t most, int error)
{
	torc_assert(carry->lost == 0 && most < carry->size);
	if (!may_be_long(carry->head[0]))
		return error == -EMSGSIZE ? -EPROTO : error;
	carry->lost = error;
	if (is_report(carry->head[0])) {
		carry->most = most;
		return 1;
	}
	torc_sys_free(carry->data);
	carry->data = NULL;
	carry->room = 0;
	carry->kept = 0;
	carry->most = 0;
	return 1;
}

/* Returns 1 when the head is complete; 0 if the view was used up; or -errno. */
static int
carry_head(struct pg_carry *carry, struct torc_slice *view, size_t most)
{
	long frame;

	if (carry->head_size == PG_HEADER)
		return 1;
	while (carry->head_size < PG_HEADER && view->size > 0) {
		carry->head[carry->head_size++] = *view->data++;
		view->size--;
	}
	if (carry->head_size < PG_HEADER)
		return 0;
	frame = torc_pg_frame_size(carry->head, PG_HEADER, SIZE_MAX);
	if (frame < 0)
		return (int)frame;
	carry->size = (size_t)frame - PG_HEADER;
	carry->most = carry->size;
	return (size_t)frame > most ?
	    read_past(carry, most - PG_HEADER, -EMSGSIZE) : 1;
}

/* Memory grows with the bytes received, not with an announced length. */
static bool
make_room(struct pg_carry *carry, size_t more)
{
	size_t room = 2 * (carry->kept + more);
	uint8_t *data;

	if (more <= carry->room - carry->kept)
		return true;
	if (room > carry->most)
		room = carry->most;
	data = torc_sys_realloc(carry->data, room + END);
	if (data == NULL)
		return false;
	carry->data = data;
	carry->room = room;
	return true;
}

/* Keep received bytes. Returns 1, or -errno. */
static int
keep(struct pg_carry *carry, const uint8_t *data, size_t size)
{
	if (size > carry->most - carry->kept)
		size = carry->most - carry->kept;
	if (size == 0)
		return 1;
	if (!make_room(carry, size)) {
		if (carry->lost == 0)
			return read_past(carry, carry->kept, -ENOMEM);
		carry->most = carry->kept;
		return 1;
	}
	memcpy(carry->data + carry->kept, data, size);
	carry->kept += size;
	return 1;
}

/* Returns where a text of UTF-8 can be cut: at its end, or before that. */
static size_t
cut_at(const uint8_t *text, size_t size)
{
	size_t begin = size;

	while (begin > 0 && size - begin < 4) {
		const uint8_t byte = text[--begin];
		const size_t length = byte < 0x80 ? 1 : byte < 0xc0 ? 0 :
		    byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;

		if (length > 0)
			return begin + length <= size ? size : begin;
	}
	return size;		/* it is no UTF-8 */
}

/* A report that was cut has no end: end it after a character. */
static size_t
end_report(struct pg_carry *carry)
{
	const size_t size = cut_at(carry->data, carry->kept);

	memset(carry->data + size, 0, END);
	return size + END;
}

static int
carry_on(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most)
{
	int rc = carry_head(carry, view, most);
	size_t more;

	if (rc <= 0)
		return rc;
	more = carry->size - carry->used;
	if (more > view->size)
		more = view->size;
	rc = keep(carry, view->data, more);
	if (rc < 0)
		return rc;
	carry->used += more;
	view->data += more;
	view->size -= more;
	check(carry);
	if (carry->used < carry->size)
		return 0;
	carry->whole = true;
	*message = (struct pg_message) { carry->head[0], carry->data,
		carry->lost == 0 || carry->kept == 0 ? carry->kept :
		end_report(carry), carry->lost };
	return 1;
}

/* The last message is not needed any more. */
static void
begin_again(struct pg_carry *carry)
{
	if (carry->room > CARRY_KEEP) {
		torc_pg_carry_free(carry);
		return;
	}
	carry->head_size = 0;
	carry->lost = 0;
	carry->size = 0;
	carry->used = 0;
	carry->kept = 0;
	carry->most = 0;
	carry->whole = false;
}

int
torc_pg_carry_next(struct pg_carry *carry, struct pg_message *message,
    struct torc_slice *view, size_t most)
{
	long taken;

	if (carry->whole)
		begin_again(carry);
	check(carry);
	if (carry->head_size > 0)
		return carry_on(carry, message, view, most);
	taken = torc_pg_read_message(message, view->data, view->size, most);
	if (taken == -EMSGSIZE || (taken == 0 && view->size > 0))
		return carry_on(carry, message, view, most);
	if (taken <= 0)
		return (int)taken;
	view->data += taken;
	view->size -= (size_t)taken;
	return 1;
}
