/* SPDX-License-Identifier: MIT */
/*
 * keylog.c - secrets of connections, in the format of SSLKEYLOGFILE. Whoever
 * reads them reads the connections: only the configuration asks for it, and the
 * file is for its owner alone.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "conn/tls/keylog.h"
#include "reactor/error.h"
#include "sys/sys.h"

#define LINE_MAX_SIZE 512u

static int file_index = -1;	/* of a context's data */

static void
make_index(void)
{
	file_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int
torc_tls_keylog_open(const char *path, struct torc_error *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int fd;

	pthread_once(&once, make_index);
	if (file_index < 0)
		return torc_error_set(error, -ENOMEM, "no memory for keylog");
	fd = torc_sys_open_private(path);
	if (fd == -EPERM)
		return torc_error_set(error, fd, "keylog %s: others than its "
		    "owner may use it, or it is not a file: it must have mode "
		    "0600", path);
	return fd >= 0 ? fd : torc_error_set(error, fd, "keylog %s: %s", path,
	    strerror(-fd));
}

/* One call for each line: those of several threads do not mix. */
static void
write_line(const SSL *ssl, const char *line)
{
	const int *file = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
	    file_index);
	const size_t size = strlen(line);
	char text[LINE_MAX_SIZE];

	if (size + 1 > sizeof(text))
		return;
	memcpy(text, line, size);
	text[size] = '\n';
	/* A full disk is no reason to end a connection. */
	(void)torc_sys_write(*file, text, size + 1);
	explicit_bzero(text, sizeof(text));
}

void
torc_tls_keylog_use(SSL_CTX *context, const int *keylog)
{
	if (*keylog < 0)
		return;
	SSL_CTX_set_ex_data(context, file_index,
	    (void *)(uintptr_t)keylog);
	SSL_CTX_set_keylog_callback(context, write_line);
}
