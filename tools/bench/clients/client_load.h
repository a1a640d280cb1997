/* SPDX-License-Identifier: MIT */
/*
 * client_load.h - what the programs that measure a client alone have in
 * common: asking again and again, and the CPU time and the time of a question.
 */
#ifndef BENCH_CLIENT_LOAD_H
#define BENCH_CLIENT_LOAD_H

#include <stdio.h>
#include <time.h>

static inline double
seconds(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/*
 * Ask `count` times by run(arg, count), after a tenth of that to warm up, and
 * print the CPU time and the time of a question, in microseconds.
 */
static inline void
measure_load(void (*run)(void *arg, long count), void *arg, long count)
{
	double cpu, wall;

	run(arg, count / 10);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = seconds(CLOCK_MONOTONIC);
	run(arg, count);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	printf("%.3f %.3f\n", cpu * 1e6 / (double)count,
	    wall * 1e6 / (double)count);
}

#endif
