/* SPDX-License-Identifier: MIT */
/*
 * test_local.c - the file of a local socket belongs to the server that made
 * it: nobody else takes it away, and it is one server's at a time.
 *
 * wrap: torc_sys_connect
 * wrap: torc_sys_sleep
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "sys/sys.h"

static char folder[64];
static char address[128];	/* "unix:" and the path of a socket in it */
static const char *path;

static int
make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/torc-local-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(address, sizeof(address), "unix:%s/socket", folder);
	path = address + 5;
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

/* ---- Between torc and the kernel ---- */

/* What is done when the next one has seen that nobody listens at a path. */
static void (*when_stale)(void);

int
__wrap_torc_sys_connect(int fd, const struct sockaddr *to, uint32_t size)
{
	void (*call)(void) = when_stale;
	int rc = __real_torc_sys_connect(fd, to, size);

	when_stale = NULL;
	if (call != NULL)
		call();
	return rc;
}

static unsigned sleeps;		/* that would hold up a reactor */

void
__wrap_torc_sys_sleep(uint64_t ns)
{
	sleeps++;
	__real_torc_sys_sleep(ns);
}

/* ---- Others ---- */

static struct sockaddr_un
name(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	return at;
}

/* Another program's listener at the path, or a file that it has left. */
static int
another_program(bool alive)
{
	const struct sockaddr_un at = name();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)),
	    0);
	if (alive) {
		assert_int_equal(listen(fd, 4), 0);
		return fd;
	}
	close(fd);
	return -1;
}

static ino_t
inode(void)
{
	struct stat status;

	return lstat(path, &status) < 0 ? 0 : status.st_ino;
}

/* Whether somebody listens at the path. */
static bool
answers(void)
{
	const struct sockaddr_un at = name();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (const struct sockaddr *)&at, sizeof(at));

	close(fd);
	return rc == 0;
}

static void
listen_there(struct torc_reactor *reactor, void *arg)
{
	*(int *)arg = torc_listen(reactor, address, echo_handler, NULL);
}

/* Its index, or why not. */
static int
listen_on(struct server *server)
{
	int index = -1;

	server_call(server, listen_there, &index);
	return index;
}

/* The same on a reactor that does not run; it is let go. */
static int
listen_before(const char *where)
{
	struct torc_reactor *reactor;
	int index;

	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	index = torc_listen(reactor, where, echo_handler, NULL);
	torc_reactor_destroy(reactor);
	return index;
}

/* ---- Whose it is ---- */

static void
a_successor_at_the_path_keeps_its_file(void **state)
{
	struct server first, second;
	ino_t taken;

	(void)state;
	server_start(&first, NULL, echo_handler, NULL);
	server_start(&second, NULL, echo_handler, NULL);
	assert_true(listen_on(&first) >= 0);
	/* As somebody does who replaces a server that goes on for a while. */
	assert_int_equal(unlink(path), 0);
	assert_true(listen_on(&second) >= 0);
	taken = inode();
	assert_int_equal(server_stop(&first), 0);
	assert_int_equal(inode(), taken);
	assert_true(answers());
	/* And that one's goes with it. */
	assert_int_equal(server_stop(&second), 0);
	assert_int_equal(inode(), 0);
}

/* Its mode is set by the program, as that of a socket for a group is. */
static void
a_file_whose_mode_has_changed_goes_with_its_listener(void **state)
{
	struct server server;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server) >= 0);
	pause_ms(20);
	assert_int_equal(chmod(path, 0660), 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(inode(), 0);
}

static void
what_is_no_socket_any_more_is_left_alone_at_the_end(void **state)
{
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server) >= 0);
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_true(inode() != 0);
}

static void
a_file_that_was_moved_away_stays_where_it_was_put(void **state)
{
	struct server server;
	char moved[140];

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server) >= 0);
	snprintf(moved, sizeof(moved), "%s.old", path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(unlink(moved), 0);
}

/* ---- Who gets it ---- */

static struct rival {
	struct server server;
	pthread_t thread;
	sem_t over;
	int index;
} rival;

static void *
run_rival(void *arg)
{
	(void)arg;
	rival.index = listen_on(&rival.server);
	sem_post(&rival.over);
	return NULL;
}

/* It starts now, and has time to come as far as it can. */
static void
start_rival(void)
{
	struct timespec until;

	assert_int_equal(pthread_create(&rival.thread, NULL, run_rival, NULL),
	    0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (sem_timedwait(&rival.over, &until) < 0 && errno == EINTR)
		continue;
}

static void
of_two_that_start_at_once_one_has_the_path(void **state)
{
	struct server server;
	ino_t file;
	int index;

	(void)state;
	another_program(false);
	sem_init(&rival.over, 0, 0);
	server_start(&server, NULL, echo_handler, NULL);
	server_start(&rival.server, NULL, echo_handler, NULL);
	when_stale = start_rival;
	index = listen_on(&server);
	pthread_join(rival.thread, NULL);
	assert_true((index >= 0) != (rival.index >= 0));
	assert_int_equal(index >= 0 ? rival.index : index, -EADDRINUSE);
	assert_true(answers());
	/* The end of the other one changes nothing. */
	file = inode();
	assert_int_equal(server_stop(index >= 0 ? &rival.server : &server), 0);
	assert_int_equal(inode(), file);
	assert_true(answers());
	assert_int_equal(server_stop(index >= 0 ? &server : &rival.server), 0);
	assert_int_equal(inode(), 0);
}

static int successor = -1;

static void
let_another_program_in(void)
{
	assert_int_equal(unlink(path), 0);
	successor = another_program(true);
}

/* It knows nothing of our lock, and was quicker. */
static void
a_server_that_came_after_the_look_at_a_stale_file_is_not_removed(void **state)
{
	struct server server;
	ino_t file;

	(void)state;
	another_program(false);
	pause_ms(20);
	server_start(&server, NULL, echo_handler, NULL);
	when_stale = let_another_program_in;
	assert_int_equal(listen_on(&server), -EADDRINUSE);
	file = inode();
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(inode(), file);
	assert_true(answers());
	close(successor);
}

/* Such as by a wrapper, flock(1) for one, that started us. */
static void
a_folder_that_is_locked_for_long_is_used_all_the_same(void **state)
{
	struct server server;
	int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(flock(lock, LOCK_EX), 0);
	another_program(false);
	assert_true(listen_before(address) >= 0);
	assert_int_equal(inode(), 0);
	/* Who cannot wait takes no file away, but is not kept out. */
	server_start(&server, NULL, echo_handler, NULL);
	another_program(false);
	sleeps = 0;
	assert_int_equal(listen_on(&server), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	assert_true(listen_on(&server) >= 0);
	assert_true(answers());
	assert_int_equal(sleeps, 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(inode(), 0);
	close(lock);
}

#define CLAIM(test) \
	cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

/* ---- A server that was killed ---- */

/* Its socket lives a little longer than it does, with its ring. */
static void *
end_late(void *arg)
{
	pause_ms(40);
	close(*(int *)arg);
	return NULL;
}

static void
assert_begins_late(const struct sockaddr_un *at, socklen_t size,
    const char *where)
{
	pthread_t thread;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)at, size), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, end_late, &fd), 0);
	assert_true(listen_before(where) >= 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
a_server_that_was_killed_gives_way_when_its_socket_is_closed(void **state)
{
	struct sockaddr_un at = name();
	char abstract[64];
	int size;

	(void)state;
	assert_begins_late(&at, sizeof(at), address);
	size = snprintf(abstract, sizeof(abstract), "unix:@torc-test-%d",
	    (int)getpid());
	memset(&at, 0, sizeof(at));
	at.sun_family = AF_UNIX;
	memcpy(at.sun_path + 1, abstract + 6, (size_t)size - 6);
	assert_begins_late(&at, (socklen_t)(offsetof(struct sockaddr_un,
	    sun_path) + 1 + (size_t)size - 6), abstract);
}

/* Its other connections would wait, too. */
static void
a_reactor_that_runs_does_not_wait_for_a_server_that_was_killed(void **state)
{
	struct server server;
	int fd;

	(void)state;
	fd = another_program(true);
	server_start(&server, NULL, echo_handler, NULL);
	sleeps = 0;
	assert_int_equal(listen_on(&server), -EADDRINUSE);
	assert_int_equal(sleeps, 0);
	close(fd);
	assert_true(listen_on(&server) >= 0);
	assert_true(answers());
	assert_int_equal(sleeps, 0);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_successor_at_the_path_keeps_its_file),
		CLAIM(a_file_whose_mode_has_changed_goes_with_its_listener),
		CLAIM(what_is_no_socket_any_more_is_left_alone_at_the_end),
		CLAIM(a_file_that_was_moved_away_stays_where_it_was_put),
		CLAIM(of_two_that_start_at_once_one_has_the_path),
		CLAIM(
		    a_server_that_came_after_the_look_at_a_stale_file_is_not_removed),
		CLAIM(a_folder_that_is_locked_for_long_is_used_all_the_same),
		CLAIM(
		    a_server_that_was_killed_gives_way_when_its_socket_is_closed),
		CLAIM(
		    a_reactor_that_runs_does_not_wait_for_a_server_that_was_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
