/* SPDX-License-Identifier: MIT */
/*
 * secret.c - comparing what a peer sent with a secret. How long that takes
 * tells the peer nothing about the secret's bytes.
 */
#include <string.h>

#include "conn/http/torc_http.h"

bool
torc_http_same_secret(struct torc_slice sent, const char *secret)
{
	const uint8_t *bytes = (const uint8_t *)secret;
	const size_t size = secret == NULL ? 0 : strlen(secret);
	size_t differ = sent.size ^ size;
	size_t at = 0;	/* in the secret, up to its NUL */

	if (size == 0)
		return false;
	for (size_t i = 0; i < sent.size; i++) {
		differ |= sent.data[i] ^ bytes[at];
		at += at < size;
		/* Otherwise a compiler might stop at the first difference. */
		__asm__("" : "+r"(differ));
	}
	return differ == 0;
}
