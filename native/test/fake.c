/* SPDX-License-Identifier: MIT */
/*
 * The functions of librdmacm and libibverbs that the shim uses, for one host
 * that connects to itself: so that all paths of the shim can be run where
 * there is no device, under sanitizers that a guest can't have.
 *
 * Built as one library that is found under both names. It does no more than
 * test/faults.c needs, and checks what a kernel would: that nothing is freed
 * in the wrong order. Its device has the address 10.0.0.1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#undef ibv_reg_mr
#undef ibv_query_port

#define DEPTH 512

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake device: %s\n", what);
	abort();
}

/* A descriptor that is readable as long as something is queued. */
struct signal {
	int fds[2];
};

static int signal_open(struct signal *signal)
{
	return pipe2(signal->fds, O_NONBLOCK | O_CLOEXEC);
}

static void signal_close(struct signal *signal)
{
	close(signal->fds[0]);
	close(signal->fds[1]);
}

static void signal_raise(struct signal *signal)
{
	require(write(signal->fds[1], "", 1) == 1, "a pipe is full");
}

static bool signal_take(struct signal *signal)
{
	char byte;

	return read(signal->fds[0], &byte, 1) == 1;
}

struct cq {
	struct ibv_cq cq;
	struct ibv_wc wc[DEPTH];
	int head, count, users;
	int late;		/* looks that find nothing yet */
	bool armed, lost;
};

struct channel {
	struct ibv_comp_channel channel;
	struct signal signal;
	struct cq *notified[DEPTH];
	int head, count;
};

struct qp {
	struct ibv_qp qp;
	struct qp *peer;
	struct ibv_recv_wr receives[DEPTH];
	struct ibv_sge elements[DEPTH][4];
	int head, count;
	bool failed;
};

struct id {
	struct rdma_cm_id id;
	struct id *peer;
	bool listens;
};

struct event {
	struct rdma_cm_event event;
	struct event *next;
	uint8_t private_data[256];
};

struct event_channel {
	struct rdma_event_channel channel;
	struct signal signal;
	struct event *events;
};

static struct ibv_device device = {
	.transport_type = IBV_TRANSPORT_IB,
	.name = "fake0",
	.dev_path = "/dev/null",
};
static struct verbs_context verbs;
static struct signal async_signal;
static struct id *listener;
static struct cq *newest_cq, *lost_cq;
static bool keeps_late;

/* What is posted in error never completes, as with siw. */
void fake_keep_late(void)
{
	keeps_late = true;
}

/* Nothing completes in the newest completion queue any more. */
void fake_lose_queue(void)
{
	lost_cq = newest_cq;
	lost_cq->lost = true;
	signal_raise(&async_signal);
}

static void complete(struct qp *qp, uint64_t wr_id, enum ibv_wc_status status,
		     uint32_t bytes)
{
	struct cq *cq = (struct cq *)qp->qp.send_cq;
	struct channel *channel = (struct channel *)cq->cq.channel;

	if (cq->lost)
		return;
	require(cq->count < DEPTH, "a completion queue overflows");
	cq->wc[(cq->head + cq->count++) % DEPTH] = (struct ibv_wc) {
		.wr_id = wr_id,
		.status = status,
		.byte_len = bytes,
		.qp_num = qp->qp.qp_num,
	};
	if (!cq->armed)
		return;
	cq->armed = false;
	channel->notified[(channel->head + channel->count++) % DEPTH] = cq;
	signal_raise(&channel->signal);
}

static void fail(struct qp *qp)
{
	qp->failed = true;
	/* It takes its time, as a device may. */
	((struct cq *)qp->qp.send_cq)->late = 3;
	for (; qp->count; qp->count--) {
		complete(qp, qp->receives[qp->head].wr_id, IBV_WC_WR_FLUSH_ERR,
			 0);
		qp->head = (qp->head + 1) % DEPTH;
	}
}

static int post_recv(struct ibv_qp *ibv, struct ibv_recv_wr *wr,
		     struct ibv_recv_wr **bad)
{
	struct qp *qp = (struct qp *)ibv;
	int at, i;

	if (qp->failed && keeps_late)
		return 0;
	for (; wr; wr = wr->next) {
		if (qp->count == DEPTH) {
			*bad = wr;
			return ENOMEM;
		}
		if (qp->failed) {
			complete(qp, wr->wr_id, IBV_WC_WR_FLUSH_ERR, 0);
			continue;
		}
		for (i = 0; i < qp->count; i++)
			require(qp->receives[(qp->head + i) % DEPTH].wr_id !=
				wr->wr_id, "a receive is posted twice");
		at = (qp->head + qp->count++) % DEPTH;
		qp->receives[at] = *wr;
		memcpy(qp->elements[at], wr->sg_list,
		       wr->num_sge * sizeof(*wr->sg_list));
	}
	return 0;
}

/* Copies one element, which is all that the test uses. */
static void carry_out(struct qp *qp, const struct ibv_send_wr *wr)
{
	const struct ibv_sge *from = wr->sg_list;
	struct qp *peer = qp->peer;
	uint32_t bytes = from->length;

	require(wr->num_sge == 1, "more than one element");
	switch (wr->opcode) {
	case IBV_WR_SEND:
		require(peer && peer->count, "nothing is posted for a send");
		require(bytes <= peer->elements[peer->head]->length,
			"a message is too long");
		memcpy((void *)(uintptr_t)peer->elements[peer->head]->addr,
		       (void *)(uintptr_t)from->addr, bytes);
		complete(peer, peer->receives[peer->head].wr_id,
			 IBV_WC_SUCCESS, bytes);
		peer->head = (peer->head + 1) % DEPTH;
		peer->count--;
		break;
	case IBV_WR_RDMA_WRITE:
		memcpy((void *)(uintptr_t)wr->wr.rdma.remote_addr,
		       (void *)(uintptr_t)from->addr, bytes);
		break;
	case IBV_WR_RDMA_READ:
		memcpy((void *)(uintptr_t)from->addr,
		       (void *)(uintptr_t)wr->wr.rdma.remote_addr, bytes);
		break;
	default:
		require(false, "an unknown operation");
	}
	complete(qp, wr->wr_id, IBV_WC_SUCCESS, bytes);
}

static int post_send(struct ibv_qp *ibv, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad)
{
	struct qp *qp = (struct qp *)ibv;

	(void)bad;
	if (qp->failed && keeps_late)
		return 0;
	for (; wr; wr = wr->next) {
		if (qp->failed)
			complete(qp, wr->wr_id, IBV_WC_WR_FLUSH_ERR, 0);
		else
			carry_out(qp, wr);
	}
	return 0;
}

static int poll_cq(struct ibv_cq *ibv, int max, struct ibv_wc *wc)
{
	struct cq *cq = (struct cq *)ibv;
	int found;

	if (cq->late > 0) {
		cq->late--;
		return 0;
	}
	for (found = 0; found < max && cq->count; found++) {
		wc[found] = cq->wc[cq->head];
		cq->head = (cq->head + 1) % DEPTH;
		cq->count--;
	}
	return found;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited)
{
	(void)solicited;
	((struct cq *)ibv)->armed = true;
	return 0;
}

static int query_port(struct ibv_context *context, uint8_t port,
		      struct ibv_port_attr *attr, size_t size)
{
	(void)context;
	memset(attr, 0, size);
	attr->state = port == 1 ? IBV_PORT_ACTIVE : IBV_PORT_NOP;
	attr->active_mtu = IBV_MTU_1024;
	attr->max_msg_sz = 1 << 30;
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	require(!signal_open(&async_signal), "no pipe");
	verbs.sz = sizeof(verbs);
	verbs.query_port = query_port;
	verbs.context.device = &device;
	verbs.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	verbs.context.async_fd = async_signal.fds[0];
	verbs.context.num_comp_vectors = 2;
	verbs.context.ops.post_send = post_send;
	verbs.context.ops.post_recv = post_recv;
	verbs.context.ops.poll_cq = poll_cq;
	verbs.context.ops.req_notify_cq = req_notify_cq;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return IBV_FORK_DISABLED;
}

int ibv_fork_init(void)
{
	return 0;
}

const char *ibv_get_device_name(struct ibv_device *of)
{
	return of->name;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
	(void)context;
	memset(attr, 0, sizeof(*attr));
	attr->max_qp_wr = DEPTH;
	attr->max_sge = 4;
	attr->max_sge_rd = 4;
	attr->max_cqe = DEPTH;
	attr->phys_port_cnt = 1;
	return 0;
}

int ibv_get_async_event(struct ibv_context *context,
			struct ibv_async_event *event)
{
	(void)context;
	if (!signal_take(&async_signal)) {
		errno = EAGAIN;
		return -1;
	}
	event->event_type = IBV_EVENT_CQ_ERR;
	event->element.cq = &lost_cq->cq;
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	channel->channel.context = context;
	if (signal_open(&channel->signal)) {
		free(channel);
		return NULL;
	}
	channel->channel.fd = channel->signal.fds[0];
	return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *ibv)
{
	struct channel *channel = (struct channel *)ibv;

	require(!channel->channel.refcnt, "a channel's queues are left");
	signal_close(&channel->signal);
	free(channel);
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int depth,
			     void *cq_context, struct ibv_comp_channel *channel,
			     int vector)
{
	struct cq *cq = calloc(1, sizeof(*cq));

	require(vector >= 0 && vector < context->num_comp_vectors,
		"there is no such completion vector");
	require(depth <= DEPTH, "a completion queue is too deep");
	cq->cq.context = context;
	cq->cq.cq_context = cq_context;
	cq->cq.channel = channel;
	channel->refcnt++;
	newest_cq = cq;
	return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct cq *cq = (struct cq *)ibv;

	require(!cq->users, "a completion queue is in use");
	require(!cq->cq.comp_events_completed, "an event isn't acknowledged");
	cq->cq.channel->refcnt--;
	free(cq);
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ibv, struct ibv_cq **cq,
		     void **cq_context)
{
	struct channel *channel = (struct channel *)ibv;

	if (!signal_take(&channel->signal)) {
		errno = EAGAIN;
		return -1;
	}
	*cq = &channel->notified[channel->head]->cq;
	*cq_context = (*cq)->cq_context;
	(*cq)->comp_events_completed++;
	channel->head = (channel->head + 1) % DEPTH;
	channel->count--;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int count)
{
	cq->comp_events_completed -= count;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct ibv_pd *pd = calloc(1, sizeof(*pd));

	pd->context = context;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	require(!pd->handle, "a protection domain is in use");
	free(pd);
	return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *address, size_t length,
			  int access)
{
	struct ibv_mr *mr = calloc(1, sizeof(*mr));

	(void)access;
	*mr = (struct ibv_mr) {
		.pd = pd, .addr = address, .length = length,
		.lkey = 1, .rkey = 2,
	};
	pd->handle++;
	return mr;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	mr->pd->handle--;
	free(mr);
	return 0;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	if (mask & IBV_QP_STATE && attr->qp_state == IBV_QPS_ERR)
		fail((struct qp *)qp);
	return 0;
}

struct ibv_context **rdma_get_devices(int *count)
{
	struct ibv_context **list = calloc(2, sizeof(*list));

	(void)count;
	list[0] = &verbs.context;
	return list;
}

void rdma_free_devices(struct ibv_context **list)
{
	free(list);
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct event_channel *channel = calloc(1, sizeof(*channel));

	if (signal_open(&channel->signal)) {
		free(channel);
		return NULL;
	}
	channel->channel.fd = channel->signal.fds[0];
	return &channel->channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *of)
{
	struct event_channel *channel = (struct event_channel *)of;

	require(!channel->events, "events are left");
	signal_close(&channel->signal);
	free(channel);
}

static void raise_event(struct id *id, enum rdma_cm_event_type type,
			const struct rdma_conn_param *param)
{
	struct event_channel *channel = (struct event_channel *)id->id.channel;
	struct event *event = calloc(1, sizeof(*event)), **at;

	event->event.id = &id->id;
	event->event.event = type;
	if (type == RDMA_CM_EVENT_CONNECT_REQUEST)
		event->event.listen_id = &listener->id;
	if (param) {
		event->event.param.conn = *param;
		event->event.param.conn.private_data = event->private_data;
		memcpy(event->private_data, param->private_data,
		       param->private_data_len);
	}
	for (at = &channel->events; *at; at = &(*at)->next)
		;
	*at = event;
	signal_raise(&channel->signal);
}

int rdma_get_cm_event(struct rdma_event_channel *of,
		      struct rdma_cm_event **event)
{
	struct event_channel *channel = (struct event_channel *)of;

	if (!channel->events) {
		errno = EAGAIN;
		return -1;
	}
	signal_take(&channel->signal);
	*event = &channel->events->event;
	channel->events = channel->events->next;
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	free(event);
	return 0;
}

static struct id *create_id(struct rdma_event_channel *channel, void *context)
{
	struct id *id = calloc(1, sizeof(*id));

	id->id.channel = channel;
	id->id.context = context;
	return id;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id,
		   void *context, enum rdma_port_space space)
{
	(void)space;
	*id = &create_id(channel, context)->id;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *of)
{
	struct event_channel *channel = (struct event_channel *)of->channel;
	struct event **at = &channel->events, *event;
	struct id *id = (struct id *)of, *unheard;

	require(!of->qp, "an id's queue pair is left");
	while ((event = *at)) {
		if (event->event.id != of && event->event.listen_id != of) {
			at = &event->next;
			continue;
		}
		*at = event->next;
		signal_take(&channel->signal);
		unheard = (struct id *)event->event.id;
		free(event);
		/* A request that nobody has heard of goes with its listener. */
		if (unheard != id) {
			if (unheard->peer)
				unheard->peer->peer = NULL;
			free(unheard);
		}
	}
	if (listener == id)
		listener = NULL;
	if (id->peer)
		id->peer->peer = NULL;
	free(id);
	return 0;
}

int rdma_set_option(struct rdma_cm_id *id, int level, int name, void *value,
		    size_t length)
{
	(void)id;
	(void)level;
	(void)name;
	(void)value;
	(void)length;
	return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
	struct sockaddr_in *in = (void *)address;

	memcpy(&id->route.addr.src_sin, in, sizeof(*in));
	if (in->sin_addr.s_addr == htonl(0x0a000001)) {
		id->verbs = &verbs.context;
		id->port_num = 1;
	}
	return 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
	(void)backlog;
	listener = (struct id *)id;
	return 0;
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *from,
		      struct sockaddr *to, int timeout_ms)
{
	(void)from;
	(void)timeout_ms;
	memcpy(&id->route.addr.dst_sin, to, sizeof(struct sockaddr_in));
	raise_event((struct id *)id, RDMA_CM_EVENT_ADDR_RESOLVED, NULL);
	return 0;
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	(void)timeout_ms;
	raise_event((struct id *)id, RDMA_CM_EVENT_ROUTE_RESOLVED, NULL);
	return 0;
}

int rdma_connect(struct rdma_cm_id *of, struct rdma_conn_param *param)
{
	struct id *id = (struct id *)of, *peer;

	require(listener, "nobody listens");
	peer = create_id(listener->id.channel, listener->id.context);
	peer->id.verbs = of->verbs;
	peer->id.port_num = of->port_num;
	peer->id.route.addr.src_sin = of->route.addr.dst_sin;
	peer->id.route.addr.dst_sin = of->route.addr.src_sin;
	peer->peer = id;
	id->peer = peer;
	raise_event(peer, RDMA_CM_EVENT_CONNECT_REQUEST, param);
	return 0;
}

int rdma_accept(struct rdma_cm_id *of, struct rdma_conn_param *param)
{
	struct id *id = (struct id *)of;

	if (!id->peer) {
		errno = ECONNRESET;
		return -1;
	}
	((struct qp *)id->id.qp)->peer = (struct qp *)id->peer->id.qp;
	((struct qp *)id->peer->id.qp)->peer = (struct qp *)id->id.qp;
	raise_event(id->peer, RDMA_CM_EVENT_ESTABLISHED, param);
	raise_event(id, RDMA_CM_EVENT_ESTABLISHED, NULL);
	return 0;
}

int rdma_reject(struct rdma_cm_id *of, const void *data, uint8_t length)
{
	struct rdma_conn_param param = {
		.private_data = data, .private_data_len = length,
	};
	struct id *id = (struct id *)of;

	if (id->peer)
		raise_event(id->peer, RDMA_CM_EVENT_REJECTED, &param);
	return 0;
}

int rdma_disconnect(struct rdma_cm_id *of)
{
	struct id *id = (struct id *)of;

	if (id->peer)
		raise_event(id->peer, RDMA_CM_EVENT_DISCONNECTED, NULL);
	return 0;
}

int rdma_notify(struct rdma_cm_id *id, enum ibv_event_type event)
{
	(void)id;
	(void)event;
	return 0;
}

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd,
		   struct ibv_qp_init_attr *attr)
{
	static uint32_t last_qp_num;
	struct qp *qp = calloc(1, sizeof(*qp));

	qp->qp.context = id->verbs;
	qp->qp.qp_num = ++last_qp_num;
	qp->qp.qp_context = attr->qp_context;
	qp->qp.send_cq = attr->send_cq;
	qp->qp.recv_cq = attr->recv_cq;
	qp->qp.pd = pd;
	((struct cq *)attr->send_cq)->users++;
	pd->handle++;
	id->qp = &qp->qp;
	return 0;
}

void rdma_destroy_qp(struct rdma_cm_id *id)
{
	struct qp *qp = (struct qp *)id->qp;
	struct cq *cq = (struct cq *)qp->qp.send_cq;
	int i, kept = 0;

	/* Its completions go with it, as with mlx4 and mlx5. */
	for (i = 0; i < cq->count; i++) {
		const struct ibv_wc *wc = &cq->wc[(cq->head + i) % DEPTH];

		if (wc->qp_num != qp->qp.qp_num)
			cq->wc[(cq->head + kept++) % DEPTH] = *wc;
	}
	cq->count = kept;
	cq->users--;
	qp->qp.pd->handle--;
	if (qp->peer)
		qp->peer->peer = NULL;
	free(qp);
	id->qp = NULL;
}
