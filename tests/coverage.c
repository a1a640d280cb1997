/* SPDX-License-Identifier: MIT */
/*
 * coverage.c - linked into the programs of `make coverage` only: a child that
 * ends by _exit(), and a process that a torc_require() stops, write down what
 * they have run, too.
 */
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
void __real__exit(int status) __attribute__((noreturn));
void __real_abort(void) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));

/* Once more than once: a test may come back from the signal of an abort. */
static void
write_down(void)
{
	__gcov_dump();
	__gcov_reset();
}

void
__wrap__exit(int status)
{
	write_down();
	__real__exit(status);
}

void
__wrap_abort(void)
{
	write_down();
	__real_abort();
}
