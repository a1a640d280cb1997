/* SPDX-License-Identifier: MIT */
/*
 * scripted.c - a server that does as it is told (scripted.h).
 */
#include "tests/pg/scripted.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/toy.h"

#define ROOM 4096u

/* One end of a connection: bytes that came, behind the toy if there is one. */
struct stream {
	struct scripted_conn *conn;
	bool sealed;
	struct toy_way in;
	struct toy_way out;
	uint8_t data[ROOM];
	size_t size;
};

static void
note(const struct stream *stream, char letter)
{
	struct scripted_conn *conn = stream->conn;
	const size_t size = strlen(conn->log);

	if (size + 1 < sizeof(conn->log)) {
		conn->log[size] = letter;
		conn->log[size + 1] = '\0';
	}
}

/* ---- Bytes ---- */

static bool
put(const struct stream *stream, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0) {
		const ssize_t sent = send(stream->conn->fd, at, size,
		    MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
		size -= (size_t)sent;
	}
	return true;
}

static bool
put_record(struct stream *stream, enum toy_kind kind, const void *data,
    uint32_t size)
{
	uint8_t record[TOY_RECORD_MAX];

	return put(stream, record, toy_put(&stream->out, kind, data, size,
	    record));
}

/* Through the toy, if it is there. */
static bool
say(struct stream *stream, struct bytes bytes)
{
	if (!stream->sealed)
		return put(stream, bytes.data, bytes.size);
	while (bytes.size > 0) {
		const uint32_t part = bytes.size < TOY_DATA_MAX ?
		    (uint32_t)bytes.size : TOY_DATA_MAX;

		if (!put_record(stream, TOY_DATA, bytes.data, part))
			return false;
		bytes.data += part;
		bytes.size -= part;
	}
	return true;
}

/* What records say, to `data`; the handshake is answered. */
static bool
unseal(struct stream *stream, const uint8_t *bytes, uint32_t size)
{
	for (;;) {
		uint32_t got = 0;
		const int kind = toy_get(&stream->in, &bytes, &size,
		    stream->data + stream->size, &got);

		if (kind == 0)
			return true;
		if (kind == TOY_END)
			return stream->size > 0;
		if (kind < 0)
			return false;
		if (kind == TOY_HELLO)
			note(stream, 'h');
		if (kind == TOY_HELLO && stream->conn->server->script->broken)
			return put(stream, "\xff\xff\xff\xff", 4);
		if (kind == TOY_HELLO && !put_record(stream, TOY_HELLO, NULL,
		    0))
			return false;
		stream->size += got;
	}
}

/* Receive more. False: there is none. */
static bool
fill(struct stream *stream)
{
	uint8_t bytes[512];
	const ssize_t size = recv(stream->conn->fd, bytes, sizeof(bytes), 0);

	if (size <= 0 || stream->size + sizeof(bytes) > ROOM)
		return false;
	/* Nobody asks for TLS with an H. */
	if (stream->size == 0 && bytes[0] == TOY_HELLO)
		stream->sealed = true;
	if (stream->sealed)
		return unseal(stream, bytes, (uint32_t)size);
	memcpy(stream->data + stream->size, bytes, (size_t)size);
	stream->size += (size_t)size;
	return true;
}

static bool
want(struct stream *stream, size_t size)
{
	while (stream->size < size)
		if (!fill(stream))
			return false;
	return true;
}

static void
drop(struct stream *stream, size_t size)
{
	stream->size -= size;
	memmove(stream->data, stream->data + size, stream->size);
}

static uint32_t
number_at(const struct stream *stream, size_t at)
{
	uint32_t number;

	memcpy(&number, stream->data + at, 4);
	return ntohl(number);
}

/* ---- Messages ---- */

static bool
answer_question(struct stream *stream)
{
	struct scripted *server = stream->conn->server;
	struct bytes answer = server->script->answer;
	unsigned before;

	note(stream, 'q');
	drop(stream, 8);
	pthread_mutex_lock(&server->lock);
	before = server->handshakes++;
	pthread_mutex_unlock(&server->lock);
	if (server->script->once && before > 0)
		answer = BYTES("N");
	return answer.data == NULL || say(stream, answer);
}

/* The first message has no type. True when the startup is over. */
static bool
take_first(struct stream *stream, bool *more)
{
	const struct script *script = stream->conn->server->script;
	struct bytes answer;
	uint32_t code;

	*more = want(stream, 8);
	if (!*more)
		return true;
	answer = stream->sealed ? script->tls : script->clear;
	code = number_at(stream, 4);
	if (code == 80877103) {
		*more = answer_question(stream);
		return !*more;
	}
	note(stream, code == 80877102 ? (stream->sealed ? 'T' : 'C') :
	    stream->sealed ? 't' : 'c');
	*more = code != 80877102 && want(stream, number_at(stream, 0));
	if (*more)
		drop(stream, number_at(stream, 0));
	*more = *more && (answer.data == NULL || say(stream, answer));
	return true;
}

static void
keep_said(struct stream *stream, size_t size)
{
	struct scripted *server = stream->conn->server;

	pthread_mutex_lock(&server->lock);
	server->said_size = size < sizeof(server->said) ? size :
	    sizeof(server->said);
	memcpy(server->said, stream->data, server->said_size);
	pthread_mutex_unlock(&server->lock);
}

static bool
take_next(struct stream *stream)
{
	size_t size;
	uint8_t type;

	if (!want(stream, 5))
		return false;
	type = stream->data[0];
	size = 1 + number_at(stream, 1);
	if (size > ROOM || !want(stream, size))
		return false;
	note(stream, type == 'p' ? 'p' : type == 'X' ? 'x' : 's');
	if (type == 'p')
		keep_said(stream, size);
	drop(stream, size);
	return type == 'p' || type == 'X' ? false :
	    !stream->conn->server->script->cut;
}

static void *
run_conn(void *arg)
{
	struct stream stream = { .conn = arg };
	bool more = true;

	while (!take_first(&stream, &more))
		continue;
	while (more && take_next(&stream))
		continue;
	close(stream.conn->fd);
	return NULL;
}

/* ---- The server ---- */

static void *
run_server(void *arg)
{
	struct scripted *server = arg;
	int fd;

	while (server->count < SCRIPTED_CONNS &&
	    (fd = accept(server->listener, NULL, NULL)) >= 0) {
		struct scripted_conn *conn = &server->conns[server->count];

		client_limit(fd);
		*conn = (struct scripted_conn) { .server = server, .fd = fd };
		if (pthread_create(&conn->thread, NULL, run_conn, conn) != 0)
			break;
		server->count++;
	}
	return NULL;
}

static void
listen_at(struct scripted *server, const char *local)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);

	server->listener = socket(local != NULL ? AF_UNIX : AF_INET,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (local != NULL) {
		snprintf(path.sun_path, sizeof(path.sun_path), "%s", local);
		assert_int_equal(bind(server->listener,
		    (struct sockaddr *)&path, sizeof(path)), 0);
		snprintf(server->address, sizeof(server->address), "unix:%s",
		    local);
	} else {
		assert_int_equal(bind(server->listener,
		    (struct sockaddr *)&address, size), 0);
		assert_int_equal(getsockname(server->listener,
		    (struct sockaddr *)&address, &size), 0);
		server->port = ntohs(address.sin_port);
		snprintf(server->address, sizeof(server->address),
		    "127.0.0.1:%u", server->port);
	}
	assert_int_equal(listen(server->listener, 8), 0);
}

void
scripted_start(struct scripted *server, const struct script *script,
    const char *local)
{
	memset(server, 0, sizeof(*server));
	server->script = script;
	assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
	listen_at(server, local);
	assert_int_equal(pthread_create(&server->thread, NULL, run_server,
	    server), 0);
}

void
scripted_stop(struct scripted *server, char log[SCRIPTED_LOG])
{
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	log[0] = '\0';
	for (unsigned i = 0; i < server->count; i++) {
		pthread_join(server->conns[i].thread, NULL);
		if (i > 0)
			strcat(log, " ");
		strcat(log, server->conns[i].log);
	}
	pthread_mutex_destroy(&server->lock);
}
