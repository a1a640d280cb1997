/* SPDX-License-Identifier: MIT */
/*
 * scan.h - the first byte of a kind, sixteen bytes at a time where the machine
 * can, by table elsewhere (and with TORC_HTTP_PORTABLE).
 *
 * The sixteen bytes before `end` are readable in all of these: what is left at
 * the end is looked at together with what lies before it.
 */
#ifndef TORC_HTTP_SCAN_H
#define TORC_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_BLOCK 16

/* RFC 9110, 5.6.2: what names are made of. */
static inline bool
is_token(uint8_t c)
{
	/* Bit n of word w: the character 32 * w + n. */
	static const uint32_t tokens[8] = {
		0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0,
	};

	return tokens[c >> 5] >> (c & 31) & 1;
}

/* Letters, digits and '-': most names are made of nothing else. */
static inline bool
is_plain(uint8_t c)
{
	uint8_t low = c | 0x20;

	return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
	    c == '-';
}

/* Most hosts, addresses and ports have nothing but these. */
static inline bool
is_host(uint8_t c)
{
	return is_plain(c) || c == '.' || c == ':';
}

/* What no value has: control characters but tab. */
static inline bool
is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* What no target has: also space, '#', and what is not ASCII. */
static inline bool
is_no_target(uint8_t c)
{
	return c <= 0x20 || c >= 0x7f || c == '#';
}

#if defined(__SSE2__) && !defined(TORC_HTTP_PORTABLE)

#include <emmintrin.h>

typedef __m128i scan_block;

#define SCAN_BITS 1u	/* of a mark, for each byte */
#define SCAN_EVERY 0xffffull	/* all bytes marked */

static inline scan_block
scan_load(const uint8_t *at)
{
	return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline scan_block
scan_all(uint8_t c)
{
	return _mm_set1_epi8((char)c);
}

/* Bytes that are `c`. */
static inline scan_block
scan_is(scan_block block, uint8_t c)
{
	return _mm_cmpeq_epi8(block, scan_all(c));
}

/* Bytes that are `c` or less. */
static inline scan_block
scan_upto(scan_block block, uint8_t c)
{
	return _mm_cmpeq_epi8(_mm_min_epu8(block, scan_all(c)), block);
}

/* Bytes from `low` to `low + count`. */
static inline scan_block
scan_range(scan_block block, uint8_t low, uint8_t count)
{
	return scan_upto(_mm_sub_epi8(block, scan_all(low)), count);
}

static inline scan_block
scan_either(scan_block a, scan_block b)
{
	return _mm_or_si128(a, b);
}

static inline scan_block
scan_without(scan_block a, scan_block b)
{
	return _mm_andnot_si128(b, a);
}

static inline uint64_t
scan_marks(scan_block block)
{
	return (uint32_t)_mm_movemask_epi8(block);
}

#elif defined(__ARM_NEON) && defined(__aarch64__) && \
    !defined(TORC_HTTP_PORTABLE)

#include <arm_neon.h>

typedef uint8x16_t scan_block;

#define SCAN_BITS 4u
#define SCAN_EVERY UINT64_MAX

static inline scan_block
scan_load(const uint8_t *at)
{
	return vld1q_u8(at);
}

static inline scan_block
scan_all(uint8_t c)
{
	return vdupq_n_u8(c);
}

static inline scan_block
scan_is(scan_block block, uint8_t c)
{
	return vceqq_u8(block, scan_all(c));
}

static inline scan_block
scan_upto(scan_block block, uint8_t c)
{
	return vcleq_u8(block, scan_all(c));
}

static inline scan_block
scan_range(scan_block block, uint8_t low, uint8_t count)
{
	return scan_upto(vsubq_u8(block, scan_all(low)), count);
}

static inline scan_block
scan_either(scan_block a, scan_block b)
{
	return vorrq_u8(a, b);
}

static inline scan_block
scan_without(scan_block a, scan_block b)
{
	return vbicq_u8(a, b);
}

/* Four bits of each byte: NEON has no movemask. */
static inline uint64_t
scan_marks(scan_block block)
{
	return vget_lane_u64(vreinterpret_u64_u8(
	    vshrn_n_u16(vreinterpretq_u16_u8(block), 4)), 0);
}

#endif

#ifdef SCAN_BITS

static inline uint64_t
mark_controls(scan_block block)
{
	return scan_marks(scan_either(
	    scan_without(scan_upto(block, 0x1f), scan_is(block, '\t')),
	    scan_is(block, 0x7f)));
}

static inline uint64_t
mark_no_target(scan_block block)
{
	scan_block visible = scan_range(block, 0x21, 0x7e - 0x21);

	return scan_marks(scan_without(visible, scan_is(block, '#'))) ^
	    SCAN_EVERY;
}

static inline uint64_t
mark_not_plain(scan_block block)
{
	scan_block low = scan_either(block, scan_all(0x20));

	return scan_marks(scan_either(scan_range(low, 'a', 25),
	    scan_either(scan_range(block, '0', 9), scan_is(block, '-')))) ^
	    SCAN_EVERY;
}

static inline uint64_t
mark_not_host(scan_block block)
{
	scan_block low = scan_either(block, scan_all(0x20));

	return scan_marks(scan_either(scan_range(low, 'a', 25),
	    scan_either(scan_range(block, '0', 10),
	    scan_range(block, '-', 1)))) ^ SCAN_EVERY;
}

static inline __attribute__((always_inline)) const uint8_t *
scan_for(const uint8_t *at, const uint8_t *end, uint64_t mark(scan_block))
{
	uint64_t marks;

	for (; end - at >= SCAN_BLOCK; at += SCAN_BLOCK) {
		marks = mark(scan_load(at));
		if (marks != 0)
			return at + (unsigned)__builtin_ctzll(marks) /
			    SCAN_BITS;
	}
	if (at >= end)
		return end;
	marks = mark(scan_load(end - SCAN_BLOCK)) >>
	    (unsigned)(SCAN_BLOCK - (end - at)) * SCAN_BITS;
	return marks != 0 ?
	    at + (unsigned)__builtin_ctzll(marks) / SCAN_BITS : end;
}

static inline const uint8_t *
find_control(const uint8_t *at, const uint8_t *end)
{
	return scan_for(at, end, mark_controls);
}

static inline const uint8_t *
find_no_target(const uint8_t *at, const uint8_t *end)
{
	return scan_for(at, end, mark_no_target);
}

static inline const uint8_t *
find_not_plain(const uint8_t *at, const uint8_t *end)
{
	return scan_for(at, end, mark_not_plain);
}

static inline const uint8_t *
find_not_host(const uint8_t *at, const uint8_t *end)
{
	return scan_for(at, end, mark_not_host);
}

#else

static inline const uint8_t *
find_control(const uint8_t *at, const uint8_t *end)
{
	while (at < end && !is_control(*at))
		at++;
	return at;
}

static inline const uint8_t *
find_no_target(const uint8_t *at, const uint8_t *end)
{
	while (at < end && !is_no_target(*at))
		at++;
	return at;
}

static inline const uint8_t *
find_not_plain(const uint8_t *at, const uint8_t *end)
{
	while (at < end && is_plain(*at))
		at++;
	return at;
}

static inline const uint8_t *
find_not_host(const uint8_t *at, const uint8_t *end)
{
	while (at < end && is_host(*at))
		at++;
	return at;
}

#endif

#endif
