/* SPDX-License-Identifier: MIT */
/*
 * write.c - writes heads into memory of the caller. Text that a reader would
 * understand differently is not written.
 */
#include <errno.h>
#include <string.h>

#include "conn/http/http.h"
#include "conn/http/scan.h"

static inline void
put(struct torc_http_writer *writer, const void *data, size_t size)
{
	if (writer->error == 0 && size > writer->size - writer->used)
		writer->error = -ENOSPC;
	if (writer->error != 0 || size == 0)
		return;
	memcpy(writer->data + writer->used, data, size);
	writer->used += size;
}

/* A constant. */
static inline __attribute__((always_inline)) void
put_text(struct torc_http_writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static inline void
refuse_unless(struct torc_http_writer *writer, bool valid)
{
	if (!valid && writer->error == 0)
		writer->error = -EINVAL;
}

#define EACH(c) (0x0101010101010101u * (c))	/* of eight bytes */

/*
 * The high bits of the bytes from `low` to `high`. No byte may be above 0x7f.
 */
static inline uint64_t
within(uint64_t bytes, uint8_t low, uint8_t high)
{
	return (bytes + EACH(0x80u - low)) & ~(bytes + EACH(0x7fu - high));
}

/* Whether all bytes are letters, digits or "-". */
static inline bool
are_plain(uint64_t bytes)
{
	return !(bytes & EACH(0x80)) &&
	    ((within(bytes | EACH(0x20), 'a', 'z') | within(bytes, '0', '9') |
	    within(bytes, '-', '-')) & EACH(0x80)) == EACH(0x80);
}

static bool
is_name(struct torc_slice name)
{
	size_t i = 0;

	for (uint64_t bytes; name.size - i >= sizeof(bytes);
	    i += sizeof(bytes)) {
		memcpy(&bytes, name.data + i, sizeof(bytes));
		if (!are_plain(bytes))
			break;
	}
	for (; i < name.size; i++) {
		if (!is_token(name.data[i]))
			return false;
	}
	return name.size > 0;
}

/*
 * Whether a byte is less than a space, or DEL. No borrow hides the first one.
 */
static inline bool
has_control(uint64_t bytes)
{
	const uint64_t dels = bytes ^ EACH(0x7f);

	return (((bytes - EACH(0x20)) & ~bytes) |
	    ((dels - EACH(1)) & ~dels)) & EACH(0x80);
}

static bool
is_value(struct torc_slice value)
{
	size_t i = 0;

	for (uint64_t bytes; value.size - i >= sizeof(bytes);
	    i += sizeof(bytes)) {
		memcpy(&bytes, value.data + i, sizeof(bytes));
		if (has_control(bytes))
			break;
	}
	/* The rest, and everything after a tab, which is allowed. */
	for (; i < value.size; i++) {
		if (is_control(value.data[i]))
			return false;
	}
	return true;
}

bool
torc_http_may_write(const struct torc_http_field *field)
{
	return is_name(field->name) && is_value(field->value);
}

static bool
is_target(struct torc_slice target)
{
	for (size_t i = 0; i < target.size; i++) {
		if (is_no_target(target.data[i]))
			return false;
	}
	return target.size > 0;
}

void
torc_http_put_request(struct torc_http_writer *writer,
    struct torc_slice method, struct torc_slice target)
{
	refuse_unless(writer, is_name(method) && is_target(target));
	put(writer, method.data, method.size);
	put_text(writer, target.size > 0 && target.data[0] == '?' ? " /" :
	    " ");
	put(writer, target.data, target.size);
	put_text(writer, " HTTP/1.1\r\n");
}

void
torc_http_put_status(struct torc_http_writer *writer, unsigned status,
    const char *reason)
{
	char line[] = "HTTP/1.1 000 ";
	struct torc_slice words;

	if (status == 200 && reason == NULL) {
		put_text(writer, "HTTP/1.1 200 OK\r\n");
		return;
	}
	words = torc_http_text(reason != NULL ? reason :
	    torc_http_reason(status));
	refuse_unless(writer, status >= 100 && status <= 599 &&
	    (reason == NULL || is_value(words)));
	line[9] = (char)('0' + status / 100 % 10);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	put(writer, line, sizeof(line) - 1);
	put(writer, words.data, words.size);
	put_text(writer, "\r\n");
}

void
torc_http_put_field(struct torc_http_writer *writer, struct torc_slice name,
    struct torc_slice value)
{
	refuse_unless(writer, is_name(name) && is_value(value));
	put(writer, name.data, name.size);
	put_text(writer, ": ");
	put(writer, value.data, value.size);
	put_text(writer, "\r\n");
}

void
torc_http_put(struct torc_http_writer *writer, const char *name,
    const char *value)
{
	torc_http_put_field(writer, torc_http_text(name),
	    torc_http_text(value));
}

void
torc_http_put_length(struct torc_http_writer *writer, uint64_t length)
{
	static const char name[] = "Content-Length: ";
	char line[sizeof(name) + 22];
	size_t at = sizeof(line) - 2;

	memcpy(line + at, "\r\n", 2);
	do
		line[--at] = (char)('0' + length % 10);
	while ((length /= 10) > 0);
	at -= sizeof(name) - 1;
	memcpy(line + at, name, sizeof(name) - 1);
	put(writer, line + at, sizeof(line) - at);
}

int
torc_http_put_end(struct torc_http_writer *writer)
{
	put_text(writer, "\r\n");
	return writer->error != 0 ? writer->error : (int)writer->used;
}

/* ---- Statuses ---- */

const char *
torc_http_reason(unsigned status)
{
	/* Without pointers: nothing to relocate when a program starts. */
	static const struct {
		unsigned short status;
		char reason[32];
	} reasons[] = {
		{ 200, "OK" }, { 100, "Continue" },
		{ 101, "Switching Protocols" }, { 102, "Processing" },
		{ 103, "Early Hints" }, { 201, "Created" }, { 202, "Accepted" },
		{ 203, "Non-Authoritative Information" }, { 204, "No Content" },
		{ 205, "Reset Content" }, { 206, "Partial Content" },
		{ 207, "Multi-Status" }, { 208, "Already Reported" },
		{ 226, "IM Used" }, { 300, "Multiple Choices" },
		{ 301, "Moved Permanently" }, { 302, "Found" },
		{ 303, "See Other" }, { 304, "Not Modified" },
		{ 305, "Use Proxy" }, { 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 402, "Payment Required" },
		{ 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
		{ 407, "Proxy Authentication Required" },
		{ 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" }, { 423, "Locked" },
		{ 424, "Failed Dependency" }, { 425, "Too Early" },
		{ 426, "Upgrade Required" }, { 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 451, "Unavailable For Legal Reasons" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" }, { 508, "Loop Detected" },
		{ 511, "Network Authentication Required" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

unsigned
torc_http_status_of(int error)
{
	switch (error) {
	case -EBADMSG:
		return 400;
	case -ETIMEDOUT:
		return 408;
	case -EFBIG:
		return 413;
	case -ENAMETOOLONG:
		return 414;
	case -EMSGSIZE:
	case -E2BIG:
		return 431;
	case -EOPNOTSUPP:
		return 501;
	case -ECANCELED:
	case -ESHUTDOWN:
		return 503;
	case -EPROTONOSUPPORT:
		return 505;
	default:
		return 500;
	}
}
