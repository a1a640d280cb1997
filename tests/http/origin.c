/* SPDX-License-Identifier: MIT */
/*
 * origin.c - an origin of HTTP that does what a test says.
 */
#include "tests/http/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct origin origin;
struct server server;
struct torc_http_client *client;
struct torc_error client_error;
struct torc_http_client_config config;

/* The head of a request, ended by NUL. False at the end. */
bool
read_head(int fd, char *head, size_t size)
{
	size_t used = 0;

	while (used < size - 1 && recv(fd, head + used, 1, 0) == 1) {
		head[++used] = '\0';
		if (used >= 4 && strcmp(head + used - 4, "\r\n\r\n") == 0)
			return true;
	}
	return false;
}

static void *
run_connection(void *arg)
{
	const int fd = (int)(intptr_t)arg;
	char head[8192];
	unsigned nth = 0;

	while (read_head(fd, head, sizeof(head))) {
		atomic_fetch_add(&origin.requests, 1);
		if (!origin.script(fd, nth++, head))
			break;
	}
	close(fd);
	atomic_fetch_sub(&origin.alive, 1);
	return NULL;
}

static void *
run_origin(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(origin.fd, NULL, NULL);
		pthread_t thread;
		const int on = 1;

		if (fd < 0)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		atomic_fetch_add(&origin.connections, 1);
		atomic_fetch_add(&origin.alive, 1);
		if (pthread_create(&thread, NULL, run_connection,
		    (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
}

static void
origin_start(script *what)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);

	origin.script = what;
	atomic_store(&origin.connections, 0);
	atomic_store(&origin.requests, 0);
	atomic_store(&origin.said, 0);
	origin.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(origin.fd, (struct sockaddr *)&address, size),
	    0);
	assert_int_equal(listen(origin.fd, 64), 0);
	assert_int_equal(getsockname(origin.fd, (struct sockaddr *)&address,
	    &size), 0);
	origin.port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&origin.thread, NULL, run_origin,
	    NULL), 0);
}

/* The client is gone: its connections end, and their threads with them. */
void
origin_stop(void)
{
	shutdown(origin.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(origin.thread, NULL), 0);
	close(origin.fd);
	for (unsigned i = 0; i < 5000 && atomic_load(&origin.alive) > 0; i++)
		pause_ms(2);
	assert_int_equal(atomic_load(&origin.alive), 0);
}

void
say_bytes(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		text += sent;
		size -= (size_t)sent;
	}
}

void
say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

void
await_end(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		continue;
}

bool
give_head(int fd, unsigned nth, const char *head)
{
	char text[1024];

	(void)nth;
	snprintf(text, sizeof(text), OK CL "%zu\r\n\r\n%s", strlen(head),
	    head);
	say(fd, text);
	return true;
}

static unsigned long
drain_chunks(int fd)
{
	struct torc_http_chunks chunks = { .state = 0 };
	unsigned long size = 0;
	uint8_t byte;

	while (!torc_http_chunks_over(&chunks) && recv(fd, &byte, 1, 0) == 1) {
		struct torc_slice body;

		if (torc_http_read_chunks(&chunks, &byte, 1, &body) < 0)
			return 0;
		size += body.size;
	}
	/* The empty trailer. */
	return recv(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1 ?
	    size : 0;
}

bool
count_body(int fd, unsigned nth, const char *head)
{
	const char *length = strstr(head, CL);
	unsigned long size = 0;
	char text[128], byte;

	(void)nth;
	if (length == NULL)
		size = drain_chunks(fd);
	for (; length != NULL && size < strtoul(length + 16, NULL, 10); size++)
		if (recv(fd, &byte, 1, 0) != 1)
			return false;
	snprintf(text, sizeof(text), "%lu", size);
	byte = (char)('0' + strlen(text));
	snprintf(text, sizeof(text), OK CL "%c\r\n\r\n%lu", byte, size);
	say(fd, text);
	return true;
}

/* ---- A client on a reactor ---- */

void
make_client(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	if (torc_http_client_create(&client, arg, &client_error) < 0)
		client = NULL;
}

int
end_client(void *arg)
{
	(void)arg;
	torc_http_client_destroy(client, TORC_NEVER);
	return 0;
}

void
origin_scene(script *what, torc_handler *handler,
    void (*change)(struct torc_http_client_config *config))
{
	static char address[64];
	const struct torc_config small = { .buffer_size = 4096 };

	origin_start(what);
	snprintf(address, sizeof(address), "127.0.0.1:%u", origin.port);
	config = (struct torc_http_client_config) {
		.address = address,
		.head_max = 2048,
		.body_max = 200000,
		.answer_ms = 20000,
		.body_ms = 20000,
	};
	if (change != NULL)
		change(&config);
	server_start(&server, &small, handler, NULL);
	server_call(&server, make_client, &config);
	assert_non_null(client);
}

void
origin_scene_end(void)
{
	server_fiber(&server, end_client, NULL);
	assert_int_equal(server_stop(&server), 0);
	origin_stop();
}

void
await(atomic_uint *count, unsigned wanted)
{
	for (unsigned i = 0; i < 5000 && atomic_load(count) != wanted; i++)
		pause_ms(2);
	assert_int_equal(atomic_load(count), wanted);
	pause_ms(10);
	server_counters(&server);
	server_counters(&server);
}
