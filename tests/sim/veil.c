/* SPDX-License-Identifier: MIT */
/*
 * veil.c - what a scripted peer sends and reads, in records of the toy
 * transport.
 */
#include <errno.h>
#include <string.h>

#include "tests/sim/script.h"
#include "tests/sim/veil.h"
#include "tests/toy.h"

#define HANDLES 256
#define REKEYS 16u		/* of so many records one is a new key */

struct veil {
	bool on;
	bool heard_end;
	struct toy_way in;
	struct toy_way out;
	uint8_t waiting[4 * TOY_RECORD_MAX];	/* that the network did not
						 * take */
	uint32_t waiting_size;
	uint8_t read[TOY_DATA_MAX];	/* and not taken */
	uint32_t read_size;
	uint8_t raw[TOY_RECORD_MAX];	/* received, and not looked at */
	uint32_t raw_size;
};

static struct veil veils[HANDLES];
static bool on;

void
veil_reset(bool now_on)
{
	on = now_on;
	memset(veils, 0, sizeof(veils));
}

static void
put(struct veil *veil, enum toy_kind kind, const uint8_t *data, uint32_t size)
{
	veil->waiting_size += toy_put(&veil->out, kind, data, size,
	    veil->waiting + veil->waiting_size);
}

void
veil_begin(int handle)
{
	if (!on)
		return;
	veils[handle] = (struct veil) { .on = true };
	put(&veils[handle], TOY_HELLO, NULL, 0);
	veil_flush(handle);
}

void
veil_forget(int handle)
{
	veils[handle] = (struct veil) { .on = false };
}

/* ---- Out ---- */

bool
veil_can_flush(int handle)
{
	return handle >= 0 && veils[handle].waiting_size > 0 &&
	    peer_can_send(handle);
}

/* An error is found by whatever comes next. */
void
veil_flush(int handle)
{
	struct veil *veil = &veils[handle];
	int rc;

	if (veil->waiting_size == 0)
		return;
	rc = peer_send(handle, veil->waiting, veil->waiting_size);
	if (rc == -EAGAIN)
		return;
	if (rc < 0)
		rc = (int)veil->waiting_size;
	veil->waiting_size -= (uint32_t)rc;
	memmove(veil->waiting, veil->waiting + rc, veil->waiting_size);
}

bool
veil_can_send(int handle)
{
	return peer_can_send(handle) && veils[handle].waiting_size <=
	    2 * TOY_RECORD_MAX;
}

int
veil_send(int handle, const uint8_t *data, uint32_t size)
{
	struct veil *veil = &veils[handle];
	int rc;

	if (!veil->on)
		return peer_send(handle, data, size);
	rc = peer_send(handle, veil->waiting, veil->waiting_size);
	if (rc < 0)
		return rc;
	veil->waiting_size -= (uint32_t)rc;
	memmove(veil->waiting, veil->waiting + rc, veil->waiting_size);
	if (veil->waiting_size > 2 * TOY_RECORD_MAX)
		return -EAGAIN;
	if (size > TOY_DATA_MAX)
		size = TOY_DATA_MAX;
	put(veil, TOY_DATA, data, size);
	if (peer_draw(REKEYS) == 0)
		put(veil, peer_draw(2) == 0 ? TOY_REKEY : TOY_REKEYED, NULL,
		    0);
	veil_flush(handle);
	return (int)size;
}

bool
veil_can_end(int handle)
{
	return !veils[handle].on || peer_can_send(handle);
}

bool
veil_end(int handle)
{
	struct veil *veil = &veils[handle];

	if (!veil->on)
		return true;
	if (!veil->out.ended && veil->waiting_size <= 2 * TOY_RECORD_MAX)
		put(veil, TOY_END, NULL, 0);
	veil_flush(handle);
	return veil->out.ended && veil->waiting_size == 0;
}

/* ---- In ---- */

bool
veil_can_recv(int handle)
{
	return veils[handle].read_size > 0 || veils[handle].raw_size > 0 ||
	    peer_can_recv(handle);
}

/* Look at what came. False: there is nothing more to look at. */
static bool
look(struct veil *veil)
{
	const uint8_t *data = veil->raw;
	uint32_t size = veil->raw_size;
	const int kind = toy_get(&veil->in, &data, &size, veil->read,
	    &veil->read_size);

	if (kind < 0)
		broken("a record of the program is not whole");
	memmove(veil->raw, data, size);
	veil->raw_size = size;
	if (kind == TOY_END)
		veil->heard_end = true;
	return kind != 0;
}

int
veil_recv(int handle, uint8_t *data, uint32_t size)
{
	struct veil *veil = &veils[handle];
	int rc;

	if (!veil->on)
		return peer_recv(handle, data, size);
	while (veil->read_size == 0) {
		if (veil->raw_size > 0 && look(veil))
			continue;
		rc = peer_recv(handle, veil->raw, sizeof(veil->raw));
		if (rc == 0 && veil->heard_end)
			return 0;
		if (rc == 0)
			return -ECONNABORTED;
		if (rc < 0)
			return rc;
		veil->raw_size = (uint32_t)rc;
	}
	if (size > veil->read_size)
		size = veil->read_size;
	memcpy(data, veil->read, size);
	veil->read_size -= size;
	memmove(veil->read, veil->read + size, veil->read_size);
	return (int)size;
}
