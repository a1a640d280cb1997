/* SPDX-License-Identifier: MIT */
/*
 * serve_endpoints.c - what a server is to listen on: the short form of its
 * configuration and the long one.
 */
#include "conn/serve_endpoints.h"

#include <errno.h>
#include <string.h>

#include "conn/transport.h"
#include "reactor/error.h"
#include "sys/trap.h"

/* Those of the first version. */
#define SIZE_LEAST (offsetof(struct torc_endpoint, arg) + sizeof(void *))

static unsigned
count_addresses(const struct torc_config *config)
{
	unsigned count = 0;

	while (config->listen != NULL && config->listen[count] != NULL)
		count++;
	return count;
}

/*
 * An element of the array, whose elements are as large as the program was
 * compiled with. False: it has something set that is not known here.
 */
static bool
read_endpoint(const struct torc_config *config, size_t size, unsigned index,
    struct torc_endpoint *endpoint)
{
	const char *element = (const char *)config->endpoints + index * size;

	memset(endpoint, 0, sizeof(*endpoint));
	memcpy(endpoint, element, size < sizeof(*endpoint) ? size :
	    sizeof(*endpoint));
	for (size_t i = sizeof(*endpoint); i < size; i++) {
		if (element[i] != 0)
			return false;
	}
	return true;
}

static int
check_protocols(const struct torc_endpoint *endpoint, unsigned index,
    struct torc_error *error)
{
	const struct torc_transport_maker *maker = endpoint->transport;
	const struct torc_protocol *protocol = endpoint->protocols;

	if (protocol != NULL && maker == NULL)
		return torc_error_set(error, -EINVAL, "endpoints[%u].protocols "
		    "is set, but transport is NULL: clear text agrees on no "
		    "protocol", index);
	return protocol == NULL ? 0 : torc_transport_check(maker, protocol,
	    index, error);
}

static int
check_endpoint(const struct torc_config *config, size_t size, unsigned index,
    struct torc_error *error)
{
	struct torc_endpoint endpoint;

	if (!read_endpoint(config, size, index, &endpoint))
		return torc_error_set(error, -EINVAL, "endpoints[%u] has a "
		    "field set that version %s of torc does not know", index,
		    torc_version());
	if (endpoint.address == NULL)
		return torc_error_set(error, -EINVAL,
		    "endpoints[%u].address is NULL", index);
	if (endpoint.handler == NULL)
		return torc_error_set(error, -EINVAL,
		    "endpoints[%u].handler is NULL: nothing would answer at "
		    "%s", index, endpoint.address);
	return check_protocols(&endpoint, index, error);
}

static int
check_endpoints(const struct torc_config *config, size_t size,
    struct torc_error *error)
{
	const unsigned count = config->endpoint_count;
	int rc = 0;

	if (count == 0)
		return config->endpoints == NULL ? 0 : torc_error_set(error,
		    -EINVAL, "endpoints is set, but endpoint_count = 0: set "
		    "it to the number of endpoints");
	if (config->endpoints == NULL)
		return torc_error_set(error, -EINVAL, "endpoint_count = %u, "
		    "but endpoints is NULL", count);
	for (unsigned i = 0; i < count && rc == 0; i++)
		rc = check_endpoint(config, size, i, error);
	return rc;
}

int
torc_serve_check(const struct torc_config *config, size_t endpoint_size,
    struct torc_error *error)
{
	const unsigned count = count_addresses(config);

	torc_require(endpoint_size >= SIZE_LEAST &&
	    endpoint_size % sizeof(void *) == 0,
	    "torc_serve_sized needs sizeof(struct torc_endpoint)");
	if (count > 0 && config->handler == NULL)
		return torc_error_set(error, -EINVAL, "listen has %s, but "
		    "handler is NULL: set handler, or use endpoints",
		    config->listen[0]);
	if (count == 0 && config->handler != NULL)
		return torc_error_set(error, -EINVAL, "handler is set, but "
		    "listen has no address: nothing would call it");
	if (count == 0 && config->endpoint_count == 0 &&
	    config->endpoints == NULL && config->start == NULL)
		return torc_error_set(error, -EINVAL, "there is nothing to "
		    "do: set listen and handler, endpoints, or start");
	return check_endpoints(config, endpoint_size, error);
}

bool
torc_serve_endpoint(const struct torc_config *config, size_t endpoint_size,
    unsigned index, struct torc_endpoint *endpoint)
{
	const unsigned count = count_addresses(config);

	if (index < count) {
		*endpoint = (struct torc_endpoint) {
			.address = config->listen[index],
			.handler = config->handler,
			.arg = config->arg,
		};
		return true;
	}
	return index - count < config->endpoint_count &&
	    read_endpoint(config, endpoint_size, index - count, endpoint);
}
