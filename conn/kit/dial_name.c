/* SPDX-License-Identifier: MIT */
/*
 * dial_name.c - connections out, by name: looked up on a thread, then the
 * addresses race (RFC 8305, without its part on asynchronous lookups).
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "conn/address.h"
#include "conn/dial.h"
#include "conn/kit/offload.h"
#include "conn/kit/torc_client.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define ADDRESSES 16u		/* of a name; more are not tried */
#define NAME_SIZE 254u		/* of a name in the DNS, and its end */
#define ATTEMPT_NS 250000000u	/* before the next address is tried, too */

/* ---- The name ---- */

/* On the heap: a resolver that hangs may outlive the fiber that asked. */
struct lookup {
	struct torc_task task;
	char host[NAME_SIZE];
	struct sockaddr_storage addresses[ADDRESSES];
	int count;		/* or a negative errno */
};

static void
run_lookup(struct torc_task *task)
{
	struct lookup *lookup = torc_container(task, struct lookup, task);

	lookup->count = torc_sys_resolve(lookup->host, lookup->addresses,
	    ADDRESSES);
}

static void
share_lookup(const struct torc_task *task, struct torc_task *other)
{
	const struct lookup *from = torc_container(task, struct lookup, task);
	struct lookup *to = torc_container(other, struct lookup, task);

	memcpy(to->addresses, from->addresses, sizeof(to->addresses));
	to->count = from->count;
}

static void
drop_lookup(struct torc_task *task)
{
	torc_sys_free(torc_container(task, struct lookup, task));
}

/* ---- The race ---- */

struct attempt {
	struct race *race;
	const struct sockaddr_storage *address;
	uint64_t fiber;		/* while it runs */
};

/* On the stack of the fiber that dials, which sees all attempts off. */
struct race {
	struct torc_fiber *dialler;
	torc_deadline deadline;
	unsigned count;
	unsigned started;
	unsigned running;
	uint64_t next_at;	/* the next attempt may begin */
	int winner;		/* a socket, or -1 */
	int error;		/* of the attempt that failed last */
	bool over;
	struct attempt attempts[ADDRESSES];
};

static int
run_attempt(void *arg)
{
	struct attempt *attempt = arg;
	struct race *race = attempt->race;
	int fd = -ECANCELED;

	attempt->fiber = torc_fiber_self();
	if (!race->over)
		fd = torc_dial_socket(attempt->address,
		    attempt->address->ss_family == AF_INET6 ?
		    sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
		    race->deadline);
	attempt->fiber = 0;
	if (fd < 0) {
		race->error = fd;
		race->next_at = 0;
	} else if (race->over || race->winner >= 0) {
		torc_sys_close(fd);
	} else {
		race->winner = fd;
	}
	race->running--;
	torc_fiber_wake(race->dialler, 0);
	return 0;
}

static void
start_next(struct race *race)
{
	struct torc_reactor *reactor = race->dialler->reactor;
	int rc = torc_fiber_start_helper(reactor, NULL, run_attempt,
	    &race->attempts[race->started++]);

	if (rc < 0) {
		race->error = rc;
		return;
	}
	race->running++;
	race->next_at = reactor->now + ATTEMPT_NS;
}

/* Parks. The attempts that have not won end, and their fibers. */
static void
see_off(struct race *race)
{
	race->over = true;
	for (unsigned i = 0; i < race->started; i++) {
		if (race->attempts[i].fiber != 0)
			torc_fiber_cancel(race->attempts[i].fiber);
	}
	while (race->running > 0)
		torc_fiber_park_firmly(race->dialler->reactor);
}

/* Parks. The socket that is connected first, or a negative errno. */
static int
run_race(struct race *race)
{
	struct torc_reactor *reactor = race->dialler->reactor;
	const torc_deadline deadline = race->deadline;
	int rc = 0;

	while (race->winner < 0 && rc == 0) {
		bool more = race->started < race->count;
		torc_deadline until = deadline;

		if (more && race->next_at <= reactor->now) {
			start_next(race);
			continue;
		}
		if (race->running == 0)
			break;
		if (more && race->next_at < deadline.at)
			until = torc_at(race->next_at);
		rc = torc_fiber_park(reactor, until);
		if (rc == -ETIMEDOUT && until.at < deadline.at)
			rc = 0;
	}
	see_off(race);
	if (race->winner >= 0)
		return race->winner;
	return rc < 0 ? rc : race->error;
}

/*
 * The order of the resolver, but families take turns, beginning with that of
 * the first address.
 */
static void
line_up(struct race *race, const struct lookup *lookup)
{
	const unsigned count = (unsigned)lookup->count;
	sa_family_t family = lookup->addresses[0].ss_family;
	bool used[ADDRESSES] = { false };

	while (race->count < count) {
		unsigned next = count;

		for (unsigned i = count; i-- > 0;) {
			if (!used[i] && (next == count ||
			    lookup->addresses[next].ss_family != family ||
			    lookup->addresses[i].ss_family == family))
				next = i;
		}
		used[next] = true;
		race->attempts[race->count++] = (struct attempt) {
			.race = race,
			.address = &lookup->addresses[next],
		};
		family = lookup->addresses[next].ss_family == AF_INET ?
		    AF_INET6 : AF_INET;
	}
}

/* ---- One after the other ---- */

#define PEERS (sizeof(((struct torc_dialled *)0)->peers) / \
	sizeof(((struct torc_dialled *)0)->peers[0]))

static bool
was_dialled(const struct torc_dialled *dialled, const char *peer)
{
	for (unsigned i = 0; i < dialled->count; i++)
		if (strcmp(dialled->peers[i], peer) == 0)
			return true;
	return false;
}

/* What cannot be kept is a long path, and then it is the only address. */
static void
note_peer(struct torc_dialled *dialled, const char *peer)
{
	const size_t size = strlen(peer);
	char *kept = dialled->peers[dialled->count++];

	if (size >= sizeof(dialled->peers[0]))
		peer = "";
	memcpy(kept, peer, strlen(peer) + 1);
}

/* Of what a lookup has found, those that were not dialled. */
static void
leave_out(struct lookup *lookup, const struct torc_dialled *dialled)
{
	int kept = 0;

	for (int i = 0; i < lookup->count; i++) {
		const struct sockaddr_storage *address =
		    &lookup->addresses[i];
		char peer[sizeof(dialled->peers[0])];

		if (torc_address_format(address, sizeof(*address), peer,
		    sizeof(peer)) < 0 || !was_dialled(dialled, peer))
			lookup->addresses[kept++] = *address;
	}
	lookup->count = kept;
}

/* ---- By name ---- */

/* Parks. As run_race(), for what a lookup has found. */
static int
try_all(struct lookup *lookup, unsigned port, struct torc_dialled *dialled,
    torc_deadline deadline)
{
	struct race race = {
		.dialler = torc_reactor_of_fiber()->current,
		.deadline = deadline,
		.winner = -1,
	};

	for (int i = 0; i < lookup->count; i++)
		torc_address_set_port(&lookup->addresses[i], port);
	if (dialled != NULL)
		leave_out(lookup, dialled);
	if (lookup->count == 0)
		return -EALREADY;
	if (dialled != NULL)
		dialled->left = (unsigned)lookup->count - 1;
	line_up(&race, lookup);
	return run_race(&race);
}

/* Parks. */
static int
dial_name(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	struct lookup *lookup = torc_sys_alloc(sizeof(*lookup));
	int port, rc;

	if (lookup == NULL)
		return -ENOMEM;
	port = torc_address_split(address, lookup->host,
	    sizeof(lookup->host));
	if (port < 0) {
		torc_sys_free(lookup);
		return port;
	}
	lookup->task = (struct torc_task) {
		.run = run_lookup,
		.drop = drop_lookup,
		.name = lookup->host,
		.share = share_lookup,
	};
	rc = torc_task_run(&lookup->task, deadline);
	if (rc < 0)
		return rc;	/* and it is gone */
	rc = lookup->count;
	if (rc > 0)
		rc = try_all(lookup, (unsigned)port, dialled, deadline);
	torc_sys_free(lookup);
	return rc < 0 ? rc : torc_dial_open(conn, rc);
}

int
torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline)
{
	struct sockaddr_storage numeric;
	int rc;

	torc_reactor_of_fiber();
	torc_require(conn != NULL && address != NULL,
	    "torc_dial_name needs an address, and a place for the connection");
	/* -ENODEV: the address of an interface that is not there. */
	rc = torc_address_parse(address, &numeric);
	if (rc > 0 || rc == -ENODEV)
		return rc < 0 ? rc : torc_dial(conn, address, deadline);
	return dial_name(conn, address, NULL, deadline);
}

int
torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	struct sockaddr_storage numeric;
	char peer[128];
	int rc;

	torc_reactor_of_fiber();
	torc_require(conn != NULL && address != NULL && dialled != NULL,
	    "torc_dial_next needs an address, a place for the connection, and "
	    "a struct torc_dialled");
	if (dialled->count == PEERS)
		return -EALREADY;
	rc = torc_address_parse(address, &numeric);
	if (rc > 0 && dialled->count > 0)
		return -EALREADY;
	dialled->left = 0;
	rc = rc > 0 || rc == -ENODEV ?
	    torc_dial_name(conn, address, deadline) :
	    dial_name(conn, address, dialled, deadline);
	if (rc < 0) {
		dialled->left = 0;
		return rc;
	}
	if (torc_conn_peer_address(*conn, peer, sizeof(peer)) < 0)
		peer[0] = '\0';
	note_peer(dialled, peer);
	return 0;
}
