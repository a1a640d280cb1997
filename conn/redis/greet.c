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

static int
refuse(struct line *line, const struct torc_redis_reply *reply)
{
	static const char *const closed[] = { "WRONGPASS", "NOAUTH", "NOPERM" };
	int error = -EREMOTEIO;

	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		if (redis_is_error(reply, closed[i]))
			error = -EACCES;
	}
	return fail(line, error, "%s: %s: %s", line->node->address,
	    line->opener->stage, reply->text);
}

/* Parks. A step of the greeting: 0, or an error that is explained. */
static int
greet_with(struct line *line, uint64_t deadline, unsigned argc,
    const char *const *argv)
{
	struct request *request;
	int rc;

	line->opener->stage = argv[0];
	rc = line_do(line, &request, deadline, argc, argv);
	if (rc < 0)
		return fail(line, rc, "%s: no answer to %s: %s",
		    line->node->address, argv[0], strerror(-rc));
	if (request->root.type == TORC_REDIS_ERROR)
		rc = refuse(line, &request->root);
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
	const char *const ping[] = { "PING" };
	int rc = 0;

	if (config->password != NULL && config->user != NULL)
		rc = greet_with(line, deadline, 3, auth);
	else if (config->password != NULL)
		rc = greet_with(line, deadline, 2, old);
	if (rc == 0 && config->name != NULL)
		rc = greet_with(line, deadline, 3, name);
	/* Whoever accepts connections, and ends them, is no server yet: if
	 * nothing else asks for an answer, this does. */
	if (config->password == NULL && config->name == NULL &&
	    config->database == 0)
		rc = greet_with(line, deadline, 1, ping);
	return rc;
}

/* Whether it is of those servers. */
static bool
is_unknown(const struct torc_redis_reply *reply)
{
	return redis_is_error(reply, "NOPROTO") ||
	    (redis_is_error(reply, "ERR") &&
	    strstr(reply->text, "unknown command") != NULL);
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
	line->opener->stage = "HELLO";
	rc = line_do(line, &request, deadline, argc, argv);
	if (rc < 0)
		return fail(line, rc, "%s: no answer to HELLO: %s",
		    line->node->address, strerror(-rc));
	if (request->root.type == TORC_REDIS_ERROR)
		rc = config->protocol == 0 && is_unknown(&request->root) ?
		    -EPROTONOSUPPORT : refuse(line, &request->root);
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
	torc_resp_tree_init(&line->tree, NULL,
	    &line->node->redis->config.limits);
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
