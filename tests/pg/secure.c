/* SPDX-License-Identifier: MIT */
/*
 * secure.c - TLS for a PostgreSQL of the tests (secure.h).
 */
#include "tests/pg/secure.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/tls/torc_tls.h"
#include "tests/harness.h"

#define READY_MS 30000u

static const char script[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "ec='ec -pkeyopt ec_paramgen_curve:P-256'\n"
    "names=DNS:localhost,IP:127.0.0.1\n"
    "made() {\n"	/* made NAME KIND NAMES: signed by itself */
    "	openssl req -x509 -newkey $2 -nodes -days 30 -subj /CN=$1 \\\n"
    "	    -addext subjectAltName=$3 -keyout $1.key -out $1.pem\n"
    "}\n"
    "signed() {\n"	/* signed NAME CA DAYS NAMES SUBJECT */
    "	openssl req -newkey $ec -nodes -subj /CN=$5 -keyout $1.key \\\n"
    "	    -addext subjectAltName=$4 -out $1.csr\n"
    "	openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key \\\n"
    "	    -CAcreateserial -copy_extensions copy -days $3 -out $1.pem\n"
    "}\n"
    "made ca \"$ec\" DNS:ca.test\n"
    "made other_ca \"$ec\" DNS:ca.test\n"
    "made edward ed25519 $names\n"
    "signed server ca 30 $names server\n"
    "signed stranger ca 30 DNS:other.test other\n"
    "signed expired ca -1 $names server\n"
    "signed certified ca 30 DNS:a.test certified\n"
    "signed other_client other_ca 30 DNS:a.test certified\n"
    "chmod 600 *.key\n"
    "if [ \"$(id -u)\" = 0 ]; then chown postgres *.key *.pem; fi\n";

static const char rules[] =
    "local all all trust\n"
    "hostssl all only_tls 127.0.0.1/32 trust\n"
    "hostnossl all only_clear 127.0.0.1/32 trust\n"
    "hostssl all certified 127.0.0.1/32 trust clientcert=verify-full\n"
    "host all only_tls,only_clear,certified 127.0.0.1/32 reject\n"
    "local replication all trust\n"
    "host all clear 127.0.0.1/32 password\n"
    "host all hashed 127.0.0.1/32 md5\n"
    "host all scram,prepared 127.0.0.1/32 scram-sha-256\n"
    "host all all 127.0.0.1/32 trust\n";

const char *
pg_server_file(const struct pg_server *server, const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/data/%s", server->folder, name);
	return path;
}

static bool
make_files(const struct pg_server *server)
{
	char *command = NULL;
	FILE *file;
	bool made;

	setenv("TORC_TLS_SCRIPT", script, 1);
	made = asprintf(&command, "sh -c \"$TORC_TLS_SCRIPT\" sh %s/data",
	    server->folder) > 0 && system(command) == 0;
	free(command);
	file = fopen(pg_server_file(server, "pg_hba.conf"), "w");
	if (!made || file == NULL)
		return false;
	fputs(rules, file);
	return fclose(file) == 0;
}

/* Whether a new connection sees these settings. */
static bool
has_settings(const struct pg_server *server, const char *ssl,
    const char *certificate)
{
	char text[256];
	PGconn *connection;
	PGresult *result;
	bool has;

	snprintf(text, sizeof(text), "%s user=torc dbname=torc", server->key);
	connection = PQconnectdb(text);
	snprintf(text, sizeof(text), "select current_setting('ssl') || ' ' || "
	    "current_setting('ssl_cert_file') = '%s %s.pem'", ssl,
	    certificate);
	result = PQexec(connection, text);
	has = PQresultStatus(result) == PGRES_TUPLES_OK &&
	    strcmp(PQgetvalue(result, 0, 0), "t") == 0;
	PQclear(result);
	PQfinish(connection);
	return has;
}

static bool
set(const struct pg_server *server, const char *name, const char *value)
{
	char text[128];

	snprintf(text, sizeof(text), "alter system set %s = '%s'", name,
	    value);
	return pg_server_sql(server, text);
}

bool
pg_server_tls(const struct pg_server *server, const char *ssl,
    const char *certificate)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.pem", certificate);
	if (!set(server, "ssl_cert_file", path))
		return false;
	snprintf(path, sizeof(path), "%s.key", certificate);
	if (!set(server, "ssl_key_file", path) || !set(server, "ssl", ssl) ||
	    !pg_server_sql(server, "select pg_reload_conf()"))
		return false;
	for (unsigned ms = 0; ms < READY_MS; ms += 20) {
		if (has_settings(server, ssl, certificate))
			return true;
		usleep(20000);
	}
	return false;
}

bool
pg_server_secure(const struct pg_server *server)
{
	return make_files(server) && pg_server_sql(server,
	    "create role only_tls login; create role only_clear login;"
	    "create role certified login") &&
	    set(server, "ssl_ca_file", "ca.pem") &&
	    pg_server_tls(server, "on", "server");
}

struct torc_transport_dialler *
pg_server_transport(const struct pg_server *server)
{
	static struct torc_tls_client *client;
	const struct torc_tls_client_config config = {
		.ca = pg_server_file(server, "ca.pem") };
	struct torc_error error;

	if (getenv("TORC_PG_TLS") == NULL)
		return NULL;
	if (client == NULL) {
		assert_true(pg_server_secure(server));
		if (torc_tls_client_create(&client, &config, &error) < 0)
			fail_msg("%s", error.text);
		puts("over TLS");
	}
	return torc_tls_client_transport(client);
}
