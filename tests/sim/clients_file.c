/* SPDX-License-Identifier: MIT */
/*
 * clients_file.c - files: fibers make, write, read and remove their own, and a
 * site is served over HTTP to clients of the same program, while others change
 * it.
 *
 * A file is a stream that its inode names, and the inode is in its ETag: an
 * answer with bytes of another file, or of two versions, is recognised, and so
 * is one that is older than the root allows.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/file/site.h"
#include "conn/http/torc_http.h"
#include "sys/sys.h"
#include "tests/sim/clients.h"
#include "tests/sim/files.h"

#define FRESH_MS 20u
#define SLACK (100 * MS)	/* between a request and the look at its file */
#define BODY_MAX 600u		/* of the files in memory */
#define MEMORY_MAX 2000u
#define LARGE 3000u		/* files that are sent are mostly below */
#define OWN_MAX 2000u
#define TAG_MAX 100u		/* bytes of an entity tag */

static struct torc_file_root *roots[MAX_REACTORS];

/* What was answered with each strong entity tag. */
static struct {
	char tag[TAG_MAX];
	uint32_t stream;
} known[512];
static unsigned known_count;

static unsigned guests;		/* of files that are in the way */

/* ---- The site ---- */

static const struct page {
	const char *target;
	const char *name;	/* of the file that answers */
	uint32_t size;		/* below this */
} pages[] = {
	{ "/empty", "empty", 1 },
	{ "/small.html", "small.html", BODY_MAX },
	{ "/other.html", "other.html", BODY_MAX },
	{ "/large", "large", LARGE },
	{ "/larger", "larger", LARGE },
	{ "/sub/", "index.html", BODY_MAX },
};

#define TOP_NAMES 8u		/* in the directory, with packed ones */

static bool specials;		/* there are some, now and then */
static struct node *homes[COUNT(pages)];	/* directories */
static struct node *stream;
static struct node *site[COUNT(pages)];
static struct node *packed[COUNT(pages)];	/* name.gz, or NULL */

void
reset_files(void)
{
	memset(roots, 0, sizeof(roots));
	memset(site, 0, sizeof(site));
	memset(packed, 0, sizeof(packed));
	stream = NULL;
	specials = false;
	known_count = 0;
	guests = 0;
}

/* One step of a transfer is 64 KiB, which takes a wide network. */
static uint32_t
draw_size(const struct page *page)
{
	const bool narrow = world.faults & (1u << FAULT_SHORT |
	    1u << FAULT_DRIP);

	return page->size == LARGE && !narrow && peer_draw(4) == 0 ?
	    60000 + peer_draw(12000) : peer_draw(page->size);
}

static struct node *
make_page(unsigned index, bool pack)
{
	const struct page *page = &pages[index];
	char name[40];

	snprintf(name, sizeof(name), "%s%s", page->name, pack ? ".gz" : "");
	return sim_node_make(homes[index], name, false, draw_size(page));
}

/* Once in a run. All of it is older than the run. */
static void
make_site(void)
{
	struct node *top, *sub;

	if (site[0] != NULL)
		return;
	top = sim_node_make(sim_node_root(), "site", true, 0);
	sub = sim_node_make(top, "sub", true, 0);
	for (unsigned i = 0; i < COUNT(pages); i++) {
		homes[i] = strncmp(pages[i].target, "/sub/", 5) == 0 ? sub :
		    top;
		site[i] = make_page(i, false);
		sim_node_age(site[i], 1000);
		if (i % 2 == 0)
			continue;
		packed[i] = make_page(i, true);
		sim_node_age(packed[i], 1000);
	}
}

static uint16_t
draw_special(void)
{
	static const uint16_t kinds[] = { S_IFIFO, S_IFSOCK, S_IFCHR };

	return specials && peer_draw(4) == 0 ?
	    kinds[peer_draw(COUNT(kinds))] : 0;
}

/*
 * As others change a site: a new file takes the name, or something that is no
 * file; it shrinks or grows.
 */
static void
change_site(void)
{
	const unsigned i = peer_draw(COUNT(pages));
	const bool pack = packed[i] != NULL && peer_draw(2) == 0;
	struct node **at = pack ? &packed[i] : &site[i];

	if (peer_draw(12) != 0)
		return;
	if ((*at)->parent != NULL && (*at)->special == 0 &&
	    peer_draw(3) == 0) {
		sim_node_resize(*at, draw_size(&pages[i]));
		return;
	}
	if ((*at)->parent != NULL)
		sim_node_remove(*at);
	if (peer_draw(4) == 0)
		return;
	*at = make_page(i, pack);
	(*at)->special = draw_special();
}

/* ---- The server ---- */

/* Parks. The root of this reactor, once its fiber has opened it. */
static struct torc_file_root *
await_root(void)
{
	struct torc_file_root **root =
	    &roots[torc_reactor_index(torc_reactor_self())];

	for (int i = 0; *root == NULL && i < 1000; i++) {
		if (torc_sleep(torc_after_ms(1)) < 0)
			break;
	}
	return *root;
}

static int
serve_files(struct torc_conn *conn, unsigned patience_ms)
{
	struct torc_file_root *root;
	struct torc_http http;

	torc_http_init(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		const torc_deadline deadline = torc_after_ms(patience_ms != 0 ?
		    1 + peer_draw(patience_ms) : PATIENCE_MS);
		int rc;

		root = await_root();
		if (root == NULL)
			return -1;
		rc = torc_file_serve(root, &http, deadline);
		check_time(deadline, "an answer with a file");
		if (rc < 0)
			break;
	}
	return torc_http_result(&http);
}

static int
serve_site(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve_files(conn, 0);
}

static int
serve_site_hastily(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve_files(conn, 60);
}

/* ---- Its clients ---- */

struct wish {
	const struct page *page;	/* NULL: one that is not there */
	uint64_t since;
	bool packed;			/* gzip will do */
	bool partly;
	uint32_t first;			/* of a range */
	uint32_t last;
	char range[40];
	char tag[TAG_MAX];		/* of what is known; "": nothing */
};

/* The node that an entity tag names, and how many bytes it had. */
static const struct node *
find_tagged(const struct torc_slice *tag, uint64_t *size)
{
	const struct node *node = NULL;
	char text[TAG_MAX] = "";
	const char *opaque;
	unsigned long number;
	unsigned long long length;

	if (tag == NULL || tag->size >= sizeof(text))
		broken("an answer has no tag");
	memcpy(text, tag->data, tag->size);
	opaque = strncmp(text, "W/", 2) == 0 ? text + 2 : text;
	if (sscanf(opaque, "\"%lx-%llx-", &number, &length) == 2)
		node = sim_node_numbered(number);
	if (node == NULL)
		broken("an answer has the tag %s", text);
	*size = length;
	return node;
}

static void
check_date(const struct torc_slice *date)
{
	struct timespec now;
	int64_t seconds;

	torc_sys_wall_time(&now);
	if (date == NULL || !torc_file_date(*date, &seconds))
		broken("an answer has no date");
	if (seconds > now.tv_sec)
		broken("a file is of the future");
}

/* The file that an answer is of: what it says of it agrees with our wish. */
static const struct node *
find_file(const struct torc_http_call *call, const struct wish *wish,
    uint64_t *size)
{
	const struct node *node = find_tagged(torc_http_find(&call->response,
	    "ETag"), size);
	const bool pack = torc_http_find(&call->response,
	    "Content-Encoding") != NULL;
	char name[40];

	check_date(torc_http_find(&call->response, "Last-Modified"));
	snprintf(name, sizeof(name), "%s%s", wish->page->name,
	    pack ? ".gz" : "");
	if (call->response.status != 200 && call->response.status != 206)
		name[strlen(wish->page->name)] = '\0';
	if (strncmp(node->name, name, strlen(name)) != 0 ||
	    (pack && !wish->packed))
		broken("who asked for %s is given %s", name, node->name);
	if (node->gone_at < UINT64_MAX &&
	    node->gone_at + FRESH_MS * MS + SLACK +
	    world.still_ns < wish->since)
		broken("%s is answered with what was gone %llu ms before",
		    name, (unsigned long long)((wish->since - node->gone_at) /
		    MS));
	return node;
}

/* Bytes of a file were answered with a tag: always the same ones. */
static void
note_tag(const char *tag, const struct node *node)
{
	unsigned i = 0;

	if (tag[0] == 'W')
		return;
	while (i < known_count && strcmp(known[i].tag, tag) != 0)
		i++;
	if (i == known_count && known_count < COUNT(known)) {
		known_count++;
		strcpy(known[i].tag, tag);
		known[i].stream = node->stream;
	}
	if (i < known_count && known[i].stream != node->stream)
		broken("the tag %s is of two versions", tag);
}

/* Parks. `size` bytes of a file, and no more. */
static int
compare_body(struct torc_http_call *call, const struct node *node,
    uint64_t from, uint64_t size, torc_deadline deadline)
{
	const struct torc_slice *field = torc_http_find(&call->response,
	    "ETag");
	char tag[TAG_MAX] = "";
	struct torc_slice body;
	uint64_t got = 0;
	int rc;

	/* Not readable when the body has been read. */
	memcpy(tag, field->data, field->size);
	/* Some lose interest, and leave the rest. */
	if (peer_draw(16) == 0)
		return 0;
	while ((rc = torc_http_call_read(call, &body, deadline)) > 0) {
		for (size_t i = 0; i < body.size; i++, got++) {
			if (body.data[i] != stream_byte(node->stream,
			    from + got))
				broken("byte %llu of %s is wrong",
				    (unsigned long long)(from + got),
				    node->name);
		}
	}
	check_time(deadline, "a read of a body");
	if (rc == 0 && got != size)
		broken("%llu bytes of %s are answered as %llu",
		    (unsigned long long)size, node->name,
		    (unsigned long long)got);
	if (rc == 0 && got > 0)
		note_tag(tag, node);
	return rc;
}

/* Parks. */
static int
compare_part(struct torc_http_call *call, const struct wish *wish,
    torc_deadline deadline)
{
	const struct torc_slice *range = torc_http_find(&call->response,
	    "Content-Range");
	const struct node *node;
	uint64_t size, last;
	char text[64];

	node = find_file(call, wish, &size);
	if (size == 0)
		broken("a part is answered of a file without bytes");
	last = wish->last < size ? wish->last : size - 1;
	snprintf(text, sizeof(text), "bytes %u-%llu/%llu", wish->first,
	    (unsigned long long)last, (unsigned long long)size);
	if (!wish->partly || range == NULL || !torc_http_equals(*range, text))
		broken("another part is answered than %s", text);
	return compare_body(call, node, wish->first, last - wish->first + 1,
	    deadline);
}

/* Parks. Read the answer: 0 if it is a good one. */
static int
read_answer(struct torc_http_call *call, const struct wish *wish, bool changes,
    torc_deadline deadline)
{
	const unsigned status = call->response.status;
	const struct node *node;
	uint64_t size;

	if (wish->page == NULL && status < 400)
		broken("what is not there is answered with %u", status);
	if (wish->page != NULL && status == 404 && !changes)
		broken("%s is not found", wish->page->name);
	switch (status) {
	case 200:
		node = find_file(call, wish, &size);
		return compare_body(call, node, 0, size, deadline);
	case 206:
		return compare_part(call, wish, deadline);
	case 304:
		if (wish->tag[0] == '\0')
			broken("it is not modified, and nobody asked");
		find_file(call, wish, &size);
		return 0;
	case 416:
		find_file(call, wish, &size);
		if (!wish->partly || wish->first < size)
			broken("a part is refused that is there");
		return 0;
	case 403:
		expect(changes, "a page is not refused");
		return changes ? 0 : -EPROTO;
	case 404:
		return 0;
	default:
		return -EPROTO;
	}
}

static void
make_wish(struct wish *wish)
{
	const unsigned index = peer_draw(COUNT(pages) + 1);

	*wish = (struct wish) { .since = world.now };
	wish->page = index < COUNT(pages) ? &pages[index] : NULL;
	wish->packed = peer_draw(2) == 0;
	wish->partly = peer_draw(4) == 0;
	wish->first = peer_draw(LARGE);
	wish->last = wish->first + peer_draw(LARGE);
	snprintf(wish->range, sizeof(wish->range), "bytes=%u-%u", wish->first,
	    wish->last);
}

/* The fields of a request: how many. */
static unsigned
phrase(const struct wish *wish, struct torc_http_field fields[3])
{
	unsigned count = 0;

	if (wish->packed)
		fields[count++] = (struct torc_http_field) {
			torc_http_text("Accept-Encoding"),
			torc_http_text("gzip"),
		};
	if (wish->partly)
		fields[count++] = (struct torc_http_field) {
			torc_http_text("Range"), torc_http_text(wish->range),
		};
	if (wish->tag[0] != '\0')
		fields[count++] = (struct torc_http_field) {
			torc_http_text("If-None-Match"),
			torc_http_text(wish->tag),
		};
	return count;
}

/* Parks. */
static int
ask_once(struct client *client, struct wish *wish, torc_deadline deadline)
{
	struct torc_http_field fields[3];
	const struct torc_http_request request = {
		.target = torc_http_text(wish->page != NULL ?
		    wish->page->target : "/nowhere/at/all"),
		.fields = fields,
		.field_count = phrase(wish, fields),
	};
	const struct torc_slice *tag;
	struct torc_http_call call;
	char next[sizeof(wish->tag)] = "";
	int rc = torc_http_client_call(client->of, &call, &request, deadline);

	check_time(deadline, "a call");
	if (rc < 0)
		return rc;
	/* Not readable when the body has been read. */
	tag = torc_http_find(&call.response, "ETag");
	if (tag != NULL && tag->size < sizeof(next))
		memcpy(next, tag->data, tag->size);
	rc = read_answer(&call, wish, client->plan->unruly, deadline);
	memcpy(wish->tag, next, sizeof(next));
	torc_http_call_end(&call);
	return rc;
}

/* Parks. Ask for a page, and now and then whether it still is what it was. */
static int
ask_site(struct client *client, torc_deadline deadline)
{
	struct wish wish;
	int rc;

	make_wish(&wish);
	rc = ask_once(client, &wish, deadline);
	if (rc < 0 || peer_draw(3) != 0)
		return rc;
	wish.since = world.now;
	wish.partly = false;
	return ask_once(client, &wish, deadline);
}

static int
open_site(struct client *client)
{
	const struct torc_file_config config = {
		.fresh_ms = FRESH_MS, .files_max = 8, .memory_max = MEMORY_MAX,
		.body_max = BODY_MAX, .precompressed = true,
	};
	const struct torc_http_client_config http_config = {
		.address = program_address(0),
		.host = "site",
		POOL_OF(client->plan->pool),
	};
	const torc_deadline deadline = torc_after_ms(PATIENCE_MS);
	struct torc_http_client *http;
	struct torc_file_root *root;
	int rc;

	make_site();
	specials = true;
	if (client->plan->unruly)
		sim_files_others = change_site;
	rc = torc_file_root_open(&root, "/site", &config, NULL, deadline);
	check_time(deadline, "the opening of a root");
	if (rc < 0)
		return rc;
	roots[torc_reactor_index(torc_reactor_self())] = root;
	rc = torc_http_client_create(&http, &http_config, NULL);
	client->of = rc == 0 ? http : NULL;
	return rc;
}

static void
check_site(struct client *client)
{
	struct torc_pool_stats stats;
	struct torc_file_stats files;

	torc_http_client_stats_read(client->of, &stats);
	check_pool(&stats);
	torc_file_root_stats_read(
	    roots[torc_reactor_index(torc_reactor_self())], &files);
	if (files.memory > MEMORY_MAX)
		broken("%llu bytes of bodies are kept",
		    (unsigned long long)files.memory);
	if (client->answers > 20 && !client->plan->unruly)
		expect(files.loads < files.looks,
		    "what has not changed is not read again");
}

static void
close_http(struct client *client)
{
	torc_http_client_destroy(client->of, TORC_NEVER);
}

/* Handlers serve until the end. Those of a ring that was lost never end. */
static void
close_root(struct torc_reactor *reactor)
{
	const unsigned index = torc_reactor_index(reactor);

	close_late(reactor);
	if (roots[index] != NULL && !world.lost)
		torc_file_root_close(roots[index]);
	roots[index] = NULL;
}

static const struct trade in_sites = {
	open_site, ask_site, check_site, close_http,
};

/*
 * Parks. Write a page over where it is, mostly within the second of its last
 * change, so that neither its time nor its size tells; when a change is to be
 * seen at the latest, it is.
 */
static int
ask_rewritten(struct client *client, torc_deadline deadline)
{
	const unsigned index = 1 + peer_draw(3);
	struct wish wish = { .page = &pages[index] };
	int rc;

	(void)deadline;
	sim_node_rewrite(site[index], 1u << 20 | new_key());
	rc = torc_sleep(torc_after_ms(FRESH_MS +
	    (peer_draw(8) == 0 ? 2500 : 1)));
	wish.since = world.now;
	return rc < 0 ? rc : ask_once(client, &wish,
	    torc_after_ms(PATIENCE_MS));
}

static const struct trade in_rewritten_sites = {
	open_site, ask_rewritten, check_site, close_http,
};

/* ---- Files of one's own ---- */

static int desks[MAX_REACTORS];	/* the directory in which to work */

static int
desk_of(const struct client *client)
{
	(void)client;
	return desks[torc_reactor_index(torc_reactor_self())];
}

/* Parks. */
static int
write_own(int fd, uint32_t key, uint32_t size, torc_deadline deadline)
{
	uint8_t data[OWN_MAX];
	const uint32_t cut = peer_draw(size + 1);
	int rc;

	for (uint32_t i = 0; i < size; i++)
		data[i] = stream_byte(key, i);
	rc = torc_file_write(fd, data + cut, size - cut, cut, deadline);
	check_time(deadline, "a write");
	if (rc == 0)
		rc = torc_file_write(fd, data, cut, 0, deadline);
	check_time(deadline, "a write");
	if (rc == 0)
		rc = torc_file_sync(fd, peer_draw(2) == 0, deadline);
	check_time(deadline, "a sync");
	return rc;
}

/* Parks. All of it is there, and nothing else. */
static int
read_back(int fd, uint32_t key, uint32_t size, torc_deadline deadline)
{
	struct torc_file_info info;
	uint8_t *data;
	int64_t got;
	int rc = torc_file_stat(fd, &info, deadline);

	check_time(deadline, "a stat");
	if (rc < 0)
		return rc;
	if (info.size != size)
		broken("file %u has %llu bytes, and not %u", key,
		    (unsigned long long)info.size, size);
	data = torc_sys_alloc(OWN_MAX + 1);
	if (data == NULL)
		return -ENOMEM;
	got = torc_file_read(fd, data, OWN_MAX + 1, 0, deadline);
	check_time(deadline, "a read");
	if (got >= 0 && got != size)
		broken("%lld bytes of file %u are read, and not %u",
		    (long long)got, key, size);
	for (int64_t i = 0; i < got; i++) {
		if (data[i] != stream_byte(key, (uint64_t)i))
			broken("byte %lld of file %u is wrong", (long long)i,
			    key);
	}
	torc_sys_free(data);
	return got < 0 ? (int)got : 0;
}

/* Parks. It has another name then, and none at last. */
static int
remove_own(int desk, const char *name, uint32_t size, torc_deadline deadline)
{
	struct torc_file_info info;
	char other[24];
	int rc;

	snprintf(other, sizeof(other), "%s.new", name);
	rc = torc_file_rename(desk, name, desk, other, 0, deadline);
	check_time(deadline, "a rename");
	if (rc == 0)
		rc = torc_file_stat_at(desk, other, 0, &info, deadline);
	if (rc == 0 && info.size != size)
		broken("%s has %llu bytes", other,
		    (unsigned long long)info.size);
	if (rc == 0)
		rc = torc_file_unlink(desk, other, 0, deadline);
	check_time(deadline, "an unlink");
	if (rc < 0)
		return rc;
	rc = torc_file_open(desk, other, O_RDONLY, 0, 0, deadline);
	if (rc >= 0)
		broken("%s is opened, and was removed", other);
	return rc == -ENOENT ? 0 : rc;
}

/* Parks. */
static int
use_own(int desk, torc_deadline deadline)
{
	const uint32_t key = new_key();
	const uint32_t size = peer_draw(4) == 0 ? peer_draw(OWN_MAX) :
	    peer_draw(100);
	char name[16];
	int fd, rc;

	snprintf(name, sizeof(name), "%u", key);
	fd = torc_file_open(desk, name, O_RDWR | O_CREAT | O_EXCL, 0600,
	    RESOLVE_BENEATH, deadline);
	check_time(deadline, "an open");
	if (fd < 0)
		return fd;
	rc = write_own(fd, key, size, deadline);
	if (rc == 0)
		rc = read_back(fd, key, size, deadline);
	torc_file_close(fd);
	return rc == 0 ? remove_own(desk, name, size, deadline) : rc;
}

/* ---- Files of others ---- */

/* Parks. A page as it is: one file's bytes, fewer only if it has shrunk. */
static int
read_page(int desk, bool changes, torc_deadline deadline)
{
	const unsigned index = peer_draw(COUNT(pages));
	struct torc_file_info info = { 0 };
	uint8_t data[LARGE];
	char path[40];
	int64_t got;
	int fd, rc;

	snprintf(path, sizeof(path), "/site/%s%s", homes[index] == homes[0] ?
	    "" : "sub/", pages[index].name);
	fd = torc_file_open(desk, path, O_RDONLY, 0, 0, deadline);
	check_time(deadline, "an open");
	if (fd == -ENOENT && changes)
		return 0;
	if (fd < 0)
		return fd;
	rc = torc_file_stat(fd, &info, deadline);
	got = rc < 0 ? rc : torc_file_read(fd, data, sizeof(data), 0,
	    deadline);
	check_time(deadline, "a read");
	torc_file_close(fd);
	for (int64_t i = 0; i < got; i++) {
		if (data[i] != stream_byte((uint32_t)info.inode, (uint64_t)i))
			broken("byte %lld of %s is wrong", (long long)i, path);
	}
	if (got >= 0 && !changes && (uint64_t)got != (info.size < LARGE ?
	    info.size : LARGE))
		broken("%lld bytes of %s are read", (long long)got, path);
	return got < 0 ? (int)got : 0;
}

/* Parks. Each name once. */
static int
walk_site(int desk, bool changes, torc_deadline deadline)
{
	struct torc_file_walk walk = { 0 };
	struct torc_file_entry entry;
	unsigned count = 0, seen = 0;
	int rc;

	walk.fd = torc_file_open(desk, "/site", O_RDONLY | O_DIRECTORY, 0, 0,
	    deadline);
	if (walk.fd < 0)
		return walk.fd;
	while ((rc = torc_file_next(&walk, &entry, deadline)) > 0) {
		const struct node *node = sim_node_numbered(entry.inode);

		if (node == NULL || strcmp(node->name, entry.name) != 0 ||
		    node->directory != (entry.type == DT_DIR))
			broken("there is no %s", entry.name);
		count++;
		seen += !node->directory && node == site[0];
	}
	check_time(deadline, "a walk");
	torc_file_close(walk.fd);
	if (rc == 0 && !changes && (count != TOP_NAMES || seen != 1))
		broken("%u names are in a directory of %u", count, TOP_NAMES);
	return rc;
}

static int
ask_files(struct client *client, torc_deadline deadline)
{
	const uint32_t way = peer_draw(8);
	const bool changes = client->plan->unruly;

	if (way < 2)
		return read_page(desk_of(client), changes, deadline);
	if (way == 2)
		return walk_site(desk_of(client), changes, deadline);
	return use_own(desk_of(client), deadline);
}

static int
open_desk(struct client *client)
{
	const torc_deadline deadline = torc_after_ms(PATIENCE_MS);
	char path[16];
	int rc;

	make_site();
	if (client->plan->unruly)
		sim_files_others = change_site;
	snprintf(path, sizeof(path), "/work%u",
	    torc_reactor_index(torc_reactor_self()));
	rc = torc_file_mkdir(AT_FDCWD, path, 0700, deadline);
	if (rc == 0)
		rc = torc_file_open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, 0,
		    deadline);
	check_time(deadline, "the opening of a directory");
	desks[torc_reactor_index(torc_reactor_self())] = rc;
	return rc < 0 ? rc : 0;
}

static void
check_desk(struct client *client)
{
	(void)client;
}

static void
close_desk(struct client *client)
{
	torc_file_close(desk_of(client));
}

static const struct trade in_files = {
	open_desk, ask_files, check_desk, close_desk,
};

/* ---- Files without HTTP ---- */

#define WINDOWS 270000u		/* more than a transfer sends at a time */
#define BEFORE 100u		/* bytes that are written in front of it */

static const struct step read_windows[] = {
	CONNECT(0), RECV(WINDOWS), AWAIT_FIN, END,
};

static struct node *
make_stream(void)
{
	struct node *node = sim_node_make(sim_node_root(), "stream", false,
	    WINDOWS);

	sim_node_rewrite(node, PROGRAM_KEY);
	return node;
}

/* Parks. From BEFORE on, in parts. After an error nothing may follow. */
static int
send_parts(struct torc_conn *conn, int fd)
{
	uint64_t from = BEFORE;
	int rc = 0;

	while (rc == 0 && from < WINDOWS) {
		const uint32_t size = peer_draw(3) == 0 ? WINDOWS :
		    1 + peer_draw(WINDOWS);
		const uint64_t part = size < WINDOWS - from ? size :
		    WINDOWS - from;

		rc = torc_file_send(conn, fd, from, part, LATER);
		from += part;
	}
	if (rc < 0 && torc_conn_write(conn, "", 1, LATER) == 0 &&
	    torc_conn_flush(conn, LATER) == 0)
		broken("a connection is written to after half a transfer");
	return rc;
}

static int
send_stream(struct torc_conn *conn, void *arg)
{
	uint8_t before[BEFORE];
	int fd, rc;

	(void)arg;
	if (stream == NULL)
		stream = make_stream();
	for (uint32_t i = 0; i < BEFORE; i++)
		before[i] = stream_byte(PROGRAM_KEY, i);
	fd = torc_file_open(AT_FDCWD, "stream", O_RDONLY, 0, 0, LATER);
	if (fd < 0)
		return fd;
	rc = torc_conn_write(conn, before, BEFORE, LATER);
	if (rc == 0)
		rc = send_parts(conn, fd);
	torc_file_close(fd);
	return rc < 0 ? rc : TORC_CLOSE;
}

/* Far longer than the patience with a peer that takes nothing. */
static const struct step read_windows_steadily[] = {
	CONNECT(0), RECV(1000), SLEEP(5), AGAIN_FROM(1, WINDOWS / 1000 - 1),
	AWAIT_END, END,
};
static const struct step read_a_little[] = {
	CONNECT(0), RECV(100), SLEEP(3000), AWAIT_END, END,
};

static int
send_stream_steadily(struct torc_conn *conn, void *arg)
{
	int rc;

	torc_conn_set_pace(conn, 60, TORC_NO_LIMIT);
	rc = send_stream(conn, arg);
	expect(rc == TORC_CLOSE, "a steady peer of a file is waited for");
	return rc;
}

static int
send_stream_in_vain(struct torc_conn *conn, void *arg)
{
	/* First comes what goes into the windows, in small pieces. */
	const uint64_t end = torc_now() - world.still_ns + 3000 * MS;
	int rc;

	torc_conn_set_pace(conn, 30, TORC_NO_LIMIT);
	rc = send_stream(conn, arg);
	expect(rc == -ETIMEDOUT && torc_now() - world.still_ns < end,
	    "a peer of a file that stands still is given up");
	return rc;
}

/* ---- A cache that is in the way ---- */

#define GUESTS 8u
#define COME_AT 2000u		/* ms: all of them are open by then */
#define STAY 200u

/* All of them come at once, and stay for a while. */
static const struct step be_a_guest[] = {
	SLEEP(COME_AT), CONNECT(0), SLEEP(STAY), ECHO(50), FIN, AWAIT_FIN, END,
};

static int
greet(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	guests++;
	while (torc_conn_recv(conn, &in, LATER) > 0) {
		if (torc_conn_write(conn, in.data, in.size, LATER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* Parks. Each page and each packed one is open, and in nobody's use. */
static int
open_all_pages(struct torc_file_root *root)
{
	struct torc_file_kept *entry;
	char path[40];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < COUNT(pages); i++) {
		snprintf(path, sizeof(path), "%s%s", homes[i] == homes[0] ?
		    "" : "sub/", pages[i].name);
		rc = torc_file_get(root, path, &entry, LATER);
		if (rc == 0)
			torc_file_let(root, entry);
	}
	return rc;
}

/* Parks. The last reactor has the cache, and what others need. */
static int
be_in_the_way(void *arg)
{
	const struct torc_file_config config = {
		.body_max = 1, .precompressed = true,
		.idle_ms = TORC_NO_LIMIT,
	};
	const unsigned index = torc_reactor_index(torc_reactor_self());
	const torc_deadline all_there_at = torc_after_ms(COME_AT + STAY / 2);
	struct torc_file_stats before, after;
	struct torc_file_root *root;
	int rc;

	(void)arg;
	if (index + 1 < world.reactor_count)
		return 0;
	make_site();
	rc = torc_file_root_open(&root, "/site", &config, NULL, LATER);
	if (rc < 0)
		return rc;
	roots[index] = root;
	rc = open_all_pages(root);
	torc_file_root_stats_read(root, &before);
	if (rc < 0 || torc_sleep(all_there_at) < 0)
		return rc;
	torc_file_root_stats_read(root, &after);
	if (world.varied || world.single > 0)
		return 0;
	note("%u open", before.descriptors);
	expect(before.descriptors >= 6, "pages are kept open");
	expect(guests == GUESTS, "those who come later are let in at once");
	expect(after.descriptors < before.descriptors, "files made way");
	return 0;
}

/* ---- The table ---- */

PLAN(use_in_turn, .trade = &in_files, .workers = 6, .rounds = 4)
PLAN(use_among_the_hasty, .trade = &in_files, .workers = 8, .rounds = 6,
    .patience = 10, .mixed = true, .cancels = 3)
PLAN(use_hastily, .trade = &in_files, .workers = 10, .rounds = 6,
    .patience = 40, .cancels = 6, .unruly = true)
PLAN(use_in_a_drain, .trade = &in_files, .workers = 6, .rounds = 4,
    .patience = 40, .cancels = 3, .unruly = true, .drains = true)
PLAN(use_in_a_stop, .trade = &in_files, .workers = 6, .rounds = 4,
    .patience = 40, .cancels = 3, .unruly = true, .stops = true)
PLAN(browse_in_turn, .trade = &in_sites, .workers = 6, .rounds = 6,
    .pool = { .size = 3 })
PLAN(browse_rewritten, .trade = &in_rewritten_sites, .workers = 1,
    .rounds = 12, .pool = { .size = 1 })
PLAN(browse_hastily, .trade = &in_sites, .workers = 8, .rounds = 6,
    .patience = 80, .cancels = 4, .unruly = true, .pool = { HASTY(4) })
PLAN(browse_in_a_drain, .trade = &in_sites, .workers = 5, .rounds = 4,
    .patience = 80, .cancels = 3, .unruly = true, .drains = true,
    .pool = { HASTY(4) })
PLAN(browse_in_a_stop, .trade = &in_sites, .workers = 5, .rounds = 4,
    .patience = 80, .cancels = 3, .unruly = true, .stops = true,
    .stays = true, .pool = { HASTY(4) })

const struct scenario of_files[] = {
	{ .name = "files", .handler = serve_site, .fiber = use_in_turn },
	{ .name = "files among the hasty", .handler = serve_site,
	    .fiber = use_among_the_hasty },
	{ .name = "files in a hurry", .handler = serve_site,
	    .fiber = use_hastily, .config = { .ops = 8 }, .nofile = 16 },
	{ .name = "files in a drain", .handler = serve_site,
	    .fiber = use_in_a_drain, .reactors = 2 },
	{ .name = "files in a stop", .handler = serve_site,
	    .fiber = use_in_a_stop, .reactors = 2 },
	{ .name = "file sent", .handler = send_stream,
	    .scripts = { { read_windows, STREAM_PROGRAM, 1 } } },
	{ .name = "file sent at a pace", .handler = send_stream_steadily,
	    .config = { .linger_ms = 1000 },
	    .scripts = { { read_windows_steadily, STREAM_PROGRAM, 1 } } },
	{ .name = "file sent at a pace in vain",
	    .handler = send_stream_in_vain, .frayed = true,
	    .scripts = { { read_a_little, STREAM_PROGRAM, 1 } } },
	{ .name = "site", .handler = serve_site, .fiber = browse_in_turn,
	    .ended = close_root, ENOUGH },
	{ .name = "site written over", .handler = serve_site,
	    .fiber = browse_rewritten, .ended = close_root, ENOUGH },
	{ .name = "site in a hurry", .handler = serve_site_hastily,
	    .fiber = browse_hastily, .ended = close_root },
	{ .name = "site with few descriptors", .handler = serve_site,
	    .fiber = browse_hastily, .ended = close_root, .nofile = 22 },
	{ .name = "files in the way", .handler = greet,
	    .fiber = be_in_the_way, .ended = close_root, .nofile = 18,
	    .scripts = { { be_a_guest, STREAM_OWN, GUESTS } } },
	{ .name = "files in the way of another reactor", .handler = greet,
	    .fiber = be_in_the_way, .ended = close_root, .nofile = 22,
	    .reactors = 2, .scripts = { { be_a_guest, STREAM_OWN, GUESTS } } },
	{ .name = "site in a drain", .handler = serve_site_hastily,
	    .fiber = browse_in_a_drain, .ended = close_root, .reactors = 2 },
	{ .name = "site in a stop", .handler = serve_site_hastily,
	    .fiber = browse_in_a_stop, .ended = close_root, .reactors = 2 },
};
const size_t of_files_count = COUNT(of_files);
