/* One structured line per event, to stderr: JSON (LOG_FORMAT unset or json) or text.
 *
 * {"action":"export","level":"info","msg":"starting export","time":"2026-...Z","export_id":"x"}
 * Only edges log (cmd, api, config/reload.c, export/scheduler.c, export/runner.c); libraries return
 * errors. Never object contents, keys or tokens. One write(2) per line, so lines never mix.
 * Warnings and errors that repeat are written a few times, then counted: the next line of their
 * kind says how many were left out ("suppressed"), and sluice_log_lines_dropped_total counts them.
 * @threads any. */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include "base/bytes.h"

/* Action of the audit: its lines are all written, whatever their level. */
#define SL_LOG_AUDIT "authorize"

enum sl_log_level { SL_DEBUG, SL_INFO, SL_WARN, SL_ERROR, SL_SILENT }; /* the last for setup only */
enum sl_log_format { SL_LOG_JSON, SL_LOG_TEXT };

void sl_log_setup(enum sl_log_level least, enum sl_log_format format);
bool sl_log_level_parse(struct sl_str name,
                        enum sl_log_level *ret); /* debug, info, warning|warn, error */

/* Facts of a line, in the order given: SL_F_STR("class", name), SL_F_INT("rows", n). */
struct sl_fact {
    const char *key;
    enum { SL_FACT_STR, SL_FACT_LIST, SL_FACT_INT, SL_FACT_F64, SL_FACT_BOOL } kind;
    union {
        struct sl_str s;
        struct {
            const struct sl_str *ptr;
            size_t count;
        } list;
        int64_t i;
        double f;
        bool b;
    };
};
#define SL_F_STR(k, v)     ((struct sl_fact){.key = (k), .kind = SL_FACT_STR, .s = (v)})
#define SL_F_TEXT(k, v)    ((struct sl_fact){.key = (k), .kind = SL_FACT_STR, .s = sl_str_from(v)})
#define SL_F_LIST(k, v, n) ((struct sl_fact){.key = (k), .kind = SL_FACT_LIST, .list = {(v), (n)}})
#define SL_F_INT(k, v)     ((struct sl_fact){.key = (k), .kind = SL_FACT_INT, .i = (int64_t)(v)})
#define SL_F_F64(k, v)     ((struct sl_fact){.key = (k), .kind = SL_FACT_F64, .f = (v)})
#define SL_F_BOOL(k, v)    ((struct sl_fact){.key = (k), .kind = SL_FACT_BOOL, .b = (v)})

void sli_log(enum sl_log_level level, const char *action, const char *message,
             const struct sl_fact *facts, size_t fact_count);
/* sl_log(SL_INFO, "export", "starting export", SL_F_STR("export_id", id), SL_F_INT("ranges", n));
 */
#define sl_log(level, action, message, ...)                                      \
    sli_log((level), (action), (message), (const struct sl_fact[]){__VA_ARGS__}, \
            sizeof((const struct sl_fact[]){__VA_ARGS__}) / sizeof(struct sl_fact))

#endif
