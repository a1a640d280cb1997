/* SPDX-License-Identifier: MIT */
/*
 * available.c - find out whether io_uring is available here, and why not.
 */
#include <stdio.h>
#include <torc.h>

#define EXIT_NO_RING 78		/* EX_CONFIG */

int
main(void)
{
	struct torc_error error;

	if (torc_available(&error) < 0) {
		fprintf(stderr, "available: %s\n", error.text);
		return EXIT_NO_RING;
	}
	printf("io_uring is available\n");
	return 0;
}
