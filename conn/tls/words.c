/* SPDX-License-Identifier: MIT */
/*
 * words.c - why a session that was dialled failed: what is wrong with whose
 * certificate, or what the server does.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "conn/address.h"
#include "conn/tls/words.h"
#include "reactor/error.h"

#define NAME_MAX_SHOWN 160
#define LIST_MAX 320

/* Whom the client trusts. */
static const char *
signers(const struct tls_dialled *dialled)
{
	const char *ca = dialled->credentials->client->config.ca;

	return ca != NULL ? ca : "the system";
}

static void
print_name(const X509_NAME *name, char text[NAME_MAX_SHOWN])
{
	/* It writes other bytes than those of text as "\xNN". */
	if (X509_NAME_oneline(name, text, NAME_MAX_SHOWN) == NULL)
		text[0] = '\0';
}

static void
print_time(const ASN1_TIME *time, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int got = -1;

	if (bio != NULL && ASN1_TIME_print(bio, time) == 1)
		got = BIO_read(bio, text, (int)size - 1);
	text[got > 0 ? got : 0] = '\0';
	BIO_free(bio);
}

/* ---- Names that a certificate has ---- */

static void
add_text(char list[LIST_MAX], const char *text, size_t size)
{
	size_t at = strlen(list);

	if (at + size + 6 >= LIST_MAX) {
		if (at + 6 < LIST_MAX && (at < 3 ||
		    strcmp(list + at - 3, "...") != 0))
			strcpy(list + at, ", ...");
		return;
	}
	if (at > 0) {
		list[at++] = ',';
		list[at++] = ' ';
	}
	for (size_t i = 0; i < size; i++)
		list[at++] = text[i] > ' ' && text[i] < 0x7f ? text[i] : '?';
	list[at] = '\0';
}

static void
add_address(char list[LIST_MAX], const ASN1_OCTET_STRING *bytes)
{
	const uint8_t *data = ASN1_STRING_get0_data(bytes);
	const int size = ASN1_STRING_length(bytes);
	char text[64];

	if (size == 4)
		snprintf(text, sizeof(text), "%u.%u.%u.%u", data[0], data[1],
		    data[2], data[3]);
	else if (size == 16)
		snprintf(text, sizeof(text), "%x:%x:%x:%x:%x:%x:%x:%x",
		    data[0] << 8 | data[1], data[2] << 8 | data[3],
		    data[4] << 8 | data[5], data[6] << 8 | data[7],
		    data[8] << 8 | data[9], data[10] << 8 | data[11],
		    data[12] << 8 | data[13], data[14] << 8 | data[15]);
	else
		return;
	add_text(list, text, strlen(text));
}

/* Whom it names: hosts and addresses. */
static void
list_names(X509 *certificate, char list[LIST_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate,
	    NID_subject_alt_name, NULL, NULL);

	list[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_text(list, (const char *)ASN1_STRING_get0_data(
			    name->d.dNSName),
			    (size_t)ASN1_STRING_length(name->d.dNSName));
		else if (name->type == GEN_IPADD)
			add_address(list, name->d.iPAddress);
	}
	GENERAL_NAMES_free(names);
}

static void
say_names(const struct tls_dialled *dialled, X509 *certificate,
    char text[TLS_WORDS_MAX])
{
	char list[LIST_MAX];

	list_names(certificate, list);
	if (list[0] != '\0')
		torc_text_print(text, TLS_WORDS_MAX, "its certificate is for "
		    "%s, and not for %s", list, dialled->name);
	else
		torc_text_print(text, TLS_WORDS_MAX, "its certificate names "
		    "no host and no address, and so not %s (its subject is "
		    "not one)", dialled->name);
}

/* ---- Certificates ---- */

static void
say_issuer(const struct tls_dialled *dialled, const X509 *certificate,
    const char *whose, char text[TLS_WORDS_MAX])
{
	char issuer[NAME_MAX_SHOWN];

	print_name(X509_get_issuer_name(certificate), issuer);
	torc_text_print(text, TLS_WORDS_MAX, "%s was issued by %s, who is not "
	    "among those that are trusted (ca: %s)", whose, issuer,
	    signers(dialled));
}

static void
say_time(const ASN1_TIME *time, const char *whose, const char *what,
    char text[TLS_WORDS_MAX])
{
	char when[64];

	print_time(time, when, sizeof(when));
	torc_text_print(text, TLS_WORDS_MAX, "%s %s %s", whose, what, when);
}

void
torc_tls_words_verify(const struct tls_dialled *dialled,
    X509_STORE_CTX *found, char text[TLS_WORDS_MAX])
{
	const int error = X509_STORE_CTX_get_error(found);
	X509 *certificate = X509_STORE_CTX_get_current_cert(found);
	char subject[NAME_MAX_SHOWN];
	char whose[NAME_MAX_SHOWN + 48] = "its certificate";

	if (certificate == NULL)
		certificate = X509_STORE_CTX_get0_cert(found);
	if (X509_STORE_CTX_get_error_depth(found) > 0) {
		print_name(X509_get_subject_name(certificate), subject);
		snprintf(whose, sizeof(whose),
		    "the certificate of %s in its chain", subject);
	}
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		say_names(dialled, certificate, text);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		torc_text_print(text, TLS_WORDS_MAX, "its certificate is "
		    "self-signed, and not among those that are trusted (ca: "
		    "%s)", signers(dialled));
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		say_issuer(dialled, certificate, whose, text);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		say_time(X509_get0_notAfter(certificate), whose,
		    "has expired:", text);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		say_time(X509_get0_notBefore(certificate), whose,
		    "is not valid before", text);
		break;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		torc_text_print(text, TLS_WORDS_MAX, "crl %s has no list of "
		    "the signer of %s",
		    dialled->credentials->client->config.crl, whose);
		break;
	default:
		torc_text_print(text, TLS_WORDS_MAX, "%s: %s", whose,
		    X509_verify_cert_error_string(error));
	}
}

/* ---- What the server does ---- */

static void
say_alert(const struct tls_dialled *dialled, int alert,
    char text[TLS_WORDS_MAX])
{
	const bool ours = dialled->credentials->client->config.certificate !=
	    NULL;

	if (alert == SSL_AD_CERTIFICATE_REQUIRED ||
	    (alert == SSL_AD_HANDSHAKE_FAILURE && dialled->asked && !ours))
		torc_text_print(text, TLS_WORDS_MAX, "it demands a "
		    "certificate of the client, which has none");
	else
		torc_text_print(text, TLS_WORDS_MAX, "it refuses: %s",
		    SSL_alert_desc_string_long(alert));
}

void
torc_tls_words_reason(const struct tls_dialled *dialled, unsigned long code,
    char text[TLS_WORDS_MAX])
{
	const int reason = ERR_GET_REASON(code);
	const char *said = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		torc_text_print(text, TLS_WORDS_MAX, "%s", said != NULL ?
		    said : "it changes its keys without end");
	else if (reason > SSL_AD_REASON_OFFSET)
		say_alert(dialled, reason - SSL_AD_REASON_OFFSET, text);
	else if (reason == SSL_R_WRONG_VERSION_NUMBER)
		torc_text_print(text, TLS_WORDS_MAX, "it does not speak TLS "
		    "there");
	else if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
		torc_text_print(text, TLS_WORDS_MAX, "it speaks a version of "
		    "TLS that is older than min_version");
	else
		torc_text_print(text, TLS_WORDS_MAX, "%s", said != NULL ?
		    said : "it does not keep to the protocol");
}
