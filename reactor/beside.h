/* SPDX-License-Identifier: MIT */
/*
 * beside.h - waiting in poll(2) instead of the ring: by a loop of the program's
 * own, with torc_reactor_fd(), or by the reactor itself.
 */
#ifndef TORC_REACTOR_BESIDE_H
#define TORC_REACTOR_BESIDE_H

#include <stdint.h>

#include "reactor/reactor.h"

/*
 * A turn begins: what the descriptor has told of is found in it, and what comes
 * from now on makes it readable.
 */
void torc_beside_clear(struct torc_reactor *reactor);

/*
 * Under valgrind one thread runs at a time, and one that sleeps in the ring
 * does not let the others run, as it does in poll(2). So a reactor submits, and
 * sleeps there, until there may be a completion or `until` has come; unless
 * somebody counts instructions, and has TORC_VALGRIND_ENTER in the environment.
 * 0 or a negative errno. Only if torc_reactor_fd() has made the descriptor.
 */
int torc_beside_sleep(struct torc_reactor *reactor, uint64_t until);

#endif
