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
	/* Takes an option with its value. Returns 0, an exit status, or -1 if
	 * the option is none of TLS. */
	int (*option)(const char *name, const char *value);
	/* What connections that are dialled go through. NULL: the reason was
	 * said. */
	struct torc_transport_dialler *(*dial)(void);
	/* Reads the files. NULL: the reason was said, and `*status` is the exit
	 * status. */
	struct torc_transport_maker *(*begin)(int *status);
	void (*reload)(void *arg);	/* reads them again, and says so */
	void (*end)(void);
};

/* Weak: its address is NULL without cli_tls.c. */
extern const struct cli_tls cli_tls __attribute__((__weak__));

#endif
