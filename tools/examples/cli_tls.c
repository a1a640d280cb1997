/* SPDX-License-Identifier: MIT */
/*
 * cli_tls.c - TLS for the examples: link it, and addresses with "tls:" in front
 * are served with the certificates of --cert.
 *
 * A certificate is for the hosts that it names, as with haproxy: nobody has to
 * write them a second time. The first one is also for clients that ask for no
 * host, or for one that no certificate names. On SIGHUP all files are read
 * again.
 */
#include "cli_tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <torc_tls.h>

#include "cli.h"

#define CERTIFICATES 64
#define EXIT_USAGE 64		/* EX_USAGE */

static struct {
	const char *certificate;
	const char *key;		/* NULL: in the same file */
} files[CERTIFICATES];
static unsigned count;
static const char *client_ca;
static struct torc_tls *tls;
static const char *ca;
static bool secure_origin;	/* its URL says so */
static struct torc_tls_client *client;

/* ---- Options ---- */

static const char help[] =
    "  -l tls:ADDRESS  the same with TLS, for any form of address\n"
    "  --cert FILE  certificate and its chain (PEM), for the hosts that it "
    "names;\n"
    "               can be repeated, for more hosts or a second kind of key.\n"
    "               The first one is also for clients that name no host\n"
    "  --key FILE   key of the --cert before it; default: in the same file\n"
    "  --client-ca FILE  clients must have a certificate that one in FILE "
    "has signed\n"
    "  --ca FILE    one in FILE has signed the certificate of the server that "
    "a URL\n"
    "               of https, rediss or sslmode names; default: one of the "
    "system's\n"
    "               SIGHUP reads these files again\n";

static bool
has(const char *option)
{
	return strcmp(option, "--cert") == 0 || strcmp(option, "--key") == 0 ||
	    strcmp(option, "--client-ca") == 0 || strcmp(option, "--ca") == 0;
}

static int
set(const char *option, const char *value)
{
	if (strcmp(option, "--client-ca") == 0) {
		client_ca = value;
	} else if (strcmp(option, "--ca") == 0) {
		ca = value;
	} else if (strcmp(option, "--cert") == 0) {
		if (count == CERTIFICATES)
			return cli_fail(EXIT_USAGE, "--cert %s: %d "
			    "certificates are the most", value, CERTIFICATES);
		files[count++].certificate = value;
	} else {
		if (count == 0 || files[count - 1].key != NULL)
			return cli_fail(EXIT_USAGE, "--key %s belongs behind "
			    "the --cert that it is the key of", value);
		files[count - 1].key = value;
	}
	return 0;
}

static void
dial(void)
{
	secure_origin = true;
}

static const char *
version(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

/* ---- Hosts ---- */

/* The names in a certificate, or NULL: there are none. */
static GENERAL_NAMES *
read_names(const char *path)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *leaf = bio != NULL ? PEM_read_bio_X509_AUX(bio, NULL, NULL,
	    NULL) : NULL;
	GENERAL_NAMES *names = leaf != NULL ? X509_get_ext_d2i(leaf,
	    NID_subject_alt_name, NULL, NULL) : NULL;

	X509_free(leaf);
	BIO_free(bio);
	return names;
}

/* A name of a host that a client can ask for, or NULL. */
static const char *
host(GENERAL_NAMES *names, int index)
{
	const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
	const char *text;

	if (name->type != GEN_DNS)
		return NULL;
	text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
	return text[0] != '\0' && strlen(text) ==
	    (size_t)ASN1_STRING_length(name->d.dNSName) ? text : NULL;
}

static bool
share_a_name(GENERAL_NAMES *some, GENERAL_NAMES *others)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(some); i++) {
		for (int j = 0; j < sk_GENERAL_NAME_num(others); j++) {
			const char *one = host(some, i);
			const char *other = host(others, j);

			if (one != NULL && other != NULL &&
			    strcasecmp(one, other) == 0)
				return true;
		}
	}
	return false;
}

static int
add(const char *name, unsigned index, struct torc_error *error)
{
	return torc_tls_host_add(tls, name, files[index].certificate,
	    files[index].key, error);
}

/*
 * Serve a certificate to those that ask for one of its names. One that shares a
 * name with the first, or has none, is another kind of key for the default.
 */
static int
add_certificate(unsigned index, GENERAL_NAMES *first, struct torc_error *error)
{
	GENERAL_NAMES *names = read_names(files[index].certificate);
	bool named = false;
	int rc = 0;

	for (int i = 0; rc == 0 && i < sk_GENERAL_NAME_num(names); i++) {
		if (host(names, i) == NULL)
			continue;
		rc = add(host(names, i), index, error);
		named = true;
	}
	if (rc == 0 && (!named || share_a_name(names, first)))
		rc = add(NULL, index, error);
	GENERAL_NAMES_free(names);
	return rc;
}

/* What is there already is not added again. */
static int
add_certificates(struct torc_error *error)
{
	GENERAL_NAMES *first = read_names(files[0].certificate);
	int rc = 0;

	for (unsigned i = 0; i < count && rc == 0; i++)
		rc = add_certificate(i, first, error);
	GENERAL_NAMES_free(first);
	return rc;
}

/* ---- Life ---- */

/* A name that a certificate has no longer is shown it all the same. */
static void
reload(void *arg)
{
	struct torc_error error;

	(void)arg;
	if ((tls != NULL && torc_tls_reload(tls, &error) < 0) ||
	    (client != NULL && torc_tls_client_reload(client, &error) < 0))
		cli_fail(0, "certificates stay as they were: %s", error.text);
	else if (tls != NULL && add_certificates(&error) < 0)
		cli_fail(0, "not all new names are served: %s", error.text);
	else
		cli_fail(0, "certificates were read again");
}

static int
begin_server(struct torc_error *error)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	const struct torc_tls_config config = {
		.certificate = files[0].certificate,
		.key = files[0].key,
		.protocols = protocols,
		.client = client_ca != NULL ? TORC_TLS_CLIENT_REQUIRED :
		    TORC_TLS_CLIENT_UNASKED,
		.client_ca = client_ca,
	};
	int rc = torc_tls_create(&tls, &config, error);

	return rc == 0 ? add_certificates(error) : rc;
}

static int
begin_client(struct torc_error *error)
{
	const struct torc_tls_client_config config = { .ca = ca };

	return torc_tls_client_create(&client, &config, error);
}

static void
end(void)
{
	torc_tls_destroy(tls);
	torc_tls_client_destroy(client);
}

static int
begin(struct torc_config *config, bool secure,
    struct torc_transport_maker **transport)
{
	struct torc_error error;

	if (ca != NULL && !secure_origin)
		return cli_fail(EXIT_USAGE, "--ca is for an origin with "
		    "TLS: https://, rediss:// or sslmode=");
	if (!secure && (count > 0 || client_ca != NULL))
		return cli_fail(EXIT_USAGE, "certificates are for addresses "
		    "with tls: in front, such as -l tls:127.0.0.1:8443");
	if (secure && count == 0)
		return cli_fail(EXIT_USAGE, "an address with tls: needs a "
		    "certificate: --cert FILE (see --help)");
	if ((secure && begin_server(&error) < 0) ||
	    (secure_origin && begin_client(&error) < 0)) {
		end();
		return cli_fail(1, "%s", error.text);
	}
	if (secure)
		*transport = torc_tls_transport(tls);
	if (secure || secure_origin)
		config->reload = reload;
	return -1;
}

static struct torc_transport_dialler *
dialler(void)
{
	return client != NULL ? torc_tls_client_transport(client) : NULL;
}

const struct cli_tls cli_tls = {
	.help = help,
	.version = version,
	.has = has,
	.set = set,
	.dial = dial,
	.begin = begin,
	.dialler = dialler,
	.end = end,
};
