/* SPDX-License-Identifier: MIT */
/*
 * torc_runtime.h - reactors, fibers, time, posts and statistics: what does not
 * need a connection. Programs include torc.h, which includes this and has the
 * conventions.
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

/* Behind a declaration: who does not look at the result may lose data. */
#define TORC_CHECKED __attribute__((__warn_unused_result__))

struct torc_conn;

/*
 * A reactor is a loop on a thread of its own, with its ring, its fibers and its
 * connections. torc_serve() makes one for each CPU.
 */
struct torc_reactor;

struct torc_config;
struct torc_error;
struct torc_stats;

/* ---- Structures that grow ---- */

/*
 * The calls behind those that take or fill in a structure that grows: programs
 * call the ones without `_sized`, which pass the size that the program was
 * compiled with. So later versions can add fields, at the end, and a program
 * that was compiled before runs with them: they are 0 for it. A program that
 * was compiled for a later version runs with this one unless it sets a field
 * that this one does not have: -EINVAL.
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
 * Returns the time: CLOCK_MONOTONIC in nanoseconds. On a reactor's thread: as
 * it was when the last system call of the loop returned, which costs nothing.
 * Any thread.
 */
TORC_API uint64_t torc_now(void);

/*
 * The time at which a call that waits gives up. It is a type of its own, so
 * that a number of milliseconds is not taken for one. Frozen.
 */
typedef struct torc_deadline {
	uint64_t at;		/* as of torc_now() */
} torc_deadline;

static inline torc_deadline
torc_at(uint64_t time)
{
	const torc_deadline deadline = { time };

	return deadline;
}

#define TORC_NEVER torc_at(UINT64_MAX)	/* it does not come */
#define TORC_AT_ONCE torc_at(0)		/* it has passed: do not wait */

/*
 * Make a deadline that lies so many milliseconds or microseconds from now. One
 * that would be too late for 64 bits is TORC_NEVER. Any thread.
 */
TORC_API torc_deadline torc_after_ms(uint64_t ms);
TORC_API torc_deadline torc_after_us(uint64_t us);

/* Returns the deadline that comes first. Any thread. */
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
 * What went wrong in a call. It belongs to the caller, who may pass NULL. The
 * call fills it in, also if nothing went wrong: then `code` is 0 and `text` is
 * "". The text is UTF-8, and names what, which value, and what would fix it.
 * Frozen.
 */
struct torc_error {
	int code;		/* a negative errno: what the call returned */
	bool cut;		/* the text did not fit: it was cut behind a
				 * character, and ends with "..." */
	char text[1019];	/* in words, or "" */
};

/* ---- Configuration ---- */

/*
 * A handler is called for each connection, on a fiber. What it returns says
 * what becomes of the connection; a negative value closes it at once, with a
 * reset.
 */
enum {
	TORC_CLOSE = 0,		/* send what is staged, then FIN, wait for the
				 * peer's FIN for `linger_ms`, and close */
	TORC_AGAIN = 1,		/* keep it, give the stack back, and call the
				 * handler again when there is more input, or
				 * its end, within `idle_ms` */
};

typedef int torc_handler(struct torc_conn *conn, void *arg);

/*
 * An endpoint: an address, and what answers the connections that come there.
 * Zero the structure before you fill it in. It grows.
 */
struct torc_endpoint {
	const char *address;		/* as torc_listen() reads it */
	torc_handler *handler;
	void *arg;			/* of the handler */
};

/*
 * The configuration of a server: everything that has a bound. A field that is 0
 * has its default; a value out of its range is refused with -EINVAL and words
 * that name the field. Sizes are per reactor. Zero the structure before you
 * fill it in. It grows.
 */
struct torc_config {
	/* What to serve (torc_serve). */
	const char *const *listen;	/* addresses, ended by NULL */
	torc_handler *handler;		/* of all of these */
	void *arg;			/* of this and the functions below */
	/* Addresses with handlers of their own, beside those of `listen`: their
	 * listeners have the next indices. */
	const struct torc_endpoint *endpoints;
	unsigned endpoint_count;	/* of them */
	/* On each reactor's thread, before it serves; a negative result ends
	 * torc_serve with it. Runs on a fiber: may park. */
	int (*start)(struct torc_reactor *reactor, void *arg);
	/* On each reactor's thread after its last connection is gone. */
	void (*stop)(struct torc_reactor *reactor, void *arg);
	/* On SIGHUP, on the thread that called torc_serve(): to read files of
	 * its configuration again, or to open its log anew. No other signal
	 * is acted on meanwhile. NULL: SIGHUP drains, as SIGTERM does. */
	void (*reload)(void *arg);
	/* A line of text for the operator, without newline. Rare: each kind
	 * at most once a second. Any thread. NULL: none. */
	void (*notice)(const char *text, void *arg);

	unsigned reactors;	/* how many; as many as torc_cpus_granted() says
				 * by default; to 1024 */
	bool unpinned;		/* do not bind reactor n to allowed CPU n; nor
				 * are they if a quota decides how many */

	/* The ring. Powers of two. */
	unsigned sq_entries;	/* of the submission queue; 1024; 4 to 32768 */
	unsigned cq_entries;	/* of the completion queue; 4 x sq_entries by
				 * default; to 65536 */
	unsigned batch;		/* completions a turn; 256; 1 to 65536 */
	unsigned batch_us;	/* let completions gather for so long before
				 * waking (Linux 6.12); not at all by default;
				 * to 10000 */
	unsigned spin_us;	/* poll for so long before sleeping, while there
				 * is traffic; not at all by default; to 1000 */

	/* Memory. */
	unsigned connections;	/* open at once; 16384; 1 to 1048576. A new one
				 * takes the place of the one that has waited
				 * longest for a request; else of one whose
				 * peer has been silent for a second in the
				 * middle of something; else it is closed. They
				 * make room when descriptors run out, too. */
	unsigned ops;		/* operations in flight; 65536; to 1048576 */
	unsigned fibers;	/* alive at once; 32768; 1 to 1048576 */
	unsigned stack_size;	/* bytes of a fiber's; 262144; 16384 to 8388608;
				 * memory only where it was touched */
	unsigned stack_guard;	/* bytes below a stack that may not be touched;
				 * 262144; 4096 to 2^30 */
	unsigned buffers;	/* receive buffers; 1024; 1 to 32768, a power
				 * of two */
	unsigned buffers_start;	/* of them at the start; 64; to `buffers` */
	unsigned buffer_size;	/* bytes of each; 16384; 64 to 1048576 */
	bool incremental;	/* fill buffers slice by slice (Linux 6.12,
				 * else whole buffers) */
	unsigned held_max;	/* bytes that a connection may have unread:
				 * then its peer is slowed (before Linux 6.17
				 * a receive that is under way may bring more);
				 * 262144; 1 to 2^30 */
	unsigned held_low;	/* a slowed peer goes on when fewer bytes are
				 * unread; half of `held_max` by default */
	size_t held_total;	/* unread bytes of all connections that are in
				 * no receive buffer: half for those that were
				 * accepted, half for those that were dialled.
				 * As they grow, the share of each connection
				 * shrinks below held_max; one that holds
				 * nothing may always receive 4096; 64 MiB, or
				 * 32 x held_max, which is the least */
	unsigned slab_size;	/* staged bytes of a connection; 16384; 64 to
				 * 1048576 */
	unsigned backlog;	/* connections that wait to be accepted, of a
				 * listener; 1024; to 65535 */

	/* Time, in milliseconds. 0 has the default, TORC_NO_LIMIT none. */
	unsigned linger_ms;	/* for the peer's FIN after ours; 5000 */
	unsigned close_ms;	/* to send what is staged at close; 30000 */
	unsigned idle_ms;	/* for input after TORC_AGAIN; 60000 */
	unsigned drain_ms;	/* for handlers after SIGTERM; 10000 */
	unsigned lame_duck_ms;	/* in a drain, peers that ask for nothing are
				 * served so long before they have FIN, at most
				 * half of the drain; 1000 */
	unsigned stall_ms;	/* a turn of the loop that takes longer is
				 * counted as a stall; 100 */

	/* Of dialled TCP connections: when a peer that has vanished without a
	 * word is given up (-ECONNABORTED). Rounded up to whole seconds. */
	unsigned keepalive_ms;	/* silence before the peer is probed; 60000;
				 * to 32767000; TORC_NO_LIMIT: no probes */
	unsigned probe_ms;	/* between two probes; 10000; to 32767000 */
	unsigned probes;	/* unanswered in a row; 6; to 127 */
	unsigned unacked_ms;	/* bytes not acknowledged, or not taken, for so
				 * long (TCP_USER_TIMEOUT); as long as the
				 * probes take; to 2147483647;
				 * TORC_NO_LIMIT: the system's own limits */

	/* Fairness. */
	unsigned read_budget;	/* reads that did not have to park before the
				 * fiber is put behind the others; 16 */

	bool no_stats;		/* no statistics page that tools can read */
};

#define TORC_NO_LIMIT UINT32_MAX

/* ---- Reactors ---- */

/*
 * A reactor, its fibers and its connections belong to the process that made
 * them. A child of a fork() that uses one is stopped with a message: it may
 * exec, _exit, or create reactors of its own (torc_serve() does).
 */

/*
 * Find out whether io_uring is available here, for a reactor with the default
 * configuration: a ring of its size with its flags, registered buffers, and
 * each of the three calls. All of it is given back. Programs that cannot go on
 * exit with 78 (EX_CONFIG). Returns 0, or a negative errno, and `error` names
 * the one cause and the one fix. Any thread.
 */
TORC_API int torc_available(struct torc_error *error);

/*
 * Create a reactor with its ring. `config` may be NULL. Fields of it that say
 * what to serve (`listen` to `reload`, `reactors` and `unpinned`) are those of
 * torc_serve(), and must be 0. Returns 0, or a negative errno, and `error` says
 * why, and what would fix it. Any thread.
 */
static inline int
torc_reactor_create(struct torc_reactor **reactor,
    const struct torc_config *config, struct torc_error *error)
{
	return torc_reactor_create_sized(reactor, config, sizeof(*config),
	    error);
}

/*
 * Run a reactor until it is stopped or drained; the calling thread becomes its
 * thread. Returns 0, or the negative errno that ended it, after everything is
 * closed.
 */
TORC_API int torc_reactor_run(struct torc_reactor *reactor);

/*
 * Take one turn of the loop, for programs with a loop of their own: submit,
 * wait until `deadline` (TORC_AT_ONCE: do not wait), dispatch. Returns 1 while
 * the reactor lives, 0 after it was stopped or drained and everything is
 * closed, or a negative errno. The thread of the first turn is the reactor's
 * from then on.
 */
TORC_API int torc_reactor_turn(struct torc_reactor *reactor,
    torc_deadline deadline);

/*
 * Embed a reactor in another loop: a descriptor that polls readable when a turn
 * would find something to do, or a negative errno; and the time at which a turn
 * is due even if it does not. Before you poll, take turns with TORC_AT_ONCE
 * until torc_reactor_due() lies in the future. (An eventfd, made at the first
 * call: the ring's own descriptor does not tell of deferred completions. It
 * costs a read(2) in each turn, and a registration in one that follows a post
 * or the end of an operation.) The reactor's thread, or the one that created it
 * before it runs.
 */
TORC_API int torc_reactor_fd(struct torc_reactor *reactor);
TORC_API uint64_t torc_reactor_due(const struct torc_reactor *reactor);

/*
 * Drain a reactor: accept no more, let handlers finish what they have begun,
 * close the others, wait for all fibers that are no daemons
 * (torc_fiber_spawn_daemon), and end. At `deadline`, all fibers are cancelled.
 * torc_reactor_stop() does that at once, as TORC_AT_ONCE does. Any thread; also
 * a signal handler.
 */
TORC_API void torc_reactor_drain(struct torc_reactor *reactor,
    torc_deadline deadline);
TORC_API void torc_reactor_stop(struct torc_reactor *reactor);

/*
 * A phase is what a reactor is at, in the order in which it comes to it.
 * Compare with "<" and ">=": later versions may have phases in between, such as
 * one in which a server is announced to be leaving and accepts connections
 * nonetheless.
 */
enum torc_phase {
	TORC_PHASE_CREATED = 0,		/* it does not run yet */
	TORC_PHASE_RUNNING = 16,
	TORC_PHASE_DRAINING = 32,	/* it accepts no more: answers say that
					 * their connection closes, and what
					 * takes long ends */
	TORC_PHASE_STOPPING = 48,	/* its fibers are cancelled */
	TORC_PHASE_ENDED = 64,
};

/* Returns the phase of a reactor. The reactor's thread. */
TORC_API enum torc_phase torc_reactor_phase(const struct torc_reactor *reactor);

/* Returns whether a reactor drains or is at its end. The reactor's thread. */
TORC_API bool torc_reactor_draining(const struct torc_reactor *reactor);

/*
 * Parks. Wait until the reactor of this fiber drains. Returns 0, at once if it
 * drains already; or -ETIMEDOUT, -ECANCELED. For fibers in the background, in
 * place of a sleep, and to tell others that wait for something which will not
 * come.
 */
TORC_API int torc_reactor_await_drain(torc_deadline deadline);

/*
 * Free a reactor. It has ended or was never run; no other thread uses it
 * any more, nor is one still inside a torc_reactor_post() to it, whose call may
 * have run already. Its thread, or any if it was never run. NULL does nothing.
 */
TORC_API void torc_reactor_destroy(struct torc_reactor *reactor);

/* Returns the reactor of this thread, or NULL. Any thread. */
TORC_API struct torc_reactor *torc_reactor_self(void);

/*
 * Keep data of the program and of libraries with a reactor: one pointer per key
 * and reactor, NULL at first. The program's own has no key (NULL). A client
 * keeps its pool under a key of its own, so that a handler can ask for "this
 * reactor's"; a key is its address. Returns 0 or -ENOMEM, the latter never
 * without a key. The reactor's thread, or any before it runs. The structure is
 * frozen.
 */
struct torc_key {
	const char *name;	/* for people */
};

TORC_API int torc_reactor_set_data(struct torc_reactor *reactor,
    const struct torc_key *key, void *data);
TORC_API void *torc_reactor_data(const struct torc_reactor *reactor,
    const struct torc_key *key);

/*
 * Returns the index of a reactor in torc_serve(), and 0 for one that was
 * created alone. Any thread.
 */
TORC_API unsigned torc_reactor_index(const struct torc_reactor *reactor);

/* Say in one line of text what the kernel gave a reactor. Any thread. */
TORC_API void torc_reactor_describe(const struct torc_reactor *reactor,
    char *text, size_t size);

/* ---- Statistics ---- */

/*
 * Statistics: the current state of a reactor, as of the last time it entered
 * the kernel, and what it has counted since it was created. It grows.
 */
struct torc_stats {
	uint64_t reactors;

	/* Now. */
	uint64_t connections;		/* open */
	uint64_t connections_max;	/* of the configuration */
	uint64_t listeners;
	uint64_t listeners_paused;	/* for want of descriptors */
	uint64_t fibers;
	uint64_t fibers_max;
	uint64_t operations;		/* in flight */
	uint64_t timers;
	uint64_t held_accepted;		/* bytes of input that nobody has read
					 * and that are in no receive buffer,
					 * of accepted connections, */
	uint64_t held_dialled;		/* and of dialled ones */

	/* Since the beginning. */
	uint64_t turns;			/* of the loop */
	uint64_t enters;		/* io_uring_enter(2) */
	uint64_t sleeps;		/* of them, that could sleep */
	uint64_t submissions;
	uint64_t completions;
	uint64_t overflows;		/* times that the CQ was full */
	uint64_t posts;
	uint64_t fibers_started;
	uint64_t resumes;		/* of fibers */
	uint64_t timeouts;
	uint64_t operations_started;
	uint64_t operations_cancelled;
	uint64_t accepted;		/* connections, */
	uint64_t refused;		/* of them, since there were too many */
	uint64_t evicted;		/* closed to make room for others */
	uint64_t accept_pauses;
	uint64_t dialled;
	uint64_t closed;		/* all of them, in whatever way */
	uint64_t reset;			/* of them, by force */
	uint64_t received_bytes;
	uint64_t sent_bytes;
	uint64_t slowed;		/* peers, at `held_max` */
	uint64_t buffers_missed;	/* receives that found none */
	uint64_t busy_ns;		/* of the turns that were timed */
	uint64_t stalls;		/* turns longer than `stall_ms` */
	uint64_t longest_turn_ns;	/* of all reactors */
};

/*
 * Read the statistics of this process: the sums over all its reactors. Counts
 * of destroyed reactors are included, so that no count ever decreases.
 *
 * Takes a mutex and reads 36 words of each reactor, which does not slow them
 * down. Any thread, but not a signal handler.
 */
static inline void
torc_stats_read(struct torc_stats *stats)
{
	torc_stats_read_sized(stats, sizeof(*stats));
}

/*
 * Read the statistics of one reactor, which is not destroyed meanwhile. Any
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
 * A call on a reactor's thread, asked for by any thread. All is zero but
 * `call`. The memory must stay until `call` runs, and belongs to `call` from
 * then on: it may be posted again from there. A post that has not run yet must
 * not be posted again; that stops the process. Calls of one thread run in
 * order. `call` runs on the loop, not on a fiber: it must not park; it may
 * spawn. The structure is frozen.
 */
struct torc_post {
	void (*call)(struct torc_reactor *reactor, struct torc_post *post);
	struct torc_post *next;		/* torc's */
	const void *posted;		/* torc's */
};

/*
 * Post a call to a reactor. Never blocks. Returns 0, or -ESHUTDOWN if the
 * reactor has ended: `call` will not run. Any thread; also a signal handler.
 */
TORC_API int torc_reactor_post(struct torc_reactor *reactor,
    struct torc_post *post);

/* ---- Fibers ---- */

/*
 * A fiber is a function on a stack of its own, on the reactor's thread. It
 * runs until it parks: in a call whose comment begins with "Parks", and
 * nowhere else. Its stack has `stack_size` bytes; below it, `stack_guard` bytes
 * end the process with SIGSEGV when they are touched (torc_fault_report). A
 * frame that is larger than the guard can jump over it into another stack: code
 * with such frames, or with alloca() or arrays whose size comes from data, must
 * be compiled with -fstack-clash-protection, which touches each page.
 *
 * A fiber keeps what a call preserves, such as the rounding mode; it begins
 * with that of the caller of the loop. In a program that was linked with C++ it
 * also keeps the exceptions that it handles. None may leave it. The signal mask
 * and the flags of floating-point errors are the thread's.
 */
typedef int torc_fiber_entry(void *arg);

/*
 * Report faults of fibers: say in a sentence on standard error what a fiber did
 * that is killed by SIGSEGV: it has run over its stack, or followed a NULL.
 * Then the signal does what it did before: it is handled by the program's
 * handler, if there was one, or ends the process, which leaves a core file as
 * ever. torc_serve() does this by itself unless the program has a handler. Each
 * reactor's thread has an alternate signal stack, of 64 KiB at least, unless it
 * had one already.
 *
 * Returns 0, or -EEXIST if the program has put a handler in place since the
 * last call. Any thread.
 */
TORC_API int torc_fault_report(void);

/*
 * Make a fiber that will run entry(arg) in the coming turn, never inside this
 * call. If `id` is not NULL it is set, and somebody must join. Returns 0, or:
 * -ENOMEM `fibers` are alive already; -ESHUTDOWN the reactor is stopping.
 */
TORC_API int torc_fiber_spawn(uint64_t *id, torc_fiber_entry *entry,
    void *arg);

/*
 * Make a fiber that is a daemon. A daemon is a fiber that does not hold a
 * drain: it works in the background for as long as there is something to serve.
 * When a drain has closed the listeners and every other fiber has ended, each
 * daemon is cancelled, and the drain ends with the last of them. A fiber that a
 * daemon spawns is a daemon. So are the `start` of torc_serve() and what it
 * spawns.
 *
 * torc_fiber_spawn_daemon() is as torc_fiber_spawn(), but also returns
 * -ESHUTDOWN after a drain has cancelled the daemons. torc_fiber_set_daemon()
 * says whether the calling fiber is a daemon from now on: one that takes jobs
 * from a queue is none while it works on a job that must be finished.
 */
TORC_API int torc_fiber_spawn_daemon(uint64_t *id, torc_fiber_entry *entry,
    void *arg);
TORC_API void torc_fiber_set_daemon(bool daemon);

/*
 * Parks. Wait for the end of a fiber and take its result. Returns 0, or:
 * -ETIMEDOUT it has not ended, and can be joined again; -ECANCELED; -ESRCH it
 * is not there to be joined.
 */
TORC_API int torc_fiber_join(uint64_t id, int *result, torc_deadline deadline);

/*
 * Cancel a fiber: make every parking call of it return -ECANCELED from now on
 * until it ends. Returns 0, or -ESRCH if it has ended.
 */
TORC_API int torc_fiber_cancel(uint64_t id);

/*
 * Parks. Cancel a fiber and wait for its end, also when the caller is cancelled
 * itself. With TORC_NEVER, for what a fiber must not outlive, such as the stack
 * of the one that made it. Returns 0, or: -ESRCH it is not there to be joined;
 * -ETIMEDOUT it has been told to end, and can be reaped again.
 */
TORC_API int torc_fiber_reap(uint64_t id, int *result,
    torc_deadline deadline);

/* Returns the calling fiber's id, or 0 outside a fiber. */
TORC_API uint64_t torc_fiber_self(void);

/*
 * Parks. Wait for a time. Returns 0 at the deadline, never before it; or
 * -ECANCELED.
 */
TORC_API int torc_sleep(torc_deadline deadline);

/*
 * Parks. Let every other fiber that is ready run first. Returns 0 or
 * -ECANCELED.
 */
TORC_API int torc_yield(void);

/*
 * Fibers that wait for something of the program's own: a reply, a turn, a free
 * connection. All zero when nobody waits. Frozen.
 */
struct torc_waiters {
	struct torc_waiter *first;
	struct torc_waiter *last;
};

/*
 * Parks. Wait behind those that wait already, until woken. A fiber that was
 * woken has the waker's result, also if its time is up in the same moment:
 * nothing handed over is lost. Returns the result that the waker gave, or
 * -ETIMEDOUT, -ECANCELED.
 */
TORC_API int torc_wait(struct torc_waiters *waiters, torc_deadline deadline);

/*
 * Wake the fiber that has waited longest. On a fiber, it runs later in this
 * turn; outside fibers (in a post), at once. Returns false if nobody waits. The
 * reactor's thread.
 */
TORC_API bool torc_wake(struct torc_waiters *waiters, int result);

/* Wake all that wait now. Returns how many. The reactor's thread. */
TORC_API unsigned torc_wake_all(struct torc_waiters *waiters, int result);

/* ---- Groups ---- */

/*
 * A group is a set of fibers that end together. When torc_group_end() returns,
 * every fiber of the group has ended. So the fibers may use the stack of the
 * fiber that made them, and the results they stored there remain.
 *
 * Ownership. The structure lies on the stack of the fiber that begins the
 * group. Only that fiber may spawn in the group, and it must end the group
 * before its own function returns; otherwise the process is stopped. A group
 * allocates nothing but the stacks of its fibers. The structure is frozen.
 */
enum torc_group_mode {
	TORC_GROUP_ALL,		/* results cancel nobody */
	TORC_GROUP_UNTIL_ERROR,	/* the first negative result cancels the rest */
	TORC_GROUP_UNTIL_DONE,	/* the first result that is not negative does */
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
 * Begin a group. At most `limit` of its fibers are alive at a time; 0 means no
 * limit but that of the reactor. Must be called on a fiber.
 */
TORC_API void torc_group_begin(struct torc_group *group, unsigned limit,
    enum torc_group_mode mode);

/*
 * Parks, but only while `limit` fibers of the group are alive. Make a fiber
 * that will run entry(arg) in the coming turn.
 *
 * Returns 0, or, if entry(arg) will not run: -ETIMEDOUT the deadline passed
 * while the group was full; -ECANCELED the caller or the group was cancelled;
 * -ENOMEM the reactor has no fiber left (`fibers`); -ESHUTDOWN it is stopping.
 */
TORC_API int torc_group_spawn(struct torc_group *group,
    torc_fiber_entry *entry, void *arg, torc_deadline deadline);

/*
 * Cancel all fibers of a group, as torc_fiber_cancel() does, and refuse new
 * ones. Any fiber of the reactor, or a post to it.
 */
TORC_API void torc_group_cancel(struct torc_group *group);

/*
 * Parks. Wait until all fibers of a group have ended, and end the group. If the
 * deadline passes, or the caller is cancelled, the fibers are cancelled, and
 * the call still waits for each of them: none is left, whatever it returns.
 *
 * Returns 0 if all fibers ended in time, -ETIMEDOUT or -ECANCELED. `*error`
 * (may be NULL) is set to the first negative result of a fiber, or 0. Results
 * that come after the group was cancelled do not count.
 */
TORC_API int torc_group_end(struct torc_group *group, int *error,
    torc_deadline deadline);

/* ---- Channels ---- */

/*
 * A channel passes items between fibers of one reactor, first in, first out.
 * Each item goes to one receiver. An item is `item_size` bytes, which are
 * copied; usually it is a pointer or a small structure.
 *
 * Full. A channel queues up to `capacity` items. Then senders wait, in order.
 * With a capacity of 0, each sender waits for its receiver.
 *
 * Ownership. An item belongs to the sender until the call that sends it returns
 * 0, and to the receiver once the call that receives it returns 1. In between
 * it is in the channel. No item is lost or delivered twice: if the deadline
 * passes, or the fiber is cancelled, just when its item is passed on, the call
 * still reports success. Destroying a channel drops the items in its queue.
 *
 * Shutdown. After torc_channel_shutdown() nothing can be sent. Senders that
 * wait return -EPIPE and keep their items. Receivers get the queued items
 * first and then the end.
 *
 * Other threads. A channel belongs to the reactor on whose thread it was made.
 * Another thread can torc_reactor_post() a call that uses
 * torc_channel_try_send().
 */
struct torc_channel;

/*
 * Create a channel. Returns 0, or: -EINVAL `item_size` is 0 or more than 65536,
 * or `capacity` is more than 1048576; -ENOMEM. A reactor's thread.
 */
TORC_API int torc_channel_create(struct torc_channel **channel,
    size_t item_size, unsigned capacity);

/*
 * Free a channel. If a fiber still waits at it, the process is stopped. NULL
 * does nothing.
 */
TORC_API void torc_channel_destroy(struct torc_channel *channel);

/*
 * Parks, but only while the channel is full. Send one item. Returns 0, or, if
 * the item was not sent: -EPIPE the channel is shut down; -ETIMEDOUT;
 * -ECANCELED.
 */
TORC_API int torc_channel_send(struct torc_channel *channel, const void *item,
    torc_deadline deadline) TORC_CHECKED;

/*
 * Parks, but only while the channel is empty. Receive one item. Returns 1 if
 * `*item` was set, 0 at the end of a channel that was shut down, -ETIMEDOUT or
 * -ECANCELED. A fiber that was cancelled before gets -ECANCELED at once, and
 * queued items stay in the queue.
 */
TORC_API int torc_channel_recv(struct torc_channel *channel, void *item,
    torc_deadline deadline);

/*
 * Send or receive an item without waiting: return -EAGAIN instead. They also
 * work on a cancelled fiber, and outside fibers. The reactor's thread.
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
 * The objects and memory it refers to must stay in place while torc_choose()
 * uses it. Frozen.
 */
struct torc_choice_kind;

struct torc_choice {
	int result;		/* after it was chosen */
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
 * Returns the index of the choice that was done, whose `result` is what the
 * corresponding call returns; or -ETIMEDOUT or -ECANCELED if none was done. If
 * one is done just when the deadline passes or the fiber is cancelled, its
 * index is returned. With a `count` of 0 the call waits for its deadline.
 *
 * If several choices can be done at once, the first of the array is: put the
 * most urgent one first. Descriptors are polled only if no other choice can be
 * done at once.
 */
TORC_API int torc_choose(struct torc_choice *choices, unsigned count,
    torc_deadline deadline);

/*
 * Make a choice for torc_choose(), each of which has as its result what the
 * call does that it names.
 */
/* Receive, as torc_channel_recv(): 1, or 0 at the end of the channel. */
TORC_API struct torc_choice torc_choice_recv(struct torc_channel *channel,
    void *item);
/* Send, as torc_channel_send(): 0 or -EPIPE. */
TORC_API struct torc_choice torc_choice_send(struct torc_channel *channel,
    const void *item);
/* Wait to be woken, as torc_wait(): the result that the waker gave. */
TORC_API struct torc_choice torc_choice_wait(struct torc_waiters *waiters);
/* Wait for a drain of the reactor, as torc_reactor_await_drain(): 0. */
TORC_API struct torc_choice torc_choice_drain(void);
/* Wait until a time that is no deadline, such as that of a heartbeat: 0. */
TORC_API struct torc_choice torc_choice_sleep(torc_deadline until);
/* Poll, as torc_fd_poll(): the events that came, or a negative errno. */
TORC_API struct torc_choice torc_choice_poll(int fd, unsigned events);

/* ---- Descriptors that can be spared ---- */

/*
 * A keeper of descriptors that it could do without, such as a cache of open
 * files, or of connections that are idle. When accept(2) finds none left, all
 * keepers of the process are asked for some, each on its reactor's thread,
 * outside fibers, and so may be others that find none left.
 *
 * Zero the structure, and set the first three. Frozen.
 */
struct torc_keeper {
	/* Let go of up to `want` descriptors, and say of how many. Does not
	 * park. */
	unsigned (*reclaim)(unsigned want, void *arg);
	void *arg;
	bool shares;		/* it goes by torc_keeper_share() */
	/* torc's. */
	struct torc_reactor *reactor;
	struct torc_keeper *next;
	uint64_t reserved[2];
};

/* Add a keeper to the reactor of this thread; its memory stays the caller's. */
TORC_API void torc_keeper_add(struct torc_keeper *keeper);

/* Remove a keeper. On its reactor's thread, until the reactor is destroyed. */
TORC_API void torc_keeper_remove(struct torc_keeper *keeper);

/*
 * Returns how many descriptors one keeper should have at most: half of the
 * process's soft limit, divided by all keepers that share it. Any thread.
 */
TORC_API unsigned torc_keeper_share(void);

/*
 * Let keepers give way, after a call has failed with -EMFILE or -ENFILE.
 * Returns how many descriptors were let go on this reactor, which are free when
 * what it submits next is done; or 0: there are none; -EAGAIN: other reactors
 * are asked for some, or some are being closed, and the call may succeed in a
 * moment. The reactor's thread.
 */
TORC_API int torc_reclaim(unsigned want);

/* ---- Descriptors ---- */

/*
 * Parks. Do one operation on any descriptor. An operation that was done in the
 * very moment of its deadline counts as done. Returns the result of the system
 * call of that name, or -ETIMEDOUT or -ECANCELED: then the operation is over,
 * too, and its memory is free.
 *
 * `offset` is the position in a file, or TORC_STREAM for a descriptor that
 * has none, or for the file's own position.
 */
#define TORC_STREAM UINT64_MAX

struct sockaddr;

TORC_API int torc_fd_read(int fd, void *data, size_t size, uint64_t offset,
    torc_deadline deadline);
TORC_API int torc_fd_write(int fd, const void *data, size_t size,
    uint64_t offset, torc_deadline deadline);
/* On sockets: never raises SIGPIPE. `flags`: MSG_ of recv(2) and send(2). */
TORC_API int torc_fd_recv(int fd, void *data, size_t size, int flags,
    torc_deadline deadline);
TORC_API int torc_fd_send(int fd, const void *data, size_t size, int flags,
    torc_deadline deadline);
TORC_API int torc_fd_connect(int fd, const struct sockaddr *address,
    size_t size, torc_deadline deadline);
/* Wait for POLLIN, POLLOUT ...: the result is the events that came. */
TORC_API int torc_fd_poll(int fd, unsigned events, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
