/*
 * cache.c - answers HTTP requests from Redis, and fills it: what is asked for
 * the first time takes a while, and is then remembered for a minute.
 *
 *     REDIS=127.0.0.1:6379 cache -l 127.0.0.1:8080
 *     curl -i http://127.0.0.1:8080/some/page      # X-Cache: miss, then hit
 *
 * While Redis is away, every answer takes its time, and says "none".
 */
#include <torc_http.h>
#include <torc_redis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define REDIS_MS 100u		/* for what is only a cache */
#define PAGE_MS 50u		/* that it takes to make a page */
#define KEEP_SECONDS "60"
#define KEY_MAX 1024u
#define PAGE_MAX (KEY_MAX + 64u)

static struct torc_slice
word(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

/* Parks. What there is behind the cache: slow, and not to be asked twice. */
static size_t
make_page(struct torc_slice target, char *page)
{
	static _Thread_local unsigned long serial;

	torc_sleep(torc_after_ms(PAGE_MS));
	return (size_t)snprintf(page, PAGE_MAX, "%.*s, made as number %lu\n",
	    (int)target.size, (const char *)target.data, ++serial);
}

/* Parks. Answer with what Redis has: 1; 0: it has nothing; or an error. */
static int
answer_from_cache(struct torc_http *http, struct torc_redis *redis,
    struct torc_slice key)
{
	const struct torc_slice get[] = { word("GET"), key };
	const struct torc_http_field hit = { word("X-Cache"), word("hit") };
	struct torc_redis_reply *reply;
	int rc = torc_redis_call(
	    redis, get, 2, &reply, torc_after_ms(REDIS_MS));

	if (rc == 0 && reply->type == TORC_REDIS_STRING) {
		torc_http_reply(http, 200, &hit, 1, reply->text, reply->size,
		    TORC_NEVER);
		rc = 1;
	}
	torc_redis_reply_free(reply);
	return rc;
}

/* Parks. */
static void
answer_anew(struct torc_http *http, struct torc_redis *redis,
    struct torc_slice key, bool away)
{
	const struct torc_http_field how = { word("X-Cache"),
		word(away ? "none" : "miss") };
	char page[PAGE_MAX];
	const size_t size = make_page(key, page);
	const struct torc_slice set[] = { word("SET"), key,
		{ (const uint8_t *)page, size }, word("EX"),
		word(KEEP_SECONDS) };

	/* That it is not kept is no reason not to answer. */
	if (!away)
		torc_redis_call(redis, set, 5, NULL, torc_after_ms(REDIS_MS));
	torc_http_reply(http, 200, &how, 1, page, size, TORC_NEVER);
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_redis *redis = torc_redis_of(torc_reactor_self());
	struct torc_http http;

	(void)arg;
	torc_http_open(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		const struct torc_http_head *request = &http.request;
		uint8_t copy[KEY_MAX];
		struct torc_slice key = { copy, request->target.size };
		int rc;

		if (request->method != TORC_HTTP_GET || key.size > KEY_MAX) {
			torc_http_reply(&http, key.size > KEY_MAX ? 414 : 405,
			    NULL, 0, "", 0, TORC_NEVER);
			continue;
		}
		/* The head is not kept while Redis is waited for. */
		memcpy(copy, request->target.data, key.size);
		rc = answer_from_cache(&http, redis, key);
		if (rc <= 0)
			answer_anew(&http, redis, key, rc < 0);
	}
	return torc_http_result(&http);
}

/* Each reactor has a client of its own. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_redis_config config = { .address = arg,
		.name = "cache" };
	char text[256] = "out of memory";
	struct torc_redis *redis;
	int rc = torc_redis_create(&redis, &config, text, sizeof(text));

	(void)reactor;
	if (rc < 0)
		fprintf(stderr, "cache: REDIS: %s\n", text);
	return rc;
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = serve, .start = start,
		.stop = stop, .arg = getenv("REDIS") };

	return cli_serve(argc, argv, "Answers from a cache in Redis.",
	    &config, NULL);
}
