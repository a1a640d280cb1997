/* SPDX-License-Identifier: MIT */
/*
 * alpn.c - protocols, as ALPN has them.
 */
#include <errno.h>
#include <string.h>

#include "conn/tls/alpn.h"
#include "reactor/error.h"
#include "sys/sys.h"

int
torc_tls_alpn_encode(const char *const *names, uint8_t **bytes,
    unsigned *size, struct torc_error *error)
{
	size_t needed = 0, at = 0;

	*bytes = NULL;
	*size = 0;
	for (unsigned i = 0; names != NULL && names[i] != NULL; i++) {
		const size_t length = strlen(names[i]);

		if (length == 0 || length > 255)
			return torc_error_set(error, -EINVAL, "protocols[%u] = "
			    "\"%s\": must have 1 to 255 bytes", i, names[i]);
		needed += 1 + length;
	}
	if (needed == 0)
		return 0;
	*bytes = torc_sys_alloc(needed);
	if (*bytes == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for protocols");
	for (unsigned i = 0; names[i] != NULL; i++) {
		const size_t length = strlen(names[i]);

		(*bytes)[at] = (uint8_t)length;
		memcpy(*bytes + at + 1, names[i], length);
		at += 1 + length;
	}
	*size = (unsigned)needed;
	return 0;
}

bool
torc_tls_alpn_has(const uint8_t *list, unsigned size, const char *protocol)
{
	const uint8_t *end = list + size;

	while (list < end && (list[0] != strlen(protocol) ||
	    memcmp(list + 1, protocol, list[0]) != 0))
		list += 1 + list[0];
	return list < end;
}
