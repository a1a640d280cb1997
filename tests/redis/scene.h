/* SPDX-License-Identifier: MIT */
/*
 * scene.h - a client of Redis on a fiber of a reactor, and what is done with
 * it: 0, or the line that did not hold; and a server that it asks.
 */
#ifndef TORC_TESTS_REDIS_SCENE_H
#define TORC_TESTS_REDIS_SCENE_H

#include <stdio.h>

#include "conn/redis/torc_redis.h"
#include "conn/redis/torc_resp.h"

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

/*
 * As a server: obey each command that is whole in view; others are looked at
 * again. 0; 1 when one is not whole; below 0 what `obey` or the reader says.
 */
static inline int
obey_all(struct torc_conn *conn, struct torc_slice in,
    int (*obey)(struct torc_conn *conn,
    const struct torc_redis_reply *command))
{
	while (in.size > 0) {
		struct torc_resp_arena arena;
		struct torc_resp_tree tree;
		struct torc_redis_reply command;
		long size;
		int rc;

		torc_resp_arena_init(&arena, NULL, 0);
		torc_resp_tree_init(&tree, &arena, NULL);
		size = torc_resp_build(&tree, &command, in.data, in.size);
		rc = size < 0 ? -1 : tree.reader.done ?
		    obey(conn, &command) : 1;
		torc_resp_arena_free(&arena);
		if (rc != 0)
			return rc;
		torc_conn_consume(conn, (size_t)size);
		in.data += size;
		in.size -= (size_t)size;
	}
	return 0;
}

#endif
