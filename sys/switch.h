/* SPDX-License-Identifier: MIT */
/*
 * switch.h - the context switch: from one stack to another on one thread.
 *
 * Saved and restored: the registers that the ABI makes the callee's. What else
 * it has preserved over a call is in modes.h. The signal mask is the thread's.
 */
#ifndef TORC_SYS_SWITCH_H
#define TORC_SYS_SWITCH_H

#include <stddef.h>

#include "sys/machine.h"

/*
 * Store the current stack pointer to `*save` and go on where the stack
 * pointer `to` was stored.
 */
void torc_switch(void **save, void *to);

/*
 * Lay out a stack that ends below `top` (16-byte aligned) so that the first
 * switch to the returned stack pointer calls `entry(arg)`, which must never
 * return. gdb's backtrace ends there.
 */
void *torc_switch_prepare(void *top, void (*entry)(void *), void *arg);

#endif
