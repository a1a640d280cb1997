/* SPDX-License-Identifier: MIT */
/*
 * seam.h - the calls that tests put their own in place of, by the linker:
 * "wrap: NAME" in the first lines of a program. Its own is __wrap_NAME(), and
 * __real_NAME() is what it stands for.
 */
#ifndef TORC_TESTS_SEAM_H
#define TORC_TESTS_SEAM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/torc.h"

#define SEAM(type, name, ...) \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

struct io_uring_params;
struct io_uring_sqe;
struct sockaddr;
struct sockaddr_storage;
struct torc_reactor;
struct torc_task;
struct utsname;

/* ---- sys/ ---- */

SEAM(int, torc_sys_setup, uint32_t entries, struct io_uring_params *params);
SEAM(int, torc_sys_enter, int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size);
SEAM(int, torc_sys_register, int fd, uint32_t opcode, void *arg,
    uint32_t count);
SEAM(int, torc_sys_eventfd, void);
SEAM(int, torc_sys_memfd, const char *name, unsigned flags);
SEAM(int, torc_sys_resize, int fd, uint64_t size);
SEAM(int, torc_sys_seal, int fd, int seals);
SEAM(int, torc_sys_write, int fd, const void *data, size_t size);
SEAM(int, torc_sys_close, int fd);
SEAM(int, torc_sys_rlimit, int resource, uint64_t *soft);

SEAM(int, torc_sys_map, void **address, size_t size, int protection, int flags,
    int fd, uint64_t offset);
SEAM(int, torc_sys_unmap, void *address, size_t size);
SEAM(int, torc_sys_advise, void *address, size_t size, int advice);
SEAM(int, torc_sys_protect, void *address, size_t size, int protection);
SEAM(void *, torc_sys_alloc, size_t size);
SEAM(void *, torc_sys_alloc_raw, size_t size);
SEAM(void, torc_sys_free, void *memory);

SEAM(uint64_t, torc_sys_now, void);
SEAM(void, torc_sys_sleep, uint64_t ns);

SEAM(int, torc_sys_socket, int domain, int type, int protocol);
SEAM(int, torc_sys_socketpair, int fds[2]);
SEAM(int, torc_sys_setsockopt, int fd, int level, int name, const void *value,
    uint32_t size);
SEAM(int, torc_sys_bind, int fd, const struct sockaddr *address,
    uint32_t size);
SEAM(int, torc_sys_listen, int fd, int backlog);
SEAM(int, torc_sys_getsockname, int fd, struct sockaddr *address,
    uint32_t *size);
SEAM(int, torc_sys_accept_now, int fd);
SEAM(int, torc_sys_connect, int fd, const struct sockaddr *to, uint32_t size);
SEAM(int, torc_sys_resolve, const char *host,
    struct sockaddr_storage *addresses, unsigned most);
SEAM(int, torc_sys_at_hand, int file, uint64_t offset);
SEAM(int, torc_sys_send_file, int socket, int file, uint64_t offset,
    size_t size);

/* ---- reactor/ ---- */

SEAM(int, torc_op_await, struct torc_reactor *reactor,
    const struct io_uring_sqe *sqe, torc_deadline deadline);

/* ---- conn/kit/ ---- */

SEAM(int, torc_task_start, struct torc_task *task,
    struct torc_reactor *reactor, void (*done)(struct torc_task *task));

/* ---- libc ---- */

SEAM(void *, malloc, size_t size);
SEAM(void *, calloc, size_t count, size_t size);
SEAM(void *, realloc, void *memory, size_t size);
SEAM(void, free, void *memory);
SEAM(char *, strdup, const char *text);
SEAM(void *, memchr, const void *data, int byte, size_t size);
SEAM(int, open, const char *path, int flags, ...);
SEAM(int, pthread_create, pthread_t *thread, const pthread_attr_t *how,
    void *(*run)(void *), void *arg);
SEAM(int, uname, struct utsname *system);

#endif
