/* SPDX-License-Identifier: MIT */
/* Makes the k-th use of a library's function fail; see internal.h. */
#ifndef WSD_TEST_FAULTS_H
#define WSD_TEST_FAULTS_H

#define NUMBER(name) FAULT_##name,
enum wsd_function {
	RDMACM_FUNCTIONS(NUMBER)
	IBVERBS_FUNCTIONS(NUMBER)
	INLINE_FUNCTIONS(NUMBER)
	FAULT_COUNT
};
#undef NUMBER

/* Count a use of @function. Returns whether it is to fail, and sets errno. */
bool wsd_fault(enum wsd_function function);

#define FAULT(name) wsd_fault(FAULT_##name)

#endif
