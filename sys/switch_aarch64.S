/*
 * switch_aarch64.S - AAPCS64: x19 to x30 and d8 to d15 are the callee's.
 */
#if defined(__aarch64__)
	.text
	.globl	torc_switch
	.type	torc_switch, %function
	.p2align 4
torc_switch:
	.cfi_startproc
	sub	sp, sp, #160
	.cfi_adjust_cfa_offset 160
	stp	x29, x30, [sp, #0]
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	stp	x19, x20, [sp, #16]
	.cfi_rel_offset x19, 16
	.cfi_rel_offset x20, 24
	stp	x21, x22, [sp, #32]
	.cfi_rel_offset x21, 32
	.cfi_rel_offset x22, 40
	stp	x23, x24, [sp, #48]
	.cfi_rel_offset x23, 48
	.cfi_rel_offset x24, 56
	stp	x25, x26, [sp, #64]
	.cfi_rel_offset x25, 64
	.cfi_rel_offset x26, 72
	stp	x27, x28, [sp, #80]
	.cfi_rel_offset x27, 80
	.cfi_rel_offset x28, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	ldp	x29, x30, [sp, #0]
	.cfi_restore x29
	.cfi_restore x30
	ldp	x19, x20, [sp, #16]
	.cfi_restore x19
	.cfi_restore x20
	ldp	x21, x22, [sp, #32]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x23, x24, [sp, #48]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x25, x26, [sp, #64]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x27, x28, [sp, #80]
	.cfi_restore x27
	.cfi_restore x28
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_adjust_cfa_offset -160
	br	x30
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
	sub	x0, x0, #160
	adr	x9, switch_entry + 4
	stp	xzr, x9, [x0, #0]
	stp	x1, x2, [x0, #16]
	ret
	.cfi_endproc
	.size	torc_switch_prepare, . - torc_switch_prepare
#endif
	.section .note.GNU-stack, "", %progbits
