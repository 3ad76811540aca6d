/* SPDX-License-Identifier: MIT */
/*
 * Connection management: the event channel, ids, addresses; see shim.h. What
 * each call means is in rdma_cm(7).
 */
#define _GNU_SOURCE
#include "internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int set_nonblocking(int fd)
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
	/* Without it, as in some containers, the rest works. */
	adapter->removals_fd = removals_open();
	*out = adapter;
	return 0;

err_channel:
	wsd_library.rdma_destroy_event_channel(adapter->channel);
err_shared:
	free(adapter->shared);
err_adapter:
	free(adapter);
	return ret;
}

void wsd_adapter_close(struct wsd_adapter *adapter)
{
	wsd_library.rdma_destroy_event_channel(adapter->channel);
	if (adapter->removals_fd >= 0)
		close(adapter->removals_fd);
	connectors_free(adapter);
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
	wsd_library.rdma_ack_cm_event(event);
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

/* Whether librdmacm can say how long the private data is: in 8 bits. */
static bool is_sayable(const struct wsd_connection *connection)
{
	return connection->private_data_length <= UINT8_MAX;
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

	if (!is_sayable(&adapter->shared->connection))
		return -EINVAL;
	return as_errno(CALL(rdma_connect, -1, id, &param));
}

int wsd_id_accept(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	struct rdma_conn_param param =
		to_conn_param(&adapter->shared->connection);

	if (!is_sayable(&adapter->shared->connection))
		return -EINVAL;
	return as_errno(CALL(rdma_accept, -1, id, &param));
}

int wsd_id_reject(struct wsd_adapter *adapter, struct rdma_cm_id *id)
{
	const struct wsd_connection *with = &adapter->shared->connection;

	if (!is_sayable(with))
		return -EINVAL;
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
