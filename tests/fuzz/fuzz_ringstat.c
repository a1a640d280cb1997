/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ringstat.c - what ringstat reads of other processes, on any bytes. Byte
 * 0 says which parser gets the rest, unless the variable RINGSTAT_PARSER names
 * one: all inputs are for it then, and byte 0 means nothing. The names are in
 * `parsers`, below.
 *
 * Memory and a descriptor must give the same lines; what is printed holds no
 * control characters, and JSON closes what it opens.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conn/torc.h"
#include "sys/uapi.h"
#include "tools/ringstat/check.h"
#include "tools/ringstat/dump.h"
#include "tools/ringstat/fdinfo.h"
#include "tools/ringstat/json.h"
#include "tools/ringstat/map.h"
#include "tools/ringstat/metrics.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/proc.h"
#include "tools/ringstat/sockets.h"
#include "tools/ringstat/views.h"

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef void take(const uint8_t *data, size_t size);

/* All that ringstat wants of the library. */
const char *
torc_version(void)
{
	return "0";
}

/* ---- Text of the kernel ---- */

static void
see_entry(void *arg, const struct entry *entry)
{
	REQUIRE(memchr(entry->opcode, '\0', sizeof(entry->opcode)) != NULL);
	++*(unsigned *)arg;
}

static void
see_socket(void *arg, uint64_t ino)
{
	(void)ino;
	++*(unsigned *)arg;
}

static void
read_fdinfo(const uint8_t *data, size_t size)
{
	unsigned seen = 0;
	struct fdinfo info;
	struct lines lines;

	fdinfo_init(&info);
	info.entry = see_entry;
	info.socket = see_socket;
	info.arg = &seen;
	lines_of_memory(&lines, data, size);
	REQUIRE(fdinfo_parse(&info, &lines) == 0);
	REQUIRE(info.buffer_bytes >= UNKNOWN);
	REQUIRE(info.sq_entries == UNKNOWN ||
	    (info.sq_entries & (info.sq_entries - 1)) == 0);
	REQUIRE(seen * 2 + info.cqe_fillers >=
	    info.sqes_listed + info.cqes_listed);
	REQUIRE(info.sqe_size == 0 || info.sqe_size == 64 ||
	    info.sqe_size == 128);
	REQUIRE(!info.mixed_sqes || info.sqe_size == 64);
	REQUIRE(info.body || (info.sq_head == UNKNOWN &&
	    info.cq_tail == UNKNOWN));
}

static void
read_status(const uint8_t *data, size_t size)
{
	struct process process = { .pid = 1 };
	struct lines lines;

	lines_of_memory(&lines, data, size);
	proc_parse_status(&process, &lines);
	REQUIRE(process.locked_bytes >= 0 && process.uid >= 0);
	REQUIRE(process.pinned_bytes >= 0);
}

static void
read_limits(const uint8_t *data, size_t size)
{
	struct process process = { .pid = 1 };
	struct lines lines;

	lines_of_memory(&lines, data, size);
	proc_parse_limits(&process, &lines);
	REQUIRE(process.locked_limit >= UNKNOWN);
	REQUIRE(process.descriptor_limit >= UNKNOWN);
}

static void
read_stat(const uint8_t *data, size_t size)
{
	struct text text = { (const char *)data, size };
	uint64_t flags = 0;

	REQUIRE(proc_parse_stat(text, &flags) >= UNKNOWN);
}

static void
read_cgroup(const uint8_t *data, size_t size)
{
	struct lines lines;
	char *path;

	lines_of_memory(&lines, data, size);
	path = proc_parse_cgroup(&lines);
	REQUIRE(path == NULL || path[0] == '/');
	free(path);
}

static void
read_sockets(enum sockets_kind kind, const uint8_t *data, size_t size)
{
	struct sockets *sockets = sockets_new();
	struct lines lines;
	char name[160];

	lines_of_memory(&lines, data, size);
	sockets_parse(sockets, kind, &lines);
	sockets_sort(sockets);
	REQUIRE(!sockets_name(sockets, 0, name, sizeof(name)));
	sockets_name(sockets, 100, name, sizeof(name));
	sockets_free(sockets);
}

static void
read_tcp(const uint8_t *data, size_t size)
{
	read_sockets(SOCKETS_TCP, data, size);
}

static void
read_tcp6(const uint8_t *data, size_t size)
{
	read_sockets(SOCKETS_TCP6, data, size);
}

static void
read_unix(const uint8_t *data, size_t size)
{
	read_sockets(SOCKETS_UNIX, data, size);
}

/* ---- The statistics page ---- */

struct memory {
	const uint8_t *bytes;
	size_t size;
};

static bool
load(void *arg, uint64_t offset, void *to, size_t size)
{
	const struct memory *memory = arg;

	if (offset > memory->size || size > memory->size - offset)
		return false;
	memcpy(to, memory->bytes + offset, size);
	return true;
}

/*
 * Few inputs would be pages, and none would have a table of connections. So
 * the input repeats itself through the page, and its first bytes make sense of
 * what it says; a byte of 255 leaves the part that it stands for as it is.
 */
enum { KNOB_WILD, KNOB_PARTS, KNOB_STRIDE = KNOB_PARTS + 6, KNOB_FIELDS,
    KNOB_TOUCHED, KNOB_TAKEN, KNOBS };

static const struct {
	size_t at;
	uint64_t offset;
	uint32_t stride;
} parts[] = {
#define PART(part, member, element) \
	{ offsetof(struct torc_stats_page, part), \
	    offsetof(struct torc_stats_page, member), element }
	PART(counters, counter, 8),
	PART(gauges, gauge, 8),
	PART(limits, limit, 8),
	PART(ops, op, sizeof(struct torc_stats_page_op)),
	PART(fields, field, sizeof(struct torc_stats_page_field)),
};

static void
shape_rows(uint8_t *bytes, size_t size, const uint8_t *knobs)
{
	struct torc_stats_page *page = (void *)bytes;
	struct torc_stats_page_field *slot = &page->field[TORC_FIELD_SLOT];
	const uint32_t stride = 8 + knobs[KNOB_STRIDE] * 2u;

	page->conns = (struct torc_stats_page_part) { sizeof(*page),
	    knobs[KNOB_PARTS + 5], stride };
	for (unsigned i = 0; i < TORC_FIELDS; i++) {
		page->field[i].width =
		    (uint16_t)(1 << page->field[i].width % 4);
		page->field[i].offset %= (uint16_t)stride;
	}
	if (knobs[KNOB_FIELDS] == UINT8_MAX)
		return;
	*slot = (struct torc_stats_page_field) { 4, 4 };
	for (size_t at = sizeof(*page); at + stride <= size; at += stride) {
		if (bytes[at] < knobs[KNOB_TAKEN])
			memset(bytes + at + slot->offset, 0xff, 4);
	}
}

static void
shape_page(uint8_t *bytes, size_t size, const uint8_t *knobs)
{
	struct torc_stats_page *page = (void *)bytes;

	page->size = sizeof(*page);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct torc_stats_page_part part = { parts[i].offset,
		    knobs[KNOB_PARTS + i], parts[i].stride };

		if (part.count != UINT8_MAX)
			memcpy(bytes + parts[i].at, &part, sizeof(part));
	}
	if (knobs[KNOB_TOUCHED] != UINT8_MAX)
		page->gauge.conns_touched = knobs[KNOB_TOUCHED];
	if (knobs[KNOB_STRIDE] != UINT8_MAX)
		shape_rows(bytes, size, knobs);
}

/* A page in memory that is good until the next one; false: not read. */
static bool
make_view(struct torc_view *view, const uint8_t *data, size_t size)
{
	static _Alignas(struct torc_stats_page) uint8_t page[1u << 15];
	struct memory memory = { page, sizeof(page) };

	if (size < KNOBS)
		return false;
	memset(page, 0, sizeof(page));
	for (size_t at = 0; at < sizeof(page); at += size)
		memcpy(page + at, data, size < sizeof(page) - at ? size :
		    sizeof(page) - at);
	if (data[KNOB_WILD] != UINT8_MAX)
		shape_page(page, sizeof(page), data);
	else
		memory.size = size < sizeof(page) ? size : sizeof(page);
	((struct torc_stats_page *)(void *)page)->magic = TORC_STATS_PAGE_MAGIC;
	((struct torc_stats_page *)(void *)page)->version =
	    TORC_STATS_PAGE_VERSION;
	return torc_view_read(view, load, &memory, 1u << 30, true);
}

static void
read_page(const uint8_t *data, size_t size)
{
	struct conn_op ops[CONN_OPS];
	struct torc_view view;
	unsigned sum = 0;

	if (!make_view(&view, data, size))
		return;
	torc_view_conn_ops(&view, ops);
	for (unsigned i = 0; i < CONN_OPS; i++)
		REQUIRE(ops[i].submitted >= UNKNOWN &&
		    ops[i].in_flight >= UNKNOWN &&
		    ops[i].completed >= UNKNOWN && ops[i].failed >= UNKNOWN);
	for (unsigned i = 0; i < CONN_STATES; i++)
		sum += view.by_state[i];
	REQUIRE(sum == view.conn_count);
	REQUIRE(view.armed <= sum && view.sending <= sum);
	REQUIRE(view.conns_known || sum == 0);
	for (unsigned i = 0; i < sum; i++)
		REQUIRE(view.conns[i].age_ms >= UNKNOWN &&
		    view.conns[i].state < CONN_STATES);
	torc_view_tag(&view, UINT64_MAX);
	torc_view_tag(&view, view.page.magic);
	torc_view_fini(&view);
}

/* ---- A ring's memory ---- */

/* A file that is mapped as a ring is: SQEs are far behind its words. */
static void
fill_file(int fd, const uint8_t *data, size_t size)
{
	const size_t half = size / 2;
	uint32_t words[12] = { 0 };

	memcpy(words, data, size < sizeof(words) ? size : sizeof(words));
	/* Few words would be a ring's; odd ones are left as they are. */
	if ((words[0] & 1) == 0) {
		words[6] = 1u << words[6] % 12;
		words[7] = 1u << words[7] % 12;
		words[4] = words[6] - 1;
		words[5] = words[7] - 1;
		words[1] = words[0] + words[1] % (words[6] * 2);
		words[3] = words[2] + words[3] % (words[7] * 2);
	}
	REQUIRE(ftruncate(fd, 0) == 0);
	if (size == 0)
		return;
	REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
	REQUIRE(pwrite(fd, words, size < sizeof(words) ? size :
	    sizeof(words), 0) > 0);
	REQUIRE(pwrite(fd, data + half, size - half, IORING_OFF_SQES) ==
	    (ssize_t)(size - half));
}

static bool
map_ring(struct ring *ring, const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("ring", MFD_CLOEXEC);
	REQUIRE(fd >= 0);
	fill_file(fd, data, size);
	if (map_read(ring, fd) < 0)
		return false;
	map_measure(ring, fd);
	/* What fdinfo may have said, by the size of the input. */
	if (ring->sqe_size == 0)
		ring->sqe_size = 64u * (uint32_t)(size % 3);
	if (ring->cqe_size == 0)
		ring->cqe_size = 16u * (uint32_t)(size / 3 % 3);
	ring->mixed_sqes = size / 9 % 2;
	ring->mixed_known = size / 18 % 2;
	map_read_sqes(ring, fd);
	map_read_cqes(ring, fd);
	ring->entries_known = true;
	return true;
}

static void
read_map(const uint8_t *data, size_t size)
{
	struct sample sample = { 0 };
	struct ring *ring = sample_add_ring(&sample);

	if (map_ring(ring, data, size)) {
		REQUIRE(ring->sq_pending <= ring->sq_entries);
		REQUIRE(ring->cq_ready <= ring->cq_entries);
		REQUIRE(ring->entry_count <=
		    ring->sq_pending + ring->cq_ready);
	} else {
		REQUIRE(ring->sq_entries == UNKNOWN);
		REQUIRE(ring->entry_count == 0);
	}
	sample_free(&sample);
}

/* ---- What is printed ---- */

/* But for the ends of lines, and what may be UTF-8. */
static void
require_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		REQUIRE(text[i] == '\n' ||
		    (text[i] >= ' ' && text[i] < 0x7f) || text[i] < 0);
}

static void
require_closed(const char *json, size_t size)
{
	bool quoted = false;
	unsigned depth = 0;

	for (size_t i = 0; i < size; i++) {
		if (quoted && json[i] == '\\')
			i++;
		else if (json[i] == '"')
			quoted = !quoted;
		else if (!quoted && strchr("{[", json[i]) != NULL)
			depth++;
		else if (!quoted && strchr("}]", json[i]) != NULL)
			REQUIRE(depth-- > 0);
	}
	REQUIRE(!quoted && depth == 0);
}

static void
print_view(FILE *file, const struct sample *sample, enum view view,
    unsigned width)
{
	struct screen screen = { .file = file, .width = width,
	    .header = true };
	struct options options = { .view = view };

	view_print(sample, &options, &screen);
}

/* One of the forms of a sample, into memory. */
static void
print_form(const struct sample *sample, unsigned form, unsigned width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	REQUIRE(file != NULL);
	if (form <= VIEW_OPS)
		print_view(file, sample, (enum view)form, width);
	else if (form == VIEW_OPS + 1)
		metrics_print(file, sample, 0.5);
	else
		json_print(file, sample, NULL);
	fclose(file);
	require_printable(text, size);
	if (form > VIEW_OPS + 1)
		require_closed(text, size);
	free(text);
}

/* A hostile process: its name, its ring and its page are of the input. */
static void
show(const uint8_t *data, size_t size)
{
	struct sample sample = { .time_ns = 1 };
	struct process *process = sample_add_process(&sample, 1, "1");
	struct ring *ring = sample_add_ring(&sample);
	struct torc_view *view = must_grow(NULL, 1, sizeof(*view));
	const size_t third = size / 3;
	struct text name = { (const char *)data, third };

	text_copy(name, process->comm, sizeof(process->comm));
	process->cgroup = must_grow(NULL, third + 1, 1);
	text_copy(name, process->cgroup, third + 1);
	ring->fd_count = 1;
	map_ring(ring, data + third, third);
	if (make_view(view, data + third * 2, size - third * 2))
		ring->torc = view;
	else
		free(view);
	print_form(&sample, third > 0 ? data[third - 1] % (VIEW_OPS + 3u) : 0,
	    third > 1 ? data[third - 2] : 0);
	sample_free(&sample);
}

static void
dump(const uint8_t *data, size_t size)
{
	struct lines lines;
	char *text = NULL, *at;
	size_t used = 0;
	FILE *file = open_memstream(&text, &used);

	REQUIRE(file != NULL);
	lines_of_memory(&lines, data, size);
	dump_lines(file, &lines, false);
	fclose(file);
	require_printable(text, used);
	for (at = text; (at = strstr(at, "user_data:")) != NULL; at += 10)
		REQUIRE(at[10] == '*');
	free(text);
}

static void
write_strings(const uint8_t *data, size_t size)
{
	char string[512], escaped[sizeof(string) * 4];
	FILE *nowhere = fopen("/dev/null", "we");

	text_copy((struct text) { (const char *)data, size }, string,
	    sizeof(string));
	text_escape(string, escaped, sizeof(escaped));
	for (const char *at = escaped; *at != '\0'; at++)
		REQUIRE(*at >= ' ' && *at < 0x7f);
	REQUIRE(nowhere != NULL);
	text_json(nowhere, string);
	fclose(nowhere);
}

static void
compare_lines(const uint8_t *data, size_t size)
{
	struct lines memory, file;
	struct text a, b;
	int fd = memfd_create("lines", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
	lines_of_memory(&memory, data, size);
	lines_of_fd(&file, fd);
	while (lines_next(&memory, &a)) {
		REQUIRE(lines_next(&file, &b));
		REQUIRE(a.size == b.size);
		REQUIRE(memcmp(a.at, b.at, a.size) == 0);
	}
	REQUIRE(!lines_next(&file, &b));
	close(fd);
}

/* ---- Our own command line ---- */

/* Arguments end with a newline. */
static void
read_options(const uint8_t *data, size_t size)
{
	FILE *const out = stdout, *const error = stderr;
	static FILE *nowhere;
	struct options options;
	char line[2048], name[] = "ringstat", *argv[32] = { name };
	char *rest = line;
	int argc = 1, rc;

	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "we");
	REQUIRE(nowhere != NULL);
	text_copy((struct text) { (const char *)data, size }, line,
	    sizeof(line));
	while (argc < 31 && (argv[argc] = strsep(&rest, "\n")) != NULL)
		argc++;
	argv[argc] = NULL;
	optind = 0;	/* from the beginning */
	stdout = stderr = nowhere;
	rc = options_parse(&options, argc, argv);
	stdout = out;
	stderr = error;
	REQUIRE(rc >= -1 && rc <= EXIT_WRONG);
	REQUIRE(options.pid_count <= MAX_PIDS);
	for (unsigned i = 0; i < options.pid_count; i++)
		REQUIRE(options.pids[i] > 0);
	REQUIRE(options.interval >= 0 && options.interval <= 86400);
}

/* ---- Which ---- */

static const struct {
	const char *name;
	take *take;
} parsers[] = {
	{ "fdinfo", read_fdinfo }, { "status", read_status },
	{ "limits", read_limits }, { "stat", read_stat },
	{ "tcp", read_tcp }, { "tcp6", read_tcp6 }, { "unix", read_unix },
	{ "page", read_page }, { "strings", write_strings },
	{ "lines", compare_lines }, { "cgroup", read_cgroup },
	{ "map", read_map }, { "show", show }, { "dump", dump },
	{ "options", read_options },
};
#define PARSERS (sizeof(parsers) / sizeof(parsers[0]))

static size_t pinned = PARSERS;	/* none */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("RINGSTAT_PARSER");

	(void)argc;
	(void)argv;
	if (name == NULL || name[0] == '\0')
		return 0;
	for (pinned = 0; pinned < PARSERS; pinned++) {
		if (strcmp(parsers[pinned].name, name) == 0)
			return 0;
	}
	fprintf(stderr, "RINGSTAT_PARSER=%s is none of:", name);
	for (size_t i = 0; i < PARSERS; i++)
		fprintf(stderr, " %s", parsers[i].name);
	fputc('\n', stderr);
	exit(1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		parsers[pinned < PARSERS ? pinned :
		    data[0] % PARSERS].take(data + 1, size - 1);
	return 0;
}
