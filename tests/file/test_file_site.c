/* SPDX-License-Identifier: MIT */
/*
 * test_file_site.c - a tree of files over HTTP: what is served and what is
 * not, what changes and when that is seen, conditions, ranges and codings.
 *
 * wrap: torc_sys_close
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/file/site.h"

/* ---- What requests say, without a server ---- */

static struct torc_slice
slice(const char *text)
{
	return torc_http_text(text);
}

static void
targets_are_paths_or_are_refused(void **state)
{
	static const struct {
		const char *text, *path;
		unsigned status;
		bool directory;
	} rows[] = {
		{ "/", ".", 0, true },
		{ "/a", "a", 0, false },
		{ "/a/", "a", 0, true },
		{ "//a///b", "a/b", 0, false },
		{ "/a/./b/../c", "a/c", 0, false },
		{ "/a/b/..", "a", 0, true },
		{ "/a/.", "a", 0, true },
		{ "/a/..", ".", 0, true },
		{ "/a%20b?c=%zz/../..", "a b", 0, false },
		{ "/%61", "a", 0, false },
		{ "/a%2e%2E", "a..", 0, false },
		{ "/a/%2e%2e/b", "b", 0, false },
		{ "/%25%32%65", "%2e", 0, false },
		{ "/%252e%252e/b", "%2e%2e/b", 0, false },
		{ "http://host/a", "a", 0, false },
		{ "http://host", ".", 0, true },
		{ "http://host?x", ".", 0, true },
		{ "/%c3%a4", "\xc3\xa4", 0, false },
		{ "/..", "", 400, false },
		{ "/../etc/passwd", "", 400, false },
		{ "/a/../../b", "", 400, false },
		{ "/%2e%2e/b", "", 400, false },
		{ "/.%2e/b", "", 400, false },
		{ "/a%00b", "", 400, false },
		{ "/a%0ab", "", 400, false },
		{ "/a%7f", "", 400, false },
		{ "/a%", "", 400, false },
		{ "/a%4", "", 400, false },
		{ "/a%4g", "", 400, false },
		{ "*", "", 400, false },
		{ "", "", 400, false },
		{ "a/b", "", 400, false },
		{ "/a%2fb", "", 404, false },
		{ "/..%2f..%2fetc", "", 404, false },
		{ "/..\\..\\etc", "", 404, false },
		{ "/..%5c..%5cetc", "", 404, false },
		{ "/.git/config", "", 404, false },
		{ "/a/.hidden", "", 404, false },
		{ "/...", "", 404, false },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct torc_file_target target;
		unsigned status = torc_file_target(&target,
		    slice(rows[i].text), false);

		if (status != rows[i].status || (status == 0 &&
		    (strcmp(target.path, rows[i].path) != 0 ||
		    target.directory != rows[i].directory)))
			fail_msg("%s: %u %s", rows[i].text, status,
			    target.path);
	}
}

static void
a_path_has_a_bound_and_hidden_ones_an_option(void **state)
{
	struct torc_file_target target;
	char text[TORC_FILE_PATH_MAX + 10], location[TORC_FILE_LOCATION_MAX];
	size_t size;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	for (size = TORC_FILE_PATH_MAX - 8; size < sizeof(text); size++) {
		const struct torc_slice slices = { (uint8_t *)text, size };
		const unsigned status = torc_file_target(&target, slices,
		    false);

		assert_int_equal(status, size < TORC_FILE_PATH_MAX ? 0 : 404);
	}
	assert_int_equal(torc_file_target(&target, slice("/.git/config?a=b"),
	    true), 0);
	assert_string_equal(target.path, ".git/config");
	assert_int_equal(target.query.size, 4);
	torc_file_target(&target, slice("/%20%3f/%c3"), false);
	size = torc_file_location(&target, location);
	assert_int_equal(size, 12);
	assert_memory_equal(location, "/%20%3F/%C3/", 12);
}

static void
ranges_are_read_clamped_and_bounded(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
		int count;
		uint64_t first, length;	/* of the last one */
	} rows[] = {
		{ "bytes=0-0", 10, 1, 0, 1 },
		{ "bytes=0-", 10, 1, 0, 10 },
		{ "Bytes=2-3", 10, 1, 2, 2 },
		{ "bytes=9-9", 10, 1, 9, 1 },
		{ "bytes=5-100", 10, 1, 5, 5 },
		{ "bytes=5-99999999999999999999999", 10, 1, 5, 5 },
		{ "bytes=-3", 10, 1, 7, 3 },
		{ "bytes=-30", 10, 1, 0, 10 },
		{ "bytes=0-1, 4-5", 10, 2, 4, 2 },
		{ "bytes=0-1,20-30,4-5", 10, 2, 4, 2 },
		{ "bytes=0-0,1-1,2-2,3-3", 10, 4, 3, 1 },
		{ "bytes=0-0,1-1,2-2,3-3,4-4", 10, 0, 0, 0 },
		{ "bytes=0-9,0-9", 10, 0, 0, 0 },
		{ "bytes=0-5,3-9", 10, 0, 0, 0 },
		{ "items=0-1", 10, 0, 0, 0 },
		{ "bytes", 10, 0, 0, 0 },
		{ "bytes=0-1", 0, 0, 0, 0 },
		{ "bytes=0-", 0, 0, 0, 0 },
		{ "bytes=-1", 0, 0, 0, 0 },
		{ "bytes=1-,0-", 0, 0, 0, 0 },
		{ "bytes=1-", 0, -ERANGE, 0, 0 },
		{ "bytes=2-1", 0, -ERANGE, 0, 0 },
		{ "bytes=0-,x", 0, -ERANGE, 0, 0 },
		{ "bytes=10-", 10, -ERANGE, 0, 0 },
		{ "bytes=10-11", 10, -ERANGE, 0, 0 },
		{ "bytes=99999999999999999999999-", 10, -ERANGE, 0, 0 },
		{ "bytes=-0", 10, -ERANGE, 0, 0 },
		{ "bytes=5-4", 10, -ERANGE, 0, 0 },
		{ "bytes=", 10, 0, 0, 0 },
		{ "bytes=,", 10, -ERANGE, 0, 0 },
		{ "bytes=-", 10, -ERANGE, 0, 0 },
		{ "bytes=a-b", 10, -ERANGE, 0, 0 },
		{ "bytes=0-1x", 10, -ERANGE, 0, 0 },
		{ "bytes=0--1", 10, -ERANGE, 0, 0 },
		{ "bytes=+0-1", 10, -ERANGE, 0, 0 },
		{ "bytes=18446744073709551615-18446744073709551615",
		    UINT64_MAX, -ERANGE, 0, 0 },
		{ "bytes=0-18446744073709551615", UINT64_MAX, 1, 0,
		    UINT64_MAX },
		{ "bytes=0-1,4-,-3", UINT64_MAX, 0, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct torc_file_range ranges[4];
		int count = torc_file_ranges(ranges, 4, slice(rows[i].text),
		    rows[i].size);

		if (count != rows[i].count || (count > 0 &&
		    (ranges[count - 1].first != rows[i].first ||
		    ranges[count - 1].size != rows[i].length)))
			fail_msg("%s: %d", rows[i].text, count);
	}
}

static void
dates_have_three_forms(void **state)
{
	static const char *const good[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	static const char *const bad[] = {
		"", "Sun", "Sun, 06 Nov 1994 08:49:37", "784111777",
		"Sun, 06 Nov 1994 08:49:37 GMT+1",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 36 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:-9:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT                      ",
	};
	int64_t seconds;

	(void)state;
	for (unsigned i = 0; i < COUNT(good); i++) {
		assert_true(torc_file_date(slice(good[i]), &seconds));
		assert_int_equal(seconds, 784111777);
	}
	for (unsigned i = 0; i < COUNT(bad); i++)
		assert_false(torc_file_date(slice(bad[i]), &seconds));
	assert_true(torc_file_date(slice("Thu, 29 Feb 2024 00:00:00 GMT"),
	    &seconds));
	assert_int_equal(seconds, 1709164800);
}

static void
a_client_gets_the_form_that_it_wants_most(void **state)
{
	static const struct {
		const char *accept;
		unsigned br, gzip, plain;
	} rows[] = {
		{ NULL, 0, 0, 1 },
		{ "gzip, br", 1000, 1000, 1 },
		{ "gzip;q=0.5, br;q=0.25", 250, 500, 1 },
		{ "gzip;q=0", 0, 0, 1 },
		{ "*", 1000, 1000, 1 },
		{ "*;q=0.1, br;q=0", 0, 100, 1 },
		{ "identity;q=0.7, GZIP ; Q=0.123", 0, 123, 700 },
		{ "x-gzip", 0, 1000, 1 },
		{ "gzip;q=1.001, br;q=2", 0, 0, 1 },
		{ "gzip;q=, br;x=1, ;,,", 0, 0, 1 },
		{ "", 0, 0, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct torc_http_field field = {
			slice("Accept-Encoding"),
			slice(rows[i].accept != NULL ? rows[i].accept : ""),
		};
		const struct torc_http_head head = {
			.fields = &field,
			.field_count = rows[i].accept != NULL,
		};
		unsigned wanted[TORC_FILE_CODINGS];

		torc_file_codings(wanted, &head);
		if (wanted[TORC_FILE_BR] != rows[i].br ||
		    wanted[TORC_FILE_GZIP] != rows[i].gzip ||
		    wanted[TORC_FILE_PLAIN] != rows[i].plain)
			fail_msg("%s: %u %u %u", rows[i].accept, wanted[0],
			    wanted[1], wanted[2]);
	}
}

/* ---- What is served ---- */

static void
files_of_all_sizes_arrive_byte_for_byte(void **state)
{
	static const size_t sizes[] = {
		0, 1, 400, 4096, 16383, 16384, 16385, 40000, 262144, 262145,
		1 << 20, (2 << 20) + 1, 3000001,
	};

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < COUNT(sizes); i++) {
			char name[32];

			snprintf(name, sizeof(name), "/f%u", i);
			if (round == 0)
				put_file(name, i, sizes[i]);
			assert_file(name, i, sizes[i]);
			assert_file(name, i, sizes[i]);
			ask("HEAD", name, "");
			assert_int_equal(atol(field("Content-Length")),
			    (long)sizes[i]);
			assert_int_equal(strlen(body()), 0);
		}
		/* Again, with none of them in memory. */
		config.body_max = 1;
		restart_root();
	}
}

static int
find_flags(void *arg)
{
	struct torc_file_kept *entry;
	int flags = -1;

	(void)arg;
	if (torc_file_get(root, "a", &entry, LATE) == 0) {
		flags = fcntl(entry->forms[TORC_FILE_PLAIN].fd, F_GETFL);
		torc_file_let(root, entry);
	}
	return flags;
}

static void
a_file_that_is_on_the_disk_only_is_waited_for(void **state)
{
	int fd, flags;

	(void)state;
	config.body_max = 1;
	config.fresh_ms = TORC_NO_LIMIT;
	restart_root();
	put_file("a", 7, 3000000);
	assert_file("/a", 7, 3000000);
	flags = server_fiber(&server, find_flags, NULL);
	assert_true(flags >= 0 && !(flags & O_NONBLOCK));
	fd = open(in_folder("a"), O_RDONLY | O_CLOEXEC);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	assert_file("/a", 7, 3000000);
}

static void
what_is_not_there_is_not_found_and_what_is_no_file_is_refused(void **state)
{
	(void)state;
	put_text("a.txt", "a");
	mkdir(in_folder("d"), 0700);
	mkdir(in_folder("i"), 0700);
	put_text("i/index.html", "index");
	mkfifo(in_folder("fifo"), 0600);
	assert_status("/none", "", 404);
	assert_status("/none/", "", 404);
	assert_status("/a.txt/", "", 404);
	assert_status("/a.txt/b", "", 404);
	assert_status("/fifo", "", 403);
	assert_status("/d/", "", 403);
	assert_status("/d?x=1", "", 301);
	assert_string_equal(field("Location"), "/d/?x=1");
	assert_status("//d", "", 301);
	assert_string_equal(field("Location"), "/d/");
	assert_status("/i/", "", 200);
	assert_string_equal(body(), "index");
	assert_string_equal(field("Content-Type"), "text/html");
	assert_status("/a.txt?x", "", 200);
	assert_string_equal(field("Content-Type"), "text/plain");
	ask("POST", "/a.txt", "Content-Length: 0\r\n");
	assert_int_equal(status(), 405);
	assert_string_equal(field("Allow"), "GET, HEAD");
}

static void
nothing_outside_of_the_root_is_served(void **state)
{
	static const char *const tries[] = {
		"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/..%5csecret",
		"/a/../../secret", "/%252e%252e/secret", "/..\\secret",
		"/a.txt%00/../../secret", "/.%2e/secret", "http://h/../secret",
		"/link", "/up/secret", "/loop", "/.hidden", "/.d/a",
		"//secret", "/proc/self/root/etc/passwd",
	};
	char path[300];

	(void)state;
	put_text("a.txt", "a");
	put_text(".hidden", "secret");
	mkdir(in_folder(".d"), 0700);
	put_text(".d/a", "secret");
	snprintf(path, sizeof(path), "%s-secret", folder);
	put_text("secret.tmp", "secret");
	assert_int_equal(rename(in_folder("secret.tmp"), path), 0);
	assert_int_equal(symlink(path, in_folder("link")), 0);
	assert_int_equal(symlink("..", in_folder("up")), 0);
	assert_int_equal(symlink("loop", in_folder("loop")), 0);
	assert_int_equal(symlink("a.txt", in_folder("inside")), 0);
	for (unsigned i = 0; i < COUNT(tries); i++) {
		ask("GET", tries[i], "");
		if ((status() != 400 && status() != 404) ||
		    strstr(reply, "secret") != NULL)
			fail_msg("%s: %u", tries[i], status());
	}
	assert_status("/inside", "", 404);
	assert_status("/a.txt", "", 200);	/* the control */
	config.hidden = true;
	restart_root();
	assert_status("/.hidden", "", 200);
	unlink(path);
}

/* ---- Changes ---- */

static void
a_change_is_seen_when_the_last_look_is_too_old(void **state)
{
	(void)state;
	put_text("a", "one");
	assert_status("/a", "", 200);
	put_text("a", "two");		/* edited, of the same size */
	pass_freshness();
	assert_status("/a", "", 200);
	assert_string_equal(body(), "two");
	put_text("b", "three");		/* replaced */
	rename(in_folder("b"), in_folder("a"));
	pass_freshness();
	assert_status("/a", "", 200);
	assert_string_equal(body(), "three");
	unlink(in_folder("a"));		/* removed */
	pass_freshness();
	assert_status("/a", "", 404);
	mkdir(in_folder("a"), 0700);	/* of another kind */
	assert_status("/a", "", 301);
	rmdir(in_folder("a"));
	symlink("/etc/passwd", in_folder("a"));
	pass_freshness();
	assert_status("/a", "", 404);
}

static struct torc_file_stats stats;

static void
take_stats(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	torc_file_root_stats_read(root, &stats);
}

static void
a_file_that_stays_is_looked_at_but_not_loaded_again(void **state)
{
	const struct timespec old[2] = { { 1000000, 0 }, { 1000000, 0 } };
	uint64_t loads, looks;
	char tag[100];

	(void)state;
	put_text("a", "one");
	utimensat(AT_FDCWD, in_folder("a"), old, 0);
	/* Two seconds, for which it might change without showing it. */
	pause_ms(3100);
	assert_status("/a", "", 200);
	server_call(&server, take_stats, NULL);
	loads = stats.loads;
	looks = stats.looks;
	snprintf(tag, sizeof(tag), "%s", field("ETag"));
	for (unsigned i = 0; i < 3; i++) {
		pass_freshness();
		assert_status("/a", "", 200);
		assert_string_equal(body(), "one");
		assert_string_equal(field("ETag"), tag);
	}
	server_call(&server, take_stats, NULL);
	assert_int_equal(stats.loads, loads);
	assert_int_equal(stats.looks, looks + 3);
	/* Its time is as before, and its bytes are not. */
	put_text("a", "two");
	utimensat(AT_FDCWD, in_folder("a"), old, 0);
	pass_freshness();
	assert_status("/a", "", 200);
	assert_string_equal(body(), "two");
}

/* The clock of many file systems does not show two changes in one tick. */
static void
a_file_that_has_just_changed_is_loaded_again(void **state)
{
	bool again = false;

	(void)state;
	/* On a slow machine, it may not be so recent any more. */
	for (unsigned i = 0; i < 20 && !again; i++) {
		char name[16];
		uint64_t loads;

		snprintf(name, sizeof(name), "/a%u", i);
		put_text(name, "one");
		assert_status(name, "", 200);
		server_call(&server, take_stats, NULL);
		loads = stats.loads;
		pass_freshness();
		assert_status(name, "", 200);
		server_call(&server, take_stats, NULL);
		again = stats.loads == loads + 1;
	}
	assert_true(again);
}

static void
what_is_kept_is_bounded(void **state)
{
	char name[32];

	(void)state;
	config.files_max = 10;
	config.memory_max = 100000;
	config.fresh_ms = TORC_NO_LIMIT;
	restart_root();
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "/f%u", i % 25);
		if (i < 25)
			put_file(name, i, 30000 + i);
		assert_file(name, i % 25, 30000 + i % 25);
		server_call(&server, take_stats, NULL);
		assert_true(stats.memory <= 100000 && stats.files <= 3);
	}
	assert_true(stats.memory >= 60000);	/* it is used */
	for (unsigned i = 0; i < 25; i++) {
		snprintf(name, sizeof(name), "/s%u", i);
		put_file(name, i, i);
		assert_file(name, i, i);
		server_call(&server, take_stats, NULL);
		assert_true(stats.files <= 10);
	}
	assert_int_equal(stats.files, 10);
	put_file("large", 99, 100001);	/* more than all bodies may have */
	assert_file("/large", 99, 100001);
}

/* ---- Load ---- */

static bool changing;

/* Rename new files to "a", of which every byte says the version. */
static void *
change(void *arg)
{
	char from[300], to[300];

	snprintf(from, sizeof(from), "%s/next", folder);
	snprintf(to, sizeof(to), "%s/a", folder);
	for (unsigned i = 0; __atomic_load_n(&changing, __ATOMIC_SEQ_CST);
	    i++) {
		static char data[300000];
		FILE *file = fopen(from, "we");

		memset(data, 'a' + (int)(i % 26), sizeof(data));
		fwrite(data, 1, 200000 + i % 100 * 1000, file);
		fclose(file);
		rename(from, to);
		pause_ms(1);
	}
	return arg;
}

static void *
ask_and_compare(void *arg)
{
	static const char request[] = "GET /a HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n";
	char *mine = malloc(400000);
	intptr_t wrong = 0;

	for (unsigned i = 0; i < 60; i++) {
		int fd = client_open(server.port);
		char *from, *end;
		long got;

		client_send(fd, request, sizeof(request) - 1);
		got = client_read_all(fd, mine, 399999);
		close(fd);
		mine[got > 0 ? got : 0] = '\0';
		from = strstr(mine, "\r\n\r\n");
		end = mine + (got > 0 ? got : 0);
		wrong += got <= 0 || from == NULL ||
		    strncmp(mine, "HTTP/1.1 200", 12) != 0;
		for (from = from != NULL ? from + 4 : end; from + 1 < end;
		    from++)
			wrong += from[0] != from[1];
	}
	free(mine);
	return (void *)((intptr_t)arg + wrong);
}

/* Through memory (0), and from descriptors (1). */
static void
reload_under_load(uint64_t body_max)
{
	pthread_t threads[4], changer;
	void *wrong;

	config.fresh_ms = 1;
	config.body_max = body_max;
	config.files_max = 1;
	restart_root();
	put_file("a", 1, 0);
	changing = true;
	pthread_create(&changer, NULL, change, NULL);
	pause_ms(20);
	for (unsigned i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, ask_and_compare, NULL);
	for (unsigned i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	__atomic_store_n(&changing, false, __ATOMIC_SEQ_CST);
	pthread_join(changer, NULL);
}

static void
files_that_are_replaced_under_load_are_never_mixed_or_closed_in_use(
    void **state)
{
	(void)state;
	reload_under_load(0);
	reload_under_load(1);
}

static void
a_file_that_is_cut_while_it_is_sent_ends_in_a_reset(void **state)
{
	static const char request[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd, small = 65536;

	(void)state;
	put_file("a", 1, 30000000);
	fd = client_open(server.port);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fd, request, sizeof(request) - 1);
	assert_true(client_read(fd, reply, 1000));
	assert_int_equal(truncate(in_folder("a"), 1000), 0);
	for (;;) {
		ssize_t got = read(fd, reply, ROOM);

		assert_true(got != 0);	/* no FIN: it is not whole */
		if (got < 0)
			break;
	}
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	put_file("a", 2, 100);
	pass_freshness();
	assert_file("/a", 2, 100);
}

#define FEW_FDS 256u

static void
without_descriptors_the_answer_is_503_and_later_the_file(void **state)
{
	static const char request[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
	struct rlimit before, few;
	int fds[FEW_FDS];
	unsigned count = 0;
	int fd = client_open(server.port);

	(void)state;
	put_text("a", "a");
	assert_true(server_await_connections(&server, 1));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = FEW_FDS;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (count < FEW_FDS && (fds[count] = dup(fd)) >= 0)
		count++;
	client_send(fd, request, sizeof(request) - 1);
	assert_true(client_read(fd, reply, 12));
	reply[12] = '\0';
	while (count > 0)
		close(fds[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_string_equal(reply, "HTTP/1.1 503");
	close(fd);
	assert_status("/a", "", 200);
}

/* ---- Conditions, ranges, codings ---- */

static const struct {
	const char *fields;	/* %s: the tag */
	unsigned status;
} conditions[] = {
	{ "If-None-Match: %s\r\n", 304 },
	{ "If-None-Match: \"x\", W/%s\r\n", 304 },
	{ "If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", 304 },
	{ "If-None-Match: *\r\n", 304 },
	{ "If-None-Match: \"x\"\r\n", 200 },
	{ "If-None-Match: \"x\"\r\n"
	    "If-Modified-Since: Sun, 06 Nov 2050 08:49:37 GMT\r\n",
	    200 },
	{ "If-Modified-Since: Fri, 09 Sep 2001 01:46:40 GMT\r\n",
	    304 },
	{ "If-Modified-Since: Fri, 09 Sep 2001 01:46:39 GMT\r\n",
	    200 },
	{ "If-Modified-Since: Sun, 06 Nov 2050 08:49:37 GMT\r\n",
	    304 },
	{ "If-Modified-Since: yesterday\r\n", 200 },
	{ "If-Match: %s\r\n", 200 },
	{ "If-Match: *\r\n", 200 },
	{ "If-Match: \"x\", \"y\"\r\n", 412 },
	{ "If-Match: W/%s\r\n", 412 },
	{ "If-Unmodified-Since: Fri, 09 Sep 2001 01:46:40 GMT\r\n",
	    200 },
	{ "If-Unmodified-Since: Fri, 09 Sep 2001 01:46:39 GMT\r\n",
	    412 },
	{ "If-Match: %s\r\n"
	    "If-Unmodified-Since: Fri, 09 Sep 2001 01:46:39 GMT\r\n",
	    200 },
	{ "Range: bytes=0-0\r\nIf-None-Match: %s\r\n", 304 },
	{ "Range: bytes=0-0\r\nIf-Range: %s\r\n", 206 },
	{ "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n", 200 },
	{ "Range: bytes=0-0\r\nIf-Range: W/%s\r\n", 200 },
	{ "Range: bytes=0-0\r\n"
	    "If-Range: Fri, 09 Sep 2001 01:46:40 GMT\r\n", 206 },
	{ "Range: bytes=0-0\r\n"
	    "If-Range: Fri, 09 Sep 2001 01:46:41 GMT\r\n", 200 },
};

static void
conditions_are_those_of_rfc_9110(void **state)
{
	const struct timespec billion[2] = {
		{ 1000000000, 7 }, { 1000000000, 7 },
	};
	char tag[100];

	(void)state;
	put_text("a.css", "body {}");
	utimensat(AT_FDCWD, in_folder("a.css"), billion, 0);
	restart_root();		/* dates are of files that do not change */
	assert_status("/a.css", "", 200);
	snprintf(tag, sizeof(tag), "%s", field("ETag"));
	assert_string_equal(field("Last-Modified"),
	    "Sun, 09 Sep 2001 01:46:40 GMT");
	for (unsigned i = 0; i < COUNT(conditions); i++) {
		char fields[400];

		snprintf(fields, sizeof(fields), conditions[i].fields, tag);
		assert_status("/a.css", fields, conditions[i].status);
		if (conditions[i].status != 412)
			assert_string_equal(field("ETag"), tag);
		if (conditions[i].status == 304)
			assert_int_equal(strlen(body()), 0);
	}
}

static void
ranges_have_the_bytes_that_they_name(void **state)
{
	char want[2000], boundary[40];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		put_text("a", "0123456789");
		assert_status("/a", "Range: bytes=2-4\r\n", 206);
		assert_string_equal(body(), "234");
		assert_string_equal(field("Content-Range"), "bytes 2-4/10");
		assert_string_equal(field("Content-Length"), "3");
		assert_status("/a", "Range: bytes=-2\r\n", 206);
		assert_string_equal(body(), "89");
		assert_status("/a", "Range: bytes=10-\r\n", 416);
		assert_string_equal(field("Content-Range"), "bytes */10");
		assert_status("/a", "Range: bytes=0-1,8-\r\n", 206);
		assert_int_equal(sscanf(field("Content-Type"),
		    "multipart/byteranges; boundary=%39s", boundary), 1);
		snprintf(want, sizeof(want), "\r\n--%s\r\n"
		    "Content-Type: application/octet-stream\r\n"
		    "Content-Range: bytes 0-1/10\r\n\r\n01\r\n--%s\r\n"
		    "Content-Type: application/octet-stream\r\n"
		    "Content-Range: bytes 8-9/10\r\n\r\n89\r\n--%s--\r\n",
		    boundary, boundary, boundary);
		assert_string_equal(body(), want);
		assert_int_equal(atol(field("Content-Length")), strlen(want));
		ask("HEAD", "/a", "Range: bytes=2-4\r\n");
		assert_int_equal(status(), 200);
		assert_string_equal(field("Content-Length"), "10");
		config.body_max = 1;	/* again, from the descriptor */
		restart_root();
	}
}

static void
a_compressed_file_stands_for_one_that_is_not_newer(void **state)
{
	const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };

	(void)state;
	config.precompressed = true;
	restart_root();
	put_text("a.js", "plain");
	put_text("a.js.gz", "gzip");
	put_text("a.js.br", "brotli");
	put_text("b.js", "plain");
	utimensat(AT_FDCWD, in_folder("a.js"), old, 0);
	assert_status("/a.js", "", 200);
	assert_string_equal(body(), "plain");
	assert_string_equal(field("Vary"), "Accept-Encoding");
	assert_null(field("Content-Encoding"));
	assert_status("/a.js", "Accept-Encoding: gzip\r\n", 200);
	assert_string_equal(body(), "gzip");
	assert_string_equal(field("Content-Encoding"), "gzip");
	assert_string_equal(field("Content-Type"), "text/javascript");
	assert_status("/a.js", "Accept-Encoding: gzip, br\r\n", 200);
	assert_string_equal(body(), "brotli");
	assert_status("/a.js", "Accept-Encoding: gzip, br;q=0.5\r\n", 200);
	assert_string_equal(body(), "gzip");
	assert_status("/b.js", "Accept-Encoding: gzip, br\r\n", 200);
	assert_string_equal(body(), "plain");
	assert_null(field("Vary"));
	/* Edited: the compressed ones are of the file as it was. */
	utimensat(AT_FDCWD, in_folder("a.js.gz"), old, 0);
	utimensat(AT_FDCWD, in_folder("a.js.br"), old, 0);
	put_text("a.js", "edited");
	pass_freshness();
	assert_status("/a.js", "Accept-Encoding: gzip, br\r\n", 200);
	assert_string_equal(body(), "edited");
}

static struct torc_error said;

static int
open_in_words(void *arg)
{
	return torc_file_root_open(&root, arg, &config, &said, LATE);
}

static void
a_configuration_out_of_its_bounds_is_refused_in_words(void **state)
{
	static const struct {
		struct torc_file_config config;
		const char *text;
	} wrong[] = {
		{ { .files_max = 1048577 },
		    "files_max = 1048577: must be from 1 to 1048576" },
		{ { .ranges_max = 65 },
		    "ranges_max = 65: must be from 1 to 64" },
		{ { .looks_max = 1025 },
		    "looks_max = 1025: must be from 1 to 1024" },
		{ { .body_max = (1u << 30) + 1 },
		    "body_max = 1073741825: must be from 1 to 1073741824" },
		{ { .index = "a/b" },
		    "index = \"a/b\": must be a name of at most 255 bytes" },
		{ { .cache_control = "a\r\nb: c" },
		    "cache_control: must be the value of a field, without "
		    "control characters" },
	};

	(void)state;
	assert_int_equal(server_fiber(&server, close_root, NULL), 0);
	for (unsigned i = 0; i < COUNT(wrong); i++) {
		config = wrong[i].config;
		assert_int_equal(server_fiber(&server, open_root, folder),
		    -EINVAL);
		assert_int_equal(server_fiber(&server, open_in_words, folder),
		    -EINVAL);
		assert_string_equal(said.text, wrong[i].text);
	}
	config = (struct torc_file_config) { .cache_control = "max-age=5" };
	assert_int_equal(server_fiber(&server, open_root,
	    (void *)(uintptr_t)"/none"), -ENOENT);
	assert_int_equal(server_fiber(&server, open_in_words, folder), 0);
	assert_string_equal(said.text, "");
	put_text("a", "a");
	assert_status("/a", "", 200);
	assert_string_equal(field("Cache-Control"), "max-age=5");
}

/* The caller's memory may be used for something else. */
static void
strings_of_a_configuration_are_copied(void **state)
{
	char index[] = "first.html", control[] = "max-age=7";

	(void)state;
	config.index = index;
	config.cache_control = control;
	restart_root();
	memset(index, 'x', sizeof(index) - 1);
	memset(control, 'x', sizeof(control) - 1);
	put_text("first.html", "first");
	assert_status("/", "", 200);
	assert_string_equal(body(), "first");
	assert_string_equal(field("Cache-Control"), "max-age=7");
}

/* ---- Refusals ---- */

static void
see_refusal(const struct torc_http_head *request,
    struct torc_http_refusal *refusal, void *arg)
{
	(void)request;
	*(_Atomic int *)arg = refusal->error;
	if (refusal->error != -ENOENT)
		return;
	refusal->status = 410;
	refusal->body = "It was here.";
	refusal->size = 12;
}

static void
a_hook_sees_and_changes_what_is_said_without_a_file(void **state)
{
	static _Atomic int seen;
	static const struct torc_http_config seeing = {
		.refusal = see_refusal, .arg = &seen,
	};

	(void)state;
	http_config = &seeing;
	put_text("there", "text");
	seen = 1;
	assert_status("/there", "", 200);
	assert_int_equal(seen, 1);
	assert_status("/nowhere", "", 410);
	assert_string_equal(body(), "It was here.");
	assert_int_equal(seen, -ENOENT);
	/* What it leaves as it is has its reason as its body. */
	assert_true(ask("POST", "/there", "") > 0);
	assert_int_equal(status(), 405);
	assert_string_equal(body(), "Method Not Allowed");
	assert_int_equal(seen, 0);
	http_config = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_are_paths_or_are_refused),
		cmocka_unit_test(a_path_has_a_bound_and_hidden_ones_an_option),
		cmocka_unit_test(ranges_are_read_clamped_and_bounded),
		cmocka_unit_test(dates_have_three_forms),
		cmocka_unit_test(a_client_gets_the_form_that_it_wants_most),
		TEST(files_of_all_sizes_arrive_byte_for_byte),
		TEST(a_file_that_is_on_the_disk_only_is_waited_for),
		TEST(what_is_not_there_is_not_found_and_what_is_no_file_is_refused),
		TEST(nothing_outside_of_the_root_is_served),
		TEST(a_hook_sees_and_changes_what_is_said_without_a_file),
		TEST(a_change_is_seen_when_the_last_look_is_too_old),
		TEST(a_file_that_stays_is_looked_at_but_not_loaded_again),
		TEST(a_file_that_has_just_changed_is_loaded_again),
		TEST(what_is_kept_is_bounded),
		TEST(files_that_are_replaced_under_load_are_never_mixed_or_closed_in_use),
		TEST(a_file_that_is_cut_while_it_is_sent_ends_in_a_reset),
		TEST(without_descriptors_the_answer_is_503_and_later_the_file),
		TEST(conditions_are_those_of_rfc_9110),
		TEST(ranges_have_the_bytes_that_they_name),
		TEST(a_compressed_file_stands_for_one_that_is_not_newer),
		TEST(a_configuration_out_of_its_bounds_is_refused_in_words),
		TEST(strings_of_a_configuration_are_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
