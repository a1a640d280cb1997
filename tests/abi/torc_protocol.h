/* SPDX-License-Identifier: MIT */
/*
 * torc_protocol.h - what the author of a protocol needs of a connection beside
 * torc.h: that of a server or of a client. The conventions of torc.h
 * hold.
 */
#ifndef TORC_PROTOCOL_H
#define TORC_PROTOCOL_H

#include "torc.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Returns whether a connection is as good as new: no end of it and no error was
 * seen, nothing received is unread, nothing written is unsent. (An end that is
 * on its way is not seen yet, so the first request on an idle connection may
 * still fail.)
 */
TORC_API bool torc_conn_usable(struct torc_conn *conn);

/*
 * Rewind the view: let the next torc_conn_recv() show it again, at once,
 * without its first `size` bytes. They are done with only then, and readable
 * until then. So a module that reads a message hands on what came behind it.
 * Consuming anything before that takes this back.
 */
TORC_API void torc_conn_rewind(struct torc_conn *conn, size_t size);

/*
 * Say whether a connection is in the middle of a request, although its handler
 * waits for input and all that came was consumed: as it may be in a body. One
 * that is not may be closed when new ones need its place. At first it is not.
 */
TORC_API void torc_conn_set_busy(struct torc_conn *conn, bool busy);

/*
 * Allocate memory that goes with a connection: `size` bytes, all zero, which
 * are freed by torc_conn_forget(), and with the connection. They count as input
 * that it holds (`held_total`). For one module at a time. Returns NULL if there
 * is no memory.
 */
TORC_API void *torc_conn_memory(struct torc_conn *conn, size_t size);
TORC_API void torc_conn_forget(struct torc_conn *conn);

/*
 * Returns how many bytes one torc_conn_write() takes now without parking. A
 * fiber that writes more while requests of other fibers are staged flushes
 * first: a flush that does not end in time harms nobody, but a write takes with
 * it what is staged.
 */
TORC_API size_t torc_conn_room(const struct torc_conn *conn);

/*
 * Parks. Lend the socket of a connection for writing by other calls than
 * torc's, once what was written is sent. Returns its descriptor, or the error
 * that torc_conn_write() would have returned, or -EOPNOTSUPP if bytes do not go
 * through the socket as they are (today they always do). The descriptor is a
 * blocking one and stays so. Until torc_conn_give_back(), writing to the
 * connection in any other way stops the process, and it must not be closed;
 * reading goes on.
 */
TORC_API int torc_conn_lend(struct torc_conn *conn, torc_deadline deadline);

/*
 * Give a lent socket back: it is not written to any more. `error`: 0, or a
 * negative errno if a part of a message may be missing: the connection cannot
 * be written to after it, and says so with this error.
 */
TORC_API void torc_conn_give_back(struct torc_conn *conn, int error);

/* ---- Patience ---- */

/*
 * A pace says how long a peer is waited for: a clock that runs only while it is
 * waited for, and goes back as the peer moves bytes, each by the time that it
 * may take at the least rate. So a peer that stands still has so many
 * milliseconds, one that is steady has as long as it needs, and one that drips
 * does not.
 */
struct torc_pace {
	uint64_t most_ns;	/* all of the time; UINT64_MAX: no limit */
	uint64_t left_ns;	/* what is left of it */
	uint32_t rate;		/* bytes a second; 0: any byte is enough */
};

/* Begin with all of the time. `ms`, `rate`: TORC_NO_LIMIT for none. */
TORC_API void torc_pace_init(struct torc_pace *pace, unsigned ms,
    unsigned rate);
/* The earlier of a deadline, and the end of the patience from now on. */
TORC_API torc_deadline torc_pace_until(const struct torc_pace *pace,
    torc_deadline deadline);
/* It was waited since `since`, and so many bytes were moved. */
TORC_API void torc_pace_note(struct torc_pace *pace, uint64_t since,
    uint64_t bytes);

/*
 * Set a pace for a connection: torc_conn_write(), torc_conn_flush() and the
 * like wait for the peer as a pace says, and at most until their deadline:
 * -ETIMEDOUT. Bytes count when the kernel has taken them, of a write of any
 * size. 0 ms: no pace, as at first.
 */
TORC_API void torc_conn_set_pace(struct torc_conn *conn, unsigned ms,
    unsigned rate);

/*
 * Returns a number that is another one when the peer has taken bytes since: to
 * tell a slow peer from one that stands still. Makes a system call.
 */
TORC_API uint64_t torc_conn_progress(const struct torc_conn *conn);

/* How far the borrower of a lent socket has come. Frozen. */
struct torc_progress {
	uint64_t sent;		/* bytes, which the borrower adds up */
	uint64_t taken;		/* torc's: of them, by the peer */
};

/*
 * Parks. Wait until a socket that is lent may take bytes again, as the pace of
 * its connection says, and at most until the deadline. Returns 0: try it, which
 * may be too early; -ETIMEDOUT; -ECANCELED; the errors of torc_fd_poll().
 */
TORC_API int torc_conn_await_room(struct torc_conn *conn,
    struct torc_progress *progress, torc_deadline deadline);

/*
 * Returns a key for the peer of a connection, as torc_conn_peer_address() has
 * it: its IPv4 address, or the first 64 bits of its IPv6 address, which one
 * subscriber has. The key is 0 for a unix socket, and if the peer has gone.
 * Makes a system call.
 */
TORC_API uint64_t torc_conn_key(const struct torc_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
