/* SPDX-License-Identifier: MIT */
/*
 * ask_tls.c - say a line to a server over TLS, and show the line it answers.
 *
 *     ask_tls HOST PORT LINE
 */
#include <stdio.h>
#include <string.h>
#include <torc_client.h>
#include <torc_tls.h>

struct question {
	struct torc_post post;
	struct torc_tls_client *tls;
	const char *host;
	char address[300];
	char line[512];
	int rc;
};

/* Dial by name, and begin TLS: the certificate has to name the host. */
static int
ask(struct question *question, torc_deadline deadline)
{
	struct torc_error error;
	struct torc_conn *conn;
	struct torc_slice in;
	int rc = torc_dial_name(&conn, question->address, deadline);

	if (rc < 0) {
		fprintf(stderr, "no connection: %s\n", strerror(-rc));
		return rc;
	}
	rc = torc_tls_dial_begin(conn, question->tls, question->host, &error,
	    deadline);
	if (rc < 0)
		fprintf(stderr, "no TLS: %s\n", error.text);
	if (rc == 0)
		rc = torc_conn_write(conn, question->line,
		    strlen(question->line), deadline);
	if (rc == 0)
		rc = torc_conn_recv(conn, &in, deadline);
	if (rc > 0)
		printf("%.*s", (int)in.size, (const char *)in.data);
	torc_conn_close(conn, deadline);
	return rc;
}

static int
run(void *arg)
{
	struct question *question = arg;

	question->rc = ask(question, torc_after_ms(5000));
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
begin(struct torc_reactor *reactor, struct torc_post *post)
{
	/* The post is the first member of the question. */
	if (torc_fiber_spawn(NULL, run, post) < 0)
		torc_reactor_stop(reactor);
}

int
main(int argc, char **argv)
{
	struct question question = { .post.call = begin, .rc = -1 };
	struct torc_reactor *reactor;
	struct torc_error error;

	if (argc != 4) {
		fprintf(stderr, "usage: ask_tls HOST PORT LINE\n");
		return 64;
	}
	question.host = argv[1];
	snprintf(question.address, sizeof(question.address), "%s:%s", argv[1],
	    argv[2]);
	snprintf(question.line, sizeof(question.line), "%s\n", argv[3]);
	/* One for all connections of the program, on any reactor. */
	if (torc_tls_client_create(&question.tls, NULL, &error) < 0 ||
	    torc_reactor_create(&reactor, NULL, &error) < 0) {
		fprintf(stderr, "ask_tls: %s\n", error.text);
		return 1;
	}
	torc_reactor_post(reactor, &question.post);
	torc_reactor_run(reactor);
	torc_reactor_destroy(reactor);
	torc_tls_client_destroy(question.tls);
	return question.rc > 0 ? 0 : 1;
}
