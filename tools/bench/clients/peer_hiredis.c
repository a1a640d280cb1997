/* SPDX-License-Identifier: MIT */
/*
 * peer_hiredis.c - a GET for each HTTP request, by hiredis on epoll.
 *
 *	peer_hiredis PORT REDIS_PORT async|blocking
 *
 * With the asynchronous API, the commands of a turn leave in one write; with
 * the other, each request waits for the one before.
 */
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "tools/bench/clients/epoll_http.h"

static redisContext *blocking;
static redisAsyncContext *async;
static struct source backend;
static bool wants_write;	/* said by hiredis */
static bool watches_write;

static void
give(struct peer *peer, const redisReply *reply)
{
	if (reply == NULL || reply->type != REDIS_REPLY_STRING)
		answer(peer, NULL, 0);
	else
		answer(peer, reply->str, reply->len);
}

static void
take_reply(redisAsyncContext *context, void *reply, void *peer)
{
	(void)context;
	give(peer, reply);
}

static void
ask(struct peer *peer)
{
	const char *argv[] = { "GET", "key" };
	const size_t sizes[] = { 3, 3 };
	redisReply *reply;

	if (async != NULL) {
		redisAsyncCommandArgv(async, take_reply, peer, 2, argv, sizes);
		return;
	}
	reply = redisCommandArgv(blocking, 2, argv, sizes);
	give(peer, reply);
	if (reply != NULL)
		freeReplyObject(reply);
}

/* ---- hiredis on this loop: it writes at the end of a turn ---- */

static void
end_turn(void)
{
	if (wants_write && !watches_write)
		redisAsyncHandleWrite(async);
	if (wants_write == watches_write)
		return;
	watches_write = wants_write;
	watch(&backend, EPOLL_CTL_MOD, EPOLLIN | (wants_write ? EPOLLOUT : 0));
}

static void
backend_ready(struct source *source, uint32_t events)
{
	(void)source;
	if (events & EPOLLOUT)
		redisAsyncHandleWrite(async);
	if (events & ~(uint32_t)EPOLLOUT)
		redisAsyncHandleRead(async);
}

static void
want_write(void *data)
{
	(void)data;
	wants_write = true;
}

static void
want_no_write(void *data)
{
	(void)data;
	wants_write = false;
}

static void
ignore(void *data)
{
	(void)data;
}

static void
lost(const redisAsyncContext *context, int status)
{
	fprintf(stderr, "redis is gone (%d): %s\n", status, context->errstr);
	exit(1);
}

static void
connect_async(int port)
{
	async = redisAsyncConnect("127.0.0.1", port);
	if (async == NULL || async->err != 0)
		exit(1);
	async->ev.addRead = ignore;
	async->ev.delRead = ignore;
	async->ev.addWrite = want_write;
	async->ev.delWrite = want_no_write;
	async->ev.cleanup = ignore;
	redisAsyncSetDisconnectCallback(async, lost);
	backend = (struct source) { backend_ready, async->c.fd };
	wants_write = watches_write = true;
	watch(&backend, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

int
main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	open_loop((unsigned)atoi(argv[1]));
	if (strcmp(argv[3], "async") == 0) {
		connect_async(atoi(argv[2]));
	} else {
		blocking = redisConnect("127.0.0.1", atoi(argv[2]));
		if (blocking == NULL || blocking->err != 0)
			return 1;
	}
	run_loop();
}
