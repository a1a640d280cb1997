/* SPDX-License-Identifier: MIT */
/*
 * origin.h - an origin of HTTP that does what a test says, mostly wrong,
 * and a client of it on a reactor.
 */
#ifndef TORC_TESTS_HTTP_ORIGIN_H
#define TORC_TESTS_HTTP_ORIGIN_H

#include <stdatomic.h>

#include "conn/http/torc_http.h"
#include "tests/harness.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define CL "Content-Length: "
#define CHUNKED "Transfer-Encoding: chunked\r\n"

/* What it does with request `nth` of a connection. True: go on reading. */
typedef bool script(int fd, unsigned nth, const char *head);

/* Connections have threads. */
struct origin {
	int fd;
	unsigned port;
	pthread_t thread;
	script *script;
	atomic_uint connections;
	atomic_uint requests;
	atomic_uint said;	/* answers, to their end */
	atomic_uint alive;	/* threads of connections */
};
extern struct origin origin;

/* A client of it, on a server's reactor. */
extern struct server server;
extern struct torc_http_client *client;
extern struct torc_error client_error;	/* of its making */
extern struct torc_http_client_config config;

/*
 * Start an origin, a server with buffers of 4 KiB and this handler, and a
 * client with the configuration that `change` (may be NULL) made of ours.
 */
void origin_scene(script *what, torc_handler *handler,
    void (*change)(struct torc_http_client_config *config));
void origin_scene_end(void);
/* The last part of it: the client and the server have gone. */
void origin_stop(void);

/* Destroy the client, and make one with what `config` is now. */
void make_client(struct torc_reactor *reactor, void *config);
int end_client(void *arg);

/* For scripts. */
bool read_head(int fd, char *head, size_t size);
void say_bytes(int fd, const char *text, size_t size);
void say(int fd, const char *text);
/* Wait for the end of the connection, which is to be the client's. */
void await_end(int fd);
/* Answer with the head of the request, or with how long its body is. */
script give_head;
script count_body;

/* Until *count is that, and the client has seen what came before. */
void await(atomic_uint *count, unsigned wanted);

#endif
