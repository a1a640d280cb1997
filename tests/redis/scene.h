/*
 * scene.h - a client of Redis on a fiber of a reactor, and what is done with
 * it: 0, or the line that did not hold.
 */
#ifndef TORC_TESTS_REDIS_SCENE_H
#define TORC_TESTS_REDIS_SCENE_H

#include <stdio.h>

#include "conn/redis/torc_redis.h"

struct scene {
	struct torc_redis_config config;
	int (*play)(struct torc_redis *redis);
	void (*over)(void);	/* called behind it, unless NULL */
};

/* The entry of that fiber. */
static inline int
run_scene(void *arg)
{
	const struct scene *scene = arg;
	struct torc_redis *redis;
	struct torc_error error;
	int line;

	if (torc_redis_create(&redis, &scene->config, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return __LINE__;
	}
	line = scene->play(redis);
	if (scene->over != NULL)
		scene->over();
	if (line != 0)
		fprintf(stderr, "line %d\n", line);
	torc_redis_destroy(redis, TORC_NEVER);
	return line;
}

#endif
