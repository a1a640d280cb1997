/* SPDX-License-Identifier: MIT */
/*
 * client.c - clients of TLS: made of a configuration and files, read again,
 * shared by all reactors.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/tls/alpn.h"
#include "conn/tls/client.h"
#include "conn/tls/store.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"

/* ---- Credentials ---- */

/* One holder less of what is counted: whether it was the last one. */
static bool
is_last(struct torc_tls_client *client, unsigned *references)
{
	bool last;

	pthread_mutex_lock(&client->lock);
	torc_assert(*references > 0);
	last = --*references == 0;
	pthread_mutex_unlock(&client->lock);
	return last;
}

static void
free_text(const char *text)
{
	torc_sys_free((void *)(uintptr_t)text);
}

static void
release(struct torc_tls_client *client)
{
	if (!is_last(client, &client->references))
		return;
	pthread_mutex_destroy(&client->lock);
	torc_sys_free(client->protocols);
	if (client->keylog >= 0)
		torc_sys_close(client->keylog);
	free_text(client->config.ca);
	free_text(client->config.crl);
	free_text(client->config.certificate);
	free_text(client->config.key);
	torc_sys_free(client);
}

void
torc_tls_credentials_put(struct tls_credentials *credentials)
{
	struct torc_tls_client *client = credentials->client;

	if (!is_last(client, &credentials->references))
		return;
	SSL_CTX_free(credentials->context);
	torc_tls_saved_fini(&credentials->saved);
	torc_sys_free(credentials);
	release(client);
}

struct tls_credentials *
torc_tls_credentials_take(struct torc_tls_client *client)
{
	struct tls_credentials *credentials;

	pthread_mutex_lock(&client->lock);
	credentials = client->now;
	credentials->references++;
	pthread_mutex_unlock(&client->lock);
	return credentials;
}

/* Certificates of signers, and the client's own. 0 or an error. */
static int
read_files(SSL_CTX *context, const struct torc_tls_client_config *config,
    bool anew, struct torc_error *error)
{
	X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);
	const struct tls_pair pair = {
		.certificate = (char *)(uintptr_t)config->certificate,
		.key = (char *)(uintptr_t)config->key,
	};
	X509_STORE *store = torc_tls_store_take(config->ca, config->crl, anew,
	    error);

	if (store == NULL)
		return -1;
	SSL_CTX_set_cert_store(context, store);
	/* Whoever is in it is trusted, also if it is not at its root. */
	X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN |
	    (config->crl != NULL ? X509_V_FLAG_CRL_CHECK |
	    X509_V_FLAG_CRL_CHECK_ALL : 0));
	return pair.certificate == NULL ? 0 :
	    torc_tls_files_pair(context, &pair, error);
}

/* NULL: `error` says why. */
static struct tls_credentials *
read_credentials(struct torc_tls_client *client, bool anew,
    struct torc_error *error)
{
	struct tls_credentials *credentials =
	    torc_sys_alloc(sizeof(*credentials));

	if (credentials == NULL) {
		torc_error_set(error, -ENOMEM, "no memory for a client");
		return NULL;
	}
	torc_tls_saved_init(&credentials->saved);
	credentials->client = client;
	credentials->references = 1;
	pthread_mutex_lock(&client->lock);
	client->references++;
	pthread_mutex_unlock(&client->lock);
	credentials->context = torc_tls_files_begin(TLS_client_method(),
	    client->config.min_version, &client->password, error);
	if (credentials->context == NULL || read_files(credentials->context,
	    &client->config, anew, error) < 0) {
		torc_tls_credentials_put(credentials);
		return NULL;
	}
	torc_tls_dialled_prepare(credentials->context);
	torc_tls_keylog_use(credentials->context, &client->keylog);
	if (client->protocols != NULL)
		SSL_CTX_set_alpn_protos(credentials->context,
		    client->protocols, client->protocols_size);
	return credentials;
}

static int
renew(struct torc_tls_client *client, bool anew, struct torc_error *error)
{
	struct tls_credentials *before, *now;
	struct torc_error words;

	now = read_credentials(client, anew, &words);
	if (now == NULL) {
		if (error != NULL)
			*error = words;
		return words.code;
	}
	pthread_mutex_lock(&client->lock);
	before = client->now;
	client->now = now;
	pthread_mutex_unlock(&client->lock);
	if (before != NULL)
		torc_tls_credentials_put(before);
	return 0;
}

int
torc_tls_client_reload(struct torc_tls_client *client,
    struct torc_error *error)
{
	torc_require(client != NULL, "torc_tls_client_reload needs a client");
	return renew(client, true, error);
}

/* ---- Configurations ---- */

static int
check(const struct torc_tls_client_config *config, struct torc_error *error)
{
	if (config->key != NULL && config->certificate == NULL)
		return torc_error_set(error, -EINVAL, "key is set, and "
		    "certificate is NULL: set the path of the certificate "
		    "that the key %s is of", config->key);
	return torc_tls_files_version(config->min_version, error);
}

/* Its texts are copies from now on. 0 or an error. */
static int
copy_texts(struct torc_tls_client_config *config, struct torc_error *error)
{
	const char **texts[] = { &config->ca, &config->crl,
	    &config->certificate, &config->key };
	bool whole = true;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (*texts[i] == NULL)
			continue;
		*texts[i] = torc_sys_strdup(*texts[i]);
		whole = whole && *texts[i] != NULL;
	}
	if (config->key == NULL && config->certificate != NULL) {
		config->key = torc_sys_strdup(config->certificate);
		whole = whole && config->key != NULL;
	}
	return whole ? 0 : torc_error_set(error, -ENOMEM,
	    "no memory for a client");
}

static int
set_up(struct torc_tls_client *client, struct torc_error *error)
{
	int rc = check(&client->config, error);

	if (rc < 0) {
		/* They are the caller's. */
		client->config = (struct torc_tls_client_config) { 0 };
		return rc;
	}
	rc = copy_texts(&client->config, error);
	if (rc == 0)
		rc = torc_tls_alpn_encode(client->config.protocols,
		    &client->protocols, &client->protocols_size, error);
	client->config.protocols = NULL;
	if (rc == 0 && client->config.keylog != NULL) {
		client->keylog = torc_tls_keylog_open(client->config.keylog,
		    error);
		rc = client->keylog < 0 ? client->keylog : 0;
	}
	client->config.keylog = NULL;
	return rc < 0 ? rc : renew(client, false, error);
}

/* Without its files. */
static struct torc_tls_client *
new_client(const struct torc_tls_client_config *config)
{
	struct torc_tls_client *client = torc_sys_alloc(sizeof(*client));

	if (client == NULL)
		return NULL;
	client->config = *config;
	client->password = (struct tls_password) {
		.ask = config->password,
		.arg = config->password_arg,
	};
	client->dialler = (struct torc_transport_dialler) {
		.make = torc_tls_dialled_make,
		.offer = torc_tls_dialled_offer,
		.protocol = torc_tls_dialled_protocol,
		.binding = torc_tls_dialled_binding,
		.why = torc_tls_dialled_why,
		.has_ca = config->ca != NULL,
	};
	client->keylog = TLS_NO_KEYLOG;
	client->references = 1;
	pthread_mutex_init(&client->lock, NULL);
	return client;
}

int
torc_tls_client_create_sized(struct torc_tls_client **out,
    const struct torc_tls_client_config *config, size_t size,
    struct torc_error *error)
{
	struct torc_tls_client_config known;
	struct torc_tls_client *client;
	int rc;

	torc_require(out != NULL,
	    "torc_tls_client_create needs a place for the client");
	rc = torc_config_take(&known, sizeof(known), config, size,
	    "torc_tls_client_config", error);
	if (rc == 0)
		rc = torc_tls_files_start(error);
	if (rc < 0)
		return rc;
	client = new_client(&known);
	if (client == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for a client");
	rc = set_up(client, error);
	if (rc < 0) {
		torc_tls_client_destroy(client);
		return rc;
	}
	*out = client;
	return 0;
}

void
torc_tls_client_destroy(struct torc_tls_client *client)
{
	if (client == NULL)
		return;
	if (client->now != NULL)
		torc_tls_credentials_put(client->now);
	release(client);
}

/* ---- Connections ---- */

struct torc_transport_dialler *
torc_tls_client_transport(struct torc_tls_client *client)
{
	torc_require(client != NULL,
	    "torc_tls_client_transport needs a client");
	return &client->dialler;
}

int
torc_tls_dial_begin(struct torc_conn *conn, struct torc_tls_client *client,
    const char *name, struct torc_error *error, torc_deadline deadline)
{
	const struct torc_transport_wish wish = { .name = name };

	/* Which looks whether it is a connection of this thread's. */
	(void)torc_conn_port(conn);
	torc_require(client != NULL && name != NULL,
	    "torc_tls_dial_begin needs a client, and the name of the server");
	torc_require(conn->handler == NULL, "torc_tls_dial_begin needs a "
	    "connection that was dialled, and this one was accepted");
	torc_require(conn->transport == NULL,
	    "torc_tls_dial_begin was called twice for a connection");
	return torc_transport_dial(conn, &client->dialler, &wish, error,
	    deadline);
}
