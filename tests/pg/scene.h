/* SPDX-License-Identifier: MIT */
/*
 * scene.h - a client on a reactor, for tests that ask a real PostgreSQL.
 */
#ifndef TORC_TESTS_PG_SCENE_H
#define TORC_TESTS_PG_SCENE_H

#include "tests/harness.h"

#include "conn/pg/torc_pg.h"
#include "tests/pg/server.h"

#define LATE torc_after_ms(60000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* In what scenes play: the line that does not hold is what fails. */
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

extern struct pg_server postgres;

struct scene {
	struct torc_pg_config config;
	struct torc_pg *pg;
	int (*play)(struct scene *scene);
	void *arg;
};

/* On a fiber of a reactor, until it returns: 0, or the line that fails. What
 * the configuration leaves out is that of `postgres`. */
void scene_play(struct scene scene);

static inline void
play_with(struct torc_pg_config config, int (*act)(struct scene *scene))
{
	scene_play((struct scene) { .config = config, .play = act });
}

/* ---- Asking in one line ---- */

struct torc_pg_statement plain(const char *sql);
bool is(struct torc_slice value, const char *text);

/* A statement without parameters, and what became of it. */
int ask(struct torc_pg *pg, const char *sql, struct torc_pg_result **result);
/* Its first value is this text. */
bool says(struct torc_pg *pg, const char *sql, const char *text);
/* It is done. */
bool does(struct torc_pg *pg, const char *sql);
/* The server refuses it with this SQLSTATE. */
bool fails_with(struct torc_pg *pg, const char *sql, const char *state);

/* The same in a session. */
bool session_says(struct torc_pg_session *session, const char *sql,
    const char *text);
bool session_does(struct torc_pg_session *session, const char *sql);

/*
 * The tests of a program: with a server that is made for it. Without one, they
 * are skipped. With TORC_PG_TLS in the environment, connections that have no
 * word of their own on it are TLS, and its name is verified.
 */
int scene_main(const char *name, const struct CMUnitTest *tests,
    size_t count);
/* And with what these make and remove, if there is a server. */
int scene_main_with(const char *name, const struct CMUnitTest *tests,
    size_t count, CMFixtureFunction make, CMFixtureFunction remove);

#endif
