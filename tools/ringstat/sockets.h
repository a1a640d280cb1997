/* SPDX-License-Identifier: MIT */
/*
 * sockets.h - whom a socket is connected to: the tables of /proc/PID/net, by
 * inode.
 */
#ifndef RINGSTAT_SOCKETS_H
#define RINGSTAT_SOCKETS_H

#include <sys/types.h>

#include "tools/ringstat/text.h"

struct sockets;

/* The sockets of the network namespace of a process; to be freed. */
struct sockets *sockets_load(int proc, const char *folder);
void sockets_free(struct sockets *sockets);

enum sockets_kind { SOCKETS_TCP, SOCKETS_TCP6, SOCKETS_UNIX };
struct sockets *sockets_new(void);
/* Add what a table says; lines that make no sense are left out. */
void sockets_parse(struct sockets *sockets, enum sockets_kind kind,
    struct lines *lines);
/* After the last table, before the first question. */
void sockets_sort(struct sockets *sockets);

/*
 * "ADDRESS:PORT" of the peer of a socket, "listening ADDRESS:PORT", or
 * "unix:PATH" of a local one; false if it is none of them.
 */
bool sockets_name(const struct sockets *sockets, uint64_t ino, char *text,
    size_t size);

#endif
