/* SPDX-License-Identifier: MIT */
/*
 * options.h - the command line.
 */
#ifndef RINGSTAT_OPTIONS_H
#define RINGSTAT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_PIDS 256

/* Exit statuses. */
enum {
	EXIT_WELL = 0,
	EXIT_WRONG = 1,		/* usage, or an error of ringstat's own */
	EXIT_DENIED = 2,	/* rings may be there, none could be seen */
	EXIT_WARNING = 3,	/* --check */
	EXIT_CRITICAL = 4,	/* --check */
	EXIT_VANISHED = 5,	/* a process that was asked for is not there */
	EXIT_REFUSED = 78,	/* --explain: io_uring cannot be used */
};

enum view {
	VIEW_TABLE, VIEW_EXTENDED, VIEW_ENTRIES, VIEW_POLLS, VIEW_THREADS,
	VIEW_MEMORY, VIEW_CONNS, VIEW_OPS, VIEW_HANDSHAKES,
};

enum mode {
	MODE_TEXT, MODE_WATCH, MODE_JSON, MODE_OPENMETRICS, MODE_CHECK,
	MODE_EXPLAIN, MODE_DUMP,
};

struct options {
	enum mode mode;
	enum view view;
	pid_t pids[MAX_PIDS];
	unsigned pid_count;	/* 0: all */
	const char *comm;	/* NULL: any; a part of the name */
	bool by_user;
	uid_t uid;
	const char *cgroup;	/* NULL: any; a part of the path */
	double interval;	/* seconds; 0: once */
	unsigned long count;	/* 0: until it is interrupted */
	bool no_header;
	bool wide;
	bool numeric;
	bool timestamp;
	bool no_map;
	bool raw;		/* --dump with addresses */
};

/*
 * Read the command line. -1 to go on, or the exit status, after a line on
 * standard error, or after the help or version on standard output.
 */
int options_parse(struct options *options, int argc, char **argv);

#endif
