/* Fault points for the sweeps: fail the n-th allocation, file call or kv call. Tests only.
 *
 * Built with -Dfaults=true the hooks exist; in a release build SL_FAULT_HIT is a constant false and
 * no symbol remains. @threads any; the countdown is shared by all threads of the process. */
#ifndef SL_BASE_FAULT_H
#define SL_BASE_FAULT_H

#include "base/attr.h"

#define SL_FAULTS(X)                    \
    X(SL_FAULT_ALLOC, "allocation")     \
    X(SL_FAULT_FILE, "file call")       \
    X(SL_FAULT_KV, "kv call")           \
    X(SL_FAULT_BACKEND, "backend call") \
    X(SL_FAULT_SOURCE, "source call")

enum sl_fault {
#define SL_FAULTS_ENUM(name, text) name,
    SL_FAULTS(SL_FAULTS_ENUM)
#undef SL_FAULTS_ENUM
        SL_FAULT_COUNT
};

#ifdef SL_FAULTS_ON
/* The call after `n` good ones fails, and so does every later one, until sl_fault_clear. */
void sl_fault_fail_after(enum sl_fault f, int64_t n);
void sl_fault_clear(void);
bool sl_fault_hit(enum sl_fault f);
#define SL_FAULT_HIT(f) SL_UNLIKELY(sl_fault_hit(f))
#else
#define SL_FAULT_HIT(f) false
#endif

#endif
