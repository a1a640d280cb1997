/* SPDX-License-Identifier: MIT */
/*
 * files.h - the simulated files, for those who fill the file system, change
 * it beside the program, and look whether what is said of a file is so.
 */
#ifndef TORC_TESTS_SIM_FILES_H
#define TORC_TESTS_SIM_FILES_H

#include <time.h>

#include "tests/sim/sim.h"

struct node {
	uint32_t number;	/* its inode */
	uint32_t stream;	/* its bytes; at first, its number */
	struct node *parent;	/* NULL: it has no name any more */
	char name[40];		/* the last one */
	bool directory;
	uint16_t special;	/* S_IFIFO, S_IFSOCK, S_IFCHR; 0: it is none */
	uint32_t looked_at;	/* reactors that have seen what it is, bits */
	uint8_t *bytes;		/* what was written over, else the stream */
	uint64_t size;
	uint64_t room;
	int64_t modified;	/* ns of the real time */
	int64_t changed;
	uint64_t gone_at;	/* when it lost its name; else UINT64_MAX */
};

/* They live until the next run. */
struct node *sim_node_root(void);
struct node *sim_node_make(struct node *parent, const char *name,
    bool directory, uint64_t size);
/* NULL: there was no such file. */
const struct node *sim_node_numbered(uint64_t number);
/* What is new of a file is of its stream. */
void sim_node_resize(struct node *node, uint64_t size);
/* All of it, where it is. */
void sim_node_rewrite(struct node *node, uint32_t key);
void sim_node_remove(struct node *node);
/* It was made so many seconds before. */
void sim_node_age(struct node *node, unsigned seconds);

/* If set: called before each operation on a file, as others change files. */
extern void (*sim_files_others)(void);

#endif
