/* SPDX-License-Identifier: MIT */
/*
 * switch_x86_64.S - System V ABI. The callee's registers are pushed in one
 * fixed order on every stack, so that the frame description is the same
 * before and after the stack pointer changes, and debuggers walk both.
 *
 * It ends in a jump: a `ret` would be predicted to go back to the caller of
 * the other stack, every time wrongly (17 ns instead of 6 ns).
 *
 * Control-flow protection: with -fcf-protection the calls begin with endbr64,
 * the jump, whose targets are return addresses, is exempt (notrack), and the
 * file is marked for indirect branch tracking. It is never marked for shadow
 * stacks: the processor keeps one for each thread, and a fiber that goes on
 * would return to an address that is not on top of it. So a linker leaves that
 * mark out of every program with torc, libc does not enable shadow stacks for
 * it, and a program that enables them by itself is killed at its first switch.
 */
#if defined(__x86_64__)
#if defined(__CET__) && (__CET__ & 1)
#define LANDING endbr64
#define UNTRACKED notrack
#else
#define LANDING
#define UNTRACKED
#endif

	.macro	save register
	pushq	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %\register, 0
	.endm

	.macro	restore register
	popq	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore %\register
	.endm

	.text
	.globl	torc_switch
	.type	torc_switch, @function
	.p2align 4
torc_switch:
	.cfi_startproc
	LANDING
	save	rbp
	save	rbx
	save	r12
	save	r13
	save	r14
	save	r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	rbx
	restore	rbp
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdx
	UNTRACKED jmpq *%rdx
	.cfi_endproc
	.size	torc_switch, . - torc_switch

/*
 * The first frame of a stack: the entry in %rbx, its argument in %r12. It is
 * entered behind the nop: unwinders look at the instruction before.
 */
	.type	switch_entry, @function
	.p2align 4
switch_entry:
	.cfi_startproc
	.cfi_undefined %rip
	nop
	movq	%r12, %rdi
	callq	*%rbx
	ud2
	.cfi_endproc
	.size	switch_entry, . - switch_entry

/*
 * torc_switch_prepare(top, entry, arg): what torc_switch pops, below `top`:
 * r15 r14 r13 r12 rbx rbp, then the address to jump to. At switch_entry the
 * stack pointer is `top` again: aligned to 16, as a call needs it.
 */
	.globl	torc_switch_prepare
	.type	torc_switch_prepare, @function
	.p2align 4
torc_switch_prepare:
	.cfi_startproc
	LANDING
	leaq	switch_entry+1(%rip), %rax
	movq	%rax, -8(%rdi)
	movq	$0, -16(%rdi)
	movq	%rsi, -24(%rdi)
	movq	%rdx, -32(%rdi)
	movq	$0, -40(%rdi)
	movq	$0, -48(%rdi)
	movq	$0, -56(%rdi)
	leaq	-56(%rdi), %rax
	retq
	.cfi_endproc
	.size	torc_switch_prepare, . - torc_switch_prepare
#endif
#include "sys/marks.h"
