/* SPDX-License-Identifier: MIT */
/*
 * modes.h - the control words of the floating-point units: rounding, denormals,
 * precision, which errors trap. The ABI has them preserved over a call, so a
 * fiber must find them as it left them, and must not leave its own to others.
 *
 * The flags of errors that have occurred are not preserved over a call: they
 * are those of the thread, whichever of its fibers set them.
 */
#ifndef TORC_SYS_MODES_H
#define TORC_SYS_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/machine.h"

/* Zero at first: what no instruction writes is compared, too. */
union torc_modes {
	uint64_t word;		/* all of it */
#if defined(__x86_64__)
	struct {
		uint32_t mxcsr;
		uint16_t x87;
		uint16_t none;
	};
#endif
};

_Static_assert(sizeof(union torc_modes) == sizeof(uint64_t),
    "a word has all of it");

#if defined(__x86_64__)

#define TORC_MODES_FLAGS 0x3fu	/* of MXCSR: errors that have occurred */

static inline void
torc_modes_get(union torc_modes *modes)
{
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(modes->mxcsr),
	    "=m"(modes->x87));
}

static inline void
torc_modes_set(const union torc_modes *modes)
{
	/* An error that has occurred must not trap because it may do so now. */
	__asm__ volatile("fnclex");
	__asm__ volatile("fldcw %0" : : "m"(modes->x87));
	__asm__ volatile("ldmxcsr %0" : : "m"(modes->mxcsr));
}

#elif defined(__aarch64__)

#define TORC_MODES_FLAGS 0u	/* they are in FPSR */

static inline void
torc_modes_get(union torc_modes *modes)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(modes->word));
}

static inline void
torc_modes_set(const union torc_modes *modes)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(modes->word));
}

#endif

/* But for flags of errors. */
static inline bool
torc_modes_equal(const union torc_modes *a, const union torc_modes *b)
{
	return ((a->word ^ b->word) & ~(uint64_t)TORC_MODES_FLAGS) == 0;
}

#endif
