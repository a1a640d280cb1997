/* SPDX-License-Identifier: MIT */
/*
 * notes.c - notes as JSON over HTTP, kept in memory. It shows routes, a group
 * of routes that needs a token, and a log line for each request that failed.
 *
 *     cc -o notes notes.c cli.c $(pkg-config --cflags --libs torc-http)
 *     NOTES_TOKEN=secret ./notes -l 127.0.0.1:8080
 *
 * Try it with:
 *
 *     curl -H 'Authorization: Bearer secret' -X PUT -d 'milk, bread' \
 *         http://127.0.0.1:8080/notes/shopping
 *     curl http://127.0.0.1:8080/notes/shopping
 *     curl http://127.0.0.1:8080/notes?with=milk
 *     curl -H 'Authorization: Bearer secret' -X DELETE \
 *         http://127.0.0.1:8080/notes/shopping
 *
 * The handlers wait for nothing but their client, so TORC_NEVER is enough: the
 * limits of the service (body_ms, body_rate, write_ms, write_rate) end a client
 * that is too slow. One that also asks a backend would have one deadline.
 */
#include <torc_service.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli_service.h"

#define NOTES_MAX 1000u
#define NAME_MAX_SIZE 100u
#define TEXT_MAX_SIZE 4000u

struct note {
	char name[NAME_MAX_SIZE + 1];
	char text[TEXT_MAX_SIZE + 1];
};

/* Shared by all reactors. No fiber may park while it has the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct note *notes[NOTES_MAX];
static unsigned note_count;

/* Returns the index of a note, or `note_count` if it is not there. */
static unsigned
place_of(const char *name)
{
	unsigned at = 0;

	while (at < note_count && strcmp(notes[at]->name, name) != 0)
		at++;
	return at;
}

/* Copy a note. Returns false if it is not there. */
static bool
copy_note(struct note *copy, const char *name)
{
	unsigned at;
	bool found;

	pthread_mutex_lock(&lock);
	at = place_of(name);
	found = at < note_count;
	if (found)
		memcpy(copy, notes[at], sizeof(*copy));
	pthread_mutex_unlock(&lock);
	return found;
}

/*
 * Copy the names of all notes with this text, as they are at one moment: each
 * with its NUL, and an empty one at the end. Returns NULL if there is no
 * memory.
 */
static const char *
copy_names(struct torc_exchange *exchange, const char *text)
{
	char *names, *at;

	pthread_mutex_lock(&lock);
	at = names = torc_exchange_alloc(exchange,
	    note_count * (NAME_MAX_SIZE + 1) + 1);
	for (unsigned i = 0; at != NULL && i < note_count; i++) {
		if (strstr(notes[i]->text, text) != NULL)
			at = stpcpy(at, notes[i]->name) + 1;
	}
	pthread_mutex_unlock(&lock);
	if (at != NULL)
		*at = '\0';
	return names;
}

static const char *
name_of(struct torc_exchange *exchange)
{
	return (const char *)torc_exchange_param(exchange, "name").data;
}

static int
greet(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_text(exchange, 200, "see /notes\n", TORC_NEVER);
}

static int
list_notes(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice with;
	struct torc_json json;
	const char *name;
	int rc = torc_exchange_query_find(exchange, "with", &with);

	(void)arg;
	if (rc == 0)
		with = torc_http_text("");
	if (rc < 0)
		return rc;
	name = copy_names(exchange, (const char *)with.data);
	if (name == NULL)
		return torc_exchange_refuse(exchange, 503, NULL, TORC_NEVER);
	rc = torc_exchange_json_begin(exchange, 200, &json, TORC_NEVER);
	if (rc < 0)
		return rc;
	/* What writes may park, so the lock is not held any more. */
	torc_json_array_begin(&json);
	for (; *name != '\0'; name += strlen(name) + 1)
		torc_json_text(&json, name);
	torc_json_array_end(&json);
	return torc_exchange_json_end(exchange, &json, TORC_NEVER);
}

static int
show_note(struct torc_exchange *exchange, void *arg)
{
	struct torc_json json;
	struct note note;
	int rc;

	(void)arg;
	if (!copy_note(&note, name_of(exchange)))
		return torc_exchange_refuse(exchange, 404, "no such note",
		    TORC_NEVER);
	rc = torc_exchange_json_begin(exchange, 200, &json, TORC_NEVER);
	if (rc < 0)
		return rc;
	torc_json_object_begin(&json);
	torc_json_name(&json, "name");
	torc_json_text(&json, note.name);
	torc_json_name(&json, "text");
	torc_json_text(&json, note.text);
	torc_json_object_end(&json);
	return torc_exchange_json_end(exchange, &json, TORC_NEVER);
}

/* Returns the status of the answer. */
static unsigned
keep_note(struct note *note)
{
	unsigned status = 507, at;

	pthread_mutex_lock(&lock);
	at = place_of(note->name);
	if (at < note_count) {
		free(notes[at]);
		status = 204;
	} else if (note_count < NOTES_MAX) {
		note_count++;
		status = 201;
	}
	if (status != 507)
		notes[at] = note;
	pthread_mutex_unlock(&lock);
	return status;
}

static int
put_note(struct torc_exchange *exchange, void *arg)
{
	const char *name = name_of(exchange);
	struct torc_slice text;
	struct note *note;
	unsigned status;
	int rc = torc_exchange_body(exchange, &text, TORC_NEVER);

	(void)arg;
	if (rc < 0)
		return rc;
	if (strlen(name) > NAME_MAX_SIZE || text.size > TEXT_MAX_SIZE)
		return torc_exchange_refuse(exchange, 413, "the name or the "
		    "text is too long", TORC_NEVER);
	note = calloc(1, sizeof(*note));
	if (note == NULL)
		return torc_exchange_refuse(exchange, 503, NULL, TORC_NEVER);
	strcpy(note->name, name);
	memcpy(note->text, text.data, text.size);
	status = keep_note(note);
	if (status == 507) {
		free(note);
		return torc_exchange_refuse(exchange, 507, "there are too many "
		    "notes", TORC_NEVER);
	}
	return torc_exchange_reply(exchange, status, NULL, NULL, 0,
	    TORC_NEVER);
}

static int
delete_note(struct torc_exchange *exchange, void *arg)
{
	const char *name = name_of(exchange);
	bool found;
	unsigned at;

	(void)arg;
	pthread_mutex_lock(&lock);
	at = place_of(name);
	found = at < note_count;
	if (found) {
		free(notes[at]);
		notes[at] = notes[--note_count];
	}
	pthread_mutex_unlock(&lock);
	if (!found)
		return torc_exchange_refuse(exchange, 404, "no such note",
		    TORC_NEVER);
	return torc_exchange_reply(exchange, 204, NULL, NULL, 0, TORC_NEVER);
}

/*
 * Returns the token that was sent; its size is 0 if there is none. The word
 * before it may have any case, the token may not.
 */
static struct torc_slice
token_of(struct torc_exchange *exchange)
{
	static const char scheme[] = "Bearer ";
	const size_t size = sizeof(scheme) - 1;
	const struct torc_slice *field = torc_exchange_field(exchange,
	    "authorization");

	if (field == NULL || field->size < size ||
	    strncasecmp((const char *)field->data, scheme, size) != 0)
		return torc_http_text("");
	return (struct torc_slice) { field->data + size, field->size - size };
}

/* Runs around the handlers that change something. */
static int
authenticate(struct torc_exchange *exchange, void *token)
{
	if (torc_http_same_secret(token_of(exchange), token))
		return torc_exchange_next(exchange);
	torc_exchange_add_field(exchange, "WWW-Authenticate", "Bearer");
	return torc_exchange_refuse(exchange, 401, "the token is not valid",
	    TORC_NEVER);
}

static void
observe(struct torc_exchange *exchange, const struct torc_exchange_summary *end,
    void *arg)
{
	(void)exchange;
	(void)arg;
	if (end->status < 500 && !end->refused)
		return;
	fprintf(stderr, "notes: %.*s %.*s: %u: %s\n", (int)end->method.size,
	    (const char *)end->method.data, (int)end->target.size,
	    (const char *)end->target.data, end->status,
	    end->why != NULL ? end->why : strerror(-end->error));
}

int
main(int argc, char **argv)
{
	static const struct torc_service_config service = {
		.observer = observe,
	};
	void *token = (void *)cli_env("NOTES_TOKEN", "secret");
	struct torc_routes *routes, *writers;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/", greet, NULL);
	torc_routes_add(routes, "GET", "/notes", list_notes, NULL);
	torc_routes_add(routes, "GET", "/notes/{name}", show_note, NULL);
	writers = torc_routes_group(routes, "/notes");
	torc_routes_around(writers, authenticate, token);
	torc_routes_add(writers, "PUT", "/{name}", put_note, NULL);
	torc_routes_add(writers, "DELETE", "/{name}", delete_note, NULL);
	return cli_serve_routes(argc, argv, "Keeps notes in memory, and shows "
	    "them as JSON.", routes, &service, NULL);
}
