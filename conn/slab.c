/* SPDX-License-Identifier: MIT */
/*
 * slab.c - memory of a connection's own, for what its peer does not take at
 * once.
 */
#include <string.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/slab.h"
#include "sys/sys.h"

/* What a quiet send left, and what was staged behind it, fit into one. */
uint32_t
torc_slab_size(const struct torc_net *net)
{
	return net->reactor->config.slab_size * 2;
}

static uint8_t *
take_slab(struct torc_net *net)
{
	uint8_t *slab = net->slabs;

	if (slab == NULL)
		return torc_sys_alloc(torc_slab_size(net));
	memcpy(&net->slabs, slab, sizeof(net->slabs));
	net->slab_count--;
	return slab;
}

static void
give_slab(struct torc_net *net, uint8_t *slab)
{
	torc_debug_assert(net->slab_count <= TORC_SLABS_KEPT);
	if (net->slab_count == TORC_SLABS_KEPT) {
		torc_sys_free(slab);
		return;
	}
	memcpy(slab, &net->slabs, sizeof(net->slabs));
	net->slabs = slab;
	net->slab_count++;
}

void
torc_slab_drop(struct torc_conn *conn)
{
	if (conn->slab == NULL)
		return;
	give_slab(conn->net, conn->slab);
	conn->slab = NULL;
	conn->slabbed = false;
	conn->slab_start = 0;
	conn->slab_end = 0;
}

/* Into a slab, behind what is there. There is room: see torc_slab_size(). */
bool
torc_slab_stow(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	if (conn->slab == NULL)
		conn->slab = take_slab(conn->net);
	if (conn->slab == NULL)
		return false;
	conn->slabbed = true;
	torc_assert(size <= torc_slab_size(conn->net) - conn->slab_end);
	memcpy(conn->slab + conn->slab_end, data, size);
	conn->slab_end += size;
	return true;
}

void
torc_slab_sent(struct torc_conn *conn, uint32_t size)
{
	torc_assert(size <= conn->slab_end - conn->slab_start);
	conn->slab_start += size;
	if (conn->slab_start == conn->slab_end)
		torc_slab_drop(conn);
}
