/*
 * config.h - defaults and bounds of struct torc_config.
 */
#ifndef TORC_REACTOR_CONFIG_H
#define TORC_REACTOR_CONFIG_H

#include <stddef.h>

struct torc_config;

/*
 * Copy `from` (NULL: all defaults) to `config` with every default filled in.
 * 0, or -EINVAL with the field, its value and its bounds in `text`.
 */
int torc_config_fill(struct torc_config *config,
    const struct torc_config *from, char *text, size_t size);

#endif
