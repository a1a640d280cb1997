/* SPDX-License-Identifier: MIT */
/*
 * tally.h - what torc has taken of the memory of the machine and not given
 * back, and a step of its beginning that fails. A program that uses it has
 * "wrap: torc_sys_map torc_sys_unmap torc_sys_alloc torc_sys_free", and may
 * have calls of its own fail as further steps.
 */
#ifndef TORC_TESTS_TALLY_H
#define TORC_TESTS_TALLY_H

#include <stdbool.h>

extern struct tally {
	_Atomic int mapped;
	_Atomic int allocated;
	_Atomic unsigned steps;
	unsigned failing;	/* the so-manieth step fails; 0: none */
	bool no_mappings;	/* nothing more is mapped */
} tally;

/* Whether this step is the one that fails. */
bool step_fails(void);

/* Nothing is taken, and nothing fails. */
void forget_tally(void);

#endif
