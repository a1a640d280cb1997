/* SPDX-License-Identifier: MIT */
/*
 * decode.c - percent-encoding (RFC 3986, 2.1).
 */
#include "conn/http/service.h"

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
torc_decode_char(const uint8_t *at, size_t size, uint8_t *c)
{
	int high, low;

	torc_assert(size > 0 && *at == '%');
	if (size < 3)
		return false;
	high = digit(at[1]);
	low = digit(at[2]);
	*c = (uint8_t)((unsigned)high << 4 | (unsigned)low);
	return high >= 0 && low >= 0;
}
