/* SPDX-License-Identifier: MIT */
/* config.c - checks and copies the configuration of a client. */
#include "conn/pg/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define HOST_MAX 253u		/* of a name in the DNS */
#define PATH_MAX_UNIX 107u	/* of the address of a socket */

struct pg_text {
	struct pg_text *next;
	size_t size;
	char text[];
};

struct bound {
	const char *name;
	size_t offset;
	unsigned otherwise;
	unsigned least;
	unsigned most;
};

#define BOUND(name, otherwise, least, most) \
	{ #name, offsetof(struct torc_pg_config, name), otherwise, least, \
	    most }

static const struct bound bounds[] = {
	BOUND(iterations_max, 1000000, 4096, 1u << 24),
	BOUND(shared, 2, 1, 256),
	BOUND(sessions, 8, 1, 4096),
	BOUND(waiters, 1024, 1, 1048576),
	BOUND(statements, 256, 1, 65536),
	BOUND(message_max, 16777216, 1024, 1u << 30),
	BOUND(result_max, 4194304, 1024, 1u << 30),
	BOUND(notices_max, 262144, 1024, 1u << 30),
	BOUND(cancel_ms, 1000, 1, 60000),
};

int
torc_pg_refuse(const struct pg_words *words, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	torc_error_vset(words->error, -EINVAL, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- Texts ---- */

char *
torc_pg_setup_keep(struct pg_setup *setup, const char *text, size_t size)
{
	struct pg_text *kept = torc_sys_alloc_raw(sizeof(*kept) + size + 1);

	if (kept == NULL)
		return NULL;
	memcpy(kept->text, text, size);
	kept->text[size] = '\0';
	kept->size = size;
	kept->next = setup->texts;
	setup->texts = kept;
	return kept->text;
}

/* Replace a text by its copy. NULL stays. */
static int
keep(struct pg_setup *setup, const char **text)
{
	if (*text != NULL)
		*text = torc_pg_setup_keep(setup, *text, strlen(*text));
	return 0;
}

/* Passwords are among them. */
void
torc_pg_setup_free(struct pg_setup *setup)
{
	while (setup->texts != NULL) {
		struct pg_text *text = setup->texts;

		setup->texts = text->next;
		explicit_bzero(text->text, text->size);
		torc_sys_free(text);
	}
}

static int
keep_texts(struct pg_setup *setup, const struct torc_pg_config *from)
{
	struct torc_pg_config *config = &setup->config;

	keep(setup, &config->user);
	keep(setup, &config->database);
	keep(setup, &config->password);
	keep(setup, &config->reset);
	return (from->user != NULL && config->user == NULL) ||
	    (from->database != NULL && config->database == NULL) ||
	    (from->password != NULL && config->password == NULL) ||
	    (from->reset != NULL && config->reset == NULL) ? -ENOMEM : 0;
}

/* ---- Addresses ---- */

/* `name`: whom a certificate has to name; NULL: it has no TLS. */
static int
add(struct pg_setup *setup, const char *address, const char *name,
    const struct pg_words *words)
{
	const char *kept;

	if (setup->host_count == PG_HOSTS_MAX)
		return torc_pg_refuse(
		    words, "address: must have at most %u hosts", PG_HOSTS_MAX);
	kept = torc_pg_setup_keep(setup, address, strlen(address));
	if (kept == NULL)
		return -ENOMEM;
	setup->hosts[setup->host_count++] = kept;
	return name == NULL ? 0 :
	    torc_pg_setup_name_host(setup, setup->host_count - 1, name);
}

int
torc_pg_setup_name_host(struct pg_setup *setup, unsigned place,
    const char *name)
{
	torc_assert(place < setup->host_count);
	/* The zone of an address is not in certificates. */
	setup->names[place] = torc_pg_setup_keep(setup, name,
	    strchr(name, ':') != NULL ? strcspn(name, "%") : strlen(name));
	return setup->names[place] == NULL ? -ENOMEM : 0;
}

static bool
is_port(const char *port)
{
	const size_t digits = strspn(port, "0123456789");
	unsigned long number = digits > 0 && digits < 6 ?
	    strtoul(port, NULL, 10) : 0;

	return port[digits] == '\0' && number >= 1 && number <= 65535;
}

/*
 * The characters of a name or an IPv4 address; or of an IPv6 address, with a
 * scope.
 */
static bool
is_host(const char *host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";

	return host[0] != '\0' && strlen(host) <= HOST_MAX &&
	    host[strspn(host, letters)] == '\0';
}

/* A folder, or with '@' a prefix of the abstract namespace, as libpq has it. */
static int
add_folder(struct pg_setup *setup, const char *folder, const char *port,
    const struct pg_words *words)
{
	char address[PATH_MAX_UNIX + 8];
	int size = snprintf(address, sizeof(address), "unix:%s/.s.PGSQL.%s",
	    folder, port);

	if (size >= (int)sizeof(address))
		return torc_pg_refuse(words, "address: the path of a socket in "
		    "\"%s\": must have at most %u bytes", folder,
		    PATH_MAX_UNIX);
	return add(setup, address, NULL, words);
}

/* In a URI, either may be a part of a password that was not percent-encoded. */
static int
refuse_hidden(const struct pg_words *words)
{
	return torc_pg_refuse(words,
	    "address: a host of the URI: must be a name "
	    "or an address, and its port 1 to 65535 (within a password, / ? @ "
	    "# and : are written %%2F %%3F %%40 %%23 and %%3A)");
}

int
torc_pg_setup_add_host(struct pg_setup *setup, const char *host,
    const char *port, const struct pg_words *words)
{
	char address[HOST_MAX + 16];

	if (port[0] == '\0')
		port = PG_PORT;
	if (words->hidden && (!is_port(port) || (host[0] != '/' &&
	    host[0] != '@' && !is_host(host))))
		return refuse_hidden(words);
	if (!is_port(port))
		return torc_pg_refuse(words,
		    "address: the port \"%s\": must be 1 "
		    "to 65535",
		    port);
	if (host[0] == '/' || host[0] == '@')
		return add_folder(setup, host, port, words);
	if (!is_host(host))
		return torc_pg_refuse(words,
		    "address: \"%s\": must be the name "
		    "of a host, or an address",
		    host);
	snprintf(address, sizeof(address), strchr(host, ':') != NULL ?
	    "[%s]:%s" : "%s:%s", host, port);
	return add(setup, address, host, words);
}

/* "host", "host:port", "[::1]:port", "unix:path" or "/folder"; it is changed
 * on the way. */
static int
add_item(struct pg_setup *setup, char *item, const struct pg_words *words)
{
	char *port = strrchr(item, ':'), *end;

	if (strncmp(item, "unix:", 5) == 0)
		return item[5] == '\0' || strlen(item) > PATH_MAX_UNIX + 5 ?
		    torc_pg_refuse(words,
			"address: \"%s\": the path must have 1 "
			"to %u bytes",
			item, PATH_MAX_UNIX) :
		    add(setup, item, NULL, words);
	if (item[0] == '/' || item[0] == '@')
		return torc_pg_setup_add_host(setup, item, "", words);
	if (strchr(item, '@') != NULL)
		return torc_pg_refuse(words,
		    "address: must have no \"@\": the user is a field of its "
		    "own, or part of a URI (postgres://...)");
	if (item[0] == '[') {
		end = strchr(item, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return torc_pg_refuse(words, "address: \"%s\": must be "
			    "like [::1]:5432", item);
		port = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		item++;
	} else if (port != NULL && strchr(item, ':') != port) {
		return torc_pg_refuse(words, "address: \"%s\": must be in "
		    "brackets, because it has colons", item);
	}
	if (port != NULL)
		*port++ = '\0';
	return torc_pg_setup_add_host(setup, item, port != NULL ? port : "",
	    words);
}

/* "a:1,b:2": they are tried in this order. */
static int
add_list(struct pg_setup *setup, const char *list,
    const struct pg_words *words)
{
	char *copy = torc_sys_strdup(list), *at = copy, *item;
	int rc = copy == NULL ? -ENOMEM : 0;

	while (rc == 0 && (item = strsep(&at, ",")) != NULL) {
		item += strspn(item, " ");
		for (size_t i = strlen(item); i > 0 && item[i - 1] == ' ';)
			item[--i] = '\0';
		rc = add_item(setup, item, words);
	}
	torc_sys_free(copy);
	return rc;
}

/* Parts that may contain a password are not repeated. */
static int
take_address(struct pg_setup *setup, const struct pg_words *words)
{
	const char *address = setup->config.address;

	if (address == NULL)
		return torc_pg_refuse(words, "address: must be given");
	if (torc_pg_is_uri(address))
		return torc_pg_uri_take(setup, address, words);
	if (strstr(address, "://") != NULL)
		return torc_pg_refuse(words, "address: a URI must begin with "
		    "postgres:// or postgresql://, and not with \"%.*s\"",
		    (int)(strstr(address, "://") - address) + 3, address);
	if (strchr(address, '=') != NULL)
		return torc_pg_refuse(words, "address: must be hosts or a URI "
		    "(postgres://...), and not names and values with \"=\"");
	return add_list(setup, address, words);
}

/* ---- Parameters and terms ---- */

int
torc_pg_setup_add_parameter(struct pg_setup *setup, const char *name,
    const char *value, const struct pg_words *words)
{
	unsigned *count = &setup->parameter_count;

	if (*count + 2 > PG_PARAMETERS_MAX)
		return torc_pg_refuse(words, "parameters: must be at most %u",
		    PG_PARAMETERS_MAX / 2);
	if (name[0] == '\0')
		return torc_pg_refuse(
		    words, "parameters: each must have a name");
	name = torc_pg_setup_keep(setup, name, strlen(name));
	value = torc_pg_setup_keep(setup, value, strlen(value));
	if (name == NULL || value == NULL)
		return -ENOMEM;
	setup->parameters[(*count)++] = name;
	setup->parameters[(*count)++] = value;
	return 0;
}

static int
add_parameters(struct pg_setup *setup, const char *const *from,
    const struct pg_words *words)
{
	int rc = 0;

	for (; rc == 0 && from != NULL && from[0] != NULL; from += 2) {
		if (from[1] == NULL)
			return torc_pg_refuse(words, "parameters: \"%s\": must "
			    "have a value", from[0]);
		rc = torc_pg_setup_add_parameter(
		    setup, from[0], from[1], words);
	}
	return rc;
}

static const char *const attrs_names[PG_ATTRS] = { "any", "read-write",
	"read-only", "primary", "standby", "prefer-standby" };

int
torc_pg_attrs_find(const char *name)
{
	int i = PG_ATTRS;

	while (i-- > 0 && strcmp(attrs_names[i], name) != 0)
		continue;
	return i;
}

const char *
torc_pg_attrs_name(enum pg_attrs attrs)
{
	return attrs_names[attrs];
}

static int
take_attrs(struct pg_setup *setup, const struct pg_words *words)
{
	const char *name = setup->config.target_session_attrs;
	int attrs = name != NULL ? torc_pg_attrs_find(name) : PG_ANY;

	if (attrs < 0)
		return torc_pg_refuse(words,
		    "target_session_attrs = \"%s\": must "
		    "be " PG_ATTRS_NAMES,
		    name);
	setup->attrs = (enum pg_attrs)attrs;
	return 0;
}

/* ---- All of it ---- */

static int
check_bounds(struct torc_pg_config *config, const struct pg_words *words)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *bound = &bounds[i];
		unsigned *field = (unsigned *)(void *)((char *)config +
		    bound->offset);

		if (*field == 0)
			*field = bound->otherwise;
		if (*field < bound->least || *field > bound->most)
			return torc_pg_refuse(words,
			    "%s = %u: must be from %u to "
			    "%u",
			    bound->name, *field, bound->least, bound->most);
	}
	return 0;
}

int
torc_pg_setup_make(struct pg_setup *setup, const struct torc_pg_config *config,
    const struct pg_words *words)
{
	int rc;

	*setup = (struct pg_setup) { .config = *config,
		.keepalive = { -1, -1, -1, -1, -1 } };
	rc = check_bounds(&setup->config, words);
	if (rc == 0)
		rc = keep_texts(setup, config);
	if (rc == 0)
		rc = take_attrs(setup, words);
	if (rc == 0)
		rc = torc_pg_tls_take(&setup->tls, &setup->config, words);
	if (rc == 0)
		rc = add_parameters(setup, config->parameters, words);
	/* This comes last, because a URI overrides the fields. */
	if (rc == 0)
		rc = take_address(setup, words);
	if (rc == 0)
		rc = torc_pg_tls_check(&setup->tls, &setup->config, words);
	if (rc == 0 && (setup->config.user == NULL ||
	    setup->config.user[0] == '\0'))
		rc = torc_pg_refuse(words, "user: must be given");
	if (rc < 0)
		torc_pg_setup_free(setup);
	setup->config.address = NULL;
	setup->config.parameters = NULL;
	setup->config.target_session_attrs = NULL;
	setup->config.sslmode = NULL;
	setup->config.sslnegotiation = NULL;
	setup->config.channel_binding = NULL;
	return rc;
}
