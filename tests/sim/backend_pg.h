/* SPDX-License-Identifier: MIT */
/*
 * backend_pg.h - a server that speaks a little of PostgreSQL: each reply has
 * the key of what was asked for, and each statement says in which transaction
 * it has to be.
 *
 *	select N KEY SIZE ROWS TRANSACTION
 *				rows of the columns "keyN", the key, and "body",
 *				SIZE bytes of the stream ~KEY in each, one row
 *				after the other; prepared, it is "select N" with
 *				these parameters, and bytes of the stream KEY
 *	update KEY		an error, with the key in its words
 *	begin KEY, commit KEY, rollback
 *				a transaction
 *	stray STRAY_KEY		a transaction that belongs to nobody, of which
 *				the text says nothing
 *	set KEY, show KEY	a setting of the connection; it has to be KEY
 *	copy KEY SIZE from stdin, copy KEY SIZE to stdout
 *				SIZE bytes of the stream KEY, or of ~KEY
 *	LISTEN "KEY"		notifications, 0, 1, 2 ... up to NOTES
 */
#ifndef TORC_TESTS_SIM_BACKEND_PG_H
#define TORC_TESTS_SIM_BACKEND_PG_H

#include "tests/sim/clients.h"

#define PG_USER "simulated"
#define PG_PASSWORD "secret"
#define NOTICE "by the way"
#define STRAY_KEY 0u
#define NOTES 3u
#define ROW_MAX 1500u
#define PADDING_MAX 3000u	/* more than is written without the heap */
#define MESSAGE_MAX 1100u	/* bounds of the client: some rows, some of */
#define RESULT_MAX 2400u	/* their results, and notices are above them */
#define PIECE_MAX 900u		/* of what is copied, none is */

/* Handlers: well; well, and all are let in at once; with bad manners. */
int serve_pg(struct torc_conn *conn, void *arg);
int serve_pg_at_once(struct torc_conn *conn, void *arg);
int serve_pg_badly(struct torc_conn *conn, void *arg);

void reset_pg_backend(void);

/*
 * What becomes of questions over shared connections. A question begins; the
 * backend has committed it; and what its client was told must stay true:
 * neither now nor later it is done.
 */
void begin_fate(uint32_t key);
bool is_committed(uint32_t key);
void rule_out(uint32_t key);

#endif
