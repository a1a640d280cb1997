/* SPDX-License-Identifier: MIT */
/*
 * sys.h - every crossing into the kernel that torc makes, and the heap.
 *
 * All return a negative errno on failure; errno itself is not used above this
 * layer. All are ordinary out-of-line functions so that a test can put its
 * own in their place at link time (`-Wl,--wrap=torc_sys_enter`). Any thread,
 * unless the kernel object says otherwise.
 */
#ifndef TORC_SYS_SYS_H
#define TORC_SYS_SYS_H

#include <stddef.h>
#include <stdint.h>

#include "sys/trap.h"

struct io_uring_params;
struct sockaddr;
struct sockaddr_storage;
struct timespec;

/* io_uring_setup(2): a descriptor. */
int torc_sys_setup(uint32_t entries, struct io_uring_params *params);
/* io_uring_enter(2): the number of SQEs that were taken. */
int torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size);
/* io_uring_register(2). */
TORC_BESIDE int torc_sys_register(int fd, uint32_t opcode, void *arg,
    uint32_t count);

/* mmap(2) at an address of the kernel's choice; `*address` is set on 0. */
int torc_sys_map(void **address, size_t size, int prot, int flags, int fd,
    uint64_t offset);
int torc_sys_unmap(void *address, size_t size);
int torc_sys_advise(void *address, size_t size, int advice);
int torc_sys_protect(void *address, size_t size, int prot);

/* mincore(2): `pages` has a byte for each page, with bit 0 if it is there. */
int torc_sys_resident(void *address, size_t size, uint8_t *pages);

/*
 * The heap: what the core and the clients allocate comes from here. NULL: no
 * memory.
 */

/* Zeroed. */
TORC_BESIDE void *torc_sys_alloc(size_t size);
/* Zeroed, for `count` of `size` bytes. NULL also if their product overflows. */
TORC_BESIDE void *torc_sys_alloc_array(size_t count, size_t size);
/* Not zeroed. */
TORC_BESIDE void *torc_sys_alloc_raw(size_t size);
/* As realloc(3): `memory` may be NULL, and stays as it is if there is none. */
TORC_BESIDE void *torc_sys_realloc(void *memory, size_t size);
/* A copy of `text`. */
TORC_BESIDE char *torc_sys_strdup(const char *text);
/* NULL is nothing to free. */
TORC_BESIDE void torc_sys_free(void *memory);

/* Bytes that nobody can foretell (getrandom(2)): 0, or a negative errno. */
TORC_BESIDE int torc_sys_random(void *data, size_t size);

TORC_BESIDE int torc_sys_close(int fd);
int torc_sys_read(int fd, void *data, size_t size);
TORC_BESIDE int torc_sys_write(int fd, const void *data, size_t size);
/*
 * A file to write to at its end, made for its owner alone if it is not there.
 * -EPERM: others may use it, or it is no file.
 */
TORC_BESIDE int torc_sys_open_private(const char *path);
int torc_sys_eventfd(void);
/* memfd_create(2). `flags`: MFD_. */
int torc_sys_memfd(const char *name, unsigned flags);
/* ftruncate(2): more than RLIMIT_FSIZE raises SIGXFSZ. */
int torc_sys_resize(int fd, uint64_t size);
/* `seals`: F_SEAL_. */
int torc_sys_seal(int fd, int seals);
int torc_sys_unlink(const char *path);
/* getdents64(2): how many bytes of entries it wrote; 0 after the last. */
TORC_BESIDE int torc_sys_list(int fd, void *entries, size_t size);
/*
 * Which file it is, whatever its names are. The number may soon be that of
 * another one when the file is gone, but not while it is open, or a socket is
 * bound to it. The time is that of the last change, of its mode for example.
 */
struct torc_inode {
	uint64_t device;
	uint64_t number;
	uint64_t changed_ns;
};
/* 1: `path` is a socket, and `*inode` says which; 0: it is something else. */
int torc_sys_is_socket(const char *path, struct torc_inode *inode);
/*
 * Lock the folder that `path` is in (flock(2)): a descriptor, which is closed
 * to unlock it, or -EAGAIN: it is locked.
 */
int torc_sys_lock_folder(const char *path);

int torc_sys_socket(int domain, int type, int protocol);
/* A connected pair of local stream sockets. */
int torc_sys_socketpair(int fds[2]);
int torc_sys_bind(int fd, const struct sockaddr *address, uint32_t size);
int torc_sys_listen(int fd, int backlog);
/*
 * See that a descriptor is a stream socket that listens, and let an exec close
 * it. -EINVAL: it is another kind of socket.
 */
int torc_sys_own_listener(int fd);
int torc_sys_connect(int fd, const struct sockaddr *address, uint32_t size);
/* The next connection of the backlog; -EAGAIN if there is none. */
int torc_sys_accept_now(int fd);
/*
 * sendfile(2) on a blocking socket as on one that is not: as many bytes as it
 * takes at once, or -EAGAIN; 0 at the end of the file. Never raises SIGPIPE.
 * May wait for the disk: see torc_sys_at_hand().
 */
TORC_BESIDE int torc_sys_send_file(int socket, int file, uint64_t offset,
    size_t size);
/*
 * Read a byte of a file without waiting for its disk: 1; 0: there is none;
 * -EAGAIN: it would have to wait; -EOPNOTSUPP: the file system cannot tell.
 */
TORC_BESIDE int torc_sys_at_hand(int file, uint64_t offset);
/* From here on, let calls on a file wait that would have to. */
TORC_BESIDE int torc_sys_set_blocking(int fd);
/* recv(2) without waiting: bytes, 0 at a FIN, or -EAGAIN if there are none. */
int torc_sys_recv(int fd, void *data, size_t size);
int torc_sys_shutdown(int fd, int how);
/* Wait until a descriptor can be read, `ns` have passed, or a signal came. */
void torc_sys_await(int fd, uint64_t ns);
/* Bytes that the peer of a socket has not acknowledged. */
int torc_sys_unsent(int fd);
/*
 * Bytes that the peer of a TCP socket has acknowledged, ever. A negative errno
 * for a socket of another kind.
 */
int64_t torc_sys_acked(int fd);
/*
 * Milliseconds for which a TCP socket has neither sent nor received bytes. A
 * negative errno for one of another kind.
 */
int torc_sys_silent_ms(int fd);
/*
 * 1 if the socket neither sends nor receives any more (POLLHUP): it was reset,
 * or both sides have sent FIN. 0 if not. Never waits.
 */
int torc_sys_hung_up(int fd);
/* 1 if the peer sends no more: its FIN has come, or more. Never waits. */
int torc_sys_has_ended(int fd);
TORC_BESIDE int torc_sys_setsockopt(int fd, int level, int name,
    const void *value, uint32_t size);
int torc_sys_getsockname(int fd, struct sockaddr *address, uint32_t *size);
int torc_sys_getpeername(int fd, struct sockaddr *address, uint32_t *size);

/*
 * getaddrinfo(3): the addresses of `host`, IPv4 and IPv6, the best first,
 * without a port: how many there are, at most `most`. Or -ENOENT: there is no
 * such name; -EAGAIN: that cannot be found out now; -EIO: never; -ENOMEM, or
 * what else the system says. Blocks for as long as the resolver does.
 */
int torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most);

/* The number of the network interface `name`, or -ENODEV. */
int torc_sys_interface(const char *name);
/* The name of interface `number`: 0, or -ENXIO if it has none. */
#define TORC_INTERFACE_NAME 16	/* bytes, with the NUL at the end */
int torc_sys_interface_name(unsigned number, char name[TORC_INTERFACE_NAME]);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t torc_sys_now(void);
/* CLOCK_REALTIME. */
TORC_BESIDE void torc_sys_wall_time(struct timespec *now);
/* CLOCK_REALTIME_COARSE, which the kernel writes into files. */
TORC_BESIDE void torc_sys_file_time(struct timespec *now);
void torc_sys_sleep(uint64_t ns);
/* The soft limit of an RLIMIT_ resource; UINT64_MAX when there is none. */
int torc_sys_rlimit(int resource, uint64_t *soft);
/* Raise it to the hard limit. */
int torc_sys_raise_rlimit(int resource);
/* The `index`-th CPU that this thread may run on, or -ENOENT past the last. */
int torc_sys_allowed_cpu(unsigned index);
/* How many CPUs the process may use: those of its first thread; at least 1. */
unsigned torc_sys_cpus(void);
/* Let the calling thread use these, whichever the one has that created it. */
int torc_sys_unpin(void);
/* Bind the calling thread to one CPU. */
int torc_sys_pin(int cpu);
size_t torc_sys_page_size(void);
/* The number of the calling thread, as the kernel has it. */
int torc_sys_thread(void);

#endif
