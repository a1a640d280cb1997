/* SPDX-License-Identifier: MIT */
/*
 * server.h - the servers that soak.c loads, each a process of its own, and
 * what they hold: asked of /proc, with no help of theirs.
 */
#ifndef TORC_TESTS_SOAK_SERVER_H
#define TORC_TESTS_SOAK_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_FILES 256u	/* its RLIMIT_NOFILE */
#define SERVER_LOCKED (1u << 20)	/* its RLIMIT_MEMLOCK, if root */
#define SERVER_THREADS "2"	/* reactors */

struct server {
	const char *name;
	pid_t pid;
	unsigned port;		/* on 127.0.0.1 */
	char log[256];		/* its standard error */
};

/* What a server holds. */
struct sample {
	long fds;
	long resident;		/* KiB */
	long locked;		/* KiB, with pinned ones and its rings */
	long armed;		/* requests that wait for a descriptor */
	long pending;		/* entries in its rings, and overflown ones */
	uint32_t sqes;		/* so far, of all rings; they wrap */
	uint32_t cqes;
};

/*
 * Start FOLDER/NAME, its log in `logs`; ends the program if that fails. It is
 * killed when this program ends.
 */
void server_start(struct server *server, const char *folder, const char *name,
    const char *logs);

/* End it with SIGTERM; whether it ended with status 0. */
bool server_stop(struct server *server);

/* Whether it still runs. */
bool server_lives(const struct server *server);

void server_sample(const struct server *server, struct sample *sample);

/*
 * Sample it when no more than `fds` descriptors are open and nothing is
 * pending; as it is, and false, if that does not come within `seconds`.
 */
bool server_sample_at_rest(const struct server *server, long fds,
    unsigned seconds, struct sample *sample);

#endif
