#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# valgrind.sh - memcheck finds nothing wrong in the echo server, nor in a
# service: no invalid or uninitialised access, no memory lost; and they end when
# they are told to.
#
# The library is the one that is installed: it finds out that valgrind is there,
# tells it about stacks and about what the kernel has written, and sleeps where
# valgrind lets other threads run. The load generator is that of $B (build);
# without it, nc makes the connections.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
shown=("$scratch/valgrind")

under_memcheck() {	# under_memcheck PROGRAM
	fresh_port
	starts server valgrind --error-exitcode=99 --leak-check=full \
	    --errors-for-leak-kinds=definite \
	    --log-file="$scratch/valgrind" "$B/bin/$1" -r 1 \
	    -l "127.0.0.1:$port"
}

# load SIZE CONNECTIONS MESSAGES: every one comes back, or there is an error.
load() {
	timeout -k 2 20 "$B/bench/load" -p "$port" -m echo -s "$1" -c "$2" \
	    -P 1 -n "$3"
}

# by_hand COUNT FILE: the file comes back so many times, by a new connection
# each, four at a time.
by_hand() {
	# The shell of xargs expands these.
	# shellcheck disable=SC2016
	seq "$1" | timeout -k 2 20 xargs -P 4 -I '{}' sh -c '
		timeout 10 nc -N 127.0.0.1 "$1" <"$2" | cmp - "$2"' \
		sh "$port" "$2"
}

# With status 99, which says that there are errors, it has ended, too.
is_ended() {
	status=0
	kill -TERM "$pid" && await "$pid" 1200 || status=$?
	[ $status -eq 0 ] || [ $status -eq 99 ]
}

# The last line of the report counts them; it is there when memcheck was.
clean() {
	sed 's/^==[0-9]*== //' "$scratch/valgrind"
	[ "$status" -eq 0 ] &&
	    grep -q 'ERROR SUMMARY: 0 errors' "$scratch/valgrind"
}

nothing_lost() {
	sed 's/^==[0-9]*== //' "$scratch/valgrind"
	grep -qE 'definitely lost: 0 bytes|no leaks are possible' \
	    "$scratch/valgrind"
}

needs valgrind nc
claim "it starts under memcheck" under_memcheck echo
[ $failed -eq 0 ] || exit 1
head -c 102400 /dev/urandom >"$scratch/large"
head -c 100 /dev/urandom >"$scratch/small"
if [ -x "$B/bench/load" ]; then
	claim "200 connections, 64 bytes a message" load 64 200 5000
	claim "32 connections, 64 bytes a message" load 64 32 5000
	claim "4 connections, 100 KB a message" load 102400 4 40
else
	claim "200 connections of 100 bytes" by_hand 200 "$scratch/small"
fi
claim "8 connections of 100 KB that end with a FIN" by_hand 8 "$scratch/large"
claim "SIGTERM ends it, when nobody is connected any more" is_ended
claim "no invalid access, nothing uninitialised" clean
claim "no memory is lost" nothing_lost

# Notes come and go, with what is read of a request and written of JSON.
answers() {
	local name text url
	text=$(head -c 3000 /dev/zero | tr '\0' x)
	for name in one one two%20words three; do
		url=http://127.0.0.1:$port/notes/$name
		curl -sf -m 20 -H 'Authorization: Bearer key' -X PUT \
		    -d "$text" "$url" && curl -sf -m 20 "$url" |
		    grep -q "\"text\":\"$text\"" || return 1
	done
	curl -sf -m 20 -H 'Authorization: Bearer key' -X DELETE "$url" &&
	    curl -sf -m 20 "${url%/*}?with=x" |
	    grep -qx '\["one","two words"\]' &&
	    [ "$(curl -s -m 20 -o "$scratch/body" -w '%{http_code}' \
	    "$url/none?a=%20b")" = 404 ]
}

export NOTES_TOKEN=key
if has curl; then
	claim "a service starts under memcheck" under_memcheck notes
	claim "it answers" answers
	claim "SIGTERM ends it" is_ended
	claim "no invalid access in it, nothing uninitialised" clean
	claim "none of its memory is lost" nothing_lost
else
	echo "SKIP: a service under memcheck: curl is not installed"
fi

# What the kernel writes to memory of the program is known to be written, in a
# reactor that is run by the program's own thread, beside threads of torc's.
cat >"$scratch/reads.c" <<'END'
#include <torc_client.h>
#include <stdlib.h>
#include <fcntl.h>

static struct torc_reactor *reactor;
static long sum, expected;

static int
count(void *arg)
{
	expected = arg != NULL ? *(long *)arg : 0;
	return 0;
}

static int
read_file(void *path)
{
	int fd = open(path, O_RDONLY);
	long size = 100000;
	char *data = malloc((size_t)size);

	size = torc_fd_read(fd, data, (size_t)size, 0, TORC_NEVER);
	for (long i = 0; i < size; i++)
		sum += data[i] != 0;	/* a branch, for memcheck */
	free(data);
	torc_sleep(torc_after_ms(20));
	if (torc_offload(count, &size, TORC_NEVER) != 0)
		abort();
	torc_reactor_stop(reactor);
	return 0;
}

static char *name;

static void
begin(struct torc_reactor *here, struct torc_post *post)
{
	(void)here;
	(void)post;
	torc_fiber_spawn(NULL, read_file, name);
}

int
main(int argc, char **argv)
{
	struct torc_post post = { .call = begin };

	name = argv[argc - 1];
	if (torc_reactor_create(&reactor, NULL, NULL) < 0)
		return 2;
	torc_reactor_post(reactor, &post);
	if (torc_reactor_run(reactor) < 0)
		return 3;
	torc_reactor_destroy(reactor);
	return sum > 0 && expected == 100000 ? 0 : 4;
}
END
reads() {
	"$CC" -g -o "$scratch/reads" "$scratch/reads.c" -I"$B/include" \
	    "$B/lib/libtorc.a" -pthread &&
	    timeout -k 2 60 valgrind -q --error-exitcode=99 \
	    "$scratch/reads" "$scratch/large"
}
claim "what operations have read is known to be written" reads

# A sleep of four seconds, where a turn of two is a stall.
cat >"$scratch/sleeps.c" <<'END'
#include <torc.h>

static int
start(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	torc_sleep(torc_after_ms(4000));
	torc_sleep(torc_after_ms(1));
	torc_reactor_stop(reactor);
	return 0;
}

int
main(void)
{
	const struct torc_config config = { .start = start, .reactors = 1,
		.stall_ms = 2000 };
	struct torc_stats stats;

	if (torc_serve(&config, NULL, NULL) < 0)
		return 2;
	torc_stats_read(&stats);
	return stats.stalls > 0 ? 3 : 0;
}
END
sleeps() {
	"$CC" -g -o "$scratch/sleeps" "$scratch/sleeps.c" -I"$B/include" \
	    "$B/lib/libtorc.a" -pthread &&
	    timeout -k 2 60 valgrind -q --error-exitcode=99 "$scratch/sleeps"
}
claim "a sleep is not counted as a stall" sleeps
[ $failed -eq 0 ]
