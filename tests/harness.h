/* SPDX-License-Identifier: MIT */
/*
 * harness.h - what the tests share: a reactor on a thread of its own, clients
 * with blocking sockets and a time limit, and a look at this process.
 */
#ifndef TORC_TESTS_HARNESS_H
#define TORC_TESTS_HARNESS_H

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conn/torc.h"
#include "reactor/reactor.h"

/* Whether a sanitizer watches: all is slower, and takes more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define CLIENT_SECONDS 10	/* after which a client's call fails */
/*
 * What a reactor is told to do or to end ends the process, and so fails the
 * test, when it takes so long; TORC_HANG in the environment overrides it.
 */
#define HANG_SECONDS 60
#define SERVER_POSTS 2	/* that server_start() makes */

/* A reactor that runs on a thread. */
struct server {
	struct torc_reactor *reactor;
	pthread_t thread;
	unsigned port;		/* on 127.0.0.1 */
	int result;		/* of torc_reactor_run */
	bool running;
};

/*
 * Create a reactor, listen on 127.0.0.1 and a free port, run it on a thread.
 * `config` may be NULL. Fails the test if any of it fails.
 */
void server_start(struct server *server, const struct torc_config *config,
    torc_handler *handler, void *arg);

/* Stop at once, join, destroy; the result of its loop. */
int server_stop(struct server *server);

/* Drain for `ms` milliseconds, join, destroy; the result of its loop. */
int server_drain(struct server *server, unsigned ms);

/* Run call(reactor, arg) on the reactor's thread, and wait for it. */
void server_call(struct server *server,
    void (*call)(struct torc_reactor *reactor, void *arg), void *arg);

struct hold {
	struct server *server;
	pthread_t thread;
	sem_t held;
	sem_t go;
};

/* From here to server_let_go() its thread stands still: nothing is seen. */
void server_hold_up(struct server *server, struct hold *hold);
void server_let_go(struct hold *hold);

struct torc_transport_maker;

/* What its first listener accepts from now on has a transport of this maker. */
void server_set_maker(struct server *server,
    struct torc_transport_maker *maker);

/* Run entry(arg) on a fiber of the reactor, and wait for its result. */
int server_fiber(struct server *server, int (*entry)(void *arg), void *arg);

/* A copy of its counters, taken on its thread. */
struct torc_counters server_counters(struct server *server);

/* Wait until check(reactor, arg) holds, at most `ms`; whether it does. */
bool server_await(struct server *server,
    bool (*check)(struct torc_reactor *reactor, void *arg), void *arg,
    unsigned ms);

/* Connections that are open on it. */
unsigned server_connections(struct server *server);

/* Wait until `count` connections are open, at most 5 s; whether they are. */
bool server_await_connections(struct server *server, unsigned count);

/*
 * A TCP port for a server that is not this process, or that comes back at its
 * port. Nobody is given it by chance, as the local port of a connection or of a
 * listener at port 0 is; so nobody's clients meet somebody else's server. Free
 * a moment ago, and so is the one 10000 above, for the nodes of a cluster.
 */
unsigned spare_port(void);

/* A connected blocking socket with CLIENT_SECONDS as its timeouts. */
int client_open(unsigned port);
/* The same, of which the kernel takes few bytes before they are read. */
int client_open_narrow(unsigned port);
/* The same timeouts for another one. */
void client_limit(int fd);
void client_send(int fd, const void *data, size_t size);
/* Read exactly `size` bytes; false at FIN, at an error or after the timeout. */
bool client_read(int fd, void *data, size_t size);
/* Read to the FIN: how many bytes, or -1 after an error or the timeout. */
long client_read_all(int fd, void *data, size_t size);
/* The next read gives FIN, not bytes and not an error. */
bool client_sees_fin(int fd);
/* Read so many bytes: they are those of stream_fill(). */
void client_stream(int fd, uint32_t key, uint64_t from, size_t size);
/* Close in order, which the server does, too. */
void client_part(int fd);
/* Close with a reset. */
void client_reset(int fd);

/* Send `text`, and see that it comes back. */
void client_echo(int fd, const char *text);

/* A handler that sends everything back. */
int echo_handler(struct torc_conn *conn, void *arg);

/* Deterministic bytes: byte `n` of the stream named `key`. */
uint8_t stream_byte(uint32_t key, uint64_t n);
void stream_fill(uint32_t key, uint64_t from, uint8_t *data, size_t size);
bool stream_matches(uint32_t key, uint64_t from, const uint8_t *data,
    size_t size);

uint64_t now_ms(void);
void pause_ms(unsigned ms);
unsigned count_fds(void);	/* of this process */
bool await_fds(unsigned count);	/* of them, at most 5 s */
size_t resident_bytes(void);	/* roughly */
size_t exact_resident(void);
bool allow_files(unsigned wanted);	/* whether it can have them */

/* Of TORC_SEED in the environment, or of the clock; never 0. */
uint32_t new_seed(void);
uint32_t throw_dice(uint32_t *dice);

#endif
