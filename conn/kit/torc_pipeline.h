/* SPDX-License-Identifier: MIT */
/*
 * torc_pipeline.h - one connection to a backend, shared by many fibers. Each
 * fiber writes its request behind those of the others and waits for its own
 * reply. It is for protocols whose replies come in the order of the requests.
 *
 * Reading. No fiber is there only to read. Instead, one of the fibers that wait
 * leads: it receives, and hands each reply to the request that it answers. When
 * the leader has its own reply, or its turn to write, another fiber leads. So
 * an idle connection costs nothing and does not delay a drain. But while the
 * only fiber is writing, no fiber reads: see torc_pipeline_attend().
 *
 *	rc = torc_pipeline_begin(pipeline, &request->base, deadline);
 *	if (rc == 0)
 *		rc = torc_conn_write(pipeline->conn, data, size, deadline);
 *	if (rc == 0) {
 *		torc_pipeline_end(pipeline);
 *		rc = torc_pipeline_await(pipeline, &request->base, deadline);
 *	} ...
 *
 * Giving up. A fiber that gives up leaves its request in its place, and the
 * reply goes to drop().
 *
 * Ownership. Everything belongs to one reactor. The pipeline and its connection
 * must stay until all calls on them have returned, so count their users.
 */
#ifndef TORC_PIPELINE_H
#define TORC_PIPELINE_H

#include "torc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_pipeline;

/*
 * A request in a pipeline. It is the first member of a structure of the
 * client's own, which lies on the heap because it may outlive the fiber that
 * made it. All zero at first. To use it for another request when it is the
 * client's again, zero it again. Its fields are torc's, but `unsent` may be
 * read. Frozen.
 */
struct torc_request {
	struct torc_request *next;
	struct torc_waiters waiter;	/* its fiber */
	struct torc_pipeline *pipeline;
	uint64_t reader;		/* a fiber: torc_pipeline_attend() */
	uint64_t mark;			/* of the connection's last send before
					 * it was begun */
	int result;
	bool done;
	bool abandoned;
	bool unsent;			/* read it after an error: no byte of
					 * the request was given to the kernel,
					 * so the backend has not seen it */
	uint64_t reserved[2];
};

/* What a pipeline must know about its protocol. Frozen. */
struct torc_pipeline_kind {
	/*
	 * Take bytes of the reply to `request`, which is the oldest one.
	 * Returns the number of bytes taken, and sets `*done` if the reply is
	 * complete. The call that sets `*done` must take at least one byte.
	 * Bytes that are not taken are shown again with more behind them, so at
	 * most `held_max` bytes may be left. `data` is valid during the call
	 * only. A negative result means that the stream makes no sense any
	 * more, and breaks the pipeline. That error is only for `request`;
	 * every other request ends with -ECONNRESET. Must not park.
	 */
	int64_t (*feed)(struct torc_request *request, const uint8_t *data,
	    size_t size, bool *done, void *arg);
	/*
	 * Take bytes as feed does, but when it has left `held_max` bytes and no
	 * more can be shown. Some bytes must be taken, to read past the reply.
	 * NULL: the pipeline breaks with -ENOBUFS instead.
	 */
	int64_t (*full)(struct torc_request *request, const uint8_t *data,
	    size_t size, bool *done, void *arg);
	/*
	 * Take bytes that belong to no request, as feed does. NULL: such bytes
	 * break the pipeline.
	 */
	int64_t (*unasked)(const uint8_t *data, size_t size, void *arg);
	/* Free a request that is over and that no fiber waits for any more. */
	void (*drop)(struct torc_request *request, void *arg);
	void (*reserved[4])(void);	/* NULL */
};

/* A pipeline on one connection. Its fields are read-only. Frozen. */
struct torc_pipeline {
	struct torc_conn *conn;		/* the client's, who closes it */
	const struct torc_pipeline_kind *kind;
	void *arg;
	struct torc_request *first;	/* oldest request without a reply */
	struct torc_request *last;	/* youngest one */
	unsigned count;			/* requests without a reply */
	unsigned live;			/* those that are not abandoned */
	int error;			/* what broke the pipeline, or 0 */
	bool reading;			/* a fiber leads */
	bool writing;			/* a fiber is between begin and end */
	bool *leaders_turn;		/* set when the leader may write */
	struct torc_waiters writers;	/* other fibers that want to write */
	uint64_t reserved[4];
};

/*
 * Begin a pipeline on a connection. The connection remains the client's. `kind`
 * is not copied: it must outlive the pipeline. There is nothing to free after
 * it, but torc_pipeline_break() must be called before the connection is closed,
 * so that requests that were given up are dropped.
 */
TORC_API void torc_pipeline_init(struct torc_pipeline *pipeline,
    struct torc_conn *conn, const struct torc_pipeline_kind *kind, void *arg);

/*
 * Parks. Begin a request: wait until no other fiber writes, then take a place
 * in the queue. Everything written until torc_pipeline_end() is this request.
 * Returns 0, or: -ETIMEDOUT or -ECANCELED the deadline had passed or the fiber
 * was cancelled, even if there was nothing to wait for; -ECONNRESET the peer
 * has ended the connection; the error that broke the pipeline. After an error
 * the request is the caller's, and nothing of it was sent. It can be begun
 * again.
 */
TORC_API int torc_pipeline_begin(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline);

/*
 * Have replies read while a large request is written. Call this between begin
 * and end if what is written may not fit into the buffers that there are, for
 * example if it is more than torc_conn_room(). The caller must then await the
 * request. Until it does, a fiber of torc's own reads when no other fiber does.
 * Otherwise early replies to this request, or replies to requests that were
 * given up, could keep a backend from reading the rest. If that fiber cannot be
 * spawned, no fiber reads.
 */
TORC_API void torc_pipeline_attend(struct torc_pipeline *pipeline,
    struct torc_request *request);

/* End a request. It is sent together with the others of this turn. */
TORC_API void torc_pipeline_end(struct torc_pipeline *pipeline);

/*
 * Break a pipeline that cannot go on, for example because a write failed. Call
 * this in the place of torc_pipeline_end(), or before the connection is closed.
 * All requests end with `error`, so it must be true for each of them, and not
 * describe what went wrong with one of them. `unsent` of a request says whether
 * the backend can have seen it. Requests that were abandoned are dropped. The
 * others belong to their makers again, whose torc_pipeline_await() returns the
 * error. Only the first error counts. If `error` is -ETIMEDOUT or -ECANCELED,
 * as after a write, the requests end with -ECONNABORTED.
 */
TORC_API void torc_pipeline_break(struct torc_pipeline *pipeline, int error);

/*
 * Parks. Wait for the reply to a request. Returns 0 if the reply is complete;
 * or the error that broke the pipeline. In both cases the request is the
 * caller's again, to be freed by it; drop() is not called. Or returns
 * -ETIMEDOUT or -ECANCELED, and then the request is not the caller's any more:
 * drop() gets it.
 */
TORC_API int torc_pipeline_await(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#endif
