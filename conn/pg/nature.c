/* SPDX-License-Identifier: MIT */
/*
 * nature.c - what nature.h says: by the words of a text. They are separated as
 * the server does it, with its comments and quotes; its grammar is not known.
 */
#include "conn/pg/nature.h"

#include <stddef.h>
#include <string.h>

#include "conn/pg/text.h"

enum kind {
	END,
	WORD,			/* without quotes */
	SYMBOL,			/* one character */
	OTHER,			/* something quoted, a number, a parameter */
};

struct scan {
	const char *at;		/* behind the token */
	enum kind kind;
	const char *token;
	size_t size;
};

/* ---- Tokens ---- */

static bool
is_digit(char character)
{
	return character >= '0' && character <= '9';
}

static bool
begins_word(char character)
{
	return (character >= 'a' && character <= 'z') ||
	    (character >= 'A' && character <= 'Z') || character == '_' ||
	    (unsigned char)character >= 0x80;
}

static bool
goes_on_word(char character)
{
	return begins_word(character) || character == '$' ||
	    is_digit(character);
}

/* They may lie within each other. */
static const char *
skip_comment(const char *at)
{
	unsigned depth = 0;

	do {
		if (strncmp(at, "/*", 2) == 0) {
			depth++;
			at += 2;
		} else if (strncmp(at, "*/", 2) == 0) {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (depth > 0 && *at != '\0');
	return at;
}

static const char *
skip_space(const char *at)
{
	for (;;) {
		at += strspn(at, " \t\n\r\f\v");
		if (strncmp(at, "--", 2) == 0)
			at += strcspn(at, "\r\n");
		else if (strncmp(at, "/*", 2) == 0)
			at = skip_comment(at);
		else
			return at;
	}
}

/* Behind the quote that ends what this one begins. A doubled one does not. */
static const char *
skip_quoted(const char *at, bool escapes)
{
	const char quote = *at++;

	for (; *at != '\0'; at++) {
		if (escapes && *at == '\\' && at[1] != '\0')
			at++;
		else if (*at == quote && at[1] == quote)
			at++;
		else if (*at == quote)
			return at + 1;
	}
	return at;
}

/* Returns the place after $tag$ ... $tag$, or `at` itself if there is none. */
static const char *
skip_dollars(const char *at)
{
	const char *end = at + 1;
	size_t size;

	if (*end != '$' && !begins_word(*end))
		return at;
	while (*end != '$' && goes_on_word(*end))
		end++;
	if (*end != '$')
		return at;
	size = (size_t)(end - at) + 1;
	for (end++; *end != '\0'; end++)
		if (strncmp(end, at, size) == 0)
			return end + size;
	return end;
}

/*
 * Skip what is neither a word nor a symbol. Returns the place after it, or
 * `at`.
 */
static const char *
skip_other(const char *at)
{
	if (*at == '\'' || *at == '"')
		return skip_quoted(at, false);
	if ((*at == 'e' || *at == 'E') && at[1] == '\'')
		return skip_quoted(at + 1, true);
	if (*at == '$')
		at = skip_dollars(at);
	if (*at == '$' && is_digit(at[1]))
		at++;
	while (is_digit(*at) || (*at == '.' &&
	    is_digit(at[1])))
		at++;
	return at;
}

static void
advance(struct scan *scan)
{
	const char *at = skip_space(scan->at);

	scan->token = at;
	scan->at = skip_other(at);
	scan->kind = OTHER;
	if (scan->at == at && *at == '\0') {
		scan->kind = END;
	} else if (scan->at == at && begins_word(*at)) {
		while (goes_on_word(*scan->at))
			scan->at++;
		scan->kind = WORD;
	} else if (scan->at == at) {
		scan->at++;
		scan->kind = SYMBOL;
	}
	scan->size = (size_t)(scan->at - at);
}

static bool
is_word(const struct scan *scan, const char *word)
{
	return scan->kind == WORD && scan->size == strlen(word) &&
	    torc_pg_same_letters(scan->token, word, scan->size);
}

static bool
is_symbol(const struct scan *scan, char symbol)
{
	return scan->kind == SYMBOL && *scan->token == symbol;
}

/* Words, separated by spaces. */
static bool
is_one_of(const struct scan *scan, const char *words)
{
	while (*words != '\0') {
		const size_t size = strcspn(words, " ");

		if (scan->kind == WORD && scan->size == size &&
		    torc_pg_same_letters(scan->token, words, size))
			return true;
		words += size + (words[size] == ' ');
	}
	return false;
}

/* Whether one of the words follows, outside of parentheses. */
static bool
has_word(struct scan scan, const char *words)
{
	int depth = 0;

	while (scan.kind != END) {
		depth += is_symbol(&scan, '(') - is_symbol(&scan, ')');
		if (depth == 0 && is_one_of(&scan, words))
			return true;
		advance(&scan);
	}
	return false;
}

static bool
next_is(struct scan scan, const char *words)
{
	advance(&scan);
	return is_one_of(&scan, words);
}

/* A name that may stand in quotes, and is in small letters then. */
static bool
is_name(const struct scan *scan, const char *name)
{
	return is_word(scan, name) || (scan->kind == OTHER &&
	    *scan->token == '"' && scan->size == strlen(name) + 2 &&
	    memcmp(scan->token + 1, name, scan->size - 2) == 0);
}

/* 'text', just so. */
static bool
is_string(const struct scan *scan, const char *text)
{
	return scan->kind == OTHER && *scan->token == '\'' &&
	    scan->size == strlen(text) + 2 &&
	    memcmp(scan->token + 1, text, scan->size - 2) == 0;
}

/* ---- What stays in a session ---- */

/* Whether an argument's name or a comma precedes. */
static bool
begins_argument(const struct scan *before, const struct scan *last)
{
	return is_symbol(last, ',') || (is_symbol(before, '=') &&
	    is_symbol(last, '>')) || (is_symbol(before, ':') &&
	    is_symbol(last, '='));
}

/* set_config(name, value, true) is for this transaction. */
static bool
is_local(struct scan scan)
{
	struct scan before = scan, last = scan, earlier;
	int depth = 0;

	do {
		earlier = before;
		before = last;
		last = scan;
		advance(&scan);
		depth += is_symbol(&scan, '(') - is_symbol(&scan, ')');
	} while (depth > 0 && scan.kind != END);
	return is_word(&last, "true") && begins_argument(&earlier, &before);
}

static bool
calls_what_stays(struct scan scan)
{
	static const char *const names[] = { "pg_advisory_lock",
		"pg_try_advisory_lock", "pg_advisory_lock_shared",
		"pg_try_advisory_lock_shared" };
	bool stays = false;

	if (*skip_space(scan.at) != '(')
		return false;
	if (is_name(&scan, "set_config"))
		return !is_local(scan);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		stays |= is_name(&scan, names[i]);
	return stays;
}

/*
 * Whether an object of the session comes next: "temp table x", or a name in its
 * schema.
 */
static bool
is_temporary(struct scan scan)
{
	if (is_one_of(&scan, "local global"))
		advance(&scan);
	return is_one_of(&scan, "temp temporary") ||
	    (is_name(&scan, "pg_temp") && *skip_space(scan.at) == '.');
}

/*
 * "select into temp" creates a table of the session; "insert into temp" uses
 * one of that name.
 */
static bool
makes_what_stays(struct scan scan)
{
	bool inserts = false;

	for (; scan.kind != END; advance(&scan)) {
		struct scan next = scan;

		advance(&next);
		if ((is_word(&scan, "into") && !inserts &&
		    is_temporary(next)) || calls_what_stays(scan))
			return true;
		inserts = is_one_of(&scan, "insert merge");
	}
	return false;
}

/* ---- What reads or changes rows ---- */

static unsigned
of_rows(struct scan scan)
{
	return PG_UNDOABLE | (makes_what_stays(scan) ? PG_STAYS : 0u);
}

/* A statement with an argument: a call, or a prepared statement. */
static unsigned
of_call(struct scan scan)
{
	return makes_what_stays(scan) ? PG_STAYS : 0;
}

/* ---- What does something else ---- */

/* Behind "create": of a function, the text is not run. */
static bool
creates_what_stays(struct scan scan)
{
	struct scan all = scan;
	int depth = 0;

	if (is_word(&scan, "or")) {
		advance(&scan);
		advance(&scan);
	}
	if (is_temporary(scan))
		return true;
	for (; all.kind != END; advance(&all)) {
		depth += is_symbol(&all, '(') - is_symbol(&all, ')');
		if (depth == 0 && is_name(&all, "pg_temp") &&
		    *skip_space(all.at) == '.')
			return true;
	}
	return is_one_of(&scan, "table unlogged materialized index unique") &&
	    makes_what_stays(scan);
}

static unsigned
of_definition(struct scan scan)
{
	struct scan next = scan;
	unsigned nature = has_word(scan, "concurrently database tablespace "
	    "system subscription") ? 0 : PG_UNDOABLE;

	advance(&next);
	if (is_word(&scan, "create") ? creates_what_stays(next) :
	    is_word(&scan, "alter") && makes_what_stays(next))
		nature = PG_STAYS;
	return nature;
}

/* With "analyze" it is run, too. */
static unsigned
of_explanation(struct scan scan)
{
	const struct scan first = scan;
	bool runs = false;

	for (; scan.kind != END; advance(&scan)) {
		runs |= is_one_of(&scan, "analyze analyse");
		if (runs && is_word(&scan, "create"))
			return of_definition(scan) & PG_STAYS;
	}
	return runs && makes_what_stays(first) ? PG_STAYS : 0;
}

/*
 * Whether a transaction ends: a rollback to a savepoint does not end it, and
 * neither does a statement about a prepared one.
 */
static unsigned
of_end(struct scan scan)
{
	if (has_word(scan, "to prepared"))
		return 0;
	if (!has_word(scan, "chain") || has_word(scan, "no"))
		return PG_ENDS;
	return PG_ENDS | PG_BEGINS;
}

static unsigned
of_setting(struct scan scan)
{
	return next_is(scan, "local transaction constraints") ? PG_PASSES :
	    PG_STAYS;
}

static unsigned
of_preparing(struct scan scan)
{
	return next_is(scan, "transaction") ? PG_ENDS : PG_STAYS;
}

static unsigned
of_cursor(struct scan scan)
{
	return makes_what_stays(scan) || (has_word(scan, "hold") &&
	    !has_word(scan, "without")) ? PG_STAYS : PG_UNDOABLE;
}

static unsigned
of_copy(struct scan scan)
{
	return has_word(scan, "stdin stdout") ? PG_COPIES :
	    makes_what_stays(scan) ? PG_STAYS : PG_UNDOABLE;
}

/* Of a block, what begins here. */
static unsigned
of_step(struct scan scan)
{
	struct scan next = scan;

	advance(&next);
	if (is_word(&scan, "execute"))
		return PG_HIDES;
	if (is_word(&scan, "create"))
		return creates_what_stays(next) ? PG_STAYS : 0;
	if (is_word(&scan, "set"))
		return is_one_of(&next, "local transaction constraints") ? 0 :
		    PG_STAYS;
	return is_one_of(&scan, "reset listen unlisten deallocate discard "
	    "load prepare") ? PG_STAYS : 0;
}

/* Where the text in quotes begins. */
static const char *
within_quotes(const struct scan *scan)
{
	const char *at = scan->token;

	if (*at == '$' && strchr(at + 1, '$') != NULL)
		at = strchr(at + 1, '$');
	else if (*at != '\'')
		at++;
	return at + 1;
}

/* Of a block in the usual language. Behind its end, all is in quotes. */
static unsigned
of_steps(struct scan scan)
{
	unsigned nature = 0;
	bool begins = false;

	for (advance(&scan); scan.kind != END; advance(&scan)) {
		if (begins)
			nature |= of_step(scan);
		if (calls_what_stays(scan))
			nature |= PG_STAYS;
		begins = is_symbol(&scan, ';') ||
		    is_one_of(&scan, "begin then else loop");
	}
	return nature & PG_STAYS ? PG_STAYS : nature;
}

/* "do language x $$ block $$", with the language on either side. */
static unsigned
of_block(struct scan scan)
{
	struct scan block = { .at = "" };

	while (scan.kind != END) {
		const bool language = is_word(&scan, "language");

		advance(&scan);
		if (language && !is_name(&scan, "plpgsql") &&
		    !is_string(&scan, "plpgsql"))
			return PG_HIDES;
		if (!language && scan.kind == OTHER &&
		    strchr("$'eE", *scan.token) != NULL)
			block.at = within_quotes(&scan);
	}
	return of_steps(block);
}

static unsigned
of_beginning(struct scan scan)
{
	(void)scan;
	return PG_BEGINS;
}

static unsigned
of_what_stays(struct scan scan)
{
	(void)scan;
	return PG_STAYS;
}

unsigned
torc_pg_nature_of(const char *sql)
{
	static const struct {
		const char *words;
		unsigned (*look)(struct scan scan);
	} kinds[] = {
		{ "select insert update delete with merge values table",
		    of_rows },
		{ "create alter drop truncate grant revoke comment",
		    of_definition },
		{ "begin start", of_beginning },
		{ "commit end rollback abort", of_end },
		{ "set", of_setting },
		{ "prepare", of_preparing },
		{ "declare", of_cursor },
		{ "copy", of_copy },
		{ "explain", of_explanation },
		{ "call execute", of_call },
		{ "do", of_block },
		{ "reset listen unlisten deallocate discard load",
		    of_what_stays },
	};
	struct scan scan = { .at = sql };

	do
		advance(&scan);
	while (is_symbol(&scan, ';') || is_symbol(&scan, '('));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (is_one_of(&scan, kinds[i].words))
			return kinds[i].look(scan);
	return 0;
}

bool
torc_pg_commits(const char *sql, unsigned index)
{
	struct scan scan = { .at = sql };

	for (advance(&scan); scan.kind != END; advance(&scan)) {
		if (is_symbol(&scan, ';'))
			continue;
		if (index-- == 0)
			return is_one_of(&scan, "commit end") ||
			    (is_word(&scan, "prepare") &&
			    next_is(scan, "transaction"));
		while (scan.kind != END && !is_symbol(&scan, ';'))
			advance(&scan);
	}
	return false;
}

bool
torc_pg_tag_stays(const char *tag)
{
	static const char *const tags[] = { "SET", "RESET", "LISTEN",
		"UNLISTEN", "PREPARE", "DEALLOCATE", "DEALLOCATE ALL", "LOAD",
		"DISCARD", "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP",
		"DISCARD SEQUENCES" };

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strcmp(tag, tags[i]) == 0)
			return true;
	return false;
}
