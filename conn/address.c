/*
 * address.c - "127.0.0.1:80", "[::1]:80", "unix:/run/x" to and from sockaddr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "conn/net.h"

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

static int
parse_unix(const char *path, struct sockaddr_storage *address)
{
	struct sockaddr_un *local = (struct sockaddr_un *)address;
	size_t size = strlen(path);

	if (size == 0 || size >= sizeof(local->sun_path))
		return -EINVAL;
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, path, size + 1);
	return (int)(offsetof(struct sockaddr_un, sun_path) + size + 1);
}

static int
parse_v6(const char *host, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return -EINVAL;
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
	char host[INET6_ADDRSTRLEN + 2];
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

int
torc_address_format(const struct sockaddr_storage *address,
    uint32_t address_size, char *text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_un *local =
	    (const struct sockaddr_un *)address;
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	char host[INET6_ADDRSTRLEN] = "";
	int length;

	switch (address->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		length = snprintf(text, size, "%s:%u", host,
		    torc_address_port(address));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		length = snprintf(text, size, "[%s]:%u", host,
		    torc_address_port(address));
		break;
	case AF_UNIX:
		/* The peer of a listener mostly has no name. */
		length = snprintf(text, size, "unix:%.*s",
		    address_size > head ? (int)(address_size - head) : 0,
		    local->sun_path);
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
