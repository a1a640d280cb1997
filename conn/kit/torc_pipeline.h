/* SPDX-License-Identifier: MIT */
/*
 * torc_pipeline.h - one connection to a backend, shared by many fibers: each
 * writes its request behind those of the others, and waits for its own reply.
 * For protocols whose replies come in the order of the requests.
 *
 * There is no fiber of its own that reads. One of those that wait leads: it
 * receives, and hands every reply to the request that it belongs to; when it
 * has its own, or its turn to write, the next one leads. So an idle connection
 * costs nothing, and holds no drain up. But while the only fiber that there
 * is writes, nobody reads: see torc_pipeline_attend().
 *
 *	rc = torc_pipeline_begin(pipeline, &request->base, deadline);
 *	if (rc == 0)
 *		rc = torc_conn_write(pipeline->conn, data, size, deadline);
 *	if (rc == 0) {
 *		torc_pipeline_end(pipeline);
 *		rc = torc_pipeline_await(pipeline, &request->base, deadline);
 *	} ...
 *
 * Who gives up leaves its request in its place: the reply goes to drop().
 * Everything belongs to one reactor. The pipeline and its connection stay
 * until all calls on them have returned: keep count of who uses them.
 */
#ifndef TORC_PIPELINE_H
#define TORC_PIPELINE_H

#include "torc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_pipeline;

/*
 * A request is the first member of the client's own structure, on the heap,
 * since it may outlive the fiber that made it. All zero at first. Its fields
 * are torc's, but `unsent` may be read. Frozen.
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
	bool unsent;			/* to read after an error: no byte of
					 * it was given to the kernel, so the
					 * backend cannot have seen it */
	uint64_t reserved[2];
};

/* What a pipeline must know of its protocol. Frozen. */
struct torc_pipeline_kind {
	/*
	 * Bytes of the reply to `request`, which is the oldest: how many were
	 * taken, and `*done` is set if the reply is whole. What was not taken
	 * is shown again, with more behind it, so at most `held_max` bytes
	 * may be left. Negative: the stream makes no sense any more, and the
	 * pipeline is broken. That error is the one of `request` alone: all
	 * others are told -ECONNRESET. Does not park.
	 */
	int64_t (*feed)(struct torc_request *request, const uint8_t *data,
	    size_t size, bool *done, void *arg);
	/*
	 * As feed, when no more can be shown behind what it left, since that
	 * is `held_max` bytes: some must be taken, to read past the reply.
	 * NULL: the stream makes no sense any more, by -ENOBUFS.
	 */
	int64_t (*full)(struct torc_request *request, const uint8_t *data,
	    size_t size, bool *done, void *arg);
	/* As feed, for bytes that nobody asked for. NULL: they break it. */
	int64_t (*unasked)(const uint8_t *data, size_t size, void *arg);
	/* Nobody waits for this request any more, and it is over: free it. */
	void (*drop)(struct torc_request *request, void *arg);
	void (*reserved[4])(void);	/* NULL */
};

/* A pipeline on one connection. Its fields are for reading only. Frozen. */
struct torc_pipeline {
	struct torc_conn *conn;		/* the client's: it closes it */
	const struct torc_pipeline_kind *kind;
	void *arg;
	struct torc_request *first;	/* without a reply, oldest first */
	struct torc_request *last;
	unsigned count;			/* of them */
	unsigned live;			/* and not abandoned */
	int error;			/* what broke it, or 0 */
	bool reading;			/* somebody leads */
	bool writing;			/* between begin and end */
	bool *leaders_turn;		/* to write, if it waits for that */
	struct torc_waiters writers;	/* the others who do */
	uint64_t reserved[4];
};

/* Begin a pipeline on a connection, which stays the client's. */
TORC_API void torc_pipeline_init(struct torc_pipeline *pipeline,
    struct torc_conn *conn, const struct torc_pipeline_kind *kind, void *arg);

/*
 * Parks. Begin a request: wait until nobody else writes, and take a place in
 * the queue: what is written until torc_pipeline_end() is this request. Returns
 * 0, or -ETIMEDOUT, -ECANCELED (both also if there was nothing to wait for),
 * what broke the pipeline, or -ECONNRESET: the peer has ended the connection.
 * After an error the request is the caller's, and nothing of it was sent.
 */
TORC_API int torc_pipeline_begin(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline);

/*
 * Let somebody attend to replies, between begin and end: what is written now
 * may not fit into what buffers there are (it is more than torc_conn_room(),
 * say). Until the request is awaited, and it must be, a fiber of its own reads
 * when nobody else does: replies to it that come early, or to those that were
 * given up, would else keep a backend from reading the rest. If none can be
 * made, nobody reads.
 */
TORC_API void torc_pipeline_attend(struct torc_pipeline *pipeline,
    struct torc_request *request);

/* End a request, which is sent with all the others of this turn. */
TORC_API void torc_pipeline_end(struct torc_pipeline *pipeline);

/*
 * Break a pipeline that cannot go on: a write failed, say. All that wait are
 * told `error`, so it must be true of each of them: what went wrong with one
 * request is not it. `unsent` of a request says whether the backend can have
 * seen it. Requests that were abandoned are dropped, the others belong to their
 * makers again, which see it by torc_pipeline_await(). Also in the place of
 * end, and before the connection is closed. The first error counts; -ETIMEDOUT
 * and -ECANCELED of a write are -ECONNABORTED for the others.
 */
TORC_API void torc_pipeline_break(struct torc_pipeline *pipeline, int error);

/*
 * Parks. Wait for the reply. Returns 0: it is whole, and the request is the
 * caller's; what broke the pipeline: the same; -ETIMEDOUT or -ECANCELED: the
 * request is not the caller's any more (drop() gets it).
 */
TORC_API int torc_pipeline_await(struct torc_pipeline *pipeline,
    struct torc_request *request, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#endif
