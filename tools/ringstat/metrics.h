/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - a sample as text for a collector of metrics: Prometheus' text
 * format, which ends as OpenMetrics does.
 */
#ifndef RINGSTAT_METRICS_H
#define RINGSTAT_METRICS_H

#include "tools/ringstat/model.h"

#define METRICS_WANTS \
	(WANT_LISTS | WANT_THREADS | WANT_LIMITS | WANT_TORC)

void metrics_print(FILE *file, const struct sample *sample,
    double seconds_taken);

#endif
