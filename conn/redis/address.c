/* SPDX-License-Identifier: MIT */
/*
 * address.c - reads the address of a configuration: addresses separated by
 * commas, or a URI.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"

#define HOST_MAX 253u		/* bytes of a name in the DNS */
#define REDIS_PORT 6379u
#define SENTINEL_PORT 26379u
#define DATABASE_MAX (1u << 20)

/* Where the text of an error is stored. */
struct reader {
	struct torc_redis *redis;
	struct torc_error *error;
	bool hidden;	/* possible passwords are not repeated */
};

static int __attribute__((format(printf, 2, 3)))
refuse(const struct reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)torc_error_vset(reader->error, -EINVAL, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int
refuse_memory(struct torc_error *error)
{
	return torc_error_set(error, -ENOMEM, "no memory for an address");
}

/* ---- One address ---- */

/* Whether all bytes are letters, digits, or in `others`. */
static bool
consists_of(const char *text, size_t size, const char *others)
{
	for (size_t i = 0; i < size; i++) {
		const char byte = text[i];

		if (!(byte >= '0' && byte <= '9') &&
		    !(byte >= 'a' && byte <= 'z') &&
		    !(byte >= 'A' && byte <= 'Z') &&
		    (byte == '\0' || strchr(others, byte) == NULL))
			return false;
	}
	return true;
}

static bool
is_port(const char *text)
{
	unsigned long value = 0;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || value > 65535)
			return false;
		value = value * 10 + (unsigned long)(*at - '0');
	}
	return value > 0 && value <= 65535;
}

/* The length of the host in "host", "host:7", "[::1]" or "[::1]:7"; or 0. */
static size_t
measure_host(const char *text)
{
	const char *end;
	size_t size;

	if (text[0] == '[') {
		end = strchr(text, ']');
		size = end == NULL ? 0 : (size_t)(end - text) + 1;
		return size > 3 && consists_of(text + 1, size - 2, ":.%-_") ?
		    size : 0;
	}
	size = strcspn(text, ":");
	return consists_of(text, size, ".-_") ? size : 0;
}

static int
add(const struct reader *reader, const char *address)
{
	struct torc_redis *redis = reader->redis;
	char *copy;

	if (redis->address_count == REDIS_ADDRESSES)
		return refuse(reader, "address: must be at most %u of them",
		    REDIS_ADDRESSES);
	copy = torc_sys_strdup(address);
	if (copy == NULL)
		return refuse_memory(reader->error);
	redis->addresses[redis->address_count++] = copy;
	return 0;
}

static int
read_local(const struct reader *reader, const char *text)
{
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	const size_t size = strlen(text) - strlen("unix:");

	if (size > 0 && size <= most)
		return add(reader, text);
	return refuse(reader, "address: \"%s\": the path must have 1 to %zu "
	    "bytes", text, most);
}

/* "host:port", and the port may be missing. */
static int
read_host(const struct reader *reader, const char *text)
{
	const unsigned port = reader->redis->config.sentinel != NULL ?
	    SENTINEL_PORT : REDIS_PORT;
	const size_t size = measure_host(text);
	char address[REDIS_ADDRESS];

	/* The text may contain a password. */
	if (strchr(text, '@') != NULL)
		return refuse(reader, "address: must begin with redis:// if it "
		    "has a user or a password");
	if (reader->hidden && (size == 0 || size > HOST_MAX ||
	    (text[size] != '\0' && (text[size] != ':' ||
	    !is_port(text + size + 1)))))
		return refuse(reader, "address: a host of the URI must be "
		    "host, host:port or [IPv6]:port, behind user:password@");
	if (size == 0 || size > HOST_MAX ||
	    (text[size] != '\0' && text[size] != ':'))
		return refuse(reader, "address: \"%s\": must be host:port, "
		    "[IPv6]:port, unix:PATH or redis://host:port", text);
	if (text[size] == ':' && !is_port(text + size + 1))
		return refuse(reader, "address: \"%s\": the port must be 1 to "
		    "65535 (and IPv6 must be in brackets)", text);
	if (text[size] == '\0')
		torc_text_print(
		    address, sizeof(address), "%s:%u", text, port);
	else
		torc_text_print(address, sizeof(address), "%s", text);
	return add(reader, address);
}

/* Read addresses that are separated by commas. `text` is changed. */
static int
read_list(const struct reader *reader, char *text)
{
	int rc = 0;

	for (char *next = text; rc == 0 && next != NULL; text = next) {
		next = strchr(text, ',');
		if (next != NULL)
			*next++ = '\0';
		if (text[0] == '\0')
			return refuse(reader, "address: must not be empty, "
			    "nor one of several");
		rc = strncmp(text, "unix:", 5) == 0 ?
		    read_local(reader, text) : read_host(reader, text);
	}
	return rc;
}

/* ---- URIs ---- */

static int
hex(char digit)
{
	const char *const digits = "0123456789abcdef";
	const char *at = digit == '\0' ? NULL :
	    strchr(digits, digit >= 'A' && digit <= 'F' ? digit | 0x20 : digit);

	return at == NULL ? -1 : (int)(at - digits);
}

/*
 * Undo percent-encoding in place. Errors name a text that must not be shown by
 * `what`.
 */
static int
decode(const struct reader *reader, char *text, const char *what)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		int byte = (unsigned char)*from;

		if (*from == '%') {
			byte = hex(from[1]) < 0 || hex(from[2]) < 0 ? 0 :
			    hex(from[1]) << 4 | hex(from[2]);
			from += 2;
		}
		if (byte == 0)
			return refuse(reader, "address: in the %s of the URI, "
			    "two digits must follow a %%, and not 00", what);
		*to++ = (char)byte;
	}
	*to = '\0';
	return 0;
}

/*
 * Set a field of the configuration that the URI has. It must not be set
 * already.
 */
static int
set(const struct reader *reader, const char **field, char **ours,
    const char *value, const char *name)
{
	if (*field != NULL)
		return refuse(reader, "%s: must not be in the address, too",
		    name);
	*ours = torc_sys_strdup(value);
	*field = *ours;
	return *ours == NULL ? refuse_memory(reader->error) : 0;
}

/* "user:password", "user" or ":password". */
static int
read_login(const struct reader *reader, char *text)
{
	struct torc_redis *redis = reader->redis;
	char *password = strchr(text, ':');
	int rc;

	if (password != NULL)
		*password++ = '\0';
	rc = decode(reader, text, "user");
	if (rc == 0 && password != NULL)
		rc = decode(reader, password, "password");
	if (rc == 0 && text[0] != '\0')
		rc = set(reader, &redis->config.user, &redis->strings[1],
		    text, "user");
	if (rc == 0 && password != NULL && password[0] != '\0')
		rc = set(reader, &redis->config.password, &redis->strings[2],
		    password, "password");
	return rc;
}

static int
read_database(const struct reader *reader, const char *text)
{
	struct torc_redis_config *config = &reader->redis->config;
	unsigned value = 0;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || value > DATABASE_MAX)
			return refuse(reader, "address: after the host of a "
			    "URI, there must be a database, from 0 to %u",
			    DATABASE_MAX);
		value = value * 10 + (unsigned)(*at - '0');
	}
	if (config->database != 0 && text[0] != '\0')
		return refuse(reader, "database: must not be in the address, "
		    "too");
	if (text[0] != '\0')
		config->database = value;
	return 0;
}

/* Read what follows "redis://". The text is changed. */
static int
read_uri(const struct reader *reader, char *text)
{
	char *path, *hosts;
	int rc = 0;

	if (strstr(text, "://") != NULL)
		return refuse(reader, "address: must not be a second URI "
		    "(several hosts are redis://a:1,b:2/0)");
	if (strpbrk(text, "?#") != NULL)
		return refuse(reader, "address: a URI must have no parameters "
		    "(\"?\" or \"#\"; in a password these are %%3F and "
		    "%%23)");
	hosts = strrchr(text, '@');
	path = strchr(hosts != NULL ? hosts : text, '/');
	if (path != NULL) {
		*path++ = '\0';
		rc = read_database(reader, path);
	}
	if (rc == 0 && hosts != NULL) {
		*hosts++ = '\0';
		rc = read_login(reader, text);
		text = hosts;
	}
	if (rc == 0)
		rc = decode(reader, text, "host");
	return rc < 0 ? rc : text[0] == '\0' ?
	    read_host(reader, "localhost") : read_list(reader, text);
}

static bool
has_scheme(const char *text, const char *scheme)
{
	for (; *scheme != '\0'; scheme++, text++) {
		if ((*text | 0x20) != (*scheme | 0x20))
			return false;
	}
	return true;
}

/* The scheme and the configuration have to agree on TLS. */
static int
read_with_scheme(struct reader *reader, char *text, const char *scheme)
{
	const bool wanted = scheme[5] == 's';
	const bool has = reader->redis->config.transport != NULL;

	if (wanted && !has)
		return refuse(reader, "address: rediss:// needs TLS: "
		    "`transport` must be set");
	if (has && !wanted)
		return refuse(reader, "address: must be rediss://, because "
		    "`transport` is set");
	reader->hidden = true;
	return read_uri(reader, text + strlen(scheme));
}

static int
read_any(struct reader *reader, char *text)
{
	if (has_scheme(text, "redis://"))
		return read_with_scheme(reader, text, "redis://");
	if (has_scheme(text, "rediss://"))
		return read_with_scheme(reader, text, "rediss://");
	if (strncmp(text, "unix:", 5) != 0 && strstr(text, "://") != NULL)
		return refuse(reader, "address: a URI must begin with "
		    "redis:// or rediss://; host:port and unix:PATH are "
		    "others");
	return read_list(reader, text);
}

int
torc_redis_read_address(struct torc_redis *redis, struct torc_error *error)
{
	struct reader reader = { redis, error, false };
	const char *address = redis->config.address;
	char *copy;
	int rc;

	if (address == NULL)
		address = "127.0.0.1";
	copy = torc_sys_strdup(address);
	if (copy == NULL)
		return refuse_memory(error);
	rc = read_any(&reader, copy);
	torc_sys_free(copy);
	return rc;
}
