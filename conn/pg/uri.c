/* SPDX-License-Identifier: MIT */
/*
 * uri.c - "postgresql://user:password@host:port,host:port/database?name=value",
 * as libpq reads it. It is taken apart in a copy, in its place.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/config.h"

#define SOCKETS "/var/run/postgresql"	/* where no host is named */

/* ---- Characters ---- */

static int
digit_of(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	character = (char)(character | 0x20);
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 :
	    -1;
}

/* Decode percent signs, such as %41, in place. A text must not contain NUL. */
static int
decode(char *text, const struct pg_words *words)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		int high, low;

		if (*at != '%') {
			*to++ = *at;
			continue;
		}
		high = digit_of(at[1]);
		low = high < 0 ? -1 : digit_of(at[2]);
		if (low < 0 || (high == 0 && low == 0))
			return torc_pg_refuse(words,
			    "address: each %% of the URI "
			    "must be followed by two hexadecimal digits, and "
			    "not by 00");
		*to++ = (char)(high << 4 | low);
		at += 2;
	}
	*to = '\0';
	return 0;
}

/* Cut off the text after this character. Returns that text, or NULL. */
static char *
cut(char *text, char character)
{
	char *at = strchr(text, character);

	if (at != NULL)
		*at++ = '\0';
	return at;
}

/* ---- Hosts ---- */

/* As they come: hosts and ports by comma, in as many parameters. */
struct places {
	char *hosts;		/* of a parameter, or NULL */
	char *addresses;	/* that need no name */
	char *ports;
	char *authority;	/* behind the user */
	char *fallback;		/* of the name of the application */
	bool odd;		/* an '@' may belong to a password, after all */
};

static int
refuse_brackets(const struct pg_words *words)
{
	return torc_pg_refuse(words,
	    "address: a host of the URI that begins with "
	    "a bracket must be like [::1]:5432");
}

/* "host:port" or "[::1]:port". The port is "" if there is none. */
static int
split_place(char *place, char **host, char **port,
    const struct pg_words *words)
{
	char *end = place[0] == '[' ? strchr(place, ']') : NULL;

	*host = place;
	if (place[0] == '[') {
		if (end == NULL || end == place + 1 ||
		    (end[1] != '\0' && end[1] != ':'))
			return refuse_brackets(words);
		*end++ = '\0';
		*host = place + 1;
		place = end;
	}
	*port = cut(place, ':');
	if (*port == NULL)
		*port = place + strlen(place);
	return decode(*host, words);
}

/* Texts with commas in between. */
struct list {
	char *items[PG_HOSTS_MAX];
	unsigned count;
};

static int
split_list(struct list *list, char *text, const struct pg_words *words)
{
	char *item;

	list->count = 0;
	while ((item = strsep(&text, ",")) != NULL) {
		if (list->count == PG_HOSTS_MAX)
			return torc_pg_refuse(words, "address: must have at "
			    "most %u hosts", PG_HOSTS_MAX);
		list->items[list->count++] = item;
	}
	return 0;
}

/* Returns how many ports there are behind the hosts, or -EINVAL. */
static int
split_authority(struct list *hosts, struct list *ports, char *authority,
    const struct pg_words *words)
{
	int given = 0, rc = split_list(hosts, authority, words);

	for (unsigned i = 0; i < hosts->count && rc == 0; i++) {
		rc = split_place(hosts->items[i], &hosts->items[i],
		    &ports->items[i], words);
		given += rc == 0 && ports->items[i][0] != '\0';
	}
	ports->count = given > 0 ? hosts->count : 0;
	return rc < 0 ? rc : given;
}

/*
 * One port is that of all hosts; else there is one for each. What is dialled
 * may have names beside it, for certificates.
 */
static int
add_listed(struct pg_setup *setup, const struct list *hosts,
    const struct list *names, const struct list *ports,
    const struct pg_words *words)
{
	int rc = 0;

	if (ports->count > 1 && ports->count != hosts->count)
		return torc_pg_refuse(words,
		    "port in the URI: must be as many as "
		    "hosts, or one, and not %s",
		    ports->count > hosts->count ? "more" : "fewer");
	if (names->count > 1 && names->count != hosts->count)
		return torc_pg_refuse(words, "hostaddr in the URI: must be as "
		    "many as hosts");
	for (unsigned i = 0; i < hosts->count && rc == 0; i++) {
		const char *host = hosts->items[i];
		const char *name = i < names->count ? names->items[i] : "";

		rc = torc_pg_setup_add_host(setup,
		    host[0] != '\0' ? host : SOCKETS, ports->count == 0 ? "" :
		    ports->items[ports->count > 1 ? i : 0], words);
		if (rc == 0 && name[0] != '\0' && name[0] != '/' &&
		    setup->names[i] != NULL)
			rc = torc_pg_setup_name_host(setup, i, name);
	}
	return rc;
}

/* Parameters replace what is behind the user. */
static int
add_places(struct pg_setup *setup, const struct places *places,
    const struct pg_words *words)
{
	struct list hosts, ports, addresses, none = { .count = 0 };
	int rc;

	if (strchr(places->authority, '[') != NULL &&
	    strchr(places->authority, ']') == NULL)
		return refuse_brackets(words);
	rc = split_authority(&hosts, &ports, places->authority, words);
	if (rc > 0 && places->ports != NULL)
		return torc_pg_refuse(words, "port in the URI: must not be "
		    "there beside one behind a host");
	if (rc >= 0 && places->hosts != NULL)
		rc = split_list(&hosts, places->hosts, words);
	if (rc >= 0 && places->ports != NULL)
		rc = split_list(&ports, places->ports, words);
	if (rc < 0 || places->addresses == NULL)
		return rc < 0 ? rc :
		    add_listed(setup, &hosts, &none, &ports, words);
	rc = split_list(&addresses, places->addresses, words);
	return rc < 0 ? rc :
	    add_listed(setup, &addresses, &hosts, &ports, words);
}

/* ---- Parameters ---- */

enum way {
	PLACE,			/* hosts or ports */
	FIELD,			/* a text of the configuration */
	STARTUP,		/* told to the server */
	FALLBACK,		/* the same, if nothing else is */
	SECONDS,		/* to connect */
	NUMBER,			/* of the sockets */
	ONE_OF,			/* without effect, but that of JDBC's "true" */
	TLS,			/* when TLS is used, and how */
	ELSEWHERE,		/* what a client of TLS is made with */
	SCRAM,
	ATTRS,
};

static const struct known {
	const char *name;
	enum way way;
	size_t offset;		/* in what the way is about */
	int most;		/* of a number */
	const char *values;	/* that are possible */
} known[] = {
#define TO_PLACE(name, field) \
	{ name, PLACE, offsetof(struct places, field), 0, NULL }
#define TO_FIELD(name, field) \
	{ name, FIELD, offsetof(struct torc_pg_config, field), 0, NULL }
#define TO_NUMBER(name, field, most) \
	{ name, NUMBER, offsetof(struct pg_keepalive, field), most, NULL }
	TO_PLACE("host", hosts),
	TO_PLACE("hostaddr", addresses),
	TO_PLACE("port", ports),
	TO_FIELD("user", user),
	TO_FIELD("password", password),
	TO_FIELD("dbname", database),
	{ "application_name", STARTUP, 0, 0, NULL },
	{ "fallback_application_name", FALLBACK, 0, 0, NULL },
	{ "client_encoding", STARTUP, 0, 0, NULL },
	{ "options", STARTUP, 0, 0, NULL },
	/* What fits in milliseconds. */
	{ "connect_timeout", SECONDS, 0, 2147483, NULL },
	/* What the kernel takes. */
	TO_NUMBER("keepalives", on, INT_MAX),
	TO_NUMBER("keepalives_idle", idle_s, 32767),
	TO_NUMBER("keepalives_interval", interval_s, 32767),
	TO_NUMBER("keepalives_count", count, 127),
	TO_NUMBER("tcp_user_timeout", user_timeout_ms, INT_MAX),
	{ "target_session_attrs", ATTRS, 0, 0, PG_ATTRS_NAMES },
	{ "require_auth", SCRAM, 0, 0, "scram-sha-256" },
	{ "sslmode", TLS, 0, 0, PG_SSLMODE_NAMES },
	{ "ssl", ONE_OF, 0, 0, "true, false" },
	{ "sslnegotiation", TLS, 0, 0, PG_NEGOTIATION_NAMES },
	{ "channel_binding", TLS, 0, 0, PG_CHANNEL_NAMES },
	{ "sslrootcert", ELSEWHERE, 0, 0, NULL },
	{ "sslcert", ELSEWHERE, 0, 0, NULL },
	{ "sslkey", ELSEWHERE, 0, 0, NULL },
	{ "sslpassword", ELSEWHERE, 0, 0, NULL },
	{ "sslcrl", ELSEWHERE, 0, 0, NULL },
	{ "ssl_min_protocol_version", ELSEWHERE, 0, 0, NULL },
	{ "gssencmode", ONE_OF, 0, 0, "disable, prefer" },
	{ "load_balance_hosts", ONE_OF, 0, 0, "disable" },
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

/* Read a number from 0 to `most`. Returns -1 if it is not one. */
static int
number_of(const char *value, int most)
{
	const size_t digits = strspn(value, "0123456789");
	const long long number = digits > 0 && digits < 11 ?
	    strtoll(value, NULL, 10) : -1;

	return value[digits] == '\0' && number <= most ? (int)number : -1;
}

static int
take_number(struct pg_setup *setup, const struct known *what,
    const char *value, const struct pg_words *words)
{
	const int number = number_of(value, what->most);

	if (number < 0)
		return torc_pg_refuse(words,
		    "%s = \"%s\" in the URI: must be a "
		    "number from 0 to %d",
		    what->name, value, what->most);
	if (what->way == SECONDS)
		setup->config.open_ms = number == 0 ? TORC_NO_LIMIT :
		    1000u * (unsigned)number;
	else
		*(int *)(void *)((char *)&setup->keepalive +
		    what->offset) = number;
	return 0;
}

/* A list, with ", " in between. */
static bool
is_among(const char *value, const char *values)
{
	const size_t size = strlen(value);

	while (size > 0 && values != NULL && *values != '\0') {
		const size_t length = strcspn(values, ",");

		if (length == size && memcmp(values, value, size) == 0)
			return true;
		values += length + (values[length] == ',' ? 2u : 0u);
	}
	return false;
}

static int
take_choice(struct pg_setup *setup, const struct known *what,
    const char *value, const struct pg_words *words)
{
	int attrs = torc_pg_attrs_find(value);

	if (what->way == ATTRS && attrs >= 0) {
		setup->attrs = (enum pg_attrs)attrs;
		return 0;
	}
	if (what->way == SCRAM && is_among(value, what->values)) {
		setup->config.require_scram = true;
		return 0;
	}
	if (what->way == TLS && torc_pg_tls_set(&setup->tls, what->name, value))
		return 0;
	if (what->way == ONE_OF && is_among(value, what->values)) {
		if (strcmp(value, "true") == 0 &&
		    setup->tls.mode < PG_SSL_REQUIRE)
			setup->tls.mode = PG_SSL_REQUIRE;
		return 0;
	}
	return torc_pg_refuse(words, "%s = \"%s\" in the URI: must be %s",
	    what->name, value, what->values);
}

static int
take_parameter(struct pg_setup *setup, struct places *places, char *name,
    char *value, const struct pg_words *words)
{
	const struct known *what = known;

	while (what < known + KNOWN && strcmp(what->name, name) != 0)
		what++;
	if (what == known + KNOWN)
		return torc_pg_refuse(words,
		    "address: the URI must not have %s%s, "
		    "which torc does not know",
		    places->odd ? "a parameter" : "the parameter ",
		    places->odd ? "" : name);
	switch (what->way) {
	case PLACE:
		*(char **)(void *)((char *)places + what->offset) = value;
		return 0;
	case FIELD:
		if (value[0] != '\0')
			*(const char **)(void *)((char *)&setup->config +
			    what->offset) = value;
		return 0;
	case STARTUP:
		return torc_pg_setup_add_parameter(setup, name, value, words);
	case FALLBACK:
		places->fallback = value;
		return 0;
	case ELSEWHERE:
		return torc_pg_refuse(words, "%s in the URI: must be a field "
		    "of the client of TLS instead (`transport`)", name);
	case SECONDS:
	case NUMBER:
		return take_number(setup, what, value, words);
	default:
		return take_choice(setup, what, value, words);
	}
}

static int
take_parameters(struct pg_setup *setup, struct places *places, char *query,
    const struct pg_words *words)
{
	char *name, *value;
	int rc = 0;

	while (rc == 0 && (name = strsep(&query, "&")) != NULL &&
	    (name[0] != '\0' || query != NULL)) {
		value = cut(name, '=');
		rc = decode(name, words);
		if (rc == 0 && value == NULL)
			rc = torc_pg_refuse(words,
			    "address: each parameter of the "
			    "URI must have a name, \"=\" and a value");
		if (rc == 0)
			rc = decode(value, words);
		if (rc == 0)
			rc = take_parameter(setup, places, name, value,
			    words);
	}
	return rc;
}

/* ---- All of it ---- */

static const char *
behind_scheme(const char *address)
{
	static const char *const schemes[] = { "postgresql://",
		"postgres://" };

	for (size_t i = 0; i < 2; i++)
		if (strncmp(address, schemes[i], strlen(schemes[i])) == 0)
			return address + strlen(schemes[i]);
	return NULL;
}

bool
torc_pg_is_uri(const char *address)
{
	return behind_scheme(address) != NULL;
}

/*
 * Returns where the user and the password end, or NULL: at the last '@' before
 * the hosts end. A '?' before the first '@' belongs to them.
 */
static char *
find_at(char *text)
{
	char *at = text + strcspn(text, "@/");
	char *end = at + strcspn(at, "/?");
	char *last = *at == '@' ? at : NULL;

	while (last != NULL && (at = strchr(at + 1, '@')) != NULL && at < end)
		last = at;
	return last;
}

static int
take_user(struct pg_setup *setup, char *user, const struct pg_words *words)
{
	char *password = cut(user, ':');
	int rc = decode(user, words);

	if (rc == 0 && password != NULL)
		rc = decode(password, words);
	if (user[0] != '\0')
		setup->config.user = user;
	if (password != NULL && password[0] != '\0')
		setup->config.password = password;
	return rc;
}

/* Set the name of the application, unless it has one. */
static bool
has_name(const struct pg_setup *setup)
{
	for (unsigned i = 0; i < setup->parameter_count; i += 2)
		if (strcmp(setup->parameters[i], "application_name") == 0)
			return true;
	return false;
}

/* Parts of the URI that may belong to a password are not repeated. */
int
torc_pg_uri_take(struct pg_setup *setup, const char *uri,
    const struct pg_words *shown)
{
	const struct pg_words words = { shown->error, true };
	struct places places = { .hosts = NULL };
	char *copy, *database, *query;
	int rc = 0;

	uri = behind_scheme(uri);
	copy = torc_pg_setup_keep(setup, uri, strlen(uri));
	if (copy == NULL)
		return -ENOMEM;
	places.authority = copy;
	if (find_at(copy) != NULL) {
		places.authority = find_at(copy);
		*places.authority++ = '\0';
		rc = take_user(setup, copy, &words);
	} else {
		places.odd = strchr(copy, '@') != NULL;
	}
	query = cut(places.authority, '?');
	database = cut(places.authority, '/');
	if (rc == 0 && database != NULL)
		rc = decode(database, &words);
	if (rc == 0 && database != NULL && database[0] != '\0')
		setup->config.database = database;
	if (rc == 0 && query != NULL)
		rc = take_parameters(setup, &places, query, &words);
	if (rc == 0 && places.fallback != NULL && !has_name(setup))
		rc = torc_pg_setup_add_parameter(setup, "application_name",
		    places.fallback, &words);
	return rc < 0 ? rc : add_places(setup, &places, &words);
}
