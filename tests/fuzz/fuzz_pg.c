/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pg.c - the codec of PostgreSQL on any bytes. Byte 0 says what is done
 * with them: taken as a stream of messages, each read by its reader, and put
 * together from pieces; taken as the values of a row; written as a statement
 * and read again; taken as the server's part of a login; from 240 on, as a
 * text: an address, a statement, a password. Byte 1 is where the stream is cut,
 * which may not change what is read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/auth.h"
#include "conn/pg/carry.h"
#include "conn/pg/config.h"
#include "conn/pg/error.h"
#include "conn/pg/nature.h"
#include "conn/pg/saslprep.h"
#include "conn/pg/wire.h"

#define MOST 4096u
#define ROOM 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_pg: %s\n", what);
	abort();
}

static bool
within(const struct pg_message *message, const void *data, size_t size)
{
	const uint8_t *at = data;

	return at >= message->data &&
	    at + size <= message->data + message->size;
}

/* ---- The readers ---- */

static void
read_row(const struct pg_message *message)
{
	struct torc_slice values[ROOM];
	int count = torc_pg_read_row(message, values, ROOM);
	size_t sum = 2;

	require(count == -EPROTO || (count >= 0 && count <= 65535),
	    "a row of any count");
	for (int i = 0; i < count && i < (int)ROOM; i++) {
		require(values[i].data == NULL ? values[i].size == 0 :
		    within(message, values[i].data, values[i].size),
		    "a value outside of its row");
		sum += 4 + values[i].size;
	}
	if (count >= 0 && count <= (int)ROOM)
		require(sum == message->size, "a row with a rest");
}

static void
read_texts(const struct pg_message *message)
{
	struct pg_field fields[ROOM];
	struct pg_report report;
	struct pg_notification notification;
	const char *name, *value, *tag;
	uint64_t rows;
	int count = torc_pg_read_fields(message, fields, ROOM);

	for (int i = 0; i < count && i < (int)ROOM; i++)
		require(within(message, fields[i].name,
		    strlen(fields[i].name) + 1), "a name outside");
	if (torc_pg_read_report(message, &report) == 0 &&
	    report.text[0] != '\0')
		require(within(message, report.text,
		    strlen(report.text) + 1), "a text outside");
	if (torc_pg_read_parameter(message, &name, &value) == 0)
		require(strlen(name) + strlen(value) + 2 == message->size,
		    "a parameter with a rest");
	if (torc_pg_read_complete(message, &tag, &rows) == 0)
		require(strlen(tag) + 1 == message->size, "a tag with a rest");
	if (torc_pg_read_notification(message, &notification) == 0)
		require(within(message, notification.payload,
		    strlen(notification.payload) + 1), "a payload outside");
}

static void
read_numbers(const struct pg_message *message)
{
	struct pg_auth auth;
	uint32_t process, secret;
	char state;

	if (torc_pg_read_auth(message, &auth) == 0 && auth.data.data != NULL) {
		require(within(message, auth.data.data, auth.data.size),
		    "a challenge outside");
		torc_pg_offers(&auth, PG_SCRAM);
	}
	if (torc_pg_read_key(message, &process, &secret) == 0)
		require(message->size == 8, "a key of another size");
	if (torc_pg_read_ready(message, &state) == 0)
		require(message->size == 1, "a state of another size");
}

/* As many messages as there are: where they end. */
static long
read_stream(const uint8_t *data, size_t size)
{
	struct pg_message message;
	size_t at = 0;
	long taken = 0;

	while ((taken = torc_pg_read_message(&message, data + at, size - at,
	    MOST)) > 0) {
		require((size_t)taken <= size - at &&
		    message.size + PG_HEADER == (size_t)taken,
		    "a message longer than what there is");
		read_row(&message);
		read_texts(&message);
		read_numbers(&message);
		at += (size_t)taken;
	}
	return taken < 0 ? taken : (long)at;
}

static void
check_stream(const uint8_t *data, size_t size, size_t cut)
{
	long whole = read_stream(data, size), part, rest;
	uint8_t *copy;

	if (cut > size)
		return;
	copy = malloc(cut + 1);		/* memory that ends there */
	require(copy != NULL, "no memory");
	if (cut > 0)
		memcpy(copy + 1, data, cut);
	part = read_stream(copy + 1, cut);
	free(copy);
	rest = part < 0 ? part : read_stream(data + part,
	    size - (size_t)part);
	if (whole < 0 || rest < 0)
		require(whole == rest, "a cut hides or makes an error");
	else
		require(whole == part + rest, "a cut changes the end");
}

/* What is told of an error, in memory of its own. */
static void
check_report(const struct pg_message *message)
{
	struct pg_report report;
	struct pg_fault fault;

	if (torc_pg_take_report(message, &report) < 0)
		return;
	require(report.cut == (message->lost != 0), "cut, and not said so");
	torc_pg_fault_init(&fault);
	torc_pg_fault_keep(&fault, &report);
	require(!pg_fault_is_mute(&fault), "an error without a word");
	require(strcmp(fault.error.detail, report.detail) == 0,
	    "a text that is not kept");
	torc_pg_fault_clear(&fault);
}

/* In pieces, and with a bound of which most messages are longer. */
static void
check_carry(const uint8_t *data, size_t size, size_t piece)
{
	struct pg_carry carry = { .lost = 0 };
	struct pg_message message;
	int rc = 0;

	while (rc == 0 && size > 0) {
		const size_t more = piece < size ? piece : size;
		uint8_t *copy = malloc(more);
		struct torc_slice view = { copy, more };

		require(copy != NULL, "no memory");
		memcpy(copy, data, more);
		while ((rc = torc_pg_carry_next(&carry, &message, &view,
		    24)) > 0) {
			require(message.size <= 24, "more than its bound");
			if (message.type == PG_ERROR ||
			    message.type == PG_NOTICE)
				check_report(&message);
		}
		require(rc < 0 || view.size == 0, "bytes that are left");
		free(copy);
		data += more;
		size -= more;
	}
	torc_pg_carry_free(&carry);
}

/* ---- Values ---- */

static void
check_values(const uint8_t *data, size_t size)
{
	static const uint32_t types[] = { TORC_PG_BOOL, TORC_PG_BYTEA,
		TORC_PG_INT8, TORC_PG_INT2, TORC_PG_INT4, TORC_PG_TEXT,
		TORC_PG_OID, TORC_PG_FLOAT4, TORC_PG_FLOAT8,
		TORC_PG_NUMERIC };
	struct torc_slice value = { data, size };
	uint8_t bytes[64];

	for (unsigned i = 0; i < 2 * sizeof(types) / sizeof(types[0]); i++) {
		struct torc_pg_column column = { "", types[i / 2], i % 2 };
		int64_t number;
		double real;
		bool truth;
		int64_t count;

		torc_pg_read_int(&column, value, &number);
		torc_pg_read_float(&column, value, &real);
		torc_pg_read_bool(&column, value, &truth);
		count = torc_pg_read_bytea(&column, value, bytes,
		    sizeof(bytes));
		require(count <= (int64_t)sizeof(bytes), "too many bytes");
	}
}

/* ---- What we write ---- */

/* A Bind has the parameters as a DataRow has its values. */
static void
check_bind(const uint8_t *data, size_t size)
{
	const struct torc_pg_param params[] = {
		torc_pg_bytea(data, size), torc_pg_null(),
		torc_pg_int4((int32_t)size),
	};
	struct torc_slice values[3];
	struct pg_message message, row;
	uint8_t memory[2 * MOST];
	struct pg_writer writer = { .data = memory, .size = MOST };

	torc_pg_put_bind(&writer, "s", params, 3, true);
	require(writer.used == size + 38, "another size");
	if (!torc_pg_written(&writer))
		return;
	require(torc_pg_read_message(&message, memory, writer.used, MOST + 1) ==
	    (long)writer.used, "what was written is not read");
	/* Names, formats; and behind them one format for the columns. */
	row.data = message.data + 3 + 2 + 3 * 2;
	row.size = message.size - 3 - 2 - 3 * 2 - 4;
	require(torc_pg_read_row(&row, values, 3) == 3 &&
	    values[0].size == size &&
	    (size == 0 || memcmp(values[0].data, data, size) == 0) &&
	    values[1].data == NULL && values[2].size == 4,
	    "written values are read otherwise");
}

/* ---- The login ---- */

static void
check_login(const uint8_t *data, size_t size, size_t cut)
{
	static const struct pg_binding binding = { .bound = PG_BINDING_UNUSED };
	static struct pg_scram scram;
	char text[3 * PG_SCRAM_SIZE];

	if (cut > size)
		return;
	require(torc_pg_scram_begin(&scram, "secret", &binding) == 0,
	    "no randomness");
	/* One that the input can know. */
	memcpy(scram.nonce, "nonce", 6);
	if (torc_pg_scram_challenge(&scram, data, cut, 4096) < 0)
		return;
	require(scram.iterations > 0 && scram.iterations <= 4096,
	    "too many iterations");
	scram.iterations = 1;
	require(torc_pg_scram_derive(&scram) == 0, "no hash");
	require(torc_pg_scram_final(&scram, text, sizeof(text)) <
	    (int)sizeof(text), "a long answer");
	if (torc_pg_scram_verify(&scram, data + cut, size - cut) == 0)
		require(scram.verified, "verified and not");
}

/* ---- Texts ---- */

static void
check_address(const char *address, const char *scheme)
{
	struct torc_pg_config config = { .user = "user" };
	char whole[MOST + 32];
	struct torc_error error;
	const struct pg_words words = { &error, false };
	struct pg_setup setup;

	snprintf(whole, sizeof(whole), "%s%s", scheme, address);
	config.address = whole;
	if (torc_pg_setup_make(&setup, &config, &words) < 0)
		return;
	require(setup.host_count > 0, "an address of nothing");
	for (unsigned i = 0; i < setup.host_count; i++)
		require(strncmp(setup.hosts[i], "unix:", 5) == 0 ||
		    strrchr(setup.hosts[i], ':') != NULL, "a host alone");
	torc_pg_setup_free(&setup);
}

static void
check_texts(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *prepared, *again;

	require(text != NULL, "no memory");
	memcpy(text, data, size);
	text[size] = '\0';
	check_address(text, "");
	check_address(text, "postgres://");
	torc_pg_nature_of(text);
	prepared = torc_pg_saslprep(text);
	again = torc_pg_saslprep(prepared);
	require(strlen(prepared) <= 4 * PG_EXPANSION * (size + 1),
	    "a longer password than there can be");
	free(again);
	free(prepared);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut;

	if (size < 2 || size > MOST)
		return 0;
	cut = data[1];
	if (data[0] >= 240) {
		check_texts(data + 2, size - 2);
		return 0;
	}
	switch (data[0] % 4) {
	case 0:
		check_stream(data + 2, size - 2, cut);
		check_carry(data + 2, size - 2, cut + 1);
		break;
	case 1:
		check_values(data + 2, size - 2);
		break;
	case 2:
		check_bind(data + 2, size - 2);
		break;
	default:
		check_login(data + 2, size - 2, cut);
		break;
	}
	return 0;
}
