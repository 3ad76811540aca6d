/* SPDX-License-Identifier: MIT */
/*
 * The data path: a batch of work requests in, a batch of completions out.
 *
 * What lies in the shared memory need not make sense: what isn't a work
 * request of a connector that exists ends the batch.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <sched.h>

/*
 * What a completion says of its work request, since with an error it says
 * little else: operation in the upper two bits, connector below it, context.
 */
static uint64_t to_wr_id(uint32_t opcode, uint32_t connector, uint32_t context)
{
	return (uint64_t)opcode << 62 | (uint64_t)connector << 32 | context;
}

/* In a wr_id, above the connector: of a marker, which is no request. */
#define MARKER (UINT64_C(1) << 61)

static uint32_t room(const struct posted *posted)
{
	return posted->mask + 1 - (posted->end - posted->begin);
}

static void remember(struct posted *posted, uint64_t wr_id)
{
	posted->wr_ids[posted->end++ & posted->mask] = wr_id;
}

/*
 * Forget the oldest of that id, which is the first, but where a device lets a
 * send overtake a read. Returns whether there was one.
 */
static bool forget(struct posted *posted, uint64_t wr_id)
{
	uint32_t at = posted->begin;

	while (at != posted->end && posted->wr_ids[at & posted->mask] != wr_id)
		at++;
	if (at == posted->end)
		return false;
	posted->wr_ids[at & posted->mask] = WSD_NONE;
	while (posted->begin != posted->end &&
	       posted->wr_ids[posted->begin & posted->mask] == WSD_NONE)
		posted->begin++;
	return true;
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

/* Returns how many were taken; @error is why not all, an errno. */
static uint32_t post_receives(struct connector *connector,
			      const struct wsd_work_request *from,
			      uint32_t count, int *error)
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
	*error = INLINE_CALL(ibv_post_recv, (bad = wr, errno), connector->qp,
			     wr, &bad);
	if (*error)
		count = bad ? bad - wr : 0;
	for (i = 0; i < count; i++)
		remember(&connector->receives, wr[i].wr_id);
	return count;
}

/* Likewise. */
static uint32_t post_sends(struct connector *connector,
			   const struct wsd_work_request *from, uint32_t count,
			   int *error)
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
	*error = INLINE_CALL(ibv_post_send, (bad = wr, errno), connector->qp,
			     wr, &bad);
	if (*error)
		count = bad ? bad - wr : 0;
	for (i = 0; i < count; i++)
		remember(&connector->sends, wr[i].wr_id);
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
	uint32_t from = 0, to, fits, taken;
	int error = 0;

	adapter->shared->refusal = 0;
	if (count > WSD_BATCH)
		count = WSD_BATCH;
	while (from < count) {
		const struct wsd_work_request *first = &requests[from];
		struct connector *connector;
		bool receives = first->opcode == WSD_RECEIVE;

		if (!is_valid(adapter, first)) {
			error = EINVAL;
			break;
		}
		/* What is for one queue goes to the device in one call. */
		for (to = from + 1; to < count && to - from < CHAIN; to++)
			if (requests[to].connector != first->connector ||
			    (requests[to].opcode == WSD_RECEIVE) != receives ||
			    !is_valid(adapter, &requests[to]))
				break;
		connector = &adapter->connectors[first->connector];
		fits = room(receives ? &connector->receives :
			    &connector->sends);
		if (!fits) {
			/* As many as the device holds haven't completed. */
			error = ENOMEM;
			break;
		}
		if (fits > to - from)
			fits = to - from;
		taken = receives ?
			post_receives(connector, first, fits, &error) :
			post_sends(connector, first, fits, &error);
		from += taken;
		if (taken < fits)
			break;
	}
	if (from < count)
		adapter->shared->refusal = -error;
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

static struct posted *posted_of(struct connector *connector, uint64_t wr_id)
{
	return wr_id >> 62 == WSD_RECEIVE ? &connector->receives :
		&connector->sends;
}

/* Of sends and writes the length isn't defined, nor of what has failed. */
static bool has_length(const struct ibv_wc *wc)
{
	return wc->status == IBV_WC_SUCCESS &&
	       (wc->wr_id >> 62 == WSD_RECEIVE ||
		wc->wr_id >> 62 == WSD_RDMA_READ);
}

/*
 * Translate @wc. Returns false when its connector doesn't exist any more, or
 * has nothing like it, and of a marker, which is noted.
 */
static bool to_completion(struct wsd_adapter *adapter, const struct ibv_wc *wc,
			  struct wsd_completion *out)
{
	uint32_t number = wc->wr_id >> 32 & (WSD_CONNECTORS - 1);
	struct connector *connector;
	struct posted *posted;

	if (number >= adapter->connector_count)
		return false;
	connector = &adapter->connectors[number];
	if (!connector->exists)
		return false;
	posted = posted_of(connector, wc->wr_id);
	if (wc->wr_id & MARKER) {
		posted->is_flushed = posted->is_marked;
		return false;
	}
	if (!forget(posted, wc->wr_id))
		return false;
	*out = (struct wsd_completion) {
		.connector = number,
		.context = wc->wr_id,
		.status = to_status(wc->status),
		.bytes = has_length(wc) ? wc->byte_len : 0,
		.opcode = wc->wr_id >> 62,
		.vendor_status = wc->vendor_err << 8 | (wc->status & 0xff),
	};
	return true;
}

/*
 * What no completion will come for, since its queue pair is gone and the
 * completion queues are empty. Returns the number of completions, at most @max.
 */
static uint32_t flush_posted(struct posted *posted, uint32_t number,
			     struct wsd_completion *out, uint32_t max)
{
	uint32_t count = 0;

	for (; posted->begin != posted->end && count < max; posted->begin++) {
		uint64_t wr_id = posted->wr_ids[posted->begin & posted->mask];

		if (wr_id == WSD_NONE)
			continue;
		out[count++] = (struct wsd_completion) {
			.connector = number,
			.context = wr_id,
			.status = WSD_FLUSHED,
			.opcode = wr_id >> 62,
		};
	}
	return count;
}

static uint32_t flush_drained(struct wsd_adapter *adapter,
			      struct wsd_completion *out, uint32_t max)
{
	uint32_t number, count = 0;

	if (!adapter->drained_count)
		return 0;
	for (number = 0; number < adapter->connector_count && count < max;
	     number++) {
		struct connector *connector = &adapter->connectors[number];

		if (!connector->drained)
			continue;
		count += flush_posted(&connector->sends, number, out + count,
				      max - count);
		count += flush_posted(&connector->receives, number, out + count,
				      max - count);
		if (count < max) {
			connector->drained = false;
			adapter->drained_count--;
		}
	}
	return count;
}

int post_markers(struct connector *connector, uint32_t number)
{
	/* No bytes of memory nobody has; in error it doesn't even get there. */
	struct ibv_send_wr send = {
		.wr_id = to_wr_id(WSD_RDMA_WRITE, number, 0) | MARKER,
		.opcode = IBV_WR_RDMA_WRITE,
	}, *bad_send;
	struct ibv_recv_wr receive = {
		.wr_id = to_wr_id(WSD_RECEIVE, number, 0) | MARKER,
	}, *bad_receive;
	int ret;

	if (!connector->sends.is_marked) {
		ret = INLINE_CALL(ibv_post_send, errno, connector->qp, &send,
				  &bad_send);
		if (ret)
			return -ret;
		connector->sends.is_marked = true;
	}
	if (!connector->receives.is_marked) {
		ret = INLINE_CALL(ibv_post_recv, errno, connector->qp,
				  &receive, &bad_receive);
		if (ret)
			return -ret;
		connector->receives.is_marked = true;
	}
	return 0;
}

int wsd_qp_is_flushed(const struct wsd_adapter *adapter, uint32_t connector)
{
	const struct connector *flushed = &adapter->connectors[connector];

	return flushed->sends.is_flushed && flushed->receives.is_flushed;
}

void wsd_qp_forget(struct wsd_adapter *adapter, uint32_t connector)
{
	struct connector *forgotten = &adapter->connectors[connector];

	forgotten->sends.begin = forgotten->sends.end;
	forgotten->receives.begin = forgotten->receives.end;
}

/* Completions that are asked of the device at once. */
#define POLL 16

int wsd_poll(struct wsd_adapter *adapter)
{
	struct wsd_completion *out = adapter->shared->completions;
	struct wsd_cq *last = adapter->last_cq, *cq = last;
	struct ibv_wc wc[POLL];
	uint32_t count = 0;
	int asked, found, i;

	if (!last)
		return 0;
	do {
		cq = cq->next;
		do {
			asked = WSD_BATCH - count < POLL ?
				(int)(WSD_BATCH - count) : POLL;
			if (!asked) {
				/* Begin with the one after it next time. */
				adapter->last_cq = cq;
				return count;
			}
			found = INLINE_CALL(ibv_poll_cq, -1, cq->cq, asked, wc);
			/* Of a device that is gone there is nothing to come. */
			if (found < 0)
				break;
			for (i = 0; i < found; i++)
				count += to_completion(adapter, &wc[i],
						       &out[count]);
		} while (found == asked);
		cq->empty_count++;
	} while (cq != last);
	return count + flush_drained(adapter, out + count, WSD_BATCH - count);
}

int wsd_linger(struct wsd_adapter *adapter, uint32_t looks)
{
	int found = wsd_poll(adapter);

	while (!found && looks-- > 0) {
		sched_yield();
		found = wsd_poll(adapter);
	}
	return found;
}
