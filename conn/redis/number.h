/* SPDX-License-Identifier: MIT */
/*
 * number.h - the numbers of RESP, as text on the wire. They do not depend on
 * the locale of the program. Any thread.
 */
#ifndef TORC_REDIS_NUMBER_H
#define TORC_REDIS_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/*
 * A double: digits with a point and an exponent, or infinity or "nan" in the
 * spelling of any printf(3). Returns 0, or -EBADMSG if it is neither.
 */
int torc_redis_read_double(const uint8_t *text, size_t size, double *number);

#endif
