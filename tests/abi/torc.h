/* SPDX-License-Identifier: MIT */
/*
 * torc.h - an io_uring runtime for servers, one reactor per core: the header
 * that programs include.
 *
 * A program gives torc_serve() addresses and a handler. Each connection has a
 * fiber, on which its handler reads, works and writes in straight lines; where
 * it has to wait it parks, and its thread goes on with other fibers.
 *
 * Errors. Functions return 0 or a count, or a negative errno. A wrong argument
 * of the programmer stops the process with a message; what a peer, the kernel
 * or a limit can cause is returned.
 *
 * Deadlines. Every call that can wait takes a torc_deadline, an absolute time,
 * as its last parameter: torc_after_ms(500), TORC_NEVER or TORC_AT_ONCE. When
 * it has passed, the call returns -ETIMEDOUT; what was done until then stays
 * done. The same deadline can be passed to several calls in a row. A thread
 * that stood still beyond a deadline (it was stopped, or worked for long) acts
 * on what came meanwhile before it looks at deadlines.
 *
 * Parking. A call that parks may switch to other fibers of the same thread
 * before it returns; no other call does. Its comment begins with "Parks", and
 * its page of the manual says so. It must be called on a fiber (a handler is
 * one). When the fiber is cancelled, it returns -ECANCELED.
 *
 * Threads. Everything belongs to one reactor and is used on its thread only,
 * which is asserted; what other threads may call says "Any thread."
 *
 * Ownership. A connection is the handler's until the handler returns; one that
 * was dialled is the dialler's until torc_conn_close(). Calls of other fibers
 * on it end then with -ECANCELED, and they must not use it after that. Bytes
 * received are torc's, and readable until they are consumed or asked for
 * again. Bytes to send are copied before a call returns, or sent before it
 * returns.
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

/* Returns the version of the library, such as "0.2.0". Any thread. */
TORC_API const char *torc_version(void);

/* The call behind torc_serve(): see "Structures that grow". */
TORC_API int torc_serve_sized(const struct torc_config *config,
    size_t config_size, size_t endpoint_size, void (*ready)(void *arg),
    struct torc_error *error);

/* A slice: bytes that belong to someone else. Frozen. */
struct torc_slice {
	const uint8_t *data;
	size_t size;
};

/* ---- Servers ---- */

/*
 * Returns how many CPUs this process may keep busy: those that its affinity
 * allows (taskset(1), a cpuset), but no more than the CPU quota of its cgroups,
 * rounded up. torc_serve() makes as many reactors by default. `text` (may be
 * NULL) says in a few words what decided it. Any thread.
 */
TORC_API unsigned torc_cpus_granted(char *text, size_t text_size);

/*
 * Run a server: serve `config` with one reactor per CPU until SIGTERM or
 * SIGINT, then drain for `drain_ms`; a second signal stops at once. If the
 * program drains one of the reactors itself, the others are drained when that
 * one has ended. Every listener is open before any reactor serves. A program
 * that does not listen needs a `start`, which spawns the fibers that work.
 *
 * `ready` (may be NULL) is called once, when all serve. A signal while `start`
 * runs ends it: its calls that park are cancelled, and it returns -ECANCELED.
 *
 * SIGHUP calls `reload`. Without it, SIGHUP drains, too; but a program that
 * ignores it, or has a handler for it, keeps it. In a drain it says nothing.
 *
 * Returns 0 after a drain. On failure a negative errno, and `error` says what
 * failed, for which value, and what would fix it. If io_uring was refused, to
 * whichever reactor, its text begins with "io_uring_" and goes on as that of
 * torc_available(): programs exit with 78.
 * While it runs, SIGTERM, SIGINT and (unless the program keeps it) SIGHUP are
 * blocked in this thread and in those that it starts; other threads of the
 * program must have them blocked, too.
 * SIGPIPE is ignored from then on; and unless the program has a handler of
 * SIGSEGV, torc_fault_report() is called.
 *
 * The soft limit of descriptors (RLIMIT_NOFILE) is raised to the hard one, and
 * stays so. Programs that this one starts inherit it: lower it in the child
 * for one that uses select(2), or closes all descriptors up to the limit.
 * Reactors that are created otherwise leave the limit alone.
 */
static inline int
torc_serve(const struct torc_config *config, void (*ready)(void *arg),
    struct torc_error *error)
{
	return torc_serve_sized(config, sizeof(*config),
	    sizeof(struct torc_endpoint), ready, error);
}

/*
 * Listen on a reactor. An address is "127.0.0.1:8080", "[::1]:8080",
 * "[::]:8080" (with IPv4), "0.0.0.0:8080", "[fe80::1%eth0]:8080" (a link-local
 * address and its interface, by name or number), "unix:PATH", "unix:@NAME" (an
 * abstract name, which has no file; a PATH that begins with @ is written
 * ./@...), "fd:N" (a socket that listens already: see torc_listen_fd()). PATH
 * and NAME have at most 107 bytes, and port 0 takes a free one. Each reactor
 * that listens on a TCP address has a socket of its own (SO_REUSEPORT) and the
 * kernel spreads connections over them. A socket file at PATH on which nobody
 * listens any more is replaced, with the folder locked (flock(2)); the file
 * that a listener made goes with it, unless another one is there by then. A
 * server that was killed has its socket for a moment longer: before the reactor
 * runs, this sleeps for up to 0.2 s until it is closed, and for up to a second
 * for the lock. Later it never sleeps: it returns -EADDRINUSE at once.
 *
 * Returns the index of the listener, or: -EINVAL the address cannot be parsed;
 * -ENODEV it names an interface that is not there; -ENOSPC there are 1024
 * listeners; -ESHUTDOWN the reactor drains; the error of bind(2), or why there
 * is no memory for connections. The reactor's thread, or any before it runs.
 */
TORC_API int torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg);

/*
 * Accept connections of a socket that is bound and listens already, for example
 * one that systemd or a previous program has opened. torc_listen() with the
 * address "fd:3" does the same for descriptor 3. torc_serve() takes such
 * addresses, too, and deals their connections out to all reactors.
 *
 * On success the descriptor belongs to torc, which closes it with the listener.
 * An exec closes it, too. If other processes have the same socket, it continues
 * to listen for them: torc does not shut it down, leaves the connections of its
 * backlog to them, and does not remove the file of a local socket.
 *
 * Returns as torc_listen(), or: -EBADF, -ENOTSOCK; -EINVAL it does not listen,
 * or is neither a TCP nor a local stream socket. After an error the descriptor
 * still belongs to the caller.
 */
TORC_API int torc_listen_fd(struct torc_reactor *reactor, int fd,
    torc_handler *handler, void *arg);

/*
 * Parks. Close a listener. Connections that were accepted, or wait in its
 * backlog, are served as before. Its index may be given to a new listener.
 *
 * With torc_serve(), each reactor has its own listener for a TCP address, and
 * closes only that one. The first reactor has the listeners of local sockets
 * and of descriptors.
 *
 * Returns 0 when the address is free, or: -ETIMEDOUT, -ECANCELED it will be
 * closed, but is not yet; -ENOENT there is no such listener.
 */
TORC_API int torc_listener_close(struct torc_reactor *reactor, int listener,
    torc_deadline deadline);

/*
 * Returns the TCP port of a listener, which is of use after port 0; or 0 for a
 * unix socket.
 */
TORC_API unsigned torc_listen_port(const struct torc_reactor *reactor,
    int listener);

/* ---- Connections ---- */

/*
 * Parks. Receive: wait for input that the last view did not show. What is
 * staged is sent first, without waiting for that. `*in` views unread bytes
 * where the kernel put them, in one piece. What is not consumed of them comes
 * back in front of all the bytes that came since, copied together for that if
 * they are in different buffers. When all was consumed, the next view is the
 * next buffer that has bytes, and nothing is ever copied.
 *
 * Returns the number of bytes in view; 0 when the peer has sent FIN and all was
 * seen; or: -ETIMEDOUT the deadline passed, and one can go on after it;
 * -ECANCELED; -ENOBUFS `held_max` bytes are in view and none was consumed;
 * -ESHUTDOWN the reactor has drained for `lame_duck_ms`, and nothing was
 * received that is not consumed (a peer that has sent nothing at all has at
 * least a second for it; a connection that was dialled is not told of a drain);
 * -ENOMEM bytes were lost in either direction for want of memory; -ECONNABORTED
 * the kernel has given the peer up (keepalive, TCP_USER_TIMEOUT); -ENOLINK the
 * bytes end where what carries them does not let them end, so some may be
 * missing (over TCP and local sockets alone that does not happen, since their
 * FIN is all there is); -ECONNRESET, or what else ended the connection, also if
 * that was found out in the middle of a send of another fiber. With an error,
 * `*in` has what was seen before and not consumed, and what came meanwhile is
 * for the next call.
 *
 * torc does not know where a message ends. A drain also ends a wait for the
 * rest of a message, for example a body whose received part was fully consumed,
 * unless torc_conn_set_unfinished() says that there is more to come. While
 * something is not consumed, more of it comes for as long as the drain lasts.
 *
 * One fiber at a time.
 */
TORC_API int torc_conn_recv(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline);

/*
 * Say whether a message is unfinished: the peer is in the middle of one whose
 * beginning was consumed. Then a drain does not end the wait for the rest
 * before `drain_ms` are over.
 */
TORC_API void torc_conn_set_unfinished(struct torc_conn *conn,
    bool unfinished);

/* Consume the first `size` bytes of the view, at most all of it. */
TORC_API void torc_conn_consume(struct torc_conn *conn, size_t size);

/*
 * Parks, but only when `slab_size` bytes are staged or the data is large.
 * Write: stage bytes to be sent. They are sent by the next recv, flush or
 * return of the handler, and at the latest when its fiber waits for something
 * else or the turn ends. Large data is not copied but sent, behind what is
 * staged, before the call returns. Returns 0, or: -EPIPE after
 * torc_conn_shutdown(); -ETIMEDOUT the peer does not read; -ECANCELED; the
 * error that ended the connection, as torc_conn_recv() says (-EPIPE if that was
 * told before). After an error a part may have been sent, and the connection
 * cannot be written to any more. While a write, flush or shutdown waits, no
 * other fiber may write: that stops the process.
 */
TORC_API int torc_conn_write(struct torc_conn *conn, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;

/*
 * Write bytes that never change and never go away, such as constants: as
 * torc_conn_write(), but they are not copied if they need not be. On a
 * connection whose handler is another fiber, torc_conn_push() them: only its
 * own sends them without being told.
 */
TORC_API int torc_conn_write_static(struct torc_conn *conn, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks, as torc_conn_write(). Write several slices as if they were one. Slices
 * that are too large to be staged are sent from where they are, up to 8 in one
 * send, together with what was staged before. Returns 0, or a negative errno as
 * torc_conn_write(): any part of the slices may have been sent then.
 */
TORC_API int torc_conn_writev(struct torc_conn *conn,
    const struct torc_slice *slices, unsigned count, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Send what is staged, and what will be in this turn, without waiting for it.
 * Errors are told by the next call that writes.
 */
TORC_API void torc_conn_push(struct torc_conn *conn);

/*
 * Parks. Wait until all that was written is in the kernel's hands. Returns 0,
 * or as torc_conn_write(), but that after -ETIMEDOUT and -ECANCELED it is still
 * on its way, and the connection as good as before.
 */
TORC_API int torc_conn_flush(struct torc_conn *conn, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Parks. End the output: flush, then FIN. Reading goes on. Returns 0, also if
 * that was done before, or an error as of torc_conn_flush() or of shutdown(2).
 */
TORC_API int torc_conn_shutdown(struct torc_conn *conn, torc_deadline deadline)
    TORC_CHECKED;

/*
 * Parks. Connect to an address (see torc_listen). `*conn` is yours until you
 * close it. Returns 0, or: -ETIMEDOUT; -ECANCELED; -EINVAL the address cannot
 * be parsed; -ENODEV it names an interface that is not there; -ENOBUFS there
 * are `connections` already; the error of socket(2) or connect(2).
 *
 * A TCP connection is probed while it is silent, as `keepalive_ms` and the
 * fields behind it say. A dial to a port of this host on which nobody listens
 * may be given that very port as its own, and meet itself: it is made again,
 * and refused with -ECONNREFUSED when that happens three times.
 */
TORC_API int torc_dial(struct torc_conn **conn, const char *address,
    torc_deadline deadline);

/*
 * Parks. Close a dialled connection: what is staged, FIN, the peer's FIN, all
 * by the deadline; after it, or with TORC_AT_ONCE, reset. `conn` is gone
 * afterwards; NULL does nothing. Returns 0, or the error that kept it from
 * closing in order.
 */
TORC_API int torc_conn_close(struct torc_conn *conn, torc_deadline deadline);

/*
 * Watch a connection: let the calling fiber be told when the peer of a
 * connection goes, while the fiber waits for something else: a reply of a
 * backend, a turn, a timer. From then on, until torc_conn_watch_end(), every
 * call of the fiber that parks returns -ECANCELED; this includes calls on the
 * connection itself. A fiber whose handler watches its own connection must end
 * the watch before it uses the connection again; the end of the handler ends it
 * as well.
 *
 * With TORC_WATCH_RESET the peer has gone when the connection was reset, or
 * the kernel has given the peer up. With TORC_WATCH_FIN a FIN counts, too:
 * that is how a client that was closed looks, but also how one looks that only
 * has nothing more to send. After a FIN, a reset is not noticed until
 * something is sent.
 *
 * One fiber watches a connection, and a fiber watches one connection at a
 * time. Beginning costs nothing while a receive is armed; else it costs an
 * operation of the ring.
 */
enum torc_watch { TORC_WATCH_RESET, TORC_WATCH_FIN };

TORC_API void torc_conn_watch_begin(struct torc_conn *conn,
    enum torc_watch what);
TORC_API void torc_conn_watch_end(struct torc_conn *conn);

/*
 * Returns what is known of the peer, without reading: TORC_PEER_OPEN,
 * TORC_PEER_SHUT after its FIN (it may still receive), or a negative errno as
 * of torc_conn_recv() if the connection has failed. Bytes that came before may
 * still be unread. While bytes that nobody reads keep torc from receiving, the
 * end is known only if the connection is watched.
 */
enum { TORC_PEER_OPEN, TORC_PEER_SHUT };
TORC_API int torc_conn_peer_state(const struct torc_conn *conn);

/*
 * Write the address of the peer, or ours, to `text`, as torc_listen() reads it.
 * The peer is the client, also where a trusted proxy stands in between and
 * tells who it is. Returns 0, or: -ENOSPC it does not fit (128 bytes hold any);
 * -ENOTCONN the peer has gone.
 */
TORC_API int torc_conn_peer_address(const struct torc_conn *conn, char *text,
    size_t size);
TORC_API int torc_conn_local_address(const struct torc_conn *conn, char *text,
    size_t size);

/*
 * Returns the index or the port of the connection's listener; -1 and 0 for a
 * dialled connection.
 */
TORC_API int torc_conn_listener(const struct torc_conn *conn);
TORC_API unsigned torc_conn_port(const struct torc_conn *conn);

/*
 * Make a choice for torc_choose() of a connection's input: wait until
 * torc_conn_recv() would return without parking. Nothing is received; call
 * torc_conn_recv() afterwards. The result is 0, or what torc_conn_recv() would
 * return: -ESHUTDOWN, -ENOBUFS or -ENOMEM.
 *
 * It sends staged bytes, as torc_conn_recv() does. Bytes that were in view and
 * not consumed may move: view them again with torc_conn_recv(), TORC_AT_ONCE if
 * another choice was done. No other fiber may receive meanwhile.
 */
TORC_API struct torc_choice torc_choice_input(struct torc_conn *conn);

/* Returns how many bytes were received and not consumed yet, in view or not. */
TORC_API size_t torc_conn_unread(const struct torc_conn *conn);

/* Keep one pointer of the program with a connection, NULL at first. */
TORC_API void torc_conn_set_data(struct torc_conn *conn, void *data);
TORC_API void *torc_conn_data(const struct torc_conn *conn);

/*
 * Returns the descriptor of the socket, for socket options. Do not read, write,
 * shut or close it. Or -ENOTSOCK if the connection has none of its own, because
 * it is a stream within another one; today each has.
 */
TORC_API int torc_conn_fd(const struct torc_conn *conn);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
