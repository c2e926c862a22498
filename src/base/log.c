/* Structured log lines to stderr; see log.h. */
#include "base/log.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/num.h"
#include "base/str.h"

static _Atomic enum sl_log_level least_level = SL_INFO;
static _Atomic enum sl_log_format line_format = SL_LOG_JSON;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void sl_log_setup(enum sl_log_level least, enum sl_log_format format)
{
    atomic_store(&least_level, least);
    atomic_store(&line_format, format);
}

bool sl_log_level_parse(struct sl_str name, enum sl_log_level *ret)
{
    if (sl_str_is(name, "warn")) {
        *ret = SL_WARN;
        return true;
    }
    for (size_t i = 0; i < SL_COUNT_OF(level_names); i++) {
        if (sl_str_is(name, level_names[i])) {
            *ret = (enum sl_log_level)i;
            return true;
        }
    }
    return false;
}

static void add_value(struct sl_json *w, const struct sl_fact *f)
{
    switch (f->kind) {
    case SL_FACT_STR:
        sl_json_str(w, f->s);
        return;
    case SL_FACT_INT:
        sl_json_i64(w, f->i);
        return;
    case SL_FACT_F64:
        sl_json_f64(w, f->f);
        return;
    case SL_FACT_BOOL:
        sl_json_bool(w, f->b);
        return;
    }
}

static void add_json_line(struct sl_buf *line, enum sl_log_level level, const char *action,
                          const char *message, const struct sl_fact *facts, size_t fact_count)
{
    struct sl_json w = sl_json_over(line);
    sl_json_obj(&w);
    sl_json_key(&w, "action");
    sl_json_text(&w, action);
    sl_json_key(&w, "level");
    sl_json_text(&w, level_names[level]);
    sl_json_key(&w, "msg");
    sl_json_text(&w, message);
    sl_json_key(&w, "time");
    sl_json_time_ms(&w, sl_clock_wall_ns(sl_clock_real()));
    for (size_t i = 0; i < fact_count; i++) {
        sl_json_key(&w, facts[i].key);
        add_value(&w, &facts[i]);
    }
    sl_json_obj_end(&w);
    sl_buf_add_u8(line, '\n');
}

static void add_text_line(struct sl_buf *line, enum sl_log_level level, const char *action,
                          const char *message, const struct sl_fact *facts, size_t fact_count)
{
    sl_time_add_ms(line, sl_clock_wall_ns(sl_clock_real()));
    sl_buf_addf(line, " %s %s %s", level_names[level], action, message);
    for (size_t i = 0; i < fact_count; i++) {
        sl_buf_addf(line, " %s=", facts[i].key);
        struct sl_json w = sl_json_over(line);
        add_value(&w, &facts[i]);
    }
    sl_buf_add_u8(line, '\n');
}

void sli_log(enum sl_log_level level, const char *action, const char *message,
             const struct sl_fact *facts, size_t fact_count)
{
    if (level < atomic_load_explicit(&least_level, memory_order_relaxed)) {
        return;
    }
    SL_AUTO(sl_buf) line = SL_BUF_EMPTY;
    if (atomic_load_explicit(&line_format, memory_order_relaxed) == SL_LOG_JSON) {
        add_json_line(&line, level, action, message, facts, fact_count);
    } else {
        add_text_line(&line, level, action, message, facts, fact_count);
    }
    /* One call, so that lines of different threads never mix. A log that cannot be written has
     * nowhere to complain. */
    ssize_t put SL_UNUSED = write(STDERR_FILENO, line.ptr, line.len); /* allow: write, stderr */
}
