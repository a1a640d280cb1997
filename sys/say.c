/* SPDX-License-Identifier: MIT */
/*
 * say.c - the last words of a process, in one piece: without memory of its own
 * and without libc's buffers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/trap.h"

#define PARTS 12

static void
add(struct iovec *part, const char *text)
{
	part->iov_base = (void *)(uintptr_t)text;
	part->iov_len = strlen(text);
}

void
torc_say(const char *const parts[])
{
	struct iovec all[PARTS];
	int count = 0;

	add(&all[count++], "torc: ");
	for (; *parts != NULL && count < PARTS - 1; parts++)
		add(&all[count++], *parts);
	add(&all[count++], "\n");
	/* Nothing can be done if it fails. */
	if (writev(STDERR_FILENO, all, count) < 0)
		return;
}

const char *
torc_digits(char buffer[TORC_DIGITS], uint64_t number)
{
	char *digit = buffer + TORC_DIGITS;

	*--digit = '\0';
	do {
		*--digit = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return digit;
}

int64_t
torc_number(const char *text, const char **rest)
{
	bool negative;
	int64_t number = 0;

	while (*text == ' ')
		text++;
	negative = *text == '-';
	if (negative)
		text++;
	for (; *text >= '0' && *text <= '9'; text++) {
		/* What is too large stays so. */
		if (number > (INT64_MAX - 9) / 10)
			number = (INT64_MAX - 9) / 10;
		number = number * 10 + (*text - '0');
	}
	if (rest != NULL)
		*rest = text;
	return negative ? -number : number;
}
