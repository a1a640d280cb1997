/* SPDX-License-Identifier: MIT */
/*
 * commands.c - what the client must know about commands: which ones need a
 * connection of their own, and where their keys are.
 */
#include <string.h>

#include "conn/redis/redis.h"

#define NAME_SIZE 16u		/* more than any has */

/* Source: https://redis.io/docs/latest/commands/. Sorted. */
static const struct {
	char name[NAME_SIZE];
	unsigned flags;
	int key;		/* its place; 0: none; -1: behind a count at 1,
				 * -2: at 2; -3: behind STREAMS */
} special[] = {
	{ "ACL", 0, 0 },
	{ "ASKING", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "AUTH", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "BGREWRITEAOF", 0, 0 },
	{ "BGSAVE", 0, 0 },
	{ "BITOP", 0, 2 },
	{ "BLMOVE", COMMAND_STATEFUL, 1 },
	{ "BLMPOP", COMMAND_STATEFUL, -2 },
	{ "BLPOP", COMMAND_STATEFUL, 1 },
	{ "BRPOP", COMMAND_STATEFUL, 1 },
	{ "BRPOPLPUSH", COMMAND_STATEFUL, 1 },
	{ "BZMPOP", COMMAND_STATEFUL, -2 },
	{ "BZPOPMAX", COMMAND_STATEFUL, 1 },
	{ "BZPOPMIN", COMMAND_STATEFUL, 1 },
	{ "CLIENT", 0, 0 },
	{ "CLUSTER", 0, 0 },
	{ "COMMAND", 0, 0 },
	{ "CONFIG", 0, 0 },
	{ "DBSIZE", 0, 0 },
	{ "DEBUG", 0, 0 },
	{ "DISCARD", COMMAND_STATEFUL | COMMAND_ENDS, 0 },
	{ "ECHO", 0, 0 },
	{ "EVAL", 0, -2 },
	{ "EVALSHA", 0, -2 },
	{ "EVALSHA_RO", 0, -2 },
	{ "EVAL_RO", 0, -2 },
	{ "EXEC", COMMAND_STATEFUL | COMMAND_ENDS, 0 },
	{ "FAILOVER", 0, 0 },
	{ "FCALL", 0, -2 },
	{ "FCALL_RO", 0, -2 },
	{ "FLUSHALL", 0, 0 },
	{ "FLUSHDB", 0, 0 },
	{ "FUNCTION", 0, 0 },
	{ "HELLO", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "INFO", 0, 0 },
	{ "KEYS", 0, 0 },
	{ "LASTSAVE", 0, 0 },
	{ "LATENCY", 0, 0 },
	{ "LMPOP", 0, -1 },
	{ "LOLWUT", 0, 0 },
	{ "MEMORY", 0, 2 },
	{ "MIGRATE", 0, 3 },
	{ "MODULE", 0, 0 },
	{ "MONITOR", COMMAND_FOREIGN, 0 },
	{ "MULTI", COMMAND_STATEFUL | COMMAND_BEGINS, 0 },
	{ "OBJECT", 0, 2 },
	{ "PING", 0, 0 },
	{ "POST", COMMAND_FATAL, 0 },
	{ "PSUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "PSYNC", COMMAND_FOREIGN, 0 },
	{ "PUBLISH", 0, 0 },
	{ "PUBSUB", 0, 0 },
	{ "PUNSUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "QUIT", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "RANDOMKEY", 0, 0 },
	{ "READONLY", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "READWRITE", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "REPLCONF", COMMAND_FOREIGN, 0 },
	{ "REPLICAOF", 0, 0 },
	{ "RESET", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "ROLE", 0, 0 },
	{ "SAVE", 0, 0 },
	{ "SCAN", 0, 0 },
	{ "SCRIPT", 0, 0 },
	{ "SELECT", COMMAND_STATEFUL | COMMAND_ALTERS, 0 },
	{ "SHUTDOWN", 0, 0 },
	{ "SINTERCARD", 0, -1 },
	{ "SLAVEOF", 0, 0 },
	{ "SLOWLOG", 0, 0 },
	{ "SSUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "SUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "SUNSUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "SWAPDB", 0, 0 },
	{ "SYNC", COMMAND_FOREIGN, 0 },
	{ "TIME", 0, 0 },
	{ "UNSUBSCRIBE", COMMAND_FOREIGN, 0 },
	{ "UNWATCH", COMMAND_STATEFUL | COMMAND_ENDS, 0 },
	{ "WAIT", COMMAND_STATEFUL, 0 },
	{ "WAITAOF", COMMAND_STATEFUL, 0 },
	{ "WATCH", COMMAND_STATEFUL | COMMAND_BEGINS, 1 },
	{ "XGROUP", 0, 2 },
	{ "XINFO", 0, 2 },
	{ "XREAD", 0, -3 },
	{ "XREADGROUP", 0, -3 },
	{ "ZDIFF", 0, -1 },
	{ "ZINTER", 0, -1 },
	{ "ZINTERCARD", 0, -1 },
	{ "ZMPOP", 0, -1 },
	{ "ZUNION", 0, -1 },
};

#define SPECIAL (sizeof(special) / sizeof(special[0]))

static uint8_t
upper(uint8_t letter)
{
	return letter >= 'a' && letter <= 'z' ? letter & 0xdf : letter;
}

/* Whether a word is this name, which is in upper case. */
static bool
is(const struct torc_slice *word, const char *name)
{
	if (word->size != strlen(name))
		return false;
	for (size_t i = 0; i < word->size; i++) {
		if (upper(word->data[i]) != (uint8_t)name[i])
			return false;
	}
	return true;
}

/* Names in upper case, with zeros behind, order as these numbers do. */
static uint64_t
eight_letters(const char *letters)
{
	uint8_t bytes[8];

	/* In this form, compilers load it at once. */
	memcpy(bytes, letters, sizeof(bytes));
	return (uint64_t)bytes[0] << 56 | (uint64_t)bytes[1] << 48 |
	    (uint64_t)bytes[2] << 40 | (uint64_t)bytes[3] << 32 |
	    (uint64_t)bytes[4] << 24 | (uint64_t)bytes[5] << 16 |
	    (uint64_t)bytes[6] << 8 | bytes[7];
}

/*
 * Returns the place of a word in the table, or -1. Each command is looked up,
 * so this must be quick. No two names begin with the same eight letters. The
 * last name that is not after the word is found in the same number of steps for
 * all, without a branch.
 */
static int
look_up(const struct torc_slice *word)
{
	size_t at = 0;
	uint64_t wanted = 0;

	/* Convert to upper case, roughly: is() finds bytes that were not
	 * letters. */
	for (size_t i = 0; i < word->size && i < 8; i++)
		wanted |= (word->data[i] & UINT64_C(0xdf)) << (56 - 8 * i);
	for (size_t left = SPECIAL; left > 1; left -= left / 2) {
		const size_t middle = at + left / 2;

		at = eight_letters(special[middle].name) <= wanted ?
		    middle : at;
	}
	return eight_letters(special[at].name) == wanted &&
	    is(word, special[at].name) ? (int)at : -1;
}

/*
 * Read the options of XREAD and XREADGROUP, up to STREAMS. Returns its place,
 * or `argc`. *blocks: BLOCK is one of them. Groups and streams may have such
 * names.
 */
static unsigned
read_options(unsigned argc, const struct torc_slice *argv, bool *blocks)
{
	unsigned at = 1;

	*blocks = false;
	while (at < argc && !is(&argv[at], "STREAMS")) {
		*blocks |= is(&argv[at], "BLOCK");
		if (is(&argv[at], "GROUP"))
			at += 3;
		else
			at += is(&argv[at], "COUNT") ||
			    is(&argv[at], "BLOCK") ? 2 : 1;
	}
	return at < argc ? at : argc;
}

static bool
is_any(const struct torc_slice *word, const char *const *names)
{
	while (*names != NULL && !is(word, *names))
		names++;
	return *names != NULL;
}

/* Subcommands of CLIENT that do not change the connection. */
static unsigned
client_flags(unsigned argc, const struct torc_slice *argv)
{
	static const char *const harmless[] = { "GETNAME", "GETREDIR", "HELP",
		"ID", "INFO", "KILL", "LIST", "PAUSE", "TRACKINGINFO",
		"UNBLOCK", "UNPAUSE", NULL };

	if (argc < 2 || is_any(&argv[1], harmless))
		return 0;
	return is(&argv[1], "REPLY") ? COMMAND_FOREIGN :
	    COMMAND_STATEFUL | COMMAND_ALTERS;
}

/* The flags of a command, which may depend on its second word. */
static unsigned
flags_of(unsigned argc, const struct torc_slice *argv, int place)
{
	bool blocks;

	if (is(&argv[0], "CLIENT"))
		return client_flags(argc, argv);
	if (is(&argv[0], "SCRIPT") && argc > 1 && is(&argv[1], "DEBUG"))
		return COMMAND_STATEFUL | COMMAND_ALTERS;
	if (special[place].key == -3) {
		read_options(argc, argv, &blocks);
		return blocks ? COMMAND_STATEFUL : 0;
	}
	return special[place].flags;
}

unsigned
torc_redis_command_flags(unsigned argc, const struct torc_slice *argv)
{
	const int place = look_up(&argv[0]);

	if (place >= 0)
		return flags_of(argc, argv, place);
	/* Redis takes both for HTTP, and treats them as an attack. */
	return is(&argv[0], "HOST:") ? COMMAND_FATAL : 0;
}

const struct torc_slice *
torc_redis_command_key(unsigned argc, const struct torc_slice *argv)
{
	const int place = look_up(&argv[0]);
	unsigned at = 1;
	bool blocks;

	if (place >= 0) {
		const int key = special[place].key;

		if (key == 0)
			return NULL;
		if (key == -3)
			at = read_options(argc, argv, &blocks) + 1;
		else if (key < 0)
			at = (unsigned)-key + 1;
		else
			at = (unsigned)key;
		/* A script may have no keys. */
		if (key == -2 && at < argc && is(&argv[2], "0"))
			return NULL;
	}
	return at < argc ? &argv[at] : NULL;
}

bool
torc_redis_is_error(const struct torc_redis_reply *reply, const char *code)
{
	const size_t size = strlen(code);

	return reply->type == TORC_REDIS_ERROR && reply->size >= size &&
	    memcmp(reply->text, code, size) == 0 &&
	    (reply->size == size || reply->text[size] == ' ');
}

/* CRC-16 of XMODEM: polynomial 0x1021, from 0. */
static unsigned
crc16(const uint8_t *data, size_t size)
{
	unsigned crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned)data[i] << 8;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc & 0x8000 ? 0x11021 : 0);
	}
	return crc & 0xffff;
}

unsigned
torc_redis_key_slot(const void *key, size_t size)
{
	const uint8_t *data = key;
	const uint8_t *open = size > 0 ? memchr(data, '{', size) : NULL;
	const uint8_t *shut = open == NULL ? NULL :
	    memchr(open, '}', size - (size_t)(open - data));

	/* Use the text between the first braces, if there is any. */
	if (shut != NULL && shut > open + 1)
		return crc16(open + 1, (size_t)(shut - open) - 1) %
		    REDIS_SLOTS;
	return crc16(data, size) % REDIS_SLOTS;
}
