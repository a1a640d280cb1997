/* SPDX-License-Identifier: MIT */
/*
 * net.h - what a reactor's connections share.
 */
#ifndef TORC_CONN_NET_H
#define TORC_CONN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/conn.h"
#include "reactor/list.h"
#include "reactor/reactor.h"
#include "reactor/slots.h"
#include "reactor/timers.h"
#include "ring/bufring.h"

struct torc_chunk;

/*
 * What the connections of a reactor share. Each member is written by one file
 * alone (x.h is part of x.c); net.c makes them all. tests/lint.sh reads this
 * table:
 *
 *     net.c: reactor chunk_size stage_max small_max buffers conns listeners
 *         hungry nobody quiet tried own_max capped fallback_buffer crowd
 *     chunk.c: chunk chunks chunk_count
 *     slab.c: slabs slab_count
 *     write.c: unsent waiting
 *     intake.c: starved favourite favour dry
 *     held.c: pieces piece_blocks own eased
 *     conn.c: dormant
 *     shake.c: shaking begun turn_of_begun
 *     room.c: leaving looked_at reserve_from scarce_at room_notice_at
 *     drain.c: idle_by
 *     listen.c: holding
 *     accept.c: paused pause_noticed pause_notice_at peers peer_count peer_next
 */
struct torc_net {
	struct torc_reactor *reactor;
	uint32_t chunk_size;
	uint32_t stage_max;	/* bytes that a connection may stage */
	uint32_t small_max;	/* in one write; more is sent directly */
	struct torc_bufring buffers;
	struct torc_chunk *chunk;	/* where bytes are staged now */
	struct torc_slots conns;
	struct torc_slots listeners;
	struct torc_list starved;
	struct torc_todo hungry;	/* keeps the loop awake for them */
	struct torc_list shaking;	/* handshakes that wait for a turn */
	struct torc_list begun;	/* and those that had one before, */
	bool turn_of_begun;	/* whose turn it is */
	struct torc_list chunks;	/* those in use before, oldest first */
	uint32_t chunk_count;	/* with the one in use */
	struct torc_conn *unsent;	/* the only one whose staged bytes no
					 * call has pushed; or one without
					 * staged bytes */
	struct torc_conn nobody;	/* ... such as this */
	bool quiet;		/* the kernel's quiet sends are as expected */
	bool tried;		/* ... which was tried out */
	bool holding;		/* accept nothing yet */
	uint64_t idle_by;	/* in a drain: until then, peers that wait for
				 * nothing are served */
	uint32_t dormant;	/* connections */
	struct torc_piece *pieces;	/* free ones */
	void *piece_blocks;	/* where they come from */
	/* Input in memory of its own, of connections that were accepted, and
	 * of those that were dialled: bytes, and how many there may be. */
	size_t own[2];
	size_t own_max;
	bool eased;		/* there are less since the last look */
	struct torc_conn *favourite;	/* may have more than its share */
	struct torc_timer favour;	/* ends that */
	bool dry;		/* a receive found no buffer */
	bool capped;		/* the kernel ends receives after so many
				 * bytes */
	uint8_t *fallback_buffer;	/* for one read of a polled socket */
	uint8_t *slabs;		/* free ones, linked by their first bytes */
	uint32_t slab_count;	/* of them */
	uint32_t crowd;		/* connections that are many */
	uint32_t waiting;	/* connections that wait for their peer to
				 * read */
	uint32_t leaving;	/* connections that make room */
	struct torc_conn *looked_at;	/* last, for one that could */
	uint64_t reserve_from;	/* the first of the last descriptors */
	uint64_t scarce_at;	/* others were asked for some; or 0 */
	uint64_t room_notice_at;	/* the operator is not told before */
	uint32_t paused;	/* listeners */
	bool pause_noticed;	/* the operator was told */
	uint64_t pause_notice_at;	/* and is not told again before */
	struct torc_reactor **peers;	/* share dealt connections */
	unsigned peer_count;
	unsigned peer_next;
};

/* The net of a reactor, made at the first call. 0 or a negative errno. */
int torc_net_open(struct torc_reactor *reactor, struct torc_net **net);

#endif
