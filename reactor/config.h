/* SPDX-License-Identifier: MIT */
/*
 * config.h - defaults and bounds of struct torc_config, and of others.
 */
#ifndef TORC_REACTOR_CONFIG_H
#define TORC_REACTOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/trap.h"

struct torc_config;
struct torc_error;

/* A field of a configuration, an unsigned. */
struct torc_bound {
	const char *name;
	size_t offset;
	unsigned initial;	/* 0: worked out from the others */
	unsigned least;
	unsigned most;
	bool power_of_two;
};

#define TORC_BOUND_FIELD(type, name) #name, offsetof(type, name)

/* Rows for connections: some more than there may be, while others leave. */
uint32_t torc_config_rows(const struct torc_config *config);

/*
 * Give the fields of `config` that are 0 their defaults. 0, or -EINVAL, and
 * `error` (may be NULL) names the first field that is out of its bounds, its
 * value and these.
 */
TORC_BESIDE int torc_config_check(void *config,
    const struct torc_bound *table, size_t count, struct torc_error *error);

/*
 * Structures that grow: see torc_runtime.h. Take one of `from_size` bytes, as
 * the caller was compiled with (NULL: all zero), into one of ours, called
 * `name`. 0, or -EINVAL, and `error` (may be NULL) says so, if the caller has
 * set a field that we do not have.
 */
TORC_BESIDE int torc_config_take(void *config, size_t size, const void *from,
    size_t from_size, const char *name, struct torc_error *error);

/* Give one to the caller: what both have, and 0 for the rest. */
TORC_BESIDE void torc_config_give(void *to, size_t to_size, const void *config,
    size_t size);

/*
 * Copy `from` (NULL: all defaults) to `config` with every default filled in.
 * 0, or -EINVAL, and `error` (may be NULL) names the field, its value and its
 * bounds.
 */
int torc_config_fill(struct torc_config *config,
    const struct torc_config *from, struct torc_error *error);

#endif
