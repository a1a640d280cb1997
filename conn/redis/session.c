/*
 * session.c - connections of one's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"

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
torc_redis_session_open(struct torc_redis *redis,
    struct torc_redis_session **out, const char *key, uint64_t deadline)
{
	struct torc_redis_session *session = calloc(1, sizeof(*session));
	void *line;
	int rc = 0;

	if (session == NULL)
		return -ENOMEM;
	session->redis = redis;
	session->node = redis->nodes[0];
	if (redis->config.cluster)
		rc = cluster_node(redis, key == NULL ? -1 :
		    (int)key_slot(key, strlen(key)), &session->node,
		    deadline);
	if (rc == 0)
		rc = torc_pool_acquire(session->node->sessions, &line,
		    deadline);
	if (rc < 0) {
		if (rc == -ETIMEDOUT)
			redis_fail(redis, rc, "%s: no session in time (%s)",
			    session->node->address, session->node->stage);
		free(session);
		return rc;
	}
	session->line = line;
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
torc_redis_session_close(struct torc_redis_session *session)
{
	bool clean = !session->reading && !session->begun &&
	    !session->altered && !session->broken;

	if (clean)
		settle(session);
	torc_pool_release(session->node->sessions, session->line,
	    clean && line_alive(session->line));
	free(session);
}

/* ---- Commands ---- */

static int
check(struct torc_redis_session *session, unsigned argc,
    const struct torc_slice *argv)
{
	if (session->broken)
		return redis_fail(session->redis, -ENOTCONN,
		    "the session's connection was lost");
	if (session->reading)
		return redis_fail(session->redis, -EBUSY,
		    "the last reply is not read to its end");
	return redis_check(session->redis, argc, argv, COMMAND_FOREIGN);
}

/* How the connection differs from a new one after a command. */
static void
follow(struct torc_redis_session *session, unsigned flags,
    const struct torc_redis_reply *reply)
{
	if (flags & COMMAND_ALTERS)
		session->altered = true;
	/* Within MULTI nothing is done yet. */
	if (reply->type == TORC_REDIS_STATUS &&
	    strcmp(reply->text, "QUEUED") == 0)
		return;
	if (flags & COMMAND_BEGINS)
		session->begun = true;
	if (flags & COMMAND_ENDS)
		session->begun = false;
}

int
torc_redis_session_call(struct torc_redis_session *session,
    struct torc_redis_reply **reply, uint64_t deadline, unsigned argc,
    const struct torc_slice *argv)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct request *request = NULL;
	bool sent;
	int rc = check(session, argc, argv);

	if (rc < 0)
		return redis_deliver(session->redis, rc, NULL, reply);
	settle(session);
	rc = line_call(session->line, &request, deadline, &batch, &sent);
	if (rc == 0)
		follow(session, command_flags(argc, argv), &request->root);
	else
		session->broken = true;
	if (rc == -ETIMEDOUT)
		redis_fail(session->redis, rc, "%s: no reply in time",
		    session->node->address);
	return redis_deliver(session->redis, rc, request, reply);
}

int
torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, uint64_t deadline, ...)
{
	struct torc_slice argv[REDIS_WORDS];
	unsigned argc;
	va_list words;
	int rc;

	va_start(words, deadline);
	rc = redis_words(argv, &argc, words);
	va_end(words);
	return rc < 0 ? redis_deliver(session->redis, rc, NULL, reply) :
	    torc_redis_session_call(session, reply, deadline, argc, argv);
}

/* ---- Item by item ---- */

int
torc_redis_session_send(struct torc_redis_session *session,
    uint64_t deadline, unsigned argc, const struct torc_slice *argv)
{
	const struct torc_redis_command command = { argv, argc };
	const struct batch batch = { .commands = &command, .count = 1 };
	const unsigned flags = argc > 0 ? command_flags(argc, argv) : 0;
	int rc = check(session, argc, argv);

	if (rc < 0)
		return rc;
	/* What it does is not followed here. */
	if (flags & (COMMAND_BEGINS | COMMAND_ENDS | COMMAND_ALTERS))
		session->altered = true;
	settle(session);
	session->view.size = 0;
	rc = line_write(session->line, deadline, &batch);
	if (rc < 0)
		session->broken = true;
	else
		session->reading = true;
	return rc;
}

/* Parks. Bytes in view that no item took yet. */
static int
look(struct torc_redis_session *session, uint64_t deadline)
{
	int rc = torc_conn_recv(session->line->conn, &session->view,
	    deadline);

	return rc > 0 ? 0 : rc == 0 ? -ECONNRESET : rc;
}

/* Parks. One item of whatever comes. */
static int
read_item(struct torc_redis_session *session, struct torc_resp_item *item,
    uint64_t deadline)
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

int
torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, uint64_t deadline)
{
	const struct torc_resp_reader *reader = &session->line->tree.reader;
	bool news;
	int rc;

	if (!session->reading)
		return redis_fail(session->redis, -EINVAL,
		    "there is no reply to read");
	do {
		rc = read_item(session, item, deadline);
		if (rc < 0) {
			session->broken = true;
			return rc;
		}
		if (item->first && item->depth == 0 && !item->aside)
			session->news = item->type == TORC_REDIS_PUSH;
		news = session->news;
	} while (news);
	session->reading = !reader->done;
	return session->reading;
}
