/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - fetch many URLs at once with one deadline. When it passes, those
 * that have arrived are reported, and the rest are reported as late.
 *
 *     cc -o fetch fetch.c $(pkg-config --cflags --libs torc-http)
 *     ./fetch -t 2000 -n 20 http://127.0.0.1:8080/ http://localhost:8081/x
 *
 * With cli.c, cli_tls.c and torc-tls it is fetch-tls, which verifies servers:
 *
 *     ./fetch-tls --ca FILE https://localhost:8443/ http://127.0.0.1:8080/
 */
#include <torc_http.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_tls.h"

#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

struct fetch {
	const char *url;
	char address[300];	/* of its origin: a URL without a target */
	const char *target;
	bool secure;		/* it is https */
	int result;		/* 0, or why the body is not complete */
	char why[200];		/* the same in words, if there are any */
	unsigned status;
	uint64_t bytes;		/* of the body that have arrived */
};

struct work {
	struct torc_post post;
	struct fetch *fetches;
	unsigned count;
	unsigned at_once;
	unsigned ms;
};

static bool
has_tls(void)
{
	return &cli_tls != NULL;
}

/*
 * Read "http://host:port/target", or https. Returns false if it is something
 * else.
 */
static bool
read_url(struct fetch *fetch, const char *url)
{
	const char *host = strstr(url, "://");
	size_t size;

	fetch->secure = strncmp(url, "https://", 8) == 0;
	if (!fetch->secure && strncmp(url, "http://", 7) != 0)
		return false;
	host += 3;
	size = strcspn(host, "/");
	if (size == 0 || size > 256)
		return false;
	snprintf(fetch->address, sizeof(fetch->address), "%.*s",
	    (int)(host + size - url), url);
	fetch->url = url;
	fetch->target = host[size] != '\0' ? host + size : "/";
	return true;
}

static int
ask(struct torc_http_client *client, struct fetch *fetch)
{
	const struct torc_http_request request = {
		.target = { (const uint8_t *)fetch->target,
		    strlen(fetch->target) },
	};
	struct torc_http_call call;
	struct torc_slice body;
	int rc = torc_http_client_call(client, &call, &request, TORC_NEVER);

	if (rc < 0) {
		if (call.response.why != NULL)
			snprintf(fetch->why, sizeof(fetch->why), "%s",
			    call.response.why);
		return rc;
	}
	fetch->status = call.response.status;
	while ((rc = torc_http_call_read(&call, &body, TORC_NEVER)) > 0)
		fetch->bytes += body.size;
	torc_http_call_end(&call);
	return rc;
}

/* A fiber of the group. It needs no deadlines: the group cancels it. */
static int
run_fetch(void *arg)
{
	struct fetch *fetch = arg;
	const struct torc_http_client_config config = {
		.address = fetch->address,
		.connections = 1,
		.transport = fetch->secure ? cli_tls.dialler() : NULL,
	};
	struct torc_http_client *client;

	fetch->result = torc_http_client_create(&client, &config, NULL);
	if (fetch->result < 0)
		return fetch->result;
	fetch->result = ask(client, fetch);
	torc_http_client_destroy(client, TORC_NEVER);
	return fetch->result;
}

/* When the group has ended, no fiber uses the results any more. */
static int
run_all(void *arg)
{
	struct work *work = arg;
	const torc_deadline deadline = torc_after_ms(work->ms);
	struct torc_group group;
	int rc = 0;

	torc_group_begin(&group, work->at_once, TORC_GROUP_ALL);
	for (unsigned i = 0; rc == 0 && i < work->count; i++)
		rc = torc_group_spawn(&group, run_fetch, &work->fetches[i],
		    deadline);
	rc = torc_group_end(&group, NULL, deadline);
	torc_reactor_stop(torc_reactor_self());
	return rc;
}

static void
begin(struct torc_reactor *reactor, struct torc_post *post)
{
	/* The post is the first member of the work. */
	if (torc_fiber_spawn(NULL, run_all, post) < 0)
		torc_reactor_stop(reactor);
}

/* Print the results. Returns how many are not complete. */
static unsigned
tell(const struct work *work)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < work->count; i++) {
		const struct fetch *fetch = &work->fetches[i];

		if (fetch->result == 0)
			printf("%u", fetch->status);
		else if (fetch->result == -ECANCELED)
			printf("late");
		else
			printf("failed (%s)", fetch->why[0] != '\0' ?
			    fetch->why : strerror(-fetch->result));
		printf(" %llu bytes %s\n", (unsigned long long)fetch->bytes,
		    fetch->url);
		missing += fetch->result != 0;
	}
	return missing;
}

static int
usage(void)
{
	fprintf(stderr, "usage: fetch [-t MS] [-n AT_ONCE] http://HOST[:PORT]"
	    "[/PATH] ...\nFetches all URLs, AT_ONCE at a time (20), and "
	    "reports what has arrived\nafter MS milliseconds (5000).\n%s",
	    has_tls() ? "URLs may be https. --ca FILE: one in FILE has signed "
	    "the certificates of\ntheir servers; default: one of the "
	    "system's.\n" : "");
	return EXIT_USAGE;
}

static bool
read_options(struct work *work, int argc, char **argv)
{
	static const struct option words[] = {
		{ "ca", required_argument, NULL, 'c' }, { NULL, 0, NULL, 0 }
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "t:n:", words, NULL)) != -1) {
		const unsigned value = optarg == NULL ? 0 :
		    (unsigned)strtoul(optarg, NULL, 10);

		if (letter == 't' && value > 0)
			work->ms = value;
		else if (letter == 'n' && value > 0)
			work->at_once = value;
		else if (letter != 'c' || !has_tls() ||
		    cli_tls.set("--ca", optarg) != 0)
			return false;
	}
	work->count = (unsigned)(argc - optind);
	return work->count > 0;
}

/* Returns -1, or an exit status: the reason was said. */
static int
begin_tls(const struct work *work)
{
	struct torc_config config = { .reactors = 0 };
	struct torc_transport_maker *none;

	for (unsigned i = 0; i < work->count; i++) {
		if (!work->fetches[i].secure)
			continue;
		if (!has_tls()) {
			fprintf(stderr, "fetch: %s: this program has no TLS; "
			    "fetch-tls has\n", work->fetches[i].url);
			return EXIT_USAGE;
		}
		cli_tls.dial();
	}
	return has_tls() ? cli_tls.begin(&config, false, &none) : -1;
}

/* Returns an exit status. */
static int
fetch_all(struct work *work)
{
	struct torc_reactor *reactor;
	struct torc_error error;
	int rc = begin_tls(work);

	if (rc >= 0)
		return rc;
	if (torc_reactor_create(&reactor, NULL, &error) < 0) {
		fprintf(stderr, "fetch: %s\n", error.text);
		return EXIT_NO_RING;
	}
	torc_reactor_post(reactor, &work->post);
	rc = torc_reactor_run(reactor);
	if (rc < 0)
		fprintf(stderr, "fetch: %s\n", strerror(-rc));
	torc_reactor_destroy(reactor);
	if (has_tls())
		cli_tls.end();
	return tell(work) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct work work = { .post.call = begin, .ms = 5000, .at_once = 20 };
	int status;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("fetch (torc) %s\n", torc_version());
		return EXIT_SUCCESS;
	}
	if (!read_options(&work, argc, argv))
		return usage();
	work.fetches = calloc(work.count, sizeof(*work.fetches));
	if (work.fetches == NULL)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < work.count; i++) {
		work.fetches[i].result = -ECANCELED;
		if (!read_url(&work.fetches[i], argv[optind + (int)i]))
			return usage();
	}
	status = fetch_all(&work);
	free(work.fetches);
	return status;
}
