/* SPDX-License-Identifier: MIT */
/*
 * site.c - a folder that is served to tests.
 */
#include "tests/file/site.h"
#include "tests/seam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct server server;
char folder[] = "/tmp/torc-site-XXXXXX";
struct torc_file_config config;
struct torc_file_root *root;
static unsigned fds_before;
const struct torc_http_config *_Atomic http_config;
unsigned serve_ms;
static uint32_t bad_closes;	/* of descriptors that were not open */
char reply[ROOM];

int
__wrap_torc_sys_close(int fd)
{
	int rc = __real_torc_sys_close(fd);

	if (rc < 0)
		__atomic_fetch_add(&bad_closes, 1, __ATOMIC_SEQ_CST);
	return rc;
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_http http;

	(void)arg;
	torc_http_init(&http, conn, http_config);
	while (torc_http_recv(&http, TORC_NEVER) > 0 &&
	    torc_file_serve(root, &http, torc_after_ms(serve_ms)) == 0)
		;
	return torc_http_result(&http);
}

int
open_root(void *arg)
{
	return torc_file_root_open(&root, arg, &config, NULL, LATE);
}

int
close_root(void *arg)
{
	(void)arg;
	torc_file_root_close(root);
	return 0;
}

void
restart_root(void)
{
	assert_int_equal(server_fiber(&server, close_root, NULL), 0);
	assert_int_equal(server_fiber(&server, open_root, folder), 0);
}

int
set_up(void **state)
{
	(void)state;
	fds_before = count_fds();
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	config = (struct torc_file_config) { .fresh_ms = FRESH_MS };
	serve_ms = 60000;
	bad_closes = 0;
	server_start(&server, NULL, serve, NULL);
	assert_int_equal(server_fiber(&server, open_root, folder), 0);
	return 0;
}

int
tear_down(void **state)
{
	char command[64];

	(void)state;
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_fiber(&server, close_root, NULL), 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(bad_closes, 0);
	assert_int_equal(count_fds(), fds_before);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

const char *
in_folder(const char *name)
{
	static _Thread_local char paths[2][256];
	static _Thread_local unsigned turn;
	char *path = paths[turn++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void
put_file(const char *name, uint32_t key, size_t size)
{
	uint8_t *data = malloc(size + 1);
	FILE *file = fopen(in_folder(name), "we");

	assert_non_null(file);
	stream_fill(key, 0, data, size);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
	free(data);
}

void
put_text(const char *name, const char *text)
{
	FILE *file = fopen(in_folder(name), "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

long
ask(const char *method, const char *target, const char *fields)
{
	char request[4096];
	int fd = client_open(server.port);
	long got;

	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n%s\r\n", method, target, fields);
	client_send(fd, request, strlen(request));
	got = client_read_all(fd, reply, ROOM - 1);
	close(fd);
	reply[got > 0 ? got : 0] = '\0';
	return got;
}

unsigned
status(void)
{
	unsigned code = 0;

	sscanf(reply, "HTTP/1.1 %u", &code);
	return code;
}

const char *
body(void)
{
	char *end = strstr(reply, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

void
assert_status(const char *target, const char *fields, unsigned want)
{
	ask("GET", target, fields);
	if (status() != want)
		fail_msg("%s %s: %u", target, fields, status());
}

const char *
field(const char *name)
{
	static char value[300];
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	at = strstr(reply, line);
	if (at == NULL || at > body())
		return NULL;
	sscanf(at + strlen(line), "%299[^\r]", value);
	return value;
}

void
assert_file(const char *target, uint32_t key, size_t size)
{
	long got = ask("GET", target, "");

	assert_int_equal(status(), 200);
	assert_int_equal(got - (body() - reply), size);
	assert_true(stream_matches(key, 0, (const uint8_t *)body(), size));
}

void
pass_freshness(void)
{
	pause_ms(FRESH_MS + 20);
}
