/* SPDX-License-Identifier: MIT */
/*
 * room.c - all places are taken (`connections`), or nearly all descriptors, and
 * somebody knocks.
 *
 * Whoever has waited longest for a request leaves: it loses nothing, as when
 * its time had come. If nobody waits for one, somebody leaves whose peer is
 * waited for in the middle of something, such as half a head, and has been
 * silent for a while: one of those that share an address with most others, and
 * of them the most silent. So silent peers can be in all places, and cannot
 * keep others out. There are a few places more than `connections`, for those
 * that come while others leave.
 *
 * The last descriptors of a process are a reserve, for those that knock and for
 * whatever else needs one. The kernel gives the lowest number that is free: one
 * of the last ones says that all before it are taken.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>

#include "conn/conn.h"
#include "conn/finish.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/room.h"
#include "conn/send.h"
#include "conn/torc_protocol.h"
#include "conn/transport.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define LOOKED_AT 1024u	/* connections, for those that wait for a request */
#define LEAVE_MAX 8u	/* of them that leave at once */
#define SUSPECTS 64u	/* connections, for those that are silent */
#define SILENT_MS 1000	/* less is no silence */
#define NOTICE_NS 1000000000u
#define RESERVE_PART 16u	/* of all descriptors, */
#define RESERVE_MAX 64u		/* but no more of them */
#define SPARED 32u		/* of those that are merely kept */
#define PATIENCE_NS 100000000u	/* for these, also of other reactors */

/* ---- Waiting for a request ---- */

static bool
is_sending(const struct torc_conn *conn)
{
	return conn->staged_size > 0 || conn->loud || conn->slabbed ||
	    conn->awaited;
}

static bool
is_leaving(const struct torc_conn *conn)
{
	return conn->doomed || conn->evicted;
}

/* Its fiber waits for input. */
static bool
has_reader(const struct torc_conn *conn)
{
	return conn->reader != NULL &&
	    conn->reader->state == TORC_FIBER_PARKED;
}

static bool
is_between_requests(const struct torc_conn *conn)
{
	return conn->handler != NULL && !is_leaving(conn) && !conn->busy &&
	    (conn->dormant || has_reader(conn)) && conn->input == 0 &&
	    torc_transport_waits(conn) == 0 && !is_sending(conn);
}

/* When it had its last answer, or came: as SQEs are counted. */
static uint64_t
idle_since(const struct torc_conn *conn)
{
	return conn->send_mark > conn->arm_mark ? conn->send_mark :
	    conn->arm_mark;
}

/* The first of `count` are those that have waited longest, in order. */
static unsigned
insert(struct torc_conn **found, unsigned count, unsigned most,
    struct torc_conn *conn)
{
	unsigned at = count;

	torc_debug_assert(count <= most && most <= LEAVE_MAX);
	while (at > 0 && idle_since(found[at - 1]) > idle_since(conn))
		at--;
	if (at == most)
		return count;
	if (count == most)
		count--;
	memmove(&found[at + 1], &found[at], (count - at) * sizeof(*found));
	found[at] = conn;
	return count + 1;
}

/* The next connection, and after the last one the first. */
static struct torc_conn *
next_conn(struct torc_net *net)
{
	struct torc_conn *conn = net->looked_at;

	conn = torc_slots_each(&net->conns, conn);
	if (conn == NULL)
		conn = torc_slots_each(&net->conns, NULL);
	net->looked_at = conn;
	return conn;
}

static unsigned
find_idle(struct torc_net *net, struct torc_conn **found, unsigned most)
{
	uint32_t left = net->conns.count;
	unsigned count = 0;

	while (left > 0 && count == 0) {
		for (unsigned i = 0; i < LOOKED_AT && left > 0; i++, left--) {
			struct torc_conn *conn = next_conn(net);

			if (is_between_requests(conn))
				count = insert(found, count, most, conn);
		}
	}
	return count;
}

static void
ask_to_leave(struct torc_conn *conn)
{
	torc_assert(!conn->evicted && !conn->doomed);
	torc_debug_assert(conn->dormant || conn->reader != NULL);
	conn->evicted = true;
	conn->net->leaving++;
	conn->reactor->counters->evictions++;
	if (conn->dormant)
		torc_conn_retire(conn);
	else
		torc_fiber_wake_later(conn->reader, -ESHUTDOWN);
}

void
torc_room_keep(struct torc_conn *conn)
{
	torc_assert(conn->evicted && conn->net->leaving > 0);
	conn->evicted = false;
	conn->net->leaving--;
}

void
torc_room_left(struct torc_conn *conn)
{
	torc_assert(conn->net->leaving >= conn->evicted);
	conn->net->leaving -= conn->evicted;
}

/* ---- In the middle of something ---- */

struct suspect {
	struct torc_conn *conn;
	int silent_ms;
	uint8_t address[16];	/* of the peer; all zero: a local one */
};

/* Its peer is waited for: it should send, or read. */
static bool
is_waited_for(const struct torc_conn *conn)
{
	return conn->handler != NULL && !is_leaving(conn) &&
	    (has_reader(conn) || conn->awaited || conn->dormant);
}

static void
read_address(struct suspect *suspect)
{
	struct sockaddr_storage peer;
	uint32_t size = sizeof(peer);

	memset(suspect->address, 0, sizeof(suspect->address));
	if (torc_sys_getpeername(suspect->conn->fd, (struct sockaddr *)&peer,
	    &size) < 0)
		return;
	if (peer.ss_family == AF_INET)
		memcpy(suspect->address,
		    &((struct sockaddr_in *)&peer)->sin_addr, 4);
	else if (peer.ss_family == AF_INET6)
		memcpy(suspect->address,
		    &((struct sockaddr_in6 *)&peer)->sin6_addr, 16);
}

static unsigned
find_suspects(struct torc_net *net, struct suspect *suspects)
{
	unsigned count = 0;

	for (uint32_t left = net->conns.count; left > 0 && count < SUSPECTS;
	    left--) {
		struct torc_conn *conn = next_conn(net);
		int silent_ms;

		if (!is_waited_for(conn))
			continue;
		silent_ms = torc_sys_silent_ms(conn->fd);
		if (silent_ms < SILENT_MS)
			continue;
		suspects[count].conn = conn;
		suspects[count].silent_ms = silent_ms;
		read_address(&suspects[count++]);
	}
	return count;
}

static unsigned
count_same(const struct suspect *suspects, unsigned count, unsigned at)
{
	unsigned same = 0;

	for (unsigned i = 0; i < count; i++)
		same += memcmp(suspects[i].address, suspects[at].address,
		    sizeof(suspects[i].address)) == 0;
	return same;
}

static struct torc_conn *
find_silent(struct torc_net *net)
{
	struct suspect suspects[SUSPECTS];
	unsigned count = find_suspects(net, suspects);
	unsigned most = 0, worst = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned same = count_same(suspects, count, i);

		if (same > most || (same == most && suspects[i].silent_ms >
		    suspects[worst].silent_ms)) {
			most = same;
			worst = i;
		}
	}
	return count > 0 ? suspects[worst].conn : NULL;
}

/* Its calls fail, and so its handler ends. */
static void
turn_out(struct torc_conn *conn)
{
	torc_assert(!conn->evicted && !conn->doomed);
	conn->evicted = true;
	conn->net->leaving++;
	conn->reactor->counters->evictions++;
	torc_send_fail(conn, -ECONNABORTED);
	torc_send_abort(conn);
	torc_recv_fail(conn, -ECONNABORTED);
}

/* ---- Room ---- */

static void
tell_operator(struct torc_net *net, const char *what)
{
	if (net->reactor->now < net->room_notice_at)
		return;
	net->room_notice_at = net->reactor->now + NOTICE_NS;
	torc_reactor_notice(net->reactor, "connections = %u: %s",
	    net->reactor->config.connections, what);
}

/* So many leave: those that are idle, or else silent ones. How many do. */
static unsigned
make_some_leave(struct torc_net *net, unsigned idle, unsigned silent)
{
	struct torc_conn *found[LEAVE_MAX];
	unsigned count = find_idle(net, found, idle);

	for (unsigned i = 0; i < count; i++)
		ask_to_leave(found[i]);
	if (count > 0)
		return count;
	while (count < silent && (found[0] = find_silent(net)) != NULL) {
		turn_out(found[0]);
		count++;
	}
	return count;
}

static bool
is_full(const struct torc_net *net)
{
	torc_debug_assert(net->conns.count >= net->leaving);
	return net->conns.count - net->leaving >=
	    net->reactor->config.connections;
}

static bool
make_place(struct torc_net *net)
{
	const uint32_t places = net->reactor->config.connections;
	unsigned most = places / LOOKED_AT + 1;

	/* Those that were asked may not have left yet. */
	if (net->conns.count == net->conns.capacity)
		return false;
	if (make_some_leave(net, most < LEAVE_MAX ? most : LEAVE_MAX,
	    1) == 0) {
		tell_operator(net, "all of them are open, and new ones are "
		    "closed");
		return false;
	}
	tell_operator(net, "all of them are open, and those that have waited "
	    "longest are closed to make room");
	return true;
}

/* ---- Descriptors ---- */

/* It is one of the last, with the limit as it is now. */
static bool
is_reserved(struct torc_net *net, int fd)
{
	uint64_t soft = UINT64_MAX;

	if ((uint64_t)fd < net->reserve_from)
		return false;
	torc_sys_rlimit(RLIMIT_NOFILE, &soft);
	net->reserve_from = soft - (soft / RESERVE_PART < RESERVE_MAX ?
	    soft / RESERVE_PART : RESERVE_MAX);
	return (uint64_t)fd >= net->reserve_from;
}

/*
 * A thread that stood still hears late of a number that was one of the last:
 * the next one that there is shows how it is now.
 */
static bool
is_scarce(struct torc_net *net)
{
	int next = torc_sys_eventfd();

	if (next < 0)
		return true;
	torc_sys_close(next);
	return is_reserved(net, next);
}

/* First what is merely kept gives way, also that of other reactors. */
static bool
is_spared(struct torc_net *net)
{
	const uint64_t now = net->reactor->now;
	const int rc = torc_reclaim(SPARED);

	if (rc == -EAGAIN && net->scarce_at == 0)
		net->scarce_at = now;
	return rc > 0 || (rc == -EAGAIN && now < net->scarce_at + PATIENCE_NS);
}

bool
torc_room_clear(struct torc_net *net)
{
	if (make_some_leave(net, LEAVE_MAX, LEAVE_MAX) == 0)
		return false;
	tell_operator(net, "descriptors run out, and the connections that have "
	    "waited longest are closed to make room");
	return true;
}

bool
torc_room_make(struct torc_net *net, int fd)
{
	if (is_full(net))
		return make_place(net);
	if (!is_reserved(net, fd))
		net->scarce_at = 0;
	else if (!is_spared(net) && is_scarce(net) &&
	    make_some_leave(net, 2, 2) > 0)	/* for one: it fills again */
		tell_operator(net, "descriptors run out, and the connections "
		    "that have waited longest are closed to make room");
	return true;
}

void
torc_conn_set_busy(struct torc_conn *conn, bool busy)
{
	torc_conn_require(conn);
	conn->busy = busy;
}
