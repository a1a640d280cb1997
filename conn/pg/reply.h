/* SPDX-License-Identifier: MIT */
/* reply.h - answers on a shared connection. */
#ifndef TORC_PG_REPLY_H
#define TORC_PG_REPLY_H

#include "conn/kit/torc_pipeline.h"

/* What the pipeline of a shared connection tells its session. */
extern const struct torc_pipeline_kind torc_pg_pipeline_kind;

#endif
