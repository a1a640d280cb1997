#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tables.py - write the tables of conn/pg/saslprep.c: decompositions, classes
and compositions of Unicode, and the sets of characters of RFC 3454, from what
Python knows of them. A password may only have characters of Unicode 3.2, so
these tables do not change any more.

    tools/unicode/tables.py conn/pg       # or: make tables
"""
import stringprep
import sys
import unicodedata

LAST = 0x110000
HANGUL = range(0xac00, 0xd7a4)	# they are computed
SPLIT = 0x3360			# the second half of the decompositions

HEAD = """/*
 * %s - %s.
 * Made by tools/unicode/tables.py: characters of Unicode 3.2.
 */
#include "conn/pg/saslprep.h"

"""


def units(text):
    data = text.encode('utf-16-be')
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def prohibited(char):
    return any(table(char) for table in (
        stringprep.in_table_c12, stringprep.in_table_c21,
        stringprep.in_table_c22, stringprep.in_table_c3,
        stringprep.in_table_c4, stringprep.in_table_c5,
        stringprep.in_table_c6, stringprep.in_table_c7,
        stringprep.in_table_c8, stringprep.in_table_c9))


def allowed(char):
    return not prohibited(char) and not stringprep.in_table_a1(char)


def decompositions():
    """Code point, UTF-16 of what it becomes, whether it is composed again."""
    for code in range(LAST):
        char = chr(code)
        once = unicodedata.decomposition(char)
        if not once or code in HANGUL or not allowed(char):
            continue
        full = unicodedata.normalize('NFKD', char)
        composes = (not once.startswith('<') and len(once.split()) == 2 and
                    unicodedata.normalize('NFC', char) == char and
                    unicodedata.normalize('NFD', char) == full)
        yield code, units(full), composes


def end_of_row(entries, at):
    """Of those behind each other that become characters behind each other."""
    while at + 1 < len(entries):
        (code, text, composes), (next_code, next_text, next_composes) = \
            entries[at], entries[at + 1]
        if (next_code != code + 1 or composes or next_composes or
                len(text) != 1 or next_text != [text[0] + 1]):
            break
        at += 1
    return at


def end_of_run(entries, at):
    """Of those behind each other that have as many units."""
    while (at + 1 < len(entries) and
           entries[at + 1][0] == entries[at][0] + 1 and
           len(entries[at + 1][1]) == len(entries[at][1]) and
           entries[at + 1][2] == entries[at][2]):
        at += 1
    return at


def pack(entries):
    """Runs: a gap, count << 6 | size << 1 | composes, and their units; of size
    0 the unit of the first one; of count 0 nothing but a gap."""
    words, behind, at = [], 0, 0
    while at < len(entries):
        code, text, composes = entries[at]
        last = end_of_row(entries, at)
        row = last - at >= 3
        if not row:
            last = min(end_of_run(entries, at), at + 1000)
        gap = code - behind
        while gap > 0xffff:
            words += [0xffff, 0]
            gap -= 0xffff
        count = last - at + 1
        words += [gap, count << 6 | (0 if row else len(text)) << 1 | composes]
        if row:
            words += text
        else:
            for entry in entries[at:last + 1]:
                words += entry[1]
        behind = code + count
        at = last + 1
    return words


def ranges(holds):
    first = None
    for code in range(LAST + 1):
        inside = code < LAST and holds(chr(code))
        if inside and first is None:
            first = code
        if not inside and first is not None:
            yield first, code - 1
            first = None


def classes():
    """First, last and combining class of those that have one."""
    first = None
    for code in range(LAST + 1):
        kind = (unicodedata.combining(chr(code))
                if code < LAST and allowed(chr(code)) else 0)
        if first is not None and kind != was:
            yield first, code - 1, was
            first = None
        if first is None and kind:
            first, was = code, kind


def fill(items):
    """Lines of up to 78 columns, behind a tab."""
    line = '\t'
    for item in items:
        if len(line.expandtabs(8)) + len(item) > 78:
            yield line.rstrip()
            line = '\t'
        line += item + ' '
    yield line.rstrip()


def array(out, kind, name, items):
    print('const %s %s[] = {' % (kind, name), file=out)
    for line in fill(items):
        print(line, file=out)
    print('};\nPG_COUNT(%s);\n' % name, file=out)


def write(folder, name, what, arrays):
    with open('%s/%s' % (folder, name), 'w') as out:
        out.write(HEAD % (name, what))
        for kind, of, items in arrays:
            array(out, kind, of, items)
    with open('%s/%s' % (folder, name)) as out:
        text = out.read().rstrip() + '\n'
    with open('%s/%s' % (folder, name), 'w') as out:
        out.write(text)


def numbers(words):
    return ['%d,' % word for word in words]


def pairs(holds):
    return ['{ %d, %d },' % pair for pair in ranges(holds)]


def main(folder):
    entries = list(decompositions())
    low = [entry for entry in entries if entry[0] < SPLIT]
    high = [entry for entry in entries if entry[0] >= SPLIT]
    what = 'what characters are made of'
    write(folder, 'unicode_low.c', what + ', below U+3360', [
        ('uint16_t', 'pg_decompositions_low', numbers(pack(low)))])
    write(folder, 'unicode_high.c', what + ', from U+3360 on', [
        ('uint16_t', 'pg_decompositions_high', numbers(pack(high)))])
    write(folder, 'unicode_sets.c', 'classes, and the sets of RFC 3454', [
        ('struct pg_class', 'pg_classes',
         ['{ %d, %d, %d },' % one for one in classes()]),
        ('struct pg_range', 'pg_spaces', pairs(stringprep.in_table_c12)),
        ('struct pg_range', 'pg_nothings', pairs(stringprep.in_table_b1)),
        ('struct pg_range', 'pg_prohibited', pairs(prohibited)),
        ('struct pg_range', 'pg_unassigned', pairs(stringprep.in_table_a1)),
        ('struct pg_range', 'pg_right_to_left',
         pairs(stringprep.in_table_d1)),
        ('struct pg_range', 'pg_left_to_right',
         pairs(stringprep.in_table_d2))])


main(sys.argv[1])
