/* SPDX-License-Identifier: MIT */
/*
 * sanitizer.h - tells the sanitizers about switches between stacks. Nothing in
 * ordinary builds. (Valgrind is told in every build: sys/valgrind.h.)
 */
#ifndef TORC_REACTOR_SANITIZER_H
#define TORC_REACTOR_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || \
    defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)

/* What the sanitizer must know of a stack from `low` to `high`. */
void *torc_sanitizer_create(void *low, void *high);
void torc_sanitizer_destroy(void *sanitizer, void *low, void *high);
/* The stack that this thread runs on. */
void *torc_sanitizer_thread(void);
void torc_sanitizer_thread_end(void *sanitizer);

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TORC_TSAN 1
#include <sanitizer/tsan_interface.h>

/*
 * Inside the function that switches: one of its own would be entered on one
 * stack and left, as ThreadSanitizer counts them, on the other.
 */
static inline __attribute__((always_inline)) void
torc_sanitizer_leave(void **mark, void *to, bool for_ever)
{
	(void)for_ever;
	*mark = NULL;
	__tsan_switch_to_fiber(to, 0);
}

static inline __attribute__((always_inline)) void
torc_sanitizer_arrive(void *mark)
{
	(void)mark;
}

#else

/* Before a switch to `to`; `*mark` is for the arrival back here. */
void torc_sanitizer_leave(void **mark, void *to, bool for_ever);
/* After it; NULL on a stack that runs for the first time. */
void torc_sanitizer_arrive(void *mark);

#endif

#else

static inline void *
torc_sanitizer_create(void *low, void *high)
{
	(void)low;
	(void)high;
	return NULL;
}

static inline void
torc_sanitizer_destroy(void *sanitizer, void *low, void *high)
{
	(void)sanitizer;
	(void)low;
	(void)high;
}

static inline void *
torc_sanitizer_thread(void)
{
	return NULL;
}

static inline void
torc_sanitizer_thread_end(void *sanitizer)
{
	(void)sanitizer;
}

static inline void
torc_sanitizer_leave(void **mark, void *to, bool for_ever)
{
	(void)to;
	(void)for_ever;
	*mark = NULL;
}

static inline void
torc_sanitizer_arrive(void *mark)
{
	(void)mark;
}

#endif

#endif
