/* Process-wide counters and their two prints; see stats.h.
 *
 * A histogram counts each duration in one bucket; the sums the format asks for are made when it is
 * printed, and its count is that of the last bucket, so that the two always agree. */
#include "base/stats.h"

#include <stdatomic.h>

#include "base/num.h"

#define BOUNDS_MAX 12 /* the longest row has 11 */

enum kind { COUNTER, GAUGE, SECONDS };

static const struct row {
    const char *metric, *labels, *text;
    enum kind kind;
} rows[] = {
#define SL_STAT(name, kind_, metric_, labels_, text_) \
    {.metric = metric_, .labels = labels_, .text = text_, .kind = kind_},
#include "base/stats.tbl.h"
};

static const struct histogram {
    const char *metric, *text;
    double bounds[BOUNDS_MAX]; /* seconds, ascending; 0 ends */
} histograms[] = {
#define SL_HISTOGRAM(name, metric_, text_, ...) \
    {.metric = metric_, .text = text_, .bounds = {__VA_ARGS__}},
#include "base/stats.tbl.h"
};

static _Atomic uint64_t values[SL_STAT_COUNT];
static struct {
    _Atomic uint64_t counts[BOUNDS_MAX + 1]; /* above the bound before, up to this one */
    _Atomic uint64_t ns;
} observed[SL_HISTOGRAM_COUNT];

void sl_stat_add(enum sl_stat s, uint64_t n)
{
    atomic_fetch_add_explicit(&values[s], n, memory_order_relaxed);
}

void sl_stat_sub(enum sl_stat s, uint64_t n)
{
    atomic_fetch_sub_explicit(&values[s], n, memory_order_relaxed);
}

void sl_stat_set(enum sl_stat s, uint64_t value)
{
    atomic_store_explicit(&values[s], value, memory_order_relaxed);
}

uint64_t sl_stat_get(enum sl_stat s)
{
    return atomic_load_explicit(&values[s], memory_order_relaxed);
}

void sl_histogram_add(enum sl_histogram h, int64_t ns)
{
    const double *bounds = histograms[h].bounds;
    uint32_t at = 0;
    while (at < BOUNDS_MAX && bounds[at] > 0 && (double)ns / 1e9 > bounds[at]) {
        at++;
    }
    atomic_fetch_add_explicit(&observed[h].counts[at], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&observed[h].ns, (uint64_t)ns, memory_order_relaxed);
}

/* ---- prints ---- */

static void add_number(struct sl_buf *out, double v)
{
    char text[SL_F64_TEXT_MAX];
    sl_buf_add(out, SL_BYTES((const uint8_t *)text, sl_f64_format(v, text)));
}

static void add_head(struct sl_buf *out, const char *metric, const char *type, const char *text)
{
    sl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, text, metric, type);
}

static bool is_first_of_metric(size_t i)
{
    return i == 0 || strcmp(rows[i].metric, rows[i - 1].metric) != 0;
}

static void print_row(size_t i, struct sl_buf *out)
{
    const struct row *r = &rows[i];
    uint64_t value = sl_stat_get((enum sl_stat)i);
    if (is_first_of_metric(i)) {
        add_head(out, r->metric, r->kind == GAUGE ? "gauge" : "counter", r->text);
    }
    sl_buf_add_text(out, r->metric);
    if (r->labels[0] != '\0') {
        sl_buf_addf(out, "{%s}", r->labels);
    }
    sl_buf_add_u8(out, ' ');
    if (r->kind == SECONDS) {
        add_number(out, (double)value / 1e9);
    } else {
        sl_buf_addf(out, "%llu", (unsigned long long)value);
    }
    sl_buf_add_u8(out, '\n');
}

static void print_histogram(size_t h, struct sl_buf *out)
{
    const struct histogram *row = &histograms[h];
    uint64_t sum = 0;
    add_head(out, row->metric, "histogram", row->text);
    for (uint32_t i = 0;; i++) {
        bool is_last = i == BOUNDS_MAX || row->bounds[i] <= 0;
        sum += atomic_load_explicit(&observed[h].counts[i], memory_order_relaxed);
        sl_buf_addf(out, "%s_bucket{le=\"", row->metric);
        if (is_last) {
            sl_buf_add_text(out, "+Inf");
        } else {
            add_number(out, row->bounds[i]);
        }
        sl_buf_addf(out, "\"} %llu\n", (unsigned long long)sum);
        if (is_last) {
            break;
        }
    }
    sl_buf_addf(out, "%s_sum ", row->metric);
    add_number(out, (double)atomic_load_explicit(&observed[h].ns, memory_order_relaxed) / 1e9);
    sl_buf_addf(out, "\n%s_count %llu\n", row->metric, (unsigned long long)sum);
}

/* Labels of one metric are told together: a name, and the values it takes. */
static void print_markdown(struct sl_buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "counter"};
    sl_buf_add_text(out, "| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < SL_STAT_COUNT; i++) {
        if (!is_first_of_metric(i)) {
            continue;
        }
        sl_buf_addf(out, "| `%s` | %s | ", rows[i].metric, kinds[rows[i].kind]);
        for (size_t k = i; k == i || (k < SL_STAT_COUNT && !is_first_of_metric(k)); k++) {
            if (rows[k].labels[0] != '\0') {
                sl_buf_addf(out, "%s`%s`", k == i ? "" : "<br>", rows[k].labels);
            }
        }
        sl_buf_addf(out, " | %s |\n", rows[i].text);
    }
    for (size_t h = 0; h < SL_HISTOGRAM_COUNT; h++) {
        sl_buf_addf(out, "| `%s` | histogram | `le` | %s |\n", histograms[h].metric,
                    histograms[h].text);
    }
}

void sl_stats_print(enum sl_stats_format format, struct sl_buf *out)
{
    if (format == SL_STATS_MARKDOWN) {
        print_markdown(out);
        return;
    }
    for (size_t i = 0; i < SL_STAT_COUNT; i++) {
        print_row(i, out);
    }
    for (size_t h = 0; h < SL_HISTOGRAM_COUNT; h++) {
        print_histogram(h, out);
    }
}
