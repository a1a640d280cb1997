/* SPDX-License-Identifier: MIT */
/*
 * serve.c - a request, and the file that answers it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn/file/site.h"
#include "sys/sys.h"

#define PIECE (256u << 10)	/* of a body: no more in one reply */
#define FIELDS_MAX 9u
#define PART_MAX 256u		/* bytes of the head of a range's part */

/* The state of one answer. */
struct answer {
	struct torc_file_root *root;
	struct torc_http *http;
	struct torc_slice prefix;	/* of targets, before their paths */
	torc_deadline deadline;
	struct torc_file_kept *entry;
	const struct torc_file_form *form;
	const char *type;
	unsigned count;		/* of fields */
	struct torc_http_field fields[FIELDS_MAX];
	struct torc_file_range ranges[TORC_FILE_RANGES_MAX];
	unsigned range_count;
	struct torc_file_validator validator;
	char modified[TORC_FILE_DATE];
	char boundary[24];
	char range_text[80];
};

static void
add(struct answer *answer, const char *name, struct torc_slice value)
{
	torc_assert(answer->count < FIELDS_MAX);
	answer->fields[answer->count++] = (struct torc_http_field) {
		torc_http_text(name), value,
	};
}

static void
add_text(struct answer *answer, const char *name, const char *value)
{
	add(answer, name, torc_http_text(value));
}

/* Answer without a file: the body is the reason phrase. */
static int
refuse(struct answer *answer, unsigned status, int error)
{
	const char *reason = torc_http_reason(status);
	struct torc_http_refusal refusal = {
		.status = status, .error = error, .body = reason,
		.size = strlen(reason),
	};

	add_text(answer, "Content-Type", "text/plain");
	refusal.fields = answer->fields;
	refusal.field_count = answer->count;
	return torc_http_refuse(answer->http, &refusal, answer->deadline);
}

static unsigned
status_of(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
	case -ELOOP:	/* a symbolic link */
	case -EXDEV:	/* out of the root */
	case -EINVAL:
	case -EILSEQ:
	case -ENXIO:	/* a socket, or a device that is not there */
	case -ENODEV:
	case -ESTALE:	/* it was deleted during the look */
		return 404;
	case -EACCES:
	case -EPERM:
		return 403;
	case -ETIMEDOUT:
	case -EAGAIN:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
		return 503;
	default:
		return 500;
	}
}

/* ---- Bodies ---- */

/* Parks. Send a part of the file. A part in memory is sent at once. */
static int
send_part(struct answer *answer, struct torc_file_range range)
{
	const struct torc_file_form *form = answer->form;
	struct torc_conn *conn = answer->http->conn;
	int rc;

	if (form->body != NULL)
		rc = torc_conn_write(conn, form->body + range.first,
		    (size_t)range.size, answer->deadline);
	else
		rc = torc_file_transfer(conn, form->fd, range,
		    &answer->root->turns, torc_file_folder(answer->entry->path),
		    answer->deadline);
	return rc < 0 ? rc : torc_http_sent(answer->http, range.size);
}

static bool
is_head(const struct answer *answer)
{
	return answer->http->request.method == TORC_HTTP_HEAD;
}

/*
 * Release the request's head, which is in a buffer of the reactor: a slow peer
 * must not occupy one while it reads a large body.
 */
static void
let_head_go(struct torc_http *http)
{
	void *copy;

	/* The head is in memory of the caller already. */
	if (!http->lent)
		return;
	copy = torc_sys_alloc(http->request.size);
	if (copy == NULL)
		return;
	torc_http_keep(http, copy, http->request.size);
	torc_sys_free(copy);
	http->request.field_count = 0;
	http->request.method_name.size = 0;
	http->request.target.size = 0;
	http->request.host.size = 0;
}

/* Parks. Send the whole file, or one range. */
static int
send_one(struct answer *answer, unsigned status, struct torc_file_range range)
{
	struct torc_http *http = answer->http;
	const bool head = is_head(answer);
	int rc;

	if (answer->form->body != NULL && range.size <= PIECE)
		return torc_http_reply(http, status, answer->fields,
		    answer->count, answer->form->body + range.first,
		    (size_t)range.size, answer->deadline);
	rc = torc_http_begin(http, status, answer->fields, answer->count,
	    range.size, answer->deadline);
	if (rc == 0 && !head) {
		let_head_go(http);
		rc = send_part(answer, range);
	} else if (rc == 0) {
		rc = torc_http_sent(http, range.size);
	}
	return rc < 0 ? rc : torc_http_end(http, answer->deadline);
}

/* ---- Several ranges ---- */

/*
 * Write what comes before a part; `last`: after the last part. Returns how many
 * bytes.
 */
static size_t
part_head(const struct answer *answer, const struct torc_file_range *range,
    bool last, char text[PART_MAX])
{
	int size;

	if (last)
		size = snprintf(text, PART_MAX, "\r\n--%s--\r\n",
		    answer->boundary);
	else
		size = snprintf(text, PART_MAX, "\r\n--%s\r\n"
		    "Content-Type: %s\r\n"
		    "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
		    answer->boundary, answer->type,
		    (unsigned long long)range->first,
		    (unsigned long long)(range->first + range->size - 1),
		    (unsigned long long)answer->form->info.size);
	return (size_t)size;
}

static int
send_parts(struct answer *answer)
{
	char text[PART_MAX];
	size_t size;
	int rc = 0;

	let_head_go(answer->http);
	for (unsigned i = 0; rc == 0 && i <= answer->range_count; i++) {
		size = part_head(answer, &answer->ranges[i],
		    i == answer->range_count, text);
		rc = torc_http_write(answer->http, text, size,
		    answer->deadline);
		if (rc == 0 && i < answer->range_count)
			rc = send_part(answer, answer->ranges[i]);
	}
	return rc < 0 ? rc : torc_http_end(answer->http, answer->deadline);
}

static int
send_several(struct answer *answer)
{
	char text[PART_MAX];
	uint64_t length = part_head(answer, NULL, true, text);
	int rc;

	for (unsigned i = 0; i < answer->range_count; i++)
		length += part_head(answer, &answer->ranges[i], false, text) +
		    answer->ranges[i].size;
	rc = torc_http_begin(answer->http, 206, answer->fields, answer->count,
	    length, answer->deadline);
	return rc < 0 ? rc : send_parts(answer);
}

/*
 * Make a boundary that no file contains: the author of a file cannot know the
 * time.
 */
static void
make_boundary(struct answer *answer)
{
	static _Thread_local uint64_t counter;

	counter = (counter ^ torc_now()) * 0x9e3779b97f4a7c15u;
	snprintf(answer->boundary, sizeof(answer->boundary), "%016llx",
	    (unsigned long long)counter);
}

/* ---- Answers with a file ---- */

/*
 * Set the validators. The date of a file is not later than the answer (RFC
 * 9110, 8.8.2.1).
 */
static void
validate(struct answer *answer)
{
	const struct torc_file_form *form = answer->form;
	const int64_t modified = form->info.modified.tv_sec;
	struct timespec now;

	torc_sys_file_time(&now);
	answer->validator = (struct torc_file_validator) {
		.tag = torc_http_text(form->tag),
		.modified = modified < now.tv_sec ? modified : now.tv_sec,
		.shared = form->shared,
		.exact = torc_file_changed_before(&form->info,
		    answer->root->opened),
	};
	memcpy(answer->modified, form->modified, sizeof(answer->modified));
	if (modified > now.tv_sec && !form->untold)
		torc_file_put_date(answer->modified, now.tv_sec);
	answer->validator.dated = answer->modified[0] != '\0';
}

/* Add the fields that 304 and 412 have, too. */
static void
add_validators(struct answer *answer)
{
	const struct torc_file_config *config = &answer->root->config;
	const struct torc_file_form *forms = answer->entry->forms;

	add_text(answer, "ETag", answer->form->tag);
	if (answer->modified[0] != '\0')
		add_text(answer, "Last-Modified", answer->modified);
	if (forms[TORC_FILE_BR].there || forms[TORC_FILE_GZIP].there)
		add_text(answer, "Vary", "Accept-Encoding");
	if (config->cache_control != NULL)
		add_text(answer, "Cache-Control", config->cache_control);
}

static void
add_description(struct answer *answer)
{
	const struct torc_file_form *forms = answer->entry->forms;

	add_text(answer, "Content-Type", answer->range_count > 1 ?
	    answer->range_text : answer->type);
	if (answer->form == &forms[TORC_FILE_BR])
		add_text(answer, "Content-Encoding", "br");
	if (answer->form == &forms[TORC_FILE_GZIP])
		add_text(answer, "Content-Encoding", "gzip");
	add_text(answer, "Accept-Ranges", "bytes");
}

/* Read the requested ranges into the answer. Returns how many, 0 or -ERANGE. */
static int
find_ranges(struct answer *answer)
{
	const struct torc_http_head *request = &answer->http->request;
	const struct torc_file_form *form = answer->form;
	struct torc_slice value;

	if (request->method != TORC_HTTP_GET ||
	    torc_file_only(request, "range", &value) != 1 ||
	    !torc_file_range_counts(request, &answer->validator))
		return 0;
	return torc_file_ranges(answer->ranges,
	    answer->root->config.ranges_max, value, form->info.size);
}

static int
send_ranges(struct answer *answer)
{
	const struct torc_file_range range = answer->ranges[0];

	if (answer->range_count > 1) {
		make_boundary(answer);
		snprintf(answer->range_text, sizeof(answer->range_text),
		    "multipart/byteranges; boundary=%s", answer->boundary);
		add_description(answer);
		return send_several(answer);
	}
	add_description(answer);
	snprintf(answer->range_text, sizeof(answer->range_text),
	    "bytes %llu-%llu/%llu", (unsigned long long)range.first,
	    (unsigned long long)(range.first + range.size - 1),
	    (unsigned long long)answer->form->info.size);
	add_text(answer, "Content-Range", answer->range_text);
	return send_one(answer, 206, range);
}

static int
send_file(struct answer *answer)
{
	const struct torc_file_form *form = answer->form;
	const struct torc_file_range all = { 0, form->info.size };
	unsigned status;
	int rc;

	validate(answer);
	status = torc_file_condition(&answer->http->request,
	    &answer->validator);
	if (status == 412)
		return refuse(answer, status, 0);
	add_validators(answer);
	if (status == 304)
		return torc_http_reply(answer->http, status, answer->fields,
		    answer->count, NULL, (size_t)form->info.size,
		    answer->deadline);
	rc = find_ranges(answer);
	if (rc == -ERANGE) {
		snprintf(answer->range_text, sizeof(answer->range_text),
		    "bytes */%llu", (unsigned long long)form->info.size);
		add_text(answer, "Content-Range", answer->range_text);
		return refuse(answer, 416, -ERANGE);
	}
	answer->range_count = (unsigned)rc;
	if (rc > 0)
		return send_ranges(answer);
	add_description(answer);
	return send_one(answer, 200, all);
}

/* Returns the form that the client prefers. */
static const struct torc_file_form *
choose(const struct torc_file_kept *entry, const struct torc_http_head *request)
{
	const struct torc_file_form *best = &entry->forms[TORC_FILE_PLAIN];
	unsigned wanted[TORC_FILE_CODINGS], most = 0;

	if (!entry->forms[TORC_FILE_BR].there &&
	    !entry->forms[TORC_FILE_GZIP].there)
		return best;
	torc_file_codings(wanted, request);
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++) {
		if (entry->forms[i].there && wanted[i] > most) {
			best = &entry->forms[i];
			most = wanted[i];
		}
	}
	return best;
}

/* ---- Requests ---- */

/* Redirect: the target names a directory, but has no slash at its end. */
static int
redirect(struct answer *answer, const struct torc_file_target *target)
{
	char location[TORC_FILE_LOCATION_MAX + 2 * 4096];
	size_t size = answer->prefix.size;

	if (target->query.size > 4096 || size > 4096)
		return refuse(answer, 404, -ENAMETOOLONG);
	if (size > 0)
		memcpy(location, answer->prefix.data, size);
	size += torc_file_location(target, location + size);
	if (target->query.size > 0)
		memcpy(location + size, target->query.data,
		    target->query.size);
	size += target->query.size;
	add(answer, "Location", (struct torc_slice) {
		(const uint8_t *)location, size,
	});
	return refuse(answer, 301, 0);
}

/* Parks. */
static int
look_at(struct answer *answer, const char *path)
{
	const unsigned ms = answer->root->config.look_ms;
	const torc_deadline limit = ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_after_ms(ms);

	return torc_file_get(answer->root, path, &answer->entry,
	    torc_sooner(limit, answer->deadline));
}

/*
 * Parks. Find the entry of a target; for a directory, the entry of its index.
 */
static int
find_entry(struct answer *answer, const struct torc_file_target *target)
{
	const struct torc_file_config *config = &answer->root->config;
	char path[TORC_FILE_PATH_MAX + 260];
	int rc;

	if (!target->directory)
		return look_at(answer, target->path);
	snprintf(path, sizeof(path), "%s/%s", target->path, config->index);
	rc = config->index[0] == '\0' ? -ENOENT : look_at(answer, path);
	if (rc == 0 && answer->entry->directory) {
		torc_file_let(answer->root, answer->entry);
		return -EACCES;
	}
	if (rc != -ENOENT)
		return rc;
	/* 403 for a directory without an index, 404 if there is none. */
	rc = look_at(answer, target->path);
	if (rc < 0)
		return rc;
	rc = answer->entry->directory ? -EACCES : -ENOENT;
	torc_file_let(answer->root, answer->entry);
	return rc;
}

int
torc_file_serve_below(struct torc_file_root *root, struct torc_http *http,
    struct torc_slice prefix, torc_deadline deadline)
{
	struct answer answer;
	struct torc_file_target target;
	unsigned status;
	int rc;

	answer.root = root;
	answer.http = http;
	answer.prefix = prefix;
	answer.deadline = deadline;
	answer.count = 0;
	answer.range_count = 0;
	if (http->request.method != TORC_HTTP_GET && !is_head(&answer)) {
		add_text(&answer, "Allow", "GET, HEAD");
		return refuse(&answer, 405, 0);
	}
	status = torc_file_target(&target, http->request.target,
	    root->config.hidden);
	if (status != 0)
		return refuse(&answer, status, 0);
	rc = find_entry(&answer, &target);
	if (rc < 0)
		return rc == -ECANCELED ? rc :
		    refuse(&answer, status_of(rc), rc);
	answer.type = torc_file_type(answer.entry->path);
	answer.form = choose(answer.entry, &http->request);
	rc = answer.entry->directory ? redirect(&answer, &target) :
	    send_file(&answer);
	torc_file_let(root, answer.entry);
	return rc;
}

int
torc_file_serve(struct torc_file_root *root, struct torc_http *http,
    torc_deadline deadline)
{
	return torc_file_serve_below(root, http,
	    (struct torc_slice) { NULL, 0 }, deadline);
}
