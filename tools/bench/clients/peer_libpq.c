/* SPDX-License-Identifier: MIT */
/*
 * peer_libpq.c - a select by key for each HTTP request, by libpq on epoll.
 *
 *	peer_libpq PORT FOLDER POSTGRES_PORT pipeline|blocking
 *
 * In pipeline mode the statements of a turn leave in one write, with a Sync
 * each: one Sync for several would let one that fails take the others with it,
 * which belong to other requests. Otherwise, each waits for the one before.
 */
#include <libpq-fe.h>

#include "tools/bench/clients/epoll_http.h"

#define KEYS 1000u

static PGconn *connection;
static bool pipelined;
static struct source backend;
static bool watches_write;
static struct peer *asking[PEERS_MAX];	/* a ring: who asked, oldest first */
static unsigned first, last;
static bool staged;

static void
give(struct peer *peer, const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK ||
	    PQntuples(result) != 1)
		answer(peer, NULL, 0);
	else
		answer(peer, PQgetvalue(result, 0, 0),
		    (size_t)PQgetlength(result, 0, 0));
}

static void
ask(struct peer *peer)
{
	static unsigned next;
	const uint32_t key = htonl(next++ % KEYS);
	const char *const values[] = { (const char *)&key };
	const int sizes[] = { 4 }, formats[] = { 1 };
	PGresult *result;

	if (!pipelined) {
		result = PQexecPrepared(connection, "by_key", 1, values, sizes,
		    formats, 0);
		give(peer, result);
		PQclear(result);
		return;
	}
	if (last - first == PEERS_MAX || PQsendQueryPrepared(connection,
	    "by_key", 1, values, sizes, formats, 0) != 1 ||
	    PQpipelineSync(connection) != 1) {
		answer(peer, NULL, 0);
		return;
	}
	asking[last++ % PEERS_MAX] = peer;
	staged = true;
}

static void
end_turn(void)
{
	bool more;

	if (!staged)
		return;
	more = PQflush(connection) > 0;
	staged = more;
	if (more == watches_write)
		return;
	watches_write = more;
	watch(&backend, EPOLL_CTL_MOD, EPOLLIN | (more ? EPOLLOUT : 0));
}

/* Every result that is here: rows, NULL behind them, a sync ... */
static void
backend_ready(struct source *source, uint32_t events)
{
	bool was_null = false;

	(void)source;
	(void)events;
	if (PQconsumeInput(connection) != 1) {
		fprintf(stderr, "%s", PQerrorMessage(connection));
		exit(1);
	}
	while (first != last && !PQisBusy(connection)) {
		PGresult *result = PQgetResult(connection);

		/* Two in a row: what comes next is not here yet. */
		if (result == NULL && was_null)
			break;
		was_null = result == NULL;
		if (result != NULL &&
		    PQresultStatus(result) != PGRES_PIPELINE_SYNC)
			give(asking[first % PEERS_MAX], result);
		else if (result != NULL)
			first++;
		PQclear(result);
	}
}

int
main(int argc, char **argv)
{
	char text[256];

	if (argc != 5)
		return 64;
	open_loop((unsigned)atoi(argv[1]));
	snprintf(text, sizeof(text), "host=%s port=%s user=bench "
	    "dbname=postgres", argv[2], argv[3]);
	connection = PQconnectdb(text);
	if (PQstatus(connection) != CONNECTION_OK)
		return 1;
	PQclear(PQprepare(connection, "by_key",
	    "select value from pairs where key = $1", 0, NULL));
	pipelined = strcmp(argv[4], "pipeline") == 0;
	if (pipelined && (PQsetnonblocking(connection, 1) != 0 ||
	    PQenterPipelineMode(connection) != 1))
		return 1;
	backend = (struct source) { backend_ready, PQsocket(connection) };
	if (pipelined)
		watch(&backend, EPOLL_CTL_ADD, EPOLLIN);
	run_loop();
}
