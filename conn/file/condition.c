/* SPDX-License-Identifier: MIT */
/*
 * condition.c - entity tags and the conditions of a request (RFC 9110, 8.8
 * and 13).
 */
#include <string.h>

#include "conn/file/site.h"

/* ---- Entity tags ---- */

static bool
same(struct torc_slice a, struct torc_slice b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void
advance(struct torc_slice *text, size_t size)
{
	text->data += size;
	text->size -= size;
}

/* Remove the "W/" of a weak tag. Returns whether the tag is weak. */
static bool
take_weak(struct torc_slice *tag)
{
	if (tag->size < 2 || memcmp(tag->data, "W/", 2) != 0)
		return false;
	advance(tag, 2);
	return true;
}

/*
 * Remove an opaque tag, with its quotes, from a list. Returns false if there is
 * none.
 */
static bool
take_opaque(struct torc_slice *list, struct torc_slice *tag)
{
	size_t size = 1;

	if (list->size < 2 || list->data[0] != '"')
		return false;
	while (size < list->size && list->data[size] > 0x20 &&
	    list->data[size] != '"' && list->data[size] != 0x7f)
		size++;
	if (size == list->size || list->data[size] != '"')
		return false;
	*tag = (struct torc_slice) { list->data, size + 1 };
	advance(list, size + 1);
	return true;
}

/* Skip what is between two tags, and note whether it has a comma. */
static void
skip_between(struct torc_slice *list, bool *comma)
{
	while (list->size > 0 && (list->data[0] == ' ' ||
	    list->data[0] == '\t' || list->data[0] == ',')) {
		*comma |= list->data[0] == ',';
		advance(list, 1);
	}
}

/* Anything after an invalid tag is ignored. */
bool
torc_file_tagged(struct torc_slice list, struct torc_slice tag, bool weakly)
{
	const bool weak = take_weak(&tag);
	bool comma = true;

	if (list.size == 1 && list.data[0] == '*')
		return true;
	for (skip_between(&list, &comma); comma; ) {
		struct torc_slice opaque;
		const bool other_weak = take_weak(&list);

		if (!take_opaque(&list, &opaque))
			return false;
		if ((weakly || (!weak && !other_weak)) && same(opaque, tag))
			return true;
		comma = false;
		skip_between(&list, &comma);
	}
	return false;
}

/* The same for all fields with this name. Returns -1 if there is none. */
static int
any_tagged(const struct torc_http_head *request, const char *name,
    struct torc_slice tag, bool weakly)
{
	int found = -1;

	for (unsigned i = 0; i < request->field_count && found <= 0; i++) {
		if (torc_http_equals(request->fields[i].name, name))
			found = torc_file_tagged(request->fields[i].value, tag,
			    weakly);
	}
	return found;
}

/* ---- Fields that are no lists ---- */

unsigned
torc_file_only(const struct torc_http_head *request, const char *name,
    struct torc_slice *value)
{
	unsigned count = 0;

	for (unsigned i = 0; i < request->field_count; i++) {
		if (!torc_http_equals(request->fields[i].name, name))
			continue;
		*value = request->fields[i].value;
		count++;
	}
	return count;
}

static bool
has_date(const struct torc_http_head *request, const char *name,
    int64_t *seconds)
{
	struct torc_slice value;

	return torc_file_only(request, name, &value) == 1 &&
	    torc_file_date(value, seconds);
}

/* ---- Conditions ---- */

/*
 * If two versions had the same date, the date does not say which one is meant.
 */
static bool
unchanged_since(const struct torc_file_validator *file, int64_t date)
{
	return file->modified < date ||
	    (file->modified == date && !file->shared);
}

unsigned
torc_file_condition(const struct torc_http_head *request,
    const struct torc_file_validator *file)
{
	int64_t date;
	int found = any_tagged(request, "if-match", file->tag, false);

	if (found == 0)
		return 412;
	if (found < 0 && file->dated &&
	    has_date(request, "if-unmodified-since", &date) &&
	    file->modified > date)
		return 412;
	found = any_tagged(request, "if-none-match", file->tag, true);
	if (found > 0)
		return 304;
	if (found < 0 && file->dated &&
	    has_date(request, "if-modified-since", &date) &&
	    unchanged_since(file, date))
		return 304;
	return 200;
}

/*
 * Parts of two versions must not be combined: a date counts only if no other
 * version can have had it.
 */
bool
torc_file_range_counts(const struct torc_http_head *request,
    const struct torc_file_validator *file)
{
	struct torc_slice value;
	int64_t date;

	if (has_date(request, "if-unmodified-since", &date) &&
	    date == file->modified && !file->exact)
		return false;
	switch (torc_file_only(request, "if-range", &value)) {
	case 0:
		return true;
	case 1:
		break;
	default:
		return false;
	}
	if (value.size > 0 && value.data[0] == '"')
		return same(value, file->tag);
	return file->dated && file->exact && torc_file_date(value, &date) &&
	    date == file->modified;
}
