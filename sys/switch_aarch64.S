/* SPDX-License-Identifier: MIT */
/*
 * switch_aarch64.S - AAPCS64: x19 to x30 and d8 to d15 are the callee's.
 *
 * Control-flow protection: with -mbranch-protection=standard (or bti) the calls
 * begin with a landing pad, the switch ends in a `ret`, which may go to any
 * instruction, and the file is marked for branch target identification. Without
 * it, a `br`: a `ret` would be predicted to go back to the caller of the other
 * stack. It is never marked for pointer authentication: return addresses are
 * kept on a fiber's stack as they are, also those of C that has signed its own.
 */
#if defined(__aarch64__)
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define LANDING hint #34	/* bti c */
#define JUMP ret
#else
#define LANDING
#define JUMP br
#endif

	.macro	save first, second, at
	stp	\first, \second, [sp, #\at]
	.cfi_rel_offset \first, \at
	.cfi_rel_offset \second, \at + 8
	.endm

	.macro	restore first, second, at
	ldp	\first, \second, [sp, #\at]
	.cfi_restore \first
	.cfi_restore \second
	.endm

	.text
	.globl	torc_switch
	.type	torc_switch, %function
	.p2align 4
torc_switch:
	.cfi_startproc
	LANDING
	sub	sp, sp, #160
	.cfi_adjust_cfa_offset 160
	save	x29, x30, 0
	save	x19, x20, 16
	save	x21, x22, 32
	save	x23, x24, 48
	save	x25, x26, 64
	save	x27, x28, 80
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	restore	x29, x30, 0
	restore	x19, x20, 16
	restore	x21, x22, 32
	restore	x23, x24, 48
	restore	x25, x26, 64
	restore	x27, x28, 80
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_adjust_cfa_offset -160
	JUMP	x30
	.cfi_endproc
	.size	torc_switch, . - torc_switch

/*
 * The first frame of a stack: the entry in x19, its argument in x20. It is
 * entered behind the nop: unwinders look at the instruction before.
 */
	.type	switch_entry, %function
	.p2align 4
switch_entry:
	.cfi_startproc
	.cfi_undefined x30
	nop
	mov	x0, x20
	blr	x19
	brk	#1
	.cfi_endproc
	.size	switch_entry, . - switch_entry

	.globl	torc_switch_prepare
	.type	torc_switch_prepare, %function
	.p2align 4
torc_switch_prepare:
	.cfi_startproc
	LANDING
	sub	x0, x0, #160
	adr	x9, switch_entry + 4
	stp	xzr, x9, [x0, #0]
	stp	x1, x2, [x0, #16]
	ret
	.cfi_endproc
	.size	torc_switch_prepare, . - torc_switch_prepare
#endif
#include "sys/marks.h"
