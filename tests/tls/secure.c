/* SPDX-License-Identifier: MIT */
/*
 * secure.c - servers of TLS for tests of clients (secure.h).
 */
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"
#include "tests/tls/secure.h"

static const char script[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "ec='ec -pkeyopt ec_paramgen_curve:P-256'\n"
    "key() { openssl req -newkey $ec -nodes -subj /CN=$1 \\\n"
    "    -keyout $1.key -out $1.csr; }\n"
    "sign() { openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key \\\n"
    "    -CAcreateserial -days ${4:-30} $5 -extfile $3 -out $1.pem; }\n"
    "server() {\n"	/* server NAME CA NAMES [DAYS [DIGEST]] */
    "	key $1; echo \"subjectAltName=$3\" >$1.ext\n"
    "	sign $1 $2 $1.ext \"$4\" \"$5\"\n"
    "}\n"
    "authority() {\n"	/* authority NAME */
    "	openssl req -x509 -newkey $ec -nodes -days 30 -subj /CN=$1 \\\n"
    "	    -keyout $1.key -out $1.pem\n"
    "}\n"
    "authority good; authority other\n"
    "server names good DNS:a.test,DNS:*.b.test,IP:127.0.0.1,IP:::1\n"
    "server part good 'DNS:f*.b.test,DNS:*'\n"
    "server digits good DNS:127.0.0.1,DNS:a.test\n"
    "server addresses good IP:127.0.0.2\n"
    "server past good DNS:a.test -1\n"
    "server stranger other DNS:a.test,DNS:c.test\n"
    "server revoked good DNS:a.test\n"
    "server strong good DNS:a.test 30 -sha384\n"
    "openssl req -new -newkey $ec -nodes -subj /CN=a.test \\\n"
    "    -keyout bare.key -out bare.csr\n"
    "echo extendedKeyUsage=serverAuth >bare.ext; sign bare good bare.ext\n"
    "server visitor good DNS:visitor.test\n"
    "openssl ec -in visitor.key -aes128 -passout pass:secret \\\n"
    "    -out locked-visitor.key\n"
    "key self; openssl x509 -req -in self.csr -signkey self.key \\\n"
    "    -extfile names.ext -days 30 -out self.pem\n"
    "key middle; echo basicConstraints=critical,CA:TRUE >middle.ext\n"
    "sign middle good middle.ext\n"
    "server below middle DNS:a.test\n"
    "cp below.pem alone.pem; cp below.key alone.key\n"
    "cat middle.pem >>below.pem\n"
    "openssl req -x509 -newkey ed25519 -nodes -days 30 -subj /CN=ed \\\n"
    "    -addext subjectAltName=DNS:a.test -keyout ed.key -out ed.pem\n"
    ": >index; echo 01 >number\n"
    "printf '[ca]\\ndatabase=index\\ncrlnumber=number\\n' >ca.conf\n"
    "printf 'default_md=sha256\\ndefault_crl_days=30\\n' >>ca.conf\n"
    "ca() { openssl ca -config ca.conf -name ca -cert good.pem \\\n"
    "    -keyfile good.key \"$@\"; }\n"
    "ca -revoke revoked.pem; ca -gencrl -out good.crl\n"
    ": >empty.pem; echo nothing >nonsense.pem\n";

void
secure_files_make(void)
{
	/* OpenSSL writes to sockets as if they were files. */
	signal(SIGPIPE, SIG_IGN);
	peer_files_add(script);
}

/* ---- One connection ---- */

struct visit {
	struct secure *secure;
	int fd;
	unsigned place;		/* among `fds` */
};

static void
note_handshake(struct secure *secure, SSL *ssl)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	pthread_mutex_lock(&secure->lock);
	snprintf(secure->name, sizeof(secure->name), "%s",
	    name != NULL ? name : "-");
	if (SSL_session_reused(ssl))
		secure->resumed++;
	else
		secure->whole++;
	pthread_mutex_unlock(&secure->lock);
}

static void
converse(struct secure *secure, SSL *ssl)
{
	char text[4096];
	int size;

	while ((size = SSL_read(ssl, text, sizeof(text) - 1)) > 0) {
		text[size] = '\0';
		pthread_mutex_lock(&secure->lock);
		secure->asked++;
		pthread_mutex_unlock(&secure->lock);
		if (!secure->obey(secure, ssl, text, size))
			return;
	}
}

static void
leave(const struct visit *visit, int reason)
{
	struct secure *secure = visit->secure;

	pthread_mutex_lock(&secure->lock);
	if (reason != 0)
		secure->reason = reason;
	secure->fds[visit->place] = -1;
	/* With FIN, whatever was said before. */
	shutdown(visit->fd, SHUT_WR);
	close(visit->fd);
	secure->live--;
	pthread_cond_broadcast(&secure->idle);
	pthread_mutex_unlock(&secure->lock);
}

static void *
receive(void *arg)
{
	struct visit *visit = arg;
	SSL *ssl = SSL_new(visit->secure->context);

	SSL_set_fd(ssl, visit->fd);
	ERR_clear_error();
	if (SSL_accept(ssl) == 1) {
		note_handshake(visit->secure, ssl);
		converse(visit->secure, ssl);
	}
	leave(visit, ERR_GET_REASON(ERR_peek_error()));
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN);
	SSL_free(ssl);
	free(visit);
	return NULL;
}

/* ---- The server ---- */

/* NULL: no place for it. */
static struct visit *
admit(struct secure *secure, int fd)
{
	struct visit *visit = calloc(1, sizeof(*visit));
	unsigned place = 0;

	pthread_mutex_lock(&secure->lock);
	while (place < SECURE_MOST && secure->fds[place] >= 0)
		place++;
	assert_true(visit != NULL && place < SECURE_MOST);
	*visit = (struct visit) { secure, fd, place };
	secure->fds[place] = fd;
	secure->live++;
	pthread_mutex_unlock(&secure->lock);
	return visit;
}

static void *
serve(void *arg)
{
	struct secure *secure = arg;
	pthread_attr_t detached;
	pthread_t thread;
	int fd;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while ((fd = accept(secure->listener, NULL, NULL)) >= 0) {
		client_limit(fd);
		assert_int_equal(pthread_create(&thread, &detached, receive,
		    admit(secure, fd)), 0);
	}
	pthread_attr_destroy(&detached);
	return NULL;
}

int
secure_listen(unsigned *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size),
	    0);
	*port = ntohs(address.sin_port);
	return fd;
}

static const char *
file_of(const char *pair, const char *end)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", pair, end);
	return peer_file(name);
}

void
secure_start(struct secure *secure, const char *pair, int version)
{
	*secure = (struct secure) { .obey = secure_echo, .context =
	    SSL_CTX_new(TLS_server_method()) };
	for (unsigned i = 0; i < SECURE_MOST; i++)
		secure->fds[i] = -1;
	pthread_mutex_init(&secure->lock, NULL);
	pthread_cond_init(&secure->idle, NULL);
	SSL_CTX_set_max_proto_version(secure->context, version);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(secure->context,
	    file_of(pair, "pem")), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(secure->context,
	    file_of(pair, "key"), SSL_FILETYPE_PEM), 1);
	SSL_CTX_set_session_id_context(secure->context,
	    (const unsigned char *)"test", 4);
	secure->listener = secure_listen(&secure->port);
}

void
secure_run(struct secure *secure)
{
	assert_int_equal(pthread_create(&secure->thread, NULL, serve, secure),
	    0);
}

void
secure_stop(struct secure *secure)
{
	shutdown(secure->listener, SHUT_RDWR);
	pthread_join(secure->thread, NULL);
	close(secure->listener);
	pthread_mutex_lock(&secure->lock);
	for (unsigned i = 0; i < SECURE_MOST; i++)
		if (secure->fds[i] >= 0)
			shutdown(secure->fds[i], SHUT_RDWR);
	while (secure->live > 0)
		pthread_cond_wait(&secure->idle, &secure->lock);
	pthread_mutex_unlock(&secure->lock);
	SSL_CTX_free(secure->context);
}

unsigned
secure_handshakes(struct secure *secure, bool resumed)
{
	unsigned count;

	pthread_mutex_lock(&secure->lock);
	count = resumed ? secure->resumed : secure->whole;
	pthread_mutex_unlock(&secure->lock);
	return count;
}

bool
secure_echo(struct secure *secure, SSL *ssl, const char *text, int size)
{
	(void)secure;
	if (strcmp(text, "end") == 0)
		SSL_shutdown(ssl);
	return strcmp(text, "end") != 0 && strcmp(text, "cut") != 0 &&
	    SSL_write(ssl, text, size) == size;
}
