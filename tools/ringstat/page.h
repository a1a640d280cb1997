/* SPDX-License-Identifier: MIT */
/*
 * page.h - torc's statistics page, as seen from outside. reactor/stats_page.h
 * says what is in it.
 */
#ifndef RINGSTAT_PAGE_H
#define RINGSTAT_PAGE_H

#include "reactor/stats_page.h"
#include "tools/ringstat/model.h"

/* The state of a connection that says most about it. */
enum conn_state {
	CONN_RUNNING,		/* its handler runs, or waits for something
				 * else */
	CONN_READING,		/* its handler waits for input */
	CONN_WRITING,		/* ... until all is sent */
	CONN_SLOWED,		/* the peer is: too much is unread */
	CONN_DORMANT,		/* no handler, until there is input */
	CONN_EOF,		/* the peer has sent FIN */
	CONN_FINISHING,		/* we have */
	CONN_CLOSING,		/* as soon as nothing is outstanding */
	CONN_STATES,
};
extern const char *const conn_states[CONN_STATES];

/* Whether a connection has TLS. */
enum conn_tls {
	CONN_TLS_UNKNOWN,	/* the page is older, or it has gone */
	CONN_CLEAR,
	CONN_SHAKING,		/* its handshake goes on */
	CONN_SECURE,		/* it is done */
};

struct conn_view {
	uint32_t slot;
	int32_t fd;
	enum conn_state state;
	uint64_t held;		/* bytes received and not consumed */
	uint64_t staged;	/* bytes written and not acknowledged as sent */
	int64_t age_ms;
	uint64_t ino;		/* of the socket; 0: not known */
	bool armed;		/* a receive is in flight */
	bool sending;		/* a send is */
	enum conn_tls tls;
	unsigned version;	/* enum torc_version: 0 unless CONN_SECURE */
	unsigned cipher;	/* enum torc_cipher */
	char *host;		/* that the client asked for; NULL: none, or
				 * not known */
};

/* A copy of a page, checked: what a page does not have is 0. */
struct torc_view {
	struct torc_stats_page page;
	int64_t turn_age_us;	/* UNKNOWN while it sleeps */
	char thread_state;	/* as in /proc/PID/stat; 0: not known */
	bool conns_known;
	unsigned conn_count;
	unsigned by_state[CONN_STATES];
	unsigned armed;		/* receives in flight */
	unsigned sending;	/* sends in flight */
	uint64_t held;
	uint64_t staged;
	struct conn_view *conns;	/* with WANT_CONNS */
};

/* The words of a part, by name, in the order of the structure. */
struct word_name {
	const char *name;
	unsigned at;		/* index of the word */
	unsigned count;		/* more than 1: an array */
};
extern const struct word_name counter_names[];
extern const struct word_name gauge_names[];
extern const struct word_name limit_names[];
extern const unsigned counter_name_count;
extern const unsigned gauge_name_count;
extern const unsigned limit_name_count;

/*
 * Counters of one kind: how handshakes ended. They are a family of metrics,
 * each with its name as the value of a label.
 */
struct word_set {
	const char *name;	/* in JSON */
	const char *label;
	const char *help;
	const char *const *names;
	unsigned at;		/* index of the first counter */
	unsigned count;
};
#define HANDSHAKE_SETS 3u
extern const struct word_set handshake_sets[HANDSHAKE_SETS];
/* Whether the page has them, or is older. */
bool torc_view_has(const struct torc_view *view, const struct word_set *set);
/* The first of them. */
const uint64_t *torc_view_words(const struct torc_view *view,
    const struct word_set *set);

const char *phase_name(uint64_t phase);

/*
 * Check and copy what a page of `size` bytes says that are read by `load`
 * (`arg`, offset, memory, size; false: not all of it is there). False if it
 * is no page of a version that is known.
 */
typedef bool torc_view_load(void *arg, uint64_t offset, void *to,
    size_t size);
bool torc_view_read(struct torc_view *view, torc_view_load *load, void *arg,
    uint64_t now_ns, bool conns);

/*
 * Read the page behind `fd` of a process, whose descriptors are in the
 * directory `fds`, and give it to the ring that it names. What is no page, or
 * names no ring, is left out.
 */
void torc_view_attach(struct sample *sample, unsigned process, int fds,
    unsigned fd, bool conns);
void torc_view_free(struct torc_view *view);
/* Free what a view has. */
void torc_view_fini(struct torc_view *view);

/* "1.3", or NULL: it is not known. */
const char *torc_view_version(const struct conn_view *conn);
const char *torc_view_cipher(const struct conn_view *conn);

/*
 * What connections did, as in struct torc_stats_page_op: UNKNOWN where the page
 * does not tell. An accept and a receive are submitted once and
 * complete many times, each time with a connection or with bytes.
 */
#define CONN_OPS 3u
struct conn_op {
	const char *name;
	int64_t submitted;
	int64_t in_flight;
	int64_t completed;
	int64_t failed;
};
void torc_view_conn_ops(const struct torc_view *view,
    struct conn_op ops[CONN_OPS]);

/* What a user_data of this reactor means. */
struct tag_text { char kind[16]; uint64_t generation; uint64_t slot; };
struct tag_text torc_view_tag(const struct torc_view *view,
    uint64_t user_data);

#endif
