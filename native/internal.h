/* SPDX-License-Identifier: MIT */
/* What the files of the shim share. */
#ifndef WSD_INTERNAL_H
#define WSD_INTERNAL_H

#include "shim.h"

#include <errno.h>
#include <stdbool.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

/* Macros over functions of the same name, which are what is called here. */
#undef ibv_reg_mr
#undef ibv_query_port

/* What is used of each library. */
#define RDMACM_FUNCTIONS(X) \
	X(rdma_accept) \
	X(rdma_ack_cm_event) \
	X(rdma_bind_addr) \
	X(rdma_connect) \
	X(rdma_create_event_channel) \
	X(rdma_create_id) \
	X(rdma_create_qp) \
	X(rdma_destroy_event_channel) \
	X(rdma_destroy_id) \
	X(rdma_destroy_qp) \
	X(rdma_disconnect) \
	X(rdma_free_devices) \
	X(rdma_get_cm_event) \
	X(rdma_get_devices) \
	X(rdma_listen) \
	X(rdma_notify) \
	X(rdma_reject) \
	X(rdma_resolve_addr) \
	X(rdma_resolve_route) \
	X(rdma_set_option)

#define IBVERBS_FUNCTIONS(X) \
	X(ibv_ack_async_event) \
	X(ibv_ack_cq_events) \
	X(ibv_alloc_pd) \
	X(ibv_create_comp_channel) \
	X(ibv_create_cq) \
	X(ibv_dealloc_pd) \
	X(ibv_dereg_mr) \
	X(ibv_destroy_comp_channel) \
	X(ibv_destroy_cq) \
	X(ibv_fork_init) \
	X(ibv_get_async_event) \
	X(ibv_get_cq_event) \
	X(ibv_get_device_name) \
	X(ibv_is_fork_initialized) \
	X(ibv_modify_qp) \
	X(ibv_query_device) \
	X(ibv_reg_mr)

/* Inline functions of verbs.h; they call the device's driver. */
#define INLINE_FUNCTIONS(X) \
	X(ibv_poll_cq) \
	X(ibv_post_recv) \
	X(ibv_post_send) \
	X(query_port) \
	X(ibv_req_notify_cq)

#define POINTER(name) __typeof__(name) *name;
struct wsd_library {
	RDMACM_FUNCTIONS(POINTER)
	IBVERBS_FUNCTIONS(POINTER)
};
#undef POINTER
extern struct wsd_library wsd_library;

/*
 * CALL(name, failed, ...) calls the library. In a build for tests the k-th
 * use of a function can be made to fail instead, with errno set and the value
 * @failed; test/faults.h has the other half.
 */
#ifdef WSD_FAULTS
#include "test/faults.h"
#else
#define FAULT(name) false
#endif
#define CALL(name, failed, ...) \
	(FAULT(name) ? (failed) : wsd_library.name(__VA_ARGS__))
#define INLINE_CALL(name, failed, ...) \
	(FAULT(name) ? (failed) : name(__VA_ARGS__))

/* One queue of completions, shared by many queue pairs of a device. */
struct wsd_cq {
	struct ibv_cq *cq;
	struct wsd_device *device;
	struct wsd_cq *next;	/* of all devices', in a ring */
	bool armed;
	uint32_t empty_count;
};

struct wsd_device {
	struct wsd_adapter *adapter;
	struct ibv_context *verbs;
	struct ibv_comp_channel *channel;
	int async_fd;		/* a copy, to be watched beside others' */
	uint32_t armed_count;	/* of its completion queues */
};

/*
 * What has been posted to one queue and hasn't completed, in order; begin and
 * end run on, and their difference is at most mask + 1.
 */
struct posted {
	uint64_t *wr_ids;	/* WSD_NONE: completed out of turn */
	uint32_t mask;		/* places are a power of two */
	uint32_t begin;
	uint32_t end;
	bool is_marked;		/* a marker was posted behind it all */
	bool is_flushed;	/* which has completed */
};

#define WSD_NONE UINT64_MAX

struct connector {
	struct ibv_qp *qp;	/* NULL: none, or drained */
	uint32_t inline_bytes;
	bool exists;
	bool drained;
	struct posted sends;	/* writes and reads as well */
	struct posted receives;
};

struct wsd_adapter {
	struct rdma_event_channel *channel;
	int removals_fd;	/* -1: the kernel's announcements can't be had */
	struct wsd_cq *last_cq;	/* polled last; NULL: none */
	struct connector *connectors;	/* by number */
	uint32_t connector_count;
	uint32_t drained_count;	/* of those that have something posted left */
	struct wsd_shared *shared;
};

/* What a function says that returns -1 and sets errno. */
static inline int as_errno(int result)
{
	return result ? -errno : 0;
}

/* Returns 0 or -errno. */
int set_nonblocking(int fd);
/* A descriptor of the kernel's announcements; -1 when they can't be had. */
int removals_open(void);
/*
 * Post a marker to each queue of a queue pair in error that has had none.
 * Returns 0 or -errno.
 */
int post_markers(struct connector *connector, uint32_t number);
/* Free the table of connectors, and what each has posted. */
void connectors_free(struct wsd_adapter *adapter);

#endif
