/* SPDX-License-Identifier: MIT */
/*
 * test_explain.c - each refusal of io_uring gets its one cause.
 *
 * Where a process can bring a refusal about, it does: a child installs a real
 * seccomp filter, gives up its privileges, uses up a limit or enters an empty
 * root, asks the kernel for a ring, and sends back what torc_explain() makes
 * of the answer. Kernels and sysctls that this machine does not have are put
 * in place of the real ones at link time.
 *
 * wrap: open uname torc_sys_enter torc_sys_rlimit
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/seam.h"

#include "reactor/torc_runtime.h"
#include "sys/explain.h"
#include "sys/pages.h"
#include "sys/switch.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define SETUP 425
#define REGISTER 427
#define RING_MEMORY (132u * 1024)	/* 1024 SQEs, 4096 CQEs */
#define OUTSIDER 61234			/* a user and group of nobody else */
#define NO_NAMESPACE "user namespaces are not allowed here, or not to a " \
	"process with threads, which a sanitizer may have made it"
#define MISSING "missing"		/* for a sysctl: there is no file */

/* What every cause is known by. A text names exactly one of them. */
static const char *const cause_phrases[] = {
	"kept to one group by a sysctl",
	" switched off by a sysctl (",
	"probably switched off by a sysctl, which",
	"blocked by a seccomp filter",
	"blocked by Docker Desktop",
	"gVisor sandbox",
	"kernel is too old",
	"built without io_uring",
	"does not pass it on",
	"refused by a Linux security module or a sandbox",
	"refused by a Linux security module (",
	"not offered by this platform",
	"too little memory may be locked",
	"kernel has no memory left",
	"this process has no descriptor left",
	"whole system has no open file left",
	"sizes of the ring were refused",
	"reason that Linux does not document",
};
enum phrase {
	ONE_GROUP, SYSCTL, HIDDEN_SYSCTL, FILTER, DOCKER_DESKTOP, GVISOR,
	TOO_OLD, NOT_BUILT, NOT_PASSED_ON, MODULE, MODULE_EACCES, PLATFORM,
	MEMLOCK, NO_MEMORY, NO_DESCRIPTOR, NO_FILE, SIZES, UNDOCUMENTED,
	PHRASES,
};
_Static_assert(PHRASES == sizeof(cause_phrases) / sizeof(cause_phrases[0]),
    "one phrase for each name");

/* What stands in for the machine's own; NULL or 0: nothing does. */
static struct {
	const char *disabled;
	const char *group;
	const char *release;
	const char *version;
	int probe;
	bool no_limits;
} machine;

static int
open_text(const char *text)
{
	int ends[2];

	if (strcmp(text, MISSING) == 0) {
		errno = ENOENT;
		return -1;
	}
	if (pipe(ends) < 0)
		return -1;
	if (write(ends[1], text, strlen(text)) < 0)
		abort();
	close(ends[1]);
	return ends[0];
}

int
__wrap_open(const char *path, int flags, ...)
{
	if (machine.disabled && strstr(path, "kernel/io_uring_disabled"))
		return open_text(machine.disabled);
	if (machine.group && strstr(path, "kernel/io_uring_group"))
		return open_text(machine.group);
	return __real_open(path, flags, 0600);
}

int
__wrap_uname(struct utsname *system)
{
	int rc = __real_uname(system);

	if (machine.release)
		strncpy(system->release, machine.release,
		    sizeof(system->release) - 1);
	if (machine.version)
		strncpy(system->version, machine.version,
		    sizeof(system->version) - 1);
	return rc;
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	if (machine.probe != 0)
		return machine.probe;
	return __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
}

int
__wrap_torc_sys_rlimit(int resource, uint64_t *soft)
{
	int rc = __real_torc_sys_rlimit(resource, soft);

	if (machine.no_limits)
		*soft = UINT64_MAX;
	return rc;
}

static int
leave_machine(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	return 0;
}

static void
skip_because(const char *reason)
{
	print_message("SKIP: %s\n", reason);
	skip();
}

static void
need_root(void)
{
	if (geteuid() != 0)
		skip_because("needs root");
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("not \"%s\" in: %s", part, text);
}

static void
assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" in: %s", part, text);
}

/* The text is one line, has a fix, and names `phrase` and no other cause. */
static void
assert_cause(const char *text, enum phrase phrase)
{
	assert_has(text, "io_uring_setup: ");
	assert_has(text, cause_phrases[phrase]);
	assert_has(text, "): ");
	assert_true(strlen(strstr(text, "): ")) > strlen("): "));
	assert_lacks(text, "\n");
	for (unsigned i = 0; i < PHRASES; i++) {
		if (i != (unsigned)phrase)
			assert_lacks(text, cause_phrases[i]);
	}
}

/* Children. They may not assert: what goes wrong is their exit status. */

struct filter {
	uint32_t first;		/* system calls from here */
	uint32_t last;		/* to here */
	int error;		/* fail with this */
	bool prctl;		/* and so does prctl(2) */
};

static void
install_filter(const struct filter *filter)
{
	const uint32_t refuse = SECCOMP_RET_ERRNO | (uint32_t)filter->error;
	/* No system call has the number ~0. */
	const uint32_t also = filter->prctl ? __NR_prctl : ~0u;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, also, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, filter->first, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, filter->last, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, refuse),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(10);
}

static void
become_outsider(void)
{
	if (setgroups(0, NULL) < 0 || setgid(OUTSIDER) < 0 ||
	    setuid(OUTSIDER) < 0)
		_exit(11);
}

static void
limit_memlock(rlim_t bytes)
{
	const struct rlimit bound = { bytes, bytes };

	if (setrlimit(RLIMIT_MEMLOCK, &bound) < 0)
		_exit(12);
}

static int
small_ring(void)
{
	struct io_uring_params params = { 0 };

	return torc_sys_setup(4, &params);
}

/* As many rings as it takes to fail, but no more than a hundred. */
static int
many_rings(uint32_t entries)
{
	int rc = 0;

	for (int i = 0; rc >= 0 && i < 100; i++) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_CQSIZE,
			.cq_entries = entries * 4,
		};

		rc = torc_sys_setup(entries, &params);
	}
	return rc;
}

struct answer {
	int rc;			/* of the first try */
	int control;		/* of a second one, without the obstacle */
	char text[1024];
};

/*
 * A situation returns what the kernel said to a ring. It may set `control`.
 */
typedef int situation_fn(struct answer *answer, const void *arg);

static struct answer
ask(situation_fn *situation, const void *arg)
{
	struct answer answer = { 0 };
	int ends[2];
	int status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		answer.rc = situation(&answer, arg);
		if (answer.rc < 0 && answer.text[0] == '\0')
			torc_explain(answer.text, sizeof(answer.text),
			    answer.rc, RING_MEMORY);
		_exit(write(ends[1], &answer, sizeof(answer)) !=
		    sizeof(answer));
	}
	close(ends[1]);
	if (read(ends[0], &answer, sizeof(answer)) != sizeof(answer))
		answer.rc = 1;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return answer;
}

static int
unhindered(struct answer *answer, const void *arg)
{
	(void)answer;
	(void)arg;
	return small_ring();
}

static void
without_an_obstacle_the_kernel_gives_a_ring(void **state)
{
	struct answer answer = ask(unhindered, NULL);

	(void)state;
	if (answer.rc < 0)
		fail_msg("%s", answer.text);
}

/* Seccomp. */

static int
filtered(struct answer *answer, const void *arg)
{
	(void)answer;
	unsetenv("INVOCATION_ID");
	install_filter(arg);
	return small_ring();
}

static void
assert_filter_named(int error, const char *name)
{
	struct filter filter = { SETUP, SETUP, error, false };
	struct answer answer = ask(filtered, &filter);

	assert_int_equal(answer.rc, -error);
	assert_cause(answer.text, FILTER);
	assert_has(answer.text, name);
	assert_has(answer.text, "Seccomp: 2");
	assert_has(answer.text, "Linux ");
	assert_has(answer.text, "allow io_uring_setup, io_uring_enter and "
	    "io_uring_register");
	assert_lacks(answer.text, "CONFIG_IO_URING");
	/* A filter as strict over a call that is not ours is no obstacle. */
	filter.first = filter.last = __NR_swapon;
	assert_true(ask(filtered, &filter).rc >= 0);
}

static void
a_filter_that_returns_eperm_is_named_and_not_the_kernel(void **state)
{
	(void)state;
	assert_filter_named(EPERM, ": EPERM: ");
}

static void
a_filter_that_returns_enosys_is_named_and_not_the_kernel(void **state)
{
	(void)state;
	assert_filter_named(ENOSYS, ": ENOSYS: ");
}

static void
a_filter_that_returns_eopnotsupp_is_named(void **state)
{
	(void)state;
	assert_filter_named(EOPNOTSUPP, ": EOPNOTSUPP: ");
}

static void
a_filter_that_hides_is_known_by_its_answer_to_a_bad_fd(void **state)
{
	const int errors[] = { EPERM, EACCES, EOPNOTSUPP };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const struct filter filter = {
			SETUP, REGISTER, errors[i], true,
		};
		struct answer answer = ask(filtered, &filter);

		assert_int_equal(answer.rc, -errors[i]);
		assert_cause(answer.text, FILTER);
		assert_lacks(answer.text, "Seccomp:");
	}
}

static void
a_filter_that_was_not_seen_to_block_is_only_suspected(void **state)
{
	const struct filter setup = { SETUP, SETUP, EPERM, false };
	const struct filter all = { SETUP, REGISTER, EPERM, false };
	const struct filter absent = { SETUP, SETUP, ENOSYS, false };

	(void)state;
	/* The kernel could say the same, for a security module. */
	assert_has(ask(filtered, &setup).text, ": EPERM: probably blocked by");
	assert_has(ask(filtered, &all).text, ": EPERM: blocked by");
	/* It has io_uring, as its sysctl shows; or that is not known. */
	machine.disabled = "0\n";
	assert_has(ask(filtered, &absent).text, ": ENOSYS: blocked by");
	machine.disabled = MISSING;
	machine.release = "6.1.0";
	assert_has(ask(filtered, &absent).text,
	    ": ENOSYS: probably blocked by");
}

static int
filtered_in_a_unit(struct answer *answer, const void *arg)
{
	(void)answer;
	setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	install_filter(arg);
	return small_ring();
}

static void
in_a_systemd_unit_the_fix_names_the_directive(void **state)
{
	const struct filter filter = { SETUP, REGISTER, EPERM, false };
	struct answer unit = ask(filtered_in_a_unit, &filter);
	struct answer other = ask(filtered, &filter);

	(void)state;
	assert_cause(unit.text, FILTER);
	assert_has(unit.text, "SystemCallFilter=@aio");
	assert_lacks(unit.text, "container's seccomp profile");
	assert_cause(other.text, FILTER);
	assert_lacks(other.text, "SystemCallFilter");
	assert_has(other.text, "container's seccomp profile");
}

/* The sysctls, and who is exempt from them. */

struct user {
	bool outsider;
	bool namespace;		/* root, but of a namespace of its own */
	long group;		/* a member of it; 0: of none */
	const struct filter *filter;
	int error;		/* what to explain, if no ring was asked for */
};

static int
as_user(struct answer *answer, const void *arg)
{
	const struct user *user = arg;
	gid_t group = (gid_t)user->group;

	unsetenv("INVOCATION_ID");
	if (user->group != 0 && setgroups(1, &group) < 0)
		_exit(13);
	if (user->outsider && user->group == 0)
		become_outsider();
	else if (user->outsider && setuid(OUTSIDER) < 0)
		_exit(14);
	if (user->namespace && unshare(CLONE_NEWUSER) < 0) {
		answer->control = -errno;
		return 0;
	}
	if (user->filter == NULL)
		return user->error;
	install_filter(user->filter);
	return small_ring();
}

static void
a_sysctl_of_2_is_named_for_root_too(void **state)
{
	const struct user user = { .error = -EPERM };
	struct answer answer;

	(void)state;
	machine.disabled = "2\n";
	machine.group = "-1\n";
	answer = ask(as_user, &user);
	assert_cause(answer.text, SYSCTL);
	assert_has(answer.text, ": EPERM: ");
	assert_has(answer.text, "kernel.io_uring_disabled = 2");
	assert_has(answer.text, "set kernel.io_uring_disabled to 0");
	/* Under the same error, a sysctl of 0 is not the cause. */
	machine.disabled = "0\n";
	answer = ask(as_user, &user);
	assert_cause(answer.text, MODULE);
	assert_has(answer.text, "kernel.io_uring_disabled = 0");
}

static void
a_sysctl_that_blocks_is_named_before_a_filter_that_may(void **state)
{
	const struct filter filter = { SETUP, SETUP, EPERM, false };
	struct answer answer;

	(void)state;
	machine.disabled = "2\n";
	answer = ask(filtered, &filter);
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, SYSCTL);
	assert_has(answer.text, "Seccomp: 2");
}

static void
a_sysctl_of_1_is_named_to_a_user_outside_its_group(void **state)
{
	const struct user user = { .outsider = true, .error = -EPERM };
	struct answer answer;

	(void)state;
	need_root();
	machine.disabled = "1\n";
	machine.group = "4321\n";
	answer = ask(as_user, &user);
	assert_cause(answer.text, ONE_GROUP);
	assert_has(answer.text, "kernel.io_uring_disabled = 1");
	assert_has(answer.text, "kernel.io_uring_group = 4321, not a member");
	assert_has(answer.text, "add this user to the group");
	/* With no group to join, the sysctl itself is the fix. */
	machine.group = "-1\n";
	answer = ask(as_user, &user);
	assert_cause(answer.text, SYSCTL);
	assert_has(answer.text, "set kernel.io_uring_disabled to 0");
}

static void
a_sysctl_of_1_exempts_a_member_of_its_group(void **state)
{
	const struct filter filter = { SETUP, SETUP, EPERM, false };
	struct user user = { .outsider = true, .group = 4321,
	    .filter = &filter };
	struct answer answer;

	(void)state;
	need_root();
	machine.disabled = "1\n";
	machine.group = "4321\n";
	answer = ask(as_user, &user);
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, FILTER);
	assert_has(answer.text, "kernel.io_uring_group = 4321, exempt");
	user.group = 4322;
	assert_cause(ask(as_user, &user).text, ONE_GROUP);
}

static void
a_sysctl_of_1_exempts_root_except_in_a_user_namespace(void **state)
{
	const struct filter filter = { SETUP, SETUP, EPERM, false };
	struct user user = { .filter = &filter };
	struct answer answer;

	(void)state;
	need_root();
	machine.disabled = "1\n";
	machine.group = "-1\n";
	assert_cause(ask(as_user, &user).text, FILTER);
	user.namespace = true;
	answer = ask(as_user, &user);
	if (answer.control < 0)
		skip_because(NO_NAMESPACE);
	assert_cause(answer.text, SYSCTL);
}

#define DISABLED "/proc/sys/kernel/io_uring_disabled"

static char sysctl_before[8];

static int
write_sysctl(const char *value)
{
	int fd = __real_open(DISABLED, O_WRONLY | O_CLOEXEC);
	ssize_t count;

	if (fd < 0)
		return -1;
	count = write(fd, value, strlen(value));
	close(fd);
	return count < 0 ? -1 : 0;
}

/* Once more, in case that the child was killed before it did. */
static int
restore_sysctl(void **state)
{
	if (sysctl_before[0] != '\0' && write_sysctl(sysctl_before) < 0)
		print_error("%s is no longer %s", DISABLED, sysctl_before);
	return leave_machine(state);
}

/*
 * The process keeps its right to write the sysctl and puts away those that
 * exempt it. No signal stops it before the old value is back.
 */
static int
under_real_sysctl(struct answer *answer, const void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (setegid(OUTSIDER) < 0 || write_sysctl(arg) < 0)
		_exit(16);
	if (seteuid(OUTSIDER) == 0) {
		answer->rc = small_ring();
		torc_explain(answer->text, sizeof(answer->text), answer->rc,
		    RING_MEMORY);
	}
	if (seteuid(0) < 0 || write_sysctl(sysctl_before) < 0)
		_exit(17);
	answer->control = seteuid(OUTSIDER) < 0 ? -1 : small_ring();
	return answer->rc;
}

static void
the_real_sysctl_is_named_and_its_absence_gives_a_ring(void **state)
{
	struct answer answer;
	int fd;

	(void)state;
	need_root();
	if (getenv("TORC_TEST_SYSCTL") == NULL)
		skip_because("needs TORC_TEST_SYSCTL=1: for a millisecond, no "
		    "program on the machine can make a ring");
	fd = __real_open(DISABLED, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		skip_because("this kernel has no kernel.io_uring_disabled");
	if (read(fd, sysctl_before, sizeof(sysctl_before) - 1) < 2)
		sysctl_before[0] = '\0';
	close(fd);
	if (strcmp(sysctl_before, "0\n") != 0)
		skip_because("kernel.io_uring_disabled is not 0 here");
	answer = ask(under_real_sysctl, "1\n");
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, SYSCTL);
	assert_has(answer.text, "kernel.io_uring_disabled = 1");
	assert_true(answer.control >= 0);
	answer = ask(under_real_sysctl, "2\n");
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, SYSCTL);
	assert_has(answer.text, "kernel.io_uring_disabled = 2");
	assert_true(answer.control >= 0);
}

/* An empty root. */

static int
in_empty_root(struct answer *answer, const void *arg)
{
	const struct user *user = arg;
	char path[] = "/tmp/test_explain.XXXXXX";

	(void)answer;
	unsetenv("INVOCATION_ID");
	if (mkdtemp(path) == NULL || chdir(path) < 0 || rmdir(path) < 0 ||
	    chroot(".") < 0)
		_exit(18);
	if (user->filter == NULL)
		return user->error;
	install_filter(user->filter);
	return small_ring();
}

static void
in_an_empty_root_a_filter_is_named_by_what_is_known(void **state)
{
	struct filter filter = { SETUP, SETUP, EPERM, false };
	const struct user user = { .filter = &filter };
	struct answer answer;

	(void)state;
	need_root();
	answer = ask(in_empty_root, &user);
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, FILTER);
	assert_has(answer.text, "Seccomp: 2");
	assert_lacks(answer.text, "io_uring_disabled");
	filter.error = ENOSYS;
	answer = ask(in_empty_root, &user);
	assert_int_equal(answer.rc, -ENOSYS);
	assert_cause(answer.text, FILTER);
	filter.first = filter.last = __NR_swapon;
	assert_true(ask(in_empty_root, &user).rc >= 0);
}

static void
in_an_empty_root_a_sysctl_is_only_suspected(void **state)
{
	const struct user user = { .error = -EPERM };
	struct answer answer;

	(void)state;
	need_root();
	machine.release = "6.6.0";
	answer = ask(in_empty_root, &user);
	assert_cause(answer.text, HIDDEN_SYSCTL);
	assert_lacks(answer.text, "io_uring_disabled =");
	/* Before 6.6 there was none to suspect. */
	machine.release = "6.1.0-10-amd64";
	assert_cause(ask(in_empty_root, &user).text, MODULE);
}

/* Memory. */

static int
short_of_memlock(struct answer *answer, const void *arg)
{
	(void)arg;
	limit_memlock(64 * 1024);
	answer->control = many_rings(1024) == -ENOMEM;
	become_outsider();
	return many_rings(1024);
}

static int
used_up_memlock(struct answer *answer, const void *arg)
{
	(void)answer;
	(void)arg;
	limit_memlock(1024 * 1024);
	become_outsider();
	return many_rings(1024);
}

static int
short_of_memlock_in_namespace(struct answer *answer, const void *arg)
{
	(void)arg;
	limit_memlock(64 * 1024);
	if (unshare(CLONE_NEWUSER) < 0) {
		answer->control = -errno;
		return 0;
	}
	return many_rings(1024);
}

static void
need_charged_rings(void)
{
	struct utsname system;

	__real_uname(&system);
	if (strtol(system.release, NULL, 10) < 6 ||
	    (strncmp(system.release, "6.", 2) == 0 &&
	    strtol(system.release + 2, NULL, 10) < 14))
		skip_because("rings are charged to RLIMIT_MEMLOCK since 6.14");
}

static void
a_small_memlock_is_named_with_the_limit_and_the_need(void **state)
{
	struct answer answer;

	(void)state;
	need_root();
	need_charged_rings();
	answer = ask(short_of_memlock, NULL);
	/* Root makes a hundred of them under the same limit. */
	assert_int_equal(answer.control, 0);
	assert_int_equal(answer.rc, -ENOMEM);
	assert_cause(answer.text, MEMLOCK);
	assert_has(answer.text, ": ENOMEM: too little");
	assert_has(answer.text, "needs 132 KiB, RLIMIT_MEMLOCK 64 KiB)");
	assert_has(answer.text, "raise RLIMIT_MEMLOCK");
}

static void
a_memlock_that_may_be_used_up_is_suspected_with_what_that_takes(void **state)
{
	struct answer answer;

	(void)state;
	need_root();
	need_charged_rings();
	answer = ask(used_up_memlock, NULL);
	assert_int_equal(answer.rc, -ENOMEM);
	assert_cause(answer.text, MEMLOCK);
	assert_has(answer.text, ": probably too little memory");
	assert_has(answer.text, "needs 132 KiB, RLIMIT_MEMLOCK 1024 KiB: if "
	    "that is the cause, this user has locked more than 892 KiB "
	    "already)");
}

static void
root_of_a_user_namespace_is_subject_to_memlock(void **state)
{
	struct answer answer;

	(void)state;
	need_root();
	need_charged_rings();
	answer = ask(short_of_memlock_in_namespace, NULL);
	if (answer.control < 0)
		skip_because(NO_NAMESPACE);
	assert_int_equal(answer.rc, -ENOMEM);
	assert_cause(answer.text, MEMLOCK);
}

static void
memlock_is_not_blamed_where_it_does_not_apply(void **state)
{
	struct user user = { .error = -ENOMEM };
	struct answer answer;

	(void)state;
	need_root();
	machine.release = "6.14.0";
	answer = ask(as_user, &user);
	assert_cause(answer.text, NO_MEMORY);
	assert_has(answer.text, "needs 132 KiB");
	assert_lacks(answer.text, "raise RLIMIT_MEMLOCK");
	user.outsider = true;
	assert_cause(ask(as_user, &user).text, MEMLOCK);
	machine.no_limits = true;
	assert_cause(ask(as_user, &user).text, NO_MEMORY);
	/* A limit that is wide enough for one ring, and rings are free. */
	machine.no_limits = false;
	machine.release = "6.13.12";
	assert_cause(ask(as_user, &user).text, NO_MEMORY);
}

static void
the_sizes_of_a_ring_are_not_blamed_for_another_call(void **state)
{
	char text[1024];

	(void)state;
	machine.release = "6.12.0";
	torc_explain_call(text, sizeof(text), "io_uring_setup", -EINVAL, 0);
	assert_has(text, cause_phrases[SIZES]);
	torc_explain_call(text, sizeof(text), "io_uring_register", -EINVAL,
	    0);
	assert_has(text, cause_phrases[UNDOCUMENTED]);
	assert_lacks(text, cause_phrases[SIZES]);
}

/* What a reactor needs, all of it. */

static int
available(struct answer *answer)
{
	struct torc_error error;
	int rc = torc_available(&error);

	snprintf(answer->text, sizeof(answer->text), "%s", error.text);
	return rc;
}

static int
with_memlock(struct answer *answer, const void *arg)
{
	const unsigned *kib = arg;

	unsetenv("INVOCATION_ID");
	limit_memlock(*kib * 1024);
	become_outsider();
	return available(answer);
}

static void
assert_refused_with(unsigned kib, const char *call, const char *need)
{
	struct answer answer = ask(with_memlock, &kib);

	assert_int_equal(answer.rc, -ENOMEM);
	assert_has(answer.text, call);
	assert_has(answer.text, cause_phrases[MEMLOCK]);
	assert_has(answer.text, need);
}

static void
available_is_a_ring_of_its_size_and_one_of_buffers_beside_it(void **state)
{
	unsigned enough = 64;

	(void)state;
	need_root();
	need_charged_rings();
	assert_refused_with(16, "io_uring_setup: ENOMEM: too little",
	    "needs 36 KiB, RLIMIT_MEMLOCK 16 KiB");
	/* The smallest ring fits, and its buffers do not. */
	assert_refused_with(40, "io_uring_register: ENOMEM: probably",
	    "needs 16 KiB, RLIMIT_MEMLOCK 40 KiB");
	/* So it is with the whole ring. */
	assert_refused_with(140, "io_uring_register: ENOMEM: probably",
	    "needs 16 KiB, RLIMIT_MEMLOCK 140 KiB");
	assert_int_equal(ask(with_memlock, &enough).rc, 0);
}

static int
available_under(struct answer *answer, const void *arg)
{
	unsetenv("INVOCATION_ID");
	install_filter(arg);
	return available(answer);
}

static void
available_is_each_of_the_three_calls(void **state)
{
	static const char *const calls[] = {
		"io_uring_setup: EPERM: ", "io_uring_enter: EPERM: ",
		"io_uring_register: EPERM: ",
	};
	struct filter filter = { .error = EPERM };

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct answer answer;

		filter.first = filter.last = SETUP + i;
		answer = ask(available_under, &filter);
		assert_int_equal(answer.rc, -EPERM);
		assert_has(answer.text, calls[i]);
		assert_has(answer.text, cause_phrases[FILTER]);
	}
	filter.first = filter.last = __NR_swapon;
	assert_int_equal(ask(available_under, &filter).rc, 0);
}

/* Descriptors. */

static int
short_of_descriptors(struct answer *answer, const void *arg)
{
	const struct rlimit bound = { 64, 64 };
	int last = -1;
	int fd;
	int rc;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &bound) < 0)
		_exit(15);
	while ((fd = dup(0)) >= 0)
		last = fd;
	rc = small_ring();
	torc_explain(answer->text, sizeof(answer->text), rc, RING_MEMORY);
	close(last);
	answer->control = small_ring();
	return rc;
}

static void
exhausted_descriptors_are_named_with_the_limit(void **state)
{
	struct answer answer = ask(short_of_descriptors, NULL);

	(void)state;
	assert_int_equal(answer.rc, -EMFILE);
	assert_cause(answer.text, NO_DESCRIPTOR);
	assert_has(answer.text, ": EMFILE: ");
	assert_has(answer.text, "RLIMIT_NOFILE 64)");
	assert_true(answer.control >= 0);
}

/* Kernels, and what looks like one. */

static void
explain(char text[static 1024], int error)
{
	torc_explain(text, 1024, error, RING_MEMORY);
}

static int
zero_entries_on(struct answer *answer, const void *arg)
{
	struct io_uring_params params = { 0 };

	(void)answer;
	if (arg != NULL && personality(UNAME26) < 0)
		_exit(19);
	return torc_sys_setup(0, &params);
}

static void
einval_blames_an_old_kernel_and_names_6_1(void **state)
{
	/* This personality makes the kernel call itself 2.6.something. */
	struct answer answer = ask(zero_entries_on, "old");
	char text[1024];

	(void)state;
	assert_int_equal(answer.rc, -EINVAL);
	assert_cause(answer.text, TOO_OLD);
	assert_has(answer.text, "Linux 2.6.");
	assert_has(answer.text, "Linux 6.1 or later");
	machine.release = "6.0.19";
	explain(text, -EINVAL);
	assert_cause(text, TOO_OLD);
	machine.release = "5.15.167.4-microsoft-standard-WSL2";
	explain(text, -EINVAL);
	assert_cause(text, TOO_OLD);
	assert_has(text, "wsl --update");
}

static void
einval_on_a_kernel_that_is_new_enough_blames_the_sizes(void **state)
{
	struct answer answer;
	char text[1024];

	(void)state;
	machine.release = "6.1.0-10-amd64";
	explain(text, -EINVAL);
	assert_cause(text, SIZES);
	machine.release = "10.0.0";
	answer = ask(zero_entries_on, NULL);
	assert_int_equal(answer.rc, -EINVAL);
	assert_cause(answer.text, SIZES);
	assert_has(answer.text, "Linux 10.0.0");
}

static void
enosys_before_5_1_blames_the_age(void **state)
{
	char text[1024];

	(void)state;
	machine.disabled = MISSING;
	machine.probe = -ENOSYS;
	machine.release = "4.18.0-553.el8_10.x86_64";
	explain(text, -ENOSYS);
	assert_cause(text, TOO_OLD);
	assert_has(text, "Linux 4.18.0-553.el8_10.x86_64");
	assert_has(text, "Linux 6.1 or later");
	machine.release = "5.1.0";
	explain(text, -ENOSYS);
	assert_cause(text, NOT_BUILT);
}

static void
enosys_without_a_filter_or_a_sysctl_blames_the_build(void **state)
{
	const struct filter filter = { SETUP, SETUP, ENOSYS, false };
	char text[1024];

	(void)state;
	machine.disabled = MISSING;
	machine.probe = -ENOSYS;
	machine.release = "5.14.0-70.13.1.el9_0.x86_64";
	explain(text, -ENOSYS);
	assert_cause(text, NOT_BUILT);
	assert_has(text, "CONFIG_IO_URING=y");
	/* Since 6.6 the missing sysctl proves it, filter or not. */
	machine.release = "6.12.0";
	explain(text, -ENOSYS);
	assert_cause(text, NOT_BUILT);
	assert_cause(ask(filtered, &filter).text, NOT_BUILT);
	machine.release = "5.14.0";
	assert_cause(ask(filtered, &filter).text, FILTER);
}

static void
enosys_on_a_kernel_with_io_uring_blames_what_is_between(void **state)
{
	char text[1024];

	(void)state;
	machine.disabled = "0\n";
	machine.probe = -ENOSYS;
	machine.release = "6.12.0";
	explain(text, -ENOSYS);
	assert_cause(text, NOT_PASSED_ON);
	machine.disabled = MISSING;
	machine.probe = -EBADF;
	machine.release = "6.1.0";
	explain(text, -ENOSYS);
	assert_cause(text, NOT_PASSED_ON);
}

static void
gvisor_is_known_by_its_release_or_its_date(void **state)
{
	char text[1024];

	(void)state;
	machine.disabled = MISSING;
	machine.probe = -ENOSYS;
	machine.release = "4.4.0";
	machine.version = "#1 SMP Sun Jan 10 15:06:54 PST 2016";
	explain(text, -ENOSYS);
	assert_cause(text, GVISOR);
	machine.release = "4.19.0-gvisor";
	machine.version = "#1 SMP";
	explain(text, -ENOSYS);
	assert_cause(text, GVISOR);
	machine.release = "4.4.0";
	explain(text, -ENOSYS);
	assert_cause(text, TOO_OLD);
}

static void
docker_desktop_is_known_by_its_kernel(void **state)
{
	const struct filter filter = { SETUP, REGISTER, EPERM, false };
	struct answer answer;

	(void)state;
	machine.disabled = "0\n";
	machine.release = "6.10.14-linuxkit";
	answer = ask(filtered, &filter);
	assert_int_equal(answer.rc, -EPERM);
	assert_cause(answer.text, DOCKER_DESKTOP);
	assert_lacks(answer.text, "allow io_uring_setup");
	machine.release = "6.10.14";
	assert_cause(ask(filtered, &filter).text, FILTER);
}

static void
without_a_filter_the_errno_is_named_and_none_is_invented(void **state)
{
	const struct {
		int error;
		enum phrase phrase;
		const char *name;
	} rows[] = {
		{ EPERM, MODULE, ": EPERM: " },
		{ EACCES, MODULE_EACCES, ": EACCES: " },
		{ EOPNOTSUPP, PLATFORM, ": EOPNOTSUPP: " },
		{ ENFILE, NO_FILE, ": ENFILE: " },
		{ EFAULT, UNDOCUMENTED, ": EFAULT: " },
		{ EXDEV, UNDOCUMENTED, ": errno 18: " },
	};
	char text[1024];

	(void)state;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
		skip_because("this process is under a seccomp filter");
	machine.disabled = "0\n";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		explain(text, -rows[i].error);
		assert_cause(text, rows[i].phrase);
		assert_has(text, rows[i].name);
	}
}

static void
every_errno_has_exactly_one_cause(void **state)
{
	(void)state;
	for (int error = 0; error < 140; error++) {
		char text[1024] = "";
		unsigned count = 0;

		explain(text, -error);
		for (unsigned i = 0; i < PHRASES; i++)
			count += strstr(text, cause_phrases[i]) != NULL;
		if (count != 1 || strlen(text) > 400)
			fail_msg("%u causes: %s", count, text);
	}
}

/* The call itself. */

static void
a_text_that_does_not_fit_is_cut_and_terminated(void **state)
{
	char whole[1024];
	char around[1024];
	char *text = around + 8;

	(void)state;
	explain(whole, -EPERM);
	for (size_t size = 0; size <= strlen(whole) + 1; size++) {
		memset(around, '#', sizeof(around));
		torc_explain(text, size, -EPERM, RING_MEMORY);
		for (char *at = around; at < around + sizeof(around); at++) {
			if (at < text || at >= text + size)
				assert_int_equal(*at, '#');
		}
		if (size == 0)
			continue;
		assert_int_equal(strlen(text), size - 1);
		assert_memory_equal(text, whole, size - 1);
	}
}

static void
it_leaves_no_descriptor_open(void **state)
{
	const int errors[] = { EPERM, ENOSYS, ENOMEM, EMFILE, EINVAL };
	char text[1024];
	int before = dup(0);
	int after;

	(void)state;
	close(before);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		explain(text, -errors[i]);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define STACK_SIZE (64u * 1024)

static struct {
	void *caller;
	void *stack;
	char text[1024];
} small;

static void
explain_on_small_stack(void *arg)
{
	(void)arg;
	explain(small.text, -EPERM);
	explain(small.text, -ENOMEM);
	torc_switch(&small.stack, small.caller);
}

static void
a_quarter_of_a_fiber_stack_is_room_enough(void **state)
{
	unsigned char *low;
	void *region;
	size_t unused = 0;

	(void)state;
	assert_int_equal(torc_pages_reserve(&region, STACK_SIZE), 0);
	low = region;
	memset(low, 0xa5, STACK_SIZE);
	small.stack = torc_switch_prepare(low + STACK_SIZE,
	    explain_on_small_stack, NULL);
	torc_switch(&small.caller, small.stack);
	assert_has(small.text, "ENOMEM");
	while (low[unused] == 0xa5)
		unused++;
	torc_pages_release(region, STACK_SIZE);
	assert_true(STACK_SIZE - unused > 512);
	assert_true(STACK_SIZE - unused < STACK_SIZE / 4);
}

#define CLAIM(test) cmocka_unit_test_teardown(test, leave_machine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(without_an_obstacle_the_kernel_gives_a_ring),
		CLAIM(a_filter_that_returns_eperm_is_named_and_not_the_kernel),
		CLAIM(a_filter_that_returns_enosys_is_named_and_not_the_kernel),
		CLAIM(a_filter_that_returns_eopnotsupp_is_named),
		CLAIM(a_filter_that_hides_is_known_by_its_answer_to_a_bad_fd),
		CLAIM(a_filter_that_was_not_seen_to_block_is_only_suspected),
		CLAIM(in_a_systemd_unit_the_fix_names_the_directive),
		CLAIM(a_sysctl_of_2_is_named_for_root_too),
		CLAIM(a_sysctl_that_blocks_is_named_before_a_filter_that_may),
		CLAIM(a_sysctl_of_1_is_named_to_a_user_outside_its_group),
		CLAIM(a_sysctl_of_1_exempts_a_member_of_its_group),
		CLAIM(a_sysctl_of_1_exempts_root_except_in_a_user_namespace),
		cmocka_unit_test_teardown(
		    the_real_sysctl_is_named_and_its_absence_gives_a_ring,
		    restore_sysctl),
		CLAIM(in_an_empty_root_a_filter_is_named_by_what_is_known),
		CLAIM(in_an_empty_root_a_sysctl_is_only_suspected),
		CLAIM(a_small_memlock_is_named_with_the_limit_and_the_need),
	CLAIM(a_memlock_that_may_be_used_up_is_suspected_with_what_that_takes),
		CLAIM(root_of_a_user_namespace_is_subject_to_memlock),
		CLAIM(memlock_is_not_blamed_where_it_does_not_apply),
		CLAIM(the_sizes_of_a_ring_are_not_blamed_for_another_call),
	  CLAIM(available_is_a_ring_of_its_size_and_one_of_buffers_beside_it),
		CLAIM(available_is_each_of_the_three_calls),
		CLAIM(exhausted_descriptors_are_named_with_the_limit),
		CLAIM(einval_blames_an_old_kernel_and_names_6_1),
		CLAIM(einval_on_a_kernel_that_is_new_enough_blames_the_sizes),
		CLAIM(enosys_before_5_1_blames_the_age),
		CLAIM(enosys_without_a_filter_or_a_sysctl_blames_the_build),
		CLAIM(enosys_on_a_kernel_with_io_uring_blames_what_is_between),
		CLAIM(gvisor_is_known_by_its_release_or_its_date),
		CLAIM(docker_desktop_is_known_by_its_kernel),
		CLAIM(without_a_filter_the_errno_is_named_and_none_is_invented),
		CLAIM(every_errno_has_exactly_one_cause),
		CLAIM(a_text_that_does_not_fit_is_cut_and_terminated),
		CLAIM(it_leaves_no_descriptor_open),
		CLAIM(a_quarter_of_a_fiber_stack_is_room_enough),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
