/* SPDX-License-Identifier: MIT */
/*
 * cli_tls.h - what cli.c asks of cli_tls.c. A program that is linked without
 * cli_tls.c serves clear text only, and needs no OpenSSL.
 */
#ifndef TORC_EXAMPLES_CLI_TLS_H
#define TORC_EXAMPLES_CLI_TLS_H

#include <torc.h>

struct cli_tls {
	const char *help;		/* of its options */
	const char *(*version)(void);	/* of OpenSSL */
	/* Whether it is an option of TLS; each has a value. */
	bool (*has)(const char *option);
	/* Returns 0, or an exit status: the reason was said. */
	int (*set)(const char *option, const char *value);
	void (*dial)(void);		/* the program's origin is for TLS */
	/* Reads the files. `secure`: an address is for TLS, and goes through
	 * `*transport`. Returns -1, or an exit status. */
	int (*begin)(struct torc_config *config, bool secure,
	    struct torc_transport_maker **transport);
	/* What connections to the origin go through; NULL: clear text. */
	struct torc_transport_dialler *(*dialler)(void);
	void (*end)(void);
};

/* Weak: its address is NULL without cli_tls.c. */
extern const struct cli_tls cli_tls __attribute__((__weak__));

#endif
