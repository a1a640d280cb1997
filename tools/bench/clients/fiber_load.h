/*
 * fiber_load.h - many fibers of one reactor that ask a client of torc, one
 * question after the other each.
 */
#ifndef BENCH_FIBER_LOAD_H
#define BENCH_FIBER_LOAD_H

#include <torc.h>

#include "tools/bench/clients/client_load.h"

#define FIBERS_MAX 4096u

struct fiber_load {
	int (*open)(void **client);	/* 0 or a negative errno */
	void (*close)(void *client);
	/* Ask the question of this number, or as many as `each` of them from
	 * it on: whether all answers are right. */
	bool (*ask)(void *client, unsigned long number);
	unsigned each;			/* 0 is 1 */
	unsigned fibers;
	long count;
	unsigned batch_us;	/* of torc_config */
};

static const struct fiber_load *fiber_load;
static long fiber_load_left;
static unsigned fiber_load_failed;

static int
ask_on(void *client)
{
	const long each = fiber_load->each > 0 ? fiber_load->each : 1;

	while ((fiber_load_left -= each) >= 0) {
		if (!fiber_load->ask(client, (unsigned long)fiber_load_left))
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
	if (fiber_load->open(&client) < 0) {
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

/* What the program exits with. */
static inline int
run_fiber_load(const struct fiber_load *load)
{
	const struct torc_config config = { .batch_us = load->batch_us };
	struct torc_post post = { .call = begin_load };
	struct torc_reactor *reactor;
	char text[256];

	if (load->fibers == 0 || load->fibers > FIBERS_MAX || load->count <= 0)
		return 64;
	fiber_load = load;
	if (torc_reactor_create(&reactor, &config, text, sizeof(text)) < 0) {
		fprintf(stderr, "%s\n", text);
		return 78;
	}
	torc_post(reactor, &post);
	if (torc_reactor_run(reactor) < 0)
		return 1;
	torc_reactor_destroy(reactor);
	return fiber_load_failed > 0;
}

#endif
