/* SPDX-License-Identifier: MIT */
/*
 * session.c - connections of one's own.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"

struct torc_redis_session {
	struct torc_redis *redis;
	struct node *node;
	struct link *link;
	struct torc_slice view;	/* of a reply that is read item by item */
	size_t taken;		/* of it, by the last item */
	bool reading;
	bool news;		/* what is read is no reply */
	bool begun;		/* MULTI or WATCH */
	bool altered;
	bool broken;
	struct torc_error error;	/* of the last call */
	enum torc_redis_fate fate;
};

int
torc_redis_session_acquire(struct torc_redis *redis, const char *key,
    struct torc_redis_session **out, struct torc_error *error,
    torc_deadline deadline)
{
	struct torc_redis_session *session = torc_sys_alloc(sizeof(*session));
	struct trouble trouble = { .error = error };
	int rc;

	torc_error_clear(error);
	if (session == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for a session");
	session->redis = redis;
	rc = torc_redis_node_rent(redis,
	    key == NULL ? -1 : (int)torc_redis_key_slot(key, strlen(key)),
	    &session->link, deadline, error != NULL ? &trouble : NULL);
	if (rc < 0) {
		torc_sys_free(session);
		return rc;
	}
	/* Earlier failed attempts have set a text. */
	torc_error_clear(error);
	session->node = session->link->node;
	*out = session;
	return 0;
}

/* Consume the bytes of the last item. */
static void
settle(struct torc_redis_session *session)
{
	torc_conn_consume(session->link->conn, session->taken);
	session->view.data += session->taken;
	session->view.size -= session->taken;
	session->taken = 0;
}

void
torc_redis_session_release(struct torc_redis_session *session)
{
	bool clean = !session->reading && !session->begun &&
	    !session->altered && !session->broken;

	if (clean)
		settle(session);
	torc_pool_release(session->node->sessions.pool, session->link,
	    clean && torc_redis_link_alive(session->link));
	torc_redis_node_drop(session->node);
	torc_sys_free(session);
}

/* ---- Commands ---- */

const struct torc_error *
torc_redis_session_error(const struct torc_redis_session *session)
{
	return &session->error;
}

enum torc_redis_fate
torc_redis_session_fate(const struct torc_redis_session *session)
{
	return session->fate;
}

/* Begin a call: it has no error yet. */
static struct trouble
begin(struct torc_redis_session *session)
{
	torc_error_clear(&session->error);
	session->fate = TORC_REDIS_ANSWERED;
	return (struct trouble) {
		.error = &session->error, .fate = TORC_REDIS_ANSWERED,
	};
}

static int
check(struct torc_redis_session *session,
    const struct torc_redis_command *command, struct trouble *trouble)
{
	uint64_t total = 0;

	if (session->broken)
		return torc_redis_fail(trouble, -ENOTCONN,
		    "the session's connection was lost");
	if (session->reading)
		return torc_redis_fail(trouble, -EBUSY,
		    "the last reply is not read to its end");
	return torc_redis_check(trouble, command, COMMAND_FOREIGN, &total);
}

/* Track how a command changes the connection. */
static void
follow(struct torc_redis_session *session, unsigned flags,
    const struct request *request)
{
	const struct torc_redis_reply *reply = &request->root;

	/* It is not known whether the command ended what was begun. */
	if ((flags & COMMAND_ALTERS) || request->refused != 0)
		session->altered |= flags != 0;
	/* Within MULTI nothing is executed yet. */
	if (reply->type == TORC_REDIS_STATUS &&
	    strcmp(reply->text, "QUEUED") == 0)
		return;
	if (flags & COMMAND_BEGINS)
		session->begun = true;
	/* A refused command has ended nothing, except for EXEC if its error
	 * says so. */
	if ((flags & COMMAND_ENDS) && (reply->type != TORC_REDIS_ERROR ||
	    torc_redis_is_error(reply, "EXECABORT")))
		session->begun = false;
}

/* Parks. */
static int
call(struct torc_redis_session *session, const struct batch *batch,
    struct request **request, torc_deadline deadline, struct trouble *trouble)
{
	const struct torc_redis_command *command = &batch->commands[0];
	bool sent;
	int rc = check(session, command, trouble);

	if (rc < 0)
		return rc;
	settle(session);
	rc = torc_redis_link_call(session->link, request, deadline, batch,
	    &sent);
	if (rc < 0) {
		session->broken = true;
		return torc_redis_link_explain(session->link, rc, sent,
		    trouble);
	}
	follow(session, torc_redis_command_flags(command->argc, command->argv),
	    *request);
	session->altered |= torc_redis_judge(session->link, *request, false);
	if (session->redis->config.cluster)
		torc_redis_cluster_learn(session->redis, session->node,
		    &(*request)->root);
	return 0;
}

int
torc_redis_session_call(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct trouble trouble = begin(session);
	struct request *request = NULL;
	int rc = call(session, &batch, &request, deadline, &trouble);

	rc = torc_redis_deliver(&trouble, rc, request, reply);
	session->fate = trouble.fate;
	return rc;
}

int
torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
{
	struct trouble trouble = begin(session);
	struct torc_slice argv[REDIS_WORDS];
	unsigned argc;
	va_list words;
	int rc;

	va_start(words, deadline);
	rc = torc_redis_words(&trouble, argv, &argc, words);
	va_end(words);
	if (rc == 0)
		return torc_redis_session_call(session, argv, argc, reply,
		    deadline);
	session->fate = trouble.fate;
	return torc_redis_deliver(&trouble, rc, NULL, reply);
}

/* ---- Item by item ---- */

/* Parks. */
static int
send_command(struct torc_redis_session *session, const struct batch *batch,
    torc_deadline deadline, struct trouble *trouble)
{
	const struct torc_redis_command *command = &batch->commands[0];
	unsigned flags;
	bool begun;
	int rc = check(session, command, trouble);

	if (rc < 0)
		return rc;
	flags = torc_redis_command_flags(command->argc, command->argv);
	/* The effects of the command are not tracked here. */
	if (flags & (COMMAND_BEGINS | COMMAND_ENDS | COMMAND_ALTERS))
		session->altered = true;
	settle(session);
	session->view.size = 0;
	rc = torc_redis_link_write(session->link, deadline, batch, &begun);
	if (rc < 0) {
		session->broken = true;
		return torc_redis_link_explain(session->link, rc, begun,
		    trouble);
	}
	session->reading = true;
	return 0;
}

int
torc_redis_session_send(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc, torc_deadline deadline)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct trouble trouble = begin(session);
	int rc = send_command(session, &batch, deadline, &trouble);

	session->fate = trouble.fate;
	return rc;
}

/* Parks. Receive bytes that no item has taken yet. */
static int
look(struct torc_redis_session *session, torc_deadline deadline)
{
	int rc = torc_conn_recv(session->link->conn, &session->view,
	    deadline);

	return rc > 0 ? 0 : rc == 0 ? -ECONNRESET :
	    rc == -ENOBUFS ? -ENAMETOOLONG : rc;
}

/* Parks. Read one item. */
static int
read_item(struct torc_redis_session *session, struct torc_resp_item *item,
    torc_deadline deadline)
{
	struct torc_resp_reader *reader = &session->link->tree.reader;
	long taken;
	int rc;

	settle(session);
	for (;;) {
		taken = torc_resp_read(reader, session->view.data,
		    session->view.size, item);
		if (taken != 0)
			break;
		rc = look(session, deadline);
		if (rc < 0)
			return rc;
	}
	if (taken > 0)
		session->taken = (size_t)taken;
	return taken < 0 ? (int)taken : 0;
}

static int
explain_read(const struct torc_redis_session *session, int rc,
    struct trouble *trouble)
{
	const char *limit = torc_redis_over_limit(rc);

	if (limit == NULL)
		return torc_redis_link_explain(session->link, rc, true,
		    trouble);
	return torc_redis_tell(trouble, rc, TORC_REDIS_ANSWERED,
	    "%s: a reply cannot be read further: %s", session->node->address,
	    limit);
}

/* Parks. Read the next item that is not of a push. Returns 0 or an error. */
static int
read_next(struct torc_redis_session *session, struct torc_resp_item *item,
    torc_deadline deadline, struct trouble *trouble)
{
	bool news;
	int rc;

	if (!session->reading)
		return torc_redis_fail(trouble, -EINVAL,
		    "there is no reply to read");
	do {
		rc = read_item(session, item, deadline);
		if (rc < 0) {
			session->broken = true;
			return explain_read(session, rc, trouble);
		}
		if (item->first && item->depth == 0 && !item->aside)
			session->news = item->type == TORC_REDIS_PUSH;
		news = session->news;
	} while (news);
	return 0;
}

int
torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, torc_deadline deadline)
{
	struct trouble trouble = begin(session);
	int rc = read_next(session, item, deadline, &trouble);

	session->fate = trouble.fate;
	if (rc < 0)
		return rc;
	session->reading = !session->link->tree.reader.done;
	return session->reading;
}
