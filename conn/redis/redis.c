/* SPDX-License-Identifier: MIT */
/*
 * redis.c - the client: commands and scripts.
 */
#include "conn/redis/redis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"

#define ARGUMENT_MAX (512u << 20)	/* proto-max-bulk-len of servers */
#define ARGUMENTS_MAX (1u << 20)	/* that servers take */
/*
 * The limit of a command or a transaction: servers close a connection that has
 * sent more than client-query-buffer-limit (1 GiB) at once.
 */
#define TOTAL_MAX (UINT64_C(768) << 20)
/*
 * Larger commands are sent over separate links. The smallest limit that a
 * server can have for an argument and for a command is 1 MiB.
 */
#define LARGE (512u << 10)

/* ---- Commands ---- */

/* The name is printed for people. It may contain anything. */
static int
refuse_by_name(struct trouble *trouble, const struct torc_slice *name,
    unsigned flags)
{
	const char *why = "changes or blocks its connection, which others "
	    "share: use torc_redis_session_acquire()";
	char text[32];

	if (flags & COMMAND_FOREIGN)
		why = "is not answered by one reply: for messages, use "
		    "torc_redis_subscriber_create()";
	if (flags & COMMAND_FATAL)
		why = "makes Redis close the connection";
	torc_text_print(text, sizeof(text), "%.*s",
	    name->size < 64 ? (int)name->size : 64, (const char *)name->data);
	return torc_redis_fail(trouble, -EOPNOTSUPP, "%s %s", text, why);
}

int
torc_redis_check(struct trouble *trouble,
    const struct torc_redis_command *command, unsigned flags, uint64_t *total)
{
	const struct torc_slice *argv = command->argv;
	unsigned wrong;

	if (command->argc == 0 || argv[0].size == 0)
		return torc_redis_fail(trouble, -EINVAL,
		    "a command has no name");
	if (command->argc > ARGUMENTS_MAX)
		return torc_redis_fail(trouble, -EINVAL,
		    "a command has %u words: at most %u", command->argc,
		    ARGUMENTS_MAX);
	for (unsigned i = 0; i < command->argc; i++) {
		if (argv[i].size > ARGUMENT_MAX)
			return torc_redis_fail(trouble, -EMSGSIZE,
			    "argument %u of a command has %zu bytes: at most "
			    "%u", i, argv[i].size, ARGUMENT_MAX);
		*total += argv[i].size;
	}
	if (*total > TOTAL_MAX)
		return torc_redis_fail(trouble, -EMSGSIZE, "the arguments of a "
		    "command or a transaction have %llu bytes: at most %llu",
		    (unsigned long long)*total,
		    (unsigned long long)TOTAL_MAX);
	wrong = torc_redis_command_flags(command->argc, argv) &
	    (flags | COMMAND_FATAL);
	return wrong == 0 ? 0 : refuse_by_name(trouble, &argv[0], wrong);
}

const char *
torc_redis_over_limit(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return "it has more than reply_bytes_max bytes";
	case -E2BIG:
		return "it has more than reply_items_max items";
	case -ELOOP:
		return "it is nested deeper than reply_depth_max";
	case -ENAMETOOLONG:
		return "it has a line that is longer than reply_line_max, or "
		    "than the reactor's held_max";
	case -ENOMEM:
		return "there is no memory for it";
	default:
		return NULL;
	}
}

static int
tell_refused(struct trouble *trouble, const struct request *request)
{
	return torc_redis_tell(trouble, request->refused, TORC_REDIS_ANSWERED,
	    "reply %u of %u was skipped: %s; the command was answered, and it "
	    "was done unless the reply says otherwise",
	    request->refused_at + 1, request->expected,
	    torc_redis_over_limit(request->refused));
}

/* An error of Redis is the reply, and is copied to an error. */
static int
tell_reply(struct trouble *trouble, struct request *request, bool wanted)
{
	const char *text = request->root.text;

	if (wanted)
		request->error = torc_resp_arena_take(&request->arena,
		    sizeof(*request->error));
	(void)torc_error_set(request->error, -EREMOTEIO, "%s", text);
	/* A session keeps its error, too. */
	return trouble == NULL || trouble->error == NULL ? -EREMOTEIO :
	    torc_redis_tell(trouble, -EREMOTEIO, TORC_REDIS_ANSWERED, "%s",
	    text);
}

int
torc_redis_deliver(struct trouble *trouble, int rc, struct request *request,
    struct torc_redis_reply **reply)
{
	if (rc == 0)
		torc_redis_trouble_end(trouble);
	if (rc == 0 && request->refused != 0) {
		rc = tell_refused(trouble, request);
		torc_redis_request_free(request);
	}
	if (rc < 0) {
		if (reply != NULL)
			*reply = torc_redis_trouble_reply(trouble);
		return rc;
	}
	request->fate = TORC_REDIS_ANSWERED;
	if (request->root.type == TORC_REDIS_ERROR)
		rc = tell_reply(trouble, request, reply != NULL);
	if (reply != NULL)
		*reply = &request->root;
	else
		torc_redis_request_free(request);
	return rc;
}

void
torc_redis_reply_free(struct torc_redis_reply *reply)
{
	if (reply != NULL)
		torc_redis_request_free((struct request *)((uint8_t *)reply -
		    offsetof(struct request, root)));
}

/* Parks. Send a batch to its node. */
static int
send_batch(struct torc_redis *redis, struct torc_redis_reply **reply,
    torc_deadline deadline, struct batch *batch)
{
	const unsigned refused = COMMAND_STATEFUL | COMMAND_FOREIGN;
	struct trouble trouble = { .fate = TORC_REDIS_UNSENT };
	struct trouble *told = reply != NULL ? &trouble : NULL;
	struct request *request = NULL;
	uint64_t total = 0, all = 0;
	bool sent;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < batch->count; i++) {
		if (!batch->atomic)
			total = 0;
		rc = torc_redis_check(
		    told, &batch->commands[i], refused, &total);
		all += total;
	}
	batch->large = all > LARGE;
	if (rc == 0)
		rc = redis->config.cluster ?
		    torc_redis_cluster_call(redis, &request, deadline, batch,
		    told) :
		    torc_redis_node_call(redis->nodes[0], &request, deadline,
		    batch, &sent, told);
	return torc_redis_deliver(told, rc, request, reply);
}

int
torc_redis_call(struct torc_redis *redis, const struct torc_slice *argv,
    unsigned argc, struct torc_redis_reply **reply, torc_deadline deadline)
{
	const struct torc_redis_command command = { argv, argc };
	struct batch batch = { .commands = &command, .count = 1 };

	return send_batch(redis, reply, deadline, &batch);
}

int
torc_redis_words(struct trouble *trouble, struct torc_slice *argv,
    unsigned *argc, va_list words)
{
	const char *word;

	*argc = 0;
	while ((word = va_arg(words, const char *)) != NULL) {
		if (*argc == REDIS_WORDS)
			return torc_redis_fail(trouble, -E2BIG,
			    "more than %u words: torc_redis_call() takes an "
			    "array", REDIS_WORDS);
		argv[(*argc)++] = (struct torc_slice) {
			(const uint8_t *)word, strlen(word) };
	}
	return 0;
}

int
torc_redis_do(struct torc_redis *redis, struct torc_redis_reply **reply,
    torc_deadline deadline, ...)
{
	struct trouble trouble = { .fate = TORC_REDIS_UNSENT };
	struct torc_slice argv[REDIS_WORDS];
	unsigned argc;
	va_list words;
	int rc;

	va_start(words, deadline);
	rc = torc_redis_words(reply != NULL ? &trouble : NULL, argv, &argc,
	    words);
	va_end(words);
	return rc < 0 ? torc_redis_deliver(&trouble, rc, NULL, reply) :
	    torc_redis_call(redis, argv, argc, reply, deadline);
}

static int
send_several(struct torc_redis *redis, struct torc_redis_reply **reply,
    torc_deadline deadline, struct batch *batch)
{
	struct trouble trouble = { .fate = TORC_REDIS_UNSENT };
	int rc;

	if (batch->count > 0 && batch->count <= ARGUMENTS_MAX)
		return send_batch(redis, reply, deadline, batch);
	rc = torc_redis_fail(reply != NULL ? &trouble : NULL, -EINVAL,
	    "%u commands: must be 1 to %u", batch->count, ARGUMENTS_MAX);
	return torc_redis_deliver(&trouble, rc, NULL, reply);
}

int
torc_redis_batch(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline)
{
	struct batch batch = { .commands = commands, .count = count,
		.list = true };

	return send_several(redis, reply, deadline, &batch);
}

int
torc_redis_transact(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline)
{
	struct batch batch = { .commands = commands, .count = count,
		.atomic = true };

	return send_several(redis, reply, deadline, &batch);
}

/* ---- Scripts ---- */

/*
 * Parks. Run a script whose hash the server knows. After an error there is a
 * reply.
 */
static int
learn_hash(struct torc_redis *redis, struct torc_redis_script *script,
    struct torc_redis_reply **reply, torc_deadline deadline)
{
	struct trouble trouble = { .fate = TORC_REDIS_UNSENT };
	int rc = torc_redis_do(redis, reply, deadline, "SCRIPT", "LOAD",
	    script->text, NULL);

	/* Whatever happened to SCRIPT LOAD, the script was not sent to be
	 * run. */
	if (rc < 0 && rc != -EREMOTEIO)
		torc_redis_reply_unsent(*reply);
	if (rc < 0)
		return rc;
	if ((*reply)->type == TORC_REDIS_STRING &&
	    (*reply)->size == sizeof(script->sha) - 1)
		memcpy(script->sha, (*reply)->text, sizeof(script->sha));
	else
		rc = torc_redis_fail(&trouble, -EPROTO,
		    "SCRIPT LOAD gave no hash: the script was not run");
	torc_redis_reply_free(*reply);
	*reply = NULL;
	return rc < 0 ? torc_redis_deliver(&trouble, rc, NULL, reply) : 0;
}

/* Parks. `argv` has room for three words at its beginning. */
static int
run_script(struct torc_redis *redis, struct torc_redis_reply **reply,
    torc_deadline deadline, const struct torc_redis_script *script,
    unsigned argc, struct torc_slice *argv)
{
	int rc;

	argv[0] = (struct torc_slice) { (const uint8_t *)"EVALSHA", 7 };
	argv[1] = (struct torc_slice) { (const uint8_t *)script->sha,
		sizeof(script->sha) - 1 };
	rc = torc_redis_call(redis, argv, argc, reply, deadline);
	if (rc != -EREMOTEIO || !torc_redis_is_error(*reply, "NOSCRIPT"))
		return rc;
	torc_redis_reply_free(*reply);
	argv[0].size = 4;
	argv[1] = (struct torc_slice) { (const uint8_t *)script->text,
		strlen(script->text) };
	return torc_redis_call(redis, argv, argc, reply, deadline);
}

/*
 * Check the size of a script's command, and make the words of EVALSHA. Returns
 * 0 or an error.
 */
static int
script_words(struct torc_slice **words, unsigned argc, unsigned keys,
    struct trouble *trouble)
{
	if (keys > argc || argc > ARGUMENTS_MAX - 3)
		return torc_redis_fail(trouble, -EINVAL,
		    "%u keys among %u arguments of a script: at most as many, "
		    "and %u", keys, argc, ARGUMENTS_MAX - 3);
	*words = torc_sys_alloc_raw((argc + 3) * sizeof(**words));
	return *words != NULL ? 0 :
	    torc_redis_fail(trouble, -ENOMEM, "no memory for a script");
}

int
torc_redis_eval(struct torc_redis *redis, struct torc_redis_script *script,
    const struct torc_slice *argv, unsigned argc, unsigned keys,
    struct torc_redis_reply **out, torc_deadline deadline)
{
	struct trouble trouble = { .fate = TORC_REDIS_UNSENT };
	struct torc_redis_reply *reply = NULL;
	struct torc_slice *all;
	char digits[12];
	int rc = script_words(&all, argc, keys, out != NULL ? &trouble : NULL);

	if (rc < 0)
		return torc_redis_deliver(&trouble, rc, NULL, out);
	all[2] = (struct torc_slice) { (const uint8_t *)digits,
		(size_t)snprintf(digits, sizeof(digits), "%u", keys) };
	if (argc > 0)
		memcpy(all + 3, argv, argc * sizeof(*all));
	if (script->sha[0] == '\0')
		rc = learn_hash(redis, script, &reply, deadline);
	if (rc == 0)
		rc = run_script(redis, &reply, deadline, script, argc + 3,
		    all);
	torc_sys_free(all);
	if (out != NULL)
		*out = reply;
	else
		torc_redis_reply_free(reply);
	return rc;
}
