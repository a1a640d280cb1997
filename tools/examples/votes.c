/* SPDX-License-Identifier: MIT */
/*
 * votes.c - a server for lines of text, of the kind that one writes with libuv:
 * one loop, its own data, a timer, and blocking work on other threads.
 *
 *     cc -o votes votes.c $(pkg-config --cflags --libs torc)
 *     ./votes 127.0.0.1:7000 votes.txt
 *
 * Try it with: nc 127.0.0.1 7000. Each line is a vote for what it says, and is
 * answered with the number of its votes.
 *
 * There is one reactor, so the data needs no lock: another handler can only run
 * while this one is in a call that parks. The votes are saved each second, on a
 * thread that may wait for the disk, and once more at the end.
 */
#include <torc.h>
#include <torc_client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_MS 60000u
#define WRITE_MS 10000u
#define SAVE_MS 1000u
#define NAME_SIZE 100u
#define NAMES_MAX 10000u

struct votes {
	char name[NAME_SIZE];
	unsigned long count;
};

static struct votes all[NAMES_MAX];
static unsigned name_count;
static bool changed;		/* since the votes were saved */
static char path[1000], new_path[1010];

/* Returns NULL if there are too many names. */
static struct votes *
find(const char *name)
{
	unsigned i = 0;

	while (i < name_count && strcmp(all[i].name, name) != 0)
		i++;
	if (i == NAMES_MAX)
		return NULL;
	if (i == name_count)
		snprintf(all[name_count++].name, NAME_SIZE, "%s", name);
	return &all[i];
}

/* ---- The file ---- */

/* Blocks. Write `text` to the file. Returns 0 or a negative errno. */
static int
write_file(void *text)
{
	FILE *file = fopen(new_path, "w");
	int rc = 0;

	if (file == NULL)
		return -errno;
	if (fputs(text, file) == EOF || fflush(file) == EOF ||
	    fsync(fileno(file)) < 0)
		rc = -errno;
	if (fclose(file) == EOF && rc == 0)
		rc = -errno;
	return rc == 0 && rename(new_path, path) < 0 ? -errno : rc;
}

/* Parks. */
static int
write_on_thread(void *text)
{
	return torc_offload(write_file, text, TORC_NEVER);
}

/* Parks if `write` does. Write a copy of the votes, which may change then. */
static void
save(int (*write)(void *text))
{
	const size_t most = name_count * sizeof(all[0]) * 2 + 1;
	char *text = calloc(1, most);
	size_t used = 0;
	int rc = -ENOMEM;

	for (unsigned i = 0; text != NULL && i < name_count; i++)
		used += (size_t)snprintf(text + used, most - used, "%lu %s\n",
		    all[i].count, all[i].name);
	changed = false;
	if (text != NULL)
		rc = write(text);
	free(text);
	if (rc < 0) {
		changed = true;
		fprintf(stderr, "votes: cannot save %s: %s\n", path,
		    strerror(-rc));
	}
}

/* A daemon: it does not delay a drain. */
static int
save_often(void *arg)
{
	int rc;

	(void)arg;
	while ((rc = torc_sleep(torc_after_ms(SAVE_MS))) == 0) {
		if (changed)
			save(write_on_thread);
	}
	return rc;
}

/* Nothing is served yet, so this may block. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	FILE *file = fopen(path, "r");
	char name[NAME_SIZE];
	unsigned long count;
	struct votes *votes;

	(void)reactor;
	(void)arg;
	if (file == NULL && errno != ENOENT)
		return -errno;
	while (file != NULL &&
	    fscanf(file, "%lu %99[^\n]", &count, name) == 2) {
		votes = find(name);
		if (votes != NULL)
			votes->count = count;
	}
	if (file != NULL)
		fclose(file);
	return torc_fiber_spawn_daemon(NULL, save_often, NULL);
}

/* All connections are gone. This does not run on a fiber, so it may block. */
static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	if (changed)
		save(write_file);
}

/* ---- Connections ---- */

/* Parks, but only if the peer does not read. Count a line, and answer it. */
static int
vote(struct torc_conn *conn, const uint8_t *line, size_t size)
{
	char name[NAME_SIZE], text[2 * NAME_SIZE];
	struct votes *votes;

	if (size > 0 && line[size - 1] == '\r')
		size--;
	if (size == 0 || size >= NAME_SIZE ||
	    memchr(line, '\0', size) != NULL)
		return -EINVAL;
	memcpy(name, line, size);
	name[size] = '\0';
	votes = find(name);
	if (votes == NULL)
		return -ENOBUFS;
	changed = true;
	snprintf(text, sizeof(text), "%s %lu\n", name, ++votes->count);
	return torc_conn_write(conn, text, strlen(text),
	    torc_after_ms(WRITE_MS));
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	const uint8_t *end;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, torc_after_ms(IDLE_MS))) > 0) {
		/* `in` is all that was not consumed: any number of lines. */
		while (rc >= 0 && in.size > 0 &&
		    (end = memchr(in.data, '\n', in.size)) != NULL) {
			const size_t size = (size_t)(end - in.data);

			rc = vote(conn, in.data, size);
			torc_conn_consume(conn, size + 1);
			in.data += size + 1;
			in.size -= size + 1;
		}
		if (rc < 0 || in.size > NAME_SIZE)
			return -1;
	}
	return TORC_CLOSE;
}

static void
ready(void *address)
{
	fprintf(stderr, "votes: ready on %s\n", (const char *)address);
}

int
main(int argc, char **argv)
{
	const char *addresses[] = { argc > 1 ? argv[1] : NULL, NULL };
	const struct torc_config config = { .listen = addresses,
		.handler = serve, .start = start, .stop = stop,
		.reactors = 1, .arg = argc > 1 ? argv[1] : NULL };
	struct torc_error error;

	if (argc != 3 || strlen(argv[2]) >= sizeof(path)) {
		fprintf(stderr, "usage: votes ADDRESS FILE\nCounts lines, and "
		    "saves their numbers in FILE.\n");
		return 64;
	}
	snprintf(path, sizeof(path), "%s", argv[2]);
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	if (torc_serve(&config, ready, &error) == 0)
		return 0;
	fprintf(stderr, "votes: %s\n", error.text);
	return 1;
}
