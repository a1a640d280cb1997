/* SPDX-License-Identifier: MIT */
/*
 * shown.c - what connections with a transport have agreed on, where tools can
 * read it while connections come and go (reactor/stats_page.h).
 */
#include <string.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/shown.h"
#include "sys/barrier.h"

/* NULL: there is no file. */
static struct torc_stats_page_session *
session_of(const struct torc_conn *conn)
{
	struct torc_stats_page *page = conn->reactor->stats_page.page;
	const uint32_t index = torc_slots_index(&conn->net->conns, conn);

	if (index >= page->sessions.count)
		return NULL;
	return (struct torc_stats_page_session *)(void *)((char *)page +
	    page->sessions.offset) + index;
}

void
torc_shown_name(const struct torc_conn *conn, const char *name, size_t size)
{
	struct torc_stats_page_session *session = session_of(conn);

	if (session == NULL)
		return;
	torc_debug_assert(session->owner != conn->slot.generation + 1);
	/* None, and not a part of one. */
	if (size > sizeof(session->name))
		size = 0;
	session->name_size = (uint32_t)size;
	if (size > 0)
		memcpy(session->name, name, size);
}

void
torc_shown_ready(const struct torc_conn *conn,
    const struct torc_agreed *agreed)
{
	struct torc_stats_page_session *session = session_of(conn);

	if (session == NULL)
		return;
	session->version = (uint16_t)agreed->version;
	session->cipher = (uint16_t)agreed->cipher;
	/* V3: release. */
	torc_store_release_u32(&session->owner, conn->slot.generation + 1);
}
