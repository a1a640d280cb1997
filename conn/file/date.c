/* SPDX-License-Identifier: MIT */
/*
 * date.c - dates of HTTP (RFC 9110, 5.6.7), without libc: its calls know
 * locales, accept signs and white space, and write years of any length.
 */
#include <string.h>
#include <time.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define DAY 86400
#define YEAR_MAX 9999		/* four digits */

static const char days[] = "SunMonTueWedThuFriSat";
static const char *const long_days[] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
	"Saturday",
};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct moment {
	int year;
	int month;		/* 1 to 12 */
	int day;		/* 1 to 31 */
	int hour;
	int minute;
	int second;
};

/* ---- Calendar ---- */

/* Years begin in March here, so that the leap day is their last one. */
static int64_t
days_since_1970(int year, int month, int day)
{
	const int years = month <= 2 ? year - 1 : year;
	const int since_march = month <= 2 ? month + 9 : month - 3;

	return (int64_t)years * 365 + years / 4 - years / 100 + years / 400 +
	    (153 * since_march + 2) / 5 + day - 1 - 719468;
}

static int
days_of_month(int year, int month)
{
	static const int lengths[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
	};
	const bool leap = year % 4 == 0 && (year % 100 != 0 ||
	    year % 400 == 0);

	return month == 2 && leap ? 29 : lengths[month - 1];
}

/* The inverse of the above, for days from the year 1 on. */
static void
date_of(int64_t day, struct moment *moment)
{
	const int64_t since = day + 719468;	/* from 1 March of year 0 */
	const int era = (int)(since / 146097);	/* 400 years */
	const int of_era = (int)(since % 146097);
	const int years = (of_era - of_era / 1460 + of_era / 36524 -
	    of_era / 146096) / 365;
	const int of_year = of_era - (365 * years + years / 4 - years / 100);
	const int since_march = (5 * of_year + 2) / 153;

	moment->day = of_year - (153 * since_march + 2) / 5 + 1;
	moment->month = since_march < 10 ? since_march + 3 : since_march - 9;
	moment->year = years + era * 400 + (moment->month <= 2);
}

/* ---- Reading ---- */

static bool
skip(struct torc_slice *text, const char *what)
{
	const size_t size = strlen(what);

	if (text->size < size || memcmp(text->data, what, size) != 0)
		return false;
	text->data += size;
	text->size -= size;
	return true;
}

static bool
read_digits(struct torc_slice *text, unsigned count, int *number)
{
	if (text->size < count)
		return false;
	*number = 0;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t c = text->data[i];

		if (c < '0' || c > '9')
			return false;
		*number = *number * 10 + (c - '0');
	}
	text->data += count;
	text->size -= count;
	return true;
}

/*
 * Read one of several names of three letters each. Returns its number, from 0.
 */
static int
read_name(struct torc_slice *text, const char *names)
{
	for (int i = 0; text->size >= 3 && names[3 * i] != '\0'; i++) {
		if (memcmp(text->data, names + 3 * i, 3) != 0)
			continue;
		text->data += 3;
		text->size -= 3;
		return i;
	}
	return -1;
}

static bool
read_month(struct torc_slice *text, int *month)
{
	*month = read_name(text, months) + 1;
	return *month > 0;
}

static bool
read_clock(struct torc_slice *text, struct moment *moment)
{
	return read_digits(text, 2, &moment->hour) && skip(text, ":") &&
	    read_digits(text, 2, &moment->minute) && skip(text, ":") &&
	    read_digits(text, 2, &moment->second);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
read_fixed(struct torc_slice text, struct moment *moment)
{
	return read_name(&text, days) >= 0 && skip(&text, ", ") &&
	    read_digits(&text, 2, &moment->day) && skip(&text, " ") &&
	    read_month(&text, &moment->month) && skip(&text, " ") &&
	    read_digits(&text, 4, &moment->year) && skip(&text, " ") &&
	    read_clock(&text, moment) && skip(&text, " GMT") && text.size == 0;
}

/*
 * Two digits mean the latest such year that is at most 50 years in the future.
 */
static int
full_year(int year)
{
	struct timespec now;
	struct moment today;
	int full;

	torc_sys_wall_time(&now);
	date_of(now.tv_sec / DAY, &today);
	full = today.year - today.year % 100 + 100 + year;
	while (full > today.year + 50)
		full -= 100;
	return full;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool
read_old(struct torc_slice text, struct moment *moment)
{
	int day = 0;

	while (day < 7 && !skip(&text, long_days[day]))
		day++;
	if (day == 7 || !skip(&text, ", ") ||
	    !read_digits(&text, 2, &moment->day) || !skip(&text, "-") ||
	    !read_month(&text, &moment->month) || !skip(&text, "-") ||
	    !read_digits(&text, 2, &moment->year) || !skip(&text, " ") ||
	    !read_clock(&text, moment) || !skip(&text, " GMT"))
		return false;
	moment->year = full_year(moment->year);
	return text.size == 0;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
read_asctime(struct torc_slice text, struct moment *moment)
{
	return read_name(&text, days) >= 0 && skip(&text, " ") &&
	    read_month(&text, &moment->month) && skip(&text, " ") &&
	    (skip(&text, " ") ? read_digits(&text, 1, &moment->day) :
	    read_digits(&text, 2, &moment->day)) && skip(&text, " ") &&
	    read_clock(&text, moment) && skip(&text, " ") &&
	    read_digits(&text, 4, &moment->year) && text.size == 0;
}

bool
torc_file_date(struct torc_slice text, int64_t *seconds)
{
	struct moment moment = { 0 };

	if (!read_fixed(text, &moment) && !read_old(text, &moment) &&
	    !read_asctime(text, &moment))
		return false;
	if (moment.year < 1 || moment.day < 1 ||
	    moment.day > days_of_month(moment.year, moment.month) ||
	    moment.hour > 23 || moment.minute > 59 || moment.second > 60)
		return false;
	*seconds = days_since_1970(moment.year, moment.month, moment.day) *
	    DAY + moment.hour * 3600 + moment.minute * 60 + moment.second;
	return true;
}

/* ---- Writing ---- */

static void
put_digits(char *to, unsigned count, int number)
{
	while (count > 0) {
		to[--count] = (char)('0' + number % 10);
		number /= 10;
	}
}

bool
torc_file_put_date(char text[TORC_FILE_DATE], int64_t seconds)
{
	const int64_t first = days_since_1970(1, 1, 1);
	const int64_t last = days_since_1970(YEAR_MAX, 12, 31);
	const int64_t day = seconds / DAY - (seconds % DAY < 0);
	const int clock = (int)(seconds % DAY) + (seconds % DAY < 0) * DAY;
	struct moment moment;

	text[0] = '\0';
	if (day < first || day > last)
		return false;
	date_of(day, &moment);
	memcpy(text, "Sun, 00 Jan 0000 00:00:00 GMT", TORC_FILE_DATE);
	/* 1970 began with a Thursday; `first` is a Monday. */
	memcpy(text, days + 3 * ((day - first + 1) % 7), 3);
	put_digits(text + 5, 2, moment.day);
	memcpy(text + 8, months + 3 * (moment.month - 1), 3);
	put_digits(text + 12, 4, moment.year);
	put_digits(text + 17, 2, clock / 3600);
	put_digits(text + 20, 2, clock / 60 % 60);
	put_digits(text + 23, 2, clock % 60);
	return true;
}
