/*
 * nature.c - what nature.h says: by the words of a text. They are separated as
 * the server does it, with its comments and quotes; its grammar is not known.
 */
#include "conn/pg/nature.h"

#include <stdbool.h>
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

/* Behind $tag$ ... $tag$; `at` itself if that is none. */
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

/* What is neither a word nor a symbol: behind it, or `at`. */
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
	    pg_same_letters(scan->token, word, scan->size);
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
		    pg_same_letters(scan->token, words, size))
			return true;
		words += size + (words[size] == ' ');
	}
	return false;
}

/* Whether one of the words comes, outside of parentheses. */
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

/* ---- What reads or changes rows ---- */

/* set_config(name, value, true) is for this transaction. */
static bool
is_local(struct scan scan)
{
	struct scan last = scan;
	int depth = 0;

	do {
		last = scan;
		advance(&scan);
		depth += is_symbol(&scan, '(') - is_symbol(&scan, ')');
	} while (depth > 0 && scan.kind != END);
	return is_word(&last, "true");
}

static bool
calls_what_stays(struct scan scan)
{
	const bool sets = is_word(&scan, "set_config");

	if (!sets && !is_one_of(&scan, "pg_advisory_lock pg_try_advisory_lock "
	    "pg_advisory_lock_shared pg_try_advisory_lock_shared"))
		return false;
	return *skip_space(scan.at) == '(' && !(sets && is_local(scan));
}

/* "select into temp" makes a table of the session's; "insert into temp" has
 * one of that name. */
static unsigned
of_rows(struct scan scan)
{
	bool inserts = false;

	for (; scan.kind != END; advance(&scan)) {
		if (is_word(&scan, "into") && !inserts) {
			if (next_is(scan, "local global"))
				advance(&scan);
			if (next_is(scan, "temp temporary"))
				return PG_UNDOABLE | PG_STAYS;
		}
		if (scan.kind == WORD && calls_what_stays(scan))
			return PG_UNDOABLE | PG_STAYS;
		inserts = is_one_of(&scan, "insert merge");
	}
	return PG_UNDOABLE;
}

/* ---- What does something else ---- */

static unsigned
of_definition(struct scan scan)
{
	const struct scan first = scan;

	if (is_word(&scan, "create")) {
		if (next_is(scan, "or")) {
			advance(&scan);
			advance(&scan);
		}
		if (next_is(scan, "local global"))
			advance(&scan);
		if (next_is(scan, "temp temporary"))
			return PG_STAYS;
	}
	return has_word(first, "concurrently database tablespace system "
	    "subscription") ? 0 : PG_UNDOABLE;
}

/* Of a transaction: rollback to a savepoint is none, nor is what concerns one
 * that was prepared. */
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
	return has_word(scan, "hold") && !has_word(scan, "without") ?
	    PG_STAYS : PG_UNDOABLE;
}

static unsigned
of_copy(struct scan scan)
{
	return has_word(scan, "stdin stdout") ? PG_COPIES : PG_UNDOABLE;
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
pg_nature_of(const char *sql)
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

int
pg_tag_stays(const char *tag)
{
	static const char *const tags[] = { "SET", "RESET", "LISTEN",
		"UNLISTEN", "PREPARE", "DEALLOCATE", "DEALLOCATE ALL", "LOAD",
		"DISCARD", "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP",
		"DISCARD SEQUENCES" };

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strcmp(tag, tags[i]) == 0)
			return 1;
	return 0;
}
