/* SPDX-License-Identifier: MIT */
/*
 * transport.c - what a transport makes of the bytes of a connection, on their
 * way to the slab, and the order in which they leave.
 */
#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/held.h"
#include "conn/intake.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/shake.h"
#include "conn/shown.h"
#include "conn/slab.h"
#include "conn/transport.h"
#include "reactor/error.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

/*
 * What a transport answers by itself, its peer has to take: one that asks
 * without end, and does not read, ends its connection. A flight of a handshake
 * with a long chain of certificates fits.
 */
#define OVERFLOW_MAX 65536u

void
torc_transport_drop(struct torc_conn *conn)
{
	struct torc_transport *transport = conn->transport;

	torc_sys_free(transport->overflow);
	transport->overflow = NULL;
	transport->overflow_size = 0;
	transport->overflow_max = 0;
}

/* A handshake is over: one more of those that `count` counts. */
static void
count_out(const struct torc_conn *conn, uint64_t *count)
{
	struct torc_gauges *gauge = &conn->reactor->stats_page.page->gauge;

	torc_debug_assert(gauge->handshakes > 0);
	gauge->handshakes--;
	(*count)++;
}

void
torc_transport_name(struct torc_transport *transport, const char *name,
    size_t size)
{
	torc_debug_assert(!transport->ready);
	torc_shown_name(transport->conn, name, size);
}

void
torc_transport_ready(struct torc_transport *transport,
    const struct torc_agreed *agreed)
{
	const struct torc_conn *conn = transport->conn;
	struct torc_counters *counters = conn->reactor->counters;

	torc_assert(!transport->ready && conn->transport == transport);
	torc_shown_ready(conn, agreed);
	transport->ready = true;
	count_out(conn, agreed->resumed ? &counters->handshakes_resumed :
	    &counters->handshakes_full);
	if (agreed->version != TORC_VERSION_UNTOLD)
		counters->handshake_versions[agreed->version - 1]++;
	if (agreed->cipher != TORC_CIPHER_UNTOLD)
		counters->handshake_ciphers[agreed->cipher - 1]++;
}

/* Why its handshake failed: what was found first, or else how it ended. */
static enum torc_failure
failure_of(const struct torc_conn *conn)
{
	const struct torc_transport *transport = conn->transport;

	torc_debug_assert(!transport->ready);
	if (transport->failure != TORC_FAILURE_UNTOLD)
		return transport->failure;
	/* Also where there was none for what is to be sent. */
	if (conn->failed)
		return conn->error == -ENOMEM ? TORC_FAILURE_MEMORY :
		    conn->error == -EPROTO ? TORC_FAILURE_PROTOCOL :
		    TORC_FAILURE_LEFT;
	if (conn->eof)
		return TORC_FAILURE_LEFT;
	return transport->ready_by > 0 &&
	    conn->reactor->now >= transport->ready_by ? TORC_FAILURE_LATE :
	    TORC_FAILURE_ENDED;
}

void
torc_transport_forget(struct torc_conn *conn)
{
	struct torc_transport *transport = conn->transport;
	struct torc_counters *counters = conn->reactor->counters;

	torc_assert(transport->conn == conn && !transport->away);
	if (!transport->ready) {
		count_out(conn, &counters->handshakes_failed);
		counters->handshake_failures[failure_of(conn) - 1]++;
	}
	torc_transport_drop(conn);
	torc_shake_forget(transport);
	torc_held_count(conn, transport->kept, 0);
	transport->kind->free(transport);
}

void
torc_transport_choose(const struct torc_conn *conn, torc_handler **handler,
    void **arg)
{
	struct torc_transport *transport = conn->transport;
	const struct torc_protocol *known = transport->protocols;
	struct torc_slice agreed;

	torc_debug_assert(transport->ready);
	if (known == NULL)
		return;
	transport->protocols = NULL;	/* once */
	agreed = transport->kind->protocol(transport);
	while (known->name != NULL && (strlen(known->name) != agreed.size ||
	    memcmp(known->name, agreed.data, agreed.size) != 0))
		known++;
	if (known->name == NULL)
		return;
	*handler = known->handler;
	*arg = known->arg;
}

/* ---- Protocols ---- */

int
torc_transport_check(const struct torc_transport_maker *maker,
    const struct torc_protocol *protocol, unsigned index,
    struct torc_error *error)
{
	for (; protocol->name != NULL; protocol++) {
		if (protocol->handler == NULL)
			return torc_error_set(error, -EINVAL,
			    "endpoints[%u].protocols: \"%s\" has no handler",
			    index, protocol->name);
		if (maker->offers == NULL ||
		    !maker->offers(maker, protocol->name))
			return torc_error_set(error, -EINVAL,
			    "endpoints[%u].protocols: the transport does not "
			    "offer \"%s\"", index, protocol->name);
	}
	return 0;
}

/* ---- Output ---- */

/* Behind what has no room already. */
static bool
keep(struct torc_transport *transport, const uint8_t *data, uint32_t size)
{
	const uint32_t needed = transport->overflow_size + size;
	uint32_t max = transport->overflow_max;
	uint8_t *bytes;

	torc_debug_assert(size > 0);
	if (needed > OVERFLOW_MAX)
		return false;
	if (needed > max) {
		max = max == 0 ? 512 : max;
		while (max < needed)
			max *= 2;
		bytes = torc_sys_alloc(max);
		if (bytes == NULL)
			return false;
		if (transport->overflow_size > 0)
			memcpy(bytes, transport->overflow,
			    transport->overflow_size);
		torc_sys_free(transport->overflow);
		transport->overflow = bytes;
		transport->overflow_max = max;
	}
	memcpy(transport->overflow + transport->overflow_size, data, size);
	transport->overflow_size = needed;
	return true;
}

/* Into the slab, as much as it takes of it: how much that was. */
static uint32_t
stow_some(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	const uint32_t room = torc_slab_size(conn->net) - conn->slab_end;
	const uint32_t part = size < room ? size : room;

	if (part > 0 && !torc_slab_stow(conn, data, part)) {
		torc_send_fail(conn, -ENOMEM);
		return 0;
	}
	return part;
}

void
torc_transport_emit(struct torc_transport *transport, const uint8_t *data,
    uint32_t size)
{
	struct torc_conn *conn = transport->conn;
	uint32_t part;

	if (conn->send_failed || size == 0)
		return;
	if (!transport->opening)
		transport->answers = false;
	else if (torc_send_idle(conn))
		transport->answers = true;
	part = stow_some(conn, data, size);
	/* Nothing overtakes what overflowed: the slab is full. */
	torc_assert(part == 0 || transport->overflow_size == 0);
	if (!conn->send_failed && part < size &&
	    !keep(transport, data + part, size - part))
		torc_send_fail(conn, -ENOMEM);
	torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_transport_refill(struct torc_conn *conn)
{
	struct torc_transport *transport = conn->transport;
	uint32_t part;

	if (transport->overflow_size == 0 || conn->slab != NULL)
		return;
	part = stow_some(conn, transport->overflow, transport->overflow_size);
	transport->overflow_size -= part;
	if (transport->overflow_size == 0 || conn->send_failed)
		torc_transport_drop(conn);
	else
		memmove(transport->overflow, transport->overflow + part,
		    transport->overflow_size);
}

uint32_t
torc_transport_room(const struct torc_conn *conn)
{
	const struct torc_transport_kind *kind = conn->transport->kind;
	const uint32_t record = kind->record_max + kind->overhead;
	uint32_t room = torc_slab_size(conn->net) - conn->slab_end;
	uint32_t rest;

	if (conn->transport->overflow_size > 0)
		return 0;
	rest = room % record;
	room = room / record * kind->record_max;
	return rest > kind->overhead ? room + rest - kind->overhead : room;
}

bool
torc_transport_stow(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	struct torc_transport *transport = conn->transport;
	int rc;

	torc_assert(transport->ready && !transport->closed);
	torc_assert(size <= torc_transport_room(conn));
	rc = transport->kind->seal(transport, data, size);
	if (rc < 0)
		torc_send_fail(conn, rc);
	return !conn->send_failed;
}

void
torc_transport_close(struct torc_conn *conn)
{
	struct torc_transport *transport = conn->transport;

	if (transport->closed || conn->send_failed)
		return;
	torc_debug_assert(conn->staged_size == 0);
	transport->kind->close(transport);
	transport->closed = true;
}

/* ---- Input ---- */

bool
torc_transport_open(struct torc_conn *conn, uint8_t **data, uint32_t *size,
    uint32_t *bid)
{
	struct torc_transport *transport = conn->transport;
	const uint32_t room = transport->kind->room(transport, *size);
	const uint32_t kept = transport->kept;
	uint8_t *out = *data;
	uint32_t opened;

	torc_assert(!transport->away);
	torc_debug_assert(*size > 0 && !conn->doomed);
	if (room > 0)
		out = torc_held_alloc(conn, room);
	transport->opening = true;
	if (out != NULL)
		opened = transport->kind->open(transport, *data, *size, out);
	transport->opening = false;
	torc_held_count(conn, kept, transport->kept);
	if (room > 0) {
		torc_held_let_go(conn, *data, *size, *bid);
		*bid = TORC_NO_BID;
		*size = room;
	}
	if (out == NULL)
		return false;
	torc_assert(opened <= *size);
	if (opened == 0)
		torc_held_let_go(conn, out, *size, *bid);
	else if (*bid == TORC_NO_BID)
		torc_held_trim(conn, *size, opened);
	*data = out;
	*size = opened;
	return true;
}

void
torc_transport_take_back(struct torc_conn *conn)
{
	struct torc_transport *transport = conn->transport;
	const uint32_t kept = transport->kept;

	torc_assert(!transport->away && transport->kind->back != NULL);
	transport->opening = true;
	transport->kind->back(transport);
	transport->opening = false;
	torc_held_count(conn, kept, transport->kept);
}

bool
torc_transport_has_left(const struct torc_transport *transport)
{
	return torc_sys_has_ended(transport->conn->fd) > 0;
}

/* ---- The beginning ---- */

/* Parks. No receive of clear text is in the kernel any more. */
static int
end_clear_text(struct torc_conn *conn, torc_deadline deadline)
{
	int rc = torc_conn_flush(conn, deadline);

	torc_intake_hold(conn);
	while (rc == 0 && conn->armed) {
		torc_intake_end(conn);
		torc_fiber_step_aside(conn->reactor);
		if (conn->reactor->current->cancelled)
			rc = -ECANCELED;
	}
	if (rc < 0)
		return rc;
	if (conn->failed)
		return conn->error;
	/* Nobody has vouched for what came. */
	return torc_recv_news(conn) || conn->view_size > 0 ? -EPROTO : 0;
}

/* Parks. */
static int
await_ready(struct torc_conn *conn, torc_deadline deadline)
{
	struct torc_transport *transport = conn->transport;
	struct torc_slice unread;
	int rc = 0;

	while (rc >= 0 && !transport->ready && !conn->eof && !conn->failed)
		rc = torc_recv_park(conn, &unread, deadline);
	if (transport->ready && rc >= 0)
		return 0;
	if (rc < 0 && transport->failure == TORC_FAILURE_UNTOLD)
		transport->failure = rc == -ETIMEDOUT ? TORC_FAILURE_LATE :
		    TORC_FAILURE_ENDED;
	return rc < 0 ? rc : conn->failed ? conn->error : -ENOLINK;
}

int
torc_transport_begin(struct torc_conn *conn, struct torc_transport *transport,
    torc_deadline deadline)
{
	int rc;

	torc_conn_require_fiber(conn);
	torc_assert(conn->transport == NULL && conn->handler == NULL);
	torc_assert(conn->reader == NULL && !conn->awaited);
	rc = end_clear_text(conn, deadline);
	if (rc < 0) {
		transport->kind->free(transport);
		return rc;
	}
	torc_conn_set_transport(conn, transport);
	transport->kind->begin(transport);
	if (transport->error != 0)
		return transport->error;
	torc_intake_want(conn);
	return await_ready(conn, deadline);
}

/* In words, if its transport has none. */
static const char *
explain(const struct torc_conn *conn, int code)
{
	switch (code) {
	case -EPROTO:
		return conn->transport == NULL ?
		    "it sent something before it was asked to begin" :
		    "it does not keep to the protocol";
	case -ENOLINK:
		return "it closed the connection";
	case -ETIMEDOUT:
		return "it took too long";
	default:
		return strerror(-code);
	}
}

int
torc_transport_dial(struct torc_conn *conn,
    struct torc_transport_dialler *dialler,
    const struct torc_transport_wish *wish, struct torc_error *error,
    torc_deadline deadline)
{
	struct torc_transport *transport;
	const char *why = NULL;
	int rc;

	transport = dialler->make(dialler, wish->name, wish->trust);
	if (transport != NULL && wish->protocol != NULL &&
	    !dialler->offer(transport, wish->protocol)) {
		transport->kind->free(transport);
		transport = NULL;
	}
	if (transport == NULL)
		return torc_error_set(error, -ENOMEM, "handshake with %s: no "
		    "memory", wish->name);
	rc = torc_transport_begin(conn, transport, deadline);
	if (rc == 0)
		return 0;
	if (conn->transport != NULL)
		why = dialler->why(conn->transport);
	if (why == NULL)
		why = explain(conn, rc);
	return torc_error_set(error, rc, "handshake with %s: %s", wish->name,
	    why);
}
