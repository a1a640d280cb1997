/* SPDX-License-Identifier: MIT */
/*
 * dump.c - the kernel's text, with what is private left out.
 */
#include "tools/ringstat/dump.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "conn/torc.h"
#include "tools/ringstat/proc.h"

#define MAX_LINES 4096u		/* of each file */

static bool
is_private(struct text *rest)
{
	static const char *const names[] = {
		"addr:", "addr=", "user_data:", "user_data=", "off:",
		"extra1:", "extra2:",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (text_skip(rest, names[i]))
			return true;
	}
	return false;
}

/* "addr:0x7f..., " becomes "addr:*, ". */
static void
print_line(FILE *file, struct text line, bool raw)
{
	/* A name without a value becomes longer. */
	char copy[LINE_MAX_SIZE * 2], escaped[LINE_MAX_SIZE * 4];
	size_t used = 0;

	while (line.size > 0) {
		struct text rest = line;

		if (raw || !is_private(&rest)) {
			copy[used++] = line.at[0] == '\t' ? ' ' : line.at[0];
			line.at++;
			line.size--;
			continue;
		}
		memcpy(copy + used, line.at, (size_t)(rest.at - line.at));
		used += (size_t)(rest.at - line.at);
		copy[used++] = '*';
		while (rest.size > 0 && rest.at[0] != ',' &&
		    rest.at[0] != ' ') {
			rest.at++;
			rest.size--;
		}
		line = rest;
	}
	copy[used] = '\0';
	text_escape(copy, escaped, sizeof(escaped));
	fprintf(file, "  %s\n", escaped);
}

void
dump_lines(FILE *file, struct lines *lines, bool raw)
{
	struct text line;
	unsigned count = 0;

	while (count < MAX_LINES && lines_next(lines, &line)) {
		print_line(file, line, raw);
		count++;
	}
	if (count == MAX_LINES)
		fputs("  (and more)\n", file);
}

static void
print_file(FILE *file, int proc, const char *path, bool raw)
{
	struct lines lines;
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);

	fprintf(file, "/proc/%s:\n", path);
	if (fd < 0) {
		fputs("  (cannot be read)\n", file);
		return;
	}
	lines_of_fd(&lines, fd);
	dump_lines(file, &lines, raw);
	close(fd);
}

void
dump_print(FILE *file, const struct sample *sample, bool raw)
{
	static const char *const names[] = { "status", "limits", "cgroup" };
	struct utsname system;
	int proc = proc_open();
	char path[96];

	uname(&system);
	fprintf(file, "ringstat %s, %s %s %s\n", torc_version(),
	    system.sysname, system.release, system.machine);
	for (unsigned i = 0; i < sample->process_count; i++) {
		for (unsigned j = 0; j < 3; j++) {
			snprintf(path, sizeof(path), "%s/%s",
			    sample->processes[i].folder, names[j]);
			print_file(file, proc, path, raw);
		}
	}
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];

		snprintf(path, sizeof(path), "%s/fdinfo/%u",
		    sample->processes[ring->process].folder, ring->fds[0]);
		print_file(file, proc, path, raw);
	}
	close(proc);
}
