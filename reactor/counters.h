/* SPDX-License-Identifier: MIT */
/*
 * counters.h - what a reactor counts, for tests and tools. Written by its
 * thread with plain stores, never reset.
 */
#ifndef TORC_REACTOR_COUNTERS_H
#define TORC_REACTOR_COUNTERS_H

#include <stdint.h>

#define TORC_BATCH_CLASSES 12	/* 0, 1, 2-3, 4-7 ... completions a turn */

/* Why a handshake failed. */
enum torc_failure {
	TORC_FAILURE_UNTOLD,	/* not yet: it is not counted */
	TORC_FAILURE_LEFT,	/* the peer closed or reset the connection */
	TORC_FAILURE_LATE,	/* it was not done in time */
	TORC_FAILURE_CLEAR,	/* the peer does not speak TLS */
	TORC_FAILURE_VERSION,	/* none in common */
	TORC_FAILURE_CIPHER,	/* no cipher, group, kind of signature or
				 * protocol of ALPN in common */
	TORC_FAILURE_CERTIFICATE,	/* the peer's is not good, or missing */
	TORC_FAILURE_REFUSED,	/* the peer refused ours, or something else */
	TORC_FAILURE_PROTOCOL,	/* the peer does not keep to it */
	TORC_FAILURE_MEMORY,
	TORC_FAILURE_ENDED,	/* by this side: a drain, an end, a cancelled
				 * fiber, the room that others need */
	TORC_FAILURES,
};

/* What a handshake that is done has agreed on; 0: nothing is known of it. */
enum torc_version {
	TORC_VERSION_UNTOLD,
	TORC_VERSION_1_2,
	TORC_VERSION_1_3,
	TORC_VERSIONS,
};

/* Those that torc offers by itself. */
enum torc_cipher {
	TORC_CIPHER_UNTOLD,
	TORC_CIPHER_AES128_GCM,	/* of TLS 1.3 */
	TORC_CIPHER_AES256_GCM,
	TORC_CIPHER_CHACHA20,
	TORC_CIPHER_ECDSA_AES128_GCM,	/* of TLS 1.2, with ECDHE */
	TORC_CIPHER_RSA_AES128_GCM,
	TORC_CIPHER_ECDSA_AES256_GCM,
	TORC_CIPHER_RSA_AES256_GCM,
	TORC_CIPHER_ECDSA_CHACHA20,
	TORC_CIPHER_RSA_CHACHA20,
	TORC_CIPHER_OTHER,
	TORC_CIPHERS,
};

struct torc_counters {
	uint64_t turns;
	uint64_t enters;
	uint64_t waits;		/* enters that could sleep */
	uint64_t sqes;
	uint64_t cqes;
	uint64_t batches[TORC_BATCH_CLASSES];
	uint64_t overflows;	/* episodes of a full CQ */
	uint64_t interrupted;	/* enters ended by a signal */
	uint64_t starved;	/* enters refused for lack of memory */
	uint64_t sq_full;	/* submissions because the SQ was full */
	uint64_t deferred;	/* todos that were put off */
	uint64_t stray;		/* completions whose object was gone */
	uint64_t spins;		/* polled instead of sleeping ... */
	uint64_t spins_won;	/* ... and something came */
	uint64_t wakes;		/* by the mailbox's descriptor */
	uint64_t posts;
	uint64_t fibers;	/* started */
	uint64_t resumes;
	uint64_t timeouts;
	uint64_t ops;		/* started */
	uint64_t op_cancels;

	/* The connection layer. */
	uint64_t accepts;
	uint64_t sheds;		/* accepted and closed: too many */
	uint64_t accept_pauses;	/* no descriptors or memory */
	uint64_t dials;
	uint64_t closes;
	uint64_t resets;	/* closed by force */
	uint64_t receives;	/* completions with bytes */
	uint64_t received;	/* bytes */
	uint64_t rearms;	/* receives armed again ... */
	uint64_t no_buffers;	/* ... of them, the ring was empty */
	uint64_t holds;		/* peers slowed at the high-water mark */
	uint64_t joins;		/* views that had to be copied together */
	uint64_t grows;		/* buffer ring made bigger */
	uint64_t quiet_sends;	/* with no completion */
	uint64_t loud_sends;	/* with one */
	uint64_t sent;		/* bytes */
	uint64_t short_sends;	/* the peer did not read fast enough */

	/* Accepts and receives bring many completions each. */
	uint64_t accept_arms;	/* submitted ... */
	uint64_t accept_ends;	/* ... and over, for whatever reason */
	uint64_t accept_failures;	/* ... of them, with an error */
	uint64_t receive_arms;
	uint64_t receive_failures;	/* ended with an error: no buffer is
					 * none */
	uint64_t send_failures;	/* ended with an error; not short ones */

	uint64_t fallback_reads;	/* reads of sockets that were polled,
					 * where a receive would take too much
					 * memory */
	uint64_t evictions;	/* closed to make room for others */
	uint64_t favours;	/* connections that might receive more than
				 * their share, since all waited */
	uint64_t moves;		/* out of a receive buffer, so that the kernel
				 * has it back */

	/* Of transports: those that are over. */
	uint64_t handshakes_full;
	uint64_t handshakes_resumed;	/* a session went on */
	uint64_t handshakes_failed;	/* the connection ended before it */
	/* By what the enumerations say, less 1. All that failed are here, and
	 * those that are done, if their kind of transport tells. */
	uint64_t handshake_failures[TORC_FAILURES - 1];
	uint64_t handshake_versions[TORC_VERSIONS - 1];
	uint64_t handshake_ciphers[TORC_CIPHERS - 1];
};

#endif
