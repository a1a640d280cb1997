/* SPDX-License-Identifier: MIT */
/*
 * text.c - lines, numbers, escapes.
 */
#include "tools/ringstat/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Lines ---- */

void
lines_of_fd(struct lines *lines, int fd)
{
	lines->fd = fd;
	lines->at = lines->buffer;
	lines->size = 0;
	lines->ended = false;
	lines->error = 0;
}

void
lines_of_memory(struct lines *lines, const void *bytes, size_t size)
{
	lines_of_fd(lines, -1);
	lines->at = bytes;
	lines->size = size;
	lines->ended = true;
}

/* Move what is left to the front of the buffer, and read behind it. */
static void
fill(struct lines *lines)
{
	ssize_t count;

	if (lines->ended || lines->size == LINE_MAX_SIZE)
		return;
	memmove(lines->buffer, lines->at, lines->size);
	lines->at = lines->buffer;
	do
		count = read(lines->fd, lines->buffer + lines->size,
		    LINE_MAX_SIZE - lines->size);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		lines->error = -errno;
	if (count <= 0)
		lines->ended = true;
	else
		lines->size += (size_t)count;
}

static void
drop(struct lines *lines, size_t size)
{
	lines->at += size;
	lines->size -= size;
}

/* The rest of a line that was cut. */
static void
skip_rest(struct lines *lines)
{
	for (;;) {
		const char *end = memchr(lines->at, '\n', lines->size);

		if (end != NULL) {
			drop(lines, (size_t)(end - lines->at) + 1);
			return;
		}
		drop(lines, lines->size);
		if (lines->ended)
			return;
		fill(lines);
	}
}

bool
lines_next(struct lines *lines, struct text *line)
{
	const char *end;

	while ((end = lines->size == 0 ? NULL :
	    memchr(lines->at, '\n', lines->size)) == NULL &&
	    !lines->ended && lines->size < LINE_MAX_SIZE)
		fill(lines);
	if (lines->size == 0)
		return false;
	line->at = lines->at;
	line->size = end != NULL ? (size_t)(end - lines->at) : lines->size;
	if (line->size > LINE_MAX_SIZE)
		line->size = LINE_MAX_SIZE;
	if (end != NULL) {
		drop(lines, (size_t)(end - lines->at) + 1);
	} else if (lines->ended) {
		drop(lines, lines->size);
	} else {
		/* The line fills the buffer, which is wanted for the rest. */
		static char cut[LINE_MAX_SIZE];

		memcpy(cut, line->at, line->size);
		line->at = cut;
		skip_rest(lines);
	}
	return true;
}

/* ---- Parts of lines ---- */

bool
text_skip(struct text *text, const char *prefix)
{
	size_t size = strlen(prefix);

	if (text->size < size || memcmp(text->at, prefix, size) != 0)
		return false;
	text->at += size;
	text->size -= size;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void
text_skip_blanks(struct text *text)
{
	while (text->size > 0 && is_blank(text->at[0])) {
		text->at++;
		text->size--;
	}
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static bool
number(struct text *text, unsigned base, uint64_t *value)
{
	uint64_t sum = 0;
	size_t used = 0;

	while (used < text->size && (unsigned)digit(text->at[used]) < base) {
		if (__builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum,
		    (unsigned)digit(text->at[used]), &sum))
			return false;
		used++;
	}
	if (used == 0)
		return false;
	text->at += used;
	text->size -= used;
	*value = sum;
	return true;
}

bool
text_decimal(struct text *text, uint64_t *value)
{
	return number(text, 10, value);
}

bool
text_hex(struct text *text, uint64_t *value)
{
	struct text rest = *text;

	text_skip(&rest, "0x");
	if (!number(&rest, 16, value))
		return false;
	*text = rest;
	return true;
}

bool
text_signed(struct text *text, int64_t *value)
{
	struct text rest = *text;
	bool negative = text_skip(&rest, "-");
	uint64_t size;

	if (!number(&rest, 10, &size) || size > INT64_MAX)
		return false;
	*value = negative ? -(int64_t)size : (int64_t)size;
	*text = rest;
	return true;
}

struct text
text_word(struct text *text)
{
	struct text word;

	text_skip_blanks(text);
	word = (struct text) { text->at, 0 };
	while (word.size < text->size && !is_blank(text->at[word.size]))
		word.size++;
	text->at += word.size;
	text->size -= word.size;
	return word;
}

bool
text_is(struct text text, const char *string)
{
	return text.size == strlen(string) &&
	    memcmp(text.at, string, text.size) == 0;
}

void
text_copy(struct text text, char *copy, size_t size)
{
	if (text.size >= size)
		text.size = size - 1;
	memcpy(copy, text.at, text.size);
	copy[text.size] = '\0';
}

/* ---- Writing ---- */

void
text_escape(const char *string, char *out, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (; *string != '\0'; string++) {
		unsigned char c = (unsigned char)*string;
		bool plain = c >= ' ' && c < 0x7f && c != '\\';

		if (used + (plain ? 1 : 4) >= size)
			break;
		if (plain) {
			out[used++] = (char)c;
			continue;
		}
		out[used++] = '\\';
		out[used++] = 'x';
		out[used++] = digits[c >> 4];
		out[used++] = digits[c & 15];
	}
	out[used] = '\0';
}

/* Controls, and what changes how the text around it is shown. */
static bool
is_active(uint32_t code)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0, 0x1f }, { 0x7f, 0x9f },	/* C0 and C1 */
		{ 0xad, 0xad },			/* shows itself at times */
		{ 0x61c, 0x61c },		/* a mark of direction */
		{ 0x180e, 0x180e },
		{ 0x200b, 0x200f },		/* no width; direction */
		{ 0x2028, 0x202e },		/* ends of lines; direction */
		{ 0x2060, 0x206f },		/* no width; direction */
		{ 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb },		/* annotations */
		{ 0xe0000, 0xe0fff },		/* tags */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

/* One character, as one escape or as two. */
static void
put_escaped(FILE *file, uint32_t code)
{
	if (code > 0xffff)
		fprintf(file, "\\u%04x\\u%04x",
		    0xd800 + ((code - 0x10000) >> 10),
		    0xdc00 + ((code - 0x10000) & 0x3ff));
	else
		fprintf(file, "\\u%04x", code);
}

/* The size of the UTF-8 character at `at`, or 0 if it is none; its code. */
static size_t
utf8_size(const unsigned char *at, uint32_t *character)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xf0 && at[0] < 0xf8 ? 4 :
	    at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 0;
	uint32_t code;

	*character = at[0];
	if (size < 2 || at[0] >= 0xf8)
		return size < 2 ? size : 0;
	code = at[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[size] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	*character = code;
	return size;
}

void
text_json(FILE *file, const char *string)
{
	const unsigned char *at = (const unsigned char *)string;

	putc('"', file);
	while (*at != '\0') {
		uint32_t code;
		size_t size = utf8_size(at, &code);

		if (size == 0) {
			fputs("\\ufffd", file);
			size = 1;
		} else if (is_active(code)) {
			put_escaped(file, code);
		} else {
			if (*at == '"' || *at == '\\')
				putc('\\', file);
			fwrite(at, 1, size, file);
		}
		at += size;
	}
	putc('"', file);
}

/* ---- Small files and memory ---- */

int
text_slurp(int directory, const char *path, char *bytes, size_t size)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t used = 0;
	ssize_t count = 1;
	int error = 0;

	bytes[0] = '\0';
	if (fd < 0)
		return -errno;
	while (used < size - 1 && count > 0) {
		count = read(fd, bytes + used, size - 1 - used);
		if (count > 0)
			used += (size_t)count;
		else if (count < 0)
			error = -errno;
	}
	close(fd);
	bytes[used] = '\0';
	return error < 0 ? error : (int)used;
}

void *
must_grow(void *memory, size_t count, size_t size)
{
	size_t bytes;
	void *grown = __builtin_mul_overflow(count, size, &bytes) ? NULL :
	    realloc(memory, bytes == 0 ? 1 : bytes);

	if (grown == NULL) {
		fputs("ringstat: no memory\n", stderr);
		exit(1);
	}
	return grown;
}
