/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - many fibers, one connection, replies in order.
 */
#include "conn/kit/torc_pipeline.h"

#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/send.h"
#include "reactor/fiber.h"
#include "sys/trap.h"

/* What a waiting fiber is told. */
enum {
	LOOK = 0,	/* again, to find a reply, an error or the lead */
	TURN = 1,	/* it writes from now on */
};

void
torc_pipeline_init(struct torc_pipeline *pipeline, struct torc_conn *conn,
    const struct torc_pipeline_kind *kind, void *arg)
{
	memset(pipeline, 0, sizeof(*pipeline));
	pipeline->conn = conn;
	pipeline->kind = kind;
	pipeline->arg = arg;
}

static void
append(struct torc_pipeline *pipeline, struct torc_request *request)
{
	request->next = NULL;
	request->pipeline = pipeline;
	request->mark = pipeline->conn->send_mark;
	if (pipeline->last != NULL)
		pipeline->last->next = request;
	else
		pipeline->first = request;
	pipeline->last = request;
	pipeline->count++;
	pipeline->live++;
}

/* End the oldest request: wake the fiber that waits for it, or drop it. */
static void
finish_first(struct torc_pipeline *pipeline)
{
	struct torc_request *request = pipeline->first;

	pipeline->first = request->next;
	if (pipeline->first == NULL)
		pipeline->last = NULL;
	pipeline->count--;
	if (request->abandoned) {
		pipeline->kind->drop(request, pipeline->arg);
		return;
	}
	pipeline->live--;
	request->done = true;
	torc_wake(&request->waiter, LOOK);
}

/* Wake the leader: it waits for bytes, and none may come. */
static void
interrupt_leader(struct torc_pipeline *pipeline)
{
	if (pipeline->reading && pipeline->conn->reader != NULL)
		torc_fiber_interrupt(pipeline->conn->reader);
}

/*
 * Whether no byte of a request was given to the kernel: nothing was sent since
 * it was begun. The connection exists while a fiber waits for the request.
 */
static bool
is_unsent(const struct torc_request *request)
{
	return !request->abandoned &&
	    request->mark == request->pipeline->conn->send_mark;
}

/* Do not send staged bytes of requests that were reported as unsent. */
static void
hold_back(struct torc_conn *conn)
{
	torc_send_fail(conn, -ECONNRESET);
	torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_pipeline_break(struct torc_pipeline *pipeline, int error)
{
	bool unsent = false;

	torc_require(error < 0, "torc_pipeline_break needs a negative error");
	if (pipeline->error != 0)
		return;
	/* torc_pipeline_await() returns these two for its own wait. */
	if (error == -ETIMEDOUT || error == -ECANCELED)
		error = -ECONNABORTED;
	pipeline->error = error;
	for (unsigned count = pipeline->count; count > 0; count--) {
		pipeline->first->result = error;
		pipeline->first->unsent = is_unsent(pipeline->first);
		unsent |= pipeline->first->unsent;
		finish_first(pipeline);
	}
	if (unsent)
		hold_back(pipeline->conn);
	interrupt_leader(pipeline);
	pipeline->writing = false;
	torc_wake_all(&pipeline->writers, LOOK);
}

/* ---- Reading ---- */

/* Feed bytes to their request. Returns how many were taken, or -errno. */
static int64_t
feed_one(struct torc_pipeline *pipeline, const uint8_t *data, size_t size)
{
	const struct torc_pipeline_kind *kind = pipeline->kind;
	bool done = false;
	int64_t taken;

	if (pipeline->first == NULL)
		return kind->unasked == NULL ? -EPROTO :
		    kind->unasked(data, size, pipeline->arg);
	taken = kind->feed(pipeline->first, data, size, &done, pipeline->arg);
	torc_require(taken <= (int64_t)size && (taken > 0 || !done),
	    "feed() took more bytes than there were, or ended an empty reply");
	if (done)
		finish_first(pipeline);
	return taken;
}

/* The same, when the view is full and no byte of it was taken. */
static int64_t
feed_full(struct torc_pipeline *pipeline, const struct torc_slice *view)
{
	const struct torc_pipeline_kind *kind = pipeline->kind;
	bool done = false;
	int64_t taken;

	if (pipeline->first == NULL || kind->full == NULL)
		return -ENOBUFS;
	taken = kind->full(pipeline->first, view->data, view->size, &done,
	    pipeline->arg);
	torc_require(taken <= (int64_t)view->size,
	    "full() took more bytes than there were");
	if (done)
		finish_first(pipeline);
	return taken != 0 ? taken : -ENOBUFS;
}

/*
 * What came makes no sense as a reply to the oldest request. For the other
 * requests it is only a lost connection.
 */
static void
break_by_reply(struct torc_pipeline *pipeline, int error)
{
	if (pipeline->first != NULL) {
		pipeline->first->result = error;
		finish_first(pipeline);
	}
	torc_pipeline_break(pipeline, -ECONNRESET);
}

/* Feed the view as far as it is taken. `full`: some of it must be taken. */
static void
feed_view(struct torc_pipeline *pipeline, const struct torc_slice *view,
    bool full)
{
	int64_t taken = full ? feed_full(pipeline, view) : 1;
	size_t fed = full && taken > 0 ? (size_t)taken : 0;

	while (taken > 0 && fed < view->size) {
		taken = feed_one(pipeline, view->data + fed,
		    view->size - fed);
		if (taken > 0)
			fed += (size_t)taken;
	}
	torc_conn_consume(pipeline->conn, fed);
	if (taken < 0)
		break_by_reply(pipeline, (int)taken);
}

/*
 * Let the fiber that has waited longest for a reply lead. If no fiber waits for
 * a reply, a fiber that waits to write leads: replies to requests that were
 * given up may still come, and a backend may not read while it cannot write.
 */
static void
pass_on(struct torc_pipeline *pipeline)
{
	struct torc_request *request = pipeline->first;

	while (request != NULL && !torc_wake(&request->waiter, LOOK))
		request = request->next;
	if (request == NULL)
		torc_wake(&pipeline->writers, LOOK);
}

/* Parks. Receive for all, until `*over`. 0, -ETIMEDOUT or -ECANCELED. */
static int
lead(struct torc_pipeline *pipeline, const bool *over, torc_deadline deadline)
{
	struct torc_slice view;
	int rc;

	pipeline->reading = true;
	/* A receive sends what is staged. First let all fibers write that are
	 * about to, so that their requests are sent together. */
	rc = torc_yield();
	if (rc == 0)
		rc = 1;
	while (rc > 0 && !*over && pipeline->error == 0) {
		rc = torc_conn_recv(pipeline->conn, &view, deadline);
		if ((rc > 0 || rc == -ENOBUFS) && pipeline->error == 0) {
			feed_view(pipeline, &view, rc < 0);
			rc = 1;
		} else if (rc <= 0 && rc != -ETIMEDOUT && rc != -ECANCELED) {
			/* Replies tell by themselves whether they are whole: it
			 * is all one whether TLS has announced the end. */
			torc_pipeline_break(pipeline,
			    rc < 0 && rc != -ENOLINK ? rc : -ECONNRESET);
		}
	}
	pipeline->reading = false;
	pass_on(pipeline);
	return rc == -ETIMEDOUT || rc == -ECANCELED ? rc : 0;
}

/* ---- Writing ---- */

/* Give the turn to write to the leader, or to the longest waiter. */
static void
stop_writing(struct torc_pipeline *pipeline)
{
	if (pipeline->leaders_turn == NULL) {
		pipeline->writing = torc_wake(&pipeline->writers, TURN);
		return;
	}
	*pipeline->leaders_turn = true;
	pipeline->leaders_turn = NULL;
	interrupt_leader(pipeline);
}

/* Parks. Lead until it is our turn to write. As await_turn(). */
static int
lead_to_write(struct torc_pipeline *pipeline, torc_deadline deadline)
{
	bool turn = false;
	int rc;

	pipeline->leaders_turn = &turn;
	rc = lead(pipeline, &turn, deadline);
	if (turn)
		return TURN;
	pipeline->leaders_turn = NULL;
	return rc;
}

/* Parks. TURN when nobody else writes, or what ended the wait. */
static int
await_turn(struct torc_pipeline *pipeline, torc_deadline deadline)
{
	int rc = LOOK;

	while (rc == LOOK && pipeline->error == 0) {
		if (!pipeline->writing)
			rc = TURN;
		else if (pipeline->reading)
			rc = torc_wait(&pipeline->writers, deadline);
		else
			rc = lead_to_write(pipeline, deadline);
	}
	return pipeline->error != 0 ? pipeline->error : rc;
}

/* What a wait would end with at once, or 0. */
static int
check_time(const struct torc_reactor *reactor, torc_deadline deadline)
{
	if (reactor->current->cancelled)
		return -ECANCELED;
	return deadline.at <= reactor->due ? -ETIMEDOUT : 0;
}

/* Whether no reply can come any more, though nobody was shown that yet. */
static bool
has_ended(const struct torc_conn *conn)
{
	return conn->eof || conn->failed;
}

int
torc_pipeline_begin(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline)
{
	const struct torc_reactor *reactor = torc_reactor_of_fiber();
	int rc = await_turn(pipeline, deadline);

	if (rc < 0)
		return rc;
	pipeline->writing = true;
	/* Also if it did not wait, or if its time was up when its turn came: a
	 * request that is begun too late breaks the connection for all. */
	rc = check_time(reactor, deadline);
	if (rc == 0 && has_ended(pipeline->conn))
		rc = -ECONNRESET;
	if (rc < 0) {
		stop_writing(pipeline);
		return rc;
	}
	/* Before it is written: a large request may be answered before its
	 * end is sent. */
	append(pipeline, request);
	return 0;
}

void
torc_pipeline_end(struct torc_pipeline *pipeline)
{
	if (pipeline->error != 0)
		return;		/* it broke while this was written */
	torc_require(pipeline->writing,
	    "torc_pipeline_end without torc_pipeline_begin");
	torc_conn_push(pipeline->conn);
	stop_writing(pipeline);
}

/* ---- Replies ---- */

/* Parks. Lead, or wait for the leader. 0, -ETIMEDOUT or -ECANCELED. */
static int
await_reply(struct torc_pipeline *pipeline, struct torc_request *request,
    torc_deadline deadline)
{
	int rc = 0;

	while (rc == 0 && !request->done)
		rc = pipeline->reading ?
		    torc_wait(&request->waiter, deadline) :
		    lead(pipeline, &request->done, deadline);
	return rc;
}

/* A fiber: reads while another fiber writes the request. */
static int
read_for(void *arg)
{
	struct torc_request *request = arg;

	return await_reply(request->pipeline, request, TORC_NEVER);
}

void
torc_pipeline_attend(struct torc_pipeline *pipeline,
    struct torc_request *request)
{
	torc_require(request->pipeline == pipeline && request->reader == 0,
	    "torc_pipeline_attend without torc_pipeline_begin, or twice");
	if (torc_fiber_spawn(&request->reader, read_for, request) < 0)
		request->reader = 0;
}

int
torc_pipeline_await(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline)
{
	int rc;

	if (request->reader != 0)
		torc_fiber_reap(request->reader, NULL, TORC_NEVER);
	request->reader = 0;
	rc = await_reply(pipeline, request, deadline);
	if (request->done)
		return request->result;
	request->abandoned = true;
	pipeline->live--;
	return rc;
}
