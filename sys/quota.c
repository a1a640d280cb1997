/* SPDX-License-Identifier: MIT */
/*
 * quota.c - from /proc/self/cgroup and /proc/self/mountinfo to the files that
 * limit CPU time: cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us.
 */
#include "sys/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/trap.h"

#define LINE 4096		/* longer ones are no cgroup's */

/* A cgroup: where its hierarchy is mounted, and which of it that shows. */
struct place {
	const char *root;	/* in front of all paths */
	bool unified;		/* version 2 */
	char group[PATH_MAX];	/* as the hierarchy names it */
	char shown[PATH_MAX];	/* the group that the mount shows as its top */
	char mount[PATH_MAX];
};

/* A file that is read line by line. */
struct lines {
	int fd;			/* -1: there is none */
	size_t at;		/* in `bytes`: what was not returned */
	size_t end;
	bool skipping;		/* the rest of a line that is too long */
	char bytes[LINE];
};

static void
open_lines(struct lines *lines, const char *root, const char *path,
    const char *name)
{
	char whole[2 * PATH_MAX];
	int size = snprintf(whole, sizeof(whole), "%s%s%s", root, path, name);

	lines->fd = size < (int)sizeof(whole) ?
	    open(whole, O_RDONLY | O_CLOEXEC) : -1;
	lines->at = 0;
	lines->end = 0;
	lines->skipping = false;
}

static void
close_lines(struct lines *lines)
{
	if (lines->fd >= 0)
		close(lines->fd);
}

/* More bytes behind those that there are. False: the file has no more. */
static bool
fill(struct lines *lines)
{
	ssize_t got;

	memmove(lines->bytes, lines->bytes + lines->at,
	    lines->end - lines->at);
	lines->end -= lines->at;
	lines->at = 0;
	if (lines->end == LINE - 1) {
		lines->end = 0;
		lines->skipping = true;
	}
	do
		got = read(lines->fd, lines->bytes + lines->end,
		    LINE - 1 - lines->end);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return false;
	lines->end += (size_t)got;
	return true;
}

/* The next line, without its end, or NULL. One that is too long is empty. */
static char *
next_line(struct lines *lines)
{
	char *line, *end;

	if (lines->fd < 0)
		return NULL;
	while ((end = memchr(lines->bytes + lines->at, '\n',
	    lines->end - lines->at)) == NULL) {
		if (fill(lines))
			continue;
		if (lines->at == lines->end)
			return NULL;
		/* The last line may have no end. */
		lines->bytes[lines->end++] = '\n';
	}
	*end = '\0';
	line = lines->skipping ? end : lines->bytes + lines->at;
	lines->skipping = false;
	lines->at = (size_t)(end - lines->bytes) + 1;
	return line;
}

/* Whether `word` is in a list with commas. */
static bool
lists(const char *list, const char *word)
{
	const size_t size = strlen(word);

	for (; list != NULL; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, word, size) == 0 &&
		    (list[size] == ',' || list[size] == '\0'))
			return true;
	}
	return false;
}

/* "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1. */
static bool
find_group(struct place *place)
{
	struct lines lines;
	bool found = false;
	char *line;

	open_lines(&lines, place->root, "/proc/self/cgroup", "");
	while (!found && (line = next_line(&lines)) != NULL) {
		char *list = strchr(line, ':');
		char *group = list == NULL ? NULL : strchr(list + 1, ':');

		if (group == NULL || group[1] != '/')
			continue;
		*group++ = '\0';
		found = place->unified ? strcmp(line, "0:") == 0 :
		    lists(list + 1, "cpu");
		snprintf(place->group, sizeof(place->group), "%s", group);
	}
	close_lines(&lines);
	return found;
}

/* "\040" is a space. */
static void
unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; to++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] >= '0' && text[2] <= '7' &&
		    text[3] >= '0' && text[3] <= '7') {
			*to = (char)((text[1] - '0') * 64 +
			    (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* What follows `top` in `group`, or NULL if that is not in it. */
static const char *
below(const char *group, const char *top)
{
	const size_t size = strcmp(top, "/") == 0 ? 0 : strlen(top);

	return strncmp(group, top, size) == 0 &&
	    (group[size] == '/' || group[size] == '\0') ? group + size : NULL;
}

/* "36 25 0:31 /shown /mount rw - cgroup2 cgroup2 rw": whether it is ours. */
static bool
read_mount(struct place *place, char *line)
{
	char *type = *line == '\0' ? NULL : strchr(line + 1, '-');
	char *fields[6], *options;
	int count = 0;

	while (type != NULL && (type[-1] != ' ' || type[1] != ' '))
		type = strchr(type + 1, '-');
	if (type == NULL)
		return false;
	type[-1] = '\0';
	type += 2;
	while (count < 6 && line != NULL) {
		fields[count++] = line;
		line = strchr(line, ' ');
		if (line != NULL)
			*line++ = '\0';
	}
	options = strrchr(type, ' ');
	if (count < 5 || options == NULL ||
	    strncmp(type, place->unified ? "cgroup2 " : "cgroup ",
	    place->unified ? 8 : 7) != 0 ||
	    (!place->unified && !lists(options + 1, "cpu")))
		return false;
	unescape(fields[3]);
	unescape(fields[4]);
	snprintf(place->shown, sizeof(place->shown), "%s", fields[3]);
	snprintf(place->mount, sizeof(place->mount), "%s", fields[4]);
	return true;
}

/* The mount that shows our group; or any one of its hierarchy. */
static bool
find_mount(struct place *place)
{
	struct lines lines;
	bool found = false, ours = false;
	char *line;

	open_lines(&lines, place->root, "/proc/self/mountinfo", "");
	while (!ours && (line = next_line(&lines)) != NULL) {
		if (!read_mount(place, line))
			continue;
		found = true;
		ours = below(place->group, place->shown) != NULL;
	}
	close_lines(&lines);
	/* It is mounted from a place that we do not see: all that can be seen
	 * of it is what is there at the top. */
	if (found && !ours)
		snprintf(place->group, sizeof(place->group), "%s",
		    place->shown);
	return found;
}

/* The one or two numbers of a file; "max" and -1 are none. */
static bool
read_numbers(const struct place *place, const char *group, const char *name,
    long long *first, long long *second)
{
	char path[2 * PATH_MAX];
	const char *line, *rest;
	struct lines lines;

	snprintf(path, sizeof(path), "%s%s", place->mount, group);
	open_lines(&lines, place->root, path, name);
	line = next_line(&lines);
	close_lines(&lines);
	if (line == NULL)
		return false;
	/* "max" is none. A missing second one is 1. */
	*first = torc_number(line, &rest);
	*second = rest[strspn(rest, " ")] == '\0' ? 1 :
	    torc_number(rest, NULL);
	return *first > 0 && *second > 0;
}

static bool
read_group(const struct place *place, const char *group, long long *time,
    long long *period)
{
	long long none;

	if (place->unified)
		return read_numbers(place, group, "/cpu.max", time, period);
	return read_numbers(place, group, "/cpu.cfs_quota_us", time, &none) &&
	    read_numbers(place, group, "/cpu.cfs_period_us", period, &none);
}

/* Of all groups from ours up to the top of the mount. */
static void
read_place(const struct place *place, struct torc_quota *smallest)
{
	char group[PATH_MAX];
	char *slash;

	snprintf(group, sizeof(group), "%s", below(place->group,
	    place->shown));
	do {
		long long time, period;

		slash = strrchr(group, '/');
		if (slash != NULL && slash[1] == '\0')
			*slash = '\0';
		if (read_group(place, group, &time, &period) &&
		    (smallest->period_us == 0 ||
		    (uint64_t)time * smallest->period_us <
		    smallest->time_us * (uint64_t)period)) {
			smallest->time_us = (uint64_t)time;
			smallest->period_us = (uint64_t)period;
			snprintf(smallest->group, sizeof(smallest->group),
			    "%.255s", group[0] == '\0' ? "/" : group);
		}
		slash = strrchr(group, '/');
		if (slash != NULL)
			*slash = '\0';
	} while (slash != NULL);
}

void
torc_quota_read(const char *root, struct torc_quota *quota)
{
	*quota = (struct torc_quota) { .period_us = 0 };
	for (int version = 1; version <= 2; version++) {
		struct place place = {
			.root = root,
			.unified = version == 2,
		};

		if (find_group(&place) && find_mount(&place))
			read_place(&place, quota);
	}
}
