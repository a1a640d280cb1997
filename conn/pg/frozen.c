/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, or in
 * arrays: the same in all versions of the library.
 */
#include "reactor/frozen.h"

#include "conn/pg/torc_pg.h"

TORC_FROZEN(torc_pg_param, 32);
TORC_FROZEN(torc_pg_column, 16);
TORC_FROZEN(torc_pg_statement, 24);
TORC_FROZEN(torc_pg_row, 16);
TORC_FROZEN(torc_pg_notification, 24);
