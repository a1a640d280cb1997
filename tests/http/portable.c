/* SPDX-License-Identifier: MIT */
/*
 * portable.c - the reader of heads once more, built without vector
 * instructions and under other names, to be compared with the usual one.
 */
#define TORC_HTTP_PORTABLE
#define torc_http_read_request portable_read_request
#define torc_http_read_response portable_read_response
#define torc_http_read_trailer portable_read_trailer
#define torc_http_begun portable_begun
#define torc_http_rebase portable_rebase
#define torc_http_equals portable_equals
#define torc_http_find portable_find
#define torc_http_lists portable_lists
#define torc_http_method_of portable_method_of
#define torc_http_text portable_text

#include "conn/http/head.c"
