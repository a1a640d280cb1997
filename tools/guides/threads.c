/* SPDX-License-Identifier: MIT */
/*
 * threads.c - a thread of the program's own posts news to all reactors, and
 * each reactor answers with what it was told last.
 *
 *     threads [ADDRESS]
 *     nc -N 127.0.0.1 7000 </dev/null
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <torc.h>

/* What one reactor knows: only its thread touches it. */
struct local {
	unsigned news;
	unsigned answers;
};

struct message {
	struct torc_post post;		/* the first member */
	unsigned news;
};

/* The reactors that can be posted to: with the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct torc_reactor *reactors[1024];
static int over;

/* On the reactor's thread, but not on a fiber: it must not park. */
static void
take_news(struct torc_reactor *reactor, struct torc_post *post)
{
	struct message *message = (struct message *)post;
	struct local *local = torc_reactor_data(reactor, NULL);

	local->news = message->news;
	free(message);
}

static void
tell_all(unsigned news)
{
	for (unsigned i = 0; i < 1024; i++) {
		struct message *message;

		if (reactors[i] == NULL)
			continue;
		message = calloc(1, sizeof(*message));
		if (message == NULL)
			continue;
		message->post.call = take_news;
		message->news = news;
		if (torc_reactor_post(reactors[i], &message->post) < 0)
			free(message);	/* it has ended */
	}
}

/* A thread that knows nothing of torc but torc_reactor_post(). */
static void *
report(void *arg)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int more = 1;

	(void)arg;
	for (unsigned news = 1; more; news++) {
		pthread_mutex_lock(&lock);
		tell_all(news);
		more = !over;
		pthread_mutex_unlock(&lock);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	struct local *local = calloc(1, sizeof(*local));

	(void)arg;
	if (local == NULL)
		return -ENOMEM;
	torc_reactor_set_data(reactor, NULL, local);
	pthread_mutex_lock(&lock);
	reactors[torc_reactor_index(reactor)] = reactor;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	reactors[torc_reactor_index(reactor)] = NULL;
	pthread_mutex_unlock(&lock);
	free(torc_reactor_data(reactor, NULL));
}

static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_reactor *self = torc_reactor_self();
	struct local *local = torc_reactor_data(self, NULL);
	char text[100];
	int size = snprintf(text, sizeof(text),
	    "reactor %u: answer %u, news %u\n", torc_reactor_index(self),
	    ++local->answers, local->news);

	(void)arg;
	return torc_conn_write(conn, text, (size_t)size,
	    torc_after_ms(5000));
}

/* torc_serve() waits for these: no other thread may take them. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:7000", NULL
	};
	const struct torc_config config = {
		.listen = addresses,
		.handler = answer,
		.start = start,
		.stop = stop,
	};
	struct torc_error error;
	pthread_t thread;

	block_signals();
	if (pthread_create(&thread, NULL, report, NULL) != 0)
		return 1;
	torc_serve(&config, NULL, &error);
	pthread_mutex_lock(&lock);
	over = 1;
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	if (error.code < 0)
		fprintf(stderr, "threads: %s\n", error.text);
	return error.code < 0;
}
