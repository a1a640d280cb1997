/* SPDX-License-Identifier: MIT */
/*
 * pg_libpq.c - one select by key after the other, by libpq's pipeline mode.
 *
 *	pg_libpq FOLDER PORT PIPELINE SYNCS COUNT
 *
 * PIPELINE statements are sent before their answers are read; SYNCS is 1 for
 * one Sync behind all of them, or PIPELINE for one behind each, so that none
 * fails with another. Prints the CPU time and the time of a select, in
 * microseconds.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/clients/client_load.h"

#define KEYS 1000u

static PGconn *connection;
static unsigned failed;
static int pipeline, syncs;

static void
send_one(long at)
{
	const uint32_t key = htonl((uint32_t)((unsigned long)at % KEYS));
	const char *const values[] = { (const char *)&key };
	const int sizes[] = { 4 }, formats[] = { 1 };

	failed += PQsendQueryPrepared(connection, "by_key", 1, values, sizes,
	    formats, 0) != 1;
}

static void
take_one(void)
{
	PGresult *result = PQgetResult(connection);

	failed += PQresultStatus(result) != PGRES_TUPLES_OK ||
	    PQgetlength(result, 0, 0) != 100;
	PQclear(result);
	PQclear(PQgetResult(connection));	/* NULL */
}

static void
take_sync(void)
{
	PGresult *result = PQgetResult(connection);

	failed += PQresultStatus(result) != PGRES_PIPELINE_SYNC;
	PQclear(result);
}

static void
run(void *arg, long count)
{
	(void)arg;
	for (long i = 0; i < count && failed == 0; i += pipeline) {
		for (int j = 0; j < pipeline; j++) {
			send_one(i + j);
			if (syncs > 1 || j == pipeline - 1)
				failed += PQpipelineSync(connection) != 1;
		}
		for (int j = 0; j < pipeline; j++) {
			take_one();
			if (syncs > 1 || j == pipeline - 1)
				take_sync();
		}
	}
}

int
main(int argc, char **argv)
{
	char text[256];
	long count;

	if (argc != 6)
		return 64;
	snprintf(text, sizeof(text), "host=%s port=%s user=bench "
	    "dbname=postgres", argv[1], argv[2]);
	pipeline = atoi(argv[3]);
	syncs = atoi(argv[4]);
	count = atol(argv[5]);
	connection = PQconnectdb(text);
	if (PQstatus(connection) != CONNECTION_OK || pipeline <= 0)
		return 1;
	PQclear(PQprepare(connection, "by_key",
	    "select value from pairs where key = $1", 0, NULL));
	if (PQenterPipelineMode(connection) != 1)
		return 1;
	measure_load(run, NULL, count);
	PQfinish(connection);
	return failed > 0;
}
