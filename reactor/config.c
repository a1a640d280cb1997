/* SPDX-License-Identifier: MIT */
/*
 * config.c - the table of bounds.
 */
#include "reactor/config.h"

#include <errno.h>
#include <string.h>

#include "reactor/error.h"
#include "reactor/torc_runtime.h"
#include "sys/pages.h"

#define KEEPALIVE_MOST 32767000u	/* of the kernel */
#define UNACKED_MOST 2147483647u

#define FIELD(name) TORC_BOUND_FIELD(struct torc_config, name)

#define HELD_TOTAL (64u << 20)
#define HELD_SHARES 32u		/* least held_total, in held_max */

static const struct torc_bound bounds[] = {
	{ FIELD(reactors), 0, 1, 1024, false },
	{ FIELD(sq_entries), 1024, 4, 32768, true },
	{ FIELD(cq_entries), 0, 8, 65536, true },
	{ FIELD(batch), 256, 1, 65536, false },
	{ FIELD(batch_us), 0, 0, 10000, false },
	{ FIELD(spin_us), 0, 0, 1000, false },
	{ FIELD(connections), 16384, 1, 1048576, false },
	{ FIELD(ops), 65536, 1, 1048576, false },
	{ FIELD(fibers), 32768, 1, 1048576, false },
	{ FIELD(stack_size), 262144, 16384, 8388608, false },
	{ FIELD(stack_guard), 262144, 4096, 1 << 30, false },
	{ FIELD(buffers), 1024, 1, 32768, true },
	{ FIELD(buffers_start), 0, 1, 32768, false },
	{ FIELD(buffer_size), 16384, 64, 1048576, false },
	{ FIELD(held_max), 262144, 1, 1 << 30, false },
	{ FIELD(held_low), 0, 1, 1 << 30, false },
	{ FIELD(slab_size), 16384, 64, 1048576, false },
	{ FIELD(backlog), 1024, 1, 65535, false },
	{ FIELD(linger_ms), 5000, 0, TORC_NO_LIMIT, false },
	{ FIELD(close_ms), 30000, 0, TORC_NO_LIMIT, false },
	{ FIELD(idle_ms), 60000, 0, TORC_NO_LIMIT, false },
	{ FIELD(drain_ms), 10000, 0, TORC_NO_LIMIT, false },
	{ FIELD(lame_duck_ms), 1000, 0, TORC_NO_LIMIT, false },
	{ FIELD(stall_ms), 100, 0, TORC_NO_LIMIT, false },
	{ FIELD(keepalive_ms), 60000, 1, TORC_NO_LIMIT, false },
	{ FIELD(probe_ms), 10000, 1, KEEPALIVE_MOST, false },
	{ FIELD(probes), 6, 1, 127, false },
	{ FIELD(unacked_ms), 0, 1, TORC_NO_LIMIT, false },
	{ FIELD(read_budget), 16, 1, 1048576, false },
};

static int
check(void *config, const struct torc_bound *bound, struct torc_error *error)
{
	unsigned *value = (unsigned *)(void *)((char *)config +
	    bound->offset);

	torc_debug_assert(bound->least <= bound->most);
	if (*value == 0) {
		*value = bound->initial;
		return 0;
	}
	if (*value >= bound->least && *value <= bound->most &&
	    (!bound->power_of_two || (*value & (*value - 1)) == 0))
		return 0;
	return torc_error_set(error, -EINVAL, "%s = %u: must be %sfrom %u to "
	    "%u", bound->name, *value, bound->power_of_two ?
	    "a power of two " : "", bound->least, bound->most);
}

int
torc_config_check(void *config, const struct torc_bound *table, size_t count,
    struct torc_error *error)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = check(config, &table[i], error);
	return rc;
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Bounds beside which TORC_NO_LIMIT is allowed. */
static int
bound_ms(const char *name, unsigned value, unsigned most,
    struct torc_error *error)
{
	if (value <= most || value == TORC_NO_LIMIT)
		return 0;
	return torc_error_set(error, -EINVAL, "%s = %u: must be from 1 to %u, "
	    "or TORC_NO_LIMIT", name, value, most);
}

/* When peers are given up. */
static int
relate_keepalive(struct torc_config *config, struct torc_error *error)
{
	uint64_t unacked_ms = config->keepalive_ms + (uint64_t)config->probes *
	    config->probe_ms;
	int rc = bound_ms("keepalive_ms", config->keepalive_ms,
	    KEEPALIVE_MOST, error);

	if (rc == 0 && config->unacked_ms != 0)
		return bound_ms("unacked_ms", config->unacked_ms,
		    UNACKED_MOST, error);
	if (config->keepalive_ms == TORC_NO_LIMIT || unacked_ms > UNACKED_MOST)
		config->unacked_ms = TORC_NO_LIMIT;
	else
		config->unacked_ms = (unsigned)unacked_ms;
	return rc;
}

uint32_t
torc_config_rows(const struct torc_config *config)
{
	return config->connections + config->connections / 64 + 16;
}

/* One connection alone may hold `held_max` bytes: see conn/held.c. */
static int
relate_held(struct torc_config *config, struct torc_error *error)
{
	const uint64_t least_total = (uint64_t)config->held_max * HELD_SHARES;

	if (config->held_low == 0)
		config->held_low = config->held_max - config->held_max / 2;
	if (config->held_total == 0)
		config->held_total = least_total > HELD_TOTAL ?
		    (size_t)least_total : HELD_TOTAL;
	if (config->held_low > config->held_max)
		return torc_error_set(error, -EINVAL, "held_low = %u: must be "
		    "at most held_max = %u", config->held_low,
		    config->held_max);
	if (config->held_total < least_total)
		return torc_error_set(error, -EINVAL, "held_total = %zu: must "
		    "be at least %u x held_max = %llu", config->held_total,
		    HELD_SHARES, (unsigned long long)least_total);
	return 0;
}

/* The defaults that follow from other fields, and what must agree. */
static int
relate(struct torc_config *config, struct torc_error *error)
{
	int rc;

	if (config->cq_entries == 0)
		config->cq_entries = least(config->sq_entries * 4, 65536);
	if (config->buffers_start == 0)
		config->buffers_start = least(config->buffers, 64);
	config->stack_size = (unsigned)torc_pages_whole(config->stack_size);
	config->stack_guard = (unsigned)torc_pages_whole(config->stack_guard);
	if (config->cq_entries < config->sq_entries)
		return torc_error_set(error, -EINVAL, "cq_entries = %u: must "
		    "be at least sq_entries = %u", config->cq_entries,
		    config->sq_entries);
	if (config->buffers_start > config->buffers)
		return torc_error_set(error, -EINVAL, "buffers_start = %u: "
		    "must be at most buffers = %u", config->buffers_start,
		    config->buffers);
	rc = relate_held(config, error);
	return rc < 0 ? rc : relate_keepalive(config, error);
}

int
torc_config_take(void *config, size_t size, const void *from,
    size_t from_size, const char *name, struct torc_error *error)
{
	const uint8_t *bytes = from;
	size_t at = from_size < size ? from_size : size;

	memset(config, 0, size);
	if (from == NULL)
		return 0;
	memcpy(config, from, at);
	while (at < from_size && bytes[at] == 0)
		at++;
	return at == from_size ? 0 : torc_error_set(error, -EINVAL,
	    "struct %s: the program was compiled for a later torc, and sets a "
	    "field that this one does not have (byte %zu of %zu, and %zu "
	    "here): install that torc, or leave the field 0", name, at,
	    from_size, size);
}

void
torc_config_give(void *to, size_t to_size, const void *config, size_t size)
{
	const size_t known = to_size < size ? to_size : size;

	memcpy(to, config, known);
	memset((uint8_t *)to + known, 0, to_size - known);
}

int
torc_config_fill(struct torc_config *config, const struct torc_config *from,
    struct torc_error *error)
{
	int rc;

	if (from == NULL)
		memset(config, 0, sizeof(*config));
	else
		*config = *from;
	rc = torc_config_check(config, bounds,
	    sizeof(bounds) / sizeof(bounds[0]), error);
	return rc < 0 ? rc : relate(config, error);
}
