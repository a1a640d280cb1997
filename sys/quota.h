/* SPDX-License-Identifier: MIT */
/*
 * quota.h - how much CPU time the cgroups of this process leave to it.
 */
#ifndef TORC_SYS_QUOTA_H
#define TORC_SYS_QUOTA_H

#include <stdint.h>

struct torc_quota {
	uint64_t time_us;	/* of CPU time ... */
	uint64_t period_us;	/* ... in each of these; 0: there is no limit */
	char group[256];	/* that sets it, cut if it is longer */
};

/*
 * Find the smallest quota on the way from the cgroup of this process up to the
 * one that can be seen highest, of both versions of cgroups. What cannot be
 * read sets no limit. `root` is put in front of all paths: "", or a folder
 * that has a tree of that kind.
 */
void torc_quota_read(const char *root, struct torc_quota *quota);

#endif
