/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - a client whose fibers share one connection (torc_pipeline.h): the
 * requests of all go out together, and each fiber gets its own reply. It asks
 * memcached for values.
 *
 *     cc -o pipe pipe.c $(pkg-config --cflags --libs torc)
 *     ./pipe 127.0.0.1:11211 one two three
 *
 * Such a client fits protocols whose replies come in the order of the requests.
 */
#include <torc_client.h>
#include <torc_pipeline.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 512u
#define VALUE_MAX (1u << 20)
#define GET_MS 2000u

/* ---- The client ---- */

/* A request. It is on the heap, since it may outlive the fiber that made it. */
struct get {
	struct torc_request base;	/* must be first */
	char *value;		/* with CR LF behind it; NULL: there is none */
	size_t size;		/* bytes at `value` */
	size_t used;		/* of them, how many have come */
};

static void
get_free(struct get *get)
{
	free(get->value);
	free(get);
}

/* "VALUE key flags size" or "END". Returns 0 or a negative errno. */
static int
read_line(struct get *get, const char *line, bool *done)
{
	*done = strcmp(line, "END\r\n") == 0;
	if (*done)
		return 0;
	if (get->value != NULL ||
	    sscanf(line, "VALUE %*s %*u %zu", &get->size) != 1 ||
	    get->size > VALUE_MAX)
		return -EPROTO;
	get->size += 2;
	get->value = malloc(get->size);
	return get->value == NULL ? -ENOMEM : 0;
}

/* Bytes have come for the oldest request. Returns how many of them it took. */
static int64_t
feed(struct torc_request *request, const uint8_t *data, size_t size, bool *done,
    void *arg)
{
	struct get *get = (struct get *)request;
	const uint8_t *end;
	char line[LINE_SIZE];
	int rc;

	(void)arg;
	if (get->used < get->size) {
		if (size > get->size - get->used)
			size = get->size - get->used;
		memcpy(get->value + get->used, data, size);
		get->used += size;
		return (int64_t)size;
	}
	end = memchr(data, '\n', size);
	if (end == NULL)	/* the rest of the line is still to come */
		return size < LINE_SIZE ? 0 : -EPROTO;
	size = (size_t)(end - data) + 1;
	if (size >= LINE_SIZE)
		return -EPROTO;
	memcpy(line, data, size);
	line[size] = '\0';
	rc = read_line(get, line, done);
	return rc < 0 ? rc : (int64_t)size;
}

/* The reply to a request that its fiber has given up. */
static void
drop(struct torc_request *request, void *arg)
{
	(void)arg;
	get_free((struct get *)request);
}

static const struct torc_pipeline_kind kind = { .feed = feed, .drop = drop };

/* Parks. Ask for a value: on success, `*get` is the caller's to free. */
static int
ask(struct torc_pipeline *pipeline, const char *key, struct get **get,
    torc_deadline deadline)
{
	const struct torc_slice words[] = { { (const uint8_t *)"get ", 4 },
		{ (const uint8_t *)key, strlen(key) },
		{ (const uint8_t *)"\r\n", 2 } };
	struct get *made = calloc(1, sizeof(*made));
	int rc, written;

	if (made == NULL)
		return -ENOMEM;
	rc = torc_pipeline_begin(pipeline, &made->base, deadline);
	if (rc < 0) {
		get_free(made);
		return rc;
	}
	written = torc_conn_writev(pipeline->conn, words, 3, deadline);
	if (written < 0)	/* the stream is of no more use to anybody */
		torc_pipeline_break(pipeline, written);
	torc_pipeline_end(pipeline);
	rc = torc_pipeline_await(pipeline, &made->base, deadline);
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;	/* drop() frees it, when the reply comes */
	if (rc < 0)
		get_free(made);
	else
		*get = made;
	return written < 0 ? written : rc;
}

/* ---- The program: a fiber for each key ---- */

struct task {
	struct torc_pipeline *pipeline;
	const char *key;
	struct get *get;
	int result;
};

static int task_count;
static struct task *tasks;
static const char *address;

static int
run_task(void *arg)
{
	struct task *task = arg;

	task->result = ask(task->pipeline, task->key, &task->get,
	    torc_after_ms(GET_MS));
	return task->result;
}

/* Runs on a fiber, when the reactor starts. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	struct torc_pipeline pipeline;
	struct torc_group group;
	struct torc_conn *conn;
	int rc = torc_dial_name(&conn, address, torc_after_ms(GET_MS));

	(void)arg;
	if (rc < 0)
		return rc;
	torc_pipeline_init(&pipeline, conn, &kind, NULL);
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	for (int i = 0; rc == 0 && i < task_count; i++) {
		tasks[i].pipeline = &pipeline;
		rc = torc_group_spawn(&group, run_task, &tasks[i], TORC_NEVER);
	}
	torc_group_end(&group, NULL, TORC_NEVER);
	/* This drops the requests that were given up. */
	torc_pipeline_break(&pipeline, -ECONNABORTED);
	torc_conn_close(conn, torc_after_ms(GET_MS));
	torc_reactor_stop(reactor);
	return rc;
}

static void
tell(const struct task *task)
{
	if (task->result < 0)
		printf("%s: failed: %s\n", task->key, strerror(-task->result));
	else if (task->get->value == NULL)
		printf("%s is not there\n", task->key);
	else
		printf("%s: %.*s\n", task->key, (int)task->get->size - 2,
		    task->get->value);
}

int
main(int argc, char **argv)
{
	const struct torc_config config = { .start = start, .reactors = 1 };
	struct torc_error error;
	bool usable = argc > 2;

	for (int i = 2; i < argc; i++)
		usable = usable && argv[i][strcspn(argv[i], " \r\n")] == '\0';
	if (!usable) {
		fprintf(stderr, "usage: pipe ADDRESS KEY ...\nShows the "
		    "values of keys in the memcached at ADDRESS.\n");
		return 64;
	}
	address = argv[1];
	task_count = argc - 2;
	tasks = calloc((size_t)task_count, sizeof(*tasks));
	if (tasks == NULL)
		return 1;
	for (int i = 0; i < task_count; i++)
		tasks[i] = (struct task) { .key = argv[i + 2],
			.result = -ECANCELED };
	if (torc_serve(&config, NULL, &error) < 0) {
		fprintf(stderr, "pipe: %s: %s\n", address, error.text);
		return 1;
	}
	for (int i = 0; i < task_count; i++) {
		tell(&tasks[i]);
		if (tasks[i].get != NULL)
			get_free(tasks[i].get);
	}
	free(tasks);
	return 0;
}
