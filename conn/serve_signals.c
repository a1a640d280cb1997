/* SPDX-License-Identifier: MIT */
/*
 * serve_signals.c - a server waits for signals: to drain, to stop, or to do
 * what its program wants done on SIGHUP.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "conn/serve.h"
#include "conn/serve_signals.h"
#include "sys/barrier.h"
#include "sys/sys.h"

/*
 * A program that ignores SIGHUP (nohup(1)) or has a handler of its own for it,
 * and says nothing here, keeps it.
 */
static bool
takes_hangups(const struct torc_server *server)
{
	struct sigaction action;

	return server->config.reload != NULL ||
	    (sigaction(SIGHUP, NULL, &action) == 0 &&
	    action.sa_handler == SIG_DFL);
}

void
torc_serve_block(struct torc_server *server, sigset_t *before)
{
	sigemptyset(&server->signals);
	sigaddset(&server->signals, SIGTERM);
	sigaddset(&server->signals, SIGINT);
	if (takes_hangups(server))
		sigaddset(&server->signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &server->signals, before);
}

void
torc_serve_unblock(struct torc_server *server, const sigset_t *before)
{
	const struct timespec now = { .tv_sec = 0 };

	/* The signals were for us: none is left to end the process. */
	while (sigtimedwait(&server->signals, NULL, &now) > 0)
		continue;
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

void
torc_serve_drain(struct torc_server *server, torc_deadline deadline)
{
	for (unsigned i = 0; i < server->count; i++)
		torc_reactor_drain(server->reactors[i], deadline);
}

/*
 * The second signal does not wait for handlers. Service managers send SIGHUP
 * along with SIGTERM: it is not a second one, nor is SIGTERM after it. A
 * thread, which has a signal of its own at the end.
 */
static void *
await_second_signal(void *arg)
{
	struct torc_server *server = arg;
	bool first = server->hung_up;
	int number;

	for (;;) {
		sigwait(&server->signals, &number);
		/* V1: relaxed. Its signal woke us, if all is over. */
		if (torc_load_relaxed_u32(&server->over) != 0)
			return NULL;
		if (number == SIGHUP)
			continue;
		if (!first)
			torc_serve_drain(server, TORC_AT_ONCE);
		first = false;
	}
}

static void
join_all(struct torc_server *server)
{
	for (unsigned i = 0; i < server->threads; i++)
		pthread_join(server->workers[i].thread, NULL);
}

static void
drain(struct torc_server *server)
{
	const unsigned ms = server->config.drain_ms;
	pthread_t second;
	bool listening;

	torc_serve_drain(server, ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_at(torc_sys_now() + ms * 1000000ull));
	listening = pthread_create(&second, NULL, await_second_signal,
	    server) == 0;
	join_all(server);
	if (listening) {
		/* V1: relaxed. The signal follows it. */
		torc_store_relaxed_u32(&server->over, 1);
		pthread_kill(second, SIGTERM);
		pthread_join(second, NULL);
	}
}

void
torc_serve_wait(struct torc_server *server)
{
	int number;

	for (;;) {
		sigwait(&server->signals, &number);
		/* V1: relaxed. Its signal woke us, if there is one. */
		if (torc_load_relaxed_u32(&server->failed) != 0) {
			torc_serve_stop(server);
			return;
		}
		if (number != SIGHUP || server->config.reload == NULL)
			break;
		server->config.reload(server->config.arg);
	}
	server->hung_up = number == SIGHUP;
	drain(server);
}

void
torc_serve_stop(struct torc_server *server)
{
	torc_serve_drain(server, TORC_AT_ONCE);
	join_all(server);
}
