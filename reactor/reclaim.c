/*
 * reclaim.c - descriptors that can be spared, asked for when there are none
 * left. A process has one limit for all of its reactors: those that keep
 * something are in one list, under a mutex, which is taken when the first
 * keeper of a reactor comes or goes, and when descriptors have run out.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "reactor/reactor.h"
#include "sys/sys.h"

#define ASKED_FOR 32u		/* descriptors, of another reactor */
#define CLOSING_NS 10000000u	/* what was let go of may be closed later */

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	struct torc_list reactors;	/* with keepers */
	unsigned sharers;		/* keepers that ask for a share */
} process = {
	.once = PTHREAD_ONCE_INIT,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* ---- The list, and its other life after a fork ---- */

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

/* The other reactors' threads were not copied: nobody would answer. */
static void
in_child(void)
{
	pthread_mutex_unlock(&process.lock);	/* which this thread has */
	torc_list_init(&process.reactors);
	process.sharers = 0;
}

static void
prepare(void)
{
	torc_list_init(&process.reactors);
	pthread_atfork(before_fork, after_fork, in_child);
}

static void
lock(void)
{
	pthread_once(&process.once, prepare);
	pthread_mutex_lock(&process.lock);
}

static void
unlock(void)
{
	pthread_mutex_unlock(&process.lock);
}

/* ---- Keepers ---- */

void
torc_keeper_add(struct torc_keeper *keeper)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "a keeper is added outside a reactor's thread");

	torc_debug_assert(keeper != reactor->keepers);
	torc_require(keeper != NULL && keeper->reclaim != NULL,
	    "a keeper is added that has no function");
	keeper->reactor = reactor;
	keeper->next = reactor->keepers;
	reactor->keepers = keeper;
	lock();
	if (keeper->next == NULL)
		torc_list_append(&process.reactors, &reactor->keeping);
	process.sharers += keeper->shares;
	unlock();
}

/* The lock is held. */
static void
leave_list(struct torc_reactor *reactor)
{
	if (torc_node_linked(&reactor->keeping))
		torc_list_remove(&reactor->keeping);
}

void
torc_keeper_remove(struct torc_keeper *keeper)
{
	struct torc_reactor *reactor = keeper->reactor;
	struct torc_keeper **at = &reactor->keepers;

	torc_debug_assert(reactor != NULL);
	while (*at != NULL && *at != keeper)
		at = &(*at)->next;
	torc_require(*at != NULL,
	    "a keeper is removed that was not added, or is removed twice");
	*at = keeper->next;
	lock();
	process.sharers -= keeper->shares;
	if (reactor->keepers == NULL)
		leave_list(reactor);
	unlock();
}

void
torc_reclaim_forget(struct torc_reactor *reactor)
{
	while (reactor->keepers != NULL)
		torc_keeper_remove(reactor->keepers);
}

unsigned
torc_keeper_share(void)
{
	uint64_t soft = UINT64_MAX;
	unsigned sharers;

	torc_sys_rlimit(RLIMIT_NOFILE, &soft);
	lock();
	sharers = process.sharers > 0 ? process.sharers : 1;
	unlock();
	soft = soft / 2 / sharers;
	return soft < UINT32_MAX ? (unsigned)soft : UINT32_MAX;
}

/* ---- Asking ---- */

static unsigned
ask_keepers(struct torc_reactor *reactor, unsigned want)
{
	unsigned freed = 0;

	torc_debug_assert(reactor == torc_current);
	torc_debug_assert(want > 0);
	for (struct torc_keeper *keeper = reactor->keepers; keeper != NULL &&
	    freed < want; keeper = keeper->next)
		freed += keeper->reclaim(keeper->arg, want - freed);
	if (freed > 0)
		reactor->reclaimed_until = reactor->now + CLOSING_NS;
	return freed;
}

static void
be_asked(struct torc_reactor *reactor, struct torc_post *post)
{
	torc_debug_assert(post == &reactor->reclaim);
	(void)post;
	lock();
	reactor->asked_to_reclaim = false;
	unlock();
	ask_keepers(reactor, ASKED_FOR);
}

/* Each is asked once at a time. Whether there are any. */
static bool
ask_others(const struct torc_reactor *self)
{
	struct torc_node *node;
	bool asked = false;

	lock();
	for (node = process.reactors.ends.next; node != &process.reactors.ends;
	    node = node->next) {
		struct torc_reactor *reactor = torc_container(node,
		    struct torc_reactor, keeping);

		if (reactor == self)
			continue;
		reactor->reclaim.call = be_asked;
		if (!reactor->asked_to_reclaim)
			reactor->asked_to_reclaim = torc_post(reactor,
			    &reactor->reclaim) == 0;
		asked |= reactor->asked_to_reclaim;
	}
	unlock();
	return asked;
}

int
torc_reclaim(unsigned want)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_reclaim() is called outside a reactor's thread");
	unsigned freed;

	freed = ask_keepers(reactor, want);
	if (freed > 0)
		return (int)freed;
	return ask_others(reactor) || reactor->now < reactor->reclaimed_until ?
	    -EAGAIN : 0;
}
