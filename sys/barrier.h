/* SPDX-License-Identifier: MIT */
/*
 * barrier.h - the only place that names memory orders.
 *
 * Every word that torc shares with the kernel or with another thread is read
 * and written through these functions, and each use carries the label of its
 * row in ring/PROTOCOL.md.
 *
 * acquire: nothing after the load is done before it.
 * release: nothing before the store is done after it.
 * relaxed: only that the word is read or written whole, once.
 * full:    neither side is passed in either direction.
 */
#ifndef TORC_SYS_BARRIER_H
#define TORC_SYS_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#define TORC_LOAD(name, type, order) \
	static inline type name(type const *word) \
	{ return __atomic_load_n(word, order); }
#define TORC_STORE(name, type, order) \
	static inline void name(type *word, type value) \
	{ __atomic_store_n(word, value, order); }
/* What was there before. */
#define TORC_EXCHANGE(name, type, order) \
	static inline type name(type *word, type value) \
	{ return __atomic_exchange_n(word, value, order); }
/* The sum. */
#define TORC_ADD(name, type, order) \
	static inline type name(type *word, type value) \
	{ return __atomic_add_fetch(word, value, order); }

TORC_LOAD(torc_load_relaxed_u32, uint32_t, __ATOMIC_RELAXED)
TORC_LOAD(torc_load_relaxed_u64, uint64_t, __ATOMIC_RELAXED)
TORC_LOAD(torc_load_relaxed_ptr, void *, __ATOMIC_RELAXED)
TORC_LOAD(torc_load_acquire_u32, uint32_t, __ATOMIC_ACQUIRE)
TORC_STORE(torc_store_relaxed_u32, uint32_t, __ATOMIC_RELAXED)
TORC_STORE(torc_store_relaxed_u64, uint64_t, __ATOMIC_RELAXED)
TORC_STORE(torc_store_release_u16, uint16_t, __ATOMIC_RELEASE)
TORC_STORE(torc_store_release_u32, uint32_t, __ATOMIC_RELEASE)
TORC_EXCHANGE(torc_exchange_acquire_ptr, void *, __ATOMIC_ACQUIRE)
TORC_EXCHANGE(torc_exchange_full_u32, uint32_t, __ATOMIC_SEQ_CST)
TORC_ADD(torc_add_full_u32, uint32_t, __ATOMIC_SEQ_CST)

/*
 * Put `value` where `*expected` is; on failure `*expected` is what was. The
 * one with release may fail without a reason: it is made to be tried again.
 */
static inline bool
torc_replace_relaxed_u32(uint32_t *word, uint32_t *expected, uint32_t value)
{
	return __atomic_compare_exchange_n(word, expected, value, false,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool
torc_replace_release_ptr(void **word, void **expected, void *value)
{
	return __atomic_compare_exchange_n(word, expected, value, true,
	    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

#endif
