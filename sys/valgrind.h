/* SPDX-License-Identifier: MIT */
/*
 * valgrind.h - tells valgrind what it cannot see: which memory is a stack, and
 * what the kernel has written behind its back. In every build: the requests are
 * instructions that do nothing elsewhere, and are only met if torc_valgrind()
 * has said at the start that valgrind is there.
 */
#ifndef TORC_SYS_VALGRIND_H
#define TORC_SYS_VALGRIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As <valgrind/valgrind.h> and memcheck.h number them. */
enum torc_valgrind_request {
	TORC_VALGRIND_RUNNING = 0x1001,
	TORC_VALGRIND_STACK_REGISTER = 0x1501,
	TORC_VALGRIND_STACK_DEREGISTER = 0x1502,
	TORC_VALGRIND_MEMORY_DEFINED = 0x4d430002,
};

/* The answer, or 0 without valgrind, or if its tool does not know this one. */
static inline uint64_t
torc_valgrind_ask(enum torc_valgrind_request request, uint64_t first,
    uint64_t second)
{
	uint64_t question[6] = { request, first, second, 0, 0, 0 };
	uint64_t answer = 0;

#if defined(__x86_64__)
	__asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\t"
	    "rolq $61, %%rdi\n\trolq $51, %%rdi\n\t"
	    "xchgq %%rbx, %%rbx"
	    : "+d"(answer) : "a"(question) : "cc", "memory");
#elif defined(__aarch64__)
	register uint64_t x3 __asm__("x3") = answer;
	register uint64_t *x4 __asm__("x4") = question;

	__asm__ volatile("ror x12, x12, #3\n\tror x12, x12, #13\n\t"
	    "ror x12, x12, #51\n\tror x12, x12, #61\n\t"
	    "orr x10, x10, x10"
	    : "+r"(x3) : "r"(x4) : "cc", "memory");
	answer = x3;
#endif
	return answer;
}

/* The program runs under valgrind. */
static inline bool
torc_valgrind(void)
{
	return torc_valgrind_ask(TORC_VALGRIND_RUNNING, 0, 0) != 0;
}

/* A stack that threads of the program will switch to: its number. */
static inline uint32_t
torc_valgrind_add_stack(const void *low, size_t size)
{
	const uint64_t first = (uintptr_t)low;

	return (uint32_t)torc_valgrind_ask(TORC_VALGRIND_STACK_REGISTER,
	    first, first + size - 1);
}

static inline void
torc_valgrind_remove_stack(uint32_t number)
{
	torc_valgrind_ask(TORC_VALGRIND_STACK_DEREGISTER, number, 0);
}

/* The kernel has written these bytes. */
static inline void
torc_valgrind_define(uint64_t address, size_t size)
{
	torc_valgrind_ask(TORC_VALGRIND_MEMORY_DEFINED, address, size);
}

#endif
