/* SPDX-License-Identifier: MIT */
/*
 * test_file_look.c - what is at a path, and what is said of it: special files
 * and those that are swapped in, sizes that change, errors, entity tags and
 * dates.
 *
 * wrap: torc_sys_close
 * wrap: torc_op_await
 * wrap: torc_file_stat
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "reactor/op.h"
#include "tests/file/site.h"
#include "tests/seam.h"

/* ---- What is replaced ---- */

/* The reactor's thread looks at it, too. */
#define GET(what) __atomic_load_n(&(what), __ATOMIC_SEQ_CST)
#define SET(what, value) __atomic_store_n(&(what), value, __ATOMIC_SEQ_CST)

static struct {
	const char *swapped;	/* this name, before it is opened, for ... */
	const char *with;	/* ... that one */
	unsigned swaps;		/* that are still to be made */
	unsigned opens;		/* that were not of O_PATH */
	uint64_t flags;		/* of the last one */
	int error;		/* of the next open that is not of O_PATH */
	int look_error;		/* of the next one that is */
} play;

static void
exchange_names(const char *one, const char *other)
{
	assert_int_equal(renameat2(AT_FDCWD, in_folder(one), AT_FDCWD,
	    in_folder(other), RENAME_EXCHANGE), 0);
}

static int
before_open(const struct open_how *how, const char *path)
{
	int *error = how->flags & O_PATH ? &play.look_error : &play.error;
	int rc = GET(*error);

	SET(*error, 0);
	if (rc < 0 || how->flags & O_PATH)
		return rc;
	SET(play.opens, GET(play.opens) + 1);
	SET(play.flags, how->flags);
	if (GET(play.swaps) > 0 && strcmp(path, GET(play.swapped)) == 0) {
		SET(play.swaps, GET(play.swaps) - 1);
		exchange_names(GET(play.swapped), GET(play.with));
	}
	return 0;
}

/*
 * Looks below this folder hang: a thread of the kernel's waits in each, as on a
 * server of files that is away. It opens a FIFO that nobody writes to; with
 * O_CREAT, it is a thread that waits.
 */
static const char *hung;
static unsigned hanging;

static int
hang(struct torc_reactor *reactor, const struct io_uring_sqe *sqe,
    torc_deadline deadline)
{
	const struct open_how how = { .flags = O_RDONLY | O_CREAT | O_CLOEXEC,
	    .mode = 0600 };
	struct io_uring_sqe open = *sqe;
	int rc;

	open.addr = (uint64_t)(uintptr_t)"fifo";
	open.off = (uint64_t)(uintptr_t)&how;
	__atomic_fetch_add(&hanging, 1, __ATOMIC_SEQ_CST);
	rc = __real_torc_op_await(reactor, &open, deadline);
	__atomic_fetch_sub(&hanging, 1, __ATOMIC_SEQ_CST);
	if (rc >= 0)
		torc_file_close(rc);
	return rc < 0 ? rc : -ENOENT;
}

int
__wrap_torc_op_await(struct torc_reactor *reactor,
    const struct io_uring_sqe *sqe, torc_deadline deadline)
{
	const char *const prefix = GET(hung);
	int rc = 0;

	if (sqe->opcode == IORING_OP_OPENAT2 && prefix != NULL && strncmp(
	    (const char *)(uintptr_t)sqe->addr, prefix, strlen(prefix)) == 0)
		return hang(reactor, sqe, deadline);
	if (sqe->opcode == IORING_OP_OPENAT2)
		rc = before_open((const void *)(uintptr_t)sqe->off,
		    (const void *)(uintptr_t)sqe->addr);
	return rc < 0 ? rc : __real_torc_op_await(reactor, sqe, deadline);
}

/* Once, after it is known what an open file is. */
static void (*after_stat)(void);

int __real_torc_file_stat(int fd, struct torc_file_info *info,
    torc_deadline deadline);
int __wrap_torc_file_stat(int fd, struct torc_file_info *info,
    torc_deadline deadline);
int
__wrap_torc_file_stat(
    int fd, struct torc_file_info *info, torc_deadline deadline)
{
	int rc = __real_torc_file_stat(fd, info, deadline);

	if (GET(after_stat) != NULL && !(fcntl(fd, F_GETFL) & O_PATH)) {
		GET(after_stat)();
		SET(after_stat, NULL);
	}
	return rc;
}

static int
set_up_look(void **state)
{
	memset(&play, 0, sizeof(play));
	SET(after_stat, NULL);
	SET(hung, NULL);
	return set_up(state);
}

/* ---- Special files ---- */

static void
make_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
	    in_folder(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	close(fd);
}

/* False: nobody but root may. */
static bool
make_device(const char *name, mode_t type, unsigned major, unsigned minor)
{
	return mknod(in_folder(name), type | 0666, makedev(major, minor)) == 0;
}

static const char *const specials[] = {
	"fifo", "socket", "null", "gone", "block",
};

static void
make_specials(void)
{
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	make_socket("socket");
	if (!make_device("null", S_IFCHR, 1, 3) ||
	    !make_device("gone", S_IFCHR, 240, 77) ||
	    !make_device("block", S_IFBLK, 240, 77))
		print_message("devices are not tried: not root\n");
}

static bool
is_there(const char *name)
{
	return access(in_folder(name), F_OK) == 0;
}

static int written;		/* the writer has got through its open */

static void *
write_to_fifo(void *arg)
{
	int fd = open(arg, O_WRONLY | O_CLOEXEC);

	__atomic_store_n(&written, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	return NULL;
}

static void
special_files_are_refused_without_being_opened(void **state)
{
	char path[300], got[16] = "";
	pthread_t writer;
	int fd;

	(void)state;
	make_specials();
	put_text("file", "text");
	snprintf(path, sizeof(path), "%s", in_folder("fifo"));
	written = 0;
	pthread_create(&writer, NULL, write_to_fifo, path);
	for (unsigned i = 0; i < COUNT(specials); i++) {
		char target[16];

		snprintf(target, sizeof(target), "/%s", specials[i]);
		if (!is_there(specials[i]))
			continue;
		assert_status(target, "", 403);
		ask("HEAD", target, "");
		assert_int_equal(status(), 403);
		strcat(target, "/");
		assert_status(target, "", 404);
	}
	assert_int_equal(GET(play.opens), 0);
	/* Whoever waits for a reader of the FIFO still waits, loses nothing. */
	pause_ms(10);
	assert_int_equal(__atomic_load_n(&written, __ATOMIC_SEQ_CST), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, got, sizeof(got)), 8);
	assert_string_equal(got, "precious");
	close(fd);
	pthread_join(writer, NULL);
	assert_status("/file", "", 200);
	assert_int_equal(GET(play.opens), 1);
}

static void
a_special_index_is_refused_without_being_opened(void **state)
{
	(void)state;
	mkdir(in_folder("d"), 0700);
	assert_int_equal(mkfifo(in_folder("d/index.html"), 0666), 0);
	assert_status("/d/", "", 403);
	assert_int_equal(GET(play.opens), 0);
}

/* The FIFO has no writer: an open that waited would wait for ever. */
static void
what_is_swapped_in_is_opened_without_waiting_and_let_go(void **state)
{
	(void)state;
	make_specials();
	symlink("/etc/passwd", in_folder("link"));
	mkdir(in_folder("directory"), 0700);
	for (unsigned i = 0; i < COUNT(specials) + 2; i++) {
		const char *with = i < COUNT(specials) ? specials[i] :
		    i == COUNT(specials) ? "link" : "directory";

		if (i < COUNT(specials) && !is_there(with))
			continue;
		put_text("a", "one");
		SET(play.swapped, "a");
		SET(play.with, with);
		SET(play.swaps, 1);
		ask("GET", "/a", "");
		if (status() != 403 && status() != 404 && status() != 301)
			fail_msg("%s: %u", with, status());
		assert_int_equal(GET(play.flags) & (O_NONBLOCK | O_NOCTTY),
		    O_NONBLOCK | O_NOCTTY);
		exchange_names("a", with);
		pass_freshness();
		assert_status("/a", "", 200);
		assert_string_equal(body(), "one");
		unlink(in_folder("a"));
		pass_freshness();
		assert_status("/a", "", 404);
	}
}

/* ... and out again, each time that it is opened. */
static void
what_is_never_the_same_ends_in_an_answer(void **state)
{
	(void)state;
	make_specials();
	put_text("a", "one");
	SET(play.swapped, "a");
	SET(play.with, "fifo");
	SET(play.swaps, 1000000);
	ask("GET", "/a", "");
	assert_true(status() == 403 || status() == 503);
	assert_true(GET(play.opens) < 100);
	SET(play.swaps, 0);
	if (!is_there("a"))
		exchange_names("a", "fifo");
}

static void
errors_of_the_file_system_have_their_statuses(void **state)
{
	static const struct {
		int error;
		unsigned status;
	} rows[] = {
		{ -ENOENT, 404 }, { -ENOTDIR, 404 }, { -ELOOP, 404 },
		{ -ENAMETOOLONG, 404 }, { -EXDEV, 404 }, { -EINVAL, 404 },
		{ -EILSEQ, 404 }, { -ENXIO, 404 }, { -ENODEV, 404 },
		{ -EACCES, 403 }, { -EPERM, 403 },
		{ -ENOMEM, 503 }, { -ENOBUFS, 503 }, { -ETIMEDOUT, 503 },
		{ -EIO, 500 }, { -EUCLEAN, 500 },
		/* Once only: it is tried again. */
		{ -EAGAIN, 200 }, { -ESTALE, 200 },
	};

	(void)state;
	for (unsigned i = 0; i < 2 * COUNT(rows); i++) {
		char name[16];

		snprintf(name, sizeof(name), "/f%u", i);
		put_text(name, "text");
		if (i % 2 == 0)
			SET(play.look_error, rows[i / 2].error);
		else
			SET(play.error, rows[i / 2].error);
		assert_status(name, "", rows[i / 2].status);
	}
}

static void
permissions_are_those_of_the_moment(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		print_message("root may read everything: not tried\n");
		return;
	}
	put_text("a", "text");
	assert_status("/a", "", 200);
	chmod(in_folder("a"), 0);
	pass_freshness();
	assert_status("/a", "", 403);
}

/* ---- Paths that hang ---- */

#define HANGING 100u		/* requests: more than there are threads */

static unsigned
now_hanging(void)
{
	return __atomic_load_n(&hanging, __ATOMIC_SEQ_CST);
}

/* Ask for so many paths below a folder, and do not wait for answers. */
static void
ask_in_vain(int fds[HANGING], const char *below)
{
	for (unsigned i = 0; i < HANGING; i++) {
		char request[100];

		snprintf(request, sizeof(request), "GET /%s%u HTTP/1.1\r\n"
		    "Host: a\r\nConnection: close\r\n\r\n", below, i);
		fds[i] = client_open(server.port);
		client_send(fds[i], request, strlen(request));
	}
	for (unsigned i = 0; i < 5000 && now_hanging() == 0; i++)
		pause_ms(1);
	pause_ms(50);
}

/* They hang no longer: all are answered. */
static void
let_go(const int fds[HANGING], unsigned want)
{
	char answer[16] = "";

	for (unsigned i = 0; i < HANGING; i++) {
		/* As often as somebody opens it for reading. */
		while (now_hanging() > 0) {
			int fd = open(in_folder("fifo"), O_WRONLY |
			    O_NONBLOCK | O_CLOEXEC);

			if (fd >= 0)
				close(fd);
			pause_ms(1);
		}
	}
	for (unsigned i = 0; i < HANGING; i++) {
		assert_true(client_read(fds[i], answer, 12));
		assert_int_equal(atoi(answer + 9), want);
		close(fds[i]);
	}
}

static void
a_folder_that_hangs_keeps_nobody_from_other_files(void **state)
{
	int fds[HANGING];

	(void)state;
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	mkdir(in_folder("d"), 0700);
	put_text("a", "one");
	put_text("d/b", "two");
	SET(hung, "hung/");
	ask_in_vain(fds, "hung/");
	assert_true(now_hanging() > 1);
	assert_status("/a", "", 200);
	assert_string_equal(body(), "one");
	assert_status("/d/b", "", 200);
	assert_string_equal(body(), "two");
	let_go(fds, 404);
	SET(hung, NULL);
	assert_status("/hung/x", "", 404);
}

static struct torc_file_root *second;

static int
open_second(void *arg)
{
	return torc_file_root_open(&second, arg, &config, NULL, LATE);
}

static int
close_second(void *arg)
{
	(void)arg;
	torc_file_root_close(second);
	return 0;
}

static int
look_in_second(void *arg)
{
	struct torc_file_kept *entry;
	int rc = torc_file_get(second, arg, &entry, torc_after_ms(5000));

	if (rc == 0)
		torc_file_let(second, entry);
	return rc;
}

/* All folders of it hang, one after the other. */
static void
a_root_that_hangs_keeps_nobody_from_other_roots(void **state)
{
	int fds[3][HANGING];

	(void)state;
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	put_text("a", "one");
	assert_int_equal(server_fiber(&server, open_second, folder), 0);
	SET(hung, "h");
	ask_in_vain(fds[0], "h1/");
	ask_in_vain(fds[1], "h2/");
	ask_in_vain(fds[2], "h3/");
	assert_int_equal(server_fiber(&server, look_in_second,
	    (void *)(uintptr_t)"a"), 0);
	for (unsigned i = 0; i < 3; i++)
		let_go(fds[i], 404);
	assert_int_equal(server_fiber(&server, close_second, NULL), 0);
}

/* One that waits for its turn to look has its time, and no more. */
static void
a_request_for_what_hangs_is_answered_in_time(void **state)
{
	int fds[HANGING];
	char answer[16] = "";
	unsigned late = 0;

	(void)state;
	config.look_ms = 300;
	restart_root();
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	SET(hung, "hung/");
	ask_in_vain(fds, "hung/");
	for (unsigned i = 0; i < HANGING; i++) {
		assert_true(client_read(fds[i], answer, 12));
		late += strcmp(answer, "HTTP/1.1 503") == 0;
		close(fds[i]);
	}
	assert_int_equal(late, HANGING);
}

static struct torc_file_turns turns;

/* One that waits for a turn, has it, and gives it back when it is told. */
struct looker {
	unsigned folder;
	bool has;
	struct torc_waiters told;
	uint64_t id;
};

static int
look_in_turn(void *arg)
{
	struct looker *looker = arg;
	int rc = torc_file_turn_take(&turns, looker->folder, LATE);

	if (rc < 0)
		return rc;
	looker->has = true;
	rc = torc_wait(&looker->told, LATE);
	looker->has = false;
	torc_file_turn_give(&turns, looker->folder);
	return rc;
}

static void
let_all_run(void)
{
	for (unsigned i = 0; i < 5; i++)
		torc_yield();
}

/*
 * Three at a time, two of one folder. The second line is told of a turn first,
 * and its folder may have no third one.
 */
static int
take_turns(void *arg)
{
	struct looker lookers[] = {
		{ .folder = 1 }, { .folder = 2 }, { .folder = 2 },
		{ .folder = 1 }, { .folder = 1 }, { .folder = 3 },
	};
	int result;

	(void)arg;
	turns = (struct torc_file_turns) { .most = 3, .most_together = 2 };
	for (unsigned i = 0; i < COUNT(lookers); i++) {
		torc_fiber_spawn(&lookers[i].id, look_in_turn, &lookers[i]);
		let_all_run();
	}
	if (!lookers[2].has || lookers[3].has || turns.taken != 3)
		return 1;
	torc_wake(&lookers[1].told, 0);
	let_all_run();
	if (!lookers[3].has)
		return 2;
	torc_wake(&lookers[2].told, 0);
	let_all_run();
	if (lookers[4].has || !lookers[5].has)
		return 3;
	/* One that gives up leaves the others their turns. */
	torc_fiber_cancel(lookers[4].id);
	torc_wake(&lookers[0].told, 0);
	torc_wake(&lookers[3].told, 0);
	torc_wake(&lookers[5].told, 0);
	for (unsigned i = 0; i < COUNT(lookers); i++)
		torc_fiber_join(lookers[i].id, &result, LATE);
	return turns.taken == 0 ? 0 : 4;
}

static void
a_turn_that_one_folder_may_not_have_is_anothers(void **state)
{
	(void)state;
	assert_int_equal(server_fiber(&server, take_turns, NULL), 0);
}

/* ---- Sizes ---- */

static void
cut_it(void)
{
	assert_int_equal(truncate(in_folder("a"), 3), 0);
}

static void
lengthen_it(void)
{
	assert_int_equal(truncate(in_folder("a"), 70000), 0);
}

static void
a_file_that_changes_while_it_is_read_is_answered_as_one_of_both(void **state)
{
	(void)state;
	put_text("a", "0123456789");
	SET(after_stat, cut_it);
	assert_status("/a", "", 200);
	assert_string_equal(body(), "012");
	assert_string_equal(field("Content-Length"), "3");
	pass_freshness();
	SET(after_stat, lengthen_it);
	assert_status("/a", "", 200);
	assert_string_equal(field("Content-Length"), "3");
	pass_freshness();
	ask("HEAD", "/a", "");
	assert_string_equal(field("Content-Length"), "70000");
}

static void
an_empty_file_that_fills_meanwhile_is_whole(void **state)
{
	(void)state;
	put_text("a", "");
	SET(after_stat, lengthen_it);
	ask("HEAD", "/a", "");
	assert_string_equal(field("Content-Length"), "70000");
	put_text("b", "");	/* the control */
	assert_status("/b", "", 200);
	assert_string_equal(field("Content-Length"), "0");
}

/* /proc says 0, and /sys a page. */
static void
what_does_not_tell_its_size_is_read_to_its_end(void **state)
{
	static const struct {
		const char *folder, *target;
		bool constant;
	} rows[] = {
		{ "/proc/sys/kernel", "/ostype", true },
		{ "/proc", "/cpuinfo", false },
		{ "/sys/kernel", "/fscaps", true },
	};
	char fields[200];

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		assert_int_equal(server_fiber(&server, close_root, NULL), 0);
		assert_int_equal(server_fiber(&server, open_root,
		    (void *)(uintptr_t)rows[i].folder), 0);
		ask("GET", rows[i].target, "");
		if (status() == 404)
			continue;	/* not on this machine */
		assert_int_equal(status(), 200);
		assert_true(strlen(body()) > 0);
		assert_int_equal(atol(field("Content-Length")),
		    (long)strlen(body()));
		assert_null(field("Last-Modified"));
		if (i == 0)
			assert_string_equal(body(), "Linux\n");
		snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n",
		    field("ETag"));
		ask("GET", rows[i].target, fields);
		if (rows[i].constant)
			assert_int_equal(status(), 304);
	}
}

/* What is appended meanwhile is not of it, and the connection goes on. */
static void
a_file_that_grows_while_it_is_sent_has_the_bytes_that_were_said(void **state)
{
	static const char request[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
	    last[] = "GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	    "\r\n";
	const size_t size = ROOM - 100000;
	const char *next;
	int fd, small = 65536;
	long got;

	(void)state;
	put_file("a", 7, size);
	put_text("b", "next");
	fd = client_open(server.port);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fd, request, sizeof(request) - 1);
	assert_true(client_read(fd, reply, 1000));
	assert_int_equal(truncate(in_folder("a"), (off_t)size + 50000), 0);
	client_send(fd, last, sizeof(last) - 1);
	got = client_read_all(fd, reply + 1000, ROOM - 1001);
	assert_true(got > 0);
	reply[1000 + got] = '\0';
	assert_int_equal(atol(field("Content-Length")), (long)size);
	assert_true(stream_matches(7, 0, (const uint8_t *)body(), size));
	next = body() + size;
	assert_memory_equal(next, "HTTP/1.1 200", 12);
	assert_string_equal(strstr(next, "\r\n\r\n"), "\r\n\r\nnext");
	close(fd);
}

/* Of holes, too. */
static void
a_file_of_more_than_four_gigabytes_has_its_bytes(void **state)
{
	static const struct {
		const char *range, *content;
	} rows[] = {
		{ "5368709120-", "bytes 5368709120-5368709121/5368709122" },
		{ "-2", "bytes 5368709120-5368709121/5368709122" },
		{ "4294967295-4294967296",
		    "bytes 4294967295-4294967296/5368709122" },
		{ "2147483647-2147483648",
		    "bytes 2147483647-2147483648/5368709122" },
	};
	int fd = open(in_folder("a"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(pwrite(fd, "!?", 2, 5368709120), 2);
	assert_int_equal(pwrite(fd, "!?", 2, 4294967295), 2);
	assert_int_equal(pwrite(fd, "!?", 2, 2147483647), 2);
	close(fd);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		char fields[100];

		snprintf(fields, sizeof(fields), "Range: bytes=%s\r\n",
		    rows[i].range);
		assert_status("/a", fields, 206);
		assert_string_equal(field("Content-Range"), rows[i].content);
		assert_string_equal(body(), "!?");
	}
	assert_status("/a", "Range: bytes=1000000000-1000000001\r\n", 206);
	assert_string_equal(field("Content-Length"), "2");
	assert_memory_equal(body(), "\0", 2);
	ask("HEAD", "/a", "");
	assert_string_equal(field("Content-Length"), "5368709122");
}

/* ---- Entity tags ---- */

static void
tag_of(const char *target, const char *fields, char tag[100])
{
	assert_status(target, fields, 200);
	snprintf(tag, 100, "%s", field("ETag"));
	/* 8.8.3: quotes around anything visible, and no other quotes. */
	assert_true(strspn(tag + 1, "0123456789abcdefghijklmnopqrstuvwxyz.-") ==
	    strlen(tag) - 2);
}

static const struct timespec billion[2] = {
	{ 1000000000, 5 }, { 1000000000, 5 },
};

static void
put_old(const char *name, const char *text)
{
	put_text(name, text);
	utimensat(AT_FDCWD, in_folder(name), billion, 0);
}

static void
entity_tags_distinguish_forms(void **state)
{
	char plain[100], gzip[100], brotli[100], fields[200];

	(void)state;
	config.precompressed = true;
	restart_root();
	/* The same bytes, size and time; then the same inode. */
	for (unsigned i = 0; i < 2; i++) {
		put_old("a", "text");
		if (i == 0) {
			put_old("a.gz", "text");
			put_old("a.br", "text");
		} else {
			link(in_folder("a"), in_folder("a.gz"));
			link(in_folder("a"), in_folder("a.br"));
		}
		pass_freshness();
		tag_of("/a", "", plain);
		tag_of("/a", "Accept-Encoding: gzip\r\n", gzip);
		tag_of("/a", "Accept-Encoding: br\r\n", brotli);
		assert_string_not_equal(plain, gzip);
		assert_string_not_equal(plain, brotli);
		assert_string_not_equal(gzip, brotli);
		snprintf(fields, sizeof(fields), "Accept-Encoding: gzip\r\n"
		    "Range: bytes=1-2\r\nIf-Range: %s\r\n", plain);
		assert_status("/a", fields, 200);
		snprintf(fields, sizeof(fields), "Accept-Encoding: gzip\r\n"
		    "Range: bytes=1-2\r\nIf-Range: %s\r\n", gzip);
		assert_status("/a", fields, 206);
		snprintf(fields, sizeof(fields), "Accept-Encoding: gzip\r\n"
		    "If-None-Match: %s\r\n", plain);
		assert_status("/a", fields, 200);
		unlink(in_folder("a"));
		unlink(in_folder("a.gz"));
		unlink(in_folder("a.br"));
	}
}

static void
entity_tags_distinguish_versions_of_the_same_time_and_size(void **state)
{
	char tags[5][100];

	(void)state;
	put_old("a", "one");
	tag_of("/a", "", tags[0]);
	put_old("a", "two");		/* written over */
	pass_freshness();
	tag_of("/a", "", tags[1]);
	put_old("b", "two");		/* replaced by its like */
	rename(in_folder("b"), in_folder("a"));
	pass_freshness();
	tag_of("/a", "", tags[2]);
	pause_ms(TORC_FILE_TICK_MS);
	put_old("a", "two");		/* written anew */
	pass_freshness();
	tag_of("/a", "", tags[3]);
	pass_freshness();
	tag_of("/a", "", tags[4]);	/* as it was */
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(tags[i], tags[j]);
	}
	assert_string_equal(tags[3], tags[4]);
}

/* Of files that are not in memory, nothing but the inode tells. */
static void
a_file_that_has_just_changed_has_a_weak_tag_until_its_tick_is_over(
    void **state)
{
	char target[16] = "", weak[100] = "", fields[200];

	(void)state;
	config.body_max = 1;
	restart_root();
	/* On a slow machine, it may be over already. */
	for (unsigned i = 0; i < 200 && weak[0] != 'W'; i++) {
		snprintf(target, sizeof(target), "/a%u", i);
		put_text(target, "0123456789");
		assert_status(target, "", 200);
		snprintf(weak, sizeof(weak), "%s", field("ETag"));
	}
	assert_memory_equal(weak, "W/\"", 3);
	snprintf(fields, sizeof(fields), "Range: bytes=0-1\r\nIf-Range: %s\r\n",
	    weak);
	assert_status(target, fields, 200);
	pass_freshness();
	assert_status(target, "", 200);
	assert_int_equal(field("ETag")[0], '"');
	snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", weak);
	assert_status(target, fields, 200);
}

/* ---- Dates ---- */

static void
dates_are_written_as_they_are_read(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
		{ -86400, "Wed, 31 Dec 1969 00:00:00 GMT" },
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ 253402300800, "" },
		{ -62135596800, "Mon, 01 Jan 0001 00:00:00 GMT" },
		{ -62135596801, "" },
		{ INT64_MAX, "" }, { INT64_MIN, "" },
	};
	char text[TORC_FILE_DATE], want[64];
	int64_t again;

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		assert_int_equal(torc_file_put_date(text, rows[i].seconds),
		    rows[i].text[0] != '\0');
		assert_string_equal(text, rows[i].text);
	}
	for (time_t at = -62135596800; at <= 253402300799; at += 1234567) {
		struct tm when;

		assert_true(torc_file_put_date(text, at));
		assert_true(torc_file_date(torc_http_text(text), &again));
		assert_int_equal(at, again);
		strftime(want, sizeof(want), "%a, %d %b ",
		    gmtime_r(&at, &when));
		assert_memory_equal(text, want, strlen(want));
	}
}

static int64_t
date_of(const char *name)
{
	int64_t seconds = INT64_MAX;
	const char *text = field(name);

	return text != NULL && torc_file_date(torc_http_text(text),
	    &seconds) ? seconds : INT64_MAX;
}

static void
no_file_was_modified_in_the_future(void **state)
{
	const int64_t now = time(NULL);
	const struct {
		int64_t modified;
		bool as_it_is;
	} rows[] = {
		{ 0, true }, { -86400, true }, { now - 10, true },
		{ now + 100, false }, { now + 86400, false },
		{ 4102444800, false }, { 15032385535, false },
	};
	char fields[100];

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct timespec times[2] = {
			{ rows[i].modified, 5 }, { rows[i].modified, 5 },
		};
		char name[16];
		struct stat there;

		snprintf(name, sizeof(name), "/f%u", i);
		put_text(name, "text");
		utimensat(AT_FDCWD, in_folder(name), times, 0);
		assert_int_equal(stat(in_folder(name), &there), 0);
		if (there.st_mtime != rows[i].modified)
			continue;	/* more than the file system can */
		assert_status(name, "", 200);
		if (rows[i].as_it_is)
			assert_int_equal(date_of("Last-Modified"),
			    rows[i].modified);
		assert_true(date_of("Last-Modified") <= time(NULL));
		snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n",
		    field("ETag"));
		assert_status(name, fields, 304);
	}
}

static void
put_at(const char *name, const char *text, long nsec)
{
	const struct timespec times[2] = {
		{ 1000000000, nsec }, { 1000000000, nsec },
	};

	put_text(name, text);
	utimensat(AT_FDCWD, in_folder(name), times, 0);
}

#define DATE "Sun, 09 Sep 2001 01:46:40 GMT\r\n"

static void
a_date_that_two_versions_have_had_validates_none(void **state)
{
	static const struct {
		const char *fields;
		unsigned one, two;	/* with the first version, the second */
	} rows[] = {
		{ "If-Modified-Since: " DATE, 304, 200 },
		{ "Range: bytes=1-2\r\nIf-Range: " DATE, 206, 200 },
		{ "Range: bytes=1-2\r\nIf-Unmodified-Since: " DATE, 206, 200 },
		{ "If-Unmodified-Since: " DATE, 200, 200 },
		{ "Range: bytes=1-2\r\n", 206, 206 },
	};

	(void)state;
	put_at("a", "AAAA", 100000000);
	restart_root();		/* it has not changed since */
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_status("/a", rows[i].fields, rows[i].one);
	put_at("a", "BBBB", 700000000);
	pass_freshness();
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_status("/a", rows[i].fields, rows[i].two);
}

/* A server that has not seen the first version does not know that it was. */
static void
a_part_is_not_given_for_the_date_of_a_file_that_has_changed(void **state)
{
	(void)state;
	restart_root();
	put_at("a", "BBBB", 700000000);
	assert_status("/a", "Range: bytes=1-2\r\nIf-Range: " DATE, 200);
	restart_root();
	assert_status("/a", "Range: bytes=1-2\r\nIf-Range: " DATE, 206);
}

/* ---- Lists ---- */

static void
entity_tags_are_found_in_lists_and_nowhere_else(void **state)
{
	static const struct {
		const char *list;
		bool strongly, weakly;
	} rows[] = {
		{ "\"a,b\"", true, true }, { "W/\"a,b\"", false, true },
		{ "*", true, true }, { "\"x\", \"a,b\"", true, true },
		{ "\"x\",,\t,W/\"y\" , \"a,b\"", true, true },
		{ ", \"a,b\" ,", true, true }, { "\"\", \"a,b\"", true, true },
		{ "\"x,*,y\"", false, false }, { "\"x\", *", false, false },
		{ "*, \"a,b\"", false, false }, { "", false, false },
		{ "a,b", false, false }, { "\"a,b", false, false },
		{ "w/\"a,b\"", false, false }, { "W/ \"a,b\"", false, false },
		{ "\"x\" \"a,b\"", false, false }, { "W/", false, false },
		{ "\"x y\", \"a,b\"", false, false },
		{ "x, \"a,b\"", false, false }, { "\"a,b\"x", true, true },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct torc_slice list = torc_http_text(rows[i].list),
		    tag = torc_http_text("\"a,b\""),
		    weak = torc_http_text("W/\"a,b\"");

		if (torc_file_tagged(list, tag, false) != rows[i].strongly ||
		    torc_file_tagged(list, tag, true) != rows[i].weakly)
			fail_msg("%s", rows[i].list);
		/* Of a weak tag, nothing is found strongly but "*". */
		assert_int_equal(torc_file_tagged(list, weak, true),
		    rows[i].weakly);
		assert_int_equal(torc_file_tagged(list, weak, false),
		    strcmp(rows[i].list, "*") == 0);
	}
}

static void
a_field_that_is_no_list_and_is_there_twice_says_nothing(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
	} rows[] = {
		{ "Range: bytes=0-0\r\nRange: bytes=1-1\r\n", 200 },
		{ "Range: bytes=0-0\r\nIf-Range: " DATE "If-Range: " DATE,
		    200 },
		{ "If-Modified-Since: " DATE "If-Modified-Since: " DATE, 200 },
		{ "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
		    "If-Unmodified-Since: " DATE, 200 },
		/* The controls. */
		{ "Range: bytes=0-0\r\n", 206 },
		{ "Range: bytes=0-0\r\nIf-Range: " DATE, 206 },
		{ "If-Modified-Since: " DATE, 304 },
		{ "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
		    412 },
	};

	(void)state;
	put_at("a", "text", 5);
	restart_root();
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_status("/a", rows[i].fields, rows[i].status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_look, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_written_as_they_are_read),
		cmocka_unit_test(entity_tags_are_found_in_lists_and_nowhere_else),
		TEST(special_files_are_refused_without_being_opened),
		TEST(a_special_index_is_refused_without_being_opened),
		TEST(what_is_swapped_in_is_opened_without_waiting_and_let_go),
		TEST(what_is_never_the_same_ends_in_an_answer),
		TEST(errors_of_the_file_system_have_their_statuses),
		TEST(permissions_are_those_of_the_moment),
		TEST(a_folder_that_hangs_keeps_nobody_from_other_files),
		TEST(a_root_that_hangs_keeps_nobody_from_other_roots),
		TEST(a_request_for_what_hangs_is_answered_in_time),
		TEST(a_turn_that_one_folder_may_not_have_is_anothers),
		TEST(a_file_that_changes_while_it_is_read_is_answered_as_one_of_both),
		TEST(an_empty_file_that_fills_meanwhile_is_whole),
		TEST(what_does_not_tell_its_size_is_read_to_its_end),
		TEST(a_file_that_grows_while_it_is_sent_has_the_bytes_that_were_said),
		TEST(a_file_of_more_than_four_gigabytes_has_its_bytes),
		TEST(entity_tags_distinguish_forms),
		TEST(entity_tags_distinguish_versions_of_the_same_time_and_size),
		TEST(a_file_that_has_just_changed_has_a_weak_tag_until_its_tick_is_over),
		TEST(no_file_was_modified_in_the_future),
		TEST(a_date_that_two_versions_have_had_validates_none),
		TEST(a_part_is_not_given_for_the_date_of_a_file_that_has_changed),
		TEST(a_field_that_is_no_list_and_is_there_twice_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
