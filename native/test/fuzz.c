/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer of the data path: any bytes as work requests, any answer of a device.
 *
 * The device checks that it is handed exactly the requests that are counted
 * as taken, once and in order, each as it was written. Of what it has taken it
 * completes some, now and then twice, beside what it never had, and markers;
 * the rest its queue pairs keep to themselves when they end. Each request has
 * to come out exactly once, and nothing else; of a connector that is forgotten,
 * none.
 *
 * Input: a byte that says how many devices' answers are refusals, one for the
 * number of requests, one for completions; then the requests themselves.
 */
#include "../internal.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTORS 8	/* the odd ones don't exist */
#define QUEUES 3

static struct wsd_adapter adapter;
static struct wsd_shared shared;
static struct wsd_work_request written[WSD_BATCH];
static uint32_t posted;		/* requests that the device has taken */
static uint32_t refuse_at;	/* the request that it refuses */
static struct ibv_wc given[QUEUES][2 * WSD_BATCH];
static int given_count[QUEUES], given_taken[QUEUES];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_elements(const struct wsd_work_request *request,
			   const struct ibv_sge *list, int count)
{
	int i;

	check((uint32_t)count == request->element_count);
	check(count <= WSD_ELEMENTS);
	for (i = 0; i < count; i++) {
		check(list[i].addr == request->elements[i].address);
		check(list[i].length == request->elements[i].length);
		check(list[i].lkey == request->elements[i].key);
	}
}

static uint64_t wr_id_of(const struct wsd_work_request *request)
{
	return (uint64_t)request->opcode << 62 |
	       (uint64_t)request->connector << 32 | request->context;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr,
		     struct ibv_recv_wr **bad)
{
	for (; wr; wr = wr->next, posted++) {
		const struct wsd_work_request *request = &written[posted];

		if (posted == refuse_at) {
			*bad = wr;
			return ENOMEM;
		}
		check(posted < WSD_BATCH);
		check(request->opcode == WSD_RECEIVE);
		check(wr->wr_id == wr_id_of(request));
		check(adapter.connectors[request->connector].qp == qp);
		check_elements(request, wr->sg_list, wr->num_sge);
	}
	return 0;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad)
{
	for (; wr; wr = wr->next, posted++) {
		const struct wsd_work_request *request = &written[posted];

		if (posted == refuse_at) {
			*bad = wr;
			return ENOMEM;
		}
		check(posted < WSD_BATCH);
		check(request->opcode != WSD_RECEIVE);
		check(wr->wr_id == wr_id_of(request));
		check(adapter.connectors[request->connector].qp == qp);
		check_elements(request, wr->sg_list, wr->num_sge);
		check(!(request->flags & WSD_FENCE) ==
		      !(wr->send_flags & IBV_SEND_FENCE));
		check(wr->wr.rdma.remote_addr == request->remote_address);
		check(wr->wr.rdma.rkey == request->remote_key);
		/* A read has no data of its own to go inline. */
		check(wr->opcode != IBV_WR_RDMA_READ ||
		      !(wr->send_flags & IBV_SEND_INLINE));
	}
	return 0;
}

static int poll_cq(struct ibv_cq *cq, int max, struct ibv_wc *wc)
{
	int queue = (int)(intptr_t)cq->cq_context, count = 0;

	while (count < max && given_taken[queue] < given_count[queue])
		wc[count++] = given[queue][given_taken[queue]++];
	return count;
}

static bool is_full(const struct wsd_work_request *request)
{
	const struct connector *connector;
	const struct posted *queue;

	if (request->connector >= CONNECTORS)
		return false;
	connector = &adapter.connectors[request->connector];
	queue = request->opcode == WSD_RECEIVE ? &connector->receives :
		&connector->sends;
	return connector->exists && queue->end - queue->begin == queue->mask + 1;
}

static bool is_none(const struct wsd_work_request *request)
{
	return request->opcode > WSD_RDMA_READ ||
	       request->element_count > WSD_ELEMENTS ||
	       request->connector >= CONNECTORS ||
	       !adapter.connectors[request->connector].qp;
}

static void post(uint8_t count)
{
	uint32_t taken;

	memcpy(written, shared.work_requests, sizeof(written));
	posted = 0;
	taken = wsd_post(&adapter, count);
	check(taken == posted);
	check(taken <= count);
	if (taken == count)
		check(shared.refusal == 0);
	else
		check(shared.refusal ==
		      (is_none(&written[taken]) ? -EINVAL : -ENOMEM));
	if (taken == count || taken == refuse_at || is_full(&written[taken]))
		return;
	/* Nothing but a request that is none ends a batch early. */
	check(is_none(&written[taken]));
}

/* What was taken and hasn't come out, by its place among the requests. */
static bool is_out[WSD_BATCH];
static uint32_t left;

/* Take what there is; each has to be of a request that was taken. */
static void collect(bool flushed_only)
{
	int count, k;

	/* A full batch can begin with what is left of another queue. */
	for (k = 0; k < 64; k++) {
		/* Where others want the processor, looking again takes long. */
		count = k & 1 ? wsd_linger(&adapter, refuse_at == 1) :
			wsd_poll(&adapter);
		check(count >= 0);
		check(count <= WSD_BATCH);
		while (count--) {
			const struct wsd_completion *completion =
				&shared.completions[count];
			uint32_t at = completion->context;

			check(at < posted && is_out[at]);
			check(completion->connector == written[at].connector);
			check(completion->opcode == written[at].opcode);
			check(completion->status <= WSD_FAULT);
			check(!completion->bytes ||
			      (completion->status == WSD_SUCCESS &&
			       (completion->opcode == WSD_RECEIVE ||
				completion->opcode == WSD_RDMA_READ)));
			check(!flushed_only ||
			      completion->status == WSD_FLUSHED);
			is_out[at] = false;
			left--;
		}
		if (k & 1 && left == 0)
			return;
	}
}

/* As many completions as there are bytes, spread over the queues. */
static void poll(const uint8_t *data, size_t size)
{
	uint32_t completed = 0, before = left;
	bool is_given[WSD_BATCH] = { 0 };
	size_t i;

	memset(given_count, 0, sizeof(given_count));
	memset(given_taken, 0, sizeof(given_taken));
	for (i = 0; i < size && i < QUEUES * 2 * WSD_BATCH; i++) {
		int queue = data[i] % QUEUES;
		struct ibv_wc *wc = &given[queue][given_count[queue]];
		uint32_t at = data[i] / QUEUES;

		if (given_count[queue] == 2 * WSD_BATCH)
			continue;
		given_count[queue]++;
		*wc = (struct ibv_wc) {
			.wr_id = (uint64_t)(data[i] >> 6) << 62 |
				 (uint64_t)(data[i] >> 5 & 1) << 61 |
				 (uint64_t)(data[i] % (CONNECTORS + 2)) << 32 |
				 0x10000,
			.status = data[i] % 25,
			.byte_len = i,
		};
		if (at >= posted)
			continue;
		wc->wr_id = wr_id_of(&written[at]);
		completed += !is_given[at];
		is_given[at] = true;
	}
	collect(false);
	check(before - left == completed);
}

/* One connector is forgotten, and all queue pairs end. */
static void end(void)
{
	uint32_t i, forgotten = refuse_at % CONNECTORS & ~1u;

	wsd_qp_forget(&adapter, forgotten);
	for (i = 0; i < posted; i++)
		if (is_out[i] && written[i].connector == forgotten) {
			is_out[i] = false;
			left--;
		}
	for (i = 0; i < CONNECTORS; i += 2) {
		adapter.connectors[i].qp = NULL;
		adapter.connectors[i].drained = true;
		adapter.drained_count++;
	}
	collect(true);
	check(left == 0);
	check(adapter.drained_count == 0);
	/* More than there are: the table's end ends the search. */
	adapter.drained_count = 1;
	check(wsd_poll(&adapter) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ibv_context context = {
		.ops = {
			.post_recv = post_recv,
			.post_send = post_send,
			.poll_cq = poll_cq,
		},
	};
	static struct connector connectors[CONNECTORS];
	static struct ibv_qp qps[CONNECTORS];
	static struct ibv_cq ibv_cqs[QUEUES];
	static struct wsd_cq cqs[QUEUES];
	static uint64_t wr_ids[CONNECTORS][2][WSD_BATCH];
	size_t length;
	int i;

	if (size < 2)
		return 0;
	for (i = 0; i < CONNECTORS; i += 2) {
		qps[i].context = &context;
		connectors[i] = (struct connector) {
			.qp = &qps[i],
			.inline_bytes = i * 100,
			.exists = true,
			.sends = {
				.wr_ids = wr_ids[i][0],
				.mask = (WSD_BATCH >> i) - 1,
			},
			.receives = {
				.wr_ids = wr_ids[i][1],
				.mask = WSD_BATCH - 1,
			},
		};
	}
	for (i = 0; i < QUEUES; i++) {
		ibv_cqs[i].context = &context;
		ibv_cqs[i].cq_context = (void *)(intptr_t)i;
		cqs[i].cq = &ibv_cqs[i];
		cqs[i].next = &cqs[(i + 1) % QUEUES];
	}
	adapter = (struct wsd_adapter) {
		.last_cq = &cqs[0],
		.connectors = connectors,
		.connector_count = CONNECTORS,
		.shared = &shared,
	};
	refuse_at = data[0];
	memset(shared.work_requests, 0, sizeof(shared.work_requests));
	length = size - 2;
	if (length > sizeof(shared.work_requests))
		length = sizeof(shared.work_requests);
	memcpy(shared.work_requests, data + 2, length);
	/* Bytes at random seldom are a connector or an operation. */
	for (i = 0; i < WSD_BATCH; i++) {
		struct wsd_work_request *request = &shared.work_requests[i];

		request->opcode = request->opcode & 7 ? request->opcode & 3 : 9;
		request->connector %= CONNECTORS + 1;
		request->element_count %= WSD_ELEMENTS + 2;
		if (request->flags & 2)
			request->connector &= ~1u;
		request->context = i;
	}
	post(data[1]);
	for (left = 0; left < posted; left++)
		is_out[left] = true;
	poll(data + 2, size - 2);
	end();
	return 0;
}
