/*
 * offload.c - threads of the process for work that blocks.
 *
 * What a reactor's thread and these threads share is guarded by one mutex,
 * which nobody holds for long: it is taken for a task that is handed over, and
 * neither while one runs nor while a fiber is parked. A task goes back to its
 * reactor as a post.
 */
#include "conn/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "conn/client.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define THREADS 8u		/* if the program does not say */
#define THREADS_MOST 1024u
#define IDLE_NS 10000000000u	/* after which a thread ends */
#define STACK_SIZE (1u << 20)	/* of a thread: musl's own is too small */

enum { QUICK, SLOW, QUEUES };

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct torc_list queues[QUEUES];
	unsigned queued;	/* tasks */
	unsigned most;		/* threads */
	unsigned threads;
	unsigned idle;		/* of them, those that wait for work */
	unsigned slow;		/* of them, those with a slow task */
} crew = {
	.once = PTHREAD_ONCE_INIT,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.most = THREADS,
};

/* ---- Its life, and its other life after a fork ---- */

static void
make_empty(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&crew.work, &attributes);
	pthread_condattr_destroy(&attributes);
	for (int i = 0; i < QUEUES; i++)
		torc_list_init(&crew.queues[i]);
	crew.queued = 0;
	crew.threads = 0;
	crew.idle = 0;
	crew.slow = 0;
}

static void
before_fork(void)
{
	pthread_mutex_lock(&crew.lock);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&crew.lock);
}

/* The threads were not copied, and nobody waits for the tasks. */
static void
in_child(void)
{
	pthread_mutex_init(&crew.lock, NULL);
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
	pthread_once(&crew.once, prepare);
	pthread_mutex_lock(&crew.lock);
}

static void
unlock(void)
{
	pthread_mutex_unlock(&crew.lock);
}

/* ---- The threads ---- */

/* The next task that may run, or NULL. */
static struct torc_task *
take(void)
{
	struct torc_node *node = NULL;
	struct torc_task *task;

	if (crew.slow < (crew.most + 1) / 2)
		node = torc_list_take(&crew.queues[SLOW]);
	if (node == NULL)
		node = torc_list_take(&crew.queues[QUICK]);
	if (node == NULL)
		return NULL;
	task = torc_container(node, struct torc_task, node);
	task->state = TORC_TASK_RUNNING;
	crew.queued--;
	return task;
}

/* The lock is held, but not while it runs. */
static void
work(struct torc_task *task)
{
	const bool slow = task->slow;

	crew.slow += slow;
	unlock();
	task->run(task);
	lock();
	crew.slow -= slow;
	if (task->state == TORC_TASK_ABANDONED) {
		task->drop(task);
		return;
	}
	/* Under the lock: who takes it next knows that we have done with the
	 * task and with the reactor. */
	task->state = TORC_TASK_DONE;
	torc_post(task->reactor, &task->post);
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

	crew.idle++;
	error = pthread_cond_timedwait(&crew.work, &crew.lock, &until);
	crew.idle--;
	return error == 0 || crew.queued > 0;
}

static void *
run_thread(void *arg)
{
	struct torc_task *task;

	(void)arg;
	lock();
	do {
		while ((task = take()) != NULL)
			work(task);
	} while (crew.threads <= crew.most && stand_by());
	crew.threads--;
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
	crew.threads++;
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

static void
take_back(struct torc_task *task)
{
	torc_list_remove(&task->node);
	crew.queued--;
}

/* 0, or -EAGAIN: there is no thread and there will be none. */
static int
hand_over(struct torc_task *task)
{
	int rc = 0;

	lock();
	torc_list_append(&crew.queues[task->slow ? SLOW : QUICK], &task->node);
	crew.queued++;
	if (crew.queued > crew.idle && crew.threads < crew.most)
		rc = add_thread();
	pthread_cond_signal(&crew.work);
	if (rc < 0 && crew.threads > 0)
		rc = 0;
	if (rc < 0)
		take_back(task);
	unlock();
	return rc;
}

/* Wait no more for a task. False: it must be waited for. */
static bool
give_up(struct torc_task *task)
{
	bool queued;

	lock();
	queued = task->state == TORC_TASK_QUEUED;
	if (queued)
		take_back(task);
	else if (task->state == TORC_TASK_RUNNING && task->drop != NULL)
		task->state = TORC_TASK_ABANDONED;
	else {
		unlock();
		return false;
	}
	unlock();
	if (queued && task->drop != NULL)
		task->drop(task);
	return true;
}

int
torc_task_run(struct torc_task *task, uint64_t deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	int rc;

	task->reactor = reactor;
	task->fiber = reactor->current;
	task->post.call = arrive;
	if (task->fiber->cancelled)
		rc = -ECANCELED;
	else
		rc = deadline <= reactor->due ? -ETIMEDOUT : hand_over(task);
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
torc_offload(int (*call)(void *arg), void *arg, uint64_t deadline)
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
	torc_require(most >= 1 && most <= THREADS_MOST,
	    "torc_offload_threads: from 1 to 1024");
	lock();
	crew.most = most;
	/* More tasks may run now, or fewer threads may wait. */
	pthread_cond_broadcast(&crew.work);
	while (crew.threads < most && crew.queued > crew.idle &&
	    add_thread() == 0)
		continue;
	unlock();
}
