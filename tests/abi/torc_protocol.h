/* SPDX-License-Identifier: MIT */
/*
 * torc_protocol.h - what the author of a protocol needs of a connection, in
 * addition to torc.h. The protocol may be that of a server or of a client. The
 * conventions of torc.h apply.
 */
#ifndef TORC_PROTOCOL_H
#define TORC_PROTOCOL_H

#include "torc.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Returns whether a connection can be used as if it were new. This is so if no
 * end and no error of it was seen, nothing received is unread, and nothing
 * written is unsent. An end that is still on its way was not seen yet, so the
 * first request on an idle connection may still fail.
 */
TORC_API bool torc_conn_usable(struct torc_conn *conn);

/*
 * Rewind the view: the next torc_conn_recv() shows it again, at once, but
 * without its first `size` bytes. These bytes can be read until that call, and
 * are consumed by it. So a module that reads a message can hand on the bytes
 * that came behind it. To consume anything before that call undoes the rewind.
 */
TORC_API void torc_conn_rewind(struct torc_conn *conn, size_t size);

/*
 * Say whether a connection is in the middle of a request. The handler may wait
 * for input with everything consumed and yet be in the middle of one, for
 * example in a body. When a connection must make room for another, one that is
 * not busy gives way first: its torc_conn_recv() returns -ESHUTDOWN. A busy one
 * gives way only if its peer is silent in the middle of something: its calls
 * return -ECONNABORTED. At first a connection is not busy.
 */
TORC_API void torc_conn_set_busy(struct torc_conn *conn, bool busy);

/*
 * Allocate memory that goes with a connection. It has `size` bytes, all zero,
 * and counts as input that the connection holds (`held_total`). It may be
 * allocated piece by piece. Both torc_conn_forget() and the end of the
 * connection free all of it, so only one module at a time may use this. Returns
 * NULL if there is no memory.
 */
TORC_API void *torc_conn_memory(struct torc_conn *conn, size_t size);
TORC_API void torc_conn_forget(struct torc_conn *conn);

/*
 * Returns how many bytes one torc_conn_write() now takes without parking. A
 * fiber that writes more, while requests of other fibers are staged, should
 * flush first: a flush that times out harms no other request, but a write that
 * times out takes the staged ones with it.
 */
TORC_API size_t torc_conn_room(const struct torc_conn *conn);

/*
 * Parks. Lend the socket of a connection, so that other calls than torc's can
 * write to it. The call first waits until everything written is sent. The
 * descriptor that it returns still belongs to torc: do not close it. It is in
 * blocking mode, which must not be changed: write with MSG_DONTWAIT, or by
 * operations of a ring. Until torc_conn_give_back(), any other write to the
 * connection stops the process, and the connection must not be closed. It can
 * still receive. Returns the descriptor, or: -EOPNOTSUPP bytes do not go
 * through the socket as they are, since they are encrypted; -EPIPE
 * torc_conn_shutdown() was called; another negative errno as torc_conn_flush().
 * After an error nothing is lent. After -ETIMEDOUT and -ECANCELED the
 * connection can be used as before.
 */
TORC_API int torc_conn_lend(struct torc_conn *conn, torc_deadline deadline);

/*
 * Give a lent socket back. The borrower must not write to it any more. `error`
 * is 0, or a negative errno if part of a message may be missing. After an error
 * the connection cannot be written to, and calls that write return this error.
 */
TORC_API void torc_conn_give_back(struct torc_conn *conn, int error);

/*
 * Give up writing, because a part of a message may be missing. What is not sent
 * yet is dropped. Later calls that write return `error`, a negative errno. The
 * connection can still receive. No other fiber may be writing: that stops the
 * process.
 */
TORC_API void torc_conn_fail(struct torc_conn *conn, int error);

/* ---- Patience ---- */

/*
 * A pace says how long to wait for a peer that moves bytes. It is a clock that
 * runs only while a call waits for the peer. When the peer moves bytes, the
 * clock goes back by the time that these bytes take at the minimum rate. So a
 * peer that stands still has the given number of milliseconds, and a steady
 * peer has as long as it needs. A peer that sends drop by drop runs out of
 * time.
 */
struct torc_pace {
	uint64_t most_ns;	/* the whole time; UINT64_MAX: no limit */
	uint64_t left_ns;	/* the time that is left */
	uint32_t rate;		/* bytes per second; 0: any byte is enough */
};

/* Begin with the whole time. `ms`, `rate`: TORC_NO_LIMIT for none. */
TORC_API void torc_pace_init(struct torc_pace *pace, unsigned ms,
    unsigned rate);
/* The earlier of a deadline and the time at which the patience ends. */
TORC_API torc_deadline torc_pace_until(const struct torc_pace *pace,
    torc_deadline deadline);
/* Note a wait that began at `since`, in which the peer moved `bytes`. */
TORC_API void torc_pace_note(struct torc_pace *pace, uint64_t since,
    uint64_t bytes);

/*
 * Set a pace for the output of a connection. torc_conn_write(),
 * torc_conn_flush() and the like then wait for the peer as the pace says, and
 * at most until their deadline, and return -ETIMEDOUT. Bytes count when the
 * kernel has taken them, even those of a write that is not complete. With 0 ms
 * there is no pace, which is the default.
 */
TORC_API void torc_conn_set_pace(struct torc_conn *conn, unsigned ms,
    unsigned rate);

/*
 * Returns a number that changes when the peer takes bytes. It tells a slow peer
 * from one that stands still. Makes a system call.
 */
TORC_API uint64_t torc_conn_progress(const struct torc_conn *conn);

/* The progress of the borrower of a lent socket. Frozen. */
struct torc_progress {
	uint64_t sent;		/* bytes sent; the borrower adds them up */
	uint64_t taken;		/* torc's: bytes that the peer has taken */
};

/*
 * Parks. Wait until a lent socket may take bytes again. The pace of its
 * connection says how long, and `deadline` is the limit. Returns 0 when it is
 * worth a try, which may still be too early, or: -ETIMEDOUT; -ECANCELED; the
 * errors of torc_fd_poll().
 */
TORC_API int torc_conn_await_room(struct torc_conn *conn,
    struct torc_progress *progress, torc_deadline deadline);

/*
 * Returns a key for the peer of a connection. The key is made of the address
 * that torc_conn_peer_address() writes: the IPv4 address, or the first 64 bits
 * of the IPv6 address, which belong to one subscriber. It is 0 for a local
 * socket, and if the peer has gone. Makes a system call.
 */
TORC_API uint64_t torc_conn_key(const struct torc_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
