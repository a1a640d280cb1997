/* SPDX-License-Identifier: MIT */
/*
 * main.c - run a fuzz target on the files that are named, or on the standard
 * input: without a fuzzer, and under AFL++. A file is an input as it is; one
 * whose name ends in .txt is text with the escapes \r \n \t \0 \\ \xHH, in
 * which ends of lines and empty lines mean nothing.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_MAX];

static uint8_t
hex(const uint8_t *digits)
{
	const char text[] = { (char)digits[0], (char)digits[1], '\0' };

	return (uint8_t)strtoul(text, NULL, 16);
}

/* One character of text from `from`, into *to; how many bytes it had. */
static size_t
unescape(const uint8_t *from, size_t left, uint8_t *to)
{
	static const char names[] = "rnt0\\";
	static const char values[] = "\r\n\t\0\\";
	const char *name;

	*to = *from;
	if (*from != '\\' || left < 2)
		return 1;
	name = memchr(names, from[1], sizeof(names) - 1);
	if (name != NULL) {
		*to = (uint8_t)values[name - names];
		return 2;
	}
	if (from[1] != 'x' || left < 4 || !isxdigit(from[2]) ||
	    !isxdigit(from[3]))
		return 1;
	*to = hex(from + 2);
	return 4;
}

static size_t
read_text(size_t size)
{
	size_t used = 0;

	for (size_t at = 0; at < size;) {
		if (input[at] == '\n')
			at++;
		else
			at += unescape(input + at, size - at, &input[used++]);
	}
	return used;
}

/* In memory of exactly its size, so that reading past it is noticed. */
static void
run(size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, input, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int
run_file(const char *name)
{
	const size_t length = strlen(name);
	FILE *file = fopen(name, "rb");
	size_t size;

	if (file == NULL) {
		perror(name);
		return 1;
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	if (length > 4 && strcmp(name + length - 4, ".txt") == 0)
		size = read_text(size);
	run(size);
	return 0;
}

int
main(int argc, char **argv)
{
	int rc = 0;

	if (argc == 1)
		run(fread(input, 1, sizeof(input), stdin));
	for (int i = 1; i < argc; i++)
		rc |= run_file(argv[i]);
	if (argc > 1)
		printf("%d inputs\n", argc - 1);
	return rc;
}
