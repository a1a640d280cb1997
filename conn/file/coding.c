/* SPDX-License-Identifier: MIT */
/* coding.c - the forms of a file that a client accepts (RFC 9110, 12.5.3). */
#include <string.h>

#include "conn/file/site.h"

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct torc_slice
trim(struct torc_slice text)
{
	while (text.size > 0 && is_space(text.data[0])) {
		text.data++;
		text.size--;
	}
	while (text.size > 0 && is_space(text.data[text.size - 1]))
		text.size--;
	return text;
}

/* Remove the part before `separator` from a text, and return it trimmed. */
static struct torc_slice
take(struct torc_slice *text, char separator)
{
	const uint8_t *end = memchr(text->data, separator, text->size);
	const size_t size = end != NULL ? (size_t)(end - text->data) :
	    text->size;
	const struct torc_slice part = { text->data, size };
	const size_t skipped = end != NULL ? size + 1 : size;

	text->data += skipped;
	text->size -= skipped;
	return trim(part);
}

bool
torc_file_element(struct torc_slice *list, struct torc_slice *element)
{
	while (list->size > 0) {
		*element = take(list, ',');
		if (element->size > 0)
			return true;
	}
	return false;
}

/* "q=0.5" is 500. An invalid weight is 0. */
static unsigned
read_weight(struct torc_slice text)
{
	unsigned weight = 0, unit = 100;

	if (text.size < 3 || text.size > 7 || (text.data[0] | 0x20) != 'q' ||
	    text.data[1] != '=' || (text.data[2] != '0' &&
	    text.data[2] != '1') || (text.size > 3 && text.data[3] != '.'))
		return 0;
	weight = text.data[2] == '1' ? 1000 : 0;
	for (size_t i = 4; i < text.size; i++, unit /= 10) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return 0;
		weight += (text.data[i] - (unsigned)'0') * unit;
	}
	return weight <= 1000 ? weight : 0;
}

/*
 * Read one element: "gzip;q=0.5". `star` is the weight of codings that are not
 * named.
 */
static void
read_coding(struct torc_slice element, unsigned wanted[TORC_FILE_CODINGS],
    bool named[TORC_FILE_CODINGS], unsigned *star)
{
	const struct torc_slice name = take(&element, ';');
	const unsigned weight = element.size > 0 ?
	    read_weight(trim(element)) : 1000;
	enum torc_file_coding coding;

	if (torc_http_equals(name, "br"))
		coding = TORC_FILE_BR;
	else if (torc_http_equals(name, "gzip") ||
	    torc_http_equals(name, "x-gzip"))
		coding = TORC_FILE_GZIP;
	else if (torc_http_equals(name, "identity"))
		coding = TORC_FILE_PLAIN;
	else if (torc_http_equals(name, "*")) {
		*star = weight;
		return;
	} else
		return;
	wanted[coding] = weight;
	named[coding] = true;
}

void
torc_file_codings(unsigned wanted[TORC_FILE_CODINGS],
    const struct torc_http_head *request)
{
	bool named[TORC_FILE_CODINGS] = { false };
	unsigned star = 0;

	wanted[TORC_FILE_BR] = 0;
	wanted[TORC_FILE_GZIP] = 0;
	/* The plain form is accepted if no other one is, unless it is
	 * excluded. */
	wanted[TORC_FILE_PLAIN] = 1;
	for (unsigned i = 0; i < request->field_count; i++) {
		struct torc_slice list = request->fields[i].value;
		struct torc_slice element;

		if (!torc_http_equals(request->fields[i].name,
		    "accept-encoding"))
			continue;
		while (torc_file_element(&list, &element))
			read_coding(element, wanted, named, &star);
	}
	for (unsigned i = 0; i < TORC_FILE_PLAIN; i++) {
		if (!named[i])
			wanted[i] = star;
	}
}
