/*
 * resolve.h - names to addresses. Blocks for as long as the resolver does. Any
 * thread.
 */
#ifndef TORC_SYS_RESOLVE_H
#define TORC_SYS_RESOLVE_H

struct sockaddr_storage;

/*
 * The addresses of `host`, IPv4 and IPv6, the best first, without a port: how
 * many there are, at most `most`. Or -ENOENT: there is no such name; -EAGAIN:
 * that cannot be found out now; -EIO: never; -ENOMEM, or what else the system
 * says.
 */
int torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most);

#endif
