/* SPDX-License-Identifier: MIT */
/*
 * serve.c - one reactor per CPU, from the first listener to the last
 * connection.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "conn/granted.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/serve.h"
#include "conn/serve_endpoints.h"
#include "conn/serve_listen.h"
#include "conn/serve_say.h"
#include "conn/serve_signals.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "reactor/fiber.h"
#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/uapi.h"

/* ---- Threads ---- */

/* The first error ends all, also in a drain, and wakes the main thread. */
static void
fail(struct torc_server *server, int error)
{
	uint32_t none = 0;

	/* V1: relaxed. One worker is the first, and its error stays. */
	if (!torc_replace_relaxed_u32(&server->failed, &none,
	    (uint32_t)-error))
		return;
	torc_serve_drain(server, TORC_AT_ONCE);
	pthread_kill(server->main, SIGTERM);
}

static void
report_ready(struct torc_server *server)
{
	/* V2: full. One worker is the last. */
	if (torc_add_full_u32(&server->started, 1) == server->count &&
	    server->ready != NULL)
		server->ready(server->config.arg);
}

/* A fiber: what the program wants done first on each reactor. */
static int
run_start(void *arg)
{
	struct torc_worker *worker = arg;
	struct torc_server *server = worker->server;
	int rc = 0;

	if (server->config.start != NULL)
		rc = server->config.start(worker->reactor,
		    server->config.arg);
	/* Told to end before there was anything to serve. */
	if (rc == -ECANCELED && worker->reactor->dismissed)
		return 0;
	if (rc < 0) {
		fail(server, rc);
		return rc;
	}
	/* Its listeners are closed: do not report that it serves. */
	if (torc_reactor_draining(worker->reactor))
		return 0;
	torc_listen_begin(worker->reactor->layer_state);
	report_ready(server);
	return 0;
}

static int
run_reactor(struct torc_worker *worker)
{
	struct torc_server *server = worker->server;
	int rc;

	rc = torc_fiber_start_daemon(worker->reactor, NULL, run_start, worker);
	if (rc < 0)
		return rc;
	rc = torc_reactor_run(worker->reactor);
	if (server->config.stop != NULL)
		server->config.stop(worker->reactor, server->config.arg);
	return rc;
}

static void *
run_worker(void *arg)
{
	struct torc_worker *worker = arg;

	if (worker->cpu >= 0)
		torc_sys_pin(worker->cpu);
	worker->result = run_reactor(worker);
	if (worker->result < 0)
		fail(worker->server, worker->result);
	/* If that was no drain of them all, it begins one. */
	pthread_kill(worker->server->main, SIGTERM);
	return NULL;
}

static int
start_threads(struct torc_server *server)
{
	for (; server->threads < server->count; server->threads++) {
		struct torc_worker *worker = &server->workers[server->threads];
		int error = pthread_create(&worker->thread, NULL, run_worker,
		    worker);

		if (error != 0)
			return torc_serve_say(server, -error,
			    "cannot start a thread", "");
	}
	return 0;
}

/* ---- All of it ---- */

/* What the kernel refused is the ring of receive buffers, as a rule. */
static int
say_buffers(struct torc_server *server, int error)
{
	return torc_error_explain(server->error, error, "io_uring_register",
	    torc_pages_whole(server->config.buffers *
	    sizeof(struct io_uring_buf)));
}

/* Listeners are open before anything runs, and accept after `start`. */
static int
hold(struct torc_server *server)
{
	for (unsigned i = 0; i < server->count; i++) {
		struct torc_net *net;
		int rc = torc_net_open(server->reactors[i], &net);

		if (rc < 0)
			return say_buffers(server, rc);
		torc_listen_hold(net);
	}
	return 0;
}

static int
create_reactors(struct torc_server *server)
{
	const unsigned cpus = torc_cpus_allowed();

	for (unsigned i = 0; i < server->count; i++) {
		struct torc_worker *worker = &server->workers[i];
		int rc = torc_reactor_make(&worker->reactor,
		    &server->config, server->error);

		if (rc < 0)
			return rc;
		torc_reactor_set_index(worker->reactor, i);
		worker->server = server;
		worker->cpu = server->pinned ?
		    torc_sys_allowed_cpu(i % cpus) : -1;
		server->reactors[i] = worker->reactor;
	}
	return 0;
}

static void
destroy_reactors(struct torc_server *server)
{
	for (unsigned i = 0; i < server->count; i++) {
		if (server->reactors[i] != NULL)
			torc_reactor_destroy(server->reactors[i]);
	}
}

static int
first_error(const struct torc_server *server)
{
	/* V1: relaxed. The workers have been joined. */
	return -(int)torc_load_relaxed_u32(&server->failed);
}

static int
serve(struct torc_server *server)
{
	int rc = create_reactors(server);

	if (rc == 0)
		rc = hold(server);
	if (rc == 0)
		rc = torc_serve_listen(server);
	if (rc == 0) {
		rc = start_threads(server);
		if (rc == 0) {
			torc_serve_wait(server);
			rc = first_error(server);
			if (rc < 0)
				torc_serve_say(server, rc, "a reactor ended",
				    "");
		} else {
			torc_serve_stop(server);
		}
	}
	destroy_reactors(server);
	return rc;
}

/*
 * Where a quota decides how many there are, other processes have theirs on the
 * same CPUs: if all were bound to the first ones, the rest would be idle.
 */
static void
count_reactors(struct torc_server *server)
{
	const unsigned wanted = server->config.reactors;

	server->count = wanted > 0 ? wanted : torc_cpus_granted(NULL, 0);
	server->pinned = !server->config.unpinned &&
	    (wanted > 0 || server->count == torc_cpus_allowed());
}

int
torc_serve_sized(const struct torc_config *config, size_t config_size,
    size_t endpoint_size, void (*ready)(void *arg), struct torc_error *error)
{
	struct torc_config known;
	struct torc_server server = {
		.endpoint_size = endpoint_size,
		.ready = ready,
		.main = pthread_self(),
		.error = error,
	};
	sigset_t before;
	int rc;

	torc_require(config != NULL, "torc_serve needs a configuration");
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), config, config_size,
	    "torc_config", error);
	if (rc == 0)
		rc = torc_config_fill(&server.config, &known, error);
	if (rc == 0)
		rc = torc_serve_check(&server.config, endpoint_size, error);
	if (rc < 0)
		return rc;
	count_reactors(&server);
	server.workers = torc_sys_alloc(server.count *
	    sizeof(*server.workers));
	server.reactors = torc_sys_alloc(server.count *
	    sizeof(*server.reactors));
	signal(SIGPIPE, SIG_IGN);
	torc_fault_report_gently();
	/* Before anything is submitted: operations keep the limit that they
	 * were prepared under. As it is will do, too. */
	(void)torc_sys_raise_rlimit(RLIMIT_NOFILE);
	torc_serve_block(&server, &before);
	if (server.workers != NULL && server.reactors != NULL)
		rc = serve(&server);
	else
		rc = torc_serve_say(&server, -ENOMEM, "reactors", "");
	torc_serve_unblock(&server, &before);
	torc_sys_free(server.reactors);
	torc_sys_free(server.workers);
	return rc;
}
