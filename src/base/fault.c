/* Countdown of the fault points; empty in a release build. */
#include "base/fault.h"

#ifdef SL_FAULTS_ON
#include <stdatomic.h>

/* Good calls left; negative: the point is not armed. */
static _Atomic int64_t left[SL_FAULT_COUNT] = {-1, -1, -1, -1};
static atomic_bool is_armed[SL_FAULT_COUNT];

void sl_fault_fail_after(enum sl_fault f, int64_t n)
{
    atomic_store(&left[f], n);
    atomic_store(&is_armed[f], true);
}

void sl_fault_clear(void)
{
    for (int f = 0; f < SL_FAULT_COUNT; f++) {
        atomic_store(&is_armed[f], false);
    }
}

bool sl_fault_hit(enum sl_fault f)
{
    return atomic_load_explicit(&is_armed[f], memory_order_relaxed) &&
           atomic_fetch_sub(&left[f], 1) <= 0;
}
#endif
