/* SPDX-License-Identifier: MIT */
/*
 * crew.c - queues of tasks, and their fair shares of the threads.
 */
#include "conn/kit/crew.h"

#include <string.h>

#include "sys/trap.h"

#define FOLLOW_NS 5000000000u	/* a lookup that takes longer is not
				 * followed: asked anew, it may not hang */

/* By the last two labels of a name, whatever case they are written in. */
static struct torc_zone *
zone_of(const struct torc_crew *crew, const char *name)
{
	const char *end = name + strlen(name);
	uint32_t hash = 2166136261u;
	unsigned dots = 0;

	/* A dot at the end says nothing. */
	if (end > name && end[-1] == '.')
		end--;
	while (end > name && (dots += *--end == '.') < 2)
		hash = (hash ^ (uint8_t)(*end | 0x20)) * 16777619u;
	return (struct torc_zone *)&crew->zones[hash % TORC_CREW_ZONES];
}

void
torc_crew_init(struct torc_crew *crew)
{
	torc_list_init(&crew->work);
	torc_list_init(&crew->sums);
	for (unsigned i = 0; i < TORC_CREW_ZONES; i++) {
		torc_list_init(&crew->zones[i].queued);
		torc_list_init(&crew->zones[i].flights);
		crew->zones[i].running = 0;
	}
	crew->queued = 0;
	crew->working = 0;
	crew->computing = 0;
	crew->looking = 0;
}

static struct torc_task *
find_flight(const struct torc_zone *zone, const char *name, uint64_t now)
{
	const struct torc_node *ends = &zone->flights.ends;

	for (struct torc_node *node = ends->next; node != ends;
	    node = node->next) {
		struct torc_task *task = torc_container(node,
		    struct torc_task, flight);

		if (strcmp(task->name, name) == 0 &&
		    (task->state == TORC_TASK_QUEUED ||
		    now - task->begun_at < FOLLOW_NS))
			return task;
	}
	return NULL;
}

bool
torc_crew_add(struct torc_crew *crew, struct torc_task *task, uint64_t now)
{
	struct torc_zone *zone;
	struct torc_task *leader;

	torc_list_init(&task->followers);
	task->state = TORC_TASK_QUEUED;
	if (task->name == NULL) {
		torc_list_append(task->computes ? &crew->sums : &crew->work,
		    &task->node);
		crew->queued++;
		return true;
	}
	zone = zone_of(crew, task->name);
	leader = find_flight(zone, task->name, now);
	if (leader != NULL) {
		task->state = TORC_TASK_FOLLOWING;
		torc_list_append(&leader->followers, &task->node);
		return false;
	}
	torc_list_append(&zone->queued, &task->node);
	torc_list_append(&zone->flights, &task->flight);
	crew->queued++;
	return true;
}

static bool
zone_may_start(const struct torc_crew *crew, const struct torc_zone *zone)
{
	const unsigned most = crew->most_lookups;

	if (zone->running == 0)
		return crew->looking < most;
	return crew->looking < most - most / 8 && zone->running < most / 2;
}

bool
torc_crew_may_start(const struct torc_crew *crew, const struct torc_task *task)
{
	if (task->name != NULL)
		return zone_may_start(crew, zone_of(crew, task->name));
	return task->computes ? crew->computing < crew->most_sums :
	    crew->working < crew->most_work;
}

static struct torc_task *
take_from(struct torc_crew *crew, struct torc_list *queue, uint64_t now)
{
	struct torc_task *task = torc_container(torc_list_take(queue),
	    struct torc_task, node);

	crew->queued--;
	task->state = TORC_TASK_RUNNING;
	task->begun_at = now;
	return task;
}

struct torc_task *
torc_crew_take(struct torc_crew *crew, uint64_t now)
{
	if (!torc_list_empty(&crew->sums) &&
	    crew->computing < crew->most_sums) {
		crew->computing++;
		return take_from(crew, &crew->sums, now);
	}
	for (unsigned i = 0; i < TORC_CREW_ZONES; i++) {
		struct torc_zone *zone = &crew->zones[crew->next_zone++ %
		    TORC_CREW_ZONES];

		if (torc_list_empty(&zone->queued) ||
		    !zone_may_start(crew, zone))
			continue;
		zone->running++;
		crew->looking++;
		return take_from(crew, &zone->queued, now);
	}
	if (torc_list_empty(&crew->work) || crew->working >= crew->most_work)
		return NULL;
	crew->working++;
	return take_from(crew, &crew->work, now);
}

void
torc_crew_end(struct torc_crew *crew, struct torc_task *task)
{
	if (task->name == NULL) {
		*(task->computes ? &crew->computing : &crew->working) -= 1;
		return;
	}
	crew->looking--;
	zone_of(crew, task->name)->running--;
	torc_list_remove(&task->flight);
}

void
torc_crew_take_back(struct torc_crew *crew, struct torc_task *task)
{
	struct torc_node *node = torc_list_take(&task->followers);
	struct torc_task *heir = node != NULL ?
	    torc_container(node, struct torc_task, node) : NULL;

	if (node != NULL) {
		heir->state = TORC_TASK_QUEUED;
		torc_list_replace(&task->node, &heir->node);
		torc_list_replace(&task->flight, &heir->flight);
		torc_list_move(&heir->followers, &task->followers);
		return;
	}
	torc_list_remove(&task->node);
	if (task->state == TORC_TASK_FOLLOWING)
		return;
	crew->queued--;
	if (task->name != NULL)
		torc_list_remove(&task->flight);
}
