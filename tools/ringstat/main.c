/*
 * ringstat - ss and iostat for io_uring, on any process.
 *
 * A sample is taken from /proc, from the rings' own memory, and from torc's
 * statistics pages (scan.c), and shown in one of many ways.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sys/sys.h"
#include "tools/ringstat/model.h"
#include "tools/ringstat/views.h"

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
show(const struct options *options, const struct sample *sample,
    unsigned long number)
{
	struct screen screen = screen_of(stdout);

	screen.header = !options->no_header;
	if (options->timestamp)
		print_time(stdout);
	else if (number > 0)
		putchar('\n');
	view_print(sample, options, &screen);
}

/* What could not be seen, in one line, and the exit status. */
static int
verdict(const struct options *options, const struct sample *sample)
{
	if (sample->asked_missing && sample->ring_count == 0) {
		fputs("ringstat: no such process\n", stderr);
		return EXIT_VANISHED;
	}
	if (sample->ring_count > 0)
		return EXIT_WELL;
	if (sample->denied > 0) {
		fprintf(stderr, "ringstat: no ring to be seen; the "
		    "descriptors of %u %s may not be read (try as root)\n",
		    sample->denied,
		    sample->denied == 1 ? "process" : "processes");
		return EXIT_DENIED;
	}
	if (options->pid_count > 0)
		fputs("ringstat: no io_uring descriptor (a ring that is "
		    "only registered has none and is invisible)\n", stderr);
	return EXIT_WELL;
}

static int
run(const struct options *options)
{
	const unsigned want = view_wants(options->view);
	struct sample samples[2] = { { 0 }, { 0 } };
	unsigned long number = 0;
	int status = EXIT_WELL;

	for (unsigned turn = 0;; turn++) {
		struct sample *sample = &samples[turn & 1];
		const struct sample *before = turn == 0 ? NULL :
		    &samples[(turn & 1) ^ 1];
		int rc;

		sample_free(sample);
		rc = sample_take(sample, options, want, before);
		if (rc < 0) {
			fprintf(stderr, "ringstat: cannot read /proc: %s\n",
			    strerror(-rc));
			status = EXIT_WRONG;
			break;
		}
		/* An interval is shown when it is over. */
		if (options->interval == 0 || before != NULL) {
			show(options, sample, number++);
			fflush(stdout);
			status = verdict(options, sample);
		}
		if (options->interval == 0 || ferror(stdout) ||
		    (options->count > 0 && number >= options->count))
			break;
		torc_sys_sleep((uint64_t)(options->interval * 1e9));
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
		status = run(&options);
	if (fflush(stdout) != 0 && status == EXIT_WELL)
		status = EXIT_WRONG;
	return status;
}
