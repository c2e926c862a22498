/* Structured log lines to stderr; see log.h. */
#include "base/log.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"
#include "base/stats.h"
#include "base/str.h"
#include "base/sync.h"

static _Atomic enum sl_log_level least_level = SL_INFO;
static _Atomic enum sl_log_format line_format = SL_LOG_JSON;

/* Lines of one kind: same action, same message. Kinds whose hashes share a slot forget each other,
 * which writes a line too many and never one too few. */
#define KINDS      64
#define KIND_LINES 20            /* of one kind in one period; enough to see what happens */
#define KIND_NS    10000000000LL /* the period: 2 lines a second for ever fill no disk */
#define LIST_MAX   100           /* members of a list that a line tells */

static struct sl_mutex kinds_mu = {PTHREAD_MUTEX_INITIALIZER};
static struct {
    uint64_t kind;
    int64_t since_ns;
    uint32_t written;
    uint64_t suppressed;
} kinds[KINDS]; /* under kinds_mu */

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
    case SL_FACT_LIST:
        sl_json_arr(w);
        for (size_t i = 0; i < SL_MIN(f->list.count, (size_t)LIST_MAX); i++) {
            sl_json_str(w, f->list.ptr[i]);
        }
        sl_json_arr_end(w);
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

static uint64_t kind_of(const char *action, const char *message)
{
    uint64_t a = sl_xxh64(SL_BYTES((const uint8_t *)action, strlen(action)));
    uint64_t m = sl_xxh64(SL_BYTES((const uint8_t *)message, strlen(message)));
    return a * 31 + m;
}

/* May the line be written? Then *ret_suppressed like it were not, since the last one that was. */
static bool admit(const char *action, const char *message, uint64_t *ret_suppressed)
{
    uint64_t kind = kind_of(action, message);
    int64_t now = sl_clock_mono_ns(sl_clock_real());
    sl_mutex_lock(&kinds_mu);
    __typeof__(kinds[0]) *k = &kinds[kind % KINDS];
    if (k->kind != kind) {
        *k = (__typeof__(*k)){.kind = kind, .since_ns = now};
    } else if (now - k->since_ns > KIND_NS) {
        k->since_ns = now;
        k->written = 0;
    }
    bool is_let = k->written < KIND_LINES;
    *ret_suppressed = is_let ? k->suppressed : 0;
    k->suppressed = is_let ? 0 : k->suppressed + 1;
    k->written += is_let ? 1 : 0;
    sl_mutex_unlock(&kinds_mu);
    if (!is_let) {
        sl_stat_add(SL_STAT_LOG_DROPPED, 1);
    }
    return is_let;
}

struct line {
    enum sl_log_level level;
    const char *action, *message;
    const struct sl_fact *facts;
    size_t fact_count;
    uint64_t suppressed;
};

static void add_json_line(struct sl_buf *out, const struct line *l)
{
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "action");
    sl_json_text(&w, l->action);
    sl_json_key(&w, "level");
    sl_json_text(&w, level_names[l->level]);
    sl_json_key(&w, "msg");
    sl_json_text(&w, l->message);
    sl_json_key(&w, "time");
    sl_json_time_ms(&w, sl_clock_wall_ns(sl_clock_real()));
    for (size_t i = 0; i < l->fact_count; i++) {
        sl_json_key(&w, l->facts[i].key);
        add_value(&w, &l->facts[i]);
    }
    if (l->suppressed > 0) {
        sl_json_key(&w, "suppressed");
        sl_json_u64(&w, l->suppressed);
    }
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
}

static void add_text_line(struct sl_buf *out, const struct line *l)
{
    sl_time_add_ms(out, sl_clock_wall_ns(sl_clock_real()));
    sl_buf_addf(out, " %s %s ", level_names[l->level], l->action);
    for (const char *at = l->message; *at != '\0'; at++) { /* one line stays one line */
        sl_buf_add_u8(out, (uint8_t)*at < ' ' ? '?' : (uint8_t)*at);
    }
    for (size_t i = 0; i < l->fact_count; i++) {
        sl_buf_addf(out, " %s=", l->facts[i].key);
        struct sl_json w = sl_json_over(out);
        add_value(&w, &l->facts[i]);
    }
    if (l->suppressed > 0) {
        sl_buf_addf(out, " suppressed=%llu", (unsigned long long)l->suppressed);
    }
    sl_buf_add_u8(out, '\n');
}

void sli_log(enum sl_log_level level, const char *action, const char *message,
             const struct sl_fact *facts, size_t fact_count)
{
    struct line l = {level, action, message, facts, fact_count, 0};
    if (level < atomic_load_explicit(&least_level, memory_order_relaxed) ||
        (level >= SL_WARN && strcmp(action, SL_LOG_AUDIT) != 0 &&
         !admit(action, message, &l.suppressed))) {
        return;
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    if (atomic_load_explicit(&line_format, memory_order_relaxed) == SL_LOG_JSON) {
        add_json_line(&out, &l);
    } else {
        add_text_line(&out, &l);
    }
    /* One call, so that lines of different threads never mix. A log that cannot be written has
     * nowhere to complain. */
    ssize_t put SL_UNUSED = write(STDERR_FILENO, out.ptr, out.len); /* allow: write, stderr */
}
