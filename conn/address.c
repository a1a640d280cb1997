/* SPDX-License-Identifier: MIT */
/*
 * address.c - "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/run/x",
 * "unix:@x" to and from sockaddr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "conn/address.h"
#include "sys/sys.h"

/* An address, '%', the name of an interface, and brackets around it all. */
#define HOST_SIZE (INET6_ADDRSTRLEN + TORC_INTERFACE_NAME + 2)

static int
parse_port(const char *text, in_port_t *port)
{
	unsigned value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > 65535)
			return -EINVAL;
	}
	*port = htons((uint16_t)value);
	return 0;
}

/*
 * A path, with the NUL behind it; or, behind '@', a name of the abstract
 * namespace, which begins with a NUL and ends with the address.
 */
static int
parse_unix(const char *path, struct sockaddr_storage *address)
{
	struct sockaddr_un *local = (struct sockaddr_un *)address;
	const bool abstract = path[0] == '@';
	size_t size = strlen(path);

	if (size <= abstract || size >= sizeof(local->sun_path))
		return -EINVAL;
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, path, size + 1);
	if (abstract)
		local->sun_path[0] = '\0';
	return (int)(offsetof(struct sockaddr_un, sun_path) + size +
	    !abstract);
}

/* The name or the number of an interface. A number, or a negative errno. */
static int
parse_scope(const char *text)
{
	int number = 0;

	if (*text == '\0' || strlen(text) >= TORC_INTERFACE_NAME)
		return -EINVAL;
	for (const char *digit = text; *digit >= '0' && *digit <= '9' &&
	    number < 100000000; digit++) {
		number = number * 10 + (*digit - '0');
		if (digit[1] == '\0')
			return number > 0 ? number : -EINVAL;
	}
	return torc_sys_interface(text);
}

/* An interface belongs to link-local addresses, and to no others. */
static int
parse_v6(char *host, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	char *scope = strchr(host, '%');
	int number = 0;

	if (scope != NULL)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return -EINVAL;
	if (scope != NULL) {
		number = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ?
		    parse_scope(scope) : -EINVAL;
		if (number < 0)
			return number;
	}
	v6->sin6_scope_id = (uint32_t)number;
	v6->sin6_family = AF_INET6;
	return sizeof(*v6);
}

static int
parse_v4(const char *host, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;

	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		return -EINVAL;
	v4->sin_family = AF_INET;
	return sizeof(*v4);
}

int
torc_address_parse(const char *text, struct sockaddr_storage *address)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_SIZE];
	size_t size;
	int rc;

	memset(address, 0, sizeof(*address));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, address);
	if (colon == NULL)
		return -EINVAL;
	size = (size_t)(colon - text);
	if (size < 2 || size >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, size);
	host[size] = '\0';
	if (host[0] == '[' && host[size - 1] == ']') {
		host[size - 1] = '\0';
		rc = parse_v6(host + 1, address);
		if (rc > 0 && parse_port(colon + 1,
		    &((struct sockaddr_in6 *)address)->sin6_port) < 0)
			rc = -EINVAL;
		return rc;
	}
	rc = parse_v4(host, address);
	if (rc > 0 && parse_port(colon + 1,
	    &((struct sockaddr_in *)address)->sin_port) < 0)
		rc = -EINVAL;
	return rc;
}

int
torc_address_split(const char *text, char *host, size_t size)
{
	const char *colon = strrchr(text, ':');
	in_port_t port;

	if (colon == NULL || colon == text ||
	    (size_t)(colon - text) >= size ||
	    strcspn(text, ":[]/") < (size_t)(colon - text) ||
	    parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	return ntohs(port);
}

static int
format_v6(const struct sockaddr_in6 *v6, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";
	char scope[1 + TORC_INTERFACE_NAME] = "";

	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	/* An interface that has gone meanwhile had a number. */
	if (v6->sin6_scope_id != 0 &&
	    torc_sys_interface_name(v6->sin6_scope_id, scope + 1) == 0)
		scope[0] = '%';
	else if (v6->sin6_scope_id != 0)
		snprintf(scope, sizeof(scope), "%%%u", v6->sin6_scope_id);
	return snprintf(text, size, "[%s%s]:%u", host, scope,
	    ntohs(v6->sin6_port));
}

/* The peer of a listener mostly has no name. */
static int
format_unix(const struct sockaddr_un *local, uint32_t address_size, char *text,
    size_t size)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t length = address_size > head ? address_size - head : 0;
	char name[sizeof(local->sun_path) + 1];

	if (length > sizeof(local->sun_path))
		length = sizeof(local->sun_path);
	memcpy(name, local->sun_path, length);
	name[length] = '\0';
	/* Other NULs than that of an abstract name are not common. */
	if (name[0] == '\0') {
		for (size_t i = 0; i < length; i++)
			name[i] = name[i] == '\0' ? '@' : name[i];
	}
	/* One that is not abstract must not look as if it were. */
	return snprintf(text, size, "unix:%s%s", local->sun_path[0] == '@' ?
	    "./" : "", name);
}

int
torc_address_format(const struct sockaddr_storage *address,
    uint32_t address_size, char *text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	char host[INET_ADDRSTRLEN] = "";
	int length;

	switch (address->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		length = snprintf(text, size, "%s:%u", host,
		    torc_address_port(address));
		break;
	case AF_INET6:
		length = format_v6((const struct sockaddr_in6 *)address, text,
		    size);
		break;
	case AF_UNIX:
		length = format_unix((const struct sockaddr_un *)address,
		    address_size, text, size);
		break;
	default:
		return -EAFNOSUPPORT;
	}
	return length >= 0 && (size_t)length < size ? 0 : -ENOSPC;
}

unsigned
torc_address_port(const struct sockaddr_storage *address)
{
	switch (address->ss_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)address)->sin_port);
	case AF_INET6:
		return ntohs(
		    ((const struct sockaddr_in6 *)address)->sin6_port);
	default:
		return 0;
	}
}

void
torc_address_set_port(struct sockaddr_storage *address, unsigned port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port =
		    htons((uint16_t)port);
	else if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port =
		    htons((uint16_t)port);
}
