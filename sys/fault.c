/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the handler of SIGSEGV, and the stacks that it runs on.
 */
#include "sys/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/pages.h"
#include "sys/sys.h"

/* For handlers of the program's, beside what the kernel puts there. */
#define ROOM 65536u

static struct {
	pthread_mutex_t lock;
	void (*look)(uintptr_t address);
	struct sigaction before;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool
has_handler(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO ||
	    (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
	const int error = errno;

	/* Not one that somebody has sent. */
	if (info->si_code > 0)
		watch.look((uintptr_t)info->si_addr);
	errno = error;
	if (!has_handler(&watch.before)) {
		/* The instruction is repeated, or the signal is sent again. */
		sigaction(number, &watch.before, NULL);
		if (info->si_code <= 0)
			raise(number);
	} else if (watch.before.sa_flags & SA_SIGINFO) {
		watch.before.sa_sigaction(number, info, context);
	} else {
		watch.before.sa_handler(number);
	}
}

/* The lock is held. */
static int
begin(void (*look)(uintptr_t address), bool gently)
{
	struct sigaction ours = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};
	struct sigaction now;

	if (sigaction(SIGSEGV, NULL, &now) < 0)
		return -errno;
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
		return 0;
	if (gently && has_handler(&now))
		return -EEXIST;
	/* A handler that was put over ours may call ours: then ours must not
	 * call that one. */
	if (watch.look != NULL && has_handler(&now))
		return -EEXIST;
	watch.before = now;
	watch.look = look;
	ours.sa_mask = now.sa_mask;
	return sigaction(SIGSEGV, &ours, NULL) < 0 ? -errno : 0;
}

int
torc_fault_watch(void (*look)(uintptr_t address), bool gently)
{
	int rc;

	pthread_mutex_lock(&watch.lock);
	rc = begin(look, gently);
	pthread_mutex_unlock(&watch.lock);
	return rc;
}

/* ---- Stacks ---- */

static size_t
size_needed(void)
{
	/* 0 before Linux 5.14. */
	const size_t least = getauxval(AT_MINSIGSTKSZ);

	return torc_pages_whole(ROOM + (least > 0 ? least :
	    (size_t)MINSIGSTKSZ));
}

void
torc_fault_stack_begin(struct torc_fault_stack *stack)
{
	stack_t now;

	*stack = (struct torc_fault_stack) { .size = size_needed() };
	if (sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE) ||
	    torc_pages_reserve(&stack->memory, stack->size) < 0)
		return;
	/* A child of a fork may run over a stack, too. */
	torc_sys_advise(stack->memory, stack->size, MADV_DOFORK);
	now = (stack_t) { .ss_sp = stack->memory, .ss_size = stack->size };
	if (sigaltstack(&now, NULL) == 0)
		return;
	torc_pages_release(stack->memory, stack->size);
	stack->memory = NULL;
}

void
torc_fault_stack_end(struct torc_fault_stack *stack)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t now;

	if (stack->memory == NULL)
		return;
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == stack->memory &&
	    sigaltstack(&none, NULL) < 0)
		return;		/* it is in use */
	torc_pages_release(stack->memory, stack->size);
	stack->memory = NULL;
}
