/* SPDX-License-Identifier: MIT */
/*
 * sys.c - the crossings: the call, and its errno turned into a value. Nothing
 * else happens here.
 */
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "sys/trap.h"

/* The same on every architecture that torc knows. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

/* What a call returned, or the errno that it left. */
static int
result(long rc)
{
	return rc < 0 ? -errno : (int)rc;
}

/* The crossings that are one call, in the order of sys.h. */
#define CROSSING(name, parameters, call) \
	int name parameters { return result(call); }

CROSSING(torc_sys_setup, (uint32_t entries, struct io_uring_params *params),
    syscall(__NR_io_uring_setup, entries, params))
CROSSING(torc_sys_enter, (int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size),
    syscall(__NR_io_uring_enter, fd, to_submit, min_complete, flags, arg,
    arg_size))
CROSSING(torc_sys_register, (int fd, uint32_t opcode, void *arg,
    uint32_t count),
    syscall(__NR_io_uring_register, fd, opcode, arg, count))

CROSSING(torc_sys_unmap, (void *address, size_t size), munmap(address, size))
CROSSING(torc_sys_advise, (void *address, size_t size, int advice),
    madvise(address, size, advice))
CROSSING(torc_sys_protect, (void *address, size_t size, int prot),
    mprotect(address, size, prot))
CROSSING(torc_sys_resident, (void *address, size_t size, uint8_t *pages),
    mincore(address, size, pages))

CROSSING(torc_sys_close, (int fd), close(fd))
CROSSING(torc_sys_read, (int fd, void *data, size_t size), read(fd, data, size))
CROSSING(torc_sys_write, (int fd, const void *data, size_t size),
    write(fd, data, size))
CROSSING(torc_sys_eventfd, (void), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
CROSSING(torc_sys_memfd, (const char *name, unsigned flags),
    memfd_create(name, flags))
CROSSING(torc_sys_resize, (int fd, uint64_t size), ftruncate(fd, (off_t)size))
CROSSING(torc_sys_seal, (int fd, int seals), fcntl(fd, F_ADD_SEALS, seals))
CROSSING(torc_sys_unlink, (const char *path), unlink(path))
CROSSING(torc_sys_list, (int fd, void *entries, size_t size),
    syscall(SYS_getdents64, fd, entries, size))

CROSSING(torc_sys_socket, (int domain, int type, int protocol),
    socket(domain, type, protocol))
CROSSING(torc_sys_socketpair, (int fds[2]),
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
CROSSING(torc_sys_bind, (int fd, const struct sockaddr *address, uint32_t size),
    bind(fd, address, size))
CROSSING(torc_sys_listen, (int fd, int backlog), listen(fd, backlog))
CROSSING(torc_sys_connect, (int fd, const struct sockaddr *address,
    uint32_t size),
    connect(fd, address, size))
CROSSING(torc_sys_recv, (int fd, void *data, size_t size),
    recv(fd, data, size, MSG_DONTWAIT))
CROSSING(torc_sys_shutdown, (int fd, int how), shutdown(fd, how))
CROSSING(torc_sys_setsockopt, (int fd, int level, int name, const void *value,
    uint32_t size),
    setsockopt(fd, level, name, value, size))
CROSSING(torc_sys_getsockname, (int fd, struct sockaddr *address,
    uint32_t *size),
    getsockname(fd, address, size))
CROSSING(torc_sys_getpeername, (int fd, struct sockaddr *address,
    uint32_t *size),
    getpeername(fd, address, size))

/* And those that take more. */

int
torc_sys_open_private(const char *path)
{
	const int fd = result(open(path, O_WRONLY | O_APPEND | O_CREAT |
	    O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
	struct stat found;
	int rc;

	if (fd < 0)
		return fd;
	rc = result(fstat(fd, &found));
	if (rc == 0 && (!S_ISREG(found.st_mode) || (found.st_mode & 077) != 0))
		rc = -EPERM;
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

int
torc_sys_map(void **address, size_t size, int prot, int flags, int fd,
    uint64_t offset)
{
	void *at = mmap(NULL, size, prot, flags, fd, (off_t)offset);

	if (at == MAP_FAILED)
		return -errno;
	*address = at;
	return 0;
}

int
torc_sys_random(void *data, size_t size)
{
	uint8_t *at = data;

	while (size > 0) {
		ssize_t rc = getrandom(at, size, 0);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		at += rc;
		size -= (size_t)rc;
	}
	return 0;
}

int
torc_sys_is_socket(const char *path, struct torc_inode *inode)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return -errno;
	*inode = (struct torc_inode) {
		.device = (uint64_t)status.st_dev,
		.number = (uint64_t)status.st_ino,
		.changed_ns = (uint64_t)status.st_ctim.tv_sec * 1000000000u +
		    (uint64_t)status.st_ctim.tv_nsec,
	};
	return S_ISSOCK(status.st_mode);
}

int
torc_sys_lock_folder(const char *path)
{
	char folder[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	size_t size = slash == NULL ? 1 : (size_t)(slash - path) + 1;
	int fd;

	if (size >= sizeof(folder))
		return -ENAMETOOLONG;
	if (slash != NULL)
		memcpy(folder, path, size);
	folder[size] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return result(fd);
}

int
torc_sys_interface(const char *name)
{
	unsigned number = if_nametoindex(name);

	return number > 0 ? (int)number : -errno;
}

int
torc_sys_interface_name(unsigned number, char name[TORC_INTERFACE_NAME])
{
	return if_indextoname(number, name) != NULL ? 0 : -errno;
}

int
torc_sys_own_listener(int fd)
{
	int type = 0, listens = 0;
	socklen_t size = sizeof(int);
	int rc = result(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size));

	if (rc == 0)
		rc = result(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		    &size));
	if (rc < 0)
		return rc;
	if (type != SOCK_STREAM || !listens)
		return -EINVAL;
	return result(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int
torc_sys_accept_now(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int rc = result(poll(&ready, 1, 0));

	if (rc <= 0)
		return rc < 0 ? rc : -EAGAIN;
	return result(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

int
torc_sys_at_hand(int file, uint64_t offset)
{
	char byte;
	struct iovec part = { &byte, 1 };
	long at = (long)offset;	/* in two parts on 32 bits only */

	return result(syscall(SYS_preadv2, file, &part, 1, at, 0,
	    RWF_NOWAIT));
}

int
torc_sys_set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return result(flags < 0 ? flags :
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

int
torc_sys_unsent(int fd)
{
	int bytes = 0;
	int rc = result(ioctl(fd, TIOCOUTQ, &bytes));

	return rc < 0 ? rc : bytes;
}

int64_t
torc_sys_acked(int fd)
{
	/* As the kernel lays it out: the headers of some libcs end before. */
	struct {
		uint8_t before[120];
		uint64_t acked;
	} info = { .acked = 0 };
	socklen_t size = sizeof(info);
	int rc = result(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));

	return rc < 0 ? rc : (int64_t)info.acked;
}

int
torc_sys_silent_ms(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	int rc = result(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
	uint32_t ms;

	if (rc < 0)
		return rc;
	ms = info.tcpi_last_data_recv < info.tcpi_last_data_sent ?
	    info.tcpi_last_data_recv : info.tcpi_last_data_sent;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

int
torc_sys_hung_up(int fd)
{
	struct pollfd what = { .fd = fd };
	int rc = result(poll(&what, 1, 0));

	return rc < 0 ? rc : (what.revents & POLLHUP) != 0;
}

int
torc_sys_has_ended(int fd)
{
	struct pollfd what = { .fd = fd, .events = POLLRDHUP };
	int rc = result(poll(&what, 1, 0));

	return rc < 0 ? rc : what.revents != 0;
}

void
torc_sys_await(int fd, uint64_t ns)
{
	struct pollfd what = { .fd = fd, .events = POLLIN };
	const struct timespec time = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	ppoll(&what, 1, ns == UINT64_MAX ? NULL : &time, NULL);
}

uint64_t
torc_sys_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
torc_sys_wall_time(struct timespec *now)
{
	clock_gettime(CLOCK_REALTIME, now);
}

void
torc_sys_file_time(struct timespec *now)
{
	clock_gettime(CLOCK_REALTIME_COARSE, now);
}

void
torc_sys_sleep(uint64_t ns)
{
	const struct timespec time = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	nanosleep(&time, NULL);
}

int
torc_sys_rlimit(int resource, uint64_t *soft)
{
	uint64_t limits[2];	/* soft, hard; UINT64_MAX: none */
	int rc;

	/* libc's getrlimit() takes an enum in glibc, and an int in musl. */
	rc = result(syscall(SYS_prlimit64, 0, resource, NULL, limits));
	if (rc == 0)
		*soft = limits[0];
	return rc;
}

int
torc_sys_raise_rlimit(int resource)
{
	uint64_t limits[2];
	int rc = result(syscall(SYS_prlimit64, 0, resource, NULL, limits));

	if (rc < 0 || limits[0] == limits[1])
		return rc;
	limits[0] = limits[1];
	return result(syscall(SYS_prlimit64, 0, resource, limits, NULL));
}

int
torc_sys_allowed_cpu(unsigned index)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set) && index-- == 0)
			return (int)cpu;
	}
	return -ENOENT;
}

unsigned
torc_sys_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(getpid(), sizeof(set), &set) < 0 ? 1 :
	    (unsigned)CPU_COUNT(&set);
}

int
torc_sys_unpin(void)
{
	cpu_set_t set;

	if (sched_getaffinity(getpid(), sizeof(set), &set) < 0)
		return -errno;
	return result(sched_setaffinity(0, sizeof(set), &set));
}

int
torc_sys_pin(int cpu)
{
	cpu_set_t set;

	torc_assert(cpu >= 0 && cpu < CPU_SETSIZE);
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return result(sched_setaffinity(0, sizeof(set), &set));
}

size_t
torc_sys_page_size(void)
{
	return getauxval(AT_PAGESZ);
}

int
torc_sys_thread(void)
{
	return (int)syscall(SYS_gettid);
}

static _Noreturn void
trap(const char *file, int line, const char *kind, const char *text)
{
	char number[TORC_DIGITS];
	const char *const parts[] = { file, ":",
	    torc_digits(number, (uint64_t)line), ": ", kind, text, NULL };

	torc_say(parts);
	abort();
}

_Noreturn void
torc_trap(const char *file, int line, const char *text)
{
	trap(file, line, "", text);
}

_Noreturn void
torc_broken(const char *file, int line, const char *condition)
{
	trap(file, line, "broken: ", condition);
}
