/* SPDX-License-Identifier: MIT */
/*
 * offload.c - threads of the process for work that blocks, and for lookups.
 *
 * What a reactor's thread and these threads share is guarded by one mutex,
 * which nobody holds for long: it is taken for a task that is handed over, and
 * neither while one runs nor while a fiber is parked. A task goes back to its
 * reactor as a post.
 */
#include "conn/kit/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "conn/kit/torc_client.h"
#include "conn/kit/crew.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define THREADS 8u		/* if the program does not say */
#define LOOKUPS 256u		/* the same of lookups */
#define SUMS_MOST 64u		/* at once, on a machine of many CPUs */
#define THREADS_MOST 1024u
#define IDLE_NS 10000000000u	/* after which a thread ends */
#define STACK_SIZE (1u << 20)	/* of a thread: musl's own is too small */

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct torc_crew crew;
	unsigned threads;
	unsigned idle;		/* of them, those that wait for work */
	unsigned called;	/* of these, those that were told of some */
} pool = {
	.once = PTHREAD_ONCE_INIT,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.crew = { .most_work = THREADS, .most_lookups = LOOKUPS },
};

/* ---- Its life, and its other life after a fork ---- */

static void
make_empty(void)
{
	const unsigned cpus = torc_sys_cpus();
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.work, &attributes);
	pthread_condattr_destroy(&attributes);
	torc_crew_init(&pool.crew);
	pool.crew.most_sums = cpus < SUMS_MOST ? cpus : SUMS_MOST;
	pool.threads = 0;
	pool.idle = 0;
	pool.called = 0;
}

static void
before_fork(void)
{
	pthread_mutex_lock(&pool.lock);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&pool.lock);
}

/* The threads were not copied, and nobody waits for the tasks. */
static void
in_child(void)
{
	pthread_mutex_unlock(&pool.lock);	/* which this thread has */
	make_empty();
}

static void
prepare(void)
{
	make_empty();
	pthread_atfork(before_fork, after_fork, in_child);
}

static void
lock(void)
{
	pthread_once(&pool.once, prepare);
	pthread_mutex_lock(&pool.lock);
}

static void
unlock(void)
{
	pthread_mutex_unlock(&pool.lock);
}

/* ---- The threads ---- */

/*
 * Under the lock: a fiber that takes it next knows that we have done with the
 * task and with the reactor.
 */
static void
send_back(struct torc_task *task)
{
	task->state = TORC_TASK_DONE;
	torc_reactor_post(task->reactor, &task->post);
}

/* The lock is held, but not while it runs. */
static void
work(struct torc_task *task)
{
	struct torc_node *node;

	unlock();
	task->run(task);
	lock();
	torc_crew_end(&pool.crew, task);
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
}

/* Wait for work; false if there is none for long. */
static bool
stand_by(void)
{
	const uint64_t ns = torc_sys_now() + IDLE_NS;
	const struct timespec until = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};
	int error;

	pool.idle++;
	error = pthread_cond_timedwait(&pool.work, &pool.lock, &until);
	pool.idle--;
	if (pool.called > 0)
		pool.called--;
	return error == 0 || pool.crew.queued > 0;
}

/* No more than could be at work. */
static bool
is_wanted(void)
{
	return pool.threads <= pool.crew.most_work + pool.crew.most_sums +
	    pool.crew.most_lookups;
}

static void *
run_thread(void *arg)
{
	struct torc_task *task;

	(void)arg;
	/* The reactor that asked for it first may be bound to one CPU: it is
	 * not to pay for the work of all. If that fails, it is slower. */
	(void)torc_sys_unpin();
	lock();
	do {
		while ((task = torc_crew_take(&pool.crew, torc_sys_now())) !=
		    NULL)
			work(task);
	} while (is_wanted() && stand_by());
	pool.threads--;
	unlock();
	return NULL;
}

/* 0 or -EAGAIN. All signals are for other threads. */
static int
add_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, run_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		return -EAGAIN;
	pool.threads++;
	return 0;
}

/* ---- Handing over ---- */

static void
arrive(struct torc_reactor *reactor, struct torc_post *post)
{
	struct torc_task *task = torc_container(post, struct torc_task, post);

	(void)reactor;
	task->arrived = true;
	torc_fiber_wake(task->fiber, 0);
}

/* A thread for a task that can start. 0, or -EAGAIN: there is none. */
static int
call_thread(void)
{
	int rc;

	if (pool.idle > pool.called) {
		pool.called++;
		pthread_cond_signal(&pool.work);
		return 0;
	}
	rc = add_thread();
	/* Those that there are take it when they have done. */
	return pool.threads > 0 ? 0 : rc;
}

/* 0, or -EAGAIN: there is no thread and there will be none. */
static int
hand_over(struct torc_task *task)
{
	int rc = 0;

	lock();
	if (torc_crew_add(&pool.crew, task, torc_sys_now()) &&
	    torc_crew_may_start(&pool.crew, task))
		rc = call_thread();
	if (rc < 0)
		torc_crew_take_back(&pool.crew, task);
	unlock();
	return rc;
}

/* Wait no more for a task. False: it must be waited for. */
static bool
give_up(struct torc_task *task)
{
	bool ours, may;

	lock();
	ours = task->state == TORC_TASK_QUEUED ||
	    task->state == TORC_TASK_FOLLOWING;
	may = ours || (task->state == TORC_TASK_RUNNING && task->drop != NULL);
	if (ours)
		torc_crew_take_back(&pool.crew, task);
	else if (may)
		task->state = TORC_TASK_ABANDONED;
	unlock();
	if (ours && task->drop != NULL)
		task->drop(task);
	return may;
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
	/* Until the thread has let go of the task and of the reactor's
	 * mailbox, neither may go away. */
	lock();
	unlock();
	return 0;
}

static void
arrive_done(struct torc_reactor *reactor, struct torc_post *post)
{
	struct torc_task *task = torc_container(post, struct torc_task, post);

	(void)reactor;
	/* Until the thread has let go of it. */
	lock();
	unlock();
	task->done(task);
}

int
torc_task_start(struct torc_task *task, struct torc_reactor *reactor,
    void (*done)(struct torc_task *task))
{
	torc_assert(task->drop == NULL && task->name == NULL);
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
	int rc;

	torc_require(call != NULL, "torc_offload needs a function");
	rc = torc_task_run(&blocking.task, deadline);
	return rc < 0 ? rc : blocking.result;
}

/* More tasks may run now, or fewer threads may wait. */
static void
set_limit(unsigned *limit, unsigned most)
{
	lock();
	*limit = most;
	pthread_cond_broadcast(&pool.work);
	for (unsigned more = pool.crew.queued; more > pool.idle &&
	    is_wanted() && add_thread() == 0; more--)
		continue;
	unlock();
}

void
torc_offload_threads(unsigned most)
{
	torc_require(most >= 1 && most <= THREADS_MOST,
	    "torc_offload_threads: from 1 to 1024");
	set_limit(&pool.crew.most_work, most);
}

void
torc_lookup_threads(unsigned most)
{
	torc_require(most >= 1 && most <= THREADS_MOST,
	    "torc_lookup_threads: from 1 to 1024");
	set_limit(&pool.crew.most_lookups, most);
}
