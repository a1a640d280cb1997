/* SPDX-License-Identifier: MIT */
/*
 * choose.c - input of a connection, beside other things that a fiber waits
 * for. It is told as a reader is, and leaves what came to the next receive.
 */
#include <errno.h>

#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/recv.h"
#include "conn/room.h"
#include "conn/send.h"
#include "conn/view.h"
#include "reactor/choose.h"
#include "reactor/fiber.h"

struct input {
	struct torc_slice seen;	/* by nobody: see recognise() */
	uint32_t view_size;	/* when the wait began */
	bool told;		/* it is what was chosen */
};
TORC_FITS_CHOICE(struct input);

static bool
look(struct torc_choice *choice)
{
	struct torc_conn *conn = choice->object;

	torc_conn_require_fiber(conn);
	torc_require(conn->reader == NULL,
	    "two fibers receive on one connection");
	if (conn->staged_size > 0)
		torc_send_staged(conn);
	torc_view_rewind(conn);
	choice->result = 0;
	return torc_recv_news(conn);
}

/* Why there is nothing to wait for; or 0. */
static int
refuse(struct torc_choice *choice, struct torc_chooser *chooser)
{
	struct torc_conn *conn = choice->object;
	struct torc_reactor *reactor = chooser->reactor;

	torc_debug_assert(conn->reader == NULL);
	/* As for any reader: see torc_conn_recv(). */
	if (reactor->phase == TORC_PHASE_DRAINING && conn->handler != NULL &&
	    !conn->unfinished && conn->view_size == 0) {
		const uint64_t idle_by = torc_drain_idle_by(conn);

		if (idle_by <= reactor->due)
			return -ESHUTDOWN;
		torc_chooser_set_time(chooser, choice, idle_by);
	}
	if (conn->view_size >= reactor->config.held_max)
		return -ENOBUFS;
	return torc_view_keep(conn);
}

static bool
begin(struct torc_choice *choice, struct torc_chooser *chooser)
{
	struct torc_conn *conn = choice->object;
	struct input *input = torc_choice_room(choice, struct input);

	torc_debug_assert(conn->reader == NULL && !torc_recv_news(conn));
	choice->result = refuse(choice, chooser);
	if (choice->result < 0)
		return true;
	*input = (struct input) { .view_size = conn->view_size };
	torc_recv_enter(conn, &input->seen);
	return false;
}

/* What came for a reader counts as shown to it; here nobody has seen it. */
static void
recognise(struct torc_conn *conn, const struct input *input)
{
	torc_debug_assert(conn->rewound || input->view_size <= conn->view_size);
	if (input->view_size == 0 && conn->view_size > 0)
		torc_view_renew(conn);
}

static bool
happened(struct torc_choice *choice, int rc)
{
	struct torc_conn *conn = choice->object;
	struct input *input = torc_choice_room(choice, struct input);

	torc_debug_assert(conn->reader == conn->reactor->current);
	recognise(conn, input);
	/* A call that another fiber ends, which closes the connection. */
	if (rc == -ECANCELED)
		return false;
	input->told = torc_recv_news(conn) ||
	    (rc == -ESHUTDOWN && (conn->silent || conn->evicted));
	choice->result = torc_recv_news(conn) ? 0 : -ESHUTDOWN;
	return input->told;
}

static void
expire(struct torc_choice *choice)
{
	struct torc_conn *conn = choice->object;

	torc_drain_set_silent(conn, true);
	choice->result = -ESHUTDOWN;
}

static void
end(struct torc_choice *choice)
{
	struct torc_conn *conn = choice->object;
	const struct input *input = torc_choice_room(choice, struct input);

	torc_debug_assert(conn->reader == conn->reactor->current);
	recognise(conn, input);
	torc_recv_leave(conn);
	/* It was asked to make room while something else happened. */
	if (conn->evicted && !input->told && !conn->failed)
		torc_room_keep(conn);
}

static const struct torc_choice_kind of_input = {
	.look = look,
	.begin = begin,
	.happened = happened,
	.expire = expire,
	.end = end,
};

struct torc_choice
torc_choice_input(struct torc_conn *conn)
{
	torc_conn_require(conn);
	return (struct torc_choice) { .kind = &of_input, .object = conn };
}
