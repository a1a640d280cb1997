/* SPDX-License-Identifier: MIT */
/*
 * veil.h - the peers' side of the toy transport: the calls of script.h on a
 * connection, which may have one. On others they are these calls.
 */
#ifndef TORC_TESTS_SIM_VEIL_H
#define TORC_TESTS_SIM_VEIL_H

#include <stdbool.h>
#include <stdint.h>

/* Connections of peers to the program have it, or none; forget all of them. */
void veil_reset(bool on);
/* It is connected: greet. */
void veil_begin(int handle);
int veil_send(int handle, const uint8_t *data, uint32_t size);
int veil_recv(int handle, uint8_t *data, uint32_t size);
bool veil_can_send(int handle);
bool veil_can_recv(int handle);
/* There are records that the network did not take, and now would. */
bool veil_can_flush(int handle);
void veil_flush(int handle);
/* Say the end, which has its record; false: not yet. And whether it may go. */
bool veil_end(int handle);
bool veil_can_end(int handle);
/* It is closed: forget it. */
void veil_forget(int handle);

#endif
