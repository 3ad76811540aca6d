/* SPDX-License-Identifier: MIT */
/*
 * The thin layer between driver/adapter/verbs/ and librdmacm, libibverbs.
 *
 * Each function translates one call and decides nothing. Control calls return
 * 0 or -errno and give what they make through an out-parameter; the caller
 * frees what it has made, in the order region, queue pair, completion queue,
 * protection domain, id, device, adapter. One thread at a time.
 *
 * What would be a structure in a call's arguments lies in struct wsd_shared,
 * which the caller has mapped: nothing is allocated or converted when work
 * requests are posted or completions polled.
 *
 * Handles are pointers that the caller doesn't look behind. A connector is
 * named by a number on the data path, its place in a table; the caller gives
 * it out with wsd_qp_create.
 */
#ifndef WSD_SHIM_H
#define WSD_SHIM_H

#include <stdint.h>

/* Changes with any change of meaning that the sizes below don't show. */
#define WSD_ABI 4

/* Work requests of one wsd_post, and completions of one wsd_poll. */
#define WSD_BATCH 256
/* Elements of one work request. */
#define WSD_ELEMENTS 4
/* Bytes of private data in one event: librdmacm's length is 8 bits wide. */
#define WSD_PRIVATE_DATA 256
/* Connectors are numbered below this. */
#define WSD_CONNECTORS (1u << 20)

enum wsd_opcode { WSD_SEND, WSD_RECEIVE, WSD_RDMA_WRITE, WSD_RDMA_READ };

/* Bit of wsd_work_request.flags: wait for earlier RDMA reads. */
#define WSD_FENCE 1u

/* The classes of ibv_wc_status that the driver tells apart. */
enum wsd_status {
	WSD_SUCCESS,
	WSD_FLUSHED,
	WSD_LOCAL_LENGTH,
	WSD_LOCAL_PROTECTION,
	WSD_REMOTE_ACCESS,
	WSD_REMOTE_OPERATION,
	WSD_RETRY_EXCEEDED,
	WSD_RECEIVER_NOT_READY,
	WSD_FAULT,
};

struct wsd_element {
	uint32_t key;
	uint32_t length;
	uint64_t address;
};

struct wsd_work_request {
	uint32_t opcode;
	uint32_t connector;
	uint32_t context;	/* comes back in the completion */
	uint32_t flags;
	uint32_t element_count;
	uint32_t remote_key;
	uint64_t remote_address;
	struct wsd_element elements[WSD_ELEMENTS];
};

struct wsd_completion {
	uint32_t connector;
	uint32_t context;
	uint32_t status;	/* enum wsd_status */
	uint32_t bytes;		/* of a receive or read that succeeded; or 0 */
	uint32_t opcode;
	uint32_t vendor_status;	/* ibv_wc_status, vendor_err above it */
};

struct wsd_address {
	uint16_t family;	/* 4, 6, or 0: none */
	uint16_t port;		/* host order */
	uint32_t scope;		/* of a link-local address */
	uint8_t bytes[16];	/* IPv4: the first four */
};

/* What wsd_next_event and wsd_next_async report. */
struct wsd_event {
	uint64_t id;		/* the rdma_cm_id that it is about, or 0;
				 * of IBV_EVENT_CQ_ERR the wsd_cq */
	uint64_t listener;	/* with CONNECT_REQUEST */
	uint32_t type;		/* rdma_cm_event_type or ibv_event_type */
	int32_t status;		/* errno, or the reason of a rejection */
	uint32_t private_data_length;
	uint32_t reserved;
	struct wsd_address local;
	struct wsd_address remote;
	uint8_t private_data[WSD_PRIVATE_DATA];
};

struct wsd_device_info {
	uint64_t verbs;		/* equal for two ids on one device */
	uint64_t max_mr_size;
	uint64_t guid;
	uint32_t max_qp;
	uint32_t max_qp_wr;
	uint32_t max_sge;
	uint32_t max_sge_rd;
	uint32_t max_cq;
	uint32_t max_cqe;
	uint32_t max_mr;
	uint32_t max_pd;
	uint32_t max_rd_atom;	/* as responder */
	uint32_t max_init_rd_atom;
	uint32_t transport;	/* ibv_transport_type */
	uint32_t vendor;
	uint32_t port;
	uint32_t port_state;	/* ibv_port_state; 4 is active */
	uint32_t link_layer;
	uint32_t active_mtu;	/* bytes */
	uint32_t max_message;
	uint32_t ports;
	char name[64];
};

/* Arguments of wsd_connect and wsd_accept. */
struct wsd_connection {
	uint32_t private_data_length;
	uint32_t responder_resources;	/* 255: as many as can be */
	uint32_t initiator_depth;	/* likewise */
	uint32_t retry_count;
	uint32_t rnr_retry_count;
	uint8_t private_data[WSD_PRIVATE_DATA];
	uint32_t reserved;
};

/*
 * Limits of wsd_qp_create; the real ones are written back. Each queue of the
 * device has room for one more, wsd_qp_flush's marker, and the completion
 * queue is to have room for both.
 */
struct wsd_queue_limits {
	uint32_t send;
	uint32_t receive;
	uint32_t send_elements;
	uint32_t receive_elements;
	uint32_t inline_bytes;
	uint32_t reserved;
};

/* Memory that the caller maps; lives as long as the adapter. */
struct wsd_shared {
	struct wsd_work_request work_requests[WSD_BATCH];
	struct wsd_completion completions[WSD_BATCH];
	struct wsd_event event;
	struct wsd_device_info device;
	struct wsd_connection connection;
	struct wsd_queue_limits queues;
	struct wsd_address address;
	struct wsd_address source;
	int32_t refusal;	/* -errno of the last wsd_post; 0: all taken */
	uint32_t reserved;
};

_Static_assert(sizeof(struct wsd_work_request) == 96, "24 words");
_Static_assert(sizeof(struct wsd_completion) == 24, "6 words");
_Static_assert(sizeof(struct wsd_address) == 24, "6 words");
_Static_assert(sizeof(struct wsd_event) == 336, "no padding");
_Static_assert(sizeof(struct wsd_device_info) == 160, "no padding");
_Static_assert(sizeof(struct wsd_connection) == 280, "no padding");
_Static_assert(sizeof(struct wsd_queue_limits) == 24, "no padding");

struct wsd_adapter;
struct wsd_device;
struct wsd_cq;
struct rdma_cm_id;
struct ibv_pd;
struct ibv_mr;

/* For the bindings, which compare them with what they were written for. */
uint32_t wsd_abi(void);
uint32_t wsd_sizeof_shared(void);
uint32_t wsd_sizeof_work_request(void);
uint32_t wsd_sizeof_completion(void);
uint32_t wsd_sizeof_event(void);
uint32_t wsd_sizeof_device_info(void);
uint32_t wsd_sizeof_connection(void);
/* Does nothing: what a call costs. */
void wsd_null(void);

/*
 * Load the two libraries; further calls do nothing.
 *
 * Returns 0; -ENOENT: wsd_missing() names the library that isn't there or the
 * function that it lacks, in static memory.
 */
int wsd_load(void);
const char *wsd_missing(void);

/*
 * Open an event channel for connections. wsd_load has succeeded.
 *
 * -ENODEV when the kernel has no RDMA connection manager, -EACCES without
 * permission for /dev/infiniband/rdma_cm.
 */
int wsd_adapter_open(struct wsd_adapter **out);
/* Everything made with the adapter has been freed. */
void wsd_adapter_close(struct wsd_adapter *adapter);
struct wsd_shared *wsd_adapter_shared(struct wsd_adapter *adapter);
/* Readable when wsd_next_event has something. */
int wsd_adapter_fd(const struct wsd_adapter *adapter);
/*
 * Take the oldest connection event into shared->event, and acknowledge it.
 *
 * Returns 1, or 0 when there is none, or -errno. Never blocks.
 */
int wsd_next_event(struct wsd_adapter *adapter);

/*
 * Readable when wsd_next_removal has something; -1 when it never has.
 *
 * Drivers that can't take a device from its users (rxe, siw) have the kernel
 * wait until all have let go of it, and only then is librdmacm told. What can
 * be heard before is the announcement that the device's node is gone.
 */
int wsd_removals_fd(const struct wsd_adapter *adapter);
/* Returns 1 when some RDMA device may have been removed, 0 when none was. */
int wsd_next_removal(struct wsd_adapter *adapter);
/*
 * Let go of the devices that were removed: librdmacm keeps each one open until
 * it is made to look. Nothing uses them any more. It can't be made to look
 * where no device is left; then the process's end lets go of the last one.
 */
int wsd_release_devices(void);

/* Which own address reaches shared->address? Into shared->source. */
int wsd_source(struct wsd_adapter *adapter);

int wsd_id_create(struct wsd_adapter *adapter, struct rdma_cm_id **out);
/* Its queue pair has been destroyed. Ends what the id does, silently. */
int wsd_id_destroy(struct rdma_cm_id *id);
/* Bind to shared->address: a device's, or the wildcard, port 0 for any. */
int wsd_id_bind(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		int reuse);
/* Device, port and limits of a bound id into shared->device; -ENODEV: none. */
int wsd_id_device(struct wsd_adapter *adapter, struct rdma_cm_id *id);
int wsd_id_listen(struct rdma_cm_id *id, int backlog);
/* Each of the next three ends in an event. To shared->address. */
int wsd_id_resolve_address(struct wsd_adapter *adapter, struct rdma_cm_id *id,
			   int timeout_ms);
int wsd_id_resolve_route(struct rdma_cm_id *id, int timeout_ms);
/* With shared->connection; -EINVAL: more private data than 255 bytes. */
int wsd_id_connect(struct wsd_adapter *adapter, struct rdma_cm_id *id);
int wsd_id_accept(struct wsd_adapter *adapter, struct rdma_cm_id *id);
int wsd_id_reject(struct wsd_adapter *adapter, struct rdma_cm_id *id);
int wsd_id_disconnect(struct rdma_cm_id *id);
/* Tell the connection manager that data has come on a half-made connection. */
int wsd_id_notify_established(struct rdma_cm_id *id);

/* Use the device that @id is bound to, which has to stay as long. */
int wsd_device_open(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		    struct wsd_device **out);
void wsd_device_close(struct wsd_device *device);
/* 1, or 0 once its removal has begun. */
int wsd_device_is_there(const struct wsd_device *device);
/* Readable when an armed completion queue has something. */
int wsd_device_fd(const struct wsd_device *device);
/*
 * Readable when wsd_next_async has something. All that use the device in this
 * process have one queue of these, so an event can be another adapter's.
 */
int wsd_device_async_fd(const struct wsd_device *device);
/* As wsd_next_event, for asynchronous events of the device. */
int wsd_next_async(struct wsd_device *device);
/*
 * Ask for a notification of each completion queue that awaits none.
 *
 * What completed before isn't notified of: poll afterwards, before sleeping.
 */
int wsd_arm(struct wsd_device *device);
/* Take the notifications that are there. Returns how many, or -errno. */
int wsd_disarm(struct wsd_device *device);

int wsd_pd_alloc(struct wsd_device *device, struct ibv_pd **out);
int wsd_pd_free(struct ibv_pd *pd);

/*
 * Register memory in place. @access: 1 local write, 2 remote read, 4 remote
 * write. @keys[0] is the local, @keys[1] the remote key.
 *
 * The memory stays mapped until the region is deregistered.
 */
int wsd_region_register(struct ibv_pd *pd, uint64_t address, uint64_t length,
			uint32_t access, uint32_t keys[2],
			struct ibv_mr **out);
int wsd_region_deregister(struct ibv_mr *region);

/*
 * @vector says which of the device's completion vectors, its interrupts,
 * notifies of it; counted round.
 */
int wsd_cq_create(struct wsd_device *device, uint32_t depth, uint32_t vector,
		  struct wsd_cq **out);
/* No queue pair uses it any more. */
int wsd_cq_destroy(struct wsd_cq *cq);
/* How often wsd_poll has found it empty; wraps around. */
uint32_t wsd_cq_empty_count(const struct wsd_cq *cq);

/*
 * Give @id a queue pair with shared->queues, known as @connector to wsd_post
 * and wsd_poll.
 */
int wsd_qp_create(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		  struct ibv_pd *pd, struct wsd_cq *cq, uint32_t connector);
/* Put it in error: what is posted completes as flushed. */
int wsd_qp_fail(struct rdma_cm_id *id);
/*
 * Put it in error, and post a marker behind what is posted to each of its
 * queues: a device flushes when it comes to it, and each queue in order. Once
 * wsd_poll has taken both markers' completions, which it doesn't report, all
 * that was posted before has completed, and wsd_qp_is_flushed says 1. A second
 * call posts no more markers.
 *
 * -errno when it can't be put in error or a marker is refused: then nothing
 * says when all has completed. Nor does it over siw, which keeps for ever what
 * is posted in error, but has flushed the rest when wsd_qp_fail returns.
 */
int wsd_qp_flush(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		 uint32_t connector);
int wsd_qp_is_flushed(const struct wsd_adapter *adapter, uint32_t connector);
/* Time for which a sender waits after "receiver not ready"; verbs' encoding. */
int wsd_qp_set_rnr_timer(struct rdma_cm_id *id, uint32_t timer);
/*
 * Drop what was posted to @connector and hasn't been polled: no completion of
 * it comes any more. Nothing more is posted to it.
 */
void wsd_qp_forget(struct wsd_adapter *adapter, uint32_t connector);
/*
 * Destroy the queue pair of @connector, which keeps its number until
 * wsd_qp_destroy. wsd_poll still gives what its completion queue has, and then
 * the rest of what was posted as flushed: for devices that don't flush what is
 * posted after the queue pair came to be in error. Some devices take a queue
 * pair's completions out of the queue with it, so what isn't to be told as
 * flushed has to have been polled: see wsd_qp_flush. Does nothing a second
 * time.
 */
void wsd_qp_drain(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		  uint32_t connector);
/*
 * Completions of it that weren't polled are dropped by wsd_poll: @connector
 * may name another queue pair once the queue has been found empty.
 */
void wsd_qp_destroy(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		    uint32_t connector);

/*
 * Post shared->work_requests[0] to [count - 1], in order.
 *
 * Returns how many were taken: fewer than @count when the next one was
 * refused, or is none. Then shared->refusal says why: -ENOMEM when its queue
 * is full, -EINVAL when it makes no sense, or what else the device says.
 */
int wsd_post(struct wsd_adapter *adapter, uint32_t count);
/*
 * Move up to WSD_BATCH completions into shared->completions, each queue's
 * oldest first; of each work request that was taken one, and nothing else.
 *
 * Returns their number. Never blocks.
 */
int wsd_poll(struct wsd_adapter *adapter);
/*
 * As wsd_poll; while there is nothing, others get the processor and another
 * look is taken, up to @looks times.
 */
int wsd_linger(struct wsd_adapter *adapter, uint32_t looks);

#endif
