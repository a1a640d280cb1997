/* SPDX-License-Identifier: MIT */
/*
 * write.c - commands to bytes of RESP.
 */
#include <string.h>

#include "conn/redis/torc_resp.h"

size_t
torc_resp_put_head(uint8_t *to, char type, uint64_t size)
{
	uint8_t digits[20];
	size_t count = 0, at = 0;

	if (size < 10) {
		to[0] = (uint8_t)type;
		to[1] = (uint8_t)('0' + size);
		to[2] = '\r';
		to[3] = '\n';
		return 4;
	}
	do {
		digits[count++] = (uint8_t)('0' + size % 10);
		size /= 10;
	} while (size > 0);
	to[at++] = (uint8_t)type;
	while (count > 0)
		to[at++] = digits[--count];
	to[at++] = '\r';
	to[at++] = '\n';
	return at;
}

size_t
torc_resp_command_size(const struct torc_slice *argv, unsigned argc)
{
	uint8_t head[TORC_RESP_HEAD];
	size_t size = torc_resp_put_head(head, '*', argc);

	for (unsigned i = 0; i < argc; i++)
		size += torc_resp_put_head(head, '$', argv[i].size) +
		    argv[i].size + 2;
	return size;
}

size_t
torc_resp_put_command(uint8_t *to, const struct torc_slice *argv, unsigned argc)
{
	size_t at = torc_resp_put_head(to, '*', argc);

	for (unsigned i = 0; i < argc; i++) {
		at += torc_resp_put_head(to + at, '$', argv[i].size);
		if (argv[i].size > 0)
			memcpy(to + at, argv[i].data, argv[i].size);
		at += argv[i].size;
		to[at++] = '\r';
		to[at++] = '\n';
	}
	return at;
}
