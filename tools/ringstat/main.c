/* SPDX-License-Identifier: MIT */
/*
 * ringstat - ss and iostat for io_uring, on any process.
 *
 * A sample is taken from /proc, from the rings' own memory, and from torc's
 * statistics pages (scan.c), and shown in one of many ways.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conn/torc.h"
#include "sys/sys.h"
#include "tools/ringstat/check.h"
#include "tools/ringstat/dump.h"
#include "tools/ringstat/explain.h"
#include "tools/ringstat/json.h"
#include "tools/ringstat/metrics.h"
#include "tools/ringstat/model.h"
#include "tools/ringstat/proc.h"
#include "tools/ringstat/views.h"
#include "tools/ringstat/watch.h"

#define CHECK_SECONDS 0.5	/* between the two samples of --check */

static void
complain(int error)
{
	fprintf(stderr, "ringstat: cannot read /proc: %s\n",
	    error == -ENODEV ? "it is not mounted" : strerror(-error));
}

static void
print_time(FILE *file)
{
	time_t now = time(NULL);
	struct tm parts;
	char text[32];

	gmtime_r(&now, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	fprintf(file, "%s\n", text);
}

static void
show_text(const struct options *options, const struct sample *sample,
    unsigned long number)
{
	struct screen screen = screen_of(stdout);

	screen.header = !options->no_header;
	if (options->wide)
		screen.width = 0;
	if (options->timestamp)
		print_time(stdout);
	else if (number > 0)
		putchar('\n');
	view_print(sample, options, &screen);
}

static int
show_check(const struct sample *sample, const struct sample *before)
{
	struct findings findings;
	int status;

	check_sample(&findings, sample, before);
	status = check_print(&findings, sample);
	findings_free(&findings);
	return status;
}

static uint64_t
own_capabilities(void)
{
	struct process self = { .pid = getpid(), .folder = "self" };
	int proc = proc_open();

	if (proc >= 0) {
		proc_read(proc, &self, 0);
		close(proc);
	}
	return self.capabilities;
}

/* What could not be seen, in one line, and the exit status. */
static int
verdict(const struct options *options, const struct sample *sample)
{
	if (sample->asked_missing) {
		fprintf(stderr, "ringstat: no such process: %u of %u\n",
		    sample->vanished, options->pid_count);
		return EXIT_VANISHED;
	}
	if (sample->ring_count > 0)
		return EXIT_WELL;
	if (sample->denied > 0) {
		fprintf(stderr, "ringstat: no ring was seen; the "
		    "descriptors of %u %s may not be read (%s)\n",
		    sample->denied,
		    sample->denied == 1 ? "process" : "processes",
		    proc_denied_hint(geteuid() == 0, own_capabilities()));
		return EXIT_DENIED;
	}
	if (options->pid_count > 0)
		fputs("ringstat: no io_uring descriptor (a ring that is "
		    "only registered has none and is invisible)\n", stderr);
	return EXIT_WELL;
}

/* Show a sample: the exit status, if it were the last. */
static int
show(const struct options *options, const struct sample *sample,
    const struct sample *before, unsigned long number)
{
	int status = verdict(options, sample);

	switch (options->mode) {
	case MODE_JSON:
		json_print(stdout, sample, before);
		break;
	case MODE_OPENMETRICS:
		metrics_print(stdout, sample,
		    (double)(torc_sys_now() - sample->time_ns) / 1e9);
		break;
	case MODE_CHECK:
		if (status == EXIT_WELL)
			status = show_check(sample, before);
		break;
	case MODE_DUMP:
		dump_print(stdout, sample, options->raw);
		json_print(stdout, sample, before);
		break;
	default:
		show_text(options, sample, number);
	}
	fflush(stdout);
	return status;
}

static unsigned
wants(const struct options *options)
{
	const unsigned view = view_wants(options->view);

	switch (options->mode) {
	case MODE_JSON:
		return view | JSON_WANTS;
	case MODE_OPENMETRICS:
		return METRICS_WANTS;
	case MODE_CHECK:
		return CHECK_WANTS;
	case MODE_DUMP:
		return JSON_WANTS | (options->raw ? WANT_ENTRIES : 0);
	default:
		return view;
	}
}

/*
 * Rates need two samples, and so does what --check says about time: the first
 * one is not shown when an interval was asked for. --check judges once, unless
 * a count says how often.
 */
static int
run(const struct options *options)
{
	const double interval = options->interval > 0 ? options->interval :
	    options->mode == MODE_CHECK ? CHECK_SECONDS : 0;
	const unsigned long count = options->interval > 0 &&
	    (options->mode != MODE_CHECK || options->count > 0) ?
	    options->count : 1;
	struct sample samples[2] = { { 0 }, { 0 } };
	unsigned long shown = 0;
	int status = EXIT_WELL;

	for (unsigned turn = 0;; turn ^= 1) {
		struct sample *sample = &samples[turn];
		const struct sample *before = samples[turn ^ 1].time_ns == 0 ?
		    NULL : &samples[turn ^ 1];
		int rc;

		sample_free(sample);
		rc = sample_take(sample, options, wants(options), before);
		if (rc < 0) {
			complain(rc);
			status = EXIT_WRONG;
			break;
		}
		if (interval == 0 || before != NULL)
			status = show(options, sample, before, shown++);
		if (ferror(stdout) || (count > 0 && shown >= count) ||
		    (status == EXIT_VANISHED && sample->ring_count == 0))
			break;
		torc_sys_sleep((uint64_t)(interval * 1e9));
	}
	sample_free(&samples[0]);
	sample_free(&samples[1]);
	return status;
}

int
main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(&options, argc, argv);

	if (status < 0)
		status = options.mode == MODE_EXPLAIN ? explain_print() :
		    options.mode == MODE_WATCH ? watch_run(&options) :
		    run(&options);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("ringstat: cannot write to the standard output\n", stderr);
	return status == EXIT_WELL ? EXIT_WRONG : status;
}
