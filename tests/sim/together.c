/* SPDX-License-Identifier: MIT */
/*
 * together.c - fibers among themselves: groups, channels, one of several
 * things. No fault of the kernel may touch these, so what is claimed here is
 * claimed in every run, disturbed or not.
 *
 * A bazaar is a group whose fibers give and take items in all ways that there
 * are, with deadlines, cancels and an end at any time. Each item has a row in
 * a ledger: whoever was told that it was given away, and only then, somebody
 * else has it.
 */
#include <errno.h>
#include <poll.h>

#include "tests/sim/clients.h"

#define ITEMS 400u
#define TRADERS 8u
#define MESSAGE 10u

enum { GIVEN_AWAY = 1, TAKEN = 2 };

struct bazaar {
	struct torc_channel *stalls[2];
	struct torc_group group;
	struct torc_waiters idle;
	uint8_t ledger[ITEMS];
	uint32_t next;
	uint64_t traders[TRADERS];
	unsigned count;
	unsigned alive;
	unsigned limit;
	int fd;			/* an eventfd, or negative */
};

/* ---- The ledger ---- */

static uint32_t
new_item(struct bazaar *bazaar)
{
	return bazaar->next < ITEMS ? bazaar->next++ : ITEMS;
}

/* A call that was to give it away returned `rc`. */
static void
note_given(struct bazaar *bazaar, uint32_t item, int rc)
{
	if (rc == 0)
		bazaar->ledger[item] |= GIVEN_AWAY;
	else if (bazaar->ledger[item] & TAKEN)
		broken("item %u was taken from who still has it (%d)", item,
		    rc);
}

static void
note_taken(struct bazaar *bazaar, uint32_t item)
{
	if (item >= bazaar->next)
		broken("there is no item %u", item);
	if (bazaar->ledger[item] & TAKEN)
		broken("item %u was taken twice", item);
	bazaar->ledger[item] |= TAKEN;
}

static void
check_ledger(struct bazaar *bazaar)
{
	uint32_t item;

	for (unsigned i = 0; i < 2; i++) {
		while (torc_channel_try_recv(bazaar->stalls[i], &item) == 1)
			note_taken(bazaar, item);
	}
	for (item = 0; item < bazaar->next; item++) {
		if (bazaar->ledger[item] == GIVEN_AWAY)
			broken("item %u was given away to nobody", item);
		if (bazaar->ledger[item] == TAKEN)
			broken("item %u was taken from nobody", item);
	}
}

/* ---- Traders ---- */

static torc_deadline
some_deadline(void)
{
	switch (peer_draw(4)) {
	case 0:
		return TORC_AT_ONCE;
	case 1:
		return TORC_NEVER;
	default:
		return torc_after_ms(peer_draw(6));
	}
}

static int
give(struct bazaar *bazaar)
{
	const uint32_t item = new_item(bazaar);
	struct torc_channel *stall = bazaar->stalls[peer_draw(2)];
	int rc;

	if (item == ITEMS)
		return torc_yield();
	rc = peer_draw(4) == 0 ? torc_channel_try_send(stall, &item) :
	    torc_channel_send(stall, &item, some_deadline());
	note_given(bazaar, item, rc);
	return rc;
}

static int
take_one(struct bazaar *bazaar)
{
	struct torc_channel *stall = bazaar->stalls[peer_draw(2)];
	uint32_t item = ITEMS;
	int rc = peer_draw(4) == 0 ? torc_channel_try_recv(stall, &item) :
	    torc_channel_recv(stall, &item, some_deadline());

	if (rc == 1)
		note_taken(bazaar, item);
	else if (item != ITEMS)
		broken("an item came with %d", rc);
	return rc;
}

/* What one of several is, and what it leads to. */
struct offer {
	enum { TO_GIVE, TO_TAKE, TO_REST, TO_POLL, TO_LEAVE, OFFERS } what;
	uint32_t item;
	uint64_t until;
};

static struct torc_choice
make_choice(struct bazaar *bazaar, struct offer *offer)
{
	struct torc_channel *stall = bazaar->stalls[peer_draw(2)];

	*offer = (struct offer) {
		.what = peer_draw(2) == 0 ? peer_draw(2) : peer_draw(OFFERS),
		.item = ITEMS,
	};
	switch (offer->what) {
	case TO_GIVE:
		offer->item = new_item(bazaar);
		if (offer->item < ITEMS)
			return torc_choice_send(stall, &offer->item);
		break;
	case TO_TAKE:
		return torc_choice_recv(stall, &offer->item);
	case TO_POLL:
		if (bazaar->fd >= 0)
			return torc_choice_poll(bazaar->fd, POLLIN);
		break;
	case TO_LEAVE:
		return torc_choice_drain();
	default:
		if (peer_draw(2) == 0)
			return torc_choice_wait(&bazaar->idle);
	}
	offer->what = TO_REST;
	return torc_choice_sleep(torc_after_ms(peer_draw(8)));
}

/* All that was not chosen is as it was. */
static void
settle(struct bazaar *bazaar, const struct offer *offer, bool chosen,
    int result)
{
	switch (offer->what) {
	case TO_GIVE:
		note_given(bazaar, offer->item, chosen ? result : -EAGAIN);
		break;
	case TO_TAKE:
		if (chosen && result == 1)
			note_taken(bazaar, offer->item);
		else if (offer->item != ITEMS)
			broken("an item came that was not chosen");
		break;
	case TO_LEAVE:
		if (chosen && !torc_reactor_draining(torc_reactor_self()))
			broken("a drain was chosen that has not come");
		break;
	default:
		break;
	}
}

static int
choose_one(struct bazaar *bazaar)
{
	struct torc_choice choices[4];
	struct offer offers[4];
	const unsigned count = 1 + peer_draw(4);
	const uint64_t began = torc_now();
	const torc_deadline deadline = some_deadline();
	int chosen;

	for (unsigned i = 0; i < count; i++)
		choices[i] = make_choice(bazaar, &offers[i]);
	chosen = torc_choose(choices, count, deadline);
	if (chosen >= (int)count)
		broken("choice %d of %u", chosen, count);
	if (chosen == -ETIMEDOUT && !torc_passed(deadline))
		broken("a choice gives up before its deadline");
	check_time(deadline.at > began ? deadline : torc_at(began),
	    "a choice");
	for (unsigned i = 0; i < count; i++)
		settle(bazaar, &offers[i], chosen == (int)i,
		    choices[i].result);
	return chosen;
}

static void
ring(void *arg)
{
	const struct bazaar *bazaar = arg;

	if (bazaar->fd >= 0)
		program_write_event(bazaar->fd);
}

/* Something that changes what others do. */
static int
meddle(struct bazaar *bazaar)
{
	uint64_t count;

	switch (peer_draw(8)) {
	case 0:
		torc_fiber_cancel(bazaar->traders[peer_draw(bazaar->count)]);
		return 0;
	case 1:
		torc_channel_shutdown(bazaar->stalls[peer_draw(2)]);
		return 0;
	case 2:
		torc_group_cancel(&bazaar->group);
		return 0;
	case 3:
		ring(bazaar);
		return bazaar->fd < 0 ? 0 : torc_fd_read(bazaar->fd, &count,
		    sizeof(count), TORC_STREAM, torc_after_ms(1));
	case 4:
		torc_wake_all(&bazaar->idle, 3);
		return 0;
	case 5:
		ring(bazaar);
		return 0;
	default:
		torc_wake(&bazaar->idle, 5);
		return torc_yield();
	}
}

static int
trade(void *arg)
{
	struct bazaar *bazaar = arg;
	int rc = 0;

	bazaar->traders[bazaar->count % TRADERS] = torc_fiber_self();
	bazaar->count += bazaar->count < TRADERS;
	if (++bazaar->alive > bazaar->limit)
		broken("%u fibers of a group of %u", bazaar->alive,
		    bazaar->limit);
	for (unsigned i = 0; i < 6 && rc != -ECANCELED; i++) {
		switch (peer_draw(5)) {
		case 0:
			rc = give(bazaar);
			break;
		case 1:
			rc = take_one(bazaar);
			break;
		case 2:
			rc = peer_draw(2) == 0 ? meddle(bazaar) :
			    torc_sleep(torc_after_ms(peer_draw(4)));
			break;
		default:
			rc = choose_one(bazaar);
		}
	}
	bazaar->alive--;
	return rc < 0 ? rc : 0;
}

/* ---- A bazaar ---- */

static int
open_bazaar(struct bazaar *bazaar)
{
	int rc;

	*bazaar = (struct bazaar) { .limit = 1 + peer_draw(TRADERS) };
	rc = torc_channel_create(&bazaar->stalls[0], sizeof(uint32_t),
	    peer_draw(3));
	if (rc < 0)
		return rc;
	rc = torc_channel_create(&bazaar->stalls[1], sizeof(uint32_t),
	    peer_draw(3));
	if (rc < 0)
		torc_channel_destroy(bazaar->stalls[0]);
	else
		bazaar->fd = program_eventfd();
	return rc;
}

static void
close_bazaar(struct bazaar *bazaar)
{
	if (bazaar->alive > 0)
		broken("%u fibers outlive their group", bazaar->alive);
	if (bazaar->idle.first != NULL)
		broken("nobody is in a queue any more, but somebody is");
	check_ledger(bazaar);
	torc_channel_destroy(bazaar->stalls[0]);
	torc_channel_destroy(bazaar->stalls[1]);
	if (bazaar->fd >= 0)
		program_close(bazaar->fd);
}

static int
hold_bazaar(void)
{
	struct bazaar bazaar;
	torc_deadline deadline;
	int error = 0, rc = open_bazaar(&bazaar);

	if (rc < 0)
		return rc;
	torc_group_begin(&bazaar.group, bazaar.limit,
	    (enum torc_group_mode)peer_draw(3));
	for (unsigned i = 0; rc == 0 && i < TRADERS; i++)
		rc = torc_group_spawn(&bazaar.group, trade, &bazaar,
		    torc_after_ms(20));
	if (peer_draw(2) == 0)
		torc_channel_shutdown(bazaar.stalls[peer_draw(2)]);
	deadline = torc_after_ms(1 + peer_draw(30));
	rc = torc_group_end(&bazaar.group, &error, deadline);
	/* They go when they are told to. */
	check_time(deadline, "a group");
	if (rc == -ETIMEDOUT && !torc_passed(deadline))
		broken("a group ends before its deadline");
	if (error > 0)
		broken("%d is no error", error);
	close_bazaar(&bazaar);
	return rc;
}

static int
hold_bazaars(void *arg)
{
	int rc = 0;

	(void)arg;
	for (unsigned i = 0; i < 3 && rc != -ECANCELED; i++)
		rc = hold_bazaar();
	return rc;
}

/* ---- Input beside other things ---- */

static struct torc_waiters bell;

void
reset_together(void)
{
	bell = (struct torc_waiters) { NULL, NULL };
}

/* Parks. Until there is input: as torc_conn_recv(). */
static int
await_input(struct torc_conn *conn, struct torc_slice *in)
{
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_choice choices[3];
	int chosen, rc;

	do {
		choices[0] = torc_choice_wait(&bell);
		choices[1] = torc_choice_input(conn);
		choices[2] = torc_choice_sleep(torc_after_ms(3));
		chosen = torc_choose(choices, 3, deadline);
	} while (chosen == 0 || chosen == 2);
	if (chosen < 0 || choices[1].result < 0)
		return chosen < 0 ? chosen : choices[1].result;
	rc = torc_conn_recv(conn, in, TORC_AT_ONCE);
	if (rc == -ETIMEDOUT)
		broken("there is input, and a receive has none");
	return rc;
}

static int
echo_choosing(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = await_input(conn, &in)) > 0) {
		torc_wake(&bell, 0);
		if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return rc == 0 || rc == -ESHUTDOWN ? TORC_CLOSE : -1;
}

static int
echo_messages_choosing(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = await_input(conn, &in)) > 0) {
		const size_t whole = in.size - in.size % MESSAGE;

		torc_wake_all(&bell, 0);
		if (whole > 0 &&
		    torc_conn_write(conn, in.data, whole, LATER) < 0)
			return -1;
		torc_conn_consume(conn, whole);
	}
	return rc == 0 || rc == -ESHUTDOWN ? TORC_CLOSE : -1;
}

/* Two connections and one fiber: what comes on one goes out on the other. */
static int
cross(void *arg)
{
	struct torc_conn *conns[2] = { NULL, NULL };
	struct torc_slice in;
	int rc;

	(void)arg;
	rc = torc_dial(&conns[0], peer_address(), LATER);
	if (rc < 0)
		return rc;
	rc = torc_dial(&conns[1], peer_address(), LATER);
	while (rc >= 0) {
		struct torc_choice choices[] = {
			torc_choice_input(conns[0]),
			torc_choice_input(conns[1]),
		};
		int from = torc_choose(choices, 2, LATER);

		rc = from < 0 ? from : choices[from].result < 0 ?
		    choices[from].result :
		    torc_conn_recv(conns[from], &in, TORC_AT_ONCE);
		if (rc == -ETIMEDOUT && from >= 0)
			broken("there is input, and a receive has none");
		if (rc <= 0)
			break;
		rc = torc_conn_write(conns[1 - from], in.data, in.size, LATER);
		torc_conn_consume(conns[from], in.size);
	}
	torc_conn_close(conns[0], torc_after_ms(100));
	torc_conn_close(conns[1], torc_after_ms(100));
	return rc;
}

/* ---- The table ---- */

static const struct step bursts[] = {
	CONNECT(0), SEND(30), SEND(170), RECV(100), SLEEP(2), SEND(10),
	RECV(110), AGAIN_FROM(1, 3), FIN, AWAIT_FIN, END,
};
static const struct step pauses[] = {
	CONNECT(0), SEND(40), RECV(40), SLEEP(12), AGAIN_FROM(1, 3), FIN,
	AWAIT_FIN, END,
};
static const struct step pieces[] = {
	CONNECT(0), SEND(7), SLEEP(5), SEND(1), SLEEP(5), SEND(12), RECV(20),
	AGAIN_FROM(1, 2), FIN, AWAIT_FIN, END,
};
static const struct step speak[] = {
	SERVE, SEND(50), SLEEP(3), SEND(60), SLEEP(5), AGAIN_FROM(1, 2),
	FIN, AWAIT_END, END,
};

#define OWN(steps, copies) { steps, STREAM_OWN, copies, false }
#define ANY(steps, copies) { steps, STREAM_ANY, copies, false }

const struct scenario of_together[] = {
	{ .name = "bazaar", .fiber = hold_bazaars },
	{ .name = "bazaar of few fibers", .fiber = hold_bazaars,
	    .config = { .fibers = 5 } },
	{ .name = "bazaar in a small ring", .fiber = hold_bazaars,
	    .config = { .sq_entries = 4, .cq_entries = 8, .ops = 3 } },
	{ .name = "drain of a bazaar", .fiber = hold_bazaars, .early = true,
	    .frayed = true },
	{ .name = "stop of a bazaar", .fiber = hold_bazaars, .early = true,
	    .stop = true, .frayed = true },
	{ .name = "input or a bell", .handler = echo_choosing,
	    .scripts = { OWN(bursts, 3), OWN(pauses, 1) } },
	{ .name = "input or a bell with two buffers",
	    .handler = echo_choosing,
	    .config = { .buffers = 2, .buffer_size = 64 },
	    .scripts = { OWN(bursts, 3), OWN(pauses, 1) } },
	{ .name = "messages or a bell", .handler = echo_messages_choosing,
	    .scripts = { OWN(pieces, 2), OWN(bursts, 2) } },
	{ .name = "drain of input or a bell", .handler = echo_choosing,
	    .early = true, .frayed = true,
	    .scripts = { OWN(bursts, 2), OWN(pauses, 2) } },
	{ .name = "stop of input or a bell",
	    .handler = echo_messages_choosing, .early = true, .stop = true,
	    .frayed = true, .scripts = { OWN(pieces, 2), OWN(bursts, 2) } },
	{ .name = "few places for input or a bell",
	    .handler = echo_choosing, .frayed = true,
	    .config = { .connections = 2 },
	    .scripts = { OWN(bursts, 2), OWN(pauses, 3) } },
	{ .name = "input of two", .fiber = cross, .frayed = true,
	    .scripts = { ANY(speak, 2) } },
};

const size_t of_together_count = COUNT(of_together);
