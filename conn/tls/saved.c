/* SPDX-License-Identifier: MIT */
/*
 * saved.c - sessions that a client can resume. They are found by the name that
 * was verified, and by how much was verified: who trusts anybody leaves nothing
 * to those who do not. How many there are is bounded, also for each name.
 */
#include <string.h>

#include "conn/tls/saved.h"
#include "sys/sys.h"

struct tls_saved_one {
	struct tls_saved_one *next;
	SSL_SESSION *session;
	enum torc_trust trust;
	char name[];
};

static unsigned
row_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return (hash ^ hash >> 16) % TLS_SAVED_ROWS;
}

static bool
is_of(const struct tls_saved_one *one, const char *name, enum torc_trust trust)
{
	return one->trust == trust && strcmp(one->name, name) == 0;
}

static void
free_all(struct tls_saved_one *one)
{
	while (one != NULL) {
		struct tls_saved_one *next = one->next;

		SSL_SESSION_free(one->session);
		torc_sys_free(one);
		one = next;
	}
}

void
torc_tls_saved_init(struct tls_saved *saved)
{
	pthread_mutex_init(&saved->lock, NULL);
}

void
torc_tls_saved_fini(struct tls_saved *saved)
{
	for (unsigned i = 0; i < TLS_SAVED_ROWS; i++)
		free_all(saved->rows[i]);
	pthread_mutex_destroy(&saved->lock);
}

/* Of a row that has too many: those to be freed, the oldest of them. */
static struct tls_saved_one *
cut(struct tls_saved_one **at, const char *name, enum torc_trust trust)
{
	unsigned count = 0, same = 0;

	for (; *at != NULL; at = &(*at)->next) {
		struct tls_saved_one *one = *at;

		same += is_of(one, name, trust);
		if (++count > TLS_SAVED_ROW || same > TLS_SAVED_EACH) {
			*at = one->next;
			one->next = NULL;
			return one;
		}
	}
	return NULL;
}

bool
torc_tls_saved_put(struct tls_saved *saved, const char *name,
    enum torc_trust trust, SSL_SESSION *session)
{
	const size_t size = strlen(name) + 1;
	struct tls_saved_one **row = &saved->rows[row_of(name)];
	struct tls_saved_one *one = torc_sys_alloc(sizeof(*one) + size);
	struct tls_saved_one *old;

	if (one == NULL)
		return false;
	one->session = session;
	one->trust = trust;
	memcpy(one->name, name, size);
	pthread_mutex_lock(&saved->lock);
	one->next = *row;
	*row = one;
	old = cut(row, name, trust);
	pthread_mutex_unlock(&saved->lock);
	free_all(old);
	return true;
}

/* It may be resumed: the certificate that was verified still holds. */
static bool
is_good(const SSL_SESSION *session)
{
	X509 *certificate = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)
	    session);

	return SSL_SESSION_is_resumable(session) == 1 &&
	    (certificate == NULL ||
	    X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0);
}

/* The newest one: out of its row, but for one that can be used again. */
static SSL_SESSION *
find(struct tls_saved_one **at, const char *name, enum torc_trust trust,
    struct tls_saved_one **used)
{
	SSL_SESSION *session;

	while (*at != NULL && !is_of(*at, name, trust))
		at = &(*at)->next;
	if (*at == NULL)
		return NULL;
	session = (*at)->session;
	SSL_SESSION_up_ref(session);
	if (is_good(session) &&
	    SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION)
		return session;
	*used = *at;
	*at = (*at)->next;
	(*used)->next = NULL;
	return session;
}

SSL_SESSION *
torc_tls_saved_take(struct tls_saved *saved, const char *name,
    enum torc_trust trust)
{
	struct tls_saved_one **row = &saved->rows[row_of(name)];
	SSL_SESSION *session;

	for (;;) {
		struct tls_saved_one *used = NULL;

		pthread_mutex_lock(&saved->lock);
		session = find(row, name, trust, &used);
		pthread_mutex_unlock(&saved->lock);
		free_all(used);
		if (session == NULL || is_good(session))
			return session;
		SSL_SESSION_free(session);
	}
}
