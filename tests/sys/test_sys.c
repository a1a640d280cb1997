/* SPDX-License-Identifier: MIT */
/*
 * test_sys.c - the crossings give values and not errno, pages fault where
 * they should, and a switch keeps what the ABI says.
 *
 * wrap: torc_sys_advise torc_sys_protect
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include <cmocka.h>

#include "tests/seam.h"

#include "sys/pages.h"
#include "sys/switch.h"
#include "sys/sys.h"
#include "sys/trap.h"
#include "sys/uapi.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* What the kernel is made to refuse, with what; 0: nothing. */
static struct {
	int advice;
	int advise_error;
	int protect_error;
	void *address;	/* for which advice was refused */
} refused;

int
__wrap_torc_sys_advise(void *address, size_t size, int advice)
{
	if (refused.advise_error != 0 && advice == refused.advice) {
		refused.address = address;
		return refused.advise_error;
	}
	return __real_torc_sys_advise(address, size, advice);
}

int
__wrap_torc_sys_protect(void *address, size_t size, int prot)
{
	if (refused.protect_error != 0)
		return refused.protect_error;
	return __real_torc_sys_protect(address, size, prot);
}

static int
refuse_nothing(void **state)
{
	(void)state;
	memset(&refused, 0, sizeof(refused));
	return 0;
}

static void
skip_because(const char *reason)
{
	print_message("SKIP: %s\n", reason);
	skip();
}

/* The wait status of a child that runs `body`. */
static int
in_child(void (*body)(void *), void *arg)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
touch_read(void *address)
{
	(void)*(volatile unsigned char *)address;
}

static void
touch_write(void *address)
{
	*(volatile unsigned char *)address = 1;
}

static void
assert_faults(void *address)
{
	int status = in_child(touch_read, address);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	status = in_child(touch_write, address);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* A number that is certainly not an open descriptor. */
static int
closed_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* io_uring. */

static void
setup_with_zero_entries_returns_minus_einval(void **state)
{
	struct io_uring_params params = { 0 };
	int fd;

	(void)state;
	assert_int_equal(torc_sys_setup(0, &params), -EINVAL);
	/* One entry is enough for a descriptor. */
	fd = torc_sys_setup(1, &params);
	assert_true(fd >= 0);
	assert_int_equal(params.sq_entries, 1);
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
setup_with_a_bad_pointer_returns_minus_efault(void **state)
{
	(void)state;
	assert_int_equal(torc_sys_setup(4, (struct io_uring_params *)8),
	    -EFAULT);
}

static void
enter_of_no_ring_returns_a_negative_errno(void **state)
{
	int fd = torc_sys_eventfd();

	(void)state;
	assert_int_equal(torc_sys_enter(-1, 0, 0, 0, NULL, 0), -EBADF);
	assert_int_equal(torc_sys_enter(closed_fd(), 1, 0, 0, NULL, 0),
	    -EBADF);
	assert_int_equal(torc_sys_enter(fd, 0, 0, 0, NULL, 0), -EOPNOTSUPP);
	torc_sys_close(fd);
}

static void
enter_takes_as_many_as_it_is_told_and_returns_how_many(void **state)
{
	struct io_uring_params params = { 0 };
	int fd = torc_sys_setup(4, &params);
	const size_t size = params.sq_off.array + 4 * sizeof(uint32_t);
	uint32_t *array;
	void *at;
	int taken[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(torc_sys_map(&at, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING), 0);
	/* Three entries, each of them the zeroed one: a NOP. */
	array = (uint32_t *)(void *)((char *)at + params.sq_off.array);
	array[0] = array[1] = array[2] = 0;
	*(uint32_t *)(void *)((char *)at + params.sq_off.tail) = 3;
	taken[0] = torc_sys_enter(fd, 2, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	taken[1] = torc_sys_enter(fd, 4, 3, IORING_ENTER_GETEVENTS, NULL, 0);
	assert_int_equal(torc_sys_unmap(at, size), 0);
	assert_int_equal(torc_sys_close(fd), 0);
	assert_int_equal(taken[0], 2);
	assert_int_equal(taken[1], 1);
}

static void
enter_passes_a_timeout_on_and_returns_minus_etime(void **state)
{
	struct io_uring_params params = { 0 };
	const struct __kernel_timespec time = { .tv_nsec = 20000000 };
	const struct io_uring_getevents_arg arg = {
		.ts = (uintptr_t)&time,
	};
	const uint32_t flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	int fd = torc_sys_setup(4, &params);
	uint64_t start = torc_sys_now();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(torc_sys_enter(fd, 0, 1, flags, &arg, sizeof(arg)),
	    -ETIME);
	assert_true(torc_sys_now() - start >= 20000000);
	assert_int_equal(torc_sys_enter(fd, 0, 1, flags, &arg, 3), -EINVAL);
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
register_passes_its_arguments_on(void **state)
{
	struct io_uring_params params = { 0 };
	int fd = torc_sys_setup(4, &params);
	int eventfd = torc_sys_eventfd();

	(void)state;
	assert_int_equal(torc_sys_register(fd, IORING_REGISTER_EVENTFD,
	    &eventfd, 2), -EINVAL);
	assert_int_equal(torc_sys_register(fd, IORING_UNREGISTER_EVENTFD,
	    NULL, 0), -ENXIO);
	assert_int_equal(torc_sys_register(fd, IORING_REGISTER_EVENTFD,
	    &eventfd, 1), 0);
	assert_int_equal(torc_sys_register(fd, IORING_UNREGISTER_EVENTFD,
	    NULL, 0), 0);
	assert_int_equal(torc_sys_close(eventfd), 0);
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
register_of_no_ring_returns_a_negative_errno(void **state)
{
	uint32_t eventfd = (uint32_t)torc_sys_eventfd();

	(void)state;
	assert_int_equal(torc_sys_register(closed_fd(),
	    IORING_REGISTER_EVENTFD, &eventfd, 1), -EBADF);
	assert_int_equal(torc_sys_register((int)eventfd,
	    IORING_REGISTER_EVENTFD, &eventfd, 1), -EOPNOTSUPP);
	torc_sys_close((int)eventfd);
}

/* Memory. */

static void
map_returns_a_negative_errno_and_leaves_the_address(void **state)
{
	void *const before = &refused;
	void *at = before;

	(void)state;
	assert_int_equal(torc_sys_map(&at, 0, PROT_READ,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), -EINVAL);
	assert_int_equal(torc_sys_map(&at, 4096, PROT_READ, MAP_SHARED,
	    closed_fd(), 0), -EBADF);
	assert_ptr_equal(at, before);
	assert_int_equal(torc_sys_map(&at, 4096, PROT_READ,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	assert_ptr_not_equal(at, before);
	assert_int_equal(torc_sys_unmap(at, 4096), 0);
}

static void
map_passes_an_offset_that_needs_more_than_32_bits(void **state)
{
	const uint64_t far = (uint64_t)5 << 32;
	FILE *file = tmpfile();
	void *at;

	(void)state;
	assert_non_null(file);
	assert_int_equal(pwrite(fileno(file), "far", 4, (off_t)far), 4);
	assert_int_equal(torc_sys_map(&at, 4, PROT_READ, MAP_PRIVATE,
	    fileno(file), far), 0);
	assert_string_equal(at, "far");
	assert_int_equal(torc_sys_unmap(at, 4), 0);
	fclose(file);
}

static void
calls_on_unmapped_memory_return_a_negative_errno(void **state)
{
	const size_t page = torc_sys_page_size();
	void *at;

	(void)state;
	assert_int_equal(torc_sys_map(&at, page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	assert_int_equal(torc_sys_unmap((char *)at + 1, page), -EINVAL);
	assert_int_equal(torc_sys_advise(at, page, MADV_DONTNEED), 0);
	assert_int_equal(torc_sys_advise(at, page, 12345), -EINVAL);
	assert_int_equal(torc_sys_protect(at, page, PROT_READ), 0);
	assert_int_equal(torc_sys_unmap(at, page), 0);
	assert_int_equal(torc_sys_advise(at, page, MADV_DONTNEED), -ENOMEM);
	assert_int_equal(torc_sys_protect(at, page, PROT_READ), -ENOMEM);
}

static void
allocated_memory_is_zeroed_also_when_it_was_used_before(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		unsigned char *memory = torc_sys_alloc(100);

		assert_non_null(memory);
		for (int i = 0; i < 100; i++)
			assert_int_equal(memory[i], 0);
		memset(memory, 0xff, 100);
		torc_sys_free(memory);
	}
	torc_sys_free(NULL);
}

/* Descriptors and files. */

static void
calls_on_a_closed_descriptor_return_minus_ebadf(void **state)
{
	const int bad = closed_fd();
	struct sockaddr_storage address = { .ss_family = AF_INET };
	struct sockaddr *to = (struct sockaddr *)&address;
	uint32_t size = sizeof(address);
	char byte = 0;
	int one = 1;

	(void)state;
	assert_int_equal(torc_sys_close(bad), -EBADF);
	assert_int_equal(torc_sys_read(bad, &byte, 1), -EBADF);
	assert_int_equal(torc_sys_write(bad, &byte, 1), -EBADF);
	assert_int_equal(torc_sys_bind(bad, to, size), -EBADF);
	assert_int_equal(torc_sys_listen(bad, 1), -EBADF);
	assert_int_equal(torc_sys_accept_now(bad), -EBADF);
	assert_int_equal(torc_sys_shutdown(bad, SHUT_RDWR), -EBADF);
	assert_int_equal(torc_sys_setsockopt(bad, SOL_SOCKET, SO_REUSEADDR,
	    &one, sizeof(one)), -EBADF);
	assert_int_equal(torc_sys_getsockname(bad, to, &size), -EBADF);
	assert_int_equal(torc_sys_getpeername(bad, to, &size), -EBADF);
}

static void
an_eventfd_does_not_block_and_does_not_survive_an_exec(void **state)
{
	int fd = torc_sys_eventfd();
	uint64_t value = 7;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(torc_sys_read(fd, &value, 8), -EAGAIN);
	assert_int_equal(torc_sys_write(fd, &value, 8), 8);
	value = 0;
	assert_int_equal(torc_sys_read(fd, &value, 8), 8);
	assert_int_equal(value, 7);
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
run_out_of_descriptors(void *arg)
{
	struct rlimit bound = { 32, 32 };
	int fds[2];
	int fd;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &bound) < 0)
		_exit(1);
	do {
		fd = torc_sys_eventfd();
	} while (fd >= 0);
	if (fd != -EMFILE)
		_exit(2);
	if (torc_sys_socket(AF_INET, SOCK_STREAM, 0) != -EMFILE)
		_exit(3);
	if (torc_sys_socketpair(fds) != -EMFILE)
		_exit(4);
	/* Where none is allowed, not even one can be looked at. */
	bound.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &bound) < 0)
		_exit(5);
	if (torc_sys_accept_now(0) != -EINVAL)
		_exit(6);
}

static void
without_a_free_descriptor_a_new_one_is_minus_emfile(void **state)
{
	(void)state;
	assert_int_equal(in_child(run_out_of_descriptors, NULL), 0);
}

static void
a_write_that_nobody_reads_returns_minus_epipe(void **state)
{
	int ends[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(torc_sys_write(ends[1], "ab", 2), 2);
	assert_int_equal(torc_sys_close(ends[0]), 0);
	assert_int_equal(torc_sys_write(ends[1], "ab", 2), -EPIPE);
	assert_int_equal(torc_sys_close(ends[1]), 0);
	signal(SIGPIPE, SIG_DFL);
}

static void
a_folder_is_locked_once_until_its_descriptor_is_closed(void **state)
{
	char folder[] = "/tmp/test_sys.XXXXXX", path[64], far[5000];
	int lock;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	lock = torc_sys_lock_folder(path);
	assert_true(lock >= 0);
	assert_int_equal(torc_sys_lock_folder(path), -EAGAIN);
	assert_int_equal(torc_sys_close(lock), 0);
	lock = torc_sys_lock_folder(path);
	assert_true(lock >= 0);
	assert_int_equal(torc_sys_close(lock), 0);
	/* A name alone is in the working folder. */
	lock = torc_sys_lock_folder("socket");
	assert_true(lock >= 0);
	assert_int_equal(torc_sys_lock_folder("./socket"), -EAGAIN);
	assert_int_equal(torc_sys_close(lock), 0);
	lock = torc_sys_lock_folder("/socket");
	assert_true(lock >= 0);
	assert_int_equal(torc_sys_close(lock), 0);
	assert_int_equal(torc_sys_lock_folder("/no/such/socket"), -ENOENT);
	memset(far, '/', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(torc_sys_lock_folder(far), -ENAMETOOLONG);
	assert_int_equal(rmdir(folder), 0);
}

static void
a_path_is_a_socket_only_if_it_is_one_itself(void **state)
{
	char folder[] = "/tmp/test_sys.XXXXXX";
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct torc_inode inode, again = { .number = 0 };
	char link[64];
	int fd = torc_sys_socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/socket", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(torc_sys_is_socket(name.sun_path, &inode),
	    -ENOENT);
	assert_int_equal(torc_sys_bind(fd, (struct sockaddr *)&name,
	    sizeof(name)), 0);
	assert_int_equal(symlink(name.sun_path, link), 0);
	assert_int_equal(torc_sys_is_socket(name.sun_path, &inode), 1);
	assert_int_equal(torc_sys_is_socket(name.sun_path, &again), 1);
	assert_memory_equal(&inode, &again, sizeof(inode));
	/* Who may unlink a stale socket may not follow a link to one. */
	assert_int_equal(torc_sys_is_socket(link, &again), 0);
	assert_int_equal(torc_sys_is_socket(folder, &again), 0);
	assert_memory_not_equal(&inode, &again, sizeof(inode));
	assert_int_equal(torc_sys_unlink(folder), -EISDIR);
	assert_int_equal(torc_sys_unlink(link), 0);
	assert_int_equal(torc_sys_unlink(name.sun_path), 0);
	assert_int_equal(torc_sys_unlink(name.sun_path), -ENOENT);
	assert_int_equal(torc_sys_close(fd), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* Sockets. */

static void
socket_calls_return_the_kernel_s_negative_errno(void **state)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	struct sockaddr *at = (struct sockaddr *)&name;
	uint32_t size = sizeof(name);
	int fd = torc_sys_socket(AF_INET, SOCK_STREAM, 0);
	int other = torc_sys_socket(AF_INET, SOCK_STREAM, 0);
	int datagram = torc_sys_socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_true(fd >= 0 && other >= 0 && datagram >= 0);
	assert_int_equal(torc_sys_socket(12345, SOCK_STREAM, 0),
	    -EAFNOSUPPORT);
	assert_int_equal(torc_sys_bind(fd, at, size), 0);
	assert_int_equal(torc_sys_getsockname(fd, at, &size), 0);
	assert_int_not_equal(name.sin_port, 0);
	assert_int_equal(torc_sys_bind(other, at, size), -EADDRINUSE);
	assert_int_equal(torc_sys_accept_now(other), -EINVAL);
	assert_int_equal(torc_sys_getpeername(other, at, &size), -ENOTCONN);
	assert_int_equal(torc_sys_shutdown(other, SHUT_WR), -ENOTCONN);
	assert_int_equal(torc_sys_setsockopt(other, SOL_SOCKET, 12345, &size,
	    sizeof(size)), -ENOPROTOOPT);
	assert_int_equal(torc_sys_listen(datagram, 1), -EOPNOTSUPP);
	assert_int_equal(torc_sys_close(datagram), 0);
	assert_int_equal(torc_sys_close(other), 0);
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
a_listener_gives_its_backlog_away_and_then_minus_eagain(void **state)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	struct sockaddr_in peer = { 0 };
	struct sockaddr *at = (struct sockaddr *)&name;
	uint32_t size = sizeof(name);
	int listener = torc_sys_socket(AF_INET, SOCK_STREAM, 0);
	int client = torc_sys_socket(AF_INET, SOCK_STREAM, 0);
	int server;

	(void)state;
	assert_int_equal(torc_sys_bind(listener, at, size), 0);
	assert_int_equal(torc_sys_listen(listener, 1), 0);
	assert_int_equal(torc_sys_getsockname(listener, at, &size), 0);
	assert_int_equal(torc_sys_accept_now(listener), -EAGAIN);
	assert_int_equal(connect(client, at, size), 0);
	assert_int_equal(torc_sys_getpeername(client, (struct sockaddr *)&peer,
	    &size), 0);
	assert_int_equal(peer.sin_port, name.sin_port);
	server = torc_sys_accept_now(listener);
	assert_true(server >= 0);
	assert_int_equal(fcntl(server, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(torc_sys_accept_now(listener), -EAGAIN);
	assert_int_equal(torc_sys_shutdown(client, SHUT_WR), 0);
	assert_int_equal(torc_sys_read(server, &peer, 1), 0);
	assert_int_equal(torc_sys_close(server), 0);
	assert_int_equal(torc_sys_close(client), 0);
	assert_int_equal(torc_sys_close(listener), 0);
}

static void
a_pair_is_connected_and_does_not_survive_an_exec(void **state)
{
	char byte = 0;
	int fds[2];

	(void)state;
	assert_int_equal(torc_sys_socketpair(fds), 0);
	assert_int_equal(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fds[1], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(torc_sys_write(fds[0], "x", 1), 1);
	assert_int_equal(torc_sys_read(fds[1], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(torc_sys_close(fds[0]), 0);
	assert_int_equal(torc_sys_read(fds[1], &byte, 1), 0);
	assert_int_equal(torc_sys_close(fds[1]), 0);
}

/* Time, limits, processors. */

static void
an_old_errno_is_not_taken_for_a_failure(void **state)
{
	int fd;

	(void)state;
	errno = ENOENT;
	fd = torc_sys_eventfd();
	assert_true(fd >= 0);
	errno = ENOENT;
	assert_int_equal(torc_sys_close(fd), 0);
}

static void
a_sleep_takes_at_least_its_time(void **state)
{
	uint64_t start = torc_sys_now();
	uint64_t end;

	(void)state;
	torc_sys_sleep(1100000000);
	end = torc_sys_now();
	assert_true(end - start >= 1100000000);
	assert_true(end - start < 60000000000);
	start = end;
	torc_sys_sleep(0);
	assert_true(torc_sys_now() - start < 1000000000);
}

static void
a_limit_is_the_soft_one_and_none_is_uint64_max(void **state)
{
	struct rlimit before;
	struct rlimit bound;
	uint64_t soft = 5;

	(void)state;
	assert_int_equal(torc_sys_rlimit(12345, &soft), -EINVAL);
	assert_int_equal(soft, 5);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	bound = before;
	bound.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &bound), 0);
	assert_int_equal(torc_sys_rlimit(RLIMIT_NOFILE, &soft), 0);
	assert_int_equal(soft, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(getrlimit(RLIMIT_CPU, &bound), 0);
	if (bound.rlim_cur != RLIM_INFINITY)
		skip_because("needs an unlimited RLIMIT_CPU");
	assert_int_equal(torc_sys_rlimit(RLIMIT_CPU, &soft), 0);
	assert_true(soft == UINT64_MAX);
}

static void
a_soft_limit_is_raised_to_the_hard_one(void **state)
{
	struct rlimit before, bound;

	(void)state;
	assert_int_equal(torc_sys_raise_rlimit(12345), -EINVAL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	bound = before;
	bound.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &bound), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(torc_sys_raise_rlimit(RLIMIT_NOFILE), 0);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &bound), 0);
		assert_int_equal(bound.rlim_cur, before.rlim_max);
		assert_int_equal(bound.rlim_max, before.rlim_max);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
pinned_to_one_cpu(void *arg)
{
	int cpu = torc_sys_allowed_cpu(*(unsigned *)arg);

	if (cpu < 0 || torc_sys_pin(cpu) != 0)
		_exit(1);
	/* Now it is the only one, and the one that this runs on. */
	if (torc_sys_allowed_cpu(0) != cpu ||
	    torc_sys_allowed_cpu(1) != -ENOENT || sched_getcpu() != cpu)
		_exit(2);
}

static void
each_allowed_cpu_can_be_pinned_to_and_then_comes_enoent(void **state)
{
	unsigned count = 0;
	cpu_set_t set;

	(void)state;
	while (torc_sys_allowed_cpu(count) >= 0) {
		assert_int_equal(in_child(pinned_to_one_cpu, &count), 0);
		count++;
	}
	assert_int_equal(torc_sys_allowed_cpu(count), -ENOENT);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(count, CPU_COUNT(&set));
	assert_int_equal(torc_sys_pin(CPU_SETSIZE - 1), -EINVAL);
}

static void
trap_into_pipe(void *arg)
{
	dup2(*(int *)arg, STDERR_FILENO);
	torc_trap("some/file.c", 1207, "what is wrong");
}

static void
pin_to_minus_one(void *arg)
{
	dup2(*(int *)arg, STDERR_FILENO);
	torc_sys_pin(-1);
}

static void
assert_traps(void (*body)(void *), const char *start, const char *end)
{
	char text[200] = "";
	int ends[2];
	int status;

	assert_int_equal(pipe(ends), 0);
	status = in_child(body, &ends[1]);
	close(ends[1]);
	for (ssize_t at = 0, count = 1; count > 0; at += count)
		count = read(ends[0], text + at, sizeof(text) - 1 -
		    (size_t)at);
	close(ends[0]);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_memory_equal(text, start, strlen(start));
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void
a_trap_says_where_and_what_and_aborts(void **state)
{
	(void)state;
	assert_traps(trap_into_pipe, "torc: some/file.c:1207: what is wrong\n",
	    "\n");
	assert_traps(pin_to_minus_one, "torc: sys/sys.c:",
	    ": broken: cpu >= 0 && cpu < CPU_SETSIZE\n");
}

/* Pages. */

static void
a_reserved_region_is_zeroed_whole_pages(void **state)
{
	const size_t page = torc_sys_page_size();
	unsigned char *bytes;
	void *region;

	(void)state;
	assert_true(page >= 4096 && (page & (page - 1)) == 0);
	assert_int_equal(torc_pages_reserve(&region, page + 1), 0);
	bytes = region;
	for (size_t i = 0; i < 2 * page; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 0xff, 2 * page);
	torc_pages_release(region, page + 1);
	/* The whole of the second page has gone too. */
	assert_int_equal(msync(bytes, page, MS_ASYNC), -1);
	assert_int_equal(msync(bytes + page, page, MS_ASYNC), -1);
	assert_int_equal(errno, ENOMEM);
}

static unsigned
resident_pages(void *start, unsigned count)
{
	unsigned char map[64];
	unsigned resident = 0;

	assert_true(count <= sizeof(map));
	assert_int_equal(mincore(start, count * torc_sys_page_size(), map), 0);
	for (unsigned i = 0; i < count; i++)
		resident += map[i] & 1;
	return resident;
}

#define HUGE_PAGE ((uintptr_t)2 << 20)

static void
memory_is_used_where_it_is_touched_until_it_is_forgotten(void **state)
{
	const size_t page = torc_sys_page_size();
	const size_t size = (size_t)1 << 36;
	unsigned char *bytes;
	void *region;

	(void)state;
	assert_int_equal(torc_pages_reserve(&region, size), 0);
	/* Where a huge page would fit, if there were any. */
	bytes = (unsigned char *)(((uintptr_t)region + HUGE_PAGE - 1) &
	    ~(HUGE_PAGE - 1));
	assert_int_equal(resident_pages(bytes, 64), 0);
	bytes[3 * page] = 1;
	bytes[4 * page] = 2;
	assert_int_equal(resident_pages(bytes, 64), 2);
	torc_pages_forget(bytes + 3 * page, page);
	assert_int_equal(resident_pages(bytes, 64), 1);
	assert_int_equal(bytes[3 * page], 0);
	assert_int_equal(bytes[4 * page], 2);
	torc_pages_release(region, size);
}

static void
a_region_that_cannot_be_had_is_a_negative_errno(void **state)
{
	void *region = NULL;

	(void)state;
	assert_int_equal(torc_pages_reserve(&region, (size_t)1 << 60),
	    -ENOMEM);
	assert_true(torc_pages_reserve(&region, SIZE_MAX) < 0);
	assert_true(torc_pages_reserve(&region, 0) < 0);
}

static void
a_region_that_forks_would_inherit_is_not_handed_out(void **state)
{
	void *region = NULL;
	int rc;

	(void)state;
	refused.advice = MADV_DONTFORK;
	refused.advise_error = -EAGAIN;
	rc = torc_pages_reserve(&region, 4096);
	assert_int_equal(rc, -EAGAIN);
	/* And is not kept either: nothing is mapped where it was. */
	assert_null(region);
	assert_non_null(refused.address);
	assert_int_equal(msync(refused.address, 4096, MS_ASYNC), -1);
	assert_int_equal(errno, ENOMEM);
}

static void
a_region_is_not_inherited_by_a_fork(void **state)
{
	void *region;
	void *ordinary;

	(void)state;
	assert_int_equal(torc_pages_reserve(&region, 4096), 0);
	assert_int_equal(torc_sys_map(&ordinary, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	touch_write(region);
	touch_write(ordinary);
	assert_faults(region);
	assert_int_equal(in_child(touch_write, ordinary), 0);
	assert_int_equal(torc_sys_unmap(ordinary, 4096), 0);
	torc_pages_release(region, 4096);
}

/* How many mappings the kernel has for `size` bytes from `start`. */
static unsigned
mappings(const void *start, size_t size)
{
	const uintptr_t low = (uintptr_t)start;
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from;
	unsigned long to;
	unsigned count = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from >= low &&
		    to <= low + size)
			count++;
	}
	fclose(maps);
	return count;
}

/*
 * A fork does not inherit a region, so a child that touches one shows nothing
 * about guards: these are regions that it does inherit. The pages around the
 * region keep its mapping apart from others.
 */
static unsigned char *
inherited_pages(unsigned count)
{
	const size_t page = torc_sys_page_size();
	void *region;

	assert_int_equal(torc_sys_map(&region, (count + 2) * page, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	assert_int_equal(mprotect((char *)region + page, count * page,
	    PROT_READ | PROT_WRITE), 0);
	return (unsigned char *)region + page;
}

static void
release_inherited(unsigned char *pages, unsigned count)
{
	const size_t page = torc_sys_page_size();

	assert_int_equal(torc_sys_unmap(pages - page, (count + 2) * page), 0);
}

static void
assert_guards(void)
{
	const size_t page = torc_sys_page_size();
	unsigned char *pages = inherited_pages(3);

	memset(pages, 0x5a, 3 * page);
	assert_int_equal(in_child(touch_write, pages + page), 0);
	assert_int_equal(torc_pages_guard(pages + page, page), 0);
	assert_faults(pages + page);
	assert_faults(pages + 2 * page - 1);
	/* The neighbours are as they were, to the last byte. */
	assert_int_equal(pages[page - 1], 0x5a);
	assert_int_equal(pages[2 * page], 0x5a);
	assert_int_equal(in_child(touch_write, pages + page - 1), 0);
	assert_int_equal(in_child(touch_write, pages + 2 * page), 0);
	/* Giving the memory back does not open the guard. */
	torc_pages_forget(pages, 3 * page);
	assert_faults(pages + page);
	assert_int_equal(in_child(touch_write, pages), 0);
	release_inherited(pages, 3);
}

static void
a_guard_page_faults_and_its_neighbours_do_not(void **state)
{
	(void)state;
	assert_guards();
}

static void
a_guard_falls_back_to_mprotect_if_a_light_one_is_refused(void **state)
{
	const size_t page = torc_sys_page_size();
	unsigned char *pages;

	(void)state;
	refused.advice = MADV_GUARD_INSTALL;
	refused.advise_error = -EINVAL;
	assert_guards();
	pages = inherited_pages(3);
	assert_int_equal(mappings(pages, 3 * page), 1);
	assert_int_equal(torc_pages_guard(pages + page, page), 0);
	assert_int_equal(mappings(pages, 3 * page), 3);
	release_inherited(pages, 3);
}

static void
a_light_guard_needs_no_mapping_of_its_own(void **state)
{
	const size_t page = torc_sys_page_size();
	unsigned char *pages = inherited_pages(3);

	(void)state;
	if (torc_sys_advise(pages, page, MADV_GUARD_INSTALL) < 0)
		skip_because("needs MADV_GUARD_INSTALL (Linux 6.13)");
	refused.protect_error = -EPERM;
	assert_int_equal(torc_pages_guard(pages + page, page), 0);
	assert_int_equal(mappings(pages, 3 * page), 1);
	release_inherited(pages, 3);
}

static void
a_guard_that_both_refuse_returns_the_error_of_mprotect(void **state)
{
	unsigned char *pages = inherited_pages(1);

	(void)state;
	refused.advice = MADV_GUARD_INSTALL;
	refused.advise_error = -EINVAL;
	refused.protect_error = -ENOMEM;
	assert_int_equal(torc_pages_guard(pages, torc_sys_page_size()),
	    -ENOMEM);
	assert_int_equal(in_child(touch_write, pages), 0);
	release_inherited(pages, 1);
}

/* The switch. No assertion is made on a stack other than the runner's. */

#define STACK_SIZE (64u * 1024)

static struct {
	void *runner;		/* the stack pointers of both sides */
	void *other;
	void *region;
	void *arg;
	uint64_t runner_wrong;	/* registers that were not kept */
	uint64_t other_wrong;
	unsigned long turns;
	uintptr_t frame;
	char text[32];
	unsigned depth;
	bool entry_found;
} sides;

/* Above the stack are addresses that look like those of a caller. */
static void
start_other(void (*entry)(void *))
{
	uintptr_t *top;

	memset(&sides, 0, sizeof(sides));
	assert_int_equal(torc_pages_reserve(&sides.region, STACK_SIZE), 0);
	top = (uintptr_t *)sides.region + (STACK_SIZE - 64) / sizeof(*top);
	for (size_t i = 0; i < 64 / sizeof(*top); i++)
		top[i] = (uintptr_t)assert_faults + 4;
	sides.other = torc_switch_prepare(top, entry, &sides);
}

static void
end_other(void)
{
	torc_pages_release(sides.region, STACK_SIZE);
}

static void
note_argument(void *arg)
{
	sides.arg = arg;
	sides.turns = 1;
	torc_switch(&sides.other, sides.runner);
	sides.turns = 2;
	torc_switch(&sides.other, sides.runner);
}

static void
a_first_switch_calls_the_entry_and_a_second_goes_on(void **state)
{
	const unsigned char *last;
	const unsigned char *saved;

	(void)state;
	start_other(note_argument);
	torc_switch(&sides.runner, sides.other);
	assert_ptr_equal(sides.arg, &sides);
	assert_int_equal(sides.turns, 1);
	/* It was on the other stack. */
	saved = sides.other;
	last = (const unsigned char *)sides.region + STACK_SIZE;
	assert_true(saved < last && saved > last - STACK_SIZE);
	torc_switch(&sides.runner, sides.other);
	assert_int_equal(sides.turns, 2);
	end_other();
}

/*
 * Set every register that the ABI makes the callee's to a value that depends
 * on `seed`, switch, and return the bits in which any of them came back
 * different. On both sides, with different seeds, each proves the other's.
 */
uint64_t switch_with_registers(void **save, void *to, uint64_t seed);

#if defined(__x86_64__)
__asm__(
"	.pushsection .text\n"
"	.globl	switch_with_registers\n"
"	.type	switch_with_registers, @function\n"
"switch_with_registers:\n"
"	pushq	%rbp\n"
"	pushq	%rbx\n"
"	pushq	%r12\n"
"	pushq	%r13\n"
"	pushq	%r14\n"
"	pushq	%r15\n"
"	pushq	%rdx\n"
"	leaq	1(%rdx), %rbp\n"
"	leaq	2(%rdx), %rbx\n"
"	leaq	3(%rdx), %r12\n"
"	leaq	4(%rdx), %r13\n"
"	leaq	5(%rdx), %r14\n"
"	leaq	6(%rdx), %r15\n"
"	call	torc_switch\n"
"	popq	%rdx\n"
"	xorl	%eax, %eax\n"
"	leaq	1(%rdx), %rcx\n"
"	xorq	%rbp, %rcx\n"
"	orq	%rcx, %rax\n"
"	leaq	2(%rdx), %rcx\n"
"	xorq	%rbx, %rcx\n"
"	orq	%rcx, %rax\n"
"	leaq	3(%rdx), %rcx\n"
"	xorq	%r12, %rcx\n"
"	orq	%rcx, %rax\n"
"	leaq	4(%rdx), %rcx\n"
"	xorq	%r13, %rcx\n"
"	orq	%rcx, %rax\n"
"	leaq	5(%rdx), %rcx\n"
"	xorq	%r14, %rcx\n"
"	orq	%rcx, %rax\n"
"	leaq	6(%rdx), %rcx\n"
"	xorq	%r15, %rcx\n"
"	orq	%rcx, %rax\n"
"	popq	%r15\n"
"	popq	%r14\n"
"	popq	%r13\n"
"	popq	%r12\n"
"	popq	%rbx\n"
"	popq	%rbp\n"
"	ret\n"
"	.size	switch_with_registers, . - switch_with_registers\n"
"	.popsection\n");
#elif defined(__aarch64__)
__asm__(
"	.pushsection .text\n"
"	.globl	switch_with_registers\n"
"	.type	switch_with_registers, %function\n"
"	.macro	keep_two instruction, first, second, offset\n"
"	\\instruction \\first, \\second, [sp, #\\offset]\n"
"	.endm\n"
"	.macro	keep_all instruction\n"
"	keep_two \\instruction, x29, x30, 0\n"
"	keep_two \\instruction, x19, x20, 16\n"
"	keep_two \\instruction, x21, x22, 32\n"
"	keep_two \\instruction, x23, x24, 48\n"
"	keep_two \\instruction, x25, x26, 64\n"
"	keep_two \\instruction, x27, x28, 80\n"
"	keep_two \\instruction, d8, d9, 96\n"
"	keep_two \\instruction, d10, d11, 112\n"
"	keep_two \\instruction, d12, d13, 128\n"
"	keep_two \\instruction, d14, d15, 144\n"
"	.endm\n"
"switch_with_registers:\n"
"	sub	sp, sp, #176\n"
"	keep_all stp\n"
"	str	x2, [sp, #160]\n"
"	.irp	n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
"	add	x\\n, x2, #\\n\n"
"	.endr\n"
"	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	add	x3, x2, #\\n\n"
"	fmov	d\\n, x3\n"
"	.endr\n"
"	bl	torc_switch\n"
"	ldr	x2, [sp, #160]\n"
"	mov	x0, #0\n"
"	.irp	n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
"	add	x3, x2, #\\n\n"
"	eor	x3, x3, x\\n\n"
"	orr	x0, x0, x3\n"
"	.endr\n"
"	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	add	x3, x2, #\\n\n"
"	fmov	x4, d\\n\n"
"	eor	x3, x3, x4\n"
"	orr	x0, x0, x3\n"
"	.endr\n"
"	keep_all ldp\n"
"	add	sp, sp, #176\n"
"	ret\n"
"	.size	switch_with_registers, . - switch_with_registers\n"
"	.popsection\n");
#endif

static void
spoil_registers(void *arg)
{
	uint64_t seed = 0xb5e55ed000000000;

	(void)arg;
	for (;;)
		sides.other_wrong |= switch_with_registers(&sides.other,
		    sides.runner, seed += 0x100000);
}

static void
a_switch_keeps_the_registers_of_both_sides(void **state)
{
	uint64_t seed = 0x5eed000000000000;

	(void)state;
	start_other(spoil_registers);
	for (int i = 0; i < 1000; i++)
		sides.runner_wrong |= switch_with_registers(&sides.runner,
		    sides.other, seed += 0x100000);
	assert_true(sides.runner_wrong == 0);
	assert_true(sides.other_wrong == 0);
	end_other();
}

static void
count_turns(void *arg)
{
	(void)arg;
	for (unsigned long turn = 0;; turn++) {
		/* Its own count, on its own stack, agrees each time. */
		if (turn != sides.turns)
			sides.other_wrong = 1;
		sides.turns++;
		torc_switch(&sides.other, sides.runner);
	}
}

static void
a_million_switches_lose_no_turn_and_no_stack(void **state)
{
	void *first;

	(void)state;
	start_other(count_turns);
	torc_switch(&sides.runner, sides.other);
	first = sides.other;
	for (unsigned long turn = 1; turn < 500000; turn++) {
		torc_switch(&sides.runner, sides.other);
		if (sides.turns != turn + 1)
			sides.runner_wrong = 1;
	}
	assert_int_equal(sides.turns, 500000);
	assert_true(sides.runner_wrong == 0);
	assert_true(sides.other_wrong == 0);
	assert_ptr_equal(sides.other, first);
	end_other();
}

static void
use_aligned_stack(void *arg)
{
	volatile double value = 3.25;

	(void)arg;
	sides.frame = (uintptr_t)__builtin_frame_address(0);
	/* Keeps vector registers in memory that has to be aligned. */
	snprintf(sides.text, sizeof(sides.text), "%.2f %.1f", value,
	    value * 2);
	torc_switch(&sides.other, sides.runner);
}

static void
the_stack_is_aligned_to_16_at_the_entry(void **state)
{
	(void)state;
	start_other(use_aligned_stack);
	torc_switch(&sides.runner, sides.other);
	assert_int_equal(sides.frame % 16, 0);
	assert_string_equal(sides.text, "3.25 6.5");
	end_other();
}

static void note_backtrace(void *arg);

static _Unwind_Reason_Code
note_frame(struct _Unwind_Context *context, void *arg)
{
	const uintptr_t at = (uintptr_t)_Unwind_GetIP(context);

	(void)arg;
	/* The end is reported as a frame at address 0. */
	if (at == 0)
		return _URC_NO_REASON;
	if ((uintptr_t)_Unwind_FindEnclosingFunction((void *)(at - 1)) ==
	    (uintptr_t)note_backtrace)
		sides.entry_found = true;
	return ++sides.depth < 100 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void
note_backtrace(void *arg)
{
	/* The second time it has been switched away from and back. */
	for (;;) {
		sides.depth = 0;
		sides.entry_found = false;
		_Unwind_Backtrace(note_frame, arg);
		torc_switch(&sides.other, sides.runner);
	}
}

static void
a_backtrace_finds_the_entry_and_ends_right_behind_it(void **state)
{
	(void)state;
	start_other(note_backtrace);
	for (int i = 0; i < 2; i++) {
		torc_switch(&sides.runner, sides.other);
		assert_true(sides.entry_found);
		/* The entry and what calls it, and no garbage above. */
		assert_int_equal(sides.depth, 2);
	}
	end_other();
}

static void
a_number_ends_where_its_digits_do_and_saturates(void **state)
{
	static const struct {
		const char *text;
		int64_t number;
		const char *rest;
	} cases[] = {
		{ "max 100000", 0, "max 100000" },
		{ "50000 100000\n", 50000, " 100000\n" },
		{ " 100000\n", 100000, "\n" },
		{ "-1", -1, "" },
		{ "6.18.5", 6, ".18.5" },
		{ "", 0, "" },
		{ "9223372036854775799", INT64_MAX - 8, "" },
		{ "99999999999999999999", INT64_MAX - 8, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *rest;

		assert_true(torc_number(cases[i].text, &rest) ==
		    cases[i].number);
		assert_string_equal(rest, cases[i].rest);
	}
}

#define CLAIM(test) cmocka_unit_test_teardown(test, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(setup_with_zero_entries_returns_minus_einval),
		CLAIM(setup_with_a_bad_pointer_returns_minus_efault),
		CLAIM(enter_of_no_ring_returns_a_negative_errno),
		CLAIM(enter_takes_as_many_as_it_is_told_and_returns_how_many),
		CLAIM(enter_passes_a_timeout_on_and_returns_minus_etime),
		CLAIM(register_passes_its_arguments_on),
		CLAIM(register_of_no_ring_returns_a_negative_errno),
		CLAIM(map_returns_a_negative_errno_and_leaves_the_address),
		CLAIM(map_passes_an_offset_that_needs_more_than_32_bits),
		CLAIM(calls_on_unmapped_memory_return_a_negative_errno),
		CLAIM(allocated_memory_is_zeroed_also_when_it_was_used_before),
		CLAIM(calls_on_a_closed_descriptor_return_minus_ebadf),
		CLAIM(an_eventfd_does_not_block_and_does_not_survive_an_exec),
		CLAIM(without_a_free_descriptor_a_new_one_is_minus_emfile),
		CLAIM(a_write_that_nobody_reads_returns_minus_epipe),
		CLAIM(a_path_is_a_socket_only_if_it_is_one_itself),
		CLAIM(a_folder_is_locked_once_until_its_descriptor_is_closed),
		CLAIM(socket_calls_return_the_kernel_s_negative_errno),
		CLAIM(a_listener_gives_its_backlog_away_and_then_minus_eagain),
		CLAIM(a_pair_is_connected_and_does_not_survive_an_exec),
		CLAIM(an_old_errno_is_not_taken_for_a_failure),
		CLAIM(a_sleep_takes_at_least_its_time),
		CLAIM(a_limit_is_the_soft_one_and_none_is_uint64_max),
		CLAIM(a_soft_limit_is_raised_to_the_hard_one),
		CLAIM(each_allowed_cpu_can_be_pinned_to_and_then_comes_enoent),
		CLAIM(a_number_ends_where_its_digits_do_and_saturates),
		CLAIM(a_trap_says_where_and_what_and_aborts),
		CLAIM(a_reserved_region_is_zeroed_whole_pages),
		CLAIM(memory_is_used_where_it_is_touched_until_it_is_forgotten),
		CLAIM(a_region_that_cannot_be_had_is_a_negative_errno),
		CLAIM(a_region_that_forks_would_inherit_is_not_handed_out),
		CLAIM(a_region_is_not_inherited_by_a_fork),
		CLAIM(a_guard_page_faults_and_its_neighbours_do_not),
		CLAIM(a_guard_falls_back_to_mprotect_if_a_light_one_is_refused),
		CLAIM(a_light_guard_needs_no_mapping_of_its_own),
		CLAIM(a_guard_that_both_refuse_returns_the_error_of_mprotect),
		CLAIM(a_first_switch_calls_the_entry_and_a_second_goes_on),
		CLAIM(a_switch_keeps_the_registers_of_both_sides),
		CLAIM(a_million_switches_lose_no_turn_and_no_stack),
		CLAIM(the_stack_is_aligned_to_16_at_the_entry),
		CLAIM(a_backtrace_finds_the_entry_and_ends_right_behind_it),
	};

	return cmocka_run_group_tests_name("sys", tests, NULL, NULL);
}
