/* Process-wide counters; see stats.h. */
#include "base/stats.h"

#include <stdatomic.h>

static _Atomic uint64_t values[SL_STAT_COUNT];

static const char *const names[] = {
#define SL_STAT(name, metric, unit, text) metric,
#include "base/stats.tbl.h"
#undef SL_STAT
};

void sl_stat_add(enum sl_stat s, uint64_t n)
{
    atomic_fetch_add_explicit(&values[s], n, memory_order_relaxed);
}

uint64_t sl_stat_get(enum sl_stat s)
{
    return atomic_load_explicit(&values[s], memory_order_relaxed);
}

const char *sl_stat_name(enum sl_stat s)
{
    return names[s];
}
