/* SPDX-License-Identifier: MIT */
/*
 * offload.h - work for threads, seen from below: that of torc_offload(),
 * lookups of names, and steps of handshakes.
 */
#ifndef TORC_KIT_OFFLOAD_H
#define TORC_KIT_OFFLOAD_H

#include <stdbool.h>

#include "reactor/list.h"
#include "reactor/torc_runtime.h"
#include "sys/trap.h"

struct torc_fiber;

/*
 * A task is in one of these states; all changes are made under the lock of the
 * threads.
 *
 *   QUEUED    waits for a thread; its fiber may take it back
 *   FOLLOWING waits for the result of another one, of the same name; its fiber
 *             may take it back
 *   RUNNING   a thread runs it
 *   ABANDONED a thread runs it, and then drops it: its fiber waits no more
 *   DONE      it was run, or has a result, and its post is on the way to the
 *             reactor
 */
enum torc_task_state {
	TORC_TASK_QUEUED,
	TORC_TASK_FOLLOWING,
	TORC_TASK_RUNNING,
	TORC_TASK_ABANDONED,
	TORC_TASK_DONE,
};

struct torc_task {
	void (*run)(struct torc_task *task);	/* on a thread */
	/* If not NULL, the task need not be waited for: when its fiber stops
	 * waiting it is dropped, at once or by the thread that runs it. Any
	 * thread. */
	void (*drop)(struct torc_task *task);
	/* A lookup: of this name, which lives as long as the task. Or NULL. */
	const char *name;
	/* Of a lookup: give its result to another one of the same name, which
	 * is not run. On a thread. */
	void (*share)(const struct torc_task *task, struct torc_task *other);
	/* It computes, for milliseconds: such tasks have threads of their own,
	 * one for each CPU, and are in nobody's way. */
	bool computes;
	/* The rest is torc_task_run()'s. */
	struct torc_post post;
	void (*done)(struct torc_task *task);	/* of torc_task_start() */
	struct torc_node node;	/* in a queue, or in that of a leader */
	struct torc_node flight;	/* of a lookup that others may follow */
	struct torc_list followers;
	uint64_t begun_at;	/* when a thread took it */
	struct torc_reactor *reactor;
	struct torc_fiber *fiber;
	enum torc_task_state state;
	bool arrived;		/* its post has */
};

/*
 * Parks. Run a task, which is all zero but for its first five members. 0 when
 * it was run, or has the result of another one; or -ETIMEDOUT, -ECANCELED,
 * -EAGAIN as torc_offload() says: then it was dropped, or will be, and is not
 * the caller's any more.
 */
int torc_task_run(struct torc_task *task, torc_deadline deadline);

/*
 * Run a task for which no fiber waits, and call `done` on the reactor's thread,
 * which is this one, when it was run; no thread has it then. It has no `drop`.
 * 0, or -EAGAIN: there is no thread, and it is the caller's.
 */
TORC_BESIDE int torc_task_start(struct torc_task *task,
    struct torc_reactor *reactor, void (*done)(struct torc_task *task));

#endif
