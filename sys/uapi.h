/* SPDX-License-Identifier: MIT */
/*
 * uapi.h - the io_uring ABI: <linux/io_uring.h>, and what the 6.1 header of
 * Debian 12 lacks, under the kernel's own names and values.
 *
 * Values that newer headers define as macros are guarded; those that they
 * define as enumerators are macros of the same value here, which is harmless.
 * Every size and offset that torc relies on is asserted at compile time.
 */
#ifndef TORC_SYS_UAPI_H
#define TORC_SYS_UAPI_H

#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stddef.h>
#include <stdint.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)	/* Linux 6.6 */
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)	/* Linux 6.12 */
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)	/* Linux 6.15 */
#endif
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)	/* Linux 6.15 */
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)		/* Linux 6.12 */
#endif
#ifndef IORING_CQE_F_SKIP
#define IORING_CQE_F_SKIP (1U << 5)		/* Linux 6.18 */
#endif
#ifndef IORING_CQE_F_32
#define IORING_CQE_F_32 (1U << 15)		/* Linux 6.18 */
#endif
#define IOU_PBUF_RING_INC 2			/* Linux 6.12 */

/*
 * Two structures gave a name to what was padding in 6.1. The kernel reads the
 * same bytes; these declarations compile with an old header and a new one.
 */
struct torc_uapi_buf_reg {	/* struct io_uring_buf_reg */
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid;
	uint16_t flags;		/* Linux 6.4: IOU_PBUF_RING_* */
	uint64_t resv[3];
};

struct torc_uapi_getevents {	/* struct io_uring_getevents_arg */
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t min_wait_usec;	/* Linux 6.12, IORING_FEAT_MIN_TIMEOUT */
	uint64_t ts;		/* struct __kernel_timespec */
};

#define TORC_UAPI_SIZE(type, bytes) \
	_Static_assert(sizeof(type) == (bytes), "size of " #type)
#define TORC_UAPI_AT(type, field, bytes) \
	_Static_assert(offsetof(type, field) == (bytes), \
	    "offset of " #type "." #field)

TORC_UAPI_SIZE(struct io_uring_sqe, 64);
TORC_UAPI_AT(struct io_uring_sqe, opcode, 0);
TORC_UAPI_AT(struct io_uring_sqe, flags, 1);
TORC_UAPI_AT(struct io_uring_sqe, ioprio, 2);
TORC_UAPI_AT(struct io_uring_sqe, fd, 4);
TORC_UAPI_AT(struct io_uring_sqe, off, 8);
TORC_UAPI_AT(struct io_uring_sqe, addr2, 8);
TORC_UAPI_AT(struct io_uring_sqe, addr, 16);
TORC_UAPI_AT(struct io_uring_sqe, len, 24);
TORC_UAPI_AT(struct io_uring_sqe, msg_flags, 28);
TORC_UAPI_AT(struct io_uring_sqe, poll32_events, 28);
TORC_UAPI_AT(struct io_uring_sqe, accept_flags, 28);
TORC_UAPI_AT(struct io_uring_sqe, cancel_flags, 28);
TORC_UAPI_AT(struct io_uring_sqe, user_data, 32);
TORC_UAPI_AT(struct io_uring_sqe, buf_group, 40);
TORC_UAPI_AT(struct io_uring_sqe, file_index, 44);

TORC_UAPI_SIZE(struct io_uring_cqe, 16);
TORC_UAPI_AT(struct io_uring_cqe, user_data, 0);
TORC_UAPI_AT(struct io_uring_cqe, res, 8);
TORC_UAPI_AT(struct io_uring_cqe, flags, 12);

TORC_UAPI_SIZE(struct io_uring_params, 120);
TORC_UAPI_AT(struct io_uring_params, sq_entries, 0);
TORC_UAPI_AT(struct io_uring_params, cq_entries, 4);
TORC_UAPI_AT(struct io_uring_params, flags, 8);
TORC_UAPI_AT(struct io_uring_params, features, 20);
TORC_UAPI_AT(struct io_uring_params, sq_off, 40);
TORC_UAPI_AT(struct io_uring_params, cq_off, 80);
TORC_UAPI_SIZE(struct io_sqring_offsets, 40);
TORC_UAPI_SIZE(struct io_cqring_offsets, 40);

TORC_UAPI_SIZE(struct io_uring_buf, 16);
TORC_UAPI_AT(struct io_uring_buf, addr, 0);
TORC_UAPI_AT(struct io_uring_buf, len, 8);
TORC_UAPI_AT(struct io_uring_buf, bid, 12);
TORC_UAPI_AT(struct io_uring_buf, resv, 14);	/* the tail, in entry 0 */

TORC_UAPI_SIZE(struct io_uring_buf_reg, 40);
TORC_UAPI_SIZE(struct torc_uapi_buf_reg, sizeof(struct io_uring_buf_reg));
TORC_UAPI_AT(struct torc_uapi_buf_reg, bgid, 12);
TORC_UAPI_AT(struct torc_uapi_buf_reg, flags, 14);
TORC_UAPI_SIZE(struct io_uring_getevents_arg, 24);
TORC_UAPI_SIZE(struct torc_uapi_getevents,
    sizeof(struct io_uring_getevents_arg));
TORC_UAPI_AT(struct torc_uapi_getevents, min_wait_usec, 12);
TORC_UAPI_AT(struct torc_uapi_getevents, ts, 16);
TORC_UAPI_SIZE(struct io_uring_rsrc_update, 16);
TORC_UAPI_SIZE(struct __kernel_timespec, 16);

#endif
