/*
 * net.h - what a reactor's connections share, and what one connection is.
 */
#ifndef TORC_CONN_NET_H
#define TORC_CONN_NET_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn/torc_protocol.h"
#include "reactor/list.h"
#include "reactor/reactor.h"
#include "reactor/slots.h"
#include "reactor/timers.h"
#include "ring/bufring.h"
#include "sys/sys.h"

enum {
	TORC_KIND_ACCEPT = TORC_KIND_LAYER,
	TORC_KIND_RECV,
	TORC_KIND_SEND,
	TORC_KIND_POLL,
};

#define TORC_NO_BID UINT32_MAX
#define TORC_NOBODY ((struct torc_fiber *)1)	/* no fiber, nor none */

/* Bytes received that no view has shown yet. */
struct torc_piece {
	struct torc_piece *next;
	uint8_t *data;
	uint32_t size;
	uint32_t bid;		/* TORC_NO_BID: an allocation */
};

/*
 * Memory that the staged bytes of many connections share: those of one turn
 * lie one behind the other in it, and it is used again as a whole once all of
 * them are in the kernel.
 */
struct torc_chunk {
	struct torc_node node;
	uint32_t top;		/* bytes in use */
	uint32_t pins;		/* connections with bytes here that are not
				 * in a quiet send */
	uint64_t mark;		/* settled: its quiet sends are done */
	uint8_t bytes[];
};

/* A large write: on the stack of the fiber that waits for it. */
#define TORC_JOB_SLICES 8u
struct torc_job {
	struct iovec parts[1 + TORC_JOB_SLICES];	/* what was staged,
							 * the data */
	struct msghdr message;
	struct torc_chunk *chunk;	/* of what was staged: pinned */
};

/*
 * A connection. The first lines are all that an ordinary request touches.
 *
 * Sending. Bytes are staged in a chunk. A quiet send takes them: it asks for
 * no completion if it can send all at once (MSG_DONTWAIT), so it is over when
 * its submission is settled, or has a completion with what it did send. What
 * is left then moves to a slab of the connection's own, and a loud send (one
 * with a completion, that waits for room) takes it from there. At most one
 * send is outstanding.
 *
 * Receiving. One multishot receive is armed while input is wanted. `view` is
 * what the handler was shown last, less what it consumed; pieces come behind.
 * A connection that may not take a receive buffer, or not a whole one, has its
 * socket polled instead, and is read when there is something. One that holds
 * too much already waits: `slowed`, until its handler has read some of it;
 * `starved`, when a handler waits for more, until others have.
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
			bool aborting;	/* ... and is to be cancelled */
			bool slabbed;	/* there is a slab */
			bool awaited;	/* there is a writer */
			bool spoiled;	/* there is a send_error */
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

	uint64_t arm_mark;	/* SQEs up to that of the last receive */
	struct torc_piece *first;
	struct torc_piece *last;
	uint32_t held;		/* bytes in the pieces, and a toll for each */
	uint32_t reads;		/* that did not have to park, this turn */
	uint32_t reads_turn;
	int error;		/* that ended receiving */
	int send_error;
	int lost;		/* what a send took from the socket, or may
				 * have, so that no receive will tell it */
	uint32_t joined_size;	/* of the allocation */
	uint32_t rewound_size;	/* of the view, done with by the next receive */
	uint32_t rewound_bid;	/* the view's, while `rewound` */
	uint32_t loud_size;	/* of the loud send */
	uint8_t *joined;	/* a view that was copied together */
	struct torc_fiber *writer;	/* waits until all is sent */
	struct torc_job *job;
	uint8_t *slab;
	uint32_t slab_start;	/* bytes before it are sent */
	uint32_t slab_end;	/* bytes before it are to be sent */
	struct torc_node starved;	/* waits for memory to be free */
	struct torc_todo todo;
	struct torc_timer timer;	/* idle, while dormant, or in a drain */
	torc_handler *handler;	/* NULL: it was dialled */
	void *arg;	/* of the handler */
	struct torc_pace pace;	/* of the peer that takes what we send */
	uint64_t taken;		/* bytes of loud sends that the kernel took */
	void *data;
	struct torc_block *memory;	/* of torc_conn_memory() */
	int16_t listener;	/* -1: it was dialled */
	uint16_t port;
	bool recalled;		/* the loud send was told to end, so that it
				 * says how much it did */
	bool slowed;		/* held at the high-water mark: not to be
				 * armed */
	bool unfinished;	/* a message is: a drain does not end a wait
				 * for the rest */
	bool rewound;		/* the next receive shows the view again */
	bool dormant;		/* no fiber: the handler returned
				 * TORC_AGAIN */
	bool doomed;		/* closed as soon as nothing is outstanding */
	bool reset;		/* ... with RST */
	bool busy;		/* not between requests, says its module */
	bool evicted;		/* it is to make room for others */
	bool lingers;		/* has sent FIN, and waits for the peer's */
	bool silent;		/* a drain ended it while nothing was asked */
	bool polling;		/* a poll is in the kernel */
	bool poll_ending;	/* ... and was told to end */
	bool poll_reads;	/* ... it tells of bytes, too */
	bool poll_input;	/* polls for bytes, and needs no receive */
	bool no_buffer;		/* the last receive found none */
	uint32_t lent;		/* receive buffers that pieces are in */
	uint32_t unsent_max;	/* bytes that the kernel takes ahead; 0: what it
				 * likes */
	bool watch_fin;		/* for the watcher, a FIN is the peer's end */
	bool fin_seen;		/* by a poll: `eof` is still to come */
	bool hung_up;		/* by a poll: `failed` is still to come */
	bool errored;		/* a poll saw an error of the socket */
	uint64_t watcher;	/* the fiber that is told of the peer's end, by
				 * its id; 0: none */
	uint64_t since;		/* when it was opened */
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
torc_conn_check(const struct torc_conn *conn)
{
	torc_require(conn != NULL, "a call needs a connection, and not NULL");
	torc_reactor_check(conn->reactor);
	torc_require(!conn->doomed && conn->slot.next == TORC_SLOT_TAKEN,
	    "a connection is used after it was closed");
}

/* The same, on a fiber: a call that parks. */
static inline void
torc_conn_check_fiber(const struct torc_conn *conn)
{
	torc_reactor_of_fiber();
	torc_conn_check(conn);
}

/* The user_data of its receives. */
static inline uint64_t
torc_conn_recv_tag(const struct torc_conn *conn)
{
	return conn->send_tag ^ (uint64_t)(TORC_KIND_SEND ^ TORC_KIND_RECV) <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
}

/* The user_data of its polls. */
static inline uint64_t
torc_conn_poll_tag(const struct torc_conn *conn)
{
	return conn->send_tag ^ (uint64_t)(TORC_KIND_SEND ^ TORC_KIND_POLL) <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
}

struct torc_listener {
	struct torc_slot slot;
	struct torc_net *net;
	int fd;
	int index;
	unsigned port;
	bool armed;
	bool paused;		/* no descriptors or memory */
	bool closing;
	bool adopted;		/* the socket is not ours alone */
	bool dealt;		/* connections go to all reactors in turn */
	unsigned moments;	/* pauses for other reactors to let go of
				 * descriptors, since the last connection */
	torc_handler *handler;
	void *arg;
	struct torc_todo todo;
	struct torc_timer timer;	/* ends the pause */
	struct sockaddr_storage address;
	struct torc_inode file;	/* of a local one: ours */
	struct torc_waiters closers;	/* wait for it to be closed */
};

struct torc_net {
	struct torc_reactor *reactor;
	uint32_t chunk_size;
	uint32_t stage_max;	/* bytes that a connection may stage */
	uint32_t small_max;	/* in one write; more is sent directly */
	struct torc_bufring buffers;
	struct torc_chunk *chunk;	/* where bytes are staged now */
	struct torc_slots conns;
	struct torc_slots listeners;
	struct torc_list starved;
	struct torc_todo hungry;	/* keeps the loop awake for them */
	struct torc_list chunks;	/* those in use before, oldest first */
	uint32_t chunk_count;	/* with the one in use */
	struct torc_conn *unsent;	/* the only one with staged bytes that
					 * nobody has told to leave; or one
					 * with none */
	struct torc_conn nobody;	/* ... such as this */
	bool quiet;		/* the kernel's quiet sends are as expected */
	bool tried;		/* ... which was tried out */
	bool holding;		/* accept nothing yet */
	uint64_t idle_by;	/* in a drain: peers that wait for nothing are
				 * served so long */
	uint32_t dormant;	/* connections */
	struct torc_piece *pieces;	/* free ones */
	void *piece_blocks;	/* where they come from */
	/* Input in memory of its own, of connections that were accepted, and
	 * of those that were dialled: bytes, and how many there may be. */
	size_t own[2];
	size_t own_max;
	bool eased;		/* there are less since the last look */
	struct torc_conn *favourite;	/* may have more than its share */
	struct torc_timer favour;	/* ends that */
	bool dry;		/* a receive found no buffer */
	bool capped;		/* the kernel ends receives after so many
				 * bytes */
	uint8_t *scratch;	/* for one read of a polled socket */
	uint8_t *slabs;		/* free ones, linked by their first bytes */
	uint32_t slab_count;	/* of them */
	uint32_t crowd;		/* connections that are many */
	uint32_t waiting;	/* connections whose peer is to read */
	uint32_t leaving;	/* connections that make room */
	struct torc_conn *looked_at;	/* last, for one that could */
	uint64_t reserve_from;	/* the first of the last descriptors */
	uint64_t scarce_at;	/* others were asked for some; or 0 */
	uint64_t room_notice_at;	/* the operator is not told before */
	uint32_t paused;	/* listeners */
	bool pause_noticed;	/* the operator was told */
	uint64_t pause_notice_at;	/* and is not told again before */
	struct torc_reactor **peers;	/* who shares dealt connections */
	unsigned peer_count;
	unsigned peer_next;
};

#define TORC_SLABS_KEPT 64u	/* free slabs that keep their memory */

/* The net of a reactor, made at the first call. 0 or a negative errno. */
int torc_net_open(struct torc_reactor *reactor, struct torc_net **net);

/* ---- conn.c ---- */

/*
 * A connection for the socket `fd`, without a fiber yet, its receive armed; of
 * a handler, or NULL if it was dialled.
 * NULL if there are too many; the socket is the caller's then.
 */
struct torc_conn *torc_conn_open(struct torc_net *net, int fd,
    torc_handler *handler, void *arg);

/* Open one for a listener and start its handler; or shed it. */
void torc_conn_accept(struct torc_net *net, int fd, int listener,
    unsigned port, torc_handler *handler, void *arg);

/* Close it once nothing is outstanding; no fiber uses it any more. */
void torc_conn_doom(struct torc_conn *conn);


/* Do whatever is due: the one place that looks at all of the state. */
void torc_conn_advance(struct torc_conn *conn);

/* The cancel of its receive, or of its send, has failed. */
void torc_conn_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);

/* There is input, or its end: start the handler of a dormant connection. */
void torc_conn_revive(struct torc_conn *conn);

/* ---- room.c ---- */

/*
 * See that there is a place for one more connection, whose socket is `fd`, and
 * that descriptors are left behind it. False: there is no place.
 */
bool torc_room_make(struct torc_net *net, int fd);

/*
 * There are no descriptors at all, and nobody keeps any: connections leave.
 * Whether there will be some soon.
 */
bool torc_room_clear(struct torc_net *net);
/* One that was asked to leave does not: its handler has something to do. */
void torc_room_keep(struct torc_conn *conn);

/* `ms` milliseconds from now; or never, if that is TORC_NO_LIMIT. */
static inline torc_deadline
torc_conn_limit(const struct torc_conn *conn, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_at(conn->reactor->now + ms * 1000000ull);
}

static inline void
torc_conn_set_dormant(struct torc_conn *conn, bool dormant)
{
	conn->net->dormant += (uint32_t)dormant - (uint32_t)conn->dormant;
	conn->dormant = dormant;
}

/* ---- finish.c ---- */

/*
 * Parks. In order if that is possible by the deadlines, else with RST. The
 * second one may be 0: then the peer has `linger_ms` after our FIN.
 */
int torc_finish(
    struct torc_conn *conn, torc_deadline sent_by, torc_deadline fin_by);
/*
 * Parks. The calls of other fibers on the connection end, as if these were
 * cancelled, before it is closed.
 */
void torc_finish_others(struct torc_conn *conn);
/* Close a dormant one, in order if it has something to send. */
void torc_conn_retire(struct torc_conn *conn);

/* ---- drain.c ---- */

/* The reactor drains: no new connections, and an end for those that idle. */
void torc_drain_begin(struct torc_net *net);
/* In a drain: the time of one that idles or lingers is up. */
void torc_drain_look(struct torc_conn *conn);
/* In a drain, a connection may wait for a request until then. */
uint64_t torc_drain_idle_by(const struct torc_conn *conn);
/*
 * A drain has come to its deadline, and was not cut short by a stop: what the
 * kernel has is sent to the end.
 */
bool torc_drain_is_over(const struct torc_conn *conn);
/* For how long the peer's FIN is awaited after ours; TORC_NO_LIMIT: for ever */
unsigned torc_drain_linger_ms(const struct torc_conn *conn);

/* ---- recv.c ---- */

void torc_recv_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
void torc_recv_stray(struct torc_reactor *reactor,
    const struct io_uring_cqe *cqe);
/* Arm the receive if input is wanted and can be taken. */
void torc_recv_arm(struct torc_conn *conn);
/* No more is to be received: torc_conn_advance() will tell. */
void torc_recv_fail(struct torc_conn *conn, int error);
/* Tell who waits for input, if anybody does, that its end is known. */
void torc_recv_tell_end(struct torc_conn *conn);
/* The time of the favourite is up. */
void torc_recv_disfavour(struct torc_timer *timer);
/* Let those go on that wait for memory, if there is some. */
void torc_recv_feed(struct torc_net *net);
/* A polled socket has something: read it. */
void torc_recv_ready(struct torc_conn *conn);
/* The kernel ends a multishot receive after so many bytes (Linux 6.17). */
bool torc_recv_probe(void);
/*
 * Parks. 0 if there is news; how many bytes were received into an empty view
 * and are in `*seen`, if that is all; or a negative errno.
 */
int torc_recv_park(struct torc_conn *conn, struct torc_slice *seen,
    torc_deadline deadline);
/* Let go of all that was received. */
void torc_recv_discard(struct torc_conn *conn);
/* Something was received, or ended, that no view has shown. */
static inline bool
torc_recv_news(const struct torc_conn *conn)
{
	return conn->news != 0;
}

/* Do what torc_conn_rewind() left to the next receive. */
void torc_recv_rewind(struct torc_conn *conn);

/* Move the view out of the kernel's buffer. 0 or -ENOMEM. */
int torc_recv_keep(struct torc_conn *conn);

/* ---- watch.c ---- */

void torc_watch_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/* Poll the socket if the peer's end would not be noticed otherwise. */
void torc_watch_advance(struct torc_conn *conn);
/* Tell the watcher, if there is one, that the peer's end is known. */
void torc_watch_tell(struct torc_conn *conn);
/* The handler has returned: it watches no more. */
void torc_watch_drop(struct torc_conn *conn);

/* ---- send.c ---- */

void torc_send_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/*
 * The result of a receive or send that failed. That the kernel has given a
 * peer up must not look as if the time of one call were up.
 */
static inline int
torc_conn_error(int result)
{
	return result == -ETIMEDOUT ? -ECONNABORTED : result;
}

/* Sending has failed for good. */
void torc_send_spoil(struct torc_conn *conn, int error);
/* Go on sending. */
void torc_send_advance(struct torc_conn *conn);
/* Nothing is staged, and nothing outstanding. */
bool torc_send_idle(struct torc_conn *conn);
/* Let go of all that was not sent. Nothing is outstanding. */
void torc_send_discard(struct torc_conn *conn);
/* A chunk, or NULL. */
struct torc_chunk *torc_send_chunk(struct torc_net *net);
/* After each batch: a chunk whose bytes are all sent is used again. */
void torc_send_rotate(struct torc_net *net);
/*
 * A quiet send that is short must say so. That is how Linux does it since 6.0
 * (a short send with MSG_WAITALL fails its request, and what fails has a
 * completion), but it is written nowhere, so it is tried out.
 */
bool torc_send_probe(void);

/* ---- listen.c ---- */

void torc_accept_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
void torc_accept_stray(struct torc_reactor *reactor,
    const struct io_uring_cqe *cqe);
/* The cancel of an accept has failed. */
void torc_accept_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/* A descriptor was closed: those that lacked one may go on. */
TORC_BESIDE void torc_listen_resume(struct torc_net *net);
/* The same for what is no connection. */
static inline void
torc_listen_spared(const struct torc_reactor *reactor)
{
	struct torc_net *net = reactor->layer_state;

	if (net != NULL && net->paused > 0)
		torc_listen_resume(net);
}
/* Accept on a socket that listens. The index of the listener, or -ENOSPC. */
int torc_listen_add(struct torc_net *net, const struct torc_listener *like);
/* Accept what net->holding has held back. */
void torc_listen_begin(struct torc_net *net);
/* Accept no more; what is in the backlog still counts as accepted. */
void torc_listen_close(struct torc_net *net);
/* The ring is lost: close them, free nothing. */
void torc_listen_abandon(struct torc_net *net);

/* ---- adopt.c ---- */

/* The descriptor of "fd:N"; -ENOENT: it is an address; or -EINVAL. */
int torc_adopt_parse(const char *address);

/* ---- local.c ---- */

/* A local socket has a file, unless its name is abstract. */
bool torc_local_has_file(const struct sockaddr_storage *address);
/*
 * Bind a local socket, and listen. A file on which nobody listens any more
 * gives way, and so does the socket of a server that was killed, a little
 * later. 0, and `*file` is the one that was made, if any; or a negative errno:
 * -EADDRINUSE if somebody listens there, or that is no socket.
 */
int torc_local_listen(int fd, const struct sockaddr_storage *address,
    uint32_t size, int backlog, struct torc_inode *file);
/* Take its file away, unless there is another one at its path meanwhile. */
void torc_local_remove(const struct sockaddr_storage *address,
    const struct torc_inode *file);

/* ---- dial.c ---- */

/* Parks. A socket that is connected to an address, or a negative errno. */
int torc_dial_socket(const struct sockaddr_storage *address, size_t size,
    torc_deadline deadline);
/* Make a connection of it, or close it. 0 or a negative errno. */
int torc_dial_open(struct torc_conn **conn, int fd);

/* ---- address.c ---- */

/*
 * Read an address as torc_listen() documents it. The size of `*address`, or
 * -EINVAL.
 */
int torc_address_parse(const char *text, struct sockaddr_storage *address);
/*
 * Take "host:port" apart. The port, or -EINVAL if this is not of that form or
 * the host is longer than `size` allows.
 */
int torc_address_split(const char *text, char *host, size_t size);
/* Write one. 0, or -ENOSPC. */
int torc_address_format(const struct sockaddr_storage *address,
    uint32_t address_size, char *text, size_t size);
unsigned torc_address_port(const struct sockaddr_storage *address);
void torc_address_set_port(struct sockaddr_storage *address, unsigned port);

/* Nothing received is left. */
static inline bool
torc_recv_idle(const struct torc_conn *conn)
{
	return conn->view_size == 0 && !conn->pieced;
}

#endif
