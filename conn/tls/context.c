/* SPDX-License-Identifier: MIT */
/*
 * context.c - contexts: made of a configuration and files, read again, shared.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#include "conn/tls/alpn.h"
#include "conn/tls/context.h"
#include "conn/tls/files.h"
#include "conn/tls/keylog.h"
#include "conn/tls/session.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"

#define HANDSHAKE_MS 10000u

static char *
copy_text(const char *text)
{
	return text != NULL ? torc_sys_strdup(text) : NULL;
}

static void
free_pair(struct tls_pair *pair)
{
	torc_sys_free(pair->certificate);
	torc_sys_free(pair->key);
	torc_sys_free(pair);
}

static void
free_host(struct tls_host **at)
{
	struct tls_host *host = *at;

	*at = host->next;
	while (host->pairs != NULL) {
		struct tls_pair *pair = host->pairs;

		host->pairs = pair->next;
		free_pair(pair);
	}
	torc_sys_free(host->name);
	torc_sys_free(host);
}

/* ---- Generations ---- */

/* One holder less of what is counted: whether it was the last one. */
static bool
is_last(struct torc_tls *tls, unsigned *references)
{
	bool last;

	pthread_mutex_lock(&tls->lock);
	torc_assert(*references > 0);
	last = --*references == 0;
	pthread_mutex_unlock(&tls->lock);
	return last;
}

static void
release(struct torc_tls *tls)
{
	if (!is_last(tls, &tls->references))
		return;
	while (tls->hosts != NULL)
		free_host(&tls->hosts);
	torc_tls_tickets_fini(&tls->tickets);
	pthread_mutex_destroy(&tls->lock);
	torc_sys_free(tls->protocols);
	if (tls->keylog >= 0)
		torc_sys_close(tls->keylog);
	torc_sys_free((void *)(uintptr_t)tls->config.client_ca);
	torc_sys_free((void *)(uintptr_t)tls->config.client_crl);
	torc_sys_free((void *)(uintptr_t)tls->config.ticket_keys);
	torc_sys_free(tls);
}

void
torc_tls_generation_shaken(struct tls_generation *generation)
{
	struct torc_tls *tls = generation->tls;

	pthread_mutex_lock(&tls->lock);
	torc_assert(tls->shaking > 0);
	tls->shaking--;
	pthread_mutex_unlock(&tls->lock);
}

void
torc_tls_generation_put(struct tls_generation *generation)
{
	struct torc_tls *tls = generation->tls;

	if (!is_last(tls, &generation->references))
		return;
	for (unsigned i = 0; i < generation->count; i++)
		SSL_CTX_free(generation->served[i].context);
	torc_sys_free(generation);
	release(tls);
}

/* For a handshake. NULL: there are as many as there may be. */
static struct tls_generation *
take_generation(struct torc_tls *tls)
{
	struct tls_generation *generation = NULL;

	pthread_mutex_lock(&tls->lock);
	if (tls->config.handshakes_max == 0 ||
	    tls->shaking < tls->config.handshakes_max) {
		generation = tls->now;
		generation->references++;
		tls->shaking++;
	}
	pthread_mutex_unlock(&tls->lock);
	return generation;
}

/* What was read for a host before, or NULL. */
static const struct tls_served *
read_before(const struct torc_tls *tls, const struct tls_host *host)
{
	for (unsigned i = 0; tls->now != NULL && i < tls->now->count; i++) {
		if (tls->now->served[i].host == host)
			return &tls->now->served[i];
	}
	return NULL;
}

/*
 * Read the files of a host, or of all (NULL). NULL: `error` says why.
 */
static struct tls_generation *
read_files(struct torc_tls *tls, const struct tls_host *changed,
    struct torc_error *error)
{
	struct tls_generation *generation;
	unsigned count = 0;

	for (const struct tls_host *host = tls->hosts; host != NULL;
	    host = host->next)
		count++;
	generation = torc_sys_alloc(sizeof(*generation) +
	    count * sizeof(generation->served[0]));
	if (generation == NULL) {
		torc_error_set(error, -ENOMEM, "no memory for a context");
		return NULL;
	}
	generation->tls = tls;
	generation->references = 1;
	pthread_mutex_lock(&tls->lock);
	tls->references++;
	pthread_mutex_unlock(&tls->lock);
	for (const struct tls_host *host = tls->hosts; host != NULL;
	    host = host->next) {
		const struct tls_served *before;
		struct tls_served *served =
		    &generation->served[generation->count];

		served->host = host;
		before = changed == NULL || changed == host ? NULL :
		    read_before(tls, host);
		if (before != NULL) {
			*served = *before;
			SSL_CTX_up_ref(served->context);
		} else {
			torc_tls_files_read(tls, served, error);
		}
		if (served->context == NULL) {
			torc_tls_generation_put(generation);
			return NULL;
		}
		SSL_CTX_set_client_hello_cb(served->context,
		    torc_tls_session_choose, NULL);
		SSL_CTX_set_msg_callback(served->context,
		    torc_tls_session_hear);
		generation->count++;
	}
	return generation;
}

static int
renew(struct torc_tls *tls, const struct tls_host *changed,
    struct torc_error *error)
{
	struct tls_generation *before, *now;
	struct torc_error words;

	now = read_files(tls, changed, &words);
	if (now == NULL) {
		if (error != NULL)
			*error = words;
		return words.code;
	}
	pthread_mutex_lock(&tls->lock);
	before = tls->now;
	tls->now = now;
	pthread_mutex_unlock(&tls->lock);
	if (before != NULL)
		torc_tls_generation_put(before);
	return 0;
}

int
torc_tls_reload(struct torc_tls *tls, struct torc_error *error)
{
	struct tls_ticket_keys keys;
	int rc;

	torc_require(tls != NULL, "torc_tls_reload needs a context");
	rc = tls->config.ticket_keys == NULL ? 0 : torc_tls_files_keys(
	    &keys, tls->config.ticket_keys, error);
	if (rc == 0)
		rc = renew(tls, NULL, error);
	if (rc == 0 && tls->config.ticket_keys != NULL)
		torc_tls_tickets_set(&tls->tickets, &keys);
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}

/* ---- Hosts ---- */

static bool
is_host(const struct tls_host *host, const char *name)
{
	return host->name == NULL || name == NULL ? host->name == name :
	    strcasecmp(host->name, name) == 0;
}

/* Of that name; made if there is none yet. NULL: no memory. */
static struct tls_host *
find_host(struct torc_tls *tls, const char *name)
{
	struct tls_host **at = &tls->hosts;
	struct tls_host *made;

	while (*at != NULL && !is_host(*at, name))
		at = &(*at)->next;
	if (*at != NULL)
		return *at;
	made = torc_sys_alloc(sizeof(*made));
	if (made == NULL)
		return NULL;
	made->name = copy_text(name);
	if (name != NULL && made->name == NULL) {
		torc_sys_free(made);
		return NULL;
	}
	*at = made;
	return made;
}

/* The host has one more pair, in front. NULL: no memory, all is as before. */
static struct tls_host *
add_pair(struct torc_tls *tls, const char *name, const char *certificate,
    const char *key)
{
	struct tls_pair *pair = torc_sys_alloc(sizeof(*pair));
	struct tls_host *host = NULL;

	if (pair == NULL)
		return NULL;
	pair->certificate = copy_text(certificate);
	pair->key = copy_text(key != NULL ? key : certificate);
	if (pair->certificate != NULL && pair->key != NULL)
		host = find_host(tls, name);
	if (host == NULL) {
		free_pair(pair);
		return NULL;
	}
	pair->next = host->pairs;
	host->pairs = pair;
	return host;
}

/* The last one that was added. */
static void
remove_pair(struct torc_tls *tls, struct tls_host *host)
{
	struct tls_host **at = &tls->hosts;
	struct tls_pair *pair = host->pairs;

	host->pairs = pair->next;
	free_pair(pair);
	while (*at != host)
		at = &(*at)->next;
	if (host->pairs == NULL)
		free_host(at);
}

/* Whether it was added before. */
static bool
has_pair(const struct torc_tls *tls, const char *name, const char *certificate,
    const char *key)
{
	const struct tls_host *host = tls->hosts;
	const struct tls_pair *pair;

	while (host != NULL && !is_host(host, name))
		host = host->next;
	pair = host != NULL ? host->pairs : NULL;
	while (pair != NULL && (strcmp(pair->certificate, certificate) != 0 ||
	    strcmp(pair->key, key != NULL ? key : certificate) != 0))
		pair = pair->next;
	return pair != NULL;
}

static bool
is_name(const char *name)
{
	const size_t size = strlen(name);

	if (strncmp(name, "*.", 2) == 0)
		name += 2;
	return size > 0 && size <= TLS_NAME_MAX && *name != '\0' &&
	    *name != '.' && strchr(name, '*') == NULL;
}

int
torc_tls_host_add(struct torc_tls *tls, const char *name,
    const char *certificate, const char *key, struct torc_error *error)
{
	struct tls_host *host;
	int rc;

	torc_require(tls != NULL && certificate != NULL,
	    "torc_tls_host_add needs a context and a certificate");
	if (name != NULL && !is_name(name))
		return torc_error_set(error, -EINVAL, "host \"%s\": must be a "
		    "name of at most 255 bytes, such as \"example.org\" or "
		    "\"*.example.org\"", name);
	if (has_pair(tls, name, certificate, key))
		return 0;
	host = add_pair(tls, name, certificate, key);
	if (host == NULL)
		return torc_error_set(error, -ENOMEM, "no memory for host %s",
		    name != NULL ? name : "the default");
	rc = renew(tls, host, error);
	if (rc < 0)
		remove_pair(tls, host);
	return rc;
}

/* ---- Configurations ---- */

static int
check(const struct torc_tls_config *config, struct torc_error *error)
{
	if (config->certificate == NULL)
		return torc_error_set(error, -EINVAL, "certificate is NULL: "
		    "set the path of a PEM file");
	if (config->client != TORC_TLS_CLIENT_UNASKED &&
	    config->client_ca == NULL)
		return torc_error_set(error, -EINVAL, "client asks for "
		    "certificates of clients, and client_ca is NULL: set the "
		    "path of a PEM file with those that may have signed them");
	if (config->client == TORC_TLS_CLIENT_UNASKED &&
	    config->client_ca != NULL)
		return torc_error_set(error, -EINVAL, "client_ca is set, and "
		    "client does not ask for certificates: set "
		    "TORC_TLS_CLIENT_ASKED or TORC_TLS_CLIENT_REQUIRED");
	if (config->client_crl != NULL && config->client_ca == NULL)
		return torc_error_set(error, -EINVAL, "client_crl is set, and "
		    "client_ca is NULL: nobody's certificates are asked for");
	if (config->ticket_keys != NULL && config->no_tickets)
		return torc_error_set(error, -EINVAL, "ticket_keys is set, and "
		    "so is no_tickets: there are no tickets to be made");
	return torc_tls_files_version(config->min_version, error);
}

static struct torc_transport *
make_transport(struct torc_transport_maker *maker)
{
	struct tls_generation *generation =
	    take_generation((struct torc_tls *)maker);

	return generation == NULL ? NULL : torc_tls_session_accept(generation);
}

static bool
offers(const struct torc_transport_maker *maker, const char *protocol)
{
	const struct torc_tls *tls = (const struct torc_tls *)maker;

	return torc_tls_alpn_has(tls->protocols, tls->protocols_size,
	    protocol);
}

static int
set_up(struct torc_tls *tls, struct torc_error *error)
{
	const char *certificate = tls->config.certificate;
	const char *key = tls->config.key;
	struct tls_ticket_keys keys;
	int rc = check(&tls->config, error);

	if (rc == 0)
		rc = torc_tls_alpn_encode(tls->config.protocols,
		    &tls->protocols, &tls->protocols_size, error);
	if (rc == 0 && tls->config.ticket_keys != NULL) {
		rc = torc_tls_files_keys(&keys, tls->config.ticket_keys,
		    error);
		if (rc == 0)
			torc_tls_tickets_set(&tls->tickets, &keys);
		explicit_bzero(&keys, sizeof(keys));
	}
	if (rc < 0)
		return rc;
	tls->config.protocols = NULL;
	if (tls->config.keylog != NULL) {
		tls->keylog = torc_tls_keylog_open(tls->config.keylog, error);
		if (tls->keylog < 0)
			return tls->keylog;
	}
	tls->config.keylog = NULL;
	tls->config.certificate = NULL;
	tls->config.key = NULL;
	return torc_tls_host_add(tls, NULL, certificate, key, error);
}

int
torc_tls_create_sized(struct torc_tls **out,
    const struct torc_tls_config *config, size_t size,
    struct torc_error *error)
{
	struct torc_tls_config known;
	struct torc_tls *tls;
	int rc;

	torc_require(out != NULL && config != NULL,
	    "torc_tls_create needs a configuration, and a place for the "
	    "context");
	rc = torc_config_take(&known, sizeof(known), config, size,
	    "torc_tls_config", error);
	if (rc == 0)
		rc = torc_tls_files_start(error);
	if (rc < 0)
		return rc;
	tls = torc_sys_alloc(sizeof(*tls));
	if (tls == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for a context");
	tls->config = known;
	tls->keylog = TLS_NO_KEYLOG;
	tls->config.client_ca = copy_text(known.client_ca);
	tls->config.client_crl = copy_text(known.client_crl);
	tls->config.ticket_keys = copy_text(known.ticket_keys);
	tls->password = (struct tls_password) {
		.ask = known.password,
		.arg = known.password_arg,
	};
	tls->maker = (struct torc_transport_maker) {
		.make = make_transport,
		.offers = offers,
		.ready_ms = tls->config.handshake_ms > 0 ?
		    tls->config.handshake_ms : HANDSHAKE_MS,
	};
	tls->references = 1;
	pthread_mutex_init(&tls->lock, NULL);
	rc = torc_tls_tickets_init(&tls->tickets);
	if (!tls->config.client_ca != !known.client_ca ||
	    !tls->config.client_crl != !known.client_crl ||
	    !tls->config.ticket_keys != !known.ticket_keys) {
		torc_tls_destroy(tls);
		return torc_error_set(error, -ENOMEM,
		    "no memory for a context");
	}
	rc = rc < 0 ? torc_error_set(error, rc, "no keys for tickets: the "
	    "system has no random bytes") : set_up(tls, error);
	if (rc < 0) {
		torc_tls_destroy(tls);
		return rc;
	}
	*out = tls;
	return 0;
}

void
torc_tls_destroy(struct torc_tls *tls)
{
	if (tls == NULL)
		return;
	if (tls->now != NULL)
		torc_tls_generation_put(tls->now);
	release(tls);
}

struct torc_transport_maker *
torc_tls_transport(struct torc_tls *tls)
{
	torc_require(tls != NULL, "torc_tls_transport needs a context");
	return &tls->maker;
}
