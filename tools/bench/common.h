/* SPDX-License-Identifier: MIT */
/*
 * common.h - what the programs of the benchmark share: giving up with a
 * message, memory, numbers of a command line, addresses, and the limit of
 * open descriptors.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Ends the program with a message when the system refuses something. */
static inline _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* A number of a command line, or the end of the program. */
static inline unsigned long
parse_number(const char *text, unsigned long least, unsigned long most)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || number < least || number > most) {
		fprintf(stderr, "%s: a number from %lu to %lu is needed\n",
		    text, least, most);
		exit(2);
	}
	return number;
}

/* Zeroed memory, or the end of the program. */
static inline void *
allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		die("calloc");
	return memory;
}

static inline uint16_t
parse_port(const char *text)
{
	return (uint16_t)parse_number(text, 1, UINT16_MAX);
}

static inline struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in address = { 0 };

	address.sin_family = AF_INET;
	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

/*
 * Raises the limit of open descriptors as far as it goes and returns it,
 * bounded to what the tables of these programs are meant for.
 */
static inline unsigned
raise_descriptor_limit(void)
{
	const rlim_t most = 32768;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
	return (unsigned)(limit.rlim_cur < most ? limit.rlim_cur : most);
}

#endif
