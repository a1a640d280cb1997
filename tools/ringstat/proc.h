/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what /proc says of a process besides its rings.
 */
#ifndef RINGSTAT_PROC_H
#define RINGSTAT_PROC_H

#include "tools/ringstat/model.h"

/*
 * The names in a directory. There are thousands of directories in a walk over
 * /proc: readdir(3) would ask for memory for each, and make three more calls.
 */
struct names {
	int fd;
	int error;		/* negative: of reading, which it ended */
	size_t at;
	size_t size;		/* of what was read */
	_Alignas(uint64_t) char bytes[32768];
};

/* Of the directory `fd`, which stays the caller's. */
void names_of(struct names *names, int fd);
/* The next one, good until the next call, or NULL. */
const char *names_next(struct names *names);

/* /proc, opened; all paths are relative to it. A negative errno: -ENODEV when
 * nothing is mounted there. */
int proc_open(void);

/* Each reads one file's text into `process`; lines it does not know are left
 * out. */
void proc_parse_status(struct process *process, struct lines *lines);
void proc_parse_limits(struct process *process, struct lines *lines);
/* The CPU time (us) of the text of a "stat" file, or UNKNOWN; its flags. */
int64_t proc_parse_stat(struct text text, uint64_t *flags);
/* The path of a cgroup, to be freed, or NULL. */
char *proc_parse_cgroup(struct lines *lines);

/* The name of a process, terminated; empty if it has gone. */
void proc_read_comm(int proc, pid_t pid, char *comm, size_t size);
/* Name, user, locked memory; what else `want` asks for. */
void proc_read(int proc, struct process *process, unsigned want);
/* As proc_parse_cgroup, of a process or thread. */
char *proc_read_cgroup(int proc, const char *folder);
/* A kernel thread, which has no descriptors. */
bool proc_is_kernel_thread(int proc, pid_t pid);
/* What a user whose effective capabilities these are may do about descriptors
 * that may not be read; no more is said than is known. */
const char *proc_denied_hint(bool root, uint64_t capabilities);
/* The state of a thread of a process: 'R', 'S' and so on; 0: not known. */
char proc_thread_state(int proc, pid_t pid, uint64_t tid);
/* As that, by the number that the thread has for itself: in a container, it is
 * another one than ours. */
char proc_inner_thread_state(int proc, pid_t pid, uint64_t tid);
/* Count iou-wrk-* and iou-sqp-*; what they used of the CPU. */
void proc_read_threads(int proc, struct process *process);

#endif
