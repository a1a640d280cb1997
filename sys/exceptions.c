/* SPDX-License-Identifier: MIT */
/*
 * exceptions.c - finding the runtime of C++, if the program has one.
 */
#include "sys/exceptions.h"

#include <stddef.h>

struct torc_exceptions *__cxa_get_globals(void) __attribute__((weak));

struct torc_exceptions *
torc_exceptions(void)
{
	return __cxa_get_globals != NULL ? __cxa_get_globals() : NULL;
}
