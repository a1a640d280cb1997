#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# sizes.sh - programs that were compiled with other headers run with
# libtorc.so: an earlier torc, whose structures lack the last fields of ours,
# and a later one, whose structures have more.
#
# The library is that of $B (build), and CC compiles. The headers of the other
# versions are ours, with fields taken away or added.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}

cat >"$scratch/program.c" <<'C'
#include <torc.h>
#include <torc_client.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int
open_none(void **item, torc_deadline deadline, void *arg)
{
	(void)arg; (void)item; (void)deadline;
	return -ECONNREFUSED;
}

static void
close_none(void *item, void *arg)
{
	(void)arg; (void)item;
}

/* A pool is made, asked, looked at and destroyed. */
static int
use_pool(void *arg)
{
	const struct torc_pool_kind kind = {
		.name = "none", .open = open_none, .close = close_none,
	};
	const struct torc_pool_config config = { .size = 3 };
	struct torc_error error;
	/* What lies behind the structure stays as it is. */
	struct { struct torc_pool_stats stats; uint64_t behind; } all;
	struct torc_pool *pool;
	void *item;

	(void)arg;
	all.behind = 0x5555;
	if (torc_pool_create(&pool, &kind, NULL, &config, &error) < 0)
		return 1;
	if (torc_pool_acquire(pool, &item, torc_after_ms(5000)) !=
	    -ECONNREFUSED)
		return 2;
	torc_pool_stats_read(pool, &all.stats);
	if (all.stats.failures != 1 || all.behind != 0x5555)
		return 3;
	return torc_pool_destroy(pool, TORC_NEVER) < 0 ? 4 : 0;
}

static int result = 99;

static int
run(void *arg)
{
	result = use_pool(arg);
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
start(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor; (void)post;
	torc_fiber_spawn(NULL, run, NULL);
}

int
main(void)
{
	struct torc_post post = { .call = start };
	struct { struct torc_stats stats; uint64_t behind; } all;
	struct torc_config config;
	struct torc_reactor *reactor;
	struct torc_error error;
	int rc;

	memset(&config, 0, sizeof(config));
	config.fibers = 64;
#ifdef SET
	config.SET = 1;
#endif
	rc = torc_reactor_create(&reactor, &config, &error);
	puts(error.text);
	if (rc < 0)
		return rc == -EINVAL && error.code == rc ? 78 : 1;
	all.behind = 0x5555;
	torc_stats_read(&all.stats);
	if (all.stats.reactors != 1 || all.behind != 0x5555)
		return 2;
	torc_reactor_post(reactor, &post);
	if (torc_reactor_run(reactor) != 0)
		return 3;
	torc_reactor_destroy(reactor);
	return 10 * result;
}
C

# other VERSION SCRIPT: headers of another version, by sed on ours.
other() {
	mkdir "$scratch/$1" && cp "$B"/include/*.h "$scratch/$1" &&
	    sed -i "$2" "$scratch/$1"/torc_runtime.h "$scratch/$1"/torc_client.h
}

# In each structure that these headers have, before its end.
growing='torc_config torc_stats torc_pool_config torc_pool_stats torc_pool_kind'
grow=$(for s in $growing; do
	echo "/^struct $s {/,/^};/s/^};/	uint64_t later[3];\n};/"
done)
shrink='/^struct torc_config {/,/^};/{/no_stats/d}
/^struct torc_stats {/,/^};/{/TLS: handshakes/,/^};/{/^};/!d}}
/^struct torc_pool_config {/,/^};/{/aside_max/,/65536/d}
/^struct torc_pool_stats {/,/^};/{/last_error/d}
/^struct torc_pool_kind {/,/^};/{/usable/d}'

builds() {	# builds VERSION [DEFINE]: its program
	"$CC" -std=c99 -Wall -Wextra -Werror ${2:+"$2"} -I"$scratch/$1" \
	    -o "$scratch/program$1" "$scratch/program.c" -L"$B/lib" -ltorc
}

runs() {
	LD_LIBRARY_PATH=$B/lib timeout 60 "$scratch/program$1"
}

refused() {	# by words that say why
	runs "$1" >"$scratch/words"
	[ $? -eq 78 ] && grep -q "compiled for a later torc" "$scratch/words"
}

differ() {
	! cmp -s "$scratch/$1/torc_$2.h" "$B/include/torc_$2.h"
}

if [ ! -e "$B/lib/libtorc.so" ]; then
	echo "SKIP: libtorc.so was not built"
	exit 0
fi
claim "headers of this version" other now ''
claim "headers of an earlier version" other earlier "$shrink"
claim "headers of a later version" other later "$grow"
claim "they differ" eval 'differ earlier runtime && differ later runtime &&
    differ earlier client && differ later client'
for version in now earlier later; do
	claim "a program of the $version headers builds" builds $version
	claim "a program of the $version headers runs" runs $version
done
claim "a program that sets a field of a later version builds" \
    builds later '-DSET=later[0]'
claim "it is refused in words" refused later
[ "$failed" -eq 0 ]
