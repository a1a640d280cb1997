/* SPDX-License-Identifier: MIT */
/*
 * absent.c - a libc to be loaded before the real one, on whose kernel there
 * is no io_uring: its calls and its sysctls are not there, and uname(2) says
 * what ABSENT_ON does (the real release by default).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FIRST 425		/* io_uring_setup */
#define LAST 427		/* io_uring_register */

static void
find(void *function, size_t size, const char *name)
{
	void *address = dlsym(RTLD_NEXT, name);

	memcpy(function, &address, size);
}

long
syscall(long number, ...)
{
	long (*real)(long, ...), word[6];
	va_list list;

	if (number >= FIRST && number <= LAST) {
		errno = ENOSYS;
		return -1;
	}
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		word[i] = va_arg(list, long);
	va_end(list);
	find(&real, sizeof(real), "syscall");
	return real(number, word[0], word[1], word[2], word[3], word[4],
	    word[5]);
}

int
open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...);
	int mode;
	va_list list;

	if (strstr(path, "kernel/io_uring_") != NULL) {
		errno = ENOENT;
		return -1;
	}
	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, int) : 0;
	va_end(list);
	find(&real, sizeof(real), "open");
	return real(path, flags, mode);
}

int
uname(struct utsname *system)
{
	const char *release = getenv("ABSENT_ON");
	int (*real)(struct utsname *);
	int rc;

	find(&real, sizeof(real), "uname");
	rc = real(system);
	if (rc == 0 && release != NULL)
		strncpy(system->release, release,
		    sizeof(system->release) - 1);
	return rc;
}
