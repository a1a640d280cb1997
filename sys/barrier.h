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

static inline uint32_t
torc_load_relaxed_u32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint32_t
torc_load_acquire_u32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void
torc_store_release_u32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void
torc_store_release_u16(uint16_t *word, uint16_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t
torc_exchange_full_u32(uint32_t *word, uint32_t value)
{
	return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* The sum. */
static inline uint32_t
torc_add_full_u32(uint32_t *word, uint32_t value)
{
	return __atomic_add_fetch(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t
torc_load_relaxed_u64(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void
torc_store_relaxed_u64(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void *
torc_load_relaxed_ptr(void *const *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void *
torc_exchange_acquire_ptr(void **word, void *value)
{
	return __atomic_exchange_n(word, value, __ATOMIC_ACQUIRE);
}

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
