/* SPDX-License-Identifier: MIT */
/*
 * test_pipeline.c - many fibers share a connection, and each gets its own
 * reply, whatever the others do.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

#include "conn/kit/torc_client.h"
#include "conn/kit/torc_pipeline.h"

#define LATE torc_after_ms(60000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- A protocol: a line is answered by the same line ---- */

struct line {
	struct torc_request base;
	char *text;		/* with its end of line */
	size_t size;
	size_t seen;		/* bytes of the reply */
	bool wrong;
};

static atomic_uint made;
static atomic_uint freed;

static struct line *
line_new(const char *text, size_t size)
{
	struct line *line = calloc(1, sizeof(*line));

	line->text = malloc(size + 1);
	memcpy(line->text, text, size);
	line->text[size] = '\n';
	line->size = size + 1;
	atomic_fetch_add(&made, 1);
	return line;
}

static void
line_free(struct line *line)
{
	free(line->text);
	free(line);
	atomic_fetch_add(&freed, 1);
}

static bool piecemeal;		/* take nothing before a reply is whole */

static int64_t
feed(struct torc_request *request, const uint8_t *data, size_t size, bool *done,
    void *arg)
{
	struct line *line = (struct line *)request;
	const uint8_t *end = memchr(data, '\n', size);

	(void)arg;
	if (size >= 3 && memcmp(data, "BAD", 3) == 0)
		return -EBADMSG;
	if (end == NULL && piecemeal)
		return 0;
	if (end != NULL)
		size = (size_t)(end - data) + 1;
	if (line->seen + size > line->size ||
	    memcmp(line->text + line->seen, data, size) != 0)
		line->wrong = true;
	line->seen += size;
	*done = end != NULL;
	return (int64_t)size;
}

static void
drop(struct torc_request *request, void *arg)
{
	unsigned *count = arg;

	line_free((struct line *)request);
	++*count;
}

static int64_t
take_unasked(const uint8_t *data, size_t size, void *arg)
{
	(void)arg;
	(void)data;
	return (int64_t)size;
}

static const struct torc_pipeline_kind kind = { .feed = feed, .drop = drop };
static const struct torc_pipeline_kind tolerant = { .feed = feed,
	.drop = drop, .unasked = take_unasked };

/* What the server does with a line, beside sending it back. */
static bool gate_shut;		/* it waits before it answers */
static unsigned drip;		/* bytes in each of its sends, or 0: all */
#define BALLAST ((size_t)32 << 20)	/* bytes before the answer to a '#' */

/* More than is on the way in any buffer. */
static int
send_ballast(struct torc_conn *conn)
{
	static const char part[65536];

	for (size_t sent = 0; sent < BALLAST; sent += sizeof(part)) {
		if (torc_conn_write(conn, part, sizeof(part), LATE) < 0)
			return -1;
	}
	return 0;
}

static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, LATE) > 0) {
		while (gate_shut)
			torc_sleep(torc_after_ms(1));
		if (memchr(in.data, '!', in.size) != NULL)
			return TORC_CLOSE;
		if (in.data[0] == '#' && send_ballast(conn) < 0)
			return -1;
		for (size_t at = 0; at < in.size; at += drip) {
			size_t size = drip > 0 && drip < in.size - at ? drip :
			    in.size - at;

			if (torc_conn_write(conn, in.data + at, size,
			    LATE) < 0 ||
			    (drip > 0 && torc_conn_flush(conn, LATE) < 0))
				return -1;
			if (drip == 0)
				break;
			torc_yield();
		}
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* ---- The stage: server and clients on one reactor ---- */

struct scene {
	struct torc_pipeline pipeline;
	const struct torc_pipeline_kind *kind;
	unsigned dropped;
	unsigned unsent;	/* of those that failed */
	bool attended;		/* all requests are */
	unsigned port;
	int (*play)(struct scene *scene);
};

static int
ask(struct scene *scene, const char *text, size_t size, torc_deadline deadline)
{
	struct torc_pipeline *pipeline = &scene->pipeline;
	struct line *line = line_new(text, size);
	int rc = torc_pipeline_begin(pipeline, &line->base, deadline);

	if (rc < 0) {
		line_free(line);
		return rc;
	}
	if (scene->attended)
		torc_pipeline_attend(pipeline, &line->base);
	rc = torc_conn_write(pipeline->conn, line->text, line->size, LATE);
	if (rc < 0)
		torc_pipeline_break(pipeline, rc);
	else
		torc_pipeline_end(pipeline);
	rc = torc_pipeline_await(pipeline, &line->base, deadline);
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;
	if (rc == 0 && (line->wrong || line->seen != line->size))
		rc = -EILSEQ;
	if (rc < 0)
		scene->unsent += line->base.unsent;
	line_free(line);
	return rc;
}

static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	struct torc_conn *conn;
	char address[32];
	int line;

	snprintf(address, sizeof(address), "127.0.0.1:%u", scene->port);
	EXPECT(torc_dial(&conn, address, LATE) == 0);
	torc_pipeline_init(&scene->pipeline, conn, scene->kind,
	    &scene->dropped);
	line = scene->play(scene);
	gate_shut = false;	/* also if it does not hold */
	torc_pipeline_break(&scene->pipeline, -ESHUTDOWN);
	torc_conn_close(conn, TORC_AT_ONCE);
	return line;
}

static struct torc_counters
play(int (*act)(struct scene *scene), const struct torc_pipeline_kind *with)
{
	struct scene scene = { .kind = with, .play = act };
	struct torc_counters counters;
	struct server server;
	int line;

	gate_shut = false;
	drip = 0;
	piecemeal = false;
	atomic_store(&made, 0);
	atomic_store(&freed, 0);
	server_start(&server, NULL, answer, NULL);
	scene.port = server.port;
	line = server_fiber(&server, run_scene, &scene);
	counters = server_counters(&server);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_true(atomic_load(&made) > 0);
	assert_int_equal(atomic_load(&made), atomic_load(&freed));
	return counters;
}

/* A fiber that asks. */
struct asker {
	struct scene *scene;
	unsigned index;
	unsigned times;
	size_t size;		/* of a request */
	torc_deadline deadline;	/* of each */
	int result;
	uint64_t id;
};

static int
ask_often(void *arg)
{
	struct asker *asker = arg;
	char *text = malloc(asker->size + 32);

	for (unsigned i = 0; i < asker->times && asker->result == 0; i++) {
		int size = sprintf(text, "%u/%u ", asker->index, i);

		if ((size_t)size < asker->size) {
			memset(text + size, 'a' + (int)asker->index % 26,
			    asker->size - (size_t)size);
			size = (int)asker->size;
		}
		asker->result = ask(asker->scene, text, (size_t)size,
		    asker->deadline);
	}
	free(text);
	return 0;
}

static int
start(struct asker *askers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		askers[i].index = i;
		EXPECT(torc_fiber_spawn(&askers[i].id, ask_often,
		    &askers[i]) == 0);
	}
	return torc_yield();
}

static int
join(struct asker *askers, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_join(askers[i].id, NULL, LATE) == 0);
	return 0;
}

/* ---- Claims ---- */

#define ASKERS 100

static int
ask_together(struct scene *scene)
{
	static struct asker askers[ASKERS];

	for (unsigned i = 0; i < ASKERS; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 50,
			.deadline = TORC_NEVER };
	EXPECT(start(askers, ASKERS) == 0);
	EXPECT(join(askers, ASKERS) == 0);
	for (unsigned i = 0; i < ASKERS; i++)
		EXPECT(askers[i].result == 0);
	EXPECT(scene->pipeline.count == 0 && scene->pipeline.live == 0);
	return 0;
}

static void
each_of_many_fibers_gets_its_own_replies(void **state)
{
	struct torc_counters counters;

	(void)state;
	counters = play(ask_together, &kind);
	/* Those of one turn travel together, in one send each way. */
	assert_true(counters.quiet_sends + counters.loud_sends <
	    2 * 50 * 3 / 2);
}

static int
ask_in_drops(struct scene *scene)
{
	struct asker askers[5];

	drip = 3;
	for (unsigned i = 0; i < 5; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 20,
			.deadline = TORC_NEVER };
	piecemeal = true;
	EXPECT(start(askers, 5) == 0);
	EXPECT(join(askers, 5) == 0);
	for (unsigned i = 0; i < 5; i++)
		EXPECT(askers[i].result == 0);
	return 0;
}

static void
a_reply_that_comes_in_pieces_is_shown_again_until_it_is_whole(void **state)
{
	(void)state;
	play(ask_in_drops, &kind);
}

static int
ask_much(struct scene *scene)
{
	struct asker askers[6];

	for (unsigned i = 0; i < 6; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 3,
			.size = 1 << 20, .deadline = TORC_NEVER };
	EXPECT(start(askers, 6) == 0);
	EXPECT(join(askers, 6) == 0);
	for (unsigned i = 0; i < 6; i++)
		EXPECT(askers[i].result == 0);
	return 0;
}

static void
requests_that_wait_for_room_are_not_mixed(void **state)
{
	(void)state;
	play(ask_much, &kind);
}

/* Behind the gate: the one that leads, one in the middle, the others. */
static int
give_up(struct scene *scene, bool by_cancel)
{
	struct asker askers[6];

	gate_shut = true;
	for (unsigned i = 0; i < 6; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 1,
			.deadline = !by_cancel && i % 3 == 0 ?
			torc_after_ms(20) : TORC_NEVER };
	EXPECT(start(askers, 6) == 0);
	if (by_cancel) {
		EXPECT(torc_fiber_cancel(askers[0].id) == 0);
		EXPECT(torc_fiber_cancel(askers[3].id) == 0);
	}
	EXPECT(torc_fiber_join(askers[0].id, NULL, LATE) == 0);
	EXPECT(torc_fiber_join(askers[3].id, NULL, LATE) == 0);
	EXPECT(scene->pipeline.count == 6 && scene->pipeline.live == 4);
	gate_shut = false;
	for (unsigned i = 0; i < 6; i++) {
		int expected = i % 3 != 0 ? 0 :
		    by_cancel ? -ECANCELED : -ETIMEDOUT;

		if (i % 3 != 0)
			EXPECT(join(&askers[i], 1) == 0);
		EXPECT(askers[i].result == expected);
	}
	EXPECT(scene->dropped == 2);
	EXPECT(ask(scene, "again", 5, LATE) == 0);
	return 0;
}

static int
time_out(struct scene *scene)
{
	return give_up(scene, false);
}

static int
cancel(struct scene *scene)
{
	return give_up(scene, true);
}

static void
the_reply_of_who_timed_out_reaches_nobody_else(void **state)
{
	(void)state;
	play(time_out, &kind);
}

static void
the_reply_of_who_was_cancelled_reaches_nobody_else(void **state)
{
	(void)state;
	play(cancel, &kind);
}

/* Nobody reads the late reply before the next one asks. */
static int
ask_after_the_last_gave_up(struct scene *scene)
{
	gate_shut = true;
	EXPECT(ask(scene, "slow", 4, torc_after_ms(10)) == -ETIMEDOUT);
	EXPECT(scene->dropped == 0);
	gate_shut = false;
	EXPECT(ask(scene, "fast", 4, LATE) == 0);
	EXPECT(scene->dropped == 1);
	return 0;
}

static void
a_reply_that_nobody_waited_for_is_dropped_by_the_next(void **state)
{
	(void)state;
	play(ask_after_the_last_gave_up, &kind);
}

/*
 * What was given up has an answer that fills all buffers, and so does what is
 * written next: the server reads no more of that before it is read from.
 */
static int
wait_behind_a_large_write(struct scene *scene)
{
	struct asker writer = { .scene = scene, .index = 1, .times = 1,
		.size = BALLAST, .deadline = LATE };
	struct asker others[2];

	gate_shut = true;
	EXPECT(ask(scene, "#", 1, torc_after_ms(10)) == -ETIMEDOUT);
	gate_shut = false;
	EXPECT(start(&writer, 1) == 0);
	EXPECT(torc_sleep(torc_after_ms(50)) == 0);
	EXPECT(scene->pipeline.writing && !scene->pipeline.reading);
	for (unsigned i = 0; i < 2; i++)
		others[i] = (struct asker) { .scene = scene, .times = 2,
			.deadline = LATE };
	EXPECT(start(others, 2) == 0);
	EXPECT(join(&writer, 1) == 0);
	EXPECT(join(others, 2) == 0);
	EXPECT(writer.result == 0);
	EXPECT(others[0].result == 0 && others[1].result == 0);
	EXPECT(scene->dropped == 1);
	return 0;
}

static void
who_waits_to_write_reads_what_nobody_else_does(void **state)
{
	(void)state;
	play(wait_behind_a_large_write, &kind);
}

/* As above, but there are no others. */
static int
write_alone(struct scene *scene)
{
	struct asker writer = { .scene = scene, .times = 1, .size = BALLAST,
		.deadline = LATE };

	scene->attended = true;
	gate_shut = true;
	EXPECT(ask(scene, "#", 1, torc_after_ms(10)) == -ETIMEDOUT);
	gate_shut = false;
	EXPECT(start(&writer, 1) == 0);
	EXPECT(join(&writer, 1) == 0);
	EXPECT(writer.result == 0 && scene->dropped == 1);
	return 0;
}

static void
while_a_request_is_attended_somebody_reads(void **state)
{
	(void)state;
	play(write_alone, &kind);
}

/* Each with no time to wait, until nothing more fits: nobody reads. */
static int
write_what_fits(struct scene *scene)
{
	static char text[1 << 20];
	struct torc_conn *conn = scene->pipeline.conn;
	unsigned full = 0;

	line_free(line_new("", 0));
	gate_shut = true;
	for (unsigned i = 0; full < 10; i++) {
		const size_t room = torc_conn_room(conn);

		if (room == 0) {
			EXPECT(torc_sleep(torc_after_ms(1)) == 0);
			full++;
			continue;
		}
		full = 0;
		EXPECT(room <= sizeof(text));
		EXPECT(torc_conn_write(conn, text, i % 3 == 0 ? room :
		    1 + i * 7 % room, TORC_AT_ONCE) == 0);
		torc_conn_push(conn);
		if (i % 4 == 0)
			EXPECT(torc_yield() == 0);
	}
	EXPECT(torc_conn_write(conn, text, 1, TORC_AT_ONCE) == -ETIMEDOUT);
	gate_shut = false;
	return 0;
}

static int
write_more_than_fits(struct scene *scene)
{
	static const char text[1 << 20];
	struct torc_conn *conn = scene->pipeline.conn;
	const size_t room = torc_conn_room(conn);

	line_free(line_new("", 0));
	EXPECT(room > 0 && room < sizeof(text));
	EXPECT(torc_conn_write(conn, text, room + 1, TORC_AT_ONCE) ==
	    -ETIMEDOUT);
	return 0;
}

static void
what_there_is_room_for_is_written_without_a_wait(void **state)
{
	(void)state;
	play(write_what_fits, &kind);
	play(write_more_than_fits, &kind);
}

static int
begin_cancelled(void *arg)
{
	struct scene *scene = arg;

	EXPECT(torc_fiber_cancel(torc_fiber_self()) == 0);
	EXPECT(ask(scene, "cancelled", 9, LATE) == -ECANCELED);
	return 0;
}

static int
begin_too_late(struct scene *scene)
{
	uint64_t id;
	int line;

	EXPECT(ask(scene, "late", 4, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(torc_fiber_spawn(&id, begin_cancelled, scene) == 0);
	EXPECT(torc_fiber_join(id, &line, LATE) == 0);
	EXPECT(line == 0);
	/* Nothing was written that would have an answer. */
	EXPECT(scene->pipeline.count == 0 && scene->dropped == 0);
	EXPECT(ask(scene, "in time", 7, LATE) == 0);
	return 0;
}

static void
who_is_over_before_it_begins_writes_nothing(void **state)
{
	(void)state;
	play(begin_too_late, &kind);
}

/* Nothing comes that would wake the one that leads. */
static int
lead_until_the_turn(struct scene *scene)
{
	struct torc_pipeline *pipeline = &scene->pipeline;
	struct line *line = line_new("first", 5);
	struct asker asker = { .scene = scene, .times = 1, .deadline = LATE };

	gate_shut = true;
	EXPECT(torc_pipeline_begin(pipeline, &line->base, LATE) == 0);
	EXPECT(start(&asker, 1) == 0 && torc_yield() == 0);
	EXPECT(pipeline->reading && pipeline->count == 1);
	EXPECT(torc_conn_write(pipeline->conn, line->text, line->size,
	    LATE) == 0);
	torc_pipeline_end(pipeline);
	EXPECT(torc_yield() == 0 && torc_yield() == 0);
	EXPECT(pipeline->count == 2);
	gate_shut = false;
	EXPECT(torc_pipeline_await(pipeline, &line->base, LATE) == 0);
	line_free(line);
	EXPECT(join(&asker, 1) == 0);
	EXPECT(asker.result == 0);
	return 0;
}

static void
who_leads_writes_when_its_turn_has_come(void **state)
{
	(void)state;
	play(lead_until_the_turn, &kind);
}

/* The one that leads meanwhile, and those that just wait. */
static int
end_in_the_moment_of_the_turn(struct scene *scene)
{
	struct torc_pipeline *pipeline = &scene->pipeline;
	struct line *line = line_new("first", 5);
	struct asker askers[4];

	for (unsigned i = 0; i < 4; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 1,
			.deadline = LATE };
	EXPECT(torc_pipeline_begin(pipeline, &line->base, LATE) == 0);
	EXPECT(start(askers, 4) == 0);
	EXPECT(pipeline->reading && pipeline->count == 1);
	EXPECT(torc_conn_write(pipeline->conn, line->text, line->size,
	    LATE) == 0);
	torc_pipeline_end(pipeline);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(torc_fiber_cancel(askers[i].id) == 0);
	EXPECT(torc_pipeline_await(pipeline, &line->base, LATE) == 0);
	line_free(line);
	EXPECT(join(askers, 4) == 0);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(askers[i].result == -ECANCELED);
	EXPECT(askers[3].result == 0 && scene->dropped == 0);
	return 0;
}

static void
who_is_over_in_the_moment_of_its_turn_hands_it_on(void **state)
{
	(void)state;
	play(end_in_the_moment_of_the_turn, &kind);
}

static int
lose_the_connection(struct scene *scene)
{
	struct asker askers[5];

	gate_shut = true;
	for (unsigned i = 0; i < 5; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 1,
			.deadline = i == 4 ? torc_after_ms(10) : TORC_NEVER };
	EXPECT(start(askers, 5) == 0);
	EXPECT(join(&askers[4], 1) == 0);
	EXPECT(torc_conn_write(scene->pipeline.conn, "!", 1, LATE) == 0);
	torc_conn_push(scene->pipeline.conn);
	gate_shut = false;
	EXPECT(join(askers, 4) == 0);
	/* What the server has answered before, it has; the rest fails. */
	for (unsigned i = 0; i < 4; i++)
		EXPECT(askers[i].result == 0 ||
		    askers[i].result == -ECONNRESET);
	EXPECT(ask(scene, "more", 4, LATE) == -ECONNRESET);
	EXPECT(scene->pipeline.error == -ECONNRESET);
	EXPECT(scene->dropped == 1);
	return 0;
}

static void
all_who_wait_hear_that_the_connection_is_lost(void **state)
{
	(void)state;
	play(lose_the_connection, &kind);
}

static int broken_by;
static int broken_with;		/* what those who wait are told of it */

/* Nobody closes the connection, and nothing comes. */
static int
be_broken(struct scene *scene)
{
	struct asker askers[3];

	gate_shut = true;
	for (unsigned i = 0; i < 3; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 1,
			.deadline = TORC_NEVER };
	EXPECT(start(askers, 3) == 0);
	while (!scene->pipeline.reading || scene->pipeline.writing)
		EXPECT(torc_yield() == 0);
	torc_pipeline_break(&scene->pipeline, broken_by);
	EXPECT(torc_fiber_join(askers[0].id, NULL, torc_after_ms(10000)) == 0);
	EXPECT(join(&askers[1], 2) == 0);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(askers[i].result == broken_with);
	gate_shut = false;
	return 0;
}

static void
all_who_wait_hear_that_it_was_broken_who_leads_too(void **state)
{
	(void)state;
	broken_by = broken_with = -EPIPE;
	play(be_broken, &kind);
}

/* Else it would look as if the request was not theirs: it would leak. */
static void
an_end_of_a_write_s_own_is_another_one_for_those_who_wait(void **state)
{
	const int ends[] = { -ETIMEDOUT, -ECANCELED };

	(void)state;
	broken_with = -ECONNABORTED;
	for (int i = 0; i < 2; i++) {
		broken_by = ends[i];
		play(be_broken, &kind);
	}
}

static int
attend_all(struct scene *scene)
{
	scene->attended = true;
	EXPECT(ask_together(scene) == 0);
	EXPECT(give_up(scene, true) == 0);
	EXPECT(be_broken(scene) == 0);
	return 0;
}

static void
attended_requests_are_answered_given_up_and_broken_as_others(void **state)
{
	(void)state;
	broken_by = broken_with = -EPIPE;
	play(attend_all, &kind);
}

static int
ask_badly(void *arg)
{
	struct asker *asker = arg;

	asker->result = ask(asker->scene, "BAD", 3, LATE);
	return 0;
}

static int
be_broken_by_one_reply(struct scene *scene)
{
	struct asker askers[5], bad = { .scene = scene };

	gate_shut = true;
	for (unsigned i = 0; i < 5; i++)
		askers[i] = (struct asker) { .scene = scene, .times = 1,
			.deadline = LATE };
	EXPECT(start(askers, 2) == 0);
	EXPECT(torc_fiber_spawn(&bad.id, ask_badly, &bad) == 0);
	EXPECT(start(askers + 2, 3) == 0);
	while (scene->pipeline.count < 6)
		EXPECT(torc_yield() == 0);
	gate_shut = false;
	EXPECT(join(askers, 5) == 0 && join(&bad, 1) == 0);
	EXPECT(askers[0].result == 0 && askers[1].result == 0);
	EXPECT(bad.result == -EBADMSG);
	for (unsigned i = 2; i < 5; i++)
		EXPECT(askers[i].result == -ECONNRESET);
	EXPECT(scene->unsent == 0);
	return 0;
}

static void
what_one_reply_breaks_is_told_to_the_others_as_a_lost_connection(void **state)
{
	(void)state;
	play(be_broken_by_one_reply, &kind);
}

/* Parks. Written and, if that is wanted, sent; then it is broken. */
static int
break_behind(struct scene *scene, bool sent)
{
	const struct torc_counters *counters = torc_reactor_self()->counters;
	const uint64_t before = counters->quiet_sends;
	const uint64_t loud = counters->loud_sends;
	struct torc_pipeline *pipeline = &scene->pipeline;
	struct line *line = line_new("one", 3);

	EXPECT(torc_pipeline_begin(pipeline, &line->base, LATE) == 0);
	EXPECT(torc_conn_write(pipeline->conn, line->text, line->size,
	    LATE) == 0);
	torc_pipeline_end(pipeline);
	while (sent && counters->quiet_sends == before)
		EXPECT(torc_yield() == 0);
	torc_pipeline_break(pipeline, -ECONNRESET);
	EXPECT(torc_pipeline_await(pipeline, &line->base, LATE) ==
	    -ECONNRESET);
	EXPECT(line->base.unsent == !sent);
	line_free(line);
	/* Nor is it sent later. */
	EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	EXPECT(sent || (counters->quiet_sends == before &&
	    counters->loud_sends == loud));
	return 0;
}

static int
break_before_it_is_sent(struct scene *scene)
{
	EXPECT(ask(scene, "zero", 4, LATE) == 0);
	return break_behind(scene, false);
}

static int
break_when_it_was_sent(struct scene *scene)
{
	EXPECT(ask(scene, "zero", 4, LATE) == 0);
	return break_behind(scene, true);
}

static void
a_request_that_was_staged_and_not_sent_is_told_apart(void **state)
{
	(void)state;
	play(break_before_it_is_sent, &kind);
	play(break_when_it_was_sent, &kind);
}

/* Nobody was shown the end yet. */
static int
begin_after_the_end(struct scene *scene)
{
	const struct torc_counters *counters = torc_reactor_self()->counters;
	struct torc_conn *conn = scene->pipeline.conn;
	uint64_t sends;

	EXPECT(ask(scene, "zero", 4, LATE) == 0);
	EXPECT(torc_conn_write(conn, "!", 1, LATE) == 0);
	EXPECT(torc_conn_flush(conn, LATE) == 0);
	while (torc_conn_usable(conn))
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	sends = counters->quiet_sends + counters->loud_sends;
	EXPECT(ask(scene, "late", 4, LATE) == -ECONNRESET);
	EXPECT(counters->quiet_sends + counters->loud_sends == sends);
	return 0;
}

static void
nothing_is_written_to_a_connection_that_the_peer_has_ended(void **state)
{
	(void)state;
	play(begin_after_the_end, &kind);
}

static int
be_answered_nonsense(struct scene *scene)
{
	EXPECT(ask(scene, "good", 4, LATE) == 0);
	EXPECT(ask(scene, "BAD", 3, LATE) == -EBADMSG);
	EXPECT(ask(scene, "good", 4, LATE) == -ECONNRESET);
	return 0;
}

static void
a_stream_that_makes_no_sense_breaks_it(void **state)
{
	(void)state;
	play(be_answered_nonsense, &kind);
}

/* What it left before, it takes now. */
static int64_t
feed_anyway(struct torc_request *request, const uint8_t *data, size_t size,
    bool *done, void *arg)
{
	int64_t taken;

	piecemeal = false;
	taken = feed(request, data, size, done, arg);
	piecemeal = true;
	return taken;
}

static const struct torc_pipeline_kind sparing = { .feed = feed,
	.full = feed_anyway, .drop = drop };

struct long_asker {
	struct scene *scene;
	size_t size;
	int result;
	uint64_t id;
};

static int
ask_long(void *arg)
{
	struct long_asker *asker = arg;
	char *text = malloc(asker->size);

	memset(text, 'x', asker->size);
	asker->result = ask(asker->scene, text, asker->size, LATE);
	free(text);
	return 0;
}

/* Of three in flight, the second one is longer than what can be in view. */
static int
hold_too_much(struct scene *scene)
{
	struct long_asker askers[3];
	const bool lost = scene->kind->full == NULL;

	piecemeal = scene->attended = true;
	for (unsigned i = 0; i < 3; i++) {
		askers[i] = (struct long_asker) { .scene = scene,
			.size = i == 1 ? 600000 : 10 };
		EXPECT(torc_fiber_spawn(&askers[i].id, ask_long,
		    &askers[i]) == 0);
	}
	for (unsigned i = 0; i < 3; i++)
		EXPECT(torc_fiber_join(askers[i].id, NULL, LATE) == 0);
	EXPECT(askers[0].result == 0);
	EXPECT(askers[1].result == (lost ? -ENOBUFS : 0));
	EXPECT(askers[2].result == (lost ? -ECONNRESET : 0));
	return 0;
}

static void
a_reply_that_cannot_be_in_view_is_the_error_of_its_request_alone(
    void **state)
{
	(void)state;
	play(hold_too_much, &kind);
	play(hold_too_much, &sparing);
}

/* A request that is answered by two lines. */
static int
be_answered_twice(struct scene *scene)
{
	struct torc_pipeline *pipeline = &scene->pipeline;
	struct line *line = line_new("one", 3);
	int expected = scene->kind->unasked != NULL ? 0 : -ECONNRESET;

	EXPECT(torc_pipeline_begin(pipeline, &line->base, LATE) == 0);
	EXPECT(torc_conn_write(pipeline->conn, "one\ntwo\n", 8, LATE) == 0);
	torc_pipeline_end(pipeline);
	EXPECT(torc_pipeline_await(pipeline, &line->base, LATE) == 0);
	EXPECT(!line->wrong);
	line_free(line);
	EXPECT(ask(scene, "three", 5, LATE) == expected);
	return 0;
}

static void
what_nobody_asked_for_is_taken_by_who_expects_it(void **state)
{
	(void)state;
	play(be_answered_twice, &tolerant);
	play(be_answered_twice, &kind);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_many_fibers_gets_its_own_replies),
		cmocka_unit_test(
		    a_reply_that_comes_in_pieces_is_shown_again_until_it_is_whole),
		cmocka_unit_test(requests_that_wait_for_room_are_not_mixed),
		cmocka_unit_test(
		    the_reply_of_who_timed_out_reaches_nobody_else),
		cmocka_unit_test(
		    the_reply_of_who_was_cancelled_reaches_nobody_else),
		cmocka_unit_test(
		    a_reply_that_nobody_waited_for_is_dropped_by_the_next),
		cmocka_unit_test(
		    who_waits_to_write_reads_what_nobody_else_does),
		cmocka_unit_test(while_a_request_is_attended_somebody_reads),
		cmocka_unit_test(
		    attended_requests_are_answered_given_up_and_broken_as_others),
		cmocka_unit_test(
		    what_there_is_room_for_is_written_without_a_wait),
		cmocka_unit_test(who_is_over_before_it_begins_writes_nothing),
		cmocka_unit_test(who_leads_writes_when_its_turn_has_come),
		cmocka_unit_test(
		    who_is_over_in_the_moment_of_its_turn_hands_it_on),
		cmocka_unit_test(
		    all_who_wait_hear_that_the_connection_is_lost),
		cmocka_unit_test(
		    all_who_wait_hear_that_it_was_broken_who_leads_too),
		cmocka_unit_test(
		    an_end_of_a_write_s_own_is_another_one_for_those_who_wait),
		cmocka_unit_test(
		    what_one_reply_breaks_is_told_to_the_others_as_a_lost_connection),
		cmocka_unit_test(
		    a_request_that_was_staged_and_not_sent_is_told_apart),
		cmocka_unit_test(
		    nothing_is_written_to_a_connection_that_the_peer_has_ended),
		cmocka_unit_test(a_stream_that_makes_no_sense_breaks_it),
		cmocka_unit_test(
		    a_reply_that_cannot_be_in_view_is_the_error_of_its_request_alone),
		cmocka_unit_test(
		    what_nobody_asked_for_is_taken_by_who_expects_it),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
