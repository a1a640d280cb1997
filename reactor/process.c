/* SPDX-License-Identifier: MIT */
/*
 * process.c - the list of the process's reactors, and its other life after a
 * fork: the threads of the parent's reactors were not copied, and their pages
 * are not the child's.
 */
#include "reactor/process.h"

#include <pthread.h>

#include "reactor/reactor.h"

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	struct torc_list reactors;
	uint32_t forks;
} process = {
	.once = PTHREAD_ONCE_INIT,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void
before_fork(void)
{
	pthread_mutex_lock(&process.lock);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&process.lock);
}

static void
in_child(void)
{
	pthread_mutex_unlock(&process.lock);	/* which this thread has */
	torc_list_init(&process.reactors);
	process.forks++;
}

static void
prepare(void)
{
	torc_list_init(&process.reactors);
	pthread_atfork(before_fork, after_fork, in_child);
}

void
torc_process_lock(void)
{
	pthread_once(&process.once, prepare);
	pthread_mutex_lock(&process.lock);
}

void
torc_process_unlock(void)
{
	pthread_mutex_unlock(&process.lock);
}

void
torc_process_add(struct torc_reactor *reactor)
{
	torc_assert(reactor->stats_page.page != NULL);
	torc_list_append(&process.reactors, &reactor->kin);
}

void
torc_process_remove(struct torc_reactor *reactor)
{
	torc_assert(!reactor->keeping && reactor->keepers == NULL);
	torc_list_remove(&reactor->kin);
}

struct torc_reactor *
torc_process_each(const struct torc_reactor *reactor)
{
	struct torc_node *next = reactor == NULL ?
	    process.reactors.ends.next : reactor->kin.next;

	return next == &process.reactors.ends ? NULL :
	    torc_container(next, struct torc_reactor, kin);
}

uint32_t
torc_process_forks(void)
{
	return process.forks;
}
