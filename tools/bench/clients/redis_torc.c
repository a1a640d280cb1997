/*
 * redis_torc.c - GET after GET by many fibers of one reactor.
 *
 *	redis_torc PORT LINES FIBERS COUNT
 *
 * Prints the CPU time and the time of a GET, in microseconds.
 */
#include <torc_redis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIBERS_MAX 4096u

static struct torc_redis_config config;
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
get(void *arg)
{
	struct torc_redis *redis = arg;

	while (left-- > 0) {
		struct torc_redis_reply *reply;
		int rc = torc_redis_do(redis, &reply, torc_after_ms(10000),
		    "GET", "key", NULL);

		failed += rc != 0 || reply->size != 100;
		torc_redis_free(reply);
	}
	return 0;
}

static int
run(struct torc_redis *redis)
{
	static uint64_t ids[FIBERS_MAX];

	for (unsigned i = 0; i < fibers; i++) {
		if (torc_fiber_spawn(&ids[i], get, redis) < 0)
			return -1;
	}
	for (unsigned i = 0; i < fibers; i++)
		torc_fiber_join(ids[i], NULL, TORC_NEVER);
	return 0;
}

/* Once to warm up, with all lines open, and once to be measured. */
static int
measure(void *arg)
{
	const long count = *(long *)arg;
	struct torc_redis *redis;
	double cpu, wall;

	if (torc_redis_open(&redis, &config, NULL, 0) < 0)
		return 1;
	left = count / 10;
	run(redis);
	left = count;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = seconds(CLOCK_MONOTONIC);
	run(redis);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	printf("%.3f %.3f\n", cpu * 1e6 / (double)count,
	    wall * 1e6 / (double)count);
	torc_redis_close(redis);
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
	struct torc_reactor *reactor;
	char address[32], text[256];

	if (argc != 5)
		return 64;
	snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);
	config.address = address;
	config.lines = (unsigned)atoi(argv[2]);
	fibers = (unsigned)atoi(argv[3]);
	left = atol(argv[4]);
	if (fibers == 0 || fibers > FIBERS_MAX || left <= 0)
		return 64;
	if (torc_reactor_create(&reactor, NULL, text, sizeof(text)) < 0) {
		fprintf(stderr, "%s\n", text);
		return 78;
	}
	torc_post(reactor, &post);
	if (torc_reactor_run(reactor) < 0)
		return 1;
	torc_reactor_destroy(reactor);
	return failed > 0;
}
