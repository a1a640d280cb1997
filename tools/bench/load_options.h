/* SPDX-License-Identifier: MIT */
/*
 * load_options.h - the command line of the load generator; see load.c.
 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "tools/bench/common.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { SERVERS_MAX = 64 };

enum mode {
	MODE_HTTP,
	MODE_ECHO,
	MODE_CHURN,
	MODE_IDLE,
};

struct load_options {
	enum mode mode;
	uint16_t port;
	unsigned connections;
	unsigned pipeline;
	size_t message_size;
	double warmup;
	double seconds;
	uint64_t requests;	/* 0: by time */
	bool busy;		/* poll, do not sleep */
	long servers[SERVERS_MAX];
	unsigned server_count;
};

static struct load_options options = {
	.connections = 64,
	.pipeline = 1,
	.message_size = 64,
	.warmup = 0.4,
	.seconds = -1,
};

static inline enum mode
parse_mode(const char *text)
{
	static const char *const names[] = { "http", "echo", "churn", "idle" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0)
			return (enum mode)i;
	}
	fprintf(stderr, "load: no such mode: %s\n", text);
	exit(2);
}

static inline double
parse_seconds(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 0 && seconds < 1e6)) {
		fprintf(stderr, "load: not a number of seconds: %s\n", text);
		exit(2);
	}
	return seconds;
}

static inline void
parse_servers(char *text)
{
	for (char *pid = strtok(text, ","); pid != NULL;
	    pid = strtok(NULL, ",")) {
		if (options.server_count == SERVERS_MAX) {
			fprintf(stderr, "load: too many servers\n");
			exit(2);
		}
		options.servers[options.server_count++] =
		    (long)parse_number(pid, 1, INT32_MAX);
	}
}

static inline void
parse_option(int option, char *value)
{
	switch (option) {
	case 'p':
		options.port = parse_port(value);
		break;
	case 'm':
		options.mode = parse_mode(value);
		break;
	case 'c':
		options.connections = (unsigned)parse_number(value, 1, 32768);
		break;
	case 'P':
		options.pipeline = (unsigned)parse_number(value, 1, 4096);
		break;
	case 's':
		options.message_size = parse_number(value, 1, 1 << 20);
		break;
	case 'w':
		options.warmup = parse_seconds(value);
		break;
	case 'd':
		options.seconds = parse_seconds(value);
		break;
	case 'n':
		options.requests = parse_number(value, 1, INT64_MAX);
		break;
	case 'S':
		parse_servers(value);
		break;
	case 'b':
		options.busy = true;
		break;
	default:
		exit(2);
	}
}

/* Reads the command line into options, or ends the program. */
static inline void
parse_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "p:m:c:P:s:w:d:n:S:b")) != -1)
		parse_option(option, optarg);
	if (options.port == 0 || optind != argc) {
		fprintf(stderr, "usage: load -p PORT [-m http|echo|churn|idle]"
		    " [-c CONNECTIONS] [-P PIPELINE]\n    [-s BYTES] "
		    "[-w WARMUP] [-d SECONDS] [-n REQUESTS] [-S PIDS] [-b]\n");
		exit(2);
	}
	/* A count of requests ends by itself; the time is a last resort. */
	if (options.seconds < 0)
		options.seconds = options.requests > 0 ? 120 : 1;
	if (options.mode == MODE_CHURN)
		options.pipeline = 1;
}

#endif
