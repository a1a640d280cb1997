/* SPDX-License-Identifier: MIT */
/*
 * load.c - the load generator: one thread, one ring, one io_uring_enter() a
 * turn, so that it costs about as much per request as the limit program does.
 * Loopback only.
 *
 *	load -p PORT [-m MODE] [-c CONNECTIONS] [-P PIPELINE] [-s BYTES]
 *	    [-w WARMUP] [-d SECONDS] [-n REQUESTS] [-S PID[,PID...]] [-b]
 *
 * Modes:
 *	http	PIPELINE requests in one send; the next ones when all answers
 *		are in
 *	echo	the same with messages of BYTES bytes
 *	churn	a connection for each request; the client closes it when the
 *		answer is in ("Connection: close" is sent, the server may, too)
 *	idle	opens the connections, prints "ready" and holds them until it
 *		is killed; with -n each makes one request before
 *
 * Measures SECONDS after WARMUP seconds, or exactly REQUESTS requests. With -b
 * the generator is busy: it polls instead of sleeping, and so the server does
 * not have to wake it, which costs the server much on a virtual machine.
 *
 * Prints one line of key=value: rps; cpu_us, the CPU time that the server
 * processes named by -S spent per request, user_share, the part in user mode;
 * srv_busy and cli_busy, how much of a core the server and the generator used;
 * other, the same for anybody else on their CPUs, or for the hypervisor taking
 * them away (from ticks, so within a few hundredths); cli_us, the generator's
 * CPU time per request, cli_batch, the answers that it saw in a turn; p50_us
 * and p99_us, the time from a send to its last answer; errs; stalled, the
 * connections that got no answer while it measured; n, the answers.
 *
 * The size of every answer is checked, and cheap samples of its content. An
 * HTTP answer must be as long as the first one, which is read in full; an
 * echo must be what was sent, which differs between connections and messages.
 * A connection with a wrong answer is not used any more. The exit status is 1
 * when there were errors or stalled connections.
 */
#include "tools/bench/accounts.h"
#include "tools/bench/bare_ring.h"
#include "tools/bench/load_options.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>

enum {
	SQ_ENTRIES = 4096,
	CQ_ENTRIES = 32768,
	BUFFER_MEMORY = 4 << 20,
	PATTERN_PERIOD = 251,	/* a prime: no size of message repeats it */
	SAMPLE_SIZE = 64,	/* bytes compared at both ends of a piece */
	CHAIN_LENGTH = 5,	/* entries of one churn, linked */
	MESSAGES_SHOWN = 5,
};

/* What a completion is about: the low 8 bits of its user_data. */
enum kind {
	KIND_RECV,
	KIND_OTHER,		/* only seen when it failed */
	KIND_START,		/* the warm-up is over */
	KIND_STOP,
};

struct connection {
	uint64_t sent_ns;
	uint64_t answered_ns;	/* the last batch, ever */
	size_t received;	/* of the batch under way */
	size_t expected;
	unsigned batch;		/* requests under way */
	unsigned phase;		/* echo: where in the pattern they start */
};

static struct bare_ring ring;
static struct bare_buffers buffers;
static struct connection *connections;
static struct sockaddr_in server_address;

/* What is sent, and how long the answer to one request is. */
static char *outgoing;
static size_t request_size;
static size_t answer_size;
static char answer_end[2];	/* the last bytes of an HTTP answer */

static bool measuring, finished;
static uint64_t now_ns;		/* when the last batch of completions came */
static uint64_t issued, answered, errors;
static uint64_t turns;		/* in which something came */
static unsigned usable;		/* connections without an error */

/* ---- What is sent and what must come back ---- */

static void
complain(unsigned index, const char *what)
{
	errors++;
	if (errors <= MESSAGES_SHOWN)
		fprintf(stderr, "load: connection %u: %s\n", index, what);
}

static int
connect_to_server(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		die("TCP_NODELAY");
	if (connect(fd, (const struct sockaddr *)&server_address,
	    sizeof(server_address)) < 0)
		die("connect");
	return fd;
}

/* The size of the whole answer, once its head is in; else 0. */
static size_t
parse_answer_size(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *field = strcasestr(text, "\r\ncontent-length:");

	if (end == NULL)
		return 0;
	if (strncmp(text, "HTTP/1.1 200", 12) != 0 || field == NULL ||
	    field > end) {
		fprintf(stderr, "load: not an answer with 200 and a length: "
		    "%.60s\n", text);
		exit(1);
	}
	return (size_t)(end + 4 - text) +
	    strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
}

/* Makes one request, reads its answer in full and returns the size. */
static size_t
ask_once(int fd)
{
	static const struct timeval patience = { .tv_sec = 5 };
	static char text[65536];
	size_t size = 0, wanted = 0;
	ssize_t count;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) < 0)
		die("SO_RCVTIMEO");
	if (write(fd, outgoing, request_size) != (ssize_t)request_size)
		die("write");
	while (wanted == 0 || size < wanted) {
		count = read(fd, text + size, sizeof(text) - 1 - size);
		if (count <= 0) {
			fprintf(stderr, "load: the answer ends after %zu "
			    "bytes\n", size);
			exit(1);
		}
		size += (size_t)count;
		text[size] = '\0';
		if (wanted == 0)
			wanted = parse_answer_size(text);
	}
	if (size != wanted) {
		fprintf(stderr, "load: the answer is longer than it says\n");
		exit(1);
	}
	memcpy(answer_end, text + size - sizeof(answer_end),
	    sizeof(answer_end));
	return size;
}

static void
prepare_requests(void)
{
	char request[128];
	int fd;

	request_size = (size_t)snprintf(request, sizeof(request),
	    "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n", options.port,
	    options.mode == MODE_CHURN ? "Connection: close\r\n" : "");
	outgoing = allocate(options.pipeline, request_size);
	for (unsigned i = 0; i < options.pipeline; i++)
		memcpy(outgoing + i * request_size, request, request_size);
	fd = connect_to_server();
	answer_size = ask_once(fd);
	close(fd);
}

static void
prepare_messages(void)
{
	size_t size = options.pipeline * options.message_size + PATTERN_PERIOD;

	request_size = answer_size = options.message_size;
	outgoing = allocate(size, 1);
	for (size_t i = 0; i < size; i++)
		outgoing[i] = (char)(i % PATTERN_PERIOD);
}

/* Are these the next bytes of the answers that the connection waits for? */
static bool
content_is_right(const struct connection *conn, const char *data, size_t size)
{
	static const char start[] = "HTTP/1.1 200";
	const size_t sample = size < SAMPLE_SIZE ? size : SAMPLE_SIZE;
	const char *sent;

	if (options.mode == MODE_ECHO) {
		sent = outgoing + conn->phase + conn->received;
		return memcmp(data, sent, sample) == 0 &&
		    memcmp(data + size - sample, sent + size - sample,
			sample) == 0;
	}
	if (conn->received == 0 && memcmp(data, start, size <
	    sizeof(start) - 1 ? size : sizeof(start) - 1) != 0)
		return false;
	return conn->received + size < conn->expected || size < 2 ||
	    memcmp(data + size - 2, answer_end, 2) == 0;
}

/* ---- Connections that stay ---- */

static inline uint64_t
pack(enum kind kind, unsigned index)
{
	return (uint64_t)kind | (uint64_t)index << 8;
}

static struct io_uring_sqe *
prepare(uint8_t opcode, enum kind kind, unsigned index)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = opcode;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = (int32_t)index;
	sqe->user_data = pack(kind, index);
	return sqe;
}

/*
 * Churn receives one piece at a time, for a multishot receive would keep the
 * socket open after its descriptor was closed.
 */
static void
arm_recv(unsigned index)
{
	struct io_uring_sqe *sqe = prepare(IORING_OP_RECV, KIND_RECV, index);

	sqe->flags |= IOSQE_BUFFER_SELECT;
	if (options.mode != MODE_CHURN)
		sqe->ioprio = IORING_RECV_MULTISHOT;
}

static struct io_uring_sqe *
prepare_send(unsigned index)
{
	const struct connection *conn = &connections[index];
	struct io_uring_sqe *sqe = prepare(IORING_OP_SEND, KIND_OTHER, index);

	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->addr = (uint64_t)(uintptr_t)(outgoing + conn->phase);
	sqe->len = (uint32_t)(conn->batch * request_size);
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
	return sqe;
}

/* Claims the next requests for a connection. False when all are issued. */
static bool
claim_batch(unsigned index)
{
	struct connection *conn = &connections[index];
	uint64_t batch = options.pipeline;

	if (options.requests > 0 && options.requests - issued < batch)
		batch = options.requests - issued;
	conn->batch = (unsigned)batch;
	if (batch == 0)
		return false;
	issued += batch;
	conn->sent_ns = now_ns;
	conn->received = 0;
	conn->expected = batch * answer_size;
	if (options.mode == MODE_ECHO)
		conn->phase = (conn->phase + 1) % PATTERN_PERIOD;
	return true;
}

static void
send_batch(unsigned index)
{
	if (claim_batch(index))
		prepare_send(index);
}

static void
open_connection(unsigned index)
{
	struct io_uring_rsrc_update2 update = { 0 };
	int fd = connect_to_server();

	update.offset = index;
	update.data = (uint64_t)(uintptr_t)&fd;
	update.nr = 1;
	if (ring_register(&ring, IORING_REGISTER_FILES_UPDATE2, &update,
	    sizeof(update)) != 1)
		die("IORING_REGISTER_FILES_UPDATE2");
	/* The ring holds the socket now. */
	close(fd);
	if (options.mode == MODE_ECHO)
		connections[index].phase = index * 7 % PATTERN_PERIOD;
	arm_recv(index);
}

/* ---- Churn: connect, ask and close without leaving the ring ---- */

static void
churn(unsigned index, bool close_first)
{
	const uint8_t link = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	struct io_uring_sqe *sqe;

	if (!claim_batch(index) && !close_first)
		return;
	/* A chain must be submitted in one piece. */
	if (ring.sq_tail - ring.sq_submitted > SQ_ENTRIES - CHAIN_LENGTH)
		ring_enter(&ring, 0);
	if (close_first) {
		/* A hard link: the chain goes on even if this fails. */
		sqe = prepare(IORING_OP_CLOSE, KIND_OTHER, 0);
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		if (connections[index].batch > 0)
			sqe->flags |= IOSQE_IO_HARDLINK;
		sqe->file_index = index + 1;
	}
	if (connections[index].batch == 0)
		return;
	sqe = prepare(IORING_OP_SOCKET, KIND_OTHER, index);
	sqe->flags = link;
	sqe->fd = AF_INET;
	sqe->off = SOCK_STREAM;
	sqe->file_index = index + 1;
	sqe = prepare(IORING_OP_CONNECT, KIND_OTHER, index);
	sqe->flags |= link;
	sqe->addr = (uint64_t)(uintptr_t)&server_address;
	sqe->off = sizeof(server_address);
	prepare_send(index)->flags |= IOSQE_IO_LINK;
	arm_recv(index);
}

/* ---- Completions ---- */

static void
give_up(unsigned index, const char *what)
{
	complain(index, what);
	/* A connection of churn is replaced by the next one. */
	if (options.mode == MODE_CHURN && errors < 100 &&
	    options.requests == 0)
		churn(index, true);
	else
		usable--;
	if (usable == 0 || options.requests > 0)
		finished = true;
}

static void
batch_done(unsigned index)
{
	struct connection *conn = &connections[index];

	answered += conn->batch;
	conn->answered_ns = now_ns;
	if (measuring)
		record_latency(now_ns - conn->sent_ns);
	if (options.requests > 0 && answered == options.requests)
		finished = true;
	else if (options.mode == MODE_CHURN)
		churn(index, true);
	else
		send_batch(index);
}

static void
received(unsigned index, const char *data, size_t size)
{
	struct connection *conn = &connections[index];

	if (conn->expected == SIZE_MAX)		/* given up before */
		return;
	if (size > conn->expected - conn->received) {
		conn->expected = SIZE_MAX;
		give_up(index, "an answer has the wrong size");
	} else if (!content_is_right(conn, data, size)) {
		conn->expected = SIZE_MAX;
		give_up(index, "an answer has the wrong content");
	} else {
		conn->received += size;
		if (conn->received == conn->expected)
			batch_done(index);
		else if (options.mode == MODE_CHURN)
			arm_recv(index);
	}
}

static void
recv_completed(const struct io_uring_cqe *cqe, unsigned index)
{
	unsigned bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	if (cqe->res > 0)
		received(index, buffers_at(&buffers, bid), (size_t)cqe->res);
	else if (cqe->res == 0)
		give_up(index, "closed by the server");
	else if (cqe->res != -ENOBUFS)
		give_up(index, strerror(-cqe->res));
	if (cqe->flags & IORING_CQE_F_BUFFER)
		buffers_recycle(&buffers, bid);
	if (cqe->res == -ENOBUFS || (cqe->res > 0 &&
	    options.mode != MODE_CHURN && !(cqe->flags & IORING_CQE_F_MORE)))
		arm_recv(index);
}

static void
dispatch(const struct io_uring_cqe *cqe)
{
	unsigned index = (unsigned)(cqe->user_data >> 8);

	switch ((enum kind)(cqe->user_data & 0xff)) {
	case KIND_RECV:
		recv_completed(cqe, index);
		break;
	case KIND_OTHER:
		/* The receive, last of the chain, reports the failure, too. */
		if (cqe->res < 0 && cqe->res != -ECANCELED)
			complain(index, strerror(-cqe->res));
		break;
	case KIND_START:
		measuring = true;
		break;
	case KIND_STOP:
		finished = true;
		break;
	}
}

/* One turn: submit, wait, handle what came. */
static void
turn(void)
{
	uint32_t head, tail;

	ring_enter(&ring, options.busy ? 0 : 1);
	tail = ring_cq_tail(&ring);
	if (tail == ring_cq_head(&ring))
		return;
	turns++;
	now_ns = read_clock(CLOCK_MONOTONIC);
	for (head = ring_cq_head(&ring); head != tail && !finished; head++)
		dispatch(&ring.kcqes[head & ring.cq_mask]);
	ring_cq_advance(&ring, head);
	buffers_publish(&buffers);
}

/* ---- A measurement ---- */

static void
arm_timeout(struct __kernel_timespec *at, uint64_t ns, enum kind kind)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	at->tv_sec = (int64_t)(ns / SECOND_NS);
	at->tv_nsec = (int64_t)(ns % SECOND_NS);
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->fd = -1;
	sqe->addr = (uint64_t)(uintptr_t)at;
	sqe->len = 1;
	sqe->timeout_flags = IORING_TIMEOUT_ABS;
	sqe->user_data = pack(kind, 0);
}

static void
open_ring(void)
{
	unsigned size = 4096, count;

	/* A buffer takes a whole batch if it can: less work to receive it. */
	while (size < 65536 && size < answer_size * options.pipeline)
		size *= 2;
	count = BUFFER_MEMORY / size;
	ring_open(&ring, SQ_ENTRIES, CQ_ENTRIES);
	ring_register_files(&ring, options.connections);
	buffers_open(&buffers, &ring, count, size);
}

static unsigned
count_stalled(uint64_t since_ns)
{
	unsigned count = 0;

	for (unsigned i = 0; i < options.connections; i++)
		count += connections[i].answered_ns < since_ns;
	return count;
}

static void
report(const struct totals *from, const struct totals *to, uint64_t answers,
    unsigned stalled)
{
	const double wall_ns = (double)(to->time_ns - from->time_ns);
	const double server_ns =
	    (double)(to->server_cpu_ns - from->server_cpu_ns);
	const double own_ns = (double)(to->own_cpu_ns - from->own_cpu_ns);
	const double busy_ns =
	    (double)(to->cpu_busy_ticks - from->cpu_busy_ticks) /
	    (double)sysconf(_SC_CLK_TCK) * 1e9;
	const double user =
	    (double)(to->server_user_ticks - from->server_user_ticks);
	const double kernel =
	    (double)(to->server_kernel_ticks - from->server_kernel_ticks);
	const double count = (double)answers;
	const double each = answers > 0 ? 1 / count : 0;
	const double batch = turns > 0 ? count / (double)turns : 0;

	printf("rps=%.0f cpu_us=%.3f user_share=%.3f srv_busy=%.3f "
	    "cli_busy=%.3f other=%.2f cli_us=%.3f cli_batch=%.1f p50_us=%.1f "
	    "p99_us=%.1f errs=%llu stalled=%u n=%.0f\n", count / wall_ns * 1e9,
	    server_ns * each / 1e3,
	    user + kernel > 0 ? user / (user + kernel) : 0,
	    server_ns / wall_ns, own_ns / wall_ns,
	    (busy_ns - server_ns - own_ns) / wall_ns, own_ns * each / 1e3,
	    batch, latency_us(0.5), latency_us(0.99),
	    (unsigned long long)errors, stalled, count);
}

static struct totals
totals_now(void)
{
	return take_totals(options.servers, options.server_count);
}

static void
open_connections(void)
{
	connections = allocate(options.connections, sizeof(*connections));
	usable = options.connections;
	for (unsigned i = 0; i < options.connections; i++) {
		if (options.mode != MODE_CHURN)
			open_connection(i);
	}
}

/* The first requests on all connections. */
static void
start_requests(void)
{
	for (unsigned i = 0; i < options.connections; i++) {
		if (options.mode == MODE_CHURN)
			churn(i, false);
		else
			send_batch(i);
	}
}

/* Runs until the warm-up is over, or everything has failed before. */
static void
warm_up(void)
{
	struct __kernel_timespec over_at;

	arm_timeout(&over_at, now_ns + (uint64_t)(options.warmup * 1e9),
	    KIND_START);
	while (!measuring && !finished)
		turn();
	turns = 0;
}

static int
measure(void)
{
	struct __kernel_timespec stop_at;
	struct totals from, to;
	uint64_t answered_before;
	unsigned stalled = 0;

	open_ring();
	open_connections();
	now_ns = read_clock(CLOCK_MONOTONIC);
	start_requests();
	if (options.requests == 0)
		warm_up();
	answered_before = answered;
	measuring = true;
	from = totals_now();
	arm_timeout(&stop_at,
	    from.time_ns + (uint64_t)(options.seconds * 1e9), KIND_STOP);
	while (!finished)
		turn();
	to = totals_now();
	if (options.requests == 0)
		stalled = count_stalled(from.time_ns);
	else if (answered != options.requests)
		complain(0, "not all requests were answered");
	report(&from, &to, answered - answered_before, stalled);
	return errors > 0 || stalled > 0;
}

static int
hold_idle(void)
{
	int fd;

	for (unsigned i = 0; i < options.connections; i++) {
		fd = connect_to_server();
		if (options.requests > 0 && ask_once(fd) != answer_size) {
			fprintf(stderr, "load: answers differ in size\n");
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

int
main(int argc, char **argv)
{
	parse_options(argc, argv);
	raise_descriptor_limit();
	signal(SIGPIPE, SIG_IGN);
	server_address = loopback(options.port);
	if (options.mode == MODE_ECHO)
		prepare_messages();
	else if (options.mode != MODE_IDLE || options.requests > 0)
		prepare_requests();
	return options.mode == MODE_IDLE ? hold_idle() : measure();
}
