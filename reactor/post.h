/* SPDX-License-Identifier: MIT */
/*
 * post.h - posts that a reactor has taken.
 */
#ifndef TORC_REACTOR_POST_H
#define TORC_REACTOR_POST_H

struct torc_post;
struct torc_reactor;

/* Call each of them, in order. */
void torc_post_run(struct torc_reactor *reactor, struct torc_post *post);

#endif
