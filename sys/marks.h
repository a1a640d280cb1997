/* SPDX-License-Identifier: MIT */
/*
 * marks.h - the end of a file in assembly: its notes for linkers. Of what a
 * program is linked of, each file must have a mark, or the program has not: so
 * a file that is empty on this machine has it, too.
 */
#if defined(__CET__) && (__CET__ & 1)
#define MARK_TYPE 0xc0000002	/* GNU_PROPERTY_X86_FEATURE_1_AND */
#define MARK_VALUE 1		/* IBT */
#elif defined(__ARM_FEATURE_BTI_DEFAULT)
#define MARK_TYPE 0xc0000000	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
#define MARK_VALUE 1		/* BTI */
#endif

#ifdef MARK_TYPE
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5		/* sizes; NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	MARK_TYPE, 4
	.long	MARK_VALUE, 0		/* and to a multiple of 8 */
#endif
	.section .note.GNU-stack, "", %progbits
