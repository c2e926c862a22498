/* Process-wide counters, one row each in stats.tbl.h. Relaxed atomics. @threads any. */
#ifndef SL_BASE_STATS_H
#define SL_BASE_STATS_H

#include "base/attr.h"

enum sl_stat {
#define SL_STAT(name, metric, unit, text) name,
#include "base/stats.tbl.h"
#undef SL_STAT
    SL_STAT_COUNT
};

void sl_stat_add(enum sl_stat s, uint64_t n);
uint64_t sl_stat_get(enum sl_stat s);
const char *sl_stat_name(enum sl_stat s); /* metric name, e.g. "sluice_rows_total" */

#endif
