# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# crossings.sh - errno, the kernel and the heap stay in sys/.

grep -nE '(^|[^_a-z.>])errno([^._a-z]|$)' ring/*.[ch] reactor/*.[ch] \
    conn/*.[ch] conn/*/*.[ch] | grep -vE '<errno.h>|/?\*' |
    claim "errno is read in sys/ only"

# In the text, and in what the libraries of clients ask of libc.
crossings='syscall|mmap|munmap|madvise|close|socket|bind|listen|connect|setsockopt|getsockopt|clock_gettime|time|gettimeofday|getrandom|RAND_bytes|malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|free|read|write|open|openat|stat|fstat|getaddrinfo'
{ grep -nE "(^|[^_a-z>.])($crossings)\(" ring/*.[ch] reactor/*.[ch] conn/*.[ch] \
    conn/*/*.[ch] | grep -vE ':[ 	]*[/ ]?\*|/\*.*\([23]\)|/torc[a-z_]*\.h:'
  nm -Au "$B"/lib/libtorc-*.a 2>/dev/null | grep -E " U ($crossings)\$"; } |
    claim "the kernel and the heap are reached through sys/ only"
