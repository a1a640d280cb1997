/* SPDX-License-Identifier: MIT */
/*
 * address.h - addresses as text.
 */
#ifndef TORC_CONN_ADDRESS_H
#define TORC_CONN_ADDRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Read an address as torc_listen() documents it. The size of `*address`, or
 * -EINVAL.
 */
int torc_address_parse(const char *text, struct sockaddr_storage *address);
/*
 * Take "host:port" apart. The port, or -EINVAL if this is not of that form or
 * the host is longer than `size` allows.
 */
int torc_address_split(const char *text, char *host, size_t size);
/* Write one. 0, or -ENOSPC. */
int torc_address_format(const struct sockaddr_storage *address,
    uint32_t address_size, char *text, size_t size);
unsigned torc_address_port(const struct sockaddr_storage *address);
void torc_address_set_port(struct sockaddr_storage *address, unsigned port);

#endif
