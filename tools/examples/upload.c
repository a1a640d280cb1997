/* SPDX-License-Identifier: MIT */
/*
 * upload.c - uploads of any size to disk: a file appears when all of it is on
 * the disk, and an upload that fails leaves nothing behind.
 *
 *     cc -o upload upload.c cli.c $(pkg-config --cflags --libs torc-file)
 *     UPLOAD_ROOT=/srv/files UPLOAD_MIB=1024 ./upload -l 127.0.0.1:8080
 *
 * Try it with: curl -T movie.mkv http://127.0.0.1:8080/files/movie.mkv
 *
 * The answer is 201; 400 if the name is not allowed; 413 if the file is larger
 * than $UPLOAD_MIB (1024); 507 if the disk is full. The body is never in memory
 * as a whole. Only a server that is killed leaves a file behind, ".upload.*".
 */
#include <torc_file.h>
#include <torc_service.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_service.h"

#define DISK_MS 30000u		/* for one operation */
#define NAME_SIZE 200u

static int root;		/* descriptor of the directory */

/* A name in the directory, and not one of our temporary names. */
static bool
is_allowed(const struct torc_slice *name)
{
	return name->size <= NAME_SIZE && name->data[0] != '.' &&
	    memchr(name->data, '/', name->size) == NULL;
}

/* Parks. Write the body to a file. Returns its size, or a negative errno. */
static int64_t
save_body(struct torc_exchange *exchange, int fd)
{
	struct torc_slice piece;
	uint64_t size = 0;
	int rc;

	while ((rc = torc_exchange_read(exchange, &piece, TORC_NEVER)) > 0) {
		rc = torc_file_write(fd, piece.data, piece.size, size,
		    torc_after_ms(DISK_MS));
		if (rc < 0)
			return rc;
		size += piece.size;
	}
	if (rc == 0)
		rc = torc_file_sync(fd, false, torc_after_ms(DISK_MS));
	return rc < 0 ? rc : (int64_t)size;
}

/* Parks. Write the body to file `temporary`, and rename it to `name`. */
static int64_t
save(struct torc_exchange *exchange, const char *temporary, const char *name)
{
	int64_t size;
	int rc, fd = torc_file_open(root, temporary,
	    O_WRONLY | O_CREAT | O_EXCL, 0644, 0, torc_after_ms(DISK_MS));

	if (fd < 0)
		return fd;
	size = save_body(exchange, fd);
	torc_file_close(fd);
	rc = size < 0 ? (int)size : torc_file_rename(root, temporary, root,
	    name, 0, torc_after_ms(DISK_MS));
	/* unlinkat() does not park, so it also runs on a cancelled fiber. */
	if (rc < 0)
		unlinkat(root, temporary, 0);
	else	/* The new name must reach the disk, too. */
		rc = torc_file_sync(root, false, torc_after_ms(DISK_MS));
	return rc < 0 ? rc : size;
}

static int
upload(struct torc_exchange *exchange, void *arg)
{
	static _Thread_local unsigned long serial;
	const struct torc_slice name = torc_exchange_param(exchange, "name");
	char temporary[64];
	int64_t size;

	(void)arg;
	if (!is_allowed(&name))
		return torc_exchange_refuse(exchange, 400, "the name is not "
		    "allowed", TORC_NEVER);
	snprintf(temporary, sizeof(temporary), ".upload.%d.%u.%lu",
	    (int)getpid(), torc_reactor_index(torc_reactor_self()), serial++);
	size = save(exchange, temporary, (const char *)name.data);
	if (size >= 0)
		return torc_exchange_textf(exchange, 201, "%lld bytes\n",
		    TORC_NEVER, (long long)size);
	/* torc_exchange_read() has told the client of its errors: 413, 408. */
	if (torc_exchange_status(exchange) != 0)
		return (int)size;
	cli_fail(0, "%s: %s", (const char *)name.data, strerror((int)-size));
	return torc_exchange_refuse(exchange, size == -ENOSPC ||
	    size == -EDQUOT || size == -EFBIG ? 507 : 500, NULL, TORC_NEVER);
}

int
main(int argc, char **argv)
{
	const char *path = cli_env("UPLOAD_ROOT", ".");
	const struct torc_http_config http = {
		.body_max = (uint64_t)cli_env_number("UPLOAD_MIB", 1024) << 20,
	};
	const struct torc_service_config service = { .http = &http };
	struct torc_routes *routes;

	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return cli_fail(1, "UPLOAD_ROOT: cannot open %s: %s", path,
		    strerror(errno));
	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "PUT", "/files/{name}", upload, NULL);
	return cli_serve_routes(argc, argv, "Stores uploads in $UPLOAD_ROOT "
	    "(the current directory).", routes, &service, NULL);
}
