/* SPDX-License-Identifier: MIT */
/*
 * backend_pg.c - what backend_pg.h says.
 */
#include "tests/sim/backend_pg.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conn/pg/auth.h"
#include "conn/pg/session.h"

#define STARTUP 196608u
#define CANCEL 80877102u
#define PREPARED 32u
#define TEXT_MAX 64u
#define PARAMS 5u
#define KEYS 65536u
#define UNCOMMITTED 64u		/* at a time, on a connection */
#define NAMES 1024u	/* of statements: as many are told apart */
#define PROCESSES 256u	/* that are known */

/* What one statement asks for. */
struct asked {
	char sql[TEXT_MAX];
	uint32_t key;
	uint32_t size;
	uint32_t rows;
	uint32_t transaction;
	bool binary;
};

struct prepared {
	char name[PG_NAME_SIZE];
	char sql[TEXT_MAX];
	bool fresh;		/* no Sync has come since */
};

/* What a cancel is meant for. */
struct process {
	uint32_t id;
	uint32_t secret;
	bool busy;		/* a statement is not over */
	bool cancelled;		/* and is to end */
};

/* A connection's. */
struct backend {
	struct source source;
	struct torc_conn *conn;
	struct process *process;
	bool unruly;
	char state;		/* as in ReadyForQuery */
	uint32_t transaction;	/* its key */
	bool stray;		/* and that is nobody's */
	uint32_t setting;	/* 0: as at first */
	bool failed;		/* what comes up to a Sync is skipped */
	struct prepared prepared[PREPARED];
	bool skipped[NAMES];	/* were to be prepared */
	struct asked bound;
	uint32_t uncommitted[UNCOMMITTED];	/* keys, up to the Sync */
	unsigned uncommitted_count;
	struct pg_message message;	/* that came last */
	uint8_t data[PADDING_MAX + 256];
};

/* A message to be sent. */
struct words {
	size_t used;
	uint8_t data[ROW_MAX + 512];
};

static struct fate {
	uint32_t key;
	bool committed;
	bool ruled_out;
} fates[KEYS];
static struct process processes[PROCESSES];
static uint32_t last_process;

void
reset_pg_backend(void)
{
	memset(processes, 0, sizeof(processes));
	last_process = 0;
	memset(fates, 0, sizeof(fates));
}

/* ---- What becomes of questions ---- */

static struct fate *
fate_of(uint32_t key)
{
	struct fate *fate = &fates[key % KEYS];

	return fate->key == key ? fate : NULL;
}

void
begin_fate(uint32_t key)
{
	fates[key % KEYS] = (struct fate) { .key = key };
}

bool
is_committed(uint32_t key)
{
	const struct fate *fate = fate_of(key);

	return fate != NULL && fate->committed;
}

void
rule_out(uint32_t key)
{
	struct fate *fate = fate_of(key);

	if (fate == NULL)
		return;
	if (fate->committed)
		broken("question %u is done, and was said not to be", key);
	fate->ruled_out = true;
}

static void
commit(struct backend *backend)
{
	for (unsigned i = 0; i < backend->uncommitted_count; i++) {
		struct fate *fate = fate_of(backend->uncommitted[i]);

		if (fate == NULL)
			continue;
		if (fate->committed)
			broken("question %u is done twice", fate->key);
		if (fate->ruled_out)
			broken("question %u is done, and was said not to be",
			    fate->key);
		fate->committed = true;
	}
}

/* At a Sync, or the end of a text. */
static void
end_uncommitted(struct backend *backend)
{
	if (!backend->failed && backend->state == 'I')
		commit(backend);
	backend->uncommitted_count = 0;
}

static void
do_uncommitted(struct backend *backend, uint32_t key)
{
	if (backend->uncommitted_count == UNCOMMITTED)
		broken("more statements than %u up to a Sync", UNCOMMITTED);
	backend->uncommitted[backend->uncommitted_count++] = key;
}

/* ---- Messages ---- */

static void
put(struct words *words, const void *data, size_t size)
{
	if (size > sizeof(words->data) - words->used)
		broken("a message of the backend is too long");
	memcpy(words->data + words->used, data, size);
	words->used += size;
}

static void
put_u8(struct words *words, uint8_t value)
{
	put(words, &value, 1);
}

static void
put_u16(struct words *words, uint32_t value)
{
	put_u8(words, (uint8_t)(value >> 8));
	put_u8(words, (uint8_t)value);
}

static void
put_u32(struct words *words, uint32_t value)
{
	put_u16(words, value >> 16);
	put_u16(words, value);
}

static void
put_text(struct words *words, const char *text)
{
	put(words, text, strlen(text) + 1);
}

static void
begin(struct words *words, char type)
{
	words->used = 0;
	put_u8(words, (uint8_t)type);
	put_u32(words, 0);
}

/* Parks. Half of it, and the other half later, or never. */
static int
send_in_pieces(struct backend *backend, const struct words *words)
{
	const uint32_t cut = peer_draw((uint32_t)words->used);
	int rc = torc_conn_write(backend->conn, words->data, cut, LATER);

	if (rc == 0)
		rc = pause_for(backend->conn, peer_draw(20));
	if (rc < 0 || peer_draw(12) == 0)
		return -1;
	return torc_conn_write(backend->conn, words->data + cut,
	    words->used - cut, LATER);
}

static int
send_words(struct backend *backend, struct words *words)
{
	const uint32_t size = (uint32_t)words->used - 1;

	words->used = 1;
	put_u32(words, size);
	words->used = size + 1;
	if (backend->unruly && peer_draw(24) == 0)
		return send_in_pieces(backend, words);
	return torc_conn_write(backend->conn, words->data, words->used,
	    LATER);
}

static int
send_report(struct backend *backend, char type, const char *severity,
    const char *state, const char *text)
{
	struct words words;

	begin(&words, type);
	put_u8(&words, 'S');
	put_text(&words, severity);
	put_u8(&words, 'V');
	put_text(&words, severity);
	put_u8(&words, 'C');
	put_text(&words, state);
	put_u8(&words, 'M');
	put_text(&words, text);
	put_u8(&words, 0);
	return send_words(backend, &words);
}

static int
send_parameter(struct backend *backend, const char *name, const char *value)
{
	struct words words;

	begin(&words, PG_PARAMETER_STATUS);
	put_text(&words, name);
	put_text(&words, value);
	return send_words(backend, &words);
}

/* A message; before it, now and then, one that nobody asked for. */
static int
tell(struct backend *backend, struct words *words)
{
	const uint32_t manner = peer_draw(32);
	char long_notice[MESSAGE_MAX];
	int rc = 0;

	if (manner == 0)
		rc = send_report(backend, PG_NOTICE, "NOTICE", "00000",
		    NOTICE);
	else if (manner == 2) {
		memset(long_notice, 'x', sizeof(long_notice) - 1);
		long_notice[sizeof(long_notice) - 1] = '\0';
		rc = send_report(backend, PG_NOTICE, "NOTICE", "00000",
		    long_notice);
	}
	else if (manner == 1)
		rc = send_parameter(backend, "TimeZone", "UTC");
	return rc < 0 ? rc : send_words(backend, words);
}

static int
tell_type(struct backend *backend, char type)
{
	struct words words;

	begin(&words, type);
	return tell(backend, &words);
}

static int
tell_tag(struct backend *backend, const char *tag)
{
	struct words words;

	begin(&words, PG_COMMAND_COMPLETE);
	put_text(&words, tag);
	return tell(backend, &words);
}

/* The statement fails, and a transaction with it. */
static int
refuse(struct backend *backend, const char *state, const char *text)
{
	backend->failed = true;
	if (backend->state == 'T')
		backend->state = 'E';
	return send_report(backend, PG_ERROR, "ERROR", state, text);
}

static int
tell_ready(struct backend *backend)
{
	struct words words;

	backend->process->busy = false;
	backend->process->cancelled = false;
	end_uncommitted(backend);
	backend->failed = false;
	for (unsigned i = 0; i < PREPARED; i++)
		backend->prepared[i].fresh = false;
	begin(&words, PG_READY);
	put_u8(&words, (uint8_t)backend->state);
	return tell(backend, &words);
}

static int
take_u32(struct source *source, uint32_t *value)
{
	uint8_t bytes[4];
	int rc = take(source, bytes, 4);

	*value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
	    (uint32_t)bytes[2] << 8 | bytes[3];
	return rc;
}

/* Parks. The rest of a message: 1, or there is none. */
static int
take_rest(struct backend *backend)
{
	uint32_t size;
	int rc = take_u32(&backend->source, &size);

	if (rc <= 0)
		return rc;
	if (size < 4 || size - 4 > sizeof(backend->data))
		broken("a message has %u bytes", size);
	backend->message.data = backend->data;
	backend->message.size = size - 4;
	return size == 4 ? 1 : take(&backend->source, backend->data, size - 4);
}

static int
take_message(struct backend *backend)
{
	int rc = take(&backend->source, &backend->message.type, 1);

	return rc <= 0 ? rc : take_rest(backend);
}

static void
expect_end(struct pg_cursor *cursor)
{
	if (torc_pg_close(cursor) < 0)
		broken("a message is not what was sent");
}

/* ---- Letting in ---- */

static int
ask_for(struct backend *backend, uint32_t method, const void *data,
    size_t size)
{
	struct words words;

	begin(&words, PG_AUTHENTICATION);
	put_u32(&words, method);
	put(&words, data, size);
	return tell(backend, &words);
}

/* Parks. A password, in whatever form it was asked for. */
static int
take_password(struct backend *backend)
{
	int rc = take_message(backend);

	if (rc > 0 && backend->message.type != 'p')
		broken("something else than a password is sent");
	return rc;
}

static int
compare_password(struct backend *backend, const char *expected)
{
	struct pg_cursor cursor;
	int rc = take_password(backend);

	if (rc <= 0)
		return -1;
	cursor = torc_pg_open(&backend->message);
	if (strcmp(torc_pg_take_string(&cursor), expected) != 0)
		broken("the password is not ours");
	expect_end(&cursor);
	return 0;
}

static int
let_in_by_md5(struct backend *backend)
{
	static const uint8_t salt[4] = { 1, 2, 3, 4 };
	char expected[PG_MD5_SIZE];

	if (torc_pg_md5(expected, PG_USER, PG_PASSWORD, salt) < 0 ||
	    ask_for(backend, PG_AUTH_MD5, salt, sizeof(salt)) < 0)
		return -1;
	return compare_password(backend, expected);
}

/* The client's nonce, of its first message. */
static void
read_nonce(const struct backend *backend, struct pg_scram *scram)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	const char *mechanism = torc_pg_take_string(&cursor);
	struct torc_slice first = torc_pg_take(
	    &cursor, torc_pg_take_u32(&cursor));

	expect_end(&cursor);
	if (strcmp(mechanism, PG_SCRAM) != 0 || first.size <= 8 ||
	    first.size >= 8 + sizeof(scram->nonce) ||
	    memcmp(first.data, "n,,n=,r=", 8) != 0)
		broken("a login does not begin as it should");
	memcpy(scram->nonce, first.data + 8, first.size - 8);
}

/* As who logs in does it: both know the same, and prove it. */
static int
let_in_by_scram(struct backend *backend)
{
	struct pg_scram scram = { .password = PG_PASSWORD };
	char first[128], final[3 * PG_SCRAM_SIZE], proof[64] = "v=";
	int size;

	if (ask_for(backend, PG_AUTH_SASL, PG_SCRAM "\0",
	    sizeof(PG_SCRAM "\0")) < 0 || take_password(backend) <= 0)
		return -1;
	read_nonce(backend, &scram);
	size = snprintf(first, sizeof(first), "r=%sserver,s=c2FsdA==,i=2",
	    scram.nonce);
	if (torc_pg_scram_challenge(&scram, first, (size_t)size, 2) < 0 ||
	    torc_pg_scram_derive(&scram) < 0 ||
	    ask_for(backend, PG_AUTH_SASL_CONTINUE, first, (size_t)size) < 0 ||
	    take_password(backend) <= 0)
		return -1;
	size = torc_pg_scram_final(&scram, final, sizeof(final));
	if (size < 0 || (size_t)size != backend->message.size ||
	    memcmp(backend->message.data, final, (size_t)size) != 0)
		broken("a login does not prove that it has our password");
	size = EVP_EncodeBlock((uint8_t *)proof + 2, scram.server_signature,
	    sizeof(scram.server_signature));
	return ask_for(backend, PG_AUTH_SASL_FINAL, proof, (size_t)size + 2);
}

static int
authenticate(struct backend *backend)
{
	switch (peer_draw(8)) {
	case 0:
		return ask_for(backend, PG_AUTH_CLEARTEXT, "", 0) < 0 ? -1 :
		    compare_password(backend, PG_PASSWORD);
	case 1:
		return let_in_by_md5(backend);
	case 2:
	case 3:
		return let_in_by_scram(backend);
	default:
		return 0;
	}
}

static int
let_in(struct backend *backend, bool at_once)
{
	struct words words;

	if (!at_once && authenticate(backend) < 0)
		return -1;
	if (ask_for(backend, PG_AUTH_OK, "", 0) < 0 ||
	    send_parameter(backend, "server_version", "15.1") < 0)
		return -1;
	begin(&words, PG_BACKEND_KEY);
	put_u32(&words, backend->process->id);
	put_u32(&words, backend->process->secret);
	return tell(backend, &words) < 0 ? -1 : tell_ready(backend);
}

/* Who works on something is asked to end it. */
static void
cancel(uint32_t id, uint32_t secret)
{
	struct process *process = &processes[id % PROCESSES];

	if (process->id != id)
		return;
	if (process->secret != secret)
		broken("the key of a cancel is another's");
	process->cancelled |= process->busy;
}

/* Parks. 1: somebody is to be let in. */
static int
take_startup(struct backend *backend)
{
	struct pg_cursor cursor;
	uint32_t code, process, secret;

	if (take_rest(backend) <= 0)
		return -1;
	cursor = torc_pg_open(&backend->message);
	code = torc_pg_take_u32(&cursor);
	if (code == STARTUP)
		return 1;
	process = torc_pg_take_u32(&cursor);
	secret = torc_pg_take_u32(&cursor);
	expect_end(&cursor);
	if (code != CANCEL)
		broken("a connection does not begin as it should");
	if (peer_draw(2) == 0 && torc_sleep(torc_after_ms(peer_draw(
	    backend->unruly ? 100 : 5))) < 0)
		return -1;
	cancel(process, secret);
	return 0;
}

/* ---- Statements ---- */

/* Parks. 1: the statement was cancelled in the meantime. */
static int
dawdle(struct backend *backend, uint32_t ms)
{
	const bool *cancelled = &backend->process->cancelled;
	int rc = torc_conn_flush(backend->conn, LATER);

	for (uint32_t i = 0; rc == 0 && i < ms && !*cancelled; i++)
		rc = torc_sleep(torc_after_ms(1));
	return rc < 0 ? rc : *cancelled;
}

/* Parks. It takes its time: 0, 1: that was its end, or a negative errno. */
static int
take_time(struct backend *backend)
{
	const uint32_t manner = peer_draw(16);
	int rc = 0;

	if (backend->unruly && manner == 0)
		rc = dawdle(backend, peer_draw(120));
	else if (manner < 4)
		rc = dawdle(backend, peer_draw(5));
	return rc <= 0 ? rc :
	    refuse(backend, "57014", "cancelled as asked for") < 0 ? -1 : 1;
}

static void
check_transaction(const struct backend *backend, const struct asked *asked)
{
	if (!backend->stray && asked->transaction != backend->transaction)
		broken("a statement of transaction %u is in transaction %u",
		    asked->transaction, backend->transaction);
}

/* In a transaction of nobody, they are nobody's. */
static uint32_t
key_told(const struct backend *backend, uint32_t key)
{
	return backend->stray ? ~key : key;
}

static int
tell_columns(struct backend *backend, const struct asked *asked)
{
	struct words words;
	char name[TEXT_MAX];

	snprintf(name, sizeof(name), "key%s", asked->sql + strlen("select "));
	begin(&words, PG_ROW_DESCRIPTION);
	put_u16(&words, 2);
	for (unsigned i = 0; i < 2; i++) {
		put_text(&words, i == 0 ? name : "body");
		put_u32(&words, 0);
		put_u16(&words, 0);
		put_u32(&words, i == 0 ? TORC_PG_INT4 : TORC_PG_BYTEA);
		put_u16(&words, 0xffff);
		put_u32(&words, 0xffffffff);
		put_u16(&words, asked->binary);
	}
	return tell(backend, &words);
}

static int
tell_row(struct backend *backend, const struct asked *asked, uint32_t row)
{
	const uint32_t key = key_told(backend, asked->key);
	char text[16];
	struct words words;

	begin(&words, PG_DATA_ROW);
	put_u16(&words, 2);
	if (asked->binary) {
		put_u32(&words, 4);
		put_u32(&words, key);
	} else {
		put_u32(&words, (uint32_t)snprintf(text, sizeof(text), "%d",
		    (int)key));
		put(&words, text, strlen(text));
	}
	put_u32(&words, asked->size);
	for (uint32_t i = 0; i < asked->size; i++)
		put_u8(&words, stream_byte(~key, row * asked->size + i));
	return tell(backend, &words);
}

static int
run_get(struct backend *backend, const struct asked *asked)
{
	char tag[32];
	int rc = 0;

	check_transaction(backend, asked);
	if (backend->state == 'E')
		return refuse(backend, "25P02", "the transaction has failed");
	for (uint32_t i = 0; rc == 0 && i < asked->rows; i++) {
		rc = take_time(backend);
		if (rc == 0)
			rc = tell_row(backend, asked, i);
	}
	if (rc != 0)
		return rc;
	do_uncommitted(backend, asked->key);
	snprintf(tag, sizeof(tag), "SELECT %u", asked->rows);
	return tell_tag(backend, tag);
}

static int
run_fail(struct backend *backend, const struct asked *asked)
{
	char text[40];

	check_transaction(backend, asked);
	if (take_time(backend) != 0)
		return backend->failed ? 0 : -1;
	snprintf(text, sizeof(text), "%u fails", key_told(backend,
	    asked->key));
	return refuse(backend, "P0001", text);
}

static int
run_begin(struct backend *backend, uint32_t key)
{
	if (backend->state != 'I' && !backend->stray)
		broken("transaction %u begins within %u", key,
		    backend->transaction);
	backend->state = 'T';
	backend->transaction = key;
	backend->stray |= key == STRAY_KEY;
	return tell_tag(backend, "BEGIN");
}

static int
run_end(struct backend *backend, bool commits, uint32_t key)
{
	const bool done = commits && backend->state == 'T';

	if (commits && key != backend->transaction)
		broken("transaction %u ends %u", key, backend->transaction);
	backend->state = 'I';
	backend->transaction = 0;
	return tell_tag(backend, done ? "COMMIT" : "ROLLBACK");
}

/* ---- COPY ---- */

/* Parks. A piece of it: 1; 0: that was all, or negative. */
static int
take_piece(struct backend *backend, uint32_t key, uint32_t *got)
{
	int rc = take_message(backend);

	if (rc <= 0)
		return -1;
	if (backend->message.type != PG_COPY_DATA)
		return 0;
	for (size_t i = 0; i < backend->message.size; i++) {
		if (backend->message.data[i] != stream_byte(key, *got + i))
			broken("byte %u of copy %u is wrong",
			    (unsigned)(*got + i), key);
	}
	*got += (uint32_t)backend->message.size;
	return 1;
}

static int
copy_in(struct backend *backend, uint32_t key, uint32_t size)
{
	struct words words;
	uint32_t got = 0;
	int rc;

	begin(&words, PG_COPY_IN);
	put_u8(&words, 0);
	put_u16(&words, 0);
	if (tell(backend, &words) < 0)
		return -1;
	/* What comes behind an error is skipped. */
	if (peer_draw(8) == 0)
		return refuse(backend, "22P04", "that makes no sense");
	do
		rc = take_piece(backend, key, &got);
	while (rc > 0 && !backend->process->cancelled);
	if (rc < 0)
		return rc;
	if (backend->message.type == 'X')
		return -1;
	if (rc > 0 || backend->message.type == 'f')
		return refuse(backend, "57014", "the copy was given up");
	if (backend->message.type != 'c' || got != size)
		broken("copy %u has %u of %u bytes", key, got, size);
	snprintf((char *)backend->data, sizeof(backend->data), "COPY %u",
	    size);
	return tell_tag(backend, (char *)backend->data);
}

static int
copy_out(struct backend *backend, uint32_t key, uint32_t size)
{
	struct words words;
	uint32_t at = 0;
	int rc;

	begin(&words, PG_COPY_OUT);
	put_u8(&words, 0);
	put_u16(&words, 0);
	rc = tell(backend, &words);
	while (rc == 0 && at < size) {
		const uint32_t most = size - at < PIECE_MAX ? size - at :
		    PIECE_MAX;
		const uint32_t end = at + 1 + peer_draw(most);

		rc = take_time(backend);
		if (rc != 0)
			return rc;
		begin(&words, PG_COPY_DATA);
		for (; at < end; at++)
			put_u8(&words, stream_byte(~key, at));
		rc = tell(backend, &words);
	}
	if (rc < 0 || tell_type(backend, PG_COPY_DONE) < 0)
		return -1;
	return tell_tag(backend, "COPY 1");
}

/* ---- Simple statements ---- */

static int
notify(struct backend *backend, uint32_t key)
{
	char text[24];
	struct words words;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < NOTES; i++) {
		if (peer_draw(4) == 0)
			rc = pause_for(backend->conn, peer_draw(5));
		begin(&words, PG_NOTIFICATION);
		put_u32(&words, backend->process->id);
		snprintf(text, sizeof(text), "%u", key);
		put_text(&words, text);
		snprintf(text, sizeof(text), "%u", i);
		put_text(&words, text);
		if (rc == 0)
			rc = tell(backend, &words);
	}
	return rc;
}

static int
run_setting(struct backend *backend, bool sets, uint32_t key)
{
	if (!sets && key != backend->setting)
		broken("a session has the setting %u, and not %u",
		    backend->setting, key);
	backend->setting = key;
	return tell_tag(backend, sets ? "SET" : "SHOW");
}

/* What is done for who comes next. 1: it is something else. */
static int
run_reset(struct backend *backend, const char *sql)
{
	static const char *const words[] = { "CLOSE", "SET SESSION",
		"RESET", "UNLISTEN", "SELECT pg_advisory_unlock_all()",
		"DISCARD" };
	unsigned i = 0;

	while (i < COUNT(words) &&
	    strncmp(sql, words[i], strlen(words[i])) != 0)
		i++;
	if (i == COUNT(words))
		return 1;
	if (strcmp(sql, "RESET ALL") == 0)
		backend->setting = 0;
	return tell_tag(backend, words[i]);
}

/* Parks. One statement of a text. Beyond its end, what it still has to say. */
static int
run_simple(struct backend *backend, const char *sql, uint32_t *listens)
{
	struct asked asked = { .sql = "" };
	uint32_t variant, key, size;
	int rc;

	sql += strspn(sql, " ");
	rc = run_reset(backend, sql);
	if (rc <= 0)
		return rc;
	if (sscanf(sql, "set %u", &key) == 1 ||
	    sscanf(sql, "show %u", &key) == 1)
		return run_setting(backend, sql[1] == 'e', key);
	if (sscanf(sql, "select %u %u %u %u %u", &variant, &asked.key,
	    &asked.size, &asked.rows, &asked.transaction) == 5) {
		if (asked.size > ROW_MAX)
			broken("a statement is not what was sent: %s", sql);
		snprintf(asked.sql, sizeof(asked.sql), "select %u", variant);
		return tell_columns(backend, &asked) < 0 ? -1 :
		    run_get(backend, &asked);
	}
	if (sscanf(sql, "copy %u %u", &key, &size) == 2)
		return strstr(sql, "stdin") != NULL ?
		    copy_in(backend, key, size) : copy_out(backend, key, size);
	if (sscanf(sql, "begin %u", &key) == 1)
		return run_begin(backend, key);
	if (sscanf(sql, "commit %u", &key) == 1)
		return run_end(backend, true, key);
	if (strcasecmp(sql, "rollback") == 0)
		return run_end(backend, false, 0);
	if (sscanf(sql, "LISTEN \"%u\"", listens) == 1)
		return tell_tag(backend, "LISTEN");
	broken("a statement is not what was sent: %s", sql);
}

static int
query(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	char text[4 * TEXT_MAX], *at = text, *sql;
	uint32_t listens = 0;
	int rc = 0;

	snprintf(text, sizeof(text), "%s", torc_pg_take_string(&cursor));
	expect_end(&cursor);
	while (rc == 0 && !backend->failed &&
	    (sql = strsep(&at, ";")) != NULL)
		rc = run_simple(backend, sql, &listens);
	if (rc < 0 || tell_ready(backend) < 0)
		return -1;
	return listens == 0 ? 0 : notify(backend, listens);
}

/* ---- Prepared ones ---- */

static struct prepared *
find_prepared(struct backend *backend, const char *name)
{
	for (unsigned i = 0; i < PREPARED; i++) {
		if (strcmp(backend->prepared[i].name, name) == 0)
			return &backend->prepared[i];
	}
	return NULL;
}

/* Whether a statement of this name was to be prepared, and skipped. */
static bool *
skipped(struct backend *backend, const char *name)
{
	unsigned number;

	if (sscanf(name, "t%*[0-9a-f]_%*[0-9a-f]_%x", &number) != 1)
		broken("a statement is called %s", name);
	return &backend->skipped[number % NAMES];
}

/* A batch has failed before this. */
static void
skip(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);

	if (backend->message.type == 'P')
		*skipped(backend, torc_pg_take_string(&cursor)) = true;
}

static int
parse(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	const char *name = torc_pg_take_string(&cursor);
	const char *sql = torc_pg_take_string(&cursor);
	struct prepared *prepared = find_prepared(backend, "");

	if (find_prepared(backend, name) != NULL)
		broken("a statement is prepared twice");
	if (prepared == NULL)
		broken("%u statements are kept prepared", PREPARED);
	snprintf(prepared->name, sizeof(prepared->name), "%s", name);
	snprintf(prepared->sql, sizeof(prepared->sql), "%s", sql);
	prepared->fresh = true;
	return tell_type(backend, PG_PARSE_COMPLETE);
}

static bool
has_rows(const char *sql)
{
	return strncmp(sql, "select ", 7) == 0;
}

static int
describe(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	const uint8_t kind = torc_pg_take_u8(&cursor);
	const char *portal = torc_pg_take_string(&cursor);

	expect_end(&cursor);
	if (kind != 'P' || portal[0] != '\0')
		broken("something else than what was bound is described");
	return has_rows(backend->bound.sql) ?
	    tell_columns(backend, &backend->bound) :
	    tell_type(backend, PG_NO_DATA);
}

/* The parameters, of which the last may be bytes of the stream KEY. */
static void
read_params(struct pg_cursor *cursor, struct asked *asked)
{
	uint32_t *numbers[] = { &asked->key, &asked->size, &asked->rows,
		&asked->transaction };
	unsigned formats = torc_pg_take_u16(cursor), count;

	torc_pg_take(cursor, 2u * formats);
	count = torc_pg_take_u16(cursor);
	for (unsigned i = 0; i < count; i++) {
		const uint32_t size = torc_pg_take_u32(cursor);
		struct torc_slice value;

		if (i < COUNT(numbers)) {
			*numbers[i] = torc_pg_take_u32(cursor);
			continue;
		}
		value = torc_pg_take(cursor, size);
		for (uint32_t j = 0; j < value.size; j++) {
			if (value.data[j] != stream_byte(asked->key, j))
				broken("a parameter is not what was sent");
		}
	}
	formats = torc_pg_take_u16(cursor);
	asked->binary = formats == 1 && torc_pg_take_u16(cursor) == 1;
	if (count > PARAMS || asked->size > ROW_MAX)
		broken("parameters are not what was sent");
}

/* Now and then a statement is forgotten, or so it says: but not one that was
 * prepared just before. */
static bool
forgets(const struct backend *backend, const struct prepared *prepared)
{
	return backend->state == 'I' && !prepared->fresh &&
	    peer_draw(8) == 0;
}

static int
bind_prepared(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	const char *portal = torc_pg_take_string(&cursor);
	const char *name = torc_pg_take_string(&cursor);
	struct prepared *prepared = find_prepared(backend, name);

	if (prepared == NULL && *skipped(backend, name))
		return refuse(backend, "26000", "it was never prepared");
	if (prepared == NULL || portal[0] != '\0')
		broken("a statement is bound that is not prepared");
	memset(&backend->bound, 0, sizeof(backend->bound));
	strcpy(backend->bound.sql, prepared->sql);
	read_params(&cursor, &backend->bound);
	expect_end(&cursor);
	if (forgets(backend, prepared))
		return refuse(backend, "26000", "there is no such statement");
	return tell_type(backend, PG_BIND_COMPLETE);
}

static int
execute(struct backend *backend)
{
	const struct asked *asked = &backend->bound;

	if (has_rows(asked->sql))
		return run_get(backend, asked);
	if (strcmp(asked->sql, "update") == 0)
		return run_fail(backend, asked);
	if (strcmp(asked->sql, "stray") == 0)
		return run_begin(backend, asked->key);
	broken("a statement is not what was sent: %s", asked->sql);
}

static int
close_prepared(struct backend *backend)
{
	struct pg_cursor cursor = torc_pg_open(&backend->message);
	const uint8_t kind = torc_pg_take_u8(&cursor);
	const char *name = torc_pg_take_string(&cursor);
	struct prepared *prepared = find_prepared(backend, name);

	expect_end(&cursor);
	if (prepared == NULL && *skipped(backend, name))
		return tell_type(backend, PG_CLOSE_COMPLETE);
	if (kind != 'S' || prepared == NULL)
		broken("a statement is closed that is not prepared");
	memset(prepared, 0, sizeof(*prepared));
	return tell_type(backend, PG_CLOSE_COMPLETE);
}

/* ---- A connection ---- */

static int
carry_out(struct backend *backend)
{
	const uint8_t type = backend->message.type;

	if (type == 'S')
		return tell_ready(backend);
	/* Of a COPY that has failed, or a statement. */
	if (backend->failed || type == 'd' || type == 'c' || type == 'f') {
		skip(backend);
		return 0;
	}
	backend->process->busy = true;
	switch (type) {
	case 'Q':
		return query(backend);
	case 'P':
		return parse(backend);
	case 'D':
		return describe(backend);
	case 'B':
		return bind_prepared(backend);
	case 'E':
		return execute(backend);
	case 'C':
		return close_prepared(backend);
	default:
		broken("a message of type '%c' comes", type);
	}
}

/* Parks. Why it goes, or not a word. */
static int
break_off(struct backend *backend)
{
	if (peer_draw(2) == 0 && send_report(backend, PG_ERROR, "FATAL",
	    "57P01", "the server goes") == 0)
		torc_conn_flush(backend->conn, LATER);
	return -1;
}

static int
converse(struct backend *backend)
{
	while (take_message(backend) > 0) {
		const uint32_t manner = backend->unruly ? peer_draw(128) : 128;

		if (backend->message.type == 'X')
			return TORC_CLOSE;
		if (mute || manner == 0)
			return fall_silent(backend->conn);
		if (dead || manner == 1)
			return break_off(backend);
		if (carry_out(backend) < 0)
			return -1;
	}
	return -1;
}

static struct process *
new_process(void)
{
	const uint32_t id = ++last_process;
	struct process *process = &processes[id % PROCESSES];

	*process = (struct process) { .id = id, .secret = peer_draw(1u << 30) };
	return process;
}

static int
serve(struct torc_conn *conn, bool unruly, bool at_once)
{
	struct backend backend = {
		.source = { .conn = conn, .deadline = TORC_NEVER },
		.conn = conn,
		.process = new_process(),
		.unruly = unruly,
		.state = 'I',
	};
	int rc = take_startup(&backend);

	if (rc <= 0)
		return rc == 0 ? TORC_CLOSE : -1;
	if (mute)
		return fall_silent(conn);
	if (dead)
		return break_off(&backend);
	return let_in(&backend, at_once) < 0 ? -1 : converse(&backend);
}

int
serve_pg(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, false, false);
}

int
serve_pg_at_once(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, false, true);
}

int
serve_pg_badly(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, true, false);
}
