/* SPDX-License-Identifier: MIT */
/*
 * test_redis_tls_servers.c - real servers of Redis over TLS: one, and a cluster
 * whose nodes are known by their addresses alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/redis/said.h"
#include "tests/redis/scene.h"
#include "tests/redis/servers.h"

#include "conn/redis/redis.h"
#include "conn/tls/torc_tls.h"
#include "conn/transport.h"

#define LATE torc_after_ms(60000)
#define NODES 3u
#define START_MS 60000u
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- Certificates ---- */

static char folder[] = "/tmp/torc-redis-XXXXXX";

/* by_address is for 127.0.0.1, by_name for redis.test, both by ca. */
static const char script[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "ec='ec -pkeyopt ec_paramgen_curve:P-256'\n"
    "made() {\n"	/* made NAME */
    "	openssl req -x509 -newkey $ec -nodes -days 30 -subj /CN=$1 \\\n"
    "	    -keyout $1.key -out $1.pem\n"
    "}\n"
    "signed() {\n"	/* signed NAME SAN */
    "	openssl req -newkey $ec -nodes -subj /CN=$1 -keyout $1.key \\\n"
    "	    -addext subjectAltName=$2 -out $1.csr\n"
    "	openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key \\\n"
    "	    -CAcreateserial -copy_extensions copy -days 30 -out $1.pem\n"
    "}\n"
    "made ca; made other_ca\n"
    "signed by_address IP:127.0.0.1,DNS:localhost\n"
    "signed by_name DNS:redis.test\n";

static const char *
file(const char *name)
{
	static char paths[16][128];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static int
make_files(void **state)
{
	char *command = NULL;
	int rc = -1;

	(void)state;
	setenv("TORC_TLS_SCRIPT", script, 1);
	if (mkdtemp(folder) != NULL && asprintf(&command,
	    "sh -c \"$TORC_TLS_SCRIPT\" sh %s", folder) > 0)
		rc = system(command);
	free(command);
	return rc;
}

static int
remove_files(void **state)
{
	char *command = NULL;
	int rc = -1;

	(void)state;
	if (asprintf(&command, "rm -rf %s", folder) > 0)
		rc = system(command);
	free(command);
	return rc;
}

/* ---- Servers and clients ---- */

struct guarded {
	struct redis_server server;
	unsigned tls_port;
	char port_text[12];
	char paths[3][64];
	const char *arguments[REDIS_ARGUMENTS + 1];
	char address[32];
};

/* It asks for certificates of clients as `clients` says. */
static void
start(struct guarded *guarded, const char *certificate, const char *clients,
    bool cluster)
{
	const char *const all[] = { "--tls-port", guarded->port_text,
		"--tls-cert-file", guarded->paths[0], "--tls-key-file",
		guarded->paths[1], "--tls-ca-cert-file", guarded->paths[2],
		"--tls-auth-clients", clients, cluster ? "--tls-cluster" :
		NULL, "yes", "--cluster-enabled", "yes",
		"--cluster-node-timeout", "1000" };

	guarded->tls_port = spare_port();
	snprintf(guarded->port_text, sizeof(guarded->port_text), "%u",
	    guarded->tls_port);
	snprintf(guarded->paths[0], 64, "%s/%s.pem", folder, certificate);
	snprintf(guarded->paths[1], 64, "%s/%s.key", folder, certificate);
	snprintf(guarded->paths[2], 64, "%s/ca.pem", folder);
	snprintf(guarded->address, sizeof(guarded->address), "127.0.0.1:%u",
	    guarded->tls_port);
	memset(guarded->arguments, 0, sizeof(guarded->arguments));
	for (size_t i = 0; i < REDIS_ARGUMENTS && all[i] != NULL; i++)
		guarded->arguments[i] = all[i];
	redis_start(&guarded->server, guarded->arguments);
}

/* What the last connection goes through. */
static struct torc_transport_dialler *given;
static const struct torc_transport *last;
static unsigned made;
static struct guarded *served;

static struct torc_transport *
make_and_note(struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust)
{
	struct torc_transport *transport = given->make(given, name, trust);

	(void)dialler;
	last = transport;
	made++;
	return transport;
}

struct party {
	const char *ca;
	const char *certificate;	/* of the client, or NULL */
	bool noted;			/* by make_and_note() */
	struct torc_redis_config config;
	int (*play)(struct torc_redis *redis);
};

static void
play(struct party party)
{
	struct torc_transport_dialler noting;
	struct torc_tls_client_config config = { .ca = file(party.ca) };
	struct scene scene = { .config = party.config, .play = party.play };
	struct torc_tls_client *client;
	struct torc_error error;
	struct server reactor;
	char name[64];
	int line;

	if (party.certificate != NULL) {
		snprintf(name, sizeof(name), "%s.pem", party.certificate);
		config.certificate = file(name);
		snprintf(name, sizeof(name), "%s.key", party.certificate);
		config.key = file(name);
	}
	if (torc_tls_client_create(&client, &config, &error) < 0)
		fail_msg("%s", error.text);
	given = torc_tls_client_transport(client);
	noting = *given;
	noting.make = make_and_note;
	scene.config.transport = party.noted ? &noting : given;
	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	torc_tls_client_destroy(client);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* ---- Claims ---- */

static int
set_and_get(struct torc_redis *redis)
{
	static char large[200000];
	struct torc_redis_reply *reply;

	memset(large, 'x', sizeof(large) - 1);
	for (unsigned i = 0; i < 100; i++) {
		char key[32];

		snprintf(key, sizeof(key), "key:%u", i);
		EXPECT(torc_redis_do(redis, NULL, LATE, "SET", key, key,
		    NULL) == 0);
		EXPECT(torc_redis_do(redis, &reply, LATE, "GET", key,
		    NULL) == 0);
		EXPECT(strcmp(reply->text, key) == 0);
		torc_redis_reply_free(reply);
	}
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "large", large,
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "large", NULL) == 0);
	EXPECT(reply->size == sizeof(large) - 1);
	EXPECT(memcmp(reply->text, large, reply->size) == 0);
	torc_redis_reply_free(reply);
	return 0;
}

static int
be_refused(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "k", NULL);

	rc = heard(rc, &reply);
	if (rc != -EKEYREJECTED)
		print_message("%d: %s\n", rc, said);
	EXPECT(rc == -EKEYREJECTED);
	EXPECT(said_fate == TORC_REDIS_UNSENT);
	return 0;
}

static void
a_server_that_proves_its_name_is_asked_and_no_other_one(void **state)
{
	struct guarded guarded;
	char uri[64];

	(void)state;
	if (!redis_available())
		skip();
	start(&guarded, "by_address", "no", false);
	play((struct party) { .ca = "ca.pem", .play = set_and_get,
	    .config = { .address = guarded.address } });
	snprintf(uri, sizeof(uri), "rediss://localhost:%u/1",
	    guarded.tls_port);
	play((struct party) { .ca = "ca.pem", .play = set_and_get,
	    .config = { .address = uri } });
	play((struct party) { .ca = "ca.pem", .play = be_refused,
	    .config = { .address = guarded.address,
	    .server_name = "redis.test" } });
	play((struct party) { .ca = "other_ca.pem", .play = be_refused,
	    .config = { .address = guarded.address } });
	redis_end(&guarded.server);
}

static int
lack_a_certificate(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "k", NULL);

	rc = heard(rc, &reply);
	if (strstr(said, "certificate") == NULL)
		print_message("%d: %s\n", rc, said);
	EXPECT(rc < 0 && strstr(said, "certificate") != NULL);
	EXPECT(said_fate == TORC_REDIS_UNSENT);
	return 0;
}

static void
a_certificate_of_the_client_is_shown_if_the_server_asks(void **state)
{
	struct guarded guarded;

	(void)state;
	if (!redis_available())
		skip();
	start(&guarded, "by_address", "yes", false);
	play((struct party) { .ca = "ca.pem", .certificate = "by_name",
	    .play = set_and_get, .config = { .address = guarded.address } });
	play((struct party) { .ca = "ca.pem", .play = lack_a_certificate,
	    .config = { .address = guarded.address } });
	redis_end(&guarded.server);
}

static bool
is_resumed(void)
{
	struct torc_tls_info info;

	return torc_tls_info_read(last->conn, &info) == 0 && info.resumed;
}

static int
come_back(struct torc_redis *redis)
{
	unsigned before;

	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	EXPECT(!is_resumed());
	for (unsigned i = 0; i < 5; i++) {
		before = made;
		EXPECT(redis_ask(served->server.port,
		    "CLIENT KILL TYPE normal", ":1"));
		/* The command that finds out may be lost. */
		while (torc_redis_do(redis, NULL, LATE, "PING", NULL) < 0 ||
		    made == before)
			torc_sleep(torc_after_ms(1));
		EXPECT(is_resumed());
	}
	return 0;
}

static void
a_connection_that_is_opened_again_resumes_its_session(void **state)
{
	struct guarded guarded;

	(void)state;
	if (!redis_available())
		skip();
	start(&guarded, "by_address", "no", false);
	served = &guarded;
	play((struct party) { .ca = "ca.pem", .play = come_back,
	    .noted = true, .config = { .address = guarded.address } });
	redis_end(&guarded.server);
}

/* ---- A cluster ---- */

static struct guarded nodes[NODES];

static bool
tell(unsigned node, const char *wanted, const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return redis_ask(nodes[node].server.port, command, wanted);
}

static void
start_cluster(void)
{
	static const char *const ranges[NODES] = { "0 5460", "5461 10922",
		"10923 16383" };
	const uint64_t until = now_ms() + START_MS;

	for (unsigned i = 0; i < NODES; i++) {
		start(&nodes[i], "by_name", "no", true);
		assert_true(tell(i, "+OK", "CLUSTER ADDSLOTSRANGE %s",
		    ranges[i]));
		assert_true(tell(i, "+OK", "CLUSTER SET-CONFIG-EPOCH %u",
		    i + 1));
		if (i > 0)
			assert_true(tell(i, "+OK",
			    "CLUSTER MEET 127.0.0.1 %u", nodes[0].tls_port));
	}
	for (unsigned i = 0; i < NODES; i++) {
		while (!tell(i, "cluster_state:ok", "CLUSTER INFO\r\nQUIT") ||
		    !tell(i, "cluster_known_nodes:3",
		    "CLUSTER INFO\r\nQUIT")) {
			assert_true(now_ms() < until);
			pause_ms(50);
		}
	}
}

static int
use_all_nodes(struct torc_redis *redis)
{
	const int line = set_and_get(redis);

	EXPECT(redis->node_count == NODES);
	return line;
}

static void
nodes_that_are_known_by_address_prove_the_name_that_is_set(void **state)
{
	(void)state;
	if (!redis_available())
		skip();
	start_cluster();
	play((struct party) { .ca = "ca.pem", .play = use_all_nodes,
	    .config = { .address = nodes[0].address, .cluster = true,
	    .server_name = "redis.test" } });
	play((struct party) { .ca = "ca.pem", .play = be_refused,
	    .config = { .address = nodes[0].address, .cluster = true } });
	for (unsigned i = 0; i < NODES; i++)
		redis_end(&nodes[i].server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_server_that_proves_its_name_is_asked_and_no_other_one),
		cmocka_unit_test(
		    a_certificate_of_the_client_is_shown_if_the_server_asks),
		cmocka_unit_test(
		    a_connection_that_is_opened_again_resumes_its_session),
		cmocka_unit_test(
		    nodes_that_are_known_by_address_prove_the_name_that_is_set),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("redis_tls_servers", tests,
	    make_files, remove_files);
}
