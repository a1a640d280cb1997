/* SPDX-License-Identifier: MIT */
/*
 * child.h - what a test does in a process of its own, since it ends it: its
 * status, and what it says.
 */
#ifndef TORC_TESTS_CHILD_H
#define TORC_TESTS_CHILD_H

#include <stddef.h>

/* The status of a child that runs `body`, and what it wrote meanwhile. */
int in_child(void (*body)(void), char *said, size_t size);

/* It stops the process, with a sentence that has `why` in it. */
#define assert_traps(body, why) assert_traps_as(#body, body, why)
void assert_traps_as(const char *name, void (*body)(void), const char *why);

/* A setup of a test: what hangs ends the process. */
int limit(void **state);

#endif
