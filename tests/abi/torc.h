/* SPDX-License-Identifier: MIT */
/*
 * torc.h - an io_uring runtime for servers, with one reactor per core. Programs
 * include this header.
 *
 * A program gives torc_serve() its addresses and a handler. Each connection has
 * a fiber of its own that runs the handler. The handler reads, works and writes
 * in straight-line code. When it has to wait, its fiber parks and the thread
 * runs other fibers.
 *
 * Errors. A function returns 0 or a count on success and a negative errno on
 * failure. Failures that a peer, the kernel or a limit can cause are returned.
 * A mistake of the programmer, such as a wrong argument, stops the process with
 * a message.
 *
 * Deadlines. Every call that can wait takes a torc_deadline as its last
 * parameter. A deadline is an absolute time: torc_after_ms(500), TORC_NEVER or
 * TORC_AT_ONCE. When it has passed, the call returns -ETIMEDOUT. Whatever was
 * done by then stays done. One deadline can be passed to several calls in a
 * row. A wait with TORC_AT_ONCE does not let the loop run, so a fiber that
 * tries again and again must call torc_yield() in between. A thread that was
 * stopped, or busy, until after a deadline handles the events that arrived
 * meanwhile before it checks deadlines.
 *
 * Parking. A call that parks may switch to other fibers of its thread before it
 * returns. No other call does. The comment of such a call begins with "Parks",
 * and its manual page says so. It must be called on a fiber; a handler runs on
 * one. When the fiber is cancelled, a call that has to wait returns -ECANCELED.
 * A call that need not wait may still succeed: for example, torc_conn_recv()
 * returns bytes that have come already.
 *
 * Threads. Every object belongs to one reactor and is used on the thread of
 * that reactor only, which is asserted. The comment of a call that other
 * threads may make says "Any thread." The handlers of different reactors run at
 * the same time: data of yours that they share needs a lock, unless `reactors`
 * is 1.
 *
 * Ownership. An accepted connection belongs to its handler until the handler
 * returns. A dialled connection belongs to the code that dialled it until
 * torc_conn_close(). At that point, calls of other fibers on the connection
 * return -ECANCELED, and these fibers must not use the connection again.
 * Received bytes belong to torc. They can be read until they are consumed or
 * until the next torc_conn_recv(), and no longer than the connection lives.
 * Bytes to send are copied or sent before a call returns; only
 * torc_conn_write_static() is different.
 */
#ifndef TORC_H
#define TORC_H

#include "torc_runtime.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

#define TORC_VERSION_MAJOR 0
#define TORC_VERSION_MINOR 2
#define TORC_VERSION_PATCH 0

/* Returns the version of the library, for example "0.2.0". Any thread. */
TORC_API const char *torc_version(void);

/* The call behind torc_serve(): see "Structures that grow". */
TORC_API int torc_serve_sized(const struct torc_config *config,
    size_t config_size, size_t endpoint_size, void (*ready)(void *arg),
    struct torc_error *error);

/* A slice refers to bytes that belong to someone else. Frozen. */
struct torc_slice {
	const uint8_t *data;
	size_t size;
};

/* ---- Servers ---- */

/*
 * Returns the number of CPUs that this process may keep busy. This is the
 * number that its affinity allows (taskset(1), a cpuset), but no more than the
 * CPU quota of its cgroups, rounded up. torc_serve() creates this many reactors
 * by default. `text` receives a few words that say what decided the number; it
 * may be NULL. Any thread.
 */
TORC_API unsigned torc_cpus_granted(char *text, size_t text_size);

/*
 * Run a server until SIGTERM or SIGINT, with one reactor per CPU. The signal
 * starts a drain, which takes up to `drain_ms`. A second signal stops the
 * server at once, unless a handler blocks its thread. If the program itself
 * drains one of the reactors, the others drain when that one has ended.
 *
 * Every listener is open before any reactor serves. A program that does not
 * listen needs a `start`, which spawns the fibers that do the work. If a signal
 * arrives while `start` runs, its fiber is cancelled and it should return
 * -ECANCELED; that is not an error of the server. `ready` is called once, with
 * the `arg` of the configuration, when all reactors serve, on the thread of one
 * of them. It may be NULL.
 *
 * SIGHUP calls `reload`. If `reload` is NULL, SIGHUP starts a drain, unless the
 * program ignores SIGHUP or has a handler for it: then it is left alone. During
 * a drain, SIGHUP has no effect.
 *
 * Returns 0 after a drain, or a negative errno, and `error` says what failed,
 * for which value, and what would fix it. If any reactor was refused io_uring,
 * the text of `error` begins with "io_uring_" and goes on as that of
 * torc_available(); such programs exit with 78 (EX_CONFIG).
 *
 * While the server runs, SIGTERM and SIGINT are blocked in this thread and in
 * the threads that it starts, and so is SIGHUP unless it is left alone. The
 * program must block these signals in its other threads as well. SIGPIPE is
 * ignored from then on. torc_fault_report() is called unless the program has a
 * handler for SIGSEGV.
 *
 * The soft limit of descriptors (RLIMIT_NOFILE) is raised to the hard limit and
 * stays there. Child processes inherit it: lower it in a child that uses
 * select(2), or that closes all descriptors up to the limit. Reactors that are
 * not created by torc_serve() leave the limit alone.
 */
static inline int
torc_serve(const struct torc_config *config, void (*ready)(void *arg),
    struct torc_error *error)
{
	return torc_serve_sized(config, sizeof(*config),
	    sizeof(struct torc_endpoint), ready, error);
}

/*
 * Listen on an address, on one reactor. An address has one of these forms:
 *
 *	127.0.0.1:8080       IPv4
 *	0.0.0.0:8080         every IPv4 address of this host
 *	[::1]:8080           IPv6
 *	[::]:8080            every address of this host, with IPv4
 *	[fe80::1%eth0]:8080  link-local: interface by name or number
 *	unix:PATH            a local socket
 *	unix:@NAME           a local socket with an abstract name and no file
 *	fd:N                 a listening socket: see torc_listen_fd()
 *
 * Port 0 takes a free port. PATH and NAME have at most 107 bytes. A PATH that
 * begins with @ is written ./@...
 *
 * torc calls `handler` with `arg` for each connection. `address` is not used
 * after the call.
 *
 * Each reactor that listens on a TCP address has its own socket (SO_REUSEPORT),
 * and the kernel spreads connections over these sockets.
 *
 * Local sockets. A socket file at PATH that nobody listens on any more is
 * replaced, while the folder is locked (flock(2)). When the listener is closed,
 * its file is removed, unless another file is at PATH by then. The socket of a
 * server that was killed stays open for a moment longer. So a call before the
 * reactor runs sleeps for up to 0.2 s until that socket is closed, and for up
 * to a second until the folder is unlocked. A call after that never sleeps; it
 * returns -EADDRINUSE at once.
 *
 * Returns the index of the listener, or: -EINVAL the address cannot be parsed;
 * -ENODEV its interface does not exist; -ENOSPC there are 1024 listeners;
 * -ESHUTDOWN the reactor drains; the error of bind(2), or the error that left
 * torc without memory for connections. The reactor's thread, or on any thread
 * before the reactor runs.
 */
TORC_API int torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg);

/*
 * Accept connections of a socket that is bound and listens already. Such a
 * socket comes, for example, from systemd or from a previous program.
 * torc_listen() with the address "fd:3" does the same for descriptor 3.
 * torc_serve() takes such addresses, too, and distributes their connections to
 * all reactors.
 *
 * On success the descriptor belongs to torc: torc closes it with the listener,
 * and an exec closes it. If other processes have the same socket, it continues
 * to listen for them: torc does not shut it down, leaves the connections in its
 * backlog to them, and does not remove the file of a local socket.
 *
 * Returns as torc_listen(), or: -EBADF; -ENOTSOCK; -EINVAL the socket does not
 * listen, or is neither a TCP nor a local stream socket. After an error the
 * descriptor still belongs to the caller.
 */
TORC_API int torc_listen_fd(struct torc_reactor *reactor, int fd,
    torc_handler *handler, void *arg);

/*
 * Parks. Close a listener. Connections that it has accepted, or that wait in
 * its backlog, are served as before. But the backlog of a socket of
 * torc_listen_fd() is left to the other processes that have it. A new listener
 * may get its index.
 *
 * With torc_serve(), each reactor has its own listener for a TCP address. This
 * call closes only the listener of the given reactor. The listeners of local
 * sockets and of descriptors belong to the first reactor.
 *
 * Returns 0 when the address is free, or: -ETIMEDOUT or -ECANCELED the listener
 * is not closed yet, but will be; -ENOENT there is no such listener.
 */
TORC_API int torc_listener_close(struct torc_reactor *reactor, int listener,
    torc_deadline deadline);

/*
 * Returns the TCP port of a listener, or 0 for a local socket. After listening
 * on port 0, this is the port that the kernel chose.
 */
TORC_API unsigned torc_listen_port(const struct torc_reactor *reactor,
    int listener);

/* ---- Connections ---- */

/*
 * Parks. Receive: wait for input that the last view did not show. The call
 * first sends the staged bytes, but does not wait until they are sent. `*in` is
 * then a view of unread bytes, in one piece, where the kernel has put them.
 *
 * The next call shows the bytes of the view that were not consumed again, with
 * all the bytes behind them that came since. If these lie in different buffers,
 * it copies them together. After a view that was wholly consumed, the next view
 * is the next buffer with bytes, and nothing is copied for it.
 *
 * Returns the number of bytes in view; 0 when the peer has sent FIN and every
 * byte was in view; or: -ETIMEDOUT the deadline passed, and the caller may
 * receive again; -ECANCELED; -ENOBUFS `held_max` bytes are in view and none of
 * them was consumed; -ESHUTDOWN the reactor drains, and no message came in
 * `lame_duck_ms`, or the connection must make room for another (`connections`);
 * -ENOMEM there was no memory, and bytes were lost in one direction or the
 * other; -ECONNABORTED the kernel gave up on the peer (keepalive,
 * TCP_USER_TIMEOUT), or torc did, to make room for another connection; -ENOLINK
 * the stream ended where it must not end, so bytes may be missing; -ECONNRESET
 * the connection was reset; another error that ended the connection, even if a
 * send of another fiber met it.
 *
 * -ENOLINK is never returned for plain TCP and local sockets, where a FIN is
 * the only end there is. After 0 or an error, `*in` has the bytes that were in
 * view and not consumed. Bytes that came meanwhile are shown by the next call.
 * Bytes that have come may be returned even if the fiber is cancelled or the
 * deadline has passed.
 *
 * Drains. The call returns -ESHUTDOWN only if every byte that came was
 * consumed. The handler should then return TORC_CLOSE: what it has written is
 * still sent. A peer that has not sent anything yet has at least one second. A
 * dialled connection is not affected by a drain. torc does not know where a
 * message ends, so a drain also ends a wait for the rest of a message, for
 * example a body whose received part was fully consumed.
 * torc_conn_set_unfinished() prevents that. While some bytes are not consumed,
 * the connection receives for as long as the drain lasts.
 *
 * Only one fiber at a time may receive on a connection. A second one stops the
 * process.
 */
TORC_API int torc_conn_recv(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline);

/*
 * Say whether the peer is in the middle of a message. While it is, a drain
 * waits for the rest of the message for up to `drain_ms`, even if all that came
 * was consumed. When the handler is called, nothing is unfinished. This is
 * about drains only: torc_conn_set_busy() keeps a connection from making room
 * for others.
 */
TORC_API void torc_conn_set_unfinished(struct torc_conn *conn,
    bool unfinished);

/*
 * Consume the first `size` bytes of the view: they are not shown again, and
 * must not be read any more. The rest of the view stays where it is. `size` is
 * at most the size of the view: more stops the process.
 */
TORC_API void torc_conn_consume(struct torc_conn *conn, size_t size);

/*
 * Parks, but only when `slab_size` bytes are staged or the data is large (more
 * than half of `slab_size`). Write: stage bytes to be sent. Staged bytes are
 * sent by the next receive or flush or when the handler returns, and at the
 * latest when its fiber waits for something else or the turn ends. Large data
 * is not copied. It is sent behind the staged bytes before the call returns.
 *
 * Returns 0, or: -EPIPE torc_conn_shutdown() was called, or the peer closed the
 * connection and refused what was sent after that; -ETIMEDOUT the peer did not
 * read in time; -ECANCELED; the error that ended the connection, as
 * torc_conn_recv() returns it (-EPIPE if a call has returned it before). After
 * an error, part of the data may have been sent, and nothing more can be
 * written to the connection. The caller can still receive, unless the
 * connection itself has failed.
 *
 * Success does not mean that the peer has the bytes, or that they were sent. If
 * torc cannot send staged bytes, a later call that writes returns the error.
 *
 * While a write, flush or shutdown waits, no other fiber may write to the
 * connection: that stops the process.
 */
TORC_API int torc_conn_write(struct torc_conn *conn, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks, as torc_conn_write(). Write bytes that never change and are never
 * freed, such as constants. They are copied only if this is necessary. Returns
 * as torc_conn_write().
 *
 * On the fiber of the connection's handler, the bytes are sent when those of
 * torc_conn_write() would be. On another fiber, and on a dialled connection,
 * they wait for the next call that receives, writes or flushes, or for the
 * close: call torc_conn_push() after this call.
 */
TORC_API int torc_conn_write_static(struct torc_conn *conn, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks, as torc_conn_write(). Write several slices as if they were one. Slices
 * that are too large to be staged are not copied. They are sent up to 8 at a
 * time, behind what is staged. Returns 0, or a negative errno as
 * torc_conn_write(). After an error any part of the slices may have been sent.
 */
TORC_API int torc_conn_writev(struct torc_conn *conn,
    const struct torc_slice *slices, unsigned count, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Send what is staged, and what will be staged in this turn of the loop. The
 * call does not wait and does not fail: if the bytes cannot be sent, the next
 * call that writes returns the error.
 */
TORC_API void torc_conn_push(struct torc_conn *conn);

/*
 * Parks. Wait until the kernel has taken everything that was written. The peer
 * may not have it yet. Returns 0, or a negative errno as torc_conn_write(). But
 * after -ETIMEDOUT and -ECANCELED the bytes are still being sent, and the
 * connection can be used as before.
 */
TORC_API int torc_conn_flush(struct torc_conn *conn, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Parks. End the output: flush, then send FIN. The connection can still
 * receive. Returns 0, also if the output had ended before, or a negative errno
 * as torc_conn_flush() or shutdown(2).
 */
TORC_API int torc_conn_shutdown(struct torc_conn *conn, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Parks. Connect to an address, which is written as for torc_listen(). `*conn`
 * belongs to the caller until torc_conn_close(). After an error there is no
 * connection, and `*conn` must not be used.
 *
 * Returns 0, or: -ETIMEDOUT; -ECANCELED; -EINVAL the address cannot be parsed;
 * -ENODEV its interface does not exist; -ENOBUFS the reactor has `connections`
 * connections already and none can make room, or `ops` operations are in
 * flight; -ENOMEM; the error of socket(2) or connect(2). When there are too
 * many connections or no descriptor is left, an accepted connection that is
 * idle makes room, as for a new client.
 *
 * The kernel probes a TCP connection that is silent, as `keepalive_ms` and the
 * fields after it say.
 *
 * A dial to a port of this host on which nobody listens can be given that very
 * port as its own, and connect to itself. torc then dials again. When this
 * happens three times, the dial fails with -ECONNREFUSED.
 */
TORC_API int torc_dial(struct torc_conn **conn, const char *address,
    torc_deadline deadline);

/* What connections that are dialled go through: see torc_tls.h. */
struct torc_transport_dialler;

/*
 * Parks. Close a dialled connection: send what is staged and a FIN, then wait
 * for the FIN of the peer. Input is dropped. If this takes longer than the
 * deadline allows, if the fiber is cancelled before it is done, and always with
 * TORC_AT_ONCE, the connection is reset.
 *
 * The connection is gone whatever the call returns: `conn` must not be used
 * after it. NULL does nothing. It must be a dialled one: a handler closes its
 * connection by returning. Returns 0, also with TORC_AT_ONCE, or the error that
 * prevented an orderly close, such as -ETIMEDOUT or -ECANCELED.
 */
TORC_API int torc_conn_close(struct torc_conn *conn, torc_deadline deadline);

/*
 * Watch a connection for the end of its peer while the fiber waits elsewhere.
 * The calling fiber may wait, for example, for the reply of a backend or for a
 * timer. When the peer goes, or if it has gone already, every call of the fiber
 * that has to wait returns -ECANCELED until torc_conn_watch_end(). This
 * includes calls on the connection itself. So a fiber whose handler watches its
 * own connection must end the watch before it uses the connection again. A
 * watch also ends when the handler returns or the connection is closed.
 *
 * With TORC_WATCH_RESET, the peer has gone when the connection was reset or
 * when the kernel gave up on the peer. With TORC_WATCH_FIN, a FIN counts as
 * well. A client that was closed sends a FIN, but so does a client that merely
 * has nothing more to send. After a FIN, a reset goes unnoticed until something
 * is sent.
 *
 * A connection is watched by one fiber at most: a second one stops the process.
 * A fiber watches one connection at a time. To begin costs nothing while a
 * receive is armed, and one operation of the ring otherwise.
 */
enum torc_watch { TORC_WATCH_RESET, TORC_WATCH_FIN };

TORC_API void torc_conn_watch_begin(struct torc_conn *conn,
    enum torc_watch what);
TORC_API void torc_conn_watch_end(struct torc_conn *conn);

/*
 * Report the state of the peer, as far as it is known without reading. Returns
 * TORC_PEER_OPEN; TORC_PEER_SHUT after the peer's FIN (the peer may still
 * receive); or, if the connection has failed, a negative errno as
 * torc_conn_recv() returns it. Bytes that came before may still be unread. When
 * unread bytes keep torc from receiving, the end of the peer is noticed only if
 * the connection is watched.
 */
enum { TORC_PEER_OPEN, TORC_PEER_SHUT };
TORC_API int torc_conn_peer_state(const struct torc_conn *conn);

/*
 * Write the address of the peer, or our own, to `text`. It is written as
 * torc_listen() reads it, and ended by a 0 byte. torc does not read what a
 * proxy says about its client, so the peer of a connection through a proxy is
 * the proxy. (A later version may be told to trust a proxy. The peer is then
 * the client.)
 *
 * Returns 0, or: -ENOSPC the address does not fit (128 bytes hold any address);
 * -ENOTCONN the peer has gone. After an error `text` must not be used.
 */
TORC_API int torc_conn_peer_address(const struct torc_conn *conn, char *text,
    size_t size);
TORC_API int torc_conn_local_address(const struct torc_conn *conn, char *text,
    size_t size);

/*
 * Returns the index or the port of the listener that accepted a connection. For
 * a dialled connection the index is -1 and the port 0.
 */
TORC_API int torc_conn_listener(const struct torc_conn *conn);
TORC_API unsigned torc_conn_port(const struct torc_conn *conn);

/*
 * Make a choice for torc_choose() that waits for input of a connection. It can
 * be done when torc_conn_recv() would return without parking. It receives
 * nothing: call torc_conn_recv() afterwards. Its result is 0, or what
 * torc_conn_recv() would return: -ESHUTDOWN, -ENOBUFS or -ENOMEM.
 *
 * The choice sends staged bytes, as torc_conn_recv() does. Bytes that were in
 * view and not consumed may move: view them again with torc_conn_recv(), with
 * TORC_AT_ONCE if another choice was done. No other fiber may receive on the
 * connection meanwhile.
 */
TORC_API struct torc_choice torc_choice_input(struct torc_conn *conn);

/* Returns the number of bytes received but not consumed, in view or not. */
TORC_API size_t torc_conn_unread(const struct torc_conn *conn);

/* Keep one pointer of the program with a connection. It is NULL at first. */
TORC_API void torc_conn_set_data(struct torc_conn *conn, void *data);
TORC_API void *torc_conn_data(const struct torc_conn *conn);

/*
 * Returns the descriptor of the socket, for socket options. Do not read from
 * it, write to it, shut it down or close it. Returns -ENOTSOCK if the
 * connection has no socket of its own because it is a stream within another
 * connection; today every connection has one.
 */
TORC_API int torc_conn_fd(const struct torc_conn *conn);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
