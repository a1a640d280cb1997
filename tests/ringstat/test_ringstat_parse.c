/* SPDX-License-Identifier: MIT */
/*
 * test_ringstat_parse.c - what ringstat reads of other processes: the text of
 * every kernel, and whatever a hostile one may put in its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reactor/slots.h"
#include "sys/uapi.h"
#include "tools/ringstat/fdinfo.h"
#include "tools/ringstat/map.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/proc.h"
#include "tools/ringstat/sockets.h"
#include "tools/ringstat/text.h"

/* ---- fdinfo ---- */

#define GENERIC "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1067\n"
#define QUEUES "SqMask:\t0x7\nSqHead:\t2\nSqTail:\t4\nCachedSqHead:\t2\n" \
	"CqMask:\t0xf\nCqHead:\t4294967295\nCqTail:\t1\nCachedCqTail:\t1\n"
#define SQES "SQEs:\t2\n" \
	"    2: opcode:READ, fd:-1, flags:10, off:18446744073709551615, " \
	"addr:0x7ffd0000, rw_flags:0x40, buf_index:3 user_data:77\n" \
	"    3: opcode:NOP, fd:0, flags:0, off:0, addr:0x0, rw_flags:0x0, " \
	"buf_index:0 user_data:18446744073709551615\n"
#define CQES(flag) "CQEs:\t2\n" \
	"   15: user_data:5, res:-125, " flag ":2\n" \
	"    0: user_data:6, res:4096, " flag ":0\n"
#define LINUX_6_1 GENERIC QUEUES SQES CQES("flag") \
	"SqThread:\t-1\nSqThreadCpu:\t-1\n" \
	"UserFiles:\t3\n    0: TCP\n    1: <none>\n    2: eventfd\n" \
	"UserBufs:\t1\n    0: 0x7f00/4096\n" \
	"Personalities:\n    1\n\t\tUid:\t1000\t\t1000\n\n" \
	"PollList:\n  op=27, task_works=0\n  op=27, task_works=1\n" \
	"  op=6, task_works=0\n" \
	"CqOverflowList:\n  user_data=9, res=-11, flags=1\n"
#define LINUX_6_6 GENERIC QUEUES "SQEs:\t2\n" CQES("flag") \
	"SqThread:\t-1\nSqThreadCpu:\t-1\nUserFiles:\t0\nUserBufs:\t0\n" \
	"PollList:\nCqOverflowList:\n"
#define LINUX_6_12 GENERIC QUEUES SQES CQES("flag") \
	"SqThread:\t4711\nSqThreadCpu:\t3\nSqTotalTime:\t1000000\n" \
	"SqWorkTime:\t250000\nUserFiles:\t0\nUserBufs:\t0\nPollList:\n" \
	"CqOverflowList:\nNAPI:\tenabled\nnapi_busy_poll_dt:\t5\n"
#define LINUX_6_18 GENERIC QUEUES SQES CQES("flags") \
	"SqThread:\t-1\nSqThreadCpu:\t-1\nSqTotalTime:\t0\nSqWorkTime:\t0\n" \
	"UserFiles:\t4\n    1: socket:[5060]\n    3: /tmp/a\\012b\n" \
	"UserBufs:\t1\n    0: <none>\n" \
	"PollList:\n  op=13, task_works=0\nCqOverflowList:\n" \
	"NAPI:\tdisabled\n"

struct seen {
	struct entry entries[16];
	unsigned count;
	uint64_t sockets[16];
	unsigned socket_count;
};

static void
see_entry(void *arg, const struct entry *entry)
{
	struct seen *seen = arg;

	if (seen->count < 16)
		seen->entries[seen->count] = *entry;
	seen->count++;
}

static void
see_socket(void *arg, uint64_t ino)
{
	struct seen *seen = arg;

	if (seen->socket_count < 16)
		seen->sockets[seen->socket_count] = ino;
	seen->socket_count++;
}

static struct fdinfo
parse(const void *bytes, size_t size, struct seen *seen)
{
	struct fdinfo info;
	struct lines lines;

	memset(seen, 0, sizeof(*seen));
	fdinfo_init(&info);
	info.entry = see_entry;
	info.socket = see_socket;
	info.arg = seen;
	lines_of_memory(&lines, bytes, size);
	assert_int_equal(fdinfo_parse(&info, &lines), 0);
	return info;
}

static void
assert_queues(const struct fdinfo *info)
{
	assert_true(info->body);
	assert_int_equal(info->ino, 1067);
	assert_int_equal(info->sq_entries, 8);
	assert_int_equal(info->sq_head, 2);
	assert_int_equal(info->sq_tail, 4);
	assert_int_equal(info->cached_sq_head, 2);
	assert_int_equal(info->cq_entries, 16);
	assert_int_equal(info->cq_head, 4294967295);
	assert_int_equal(info->cq_tail, 1);
	assert_int_equal(info->cached_cq_tail, 1);
	assert_int_equal(info->sqes, 2);
	assert_int_equal(info->cqes, 2);
	assert_int_equal(info->cqes_listed, 2);
}

static void
assert_entries(const struct seen *seen)
{
	const struct entry *entry = seen->entries;

	assert_string_equal(entry[0].opcode, "READ");
	assert_int_equal(entry[0].index, 2);
	assert_int_equal(entry[0].fd, -1);
	assert_int_equal(entry[0].sqe_flags, 0x10);
	assert_true(entry[0].off == UINT64_MAX);
	assert_true(entry[0].addr == 0x7ffd0000);
	assert_int_equal(entry[0].op_flags, 0x40);
	assert_int_equal(entry[0].buf_index, 3);
	assert_true(entry[0].user_data == 77);
	assert_string_equal(entry[1].opcode, "NOP");
	assert_true(entry[1].user_data == UINT64_MAX);
	assert_int_equal(entry[2].kind, ENTRY_CQE);
	assert_int_equal(entry[2].index, 15);
	assert_int_equal(entry[2].res, -125);
	assert_int_equal(entry[2].cqe_flags, 2);
	assert_int_equal(entry[3].res, 4096);
}

static void
linux_6_1_is_read(void **state)
{
	struct seen seen;
	struct fdinfo info = parse(LINUX_6_1, sizeof(LINUX_6_1) - 1, &seen);

	(void)state;
	assert_queues(&info);
	assert_entries(&seen);
	assert_int_equal(info.sqes_listed, 2);
	assert_int_equal(info.sq_thread, UNKNOWN);
	assert_int_equal(info.sq_total_us, UNKNOWN);
	assert_int_equal(info.files, 3);
	assert_int_equal(info.files_listed, 3);
	assert_int_equal(info.buffers, 1);
	assert_int_equal(info.buffer_bytes, 4096);
	assert_int_equal(info.polls[27], 2);
	assert_int_equal(info.polls[6], 1);
	assert_true(info.polls_known);
	assert_int_equal(info.overflow, 1);
	assert_int_equal(seen.count, 5);
	assert_int_equal(seen.entries[4].kind, ENTRY_OVERFLOW);
	assert_int_equal(seen.entries[4].res, -11);
	assert_true(seen.entries[4].user_data == 9);
	assert_int_equal(info.napi, UNKNOWN);
}

static void
linux_6_6_may_print_no_sqes_and_says_how_many_there_are(void **state)
{
	struct seen seen;
	struct fdinfo info = parse(LINUX_6_6, sizeof(LINUX_6_6) - 1, &seen);

	(void)state;
	assert_queues(&info);
	assert_int_equal(info.sqes_listed, 0);
	assert_int_equal(info.overflow, 0);
	assert_int_equal(seen.count, 2);
}

static void
linux_6_12_tells_of_the_sqpoll_thread_and_napi(void **state)
{
	struct seen seen;
	struct fdinfo info = parse(LINUX_6_12, sizeof(LINUX_6_12) - 1,
	    &seen);

	(void)state;
	assert_queues(&info);
	assert_int_equal(info.sq_thread, 4711);
	assert_int_equal(info.sq_cpu, 3);
	assert_int_equal(info.sq_total_us, 1000000);
	assert_int_equal(info.sq_work_us, 250000);
	assert_int_equal(info.napi, 1);
}

static void
linux_6_18_names_registered_sockets(void **state)
{
	struct seen seen;
	struct fdinfo info = parse(LINUX_6_18, sizeof(LINUX_6_18) - 1,
	    &seen);

	(void)state;
	assert_queues(&info);
	assert_entries(&seen);
	assert_int_equal(info.files, 4);
	assert_int_equal(info.files_listed, 2);
	assert_int_equal(seen.socket_count, 1);
	assert_true(seen.sockets[0] == 5060);
	assert_int_equal(info.buffer_bytes, 0);
	assert_int_equal(info.polls[13], 1);
	assert_int_equal(info.napi, 0);
}

static void
without_a_body_nothing_is_known_but_the_inode(void **state)
{
	struct seen seen;
	struct fdinfo info = parse(GENERIC, sizeof(GENERIC) - 1, &seen);

	(void)state;
	assert_false(info.body);
	assert_int_equal(info.ino, 1067);
	assert_int_equal(info.sq_head, UNKNOWN);
	assert_int_equal(info.cq_entries, UNKNOWN);
	assert_int_equal(info.overflow, UNKNOWN);
	assert_int_equal(info.buffer_bytes, UNKNOWN);
	assert_false(info.polls_known);
}

static void
wide_completions_are_noticed(void **state)
{
	static const char text[] = "CQEs:\t2\n    0: user_data:5, res:0, "
	    "flag:0, extra1:1, extra2:2\n";
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.cqe_size, 32);
	assert_int_equal(info.cqes, 2);
	assert_int_equal(info.cqes_listed, 1);
	assert_true(seen.entries[0].extra[1] == 2);
}

/* As Linux 6.18 prints a ring of both sizes, with a filler at its end. */
static void
completions_of_both_sizes_and_fillers_are_told_apart(void **state)
{
	static const char text[] = "CQEs:\t4\n"
	    "   12: user_data:5, res:0, flags:8000, extra1:7, extra2:9\n\n"
	    "   14: user_data:6, res:1, flags:0\n"
	    "   15: user_data:0, res:0, flags:20\n";
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.cqe_size, 16);
	assert_int_equal(info.cqes_listed, 4);
	assert_int_equal(info.cqe_fillers, 1);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.entries[0].size, 32);
	assert_int_equal(seen.entries[0].places, 2);
	assert_true(seen.entries[0].extra[0] == 7);
	assert_int_equal(seen.entries[1].size, 16);
}

#define SQE_LINE(index, opcode) "    " index ": opcode:" opcode ", fd:-1, " \
	"flags:0, off:0, addr:0x0, rw_flags:0x0, buf_index:0 user_data:" index
#define HALF ", e0:0x1, e1:0x0, e2:0x0, e3:0x0, e4:0x0, e5:0x0, e6:0x0, " \
	"e7:0x0\n"

static void
submissions_of_128_bytes_are_noticed(void **state)
{
	static const char text[] = "SQEs:\t2\n" SQE_LINE("3", "NOP") HALF
	    SQE_LINE("4", "URING_CMD") HALF;
	/* Where all of them are, those that are twice as long elsewhere. */
	static const char same[] = "SQEs:\t2\n" SQE_LINE("3", "NOP128") HALF
	    SQE_LINE("4", "NOP128") HALF;
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.sqe_size, 128);
	assert_false(info.mixed_sqes);
	assert_int_equal(info.sqes_listed, 2);
	assert_int_equal(seen.entries[1].size, 128);
	assert_int_equal(seen.entries[1].places, 1);
	info = parse(same, sizeof(same) - 1, &seen);
	assert_int_equal(info.sqe_size, 128);
	assert_false(info.mixed_sqes);
	assert_int_equal(info.sqes_listed, 2);
	assert_int_equal(seen.count, 2);
}

static void
submissions_of_both_sizes_end_where_the_queue_does(void **state)
{
	/* The kernel goes on behind the tail by as many as were long. */
	static const char text[] = "SQEs:\t4\n" SQE_LINE("1", "NOP128") HALF
	    SQE_LINE("3", "NOP") "\n" SQE_LINE("4", "NOP") "\n"
	    SQE_LINE("5", "NOP") "\n";
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.sqe_size, 64);
	assert_true(info.mixed_sqes);
	assert_int_equal(info.sqes_listed, 4);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.entries[0].size, 128);
	assert_int_equal(seen.entries[0].places, 2);
	assert_int_equal(seen.entries[2].index, 4);
}

static void
keys_in_another_order_and_unknown_ones_do_no_harm(void **state)
{
	static const char text[] = "Novelty:\t1\n   0: opcode:READ\n"
	    "CqTail:\t7\nSqMask:\t0x3\n: \n:::\nSqHead:\n\tSqTail:\t5\n"
	    "CqHead:\t3\n";
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.cq_tail, 7);
	assert_int_equal(info.cq_head, 3);
	assert_int_equal(info.sq_entries, 4);
	assert_int_equal(info.sq_head, UNKNOWN);
	assert_int_equal(info.sq_tail, UNKNOWN);
	assert_int_equal(seen.count, 0);
}

static void
figures_that_cannot_be_are_not_known(void **state)
{
	static const char text[] = "SqMask:\t0x6\nCqMask:\t0xffffffffffffffff"
	    "\nSqHead:\t99999999999999999999999\nSqTail:\t-5\nCqHead:\tten\n"
	    "PollList:\n  op=128, task_works=0\n  op=-1\n  op=4294967299\n"
	    "ino:\t18446744073709551615\n";
	struct seen seen;
	struct fdinfo info = parse(text, sizeof(text) - 1, &seen);

	(void)state;
	assert_int_equal(info.sq_entries, UNKNOWN);
	assert_int_equal(info.cq_entries, UNKNOWN);
	assert_int_equal(info.sq_head, UNKNOWN);
	assert_int_equal(info.sq_tail, UNKNOWN);
	assert_int_equal(info.cq_head, UNKNOWN);
	assert_int_equal(info.ino, UNKNOWN);
	for (unsigned i = 0; i < OPCODES; i++)
		assert_int_equal(info.polls[i], 0);
}

static void
a_million_entries_are_counted_and_take_no_memory(void **state)
{
	static const char line[] = "    0: user_data:5, res:0, flag:0\n";
	const size_t size = sizeof(line) - 1, count = 1000000;
	char *text = malloc(size * count + 16);
	struct fdinfo info;
	struct lines lines;
	size_t used = 0;

	(void)state;
	assert_non_null(text);
	used += (size_t)sprintf(text, "CQEs:\t1\n");
	for (size_t i = 0; i < count; i++, used += size)
		memcpy(text + used, line, size);
	fdinfo_init(&info);
	lines_of_memory(&lines, text, used);
	assert_int_equal(fdinfo_parse(&info, &lines), 0);
	assert_int_equal(info.cqes_listed, count);
	free(text);
}

/* A cheap generator: the same bytes each time. */
static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void
what_is_cut_or_scrambled_anywhere_ends_well(void **state)
{
	static const char text[] = LINUX_6_1 LINUX_6_18;
	char copy[sizeof(text)];
	struct seen seen;
	uint32_t seed = 1;

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++)
		parse(text, size, &seen);
	for (int round = 0; round < 20000; round++) {
		memcpy(copy, text, sizeof(text));
		for (int i = 0; i < 1 + round % 40; i++)
			copy[next_random(&seed) % sizeof(copy)] =
			    (char)next_random(&seed);
		parse(copy, sizeof(copy), &seen);
	}
}

/* ---- Lines ---- */

/* A descriptor with these bytes to read. */
static int
file_of(const void *bytes, size_t size)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
lines_of_any_length_are_cut_and_the_next_one_is_whole(void **state)
{
	(void)state;
	for (size_t size = LINE_MAX_SIZE - 3; size < LINE_MAX_SIZE * 3;
	    size += size < LINE_MAX_SIZE + 3 ? 1 : 997) {
		char *bytes = malloc(size + 8);
		struct lines lines;
		struct text line;
		int fd;

		assert_non_null(bytes);
		memset(bytes, 'a', size);
		memcpy(bytes + size, "\nnext\n", 6);
		fd = file_of(bytes, size + 6);
		lines_of_fd(&lines, fd);
		assert_true(lines_next(&lines, &line));
		assert_int_equal(line.size, size < LINE_MAX_SIZE ? size :
		    LINE_MAX_SIZE);
		assert_int_equal(line.at[line.size - 1], 'a');
		assert_true(lines_next(&lines, &line));
		assert_true(text_is(line, "next"));
		assert_false(lines_next(&lines, &line));
		close(fd);
		free(bytes);
	}
}

static void
a_last_line_needs_no_newline_and_an_empty_file_has_none(void **state)
{
	struct lines lines;
	struct text line;
	int fd = file_of("one\n\ntwo", 8);

	(void)state;
	lines_of_fd(&lines, fd);
	assert_true(lines_next(&lines, &line) && text_is(line, "one"));
	assert_true(lines_next(&lines, &line) && line.size == 0);
	assert_true(lines_next(&lines, &line) && text_is(line, "two"));
	assert_false(lines_next(&lines, &line));
	close(fd);
	lines_of_memory(&lines, "", 0);
	assert_false(lines_next(&lines, &line));
}

static void
an_error_of_reading_is_told(void **state)
{
	struct lines lines;
	struct fdinfo info;
	int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	fdinfo_init(&info);
	lines_of_fd(&lines, fd);
	assert_int_equal(fdinfo_parse(&info, &lines), -EISDIR);
	close(fd);
}

/* ---- Names ---- */

static void
names_with_control_characters_are_escaped(void **state)
{
	char out[64];

	(void)state;
	text_escape("a\nb\033[31m\\\x7f\xff", out, sizeof(out));
	assert_string_equal(out, "a\\x0ab\\x1b[31m\\x5c\\x7f\\xff");
	text_escape("plain name", out, sizeof(out));
	assert_string_equal(out, "plain name");
	text_escape("\n\n\n", out, 9);
	assert_string_equal(out, "\\x0a\\x0a");
}

static void
assert_json(const char *string, const char *expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	text_json(file, string);
	fclose(file);
	assert_string_equal(text, expected);
	free(text);
}

static void
json_strings_hold_nothing_but_utf_8(void **state)
{
	(void)state;
	assert_json("plain", "\"plain\"");
	assert_json("a\"b\\c\n\x01", "\"a\\\"b\\\\c\\u000a\\u0001\"");
	assert_json("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	/* Cut, overlong, a surrogate, too high, a stray continuation. */
	assert_json("\xc3", "\"\\ufffd\"");
	assert_json("\xc0\xaf", "\"\\ufffd\\ufffd\"");
	assert_json("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
	assert_json("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	assert_json("\x80z", "\"\\ufffdz\"");
}

static void
json_strings_do_not_act_on_a_terminal(void **state)
{
	(void)state;
	/* CSI as one character, next line, DEL. */
	assert_json("\xc2\x9b" "31m\xc2\x85\x7f",
	    "\"\\u009b31m\\u0085\\u007f\"");
	/* An override, an isolate, marks, ends of lines, a BOM, a tag. */
	assert_json("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c",
	    "\"\\u202e\\u2066\\u200f\\u061c\"");
	assert_json("\xe2\x80\xa8\xef\xbb\xbf\xf3\xa0\x81\x81",
	    "\"\\u2028\\ufeff\\udb40\\udc41\"");
	/* The characters beside them are as they were. */
	assert_json("\xc2\xa0\xe2\x80\xaf\xe2\x80\x90\xf3\xa1\x80\x80",
	    "\"\xc2\xa0\xe2\x80\xaf\xe2\x80\x90\xf3\xa1\x80\x80\"");
}

/* ---- The memory of a ring ---- */

static void
set_sqe(int fd, uint32_t slot, uint8_t opcode, uint64_t user_data)
{
	const struct io_uring_sqe sqe = { .opcode = opcode,
	    .user_data = user_data };

	assert_int_equal(pwrite(fd, &sqe, sizeof(sqe),
	    (off_t)(IORING_OFF_SQES + slot * sizeof(sqe))), sizeof(sqe));
}

/* NOP, one of 128 bytes, NOP, in a ring of both sizes without an array. */
static int
mixed_ring(void)
{
	const uint32_t words[12] = { 0, 4, 0, 0, 63, 63, 64, 64 };
	int fd = memfd_create("ring", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IORING_OFF_SQES + 4096), 0);
	assert_int_equal(pwrite(fd, words, sizeof(words), 0), sizeof(words));
	set_sqe(fd, 0, IORING_OP_NOP, 1);
	set_sqe(fd, 1, 64, 2);
	set_sqe(fd, 2, IORING_OP_READ, 99);	/* its second half */
	set_sqe(fd, 3, IORING_OP_NOP, 3);
	return fd;
}

static struct ring *
read_mixed(struct sample *sample, int fd, bool mixed, bool known)
{
	struct ring *ring;

	memset(sample, 0, sizeof(*sample));
	ring = sample_add_ring(sample);
	assert_int_equal(map_read(ring, fd), 0);
	map_measure(ring, fd);
	assert_int_equal(ring->sqe_size, 64);
	ring->mixed_sqes = mixed;
	ring->mixed_known = known;
	assert_true(map_read_sqes(ring, fd));
	return ring;
}

static void
a_submission_of_128_bytes_among_others_takes_two_slots(void **state)
{
	int fd = mixed_ring();
	struct sample sample;
	struct ring *ring = read_mixed(&sample, fd, true, true);

	(void)state;
	assert_int_equal(ring->entry_count, 3);
	assert_string_equal(ring->entries[1].opcode, "URING_CMD128");
	assert_int_equal(ring->entries[1].places, 2);
	assert_int_equal(ring->entries[1].size, 128);
	assert_int_equal(ring->entries[2].index, 3);
	assert_true(ring->entries[2].user_data == 3);
	sample_free(&sample);
	/* Where it is not known what follows it, nothing is made up. */
	ring = read_mixed(&sample, fd, false, false);
	assert_int_equal(ring->entry_count, 1);
	sample_free(&sample);
	ring = read_mixed(&sample, fd, false, true);
	assert_int_equal(ring->entry_count, 4);
	sample_free(&sample);
	close(fd);
}

/* ---- Processes ---- */

static void
the_cpu_time_is_found_behind_any_name(void **state)
{
	static const char text[] = "12 (a) R (b c) S 1 2 3 4 5 2097152 7 8 9 "
	    "10 150 50 0 0 20 0 1\n";
	const int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	uint64_t flags = 0;

	(void)state;
	assert_int_equal(proc_parse_stat((struct text) { text,
	    sizeof(text) - 1 }, &flags), 200 * tick_us);
	assert_int_equal(flags, 2097152);
	assert_int_equal(proc_parse_stat((struct text) { "12 (", 4 }, &flags),
	    UNKNOWN);
	assert_int_equal(proc_parse_stat((struct text) { "12 (x)", 6 },
	    &flags), 0);
}

static void
status_and_limits_are_read(void **state)
{
	static const char status[] = "Name:\tUid:\t7\nUid:\t1000\t0\t0\t0\n"
	    "VmLck:\t      12 kB\n"
	    "VmPin:\t      20 kB\n"
	    "CapEff:\t000001fffeffffff\n";
	static const char limits[] =
	    "Limit                     Soft Limit           Hard Limit\n"
	    "Max open files            1024                 4096 files\n"
	    "Max locked memory         unlimited            unlimited bytes\n";
	struct process process = { .uid = UNKNOWN, .locked_limit = 5 };
	struct lines lines;

	(void)state;
	lines_of_memory(&lines, status, sizeof(status) - 1);
	proc_parse_status(&process, &lines);
	assert_int_equal(process.uid, 1000);
	assert_int_equal(process.locked_bytes, 12 * 1024);
	assert_int_equal(process.pinned_bytes, 20 * 1024);
	assert_true(process.capabilities == 0x1fffeffffff);
	lines_of_memory(&lines, limits, sizeof(limits) - 1);
	proc_parse_limits(&process, &lines);
	assert_int_equal(process.descriptor_limit, 1024);
	assert_int_equal(process.locked_limit, UNKNOWN);
}

static void
what_may_not_be_read_is_blamed_on_nothing_that_was_not_checked(void **state)
{
	const uint64_t ptrace = 1ull << CAP_SYS_PTRACE;

	(void)state;
	assert_string_equal(proc_denied_hint(true, ~ptrace),
	    "CAP_SYS_PTRACE is missing");
	assert_string_equal(proc_denied_hint(false, ~ptrace), "try as root");
	assert_string_equal(proc_denied_hint(true, ptrace),
	    "not even with CAP_SYS_PTRACE");
	assert_string_equal(proc_denied_hint(false, ptrace),
	    "not even with CAP_SYS_PTRACE");
}

/* ---- Sockets ---- */

static const char tcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 100 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:1F90 0200000A:C350 01 00000000:00000000 00:00000000 "
    "00000000  1000        0 99 1 0000000000000000 20 4 30 10 -1\n"
    "   2: nonsense\n   3: 0100007F: 0:0 01 0 0 0 0 0 55\n\n";
static const char tcp6[] =
    "  sl  local_address                         remote_address\n"
    "   0: 00000000000000000000000000000000:0050 "
    "B80D01200000000000000000010000EF:01BB 01 00000000:00000000 00:00000000 "
    "00000000     0        0 101 1\n";
static const char local[] =
    "Num       RefCount Protocol Flags    Type St Inode Path\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 102 /run/a b\n"
    "0000000000000000: 00000003 00000000 00000000 0001 03 103\n";

static struct sockets *
load_tables(void)
{
	struct sockets *sockets = sockets_new();
	struct lines lines;

	lines_of_memory(&lines, tcp, sizeof(tcp) - 1);
	sockets_parse(sockets, SOCKETS_TCP, &lines);
	lines_of_memory(&lines, tcp6, sizeof(tcp6) - 1);
	sockets_parse(sockets, SOCKETS_TCP6, &lines);
	lines_of_memory(&lines, local, sizeof(local) - 1);
	sockets_parse(sockets, SOCKETS_UNIX, &lines);
	sockets_sort(sockets);
	return sockets;
}

static void
assert_named(const struct sockets *sockets, uint64_t ino, const char *name)
{
	char text[160];

	assert_true(sockets_name(sockets, ino, text, sizeof(text)));
	assert_string_equal(text, name);
}

static void
sockets_are_named_by_their_peers(void **state)
{
	struct sockets *sockets = load_tables();
	char text[160];

	(void)state;
	assert_named(sockets, 100, "listening 127.0.0.1:8080");
	assert_named(sockets, 99, "10.0.0.2:50000");
	assert_named(sockets, 101, "[2001:db8::ef00:1]:443");
	assert_named(sockets, 102, "unix:/run/a b");
	assert_named(sockets, 103, "unix:");
	assert_false(sockets_name(sockets, 55, text, sizeof(text)));
	assert_false(sockets_name(sockets, 0, text, sizeof(text)));
	assert_false(sockets_name(NULL, 99, text, sizeof(text)));
	sockets_free(sockets);
}

/* ---- The page ---- */

#define ROWS 5u
#define ROW 64u

struct image {
	struct torc_stats_page page;
	uint8_t rows[ROWS][ROW];
};

struct memory {
	const void *bytes;
	size_t size;
};

static bool
load(void *arg, uint64_t offset, void *to, size_t size)
{
	const struct memory *memory = arg;

	if (offset > memory->size || size > memory->size - offset)
		return false;
	memcpy(to, (const char *)memory->bytes + offset, size);
	return true;
}

#define PART(member, element) { offsetof(struct torc_stats_page, member), \
	sizeof(((struct torc_stats_page *)0)->member) / (element), element }

static void
make_image(struct image *image)
{
	memset(image, 0, sizeof(*image));
	image->page = (struct torc_stats_page) {
		.magic = TORC_STATS_PAGE_MAGIC,
		.version = TORC_STATS_PAGE_VERSION,
		.size = sizeof(struct torc_stats_page),
		.counters = PART(counter, 8),
		.gauges = PART(gauge, 8),
		.limits = PART(limit, 8),
		.ops = PART(op, sizeof(struct torc_stats_page_op)),
		.fields = PART(field, sizeof(struct torc_stats_page_field)),
		.conns = { sizeof(struct torc_stats_page), ROWS, ROW },
		.slot_bits = 28,
		.generation_bits = 32,
		.conn_kinds = 3,
		.counter.cqes = 42,
		.gauge = { .conns_touched = ROWS, .turn_began = 1000000 },
	};
	for (unsigned i = 0; i < TORC_FIELDS; i++)
		image->page.field[i] = (struct torc_stats_page_field) {
			(uint16_t)(i < 9 ? i * 4 : 36 + (i - 9)),
			i < 9 ? 4 : 1 };
	for (unsigned i = 0; i < ROWS; i++) {
		const uint32_t words[9] = { i == 2 ? 7 : TORC_SLOT_TAKEN,
			10 + i, 500000, 100, 10, 20, 3, 5, 12 };

		memcpy(image->rows[i], words, sizeof(words));
	}
	image->rows[0][36 + TORC_FIELD_ARMED - 9] = 1;
	image->rows[1][36 + TORC_FIELD_ARMED - 9] = 1;
	image->rows[1][36 + TORC_FIELD_READER - 9] = 1;
	image->rows[3][36 + TORC_FIELD_DOOMED - 9] = 1;
}

static bool
view(struct torc_view *out, const void *bytes, size_t size)
{
	struct memory memory = { bytes, size };

	return torc_view_read(out, load, &memory, 3000000, true);
}

static void
a_page_is_read_with_its_connections(void **state)
{
	struct image image;
	struct torc_view out;

	(void)state;
	make_image(&image);
	assert_true(view(&out, &image, sizeof(image)));
	assert_int_equal(out.page.counter.cqes, 42);
	assert_int_equal(out.turn_age_us, 2000);
	assert_true(out.conns_known);
	assert_int_equal(out.conn_count, ROWS - 1);
	assert_int_equal(out.held, 110 * (ROWS - 1));
	assert_int_equal(out.staged, (20 + 3 + 7) * (ROWS - 1));
	assert_int_equal(out.armed, 2);
	assert_int_equal(out.sending, ROWS - 1);
	assert_int_equal(out.by_state[CONN_READING], 1);
	assert_int_equal(out.by_state[CONN_CLOSING], 1);
	assert_int_equal(out.by_state[CONN_RUNNING], 2);
	assert_int_equal(out.conns[0].fd, 10);
	assert_int_equal(out.conns[2].slot, 3);
	torc_view_fini(&out);
}

/* ---- Connections with TLS ---- */

struct sealed_image {
	struct image image;
	struct torc_stats_page_session sessions[ROWS];
	unsigned loads;		/* of what lies behind the page */
	unsigned change_at;	/* one of them: before it ... */
	bool gone;		/* ... another connection has the row */
	bool named;		/* ... the session is stored */
};

/* Row 1 has shaken hands as its second connection, and row 3 begins. */
static void
make_sealed(struct sealed_image *sealed)
{
	struct torc_stats_page *page = &sealed->image.page;
	const uint32_t generations[ROWS] = { 0, 7, 0, 9, 0 };

	memset(sealed, 0, sizeof(*sealed));
	make_image(&sealed->image);
	page->sessions = (struct torc_stats_page_part) {
		offsetof(struct sealed_image, sessions), ROWS,
		sizeof(struct torc_stats_page_session),
	};
	page->field[TORC_FIELD_GENERATION] =
	    (struct torc_stats_page_field) { 56, 4 };
	page->field[TORC_FIELD_TRANSPORT] =
	    (struct torc_stats_page_field) { 60, 1 };
	for (unsigned i = 0; i < ROWS; i++)
		memcpy(sealed->image.rows[i] + 56, &generations[i], 4);
	sealed->image.rows[1][60] = 1;
	sealed->image.rows[3][60] = 1;
	sealed->sessions[1] = (struct torc_stats_page_session) {
		.owner = 7 + 1, .version = TORC_VERSION_1_3,
		.cipher = TORC_CIPHER_CHACHA20, .name_size = 6,
		.name = "a.testing" };
	/* That of its last tenant. */
	sealed->sessions[3] = sealed->sessions[1];
}

static bool
load_sealed(void *arg, uint64_t offset, void *to, size_t size)
{
	struct sealed_image *sealed = arg;
	struct memory memory = { sealed, sizeof(*sealed) };

	if (offset >= offsetof(struct sealed_image, image.rows) &&
	    ++sealed->loads == sealed->change_at) {
		if (sealed->gone) {
			sealed->image.rows[1][56] = 8;
			sealed->sessions[1].owner = 8 + 1;
			memcpy(sealed->sessions[1].name, "b.test", 6);
		}
		if (sealed->named) {
			sealed->sessions[3].owner = 9 + 1;
			memcpy(sealed->sessions[3].name, "c.test", 6);
		}
	}
	return load(&memory, offset, to, size);
}

static bool
view_sealed(struct torc_view *out, struct sealed_image *sealed)
{
	return torc_view_read(out, load_sealed, sealed, 3000000, true);
}

static void
each_connection_has_its_version_and_host_and_clear_text_has_none(void **state)
{
	struct sealed_image sealed;
	struct torc_view out;

	(void)state;
	make_sealed(&sealed);
	assert_true(view_sealed(&out, &sealed));
	assert_int_equal(out.conn_count, ROWS - 1);
	assert_int_equal(out.conns[0].tls, CONN_CLEAR);
	assert_int_equal(out.conns[1].tls, CONN_SECURE);
	assert_string_equal(torc_view_version(&out.conns[1]), "1.3");
	assert_string_equal(torc_view_cipher(&out.conns[1]),
	    "TLS_CHACHA20_POLY1305_SHA256");
	assert_string_equal(out.conns[1].host, "a.test");
	/* What the last tenant had agreed on is not this one's. */
	assert_int_equal(out.conns[2].tls, CONN_SHAKING);
	assert_null(torc_view_version(&out.conns[2]));
	assert_null(out.conns[2].host);
	torc_view_fini(&out);
	/* One that ends may have had TLS. */
	sealed.image.rows[3][60] = 0;
	assert_true(view_sealed(&out, &sealed));
	assert_int_equal(out.conns[2].state, CONN_CLOSING);
	assert_int_equal(out.conns[2].tls, CONN_TLS_UNKNOWN);
	torc_view_fini(&out);
	/* Nor is a name that cannot be one. */
	sealed.sessions[1].name_size = 257;
	assert_true(view_sealed(&out, &sealed));
	assert_null(out.conns[1].host);
	torc_view_fini(&out);
	sealed.sessions[1].name_size = 10;
	assert_true(view_sealed(&out, &sealed));
	assert_null(out.conns[1].host);
	torc_view_fini(&out);
}

static void
of_a_connection_that_goes_while_it_is_read_nothing_wrong_is_told(void **state)
{
	(void)state;
	/* Before the sessions, between them, and before the second rows. */
	for (unsigned at = 2; at <= 4; at++) {
		struct sealed_image sealed;
		struct torc_view out;

		make_sealed(&sealed);
		sealed.change_at = at;
		sealed.gone = true;
		assert_true(view_sealed(&out, &sealed));
		assert_int_equal(sealed.loads, 4);
		assert_int_equal(out.conns[1].tls, CONN_TLS_UNKNOWN);
		assert_null(torc_view_version(&out.conns[1]));
		assert_null(out.conns[1].host);
		torc_view_fini(&out);
	}
}

static void
a_session_that_is_stored_while_it_is_read_is_told_whole_or_not(void **state)
{
	(void)state;
	for (unsigned at = 2; at <= 4; at++) {
		struct sealed_image sealed;
		struct torc_view out;

		make_sealed(&sealed);
		sealed.change_at = at;
		sealed.named = true;
		assert_true(view_sealed(&out, &sealed));
		assert_int_equal(out.conns[2].tls,
		    at == 2 ? CONN_SECURE : CONN_SHAKING);
		if (at == 2)
			assert_string_equal(out.conns[2].host, "c.test");
		else
			assert_null(out.conns[2].host);
		torc_view_fini(&out);
	}
}

static void
a_page_whose_head_is_older_tells_nothing_of_tls(void **state)
{
	struct sealed_image sealed;
	struct torc_view out;

	(void)state;
	make_sealed(&sealed);
	/* What lies there is a counter. */
	sealed.image.page.counters.offset -= 16;
	assert_true(view_sealed(&out, &sealed));
	assert_int_equal(out.page.sessions.count, 0);
	assert_int_equal(out.conns[1].tls, CONN_TLS_UNKNOWN);
	assert_null(out.conns[1].host);
	torc_view_fini(&out);
	sealed.image.page.fields.count = TORC_FIELD_TRANSPORT;
	assert_true(view_sealed(&out, &sealed));
	assert_int_equal(out.conns[1].tls, CONN_TLS_UNKNOWN);
	torc_view_fini(&out);
}

static void
a_page_of_another_size_or_version_is_read_as_far_as_it_is_known(
    void **state)
{
	struct image image;
	struct torc_view out;

	(void)state;
	make_image(&image);
	assert_true(view(&out, &image, sizeof(image)));
	for (unsigned i = 0; i < HANDSHAKE_SETS; i++)
		assert_true(torc_view_has(&out, &handshake_sets[i]));
	torc_view_fini(&out);
	image.page.counters.count = 5;	/* of an older torc */
	assert_true(view(&out, &image, sizeof(image)));
	for (unsigned i = 0; i < HANDSHAKE_SETS; i++)
		assert_false(torc_view_has(&out, &handshake_sets[i]));
	assert_int_equal(out.page.counter.cqes, 42);
	assert_int_equal(out.page.counter.sent, 0);
	torc_view_fini(&out);
	image.page.counters.count = 4;
	assert_true(view(&out, &image, sizeof(image)));
	assert_int_equal(out.page.counter.cqes, 0);
	torc_view_fini(&out);
	image.page.version = 2;
	assert_false(view(&out, &image, sizeof(image)));
	image.page.version = 1;
	image.page.magic++;
	assert_false(view(&out, &image, sizeof(image)));
}

static void
a_page_that_is_cut_or_lies_ends_well(void **state)
{
	struct image image, copy;
	struct torc_view out;
	uint32_t seed = 7;

	(void)state;
	make_image(&image);
	for (size_t size = 0; size < sizeof(image); size++) {
		if (view(&out, &image, size))
			torc_view_fini(&out);
	}
	for (int round = 0; round < 20000; round++) {
		uint8_t *bytes = (uint8_t *)&copy;

		copy = image;
		for (int i = 0; i < 1 + round % 8; i++)
			bytes[next_random(&seed) % (round % 2 == 0 ? 200 :
			    sizeof(copy))] = (uint8_t)next_random(&seed);
		if (view(&out, &copy, sizeof(copy))) {
			torc_view_tag(&out, next_random(&seed));
			torc_view_fini(&out);
		}
	}
}

static void
user_data_is_decoded_to_kind_slot_and_generation(void **state)
{
	struct image image;
	struct torc_view out;
	struct tag_text tag;

	(void)state;
	make_image(&image);
	assert_true(view(&out, &image, sizeof(image)));
	tag = torc_view_tag(&out, 4ull << 60 | 0xdeadbeefull << 28 | 77);
	assert_string_equal(tag.kind, "recv");
	assert_true(tag.generation == 0xdeadbeef);
	assert_true(tag.slot == 77);
	assert_string_equal(torc_view_tag(&out, 2ull << 60).kind, "op");
	assert_string_equal(torc_view_tag(&out, 15ull << 60).kind, "15");
	torc_view_fini(&out);
}

#define CLAIM(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(linux_6_1_is_read),
		CLAIM(linux_6_6_may_print_no_sqes_and_says_how_many_there_are),
		CLAIM(linux_6_12_tells_of_the_sqpoll_thread_and_napi),
		CLAIM(linux_6_18_names_registered_sockets),
		CLAIM(without_a_body_nothing_is_known_but_the_inode),
		CLAIM(wide_completions_are_noticed),
		CLAIM(completions_of_both_sizes_and_fillers_are_told_apart),
		CLAIM(submissions_of_128_bytes_are_noticed),
		CLAIM(submissions_of_both_sizes_end_where_the_queue_does),
		CLAIM(a_submission_of_128_bytes_among_others_takes_two_slots),
		CLAIM(keys_in_another_order_and_unknown_ones_do_no_harm),
		CLAIM(figures_that_cannot_be_are_not_known),
		CLAIM(a_million_entries_are_counted_and_take_no_memory),
		CLAIM(what_is_cut_or_scrambled_anywhere_ends_well),
		CLAIM(lines_of_any_length_are_cut_and_the_next_one_is_whole),
		CLAIM(a_last_line_needs_no_newline_and_an_empty_file_has_none),
		CLAIM(an_error_of_reading_is_told),
		CLAIM(names_with_control_characters_are_escaped),
		CLAIM(json_strings_hold_nothing_but_utf_8),
		CLAIM(json_strings_do_not_act_on_a_terminal),
		CLAIM(the_cpu_time_is_found_behind_any_name),
		CLAIM(status_and_limits_are_read),
	CLAIM(what_may_not_be_read_is_blamed_on_nothing_that_was_not_checked),
		CLAIM(sockets_are_named_by_their_peers),
		CLAIM(a_page_is_read_with_its_connections),
		CLAIM(
		    each_connection_has_its_version_and_host_and_clear_text_has_none),
		CLAIM(
		    of_a_connection_that_goes_while_it_is_read_nothing_wrong_is_told),
		CLAIM(a_session_that_is_stored_while_it_is_read_is_told_whole_or_not),
		CLAIM(a_page_whose_head_is_older_tells_nothing_of_tls),
	    CLAIM(a_page_of_another_size_or_version_is_read_as_far_as_it_is_known),
		CLAIM(a_page_that_is_cut_or_lies_ends_well),
		CLAIM(user_data_is_decoded_to_kind_slot_and_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
