/* SPDX-License-Identifier: MIT */
/*
 * seccomp_exec.c - run a program in whose place io_uring is refused.
 *
 * seccomp_exec EPERM|ENOSYS|EOPNOTSUPP|allow PROGRAM [ARGUMENT...]
 *
 * The filter is that of a container's profile: all three calls fail with that
 * errno. With "allow" there is a filter too, but nothing that it refuses.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FIRST 425		/* io_uring_setup */
#define LAST 427		/* io_uring_register */
#define EXIT_USAGE 64
#define EXIT_FAILED 125		/* before the program began */

static const struct {
	const char *name;
	uint32_t action;
} actions[] = {
	{ "EPERM", SECCOMP_RET_ERRNO | EPERM },
	{ "ENOSYS", SECCOMP_RET_ERRNO | ENOSYS },
	{ "EOPNOTSUPP", SECCOMP_RET_ERRNO | EOPNOTSUPP },
	{ "allow", SECCOMP_RET_ALLOW },
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static int
install(uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int
main(int argc, char **argv)
{
	size_t i = 0;

	while (argc > 2 && i < ACTIONS && strcmp(argv[1], actions[i].name) != 0)
		i++;
	if (argc < 3 || i == ACTIONS) {
		fprintf(stderr, "usage: seccomp_exec EPERM|ENOSYS|EOPNOTSUPP|"
		    "allow PROGRAM [ARGUMENT...]\n");
		return EXIT_USAGE;
	}
	if (install(actions[i].action) == 0)
		execvp(argv[2], argv + 2);
	perror("seccomp_exec");
	return EXIT_FAILED;
}
