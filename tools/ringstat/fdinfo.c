/* SPDX-License-Identifier: MIT */
/*
 * fdinfo.c - the parser: a line is "Key:<tab>value", or, when it begins with
 * a blank, an item of the list that the last key has begun.
 */
#include "tools/ringstat/fdinfo.h"

#include <string.h>

#include "sys/uapi.h"

enum list { NO_LIST, SQES, CQES, FILES, BUFFERS, POLLS, OVERFLOWED, OTHER };

void
fdinfo_init(struct fdinfo *info)
{
	memset(info, 0, sizeof(*info));
	info->ino = info->sq_entries = info->sq_head = info->sq_tail =
	    info->cached_sq_head = info->cq_entries = info->cq_head =
	    info->cq_tail = info->cached_cq_tail = info->sqes = info->cqes =
	    info->sq_thread = info->sq_cpu = info->sq_total_us =
	    info->sq_work_us = info->files = info->buffers = info->napi =
	    info->overflow = info->buffer_bytes = UNKNOWN;
}

/* ---- Items of lists ---- */

/* ", name:value" somewhere in the line. */
static bool
find_field(struct text line, const char *name, struct text *value)
{
	while (line.size > 0) {
		if (text_skip(&line, name)) {
			*value = line;
			return true;
		}
		/* To behind the next blank: names follow one. */
		text_word(&line);
		text_skip_blanks(&line);
	}
	return false;
}

static uint64_t
decimal_field(struct text line, const char *name)
{
	struct text value;
	uint64_t number = 0;

	if (find_field(line, name, &value))
		text_decimal(&value, &number);
	return number;
}

static uint64_t
hex_field(struct text line, const char *name)
{
	struct text value;
	uint64_t number = 0;

	if (find_field(line, name, &value))
		text_hex(&value, &number);
	return number;
}

static int32_t
signed_field(struct text line, const char *name)
{
	struct text value;
	int64_t number = 0;

	if (find_field(line, name, &value))
		text_signed(&value, &number);
	return (int32_t)number;
}

/* "   12: " before most items. */
static bool
take_index(struct text *line, uint32_t *index)
{
	uint64_t number;

	text_skip_blanks(line);
	if (!text_decimal(line, &number) || !text_skip(line, ":"))
		return false;
	text_skip_blanks(line);
	*index = (uint32_t)number;
	return true;
}

/* What takes two slots of a ring that has SQEs of 64 and of 128 bytes. */
static bool
is_double(const char *opcode)
{
	return strcmp(opcode, "NOP128") == 0 ||
	    strcmp(opcode, "URING_CMD128") == 0;
}

/*
 * The size of the ring's slots. The second half of an SQE of 128 bytes is
 * printed, too; in a ring of both sizes, only certain operations have one, and
 * these take two slots, as the number of the next one shows.
 */
static void
measure_sqe(struct fdinfo *info, struct entry *entry, bool halves)
{
	const bool twice = is_double(entry->opcode);

	if (info->last_double && entry->index == info->last_index + 1) {
		info->sqe_size = 128;
		info->mixed_sqes = false;
		info->sqes_listed--;
	}
	if (!halves)
		info->sqe_size = 64;
	else if (!twice)
		info->sqe_size = 128;
	entry->size = halves ? 128 : 64;
	entry->places = halves && twice && info->sqe_size != 128 ? 2 : 1;
	info->last_double = false;
	if (entry->places == 2) {
		info->sqe_size = 64;
		info->mixed_sqes = true;
	}
}

static void
parse_sqe(struct fdinfo *info, struct text line)
{
	struct entry entry = { .kind = ENTRY_SQE };
	struct text name, half;

	if (!take_index(&line, &entry.index) ||
	    !find_field(line, "opcode:", &name))
		return;
	name = text_word(&name);
	if (name.size > 0 && name.at[name.size - 1] == ',')
		name.size--;
	text_copy(name, entry.opcode, sizeof(entry.opcode));
	measure_sqe(info, &entry, find_field(line, "e0:", &half));
	/* Kernels print some that lie behind the tail of a mixed ring. */
	if (info->sqes != UNKNOWN && info->sqes_listed >= info->sqes)
		return;
	info->sqes_listed += entry.places;
	info->last_double = entry.places == 2;
	info->last_index = entry.index;
	if (info->entry == NULL)
		return;
	entry.fd = signed_field(line, "fd:");
	entry.sqe_flags = (uint32_t)hex_field(line, "flags:");
	entry.off = decimal_field(line, "off:");
	entry.addr = hex_field(line, "addr:");
	entry.op_flags = (uint32_t)hex_field(line, "rw_flags:");
	entry.buf_index = (uint32_t)decimal_field(line, "buf_index:");
	entry.user_data = decimal_field(line, "user_data:");
	info->entry(info->arg, &entry);
}

static void
parse_cqe(struct fdinfo *info, struct text line)
{
	struct entry entry = { .kind = ENTRY_CQE, .size = 16, .places = 1 };
	struct text value;

	if (!take_index(&line, &entry.index) ||
	    !find_field(line, "user_data:", &value))
		return;
	/* "flag:" until it became "flags:". */
	entry.cqe_flags = (uint32_t)(hex_field(line, "flag:") |
	    hex_field(line, "flags:"));
	if (find_field(line, "extra1:", &value)) {
		entry.size = 32;
		entry.places = entry.cqe_flags & IORING_CQE_F_32 ? 2 : 1;
		entry.extra[0] = decimal_field(line, "extra1:");
		entry.extra[1] = decimal_field(line, "extra2:");
	}
	info->cqe_size = entry.size == 32 && entry.places == 1 ? 32 : 16;
	info->cqes_listed += entry.places;
	if (entry.size == 16 && entry.cqe_flags & IORING_CQE_F_SKIP) {
		info->cqe_fillers++;
		return;
	}
	if (info->entry == NULL)
		return;
	entry.user_data = decimal_field(line, "user_data:");
	entry.res = signed_field(line, "res:");
	info->entry(info->arg, &entry);
}

static void
parse_overflowed(struct fdinfo *info, struct text line)
{
	struct entry entry = { .kind = ENTRY_OVERFLOW, .places = 1 };
	struct text value;

	text_skip_blanks(&line);
	if (!find_field(line, "user_data=", &value))
		return;
	info->overflow++;
	if (info->entry == NULL)
		return;
	entry.user_data = decimal_field(line, "user_data=");
	entry.res = signed_field(line, "res=");
	entry.cqe_flags = (uint32_t)hex_field(line, "flags=");
	info->entry(info->arg, &entry);
}

static void
parse_poll(struct fdinfo *info, struct text line)
{
	uint64_t opcode;

	text_skip_blanks(&line);
	if (text_skip(&line, "op=") && text_decimal(&line, &opcode) &&
	    opcode < OPCODES)
		info->polls[opcode]++;
}

/* "    3: socket:[4711]" since 6.18 or so; a bare name before. */
static void
parse_file(struct fdinfo *info, struct text line)
{
	uint32_t index;
	uint64_t ino;

	if (!take_index(&line, &index))
		return;
	info->files_listed++;
	if (text_skip(&line, "socket:[") && text_decimal(&line, &ino) &&
	    text_skip(&line, "]") && info->socket != NULL)
		info->socket(info->arg, ino);
}

/* "    3: 0x7f00/4096", or "<none>". */
static void
parse_buffer(struct fdinfo *info, struct text line)
{
	uint64_t address, size;
	uint32_t index;

	if (!take_index(&line, &index))
		return;
	if (text_hex(&line, &address) && text_skip(&line, "/") &&
	    text_decimal(&line, &size) && size <= UINT32_MAX)
		info->buffer_bytes += (int64_t)size;
}

static void
parse_item(struct fdinfo *info, enum list list, struct text line)
{
	switch (list) {
	case SQES:
		parse_sqe(info, line);
		break;
	case CQES:
		parse_cqe(info, line);
		break;
	case FILES:
		parse_file(info, line);
		break;
	case BUFFERS:
		parse_buffer(info, line);
		break;
	case POLLS:
		parse_poll(info, line);
		break;
	case OVERFLOWED:
		parse_overflowed(info, line);
		break;
	case NO_LIST:
	case OTHER:
		break;
	}
}

/* ---- Keys ---- */

/* The entries of a queue: its mask and one, if that is a power of two. */
static int64_t
entries_of(uint64_t mask)
{
	return mask < UINT32_MAX && (mask & (mask + 1)) == 0 ?
	    (int64_t)mask + 1 : UNKNOWN;
}

static bool
parse_number(struct fdinfo *info, struct text key, struct text value)
{
	const struct {
		const char *key;
		int64_t *value;
	} keys[] = {
		{ "SqHead", &info->sq_head }, { "SqTail", &info->sq_tail },
		{ "CachedSqHead", &info->cached_sq_head },
		{ "CqHead", &info->cq_head }, { "CqTail", &info->cq_tail },
		{ "CachedCqTail", &info->cached_cq_tail },
		{ "SQEs", &info->sqes }, { "CQEs", &info->cqes },
		{ "SqThread", &info->sq_thread },
		{ "SqThreadCpu", &info->sq_cpu },
		{ "SqTotalTime", &info->sq_total_us },
		{ "SqWorkTime", &info->sq_work_us },
		{ "UserFiles", &info->files }, { "UserBufs", &info->buffers },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int64_t number;

		if (!text_is(key, keys[i].key))
			continue;
		info->body = true;
		if (text_signed(&value, &number))
			*keys[i].value = number < 0 ? UNKNOWN : number;
		return true;
	}
	return false;
}

static enum list
parse_key(struct fdinfo *info, struct text key, struct text value)
{
	static const struct { const char *key; enum list list; } lists[] = {
		{ "SQEs", SQES }, { "CQEs", CQES }, { "UserFiles", FILES },
		{ "UserBufs", BUFFERS },
	};
	uint64_t number;

	if (parse_number(info, key, value)) {
		if (text_is(key, "UserBufs"))
			info->buffer_bytes = 0;
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
			if (text_is(key, lists[i].key))
				return lists[i].list;
		}
		return OTHER;
	}
	if (text_is(key, "ino") && text_decimal(&value, &number)) {
		info->ino = number <= INT64_MAX ? (int64_t)number : UNKNOWN;
	} else if (text_is(key, "SqMask") && text_hex(&value, &number)) {
		info->body = true;
		info->sq_entries = entries_of(number);
	} else if (text_is(key, "CqMask") && text_hex(&value, &number)) {
		info->body = true;
		info->cq_entries = entries_of(number);
	} else if (text_is(key, "PollList")) {
		info->polls_known = true;
		return POLLS;
	} else if (text_is(key, "CqOverflowList")) {
		if (info->overflow == UNKNOWN)
			info->overflow = 0;
		return OVERFLOWED;
	} else if (text_is(key, "NAPI")) {
		info->napi = text_skip(&value, "enabled");
	}
	return OTHER;
}

int
fdinfo_parse(struct fdinfo *info, struct lines *lines)
{
	enum list list = NO_LIST;
	struct text line;

	while (lines_next(lines, &line)) {
		const char *colon;
		struct text key;

		if (line.size == 0)
			continue;
		if (line.at[0] == ' ') {
			parse_item(info, list, line);
			continue;
		}
		colon = memchr(line.at, ':', line.size);
		if (colon == NULL)
			continue;
		key = (struct text) { line.at, (size_t)(colon - line.at) };
		line.size -= key.size + 1;
		line.at = colon + 1;
		text_skip_blanks(&line);
		list = parse_key(info, key, line);
	}
	return lines->error;
}
