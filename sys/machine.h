/* SPDX-License-Identifier: MIT */
/*
 * machine.h - the machines that torc runs on. The build begins with this file
 * and ends with it on any other machine.
 *
 * Three things are made for a machine: the context switch (switch_*.S), the
 * modes of its floating-point units (modes.h), and addresses of 64 bits, which
 * fill a word of an SQE whole.
 */
#ifndef TORC_SYS_MACHINE_H
#define TORC_SYS_MACHINE_H

#if (!defined(__x86_64__) && !defined(__aarch64__)) || \
    __SIZEOF_POINTER__ != 8 || !defined(__linux__)
#error "torc runs on Linux on x86-64 and aarch64 with 64-bit pointers only: \
another machine needs a sys/switch_*.S of its own"
#endif

#endif
