/* SPDX-License-Identifier: MIT */
/*
 * Devices: their limits, what they tell, memory, queues and queue pairs; see
 * shim.h. What each call means is in the manual pages of ibv_*.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel tells udev; multicast group 1 is its own. */
int removals_open(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (void *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int wsd_removals_fd(const struct wsd_adapter *adapter)
{
	return adapter->removals_fd;
}

int wsd_next_removal(struct wsd_adapter *adapter)
{
	static const char action[] = "remove@", kind[] = "/infiniband_verbs/";
	struct sockaddr_nl sender;
	socklen_t sender_length;
	char text[8192];
	ssize_t length;

	for (;;) {
		sender_length = sizeof(sender);
		length = recvfrom(adapter->removals_fd, text, sizeof(text) - 1,
				  0, (void *)&sender, &sender_length);
		/* Some were lost: one of them may have been a removal. */
		if (length < 0)
			return errno == ENOBUFS;
		/* Not the kernel: whoever may can write to the socket. */
		if (sender_length < sizeof(sender) || sender.nl_pid)
			continue;
		/* The action and the device's path end with a zero. */
		text[length] = '\0';
		if (!strncmp(text, action, strlen(action)) &&
		    strstr(text, kind))
			return 1;
	}
}

int wsd_release_devices(void)
{
	struct ibv_context **devices = CALL(rdma_get_devices, NULL, NULL);

	if (!devices)
		return -errno;
	wsd_library.rdma_free_devices(devices);
	return 0;
}

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
	ret = INLINE_CALL(query_port, errno, id->verbs, id->port_num, &port);
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
	strncpy(out->name, wsd_library.ibv_get_device_name(id->verbs->device),
		sizeof(out->name) - 1);
	return 0;
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
	*out = device;
	return 0;

err_channel:
	wsd_library.ibv_destroy_comp_channel(device->channel);
err_device:
	free(device);
	return ret;
}

void wsd_device_close(struct wsd_device *device)
{
	close(device->async_fd);
	wsd_library.ibv_destroy_comp_channel(device->channel);
	free(device);
}

int wsd_device_is_there(const struct wsd_device *device)
{
	return !access(device->verbs->device->dev_path, F_OK);
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
	case IBV_EVENT_CQ_ERR:
		out->id = (uintptr_t)event.element.cq->cq_context;
		break;
	default:
		break;
	}
	wsd_library.ibv_ack_async_event(&event);
	return 1;
}

int wsd_arm(struct wsd_device *device)
{
	struct wsd_cq *last = device->adapter->last_cq, *cq = last;
	int ret;

	if (!last)
		return 0;
	do {
		cq = cq->next;
		if (cq->device != device || cq->armed)
			continue;
		ret = INLINE_CALL(ibv_req_notify_cq, errno, cq->cq, 0);
		if (ret)
			return -ret;
		cq->armed = true;
		device->armed_count++;
	} while (cq != last);
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
		wsd_library.ibv_ack_cq_events(which, 1);
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

int wsd_cq_create(struct wsd_device *device, uint32_t depth, uint32_t vector,
		  struct wsd_cq **out)
{
	struct wsd_adapter *adapter = device->adapter;
	int vectors = device->verbs->num_comp_vectors;
	struct wsd_cq *cq = calloc(1, sizeof(*cq));
	int ret;

	if (!cq)
		return -ENOMEM;
	cq->device = device;
	cq->cq = CALL(ibv_create_cq, NULL, device->verbs, depth, cq,
		      device->channel, vectors > 0 ? vector % vectors : 0);
	if (!cq->cq) {
		ret = -errno;
		free(cq);
		return ret;
	}
	if (adapter->last_cq) {
		cq->next = adapter->last_cq->next;
		adapter->last_cq->next = cq;
	} else {
		cq->next = cq;
		adapter->last_cq = cq;
	}
	*out = cq;
	return 0;
}

int wsd_cq_destroy(struct wsd_cq *cq)
{
	struct wsd_adapter *adapter = cq->device->adapter;
	struct wsd_cq *before = cq;
	int ret = CALL(ibv_destroy_cq, errno, cq->cq);

	if (ret)
		return -ret;
	while (before->next != cq)
		before = before->next;
	before->next = cq->next;
	if (adapter->last_cq == cq)
		adapter->last_cq = before == cq ? NULL : before;
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

static void posted_free(struct connector *connector)
{
	free(connector->sends.wr_ids);
	free(connector->receives.wr_ids);
}

void connectors_free(struct wsd_adapter *adapter)
{
	uint32_t number;

	for (number = 0; number < adapter->connector_count; number++)
		posted_free(&adapter->connectors[number]);
	free(adapter->connectors);
}

static int posted_alloc(struct posted *posted, uint32_t depth)
{
	uint32_t places = 1;

	while (places < depth)
		places *= 2;
	posted->wr_ids = calloc(places, sizeof(*posted->wr_ids));
	posted->mask = places - 1;
	return posted->wr_ids ? 0 : -ENOMEM;
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
			/* And a marker; see wsd_qp_flush. */
			.max_send_wr = limits->send + 1,
			.max_recv_wr = limits->receive + 1,
			.max_send_sge = limits->send_elements,
			.max_recv_sge = limits->receive_elements,
			.max_inline_data = limits->inline_bytes,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct connector made = { .exists = true };
	int ret = grow_connectors(adapter, connector);

	if (ret)
		return ret;
	if (adapter->connectors[connector].exists)
		return -EEXIST;
	if (CALL(rdma_create_qp, -1, id, pd, &attr))
		return -errno;
	if (posted_alloc(&made.sends, attr.cap.max_send_wr) ||
	    posted_alloc(&made.receives, attr.cap.max_recv_wr)) {
		posted_free(&made);
		wsd_library.rdma_destroy_qp(id);
		return -ENOMEM;
	}
	made.qp = id->qp;
	made.inline_bytes = attr.cap.max_inline_data;
	limits->send = attr.cap.max_send_wr - 1;
	limits->receive = attr.cap.max_recv_wr - 1;
	limits->send_elements = attr.cap.max_send_sge;
	limits->receive_elements = attr.cap.max_recv_sge;
	limits->inline_bytes = attr.cap.max_inline_data;
	adapter->connectors[connector] = made;
	return 0;
}

int wsd_qp_fail(struct rdma_cm_id *id)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	return -CALL(ibv_modify_qp, errno, id->qp, &attr, IBV_QP_STATE);
}

int wsd_qp_flush(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		 uint32_t connector)
{
	/* Only in error a marker doesn't go to the peer. */
	int ret = wsd_qp_fail(id);

	if (!ret)
		ret = post_markers(&adapter->connectors[connector], connector);
	/* rxe looks at receives that are posted in error only when told. */
	return ret ? ret : wsd_qp_fail(id);
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

void wsd_qp_drain(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		  uint32_t connector)
{
	struct connector *drained = &adapter->connectors[connector];

	if (!drained->qp)
		return;
	/* librdmacm's own function hides whether it worked. */
	wsd_library.rdma_destroy_qp(id);
	drained->qp = NULL;
	drained->drained = true;
	adapter->drained_count++;
}

void wsd_qp_destroy(struct wsd_adapter *adapter, struct rdma_cm_id *id,
		    uint32_t connector)
{
	struct connector *destroyed = &adapter->connectors[connector];

	wsd_qp_drain(adapter, id, connector);
	if (destroyed->drained)
		adapter->drained_count--;
	posted_free(destroyed);
	*destroyed = (struct connector) { 0 };
}
