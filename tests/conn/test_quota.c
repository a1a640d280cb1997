/* SPDX-License-Identifier: MIT */
/*
 * test_quota.c - how many reactors there are by default: what cgroups of both
 * versions leave of the CPUs, read from trees that look like /proc and /sys.
 *
 * wrap: torc_quota_read
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness.h"

#include "conn/granted.h"
#include "sys/quota.h"

/* ---- Trees ---- */

struct leaf {
	const char *path;
	const char *text;
};

#define GROUP "/proc/self/cgroup"
#define MOUNTS "/proc/self/mountinfo"
#define MOUNT_2 "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 " \
	"cgroup2 rw,nsdelegate\n"
#define MOUNT_1 "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime " \
	"shared:12 - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_SET "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup " \
	"rw,cpuset\n"
#define ROOT "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"

static char root[64];

static void
make_leaf(const struct leaf *leaf)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, leaf->path);
	for (char *slash = path + strlen(root); (slash = strchr(slash + 1,
	    '/')) != NULL;) {
		*slash = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(leaf->text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int
remove_one(const char *path, const struct stat *status, int type,
    struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static struct torc_quota
read_tree(const struct leaf *leaves)
{
	struct torc_quota quota;

	strcpy(root, "/tmp/torc-quota-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (; leaves->path != NULL; leaves++)
		make_leaf(leaves);
	torc_quota_read(root, &quota);
	assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	return quota;
}

/* ---- Both versions ---- */

struct tree {
	const char *what;
	struct leaf leaves[8];
	unsigned time_us;
	unsigned period_us;
	const char *group;
};

static void
check(const struct tree *tree)
{
	struct torc_quota quota = read_tree(tree->leaves);

	if (quota.period_us != tree->period_us ||
	    quota.time_us != tree->time_us ||
	    (tree->period_us > 0 && strcmp(quota.group, tree->group) != 0))
		fail_msg("%s: %llu of %llu in %s", tree->what,
		    (unsigned long long)quota.time_us,
		    (unsigned long long)quota.period_us, quota.group);
}

static void
the_smallest_quota_on_the_way_up_is_found(void **state)
{
	static const struct tree trees[] = {
		{ "version 2", { { GROUP, "0::/a/b\n" },
		    { MOUNTS, ROOT MOUNT_2 },
		    { "/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n" },
		    { "/sys/fs/cgroup/a/cpu.max", "max 100000\n" } },
		    150000, 100000, "/a/b" },
		{ "version 2, one above is smaller", { { GROUP, "0::/a/b/c\n" },
		    { MOUNTS, ROOT MOUNT_2 },
		    { "/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n" },
		    { "/sys/fs/cgroup/a/b/cpu.max", "100000 50000\n" },
		    { "/sys/fs/cgroup/a/cpu.max", "40000 10000\n" } },
		    100000, 50000, "/a/b" },
		{ "version 2, in a namespace", { { GROUP, "0::/\n" },
		    { MOUNTS, ROOT MOUNT_2 },
		    { "/sys/fs/cgroup/cpu.max", "50000 100000\n" } },
		    50000, 100000, "/" },
		{ "version 2, another one's quota", { { GROUP, "0::/a\n" },
		    { MOUNTS, ROOT MOUNT_2 },
		    { "/sys/fs/cgroup/a/cpu.max", "max 100000\n" },
		    { "/sys/fs/cgroup/ab/cpu.max", "1000 100000\n" } },
		    0, 0, NULL },
		{ "version 1", { { GROUP, "5:cpuset:/s\n4:cpu,cpuacct:/a/b\n"
		    "1:name=systemd:/z\n0::/z\n" },
		    { MOUNTS, ROOT MOUNT_SET MOUNT_1 },
		    { "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us",
		    "-1\n" },
		    { "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us",
		    "100000\n" },
		    { "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us",
		    "250000\n" },
		    { "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us",
		    "100000\n" },
		    { "/sys/fs/cgroup/cpuset/s/cpu.cfs_quota_us", "1\n" } },
		    250000, 100000, "/a" },
		{ "version 1, alone in its hierarchy", { { GROUP,
		    "2:cpuacct:/x\n1:cpu:/\n" },
		    { MOUNTS, "32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n" },
		    { "/cpu/cpu.cfs_quota_us", "70000\n" },
		    { "/cpu/cpu.cfs_period_us", "50000\n" } },
		    70000, 50000, "/" },
		{ "both, and version 2 is smaller", { { GROUP,
		    "1:cpu:/a\n0::/b\n" },
		    { MOUNTS, MOUNT_2 "32 31 0:29 / /cpu rw - cgroup cgroup "
		    "rw,cpu\n" },
		    { "/cpu/a/cpu.cfs_quota_us", "200000\n" },
		    { "/cpu/a/cpu.cfs_period_us", "100000\n" },
		    { "/sys/fs/cgroup/b/cpu.max", "100000 100000\n" } },
		    100000, 100000, "/b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		check(&trees[i]);
}

static void
a_container_s_group_is_found_where_it_is_mounted(void **state)
{
	static const struct tree trees[] = {
		{ "a part of the hierarchy is mounted", { { GROUP,
		    "4:cpu,cpuacct:/docker/abc/in\n" },
		    { MOUNTS, "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu rw "
		    "- cgroup cgroup rw,cpuacct,cpu\n" },
		    { "/sys/fs/cgroup/cpu/in/cpu.cfs_quota_us", "-1\n" },
		    { "/sys/fs/cgroup/cpu/in/cpu.cfs_period_us", "100000\n" },
		    { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "60000\n" },
		    { "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
		    60000, 100000, "/" },
		{ "the second mount shows it", { { GROUP, "0::/b/c\n" },
		    { MOUNTS, "30 1 0:27 /a /other rw - cgroup2 cgroup2 rw\n"
		    "31 1 0:27 /b /ours rw - cgroup2 cgroup2 rw\n" },
		    { "/other/cpu.max", "10000 100000\n" },
		    { "/ours/c/cpu.max", "80000 100000\n" } },
		    80000, 100000, "/c" },
		{ "none shows it", { { GROUP, "0::/../../b\n" },
		    { MOUNTS, "30 1 0:27 /a /other rw - cgroup2 cgroup2 rw\n" },
		    { "/other/cpu.max", "90000 100000\n" } },
		    90000, 100000, "/" },
		{ "a name like ours", { { GROUP, "0::/abc\n" },
		    { MOUNTS, "30 1 0:27 /ab /other rw - cgroup2 cgroup2 rw\n"
		    "31 1 0:27 / /ours rw - cgroup2 cgroup2 rw\n" },
		    { "/other/c/cpu.max", "10000 100000\n" },
		    { "/ours/abc/cpu.max", "80000 100000\n" } },
		    80000, 100000, "/abc" },
		{ "a space in the path", { { GROUP, "0::/a b\n" },
		    { MOUNTS, "30 1 0:27 / /my\\040cg rw - cgroup2 x rw\n" },
		    { "/my cg/a b/cpu.max", "20000 10000\n" } },
		    20000, 10000, "/a b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		check(&trees[i]);
}

static void
what_cannot_be_read_is_no_limit(void **state)
{
	static char long_line[12000];
	const struct tree trees[] = {
		{ "nothing", { { "/x", "" } }, 0, 0, NULL },
		{ "no mounts", { { GROUP, "0::/a\n" } }, 0, 0, NULL },
		{ "no files", { { GROUP, "0::/a\n" }, { MOUNTS, MOUNT_2 } },
		    0, 0, NULL },
		{ "no numbers", { { GROUP, "0::/a\n" }, { MOUNTS, MOUNT_2 },
		    { "/sys/fs/cgroup/a/cpu.max", "many\n" },
		    { "/sys/fs/cgroup/cpu.max", "" } }, 0, 0, NULL },
		{ "zeros", { { GROUP, "1:cpu:/\n0::/a\n" },
		    { MOUNTS, MOUNT_2 MOUNT_1 },
		    { "/sys/fs/cgroup/a/cpu.max", "0 0\n" },
		    { "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "5\n" },
		    { "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "0\n" } },
		    0, 0, NULL },
		{ "lines of other kinds", { { GROUP, "\n:\n::\n0:\n0::a\n" },
		    { MOUNTS, "\n - \n1 2 3 - cgroup2\n - cgroup2 x y\n"
		    "1 2 3 / /x - cgroup2\n" MOUNT_2 } }, 0, 0, NULL },
		{ "long lines", { { GROUP, "0::/a\n" },
		    { MOUNTS, long_line },
		    { "/sys/fs/cgroup/a/cpu.max", "100000 100000" } },
		    100000, 100000, "/a" },
	};

	(void)state;
	memset(long_line, 'x', 10000);
	strcpy(long_line + 10000, "\n" MOUNT_2);
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		check(&trees[i]);
}

/* ---- Reactors ---- */

static struct torc_quota granted;	/* if it is not zero */

void __real_torc_quota_read(const char *in, struct torc_quota *quota);
void __wrap_torc_quota_read(const char *in, struct torc_quota *quota);
void
__wrap_torc_quota_read(const char *in, struct torc_quota *quota)
{
	if (in[0] == '\0')
		*quota = granted;
	else
		__real_torc_quota_read(in, quota);
}

static struct {
	atomic_uint started;
	atomic_uint bound;	/* of these, to one CPU */
} crew;

static int
count_reactor(struct torc_reactor *reactor, void *arg)
{
	cpu_set_t set;

	(void)reactor;
	(void)arg;
	sched_getaffinity(0, sizeof(set), &set);
	atomic_fetch_add(&crew.bound, CPU_COUNT(&set) == 1);
	atomic_fetch_add(&crew.started, 1);
	return 0;
}

static void
end_at_once(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static void
serve(unsigned reactors)
{
	static const char *const at[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = at,
		.handler = echo_handler,
		.start = count_reactor,
		.reactors = reactors,
	};
	struct torc_error error;

	atomic_store(&crew.started, 0);
	atomic_store(&crew.bound, 0);
	if (torc_serve(&config, end_at_once, &error) < 0)
		fail_msg("%s", error.text);
}

static void
there_are_as_many_reactors_as_cpus_are_granted(void **state)
{
	const unsigned allowed = torc_cpus_allowed();
	char text[300];

	(void)state;
	granted = (struct torc_quota) { .period_us = 0 };
	assert_int_equal(torc_cpus_granted(text, sizeof(text)), allowed);
	assert_non_null(strstr(text, " allowed"));
	assert_null(strstr(text, "quota"));
	serve(0);
	assert_int_equal(atomic_load(&crew.started), allowed);
	assert_int_equal(atomic_load(&crew.bound), allowed);
	/* A quota of more says nothing. */
	granted = (struct torc_quota) { 10000000, 1000, "/large" };
	assert_int_equal(torc_cpus_granted(text, sizeof(text)), allowed);
	assert_null(strstr(text, "quota"));
	if (allowed == 1) {
		print_message("SKIP: there is one CPU\n");
		skip();
	}
	granted = (struct torc_quota) { (allowed - 2) * 1000 + 1, 1000, "/x" };
	assert_int_equal(torc_cpus_granted(NULL, 0), allowed - 1);
	assert_int_equal(torc_cpus_granted(text, sizeof(text)), allowed - 1);
	assert_non_null(strstr(text, "quota"));
	assert_non_null(strstr(text, " of cgroup /x"));
	serve(0);
	assert_int_equal(atomic_load(&crew.started), allowed - 1);
	/* All that have a quota would meet on the first CPUs. */
	assert_int_equal(atomic_load(&crew.bound), 0);
	/* A number that was asked for is one. */
	serve(allowed);
	assert_int_equal(atomic_load(&crew.started), allowed);
	assert_int_equal(atomic_load(&crew.bound), allowed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_quota_on_the_way_up_is_found),
		cmocka_unit_test(
		    a_container_s_group_is_found_where_it_is_mounted),
		cmocka_unit_test(what_cannot_be_read_is_no_limit),
		cmocka_unit_test(
		    there_are_as_many_reactors_as_cpus_are_granted),
	};
	sigset_t set;

	/* Of torc_serve(), in all threads. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
