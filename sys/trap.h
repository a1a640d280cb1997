/* SPDX-License-Identifier: MIT */
/*
 * trap.h - what stops the process: a wrong argument of the programmer, or an
 * invariant of torc that does not hold. Always on, also in release builds.
 */
#ifndef TORC_SYS_TRAP_H
#define TORC_SYS_TRAP_H

#include <stdint.h>

/*
 * What libraries of clients use of libtorc.so, or of each other, though it is
 * not for users: it changes with each version.
 */
#define TORC_BESIDE __attribute__((visibility("default")))

/* Write "torc: FILE:LINE: TEXT" to standard error and abort. Any thread. */
TORC_BESIDE _Noreturn void torc_trap(const char *file, int line,
    const char *text);
/* The same of an invariant: "broken: " and its text. */
TORC_BESIDE _Noreturn void torc_broken(const char *file, int line,
    const char *condition);

/*
 * Write "torc: ", the parts, which NULL ends, and a newline to standard error.
 * Any thread; also a signal handler.
 */
void torc_say(const char *const parts[]);

#define TORC_DIGITS 21		/* of any number, with the end of the text */
/* The digits of a number, within `buffer`. */
const char *torc_digits(char buffer[TORC_DIGITS], uint64_t number);

/*
 * The number that a text begins with, behind spaces and perhaps a minus; 0 if
 * there is none. `*rest` (may be NULL): what comes behind it.
 */
int64_t torc_number(const char *text, const char **rest);

#define torc_likely(condition) __builtin_expect(!!(condition), 1)
#define torc_unlikely(condition) __builtin_expect(!!(condition), 0)

/* An invariant. */
#define torc_assert(condition) \
	(torc_likely(condition) ? (void)0 \
	    : torc_broken(__FILE__, __LINE__, #condition))

/*
 * An invariant on the way of every request, or one that takes long to look at:
 * only builds with TORC_DEBUG look, which are the simulation and those with
 * sanitizers.
 */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(TORC_DEBUG) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
#define TORC_DEBUGGED 1
#else
#define TORC_DEBUGGED 0
#endif
#define torc_debug_assert(condition) \
	(!TORC_DEBUGGED || torc_likely(condition) ? (void)0 \
	    : torc_broken(__FILE__, __LINE__, #condition))

/* A precondition of a public call; `text` tells the programmer what to do. */
#define torc_require(condition, text) \
	(torc_likely(condition) ? (void)0 : torc_trap(__FILE__, __LINE__, text))

#endif
