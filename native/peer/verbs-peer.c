/*
 * verbs-peer: one end of a connection over librdmacm and libibverbs, which
 * does what its arguments say, one after the other, for tests of the other end.
 *
 *	verbs-peer listen|connect|reject ADDRESS PORT PRIVATE MEMORY [ACTION...]
 *
 * ADDRESS is the one to listen at or to connect to. PRIVATE bytes of private
 * data go with the request, the acceptance or the rejection. MEMORY bytes are
 * registered for the peer to read and write, and hold a pattern. RECEIVES
 * receives are posted before the connection is.
 *
 * An ACTION is a word with numbers behind colons:
 *	offer			send where the memory is: address u64, key u32,
 *				length u32, big-endian
 *	learn			receive where the peer's memory is
 *	send:N			send the first N bytes
 *	send-invalidate:N	the same, and take the peer's key from it
 *	receive:N		receive N bytes of the pattern
 *	clear			fill the memory with zeros
 *	verify			the memory holds the pattern
 *	read:N:COUNT		COUNT reads at once, each N bytes at its place
 *	write:N:COUNT:DEPTH	COUNT writes of N bytes, again from the start
 *				when the memory ends, up to DEPTH at once
 *	bad-read:N		read with a key that the peer doesn't have
 *	bad-write:N		write with one
 *	disconnect		end the connection
 *	wait			until the peer ends it
 *
 * What happens is printed, a line each: `listening`, `established PRIVATE`,
 * `rejected PRIVATE`, `completion ACTION STATUS` for one that failed,
 * `disconnected`. Exit status 0: all done; 1: not; 2: wrong arguments.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/rdma_cma.h>

enum { RECEIVES = 16, MESSAGE_MAX = 65536, SENDS = 64, INFO_BYTES = 16 };
/* What a work request is for. */
enum { OF_RECEIVE = 1 << 16, OF_SEND = 2 << 16, INDEX = (1 << 16) - 1 };

struct peer {
	struct rdma_event_channel *events;
	struct rdma_cm_id *id;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_mr *mr, *messages;
	uint8_t *memory, *message;
	size_t length;
	uint8_t private[256];
	size_t private_length;

	/* The peer's memory. */
	uint64_t address;
	uint32_t key, remote_length;

	int sends_done;
	enum ibv_wc_status send_status;
	int is_disconnected;
	/* Receives that came and nobody took, in their order. */
	struct ibv_wc arrived[RECEIVES];
	int arrived_count;
};

static _Noreturn void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void wrong(const char *what)
{
	printf("failed: %s\n", what);
	exit(1);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) + 1);
}

static void fill(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = pattern(i);
}

static void check(const uint8_t *bytes, size_t length, const char *what)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == pattern(i))
			continue;
		printf("failed: %s: byte %zu is %u\n", what, i, bytes[i]);
		exit(1);
	}
}

static void print_private(const char *what, const struct rdma_conn_param *conn)
{
	const uint8_t *bytes = conn->private_data;

	printf("%s ", what);
	for (int i = 0; bytes && i < conn->private_data_len; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

/* ---------------------------------------------------------------- resources */

static void post_receive(struct peer *p, uint32_t index)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)(p->message + (size_t)index * MESSAGE_MAX),
		.length = MESSAGE_MAX,
		.lkey = p->messages->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = OF_RECEIVE | index, .sg_list = &sge, .num_sge = 1,
	}, *bad;

	if (ibv_post_recv(p->id->qp, &wr, &bad))
		fail("ibv_post_recv");
}

static void create_queues(struct peer *p)
{
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
			   IBV_ACCESS_REMOTE_WRITE;
	struct ibv_qp_init_attr attr = {
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.cap = { .max_send_wr = SENDS, .max_recv_wr = RECEIVES,
			 .max_send_sge = 1, .max_recv_sge = 1 },
	};

	p->channel = ibv_create_comp_channel(p->id->verbs);
	if (!p->channel)
		fail("ibv_create_comp_channel");
	p->cq = ibv_create_cq(p->id->verbs, SENDS + RECEIVES, NULL, p->channel, 0);
	if (!p->cq || ibv_req_notify_cq(p->cq, 0))
		fail("ibv_create_cq");
	attr.send_cq = attr.recv_cq = p->cq;
	if (rdma_create_qp(p->id, NULL, &attr))
		fail("rdma_create_qp");

	p->memory = malloc(p->length);
	p->message = malloc((size_t)(RECEIVES + 1) * MESSAGE_MAX);
	if (!p->memory || !p->message)
		fail("malloc");
	fill(p->memory, p->length);
	p->mr = ibv_reg_mr(p->id->pd, p->memory, p->length, access);
	p->messages = ibv_reg_mr(p->id->pd, p->message,
				 (size_t)(RECEIVES + 1) * MESSAGE_MAX, access);
	if (!p->mr || !p->messages)
		fail("ibv_reg_mr");
	for (uint32_t i = 0; i < RECEIVES; i++)
		post_receive(p, i);
}

/* ---------------------------------------------------------------- waiting */

static void take_completion(struct peer *p, const struct ibv_wc *wc)
{
	if (wc->wr_id & OF_RECEIVE) {
		/* Flushed receives tell nothing that the events don't. */
		if (wc->status == IBV_WC_SUCCESS)
			p->arrived[p->arrived_count++] = *wc;
		return;
	}
	p->sends_done++;
	if (wc->status != IBV_WC_SUCCESS && p->send_status == IBV_WC_SUCCESS)
		p->send_status = wc->status;
}

static void drain(struct peer *p)
{
	struct ibv_wc wc;
	int count;

	while ((count = ibv_poll_cq(p->cq, 1, &wc)) > 0)
		take_completion(p, &wc);
	if (count < 0)
		fail("ibv_poll_cq");
}

/* Waits for a completion or the end of the connection. */
static void wait_once(struct peer *p)
{
	struct pollfd fds[2] = {
		{ .fd = p->channel->fd, .events = POLLIN },
		{ .fd = p->events->fd, .events = POLLIN },
	};
	struct rdma_cm_event *event;
	struct ibv_cq *cq;
	void *context;

	if (poll(fds, 2, -1) < 0)
		fail("poll");
	if (fds[0].revents) {
		if (ibv_get_cq_event(p->channel, &cq, &context))
			fail("ibv_get_cq_event");
		ibv_ack_cq_events(cq, 1);
		if (ibv_req_notify_cq(p->cq, 0))
			fail("ibv_req_notify_cq");
	}
	drain(p);
	if (!fds[1].revents)
		return;
	if (rdma_get_cm_event(p->events, &event))
		fail("rdma_get_cm_event");
	if (event->event == RDMA_CM_EVENT_DISCONNECTED) {
		p->is_disconnected = 1;
		printf("disconnected\n");
	}
	rdma_ack_cm_event(event);
}

static struct rdma_cm_event *next_event(struct peer *p,
					enum rdma_cm_event_type wanted)
{
	struct rdma_cm_event *event;

	if (rdma_get_cm_event(p->events, &event))
		fail("rdma_get_cm_event");
	if (event->event == RDMA_CM_EVENT_REJECTED) {
		print_private("rejected", &event->param.conn);
		exit(wanted == RDMA_CM_EVENT_ESTABLISHED ? 0 : 1);
	}
	if (event->event != wanted) {
		printf("failed: %s, status %d, instead of %s\n",
		       rdma_event_str(event->event), event->status,
		       rdma_event_str(wanted));
		exit(1);
	}
	return event;
}

/* ---------------------------------------------------------------- set-up */

static struct rdma_conn_param parameters(struct peer *p)
{
	return (struct rdma_conn_param){
		.private_data = p->private_length ? p->private : NULL,
		.private_data_len = (uint8_t)p->private_length,
		.responder_resources = 16,
		.initiator_depth = 16,
	};
}

static void established(struct peer *p)
{
	struct rdma_cm_event *event;

	event = next_event(p, RDMA_CM_EVENT_ESTABLISHED);
	print_private("established", &event->param.conn);
	rdma_ack_cm_event(event);
}

static void set_up_passive(struct peer *p, const struct addrinfo *at, int reject)
{
	struct rdma_conn_param conn = parameters(p);
	struct rdma_cm_event *event;
	struct rdma_cm_id *listener;

	if (rdma_create_id(p->events, &listener, NULL, RDMA_PS_TCP) ||
	    rdma_bind_addr(listener, at->ai_addr) || rdma_listen(listener, 1))
		fail("rdma_listen");
	printf("listening\n");
	event = next_event(p, RDMA_CM_EVENT_CONNECT_REQUEST);
	print_private("requested", &event->param.conn);
	p->id = event->id;
	rdma_ack_cm_event(event);
	if (reject) {
		if (rdma_reject(p->id, conn.private_data, conn.private_data_len))
			fail("rdma_reject");
		exit(0);
	}
	create_queues(p);
	if (rdma_accept(p->id, &conn))
		fail("rdma_accept");
	established(p);
}

static void set_up_active(struct peer *p, const struct addrinfo *at)
{
	struct rdma_conn_param conn = parameters(p);

	if (rdma_create_id(p->events, &p->id, NULL, RDMA_PS_TCP) ||
	    rdma_resolve_addr(p->id, NULL, at->ai_addr, 5000))
		fail("rdma_resolve_addr");
	rdma_ack_cm_event(next_event(p, RDMA_CM_EVENT_ADDR_RESOLVED));
	if (rdma_resolve_route(p->id, 5000))
		fail("rdma_resolve_route");
	rdma_ack_cm_event(next_event(p, RDMA_CM_EVENT_ROUTE_RESOLVED));
	create_queues(p);
	if (rdma_connect(p->id, &conn))
		fail("rdma_connect");
	established(p);
}

/* ---------------------------------------------------------------- actions */

static struct ibv_wc *next_message(struct peer *p, const char *action, uint32_t length)
{
	static struct ibv_wc wc;

	while (p->arrived_count == 0) {
		if (p->is_disconnected)
			wrong("disconnected before the message came");
		wait_once(p);
	}
	wc = p->arrived[0];
	memmove(p->arrived, p->arrived + 1, sizeof(wc) * (size_t)--p->arrived_count);
	if (wc.byte_len != length) {
		printf("failed: %s: %u bytes came\n", action, wc.byte_len);
		exit(1);
	}
	return &wc;
}

static uint8_t *message_of(struct peer *p, const struct ibv_wc *wc)
{
	return p->message + (wc->wr_id & INDEX) * MESSAGE_MAX;
}

/* Posts @wr with one element; at most SENDS may be outstanding. */
static void post(struct peer *p, struct ibv_send_wr *wr, struct ibv_mr *mr,
		 uint8_t *at, uint32_t length)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)at, .length = length, .lkey = mr->lkey,
	};
	struct ibv_send_wr *bad;

	wr->wr_id = OF_SEND;
	wr->sg_list = &sge;
	wr->num_sge = 1;
	if (ibv_post_send(p->id->qp, wr, &bad))
		fail("ibv_post_send");
}

/* Waits until @count of the posted ones are done. */
static void finish(struct peer *p, const char *action, int count)
{
	while (p->sends_done < count)
		wait_once(p);
	if (p->send_status == IBV_WC_SUCCESS)
		return;
	printf("completion %s %s\n", action, ibv_wc_status_str(p->send_status));
	exit(1);
}

static void send_message(struct peer *p, const char *action,
			 enum ibv_wr_opcode opcode, uint32_t length)
{
	uint8_t *at = p->message + (size_t)RECEIVES * MESSAGE_MAX;
	struct ibv_send_wr wr = { .opcode = opcode };

	if (opcode == IBV_WR_SEND_WITH_INV) {
		wr.invalidate_rkey = p->key;
		/* Where rdma-core's siw looks for it, against the manual. */
		wr.wr.rdma.rkey = p->key;
	}
	p->sends_done = 0;
	post(p, &wr, p->messages, at, length);
	finish(p, action, 1);
}

static void offer(struct peer *p)
{
	uint8_t *at = p->message + (size_t)RECEIVES * MESSAGE_MAX;
	uint64_t address = htobe64((uintptr_t)p->memory);
	uint32_t key = htobe32(p->mr->rkey), length = htobe32((uint32_t)p->length);

	memcpy(at, &address, 8);
	memcpy(at + 8, &key, 4);
	memcpy(at + 12, &length, 4);
	send_message(p, "offer", IBV_WR_SEND, INFO_BYTES);
}

static void learn(struct peer *p)
{
	struct ibv_wc *wc = next_message(p, "learn", INFO_BYTES);
	uint8_t *at = message_of(p, wc);

	memcpy(&p->address, at, 8);
	memcpy(&p->key, at + 8, 4);
	memcpy(&p->remote_length, at + 12, 4);
	p->address = be64toh(p->address);
	p->key = be32toh(p->key);
	p->remote_length = be32toh(p->remote_length);
	post_receive(p, wc->wr_id & INDEX);
}

static void receive(struct peer *p, const char *action, uint32_t length)
{
	struct ibv_wc *wc = next_message(p, action, length);

	check(message_of(p, wc), length, action);
	post_receive(p, wc->wr_id & INDEX);
}

static void rdma(struct peer *p, const char *action, enum ibv_wr_opcode opcode,
		 uint32_t length, int count, int depth, uint32_t key)
{
	size_t room = p->length < p->remote_length ? p->length : p->remote_length;

	if (length == 0 || length > room || depth < 1 || depth > SENDS)
		wrong("the memory has no room for this");
	p->sends_done = 0;
	for (int i = 0; i < count; i++) {
		size_t at = (size_t)i % (room / length) * length;
		struct ibv_send_wr wr = {
			.opcode = opcode,
			.wr.rdma = { .remote_addr = p->address + at, .rkey = key },
		};

		if (i >= depth)
			finish(p, action, i - depth + 1);
		post(p, &wr, p->mr, p->memory + at, length);
	}
	finish(p, action, count);
}

static void act(struct peer *p, const char *action)
{
	char name[32] = "";
	unsigned int n = 0, count = 1, depth = 1;

	sscanf(action, "%31[a-z-]:%u:%u:%u", name, &n, &count, &depth);
	if (!strcmp(name, "offer"))
		offer(p);
	else if (!strcmp(name, "learn"))
		learn(p);
	else if (!strcmp(name, "send") || !strcmp(name, "send-invalidate")) {
		fill(p->message + (size_t)RECEIVES * MESSAGE_MAX, MESSAGE_MAX);
		send_message(p, action, name[4] ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND, n);
	} else if (!strcmp(name, "receive"))
		receive(p, action, n);
	else if (!strcmp(name, "clear"))
		memset(p->memory, 0, p->length);
	else if (!strcmp(name, "verify"))
		check(p->memory, p->length, action);
	else if (!strcmp(name, "read"))
		rdma(p, action, IBV_WR_RDMA_READ, n, (int)count, (int)count, p->key);
	else if (!strcmp(name, "write"))
		rdma(p, action, IBV_WR_RDMA_WRITE, n, (int)count, (int)depth, p->key);
	else if (!strcmp(name, "bad-read"))
		rdma(p, action, IBV_WR_RDMA_READ, n, 1, 1, ~p->key);
	else if (!strcmp(name, "bad-write"))
		rdma(p, action, IBV_WR_RDMA_WRITE, n, 1, 1, ~p->key);
	else if (!strcmp(name, "disconnect"))
		rdma_disconnect(p->id);
	else if (!strcmp(name, "wait"))
		while (!p->is_disconnected)
			wait_once(p);
	else
		wrong(action);
}

int main(int argc, char **argv)
{
	struct addrinfo *at, hints = { .ai_flags = AI_NUMERICHOST };
	struct peer p = { 0 };

	if (argc < 6 || getaddrinfo(argv[2], argv[3], &hints, &at)) {
		fprintf(stderr, "usage: %s listen|connect|reject ADDRESS PORT "
				"PRIVATE MEMORY [ACTION...]\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	p.private_length = strtoul(argv[4], NULL, 0);
	p.length = strtoul(argv[5], NULL, 0);
	if (p.private_length >= sizeof(p.private))
		wrong("librdmacm takes 255 bytes of private data at most");
	fill(p.private, p.private_length);
	p.events = rdma_create_event_channel();
	if (!p.events)
		fail("rdma_create_event_channel");
	if (!strcmp(argv[1], "connect"))
		set_up_active(&p, at);
	else
		set_up_passive(&p, at, !strcmp(argv[1], "reject"));
	freeaddrinfo(at);
	for (int i = 6; i < argc; i++)
		act(&p, argv[i]);
	printf("done\n");
	return 0;
}
