/*
 * fuzz_ringstat.c - what ringstat reads of other processes, on any bytes. Byte
 * 0 says which parser gets the rest. Memory and a descriptor must give the
 * same lines; what is escaped holds no control characters.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/ringstat/fdinfo.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/proc.h"
#include "tools/ringstat/sockets.h"

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum parser {
	FDINFO, STATUS, LIMITS, STAT, TCP, TCP6, UNIX, PAGE, STRINGS, LINES,
	PARSERS,
};

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
read_fdinfo(const void *data, size_t size)
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
	REQUIRE(info.sq_entries == UNKNOWN ||
	    (info.sq_entries & (info.sq_entries - 1)) == 0);
	REQUIRE(seen >= info.sqes_listed + info.cqes_listed);
	REQUIRE(info.body || (info.sq_head == UNKNOWN &&
	    info.cq_tail == UNKNOWN));
}

static void
read_process(enum parser parser, const void *data, size_t size)
{
	struct process process = { .pid = 1 };
	struct lines lines;
	uint64_t flags = 0;

	lines_of_memory(&lines, data, size);
	if (parser == STATUS)
		proc_parse_status(&process, &lines);
	else if (parser == LIMITS)
		proc_parse_limits(&process, &lines);
	else
		REQUIRE(proc_parse_stat((struct text) { data, size },
		    &flags) >= UNKNOWN);
	REQUIRE(process.locked_bytes >= UNKNOWN);
}

static void
read_sockets(enum sockets_kind kind, const void *data, size_t size)
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

/* Few inputs would be pages: the first words are made right. */
static void
read_page(const uint8_t *data, size_t size)
{
	static uint8_t page[1u << 16];
	struct memory memory = { page, size < sizeof(page) ? size :
	    sizeof(page) };
	struct torc_view view;

	memcpy(page, data, memory.size);
	if (memory.size < sizeof(struct torc_page))
		memory.size = sizeof(struct torc_page);
	((struct torc_page *)(void *)page)->magic = TORC_PAGE_MAGIC;
	((struct torc_page *)(void *)page)->version = TORC_PAGE_VERSION;
	if (torc_view_read(&view, load, &memory, 1u << 30, true)) {
		unsigned sum = 0;

		for (unsigned i = 0; i < CONN_STATES; i++)
			sum += view.by_state[i];
		REQUIRE(sum == view.conn_count);
		torc_view_tag(&view, UINT64_MAX);
		free(view.conns);
	}
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum parser parser;

	if (size == 0)
		return 0;
	parser = (enum parser)(data[0] % PARSERS);
	data++;
	size--;
	switch (parser) {
	case FDINFO:
		read_fdinfo(data, size);
		break;
	case STATUS:
	case LIMITS:
	case STAT:
		read_process(parser, data, size);
		break;
	case TCP:
	case TCP6:
	case UNIX:
		read_sockets((enum sockets_kind)(parser - TCP), data, size);
		break;
	case PAGE:
		read_page(data, size);
		break;
	case STRINGS:
		write_strings(data, size);
		break;
	case LINES:
	case PARSERS:
		compare_lines(data, size);
		break;
	}
	return 0;
}
