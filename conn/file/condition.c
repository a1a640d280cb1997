/*
 * condition.c - dates, entity tags, and the conditions of a request (RFC 9110,
 * 5.6.7, 8.8 and 13).
 */
#include <stdio.h>
#include <string.h>

#include "conn/file/site.h"

/* ---- Dates ---- */

static int64_t
days_since_1970(int year, int month, int day)
{
	/* Years begin in March, so that the leap day is their last one. */
	const int years = month <= 2 ? year - 1 : year;
	const int months = month <= 2 ? month + 9 : month - 3;

	return (int64_t)years * 365 + years / 4 - years / 100 + years / 400 +
	    (153 * months + 2) / 5 + day - 1 - 719468;
}

static int
month_of(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++) {
		if (memcmp(names + 3 * i, name, 3) == 0)
			return i + 1;
	}
	return 0;
}

/* Two digits are the year that is no more than 50 years ahead of 2026. */
static int
full_year(int year)
{
	return year > 76 ? year + 1900 : year + 2000;
}

/* Read the three forms. False: it is none of them. */
static bool
read_form(const char *text, char month[4], int *year, int *day, int clock[3])
{
	int end = 0;

	if (sscanf(text, "%*3[A-Za-z], %2d %3c %4d %2d:%2d:%2d GMT%n", day,
	    month, year, &clock[0], &clock[1], &clock[2], &end) == 6 &&
	    end > 0 && text[end] == '\0')
		return true;
	end = 0;
	if (sscanf(text, "%*9[A-Za-z], %2d-%3c-%2d %2d:%2d:%2d GMT%n", day,
	    month, year, &clock[0], &clock[1], &clock[2], &end) == 6 &&
	    end > 0 && text[end] == '\0') {
		*year = full_year(*year);
		return true;
	}
	end = 0;
	return sscanf(text, "%*3[A-Za-z] %3c %2d %2d:%2d:%2d %4d%n", month,
	    day, &clock[0], &clock[1], &clock[2], year, &end) == 6 &&
	    end > 0 && text[end] == '\0';
}

bool
torc_file_date(struct torc_slice text, int64_t *seconds)
{
	char copy[40], month[4] = "";
	int year = 0, day = 0, clock[3] = { 0, 0, 0 };
	int number;

	if (text.size >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	if (!read_form(copy, month, &year, &day, clock))
		return false;
	number = month_of(month);
	if (number == 0 || year < 1601 || day < 1 || day > 31 ||
	    clock[0] < 0 || clock[0] > 23 || clock[1] < 0 || clock[1] > 59 ||
	    clock[2] < 0 || clock[2] > 60)
		return false;
	*seconds = days_since_1970(year, number, day) * 86400 +
	    clock[0] * 3600 + clock[1] * 60 + clock[2];
	return true;
}

/* ---- Entity tags ---- */

static bool
same(struct torc_slice a, struct torc_slice b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

bool
torc_file_tagged(struct torc_slice list, struct torc_slice tag, bool weakly)
{
	struct torc_slice element;

	while (torc_file_element(&list, &element)) {
		if (torc_http_equals(element, "*"))
			return true;
		if (weakly && element.size > 2 &&
		    memcmp(element.data, "W/", 2) == 0) {
			element.data += 2;
			element.size -= 2;
		}
		if (same(element, tag))
			return true;
	}
	return false;
}

/* The same of all fields with this name. -1: there is none. */
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

/* ---- Conditions ---- */

static bool
has_date(const struct torc_http_head *request, const char *name,
    int64_t *seconds)
{
	const struct torc_slice *value = torc_http_find(request, name);

	return value != NULL && torc_file_date(*value, seconds);
}

unsigned
torc_file_condition(const struct torc_http_head *request,
    struct torc_slice tag, int64_t modified)
{
	int64_t date;
	int found = any_tagged(request, "if-match", tag, false);

	if (found == 0)
		return 412;
	if (found < 0 && has_date(request, "if-unmodified-since", &date) &&
	    modified > date)
		return 412;
	found = any_tagged(request, "if-none-match", tag, true);
	if (found > 0)
		return 304;
	if (found < 0 && has_date(request, "if-modified-since", &date) &&
	    modified <= date)
		return 304;
	return 200;
}

bool
torc_file_range_counts(const struct torc_http_head *request,
    struct torc_slice tag, int64_t modified)
{
	const struct torc_slice *value = torc_http_find(request, "if-range");
	int64_t date;

	if (value == NULL)
		return true;
	if (value->size > 0 && value->data[0] == '"')
		return same(*value, tag);
	return torc_file_date(*value, &date) && date == modified;
}
