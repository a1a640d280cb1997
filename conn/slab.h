/* SPDX-License-Identifier: MIT */
/*
 * slab.h - memory of a connection's own, for what its peer does not take at
 * once.
 */
#ifndef TORC_CONN_SLAB_H
#define TORC_CONN_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "conn/net.h"

#define TORC_SLABS_KEPT 64u	/* free slabs that keep their memory */

/* Bytes that fit into one. */
uint32_t torc_slab_size(const struct torc_net *net);

/* Put bytes behind what is there: there is room. False: no memory. */
bool torc_slab_stow(struct torc_conn *conn, const uint8_t *data, uint32_t size);

/* So many bytes of it were sent; all: it is let go of. */
void torc_slab_sent(struct torc_conn *conn, uint32_t size);

/* Let go of it, if there is one. */
void torc_slab_drop(struct torc_conn *conn);

#endif
