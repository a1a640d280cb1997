/* SPDX-License-Identifier: MIT */
/*
 * toy.h - a transport with records, a handshake, rekeys and an end, for tests
 * of the seam: it hides nothing, and notices if a byte is not what it was.
 *
 * A record is its kind, the size of what it carries, that, and a sum. The
 * client greets first (HELLO); the server answers with the same. Each side has
 * a key for what it sends, which changes with each record, and more so with
 * REKEY, that may ask for one in return. END says that no more is sent.
 */
#ifndef TORC_TESTS_TOY_H
#define TORC_TESTS_TOY_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/transport.h"

#define TOY_DATA_MAX 24u
#define TOY_OVERHEAD 3u
#define TOY_RECORD_MAX (TOY_DATA_MAX + TOY_OVERHEAD)

enum toy_kind {
	TOY_HELLO = 'H',
	TOY_DATA = 'D',
	TOY_REKEY = 'K',	/* no bytes: change yours, too */
	TOY_REKEYED = 'k',
	TOY_END = 'E',
};

/* One direction. Begins with zeroes. */
struct toy_way {
	uint32_t key;
	bool greeted;
	bool ended;
	uint8_t rest[TOY_RECORD_MAX];	/* the beginning of a record */
	uint32_t rest_size;
};

/* One record to `out`; its size. */
uint32_t toy_put(struct toy_way *way, enum toy_kind kind, const uint8_t *data,
    uint32_t size, uint8_t *out);

/*
 * The next record of `*data`, which goes on behind it; what is no whole record
 * is kept. What it carries goes to `out`, and its size to `*got`. The kind; 0:
 * there is none; -EBADMSG: it is not what was sent.
 */
int toy_get(struct toy_way *way, const uint8_t **data, uint32_t *size,
    uint8_t *out, uint32_t *got);

/* Called before each opening of one that is not ready; NULL: nothing is. */
extern void (*toy_step)(struct torc_transport *transport);
/* Whether a thread answers the next greeting; NULL: none does. */
extern bool (*toy_leaves)(void);
/* Makes transports of listeners, whose clients greet first. */
extern struct torc_transport_maker toy_maker;
/* One of them. NULL: no memory. */
struct torc_transport *toy_make(void);
/* Change the key, and let the peer change its own. */
void toy_rekey(struct torc_transport *transport);

#endif
