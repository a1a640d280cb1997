/* SPDX-License-Identifier: MIT */
/*
 * accounts.h - what the load generator measures: time, CPU time of the server
 * and of itself, and latencies.
 */
#ifndef BENCH_ACCOUNTS_H
#define BENCH_ACCOUNTS_H

#include "tools/bench/common.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

/* Totals at one moment; a measurement is the difference of two. */
struct totals {
	uint64_t time_ns;
	uint64_t own_cpu_ns;
	uint64_t server_cpu_ns;
	unsigned long server_user_ticks;
	unsigned long server_kernel_ticks;
	unsigned long cpu_busy_ticks;	/* of all CPUs that we use */
};

static inline uint64_t
read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

/* CPU time of one thread, exact to the nanosecond, or 0 if it is gone. */
static inline uint64_t
thread_cpu_ns(long pid, const char *tid)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/schedstat", pid,
	    tid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

static inline uint64_t
process_cpu_ns(long pid)
{
	char path[64];
	const struct dirent *entry;
	uint64_t ns = 0;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	threads = opendir(path);
	if (threads == NULL)
		die(path);
	while ((entry = readdir(threads)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]))
			ns += thread_cpu_ns(pid, entry->d_name);
	}
	closedir(threads);
	return ns;
}

/* User and kernel time in ticks: coarse, only good for their ratio. */
static inline void
add_ticks(struct totals *totals, long pid)
{
	char path[64], text[1024];
	unsigned long user, kernel;
	const char *fields;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		die(path);
	size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';
	/* After the program's name, which may hold anything. */
	fields = strrchr(text, ')');
	if (fields == NULL || sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d "
	    "%*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		return;
	totals->server_user_ticks += user;
	totals->server_kernel_ticks += kernel;
}

/* The CPUs that the generator or a server may run on. */
static inline void
find_cpus(cpu_set_t *cpus, const long *servers, unsigned server_count)
{
	cpu_set_t some;

	if (sched_getaffinity(0, sizeof(*cpus), cpus) < 0)
		die("sched_getaffinity");
	for (unsigned i = 0; i < server_count; i++) {
		if (sched_getaffinity((pid_t)servers[i], sizeof(some),
		    &some) == 0)
			CPU_OR(cpus, cpus, &some);
	}
}

/* Ticks that these CPUs were not idle, or were taken away from us. */
static inline unsigned long
read_busy_ticks(const long *servers, unsigned server_count)
{
	unsigned long user, nice, kernel, irq, softirq, steal, sum = 0;
	unsigned cpu;
	char line[512];
	cpu_set_t cpus;
	FILE *file = fopen("/proc/stat", "r");

	if (file == NULL)
		die("/proc/stat");
	find_cpus(&cpus, servers, server_count);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "cpu%u %lu %lu %lu %*u %*u %lu %lu %lu",
		    &cpu, &user, &nice, &kernel, &irq, &softirq,
		    &steal) == 7 && CPU_ISSET(cpu, &cpus))
			sum += user + nice + kernel + irq + softirq + steal;
	}
	fclose(file);
	return sum;
}

static inline struct totals
take_totals(const long *servers, unsigned server_count)
{
	struct totals totals = { 0 };

	for (unsigned i = 0; i < server_count; i++) {
		totals.server_cpu_ns += process_cpu_ns(servers[i]);
		add_ticks(&totals, servers[i]);
	}
	totals.cpu_busy_ticks = read_busy_ticks(servers, server_count);
	totals.own_cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	totals.time_ns = read_clock(CLOCK_MONOTONIC);
	return totals;
}

/* Latencies: a histogram with 64 steps to each power of two. */

enum { STEPS = 64, STEP_BITS = 6, BARS = 64 * STEPS };

static uint32_t bars[BARS];

static inline void
record_latency(uint64_t ns)
{
	unsigned exponent, bar = (unsigned)ns;

	if (ns >= STEPS) {
		exponent = 63 - (unsigned)__builtin_clzll(ns);
		bar = (exponent - STEP_BITS + 1) * STEPS +
		    (unsigned)(ns >> (exponent - STEP_BITS) & (STEPS - 1));
	}
	bars[bar < BARS ? bar : BARS - 1]++;
}

/* The latency, in microseconds, that `share` of all do not exceed. */
static inline double
latency_us(double share)
{
	uint64_t count = 0, seen = 0;
	unsigned bar;

	for (bar = 0; bar < BARS; bar++)
		count += bars[bar];
	for (bar = 0; bar < BARS - 1; bar++) {
		seen += bars[bar];
		if (seen > 0 && (double)seen >= share * (double)count)
			break;
	}
	if (count == 0)
		return 0;
	if (bar < STEPS)
		return bar / 1e3;
	return (double)((uint64_t)(STEPS + bar % STEPS)
	    << (bar / STEPS - 1)) / 1e3;
}

#endif
