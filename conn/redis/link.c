/* SPDX-License-Identifier: MIT */
/*
 * link.c - a connection to Redis: writes batches, and gives replies to the
 * requests that wait for them.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"

#define SMALL 4096u		/* bytes of a command that is written at once */

/* ---- Requests ---- */

static struct request *
request_new(const struct batch *batch)
{
	struct request *request = torc_sys_alloc_raw(sizeof(*request));
	const unsigned extra = (batch->atomic ? 2u : 0u) + batch->asking;

	if (request == NULL)
		return NULL;
	memset(request, 0, offsetof(struct request, memory));
	torc_resp_arena_init(&request->arena, request->memory,
	    sizeof(request->memory));
	request->expected = batch->count + extra;
	request->root.type = TORC_REDIS_NIL;
	if (request->expected == 1 && !batch->list)
		return request;
	request->parts = torc_resp_arena_take(&request->arena,
	    request->expected * sizeof(request->parts[0]));
	if (request->parts != NULL)
		return request;
	torc_redis_request_free(request);
	return NULL;
}

void
torc_redis_request_free(struct request *request)
{
	if (request == NULL)
		return;
	torc_resp_arena_free(&request->arena);
	torc_sys_free(request);
}

/* Make one reply of the received ones. */
static void
assemble(struct request *request, const struct batch *batch)
{
	struct torc_redis_reply *root = &request->root;

	if (request->parts == NULL)
		return;
	if (batch->list) {
		root->type = TORC_REDIS_ARRAY;
		root->size = batch->count;
		root->items = request->parts + batch->asking;
		return;
	}
	*root = request->parts[request->expected - 1];
	/* The error of the refused command says more than that of EXEC. */
	for (unsigned i = 0; batch->atomic && i < request->expected; i++) {
		if (request->parts[i].type != TORC_REDIS_ERROR)
			continue;
		*root = request->parts[i];
		return;
	}
}

/* ---- Replies ---- */

/* Something that is not a reply, such as a notice about a tracked key. */
static int64_t
feed_aside(struct link *link, const uint8_t *data, size_t size)
{
	int64_t rc = torc_resp_pass(&link->tree.reader, data, size);

	link->aside = rc >= 0 && !link->tree.reader.done;
	return rc;
}

static bool
between_replies(const struct link *link)
{
	const struct torc_resp_reader *reader = &link->tree.reader;

	return reader->depth == 0 && reader->text_left == 0;
}

/* Skip the rest of a refused reply. */
static int64_t
pass(struct link *link, struct request *request, const uint8_t *data,
    size_t size)
{
	int64_t rc = torc_resp_pass(&link->tree.reader, data, size);

	request->passing = rc >= 0 && !link->tree.reader.done;
	return rc;
}

/*
 * A reply exceeds a limit, or there is no memory for it. Its part is freed, so
 * that no memory is held while the rest is skipped.
 */
static int64_t
refuse(struct link *link, struct request *request,
    struct torc_redis_reply *root, int error, const uint8_t *data,
    size_t size)
{
	const size_t taken = link->tree.taken;
	int64_t rc = 0;

	torc_resp_arena_rewind(&request->arena, &link->before);
	*root = (struct torc_redis_reply) { .type = TORC_REDIS_NIL };
	if (request->refused == 0) {
		request->refused = error;
		request->refused_at = request->got;
	}
	if (!link->tree.reader.done)
		rc = pass(link, request, data + taken, size - taken);
	return rc < 0 ? rc : rc + (int64_t)taken;
}

static int64_t
build(struct link *link, struct request *request, const uint8_t *data,
    size_t size)
{
	struct torc_redis_reply *root = request->parts == NULL ?
	    &request->root : &request->parts[request->got];
	int64_t rc;

	if (between_replies(link))
		link->before = request->arena;
	link->tree.arena = &request->arena;
	rc = torc_resp_build(&link->tree, root, data, size);
	return rc >= 0 || rc == -EBADMSG ? rc :
	    refuse(link, request, root, (int)rc, data, size);
}

static int64_t
feed(struct torc_request *base, const uint8_t *data, size_t size, bool *done,
    void *arg)
{
	struct link *link = arg;
	struct request *request = (struct request *)base;
	int64_t rc;

	link->shared.quiet_since = torc_now();
	if (request->passing)
		rc = pass(link, request, data, size);
	else if (link->aside || (data[0] == '>' && between_replies(link)))
		return feed_aside(link, data, size);
	else
		rc = build(link, request, data, size);
	if (rc > 0 && link->tree.reader.done)
		request->got++;
	*done = rc > 0 && request->got == request->expected;
	return rc;
}

/* A line is longer than the view can be. */
static int64_t
feed_full(struct torc_request *base, const uint8_t *data, size_t size,
    bool *done, void *arg)
{
	struct request *request = (struct request *)base;
	struct link *link = arg;
	int64_t rc;

	link->tree.taken = 0;
	rc = refuse(link, request, request->parts == NULL ? &request->root :
	    &request->parts[request->got], -ENAMETOOLONG, data, size);
	if (rc > 0 && link->tree.reader.done)
		request->got++;
	*done = rc > 0 && request->got == request->expected;
	return rc;
}

static void
drop(struct torc_request *base, void *arg)
{
	(void)arg;
	torc_redis_request_free((struct request *)base);
}

const struct torc_pipeline_kind torc_redis_link_replies = {
	.feed = feed,
	.full = feed_full,
	.drop = drop,
};

/* ---- Commands ---- */

static int
put_large(struct link *link, torc_deadline deadline,
    const struct torc_redis_command *command)
{
	uint8_t head[TORC_RESP_HEAD + 2];
	size_t size = torc_resp_put_head(head, '*', command->argc);
	int rc = torc_conn_write(link->conn, head, size, deadline);

	for (unsigned i = 0; rc == 0 && i < command->argc; i++) {
		const struct torc_slice *argument = &command->argv[i];

		size = torc_resp_put_head(head, '$', argument->size);
		rc = torc_conn_write(link->conn, head, size, deadline);
		if (rc == 0)
			rc = torc_conn_write(link->conn, argument->data,
			    argument->size, deadline);
		if (rc == 0)
			rc = torc_conn_write(link->conn, "\r\n", 2, deadline);
	}
	return rc;
}

/* The largest size that the batch can have on the wire. */
static size_t
most_bytes(const struct torc_redis_command *command)
{
	size_t size = TORC_RESP_HEAD;

	for (unsigned i = 0; i < command->argc; i++)
		size += command->argv[i].size + TORC_RESP_HEAD + 2;
	return size;
}

/*
 * If there is no room for this batch, staged bytes are sent first: a write that
 * has to wait must not fail with others' commands in it.
 */
static int
put_command(struct link *link, torc_deadline deadline,
    const struct torc_redis_command *command, bool *begun)
{
	const size_t size = most_bytes(command);
	uint8_t bytes[SMALL];
	int rc = 0;

	if (size > torc_conn_room(link->conn))
		rc = torc_conn_flush(link->conn, deadline);
	if (rc < 0)
		return rc;
	*begun = true;
	if (size > sizeof(bytes))
		return put_large(link, deadline, command);
	return torc_conn_write(link->conn, bytes,
	    torc_resp_put_command(bytes, command->argv, command->argc),
	    deadline);
}

static int
put_word(
    struct link *link, const char *word, torc_deadline deadline, bool *begun)
{
	const struct torc_slice argv = { (const uint8_t *)word,
		strlen(word) };
	const struct torc_redis_command command = { &argv, 1 };

	return put_command(link, deadline, &command, begun);
}

int
torc_redis_link_write(struct link *link, torc_deadline deadline,
    const struct batch *batch, bool *begun)
{
	int rc = 0;

	*begun = false;
	if (batch->asking)
		rc = put_word(link, "ASKING", deadline, begun);
	if (rc == 0 && batch->atomic)
		rc = put_word(link, "MULTI", deadline, begun);
	for (unsigned i = 0; rc == 0 && i < batch->count; i++)
		rc = put_command(link, deadline, &batch->commands[i], begun);
	if (rc == 0 && batch->atomic)
		rc = put_word(link, "EXEC", deadline, begun);
	if (rc < 0) {
		link->mute = true;
		torc_shared_retire(&link->shared);
	}
	return rc;
}

/* Whether the write may have to wait for the server to read. */
static bool
is_large(const struct link *link, const struct batch *batch)
{
	const size_t room = torc_conn_room(link->conn);
	size_t size = 0;

	for (unsigned i = 0; i < batch->count && size <= room; i++)
		size += most_bytes(&batch->commands[i]);
	return size > room;
}

/* Stop waiting for a request. It keeps its place in the pipeline. */
static void
give_up(struct link *link, struct request *request)
{
	int rc = torc_pipeline_await(&link->shared.pipeline, &request->base,
	    TORC_AT_ONCE);

	if (rc != -ETIMEDOUT && rc != -ECANCELED)
		torc_redis_request_free(request);
}

/*
 * Parks. Returns 0; or an error, and the request is not ours any more. A failed
 * write ends the connection; other requests on it are not to blame.
 */
static int
submit(struct link *link, struct request *request, torc_deadline deadline,
    const struct batch *batch, bool *sent)
{
	struct torc_pipeline *pipeline = &link->shared.pipeline;
	int rc = torc_shared_begin(&link->shared, &request->base, deadline);

	if (rc < 0) {
		torc_redis_request_free(request);
		return rc;
	}
	if (link->mute) {
		rc = -EPIPE;
	} else {
		if (is_large(link, batch))
			torc_pipeline_attend(pipeline, &request->base);
		rc = torc_redis_link_write(link, deadline, batch, sent);
		/* Replies to earlier requests may still come. */
		if (rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
			torc_pipeline_break(pipeline, -ECONNRESET);
	}
	torc_pipeline_end(pipeline);
	/* Also for a command that Redis refuses before it has received all of
	 * it. */
	if (rc < 0 && request->base.done && request->base.result == 0)
		rc = 0;
	if (rc < 0)
		give_up(link, request);
	return rc;
}

/*
 * Late replies are awaited, unless the connection may be lost. A call with a
 * short deadline cannot tell, and must not take the connection from others.
 */
static void
note_lateness(struct link *link)
{
	if (torc_shared_is_quiet(&link->shared))
		torc_shared_retire(&link->shared);
}

int
torc_redis_link_call(struct link *link, struct request **out,
    torc_deadline deadline, const struct batch *batch, bool *sent)
{
	struct request *request = request_new(batch);
	int rc;

	*out = NULL;
	*sent = false;
	if (request == NULL)
		return -ENOMEM;
	rc = submit(link, request, deadline, batch, sent);
	if (rc < 0)
		return rc;
	rc = torc_pipeline_await(&link->shared.pipeline, &request->base,
	    deadline);
	if (rc == 0) {
		assemble(request, batch);
		*out = request;
		return 0;
	}
	if (rc == -ETIMEDOUT)
		note_lateness(link);
	if (rc != -ETIMEDOUT && rc != -ECANCELED) {
		torc_shared_retire(&link->shared);
		*sent = !request->base.unsent;
		torc_redis_request_free(request);
	}
	return rc;
}

int
torc_redis_link_explain(const struct link *link, int rc, bool sent,
    struct trouble *trouble)
{
	const char *what = "connection lost: ", *cause = "";

	switch (rc) {
	case -ETIMEDOUT:
		what = sent ? "no reply before the deadline of the call" :
		    "no turn to write before the deadline of the call";
		break;
	case -ECANCELED:
		what = "the fiber was cancelled";
		break;
	case -EBADMSG:
		what = "the bytes received are not the protocol of Redis";
		break;
	case -ENOMEM:
		what = "no memory";
		break;
	default:
		cause = strerror(-rc);
	}
	return torc_redis_tell(trouble, rc,
	    sent ? TORC_REDIS_UNKNOWN : TORC_REDIS_UNSENT, "%s: %s%s; %s",
	    link->address, what, cause,
	    sent ? "the command was sent, and may have been done" :
		   "nothing was sent");
}

int
torc_redis_link_do(struct link *link, struct request **request,
    torc_deadline deadline, unsigned argc, const char *const *words)
{
	struct torc_slice argv[LINK_WORDS];
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	bool sent;

	for (unsigned i = 0; i < argc; i++)
		argv[i] = (struct torc_slice) { (const uint8_t *)words[i],
			strlen(words[i]) };
	return torc_redis_link_call(link, request, deadline, &batch, &sent);
}

bool
torc_redis_link_alive(struct link *link)
{
	const struct torc_shared *shared = &link->shared;

	if (shared->retired || shared->pipeline.error != 0 ||
	    torc_redis_is_replaced(link))
		return false;
	/* Without a request, nothing may have arrived, not even the end. */
	return shared->pipeline.count > 0 || torc_conn_usable(link->conn);
}
