/* SPDX-License-Identifier: MIT */
/*
 * count.h - how handshakes end, for those who count them.
 */
#ifndef TORC_TLS_COUNT_H
#define TORC_TLS_COUNT_H

#include "conn/tls/session.h"

/* It is done: say so, with what was agreed on. */
void torc_tls_count_ready(struct tls_session *session);

/*
 * Its handshake has failed, and OpenSSL's queue of errors begins with `code`:
 * 0, there is none. Note why.
 */
void torc_tls_count_failed(struct tls_session *session, unsigned long code);

#endif
