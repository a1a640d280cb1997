/* SPDX-License-Identifier: MIT */
/*
 * fault.h - SIGSEGV: a function looks at the address first. Then happens what
 * would have happened without it.
 */
#ifndef TORC_SYS_FAULT_H
#define TORC_SYS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Have `look` called with the address of each access that is refused, in a
 * signal handler of the thread that made it. There is one such function in a
 * process. Afterwards the handler that was there before is called; or, if
 * there was none, the signal ends the process as it does by default, at the
 * same instruction. 0; -EEXIST if the program has put a handler over that of
 * an earlier call, or if it has any and this call is made `gently`.
 */
int torc_fault_watch(void (*look)(uintptr_t address), bool gently);

/* Where a thread runs signal handlers, since its own stack may be the fault. */
struct torc_fault_stack {
	void *memory;		/* NULL: none was needed */
	size_t size;
};

/*
 * Give the calling thread such a stack, if it has none (or no memory: then it
 * stays without); and take it back.
 */
void torc_fault_stack_begin(struct torc_fault_stack *stack);
void torc_fault_stack_end(struct torc_fault_stack *stack);

#endif
