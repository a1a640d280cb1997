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

#include "cli_tls.h"

#define ADDRESSES 64
#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

static unsigned reactors;
static char why[300];		/* so many; empty: an option says so */
static const char *addresses[ADDRESSES];
static unsigned address_count;
static bool secure;		/* one of the addresses is for TLS */
static struct torc_transport_maker *transport;	/* of those */
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
	reactors = wanted > 0 ? wanted : torc_cpus_granted(why, sizeof(why));
}

/* In one write, so that scripts can wait for the whole line. */
static void
say_ready(void *arg)
{
	char text[4096];
	int used = snprintf(text, sizeof(text), "%s: ready on",
	    program_invocation_short_name);

	(void)arg;
	for (unsigned i = 0; i < serving->endpoint_count && used < 3900; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    " %s%.110s", serving->endpoints[i].transport != NULL ?
		    "tls:" : "", serving->endpoints[i].address);
	fprintf(stderr, why[0] == '\0' ? "%s, with %u reactor%s%s and up to "
	    "%llu descriptors\n" : "%s, with %u reactor%s (%s) and up to "
	    "%llu descriptors\n", text, reactors, reactors == 1 ? "" : "s",
	    why, descriptors());
}

static bool
has_tls(void)
{
	return &cli_tls != NULL;
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
	    "  -n           do not publish statistics for ringstat\n%s",
	    program_invocation_short_name, what,
	    has_tls() ? cli_tls.help : "");
	for (; extra != NULL && extra->letter != '\0'; extra++)
		printf("  -%c           %s\n", extra->letter, extra->help);
	printf("  -h, --help   show this text\n"
	    "  --version    show the version of torc\n");
}

static bool
is_secure(const char *address)
{
	return strncmp(address, "tls:", 4) == 0;
}

static int
refuse_tls(const char *what)
{
	return cli_fail(EXIT_USAGE, "%s: this program has no TLS; hello-tls, "
	    "files-tls and proxy-tls have", what);
}

static int
add_address(const char *address)
{
	if (address_count == ADDRESSES)
		return cli_fail(EXIT_USAGE, "cannot listen on %s: %d addresses "
		    "are the most", address, ADDRESSES);
	if (is_secure(address) && !has_tls())
		return refuse_tls(address);
	secure |= is_secure(address);
	addresses[address_count++] = address;
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

static struct cli_switch *
find(struct cli_switch *extra, char letter)
{
	for (; extra != NULL && extra->letter != '\0'; extra++) {
		if (extra->letter == letter)
			return extra;
	}
	return NULL;
}

static void
show_version(void)
{
	printf("%s (torc) %s\n", program_invocation_short_name,
	    torc_version());
	if (has_tls())
		printf("%s\n", cli_tls.version());
}

/* Whether an option is followed by its value. */
static bool
takes_value(const char *option)
{
	if (option[0] != '-' || option[1] == '\0')
		return false;
	if (option[1] == '-')
		return has_tls() && cli_tls.has(option);
	return option[2] == '\0' && strchr("lrs", option[1]) != NULL;
}

static int
with_value(const char *option, const char *value, struct torc_config *config)
{
	switch (option[1]) {
	case '-':
		return cli_tls.set(option, value);
	case 'l':
		return add_address(value);
	case 'r':
		return number('r', value, &config->reactors);
	default:
		return number('s', value, &config->spin_us);
	}
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
			show_version();
			return -1;
		}
		if (takes_value(option)) {
			if (++i == argc)
				return cli_fail(EXIT_USAGE, "option %s needs "
				    "a value (see --help)", option);
			rc = with_value(option, argv[i], config);
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
			    "--help%s)", option, letter != '-' || has_tls() ?
			    "" : "; for TLS: hello-tls, files-tls, proxy-tls");
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
	if (address_count == 0)
		addresses[address_count++] = "127.0.0.1:8080";
	return has_tls() ? cli_tls.begin(config, secure, &transport) : -1;
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

/* The addresses of the options, and behind them those of the program. */
static int
serve_all(struct torc_config *config, torc_handler *handler, void *arg)
{
	struct torc_endpoint endpoints[2 * ADDRESSES];
	unsigned count = 0;
	int status;

	for (; count < address_count; count++)
		endpoints[count] = (struct torc_endpoint) {
			.address = addresses[count] +
			    (is_secure(addresses[count]) ? 4 : 0),
			.handler = handler,
			.arg = arg,
			.transport = is_secure(addresses[count]) ? transport :
			    NULL,
		};
	for (unsigned i = 0; i < config->endpoint_count && i < ADDRESSES; i++)
		endpoints[count++] = config->endpoints[i];
	config->handler = NULL;
	config->endpoints = endpoints;
	config->endpoint_count = count;
	status = serve(config);
	if (has_tls())
		cli_tls.end();
	return status;
}

/* Whether a URL is one of a server with TLS; `may`: or perhaps. */
static bool
asks_for_tls(const char *url, bool may)
{
	const char *mode = url != NULL ? strstr(url, "sslmode=") : NULL;

	if (url == NULL)
		return false;
	if (strncasecmp(url, "https://", 8) == 0 ||
	    strncasecmp(url, "rediss://", 9) == 0)
		return true;
	if (mode == NULL || strncmp(mode, "sslmode=disable", 15) == 0)
		return false;
	return may || (strncmp(mode, "sslmode=allow", 13) != 0 &&
	    strncmp(mode, "sslmode=prefer", 14) != 0);
}

/* A URL may have a password in it: it is not shown. */
int
cli_origin(const char *url)
{
	if (!has_tls() && asks_for_tls(url, false))
		return cli_fail(EXIT_USAGE, "the URL of its server asks for "
		    "TLS, which this program does not have; %s-tls has",
		    program_invocation_short_name);
	if (has_tls() && asks_for_tls(url, true))
		cli_tls.dial();
	return 0;
}

struct torc_transport_dialler *
cli_dialler(const char *url)
{
	return has_tls() && asks_for_tls(url, true) ? cli_tls.dialler() : NULL;
}

int
cli_serve(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra)
{
	const int status = begin(argc, argv, what, config, extra);

	return status >= 0 ? status : serve_all(config, config->handler,
	    config->arg);
}

int
cli_serve_handler(int argc, char **argv, const char *what,
    struct torc_config *config, torc_handler *handler, void *arg)
{
	const int status = begin(argc, argv, what, config, NULL);

	return status >= 0 ? status : serve_all(config, handler, arg);
}
