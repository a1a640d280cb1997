/* SPDX-License-Identifier: MIT */
/* sslmode.c - what a configuration says of TLS, and what cannot be. */
#include "conn/pg/sslmode.h"

#include <errno.h>
#include <string.h>

#include "conn/pg/config.h"
#include "reactor/error.h"

static const char *const modes[PG_SSLMODES] = { "disable", "allow", "prefer",
	"require", "verify-ca", "verify-full" };
static const char *const negotiations[] = { "postgres", "direct" };
static const char *const channels[PG_CHANNELS] = { "disable", "prefer",
	"require" };

/* The place of a name in a list, or -1. */
static int
find(const char *const names[], int count, const char *name)
{
	while (count-- > 0 && strcmp(names[count], name) != 0)
		continue;
	return count;
}

bool
torc_pg_tls_set(struct pg_tls *tls, const char *name, const char *value)
{
	int found;

	if (strcmp(name, "sslmode") == 0) {
		found = find(modes, PG_SSLMODES, value);
		if (found >= 0)
			tls->mode = (enum pg_sslmode)found;
	} else if (strcmp(name, "sslnegotiation") == 0) {
		found = find(negotiations, 2, value);
		if (found >= 0)
			tls->direct = found == 1;
	} else {
		found = find(channels, PG_CHANNELS, value);
		if (found >= 0)
			tls->channel = (enum pg_channel)found;
	}
	return found >= 0;
}

int
torc_pg_tls_take(struct pg_tls *tls, const struct torc_pg_config *config,
    const struct pg_words *words)
{
	const struct {
		const char *name, *value, *names;
	} fields[] = {
		{ "sslmode", config->sslmode, PG_SSLMODE_NAMES },
		{ "sslnegotiation", config->sslnegotiation,
		    PG_NEGOTIATION_NAMES },
		{ "channel_binding", config->channel_binding,
		    PG_CHANNEL_NAMES },
	};

	tls->mode = config->transport != NULL ? PG_SSL_VERIFY_FULL :
	    PG_SSL_DISABLE;
	tls->direct = false;
	tls->channel = PG_CHANNEL_PREFER;
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].value != NULL &&
		    !torc_pg_tls_set(tls, fields[i].name, fields[i].value))
			return torc_error_set(words->error, -EINVAL,
			    "%s = \"%s\": must be %s", fields[i].name,
			    fields[i].value, fields[i].names);
	return 0;
}

int
torc_pg_tls_check(const struct pg_tls *tls,
    const struct torc_pg_config *config, const struct pg_words *words)
{
	const char *const mode = modes[tls->mode];

	if (config->transport == NULL && tls->mode >= PG_SSL_REQUIRE)
		return torc_error_set(words->error, -EINVAL,
		    "sslmode = \"%s\" needs TLS: `transport` must be set",
		    mode);
	if (tls->direct && tls->mode < PG_SSL_REQUIRE)
		return torc_error_set(words->error, -EINVAL,
		    "sslnegotiation = \"direct\": sslmode must be require, "
		    "verify-ca or verify-full, and is \"%s\"", mode);
	if (tls->channel == PG_CHANNEL_REQUIRE &&
	    (config->transport == NULL || tls->mode == PG_SSL_DISABLE))
		return torc_error_set(words->error, -EINVAL,
		    "channel_binding = \"require\" needs TLS: %s",
		    config->transport == NULL ? "`transport` must be set" :
		    "sslmode must not be \"disable\"");
	return 0;
}
