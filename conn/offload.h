/*
 * offload.h - work for the threads of torc_offload(), seen from below.
 */
#ifndef TORC_CONN_OFFLOAD_H
#define TORC_CONN_OFFLOAD_H

#include <stdbool.h>

#include "reactor/list.h"
#include "reactor/runtime.h"

struct torc_fiber;

/*
 * A task is in one of these states; all changes are made under the lock of the
 * threads.
 *
 *   QUEUED    waits for a thread; who waits for it may take it back
 *   RUNNING   a thread runs it
 *   ABANDONED a thread runs it, and then drops it: nobody waits any more
 *   DONE      it was run, and its post is on the way to the reactor
 */
enum torc_task_state {
	TORC_TASK_QUEUED,
	TORC_TASK_RUNNING,
	TORC_TASK_ABANDONED,
	TORC_TASK_DONE,
};

struct torc_task {
	void (*run)(struct torc_task *task);	/* on a thread */
	/* If not NULL, the task need not be waited for: who stops waiting has
	 * it dropped, at once or by the thread that runs it. Any thread. */
	void (*drop)(struct torc_task *task);
	bool slow;		/* one of those that take half the threads */
	/* The rest is torc_task_run()'s. */
	struct torc_post post;
	struct torc_node node;
	struct torc_reactor *reactor;
	struct torc_fiber *fiber;
	enum torc_task_state state;
	bool arrived;		/* its post has */
};

/*
 * Parks. Run a task, which is all zero but for its first three members. 0 when
 * it was run; or -ETIMEDOUT, -ECANCELED, -EAGAIN as torc_offload() says: then
 * it was dropped, or will be, and is not the caller's any more.
 */
int torc_task_run(struct torc_task *task, uint64_t deadline);

#endif
