/* SPDX-License-Identifier: MIT */
/*
 * net.c - what connections share: made, taken through each turn, freed.
 */
#include "conn/accept.h"
#include "conn/check.h"
#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/held.h"
#include "conn/intake.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/probe.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/shake.h"
#include "conn/watch.h"

#include <errno.h>

#include "reactor/config.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define LISTENERS 1024u
_Static_assert(LISTENERS <= INT16_MAX, "a connection knows its listener");

/*
 * From so many connections on, what one of them needs is not in the cache any
 * more when it is its turn. Below that, to fetch it would cost for nothing.
 */
#define CROWD 256u
#define LINE 64
#define CHECKED 64u	/* turns, in one of which all is checked */
#define FIBER_LINES 2	/* of a struct torc_fiber */
#define FRAME_LINES 5	/* of the calls that a handler parks in */

static struct torc_net *
net_of(struct torc_reactor *reactor)
{
	return reactor->layer_state;
}

static void
stray(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	(void)cqe;
	reactor->counters->stray++;
}

/*
 * In the first turn: what PROTOCOL.md says of order holds where the kernel
 * posts nothing behind our back, and of quiet sends where it says so itself.
 */
static void
try_manners(struct torc_net *net)
{
	torc_debug_assert(!net->tried);
	net->tried = true;
	net->quiet = net->reactor->ring.setup_flags &
	    IORING_SETUP_DEFER_TASKRUN && torc_send_probe();
	net->capped = torc_recv_probe();
}

/* That the loop did not sleep is all that was wanted: see before_enter(). */
static void
look_again(struct torc_reactor *reactor, struct torc_todo *todo)
{
	(void)reactor;
	(void)todo;
}

/* Once in a turn: how things are. */
static void
show_gauges(const struct torc_net *net)
{
	struct torc_gauges *gauge = &net->reactor->stats_page.page->gauge;

	gauge->conns = net->conns.count;
	gauge->conns_peak = net->conns.peak;
	gauge->conns_touched = net->conns.touched;
	gauge->listeners = net->listeners.count;
	gauge->listeners_paused = net->paused;
	gauge->buffers_live = net->buffers.live;
	gauge->buffers_free = net->buffers.in_kernel;
	gauge->buffers_low = net->buffers.in_kernel_min;
	gauge->chunks = net->chunk_count;
	gauge->held_accepted = net->own[0];
	gauge->held_dialled = net->own[1];
}

/* Feed the starved, grow under need, show the kernel its buffers. */
static void
before_enter(struct torc_reactor *reactor)
{
	struct torc_net *net = net_of(reactor);
	struct torc_bufring *buffers = &net->buffers;

	if (TORC_DEBUGGED && reactor->counters->turns % CHECKED == 0)
		torc_net_check(net);
	if (torc_unlikely(!net->tried))
		try_manners(net);
	if (torc_unlikely(buffers->in_kernel < buffers->live / 4 ||
	    net->dry) && torc_bufring_grow(buffers, buffers->live) > 0)
		reactor->counters->grows++;
	torc_intake_end_drought(net);
	torc_bufring_lend(buffers, torc_held_is_plenty(net));
	torc_bufring_publish(buffers);
	torc_reactor_set_crowded(reactor, net->conns.count >= net->crowd);
	show_gauges(net);
	if (torc_unlikely(net->unsent->staged_size > 0))
		torc_send_staged(net->unsent);
	if (torc_unlikely(!torc_list_empty(&net->starved)))
		torc_intake_feed(net);
}

static void
after_batch(struct torc_reactor *reactor)
{
	struct torc_net *net = net_of(reactor);

	torc_chunk_rotate(net);
	if (torc_unlikely(torc_shake_any(net)))
		torc_shake_some(net);
	/* before_enter() will feed them: a foreign loop is told that a turn
	 * is due. */
	if (torc_unlikely(!torc_list_empty(&net->starved)) &&
	    (net->eased || net->favourite == NULL))
		torc_reactor_later(reactor, &net->hungry);
}

/*
 * First the connection; one step later what its reader used last: the fiber
 * and the frames below it. A fetch of memory that is gone harms nobody.
 */
static void
prefetch(const struct torc_reactor *reactor, const struct io_uring_cqe *cqe,
    unsigned steps)
{
	const struct torc_net *net = reactor->layer_state;
	const uint64_t tag = cqe->user_data;
	const struct torc_conn *conn;
	const char *top;

	torc_debug_assert(steps > 0 && steps <= TORC_PREFETCH_STEPS);
	if (reactor->kinds[torc_tag_kind(tag)].slots != &net->conns)
		return;
	if (steps == TORC_PREFETCH_STEPS) {
		top = (const char *)torc_slots_at(&net->conns,
		    torc_tag_index(tag));
		__builtin_prefetch(top);
		__builtin_prefetch(top + LINE);
		return;
	}
	conn = torc_slots_find(&net->conns, tag);
	if (conn == NULL || conn->reader == NULL)
		return;
	top = (const char *)conn->reader;
	for (int line = -FRAME_LINES; line < FIBER_LINES; line++)
		__builtin_prefetch(top + line * LINE);
}

/* What a handler has staged does not wait for what its fiber waits for. */
static void
away(void *home)
{
	struct torc_conn *conn = home;

	torc_debug_assert(conn->reactor == torc_current);
	if (conn->staged_size > 0)
		torc_send_staged(conn);
}

static void
drain(struct torc_reactor *reactor)
{
	torc_drain_begin(net_of(reactor));
}

/*
 * Called when all fibers were told to end, and when all have ended: what no
 * fiber will close is closed here.
 */
static void
stop(struct torc_reactor *reactor)
{
	struct torc_net *net = net_of(reactor);
	struct torc_conn *conn = NULL;

	torc_debug_assert(reactor->phase >= TORC_PHASE_DRAINING);
	torc_listen_close(net);
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		if (!conn->dormant && !conn->doomed &&
		    reactor->stacks.in_use > 0)
			continue;
		torc_conn_stop(conn);
	}
}

static bool
busy(const struct torc_reactor *reactor)
{
	const struct torc_net *net = reactor->layer_state;

	return net->conns.count > 0 || net->listeners.count > 0;
}

/* Peers of dormant connections may still ask for something. */
static bool
serving(const struct torc_reactor *reactor)
{
	const struct torc_net *net = reactor->layer_state;

	return net->listeners.count > 0 || net->dormant > 0;
}

static void
abandon(struct torc_reactor *reactor)
{
	struct torc_net *net = net_of(reactor);
	struct torc_conn *conn = NULL;

	/* A shutdown reaches the peer although the ring holds the socket. */
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		torc_sys_shutdown(conn->fd, SHUT_RDWR);
		torc_sys_close(conn->fd);
	}
	torc_listen_abandon(net);
}

static void
free_chunks(struct torc_net *net)
{
	struct torc_node *node;

	while ((node = torc_list_take(&net->chunks)) != NULL)
		torc_sys_free(torc_container(node, struct torc_chunk, node));
	torc_sys_free(net->chunk);
}

static void
free_blocks(void *block)
{
	while (block != NULL) {
		void *next = *(void **)block;

		torc_sys_free(block);
		block = next;
	}
}

static void
fini(struct torc_reactor *reactor)
{
	struct torc_net *net = net_of(reactor);

	torc_assert(torc_list_empty(&net->starved) &&
	    torc_list_empty(&net->shaking) && torc_list_empty(&net->begun));
	torc_assert(net->waiting == 0 && net->leaving == 0 &&
	    net->dormant == 0);
	torc_assert(net->own[0] == 0 && net->own[1] == 0);
	torc_listen_close(net);
	torc_assert(net->conns.count == 0 && net->listeners.count == 0);
	torc_bufring_fini(&net->buffers);
	free_chunks(net);
	torc_sys_free(net->fallback_buffer);
	free_blocks(net->piece_blocks);
	free_blocks(net->slabs);
	torc_slots_fini(&net->listeners);
	torc_slots_fini(&net->conns);
	torc_sys_free(net);
	torc_reactor_attach(reactor, NULL, NULL);
}

static const struct torc_layer layer = {
	.before_enter = before_enter,
	.after_batch = after_batch,
	.prefetch = prefetch,
	.away = away,
	.drain = drain,
	.stop = stop,
	.busy = busy,
	.serving = serving,
	.abandon = abandon,
	.fini = fini,
};

#define ROW_SIZE ((sizeof(struct torc_conn) + 63) & ~(size_t)63)
_Static_assert(ROW_SIZE <= TORC_STATS_PAGE_ROW, "a connection fits in its row");

#define FIELD(member) \
	{ offsetof(struct torc_conn, member), \
	    sizeof(((struct torc_conn *)0)->member) }

/* The connections lie behind the page, where tools can read them. */
static int
make_conns(struct torc_net *net)
{
	static const struct torc_stats_page_field fields[TORC_FIELDS] = {
		[TORC_FIELD_SLOT] = FIELD(slot.next),
		[TORC_FIELD_FD] = FIELD(fd),
		[TORC_FIELD_SINCE] = FIELD(since),
		[TORC_FIELD_HELD] = FIELD(held),
		[TORC_FIELD_VIEW] = FIELD(view_size),
		[TORC_FIELD_STAGED] = FIELD(staged_size),
		[TORC_FIELD_SENT] = FIELD(sent_size),
		[TORC_FIELD_SLAB_START] = FIELD(slab_start),
		[TORC_FIELD_SLAB_END] = FIELD(slab_end),
		[TORC_FIELD_ARMED] = FIELD(armed),
		[TORC_FIELD_LOUD] = FIELD(loud),
		[TORC_FIELD_EOF] = FIELD(eof),
		[TORC_FIELD_SHUT] = FIELD(shut),
		[TORC_FIELD_SLOWED] = FIELD(slowed),
		[TORC_FIELD_DORMANT] = FIELD(dormant),
		[TORC_FIELD_DOOMED] = FIELD(doomed),
		[TORC_FIELD_READER] = FIELD(reader),
		[TORC_FIELD_WRITER] = FIELD(writer),
		[TORC_FIELD_HANDLER] = FIELD(handler),
		[TORC_FIELD_GENERATION] = FIELD(slot.generation),
		[TORC_FIELD_TRANSPORT] = FIELD(transport),
	};
	struct torc_stats_page_file *page = &net->reactor->stats_page;
	const uint32_t count = torc_config_rows(&net->reactor->config);

	if (page->table == NULL)
		return torc_slots_init(&net->conns, count, ROW_SIZE);
	torc_slots_borrow(&net->conns, page->table, count, ROW_SIZE);
	torc_stats_page_describe(page, count, ROW_SIZE, fields);
	return 0;
}

static int
make(struct torc_net *net)
{
	struct torc_reactor *reactor = net->reactor;
	const struct torc_config *config = &reactor->config;
	int rc;

	rc = make_conns(net);
	if (rc < 0)
		return rc;
	rc = torc_slots_init(&net->listeners, LISTENERS,
	    sizeof(struct torc_listener));
	if (rc < 0)
		goto conns;
	net->chunk = torc_chunk_make(net);
	if (net->chunk == NULL) {
		rc = -ENOMEM;
		goto listeners;
	}
	net->fallback_buffer = torc_sys_alloc(config->buffer_size);
	if (net->fallback_buffer == NULL) {
		rc = -ENOMEM;
		goto chunk;
	}
	rc = torc_bufring_init(&net->buffers, &reactor->ring, 0,
	    config->buffers, config->buffers_start, config->buffer_size,
	    config->incremental);
	if (rc < 0)
		goto fallback_buffer;
	return 0;

fallback_buffer:
	torc_sys_free(net->fallback_buffer);
chunk:
	torc_sys_free(net->chunk);
listeners:
	torc_slots_fini(&net->listeners);
conns:
	torc_slots_fini(&net->conns);
	return rc;
}

static void
name_kinds(struct torc_net *net)
{
	const struct torc_kind accept = { &net->listeners,
	    torc_accept_complete, torc_accept_stray };
	const struct torc_kind recv = { &net->conns, torc_recv_complete,
	    torc_recv_stray };
	const struct torc_kind sealed = { &net->conns, torc_recv_sealed,
	    torc_recv_stray };
	const struct torc_kind send = { &net->conns, torc_send_complete,
	    stray };
	const struct torc_kind poll = { &net->conns, torc_watch_complete,
	    stray };
	struct torc_reactor *reactor = net->reactor;

	torc_reactor_name_kind(reactor, TORC_KIND_ACCEPT, &accept,
	    torc_accept_missed);
	torc_reactor_name_kind(reactor, TORC_KIND_RECV, &recv,
	    torc_conn_missed);
	torc_reactor_name_kind(reactor, TORC_KIND_SEND, &send,
	    torc_conn_missed);
	torc_reactor_name_kind(reactor, TORC_KIND_POLL, &poll,
	    torc_conn_missed);
	torc_reactor_name_kind(reactor, TORC_KIND_SEALED, &sealed,
	    torc_conn_missed);
}

int
torc_net_open(struct torc_reactor *reactor, struct torc_net **out)
{
	struct torc_net *net = net_of(reactor);
	int rc;

	*out = net;
	if (net != NULL)
		return 0;
	net = torc_sys_alloc(sizeof(*net));
	if (net == NULL)
		return -ENOMEM;
	net->reactor = reactor;
	net->unsent = &net->nobody;
	net->stage_max = reactor->config.slab_size;
	net->small_max = net->stage_max / 2;
	net->chunk_size = net->stage_max * 4;
	net->crowd = CROWD;
	net->own_max = reactor->config.held_total / 2;
	net->hungry.run = look_again;
	net->favour.fire = torc_intake_disfavour;
	torc_list_init(&net->starved);
	torc_list_init(&net->shaking);
	torc_list_init(&net->begun);
	torc_list_init(&net->chunks);
	rc = make(net);
	if (rc < 0) {
		torc_sys_free(net);
		return rc;
	}
	name_kinds(net);
	torc_reactor_attach(reactor, &layer, net);
	*out = net;
	return 0;
}
