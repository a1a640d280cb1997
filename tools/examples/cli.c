/* SPDX-License-Identifier: MIT */
/*
 * cli.c - options of the examples, and their messages on standard error.
 */
#define _GNU_SOURCE 1

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ADDRESSES 64
#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

static char crew[400];		/* the number of reactors, and why */
static const char *addresses[ADDRESSES + 1];
static const struct torc_config *serving;

int
cli_fail(int error, const char *format, ...)
{
	char text[1200];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
	return error;
}

const char *
cli_env(const char *variable, const char *otherwise)
{
	const char *text = getenv(variable);

	return text != NULL ? text : otherwise;
}

static void
notice(const char *text, void *arg)
{
	(void)arg;
	cli_fail(0, "%s", text);
}

/* Returns the limit of open descriptors, which torc_serve() has raised. */
static unsigned long long
descriptors(void)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

/* Must run before any thread is bound to a CPU. */
static void
count_reactors(unsigned wanted)
{
	char why[300];
	unsigned count = torc_cpus_granted(why, sizeof(why));

	if (wanted > 0)
		snprintf(crew, sizeof(crew), "%u reactor%s", wanted,
		    wanted == 1 ? "" : "s");
	else
		snprintf(crew, sizeof(crew), "%u reactor%s (%s)", count,
		    count == 1 ? "" : "s", why);
}

/* In one write, so that scripts can wait for the whole line. */
static void
say_ready(void *arg)
{
	char text[4096];
	int used = snprintf(text, sizeof(text), "%s: ready on",
	    program_invocation_short_name);

	(void)arg;
	for (unsigned i = 0; serving->listen != NULL && addresses[i] != NULL &&
	    used < 3900; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    " %.110s", addresses[i]);
	for (unsigned i = 0; i < serving->endpoint_count && used < 3900; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    " %.110s", serving->endpoints[i].address);
	fprintf(stderr, "%s, with %s and up to %llu descriptors\n", text, crew,
	    descriptors());
}

static void
help(const char *what, const struct cli_switch *extra)
{
	printf("usage: %s [options]\n%s\n\n"
	    "  -l ADDRESS   listen on this address; can be repeated; default: "
	    "127.0.0.1:8080.\n"
	    "               Other forms: [::1]:8080, unix:PATH, unix:@NAME, "
	    "fd:N\n"
	    "  -r REACTORS  number of threads, each with its own ring; "
	    "default: one per CPU\n"
	    "  -s MICROS    poll for this long before sleeping; default: 0\n"
	    "  -i           fill receive buffers bit by bit (Linux 6.12 and "
	    "later)\n"
	    "  -n           do not publish statistics for ringstat\n",
	    program_invocation_short_name, what);
	for (; extra != NULL && extra->letter != '\0'; extra++)
		printf("  -%c           %s\n", extra->letter, extra->help);
	printf("  -h, --help   show this text\n"
	    "  --version    show the version of torc\n");
}

static int
add_address(const char *address)
{
	static int count;

	if (count == ADDRESSES)
		return cli_fail(EXIT_USAGE, "cannot listen on %s: %d addresses "
		    "are the most", address, ADDRESSES);
	addresses[count++] = address;
	addresses[count] = NULL;
	return 0;
}

static int
number(char letter, const char *text, unsigned *value)
{
	unsigned parsed = 0;
	const char *at = text;

	while (*at >= '0' && *at <= '9' && parsed <= 1000000)
		parsed = parsed * 10 + (unsigned)(*at++ - '0');
	if (at == text || *at != '\0' || parsed > 1000000)
		return cli_fail(EXIT_USAGE, "option -%c needs a number up to "
		    "1000000, not '%s'", letter, text);
	*value = parsed;
	return 0;
}

unsigned
cli_env_number(const char *variable, unsigned otherwise)
{
	const char *text = getenv(variable);
	char *end;
	unsigned long value;

	if (text == NULL)
		return otherwise;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno == 0 && end > text && *end == '\0' && *text != '-' &&
	    value < TORC_NO_LIMIT)
		return (unsigned)value;
	cli_fail(0, "%s must be a number below %u, not '%s'", variable,
	    TORC_NO_LIMIT, text);
	exit(EXIT_USAGE);
}

static int
with_value(char letter, const char *value, struct torc_config *config)
{
	switch (letter) {
	case 'l':
		return add_address(value);
	case 'r':
		return number(letter, value, &config->reactors);
	default:
		return number(letter, value, &config->spin_us);
	}
}

static struct cli_switch *
find(struct cli_switch *extra, char letter)
{
	for (; extra != NULL && extra->letter != '\0'; extra++) {
		if (extra->letter == letter)
			return extra;
	}
	return NULL;
}

/* Returns 0, an exit status, or -1 if there is nothing more to do. */
static int
read_options(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra)
{
	for (int i = 1; i < argc; i++) {
		const char *option = argv[i];
		char letter = option[0] == '-' ? option[1] : '\0';
		int rc;

		if (strcmp(option, "--help") == 0 ||
		    strcmp(option, "-h") == 0) {
			help(what, extra);
			return -1;
		}
		if (strcmp(option, "--version") == 0) {
			printf("%s (torc) %s\n", program_invocation_short_name,
			    torc_version());
			return -1;
		}
		if (letter != '\0' && option[2] == '\0' &&
		    strchr("lrs", letter) != NULL) {
			if (++i == argc)
				return cli_fail(EXIT_USAGE, "option %s needs "
				    "a value (see --help)", option);
			rc = with_value(letter, argv[i], config);
			if (rc != 0)
				return rc;
		} else if (strcmp(option, "-i") == 0) {
			config->incremental = true;
		} else if (strcmp(option, "-n") == 0) {
			config->no_stats = true;
		} else if (letter != '\0' && option[2] == '\0' &&
		    find(extra, letter) != NULL) {
			find(extra, letter)->on = true;
		} else {
			return cli_fail(EXIT_USAGE, "unknown option '%s' (see "
			    "--help)", option);
		}
	}
	return 0;
}

/* The kernel may also refuse io_uring to a later reactor: read the text. */
static bool
is_refusal(const char *text)
{
	return strncmp(text, "io_uring_", 9) == 0;
}

/* Read the options. Returns -1, or an exit status: the program ends here. */
static int
begin(int argc, char **argv, const char *what, struct torc_config *config,
    struct cli_switch *extra)
{
	struct torc_error error;
	int rc;

	rc = read_options(argc, argv, what, config, extra);
	if (rc != 0)
		return rc > 0 ? rc : 0;
	if (torc_available(&error) < 0) {
		cli_fail(0, "%s", error.text);
		return EXIT_NO_RING;
	}
	if (addresses[0] == NULL)
		addresses[0] = "127.0.0.1:8080";
	return -1;
}

static int
serve(struct torc_config *config)
{
	struct torc_error error;

	config->notice = notice;
	serving = config;
	count_reactors(config->reactors);
	if (torc_serve(config, say_ready, &error) == 0)
		return 0;
	cli_fail(0, "%s", error.text);
	return is_refusal(error.text) ? EXIT_NO_RING : 1;
}

int
cli_serve(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra)
{
	const int status = begin(argc, argv, what, config, extra);

	if (status >= 0)
		return status;
	config->listen = addresses;
	return serve(config);
}

int
cli_serve_handler(int argc, char **argv, const char *what,
    struct torc_config *config, torc_handler *handler, void *arg)
{
	struct torc_endpoint endpoints[ADDRESSES];
	const int status = begin(argc, argv, what, config, NULL);
	unsigned count = 0;

	if (status >= 0)
		return status;
	for (; addresses[count] != NULL; count++)
		endpoints[count] = (struct torc_endpoint) {
			.address = addresses[count],
			.handler = handler,
			.arg = arg,
		};
	config->endpoints = endpoints;
	config->endpoint_count = count;
	return serve(config);
}
