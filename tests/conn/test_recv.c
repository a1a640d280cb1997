/* SPDX-License-Identifier: MIT */
/*
 * test_recv.c - what arrives is seen: every byte, once, in order, however it
 * was cut on the way and however slowly it is consumed.
 *
 * wrap: torc_sys_setup
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/conn.h"
#include "conn/kit/torc_client.h"
#include "conn/net.h"
#include "sys/sys.h"
#include "sys/uapi.h"

/* Setup flags that the kernel seems not to know. */
static uint32_t refused_flags;

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	if (params->flags & refused_flags)
		return -EINVAL;
	return __real_torc_sys_setup(entries, params);
}

static int
refuse_nothing(void **state)
{
	(void)state;
	refused_flags = 0;
	return 0;
}

/* ---- Looking into a reactor ---- */

static void
see_incremental(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;

	*(bool *)arg = net->buffers.incremental;
}

/* Linux 6.12 fills buffers slice by slice; before it there is no such mode. */
static bool
is_incremental(struct server *server)
{
	bool incremental;

	server_call(server, see_incremental, &incremental);
	return incremental;
}

static void
skip_without_incremental(void)
{
	struct torc_config config = { .incremental = true };
	struct server server;
	bool there;

	server_start(&server, &config, echo_handler, NULL);
	there = is_incremental(&server);
	assert_int_equal(server_stop(&server), 0);
	if (there)
		return;
	print_message("SKIP: this kernel does not fill buffers slice by "
	    "slice\n");
	skip();
}

static bool
has_received(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->received >= *(uint64_t *)arg;
}

/* Send, and wait until the reactor has it. */
static void
send_apart(struct server *server, int fd, const void *data, size_t size)
{
	uint64_t received = server_counters(server).received + size;

	client_send(fd, data, size);
	assert_true(server_await(server, has_received, &received, 5000));
}

static bool
has_value(struct torc_reactor *reactor, void *arg)
{
	const unsigned *value = ((void **)arg)[1];
	atomic_uint *counter = ((void **)arg)[0];

	(void)reactor;
	return atomic_load(counter) >= *value;
}

static bool
await_value(struct server *server, atomic_uint *counter, unsigned value)
{
	void *both[] = { counter, &value };

	return server_await(server, has_value, both, 5000);
}

/* No stack is in use, and the kernel has every buffer. */
static bool
is_asleep(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;

	(void)arg;
	return reactor->stacks.in_use == 0 &&
	    net->buffers.in_kernel == net->buffers.live;
}

/* ---- Requests ---- */

/* What a handler of requests saw. */
struct requests {
	atomic_uint answered;
	atomic_uint refused;	/* too long */
	atomic_uint ended;	/* connections */
	size_t longest;		/* view */
};

#define ANSWER_SIZE 40

/* The answer to a head: one that no other head has. */
static size_t
describe(char *text, const void *head, size_t size)
{
	const uint8_t *bytes = head;
	uint32_t sum = 1;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + bytes[i];
	return (size_t)snprintf(text, ANSWER_SIZE, "%zu bytes, %08x\n", size,
	    sum);
}

/* Answer each head that is complete; the number of bytes of them. */
static size_t
answer_heads(struct torc_conn *conn, struct requests *requests,
    const struct torc_slice *in)
{
	const uint8_t *at = in->data;
	size_t left = in->size;

	for (;;) {
		const uint8_t *end = memmem(at, left, "\r\n\r\n", 4);
		char text[ANSWER_SIZE];
		size_t size;

		if (end == NULL)
			return in->size - left;
		end += 4;
		size = describe(text, at, (size_t)(end - at));
		torc_conn_write(conn, text, size, TORC_NEVER);
		atomic_fetch_add(&requests->answered, 1);
		left -= (size_t)(end - at);
		at = end;
	}
}

static int
serve_heads(struct torc_conn *conn, void *arg)
{
	struct requests *requests = arg;
	struct torc_slice in;
	int rc;

	while ((rc = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		if (in.size > requests->longest)
			requests->longest = in.size;
		torc_conn_consume(conn, answer_heads(conn, requests, &in));
	}
	if (rc == -ENOBUFS)
		atomic_fetch_add(&requests->refused, 1);
	atomic_fetch_add(&requests->ended, 1);
	return TORC_CLOSE;
}

/* The next bytes that come are these. */
static void
expect(int fd, const char *text)
{
	char got[256];
	const size_t size = strlen(text);

	assert_true(size < sizeof(got));
	assert_true(client_read(fd, got, size));
	assert_memory_equal(got, text, size);
}

/* The next answer is that to this head. */
static void
expect_answer(int fd, const void *head, size_t size)
{
	char text[ANSWER_SIZE];

	describe(text, head, size);
	expect(fd, text);
}

/* A head of `size` bytes. */
static char *
new_head(size_t size)
{
	char *head = malloc(size + 1);

	assert_non_null(head);
	for (size_t i = 0; i < size; i++)
		head[i] = (char)('a' + stream_byte(7, i) % 26);
	memcpy(head, "GET / HTTP/1.1\r\n", 16);
	memcpy(head + size - 4, "\r\n\r\n", 5);
	return head;
}

static void
serve(struct server *server, struct requests *requests, bool incremental)
{
	const struct torc_config config = { .incremental = incremental,
		.buffer_size = 4096, .buffers = 64 };

	memset(requests, 0, sizeof(*requests));
	server_start(server, &config, serve_heads, requests);
	assert_int_equal(is_incremental(server), incremental);
}

/* A16. */
static void
check_requests(bool incremental)
{
	const char *const head = "GET / HTTP/1.1\r\n\r\n";
	struct requests requests;
	struct server server;
	char all[20 * 18 + 1] = "";
	int fd;

	serve(&server, &requests, incremental);
	fd = client_open(server.port);
	for (int i = 0; i < 5; i++) {
		client_send(fd, head, 18);
		expect_answer(fd, head, 18);
	}
	for (int i = 0; i < 20; i++)
		memcpy(all + i * 18, head, 18);
	client_send(fd, all, sizeof(all) - 1);
	for (int i = 0; i < 20; i++)
		expect_answer(fd, head, 18);
	client_part(fd);
	for (int i = 0; i < 50; i++) {
		fd = client_open(server.port);
		client_send(fd, head, 18);
		expect_answer(fd, head, 18);
		client_part(fd);
	}
	assert_int_equal(atomic_load(&requests.answered), 75);
	assert_int_equal(server_counters(&server).accepts, 51);
	assert_int_equal(server_stop(&server), 0);
}

/* A17: each piece comes alone, and the whole is answered once. */
static void
check_fragments(bool incremental)
{
	const char *const head = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
	struct requests requests;
	struct server server;
	int fd;

	serve(&server, &requests, incremental);
	fd = client_open(server.port);
	send_apart(&server, fd, head, 7);
	send_apart(&server, fd, head + 7, 18);
	send_apart(&server, fd, head + 25, 2);
	expect_answer(fd, head, 27);
	for (int i = 0; i < 27; i++)
		send_apart(&server, fd, head + i, 1);
	expect_answer(fd, head, 27);
	client_part(fd);
	assert_int_equal(atomic_load(&requests.answered), 2);
	assert_int_equal(server_counters(&server).receives, 30);
	assert_int_equal(server_stop(&server), 0);
}

/* A18: 32 KB over buffers of 4 KB are one head, also in many pieces. */
static void
check_long_heads(bool incremental)
{
	struct requests requests;
	struct server server;
	char *head = new_head(32768);
	int fd;

	serve(&server, &requests, incremental);
	fd = client_open(server.port);
	client_send(fd, head, 32768);
	expect_answer(fd, head, 32768);
	for (int i = 0; i < 32768; i += 1024)
		client_send(fd, head + i, 1024);
	expect_answer(fd, head, 32768);
	client_send(fd, "x\r\n\r\n", 5);
	expect_answer(fd, "x\r\n\r\n", 5);
	client_part(fd);
	assert_int_equal(atomic_load(&requests.answered), 3);
	assert_true(server_counters(&server).joins > 0);
	assert_int_equal(server_stop(&server), 0);
	free(head);
}

static void
requests_are_answered_one_by_one_and_in_batches(void **state)
{
	(void)state;
	check_requests(false);
}

static void
a_request_in_fragments_is_answered_once(void **state)
{
	(void)state;
	check_fragments(false);
}

static void
a_head_of_many_buffers_is_one_head(void **state)
{
	(void)state;
	check_long_heads(false);
}

/* A21: all of it, in buffers that are filled slice by slice. */
static void
requests_are_answered_in_incremental_mode_too(void **state)
{
	(void)state;
	skip_without_incremental();
	check_requests(true);
	check_fragments(true);
	check_long_heads(true);
}

/*
 * A18: what never ends is not kept without end: at `held_max` bytes in view the
 * handler is told. What the kernel delivers at once may come on top.
 */
static void
a_head_that_does_not_end_is_refused_at_a_bound(void **state)
{
	const struct torc_config config = { .buffer_size = 4096,
		.held_max = 65536 };
	struct requests requests = { 0 };
	struct server server;
	char *head = new_head(131072);
	char byte;
	int fd;

	(void)state;
	server_start(&server, &config, serve_heads, &requests);
	fd = client_open(server.port);
	/* The handler gives up in the middle: the rest is not read. */
	for (size_t sent = 0; sent < 131000; sent += 1000) {
		if (send(fd, head + sent, 1000, MSG_NOSIGNAL) < 0)
			break;
	}
	assert_true(await_value(&server, &requests.ended, 1));
	assert_int_equal(atomic_load(&requests.refused), 1);
	assert_int_equal(atomic_load(&requests.answered), 0);
	assert_in_range(requests.longest, 65536, 2 * 65536 + 4096);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
	/* The control: just below the bound it is answered. */
	memcpy(head + 60000, "\r\n\r\n", 4);
	fd = client_open(server.port);
	client_send(fd, head, 60004);
	expect_answer(fd, head, 60004);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	free(head);
}

/* ---- Sizes ---- */

static void
check_echo_of(int fd, uint32_t key, size_t size)
{
	uint8_t *bytes = malloc(size), *back = malloc(size);

	assert_true(bytes != NULL && back != NULL);
	stream_fill(key, 0, bytes, size);
	client_send(fd, bytes, size);
	assert_true(client_read(fd, back, size));
	assert_memory_equal(back, bytes, size);
	free(bytes);
	free(back);
}

static void
check_sizes(unsigned buffer_size, bool incremental)
{
	const struct torc_config config = { .buffer_size = buffer_size,
		.buffers = 32, .incremental = incremental };
	struct server server;
	uint32_t key = 0;
	int fd;

	server_start(&server, &config, echo_handler, NULL);
	assert_int_equal(is_incremental(&server), incremental);
	fd = client_open(server.port);
	for (size_t k = 1; k <= 9; k++) {
		check_echo_of(fd, key++, k * buffer_size - 1);
		check_echo_of(fd, key++, k * buffer_size);
		check_echo_of(fd, key++, k * buffer_size + 1);
	}
	for (size_t size = 1; size <= 70; size++)
		check_echo_of(fd, key++, size);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* messages around every multiple of the size of a buffer. */
static void
messages_of_every_size_around_a_buffer_s_come_back(void **state)
{
	(void)state;
	check_sizes(64, false);
	check_sizes(1000, false);
	check_sizes(4096, false);
}

static void
messages_of_every_size_come_back_in_incremental_mode_too(void **state)
{
	(void)state;
	skip_without_incremental();
	check_sizes(64, true);
	check_sizes(1000, true);
	check_sizes(4096, true);
}

static void
check_round_trips(bool incremental)
{
	const struct torc_config config = { .buffers = 8, .buffers_start = 8,
		.buffer_size = 64, .incremental = incremental };
	struct server server;
	int fd;

	server_start(&server, &config, echo_handler, NULL);
	assert_int_equal(is_incremental(&server), incremental);
	fd = client_open(server.port);
	for (int i = 0; i < 2000; i++) {
		char byte = (char)i, back;

		client_send(fd, &byte, 1);
		assert_true(client_read(fd, &back, 1));
		assert_int_equal(back, byte);
	}
	assert_int_equal(server_counters(&server).grows, 0);
	assert_int_equal(server_counters(&server).receives, 2000);
	client_part(fd);
	assert_true(server_await(&server, is_asleep, NULL, 5000) ||
	    incremental);
	assert_int_equal(server_stop(&server), 0);
}

/* A46: the buffers go round. */
static void
two_thousand_round_trips_need_no_more_than_eight_buffers(void **state)
{
	(void)state;
	check_round_trips(false);
	skip_without_incremental();
	check_round_trips(true);
}

/* ---- Views ---- */

/* What was seen by a handler that is led by its test step by step. */
struct views {
	atomic_uint step;
	char seen[8][160];
	int results[8];
	size_t unread[8];
	bool kept;		/* a view stayed as it was */
};

static int
note_view(struct views *views, struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline)
{
	unsigned step = atomic_load(&views->step);
	int rc = torc_conn_recv(conn, in, deadline);

	views->results[step] = rc;
	views->unread[step] = torc_conn_unread(conn);
	if (in->size > 0)
		memcpy(views->seen[step], in->data, in->size);
	atomic_store(&views->step, step + 1);
	return rc;
}

static int
consume_in_parts(struct torc_conn *conn, void *arg)
{
	struct views *views = arg;
	struct torc_slice in;

	note_view(views, conn, &in, TORC_NEVER);	/* abc */
	torc_conn_consume(conn, 1);
	note_view(views, conn, &in, TORC_NEVER);	/* bcdef */
	torc_conn_consume(conn, 0);
	note_view(views, conn, &in, TORC_NEVER);	/* bcdefghi */
	torc_conn_consume(conn, 7);
	/* Nothing new comes: what there is, is still there. */
	note_view(views, conn, &in, torc_after_ms(20));	/* i */
	note_view(views, conn, &in, TORC_NEVER);	/* ijkl */
	torc_conn_consume(conn, 4);
	note_view(views, conn, &in, TORC_NEVER);	/* mno */
	torc_conn_consume(conn, 1);
	note_view(views, conn, &in, TORC_NEVER);	/* FIN: no */
	return TORC_CLOSE;
}

static void
check_views(const struct torc_config *config)
{
	static const char *const seen[] = { "abc", "bcdef", "bcdefghi", "i",
		"ijkl", "mno", "no" };
	struct views views = { 0 };
	struct server server;
	int fd;

	server_start(&server, config, consume_in_parts, &views);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 5; i++) {
		/* After the third there is one that sees nothing new. */
		assert_true(await_value(&server, &views.step,
		    i < 3 ? i : i + 1));
		client_send(fd, &"abcdefghijklmno"[i * 3], 3);
	}
	assert_true(await_value(&server, &views.step, 6));
	client_part(fd);
	assert_int_equal(atomic_load(&views.step), 7);
	for (unsigned i = 0; i < 7; i++) {
		int result = (int)strlen(seen[i]);

		assert_string_equal(views.seen[i], seen[i]);
		assert_int_equal(views.unread[i], result);
		assert_int_equal(views.results[i], i == 3 ? -ETIMEDOUT :
		    i == 6 ? 0 : result);
	}
	assert_int_equal(server_stop(&server), 0);
}

/* I35, I36, A43: also when they lie in different buffers. */
static void
what_is_not_consumed_comes_back_before_what_is_new(void **state)
{
	(void)state;
	check_views(NULL);
	skip_without_incremental();
	check_views(&(struct torc_config){ .incremental = true });
}

/* Look at a view while more arrives; it is led by the bytes themselves. */
static int
hold_a_view(struct torc_conn *conn, void *arg)
{
	struct views *views = arg;
	struct torc_slice in, next;
	const size_t sizes[] = { 3, 50, 10, 100 };
	size_t total = 0;

	torc_conn_recv(conn, &in, TORC_NEVER);
	for (unsigned i = 0; i < 4; i++) {
		total += sizes[i];
		atomic_store(&views->step, i + 1);
		while (torc_conn_unread(conn) < total + (i < 3 ?
		    sizes[i + 1] : 0))
			torc_sleep(torc_after_us(200));
		/* A write that parks leaves it alone, too. */
		torc_conn_write(conn, "x", 1, TORC_NEVER);
		torc_conn_flush(conn, TORC_NEVER);
		views->kept = in.size == 3 && stream_matches(1, 0, in.data,
		    3);
		if (!views->kept)
			return -1;
	}
	torc_conn_consume(conn, 1);
	while (total > 1) {
		int rc = torc_conn_recv(conn, &next, TORC_NEVER);

		if (rc <= 0 || !stream_matches(1, 163 - (total - 1),
		    next.data, next.size)) {
			views->kept = false;
			return -1;
		}
		total -= next.size;
		torc_conn_consume(conn, next.size);
	}
	return TORC_CLOSE;
}

static void
check_held_view(bool incremental)
{
	const struct torc_config config = { .buffer_size = 64,
		.incremental = incremental };
	const size_t ends[] = { 0, 3, 53, 63, 163 };
	struct views views = { 0 };
	struct server server;
	uint8_t bytes[163];
	char answers[5];
	int fd;

	stream_fill(1, 0, bytes, sizeof(bytes));
	server_start(&server, &config, hold_a_view, &views);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(await_value(&server, &views.step, i));
		send_apart(&server, fd, bytes + ends[i],
		    ends[i + 1] - ends[i]);
	}
	shutdown(fd, SHUT_WR);
	assert_int_equal(client_read_all(fd, answers, sizeof(answers)), 4);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_true(views.kept);
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* Views are valid until they are consumed or more is asked for. */
static void
a_view_stays_as_it_is_while_more_arrives(void **state)
{
	(void)state;
	check_held_view(false);
	skip_without_incremental();
	check_held_view(true);
}

/* ---- Streams that are consumed as dice fall ---- */

struct intake {
	uint32_t seed;
	atomic_uint started;
	atomic_uint ended;
	atomic_uint wrong;
	atomic_uint full;	/* times that the view was at its bound */
};

/* The first four bytes are the key of the stream that follows. */
static int
take_in(struct torc_conn *conn, void *arg)
{
	struct intake *intake = arg;
	uint32_t dice = intake->seed + atomic_fetch_add(&intake->started, 1) +
	    1;
	uint64_t from = 0, seen = 0;
	struct torc_slice in;
	uint32_t key;
	int rc;

	do
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	while (rc > 0 && in.size < sizeof(key));
	memcpy(&key, in.data, sizeof(key));
	torc_conn_consume(conn, sizeof(key));
	while (rc > 0 || rc == -ENOBUFS || rc == -ETIMEDOUT) {
		uint32_t choice = throw_dice(&dice) % 8;
		size_t part = choice < 2 || rc == -ENOBUFS ? in.size :
		    choice < 4 ? 0 : throw_dice(&dice) % (in.size + 1);

		if (seen == 0)
			part = 0;	/* the view with the key */
		atomic_fetch_add(&intake->full, rc == -ENOBUFS);
		torc_conn_consume(conn, part);
		from += part;
		if (throw_dice(&dice) % 8 == 0)
			torc_sleep(torc_after_us(throw_dice(&dice) % 300));
		rc = torc_conn_recv(conn, &in, throw_dice(&dice) % 8 == 0 ?
		    torc_after_us(50) : TORC_NEVER);
		if (!stream_matches(key, from, in.data, in.size) ||
		    (rc > 0 && from + in.size <= seen) ||
		    (rc == -ETIMEDOUT && from + in.size != seen && seen > 0))
			break;
		if (from + in.size > seen)
			seen = from + in.size;
	}
	if (rc != 0 || from + in.size != 100000)
		atomic_fetch_add(&intake->wrong, 1);
	atomic_fetch_add(&intake->ended, 1);
	return rc != 0 ? -1 : TORC_CLOSE;
}

/* Give one of the streams something more, until all have 100000 bytes. */
static void
feed(int *fds, unsigned count, uint32_t seed)
{
	uint32_t dice = seed, sent[8] = { 0 };
	unsigned left = count;

	for (uint32_t i = 0; i < count; i++)
		client_send(fds[i], &i, sizeof(i));
	while (left > 0) {
		uint32_t i = throw_dice(&dice) % count;
		uint32_t size = 1 + throw_dice(&dice) %
		    (throw_dice(&dice) % 4 == 0 ? 20000 : 300);
		uint8_t bytes[20000];

		if (size > 100000 - sent[i])
			size = 100000 - sent[i];
		stream_fill(i, sent[i], bytes, size);
		if (size > 0)
			client_send(fds[i], bytes, size);
		if (size > 0 && (sent[i] += size) == 100000) {
			shutdown(fds[i], SHUT_WR);
			left--;
		}
	}
}

static struct torc_counters
check_intake(const struct torc_config *config)
{
	struct intake intake = { .seed = new_seed() };
	struct torc_counters counters;
	struct server server;
	int fds[8];

	server_start(&server, config, take_in, &intake);
	for (unsigned i = 0; i < 8; i++)
		fds[i] = client_open(server.port);
	feed(fds, 8, intake.seed);
	if (!await_value(&server, &intake.ended, 8) ||
	    atomic_load(&intake.wrong) > 0)
		fail_msg("TORC_SEED=%u: %u of 8 ended, %u wrong", intake.seed,
		    atomic_load(&intake.ended), atomic_load(&intake.wrong));
	for (unsigned i = 0; i < 8; i++) {
		assert_true(client_sees_fin(fds[i]));
		close(fds[i]);
	}
	counters = server_counters(&server);
	assert_int_equal(counters.received, 8 * 100004);
	assert_true(counters.joins > 0);
	assert_int_equal(server_stop(&server), 0);
	return counters;
}

/* I35: a property: however it is cut and consumed, it is the same stream. */
static void
a_stream_is_seen_whole_however_it_is_cut_and_consumed(void **state)
{
	static const struct torc_config configs[] = {
		{ .buffer_size = 16384 },
		{ .buffer_size = 1000 },
		{ .buffer_size = 64 },
		{ .buffer_size = 64, .held_max = 1024 },
		{ .buffer_size = 512, .buffers = 4, .held_max = 1024 },
		{ .buffer_size = 512, .sq_entries = 4, .cq_entries = 8 },
		{ .buffer_size = 512, .read_budget = 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		struct torc_config config = configs[i];

		check_intake(&config);
		config.incremental = true;
		check_intake(&config);
	}
}

static void
a_stream_is_seen_whole_without_deferred_task_work(void **state)
{
	const struct torc_config config = { .buffer_size = 512 };

	(void)state;
	refused_flags = IORING_SETUP_DEFER_TASKRUN;
	check_intake(&config);
	refused_flags = IORING_SETUP_DEFER_TASKRUN |
	    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED;
	check_intake(&config);
}

/* ---- The end of input ---- */

struct ending {
	uint64_t seen;		/* bytes, all of them right */
	int result;		/* of the call after them */
	int again;		/* and of one more */
	atomic_uint paused;
	atomic_uint over;
	bool wait;		/* read only when everything has come */
};

static int
see_the_end(struct torc_conn *conn, void *arg)
{
	struct ending *ending = arg;
	struct torc_slice in;

	if (ending->wait) {
		atomic_fetch_add(&ending->paused, 1);
		while (atomic_load(&ending->paused) == 1)
			torc_sleep(torc_after_us(500));
	}
	while ((ending->result = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		if (!stream_matches(1, ending->seen, in.data, in.size))
			return -1;
		ending->seen += in.size;
		torc_conn_consume(conn, in.size);
	}
	ending->again = torc_conn_recv(conn, &in, TORC_NEVER);
	atomic_fetch_add(&ending->over, 1);
	return TORC_CLOSE;
}

/* What the handler saw of 50000 bytes and a close, or a reset. */
static void
end_after_data(struct ending *ending, bool reset, bool incremental)
{
	const struct torc_config config = { .buffer_size = 1000,
		.incremental = incremental };
	struct server server;
	uint8_t bytes[50000];
	int fd;

	stream_fill(1, 0, bytes, sizeof(bytes));
	server_start(&server, &config, see_the_end, ending);
	fd = client_open(server.port);
	send_apart(&server, fd, bytes, sizeof(bytes));
	if (reset)
		client_reset(fd);
	else
		close(fd);
	atomic_fetch_add(&ending->paused, 1);
	assert_true(await_value(&server, &ending->over, 1));
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* A43: a close after data gives all bytes and then an end that is clean. */
static void
a_peer_that_closes_after_data_is_read_to_its_end(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct ending ending = { .wait = i & 1 };

		end_after_data(&ending, false, i & 2);
		assert_int_equal(ending.seen, 50000);
		assert_int_equal(ending.result, 0);
		assert_int_equal(ending.again, 0);
	}
}

/* The control: a reset is no end of input, and no byte of before is lost. */
static void
a_peer_that_resets_after_data_is_told_from_one_that_closes(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ending ending = { .wait = i & 1 };

		end_after_data(&ending, true, false);
		assert_int_equal(ending.seen, 50000);
		assert_int_equal(ending.result, -ECONNRESET);
		assert_int_equal(ending.again, -ECONNRESET);
	}
}

/* ---- Deadlines ---- */

struct waiting {
	int results[3];
	bool early;
	atomic_uint over;
};

static int
wait_for_input(struct torc_conn *conn, void *arg)
{
	struct waiting *waiting = arg;
	struct torc_slice in;
	torc_deadline deadline = torc_after_ms(30);

	waiting->results[0] = torc_conn_recv(conn, &in, deadline);
	waiting->early = !torc_passed(deadline);
	waiting->results[1] = torc_conn_recv(conn, &in, TORC_AT_ONCE);
	atomic_fetch_add(&waiting->over, 1);
	waiting->results[2] = torc_conn_recv(conn, &in, TORC_NEVER);
	atomic_fetch_add(&waiting->over, 1);
	return TORC_CLOSE;
}

/* A50, A53: not before its time, and nothing is lost by it. */
static void
a_receive_ends_at_its_deadline_and_may_be_tried_again(void **state)
{
	struct waiting waiting = { .early = false };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, wait_for_input, &waiting);
	fd = client_open(server.port);
	assert_true(await_value(&server, &waiting.over, 1));
	assert_int_equal(waiting.results[0], -ETIMEDOUT);
	assert_int_equal(waiting.results[1], -ETIMEDOUT);
	assert_false(waiting.early);
	client_send(fd, "late", 4);
	assert_true(await_value(&server, &waiting.over, 2));
	assert_int_equal(waiting.results[2], 4);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* A reader that is cancelled while what it waits for arrives. */
struct wavering {
	int clients[2];		/* of the reader, of who cancels it */
	bool bytes_first;
	struct torc_conn *conn;
	uint64_t fiber;
	int cancelled;		/* result of the cancel */
	int result;		/* of its receive */
	size_t shown;		/* by it */
	size_t unread;		/* after it */
	int next;		/* if it had none: of who receives after it */
	atomic_uint over;
};

static int
receive_although_cancelled(void *arg)
{
	struct wavering *wavering = arg;
	struct torc_slice in;

	wavering->result = torc_conn_recv(wavering->conn, &in, TORC_NEVER);
	wavering->shown = in.size;
	wavering->unread = torc_conn_unread(wavering->conn);
	return 0;
}

static void
receive_by_another_fiber(struct torc_conn *conn, struct wavering *wavering)
{
	struct torc_slice in;
	int result;

	wavering->conn = conn;
	if (torc_fiber_spawn(&wavering->fiber, receive_although_cancelled,
	    wavering) == 0)
		torc_fiber_join(wavering->fiber, &result, TORC_NEVER);
	if (wavering->result < 0)
		wavering->next = torc_conn_recv(conn, &in,
		    torc_after_ms(1000));
}

/* The first connection's reader is cancelled by what the second one gets. */
static int
waver(struct torc_conn *conn, void *arg)
{
	struct wavering *wavering = arg;
	struct torc_slice in;

	if (!wavering->conn)
		receive_by_another_fiber(conn, wavering);
	else if (torc_conn_recv(conn, &in, TORC_NEVER) == 1)
		wavering->cancelled = torc_fiber_cancel(wavering->fiber);
	atomic_fetch_add(&wavering->over, 1);
	return TORC_CLOSE;
}

/* A fiber: to both connections in one turn. */
static int
send_and_cancel(void *arg)
{
	struct wavering *wavering = arg;
	const char *bytes[2] = { "hello", "!" };

	for (unsigned i = 0; i < 2; i++) {
		unsigned to = wavering->bytes_first ? i : 1 - i;
		size_t size = strlen(bytes[to]);

		if (send(wavering->clients[to], bytes[to], size,
		    MSG_NOSIGNAL) != (ssize_t)size)
			return -EIO;
	}
	return 0;
}

/*
 * Whether they came just behind the cancel. Of what arrives between two turns
 * 6.1 shows the later first, so the caller tries each order; where the bytes
 * came before the cancel, the reader has them and is over.
 */
static bool
cancel_while_bytes_arrive(struct wavering *wavering)
{
	struct server server;

	server_start(&server, NULL, waver, wavering);
	for (unsigned i = 0; i < 2; i++) {
		wavering->clients[i] = client_open(server.port);
		assert_true(server_await_connections(&server, i + 1));
	}
	assert_int_equal(server_fiber(&server, send_and_cancel, wavering), 0);
	assert_true(await_value(&server, &wavering->over, 2));
	close(wavering->clients[0]);
	close(wavering->clients[1]);
	assert_int_equal(server_stop(&server), 0);
	if (wavering->cancelled == 0) {
		assert_int_equal(wavering->result, -ECANCELED);
		return wavering->unread == 5;
	}
	assert_int_equal(wavering->cancelled, -ESRCH);
	assert_int_equal(wavering->result, 5);
	assert_int_equal(wavering->unread, 5);
	return false;
}

/*
 * it is resumed once, for the cancel, and the bytes are kept: for the
 * next who receives, who need not wait for more. What was not shown cannot be
 * consumed meanwhile.
 */
static void
bytes_for_a_reader_that_was_just_cancelled_do_not_resume_it_again(
    void **state)
{
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct wavering wavering = { .bytes_first = i % 2 == 1 };

		if (!cancel_while_bytes_arrive(&wavering))
			continue;
		assert_int_equal(wavering.shown, 0);
		assert_int_equal(wavering.next, 5);
		seen++;
	}
	assert_in_range(seen, 1, 20);
}

/* ---- Handlers that are called again ---- */

struct again {
	atomic_uint calls;
	atomic_uint ends;	/* calls that saw the end of input */
	unsigned keep;		/* bytes that each call leaves */
	bool slow;		/* each call takes its time */
	char seen[8][16];
};

static int
answer_again(struct torc_conn *conn, void *arg)
{
	struct again *again = arg;
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, TORC_NEVER);
	unsigned call = atomic_load(&again->calls);

	if (rc <= 0) {
		atomic_fetch_add(&again->ends, 1);
		return rc < 0 ? rc : TORC_CLOSE;
	}
	if (call < 8 && in.size < 16)
		memcpy(again->seen[call], in.data, in.size);
	if (again->slow)
		torc_sleep(torc_after_ms(1));
	torc_conn_write(conn, in.data, in.size, TORC_NEVER);
	torc_conn_consume(conn, in.size > again->keep ?
	    in.size - again->keep : 0);
	atomic_fetch_add(&again->calls, 1);
	return TORC_AGAIN;
}

/* An idle connection has no stack, no buffer and no staged bytes. */
static void
a_handler_that_returns_again_gives_its_stack_back(void **state)
{
	struct again again = { .keep = 0 };
	struct server server;
	int fds[100];

	(void)state;
	server_start(&server, NULL, answer_again, &again);
	for (unsigned i = 0; i < 100; i++)
		fds[i] = client_open(server.port);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 100; i++)
			client_echo(fds[i], "hello");
		assert_true(server_await(&server, is_asleep, NULL, 5000));
		assert_int_equal(server_connections(&server), 100);
	}
	assert_int_equal(atomic_load(&again.calls), 500);
	for (unsigned i = 0; i < 100; i++)
		client_part(fds[i]);
	assert_int_equal(atomic_load(&again.ends), 100);
	assert_int_equal(server_stop(&server), 0);
}

/* The control: while a handler waits in a receive it has a stack. */
static void
a_handler_that_waits_keeps_its_stack(void **state)
{
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	fd = client_open(server.port);
	client_echo(fd, "hello");
	assert_false(server_await(&server, is_asleep, NULL, 20));
	client_part(fd);
	assert_true(server_await(&server, is_asleep, NULL, 5000));
	assert_int_equal(server_stop(&server), 0);
}

static void
check_what_comes_back(bool incremental)
{
	static const char *const sent[] = { "abcd", "ef", "g", "hij" };
	static const char *const seen[] = { "abcd", "bcdef", "defg",
		"efghij" };
	const struct torc_config config = { .incremental = incremental };
	struct again again = { .keep = 3 };
	struct server server;
	int fd;

	server_start(&server, &config, answer_again, &again);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 4; i++) {
		client_send(fd, sent[i], strlen(sent[i]));
		expect(fd, seen[i]);
		assert_true(await_value(&server, &again.calls, i + 1));
		assert_string_equal(again.seen[i], seen[i]);
	}
	client_part(fd);
	assert_int_equal(atomic_load(&again.ends), 1);
	assert_int_equal(server_stop(&server), 0);
}

/* Also what it had left, and its buffer is not held for that. */
static void
what_a_handler_left_comes_back_when_it_is_called_again(void **state)
{
	(void)state;
	check_what_comes_back(false);
	skip_without_incremental();
	check_what_comes_back(true);
}

/* Requests that came while it ran are not forgotten. */
static void
a_handler_is_called_again_for_what_came_while_it_ran(void **state)
{
	const struct torc_config config = { .buffer_size = 64 };
	struct again again = { .slow = true };
	struct server server;
	char text[641], back[640];
	int fd;

	(void)state;
	memset(text, 'x', 640);
	server_start(&server, &config, answer_again, &again);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 20; i++) {
		client_send(fd, text, 640);
		assert_true(client_read(fd, back, 640));
	}
	assert_in_range(atomic_load(&again.calls), 200, 12800);
	assert_true(server_counters(&server).fibers <
	    atomic_load(&again.calls));
	/* And the end, if it came along with the last one. */
	client_send(fd, text, 64);
	shutdown(fd, SHUT_WR);
	assert_int_equal(client_read_all(fd, back, 640), 64);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(atomic_load(&again.ends), 1);
	assert_int_equal(server_stop(&server), 0);
}

/* A50: who is silent for `idle_ms` is closed; a talker and 0 are not. */
static void
a_dormant_connection_is_closed_when_it_was_idle_too_long(void **state)
{
	const struct torc_config config = { .idle_ms = 300 };
	const struct torc_config patient = { .idle_ms = TORC_NO_LIMIT };
	struct again again = { .keep = 0 };
	struct server servers[2];
	uint64_t start;
	int fd, other;

	(void)state;
	server_start(&servers[0], &config, answer_again, &again);
	server_start(&servers[1], &patient, answer_again, &again);
	other = client_open(servers[1].port);
	client_echo(other, "hello");
	fd = client_open(servers[0].port);
	for (unsigned i = 0; i < 10; i++) {
		client_echo(fd, "hello");
		pause_ms(50);
	}
	start = now_ms();
	client_echo(fd, "hello");
	assert_true(client_sees_fin(fd));
	assert_in_range(now_ms() - start, 290, CLIENT_SECONDS * 1000);
	close(fd);
	assert_true(server_await_connections(&servers[0], 0));
	client_echo(other, "still there");
	client_part(other);
	assert_int_equal(server_stop(&servers[0]), 0);
	assert_int_equal(server_stop(&servers[1]), 0);
}

/* ---- What is refused loudly ---- */

static int
receive_elsewhere(void *arg)
{
	struct torc_slice in;

	return torc_conn_recv(arg, &in, TORC_NEVER);
}

static int
receive_twice(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	/* There is nothing to receive after this. */
	torc_conn_recv(conn, &in, TORC_NEVER);
	torc_conn_consume(conn, in.size);
	torc_fiber_spawn(NULL, receive_elsewhere, conn);
	torc_yield();
	torc_conn_recv(conn, &in, TORC_NEVER);
	return TORC_CLOSE;
}

static int
consume_too_much(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, TORC_NEVER);
	torc_conn_consume(conn, in.size);
	torc_conn_consume(conn, 1);
	return TORC_CLOSE;
}

static void
provoke(torc_handler *handler)
{
	struct server server;
	char byte;
	int fd;

	server_start(&server, NULL, handler, NULL);
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	client_read(fd, &byte, 1);
}

static void
provoke_two_readers(void)
{
	provoke(receive_twice);
}

static void
provoke_overconsumption(void)
{
	provoke(consume_too_much);
}

/* I39: nobody could say who gets the bytes. */
static void
a_second_fiber_that_receives_is_refused_loudly(void **state)
{
	(void)state;
	assert_traps(provoke_two_readers, "two fibers receive");
}

static void
consuming_more_than_the_view_is_refused_loudly(void **state)
{
	(void)state;
	assert_traps(provoke_overconsumption, "more bytes are consumed");
}

/* ---- Errors that another call was told ---- */

struct loss {
	unsigned given_up_ms;	/* by the kernel; 0: not */
	int (*sends)(void *arg);
	atomic_int told;	/* 1: nothing yet */
};

static int
send_more_than_fits(void *arg)
{
	static const uint8_t bytes[32u << 20];

	return torc_conn_write(arg, bytes, sizeof(bytes), TORC_NEVER);
}

/* More than the peer's window, and it fits into the socket. */
static int
send_what_fits(void *arg)
{
	static const uint8_t bytes[30000];
	const int room = 1 << 20;

	setsockopt(torc_conn_fd(arg), SOL_SOCKET, SO_SNDBUF, &room,
	    sizeof(room));
	return torc_conn_write(arg, bytes, sizeof(bytes), TORC_NEVER) < 0 ?
	    -1 : torc_conn_flush(arg, TORC_NEVER);
}

static int
receive_while_another_sends(struct torc_conn *conn, void *arg)
{
	struct loss *loss = arg;
	struct torc_slice in;

	setsockopt(torc_conn_fd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT,
	    &loss->given_up_ms, sizeof(loss->given_up_ms));
	torc_fiber_spawn(NULL, loss->sends, conn);
	atomic_store(&loss->told, torc_conn_recv(conn, &in, TORC_NEVER));
	return -1;
}

/* A client that reads nothing. */
static int
open_narrowly(unsigned port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int room = 2048;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* What the receive is told. */
static int
lose_a_peer(struct loss *loss)
{
	struct server server;
	int fd;

	atomic_store(&loss->told, 1);
	server_start(&server, NULL, receive_while_another_sends, loss);
	fd = open_narrowly(server.port);
	assert_true(server_await_connections(&server, 1));
	pause_ms(50);
	if (loss->given_up_ms == 0)
		client_reset(fd);
	for (int i = 0; i < 6000 && atomic_load(&loss->told) == 1; i++)
		pause_ms(10);
	assert_true(server_await_connections(&server, 0));
	if (loss->given_up_ms != 0)
		close(fd);
	assert_int_equal(server_stop(&server), 0);
	return atomic_load(&loss->told);
}

/* The kernel tells an error once: to a send, if one waits. */
static void
a_reset_is_told_who_receives_while_another_fiber_sends(void **state)
{
	struct loss loss = { .sends = send_more_than_fits };

	(void)state;
	assert_int_equal(lose_a_peer(&loss), -ECONNRESET);
}

/* If a send was told, and had sent something, nobody knows why it ended. */
static void
a_peer_that_the_kernel_gave_up_has_not_sent_fin(void **state)
{
	struct loss loss = { .given_up_ms = 200,
	    .sends = send_more_than_fits };
	int told;

	(void)state;
	told = lose_a_peer(&loss);
	assert_true(told == -ECONNABORTED || told == -ECONNRESET);
}

static void
a_peer_that_the_kernel_gave_up_is_not_a_deadline(void **state)
{
	struct loss loss = { .given_up_ms = 200, .sends = send_what_fits };

	(void)state;
	assert_int_equal(lose_a_peer(&loss), -ECONNABORTED);
}

/* ---- Answers of backends, while clients have all buffers ---- */

#define FLOOD 200000u		/* bytes that a client sends at once */
#define ANSWER 100000u		/* of a backend: many buffers */

static int
answer_at_length(struct torc_conn *conn, void *arg)
{
	static const uint8_t bytes[ANSWER];
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		torc_conn_consume(conn, in.size);
		if (torc_conn_write(conn, bytes, sizeof(bytes),
		    TORC_NEVER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

struct backend {
	char address[32];
	atomic_int ready;	/* handlers that have a connection to it */
	atomic_bool go;
};

static int
count_answer(struct torc_conn *backend)
{
	struct torc_slice in;
	size_t got = 0;
	int rc = torc_conn_write(backend, "question", 8, TORC_NEVER);

	while (rc >= 0 && got < ANSWER) {
		rc = torc_conn_recv(backend, &in, torc_after_ms(10000));
		if (rc > 0) {
			got += in.size;
			torc_conn_consume(backend, in.size);
		} else if (rc == 0) {
			rc = -ECONNRESET;
		}
	}
	return rc < 0 ? rc : 0;
}

/* Of its own client it reads nothing before that is answered. */
static int
ask_first(struct torc_conn *conn, void *arg)
{
	struct backend *backend = arg;
	struct torc_conn *out;
	int rc = torc_dial(&out, backend->address, torc_after_ms(10000));

	if (rc < 0)
		return rc;
	atomic_fetch_add(&backend->ready, 1);
	while (rc == 0 && !atomic_load(&backend->go))
		rc = torc_sleep(torc_after_ms(5));
	for (int i = 0; rc == 0 && i < 3; i++)
		rc = count_answer(out);
	torc_conn_close(out, TORC_AT_ONCE);
	return rc < 0 ? rc : torc_conn_write(conn, "ok", 2, TORC_NEVER);
}

/* So many clients have sent what nobody reads. */
static bool
are_unread(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct torc_conn *conn = NULL;
	unsigned count = 0;

	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		count += conn->handler != NULL && conn->first != NULL;
	return count == *(unsigned *)arg;
}

static void
a_backend_answers_while_unread_input_has_all_buffers(void **state)
{
	const struct torc_config config = { .buffers = 16,
	    .buffer_size = 4096, .linger_ms = 100 };
	enum { CLIENTS = 8 };
	static const char flood[FLOOD];
	unsigned all = CLIENTS;
	struct server server, other;
	struct backend backend = { .ready = 0 };
	int fds[CLIENTS];
	char word[2];

	(void)state;
	server_start(&other, NULL, answer_at_length, NULL);
	snprintf(backend.address, sizeof(backend.address), "127.0.0.1:%u",
	    other.port);
	server_start(&server, &config, ask_first, &backend);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client_open(server.port);
	for (int i = 0; i < 1000 && atomic_load(&backend.ready) < CLIENTS; i++)
		pause_ms(10);
	assert_int_equal(atomic_load(&backend.ready), CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		client_send(fds[i], flood, sizeof(flood));
	assert_true(server_await(&server, are_unread, &all, 10000));
	atomic_store(&backend.go, true);
	for (int i = 0; i < CLIENTS; i++) {
		assert_true(client_read(fds[i], word, sizeof(word)));
		close(fds[i]);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(server_stop(&other), 0);
}

/* ---- A short send, and then a FIN after all ---- */

static int
write_all_and_receive(struct torc_conn *conn, void *arg)
{
	struct loss *loss = arg;
	struct torc_slice in;
	int rc = send_more_than_fits(conn);

	if (rc == 0)
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	atomic_store(&loss->told, rc);
	return rc;
}

static void
a_fin_after_large_writes_is_told_as_one(void **state)
{
	struct loss loss = { .told = 1 };
	struct server server;
	static uint8_t bytes[1u << 20];
	int fd;

	(void)state;
	server_start(&server, NULL, write_all_and_receive, &loss);
	fd = client_open(server.port);
	for (int i = 0; i < 32; i++)
		assert_true(client_read(fd, bytes, sizeof(bytes)));
	shutdown(fd, SHUT_WR);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(atomic_load(&loss.told), 0);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Views that are shown again ---- */

/* What the next receive shows, and what is answered for it. */
static void
see(struct torc_conn *conn, struct torc_slice *in, const char *want)
{
	assert_int_equal(torc_conn_recv(conn, in, torc_after_ms(5000)),
	    strlen(want));
	assert_memory_equal(in->data, want, strlen(want));
	assert_int_equal(torc_conn_write(conn, "x", 1, TORC_NEVER), 0);
}

/* In the kernel's buffer, then in memory of the connection's own. */
static int
rewind_views(struct torc_conn *conn, void *arg)
{
	atomic_uint *calls = arg;
	struct torc_slice in;

	if (atomic_fetch_add(calls, 1) > 0) {
		see(conn, &in, "E!?");
		torc_conn_rewind(conn, 1);	/* and gone */
		return TORC_CLOSE;
	}
	torc_conn_rewind(conn, 0);	/* nothing */
	see(conn, &in, "HEADREST");
	torc_conn_rewind(conn, 4);
	assert_int_equal(torc_conn_unread(conn), 4);
	assert_memory_equal(in.data, "HEADREST", 8);
	see(conn, &in, "REST");
	torc_conn_rewind(conn, 1);
	torc_conn_rewind(conn, 0);
	see(conn, &in, "REST");
	torc_conn_rewind(conn, 4);
	assert_int_equal(torc_conn_unread(conn), 0);
	see(conn, &in, "MORE");		/* that came later */
	torc_conn_rewind(conn, 1);
	torc_conn_consume(conn, 1);	/* takes it back: nothing is news */
	assert_int_equal(torc_conn_recv(conn, &in, TORC_AT_ONCE), -ETIMEDOUT);
	see(conn, &in, "ORE!?");
	torc_conn_rewind(conn, 2);
	return TORC_AGAIN;
}

static void
a_view_that_is_rewound_is_shown_again_without_its_beginning(void **state)
{
	atomic_uint calls = 0;
	struct server server;
	char acks[4];
	int fd;

	(void)state;
	server_start(&server, NULL, rewind_views, &calls);
	fd = client_open(server.port);
	client_send(fd, "HEADREST", 8);
	assert_true(client_read(fd, acks, 3));
	client_send(fd, "MORE", 4);
	assert_true(client_read(fd, acks, 1));
	client_send(fd, "!?", 2);
	assert_true(client_read(fd, acks, 2));
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_int_equal(atomic_load(&calls), 2);
	assert_true(server_await(&server, is_asleep, NULL, 5000));
	assert_int_equal(server_stop(&server), 0);
}

#define CLAIM(test) cmocka_unit_test_teardown(test, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(requests_are_answered_one_by_one_and_in_batches),
		CLAIM(a_request_in_fragments_is_answered_once),
		CLAIM(a_head_of_many_buffers_is_one_head),
		CLAIM(requests_are_answered_in_incremental_mode_too),
		CLAIM(a_head_that_does_not_end_is_refused_at_a_bound),
		CLAIM(messages_of_every_size_around_a_buffer_s_come_back),
		CLAIM(messages_of_every_size_come_back_in_incremental_mode_too),
		CLAIM(two_thousand_round_trips_need_no_more_than_eight_buffers),
		CLAIM(what_is_not_consumed_comes_back_before_what_is_new),
		CLAIM(a_view_stays_as_it_is_while_more_arrives),
		CLAIM(a_stream_is_seen_whole_however_it_is_cut_and_consumed),
		CLAIM(a_stream_is_seen_whole_without_deferred_task_work),
		CLAIM(a_peer_that_closes_after_data_is_read_to_its_end),
		CLAIM(a_peer_that_resets_after_data_is_told_from_one_that_closes),
		CLAIM(a_receive_ends_at_its_deadline_and_may_be_tried_again),
		CLAIM(bytes_for_a_reader_that_was_just_cancelled_do_not_resume_it_again),
		CLAIM(a_handler_that_returns_again_gives_its_stack_back),
		CLAIM(a_handler_that_waits_keeps_its_stack),
		CLAIM(what_a_handler_left_comes_back_when_it_is_called_again),
		CLAIM(a_handler_is_called_again_for_what_came_while_it_ran),
		CLAIM(a_dormant_connection_is_closed_when_it_was_idle_too_long),
		CLAIM(a_reset_is_told_who_receives_while_another_fiber_sends),
		CLAIM(a_peer_that_the_kernel_gave_up_has_not_sent_fin),
		CLAIM(a_peer_that_the_kernel_gave_up_is_not_a_deadline),
		CLAIM(a_backend_answers_while_unread_input_has_all_buffers),
		CLAIM(a_fin_after_large_writes_is_told_as_one),
		CLAIM(a_view_that_is_rewound_is_shown_again_without_its_beginning),
		CLAIM(a_second_fiber_that_receives_is_refused_loudly),
		CLAIM(consuming_more_than_the_view_is_refused_loudly),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("recv", tests, NULL, NULL);
}
