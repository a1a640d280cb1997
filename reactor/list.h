/* SPDX-License-Identifier: MIT */
/*
 * list.h - a first-in first-out queue of nodes that live in other structures.
 * A node that is in no queue has NULL links, which every step asserts.
 */
#ifndef TORC_REACTOR_LIST_H
#define TORC_REACTOR_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/trap.h"

struct torc_node {
	struct torc_node *next;
	struct torc_node *prev;
};

struct torc_list {
	struct torc_node ends;	/* next: the first; prev: the last */
};

/* The structure of type `type` whose member `member` is at `pointer`. */
#define torc_container(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static inline void
torc_list_init(struct torc_list *list)
{
	list->ends.next = &list->ends;
	list->ends.prev = &list->ends;
}

static inline bool
torc_list_empty(const struct torc_list *list)
{
	torc_debug_assert(list->ends.next != NULL && list->ends.prev != NULL);
	return list->ends.next == &list->ends;
}

static inline bool
torc_node_linked(const struct torc_node *node)
{
	torc_debug_assert((node->next == NULL) == (node->prev == NULL));
	return node->next != NULL;
}

static inline void
torc_list_append(struct torc_list *list, struct torc_node *node)
{
	torc_debug_assert(list->ends.prev->next == &list->ends);
	torc_assert(node->next == NULL && node->prev == NULL);
	node->next = &list->ends;
	node->prev = list->ends.prev;
	node->prev->next = node;
	list->ends.prev = node;
}

static inline void
torc_list_remove(struct torc_node *node)
{
	torc_assert(node->next != NULL && node->next->prev == node);
	torc_debug_assert(node->prev->next == node);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

/* The first node, taken out, or NULL. */
static inline struct torc_node *
torc_list_take(struct torc_list *list)
{
	struct torc_node *node = list->ends.next;

	torc_debug_assert(node->prev == &list->ends);
	if (node == &list->ends)
		return NULL;
	torc_list_remove(node);
	return node;
}

/* Put one that is in no queue where `node` is, which is in none then. */
static inline void
torc_list_replace(struct torc_node *node, struct torc_node *by)
{
	torc_assert(by->next == NULL && node->next->prev == node);
	*by = *node;
	by->prev->next = by;
	by->next->prev = by;
	node->next = NULL;
	node->prev = NULL;
}

/* Move all of `from` to the end of `to`. */
static inline void
torc_list_move(struct torc_list *to, struct torc_list *from)
{
	torc_debug_assert(to != from && to->ends.next != NULL);
	if (torc_list_empty(from))
		return;
	from->ends.next->prev = to->ends.prev;
	from->ends.prev->next = &to->ends;
	to->ends.prev->next = from->ends.next;
	to->ends.prev = from->ends.prev;
	torc_list_init(from);
}

#endif
