/* SPDX-License-Identifier: MIT */
/*
 * why.c - the text of an error, and what is known about the command that
 * failed. Both belong to the call or to its session, so fibers that fail at the
 * same time do not share them.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"

/* A reply that torc makes: the call has failed. */
struct failure {
	struct request request;
	struct torc_error error;
};

static const struct torc_error no_error;
static const struct torc_error no_memory = {
	.code = -ENOMEM,
	.text = "no memory for the text of an error",
};
static const struct torc_error no_memory_for_words = {
	.code = -EREMOTEIO,
	.cut = true,
	.text = "...",
};

static struct failure *
failure_new(void)
{
	struct failure *failure = torc_sys_alloc_raw(sizeof(*failure));
	struct request *request;

	if (failure == NULL)
		return NULL;
	request = &failure->request;
	memset(request, 0, offsetof(struct request, memory));
	torc_resp_arena_init(&request->arena, NULL, 0);
	request->error = &failure->error;
	return failure;
}

static int
vtell(struct trouble *trouble, int error, enum torc_redis_fate fate,
    const char *format, va_list arguments)
{
	if (trouble == NULL)
		return error;
	if (trouble->error == NULL) {
		struct failure *failure = failure_new();

		if (failure == NULL)
			return error;
		trouble->reply = &failure->request;
		trouble->error = &failure->error;
	}
	trouble->fate = fate;
	return torc_error_vset(trouble->error, error, format, arguments);
}

int
torc_redis_fail(struct trouble *trouble, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vtell(trouble, error, TORC_REDIS_UNSENT, format, arguments);
	va_end(arguments);
	return error;
}

int
torc_redis_tell(struct trouble *trouble, int error, enum torc_redis_fate fate,
    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vtell(trouble, error, fate, format, arguments);
	va_end(arguments);
	return error;
}

int
torc_redis_pass_on(struct trouble *trouble, int error,
    const struct torc_error *from)
{
	(void)torc_redis_fail(trouble, error, "%s", from->text);
	if (trouble != NULL && trouble->error != NULL)
		trouble->error->cut |= from->cut;
	return error;
}

void
torc_redis_trouble_end(struct trouble *trouble)
{
	if (trouble == NULL || trouble->reply == NULL)
		return;
	torc_redis_request_free(trouble->reply);
	trouble->reply = NULL;
	trouble->error = NULL;
}

/* The text of a session stays there, too. */
static void
copy_words(struct trouble *trouble)
{
	struct failure *failure = failure_new();

	if (failure == NULL)
		return;
	failure->error = *trouble->error;
	trouble->reply = &failure->request;
}

struct torc_redis_reply *
torc_redis_trouble_reply(struct trouble *trouble)
{
	struct request *request;
	struct torc_error *error;

	if (trouble->reply == NULL && trouble->error != NULL)
		copy_words(trouble);
	request = trouble->reply;
	if (request == NULL)
		return NULL;
	error = request->error;
	request->fate = trouble->fate;
	request->root = (struct torc_redis_reply) {
		.type = TORC_REDIS_FAILURE, .integer = error->code,
		.text = error->text, .size = strlen(error->text),
	};
	return &request->root;
}

void
torc_redis_reply_unsent(struct torc_redis_reply *reply)
{
	if (reply != NULL)
		((struct request *)(void *)((uint8_t *)reply -
		    offsetof(struct request, root)))->fate = TORC_REDIS_UNSENT;
}

/* ---- What the program asks ---- */

static const struct request *
request_of(const struct torc_redis_reply *reply)
{
	return (const struct request *)(const void *)((const uint8_t *)reply -
	    offsetof(struct request, root));
}

const struct torc_error *
torc_redis_reply_error(const struct torc_redis_reply *reply)
{
	const struct request *request;

	if (reply == NULL)
		return &no_memory;
	request = request_of(reply);
	if (request->error != NULL)
		return request->error;
	return request->root.type == TORC_REDIS_ERROR ? &no_memory_for_words :
	    &no_error;
}

enum torc_redis_fate
torc_redis_reply_fate(const struct torc_redis_reply *reply)
{
	return reply == NULL ? TORC_REDIS_UNKNOWN : request_of(reply)->fate;
}
