/* SPDX-License-Identifier: MIT */
/*
 * stats_page.h - the statistics page: what a reactor shows of itself to tools
 * such as ringstat, and where it keeps its counters.
 *
 * A tool finds it as a descriptor of the process: /proc/PID/fd/N is a link to
 * "/memfd:torc:stats:1 (deleted)", one for each reactor. It opens that link for
 * reading and reads (pread(2) cannot fault, a mapping can). Whoever may do so
 * may read the memory map of the process anyway (ptrace's read access). Writing
 * is sealed off: only the reactor's own mapping can.
 *
 * The file begins with struct torc_stats_page, which says where all else is. A
 * tool that knows version 1 reads every page of version 1: parts and fields are
 * added at the ends only, and `count` and `stride` say how much there is. Its
 * head ends where the counters begin.
 *
 * Written by the reactor's thread, with plain stores of whole words: counters
 * where it counts, gauges once in each turn, just before it enters the kernel.
 * A reader sees each word whole, and different words at different times.
 *
 * Where the kernel refuses the file (a seccomp filter, no descriptors, a limit
 * on file sizes), or the program wants none (`no_stats`), all of it lies in
 * ordinary memory, and nobody else sees it.
 */
#ifndef TORC_REACTOR_STATS_PAGE_H
#define TORC_REACTOR_STATS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/counters.h"

#define TORC_STATS_PAGE_NAME "torc:stats:1"
#define TORC_STATS_PAGE_MAGIC 0x7461747363726f74u	/* "torcstat" */
#define TORC_STATS_PAGE_VERSION 1u
#define TORC_STATS_PAGE_OPCODES 64u	/* higher ones count as the last */
#define TORC_STATS_PAGE_ROW 512u	/* bytes of each connection's row */
#define TORC_STATS_PAGE_NAME_MAX 256u	/* bytes of a host's name */

/* Where in the file a part is. */
struct torc_stats_page_part {
	uint64_t offset;	/* in bytes */
	uint32_t count;		/* of its elements; 0: it is not there */
	uint32_t stride;	/* bytes from one element to the next */
};

#define TORC_STATS_PAGE_PHASE(phase) ((unsigned)(phase) / 16)

/* How things are now. Each is a word, so that a tool can list them. */
struct torc_gauges {
	uint64_t turn_began;	/* CLOCK_MONOTONIC, ns: the last enter's end */
	uint64_t sleeping;	/* 1: in an enter that may wait */
	uint64_t phase;		/* TORC_STATS_PAGE_PHASE(enum torc_phase) */
	uint64_t timers;	/* armed */
	uint64_t fibers;	/* alive */
	uint64_t fibers_peak;
	uint64_t stack_deepest;	/* bytes of a stack that were ever touched:
				 * of the stacks looked at, in pages */
	uint64_t ops;		/* in flight */
	uint64_t ops_peak;

	/*
	 * A turn is timed when the time between two enters is that of its
	 * handlers: if it did not sleep, or if something waited for its end.
	 */
	uint64_t timed_turns;
	uint64_t timed_ns;
	uint64_t longest_ns;
	uint64_t stalls;	/* of them, longer than `stall_ms` */
	uint64_t stalled_at;	/* CLOCK_MONOTONIC, ns: the end of the last */

	/* The connection layer. */
	uint64_t conns;		/* open */
	uint64_t conns_peak;
	uint64_t conns_touched;	/* rows that were ever used */
	uint64_t listeners;
	uint64_t listeners_paused;
	uint64_t buffers_live;	/* of the receive buffers: in use at all */
	uint64_t buffers_free;	/* with the kernel */
	uint64_t buffers_low;	/* the fewest that were */
	uint64_t chunks;	/* of staged bytes */
	uint64_t held_accepted;	/* bytes of input that are in no receive buffer:
				 * of connections that were accepted, */
	uint64_t held_dialled;	/* and of those that were dialled */
	uint64_t handshakes;	/* that go on: stored as they begin and end */
};

/* What there may be at most: from the configuration. */
struct torc_limits {
	uint64_t sq_entries;
	uint64_t cq_entries;
	uint64_t batch;
	uint64_t connections;
	uint64_t ops;
	uint64_t fibers;
	uint64_t stack_size;
	uint64_t buffers;
	uint64_t buffer_size;
	uint64_t held_max;
	uint64_t slab_size;
	uint64_t stall_ms;
	uint64_t held_total;
};

/* Single operations (struct torc_op), by opcode. */
struct torc_stats_page_op {
	uint64_t submitted;	/* in flight: those that are not completed */
	uint64_t completed;
	uint64_t failed;	/* completed with an error */
};

/* What a tool may read of a row of the table of connections. */
enum torc_conn_field {
	TORC_FIELD_SLOT,	/* the row is in use if it is 2^32 - 1 */
	TORC_FIELD_FD,
	TORC_FIELD_SINCE,	/* CLOCK_MONOTONIC, ns: when it was opened */
	TORC_FIELD_HELD,	/* bytes received and not shown, and 256 for
				 * each piece of them */
	TORC_FIELD_VIEW,	/* bytes shown and not consumed */
	TORC_FIELD_STAGED,	/* bytes written and not given to the kernel */
	TORC_FIELD_SENT,	/* bytes of a quiet send that is not over */
	TORC_FIELD_SLAB_START,	/* between these two: not sent, either */
	TORC_FIELD_SLAB_END,
	/* The rest are true where they are not 0. */
	TORC_FIELD_ARMED,	/* a receive is in the kernel */
	TORC_FIELD_LOUD,	/* a send is, with a completion */
	TORC_FIELD_EOF,		/* the peer sent FIN */
	TORC_FIELD_SHUT,	/* we did */
	TORC_FIELD_SLOWED,	/* the peer is, at the high-water mark */
	TORC_FIELD_DORMANT,	/* no fiber: the handler returned TORC_AGAIN */
	TORC_FIELD_DOOMED,	/* closes when nothing is outstanding */
	TORC_FIELD_READER,	/* a fiber waits for input */
	TORC_FIELD_WRITER,	/* a fiber waits until all is sent */
	TORC_FIELD_HANDLER,	/* 0: it was dialled */
	TORC_FIELD_GENERATION,	/* the row's: another connection, another one */
	TORC_FIELD_TRANSPORT,	/* it has TLS, or begins it */
	TORC_FIELDS,
};

struct torc_stats_page_field {
	uint16_t offset;	/* in the row */
	uint16_t width;		/* bytes: 1, 2, 4 or 8 */
};

/*
 * What a row's connection has agreed on, when its handshake is done. It lies
 * beside the table, so that rows of clear text are as small as before: what
 * nobody writes takes no memory. A tool reads the row, this, this once more and
 * the row once more. If the row is the same and both have its `owner`, the
 * second is whole.
 */
struct torc_stats_page_session {
	uint32_t owner;		/* generation of the row, and 1; stored last */
	uint16_t version;	/* enum torc_version */
	uint16_t cipher;	/* enum torc_cipher */
	uint32_t name_size;
	char name[TORC_STATS_PAGE_NAME_MAX];	/* the host that the client
						 * asked for */
};

struct torc_stats_page {
	uint64_t magic;		/* stored last */
	uint32_t version;
	uint32_t size;		/* of this structure */

	struct torc_stats_page_part counters;	/* words: torc_counters */
	struct torc_stats_page_part gauges;	/* words: torc_gauges */
	struct torc_stats_page_part limits;	/* words: torc_limits */
	struct torc_stats_page_part ops;	/* by opcode */
	struct torc_stats_page_part fields;	/* by enum torc_conn_field */
	struct torc_stats_page_part conns;	/* the rows */

	uint32_t tid;		/* of the reactor's thread, as it sees it
				 * itself; 0: not running */
	uint32_t reactor;	/* its index */
	uint32_t ring_fd;
	uint32_t setup_flags;	/* IORING_SETUP_ */
	uint32_t features;	/* IORING_FEAT_ */
	uint32_t slot_bits;	/* of user_data, from the lowest: slot, */
	uint32_t generation_bits;	/* generation, and kind in the rest */
	uint32_t conn_kinds;	/* the first kind of connections: accept, and
				 * then receive, send */

	struct torc_stats_page_part sessions;	/* of the rows; a page that is
						 * older has none */

	struct torc_counters counter;
	struct torc_gauges gauge;
	struct torc_limits limit;
	struct torc_stats_page_op op[TORC_STATS_PAGE_OPCODES];
	struct torc_stats_page_field field[TORC_FIELDS];
};

/* A page with room for a table of connections behind it. */
struct torc_stats_page_file {
	struct torc_stats_page *page;
	void *table;		/* NULL: none, since it is ordinary memory */
	size_t size;		/* of the mapping */
	int fd;			/* or -1 */
};

/*
 * Make a page and room for `rows` connections; in ordinary memory without the
 * room if `hidden`, or if the kernel refuses the file. 0 or -ENOMEM.
 */
int torc_stats_page_open(struct torc_stats_page_file *file, uint32_t rows,
    bool hidden);
/* Nobody else sees it any more. */
void torc_stats_page_hide(struct torc_stats_page_file *file);
/* And free it. */
void torc_stats_page_close(struct torc_stats_page_file *file);

/*
 * Describe the table of connections: rows of `stride` bytes, and the fields in
 * them. Nothing is described when there is no table.
 */
void torc_stats_page_describe(struct torc_stats_page_file *file, uint32_t count,
    uint32_t stride, const struct torc_stats_page_field fields[TORC_FIELDS]);

#endif
