/* SPDX-License-Identifier: MIT */
/*
 * threads.c - the threads of torc_offload() and the resolver, without either:
 * a task is begun and done at times that the seed decides about, between any
 * two crossings. In place of conn/kit/offload.c and sys/resolve.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "conn/kit/torc_client.h"
#include "conn/kit/crew.h"
#include "conn/kit/offload.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "tests/sim/sim.h"

#define JOBS 64
#define HANGS_NS (30000 * MS)	/* a lookup that asks a server which is gone */

/* Something that a thread does: it takes a task, or has done with one. */
struct job {
	struct torc_task *task;	/* NULL: it takes one */
	uint64_t at;
};

static struct job jobs[JOBS];
static unsigned job_count;
static struct torc_crew crew;

static void
add_job(struct torc_task *task, uint64_t at)
{
	if (job_count == JOBS)
		sim_fail("too many tasks");
	jobs[job_count++] = (struct job) { task, at };
}

void
sim_threads_reset(void)
{
	job_count = 0;
	torc_crew_init(&crew);
	crew.most_work = 4;
	crew.most_sums = 2;
	crew.most_lookups = 16;
}

/* ---- Threads ---- */

/* The one that comes first. */
static unsigned
first_job(void)
{
	unsigned first = 0;

	for (unsigned i = 1; i < job_count; i++) {
		if (jobs[i].at < jobs[first].at)
			first = i;
	}
	return first;
}

uint64_t
sim_threads_next(void)
{
	return job_count == 0 ? UINT64_MAX : jobs[first_job()].at;
}

/* Mostly soon; now and then it takes long. */
static uint64_t
some_time(void)
{
	uint64_t ms = sim_draw(8) == 0 ? 300 : 3;

	return sim_draw(1 + (uint32_t)ms * 1000) * 1000ull;
}

static void
take_task(void)
{
	struct torc_task *task = torc_crew_take(&crew, world.now);
	bool hangs;

	if (task == NULL)
		return;
	hangs = task->name != NULL && strncmp(task->name, "hang", 4) == 0;
	add_job(task, world.now + (hangs ? HANGS_NS : task->computes ?
	    sim_draw(1000) * 1000ull : some_time()));
}

static void
send_back(struct torc_task *task)
{
	task->state = TORC_TASK_DONE;
	torc_reactor_post(task->reactor, &task->post);
}

static void
end_task(struct torc_task *task)
{
	struct torc_node *node;

	task->run(task);
	sim_trace("task", task->state == TORC_TASK_ABANDONED, 0, 0);
	torc_crew_end(&crew, task);
	while ((node = torc_list_take(&task->followers)) != NULL) {
		struct torc_task *other = torc_container(node,
		    struct torc_task, node);

		task->share(task, other);
		send_back(other);
	}
	if (task->state == TORC_TASK_ABANDONED)
		task->drop(task);
	else
		send_back(task);
	take_task();
}

static void
run_job(unsigned index)
{
	struct torc_task *task = jobs[index].task;

	jobs[index] = jobs[--job_count];
	if (task == NULL)
		take_task();
	else
		end_task(task);
}

bool
sim_threads_act(void)
{
	if (sim_threads_next() > world.now)
		return false;
	run_job(first_job());
	return true;
}

/* What a reactor has left behind goes on without it, and is dropped. */
void
sim_threads_end(void)
{
	while (job_count > 0) {
		const struct torc_task *task = jobs[0].task;

		if (task != NULL && task->state != TORC_TASK_ABANDONED &&
		    !world.lost)
			sim_fail("a task is left that somebody waits for");
		run_job(0);
	}
}

/* ---- In place of conn/kit/offload.c ---- */

static void
arrive(struct torc_reactor *reactor, struct torc_post *post)
{
	struct torc_task *task = torc_container(post, struct torc_task, post);

	(void)reactor;
	task->arrived = true;
	torc_fiber_wake(task->fiber, 0);
}

static int
hand_over(struct torc_task *task)
{
	int rc = sim_crossing(SITE_THREAD);

	if (rc < 0)
		return rc;
	if (torc_crew_add(&crew, task, world.now) &&
	    torc_crew_may_start(&crew, task))
		add_job(NULL, world.now + (task->computes ? 0 : some_time()));
	return 0;
}

/* Wait no more for a task. False: it must be waited for. */
static bool
give_up(struct torc_task *task)
{
	if (task->state == TORC_TASK_RUNNING && task->drop != NULL) {
		task->state = TORC_TASK_ABANDONED;
		return true;
	}
	if (task->state != TORC_TASK_QUEUED &&
	    task->state != TORC_TASK_FOLLOWING)
		return false;
	torc_crew_take_back(&crew, task);
	if (task->drop != NULL)
		task->drop(task);
	return true;
}

int
torc_task_run(struct torc_task *task, torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	int rc;

	task->reactor = reactor;
	task->fiber = reactor->current;
	task->post.call = arrive;
	if (task->fiber->cancelled)
		rc = -ECANCELED;
	else
		rc = deadline.at <= reactor->due ? -ETIMEDOUT : hand_over(task);
	if (rc < 0) {
		if (task->drop != NULL)
			task->drop(task);
		return rc;
	}
	rc = torc_fiber_park(reactor, deadline);
	if (!task->arrived && give_up(task))
		return rc;
	while (!task->arrived)
		torc_fiber_park_firmly(reactor);
	return 0;
}

static void
arrive_done(struct torc_reactor *reactor, struct torc_post *post)
{
	struct torc_task *task = torc_container(post, struct torc_task, post);

	(void)reactor;
	task->done(task);
}

int
torc_task_start(struct torc_task *task, struct torc_reactor *reactor,
    void (*done)(struct torc_task *task))
{
	task->reactor = reactor;
	task->post.call = arrive_done;
	task->done = done;
	return hand_over(task);
}

struct blocking {
	struct torc_task task;
	int (*call)(void *arg);
	void *arg;
	int result;
};

static void
run_blocking(struct torc_task *task)
{
	struct blocking *blocking = torc_container(task, struct blocking, task);

	blocking->result = blocking->call(blocking->arg);
}

int
torc_offload(int (*call)(void *arg), void *arg, torc_deadline deadline)
{
	struct blocking blocking = {
		.task.run = run_blocking,
		.call = call,
		.arg = arg,
	};
	int rc = torc_task_run(&blocking.task, deadline);

	return rc < 0 ? rc : blocking.result;
}

void
torc_offload_threads(unsigned most)
{
	(void)most;
}

void
torc_lookup_threads(unsigned most)
{
	(void)most;
}

/* ---- In place of sys/resolve.c ---- */

/* Every name is this machine's, in both families, but for "nobody". */
int
torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most)
{
	const struct sockaddr_in6 six = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	const struct sockaddr_in four = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (strcmp(host, "nobody") == 0 || most < 2)
		return -ENOENT;
	memcpy(&addresses[0], &six, sizeof(six));
	memcpy(&addresses[1], &four, sizeof(four));
	return 2;
}
