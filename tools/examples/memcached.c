/* SPDX-License-Identifier: MIT */
/*
 * memcached.c - a client of memcached on a pool of connections. keys.c uses it.
 */
#include "memcached.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 512u
#define VALUE_MAX (128u << 20)	/* bytes; memcached's default limit is 1 MiB */

struct answer {
	struct torc_conn *conn;
	torc_deadline deadline;
	struct torc_slice in;	/* received and not yet read */
	char line[LINE_SIZE];
	uint8_t *value;		/* what stands between "VALUE" and "END" */
	size_t size;
};

static struct torc_slice
text(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

/* The first `size` bytes have been read. */
static void
take(struct answer *answer, size_t size)
{
	torc_conn_consume(answer->conn, size);
	answer->in.data += size;
	answer->in.size -= size;
}

static int
receive(struct answer *answer)
{
	int rc = torc_conn_recv(answer->conn, &answer->in,
	    answer->deadline);

	return rc > 0 ? 0 : rc < 0 ? rc : -ECONNRESET;
}

static int
read_line(struct answer *answer)
{
	const struct torc_slice *in = &answer->in;
	const uint8_t *end;
	size_t size;

	while (in->size == 0 ||
	    (end = memchr(in->data, '\n', in->size)) == NULL) {
		int rc = in->size >= LINE_SIZE ? -EPROTO : receive(answer);

		if (rc < 0)
			return rc;
	}
	size = (size_t)(end - in->data);
	if (size == 0 || size >= LINE_SIZE || end[-1] != '\r')
		return -EPROTO;
	memcpy(answer->line, in->data, size - 1);
	answer->line[size - 1] = '\0';
	take(answer, size + 1);
	return 0;
}

static int
read_bytes(struct answer *answer, uint8_t *data, size_t size)
{
	while (size > 0) {
		int rc = answer->in.size == 0 ? receive(answer) : 0;
		size_t part = answer->in.size;

		if (rc < 0)
			return rc;
		if (part > size)
			part = size;
		memcpy(data, answer->in.data, part);
		take(answer, part);
		data += part;
		size -= part;
	}
	return 0;
}

/* Read the value of an answer whose first line was read. */
static int
read_value(struct answer *answer)
{
	int rc;

	if (sscanf(answer->line, "VALUE %*s %*u %zu", &answer->size) != 1 ||
	    answer->size > VALUE_MAX)
		return -EPROTO;
	answer->value = malloc(answer->size + 2);
	if (answer->value == NULL)
		return -ENOMEM;
	rc = read_bytes(answer, answer->value, answer->size + 2);
	if (rc == 0)
		rc = read_line(answer);
	if (rc == 0 && strcmp(answer->line, "END") == 0)
		return 0;
	free(answer->value);
	return rc < 0 ? rc : -EPROTO;
}

/* If the answer is not read to its end, the connection is closed. */
static int
ask(struct torc_pool *pool, const char *key, const struct torc_slice *parts,
    unsigned count, struct answer *answer)
{
	void *conn;
	int rc = *key == '\0' || strlen(key) > 250 ||
	    strpbrk(key, " \t\r\n") != NULL ? -EINVAL :
	    torc_pool_acquire(pool, &conn, answer->deadline);

	if (rc < 0)
		return rc;
	answer->conn = conn;
	rc = torc_conn_writev(conn, parts, count, answer->deadline);
	if (rc == 0)
		rc = read_line(answer);
	if (rc == 0 && strncmp(answer->line, "VALUE ", 6) == 0)
		rc = read_value(answer);
	torc_pool_release(pool, conn, rc == 0 && answer->in.size == 0);
	return rc;
}

int
memcached_get(struct torc_pool *pool, const char *key, void **value,
    size_t *size, torc_deadline deadline)
{
	struct answer answer = { .deadline = deadline };
	const struct torc_slice parts[] = { text("get "), text(key),
		text("\r\n") };
	int rc = ask(pool, key, parts, 3, &answer);

	if (rc == 0 && strcmp(answer.line, "END") != 0)
		rc = -EPROTO;
	*value = rc == 0 ? answer.value : NULL;
	*size = answer.size;
	return rc < 0 ? rc : *value != NULL;
}

int
memcached_set(struct torc_pool *pool, const char *key, const void *value,
    size_t size, unsigned seconds, torc_deadline deadline)
{
	struct answer answer = { .deadline = deadline };
	char numbers[64];
	const struct torc_slice parts[] = { text("set "), text(key),
		{ (const uint8_t *)numbers, (size_t)snprintf(numbers,
		    sizeof(numbers), " 0 %u %zu\r\n", seconds, size) },
		{ value, size }, text("\r\n") };
	int rc = ask(pool, key, parts, 5, &answer);

	if (rc < 0 || strcmp(answer.line, "STORED") == 0)
		return rc;
	return strstr(answer.line, "too large") != NULL ? -EFBIG : -EPROTO;
}

int
memcached_delete(struct torc_pool *pool, const char *key,
    torc_deadline deadline)
{
	struct answer answer = { .deadline = deadline };
	const struct torc_slice parts[] = { text("delete "), text(key),
		text("\r\n") };
	int rc = ask(pool, key, parts, 3, &answer);

	if (rc < 0 || strcmp(answer.line, "NOT_FOUND") == 0)
		return rc;
	return strcmp(answer.line, "DELETED") == 0 ? 1 : -EPROTO;
}
