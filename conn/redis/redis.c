/*
 * redis.c - the client: commands and scripts.
 */
#include "conn/redis/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENT_MAX (512u << 20)	/* proto-max-bulk-len of servers */
#define ARGUMENTS_MAX (1u << 20)	/* that servers take */

int
redis_fail(struct torc_redis *redis, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(redis->why, sizeof(redis->why), format, arguments);
	va_end(arguments);
	return error;
}

const char *
torc_redis_why(const struct torc_redis *redis)
{
	return redis->why;
}

/* ---- Commands ---- */

int
redis_check(struct torc_redis *redis, unsigned argc,
    const struct torc_slice *argv, unsigned flags)
{
	if (argc == 0 || argv[0].size == 0 || argc > ARGUMENTS_MAX)
		return redis_fail(redis, -EINVAL, "a command has 1 to %u "
		    "arguments, and a name", ARGUMENTS_MAX);
	for (unsigned i = 0; i < argc; i++) {
		if (argv[i].size > ARGUMENT_MAX)
			return redis_fail(redis, -EMSGSIZE,
			    "an argument has more than %u bytes",
			    ARGUMENT_MAX);
	}
	if ((command_flags(argc, argv) & flags) == 0)
		return 0;
	return redis_fail(redis, -EOPNOTSUPP, "%.*s needs a connection of "
	    "its own", (int)(argv[0].size < 32 ? argv[0].size : 32),
	    (const char *)argv[0].data);
}

int
redis_deliver(struct torc_redis *redis, int rc, struct request *request,
    struct torc_redis_reply **reply)
{
	if (reply != NULL)
		*reply = NULL;
	if (rc < 0)
		return rc;
	if (request->root.type == TORC_REDIS_ERROR)
		rc = redis_fail(redis, -EREMOTEIO, "%.200s",
		    request->root.text);
	if (reply != NULL)
		*reply = &request->root;
	else
		request_free(request);
	return rc;
}

void
torc_redis_free(struct torc_redis_reply *reply)
{
	if (reply != NULL)
		request_free((struct request *)((uint8_t *)reply -
		    offsetof(struct request, root)));
}

/* Parks. To where it belongs. */
static int
send_batch(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, struct batch *batch)
{
	const unsigned refused = COMMAND_STATEFUL | COMMAND_FOREIGN;
	struct request *request = NULL;
	bool sent;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < batch->count; i++)
		rc = redis_check(redis, batch->commands[i].argc,
		    batch->commands[i].argv, refused);
	if (rc == 0)
		rc = redis->config.cluster ?
		    cluster_call(redis, &request, deadline, batch) :
		    node_call(redis->nodes[0], &request, deadline, batch,
		    &sent);
	return redis_deliver(redis, rc, request, reply);
}

int
torc_redis_call(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, unsigned argc, const struct torc_slice *argv)
{
	const struct torc_redis_command command = { argv, argc };
	struct batch batch = { .commands = &command, .count = 1 };

	return send_batch(redis, reply, deadline, &batch);
}

int
redis_words(struct torc_slice *argv, unsigned *argc, va_list words)
{
	const char *word;

	*argc = 0;
	while ((word = va_arg(words, const char *)) != NULL) {
		if (*argc == REDIS_WORDS)
			return -E2BIG;
		argv[(*argc)++] = (struct torc_slice) {
			(const uint8_t *)word, strlen(word) };
	}
	return 0;
}

int
torc_redis_do(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, ...)
{
	struct torc_slice argv[REDIS_WORDS];
	unsigned argc;
	va_list words;
	int rc;

	va_start(words, deadline);
	rc = redis_words(argv, &argc, words);
	va_end(words);
	return rc < 0 ? redis_deliver(redis, rc, NULL, reply) :
	    torc_redis_call(redis, reply, deadline, argc, argv);
}

int
torc_redis_batch(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, unsigned count,
    const struct torc_redis_command *commands)
{
	struct batch batch = { .commands = commands, .count = count,
		.list = true };

	if (count == 0 || count > ARGUMENTS_MAX)
		return redis_deliver(redis, -EINVAL, NULL, reply);
	return send_batch(redis, reply, deadline, &batch);
}

int
torc_redis_transact(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, unsigned count,
    const struct torc_redis_command *commands)
{
	struct batch batch = { .commands = commands, .count = count,
		.atomic = true };

	if (count == 0 || count > ARGUMENTS_MAX)
		return redis_deliver(redis, -EINVAL, NULL, reply);
	return send_batch(redis, reply, deadline, &batch);
}

/* ---- Scripts ---- */

/* The server knows the hash. Parks. */
static int
learn_hash(struct torc_redis *redis, struct torc_redis_script *script,
    struct torc_redis_reply **reply, uint64_t deadline)
{
	int rc = torc_redis_do(redis, reply, deadline, "SCRIPT", "LOAD",
	    script->text, NULL);

	if (rc < 0)
		return rc;
	if ((*reply)->type == TORC_REDIS_STRING &&
	    (*reply)->size == sizeof(script->sha) - 1)
		memcpy(script->sha, (*reply)->text, sizeof(script->sha));
	else
		rc = redis_fail(redis, -EPROTO, "SCRIPT LOAD gave no hash");
	torc_redis_free(*reply);
	*reply = NULL;
	return rc;
}

/* Parks. `argv` has room for three in front. */
static int
run_script(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, const struct torc_redis_script *script, unsigned argc,
    struct torc_slice *argv)
{
	int rc;

	argv[0] = (struct torc_slice) { (const uint8_t *)"EVALSHA", 7 };
	argv[1] = (struct torc_slice) { (const uint8_t *)script->sha,
		sizeof(script->sha) - 1 };
	rc = torc_redis_call(redis, reply, deadline, argc, argv);
	if (rc != -EREMOTEIO || !redis_is_error(*reply, "NOSCRIPT"))
		return rc;
	torc_redis_free(*reply);
	argv[0].size = 4;
	argv[1] = (struct torc_slice) { (const uint8_t *)script->text,
		strlen(script->text) };
	return torc_redis_call(redis, reply, deadline, argc, argv);
}

int
torc_redis_eval(struct torc_redis *redis, struct torc_redis_reply **out,
    uint64_t deadline, struct torc_redis_script *script, unsigned keys,
    unsigned argc, const struct torc_slice *argv)
{
	struct torc_redis_reply *reply = NULL;
	struct torc_slice *all;
	char digits[12];
	int rc = 0;

	if (keys > argc || argc > ARGUMENTS_MAX - 3)
		return redis_deliver(redis, -EINVAL, NULL, out);
	all = malloc((argc + 3) * sizeof(*all));
	if (all == NULL)
		return redis_deliver(redis, -ENOMEM, NULL, out);
	all[2] = (struct torc_slice) { (const uint8_t *)digits,
		(size_t)snprintf(digits, sizeof(digits), "%u", keys) };
	if (argc > 0)
		memcpy(all + 3, argv, argc * sizeof(*all));
	if (script->sha[0] == '\0')
		rc = learn_hash(redis, script, &reply, deadline);
	if (rc == 0)
		rc = run_script(redis, &reply, deadline, script, argc + 3,
		    all);
	free(all);
	if (out != NULL)
		*out = reply;
	else
		torc_redis_free(reply);
	return rc;
}
