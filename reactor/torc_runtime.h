/* SPDX-License-Identifier: MIT */
/*
 * torc_runtime.h - reactors, fibers, time, posts and statistics: all that needs
 * no connection. Programs include torc.h, which includes this header and
 * describes the conventions.
 */
#ifndef TORC_RUNTIME_H
#define TORC_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TORC_API
#define TORC_API __attribute__((visibility("default")))
#endif

/* After a declaration: to ignore the result may lose data. */
#define TORC_CHECKED __attribute__((__warn_unused_result__))

struct torc_conn;

/*
 * A reactor is a loop on a thread of its own, with its own ring, fibers and
 * connections. torc_serve() creates one for each CPU.
 */
struct torc_reactor;

struct torc_config;
struct torc_error;
struct torc_stats;

/* ---- Structures that grow ---- */

/*
 * The calls behind those that take or fill in a structure that grows. Programs
 * call the ones without `_sized`, which pass the size of the structure that the
 * program was compiled with. So a later version can add fields at the end, and
 * a program that was compiled earlier runs with it: for that program the new
 * fields are 0. A program that was compiled for a later version also runs with
 * this one, unless it sets a field that this version does not have: that fails
 * with -EINVAL.
 *
 * A structure that does not grow is frozen: it has the same size in all
 * versions, and its comment says so.
 */
TORC_API int torc_reactor_create_sized(struct torc_reactor **reactor,
    const struct torc_config *config, size_t config_size,
    struct torc_error *error);
TORC_API void torc_stats_read_sized(struct torc_stats *stats,
    size_t stats_size);
TORC_API void torc_reactor_stats_read_sized(
    const struct torc_reactor *reactor, struct torc_stats *stats,
    size_t stats_size);

/* ---- Time ---- */

/*
 * Returns the time: CLOCK_MONOTONIC in nanoseconds. On a reactor's thread it is
 * the time at which the loop's last system call returned, and reading it costs
 * nothing. It stands still while a fiber runs. Any thread.
 */
TORC_API uint64_t torc_now(void);

/*
 * A deadline is the time at which a call that waits gives up. It has a type of
 * its own, so that a number of milliseconds cannot be passed by mistake.
 * Frozen.
 */
typedef struct torc_deadline {
	uint64_t at;		/* a time as torc_now() returns it */
} torc_deadline;

static inline torc_deadline
torc_at(uint64_t time)
{
	const torc_deadline deadline = { time };

	return deadline;
}

#define TORC_NEVER torc_at(UINT64_MAX)	/* wait without limit */
#define TORC_AT_ONCE torc_at(0)		/* do not wait */

/*
 * Make a deadline that is this many milliseconds or microseconds from now. If
 * it does not fit into 64 bits, it is TORC_NEVER. Any thread.
 */
TORC_API torc_deadline torc_after_ms(uint64_t ms);
TORC_API torc_deadline torc_after_us(uint64_t us);

/* Returns the earlier of two deadlines. Any thread. */
static inline torc_deadline
torc_sooner(torc_deadline one, torc_deadline other)
{
	return one.at < other.at ? one : other;
}

/* Returns whether a deadline has passed. Any thread. */
static inline bool
torc_passed(torc_deadline deadline)
{
	return torc_now() >= deadline.at;
}

/* ---- Errors in words ---- */

/*
 * A description of what went wrong in a call. The structure belongs to the
 * caller, who may pass NULL instead. The call always fills it in: on success
 * `code` is 0 and `text` is "". The text is UTF-8. It says what failed, with
 * which value, and what would fix it. Frozen.
 */
struct torc_error {
	int code;		/* the negative errno that the call returned */
	bool cut;		/* the text was too long: it was cut after a
				 * whole character and ends with "..." */
	char text[1019];	/* the error in words, or "" */
};

/* ---- Configuration ---- */

/*
 * A handler is called for each connection, on a fiber. Its result says what
 * happens to the connection next. A negative result closes it at once, with a
 * reset. What the peer does not have yet is lost.
 *
 * A handler that was cancelled cannot wait any longer, and nor can the end of
 * its connection. After TORC_CLOSE the connection is reset, too, unless the
 * kernel has taken everything and either the peer's FIN has come, or it was the
 * end of a drain that cancelled the handler.
 */
enum {
	TORC_CLOSE = 0,		/* send what is staged, then FIN, wait up to
				 * `linger_ms` for the peer's FIN, and close */
	TORC_AGAIN = 1,		/* keep the connection but free the stack; call
				 * the handler again when more input, or the
				 * end of it, comes within `idle_ms`, and else
				 * close the connection */
};

typedef int torc_handler(struct torc_conn *conn, void *arg);

struct torc_transport_maker;

/* The handler of connections that have agreed on a protocol. Frozen. */
struct torc_protocol {
	const char *name;		/* as ALPN has it, such as "h2" */
	torc_handler *handler;
	void *arg;			/* passed to the handler */
};

/*
 * An endpoint is an address and the handler of the connections to it. Zero the
 * structure before you fill it in. It grows.
 */
struct torc_endpoint {
	const char *address;		/* as for torc_listen() */
	torc_handler *handler;		/* of each connection that arrives */
	void *arg;			/* passed to the handler */
	struct torc_transport_maker *transport;	/* what its connections go
					 * through: see torc_tls.h; NULL:
					 * clear text */
	/* Handlers for connections that have agreed on a protocol (ALPN), ended
	 * by an element whose `name` is NULL. All others go to `handler`. The
	 * transport must offer each of them. NULL: there are none. */
	const struct torc_protocol *protocols;
};

/*
 * The configuration of a server. A field that is 0 has its default. A value out
 * of its range is refused with -EINVAL and a text that names the field. Sizes
 * and counts are per reactor. Zero the structure before you fill it in. It
 * grows.
 */
struct torc_config {
	/* What to serve; for torc_serve() only. */
	const char *const *listen;	/* addresses, ended by NULL */
	torc_handler *handler;		/* for all addresses in `listen` */
	void *arg;			/* passed to `handler` and to the
					 * functions below */
	/* Addresses with handlers of their own, in addition to `listen`. The
	 * indices of their listeners follow those of `listen`. */
	const struct torc_endpoint *endpoints;
	unsigned endpoint_count;	/* how many endpoints there are */
	/* Called on each reactor's thread before the reactor serves. It runs on
	 * a fiber and may park. A negative result ends torc_serve(), which
	 * returns it. */
	int (*start)(struct torc_reactor *reactor, void *arg);
	/* Called on each reactor's thread after the reactor's last connection
	 * is gone. It does not run on a fiber: it must not park. */
	void (*stop)(struct torc_reactor *reactor, void *arg);
	/* Called on SIGHUP, on the thread that called torc_serve(), for example
	 * to read configuration files or to open a log again. No other signal
	 * is handled until it returns. NULL: SIGHUP drains, as SIGTERM does. */
	void (*reload)(void *arg);
	/* Called with a line of text for the operator, without newline. Such
	 * lines are rare. Reactors call it on their threads, which may be at
	 * the same time. It must not park or block. NULL: there are none. */
	void (*notice)(const char *text, void *arg);

	unsigned reactors;	/* number of reactors; torc_cpus_granted() by
				 * default; to 1024 */
	bool unpinned;		/* do not bind reactor n to allowed CPU n. They
				 * are not bound either if a quota decides how
				 * many there are */

	/* The ring. */
	unsigned sq_entries;	/* size of the submission queue; 1024; 4 to
				 * 32768, a power of two */
	unsigned cq_entries;	/* size of the completion queue, a power of two
				 * and at least `sq_entries`; 4 x sq_entries by
				 * default; to 65536 */
	unsigned batch;		/* completions handled in a turn; 256; 1 to
				 * 65536 */
	unsigned batch_us;	/* time to let completions gather before waking
				 * (Linux 6.12); none by default; to 10000 */
	unsigned spin_us;	/* time to poll before sleeping, while there is
				 * traffic; none by default; to 1000 */

	/* Memory. */
	unsigned connections;	/* connections open at once; 16384; 1 to
				 * 1048576. When there are that many, a new one
				 * takes the place of the one that has waited
				 * longest for a request. If there is none, it
				 * takes the place of one whose peer has been
				 * silent for a second in the middle of
				 * something. If there is none either, the new
				 * one is closed. Connections make room in the
				 * same way when descriptors run out. */
	unsigned ops;		/* operations in flight; 65536; to 1048576 */
	unsigned fibers;	/* fibers alive at once; 32768; 1 to 1048576 */
	unsigned stack_size;	/* bytes of a fiber's stack; 262144; 16384 to
				 * 8388608; only touched pages use memory */
	unsigned stack_guard;	/* inaccessible bytes below a stack; 262144;
				 * 4096 to 2^30 */
	unsigned buffers;	/* receive buffers; 1024; 1 to 32768, a power
				 * of two */
	unsigned buffers_start;	/* receive buffers allocated at the start; 64;
				 * to `buffers` */
	unsigned buffer_size;	/* bytes of a receive buffer; 16384; 64 to
				 * 1048576 */
	bool incremental;	/* fill receive buffers slice by slice (Linux
				 * 6.12; whole buffers before) */
	unsigned held_max;	/* unread bytes of a connection at which its
				 * peer is slowed (before Linux 6.17 a receive
				 * that is under way may bring more); 262144; 1
				 * to 2^30 */
	unsigned held_low;	/* a slowed peer may continue when fewer bytes
				 * than this are unread; half of `held_max` by
				 * default; to `held_max` */
	size_t held_total;	/* unread bytes of all connections that are not
				 * in a receive buffer. Accepted connections
				 * have one half, dialled ones the other. As
				 * this fills up, the share of each connection
				 * shrinks below held_max, but a connection that
				 * holds nothing may always receive 4096 bytes;
				 * 64 MiB, or 32 x held_max, which is also the
				 * minimum */
	unsigned slab_size;	/* staged bytes of a connection; 16384; 64 to
				 * 1048576 */
	unsigned backlog;	/* connections of a listener that wait to be
				 * accepted; 1024; to 65535 */

	/* Times, in milliseconds. 0 means the default, TORC_NO_LIMIT means no
	 * limit. */
	unsigned linger_ms;	/* wait for the peer's FIN after ours, then
				 * reset, or close in a drain; 5000 */
	unsigned close_ms;	/* to send what is staged at close; 30000 */
	unsigned idle_ms;	/* wait for input after TORC_AGAIN; 60000 */
	unsigned drain_ms;	/* time for handlers after SIGTERM; 10000 */
	unsigned lame_duck_ms;	/* in a drain, time before a peer that asks for
				 * nothing is sent FIN, at most half of the
				 * drain; 1000 */
	unsigned stall_ms;	/* a turn of the loop that takes longer counts
				 * as a stall, and `notice` is told; 100 */

	/* Dialled TCP connections: when to give up a peer that has vanished
	 * (-ECONNABORTED). Rounded up to whole seconds. */
	unsigned keepalive_ms;	/* silence before the first probe; 60000; to
				 * 32767000; TORC_NO_LIMIT: no probes */
	unsigned probe_ms;	/* time between probes; 10000; to 32767000 */
	unsigned probes;	/* unanswered probes in a row; 6; to 127 */
	unsigned unacked_ms;	/* time that sent bytes may stay unacknowledged
				 * or untaken (TCP_USER_TIMEOUT); as long as the
				 * probes take by default; to 2147483647;
				 * TORC_NO_LIMIT: the limits of the system */

	/* Fairness. */
	unsigned read_budget;	/* reads without parking before the other ready
				 * fibers run; 16 */

	bool no_stats;		/* make no statistics page for tools to read */
};

#define TORC_NO_LIMIT UINT32_MAX

/* ---- Reactors ---- */

/*
 * A reactor, its fibers and its connections belong to the process that created
 * them. A child made by fork() that uses one of them is stopped with a message.
 * The child may exec, _exit, or create reactors of its own, for example with
 * torc_serve().
 */

/*
 * Find out whether io_uring is available to a default configuration. This makes
 * a ring of the default size with the default flags, registers buffers, tries
 * each of the three system calls, and gives everything back. A program that
 * cannot go on without io_uring exits with 78 (EX_CONFIG). Returns 0, or a
 * negative errno, and `error` names the one cause and the one fix. Any thread.
 */
TORC_API int torc_available(struct torc_error *error);

/*
 * Create a reactor with its ring. `config` may be NULL. It is copied. Its
 * fields that say what to serve (`listen` to `reload`, but not `arg`, and
 * `reactors` and `unpinned`) are for torc_serve() and must be 0. After an error
 * `*reactor` is not set. Returns 0, or a negative errno, and `error` says why,
 * and what would fix it. Any thread.
 */
static inline int
torc_reactor_create(struct torc_reactor **reactor,
    const struct torc_config *config, struct torc_error *error)
{
	return torc_reactor_create_sized(reactor, config, sizeof(*config),
	    error);
}

/*
 * Run a reactor until it is stopped or drained. The calling thread becomes the
 * reactor's thread. When everything is closed, the call returns. Returns 0, or
 * the negative errno that ended the reactor. After such an error the ring is
 * lost: sockets of connections are closed, but fibers do not run again, and
 * what they own is not freed.
 */
TORC_API int torc_reactor_run(struct torc_reactor *reactor);

/*
 * Take one turn of the loop, for programs with a loop of their own. A turn
 * submits operations, waits for completions until `deadline` (with TORC_AT_ONCE
 * it does not wait), and handles them. The thread of the first turn becomes the
 * reactor's thread. Returns 1 while the reactor lives; 0 after it was stopped
 * or drained and everything is closed; or a negative errno as
 * torc_reactor_run().
 */
TORC_API int torc_reactor_turn(struct torc_reactor *reactor,
    torc_deadline deadline);

/*
 * Embed a reactor in another loop. torc_reactor_fd() returns a descriptor that
 * becomes readable when a turn would find something to do, or a negative errno.
 * torc_reactor_due() returns the time at which a turn is due even if the
 * descriptor is not readable. Before the loop polls, take turns with
 * TORC_AT_ONCE until torc_reactor_due() lies in the future.
 *
 * The descriptor is an eventfd that the first call makes, because the ring's
 * own descriptor does not report deferred completions. It costs a read(2) in
 * each turn, and a registration in a turn that follows a post or the end of an
 * operation. The reactor's thread, or on the one that created it before it
 * runs.
 */
TORC_API int torc_reactor_fd(struct torc_reactor *reactor);
TORC_API uint64_t torc_reactor_due(const struct torc_reactor *reactor);

/*
 * Drain a reactor: accept no more, finish what has begun, and end. The reactor
 * closes its listeners, lets handlers finish what they have begun, closes the
 * other connections, and waits for all fibers that are not daemons
 * (torc_fiber_spawn_daemon). At `deadline` all fibers are cancelled.
 * torc_reactor_stop() cancels them at once, as a drain with TORC_AT_ONCE does.
 * Another call replaces the deadline, also by a later one. Any thread; also a
 * signal handler.
 */
TORC_API void torc_reactor_drain(struct torc_reactor *reactor,
    torc_deadline deadline);
TORC_API void torc_reactor_stop(struct torc_reactor *reactor);

/*
 * A phase is a stage in the life of a reactor. Phases follow each other in this
 * order. Compare them with "<" and ">=", since later versions may add phases in
 * between, for example one in which a server that announces its end still
 * accepts connections.
 */
enum torc_phase {
	TORC_PHASE_CREATED = 0,		/* not running yet */
	TORC_PHASE_RUNNING = 16,
	TORC_PHASE_DRAINING = 32,	/* accepts no more connections; answers
					 * say that their connection closes, and
					 * what takes long ends */
	TORC_PHASE_STOPPING = 48,	/* the fibers are cancelled */
	TORC_PHASE_ENDED = 64,
};

/* Returns the phase of a reactor. The reactor's thread. */
TORC_API enum torc_phase torc_reactor_phase(const struct torc_reactor *reactor);

/* Returns whether a reactor drains, stops or ended. The reactor's thread. */
TORC_API bool torc_reactor_draining(const struct torc_reactor *reactor);

/*
 * Parks. Wait until the reactor of this fiber drains. A fiber in the background
 * calls this in place of torc_sleep(), or to notify others that what they wait
 * for will not come. Returns 0, at once if the reactor drains already;
 * -ETIMEDOUT; or -ECANCELED.
 */
TORC_API int torc_reactor_await_drain(torc_deadline deadline);

/*
 * Free a reactor that has ended or was never run. No other thread may use it
 * any more. In particular, no thread may still be inside a torc_reactor_post()
 * to it, even if the posted call has run already. Call it on the reactor's
 * thread, or on any thread if the reactor was never run. NULL does nothing.
 */
TORC_API void torc_reactor_destroy(struct torc_reactor *reactor);

/* Returns the reactor of this thread, or NULL. Any thread. */
TORC_API struct torc_reactor *torc_reactor_self(void);

/*
 * Keep data of the program and of libraries with a reactor. There is one
 * pointer for each key and reactor, and it is NULL at first. The program's own
 * pointer has no key (NULL). A client keeps its pool under a key of its own, so
 * that a handler can ask for the pool of this reactor. What identifies a key is
 * its address. torc does not free the data. torc_reactor_set_data() returns 0
 * or -ENOMEM, but never -ENOMEM without a key. The reactor's thread, or on any
 * thread before the reactor runs. The structure is frozen.
 */
struct torc_key {
	const char *name;	/* for people to read */
};

TORC_API int torc_reactor_set_data(struct torc_reactor *reactor,
    const struct torc_key *key, void *data);
TORC_API void *torc_reactor_data(const struct torc_reactor *reactor,
    const struct torc_key *key);

/*
 * Returns the index of a reactor of torc_serve(). For a reactor that was
 * created in another way, it is 0. Any thread.
 */
TORC_API unsigned torc_reactor_index(const struct torc_reactor *reactor);

/* Describe in one line of text what the kernel gave a reactor. Any thread. */
TORC_API void torc_reactor_describe(const struct torc_reactor *reactor,
    char *text, size_t size);

/* ---- Statistics ---- */

/*
 * Statistics of a reactor: its state when it last entered the kernel, and what
 * it has counted since it was created. It grows.
 */
struct torc_stats {
	uint64_t reactors;

	/* Now. */
	uint64_t connections;		/* open ones */
	uint64_t connections_max;	/* as configured */
	uint64_t listeners;
	uint64_t listeners_paused;	/* no descriptor was left for them */
	uint64_t fibers;
	uint64_t fibers_max;
	uint64_t operations;		/* in flight */
	uint64_t timers;
	uint64_t held_accepted;		/* unread bytes of accepted connections
					 * that are not in a receive buffer */
	uint64_t held_dialled;		/* the same for dialled connections */

	/* Since the reactor was created. */
	uint64_t turns;			/* turns of the loop */
	uint64_t enters;		/* calls of io_uring_enter(2) */
	uint64_t sleeps;		/* enters that could sleep */
	uint64_t submissions;
	uint64_t completions;
	uint64_t overflows;		/* times that the CQ was full */
	uint64_t posts;
	uint64_t fibers_started;
	uint64_t resumes;		/* times a fiber was resumed */
	uint64_t timeouts;
	uint64_t operations_started;
	uint64_t operations_cancelled;
	uint64_t accepted;		/* connections */
	uint64_t refused;		/* accepted, but closed at once: there
					 * were too many */
	uint64_t evicted;		/* closed to make room for others */
	uint64_t accept_pauses;
	uint64_t dialled;
	uint64_t closed;		/* connections closed in any way */
	uint64_t reset;			/* connections closed with a reset */
	uint64_t received_bytes;
	uint64_t sent_bytes;
	uint64_t slowed;		/* times a peer reached `held_max` */
	uint64_t buffers_missed;	/* receives that found no buffer */
	uint64_t busy_ns;		/* time in turns that were timed */
	uint64_t stalls;		/* turns that took over `stall_ms` */
	uint64_t longest_turn_ns;	/* the maximum over all reactors */

	/* TLS: handshakes of connections that were accepted or dialled. */
	uint64_t handshakes;		/* now: in progress */
	uint64_t handshakes_full;
	uint64_t handshakes_resumed;	/* they continued a session */
	uint64_t handshakes_failed;	/* the connection was closed before its
					 * handshake was done, for whatever
					 * reason */

	/* Each handshake that failed counts in one of these: */
	uint64_t handshakes_failed_left;	/* the peer closed or reset the
						 * connection */
	uint64_t handshakes_failed_late;	/* it took too long */
	uint64_t handshakes_failed_clear;	/* the peer speaks no TLS */
	uint64_t handshakes_failed_version;	/* none in common */
	uint64_t handshakes_failed_cipher;	/* no cipher, group, signature
						 * or ALPN in common */
	uint64_t handshakes_failed_certificate;	/* that of the peer was
						 * refused, or is missing */
	uint64_t handshakes_failed_refused;	/* the peer refused, such as
						 * our certificate */
	uint64_t handshakes_failed_protocol;	/* the peer violated it */
	uint64_t handshakes_failed_memory;	/* there was not enough */
	uint64_t handshakes_failed_ended;	/* by this side: it drained,
						 * stopped, was cancelled, or
						 * needed room for others */

	/* Each that was done counts in one of these, and in one below them. */
	uint64_t handshakes_tls_1_2;
	uint64_t handshakes_tls_1_3;

	uint64_t handshakes_aes128_gcm;		/* of TLS 1.3 */
	uint64_t handshakes_aes256_gcm;
	uint64_t handshakes_chacha20;
	uint64_t handshakes_ecdsa_aes128_gcm;	/* of TLS 1.2, with ECDHE */
	uint64_t handshakes_rsa_aes128_gcm;
	uint64_t handshakes_ecdsa_aes256_gcm;
	uint64_t handshakes_rsa_aes256_gcm;
	uint64_t handshakes_ecdsa_chacha20;
	uint64_t handshakes_rsa_chacha20;
	uint64_t handshakes_other_cipher;
};

/*
 * Read the statistics of this process: the sums over all its reactors.
 * Destroyed reactors still count, so no count ever decreases.
 *
 * The call takes a mutex and reads 70 words of each reactor. This does not slow
 * the reactors down. Any thread, but not a signal handler.
 */
static inline void
torc_stats_read(struct torc_stats *stats)
{
	torc_stats_read_sized(stats, sizeof(*stats));
}

/*
 * Read the statistics of one reactor. It must not be destroyed meanwhile. Any
 * thread.
 */
static inline void
torc_reactor_stats_read(const struct torc_reactor *reactor,
    struct torc_stats *stats)
{
	torc_reactor_stats_read_sized(reactor, stats, sizeof(*stats));
}

/* ---- Posts ---- */

/*
 * A post asks a reactor to make a call on its thread. Set `call` and zero all
 * other fields. The memory must stay in place until `call` runs, and belongs to
 * `call` from then on: `call` may post it again. A second post of it before
 * `call` runs stops the process. Posts of one thread run in order. `call` runs
 * on the loop and not on a fiber: it must not park, but may spawn fibers. The
 * structure is frozen.
 */
struct torc_post {
	void (*call)(struct torc_reactor *reactor, struct torc_post *post);
	struct torc_post *next;		/* torc's */
	const void *posted;		/* torc's */
};

/*
 * Post a call to a reactor. Never blocks. Returns 0, or -ESHUTDOWN if the
 * reactor has ended, and `call` will not run. A call that was posted always
 * runs: if the reactor is never run, in torc_reactor_destroy(). Any thread;
 * also a signal handler.
 */
TORC_API int torc_reactor_post(struct torc_reactor *reactor,
    struct torc_post *post);

/* ---- Fibers ---- */

/*
 * A fiber is a function with a stack of its own, on the reactor's thread. It
 * runs until it parks, which happens in calls whose comment begins with "Parks"
 * and nowhere else.
 *
 * Stacks. A stack has `stack_size` bytes. The `stack_guard` bytes below it end
 * the process with SIGSEGV when they are touched (torc_fault_report). A stack
 * frame that is larger than the guard can jump over it into another stack. So
 * code with such frames, or with alloca() or arrays whose size comes from data,
 * must be compiled with -fstack-clash-protection, which touches each page.
 *
 * State. A fiber keeps everything that a call preserves, such as the rounding
 * mode, which is at first that of the loop's caller. In a program linked with
 * C++, it also keeps the exceptions that it is handling. No exception may leave
 * a fiber. The signal mask and the flags of floating-point errors belong to the
 * thread.
 */
typedef int torc_fiber_entry(void *arg);

/*
 * Explain on standard error why a fiber is killed by SIGSEGV. One sentence says
 * that the fiber ran over its stack or followed a NULL pointer. The signal then
 * has its former effect: the program's handler runs, if there was one, or the
 * process ends and leaves a core file. torc_serve() makes this call unless the
 * program has a handler. The thread of each reactor gets an alternate signal
 * stack of at least 64 KiB, unless it has one already.
 *
 * Returns 0, or -EEXIST if the program has installed a handler since the last
 * call. Any thread.
 */
TORC_API int torc_fault_report(void);

/*
 * Spawn a fiber that will run entry(arg). It runs when the loop comes to it,
 * never inside this call. A fiber that is cancelled before that still runs. If
 * `id` is not NULL, it receives the id of the fiber, and some fiber must join
 * or reap that id. Returns 0, or: -ENOMEM `fibers` fibers are alive already, or
 * there is no memory for a stack; -ESHUTDOWN the reactor is stopping.
 */
TORC_API int torc_fiber_spawn(uint64_t *id, torc_fiber_entry *entry,
    void *arg);

/*
 * Spawn a fiber that is a daemon. A daemon works in the background while there
 * is something to serve, and does not delay a drain. When a drain has closed
 * the listeners and every other fiber has ended, all daemons are cancelled. The
 * drain ends with the last of them. A fiber that a daemon spawns is a daemon,
 * too. The `start` of torc_serve() is one, and so are the fibers that it
 * spawns.
 *
 * torc_fiber_spawn_daemon() works as torc_fiber_spawn(), but also returns
 * -ESHUTDOWN after a drain has cancelled the daemons. torc_fiber_set_daemon()
 * says whether the calling fiber is a daemon from now on. A daemon that takes
 * jobs from a queue uses it to be an ordinary fiber during a job that must be
 * finished.
 */
TORC_API int torc_fiber_spawn_daemon(uint64_t *id, torc_fiber_entry *entry,
    void *arg);
TORC_API void torc_fiber_set_daemon(bool daemon);

/*
 * Parks. Wait for the end of a fiber and take its result. `result` may be NULL.
 * Returns 0, or: -ETIMEDOUT or -ECANCELED the fiber can be joined again; -ESRCH
 * there is no such fiber to join, or it was joined already.
 */
TORC_API int torc_fiber_join(uint64_t id, int *result, torc_deadline deadline);

/*
 * Cancel a fiber. Until it ends, each of its calls that has to wait returns
 * -ECANCELED, unless its comment says that it waits even then. A fiber that has
 * not run yet still runs. If the caller is a fiber, the cancelled one runs
 * later; otherwise (in a post) a fiber that waits runs at once, before the call
 * returns. Returns 0, or -ESRCH if the fiber has ended. The reactor's thread.
 *
 * The connection of a cancelled handler is reset in most cases, even if it
 * returns TORC_CLOSE: see TORC_CLOSE. To end a connection in order, wake its
 * handler with torc_wake() instead.
 */
TORC_API int torc_fiber_cancel(uint64_t id);

/*
 * Parks. Cancel a fiber and wait for its end, even if the caller is cancelled.
 * `result` may be NULL. Use TORC_NEVER for what the fiber must not outlive,
 * such as the stack of the fiber that spawned it. Returns 0, or: -ESRCH there
 * is no such fiber to join; -ETIMEDOUT the fiber is cancelled but has not
 * ended, and can be reaped again.
 */
TORC_API int torc_fiber_reap(uint64_t id, int *result,
    torc_deadline deadline);

/* Returns the calling fiber's id, or 0 outside a fiber. */
TORC_API uint64_t torc_fiber_self(void);

/*
 * Parks. Wait for a time. Returns 0 at the deadline, never before it, or
 * -ECANCELED.
 */
TORC_API int torc_sleep(torc_deadline deadline);

/*
 * Parks. Let every other fiber that is ready run first. Returns 0 or
 * -ECANCELED.
 */
TORC_API int torc_yield(void);

/*
 * A queue of fibers that wait for something of the program's own, such as a
 * reply or a free connection. It is all zero when no fiber waits. It must stay
 * in place while one waits. Frozen.
 */
struct torc_waiters {
	struct torc_waiter *first;
	struct torc_waiter *last;
};

/*
 * Parks. Wait until woken, behind the fibers that wait already. A fiber that
 * was woken has the result of the waker, even if its deadline passes at the
 * same moment, so nothing that was handed over is lost. Returns the result that
 * the waker gave, -ETIMEDOUT or -ECANCELED.
 */
TORC_API int torc_wait(struct torc_waiters *waiters, torc_deadline deadline);

/*
 * Wake the fiber that has waited longest. If the caller is a fiber, the woken
 * one runs later; otherwise (in a post) it runs at once, before the call
 * returns. Returns false if no fiber waits. The reactor's thread.
 */
TORC_API bool torc_wake(struct torc_waiters *waiters, int result);

/* Wake all fibers that wait. Returns their number. The reactor's thread. */
TORC_API unsigned torc_wake_all(struct torc_waiters *waiters, int result);

/* ---- Groups ---- */

/*
 * A group is a set of fibers that end together. When torc_group_end() returns,
 * every fiber of the group has ended. So the fibers may use the stack of the
 * fiber that made them, and the results they stored there remain.
 *
 * Ownership. The structure lies on the stack of the fiber that begins the
 * group. Only that fiber may spawn fibers in the group, and it must end the
 * group before its own function returns. Otherwise the process is stopped. A
 * group allocates nothing but the stacks of its fibers. The structure is
 * frozen.
 */
enum torc_group_mode {
	TORC_GROUP_ALL,		/* no result cancels the other fibers */
	TORC_GROUP_UNTIL_ERROR,	/* the first negative result cancels them */
	TORC_GROUP_UNTIL_DONE,	/* the first result of 0 or more cancels them */
};

struct torc_group {
	/* All of it is torc's. */
	struct torc_waiters owner;	/* waits for some to end */
	const void *begun_by;
	void *first;			/* fiber */
	unsigned limit;
	unsigned alive;
	unsigned awaited;		/* so many may be alive */
	enum torc_group_mode mode;
	int error;
	bool cancelled;
	uint64_t reserved[2];
};

/*
 * Begin a group. At most `limit` of its fibers are alive at once. 0 means that
 * only the limit of the reactor applies. Must be called on a fiber.
 */
TORC_API void torc_group_begin(struct torc_group *group, unsigned limit,
    enum torc_group_mode mode);

/*
 * Parks, but only while `limit` fibers of the group are alive. Spawn a fiber of
 * the group that will run entry(arg), when the loop comes to it. A fiber that
 * is cancelled before that still runs.
 *
 * Returns 0, or, if entry(arg) will not run: -ETIMEDOUT the deadline passed
 * while the group was full; -ECANCELED the caller or the group was cancelled;
 * -ENOMEM the reactor has no fiber left (`fibers`), or no memory for a stack;
 * -ESHUTDOWN the reactor is stopping.
 */
TORC_API int torc_group_spawn(struct torc_group *group,
    torc_fiber_entry *entry, void *arg, torc_deadline deadline);

/*
 * Cancel all fibers of a group and refuse new ones. Each fiber is cancelled as
 * by torc_fiber_cancel(). Any fiber of the reactor may call this, and so may a
 * post to it.
 */
TORC_API void torc_group_cancel(struct torc_group *group);

/*
 * Parks. Wait until all fibers of a group have ended, and end the group. If the
 * deadline passes, or the caller is cancelled, the fibers are cancelled. The
 * call still waits for each of them: none is left, whatever it returns.
 *
 * Returns 0 if all fibers ended in time, -ETIMEDOUT or -ECANCELED. `*error` is
 * set to the first negative result of a fiber, or to 0. `error` may be NULL.
 * Results that come after the group was cancelled do not count.
 */
TORC_API int torc_group_end(struct torc_group *group, int *error,
    torc_deadline deadline);

/* ---- Channels ---- */

/*
 * A channel passes items between fibers of one reactor, first in, first out.
 * Each item goes to one receiver. An item is `item_size` bytes, which are
 * copied; usually it is a pointer or a small structure.
 *
 * Full. A channel queues up to `capacity` items. When it is full, senders wait
 * in order. With a capacity of 0, each sender waits for its receiver.
 *
 * Ownership. An item belongs to the sender until the call that sends it returns
 * 0, and to the receiver once the call that receives it returns 1. In between
 * it is in the channel. No item is lost or delivered twice. If the deadline
 * passes, or the fiber is cancelled, at the moment when the item is passed on,
 * the call still reports success. To destroy a channel drops the items in its
 * queue.
 *
 * Shutdown. After torc_channel_shutdown() nothing can be sent. Senders that
 * wait return -EPIPE and keep their items. Receivers get the queued items first
 * and then the end.
 *
 * Other threads. A channel belongs to the reactor on whose thread it was
 * created. Another thread can post a call to that reactor
 * (torc_reactor_post()), and the call can use torc_channel_try_send().
 */
struct torc_channel;

/*
 * Create a channel. Returns 0, or: -EINVAL `item_size` is 0 or more than 65536,
 * or `capacity` is more than 1048576; -ENOMEM. A reactor's thread.
 */
TORC_API int torc_channel_create(struct torc_channel **channel,
    size_t item_size, unsigned capacity);

/*
 * Free a channel. If a fiber still waits for it, the process is stopped. NULL
 * does nothing. The reactor's thread, also in the `stop` of torc_serve().
 */
TORC_API void torc_channel_destroy(struct torc_channel *channel);

/*
 * Parks, but only while the channel is full. Send one item. A fiber that is
 * cancelled already gets -ECANCELED at once, even if there is room. Returns 0,
 * or, if the item was not sent: -EPIPE the channel is shut down; -ETIMEDOUT;
 * -ECANCELED.
 */
TORC_API int torc_channel_send(struct torc_channel *channel, const void *item,
    torc_deadline deadline) TORC_CHECKED;

/*
 * Parks, but only while the channel is empty. Receive one item. Returns 1 if
 * `*item` was set; 0 at the end of a channel that was shut down; -ETIMEDOUT; or
 * -ECANCELED. A fiber that is cancelled already gets -ECANCELED at once, and
 * the queued items stay in the queue.
 */
TORC_API int torc_channel_recv(struct torc_channel *channel, void *item,
    torc_deadline deadline);

/*
 * Send or receive an item without waiting. The calls return as
 * torc_channel_send() and torc_channel_recv() do, and -EAGAIN where those would
 * wait. They also work on a cancelled fiber and outside fibers. The reactor's
 * thread.
 */
TORC_API int torc_channel_try_send(struct torc_channel *channel,
    const void *item) TORC_CHECKED;
TORC_API int torc_channel_try_recv(struct torc_channel *channel, void *item);

/* Refuse new items from now on. The reactor's thread. */
TORC_API void torc_channel_shutdown(struct torc_channel *channel);

/* Returns the number of queued items. The reactor's thread. */
TORC_API unsigned torc_channel_count(const struct torc_channel *channel);

/* ---- One of several ---- */

/*
 * A choice is one of several events that torc_choose() can wait for. Functions
 * such as torc_choice_recv() make choices. A choice may be used several times.
 * The objects and the memory that it refers to must stay in place while
 * torc_choose() uses it. Frozen.
 */
struct torc_choice_kind;

struct torc_choice {
	int result;		/* valid after the choice was done */
	/* torc's. */
	const struct torc_choice_kind *kind;
	void *object;
	void *item;
	uint64_t number;
	union {
		uint64_t aligned;
		unsigned char bytes[192];
	} room;
};

/*
 * Parks. Wait until one of `count` choices can be done, and do exactly that
 * one. The others have no effect: nothing of them is sent, received or left
 * waiting.
 *
 * Returns the index of the choice that was done, and its `result` is what the
 * corresponding call returns; or -ETIMEDOUT or -ECANCELED if none was done. A
 * fiber that is cancelled already gets -ECANCELED at once. If one is done just
 * when the deadline passes or the fiber is cancelled, its index is returned.
 * With a `count` of 0 the call waits for its deadline.
 *
 * If several choices can be done at once, the first one in the array is done:
 * put the most urgent one first. Descriptors are polled only if no other choice
 * can be done at once.
 */
TORC_API int torc_choose(struct torc_choice *choices, unsigned count,
    torc_deadline deadline);

/*
 * Make a choice for torc_choose(). Each choice does what one call does, and its
 * result is what that call would return.
 */
/* Receive, as torc_channel_recv(): 1, or 0 at the end of the channel. */
TORC_API struct torc_choice torc_choice_recv(struct torc_channel *channel,
    void *item);
/* Send, as torc_channel_send(): 0 or -EPIPE. */
TORC_API struct torc_choice torc_choice_send(struct torc_channel *channel,
    const void *item);
/* Wait to be woken, as torc_wait(): the result given by the waker. */
TORC_API struct torc_choice torc_choice_wait(struct torc_waiters *waiters);
/* Wait for a drain of the reactor, as torc_reactor_await_drain(): 0. */
TORC_API struct torc_choice torc_choice_drain(void);
/* Wait for a time that is not a deadline, such as the next heartbeat: 0. */
TORC_API struct torc_choice torc_choice_sleep(torc_deadline until);
/* Poll, as torc_fd_poll(): the events that came, or a negative errno. */
TORC_API struct torc_choice torc_choice_poll(int fd, unsigned events);

/* ---- Descriptors that can be spared ---- */

/*
 * A keeper holds descriptors that it could do without. It may be, for example,
 * a cache of open files or a pool of idle connections. When accept(2) finds no
 * descriptor left, all keepers of the process are asked to release some. Other
 * calls that find none left may ask as well. Each keeper is asked on its
 * reactor's thread, outside fibers.
 *
 * Zero the structure and set the first three fields. It must stay in place
 * until it is removed. Frozen.
 */
struct torc_keeper {
	/* Release up to `want` descriptors and return how many were released.
	 * Must not park. */
	unsigned (*reclaim)(unsigned want, void *arg);
	void *arg;
	bool shares;		/* it holds at most torc_keeper_share() */
	/* torc's. */
	struct torc_reactor *reactor;
	struct torc_keeper *next;
	uint64_t reserved[2];
};

/* Add a keeper to the reactor of this thread. Its memory stays the caller's. */
TORC_API void torc_keeper_add(struct torc_keeper *keeper);

/*
 * Remove a keeper. Call it on the thread of the keeper's reactor, before that
 * reactor is destroyed.
 */
TORC_API void torc_keeper_remove(struct torc_keeper *keeper);

/*
 * Returns the number of descriptors that a keeper should hold at most. This is
 * half of the process's soft limit, divided by the number of keepers that
 * respect it (`shares`). Any thread.
 */
TORC_API unsigned torc_keeper_share(void);

/*
 * Make keepers release descriptors. Call this when a call has failed with
 * -EMFILE or -ENFILE. Returns the number of descriptors that keepers of this
 * reactor release; 0 if there are none to release; or -EAGAIN if other reactors
 * are asked, or descriptors are being closed. Unless it is 0, sleep for some
 * milliseconds, in which they are closed, and try the failed call again. The
 * reactor's thread.
 */
TORC_API int torc_reclaim(unsigned want);

/* ---- Descriptors ---- */

/*
 * Parks. Do one operation on any descriptor. An operation that was done at the
 * very moment of its deadline counts as done. Returns the result of the system
 * call of the same name, or: -ETIMEDOUT; -ECANCELED; -ENOBUFS `ops` operations
 * are in flight already. After -ETIMEDOUT and -ECANCELED the operation is over
 * as well, and its memory can be used again. So the call always waits until the
 * kernel has ended the operation: a read or write of a file takes as long as
 * its disk does, whatever the deadline is.
 *
 * `offset` is the position in a file. TORC_STREAM is for a descriptor that has
 * no position, or for the file's own position.
 */
#define TORC_STREAM UINT64_MAX

struct sockaddr;

TORC_API int torc_fd_read(int fd, void *data, size_t size, uint64_t offset,
    torc_deadline deadline);
TORC_API int torc_fd_write(int fd, const void *data, size_t size,
    uint64_t offset, torc_deadline deadline);
/* For sockets. Never raises SIGPIPE. `flags` are MSG_ of recv(2), send(2). */
TORC_API int torc_fd_recv(int fd, void *data, size_t size, int flags,
    torc_deadline deadline);
TORC_API int torc_fd_send(int fd, const void *data, size_t size, int flags,
    torc_deadline deadline);
TORC_API int torc_fd_connect(int fd, const struct sockaddr *address,
    size_t size, torc_deadline deadline);
/* Wait for POLLIN, POLLOUT ...; returns the events that came. */
TORC_API int torc_fd_poll(int fd, unsigned events, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
