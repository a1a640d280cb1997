/* SPDX-License-Identifier: MIT */
/*
 * create.c - a reactor is made, described and freed. What it does in between is
 * in reactor.c.
 */
#include "reactor/reactor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reactor/config.h"
#include "reactor/error.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "reactor/process.h"
#include "reactor/stats.h"
#include "ring/bufring.h"
#include "sys/explain.h"
#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/valgrind.h"

/* ---- Completions that belong to nobody ---- */

static void
ignore(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	(void)reactor;
	(void)cqe;
}

static void
count_stray(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	torc_debug_assert(reactor->counters != NULL && cqe != NULL);
	(void)cqe;
	reactor->counters->stray++;
}

/* The mailbox's descriptor: the poll stays armed, and nothing is read. */
static void
note_wake(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	torc_debug_assert(reactor->wake_armed);
	reactor->counters->wakes++;
	reactor->ready_spent = true;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		reactor->wake_armed = false;
}

/* ---- Making one ---- */

static int
make_tables(struct torc_reactor *reactor)
{
	const struct torc_config *config = &reactor->config;
	int rc;

	torc_debug_assert(reactor->counters == NULL && reactor->layer == NULL);
	torc_debug_assert(reactor->config.fibers > 0 &&
	    reactor->config.ops > 0);
	/* And one for each of 1024 listeners, 1024 pools and 1024 roots. */
	rc = torc_timers_init(&reactor->timers,
	    config->fibers + config->connections + config->ops + 3072);
	if (rc < 0)
		return rc;
	rc = torc_stacks_init(&reactor->stacks, config->fibers,
	    config->stack_size, config->stack_guard);
	if (rc < 0)
		goto timers;
	rc = torc_slots_init(&reactor->fibers, config->fibers * 2,
	    sizeof(struct torc_fiber_slot));
	if (rc < 0)
		goto stacks;
	rc = torc_slots_init(&reactor->ops, config->ops,
	    sizeof(struct torc_op_slot));
	if (rc < 0)
		goto fibers;
	return 0;

fibers:
	torc_slots_fini(&reactor->fibers);
stacks:
	torc_stacks_fini(&reactor->stacks);
timers:
	torc_timers_fini(&reactor->timers);
	return rc;
}

static void
free_tables(struct torc_reactor *reactor)
{
	struct torc_fiber_slot *slot = NULL;

	torc_assert(reactor->ops.count == 0);
	torc_assert(reactor->layer == NULL);
	torc_assert(!reactor->abandoned);
	torc_assert(torc_list_empty(&reactor->backlog));
	/* Results that nobody came for, and fibers that never ran. */
	while ((slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber != NULL)
			torc_fiber_drop(slot->fiber);
		torc_slots_give(&reactor->fibers, slot);
	}
	torc_slots_fini(&reactor->ops);
	torc_slots_fini(&reactor->fibers);
	torc_stacks_fini(&reactor->stacks);
	torc_timers_fini(&reactor->timers);
}

static void
name_kinds(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->nothing.touched == 0);
	for (int i = 0; i < TORC_KINDS; i++) {
		reactor->kinds[i].slots = &reactor->nothing;
		reactor->kinds[i].stray = i & TORC_KIND_CANCEL ? ignore :
		    count_stray;
	}
	reactor->kinds[TORC_KIND_NONE].stray = ignore;
	reactor->kinds[TORC_KIND_WAKE].stray = note_wake;
	reactor->kinds[TORC_KIND_OP].slots = &reactor->ops;
	reactor->kinds[TORC_KIND_OP].complete = torc_op_complete;
	reactor->kinds[TORC_KIND_OP | TORC_KIND_CANCEL].slots = &reactor->ops;
	reactor->kinds[TORC_KIND_OP | TORC_KIND_CANCEL].complete =
	    torc_op_missed;
}

void
torc_reactor_name_kind(struct torc_reactor *reactor, unsigned kind,
    const struct torc_kind *named,
    void (*missed)(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe))
{
	struct torc_kind *kinds = reactor->kinds;

	torc_debug_assert(named->complete != NULL && named->stray != NULL);
	torc_debug_assert(reactor->kinds[kind].complete == NULL);
	torc_assert(kind >= TORC_KIND_LAYER && kind < TORC_KIND_CANCEL);
	kinds[kind] = *named;
	kinds[kind | TORC_KIND_CANCEL].slots = named->slots;
	kinds[kind | TORC_KIND_CANCEL].complete = missed;
}

void
torc_reactor_attach(struct torc_reactor *reactor,
    const struct torc_layer *layer, void *state)
{
	torc_debug_assert((reactor->layer == NULL) == (reactor->layer_state ==
	    NULL));
	torc_debug_assert((layer == NULL) != (reactor->layer == NULL));
	torc_assert((layer == NULL) == (state == NULL));
	reactor->layer = layer;
	reactor->layer_state = state;
}

/* What of the page does not change any more; then it is one. */
static void
fill_page(struct torc_reactor *reactor)
{
	const struct torc_config *config = &reactor->config;
	struct torc_stats_page *page = reactor->stats_page.page;

	torc_debug_assert(reactor->counters == NULL);
	torc_debug_assert(reactor->stats_page.page != NULL);
	torc_debug_assert(reactor->stats_page.page->magic == 0);
	reactor->counters = &page->counter;
	reactor->stall_ns = config->stall_ms == TORC_NO_LIMIT ? UINT64_MAX :
	    config->stall_ms * 1000000ull;
	page->ring_fd = (uint32_t)reactor->ring.fd;
	page->setup_flags = reactor->ring.setup_flags;
	page->features = reactor->ring.features;
	page->conn_kinds = TORC_KIND_LAYER;
	page->limit = (struct torc_limits) {
		.sq_entries = reactor->ring.sq_entries,
		.cq_entries = reactor->ring.cq_entries,
		.batch = config->batch,
		.connections = config->connections,
		.ops = config->ops,
		.fibers = config->fibers,
		.stack_size = config->stack_size,
		.buffers = config->buffers,
		.buffer_size = config->buffer_size,
		.held_max = config->held_max,
		.held_total = config->held_total,
		.slab_size = config->slab_size,
		.stall_ms = config->stall_ms,
	};
	page->magic = TORC_STATS_PAGE_MAGIC;
}

static int
make(struct torc_reactor *reactor, struct torc_error *error)
{
	const struct torc_config *config = &reactor->config;
	int rc = torc_ring_init(&reactor->ring, config->sq_entries,
	    config->cq_entries);

	if (rc < 0)
		return torc_error_explain(error, rc, "io_uring_setup",
		    torc_ring_memory(TORC_RING_MIN_SQ, TORC_RING_MIN_SQ * 4));
	rc = torc_mailbox_init(&reactor->mailbox);
	if (rc < 0)
		goto ring;
	rc = torc_stats_page_open(&reactor->stats_page,
	    torc_config_rows(config), config->no_stats);
	if (rc < 0)
		goto mailbox;
	rc = make_tables(reactor);
	if (rc < 0)
		goto page;
	fill_page(reactor);
	return 0;

page:
	torc_stats_page_close(&reactor->stats_page);
mailbox:
	torc_mailbox_fini(&reactor->mailbox);
ring:
	torc_ring_fini(&reactor->ring);
	return torc_error_set(error, rc, "reactor of %u fibers, %u "
	    "connections, %u ops: %s", config->fibers, config->connections,
	    config->ops, strerror(-rc));
}

/* A call of the kernel, and the memory that it takes. */
struct request {
	const char *call;
	uint64_t memory;
};

/*
 * Ask for what a reactor asks for, in the same order, and give it back. After
 * a failure `*request` is what was refused.
 */
static int
rehearse(const struct torc_config *config, struct request *request)
{
	struct torc_bufring buffers;
	struct torc_ring ring;
	int rc = torc_ring_init(&ring, config->sq_entries,
	    config->cq_entries);

	*request = (struct request) { "io_uring_setup", torc_ring_memory(
	    TORC_RING_MIN_SQ, TORC_RING_MIN_SQ * 4) };
	if (rc < 0)
		return rc;
	*request = (struct request) { "io_uring_register", torc_pages_whole(
	    config->buffers * sizeof(struct io_uring_buf)) };
	rc = torc_ring_enable(&ring);
	if (rc == 0)
		rc = torc_bufring_init(&buffers, &ring, 0, config->buffers,
		    config->buffers_start, config->buffer_size, false);
	if (rc == 0) {
		*request = (struct request) { "io_uring_enter", 0 };
		rc = torc_ring_flush(&ring);
		torc_bufring_fini(&buffers);
	}
	torc_ring_fini(&ring);
	return rc;
}

int
torc_available(struct torc_error *error)
{
	struct torc_config config;
	struct request request;
	int rc = torc_config_fill(&config, NULL, NULL);

	torc_assert(rc == 0);
	torc_error_clear(error);
	rc = rehearse(&config, &request);
	return rc == 0 ? 0 : torc_error_explain(error, rc, request.call,
	    request.memory);
}

int
torc_reactor_make(struct torc_reactor **out, const struct torc_config *config,
    struct torc_error *error)
{
	struct torc_reactor *reactor = torc_sys_alloc(sizeof(*reactor));
	int rc;

	torc_error_clear(error);
	if (reactor == NULL)
		return torc_error_set(error, -ENOMEM, "reactor: no memory");
	rc = torc_config_fill(&reactor->config, config, error);
	if (rc == 0)
		rc = make(reactor, error);
	if (rc < 0) {
		torc_sys_free(reactor);
		return rc;
	}
	reactor->life = torc_life_begin();
	reactor->ready_fd = -1;
	reactor->watched = torc_valgrind();
	reactor->sleeps_beside = reactor->watched &&
	    getenv("TORC_VALGRIND_ENTER") == NULL;
	name_kinds(reactor);
	torc_list_init(&reactor->ready);
	torc_list_init(&reactor->yielded);
	torc_list_init(&reactor->backlog);
	reactor->drain_at = UINT64_MAX;
	if (reactor->config.spin_us > 0)
		reactor->spin_credit = TORC_SPIN_CREDIT;
	torc_process_lock();
	torc_process_add(reactor);
	torc_process_unlock();
	*out = reactor;
	return 0;
}

/* What would be ignored is refused, with the name of the field. */
static int
refuse_service(const struct torc_config *config, struct torc_error *error)
{
	const struct {
		const char *name;
		bool set;
	} fields[] = {
		{ "listen", config->listen != NULL },
		{ "handler", config->handler != NULL },
		{ "endpoints", config->endpoint_count != 0 },
		{ "start", config->start != NULL },
		{ "stop", config->stop != NULL },
		{ "reload", config->reload != NULL },
		{ "reactors", config->reactors != 0 },
		{ "unpinned", config->unpinned },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].set)
			return torc_error_set(error, -EINVAL, "%s: only a "
			    "reactor of torc_serve() has this: leave it 0, or "
			    "use torc_serve()", fields[i].name);
	}
	return 0;
}

int
torc_reactor_create_sized(struct torc_reactor **reactor,
    const struct torc_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_config known;
	int rc;

	torc_require(reactor != NULL,
	    "torc_reactor_create needs a place for the reactor");
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), config, config_size,
	    "torc_config", error);
	if (rc == 0)
		rc = refuse_service(&known, error);
	return rc < 0 ? rc : torc_reactor_make(reactor, &known, error);
}

void
torc_reactor_destroy(struct torc_reactor *reactor)
{
	if (reactor == NULL)
		return;
	torc_reactor_vouch(reactor);
	torc_require(reactor->phase == TORC_PHASE_CREATED ||
	    reactor->phase == TORC_PHASE_ENDED,
	    "a reactor is destroyed before it has ended: stop it, and take "
	    "turns until torc_reactor_turn() returns 0");
	if (reactor->phase == TORC_PHASE_CREATED)
		torc_reactor_end_unrun(reactor);
	torc_reclaim_forget(reactor);
	torc_stats_remove(reactor);
	torc_mailbox_fini(&reactor->mailbox);
	if (reactor->ready_fd >= 0)
		torc_sys_close(reactor->ready_fd);
	torc_reactor_free_values(reactor);
	torc_stats_page_hide(&reactor->stats_page);
	reactor->life = 0;
	if (reactor->abandoned)
		return;
	free_tables(reactor);
	torc_stats_page_close(&reactor->stats_page);
	torc_sys_free(reactor);
}

static void
describe(const struct torc_ring *ring, char *text, size_t size)
{
	const struct {
		const char *name;
		bool on;
	} parts[] = {
		{ "SINGLE_ISSUER",
		    ring->setup_flags & IORING_SETUP_SINGLE_ISSUER },
		{ "DEFER_TASKRUN",
		    ring->setup_flags & IORING_SETUP_DEFER_TASKRUN },
		{ "COOP_TASKRUN",
		    ring->setup_flags & IORING_SETUP_COOP_TASKRUN },
		{ "NO_SQARRAY",
		    ring->setup_flags & IORING_SETUP_NO_SQARRAY },
		{ "registered fd",
		    ring->enter_flags & IORING_ENTER_REGISTERED_RING },
		{ "min wait", ring->features & IORING_FEAT_MIN_TIMEOUT },
		{ "no iowait", ring->enter_flags & IORING_ENTER_NO_IOWAIT },
	};
	int used = snprintf(text, size, "SQ %u CQ %u", ring->sq_entries,
	    ring->cq_entries);

	torc_debug_assert(ring->sq_entries > 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].on && used >= 0 && (size_t)used < size)
			used += snprintf(text + used, size - (size_t)used,
			    ", %s", parts[i].name);
	}
}

void
torc_reactor_describe(const struct torc_reactor *reactor, char *text,
    size_t size)
{
	torc_reactor_vouch(reactor);
	describe(&reactor->ring, text, size);
}
