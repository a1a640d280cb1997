/* SPDX-License-Identifier: MIT */
/*
 * fiber_load.h - many fibers of one reactor that ask a client of torc, one
 * question after the other each. What all these programs are told:
 *
 *	NAME ADDRESS CONNECTIONS FIBERS COUNT [BATCH_US [BATCH]]
 *
 * BATCH_US is that of torc_config: a reactor may wake up for each answer, or
 * let some gather. With BATCH, at most 64, each fiber asks as many at once, if
 * the program can.
 */
#ifndef BENCH_FIBER_LOAD_H
#define BENCH_FIBER_LOAD_H

#include <torc.h>

#include <stdlib.h>

#include "tools/bench/clients/client_load.h"

#define FIBERS_MAX 4096u
#define BATCH_MAX 64u

struct fiber_load {
	/* 0 or a negative errno. */
	int (*open)(void **client, const char *address, unsigned connections);
	void (*close)(void *client);
	/* Ask the question of this number: whether the answer is right. */
	bool (*ask)(void *client, unsigned long number);
	/* So many from it on, at once. NULL: it cannot do that. */
	bool (*ask_batch)(void *client, unsigned long number, unsigned count);
	/* The rest is read from the arguments. */
	const char *address;
	unsigned connections;
	unsigned fibers;
	long count;
	unsigned batch_us;	/* of torc_config */
	unsigned batch;		/* asked at once; 0: one by one */
};

static const struct fiber_load *fiber_load;
static long fiber_load_left;
static unsigned fiber_load_failed;

static int
ask_on(void *client)
{
	const unsigned batch = fiber_load->batch;

	while ((fiber_load_left -= batch > 0 ? batch : 1) >= 0) {
		const unsigned long number = (unsigned long)fiber_load_left;

		if (!(batch > 0 ? fiber_load->ask_batch(client, number,
		    batch) : fiber_load->ask(client, number)))
			fiber_load_failed++;
	}
	return 0;
}

static void
run_fibers(void *client, long count)
{
	static uint64_t ids[FIBERS_MAX];

	fiber_load_left = count;
	for (unsigned i = 0; i < fiber_load->fibers; i++) {
		if (torc_fiber_spawn(&ids[i], ask_on, client) < 0)
			fiber_load_failed++;
	}
	for (unsigned i = 0; i < fiber_load->fibers; i++)
		torc_fiber_join(ids[i], NULL, TORC_NEVER);
}

static int
measure_fibers(void *arg)
{
	void *client;

	(void)arg;
	if (fiber_load->open(&client, fiber_load->address,
	    fiber_load->connections) < 0) {
		fiber_load_failed++;
	} else {
		measure_load(run_fibers, client, fiber_load->count);
		fiber_load->close(client);
	}
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
begin_load(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	torc_fiber_spawn(NULL, measure_fibers, NULL);
}

static bool
read_arguments(int argc, char **argv, struct fiber_load *load)
{
	if (argc < 5 || argc > 7)
		return false;
	load->address = argv[1];
	load->connections = (unsigned)atoi(argv[2]);
	load->fibers = (unsigned)atoi(argv[3]);
	load->count = atol(argv[4]);
	load->batch_us = argc > 5 ? (unsigned)atoi(argv[5]) : 0;
	load->batch = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
	if (argc > 6 && (load->ask_batch == NULL || load->batch == 0 ||
	    load->batch > BATCH_MAX))
		return false;
	return load->fibers > 0 && load->fibers <= FIBERS_MAX &&
	    load->count > 0;
}

static int
run_reactor(const struct fiber_load *load)
{
	const struct torc_config config = { .batch_us = load->batch_us };
	struct torc_post post = { .call = begin_load };
	struct torc_reactor *reactor;
	struct torc_error error;

	if (torc_reactor_create(&reactor, &config, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 78;
	}
	torc_reactor_post(reactor, &post);
	if (torc_reactor_run(reactor) < 0)
		return 1;
	torc_reactor_destroy(reactor);
	return fiber_load_failed > 0;
}

/* What the program exits with. */
static inline int
run_fiber_load(int argc, char **argv, struct fiber_load *load)
{
	if (!read_arguments(argc, argv, load))
		return 64;
	fiber_load = load;
	return run_reactor(load);
}

#endif
