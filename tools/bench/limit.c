/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the limit program: a responder that is nothing but io_uring. It
 * shows what the kernel charges for a request, and so what any server built
 * on io_uring can hope for. No abstraction, no parser, no handler.
 *
 *	limit PORT		answers HTTP requests with "ok"
 *	limit -e PORT		echoes what it gets
 *	limit -b BYTES		size of a receive buffer (2048); a message
 *				should fit
 *	limit -f		file descriptors instead of direct descriptors
 *
 * One thread, one ring, one io_uring_enter() a turn: it hands over all sends
 * that the last batch of completions led to and waits for the next batch. A
 * multishot accept and a multishot receive a connection stay armed. The kernel
 * puts bytes into buffers of a ring shared with it.
 *
 * HTTP answers are sent from one constant block, so nobody has to know when
 * a send is done and its completion is suppressed. An echo is sent out of the
 * buffer that the bytes came in; the buffer goes back when the send is done.
 *
 * Serves until it is killed.
 */
#include "tools/bench/bare_ring.h"
#include "tools/bench/responder.h"
#include "tools/bench/ring_conns.h"

enum {
	SQ_ENTRIES = 2048,
	CQ_ENTRIES = 16384,
};

/* What a completion is about: the low 8 bits of its user_data. */
enum kind {
	KIND_ACCEPT,
	KIND_RECV_HTTP,
	KIND_RECV_ECHO,
	KIND_SEND_HTTP,		/* only seen when the send failed */
	KIND_SEND_ECHO,
	KIND_CLOSE,		/* only seen when the close failed */
};

static struct bare_ring ring;
static struct bare_buffers buffers;
static int listener;
static bool direct;

/* The same for every connection; see main(). */
static enum kind recv_kind;
static uint8_t recv_flags, answer_flags, echo_flags;

/* Bits 0-7 kind, 8-39 connection, 40-55 buffer. */
static inline uint64_t
pack(enum kind kind, uint32_t conn, unsigned bid)
{
	return (uint64_t)kind | (uint64_t)conn << 8 | (uint64_t)bid << 40;
}

static void
arm_accept(void)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	if (direct)
		sqe->file_index = IORING_FILE_INDEX_ALLOC;
	sqe->user_data = pack(KIND_ACCEPT, 0, 0);
}

static void
arm_recv(uint32_t conn)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_RECV;
	sqe->flags = recv_flags;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->fd = (int32_t)conn;
	sqe->user_data = pack(recv_kind, conn, 0);
}

/* MSG_WAITALL: the kernel itself goes on with a send that was cut short. */
static inline struct io_uring_sqe *
prepare_send(uint32_t conn, const char *data, size_t size)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_SEND;
	sqe->fd = (int32_t)conn;
	sqe->addr = (uint64_t)(uintptr_t)data;
	sqe->len = (uint32_t)size;
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
	return sqe;
}

static void
close_connection(uint32_t conn)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = IORING_OP_CLOSE;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	if (direct)
		sqe->file_index = conn + 1;
	else
		sqe->fd = (int32_t)conn;
	sqe->user_data = pack(KIND_CLOSE, conn, 0);
}

static inline void
send_answers(uint32_t conn, unsigned count)
{
	struct io_uring_sqe *sqe =
	    prepare_send(conn, answers, count * ANSWER_SIZE);

	sqe->flags = answer_flags;
	sqe->user_data = pack(KIND_SEND_HTTP, conn, 0);
}

static inline void
answer_requests(uint32_t conn, unsigned bid, uint32_t size)
{
	unsigned count = count_requests(buffers_at(&buffers, bid), size,
	    &matched[conn]);

	buffers_recycle(&buffers, bid);
	for (; __builtin_expect(count > ANSWERS_MAX, 0); count -= ANSWERS_MAX)
		send_answers(conn, ANSWERS_MAX);
	if (count > 0)
		send_answers(conn, count);
}

static inline void
send_echo(uint32_t conn, unsigned bid, uint32_t size)
{
	struct io_uring_sqe *sqe =
	    prepare_send(conn, buffers_at(&buffers, bid), size);

	sqe->flags = echo_flags;
	sqe->user_data = pack(KIND_SEND_ECHO, conn, bid);
}

static inline void
echo_sent(uint32_t conn, unsigned bid)
{
	uint32_t size;

	buffers_recycle(&buffers, bid);
	if (echo_next(conn, &bid, &size))
		send_echo(conn, bid, size);
	else if (echoes[conn].ended)
		close_connection(conn);
}

static void
accepted(const struct io_uring_cqe *cqe)
{
	if (cqe->res < 0) {
		fprintf(stderr, "accept: %s\n", strerror(-cqe->res));
		exit(1);
	}
	conns_opened((uint32_t)cqe->res);
	arm_recv((uint32_t)cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm_accept();
}

/* A receive ended without bytes: end of stream, error, or no buffer free. */
static void
recv_ended(uint32_t conn, int res)
{
	if (res == -ENOBUFS) {
		starved_push(conn);
		return;
	}
	echoes[conn].ended = true;
	if (!echoes[conn].sending)
		close_connection(conn);
}

static inline void
dispatch(const struct io_uring_cqe *cqe)
{
	const uint64_t user_data = cqe->user_data;
	const uint32_t conn = (uint32_t)(user_data >> 8);
	const unsigned bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	const int res = cqe->res;

	switch ((enum kind)(user_data & 0xff)) {
	case KIND_RECV_HTTP:
	case KIND_RECV_ECHO:
		if (__builtin_expect(res <= 0, 0)) {
			recv_ended(conn, res);
			break;
		}
		if ((user_data & 0xff) == KIND_RECV_HTTP)
			answer_requests(conn, bid, (uint32_t)res);
		else if (echo_begin(conn, bid, (uint32_t)res))
			send_echo(conn, bid, (uint32_t)res);
		if (__builtin_expect(!(cqe->flags & IORING_CQE_F_MORE), 0))
			arm_recv(conn);
		break;
	case KIND_SEND_ECHO:
		echo_sent(conn, (unsigned)(user_data >> 40));
		break;
	case KIND_ACCEPT:
		accepted(cqe);
		break;
	case KIND_SEND_HTTP:	/* the receive reports it, too, and closes */
	case KIND_CLOSE:
		break;
	}
}

/* As many connections receive again as buffers came back. */
static void
feed_starved(uint32_t buffers_back)
{
	uint32_t conn;

	for (; buffers_back > 0 && starved_pop(&conn); buffers_back--)
		arm_recv(conn);
}

static void
serve(void)
{
	uint32_t head, tail, given;

	for (;;) {
		ring_enter(&ring, 1);
		given = buffers.tail;
		tail = ring_cq_tail(&ring);
		for (head = ring_cq_head(&ring); head != tail; head++)
			dispatch(&ring.kcqes[head & ring.cq_mask]);
		ring_cq_advance(&ring, head);
		buffers_publish(&buffers);
		if (__builtin_expect(starved_head != starved_tail, 0))
			feed_starved(buffers.tail - given);
	}
}

int
main(int argc, char **argv)
{
	const struct responder_options options =
	    start_responder(argc, argv, "eb:f");
	const uint8_t fd_flags = options.direct ? IOSQE_FIXED_FILE : 0;
	const unsigned connections = raise_descriptor_limit();

	direct = options.direct;
	recv_kind = options.echo ? KIND_RECV_ECHO : KIND_RECV_HTTP;
	recv_flags = fd_flags | IOSQE_BUFFER_SELECT;
	answer_flags = fd_flags | IOSQE_CQE_SKIP_SUCCESS;
	echo_flags = fd_flags;
	conns_allocate(connections);
	listener = listen_on(options.port, 0);
	ring_open(&ring, SQ_ENTRIES, CQ_ENTRIES);
	if (direct)
		ring_register_files(&ring, connections);
	buffers_open(&buffers, &ring, buffer_count(options.buffer_size),
	    options.buffer_size);
	arm_accept();
	serve();
}
