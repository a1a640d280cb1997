/* SPDX-License-Identifier: MIT */
/*
 * faults.c - what may fail, and with what: every crossing has the errnos
 * that Linux may give there, and those after which all must go on as if
 * nothing had happened are told from those that end something.
 */
#include "tests/sim/sim.h"

#include <errno.h>

/* What ends a connection, a listener, an operation: peers may notice. */
#define HARM 0x1000
#define HARMFUL(error) ((error) | HARM)

#define MOST 8

static const struct {
	const char *name;
	enum fault class;
	int errors[MOST];
} sites[SITES] = {
	[SITE_SETUP] = { "io_uring_setup", FAULT_CALL, { HARMFUL(EPERM),
	    HARMFUL(ENOSYS), ENOMEM, EINVAL, HARMFUL(EMFILE),
	    HARMFUL(ENFILE) } },
	[SITE_ENTER] = { "io_uring_enter", FAULT_ENTER, { EINTR, EAGAIN,
	    EBUSY, ENOMEM, HARMFUL(EBADR) } },
	[SITE_SUBMIT] = { "submit", FAULT_ENTER, { EAGAIN } },
	[SITE_ENABLE] = { "ENABLE_RINGS", FAULT_CALL, { HARMFUL(ENOMEM) } },
	[SITE_RING_FDS] = { "RING_FDS", FAULT_CALL, { EBUSY, ENOMEM,
	    EINVAL } },
	[SITE_PBUF] = { "PBUF_RING", FAULT_CALL, { ENOMEM,
	    HARMFUL(EEXIST) } },
	[SITE_REGISTER_EVENTFD] = { "EVENTFD", FAULT_CALL, {
	    HARMFUL(EBUSY), HARMFUL(ENOMEM) } },
	[SITE_WORKERS] = { "IOWQ_MAX_WORKERS", FAULT_CALL, { ENOMEM,
	    EINVAL } },
	[SITE_MAP] = { "mmap", FAULT_MEMORY, { HARMFUL(ENOMEM),
	    HARMFUL(EAGAIN) } },
	[SITE_DONTFORK] = { "MADV_DONTFORK", FAULT_MEMORY, {
	    HARMFUL(ENOMEM) } },
	[SITE_GUARD] = { "MADV_GUARD_INSTALL", FAULT_CALL, { EINVAL,
	    ENOMEM } },
	[SITE_FORGET] = { "MADV_DONTNEED", FAULT_CALL, { EINVAL } },
	[SITE_PROTECT] = { "mprotect", FAULT_MEMORY, { HARMFUL(ENOMEM) } },
	[SITE_ALLOC] = { "alloc", FAULT_MEMORY, { HARMFUL(ENOMEM) } },
	[SITE_CLOSE] = { "close", FAULT_CALL, { EIO, EINTR } },
	[SITE_EVENTFD] = { "eventfd", FAULT_CALL, { HARMFUL(EMFILE),
	    HARMFUL(ENFILE), HARMFUL(ENOMEM) } },
	[SITE_MEMFD] = { "memfd_create", FAULT_CALL, { EINVAL, EMFILE,
	    ENFILE, ENOMEM } },
	[SITE_RESIZE] = { "ftruncate", FAULT_CALL, { ENOMEM, EFBIG } },
	[SITE_SEAL] = { "F_ADD_SEALS", FAULT_CALL, { EINVAL } },
	[SITE_RESIDENT] = { "mincore", FAULT_CALL, { EAGAIN } },
	[SITE_READ] = { "read", FAULT_CALL, { EAGAIN } },
	[SITE_UNLINK] = { "unlink", FAULT_CALL, { ENOENT } },
	[SITE_LOCK] = { "flock", FAULT_CALL, { EAGAIN, EACCES, ENOLCK,
	    EMFILE } },
	[SITE_STAT] = { "lstat", FAULT_CALL, { HARMFUL(EACCES),
	    HARMFUL(ENOMEM) } },
	[SITE_SOCKET] = { "socket", FAULT_CALL, { HARMFUL(EMFILE),
	    HARMFUL(ENFILE), HARMFUL(ENOBUFS), HARMFUL(ENOMEM),
	    HARMFUL(EAFNOSUPPORT) } },
	[SITE_PAIR] = { "socketpair", FAULT_CALL, { EMFILE, ENFILE,
	    ENOBUFS } },
	[SITE_BIND] = { "bind", FAULT_CALL, { HARMFUL(EADDRINUSE),
	    HARMFUL(EACCES), HARMFUL(EADDRNOTAVAIL), HARMFUL(ENOMEM) } },
	[SITE_LISTEN] = { "listen", FAULT_CALL, { HARMFUL(EADDRINUSE) } },
	[SITE_OWN_LISTENER] = { "SO_ACCEPTCONN", FAULT_CALL, {
	    HARMFUL(ENOBUFS) } },
	[SITE_CONNECT_NOW] = { "connect", FAULT_CALL, { EAGAIN, EACCES } },
	[SITE_ACCEPT_NOW] = { "accept", FAULT_CALL, { HARMFUL(EMFILE),
	    HARMFUL(ENFILE), HARMFUL(ENOMEM), HARMFUL(ECONNABORTED),
	    EINTR } },
	[SITE_SHUTDOWN] = { "shutdown", FAULT_CALL, { HARMFUL(ENOTCONN) } },
	[SITE_UNSENT] = { "TIOCOUTQ", FAULT_CALL, { HARMFUL(EINVAL) } },
	[SITE_SETSOCKOPT] = { "setsockopt", FAULT_CALL, { HARMFUL(ENOMEM),
	    HARMFUL(EINVAL) } },
	[SITE_GETSOCKNAME] = { "getsockname", FAULT_CALL, {
	    HARMFUL(ENOBUFS) } },
	[SITE_GETPEERNAME] = { "getpeername", FAULT_CALL, {
	    HARMFUL(ENOTCONN), HARMFUL(ENOBUFS) } },
	[SITE_OP_ACCEPT] = { "accept op", FAULT_RESULT, { HARMFUL(EMFILE),
	    HARMFUL(ENFILE), ENOMEM, ECONNABORTED, EPROTO, EINTR, ECANCELED,
	    HARMFUL(EINVAL) } },
	[SITE_OP_RECV] = { "recv op", FAULT_RESULT, { ECANCELED, EINTR,
	    EAGAIN, ENOBUFS, HARMFUL(ECONNRESET), HARMFUL(ETIMEDOUT),
	    HARMFUL(ENOMEM), HARMFUL(EHOSTUNREACH) } },
	[SITE_OP_RECV_ONCE] = { "recv op of the program", FAULT_FATAL, {
	    HARMFUL(ECONNRESET), HARMFUL(ENOMEM), HARMFUL(EINTR) } },
	[SITE_OP_SEND] = { "send op", FAULT_RESULT, { EAGAIN, EINTR,
	    HARMFUL(ECONNRESET), HARMFUL(EPIPE), HARMFUL(ETIMEDOUT),
	    HARMFUL(ENOBUFS), HARMFUL(ENOMEM) } },
	[SITE_OP_SEND_ONCE] = { "send op of the program", FAULT_FATAL, {
	    HARMFUL(EPIPE), HARMFUL(ENOBUFS), HARMFUL(EINTR) } },
	[SITE_OP_CONNECT] = { "connect op", FAULT_FATAL, {
	    HARMFUL(ECONNREFUSED), HARMFUL(ETIMEDOUT),
	    HARMFUL(EHOSTUNREACH), HARMFUL(EADDRNOTAVAIL), HARMFUL(EINTR),
	    HARMFUL(ECANCELED) } },
	[SITE_OP_POLL] = { "poll op", FAULT_FATAL, { HARMFUL(ENOMEM),
	    HARMFUL(ECANCELED) } },
	[SITE_OP_WATCH] = { "poll op of a connection", FAULT_RESULT, {
	    ECANCELED, EINTR, HARMFUL(ENOMEM) } },
	[SITE_RECV_NOW] = { "recv", FAULT_RESULT, { EAGAIN, EINTR,
	    HARMFUL(ECONNRESET), HARMFUL(ETIMEDOUT), HARMFUL(ENOMEM) } },
	[SITE_SILENT] = { "TCP_INFO", FAULT_CALL, { HARMFUL(EINVAL) } },
	[SITE_THREAD] = { "pthread_create", FAULT_CALL, {
	    HARMFUL(EAGAIN) } },
	[SITE_OP_OPEN] = { "open op", FAULT_FATAL, { HARMFUL(EMFILE),
	    HARMFUL(ENFILE), HARMFUL(ENOMEM), HARMFUL(EIO),
	    HARMFUL(EAGAIN), HARMFUL(EINTR), HARMFUL(ECANCELED) } },
	[SITE_OP_STATX] = { "statx op", FAULT_FATAL, { HARMFUL(EIO),
	    HARMFUL(ENOMEM), HARMFUL(EINTR), HARMFUL(ECANCELED) } },
	[SITE_OP_READ] = { "read op", FAULT_RESULT, { EAGAIN, ENOMEM,
	    HARMFUL(EIO), HARMFUL(EINTR), HARMFUL(ECANCELED) } },
	[SITE_OP_READ_WAITING] = { "read op that waits", FAULT_FATAL, {
	    HARMFUL(EIO), HARMFUL(ENOMEM), HARMFUL(EAGAIN) } },
	[SITE_OP_WRITE] = { "write op", FAULT_RESULT, { EAGAIN, ENOMEM,
	    HARMFUL(EIO), HARMFUL(ENOSPC), HARMFUL(EINTR),
	    HARMFUL(ECANCELED) } },
	[SITE_OP_WRITE_WAITING] = { "write op that waits", FAULT_FATAL, {
	    HARMFUL(EIO), HARMFUL(ENOSPC), HARMFUL(ENOMEM),
	    HARMFUL(EAGAIN) } },
	[SITE_OP_FSYNC] = { "fsync op", FAULT_FATAL, { HARMFUL(EIO),
	    HARMFUL(ENOSPC), HARMFUL(EINTR), HARMFUL(ECANCELED) } },
	[SITE_OP_NAME] = { "unlink, rename or mkdir op", FAULT_FATAL, {
	    HARMFUL(EIO), HARMFUL(ENOSPC), HARMFUL(ENOMEM),
	    HARMFUL(EINTR), HARMFUL(ECANCELED) } },
	[SITE_OP_CLOSE] = { "close op", FAULT_RESULT, { EIO, EINTR,
	    ENOSPC } },
	[SITE_SEND_FILE] = { "sendfile", FAULT_RESULT, { EAGAIN, EINTR,
	    EINVAL, ENOSYS, HARMFUL(EIO), HARMFUL(ENOMEM),
	    HARMFUL(EPIPE), HARMFUL(ECONNRESET) } },
	[SITE_AT_HAND] = { "preadv2", FAULT_CALL, { EAGAIN, EOPNOTSUPP } },
	[SITE_SET_BLOCKING] = { "F_SETFL", FAULT_CALL, { HARMFUL(EPERM) } },
	[SITE_LIST] = { "getdents64", FAULT_CALL, { HARMFUL(EIO),
	    HARMFUL(ENOMEM), HARMFUL(ENOENT) } },
	[SITE_OVERFLOW] = { "overflow", FAULT_MEMORY, { HARMFUL(ENOMEM) } },
	[SITE_OP_WAKE] = { "poll op of the mailbox", FAULT_RESULT, { ENOMEM,
	    ECANCELED } },
};

const char *
sim_site_name(enum site site)
{
	return sites[site].name;
}

unsigned
sim_site_errors(enum site site)
{
	unsigned count = 0;

	while (count < MOST && sites[site].errors[count] != 0)
		count++;
	return count;
}

bool
sim_fault(enum fault fault)
{
	if (world.calm || world.sparing ||
	    (world.faults & 1u << fault) == 0 ||
	    !sim_chance(world.rates[fault]))
		return false;
	if (fault == FAULT_RESET)
		world.disturbed = true;
	return true;
}

/* Whether this crossing fails in a random run. */
static bool
strikes(enum site site, int error)
{
	enum fault class = sites[site].class;

	if ((error & HARM) && class != FAULT_CALL && class != FAULT_MEMORY)
		class = FAULT_FATAL;
	return sim_fault(class);
}

int
sim_crossing(enum site site)
{
	unsigned count = sim_site_errors(site);
	int error;

	if (world.crossings < MAX_CROSSINGS && world.sites != NULL)
		world.sites[world.crossings] = (uint8_t)site;
	world.crossings++;
	if (world.crossings == world.single)
		error = sites[site].errors[world.single_error];
	else if (world.faults == 0 || world.calm)
		return 0;
	else {
		error = sites[site].errors[sim_draw(count)];
		if (!strikes(site, error))
			return 0;
	}
	if (error & HARM)
		world.disturbed = true;
	error &= ~HARM;
	sim_trace(sites[site].name, -1, error, 0);
	return -error;
}
