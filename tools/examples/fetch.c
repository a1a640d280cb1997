/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - fetch many URLs at once with one deadline. When it passes, those
 * that have arrived are reported, and the rest are reported as late.
 *
 *     cc -o fetch fetch.c $(pkg-config --cflags --libs torc-http)
 *     ./fetch -t 2000 -n 20 http://127.0.0.1:8080/ http://localhost:8081/x
 */
#include <torc_http.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 64		/* EX_USAGE */
#define EXIT_NO_RING 78		/* EX_CONFIG */

struct fetch {
	const char *url;
	char address[300];	/* of its origin: host:port */
	const char *target;
	int result;		/* 0, or why the body is not complete */
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

/* Read "http://host:port/target". Returns false if it is something else. */
static bool
read_url(struct fetch *fetch, const char *url)
{
	const char *host = url + strlen("http://");
	size_t size;

	if (strncmp(url, "http://", strlen("http://")) != 0)
		return false;
	size = strcspn(host, "/");
	if (size == 0 || size > 256)
		return false;
	snprintf(fetch->address, sizeof(fetch->address), "%.*s%s", (int)size,
	    host, memchr(host, ':', size) != NULL ? "" : ":80");
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

	if (rc < 0)
		return rc;
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
			printf("failed (%s)", strerror(-fetch->result));
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
	    "reports what has arrived\nafter MS milliseconds (5000).\n");
	return EXIT_USAGE;
}

static bool
read_options(struct work *work, int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "t:n:")) != -1) {
		const unsigned value = optarg == NULL ? 0 :
		    (unsigned)strtoul(optarg, NULL, 10);

		if (letter == 't' && value > 0)
			work->ms = value;
		else if (letter == 'n' && value > 0)
			work->at_once = value;
		else
			return false;
	}
	work->count = (unsigned)(argc - optind);
	return work->count > 0;
}

int
main(int argc, char **argv)
{
	struct work work = { .post.call = begin, .ms = 5000, .at_once = 20 };
	struct torc_reactor *reactor;
	struct torc_error error;
	unsigned missing;
	int rc;

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
	if (torc_reactor_create(&reactor, NULL, &error) < 0) {
		fprintf(stderr, "fetch: %s\n", error.text);
		return EXIT_NO_RING;
	}
	torc_reactor_post(reactor, &work.post);
	rc = torc_reactor_run(reactor);
	if (rc < 0)
		fprintf(stderr, "fetch: %s\n", strerror(-rc));
	torc_reactor_destroy(reactor);
	missing = tell(&work);
	free(work.fetches);
	return missing > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
