/* SPDX-License-Identifier: MIT */
/*
 * drive.c - the drivers, by command line:
 *
 *   sim check              what `make check` runs, in "ok" and "FAILED" lines
 *   sim seeds FIRST COUNT [JOBS]   runs with many faults, one for each seed
 *   sim seed N             one of them, with its trace
 *   sim single [NAME]      every crossing fails once, in every way
 *   sim single NAME CROSSING RESULT   one of them, with its trace
 *   sim plain              every scenario without faults, on every kernel
 *   sim plain NAME KERNEL  one of them, with its trace
 *   sim outcomes           what they come to, to be compared with sim_real
 *   sim veiled MODE ...    any of these, with a transport under all connections
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define ENOUGH 400	/* crossings of a scenario to fail, briefly */

static uint8_t sites[MAX_CROSSINGS];

/* ---- Random runs ---- */

static const struct scenario *only;	/* not any; or NULL */
static bool veiled;	/* all have the toy transport that may */

static uint64_t
run_seed(uint64_t seed)
{
	const struct scenario *scenario;

	alarm(20);
	sim_world_reset(seed);
	scenario = sim_scenario(sim_draw((uint32_t)sim_scenario_count()));
	if (only != NULL)
		scenario = only;
	snprintf(world.what, sizeof(world.what), "%s, make sim SEED=%llu",
	    scenario->name, (unsigned long long)seed);
	sim_world_draw();
	world.veiled = veiled || seed % 8 == 7;
	sim_run(scenario);
	return world.hash;
}

/* Not by an assertion, but by a signal: say in which run. */
static void
say_which(int number)
{
	sim_fail(number == SIGALRM ? "the program does not come back" :
	    "a wild pointer");
}

/*
 * On a stack of its own, since that of a fiber may have been overrun: on the
 * one that a reactor makes, as far as the kernel lets it.
 */
static void
catch_signals(void)
{
	const struct sigaction action = {
		.sa_handler = say_which,
		.sa_flags = SA_ONSTACK,
	};

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static void
run_seeds(uint64_t first, uint64_t count, uint64_t stride)
{
	for (uint64_t i = 0; i < count; i += stride)
		run_seed(first + i);
}

/* In `jobs` processes. Whether all went well. */
static bool
run_seeds_on(uint64_t first, uint64_t count, unsigned jobs)
{
	bool well = true;

	fflush(stdout);
	for (unsigned i = 0; i < jobs; i++) {
		if (fork() == 0) {
			run_seeds(first + i, count > i ? count - i : 0, jobs);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < jobs; i++) {
		int status;

		wait(&status);
		well &= status == 0;
	}
	return well;
}

/* ---- Every single fault ---- */

static void
run_single(const struct scenario *scenario, uint64_t crossing,
    unsigned error)
{
	alarm(20);
	sim_world_reset(1);
	snprintf(world.what, sizeof(world.what),
	    "sim single '%s' %llu %u", scenario->name,
	    (unsigned long long)crossing, error);
	world.veiled = veiled;
	world.single = crossing;
	world.single_error = error;
	sim_run(scenario);
}

/*
 * Each crossing fails with each of its errnos, or, `briefly`, with one of
 * them, which differs from one to the next; of the many crossings of a long
 * scenario, some do then. How many runs that took.
 */
static uint64_t
run_all_singles(const struct scenario *scenario, bool briefly)
{
	static uint8_t of[MAX_CROSSINGS];
	uint64_t crossings, step = 1, runs = 0;

	world.sites = sites;
	run_single(scenario, 0, 0);
	crossings = world.crossings < MAX_CROSSINGS ? world.crossings :
	    MAX_CROSSINGS;
	memcpy(of, sites, crossings);
	world.sites = NULL;
	if (briefly)
		step += crossings / ENOUGH;
	for (uint64_t i = 0; i < crossings; i += step) {
		unsigned errors = sim_site_errors((enum site)of[i]);

		for (unsigned j = 0; !briefly && j < errors; j++, runs++)
			run_single(scenario, i + 1, j);
		if (briefly) {
			run_single(scenario, i + 1, (unsigned)(i % errors));
			runs++;
		}
	}
	return runs;
}

static uint64_t
run_singles(const char *name, bool briefly)
{
	uint64_t runs = 0;

	for (size_t i = 0; i < sim_scenario_count(); i++) {
		const struct scenario *scenario = sim_scenario(i);

		if (name == NULL || strcmp(name, scenario->name) == 0)
			runs += run_all_singles(scenario, briefly);
	}
	return runs;
}

/* ---- Without faults ---- */

static void
run_plain(const struct scenario *scenario, int profile)
{
	sim_world_reset(1);
	world.profile = (enum profile)profile;
	world.veiled = veiled;
	snprintf(world.what, sizeof(world.what), "sim plain '%s' %d",
	    scenario->name, profile);
	sim_run(scenario);
}

static void
run_all_plain(void)
{
	for (size_t i = 0; i < sim_scenario_count(); i++) {
		for (int profile = 0; profile < PROFILES; profile++)
			run_plain(sim_scenario(i), profile);
	}
}

static void
print_outcomes(void)
{
	for (size_t i = 0; i < scenario_count; i++) {
		char text[8192];

		if (!scenarios[i].real)
			continue;
		run_plain(&scenarios[i], LINUX_6_18);
		sim_outcome(text, sizeof(text));
		printf("%s", text);
	}
}

/* The same seed gives the same trace; another one another. */
static bool
is_repeatable(void)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		uint64_t hash = run_seed(seed);

		if (run_seed(seed) != hash || run_seed(seed + 100) == hash)
			return false;
	}
	return true;
}

/* ---- The short form ---- */

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int
check(uint64_t seeds)
{
	uint64_t before = now_ms(), runs;

	run_all_plain();
	printf("ok %zu scenarios end as they should on %d kernels\n",
	    sim_scenario_count(), PROFILES);
	veiled = !veiled;
	run_all_plain();
	veiled = !veiled;
	printf("ok and so they do %s a transport\n", veiled ? "without" :
	    "with");
	if (!is_repeatable()) {
		printf("FAILED the same seed gives the same trace\n");
		return 1;
	}
	printf("ok the same seed gives the same trace\n");
	runs = run_singles(NULL, true);
	printf("ok %llu single faults harm nothing (%llu ms)\n",
	    (unsigned long long)runs,
	    (unsigned long long)(now_ms() - before));
	before = now_ms();
	run_seeds(1, seeds, 1);
	printf("ok %llu seeds with many faults harm nothing (%llu ms)\n",
	    (unsigned long long)seeds,
	    (unsigned long long)(now_ms() - before));
	return 0;
}

static const struct scenario *
find(const char *name)
{
	for (size_t i = 0; i < sim_scenario_count(); i++) {
		if (strcmp(name, sim_scenario(i)->name) == 0)
			return sim_scenario(i);
	}
	fprintf(stderr, "sim: no scenario is called %s\n", name);
	exit(2);
}

static uint64_t
number(const char *text)
{
	return strtoull(text, NULL, 10);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "check";

	if (argc > 1 && strcmp(argv[1], "veiled") == 0) {
		veiled = true;
		mode = argc > 2 ? argv[2] : "check";
		argc--;
		argv++;
	}
	catch_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(mode, "check") == 0) {
		return check(argc > 2 ? number(argv[2]) : 10000);
	} else if (strcmp(mode, "seeds") == 0 && argc > 3) {
		uint64_t before = now_ms();
		bool well = run_seeds_on(number(argv[2]), number(argv[3]),
		    argc > 4 ? (unsigned)number(argv[4]) : 1);

		printf("%s seeds from %s: %s, %llu ms\n", argv[3], argv[2],
		    well ? "all clean" : "BROKEN",
		    (unsigned long long)(now_ms() - before));
		return !well;
	} else if (strcmp(mode, "of") == 0 && argc > 4) {
		only = find(argv[2]);
		run_seeds(number(argv[3]), number(argv[4]), 1);
	} else if (strcmp(mode, "seed") == 0 && argc > 2) {
		world.verbose = true;
		only = argc > 3 ? find(argv[3]) : NULL;
		printf("hash %016llx\n",
		    (unsigned long long)run_seed(number(argv[2])));
	} else if (strcmp(mode, "single") == 0 && argc > 4) {
		world.verbose = true;
		run_single(find(argv[2]), number(argv[3]),
		    (unsigned)number(argv[4]));
	} else if (strcmp(mode, "single") == 0) {
		printf("%llu single faults\n", (unsigned long long)
		    run_singles(argc > 2 ? argv[2] : NULL, false));
	} else if (strcmp(mode, "outcomes") == 0) {
		print_outcomes();
	} else if (strcmp(mode, "plain") == 0 && argc > 3) {
		world.verbose = true;
		run_plain(find(argv[2]), atoi(argv[3]));
	} else if (strcmp(mode, "plain") == 0) {
		run_all_plain();
	} else {
		fprintf(stderr, "usage: sim check | seeds FIRST COUNT [JOBS] "
		    "| seed N | single [NAME [CROSSING RESULT]] | "
		    "plain [NAME KERNEL] | outcomes | of NAME FIRST COUNT "
		    "| seed N NAME\n");
		return 2;
	}
	return 0;
}
