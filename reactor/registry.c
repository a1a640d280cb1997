/* SPDX-License-Identifier: MIT */
/*
 * registry.c - what the program and libraries keep with a reactor. These are
 * few, so a list is as good as a table.
 */
#include <errno.h>

#include "reactor/reactor.h"
#include "sys/sys.h"

struct torc_value {
	struct torc_value *next;
	const struct torc_key *key;
	void *value;
};

static struct torc_value *
find(const struct torc_reactor *reactor, const struct torc_key *key)
{
	struct torc_value *value = reactor->values;

	while (value != NULL && value->key != key)
		value = value->next;
	return value;
}

int
torc_reactor_set_data(struct torc_reactor *reactor,
    const struct torc_key *key, void *data)
{
	struct torc_value *entry;

	torc_reactor_vouch(reactor);
	torc_debug_assert(reactor->values == NULL ||
	    reactor->values->key != NULL);
	torc_require(reactor->phase == TORC_PHASE_CREATED ||
	    reactor->phase == TORC_PHASE_ENDED || torc_current == reactor,
	    "called on another thread than the reactor's");
	if (key == NULL) {
		reactor->data = data;
		return 0;
	}
	entry = find(reactor, key);
	if (entry == NULL) {
		entry = torc_sys_alloc(sizeof(*entry));
		if (entry == NULL)
			return -ENOMEM;
		entry->key = key;
		entry->next = reactor->values;
		reactor->values = entry;
	}
	entry->value = data;
	return 0;
}

void *
torc_reactor_data(const struct torc_reactor *reactor,
    const struct torc_key *key)
{
	const struct torc_value *entry;

	torc_reactor_vouch(reactor);
	if (key == NULL)
		return reactor->data;
	entry = find(reactor, key);
	return entry != NULL ? entry->value : NULL;
}

void
torc_reactor_free_values(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->phase == TORC_PHASE_ENDED);
	while (reactor->values != NULL) {
		struct torc_value *entry = reactor->values;

		reactor->values = entry->next;
		torc_sys_free(entry);
	}
}
