/*
 * held.h - input that no view has shown.
 */
#ifndef TORC_CONN_HELD_H
#define TORC_CONN_HELD_H

#include "conn/net.h"

/* Keep bytes behind those that are kept already. False: no memory. */
bool torc_held_append(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid);

/* Take the first piece out; its bytes stay where they are. */
struct torc_piece torc_held_take(struct torc_conn *conn);

/* Bytes that are in no piece are done with. */
void torc_held_let_go(struct torc_net *net, uint8_t *data, uint32_t bid);

#endif
