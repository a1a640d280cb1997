/*
 * cli.c - options, and messages on standard error.
 */
#include "cli.h"

#include <torc_service.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define ADDRESSES 64
#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

static const char *name;
static char crew[400];		/* how many reactors, and why */
static const char *addresses[ADDRESSES + 1];

static void
notice(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", name, text);
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
	int used = snprintf(text, sizeof(text), "%s: ready on", name);

	(void)arg;
	for (int i = 0; addresses[i] != NULL && used < 3900; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    " %.110s", addresses[i]);
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
	    name, what);
	for (; extra != NULL && extra->letter != '\0'; extra++)
		printf("  -%c           %s\n", extra->letter, extra->help);
	printf("  -h, --help   this text\n");
}

static int
usage(const char *text, const char *value)
{
	fprintf(stderr, "%s: %s '%s' (see --help)\n", name, text, value);
	return EXIT_USAGE;
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

int
cli_serve(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra)
{
	const char *slash = strrchr(argv[0], '/');
	struct torc_error error;
	int rc;

	name = slash != NULL ? slash + 1 : argv[0];
	rc = read_options(argc, argv, what, config, extra);
	if (rc != 0)
		return rc > 0 ? rc : 0;
	if (torc_available(&error) < 0) {
		fprintf(stderr, "%s: %s\n", name, error.text);
		return EXIT_NO_RING;
	}
	if (addresses[0] == NULL)
		addresses[0] = "127.0.0.1:8080";
	config->listen = addresses;
	config->notice = notice;
	count_reactors(config->reactors);
	rc = torc_serve(config, say_ready, &error);
	if (rc == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", name, error.text);
	return is_refusal(error.text) ? EXIT_NO_RING : 1;
}

int
cli_serve_routes(int argc, char **argv, const char *what,
    struct torc_routes *routes, const struct torc_service_config *service,
    const struct torc_config *config)
{
	struct torc_config served = { .reactors = 0 };
	struct torc_service *made;
	struct torc_error error;
	int rc = torc_service_create(&made, routes, service, &error);

	torc_routes_destroy(routes);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], error.text);
		return 1;
	}
	if (config != NULL)
		served = *config;
	served.handler = torc_service_handle;
	served.arg = made;
	rc = cli_serve(argc, argv, what, &served, NULL);
	torc_service_destroy(made);
	return rc;
}
