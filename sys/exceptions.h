/* SPDX-License-Identifier: MIT */
/*
 * exceptions.h - what the runtime of C++ keeps for a thread: the exceptions
 * whose handlers have not ended yet. libstdc++ and libc++abi have it alike, as
 * the Itanium C++ ABI lays it down.
 */
#ifndef TORC_SYS_EXCEPTIONS_H
#define TORC_SYS_EXCEPTIONS_H

/* __cxa_eh_globals. All zero: there is no exception. */
struct torc_exceptions {
	void *caught;		/* the newest */
	unsigned uncaught;	/* how many are on their way to a handler */
};

/*
 * Those of the calling thread, at one address for as long as it lives; NULL in
 * a program without C++, or whose C++ was loaded after it began (dlopen).
 */
struct torc_exceptions *torc_exceptions(void);

#endif
