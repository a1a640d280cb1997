/* SPDX-License-Identifier: MIT */
/* sslmode.h - what a configuration says of TLS, in libpq's words. */
#ifndef TORC_PG_SSLMODE_H
#define TORC_PG_SSLMODE_H

#include <stdbool.h>

#include "conn/pg/torc_pg.h"

struct pg_words;

/* Each asks for more than the one before it. */
enum pg_sslmode {
	PG_SSL_DISABLE,
	PG_SSL_ALLOW,
	PG_SSL_PREFER,
	PG_SSL_REQUIRE,
	PG_SSL_VERIFY_CA,
	PG_SSL_VERIFY_FULL,
	PG_SSLMODES,
};

enum pg_channel {
	PG_CHANNEL_DISABLE,
	PG_CHANNEL_PREFER,
	PG_CHANNEL_REQUIRE,
	PG_CHANNELS,
};

struct pg_tls {
	enum pg_sslmode mode;
	bool direct;		/* without asking */
	enum pg_channel channel;
};

#define PG_SSLMODE_NAMES "disable, allow, prefer, require, verify-ca or " \
	"verify-full"
#define PG_NEGOTIATION_NAMES "postgres or direct"
#define PG_CHANNEL_NAMES "disable, prefer or require"

/* One of the three, by its name. False: there is no such value. */
bool torc_pg_tls_set(struct pg_tls *tls, const char *name, const char *value);

/* The fields of the configuration. Returns 0 or -EINVAL. */
int torc_pg_tls_take(struct pg_tls *tls, const struct torc_pg_config *config,
    const struct pg_words *words);
/* Whether they go together, when a URI has changed some. 0 or -EINVAL. */
int torc_pg_tls_check(const struct pg_tls *tls,
    const struct torc_pg_config *config, const struct pg_words *words);

#endif
