/* SPDX-License-Identifier: MIT */
/* config.h - checks and copies the configuration of a client. */
#ifndef TORC_PG_CONFIG_H
#define TORC_PG_CONFIG_H

#include "conn/pg/sslmode.h"
#include "conn/pg/torc_pg.h"

#define PG_HOSTS_MAX 32u
#define PG_PARAMETERS_MAX 64u	/* of the startup, names and values */
#define PG_PORT "5432"

/* The kind of server that a connection must lead to. */
enum pg_attrs {
	PG_ANY,
	PG_READ_WRITE,
	PG_READ_ONLY,
	PG_PRIMARY,
	PG_STANDBY,
	PG_PREFER_STANDBY,
	PG_ATTRS,
};

/*
 * Options of sockets. Negative values leave the defaults of dialled
 * connections.
 */
struct pg_keepalive {
	int on;
	int idle_s;
	int interval_s;
	int count;
	int user_timeout_ms;
};

#define PG_ATTRS_NAMES "any, read-write, read-only, primary, standby or " \
	"prefer-standby"

struct pg_text;

struct pg_setup {
	struct torc_pg_config config;	/* with defaults; its texts are here */
	struct pg_text *texts;		/* that were copied */
	const char *hosts[PG_HOSTS_MAX + 1];	/* as torc_dial_name() reads
						 * them */
	/* Whom a certificate has to name; NULL: no TLS there. */
	const char *names[PG_HOSTS_MAX];
	unsigned host_count;
	struct pg_tls tls;
	enum pg_attrs attrs;
	struct pg_keepalive keepalive;
	const char *parameters[PG_PARAMETERS_MAX + 2];
	unsigned parameter_count;
};

/* Where the text of a refusal is stored. */
struct pg_words {
	struct torc_error *error;	/* may be NULL */
	bool hidden;		/* possible passwords are not repeated */
};

/* -EINVAL, always. */
__attribute__((format(printf, 2, 3)))
int torc_pg_refuse(const struct pg_words *words, const char *format, ...);

/*
 * Returns 0; -EINVAL, with a text in `words`; or -ENOMEM. After an error the
 * copies are freed.
 */
int torc_pg_setup_make(struct pg_setup *setup,
    const struct torc_pg_config *config, const struct pg_words *words);
void torc_pg_setup_free(struct pg_setup *setup);

/*
 * Copy a text for as long as the setup lives. Returns NULL if there is no
 * memory.
 */
char *torc_pg_setup_keep(struct pg_setup *setup, const char *text, size_t size);
/*
 * Add an address, or a parameter of the startup. Returns 0, -EINVAL or -ENOMEM.
 */
int torc_pg_setup_add_host(struct pg_setup *setup, const char *host,
    const char *port, const struct pg_words *words);
/* Its certificate has to name another host than its address does. */
int torc_pg_setup_name_host(struct pg_setup *setup, unsigned place,
    const char *name);
int torc_pg_setup_add_parameter(struct pg_setup *setup, const char *name,
    const char *value, const struct pg_words *words);

/* Returns the number of one of PostgreSQL's names, or -1. */
int torc_pg_attrs_find(const char *name);
const char *torc_pg_attrs_name(enum pg_attrs attrs);

/* Recognize a URI, and read it (uri.c). Returns 0, -EINVAL or -ENOMEM. */
bool torc_pg_is_uri(const char *address);
int torc_pg_uri_take(struct pg_setup *setup, const char *uri,
    const struct pg_words *words);

#endif
