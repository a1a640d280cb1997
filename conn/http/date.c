/* SPDX-License-Identifier: MIT */
/*
 * date.c - dates in the form of RFC 9110, 5.6.7, and the time of an answer.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "conn/http/torc_http.h"
#include "sys/sys.h"

#define DAY 86400
#define ERA_DAYS 146097		/* of 400 years */
#define SECOND_NS 1000000000u

static void
two_digits(char *to, unsigned value)
{
	to[0] = (char)('0' + value / 10 % 10);
	to[1] = (char)('0' + value % 10);
}

/* Years begin in March here, so that a leap day is the last day of a year. */
static void
put_day(char text[TORC_HTTP_DATE], uint64_t day)
{
	static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
	const uint64_t since = day + 719468;	/* 1 March of the year 0 */
	const unsigned of_era = (unsigned)(since % ERA_DAYS);
	const unsigned year = (of_era - of_era / 1460 + of_era / 36524 -
	    of_era / 146096) / 365;
	const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	const unsigned month = (5 * of_year + 2) / 153;
	const unsigned full = (unsigned)(since / ERA_DAYS) * 400 + year +
	    (month >= 10);

	two_digits(text + 5, of_year - (153 * month + 2) / 5 + 1);
	memcpy(text + 8, months + 3 * month, 3);
	two_digits(text + 12, full / 100);
	two_digits(text + 14, full % 100);
}

void
torc_http_date(char text[TORC_HTTP_DATE], int64_t seconds)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	const int64_t last = 253402300799;	/* of the year 9999 */
	const uint64_t at = seconds < 0 ? 0 : seconds > last ?
	    (uint64_t)last : (uint64_t)seconds;
	const unsigned of_day = (unsigned)(at % DAY);

	memcpy(text, "ddd, dd mmm yyyy hh:mm:ss GMT", TORC_HTTP_DATE);
	memcpy(text, days + 3 * (at / DAY % 7), 3);
	put_day(text, at / DAY);
	two_digits(text + 17, of_day / 3600);
	two_digits(text + 20, of_day / 60 % 60);
	two_digits(text + 23, of_day % 60);
}

/* The line for the current second. It is formatted again after that second. */
static const char *
date_line(void)
{
	static _Thread_local struct {
		uint64_t until;		/* as torc_now() */
		char text[6 + TORC_HTTP_DATE + 1];
	} line;
	const uint64_t now = torc_now();
	struct timespec wall;

	if (now < line.until && line.until - now <= SECOND_NS)
		return line.text;
	torc_sys_wall_time(&wall);
	line.until = now + SECOND_NS - (uint64_t)wall.tv_nsec;
	memcpy(line.text, "Date: ", 6);
	torc_http_date(line.text + 6, wall.tv_sec);
	memcpy(line.text + 5 + TORC_HTTP_DATE, "\r\n", 2);
	return line.text;
}

void
torc_http_put_date(struct torc_http_writer *writer)
{
	const size_t size = 5 + TORC_HTTP_DATE + 2;

	if (writer->error == 0 && size > writer->size - writer->used)
		writer->error = -ENOSPC;
	if (writer->error != 0)
		return;
	memcpy(writer->data + writer->used, date_line(), size);
	writer->used += size;
}
