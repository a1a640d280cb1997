/*
 * node.c - a server, and the lines to it that fibers share. The lines are
 * rented from a pool for as long as they live: the pool opens them, with
 * pauses when that fails, and closes those that are retired when the last
 * fiber has left them. What is large goes over lines that are not shared: many
 * would wait behind it, and Redis ends a connection that sends more than it is
 * configured to take.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define ATTEMPTS 4u	/* of a command of which nothing was sent */
#define CHOICES 4u	/* lines among which the best is taken */
#define BURST 128u	/* commands of a turn that go to the same one */
#define APART 4u	/* lines for what is large */

static int
opener_create(struct opener *opener, struct node *node,
    const struct torc_pool_config *config, struct torc_error *error)
{
	opener->node = node;
	opener->stage = "waiting to connect";
	return torc_pool_create(&opener->pool, &torc_redis_line_kind, opener,
	    config, error);
}

static int
create_openers(struct node *node, struct torc_error *error)
{
	const struct torc_redis_config *config = &node->redis->config;
	/* Of the shared, retired ones count as long as they have users. */
	const unsigned sizes[] = { config->lines * 4, config->sessions,
		APART };
	struct opener *const openers[] = { &node->shared, &node->sessions,
		&node->apart };
	struct torc_pool_config pool = {
		.waiters = 1024,
		.open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
	};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 3; i++) {
		pool.size = sizes[i];
		rc = opener_create(openers[i], node, &pool, error);
	}
	for (unsigned i = 0; rc < 0 && i < 3; i++) {
		if (openers[i]->pool != NULL)
			torc_pool_destroy(openers[i]->pool, TORC_AT_ONCE);
	}
	return rc;
}

int
torc_redis_node_create(struct torc_redis *redis, const char *address,
    struct node **out, struct torc_error *error)
{
	struct node *node = torc_sys_alloc(sizeof(*node));
	int rc;

	if (node == NULL)
		return torc_error_set(error, -ENOMEM, "no memory for a node");
	node->redis = redis;
	snprintf(node->address, sizeof(node->address), "%s", address);
	rc = create_openers(node, error);
	if (rc < 0)
		torc_sys_free(node);
	else
		*out = node;
	return rc;
}

/* An open that failed has words of its own; what else there is has none. */
static int
explain(const struct opener *opener, int rc, torc_deadline deadline,
    struct trouble *trouble)
{
	const char *address = opener->node->address;
	struct torc_pool_stats stats;

	torc_pool_stats_read(opener->pool, &stats);
	if (rc == -ECANCELED)
		return torc_redis_fail(trouble, rc, "%s: the fiber was "
		    "cancelled while it waited for a connection", address);
	if (rc == -ETIMEDOUT && torc_passed(deadline))
		return torc_redis_fail(trouble, rc, "%s: no connection before "
		    "the deadline of the call (%s)", address, opener->stage);
	if (rc == stats.last_error)
		return torc_redis_pass_on(trouble, rc, &opener->error);
	return torc_redis_fail(trouble, rc, "%s: no connection: %s", address,
	    strerror(-rc));
}

int
torc_redis_opener_acquire(struct opener *opener, struct line **line,
    torc_deadline deadline, struct trouble *trouble)
{
	void *item;
	int rc = torc_pool_acquire(opener->pool, &item, deadline);

	if (rc < 0)
		return explain(opener, rc, deadline, trouble);
	*line = item;
	return 0;
}

int
torc_redis_node_rent(struct torc_redis *redis, int slot, struct line **line,
    torc_deadline deadline, struct trouble *trouble)
{
	struct node *node = redis->nodes[0];
	int rc;

	if (redis->config.cluster)
		return torc_redis_cluster_rent(redis, slot, line, deadline,
		    trouble);
	rc = torc_redis_opener_acquire(&node->sessions, line, deadline,
	    trouble);
	if (rc == 0)
		torc_redis_node_hold(node);
	return rc;
}

/* ---- Lines ---- */

/* It takes no new commands. */
static void
forget(struct node *node, struct line *line)
{
	line->retired = true;
	if (node->picked == line)
		node->picked = NULL;
	for (unsigned i = 0; i < node->redis->config.lines; i++) {
		if (node->lines[i] != line)
			continue;
		node->lines[i] = NULL;
		node->line_count--;
	}
}

/* As forget(); it goes when nobody uses it. */
static void
retire(struct node *node, struct line *line)
{
	forget(node, line);
	if (line->users == 0)
		torc_pool_release(node->shared.pool, line, false);
}

void
torc_redis_node_rest(struct node *node)
{
	for (unsigned i = 0; i < node->redis->config.lines; i++) {
		if (node->lines[i] != NULL)
			retire(node, node->lines[i]);
	}
}

void
torc_redis_node_switch(struct node *node)
{
	node->generation++;
	node->proven = node->generation;
	node->open_at = torc_now();
	torc_redis_node_rest(node);
}

/* Parks, if it has not ended. (After the reactor, all have.) */
static void
end_renewal(struct node *node)
{
	if (node->renewer != 0 && torc_fiber_self() != 0)
		torc_fiber_reap(node->renewer, NULL, TORC_NEVER);
	node->renewer = 0;
}

int
torc_redis_node_destroy(struct node *node, torc_deadline deadline)
{
	int rc;

	end_renewal(node);
	torc_redis_node_rest(node);
	rc = torc_pool_destroy(node->apart.pool, deadline);
	rc |= torc_pool_destroy(node->sessions.pool, deadline);
	rc |= torc_pool_destroy(node->shared.pool, deadline);
	torc_sys_free(node);
	return rc < 0 ? -ETIMEDOUT : 0;
}

/* One that is full, and whose requests were all given up, will not empty. */
static bool
is_stuck(const struct line *line, unsigned requests)
{
	return line->pipeline.count >= requests && line->pipeline.live == 0;
}

static bool
has_room(const struct node *node, const struct line *line)
{
	return line->pipeline.count < node->redis->config.requests;
}

/* One that is as it should be, or else one with fewer requests. */
static bool
is_better(const struct line *line, const struct line *best)
{
	if (best == NULL ||
	    torc_redis_is_stale(line) != torc_redis_is_stale(best))
		return best == NULL || torc_redis_is_stale(best);
	return line->pipeline.count < best->pipeline.count;
}

/* Of the next few lines the one with the fewest requests, or NULL. */
static struct line *
pick_new(struct node *node)
{
	const struct torc_redis_config *config = &node->redis->config;
	struct line *best = NULL;
	unsigned seen = 0;

	for (unsigned i = 0; i < config->lines &&
	    (seen < CHOICES || best == NULL); i++) {
		struct line *line;

		if (++node->turn >= config->lines)
			node->turn = 0;
		line = node->lines[node->turn];
		if (line == NULL)
			continue;
		if (!torc_redis_line_alive(line) ||
		    is_stuck(line, config->requests)) {
			retire(node, line);
			continue;
		}
		seen++;
		if (has_room(node, line) && is_better(line, best))
			best = line;
	}
	return best;
}

/*
 * The line for a command, or NULL. Those of one turn go to the same one for a
 * while, since they are sent together then, and answered together.
 */
static struct line *
pick(struct node *node)
{
	const uint64_t now = torc_now();
	struct line *line = node->picked;

	if (line != NULL && node->picked_at == now && node->picks < BURST &&
	    torc_redis_line_alive(line) && has_room(node, line) &&
	    !torc_redis_is_stale(line)) {
		node->picks++;
		return line;
	}
	node->picked = pick_new(node);
	node->picked_at = now;
	node->picks = 1;
	return node->picked;
}

/* It takes the place of those of older generations. */
static void
add(struct node *node, struct line *line)
{
	unsigned place = 0;

	for (unsigned i = 0; i < node->redis->config.lines; i++) {
		if (node->lines[i] != NULL &&
		    torc_redis_is_replaced(node->lines[i]))
			retire(node, node->lines[i]);
	}
	torc_assert(node->line_count < node->redis->config.lines);
	while (node->lines[place] != NULL)
		place++;
	node->lines[place] = line;
	node->line_count++;
}

/* Parks. Open one for all. 0, or an error. */
static int
open_one(struct node *node, torc_deadline deadline, struct trouble *trouble)
{
	struct line *line = NULL;
	int rc;

	node->opening = true;
	rc = torc_redis_opener_acquire(&node->shared, &line, deadline, trouble);
	node->opening = false;
	if (rc == 0)
		add(node, line);
	/* Those that wait try themselves if only our time was up. */
	torc_wake_all(&node->waiters, rc == -ECANCELED ||
	    (rc == -ETIMEDOUT && torc_passed(deadline)) ? 0 : rc);
	return rc;
}

/*
 * A daemon's entry. Those that ask meanwhile use what there is. One of them may
 * have found nothing, before this ran, and opens one itself.
 */
static int
renew(void *arg)
{
	struct node *node = arg;

	if (!node->opening && open_one(node,
	    torc_after_ms(node->redis->config.open_ms), NULL) < 0)
		node->open_at = torc_now() + node->renew_ns;
	node->renewing = false;
	return 0;
}

/* A stale line serves; try to have a better one. */
static void
begin_renewal(struct node *node)
{
	if (node->opening || node->renewing || torc_now() < node->open_at)
		return;
	end_renewal(node);
	if (torc_fiber_spawn_daemon(&node->renewer, renew, node) < 0)
		node->renewer = 0;
	node->renewing = node->renewer != 0;
}

static int
await_opening(struct node *node, torc_deadline deadline,
    struct trouble *trouble)
{
	int rc;

	if (node->waiting >= node->redis->config.requests)
		return torc_redis_fail(trouble, -ENOBUFS,
		    "%s: too many wait for a connection", node->address);
	node->waiting++;
	rc = torc_wait(&node->waiters, deadline);
	node->waiting--;
	return rc < 0 ? explain(&node->shared, rc, deadline, trouble) : 0;
}

/*
 * Parks. A line to use: one that has nothing to do, or a new one if there may
 * be more, or the one that has the least.
 */
static int
get_line(struct node *node, struct line **out, torc_deadline deadline,
    struct trouble *trouble)
{
	bool failed = false;

	for (;;) {
		struct line *line = pick(node);
		const unsigned count = node->line_count;
		bool may_open = count < node->redis->config.lines && !failed;
		int rc;

		if (line != NULL && torc_redis_is_stale(line)) {
			begin_renewal(node);
			may_open = false;
		}
		if (line != NULL && (line->pipeline.count == 0 || !may_open ||
		    node->opening)) {
			*out = line;
			return 0;
		}
		if (line == NULL && count == node->redis->config.lines)
			return torc_redis_fail(trouble, -ENOBUFS,
			    "%s: too many requests without a reply",
			    node->address);
		rc = node->opening ? await_opening(node, deadline, trouble) :
		    open_one(node, deadline, trouble);
		if (rc < 0 && (line == NULL || rc == -ECANCELED ||
		    (rc == -ETIMEDOUT && torc_passed(deadline))))
			return rc;
		failed = rc < 0;
	}
}

static void
leave_line(struct node *node, struct line *line)
{
	if (line->retired || line->pipeline.error != 0)
		forget(node, line);
	line->users--;
	if (line->retired && line->users == 0)
		torc_pool_release(node->shared.pool, line, false);
}

/* Parks. A line for a batch. */
static int
take_line(struct node *node, const struct batch *batch, struct line **line,
    torc_deadline deadline, struct trouble *trouble)
{
	int rc;

	if (batch->large)
		return torc_redis_opener_acquire(&node->apart, line, deadline,
		    trouble);
	rc = get_line(node, line, deadline, trouble);
	if (rc == 0)
		(*line)->users++;
	return rc;
}

static void
give_back(struct node *node, const struct batch *batch, struct line *line,
    int rc)
{
	if (batch->large)
		torc_pool_release(node->apart.pool, line,
		    rc == 0 && torc_redis_line_alive(line));
	else
		leave_line(node, line);
}

int
torc_redis_node_call(struct node *node, struct request **request,
    torc_deadline deadline, const struct batch *batch, bool *sent,
    struct trouble *trouble)
{
	int rc = -ECONNRESET;

	*request = NULL;
	*sent = false;
	for (unsigned i = 0; i < ATTEMPTS && !*sent && rc != 0; i++) {
		struct line *line = NULL;

		rc = take_line(node, batch, &line, deadline, trouble);
		if (rc < 0)
			return rc;
		rc = torc_redis_line_call(line, request, deadline, batch, sent);
		if (rc < 0)
			torc_redis_line_explain(line, rc, *sent, trouble);
		else
			torc_redis_judge(line, *request, batch->list);
		give_back(node, batch, line, rc);
		if (rc == -ETIMEDOUT || rc == -ECANCELED || rc == -ENOMEM)
			break;
	}
	return rc;
}
