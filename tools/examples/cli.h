/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what the examples share: options, messages and exit statuses. It is
 * not a part of torc: a program of yours can call torc_serve() itself.
 */
#ifndef TORC_EXAMPLES_CLI_H
#define TORC_EXAMPLES_CLI_H

#include <torc.h>

/* An option of one program: a letter, without an argument. */
struct cli_switch {
	char letter;
	const char *help;
	bool on;		/* set if the option was given */
};

/* Write a message to standard error. Returns `error`. */
int cli_fail(int error, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/* Returns the value of an environment variable, or `otherwise`. */
const char *cli_env(const char *variable, const char *otherwise);

/*
 * Returns the number in an environment variable, or `otherwise`. If the value
 * is not a number, the program exits with status 64.
 */
unsigned cli_env_number(const char *variable, unsigned otherwise);

/*
 * Read the options into `config` and serve until SIGTERM or SIGINT. Returns the
 * exit status: 0 after a drain; 64 if the options are wrong; 78 if io_uring
 * cannot be used here; 1 after any other failure. `extra` may be NULL.
 */
int cli_serve(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra);

/*
 * The same, for a program whose handler has an argument of its own: `config`
 * has no handler, and its `arg` is for `start` and `stop`.
 */
int cli_serve_handler(int argc, char **argv, const char *what,
    struct torc_config *config, torc_handler *handler, void *arg);

/*
 * Before any of these, for a program that asks another server: its address or
 * URL; NULL: none. https:// and rediss:// ask for TLS, and so does sslmode= in
 * the URL of a PostgreSQL. Returns 0, or the exit status of a program without
 * TLS.
 */
int cli_origin(const char *url);
/* While it serves: what connections to it go through; NULL: clear text. */
struct torc_transport_dialler *cli_dialler(const char *url);

#endif
