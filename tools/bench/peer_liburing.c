/* SPDX-License-Identifier: MIT */
/*
 * peer_liburing.c - the same responder on liburing 2.3, as it is in Debian 12,
 * with everything that version offers: multishot accept and receive, a buffer
 * ring, direct descriptors, a registered ring descriptor, and deferred task
 * work. It cannot leave out the queue of indices (NO_SQARRAY).
 *
 *	peer_liburing [-e] [-b BYTES] [-f] PORT
 *
 * The options are those of limit.c.
 */
#include "tools/bench/responder.h"
#include "tools/bench/ring_conns.h"

#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>

enum { SQ_ENTRIES = 2048, CQ_ENTRIES = 16384 };

enum kind {
	KIND_ACCEPT,
	KIND_RECV,
	KIND_SEND,
	KIND_CLOSE,
};

static struct responder_options options;
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *buffer_memory;
static int buffers_count;
static int buffers_back;	/* in this turn, not yet shown to the kernel */
static int listener;

static struct io_uring_sqe *
get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe == NULL) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (sqe == NULL)
		die("io_uring_get_sqe");
	return sqe;
}

/* Bits 0-7 kind, 8-39 connection, 40-55 buffer. */
static void
set_data(struct io_uring_sqe *sqe, enum kind kind, uint32_t conn, unsigned bid)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)kind | (uint64_t)conn << 8 |
	    (uint64_t)bid << 40);
}

static unsigned
fd_flags(void)
{
	return options.direct ? IOSQE_FIXED_FILE : 0;
}

static char *
buffer_at(unsigned bid)
{
	return buffer_memory + (size_t)bid * options.buffer_size;
}

static void
recycle(unsigned bid)
{
	io_uring_buf_ring_add(buffers, buffer_at(bid), options.buffer_size,
	    (unsigned short)bid, io_uring_buf_ring_mask((unsigned)
	    buffers_count), buffers_back++);
}

static void
arm_accept(void)
{
	struct io_uring_sqe *sqe = get_sqe();

	if (options.direct)
		io_uring_prep_multishot_accept_direct(sqe, listener, NULL,
		    NULL, 0);
	else
		io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
	set_data(sqe, KIND_ACCEPT, 0, 0);
}

static void
arm_recv(uint32_t conn)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_recv_multishot(sqe, (int)conn, NULL, 0, 0);
	io_uring_sqe_set_flags(sqe, fd_flags() | IOSQE_BUFFER_SELECT);
	set_data(sqe, KIND_RECV, conn, 0);
}

static void
send_bytes(uint32_t conn, const char *data, size_t size, unsigned flags,
    unsigned bid)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_send(sqe, (int)conn, data, size,
	    MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_flags(sqe, fd_flags() | flags);
	set_data(sqe, KIND_SEND, conn, bid);
}

static void
close_connection(uint32_t conn)
{
	struct io_uring_sqe *sqe = get_sqe();

	if (options.direct)
		io_uring_prep_close_direct(sqe, conn);
	else
		io_uring_prep_close(sqe, (int)conn);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	set_data(sqe, KIND_CLOSE, conn, 0);
}

static void
answer_requests(uint32_t conn, unsigned bid, size_t size)
{
	unsigned count = count_requests(buffer_at(bid), size, &matched[conn]);

	recycle(bid);
	for (; count > ANSWERS_MAX; count -= ANSWERS_MAX)
		send_bytes(conn, answers, sizeof(answers),
		    IOSQE_CQE_SKIP_SUCCESS, 0);
	if (count > 0)
		send_bytes(conn, answers, count * ANSWER_SIZE,
		    IOSQE_CQE_SKIP_SUCCESS, 0);
}

static void
recv_completed(const struct io_uring_cqe *cqe, uint32_t conn)
{
	unsigned bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	if (cqe->res == -ENOBUFS) {
		starved_push(conn);
		return;
	}
	if (cqe->res <= 0) {
		echoes[conn].ended = true;
		if (!echoes[conn].sending)
			close_connection(conn);
		return;
	}
	if (!options.echo)
		answer_requests(conn, bid, (size_t)cqe->res);
	else if (echo_begin(conn, bid, (uint32_t)cqe->res))
		send_bytes(conn, buffer_at(bid), (size_t)cqe->res, 0, bid);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm_recv(conn);
}

/* An answer's send is only seen when it failed; the receive closes then. */
static void
send_completed(uint32_t conn, unsigned bid)
{
	uint32_t size;

	if (!options.echo)
		return;
	recycle(bid);
	if (echo_next(conn, &bid, &size))
		send_bytes(conn, buffer_at(bid), size, 0, bid);
	else if (echoes[conn].ended)
		close_connection(conn);
}

static void
accept_completed(const struct io_uring_cqe *cqe)
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

static void
dispatch(const struct io_uring_cqe *cqe)
{
	const uint64_t data = io_uring_cqe_get_data64(cqe);
	const uint32_t conn = (uint32_t)(data >> 8);

	switch ((enum kind)(data & 0xff)) {
	case KIND_ACCEPT:
		accept_completed(cqe);
		break;
	case KIND_RECV:
		recv_completed(cqe, conn);
		break;
	case KIND_SEND:
		send_completed(conn, (unsigned)(data >> 40));
		break;
	case KIND_CLOSE:
		break;
	}
}

static void
serve(void)
{
	const struct io_uring_cqe *cqe;
	unsigned head, count;
	uint32_t conn;
	int rc;

	for (;;) {
		rc = io_uring_submit_and_wait(&ring, 1);
		if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY) {
			fprintf(stderr, "submit: %s\n", strerror(-rc));
			exit(1);
		}
		count = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			dispatch(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
		io_uring_buf_ring_advance(buffers, buffers_back);
		for (; buffers_back > 0 && starved_pop(&conn); buffers_back--)
			arm_recv(conn);
		buffers_back = 0;
	}
}

static void
open_buffers(void)
{
	struct io_uring_buf_reg reg = { 0 };
	void *memory;

	buffers_count = (int)buffer_count(options.buffer_size);
	memory = mmap(NULL, (size_t)buffers_count * (options.buffer_size +
	    sizeof(struct io_uring_buf)), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	/* The ring first: it must begin at a page. */
	buffers = memory;
	buffer_memory = (char *)&buffers->bufs[buffers_count];
	reg.ring_addr = (uint64_t)(uintptr_t)buffers;
	reg.ring_entries = (unsigned)buffers_count;
	if (io_uring_register_buf_ring(&ring, &reg, 0) < 0)
		die("io_uring_register_buf_ring");
	io_uring_buf_ring_init(buffers);
	for (int bid = 0; bid < buffers_count; bid++)
		recycle((unsigned)bid);
	io_uring_buf_ring_advance(buffers, buffers_back);
	buffers_back = 0;
}

int
main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };
	const unsigned connections = raise_descriptor_limit();

	options = start_responder(argc, argv, "eb:f");
	conns_allocate(connections);
	listener = listen_on(options.port, 0);
	params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
	    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
	params.cq_entries = CQ_ENTRIES;
	if (io_uring_queue_init_params(SQ_ENTRIES, &ring, &params) < 0)
		die("io_uring_queue_init_params");
	if (io_uring_register_ring_fd(&ring) != 1)
		die("io_uring_register_ring_fd");
	if (options.direct &&
	    io_uring_register_files_sparse(&ring, connections) < 0)
		die("io_uring_register_files_sparse");
	open_buffers();
	arm_accept();
	serve();
}
