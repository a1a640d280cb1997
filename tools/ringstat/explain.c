/* SPDX-License-Identifier: MIT */
/*
 * explain.c - asking the kernel for what torc_serve() asks it for: rings for
 * all reactors, and then their buffers. Memory that may be locked is the
 * user's, so that one may fit where two do not.
 */
#include "tools/ringstat/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "conn/torc.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "ring/bufring.h"
#include "ring/ring.h"
#include "sys/pages.h"
#include "tools/ringstat/options.h"
#include "tools/ringstat/text.h"

/* What a reactor has of io_uring. */
struct share {
	struct torc_ring ring;
	struct torc_bufring buffers;
};

struct stage {
	struct torc_config config;
	struct share *shares;
	unsigned rings;		/* that were made */
	unsigned buffers;
};

/* Until one is refused: its number, or `count`. */
static int
take(struct stage *stage, unsigned count, struct torc_error *error)
{
	const struct torc_config *config = &stage->config;
	const char *call = "io_uring_setup";
	uint64_t memory = torc_ring_memory(TORC_RING_MIN_SQ,
	    TORC_RING_MIN_SQ * 4);
	int rc = 0;

	for (; rc == 0 && stage->rings < count; stage->rings += rc == 0)
		rc = torc_ring_init(&stage->shares[stage->rings].ring,
		    config->sq_entries, config->cq_entries);
	if (rc == 0) {
		call = "io_uring_register";
		memory = torc_pages_whole(config->buffers *
		    sizeof(struct io_uring_buf));
	}
	for (; rc == 0 && stage->buffers < count; stage->buffers += rc == 0) {
		struct share *share = &stage->shares[stage->buffers];

		rc = torc_bufring_init(&share->buffers, &share->ring, 0,
		    config->buffers, config->buffers_start,
		    config->buffer_size, false);
	}
	if (rc < 0)
		return torc_error_explain(error, rc, call, memory);
	return 0;
}

static void
give_back(struct stage *stage)
{
	for (unsigned i = 0; i < stage->buffers; i++)
		torc_bufring_fini(&stage->shares[i].buffers);
	for (unsigned i = 0; i < stage->rings; i++)
		torc_ring_fini(&stage->shares[i].ring);
	free(stage->shares);
}

int
explain_print(void)
{
	const unsigned count = torc_cpus_granted(NULL, 0);
	struct stage stage = { .rings = 0 };
	struct torc_error error;
	int rc = torc_available(&error);

	if (rc < 0) {
		puts(error.text);
		return EXIT_REFUSED;
	}
	rc = torc_config_fill(&stage.config, NULL, NULL);
	torc_assert(rc == 0);
	stage.shares = must_grow(NULL, count, sizeof(*stage.shares));
	rc = take(&stage, count, &error);
	if (rc < 0)
		printf("reactor %u of %u: %s\n", 1 + (stage.rings < count ?
		    stage.rings : stage.buffers), count, error.text);
	else
		puts("io_uring works here.");
	give_back(&stage);
	return rc < 0 ? EXIT_REFUSED : EXIT_WELL;
}
