/* SPDX-License-Identifier: MIT */
/*
 * load_tls.c - the load generator of TLS: how much CPU a server takes for a
 * request, or for a handshake and a request.
 *
 *	load_tls [OPTION]... PORT PID[,PID]...
 *
 *	-m MODE		kept: requests over connections that stay; full: a
 *			connection for each, with a whole handshake; resumed:
 *			with a session of the connection before; idle: hold
 *			connections that made one request until standard input
 *			ends
 *	-c COUNT	connections at a time (64)
 *	-r RATE		so many begin in a second, evenly, each in its time if a
 *			connection is free (0: as soon as one is)
 *	-u PATH		what is asked for (/)
 *	-w SECONDS	before it counts (0.3)
 *	-d SECONDS	for which it counts (1)
 *
 * Prints one line: requests, rate, CPU time of the server for each, and the
 * 99th percentile of the time that one takes. Certificates are not verified.
 */
#include "tools/bench/accounts.h"
#include "tools/bench/common.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum mode { KEPT, FULL, RESUMED, IDLE };

#define SERVERS_MAX 8u

struct conn {
	int fd;
	SSL *ssl;
	SSL_SESSION *session;
	uint64_t asked_at;
	size_t left;		/* of the body */
	bool in_body;
	bool asking;
	char head[2048];
	size_t head_size;
};

static enum mode mode = KEPT;
static unsigned count = 64;
static uint16_t port;
static double warmup = 0.3, duration = 1;
static char request[512];
static size_t request_size;
static struct conn *conns;
static int poller;
static SSL_CTX *context;
static long servers[SERVERS_MAX];
static unsigned server_count;
static uint64_t done, resumed;
/* With a rate: those that are free, and when the next one begins. */
static double rate;
static unsigned *idle;
static unsigned idle_count;
static uint64_t next_at;

static _Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "load_tls: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn *conn = SSL_get_app_data(ssl);

	SSL_SESSION_free(conn->session);
	conn->session = session;
	return 1;
}

static void
begin(struct conn *conn)
{
	const struct sockaddr_in address = loopback(port);
	const int on = 1;
	struct epoll_event event = { .events = EPOLLIN };

	event.data.ptr = conn;
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || connect(conn->fd,
	    (const struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	if (setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on)) < 0)
		die("TCP_NODELAY");
	if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) < 0)
		die("O_NONBLOCK");
	conn->ssl = SSL_new(context);
	if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
		give_up("SSL_new");
	SSL_set_app_data(conn->ssl, conn);
	SSL_set_connect_state(conn->ssl);
	if (mode == RESUMED && conn->session != NULL)
		SSL_set_session(conn->ssl, conn->session);
	if (epoll_ctl(poller, EPOLL_CTL_ADD, conn->fd, &event) < 0)
		die("epoll_ctl");
	conn->asking = false;
	if (rate == 0)
		conn->asked_at = read_clock(CLOCK_MONOTONIC);
}

static void
ask(struct conn *conn)
{
	size_t sent;

	conn->head_size = 0;
	conn->in_body = false;
	conn->asking = true;
	if (mode == KEPT && rate == 0)
		conn->asked_at = read_clock(CLOCK_MONOTONIC);
	if (SSL_write_ex(conn->ssl, request, request_size, &sent) != 1)
		give_up("a request cannot be sent");
}

static void go_on(struct conn *conn);

static void
begin_again(struct conn *conn)
{
	if (mode == KEPT && conn->ssl != NULL) {
		ask(conn);
	} else {
		begin(conn);
		go_on(conn);
	}
}

static void
answered(struct conn *conn)
{
	done++;
	record_latency(read_clock(CLOCK_MONOTONIC) - conn->asked_at);
	conn->asking = false;
	if (mode == IDLE)
		return;
	if (mode != KEPT) {
		resumed += SSL_session_reused(conn->ssl) == 1;
		SSL_shutdown(conn->ssl);
		SSL_free(conn->ssl);
		close(conn->fd);
	}
	if (rate > 0)
		idle[idle_count++] = (unsigned)(conn - conns);
	else
		begin_again(conn);
}

/* Those whose time has come. What waits for a connection, waits. */
static void
begin_in_time(void)
{
	const uint64_t now = read_clock(CLOCK_MONOTONIC);

	while (rate > 0 && idle_count > 0 && next_at <= now) {
		struct conn *conn = &conns[idle[--idle_count]];

		conn->asked_at = next_at;
		next_at += (uint64_t)(1e9 / rate);
		begin_again(conn);
	}
}

/* The head is whole: what follows it. False: it is not. */
static bool
read_head(struct conn *conn)
{
	const char *end, *field;

	conn->head[conn->head_size] = '\0';
	end = strstr(conn->head, "\r\n\r\n");
	if (end == NULL)
		return false;
	field = strcasestr(conn->head, "\r\ncontent-length:");
	if (strncmp(conn->head, "HTTP/1.1 200 ", 13) != 0 || field == NULL)
		give_up(conn->head);
	conn->left = strtoul(field + 17, NULL, 10) -
	    (conn->head_size - (size_t)(end + 4 - conn->head));
	conn->in_body = true;
	return true;
}

/* True: the answer is whole. */
static bool
take_some(struct conn *conn, bool *more)
{
	static char body[16384];
	size_t got;
	int rc;

	ERR_clear_error();
	rc = conn->in_body ? SSL_read_ex(conn->ssl, body, sizeof(body), &got) :
	    SSL_read_ex(conn->ssl, conn->head + conn->head_size,
	    sizeof(conn->head) - 1 - conn->head_size, &got);
	*more = rc == 1;
	if (rc != 1) {
		if (SSL_get_error(conn->ssl, rc) != SSL_ERROR_WANT_READ)
			give_up("a connection has ended");
		return false;
	}
	if (!conn->in_body) {
		conn->head_size += got;
		return read_head(conn) && conn->left == 0;
	}
	conn->left -= got;
	return conn->left == 0;
}

static void
go_on(struct conn *conn)
{
	bool more = true;

	if (!SSL_is_init_finished(conn->ssl)) {
		const int rc = SSL_do_handshake(conn->ssl);

		if (rc != 1 && SSL_get_error(conn->ssl, rc) !=
		    SSL_ERROR_WANT_READ)
			give_up("a handshake has failed");
		if (rc != 1)
			return;
		ask(conn);
	}
	while (more) {
		if (take_some(conn, &more)) {
			answered(conn);
			return;
		}
	}
}

/* At most a tenth of a second. Nobody spins: others may be on this CPU. */
static struct timespec
time_to_next(void)
{
	const uint64_t now = read_clock(CLOCK_MONOTONIC);
	uint64_t ns = 100000000;

	if (rate > 0 && idle_count > 0 && next_at < now + ns)
		ns = next_at > now ? next_at - now : 0;
	return (struct timespec) { .tv_nsec = (long)ns };
}

static void
run_until(uint64_t end)
{
	struct epoll_event events[256];

	while (read_clock(CLOCK_MONOTONIC) < end) {
		const struct timespec wait = time_to_next();
		const int ready = epoll_pwait2(poller, events, 256, &wait,
		    NULL);

		begin_in_time();
		for (int i = 0; i < ready; i++)
			go_on(events[i].data.ptr);
	}
}

static void
read_options(int argc, char **argv)
{
	static const char *const modes[] = { "kept", "full", "resumed",
	    "idle" };
	const char *path = "/";
	int option;

	while ((option = getopt(argc, argv, "m:c:r:u:w:d:")) != -1) {
		if (option == 'm') {
			while (mode < IDLE && strcmp(modes[mode], optarg) != 0)
				mode++;
		} else if (option == 'c') {
			count = (unsigned)parse_number(optarg, 1, 20000);
		} else if (option == 'r') {
			rate = atof(optarg);
		} else if (option == 'u') {
			path = optarg;
		} else if (option == 'w') {
			warmup = atof(optarg);
		} else if (option == 'd') {
			duration = atof(optarg);
		} else {
			exit(2);
		}
	}
	if (optind + 2 != argc)
		give_up("PORT and PID are needed");
	port = parse_port(argv[optind]);
	for (char *pid = strtok(argv[optind + 1], ","); pid != NULL &&
	    server_count < SERVERS_MAX; pid = strtok(NULL, ","))
		servers[server_count++] = atol(pid);
	request_size = (size_t)snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
}

static void
prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1);
	raise_descriptor_limit();
	poller = epoll_create1(EPOLL_CLOEXEC);
	context = SSL_CTX_new(TLS_client_method());
	if (poller < 0 || context == NULL)
		give_up("SSL_CTX_new");
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set1_groups_list(context, "X25519");
	conns = allocate(count, sizeof(*conns));
	idle = allocate(count, sizeof(*idle));
}

static void
hold_idle(void)
{
	char byte;

	while (done < count)
		run_until(read_clock(CLOCK_MONOTONIC) + 20000000);
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		continue;
}

int
main(int argc, char **argv)
{
	struct totals before, after;
	uint64_t now;

	read_options(argc, argv);
	prepare();
	next_at = read_clock(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < count; i++) {
		if (rate > 0 && mode != KEPT)
			idle[idle_count++] = i;
		else
			begin_again(&conns[i]);
	}
	if (mode == IDLE) {
		hold_idle();
		return 0;
	}
	now = read_clock(CLOCK_MONOTONIC);
	run_until(now + (uint64_t)(warmup * 1e9));
	memset(bars, 0, sizeof(bars));
	done = 0;
	resumed = 0;
	before = take_totals(servers, server_count);
	run_until(before.time_ns + (uint64_t)(duration * 1e9));
	after = take_totals(servers, server_count);
	if (done == 0)
		give_up("no answers");
	printf("requests=%llu rate=%.0f cpu_us=%.2f p99_us=%.0f resumed=%llu "
	    "server=%.2f own=%.2f\n", (unsigned long long)done,
	    (double)done * 1e9 / (double)(after.time_ns - before.time_ns),
	    (double)(after.server_cpu_ns - before.server_cpu_ns) / 1e3 /
	    (double)done, latency_us(0.99), (unsigned long long)resumed,
	    (double)(after.server_cpu_ns - before.server_cpu_ns) /
	    (double)(after.time_ns - before.time_ns),
	    (double)(after.own_cpu_ns - before.own_cpu_ns) /
	    (double)(after.time_ns - before.time_ns));
	return 0;
}
