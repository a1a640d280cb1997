/* SPDX-License-Identifier: MIT */
/*
 * sockets.c - the tables of sockets.
 */
#include "tools/ringstat/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SOCKETS (1u << 20)
#define LISTENING 0x0a

struct row {
	uint64_t ino;
	uint32_t address[4];
	uint16_t port;
	uint8_t kind;
	bool listening;
	char path[108];		/* of a local socket */
};

struct sockets {
	struct row *rows;
	unsigned count;
};

struct sockets *
sockets_new(void)
{
	struct sockets *sockets = must_grow(NULL, 1, sizeof(*sockets));

	*sockets = (struct sockets) { NULL, 0 };
	return sockets;
}

void
sockets_free(struct sockets *sockets)
{
	if (sockets != NULL)
		free(sockets->rows);
	free(sockets);
}

static void
add(struct sockets *sockets, const struct row *row)
{
	const unsigned at = sockets->count;

	if (at == MAX_SOCKETS || row->ino == 0)
		return;
	if ((at & (at - 1)) == 0)
		sockets->rows = must_grow(sockets->rows,
		    at == 0 ? 1 : (size_t)at * 2, sizeof(*row));
	sockets->rows[sockets->count++] = *row;
}

/* "0100007F:1F90": words as they lie in memory, and a port. */
static bool
parse_address(struct text word, struct row *row, unsigned words)
{
	uint64_t value;

	for (unsigned i = 0; i < words; i++) {
		struct text part = { word.at, 8 };

		if (word.size < 8 || !text_hex(&part, &value) ||
		    part.size > 0)
			return false;
		row->address[i] = (uint32_t)value;
		word.at += 8;
		word.size -= 8;
	}
	if (!text_skip(&word, ":") || !text_hex(&word, &value) ||
	    value > UINT16_MAX)
		return false;
	row->port = (uint16_t)value;
	return true;
}

/* "sl: local remote state queues timer retransmits uid timeout inode ..." */
static void
parse_tcp(struct sockets *sockets, enum sockets_kind kind, struct text line)
{
	const unsigned words = kind == SOCKETS_TCP6 ? 4 : 1;
	struct row row = { .kind = (uint8_t)kind };
	struct text local, remote, state, inode;
	uint64_t value;

	text_word(&line);
	local = text_word(&line);
	remote = text_word(&line);
	state = text_word(&line);
	if (!text_hex(&state, &value))
		return;
	row.listening = value == LISTENING;
	if (!parse_address(row.listening ? local : remote, &row, words))
		return;
	for (int i = 0; i < 5; i++)
		text_word(&line);
	inode = text_word(&line);
	if (text_decimal(&inode, &row.ino))
		add(sockets, &row);
}

/* "num: refcount protocol flags type state inode path" */
static void
parse_unix(struct sockets *sockets, struct text line)
{
	struct row row = { .kind = SOCKETS_UNIX };
	struct text inode;

	for (int i = 0; i < 6; i++)
		text_word(&line);
	inode = text_word(&line);
	if (!text_decimal(&inode, &row.ino))
		return;
	text_skip_blanks(&line);
	text_copy(line, row.path, sizeof(row.path));
	add(sockets, &row);
}

void
sockets_parse(struct sockets *sockets, enum sockets_kind kind,
    struct lines *lines)
{
	struct text line;

	lines_next(lines, &line);	/* the header */
	while (lines_next(lines, &line)) {
		if (kind == SOCKETS_UNIX)
			parse_unix(sockets, line);
		else
			parse_tcp(sockets, kind, line);
	}
}

static int
compare(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

void
sockets_sort(struct sockets *sockets)
{
	if (sockets->count > 0)
		qsort(sockets->rows, sockets->count, sizeof(struct row),
		    compare);
}

struct sockets *
sockets_load(int proc, const char *folder)
{
	static const char *const names[] = {
		[SOCKETS_TCP] = "tcp",
		[SOCKETS_TCP6] = "tcp6",
		[SOCKETS_UNIX] = "unix",
	};
	struct sockets *sockets = sockets_new();
	struct lines lines;

	for (int i = 0; i < 3; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s/net/%s", folder, names[i]);
		fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		lines_of_fd(&lines, fd);
		sockets_parse(sockets, (enum sockets_kind)i, &lines);
		close(fd);
	}
	sockets_sort(sockets);
	return sockets;
}

bool
sockets_name(const struct sockets *sockets, uint64_t ino, char *text,
    size_t size)
{
	const struct row key = { .ino = ino };
	const struct row *row = sockets == NULL || sockets->count == 0 ?
	    NULL : bsearch(&key, sockets->rows, sockets->count, sizeof(key),
	    compare);
	char address[INET6_ADDRSTRLEN];

	if (row == NULL)
		return false;
	if (row->kind == SOCKETS_UNIX) {
		snprintf(text, size, "unix:%s", row->path);
		return true;
	}
	inet_ntop(row->kind == SOCKETS_TCP6 ? AF_INET6 : AF_INET,
	    row->address, address, sizeof(address));
	snprintf(text, size, row->kind == SOCKETS_TCP6 ? "%s[%s]:%u" :
	    "%s%s:%u", row->listening ? "listening " : "", address,
	    row->port);
	return true;
}
