/* SPDX-License-Identifier: MIT */
/*
 * servers.h - real servers for the tests of the client: in a folder of
 * their own, on ports that are free, and ended by their ids.
 */
#ifndef TORC_TESTS_REDIS_SERVERS_H
#define TORC_TESTS_REDIS_SERVERS_H

#include <stdbool.h>
#include <sys/types.h>

#define REDIS_ARGUMENTS 16	/* further ones of a server */

struct redis_server {
	pid_t pid;
	unsigned port;
	char folder[64];
	char address[96];	/* "127.0.0.1:PORT" */
	char local[96];		/* "unix:PATH" */
	const char *arguments[REDIS_ARGUMENTS + 1];	/* ended by NULL */
	bool sentinel;
};

/* Whether there is a redis-server; if not, says SKIP once. */
bool redis_available(void);

/*
 * Start a server and wait until it answers; `arguments` (ended by NULL, may
 * be NULL) are further ones of its command line and outlive it. Fails the
 * test if it does not start.
 */
void redis_start(struct redis_server *server, const char *const *arguments);

/*
 * Start a sentinel that watches the master at 127.0.0.1 and that port by the
 * name "cache", and is sure after half a second. `password` may be NULL.
 */
void redis_start_sentinel(struct redis_server *server, unsigned port,
    const char *password);

/* The same server, at the same place, after redis_kill(). */
void redis_restart(struct redis_server *server);

/* End it by SIGKILL, and wait until it is gone. */
void redis_kill(struct redis_server *server);

/* As redis_kill(), and remove its folder. */
void redis_end(struct redis_server *server);

/* Send a line as it is, and read what comes until `wanted` is in it. */
bool redis_ask(unsigned port, const char *command, const char *wanted);

#endif
