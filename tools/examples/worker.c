/* SPDX-License-Identifier: MIT */
/*
 * worker.c - a worker without a listener: four fibers take jobs from a list in
 * Redis, and no job is lost, however the worker ends.
 *
 *     cc -o worker worker.c $(pkg-config --cflags --libs torc-redis)
 *     REDIS=127.0.0.1:6379 ./worker alpha
 *
 * Try it with:
 *
 *     redis-cli LPUSH jobs "2000 resize a picture"    # it takes 2000 ms
 *     redis-cli LRANGE done 0 -1
 *
 * BLMOVE moves a job from the list "jobs" to "doing:alpha", so one of the two
 * always has it. When it is done, a script moves it to "done". After SIGTERM
 * the worker finishes the jobs that it has begun. A job that takes longer than
 * ten seconds then, or that was under way when the worker was killed, is done
 * again when a worker of this name starts.
 *
 * It has no options, and so no TLS either: cache.c shows what TLS takes.
 */
#include <torc_redis.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIBERS 4u
#define REDIS_MS 5000u		/* for an answer that is due at once */
#define PAUSE_MS 1000u		/* after an error */

static char doing[100];		/* the list of this worker */

static void
say(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "worker: %s\n", text);
}

/* Parks. Do a job: here, wait for the milliseconds that it begins with. */
static int
work_on(const char *job)
{
	return torc_sleep(torc_after_ms(strtoul(job, NULL, 10)));
}

/* Parks. Move a job to "done". Running the script twice does no harm. */
static int
finish(const struct torc_redis_reply *job)
{
	static _Thread_local struct torc_redis_script script = { .text =
		"if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then\n"
		"	redis.call('LPUSH', KEYS[2], ARGV[1])\n"
		"end" };
	const struct torc_slice words[] = {
		{ (const uint8_t *)doing, strlen(doing) },
		{ (const uint8_t *)"done", 4 },
		{ (const uint8_t *)job->text, job->size } };
	struct torc_redis_reply *reply;
	int rc;

	do {
		rc = torc_redis_eval(torc_redis_of(torc_reactor_self()),
		    &script, words, 3, 2, &reply, torc_after_ms(REDIS_MS));
		if (rc < 0)
			say(torc_redis_reply_error(reply)->text, NULL);
		torc_redis_reply_free(reply);
	} while (rc < 0 && torc_sleep(torc_after_ms(PAUSE_MS)) == 0);
	return rc;
}

/* Parks. Take jobs, one after the other, until a drain or an error. */
static int
take_jobs(struct torc_redis_session *session)
{
	struct torc_redis_reply *job;
	int rc = 0;

	while (rc == 0 && !torc_reactor_draining(torc_reactor_self())) {
		rc = torc_redis_session_do(session, &job, TORC_NEVER,
		    "BLMOVE", "jobs", doing, "RIGHT", "LEFT", "0", NULL);
		/* A drain cancels daemons, but waits for other fibers. */
		torc_fiber_set_daemon(false);
		if (rc == 0 && job->type == TORC_REDIS_STRING) {
			rc = work_on(job->text);
			if (rc == 0)
				rc = finish(job);
		}
		torc_fiber_set_daemon(true);
		torc_redis_reply_free(job);
	}
	return rc;
}

/* A fiber, and a daemon while it waits for a job. */
static int
run(void *arg)
{
	struct torc_redis *redis = torc_redis_of(torc_reactor_self());
	struct torc_redis_session *session;
	struct torc_error error;
	int rc;

	(void)arg;
	while (!torc_reactor_draining(torc_reactor_self())) {
		rc = torc_redis_session_acquire(redis, NULL, &session, &error,
		    TORC_NEVER);
		if (rc == 0) {
			rc = take_jobs(session);
			error = *torc_redis_session_error(session);
			torc_redis_session_release(session);
		}
		if (rc == -ECANCELED)
			return rc;
		if (rc < 0) {
			say(error.text, NULL);
			torc_sleep(torc_after_ms(PAUSE_MS));
		}
	}
	return 0;
}

/* Parks. Put back what a worker of this name has left undone. */
static int
put_back(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		rc = torc_redis_do(redis, &reply, torc_after_ms(REDIS_MS),
		    "LMOVE", doing, "jobs", "LEFT", "RIGHT", NULL);
		if (rc < 0)
			say(torc_redis_reply_error(reply)->text, NULL);
		else
			more = reply->type != TORC_REDIS_NIL;
		torc_redis_reply_free(reply);
	}
	return rc;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_redis_config config = {
		.address = getenv("REDIS"), .sessions = FIBERS,
	};
	struct torc_error error;
	struct torc_redis *redis;
	int rc = torc_redis_create(&redis, &config, &error);

	(void)reactor;
	(void)arg;
	if (rc < 0) {
		say(error.text, NULL);
		return rc;
	}
	rc = put_back(redis);
	for (unsigned i = 0; rc == 0 && i < FIBERS; i++)
		rc = torc_fiber_spawn_daemon(NULL, run, NULL);
	return rc;
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
}

static void
ready(void *name)
{
	fprintf(stderr, "worker: %s is ready\n", (const char *)name);
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .start = start, .stop = stop,
		.notice = say, .reactors = 1 };
	struct torc_error error;

	if (argc != 2 || argv[1][0] == '-' || strlen(argv[1]) > 64) {
		fprintf(stderr, "usage: worker NAME\nTakes jobs from Redis at "
		    "$REDIS (127.0.0.1:6379).\n");
		return 64;
	}
	snprintf(doing, sizeof(doing), "doing:%s", argv[1]);
	config.arg = argv[1];
	if (torc_serve(&config, ready, &error) == 0)
		return 0;
	say(error.text, NULL);
	return 1;
}
