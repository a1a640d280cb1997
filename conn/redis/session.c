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
	struct line *line;
	struct torc_slice view;	/* of a reply that is read item by item */
	size_t taken;		/* of it, by the last item */
	bool reading;
	bool news;		/* what is read is no reply */
	bool begun;		/* MULTI or WATCH */
	bool altered;
	bool broken;
};

int
torc_redis_session_acquire(struct torc_redis *redis, const char *key,
    struct torc_redis_session **out, torc_deadline deadline)
{
	struct torc_redis_session *session = torc_sys_alloc(sizeof(*session));
	int rc;

	if (session == NULL)
		return torc_redis_fail(
		    redis, -ENOMEM, "no memory for a session");
	session->redis = redis;
	rc = torc_redis_node_rent(redis,
	    key == NULL ? -1 : (int)torc_redis_key_slot(key, strlen(key)),
	    &session->line, deadline);
	if (rc < 0) {
		torc_sys_free(session);
		return rc;
	}
	session->node = session->line->node;
	*out = session;
	return 0;
}

/* What the last item viewed is done with. */
static void
settle(struct torc_redis_session *session)
{
	torc_conn_consume(session->line->conn, session->taken);
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
	torc_pool_release(session->node->sessions.pool, session->line,
	    clean && torc_redis_line_alive(session->line));
	torc_redis_node_drop(session->node);
	torc_sys_free(session);
}

/* ---- Commands ---- */

static int
check(struct torc_redis_session *session,
    const struct torc_redis_command *command)
{
	uint64_t total = 0;

	if (session->broken)
		return torc_redis_fail(session->redis, -ENOTCONN,
		    "the session's connection was lost");
	if (session->reading)
		return torc_redis_fail(session->redis, -EBUSY,
		    "the last reply is not read to its end");
	return torc_redis_check(
	    session->redis, command, COMMAND_FOREIGN, &total);
}

/* How the connection differs from a new one after a command. */
static void
follow(struct torc_redis_session *session, unsigned flags,
    const struct request *request)
{
	const struct torc_redis_reply *reply = &request->root;

	/* Whether it ended what was begun cannot be told. */
	if ((flags & COMMAND_ALTERS) || request->refused != 0)
		session->altered |= flags != 0;
	/* Within MULTI nothing is done yet. */
	if (reply->type == TORC_REDIS_STATUS &&
	    strcmp(reply->text, "QUEUED") == 0)
		return;
	if (flags & COMMAND_BEGINS)
		session->begun = true;
	/* One that was refused has ended nothing, but for EXEC when it says
	 * that it has. */
	if ((flags & COMMAND_ENDS) && (reply->type != TORC_REDIS_ERROR ||
	    torc_redis_is_error(reply, "EXECABORT")))
		session->begun = false;
}

int
torc_redis_session_call(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct request *request = NULL;
	bool sent;
	int rc = check(session, &command);

	if (rc < 0)
		return torc_redis_deliver(session->redis, rc, NULL, reply);
	settle(session);
	rc = torc_redis_line_call(
	    session->line, &request, deadline, &batch, &sent);
	if (rc == 0) {
		follow(session, torc_redis_command_flags(argc, argv), request);
		session->altered |= torc_redis_judge(session->line, request,
		    false);
		if (session->redis->config.cluster)
			torc_redis_cluster_learn(session->redis, session->node,
			    &request->root);
	} else {
		session->broken = true;
		torc_redis_line_explain(session->line, rc, sent);
	}
	return torc_redis_deliver(session->redis, rc, request, reply);
}

int
torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
{
	struct torc_slice argv[REDIS_WORDS];
	unsigned argc;
	va_list words;
	int rc;

	va_start(words, deadline);
	rc = torc_redis_words(session->redis, argv, &argc, words);
	va_end(words);
	return rc < 0 ? torc_redis_deliver(session->redis, rc, NULL, reply) :
	    torc_redis_session_call(session, argv, argc, reply, deadline);
}

/* ---- Item by item ---- */

int
torc_redis_session_send(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc, torc_deadline deadline)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	unsigned flags;
	bool begun;
	int rc = check(session, &command);

	if (rc < 0)
		return rc;
	flags = torc_redis_command_flags(argc, argv);
	/* What it does is not followed here. */
	if (flags & (COMMAND_BEGINS | COMMAND_ENDS | COMMAND_ALTERS))
		session->altered = true;
	settle(session);
	session->view.size = 0;
	rc = torc_redis_line_write(session->line, deadline, &batch, &begun);
	if (rc < 0) {
		session->broken = true;
		return torc_redis_line_explain(session->line, rc, begun);
	}
	session->reading = true;
	return 0;
}

/* Parks. Bytes in view that no item took yet. */
static int
look(struct torc_redis_session *session, torc_deadline deadline)
{
	int rc = torc_conn_recv(session->line->conn, &session->view,
	    deadline);

	return rc > 0 ? 0 : rc == 0 ? -ECONNRESET :
	    rc == -ENOBUFS ? -ENAMETOOLONG : rc;
}

/* Parks. One item of whatever comes. */
static int
read_item(struct torc_redis_session *session, struct torc_resp_item *item,
    torc_deadline deadline)
{
	struct torc_resp_reader *reader = &session->line->tree.reader;
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
explain_read(const struct torc_redis_session *session, int rc)
{
	const char *limit = torc_redis_over_limit(rc);

	if (limit == NULL)
		return torc_redis_line_explain(session->line, rc, true);
	return torc_redis_tell(session->redis, rc, TORC_REDIS_ANSWERED,
	    "%s: a reply cannot be read further: %s", session->node->address,
	    limit);
}

int
torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, torc_deadline deadline)
{
	const struct torc_resp_reader *reader = &session->line->tree.reader;
	bool news;
	int rc;

	if (!session->reading)
		return torc_redis_fail(session->redis, -EINVAL,
		    "there is no reply to read");
	do {
		rc = read_item(session, item, deadline);
		if (rc < 0) {
			session->broken = true;
			return explain_read(session, rc);
		}
		if (item->first && item->depth == 0 && !item->aside)
			session->news = item->type == TORC_REDIS_PUSH;
		news = session->news;
	} while (news);
	session->reading = !reader->done;
	return session->reading;
}
