/* SPDX-License-Identifier: MIT */
/*
 * limit_tls.c - the limit program of TLS: a bare ring, and OpenSSL over memory
 * in the most direct way. It shows what the kernel and OpenSSL charge for a
 * request, a record and a handshake. No parser, no fairness, no deadlines.
 *
 *	limit_tls PORT CERTIFICATE KEY
 *
 * GET / is answered with "ok", GET /N with N bytes. OpenSSL reads from the
 * buffer that the bytes came in, and writes to one of the connection's, which
 * is sent from. An answer that was taken whole needs no completion: the next
 * request says that it has come.
 *
 * Serves until it is killed.
 */
#include "tools/bench/bare_ring.h"
#include "tools/bench/responder.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum {
	SQ_ENTRIES = 2048,
	CQ_ENTRIES = 16384,
	BUFFERS = 128,
	BUFFER_SIZE = 16384,
	HEAD_MAX = 128,
	PART = 65536,		/* of a large answer, that is sent at once */
	RECORD = 16384,
	REQUEST_MAX = 1024,
};

enum kind {
	KIND_ACCEPT,
	KIND_RECV,
	KIND_SEND,
	KIND_CLOSE,
};

struct conn {
	SSL *ssl;
	const char *in;
	size_t in_size;
	char *out;
	size_t out_size;
	size_t out_max;
	size_t left;		/* of the answer, not in records yet */
	const char *next;
	bool sending;		/* a send whose end is to be seen */
	bool ended;
	bool written;		/* it is among those with something to send */
	char request[REQUEST_MAX];
	size_t request_size;
};

static struct bare_ring ring;
static struct bare_buffers buffers;
static int listener;
static struct conn *conns;
static SSL_CTX *context;
static BIO_METHOD *method;
static uint32_t *written;	/* connections, in this batch */
static uint32_t written_count;

static uint64_t
pack(enum kind kind, uint32_t conn)
{
	return (uint64_t)kind | (uint64_t)conn << 8;
}

/* ---- OpenSSL over memory ---- */

static int
take(BIO *bio, char *data, size_t size, size_t *got)
{
	struct conn *conn = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*got = size < conn->in_size ? size : conn->in_size;
	if (*got == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(data, conn->in, *got);
	conn->in += *got;
	conn->in_size -= *got;
	return 1;
}

static int
put(BIO *bio, const char *data, size_t size, size_t *done)
{
	struct conn *conn = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (conn->out_size + size > conn->out_max) {
		conn->out_max = (conn->out_size + size) * 2;
		conn->out = realloc(conn->out, conn->out_max);
		if (conn->out == NULL)
			die("realloc");
	}
	memcpy(conn->out + conn->out_size, data, size);
	conn->out_size += size;
	*done = size;
	return 1;
}

static long
control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static void
prepare_tls(const char *certificate, const char *key)
{
	context = SSL_CTX_new(TLS_server_method());
	if (context == NULL ||
	    SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "limit");
	BIO_meth_set_read_ex(method, take);
	BIO_meth_set_write_ex(method, put);
	BIO_meth_set_ctrl(method, control);
}

/* ---- The ring ---- */

static void
arm_accept(void)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->user_data = pack(KIND_ACCEPT, 0);
}

static void
arm_recv(uint32_t at)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_RECV;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->fd = (int32_t)at;
	sqe->user_data = pack(KIND_RECV, at);
}

/* At the end of the batch, in one send. */
static void
send_later(uint32_t at)
{
	if (conns[at].written)
		return;
	conns[at].written = true;
	written[written_count++] = at;
}

/* What was written; more of the answer follows when it is sent. */
static void
send_out(uint32_t at)
{
	struct conn *conn = &conns[at];
	struct io_uring_sqe *sqe;

	conn->written = false;
	if (conn->out_size == 0 || conn->ssl == NULL)
		return;
	sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = (int32_t)at;
	sqe->addr = (uint64_t)(uintptr_t)conn->out;
	sqe->len = (uint32_t)conn->out_size;
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
	sqe->user_data = pack(KIND_SEND, at);
	conn->sending = conn->left > 0;
	if (!conn->sending)
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	conn->out_size = 0;
}

static void
end_conn(uint32_t at)
{
	struct conn *conn = &conns[at];
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	SSL_free(conn->ssl);
	conn->ssl = NULL;
	sqe->opcode = IORING_OP_CLOSE;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->fd = (int32_t)at;
	sqe->user_data = pack(KIND_CLOSE, at);
}

/* ---- Requests ---- */

/* Heads and bodies of each size that was asked for. */
static const char *
answer_of(size_t size, size_t *whole)
{
	static struct {
		size_t size, whole;
		char *bytes;
	} known[8];
	unsigned i = 0;

	while (known[i].bytes != NULL && known[i].size != size)
		i++;
	if (known[i].bytes == NULL && i < 7) {
		known[i].size = size;
		known[i].bytes = allocate(size + HEAD_MAX, 1);
		known[i].whole = size + (size_t)snprintf(known[i].bytes,
		    HEAD_MAX, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		    size);
	}
	*whole = known[i].whole;
	return known[i].bytes;
}

/* A part of the answer, in records. */
static void
write_part(struct conn *conn)
{
	size_t part = conn->left < PART ? conn->left : PART, done;

	while (part > 0) {
		const size_t size = part < RECORD ? part : RECORD;

		if (SSL_write_ex(conn->ssl, conn->next, size, &done) != 1)
			return;
		conn->next += size;
		conn->left -= size;
		part -= size;
	}
}

static void
answer(struct conn *conn)
{
	size_t size = 2;

	if (conn->request_size > 5 && conn->request[5] != ' ')
		size = strtoul(conn->request + 5, NULL, 10);
	conn->request_size = 0;
	conn->next = answer_of(size, &conn->left);
	write_part(conn);
}

/* False: the connection is over. */
static bool
open_bytes(uint32_t at)
{
	struct conn *conn = &conns[at];
	size_t got;

	ERR_clear_error();
	while (SSL_read_ex(conn->ssl, conn->request + conn->request_size,
	    REQUEST_MAX - conn->request_size, &got) == 1) {
		conn->request_size += got;
		if (conn->request_size >= 4 && memcmp(conn->request +
		    conn->request_size - 4, "\r\n\r\n", 4) == 0)
			answer(conn);
		if (conn->request_size == REQUEST_MAX)
			return false;
	}
	return SSL_get_error(conn->ssl, 0) == SSL_ERROR_WANT_READ;
}

static void
accepted(const struct io_uring_cqe *cqe)
{
	struct conn *conn = &conns[cqe->res < 0 ? 0 : cqe->res];
	const bool queued = conn->written;
	char *out = conn->out;
	size_t out_max = conn->out_max;
	BIO *bio = BIO_new(method);

	if (cqe->res < 0 || bio == NULL)
		die("accept");
	*conn = (struct conn) { .out = out, .out_max = out_max,
		.written = queued };
	conn->ssl = SSL_new(context);
	BIO_set_data(bio, conn);
	BIO_set_init(bio, 1);
	SSL_set_bio(conn->ssl, bio, bio);
	SSL_set_accept_state(conn->ssl);
	arm_recv((uint32_t)cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm_accept();
}

static void
received(uint32_t at, const struct io_uring_cqe *cqe)
{
	const unsigned bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct conn *conn = &conns[at];

	if (cqe->res == -ENOBUFS) {
		arm_recv(at);
		return;
	}
	if (cqe->res > 0) {
		conn->in = buffers_at(&buffers, bid);
		conn->in_size = (size_t)cqe->res;
		if (!conn->ended)
			conn->ended = !open_bytes(at);
		buffers_recycle(&buffers, bid);
		if (!conn->sending)
			send_later(at);
		if (cqe->flags & IORING_CQE_F_MORE) {
			if (conn->ended)
				shutdown((int)at, SHUT_RDWR);
			return;
		}
		if (!conn->ended) {
			arm_recv(at);
			return;
		}
	}
	conn->ended = true;
	if (!conn->sending)
		end_conn(at);
}

static void
sent(uint32_t at, int res)
{
	struct conn *conn = &conns[at];

	if (!conn->sending)
		return;
	conn->sending = false;
	if (conn->ended || res < 0) {
		end_conn(at);
		return;
	}
	write_part(conn);
	send_later(at);
}

static void
dispatch(const struct io_uring_cqe *cqe)
{
	const uint32_t at = (uint32_t)(cqe->user_data >> 8);

	switch ((enum kind)(cqe->user_data & 0xff)) {
	case KIND_ACCEPT:
		accepted(cqe);
		break;
	case KIND_RECV:
		received(at, cqe);
		break;
	case KIND_SEND:
		sent(at, cqe->res);
		break;
	case KIND_CLOSE:
		break;
	}
}

static void
serve(void)
{
	uint32_t head, tail;

	for (;;) {
		ring_enter(&ring, 1);
		tail = ring_cq_tail(&ring);
		for (head = ring_cq_head(&ring); head != tail; head++)
			dispatch(&ring.kcqes[head & ring.cq_mask]);
		ring_cq_advance(&ring, head);
		while (written_count > 0)
			send_out(written[--written_count]);
		buffers_publish(&buffers);
	}
}

int
main(int argc, char **argv)
{
	const unsigned descriptors = raise_descriptor_limit();

	if (argc != 4) {
		fprintf(stderr, "usage: %s PORT CERTIFICATE KEY\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	conns = allocate(descriptors, sizeof(*conns));
	written = allocate(descriptors, sizeof(*written));
	prepare_tls(argv[2], argv[3]);
	listener = listen_on(parse_port(argv[1]), 0);
	ring_open(&ring, SQ_ENTRIES, CQ_ENTRIES);
	buffers_open(&buffers, &ring, BUFFERS, BUFFER_SIZE);
	arm_accept();
	serve();
}
