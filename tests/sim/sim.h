/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated world: one process in which torc's production code
 * runs on a kernel, a network and a clock that a seed decides about.
 *
 * The world is one global that is made anew for each run. It is never asked
 * for the real time, memory addresses or anything else that differs from run
 * to run: the same seed gives the same events, and the same hash of them.
 *
 *   world.c      decisions, trace, clock, who goes next
 *   faults.c     what may fail, with which results, and when it does
 *   net.c        descriptors, sockets, bytes on their way, peers' calls
 *   kernel.c     rings: set up, entered, waited for; completion queue
 *   requests.c   operations: issued, retried, cancelled; provided buffers
 *   files.c      files: what operations and system calls on them do
 *   seam.c       the functions of sys/sys.h that the above do not have
 *   check.c      what must hold at each step and at the end
 *   threads.c    blocking work and the resolver, in virtual time
 *   peers.c      scripted peers (also used on the real kernel)
 *   scenarios.c  what the program does and what its peers do
 *   clients.c    the same for clients of backends
 *   drive.c      one run; all seeds; every single fault
 */
#ifndef TORC_TESTS_SIM_SIM_H
#define TORC_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conn/conn.h"
#include "sys/uapi.h"
#include "tests/sim/script.h"

#define MS 1000000ull		/* nanoseconds */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Faults (faults.c) ---- */

/* Classes; each run draws which are on. */
enum fault {
	FAULT_ENTER,		/* io_uring_enter is interrupted or short */
	FAULT_MULTISHOT,	/* ends although nothing is wrong */
	FAULT_SHORT,		/* sends and receives of fewer bytes */
	FAULT_RESULT,		/* an operation fails for no lasting reason */
	FAULT_BUFFERS,		/* -ENOBUFS although there are some */
	FAULT_CANCEL,		/* a cancel comes too late or too early */
	FAULT_SPURIOUS,		/* a request is woken for nothing */
	FAULT_DRIP,		/* bytes arrive one by one */
	FAULT_DELAY,		/* and late */
	FAULT_GHOST,		/* a completion of a request that was over */
	FAULT_SELF,		/* where nobody listens, a dial meets itself */
	FAULT_STILL,		/* the program's thread stands still */
	FAULT_FATAL,		/* an operation fails, and it matters */
	FAULT_RESET,		/* the network resets a connection */
	FAULT_CALL,		/* a system call fails */
	FAULT_MEMORY,		/* an allocation or a mapping fails */
	FAULTS,
};

/* Where a crossing is made: what it can fail with depends on it. */
enum site {
	SITE_SETUP, SITE_ENTER, SITE_SUBMIT, SITE_ENABLE, SITE_RING_FDS,
	SITE_PBUF, SITE_REGISTER_EVENTFD, SITE_WORKERS, SITE_MAP,
	SITE_DONTFORK, SITE_GUARD,
	SITE_FORGET, SITE_PROTECT, SITE_ALLOC, SITE_CLOSE, SITE_EVENTFD,
	SITE_MEMFD, SITE_RESIZE, SITE_SEAL, SITE_RESIDENT,
	SITE_LOCK,
	SITE_READ, SITE_UNLINK, SITE_STAT, SITE_SOCKET, SITE_PAIR, SITE_BIND,
	SITE_LISTEN, SITE_OWN_LISTENER, SITE_CONNECT_NOW, SITE_ACCEPT_NOW,
	SITE_SHUTDOWN,
	SITE_UNSENT, SITE_SETSOCKOPT, SITE_GETSOCKNAME, SITE_GETPEERNAME,
	SITE_OP_ACCEPT, SITE_OP_RECV, SITE_OP_RECV_ONCE, SITE_OP_SEND,
	SITE_OP_SEND_ONCE, SITE_OP_CONNECT, SITE_OP_POLL, SITE_OP_WATCH,
	SITE_OP_WAKE, SITE_RECV_NOW, SITE_SILENT,
	SITE_THREAD,
	SITE_OP_OPEN, SITE_OP_STATX, SITE_OP_READ, SITE_OP_READ_WAITING,
	SITE_OP_WRITE, SITE_OP_WRITE_WAITING, SITE_OP_FSYNC, SITE_OP_NAME,
	SITE_OP_CLOSE, SITE_SEND_FILE, SITE_AT_HAND, SITE_SET_BLOCKING,
	SITE_LIST, SITE_OVERFLOW,
	SITES,
};

/* 0, or the negative errno with which this crossing is to fail. */
int sim_crossing(enum site site);
/* Whether a fault of this class happens now. */
bool sim_fault(enum fault fault);
/* The name of a site, and how many results it can fail with. */
const char *sim_site_name(enum site site);
unsigned sim_site_errors(enum site site);

/* ---- The world (world.c) ---- */

enum profile { LINUX_6_1, LINUX_6_6, LINUX_6_12, LINUX_6_18, PROFILES };

#define MAX_REACTORS 3
#define MAX_CROSSINGS 20000

struct world {
	/* Decisions. */
	uint64_t seed;
	uint64_t prng;
	const uint8_t *moves;	/* of a fuzzer; NULL: the PRNG decides */
	size_t moves_left;

	/* What happened. */
	uint64_t hash;
	uint64_t events;
	bool verbose;		/* print the trace */
	char what[160];		/* which run this is, and how to repeat it */

	/* The kernel, the clock. */
	enum profile profile;
	uint32_t refused_setup;	/* IORING_SETUP_ flags */
	uint64_t now;
	uint64_t start;
	bool in_eventfd;	/* within a write to one */
	uint64_t still_ns;	/* the program stood still for so long */
	uint64_t still_at;	/* and until then, the last time */
	unsigned nofile;	/* descriptors that may be open */
	unsigned first_fd;	/* 0: standard streams are closed */

	/* Faults. */
	uint32_t faults;	/* classes that are on, bits */
	uint32_t rates[FAULTS];	/* of 1000 */
	uint64_t calm_at;	/* events; from there on nothing fails */
	bool calm;
	bool sparing;		/* what is done is for a good peer */
	bool disturbed;		/* something failed that matters */
	bool lost;		/* a reactor had to be given up */
	bool starved;		/* a receive found no buffer */
	uint64_t crossings;
	uint64_t single;	/* the crossing that fails, from 1; 0: none */
	unsigned single_error;	/* index of its result */
	uint8_t *sites;		/* of each crossing, if wanted */

	/* The program. */
	const struct scenario *scenario;
	struct torc_reactor *reactors[MAX_REACTORS];
	unsigned reactor_count;
	uint32_t unable;	/* reactors that could not start, bits */
	unsigned running;	/* index of the one whose code runs */
	bool varied;		/* sizes are drawn */
	bool veiled;		/* its listeners have the toy transport */
	bool open;		/* it listens: peers may come */
	bool ending;		/* told to drain */
	uint64_t end_at;	/* will be told; 0: not yet known */
};

extern struct world world;

/* A number below `n`, from the seed or the fuzzer. */
uint32_t sim_draw(uint32_t n);
/* True in `mille` of 1000. */
bool sim_chance(uint32_t mille);

/* One event of the trace: a fixed word, and numbers. */
void sim_trace(const char *word, int64_t a, int64_t b, int64_t c);
/* A claim does not hold: print what, and how to repeat it, and abort. */
_Noreturn void sim_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/*
 * Let others go on: the network, peers, the clock when nobody else can. False
 * if there is nobody, up to the time `until`, which has come then.
 */
bool sim_step(uint64_t until);
/* Let some others go on, as they do while our thread works. */
void sim_meanwhile(void);

/* ---- Descriptors and sockets (net.c) ---- */

#define MAX_FDS 256
#define MAX_SOCKS 256

struct kring;
struct node;

enum file_kind { FILE_RING, FILE_SOCKET, FILE_EVENTFD, FILE_MEMORY,
	FILE_NODE };

struct file {
	enum file_kind kind;
	unsigned refs;		/* the descriptor, and requests */
	struct kring *ring;
	struct sock *sock;
	struct node *node;	/* of a file system */
	uint64_t count;		/* of an eventfd; entries listed */
	bool hasty;		/* O_NONBLOCK: does not wait for a disk */
	bool shut;		/* O_PATH: not to be read */
	bool programs;		/* not torc's: the scenario's own */
};

/* A descriptor, -EMFILE, or -ENFILE. */
int sim_fd_open(enum file_kind kind, struct file **file);
struct file *sim_fd_file(int fd);
int sim_fd_close(int fd);
unsigned sim_fd_count(void);
void sim_file_put(struct file *file);

/* On sockets, as the system calls; never wait: -EAGAIN. */
int sim_sock_send(struct sock *sock, const uint8_t *data, uint32_t size);
int sim_sock_recv(struct sock *sock, uint8_t *data, uint32_t size);
uint32_t sim_sock_readable(const struct sock *sock);
int sim_sock_accept(struct sock *sock);	/* a descriptor */
int sim_sock_connect(struct sock *sock, const struct sockaddr *address);
uint32_t sim_file_events(const struct file *file);	/* POLLIN ... */
/* It was, and no FIN had come before. */
/* No fault is to be seen on it: it is that of a good peer. */
bool sim_file_is_spared(const struct file *file);
bool sim_file_was_reset(const struct file *file);
/* It is, or will be, connected to a listener of the program's. */
bool sim_fd_is_ours(int fd);
/* The connection is lost; both ends see an error. */
void sim_sock_break(struct sock *sock, int error);

void sim_net_reset(void);
/* Network events that can happen now; do the `index`-th of them. */
unsigned sim_net_ready(void);
void sim_net_act(unsigned index);
uint64_t sim_net_next(void);	/* when the next one can happen */
/* Nothing is open, and no file of a unix socket is left. */
void sim_net_check_end(void);

/* ---- Rings (kernel.c, requests.c) ---- */

void sim_kernel_reset(void);
/* Map a part of a ring's memory; close the ring of the last descriptor. */
int sim_kernel_map(struct file *file, void **address, size_t size,
    uint64_t offset);
void sim_kernel_unmap(const void *address);
void sim_kernel_close_ring(struct kring *ring);
/* Something happened to a file: requests that wait for it are woken. */
void sim_kernel_wake(const struct file *file, uint32_t events);
struct kring *sim_kernel_ring(int fd);
/* An enter of this reactor would find something to do. */
bool sim_kernel_busy(const struct torc_reactor *reactor);
/* In the fallback without deferred work: it runs at any system call. */
void sim_kernel_any_call(void);
void sim_kernel_check_end(void);
/* Threads of the kernel's end what is due: whether one did, and when. */
bool sim_kernel_act(void);
uint64_t sim_kernel_next(void);
/* Memory goes: no operation in flight may name it. */
void sim_kernel_check_free(const void *memory, size_t size);

/* ---- Files (files.c) ---- */

void sim_files_reset(void);

/* ---- Checks (check.c) ---- */

/* At each enter, before the kernel does anything. */
void sim_check_enter(struct kring *ring);
void sim_check_turn(struct kring *ring);
/* Before an enter sleeps. */
void sim_check_sleep(struct kring *ring);
/* When all reactors have been destroyed. */
void sim_check_end(void);

/* ---- Runs (drive.c) ---- */

/*
 * Prepare a world without faults, on the newest kernel; draw another kernel,
 * faults and sizes for it; run a scenario in it, to its end.
 */
void sim_world_reset(uint64_t seed);
void sim_world_draw(void);
void sim_run(const struct scenario *scenario);
/* What the last run came to, in words that do not depend on the kernel. */
void sim_outcome(char *text, size_t size);
/* Things from outside that happen now: whether one did. */
bool sim_control(void);
uint64_t sim_control_next(void);	/* when one will */

/* ---- Blocking work (threads.c) ---- */

void sim_threads_reset(void);
/* What is due is done: whether something was, and when something will be. */
bool sim_threads_act(void);
uint64_t sim_threads_next(void);
void sim_threads_end(void);

/* ---- All scenarios (clients.c) ---- */

/* Those of scenarios.c, and then those of clients; NULL: no more. */
const struct scenario *sim_scenario(size_t index);
size_t sim_scenario_count(void);
void sim_clients_reset(void);

/* ---- Memory (seam.c) ---- */

void sim_seam_reset(void);
void sim_seam_check_end(bool memory_too);

#endif
