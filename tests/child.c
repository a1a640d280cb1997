/* SPDX-License-Identifier: MIT */
/*
 * child.c - processes of tests.
 */
#include "tests/child.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

int
in_child(void (*body)(void), char *said, size_t size)
{
	int ends[2], status;
	ssize_t count;
	size_t used = 0;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A sanitizer would make a report of the signal. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		alarm(HANG_SECONDS);
		body();
		_exit(0);
	}
	close(ends[1]);
	while ((count = read(ends[0], said + used, size - 1 - used)) > 0)
		used += (size_t)count;
	said[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

void
assert_traps_as(const char *name, void (*body)(void), const char *why)
{
	char said[4096];
	int status = in_child(body, said, sizeof(said));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("%s: status 0x%x instead of a trap \"%s\", saying: "
		    "%s", name, (unsigned)status, why, said);
	if (strstr(said, why) == NULL)
		fail_msg("%s: not \"%s\" but: %s", name, why, said);
}

int
limit(void **state)
{
	(void)state;
	alarm(HANG_SECONDS);
	return 0;
}
