/* SPDX-License-Identifier: MIT */
/*
 * options.c - reading the command line.
 */
#include "tools/ringstat/options.h"

#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "conn/torc.h"
#include "tools/ringstat/text.h"

#define MAX_INTERVAL 86400.0
#define MIN_INTERVAL 0.05

enum long_only {
	OPT_CGROUP = 256, OPT_OPENMETRICS, OPT_CHECK, OPT_EXPLAIN, OPT_DUMP,
	OPT_NO_MAP, OPT_RAW, OPT_OPS, OPT_VERSION, OPT_CONNS, OPT_HANDSHAKES,
};

static const char help[] =
"usage: ringstat [OPTION...] [INTERVAL [COUNT]]\n"
"\n"
"Show the io_uring rings of processes. With INTERVAL (in seconds), show what\n"
"happened in each interval. COUNT limits the number of intervals.\n"
"\n"
"Which rings (default: all that you may see):\n"
"  -p, --pid PID[,PID]    only these processes\n"
"  -c, --comm TEXT        only processes with TEXT in their name\n"
"  -u, --user USER        only processes of this user (name or number)\n"
"      --cgroup TEXT      only processes with TEXT in their cgroup's path\n"
"\n"
"What to show (default: one line per ring):\n"
"  -x, --extended         every column\n"
"  -e, --entries          pending SQEs and waiting completions, decoded\n"
"  -o, --polls            armed polls by operation, and registered sockets\n"
"  -t, --threads          workers and SQPOLL threads, with their CPU time\n"
"  -m, --memory           bytes of rings and buffers, and their limits\n"
"      --conns            connections of torc programs\n"
"      --ops              operations of torc programs, by opcode\n"
"      --handshakes       TLS handshakes of torc programs\n"
"\n"
"How to show it:\n"
"  -w, --watch[=SECONDS]  full screen, every 2 seconds; q: quit, h: help\n"
"  -j, --json             one JSON object per sample (schema 1)\n"
"      --openmetrics      metrics in the text format of Prometheus\n"
"      --check            report problems, also by the exit status\n"
"      --explain          say whether io_uring works here, and if not, why\n"
"      --dump PID         everything about a process, for a bug report\n"
"      --raw              ... including memory addresses and user_data\n"
"  -H, --no-header        omit the line with the names of the columns\n"
"  -W, --wide             do not fit lines to the terminal\n"
"  -n, --numeric          user numbers instead of names\n"
"  -T, --timestamp        print the time before each sample\n"
"      --no-map           do not map rings, read fdinfo only\n"
"  -h, --help             this text\n"
"      --version          the versions of ringstat and of the kernel\n"
"\n"
"Exit status: 0 success; 1 wrong usage, or an error; 2 no ring was seen, and\n"
"some processes may not be read; 3 --check found a warning, 4 something\n"
"critical; 5 no such process; 78 io_uring cannot be used (--explain).\n";

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "comm", required_argument, NULL, 'c' },
	{ "user", required_argument, NULL, 'u' },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "extended", no_argument, NULL, 'x' },
	{ "entries", no_argument, NULL, 'e' },
	{ "polls", no_argument, NULL, 'o' },
	{ "threads", no_argument, NULL, 't' },
	{ "memory", no_argument, NULL, 'm' },
	{ "conns", no_argument, NULL, OPT_CONNS },
	{ "ops", no_argument, NULL, OPT_OPS },
	{ "handshakes", no_argument, NULL, OPT_HANDSHAKES },
	{ "watch", optional_argument, NULL, 'w' },
	{ "json", no_argument, NULL, 'j' },
	{ "openmetrics", no_argument, NULL, OPT_OPENMETRICS },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "explain", no_argument, NULL, OPT_EXPLAIN },
	{ "dump", required_argument, NULL, OPT_DUMP },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "no-header", no_argument, NULL, 'H' },
	{ "wide", no_argument, NULL, 'W' },
	{ "numeric", no_argument, NULL, 'n' },
	{ "timestamp", no_argument, NULL, 'T' },
	{ "no-map", no_argument, NULL, OPT_NO_MAP },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int
wrong(const char *what, const char *value)
{
	char escaped[256];

	text_escape(value, escaped, sizeof(escaped));
	fprintf(stderr, "ringstat: %s: %s (--help)\n", what, escaped);
	return EXIT_WRONG;
}

static int
parse_seconds(const char *text, double *seconds)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' ||
	    !(value >= MIN_INTERVAL && value <= MAX_INTERVAL))
		return wrong("not an interval of 0.05 to 86400 seconds",
		    text);
	*seconds = value;
	return -1;
}

static int
parse_pids(struct options *options, const char *text)
{
	const char *at = text;

	for (;;) {
		char *end;
		long pid = strtol(at, &end, 10);

		if (end == at || pid <= 0 || pid > 1 << 22 ||
		    (*end != '\0' && *end != ','))
			return wrong("not a list of processes", text);
		if (options->pid_count == MAX_PIDS)
			return wrong("more than 256 processes", text);
		options->pids[options->pid_count++] = (pid_t)pid;
		if (*end == '\0')
			return -1;
		at = end + 1;
	}
}

static int
parse_user(struct options *options, const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	options->by_user = true;
	if (end != text && *end == '\0' && number < UINT32_MAX) {
		options->uid = (uid_t)number;
	} else {
		const struct passwd *user = getpwnam(text);

		if (user == NULL)
			return wrong("no such user", text);
		options->uid = user->pw_uid;
	}
	return -1;
}

static int
set_mode(struct options *options, enum mode mode)
{
	if (options->mode != MODE_TEXT && options->mode != mode)
		return wrong("these exclude each other",
		    "give one of --watch, --json, --openmetrics, --check, "
		    "--explain, --dump");
	options->mode = mode;
	return -1;
}

static int
set_view(struct options *options, enum view view)
{
	if (options->view != VIEW_TABLE && options->view != view)
		return wrong("these exclude each other",
		    "give one of -x, -e, -o, -t, -m, --conns, --ops, "
		    "--handshakes");
	options->view = view;
	return -1;
}

static int
print_version(void)
{
	struct utsname system;

	uname(&system);
	printf("ringstat (torc) %s\n%s %s\n", torc_version(), system.sysname,
	    system.release);
	return EXIT_WELL;
}

static int
apply_mode(struct options *options, int option, const char *value)
{
	int rc;

	switch (option) {
	case 'w':
		options->interval = 2;
		rc = value == NULL ? -1 :
		    parse_seconds(value, &options->interval);
		return rc >= 0 ? rc : set_mode(options, MODE_WATCH);
	case 'j':
		return set_mode(options, MODE_JSON);
	case OPT_OPENMETRICS:
		return set_mode(options, MODE_OPENMETRICS);
	case OPT_CHECK:
		return set_mode(options, MODE_CHECK);
	case OPT_EXPLAIN:
		return set_mode(options, MODE_EXPLAIN);
	case OPT_DUMP:
		rc = parse_pids(options, value);
		return rc >= 0 ? rc : set_mode(options, MODE_DUMP);
	case 'h':
		fputs(help, stdout);
		return EXIT_WELL;
	case OPT_VERSION:
		return print_version();
	default:	/* getopt has said what is wrong */
		return EXIT_WRONG;
	}
}

static int
apply(struct options *options, int option, const char *value)
{
	static const struct { int option; enum view view; } views[] = {
		{ 'x', VIEW_EXTENDED }, { 'e', VIEW_ENTRIES },
		{ 'o', VIEW_POLLS }, { 't', VIEW_THREADS },
		{ 'm', VIEW_MEMORY }, { OPT_CONNS, VIEW_CONNS },
		{ OPT_OPS, VIEW_OPS }, { OPT_HANDSHAKES, VIEW_HANDSHAKES },
	};
	const struct { int option; bool *flag; } flags[] = {
		{ 'H', &options->no_header }, { 'n', &options->numeric },
		{ 'W', &options->wide },
		{ 'T', &options->timestamp }, { OPT_RAW, &options->raw },
		{ OPT_NO_MAP, &options->no_map },
	};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		if (views[i].option == option)
			return set_view(options, views[i].view);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (flags[i].option == option) {
			*flags[i].flag = true;
			return -1;
		}
	}
	switch (option) {
	case 'p':
		return parse_pids(options, value);
	case 'u':
		return parse_user(options, value);
	case 'c':
		options->comm = value;
		return -1;
	case OPT_CGROUP:
		options->cgroup = value;
		return -1;
	default:
		return apply_mode(options, option, value);
	}
}

static int
parse_operands(struct options *options, int count, char **operands)
{
	char *end;
	int rc;

	if (count == 0)
		return -1;
	if (count > 2)
		return wrong("too many arguments", operands[2]);
	rc = parse_seconds(operands[0], &options->interval);
	if (rc >= 0)
		return rc;
	if (count == 2) {
		options->count = strtoul(operands[1], &end, 10);
		if (end == operands[1] || *end != '\0' ||
		    operands[1][0] == '-' || options->count == 0)
			return wrong("not a count", operands[1]);
	}
	if (options->mode == MODE_EXPLAIN || options->mode == MODE_DUMP)
		return wrong("this option takes no interval", operands[0]);
	return -1;
}

int
options_parse(struct options *options, int argc, char **argv)
{
	static char name[] = "ringstat";
	int option, rc;

	memset(options, 0, sizeof(*options));
	if (argc > 0)
		argv[0] = name;	/* getopt's complaints begin with it */
	while ((option = getopt_long(argc, argv, "p:c:u:xeotmw::jHWnTh",
	    long_options, NULL)) >= 0) {
		rc = apply(options, option, optarg);
		if (rc >= 0)
			return rc;
	}
	return parse_operands(options, argc - optind, argv + optind);
}
