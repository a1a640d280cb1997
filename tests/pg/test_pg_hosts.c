/* SPDX-License-Identifier: MIT */
/*
 * test_pg_hosts.c - several servers: which of them is used, and what is done
 * when one is not any more what it was.
 *
 * wrap: torc_sys_resolve
 */
#include "tests/pg/scene.h"
#include "tests/seam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/address.h"
#include "conn/pg/session.h"
#include "sys/sys.h"
#include "tests/pg/stats.h"

static struct pg_server standby;	/* of `postgres` */
static struct pg_server other;		/* that has nothing to do with it */

#define HERE "select current_setting('port')"

static bool
is_at(struct torc_pg *pg, const struct pg_server *server)
{
	char port[16];

	snprintf(port, sizeof(port), "%u", server->port);
	return says(pg, HERE, port);
}

/* ---- In order ---- */

static int
ask_the_second(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(is_at(scene->pg, &postgres));
	/* What is to be cancelled is where it runs. */
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "select pg_sleep(100)",
	    torc_after_ms(50)) == -ETIMEDOUT);
	EXPECT(torc_pg_session_end(session, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "57014") == 0);
	torc_pg_session_release(session);
	return 0;
}

static int
find_none(struct scene *scene)
{
	struct torc_pg_result *result;

	EXPECT(ask(scene->pg, HERE, &result) == -ECONNREFUSED);
	EXPECT(strstr(torc_pg_result_error(result)->text,
	    "connect to 127.0.0.1:1: ") != NULL);
	EXPECT(strstr(torc_pg_result_error(result)->text,
	    "connect to 127.0.0.1:2: ") != NULL);
	torc_pg_result_free(result);
	return 0;
}

static int
be_refused(struct scene *scene)
{
	struct torc_pg_result *result;

	EXPECT(ask(scene->pg, HERE, &result) == -EACCES);
	EXPECT(strstr(torc_pg_result_error(result)->text, standby.tcp) ==
	    NULL);
	torc_pg_result_free(result);
	return 0;
}

static void
addresses_are_tried_in_order_until_one_lets_us_in(void **state)
{
	char address[160];

	(void)state;
	snprintf(address, sizeof(address), "127.0.0.1:1,%s,%s", postgres.tcp,
	    other.tcp);
	play_with((struct torc_pg_config) { .address = address,
	    .cancel_ms = 30000 }, ask_the_second);
	snprintf(address, sizeof(address), "postgres://torc@127.0.0.1:1,%s,"
	    "%s/torc", postgres.tcp, other.tcp);
	play_with((struct torc_pg_config) { .address = address,
	    .cancel_ms = 30000 }, ask_the_second);
	play_with((struct torc_pg_config) {
	    .address = "127.0.0.1:1,127.0.0.1:2" }, find_none);
	/* A password is shown to one server, not to all. */
	snprintf(address, sizeof(address), "%s,%s", postgres.tcp,
	    standby.tcp);
	play_with((struct torc_pg_config) { .address = address,
	    .user = "scram", .password = "wrong" }, be_refused);
}

static int
ask_behind_the_silent(struct scene *scene)
{
	EXPECT(is_at(scene->pg, &postgres));
	return 0;
}

/* It is connected to, and never says a word. */
static void
a_server_that_says_nothing_leaves_time_for_the_next(void **state)
{
	struct sockaddr_in silent = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(silent);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char address[160];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&silent, size), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&silent, &size),
	    0);
	snprintf(address, sizeof(address), "127.0.0.1:%u,%s",
	    ntohs(silent.sin_port), postgres.tcp);
	play_with((struct torc_pg_config) { .address = address,
	    .open_ms = 2000 }, ask_behind_the_silent);
	close(fd);
}

/* ---- By what they are ---- */

struct choice {
	const char *attrs;
	const struct pg_server *order[2];
	const struct pg_server *chosen;	/* NULL: none */
};

static int
choose(struct scene *scene)
{
	const struct choice *choice = scene->arg;
	struct torc_pg_result *result;
	struct torc_pg_session *session;

	if (choice->chosen != NULL) {
		EXPECT(is_at(scene->pg, choice->chosen));
		EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL,
		    LATE) == 0);
		EXPECT(session_says(session, "select 1", "1"));
		torc_pg_session_release(session);
		EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL,
		    LATE) == 0);
		torc_pg_session_release(session);
		return 0;
	}
	EXPECT(ask(scene->pg, HERE, &result) == -EHOSTUNREACH);
	EXPECT(strstr(torc_pg_result_error(result)->text, "is not ") != NULL);
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNSENT);
	torc_pg_result_free(result);
	return 0;
}

static void
the_server_that_is_used_is_what_was_asked_for(void **state)
{
	const struct choice choices[] = {
		{ NULL, { &standby, &postgres }, &standby },
		{ "any", { &standby, &postgres }, &standby },
		{ "primary", { &standby, &postgres }, &postgres },
		{ "read-write", { &standby, &postgres }, &postgres },
		{ "standby", { &postgres, &standby }, &standby },
		{ "read-only", { &postgres, &standby }, &standby },
		{ "prefer-standby", { &postgres, &standby }, &standby },
		{ "prefer-standby", { &postgres, &other }, &postgres },
		{ "standby", { &postgres, &other }, NULL },
		{ "primary", { &standby, &standby }, NULL },
	};
	char address[160];

	(void)state;
	for (unsigned i = 0; i < COUNT(choices); i++) {
		snprintf(address, sizeof(address), "%s,%s",
		    choices[i].order[0]->tcp, choices[i].order[1]->tcp);
		scene_play((struct scene) { .config = { .address = address,
		    .target_session_attrs = choices[i].attrs },
		    .play = choose, .arg = (void *)(uintptr_t)&choices[i] });
	}
}

/* Behind a pooler, they do not say by themselves what they are. */
static void
a_server_that_does_not_say_what_it_is_is_asked(void **state)
{
	struct pg_pooler poolers[2];
	struct choice choices[] = {
		{ "primary", { NULL, NULL }, &postgres },
		{ "read-write", { NULL, NULL }, &postgres },
		{ "standby", { NULL, NULL }, &standby },
		{ "read-only", { NULL, NULL }, &standby },
	};
	char address[160];

	(void)state;
	if (!pg_pooler_start(&poolers[0], &postgres, "transaction", 3, "") ||
	    !pg_pooler_start(&poolers[1], &standby, "transaction", 3, ""))
		return;
	for (unsigned i = 0; i < COUNT(choices); i++) {
		snprintf(address, sizeof(address), "%s,%s",
		    poolers[i < 2].tcp, poolers[i >= 2].tcp);
		scene_play((struct scene) { .config = { .address = address,
		    .unnamed = true,
		    .target_session_attrs = choices[i].attrs },
		    .play = choose, .arg = &choices[i] });
	}
	pg_pooler_stop(&poolers[0]);
	pg_pooler_stop(&poolers[1]);
}

/* ---- Of one name ---- */

int
__wrap_torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most)
{
	if (strcmp(host, "db.test") != 0)
		return __real_torc_sys_resolve(host, addresses, most);
	torc_address_parse("127.0.0.2:1", &addresses[0]);
	torc_address_parse("127.0.0.3:1", &addresses[1]);
	torc_address_parse("127.0.0.1:1", &addresses[2]);
	return 3;
}

static bool
copy_some(int from, int to)
{
	char bytes[4096];
	const ssize_t size = read(from, bytes, sizeof(bytes));

	return size > 0 && write(to, bytes, (size_t)size) == size;
}

/* Between two sockets, until one of them ends. */
static void
copy_both(int one, int other_one)
{
	struct pollfd fds[] = { { one, POLLIN, 0 }, { other_one, POLLIN, 0 } };

	while (poll(fds, 2, -1) > 0)
		if ((fds[0].revents != 0 && !copy_some(one, other_one)) ||
		    (fds[1].revents != 0 && !copy_some(other_one, one)))
			break;
}

static int
open_tcp(const char *host, unsigned port, bool listens)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, host, &address.sin_addr);
	if (listens ? bind(fd, (struct sockaddr *)&address,
	    sizeof(address)) < 0 || listen(fd, 8) < 0 :
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A process that makes a server be at another address, too; or -1. */
static pid_t
relay(const char *host, unsigned port, const struct pg_server *server)
{
	const int listener = open_tcp(host, port, true);
	const pid_t pid = listener < 0 ? -1 : fork();

	while (pid == 0) {
		const int client = accept(listener, NULL, NULL);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (client >= 0 && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			copy_both(client, open_tcp("127.0.0.1", server->port,
			    false));
			_exit(0);
		}
		close(client);
	}
	if (listener >= 0)
		close(listener);
	return pid;
}

/* Two addresses of the name are of a standby, the last is of the primary. */
static void
each_address_of_a_name_is_tried(void **state)
{
	const struct choice choices[] = {
		{ "any", { NULL, NULL }, &standby },
		{ "primary", { NULL, NULL }, &postgres },
		{ "read-write", { NULL, NULL }, &postgres },
		{ "standby", { NULL, NULL }, &standby },
		{ "prefer-standby", { NULL, NULL }, &standby },
	};
	pid_t relays[2];
	char address[64];

	(void)state;
	relays[0] = relay("127.0.0.2", postgres.port, &standby);
	relays[1] = relay("127.0.0.3", postgres.port, &standby);
	assert_true(relays[0] > 0 && relays[1] > 0);
	snprintf(address, sizeof(address), "db.test:%u", postgres.port);
	for (unsigned i = 0; i < COUNT(choices); i++)
		scene_play((struct scene) { .config = { .address = address,
		    .target_session_attrs = choices[i].attrs },
		    .play = choose, .arg = (void *)(uintptr_t)&choices[i] });
	for (unsigned i = 0; i < 2; i++) {
		kill(relays[i], SIGKILL);
		waitpid(relays[i], NULL, 0);
	}
}

/* ---- When one changes ---- */

static bool
make_read_only(const struct pg_server *server, bool so)
{
	char look[128];

	if (!pg_server_sql(server, so ?
	    "alter system set default_transaction_read_only = on" :
	    "alter system reset default_transaction_read_only") ||
	    !pg_server_sql(server, "select pg_reload_conf()"))
		return false;
	/* Until a new connection finds it so. */
	snprintf(look, sizeof(look), "select 1 / (current_setting("
	    "'default_transaction_read_only') = '%s')::int",
	    so ? "on" : "off");
	for (int i = 0; i < 1000; i++) {
		if (pg_server_sql(server, look))
			return true;
		usleep(10000);
	}
	return false;
}

static int
be_demoted(struct scene *scene)
{
	const char *insert = "insert into moved values (1)";
	struct torc_pg_session *session;

	EXPECT(does(scene->pg, insert));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(session_does(session, insert));
	EXPECT(make_read_only(&postgres, true));
	/* Each connection finds out for itself, and is not used again. */
	EXPECT(fails_with(scene->pg, insert, "25006"));
	EXPECT(does(scene->pg, insert));
	EXPECT(is_at(scene->pg, &other));
	EXPECT(torc_pg_session_run(session, insert, LATE) == -EREMOTEIO);
	torc_pg_session_release(session);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(session_does(session, insert));
	torc_pg_session_release(session);
	return 0;
}

static void
a_connection_that_may_not_write_any_more_is_renewed(void **state)
{
	static const char *const table = "drop table if exists moved; "
	    "create table moved (a int)";
	char address[160];

	(void)state;
	assert_true(pg_server_sql(&postgres, table));
	assert_true(pg_server_sql(&other, table));
	snprintf(address, sizeof(address), "%s,%s", postgres.tcp, other.tcp);
	play_with((struct torc_pg_config) { .address = address, .shared = 1,
	    .sessions = 1, .target_session_attrs = "read-write" },
	    be_demoted);
	assert_true(make_read_only(&postgres, false));
}

static int
write_to_a_standby(struct scene *scene)
{
	struct client_stats stats;

	for (int i = 0; i < 3; i++)
		EXPECT(fails_with(scene->pg, "create table x (a int)",
		    "25006"));
	read_stats(scene->pg, &stats);
	EXPECT(stats.shared.opens == 1 && stats.own.retired == 0);
	return 0;
}

static void
a_connection_that_never_could_write_is_kept(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .address = standby.tcp,
	    .shared = 1 }, write_to_a_standby);
}

/* ---- As a URI says ---- */

static int
look_around(struct scene *scene)
{
	EXPECT(says(scene->pg, "select current_user::text", "scram"));
	EXPECT(says(scene->pg, "select current_database()::text", "postgres"));
	EXPECT(says(scene->pg, "show application_name", "a b"));
	EXPECT(says(scene->pg, "show geqo", "off"));
	return 0;
}

static int
ask_the_local(struct scene *scene)
{
	EXPECT(says(scene->pg, "select current_database()::text", "torc"));
	return 0;
}

static int
option_of(const struct torc_pg_session *session, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	getsockopt(torc_conn_fd(session->conn), level, name, &value, &size);
	return value;
}

static int
look_at_sockets(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(option_of(session, SOL_SOCKET, SO_KEEPALIVE) == 1);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPIDLE) == 33);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPINTVL) == 11);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPCNT) == 3);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_USER_TIMEOUT) == 4444);
	torc_pg_session_release(session);
	return 0;
}

static int
look_at_defaults(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(option_of(session, SOL_SOCKET, SO_KEEPALIVE) == 1);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPIDLE) == 60);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPINTVL) == 10);
	EXPECT(option_of(session, IPPROTO_TCP, TCP_KEEPCNT) == 6);
	torc_pg_session_release(session);
	return 0;
}

static int
look_without(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(option_of(session, SOL_SOCKET, SO_KEEPALIVE) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
a_uri_connects_as_that_user_to_that_database(void **state)
{
	char uri[256];

	(void)state;
	snprintf(uri, sizeof(uri), "postgres://scram:%%73" "3cret@%s/postgres"
	    "?application_name=a%%20b&options=-c%%20geqo%%3Doff",
	    postgres.tcp);
	play_with((struct torc_pg_config) { .address = uri }, look_around);
	snprintf(uri, sizeof(uri), "postgresql:///torc?host=%s&port=%u",
	    postgres.folder, postgres.port);
	play_with((struct torc_pg_config) { .address = uri },
	    ask_the_local);
}

static void
sockets_are_watched_as_configured(void **state)
{
	char uri[256];

	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, look_at_defaults);
	snprintf(uri, sizeof(uri), "postgres://torc@%s/torc?keepalives_idle="
	    "33&keepalives_interval=11&keepalives_count=3&"
	    "tcp_user_timeout=4444", postgres.tcp);
	play_with((struct torc_pg_config) { .address = uri },
	    look_at_sockets);
	snprintf(uri, sizeof(uri), "postgres://torc@%s/torc?keepalives=0",
	    postgres.tcp);
	play_with((struct torc_pg_config) { .address = uri }, look_without);
}

static bool
make_servers(void)
{
	return pg_server_copy(&standby, &postgres) && pg_server_make(&other);
}

static int
make_all(void **state)
{
	(void)state;
	return make_servers() ? 0 : -1;
}

static int
remove_all(void **state)
{
	(void)state;
	pg_server_remove(&standby);
	pg_server_remove(&other);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    addresses_are_tried_in_order_until_one_lets_us_in),
		cmocka_unit_test(
		    a_server_that_says_nothing_leaves_time_for_the_next),
		cmocka_unit_test(the_server_that_is_used_is_what_was_asked_for),
		cmocka_unit_test(
		    a_server_that_does_not_say_what_it_is_is_asked),
		cmocka_unit_test(each_address_of_a_name_is_tried),
		cmocka_unit_test(
		    a_connection_that_may_not_write_any_more_is_renewed),
		cmocka_unit_test(a_connection_that_never_could_write_is_kept),
		cmocka_unit_test(a_uri_connects_as_that_user_to_that_database),
		cmocka_unit_test(sockets_are_watched_as_configured),
	};

	return scene_main_with("pg_hosts", tests, COUNT(tests), make_all,
	    remove_all);
}
