/* SPDX-License-Identifier: MIT */
/*
 * net.c - descriptors, and a small network of stream sockets.
 *
 * Modelled: the lowest free descriptor, its limit; a file that lives as long
 * as a request holds it, so that closing sends no FIN before; listeners with
 * a bounded backlog, several on one port; a pipe in each direction, bounded,
 * whose bytes arrive in parts, late, then FIN; a reset at any byte, by the
 * network, by a close with unread bytes, by SO_LINGER 0, by bytes for a socket
 * that is closed; the files of unix sockets; a dial to a port on which nobody
 * listens that is given this port as its own, and so meets itself.
 *
 * Not modelled: datagrams, urgent data, loss (TCP hides it), addresses other
 * than ports, SO_RCVLOWAT and the other options.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conn/address.h"
#include "conn/listen.h"
#include "sys/sys.h"
#include "tests/sim/sim.h"

#define PATHS 8
#define PATH_SIZE 64
#define FIRST_PORT 40000u
#define PEER_PORT 7u
#define PIPE_MAX 16384u

/* Bytes on their way to one end. */
struct pipe {
	uint8_t *bytes;
	uint32_t size;
	uint64_t written;	/* by the other end, ever */
	uint64_t arrived;	/* of them, here */
	uint64_t read;
	uint64_t since;		/* the first unread byte arrived */
	uint64_t due;		/* the next part arrives not before */
	bool fin;		/* the other end sends no more */
	bool fin_arrived;
};

enum sock_state { SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTING, SOCK_CONNECTED };

struct sock {
	bool used;
	enum sock_state state;
	struct file *file;	/* of the program, or NULL */
	struct sock *other;	/* the other end */
	struct pipe in;
	int error;		/* to be reported once */
	bool dead;		/* it had an error: nothing works any more */
	bool shut;		/* sends no more */
	bool closed;		/* nobody holds it; its last bytes may fly */
	bool at_once;		/* SO_LINGER 0: close resets */
	bool shares;		/* SO_REUSEPORT */
	bool bound;
	bool local;		/* a unix socket */
	bool torcs;		/* TCP, and made by torc: it may dial */
	bool probed;		/* keepalive is on, */
	bool timed;		/* and a limit for what is not acknowledged */
	bool itself;		/* connected to itself */
	bool spared;		/* no fault is to be seen on it */
	unsigned port;
	unsigned to;		/* the port that it connects to */
	char path[PATH_SIZE];
	uint64_t due;		/* its connection is made not before */
	uint64_t moved_at;	/* when it last sent or received something */
	struct sock *next;	/* in the backlog of a listener */
	struct sock *first;
	unsigned waiting;
	unsigned backlog;
};

static struct file *fds[MAX_FDS];
static struct sock socks[MAX_SOCKS];

/* The files of unix sockets. */
static struct {
	char path[PATH_SIZE];
	uint64_t inode;
	bool others;		/* another program's: it stays */
	bool hidden;		/* from the program: it may stay */
} local_files[PATHS];
static uint64_t next_inode;
static unsigned next_port;
static unsigned sock_top;	/* all beyond it were never used */
static struct sock *peer_listener;

/* ---- Descriptors ---- */

int
sim_fd_open(enum file_kind kind, struct file **out)
{
	unsigned open = sim_fd_count();
	struct file *file;

	if (open >= world.nofile)
		return -EMFILE;
	for (unsigned fd = world.first_fd; fd < MAX_FDS; fd++) {
		if (fds[fd] != NULL)
			continue;
		file = calloc(1, sizeof(*file));
		file->kind = kind;
		file->refs = 1;
		fds[fd] = file;
		*out = file;
		return (int)fd;
	}
	return -EMFILE;
}

struct file *
sim_fd_file(int fd)
{
	return fd < 0 || fd >= MAX_FDS ? NULL : fds[fd];
}

unsigned
sim_fd_count(void)
{
	unsigned count = 0;

	for (unsigned fd = 0; fd < MAX_FDS; fd++)
		count += fds[fd] != NULL;
	return count;
}

static void sock_close(struct sock *sock);

void
sim_file_put(struct file *file)
{
	if (--file->refs > 0)
		return;
	if (file->kind == FILE_SOCKET) {
		file->sock->file = NULL;
		sock_close(file->sock);
	} else if (file->kind == FILE_RING) {
		sim_kernel_close_ring(file->ring);
	}
	free(file);
}

int
sim_fd_close(int fd)
{
	struct file *file = sim_fd_file(fd);

	if (file == NULL)
		sim_fail("descriptor %d is closed, and was not open", fd);
	sim_trace("close", fd, file->kind, file->refs);
	if ((file->kind == FILE_SOCKET || file->kind == FILE_NODE) &&
	    file->refs > 1 && !world.lost)
		sim_fail("descriptor %d is closed under an operation", fd);
	fds[fd] = NULL;
	sim_file_put(file);
	return 0;
}

/* ---- Sockets: made, ended ---- */

static struct sock *
sock_make(bool local)
{
	static const uint32_t sizes[] = { PIPE_MAX, 1000, 128 };

	for (unsigned i = 0; i < MAX_SOCKS; i++) {
		struct sock *sock = &socks[i];

		if (sock->used)
			continue;
		*sock = (struct sock) { .used = true, .local = local };
		if (i >= sock_top)
			sock_top = i + 1;
		sock->in.size = world.faults & 1u << FAULT_SHORT ?
		    sizes[sim_draw(COUNT(sizes))] : PIPE_MAX;
		return sock;
	}
	sim_fail("the network has no more sockets");
}

static int
index_of(const struct sock *sock)
{
	return (int)(sock - socks);
}

static void
sock_free(struct sock *sock)
{
	free(sock->in.bytes);
	sock->in.bytes = NULL;
	sock->used = false;
}

static void
wake(const struct sock *sock, uint32_t events)
{
	if (sock->file != NULL)
		sim_kernel_wake(sock->file, events);
}

/* This end hears of a reset; what has arrived can still be read. */
static void
hear_reset(struct sock *sock, int error)
{
	sim_trace("reset", index_of(sock), error, 0);
	sock->other = NULL;
	sock->error = error;
	sock->dead = true;
	sock->in.written = sock->in.arrived;
	if (sock->closed)
		sock_free(sock);
	else
		wake(sock, POLLIN | POLLOUT | POLLERR | POLLHUP);
}

void
sim_sock_break(struct sock *sock, int error)
{
	struct sock *other = sock->other;

	if (other != NULL)
		hear_reset(other, ECONNRESET);
	hear_reset(sock, error);
}

static void
send_fin(struct sock *sock)
{
	if (sock->shut || sock->other == NULL)
		return;
	sock->shut = true;
	sock->other->in.fin = true;
	if (sock->other->in.due < world.now)
		sock->other->in.due = world.now;
}

static void
close_listener(struct sock *sock)
{
	while (sock->first != NULL) {
		struct sock *waiting = sock->first;

		sock->first = waiting->next;
		if (waiting->other != NULL)
			hear_reset(waiting->other, ECONNRESET);
		sock_free(waiting);
	}
	sock_free(sock);
}

/* Nobody holds it any more. */
static void
sock_close(struct sock *sock)
{
	struct sock *other = sock->other;

	if (sock->state == SOCK_LISTENING) {
		close_listener(sock);
		return;
	}
	if (other == NULL) {
		sock_free(sock);
		return;
	}
	if (sock->at_once || sock->in.written > sock->in.read) {
		sim_trace("close resets", index_of(sock), sock->at_once, 0);
		hear_reset(other, ECONNRESET);
		sock_free(sock);
		return;
	}
	send_fin(sock);
	sock->closed = true;
	if (other->closed) {
		sock_free(other);
		sock_free(sock);
	}
}

/* ---- Bytes ---- */

/* The network does to it what networks do. */
static bool
is_faulty(const struct sock *sock)
{
	return !sock->local && !sock->spared;
}

/* Its program takes it for somebody else. */
static void
check_other(const struct sock *sock)
{
	if (sock->itself)
		sim_fail("socket %d is used, and is its own peer",
		    index_of(sock));
}

int
sim_sock_send(struct sock *sock, const uint8_t *data, uint32_t size)
{
	struct sock *other = sock->other;
	struct pipe *pipe;
	uint32_t room;

	check_other(sock);
	if (sock->error != 0) {
		int error = sock->error;

		sock->error = 0;
		return -error;
	}
	if (other == NULL || sock->shut)
		return sock->state == SOCK_CONNECTED ? -EPIPE : -ENOTCONN;
	pipe = &other->in;
	room = pipe->size - (uint32_t)(pipe->written - pipe->read);
	if (room == 0)
		return -EAGAIN;
	if (size > room)
		size = room;
	if (size > 1 && !sock->spared && sim_fault(FAULT_SHORT))
		size = 1 + sim_draw(size - 1);
	if (pipe->bytes == NULL)
		pipe->bytes = malloc(PIPE_MAX);
	if (pipe->written == pipe->arrived) {
		pipe->due = world.now;
		if (is_faulty(sock) && sim_fault(FAULT_DELAY))
			pipe->due += (1 + sim_draw(30)) * MS;
	}
	for (uint32_t i = 0; i < size; i++)
		pipe->bytes[(pipe->written + i) % pipe->size] = data[i];
	pipe->written += size;
	sock->moved_at = world.now;
	return (int)size;
}

uint32_t
sim_sock_readable(const struct sock *sock)
{
	return (uint32_t)(sock->in.arrived - sock->in.read);
}

int
sim_sock_recv(struct sock *sock, uint8_t *data, uint32_t size)
{
	struct pipe *pipe = &sock->in;
	uint32_t there = sim_sock_readable(sock);

	check_other(sock);
	if (there == 0) {
		int error = sock->error;

		sock->error = 0;
		if (error != 0)
			return -error;
		if (pipe->fin_arrived || sock->dead)
			return 0;
		return sock->state == SOCK_CONNECTED ? -EAGAIN : -ENOTCONN;
	}
	if (size > there)
		size = there;
	for (uint32_t i = 0; i < size; i++)
		data[i] = pipe->bytes[(pipe->read + i) % pipe->size];
	pipe->read += size;
	if (sock->other != NULL)
		wake(sock->other, POLLOUT);
	return (int)size;
}

static void
arrive(struct sock *sock)
{
	struct pipe *pipe = &sock->in;
	uint32_t size = (uint32_t)(pipe->written - pipe->arrived);

	if (sock->closed && size > 0) {
		/* Bytes for nobody are answered by a reset. */
		hear_reset(sock->other, ECONNRESET);
		sock_free(sock);
		return;
	}
	if (sock->other != NULL && is_faulty(sock) && sim_fault(FAULT_RESET)) {
		sim_sock_break(sock, ECONNRESET);
		return;
	}
	if (sock->spared)
		;
	else if (size > 1 && sim_fault(FAULT_DRIP))
		size = 1;
	else if (size > 1 && (world.faults & 1u << FAULT_DRIP))
		size = 1 + sim_draw(size);
	if (size > pipe->written - pipe->arrived)
		size = (uint32_t)(pipe->written - pipe->arrived);
	if (sim_sock_readable(sock) == 0)
		pipe->since = world.now;
	pipe->arrived += size;
	sock->moved_at = world.now;
	sim_trace("arrive", index_of(sock), size, (int64_t)pipe->arrived);
	if (pipe->arrived == pipe->written && pipe->fin)
		pipe->fin_arrived = true;
	else if (!sock->spared && sim_fault(FAULT_DELAY))
		pipe->due = world.now + (1 + sim_draw(10)) * MS;
	wake(sock, POLLIN | (pipe->fin_arrived ? POLLRDHUP : 0));
}

/* ---- Connections ---- */

static void
parse(const struct sockaddr *address, unsigned *port, const char **path)
{
	const struct sockaddr_storage *storage =
	    (const struct sockaddr_storage *)(const void *)address;

	*path = NULL;
	*port = 0;
	if (address->sa_family == AF_UNIX)
		*path = ((const struct sockaddr_un *)(const void *)
		    address)->sun_path;
	else
		*port = torc_address_port(storage);
}

static bool
is_at(const struct sock *sock, unsigned port, const char *path)
{
	if (!sock->used || !sock->bound)
		return false;
	return path != NULL ? sock->local && strcmp(sock->path, path) == 0 :
	    !sock->local && sock->port == port;
}

static void
set_path(char *to, const char *path)
{
	if (strlen(path) >= PATH_SIZE)
		sim_fail("%s is too long for this network", path);
	memcpy(to, path, strlen(path) + 1);
}

static struct sock *
find_listener(unsigned port, const char *path)
{
	struct sock *found[MAX_SOCKS];
	unsigned count = 0;

	for (unsigned i = 0; i < sock_top; i++) {
		if (socks[i].state == SOCK_LISTENING &&
		    is_at(&socks[i], port, path))
			found[count++] = &socks[i];
	}
	return count == 0 ? NULL : found[sim_draw(count)];
}

/* Nobody is there: refused, or a meeting with itself (in torc's dials). */
static int
connect_to_nobody(struct sock *sock)
{
	if (!sock->torcs || !sim_fault(FAULT_SELF))
		return -ECONNREFUSED;
	sock->port = sock->to;
	sock->itself = true;
	sock->state = SOCK_CONNECTED;
	sim_trace("meets itself", index_of(sock), sock->to, 0);
	return -EISCONN;
}

int
sim_sock_connect(struct sock *sock, const struct sockaddr *address)
{
	const char *path;

	if (sock->state == SOCK_CONNECTED)
		return sock->error != 0 ? -sock->error : -EISCONN;
	if (sock->state == SOCK_CONNECTING)
		return -EALREADY;
	if (sock->torcs && !(sock->probed && sock->timed))
		sim_fail("socket %d is dialled, and would not notice that its "
		    "peer vanishes", index_of(sock));
	parse(address, &sock->to, &path);
	if (path != NULL)
		set_path(sock->path, path);
	if (find_listener(sock->to, path) == NULL)
		return connect_to_nobody(sock);
	if (!sock->local)
		sock->port = next_port++;
	sock->state = SOCK_CONNECTING;
	sock->due = world.now;
	if (is_faulty(sock) && sim_fault(FAULT_DELAY))
		sock->due += (1 + sim_draw(20)) * MS;
	return -EINPROGRESS;
}

/* The other side answers. */
static void
establish(struct sock *sock)
{
	struct sock *listener = find_listener(sock->to,
	    sock->local ? sock->path : NULL);
	struct sock *other, **end;

	if (listener == NULL) {
		sock->state = SOCK_NEW;
		hear_reset(sock, ECONNREFUSED);
		return;
	}
	if (listener->waiting >= listener->backlog) {
		sock->due = world.now + MS;
		return;
	}
	other = sock_make(sock->local);
	other->state = sock->state = SOCK_CONNECTED;
	other->moved_at = sock->moved_at = world.now;
	other->spared = sock->spared;
	other->other = sock;
	sock->other = other;
	other->port = listener->port;
	for (end = &listener->first; *end != NULL; end = &(*end)->next)
		continue;
	*end = other;
	listener->waiting++;
	sim_trace("connect", index_of(sock), index_of(other), 0);
	wake(sock, POLLOUT);
	wake(listener, POLLIN);
}

static struct sock *
take_waiting(struct sock *listener)
{
	struct sock *sock = listener->first;

	if (sock == NULL)
		return NULL;
	listener->first = sock->next;
	listener->waiting--;
	sock->next = NULL;
	return sock;
}

int
sim_sock_accept(struct sock *listener)
{
	struct file *file;
	int fd;

	if (listener->state != SOCK_LISTENING)
		return -EINVAL;
	if (listener->first == NULL)
		return -EAGAIN;
	fd = sim_fd_open(FILE_SOCKET, &file);
	if (fd < 0)
		return fd;
	file->sock = take_waiting(listener);
	file->sock->file = file;
	return fd;
}

uint32_t
sim_file_events(const struct file *file)
{
	const struct sock *sock = file->sock;
	uint32_t events = 0;

	if (file->kind == FILE_EVENTFD)
		return file->count > 0 ? POLLIN : 0;
	if (sock->state == SOCK_LISTENING)
		return sock->first != NULL ? POLLIN : 0;
	if (sim_sock_readable(sock) > 0 || sock->in.fin_arrived || sock->dead)
		events |= POLLIN;
	if (sock->dead || (sock->other != NULL && !sock->other->closed &&
	    sock->other->in.written - sock->other->in.read <
	    sock->other->in.size))
		events |= POLLOUT;
	if (sock->dead)
		events |= POLLERR | POLLHUP;
	if (sock->dead || sock->in.fin_arrived)
		events |= POLLRDHUP;
	return events;
}

/* Listeners are everybody's. */
bool
sim_file_is_spared(const struct file *file)
{
	return file->kind == FILE_SOCKET && (file->sock->spared ||
	    (file->sock->state == SOCK_LISTENING && peers_have_good()));
}

bool
sim_file_was_reset(const struct file *file)
{
	return file->sock->dead && !file->sock->in.fin_arrived;
}

/* ---- What the network does by itself ---- */

static bool
is_ready(const struct sock *sock)
{
	const struct pipe *pipe = &sock->in;

	if (!sock->used)
		return false;
	if (sock->state == SOCK_CONNECTING)
		return sock->due <= world.now;
	return pipe->due <= world.now && (pipe->written > pipe->arrived ||
	    (pipe->fin && !pipe->fin_arrived));
}

unsigned
sim_net_ready(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sock_top; i++)
		count += is_ready(&socks[i]);
	return count;
}

void
sim_net_act(unsigned index)
{
	struct sock *sock = socks;

	while (!is_ready(sock) || index-- > 0)
		sock++;
	if (sock->state == SOCK_CONNECTING)
		establish(sock);
	else
		arrive(sock);
}

uint64_t
sim_net_next(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < sock_top; i++) {
		const struct sock *sock = &socks[i];
		uint64_t due = UINT64_MAX;

		if (sock->used && sock->state == SOCK_CONNECTING)
			due = sock->due;
		else if (sock->used && (sock->in.written > sock->in.arrived ||
		    (sock->in.fin && !sock->in.fin_arrived)))
			due = sock->in.due;
		if (due < next)
			next = due;
	}
	return next;
}

void
sim_net_reset(void)
{
	for (unsigned fd = 0; fd < MAX_FDS; fd++) {
		free(fds[fd]);
		fds[fd] = NULL;
	}
	for (unsigned i = 0; i < sock_top; i++) {
		free(socks[i].in.bytes);
		socks[i] = (struct sock) { .used = false };
	}
	sock_top = 0;
	memset(local_files, 0, sizeof(local_files));
	next_inode = 1;
	next_port = FIRST_PORT;
	peer_listener = sock_make(false);
	peer_listener->bound = true;
	peer_listener->port = PEER_PORT;
	peer_listener->state = SOCK_LISTENING;
	peer_listener->backlog = 16;
}

/* Of a fiber that will not run on, since its reactor was given up. */
static bool
is_stranded(const struct file *file)
{
	return world.lost && (file->programs || (file->kind == FILE_SOCKET &&
	    file->sock->state == SOCK_NEW));
}

void
sim_net_check_end(void)
{
	for (int fd = 0; fd < MAX_FDS; fd++) {
		if (fds[fd] != NULL && !is_stranded(fds[fd]))
			sim_fail("descriptor %d (kind %d) was left open", fd,
			    fds[fd]->kind);
	}
	for (unsigned i = 0; i < PATHS; i++) {
		if (local_files[i].path[0] != '\0' && !local_files[i].others &&
		    !local_files[i].hidden)
			sim_fail("%s was left", local_files[i].path);
	}
}

/* ---- The program's system calls on sockets ---- */

static struct sock *
sock_of(int fd)
{
	struct file *file = sim_fd_file(fd);

	if (file == NULL || file->kind != FILE_SOCKET)
		sim_fail("descriptor %d is not a socket", fd);
	return file->sock;
}

int
program_socket(void)
{
	struct file *file;
	int fd = sim_fd_open(FILE_SOCKET, &file);

	if (fd >= 0) {
		file->sock = sock_make(false);
		file->sock->file = file;
		file->programs = true;
	}
	return fd;
}

int
torc_sys_socket(int domain, int type, int protocol)
{
	struct file *file;
	int rc = sim_crossing(SITE_SOCKET);

	(void)protocol;
	if ((type & SOCK_CLOEXEC) == 0)
		sim_fail("a socket is inherited by an exec");
	if (rc == 0)
		rc = sim_fd_open(FILE_SOCKET, &file);
	if (rc >= 0) {
		file->sock = sock_make(domain == AF_UNIX);
		file->sock->file = file;
		file->sock->torcs = domain != AF_UNIX;
	}
	return rc;
}

int
program_pair(int pair[2])
{
	struct file *files[2];

	pair[0] = sim_fd_open(FILE_SOCKET, &files[0]);
	if (pair[0] < 0)
		return pair[0];
	files[0]->sock = sock_make(true);
	pair[1] = sim_fd_open(FILE_SOCKET, &files[1]);
	if (pair[1] < 0) {
		files[0]->sock->file = files[0];
		sim_fd_close(pair[0]);
		return pair[1];
	}
	files[1]->sock = sock_make(true);
	for (int i = 0; i < 2; i++) {
		files[i]->sock->file = files[i];
		files[i]->sock->state = SOCK_CONNECTED;
		files[i]->sock->other = files[1 - i]->sock;
		files[i]->programs = true;
	}
	return 0;
}

int
program_eventfd(void)
{
	struct file *file;
	int fd = sim_fd_open(FILE_EVENTFD, &file);

	if (fd >= 0)
		file->programs = true;
	return fd;
}

void
program_write_event(int fd)
{
	const uint64_t one = 1;

	torc_sys_write(fd, &one, sizeof(one));
}

int
torc_sys_socketpair(int pair[2])
{
	int rc = sim_crossing(SITE_PAIR);

	if (rc == 0)
		rc = program_pair(pair);
	for (int i = 0; rc == 0 && i < 2; i++)
		fds[pair[i]]->programs = false;
	return rc;
}

uint64_t
unread_since(int fd)
{
	const struct sock *sock = sock_of(fd);

	/* A loop whose enters fail, or without buffers, may take its time. */
	if (world.faults & (1u << FAULT_ENTER | 1u << FAULT_BUFFERS) ||
	    world.starved)
		return UINT64_MAX;
	return sim_sock_readable(sock) > 0 ? sock->in.since : UINT64_MAX;
}

int
program_close(int fd)
{
	return sim_fd_close(fd);
}

static unsigned
find_file(const char *path)
{
	unsigned i = 0;

	while (i < PATHS && strcmp(local_files[i].path, path) != 0)
		i++;
	return i;
}

void
program_replace_file(unsigned address)
{
	unsigned i = find_file(program_address(address) + strlen("unix:"));

	if (i == PATHS)
		return;
	local_files[i].inode = next_inode++;
	local_files[i].others = true;
}

static int
bind_path(struct sock *sock, const char *path)
{
	unsigned empty = 0;

	if (find_file(path) < PATHS)
		return -EADDRINUSE;
	while (local_files[empty].path[0] != '\0')
		empty++;
	set_path(local_files[empty].path, path);
	local_files[empty].inode = next_inode++;
	local_files[empty].others = false;
	local_files[empty].hidden = false;
	set_path(sock->path, path);
	sock->bound = true;
	return 0;
}

int
torc_sys_bind(int fd, const struct sockaddr *address, uint32_t size)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_BIND);
	const char *path;
	unsigned port;

	(void)size;
	if (rc < 0)
		return rc;
	parse(address, &port, &path);
	if (path != NULL)
		return bind_path(sock, path);
	if (port == 0)
		port = next_port++;
	for (unsigned i = 0; i < sock_top; i++) {
		if (is_at(&socks[i], port, NULL) &&
		    !(sock->shares && socks[i].shares))
			return -EADDRINUSE;
	}
	sock->port = port;
	sock->bound = true;
	return 0;
}

int
torc_sys_listen(int fd, int backlog)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_LISTEN);

	if (rc < 0)
		return rc;
	sock->state = SOCK_LISTENING;
	sock->backlog = (unsigned)backlog;
	return 0;
}

int
torc_sys_own_listener(int fd)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_OWN_LISTENER);

	return rc < 0 ? rc : sock->state == SOCK_LISTENING ? 0 : -EINVAL;
}

/* Used to see whether anybody listens on a unix socket. */
int
torc_sys_connect(int fd, const struct sockaddr *address, uint32_t size)
{
	int rc = sim_crossing(SITE_CONNECT_NOW);
	const char *path;
	unsigned port;

	(void)size;
	(void)sock_of(fd);
	if (rc < 0)
		return rc;
	parse(address, &port, &path);
	return find_listener(port, path) == NULL ? -ECONNREFUSED : -EAGAIN;
}

int
torc_sys_accept_now(int fd)
{
	struct sock *sock = sock_of(fd);
	int rc;

	sim_kernel_any_call();
	if (sock->first == NULL)
		return -EAGAIN;
	rc = sim_crossing(SITE_ACCEPT_NOW);
	if (rc == -ECONNABORTED) {
		struct sock *other = take_waiting(sock)->other;

		/* It may have given up already. */
		if (other != NULL)
			hear_reset(other, ECONNRESET);
	}
	return rc < 0 ? rc : sim_sock_accept(sock);
}

int
torc_sys_shutdown(int fd, int how)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_SHUTDOWN);

	if (rc < 0)
		return rc;
	if (sock->other == NULL)
		return -ENOTCONN;
	sim_trace("shutdown", fd, how, 0);
	send_fin(sock);
	if (how == SHUT_RDWR) {
		sock->in.fin_arrived = true;
		wake(sock, POLLIN | POLLHUP);
	}
	return 0;
}

int
torc_sys_unsent(int fd)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_UNSENT);

	if (rc < 0 || sock->other == NULL)
		return rc;
	return (int)(sock->other->in.written - sock->other->in.arrived);
}

int64_t
torc_sys_acked(int fd)
{
	const struct sock *sock = sock_of(fd);

	return sock->other == NULL ? 0 : (int64_t)sock->other->in.arrived;
}

int
torc_sys_recv(int fd, void *data, size_t size)
{
	struct sock *sock = sock_of(fd);
	int rc;

	world.sparing = sock->spared;
	rc = sim_crossing(SITE_RECV_NOW);
	if (size > 1 && sim_fault(FAULT_SHORT))
		size = 1 + sim_draw((uint32_t)size);
	world.sparing = false;
	return rc < 0 ? rc : sim_sock_recv(sock, data, (uint32_t)size);
}

int
torc_sys_silent_ms(int fd)
{
	const struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_SILENT);

	if (rc < 0 || sock->local)
		return rc < 0 ? rc : -EOPNOTSUPP;
	return (int)((world.now - sock->moved_at) / MS);
}

int
torc_sys_hung_up(int fd)
{
	const struct sock *sock = sock_of(fd);

	sim_kernel_any_call();
	return sock->dead || (sock->shut && sock->in.fin_arrived);
}

int
torc_sys_has_ended(int fd)
{
	const struct sock *sock = sock_of(fd);

	sim_kernel_any_call();
	return sock->dead || sock->in.fin_arrived;
}

/* Only under valgrind: the next look at the ring takes the time. */
void
torc_sys_await(int fd, uint64_t ns)
{
	(void)fd;
	(void)ns;
}

int
torc_sys_setsockopt(int fd, int level, int name, const void *value,
    uint32_t size)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_SETSOCKOPT);

	(void)value;
	(void)size;
	if (rc < 0)
		return rc;
	if (level == SOL_SOCKET && name == SO_LINGER)
		sock->at_once = true;
	if (level == SOL_SOCKET && name == SO_REUSEPORT)
		sock->shares = true;
	if (level == SOL_SOCKET && name == SO_KEEPALIVE)
		sock->probed = true;
	if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT)
		sock->timed = true;
	return 0;
}

static void
give_name(const struct sock *sock, unsigned port, struct sockaddr *address,
    uint32_t *size)
{
	struct sockaddr_un *local = (struct sockaddr_un *)(void *)address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;

	if (sock->local) {
		memset(local, 0, sizeof(*local));
		local->sun_family = AF_UNIX;
		strncpy(local->sun_path, sock->path,
		    sizeof(local->sun_path) - 1);
		*size = sizeof(*local);
		return;
	}
	*v4 = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	*size = sizeof(*v4);
}

int
torc_sys_getsockname(int fd, struct sockaddr *address, uint32_t *size)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_GETSOCKNAME);

	if (rc == 0)
		give_name(sock, sock->port, address, size);
	return rc;
}

int
torc_sys_getpeername(int fd, struct sockaddr *address, uint32_t *size)
{
	struct sock *sock = sock_of(fd);
	int rc = sim_crossing(SITE_GETPEERNAME);

	if (rc < 0)
		return rc;
	if (sock->other == NULL && !sock->itself)
		return -ENOTCONN;
	give_name(sock, sock->itself ? sock->port : sock->other->port, address,
	    size);
	return 0;
}

int
torc_sys_unlink(const char *path)
{
	int rc = sim_crossing(SITE_UNLINK);

	unsigned i = find_file(path);

	/* That it was gone already is what -ENOENT says. */
	if (i == PATHS)
		return -ENOENT;
	if (local_files[i].others)
		sim_fail("%s is another program's, and is removed", path);
	local_files[i].path[0] = '\0';
	return rc;
}

int
torc_sys_is_socket(const char *path, struct torc_inode *inode)
{
	int rc = sim_crossing(SITE_STAT);
	unsigned i = find_file(path);

	if (i == PATHS)
		return -ENOENT;
	/* What cannot be looked at cannot be known as one's own. */
	if (rc < 0)
		local_files[i].hidden = true;
	if (rc < 0)
		return rc;
	*inode = (struct torc_inode) {
		.device = 1,
		.number = local_files[i].inode,
	};
	return 1;
}

int
torc_sys_lock_folder(const char *path)
{
	struct file *file;
	int rc = sim_crossing(SITE_LOCK);

	(void)path;
	return rc < 0 ? rc : sim_fd_open(FILE_MEMORY, &file);
}

bool
sim_fd_is_ours(int fd)
{
	const struct sock *sock = sim_fd_file(fd)->sock;

	return sock->local || sock->to != PEER_PORT;
}

/* ---- The peers' calls ---- */

const char *
peer_address(void)
{
	return "127.0.0.1:7";
}

int
peer_connect(unsigned address)
{
	struct sockaddr_storage to;
	struct sock *sock;
	int rc;

	torc_address_parse(program_address(address), &to);
	sock = sock_make(to.ss_family == AF_UNIX);
	rc = sim_sock_connect(sock, (struct sockaddr *)&to);
	if (rc != -EINPROGRESS) {
		sock_free(sock);
		return rc;
	}
	return index_of(sock);
}

void
peer_spare(int handle)
{
	socks[handle].spared = true;
	sim_trace("spare", handle, 0, 0);
}

int
peer_connected(int handle)
{
	const struct sock *sock = &socks[handle];

	if (sock->error != 0)
		return -sock->error;
	return sock->state == SOCK_CONNECTED;
}

bool
peer_can_accept(void)
{
	return peer_listener->first != NULL;
}

int
peer_accept(void)
{
	return index_of(take_waiting(peer_listener));
}

int
peer_send(int handle, const uint8_t *data, uint32_t size)
{
	return sim_sock_send(&socks[handle], data, size);
}

int
peer_recv(int handle, uint8_t *data, uint32_t size)
{
	return sim_sock_recv(&socks[handle], data, size);
}

bool
peer_can_recv(int handle)
{
	const struct sock *sock = &socks[handle];

	return sim_sock_readable(sock) > 0 || sock->dead ||
	    sock->in.fin_arrived;
}

bool
peer_can_send(int handle)
{
	const struct sock *sock = &socks[handle];

	return sock->dead || sock->shut || sock->other == NULL ||
	    sock->other->in.written - sock->other->in.read <
	    sock->other->in.size;
}

void
peer_fin(int handle)
{
	send_fin(&socks[handle]);
}

void
peer_reset(int handle)
{
	socks[handle].at_once = true;
	sock_close(&socks[handle]);
}

void
peer_close(int handle)
{
	sock_close(&socks[handle]);
}

uint64_t
peer_now(void)
{
	return world.now;
}

uint32_t
peer_draw(uint32_t n)
{
	return sim_draw(n);
}
