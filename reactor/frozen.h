/* SPDX-License-Identifier: MIT */
/*
 * frozen.h - structures of public headers that do not grow.
 */
#ifndef TORC_REACTOR_FROZEN_H
#define TORC_REACTOR_FROZEN_H

#define TORC_FROZEN(name, bytes) \
	_Static_assert(sizeof(struct name) == (bytes), \
	    "struct " #name " is frozen: programs have it as it was")

#endif
