/* SPDX-License-Identifier: MIT */
/* See shim.h. What each call means is in rdma_cm(7) and the manual's ibv_*. */
#define _GNU_SOURCE
#include "shim.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

/* Macros over functions of the same name, which are what is called here. */
#undef ibv_reg_mr
#undef ibv_query_port

/* As in verbs.h, but for its fallback to drivers from before 2012. */
static int query_port(struct ibv_context *context, uint8_t port,
		      struct ibv_port_attr *attr)
{
	struct verbs_context *verbs = verbs_get_ctx_op(context, query_port);

	if (!verbs)
		return errno = EOPNOTSUPP;
	memset(attr, 0, sizeof(*attr));
	return verbs->query_port(context, port, attr, sizeof(*attr));
}
#define ibv_query_port query_port

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
	X(rdma_get_cm_event) \
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
	X(ibv_modify_qp) \
	X(ibv_query_device) \
	X(ibv_reg_mr)

/* Inline functions of verbs.h; they call the device's driver. */
#define INLINE_FUNCTIONS(X) \
	X(ibv_poll_cq) \
	X(ibv_post_recv) \
	X(ibv_post_send) \
	X(ibv_query_port) \
	X(ibv_req_notify_cq)

#define POINTER(name) __typeof__(name) *name;
static struct {
	RDMACM_FUNCTIONS(POINTER)
	IBVERBS_FUNCTIONS(POINTER)
} lib;
#undef POINTER

/*
 * CALL(name, failed, ...) calls the library. In a build for tests the k-th
 * use of a function can be made to fail instead, with errno and the value
 * @failed; test/faults.h has the other half.
 */
#ifdef WSD_FAULTS
#include "test/faults.h"
#else
#define FAULT(name) false
#endif
#define CALL(name, failed, ...) \
	(FAULT(name) ? (failed) : lib.name(__VA_ARGS__))
#define INLINE_CALL(name, failed, ...) \
	(FAULT(name) ? (failed) : name(__VA_ARGS__))

/* One queue of completions, shared by many queue pairs of a device. */
struct wsd_cq {
	struct ibv_cq *cq;
	struct wsd_device *device;
	struct wsd_cq *next;
	bool armed;
	uint32_t empty_count;
};

struct wsd_device {
	struct wsd_adapter *adapter;
	struct ibv_context *verbs;
	struct ibv_comp_channel *channel;
	int async_fd;		/* a copy, to be watched beside others' */
	struct wsd_device *next;
	struct wsd_cq *cqs;
	uint32_t armed_count;
};

struct connector {
	struct ibv_qp *qp;
	uint32_t inline_bytes;
};

struct wsd_adapter {
	struct rdma_event_channel *channel;
	struct wsd_device *devices;
	struct connector *connectors;	/* by number; qp NULL: none */
	uint32_t connector_count;
	struct wsd_shared *shared;
};

/*
 * What a completion says of its work request, since with an error it says
 * little else: operation in the upper two bits, connector below it, context.
 */
static uint64_t to_wr_id(uint32_t opcode, uint32_t connector, uint32_t context)
{
	return (uint64_t)opcode << 62 | (uint64_t)connector << 32 | context;
}

static int as_errno(int result)
{
	return result ? -errno : 0;
}

uint32_t wsd_abi(void)
{
	return WSD_ABI;
}

uint32_t wsd_sizeof_shared(void)
{
	return sizeof(struct wsd_shared);
}

uint32_t wsd_sizeof_work_request(void)
{
	return sizeof(struct wsd_work_request);
}

uint32_t wsd_sizeof_completion(void)
{
	return sizeof(struct wsd_completion);
}

uint32_t wsd_sizeof_event(void)
{
	return sizeof(struct wsd_event);
}

uint32_t wsd_sizeof_device_info(void)
{
	return sizeof(struct wsd_device_info);
}

uint32_t wsd_sizeof_connection(void)
{
	return sizeof(struct wsd_connection);
}

void wsd_null(void)
{
}

static const char *missing;

const char *wsd_missing(void)
{
	return missing;
}

int wsd_load(void)
{
	static const char verbs_name[] = "libibverbs.so.1";
	static const char rdmacm_name[] = "librdmacm.so.1";
	static bool loaded;
	void *verbs, *rdmacm;

	if (loaded)
		return 0;
	verbs = dlopen(verbs_name, RTLD_NOW | RTLD_GLOBAL);
	if (!verbs) {
		missing = verbs_name;
		return -ENOENT;
	}
	rdmacm = dlopen(rdmacm_name, RTLD_NOW | RTLD_GLOBAL);
	if (!rdmacm) {
		missing = rdmacm_name;
		goto err_verbs;
	}
#define LOAD(library, name) \
	*(void **)&lib.name = dlsym(library, #name); \
	if (!lib.name) { \
		missing = #name; \
		goto err_rdmacm; \
	}
#define LOAD_VERBS(name) LOAD(verbs, name)
#define LOAD_RDMACM(name) LOAD(rdmacm, name)
	IBVERBS_FUNCTIONS(LOAD_VERBS)
	RDMACM_FUNCTIONS(LOAD_RDMACM)
	/*
	 * The program may start others. Kernels before 5.12 would copy pinned
	 * pages away from under the device then; on others this does nothing.
	 */
	if (CALL(ibv_fork_init, errno)) {
		missing = "ibv_fork_init";
		goto err_rdmacm;
	}
	loaded = true;
	return 0;

err_rdmacm:
	dlclose(rdmacm);
err_verbs:
	dlclose(verbs);
	return -ENOENT;
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	return as_errno(fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0);
}

int wsd_adapter_open(struct wsd_adapter **out)
{
	struct wsd_adapter *adapter = calloc(1, sizeof(*adapter));
	int ret;

	if (!adapter)
		return -ENOMEM;
	adapter->shared = calloc(1, sizeof(*adapter->shared));
	if (!adapter->shared) {
		ret = -ENOMEM;
		goto err_adapter;
	}
	adapter->channel = CALL(rdma_create_event_channel, NULL);
	if (!adapter->channel) {
		ret = -errno;
		goto err_shared;
	}
	ret = set_nonblocking(adapter->channel->fd);
	if (ret)
		goto err_channel;
	*out = adapter;
	return 0;

err_channel:
	lib.rdma_destroy_event_channel(adapter->channel);
err_shared:
	free(adapter->shared);
err_adapter:
	free(adapter);
	return ret;
}

void wsd_adapter_close(struct wsd_adapter *adapter)
{
	lib.rdma_destroy_event_channel(adapter->channel);
	free(adapter->connectors);
	free(adapter->shared);
	free(adapter);
}

struct wsd_shared *wsd_adapter_shared(struct wsd_adapter *adapter)
{
	return adapter->shared;
}

int wsd_adapter_fd(const struct wsd_adapter *adapter)
{
	return adapter->channel->fd;
}

static void get_address(struct wsd_address *to, const struct sockaddr *from)
{
	const struct sockaddr_in *in = (const void *)from;
	const struct sockaddr_in6 *in6 = (const void *)from;

	memset(to, 0, sizeof(*to));
	if (from->sa_family == AF_INET) {
		to->family = 4;
		to->port = ntohs(in->sin_port);
		memcpy(to->bytes, &in->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		to->family = 6;
		to->port = ntohs(in6->sin6_port);
		to->scope = in6->sin6_scope_id;
		memcpy(to->bytes, &in6->sin6_addr, 16);
	}
}

static void set_address(struct sockaddr_storage *to,
			const struct wsd_address *from)
{
	struct sockaddr_in *in = (void *)to;
	struct sockaddr_in6 *in6 = (void *)to;

	memset(to, 0, sizeof(*to));
	if (from->family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(from->port);
		in6->sin6_scope_id = from->scope;
		memcpy(&in6->sin6_addr, from->bytes, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(from->port);
		memcpy(&in->sin_addr, from->bytes, 4);
	}
}

int wsd_next_event(struct wsd_adapter *adapter)
{
	struct wsd_event *out = &adapter->shared->event;
	const struct rdma_conn_param *conn;
	struct rdma_cm_event *event;
	struct rdma_addr *addr;

	if (CALL(rdma_get_cm_event, -1, adapter->channel, &event))
		return errno == EAGAIN ? 0 : -errno;
	conn = &event->param.conn;
	addr = &event->id->route.addr;
	out->id = (uintptr_t)event->id;
	out->listener = (uintptr_t)event->listen_id;
	out->type = event->event;
	out->status = event->status;
	get_address(&out->local, &addr->src_addr);
	get_address(&out->remote, &addr->dst_addr);
	out->private_data_length = 0;
	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
	case RDMA_CM_EVENT_ESTABLISHED:
	case RDMA_CM_EVENT_REJECTED:
		if (conn->private_data) {
			out->private_data_length = conn->private_data_len;
			memcpy(out->private_data, conn->private_data,
			       conn->private_data_len);
		}
		break;
	default:
		break;
	}
	/* All of it is copied, so nothing can await this when the id goes. */
	lib.rdma_ack_cm_event(event);
	return 1;
}

int wsd_source(struct wsd_adapter *adapter)
{
	struct sockaddr_storage to, from;
	socklen_t length = sizeof(from);
	int fd, ret = 0;

	set_address(&to, &adapter->shared->address);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Connecting a datagram socket sends nothing; it looks up the route. */
	if (connect(fd, (void *)&to, to.ss_family == AF_INET6 ?
		    sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) ||
	    getsockname(fd, (void *)&from, &length))
		ret = -errno;
	else
		get_address(&adapter->shared->source, (void *)&from);
	close(fd);
	return ret;
}

int wsd_id_create(struct wsd_adapter *adapter, struct rdma_cm_id **out)
{
	return as_errno(CALL(rdma_create_id, -1, adapter->channel, out, NULL,
			     RDMA_PS_TCP));
}

int wsd_id_destroy(struct rdma_cm_id *id)
{
	return as_errno(CALL(rdma_destroy_id, -1, id));
}

int wsd_id_bind(struct wsd_adapter *adapter, struct rdma_cm_id *id, int reuse)
{
	const struct wsd_address *address = &adapter->shared->address;
	struct sockaddr_storage to;
	int one = 1;

	set_address(&to, address);
	/* So that the same port can be had for IPv4. */
	if (address->family == 6 &&
	    CALL(rdma_set_option, -1, id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY,
		 &one, sizeof(one)))
		return -errno;
	if (reuse &&
	    CALL(rdma_set_option, -1, id, RDMA_OPTION_ID,
		 RDMA_OPTION_ID_REUSEADDR, &one, sizeof(one)))
		return -errno;
	return as_errno(CALL(rdma_bind_addr, -1, id, (void *)&to));
}

int wsd_id_device(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	struct wsd_device_info *out = &adapter->shared->device;
	struct ibv_device_attr device;
	struct ibv_port_attr port;
	int ret;

	if (!id->verbs)
		return -ENODEV;
	ret = CALL(ibv_query_device, errno, id->verbs, &device);
	if (ret)
		return -ret;
	ret = INLINE_CALL(ibv_query_port, errno, id->verbs, id->port_num,
			  &port);
	if (ret)
		return -ret;
	*out = (struct wsd_device_info) {
		.verbs = (uintptr_t)id->verbs,
		.max_mr_size = device.max_mr_size,
		.guid = be64toh(device.node_guid),
		.max_qp = device.max_qp,
		.max_qp_wr = device.max_qp_wr,
		.max_sge = device.max_sge,
		.max_sge_rd = device.max_sge_rd,
		.max_cq = device.max_cq,
		.max_cqe = device.max_cqe,
		.max_mr = device.max_mr,
		.max_pd = device.max_pd,
		.max_rd_atom = device.max_qp_rd_atom,
		.max_init_rd_atom = device.max_qp_init_rd_atom,
		.transport = id->verbs->device->transport_type,
		.vendor = device.vendor_id,
		.port = id->port_num,
		.port_state = port.state,
		.link_layer = port.link_layer,
		.active_mtu = 128u << port.active_mtu,
		.max_message = port.max_msg_sz,
		.ports = device.phys_port_cnt,
	};
	strncpy(out->name, lib.ibv_get_device_name(id->verbs->device),
		sizeof(out->name) - 1);
	return 0;
}

int wsd_id_listen(struct rdma_cm_id *id, int backlog)
{
	return as_errno(CALL(rdma_listen, -1, id, backlog));
}

int wsd_id_resolve_address(struct wsd_adapter *adapter, struct rdma_cm_id *id,
			   int timeout_ms)
{
	struct sockaddr_storage to;

	set_address(&to, &adapter->shared->address);
	return as_errno(CALL(rdma_resolve_addr, -1, id, NULL, (void *)&to,
			     timeout_ms));
}

int wsd_id_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	return as_errno(CALL(rdma_resolve_route, -1, id, timeout_ms));
}

static struct rdma_conn_param to_conn_param(const struct wsd_connection *from)
{
	return (struct rdma_conn_param) {
		.private_data = from->private_data,
		.private_data_len = from->private_data_length,
		.responder_resources = from->responder_resources,
		.initiator_depth = from->initiator_depth,
		.retry_count = from->retry_count,
		.rnr_retry_count = from->rnr_retry_count,
	};
}

int wsd_id_connect(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	struct rdma_conn_param param =
		to_conn_param(&adapter->shared->connection);

	return as_errno(CALL(rdma_connect, -1, id, &param));
}

int wsd_id_accept(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	struct rdma_conn_param param =
		to_conn_param(&adapter->shared->connection);

	return as_errno(CALL(rdma_accept, -1, id, &param));
}

int wsd_id_reject(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	const struct wsd_connection *with = &adapter->shared->connection;

	return as_errno(CALL(rdma_reject, -1, id, with->private_data,
			     with->private_data_length));
}

int wsd_id_disconnect(struct rdma_cm_id *id)
{
	return as_errno(CALL(rdma_disconnect, -1, id));
}

int wsd_id_notify_established(struct rdma_cm_id *id)
{
	return as_errno(CALL(rdma_notify, -1, id, IBV_EVENT_COMM_EST));
}

int wsd_device_open(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		    struct wsd_device **out)
{
	struct wsd_device *device;
	int ret;

	if (!id->verbs)
		return -ENODEV;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->adapter = adapter;
	device->verbs = id->verbs;
	device->channel = CALL(ibv_create_comp_channel, NULL, id->verbs);
	if (!device->channel) {
		ret = -errno;
		goto err_device;
	}
	ret = set_nonblocking(device->channel->fd);
	if (!ret)
		ret = set_nonblocking(id->verbs->async_fd);
	if (ret)
		goto err_channel;
	device->async_fd = fcntl(id->verbs->async_fd, F_DUPFD_CLOEXEC, 0);
	if (device->async_fd < 0) {
		ret = -errno;
		goto err_channel;
	}
	device->next = adapter->devices;
	adapter->devices = device;
	*out = device;
	return 0;

err_channel:
	lib.ibv_destroy_comp_channel(device->channel);
err_device:
	free(device);
	return ret;
}

void wsd_device_close(struct wsd_device *device)
{
	struct wsd_device **at = &device->adapter->devices;

	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
	close(device->async_fd);
	lib.ibv_destroy_comp_channel(device->channel);
	free(device);
}

int wsd_device_fd(const struct wsd_device *device)
{
	return device->channel->fd;
}

int wsd_device_async_fd(const struct wsd_device *device)
{
	return device->async_fd;
}

int wsd_next_async(struct wsd_device *device)
{
	struct wsd_event *out = &device->adapter->shared->event;
	struct ibv_async_event event;

	if (CALL(ibv_get_async_event, -1, device->verbs, &event))
		return errno == EAGAIN ? 0 : -errno;
	memset(out, 0, sizeof(*out));
	out->type = event.event_type;
	switch (event.event_type) {
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
	case IBV_EVENT_COMM_EST:
		out->id = (uintptr_t)event.element.qp->qp_context;
		break;
	default:
		break;
	}
	lib.ibv_ack_async_event(&event);
	return 1;
}

int wsd_arm(struct wsd_device *device)
{
	struct wsd_cq *cq;
	int ret;

	for (cq = device->cqs; cq; cq = cq->next) {
		if (cq->armed)
			continue;
		ret = INLINE_CALL(ibv_req_notify_cq, errno, cq->cq, 0);
		if (ret)
			return -ret;
		cq->armed = true;
		device->armed_count++;
	}
	return 0;
}

int wsd_disarm(struct wsd_device *device)
{
	struct wsd_cq *cq;
	struct ibv_cq *which;
	void *context;
	int count = 0;

	/* Each armed queue notifies once, so often nothing more is to be read. */
	while (device->armed_count > 0) {
		if (CALL(ibv_get_cq_event, -1, device->channel, &which,
			 &context))
			return errno == EAGAIN ? count : -errno;
		lib.ibv_ack_cq_events(which, 1);
		cq = context;
		cq->armed = false;
		device->armed_count--;
		count++;
	}
	return count;
}

int wsd_pd_alloc(struct wsd_device *device, struct ibv_pd **out)
{
	*out = CALL(ibv_alloc_pd, NULL, device->verbs);
	return as_errno(!*out);
}

int wsd_pd_free(struct ibv_pd *pd)
{
	return -CALL(ibv_dealloc_pd, errno, pd);
}

int wsd_region_register(struct ibv_pd *pd, uint64_t address, uint64_t length,
			uint32_t access, uint32_t keys[2], struct ibv_mr **out)
{
	int flags = (access & 1 ? IBV_ACCESS_LOCAL_WRITE : 0) |
		    (access & 2 ? IBV_ACCESS_REMOTE_READ : 0) |
		    (access & 4 ? IBV_ACCESS_REMOTE_WRITE : 0);
	struct ibv_mr *mr = CALL(ibv_reg_mr, NULL, pd,
				 (void *)(uintptr_t)address, length, flags);

	if (!mr)
		return -errno;
	keys[0] = mr->lkey;
	keys[1] = mr->rkey;
	*out = mr;
	return 0;
}

int wsd_region_deregister(struct ibv_mr *region)
{
	return -CALL(ibv_dereg_mr, errno, region);
}

int wsd_cq_create(struct wsd_device *device, uint32_t depth,
		  struct wsd_cq **out)
{
	struct wsd_cq *cq = calloc(1, sizeof(*cq));
	int ret;

	if (!cq)
		return -ENOMEM;
	cq->device = device;
	cq->cq = CALL(ibv_create_cq, NULL, device->verbs, depth, cq,
		      device->channel, 0);
	if (!cq->cq) {
		ret = -errno;
		free(cq);
		return ret;
	}
	cq->next = device->cqs;
	device->cqs = cq;
	*out = cq;
	return 0;
}

int wsd_cq_destroy(struct wsd_cq *cq)
{
	struct wsd_cq **at = &cq->device->cqs;
	int ret = CALL(ibv_destroy_cq, errno, cq->cq);

	if (ret)
		return -ret;
	while (*at != cq)
		at = &(*at)->next;
	*at = cq->next;
	if (cq->armed)
		cq->device->armed_count--;
	free(cq);
	return 0;
}

uint32_t wsd_cq_empty_count(const struct wsd_cq *cq)
{
	return cq->empty_count;
}

/* Room for @number in the table. */
static int grow_connectors(struct wsd_adapter *adapter, uint32_t number)
{
	uint32_t count = adapter->connector_count ? adapter->connector_count : 64;
	struct connector *grown;

	if (number >= WSD_CONNECTORS)
		return -EINVAL;
	if (number < adapter->connector_count)
		return 0;
	while (count <= number)
		count *= 2;
	grown = realloc(adapter->connectors, count * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + adapter->connector_count, 0,
	       (count - adapter->connector_count) * sizeof(*grown));
	adapter->connectors = grown;
	adapter->connector_count = count;
	return 0;
}

int wsd_qp_create(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		  struct ibv_pd *pd, struct wsd_cq *cq, uint32_t connector)
{
	struct wsd_queue_limits *limits = &adapter->shared->queues;
	struct ibv_qp_init_attr attr = {
		.qp_context = id,
		.send_cq = cq->cq,
		.recv_cq = cq->cq,
		.cap = {
			.max_send_wr = limits->send,
			.max_recv_wr = limits->receive,
			.max_send_sge = limits->send_elements,
			.max_recv_sge = limits->receive_elements,
			.max_inline_data = limits->inline_bytes,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	int ret = grow_connectors(adapter, connector);

	if (ret)
		return ret;
	if (adapter->connectors[connector].qp)
		return -EEXIST;
	if (CALL(rdma_create_qp, -1, id, pd, &attr))
		return -errno;
	limits->send = attr.cap.max_send_wr;
	limits->receive = attr.cap.max_recv_wr;
	limits->send_elements = attr.cap.max_send_sge;
	limits->receive_elements = attr.cap.max_recv_sge;
	limits->inline_bytes = attr.cap.max_inline_data;
	adapter->connectors[connector] = (struct connector) {
		.qp = id->qp,
		.inline_bytes = attr.cap.max_inline_data,
	};
	return 0;
}

int wsd_qp_fail(struct rdma_cm_id *id)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	return -CALL(ibv_modify_qp, errno, id->qp, &attr, IBV_QP_STATE);
}

int wsd_qp_set_rnr_timer(struct rdma_cm_id *id, uint32_t timer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.min_rnr_timer = timer,
	};

	return -CALL(ibv_modify_qp, errno, id->qp, &attr,
		     IBV_QP_STATE | IBV_QP_MIN_RNR_TIMER);
}

int wsd_qp_destroy(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		   uint32_t connector)
{
	/* librdmacm's own function hides whether it worked. */
	lib.rdma_destroy_qp(id);
	adapter->connectors[connector].qp = NULL;
	return 0;
}

/* Translate one work request; the caller links them. Returns its length. */
static uint64_t to_elements(const struct wsd_work_request *from,
			    struct ibv_sge *to)
{
	uint64_t length = 0;
	uint32_t i;

	for (i = 0; i < from->element_count; i++) {
		to[i].addr = from->elements[i].address;
		to[i].length = from->elements[i].length;
		to[i].lkey = from->elements[i].key;
		length += to[i].length;
	}
	return length;
}

/* Longest chain of work requests that one call to the device gets. */
#define CHAIN 32

static int post_receives(struct ibv_qp *qp, const struct wsd_work_request *from,
			 uint32_t count)
{
	struct ibv_sge elements[CHAIN][WSD_ELEMENTS];
	struct ibv_recv_wr wr[CHAIN], *bad = NULL;
	uint32_t i;

	for (i = 0; i < count; i++) {
		to_elements(&from[i], elements[i]);
		wr[i] = (struct ibv_recv_wr) {
			.wr_id = to_wr_id(WSD_RECEIVE, from[i].connector,
					  from[i].context),
			.next = i + 1 < count ? &wr[i + 1] : NULL,
			.sg_list = elements[i],
			.num_sge = from[i].element_count,
		};
	}
	if (INLINE_CALL(ibv_post_recv, (bad = wr, errno), qp, wr, &bad))
		return bad ? bad - wr : 0;
	return count;
}

static int post_sends(const struct connector *connector,
		      const struct wsd_work_request *from, uint32_t count)
{
	static const enum ibv_wr_opcode opcodes[] = {
		[WSD_SEND] = IBV_WR_SEND,
		[WSD_RDMA_WRITE] = IBV_WR_RDMA_WRITE,
		[WSD_RDMA_READ] = IBV_WR_RDMA_READ,
	};
	struct ibv_sge elements[CHAIN][WSD_ELEMENTS];
	struct ibv_send_wr wr[CHAIN], *bad = NULL;
	uint64_t length;
	uint32_t i;

	for (i = 0; i < count; i++) {
		length = to_elements(&from[i], elements[i]);
		wr[i] = (struct ibv_send_wr) {
			.wr_id = to_wr_id(from[i].opcode, from[i].connector,
					  from[i].context),
			.next = i + 1 < count ? &wr[i + 1] : NULL,
			.sg_list = elements[i],
			.num_sge = from[i].element_count,
			.opcode = opcodes[from[i].opcode],
			.wr.rdma = {
				.remote_addr = from[i].remote_address,
				.rkey = from[i].remote_key,
			},
		};
		if (from[i].flags & WSD_FENCE)
			wr[i].send_flags |= IBV_SEND_FENCE;
		if (from[i].opcode != WSD_RDMA_READ &&
		    length <= connector->inline_bytes)
			wr[i].send_flags |= IBV_SEND_INLINE;
	}
	if (INLINE_CALL(ibv_post_send, (bad = wr, errno), connector->qp, wr,
			&bad))
		return bad ? bad - wr : 0;
	return count;
}

static bool is_valid(const struct wsd_adapter *adapter,
		     const struct wsd_work_request *request)
{
	return request->opcode <= WSD_RDMA_READ &&
	       request->element_count <= WSD_ELEMENTS &&
	       request->connector < adapter->connector_count &&
	       adapter->connectors[request->connector].qp;
}

int wsd_post(struct wsd_adapter *adapter, uint32_t count)
{
	const struct wsd_work_request *requests =
		adapter->shared->work_requests;
	uint32_t from = 0, to, taken;

	if (count > WSD_BATCH)
		count = WSD_BATCH;
	while (from < count) {
		const struct wsd_work_request *first = &requests[from];
		const struct connector *connector;
		bool receives = first->opcode == WSD_RECEIVE;

		if (!is_valid(adapter, first))
			break;
		/* What is for one queue goes to the device in one call. */
		for (to = from + 1; to < count && to - from < CHAIN; to++)
			if (requests[to].connector != first->connector ||
			    (requests[to].opcode == WSD_RECEIVE) != receives ||
			    !is_valid(adapter, &requests[to]))
				break;
		connector = &adapter->connectors[first->connector];
		taken = receives ?
			post_receives(connector->qp, first, to - from) :
			post_sends(connector, first, to - from);
		from += taken;
		if (from < to)
			break;
	}
	return from;
}

static uint32_t to_status(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return WSD_SUCCESS;
	case IBV_WC_WR_FLUSH_ERR:
		return WSD_FLUSHED;
	case IBV_WC_LOC_LEN_ERR:
		return WSD_LOCAL_LENGTH;
	case IBV_WC_LOC_PROT_ERR:
	case IBV_WC_LOC_QP_OP_ERR:
	case IBV_WC_LOC_ACCESS_ERR:
		return WSD_LOCAL_PROTECTION;
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_INV_REQ_ERR:
		return WSD_REMOTE_ACCESS;
	case IBV_WC_REM_OP_ERR:
		return WSD_REMOTE_OPERATION;
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
		return WSD_RETRY_EXCEEDED;
	case IBV_WC_RNR_RETRY_EXC_ERR:
		return WSD_RECEIVER_NOT_READY;
	default:
		return WSD_FAULT;
	}
}

/* Translate @wc. Returns false when its connector doesn't exist any more. */
static bool to_completion(const struct wsd_adapter *adapter,
			  const struct ibv_wc *wc, struct wsd_completion *out)
{
	uint32_t connector = wc->wr_id >> 32 & (WSD_CONNECTORS - 1);

	if (connector >= adapter->connector_count ||
	    !adapter->connectors[connector].qp)
		return false;
	*out = (struct wsd_completion) {
		.connector = connector,
		.context = wc->wr_id,
		.status = to_status(wc->status),
		.bytes = wc->status == IBV_WC_SUCCESS ? wc->byte_len : 0,
		.opcode = wc->wr_id >> 62,
		.vendor_status = wc->vendor_err << 8 | (wc->status & 0xff),
	};
	return true;
}

/* Completions that are asked of the device at once. */
#define POLL 16

int wsd_poll(struct wsd_adapter *adapter)
{
	struct wsd_completion *out = adapter->shared->completions;
	struct ibv_wc wc[POLL];
	struct wsd_device *device;
	struct wsd_cq *cq;
	uint32_t count = 0;
	int asked, found, i;

	for (device = adapter->devices; device; device = device->next) {
		for (cq = device->cqs; cq; cq = cq->next) {
			do {
				asked = WSD_BATCH - count < POLL ?
					(int)(WSD_BATCH - count) : POLL;
				if (!asked)
					return count;
				found = INLINE_CALL(ibv_poll_cq, -1, cq->cq,
						    asked, wc);
				if (found < 0)
					return count ? (int)count : -EIO;
				for (i = 0; i < found; i++)
					count += to_completion(adapter, &wc[i],
							       &out[count]);
			} while (found == asked);
			cq->empty_count++;
		}
	}
	return count;
}
