/* SPDX-License-Identifier: MIT */
/*
 * script.h - scenarios: what the program does, and what its peers do. Nothing
 * here knows the simulation: the same scripts run on a real kernel.
 */
#ifndef TORC_TESTS_SIM_SCRIPT_H
#define TORC_TESTS_SIM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/torc.h"
#include "reactor/counters.h"

/* ---- Peers ---- */

enum step_kind {
	STEP_END,
	STEP_CONNECT,		/* to the program's `n`-th address */
	STEP_SERVE,		/* accept a connection of the program */
	STEP_SEND,		/* `n` bytes of this peer's stream */
	STEP_RECV,		/* `n` bytes, and see that they are right */
	STEP_ECHO,		/* both at once, to the end of both */
	STEP_FIN,
	STEP_AWAIT_FIN,		/* see nothing but a FIN */
	STEP_AWAIT_END,		/* read until FIN or reset, whatever comes */
	STEP_RESET,		/* reset the connection; it is gone */
	STEP_CLOSE,
	STEP_SLEEP,		/* `n` milliseconds */
	STEP_AGAIN,		/* go back to step `n & 255`, `n >> 8` times */
};

struct step {
	enum step_kind kind;
	uint32_t n;
};

#define CONNECT(address)	{ STEP_CONNECT, address }
#define SERVE			{ STEP_SERVE, 0 }
#define SEND(bytes)		{ STEP_SEND, bytes }
#define RECV(bytes)		{ STEP_RECV, bytes }
#define ECHO(bytes)		{ STEP_ECHO, bytes }
#define FIN			{ STEP_FIN, 0 }
#define AWAIT_FIN		{ STEP_AWAIT_FIN, 0 }
#define AWAIT_END		{ STEP_AWAIT_END, 0 }
#define RESET			{ STEP_RESET, 0 }
#define CLOSE			{ STEP_CLOSE, 0 }
#define SLEEP(ms)		{ STEP_SLEEP, ms }
#define AGAIN_FROM(step, times)	{ STEP_AGAIN, (times) << 8 | (step) }
#define END			{ STEP_END, 0 }

/* What a peer expects to read. */
enum stream {
	STREAM_OWN,		/* what it sent itself: an echo */
	STREAM_PROGRAM,		/* stream PROGRAM_KEY, from its beginning */
	STREAM_ANY,
};
#define PROGRAM_KEY 1000u

struct script {
	const struct step *steps;
	enum stream expect;
	unsigned copies;	/* peers that follow it */
	bool good;		/* no fault is theirs, and none of their steps
				 * may take long, whatever others do */
};

/* ---- Scenarios ---- */

#define MAX_ADDRESSES 4
#define MAX_SCRIPTS 8

struct scenario {
	const char *name;
	const char *addresses[MAX_ADDRESSES];	/* the first one if none:
						 * 127.0.0.1:0 */
	torc_handler *handler;
	torc_fiber_entry *fiber;	/* runs on each reactor, too */
	struct script scripts[MAX_SCRIPTS];
	struct torc_config config;	/* zero: small sizes */
	unsigned reactors;	/* 0: one; all listen */
	unsigned nofile;	/* descriptors the program may have open */
	bool embedded;		/* turned by a foreign loop */
	bool stop;		/* at the end at once, not by a drain */
	bool early;		/* the drain comes while peers are at work; if
				 * it is not frayed, when all are connected */
	bool lasting;		/* it is given a minute */
	bool real;		/* has the same outcome on any kernel */
	bool frayed;		/* peers are cut off in the regular course */
	/* Each reactor has ended, or was never run; it is destroyed next. */
	void (*ended)(struct torc_reactor *reactor);
	/* At the end, if nothing was disturbed. */
	void (*check)(const struct torc_counters *counters);
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;
/* Before each run: forget what the last one left. */
void scenarios_reset(void);

/* Where STEP_SERVE is reached. */
const char *peer_address(void);
/* The `index`-th address that the program listens on. */
const char *program_address(unsigned index);

/* What the program saw, in its order; compared between kernels. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Claims of scenarios: they hold unless something was disturbed. */
void expect(bool holds, const char *text);
/* Descriptors for the program: connected sockets, one that is not. */
int program_pair(int fds[2]);
int program_socket(void);
int program_eventfd(void);
/* As another thread or process writes to it. */
void program_write_event(int fd);
int program_close(int fd);
/* When the first byte came that the program's socket `fd` has and torc did not
 * take; UINT64_MAX: there is none, or that is not known. */
uint64_t unread_since(int fd);
/* Another program has put a socket of its own where the `address`-th one of
 * ours, which is local, had its file. */
void program_replace_file(unsigned address);
/* Call `function` on another thread's behalf, between any two crossings. */
void from_elsewhere(void (*function)(void *arg), void *arg);

/* Byte `n` of the stream named `key`. */
static inline uint8_t
stream_byte(uint32_t key, uint64_t n)
{
	uint64_t x = (n + 1) * 0x9e3779b97f4a7c15ull + key * 0x632be59bull;

	return (uint8_t)(x >> 29 ^ x >> 47);
}

/* ---- The peers' machine (peers.c) ---- */

void peers_reset(const struct scenario *scenario);
/* Peers that can go on; let the `index`-th of them do a step. */
unsigned peers_ready(void);
void peers_act(unsigned index);
/* When one that sleeps goes on. */
uint64_t peers_next(void);
bool peers_done(void);
/* Each of them is, or was. */
bool peers_connected(void);
/* All went as their scripts say. */
bool peers_content(void);
/* One of them is good: see struct script. */
bool peers_have_good(void);
/* See that no good one has waited for too long, or was let down. */
void peers_check_good(void);
void peers_describe(char *text, size_t size);
/* A claim about the streams does not hold: say so, and stop. */
_Noreturn void broken(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/*
 * The network as peers use it (net.c, real.c). Handles are 0 or more; negative
 * errnos; -EAGAIN: not now.
 */
int peer_connect(unsigned address);
/* It is a good one's: no fault is to be seen on it. */
void peer_spare(int handle);
int peer_connected(int handle);		/* 1, 0: not yet, or an error */
int peer_accept(void);
int peer_send(int handle, const uint8_t *data, uint32_t size);
int peer_recv(int handle, uint8_t *data, uint32_t size);
bool peer_can_recv(int handle);
bool peer_can_send(int handle);
bool peer_can_accept(void);
void peer_fin(int handle);
void peer_reset(int handle);
void peer_close(int handle);
uint64_t peer_now(void);
uint32_t peer_draw(uint32_t n);

#endif
