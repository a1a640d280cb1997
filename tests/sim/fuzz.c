/* SPDX-License-Identifier: MIT */
/*
 * fuzz.c - a hostile kernel: the bytes of an input choose the scenario, the
 * kernel, the faults, and every move after that. When they are used up, the
 * kernel behaves, and all must come to an end.
 *
 * For libFuzzer (clang -fsanitize=fuzzer) and AFL++ (afl-clang-fast with the
 * same flag) as it is. With FUZZ_ALONE it is a program that runs files, or,
 * without any, so many inputs of pseudo-random bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct scenario *scenario;

	sim_world_reset(size);
	world.moves = data;
	world.moves_left = size;
	scenario = sim_scenario(sim_draw((uint32_t)sim_scenario_count()));
	snprintf(world.what, sizeof(world.what), "%s, by a fuzzer",
	    scenario->name);
	sim_world_draw();
	sim_run(scenario);
	return 0;
}

#ifdef FUZZ_ALONE

static uint8_t input[1 << 16];

static void
run_file(const char *name)
{
	FILE *file = fopen(name, "rb");
	size_t size;

	if (file == NULL) {
		perror(name);
		exit(2);
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	LLVMFuzzerTestOneInput(input, size);
}

int
main(int argc, char **argv)
{
	const unsigned count = 3000;
	uint64_t random = 1;

	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	for (unsigned i = 0; argc == 1 && i < count; i++) {
		size_t size = 40 + i % 3000;

		for (size_t j = 0; j < size; j++) {
			random = random * 6364136223846793005u + 1;
			input[j] = (uint8_t)(random >> 33);
		}
		LLVMFuzzerTestOneInput(input, size);
	}
	if (argc == 1)
		printf("ok a hostile kernel of %u inputs harms nothing\n",
		    count);
	return 0;
}

#endif
