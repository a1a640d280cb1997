/* SPDX-License-Identifier: MIT */
/*
 * conn.h - what one connection is, and its life.
 */
#ifndef TORC_CONN_CONN_H
#define TORC_CONN_CONN_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/torc_protocol.h"
#include "reactor/list.h"
#include "reactor/reactor.h"
#include "reactor/slots.h"
#include "reactor/timers.h"

struct torc_block;
struct torc_chunk;
struct torc_job;
struct torc_net;
struct torc_piece;
struct torc_transport;
struct torc_transport_maker;

/* Whose completions are whose. */
enum {
	TORC_KIND_ACCEPT = TORC_KIND_LAYER,
	TORC_KIND_RECV,
	TORC_KIND_SEND,
	TORC_KIND_POLL,
	TORC_KIND_SEALED,	/* receives, where there is a transport */
};

#define TORC_NO_BID UINT32_MAX
#define TORC_NOBODY ((struct torc_fiber *)1)	/* no fiber, nor none */

/*
 * A connection is input, output and life. The first two lines of the cache are
 * all that an ordinary request touches.
 *
 * Each member is written by one file alone (x.h is part of x.c), which others
 * ask for it; conn.c makes them all. tests/lint.sh reads this table:
 *
 *   input
 *     intake.c: armed cancelling arming arm_mark slowed no_buffer starved
 *     view.c: fresh view view_size view_bid joined joined_size rewound
 *         rewound_size rewound_bid
 *     held.c: pieced first last held lent
 *     recv.c: met eof failed error reader reads reads_turn
 *     watch.c: polling poll_ending poll_reads poll_input fin_seen hung_up
 *         errored watcher watch_fin
 *   output
 *     chunk.c: urgent staged staged_size chunk
 *     send.c: loud aborting recalled send_failed send_error lost sent sent_size
 *         send_mark loud_size taken job
 *     slab.c: slabbed slab slab_start slab_end
 *     write.c: awaited writer shut unsent_max
 *   life
 *     conn.c: slot fd net reactor owner send_tag unquiet never handler arg
 *         listener port data since todo timer dormant doomed reset unfinished
 *         transport
 *     finish.c: lingers
 *     drain.c: silent
 *     room.c: busy evicted
 *     memory.c: memory
 *     pace.c: pace
 *
 * Input. One multishot receive is armed while input is wanted. `view` is what
 * the handler was shown last, less what it consumed; pieces come behind. A
 * connection that may not take a receive buffer, or not a whole one, has its
 * socket polled instead, and is read when there is something.
 *
 *   state      is                  until
 *   armed      armed               the receive's last completion; it is told
 *                                  to end (cancelling) if slowed or doomed
 *   polled     poll_input          the poll tells of bytes, which are read
 *   slowed     slowed              the handler has read some of what is held
 *   starved    linked in starved   others hold less: a handler waits for more
 *   ended      eof or failed       the end of the connection
 *   none       of these            the next torc_conn_advance()
 *
 * Output. Bytes are staged in a chunk. A quiet send takes them: it asks for no
 * completion if it can send all at once (MSG_DONTWAIT), so it is over when its
 * submission is settled, or has a completion with what it did send. What is
 * left then moves to a slab of the connection's own, and a loud send (one with
 * a completion, that waits for room) takes it from there. At most one send is
 * outstanding.
 *
 *   state      is                  until
 *   idle       torc_send_idle()    something is written
 *   staged     staged_size > 0     its handler waits, or it is urgent
 *   quiet      sent_size > 0       the submission is settled, or a completion
 *   slabbed    slabbed             a loud send has taken all of it
 *   loud       loud                the completion; it is told to end
 *                                  (aborting) if nobody wants it any more
 *   failed     send_failed         the end: all that was not sent is dropped
 *
 * Life.
 *
 *   state      is                  until
 *   handled    owner is a fiber    its handler returns
 *   dormant    dormant             input comes, or its time is up: TORC_AGAIN
 *   dialled    handler is NULL     torc_conn_close()
 *   lingers    lingers             the peer's FIN, or a time
 *   doomed     doomed              nothing is outstanding: the slot is free
 */
struct torc_conn {
	struct torc_slot slot;
	int fd;
	bool armed;		/* a receive is in the kernel */
	bool cancelling;	/* ... and was told to end */
	bool met;		/* has ever received a byte */
	bool urgent;		/* send what is staged, now */
	/* Any of these set: sending needs a closer look. */
	union {
		struct {
			bool loud;	/* a loud send is in the kernel */
			bool aborting;	/* ... and must be cancelled */
			bool slabbed;	/* there is a slab */
			bool awaited;	/* there is a writer */
			bool send_failed;	/* send_error is set */
			bool shut;	/* we sent FIN */
			bool unquiet;	/* no quiet sends at all */
			bool never;	/* set: it is part of the word */
		};
		uint64_t sending;
	};
	/* Any of these set: receiving needs a closer look. */
	union {
		struct {
			/* Any of these set: there is news for the handler. */
			union {
				struct {
					/* The view was not shown yet. */
					bool fresh;
					bool pieced;	/* there are pieces */
					bool eof;	/* the peer sent FIN */
					bool failed;	/* there is an error */
				};
				uint32_t news;
			};
			uint32_t view_size;
		};
		uint64_t input;
	};
	struct torc_net *net;
	struct torc_reactor *reactor;
	struct torc_fiber *reader;	/* waits for news */
	struct torc_fiber *owner;	/* of its handler; or TORC_NOBODY */
	uint8_t *view;
	uint32_t view_bid;	/* TORC_NO_BID: in `joined` */
	uint32_t staged_size;

	uint64_t send_tag;	/* user_data of its sends */
	uint8_t *staged;
	struct torc_chunk *chunk;	/* where they are */
	/* Any of these set: no quiet send may follow now. */
	union {
		struct {
			/* Of the quiet send that is not over. */
			uint32_t sent_size;
			/* 1: the receive may not be taken yet. */
			uint32_t arming;
		};
		uint64_t submitted;
	};
	uint8_t *sent;
	uint64_t send_mark;	/* SQEs up to its own */
	/* Up to here is what an ordinary request touches. */

	/* ---- Input ---- */
	uint64_t arm_mark;	/* SQEs up to that of the last receive */
	struct torc_piece *first;
	struct torc_piece *last;
	uint32_t held;		/* bytes in the pieces, and a toll for each */
	uint32_t lent;		/* receive buffers that pieces are in */
	uint32_t reads;		/* that did not have to park, this turn */
	uint32_t reads_turn;
	int error;		/* that ended receiving */
	uint32_t joined_size;	/* of the allocation */
	uint8_t *joined;	/* a view that was copied together */
	uint32_t rewound_size;	/* of the view, done with by the next receive */
	uint32_t rewound_bid;	/* the view's, while `rewound` */
	struct torc_node starved;	/* waits for memory to be free */
	uint64_t watcher;	/* the fiber that is told of the peer's end, by
				 * its id; 0: none */
	bool slowed;		/* held at the high-water mark: the receive
				 * is not armed */
	bool rewound;		/* the next receive shows the view again */
	bool no_buffer;		/* the last receive found none */
	bool polling;		/* a poll is in the kernel */
	bool poll_ending;	/* ... and was told to end */
	bool poll_reads;	/* ... it tells of bytes, too */
	bool poll_input;	/* polls for bytes, and needs no receive */
	bool watch_fin;		/* for the watcher, a FIN is the peer's end */
	bool fin_seen;		/* by a poll: `eof` is still to come */
	bool hung_up;		/* by a poll: `failed` is still to come */
	bool errored;		/* a poll saw an error of the socket */

	/* ---- Output ---- */
	bool recalled;		/* the loud send was told to end, so that it
				 * says how much it did */
	int send_error;
	int lost;		/* the error that a send took from the
				 * socket, or may have taken, so that no
				 * receive reports it */
	uint32_t loud_size;	/* of the loud send */
	uint64_t taken;		/* bytes of loud sends that the kernel took */
	struct torc_job *job;
	struct torc_fiber *writer;	/* waits until all is sent */
	uint8_t *slab;
	uint32_t slab_start;	/* bytes before it are sent */
	uint32_t slab_end;	/* bytes before it must be sent */
	struct torc_pace pace;	/* of the peer that takes what we send */
	uint32_t unsent_max;	/* bytes that the kernel takes ahead; 0: its
				 * own limit */

	/* ---- Life ---- */
	int16_t listener;	/* -1: it was dialled */
	uint16_t port;
	struct torc_todo todo;
	struct torc_timer timer;	/* idle, while dormant, or in a drain */
	torc_handler *handler;	/* NULL: it was dialled */
	void *arg;		/* of the handler */
	void *data;
	struct torc_block *memory;	/* of torc_conn_memory() */
	struct torc_transport *transport;	/* NULL: clear text */
	uint64_t since;		/* when it was opened */
	bool unfinished;	/* a message is: a drain does not end a wait
				 * for the rest */
	bool dormant;		/* no fiber: the handler returned
				 * TORC_AGAIN */
	bool doomed;		/* closed as soon as nothing is outstanding */
	bool reset;		/* ... with RST */
	bool busy;		/* not between requests, says its module */
	bool evicted;		/* it is to make room for others */
	bool lingers;		/* has sent FIN, and waits for the peer's */
	bool silent;		/* a drain ended it while nothing was asked */
};

/* Padding may be anything: each byte of the words above is a member. */
#define TORC_ENDS_WORD(member, word) _Static_assert(offsetof(struct torc_conn, \
    member) + sizeof(((struct torc_conn *)0)->member) == \
    offsetof(struct torc_conn, word) + \
    sizeof(((struct torc_conn *)0)->word), #member " ends " #word)
TORC_ENDS_WORD(never, sending);
TORC_ENDS_WORD(failed, news);
TORC_ENDS_WORD(view_size, input);
TORC_ENDS_WORD(arming, submitted);

_Static_assert(offsetof(struct torc_conn, arm_mark) == 128,
    "an ordinary request touches two lines of the cache of a connection");

/* A call of the program's, on the thread of a connection that is open. */
static inline void
torc_conn_require(const struct torc_conn *conn)
{
	torc_require(conn != NULL,
	    "a call needs a connection, but was given NULL");
	torc_reactor_check(conn->reactor);
	torc_require(!conn->doomed && conn->slot.next == TORC_SLOT_TAKEN,
	    "a connection is used after it was closed");
}

/* The same, on a fiber: a call that parks. */
static inline void
torc_conn_require_fiber(const struct torc_conn *conn)
{
	torc_reactor_of_fiber();
	torc_conn_require(conn);
}

/* The user_data of its receives. */
static inline uint64_t
torc_conn_recv_tag(const struct torc_conn *conn)
{
	const uint64_t kind = conn->transport != NULL ? TORC_KIND_SEALED :
	    TORC_KIND_RECV;

	return conn->send_tag ^ (TORC_KIND_SEND ^ kind) <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
}

/* The user_data of its polls. */
static inline uint64_t
torc_conn_poll_tag(const struct torc_conn *conn)
{
	return conn->send_tag ^ (uint64_t)(TORC_KIND_SEND ^ TORC_KIND_POLL) <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
}

/*
 * A connection for the socket `fd`, without a fiber yet, its receive armed; of
 * a handler, or NULL if it was dialled. `transport`: it is the connection's
 * from now on; NULL: clear text.
 * NULL if there are too many; the socket and the transport are the caller's
 * then.
 */
struct torc_conn *torc_conn_open(struct torc_net *net, int fd,
    torc_handler *handler, void *arg, struct torc_transport *transport);

/* What a listener says of the connections that it accepts. */
struct torc_accepting {
	int listener;
	unsigned port;
	torc_handler *handler;
	void *arg;
	struct torc_transport_maker *maker;	/* NULL: clear text */
	const struct torc_protocol *protocols;	/* NULL: none */
};

/* Open one for a listener and start its handler; or shed it. */
void torc_conn_accept(struct torc_net *net, int fd,
    const struct torc_accepting *how);

/*
 * Close it once nothing is outstanding, with RST if `reset`; no fiber uses it
 * any more.
 */
void torc_conn_doom(struct torc_conn *conn, bool reset);

/* The same for all that no fiber will close, when their reactor stops. */
void torc_conn_stop(struct torc_conn *conn);

/* Do whatever is due: the one place that looks at all of the state. */
void torc_conn_advance(struct torc_conn *conn);

/* The cancel of its receive, or of its send, has failed. */
void torc_conn_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);

/* There is input, or its end: start the handler of a dormant connection. */
void torc_conn_revive(struct torc_conn *conn);

/* `ms` milliseconds from now; or never, if that is TORC_NO_LIMIT. */
static inline torc_deadline
torc_conn_limit(const struct torc_conn *conn, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_at(conn->reactor->now + ms * 1000000ull);
}

/* All that goes through its socket from now on is sealed. */
void torc_conn_set_transport(struct torc_conn *conn,
    struct torc_transport *transport);

/* It has no fiber, or has one again. */
void torc_conn_set_dormant(struct torc_conn *conn, bool dormant);

/*
 * The result of a receive or send that failed. That the kernel has given a
 * peer up must not look as if the time of one call were up.
 */
static inline int
torc_conn_error(int result)
{
	return result == -ETIMEDOUT ? -ECONNABORTED : result;
}

#endif
