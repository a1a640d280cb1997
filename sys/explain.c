/* SPDX-License-Identifier: MIT */
/*
 * explain.c - from an errno to one cause, the values that show it, one fix.
 *
 * It works where there is least to go by: in an empty root without /proc, on
 * a fiber's stack, with no descriptor and no memory left. What cannot be read
 * is left out of the text and decides nothing.
 */
#include "sys/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/trap.h"

#define SYSCTL "/proc/sys/kernel/"
#define MAX_GROUPS 256		/* 1 KiB of stack */

enum clue {
	ALWAYS,			/* no clue is needed */
	NOT_MEMBER, BY_SYSCTL, SYSCTL_HIDDEN, DOCKER_DESKTOP, FILTER,
	UNIT_FILTER, GVISOR, BEFORE_5_1, BEFORE_6_1, NOT_BUILT, NOT_PASSED_ON,
	BY_MEMLOCK, MEMLOCK_SUSPECTED, UNIT_SUSPECTED, FILTER_SUSPECTED,
	BY_SIZES, CLUES,
};

struct facts {
	int error;		/* positive */
	bool setup;		/* the call is io_uring_setup(2) */
	int probe;		/* what io_uring_enter(2) makes of fd -1 */
	int seccomp;		/* SECCOMP_MODE_, or -1: not known */
	long disabled;		/* kernel.io_uring_disabled, or -1: not there */
	long group;		/* kernel.io_uring_group, or -1: none */
	bool exempt;		/* from the group: a member, or privileged */
	bool unlimited;		/* RLIMIT_MEMLOCK does not apply */
	uint64_t memory;	/* needed, in bytes */
	uint64_t memlock;	/* UINT64_MAX: no limit */
	uint64_t nofile;
	long release;		/* major * 1000 + minor */
	struct utsname system;
	bool holds[CLUES];	/* what follows from all that */
};

#define FIX_UNIT "add SystemCallFilter=@aio to the systemd unit"
#define FIX_PROFILE "allow io_uring_setup, io_uring_enter and " \
	"io_uring_register in the container's seccomp profile (Docker, " \
	"Podman: --security-opt seccomp=FILE; Kubernetes: seccompProfile)"
#define FIX_MEMLOCK "raise RLIMIT_MEMLOCK (ulimit -l; systemd: " \
	"LimitMEMLOCK=; Docker: --ulimit memlock=)"

/*
 * The first row that holds is the cause. What is certain comes first; what is
 * likely, and could not be checked, says "probably".
 */
static const struct cause {
	int error;		/* 0: any */
	enum clue clue;
	const char *text;
	const char *fix;
} causes[] = {
	{ EPERM, NOT_MEMBER, "kept to one group by a sysctl",
	    "add this user to the group that kernel.io_uring_group names" },
	{ EPERM, BY_SYSCTL, "switched off by a sysctl",
	    "set kernel.io_uring_disabled to 0 on the host" },
	{ EPERM, DOCKER_DESKTOP, "blocked by Docker Desktop in every container",
	    "use Docker Engine in a Linux virtual machine" },
	{ ENOSYS, GVISOR, "not implemented by the gVisor sandbox",
	    "run it outside gVisor" },
	{ ENOSYS, BEFORE_5_1, "the kernel is too old",
	    "use Linux 6.1 or later (on WSL: WSL 2, and wsl --update)" },
	{ ENOSYS, NOT_BUILT, "the kernel is built without io_uring",
	    "use a kernel with CONFIG_IO_URING=y" },
	{ 0, UNIT_FILTER, "blocked by a seccomp filter", FIX_UNIT },
	{ 0, FILTER, "blocked by a seccomp filter", FIX_PROFILE },
	{ 0, UNIT_SUSPECTED, "probably blocked by a seccomp filter", FIX_UNIT },
	{ 0, FILTER_SUSPECTED, "probably blocked by a seccomp filter",
	    FIX_PROFILE },
	{ EPERM, SYSCTL_HIDDEN, "probably switched off by a sysctl, which "
	    "cannot be read without /proc",
	    "set kernel.io_uring_disabled to 0 on the host" },
	{ EPERM, ALWAYS, "refused by a Linux security module or a sandbox",
	    "allow io_uring in its policy" },
	{ EACCES, ALWAYS, "refused by a Linux security module",
	    "allow io_uring in its policy" },
	{ ENOSYS, NOT_PASSED_ON, "the kernel has it, but the emulator or "
	    "sandbox that runs this program does not pass it on",
	    "run the program without it" },
	{ ENOSYS, ALWAYS, "the kernel is built without io_uring",
	    "use a kernel with CONFIG_IO_URING=y" },
	{ EOPNOTSUPP, ALWAYS, "not offered by this platform (an answer that "
	    "Linux itself never gives)", "ask its operator for io_uring" },
	{ ENOMEM, BY_MEMLOCK, "too little memory may be locked", FIX_MEMLOCK },
	{ ENOMEM, MEMLOCK_SUSPECTED, "probably too little memory may be locked",
	    FIX_MEMLOCK },
	{ ENOMEM, ALWAYS, "the kernel has no memory left for the ring",
	    "give the machine, or the container's cgroup, more memory" },
	{ EMFILE, ALWAYS, "this process has no descriptor left",
	    "raise RLIMIT_NOFILE (ulimit -n; systemd: LimitNOFILE=)" },
	{ ENFILE, ALWAYS, "the whole system has no open file left",
	    "raise the sysctl fs.file-max" },
	{ EINVAL, BEFORE_6_1, "the kernel is too old",
	    "use Linux 6.1 or later (on WSL: wsl --update)" },
	{ EINVAL, BY_SIZES, "the sizes of the ring were refused",
	    "ask for 1 to 32768 SQ entries and 65536 CQ entries at most" },
	{ 0, ALWAYS, "refused for a reason that Linux does not document",
	    "look in the kernel log" },
};

static long
read_number(const char *path)
{
	char digits[24] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int count;

	if (fd < 0)
		return -1;
	count = torc_sys_read(fd, digits, sizeof(digits) - 1);
	torc_sys_close(fd);
	return count > 0 ? torc_number(digits, NULL) : -1;
}

static bool
in_group(long group)
{
	gid_t groups[MAX_GROUPS];
	int count = getgroups(MAX_GROUPS, groups);

	while (group >= 0 && count-- > 0) {
		if (groups[count] == (gid_t)group)
			return true;
	}
	return group >= 0 && getegid() == (gid_t)group;
}

/*
 * The kernel asks for capabilities over the machine, which root in a user
 * namespace does not have, whatever its own set says. The initial namespace
 * has this number on every kernel (PROC_USER_INIT_INO).
 */
static bool
has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[2];
	char name[32] = "";

	if (readlink("/proc/self/ns/user", name, sizeof(name) - 1) > 0 &&
	    strcmp(name, "user:[4026531837]") != 0)
		return false;
	return syscall(__NR_capget, &header, sets) == 0 &&
	    sets[0].effective >> capability & 1;
}

static void
read_facts(struct facts *facts, const char *call, int error, uint64_t memory)
{
	const char *minor;

	memset(facts, 0, sizeof(*facts));
	facts->error = -error;
	facts->setup = strcmp(call, "io_uring_setup") == 0;
	facts->memory = memory;
	facts->probe = torc_sys_enter(-1, 0, 0, 0, NULL, 0);
	facts->seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
	facts->disabled = read_number(SYSCTL "io_uring_disabled");
	facts->group = read_number(SYSCTL "io_uring_group");
	facts->exempt = has_capability(CAP_SYS_ADMIN) || in_group(facts->group);
	facts->unlimited = has_capability(CAP_IPC_LOCK);
	torc_sys_rlimit(RLIMIT_MEMLOCK, &facts->memlock);
	torc_sys_rlimit(RLIMIT_NOFILE, &facts->nofile);
	uname(&facts->system);
	facts->release = torc_number(facts->system.release, &minor) * 1000;
	if (*minor == '.')
		facts->release += torc_number(minor + 1, NULL);
}

/* There is a filter, and it may answer this. */
static bool
may_be_filtered(const struct facts *facts)
{
	return facts->seccomp == SECCOMP_MODE_FILTER &&
	    (facts->error == EPERM || facts->error == ENOSYS ||
	    facts->error == EOPNOTSUPP);
}

/*
 * And the kernel does not: by its answer to the probe, which no kernel gives
 * by itself; or since it has io_uring, as its sysctl shows. Where /proc is not
 * there to show it, a kernel that is new enough is taken to have it: only
 * CONFIG_EXPERT leaves it out.
 */
static bool
is_filtered(const struct facts *facts)
{
	if (facts->error != ENOSYS && facts->probe == -facts->error)
		return true;
	return may_be_filtered(facts) && (facts->error == EOPNOTSUPP ||
	    (facts->error == ENOSYS && (facts->disabled >= 0 ||
	    facts->release >= 6006)));
}

/* A strstr() that adds little to a static program. */
static bool
has(const char *text, const char *part)
{
	while (*text != '\0' && strncmp(text, part, strlen(part)) != 0)
		text++;
	return *text != '\0';
}

static void
weigh(struct facts *facts)
{
	const char *release = facts->system.release;
	/* Every kernel since 6.6 that has io_uring has the sysctl. */
	const bool no_sysctl = facts->disabled < 0 && facts->release >= 6006;
	const bool no_proc = access(SYSCTL "osrelease", F_OK) != 0;
	const bool outside = facts->disabled == 1 && !facts->exempt;
	const bool filtered = is_filtered(facts);
	const bool in_unit = getenv("INVOCATION_ID") != NULL;
	const bool limited = !facts->unlimited &&
	    facts->memlock != UINT64_MAX;
	bool *holds = facts->holds;

	holds[ALWAYS] = true;
	holds[NOT_MEMBER] = outside && facts->group >= 0;
	holds[BY_SYSCTL] = outside || facts->disabled == 2;
	holds[SYSCTL_HIDDEN] = no_sysctl && no_proc;
	holds[NOT_BUILT] = no_sysctl && !no_proc;
	holds[DOCKER_DESKTOP] = has(release, "linuxkit");
	holds[FILTER] = filtered;
	holds[FILTER_SUSPECTED] = may_be_filtered(facts);
	holds[UNIT_SUSPECTED] = holds[FILTER_SUSPECTED] && in_unit;
	holds[UNIT_FILTER] = filtered && in_unit;
	/* By its release, before 2025 by its date. */
	holds[GVISOR] = has(release, "gvisor") ||
	    has(facts->system.version, "15:06:54 PST 2016");
	holds[BEFORE_5_1] = facts->release < 5001;
	holds[BEFORE_6_1] = facts->release < 6001;
	holds[NOT_PASSED_ON] = facts->disabled >= 0 || facts->probe == -EBADF;
	/* The limit is asked since 6.14, or a backport. How much of it this
	 * user has taken is told nowhere. */
	holds[BY_MEMLOCK] = limited && facts->memory > facts->memlock;
	holds[MEMLOCK_SUSPECTED] = limited && facts->release >= 6014;
	holds[BY_SIZES] = facts->setup;
}

struct text {
	char *at;
	size_t room;
};

__attribute__((format(printf, 2, 3)))
static void
add(struct text *text, const char *format, ...)
{
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(text->at, text->room, format, list);
	va_end(list);
	if (length < 0)
		return;
	if ((size_t)length > text->room)
		length = (int)text->room;
	text->at += length;
	text->room -= (size_t)length;
}

static void
add_name(struct text *text, const char *call, int error)
{
	static const struct {
		int error;
		char name[12];
	} names[] = {
		{ EPERM, "EPERM" }, { EACCES, "EACCES" }, { ENOSYS, "ENOSYS" },
		{ EOPNOTSUPP, "EOPNOTSUPP" }, { ENOMEM, "ENOMEM" },
		{ EMFILE, "EMFILE" }, { ENFILE, "ENFILE" },
		{ EINVAL, "EINVAL" }, { EFAULT, "EFAULT" },
		{ EAGAIN, "EAGAIN" }, { EBUSY, "EBUSY" }, { EINTR, "EINTR" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].error == error) {
			add(text, "%s: %s: ", call, names[i].name);
			return;
		}
	}
	add(text, "%s: errno %d: ", call, error);
}

static void
add_access(struct text *text, const struct facts *facts)
{
	if (facts->seccomp >= 0)
		add(text, ", Seccomp: %d", facts->seccomp);
	if (facts->disabled >= 0)
		add(text, ", kernel.io_uring_disabled = %ld", facts->disabled);
	if (facts->disabled == 1)
		add(text, ", kernel.io_uring_group = %ld, %s", facts->group,
		    facts->exempt ? "exempt" : "not a member");
}

/*
 * Rings and buffers are charged to the user, not to a process. No file says
 * how much that is (VmLck is other memory), but a bound follows.
 */
static void
add_memory(struct text *text, const struct facts *facts)
{
	const unsigned long long need = (facts->memory + 1023) / 1024;
	const unsigned long long limit = facts->memlock / 1024;

	if (need > 0)
		add(text, ", needs %llu KiB", need);
	if (!facts->holds[BY_MEMLOCK] && !facts->holds[MEMLOCK_SUSPECTED])
		add(text, ", RLIMIT_MEMLOCK does not matter here");
	else if (need == 0 || need > limit)
		add(text, ", RLIMIT_MEMLOCK %llu KiB", limit);
	else
		add(text, ", RLIMIT_MEMLOCK %llu KiB: if that is the cause, "
		    "this user has locked more than %llu KiB already", limit,
		    limit - need);
}

void
torc_explain_call(char *text, size_t size, const char *call, int error,
    uint64_t memory)
{
	struct text rest = { text, size };
	const struct cause *cause = causes;
	struct facts facts;

	read_facts(&facts, call, error, memory);
	weigh(&facts);
	while ((cause->error != 0 && cause->error != facts.error) ||
	    !facts.holds[cause->clue])
		cause++;
	add_name(&rest, call, facts.error);
	add(&rest, "%s (Linux %s", cause->text, facts.system.release);
	if (facts.error == ENOMEM)
		add_memory(&rest, &facts);
	else if (facts.error == EMFILE)
		add(&rest, ", RLIMIT_NOFILE %llu",
		    (unsigned long long)facts.nofile);
	else if (facts.error != EINVAL)
		add_access(&rest, &facts);
	add(&rest, "): %s", cause->fix);
}

void
torc_explain(char *text, size_t size, int error, uint64_t memory)
{
	torc_explain_call(text, size, "io_uring_setup", error, memory);
}
