/*
 * pg_torc.c - one select by key after the other, by many fibers of a reactor.
 *
 *	pg_torc ADDRESS CONNECTIONS FIBERS COUNT BATCH_US
 *
 * BATCH_US is that of torc_config: PostgreSQL sends the answer to each Sync
 * alone, so a reactor may wake up for each, or let some gather. Prints the CPU
 * time and the time of a select, in microseconds.
 */
#include <torc_pg.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIBERS_MAX 4096u
#define KEYS 1000u

static struct torc_pg_config config = { .user = "bench",
	.database = "postgres" };
static unsigned fibers;
static long left;
static unsigned failed;

static double
seconds(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int
ask(void *arg)
{
	struct torc_pg *pg = arg;

	while (left-- > 0) {
		const int32_t key = (int32_t)((unsigned long)left % KEYS);
		const struct torc_pg_param param = torc_pg_int4(key);
		const struct torc_pg_statement statement = {
			"select value from pairs where key = $1", &param, 1,
			false };
		struct torc_pg_result *result;
		struct torc_pg_row row;

		failed += torc_pg_query(pg, &statement, &result,
		    torc_after_ms(10000)) != 0 ||
		    !torc_pg_next_row(result, &row) ||
		    row.values[0].size != 100;
		torc_pg_free(result);
	}
	return 0;
}

static void
run(struct torc_pg *pg)
{
	static uint64_t ids[FIBERS_MAX];

	for (unsigned i = 0; i < fibers; i++)
		failed += torc_fiber_spawn(&ids[i], ask, pg) < 0;
	for (unsigned i = 0; i < fibers; i++)
		torc_fiber_join(ids[i], NULL, TORC_NEVER);
}

/* Once to warm up, with all connections open, and once to be measured. */
static int
measure(void *arg)
{
	const long count = *(long *)arg;
	struct torc_pg *pg;
	double cpu, wall;

	if (torc_pg_create(&pg, &config, NULL, 0) < 0)
		return 1;
	left = count / 10;
	run(pg);
	left = count;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = seconds(CLOCK_MONOTONIC);
	run(pg);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	printf("%.3f %.3f\n", cpu * 1e6 / (double)count,
	    wall * 1e6 / (double)count);
	torc_pg_destroy(pg);
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
begin(struct torc_reactor *reactor, struct torc_post *post)
{
	static long count;

	(void)reactor;
	(void)post;
	count = left;
	torc_fiber_spawn(NULL, measure, &count);
}

int
main(int argc, char **argv)
{
	struct torc_post post = { .call = begin };
	struct torc_config loop = { .sq_entries = 0 };
	struct torc_reactor *reactor;
	char text[256];

	if (argc != 6)
		return 64;
	config.address = argv[1];
	config.shared = (unsigned)atoi(argv[2]);
	fibers = (unsigned)atoi(argv[3]);
	left = atol(argv[4]);
	loop.batch_us = (unsigned)atoi(argv[5]);
	if (fibers == 0 || fibers > FIBERS_MAX || left <= 0)
		return 64;
	if (torc_reactor_create(&reactor, &loop, text, sizeof(text)) < 0) {
		fprintf(stderr, "%s\n", text);
		return 78;
	}
	torc_post(reactor, &post);
	if (torc_reactor_run(reactor) < 0)
		return 1;
	torc_reactor_destroy(reactor);
	return failed > 0;
}
