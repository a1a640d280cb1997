/* SPDX-License-Identifier: MIT */
/*
 * text.h - reading other processes' text: line by line through a buffer of
 * fixed size, whatever it says, and writing it without its control
 * characters.
 *
 * Nothing here trusts its input: lines have no length, no terminator and any
 * bytes in them.
 */
#ifndef RINGSTAT_TEXT_H
#define RINGSTAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define UNKNOWN INT64_C(-1)	/* a figure: "-", and null in JSON */
#define LINE_MAX_SIZE 4096u

/* A part of a line; not terminated. */
struct text {
	const char *at;
	size_t size;
};

/*
 * Lines of a descriptor, or of memory (fd -1). One that is longer than
 * LINE_MAX_SIZE is cut there, and the rest of it left out.
 */
struct lines {
	int fd;
	const char *at;		/* what was read and not yet handed out */
	size_t size;
	bool ended;
	int error;		/* of read(2); negative */
	char buffer[LINE_MAX_SIZE];
};

void lines_of_fd(struct lines *lines, int fd);
void lines_of_memory(struct lines *lines, const void *bytes, size_t size);
/* The next line, without its newline, good until the next call. */
bool lines_next(struct lines *lines, struct text *line);

/* Each takes what it has read off `text`, or leaves it alone: false. */
bool text_skip(struct text *text, const char *prefix);
void text_skip_blanks(struct text *text);
/* A number that fits; no sign, no blanks before it. */
bool text_decimal(struct text *text, uint64_t *value);
bool text_hex(struct text *text, uint64_t *value);
/* As decimal, with a sign, in the range of int64_t. */
bool text_signed(struct text *text, int64_t *value);
/* To the next blank; empty at the end of the line. */
struct text text_word(struct text *text);
bool text_is(struct text text, const char *string);
/* A copy that is cut to `size` and terminated. */
void text_copy(struct text text, char *copy, size_t size);

/*
 * Write `string` to `out` (`size` bytes with the terminator): what is not a
 * printable character of ASCII as \xNN.
 */
void text_escape(const char *string, char *out, size_t size);

/*
 * A string of JSON, with its quotation marks. Bytes that are no UTF-8 become
 * U+FFFD; what acts on a terminal, or turns or hides the text around it, is
 * written as \uNNNN: controls (C1, too) and Unicode's format characters.
 */
void text_json(FILE *file, const char *string);

/*
 * A whole small file at `directory`/`path` (AT_FDCWD: `path`), terminated and
 * cut to `size` - 1: how many bytes, or a negative errno.
 */
int text_slurp(int directory, const char *path, char *bytes, size_t size);

/* Memory, or the end of the program. */
void *must_grow(void *memory, size_t count, size_t size);

#endif
