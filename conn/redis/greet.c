/* SPDX-License-Identifier: MIT */
/*
 * greet.c - the greeting on a connection: checks that it is Redis, and logs in.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "conn/transport.h"

static bool
is_one_of(const struct torc_redis_reply *reply, const char *const *codes)
{
	while (*codes != NULL && !torc_redis_is_error(reply, *codes))
		codes++;
	return *codes != NULL;
}

/* Redis refuses the connection, and says why. */
static int
refuse(const struct link *link, const struct torc_redis_reply *reply)
{
	static const char *const closed[] = { "WRONGPASS", "NOAUTH", "NOPERM",
		"DENIED", NULL };

	return torc_redis_fail_open(link,
	    is_one_of(reply, closed) ? -EACCES : -ECONNREFUSED,
	    "%s: %s: %s", link->address, link->opener->stage, reply->text);
}

static int
refuse_stranger(const struct link *link)
{
	return torc_redis_fail_open(link, -EPROTO, "%s: this is not Redis: its "
	    "answer to %s is not valid", link->address, link->opener->stage);
}

/* A server may refuse in TLS what the handshake has told it. */
static const char *
cause_of(const struct link *link, int error, char text[80])
{
	const struct torc_transport *transport = link->conn->transport;
	const char *why = transport != NULL && transport->error != 0 ?
	    link->node->redis->config.transport->why(transport) : NULL;

	return why != NULL ? why : torc_redis_open_error(link, error, text);
}

int
torc_redis_ask_early(struct link *link, struct request **request,
    torc_deadline deadline, unsigned argc, const char *const *argv)
{
	char words[80];
	int rc;

	link->opener->stage = argv[0];
	rc = torc_redis_link_do(link, request, deadline, argc, argv);
	if (rc == 0)
		return 0;
	if (rc == -EBADMSG)
		return refuse_stranger(link);
	return torc_redis_fail_open(link, rc, "%s: no answer to %s: %s",
	    link->address, argv[0], cause_of(link, rc, words));
}

/* Parks. One step of the greeting. Returns 0, or an error with its text set. */
static int
greet_with(struct link *link, torc_deadline deadline, unsigned argc,
    const char *const *argv)
{
	struct request *request;
	int rc = torc_redis_ask_early(link, &request, deadline, argc, argv);

	if (rc < 0)
		return rc;
	if (request->root.type == TORC_REDIS_ERROR)
		rc = refuse(link, &request->root);
	else if (request->root.type != TORC_REDIS_STATUS ||
	    strcmp(request->root.text, "OK") != 0)
		rc = refuse_stranger(link);
	torc_redis_request_free(request);
	return rc;
}

/*
 * Parks. Check that the server is Redis. It may answer PING with an error, too;
 * such errors belong to commands.
 */
static int
ping(struct link *link, const struct login *login, torc_deadline deadline)
{
	static const char *const known[] = { "LOADING", "MASTERDOWN", "BUSY",
		"MISCONF", NULL };
	static const char *const argv[] = { "PING" };
	const struct torc_redis_reply *root;
	struct request *request;
	int rc = torc_redis_ask_early(link, &request, deadline, 1, argv);

	if (rc < 0)
		return rc;
	root = &request->root;
	if (root->type == TORC_REDIS_ERROR) {
		/* After AUTH, a server whose user may not ping is Redis,
		 * too. */
		if (!is_one_of(root, known) &&
		    (login->password == NULL ||
		    !torc_redis_is_error(root, "NOPERM")))
			rc = refuse(link, root);
	} else if (root->type != TORC_REDIS_STATUS ||
	    strcmp(root->text, "PONG") != 0) {
		rc = refuse_stranger(link);
	}
	torc_redis_request_free(request);
	return rc;
}

/* Greet a server that does not know RESP3. */
static int
greet_plainly(
    struct link *link, const struct login *login, torc_deadline deadline)
{
	const char *const auth[] = { "AUTH", login->user, login->password };
	const char *const old[] = { "AUTH", login->password };
	const char *const name[] = { "CLIENT", "SETNAME", login->name };
	int rc = 0;

	if (login->password != NULL && login->user != NULL)
		rc = greet_with(link, deadline, 3, auth);
	else if (login->password != NULL)
		rc = greet_with(link, deadline, 2, old);
	if (rc == 0 && login->name != NULL)
		rc = greet_with(link, deadline, 3, name);
	return rc < 0 ? rc : ping(link, login, deadline);
}

/* Whether a reply is that of a server that does not know RESP3. */
static bool
is_unknown(const struct torc_redis_reply *reply)
{
	return torc_redis_is_error(reply, "NOPROTO") ||
	    torc_redis_is_error(reply, "unsupported") ||
	    (torc_redis_is_error(reply, "ERR") &&
	    (strstr(reply->text, "unknown command") != NULL ||
	    strstr(reply->text, "unsupported command") != NULL));
}

/*
 * The reply must be a map that names a server, or the protocol that we asked
 * for.
 */
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
judge_greeting(const struct link *link, const struct torc_redis_reply *reply)
{
	const unsigned protocol = link->node->redis->config.protocol;

	if (reply->type != TORC_REDIS_ERROR)
		return is_greeting(reply) ? 0 : refuse_stranger(link);
	if (!is_unknown(reply))
		return refuse(link, reply);
	if (protocol == 0)
		return -EPROTONOSUPPORT;
	/* The text of the error may contain our password. */
	return torc_redis_fail_open(link, -ECONNREFUSED,
	    "%s: HELLO: the server "
	    "does not speak RESP3 (protocol = %u)",
	    link->address, protocol);
}

static int
greet_in_resp3(struct link *link, const struct login *login,
    torc_deadline deadline)
{
	const char *argv[LINK_WORDS] = { "HELLO", "3" };
	struct request *request;
	unsigned argc = 2;
	int rc;

	if (login->password != NULL) {
		argv[argc++] = "AUTH";
		argv[argc++] = login->user != NULL ? login->user : "default";
		argv[argc++] = login->password;
	}
	if (login->name != NULL) {
		argv[argc++] = "SETNAME";
		argv[argc++] = login->name;
	}
	rc = torc_redis_ask_early(link, &request, deadline, argc, argv);
	if (rc < 0)
		return rc;
	rc = judge_greeting(link, &request->root);
	torc_redis_request_free(request);
	return rc;
}

int
torc_redis_greet(
    struct link *link, const struct login *login, torc_deadline deadline)
{
	char digits[12];
	const char *const select[] = { "SELECT", digits };
	int rc = -EPROTONOSUPPORT;

	if (link->node->redis->config.protocol != 2)
		rc = greet_in_resp3(link, login, deadline);
	if (rc == -EPROTONOSUPPORT)
		rc = greet_plainly(link, login, deadline);
	if (rc < 0 || login->database == 0)
		return rc;
	snprintf(digits, sizeof(digits), "%u", login->database);
	return greet_with(link, deadline, 2, select);
}
