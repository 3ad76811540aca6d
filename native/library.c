/* SPDX-License-Identifier: MIT */
/* The two libraries, and what the bindings are to agree with; see shim.h. */
#define _GNU_SOURCE
#include "internal.h"

#include <dlfcn.h>

struct wsd_library wsd_library;

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
	*(void **)&wsd_library.name = dlsym(library, #name); \
	if (!wsd_library.name) { \
		missing = #name; \
		goto err_rdmacm; \
	}
#define LOAD_VERBS(name) LOAD(verbs, name)
#define LOAD_RDMACM(name) LOAD(rdmacm, name)
	IBVERBS_FUNCTIONS(LOAD_VERBS)
	RDMACM_FUNCTIONS(LOAD_RDMACM)
	/*
	 * The program may start others. Kernels before 5.12 would then move
	 * pinned pages away from under the device; what helps there takes the
	 * pages from the child, with whatever else is on them. So it isn't
	 * asked for where nothing has to be helped.
	 */
	if (CALL(ibv_is_fork_initialized, IBV_FORK_DISABLED) !=
	    IBV_FORK_UNNEEDED &&
	    CALL(ibv_fork_init, errno)) {
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
