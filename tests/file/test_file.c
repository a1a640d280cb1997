/* SPDX-License-Identifier: MIT */
/*
 * test_file.c - operations on files, for fibers.
 *
 * wrap: torc_op_await
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conn/file/torc_file.h"
#include "reactor/op.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LATE torc_after_ms(60000)
#define SOON torc_after_ms(20)
#define LARGE 100000u

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- What is replaced ---- */

/* The next operation that is this one has this result. */
static int fail_opcode = -1, fail_result;
static unsigned forced;		/* operations for the kernel's threads */

int
__wrap_torc_op_await(struct torc_reactor *reactor,
    const struct io_uring_sqe *sqe, torc_deadline deadline)
{
	if (sqe->flags & IOSQE_ASYNC)
		forced++;
	if (sqe->opcode == fail_opcode) {
		fail_opcode = -1;
		return fail_result;
	}
	return __real_torc_op_await(reactor, sqe, deadline);
}

/* ---- A folder and a server for each test ---- */

static struct server server;
static char folder[] = "/tmp/torc-file-XXXXXX";
static int directory;	/* its descriptor */
static unsigned fds_before;

static int
hang_up(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return TORC_CLOSE;
}

static int
set_up(void **state)
{
	(void)state;
	fds_before = count_fds();
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(directory >= 0);
	server_start(&server, NULL, hang_up, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	char command[64];

	(void)state;
	assert_int_equal(server_stop(&server), 0);
	close(directory);
	assert_int_equal(count_fds(), fds_before);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void
assert_fiber(int (*entry)(void *arg))
{
	const int line = server_fiber(&server, entry, NULL);

	if (line != 0)
		fail_msg("line %d", line);
}

static int
make(const char *name)
{
	return torc_file_open(directory, name, O_RDWR | O_CREAT | O_EXCL,
	    0640, 0, LATE);
}

/* ---- Bytes ---- */

static int
write_and_read(void *arg)
{
	static uint8_t data[LARGE], back[LARGE];
	struct torc_file_info info;
	int fd = make("a");

	(void)arg;
	EXPECT(fd >= 0);
	EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	stream_fill(1, 0, data, sizeof(data));
	EXPECT(torc_file_write(fd, data, sizeof(data), 7, LATE) == 0);
	EXPECT(torc_file_sync(fd, false, LATE) == 0);
	EXPECT(torc_file_sync(fd, true, LATE) == 0);
	EXPECT(torc_file_read(fd, back, LARGE, 7, LATE) == LARGE);
	EXPECT(memcmp(data, back, LARGE) == 0);
	EXPECT(torc_file_read(fd, back, LARGE, 17, LATE) == LARGE - 10);
	EXPECT(torc_file_read(fd, back, LARGE, LARGE + 7, LATE) == 0);
	EXPECT(torc_file_read(fd, back, 0, 0, LATE) == 0);
	EXPECT(lseek(fd, 0, SEEK_CUR) == 0);
	EXPECT(torc_file_stat(fd, &info, LATE) == 0);
	EXPECT(info.size == LARGE + 7 && S_ISREG(info.mode));
	EXPECT((info.mode & 0777) == 0640 && info.links == 1);
	torc_file_close(fd);
	return 0;
}

static void
what_is_written_at_a_position_is_read_there(void **state)
{
	(void)state;
	assert_fiber(write_and_read);
}

/* A pipe gives what it has: the rest is asked for until its end. */
static int
write_later(void *arg)
{
	int fd = *(int *)arg;
	uint8_t data[500];

	stream_fill(2, 1000, data, sizeof(data));
	torc_sleep(SOON);
	EXPECT(write(fd, data, sizeof(data)) == sizeof(data));
	torc_file_close(fd);
	return 0;
}

static int
in_parts(void *arg)
{
	static uint8_t data[1000], back[LARGE];
	int ends[2];

	(void)arg;
	EXPECT(pipe2(ends, O_CLOEXEC) == 0);
	stream_fill(2, 0, data, sizeof(data));
	EXPECT(write(ends[1], data, sizeof(data)) == sizeof(data));
	EXPECT(torc_fiber_spawn(NULL, write_later, &ends[1]) == 0);
	EXPECT(torc_file_read(ends[0], back, LARGE, 0, LATE) == 1500);
	EXPECT(stream_matches(2, 0, back, 1500));
	torc_file_close(ends[0]);
	return 0;
}

static void
a_read_goes_on_until_the_end(void **state)
{
	(void)state;
	assert_fiber(in_parts);
}

static int
errors(void *arg)
{
	uint8_t byte = 0;
	int fd;

	(void)arg;
	EXPECT(torc_file_open(directory, "none", O_RDONLY, 0, 0, LATE) ==
	    -ENOENT);
	fd = torc_file_open(AT_FDCWD, "/dev/full", O_RDWR, 0, 0, LATE);
	EXPECT(fd >= 0);
	EXPECT(torc_file_write(fd, &byte, 1, 0, LATE) == -ENOSPC);
	EXPECT(torc_file_read(fd, &byte, 1, 0, LATE) == 1);
	torc_file_close(fd);
	fd = torc_file_open(AT_FDCWD, "/proc/self/mem", O_RDONLY, 0, 0, LATE);
	EXPECT(fd >= 0);
	EXPECT(torc_file_read(fd, &byte, 1, 0, LATE) == -EIO);
	torc_file_close(fd);
	EXPECT(torc_file_read(directory, &byte, 1, 0, LATE) == -EISDIR);
	return 0;
}

static void
a_full_disk_and_a_broken_one_are_errors(void **state)
{
	(void)state;
	assert_fiber(errors);
}

static int
no_memory_at_first(void *arg)
{
	const int results[] = { -ENOMEM, -EAGAIN };
	uint8_t byte = 42;
	int fd = make("a");

	(void)arg;
	EXPECT(fd >= 0);
	for (unsigned i = 0; i < 2; i++) {
		forced = 0;
		fail_result = results[i];
		fail_opcode = IORING_OP_WRITE;
		EXPECT(torc_file_write(fd, &byte, 1, 0, LATE) == 0);
		fail_opcode = IORING_OP_READ;
		EXPECT(torc_file_read(fd, &byte, 1, 0, LATE) == 1);
		EXPECT(forced == 2 && byte == 42);
	}
	fail_result = -EIO;	/* the control */
	fail_opcode = IORING_OP_READ;
	EXPECT(torc_file_read(fd, &byte, 1, 0, LATE) == -EIO);
	EXPECT(forced == 2);
	torc_file_close(fd);
	return 0;
}

static void
what_fails_for_want_of_memory_is_tried_again_where_it_may_wait(void **state)
{
	(void)state;
	assert_fiber(no_memory_at_first);
}

/* ---- Names ---- */

static int
names(void *arg)
{
	struct torc_file_info info;
	int fd;

	(void)arg;
	EXPECT(torc_file_mkdir(directory, "d", 0700, LATE) == 0);
	EXPECT(torc_file_mkdir(directory, "d", 0700, LATE) == -EEXIST);
	fd = make("d/a");
	EXPECT(fd >= 0);
	torc_file_close(fd);
	EXPECT(torc_file_rename(directory, "d/a", directory, "b", 0, LATE) ==
	    0);
	EXPECT(torc_file_stat_at(directory, "d/a", 0, &info, LATE) == -ENOENT);
	EXPECT(torc_file_stat_at(directory, "b", 0, &info, LATE) == 0);
	EXPECT(torc_file_rename(directory, "b", directory, "d",
	    RENAME_NOREPLACE, LATE) == -EEXIST);
	EXPECT(torc_file_unlink(directory, "d", 0, LATE) == -EISDIR);
	EXPECT(torc_file_unlink(directory, "d", AT_REMOVEDIR, LATE) == 0);
	EXPECT(torc_file_unlink(directory, "b", 0, LATE) == 0);
	EXPECT(torc_file_stat_at(directory, "b", 0, &info, LATE) == -ENOENT);
	EXPECT(symlinkat("none", directory, "l") == 0);
	EXPECT(torc_file_stat_at(directory, "l", 0, &info, LATE) == -ENOENT);
	EXPECT(torc_file_stat_at(directory, "l", AT_SYMLINK_NOFOLLOW, &info,
	    LATE) == 0 && S_ISLNK(info.mode));
	return 0;
}

static void
names_are_made_changed_and_removed(void **state)
{
	(void)state;
	assert_fiber(names);
}

static int
confinement(void *arg)
{
	int fd = make("a");

	(void)arg;
	EXPECT(fd >= 0);
	torc_file_close(fd);
	EXPECT(symlinkat("a", directory, "l") == 0);
	EXPECT(torc_file_open(directory, "../../etc/passwd", O_RDONLY, 0,
	    RESOLVE_BENEATH, LATE) == -EXDEV);
	EXPECT(torc_file_open(directory, "l", O_RDONLY, 0,
	    RESOLVE_NO_SYMLINKS, LATE) == -ELOOP);
	fd = torc_file_open(directory, "l", O_RDONLY, 0, RESOLVE_BENEATH,
	    LATE);
	EXPECT(fd >= 0);
	torc_file_close(fd);
	return 0;
}

static void
a_path_leads_nowhere_that_it_may_not(void **state)
{
	(void)state;
	assert_fiber(confinement);
}

#define NAMES 500u

static int
walk_all(void *arg)
{
	static struct torc_file_walk walk;
	static uint8_t seen[NAMES];
	struct torc_file_entry entry;
	char name[32];
	unsigned count = 0;
	int rc;

	(void)arg;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "a file named %u", i);
		EXPECT(mkdirat(directory, name, 0700) == 0);
	}
	walk.fd = torc_file_open(directory, ".", O_RDONLY | O_DIRECTORY, 0, 0,
	    LATE);
	while ((rc = torc_file_next(&walk, &entry, LATE)) == 1) {
		unsigned i;

		EXPECT(sscanf(entry.name, "a file named %u", &i) == 1);
		EXPECT(i < NAMES && !seen[i]);
		seen[i] = 1;
		count++;
	}
	EXPECT(rc == 0 && count == NAMES);
	EXPECT(torc_file_next(&walk, &entry, LATE) == 0);
	torc_file_close(walk.fd);
	walk = (struct torc_file_walk) { .fd = make("no directory") };
	EXPECT(torc_file_next(&walk, &entry, LATE) == -ENOTDIR);
	torc_file_close(walk.fd);
	return 0;
}

static void
a_walk_shows_each_name_once(void **state)
{
	(void)state;
	assert_fiber(walk_all);
}

/* ---- Deadlines, cancels, closing ---- */

/* With O_CREAT, a thread of the kernel's opens it, and waits for a writer. */
static int
open_fifo(torc_deadline deadline)
{
	return torc_file_open(directory, "fifo", O_RDONLY | O_CREAT, 0600, 0,
	    deadline);
}

static int
open_forever(void *arg)
{
	(void)arg;
	return open_fifo(TORC_NEVER);
}

static int
too_late(void *arg)
{
	uint64_t id;
	int result;

	(void)arg;
	EXPECT(mkfifoat(directory, "fifo", 0600) == 0);
	EXPECT(open_fifo(SOON) == -ETIMEDOUT);
	EXPECT(torc_fiber_spawn(&id, open_forever, NULL) == 0);
	EXPECT(torc_sleep(SOON) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, &result, LATE) == 0);
	EXPECT(result == -ECANCELED);
	return 0;
}

static void
an_open_that_hangs_ends_by_its_deadline_or_a_cancel(void **state)
{
	(void)state;
	assert_fiber(too_late);
}

/* Cancelled in every moment of it: a descriptor is told or there is none. */
static int
open_and_count(void *arg)
{
	int fd = torc_file_open(directory, "a", O_RDWR | O_CREAT, 0600, 0,
	    TORC_NEVER);

	if (fd >= 0) {
		++*(unsigned *)arg;
		torc_file_close(fd);
	}
	return 0;
}

static int
open_and_cancel(void *arg)
{
	unsigned opened = 0, cancelled = 0;
	const unsigned before = count_fds();

	(void)arg;
	for (unsigned i = 0; i < 300; i++) {
		uint64_t id;
		int result;

		EXPECT(torc_fiber_spawn(&id, open_and_count, &opened) == 0);
		EXPECT(torc_sleep(torc_at(torc_now() + i % 30 * 5000)) == 0);
		cancelled += torc_fiber_cancel(id) == 0;
		EXPECT(torc_fiber_join(id, &result, LATE) == 0);
	}
	EXPECT(cancelled > 0);
	while (count_fds() > before)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	return 0;
}

static void
a_cancelled_open_leaves_no_descriptor(void **state)
{
	(void)state;
	assert_fiber(open_and_cancel);
}

static int
close_while_cancelled(void *arg)
{
	int *fd = arg;

	*fd = make("a");
	torc_fiber_cancel(torc_fiber_self());
	EXPECT(torc_file_sync(*fd, false, LATE) == -ECANCELED);
	torc_file_close(*fd);
	return 0;
}

static void
a_cancelled_fiber_closes_its_file(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(server_fiber(&server, close_while_cancelled, &fd), 0);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < 5000 && fcntl(fd, F_GETFD) >= 0; i++)
		pause_ms(1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	/* Without a reactor, too. */
	fd = dup(directory);
	torc_file_close(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_at_a_position_is_read_there),
		TEST(a_read_goes_on_until_the_end),
		TEST(a_full_disk_and_a_broken_one_are_errors),
		TEST(what_fails_for_want_of_memory_is_tried_again_where_it_may_wait),
		TEST(names_are_made_changed_and_removed),
		TEST(a_path_leads_nowhere_that_it_may_not),
		TEST(a_walk_shows_each_name_once),
		TEST(an_open_that_hangs_ends_by_its_deadline_or_a_cancel),
		TEST(a_cancelled_open_leaves_no_descriptor),
		TEST(a_cancelled_fiber_closes_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
