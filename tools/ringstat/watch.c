/* SPDX-License-Identifier: MIT */
/*
 * watch.c - a table that is drawn again and again, and the keys that change
 * it. Nothing but the sequences that every terminal since the VT100 knows.
 */
#include "tools/ringstat/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "sys/sys.h"
#include "tools/ringstat/views.h"

#define ENTER "\033[?1049h\033[?25l"	/* other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"

enum order { BY_NOTHING, BY_PID, BY_SUBMISSIONS, BY_COMPLETIONS, BY_CQ };

struct watch {
	struct options *options;
	struct sample samples[2];
	unsigned now;		/* which of them */
	enum order order;
	unsigned first;		/* row at the top */
	bool paused;
	bool help;
	bool quit;
};

static volatile sig_atomic_t ended, stopped;
static struct termios before;

static void
note_end(int number)
{
	(void)number;
	ended = 1;
}

static void
note_stop(int number)
{
	(void)number;
	stopped = 1;
}

static void
note_resize(int number)
{
	(void)number;	/* poll(2) is interrupted, and it is drawn again */
}

/* ---- Drawing ---- */

static const struct sample *ordered;	/* qsort(3) has no argument */
static enum order ordering;

static double
measure(const struct ring *ring)
{
	switch (ordering) {
	case BY_SUBMISSIONS:
		return ring->submissions;
	case BY_COMPLETIONS:
		return ring->completions;
	case BY_CQ:
		return ring->cq_entries <= 0 ? -1 :
		    (double)ring->cq_ready / (double)ring->cq_entries;
	case BY_PID:
		return -(double)ordered->processes[ring->process].pid;
	case BY_NOTHING:
		break;
	}
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const double left = measure(a), right = measure(b);

	return left > right ? -1 : left < right;
}

static void
put_title(const struct watch *watch, const struct sample *sample,
    unsigned width)
{
	static const char *const orders[] = {
		"unsorted", "by pid", "by SUB/s", "by CQE/s", "by CQ fill",
	};
	char text[160], clock[16];
	time_t now = time(NULL);
	struct tm parts;

	localtime_r(&now, &parts);
	strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
	snprintf(text, sizeof(text), "ringstat %s  %u rings, %u processes, "
	    "%u denied, %s, %g s%s  h: help", clock, sample->ring_count,
	    sample->process_count, sample->denied, orders[watch->order],
	    watch->options->interval, watch->paused ? ", PAUSED" : "");
	printf("%.*s" CLEAR_LINE "\r\n", (int)width, text);
}

static void
put_help(void)
{
	static const char *const lines[] = {
		"",
		"  q  quit        space  stop and go on",
		"  view:  d table    x every column  e entries",
		"         o polls    t threads       m memory",
		"         n connections   s handshakes   p operations",
		"  sort:  P pid      S submissions   C completions",
		"         Q fill of the CQ           U not at all",
		"  j, k, down, up  scroll        h  this help",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		printf("%s" CLEAR_LINE "\r\n", lines[i]);
}

/* The table is printed to memory, since its lines must clear their rests. */
static void
put_table(struct watch *watch, const struct sample *sample, unsigned width,
    unsigned rows)
{
	const char *no_colour = getenv("NO_COLOR");
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	struct screen screen = {
		.file = memory,
		.width = width,
		.rows = rows,
		.first = watch->first,
		.header = !watch->options->no_header,
		.colour = no_colour == NULL || no_colour[0] == '\0',
	};

	if (memory == NULL)
		return;
	if (view_print(sample, watch->options, &screen) <= 1 &&
	    watch->first > 0)
		watch->first--;
	fclose(memory);
	for (char *line = text, *end; line != NULL && *line != '\0';
	    line = end) {
		end = strchr(line, '\n');
		if (end == NULL)
			break;
		*end++ = '\0';
		printf("%s" CLEAR_LINE "%s", line, *end != '\0' ? "\r\n" :
		    "");
	}
	free(text);
}

static void
draw(struct watch *watch)
{
	struct sample *sample = &watch->samples[watch->now];
	struct winsize size = { 0 };

	/* A serial line has no size, and a new pseudo-terminal none so far. */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ||
	    size.ws_row == 0)
		size = (struct winsize) { .ws_col = 80, .ws_row = 24 };
	ordered = sample;
	ordering = watch->order;
	if (watch->order != BY_NOTHING && sample->ring_count > 0)
		qsort(sample->rings, sample->ring_count,
		    sizeof(sample->rings[0]), compare);
	fputs(HOME, stdout);
	put_title(watch, sample, size.ws_col);
	if (watch->help)
		put_help();
	else if (size.ws_row > 2)
		put_table(watch, sample, size.ws_col, size.ws_row - 1u);
	fputs(CLEAR_REST, stdout);
	fflush(stdout);
}

/* ---- Keys ---- */

static bool
choose_view(struct watch *watch, char key)
{
	static const struct { char key; enum view view; } views[] = {
		{ 'd', VIEW_TABLE }, { 'x', VIEW_EXTENDED },
		{ 'e', VIEW_ENTRIES }, { 'o', VIEW_POLLS },
		{ 't', VIEW_THREADS }, { 'm', VIEW_MEMORY },
		{ 'n', VIEW_CONNS }, { 'p', VIEW_OPS },
		{ 's', VIEW_HANDSHAKES },
	};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		if (views[i].key == key) {
			watch->options->view = views[i].view;
			watch->first = 0;
			return true;
		}
	}
	return false;
}

/* Whether a new sample is wanted at once. */
static bool
press(struct watch *watch, char key)
{
	static const char orders[] = "UPSCQ";
	const char *order = key == '\0' ? NULL : strchr(orders, key);

	watch->help = key == 'h' && !watch->help;
	if (order != NULL)
		watch->order = (enum order)(order - orders);
	if (key == 'q' || key == 3 || key == 4)
		watch->quit = true;
	else if (key == ' ')
		watch->paused = !watch->paused;
	else if (key == 'j' || key == 'B')
		watch->first++;
	else if ((key == 'k' || key == 'A') && watch->first > 0)
		watch->first--;
	return choose_view(watch, key);
}

/* Arrows come as ESC [ A; the first two bytes of them mean nothing. */
static bool
press_all(struct watch *watch, const char *keys, ssize_t count)
{
	bool fresh = false;

	for (ssize_t i = 0; i < count; i++) {
		if (keys[i] == '\033') {
			if (i + 2 < count && keys[i + 1] == '[') {
				press(watch, keys[i + 2]);
				i += 2;
			}
			continue;
		}
		if (keys[i] != 'A' && keys[i] != 'B')
			fresh |= press(watch, keys[i]);
	}
	return fresh;
}

/* ---- The terminal ---- */

static void
enter_screen(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	fputs(ENTER, stdout);
}

static bool
take_terminal(void)
{
	const struct sigaction end = { .sa_handler = note_end };
	const struct sigaction stop = { .sa_handler = note_stop };
	const struct sigaction resize = { .sa_handler = note_resize };

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0) {
		fputs("ringstat: --watch needs a terminal\n", stderr);
		return false;
	}
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	enter_screen();
	return true;
}

static void
give_terminal_back(void)
{
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

/* The shell has the terminal until we go on. */
static void
suspend(void)
{
	stopped = 0;
	give_terminal_back();
	raise(SIGSTOP);
	enter_screen();
}

/* Until it is time for the next sample. */
static void
await_keys(struct watch *watch)
{
	const uint64_t until = torc_sys_now() +
	    (uint64_t)(watch->options->interval * 1e9);

	while (!watch->quit && !ended) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		uint64_t now = torc_sys_now();
		int wait_ms = watch->paused ? -1 : now >= until ? 0 :
		    (int)((until - now + 999999) / 1000000);
		int count = poll(&input, 1, wait_ms);
		char keys[32];

		if (count == 0)
			return;
		if (stopped)
			suspend();
		if (count > 0) {
			ssize_t size = read(STDIN_FILENO, keys, sizeof(keys));

			if (size <= 0) {
				watch->quit = true;
				return;
			}
			if (press_all(watch, keys, size))
				return;
		}
		draw(watch);
	}
}

int
watch_run(struct options *options)
{
	struct watch watch = { .options = options };
	unsigned long taken = 0;
	int rc = 0;

	if (!take_terminal())
		return EXIT_WRONG;
	while (!watch.quit && !ended &&
	    (options->count == 0 || taken < options->count)) {
		const unsigned next = taken == 0 ? 0 : watch.now ^ 1;

		sample_free(&watch.samples[next]);
		rc = sample_take(&watch.samples[next], options,
		    view_wants(options->view), taken == 0 ? NULL :
		    &watch.samples[watch.now]);
		if (rc < 0)
			break;
		watch.now = next;
		taken++;
		draw(&watch);
		await_keys(&watch);
	}
	give_terminal_back();
	sample_free(&watch.samples[0]);
	sample_free(&watch.samples[1]);
	if (rc < 0)
		fprintf(stderr, "ringstat: cannot read /proc: %s\n",
		    strerror(-rc));
	return rc < 0 ? EXIT_WRONG : EXIT_WELL;
}
