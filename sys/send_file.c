/* SPDX-License-Identifier: MIT */
/*
 * send_file.c - sendfile(2) to a blocking socket, made not to block.
 *
 * There is no flag of the call for that (SPLICE_F_NONBLOCK does not reach the
 * socket, either), only O_NONBLOCK of the socket, which io_uring must not see:
 * it would no longer wait for such a socket. It sees it in no operation that
 * is issued before or after these calls, and this thread issues none between
 * them. Nor is there a MSG_NOSIGNAL.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <time.h>

#include "sys/sys.h"

static int
send_now(int socket, int file, uint64_t offset, size_t size)
{
	const int flags = fcntl(socket, F_GETFL);
	off_t at = (off_t)offset;
	ssize_t sent;
	int rc;

	if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	sent = sendfile(socket, file, &at, size);
	rc = sent < 0 ? -errno : (int)sent;
	fcntl(socket, F_SETFL, flags);
	return rc;
}

int
torc_sys_send_file(int socket, int file, uint64_t offset, size_t size)
{
	const struct timespec at_once = { 0, 0 };
	sigset_t pipe, before;
	int rc;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	rc = send_now(socket, file, offset, size);
	/* The signal is this thread's. It waits, and is not to be there when
	 * it is let through again. */
	if (rc == -EPIPE)
		sigtimedwait(&pipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
