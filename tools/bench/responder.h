/* SPDX-License-Identifier: MIT */
/*
 * responder.h - what every responder of the benchmark has in common, so that
 * they differ only in how they talk to the kernel: the listening socket, the
 * answer, and the search for the ends of requests.
 *
 * An HTTP responder does not parse. It counts the blank lines that end
 * requests and sends as many answers. That is the least a server can do, and
 * so leaves the cost of the input and output in sight.
 */
#ifndef BENCH_RESPONDER_H
#define BENCH_RESPONDER_H

#include "tools/bench/common.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER_SIZE (sizeof(ANSWER) - 1)
#define ANSWERS_MAX 64U		/* in one send, to pipelined requests */

/* ANSWERS_MAX answers in a row, sent from here without being copied. */
static char answers[ANSWERS_MAX * ANSWER_SIZE];

static inline void
fill_answers(void)
{
	for (size_t i = 0; i < ANSWERS_MAX; i++)
		memcpy(answers + i * ANSWER_SIZE, ANSWER, ANSWER_SIZE);
}

/* "\r\n\r\n" read as a word, on little-endian and big-endian machines. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BLANK_LINE UINT32_C(0x0a0d0a0d)
#else
#define BLANK_LINE UINT32_C(0x0d0a0d0a)
#endif

static inline uint32_t
load_word(const unsigned char *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/*
 * Blank lines in a stretch that is known to begin at the start of a request
 * and to end with a blank line. Looks at every fourth byte: one that is
 * neither CR nor LF cannot be part of a blank line.
 */
static inline unsigned
count_whole_words(const unsigned char *p, size_t size)
{
	unsigned count = 0;
	size_t i = 0;

	while (i + 4 <= size) {
		if (p[i + 3] > '\r') {
			i += 4;
		} else if (load_word(p + i) == BLANK_LINE) {
			count++;
			i += 4;
		} else {
			i++;
		}
	}
	return count;
}

#if defined(__x86_64__)
/* A bit for each of the 32 positions from p on where a blank line starts. */
__attribute__((target("avx2"))) static inline uint32_t
blank_lines_at(const unsigned char *p)
{
	const __m256i cr = _mm256_set1_epi8('\r');
	const __m256i lf = _mm256_set1_epi8('\n');
	const __m256i first = _mm256_and_si256(
	    _mm256_cmpeq_epi8(cr, _mm256_loadu_si256((const void *)p)),
	    _mm256_cmpeq_epi8(lf, _mm256_loadu_si256((const void *)(p + 1))));
	const __m256i second = _mm256_and_si256(
	    _mm256_cmpeq_epi8(cr, _mm256_loadu_si256((const void *)(p + 2))),
	    _mm256_cmpeq_epi8(lf, _mm256_loadu_si256((const void *)(p + 3))));

	return (uint32_t)_mm256_movemask_epi8(_mm256_and_si256(first, second));
}

/*
 * The same, 32 positions at a time. Compiled for AVX2 whatever the rest of
 * the program is compiled for; the caller checks that the CPU has it.
 */
__attribute__((target("avx2,popcnt"))) static unsigned
count_whole_avx2(const unsigned char *p, size_t size)
{
	const unsigned char *last;
	unsigned count;

	if (size < 35)
		return count_whole_words(p, size);
	last = p + size - 35;
	/* Of the last window, only what those before it leave over. */
	count = (unsigned)_mm_popcnt_u32(blank_lines_at(last) >>
	    ((35 - size) & 31));
	for (; p < last; p += 32)
		count += (unsigned)_mm_popcnt_u32(blank_lines_at(p));
	return count;
}
#endif

/* Byte by byte, for requests that come in pieces; see count_requests(). */
static inline unsigned
count_pieces(const unsigned char *p, size_t size, uint8_t *matched)
{
	unsigned count = 0;
	uint8_t m = *matched;

	for (size_t i = 0; i < size; i++) {
		if (p[i] != ((m & 1) ? '\n' : '\r')) {
			m = p[i] == '\r';
		} else if (++m == 4) {
			count++;
			m = 0;
		}
	}
	*matched = m;
	return count;
}

/*
 * How many requests end in these bytes. *matched belongs to the connection,
 * starts as 0, and says how much of a blank line the bytes before ended with.
 */
static inline unsigned
count_requests(const void *data, size_t size, uint8_t *matched)
{
	const unsigned char *p = data;

	if (__builtin_expect(*matched != 0 || size < 4 ||
	    load_word(p + size - 4) != BLANK_LINE, 0))
		return count_pieces(p, size, matched);
#if defined(__x86_64__)
	if (__builtin_expect(__builtin_cpu_supports("avx2") != 0, 1))
		return count_whole_avx2(p, size);
#endif
	return count_whole_words(p, size);
}

/*
 * A listening socket on the loopback interface. What is accepted from it
 * inherits TCP_NODELAY. flags: 0 or SOCK_NONBLOCK.
 */
static inline int
listen_on(uint16_t port, int flags)
{
	struct sockaddr_in address = loopback(port);
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		die("setsockopt");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	if (listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

struct responder_options {
	uint16_t port;
	bool echo;		/* -e: echo; else answer HTTP requests */
	bool direct;		/* cleared by -f: use file descriptors */
	unsigned buffer_size;	/* -b: of a receive buffer */
};

/*
 * Reads the command line and prepares the process. `letters` are the options
 * that the program has, as for getopt().
 */
static inline struct responder_options
start_responder(int argc, char **argv, const char *letters)
{
	struct responder_options options = {
		.direct = true,
		.buffer_size = 2048,
	};
	int option;

	while ((option = getopt(argc, argv, letters)) != -1) {
		if (option == 'e')
			options.echo = true;
		else if (option == 'f')
			options.direct = false;
		else if (option == 'b')
			options.buffer_size =
			    (unsigned)parse_number(optarg, 64, 1 << 20);
		else
			exit(2);
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: %s [OPTIONS] PORT; options: %s\n",
		    argv[0], letters);
		exit(2);
	}
	options.port = parse_port(argv[optind]);
	fill_answers();
	signal(SIGPIPE, SIG_IGN);
	return options;
}

#endif
