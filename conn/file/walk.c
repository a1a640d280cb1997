/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the names in a directory.
 */
#include "conn/file/torc_file.h"

#include <string.h>

#include "conn/kit/torc_client.h"
#include "sys/sys.h"

/* A record as getdents64(2) writes it. `name` ends with NUL. */
struct record {
	uint64_t inode;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* Runs on a thread. */
static int
list(void *arg)
{
	struct torc_file_walk *walk = arg;

	return torc_sys_list(walk->fd, walk->entries, sizeof(walk->entries));
}

static bool
is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int
torc_file_next(struct torc_file_walk *walk, struct torc_file_entry *entry,
    torc_deadline deadline)
{
	const struct record *record;

	do {
		if (walk->at == walk->end) {
			int rc = torc_offload(list, walk, deadline);

			if (rc <= 0)
				return rc;
			walk->at = 0;
			walk->end = (uint32_t)rc;
		}
		record = (const void *)(walk->entries + walk->at);
		walk->at += record->size;
	} while (is_dot(record->name));
	*entry = (struct torc_file_entry) {
		.name = record->name, .inode = record->inode,
		.type = record->type,
	};
	return 1;
}
