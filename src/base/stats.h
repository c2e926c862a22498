/* Process-wide counters, gauges and histograms, one row each in stats.tbl.h. Relaxed atomics, so a
 * print shows each number as it is, not all at one instant. @threads any. */
#ifndef SL_BASE_STATS_H
#define SL_BASE_STATS_H

#include "base/buf.h"

enum sl_stat {
#define SL_STAT(name, kind, metric, labels, text) name,
#include "base/stats.tbl.h"
    SL_STAT_COUNT
};
enum sl_histogram {
#define SL_HISTOGRAM(name, metric, text, ...) name,
#include "base/stats.tbl.h"
    SL_HISTOGRAM_COUNT
};

void sl_stat_add(enum sl_stat s, uint64_t n);
void sl_stat_sub(enum sl_stat s, uint64_t n); /* gauges */
void sl_stat_set(enum sl_stat s, uint64_t value);
uint64_t sl_stat_get(enum sl_stat s);
void sl_histogram_add(enum sl_histogram h, int64_t ns); /* one duration */

enum sl_stats_format {
    SL_STATS_PROMETHEUS, /* text format 0.0.4 */
    SL_STATS_MARKDOWN,   /* names and meanings, for the docs */
};
void sl_stats_print(enum sl_stats_format format, struct sl_buf *out);

#endif
