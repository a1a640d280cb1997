/* SPDX-License-Identifier: MIT */
/*
 * test_reactor.c - the life of a reactor: made with what the kernel gives,
 * running whatever the kernel answers, ended in time and without a trace.
 *
 * wrap: torc_sys_setup torc_sys_enter torc_sys_register torc_sys_eventfd
 * wrap: torc_sys_map torc_sys_unmap torc_sys_advise torc_sys_alloc
 * wrap: torc_sys_free torc_sys_socket torc_sys_setsockopt torc_sys_bind
 * wrap: torc_sys_listen torc_sys_getsockname torc_sys_socketpair
 * wrap: torc_sys_accept_now
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/noted.h"
#include "tests/seam.h"
#include "tests/tally.h"

#include "reactor/fiber.h"
#include "reactor/op.h"
#include "reactor/sanitizer.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define TIMES(n) (SANITIZED ? (n) / 10 : (n))

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif

#define MS 1000000u
#define HANG_S 60		/* longer than anything takes */
#define LONG_MS (HANG_S * 1000u)
#define OUTSIDERS 61235		/* users of nobody else, from here */

/* ---- Between torc and the kernel ---- */

static struct {
	uint32_t refused_flags;	/* of setup: -EINVAL */
	uint32_t hidden_features;
	bool no_registered_fd;
	bool no_slices;		/* no incremental buffers */
	bool not_enabled;	/* a ring cannot be enabled */
	int aborted;		/* of the next connection that is accepted */
	_Atomic int enter_error;	/* of every so-manieth enter ... */
	_Atomic unsigned every;
	_Atomic bool taken;	/* ... which has taken all, or nothing */
	_Atomic int fatal;	/* of the next enter ... */
	_Atomic unsigned victim; /* ... of this reactor and one, or any */
} fault;

static struct {
	_Atomic unsigned enters;
	_Atomic unsigned injected;
	_Atomic int inside;	/* threads in an enter */
} seen;

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	int rc;

	if (params->flags & fault.refused_flags)
		return -EINVAL;
	if (step_fails())
		return -EMFILE;
	rc = __real_torc_sys_setup(entries, params);
	params->features &= ~fault.hidden_features;
	return rc;
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	unsigned n = ++seen.enters;
	bool injected = fault.every > 0 && n % fault.every == 0;
	int rc;

	if (fault.fatal != 0 && (fault.victim == 0 || (torc_current != NULL &&
	    torc_current->index + 1 == fault.victim)))
		return atomic_exchange(&fault.fatal, 0);
	seen.injected += injected;
	if (injected && !fault.taken)
		return fault.enter_error;
	seen.inside++;
	/* What is said to have failed must not have waited for long. */
	rc = __real_torc_sys_enter(fd, to_submit, injected ? 0 : min_complete,
	    flags, arg, arg_size);
	seen.inside--;
	return injected ? fault.enter_error : rc;
}

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	const struct torc_uapi_buf_reg *reg = arg;

	if (fault.no_registered_fd && opcode == IORING_REGISTER_RING_FDS)
		return -EINVAL;
	if (fault.not_enabled && opcode == IORING_REGISTER_ENABLE_RINGS)
		return -EPERM;
	if (opcode == IORING_REGISTER_PBUF_RING) {
		if (fault.no_slices && reg->flags & IOU_PBUF_RING_INC)
			return -EINVAL;
		if (step_fails())
			return -ENOMEM;
	}
	return __real_torc_sys_register(fd, opcode, arg, count);
}

int
__wrap_torc_sys_eventfd(void)
{
	return step_fails() ? -EMFILE : __real_torc_sys_eventfd();
}

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	return step_fails() ? -EINVAL :
	    __real_torc_sys_advise(address, size, advice);
}

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	return step_fails() ? -EMFILE :
	    __real_torc_sys_socket(domain, type, protocol);
}

int
__wrap_torc_sys_setsockopt(int fd, int level, int name, const void *value,
    uint32_t size)
{
	return step_fails() ? -ENOMEM :
	    __real_torc_sys_setsockopt(fd, level, name, value, size);
}

int
__wrap_torc_sys_bind(int fd, const struct sockaddr *address, uint32_t size)
{
	return step_fails() ? -EACCES :
	    __real_torc_sys_bind(fd, address, size);
}

int
__wrap_torc_sys_listen(int fd, int backlog)
{
	return step_fails() ? -EADDRINUSE :
	    __real_torc_sys_listen(fd, backlog);
}

int
__wrap_torc_sys_accept_now(int fd)
{
	int rc = fault.aborted, got = __real_torc_sys_accept_now(fd);

	if (rc == 0 || got < 0)
		return got;
	fault.aborted = 0;
	close(got);
	return rc;
}

int
__wrap_torc_sys_getsockname(int fd, struct sockaddr *address, uint32_t *size)
{
	return step_fails() ? -ENOBUFS :
	    __real_torc_sys_getsockname(fd, address, size);
}

int
__wrap_torc_sys_socketpair(int fds[2])
{
	return step_fails() ? -EMFILE : __real_torc_sys_socketpair(fds);
}

/* What is open, mapped and allocated, to be compared with later. */
struct holdings {
	unsigned fds;
	int mapped;
	int allocated;
};

static struct holdings
holdings(void)
{
	return (struct holdings) { count_fds(), tally.mapped, tally.allocated };
}

static void
assert_as_before(const struct holdings *before)
{
	struct holdings now = holdings();

	assert_int_equal(now.fds, before->fds);
	assert_int_equal(now.mapped, before->mapped);
	assert_int_equal(now.allocated, before->allocated);
}

static struct server server;

/* Also end the server of a test that failed. */
static int
refuse_nothing(void **state)
{
	(void)state;
	fault.every = 0;
	if (server.running)
		server_stop(&server);
	memset(&fault, 0, sizeof(fault));
	tally.failing = 0;
	broken_line = 0;
	return 0;
}

/* ---- Servers ---- */

/* What the handler does with a connection, by the first byte it is sent. */
static struct {
	_Atomic unsigned begun;	/* handlers that know what they do */
	_Atomic unsigned over;
	_Atomic int result;	/* of the last wait */
	int gate;		/* an eventfd: those that wait go on */
} stage;

static int
play(struct torc_conn *conn, void *arg)
{
	static const char much[1 << 20];
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, TORC_NEVER);
	char part;

	(void)arg;
	if (rc <= 0)
		return rc < 0 && rc != -ESHUTDOWN ? -1 : TORC_CLOSE;
	part = (char)in.data[0];
	torc_conn_consume(conn, in.size);
	stage.begun++;
	switch (part) {
	case 'e':	/* echoes */
		rc = echo_handler(conn, NULL);
		break;
	case 's':	/* sleeps */
		rc = torc_sleep(TORC_NEVER);
		break;
	case 'w':	/* writes to one who does not read */
		do
			rc = torc_conn_write(conn, much, sizeof(much),
			    TORC_NEVER);
		while (rc == 0);
		break;
	case 'a':	/* comes back when there is more */
		rc = TORC_AGAIN;
		break;
	case 'c':	/* closes, and waits for the peer to */
		rc = TORC_CLOSE;
		break;
	case 'g':	/* answers when the gate is open */
		rc = torc_fd_poll(stage.gate, POLLIN, TORC_NEVER);
		if (rc > 0)
			rc = torc_conn_write(conn, "done", 4, TORC_NEVER);
		break;
	case 'x':	/* the end comes along with the peer's */
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
		fault.fatal = -EBADFD;
		break;
	default:	/* is not from here */
		return -1;
	}
	stage.result = rc;
	stage.over++;
	return rc < 0 ? -1 : rc;
}

static void
start(const struct torc_config *config)
{
	memset(&stage, 0, sizeof(stage));
	stage.gate = eventfd(0, EFD_CLOEXEC);
	server_start(&server, config, play, NULL);
}

static void
stop(void)
{
	assert_int_equal(server_stop(&server), 0);
	close(stage.gate);
	assert_all_held();
}

/* Wait until the reactor has ended by itself; the result of its loop. */
static int
await_end(void)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_S;
	assert_int_equal(pthread_timedjoin_np(server.thread, NULL, &limit),
	    0);
	server.running = false;
	torc_reactor_destroy(server.reactor);
	close(stage.gate);
	return server.result;
}

/* A client whose handler plays `part`, and has begun to. */
static int
client_of(char part)
{
	const unsigned before = stage.begun;
	const uint64_t limit = now_ms() + LONG_MS;
	int fd = client_open(server.port);

	client_send(fd, &part, 1);
	while (stage.begun == before && now_ms() < limit)
		pause_ms(1);
	EXPECT(stage.begun != before);
	return fd;
}

/* Whether connections to the port are refused, at the latest soon. */
static bool
is_refused(unsigned port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (const struct sockaddr *)&address,
	    sizeof(address));
	bool refused = rc < 0 && errno == ECONNREFUSED;

	close(fd);
	return refused;
}

static bool
becomes_refused(unsigned port)
{
	const uint64_t limit = now_ms() + LONG_MS;

	while (!is_refused(port)) {
		if (now_ms() > limit)
			return false;
		pause_ms(1);
	}
	return true;
}

/* The peer's side ends, in whatever way, and is not merely silent. */
static bool
sees_the_end(int fd)
{
	char bytes[65536];
	ssize_t count;

	do
		count = recv(fd, bytes, sizeof(bytes), 0);
	while (count > 0);
	return count == 0 || (errno != EAGAIN && errno != EINTR);
}

/* Echo `rounds` times over connections of their own. */
static void
echo_some(unsigned rounds)
{
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = client_of('e');
	for (unsigned n = 0; n < rounds; n++) {
		char text[128];

		snprintf(text, sizeof(text), "message %u%*s", n,
		    (int)(n * 7 % 90) + 1, ".");
		for (int i = 0; i < 4; i++)
			client_echo(fds[i], text);
	}
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* Wait until no enter begins or ends any more; the number of them then. */
static unsigned
await_rest(void)
{
	const uint64_t limit = now_ms() + LONG_MS;
	unsigned before, after = seen.enters;

	do {
		before = after;
		pause_ms(50);
		after = seen.enters;
	} while ((after != before || seen.inside != 1) && now_ms() < limit);
	assert_true(now_ms() < limit);
	return after;
}

static uint64_t
cpu_ms(pthread_t thread)
{
	struct timespec time;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	assert_int_equal(clock_gettime(clock, &time), 0);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / MS;
}

/*
 * Run `body` in a child: for what ends the process, or what leaves memory to
 * the kernel for good. It is to end well, and to say nothing.
 */
static void
in_child(void (*body)(void))
{
	char said[1024];
	int ends[2], status;
	ssize_t count;
	size_t used = 0;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		alarm(HANG_S);
		broken_line = 0;
		body();
		if (broken_line != 0)
			fprintf(stderr, "line %d does not hold\n",
			    broken_line);
		_exit(broken_line != 0);
	}
	close(ends[1]);
	while ((count = read(ends[0], said + used,
	    sizeof(said) - 1 - used)) > 0)
		used += (size_t)count;
	said[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0)
		fail_msg("status 0x%x: %s", status, said);
}

/* ---- What the kernel gives ---- */

static void
describe(struct torc_reactor *reactor, void *arg)
{
	torc_reactor_describe(reactor, arg, 256);
}

/* Start a server, see it work, and say what it runs on. */
static void
serve_and_describe(const struct torc_config *config, char *text)
{
	start(config);
	echo_some(20);
	server_call(&server, describe, text);
	stop();
}

/* A08 */
static void
a_server_works_on_each_fallback_and_says_which_one_it_has(void **state)
{
	static const struct {
		uint32_t flag;
		const char *name;
		const char *gone;	/* along with it */
		const char *instead;
	} cases[] = {
		{ IORING_SETUP_NO_SQARRAY, "NO_SQARRAY", "NO_SQARRAY",
		    "DEFER_TASKRUN" },
		{ IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN",
		    "DEFER_TASKRUN", "COOP_TASKRUN" },
		{ IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER",
		    "DEFER_TASKRUN", "COOP_TASKRUN" },
		{ IORING_SETUP_R_DISABLED, "SINGLE_ISSUER", "DEFER_TASKRUN",
		    "COOP_TASKRUN" },
		{ IORING_SETUP_TASKRUN_FLAG, "COOP_TASKRUN", "COOP_TASKRUN",
		    "DEFER_TASKRUN" },
		{ IORING_SETUP_SUBMIT_ALL, "COOP_TASKRUN", "COOP_TASKRUN",
		    "DEFER_TASKRUN" },
		{ IORING_SETUP_CQSIZE, "CQ 4096", "CQ 4096",
		    "SQ 1024 CQ 2048" },
	};
	char all[256], text[256];

	(void)state;
	serve_and_describe(NULL, all);
	if (strstr(all, "NO_SQARRAY") == NULL ||
	    strstr(all, "DEFER_TASKRUN") == NULL)
		print_message("SKIP: this kernel gives only: %s\n", all);
	assert_null(strstr(all, "COOP_TASKRUN"));
	assert_non_null(strstr(all, "SQ 1024 CQ 4096"));
	assert_non_null(strstr(all, "registered fd"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refuse_nothing(NULL);
		fault.refused_flags = cases[i].flag;
		serve_and_describe(NULL, text);
		assert_null(strstr(text, cases[i].name));
		assert_null(strstr(text, cases[i].gone));
		assert_non_null(strstr(text, cases[i].instead));
	}
}

/* A08 */
static void
a_server_works_without_the_newer_features(void **state)
{
	const struct torc_config config = {
		.batch_us = 500,
		.incremental = true,
	};
	char text[256];

	(void)state;
	serve_and_describe(&config, text);
	if (strstr(text, "min wait") == NULL)
		print_message("SKIP: this kernel has no min wait\n");
	fault.hidden_features = IORING_FEAT_MIN_TIMEOUT |
	    IORING_FEAT_NO_IOWAIT;
	serve_and_describe(&config, text);
	assert_null(strstr(text, "min wait"));
	assert_null(strstr(text, "no iowait"));
	refuse_nothing(NULL);
	fault.no_registered_fd = true;
	serve_and_describe(&config, text);
	assert_null(strstr(text, "registered fd"));
	refuse_nothing(NULL);
	fault.no_slices = true;
	serve_and_describe(&config, text);
}

/* A line that does not fit is cut, and ends. */
static void
a_description_is_cut_to_the_room_that_it_has(void **state)
{
	struct torc_reactor *reactor;
	char whole[256], text[256];

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	torc_reactor_describe(reactor, whole, sizeof(whole));
	for (size_t size = 1; size < strlen(whole); size++) {
		memset(text, 0x7e, sizeof(text));
		torc_reactor_describe(reactor, text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_memory_equal(text, whole, size - 1);
		assert_int_equal(text[size], 0x7e);
	}
	torc_reactor_destroy(reactor);
}

/* ---- Making and failing ---- */

/* Create and listen; destroy what could be made. How far it came. */
static int
make_and_destroy(struct torc_error *error)
{
	struct torc_reactor *reactor = NULL;
	int rc = torc_reactor_create(&reactor, NULL, error);

	if (rc < 0)
		return 0;
	rc = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	torc_reactor_destroy(reactor);
	return rc < 0 ? 1 : 2;
}

/* A12: at each call that can fail, of all of them. */
static void
a_reactor_that_cannot_be_made_leaves_nothing_and_says_why(void **state)
{
	unsigned reached[3] = { 0 };
	struct holdings before;
	unsigned n = 0;

	(void)state;
	assert_int_equal(make_and_destroy(NULL), 2);
	before = holdings();
	do {
		struct torc_error error = { -EBUSY, true, "stale" };
		int how_far;

		tally.failing = ++n;
		tally.steps = 0;
		how_far = make_and_destroy(&error);
		assert_as_before(&before);
		assert_int_equal(how_far == 0, error.text[0] != '\0');
		assert_int_equal(how_far == 0, error.code < 0);
		assert_false(error.cut);
		reached[how_far]++;
	} while (tally.steps >= n);
	/* Each table and the descriptor; then all of the listener. Without
	 * what only finds out what the kernel can do, it goes on. */
	assert_true(reached[0] >= 12);
	assert_true(reached[1] >= 10);
	assert_true(reached[2] >= 1);
}

static int
make_with(struct torc_config config, struct torc_error *error)
{
	struct torc_reactor *reactor = NULL;
	int rc = torc_reactor_create(&reactor, &config, error);

	torc_reactor_destroy(reactor);
	return rc;
}

static int
start_nothing(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return 0;
}

static void
a_field_that_a_reactor_alone_would_ignore_is_refused_by_name(void **state)
{
	const char *const addresses[] = { "127.0.0.1:0", NULL };
	struct torc_error error;

	(void)state;
	assert_int_equal(make_with((struct torc_config) {
	    .start = start_nothing }, &error), -EINVAL);
	assert_memory_equal(error.text, "start: ", 7);
	assert_int_equal(make_with((struct torc_config) {
	    .handler = echo_handler }, &error), -EINVAL);
	assert_memory_equal(error.text, "handler: ", 9);
	assert_int_equal(make_with((struct torc_config) {
	    .listen = addresses }, &error), -EINVAL);
	assert_int_equal(make_with((struct torc_config) { .reactors = 1 },
	    &error), -EINVAL);
	assert_int_equal(make_with((struct torc_config) { .unpinned = true },
	    &error), -EINVAL);
	assert_int_equal(make_with((struct torc_config) { .arg = &error,
	    .batch = 7 }, &error), 0);
}

/* A11 */
static void
a_listener_that_cannot_be_bound_leaves_descriptor_0_alone(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct torc_reactor *reactor;
	struct holdings before;
	char text[64];

	(void)state;
	assert_int_equal(bind(holder, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(holder, 1), 0);
	assert_int_equal(getsockname(holder, (struct sockaddr *)&address,
	    &size), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_true(torc_listen(reactor, "127.0.0.1:0", echo_handler,
	    NULL) >= 0);
	before = holdings();
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(torc_listen(reactor, text, echo_handler,
		    NULL), -EADDRINUSE);
	assert_int_equal(torc_listen(reactor, "127.0.0.1", echo_handler,
	    NULL), -EINVAL);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	assert_as_before(&before);
	close(holder);
	assert_true(torc_listen(reactor, text, echo_handler, NULL) >= 0);
	torc_reactor_destroy(reactor);
}

static void
serve_with_low_descriptors(void)
{
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	start(NULL);
	/* The ring, the descriptor of its mailbox, or the listener. */
	if (server.reactor->ring.fd > 2 || server.reactor->mailbox.fd > 2)
		_exit(2);
	echo_some(20);
	if (server_stop(&server) != 0)
		_exit(3);
	close(stage.gate);
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			_exit(4);
	}
}

/* */
static void
descriptor_0_is_as_good_as_any_other(void **state)
{
	(void)state;
	in_child(serve_with_low_descriptors);
}

static int
refuse_to_start(struct torc_reactor *reactor, void *arg)
{
	*(_Atomic unsigned *)arg += 1;
	if (torc_reactor_index(reactor) == 1)
		return -EHOSTDOWN;
	/* The others are ended for it. */
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	return 0;
}

/* A12 */
static void
a_start_that_fails_a_hundred_times_is_told_each_time_and_leaves_nothing(
    void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	_Atomic unsigned starts = 0;
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.arg = &starts,
		.start = refuse_to_start,
		.reactors = 2,
		.unpinned = true,
	};
	struct holdings before = { 0 };

	(void)state;
	for (unsigned i = 0; i < TIMES(100) + 1; i++) {
		struct torc_error error;

		assert_int_equal(torc_serve(&config, NULL, &error), -EHOSTDOWN);
		assert_non_null(strstr(error.text, strerror(EHOSTDOWN)));
		/* The first one warms up what libc keeps. */
		if (i == 0)
			before = holdings();
		assert_as_before(&before);
	}
	assert_true(starts > TIMES(100));
	assert_all_held();
}

static void
serve_on_a_ring_that_is_not_enabled(void)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.reactors = 2,
		.unpinned = true,
	};
	struct torc_error error;

	fault.not_enabled = true;
	EXPECT(torc_serve(&config, NULL, &error) == -EPERM);
	EXPECT(strstr(error.text, strerror(EPERM)) != NULL);
}

static void
destroy_what_was_not_enabled(void)
{
	struct torc_reactor *reactor;

	fault.not_enabled = true;
	EXPECT(torc_reactor_create(&reactor, NULL, NULL) == 0);
	EXPECT(torc_listen(reactor, "127.0.0.1:0", play, NULL) >= 0);
	EXPECT(torc_reactor_run(reactor) == -EPERM);
	EXPECT(torc_reactor_run(reactor) == -EPERM);
	torc_reactor_destroy(reactor);
}

/* A12 */
static void
a_ring_that_cannot_be_enabled_is_an_error_of_its_reactor(void **state)
{
	(void)state;
	in_child(destroy_what_was_not_enabled);
	in_child(serve_on_a_ring_that_is_not_enabled);
}

/* Nobody else is charged for what this process locks, and so much at most. */
static void
become_an_outsider(rlim_t memlock)
{
	const struct rlimit limit = { memlock, memlock };
	/* Rings are charged to a user: not the one of another run. */
	const uid_t outsider = OUTSIDERS + (uid_t)getpid() % 4000;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    (geteuid() == 0 && (setgroups(0, NULL) < 0 ||
	    setresgid(outsider, outsider, outsider) < 0 ||
	    setresuid(outsider, outsider, outsider) < 0)))
		_exit(2);
}

/* A04: what fits once fits 500 times, though it comes back late. */
static void
create_five_hundred(void)
{
	struct torc_reactor *reactors[500];
	unsigned count = 0;
	struct torc_error error;

	become_an_outsider(8 << 20);
	for (int i = 0; i < TIMES(500); i++) {
		if (torc_reactor_create(&reactors[0], NULL, &error) < 0) {
			fprintf(stderr, "cycle %d: %s\n", i, error.text);
			_exit(3);
		}
		EXPECT(torc_listen(reactors[0], "127.0.0.1:0", play,
		    NULL) >= 0);
		torc_reactor_stop(reactors[0]);
		EXPECT(torc_reactor_run(reactors[0]) == 0);
		torc_reactor_destroy(reactors[0]);
	}
	/* R-092, and the control: so many at once do not fit, or not of that
	 * size. */
	while (count < 500 && torc_reactor_create(&reactors[count], NULL,
	    NULL) == 0 && (count < 32 ||
	    reactors[count]->ring.sq_entries == 1024))
		count++;
	EXPECT(count >= 32);
	if (count == 500)
		printf("SKIP: this kernel does not charge rings\n");
	fflush(stdout);
}

/* A04, R-092 */
static void
five_hundred_reactors_one_after_the_other_fit_into_8_mib_of_memlock(
    void **state)
{
	(void)state;
	in_child(create_five_hundred);
}

static void
create_in_64_kib(void)
{
	struct torc_reactor *reactor;

	become_an_outsider(64 << 10);
	EXPECT(torc_reactor_create(&reactor, NULL, NULL) == 0);
	if (reactor->ring.sq_entries == 1024)
		printf("SKIP: this kernel does not charge rings\n");
	else
		EXPECT(reactor->ring.sq_entries == 256);
	EXPECT(torc_listen(reactor, "127.0.0.1:0", play, NULL) >= 0);
	torc_reactor_stop(reactor);
	EXPECT(torc_reactor_run(reactor) == 0);
	torc_reactor_destroy(reactor);
	fflush(stdout);
}

/* */
static void
one_reactor_fits_into_64_kib_of_memlock_with_a_smaller_ring(void **state)
{
	(void)state;
	in_child(create_in_64_kib);
}

/* ---- Stopping ---- */

/* A09, R-003, R-022, R-130 */
static void
a_stop_ends_connections_in_every_state_and_leaves_nothing(void **state)
{
	/* Nobody is waited for: these are longer than the test. */
	const struct torc_config config = {
		.linger_ms = 10 * LONG_MS,
		.close_ms = 10 * LONG_MS,
		.idle_ms = 10 * LONG_MS,
	};
	static const char parts[] = "eswacg";
	struct holdings before = holdings();
	int fds[9];
	uint64_t began;

	(void)state;
	for (int round = 0; round < 3; round++) {
		start(&config);
		for (int i = 0; i < 6; i++)
			fds[i] = client_of(parts[i]);
		/* One that said nothing, one that will say no more, one that
		 * is gone. */
		for (int i = 6; i < 9; i++)
			fds[i] = client_open(server.port);
		shutdown(fds[7], SHUT_WR);
		client_reset(fds[8]);
		/* All but that one, and the one that sent FIN. */
		assert_true(server_await_connections(&server, 7) ||
		    server_connections(&server) == 8);
		client_echo(fds[0], "still here");
		began = now_ms();
		assert_int_equal(server_stop(&server), 0);
		assert_true(now_ms() - began < LONG_MS);
		assert_true(is_refused(server.port));
		for (int i = 0; i < 8; i++) {
			assert_true(sees_the_end(fds[i]));
			close(fds[i]);
		}
		close(stage.gate);
		assert_all_held();
		assert_as_before(&before);
	}
}

/* A10 */
static void
a_reactor_that_is_stopped_before_it_runs_ends_when_it_runs(void **state)
{
	struct holdings before = holdings();

	(void)state;
	for (int way = 0; way < 4; way++) {
		struct torc_reactor *reactor;
		unsigned port;

		assert_int_equal(torc_reactor_create(&reactor, NULL, NULL),
		    0);
		port = torc_listen_port(reactor, torc_listen(reactor,
		    "127.0.0.1:0", play, NULL));
		assert_false(is_refused(port));
		if (way % 2 == 0)
			torc_reactor_stop(reactor);
		else
			torc_reactor_drain(reactor, torc_after_ms(LONG_MS));
		if (way == 2)
			torc_reactor_stop(reactor);
		/* And one that never runs at all. */
		if (way != 3)
			assert_int_equal(torc_reactor_run(reactor), 0);
		torc_reactor_destroy(reactor);
		assert_true(is_refused(port));
		assert_as_before(&before);
	}
}

/*
 * To the reactor's thread. ThreadSanitizer keeps a signal until the thread
 * calls something that it knows, which the wake brings about; and on the same
 * stack, which is why no fiber must run then.
 */
static void
send_signal(int number)
{
	if (UNDER_TSAN)
		await_rest();
	pthread_kill(server.thread, number);
	if (UNDER_TSAN)
		torc_mailbox_wake(&server.reactor->mailbox);
}

static void
stop_from_handler(int number)
{
	(void)number;
	torc_reactor_stop(server.reactor);
}

/* A07's pair: and from the reactor's own thread. */
static void
a_signal_handler_can_stop_a_reactor(void **state)
{
	const struct sigaction action = { .sa_handler = stop_from_handler };
	struct sigaction before;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	for (int own = 0; own < 2; own++) {
		start(NULL);
		echo_some(1);
		if (own)
			send_signal(SIGUSR1);
		else
			raise(SIGUSR1);
		assert_int_equal(await_end(), 0);
	}
	sigaction(SIGUSR1, &before, NULL);
	assert_all_held();
}

static struct {
	struct torc_post post;
	int spawned;
	int posted;
	unsigned calls;
} last;

static int
do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
try_to_go_on(struct torc_reactor *reactor, struct torc_post *post)
{
	static struct torc_post another = { .call = try_to_go_on };

	(void)post;
	last.calls++;
	last.spawned = torc_fiber_spawn(NULL, do_nothing, NULL);
	last.posted = torc_reactor_post(reactor, &another);
}

static int
post_when_cancelled(void *arg)
{
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	EXPECT(torc_reactor_post(arg, &last.post) == 0);
	return 0;
}

/* What was accepted runs, be it after everything else. */
static void
the_last_post_runs_and_finds_that_nothing_can_be_begun(void **state)
{
	struct torc_reactor *reactor;
	struct torc_post late = { .call = try_to_go_on };

	(void)state;
	memset(&last, 0, sizeof(last));
	last.post.call = try_to_go_on;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(torc_fiber_start(reactor, NULL, post_when_cancelled,
	    reactor), 0);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	torc_reactor_stop(reactor);
	assert_int_equal(torc_reactor_run(reactor), 0);
	assert_int_equal(last.calls, 1);
	assert_int_equal(last.spawned, -ESHUTDOWN);
	assert_int_equal(last.posted, -ESHUTDOWN);
	assert_int_equal(torc_reactor_post(reactor, &late), -ESHUTDOWN);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
	assert_int_equal(last.calls, 1);
	assert_all_held();
}

/* A14, R-024, R-093: and more rings than a thread may register at once. */
static void
a_hundred_starts_and_stops_leave_descriptors_and_memory_flat(void **state)
{
	struct holdings before = holdings();
	size_t early = 0;

	(void)state;
	for (unsigned i = 0; i < TIMES(100); i++) {
		start(NULL);
		echo_some(2);
		stop();
		assert_as_before(&before);
		if (i == 20)
			early = resident_bytes();
	}
	/* A sanitizer keeps what was freed. */
	if (!SANITIZED)
		assert_true(resident_bytes() < early + (4 << 20));
	for (unsigned i = 0; i < 40; i++) {
		struct torc_reactor *reactor;
		char text[256];

		assert_int_equal(torc_reactor_create(&reactor, NULL, NULL),
		    0);
		assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
		torc_reactor_describe(reactor, text, sizeof(text));
		assert_non_null(strstr(text, "registered fd"));
		torc_reactor_stop(reactor);
		assert_int_equal(torc_reactor_run(reactor), 0);
		torc_reactor_destroy(reactor);
	}
	assert_as_before(&before);
}

/* ---- Draining ---- */

/* A15 */
static void
a_drain_lets_requests_finish_and_closes_what_is_idle(void **state)
{
	struct holdings before = holdings();
	const uint64_t one = 1;
	int idle, dormant, busy;
	char answer[16];

	(void)state;
	start(NULL);
	idle = client_of('e');
	client_echo(idle, "hello");
	dormant = client_of('a');
	busy = client_of('g');
	torc_reactor_drain(server.reactor, torc_after_ms(10 * LONG_MS));
	/* While one is still at it. */
	assert_true(client_sees_fin(idle));
	assert_true(client_sees_fin(dormant));
	assert_true(becomes_refused(server.port));
	assert_int_equal(stage.over, 2);
	close(idle);
	close(dormant);
	assert_int_equal(write(stage.gate, &one, sizeof(one)), sizeof(one));
	assert_int_equal(client_read_all(busy, answer, sizeof(answer)), 4);
	assert_memory_equal(answer, "done", 4);
	close(busy);
	assert_int_equal(await_end(), 0);
	assert_all_held();
	assert_as_before(&before);
}

/* A15 */
static void
at_its_deadline_a_drain_cancels_what_is_left(void **state)
{
	torc_deadline deadline;
	int fds[2];

	(void)state;
	start(NULL);
	fds[0] = client_of('s');
	fds[1] = client_of('w');
	deadline = torc_after_ms(100);
	torc_reactor_drain(server.reactor, deadline);
	assert_int_equal(await_end(), 0);
	assert_true(torc_sys_now() >= deadline.at);
	assert_int_equal(stage.over, 2);
	assert_int_equal(stage.result, -ECANCELED);
	for (int i = 0; i < 2; i++) {
		assert_true(sees_the_end(fds[i]));
		close(fds[i]);
	}
	assert_all_held();
}

/* A second word on the matter. */
static void
a_drain_can_be_cut_short_by_a_stop(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client_of('s');
	torc_reactor_drain(server.reactor, TORC_NEVER);
	assert_true(becomes_refused(server.port));
	assert_int_equal(stage.over, 0);
	stop();
	assert_int_equal(stage.result, -ECANCELED);
	assert_true(sees_the_end(fd));
	close(fd);
}

/* Keeps the reactor from anything else until it is let go. */
struct plug {
	struct torc_post post;
	sem_t in;
	sem_t out;
};

static void
plug_up(struct torc_reactor *reactor, struct torc_post *post)
{
	struct plug *plug = torc_container(post, struct plug, post);

	(void)reactor;
	sem_post(&plug->in);
	while (sem_wait(&plug->out) < 0)
		continue;
}

static void
put_in(struct plug *plug)
{
	plug->post.call = plug_up;
	sem_init(&plug->in, 0, 0);
	sem_init(&plug->out, 0, 0);
	assert_int_equal(torc_reactor_post(server.reactor, &plug->post), 0);
	while (sem_wait(&plug->in) < 0)
		continue;
}

/* A15, R-086: the kernel has accepted them, so they count. */
static void
a_drain_serves_what_waits_in_the_backlog(void **state)
{
	struct plug plug;
	int fds[20];

	(void)state;
	start(NULL);
	put_in(&plug);
	for (int i = 0; i < 20; i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], "e", 1);
	}
	assert_int_equal(stage.begun, 0);
	torc_reactor_drain(server.reactor, torc_after_ms(10 * LONG_MS));
	sem_post(&plug.out);
	for (int i = 0; i < 20; i++)
		assert_true(client_sees_fin(fds[i]));
	assert_int_equal(stage.begun, 20);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	assert_int_equal(await_end(), 0);
	assert_all_held();
}

/* The drain finds them all in the backlog, and one of them has failed. */
static void
a_connection_that_has_failed_leaves_those_behind_it_in_the_backlog(
    void **state)
{
	static const int errors[] = { -ECONNABORTED, -EPROTO, -EINTR };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct torc_reactor *reactor;
		int fds[5], listener;

		assert_int_equal(torc_reactor_create(&reactor, NULL, NULL),
		    0);
		listener = torc_listen(reactor, "127.0.0.1:0", play, NULL);
		assert_true(listener >= 0);
		for (int j = 0; j < 5; j++) {
			fds[j] = client_open(torc_listen_port(reactor,
			    listener));
			client_send(fds[j], "e", 1);
		}
		stage.begun = 0;
		fault.aborted = errors[i];
		torc_reactor_drain(reactor, torc_after_ms(10 * LONG_MS));
		assert_int_equal(torc_reactor_run(reactor), 0);
		assert_int_equal(fault.aborted, 0);
		assert_int_equal(stage.begun, 4);
		for (int j = 0; j < 5; j++) {
			assert_true(j == 0 || client_sees_fin(fds[j]));
			close(fds[j]);
		}
		torc_reactor_destroy(reactor);
	}
}

/* Answers each line; what is no line yet is not consumed. */
static int
answer_lines(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		const uint8_t *end = memchr(in.data, '\n', in.size);

		stage.begun++;
		if (end == NULL)
			continue;
		torc_conn_write(conn, in.data,
		    (size_t)(end + 1 - in.data), TORC_NEVER);
		torc_conn_consume(conn, (size_t)(end + 1 - in.data));
	}
	return TORC_CLOSE;
}

/* A15: one that has sent half a request, and one that has sent nothing. */
static void
a_drain_waits_for_the_rest_of_a_request_that_has_begun(void **state)
{
	const uint64_t limit = now_ms() + LONG_MS;
	char answer[32];
	int half, silent;

	(void)state;
	memset(&stage, 0, sizeof(stage));
	stage.gate = eventfd(0, EFD_CLOEXEC);
	server_start(&server, NULL, answer_lines, NULL);
	half = client_open(server.port);
	client_send(half, "hello, ", 7);
	silent = client_open(server.port);
	while (stage.begun == 0 && now_ms() < limit)
		pause_ms(1);
	assert_true(server_await_connections(&server, 2));
	torc_reactor_drain(server.reactor, torc_after_ms(10 * LONG_MS));
	assert_true(becomes_refused(server.port));
	assert_true(client_sees_fin(silent));
	client_send(half, "world\n", 6);
	assert_int_equal(client_read_all(half, answer, sizeof(answer)), 13);
	assert_memory_equal(answer, "hello, world\n", 13);
	close(half);
	close(silent);
	assert_int_equal(await_end(), 0);
}

static struct {
	int rc;
	sem_t over;
} late_listener;

static void
listen_late(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	late_listener.rc = torc_listen(reactor, "127.0.0.1:0", play, NULL);
	sem_post(&late_listener.over);
}

static void
listen_while_it_drains(void)
{
	struct torc_post post = { .call = listen_late };
	int fd;

	sem_init(&late_listener.over, 0, 0);
	start(NULL);
	fd = client_of('g');
	torc_reactor_drain(server.reactor, torc_after_ms(10 * LONG_MS));
	EXPECT(becomes_refused(server.port));
	EXPECT(torc_reactor_post(server.reactor, &post) == 0);
	while (sem_wait(&late_listener.over) < 0)
		continue;
	EXPECT(late_listener.rc == -ESHUTDOWN);
	/* Whatever it said: when the last handler is over, so is all. */
	EXPECT(write(stage.gate, &(uint64_t) { 1 }, 8) == 8);
	EXPECT(sees_the_end(fd));
	close(fd);
	alarm(20);
	EXPECT(pthread_join(server.thread, NULL) == 0);
}

/* A15: no new work. */
static void
a_listener_that_is_opened_while_it_drains_is_refused(void **state)
{
	(void)state;
	in_child(listen_while_it_drains);
}

/* ---- What enter can answer ---- */

/* of a signal, and of a kernel that is short of memory. */
static void
errors_of_every_second_third_or_fifth_enter_lose_nothing(void **state)
{
	static const int errors[] = { -EINTR, -EAGAIN, -EBUSY, -ENOMEM,
	    -ETIME };
	static const unsigned steps[] = { 2, 3, 5 };
	struct holdings before = holdings();

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		for (unsigned n = 0; n < 6; n++) {
			struct torc_counters counters;
			unsigned injected;

			start(NULL);
			injected = seen.injected;
			fault.enter_error = errors[i];
			fault.taken = n % 2;
			fault.every = steps[n / 2];
			do
				echo_some(10);
			while (seen.injected - injected < 20);
			fault.every = 0;
			counters = server_counters(&server);
			/* Not all of them were the loop's own. */
			if (errors[i] == -EINTR)
				assert_true(counters.interrupted >= 5);
			else if (errors[i] != -ETIME)
				assert_true(counters.starved >= 5);
			stop();
		}
	}
	assert_as_before(&before);
}

static _Atomic unsigned signals_handled;
static sem_t signal_handled;

static void
count_signal(int number)
{
	(void)number;
	signals_handled++;
	sem_post(&signal_handled);
}

/* A07, R-059 */
static void
a_thousand_signals_to_its_thread_do_not_end_a_reactor(void **state)
{
	const struct sigaction action = { .sa_handler = count_signal };
	const unsigned count = UNDER_TSAN ? 20 : 1000;
	struct sigaction before;
	int fd;

	(void)state;
	signals_handled = 0;
	sem_init(&signal_handled, 0, 0);
	sigaction(SIGUSR2, &action, &before);
	start(NULL);
	fd = client_of('e');
	for (unsigned i = 0; i < count; i++) {
		/* Some find it asleep for certain. */
		if (i % 20 == 0) {
			client_echo(fd, "in between");
			pause_ms(1);
		}
		send_signal(SIGUSR2);
		while (sem_wait(&signal_handled) < 0)
			continue;
	}
	assert_int_equal(signals_handled, count);
	client_echo(fd, "and after");
	if (UNDER_TSAN)
		printf("SKIP: ThreadSanitizer holds signals back until a "
		    "call is over, so few interrupt one\n");
	else
		assert_true(server_counters(&server).interrupted >= 10);
	close(fd);
	stop();
	sigaction(SIGUSR2, &before, NULL);
	sem_destroy(&signal_handled);
}

/* ---- The ring is lost ---- */

static void
post_then_fail(struct torc_reactor *reactor, void *arg)
{
	/* It is accepted, and runs at the end. */
	EXPECT(torc_reactor_post(reactor, arg) == 0);
	fault.fatal = -EBADFD;
}

static void
lose_the_ring(void)
{
	struct torc_post late = { .call = try_to_go_on };
	struct holdings before;
	int fds[5];

	last.post.call = try_to_go_on;
	before = holdings();
	start(NULL);
	for (int i = 0; i < 5; i++)
		fds[i] = i < 4 ? client_of("esga"[i]) :
		    client_open(server.port);
	EXPECT(server_await_connections(&server, 5));
	server_call(&server, post_then_fail, &last.post);
	EXPECT(pthread_join(server.thread, NULL) == 0);
	EXPECT(server.result == -EBADFD);
	for (int i = 0; i < 5; i++) {
		EXPECT(sees_the_end(fds[i]));
		close(fds[i]);
	}
	EXPECT(is_refused(server.port));
	EXPECT(last.calls == 1);
	EXPECT(torc_reactor_post(server.reactor, &late) == -ESHUTDOWN);
	EXPECT(torc_reactor_run(server.reactor) == -EBADFD);
	EXPECT(torc_reactor_turn(server.reactor, TORC_AT_ONCE) == -EBADFD);
	torc_reactor_destroy(server.reactor);
	close(stage.gate);
	/* Memory may still be the kernel's; descriptors are not. */
	EXPECT(count_fds() == before.fds);
	/* And the thread is free for another one. */
	EXPECT(torc_reactor_self() == NULL);
}

/* A13 */
static void
an_enter_that_fails_for_good_ends_the_reactor_and_all_who_use_it(
    void **state)
{
	(void)state;
	memset(&last, 0, sizeof(last));
	in_child(lose_the_ring);
}

/* As the kernel does: the CQ is full, and there is no memory for what does not
 * fit, or for some of it. An idle wait would tell of it, too. */
static void
lose_a_completion(struct torc_reactor *reactor, void *arg)
{
	const int manner = *(const int *)arg;

	if (manner == 0) {
		fault.fatal = -EBADR;
		return;
	}
	*reactor->ring.kcq_overflow = 1;
	if (manner == 1)
		*reactor->ring.ksq_flags |= IORING_SQ_CQ_OVERFLOW;
}

static void
lose_completions(void)
{
	for (int i = 0; i < 3; i++) {
		int fd;

		start(NULL);
		fd = client_of('s');
		server_call(&server, lose_a_completion, &i);
		/* Nothing tells of it but what stands behind it. */
		if (i == 2)
			EXPECT(write(fd, "x", 1) == 1);
		EXPECT(pthread_join(server.thread, NULL) == 0);
		EXPECT(server.result == -EBADR);
		EXPECT(sees_the_end(fd));
		close(fd);
		torc_reactor_destroy(server.reactor);
		fault.fatal = 0;
	}
}

static void
a_reactor_whose_completions_were_lost_ends_with_ebadr(void **state)
{
	(void)state;
	in_child(lose_completions);
}

static void
lose_the_ring_with_spawn(void)
{
	last.post.call = try_to_go_on;
	start(NULL);
	server_call(&server, post_then_fail, &last.post);
	EXPECT(pthread_join(server.thread, NULL) == 0);
	EXPECT(last.calls == 1);
	EXPECT(last.spawned == -ESHUTDOWN);
	EXPECT(last.posted == -ESHUTDOWN);
}

/* A13: the post came while the reactor was still running. */
static void
the_last_posts_of_a_lost_reactor_cannot_begin_anything(void **state)
{
	(void)state;
	memset(&last, 0, sizeof(last));
	in_child(lose_the_ring_with_spawn);
}

static void
lose_the_ring_at_the_end_of_a_connection(void)
{
	struct holdings before = holdings();
	int fd;

	start(NULL);
	fd = client_of('x');
	shutdown(fd, SHUT_WR);
	EXPECT(await_end() == -EBADFD);
	EXPECT(sees_the_end(fd));
	close(fd);
	EXPECT(count_fds() == before.fds);
}

/* A13: a socket whose closing was queued, and was not taken any more. */
static void
a_socket_that_was_about_to_be_closed_is_closed(void **state)
{
	(void)state;
	in_child(lose_the_ring_at_the_end_of_a_connection);
}

static int
fail_after_start(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	if (torc_reactor_index(reactor) != 1)
		return torc_sleep(TORC_NEVER) == -ECANCELED ? 0 : -EINVAL;
	/* Not of an enter that finds out what the kernel can do. */
	EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	fault.fatal = -EBADFD;
	return torc_sleep(TORC_NEVER);
}

static void
lose_one_ring_of_two(void)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.start = fail_after_start,
		.reactors = 2,
		.unpinned = true,
	};
	struct torc_error error;
	unsigned fds = count_fds();

	EXPECT(torc_serve(&config, NULL, &error) == -EBADFD);
	EXPECT(strstr(error.text, strerror(EBADFD)) != NULL);
	EXPECT(count_fds() == fds);
}

/* A13: all reactors of a server end with one. */
static void
a_server_ends_with_the_error_of_one_of_its_reactors(void **state)
{
	(void)state;
	in_child(lose_one_ring_of_two);
}

/* The first reactor ends since the second one has, and not well either: its
 * accept is still to be cancelled. */
static int
fail_as_the_last(void *arg)
{
	*(_Atomic bool *)arg = true;
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	fault.victim = 1;
	fault.fatal = -ENXIO;
	return 0;
}

static int
fail_one_by_one(struct torc_reactor *reactor, void *arg)
{
	_Atomic bool *waits = arg;

	if (torc_reactor_index(reactor) == 0)
		return torc_fiber_spawn(NULL, fail_as_the_last, arg);
	while (!*waits && torc_sleep(torc_after_ms(1)) == 0)
		continue;
	/* Not of an enter that finds out what the kernel can do. */
	EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	fault.victim = 2;
	fault.fatal = -EBADFD;
	return torc_sleep(TORC_NEVER);
}

static void
lose_both_rings(void)
{
	_Atomic bool waits = false;
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.start = fail_one_by_one,
		.arg = &waits,
		.reactors = 2,
		.unpinned = true,
	};

	EXPECT(torc_serve(&config, NULL, NULL) == -EBADFD);
	EXPECT(fault.fatal == 0);
}

static void
the_error_of_a_server_is_the_first_one_whichever_reactor_has_it(
    void **state)
{
	(void)state;
	in_child(lose_both_rings);
}

/* ---- Servers of many reactors ---- */

static struct {
	_Atomic bool started;
	_Atomic bool early;	/* a handler ran before */
	unsigned port;
} premiere;

static int
check_started(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	if (!premiere.started)
		premiere.early = true;
	return TORC_CLOSE;
}

static void *
visit(void *arg)
{
	int fd = client_open(premiere.port);

	(void)arg;
	EXPECT(client_sees_fin(fd));
	close(fd);
	kill(getpid(), SIGTERM);
	return NULL;
}

static int
start_slowly(struct torc_reactor *reactor, void *arg)
{
	pthread_t visitor;

	(void)arg;
	premiere.port = torc_listen_port(reactor, 0);
	EXPECT(pthread_create(&visitor, NULL, visit, NULL) == 0);
	pthread_detach(visitor);
	/* As one who connects to a data base. */
	EXPECT(torc_sleep(torc_after_ms(200)) == 0);
	premiere.started = true;
	return 0;
}

static void
serve_with_a_slow_start(void)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = check_started,
		.start = start_slowly,
		.reactors = 1,
		.unpinned = true,
	};

	EXPECT(torc_serve(&config, NULL, NULL) == 0);
	EXPECT(!premiere.early);
}

/* "Before it serves", also when it parks. */
static void
no_handler_runs_before_start_has_returned(void **state)
{
	(void)state;
	memset(&premiere, 0, sizeof(premiere));
	in_child(serve_with_a_slow_start);
}

static int
fail_behind_a_signal(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	/* A drain begins, and ends this fiber; which then fails. */
	kill(getpid(), SIGTERM);
	EXPECT(torc_sleep(torc_after_ms(200000)) == -ECANCELED);
	return -EHOSTDOWN;
}

static void
serve_and_fail_behind_a_signal(void)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.start = fail_behind_a_signal,
		.reactors = 1,
		.unpinned = true,
	};

	EXPECT(torc_serve(&config, NULL, NULL) == -EHOSTDOWN);
}

/* The signal that tells of it is not left for the process to die of. */
static void
a_failure_while_it_drains_is_returned_and_kills_nobody(void **state)
{
	(void)state;
	in_child(serve_and_fail_behind_a_signal);
}

/* ---- Idleness ---- */

/* Clients are there, and have nothing to say: the loop is not woken. */
static void
rest_for_a_while(const struct torc_config *config)
{
	unsigned enters;
	int fds[3];

	start(config);
	fds[0] = client_of('e');
	fds[1] = client_of('s');
	fds[2] = client_of('g');
	client_echo(fds[0], "before");
	enters = await_rest();
	pause_ms(1000);
	assert_int_equal(seen.enters, enters);
	assert_int_equal(seen.inside, 1);
	client_echo(fds[0], "after");
	assert_true(seen.enters > enters);
	/* Nor does one that drains and has no deadline. */
	torc_reactor_drain(server.reactor, TORC_NEVER);
	assert_true(client_sees_fin(fds[0]));
	close(fds[0]);
	enters = await_rest();
	pause_ms(300);
	assert_int_equal(seen.enters, enters);
	stop();
	close(fds[1]);
	close(fds[2]);
}

/* A53, R-150: no tick, no time limit, no wake-up. */
static void
an_idle_reactor_makes_no_system_call(void **state)
{
	(void)state;
	rest_for_a_while(NULL);
}

/* Nor one that lets completions gather: it waits for the first of them. */
static void
an_idle_reactor_that_batches_makes_no_system_call_either(void **state)
{
	const struct torc_config config = { .batch_us = 100 };

	(void)state;
	rest_for_a_while(&config);
}

/* It polls while there is traffic, and sleeps when there is none. */
static void
a_reactor_that_spins_serves_and_stops_spinning_when_idle(void **state)
{
	const struct torc_config config = { .spin_us = 500 };
	const uint64_t limit = now_ms() + LONG_MS;
	struct torc_counters counters;
	uint64_t before, after;
	unsigned enters;
	int fd;

	(void)state;
	start(&config);
	fd = client_of('e');
	do {
		for (int i = 0; i < 50; i++)
			client_echo(fd, "hello");
		counters = server_counters(&server);
	} while (counters.spins_won == 0 && now_ms() < limit);
	assert_true(counters.spins > 0);
	assert_true(counters.spins_won > 0);
	enters = await_rest();
	before = cpu_ms(server.thread);
	pause_ms(500);
	after = cpu_ms(server.thread);
	assert_int_equal(seen.enters, enters);
	assert_true(after - before < 250);
	client_echo(fd, "awake");
	close(fd);
	stop();
	/* Without being asked to, it never spins. */
	start(NULL);
	echo_some(5);
	assert_int_equal(server_counters(&server).spins, 0);
	stop();
}

/* ---- Inside another loop ---- */

/* Turns until there is nothing to do. 1, or what the last turn returned. */
static int
turn_while_due(struct torc_reactor *reactor, unsigned *turns)
{
	int rc;

	do {
		rc = torc_reactor_turn(reactor, TORC_AT_ONCE);
		++*turns;
	} while (rc > 0 && torc_reactor_due(reactor) <= torc_sys_now());
	return rc;
}

/*
 * What a program with a loop of its own does. False if it slept although
 * there was something to do.
 */
static bool
serve_by_poll(struct torc_reactor *reactor, unsigned *turns)
{
	struct pollfd ready = { torc_reactor_fd(reactor), POLLIN, 0 };

	while (turn_while_due(reactor, turns) > 0) {
		uint64_t due = torc_reactor_due(reactor);
		uint64_t now = torc_sys_now();
		int ms = LONG_MS;

		if (due <= now)
			ms = 0;
		else if (due - now < (uint64_t)ms * MS)
			ms = (int)((due - now + MS - 1) / MS);
		if (poll(&ready, 1, ms) == 0 && ms == LONG_MS)
			return false;
	}
	return true;
}

static int
count_naps(void *arg)
{
	for (int i = 0; i < 5; i++) {
		torc_deadline end = torc_after_ms(20);

		EXPECT(torc_sleep(end) == 0);
		EXPECT(torc_sys_now() >= end.at);
		++*(_Atomic int *)arg;
	}
	return 0;
}

static void *
use_embedded(void *arg)
{
	_Atomic int *naps = arg;
	const uint64_t limit = now_ms() + LONG_MS;
	int fd = client_open(server.port);

	EXPECT(send(fd, "e", 1, MSG_NOSIGNAL) == 1);
	while (stage.begun == 0 && now_ms() < limit)
		pause_ms(1);
	for (int i = 0; i < 100; i++) {
		char text[32] = "";
		size_t size = (size_t)snprintf(text, sizeof(text), "%d", i);

		/* Now and then the loop sleeps in poll. */
		if (i % 10 == 0)
			pause_ms(5);
		EXPECT(send(fd, text, size, MSG_NOSIGNAL) == (ssize_t)size);
		EXPECT(recv(fd, text, size, MSG_WAITALL) == (ssize_t)size);
		EXPECT(atoi(text) == i);
	}
	while (*naps < 5 && now_ms() < limit)
		pause_ms(1);
	close(fd);
	torc_reactor_stop(server.reactor);
	return NULL;
}

static void
a_program_with_a_poll_loop_of_its_own_can_run_a_reactor(void **state)
{
	struct torc_counters *counters;
	_Atomic int naps = 0;
	unsigned turns = 0;
	pthread_t client;

	(void)state;
	memset(&stage, 0, sizeof(stage));
	assert_int_equal(torc_reactor_create(&server.reactor, NULL, NULL),
	    0);
	server.port = torc_listen_port(server.reactor,
	    torc_listen(server.reactor, "127.0.0.1:0", play, NULL));
	assert_int_equal(torc_fiber_start(server.reactor, NULL, count_naps,
	    &naps), 0);
	assert_int_equal(pthread_create(&client, NULL, use_embedded, &naps),
	    0);
	assert_true(serve_by_poll(server.reactor, &turns));
	pthread_join(client, NULL);
	assert_int_equal(naps, 5);
	/* It did not run hot: a handful of turns for each event. */
	counters = server.reactor->counters;
	assert_true(turns < 10 * (counters->cqes + counters->timeouts + 10));
	assert_int_equal(counters->turns, turns);
	torc_reactor_destroy(server.reactor);
	assert_all_held();
}

static int
do_nothing_soon(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static void
a_poll_loop_hears_of_it_when_there_is_no_descriptor_for_it(void **state)
{
	struct torc_reactor *reactor;
	struct holdings before = holdings();
	bool ran = false;
	int fd;

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	tally.steps = 0;
	tally.failing = 1;
	assert_int_equal(torc_reactor_fd(reactor), -EMFILE);
	/* It goes on without, and gets one later; and always the same. */
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	fd = torc_reactor_fd(reactor);
	assert_true(fd >= 0);
	assert_int_equal(torc_reactor_fd(reactor), fd);
	assert_int_equal(torc_fiber_spawn(NULL, do_nothing_soon, &ran), 0);
	assert_int_equal(torc_reactor_due(reactor), 0);
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_true(ran);
	torc_reactor_stop(reactor);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
	assert_as_before(&before);
}

static int
sleep_for_ever(void *arg)
{
	EXPECT(torc_sleep(TORC_NEVER) == -ECANCELED);
	*(bool *)arg = true;
	return 0;
}

static void
a_poll_loop_is_told_when_the_deadline_of_a_drain_is_due(void **state)
{
	struct torc_reactor *reactor;
	torc_deadline deadline;
	bool cancelled = false;
	unsigned turns = 0;

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(torc_fiber_start(reactor, NULL, sleep_for_ever,
	    &cancelled), 0);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	assert_int_equal(torc_reactor_due(reactor), UINT64_MAX);
	deadline = torc_after_ms(50);
	torc_reactor_drain(reactor, deadline);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	assert_int_equal(torc_reactor_due(reactor), deadline.at);
	assert_true(serve_by_poll(reactor, &turns));
	assert_true(torc_sys_now() >= deadline.at);
	assert_true(cancelled);
	torc_reactor_destroy(reactor);
	assert_all_held();
}

static int
await_gate(void *arg)
{
	EXPECT(torc_fd_poll(*(int *)arg, POLLIN, TORC_NEVER) == POLLIN);
	return 0;
}

static void
a_poll_loop_is_told_when_the_last_fiber_of_a_drain_has_ended(void **state)
{
	struct torc_reactor *reactor;
	const uint64_t one = 1;
	unsigned turns = 0;
	int gate = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(torc_fiber_start(reactor, NULL, await_gate, &gate),
	    0);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	/* It waits for the fiber, and does not run hot. */
	assert_true(torc_reactor_due(reactor) > torc_sys_now());
	assert_int_equal(write(gate, &one, sizeof(one)), sizeof(one));
	/* The fiber ends in the last part of a turn, and nothing follows. */
	assert_int_equal(turn_while_due(reactor, &turns), 0);
	torc_reactor_destroy(reactor);
	close(gate);
	assert_all_held();
}

static struct {
	struct torc_post post;
	uint64_t began;
	uint64_t ended;
} stale;

static int
wait_a_little(void *arg)
{
	(void)arg;
	stale.began = torc_sys_now();
	EXPECT(torc_sleep(torc_after_ms(100)) == 0);
	stale.ended = torc_sys_now();
	return 0;
}

static void
spawn_waiter(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	EXPECT(torc_fiber_spawn(NULL, wait_a_little, NULL) == 0);
}

/* A62: what the program did between two turns is not taken off a wait. */
static void
a_wait_is_not_cut_short_by_the_time_that_a_loop_was_elsewhere(void **state)
{
	struct torc_reactor *reactor;
	unsigned turns = 0;

	(void)state;
	memset(&stale, 0, sizeof(stale));
	stale.post.call = spawn_waiter;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	assert_int_equal(torc_reactor_post(reactor, &stale.post), 0);
	pause_ms(300);
	assert_int_equal(turn_while_due(reactor, &turns), 1);
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_true(serve_by_poll(reactor, &turns));
	/* torc_now() is as old as the turn, which is to be far below. */
	assert_true(stale.ended - stale.began >= 50 * MS);
	torc_reactor_destroy(reactor);
	assert_all_held();
}

static void
run_two_on_one_thread(void)
{
	struct torc_reactor *one, *two;

	EXPECT(torc_reactor_create(&one, NULL, NULL) == 0);
	EXPECT(torc_reactor_create(&two, NULL, NULL) == 0);
	EXPECT(torc_reactor_turn(one, TORC_AT_ONCE) == 1);
	EXPECT(torc_reactor_self() == one);
	signal(SIGABRT, _exit);
	torc_reactor_turn(two, TORC_AT_ONCE);
	/* Not reached: the handler has ended the child. */
	_exit(5);
}

/* A57 */
static void
a_thread_that_runs_a_reactor_cannot_run_another_one(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		run_two_on_one_thread();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SIGABRT);
}

/* ---- Forks ---- */

static void
leave_quietly(int number)
{
	(void)number;
	_exit(0);
}

/* What a child does that does not know what it has inherited. */
static void
make_a_mess(int way)
{
	const struct torc_ring *ring = &server.reactor->ring;
	static struct torc_post post = { .call = try_to_go_on };

	/* What is torc's says so, and stops it. */
	signal(SIGABRT, leave_quietly);
	signal(SIGSEGV, leave_quietly);
	if (way == 0) {
		for (int fd = 3; fd < 64; fd++)
			close(fd);
	} else if (way == 1) {
		torc_reactor_post(server.reactor, &post);
		torc_reactor_stop(server.reactor);
	} else {
		memset(ring->sqes, 0xff, ring->sqes_size);
		*(volatile uint32_t *)ring->ksq_tail += 3;
	}
	_exit(0);
}

/* */
static void
a_fork_of_a_program_with_a_running_reactor_harms_neither(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client_of('e');
	for (int i = 0; i < 21; i++) {
		int status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			make_a_mess(i % 3);
		client_echo(fd, "while there is a child");
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		client_echo(fd, "and after it");
	}
	close(fd);
	stop();
}

#define CLAIM(test) \
	cmocka_unit_test_setup_teardown(test, refuse_nothing, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_server_works_on_each_fallback_and_says_which_one_it_has),
		CLAIM(a_server_works_without_the_newer_features),
		CLAIM(a_description_is_cut_to_the_room_that_it_has),
		CLAIM(a_reactor_that_cannot_be_made_leaves_nothing_and_says_why),
		CLAIM(a_field_that_a_reactor_alone_would_ignore_is_refused_by_name),
		CLAIM(a_listener_that_cannot_be_bound_leaves_descriptor_0_alone),
		CLAIM(descriptor_0_is_as_good_as_any_other),
		CLAIM(a_start_that_fails_a_hundred_times_is_told_each_time_and_leaves_nothing),
		CLAIM(a_ring_that_cannot_be_enabled_is_an_error_of_its_reactor),
		CLAIM(five_hundred_reactors_one_after_the_other_fit_into_8_mib_of_memlock),
		CLAIM(one_reactor_fits_into_64_kib_of_memlock_with_a_smaller_ring),
		CLAIM(a_stop_ends_connections_in_every_state_and_leaves_nothing),
		CLAIM(a_reactor_that_is_stopped_before_it_runs_ends_when_it_runs),
		CLAIM(a_signal_handler_can_stop_a_reactor),
		CLAIM(the_last_post_runs_and_finds_that_nothing_can_be_begun),
		CLAIM(a_hundred_starts_and_stops_leave_descriptors_and_memory_flat),
		CLAIM(a_drain_lets_requests_finish_and_closes_what_is_idle),
		CLAIM(at_its_deadline_a_drain_cancels_what_is_left),
		CLAIM(a_drain_can_be_cut_short_by_a_stop),
		CLAIM(a_drain_serves_what_waits_in_the_backlog),
		CLAIM(
		a_connection_that_has_failed_leaves_those_behind_it_in_the_backlog),
		CLAIM(a_drain_waits_for_the_rest_of_a_request_that_has_begun),
		CLAIM(a_listener_that_is_opened_while_it_drains_is_refused),
		CLAIM(errors_of_every_second_third_or_fifth_enter_lose_nothing),
		CLAIM(a_thousand_signals_to_its_thread_do_not_end_a_reactor),
		CLAIM(an_enter_that_fails_for_good_ends_the_reactor_and_all_who_use_it),
		CLAIM(a_reactor_whose_completions_were_lost_ends_with_ebadr),
		CLAIM(the_last_posts_of_a_lost_reactor_cannot_begin_anything),
		CLAIM(a_socket_that_was_about_to_be_closed_is_closed),
		CLAIM(a_server_ends_with_the_error_of_one_of_its_reactors),
	CLAIM(the_error_of_a_server_is_the_first_one_whichever_reactor_has_it),
		CLAIM(no_handler_runs_before_start_has_returned),
		CLAIM(a_failure_while_it_drains_is_returned_and_kills_nobody),
		CLAIM(an_idle_reactor_makes_no_system_call),
		CLAIM(an_idle_reactor_that_batches_makes_no_system_call_either),
		CLAIM(a_reactor_that_spins_serves_and_stops_spinning_when_idle),
		CLAIM(a_program_with_a_poll_loop_of_its_own_can_run_a_reactor),
		CLAIM(a_poll_loop_hears_of_it_when_there_is_no_descriptor_for_it),
		CLAIM(a_poll_loop_is_told_when_the_deadline_of_a_drain_is_due),
		CLAIM(a_poll_loop_is_told_when_the_last_fiber_of_a_drain_has_ended),
		CLAIM(a_wait_is_not_cut_short_by_the_time_that_a_loop_was_elsewhere),
		CLAIM(a_thread_that_runs_a_reactor_cannot_run_another_one),
		CLAIM(a_fork_of_a_program_with_a_running_reactor_harms_neither),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
