/* SPDX-License-Identifier: MIT */
/*
 * granted.c - how many CPUs a process may keep busy.
 */
#include <stdio.h>

#include "conn/granted.h"
#include "conn/torc.h"
#include "sys/quota.h"
#include "sys/sys.h"

unsigned
torc_cpus_allowed(void)
{
	unsigned count = 0;

	while (torc_sys_allowed_cpu(count) >= 0)
		count++;
	return count > 0 ? count : 1;
}

unsigned
torc_cpus_granted(char *text, size_t text_size)
{
	const unsigned allowed = torc_cpus_allowed();
	struct torc_quota quota;
	uint64_t cpus;

	torc_quota_read("", &quota);
	cpus = quota.period_us == 0 ? allowed :
	    (quota.time_us + quota.period_us - 1) / quota.period_us;
	if (text == NULL || text_size == 0)
		return cpus < allowed ? (unsigned)cpus : allowed;
	if (cpus >= allowed) {
		snprintf(text, text_size, "%u CPU%s allowed", allowed,
		    allowed == 1 ? " is" : "s are");
		return allowed;
	}
	snprintf(text, text_size, "CPU quota %llu.%02llu of cgroup %s, and "
	    "%u CPUs are allowed",
	    (unsigned long long)(quota.time_us / quota.period_us),
	    (unsigned long long)(quota.time_us % quota.period_us * 100 /
	    quota.period_us), quota.group, allowed);
	return (unsigned)cpus;
}
