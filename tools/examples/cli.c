/* SPDX-License-Identifier: MIT */
/*
 * cli.c - options, and messages on standard error.
 */
#include "cli.h"

#include <torc_service.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ADDRESSES 64
#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

static char crew[400];		/* how many reactors, and why */
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

/* As much as torc_serve() could raise the limit. */
static unsigned long long
descriptors(void)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

/* Before the first thread is bound to a CPU. */
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

/* In one write, for those who wait for the line. */
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
	    "  -l ADDRESS   listen there; may be given again (127.0.0.1:8080;"
	    "\n               [::1]:8080, unix:PATH, unix:@NAME, fd:N)\n"
	    "  -r REACTORS  threads, each with a ring of its own (one per "
	    "granted CPU)\n"
	    "  -s MICROS    poll for so long before sleeping (off)\n"
	    "  -i           incremental receive buffers, from Linux 6.12\n"
	    "  -n           no statistics page, which ringstat reads\n",
	    program_invocation_short_name, what);
	for (; extra != NULL && extra->letter != '\0'; extra++)
		printf("  -%c           %s\n", extra->letter, extra->help);
	printf("  -h, --help   this text\n");
}

static int
usage(const char *text, const char *value)
{
	return cli_fail(EXIT_USAGE, "%s '%s' (see --help)", text, value);
}

static int
add_address(const char *address)
{
	static int count;

	if (count == ADDRESSES)
		return usage("too many addresses:", address);
	addresses[count++] = address;
	addresses[count] = NULL;
	return 0;
}

static int
number(const char *text, unsigned *value)
{
	unsigned parsed = 0;
	const char *at = text;

	while (*at >= '0' && *at <= '9' && parsed <= 1000000)
		parsed = parsed * 10 + (unsigned)(*at++ - '0');
	if (at == text || *at != '\0' || parsed > 1000000)
		return usage("not a number:", text);
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
	cli_fail(0, "%s = %s: must be a number below %u", variable, text,
	    TORC_NO_LIMIT);
	exit(EXIT_USAGE);
}

static int
with_value(char letter, const char *value, struct torc_config *config)
{
	switch (letter) {
	case 'l':
		return add_address(value);
	case 'r':
		return number(value, &config->reactors);
	default:
		return number(value, &config->spin_us);
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

/* 0, an exit status, or -1: nothing more to do. */
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
		if (letter != '\0' && option[2] == '\0' &&
		    strchr("lrs", letter) != NULL) {
			if (++i == argc)
				return usage("a value is missing after",
				    option);
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
			return usage("unknown option", option);
		}
	}
	return 0;
}

/* By its first words: the reactors that come later may be refused, too. */
static bool
is_refusal(const char *text)
{
	return strncmp(text, "io_uring_", 9) == 0;
}

/* Read the options: -1, or the exit status of a program that ends here. */
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

/* On all addresses. */
static int
serve_service(struct torc_service *service, struct torc_config *config)
{
	struct torc_endpoint endpoints[ADDRESSES];
	unsigned count = 0;

	for (; addresses[count] != NULL; count++)
		endpoints[count] = (struct torc_endpoint) {
			.address = addresses[count],
			.handler = torc_service_handle,
			.arg = service,
		};
	config->endpoints = endpoints;
	config->endpoint_count = count;
	return serve(config);
}

int
cli_serve_routes(int argc, char **argv, const char *what,
    struct torc_routes *routes, const struct torc_service_config *service,
    const struct torc_config *config)
{
	struct torc_config served = { .reactors = 0 };
	struct torc_service *made = NULL;
	struct torc_error error;
	int status;

	if (config != NULL)
		served = *config;
	status = begin(argc, argv, what, &served, NULL);
	if (status < 0 &&
	    torc_service_create(&made, routes, service, &error) < 0) {
		cli_fail(0, "%s", error.text);
		status = 1;
	}
	torc_routes_destroy(routes);
	if (status < 0)
		status = serve_service(made, &served);
	torc_service_destroy(made);
	return status;
}
