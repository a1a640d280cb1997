/* SPDX-License-Identifier: MIT */
/*
 * transport.h - what lies between the bytes of a connection and its socket: the
 * seam where TLS is put in. Clear text has none, and pays nothing for it.
 *
 * Input. What comes from the socket of a connection with a transport is opened
 * on the loop's stack: as it comes, or when it is the turn of its handshake
 * (shake.h). Only what it says goes on: so views,
 * pieces, shares and back-pressure know nothing of records. It is opened where
 * it lies, in the receive buffer, unless a record began in an earlier one.
 *
 * Output. Bytes are staged as they are, so several answers share a record.
 * They are sealed on their way into the slab, which is the only place that they
 * are sent from: no call gives the kernel anything else of such a connection.
 *
 * Life. A connection that was accepted has no fiber before its transport is
 * ready; it counts as one that waits for its first request.
 */
#ifndef TORC_CONN_TRANSPORT_H
#define TORC_CONN_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "reactor/counters.h"

struct torc_error;
struct torc_transport;

/* One kind of transport. Its functions never park. */
struct torc_transport_kind {
	/*
	 * How many bytes of memory torc_transport_kind.open() needs for what
	 * `size` more bytes say. 0: no more than they are, and it may be
	 * written over them.
	 */
	uint32_t (*room)(const struct torc_transport *transport,
	    uint32_t size);
	/*
	 * Take all of `data`, and write what it says to `out`: how many bytes
	 * that is. Sets `ended`, `error`, `kept` and `missing`, and says so
	 * once when it is ready (torc_transport_ready()). Whatever is to be
	 * answered goes to torc_transport_emit().
	 */
	uint32_t (*open)(struct torc_transport *transport, const uint8_t *data,
	    uint32_t size, uint8_t *out);
	/* Give `data` in records to torc_transport_emit(). 0 or an errno. */
	int (*seal)(struct torc_transport *transport, const uint8_t *data,
	    uint32_t size);
	/* The same for the news that no more will be sent. */
	void (*close)(struct torc_transport *transport);
	/* Of a connection that was dialled: what the client says first. It may
	 * set `error`. */
	void (*begin)(struct torc_transport *transport);
	/* A thread has done what it left for (torc_transport_leave()): take
	 * that over, as torc_transport_kind.open() would have. NULL: this kind
	 * never leaves. */
	void (*back)(struct torc_transport *transport);
	/* It is idle: give memory back. */
	void (*rest)(struct torc_transport *transport);
	void (*free)(struct torc_transport *transport);
	/* What ALPN chose, of one that is ready; of size 0: nothing. NULL: this
	 * kind has no ALPN. */
	struct torc_slice (*protocol)(const struct torc_transport *transport);
	uint32_t overhead;	/* bytes that a record has beside its own */
	uint32_t record_max;	/* bytes of its own, at most */
};

/*
 * The transport of one connection, at the beginning of a structure of its kind.
 * Each member is written by one file alone:
 *
 *     transport.c: conn ready closed opening answers protocols overflow
 *         overflow_size overflow_max
 *     conn.c: ready_by
 *     shake.c: shaking waits waits_size stepped away
 *     the kind: all others
 */
struct torc_transport {
	const struct torc_transport_kind *kind;
	struct torc_conn *conn;
	bool ready;		/* bytes may go both ways */
	bool ended;		/* the peer has said that it sends no more */
	bool closed;		/* we have */
	bool opening;		/* what is emitted now is its own answer */
	bool answers;		/* all that is unsent is */
	int error;		/* what is wrong with what came; or 0 */
	enum torc_failure failure;	/* why its handshake failed, if it is
					 * known before the end */
	uint64_t ready_by;	/* of one that was accepted: or it is late */
	uint32_t kept;		/* bytes that wait for the rest of a record */
	uint32_t missing;	/* bytes of the rest, or of a part of it */
	const struct torc_protocol *protocols;	/* whose handlers it may come
						 * to; NULL: none, or it has */
	uint8_t *overflow;	/* records that the slab has no room for */
	uint32_t overflow_size;
	uint32_t overflow_max;
	struct torc_node shaking;	/* it waits for its turn */
	uint8_t *waits;		/* ... with what came of its handshake */
	uint32_t waits_size;
	bool stepped;		/* it has had a turn */
	bool away;		/* a thread has it: nothing is opened */
};

/* What a handshake has agreed on, for those who count them. */
struct torc_agreed {
	enum torc_version version;
	enum torc_cipher cipher;
	bool resumed;		/* a session goes on */
};

/* Makes the transports of the connections that a listener accepts. */
struct torc_transport_maker {
	/* NULL: no memory. It must not touch the connection. */
	struct torc_transport *(*make)(struct torc_transport_maker *maker);
	unsigned ready_ms;	/* it is to be ready in so long */
	/* Whether its transports may agree on this protocol. NULL: on none. */
	bool (*offers)(const struct torc_transport_maker *maker,
	    const char *protocol);
};

/* Whom a connection that is dialled believes. */
enum torc_trust {
	TORC_TRUST_NAME = 0,	/* one whose certificate is signed by somebody
				 * that is trusted, and names it */
	TORC_TRUST_SIGNER,	/* one whose certificate is so signed */
	TORC_TRUST_ANYBODY,
};

/*
 * Makes the transports of connections that are dialled. Clients take one in
 * their configurations (torc_tls.h), so that they link no kind of transport.
 */
struct torc_transport_dialler {
	/*
	 * `name`: whom the certificate has to name, a host name or an address
	 * in text. It is copied. NULL: no memory.
	 */
	struct torc_transport *(*make)(struct torc_transport_dialler *dialler,
	    const char *name, enum torc_trust trust);
	/*
	 * Before one begins: offer this protocol by ALPN, and none but it.
	 * False: no memory.
	 */
	bool (*offer)(struct torc_transport *transport, const char *protocol);
	/* What ALPN chose, of one that is ready; of size 0: nothing. */
	struct torc_slice (*protocol)(const struct torc_transport *transport);
	/*
	 * tls-server-end-point of the peer's certificate (RFC 5929): its size,
	 * or -EOPNOTSUPP: none is defined for it.
	 */
	int (*binding)(const struct torc_transport *transport,
	    uint8_t out[64]);
	/* Why it failed, in words; NULL: nothing is known. */
	const char *(*why)(const struct torc_transport *transport);
	bool has_ca;	/* the program has said whom it trusts */
};

/* What a client wants of a dialler. */
struct torc_transport_wish {
	const char *name;
	enum torc_trust trust;
	const char *protocol;	/* NULL: what the dialler offers by itself */
};

/* Bytes that it holds for want of the rest of a record. */
static inline uint32_t
torc_transport_kept(const struct torc_conn *conn)
{
	return conn->transport != NULL ? conn->transport->kept : 0;
}

/* Whether nothing is unsent but what its transport answers by itself. */
static inline bool
torc_transport_answers(const struct torc_conn *conn)
{
	return conn->transport != NULL && conn->transport->answers &&
	    conn->staged_size == 0;
}

/* A thread has its transport: the connection cannot be freed. */
static inline bool
torc_transport_is_away(const struct torc_conn *conn)
{
	return conn->transport != NULL && conn->transport->away;
}

/* Bytes of its handshake that wait for their turn: see shake.h. */
static inline uint32_t
torc_transport_waits(const struct torc_conn *conn)
{
	return conn->transport != NULL ? conn->transport->waits_size : 0;
}

/*
 * What a connection asks of its transport. Weak: a program that has no kind of
 * transport links none of it, since nothing else asks for transport.c.
 */
#define TORC_ASKED __attribute__((weak))

/* Whether handlers for protocols can be used: endpoints[index].protocols. */
TORC_ASKED int torc_transport_check(const struct torc_transport_maker *maker,
    const struct torc_protocol *protocol, unsigned index,
    struct torc_error *error);

/* What it has agreed on may have a handler of its own: now it is ready. */
TORC_ASKED void torc_transport_choose(const struct torc_conn *conn,
    torc_handler **handler, void **arg);

/* The connection is over. */
TORC_ASKED void torc_transport_forget(struct torc_conn *conn);

/*
 * Open bytes that came: `*data`, `*size` and `*bid` are what they say, which
 * may be nothing, instead of what they are. False: no memory, they are lost.
 */
TORC_ASKED bool torc_transport_open(struct torc_conn *conn, uint8_t **data,
    uint32_t *size, uint32_t *bid);

/* Take over what a thread has done of its handshake. */
TORC_ASKED void torc_transport_take_back(struct torc_conn *conn);

/* How many bytes, before they are sealed, the slab has room for. */
TORC_ASKED uint32_t torc_transport_room(const struct torc_conn *conn);
/* Seal bytes into the slab. There is room. False: sending is to fail. */
TORC_ASKED bool torc_transport_stow(struct torc_conn *conn,
    const uint8_t *data, uint32_t size);
/* A slab was sent: what did not fit into it goes on in the next one. */
TORC_ASKED void torc_transport_refill(struct torc_conn *conn);
/* What was sealed, and not sent, is not to be. */
TORC_ASKED void torc_transport_drop(struct torc_conn *conn);
/* Say that no more will be sent; once. */
TORC_ASKED void torc_transport_close(struct torc_conn *conn);

/*
 * For kinds: the host that the client asks for, which tools are shown; of size
 * 0: none. To be called before the handshake is done, also if there is none.
 */
TORC_BESIDE void torc_transport_name(struct torc_transport *transport,
    const char *name, size_t size);

/* For kinds: its handshake is done. */
TORC_BESIDE void torc_transport_ready(struct torc_transport *transport,
    const struct torc_agreed *agreed);

/*
 * For kinds: whether the peer has ended its side, or all: a handshake that
 * needs more of it is not worth its next step.
 */
TORC_BESIDE bool torc_transport_has_left(
    const struct torc_transport *transport);

/*
 * For kinds, of one that is not ready: the next step of its handshake takes
 * long, and a thread does it. What comes meanwhile waits, and the connection
 * lives until torc_transport_back() is called, on its reactor's thread.
 */
TORC_BESIDE void torc_transport_leave(struct torc_transport *transport);
TORC_BESIDE void torc_transport_back(struct torc_transport *transport);
/* For kinds: whether another handshake waits for a step of this turn. */
TORC_BESIDE bool torc_transport_in_line(
    const struct torc_transport *transport);

/*
 * For kinds: these bytes are sent as they are, behind those before them. If
 * there is no memory for them, or the peer takes none of them and asks for
 * ever more, the connection has failed.
 */
TORC_BESIDE void torc_transport_emit(struct torc_transport *transport,
    const uint8_t *data, uint32_t size);

/*
 * Parks. Give a connection that was dialled a transport, when all that was
 * written is sent, and wait until it is ready. The transport is the
 * connection's in any case, or freed. 0, or a negative errno: that of the
 * transport, of the connection, -EPROTO if the peer has sent something before
 * it, -ENOLINK if it has ended it, -ETIMEDOUT, -ECANCELED. Then the connection
 * is good for nothing but to be closed.
 */
int torc_transport_begin(struct torc_conn *conn,
    struct torc_transport *transport, torc_deadline deadline);

/*
 * Parks. The same with a transport that a dialler makes. Returns as
 * torc_transport_begin(), or -ENOMEM; `error` (may be NULL) says why.
 */
TORC_ASKED TORC_BESIDE int torc_transport_dial(struct torc_conn *conn,
    struct torc_transport_dialler *dialler,
    const struct torc_transport_wish *wish, struct torc_error *error,
    torc_deadline deadline);

#endif
