/* SPDX-License-Identifier: MIT */
/*
 * peer_libuv.c - the same responder on libuv: tries to write at once and
 * queues what is left.
 *
 *	peer_libuv [-e] PORT		-e: echo
 */
#include "tools/bench/responder.h"

#include <uv.h>

struct connection {
	uv_tcp_t tcp;
	uint8_t matched;
};

/* A write that the socket had no room for, with a copy of its bytes. */
struct late_write {
	uv_write_t request;
	char data[];
};

static char input[65536];
static bool echo;

static void
lend_input(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	(void)handle;
	(void)hint;
	*buf = uv_buf_init(input, sizeof(input));
}

static void
connection_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
late_write_done(uv_write_t *request, int status)
{
	(void)status;
	free(request);
}

static void
write_bytes(uv_stream_t *stream, char *data, size_t size)
{
	uv_buf_t buf = uv_buf_init(data, (unsigned)size);
	struct late_write *late;
	int count = 0;

	if (uv_stream_get_write_queue_size(stream) == 0)
		count = uv_try_write(stream, &buf, 1);
	if (count < 0)
		count = 0;
	size -= (size_t)count;
	if (size == 0)
		return;
	late = allocate(1, sizeof(*late) + size);
	memcpy(late->data, data + count, size);
	buf = uv_buf_init(late->data, (unsigned)size);
	if (uv_write(&late->request, stream, &buf, 1, late_write_done) < 0)
		free(late);
}

static void
input_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	struct connection *conn = (struct connection *)stream;
	unsigned count;

	if (size < 0) {
		uv_close((uv_handle_t *)stream, connection_closed);
		return;
	}
	if (echo) {
		write_bytes(stream, buf->base, (size_t)size);
		return;
	}
	count = count_requests(buf->base, (size_t)size, &conn->matched);
	for (; count > ANSWERS_MAX; count -= ANSWERS_MAX)
		write_bytes(stream, answers, sizeof(answers));
	if (count > 0)
		write_bytes(stream, answers, count * ANSWER_SIZE);
}

static void
connection_came(uv_stream_t *listener, int status)
{
	struct connection *conn = allocate(1, sizeof(*conn));

	if (status < 0 || uv_tcp_init(listener->loop, &conn->tcp) < 0) {
		free(conn);
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)&conn->tcp) < 0 ||
	    uv_read_start((uv_stream_t *)&conn->tcp, lend_input,
		input_read) < 0)
		uv_close((uv_handle_t *)&conn->tcp, connection_closed);
}

int
main(int argc, char **argv)
{
	const struct responder_options options =
	    start_responder(argc, argv, "e");
	uv_tcp_t listener;
	int rc;

	echo = options.echo;
	raise_descriptor_limit();
	rc = uv_tcp_init(uv_default_loop(), &listener);
	if (rc == 0)
		rc = uv_tcp_open(&listener,
		    listen_on(options.port, SOCK_NONBLOCK));
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&listener, 4096,
		    connection_came);
	if (rc < 0) {
		fprintf(stderr, "libuv: %s\n", uv_strerror(rc));
		return 1;
	}
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
