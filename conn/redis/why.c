/*
 * why.c - errors in words, and what is known of the command that failed.
 */
#include <stdio.h>
#include <string.h>

#include "conn/redis/redis.h"

#define CUT "..."

/* Where a text of UTF-8 can be cut before `size`: not inside a character. */
static size_t
cut_at(const char *text, size_t size)
{
	size_t at = size;

	while (at > 0 && size - at < 4 && (text[at] & 0xc0) == 0x80)
		at--;
	return (text[at] & 0xc0) == 0x80 ? size : at;
}

void
torc_redis_vformat(
    char *text, size_t size, const char *format, va_list arguments)
{
	const int length = vsnprintf(text, size, format, arguments);

	if (length < 0 || (size_t)length < size || size < sizeof(CUT))
		return;
	memcpy(text + cut_at(text, size - sizeof(CUT)), CUT, sizeof(CUT));
}

void
torc_redis_format(char *text, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	torc_redis_vformat(text, size, format, arguments);
	va_end(arguments);
}

int
torc_redis_fail(struct torc_redis *redis, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	torc_redis_vformat(redis->why, sizeof(redis->why), format, arguments);
	va_end(arguments);
	redis->fate = TORC_REDIS_UNSENT;
	return error;
}

int
torc_redis_tell(struct torc_redis *redis, int error, enum torc_redis_fate fate,
    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	torc_redis_vformat(redis->why, sizeof(redis->why), format, arguments);
	va_end(arguments);
	redis->fate = fate;
	return error;
}

const char *
torc_redis_why(const struct torc_redis *redis)
{
	return redis->why;
}

enum torc_redis_fate
torc_redis_fate(const struct torc_redis *redis)
{
	return redis->fate;
}
