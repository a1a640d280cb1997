/* SPDX-License-Identifier: MIT */
/*
 * page.c - reading torc's statistics page, which anybody may have written.
 */
#include "tools/ringstat/page.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reactor/reactor.h"
#include "sys/sys.h"

#define MAX_ROWS (1u << 20)
#define MAX_STRIDE 4096u
#define ROWS_AT_ONCE 64u

const char *const conn_states[CONN_STATES] = {
	"running", "reading", "writing", "slowed", "dormant", "eof",
	"finishing", "closing",
};

#define WORD(type, member) \
	{ #member, offsetof(struct type, member) / 8, \
	    sizeof(((struct type *)0)->member) / 8 }
#define COUNTER(member) WORD(torc_counters, member)
#define GAUGE(member) WORD(torc_gauges, member)
#define LIMIT(member) WORD(torc_limits, member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct word_name counter_names[] = {
	COUNTER(turns), COUNTER(enters), COUNTER(waits), COUNTER(sqes),
	COUNTER(cqes), COUNTER(batches), COUNTER(overflows),
	COUNTER(interrupted), COUNTER(starved), COUNTER(sq_full),
	COUNTER(deferred), COUNTER(stray), COUNTER(spins),
	COUNTER(spins_won), COUNTER(wakes), COUNTER(posts), COUNTER(fibers),
	COUNTER(resumes), COUNTER(timeouts), COUNTER(ops),
	COUNTER(op_cancels), COUNTER(accepts), COUNTER(sheds),
	COUNTER(accept_pauses), COUNTER(dials), COUNTER(closes),
	COUNTER(resets), COUNTER(receives), COUNTER(received),
	COUNTER(rearms), COUNTER(no_buffers), COUNTER(holds), COUNTER(joins),
	COUNTER(grows), COUNTER(quiet_sends), COUNTER(loud_sends),
	COUNTER(sent), COUNTER(short_sends), COUNTER(accept_arms),
	COUNTER(accept_ends), COUNTER(accept_failures),
	COUNTER(receive_arms), COUNTER(receive_failures),
	COUNTER(send_failures), COUNTER(fallback_reads), COUNTER(evictions),
	COUNTER(favours), COUNTER(moves), COUNTER(handshakes_full),
	COUNTER(handshakes_resumed), COUNTER(handshakes_failed),
};
const struct word_name gauge_names[] = {
	GAUGE(timers), GAUGE(fibers), GAUGE(fibers_peak),
	GAUGE(stack_deepest), GAUGE(ops), GAUGE(ops_peak),
	GAUGE(timed_turns), GAUGE(timed_ns), GAUGE(longest_ns),
	GAUGE(stalls), GAUGE(stalled_at), GAUGE(conns), GAUGE(conns_peak),
	GAUGE(conns_touched), GAUGE(listeners), GAUGE(listeners_paused),
	GAUGE(buffers_live), GAUGE(buffers_free), GAUGE(buffers_low),
	GAUGE(chunks), GAUGE(held_accepted), GAUGE(held_dialled),
	GAUGE(handshakes),
};
const struct word_name limit_names[] = {
	LIMIT(sq_entries), LIMIT(cq_entries), LIMIT(batch),
	LIMIT(connections), LIMIT(ops), LIMIT(fibers), LIMIT(stack_size),
	LIMIT(buffers), LIMIT(buffer_size), LIMIT(held_max),
	LIMIT(slab_size), LIMIT(stall_ms), LIMIT(held_total),
};
const unsigned counter_name_count = COUNT(counter_names);
const unsigned gauge_name_count = COUNT(gauge_names);
const unsigned limit_name_count = COUNT(limit_names);

/* ---- How handshakes ended ---- */

#define FAILURE(reason) [TORC_FAILURE_##reason - 1]
#define VERSION(version) [TORC_VERSION_##version - 1]
#define CIPHER(cipher) [TORC_CIPHER_##cipher - 1]

static const char *const failures[TORC_FAILURES - 1] = {
	FAILURE(LEFT) = "left", FAILURE(LATE) = "late",
	FAILURE(CLEAR) = "clear", FAILURE(VERSION) = "version",
	FAILURE(CIPHER) = "cipher", FAILURE(CERTIFICATE) = "certificate",
	FAILURE(REFUSED) = "refused", FAILURE(PROTOCOL) = "protocol",
	FAILURE(MEMORY) = "memory", FAILURE(ENDED) = "ended",
};
static const char *const versions[TORC_VERSIONS - 1] = {
	VERSION(1_2) = "1.2", VERSION(1_3) = "1.3",
};
static const char *const ciphers[TORC_CIPHERS - 1] = {
	CIPHER(AES128_GCM) = "TLS_AES_128_GCM_SHA256",
	CIPHER(AES256_GCM) = "TLS_AES_256_GCM_SHA384",
	CIPHER(CHACHA20) = "TLS_CHACHA20_POLY1305_SHA256",
	CIPHER(ECDSA_AES128_GCM) = "ECDHE-ECDSA-AES128-GCM-SHA256",
	CIPHER(RSA_AES128_GCM) = "ECDHE-RSA-AES128-GCM-SHA256",
	CIPHER(ECDSA_AES256_GCM) = "ECDHE-ECDSA-AES256-GCM-SHA384",
	CIPHER(RSA_AES256_GCM) = "ECDHE-RSA-AES256-GCM-SHA384",
	CIPHER(ECDSA_CHACHA20) = "ECDHE-ECDSA-CHACHA20-POLY1305",
	CIPHER(RSA_CHACHA20) = "ECDHE-RSA-CHACHA20-POLY1305",
	CIPHER(OTHER) = "other",
};

#define SET(member) offsetof(struct torc_counters, member) / 8, \
	sizeof(((struct torc_counters *)0)->member) / 8

const struct word_set handshake_sets[HANDSHAKE_SETS] = {
	{ "failures", "reason", "TLS handshakes that failed, by reason.",
	    failures, SET(handshake_failures) },
	{ "versions", "version", "TLS handshakes that were done, by version.",
	    versions, SET(handshake_versions) },
	{ "ciphers", "cipher", "TLS handshakes that were done, by cipher.",
	    ciphers, SET(handshake_ciphers) },
};

bool
torc_view_has(const struct torc_view *view, const struct word_set *set)
{
	return set->at + set->count <= view->page.counters.count;
}

const uint64_t *
torc_view_words(const struct torc_view *view, const struct word_set *set)
{
	return (const uint64_t *)(const void *)&view->page.counter + set->at;
}

const char *
phase_name(uint64_t phase)
{
	static const char *const names[] = {
		[TORC_STATS_PAGE_PHASE(TORC_PHASE_CREATED)] = "created",
		[TORC_STATS_PAGE_PHASE(TORC_PHASE_RUNNING)] = "running",
		[TORC_STATS_PAGE_PHASE(TORC_PHASE_DRAINING)] = "draining",
		[TORC_STATS_PAGE_PHASE(TORC_PHASE_STOPPING)] = "stopping",
		[TORC_STATS_PAGE_PHASE(TORC_PHASE_ENDED)] = "ended",
	};

	return phase < COUNT(names) ? names[phase] : "unknown";
}

/* ---- The head ---- */

/* As many elements of a part as both sides know, the rest 0. */
static bool
load_part(torc_view_load *load, void *arg,
    const struct torc_stats_page_part *part, void *to, size_t size,
    size_t element)
{
	size_t count = size / element;

	memset(to, 0, size);
	if (part->stride != element)
		return part->count == 0;
	if (count > part->count)
		count = part->count;
	return count == 0 || load(arg, part->offset, to, count * element);
}

static bool
load_head(struct torc_view *view, torc_view_load *load, void *arg)
{
	struct torc_stats_page *page = &view->page;
	const size_t head = offsetof(struct torc_stats_page, counter);

	if (!load(arg, 0, page, head) || page->magic != TORC_STATS_PAGE_MAGIC ||
	    page->version != TORC_STATS_PAGE_VERSION || page->size < head)
		return false;
	/* That of an older one is shorter. */
	if (page->counters.offset < head)
		page->sessions = (struct torc_stats_page_part) { .count = 0 };
	return load_part(load, arg, &page->counters, &page->counter,
	    sizeof(page->counter), 8) &&
	    load_part(load, arg, &page->gauges, &page->gauge,
	    sizeof(page->gauge), 8) &&
	    load_part(load, arg, &page->limits, &page->limit,
	    sizeof(page->limit), 8) &&
	    load_part(load, arg, &page->ops, page->op, sizeof(page->op),
	    sizeof(page->op[0])) &&
	    load_part(load, arg, &page->fields, page->field,
	    sizeof(page->field), sizeof(page->field[0]));
}

/* ---- Connections ---- */

/* A field of a row; 0 if the page has no such field. */
static uint64_t
field_of(const struct torc_stats_page *page, const uint8_t *row,
    enum torc_conn_field field)
{
	const struct torc_stats_page_field *at = &page->field[field];
	uint64_t value = 0;

	if (at->width == 0 || at->width > 8 ||
	    at->offset + at->width > page->conns.stride)
		return 0;
	for (unsigned i = 0; i < at->width; i++)
		value |= (uint64_t)row[at->offset + i] <<
		    (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i :
		    at->width - 1 - i) * 8;
	return value;
}

static enum conn_state
state_of(const struct torc_stats_page *page, const uint8_t *row)
{
	static const struct {
		enum torc_conn_field field;
		enum conn_state state;
	} order[] = {
		{ TORC_FIELD_DOOMED, CONN_CLOSING },
		{ TORC_FIELD_SHUT, CONN_FINISHING },
		{ TORC_FIELD_DORMANT, CONN_DORMANT },
		{ TORC_FIELD_WRITER, CONN_WRITING },
		{ TORC_FIELD_SLOWED, CONN_SLOWED },
		{ TORC_FIELD_EOF, CONN_EOF },
		{ TORC_FIELD_READER, CONN_READING },
	};

	for (size_t i = 0; i < COUNT(order); i++) {
		if (field_of(page, row, order[i].field) != 0)
			return order[i].state;
	}
	return CONN_RUNNING;
}

static struct conn_view
view_row(const struct torc_stats_page *page, const uint8_t *row, uint32_t slot,
    uint64_t now_ns)
{
	uint64_t since = field_of(page, row, TORC_FIELD_SINCE);

	return (struct conn_view) {
		.slot = slot,
		.fd = (int32_t)field_of(page, row, TORC_FIELD_FD),
		.state = state_of(page, row),
		.held = field_of(page, row, TORC_FIELD_HELD) +
		    field_of(page, row, TORC_FIELD_VIEW),
		.staged = field_of(page, row, TORC_FIELD_STAGED) +
		    field_of(page, row, TORC_FIELD_SENT) +
		    (uint32_t)(field_of(page, row, TORC_FIELD_SLAB_END) -
		    field_of(page, row, TORC_FIELD_SLAB_START)),
		.armed = field_of(page, row, TORC_FIELD_ARMED) != 0,
		.sending = field_of(page, row, TORC_FIELD_LOUD) != 0 ||
		    field_of(page, row, TORC_FIELD_SENT) != 0,
		.age_ms = since == 0 ? UNKNOWN : now_ns <= since ? 0 :
		    (int64_t)((now_ns - since) / 1000000),
	};
}

static void
add_row(struct torc_view *view, const struct conn_view *conn, bool keep)
{
	const unsigned at = view->conn_count++;

	view->by_state[conn->state]++;
	view->armed += conn->armed;
	view->sending += conn->sending;
	view->held += conn->held;
	view->staged += conn->staged;
	if (!keep)
		return;
	if ((at & (at - 1)) == 0)
		view->conns = must_grow(view->conns,
		    at == 0 ? 1 : (size_t)at * 2, sizeof(*conn));
	view->conns[at] = *conn;
}

/* ---- What connections have agreed on ---- */

/* So many rows, and what lies beside them. */
struct block {
	uint32_t from;
	uint32_t count;
	uint8_t *rows;
	uint8_t *again;		/* the rows, read behind all else */
	struct torc_stats_page_session *sessions[2];	/* NULL: not known */
};

static const char *
name_in(const char *const *names, unsigned count, unsigned value)
{
	return value > 0 && value <= count ? names[value - 1] : NULL;
}

const char *
torc_view_version(const struct conn_view *conn)
{
	return name_in(versions, COUNT(versions), conn->version);
}

const char *
torc_view_cipher(const struct conn_view *conn)
{
	return name_in(ciphers, COUNT(ciphers), conn->cipher);
}

/* It must not be longer than it may be, nor end before. */
static char *
copy_host(const struct torc_stats_page_session *session)
{
	const size_t size = session->name_size;
	char *host;

	if (size == 0 || size > sizeof(session->name) ||
	    memchr(session->name, '\0', size) != NULL)
		return NULL;
	host = must_grow(NULL, size + 1, 1);
	memcpy(host, session->name, size);
	host[size] = '\0';
	return host;
}

static bool
is_same(const struct torc_stats_page *page, const uint8_t *row,
    const uint8_t *again)
{
	return field_of(page, again, TORC_FIELD_SLOT) == TORC_SLOT_TAKEN &&
	    field_of(page, again, TORC_FIELD_GENERATION) ==
	    field_of(page, row, TORC_FIELD_GENERATION);
}

/* Of a row of a block. stats_page.h says why what is told is true. */
static void
add_session(struct conn_view *conn, const struct torc_stats_page *page,
    const struct block *block, uint32_t at)
{
	const size_t place = (size_t)at * page->conns.stride;
	const uint8_t *row = block->rows + place;
	const struct torc_stats_page_session *first, *second;
	uint32_t owner;

	if (page->field[TORC_FIELD_TRANSPORT].width == 0 ||
	    block->again == NULL || !is_same(page, row, block->again + place))
		return;
	if (field_of(page, row, TORC_FIELD_TRANSPORT) == 0) {
		/* At its end it has lost what it had. */
		conn->tls = field_of(page, row, TORC_FIELD_DOOMED) != 0 ?
		    CONN_TLS_UNKNOWN : CONN_CLEAR;
		return;
	}
	owner = (uint32_t)field_of(page, row, TORC_FIELD_GENERATION) + 1;
	first = &block->sessions[0][at];
	second = &block->sessions[1][at];
	conn->tls = CONN_SHAKING;
	if (first->owner != owner || second->owner != owner)
		return;
	conn->tls = CONN_SECURE;
	conn->version = second->version;
	conn->cipher = second->cipher;
	conn->host = copy_host(second);
}

/* Twice, and then the rows once more. */
static void
load_sessions(struct block *block, const struct torc_stats_page *page,
    torc_view_load *load, void *arg)
{
	const size_t size = sizeof(struct torc_stats_page_session);
	const uint64_t stride = page->conns.stride;

	if (page->sessions.stride != size ||
	    page->sessions.count < block->from + block->count)
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct torc_stats_page_session *sessions =
		    must_grow(NULL, block->count, size);

		block->sessions[i] = sessions;
		if (!load(arg, page->sessions.offset + block->from * size,
		    sessions, block->count * size))
			memset(sessions, 0, block->count * size);
	}
	block->again = must_grow(NULL, block->count, stride);
	if (!load(arg, page->conns.offset + block->from * stride,
	    block->again, block->count * stride))
		memset(block->again, 0, block->count * stride);
}

/* False: it is not there. */
static bool
load_block(struct torc_view *view, torc_view_load *load, void *arg,
    struct block *block, bool keep)
{
	const struct torc_stats_page *page = &view->page;
	const uint64_t stride = page->conns.stride;

	if (!load(arg, page->conns.offset + block->from * stride,
	    block->rows, block->count * stride))
		return false;
	if (keep)
		load_sessions(block, page, load, arg);
	return true;
}

static void
add_block(struct torc_view *view, struct block *block, uint64_t now_ns,
    bool keep)
{
	const struct torc_stats_page *page = &view->page;

	for (uint32_t i = 0; i < block->count; i++) {
		const uint8_t *row = block->rows +
		    (size_t)i * page->conns.stride;
		struct conn_view conn;

		if (field_of(page, row, TORC_FIELD_SLOT) != TORC_SLOT_TAKEN)
			continue;
		conn = view_row(page, row, block->from + i, now_ns);
		if (keep)
			add_session(&conn, page, block, i);
		add_row(view, &conn, keep);
	}
	for (unsigned i = 0; i < 2; i++) {
		free(block->sessions[i]);
		block->sessions[i] = NULL;
	}
	free(block->again);
	block->again = NULL;
}

static void
load_conns(struct torc_view *view, torc_view_load *load, void *arg,
    uint64_t now_ns, bool keep)
{
	const struct torc_stats_page *page = &view->page;
	const uint32_t stride = page->conns.stride;
	uint64_t count = page->gauge.conns_touched;
	struct block block = { .rows = NULL };

	if (page->conns.count == 0 || stride == 0 || stride > MAX_STRIDE ||
	    page->field[TORC_FIELD_SLOT].width != 4)
		return;
	if (count > page->conns.count)
		count = page->conns.count;
	if (count > MAX_ROWS)
		count = MAX_ROWS;
	view->conns_known = true;
	block.rows = must_grow(NULL, ROWS_AT_ONCE, stride);
	for (; block.from < count; block.from += ROWS_AT_ONCE) {
		block.count = (uint32_t)count - block.from < ROWS_AT_ONCE ?
		    (uint32_t)count - block.from : ROWS_AT_ONCE;
		if (!load_block(view, load, arg, &block, keep))
			break;
		add_block(view, &block, now_ns, keep);
	}
	free(block.rows);
}

bool
torc_view_read(struct torc_view *view, torc_view_load *load, void *arg,
    uint64_t now_ns, bool conns)
{
	memset(view, 0, sizeof(*view));
	if (!load_head(view, load, arg))
		return false;
	view->turn_age_us = view->page.gauge.sleeping ||
	    view->page.gauge.turn_began == 0 ? UNKNOWN :
	    now_ns <= view->page.gauge.turn_began ? 0 :
	    (int64_t)((now_ns - view->page.gauge.turn_began) / 1000);
	load_conns(view, load, arg, now_ns, conns);
	return true;
}

/* ---- The file ---- */

static bool
load_from_file(void *arg, uint64_t offset, void *to, size_t size)
{
	const int fd = *(int *)arg;

	return offset <= INT64_MAX &&
	    pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

static bool
names(const struct ring *ring, unsigned process, uint32_t fd)
{
	if (ring->process != process)
		return false;
	for (unsigned i = 0; i < ring->fd_count && i < MAX_LISTED; i++) {
		if (ring->fds[i] == fd)
			return true;
	}
	return false;
}

void
torc_view_attach(struct sample *sample, unsigned process, int fds,
    unsigned fd, bool conns)
{
	struct torc_view *view = must_grow(NULL, 1, sizeof(*view));
	struct stat status;
	char name[16];
	int file;

	view->conns = NULL;
	view->thread_state = '\0';
	snprintf(name, sizeof(name), "%u", fd);
	file = openat(fds, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0 || fstat(file, &status) < 0 ||
	    !S_ISREG(status.st_mode) ||
	    !torc_view_read(view, load_from_file, &file, torc_sys_now(),
	    conns))
		goto out;
	for (unsigned i = 0; i < sample->ring_count; i++) {
		struct ring *ring = &sample->rings[i];

		if (!names(ring, process, view->page.ring_fd) ||
		    ring->torc != NULL)
			continue;
		ring->torc = view;
		ring->sources |= SOURCE_PAGE;
		view = NULL;
		break;
	}
out:
	if (file >= 0)
		close(file);
	torc_view_free(view);
}

void
torc_view_fini(struct torc_view *view)
{
	for (unsigned i = 0; view->conns != NULL && i < view->conn_count; i++)
		free(view->conns[i].host);
	free(view->conns);
}

void
torc_view_free(struct torc_view *view)
{
	if (view != NULL)
		torc_view_fini(view);
	free(view);
}

/* What no program has counted was written by a hostile one. */
static int64_t
figure(uint64_t value)
{
	return value > INT64_MAX ? UNKNOWN : (int64_t)value;
}

/* A counter that pages of older programs may not have. */
static int64_t
late_counter(const struct torc_view *view, size_t at, uint64_t value)
{
	return at / 8 < view->page.counters.count ? figure(value) : UNKNOWN;
}

#define LATE(view, member) \
	late_counter(view, offsetof(struct torc_counters, member), \
	    (view)->page.counter.member)

void
torc_view_conn_ops(const struct torc_view *view,
    struct conn_op ops[CONN_OPS])
{
	const struct torc_counters *counter = &view->page.counter;
	const uint64_t sends = counter->quiet_sends + counter->loud_sends;
	const bool known = view->conns_known;
	const int64_t arms = LATE(view, accept_arms);
	const int64_t ends = LATE(view, accept_ends);

	ops[0] = (struct conn_op) {
		.name = "ACCEPT",
		.submitted = arms,
		.in_flight = ends == UNKNOWN || ends > arms ? UNKNOWN :
		    arms - ends,
		.completed = figure(counter->accepts),
		.failed = LATE(view, accept_failures),
	};
	ops[1] = (struct conn_op) {
		.name = "RECV",
		.submitted = LATE(view, receive_arms),
		.in_flight = known ? view->armed : UNKNOWN,
		.completed = figure(counter->receives),
		.failed = LATE(view, receive_failures),
	};
	ops[2] = (struct conn_op) {
		.name = "SEND",
		.submitted = figure(sends),
		.in_flight = known ? view->sending : UNKNOWN,
		.completed = known && sends >= view->sending ?
		    figure(sends - view->sending) : UNKNOWN,
		.failed = LATE(view, send_failures),
	};
}

struct tag_text
torc_view_tag(const struct torc_view *view, uint64_t user_data)
{
	static const char *const kinds[] = { "none", "wake", "op" };
	static const char *const layer[] = { "accept", "recv", "send", "poll",
		"sealed" };
	const unsigned slot_bits = view->page.slot_bits & 31;
	const unsigned generation_bits = view->page.generation_bits & 63;
	const unsigned kind_at = (slot_bits + generation_bits) & 63;
	const uint64_t kind = user_data >> kind_at;
	struct tag_text tag = {
		.slot = user_data & ((1ull << slot_bits) - 1),
		.generation = user_data >> slot_bits &
		    ((1ull << generation_bits) - 1),
	};

	if (kind < COUNT(kinds))
		snprintf(tag.kind, sizeof(tag.kind), "%s", kinds[kind]);
	else if (kind >= view->page.conn_kinds &&
	    kind - view->page.conn_kinds < COUNT(layer))
		snprintf(tag.kind, sizeof(tag.kind), "%s",
		    layer[kind - view->page.conn_kinds]);
	else
		snprintf(tag.kind, sizeof(tag.kind), "%u", (unsigned)kind);
	return tag;
}
