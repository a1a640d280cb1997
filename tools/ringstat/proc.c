/* SPDX-License-Identifier: MIT */
/*
 * proc.c - files of /proc/PID.
 */
#include "tools/ringstat/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* As getdents64(2) writes it. */
struct entry64 {
	uint64_t ino;
	int64_t next;
	uint16_t size;		/* of the entry */
	uint8_t type;
	char name[];
};

#define KERNEL_THREAD 0x00200000u	/* PF_KTHREAD */

void
names_of(struct names *names, int fd)
{
	names->fd = fd;
	names->error = 0;
	names->at = names->size = 0;
}

const char *
names_next(struct names *names)
{
	const struct entry64 *entry;

	if (names->at == names->size) {
		long size = syscall(SYS_getdents64, names->fd, names->bytes,
		    sizeof(names->bytes));

		names->at = 0;
		names->size = size > 0 ? (size_t)size : 0;
		names->error = size < 0 ? -errno : 0;
		if (size <= 0)
			return NULL;
	}
	entry = (const void *)(names->bytes + names->at);
	names->at += entry->size;
	return entry->name;
}

int
proc_open(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs system;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &system) == 0 && system.f_type == PROC_SUPER_MAGIC)
		return fd;
	close(fd);
	return -ENODEV;
}

static bool
open_lines(struct lines *lines, int proc, const char *folder,
    const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		lines_of_fd(lines, fd);
	return fd >= 0;
}

/* "   12 kB"; what is no size leaves the value alone. */
static void
parse_size(struct text line, int64_t *bytes)
{
	uint64_t value;

	text_skip_blanks(&line);
	if (text_decimal(&line, &value) &&
	    value < (uint64_t)INT64_MAX / 1024)
		*bytes = (int64_t)value * 1024;
}

void
proc_parse_status(struct process *process, struct lines *lines)
{
	struct text line;
	uint64_t value;

	while (lines_next(lines, &line)) {
		if (text_skip(&line, "Uid:")) {
			text_skip_blanks(&line);
			if (text_decimal(&line, &value) &&
			    value <= UINT32_MAX)
				process->uid = (int64_t)value;
		} else if (text_skip(&line, "CapEff:")) {
			text_skip_blanks(&line);
			if (text_hex(&line, &value))
				process->capabilities = value;
		} else if (text_skip(&line, "VmLck:")) {
			parse_size(line, &process->locked_bytes);
		} else if (text_skip(&line, "VmPin:")) {
			parse_size(line, &process->pinned_bytes);
		}
	}
}

/* The soft limit behind the name of a limit; UNKNOWN: unlimited. */
static int64_t
parse_limit(struct text line)
{
	uint64_t value;

	text_skip_blanks(&line);
	return text_decimal(&line, &value) && value <= INT64_MAX ?
	    (int64_t)value : UNKNOWN;
}

void
proc_parse_limits(struct process *process, struct lines *lines)
{
	struct text line;

	while (lines_next(lines, &line)) {
		if (text_skip(&line, "Max locked memory"))
			process->locked_limit = parse_limit(line);
		else if (text_skip(&line, "Max open files"))
			process->descriptor_limit = parse_limit(line);
	}
}

/*
 * "PID (NAME) S ppid ..." with any bytes in NAME: the fields are counted from
 * the last parenthesis.
 */
int64_t
proc_parse_stat(struct text text, uint64_t *flags)
{
	const uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t fields[16] = { 0 };
	const char *end = memrchr(text.at, ')', text.size);

	if (end == NULL)
		return UNKNOWN;
	text.size -= (size_t)(end + 1 - text.at);
	text.at = end + 1;
	for (unsigned i = 3; i < 16; i++) {
		struct text word = text_word(&text);

		text_decimal(&word, &fields[i]);
	}
	*flags = fields[9];
	if (fields[14] > 1u << 30 || fields[15] > 1u << 30)
		return UNKNOWN;
	return (int64_t)((fields[14] + fields[15]) * tick_us);
}

void
proc_read_comm(int proc, pid_t pid, char *comm, size_t size)
{
	char path[32];
	int count;

	snprintf(path, sizeof(path), "%d/comm", (int)pid);
	count = text_slurp(proc, path, comm, size);
	/* Its own newline; others belong to the name. */
	if (count > 0 && comm[count - 1] == '\n')
		comm[count - 1] = '\0';
}

char *
proc_parse_cgroup(struct lines *lines)
{
	struct text line;
	char *path = NULL;

	while (path == NULL && lines_next(lines, &line)) {
		/* "0::/path" of version 2; else "4:memory:/path". */
		bool wanted = text_skip(&line, "0::");
		const char *at = memchr(line.at, '/', line.size);

		if (!wanted && (at == NULL || memmem(line.at,
		    (size_t)(at - line.at), ":memory:", 8) == NULL))
			continue;
		if (at == NULL)
			continue;
		line.size -= (size_t)(at - line.at);
		line.at = at;
		path = must_grow(NULL, line.size + 1, 1);
		text_copy(line, path, line.size + 1);
	}
	return path;
}

char *
proc_read_cgroup(int proc, const char *folder)
{
	struct lines lines;
	char *path;

	if (!open_lines(&lines, proc, folder, "cgroup"))
		return NULL;
	path = proc_parse_cgroup(&lines);
	close(lines.fd);
	return path;
}

bool
proc_is_kernel_thread(int proc, pid_t pid)
{
	char path[32], bytes[512];
	uint64_t flags = 0;
	int count;

	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	count = text_slurp(proc, path, bytes, sizeof(bytes));
	if (count <= 0)
		return false;
	proc_parse_stat((struct text) { bytes, (size_t)count }, &flags);
	return flags & KERNEL_THREAD;
}

/*
 * The number of a thread for itself: in its own PID namespace, the last one of
 * NSpid. `name` is its directory, and so its number for us.
 */
static uint64_t
inner_number(int proc, pid_t pid, const char *name)
{
	char path[48];
	struct lines lines;
	struct text line = { name, strlen(name) };
	uint64_t number = 0;
	bool found = false;

	/* Without PID namespaces the kernel has no such line. */
	text_decimal(&line, &number);
	snprintf(path, sizeof(path), "%d/task/%.16s", (int)pid, name);
	if (!open_lines(&lines, proc, path, "status"))
		return 0;
	while (!found && lines_next(&lines, &line))
		found = text_skip(&line, "NSpid:");
	close(lines.fd);
	if (!found)
		return number;
	do
		text_skip_blanks(&line);
	while (text_decimal(&line, &number));
	return number;
}

/* Our number of the thread that has the number `tid` for itself; 0: none. */
static uint64_t
outer_number(int proc, pid_t pid, uint64_t tid)
{
	struct text text;
	struct names tasks;
	const char *name;
	char own[32];
	uint64_t number = 0;
	int fd;

	snprintf(own, sizeof(own), "%llu", (unsigned long long)tid);
	if (inner_number(proc, pid, own) == tid)
		return tid;
	snprintf(own, sizeof(own), "%d/task", (int)pid);
	fd = openat(proc, own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	names_of(&tasks, fd);
	while (number == 0 && (name = names_next(&tasks)) != NULL) {
		text = (struct text) { name, strlen(name) };
		if (name[0] != '.' && inner_number(proc, pid, name) == tid)
			text_decimal(&text, &number);
	}
	close(fd);
	return number;
}

char
proc_thread_state(int proc, pid_t pid, uint64_t tid)
{
	char path[64], bytes[512];
	const char *end;
	int count;

	snprintf(path, sizeof(path), "%d/task/%llu/stat", (int)pid,
	    (unsigned long long)tid);
	count = text_slurp(proc, path, bytes, sizeof(bytes));
	end = count <= 0 ? NULL : strrchr(bytes, ')');
	return end == NULL || end[1] != ' ' ? '\0' : end[2];
}

char
proc_inner_thread_state(int proc, pid_t pid, uint64_t tid)
{
	const uint64_t outer = tid == 0 ? 0 : outer_number(proc, pid, tid);

	return outer == 0 ? '\0' : proc_thread_state(proc, pid, outer);
}

const char *
proc_denied_hint(bool root, uint64_t capabilities)
{
	if (capabilities >> CAP_SYS_PTRACE & 1)
		return "not even with CAP_SYS_PTRACE";
	return root ? "CAP_SYS_PTRACE is missing" : "try as root";
}

/* One thread: is it one of a ring, and what has it used? */
static void
count_thread(int proc, struct process *process, const char *thread)
{
	char path[96], bytes[512];
	uint64_t flags;
	int64_t cpu;
	int count;
	bool worker;

	snprintf(path, sizeof(path), "%d/task/%.16s/comm", (int)process->pid,
	    thread);
	count = text_slurp(proc, path, bytes, sizeof(bytes));
	if (count < 8)
		return;
	worker = memcmp(bytes, "iou-wrk-", 8) == 0;
	if (!worker && memcmp(bytes, "iou-sqp-", 8) != 0)
		return;
	snprintf(path, sizeof(path), "%d/task/%.16s/stat", (int)process->pid,
	    thread);
	count = text_slurp(proc, path, bytes, sizeof(bytes));
	cpu = count <= 0 ? 0 :
	    proc_parse_stat((struct text) { bytes, (size_t)count }, &flags);
	if (worker) {
		process->workers++;
		process->worker_cpu_us += cpu > 0 ? cpu : 0;
	} else {
		process->sqthreads++;
		process->sqthread_cpu_us += cpu > 0 ? cpu : 0;
	}
}

/* The kernel counts the directories of threads as links: "." and ".." too. */
static bool
has_one_thread(int proc, const char *tasks)
{
	struct stat status;

	return fstatat(proc, tasks, &status, 0) == 0 && status.st_nlink == 3;
}

void
proc_read_threads(int proc, struct process *process)
{
	char path[32];
	struct names tasks;
	const char *name;
	int fd = -1;

	snprintf(path, sizeof(path), "%d/task", (int)process->pid);
	if (!has_one_thread(proc, path)) {
		fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return;
	}
	process->workers = process->sqthreads = 0;
	process->worker_cpu_us = process->sqthread_cpu_us = 0;
	if (fd < 0)
		return;
	names_of(&tasks, fd);
	while ((name = names_next(&tasks)) != NULL) {
		if (name[0] != '.')
			count_thread(proc, process, name);
	}
	close(fd);
}

/* That has this number on every kernel (PROC_USER_INIT_INO). */
static bool
in_first_namespace(int proc, const struct process *process)
{
	char path[48], name[32] = "";

	snprintf(path, sizeof(path), "%s/ns/user", process->folder);
	return readlinkat(proc, path, name, sizeof(name) - 1) > 0 &&
	    strcmp(name, "user:[4026531837]") == 0;
}

void
proc_read(int proc, struct process *process, unsigned want)
{
	struct lines lines;

	proc_read_comm(proc, process->pid, process->comm,
	    sizeof(process->comm));
	if (open_lines(&lines, proc, process->folder, "status")) {
		proc_parse_status(process, &lines);
		close(lines.fd);
	}
	if (want & WANT_LIMITS &&
	    open_lines(&lines, proc, process->folder, "limits")) {
		proc_parse_limits(process, &lines);
		close(lines.fd);
		process->first_namespace = in_first_namespace(proc, process);
	}
	if (want & WANT_CGROUP && process->cgroup == NULL)
		process->cgroup = proc_read_cgroup(proc, process->folder);
	if (want & WANT_THREADS)
		proc_read_threads(proc, process);
}
