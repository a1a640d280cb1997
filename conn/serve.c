/*
 * serve.c - one reactor per CPU, from the first listener to the last
 * connection.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#include "conn/granted.h"
#include "conn/net.h"
#include "reactor/config.h"
#include "reactor/fiber.h"
#include "sys/explain.h"
#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define LISTEN_TRIES 10		/* while the last owner of a port goes away */
#define LISTEN_PAUSE_NS 20000000u

struct server;

struct worker {
	struct server *server;
	struct torc_reactor *reactor;
	pthread_t thread;
	int cpu;		/* to be bound to, or -1 */
	int result;		/* of its loop */
};

struct server {
	struct torc_config config;
	void (*ready)(void *arg);
	struct worker *workers;
	struct torc_reactor **reactors;
	unsigned count;
	bool pinned;		/* each to a CPU */
	unsigned threads;	/* that were started */
	uint32_t started;	/* any thread: workers whose start is over */
	uint32_t failed;	/* any thread: the first error, positive */
	pthread_t main;		/* waits for signals */
	char *text;
	size_t text_size;
};

static int
say(struct server *server, int error, const char *what, const char *value)
{
	snprintf(server->text, server->text_size, "%s%s%s: %s", what,
	    value[0] == '\0' ? "" : " ", value, strerror(-error));
	return error;
}

/* ---- Listeners ---- */

/*
 * SO_REUSEPORT lets a second server of the same user share our ports without
 * either of them knowing. So a port is first asked for without it.
 */
static int
port_is_free(const struct sockaddr_storage *address, uint32_t size)
{
	const int on = 1;
	int fd, rc;

	if (torc_address_port(address) == 0)
		return 0;
	fd = torc_sys_socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC,
	    0);
	if (fd < 0)
		return fd;
	rc = torc_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	if (rc == 0)
		rc = torc_sys_bind(fd, (const struct sockaddr *)address,
		    size);
	torc_sys_close(fd);
	return rc;
}

/* Rings are torn down late, and their listeners with them: wait a little. */
static int
await_port(const char *address)
{
	struct sockaddr_storage parsed;
	int size = torc_address_parse(address, &parsed);
	int rc = size;

	for (int i = 0; size > 0 && i < LISTEN_TRIES; i++) {
		rc = port_is_free(&parsed, (uint32_t)size);
		if (rc != -EADDRINUSE)
			break;
		torc_sys_sleep(LISTEN_PAUSE_NS);
	}
	return rc;
}

/* The same address for the other reactors: port 0 became a real one. */
static void
exact_address(struct server *server, const char *address, int listener,
    char *text, size_t size)
{
	struct sockaddr_storage parsed;
	int length = torc_address_parse(address, &parsed);

	torc_assert(length > 0);
	torc_address_set_port(&parsed, torc_listen_port(server->reactors[0],
	    listener));
	torc_address_format(&parsed, (uint32_t)length, text, size);
}

/*
 * A listener that only the first reactor has leaves its index free on the
 * others, so that an index means the same address on all of them. (The slot
 * is zero: not taken, port 0. The first reactor had room for it.)
 */
static void
skip_index(struct server *server)
{
	for (unsigned i = 1; i < server->count; i++) {
		struct torc_net *net = server->reactors[i]->layer_state;

		net->listeners.touched++;
	}
}

static int
listen_everywhere(struct server *server, const char *address)
{
	const struct torc_config *config = &server->config;
	char exact[sizeof(struct sockaddr_un) + 8];
	int rc = await_port(address);
	int listener;

	if (rc < 0)
		return rc;
	listener = torc_listen(server->reactors[0], address, config->handler,
	    config->arg);
	if (listener < 0)
		return listener;
	if (strncmp(address, "unix:", 5) == 0) {
		skip_index(server);
		return 0;
	}
	exact_address(server, address, listener, exact, sizeof(exact));
	for (unsigned i = 1; i < server->count; i++) {
		rc = torc_listen(server->reactors[i], exact, config->handler,
		    config->arg);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Of some errors more can be said than what they are: what to do. */
static int
say_address(struct server *server, int error, const char *address)
{
	static const struct {
		int error;
		const char *fix;
	} fixes[] = {
		{ -EINVAL, "write 127.0.0.1:8080, [::1]:8080, "
		    "[fe80::1%eth0]:8080, or unix:PATH or unix:@NAME with at "
		    "most 107 bytes behind the colon" },
		{ -ENODEV, "there is no interface of this name" },
		{ -EADDRINUSE, "another program listens there, or the PATH "
		    "is no socket" },
		{ -EACCES, "a port below 1024 needs CAP_NET_BIND_SERVICE, a "
		    "PATH a folder that may be written" },
		{ -EMFILE, "raise RLIMIT_NOFILE (ulimit -n; systemd: "
		    "LimitNOFILE=)" },
	};

	for (size_t i = 0; i < sizeof(fixes) / sizeof(fixes[0]); i++) {
		if (fixes[i].error != error)
			continue;
		snprintf(server->text, server->text_size, "cannot listen on "
		    "%s: %s: %s", address, strerror(-error), fixes[i].fix);
		return error;
	}
	return say(server, error, "cannot listen on", address);
}

/*
 * A local socket has one queue of connections, which would all go to one
 * reactor: the first one deals them out.
 */
static int
open_listeners(struct server *server)
{
	struct torc_net *net = server->reactors[0]->layer_state;
	int rc;

	for (const char *const *address = server->config.listen;
	    *address != NULL; address++) {
		rc = listen_everywhere(server, *address);
		if (rc < 0)
			return say_address(server, rc, *address);
	}
	net->peers = server->reactors;
	net->peer_count = server->count;
	return 0;
}

/* ---- Threads ---- */

static void
drain_all(struct server *server, uint64_t deadline)
{
	for (unsigned i = 0; i < server->count; i++)
		torc_reactor_drain(server->reactors[i], deadline);
}

/* The first error ends all, also in a drain; the main thread hears of it. */
static void
fail(struct server *server, int error)
{
	uint32_t none = 0;

	/* V1: relaxed. One worker is the first, and its error stays. */
	if (!torc_replace_relaxed_u32(&server->failed, &none,
	    (uint32_t)-error))
		return;
	drain_all(server, 0);
	pthread_kill(server->main, SIGTERM);
}

static void
report_ready(struct server *server)
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
	struct worker *worker = arg;
	struct server *server = worker->server;
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
	torc_listen_begin(worker->reactor->layer_state);
	report_ready(server);
	return 0;
}

static int
run_reactor(struct worker *worker)
{
	struct server *server = worker->server;
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
	struct worker *worker = arg;

	if (worker->cpu >= 0)
		torc_sys_pin(worker->cpu);
	worker->result = run_reactor(worker);
	if (worker->result < 0)
		fail(worker->server, worker->result);
	return NULL;
}

static int
start_threads(struct server *server)
{
	for (; server->threads < server->count; server->threads++) {
		struct worker *worker = &server->workers[server->threads];
		int error = pthread_create(&worker->thread, NULL, run_worker,
		    worker);

		if (error != 0)
			return say(server, -error, "cannot start a thread",
			    "");
	}
	return 0;
}

static void
join_all(struct server *server)
{
	for (unsigned i = 0; i < server->threads; i++)
		pthread_join(server->workers[i].thread, NULL);
}

/* The second signal does not wait for handlers. A thread, joined at the end. */
static void *
await_second_signal(void *arg)
{
	struct server *server = arg;
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigwait(&set, &number);
	drain_all(server, 0);
	return NULL;
}

static void
wait_and_drain(struct server *server, const sigset_t *set)
{
	const unsigned ms = server->config.drain_ms;
	pthread_t second;
	bool listening;
	int number;

	sigwait(set, &number);
	/* V1: relaxed. Its signal woke us, if there is one. */
	if (torc_load_relaxed_u32(&server->failed) != 0) {
		drain_all(server, 0);
		join_all(server);
		return;
	}
	drain_all(server, ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_sys_now() + ms * 1000000ull);
	listening = pthread_create(&second, NULL, await_second_signal,
	    server) == 0;
	join_all(server);
	if (listening) {
		pthread_kill(second, SIGTERM);
		pthread_join(second, NULL);
	}
}

/* ---- All of it ---- */

/* What the kernel refused is the ring of receive buffers, as a rule. */
static int
say_buffers(struct server *server, int error)
{
	torc_explain_call(server->text, server->text_size,
	    "io_uring_register", error, torc_pages_whole(
	    server->config.buffers * sizeof(struct io_uring_buf)));
	return error;
}

/* Listeners are open before anything runs, and accept after `start`. */
static int
hold(struct server *server)
{
	for (unsigned i = 0; i < server->count; i++) {
		struct torc_net *net;
		int rc = torc_net_open(server->reactors[i], &net);

		if (rc < 0)
			return say_buffers(server, rc);
		net->holding = true;
	}
	return 0;
}

static int
create_reactors(struct server *server)
{
	const unsigned cpus = torc_cpus_allowed();

	for (unsigned i = 0; i < server->count; i++) {
		struct worker *worker = &server->workers[i];
		int rc = torc_reactor_create(&worker->reactor,
		    &server->config, server->text, server->text_size);

		if (rc < 0)
			return rc;
		worker->reactor->index = i;
		worker->server = server;
		worker->cpu = server->pinned ?
		    torc_sys_allowed_cpu(i % cpus) : -1;
		server->reactors[i] = worker->reactor;
	}
	return 0;
}

static void
destroy_reactors(struct server *server)
{
	for (unsigned i = 0; i < server->count; i++) {
		if (server->reactors[i] != NULL)
			torc_reactor_destroy(server->reactors[i]);
	}
}

static int
first_error(const struct server *server)
{
	/* V1: relaxed. The workers have been joined. */
	return -(int)torc_load_relaxed_u32(&server->failed);
}

static int
serve(struct server *server, const sigset_t *set)
{
	int rc = create_reactors(server);

	if (rc == 0)
		rc = hold(server);
	if (rc == 0)
		rc = open_listeners(server);
	if (rc == 0) {
		rc = start_threads(server);
		if (rc == 0) {
			wait_and_drain(server, set);
			rc = first_error(server);
			if (rc < 0)
				say(server, rc, "a reactor ended", "");
		} else {
			drain_all(server, 0);
			join_all(server);
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
count_reactors(struct server *server)
{
	const unsigned wanted = server->config.reactors;

	server->count = wanted > 0 ? wanted : torc_cpus_granted(NULL, 0);
	server->pinned = !server->config.unpinned &&
	    (wanted > 0 || server->count == torc_cpus_allowed());
}

int
torc_serve(const struct torc_config *config, void (*ready)(void *arg),
    char *text, size_t text_size)
{
	struct server server = {
		.ready = ready,
		.main = pthread_self(),
		.text = text,
		.text_size = text == NULL ? 0 : text_size,
	};
	sigset_t set, before;
	int rc;

	torc_require(config != NULL && config->listen != NULL &&
	    config->handler != NULL,
	    "torc_serve needs `listen` and `handler`");
	rc = torc_config_fill(&server.config, config, server.text,
	    server.text_size);
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
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	if (server.workers != NULL && server.reactors != NULL)
		rc = serve(&server, &set);
	else
		rc = say(&server, -ENOMEM, "reactors", "");
	/* The signals were for us: none is left to end the process. */
	while (sigtimedwait(&set, NULL, &(struct timespec) { 0 }) > 0)
		continue;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	torc_sys_free(server.reactors);
	torc_sys_free(server.workers);
	return rc;
}

const char *
torc_version(void)
{
#define TEXT_OF(number) #number
#define VERSION(major, minor, patch) \
	TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)
	return VERSION(TORC_VERSION_MAJOR, TORC_VERSION_MINOR,
	    TORC_VERSION_PATCH);
}
