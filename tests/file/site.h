/* SPDX-License-Identifier: MIT */
/*
 * site.h - what tests of static files share: a folder in /tmp that a
 * reactor serves, files in it, and requests.
 *
 * Programs that use it wrap torc_sys_close().
 */
#ifndef TORC_TESTS_FILE_SITE_H
#define TORC_TESTS_FILE_SITE_H

#include "conn/file/site.h"
#include "tests/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LATE torc_after_ms(60000)
#define ROOM (4u << 20)		/* bytes of an answer, at most */
#define FRESH_MS 50u		/* of the root, unless a test says otherwise */

extern struct server server;
extern char folder[];
extern struct torc_file_config config;	/* of the root */
extern struct torc_file_root *root;
extern const struct torc_http_config *_Atomic http_config;	/* or NULL */
extern unsigned serve_ms;		/* to answer a request */
extern char reply[ROOM];		/* the last answer, with its head */

/* Before and after each test. */
int set_up(void **state);
int tear_down(void **state);

/* For server_fiber(). */
int open_root(void *arg);		/* the path */
int close_root(void *arg);
/* Close the root and open it again, with what is in `config` now. */
void restart_root(void);

/* The path of a name in the folder: good until the call after the next one. */
const char *in_folder(const char *name);
/* A file of so many bytes of the stream `key`. */
void put_file(const char *name, uint32_t key, size_t size);
void put_text(const char *name, const char *text);

/* Ask on a connection of its own: how many bytes came, or -1. */
long ask(const char *method, const char *target, const char *fields);
unsigned status(void);
const char *body(void);
/* The value of a field of the answer, or NULL. */
const char *field(const char *name);
void assert_status(const char *target, const char *fields, unsigned want);
void assert_file(const char *target, uint32_t key, size_t size);

/* Let so much time pass that a change is seen. */
void pass_freshness(void);

#endif
