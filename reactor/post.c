/* SPDX-License-Identifier: MIT */
/*
 * post.c - work that any thread hands to a reactor.
 */
#include "reactor/mailbox.h"
#include "reactor/post.h"
#include "reactor/reactor.h"

/* What `posted` is while a post is in a list, and never by chance. */
static const void *
mark_of(const struct torc_post *post)
{
	static const char tag;

	torc_debug_assert(post != NULL);
	return (const void *)((uintptr_t)post ^ (uintptr_t)&tag);
}

int
torc_reactor_post(struct torc_reactor *reactor, struct torc_post *post)
{
	int rc;

	torc_reactor_vouch(reactor);
	torc_require(post != NULL && post->call != NULL,
	    "torc_reactor_post needs a post with a call");
	torc_require(post->posted != mark_of(post),
	    "a post is posted again before it has run");
	post->posted = mark_of(post);
	rc = torc_mailbox_push(&reactor->mailbox, post);
	if (rc < 0)
		post->posted = NULL;
	return rc;
}

void
torc_post_run(struct torc_reactor *reactor, struct torc_post *post)
{
	torc_debug_assert(reactor == torc_current);
	while (post != NULL) {
		struct torc_post *next = post->next;

		reactor->counters->posts++;
		post->posted = NULL;
		post->call(reactor, post);
		post = next;
	}
}
