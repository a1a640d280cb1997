/* SPDX-License-Identifier: MIT */
/*
 * run.c - one run: the reactors of a scenario are made, take turns with each
 * other and with the world, are told to end, and leave nothing.
 *
 * Several reactors run on one thread: each has its own idea of torc_current,
 * as if it had a thread of its own. While one sleeps in an enter the others
 * cannot run; so its enter returns with nothing, as it may, when one of them
 * has something to do.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conn/kit/torc_client.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "tests/sim/sim.h"
#include "tests/sim/veil.h"
#include "tests/toy.h"

#define CALLS 16		/* from elsewhere, that wait */
#define GRACE (2000 * MS)	/* for handlers whose peers have ended */

static struct torc_reactor *currents[MAX_REACTORS];	/* torc_current */
static struct torc_post starts[MAX_REACTORS];
static char addresses[MAX_ADDRESSES][80];
static unsigned fibers[MAX_REACTORS];	/* of the scenario, that run */
static char notes[4096];

static struct {
	void (*function)(void *arg);
	void *arg;
} calls[CALLS];
static unsigned call_count;

/* ---- The world of a run ---- */

void
sim_world_reset(uint64_t seed)
{
	uint8_t *sites = world.sites;
	bool verbose = world.verbose;

	sim_kernel_reset();
	sim_seam_reset();
	world = (struct world) {
		.seed = seed,
		.prng = seed,
		.profile = LINUX_6_18,
		.now = 1000000 * MS,
		.start = 1000000 * MS,
		.nofile = 200,
		.first_fd = 3,
		.calm_at = UINT64_MAX,
		.sites = sites,
		.verbose = verbose,
	};
	memset(currents, 0, sizeof(currents));
	memset(starts, 0, sizeof(starts));
	torc_current = NULL;
	call_count = 0;
	memset(fibers, 0, sizeof(fibers));
	notes[0] = '\0';
}

void
sim_world_draw(void)
{
	static const uint32_t refusable[] = { IORING_SETUP_NO_SQARRAY,
	    IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SINGLE_ISSUER,
	    IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_SUBMIT_ALL,
	    IORING_SETUP_R_DISABLED, IORING_SETUP_CQSIZE };
	static const uint32_t rates[] = { 3, 15, 60, 250 };

	world.profile = (enum profile)sim_draw(PROFILES);
	if (sim_draw(8) == 0)
		world.refused_setup = refusable[sim_draw(COUNT(refusable))];
	world.first_fd = sim_draw(2) == 0 ? 0 : 3;
	for (int i = 0; i < FAULTS; i++) {
		if (sim_draw(3) != 0)
			continue;
		world.faults |= 1u << i;
		world.rates[i] = rates[sim_draw(COUNT(rates))];
	}
	/* Half of the runs see nothing that matters, and must go well. */
	if (sim_draw(2) == 0)
		world.faults &= (1u << FAULT_FATAL) - 1;
	world.calm_at = 100 + sim_draw(8000);
	world.varied = true;
}

/* ---- What scenarios call ---- */

void
note(const char *format, ...)
{
	size_t used = strlen(notes);
	va_list list;

	va_start(list, format);
	vsnprintf(notes + used, sizeof(notes) - used, format, list);
	va_end(list);
	if (world.verbose)
		printf("note: %s\n", notes + used);
	strncat(notes, "\n", sizeof(notes) - strlen(notes) - 1);
	sim_trace("note", (int64_t)strlen(notes), 0, 0);
}

void
expect(bool holds, const char *text)
{
	if (!holds && !world.disturbed)
		sim_fail("%s: not so: %s", world.scenario->name, text);
}

void
broken(const char *format, ...)
{
	char text[128];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	sim_fail("%s", text);
}

void
from_elsewhere(void (*function)(void *arg), void *arg)
{
	if (call_count == CALLS)
		sim_fail("too many calls from elsewhere");
	calls[call_count].function = function;
	calls[call_count].arg = arg;
	call_count++;
}

const char *
program_address(unsigned index)
{
	return addresses[index];
}

/* ---- From outside ---- */

static bool
is_alive(const struct torc_reactor *reactor)
{
	return reactor != NULL && reactor->phase != TORC_PHASE_ENDED &&
	    !(world.unable & 1u << reactor->index);
}

static void
tell_to_end(void)
{
	const uint64_t by = world.now + (world.scenario->lasting ? 60000 :
	    500) * MS;

	world.ending = true;
	sim_trace("end", world.scenario->stop, 0, 0);
	for (unsigned i = 0; i < world.reactor_count; i++) {
		if (!is_alive(world.reactors[i]))
			continue;
		if (world.scenario->stop)
			torc_reactor_stop(world.reactors[i]);
		else
			torc_reactor_drain(world.reactors[i], torc_at(by));
	}
}

static void
stop_all(void)
{
	world.ending = true;
	for (unsigned i = 0; i < world.reactor_count; i++) {
		if (is_alive(world.reactors[i]))
			torc_reactor_stop(world.reactors[i]);
	}
}

static bool
has_fibers(void)
{
	for (unsigned i = 0; i < world.reactor_count; i++) {
		if (is_alive(world.reactors[i]) && fibers[i] > 0)
			return true;
	}
	return false;
}

static bool
has_connections(void)
{
	for (unsigned i = 0; i < world.reactor_count; i++) {
		const struct torc_net *net = is_alive(world.reactors[i]) ?
		    world.reactors[i]->layer_state : NULL;

		if (net != NULL && net->conns.count > 0)
			return true;
	}
	return false;
}

static bool
is_time_to_end(void)
{
	if (world.ending || !world.open)
		return false;
	if (world.scenario->early && (world.scenario->frayed ||
	    peers_connected()) && sim_draw(100) == 0)
		return true;
	if (!peers_done() || has_fibers() || call_count > 0) {
		world.end_at = 0;	/* one may have come back */
		return false;
	}
	if (world.end_at == 0)
		world.end_at = world.now + GRACE;
	return world.now >= world.end_at || !has_connections();
}

uint64_t
sim_control_next(void)
{
	uint64_t next = world.end_at != 0 && !world.ending ? world.end_at :
	    UINT64_MAX;

	if (sim_threads_next() < next)
		next = sim_threads_next();
	return sim_kernel_next() < next ? sim_kernel_next() : next;
}

/* As other threads do it: torc_current is not theirs. */
bool
sim_control(void)
{
	struct torc_reactor *current = torc_current;
	bool acted = true;

	torc_current = NULL;
	if (call_count > 0) {
		void (*function)(void *arg) = calls[0].function;
		void *arg = calls[0].arg;

		memmove(&calls[0], &calls[1], --call_count *
		    sizeof(calls[0]));
		function(arg);
	} else if (sim_threads_act()) {
		/* A thread of torc_offload() has done something. */
	} else if (sim_kernel_act()) {
		/* Or one of the kernel's has. */
	} else if (is_time_to_end()) {
		tell_to_end();
	} else {
		acted = false;
	}
	torc_current = current;
	return acted;
}

/* ---- Making reactors ---- */

static unsigned
pick(unsigned given, unsigned usual, const unsigned *others, unsigned count)
{
	if (given != 0)
		return given;
	return world.varied && sim_draw(2) == 0 ? others[sim_draw(count)] :
	    usual;
}

#define PICK(field, usual, ...) \
	config.field = pick(config.field, usual, \
	    (const unsigned[]) { __VA_ARGS__ }, \
	    COUNT(((const unsigned[]) { __VA_ARGS__ })))

static struct torc_config
choose_config(const struct scenario *scenario)
{
	struct torc_config config = scenario->config;

	PICK(sq_entries, 64, 4, 8);
	PICK(cq_entries, 256, config.sq_entries < 8 ? 8 : config.sq_entries);
	PICK(batch, 256, 1, 3, 8);
	PICK(batch_us, 0, 200);
	PICK(connections, 64, 64);
	PICK(ops, 64, 64);
	PICK(fibers, 64, 64);
	PICK(stack_size, 65536, 65536);
	PICK(buffers, 16, 1, 4, 8);
	PICK(buffers_start, 1, 1, config.buffers);
	PICK(buffer_size, 256, 64, 100);
	PICK(slab_size, 512, 64, 4096);
	PICK(held_max, 4096, 600, 1500);
	PICK(linger_ms, 50, 50);
	PICK(close_ms, 200, 200);
	PICK(idle_ms, 300, 300);
	PICK(read_budget, 16, 1, 2);
	if (world.varied)
		config.incremental = sim_draw(2) == 0;
	return config;
}

/* ---- Transports ---- */

int __real_torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg);
int __wrap_torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg);
int __real_torc_listen_fd(struct torc_reactor *reactor, int fd,
    torc_handler *handler, void *arg);
int __wrap_torc_listen_fd(struct torc_reactor *reactor, int fd,
    torc_handler *handler, void *arg);
int __real_torc_dial(struct torc_conn **conn, const char *address,
    torc_deadline deadline);
int __wrap_torc_dial(struct torc_conn **conn, const char *address,
    torc_deadline deadline);
int __real_torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline);
int __wrap_torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline);
int __real_torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline);
int __wrap_torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline);

static bool
does_thread_answer(void)
{
	return sim_draw(4) == 0;
}

/* All that listens in a veiled world has the toy transport. */
static int
veil_listener(struct torc_reactor *reactor, int index)
{
	if (index >= 0 && world.veiled)
		torc_listen_set_maker(reactor->layer_state, index, &toy_maker);
	return index;
}

int
__wrap_torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg)
{
	return veil_listener(reactor, __real_torc_listen(reactor, address,
	    handler, arg));
}

int
__wrap_torc_listen_fd(struct torc_reactor *reactor, int fd,
    torc_handler *handler, void *arg)
{
	return veil_listener(reactor, __real_torc_listen_fd(reactor, fd,
	    handler, arg));
}

/* And so has what dials it. */
static int
veil_dialled(struct torc_conn **conn, int rc, torc_deadline deadline)
{
	struct torc_transport *transport;

	if (rc < 0 || !world.veiled || (*conn)->transport != NULL ||
	    !sim_fd_is_ours((*conn)->fd))
		return rc;
	transport = toy_make();
	rc = transport == NULL ? -ENOMEM :
	    torc_transport_begin(*conn, transport, deadline);
	if (rc < 0)
		torc_conn_close(*conn, TORC_AT_ONCE);
	return rc;
}

int
__wrap_torc_dial(struct torc_conn **conn, const char *address,
    torc_deadline deadline)
{
	return veil_dialled(conn, __real_torc_dial(conn, address, deadline),
	    deadline);
}

int
__wrap_torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline)
{
	return veil_dialled(conn, __real_torc_dial_name(conn, address,
	    deadline), deadline);
}

int
__wrap_torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	return veil_dialled(conn, __real_torc_dial_next(conn, address,
	    dialled, deadline), deadline);
}

static int
listen_on(struct torc_reactor *reactor, unsigned index, const char *address)
{
	const struct scenario *scenario = world.scenario;
	int rc = torc_listen(reactor, address, scenario->handler, NULL);

	if (rc < 0 || addresses[index][0] != '\0')
		return rc;
	if (strncmp(address, "unix:", 5) == 0)
		snprintf(addresses[index], sizeof(addresses[index]), "%.79s",
		    address);
	else
		snprintf(addresses[index], sizeof(addresses[index]),
		    "127.0.0.1:%u", torc_listen_port(reactor, rc));
	return 0;
}

/* As torc_serve() does it: the first one deals local connections out. */
static int
open_listeners(const struct scenario *scenario)
{
	memset(addresses, 0, sizeof(addresses));
	for (unsigned i = 0; i < MAX_ADDRESSES; i++) {
		const char *address = scenario->addresses[i];

		if (i == 0 && address == NULL)
			address = "127.0.0.1:0";
		for (unsigned j = 0; address != NULL &&
		    j < world.reactor_count; j++) {
			int rc = listen_on(world.reactors[j], i,
			    j == 0 ? address : addresses[i]);

			if (rc < 0)
				return rc;
			if (strncmp(address, "unix:", 5) == 0)
				break;
		}
	}
	if (world.reactor_count > 1) {
		struct torc_net *net = world.reactors[0]->layer_state;

		net->peers = world.reactors;
		net->peer_count = world.reactor_count;
	}
	return 0;
}

static int
run_fiber(void *arg)
{
	unsigned index = world.running;
	int rc = world.scenario->fiber(arg);

	fibers[index]--;
	return rc;
}

static void
start_fiber(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	if (torc_fiber_start(reactor, NULL, run_fiber, NULL) < 0) {
		expect(false, "a fiber can be started");
		fibers[world.running]--;
	}
}

static int
prepare(const struct scenario *scenario)
{
	unsigned count = scenario->reactors > 0 ? scenario->reactors : 1;
	struct torc_config config = choose_config(scenario);
	struct torc_error error;
	int rc;

	for (unsigned i = 0; i < count; i++) {
		world.running = i;
		rc = torc_reactor_create(&world.reactors[i], &config, &error);
		if (rc < 0)
			return rc;
		world.reactors[i]->index = i;
		world.reactor_count++;
	}
	world.running = 0;
	rc = scenario->handler != NULL ? open_listeners(scenario) : 0;
	for (unsigned i = 0; rc == 0 && scenario->fiber != NULL && i < count;
	    i++) {
		starts[i].call = start_fiber;
		fibers[i]++;
		rc = torc_reactor_post(world.reactors[i], &starts[i]);
	}
	return rc;
}

/* ---- Turns ---- */

static bool
wants_turn(const struct torc_reactor *reactor)
{
	return is_alive(reactor) && (sim_kernel_busy(reactor) ||
	    torc_reactor_due(reactor) <= world.now);
}

/* One that has something to do, or else any that lives; -1: none does. */
static int
choose_reactor(void)
{
	unsigned busy[MAX_REACTORS], alive[MAX_REACTORS];
	unsigned busy_count = 0, alive_count = 0;

	for (unsigned i = 0; i < world.reactor_count; i++) {
		if (!is_alive(world.reactors[i]))
			continue;
		alive[alive_count++] = i;
		if (wants_turn(world.reactors[i]))
			busy[busy_count++] = i;
	}
	if (busy_count > 0)
		return (int)busy[sim_draw(busy_count)];
	return alive_count > 0 ? (int)alive[sim_draw(alive_count)] : -1;
}

static int
turn(unsigned index, torc_deadline deadline)
{
	struct torc_net *net = world.reactors[index]->layer_state;
	int rc;

	/* Half of the seeds prefetch completions, as with many connections. */
	if (net != NULL && world.varied && world.seed % 2 == 1)
		net->crowd = 1;
	world.running = index;
	torc_current = currents[index];
	rc = torc_reactor_turn(world.reactors[index], deadline);
	currents[index] = torc_current;
	torc_current = NULL;
	return rc;
}

/* As a program with a loop of its own does it. */
static void
turn_embedded(unsigned index)
{
	struct torc_reactor *reactor = world.reactors[index];
	int fd = torc_reactor_fd(reactor);

	if (fd < 0) {
		turn(index, TORC_NEVER);
		return;
	}
	while (turn(index, TORC_AT_ONCE) > 0) {
		const struct file *file = sim_fd_file(fd);
		uint64_t due;

		while ((due = torc_reactor_due(reactor)) > world.now &&
		    file->count == 0)
			sim_step(due);
	}
}

static void
take_turns(void)
{
	int index;

	while ((index = choose_reactor()) >= 0) {
		int rc = 1;

		if (world.scenario->embedded)
			turn_embedded((unsigned)index);
		else
			rc = turn((unsigned)index, TORC_NEVER);
		if (rc < 0 && !world.disturbed)
			sim_fail("a reactor ended with %d", rc);
		/* As torc_serve() does it: one that could not start ends the
		 * others. */
		if (rc < 0 && is_alive(world.reactors[index])) {
			world.unable |= 1u << index;
			stop_all();
		}
	}
}

static void
destroy_reactors(void)
{
	for (unsigned i = 0; i < world.reactor_count; i++) {
		struct torc_reactor *reactor = world.reactors[i];

		if (reactor == NULL)
			continue;
		world.running = i;
		world.reactors[i] = NULL;
		if (reactor->phase != TORC_PHASE_CREATED &&
		    reactor->phase != TORC_PHASE_ENDED)
			sim_fail("reactor %u has not ended", i);
		if (world.scenario->ended != NULL)
			world.scenario->ended(reactor);
		torc_reactor_destroy(reactor);
	}
}

/* A program that has ended need not wait until its last bytes are there. */
static void
see_peers_off(void)
{
	const uint64_t until = world.now + 10000 * MS;

	while (world.scenario->lasting && !peers_done() && world.now < until)
		sim_step(until);
}

void
sim_outcome(char *text, size_t size)
{
	char ends[1024];

	peers_describe(ends, sizeof(ends));
	snprintf(text, size, "%s: %s\n%s", world.scenario->name, ends, notes);
}

void
sim_run(const struct scenario *scenario)
{
	struct torc_counters counters = { 0 };
	char text[256];
	int rc;

	sim_net_reset();
	sim_files_reset();
	world.scenario = scenario;
	if (scenario->nofile > 0)
		world.nofile = scenario->nofile;
	veil_reset(world.veiled);
	peers_reset(scenario);
	scenarios_reset();
	sim_clients_reset();
	sim_threads_reset();
	toy_leaves = does_thread_answer;
	/* Others may suffer beside a good peer; but what fails for all, fails
	 * for it: also an enter, after each of which the reactor rests. */
	if (peers_have_good())
		world.faults &= ~(1u << FAULT_FATAL | 1u << FAULT_CALL |
		    1u << FAULT_MEMORY | 1u << FAULT_STILL |
		    1u << FAULT_ENTER);
	rc = prepare(scenario);
	/* A refusal is waited out; many of them in a row are the end. */
	if (rc == -ENOMEM && world.faults & 1u << FAULT_CALL)
		world.disturbed = true;
	if (rc < 0 && !world.disturbed)
		sim_fail("the program could not start: %d", rc);
	if (rc == 0) {
		world.open = true;
		take_turns();
		counters = *world.reactors[0]->counters;
		see_peers_off();
	}
	sim_threads_end();
	destroy_reactors();
	sim_check_end();
	if (rc < 0 || world.disturbed)
		return;
	peers_describe(text, sizeof(text));
	if (!scenario->frayed && !peers_content())
		sim_fail("%s: %s", scenario->name, text);
	if (scenario->check != NULL)
		scenario->check(&counters);
}
