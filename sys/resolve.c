/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - getaddrinfo(3), and its errors turned into errnos.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/sys.h"

static int
error_of(int code)
{
	switch (code) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno > 0 ? -errno : -EIO;
	default:
		return -EIO;
	}
}

int
torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *first;
	unsigned count = 0;
	int code = getaddrinfo(host, NULL, &hints, &first);

	if (code != 0)
		return error_of(code);
	for (const struct addrinfo *info = first; info != NULL &&
	    count < most; info = info->ai_next) {
		if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
			continue;
		memset(&addresses[count], 0, sizeof(addresses[count]));
		memcpy(&addresses[count++], info->ai_addr, info->ai_addrlen);
	}
	freeaddrinfo(first);
	return count > 0 ? (int)count : -ENOENT;
}
