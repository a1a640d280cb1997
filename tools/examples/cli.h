/* SPDX-License-Identifier: MIT */
/*
 * cli.h - the options that all of torc's programs have.
 */
#ifndef TORC_EXAMPLES_CLI_H
#define TORC_EXAMPLES_CLI_H

#include <torc.h>

/* One more option of a program: a letter, without an argument. */
struct cli_switch {
	char letter;
	const char *help;
	bool on;		/* set when it was given */
};

/*
 * Say it on standard error, behind the name of the program. Returns `error`.
 */
int cli_fail(int error, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/* A variable of the environment, or `otherwise`. */
const char *cli_env(const char *variable, const char *otherwise);

/* The same, of a number; a wrong one ends the program with status 64. */
unsigned cli_env_number(const char *variable, unsigned otherwise);

/*
 * Read the options into `config`, serve until SIGTERM or SIGINT, and return
 * the exit status: 0 after a drain, 64 for wrong options, 78 if io_uring
 * cannot be used here, or not by so many reactors, 1 for any other failure.
 * `extra` may be NULL.
 */
int cli_serve(int argc, char **argv, const char *what,
    struct torc_config *config, struct cli_switch *extra);

struct torc_routes;
struct torc_service_config;

/*
 * The same for a program that is one service: it is made of `routes`, which are
 * destroyed. `service` may be NULL, and so may `config`, whose functions have
 * its `arg`. 1 if the service cannot be made.
 */
int cli_serve_routes(int argc, char **argv, const char *what,
    struct torc_routes *routes, const struct torc_service_config *service,
    const struct torc_config *config);

#endif
