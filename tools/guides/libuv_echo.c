/* SPDX-License-Identifier: MIT */
/*
 * libuv_echo.c - an echo server on libuv that ends idle connections: what
 * torc_echo.c is beside.
 *
 *     libuv_echo PORT
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define IDLE_MS 60000

struct connection {
	uv_tcp_t tcp;
	uv_timer_t idle;
	int handles;			/* that are open */
	char input[16384];
};

struct reply {
	uv_write_t request;
	char data[];
};

static void
handle_closed(uv_handle_t *handle)
{
	struct connection *conn = handle->data;

	if (--conn->handles == 0)
		free(conn);
}

static void
end(struct connection *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	uv_close((uv_handle_t *)&conn->tcp, handle_closed);
	uv_close((uv_handle_t *)&conn->idle, handle_closed);
}

static void
idle_passed(uv_timer_t *timer)
{
	end(timer->data);
}

static void
reply_written(uv_write_t *request, int status)
{
	if (status < 0)
		end(request->handle->data);
	free(request);
}

static void
lend_input(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct connection *conn = handle->data;

	(void)hint;
	*buf = uv_buf_init(conn->input, sizeof(conn->input));
}

static void
input_came(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	struct connection *conn = stream->data;
	struct reply *reply;
	uv_buf_t out;

	if (size < 0) {
		end(conn);
		return;
	}
	uv_timer_start(&conn->idle, idle_passed, IDLE_MS, 0);
	reply = malloc(sizeof(*reply) + (size_t)size);
	if (reply == NULL) {
		end(conn);
		return;
	}
	for (ssize_t i = 0; i < size; i++)
		reply->data[i] = buf->base[i];
	out = uv_buf_init(reply->data, (unsigned)size);
	if (uv_write(&reply->request, stream, &out, 1, reply_written) < 0) {
		free(reply);
		end(conn);
	}
}

static void
connection_came(uv_stream_t *listener, int status)
{
	struct connection *conn;

	if (status < 0 || (conn = calloc(1, sizeof(*conn))) == NULL)
		return;
	uv_tcp_init(listener->loop, &conn->tcp);
	uv_timer_init(listener->loop, &conn->idle);
	conn->tcp.data = conn->idle.data = conn;
	conn->handles = 2;
	if (uv_accept(listener, (uv_stream_t *)&conn->tcp) < 0 ||
	    uv_read_start((uv_stream_t *)&conn->tcp, lend_input,
		input_came) < 0)
		end(conn);
	else
		uv_timer_start(&conn->idle, idle_passed, IDLE_MS, 0);
}

int
main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	struct sockaddr_in address;
	uv_tcp_t listener;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 7000, &address);
	uv_tcp_init(loop, &listener);
	rc = uv_tcp_bind(&listener, (struct sockaddr *)&address, 0);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&listener, 1024,
		    connection_came);
	if (rc < 0) {
		fprintf(stderr, "libuv_echo: %s\n", uv_strerror(rc));
		return 1;
	}
	return uv_run(loop, UV_RUN_DEFAULT);
}
