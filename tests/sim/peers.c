/* SPDX-License-Identifier: MIT */
/*
 * peers.c - scripted peers: each does one step after the other, in parts as
 * small as the network wants, whenever it is its turn.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/script.h"
#include "tests/sim/veil.h"

#define MAX_PEERS 48
#define PART 512u		/* bytes in one call at most */
#define MS 1000000ull
#define GOOD_MS 100		/* for a step of a good peer */

struct peer {
	const struct script *script;
	unsigned step;
	unsigned rounds;	/* of STEP_AGAIN */
	unsigned key;		/* of its stream */
	int handle;		/* -1: no connection */
	bool over;
	bool broken;		/* reset, or ended where it was not expected */
	int error;
	uint64_t progress;	/* of this step: bytes */
	uint64_t returned;	/* of STEP_ECHO: bytes that came back */
	uint64_t wake_at;	/* 0: not asleep */
	uint64_t since;		/* when its step began */
	uint64_t sent;
	uint64_t received;
};

static struct peer peers[MAX_PEERS];
static unsigned peer_count;

void
peers_reset(const struct scenario *scenario)
{
	peer_count = 0;
	for (unsigned i = 0; i < MAX_SCRIPTS; i++) {
		const struct script *script = &scenario->scripts[i];
		unsigned copies = script->copies > 0 ? script->copies : 1;

		for (unsigned j = 0; script->steps != NULL && j < copies; j++) {
			peers[peer_count] = (struct peer) {
				.script = script,
				.key = peer_count + 1,
				.handle = -1,
				.since = peer_now(),
			};
			peer_count++;
		}
	}
}

static const struct step *
step_of(const struct peer *peer)
{
	return &peer->script->steps[peer->step];
}

static bool
is_ready(const struct peer *peer)
{
	if (peer->over)
		return false;
	if (veil_can_flush(peer->handle))
		return true;
	switch (step_of(peer)->kind) {
	case STEP_CONNECT:
		return peer->handle < 0 || peer_connected(peer->handle) != 0;
	case STEP_SERVE:
		return peer_can_accept();
	case STEP_SEND:
		return veil_can_send(peer->handle);
	case STEP_ECHO:
		return veil_can_recv(peer->handle) ||
		    (peer->progress < step_of(peer)->n &&
		    veil_can_send(peer->handle));
	case STEP_RECV:
	case STEP_AWAIT_FIN:
	case STEP_AWAIT_END:
		return veil_can_recv(peer->handle);
	case STEP_FIN:
	case STEP_CLOSE:
		return veil_can_end(peer->handle);
	case STEP_SLEEP:
		return peer->wake_at == 0 || peer->wake_at <= peer_now();
	default:
		return true;
	}
}

unsigned
peers_ready(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < peer_count; i++)
		count += is_ready(&peers[i]);
	return count;
}

uint64_t
peers_next(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < peer_count; i++) {
		const struct peer *peer = &peers[i];

		if (!peer->over && peer->wake_at != 0 && peer->wake_at < next)
			next = peer->wake_at;
	}
	return next;
}

/* Nobody has anything to do but to wait for the program to come. */
bool
peers_done(void)
{
	for (unsigned i = 0; i < peer_count; i++) {
		if (!peers[i].over && (step_of(&peers[i])->kind !=
		    STEP_SERVE || peer_can_accept()))
			return false;
	}
	return true;
}

bool
peers_connected(void)
{
	for (unsigned i = 0; i < peer_count; i++) {
		if (!peers[i].over && peers[i].step == 0)
			return false;
	}
	return true;
}

/* The connection is not what the script counts on. */
static void
give_up(struct peer *peer, int error)
{
	peer->broken = true;
	peer->over = true;
	peer->error = error;
	if (peer->handle >= 0) {
		veil_forget(peer->handle);
		peer_close(peer->handle);
	}
	peer->handle = -1;
}

static void
next_step(struct peer *peer)
{
	peer->step++;
	peer->progress = 0;
	peer->returned = 0;
	peer->wake_at = 0;
	peer->since = peer_now();
}

/* ---- Steps ---- */

static void
do_connect(struct peer *peer, unsigned address)
{
	int rc;

	if (peer->handle < 0) {
		rc = peer_connect(address);
		if (rc < 0)
			give_up(peer, rc);
		else
			peer->handle = rc;
		if (rc >= 0 && peer->script->good)
			peer_spare(rc);
		return;
	}
	rc = peer_connected(peer->handle);
	if (rc < 0)
		give_up(peer, rc);
	else if (rc > 0) {
		veil_begin(peer->handle);
		next_step(peer);
	}
}

/* Send a part of what is left of `size` bytes. */
static void
send_part(struct peer *peer, uint32_t size)
{
	uint8_t part[PART];
	uint32_t count = size - (uint32_t)peer->progress;
	int rc;

	if (count > PART)
		count = PART;
	if (count > 1 && peer_draw(2) == 0)
		count = 1 + peer_draw(count);
	for (uint32_t i = 0; i < count; i++)
		part[i] = stream_byte(peer->key, peer->sent + i);
	rc = veil_send(peer->handle, part, count);
	if (rc == -EAGAIN)
		return;
	if (rc < 0) {
		give_up(peer, rc);
		return;
	}
	peer->sent += (uint32_t)rc;
	peer->progress += (uint32_t)rc;
}

static void
do_send(struct peer *peer, uint32_t size)
{
	send_part(peer, size);
	if (peer->progress == size)
		next_step(peer);
}

static void
check_bytes(const struct peer *peer, const uint8_t *data, uint32_t size)
{
	uint32_t key = peer->script->expect == STREAM_OWN ? peer->key :
	    PROGRAM_KEY;

	if (peer->script->expect == STREAM_ANY)
		return;
	for (uint32_t i = 0; i < size; i++) {
		if (data[i] != stream_byte(key, peer->received + i))
			broken("peer %u: byte %llu is not what was sent",
			    peer->key, (unsigned long long)
			    (peer->received + i));
	}
}

/* Bytes up to `size`; 0 at the end of the stream. */
static int
read_part(struct peer *peer, uint32_t size)
{
	uint8_t part[PART];
	int rc;

	if (size > PART)
		size = PART;
	rc = veil_recv(peer->handle, part, size);
	if (rc > 0) {
		check_bytes(peer, part, (uint32_t)rc);
		if (peer->script->expect == STREAM_OWN &&
		    peer->received + (uint32_t)rc > peer->sent)
			broken("peer %u: more came back than was sent",
			    peer->key);
		peer->received += (uint32_t)rc;
	}
	return rc;
}

static void
do_recv(struct peer *peer, uint32_t size)
{
	int rc = read_part(peer, size - (uint32_t)peer->progress);

	if (rc == -EAGAIN)
		return;
	if (rc <= 0) {
		give_up(peer, rc == 0 ? -EPIPE : rc);
		return;
	}
	peer->progress += (uint32_t)rc;
	if (peer->progress == size)
		next_step(peer);
}

static void
do_echo(struct peer *peer, uint32_t size)
{
	int rc;

	if (peer->progress < size && veil_can_send(peer->handle) &&
	    (!veil_can_recv(peer->handle) || peer_draw(2) == 0)) {
		send_part(peer, size);
		return;
	}
	rc = read_part(peer, size - (uint32_t)peer->returned);
	if (rc == -EAGAIN)
		return;
	if (rc <= 0) {
		give_up(peer, rc == 0 ? -EPIPE : rc);
		return;
	}
	peer->returned += (uint32_t)rc;
	if (peer->returned == size)
		next_step(peer);
}

static void
do_await(struct peer *peer, bool anything)
{
	int rc = read_part(peer, PART);

	if (rc == -EAGAIN || (rc > 0 && anything))
		return;
	if (rc == 0 || (rc < 0 && anything))
		next_step(peer);
	else
		give_up(peer, rc > 0 ? -EPROTO : rc);
}

static void
do_sleep(struct peer *peer, uint32_t ms)
{
	if (peer->wake_at == 0)
		peer->wake_at = peer_now() + ms * MS;
	else
		next_step(peer);
}

/* The connection goes; a new one may follow, with a stream of its own. */
static void
let_go(struct peer *peer, void (*how)(int handle))
{
	veil_forget(peer->handle);
	how(peer->handle);
	peer->handle = -1;
	peer->sent = 0;
	peer->received = 0;
	next_step(peer);
}

static void
do_step(struct peer *peer)
{
	const struct step *step = step_of(peer);

	if (veil_can_flush(peer->handle)) {
		veil_flush(peer->handle);
		return;
	}
	switch (step->kind) {
	case STEP_CONNECT:
		do_connect(peer, step->n);
		return;
	case STEP_SERVE:
		peer->handle = peer_accept();
		next_step(peer);
		return;
	case STEP_SEND:
		do_send(peer, step->n);
		return;
	case STEP_RECV:
		do_recv(peer, step->n);
		return;
	case STEP_ECHO:
		do_echo(peer, step->n);
		return;
	case STEP_AWAIT_FIN:
		do_await(peer, false);
		return;
	case STEP_AWAIT_END:
		do_await(peer, true);
		return;
	case STEP_SLEEP:
		do_sleep(peer, step->n);
		return;
	case STEP_FIN:
		if (veil_end(peer->handle)) {
			peer_fin(peer->handle);
			next_step(peer);
		}
		return;
	case STEP_RESET:
		let_go(peer, peer_reset);
		return;
	case STEP_CLOSE:
		if (veil_end(peer->handle))
			let_go(peer, peer_close);
		return;
	case STEP_AGAIN:
		next_step(peer);
		if (peer->rounds++ < step->n >> 8)
			peer->step = step->n & 255;
		return;
	case STEP_END:
		if (peer->handle >= 0) {
			(void)veil_end(peer->handle);
			let_go(peer, peer_close);
		}
		peer->over = true;
		return;
	}
}

void
peers_act(unsigned index)
{
	struct peer *peer = peers;

	while (!is_ready(peer) || index-- > 0)
		peer++;
	do_step(peer);
}

void
peers_describe(char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < peer_count && used < size; i++) {
		const struct peer *peer = &peers[i];

		used += (size_t)snprintf(text + used, size - used,
		    "%speer %u %s at step %u", i > 0 ? "; " : "", peer->key,
		    peer->broken ? "broke" : peer->over ? "ended" : "stuck",
		    peer->step);
	}
}

bool
peers_have_good(void)
{
	for (unsigned i = 0; i < peer_count; i++) {
		if (peers[i].script->good)
			return true;
	}
	return false;
}

void
peers_check_good(void)
{
	for (unsigned i = 0; i < peer_count; i++) {
		const struct peer *peer = &peers[i];

		if (!peer->script->good)
			continue;
		if (peer->broken)
			broken("peer %u is good, and was let down at step "
			    "%u: %d", peer->key, peer->step, peer->error);
		if (!peer->over && step_of(peer)->kind != STEP_SLEEP &&
		    peer_now() > peer->since + GOOD_MS * MS)
			broken("peer %u is good, and waits at step %u for "
			    "%llu ms", peer->key, peer->step,
			    (unsigned long long)((peer_now() - peer->since) /
			    MS));
	}
}

bool
peers_content(void)
{
	for (unsigned i = 0; i < peer_count; i++) {
		if (peers[i].broken || !peers[i].over)
			return false;
	}
	return true;
}
