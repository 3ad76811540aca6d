/* SPDX-License-Identifier: MIT */
/*
 * The least that an echo takes over librdmacm and libibverbs: what wsdirect is
 * measured against. Messages of SIZE bytes go to the other end and back, WINDOW
 * of them at once, COUNT in all.
 *
 *	echo server ADDRESS PORT SIZE COUNT WINDOW [LOOKS]
 *	echo client ADDRESS PORT SIZE COUNT WINDOW [LOOKS]
 *	echo self ADDRESS PORT SIZE COUNT WINDOW
 *	echo call
 *
 * Server and client are two processes that sleep on completion events, after
 * LOOKS looks between which others get the processor, none unless given; self
 * is both ends in one process, polling. The client prints microseconds a round
 * trip, of the second half: the first warms up. call prints those of a system
 * call that does nothing.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rdma/rdma_cma.h>

#define WINDOW_MAX 64

struct end {
	struct rdma_cm_id *id;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_mr *mr;
	char *memory;	/* WINDOW_MAX places to receive, one to send */
	bool echoes;
	long to_send, to_receive;
};

static struct rdma_event_channel *events;
static size_t size;
static long count, window, looks;
static bool polls;
static double began;	/* when the second half began */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void post_receive(struct end *end, uint64_t place)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)end->memory + place * size,
		.length = size,
		.lkey = end->mr->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = place, .sg_list = &sge, .num_sge = 1,
	}, *bad;

	require(!ibv_post_recv(end->id->qp, &wr, &bad), "ibv_post_recv");
}

static void post_send(struct end *end)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)end->memory + WINDOW_MAX * size,
		.length = size,
		.lkey = end->mr->lkey,
	};
	struct ibv_send_wr wr = {
		.wr_id = WINDOW_MAX, .sg_list = &sge, .num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED |
			      (size <= 64 ? IBV_SEND_INLINE : 0),
	}, *bad;

	require(!ibv_post_send(end->id->qp, &wr, &bad), "ibv_post_send");
}

static void end_open(struct end *end, struct rdma_cm_id *id, bool echoes)
{
	struct ibv_qp_init_attr attr = {
		.cap = {
			.max_send_wr = WINDOW_MAX,
			.max_recv_wr = WINDOW_MAX,
			.max_send_sge = 1,
			.max_recv_sge = 1,
			.max_inline_data = 64,
		},
		.qp_type = IBV_QPT_RC,
	};
	struct ibv_pd *pd = ibv_alloc_pd(id->verbs);
	uint64_t place;

	end->id = id;
	end->echoes = echoes;
	end->memory = calloc(WINDOW_MAX + 1, size);
	end->channel = ibv_create_comp_channel(id->verbs);
	end->cq = ibv_create_cq(id->verbs, 2 * WINDOW_MAX, NULL, end->channel,
				0);
	end->mr = ibv_reg_mr(pd, end->memory, (WINDOW_MAX + 1) * size,
			     IBV_ACCESS_LOCAL_WRITE);
	require(end->channel && end->cq && end->mr, "resources");
	attr.send_cq = attr.recv_cq = end->cq;
	require(!rdma_create_qp(id, pd, &attr), "rdma_create_qp");
	for (place = 0; place < WINDOW_MAX; place++)
		post_receive(end, place);
	end->to_receive = count;
	end->to_send = count;
}

/* Does what completions call for. Returns how many there were. */
static int turn(struct end *end)
{
	struct ibv_wc wc[16];
	int found = ibv_poll_cq(end->cq, 16, wc), i;

	require(found >= 0, "ibv_poll_cq");
	for (i = 0; i < found; i++) {
		require(wc[i].status == IBV_WC_SUCCESS, "completion");
		if (wc[i].wr_id == WINDOW_MAX)
			continue;
		if (--end->to_receive == count / 2 && !end->echoes)
			began = now();
		post_receive(end, wc[i].wr_id);
		if (end->to_send > 0) {
			end->to_send--;
			post_send(end);
		}
	}
	return found;
}

static void await_completion(struct end *end)
{
	struct ibv_cq *cq;
	void *context;
	long look;

	if (turn(end))
		return;
	for (look = 0; look < looks; look++) {
		sched_yield();
		if (turn(end))
			return;
	}
	require(!ibv_req_notify_cq(end->cq, 0), "ibv_req_notify_cq");
	if (turn(end))
		return;
	require(!ibv_get_cq_event(end->channel, &cq, &context),
		"ibv_get_cq_event");
	ibv_ack_cq_events(cq, 1);
}

static struct rdma_cm_id *await_event(enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event;
	struct rdma_cm_id *id;

	require(!rdma_get_cm_event(events, &event), "rdma_get_cm_event");
	if (event->event != type) {
		fprintf(stderr, "%s\n", rdma_event_str(event->event));
		exit(1);
	}
	id = event->id;
	rdma_ack_cm_event(event);
	return id;
}

static void begin(struct end *end)
{
	long i;

	for (i = 0; i < window && end->to_send > 0; i++) {
		end->to_send--;
		post_send(end);
	}
}

static double system_call_us(void)
{
	enum { CALLS = 20000 };
	double start = now();
	int i;

	for (i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	return (now() - start) / CALLS;
}

int main(int argc, char **argv)
{
	struct rdma_conn_param param = {
		.responder_resources = 1, .initiator_depth = 1,
		.retry_count = 7, .rnr_retry_count = 7,
	};
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct end near = { 0 }, far = { 0 };
	struct rdma_cm_id *id, *listener;
	bool serves, connects;

	if (argc == 2 && !strcmp(argv[1], "call")) {
		printf("%.2f\n", system_call_us());
		return 0;
	}
	require(argc == 7 || argc == 8,
		"usage: echo server|client|self ADDRESS PORT SIZE COUNT WINDOW "
		"[LOOKS]");
	polls = !strcmp(argv[1], "self");
	serves = polls || !strcmp(argv[1], "server");
	connects = polls || !strcmp(argv[1], "client");
	inet_pton(AF_INET, argv[2], &address.sin_addr);
	address.sin_port = htons(atoi(argv[3]));
	size = atol(argv[4]);
	count = atol(argv[5]);
	window = atol(argv[6]);
	looks = argc == 8 ? atol(argv[7]) : 0;
	events = rdma_create_event_channel();
	require(events && window <= WINDOW_MAX / 2, "arguments");

	if (serves) {
		require(!rdma_create_id(events, &listener, NULL, RDMA_PS_TCP) &&
			!rdma_bind_addr(listener, (void *)&address) &&
			!rdma_listen(listener, 1), "listening");
		printf("ready\n");
		fflush(stdout);
	}
	if (connects) {
		require(!rdma_create_id(events, &id, NULL, RDMA_PS_TCP) &&
			!rdma_resolve_addr(id, NULL, (void *)&address, 2000),
			"rdma_resolve_addr");
		await_event(RDMA_CM_EVENT_ADDR_RESOLVED);
		end_open(&near, id, false);
		require(!rdma_resolve_route(id, 2000), "rdma_resolve_route");
		await_event(RDMA_CM_EVENT_ROUTE_RESOLVED);
		require(!rdma_connect(id, &param), "rdma_connect");
	}
	if (serves) {
		end_open(&far, await_event(RDMA_CM_EVENT_CONNECT_REQUEST), true);
		require(!rdma_accept(far.id, &param), "rdma_accept");
		await_event(RDMA_CM_EVENT_ESTABLISHED);
	}
	if (connects)
		await_event(RDMA_CM_EVENT_ESTABLISHED);

	if (connects)
		begin(&near);
	if (polls) {
		while (near.to_receive > 0) {
			turn(&near);
			turn(&far);
		}
	} else if (connects) {
		while (near.to_receive > 0)
			await_completion(&near);
	} else {
		/* Until its last echo is on its way. */
		while (far.to_receive > 0)
			await_completion(&far);
	}
	if (connects) {
		printf("%.2f\n", (now() - began) / (count / 2));
		rdma_disconnect(near.id);
	} else {
		await_event(RDMA_CM_EVENT_DISCONNECTED);
	}
	return 0;
}
