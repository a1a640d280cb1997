/* SPDX-License-Identifier: MIT */
/*
 * sanitizer.c - the hooks of AddressSanitizer and ThreadSanitizer for programs
 * that switch stacks. Empty in ordinary builds.
 */
#include "reactor/sanitizer.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include "sys/sys.h"

struct bounds {
	const void *low;
	size_t size;
};

void *
torc_sanitizer_create(void *low, void *high)
{
	struct bounds *bounds = torc_sys_alloc(sizeof(*bounds));

	if (bounds != NULL) {
		bounds->low = low;
		bounds->size = (size_t)((char *)high - (char *)low);
	}
	return bounds;
}

void
torc_sanitizer_destroy(void *sanitizer, void *low, void *high)
{
	/* The frames of a fiber that ended were never left one by one. */
	__asan_unpoison_memory_region(low,
	    (size_t)((char *)high - (char *)low));
	torc_sys_free(sanitizer);
}

void *
torc_sanitizer_thread(void)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t size = 0;

	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &low, &size);
		pthread_attr_destroy(&attr);
	}
	return torc_sanitizer_create(low, (char *)low + size);
}

void
torc_sanitizer_thread_end(void *sanitizer)
{
	torc_sys_free(sanitizer);
}

void
torc_sanitizer_leave(void **mark, void *to, bool for_ever)
{
	static const struct bounds unknown;	/* there was no memory */
	const struct bounds *bounds = to != NULL ? to : &unknown;

	__sanitizer_start_switch_fiber(for_ever ? NULL : mark, bounds->low,
	    bounds->size);
}

void
torc_sanitizer_arrive(void *mark)
{
	__sanitizer_finish_switch_fiber(mark, NULL, NULL);
}

#elif defined(TORC_TSAN)

void *
torc_sanitizer_create(void *low, void *high)
{
	(void)low;
	(void)high;
	return __tsan_create_fiber(0);
}

void
torc_sanitizer_destroy(void *sanitizer, void *low, void *high)
{
	(void)low;
	(void)high;
	__tsan_destroy_fiber(sanitizer);
}

void *
torc_sanitizer_thread(void)
{
	return __tsan_get_current_fiber();
}

void
torc_sanitizer_thread_end(void *sanitizer)
{
	(void)sanitizer;
}

#else

/* ISO C wants something in every file. */
typedef int torc_no_sanitizer;

#endif
