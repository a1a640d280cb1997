/* SPDX-License-Identifier: MIT */
/*
 * toy.c - the toy transport.
 */
#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/kit/offload.h"
#include "sys/sys.h"
#include "tests/toy.h"

struct toy {
	struct torc_transport transport;
	struct toy_way in;
	struct toy_way out;
	/* A thread answers the greeting. */
	struct torc_task task;
	uint8_t answer[TOY_OVERHEAD];
};

/* ---- Records ---- */

static uint8_t
pad(const struct toy_way *way, uint32_t at)
{
	return (uint8_t)((way->key + at) * 0x9e3779b1u >> 24);
}

static void
next_key(struct toy_way *way, enum toy_kind kind)
{
	way->key += kind == TOY_REKEY || kind == TOY_REKEYED ? 1000 : 1;
}

uint32_t
toy_put(struct toy_way *way, enum toy_kind kind, const uint8_t *data,
    uint32_t size, uint8_t *out)
{
	uint8_t sum = (uint8_t)(kind + way->key);

	torc_assert(size <= TOY_DATA_MAX && !way->ended);
	torc_assert(way->greeted == (kind != TOY_HELLO));
	way->greeted = true;
	way->ended = kind == TOY_END;
	out[0] = (uint8_t)kind;
	out[1] = (uint8_t)size;
	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum * 3 + data[i]);
		out[2 + i] = data[i] ^ pad(way, i);
	}
	out[2 + size] = sum;
	next_key(way, kind);
	return size + TOY_OVERHEAD;
}

/* Of a whole record. Its kind, or -EBADMSG. `out` may begin before it. */
static int
read_record(struct toy_way *way, const uint8_t *record, uint8_t *out,
    uint32_t *got)
{
	const enum toy_kind kind = (enum toy_kind)record[0];
	const uint32_t size = record[1];
	const uint8_t said = record[2 + size];
	uint8_t sum = (uint8_t)(kind + way->key);

	for (uint32_t i = 0; i < size; i++) {
		out[i] = record[2 + i] ^ pad(way, i);
		sum = (uint8_t)(sum * 3 + out[i]);
	}
	if (sum != said || way->ended || way->greeted == (kind == TOY_HELLO) ||
	    (size > 0) != (kind == TOY_DATA))
		return -EBADMSG;
	way->greeted = true;
	way->ended = kind == TOY_END;
	next_key(way, kind);
	*got = size;
	return (int)kind;
}

int
toy_get(struct toy_way *way, const uint8_t **data, uint32_t *size,
    uint8_t *out, uint32_t *got)
{
	uint32_t whole = *size > 1 ? (*data)[1] + TOY_OVERHEAD : UINT32_MAX;
	int kind;

	if (way->rest_size == 0 && *size >= whole &&
	    whole <= TOY_RECORD_MAX) {
		kind = read_record(way, *data, out, got);
		*data += whole;
		*size -= whole;
		return kind;
	}
	while (*size > 0) {
		way->rest[way->rest_size++] = *(*data)++;
		--*size;
		if (way->rest_size > 1 && way->rest[1] > TOY_DATA_MAX)
			return -EBADMSG;
		if (way->rest_size > 1 &&
		    way->rest_size == way->rest[1] + TOY_OVERHEAD) {
			way->rest_size = 0;
			return read_record(way, way->rest, out, got);
		}
	}
	return 0;
}

/* ---- The transport ---- */

void (*toy_step)(struct torc_transport *transport);
bool (*toy_leaves)(void);

static void
emit(struct toy *toy, enum toy_kind kind, const uint8_t *data, uint32_t size)
{
	uint8_t record[TOY_RECORD_MAX];

	torc_transport_emit(&toy->transport, record,
	    toy_put(&toy->out, kind, data, size, record));
}

static uint32_t
toy_room(const struct torc_transport *transport, uint32_t size)
{
	const struct toy *toy = (const struct toy *)transport;

	return toy->in.rest_size > 0 ? toy->in.rest_size + size : 0;
}

static void
hear(struct toy *toy, enum toy_kind kind)
{
	struct torc_transport *transport = &toy->transport;
	const struct torc_agreed agreed = { .resumed = false };

	if (kind == TOY_HELLO) {
		if (!toy->out.greeted)
			emit(toy, TOY_HELLO, NULL, 0);
		if (!transport->ready) {
			torc_transport_name(transport, NULL, 0);
			torc_transport_ready(transport, &agreed);
		}
	} else if (kind == TOY_REKEY && !toy->out.ended) {
		emit(toy, TOY_REKEYED, NULL, 0);
	} else if (kind == TOY_END) {
		transport->ended = true;
	}
}

static void
answer_greeting(struct torc_task *task)
{
	struct toy *toy = torc_container(task, struct toy, task);

	toy_put(&toy->out, TOY_HELLO, NULL, 0, toy->answer);
}

static void
come_back(struct torc_task *task)
{
	torc_transport_back(&torc_container(task, struct toy,
	    task)->transport);
}

static void
toy_back(struct torc_transport *transport)
{
	const struct toy *toy = (const struct toy *)transport;
	const struct torc_agreed agreed = { .resumed = false };

	torc_transport_emit(transport, toy->answer, sizeof(toy->answer));
	torc_transport_ready(transport, &agreed);
}

/* Let a thread answer. False: it is done here. */
static bool
leave(struct toy *toy)
{
	if (toy_leaves == NULL || toy->out.greeted || !toy_leaves())
		return false;
	toy->task.run = answer_greeting;
	toy->task.computes = true;
	if (torc_task_start(&toy->task, toy->transport.conn->reactor,
	    come_back) < 0)
		return false;
	torc_transport_leave(&toy->transport);
	return true;
}

static uint32_t
toy_open(struct torc_transport *transport, const uint8_t *data, uint32_t size,
    uint8_t *out)
{
	struct toy *toy = (struct toy *)transport;
	uint32_t opened = 0;

	if (!transport->ready && toy_step != NULL)
		toy_step(transport);
	while (size > 0 && transport->error == 0) {
		uint32_t got = 0;
		const int kind = toy_get(&toy->in, &data, &size, out + opened,
		    &got);

		opened += kind > 0 ? got : 0;
		if (kind == TOY_HELLO && size == 0 && leave(toy))
			break;
		if (kind > 0)
			hear(toy, (enum toy_kind)kind);
		else if (kind < 0)
			transport->error = kind;
	}
	transport->kept = toy->in.rest_size;
	/* Of what may be the shortest, while its size is not known. */
	transport->missing = toy->in.rest_size > 1 ? toy->in.rest[1] +
	    TOY_OVERHEAD - toy->in.rest_size : 1;
	return opened;
}

static int
toy_seal(struct torc_transport *transport, const uint8_t *data, uint32_t size)
{
	struct toy *toy = (struct toy *)transport;

	while (size > 0) {
		const uint32_t part = size < TOY_DATA_MAX ? size :
		    TOY_DATA_MAX;

		emit(toy, TOY_DATA, data, part);
		data += part;
		size -= part;
	}
	return 0;
}

static void
toy_close(struct torc_transport *transport)
{
	emit((struct toy *)transport, TOY_END, NULL, 0);
}

static void
toy_begin(struct torc_transport *transport)
{
	emit((struct toy *)transport, TOY_HELLO, NULL, 0);
}

static void
toy_rest(struct torc_transport *transport)
{
	torc_assert(transport->ready);
}

static void
toy_free(struct torc_transport *transport)
{
	torc_sys_free(transport);
}

static const struct torc_transport_kind toy_transport = {
	.room = toy_room,
	.open = toy_open,
	.seal = toy_seal,
	.close = toy_close,
	.begin = toy_begin,
	.back = toy_back,
	.rest = toy_rest,
	.free = toy_free,
	.overhead = TOY_OVERHEAD,
	.record_max = TOY_DATA_MAX,
};

struct torc_transport *
toy_make(void)
{
	struct toy *toy = torc_sys_alloc(sizeof(*toy));

	if (toy == NULL)
		return NULL;
	toy->transport.kind = &toy_transport;
	return &toy->transport;
}

static struct torc_transport *
make(struct torc_transport_maker *maker)
{
	(void)maker;
	return toy_make();
}

struct torc_transport_maker toy_maker = { .make = make, .ready_ms = 60000 };

void
toy_rekey(struct torc_transport *transport)
{
	emit((struct toy *)transport, TOY_REKEY, NULL, 0);
}
