/* SPDX-License-Identifier: MIT */
/*
 * serve.h - a running torc_serve(): its reactors and their threads.
 */
#ifndef TORC_CONN_SERVE_H
#define TORC_CONN_SERVE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/torc.h"

struct torc_server;

struct torc_worker {
	struct torc_server *server;
	struct torc_reactor *reactor;
	pthread_t thread;
	int cpu;		/* to be bound to, or -1 */
	int result;		/* of its loop */
};

struct torc_server {
	struct torc_config config;
	size_t endpoint_size;	/* of the array in it */
	void (*ready)(void *arg);
	struct torc_worker *workers;
	struct torc_reactor **reactors;
	unsigned count;
	bool pinned;		/* each to a CPU */
	unsigned threads;	/* that were started */
	uint32_t started;	/* any thread: workers whose start is over */
	uint32_t failed;	/* any thread: the first error, positive */
	pthread_t main;		/* waits for signals */
	sigset_t signals;	/* these */
	bool hung_up;		/* SIGHUP began the drain */
	uint32_t over;		/* any thread: 1: all workers have ended */
	struct torc_error *error;	/* the caller's; may be NULL */
};

#endif
