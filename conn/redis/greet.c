/*
 * greet.c - new connections to Redis: they are dialled, and let in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"

/* Say why a connection cannot be opened; returns `error`. */
static int __attribute__((format(printf, 3, 4)))
fail(const struct line *line, int error, const char *format, ...)
{
	struct opener *opener = line->opener;
	va_list arguments;

	va_start(arguments, format);
	redis_vformat(opener->why, sizeof(opener->why), format, arguments);
	va_end(arguments);
	return error;
}

/* ---- Being let in ---- */

static bool
is_one_of(const struct torc_redis_reply *reply, const char *const *codes)
{
	while (*codes != NULL && !redis_is_error(reply, *codes))
		codes++;
	return *codes != NULL;
}

/* Redis does not want us, and says why. */
static int
refuse(const struct line *line, const struct torc_redis_reply *reply)
{
	static const char *const closed[] = { "WRONGPASS", "NOAUTH", "NOPERM",
		"DENIED", NULL };

	return fail(line, is_one_of(reply, closed) ? -EACCES : -ECONNREFUSED,
	    "%s: %s: %s", line->node->address, line->opener->stage,
	    reply->text);
}

static int
refuse_stranger(const struct line *line)
{
	return fail(line, -EPROTO, "%s: this is no Redis: its answer to %s "
	    "is none", line->node->address, line->opener->stage);
}

/* Parks. Ask for something before we are let in. 0, or an error. */
static int
ask(struct line *line, struct request **request, uint64_t deadline,
    unsigned argc, const char *const *argv)
{
	int rc;

	line->opener->stage = argv[0];
	rc = line_do(line, request, deadline, argc, argv);
	if (rc == 0)
		return 0;
	if (rc == -EBADMSG)
		return refuse_stranger(line);
	return fail(line, rc, "%s: no answer to %s: %s", line->node->address,
	    argv[0], strerror(-rc));
}

/* Parks. A step of the greeting: 0, or an error that is explained. */
static int
greet_with(struct line *line, uint64_t deadline, unsigned argc,
    const char *const *argv)
{
	struct request *request;
	int rc = ask(line, &request, deadline, argc, argv);

	if (rc < 0)
		return rc;
	if (request->root.type == TORC_REDIS_ERROR)
		rc = refuse(line, &request->root);
	else if (request->root.type != TORC_REDIS_STATUS ||
	    strcmp(request->root.text, "OK") != 0)
		rc = refuse_stranger(line);
	request_free(request);
	return rc;
}

/*
 * Parks. Whether it is Redis that we talk to. There are errors that it has for
 * a PING, too; they are those of commands.
 */
static int
ping(struct line *line, uint64_t deadline)
{
	static const char *const known[] = { "LOADING", "MASTERDOWN", "BUSY",
		"MISCONF", NULL };
	static const char *const argv[] = { "PING" };
	const struct torc_redis_reply *root;
	struct request *request;
	int rc = ask(line, &request, deadline, 1, argv);

	if (rc < 0)
		return rc;
	root = &request->root;
	if (root->type == TORC_REDIS_ERROR) {
		/* One whose users may not ping is Redis, after AUTH. */
		if (!is_one_of(root, known) &&
		    (line->node->redis->config.password == NULL ||
		    !redis_is_error(root, "NOPERM")))
			rc = refuse(line, root);
	} else if (root->type != TORC_REDIS_STATUS ||
	    strcmp(root->text, "PONG") != 0) {
		rc = refuse_stranger(line);
	}
	request_free(request);
	return rc;
}

/* As servers before RESP3 are greeted. */
static int
greet_plainly(struct line *line, uint64_t deadline)
{
	const struct torc_redis_config *config = &line->node->redis->config;
	const char *const auth[] = { "AUTH", config->user, config->password };
	const char *const old[] = { "AUTH", config->password };
	const char *const name[] = { "CLIENT", "SETNAME", config->name };
	int rc = 0;

	if (config->password != NULL && config->user != NULL)
		rc = greet_with(line, deadline, 3, auth);
	else if (config->password != NULL)
		rc = greet_with(line, deadline, 2, old);
	if (rc == 0 && config->name != NULL)
		rc = greet_with(line, deadline, 3, name);
	return rc < 0 ? rc : ping(line, deadline);
}

/* Whether that is what servers say which do not speak RESP3. */
static bool
is_unknown(const struct torc_redis_reply *reply)
{
	return redis_is_error(reply, "NOPROTO") ||
	    (redis_is_error(reply, "ERR") &&
	    strstr(reply->text, "unknown command") != NULL);
}

/* A map that names a server, or the protocol that we have asked for. */
static bool
is_greeting(const struct torc_redis_reply *reply)
{
	bool named = false;

	if (reply->type != TORC_REDIS_MAP)
		return false;
	for (size_t i = 0; i + 1 < reply->size; i += 2) {
		const struct torc_redis_reply *pair = &reply->items[i];

		if (pair[0].type != TORC_REDIS_STRING &&
		    pair[0].type != TORC_REDIS_STATUS)
			continue;
		if (strcmp(pair[0].text, "proto") == 0)
			return pair[1].type == TORC_REDIS_INTEGER &&
			    pair[1].integer == 3;
		named |= strcmp(pair[0].text, "server") == 0;
	}
	return named;
}

static int
judge_greeting(const struct line *line, const struct torc_redis_reply *reply)
{
	const unsigned protocol = line->node->redis->config.protocol;

	if (reply->type != TORC_REDIS_ERROR)
		return is_greeting(reply) ? 0 : refuse_stranger(line);
	if (!is_unknown(reply))
		return refuse(line, reply);
	/* Its words may have our password in them. */
	return protocol == 0 ? -EPROTONOSUPPORT : fail(line, -ECONNREFUSED,
	    "%s: HELLO: the server does not speak RESP3 (protocol = %u)",
	    line->node->address, protocol);
}

static int
greet_in_resp3(struct line *line, uint64_t deadline)
{
	const struct torc_redis_config *config = &line->node->redis->config;
	const char *argv[LINE_WORDS] = { "HELLO", "3" };
	struct request *request;
	unsigned argc = 2;
	int rc;

	if (config->password != NULL) {
		argv[argc++] = "AUTH";
		argv[argc++] = config->user != NULL ? config->user : "default";
		argv[argc++] = config->password;
	}
	if (config->name != NULL) {
		argv[argc++] = "SETNAME";
		argv[argc++] = config->name;
	}
	rc = ask(line, &request, deadline, argc, argv);
	if (rc < 0)
		return rc;
	rc = judge_greeting(line, &request->root);
	request_free(request);
	return rc;
}

static int
greet(struct line *line, uint64_t deadline)
{
	const struct torc_redis_config *config = &line->node->redis->config;
	char digits[12];
	const char *const select[] = { "SELECT", digits };
	int rc = -EPROTONOSUPPORT;

	if (config->protocol != 2)
		rc = greet_in_resp3(line, deadline);
	if (rc == -EPROTONOSUPPORT)
		rc = greet_plainly(line, deadline);
	if (rc < 0 || config->database == 0)
		return rc;
	snprintf(digits, sizeof(digits), "%u", config->database);
	return greet_with(line, deadline, 2, select);
}

/* ---- What the pool does with lines ---- */

/* A connection on which RESP can be spoken; TLS would begin here. */
static int
dial(struct line *line, uint64_t deadline)
{
	const char *address = line->node->address;
	int rc;

	line->opener->stage = "connecting";
	rc = torc_dial_name(&line->conn, address, deadline);
	if (rc < 0)
		return fail(line, rc, "%s: cannot connect: %s", address,
		    strerror(-rc));
	torc_pipeline_init(&line->pipeline, line->conn, &line_replies, line);
	return 0;
}

static void
free_line(void *arg, void *item)
{
	struct line *line = item;

	(void)arg;
	torc_pipeline_break(&line->pipeline, -ESHUTDOWN);
	free(line);
}

static void
close_line(void *arg, void *item)
{
	struct line *line = item;
	struct torc_conn *conn = line->conn;

	free_line(arg, line);
	torc_conn_close(conn, 0);
}

static int
open_line(void *arg, void **item, uint64_t deadline)
{
	struct opener *opener = arg;
	struct line *line = calloc(1, sizeof(*line));
	int rc;

	*item = NULL;
	redis_format(opener->why, sizeof(opener->why), "%s: no memory",
	    opener->node->address);
	if (line == NULL)
		return -ENOMEM;
	line->opener = opener;
	line->node = opener->node;
	torc_resp_tree_init(&line->tree, NULL, NULL);
	rc = dial(line, deadline);
	if (rc < 0) {
		free(line);
		return rc;
	}
	rc = greet(line, deadline);
	if (rc < 0) {
		close_line(arg, line);
		return rc;
	}
	/* Those of the program are for what the program asks. */
	torc_resp_tree_init(&line->tree, NULL,
	    &line->node->redis->config.limits);
	*item = line;
	return 0;
}

static bool
line_usable(void *arg, void *item)
{
	(void)arg;
	return line_alive(item);
}

const struct torc_pool_kind line_kind = {
	.name = "redis",
	.open = open_line,
	.close = close_line,
	.free = free_line,
	.usable = line_usable,
};
