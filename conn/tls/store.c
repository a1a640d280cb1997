/* SPDX-License-Identifier: MIT */
/*
 * store.c - certificates of those who may sign others: a file of the program's,
 * or the system's. That one is large, and so is shared by all.
 *
 * Files are read here, and never in a handshake, as OpenSSL would from a folder
 * of them.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>

#include "conn/tls/files.h"
#include "conn/tls/store.h"
#include "reactor/error.h"

#define VARIABLE "SSL_CERT_FILE"
/* Of Debian and those like it, of Fedora, of Alpine. */
#define PATHS { "/etc/ssl/certs/ca-certificates.crt", \
	"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *systems;	/* or NULL: it was not read yet */

/* OpenSSL takes a file with none for a good one. */
static bool
has_certificates(X509_STORE *store)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
		if (X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)) !=
		    NULL)
			return true;
	return false;
}

/* NULL: `error` says why. */
static X509_STORE *
read_store(const char *what, const char *ca, const char *crl,
    struct torc_error *error)
{
	X509_STORE *store;
	X509_LOOKUP *lookup;

	ERR_clear_error();
	store = X509_STORE_new();
	if (store == NULL || X509_STORE_load_file(store, ca) != 1 ||
	    !has_certificates(store)) {
		torc_tls_files_say(error, what, ca);
		X509_STORE_free(store);
		return NULL;
	}
	lookup = crl == NULL ? NULL : X509_STORE_add_lookup(store,
	    X509_LOOKUP_file());
	if (crl != NULL && (lookup == NULL ||
	    X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) < 1)) {
		torc_tls_files_say(error, "crl", crl);
		X509_STORE_free(store);
		return NULL;
	}
	ERR_clear_error();
	return store;
}

/* Of the first file that there is. NULL: `error` says why. */
static X509_STORE *
read_systems(const char *crl, struct torc_error *error)
{
	static const char *const paths[] = PATHS;
	const char *path = secure_getenv(VARIABLE);
	struct torc_error words = { 0 };

	if (path != NULL && *path != '\0')
		return read_store(VARIABLE, path, crl, error);
	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		X509_STORE *store = read_store("certificates of the system,",
		    paths[i], crl, &words);

		if (store != NULL)
			return store;
		if (words.code != -ENOENT) {
			torc_error_set(error, words.code, "%s", words.text);
			return NULL;
		}
	}
	torc_error_set(error, -ENOENT, "the system has no certificates to "
	    "verify others with: there is no %s, no %s and no %s. Install "
	    "them (ca-certificates), or set ca, or " VARIABLE " in the "
	    "environment", paths[0], paths[1], paths[2]);
	return NULL;
}

X509_STORE *
torc_tls_store_take(const char *ca, const char *crl, bool anew,
    struct torc_error *error)
{
	X509_STORE *store, *old = NULL;

	if (ca != NULL)
		return read_store("ca", ca, crl, error);
	if (crl != NULL)
		return read_systems(crl, error);
	pthread_mutex_lock(&lock);
	store = anew || systems == NULL ? read_systems(NULL, error) : NULL;
	if (store != NULL) {
		old = systems;
		systems = store;
	} else if (!anew) {
		store = systems;
	}
	if (store != NULL)
		X509_STORE_up_ref(store);
	pthread_mutex_unlock(&lock);
	X509_STORE_free(old);
	return store;
}
