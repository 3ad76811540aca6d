/* SPDX-License-Identifier: MIT */
/*
 * A connection of this host with itself, again and again: each time another
 * use of a library's function fails, until every use of each has failed once.
 *
 * usage: faults ADDRESS...	(IPv4, of an RDMA device)
 *
 * Every run has to end, with the error that was put in or without one, and
 * with nothing left: the address sanitizer looks for that at the end. Exits
 * with 77 when no address is a device's.
 */
#define _GNU_SOURCE
#include "../internal.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAULT_ERRNO EDQUOT	/* which nothing here gives by itself */
#define MESSAGE "a message that isn't sent inline, being longer than that " \
		"and so is read from where it is registered"

#define NAME(name) #name,
static const char *const names[] = {
	RDMACM_FUNCTIONS(NAME)
	IBVERBS_FUNCTIONS(NAME)
	INLINE_FUNCTIONS(NAME)
};

static int failing = -1;	/* enum wsd_function */
static unsigned failing_use;
static unsigned uses[FAULT_COUNT];
static bool has_failed;

bool wsd_fault(enum wsd_function function)
{
	if (++uses[function] != failing_use || failing != (int)function)
		return false;
	has_failed = true;
	errno = FAULT_ERRNO;
	return true;
}

/* What one run has made; freed in the other direction. */
struct run {
	struct wsd_adapter *adapter;
	struct wsd_shared *shared;
	struct rdma_cm_id *anchor, *listener, *near, *far;
	struct wsd_device *device;
	struct ibv_pd *pd;
	struct wsd_cq *cq;
	struct ibv_mr *mr;
	bool near_qp, far_qp;
	uint32_t keys[2];
	char memory[2][256];
};

enum { NEAR = 3, FAR = 70, REFUSED = 5 };	/* FAR makes the table grow */

/* Try again what a fault has kept from happening. */
#define FREE(call) do { if (call) (void)(call); } while (0)

static void run_end(struct run *run)
{
	if (run->near_qp)
		wsd_qp_destroy(run->adapter, run->near, NEAR);
	if (run->far_qp)
		wsd_qp_destroy(run->adapter, run->far, FAR);
	if (run->mr)
		FREE(wsd_region_deregister(run->mr));
	if (run->cq)
		FREE(wsd_cq_destroy(run->cq));
	if (run->pd)
		FREE(wsd_pd_free(run->pd));
	if (run->near)
		FREE(wsd_id_destroy(run->near));
	if (run->far)
		FREE(wsd_id_destroy(run->far));
	if (run->listener)
		FREE(wsd_id_destroy(run->listener));
	if (run->device)
		wsd_device_close(run->device);
	if (run->anchor)
		FREE(wsd_id_destroy(run->anchor));
	if (run->adapter)
		wsd_adapter_close(run->adapter);
}

static int readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int count = poll(&poll_fd, 1, 20000);

	return count > 0 ? 0 : count < 0 ? -errno : -ETIMEDOUT;
}

/* Await a connection event; another one is an error, but for a late end. */
static int await_event(struct run *run, enum rdma_cm_event_type type)
{
	uint32_t found;
	int ret;

	do {
		while (!(ret = wsd_next_event(run->adapter))) {
			ret = readable(wsd_adapter_fd(run->adapter));
			if (ret)
				return ret;
		}
		if (ret < 0)
			return ret;
		found = run->shared->event.type;
	} while (found != type && (found == RDMA_CM_EVENT_DISCONNECTED ||
				   found == RDMA_CM_EVENT_TIMEWAIT_EXIT));
	return found == type ? 0 : -EPROTO;
}

/* Await @count completions, asleep; all have to be successes. */
static int await_completions(struct run *run, int count)
{
	int ret, i;

	while (count > 0) {
		ret = wsd_poll(run->adapter);
		if (ret < 0)
			return ret;
		for (i = 0; i < ret; i++)
			if (run->shared->completions[i].status != WSD_SUCCESS)
				return -EPROTO;
		count -= ret;
		if (ret)
			continue;
		ret = wsd_arm(run->device);
		if (ret < 0)
			return ret;
		ret = wsd_poll(run->adapter);
		if (ret < 0)
			return ret;
		count -= ret;
		if (count <= 0)
			break;
		ret = readable(wsd_device_fd(run->device));
		if (ret)
			return ret;
		ret = wsd_disarm(run->device);
		if (ret < 0)
			return ret;
	}
	return count ? -EPROTO : 0;
}

static void set_queues(struct run *run)
{
	run->shared->queues = (struct wsd_queue_limits) {
		.send = 8,
		.receive = 8,
		.send_elements = 1,
		.receive_elements = 1,
		.inline_bytes = 16,
	};
}

static void set_connection(struct run *run, const char *text)
{
	struct wsd_connection *connection = &run->shared->connection;

	memset(connection, 0, sizeof(*connection));
	connection->private_data_length = strlen(text);
	memcpy(connection->private_data, text, strlen(text));
	connection->responder_resources = 1;
	connection->initiator_depth = 1;
	connection->retry_count = 7;
	connection->rnr_retry_count = 7;
}

static void set_request(struct run *run, int at, uint32_t opcode,
			uint32_t connector, int memory, uint32_t length)
{
	run->shared->work_requests[at] = (struct wsd_work_request) {
		.opcode = opcode,
		.connector = connector,
		.context = at,
		.element_count = 1,
		.remote_key = run->keys[1],
		.remote_address = (uintptr_t)run->memory[1],
		.elements[0] = {
			.key = run->keys[0],
			.length = length,
			.address = (uintptr_t)run->memory[memory],
		},
	};
}

/* Post what set_request has set; an error is the device's own. */
static int post(struct run *run, int count)
{
	int taken = wsd_post(run->adapter, count);

	return taken == count ? 0 : has_failed ? run->shared->refusal : -EPROTO;
}

/* More private data than librdmacm can say, by one byte. */
#define TOO_LONG(call) do { \
		run->shared->connection.private_data_length = 256; \
		if ((call) != -EINVAL) { \
			ret = -EPROTO; \
			goto end; \
		} \
	} while (0)

#define TRY(call) do { \
		ret = (call); \
		if (ret < 0) \
			goto end; \
	} while (0)

static bool are_flushed(const struct run *run, int count)
{
	while (count-- > 0)
		if (run->shared->completions[count].status != WSD_FLUSHED)
			return false;
	return true;
}

/*
 * What is posted to a queue pair in error some devices never flush, siw among
 * them; each has to come out, once.
 */
static int run_drained(struct run *run)
{
	int taken, found, ret = 0, i;

	set_request(run, 0, WSD_RECEIVE, NEAR, 1, 8);
	set_request(run, 1, WSD_RDMA_READ, NEAR, 0, 8);
	set_request(run, 2, WSD_SEND, NEAR, 0, 8);
	taken = wsd_post(run->adapter, 3);
	/* Which keeps the markers, too. */
	if (run->shared->device.transport == IBV_TRANSPORT_IB) {
		ret = wsd_qp_flush(run->adapter, run->near, NEAR);
		for (i = 0; !ret && !wsd_qp_is_flushed(run->adapter, NEAR); ) {
			if (i++ == 10000)
				return -ETIMEDOUT;
			usleep(100);
			found = wsd_poll(run->adapter);
			if (found < 0)
				return found;
			if (!are_flushed(run, found))
				return -EPROTO;
			taken -= found;
		}
	}
	wsd_qp_drain(run->adapter, run->near, NEAR);
	do {
		found = wsd_poll(run->adapter);
		if (!are_flushed(run, found))
			return -EPROTO;
		taken -= found;
	} while (found > 0);
	return taken ? -EPROTO : ret;
}

/* A removal that the kernel hasn't announced is none. */
static int run_forged(struct run *run)
{
	static const char text[] =
		"remove@/devices/virtual/infiniband_verbs/uverbs0";
	int to = wsd_removals_fd(run->adapter), from, ret = 0;
	struct sockaddr_nl address;
	socklen_t length = sizeof(address);

	if (to < 0)
		return 0;
	from = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
		      NETLINK_KOBJECT_UEVENT);
	if (from < 0 || getsockname(to, (void *)&address, &length)) {
		ret = -errno;
		goto end;
	}
	address.nl_groups = 0;
	/* Only who administers the network may write to another's socket. */
	if (sendto(from, text, sizeof(text), 0, (void *)&address,
		   sizeof(address)) < 0)
		ret = errno == EPERM ? 0 : -errno;
	else if (wsd_next_removal(run->adapter))
		ret = -EPROTO;
end:
	if (from >= 0)
		close(from);
	return ret;
}

/* Connect another time, and be rejected. */
static int run_refused(struct run *run, const struct wsd_address *to)
{
	struct rdma_cm_id *asking = NULL, *asked = NULL;
	int ret;

	TRY(wsd_id_create(run->adapter, &asking));
	run->shared->address = *to;
	run->shared->address.port = 0;
	TRY(wsd_id_bind(run->adapter, asking, 0));
	set_queues(run);
	TRY(wsd_qp_create(run->adapter, asking, run->pd, run->cq, REFUSED));
	run->shared->address = *to;
	TRY(wsd_id_resolve_address(run->adapter, asking, 2000));
	TRY(await_event(run, RDMA_CM_EVENT_ADDR_RESOLVED));
	TRY(wsd_id_resolve_route(asking, 2000));
	TRY(await_event(run, RDMA_CM_EVENT_ROUTE_RESOLVED));
	set_connection(run, "once more");
	TRY(wsd_id_connect(run->adapter, asking));
	TRY(await_event(run, RDMA_CM_EVENT_CONNECT_REQUEST));
	asked = (void *)(uintptr_t)run->shared->event.id;
	TOO_LONG(wsd_id_reject(run->adapter, asked));
	set_connection(run, "no");
	TRY(wsd_id_reject(run->adapter, asked));
	TRY(await_event(run, RDMA_CM_EVENT_REJECTED));
	ret = 0;
end:
	if (asked)
		FREE(wsd_id_destroy(asked));
	if (asking) {
		if (asking->qp)
			wsd_qp_destroy(run->adapter, asking, REFUSED);
		FREE(wsd_id_destroy(asking));
	}
	return ret;
}

/* Listen, connect, send, write, read, part, be refused. 0 or -errno. */
static int run_once(const struct wsd_address *local)
{
	struct run *run = calloc(1, sizeof(*run));
	struct wsd_address to = *local;
	int ret, i;

	if (!run)
		return -ENOMEM;
	TRY(wsd_adapter_open(&run->adapter));
	run->shared = wsd_adapter_shared(run->adapter);
	TRY(run_forged(run));
	run->shared->address = *local;
	TRY(wsd_source(run->adapter));
	TRY(wsd_id_create(run->adapter, &run->anchor));
	TRY(wsd_id_bind(run->adapter, run->anchor, 0));
	TRY(wsd_id_device(run->adapter, run->anchor));
	TRY(wsd_device_open(run->adapter, run->anchor, &run->device));
	TRY(wsd_pd_alloc(run->device, &run->pd));
	TRY(wsd_cq_create(run->device, 64, 3, &run->cq));
	TRY(wsd_region_register(run->pd, (uintptr_t)run->memory,
				sizeof(run->memory), 7, run->keys, &run->mr));

	TRY(wsd_id_create(run->adapter, &run->listener));
	run->shared->address.port = to.port = 7471;
	TRY(wsd_id_bind(run->adapter, run->listener, 1));
	TRY(wsd_id_listen(run->listener, 4));

	TRY(wsd_id_create(run->adapter, &run->near));
	run->shared->address = *local;
	TRY(wsd_id_bind(run->adapter, run->near, 0));
	set_queues(run);
	TRY(wsd_qp_create(run->adapter, run->near, run->pd, run->cq, NEAR));
	run->near_qp = true;
	run->shared->address = to;
	TRY(wsd_id_resolve_address(run->adapter, run->near, 2000));
	TRY(await_event(run, RDMA_CM_EVENT_ADDR_RESOLVED));
	TRY(wsd_id_resolve_route(run->near, 2000));
	TRY(await_event(run, RDMA_CM_EVENT_ROUTE_RESOLVED));
	TOO_LONG(wsd_id_connect(run->adapter, run->near));
	set_connection(run, "near");
	TRY(wsd_id_connect(run->adapter, run->near));

	TRY(await_event(run, RDMA_CM_EVENT_CONNECT_REQUEST));
	run->far = (void *)(uintptr_t)run->shared->event.id;
	set_queues(run);
	TRY(wsd_qp_create(run->adapter, run->far, run->pd, run->cq, FAR));
	run->far_qp = true;
	set_request(run, 0, WSD_RECEIVE, FAR, 1, sizeof(run->memory[1]));
	TRY(post(run, 1));
	TOO_LONG(wsd_id_accept(run->adapter, run->far));
	set_connection(run, "far");
	TRY(wsd_id_accept(run->adapter, run->far));
	/* A device may find that there is nothing to be told any more. */
	if (wsd_id_notify_established(run->far) == -FAULT_ERRNO) {
		ret = -FAULT_ERRNO;
		goto end;
	}
	/* At both ends, in either order. */
	TRY(await_event(run, RDMA_CM_EVENT_ESTABLISHED));
	TRY(await_event(run, RDMA_CM_EVENT_ESTABLISHED));
	/* A device of iWARP has no such timer. */
	if (run->shared->device.transport == IBV_TRANSPORT_IB)
		TRY(wsd_qp_set_rnr_timer(run->far, 12));

	strcpy(run->memory[0], MESSAGE);
	set_request(run, 0, WSD_SEND, NEAR, 0, sizeof(MESSAGE));
	TRY(wsd_arm(run->device));
	TRY(post(run, 1));
	TRY(readable(wsd_device_fd(run->device)));
	TRY(wsd_disarm(run->device));
	if (!ret) {
		ret = -EPROTO;
		goto end;
	}
	TRY(await_completions(run, 2));
	if (strcmp(run->memory[1], MESSAGE)) {
		ret = -EBADMSG;
		goto end;
	}
	set_request(run, 0, WSD_RDMA_WRITE, NEAR, 0, 8);
	set_request(run, 1, WSD_RDMA_READ, NEAR, 0, 200);
	set_request(run, 2, WSD_RDMA_WRITE, NEAR, 0, 100);
	run->shared->work_requests[2].flags = WSD_FENCE;
	TRY(post(run, 3));
	TRY(await_completions(run, 3));

	/* What is no work request ends the batch. */
	set_request(run, 0, 4, NEAR, 0, 8);
	if (wsd_post(run->adapter, 1) || run->shared->refusal != -EINVAL) {
		ret = -EPROTO;
		goto end;
	}
	for (i = 0; i < 4; i++)
		set_request(run, i, WSD_RECEIVE, NEAR, 1, 8);
	TRY(post(run, 4));
	TRY(wsd_id_disconnect(run->near));
	TRY(wsd_qp_fail(run->near));
	for (i = 0; i < 4; ) {
		TRY(wsd_poll(run->adapter));
		i += ret;
	}
	TRY(run_drained(run));
	TRY(await_event(run, RDMA_CM_EVENT_DISCONNECTED));
	TRY(wsd_next_async(run->device));
	TRY(wsd_release_devices());
	ret = run_refused(run, &to);
end:
	run_end(run);
	free(run);
	return ret;
}

int main(int argc, char **argv)
{
	struct wsd_address local = { .family = 4 };
	unsigned runs = 0;
	int i, ret;

	/* Without the libraries nothing is left of the attempt either. */
	failing = FAULT_ibv_fork_init;
	failing_use = 1;
	ret = wsd_load();
	if (has_failed && !ret)
		return 1;
	failing = -1;
	ret = wsd_load();
	if (ret) {
		fprintf(stderr, "skipped: no %s\n", wsd_missing());
		return 77;
	}
	for (i = 1; i < argc; i++) {
		if (inet_pton(AF_INET, argv[i], local.bytes) != 1)
			return 2;
		failing = -1;
		ret = run_once(&local);
		if (ret == -ENODEV || ret == -EADDRNOTAVAIL || ret == -EACCES) {
			fprintf(stderr, "skipped: %s: %s\n", argv[i],
				strerror(-ret));
			continue;
		}
		if (ret) {
			fprintf(stderr, "%s: %s without any fault\n", argv[i],
				strerror(-ret));
			return 1;
		}
		runs++;
		for (failing = 0; failing < FAULT_COUNT; failing++) {
			for (failing_use = 1; ; failing_use++) {
				memset(uses, 0, sizeof(uses));
				has_failed = false;
				ret = run_once(&local);
				if (!has_failed)
					break;
				runs++;
				/* A destructor's failure is made good. */
				if (ret && ret != -FAULT_ERRNO && ret != -EIO) {
					fprintf(stderr, "%s: use %u of %s: %s\n",
						argv[i], failing_use,
						names[failing], strerror(-ret));
					return 1;
				}
			}
			printf("%s: %s: %u uses\n", argv[i], names[failing],
			       failing_use - 1);
		}
	}
	printf("%u runs\n", runs);
	return runs ? 0 : 77;
}
