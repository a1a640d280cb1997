/* SPDX-License-Identifier: MIT */
/*
 * version.c - the release that a program runs with.
 */
#include "conn/torc.h"

const char *
torc_version(void)
{
#define TEXT_OF(number) #number
#define VERSION(major, minor, patch) \
	TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)
	return VERSION(TORC_VERSION_MAJOR, TORC_VERSION_MINOR,
	    TORC_VERSION_PATCH);
}
