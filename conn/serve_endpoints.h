/* SPDX-License-Identifier: MIT */
/*
 * serve_endpoints.h - what a server is to listen on.
 */
#ifndef TORC_CONN_SERVE_ENDPOINTS_H
#define TORC_CONN_SERVE_ENDPOINTS_H

#include "conn/torc.h"

/*
 * Whether it makes sense: 0, or -EINVAL and words that name the fields.
 * `endpoint_size`: of a struct torc_endpoint, where the program was compiled.
 */
int torc_serve_check(const struct torc_config *config, size_t endpoint_size,
    struct torc_error *error);

/*
 * The endpoint of a listener: first those of `listen`, then the others. False:
 * there are fewer. The configuration was checked.
 */
bool torc_serve_endpoint(const struct torc_config *config,
    size_t endpoint_size, unsigned index, struct torc_endpoint *endpoint);

#endif
